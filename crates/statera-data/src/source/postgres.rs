//! PostgreSQL: the rows of a query or table, streamed in the server's binary format with memory for a few batches.
//!
//! | PostgreSQL | here |
//! |---|---|
//! | `int2`, `int4`, `int8` | `Int64` |
//! | `float4`, `float8` | `Float64` (NaN is missing) |
//! | `numeric` | `Decimal128(38, scale)`: the scale declared in the table; without one (an expression, a bare `numeric`) the most decimals among the first batch of rows. A later value with more decimals is an error that advises a cast |
//! | `text`, `varchar`, `char`, `name`, `uuid`, `json`, `jsonb`, enums | `Utf8` |
//! | `bool` | `Utf8`: `true`, `false` |
//! | `date`, `timestamp` | an instant, read in the zone of [`ReadOptions::tz`] |
//! | `timestamptz` | an instant |
//!
//! Domains are read as what they are based on. The query runs in a read-only transaction: reading can change nothing.

use super::physical::{DECIMAL_DIGITS, instant, instant_type, power_of_ten, rebuild, zone_named};
use super::{BatchReader, ReadOptions, Source};
use crate::database::{Address, quote_table, runtime};
use arrow_array::builder::{Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{Array, ArrayRef, Decimal128Array, RecordBatch};
use arrow_schema::Field;
use futures_util::TryStreamExt;
use futures_util::future::select;
use jiff::tz::TimeZone;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgColumn, PgConnection, PgRow, PgTypeInfo, PgTypeKind};
use sqlx::{Column, Executor, Row, Statement, TypeInfo, ValueRef};
use statera_core::{Error, Result};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use tokio::sync::oneshot;

pub(crate) use crate::database::accepts;

/// Queries and tables of PostgreSQL.
pub const SOURCE: Source =
    Source { name: "PostgreSQL", example: "postgres://user@host/database?query=SELECT…", accepts, open };

/// Rows of a batch.
const BATCH_ROWS: usize = 16_384;
/// Batches the connection may be ahead of the reader.
const LOOK_AHEAD: usize = 2;
/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's times begin.
const EPOCH_US: i64 = 946_684_800_000_000;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Opens `postgres://…?query=SELECT…` or `?table=schema.name`: connects and begins to read in a thread of its own.
/// Dropping the reader ends the connection.
pub fn open(address: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    let address = Address::parse(address)?;
    let zone = zone_named(options.tz.as_deref())?;
    let sql = match (&address.query, &address.table) {
        (Some(query), None) => query.clone(),
        (None, Some(table)) => format!("SELECT * FROM {}", quote_table(table)),
        _ => {
            let label = &address.label;
            return Err(Error::request(format!("{label}: say what to read by one of ?query=SELECT… or ?table=schema.name")));
        }
    };
    let (sender, batches) = sync_channel(LOOK_AHEAD);
    let (cancel, cancelled) = oneshot::channel::<()>();
    thread::Builder::new()
        .name("postgres".into())
        .spawn(move || {
            let work = runtime().and_then(|r| {
                r.block_on(async {
                    let reading = pin!(stream(&address, &sql, &zone, &sender));
                    // Whichever ends first: the rows, or the interest in them.
                    match select(reading, cancelled).await {
                        futures_util::future::Either::Left((done, _)) => done,
                        futures_util::future::Either::Right(_) => Ok(()),
                    }
                })
            });
            // Nobody may be listening any more; then there is nobody to tell.
            let _ = sender.send(work.map(|()| None));
        })
        .map_err(|e| Error::io(format!("cannot start a thread: {e}")))?;
    let mut reader = PostgresReader { batches, first: None, ended: false, _cancel: cancel };
    // A wrong address or query fails here, not at the first batch.
    reader.first = reader.receive()?;
    Ok(Box::new(reader))
}

type Message = Result<Option<RecordBatch>>;

struct PostgresReader {
    batches: Receiver<Message>,
    first: Option<RecordBatch>,
    ended: bool,
    /// Dropped with the reader, which ends the thread.
    _cancel: oneshot::Sender<()>,
}

