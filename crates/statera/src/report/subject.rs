//! What a report is about: a bundle, its facts, the judgement of its policy, and three examples.

use super::section::bin_words;
use super::words::{Words, cut};
use crate::bundle::Bundle;
use crate::explain::{self, Asked, Explanation};
use crate::facts::Facts;
use crate::groups::GroupPart;
use crate::judge::{DecidedBy, Judgement, MeasuredOn};
use crate::reasons::Language;
use crate::recourse::LimitBy;
use crate::reference::UNKNOWN_LEVEL;
use crate::scorer::RowSource;
use crate::training_set::texts_of;
use arrow_array::{Array, RecordBatch};
use serde::Serialize;
use statera_core::metric::Measured;
use statera_core::{Error, Kind, Result, Task};

/// Synthetic rows that the examples are chosen among.
const N_DRAWN: usize = 400;

/// Everything that sections look at.
pub struct Subject<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    /// Its digest.
    pub digest: String,
    /// Its figures.
    pub facts: Facts,
    /// What its policy does, where it was judged.
    pub judgement: Option<&'a Judgement>,
    /// Synthetic rows of low, middle and high risk, explained; empty for models of several classes.
    pub examples: Vec<Example>,
    pub(super) words: Words,
}

/// How risky an example is among synthetic rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// At the lower tenth.
    Low,
    /// At the middle.
    Middle,
    /// At the upper tenth.
    High,
}

/// A synthetic row, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// How risky it is.
    pub risk: Risk,
    /// Why.
    pub explanation: Explanation,
}

/// What the bundle's policy was found to do with known outcomes. The one place that reports take it from.
pub fn judgement(bundle: &Bundle) -> Option<&Judgement> {
    bundle.deciding.judgement.as_ref()
}

