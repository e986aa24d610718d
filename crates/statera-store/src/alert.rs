//! Alerts: suspicious decisions of one card, gathered to a case that a person works on.
//!
//! A case is opened, grows and is worked on in the transactions that write the records of it, so that it is there exactly when
//! they are. Of a model and a card one case is open at a time. The tables hold what a queue is sorted by: the card as a keyed
//! hash, and how much is at stake; they are no part of the ledger and go when the card's subject is erased. What people do is a
//! record each, and stays.

use crate::record::Id;
use serde::{Deserialize, Serialize};

/// Most that a decision puts at stake.
pub const RISK_MAX: i64 = 10_000_000_000_000_000;
/// Decisions of a case that count for its risk: those with the most at stake. So many at the most fit a whole number.
pub(crate) const RISKS: i64 = 900;
/// Decisions of a case that are counted and listed at most.
pub const SUSPECTS_MAX: usize = 1_000;
/// Cases that are counted at most.
pub const COUNT_MAX: u64 = 100_000;
/// Keys of a case by which neighbours are looked for, and cases of each key that are looked at.
pub(crate) const KEYS: i64 = 16;
pub(crate) const CASES_OF_KEY: i64 = 500;
/// Keys that one decision may bring.
pub(crate) const KEYS_OF_ONE: usize = 8;

/// What a record does to alerts.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertChange {
    /// The decision is suspicious: it opens a case of its card, or joins the one that is open.
    Suspect(Suspicion),
    /// The decision that the record follows is answered: its case does not wait for it any more.
    Answer,
    /// A step of work on the case that the record follows. `Conflict` if another step was taken since, if the case is closed, or
    /// if the step closes it and a decision of it waits for an answer.
    Step(Step),
}

/// A suspicious decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// The model.
    pub model: String,
    /// Whose, as the bank names them; the store has a keyed hash of it.
    pub card: String,
    /// How much is at stake, from 0 to [`RISK_MAX`]; in which unit is the caller's matter. Cases are in the order of its sum.
    pub risk: i64,
    /// By what it may be linked with others (name and value: the terminal, the device), at most eight; values are stored as
    /// keyed hashes.
    pub keys: Vec<(String, String)>,
}

/// A step of work: how the case stands after it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From 1, without a gap: of two who take the same step at once one is refused.
    pub number: u32,
    /// Who works on it from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned: Option<String>,
    /// It is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Verdict>,
}

/// What a case was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A fraud.
    Confirmed,
    /// None.
    Dismissed,
}

impl Verdict {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Confirmed => "confirmed",
            Verdict::Dismissed => "dismissed",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Verdict> {
        [Verdict::Confirmed, Verdict::Dismissed].into_iter().find(|v| v.name() == name)
    }
}

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name: that of the decision that opened it.
    pub id: Id,
    /// The model.
    pub model: String,
    /// When the first of its decisions was recorded, microseconds since 1970 UTC.
    pub opened_us: i64,
    /// When the last was.
    pub last_us: i64,
    /// What the decisions that wait for an answer put at stake together.
    pub risk: i64,
    /// How many wait, at most [`SUSPECTS_MAX`].
    pub n_waiting: u32,
    /// Who works on it.
    pub assigned: Option<String>,
    /// What it was found to be, and when.
    pub closed: Option<(Verdict, i64)>,
    /// Steps that were taken.
    pub steps: u32,
}

/// A decision of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// Its record.
    pub record: Id,
    /// What it puts at stake.
    pub risk: i64,
    /// True once an outcome has answered it.
    pub is_answered: bool,
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    Assigned,
    /// It was confirmed or dismissed.
    Closed,
}

/// Which cases are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct CaseQuery<'a> {
    /// Of one model.
    pub model: Option<&'a str>,
    /// In one state; none: open or assigned.
    pub state: Option<CaseState>,
    /// Open ones whose last decision is older are left out, microseconds since 1970 UTC.
    pub since_us: i64,
    /// At most.
    pub limit: usize,
    /// Those alone that come after this place in their order: what a case has at stake, or when it was closed, and its name.
    pub after: Option<(i64, Id)>,
}

/// Cases: those with the most at stake first, closed ones by when they were closed, the last first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cases {
    /// The first of them.
    pub cases: Vec<Case>,
    /// How many there are after the place that was asked for, at most [`COUNT_MAX`].
    pub n_all: u64,
}

/// A case that is linked with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The other.
    pub case: Case,
    /// Names of the keys that both have.
    pub shared: Vec<String>,
}

/// How the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaseCounts {
    /// Cases that wait and nobody works on, at most [`COUNT_MAX`].
    pub open: u64,
    /// Cases that somebody works on, at most [`COUNT_MAX`].
    pub assigned: u64,
    /// When the oldest of both was opened, microseconds since 1970 UTC.
    pub oldest_us: Option<i64>,
    /// Opened since a time.
    pub opened: u64,
    /// Confirmed since then.
    pub confirmed: u64,
    /// Dismissed since then.
    pub dismissed: u64,
}
