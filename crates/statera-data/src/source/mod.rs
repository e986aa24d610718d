//! Where tables come from.
//!
//! A source turns an address into record batches. Text sources (CSV, JSON Lines, xlsx) deliver every cell as it is
//! written; [`crate::infer`] finds the kinds afterwards, over the whole column. Sources with types of their own keep them.
//! Adding one is one file and one line in [`SOURCES`].

mod block;
mod csv;
mod dialect;
mod encoding;
mod glob;
mod header;
pub mod images;
mod input;
pub mod ipc;
mod jsonl;
pub mod parquet;
pub mod physical;
pub mod postgres;
mod xlsx;

use crate::infer::SurveyedBatch;
use crate::{Table, infer};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result, Run};
use std::collections::BTreeMap;

/// Every kind of source, in the order in which addresses are tried.
pub const SOURCES: &[Source] =
    &[csv::SOURCE, jsonl::SOURCE, xlsx::SOURCE, parquet::SOURCE, ipc::SOURCE, postgres::SOURCE, images::SOURCE];

/// How to read a table; everything that is `None` is detected.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Kinds set by the user.
    pub types: BTreeMap<String, Kind>,
    /// IANA zone of times without one; `None` is UTC.
    pub tz: Option<String>,
}

/// Rows of a source, batch by batch, in order.
///
/// A source with types of its own delivers only those that a [`Table`] has: `Int64`, `Float64`, `Decimal128`, `Utf8` and
/// `Timestamp(Microsecond, "UTC")`.
pub trait BatchReader: Send {
    /// True if every column is `Utf8` text whose kind is still to be found (CSV, JSON Lines, xlsx); false if the source
    /// has types of its own (Parquet, Arrow, PostgreSQL).
    fn is_text(&self) -> bool;
    /// The next rows, `None` at the end. Every batch has the same schema; the first may be empty.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>>;
    /// The next rows of a text source, surveyed for [`crate::infer`]; rows come once, either here or from
    /// [`BatchReader::next_batch`]. A source that reads in parallel surveys there too, while the cells are in cache.
    fn next_surveyed(&mut self) -> Result<Option<SurveyedBatch>> {
        Ok(self.next_batch()?.map(|batch| SurveyedBatch::of(&batch)))
    }
    /// What was detected about the source so far.
    fn facts(&self) -> SourceFacts {
        SourceFacts::default()
    }
    /// Where a row that was already delivered stands, for messages: the source and a line or row; `row` counts from 0
    /// over all batches.
    fn place(&self, row: usize) -> String {
        format!("row {}", row + 1)
    }
}

/// A kind of source.
pub struct Source {
    /// Its name in help texts.
    pub name: &'static str,
    /// An address as a user writes it.
    pub example: &'static str,
    /// True if it reads that address.
    pub accepts: fn(&str) -> bool,
    /// Opens it.
    pub open: fn(&str, &ReadOptions) -> Result<Box<dyn BatchReader>>,
}

/// What was detected about a source as a whole; `None` where the question does not arise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Encoding of the text, such as `UTF-8` or `CP949`.
    pub encoding: Option<String>,
    /// Character between two fields.
    pub separator: Option<char>,
    /// True if the first record names the columns.
    pub header: Option<bool>,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
}

/// What was detected about a table and each of its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadFacts {
    /// About the source.
    pub source: SourceFacts,
    /// About each column, in the table's order; empty where the source has types of its own.
    pub columns: Vec<infer::ColumnFacts>,
}

/// Opens an address: `-` (CSV or Arrow IPC on standard input), a pattern of paths, or what one of [`SOURCES`] accepts.
///
/// # Errors
/// [`statera_core::ErrorKind::Request`] for an address that no source accepts; the message lists what there is.
pub fn open(address: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    if address == "-" {
        return input::open_standard_input(options);
    }
    if glob::is_pattern(address) {
        return glob::open(address, options);
    }
    open_one(address, options)
}

/// An address as it may be shown: a database without its user's password and query.
pub fn label(address: &str) -> String {
    if address == "-" {
        return "standard input".into();
    }
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_string() };
    let rest = rest.split('?').next().unwrap_or_default();
    // The password may hold an @; the host begins after the last one.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{place}")
}

