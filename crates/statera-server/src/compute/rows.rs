//! Rows of JSON, straight into the columns that a model was trained on.
//!
//! A cell means what it would mean in a file of JSON Lines that is scored in a batch: text is read by the rules of the
//! training (missing tokens are missing, numbers and times may be written as text), a number where the model wants text is
//! its digits as they are written, null is missing. What is stricter here, because a request can be answered with an error
//! at once: a column that is absent, a key that is given twice, and a whole number that no double holds are refused. A number
//! that is written as a number is never read by the marks of the training's text (`1.5` is one and a half, also where the
//! training wrote `1,5`).

use super::cells::Cells;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema as ArrowSchema, SchemaRef};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use statera::scorer::Schema;
use statera_core::{Error, Kind, Result};
use statera_data::conform::InputColumn;
use statera_data::infer::MISSING_TOKENS;
use statera_data::time::{Zone, is_iso};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// Most names of unknown columns that are told, and most characters of one.
const MAX_IGNORED: usize = 100;
const MAX_NAME_CHARS: usize = 100;

/// The columns that a model reads, made ready for reading rows.
pub struct Columns {
    inputs: Vec<InputColumn>,
    /// How many of them the model was trained on; the others are read by the rules beside it.
    n_trained: usize,
    places: HashMap<String, usize>,
    schema: SchemaRef,
    zone: Zone,
    /// The row's name: the model does not read it, and it is no mistake to send it.
    id: Option<String>,
    /// What rows are told that lack columns.
    advice: &'static str,
    /// True where it is not known how their table was written, so that cells must read the same whatever it was.
    is_plain: bool,
}

impl Columns {
    /// Of what a model was trained on.
    ///
    /// # Errors
    /// A time zone that is not known, a column of a type that no table keeps.
    pub fn new(schema: &Schema) -> Result<Columns> {
        Columns::of(schema.inputs.clone(), &schema.tz, schema.id.clone())
    }

    /// Of columns, and of those among `of_rules` that rules read besides.
    ///
    /// # Errors
    /// As [`Columns::new`].
    pub fn with_rules(
        mut inputs: Vec<InputColumn>,
        of_rules: &[InputColumn],
        tz: &str,
        id: Option<String>,
    ) -> Result<Columns> {
        let n_trained = inputs.len();
        for column in of_rules {
            if !inputs.iter().any(|c| c.name == column.name) {
                inputs.push(column.clone());
            }
        }
        Ok(Columns { n_trained, ..Columns::of(inputs, tz, id)? })
    }

    /// Of columns; times without a zone are of `tz`, and `id` may be sent although it is not read.
    ///
    /// # Errors
    /// As [`Columns::new`].
    pub fn of(inputs: Vec<InputColumn>, tz: &str, id: Option<String>) -> Result<Columns> {
        for input in &inputs {
            Cells::of(&input.data_type, 0).map_err(|e| e.at(format!("schema.json: column «{}»", input.name)))?;
        }
        let fields: Vec<Field> = inputs.iter().map(|i| Field::new(&i.name, i.data_type.clone(), true)).collect();
        Ok(Columns {
            n_trained: inputs.len(),
            places: inputs.iter().enumerate().map(|(at, i)| (i.name.clone(), at)).collect(),
            inputs,
            schema: Arc::new(ArrowSchema::new(fields)),
            zone: Zone::new(Some(tz))?,
            id,
            advice: "give null for a value that is not known",
            is_plain: false,
        })
    }

    /// The same where it is not known how the table of the rows was written: times must be ISO 8601, and numbers written as JSON has
    /// them; `03/05/2026` and `1,5` may be either of two.
    #[must_use]
    pub fn plain(self) -> Columns {
        Columns { is_plain: true, ..self }
    }

    /// The same of a model with windows, whose raw rows belong elsewhere.
    #[must_use]
    pub fn with_windows(self) -> Columns {
        let advice = "give null for a value that is not known, or send the raw row to /api/v1/transactions, which counts the columns \
                      of windows";
        Columns { advice, ..self }
    }

