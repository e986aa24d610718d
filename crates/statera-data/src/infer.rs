//! The kinds of a text table's columns, and the cells that follow from them.
//!
//! **Missing**: a cell that is one of [`MISSING_TOKENS`] as a whole, without the blanks around it.
//!
//! **Number**: every other cell is a number. Decimal mark and thousands mark are decided over the column, and where
//! a column leaves it open (`1,234`), over the table. Percent signs are taken off where every cell has one (12.5 % stays
//! 12.5), currency signs where every cell has the same one; `(5)` is −5. A leading zero (`007`) or a plus sign in any
//! cell makes the column text, because codes look so. Stored as `i64` if all are integers that fit, as `f64` if a double prints every cell
//! back to its last digit, else as `Decimal128`. `inf` and `1e999` are infinite doubles, with a note.
//!
//! **Time**: every cell is a time that [`crate::time`] reads.
//!
//! **Category, text or identifier**, with d distinct values in n cells: a column named like a key (`id`, `customer_id`, `account_no`,
//! `고객번호`) with d ≥ 0.9 n is an identifier, integers too; one named `…id` stays one with d > 1,000 and is a category below. Else d > n/2 from 50 rows on means free text if most
//! cells have blanks, else an identifier if most cells have digits, else free text. What remains is a category,
//! unless its cells have more than 60 letters on average, which is free text.

pub(crate) mod cells;
mod convert;
mod kind;
mod number;
mod survey;

pub use cells::SurveyedBatch;
pub use convert::{Misfit, convert};
pub use survey::MISSING_TOKENS;

use crate::source::{BatchReader, ReadOptions, refuse_unknown_columns};
use crate::time::{TimeFormat, Zone};
use crate::{ColumnInfo, Table};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cells::Cells;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result, Run};
use std::sync::Arc;
use survey::{Reading, Survey};

/// How the cells of a column are written; with the column's type it reads new cells by the same rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFormat {
    /// True for `1,5`, false for `1.5`.
    pub decimal_comma: bool,
    /// Mark between thousands; `None` if there was none, and then none is accepted.
    pub thousands: Option<char>,
    /// True if every cell has a percent sign.
    pub percent: bool,
    /// The currency sign of every cell.
    pub currency: Option<char>,
    /// How times are written; `None` if the column is no time.
    pub time: Option<TimeFormat>,
}

/// What was detected about a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// How its cells are written.
    pub format: TextFormat,
    /// Missing tokens that occur, and in how many cells.
    pub missing: Vec<(String, usize)>,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
}

/// What a column becomes.
struct Plan {
    kind: Kind,
    data_type: DataType,
    format: TextFormat,
    notes: Vec<String>,
}

/// Decimal marks as far as the table shows them.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    /// A column can only be read with decimal commas.
    comma_certain: bool,
    /// A column can only be read with decimal points.
    point_certain: bool,
    /// Fields are separated by semicolons, as where commas are decimal marks.
    semicolons: bool,
}

/// The physical type of times.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The number that a cell is under some format, a decimal point tried before a decimal comma; `None` if it is none.
pub(crate) fn number_of(cell: &str) -> Option<f64> {
    let shell = number::shell(cell.trim())?;
    let mut plain = String::new();
    let value = [false, true].into_iter().find_map(|decimal_comma| {
        plain.clear();
        number::digits(shell.core, decimal_comma, &mut plain)?;
        number::parse_f64(&plain)
    })?;
    Some(if shell.negative { -value } else { value })
}

/// Makes a table of surveyed batches of one schema typed, column by column; the text of a column is dropped once it is
/// converted.
pub(crate) fn infer(
    origin: &str,
    batches: Vec<SurveyedBatch>,
    options: &ReadOptions,
    zone: &Zone,
    reader: &dyn BatchReader,
    run: &Run,
) -> Result<(Table, Vec<ColumnFacts>)> {
    let schema = batches[0].schema.clone();
    refuse_unknown_columns(origin, &schema, options)?;
    let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let (columns, surveys) = transpose(batches, names.len());
    run.check()?;
    let marks = marks_of(&surveys, reader.facts().separator == Some(';'));
    let wishes: Vec<Option<Kind>> = names.iter().map(|name| options.types.get(name).copied()).collect();
    let converted: Vec<(Plan, std::result::Result<Vec<ArrayRef>, Misfit>)> = columns
        .into_par_iter()
        .enumerate()
        .map(|(i, chunks)| {
            let plan = plan(&names[i], &surveys[i], marks, wishes[i], &chunks);
            // Once the user has interrupted the work, what is left is done on nothing.
            let chunks = if run.check().is_ok() { chunks } else { Vec::new() };
            let arrays = convert_column(chunks, &plan, zone);
            (plan, arrays)
        })
        .collect();
    run.check()?;
    let mut plans = Vec::with_capacity(names.len());
    let mut arrays = Vec::with_capacity(names.len());
    for ((plan, chunks), name) in converted.into_iter().zip(&names) {
        arrays.push(chunks.map_err(|misfit| misfit.at(&reader.place(misfit.row), name))?);
        plans.push(plan);
    }
    let facts = names.iter().zip(&plans).zip(&surveys).map(|((n, p), s)| column_facts(n, p, s)).collect();
    let columns = names.iter().zip(&plans).map(|(name, p)| ColumnInfo { name: name.clone(), kind: p.kind }).collect();
    let batches = batches_of(&names, arrays, origin)?;
    Ok((Table { columns, batches, origin: origin.to_string() }, facts))
}