impl<'a> Subject<'a> {
    /// Reads a bundle's facts and explains the examples.
    ///
    /// # Errors
    /// A bundle of segments; facts that this program cannot read.
    pub fn of(bundle: &'a Bundle, judgement: Option<&'a Judgement>, language: Language) -> Result<Subject<'a>> {
        if bundle.scorer.schema().target.is_empty() {
            return Err(Error::request(
                "the bundle assigns segments; reports are of models that predict an outcome: train one with --target",
            ));
        }
        Ok(Subject {
            digest: bundle.digest()?,
            facts: Facts::read(&bundle.facts)?,
            judgement,
            examples: examples(bundle, language)?,
            words: Words::of(language)?,
            bundle,
        })
    }

    pub(super) fn is_binary(&self) -> bool {
        self.facts.task == Task::Binary
    }

    /// The event in words, `default = 1`, or the target.
    pub(super) fn event(&self) -> String {
        match self.facts.classes.as_slice() {
            [_, event] if self.is_binary() => format!("{} = {}", cut(&self.facts.target), cut(event)),
            _ => cut(&self.facts.target),
        }
    }

    /// The chosen candidate's title.
    pub(super) fn model(&self) -> String {
        let chosen = &self.facts.leaderboard.chosen;
        let entry = self.facts.leaderboard.entries.iter().find(|e| e.model == *chosen);
        self.words.model(chosen, entry.map_or(chosen, |e| &e.title))
    }

    /// The chosen candidate's figures: of the test, else cross-fitted.
    pub(super) fn measured(&self) -> &[Measured] {
        let chosen = &self.facts.leaderboard.chosen;
        match self.facts.leaderboard.entries.iter().find(|e| e.model == *chosen) {
            Some(entry) if !entry.test.is_empty() => &entry.test,
            Some(entry) => &entry.cross_fitted,
            None => &[],
        }
    }

    /// The unit of a column.
    pub(super) fn unit(&self, column: &str) -> Option<&str> {
        self.bundle.scorer.schema().units.get(column).map(String::as_str)
    }

    /// A cell of an example as people write it: numbers in their unit.
    pub(super) fn cell(&self, column: &str, cell: Option<&str>) -> String {
        let Some(text) = cell.filter(|t| !t.trim().is_empty()) else { return self.words.get("word.missing") };
        let inputs = &self.bundle.scorer.schema().inputs;
        let kind = inputs.iter().find(|i| i.name == column).map(|i| i.kind);
        match (kind, text.trim().parse::<f64>()) {
            (Some(Kind::Number), Ok(value)) if value.is_finite() => self.words.in_unit(value, self.unit(column)),
            // The day of an instant: a synthetic row has no hour that means anything.
            (Some(Kind::Time), _) => text.trim().chars().take(10).collect(),
            _ => cut(text),
        }
    }

    /// The name of a protected group in the report's language; as it was recorded by former versions.
    pub(super) fn group(&self, name: &str) -> String {
        let Some(parts) = self.judgement.and_then(|j| j.group_parts.get(name)) else { return cut(name) };
        let named = parts.iter().map(|part| format!("{} {}", cut(&part.column), self.group_label(part)));
        named.collect::<Vec<_>>().join(", ")
    }

    /// The same of a group of one protected column, without the column.
    pub(super) fn group_of(&self, column: &str, label: &str) -> String {
        let parts = self.judgement.and_then(|j| j.group_parts.get(&format!("{column} {label}")));
        match parts.map(Vec::as_slice) {
            Some([part]) => self.group_label(part),
            _ => cut(label),
        }
    }

    fn group_label(&self, part: &GroupPart) -> String {
        bin_words(&self.words, &part.label, Kind::Number, self.unit(&part.column))
    }

    pub(super) fn title(&self) -> String {
        self.words.fill("page.title", &[("event", &self.event())])
    }

    pub(super) fn lead(&self) -> String {
        let [rows, train] = [self.facts.n_rows, self.facts.n_train].map(|n| self.words.count(n));
        let values = [("model", self.model()), ("train", train), ("rows", rows), ("purpose", self.purpose())];
        self.words.fill("page.lead", &values.each_ref().map(|(name, value)| (*name, value.as_str())))
    }

    /// Which rows the figures of the training are of.
    pub(super) fn measured_on(&self) -> String {
        if self.facts.measured_on == "test" {
            self.words.fill("performance.on_test", &[("rows", &self.words.count(self.facts.n_test))])
        } else {
            self.words.get("performance.cross_fitted")
        }
    }

    /// Which rows the policy was judged on, and by what where there is none, in sentences; empty if it was not judged.
    pub(super) fn judged_on(&self) -> Vec<String> {
        let (words, Some(judgement)) = (&self.words, self.judgement) else { return Vec::new() };
        let stand_in = match &judgement.decided_by {
            DecidedBy::Policy { .. } => None,
            DecidedBy::Cutoff { decline_from } => {
                Some(words.fill("cutoff.by_cutoff", &[("cutoff", &words.percent(*decline_from))]))
            }
            DecidedBy::ApprovalRate { rate } => Some(words.fill("cutoff.by_rate", &[("rate", &words.percent(*rate))])),
        };
        let origin = words.get(match judgement.measured_on {
            MeasuredOn::Test => "cutoff.on_test",
            MeasuredOn::CrossFitted => "cutoff.on_cross_fitted",
            MeasuredOn::Table => "cutoff.on_table",
        });
        let flatters = match (judgement.is_training_table, judgement.measured_on) {
            (true, _) => Some(words.get("cutoff.flatters")),
            (false, MeasuredOn::Table) => Some(words.get("cutoff.may_flatter")),
            _ => None,
        };
        stand_in.into_iter().chain([origin]).chain(flatters).collect()
    }

    /// Where the policy declines, if there is one.
    pub(super) fn declined_from(&self) -> Option<f64> {
        self.bundle.deciding.policy.as_ref().map(|(_, fitted)| fitted.cutoffs.decline_from)
    }

    /// Where the policy declines, if its cut-off is not that of the training's figures.
    pub(super) fn other_cutoff(&self) -> Option<f64> {
        // Both were written and read as text.
        self.declined_from().filter(|decline| (decline - self.facts.leaderboard.cutoff).abs() > 1e-9)
    }

    /// At which cut-off the training's figures are, and whether the policy has it; `None` if they have none.
    pub(super) fn cutoff_note(&self) -> Option<String> {
        if !self.is_binary() {
            return None;
        }
        let words = &self.words;
        let cutoff = words.percent(self.facts.leaderboard.cutoff);
        let note = words.fill("performance.metrics_note", &[("cutoff", &cutoff)]);
        let policy = match (self.other_cutoff(), self.declined_from()) {
            (Some(decline), _) => words.fill("performance.cutoff_not_policy", &[("decline", &words.percent(decline))]),
            (None, Some(_)) => words.get("performance.cutoff_of_policy"),
            (None, None) => return Some(note),
        };
        Some(format!("{note} {policy}"))
    }

    /// What the model is for, in words where there are some.
    pub(super) fn purpose(&self) -> String {
        let purpose = &self.bundle.scorer.schema().purpose;
        self.words.known(&format!("use.{purpose}")).unwrap_or_else(|| cut(purpose))
    }

    pub(super) fn tiles(&self) -> Vec<(String, String)> {
        let words = &self.words;
        let mut tiles = Vec::new();
        let shown = ["auc", "gini", "ks", "log_loss", "auc_macro", "accuracy", "rmse", "mae", "r2"];
        let shown = if self.is_binary() { &shown[..3] } else { &shown[3..] };
        for measured in self.measured().iter().filter(|m| shown.contains(&m.name.as_str())) {
            let name = words.get(&format!("metric.{}", measured.name));
            tiles.push((words.fixed(measured.interval.value), name));
        }
        tiles.push((words.count(self.facts.n_rows), words.get("word.rows")));
        if let Some(rate) = self.facts.event_rate {
            tiles.push((words.percent(rate), words.get("word.event_rate")));
        }
        tiles
    }
}

