//! Rows to be scored, brought to the columns and types that a model was trained on, without loss or not at all.
//!
//! Columns are found by name: their order does not matter, further ones are ignored and counted, missing ones are an error
//! that lists them all. A column of another type is converted if every cell keeps its value:
//!
//! | from \ to | `Int64` | `Float64` | `Decimal128` | `Utf8` | instant |
//! |---|---|---|---|---|---|
//! | `Int64` | same | if a double holds it | if the digits suffice | as digits: `1`, never `1.0` | no |
//! | `Float64` | if whole | same, finite | if its shortest decimal text fits | if whole, up to 2^53 | no |
//! | `Decimal128` | if whole | if it reads back from the double | if nothing is cut off | if whole | no |
//! | `Utf8` | by the rules of [`infer`](crate::infer) | same rules | same rules | missing tokens become null | same rules |
//! | instant | no | no | no | no | same |
//!
//! Null stays null, and NaN is null. Columns that fit already are shared, not copied.

use crate::infer::{TextFormat, convert};
use crate::source::physical::{instant_type, is_physical, map_valid, normalise_column, power_of_ten, rebuild};
use crate::time::Zone;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, new_null_array,
};
use arrow_schema::{DataType, Field};
use statera_core::{Error, Kind, Result};
use std::fmt::Display;
use std::sync::Arc;

/// Whole numbers up to this one have one text as a double: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A column that a model was trained on.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputColumn {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// Its physical type: one of those of a [`Table`](crate::Table).
    #[serde(with = "crate::type_name")]
    pub data_type: DataType,
    /// How its cells were written, where it was trained on text (CSV, JSON Lines, xlsx).
    pub text: Option<TextFormat>,
}

/// Where rows come from, as far as it matters to their meaning.
#[derive(Debug, Clone, Copy)]
pub struct RowOrigin<'a> {
    /// Zone of times without one.
    pub zone: &'a Zone,
    /// True if the source holds text only ([`BatchReader::is_text`](crate::source::BatchReader::is_text)): then empty cells and
    /// other missing tokens are null in every column.
    pub is_text: bool,
    /// Rows before these, for messages.
    pub first_row: usize,
}

/// Rows in the form a model was trained on.
#[derive(Debug, Clone)]
pub struct Conformed {
    /// The input columns, in the order of training and of its types.
    pub batch: RecordBatch,
    /// Names of columns the model does not use.
    pub ignored: Vec<String>,
}

/// Brings rows to the columns a model was trained on; see the module for what is possible.
///
/// # Errors
/// Missing columns (all are listed), a needed name that occurs twice, and the first cell that cannot be converted without
/// loss, with column, row (from 1, `first_row` included), value, and what is allowed.
pub fn conform(batch: &RecordBatch, inputs: &[InputColumn], origin: RowOrigin) -> Result<Conformed> {
    let schema = batch.schema();
    let places = find_columns(&schema, inputs)?;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(inputs.len());
    for (input, &place) in inputs.iter().zip(&places) {
        let array = normalise_column(&input.name, batch.column(place), origin.zone, origin.first_row)?;
        let array = input.retype(array, origin)?;
        arrays.push(array);
    }
    if is_conformed(batch, inputs, &arrays) {
        return Ok(Conformed { batch: batch.clone(), ignored: Vec::new() });
    }
    let field = |(input, array): (&InputColumn, &ArrayRef)| Field::new(&input.name, array.data_type().clone(), true);
    let fields = inputs.iter().zip(&arrays).map(field).collect();
    let unused = schema.fields().iter().enumerate().filter(|(at, _)| !places.contains(at));
    let ignored = unused.map(|(_, field)| field.name().clone()).collect();
    Ok(Conformed { batch: rebuild(fields, arrays, batch.num_rows())?, ignored })
}

/// True if a batch is already what its arrays would be put together to: few rows at a time are scored, and names would cost
/// more than cells.
fn is_conformed(batch: &RecordBatch, inputs: &[InputColumn], arrays: &[ArrayRef]) -> bool {
    let schema = batch.schema_ref();
    let is_plain = |f: &Field, i: &InputColumn| *f.name() == i.name && f.is_nullable() && f.metadata().is_empty();
    schema.fields().len() == inputs.len()
        && schema.metadata().is_empty()
        && schema.fields().iter().zip(inputs).all(|(f, i)| is_plain(f, i))
        && batch.columns().iter().zip(arrays).all(|(own, array)| Arc::ptr_eq(own, array))
}

