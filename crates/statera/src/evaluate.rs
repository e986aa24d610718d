//! Measuring a bundle on a table whose outcomes are known.

use crate::bundle::Bundle;
use crate::training_set::{complete_numbers, target_by_classes};
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
}

/// Measures the bundle's model on a table that has the target.
///
/// # Errors
/// A missing target or column, values that were no class in training, one class only.
pub fn evaluate(bundle: &Bundle, table: &Table, cutoff: Option<f64>) -> Result<Evaluation> {
    let schema = bundle.scorer.schema();
    table.column(&schema.target)?;
    let batch = arrow_select::concat::concat_batches(&table.batches[0].schema(), &table.batches)
        .map_err(|e| Error::data(e.to_string()))?;
    let target = target_by_classes(&batch, &schema.target, schema.task, &schema.classes)?;
    let scored = bundle.scorer.score(&batch)?;
    let stored = bundle.facts.pointer("/leaderboard/cutoff").and_then(serde_json::Value::as_f64);
    let cutoff = cutoff.or(stored).unwrap_or(0.5);
    let seed = bundle.manifest.seed;
    let predicted = Predicted { margins: &scored.margins, probabilities: &scored.probabilities };
    let metrics = metric::evaluate(schema.task, &target, predicted, None, cutoff, seed, DEFAULT_BOOTSTRAP)?;
    let baseline = bundle.facts.pointer("/settings/baseline").and_then(serde_json::Value::as_str);
    let baseline = match baseline.filter(|name| batch.column_by_name(name).is_some()) {
        Some(name) if schema.task == Task::Binary => {
            let score = complete_numbers(&batch, name, "a score")?;
            let oriented = metric::orient(&target, &score, None)?;
            let predicted = Predicted { margins: &oriented.score, probabilities: &[] };
            metric::evaluate(schema.task, &target, predicted, None, cutoff, seed, DEFAULT_BOOTSTRAP)?
        }
        _ => Vec::new(),
    };
    let binary = schema.task == Task::Binary;
    Ok(Evaluation {
        n_rows: target.len(),
        metrics,
        baseline,
        deciles: if binary { metric::deciles(&target, &scored.margins, None)? } else { Vec::new() },
        cutoff: binary.then_some(cutoff),
    })
}
