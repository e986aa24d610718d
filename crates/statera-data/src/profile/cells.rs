//! One column's cells, in a form that can be sorted or counted.

use super::hash::FastMap;
use crate::Table;
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::{DataType, TimeUnit};
use statera_core::{Error, Result};

/// Code of a missing cell in [`Levels`].
pub(super) const NO_LEVEL: u32 = u32::MAX;

/// The cells of a column, and how many of them are nothing.
pub(super) struct Cells<'a> {
    pub values: Values<'a>,
    /// Null, or NaN.
    pub n_missing: usize,
    /// Equal to a number that was declared to mean missing.
    pub n_sentinel: usize,
    /// Infinite; set aside.
    pub n_infinite: usize,
}

/// What the cells are.
pub(super) enum Values<'a> {
    /// Numbers and times, as integers in the same order; `None` is nothing.
    Ordered(Ordered),
    /// Text, as codes.
    Levels(Levels<'a>),
}

pub(super) struct Ordered {
    pub keys: Vec<Option<i64>>,
    pub scale: Scale,
}

/// Distinct texts in order of appearance, and per row the index of its text or [`NO_LEVEL`].
pub(super) struct Levels<'a> {
    pub codes: Vec<u32>,
    pub texts: Vec<&'a str>,
    pub counts: Vec<usize>,
}

/// How a key becomes a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// It is the number (or microseconds UTC).
    Integer,
    /// The number's bits, reordered.
    Float,
    /// The number is the key divided by this.
    Decimal(f64),
}

impl Scale {
    pub fn value(self, key: i64) -> f64 {
        match self {
            Scale::Integer => key as f64,
            Scale::Float => f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64),
            Scale::Decimal(divisor) => key as f64 / divisor,
        }
    }
}

/// The key whose order is that of the numbers; zero has one sign.
fn float_key(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The chunks of a column.
pub(super) fn chunks(table: &Table, idx: usize) -> Vec<ArrayRef> {
    table.batches.iter().map(|b| b.column(idx).clone()).collect()
}

/// The physical type of a column, as shown to the user.
pub(super) fn physical(table: &Table, idx: usize) -> Result<String> {
    let batch =
        table.batches.first().ok_or_else(|| Error::data(format!("{}: the table has no batch", table.origin)))?;
    Ok(match batch.schema().field(idx).data_type() {
        DataType::Int64 => "integer".into(),
        DataType::Float64 => "float".into(),
        DataType::Decimal128(p, s) => format!("decimal({p}, {s})"),
        DataType::Utf8 => "text".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".into(),
        other => {
            let name = &table.columns[idx].name;
            return Err(Error::data(format!(
                "{}: column «{name}» has the physical type {other}; allowed are Int64, Float64, Decimal128, Utf8 and Timestamp(µs)",
                table.origin
            )));
        }
    })
}

/// Reads a column; cells equal to one of `sentinels` are nothing.
pub(super) fn read<'a>(table: &'a Table, idx: usize, sentinels: &[f64]) -> Result<Cells<'a>> {
    physical(table, idx)?;
    let n_rows = table.n_rows();
    let arrays = table.batches.iter().map(|b| b.column(idx));
    Ok(match table.batches[0].schema().field(idx).data_type() {
        DataType::Utf8 => read_levels(arrays, n_rows, sentinels),
        DataType::Float64 => {
            let values = arrays.flat_map(|a| a.as_primitive::<Float64Type>().iter());
            read_ordered(values.map(|v| v.filter(|x| !x.is_nan()).map(float_key)), n_rows, Scale::Float, sentinels)
        }
        DataType::Decimal128(_, digits) => {
            let values: Vec<Option<i128>> = arrays.flat_map(|a| a.as_primitive::<Decimal128Type>().iter()).collect();
            read_decimals(&values, 10f64.powi(i32::from(*digits)), sentinels)
        }
        DataType::Int64 => {
            read_ordered(arrays.flat_map(|a| a.as_primitive::<Int64Type>().iter()), n_rows, Scale::Integer, sentinels)
        }
        _ => {
            let values = arrays.flat_map(|a| a.as_primitive::<TimestampMicrosecondType>().iter());
            read_ordered(values, n_rows, Scale::Integer, &[])
        }
    })
}