    /// Refuses text that could be read in more than one way, where that is not decided by how a table was written.
    fn check_plain(&self, input: &InputColumn, text: &str) -> std::result::Result<(), String> {
        let cell = text.trim();
        if !self.is_plain || MISSING_TOKENS.contains(&cell) {
            return Ok(());
        }
        match input.kind {
            Kind::Time if !is_iso(cell) => Err(format!(
                "«{text}» is not a time in ISO 8601; allowed are such as 2026-05-03, 2026-05-03T14:02:11Z and \
                 2026-05-03T14:02:11+09:00"
            )),
            Kind::Number if serde_json::from_str::<serde_json::Number>(cell).is_err() => {
                Err(format!("«{text}» is not a plain number; allowed are such as 1250, 1250.5 and -3"))
            }
            _ => Ok(()),
        }
    }

    /// The columns in the order of training.
    pub fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    /// The place of a column; `expected` is looked at first, because clients send columns in one order.
    fn find(&self, name: &str, expected: usize) -> Option<usize> {
        match self.inputs.get(expected) {
            Some(input) if input.name == name => Some(expected),
            _ => self.places.get(name).copied(),
        }
    }
}

/// Rows being read.
pub struct RowsBuilder<'a> {
    columns: &'a Columns,
    cells: Vec<Cells>,
    /// By column: the number of the last row that had it, from 1.
    seen: Vec<usize>,
    n_rows: usize,
    ignored: BTreeSet<String>,
}

impl<'a> RowsBuilder<'a> {
    /// For about `n_rows` rows.
    ///
    /// # Errors
    /// None that a bundle which was loaded could cause.
    pub fn new(columns: &'a Columns, n_rows: usize) -> Result<RowsBuilder<'a>> {
        let cells = columns.inputs.iter().map(|input| Cells::of(&input.data_type, n_rows)).collect::<Result<_>>()?;
        Ok(RowsBuilder { columns, cells, seen: vec![0; columns.inputs.len()], n_rows: 0, ignored: BTreeSet::new() })
    }

    /// Rows that were read.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Adds a row; `number` (from 1) names it in messages.
    ///
    /// # Errors
    /// Text that is no flat JSON object, a key that is given twice, columns that are absent (all are named), a cell that
    /// cannot be what it was in training. The row is then partly there: take it back by [`RowsBuilder::truncate`].
    pub fn push(&mut self, row: &str, number: usize) -> Result<()> {
        let mut reader = RowReader { rows: self, number, failure: None };
        let mut json = serde_json::Deserializer::from_str(row);
        let read = (&mut reader).deserialize(&mut json).and_then(|()| json.end());
        match (read, reader.failure) {
            (Ok(()), None) => {}
            (_, Some(failure)) => return Err(failure),
            (Err(e), None) => {
                // Lines and columns are of the row alone, not of the body that whoever reads this has.
                let what = e.to_string();
                let what = what.split(", expected ").next().and_then(|what| what.split(" at line ").next());
                let what = what.unwrap_or_default();
                return Err(Error::data(format!("row {number}: {what}, expected one flat JSON object")));
            }
        }
        self.n_rows += 1;
        if self.seen.iter().all(|seen| *seen == self.n_rows) {
            return Ok(());
        }
        Err(self.absent(number))
    }

    /// The error of a row that has not all columns.
    fn absent(&self, number: usize) -> Error {
        let n_trained = self.columns.n_trained;
        let by_reader = [
            (0..n_trained, "that the model was trained on"),
            (n_trained..self.seen.len(), "that the rules beside the model read"),
        ];
        let told = by_reader.into_iter().filter_map(|(places, whose)| {
            let absent: Vec<String> = places
                .filter(|at| self.seen[*at] != self.n_rows)
                .map(|at| format!("«{}» ({})", self.columns.inputs[at].name, self.columns.inputs[at].kind.name()))
                .collect();
            let are = if absent.len() == 1 { "a column is" } else { "columns are" };
            (!absent.is_empty()).then(|| format!("{are} missing {whose}: {}", absent.join(", ")))
        });
        let told = told.collect::<Vec<_>>().join("; ");
        Error::data(format!("row {number}: {told}; {}", self.columns.advice))
    }

    /// Takes back all rows but the first `n_rows`.
    pub fn truncate(&mut self, n_rows: usize) {
        self.n_rows = n_rows;
        self.cells.iter_mut().for_each(|cells| cells.truncate(n_rows));
        self.seen.iter_mut().for_each(|seen| *seen = 0);
    }

    /// Names of columns that the model does not read, at most 100, since the last call.
    pub fn take_ignored(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.ignored)
    }

