//! Rules on a table whose outcomes are known, with the scores of a bundle or of a column.

use super::backtest::{Backtest, Cases, backtest};
use super::{RuleSet, table_columns};
use crate::bundle::Bundle;
use crate::evaluate::{is_training_table, stored_cutoff};
use crate::training_set::{class_order, complete_numbers, complete_times, take_rows, texts_of};
use crate::windows;
use arrow_array::RecordBatch;
use serde::Serialize;
use statera_core::{Error, Result, Task};
use statera_data::Table;
use statera_data::conform::RowOrigin;
use statera_data::time::Zone;
use std::collections::BTreeMap;

/// What a table's columns are for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labelled<'a> {
    /// The outcome; that of the bundle if not given.
    pub target: Option<&'a str>,
    /// Its value that is the event, where it does not tell itself.
    pub positive: Option<&'a str>,
    /// Money at stake.
    pub amount: Option<&'a str>,
    /// The row's time; that of the rules if not given.
    pub time: Option<&'a str>,
    /// Probabilities from 0 to 1, in place of a bundle.
    pub score: Option<&'a str>,
    /// Probability from which the model alerts; that of the bundle if not given.
    pub threshold: Option<f64>,
}

/// A backtest, and what it did not look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableBacktest {
    /// What the rules would have done.
    #[serde(flatten)]
    pub backtest: Backtest,
    /// Rows without an outcome, which are left out.
    pub n_without_outcome: usize,
    /// True if the bundle's model was trained on this very table, as [`crate::evaluate::Evaluation`] has it: then its figures flatter
    /// it, and rules beside it look worse than they are.
    pub is_training_table: bool,
    /// Columns that rules read and that have missing cells, with how many: tests of these are false.
    pub missing: Vec<(String, usize)>,
}

/// What rules would have done on a table.
///
/// # Errors
/// Columns that are not there or are not what they must be, no outcome in any row, scores without a threshold, what
/// [`RuleSet::compile`] refuses; the message names the table.
pub fn backtest_table(set: &RuleSet, table: &Table, bundle: Option<&Bundle>, how: Labelled) -> Result<TableBacktest> {
    on_table(set, table, bundle, how).map_err(|e| e.at(&table.origin))
}

fn on_table(set: &RuleSet, table: &Table, bundle: Option<&Bundle>, how: Labelled) -> Result<TableBacktest> {
    let windowed = bundle.map(|bundle| windows::complete(bundle, table)).transpose()?;
    let table = windowed.as_ref().unwrap_or(table);
    let tz = bundle.map_or("UTC", |b| b.scorer.schema().tz.as_str());
    let compiled = set.compile(&table_columns(table), false, tz)?;
    let all = arrow_select::concat::concat_batches(&table.batches[0].schema(), &table.batches)
        .map_err(|e| Error::data(e.to_string()))?;
    let (batch, is_event) = with_outcome(&all, bundle, how)?;
    let mut late = bundle.map_or_else(Vec::new, Bundle::known_late);
    late.extend(how.target);
    set.refuse_late(&compiled, &late)?;
    let model = scores(&batch, bundle, how)?;
    let amounts = how.amount.map(|name| complete_numbers(&batch, name, "an amount")).transpose()?;
    let times = how.time.or(set.time.as_deref()).map(|name| complete_times(&batch, name)).transpose()?;
    let days = times.map(|times| times.into_iter().map(|t| compiled.local_day(t)).collect::<Vec<i64>>());
    let zone = Zone::new(Some(tz))?;
    let inputs = compiled.inputs(&batch, RowOrigin { zone: &zone, is_text: false, first_row: 0 })?;
    let verdicts = compiled.verdicts(&inputs, model.as_ref().map(|(p, _)| p.as_slice()))?;
    let cases = Cases {
        is_event: &is_event,
        amounts: amounts.as_deref(),
        days: days.as_deref(),
        model: model.as_ref().and_then(|(p, threshold)| Some((p.as_slice(), (*threshold)?))),
    };
    let missing = compiled.inputs.iter().zip(inputs.columns()).map(|(input, c)| (input.name.clone(), c.null_count()));
    Ok(TableBacktest {
        backtest: backtest(set, &verdicts, cases)?,
        n_without_outcome: all.num_rows() - batch.num_rows(),
        is_training_table: bundle.is_some_and(|bundle| is_training_table(bundle, &all)),
        missing: missing.filter(|(_, n)| *n > 0).collect(),
    })
}

/// The rows that have an outcome, and whether it is the event.
fn with_outcome(batch: &RecordBatch, bundle: Option<&Bundle>, how: Labelled) -> Result<(RecordBatch, Vec<bool>)> {
    let schema = bundle.map(|b| b.scorer.schema());
    if schema.is_some_and(|s| s.task != Task::Binary) {
        return Err(Error::request(
            "rules stand beside the probability of an event, which this bundle does not predict",
        ));
    }
    let target = how.target.or(schema.map(|s| s.target.as_str()));
    let target = target.ok_or_else(|| Error::request("no target; name the column of the outcome with --target"))?;
    let column = batch.column_by_name(target);
    let column = column.ok_or_else(|| Error::request(format!("no column «{target}», the target")))?;
    let texts = texts_of(column);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().flatten().for_each(|text| *counts.entry(text).or_default() += 1);
    if counts.len() != 2 {
        return Err(Error::data(format!(
            "target «{target}» has {} values; allowed: two, one of them the event",
            counts.len()
        )));
    }
    let event = class_order(target, &counts, how.positive)?.swap_remove(1);
    let rows: Vec<usize> = (0..texts.len()).filter(|&row| texts[row].is_some()).collect();
    let is_event = rows.iter().map(|&row| texts[row].as_deref() == Some(event.as_str())).collect();
    let batch = if rows.len() == batch.num_rows() { batch.clone() } else { take_rows(batch, &rows)? };
    Ok((batch, is_event))
}

/// Probabilities, and the one from which the model alerts.
fn scores(batch: &RecordBatch, bundle: Option<&Bundle>, how: Labelled) -> Result<Option<(Vec<f64>, Option<f64>)>> {
    if let Some(threshold) = how.threshold.filter(|t| !(0.0..=1.0).contains(t)) {
        return Err(Error::request(format!("threshold is {threshold}; allowed: a probability from 0 to 1")));
    }
    match (bundle, how.score) {
        (Some(_), Some(score)) => {
            Err(Error::request(format!("a bundle and a column of scores, «{score}»; allowed: one of them")))
        }
        (Some(bundle), None) => {
            let threshold = how.threshold.unwrap_or_else(|| stored_cutoff(bundle));
            Ok(Some((bundle.scorer.score(batch)?.probabilities, Some(threshold))))
        }
        (None, Some(name)) => {
            let scores = complete_numbers(batch, name, "a score")?;
            if let Some(row) = scores.iter().position(|p| !(0.0..=1.0).contains(p)) {
                let value = scores[row];
                return Err(Error::data(format!(
                    "column «{name}», row {}: {value} is no probability from 0 to 1",
                    row + 1
                )));
            }
            Ok(Some((scores, how.threshold)))
        }
        (None, None) if how.threshold.is_some() => {
            Err(Error::request("a threshold without scores; give a bundle, or a column of scores"))
        }
        (None, None) => Ok(None),
    }
}
