//! The project file as it is written: the structs of the edge. [`super::Project`] is what comes out when they are checked.

use super::images::ImageColumns;
use super::settings::{Mitigation, Prefer, RejectInference, Sensitivity, UseCase};
use serde::Deserialize;
use statera_core::Kind;
use statera_data::network::Network;
use statera_data::window::Windows;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectFile {
    #[serde(default)]
    pub use_case: UseCase,
    #[serde(default = "credit")]
    pub purpose: String,
    pub tz: Option<String>,
    pub sources: BTreeMap<String, String>,
    pub main: MainFile,
    #[serde(default, rename = "join")]
    pub joins: Vec<JoinFile>,
    pub outcome: Option<OutcomeFile>,
    #[serde(default, rename = "exclude")]
    pub exclusions: Vec<ExclusionFile>,
    #[serde(default)]
    pub roles: RolesFile,
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnFile>,
    #[serde(default, rename = "sequence")]
    pub sequences: BTreeMap<String, SequenceFile>,
    #[serde(default, rename = "image")]
    pub images: BTreeMap<String, ImageColumns>,
    #[serde(default)]
    pub split: SplitFile,
    #[serde(default)]
    pub candidates: CandidatesFile,
    #[serde(default)]
    pub policy: PolicyFile,
    pub rejects: Option<RejectsFile>,
    pub windows: Option<Windows>,
    pub network: Option<Network>,
}

fn credit() -> String {
    "credit".into()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MainFile {
    pub source: String,
    pub key: Option<OneOrMany>,
    pub date: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinFile {
    pub source: String,
    pub on: On,
    pub date: Option<String>,
    #[serde(default)]
    pub lag_days: u32,
    pub columns: Vec<String>,
    #[serde(default)]
    pub prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeFile {
    pub source: String,
    pub on: On,
    pub date: String,
    pub bad: String,
    pub indeterminate: Option<String>,
    pub indeterminate_weight: Option<f64>,
    pub performance_months: Option<u32>,
    pub data_until: Option<String>,
    #[serde(default)]
    pub no_rows: NoRows,
    #[serde(default = "bad")]
    pub target: String,
}

fn bad() -> String {
    "bad".into()
}

/// What becomes of a row whose loan has no row in the performance window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoRows {
    /// Its outcome is unknown; it is left out and counted.
    #[default]
    Exclude,
    /// Nothing happened: for performance tables that hold arrears only.
    Good,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExclusionFile {
    pub name: String,
    pub rule: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RolesFile {
    pub target: Option<String>,
    pub positive: Option<Scalar>,
    pub id: Option<String>,
    pub time: Option<String>,
    pub group: Option<String>,
    pub weight: Option<String>,
    pub amount: Option<String>,
    pub card: Option<String>,
    pub terminal: Option<String>,
    pub baseline: Option<String>,
    pub protected: Vec<String>,
    pub drop: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ColumnFile {
    pub kind: Option<Kind>,
    pub missing: Vec<Scalar>,
    pub monotone: Option<i8>,
    pub unit: Option<String>,
    pub purpose: Option<Vec<String>>,
    pub sensitivity: Option<Sensitivity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SequenceFile {
    pub steps: Vec<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SplitFile {
    pub label_delay: Option<String>,
    pub test_share: Option<f64>,
    pub folds: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CandidatesFile {
    pub models: Vec<String>,
    pub prefer: Prefer,
    pub seed: Option<u64>,
    pub winsorize: Option<f64>,
    pub trials: Option<usize>,
    pub budget: Option<String>,
    pub mitigate: Option<Mitigation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicyFile {
    pub cutoff: Option<f64>,
    pub approval_rate: Option<f64>,
    pub capacity: Option<usize>,
    pub review_cost: Option<f64>,
    pub file: Option<String>,
    pub reasons: Option<String>,
    pub rules: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RejectsFile {
    pub source: String,
    pub inference: RejectInference,
    pub factor: Option<f64>,
}

/// A value written with or without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a number, true, false or a text")]
pub(super) enum Scalar {
    Whole(i64),
    Real(f64),
    Truth(bool),
    Text(String),
}

impl Scalar {
    pub fn text(&self) -> String {
        match self {
            Scalar::Whole(v) => v.to_string(),
            Scalar::Real(v) => v.to_string(),
            Scalar::Truth(v) => v.to_string(),
            Scalar::Text(v) => v.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a column or a list of columns")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn list(self) -> Vec<String> {
        match self {
            OneOrMany::One(column) => vec![column],
            OneOrMany::Many(columns) => columns,
        }
    }
}

/// Which columns must be equal: one name, names, or `{ main = "other" }`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a column, a list of columns, or { column of the main table = \"column of the other\" }")]
pub(super) enum On {
    Same(OneOrMany),
    Named(BTreeMap<String, String>),
}

impl On {
    /// Pairs of a column of the main table and one of the other.
    pub fn pairs(self) -> Vec<(String, String)> {
        match self {
            On::Same(columns) => columns.list().into_iter().map(|c| (c.clone(), c)).collect(),
            On::Named(columns) => columns.into_iter().collect(),
        }
    }
}
