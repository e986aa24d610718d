//! A table in memory.

use crate::conform::shown;
use crate::preparer::time_cells;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use statera_core::{Error, Kind, Result};
use std::sync::Arc;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

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

/// Cells as text, the way a level is written: exact for decimals, ISO 8601 for times (a date alone at midnight UTC).
pub fn texts_of(column: &ArrayRef) -> Vec<Option<String>> {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().map(|t| t.map(str::to_string)).collect(),
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| v.to_string())).collect(),
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().map(|v| v.map(|v| v.to_string())).collect(),
        DataType::Decimal128(_, scale) => {
            let scale = u8::try_from(*scale).unwrap_or(0);
            column.as_primitive::<Decimal128Type>().iter().map(|v| v.map(|v| shown(v, scale))).collect()
        }
        _ => match time_cells("", column) {
            Ok(cells) => cells.into_iter().map(|t| t.map(iso)).collect(),
            // Other types do not occur in a table; what has no text has no name.
            Err(_) => vec![None; column.len()],
        },
    }
}

/// A batch with more columns at its end, of these names.
///
/// # Errors
/// Columns of another length.
pub fn with_columns<'a>(
    batch: &RecordBatch,
    names: impl Iterator<Item = &'a str>,
    made: Vec<ArrayRef>,
) -> Result<RecordBatch> {
    let schema = batch.schema();
    let new = names.zip(&made).map(|(name, c)| Arc::new(Field::new(name, c.data_type().clone(), true)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(new).collect();
    let columns = batch.columns().iter().cloned().chain(made).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::data(e.to_string()))
}

/// A time, in microseconds since 1970 UTC, in ISO 8601; a day alone at midnight.
pub fn iso(micros: i64) -> String {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(instant) if micros % DAY == 0 => instant.strftime("%Y-%m-%d").to_string(),
        Ok(instant) => instant.to_string(),
        Err(_) => calendar(micros).unwrap_or_else(|| micros.to_string()),
    }
}

/// A time of the last hours of the year 9999, which are before the end of a calendar that leaves room for zones.
fn calendar(micros: i64) -> Option<String> {
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    let time = jiff::Span::new().try_microseconds(rest).ok()?;
    (rest == 0).then(|| date.to_string()).or_else(|| Some(format!("{}Z", date.at(0, 0, 0, 0).checked_add(time).ok()?)))
}

/// A number as an error tells it: in full as far as its digits say something.
pub(crate) fn told(number: f64) -> String {
    if number.abs() < 1e15 { number.to_string() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_four_digits_is_told_as_a_time() {
        let check = |micros: i64, text: &str| assert_eq!(iso(micros), text, "{micros}");
        check(0, "1970-01-01");
        check(1_000_000, "1970-01-01T00:00:01Z");
        check(253_402_214_400_000_000, "9999-12-31");
        check(253_402_300_799_000_000, "9999-12-31T23:59:59Z");
        check(253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z");
        check(-62_135_596_800_000_000, "0001-01-01");
        // What no calendar has.
        check(253_402_300_800_000_000, "253402300800000000");
        check(i64::MIN, "-9223372036854775808");
    }

    #[test]
    fn long_numbers_are_told_in_short() {
        let check = |number: f64, text: &str| assert_eq!(told(number), text, "{number}");
        check(-0.01, "-0.01");
        check(1e13, "10000000000000");
        check(1e300, "1e300");
        check(-2.5e15, "-2.5e15");
        check(f64::INFINITY, "inf");
    }
}
