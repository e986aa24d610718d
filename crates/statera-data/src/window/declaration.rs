//! The declaration of windowed features, as the `[windows]` table of a project file and the bundle's `windows.toml` write it.

use super::span::Span;
use crate::declared::{each_once, step_columns};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;

/// What is counted of events, over which time, by which keys. [`Definition`](super::Definition) is what comes out when it is
/// checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// The column with the time of an event; of one key events are in the order (time, id).
    pub time: String,
    /// The column that names an event; whole numbers are in the order of their size, texts in the order of a hash of them.
    pub id: String,
    /// The column that tells a fraud, 1 or 0; read by features with `shift = "label"` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The value of the label that is the event; without it 1, 1.0 and true are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// How long after an event its label is taken to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_delay: Option<Span>,
    /// The column with the time at which a label became known, where it may be later than the delay says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_time: Option<String>,
    /// Limits of number columns, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub number: BTreeMap<String, NumberColumn>,
    /// The features.
    #[serde(default, rename = "feature", skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// The last events of a key, as steps.
    #[serde(default, rename = "sequence", skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<Steps>,
}

/// How the cells of a number column are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberColumn {
    /// Digits after the point, 0 to 6: sums are of whole numbers of that unit, and exact. Without it those of the training
    /// table's column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
    /// The least number that is taken; without it there is only the limit of the fixed point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
}

/// Figures of one column by one key over some windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Columns whose cells together name whose events are counted, 1 to 3.
    #[serde(with = "one_or_many")]
    pub key: Vec<String>,
    /// The column; `count` and `since_last` need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The level whose `share` is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The figures.
    pub what: Vec<What>,
    /// The windows: with `7d`, the events of (t − 7 days, t].
    pub over: Vec<Span>,
    /// False leaves the event itself out.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub current: bool,
    /// Moves the window back: by the label delay (`"label"`) or by a length of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// Keeps events in tiles of that length, which divides every window: windows are rounded to tiles then, and memory is
    /// bounded by the tiles of a key, however many its events. Without it every event is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Span>,
}

/// The last events of a key as the steps of a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Name of the sequence; its columns are NAME_COLUMN_1 (the earliest step) to NAME_COLUMN_N (the event itself).
    pub name: String,
    /// As that of a feature.
    #[serde(with = "one_or_many")]
    pub key: Vec<String>,
    /// Number columns, and `since_last` for the seconds since the step before.
    pub of: Vec<String>,
    /// Steps, 2 to 100; where there are fewer events the earliest steps are missing.
    pub steps: usize,
    /// How far back steps reach.
    pub within: Span,
}

/// The seconds since the step before, among the columns of a step.
pub const SINCE_LAST: &str = "since_last";

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Events.
    Count,
    /// Of the present numbers; 0 of none.
    Sum,
    /// Of the present numbers; missing of none. Of the label: known frauds a event, 0 of none.
    Mean,
    /// Standard deviation with n − 1; missing below two numbers.
    Std,
    /// The least number.
    Min,
    /// The largest number.
    Max,
    /// Different cells that are present.
    Distinct,
    /// Seconds since the event before; missing if there is none in the window.
    SinceLast,
    /// The event's number over the mean of the window; missing where that is 0.
    RatioToMean,
    /// Events with that level over all events.
    Share,
}

impl What {
    /// Its word in declarations and names of columns.
    pub fn name(self) -> &'static str {
        match self {
            What::Count => "count",
            What::Sum => "sum",
            What::Mean => "mean",
            What::Std => "std",
            What::Min => "min",
            What::Max => "max",
            What::Distinct => "distinct",
            What::SinceLast => SINCE_LAST,
            What::RatioToMean => "ratio_to_mean",
            What::Share => "share",
        }
    }

    /// True if it is of events, whatever their cells.
    pub(super) fn is_of_events(self) -> bool {
        matches!(self, What::Count | What::SinceLast)
    }

    /// True if it is of a column of any kind.
    pub(super) fn is_of_levels(self) -> bool {
        matches!(self, What::Distinct | What::Share)
    }
}

/// How far a window is moved back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Shift {
    /// By the label delay.
    Label,
    /// By that long.
    By(Span),
}

impl TryFrom<String> for Shift {
    type Error = Error;
    fn try_from(text: String) -> Result<Shift> {
        match text.as_str() {
            "label" => Ok(Shift::Label),
            text => Span::parse(text).map(Shift::By).map_err(|e| Error::request(format!("{e}, and label"))),
        }
    }
}

impl From<Shift> for String {
    fn from(shift: Shift) -> String {
        shift.to_string()
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shift::Label => f.write_str("label"),
            Shift::By(span) => span.fmt(f),
        }
    }
}

/// The name of a feature's column. Every place that names one asks here.
///
/// `customer_id_tx_amount_mean_7d`; `customer_id_count_7d`; `terminal_id_tx_fraud_mean_7d_shifted` and
/// `terminal_id_count_7d_shifted_1d` of windows that are moved back; `customer_id_tx_amount_max_7d_before` without the event
/// itself; `customer_id_channel_share_online_7d` of a level.
pub fn column_name(feature: &Feature, what: What, over: Span) -> String {
    let mut parts = feature.key.clone();
    parts.extend(feature.of.clone().filter(|_| !what.is_of_events()));
    parts.push(what.name().into());
    parts.extend(feature.level.clone().filter(|_| what == What::Share));
    parts.push(over.to_string());
    match feature.shift {
        Some(Shift::Label) => parts.push("shifted".into()),
        Some(Shift::By(span)) => parts.push(format!("shifted_{span}")),
        None if !feature.current && what != What::SinceLast => parts.push("before".into()),
        None => {}
    }
    parts.join("_")
}

/// The name of a step's column; `step` counts from 1, the earliest.
pub fn step_name(sequence: &str, column: &str, step: usize) -> String {
    format!("{sequence}_{column}_{step}")
}

impl Windows {
    /// Names of all columns that it makes, in their order: feature by feature, then sequence by sequence, step by step.
    pub fn column_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for feature in &self.features {
            for what in &feature.what {
                names.extend(feature.over.iter().map(|over| column_name(feature, *what, *over)));
            }
        }
        names.extend(self.sequences.iter().flat_map(|s| s.columns().into_iter().flatten()));
        names
    }

    /// Names of the columns that it reads, each once.
    pub fn inputs(&self) -> Vec<&str> {
        let own = [Some(&self.time), Some(&self.id), self.label.as_ref(), self.label_time.as_ref()];
        let features = self.features.iter().flat_map(|f| f.key.iter().chain(&f.of));
        let steps = self.sequences.iter().flat_map(|s| s.key.iter().chain(s.of.iter().filter(|c| *c != SINCE_LAST)));
        each_once(own.into_iter().flatten().chain(features).chain(steps).map(String::as_str))
    }
}

impl Steps {
    /// The columns of each step, the earliest first.
    pub fn columns(&self) -> Vec<Vec<String>> {
        let of: Vec<&str> = self.of.iter().map(String::as_str).collect();
        step_columns(&self.name, &of, self.steps)
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// A column or a list of columns.
mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a column or a list of columns")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        Ok(match OneOrMany::deserialize(from)? {
            OneOrMany::One(column) => vec![column],
            OneOrMany::Many(columns) => columns,
        })
    }

    pub fn serialize<S: Serializer>(columns: &[String], to: S) -> Result<S::Ok, S::Error> {
        columns.serialize(to)
    }
}
