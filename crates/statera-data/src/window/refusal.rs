//! Why an event or a label is not taken; the state is untouched then.

use crate::table::iso;
use statera_core::Error;
use std::fmt;

/// What is wrong with an event or a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A later event of the same key was taken before: of one key events come in the order (time, id).
    OutOfOrder {
        /// The event.
        id: String,
        /// The columns of the key.
        key: String,
        /// Its time, microseconds UTC.
        time: i64,
        /// Time of the key's last event.
        last: i64,
    },
    /// The event was taken before.
    Duplicate {
        /// The event.
        id: String,
    },
    /// The event has a time that has not come.
    Future {
        /// The event.
        id: String,
        /// Its time.
        time: i64,
        /// The latest time that is taken.
        latest: i64,
    },
    /// An edge of a network has a time that has not come.
    FutureEdge {
        /// Its row, from 1.
        row: usize,
        /// Its time.
        time: i64,
        /// The latest time that is taken.
        latest: i64,
    },
    /// The event is older than what windows still know of.
    FarPast {
        /// The event.
        id: String,
        /// Its time.
        time: i64,
        /// The earliest time that is taken.
        earliest: i64,
    },
    /// A number that is not taken.
    Number {
        /// The column.
        column: String,
        /// The cell.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The key has too many events in its longest window.
    TooManyEvents {
        /// The columns of the key.
        key: String,
        /// The limit.
        limit: u32,
    },
    /// There are too many keys, all in use.
    TooManyKeys {
        /// The columns of the key.
        key: String,
        /// The limit.
        limit: u32,
    },
    /// There are too many nodes of a network, and none was found that may be forgotten.
    TooManyNodes {
        /// The limit.
        limit: u32,
    },
    /// There are too many edges of a network, and none was found that its windows have left.
    TooManyEdges {
        /// The limit.
        limit: u32,
    },
    /// A label of an event that is not known, or not any more.
    Unknown {
        /// The event.
        id: String,
    },
    /// A label that says the contrary of an earlier one.
    Disagreement {
        /// The event.
        id: String,
        /// True if the label that holds says fraud.
        holds: bool,
    },
    /// A label that was known before its event.
    EarlyLabel {
        /// The event.
        id: String,
        /// Time of the event.
        time: i64,
        /// When the label is said to have become known.
        when: i64,
    },
    /// A definition without a label has no use for labels.
    NoLabel,
}

impl Refusal {
    /// A short name, the same in every release, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::OutOfOrder { .. } => "out_of_order",
            Refusal::Duplicate { .. } => "duplicate",
            Refusal::Future { .. } | Refusal::FutureEdge { .. } => "future",
            Refusal::FarPast { .. } => "far_past",
            Refusal::Number { .. } => "number",
            Refusal::TooManyEvents { .. } => "too_many_events",
            Refusal::TooManyKeys { .. } | Refusal::TooManyNodes { .. } => "too_many_keys",
            Refusal::TooManyEdges { .. } => "too_many_edges",
            Refusal::Unknown { .. } => "unknown",
            Refusal::Disagreement { .. } => "disagreement",
            Refusal::EarlyLabel { .. } => "early_label",
            Refusal::NoLabel => "no_label",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OutOfOrder { id, key, time, last } => write!(
                f,
                "event «{id}» of {} comes after one of {} of the same {key}; allowed is the order of time, then id",
                iso(*time),
                iso(*last)
            ),
            Refusal::Duplicate { id } => write!(f, "event «{id}» was taken before; allowed is each id once"),
            Refusal::Future { id, time, latest } => {
                write!(f, "event «{id}» has the time {}; allowed is until {}", iso(*time), iso(*latest))
            }
            Refusal::FutureEdge { row, time, latest } => {
                write!(f, "row {row}: the edge has the time {}; allowed is until {}", iso(*time), iso(*latest))
            }
            Refusal::FarPast { id, time, earliest } => {
                write!(f, "event «{id}» has the time {}; allowed is from {}", iso(*time), iso(*earliest))
            }
            Refusal::Number { column, value, allowed } => {
                write!(f, "column «{column}»: {value} is not allowed; allowed is {allowed}")
            }
            Refusal::TooManyEvents { key, limit } => {
                write!(f, "one {key} has {limit} events in its longest window; allowed are fewer")
            }
            Refusal::TooManyKeys { key, limit } => {
                write!(f, "{limit} different {key} are kept and none is idle; allowed are no more")
            }
            Refusal::TooManyNodes { limit } => {
                write!(
                    f,
                    "{limit} different nodes of the network are kept and none was found idle; allowed are no more, ask again"
                )
            }
            Refusal::TooManyEdges { limit } => {
                write!(
                    f,
                    "{limit} edges of the network are kept and none was found that its windows have left; allowed are no more, ask again"
                )
            }
            Refusal::Unknown { id } => {
                write!(f, "no event «{id}» is known, or none that a label could still matter for")
            }
            Refusal::Disagreement { id, holds } => {
                let word = |fraud: bool| if fraud { "fraud" } else { "genuine" };
                write!(f, "event «{id}» has the label {} already; {} disagrees with it", word(*holds), word(!holds))
            }
            Refusal::EarlyLabel { id, time, when } => {
                write!(f, "event «{id}» is of {}; its label cannot have been known at {}", iso(*time), iso(*when))
            }
            Refusal::NoLabel => f.write_str("the windows have no label; declare windows.label"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::TooManyKeys { .. } | Refusal::TooManyNodes { .. } | Refusal::TooManyEdges { .. } => {
                Error::busy(refusal.to_string())
            }
            Refusal::Duplicate { .. } | Refusal::Disagreement { .. } => Error::conflict(refusal.to_string()),
            Refusal::Unknown { .. } => Error::not_found(refusal.to_string()),
            Refusal::NoLabel => Error::request(refusal.to_string()),
            _ => Error::data(refusal.to_string()),
        }
    }
}
