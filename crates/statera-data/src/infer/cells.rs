//! The cells of a part of a column while the kind of the whole column is not known.
//!
//! Most cells of most tables are plain integers, so these are read at once and their text is dropped: `-?(0|[1-9][0-9]{0,17})`
//! without `-0` is written back from its value to the byte, so nothing is lost should the column turn out to be text.

use super::convert::{Misfit, convert};
use super::survey::Survey;
use super::{TextFormat, Zone};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Schema};
use rayon::prelude::*;
use statera_core::{Error, Result};
use std::sync::Arc;

/// Cells that are no plain integer up to which a part is not text.
const OTHERS_MAX: usize = 64;

/// Takes the cells of a column one by one.
pub(crate) trait CellSink: Send {
    /// For about `n_rows` cells of about `n_bytes` bytes in all.
    fn with_capacity(n_rows: usize, n_bytes: usize) -> Self;
    /// Adds a cell of valid UTF-8.
    fn push(&mut self, cell: &[u8]);
    /// Adds a cell of up to seven bytes: the low bytes of `word`, the first lowest; the others are zero.
    fn push_short(&mut self, word: u64, n_bytes: usize) {
        self.push(&word.to_le_bytes()[..n_bytes]);
    }
}

/// Text as Arrow lays it out.
#[derive(Debug)]
pub(crate) struct TextCells {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl CellSink for TextCells {
    fn with_capacity(n_rows: usize, n_bytes: usize) -> TextCells {
        let mut offsets = Vec::with_capacity(n_rows + 1);
        offsets.push(0);
        TextCells { offsets, bytes: Vec::with_capacity(n_bytes) }
    }

    /// A block has less than 2 GiB, so offsets fit.
    fn push(&mut self, cell: &[u8]) {
        self.bytes.extend_from_slice(cell);
        self.offsets.push(self.bytes.len() as i32);
    }
}

impl TextCells {
    /// The array of the cells.
    ///
    /// # Errors
    /// Bytes that are not UTF-8.
    pub(crate) fn finish(mut self) -> Result<StringArray> {
        self.offsets.shrink_to_fit();
        self.bytes.shrink_to_fit();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None).map_err(|e| Error::data(e.to_string()))
    }
}

/// Reads cells as integers until too many are none.
#[derive(Debug)]
pub(crate) struct CellsBuilder {
    /// The integers, 0 for other cells; empty once the cells are kept as text.
    values: Vec<i64>,
    /// Rows of the other cells.
    other_rows: Vec<u32>,
    /// The other cells, or all of them once they are kept as text.
    text: TextCells,
    is_text: bool,
    n_bytes: usize,
}

impl CellSink for CellsBuilder {
    fn with_capacity(n_rows: usize, n_bytes: usize) -> CellsBuilder {
        let values = Vec::with_capacity(n_rows);
        CellsBuilder { values, other_rows: Vec::new(), text: TextCells::with_capacity(0, 0), is_text: false, n_bytes }
    }

    fn push(&mut self, cell: &[u8]) {
        match if self.is_text { None } else { integer(cell) } {
            Some(value) => self.values.push(value),
            None => self.push_other(cell),
        }
    }

    #[inline]
    fn push_short(&mut self, word: u64, n_bytes: usize) {
        match if self.is_text { None } else { short_integer(word, n_bytes) } {
            Some(value) => self.values.push(value),
            None => self.push_other(&word.to_le_bytes()[..n_bytes]),
        }
    }
}

impl CellsBuilder {
    fn push_other(&mut self, cell: &[u8]) {
        self.text.push(cell);
        if self.is_text {
            return;
        }
        self.other_rows.push(self.values.len() as u32);
        self.values.push(0);
        if self.other_rows.len() > OTHERS_MAX && self.other_rows.len() * 2 > self.values.len() {
            self.become_text();
        }
    }

