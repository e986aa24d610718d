//! What goes into statements and comes out of rows: whole numbers, text and bytes; nothing else is stored.

use super::failure::{Attempt, Failure};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
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

/// Arguments for SQLite.
pub(crate) fn sqlite(values: Vec<Value>) -> Attempt<SqliteArguments<'static>> {
    let mut arguments = SqliteArguments::default();
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
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Reads a column as a type, from either driver.
macro_rules! column {
    ($row:expr, $at:expr, $type:ty) => {
        match $row {
            Row::Sqlite(row) => row.try_get::<$type, _>($at),
            Row::Postgres(row) => row.try_get::<$type, _>($at),
        }
        .map_err(|e| Failure::Refused(Error::damaged(format!("a stored value cannot be read: {e}"))))
    };
}

impl Row {
    pub(crate) fn int(&self, at: usize) -> Attempt<i64> {
        column!(self, at, i64)
    }

    pub(crate) fn maybe_int(&self, at: usize) -> Attempt<Option<i64>> {
        column!(self, at, Option<i64>)
    }

    pub(crate) fn text(&self, at: usize) -> Attempt<String> {
        column!(self, at, String)
    }

    pub(crate) fn maybe_text(&self, at: usize) -> Attempt<Option<String>> {
        column!(self, at, Option<String>)
    }

    pub(crate) fn blob(&self, at: usize) -> Attempt<Vec<u8>> {
        column!(self, at, Vec<u8>)
    }

    pub(crate) fn maybe_blob(&self, at: usize) -> Attempt<Option<Vec<u8>>> {
        column!(self, at, Option<Vec<u8>>)
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
