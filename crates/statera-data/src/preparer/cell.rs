//! Cells of the physical types as what learners compute with.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};
use statera_core::{Error, Result};

/// A column of numbers as 64-bit floats, NaN where missing.
///
/// # Errors
/// A cell that is infinite, or a column of another type; the message names column and row (the first row is 1).
pub fn number_cells(name: &str, column: &ArrayRef) -> Result<Vec<f64>> {
    let mut cells: Vec<f64> = match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().map(|&v| v as f64).collect(),
        DataType::Float64 => column.as_primitive::<Float64Type>().values().to_vec(),
        DataType::Decimal128(_, scale) => {
            let divisor = 10f64.powi(i32::from(*scale));
            column.as_primitive::<Decimal128Type>().values().iter().map(|&v| v as f64 / divisor).collect()
        }
        DataType::Null => vec![f64::NAN; column.len()],
        other => return Err(Error::data(format!("column «{name}» holds {other}, not numbers"))),
    };
    if let Some(nulls) = column.nulls() {
        for (row, cell) in cells.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *cell = f64::NAN;
            }
        }
    }
    if let Some(row) = cells.iter().position(|v| v.is_infinite()) {
        return Err(Error::data(format!(
            "column «{name}», row {}: {} is infinite; numbers must be finite or missing",
            row + 1,
            cells[row]
        )));
    }
    Ok(cells)
}

/// A column of levels.
///
/// # Errors
/// A column of another type.
pub fn category_cells<'a>(name: &str, column: &'a ArrayRef) -> Result<&'a StringArray> {
    column
        .as_string_opt::<i32>()
        .ok_or_else(|| Error::data(format!("column «{name}» holds {}, not text", column.data_type())))
}

/// A column of times as microseconds UTC, `None` where missing.
///
/// # Errors
/// A column of another type.
pub fn time_cells(name: &str, column: &ArrayRef) -> Result<Vec<Option<i64>>> {
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect())
        }
        other => Err(Error::data(format!("column «{name}» holds {other}, not times"))),
    }
}
