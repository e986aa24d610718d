//! Models, their versions, and which of them answer.

use crate::record::Id;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything of models at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Registry {
    /// As [`crate::Store::registry_revision`].
    pub revision: u64,
    /// By name.
    pub models: BTreeMap<String, Model>,
    /// Approvals that changes of a tier need; a tier that is not here allows nothing.
    pub tiers: BTreeMap<u8, u8>,
    /// Those that are open, and the last 1,000 that are not; the newest last.
    pub proposals: Vec<Proposal>,
}

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// 1 (most consequential) to 4.
    pub tier: u8,
    /// In the order of their numbers, from 1.
    pub versions: Vec<Version>,
    /// Which of them answer.
    pub route: Route,
}

/// A version.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// From 1.
    pub number: u32,
    /// Of its bundle.
    pub digest: String,
    /// Why it was added.
    pub note: String,
    /// By whom.
    pub by: String,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
}

/// Which versions answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The one that decides; none before the first approved promotion.
    pub champion: Option<u32>,
    /// Champions before, the last last; at most 100.
    #[serde(default)]
    pub before: Vec<u32>,
    /// The one that is tried.
    #[serde(default)]
    pub challenger: Option<Challenger>,
    /// The one that answers after an emergency stop.
    #[serde(default)]
    pub backup: Option<u32>,
    /// True after an emergency stop.
    #[serde(default)]
    pub stopped: bool,
}

/// A version that is tried beside the champion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenger {
    /// Which.
    pub version: u32,
    /// True: it scores a copy of the rows and never answers. False: it decides its share.
    pub shadow: bool,
    /// Share of requests, parts per thousand: 1 to 1,000.
    pub per_mille: u16,
}

/// A change of a route that needs approval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Another champion; a stop stays.
    Champion {
        /// Which.
        version: u32,
    },
    /// A challenger, or none.
    Challenger {
        /// Which, and how.
        challenger: Option<Challenger>,
    },
    /// The version for emergencies.
    Backup {
        /// Which.
        version: u32,
    },
    /// The champion answers again after a stop.
    Resume,
}

/// Where a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Approvals are missing.
    Open,
    /// Made.
    Applied,
    /// Rejected or withdrawn.
    Rejected,
}

/// A proposed change.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its name.
    pub id: Id,
    /// The model.
    pub model: String,
    /// What would change.
    pub change: Change,
    /// Why.
    pub note: String,
    /// Who proposed.
    pub by: String,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Where it stands.
    pub state: ProposalState,
    /// Who approved, in the order of time.
    pub approved_by: Vec<String>,
    /// Who rejected, and why.
    pub rejected: Option<(String, String)>,
}
