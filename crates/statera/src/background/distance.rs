//! How far apart two rows are: the one definition that cells, their reach and recourse share.
//!
//! It is Gower's general coefficient (Gower 1971), the mean over columns of a difference between 0 and 1, with one change:
//! numbers are divided by a spread that single customers do not move, instead of by their range. Of a number or a time the
//! difference is |a − b| / spread, at most 1, where the spread is that from the 5th to the 95th percentile of the training
//! rows (from the 1st to the 99th where these two are equal; if those are equal too, different numbers differ by 1). Two
//! levels, a missing and another cell, a sentinel and another cell differ by 1. The observation time is not compared: it
//! says when a row was seen, not what it is.

use crate::reference::{Distribution, Reference};
use crate::scorer::Schema;
use arrow_array::{Array, ArrayRef, RecordBatch};
use statera_core::{Error, Kind, Result};
use statera_data::conform::InputColumn;
use statera_data::preparer::{category_cells, number_cells, time_cells};

/// A cell as it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing is there.
    Missing,
    /// A number, or a time in microseconds UTC.
    Number(f64),
    /// A level.
    Level(&'a str),
}

/// How the cells of a column are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// The column.
    pub column: String,
    /// Divides differences of numbers; 0 if the training rows have one number only.
    pub spread: f64,
    /// Numbers that stand for something else than an amount.
    pub sentinels: Vec<f64>,
}

/// The distance between rows of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Distance {
    /// One for each column that is compared.
    pub scales: Vec<Scale>,
}

impl Scale {
    /// True if a cell stands for something else than an amount or a level.
    pub fn is_nothing(&self, cell: Cell<'_>) -> bool {
        match cell {
            Cell::Missing => true,
            Cell::Number(v) => self.sentinels.contains(&v),
            Cell::Level(_) => false,
        }
    }

    /// How much two cells differ, 0 to 1.
    pub fn difference(&self, a: Cell<'_>, b: Cell<'_>) -> f64 {
        self.size(a, b).min(1.0)
    }

    /// The same without the limit for two amounts, so that a greater change counts more: from 0.
    pub fn size(&self, a: Cell<'_>, b: Cell<'_>) -> f64 {
        match (a, b) {
            _ if a == b => 0.0,
            (Cell::Number(x), Cell::Number(y)) if self.spread > 0.0 && !self.is_nothing(a) && !self.is_nothing(b) => {
                (x - y).abs() / self.spread
            }
            _ => 1.0,
        }
    }
}

impl Distance {
    /// The distance between rows like those of a training.
    ///
    /// # Errors
    /// A reference without the distribution of a column.
    pub fn new(schema: &Schema, reference: &Reference) -> Result<Distance> {
        let compared = schema.inputs.iter().filter(|input| schema.time.as_ref() != Some(&input.name));
        let scale = |input: &InputColumn| {
            let distribution = reference
                .columns
                .get(&input.name)
                .ok_or_else(|| Error::damaged(format!("reference.json: no distribution of column «{}»", input.name)))?;
            let spread = match distribution {
                Distribution::Quantiles { values, .. } => spread(values),
                Distribution::Levels { .. } => 0.0,
            };
            Ok(Scale { column: input.name.clone(), spread, sentinels: sentinels(schema, &input.name) })
        };
        Ok(Distance { scales: compared.map(scale).collect::<Result<_>>()? })
    }

    /// The cells of rows in the types of the schema, by column that is compared.
    ///
    /// # Errors
    /// A column that is absent or of another type.
    pub fn cells<'a>(&self, inputs: &[InputColumn], batch: &'a RecordBatch) -> Result<Vec<Vec<Cell<'a>>>> {
        let of = |scale: &Scale| {
            let input = inputs.iter().find(|i| i.name == scale.column);
            let (Some(input), Some(array)) = (input, batch.column_by_name(&scale.column)) else {
                return Err(Error::data(format!("column «{}» is missing", scale.column)));
            };
            cells(input, array)
        };
        self.scales.iter().map(of).collect()
    }

    /// The distance between row `i` of `a` and row `j` of `b`, 0 to 1; cells are by column.
    pub fn between(&self, (a, i): (&[Vec<Cell<'_>>], usize), (b, j): (&[Vec<Cell<'_>>], usize)) -> f64 {
        let differences = self.scales.iter().zip(a.iter().zip(b)).map(|(s, (a, b))| s.difference(a[i], b[j]));
        differences.sum::<f64>() / self.scales.len().max(1) as f64
    }
}

/// The cells of a raw column.
///
/// # Errors
/// A column of another type than the schema says.
pub fn cells<'a>(input: &InputColumn, array: &'a ArrayRef) -> Result<Vec<Cell<'a>>> {
    let number = |v: f64| if v.is_nan() { Cell::Missing } else { Cell::Number(v) };
    Ok(match input.kind {
        Kind::Number => number_cells(&input.name, array)?.into_iter().map(number).collect(),
        Kind::Time => {
            let time = |t: Option<i64>| t.map_or(Cell::Missing, |t| Cell::Number(t as f64));
            time_cells(&input.name, array)?.into_iter().map(time).collect()
        }
        _ => {
            let levels = category_cells(&input.name, array)?;
            let level = |row| if levels.is_null(row) { Cell::Missing } else { Cell::Level(levels.value(row)) };
            (0..levels.len()).map(level).collect()
        }
    })
}

/// The numbers of a column that are no amounts.
pub fn sentinels(schema: &Schema, column: &str) -> Vec<f64> {
    schema.sentinels.get(column).into_iter().flatten().filter_map(|s| s.trim().parse().ok()).collect()
}

/// How far apart the quantiles 0, 1 %, … 100 % of a number lie.
fn spread(quantiles: &[f64]) -> f64 {
    let at = |share: f64| quantiles[(share * (quantiles.len() - 1) as f64).round() as usize];
    match quantiles {
        [] => 0.0,
        [first, .., last] if at(0.95) == at(0.05) => last - first,
        _ => at(0.95) - at(0.05),
    }
}
