//! Rows as figures of a network take them: times, nodes, cells that neighbours tell, frauds and when they became known.

use super::definition::Definition;
use crate::preparer::{number_cells, time_cells};
use crate::table::iso;
use crate::window::{FRAUD, codes, complete_times, label_cells};
use arrow_array::{ArrayRef, RecordBatch};
use statera_core::{Error, Result};

/// A fraud that is not known.
pub(super) const NEVER: i64 = i64::MAX;

/// Rows of one table, column by column.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Microseconds UTC.
    pub(super) times: Vec<i64>,
    /// Per node column.
    pub(super) nodes: Vec<Vec<u128>>,
    /// Per number column; NaN is missing.
    pub(super) numbers: Vec<Vec<f64>>,
    /// When the row was known to be a fraud; [`NEVER`] of others.
    pub(super) known: Vec<i64>,
}

impl Rows {
    /// The rows of a batch whose columns have the types of a [`Table`](crate::Table); a label that is not there is not known.
    ///
    /// # Errors
    /// Columns that are missing or of an unsuitable type; a row without time; a label that was known before its row.
    pub fn of(batch: &RecordBatch, definition: &Definition) -> Result<Rows> {
        let network = &definition.network;
        let column = |name: &str| -> Result<&ArrayRef> {
            let inputs = network.inputs().join(", ");
            let missing = || Error::data(format!("column «{name}» is missing; the network's figures read {inputs}"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let times = complete_times(&network.time, column(&network.time)?, "row")?;
        let nodes = network.nodes.iter().map(|name| Ok(codes(column(name)?))).collect::<Result<_>>()?;
        let numbers = definition.numbers.iter().map(|name| number_cells(name, column(name)?)).collect::<Result<_>>()?;
        let known = known(batch, definition, &times)?;
        Ok(Rows { times, nodes, numbers, known })
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.times.len()
    }
}

/// When each row was known to be a fraud.
fn known(batch: &RecordBatch, definition: &Definition, times: &[i64]) -> Result<Vec<i64>> {
    let network = &definition.network;
    let Some((name, label)) = network.label.as_ref().and_then(|name| Some((name, batch.column_by_name(name)?))) else {
        return Ok(vec![NEVER; times.len()]);
    };
    let labels = label_cells(name, label, network.positive.as_deref())?;
    let told = network.label_time.as_ref().and_then(|name| Some((name, batch.column_by_name(name)?)));
    let told = told.map(|(name, column)| time_cells(name, column).map(|cells| (name, cells))).transpose()?;
    let delay = network.label_delay.map_or(0, crate::window::Span::micros);
    let known = |row: usize| {
        if labels[row] != FRAUD {
            return Ok(NEVER);
        }
        match &told {
            Some((name, told)) if told[row].is_some_and(|when| when < times[row]) => Err(Error::data(format!(
                "column «{name}», row {}: known at {}, before the row itself, {}",
                row + 1,
                told[row].map(iso).unwrap_or_default(),
                iso(times[row])
            ))),
            Some((_, told)) => Ok(told[row].unwrap_or(times[row].saturating_add(delay))),
            None => Ok(times[row].saturating_add(delay)),
        }
    };
    (0..times.len()).map(known).collect()
}