/// The place of each input column.
fn find_columns(schema: &arrow_schema::Schema, inputs: &[InputColumn]) -> Result<Vec<usize>> {
    // Names of inputs differ, so that columns in their order are found without looking further.
    let is_own = |(field, input): (&Arc<Field>, &InputColumn)| *field.name() == input.name;
    if schema.fields().len() == inputs.len() && schema.fields().iter().zip(inputs).all(is_own) {
        return Ok((0..inputs.len()).collect());
    }
    let mut places = Vec::with_capacity(inputs.len());
    let mut missing = Vec::new();
    for input in inputs {
        let mut found = schema.fields().iter().enumerate().filter(|(_, f)| *f.name() == input.name).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (Some(place), None) => places.push(place),
            (Some(_), Some(_)) => {
                return Err(Error::data(format!("the column «{}» occurs twice; the model needs it once", input.name)));
            }
            (None, _) => missing.push(format!("«{}» ({})", input.name, input.kind.name())),
        }
    }
    if missing.is_empty() {
        return Ok(places);
    }
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    Err(Error::data(format!(
        "{} missing that the model was trained on: {}; the rows have {}",
        if missing.len() == 1 { "a column is" } else { "columns are" },
        missing.join(", "),
        if names.is_empty() { "none".into() } else { names.join(", ") }
    )))
}

impl InputColumn {
    /// What its cells are, as an error tells it.
    pub fn told(&self) -> String {
        if self.data_type == instant_type() {
            return "times, such as 2026-05-03T14:02:11Z".into();
        }
        format!("{} ({})", self.data_type, self.kind.name())
    }

    /// Brings a physical array to the type of this column.
    fn retype(&self, array: ArrayRef, origin: RowOrigin) -> Result<ArrayRef> {
        let (from, to) = (array.data_type().clone(), &self.data_type);
        if !is_physical(to) {
            return Err(Error::damaged(format!(
                "schema: column «{}» is of type {to}, which no table keeps",
                self.name
            )));
        }
        if array.null_count() == array.len() {
            return Ok(if from == *to { array } else { new_null_array(to, array.len()) });
        }
        let cells = Cells { column: self, first_row: origin.first_row };
        match (&from, to) {
            (DataType::Utf8, DataType::Utf8) if !origin.is_text && self.text.is_none() => Ok(array),
            (DataType::Utf8, _) => {
                let format = self.text.clone().unwrap_or_default();
                let typed = convert(array.as_string::<i32>(), to, &format, origin.zone)
                    .map_err(|misfit| cells.place(misfit.row, misfit.describe()))?;
                cells.finite(typed)
            }
            (DataType::Float64, DataType::Float64) => cells.finite(array),
            _ if from == *to => Ok(array),
            (DataType::Int64, _) if *to != instant_type() => cells.of_integers(array.as_primitive()),
            (DataType::Float64, _) if *to != instant_type() => cells.of_floats(array.as_primitive()),
            (DataType::Decimal128(_, scale), _) if *to != instant_type() => {
                cells.of_decimals(array.as_primitive(), scale.unsigned_abs())
            }
            _ => Err(Error::data(format!(
                "column «{}» is of type {from}; the model was trained on {to} ({}): convert the column",
                self.name,
                self.kind.name()
            ))),
        }
    }
}

/// The cells of a column on their way to its type.
struct Cells<'a> {
    column: &'a InputColumn,
    first_row: usize,
}

