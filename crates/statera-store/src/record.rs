//! Decisions and what follows them, as they are kept.

use crate::act::Actor;
use crate::alert::AlertChange;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The name of a record; rises with time (UUID version 7), so that tables grow at their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub Uuid);

impl Id {
    /// A new name at a time, in microseconds since 1970 UTC.
    pub fn new(at_us: i64) -> Id {
        let at_us = u64::try_from(at_us).unwrap_or(0);
        let time = uuid::Timestamp::from_unix(uuid::NoContext, at_us / 1_000_000, (at_us % 1_000_000 * 1_000) as u32);
        Id(Uuid::new_v7(time))
    }

    /// The least name that a record of this time, microseconds since 1970 UTC, or of a later one can have.
    pub fn first_at(at_us: i64) -> Id {
        // Names begin with 48 bits of milliseconds.
        let ms = u128::try_from(at_us / 1_000).unwrap_or(0) & ((1 << 48) - 1);
        Id(Uuid::from_u128(ms << 80))
    }

    /// When the name was made, microseconds since 1970 UTC, exact to the millisecond.
    pub fn at_us(self) -> i64 {
        ((self.0.as_u128() >> 80) as i64).saturating_mul(1_000)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for Id {
    type Err = Error;
    fn from_str(text: &str) -> Result<Id> {
        let not = || Error::request(format!("«{text}» is not the id of a record; allowed: a UUID"));
        // Only the one way of writing it that answers have: urn:uuid:… and braces are refused.
        let id = Uuid::try_parse(text).map_err(|_| not())?;
        if text.len() == 36 { Ok(Id(id)) } else { Err(not()) }
    }
}

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A decision about one row or many.
    Decision,
    /// A person decided otherwise.
    Override,
    /// A customer objected; a linked new decision may follow.
    Objection,
    /// What became of it: paid, defaulted, fraud.
    Outcome,
    /// A step of work on the alert that it opened.
    Alert,
    /// Edges of a network that a state of transactions has taken.
    Edges,
}

impl RecordKind {
    /// As the ledger writes it.
    pub fn name(self) -> &'static str {
        match self {
            RecordKind::Decision => "decision",
            RecordKind::Override => "override",
            RecordKind::Objection => "objection",
            RecordKind::Outcome => "outcome",
            RecordKind::Alert => "alert",
            RecordKind::Edges => "edges",
        }
    }

    /// The kind that the ledger writes so; none for a name of no kind.
    pub(crate) fn of_name(name: &str) -> Option<RecordKind> {
        use RecordKind::{Alert, Decision, Edges, Objection, Outcome, Override};
        [Decision, Override, Objection, Outcome, Alert, Edges].into_iter().find(|kind| kind.name() == name)
    }
}

/// The name that a client gives its request, so that it can be sent again without being done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestName {
    /// Whose names these are: the key's prefix or the person.
    pub scope: String,
    /// As the client says; 1 to 128 characters.
    pub name: String,
    /// BLAKE3 of the request's body: another body under the same name is a conflict.
    pub body_digest: [u8; 32],
}

/// Personal data of one subject in a record: encrypted before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Who it is about, as the bank names them. Stored as a keyed hash only. Empty: nobody is named; the record's id stands
    /// in, so that it can be erased by that.
    pub subject: String,
    /// What is kept: UTF-8 JSON of the inputs and what was answered.
    pub plain: Vec<u8>,
}

/// A record to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// Its name.
    pub id: Id,
    /// What it is of.
    pub kind: RecordKind,
    /// The decision that it follows.
    pub of: Option<Id>,
    /// The client's name for the request.
    pub request: Option<RequestName>,
    /// Who asked.
    pub actor: Actor,
    /// Facts without personal data as one line of JSON: model, version, digests of bundle and policy, software, counts. They
    /// stand in the ledger as they are, and stay when a subject is erased.
    pub facts: String,
    /// Personal data.
    pub parts: Vec<Part>,
    /// What it does to alerts.
    pub alert: Option<AlertChange>,
}

/// What came of a submitted record.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// It is on disk.
    New {
        /// Its time in the ledger, microseconds since 1970 UTC.
        at_us: i64,
    },
    /// The same request was recorded before, as this.
    Before(Box<StoredRecord>),
}

/// Called once, on the writer's thread, when a record is on disk or cannot be: it must not block.
pub type Done = Box<dyn FnOnce(Result<Recorded>) + Send>;

/// A part as it is read.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredPart {
    /// Its key exists.
    Plain(Vec<u8>),
    /// The subject was erased at that time, microseconds since 1970 UTC.
    Erased {
        /// When.
        at_us: i64,
    },
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// Its name.
    pub id: Id,
    /// What it is of.
    pub kind: RecordKind,
    /// The decision that it follows.
    pub of: Option<Id>,
    /// When the ledger took it, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Who asked.
    pub actor: Actor,
    /// As given.
    pub facts: String,
    /// As given, or erased, in their order.
    pub parts: Vec<StoredPart>,
    /// The row of the ledger that has it: the chain and the number in it.
    pub ledger: (String, u64),
}

/// A record without its parts: what is known of it without personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordHead {
    /// Its name.
    pub id: Id,
    /// What it is of.
    pub kind: RecordKind,
    /// The decision that it follows.
    pub of: Option<Id>,
    /// When the ledger took it, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Who asked.
    pub actor: Actor,
    /// As given; where the database has read it as JSON, in other white space.
    pub facts: String,
}
