//! The preparer: from raw columns to the features of a learner's form, fitted on training rows only.
//!
//! Four kinds of nothing stay apart. A *missing* cell is NaN or [`CODE_MISSING`](statera_core::CODE_MISSING); an *unknown* level has a code of its
//! own; *rare* levels share one; a *sentinel* keeps its number in the form `Codes` and becomes an indicator in `Dense`.
//! A fitted preparer is plain data: it is stored in the bundle and gives the same bits for a row alone or in a batch.

mod cell;
mod fit;
mod transform;

pub use cell::{category_cells, number_cells, time_cells};

use serde::{Deserialize, Serialize};
use statera_core::{FeatureSpec, Form, FrameSpec, Kind, Sequence};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How to prepare. Data go to [`Preparer::fit`] only.
#[derive(Debug, Clone)]
pub struct PreparerParams {
    /// What the learner wants.
    pub form: Form,
    /// Raw columns that become features, with their kinds (number, category or time), in order.
    pub columns: Vec<(String, Kind)>,
    /// Share of training rows cut off at each end of every number, in [0, 0.5); `None` leaves tails alone.
    pub winsorize: Option<f64>,
    /// A level with less weight than this among the training rows is rare. Default 10.
    pub rare_rows: f64,
    /// At most this many levels of a column stand alone, the most frequent ones. Default 256.
    pub max_levels: usize,
    /// Sentinels by column: cells that stand for something else than their value.
    pub sentinels: BTreeMap<String, Vec<String>>,
    /// Required direction of the margin by column, 1 rising or -1 falling.
    pub monotone: BTreeMap<String, i8>,
    /// Zone in which date parts are taken; IANA name.
    pub tz: String,
    /// The column that tells when a row was observed; other times are measured back from it.
    pub as_of: Option<String>,
    /// Number columns that are the steps of sequences: by name, the earliest step first.
    pub sequences: BTreeMap<String, Vec<Vec<String>>>,
    /// Lines, and points of a line, of those sequences that are images.
    pub grids: BTreeMap<String, [usize; 2]>,
    /// Neighbours of a node and of each of these, of those sequences that are neighbourhoods.
    pub fans: BTreeMap<String, [usize; 2]>,
}

impl Default for PreparerParams {
    fn default() -> Self {
        PreparerParams {
            form: Form::Codes,
            columns: Vec::new(),
            winsorize: None,
            rare_rows: 10.0,
            max_levels: 256,
            sentinels: BTreeMap::new(),
            monotone: BTreeMap::new(),
            tz: "UTC".into(),
            as_of: None,
            sequences: BTreeMap::new(),
            grids: BTreeMap::new(),
            fans: BTreeMap::new(),
        }
    }
}

/// A part of a date that may tell something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatePart {
    /// 1 … 12.
    Month,
    /// 1 … 31.
    Day,
    /// 1 (Monday) … 7.
    Weekday,
    /// 0 … 23; only where training rows have times of day.
    Hour,
    /// Days from this time to the row's observation.
    DaysBefore,
}

impl DatePart {
    fn name(self) -> &'static str {
        match self {
            DatePart::Month => "month",
            DatePart::Day => "day",
            DatePart::Weekday => "weekday",
            DatePart::Hour => "hour",
            DatePart::DaysBefore => "days before",
        }
    }
}

/// What was learnt of one number column (a raw number or a date part).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberPlan {
    /// Values below are raised to it and values above lowered, where winsorizing was asked for.
    pub limits: Option<[f64; 2]>,
    /// Ascending; these cells are not amounts.
    pub sentinels: Vec<f64>,
    /// True if a training cell was missing: the form `Dense` then has an indicator.
    pub has_missing: bool,
    /// Weighted median of the training cells that are amounts; stands in for the others in the form `Dense`.
    pub median: f64,
    /// Weighted mean after filling; subtracted in the form `Dense`.
    pub mean: f64,
    /// Weighted standard deviation after filling, 1 for a constant column; divides in the form `Dense`.
    pub sd: f64,
}

/// What was learnt of one raw column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnPlan {
    /// A number.
    Number(NumberPlan),
    /// Levels in code order (most weight first, then by name), and whether missing and rare cells were seen.
    Category {
        /// Levels that stand alone.
        levels: Vec<String>,
        /// Levels that share the code for rare ones, sorted.
        rare: Vec<String>,
        /// True if a training cell was missing.
        has_missing: bool,
    },
    /// A time, as its parts.
    Time(Vec<(DatePart, NumberPlan)>),
}

/// A fitted preparer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparer {
    form: Form,
    tz: String,
    as_of: Option<String>,
    raw_columns: Vec<String>,
    plans: Vec<ColumnPlan>,
    monotone: Vec<i8>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sequences: BTreeMap<String, Vec<Vec<String>>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    grids: BTreeMap<String, [usize; 2]>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fans: BTreeMap<String, [usize; 2]>,
    #[serde(skip)]
    derived: Derived,
}