/// The chunks of each column, and their surveys joined in order.
fn transpose(batches: Vec<SurveyedBatch>, n_columns: usize) -> (Vec<Vec<Cells>>, Vec<Survey>) {
    let mut columns: Vec<Vec<Cells>> = (0..n_columns).map(|_| Vec::with_capacity(batches.len())).collect();
    let mut surveys = vec![Survey::new(); n_columns];
    for batch in batches {
        for ((column, survey), part) in columns.iter_mut().zip(&mut surveys).zip(batch.columns) {
            survey.join(&part.survey);
            column.push(part.cells);
        }
    }
    (columns, surveys)
}

/// What the number columns show about decimal marks.
fn marks_of(surveys: &[Survey], semicolons: bool) -> Marks {
    let mut marks = Marks { semicolons, ..Marks::default() };
    for survey in surveys.iter().filter(|s| s.n > 0) {
        let written = |r: &Reading| r.mark || r.group.is_some();
        marks.comma_certain |= survey.comma.possible && !survey.point.possible && written(&survey.comma);
        marks.point_certain |= survey.point.possible && !survey.comma.possible && written(&survey.point);
    }
    marks
}

/// What a column becomes.
fn plan(name: &str, survey: &Survey, marks: Marks, wish: Option<Kind>, chunks: &[Cells]) -> Plan {
    let text = |kind| Plan { kind, data_type: DataType::Utf8, format: TextFormat::default(), notes: Vec::new() };
    let number_like = survey.n > 0 && whole(survey.n_percent, survey.n) && whole(survey.n_currency, survey.n);
    match wish {
        Some(Kind::Number) if number_like && survey.is_number() => number_plan(survey, marks),
        Some(Kind::Number) => forced_number_plan(survey),
        Some(Kind::Time) => time_plan(survey),
        Some(Kind::Identifier) if is_integer(survey, number_like) => {
            Plan { kind: Kind::Identifier, ..number_plan(survey, marks) }
        }
        Some(kind) => text(kind),
        None if survey.n == 0 => forced_number_plan(survey),
        None if is_integer(survey, number_like) && is_integer_time(survey) => time_plan(survey),
        None if number_like && survey.is_number() && !survey.leading_zero && !survey.plus => {
            let number = number_plan(survey, marks);
            let integers = is_integer(survey, number_like) || number.data_type == DataType::Decimal128(38, 0);
            match kind::kind_of_integers(name, chunks).filter(|_| integers) {
                Some(Kind::Identifier) if number.data_type == DataType::Int64 => {
                    Plan { kind: Kind::Identifier, ..number }
                }
                Some(kind) => text(kind),
                None => number,
            }
        }
        None if survey.time.possible() => time_plan(survey),
        None => text(kind::kind_of_text(name, chunks)),
    }
}

/// True if none or all of `n` cells have something.
fn whole(n_with: usize, n: usize) -> bool {
    n_with == 0 || n_with == n
}

/// True if the cells are integers of 64 bits written without any mark.
fn is_integer(survey: &Survey, number_like: bool) -> bool {
    let r = survey.point;
    number_like
        && r.possible
        && r.all_integer
        && r.fits_i64
        && r.group.is_none()
        && !survey.leading_zero
        && !survey.plus
        && survey.n_percent + survey.n_currency == 0
}

/// True if integers are dates: eight digits that all are, or fourteen with the time of day.
fn is_integer_time(survey: &Survey) -> bool {
    survey.compact_dates || (survey.point.n_int_max == 14 && survey.time.possible())
}

