//! `server.toml`: each area has its own table, defined beside its code.

use serde::{Deserialize, Serialize};

/// Everything that can be configured; every field has a default that works.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Limits and targets.
    pub flow: crate::flow::FlowSettings,
    /// People, keys, sessions, directories.
    pub who: crate::who::WhoSettings,
    /// Loading and challengers.
    pub models: crate::models::ModelsSettings,
    /// The pool that scores.
    pub compute: crate::compute::ComputeSettings,
    /// Overrides and outcomes.
    pub decisions: crate::http::decisions::DecisionsSettings,
}
