//! Physical types: what Parquet, Arrow and other programs hold, brought to the few types a [`Table`](crate::Table) keeps.
//!
//! | from | to | not possible |
//! |---|---|---|
//! | integers | `Int64` | `UInt64` above 9223372036854775807 |
//! | `Float16`, `Float32`, `Float64` | `Float64` (exact; NaN becomes null, infinity stays) | |
//! | decimals | `Decimal128`, scale ≥ 0 | more than 38 digits |
//! | text, dictionaries of text, `Boolean` (`true`, `false`), `Null` | `Utf8` | |
//! | dates and timestamps | `Timestamp(Microsecond, "UTC")` (finer units rounded down) | years outside -9999…9999 |
//!
//! Everything else (lists, structs, maps, bytes that are no image, durations, times of day) is an error that names the column.

use crate::time::Zone;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use jiff::Timestamp;
use statera_core::{Error, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// Digits a `Decimal128` holds.
pub(crate) const DECIMAL_DIGITS: u8 = 38;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// The type of instants: microseconds UTC.
pub fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// True if a table keeps cells of this type as they are.
pub fn is_physical(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int64 | DataType::Float64 | DataType::Utf8 => true,
        DataType::Decimal128(_, scale) => *scale >= 0,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => zone.as_ref() == "UTC",
        _ => false,
    }
}

/// Brings every column of a batch to a physical type of a table, as the module says. Dates and times without a zone are
/// read in `zone`. `first_row` is the number of rows before this batch: errors name column, row (from 1) and value.
///
/// Columns that are physical already are shared, not copied.
pub fn normalise(batch: &RecordBatch, zone: &Zone, first_row: usize) -> Result<RecordBatch> {
    let schema = batch.schema();
    refuse_twins(&schema)?;
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let array = normalise_column(field.name(), array, zone, first_row)?;
        fields.push(Field::new(field.name(), array.data_type().clone(), true));
        columns.push(array);
    }
    rebuild(fields, columns, batch.num_rows())
}

/// Fails if two columns have one name.
fn refuse_twins(schema: &Schema) -> Result<()> {
    let mut names = HashSet::with_capacity(schema.fields().len());
    match schema.fields().iter().find(|f| !names.insert(f.name())) {
        None => Ok(()),
        Some(field) => Err(Error::data(format!("the column name «{}» occurs twice; names must differ", field.name()))),
    }
}

/// A batch of these columns; `n_rows` counts where there is no column.
pub(crate) fn rebuild(fields: Vec<Field>, columns: Vec<ArrayRef>, n_rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|e| Error::data(e.to_string()))
}

/// Brings one column to a physical type; see [`normalise`].
pub fn normalise_column(name: &str, array: &ArrayRef, zone: &Zone, first_row: usize) -> Result<ArrayRef> {
    let place = Place { name, first_row };
    let data_type = array.data_type();
    Ok(match data_type {
        DataType::Float64 => without_nan(array),
        _ if is_physical(data_type) => array.clone(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => cast(array, &DataType::Int64, &place)?,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => cast(array, &DataType::Int64, &place)?,
        DataType::UInt64 => Arc::new(signed(array, &place)?),
        DataType::Float16 | DataType::Float32 => without_nan(&cast(array, &DataType::Float64, &place)?),
        DataType::Boolean => {
            let words = array.as_boolean().iter().map(|b| b.map(|b| if b { "true" } else { "false" }));
            Arc::new(words.collect::<StringArray>())
        }
        DataType::LargeUtf8 | DataType::Utf8View => cast(array, &DataType::Utf8, &place)?,
        DataType::Null => new_null_array(&DataType::Utf8, array.len()),
        DataType::Dictionary(_, values) => normalise_column(name, &cast(array, values, &place)?, zone, first_row)?,
        DataType::RunEndEncoded(_, values) => {
            normalise_column(name, &cast(array, values.data_type(), &place)?, zone, first_row)?
        }
        DataType::Decimal32(..) => decimals::<Decimal32Type>(array, &place, |v| Some(i128::from(v)))?,
        DataType::Decimal64(..) => decimals::<Decimal64Type>(array, &place, |v| Some(i128::from(v)))?,
        DataType::Decimal128(..) => decimals::<Decimal128Type>(array, &place, Some)?,
        DataType::Decimal256(..) => decimals::<Decimal256Type>(array, &place, |v| v.to_i128())?,
        DataType::Date32 => instants::<Date32Type>(array, &place, Some(zone), |d| i64::from(d).checked_mul(DAY_US))?,
        DataType::Date64 => instants::<Date64Type>(array, &place, Some(zone), |ms| ms.checked_mul(1000))?,
        DataType::Timestamp(unit, of) => {
            let naive = if of.is_none() { Some(zone) } else { None };
            match unit {
                TimeUnit::Second => {
                    instants::<TimestampSecondType>(array, &place, naive, |s| s.checked_mul(1_000_000))?
                }
                TimeUnit::Millisecond => {
                    instants::<TimestampMillisecondType>(array, &place, naive, |ms| ms.checked_mul(1000))?
                }
                TimeUnit::Microsecond => instants::<TimestampMicrosecondType>(array, &place, naive, Some)?,
                TimeUnit::Nanosecond => {
                    instants::<TimestampNanosecondType>(array, &place, naive, |ns| Some(ns.div_euclid(1000)))?
                }
            }
        }
        other => {
            return Err(Error::data(format!(
                "column «{name}» is of type {other}; allowed are integers, floats, decimals, text, booleans, dates and \
                 timestamps: convert the column or leave it out"
            )));
        }
    })
}

/// Where a cell lies, for messages.
struct Place<'a> {
    name: &'a str,
    first_row: usize,
}