/// The plan of a column whose cells are numbers.
fn number_plan(survey: &Survey, marks: Marks) -> Plan {
    let (point, comma) = (&survey.point, &survey.comma);
    let written = point.mark || point.group.is_some() || comma.mark || comma.group.is_some();
    let ambiguous = point.possible && comma.possible && written;
    let decimal_comma = if ambiguous {
        let others_say_comma = marks.comma_certain && !marks.point_certain;
        others_say_comma || (marks.semicolons && !marks.point_certain && comma.mark)
    } else {
        !point.possible
    };
    let reading = if decimal_comma { comma } else { point };
    let mut notes = Vec::new();
    if ambiguous {
        let (mark, other) = if decimal_comma { ("comma", "point") } else { ("point", "comma") };
        notes.push(format!(
            "the marks in its numbers fit a decimal {mark} and a decimal {other}; read with a decimal {mark}"
        ));
    }
    if survey.n_percent > 0 {
        notes.push("percent signs were taken off; 12.5 stands for 12.5 %".to_string());
    }
    if let Some(sign) = survey.currency {
        notes.push(format!("the currency sign {sign} was taken off"));
    }
    if reading.infinite {
        notes.push("some cells are infinite".to_string());
    }
    let data_type = number_type(reading, &mut notes);
    let format = TextFormat {
        decimal_comma,
        thousands: reading.group,
        percent: survey.n_percent > 0,
        currency: survey.currency,
        time: None,
    };
    Plan { kind: Kind::Number, data_type, format, notes }
}

/// The smallest type that holds every cell to its last digit.
fn number_type(reading: &Reading, notes: &mut Vec<String>) -> DataType {
    if reading.all_integer && reading.fits_i64 {
        return DataType::Int64;
    }
    if reading.f64_holds && !reading.all_integer {
        return DataType::Float64;
    }
    if !reading.exponent && !reading.infinite && reading.n_int_max + reading.n_frac_max <= 38 {
        return DataType::Decimal128(38, reading.n_frac_max as i8);
    }
    notes.push("some cells have more digits than a 64-bit float holds and were rounded".to_string());
    DataType::Float64
}

/// The plan of a column that is to be a number although not all cells are (the conversion names the first that is not), or
/// that has no cells at all.
fn forced_number_plan(survey: &Survey) -> Plan {
    let format = TextFormat {
        decimal_comma: false,
        thousands: Some(','),
        percent: survey.n_percent * 2 > survey.n,
        currency: survey.currency.filter(|_| survey.n_currency * 2 > survey.n),
        time: None,
    };
    let notes = if survey.n == 0 { vec!["all cells are missing".to_string()] } else { Vec::new() };
    Plan { kind: Kind::Number, data_type: DataType::Float64, format, notes }
}

/// The plan of a column of times.
fn time_plan(survey: &Survey) -> Plan {
    let (format, ambiguous) = survey.time.format();
    let mut notes = Vec::new();
    if ambiguous {
        notes.push("day and month could be exchanged in every cell; read as day, month, year".to_string());
    }
    // A column that is no time is read day first, so that the conversion names the first cell that is none.
    let format = if survey.time.possible() { format } else { TimeFormat { day_first: true } };
    Plan {
        kind: Kind::Time,
        data_type: time_type(),
        format: TextFormat { time: Some(format), ..TextFormat::default() },
        notes,
    }
}

/// Converts the chunks of a column, dropping each as it is converted; a misfit's row counts over all chunks.
fn convert_column(chunks: Vec<Cells>, plan: &Plan, zone: &Zone) -> std::result::Result<Vec<ArrayRef>, Misfit> {
    let lengths: Vec<usize> = chunks.iter().map(Cells::len).collect();
    let converted: Vec<_> =
        chunks.into_par_iter().map(|cells| cells.convert(&plan.data_type, &plan.format, zone)).collect();
    let mut first_row = 0;
    let mut arrays = Vec::with_capacity(converted.len());
    for (length, one) in lengths.into_iter().zip(converted) {
        arrays.push(one.map_err(|misfit| Misfit { row: misfit.row + first_row, ..misfit })?);
        first_row += length;
    }
    Ok(arrays)
}