/// An address without its user's password, so that it can be kept in a file; everything else stays.
pub fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_string() };
    let (base, parameters) = rest.split_once('?').map_or((rest, None), |(base, parameters)| (base, Some(parameters)));
    // The password may hold an @; the host begins after the last one.
    let base = match base.rsplit_once('@') {
        Some((user, place)) => format!("{}@{place}", user.split(':').next().unwrap_or_default()),
        None => base.to_string(),
    };
    let is_kept = |parameter: &&str| !parameter.starts_with("password=");
    match parameters.map(|p| p.split('&').filter(is_kept).collect::<Vec<_>>().join("&")).filter(|p| !p.is_empty()) {
        Some(parameters) => format!("{scheme}://{base}?{parameters}"),
        None => format!("{scheme}://{base}"),
    }
}

/// The files that an address names: one, those of a pattern, or none for standard input and databases.
pub fn files_of(address: &str) -> Vec<std::path::PathBuf> {
    if address == "-" || address.contains("://") {
        return Vec::new();
    }
    if glob::is_pattern(address) {
        return ::glob::glob(address).map(|paths| paths.filter_map(|p| p.ok()).collect()).unwrap_or_default();
    }
    let path = std::path::Path::new(address);
    if path.is_dir() {
        return images::files_of(path).unwrap_or_default();
    }
    // A sheet of a workbook is named after a #.
    let file = address.rsplit_once('#').filter(|_| !path.exists()).map_or(address, |(file, _)| file);
    vec![file.into()]
}

/// Opens an address that is neither a pattern nor standard input.
fn open_one(address: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    match SOURCES.iter().find(|s| (s.accepts)(address)) {
        Some(source) => (source.open)(address, options),
        None => {
            let accepted: Vec<String> = SOURCES.iter().map(|s| format!("{} ({})", s.name, s.example)).collect();
            Err(Error::request(format!(
                "{address}: no reader for this ending; there are {}, a pattern (data/*.csv) and - (standard input)",
                accepted.join(", ")
            )))
        }
    }
}

/// Reads a whole table; see [`read_table_with_facts`].
pub fn read_table(address: &str, options: &ReadOptions, run: &Run) -> Result<Table> {
    read_table_with_facts(address, options, run).map(|(table, _)| table)
}

/// Reads a whole table and tells what was detected on the way.
///
/// The text of a column is freed as soon as its typed cells exist, so the peak stays below three times the table's size.
///
/// # Errors
/// Whatever the source reports, a table without rows, and kinds in `options.types` that the cells or the columns do not allow.
pub fn read_table_with_facts(address: &str, options: &ReadOptions, run: &Run) -> Result<(Table, ReadFacts)> {
    let zone = crate::time::Zone::new(options.tz.as_deref())?;
    let mut reader = open(address, options)?;
    let origin = &*label(address);
    if reader.is_text() {
        let batches = all_batches(|| reader.next_surveyed(), |b| b.n_rows, origin, run)?;
        let (table, columns) = infer::infer(origin, batches, options, &zone, &*reader, run)?;
        return Ok((table, ReadFacts { source: reader.facts(), columns }));
    }
    let batches = all_batches(|| reader.next_batch(), RecordBatch::num_rows, origin, run)?;
    let schema = batches[0].schema();
    refuse_unknown_columns(origin, &schema, options)?;
    let (columns, batches) = infer::kinds_of_typed(origin, &schema, batches, options, &zone)?;
    let table = Table { columns, batches, origin: origin.to_string() };
    Ok((table, ReadFacts { source: reader.facts(), columns: Vec::new() }))
}

/// The batches that have rows, at least one.
fn all_batches<B>(
    mut next: impl FnMut() -> Result<Option<B>>,
    n_rows: impl Fn(&B) -> usize,
    origin: &str,
    run: &Run,
) -> Result<Vec<B>> {
    let mut batches = Vec::new();
    while let Some(batch) = next()? {
        run.check()?;
        if n_rows(&batch) > 0 {
            batches.push(batch);
        }
    }
    if batches.is_empty() {
        return Err(Error::data(format!("{origin}: column names and no rows")));
    }
    Ok(batches)
}

/// Fails if the user gave a kind for a column that does not exist.
pub(crate) fn refuse_unknown_columns(origin: &str, schema: &Schema, options: &ReadOptions) -> Result<()> {
    for name in options.types.keys() {
        if schema.index_of(name).is_err() {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::request(format!(
                "{origin}: a kind is given for «{name}», which is not a column; there are {}",
                names.join(", ")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