impl Cells<'_> {
    fn place(&self, row: usize, what: impl Display) -> Error {
        let (name, row) = (&self.column.name, self.first_row + row + 1);
        Error::data(format!("column «{name}», row {row}: {what}; the model was trained on {}", self.column.told()))
    }

    /// Doubles without infinity; nothing is copied.
    fn finite(&self, array: ArrayRef) -> Result<ArrayRef> {
        let Some(floats) = array.as_primitive_opt::<Float64Type>() else { return Ok(array) };
        let is_bad = |(row, v): (usize, &f64)| v.is_infinite() && floats.is_valid(row);
        match floats.values().iter().enumerate().position(is_bad) {
            None => Ok(array),
            Some(row) => Err(self.place(row, format!("{} is not finite", floats.value(row)))),
        }
    }

    fn of_integers(&self, integers: &Int64Array) -> Result<ArrayRef> {
        match self.column.data_type {
            DataType::Float64 => self.mapped::<_, Float64Type>(integers, "has more digits than a double holds", |v| {
                let float = v as f64;
                (float as i128 == i128::from(v)).then_some(float)
            }),
            DataType::Decimal128(precision, scale) => self.decimals(integers, |v| {
                fits(i128::from(v).checked_mul(power_of_ten(u32::from(scale.unsigned_abs()))?)?, precision)
            }),
            _ => Ok(Arc::new(integers.iter().map(|v| v.map(|v| v.to_string())).collect::<StringArray>())),
        }
    }

    fn of_floats(&self, floats: &Float64Array) -> Result<ArrayRef> {
        match self.column.data_type {
            DataType::Int64 => self.mapped::<_, Int64Type>(floats, "is not a whole number of 64 bits", |v| {
                // -2^63 is a double, 2^63 - 1 is not: the upper end is open.
                (v.fract() == 0.0 && (-2f64.powi(63)..2f64.powi(63)).contains(&v)).then_some(v as i64)
            }),
            DataType::Decimal128(precision, scale) => {
                self.decimals(floats, |v| fits(decimal_of_float(v, usize::from(scale.unsigned_abs()))?, precision))
            }
            _ => self.texts(floats, |v| (v.fract() == 0.0 && v.abs() <= WHOLE_MAX).then(|| (v as i64).to_string())),
        }
    }

    fn of_decimals(&self, decimals: &Decimal128Array, from: u8) -> Result<ArrayRef> {
        let unit = power_of_ten(u32::from(from));
        let whole = |v: i128| unit.filter(|unit| v % unit == 0).map(|unit| v / unit);
        match self.column.data_type {
            DataType::Int64 => self.mapped_decimals::<Int64Type>(decimals, "is not a whole number of 64 bits", |v| {
                whole(v).and_then(|v| i64::try_from(v).ok())
            }),
            DataType::Float64 => {
                self.mapped_decimals::<Float64Type>(decimals, "has more digits than a double holds", |v| {
                    float_of_decimal(v, usize::from(from))
                })
            }
            DataType::Decimal128(precision, scale) => {
                let to = scale.unsigned_abs();
                let power = power_of_ten(u32::from(to.abs_diff(from)));
                let what = format!("does not fit {precision} digits with {scale} after the point");
                let array = self.try_map::<Decimal128Type, Decimal128Type>(decimals, |row, v| {
                    let moved =
                        power.and_then(|p| if to >= from { v.checked_mul(p) } else { (v % p == 0).then_some(v / p) });
                    moved
                        .and_then(|v| fits(v, precision))
                        .ok_or_else(|| self.place(row, format!("{} {what}", shown(v, from))))
                })?;
                Ok(Arc::new(array.with_data_type(self.column.data_type.clone())))
            }
            _ => {
                let cells = decimals.iter().enumerate().map(|(row, v)| {
                    let text =
                        |v| whole(v).map(|v| v.to_string()).ok_or_else(|| self.place(row, not_text(shown(v, from))));
                    v.map(text).transpose()
                });
                Ok(Arc::new(cells.collect::<Result<StringArray>>()?))
            }
        }
    }

    fn try_map<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
        &self,
        array: &arrow_array::PrimitiveArray<A>,
        map: impl FnMut(usize, A::Native) -> Result<B::Native>,
    ) -> Result<arrow_array::PrimitiveArray<B>>
    where
        B::Native: Default,
    {
        map_valid(array, map)
    }

    /// Maps numbers; `what` says of a value that has no image why.
    fn mapped<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
        &self,
        array: &arrow_array::PrimitiveArray<A>,
        what: &str,
        map: impl Fn(A::Native) -> Option<B::Native>,
    ) -> Result<ArrayRef>
    where
        A::Native: Display,
        B::Native: Default,
    {
        let mapped =
            self.try_map::<A, B>(array, |row, v| map(v).ok_or_else(|| self.place(row, format!("{v} {what}"))))?;
        Ok(Arc::new(mapped))
    }

    fn mapped_decimals<B: ArrowPrimitiveType>(
        &self,
        decimals: &Decimal128Array,
        what: &str,
        map: impl Fn(i128) -> Option<B::Native>,
    ) -> Result<ArrayRef>
    where
        B::Native: Default,
    {
        let scale = decimals.scale().unsigned_abs();
        let mapped = self.try_map::<Decimal128Type, B>(decimals, |row, v| {
            map(v).ok_or_else(|| self.place(row, format!("{} {what}", shown(v, scale))))
        })?;
        Ok(Arc::new(mapped))
    }

    /// Maps numbers to decimals of the column's type.
    fn decimals<A: ArrowPrimitiveType>(
        &self,
        array: &arrow_array::PrimitiveArray<A>,
        map: impl Fn(A::Native) -> Option<i128>,
    ) -> Result<ArrayRef>
    where
        A::Native: Display,
    {
        let mapped = self.try_map::<A, Decimal128Type>(array, |row, v| {
            map(v).ok_or_else(|| self.place(row, format!("{v} does not fit that many digits")))
        })?;
        Ok(Arc::new(mapped.with_data_type(self.column.data_type.clone())))
    }

    /// Maps numbers to text.
    fn texts(&self, floats: &Float64Array, map: impl Fn(f64) -> Option<String>) -> Result<ArrayRef> {
        let cells = floats
            .iter()
            .enumerate()
            .map(|(row, v)| v.map(|v| map(v).ok_or_else(|| self.place(row, not_text(v.to_string())))).transpose());
        Ok(Arc::new(cells.collect::<Result<StringArray>>()?))
    }
}

