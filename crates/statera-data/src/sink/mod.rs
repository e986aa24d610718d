//! Where scored rows go: CSV, Parquet, or a PostgreSQL table, every row exactly once and restartable.
//!
//! A sink takes rows in order and makes them durable in chunks. A run that is interrupted at any moment (Ctrl-C, a crash,
//! a full disk) leaves an unfinished output that cannot be mistaken for a finished one; the same command continues it:
//! [`Sink::rows_done`] says how many rows of the input are already there. Files are written beside their final name
//! (`scores.csv.partial` with `scores.csv.journal`) and take it in one step at the end. A finished output is never touched
//! unasked: a file of that name is an error unless it is to be replaced, and a table with rows unless they are to be added to.

mod cell;
mod csv;
mod journal;
mod parquet;
mod postgres;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use statera_core::{Error, Result};

/// Characters of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8 with a byte order mark, which spreadsheets need to recognise it.
    #[default]
    Utf8Bom,
    /// UTF-8 without a mark.
    Utf8,
    /// CP949, the superset of EUC-KR of Korean systems. A character it lacks is an error.
    Cp949,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Encoding; 3] = [Encoding::Utf8Bom, Encoding::Utf8, Encoding::Cp949];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8Bom => "utf-8-bom",
            Encoding::Utf8 => "utf-8",
            Encoding::Cp949 => "cp949",
        }
    }

    /// The encoding of that name.
    pub fn parse(name: &str) -> Option<Encoding> {
        Encoding::ALL.into_iter().find(|e| e.name() == name)
    }
}

/// How to write.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// Characters of text files; other sinks hold UTF-8.
    pub encoding: Encoding,
    /// True continues an interrupted run of the same fingerprint; false starts over and discards what it left. Rows of a
    /// database table are never deleted: the table must then be empty, or `append` be set.
    pub resume: bool,
    /// What is written: a digest of input, bundle and settings. A run left by another one is refused, not continued.
    pub fingerprint: String,
    /// True replaces a finished file of that name; false refuses to. A run that is continued was allowed to when it began.
    pub replace: bool,
    /// True adds to a database table that holds rows already; false refuses to.
    pub append: bool,
    /// Rows after which the output is made durable, at least 1; also the rows of a Parquet row group.
    pub chunk_rows: usize,
}

impl Default for SinkOptions {
    fn default() -> Self {
        SinkOptions {
            encoding: Encoding::default(),
            resume: true,
            fingerprint: String::new(),
            replace: false,
            append: false,
            chunk_rows: 131_072,
        }
    }
}

/// Takes rows in order. Dropping it without [`Sink::finish`] leaves an unfinished output that a later run continues.
pub trait Sink: Send {
    /// Rows that earlier runs have made durable: the caller leaves out that many of its first rows.
    fn rows_done(&self) -> u64;
    /// Takes the next rows; they are durable once [`SinkOptions::chunk_rows`] have come together. After an error the sink
    /// takes no more rows.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;
    /// Makes the last rows durable and gives the output its final name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A kind of sink.
pub struct SinkKind {
    /// Its name in help texts.
    pub name: &'static str,
    /// An address as a user writes it.
    pub example: &'static str,
    /// True if it writes to that address.
    pub accepts: fn(&str) -> bool,
    /// Opens it for rows of that schema.
    pub open: fn(&str, &SchemaRef, &SinkOptions) -> Result<Box<dyn Sink>>,
}

/// Every kind of sink.
pub const SINKS: &[SinkKind] = &[
    SinkKind {
        name: "CSV (UTF-8 or CP949)",
        example: "scores.csv",
        accepts: |address| is_file(address, &[".csv"]),
        open: csv::open,
    },
    SinkKind {
        name: "Parquet",
        example: "scores.parquet",
        accepts: |address| is_file(address, &[".parquet", ".pq"]),
        open: parquet::open,
    },
    SinkKind {
        name: "PostgreSQL table",
        example: "postgres://user@host/database?table=scores",
        accepts: crate::database::accepts,
        open: postgres::open,
    },
];

fn is_file(address: &str, ends: &[&str]) -> bool {
    let lower = address.to_ascii_lowercase();
    !address.contains("://") && ends.iter().any(|end| lower.ends_with(end))
}

/// Opens the sink of an address for rows of `schema`, whose types are those of a [`Table`](crate::Table).
pub fn open(address: &str, schema: &SchemaRef, options: &SinkOptions) -> Result<Box<dyn Sink>> {
    let kind = SINKS.iter().find(|s| (s.accepts)(address)).ok_or_else(|| {
        let shown = address.split_once("://").map_or(address, |(scheme, _)| scheme);
        let examples: Vec<&str> = SINKS.iter().map(|s| s.example).collect();
        Error::request(format!("cannot write to «{shown}»; allowed are {}", examples.join(", ")))
    })?;
    for field in schema.fields() {
        if !crate::source::physical::is_physical(field.data_type()) {
            return Err(Error::request(format!(
                "column «{}» is of type {}; allowed are Int64, Float64, Decimal128, Utf8 and Timestamp(µs, UTC)",
                field.name(),
                field.data_type()
            )));
        }
    }
    (kind.open)(address, schema, options)
}

/// Removes what an unfinished run left beside a file, for a run that cannot be continued. Rows of a database table stay.
pub fn discard(address: &str) {
    if SINKS.iter().any(|s| (s.accepts)(address)) && !address.contains("://") {
        for end in [".partial", ".journal"] {
            // What cannot be removed is found, and named, by the next run.
            let _ = std::fs::remove_file(format!("{address}{end}"));
        }
    }
}

/// What is written and how, in one line: a later run must agree with it.
fn layout(schema: &SchemaRef, encoding: Option<Encoding>) -> String {
    let columns: Vec<String> = schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    let encoding = encoding.map_or("", Encoding::name);
    format!("{encoding}({})", columns.join(", "))
}

/// Fails unless the rows have the schema the sink was opened for.
fn check_schema(expected: &SchemaRef, rows: &RecordBatch) -> Result<()> {
    let found = rows.schema();
    let types = |s: &SchemaRef| {
        s.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<(String, DataType)>>()
    };
    if *expected == found || types(expected) == types(&found) {
        return Ok(());
    }
    Err(Error::request(format!(
        "rows of the columns {} where {} are due",
        layout(&found, None),
        layout(expected, None)
    )))
}

/// After a failed write: the sink is in no state to go on.
fn broken(name: &str) -> Error {
    Error::io(format!("{name}: an earlier write failed; run the same command again to continue"))
}
