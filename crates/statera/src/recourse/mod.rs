//! Recourse: the smallest plausible change of a row that turns its decision into approve.
//!
//! `recourse.toml` is the bank's own: it lists the columns that a customer can change, in which direction and how far, and
//! rules between columns. What it does not list is history and never changes. The search is in [`search`](Searcher): every
//! answer is plausible, which means that it ends within the reach of an approved background row (see
//! [`crate::background`]), and every answer is scored and decided again before it is shown.
//!
//! After Ustun, Spangher and Liu, "Actionable Recourse in Linear Classification" (2019): actions on a grid under constraints;
//! Poyiadzi et al., "FACE" (2020): a change is of use only where customers really are; Dandl et al., "Multi-Objective
//! Counterfactual Explanations" (2020): Gower's distance, few columns first.

mod answer;
mod column;
mod near;
mod row;
mod search;
mod shrink;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Change, Found, Outcome};
pub use search::{Limit, LimitBy, Searcher};

use crate::project::{Rule, Test};
use crate::reasons::Reasons;
use crate::reference::Distribution;
use crate::scorer::Scorer;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result};
use statera_data::conform::InputColumn;
use statera_data::preparer::ColumnPlan;
use statera_data::toml_text;

/// Name of the file in a bundle, and its place in messages.
pub const RECOURSE_FILE: &str = "recourse.toml";

/// Most columns of an answer: more are no advice.
pub const MAX_CHANGES: usize = 4;
/// Most columns that may be listed, most levels of one, and most rules.
const MAX_COLUMNS: usize = 32;
const MAX_LEVELS: usize = 100;
const MAX_RULES: usize = 32;
/// Longest search, in milliseconds.
const MAX_TIME_MS: u64 = 60_000;
/// Levels that an error lists.
const LISTED: usize = 20;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recourse {
    /// Which file this is; stands beside every answer.
    pub version: String,
    /// Most columns that an answer changes, 1 to 4. Default: 4.
    #[serde(default = "max_changes")]
    pub max_changes: usize,
    /// Longest search for a row in milliseconds, 1 to 60,000. Default: 1,000.
    #[serde(default = "time_limit_ms")]
    pub time_limit_ms: u64,
    /// The columns that a customer can change; all others are history.
    pub change: Vec<Changeable>,
    /// What must hold of a changed row.
    #[serde(default)]
    pub rule: Vec<Keep>,
}

fn max_changes() -> usize {
    MAX_CHANGES
}

fn time_limit_ms() -> u64 {
    1_000
}

/// A column that a customer can change. A missing cell or a sentinel stays what it is: it is no amount that could grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changeable {
    /// A number or a category that the model reads.
    pub column: String,
    /// Where a number may go. Default: either way.
    #[serde(default)]
    pub direction: Direction,
    /// Lowest number that is asked for. Default: the 1st percentile of the training rows.
    pub min: Option<f64>,
    /// Highest number that is asked for. Default: the 99th percentile of the training rows.
    pub max: Option<f64>,
    /// The numbers that are asked for are multiples of it, above 0. Default: 1 of a whole number, the last digit of a decimal, as
    /// finely as the percentiles of the training rows are written of another number.
    pub step: Option<f64>,
    /// Levels that a category may take; none of a number.
    #[serde(default)]
    pub levels: Vec<String>,
}

/// Where a number may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Up only.
    Increase,
    /// Down only.
    Decrease,
    /// Up or down.
    #[default]
    Either,
}

/// A rule of the project file's language, `BILL_AMT1 <= LIMIT_BAL`: a value that is the name of a column means that column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Holds of every answer that changes one of its columns.
    pub keep: String,
}

impl Keep {
    /// The rule.
    ///
    /// # Errors
    /// Anything that is no rule.
    fn rule(&self) -> Result<Rule> {
        Rule::parse(&self.keep)
    }
}

/// The column that a rule compares with, where its value names one.
fn other_column<'a>(rule: &Rule, inputs: &'a [InputColumn]) -> Option<&'a InputColumn> {
    match &rule.test {
        Test::Compare(_, value) => inputs.iter().find(|i| i.name == *value),
        _ => None,
    }
}

impl Recourse {
    /// Reads and checks the text of the file.
    ///
    /// # Errors
    /// Text that is not TOML, unknown keys, numbers outside their ranges, a column that is listed twice, a rule that is none; the
    /// message names the file, the place, the value and what is allowed.
    pub fn parse(text: &str) -> Result<Recourse> {
        let recourse: Recourse = toml_text::read(text, RECOURSE_FILE)?;
        recourse.check().map_err(|e| e.at(RECOURSE_FILE))?;
        Ok(recourse)
    }