    /// Keeps all cells as text from now on.
    fn become_text(&mut self) {
        let mut text = TextCells::with_capacity(self.values.capacity(), self.n_bytes);
        let (values, rows) = (std::mem::take(&mut self.values), std::mem::take(&mut self.other_rows));
        let others = self.text.offsets.windows(2).map(|w| &self.text.bytes[w[0] as usize..w[1] as usize]);
        each_cell(&values, &rows, others, |cell| text.push(cell));
        self.text = text;
        self.is_text = true;
    }

    /// The cells.
    ///
    /// # Errors
    /// Bytes that are not UTF-8.
    pub(crate) fn finish(self) -> Result<Cells> {
        let text = self.text.finish()?;
        if self.is_text {
            return Ok(Cells::Text(text));
        }
        Ok(Cells::Integers { values: self.values, other_rows: self.other_rows, others: text })
    }
}

/// Calls `f` with each cell in order: integers as text, the others as they are.
fn each_cell<'a>(
    values: &[i64],
    other_rows: &[u32],
    mut others: impl Iterator<Item = &'a [u8]>,
    mut f: impl FnMut(&[u8]),
) {
    let mut next_other = other_rows.iter().map(|&r| r as usize).peekable();
    let mut buffer = [0; INTEGER_LENGTH_MAX];
    for (row, value) in values.iter().enumerate() {
        match next_other.next_if_eq(&row).and_then(|_| others.next()) {
            Some(other) => f(other),
            None => f(written(*value, &mut buffer).as_bytes()),
        }
    }
}

/// Cells of a part of a column.
#[derive(Debug, Clone)]
pub(crate) enum Cells {
    /// As they are written.
    Text(StringArray),
    /// Mostly plain integers.
    Integers {
        /// Their values, 0 in rows of other cells.
        values: Vec<i64>,
        /// Rows of the other cells, ascending.
        other_rows: Vec<u32>,
        /// The other cells as they are written, missing ones too.
        others: StringArray,
    },
}

impl Cells {
    /// The cells of `text`; nulls count as empty.
    pub(crate) fn of(text: StringArray) -> Cells {
        let mut builder = CellsBuilder::with_capacity(text.len(), 0);
        for row in 0..text.len() {
            builder.push(if text.is_null(row) { b"" } else { text.value(row).as_bytes() });
            if builder.is_text {
                return Cells::Text(text);
            }
        }
        builder.finish().unwrap_or(Cells::Text(text))
    }

    /// Number of cells.
    pub(crate) fn len(&self) -> usize {
        match self {
            Cells::Text(text) => text.len(),
            Cells::Integers { values, .. } => values.len(),
        }
    }

    /// The cells as text.
    pub(crate) fn into_text(self) -> StringArray {
        if let Cells::Text(text) = self {
            return text;
        }
        let mut text = TextCells::with_capacity(self.len(), self.len() * 4);
        self.each(|cell| text.push(cell.as_bytes()));
        text.finish().expect("cells that were text are valid UTF-8 again")
    }

    /// Calls `f` with each cell in order.
    pub(super) fn each(&self, mut f: impl FnMut(&str)) {
        match self {
            Cells::Text(text) if text.null_count() == 0 => (0..text.len()).for_each(|row| f(text.value(row))),
            Cells::Text(text) => text.iter().for_each(|cell| f(cell.unwrap_or(""))),
            Cells::Integers { values, other_rows, others } => {
                let others = others.iter().map(|cell| cell.unwrap_or("").as_bytes());
                each_cell(values, other_rows, others, |cell| f(std::str::from_utf8(cell).unwrap_or_default()));
            }
        }
    }

