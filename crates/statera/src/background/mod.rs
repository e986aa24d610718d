//! Background rows: `background.parquet`, synthetic rows that stand for the training rows; none is taken from them.
//!
//! The training rows are divided into cells of similar rows (k-means on scaled columns, `make`), at most
//! [`MAX_CELLS`] and each of at least [`MIN_CELL_ROWS`] rows. A cell is stored as one row of the raw columns, its mean numbers and
//! its most frequent levels, with the number of its rows and with its *reach*: the [`distance`] to it within which
//! 95 % of its own rows lie. Interventional attributions are measured against these rows, and recourse is plausible only
//! where it ends within the reach of one that is approved.
//!
//! A mean may happen to equal a training row, above all in tables of few columns and values. One that equals a row of fewer
//! than [`MIN_CELL_ROWS`] customers is altered (`apart`); where every other cell that is tried gives such a row too, it stays, and
//! the bundle's facts count it.
//!
//! Deliberately absent: background rows of sequences and images, whose mean is no sequence and no image, and of segments,
//! which are cells themselves.

mod apart;
pub mod distance;
mod make;
#[cfg(test)]
mod tests;

pub(crate) use make::make;

use crate::bundle::codec;
use crate::scorer::{RowSource, Scorer};
use crate::training_set::take_rows;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::sync::Arc;

/// Name of the part in a bundle.
pub(crate) const BACKGROUND_FILE: &str = "background.parquet";
/// Most cells.
pub const MAX_CELLS: usize = 100;
/// Rows of a cell: the mean of fewer may tell of one customer.
pub const MIN_CELL_ROWS: u64 = 10;
/// Rows that interventional attributions are measured against: each cell as often as its share of the rows asks for.
const N_ATTRIBUTION: u64 = 128;

/// Columns of the part beside the raw ones; a raw column with such a name would be taken for one.
const CELL_ROWS: &str = "rows of the cell";
const CELL_REACH: &str = "reach of the cell";

/// How much the background rows tell of the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundFacts {
    /// Background rows.
    pub n_rows: usize,
    /// Those that equal a training row which fewer than [`MIN_CELL_ROWS`] rows share.
    pub n_alike: usize,
}

/// Background rows of a bundle, the cell of most rows first.
#[derive(Debug, Clone, PartialEq)]
pub struct BackgroundRows {
    /// The raw columns in the order and of the types of `schema.json`; at least one row.
    pub rows: RecordBatch,
    /// Training rows of each cell, of those that the cells were made from.
    pub n_rows: Vec<u64>,
    /// Distance to the row within which 95 % of its cell lie, 0 to 1.
    pub reach: Vec<f64>,
}

impl BackgroundRows {
    /// What they tell of the rows that were trained on.
    ///
    /// # Errors
    /// Training rows without a column of theirs.
    pub(crate) fn facts(&self, train: &RecordBatch, scorer: &Scorer) -> Result<BackgroundFacts> {
        let n_alike = apart::Seen::new(train, &scorer.schema().inputs)?.alike(&self.rows)?.len();
        Ok(BackgroundFacts { n_rows: self.rows.num_rows(), n_alike })
    }

    /// The part's bytes: equal rows give equal bytes.
    pub(crate) fn parquet(&self) -> Result<Vec<u8>> {
        let mut fields: Vec<Arc<Field>> = self.rows.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(CELL_ROWS, DataType::Int64, false)));
        fields.push(Arc::new(Field::new(CELL_REACH, DataType::Float64, false)));
        let mut arrays: Vec<ArrayRef> = self.rows.columns().to_vec();
        arrays.push(Arc::new(Int64Array::from_iter_values(self.n_rows.iter().map(|&n| n as i64))));
        arrays.push(Arc::new(Float64Array::from_iter_values(self.reach.iter().copied())));
        let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays);
        codec::parquet(&batch.map_err(|e| Error::io(e.to_string()))?)
    }

    /// Reads the part; `None` of bundles of formats up to 3, whose background rows were drawn column by column and knew no cells.
    ///
    /// # Errors
    /// [`statera_core::ErrorKind::Damaged`] for rows that are no rows of the scorer, too many or too few of them, cells of
    /// fewer than [`MIN_CELL_ROWS`] rows, reaches outside 0 to 1.
    pub(crate) fn read(bytes: &[u8], scorer: &Scorer) -> Result<Option<BackgroundRows>> {
        let batch = codec::read_parquet(BACKGROUND_FILE, bytes)?;
        let damaged = |what: String| Error::damaged(format!("{BACKGROUND_FILE}: {what}"));
        let (counts, reaches) = match (batch.column_by_name(CELL_ROWS), batch.column_by_name(CELL_REACH)) {
            (None, None) => return Ok(None),
            (Some(counts), Some(reaches)) => (counts, reaches),
            _ => return Err(damaged(format!("one of «{CELL_ROWS}» and «{CELL_REACH}» is missing"))),
        };
        let counts = counts.as_primitive_opt::<Int64Type>().filter(|c| c.null_count() == 0);
        let reaches = reaches.as_primitive_opt::<Float64Type>().filter(|c| c.null_count() == 0);
        let (Some(counts), Some(reaches)) = (counts, reaches) else {
            return Err(damaged(format!("«{CELL_ROWS}» or «{CELL_REACH}» holds something else than numbers")));
        };
        let n = batch.num_rows();
        if n == 0 || n > MAX_CELLS {
            return Err(damaged(format!("{n} rows; allowed: 1 to {MAX_CELLS}")));
        }
        let least = i64::try_from(MIN_CELL_ROWS).unwrap_or(i64::MAX);
        if let Some(row) = counts.values().iter().position(|&c| c < least) {
            let count = counts.value(row);
            return Err(damaged(format!("row {}: a cell of {count} rows; allowed: at least {MIN_CELL_ROWS}", row + 1)));
        }
        if let Some(row) = reaches.values().iter().position(|r| !(0.0..=1.0).contains(r)) {
            return Err(damaged(format!("row {}: a reach of {}; allowed: 0 to 1", row + 1, reaches.value(row))));
        }
        let rows = scorer.inputs(&batch, RowSource::default()).map_err(|e| damaged(e.to_string()))?;
        Ok(Some(BackgroundRows {
            rows,
            n_rows: counts.values().iter().map(|&c| c.unsigned_abs()).collect(),
            reach: reaches.values().to_vec(),
        }))
    }

    /// Rows for interventional attributions: 128, each background row as often as its cell's share of the training rows asks
    /// for (largest remainders), so that their mean is nearly that of the training rows.
    ///
    /// # Errors
    /// None that rows which were read could cause.
    pub fn in_proportion(&self) -> Result<RecordBatch> {
        let total = self.n_rows.iter().sum::<u64>().max(1);
        let parts: Vec<u64> = self.n_rows.iter().map(|&n| n.saturating_mul(N_ATTRIBUTION)).collect();
        let mut times: Vec<u64> = parts.iter().map(|p| p / total).collect();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(parts[i] % total));
        let left = N_ATTRIBUTION.saturating_sub(times.iter().sum());
        order.into_iter().take(left as usize).for_each(|i| times[i] += 1);
        let rows: Vec<usize> = times.iter().enumerate().flat_map(|(i, &n)| vec![i; n as usize]).collect();
        take_rows(&self.rows, &rows)
    }
}
