//! All events of a table at once: one sorted sweep, the keys shared out among the cores.
//!
//! It counts with the same [`Group`] as a state does, so that both give the same bits; keys do not know of each other, and so it
//! does not matter on which core one is.

use super::definition::Definition;
use super::events::{Events, NO_KEY};
use super::group::Group;
use super::index::hash;
use super::refusal::Refusal;
use super::slab::NONE;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{Field, Schema};
use rayon::prelude::*;
use statera_core::{Error, Kind, Result};
use std::sync::Arc;

use crate::table::ColumnInfo;

/// Parts that the keys of a kind are shared out to: small enough to lie in a core's cache, and enough for many cores.
const SHARDS: usize = 64;

/// The rows of events in the order (time, id).
pub(super) fn order(events: &Events) -> Vec<usize> {
    let key = |row: &usize| (events.times[*row], events.ids[*row]);
    let mut rows: Vec<usize> = (0..events.n_rows()).collect();
    if !rows.is_sorted_by_key(key) {
        rows.par_sort_unstable_by_key(|row| (events.times[*row], events.ids[*row], *row));
    }
    rows
}

/// The columns of all events, in the definition's order.
///
/// # Errors
/// An event that is refused, with its row (1 is the first).
pub fn sweep(definition: &Arc<Definition>, events: &Events) -> Result<Vec<ArrayRef>> {
    let place = |(row, refusal): (usize, Refusal)| Error::from(refusal).at(format!("windows: row {}", row + 1));
    sweep_rows(definition, events).map_err(place)
}

/// As [`sweep`], with the row of an event that is refused (0 is the first) and why.
///
/// # Errors
/// An event that is refused.
pub fn sweep_rows(
    definition: &Arc<Definition>,
    events: &Events,
) -> std::result::Result<Vec<ArrayRef>, (usize, Refusal)> {
    if let Some((row, refusal)) = events.refused.first_key_value() {
        return Err((*row, refusal.clone()));
    }
    if let Some(row) = repeated(events) {
        return Err((row, Refusal::Duplicate { id: events.id(row) }));
    }
    let order = order(events);
    let mut columns = vec![vec![f64::NAN; events.n_rows()]; definition.n_columns()];
    for at in 0..definition.groups.len() {
        let shards = shards(events, at, &order);
        let made: Vec<Part> = shards.par_iter().map(|rows| part(definition, events, at, rows)).collect();
        if let Some(first) = made.iter().filter_map(|p| p.refused.as_ref()).min_by_key(|(row, _)| *row) {
            return Err(first.clone());
        }
        let own = own_columns(definition, at);
        let mut targets: Vec<(usize, &mut Vec<f64>)> =
            columns.iter_mut().enumerate().filter(|(column, _)| own.contains(column)).collect();
        targets.par_iter_mut().for_each(|(column, target)| {
            let i = own.iter().position(|c| c == column).unwrap_or(0);
            for (rows, part) in shards.iter().zip(&made) {
                let values = &part.values[i * rows.len()..][..rows.len()];
                rows.iter().zip(values).for_each(|(row, value)| target[*row as usize] = *value);
            }
        });
    }
    Ok(arrays(definition, columns))
}

/// A row whose id an earlier row has.
fn repeated(events: &Events) -> Option<usize> {
    if events.ids.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let mut rows: Vec<usize> = (0..events.n_rows()).collect();
    rows.par_sort_unstable_by_key(|row| (events.ids[*row], *row));
    rows.windows(2).filter(|pair| events.ids[pair[0]] == events.ids[pair[1]]).map(|pair| pair[1]).min()
}

/// The rows of each shard of a group's keys, in order.
fn shards(events: &Events, at: usize, order: &[usize]) -> Vec<Vec<u32>> {
    let shard = |row: usize| (hash(events.keys[at][row]) >> 58) as usize % SHARDS;
    let mut shards: Vec<Vec<u32>> = vec![Vec::new(); SHARDS];
    let with_key = order.iter().filter(|row| events.keys[at][**row] != NO_KEY);
    with_key.for_each(|&row| shards[shard(row)].push(row as u32));
    shards
}

/// What a shard makes.
struct Part {
    /// Column by column, in the order of the group's own columns.
    values: Vec<f64>,
    refused: Option<(usize, Refusal)>,
}

/// The columns that a group makes, ascending.
fn own_columns(definition: &Definition, at: usize) -> Vec<usize> {
    let plan = &definition.groups[at];
    let steps = plan.steps.iter().flat_map(|s| s.column..s.column + s.n_steps * s.columns.len());
    let mut own: Vec<usize> = plan.figures.iter().map(|f| f.column).chain(steps).collect();
    own.sort_unstable();
    own
}

fn part(definition: &Arc<Definition>, events: &Events, at: usize, rows: &[u32]) -> Part {
    let own = own_columns(definition, at);
    let mut group = Group::new(definition.clone(), at);
    let counts_labels = definition.groups[at].label.is_some();
    let mut values = vec![f64::NAN; own.len() * rows.len()];
    let (mut out, mut freed) = (vec![f64::NAN; definition.n_columns()], Vec::new());
    for (i, &row) in rows.iter().enumerate() {
        let row = row as usize;
        let taken = group.check(events, row).map(|()| {
            // Steps that are missing are not written.
            own.iter().for_each(|column| out[*column] = f64::NAN);
            group.take(events, row, NONE, &mut freed, &mut out)
        });
        let place = match taken {
            Ok(place) => place,
            Err(refusal) => return Part { values, refused: Some((row, refusal)) },
        };
        if counts_labels
            && let Some(place) = place
            && let Some((true, known)) = events.label(row, definition.label_delay)
        {
            group.label_fraud(place, known);
        }
        own.iter().enumerate().for_each(|(j, column)| values[j * rows.len() + i] = out[*column]);
    }
    Part { values, refused: None }
}

/// Columns of numbers as arrays: whole numbers or doubles, missing where NaN.
pub(super) fn arrays(definition: &Definition, columns: Vec<Vec<f64>>) -> Vec<ArrayRef> {
    let array = |((_, is_whole), cells): (&(String, bool), Vec<f64>)| -> ArrayRef {
        if *is_whole {
            return Arc::new(Int64Array::from_iter(cells.iter().map(|v| (!v.is_nan()).then_some(*v as i64))));
        }
        if cells.iter().any(|v| v.is_nan()) {
            return Arc::new(Float64Array::from_iter(cells.iter().map(|v| (!v.is_nan()).then_some(*v))));
        }
        Arc::new(Float64Array::from(cells))
    };
    definition.columns.iter().zip(columns).map(array).collect()
}

/// The columns that a definition makes, as a table names them.
pub fn column_infos(definition: &Definition) -> Vec<ColumnInfo> {
    definition.column_names().map(|name| ColumnInfo { name: name.into(), kind: Kind::Number }).collect()
}

/// A batch with more columns at its end.
///
/// # Errors
/// Columns of another length.
pub fn with_columns(batch: &RecordBatch, definition: &Definition, made: Vec<ArrayRef>) -> Result<RecordBatch> {
    let schema = batch.schema();
    let new =
        definition.column_names().zip(&made).map(|(name, c)| Arc::new(Field::new(name, c.data_type().clone(), true)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(new).collect();
    let columns = batch.columns().iter().cloned().chain(made).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::data(e.to_string()))
}