    /// Converts the cells; see [`convert`].
    pub(super) fn convert(
        self,
        to: &DataType,
        format: &TextFormat,
        zone: &Zone,
    ) -> std::result::Result<ArrayRef, Misfit> {
        let marked = format.percent || format.currency.is_some();
        let (values, rows, others) = match self {
            // An integer without a mark is the same number under every decimal mark.
            Cells::Integers { values, other_rows, others }
                if !marked && matches!(to, DataType::Int64 | DataType::Float64) =>
            {
                (values, other_rows, others)
            }
            cells => return convert(&cells.into_text(), to, format, zone),
        };
        let others = convert(&others, to, format, zone)
            .map_err(|misfit| Misfit { row: rows.get(misfit.row).map_or(0, |&r| r as usize), ..misfit })?;
        Ok(if *to == DataType::Int64 {
            Arc::new(scattered::<Int64Type>(values, &rows, &others))
        } else {
            let values = values.into_iter().map(|v| v as f64).collect();
            Arc::new(scattered::<Float64Type>(values, &rows, &others))
        })
    }
}

/// `values` with the converted other cells in their rows.
fn scattered<T: ArrowPrimitiveType>(mut values: Vec<T::Native>, rows: &[u32], others: &ArrayRef) -> PrimitiveArray<T> {
    let others = others.as_primitive::<T>();
    let mut nulls = NullBufferBuilder::new(values.len());
    for (i, &row) in rows.iter().enumerate() {
        if others.is_null(i) {
            nulls.append_n_non_nulls(row as usize - nulls.len());
            nulls.append_null();
        } else {
            values[row as usize] = others.value(i);
        }
    }
    nulls.append_n_non_nulls(values.len() - nulls.len());
    PrimitiveArray::new(ScalarBuffer::from(values), nulls.finish())
}

/// Rows of a text source, each column surveyed.
#[derive(Debug)]
pub struct SurveyedBatch {
    /// Names of the columns.
    pub(crate) schema: Arc<Schema>,
    /// The columns.
    pub(crate) columns: Vec<SurveyedCells>,
    /// Number of rows.
    pub(crate) n_rows: usize,
}

/// Cells of a part of a column and what they could be.
#[derive(Debug)]
pub(crate) struct SurveyedCells {
    pub(super) cells: Cells,
    pub(super) survey: Survey,
}

impl SurveyedBatch {
    /// Surveys columns of the same length.
    pub(crate) fn new(schema: Arc<Schema>, columns: Vec<Cells>) -> SurveyedBatch {
        let n_rows = columns.first().map_or(0, Cells::len);
        let surveyed = |cells: Cells| SurveyedCells { survey: Survey::of(&cells), cells };
        SurveyedBatch { schema, columns: columns.into_par_iter().map(surveyed).collect(), n_rows }
    }

    /// Surveys a batch whose columns are all text.
    pub(crate) fn of(batch: &RecordBatch) -> SurveyedBatch {
        let columns = batch.columns().par_iter().map(|column| Cells::of(column.as_string::<i32>().clone())).collect();
        SurveyedBatch::new(batch.schema(), columns)
    }

    /// The columns at those places, each once.
    pub(crate) fn reordered(self, order: &[usize]) -> SurveyedBatch {
        let fields: Vec<_> = order.iter().map(|&i| self.schema.field(i).clone()).collect();
        let mut columns: Vec<Option<SurveyedCells>> = self.columns.into_iter().map(Some).collect();
        let columns = order.iter().filter_map(|&i| columns[i].take()).collect();
        SurveyedBatch { schema: Arc::new(Schema::new(fields)), columns, n_rows: self.n_rows }
    }

    /// The rows as text.
    ///
    /// # Errors
    /// Columns that do not have the schema's length or number.
    pub(crate) fn into_text(self) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
        let arrays = self.columns.into_iter().map(|c| Arc::new(c.cells.into_text()) as ArrayRef).collect();
        RecordBatch::try_new(self.schema, arrays)
    }
}

/// Bytes of the longest integer that is written: 18 digits and a sign, or more for the values that no cell has.
pub(super) const INTEGER_LENGTH_MAX: usize = 20;