fn not_text(value: String) -> String {
    format!("{value} is not a whole number, and only those have one text: write the column as text")
}

/// A decimal in digits.
pub fn shown(unscaled: i128, scale: u8) -> String {
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The value if it has at most `precision` digits.
fn fits(unscaled: i128, precision: u8) -> Option<i128> {
    power_of_ten(u32::from(precision)).filter(|limit| unscaled.abs() < *limit).map(|_| unscaled)
}

/// The double nearest to a decimal, if the decimal of that scale nearest to the double is the same again.
fn float_of_decimal(unscaled: i128, scale: usize) -> Option<f64> {
    // Both are exact and 15 digits always read back: one correctly rounded division does (Clinger 1990).
    if unscaled.unsigned_abs() < 1_000_000_000_000_000 && scale <= 22 {
        return Some(unscaled as f64 / 10f64.powi(i32::try_from(scale).ok()?));
    }
    let text = shown(unscaled, u8::try_from(scale).ok()?);
    let float: f64 = text.parse().ok()?;
    (format!("{float:.scale$}") == text).then_some(float)
}

/// The shortest decimal that reads back as the double, in units of `10^-scale`, if it has no more decimals.
fn decimal_of_float(float: f64, scale: usize) -> Option<i128> {
    let text = float.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let zeros = scale.checked_sub(fraction.len())?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    digits.checked_mul(power_of_ten(u32::try_from(zeros).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, TimestampMicrosecondArray};

    fn input(name: &str, kind: Kind, data_type: DataType) -> InputColumn {
        InputColumn { name: name.into(), kind, data_type, text: None }
    }

    fn run(batch: &RecordBatch, inputs: &[InputColumn], is_text: bool) -> Result<Conformed> {
        conform(batch, inputs, RowOrigin { zone: &Zone::utc(), is_text, first_row: 10 })
    }

    fn one(array: impl Array + 'static, to: &DataType) -> Result<ArrayRef> {
        let kind = if *to == DataType::Utf8 { Kind::Category } else { Kind::Number };
        let batch = RecordBatch::try_from_iter([("x", Arc::new(array) as ArrayRef)]).expect("valid");
        run(&batch, &[input("x", kind, to.clone())], false).map(|c| c.batch.column(0).clone())
    }

    fn check(array: impl Array + 'static, expected: impl Array + 'static) {
        let to = expected.data_type().clone();
        let found = one(array, &to).unwrap_or_else(|e| panic!("to {to}: {e}"));
        assert_eq!(&found, &(Arc::new(expected) as ArrayRef));
    }

    fn check_error(array: impl Array + 'static, to: DataType, expected: &str) {
        let error = one(array, &to).expect_err("must fail");
        assert_eq!(error.to_string(), expected);
    }

    fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> Decimal128Array {
        Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("valid")
    }

    fn ints(values: &[Option<i64>]) -> Int64Array {
        Int64Array::from(values.to_vec())
    }

    fn floats(values: &[Option<f64>]) -> Float64Array {
        Float64Array::from(values.to_vec())
    }

    fn texts(values: &[Option<&str>]) -> StringArray {
        StringArray::from(values.to_vec())
    }

    #[test]
    fn types_change_without_loss() {
        check(ints(&[Some(1 << 53), None]), floats(&[Some(WHOLE_MAX), None]));
        check(floats(&[Some(-3.0), None, Some(f64::NAN)]), ints(&[Some(-3), None, None]));
        check(floats(&[Some(-9_223_372_036_854_775_808.0)]), ints(&[Some(i64::MIN)]));
        check(Int32Array::from(vec![Some(7), None]), floats(&[Some(7.0), None]));
        check(ints(&[Some(-1), None, Some(7)]), texts(&[Some("-1"), None, Some("7")]));
        check(floats(&[Some(1.0), None, Some(-0.0)]), texts(&[Some("1"), None, Some("0")]));
        check(decimals(vec![Some(700), None], 9, 2), texts(&[Some("7"), None]));
        check(decimals(vec![Some(700), None], 9, 2), ints(&[Some(7), None]));
        check(decimals(vec![Some(10), Some(-123_456), None], 9, 2), floats(&[Some(0.1), Some(-1234.56), None]));
        // 2^60 has 19 digits and is a double all the same.
        check(decimals(vec![Some(1 << 60)], 38, 0), floats(&[Some((1u64 << 60) as f64)]));
        check(ints(&[Some(5), None]), decimals(vec![Some(500), None], 5, 2));
        check(floats(&[Some(0.1), Some(-2.0), None]), decimals(vec![Some(10), Some(-200), None], 5, 2));
        check(decimals(vec![Some(15), None], 38, 1), decimals(vec![Some(1500), None], 9, 3));
        check(decimals(vec![Some(1500)], 38, 3), decimals(vec![Some(15)], 2, 1));
        check(texts(&[Some("1.5"), Some(""), None, Some(" 2 ")]), floats(&[Some(1.5), None, None, Some(2.0)]));
        check(texts(&[Some("12")]), ints(&[Some(12)]));
        // A whole number is one however it is written.
        check(
            texts(&[Some("1.00E+05"), Some("-1.5e3"), Some("7.00"), Some("2e-0")]),
            ints(&[Some(100_000), Some(-1500), Some(7), Some(2)]),
        );
        check(texts(&[Some("1.25E+2"), Some("5e-1")]), decimals(vec![Some(12_500), Some(50)], 9, 2));
        // Nothing at all has every type.
        check(texts(&[None, None]), TimestampMicrosecondArray::from(vec![None, None]).with_timezone("UTC"));
        check(floats(&[None]), texts(&[None]));
    }

    #[test]
    fn loss_is_an_error_that_names_the_cell() {
        let number = "the model was trained on Int64 (number)";
        check_error(
            floats(&[None, Some(1.5)]),
            DataType::Int64,
            &format!("column «x», row 12: 1.5 is not a whole number of 64 bits; {number}"),
        );
        check_error(
            floats(&[Some(2f64.powi(63))]),
            DataType::Int64,
            &format!("column «x», row 11: 9223372036854776000 is not a whole number of 64 bits; {number}"),
        );
        check_error(
            texts(&[Some("1.5")]),
            DataType::Int64,
            &format!("column «x», row 11: «1.5» is not a whole number of 64 bits; {number}"),
        );
        check_error(
            texts(&[Some("1.00E+05"), Some("1.5e0")]),
            DataType::Int64,
            &format!("column «x», row 12: «1.5e0» is not a whole number of 64 bits; {number}"),
        );
        check_error(
            decimals(vec![Some(-5)], 9, 2),
            DataType::Int64,
            &format!("column «x», row 11: -0.05 is not a whole number of 64 bits; {number}"),
        );
        let number = "the model was trained on Float64 (number)";
        check_error(
            ints(&[Some((1 << 53) + 1)]),
            DataType::Float64,
            &format!("column «x», row 11: 9007199254740993 has more digits than a double holds; {number}"),
        );
        check_error(
            ints(&[Some(i64::MAX)]),
            DataType::Float64,
            &format!("column «x», row 11: 9223372036854775807 has more digits than a double holds; {number}"),
        );
        check_error(
            decimals(vec![Some(12_345_678_901_234_567_890_123)], 38, 5),
            DataType::Float64,
            &format!("column «x», row 11: 123456789012345678.90123 has more digits than a double holds; {number}"),
        );
        check_error(
            floats(&[Some(1.0), Some(f64::INFINITY)]),
            DataType::Float64,
            &format!("column «x», row 12: inf is not finite; {number}"),
        );
        check_error(
            texts(&[Some("ten")]),
            DataType::Float64,
            &format!("column «x», row 11: «ten» is not a number; {number}"),
        );
        let number = "the model was trained on Decimal128(3, 2) (number)";
        check_error(
            floats(&[Some(0.125)]),
            DataType::Decimal128(3, 2),
            &format!("column «x», row 11: 0.125 does not fit that many digits; {number}"),
        );
        check_error(
            ints(&[Some(10)]),
            DataType::Decimal128(3, 2),
            &format!("column «x», row 11: 10 does not fit that many digits; {number}"),
        );
        check_error(
            decimals(vec![Some(125)], 9, 3),
            DataType::Decimal128(3, 2),
            &format!("column «x», row 11: 0.125 does not fit 3 digits with 2 after the point; {number}"),
        );
        let level = "is not a whole number, and only those have one text: write the column as text; the model was trained on Utf8 (category)";
        check_error(floats(&[Some(1.5)]), DataType::Utf8, &format!("column «x», row 11: 1.5 {level}"));
        check_error(decimals(vec![Some(150)], 9, 2), DataType::Utf8, &format!("column «x», row 11: 1.50 {level}"));
        let time = TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC");
        check_error(
            time,
            DataType::Int64,
            "column «x» is of type Timestamp(µs, \"UTC\"); the model was trained on Int64 (number): convert the column",
        );
        check_error(
            ints(&[Some(1)]),
            instant_type(),
            "column «x» is of type Int64; the model was trained on Timestamp(µs, \"UTC\") (number): convert the column",
        );
    }

    fn sample() -> (RecordBatch, Vec<InputColumn>) {
        let columns: [(&str, ArrayRef); 3] = [
            ("age", Arc::new(ints(&[Some(30), None]))),
            ("grade", Arc::new(texts(&[Some("A"), Some("NA")]))),
            ("income", Arc::new(floats(&[Some(1.5), None]))),
        ];
        let inputs = vec![
            input("age", Kind::Number, DataType::Int64),
            input("grade", Kind::Category, DataType::Utf8),
            input("income", Kind::Number, DataType::Float64),
        ];
        (RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).expect("valid"), inputs)
    }

    #[test]
    fn order_and_further_columns_do_not_matter() {
        let (batch, inputs) = sample();
        let plain = run(&batch, &inputs, false).expect("conforms");
        assert_eq!((&plain.batch, plain.ignored.len()), (&batch, 0));
        // Nothing is copied where nothing changes.
        for (found, given) in plain.batch.columns().iter().zip(batch.columns()) {
            assert!(Arc::ptr_eq(found, given));
        }
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("income", batch.column(2).clone()),
            ("note", batch.column(1).clone()),
            ("grade", batch.column(1).clone()),
        ];
        columns.push(("age", batch.column(0).clone()));
        let shuffled = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)));
        let found = run(&shuffled.expect("valid"), &inputs, false).expect("conforms");
        assert_eq!((found.batch, found.ignored), (batch, vec!["note".to_string()]));
    }

    #[test]
    fn text_sources_have_missing_tokens() {
        let (batch, mut inputs) = sample();
        let grades = |c: Conformed| {
            c.batch.column(1).as_string::<i32>().iter().map(|v| v.map(str::to_string)).collect::<Vec<_>>()
        };
        let missing = vec![Some("A".to_string()), None];
        assert_eq!(grades(run(&batch, &inputs, false).expect("conforms"))[1].as_deref(), Some("NA"));
        assert_eq!(grades(run(&batch, &inputs, true).expect("conforms")), missing);
        // Trained on text: then it was missing in training, too.
        inputs[1].text = Some(TextFormat::default());
        assert_eq!(grades(run(&batch, &inputs, false).expect("conforms")), missing);
    }

    #[test]
    fn text_is_read_by_the_rules_of_training() {
        let column = texts(&[Some("1.234,5"), None]);
        let batch = RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).expect("valid");
        let format = TextFormat { decimal_comma: true, thousands: Some('.'), ..TextFormat::default() };
        let mut inputs = [input("x", Kind::Number, DataType::Float64)];
        assert!(run(&batch, &inputs, true).is_err());
        inputs[0].text = Some(format);
        let found = run(&batch, &inputs, true).expect("conforms");
        assert_eq!(found.batch.column(0).as_primitive::<Float64Type>().value(0), 1234.5);
    }

    #[test]
    fn all_missing_columns_are_listed() {
        let (batch, inputs) = sample();
        let error = run(&batch.project(&[1]).expect("one column"), &inputs, false).expect_err("two are missing");
        assert_eq!(
            error.to_string(),
            "columns are missing that the model was trained on: «age» (number), «income» (number); the rows have grade"
        );
        let twice = batch.project(&[0, 0, 1, 2]).expect("columns");
        let error = run(&twice, &inputs, false).expect_err("twice");
        assert_eq!(error.to_string(), "the column «age» occurs twice; the model needs it once");
    }
}
