//! All events of a table at once: one sorted sweep, the keys shared out among the cores.
//!
//! It counts whole numbers, as a state does, and reads figures of them as that does, so that both give the same bits: of running
//! sums where they are enough ([`whole`]), else with the same [`Group`]. Keys do not know of each other, and so it does not
//! matter on which core one is.

use super::definition::Definition;
use super::events::{Events, NO_KEY};
use super::group::Group;
use super::index::hash;
use super::refusal::Refusal;
use super::whole;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use rayon::prelude::*;
use statera_core::{Error, Kind, Result};
use std::collections::HashSet;
use std::sync::Arc;

use crate::table::ColumnInfo;

/// Parts that the keys of a kind are shared out to: small enough to lie in a core's cache, and enough for many cores.
const SHARDS: usize = 64;
/// No shard.
const NO_SHARD: u8 = u8::MAX;

/// The rows of events in the order (time, id).
pub(super) fn order(events: &Events) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..events.n_rows()).collect();
    if events.times.is_sorted() {
        // Tables are mostly sorted by time: what is left are events of one instant.
        let is_same = |a: &usize, b: &usize| events.times[*a] == events.times[*b];
        rows.chunk_by_mut(is_same).for_each(|instant| instant.sort_by_key(|row| events.ids[*row]));
    } else {
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
    let is_in_order = order.is_sorted();
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
        let shard_of = is_in_order.then(|| shards_of_rows(&shards, events.n_rows()));
        targets.par_iter_mut().for_each(|(column, target)| {
            let i = own.iter().position(|c| c == column).unwrap_or(0);
            let mut columns: Vec<&[f64]> =
                shards.iter().zip(&made).map(|(rows, part)| &part.values[i * rows.len()..][..rows.len()]).collect();
            match &shard_of {
                Some(shard_of) => merge(shard_of, &mut columns, target),
                None => shards.iter().zip(columns).for_each(|(rows, values)| {
                    rows.iter().zip(values).for_each(|(row, value)| target[*row as usize] = *value);
                }),
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
    let mut ids = events.ids.clone();
    ids.par_sort_unstable();
    if ids.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let mut seen = HashSet::new();
    events.ids.iter().position(|id| !seen.insert(*id))
}

/// The rows of each shard of a group's keys, in order.
fn shards(events: &Events, at: usize, order: &[usize]) -> Vec<Vec<u32>> {
    let shard = |row: usize| (hash(events.keys[at][row]) >> 58) as usize % SHARDS;
    let mut shards: Vec<Vec<u32>> = vec![Vec::new(); SHARDS];
    let with_key = order.iter().filter(|row| events.keys[at][**row] != NO_KEY);
    with_key.for_each(|&row| shards[shard(row)].push(row as u32));
    shards
}

/// The shard of each row; [`NO_SHARD`] of a row without key.
fn shards_of_rows(shards: &[Vec<u32>], n_rows: usize) -> Vec<u8> {
    let mut of = vec![NO_SHARD; n_rows];
    for (shard, rows) in shards.iter().enumerate() {
        rows.iter().for_each(|row| of[*row as usize] = shard as u8);
    }
    of
}

/// Puts the values of the shards, each in the order of rows, into the order of rows: all are read and written from front to back.
fn merge(shard_of: &[u8], columns: &mut [&[f64]], target: &mut [f64]) {
    for (shard, cell) in shard_of.iter().zip(target) {
        if let Some(column) = columns.get_mut(usize::from(*shard))
            && let Some((first, rest)) = column.split_first()
        {
            (*cell, *column) = (*first, rest);
        }
    }
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
    let (own, plan) = (own_columns(definition, at), &definition.groups[at]);
    let picked = events.picked(rows, at, plan);
    if whole::serves(plan, &picked, rows.len())
        && let Some(values) = whole::figures(definition, &picked, at, &own)
    {
        return Part { values, refused: None };
    }
    let mut group = Group::new(definition.clone(), at);
    let mut values = vec![f64::NAN; own.len() * rows.len()];
    let (mut out, mut freed) = (vec![f64::NAN; definition.n_columns()], Vec::new());
    for (i, &row) in rows.iter().enumerate() {
        let found = match group.check(&picked, i) {
            Ok(found) => found,
            Err(_) => {
                // Once more with the event where its id is known.
                let row = row as usize;
                let refused = group.check(events, row).err().map(|refusal| (row, refusal));
                return Part { values, refused };
            }
        };
        // Steps that are missing are not written.
        own.iter().for_each(|column| out[*column] = f64::NAN);
        let place = group.take((&picked, i), found, plan, &mut freed, &mut out);
        if let (Some(_), Some(place)) = (plan.label, place)
            && let Some((true, known)) = picked.label(i, definition.label_delay)
        {
            group.label_fraud(place, known, plan);
        }
        own.iter().enumerate().for_each(|(j, column)| values[j * rows.len() + i] = out[*column]);
    }
    Part { values, refused: None }
}

/// The columns of a definition, given as numbers, as arrays: whole numbers or doubles, missing where NaN.
pub fn arrays(definition: &Definition, columns: Vec<Vec<f64>>) -> Vec<ArrayRef> {
    let array = |((_, is_whole), cells): (&(String, bool), Vec<f64>)| -> ArrayRef {
        let is_complete = !cells.iter().any(|v| v.is_nan());
        let present = || cells.iter().map(|v| (!v.is_nan()).then_some(*v));
        match (is_whole, is_complete) {
            (true, true) => Arc::new(Int64Array::from_iter_values(cells.iter().map(|v| *v as i64))),
            (true, false) => Arc::new(Int64Array::from_iter(present().map(|v| v.map(|v| v as i64)))),
            (false, true) => Arc::new(Float64Array::from(cells)),
            (false, false) => Arc::new(Float64Array::from_iter(present())),
        }
    };
    definition.columns.par_iter().zip(columns).map(array).collect()
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
    crate::table::with_columns(batch, definition.column_names(), made)
}