/// An integer as it is written.
pub(super) fn written(value: i64, buffer: &mut [u8; INTEGER_LENGTH_MAX]) -> &str {
    let (mut rest, mut at) = (value.unsigned_abs(), INTEGER_LENGTH_MAX);
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

/// The value of a plain integer that can be written back.
fn integer(cell: &[u8]) -> Option<i64> {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    match digits {
        [b'0'] if digits.len() == cell.len() => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 18 => {
            let value =
                digits.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))?;
            Some(if digits.len() < cell.len() { -value } else { value })
        }
        _ => None,
    }
}

/// [`integer`] of up to seven bytes in a word, without a branch for each of them (after Lemire 2022, «Parsing series of
/// integers with SIMD», in one word).
#[inline]
fn short_integer(word: u64, n_bytes: usize) -> Option<i64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let negative = word & 0xFF == u64::from(b'-');
    let sign = u32::from(negative);
    let (word, n) = (word >> (8 * sign), (n_bytes as u32).wrapping_sub(sign));
    if n == 0 || n > 7 {
        return None;
    }
    let first = word & 0xFF;
    if first == u64::from(b'0') && (n > 1 || negative) {
        return None;
    }
    // The digits move to the high bytes, the last highest; zeros before them change nothing.
    let digits = ((word << (64 - 8 * n)) | (ZEROS >> (8 * n))) ^ ZEROS;
    if (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let low = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    let value = (high.wrapping_add(low) >> 32) as i64;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_and_written_back_to_the_byte() {
        let check = |cell: &str, expected: Option<i64>| {
            assert_eq!(integer(cell.as_bytes()), expected, "{cell:?}");
            if cell.len() < 8 {
                let mut word = [0; 8];
                word[..cell.len()].copy_from_slice(cell.as_bytes());
                assert_eq!(short_integer(u64::from_le_bytes(word), cell.len()), expected, "{cell:?}");
            }
            if let Some(value) = expected {
                assert_eq!(written(value, &mut [0; INTEGER_LENGTH_MAX]), cell);
            }
        };
        for cell in
            ["", "-", "-0", "00", "01", "-01", "+1", "1.", "1e5", " 1", "1 ", "--1", "1-2", "12a4567", "1:", "1/"]
        {
            check(cell, None);
        }
        for cell in ["9".repeat(19), "-1000000000000000000".to_string(), "\u{0663}".to_string(), "1\u{FF}".to_string()]
        {
            check(&cell, None);
        }
        for power in 0..18 {
            for value in [10i64.pow(power), 10i64.pow(power + 1) - 1, 1234567890123456789 % 10i64.pow(power + 1)] {
                check(&value.to_string(), Some(value));
                check(&(-value).to_string(), Some(-value));
            }
        }
        check("0", Some(0));
    }

    #[test]
    fn every_cell_comes_back_whatever_a_part_was_kept_as() {
        let check = |cells: Vec<String>, as_integers: bool| {
            let text = StringArray::from(cells);
            let parts = Cells::of(text.clone());
            assert_eq!(matches!(parts, Cells::Integers { .. }), as_integers);
            let mut each = Vec::new();
            parts.each(|cell| each.push(cell.to_string()));
            assert!(text.iter().flatten().eq(each.iter()));
            assert_eq!(parts.into_text(), text);
        };
        check(vec![], true);
        check((0..1000).map(|i| (i * 7919 - 3000).to_string()).collect(), true);
        check((0..1000).map(|i| if i % 3 == 0 { "1e+05".to_string() } else { i.to_string() }).collect(), true);
        check((0..1000).map(|i| if i % 3 == 0 { i.to_string() } else { format!(" {i}.5") }).collect(), false);
        let mut builder = CellsBuilder::with_capacity(0, 0);
        let cells: Vec<String> = (0..300).map(|i| if i < 100 { i.to_string() } else { format!("v{i}") }).collect();
        cells.iter().for_each(|cell| builder.push(cell.as_bytes()));
        assert_eq!(builder.finish().unwrap().into_text(), StringArray::from(cells));
    }
}