impl Place<'_> {
    fn error(&self, row: usize, what: &str) -> Error {
        Error::data(format!("column «{}», row {}: {what}", self.name, self.first_row + row + 1))
    }
}

/// A cast that cannot lose anything.
fn cast(array: &ArrayRef, to: &DataType, place: &Place) -> Result<ArrayRef> {
    let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
    arrow_cast::cast_with_options(array, to, &options)
        .map_err(|e| Error::data(format!("column «{}», from row {}: {e}", place.name, place.first_row + 1)))
}

/// Not a number means missing; a column without any is shared.
pub(crate) fn without_nan(array: &ArrayRef) -> ArrayRef {
    let floats = array.as_primitive::<Float64Type>();
    if !floats.values().iter().any(|v| v.is_nan()) {
        return array.clone();
    }
    let numbers = NullBuffer::from_iter(floats.values().iter().map(|v| !v.is_nan()));
    let nulls = NullBuffer::union(floats.nulls(), Some(&numbers));
    // The values below a null are zeroed, so that equal columns have equal bytes.
    let values: Vec<f64> = floats.values().iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect();
    Arc::new(Float64Array::new(values.into(), nulls))
}

fn signed(array: &ArrayRef, place: &Place) -> Result<Int64Array> {
    let unsigned = array.as_primitive::<UInt64Type>();
    map_valid(unsigned, |row, v| {
        i64::try_from(v).map_err(|_| {
            place.error(
                row,
                &format!("{v} is above {}, the largest integer; write the column as decimal or text", i64::MAX),
            )
        })
    })
}

/// Maps the valid cells; those below a null become zero.
pub(crate) fn map_valid<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    array: &PrimitiveArray<A>,
    mut map: impl FnMut(usize, A::Native) -> Result<B::Native>,
) -> Result<PrimitiveArray<B>>
where
    B::Native: Default,
{
    let nulls = array.nulls();
    let values: Result<Vec<B::Native>> = array
        .values()
        .iter()
        .enumerate()
        .map(|(row, v)| if nulls.is_some_and(|n| n.is_null(row)) { Ok(B::Native::default()) } else { map(row, *v) })
        .collect();
    Ok(PrimitiveArray::new(values?.into(), nulls.cloned()))
}

