//! A table in memory.

use arrow_array::RecordBatch;
use statera_core::{Error, Kind, Result};

/// Name and kind of a column.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ColumnInfo {
    /// Name as in the source, unique in the table.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
}

/// A table: batches of one schema. Physical types by kind: number `Int64`, `Float64` or `Decimal128`; category and text
/// `Utf8`; time `Timestamp(Microsecond, "UTC")`; identifier `Utf8` or `Int64`. Null is missing.
#[derive(Debug, Clone)]
pub struct Table {
    /// One entry per column.
    pub columns: Vec<ColumnInfo>,
    /// The rows; all batches have one schema, and there is at least one batch (which may be empty).
    pub batches: Vec<RecordBatch>,
    /// Where the rows came from, for messages.
    pub origin: String,
}

impl Table {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Index of a column; the error lists what there is.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.columns.iter().position(|c| c.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
            Error::request(format!("{}: no column «{name}»; there are {}", self.origin, names.join(", ")))
        })
    }
}