/// What follows from the stored fields, computed once.
#[derive(Debug, Clone, Default)]
struct Derived {
    spec: Arc<FrameSpec>,
    codes: Vec<HashMap<String, u32>>,
    zone: Option<jiff::tz::TimeZone>,
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Preparer {
    /// The features it makes.
    pub fn spec(&self) -> &Arc<FrameSpec> {
        &self.derived.spec
    }
    /// The form it makes.
    pub fn form(&self) -> Form {
        self.form
    }
    /// The raw columns it reads, besides the observation time.
    pub fn raw_columns(&self) -> &[String] {
        &self.raw_columns
    }
    /// What was learnt of each raw column.
    pub fn plans(&self) -> &[ColumnPlan] {
        &self.plans
    }

    /// A fitted preparer from its stored JSON.
    ///
    /// # Errors
    /// A field that is unknown, missing or out of range.
    pub fn from_json(text: &str) -> statera_core::Result<Preparer> {
        let mut preparer: Preparer =
            serde_json::from_str(text).map_err(|e| statera_core::Error::damaged(format!("preparer.json: {e}")))?;
        preparer.validate()?;
        preparer.derive()?;
        Ok(preparer)
    }

    fn validate(&self) -> statera_core::Result<()> {
        let n = self.raw_columns.len();
        let sizes = self.plans.len() == n && self.monotone.len() == n;
        let scales = self.plans.iter().all(|plan| match plan {
            ColumnPlan::Number(p) => p.sd > 0.0,
            ColumnPlan::Category { .. } => true,
            ColumnPlan::Time(parts) => parts.iter().all(|(_, p)| p.sd > 0.0),
        });
        if sizes && scales {
            Ok(())
        } else {
            Err(statera_core::Error::damaged("preparer.json: its columns do not fit together"))
        }
    }

    /// Computes the features, level codes and zone from the stored fields.
    fn derive(&mut self) -> statera_core::Result<()> {
        let zone = jiff::tz::TimeZone::get(&self.tz).map_err(|_| {
            statera_core::Error::request(format!(
                "time zone «{}» is not known; use an IANA name such as Asia/Seoul",
                self.tz
            ))
        })?;
        let mut features = Vec::new();
        let mut codes = Vec::new();
        for (raw, (name, plan)) in self.raw_columns.iter().zip(&self.plans).enumerate() {
            let number = |name: String, plan: &NumberPlan, monotone: i8| FeatureSpec {
                name,
                raw,
                levels: None,
                sentinels: plan.sentinels.clone(),
                monotone,
            };
            let flag = |name: String| FeatureSpec { name, raw, levels: None, sentinels: Vec::new(), monotone: 0 };
            let mut table = HashMap::new();
            match (plan, self.form) {
                (ColumnPlan::Number(p), Form::Codes) => features.push(number(name.clone(), p, self.monotone[raw])),
                (ColumnPlan::Number(p), Form::Dense) => {
                    features.push(FeatureSpec { sentinels: Vec::new(), ..number(name.clone(), p, self.monotone[raw]) });
                    features.extend(indicators(name, p).map(flag));
                }
                (ColumnPlan::Category { levels, .. }, Form::Codes) => features.push(FeatureSpec {
                    name: name.clone(),
                    raw,
                    levels: Some(levels.clone()),
                    sentinels: Vec::new(),
                    monotone: 0,
                }),
                (ColumnPlan::Category { levels, rare, has_missing }, Form::Dense) => {
                    features.extend(levels.iter().map(|level| flag(format!("{name} = {level}"))));
                    features.extend((!rare.is_empty()).then(|| flag(format!("{name} is rare"))));
                    features.extend(has_missing.then(|| flag(format!("{name} is missing"))));
                }
                (ColumnPlan::Time(parts), form) => {
                    for (part, p) in parts {
                        let part_name = format!("{name} {}", part.name());
                        features.push(number(part_name.clone(), p, 0));
                        if form == Form::Dense {
                            features.extend(indicators(&part_name, p).map(flag));
                        }
                    }
                }
            }
            if let ColumnPlan::Category { levels, rare, .. } = plan {
                for (i, level) in levels.iter().enumerate() {
                    table.insert(level.clone(), statera_core::FIRST_LEVEL + i as u32);
                }
                for level in rare {
                    table.insert(level.clone(), statera_core::CODE_RARE);
                }
            }
            codes.push(table);
        }
        let sequences = self.sequences_of(&features)?;
        let spec = Arc::new(FrameSpec { features, raw_columns: self.raw_columns.clone(), sequences });
        self.derived = Derived { spec, codes, zone: Some(zone) };
        Ok(())
    }
}

impl Preparer {
    /// The sequences by feature index; in the form `Dense` there are none, because it scales and fills cells.
    fn sequences_of(&self, features: &[FeatureSpec]) -> statera_core::Result<Vec<Sequence>> {
        if self.form == Form::Dense {
            return Ok(Vec::new());
        }
        let numbers = features.iter().enumerate().filter(|(_, f)| f.levels.is_none());
        let places: HashMap<&str, usize> = numbers.map(|(i, f)| (f.name.as_str(), i)).collect();
        let find = |name: &str, column: &String| {
            places.get(column.as_str()).copied().ok_or_else(|| {
                statera_core::Error::request(format!("sequence «{name}»: column «{column}» is no number feature"))
            })
        };
        let sequence = |(name, steps): (&String, &Vec<Vec<String>>)| {
            let step = |columns: &Vec<String>| columns.iter().map(|c| find(name, c)).collect();
            let steps = steps.iter().map(step).collect::<statera_core::Result<_>>()?;
            let [grid, fans] = [&self.grids, &self.fans].map(|sizes| sizes.get(name).copied());
            Ok(Sequence { name: name.clone(), steps, grid, fans })
        };
        self.sequences.iter().map(sequence).collect()
    }
}

/// Names of the indicator features that go with a number in the form `Dense`.
fn indicators<'a>(name: &'a str, plan: &'a NumberPlan) -> impl Iterator<Item = String> + 'a {
    let missing = plan.has_missing.then(|| format!("{name} is missing"));
    missing.into_iter().chain(plan.sentinels.iter().map(move |s| format!("{name} = {s}")))
}
