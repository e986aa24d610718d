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
use std::ops::Range;
use std::sync::Arc;

use crate::table::ColumnInfo;

/// Parts that the keys of a kind are shared out to: small enough to lie in a core's cache, and enough for many cores.
const SHARDS: usize = 64;
/// Rows that one core shares out, and brings together again, at a time: their cells lie in a core's cache.
const CHUNK: usize = 1 << 15;

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
    let are_ids_in_order = events.ids.is_sorted_by(|a, b| a < b);
    if !are_ids_in_order && let Some(row) = repeated(events) {
        return Err((row, Refusal::Duplicate { id: events.id(row) }));
    }
    let is_in_order = are_ids_in_order && events.times.is_sorted();
    let order = if is_in_order { None } else { Some(order(events)).filter(|order| !order.is_sorted()) };
    let mut columns: Vec<Option<ArrayRef>> = vec![None; definition.n_columns()];
    for at in 0..definition.groups.len() {
        let shards = Shards::of(&events.keys[at], order.as_deref());
        let part = |shard: usize| part(definition, events, at, &shards.rows(shard));
        let made: Vec<Part> = (0..SHARDS).into_par_iter().map(part).collect();
        if let Some(first) = made.iter().filter_map(|p| p.refused.as_ref()).min_by_key(|(row, _)| *row) {
            return Err(first.clone());
        }
        let own = own_columns(definition, at);
        let column = |(i, column): (usize, &usize)| {
            let parts: Vec<&[f64]> = made.iter().map(|part| &part.values[i * part.n_rows..][..part.n_rows]).collect();
            (*column, shards.merged(&parts, definition.columns[*column].1))
        };
        let merged: Vec<(usize, ArrayRef)> = own.par_iter().enumerate().map(column).collect();
        merged.into_iter().for_each(|(column, array)| columns[column] = Some(array));
    }
    // Every column is of a group.
    Ok(columns.into_iter().flatten().collect())
}

/// A row whose id an earlier row has.
fn repeated(events: &Events) -> Option<usize> {
    let mut ids = events.ids.clone();
    ids.par_sort_unstable();
    if ids.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let mut seen = HashSet::new();
    events.ids.iter().position(|id| !seen.insert(*id))
}

/// The rows shared out by their keys, and how they come together again.
struct Shards {
    n_rows: usize,
    /// True if the order is that of the table.
    is_in_order: bool,
    /// One after the other in the order (time, id).
    chunks: Vec<Chunk>,
}

/// Rows that follow each other in the order.
struct Chunk {
    /// The rows of the first shard, then those of the second, and so on; each in order. At last those without key.
    rows: Vec<u32>,
    /// Where the rows of each shard end.
    ends: [u32; SHARDS],
    /// How many rows of each shard lie in the chunks before.
    before: [u32; SHARDS],
}

impl Chunk {
    /// The rows `at` of the order, which is that of the table if there is none.
    fn of(keys: &[u128], order: Option<&[usize]>, at: Range<usize>) -> Chunk {
        let shard = |key: u128| if key == NO_KEY { SHARDS as u8 } else { (hash(key) >> 58) as u8 };
        let of: Vec<u8> = match order {
            None => keys[at.clone()].iter().map(|key| shard(*key)).collect(),
            Some(order) => order[at.clone()].iter().map(|row| shard(keys[*row])).collect(),
        };
        let mut ends = [0; SHARDS + 1];
        of.iter().for_each(|shard| ends[usize::from(*shard)] += 1);
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end);
        }
        let mut rows = vec![0; of.len()];
        for (i, shard) in at.zip(&of) {
            let end = &mut ends[usize::from(*shard)];
            rows[*end as usize] = order.map_or(i, |order| order[i]) as u32;
            *end += 1;
        }
        let mut own = [0; SHARDS];
        own.copy_from_slice(&ends[..SHARDS]);
        Chunk { rows, ends: own, before: [0; SHARDS] }
    }

    fn rows(&self, shard: usize) -> &[u32] {
        let begin = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[begin as usize..self.ends[shard] as usize]
    }

    /// True if every row has a key.
    fn is_full(&self) -> bool {
        self.ends[SHARDS - 1] as usize == self.rows.len()
    }

    /// Hands on each row of the chunk with its value: shard by shard, so that values are read from front to back.
    fn each(&self, parts: &[&[f64]], mut to: impl FnMut(usize, f64)) {
        for (shard, values) in parts.iter().enumerate() {
            let values = &values[self.before[shard] as usize..];
            self.rows(shard).iter().zip(values).for_each(|(row, value)| to(*row as usize, *value));
        }
    }
}