/// Batches from the chunks of each column.
fn batches_of(names: &[String], arrays: Vec<Vec<ArrayRef>>, origin: &str) -> Result<Vec<RecordBatch>> {
    let fields: Vec<Field> =
        names.iter().zip(&arrays).map(|(n, chunks)| Field::new(n, chunks[0].data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let n_batches = arrays.first().map_or(0, Vec::len);
    let mut columns: Vec<_> = arrays.into_iter().map(Vec::into_iter).collect();
    (0..n_batches)
        .map(|_| {
            let arrays = columns.iter_mut().filter_map(Iterator::next).collect();
            RecordBatch::try_new(schema.clone(), arrays).map_err(|e| Error::data(format!("{origin}: {e}")))
        })
        .collect()
}

fn column_facts(name: &str, plan: &Plan, survey: &Survey) -> ColumnFacts {
    let missing = MISSING_TOKENS.iter().zip(survey.missing).filter(|(_, n)| *n > 0);
    ColumnFacts {
        name: name.to_string(),
        kind: plan.kind,
        format: plan.format.clone(),
        missing: missing.map(|(token, n)| (token.to_string(), n)).collect(),
        notes: plan.notes.clone(),
    }
}

/// Kinds of a table that has types of its own; where the user wants a kind that the type does not have, the cells are
/// written as text and read again.
pub(crate) fn kinds_of_typed(
    origin: &str,
    schema: &Arc<Schema>,
    batches: Vec<RecordBatch>,
    options: &ReadOptions,
    zone: &Zone,
) -> Result<(Vec<ColumnInfo>, Vec<RecordBatch>)> {
    let mut columns = Vec::new();
    let mut arrays = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let chunks: Vec<ArrayRef> = batches.iter().map(|b| b.column(i).clone()).collect();
        let wish = options.types.get(field.name()).copied();
        let (kind, chunks) = match wish.filter(|&kind| !has_kind(field.data_type(), kind)) {
            Some(kind) => (kind, reread(origin, field.name(), kind, &chunks, zone)?),
            None => match wish {
                Some(kind) => (kind, chunks),
                None => (natural_kind(origin, field, &chunks)?, chunks),
            },
        };
        columns.push(ColumnInfo { name: field.name().clone(), kind });
        arrays.push(chunks);
    }
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    Ok((columns, batches_of(&names, arrays, origin)?))
}

/// True if cells of a physical type can be of a kind as they are.
fn has_kind(data_type: &DataType, kind: Kind) -> bool {
    match kind {
        Kind::Number => matches!(data_type, DataType::Int64 | DataType::Float64 | DataType::Decimal128(..)),
        Kind::Category | Kind::Text => *data_type == DataType::Utf8,
        Kind::Identifier => matches!(data_type, DataType::Utf8 | DataType::Int64),
        Kind::Time => *data_type == time_type(),
    }
}

/// The kind of a typed column that the user said nothing about.
fn natural_kind(origin: &str, field: &Field, chunks: &[ArrayRef]) -> Result<Kind> {
    match field.data_type() {
        DataType::Int64 => {
            let named = kind::is_named_like_key(field.name());
            let text = if named { as_text(origin, field.name(), chunks)? } else { Vec::new() };
            // Numbers stay numbers unless they are keys: a typed source has said that they are.
            Ok(kind::kind_of_integers(field.name(), &text).filter(|k| *k == Kind::Identifier).unwrap_or(Kind::Number))
        }
        DataType::Float64 | DataType::Decimal128(..) => Ok(Kind::Number),
        DataType::Utf8 => Ok(kind::kind_of_text(field.name(), &as_text(origin, field.name(), chunks)?)),
        t if *t == time_type() => Ok(Kind::Time),
        other => Err(Error::data(format!(
            "{origin}: column «{}» is {other}; there are numbers (64-bit integers and floats, decimals), text and times",
            field.name()
        ))),
    }
}

/// The cells of a typed column as text.
fn as_text(origin: &str, name: &str, chunks: &[ArrayRef]) -> Result<Vec<Cells>> {
    let cast = |chunk: &ArrayRef| {
        let text = arrow_cast::cast(chunk, &DataType::Utf8)
            .map_err(|e| Error::data(format!("{origin}: column «{name}» cannot be read as text: {e}")))?;
        Ok(Cells::of(text.as_string::<i32>().clone()))
    };
    chunks.iter().map(cast).collect()
}

/// A typed column as another kind.
fn reread(origin: &str, name: &str, kind: Kind, chunks: &[ArrayRef], zone: &Zone) -> Result<Vec<ArrayRef>> {
    let text = as_text(origin, name, chunks)?;
    let mut survey = Survey::new();
    text.iter().for_each(|cells| survey.join(&Survey::of(cells)));
    let plan = plan(name, &survey, Marks::default(), Some(kind), &text);
    convert_column(text, &plan, zone).map_err(|misfit| misfit.at(&format!("{origin}, row {}", misfit.row + 1), name))
}

#[cfg(test)]
mod tests;
