//! The cells of a column while rows are read.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use statera_core::{Error, Result};
use statera_data::conform::InputColumn;
use statera_data::infer::convert;
use statera_data::time::Zone;
use std::sync::Arc;

/// Most bytes of a cell's text.
const MAX_CELL_BYTES: usize = 64 << 10;

/// The cells of a column.
pub(super) struct Cells {
    values: Values,
    /// By row, from the first missing cell on: false if it is missing. Rows before it are there.
    valid: Option<Vec<bool>>,
}

/// Cells by type; 0 or nothing stands in the place of missing ones.
enum Values {
    Float(Vec<f64>),
    Int(Vec<i64>),
    Decimal(Vec<i128>, DataType),
    /// Microseconds since 1970 UTC.
    Time(Vec<i64>),
    Text {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
}

impl Cells {
    /// None yet, of about `n_rows`.
    ///
    /// # Errors
    /// A type that no table keeps.
    pub fn of(data_type: &DataType, n_rows: usize) -> Result<Cells> {
        let values = match data_type {
            DataType::Float64 => Values::Float(Vec::with_capacity(n_rows)),
            DataType::Int64 => Values::Int(Vec::with_capacity(n_rows)),
            DataType::Decimal128(_, scale) if *scale >= 0 => {
                Values::Decimal(Vec::with_capacity(n_rows), data_type.clone())
            }
            DataType::Timestamp(..) => Values::Time(Vec::with_capacity(n_rows)),
            DataType::Utf8 => {
                let mut ends = Vec::with_capacity(n_rows + 1);
                ends.push(0);
                Values::Text { ends, bytes: Vec::with_capacity(8 * n_rows) }
            }
            other => return Err(Error::damaged(format!("type {other}, which no table keeps"))),
        };
        Ok(Cells { values, valid: None })
    }

    fn len(&self) -> usize {
        match &self.values {
            Values::Float(v) => v.len(),
            Values::Int(v) | Values::Time(v) => v.len(),
            Values::Decimal(v, _) => v.len(),
            Values::Text { ends, .. } => ends.len() - 1,
        }
    }

    /// Takes back all cells but the first `n_rows`.
    pub fn truncate(&mut self, n_rows: usize) {
        match &mut self.values {
            Values::Float(v) => v.truncate(n_rows),
            Values::Int(v) | Values::Time(v) => v.truncate(n_rows),
            Values::Decimal(v, _) => v.truncate(n_rows),
            Values::Text { ends, bytes } => {
                ends.truncate(n_rows + 1);
                bytes.truncate(ends.last().map_or(0, |&end| end as usize));
            }
        }
        if let Some(valid) = &mut self.valid {
            valid.truncate(n_rows);
        }
    }

    /// Adds a missing cell.
    pub fn push_missing(&mut self) {
        let n_rows = self.len();
        match &mut self.values {
            Values::Float(v) => v.push(0.0),
            Values::Int(v) | Values::Time(v) => v.push(0),
            Values::Decimal(v, _) => v.push(0),
            Values::Text { ends, bytes } => ends.push(bytes.len() as i32),
        }
        self.valid.get_or_insert_with(|| vec![true; n_rows]).push(false);
    }

    /// Says of the cell that was added last that it is there.
    fn pushed(&mut self) {
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
    }

    /// Adds a number as it is written in JSON.
    pub fn push_number(&mut self, raw: &str, input: &InputColumn, zone: &Zone) -> std::result::Result<(), String> {
        match &mut self.values {
            Values::Float(values) => values.push(float_of(raw)?),
            Values::Int(values) => match raw.parse() {
                Ok(value) => values.push(value),
                Err(_) => return self.push_converted(raw, input, zone),
            },
            Values::Text { .. } => return self.push_text(raw, input, zone),
            Values::Decimal(..) | Values::Time(_) => return self.push_converted(raw, input, zone),
        }
        self.pushed();
        Ok(())
    }

    /// Adds text.
    pub fn push_text(&mut self, text: &str, input: &InputColumn, zone: &Zone) -> std::result::Result<(), String> {
        if text.len() > MAX_CELL_BYTES {
            return Err(format!("the text has {} bytes; allowed: at most {MAX_CELL_BYTES}", text.len()));
        }
        let Values::Text { ends, bytes } = &mut self.values else {
            return self.push_converted(text, input, zone);
        };
        // Missing tokens and blanks are left to the scorer, which treats all text of all sources alike.
        bytes.extend_from_slice(text.as_bytes());
        let end = i32::try_from(bytes.len()).map_err(|_| "the rows have more than 2 GiB of text".to_string())?;
        ends.push(end);
        self.pushed();
        Ok(())
    }

    /// Adds what text is by the rules of the training.
    fn push_converted(&mut self, text: &str, input: &InputColumn, zone: &Zone) -> std::result::Result<(), String> {
        let format = input.text.clone().unwrap_or_default();
        let one = convert(&StringArray::from_iter_values([text]), &input.data_type, &format, zone)
            .map_err(|misfit| misfit.describe())?;
        if one.is_null(0) {
            self.push_missing();
            return Ok(());
        }
        match &mut self.values {
            Values::Float(values) => values.push(one.as_primitive::<Float64Type>().value(0)),
            Values::Int(values) => values.push(one.as_primitive::<Int64Type>().value(0)),
            Values::Decimal(values, _) => values.push(one.as_primitive::<Decimal128Type>().value(0)),
            Values::Time(values) => values.push(one.as_primitive::<TimestampMicrosecondType>().value(0)),
            Values::Text { .. } => {}
        }
        self.pushed();
        Ok(())
    }

    /// The cells as a column.
    ///
    /// # Errors
    /// More than 2 GiB of text.
    pub fn finish(self) -> Result<ArrayRef> {
        let nulls = self.valid.map(NullBuffer::from);
        Ok(match self.values {
            Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Time(values) => Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC")),
            Values::Decimal(values, data_type) => {
                Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(data_type))
            }
            Values::Text { ends, bytes } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                let array = StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls);
                Arc::new(array.map_err(|e| Error::data(e.to_string()))?)
            }
        })
    }
}

/// The double that a JSON number is; a whole number must be it exactly.
fn float_of(raw: &str) -> std::result::Result<f64, String> {
    // Most cells are short whole numbers.
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit()) {
        let whole = digits.bytes().fold(0u64, |n, b| n * 10 + u64::from(b - b'0')) as f64;
        return Ok(if digits.len() < raw.len() { -whole } else { whole });
    }
    let value: f64 = raw.parse().map_err(|_| format!("«{raw}» is not a number"))?;
    if value.is_infinite() {
        return Err(format!("{raw} is larger than any number that is scored"));
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) && format!("{value:.0}") != raw {
        return Err(format!("{raw} has more digits than a double holds"));
    }
    Ok(value)
}