impl Shards {
    fn of(keys: &[u128], order: Option<&[usize]>) -> Shards {
        let n_rows = keys.len();
        let chunk = |i: usize| Chunk::of(keys, order, i * CHUNK..n_rows.min((i + 1) * CHUNK));
        let mut chunks: Vec<Chunk> = (0..n_rows.div_ceil(CHUNK)).into_par_iter().map(chunk).collect();
        let mut before = [0; SHARDS];
        for chunk in &mut chunks {
            chunk.before = before;
            before.iter_mut().enumerate().for_each(|(shard, n)| *n += chunk.rows(shard).len() as u32);
        }
        Shards { n_rows, is_in_order: order.is_none(), chunks }
    }

    /// The rows of a shard, in order.
    fn rows(&self, shard: usize) -> Vec<u32> {
        self.chunks.iter().flat_map(|chunk| chunk.rows(shard)).copied().collect()
    }

    /// The values of a column, shard by shard, as the column in the order of the table's rows.
    fn merged(&self, parts: &[&[f64]], is_whole: bool) -> ArrayRef {
        if !self.is_in_order {
            let mut cells = vec![f64::NAN; self.n_rows];
            self.chunks.iter().for_each(|chunk| chunk.each(parts, |row, value| cells[row] = value));
            return array(is_whole, cells);
        }
        // Most columns are complete: those are written once, as what they are.
        if is_whole && let Some(cells) = self.whole(parts) {
            return Arc::new(Int64Array::from(cells));
        }
        let mut cells = vec![0.0; self.n_rows];
        cells.par_chunks_mut(CHUNK).zip(&self.chunks).enumerate().for_each(|(i, (cells, chunk))| {
            if !chunk.is_full() {
                cells.fill(f64::NAN);
            }
            chunk.each(parts, |row, value| cells[row - i * CHUNK] = value);
        });
        array(is_whole, cells)
    }

    /// The values of a column of whole numbers; `None` if one is missing.
    fn whole(&self, parts: &[&[f64]]) -> Option<Vec<i64>> {
        let mut cells = vec![0; self.n_rows];
        let chunks = cells.par_chunks_mut(CHUNK).zip(&self.chunks).enumerate();
        let is_complete = chunks.map(|(i, (cells, chunk))| {
            let mut is_complete = chunk.is_full();
            chunk.each(parts, |row, value| {
                is_complete &= !value.is_nan();
                cells[row - i * CHUNK] = value as i64;
            });
            is_complete
        });
        is_complete.reduce(|| true, |a, b| a && b).then_some(cells)
    }
}

/// What a shard makes.
struct Part {
    n_rows: usize,
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
    let n_rows = rows.len();
    if whole::serves(plan, events, n_rows)
        && let Some(values) = whole::figures(definition, &events.picked(rows, at, plan, false), at, &own)
    {
        return Part { n_rows, values, refused: None };
    }
    let picked = events.picked(rows, at, plan, true);
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
                return Part { n_rows, values, refused };
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
    Part { n_rows, values, refused: None }
}

/// The columns of a definition, given as numbers, as arrays: whole numbers or doubles, missing where NaN.
pub fn arrays(definition: &Definition, columns: Vec<Vec<f64>>) -> Vec<ArrayRef> {
    definition.columns.par_iter().zip(columns).map(|((_, is_whole), cells)| array(*is_whole, cells)).collect()
}

fn array(is_whole: bool, cells: Vec<f64>) -> ArrayRef {
    let is_complete = !cells.iter().any(|v| v.is_nan());
    let present = || cells.iter().map(|v| (!v.is_nan()).then_some(*v));
    match (is_whole, is_complete) {
        (true, true) => Arc::new(Int64Array::from_iter_values(cells.iter().map(|v| *v as i64))),
        (true, false) => Arc::new(Int64Array::from_iter(present().map(|v| v.map(|v| v as i64)))),
        (false, true) => Arc::new(Float64Array::from(cells)),
        (false, false) => Arc::new(Float64Array::from_iter(present())),
    }
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