fn decimals<T: DecimalType>(
    array: &ArrayRef,
    place: &Place,
    widen: impl Fn(T::Native) -> Option<i128>,
) -> Result<ArrayRef> {
    let (precision, scale) = match *array.data_type() {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => (p, s),
        ref other => return Err(Error::data(format!("column «{}» is of type {other}, not a decimal", place.name))),
    };
    if scale > DECIMAL_DIGITS as i8 {
        return Err(Error::data(format!(
            "column «{}» has {scale} decimals; allowed are at most {DECIMAL_DIGITS}",
            place.name
        )));
    }
    // A negative scale counts zeros before the point: they are written out.
    let factor = power_of_ten(u32::from((-scale).max(0).unsigned_abs()));
    let limit = power_of_ten(u32::from(DECIMAL_DIGITS)).unwrap_or(i128::MAX);
    let wide: Decimal128Array = map_valid(array.as_primitive::<T>(), |row, v| {
        widen(v).zip(factor).and_then(|(v, f)| v.checked_mul(f)).filter(|v| v.abs() < limit).ok_or_else(|| {
            place.error(
                row,
                &format!("a decimal of more than {DECIMAL_DIGITS} digits; write the column as float or text"),
            )
        })
    })?;
    let precision = (i16::from(precision) + i16::from((-scale).max(0))).clamp(1, i16::from(DECIMAL_DIGITS)) as u8;
    wide.with_precision_and_scale(precision, scale.max(0))
        .map(|a| Arc::new(a) as ArrayRef)
        .map_err(|e| Error::data(format!("column «{}»: {e}", place.name)))
}

/// `10^exponent` if a `Decimal128` holds it.
pub(crate) fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

fn instants<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    place: &Place,
    naive: Option<&Zone>,
    to_us: impl Fn(T::Native) -> Option<i64>,
) -> Result<ArrayRef> {
    let instants: TimestampMicrosecondArray = map_valid(array.as_primitive::<T>(), |row, v| {
        let us =
            to_us(v).ok_or_else(|| place.error(row, &format!("the time {v:?} is outside the years -9999 to 9999")))?;
        instant(us, naive).map_err(|e| e.at(format!("column «{}», row {}", place.name, place.first_row + row + 1)))
    })?;
    Ok(Arc::new(instants.with_timezone("UTC")))
}

