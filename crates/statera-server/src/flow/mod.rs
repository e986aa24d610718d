//! Flow control: how many requests are let in, whose first, and what the others are told.

use serde::{Deserialize, Serialize};

/// Limits and targets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowSettings {}

/// The state of the limits.
pub struct Flow {}
