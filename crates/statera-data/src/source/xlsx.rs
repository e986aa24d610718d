//! Excel workbooks: the first sheet, or the one named after `#`.
//!
//! The first row with a value is the header or already data (`header.rs`); empty rows are skipped. Numbers become their shortest text, dates ISO text, error cells an error. The sheet is held in memory as text while it is read.

use super::dialect::name_columns;
use super::header::{self, is_header};
use super::input::read_error;
use super::{BatchReader, ReadOptions, Source, SourceFacts};
use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use calamine::{DataRef, ExcelDateTime, Reader, Xlsx, XlsxError};
use statera_core::{Error, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

/// Excel workbooks.
pub(super) const SOURCE: Source = Source {
    name: "Excel workbook",
    example: "loans.xlsx or loans.xlsx#Sheet2",
    accepts: |address| {
        let (path, _) = split(address);
        let path = path.to_lowercase();
        path.ends_with(".xlsx") || path.ends_with(".xlsm")
    },
    open: |address, _: &ReadOptions| open(address),
};

/// Rows of a batch.
const BATCH_ROWS: usize = 16_384;

/// Path and sheet of an address.
fn split(address: &str) -> (&str, Option<&str>) {
    address.split_once('#').map_or((address, None), |(path, sheet)| (path, Some(sheet)))
}

fn open(address: &str) -> Result<Box<dyn BatchReader>> {
    let (path, wish) = split(address);
    let file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::io(format!("{path}: no such file")),
        _ => read_error(path, &e),
    })?;
    let fails = |e: XlsxError| Error::data(format!("{path}: not a readable .xlsx workbook: {e}"));
    let mut book = Xlsx::new(BufReader::new(file)).map_err(fails)?;
    let sheets = book.sheet_names();
    let sheet = match wish {
        Some(name) if sheets.iter().any(|s| s == name) => name.to_string(),
        Some(name) => {
            return Err(Error::request(format!("{path}: no sheet «{name}»; there are {}", sheets.join(", "))));
        }
        None => sheets.first().cloned().ok_or_else(|| Error::data(format!("{path}: a workbook without sheets")))?,
    };
    let origin = format!("{path}#{sheet}");
    let mut rows = Rows::default();
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(fails)?;
    while let Some(cell) = cells.next_cell().map_err(fails)? {
        let (row, column) = cell.get_position();
        if let Some(text) = cell_text(cell.get_value(), row, column, &origin)? {
            rows.push(row, column, text, &origin)?;
        }
    }
    rows.into_reader(origin).map(|reader| Box::new(reader) as Box<dyn BatchReader>)
}

/// The text of a cell; `None` if it is empty.
fn cell_text(value: &DataRef<'_>, row: u32, column: u32, origin: &str) -> Result<Option<String>> {
    Ok(Some(match value {
        DataRef::Empty => return Ok(None),
        DataRef::Int(n) => n.to_string(),
        DataRef::Float(x) => float_text(*x),
        DataRef::String(s) | DataRef::DateTimeIso(s) | DataRef::DurationIso(s) => s.clone(),
        DataRef::SharedString(s) => (*s).to_string(),
        DataRef::Bool(b) => b.to_string(),
        DataRef::DateTime(time) => time_text(time),
        DataRef::Error(e) => {
            return Err(Error::data(format!(
                "{origin}, cell {}: the error {e}; correct the formula or empty the cell",
                cell_name(row, column)
            )));
        }
    }))
    .map(|text| text.filter(|t| !t.trim().is_empty()))
}

/// The shortest text that is this number; with an exponent where zeros would fill a line.
fn float_text(x: f64) -> String {
    let size = x.abs();
    if size != 0.0 && !(1e-7..1e18).contains(&size) { format!("{x:e}") } else { x.to_string() }
}

/// A date, a date with time, a time of day, or a duration in days.
fn time_text(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        return float_text(time.as_f64());
    }
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let fraction = if milli == 0 { String::new() } else { format!(".{milli:03}") };
    let clock = format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    match (time.as_f64() < 1.0, clock == "00:00:00") {
        (true, _) => clock,
        (false, true) => format!("{year:04}-{month:02}-{day:02}"),
        (false, false) => format!("{year:04}-{month:02}-{day:02}T{clock}"),
    }
}

/// The name of a cell as the workbook shows it.
fn cell_name(row: u32, column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    format!("{}{}", letters.iter().rev().collect::<String>(), row + 1)
}

/// Rows being collected.
#[derive(Default)]
struct Rows {
    /// The first row with a value: columns and texts.
    first: Vec<(u32, String)>,
    first_row: u32,
    /// Cells of the columns from the first row's first to its last, beginning with the second row.
    columns: Vec<StringBuilder>,
    /// Row in the sheet of each row collected.
    sheet_rows: Vec<u32>,
}

