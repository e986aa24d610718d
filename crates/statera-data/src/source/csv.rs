//! CSV, plain or gzip.
//!
//! One thread reads, decodes and cuts blocks at record ends; blocks are parsed in parallel and delivered in order, so
//! that memory stays constant for a file of any length. Fields are quoted as in RFC 4180; a quote opens only at the start of a
//! field. Lines without a character are skipped, and a record with another number of fields than the first is an error.

use super::block::{Block, Blocks, Cut, Cutter, after_quoted};
use super::dialect::{self, Dialect};
use super::encoding::{Encoding, TextInput};
use super::header;
use super::input::{Input, ends_in, open_file};
use super::{BatchReader, ReadOptions, Source, SourceFacts};
use crate::infer::SurveyedBatch;
use crate::infer::cells::{CellSink, CellsBuilder, TextCells};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use memchr::memchr_iter;
use rayon::prelude::*;
use statera_core::{Error, Result};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// CSV files.
pub(super) const SOURCE: Source = Source {
    name: "CSV",
    example: "loans.csv, .tsv or .txt, also .gz",
    accepts: |address| ends_in(address, &[".csv", ".tsv", ".txt"]),
    open: |address, _: &ReadOptions| open_input(open_file(address)?, address),
};

/// Opens the CSV text of `input`.
pub(super) fn open_input(input: Input, origin: &str) -> Result<Box<dyn BatchReader>> {
    let input = TextInput::new(input, origin);
    let encoding = input.encoding();
    let mut cutter = Cutter::new(input)?;
    let (head, complete) = cutter.head();
    let dialect = dialect::detect(head, complete, origin)?;
    let header_lines = memchr_iter(dialect.terminator, &head[..dialect.header_bytes]).count() as u64;
    cutter.skip(dialect.header_bytes, header_lines);
    let cut = Cut { separator: dialect.separator, terminator: dialect.terminator, quoted: true };
    let fields: Vec<Field> = dialect.names.iter().map(|n| Field::new(n, DataType::Utf8, true)).collect();
    Ok(Box::new(CsvReader {
        origin: origin.to_string(),
        dialect,
        schema: Arc::new(Schema::new(fields)),
        encoding,
        blocks: Blocks::start(cutter, cut),
        ready: VecDeque::new(),
        failure: None,
        places: Places::default(),
        delivered: false,
    }))
}

/// A CSV text being read.
struct CsvReader {
    origin: String,
    dialect: Dialect,
    schema: Arc<Schema>,
    encoding: Arc<OnceLock<Encoding>>,
    blocks: Blocks,
    ready: VecDeque<Parsed>,
    /// What comes after the batches that are ready.
    failure: Option<Error>,
    places: Places,
    delivered: bool,
}

impl BatchReader for CsvReader {
    fn is_text(&self) -> bool {
        true
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match self.next_rows(parse::<TextCells>)? {
            Some(Rows::Text(batch)) => Ok(Some(batch)),
            Some(Rows::Surveyed(batch)) => {
                batch.into_text().map(Some).map_err(|e| Error::data(format!("{}: {e}", self.origin)))
            }
            None => Ok(None),
        }
    }

    fn next_surveyed(&mut self) -> Result<Option<SurveyedBatch>> {
        Ok(self.next_rows(parse::<CellsBuilder>)?.map(|rows| match rows {
            Rows::Text(batch) => SurveyedBatch::of(&batch),
            Rows::Surveyed(batch) => batch,
        }))
    }

    fn facts(&self) -> SourceFacts {
        SourceFacts {
            encoding: Some(self.encoding.get().map_or("UTF-8", |e| e.name()).to_string()),
            separator: Some(self.dialect.separator as char),
            header: Some(self.dialect.header),
            notes: header::notes(self.dialect.header),
        }
    }

    fn place(&self, row: usize) -> String {
        self.places.describe(&self.origin, row)
    }
}

/// Parses a block of records of a dialect, schema and origin.
type ParseBlock = fn(&Block, &Dialect, &Arc<Schema>, &str) -> Result<Parsed>;