fn read_ordered<'a>(
    cells: impl Iterator<Item = Option<i64>>,
    n_rows: usize,
    scale: Scale,
    sentinels: &[f64],
) -> Cells<'a> {
    let (mut n_missing, mut n_sentinel, mut n_infinite) = (0, 0, 0);
    let mut keys = Vec::with_capacity(n_rows);
    for cell in cells {
        keys.push(match cell {
            None => {
                n_missing += 1;
                None
            }
            Some(key) => {
                let value = scale.value(key);
                if scale == Scale::Float && value.is_infinite() {
                    n_infinite += 1;
                    None
                } else if sentinels.contains(&value) {
                    n_sentinel += 1;
                    None
                } else {
                    Some(key)
                }
            }
        });
    }
    Cells { values: Values::Ordered(Ordered { keys, scale }), n_missing, n_sentinel, n_infinite }
}

/// Decimals keep their digits where these fit 64 bits; longer ones are ordered as floating-point numbers.
fn read_decimals<'a>(values: &[Option<i128>], divisor: f64, sentinels: &[f64]) -> Cells<'a> {
    if values.iter().flatten().all(|&v| i64::try_from(v).is_ok()) {
        let keys = values.iter().map(|v| v.map(|v| v as i64));
        read_ordered(keys, values.len(), Scale::Decimal(divisor), sentinels)
    } else {
        let keys = values.iter().map(|v| v.map(|v| float_key(v as f64 / divisor)));
        read_ordered(keys, values.len(), Scale::Float, sentinels)
    }
}

fn read_levels<'a>(arrays: impl Iterator<Item = &'a ArrayRef>, n_rows: usize, sentinels: &[f64]) -> Cells<'a> {
    let mut map: FastMap<&'a str, u32> = FastMap::default();
    let mut levels = Levels { codes: Vec::with_capacity(n_rows), texts: Vec::new(), counts: Vec::new() };
    let (mut n_missing, mut n_sentinel) = (0, 0);
    for array in arrays {
        for cell in array.as_string::<i32>() {
            let Some(text) = cell else {
                n_missing += 1;
                levels.codes.push(NO_LEVEL);
                continue;
            };
            let code = *map.entry(text).or_insert_with(|| {
                levels.texts.push(text);
                levels.counts.push(0);
                levels.texts.len() as u32 - 1
            });
            levels.counts[code as usize] += 1;
            levels.codes.push(code);
        }
    }
    if !sentinels.is_empty() {
        n_sentinel = drop_sentinels(&mut levels, sentinels);
    }
    Cells { values: Values::Levels(levels), n_missing, n_sentinel, n_infinite: 0 }
}

/// Takes the levels away that read as one of `sentinels`; returns the number of their cells.
fn drop_sentinels(levels: &mut Levels<'_>, sentinels: &[f64]) -> usize {
    let is_sentinel = |text: &str| text.trim().parse::<f64>().is_ok_and(|v| sentinels.contains(&v));
    let mut kept = Levels { codes: Vec::new(), texts: Vec::new(), counts: Vec::new() };
    let mut n_dropped = 0;
    let mut recode = Vec::with_capacity(levels.texts.len());
    for (&text, &count) in levels.texts.iter().zip(&levels.counts) {
        if is_sentinel(text) {
            n_dropped += count;
            recode.push(NO_LEVEL);
        } else {
            recode.push(kept.texts.len() as u32);
            kept.texts.push(text);
            kept.counts.push(count);
        }
    }
    kept.codes = levels.codes.iter().map(|&c| if c == NO_LEVEL { c } else { recode[c as usize] }).collect();
    *levels = kept;
    n_dropped
}