    /// The rows, in the columns of training.
    ///
    /// # Errors
    /// More than 2 GiB of text in a column.
    pub fn finish(self) -> Result<RecordBatch> {
        let arrays = self.cells.into_iter().map(Cells::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows));
        RecordBatch::try_new_with_options(self.columns.schema.clone(), arrays, &options)
            .map_err(|e| Error::data(e.to_string()))
    }

    fn ignore(&mut self, name: &str) {
        if self.columns.id.as_deref() != Some(name) && self.ignored.len() < MAX_IGNORED {
            self.ignored.insert(name.chars().take(MAX_NAME_CHARS).collect());
        }
    }

    /// Adds a cell as JSON has it.
    fn put(&mut self, at: usize, raw: &str, number: usize) -> Result<()> {
        let input = &self.columns.inputs[at];
        let what = match raw.as_bytes().first() {
            Some(b'n') => {
                self.cells[at].push_missing();
                return Ok(());
            }
            Some(b'"') => {
                let inner = &raw[1..raw.len() - 1];
                let text = if inner.contains('\\') {
                    // Valid JSON may still hold half a surrogate pair, which is no text.
                    let text = serde_json::from_str::<String>(raw);
                    Cow::Owned(text.map_err(|e| self.misplaced(at, number, format!("{e}")))?)
                } else {
                    Cow::Borrowed(inner)
                };
                self.columns
                    .check_plain(input, &text)
                    .and_then(|()| self.cells[at].push_text(&text, input, &self.columns.zone))
            }
            Some(b't' | b'f') => self.cells[at].push_text(raw, input, &self.columns.zone),
            Some(b'{' | b'[') => Err("the value is nested; expected text, a number, true, false or null".to_string()),
            _ if input.kind == Kind::Time => self
                .columns
                .check_plain(input, raw)
                .and_then(|()| self.cells[at].push_number(raw, input, &self.columns.zone)),
            _ => self.cells[at].push_number(raw, input, &self.columns.zone),
        };
        what.map_err(|what| self.misplaced(at, number, what))
    }

    /// The error of a cell.
    fn misplaced(&self, at: usize, number: usize, what: impl fmt::Display) -> Error {
        let (input, is_trained) = (&self.columns.inputs[at], at < self.columns.n_trained);
        let reads = if is_trained { "the model was trained on" } else { "the rules beside the model read" };
        Error::data(format!("column «{}», row {number}: {what}; {reads} {}", input.name, input.told()))
    }
}

/// Reads the keys and values of one object.
struct RowReader<'b, 'a> {
    rows: &'b mut RowsBuilder<'a>,
    number: usize,
    /// What is wrong in our terms; the reader of JSON only knows its own.
    failure: Option<Error>,
}

impl<'de> DeserializeSeed<'de> for &mut RowReader<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut RowReader<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let row = self.rows.n_rows + 1;
        let mut expected = 0;
        while let Some((Key(key), value)) = map.next_entry::<Key, &RawValue>()? {
            let Some(at) = self.rows.columns.find(&key, expected) else {
                self.rows.ignore(&key);
                continue;
            };
            expected = at + 1;
            let put = if self.rows.seen[at] == row {
                Err(Error::data(format!("row {}: the column «{key}» is given twice", self.number)))
            } else {
                self.rows.seen[at] = row;
                self.rows.put(at, value.get(), self.number)
            };
            if let Err(failure) = put {
                self.failure = Some(failure);
                return Err(A::Error::custom("a cell is wrong"));
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
