//! How well a single column tells the events from the rest.

use super::LEAK_AUC;
use super::cells::{self, Cells, Levels, NO_LEVEL, Values};
use super::column::codes_of;
use super::number::{self, Tally};
use super::target::{NEGATIVE, POSITIVE, UNKNOWN};
use crate::{ColumnInfo, Table};
use arrow_array::{RecordBatch, UInt64Array};
use rayon::prelude::*;
use statera_core::{Error, Result};

/// Fewer events or non-events than this make any AUC an accident.
const N_CLASS_MIN: usize = 10;
/// Folds of the out-of-sample event rates.
const N_FOLDS: usize = 5;
/// Numbers with at most this many values are also judged value by value.
const N_VALUES_MAX: usize = 50;
/// Rows of average rate added to each level.
const PRIOR_ROWS: f64 = 1.0;
/// Rows that [`leak_suspects`] judges by, about; their AUC has a standard error below 0.005 with a thousand events.
const N_JUDGED: usize = 100_000;

/// Columns that alone tell events from the rest with an AUC above [`LEAK_AUC`], the highest first. `is_event` is 0 or 1 by
/// row. Of more than 100,000 rows about as many are judged, always the same ones.
///
/// # Errors
/// A column that is not in the batch, or of a physical type that a [`Table`] does not have.
pub fn leak_suspects(batch: &RecordBatch, columns: &[ColumnInfo], is_event: &[f64]) -> Result<Vec<(String, f64)>> {
    let every = batch.num_rows().div_ceil(N_JUDGED).max(1) as u64;
    let rows: Vec<u64> =
        (0..batch.num_rows() as u64).filter(|&row| super::hash::fold(row, 1).is_multiple_of(every)).collect();
    let classes: Vec<u8> =
        rows.iter().map(|&row| if is_event[row as usize] == 1.0 { POSITIVE } else { NEGATIVE }).collect();
    let rows = (every > 1).then(|| UInt64Array::from(rows));
    let judge = |column: &ColumnInfo| -> Result<Option<(String, f64)>> {
        let failed = |e: arrow_schema::ArrowError| Error::data(e.to_string());
        let at = batch.schema().index_of(&column.name).map_err(failed)?;
        let mut one = batch.project(&[at]).map_err(failed)?;
        if let Some(rows) = &rows {
            one = arrow_select::take::take_record_batch(&one, rows).map_err(failed)?;
        }
        let table = Table { columns: vec![column.clone()], batches: vec![one], origin: "training rows".into() };
        let auc = auc_of_cells(&cells::read(&table, 0, &[])?, &classes);
        Ok(auc.filter(|&auc| auc > LEAK_AUC).map(|auc| (column.name.clone(), auc)))
    };
    let found: Vec<Option<(String, f64)>> = columns.par_iter().map(judge).collect::<Result<_>>()?;
    let mut found: Vec<(String, f64)> = found.into_iter().flatten().collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(found)
}

fn auc_of_cells(cells: &Cells<'_>, classes: &[u8]) -> Option<f64> {
    match &cells.values {
        Values::Ordered(ordered) => {
            let (tallies, missing) = number::tally(ordered, classes);
            auc_of_numbers(&tallies, missing, || codes_of(ordered, &tallies), classes)
        }
        Values::Levels(levels) => auc_of_levels(levels, classes),
    }
}

/// Events and non-events of rows that tie.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tie {
    pub n_positive: usize,
    pub n_negative: usize,
}

/// Area under the ROC curve of groups in ascending order of score, ties counting half (Mann and Whitney 1947); `None` without
/// at least 10 events and 10 non-events.
pub(super) fn auc(ties: impl Iterator<Item = Tie>) -> Option<f64> {
    let (mut n_positive, mut n_negative, mut twice_won) = (0u128, 0u128, 0u128);
    for tie in ties {
        let (p, n) = (tie.n_positive as u128, tie.n_negative as u128);
        twice_won += p * (2 * n_negative + n);
        n_positive += p;
        n_negative += n;
    }
    let enough = n_positive >= N_CLASS_MIN as u128 && n_negative >= N_CLASS_MIN as u128;
    enough.then(|| twice_won as f64 / (2 * n_positive * n_negative) as f64)
}

/// AUC of a numeric column by itself, in whichever direction is better, with missing cells below or above all others; the
/// higher of that and the out-of-sample rate of each value where these are few.
pub(super) fn auc_of_numbers(
    tallies: &[Tally],
    missing: Tie,
    codes: impl FnOnce() -> Vec<u32>,
    classes: &[u8],
) -> Option<f64> {
    let ties = || tallies.iter().map(|t| Tie { n_positive: t.n_positive, n_negative: t.n_negative });
    let low = auc(std::iter::once(missing).chain(ties()))?;
    let high = auc(ties().chain(std::iter::once(missing)))?;
    let best = low.max(1.0 - low).max(high).max(1.0 - high);
    if tallies.len() > 2 && tallies.len() <= N_VALUES_MAX {
        Some(best.max(auc_of_codes(&codes(), tallies.len(), classes)?))
    } else {
        Some(best)
    }
}

/// AUC of a column of levels: each row is scored by its level's event rate in the other four folds, so
/// that levels seen once tell nothing. Missing cells are a level.
pub(super) fn auc_of_levels(levels: &Levels<'_>, classes: &[u8]) -> Option<f64> {
    auc_of_codes(&levels.codes, levels.texts.len(), classes)
}

fn auc_of_codes(codes: &[u32], n_levels: usize, classes: &[u8]) -> Option<f64> {
    let slot = |code: u32| if code == NO_LEVEL { n_levels } else { code as usize };
    // Events and rows by level and fold.
    let mut counts = vec![[(0u32, 0u32); N_FOLDS]; n_levels + 1];
    let (mut n_positive, mut n_known) = (0usize, 0usize);
    for (row, (&code, &class)) in codes.iter().zip(classes).enumerate() {
        if class != UNKNOWN {
            let cell = &mut counts[slot(code)][fold_of(row)];
            cell.0 += u32::from(class == POSITIVE);
            cell.1 += 1;
            n_positive += usize::from(class == POSITIVE);
            n_known += 1;
        }
    }
    let prior = n_positive as f64 / n_known.max(1) as f64;
    // All rows of a level and fold share a score.
    let mut scored: Vec<(f64, Tie)> = Vec::new();
    for level in &counts {
        let (all_positive, all) = level.iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        for &(positive, rows) in level.iter().filter(|c| c.1 > 0) {
            let others = f64::from(all - rows);
            let score = (f64::from(all_positive - positive) + prior * PRIOR_ROWS) / (others + PRIOR_ROWS);
            scored.push((score, Tie { n_positive: positive as usize, n_negative: (rows - positive) as usize }));
        }
    }
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ties: Vec<(f64, Tie)> = Vec::with_capacity(scored.len());
    for (score, tie) in scored {
        match ties.last_mut() {
            Some((last, sum)) if *last == score => {
                sum.n_positive += tie.n_positive;
                sum.n_negative += tie.n_negative;
            }
            _ => ties.push((score, tie)),
        }
    }
    auc(ties.into_iter().map(|(_, tie)| tie))
}

/// A row's fold, by a hash of its index: a plain remainder would follow any period in the order of rows.
fn fold_of(row: usize) -> usize {
    (super::hash::fold(row as u64, 0) % N_FOLDS as u64) as usize
}

/// Adds a row to a tie.
pub(super) fn add(tie: &mut Tie, class: u8) {
    tie.n_positive += usize::from(class == POSITIVE);
    tie.n_negative += usize::from(class == NEGATIVE);
}