impl CsvReader {
    /// The next rows that are ready, or else those of the next blocks as `parse` makes them.
    fn next_rows(&mut self, parse: ParseBlock) -> Result<Option<Rows>> {
        if self.ready.is_empty() && self.failure.is_none() {
            self.parse_more(parse);
        }
        if let Some(parsed) = self.ready.pop_front() {
            self.delivered = true;
            self.places.push(parsed.n_rows, parsed.line);
            return Ok(Some(parsed.rows));
        }
        if let Some(failure) = self.failure.clone() {
            return Err(failure);
        }
        if !self.delivered {
            self.delivered = true;
            return Ok(Some(Rows::Text(RecordBatch::new_empty(self.schema.clone()))));
        }
        Ok(None)
    }

    /// Parses the next blocks, one for each worker thread.
    fn parse_more(&mut self, parse: ParseBlock) {
        let blocks = self.blocks.next();
        let (dialect, schema, origin) = (&self.dialect, &self.schema, &self.origin);
        let parsed: Vec<Result<Parsed>> =
            blocks.into_par_iter().map(|block| parse(&block?, dialect, schema, origin)).collect();
        for one in parsed {
            match one {
                Ok(parsed) => self.ready.push_back(parsed),
                Err(e) => {
                    self.failure = Some(e);
                    break;
                }
            }
        }
    }
}

/// The rows of a block.
struct Parsed {
    rows: Rows,
    n_rows: usize,
    /// Line of the first row, if each row is one line.
    line: Option<u64>,
}

/// Rows as one of the two ways of reading wants them.
enum Rows {
    Text(RecordBatch),
    Surveyed(SurveyedBatch),
}

/// What gathers the cells of a column, and what the columns of a block become.
trait BlockColumn: CellSink {
    /// The rows of finished columns.
    fn assemble(schema: &Arc<Schema>, columns: Vec<Self>) -> Result<Rows>
    where
        Self: Sized;
}

impl BlockColumn for TextCells {
    fn assemble(schema: &Arc<Schema>, columns: Vec<TextCells>) -> Result<Rows> {
        let arrays = columns.into_iter().map(|c| Ok(Arc::new(c.finish()?) as ArrayRef)).collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(schema.clone(), arrays).map(Rows::Text).map_err(|e| Error::data(e.to_string()))
    }
}

impl BlockColumn for CellsBuilder {
    fn assemble(schema: &Arc<Schema>, columns: Vec<CellsBuilder>) -> Result<Rows> {
        let cells = columns.into_iter().map(CellsBuilder::finish).collect::<Result<Vec<_>>>()?;
        Ok(Rows::Surveyed(SurveyedBatch::new(schema.clone(), cells)))
    }
}

/// On which line each delivered row stands, where that can be told at constant cost per batch.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// For each batch its first row, and that row's line if each of its rows is one line.
    batches: Vec<(usize, Option<u64>)>,
    n_rows: usize,
}

impl Places {
    /// Adds a batch.
    pub(super) fn push(&mut self, n_rows: usize, line: Option<u64>) {
        self.batches.push((self.n_rows, line));
        self.n_rows += n_rows;
    }

    /// The file and the line of a row; its number where rows and lines differ.
    pub(super) fn describe(&self, origin: &str, row: usize) -> String {
        let batch = self.batches.partition_point(|(first, _)| *first <= row).checked_sub(1);
        match batch.map(|i| self.batches[i]) {
            Some((first, Some(line))) => format!("{origin}, line {}", line + (row - first) as u64),
            _ => format!("{origin}, row {}", row + 1),
        }
    }
}

