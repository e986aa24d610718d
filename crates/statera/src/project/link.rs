//! Finding the rows of one table that belong to a row of another: by key, and by key as of a date.

use super::rule::{texts, times};
use arrow_array::{Array, RecordBatch};
use statera_core::{Error, Result};
use statera_data::Table;
use std::collections::HashMap;
use std::ops::Range;

/// The rows of a table, grouped by key and in the order of their dates within it.
pub(super) struct Index {
    /// Number of each key's place in `ranges`.
    keys: HashMap<Vec<u8>, usize>,
    /// Rows of each key in `dates` and `rows`.
    ranges: Vec<Range<usize>>,
    /// Microseconds UTC, ascending within a key; 0 where the table has no date.
    pub dates: Vec<i64>,
    /// Row of each entry in the table.
    pub rows: Vec<usize>,
}

impl Index {
    /// Indexes a table of one batch. Rows whose key or date is missing belong to nothing.
    ///
    /// # Errors
    /// Columns that do not exist; keys that are neither text, a whole number nor a time; a date that is no time; without a
    /// date, a key that occurs twice.
    pub fn new(table: &Table, batch: &RecordBatch, key: &[&str], date: Option<&str>) -> Result<Index> {
        let key_of = Keys::new(table, batch, key)?;
        let dates = match date {
            Some(date) => times(batch.column(table.column(date)?), date).map_err(|e| e.at(&table.origin))?,
            None => vec![Some(0); batch.num_rows()],
        };
        let mut keys: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut entries = Vec::with_capacity(batch.num_rows());
        let mut bytes = Vec::new();
        for (row, time) in dates.into_iter().enumerate() {
            let Some(time) = time else { continue };
            if !key_of.write(row, &mut bytes) {
                continue;
            }
            let number = match keys.get(&bytes) {
                Some(&number) => number,
                None => {
                    keys.insert(bytes.clone(), keys.len());
                    keys.len() - 1
                }
            };
            entries.push((number, time, row));
        }
        // Rows of one date stay in the order of the table, so the last of them is the latest.
        entries.sort_unstable();
        let mut ranges = vec![0..0; keys.len()];
        for (i, (number, ..)) in entries.iter().enumerate() {
            let range = &mut ranges[*number];
            *range = if range.start == range.end { i..i + 1 } else { range.start..i + 1 };
        }
        if date.is_none()
            && let Some(twice) = ranges.iter().find(|r| r.len() > 1)
        {
            let (first, second) = (entries[twice.start].2 + 1, entries[twice.start + 1].2 + 1);
            return Err(Error::data(format!(
                "{}: rows {first} and {second} have the same key ({}); give the join a date, or a key that is unique",
                table.origin,
                key.join(", ")
            )));
        }
        let (dates, rows) = entries.into_iter().map(|(_, time, row)| (time, row)).unzip();
        Ok(Index { keys, ranges, dates, rows })
    }

    /// The entries of a key, in the order of their dates.
    pub fn entries(&self, key: &[u8]) -> Range<usize> {
        self.keys.get(key).map_or(0..0, |&number| self.ranges[number].clone())
    }

    /// The entries of a key dated after `from` and at or before `until`.
    pub fn between(&self, key: &[u8], from: i64, until: i64) -> Range<usize> {
        let all = self.entries(key);
        let dates = &self.dates[all.clone()];
        let start = dates.partition_point(|&d| d <= from);
        let end = dates.partition_point(|&d| d <= until);
        all.start + start..all.start + end.max(start)
    }

    /// The table's row of the latest entry of a key at or before `until`; never a later one.
    pub fn latest(&self, key: &[u8], until: i64) -> Option<usize> {
        let all = self.entries(key);
        let known = self.dates[all.clone()].partition_point(|&d| d <= until);
        (known > 0).then(|| self.rows[all.start + known - 1])
    }
}

/// Keys of the rows of a batch as bytes; a whole number equals its decimal text.
pub(super) struct Keys {
    columns: Vec<Vec<Option<String>>>,
}

impl Keys {
    pub fn new(table: &Table, batch: &RecordBatch, names: &[&str]) -> Result<Keys> {
        let read = |name: &&str| {
            let cells = batch.column(table.column(name)?);
            match cells.data_type() {
                arrow_schema::DataType::Timestamp(..) => {
                    Ok(times(cells, name)?.into_iter().map(|t| t.map(|t| t.to_string())).collect())
                }
                _ => texts(cells, name).map_err(|e| e.at(format!("{}, key", table.origin))),
            }
        };
        Ok(Keys { columns: names.iter().map(read).collect::<Result<_>>()? })
    }

    /// Puts the key of a row into `bytes`; false if a part is missing.
    pub fn write(&self, row: usize, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        for column in &self.columns {
            let Some(cell) = &column[row] else { return false };
            // The length before the text keeps («a», «bc») apart from («ab», «c»).
            bytes.extend_from_slice(&(cell.len() as u64).to_le_bytes());
            bytes.extend_from_slice(cell.as_bytes());
        }
        true
    }
}