impl Rows {
    /// Takes the next cell; cells come row by row.
    fn push(&mut self, row: u32, column: u32, text: String, origin: &str) -> Result<()> {
        let here = || cell_name(row, column);
        let out_of_order = || Error::data(format!("{origin}, cell {}: cells are not in the order of rows", here()));
        if self.first.is_empty() {
            self.first_row = row;
        }
        if row == self.first_row && self.sheet_rows.is_empty() {
            if self.first.last().is_some_and(|(last, _)| *last >= column) {
                return Err(out_of_order());
            }
            self.first.push((column, text));
            return Ok(());
        }
        let (start, end) = match (self.first.first(), self.first.last()) {
            (Some((start, _)), Some((end, _))) => (*start, *end),
            _ => return Err(out_of_order()),
        };
        if column < start || column > end {
            return Err(Error::data(format!(
                "{origin}, cell {}: a value outside the columns of the first row ({} to {})",
                here(),
                cell_name(self.first_row, start),
                cell_name(self.first_row, end)
            )));
        }
        if self.columns.is_empty() {
            self.columns = (start..=end).map(|_| StringBuilder::new()).collect();
        }
        if self.sheet_rows.last() != Some(&row) {
            if row < self.first_row || self.sheet_rows.last().is_some_and(|last| *last > row) {
                return Err(out_of_order());
            }
            self.end_row();
            self.sheet_rows.push(row);
        }
        let builder = &mut self.columns[(column - start) as usize];
        if arrow_array::builder::ArrayBuilder::len(builder) >= self.sheet_rows.len() {
            return Err(out_of_order());
        }
        builder.append_value(text);
        Ok(())
    }

    /// Fills the cells that the last row lacks.
    fn end_row(&mut self) {
        let n_rows = self.sheet_rows.len();
        for builder in &mut self.columns {
            if arrow_array::builder::ArrayBuilder::len(builder) < n_rows {
                builder.append_null();
            }
        }
    }

    /// Names the columns and cuts batches.
    fn into_reader(mut self, origin: String) -> Result<SheetReader> {
        self.end_row();
        let (Some((start, _)), Some((end, _))) = (self.first.first(), self.first.last()) else {
            return Err(Error::data(format!("{origin}: empty; expected column names and rows")));
        };
        let mut fields = vec![String::new(); (end - start + 1) as usize];
        let start = *start;
        for (column, text) in &self.first {
            fields[(column - start) as usize] = text.trim().to_string();
        }
        let arrays: Vec<StringArray> = self.columns.iter_mut().map(StringBuilder::finish).collect();
        let n_below = arrays.first().map_or(0, |array| array.len()).min(header::SAMPLE_RECORDS);
        let text = |array: &StringArray, row| {
            if array.is_null(row) { String::new() } else { array.value(row).trim().to_string() }
        };
        let below: Vec<Vec<String>> =
            (0..n_below).map(|row| arrays.iter().map(|array| text(array, row)).collect()).collect();
        let header = is_header(&fields, &below);
        let (names, sheet_rows) = if header {
            (name_columns(fields.clone(), &origin)?, self.sheet_rows)
        } else {
            let names = (1..=fields.len()).map(|i| format!("column_{i}")).collect();
            (names, std::iter::once(self.first_row).chain(self.sheet_rows).collect())
        };
        let schema: Vec<Field> = names.iter().map(|n| Field::new(n, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(schema));
        let mut batches = VecDeque::new();
        if !header {
            let cells = fields.into_iter().map(|f| Arc::new(StringArray::from(vec![f])) as ArrayRef);
            batches.push_back(batch(&schema, cells.collect(), &origin)?);
        }
        if !arrays.is_empty() {
            let arrays = arrays.into_iter().map(|array| Arc::new(array) as ArrayRef).collect();
            let whole = batch(&schema, arrays, &origin)?;
            for start in (0..whole.num_rows()).step_by(BATCH_ROWS) {
                batches.push_back(whole.slice(start, BATCH_ROWS.min(whole.num_rows() - start)));
            }
        }
        if batches.is_empty() {
            batches.push_back(RecordBatch::new_empty(schema));
        }
        Ok(SheetReader { origin, header, batches, sheet_rows })
    }
}

fn batch(schema: &Arc<Schema>, arrays: Vec<ArrayRef>, origin: &str) -> Result<RecordBatch> {
    RecordBatch::try_new(schema.clone(), arrays).map_err(|e| Error::data(format!("{origin}: {e}")))
}

/// A sheet being delivered.
struct SheetReader {
    origin: String,
    header: bool,
    batches: VecDeque<RecordBatch>,
    /// Row in the sheet of each row, from 0.
    sheet_rows: Vec<u32>,
}

impl BatchReader for SheetReader {
    fn is_text(&self) -> bool {
        true
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.batches.pop_front())
    }

    fn facts(&self) -> SourceFacts {
        SourceFacts { header: Some(self.header), notes: header::notes(self.header), ..SourceFacts::default() }
    }

    fn place(&self, row: usize) -> String {
        match self.sheet_rows.get(row) {
            Some(sheet_row) => format!("{}, row {}", self.origin, u64::from(*sheet_row) + 1),
            None => self.origin.clone(),
        }
    }
}