/// Parses a block of records with as many fields as the dialect has names.
fn parse<C: BlockColumn>(block: &Block, dialect: &Dialect, schema: &Arc<Schema>, origin: &str) -> Result<Parsed> {
    let text = block.text.as_slice();
    let n_columns = dialect.names.len();
    let n_lines = memchr_iter(dialect.terminator, text).count() + 1;
    let mut columns: Vec<C> = (0..n_columns).map(|_| C::with_capacity(n_lines, text.len() / n_columns)).collect();
    let marks = Marks::of(dialect);
    let mut unquoted = Vec::new();
    let (mut pos, mut n_rows, mut one_line_each) = (0, 0usize, true);
    while pos < text.len() {
        let blank = blank_line(&text[pos..], dialect.terminator);
        if blank > 0 {
            pos += blank;
            one_line_each &= pos == text.len();
            continue;
        }
        match parse_record(text, pos, marks, &mut columns, &mut unquoted) {
            Some(record) => {
                pos = record.end;
                one_line_each &= !record.quoted_lines;
            }
            None => return Err(record_error(block, pos, dialect, origin)),
        }
        n_rows += 1;
    }
    let rows = C::assemble(schema, columns).map_err(|e| e.at(origin))?;
    Ok(Parsed { rows, n_rows, line: (one_line_each && n_rows > 0).then_some(block.line) })
}

/// Length of the empty line that `text` begins with; 0 if it begins with something else.
fn blank_line(text: &[u8], terminator: u8) -> usize {
    match text {
        [first, ..] if *first == terminator => 1,
        [b'\r', second, ..] if *second == terminator => 2,
        [b'\r'] => 1,
        _ => 0,
    }
}

/// Where a record ends, and whether a quoted field in it spans lines.
struct RecordEnd {
    end: usize,
    quoted_lines: bool,
}

/// Appends the record at `start` to the columns; `None` if it has another number of fields or an unclosed quote.
fn parse_record<C: CellSink>(
    text: &[u8],
    start: usize,
    marks: Marks,
    columns: &mut [C],
    unquoted: &mut Vec<u8>,
) -> Option<RecordEnd> {
    let (mut pos, mut quoted_lines) = (start, false);
    let last = columns.len() - 1;
    for (i, column) in columns.iter_mut().enumerate() {
        if let Some((word, length)) = marks.short_field(text, pos) {
            // Most fields: shorter than a word, and without a quote before them.
            pos += length;
            let ends_record = text[pos] != marks.separator;
            if ends_record != (i == last) {
                return None;
            }
            let returned = ends_record && length > 0 && text[pos - 1] == b'\r';
            let length = length - usize::from(returned);
            column.push_short(if returned { word & low_bytes(length) } else { word }, length);
            pos += 1;
            continue;
        }
        let quoted = text.get(pos) == Some(&b'"');
        if quoted {
            let (after, _) = after_quoted(text, pos)?;
            quoted_lines |= text[pos..after].contains(&marks.terminator);
            unquoted.clear();
            unquote(&text[pos + 1..after - 1], unquoted);
            pos = after;
        }
        let length = marks.field_length(&text[pos..]);
        let field = &text[pos..pos + length];
        pos += length;
        let ends_record = text.get(pos) != Some(&marks.separator);
        if ends_record != (i == last) {
            return None;
        }
        let field = if ends_record { without_return(field) } else { field };
        if quoted {
            unquoted.extend_from_slice(field);
        }
        column.push(if quoted { unquoted } else { field });
        pos += 1;
    }
    Some(RecordEnd { end: pos.min(text.len()), quoted_lines })
}

/// The bytes that end a field, looked for in eight bytes at once.
#[derive(Clone, Copy)]
struct Marks {
    separator: u8,
    terminator: u8,
    /// Each in all bytes of a word.
    separators: u64,
    terminators: u64,
}

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

impl Marks {
    fn of(dialect: &Dialect) -> Marks {
        let (separator, terminator) = (dialect.separator, dialect.terminator);
        let all = |byte: u8| u64::from(byte) * ONES;
        Marks { separator, terminator, separators: all(separator), terminators: all(terminator) }
    }

    /// Bytes of `word` before the first mark; 8 if it has none.
    fn before_mark(self, word: u64) -> usize {
        // The lowest bit that is set stands for the first zero byte (Mycroft 1987); those above it may be wrong.
        let zeros = |x: u64| x.wrapping_sub(ONES) & !x & (ONES << 7);
        ((zeros(word ^ self.separators) | zeros(word ^ self.terminators)).trailing_zeros() / 8) as usize
    }