    fn check(&self) -> Result<()> {
        if self.version.trim().is_empty() {
            return Err(Error::request("version is empty; it names the recourse beside every answer"));
        }
        if !(1..=MAX_CHANGES).contains(&self.max_changes) {
            let value = self.max_changes;
            return Err(Error::request(format!("max_changes is {value}; allowed: 1 to {MAX_CHANGES}")));
        }
        if !(1..=MAX_TIME_MS).contains(&self.time_limit_ms) {
            let value = self.time_limit_ms;
            return Err(Error::request(format!("time_limit_ms is {value}; allowed: 1 to {MAX_TIME_MS}")));
        }
        for (what, n, least, most) in
            [("change", self.change.len(), 1, MAX_COLUMNS), ("rule", self.rule.len(), 0, MAX_RULES)]
        {
            if !(least..=most).contains(&n) {
                return Err(Error::request(format!("{n} entries of [[{what}]]; allowed: {least} to {most}")));
            }
        }
        for (i, change) in self.change.iter().enumerate() {
            let place = format!("change {} («{}»)", i + 1, change.column);
            if self.change[..i].iter().any(|c| c.column == change.column) {
                return Err(Error::request(format!("{place}: the column is listed twice")));
            }
            change.check().map_err(|e| e.at(place))?;
        }
        for (i, keep) in self.rule.iter().enumerate() {
            keep.rule().map_err(|e| e.at(format!("rule {}", i + 1)))?;
        }
        Ok(())
    }

    /// Checks the file against the bundle that it is for: columns, levels and rules against what the model reads.
    ///
    /// # Errors
    /// A bundle that decides nothing or whose training left no background rows; a column that is not the model's, or a time;
    /// bounds of a category and levels of a number; a step finer than the column; a rule about no changeable column.
    pub(crate) fn check_bundle(&self, scorer: &Scorer, has_policy: bool, has_background: bool) -> Result<()> {
        self.check_columns(scorer, has_policy, has_background).map_err(|e| e.at(RECOURSE_FILE))
    }

    fn check_columns(&self, scorer: &Scorer, has_policy: bool, has_background: bool) -> Result<()> {
        if !has_policy {
            return Err(Error::request(
                "the bundle has no policy whose decision could be turned; give one with --policy",
            ));
        }
        if !has_background {
            return Err(Error::request(
                "the bundle has no background rows, by which changes are told to be plausible: it was trained on sequences or \
                 by an earlier version; train it again",
            ));
        }
        let inputs = &scorer.schema().inputs;
        for change in &self.change {
            let place = format!("change «{}»", change.column);
            let input = inputs.iter().find(|i| i.name == change.column);
            let (Some(input), true) = (input, scorer.raw_columns().contains(&change.column)) else {
                let known = scorer.raw_columns().join(", ");
                return Err(Error::request(format!("{place}: the model has no such column; its columns are {known}")));
            };
            change.check_input(input, scorer).map_err(|e| e.at(place))?;
        }
        for (i, keep) in self.rule.iter().enumerate() {
            self.check_rule(&keep.rule()?, inputs).map_err(|e| e.at(format!("rule {} («{}»)", i + 1, keep.keep)))?;
        }
        Ok(())
    }

    fn check_rule(&self, rule: &Rule, inputs: &[InputColumn]) -> Result<()> {
        let Some(input) = inputs.iter().find(|i| i.name == rule.column) else {
            return Err(Error::request(format!("the model has no column «{}»", rule.column)));
        };
        let other = other_column(rule, inputs);
        let is_changeable = |name: &String| self.change.iter().any(|c| c.column == *name);
        if !is_changeable(&input.name) && !other.is_some_and(|o| is_changeable(&o.name)) {
            return Err(Error::request("none of its columns can change, so that no change keeps or breaks it"));
        }
        match other {
            Some(other) if other.kind != input.kind => Err(Error::request(format!(
                "«{}» is a {} and «{}» a {}; allowed: columns of one kind",
                input.name,
                input.kind.name(),
                other.name,
                other.kind.name()
            ))),
            Some(_) => Ok(()),
            // A value that the column's kind does not have is told now, not at the first row.
            None => rule
                .passes(&arrow_array::new_empty_array(&input.data_type), input.kind, &jiff::tz::TimeZone::UTC)
                .map(drop),
        }
    }

