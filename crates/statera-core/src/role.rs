//! What a column is and what it is for.

use serde::{Deserialize, Serialize};

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An amount, a count, a ratio: stored as `i64`, `f64` or `Decimal128`.
    Number,
    /// One of a limited set of levels, stored as text.
    Category,
    /// A date or an instant, stored as microseconds UTC.
    Time,
    /// Free text.
    Text,
    /// A key of a row, person or account; never a feature.
    Identifier,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Number, Kind::Category, Kind::Time, Kind::Text, Kind::Identifier];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Number => "number",
            Kind::Category => "category",
            Kind::Time => "time",
            Kind::Text => "text",
            Kind::Identifier => "identifier",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// What a column is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The model sees it.
    Feature,
    /// What is predicted.
    Target,
    /// Names the row in outputs.
    Id,
    /// When the row was observed; orders splits.
    Time,
    /// Rows of one group stay on one side of a split.
    Group,
    /// How much the row counts, non-negative.
    Weight,
    /// Money at stake in the row.
    Amount,
    /// The bank's present score.
    Baseline,
    /// Known for fairness figures, never a feature.
    Protected,
    /// Not used.
    Ignored,
}