impl PostgresReader {
    fn receive(&mut self) -> Message {
        if self.ended {
            return Ok(None);
        }
        let message = self.batches.recv().unwrap_or_else(|_| Err(Error::io("the thread reading PostgreSQL ended early")));
        self.ended = !matches!(message, Ok(Some(_)));
        message
    }
}

impl BatchReader for PostgresReader {
    fn is_text(&self) -> bool {
        false
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match self.first.take() {
            Some(batch) => Ok(Some(batch)),
            None => self.receive(),
        }
    }
}

/// Reads all rows; the batches go to `sender`, at least one.
async fn stream(address: &Address, sql: &str, zone: &TimeZone, sender: &SyncSender<Message>) -> Result<()> {
    let failed = |e: sqlx::Error| address.error(&e);
    let mut connection = address.connect().await?;
    connection.execute("BEGIN READ ONLY").await.map_err(failed)?;
    let statement = connection.prepare(sql).await.map_err(failed)?;
    let mut columns = Vec::with_capacity(statement.columns().len());
    for column in statement.columns() {
        let scale = declared_scale(&mut connection, column).await.map_err(failed)?;
        columns.push(ColumnReader::new(column, scale).map_err(|e| e.at(&address.label))?);
    }
    if columns.is_empty() {
        return Err(Error::request(format!("{}: the query returns no columns; allowed is a SELECT", address.label)));
    }
    let mut batch = Batch { columns, zone, first_row: 0, n_rows: 0 };
    let mut rows = statement.query().fetch(&mut connection);
    let mut sent = false;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        batch.append(&row).map_err(|e| e.at(&address.label))?;
        if batch.n_rows == BATCH_ROWS {
            sent = true;
            if sender.send(batch.finish().map(Some).map_err(|e| e.at(&address.label))).is_err() {
                return Ok(());
            }
        }
    }
    if batch.n_rows > 0 || !sent {
        let _ = sender.send(batch.finish().map(Some).map_err(|e| e.at(&address.label)));
    }
    Ok(())
}

/// Decimals that a table declares for a `numeric` column, `None` where the column is computed or declares none.
async fn declared_scale(connection: &mut PgConnection, column: &PgColumn) -> sqlx::Result<Option<i8>> {
    let (Some(table), Some(number)) = (column.relation_id(), column.relation_attribute_no()) else { return Ok(None) };
    if column.type_info().name() != "NUMERIC" {
        return Ok(None);
    }
    let typmod: Option<i32> =
        sqlx::query_scalar("SELECT atttypmod FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum = $2")
            .bind::<Oid>(table)
            .bind(number)
            .fetch_optional(connection)
            .await?;
    // numeric(p, s) is stored as ((p << 16) | (s & 0x7ff)) + 4, s in two's complement of 11 bits; -1 is no declaration.
    let scale = typmod.filter(|t| *t >= 4).map(|t| ((((t - 4) & 0x7ff) ^ 1024) - 1024).max(0));
    Ok(scale.and_then(|s| i8::try_from(s).ok()).filter(|s| *s <= DECIMAL_DIGITS as i8))
}

/// Columns being filled.
struct Batch<'a> {
    columns: Vec<ColumnReader>,
    zone: &'a TimeZone,
    /// Rows before this batch.
    first_row: usize,
    n_rows: usize,
}

impl Batch<'_> {
    fn append(&mut self, row: &PgRow) -> Result<()> {
        for (at, column) in self.columns.iter_mut().enumerate() {
            let place = |e: Error| e.at(format!("column «{}», row {}", column.name, self.first_row + self.n_rows + 1));
            let cell = row.try_get_raw(at).map_err(|e| place(Error::io(e.to_string())))?;
            let bytes = if cell.is_null() { None } else { cell.as_bytes().ok() };
            column.cells.append(bytes, self.zone).map_err(place)?;
        }
        self.n_rows += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let first_row = self.first_row;
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let array = column.cells.finish().map_err(|(row, e)| {
                e.at(format!("column «{}», row {}", column.name, first_row + row + 1))
            })?;
            fields.push(Field::new(&column.name, array.data_type().clone(), true));
            arrays.push(array);
        }
        let n_rows = std::mem::take(&mut self.n_rows);
        self.first_row += n_rows;
        rebuild(fields, arrays, n_rows)
    }
}

