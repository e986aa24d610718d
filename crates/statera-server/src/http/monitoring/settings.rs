//! `[monitoring]` of `server.toml`.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::collections::BTreeSet;

/// How decisions are watched after they were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitoringSettings {
    /// Share of a version's decisions that people may override before it is flagged; above 0, at most 1.
    pub override_rate_max: f64,
    /// Outcomes of `decisions.outcomes` that the bank wanted. What is in neither list counts in no bad rate.
    pub good_outcomes: BTreeSet<String>,
    /// Those that it did not.
    pub bad_outcomes: BTreeSet<String>,
}

impl Default for MonitoringSettings {
    fn default() -> MonitoringSettings {
        MonitoringSettings {
            override_rate_max: 0.05,
            good_outcomes: ["paid"].map(String::from).into(),
            bad_outcomes: ["defaulted", "fraud"].map(String::from).into(),
        }
    }
}

/// Most entries of a list: as many outcomes as there may be.
const MAX_ENTRIES: usize = 100;

impl MonitoringSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("override_rate_max", "Share of a version's decisions that people may override before it is flagged"),
        ("good_outcomes", "Of decisions.outcomes those that were wanted; in neither list: in no bad rate"),
        ("bad_outcomes", "Those that were not"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// A limit that is no share; a list that is too long; an outcome in both lists.
    pub fn check(&self) -> Result<()> {
        let limit = self.override_rate_max;
        if !(limit > 0.0 && limit <= 1.0) {
            return Err(Error::request(format!(
                "monitoring.override_rate_max is {limit}; allowed is above 0 and at most 1"
            )));
        }
        for (field, list) in [("good_outcomes", &self.good_outcomes), ("bad_outcomes", &self.bad_outcomes)] {
            if list.len() > MAX_ENTRIES {
                let n = list.len();
                return Err(Error::request(format!("monitoring.{field} has {n} entries; allowed is {MAX_ENTRIES}")));
            }
        }
        match self.good_outcomes.intersection(&self.bad_outcomes).next() {
            None => Ok(()),
            Some(both) => {
                let shown: String = both.chars().take(64).collect();
                Err(Error::request(format!(
                    "monitoring: «{shown}» is in good_outcomes and bad_outcomes; allowed is one of them"
                )))
            }
        }
    }
}
