//! Measuring a bundle on a table whose outcomes are known.

use crate::bundle::Bundle;
use crate::rows;
use crate::training_set::{complete_numbers, target_by_classes};
use crate::windows;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use statera_core::metric::{self, DEFAULT_BOOTSTRAP, Decile, Measured, Predicted};
use statera_core::{Error, Result, Task};
use statera_data::Table;

/// How good a model is on a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows.
    pub n_rows: usize,
    /// Every metric with its 95 % interval.
    pub metrics: Vec<Measured>,
    /// The bank's present score on the same rows, where the table has it.
    pub baseline: Vec<Measured>,
    /// Deciles by score; binary only.
    pub deciles: Vec<Decile>,
    /// Probability from which a row counts as the event; binary only.
    pub cutoff: Option<f64>,
    /// True if the model was trained on this very table or one with the same features in the same rows: then the figures flatter
    /// it. Of a part of those rows it is false, though they flatter too.
    pub is_training_table: bool,
}

/// Measures the bundle's model on a table that has the target.
///
/// # Errors
/// A missing target or column, values that were no class in training, one class only.
pub fn evaluate(bundle: &Bundle, table: &Table, cutoff: Option<f64>) -> Result<Evaluation> {
    measure(bundle, table, cutoff).map_err(|e| e.at(&table.origin))
}

fn measure(bundle: &Bundle, table: &Table, cutoff: Option<f64>) -> Result<Evaluation> {
    let schema = bundle.scorer.schema();
    if schema.target.is_empty() {
        return Err(Error::request(
            "the bundle assigns segments, which no outcome can measure; statera score assigns rows",
        ));
    }
    let Outcomes { batch, target, weight, is_training_table } = Outcomes::of(bundle, table)?;
    let scored = bundle.scorer.score(&batch)?;
    let cutoff = cutoff.unwrap_or_else(|| stored_cutoff(bundle));
    let seed = bundle.manifest.seed;
    let weight = weight.as_deref();
    let predicted = Predicted { margins: &scored.margins, probabilities: &scored.probabilities };
    let metrics = metric::evaluate(schema.task, &target, predicted, weight, cutoff, seed, DEFAULT_BOOTSTRAP)?;
    let baseline = match baseline_column(bundle, &batch) {
        Some(name) if schema.task == Task::Binary => {
            let score = complete_numbers(&batch, name, "a score")?;
            // The direction is that of training: new outcomes must not turn a score round.
            let sign = if baseline_falls(bundle) { -1.0 } else { 1.0 };
            let risk: Vec<f64> = score.iter().map(|s| sign * s).collect();
            let predicted = Predicted { margins: &risk, probabilities: &[] };
            metric::evaluate(schema.task, &target, predicted, weight, cutoff, seed, DEFAULT_BOOTSTRAP)?
        }
        _ => Vec::new(),
    };
    let binary = schema.task == Task::Binary;
    Ok(Evaluation {
        n_rows: target.len(),
        metrics,
        baseline,
        deciles: if binary { metric::deciles(&target, &scored.margins, weight)? } else { Vec::new() },
        cutoff: binary.then_some(cutoff),
        is_training_table,
    })
}

/// Rows whose outcomes are known, in the terms of a bundle.
pub(crate) struct Outcomes {
    /// All columns.
    pub batch: RecordBatch,
    /// Binary 0/1, class index, or value.
    pub target: Vec<f64>,
    /// As in training, where the table has the column.
    pub weight: Option<Vec<f64>>,
    /// True if the model was trained on this very table or one with the same features in the same rows.
    pub is_training_table: bool,
}

impl Outcomes {
    /// The rows of a table that has the target.
    pub fn of(bundle: &Bundle, table: &Table) -> Result<Outcomes> {
        let schema = bundle.scorer.schema();
        if !table.columns.iter().any(|c| c.name == schema.target) {
            let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            let names = names.join(", ");
            return Err(Error::request(format!("no column «{}», the target; there are {names}", schema.target)));
        }
        let table = &windows::complete(bundle, table)?;
        let batch = arrow_select::concat::concat_batches(&table.batches[0].schema(), &table.batches)
            .map_err(|e| Error::data(e.to_string()))?;
        let target = target_by_classes(&batch, &schema.target, schema.task, &schema.classes)?;
        let weight = named(bundle, &batch, "/settings/weight");
        let weight = weight.map(|name| complete_numbers(&batch, name, "a weight")).transpose()?;
        let is_training_table = is_training_table(bundle, &batch);
        Ok(Outcomes { batch, target, weight, is_training_table })
    }
}

/// True of the very table that the model was trained on, and of any other with the same features in the same rows: what a table
/// has beside them is of no account. Of a part of the rows nothing is known, since a bundle keeps no rows.
pub(crate) fn is_training_table(bundle: &Bundle, batch: &RecordBatch) -> bool {
    if rows::fingerprint(batch, &rows::row_digests(batch)) == bundle.manifest.data_fingerprint {
        return true;
    }
    let Some(known) = bundle.facts.pointer("/features_fingerprint").and_then(serde_json::Value::as_str) else {
        return false;
    };
    let time = bundle.facts.pointer("/settings/time").and_then(serde_json::Value::as_str);
    let inputs = bundle.scorer.schema().inputs.iter().map(|i| i.name.as_str());
    rows::fingerprint_of(batch, inputs.filter(|name| Some(*name) != time)).is_some_and(|own| own == known)
}

/// The column that a setting of the training names, where the table has it.
fn named<'a>(bundle: &'a Bundle, batch: &RecordBatch, setting: &str) -> Option<&'a str> {
    let name = bundle.facts.pointer(setting).and_then(serde_json::Value::as_str);
    name.filter(|name| batch.column_by_name(name).is_some())
}

/// The bank's present score, where the table has it.
pub(crate) fn baseline_column<'a>(bundle: &'a Bundle, batch: &RecordBatch) -> Option<&'a str> {
    named(bundle, batch, "/settings/baseline")
}

/// True if the present score fell with risk in training.
pub(crate) fn baseline_falls(bundle: &Bundle) -> bool {
    bundle.facts.pointer("/baseline_falls_with_risk").and_then(serde_json::Value::as_bool) == Some(true)
}

/// The probability from which a row counts as the event: where the policy declines, else as training found it.
pub(crate) fn stored_cutoff(bundle: &Bundle) -> f64 {
    if let Some((_, fitted)) = &bundle.deciding.policy {
        return fitted.cutoffs.decline_from;
    }
    bundle.facts.pointer("/leaderboard/cutoff").and_then(serde_json::Value::as_f64).unwrap_or(0.5)
}