struct ColumnReader {
    name: String,
    cells: Cells,
}

impl ColumnReader {
    fn new(column: &PgColumn, scale: Option<i8>) -> Result<ColumnReader> {
        let name = column.name().to_string();
        let cells = Cells::of(column.type_info(), scale).ok_or_else(|| {
            Error::data(format!(
                "column «{name}» is of type {}, which is not read; allowed are integers, floats, numeric, text, bool, \
                 dates and timestamps: cast it in the query, for example {}::text",
                column.type_info().name().to_lowercase(),
                name
            ))
        })?;
        Ok(ColumnReader { name, cells })
    }
}

/// How a text type differs from its bytes.
#[derive(Clone, Copy)]
enum TextForm {
    Plain,
    /// `char(n)` is padded with blanks that mean nothing.
    Padded,
    /// `jsonb` has a version byte in front.
    Versioned,
    Uuid,
    Bool,
}

/// Cells of a column, decoded from the binary format.
enum Cells {
    Int(Int64Builder),
    Float(Float64Builder),
    Decimal { cells: Vec<Option<Numeric>>, scale: Option<i8> },
    Text(StringBuilder, TextForm),
    /// Days of the calendar.
    Date(TimestampMicrosecondBuilder),
    /// Microseconds; the flag says that they are a clock's in the zone, not UTC.
    Time(TimestampMicrosecondBuilder, bool),
}

