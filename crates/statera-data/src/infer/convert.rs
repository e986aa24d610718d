//! Text cells to typed cells.

use super::number::{parse_decimal, parse_f64, parse_i64, plain};
use super::survey::{missing_token, trimmed};
use super::{TextFormat, time_type};
use crate::time::{self, TimeFormat, Zone};
use arrow_array::builder::StringBuilder;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, ScalarBuffer};
use arrow_schema::DataType;
use statera_core::Error;
use std::sync::Arc;

/// A cell that is not what its column should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Its row in the array.
    pub row: usize,
    /// Its text.
    pub value: String,
    /// What it should be, such as `a number`.
    pub wanted: &'static str,
}

impl Misfit {
    /// «value» is not what is wanted; long values are cut.
    pub fn describe(&self) -> String {
        let mut shown: String = self.value.chars().take(60).collect();
        if shown.len() < self.value.len() {
            shown.push('…');
        }
        format!("«{shown}» is not {}", self.wanted)
    }

    /// An error that names the place of the row and the column.
    pub fn at(&self, place: &str, column: &str) -> Error {
        Error::data(format!("{place}, column «{column}»: {}", self.describe()))
    }
}

/// The cells of `text` as `to`: `Int64`, `Float64`, `Decimal128`, `Timestamp(Microsecond, "UTC")` or `Utf8`.
///
/// Missing tokens become null, blanks around a cell are dropped, numbers and times are read by `format`, times without an
/// offset in `zone`. `Int64` takes `5.00` and `1.5e3` but not `5.01`; `Decimal128` takes no more digits after the mark than its
/// scale, whatever the exponent.
///
/// # Errors
/// The first cell that does not fit.
pub fn convert(text: &StringArray, to: &DataType, format: &TextFormat, zone: &Zone) -> Result<ArrayRef, Misfit> {
    let mut scratch = String::new();
    match to {
        DataType::Utf8 => Ok(Arc::new(convert_text(text))),
        DataType::Int64 => cells::<Int64Type>(text, "a whole number of 64 bits", |cell| {
            fast_i64(cell.as_bytes(), format).or_else(|| {
                plain(cell, format, &mut scratch)?;
                parse_i64(&scratch)
            })
        })
        .map(|a| Arc::new(a) as ArrayRef),
        DataType::Float64 => cells::<Float64Type>(text, "a number", |cell| {
            plain(cell, format, &mut scratch)?;
            parse_f64(&scratch)
        })
        .map(|a| Arc::new(a) as ArrayRef),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            let array = cells::<Decimal128Type>(text, "a number with that many digits", |cell| {
                plain(cell, format, &mut scratch)?;
                parse_decimal(&scratch, *scale as u32)
                    .filter(|v| v.unsigned_abs() < 10u128.pow(u32::from(*precision).min(38)))
            })?;
            Ok(Arc::new(array.with_data_type(to.clone())))
        }
        other if *other == time_type() => {
            let time_format = format.time.unwrap_or(TimeFormat { day_first: true });
            let array = cells::<TimestampMicrosecondType>(text, "a date or time", |cell| {
                time::parse_cell(cell, time_format, zone)
            })?;
            Ok(Arc::new(array.with_timezone("UTC")))
        }
        _ => Err(Misfit { row: 0, value: to.to_string(), wanted: "a type that text is read as" }),
    }
}

/// Converts cell by cell; missing ones become null.
fn cells<T: ArrowPrimitiveType>(
    text: &StringArray,
    wanted: &'static str,
    mut parse: impl FnMut(&str) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>, Misfit> {
    let mut values: Vec<T::Native> = Vec::with_capacity(text.len());
    let mut nulls = NullBufferBuilder::new(text.len());
    for row in 0..text.len() {
        let cell = if text.is_null(row) { "" } else { trimmed(text.value(row)) };
        if missing_token(cell).is_some() {
            values.push(T::Native::default());
            nulls.append_null();
            continue;
        }
        match parse(cell) {
            Some(value) => values.push(value),
            None => return Err(Misfit { row, value: cell.to_string(), wanted }),
        }
        nulls.append_non_null();
    }
    Ok(PrimitiveArray::new(ScalarBuffer::from(values), nulls.finish()))
}

/// An integer without marks in a column without percent and currency signs.
fn fast_i64(cell: &[u8], format: &TextFormat) -> Option<i64> {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    if digits.is_empty() || digits.len() > 18 || format.percent || format.currency.is_some() {
        return None;
    }
    let value = digits.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))?;
    Some(if digits.len() < cell.len() { -value } else { value })
}

/// The same text with missing tokens as nulls and without blanks around cells; shares the bytes where no blank is dropped.
fn convert_text(text: &StringArray) -> StringArray {
    let mut nulls = NullBufferBuilder::new(text.len());
    let mut blanks = false;
    for row in 0..text.len() {
        let whole = if text.is_null(row) { "" } else { text.value(row) };
        let cell = trimmed(whole);
        let missing = missing_token(cell).is_some();
        blanks |= cell.len() != whole.len() && !missing;
        nulls.append(!missing);
    }
    let nulls: Option<NullBuffer> = nulls.finish();
    if !blanks {
        return StringArray::new(text.offsets().clone(), text.values().clone(), nulls);
    }
    let mut builder = StringBuilder::with_capacity(text.len(), text.value_data().len());
    for row in 0..text.len() {
        match &nulls {
            Some(nulls) if nulls.is_null(row) => builder.append_null(),
            _ => builder.append_value(trimmed(text.value(row))),
        }
    }
    builder.finish()
}