/// The instant, in microseconds UTC, of a clock reading `us` (microseconds since 1970-01-01T00:00 on that clock) in a zone;
/// a reading that occurs twice is the first, one that is skipped moves on by the gap (RFC 5545).
pub(crate) fn instant(us: i64, zone: Option<&Zone>) -> Result<i64> {
    let outside = |_| Error::data(format!("a time of {us} µs since 1970 is outside the years -9999 to 9999"));
    let reading = Timestamp::from_microsecond(us).map_err(outside)?;
    match zone {
        None => Ok(us),
        Some(zone) => zone.instant_of_clock(reading).map_err(outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::{Int8Type, Int32Type};
    use arrow_array::*;
    use arrow_buffer::i256;

    fn utc(us: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(us).with_timezone("UTC"))
    }

    fn check(from: impl Array + 'static, expected: ArrayRef) {
        let array = normalise_column("x", &(Arc::new(from) as ArrayRef), &Zone::utc(), 0).expect("normalises");
        assert_eq!(array.data_type(), expected.data_type());
        assert_eq!(&array, &expected);
        assert!(is_physical(array.data_type()));
    }

    fn check_error(from: impl Array + 'static, expected: &str) {
        let error = normalise_column("x", &(Arc::new(from) as ArrayRef), &Zone::utc(), 10).expect_err("must fail");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn numbers_keep_their_values() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        check(Int8Array::from(vec![Some(1), None, Some(3)]), ints.clone());
        check(UInt16Array::from(vec![Some(1), None, Some(3)]), ints.clone());
        check(UInt64Array::from(vec![Some(1), None, Some(3)]), ints.clone());
        check(Int64Array::from(vec![Some(1), None, Some(3)]), ints);
        // 0.1f32 widened exactly, and NaN is missing.
        check(
            Float32Array::from(vec![Some(0.1), Some(f32::NAN), None]),
            Arc::new(Float64Array::from(vec![Some(0.100_000_001_490_116_12), None, None])),
        );
        check(
            Float64Array::from(vec![f64::NAN, f64::INFINITY]),
            Arc::new(Float64Array::from(vec![None, Some(f64::INFINITY)])),
        );
        check_error(
            UInt64Array::from(vec![1, u64::MAX]),
            "column «x», row 12: 18446744073709551615 is above 9223372036854775807, the largest integer; write the column \
             as decimal or text",
        );
    }

    #[test]
    fn decimals_become_decimal128() {
        let expected = Decimal128Array::from(vec![Some(1234), None]).with_precision_and_scale(9, 2).expect("valid");
        check(
            Decimal32Array::from(vec![Some(1234), None]).with_precision_and_scale(9, 2).expect("valid"),
            Arc::new(expected),
        );
        let expected = Decimal128Array::from(vec![120_000]).with_precision_and_scale(7, 0).expect("valid");
        check(Decimal128Array::from(vec![12]).with_precision_and_scale(3, -4).expect("valid"), Arc::new(expected));
        let wide = Decimal256Array::from(vec![i256::from_i128(-5)]).with_precision_and_scale(70, 3).expect("valid");
        let expected = Decimal128Array::from(vec![-5]).with_precision_and_scale(38, 3).expect("valid");
        check(wide, Arc::new(expected));
        let too_wide = i256::from_i128(i128::MAX).wrapping_mul(i256::from_i128(10));
        check_error(
            Decimal256Array::from(vec![too_wide]).with_precision_and_scale(70, 3).expect("valid"),
            "column «x», row 11: a decimal of more than 38 digits; write the column as float or text",
        );
    }

    #[test]
    fn text_and_truth_values_become_text() {
        let words: ArrayRef = Arc::new(StringArray::from(vec![Some("가"), None, Some("b")]));
        check(LargeStringArray::from(vec![Some("가"), None, Some("b")]), words.clone());
        check(StringViewArray::from(vec![Some("가"), None, Some("b")]), words.clone());
        check(DictionaryArray::<Int8Type>::from_iter([Some("가"), None, Some("b")]), words);
        check(
            BooleanArray::from(vec![Some(true), None, Some(false)]),
            Arc::new(StringArray::from(vec![Some("true"), None, Some("false")])),
        );
        check(NullArray::new(2), Arc::new(StringArray::from(vec![None::<&str>, None])));
        let mut runs = builder::PrimitiveRunBuilder::<Int32Type, Int32Type>::new();
        runs.extend([Some(7), Some(7), None]);
        check(runs.finish(), Arc::new(Int64Array::from(vec![Some(7), Some(7), None])));
    }

    #[test]
    fn times_become_microseconds_utc() {
        check(Date32Array::from(vec![Some(1), None, Some(-1)]), utc(vec![Some(DAY_US), None, Some(-DAY_US)]));
        check(Date64Array::from(vec![1500]), utc(vec![Some(1_500_000)]));
        check(TimestampSecondArray::from(vec![2]), utc(vec![Some(2_000_000)]));
        // Before 1970 rounding down is away from zero.
        check(TimestampNanosecondArray::from(vec![1999, -1]), utc(vec![Some(1), Some(-1)]));
        check(TimestampMillisecondArray::from(vec![3]).with_timezone("Asia/Seoul"), utc(vec![Some(3000)]));
        check_error(
            TimestampSecondArray::from(vec![i64::MAX]),
            "column «x», row 11: the time 9223372036854775807 is outside the years -9999 to 9999",
        );
        check_error(
            TimestampMicrosecondArray::from(vec![i64::MAX]),
            "column «x», row 11: a time of 9223372036854775807 µs since 1970 is outside the years -9999 to 9999",
        );
    }

    #[test]
    fn naive_times_are_read_in_the_zone() {
        let seoul = Zone::new(Some("Asia/Seoul")).expect("known");
        let day: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        let instant = normalise_column("x", &day, &seoul, 0).expect("normalises");
        assert_eq!(&instant, &utc(vec![Some(DAY_US - 9 * 3_600_000_000)]));
    }

    #[test]
    fn refuses_nested_types() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let error = normalise_column("tags", &(Arc::new(list) as ArrayRef), &Zone::utc(), 0).expect_err("must fail");
        assert!(error.to_string().starts_with("column «tags» is of type List("), "{error}");
        assert!(error.to_string().ends_with("convert the column or leave it out"), "{error}");
    }
}
