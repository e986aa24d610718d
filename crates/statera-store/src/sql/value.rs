//! What goes into statements and comes out of rows: whole numbers, text and bytes; nothing else is stored.

use super::failure::{Attempt, Failure};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Row as _};
use statera_core::Error;

/// An argument of a statement. The kind of nothing is needed: PostgreSQL types its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `INTEGER`, `BIGINT`.
    Int(Option<i64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BLOB`, `BYTEA`.
    Blob(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Value {
        Value::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Int(Some(i64::from(value)))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(Some(value.into()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Value {
        Value::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Value {
        Value::Blob(Some(value))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Value {
        Value::Blob(value)
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Value {
        Value::Blob(Some(value.to_vec()))
    }
}

/// Arguments for PostgreSQL.
pub(crate) fn postgres(values: Vec<Value>) -> Attempt<PgArguments> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Int(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Blob(v) => arguments.add(v),
        }
        .map_err(unfit)?;
    }
    Ok(arguments)
}

pub(crate) fn unfit(e: sqlx::error::BoxDynError) -> Failure {
    Failure::Refused(Error::request(format!("a value cannot be stored: {e}")))
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(Vec<Value>),
    Postgres(PgRow),
}

/// Reads a column as a type, from either driver.
macro_rules! column {
    ($row:expr, $at:expr, $kind:ident, $type:ty) => {
        match $row {
            Row::Sqlite(cells) => match cells.get($at) {
                // Nothing has no kind.
                Some(Value::Int(None)) => Ok(None),
                Some(Value::$kind(value)) => Ok(value.clone()),
                found => Err(unreadable(&format!("{} was expected, found {}", stringify!($kind), kind(found)))),
            },
            Row::Postgres(row) => row.try_get::<Option<$type>, _>($at).map_err(|e| unreadable(&e)),
        }
    };
}

/// What a cell holds, without showing it.
fn kind(cell: Option<&Value>) -> &'static str {
    match cell {
        None => "no such column",
        Some(Value::Int(_)) => "Int",
        Some(Value::Text(_)) => "Text",
        Some(Value::Blob(_)) => "Blob",
    }
}

pub(crate) fn unreadable(why: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(Error::damaged(format!("a stored value cannot be read: {why}")))
}

fn there<T>(value: Option<T>) -> Attempt<T> {
    value.ok_or_else(|| unreadable(&"nothing stands where something is stored"))
}

impl Row {
    pub(crate) fn int(&self, at: usize) -> Attempt<i64> {
        there(self.maybe_int(at)?)
    }

    pub(crate) fn maybe_int(&self, at: usize) -> Attempt<Option<i64>> {
        column!(self, at, Int, i64)
    }

    pub(crate) fn text(&self, at: usize) -> Attempt<String> {
        there(self.maybe_text(at)?)
    }

    pub(crate) fn maybe_text(&self, at: usize) -> Attempt<Option<String>> {
        column!(self, at, Text, String)
    }

    pub(crate) fn blob(&self, at: usize) -> Attempt<Vec<u8>> {
        there(self.maybe_blob(at)?)
    }

    pub(crate) fn maybe_blob(&self, at: usize) -> Attempt<Option<Vec<u8>>> {
        column!(self, at, Blob, Vec<u8>)
    }

    /// Bytes of which the number is known.
    pub(crate) fn bytes<const N: usize>(&self, at: usize) -> Attempt<[u8; N]> {
        let bytes = self.blob(at)?;
        let n = bytes.len();
        bytes.try_into().map_err(|_| {
            Failure::Refused(Error::damaged(format!("a stored value has {n} bytes where {N} are expected")))
        })
    }

    /// A value of a column, by its kind.
    pub(crate) fn value(&self, at: usize, kind: super::table::Kind) -> Attempt<Value> {
        use super::table::Kind;
        Ok(match kind {
            Kind::Int => Value::Int(self.maybe_int(at)?),
            Kind::Text => Value::Text(self.maybe_text(at)?),
            Kind::Blob => Value::Blob(self.maybe_blob(at)?),
        })
    }
}