    /// The field at `pos` in the low bytes of a word, and its length; `None` if it is quoted, longer than seven bytes, or
    /// not eight bytes before the end.
    fn short_field(self, text: &[u8], pos: usize) -> Option<(u64, usize)> {
        let word = u64::from_le_bytes(*text.get(pos..)?.first_chunk()?);
        let length = self.before_mark(word);
        (length < 8 && word & 0xFF != u64::from(b'"')).then(|| (word & low_bytes(length), length))
    }

    /// Length of the field that `text` begins with.
    fn field_length(self, text: &[u8]) -> usize {
        let (words, rest) = text.as_chunks();
        let mut at = 0;
        for word in words {
            let length = self.before_mark(u64::from_le_bytes(*word));
            at += length;
            if length < 8 {
                return at;
            }
        }
        at + rest.iter().position(|&b| b == self.separator || b == self.terminator).unwrap_or(rest.len())
    }
}

/// Ones in the lowest `n` bytes; at most seven.
fn low_bytes(n: usize) -> u64 {
    (1 << (8 * n)) - 1
}

/// A record's last field without the carriage return of a `\r\n`.
fn without_return(field: &[u8]) -> &[u8] {
    field.strip_suffix(b"\r").unwrap_or(field)
}

/// Appends what stands between two quotes, doubled quotes once.
fn unquote(quoted: &[u8], into: &mut Vec<u8>) {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'"', &quoted[from..]) {
        into.extend_from_slice(&quoted[from..=from + at]);
        from += at + 2;
    }
    into.extend_from_slice(quoted.get(from..).unwrap_or_default());
}

/// What is wrong with the record at `pos`.
fn record_error(block: &Block, pos: usize, dialect: &Dialect, origin: &str) -> Error {
    let line = block.line + memchr_iter(dialect.terminator, &block.text[..pos]).count() as u64;
    let record = read_record(&block.text, pos, dialect.separator, dialect.terminator);
    if record.unclosed {
        return Error::data(format!(
            "{origin}, line {line}: a quote is opened and never closed; the file may be truncated"
        ));
    }
    let (expected, found) = (dialect.names.len(), record.fields.len());
    let s = if found == 1 { "" } else { "s" };
    let first = if dialect.header { "the header has" } else { "the first record has" };
    Error::data(format!("{origin}, line {line}: {found} field{s}; {first} {expected}"))
}

/// One record, read for detection and messages.
pub(super) struct Record<'a> {
    /// Its fields, unquoted.
    pub(super) fields: Vec<Cow<'a, [u8]>>,
    /// The byte after it.
    pub(super) end: usize,
    /// True if the text ends inside quotes.
    pub(super) unclosed: bool,
}

impl Record<'_> {
    /// True for a line without a character.
    pub(super) fn is_blank(&self) -> bool {
        self.fields.iter().all(|f| f.is_empty()) && self.fields.len() == 1
    }
}

/// The record at `start`, whatever its number of fields.
pub(super) fn read_record(text: &[u8], start: usize, separator: u8, terminator: u8) -> Record<'_> {
    let (mut pos, mut fields) = (start, Vec::new());
    loop {
        let mut value: Cow<[u8]> = Cow::Borrowed(&[]);
        if text.get(pos) == Some(&b'"') {
            let Some((after, _)) = after_quoted(text, pos) else {
                return Record { fields, end: text.len(), unclosed: true };
            };
            unquote(&text[pos + 1..after - 1], value.to_mut());
            pos = after;
        }
        let rest = &text[pos..];
        let length = rest.iter().position(|&b| b == separator || b == terminator).unwrap_or(rest.len());
        pos += length;
        let ends_record = text.get(pos) != Some(&separator);
        let tail = if ends_record { without_return(&rest[..length]) } else { &rest[..length] };
        if value.is_empty() {
            value = Cow::Borrowed(tail);
        } else {
            value.to_mut().extend_from_slice(tail);
        }
        fields.push(value);
        pos = (pos + 1).min(text.len());
        if ends_record {
            return Record { fields, end: pos, unclosed: false };
        }
    }
}
