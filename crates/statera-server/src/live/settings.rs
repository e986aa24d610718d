//! `[transactions]` of `server.toml`.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::window::{Limits, WhenFull};
use std::collections::BTreeSet;

/// Seconds by which a transaction may be behind the latest of all, whatever the settings: a year.
const BEHIND_MAX_S: u32 = 31_536_000;
/// Seconds by which a replay keeps edges longer than the settings have it, so that figures of what was admitted under somewhat wider
/// ones are the recorded ones: a day.
const REPLAY_MARGIN_S: u32 = 86_400;

/// Transactions that are scored as they happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransactionsSettings {
    /// Seconds between two snapshots of a state, 1 to 86,400: what came after the last is replayed at a start.
    pub snapshot_s: u64,
    /// Transactions that are taken and not on disk yet, by model, at most, 1 to 100,000; one more is refused with 503.
    pub in_flight: usize,
    /// Keys of a kind that a state keeps, 1 to 16,000,000; a new one is refused while none is idle.
    pub max_keys: u32,
    /// Edges of a network that a state keeps, once for each choice of kinds that they are in, 1 to 200,000,000; another is refused
    /// while all are in a window.
    pub max_edges: u32,
    /// Seconds by which a transaction may be ahead of the clock, at most 86,400.
    pub ahead_s: u32,
    /// Seconds by which one may be behind the latest of all, at most 31,536,000.
    pub behind_s: u32,
    /// Outcomes that say that a transaction was a fraud.
    pub fraud: BTreeSet<String>,
    /// Outcomes that say that it was none.
    pub genuine: BTreeSet<String>,
}

impl Default for TransactionsSettings {
    fn default() -> TransactionsSettings {
        TransactionsSettings {
            snapshot_s: 300,
            in_flight: 1_024,
            max_keys: 2_000_000,
            max_edges: 20_000_000,
            ahead_s: 300,
            behind_s: 86_400,
            fraud: ["fraud"].map(String::from).into(),
            genuine: ["genuine"].map(String::from).into(),
        }
    }
}

impl TransactionsSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("snapshot_s", "Seconds between two snapshots of a state; what came after the last is replayed at a start"),
        ("in_flight", "Transactions that are taken and not on disk yet, by model; more are answered 503"),
        ("max_keys", "Cards, terminals, … that a state keeps, of each kind; a new one is refused while none is idle"),
        ("max_edges", "Edges of a network that a state keeps; another is refused while all are in a window"),
        ("ahead_s", "Seconds by which a transaction may be ahead of the clock"),
        ("behind_s", "Seconds by which one may be behind the latest of all"),
        ("fraud", "Outcomes that say that a transaction was a fraud"),
        ("genuine", "Outcomes that say that it was none"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range; an outcome that says both.
    pub fn check(&self) -> Result<()> {
        let limits = [
            ("snapshot_s", self.snapshot_s, 1..=86_400),
            ("in_flight", self.in_flight as u64, 1..=100_000),
            ("max_keys", self.max_keys.into(), 1..=16_000_000),
            ("max_edges", self.max_edges.into(), 1..=200_000_000),
            ("ahead_s", self.ahead_s.into(), 0..=86_400),
            ("behind_s", self.behind_s.into(), 0..=u64::from(BEHIND_MAX_S)),
        ];
        if let Some((name, value, allowed)) = limits.iter().find(|(_, value, allowed)| !allowed.contains(value)) {
            let (least, most) = (allowed.start(), allowed.end());
            return Err(Error::request(format!("transactions.{name} is {value}; allowed is {least} to {most}")));
        }
        match self.fraud.intersection(&self.genuine).next() {
            None => Ok(()),
            Some(both) => Err(Error::request(format!(
                "transactions.genuine: «{both}» says fraud, too; allowed: each outcome in one of the lists"
            ))),
        }
    }

    /// What an outcome says of a transaction: fraud or genuine, or neither.
    pub fn label(&self, outcome: &str) -> Option<bool> {
        if self.fraud.contains(outcome) { Some(true) } else { self.genuine.contains(outcome).then_some(false) }
    }

    /// Bounds of a state while what was admitted once is counted again: none but that idle keys are forgotten, later than any
    /// settings would have had it.
    pub(super) fn replay_limits(&self) -> Limits {
        Limits {
            max_keys: u32::MAX,
            max_ahead: i64::MAX,
            max_behind: i64::from(BEHIND_MAX_S) * 1_000_000,
            ..self.limits()
        }
    }

    /// Microseconds by which a transaction may be behind that sees all edges, while what was admitted once is counted again.
    pub(super) fn kept_behind(&self) -> i64 {
        (i64::from(self.behind_s) + i64::from(REPLAY_MARGIN_S)) * 1_000_000
    }

    /// Bounds of a state.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_keys: self.max_keys,
            when_full: WhenFull::Refuse,
            max_ahead: i64::from(self.ahead_s) * 1_000_000,
            max_behind: i64::from(self.behind_s) * 1_000_000,
        }
    }
}
