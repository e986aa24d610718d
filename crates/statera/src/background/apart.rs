//! Synthetic rows that are no customer's: one that happens to equal a row of few customers is altered, where its columns allow
//! that.

use super::MIN_CELL_ROWS;
use super::distance::{self, Distance};
use crate::reference::{Distribution, Reference, number_array};
use crate::resolution;
use crate::rows::row_digests;
use crate::scorer::Schema;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use statera_core::{Error, Kind, Result};
use statera_data::conform::InputColumn;
use statera_data::preparer::{number_cells, time_cells};
use std::collections::HashMap;
use std::sync::Arc;

/// Units that a number is moved by at most, either way.
const MAX_UNITS: i32 = 3;
/// Levels that are tried in place of one.
const MAX_LEVELS: usize = 20;
/// Microseconds of a day, the unit of a time.
const DAY: f64 = 86_400e6;

/// The training rows, to tell which others equal few of them.
pub(super) struct Seen {
    counts: HashMap<[u8; 16], u64>,
    columns: Vec<String>,
}

impl Seen {
    /// The rows of a batch in the columns that a model reads.
    ///
    /// # Errors
    /// A column that is absent.
    pub fn new(batch: &RecordBatch, inputs: &[InputColumn]) -> Result<Seen> {
        let columns: Vec<String> = inputs.iter().map(|i| i.name.clone()).collect();
        let mut counts = HashMap::new();
        for digest in row_digests(&projected(batch, &columns)?) {
            *counts.entry(digest).or_default() += 1;
        }
        Ok(Seen { counts, columns })
    }

    /// The rows, by number, that equal a training row which fewer than [`MIN_CELL_ROWS`] rows share. What more share tells of
    /// nobody.
    ///
    /// # Errors
    /// A column that is absent.
    pub fn alike(&self, rows: &RecordBatch) -> Result<Vec<usize>> {
        let digests = row_digests(&projected(rows, &self.columns)?);
        let is_alike = |row: &usize| self.counts.get(&digests[*row]).is_some_and(|&n| n < MIN_CELL_ROWS);
        Ok((0..digests.len()).filter(is_alike).collect())
    }
}

fn projected(batch: &RecordBatch, columns: &[String]) -> Result<RecordBatch> {
    let place = |name: &String| batch.schema().index_of(name).map_err(|e| Error::data(e.to_string()));
    let places: Vec<usize> = columns.iter().map(place).collect::<Result<_>>()?;
    batch.project(&places).map_err(|e| Error::data(e.to_string()))
}

/// What says which rows are too near to a customer, and what their cells may become.
pub(super) struct Apart<'a> {
    pub seen: &'a Seen,
    pub schema: &'a Schema,
    pub reference: &'a Reference,
    pub distance: &'a Distance,
}

impl Apart<'_> {
    /// The rows of cells, with those altered that equal a row of few customers. A row that stays alike whatever is tried is kept.
    ///
    /// # Errors
    /// None that rows of the schema could cause.
    pub fn altered(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let alike = self.seen.alike(&rows)?;
        if alike.is_empty() {
            return Ok(rows);
        }
        let mut own: Vec<RecordBatch> = (0..rows.num_rows()).map(|row| rows.slice(row, 1)).collect();
        for row in alike {
            if let Some(other) = self.other(&own[row])? {
                own[row] = other;
            }
        }
        arrow_select::concat::concat_batches(&rows.schema(), &own).map_err(|e| Error::data(e.to_string()))
    }

    /// A row that equals no customer's: with the first number that can be moved by a few units, else with the first level that can
    /// be another one.
    fn other(&self, one: &RecordBatch) -> Result<Option<RecordBatch>> {
        let is_number = |input: &&InputColumn| matches!(input.kind, Kind::Number | Kind::Time);
        let (numbers, levels): (Vec<&InputColumn>, Vec<&InputColumn>) = self.schema.inputs.iter().partition(is_number);
        for input in numbers.into_iter().chain(levels) {
            for other in self.others(one, input)? {
                if self.seen.alike(&other)?.is_empty() {
                    return Ok(Some(other));
                }
            }
        }
        Ok(None)
    }

    /// A row with other cells in a column, the nearest first; none where the cell is missing or a sentinel.
    fn others(&self, one: &RecordBatch, input: &InputColumn) -> Result<Vec<RecordBatch>> {
        let place = one.schema().index_of(&input.name).map_err(|e| Error::data(e.to_string()))?;
        let cell = one.column(place);
        if cell.is_null(0) {
            return Ok(Vec::new());
        }
        let cells: Vec<ArrayRef> = match self.reference.columns.get(&input.name) {
            Some(Distribution::Quantiles { values, .. }) => {
                let spread = self.distance.scales.iter().find(|s| s.column == input.name).map_or(0.0, |s| s.spread);
                let sentinels = distance::sentinels(self.schema, &input.name);
                numbers(cell, input, unit(input, values, spread), values, &sentinels)?
            }
            Some(Distribution::Levels { levels, .. }) => {
                let own = cell.as_string::<i32>().value(0);
                let other = levels.iter().map(|(level, _)| level.as_str()).filter(|level| *level != own);
                other.take(MAX_LEVELS).map(|level| Arc::new(StringArray::from(vec![level])) as ArrayRef).collect()
            }
            None => Vec::new(),
        };
        let with = |cell: ArrayRef| {
            let mut columns = one.columns().to_vec();
            columns[place] = cell;
            RecordBatch::try_new(one.schema(), columns).map_err(|e| Error::data(e.to_string()))
        };
        cells.into_iter().map(with).collect()
    }
}

/// The last digit of a number, or a day.
fn unit(input: &InputColumn, quantiles: &[f64], spread: f64) -> f64 {
    match input.data_type {
        DataType::Int64 => 1.0,
        DataType::Decimal128(_, scale) => 10f64.powi(i32::from(-scale)),
        DataType::Timestamp(..) => DAY,
        _ => resolution::fineness(quantiles, spread),
    }
}

/// Numbers a few units away from a cell's, within the quantiles and none of them a sentinel.
fn numbers(
    cell: &ArrayRef,
    input: &InputColumn,
    unit: f64,
    quantiles: &[f64],
    sentinels: &[f64],
) -> Result<Vec<ArrayRef>> {
    let own = match input.kind {
        Kind::Time => time_cells(&input.name, cell)?.into_iter().next().flatten().map(|t| t as f64),
        _ => number_cells(&input.name, cell)?.into_iter().next(),
    };
    let (Some(own), [low, .., high]) = (own.filter(|v| !sentinels.contains(v)), quantiles) else {
        return Ok(Vec::new());
    };
    let moved = (1..=MAX_UNITS).flat_map(|n| [-n, n]).map(|n| own + f64::from(n) * unit);
    let digits = resolution::digits(std::iter::once(unit));
    let written = moved.map(|v| digits.map_or(v, |digits| resolution::round(v, digits)));
    let allowed = written.filter(|v| (*low..=*high).contains(v) && !sentinels.contains(v));
    allowed.map(|v| number_array(vec![Some(v)], &input.data_type)).collect()
}