    /// Where the file and the reasons contradict each other about what a customer can change.
    pub fn disagreements(&self, reasons: &Reasons) -> Vec<String> {
        let is_listed = |column: &String| self.change.iter().any(|c| c.column == *column);
        let with = |column: &String| reasons.reason.iter().find(|r| r.is_adverse() && r.columns.contains(column));
        let not_actionable = self.change.iter().filter_map(|c| Some((&c.column, with(&c.column)?)));
        let not_actionable = not_actionable.filter(|(_, reason)| !reason.actionable).map(|(column, reason)| {
            format!("{RECOURSE_FILE} lets «{column}» change, but its reason «{}» is not actionable", reason.code)
        });
        let not_listed = reasons.reason.iter().filter(|r| r.actionable && !r.columns.iter().any(is_listed));
        let not_listed = not_listed.map(|reason| {
            format!("reason «{}» is actionable, but {RECOURSE_FILE} lets none of its columns change", reason.code)
        });
        not_actionable.chain(not_listed).collect()
    }
}

impl Changeable {
    fn check(&self) -> Result<()> {
        for (name, value) in [("min", self.min), ("max", self.max), ("step", self.step)] {
            if let Some(value) = value.filter(|v| !v.is_finite() || (name == "step" && *v <= 0.0)) {
                let allowed = if name == "step" { "finite numbers above 0" } else { "finite numbers" };
                return Err(Error::request(format!("{name} is {value}; allowed: {allowed}")));
            }
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(Error::request(format!("min is {min} and max {max}; allowed: min up to max")));
        }
        if self.levels.len() > MAX_LEVELS {
            return Err(Error::request(format!("{} levels; allowed: at most {MAX_LEVELS}", self.levels.len())));
        }
        match self.levels.iter().enumerate().find(|(i, level)| self.levels[..*i].contains(level)) {
            Some((_, level)) => Err(Error::request(format!("level «{level}» is listed twice"))),
            None => Ok(()),
        }
    }

    fn check_input(&self, input: &InputColumn, scorer: &Scorer) -> Result<()> {
        match input.kind {
            Kind::Number => self.check_number(input),
            Kind::Time => Err(Error::request("a time cannot be changed; allowed: numbers and categories")),
            _ => self.check_levels(scorer),
        }
    }

    fn check_number(&self, input: &InputColumn) -> Result<()> {
        if !self.levels.is_empty() {
            return Err(Error::request("levels are given, but the column is a number; allowed: min, max and step"));
        }
        let Some(step) = self.step else { return Ok(()) };
        let unit = match input.data_type {
            DataType::Decimal128(_, scale) => 10f64.powi(i32::from(-scale)),
            DataType::Int64 => 1.0,
            _ => return Ok(()),
        };
        let times = step / unit;
        if (times - times.round()).abs() > 1e-9 * times.abs() || times.round() < 1.0 {
            return Err(Error::request(format!(
                "step is {step}; allowed: multiples of {unit}, as the column is written"
            )));
        }
        Ok(())
    }

    fn check_levels(&self, scorer: &Scorer) -> Result<()> {
        if self.direction != Direction::Either || self.min.is_some() || self.max.is_some() || self.step.is_some() {
            return Err(Error::request("direction, min, max and step are of numbers; a category has levels"));
        }
        if self.levels.is_empty() {
            return Err(Error::request("levels is empty; name the levels that the category may take"));
        }
        let preparer = &scorer.members()[0].preparer;
        let plan = preparer.raw_columns().iter().position(|c| *c == self.column).map(|at| &preparer.plans()[at]);
        let Some(ColumnPlan::Category { levels, rare, .. }) = plan else { return Ok(()) };
        let known = || levels.iter().chain(rare);
        let Some(unknown) = self.levels.iter().find(|l| !known().any(|k| k == *l)) else { return Ok(()) };
        let mut listed: Vec<&str> = known().take(LISTED).map(String::as_str).collect();
        if known().count() > LISTED {
            listed.push("…");
        }
        Err(Error::request(format!("training saw no level «{unknown}»; allowed: {}", listed.join(", "))))
    }

    /// The lowest and the highest number that may be asked for.
    fn bounds(&self, distribution: Option<&Distribution>) -> (f64, f64) {
        let ends = match distribution {
            Some(Distribution::Quantiles { values, .. }) => values.first().copied().zip(values.last().copied()),
            _ => None,
        };
        let (low, high) = ends.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        (self.min.unwrap_or(low), self.max.unwrap_or(high))
    }
}
