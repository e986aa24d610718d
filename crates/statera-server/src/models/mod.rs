//! The bundles that answer: loaded, checked, replayed, warmed, then swapped in at once; shadow and split challengers.

use serde::{Deserialize, Serialize};

/// How models are loaded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSettings {}

impl ModelsSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[];
}

/// The models in memory.
pub struct Models {}
