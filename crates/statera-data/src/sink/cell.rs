//! Rows as comma-separated text, for CSV files and PostgreSQL's `COPY`.
//!
//! Numbers are written so that they read back to the same bits; null is an empty field and empty text is `""`; instants are
//! ISO 8601 in UTC.

use super::Encoding;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::DataType;
use encoding_rs::{EUC_KR, EncoderResult};
use jiff::Timestamp;
use rayon::prelude::*;
use statera_core::{Error, Result};
use std::io::Write;
use std::ops::Range;

/// Rows formatted by one task.
const BLOCK_ROWS: usize = 4096;

/// How rows become bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// Characters; a byte order mark is not this module's business.
    pub encoding: Encoding,
    /// What stands for null.
    pub null: &'static str,
}

/// The header line.
pub(super) fn header(rows: &arrow_schema::Schema, format: Format) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    for (at, field) in rows.fields().iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write_text(field.name(), format.encoding, &mut line).map_err(|e| e.at("the header"))?;
    }
    line.push(b'\n');
    Ok(line)
}

/// All rows of a batch, in order, as blocks of bytes; formatted in parallel. `first_row` rows came before, for messages.
pub(super) fn lines(rows: &RecordBatch, format: Format, first_row: u64) -> Result<Vec<Vec<u8>>> {
    let columns: Vec<Cells> = rows.columns().iter().map(|a| Cells::of(a.as_ref())).collect::<Result<_>>()?;
    let n_rows = rows.num_rows();
    (0..n_rows.div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|block| {
            let range = block * BLOCK_ROWS..n_rows.min((block + 1) * BLOCK_ROWS);
            let mut bytes = Vec::with_capacity(range.len() * columns.len() * 12);
            write_rows(&columns, range, format, &mut bytes).map_err(|(row, column, e)| {
                let schema = rows.schema();
                e.at(format!("row {}, column «{}»", first_row + row as u64 + 1, schema.field(column).name()))
            })?;
            Ok(bytes)
        })
        .collect()
}

fn write_rows(
    columns: &[Cells],
    rows: Range<usize>,
    format: Format,
    bytes: &mut Vec<u8>,
) -> std::result::Result<(), (usize, usize, Error)> {
    for row in rows {
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                bytes.push(b',');
            }
            column.write(row, format, bytes).map_err(|e| (row, at, e))?;
        }
        bytes.push(b'\n');
    }
    Ok(())
}