impl Cells {
    fn of(type_info: &PgTypeInfo, scale: Option<i8>) -> Option<Cells> {
        match type_info.kind() {
            PgTypeKind::Domain(base) => return Cells::of(base, scale),
            PgTypeKind::Enum(_) => return Some(Cells::Text(StringBuilder::new(), TextForm::Plain)),
            PgTypeKind::Simple => {}
            _ => return None,
        }
        let text = |form| Cells::Text(StringBuilder::new(), form);
        let time = |naive| Cells::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"), naive);
        Some(match type_info.name() {
            "INT2" | "INT4" | "INT8" => Cells::Int(Int64Builder::new()),
            "FLOAT4" | "FLOAT8" => Cells::Float(Float64Builder::new()),
            "NUMERIC" => Cells::Decimal { cells: Vec::new(), scale },
            "TEXT" | "VARCHAR" | "NAME" | "JSON" | "UNKNOWN" => text(TextForm::Plain),
            "CHAR" => text(TextForm::Padded),
            "JSONB" => text(TextForm::Versioned),
            "UUID" => text(TextForm::Uuid),
            "BOOL" => text(TextForm::Bool),
            "DATE" => Cells::Date(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            "TIMESTAMP" => time(true),
            "TIMESTAMPTZ" => time(false),
            _ => return None,
        })
    }

    fn append(&mut self, bytes: Option<&[u8]>, zone: &TimeZone) -> Result<()> {
        match (self, bytes) {
            (Cells::Int(b), Some(v)) => b.append_value(integer(v)?),
            (Cells::Int(b), None) => b.append_null(),
            (Cells::Float(b), Some(v)) => b.append_option(Some(float(v)?).filter(|v| !v.is_nan())),
            (Cells::Float(b), None) => b.append_null(),
            (Cells::Decimal { cells, .. }, v) => cells.push(v.map(Numeric::decode).transpose()?),
            (Cells::Text(b, form), Some(v)) => append_text(b, *form, v)?,
            (Cells::Text(b, _), None) => b.append_null(),
            (Cells::Date(b), Some(v)) => {
                let days = i32::from_be_bytes(exact(v)?);
                finite(days != i32::MAX && days != i32::MIN)?;
                b.append_value(local(i64::from(days) * DAY_US + EPOCH_US, zone)?);
            }
            (Cells::Time(b, naive), Some(v)) => {
                let us = i64::from_be_bytes(exact(v)?);
                finite(us != i64::MAX && us != i64::MIN)?;
                let us = us.saturating_add(EPOCH_US);
                b.append_value(if *naive { local(us, zone)? } else { instant(us, None)? });
            }
            (Cells::Date(b) | Cells::Time(b, _), None) => b.append_null(),
        }
        Ok(())
    }

    /// The array of the batch; an error comes with its row in the batch.
    fn finish(&mut self) -> std::result::Result<ArrayRef, (usize, Error)> {
        Ok(match self {
            Cells::Int(b) => Arc::new(b.finish()),
            Cells::Float(b) => Arc::new(b.finish()),
            Cells::Text(b, _) => Arc::new(b.finish()),
            Cells::Date(b) | Cells::Time(b, _) => {
                let array = b.finish();
                debug_assert_eq!(array.data_type(), &instant_type());
                Arc::new(array)
            }
            Cells::Decimal { cells, scale } => {
                let most = || cells.iter().flatten().map(|n| n.scale).max().unwrap_or(0);
                let scale = *scale.get_or_insert_with(most);
                let values = std::mem::take(cells).into_iter().enumerate();
                let values: std::result::Result<Vec<Option<i128>>, (usize, Error)> =
                    values.map(|(row, n)| n.map(|n| n.at_scale(scale)).transpose().map_err(|e| (row, e))).collect();
                let array = Decimal128Array::from(values?).with_precision_and_scale(DECIMAL_DIGITS, scale);
                Arc::new(array.map_err(|e| (0, Error::data(e.to_string())))?)
            }
        })
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::io(format!("the server sent {} bytes where {N} are due", bytes.len())))
}

fn integer(bytes: &[u8]) -> Result<i64> {
    Ok(match bytes.len() {
        2 => i64::from(i16::from_be_bytes(exact(bytes)?)),
        4 => i64::from(i32::from_be_bytes(exact(bytes)?)),
        _ => i64::from_be_bytes(exact(bytes)?),
    })
}

fn float(bytes: &[u8]) -> Result<f64> {
    Ok(match bytes.len() {
        4 => f64::from(f32::from_be_bytes(exact(bytes)?)),
        _ => f64::from_be_bytes(exact(bytes)?),
    })
}

fn finite(is_finite: bool) -> Result<()> {
    if is_finite {
        return Ok(());
    }
    Err(Error::data("the time is infinity; allowed are dates and null: write nullif(column, 'infinity') in the query"))
}

fn local(us: i64, zone: &TimeZone) -> Result<i64> {
    instant(us, Some(zone).filter(|zone| **zone != TimeZone::UTC))
}

fn append_text(builder: &mut StringBuilder, form: TextForm, bytes: &[u8]) -> Result<()> {
    let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|e| Error::data(format!("the text is not UTF-8 ({e})")));
    match form {
        TextForm::Plain => builder.append_value(utf8(bytes)?),
        TextForm::Padded => builder.append_value(utf8(bytes)?.trim_end_matches(' ')),
        TextForm::Versioned => builder.append_value(utf8(bytes.get(1..).unwrap_or_default())?),
        TextForm::Bool => builder.append_value(if exact::<1>(bytes)? == [0] { "false" } else { "true" }),
        TextForm::Uuid => {
            let hex = format!("{:032x}", u128::from_be_bytes(exact(bytes)?));
            let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
            builder.append_value(parts.join("-"));
        }
    }
    Ok(())
}

/// A `numeric`: `unscaled · 10^-scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Numeric {
    unscaled: i128,
    scale: i8,
}

