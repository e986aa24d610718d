//! Where tables come from.

pub mod ipc;
pub mod parquet;
pub mod physical;
pub mod postgres;

use crate::Table;
use arrow_array::RecordBatch;
use statera_core::{Kind, Result, Run};
use std::collections::BTreeMap;

/// How to read a table; everything that is `None` is detected.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Kinds set by the user.
    pub types: BTreeMap<String, Kind>,
    /// IANA zone of times without one; `None` is UTC.
    pub tz: Option<String>,
}

/// Rows of a source, batch by batch, in order.
pub trait BatchReader: Send {
    /// True if every column is `Utf8` text whose kind is still to be found (CSV, JSON Lines, xlsx); false if the source
    /// has types of its own (Parquet, Arrow, PostgreSQL).
    fn is_text(&self) -> bool;
    /// The next rows, `None` at the end. Every batch has the same schema; the first may be empty.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>>;
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