/// The cells of a column.
enum Cells<'a> {
    Int(&'a Int64Array),
    Float(&'a Float64Array),
    Decimal(&'a Decimal128Array, usize),
    Text(&'a StringArray),
    Time(&'a TimestampMicrosecondArray),
}

impl<'a> Cells<'a> {
    fn of(array: &'a dyn Array) -> Result<Cells<'a>> {
        Ok(match array.data_type() {
            DataType::Int64 => Cells::Int(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Cells::Float(array.as_primitive::<Float64Type>()),
            DataType::Decimal128(_, scale) => {
                Cells::Decimal(array.as_primitive::<Decimal128Type>(), usize::try_from(*scale).unwrap_or(0))
            }
            DataType::Utf8 => Cells::Text(array.as_string::<i32>()),
            DataType::Timestamp(_, Some(_)) => Cells::Time(array.as_primitive::<TimestampMicrosecondType>()),
            other => return Err(Error::request(format!("a column of type {other} cannot be written"))),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Int(a) => a.is_null(row),
            Cells::Float(a) => a.is_null(row) || a.value(row).is_nan(),
            Cells::Decimal(a, _) => a.is_null(row),
            Cells::Text(a) => a.is_null(row),
            Cells::Time(a) => a.is_null(row),
        }
    }

    fn write(&self, row: usize, format: Format, bytes: &mut Vec<u8>) -> Result<()> {
        if self.is_null(row) {
            bytes.extend_from_slice(format.null.as_bytes());
            return Ok(());
        }
        match self {
            Cells::Int(a) => write!(bytes, "{}", a.value(row))?,
            Cells::Float(a) => bytes.extend_from_slice(ryu::Buffer::new().format(a.value(row)).as_bytes()),
            Cells::Decimal(a, scale) => write_decimal(a.value(row), *scale, bytes)?,
            Cells::Text(a) => write_text(a.value(row), format.encoding, bytes)?,
            Cells::Time(a) => {
                let us = a.value(row);
                let time = Timestamp::from_microsecond(us)
                    .map_err(|_| Error::data(format!("{us} µs since 1970 is outside the years -9999 to 9999")))?;
                write!(bytes, "{time}")?;
            }
        }
        Ok(())
    }
}

fn write_decimal(unscaled: i128, scale: usize, bytes: &mut Vec<u8>) -> Result<()> {
    if unscaled < 0 {
        bytes.push(b'-');
    }
    let power = 10u128.pow(u32::try_from(scale).unwrap_or(0));
    let magnitude = unscaled.unsigned_abs();
    write!(bytes, "{}", magnitude / power)?;
    if scale > 0 {
        write!(bytes, ".{:0scale$}", magnitude % power)?;
    }
    Ok(())
}

/// True if a field must stand in quotes: its separators, blanks at the ends that readers trim, the empty text (an empty
/// field is null), and `\.`, which ends the data of a `COPY`.
fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'))
        || text.starts_with([' ', '\t'])
        || text.ends_with([' ', '\t'])
        || text == "\\."
}

fn write_text(text: &str, encoding: Encoding, bytes: &mut Vec<u8>) -> Result<()> {
    if needs_quotes(text) {
        encode(&format!("\"{}\"", text.replace('"', "\"\"")), encoding, bytes)
    } else {
        encode(text, encoding, bytes)
    }
}

fn encode(text: &str, encoding: Encoding, bytes: &mut Vec<u8>) -> Result<()> {
    if encoding != Encoding::Cp949 || text.is_ascii() {
        bytes.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    // The web's EUC-KR is CP949. A character takes two bytes at most, so the buffer suffices.
    let mut encoder = EUC_KR.new_encoder();
    let mut buffer = vec![0; text.len() * 2 + 8];
    match encoder.encode_from_utf8_without_replacement(text, &mut buffer, true) {
        (EncoderResult::InputEmpty, _, written) => {
            bytes.extend_from_slice(&buffer[..written]);
            Ok(())
        }
        (EncoderResult::Unmappable(character), ..) => Err(Error::data(format!(
            "«{text}» holds the character «{character}» (U+{:04X}), which CP949 lacks; write UTF-8 instead",
            u32::from(character)
        ))),
        (EncoderResult::OutputFull, ..) => Err(Error::data(format!("«{text}» cannot be written as CP949"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::ArrayRef;
    use std::sync::Arc;

    fn check(array: impl Array + 'static, expected: &[&str]) {
        let rows = RecordBatch::try_from_iter([("x", Arc::new(array) as ArrayRef)]).expect("valid");
        let bytes = lines(&rows, Format { encoding: Encoding::Utf8, null: "" }, 0).expect("formats").concat();
        assert_eq!(String::from_utf8(bytes).expect("UTF-8"), expected.join("\n") + "\n");
    }

    #[test]
    fn every_type_is_written() {
        check(Int64Array::from(vec![Some(i64::MIN), None, Some(7)]), &["-9223372036854775808", "", "7"]);
        check(Float64Array::from(vec![0.1, -1e-9, 1.0, 1e22, f64::NAN]), &["0.1", "-1e-9", "1.0", "1e22", ""]);
        let decimals = Decimal128Array::from(vec![Some(-1205), Some(5), None, Some(0)]);
        check(decimals.with_precision_and_scale(10, 2).expect("valid"), &["-12.05", "0.05", "", "0.00"]);
        check(Decimal128Array::from(vec![-3]).with_precision_and_scale(5, 0).expect("valid"), &["-3"]);
        let text = vec![Some("a"), Some(""), None, Some("a,b"), Some("say \"hi\""), Some(" x"), Some("\\."), Some("가\n나")];
        check(
            StringArray::from(text),
            &["a", "\"\"", "", "\"a,b\"", "\"say \"\"hi\"\"\"", "\" x\"", "\"\\.\"", "\"가\n나\""],
        );
        let times = TimestampMicrosecondArray::from(vec![0, 1_700_000_000_123_000, -1]).with_timezone("UTC");
        check(times, &["1970-01-01T00:00:00Z", "2023-11-14T22:13:20.123Z", "1969-12-31T23:59:59.999999Z"]);
    }

    #[test]
    fn blocks_are_in_order() {
        let n = 3 * BLOCK_ROWS as i64 + 5;
        let expected: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        check(Int64Array::from_iter_values(0..n), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn cp949_names_what_it_lacks() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["가나", "뷁, x", "朝 \u{20bf}"]));
        let rows = RecordBatch::try_from_iter([("name", text)]).expect("valid");
        let format = Format { encoding: Encoding::Cp949, null: "" };
        let bytes = lines(&rows.slice(0, 2), format, 0).expect("formats").concat();
        // 가 B0A1, 나 B3AA; 뷁 94EE is in CP949 but not in EUC-KR proper (outside values: Python's codec cp949).
        assert_eq!(bytes, b"\xb0\xa1\xb3\xaa\n\"\x94\xee, x\"\n");
        let error = lines(&rows, format, 10).expect_err("no bitcoin sign in CP949").to_string();
        assert_eq!(
            error,
            "row 13, column «name»: «朝 \u{20bf}» holds the character «\u{20bf}» (U+20BF), which CP949 lacks; write UTF-8 instead"
        );
    }
}