impl Numeric {
    /// Decodes the binary format: count of digits, weight of the first, sign, decimals shown; then digits to base 10,000.
    fn decode(bytes: &[u8]) -> Result<Numeric> {
        let field = |at: usize| Ok::<_, Error>(u16::from_be_bytes(exact(bytes.get(2 * at..2 * at + 2).unwrap_or_default())?));
        let (n_digits, weight, sign, scale) = (field(0)?, field(1)?.cast_signed(), field(2)?, field(3)?);
        if !matches!(sign, 0 | 0x4000) {
            let what = if sign == 0xc000 { "NaN" } else { "infinity" };
            return Err(Error::data(format!(
                "the numeric is {what}; allowed are numbers and null: write nullif(column, '{what}') in the query"
            )));
        }
        let mut value = Some(0i128);
        for digit in 0..n_digits {
            let digit = i128::from(field(4 + usize::from(digit))?);
            value = value.and_then(|v| v.checked_mul(10_000)?.checked_add(digit));
        }
        // The last digit counts 10^exponent; the value is wanted in units of 10^-scale.
        let exponent = 4 * (i64::from(weight) - i64::from(n_digits) + 1) + i64::from(scale);
        let limit = power_of_ten(u32::from(DECIMAL_DIGITS)).unwrap_or(i128::MAX);
        let power = u32::try_from(exponent.unsigned_abs()).ok().and_then(power_of_ten);
        let unscaled = match (value, power, exponent >= 0) {
            (Some(0), _, _) => Some(0),
            (Some(v), Some(power), true) => v.checked_mul(power),
            // Digits beyond the decimals shown are zeros that fill the last group of four.
            (Some(v), Some(power), false) => Some(v / power),
            _ => None,
        };
        let unscaled = unscaled.filter(|v| *v < limit).zip(i8::try_from(scale).ok().filter(|s| *s <= DECIMAL_DIGITS as i8));
        let (unscaled, scale) = unscaled.ok_or_else(|| {
            Error::data(format!(
                "the numeric has more than {DECIMAL_DIGITS} digits; cast it in the query to double precision or \
                 numeric({DECIMAL_DIGITS}, decimals)"
            ))
        })?;
        Ok(Numeric { unscaled: if sign == 0 { unscaled } else { -unscaled }, scale })
    }

    /// The value in units of `10^-scale`, if nothing is lost.
    fn at_scale(self, scale: i8) -> Result<i128> {
        let power = power_of_ten(u32::from((scale - self.scale).unsigned_abs()));
        let value = match power {
            Some(power) if scale >= self.scale => self.unscaled.checked_mul(power),
            Some(power) if self.unscaled % power == 0 => Some(self.unscaled / power),
            _ => None,
        };
        let limit = power_of_ten(u32::from(DECIMAL_DIGITS)).unwrap_or(i128::MAX);
        value.filter(|v| v.abs() < limit).ok_or_else(|| {
            Error::data(format!(
                "the numeric has {} decimals where the rows before have at most {scale}, and at most {DECIMAL_DIGITS} digits \
                 are kept; cast it in the query to numeric({DECIMAL_DIGITS}, decimals) or double precision",
                self.scale
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(fields: &[u16]) -> Vec<u8> {
        fields.iter().flat_map(|f| f.to_be_bytes()).collect()
    }

    fn check(fields: &[u16], expected: std::result::Result<(i128, i8), &str>) {
        match (Numeric::decode(&bytes(fields)), expected) {
            (Ok(n), Ok(expected)) => assert_eq!((n.unscaled, n.scale), expected),
            (Err(e), Err(expected)) => assert!(e.to_string().starts_with(expected), "{e}"),
            (found, expected) => panic!("{found:?} where {expected:?} is due"),
        }
    }

    #[test]
    fn numerics_are_decoded() {
        // 12345.670: groups 1, 2345, 6700 with weight 1 and three decimals shown.
        check(&[3, 1, 0, 3, 1, 2345, 6700], Ok((12_345_670, 3)));
        check(&[1, 0xffff, 0x4000, 4, 12], Ok((-12, 4)));
        check(&[1, 2, 0, 0, 7], Ok((700_000_000, 0)));
        check(&[0, 0, 0, 2], Ok((0, 2)));
        check(&[0, 0, 0xc000, 0], Err("the numeric is NaN; allowed"));
        check(&[0, 0, 0xd000, 0], Err("the numeric is infinity; allowed"));
        check(&[1, 20, 0, 0, 1], Err("the numeric has more than 38 digits"));
        check(&[1, 0], Err("the server sent 0 bytes where 2 are due"));
    }

    #[test]
    fn scales_change_only_without_loss() {
        let n = Numeric { unscaled: 1500, scale: 3 };
        assert_eq!(n.at_scale(5).expect("finer"), 150_000);
        assert_eq!(n.at_scale(1).expect("zeros"), 15);
        let error = n.at_scale(0).expect_err("1.5 is no integer").to_string();
        assert!(error.starts_with("the numeric has 3 decimals where the rows before have at most 0"), "{error}");
    }
}