/// Three synthetic rows, at the lower tenth, the middle and the upper tenth of the margins of rows drawn from the training's
/// distributions; each column is drawn by itself, so that no row is taken from the training.
fn examples(bundle: &Bundle, language: Language) -> Result<Vec<Example>> {
    let schema = bundle.scorer.schema();
    if matches!(schema.task, Task::Classes(_)) {
        return Ok(Vec::new());
    }
    let drawn = bundle.reference.draw(&schema.inputs, N_DRAWN, bundle.manifest.seed ^ 0xe8a3)?;
    let margins = bundle.scorer.score(&drawn)?.margins;
    let mut order: Vec<usize> = (0..margins.len()).filter(|&row| is_plain(&drawn, row)).collect();
    if order.is_empty() {
        order = (0..margins.len()).collect();
    }
    order.sort_by(|&a, &b| margins[a].total_cmp(&margins[b]).then(a.cmp(&b)));
    let last = order.len() - 1;
    [(Risk::Low, last / 10), (Risk::Middle, last / 2), (Risk::High, last - last / 10)]
        .into_iter()
        .map(|(risk, place)| {
            let one = drawn.slice(order[place], 1);
            // A clock would make other bytes on another machine.
            let asked = Asked { recourse: Some(LimitBy::Work), ..language.into() };
            let explanation = explain::explain(bundle, &one, RowSource::default(), "", asked)?;
            Ok(Example { risk, explanation })
        })
        .collect()
}

/// True of a drawn row without the levels that training did not see: those test a scorer, and show a reader nothing.
fn is_plain(drawn: &RecordBatch, row: usize) -> bool {
    drawn.columns().iter().all(|column| {
        let cell = column.slice(row, 1);
        cell.is_null(0) || texts_of(&cell).first().is_none_or(|t| t.as_deref() != Some(UNKNOWN_LEVEL))
    })
}
