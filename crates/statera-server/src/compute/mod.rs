//! The bounded pool that scores: what waits for the same model is scored as one batch, so that the cost of a batch is
//! shared; no request waits for others to come.

use serde::{Deserialize, Serialize};

/// How requests are scored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComputeSettings {}

impl ComputeSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[];
}

/// The pool.
pub struct Compute {}
