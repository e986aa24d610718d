//! What windows and networks have in common on their way: their part of a bundle, columns of rows typed as in training, and rows
//! that are read whole, completed and passed on.

use crate::training_set::TrainingSet;
use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{Field, Schema};
use arrow_select::concat::concat_batches;
use serde::Serialize;
use serde::de::DeserializeOwned;
use statera_core::{Error, Result, Run};
use statera_data::conform::{self, InputColumn, RowOrigin};
use statera_data::infer::TextFormat;
use statera_data::source::{self, BatchReader, ReadOptions};
use statera_data::time::Zone;
use statera_data::{Table, with_columns};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub(crate) fn arrow(e: arrow_schema::ArrowError) -> Error {
    Error::data(e.to_string())
}

/// A part of a bundle as text; `name` is its name.
///
/// # Errors
/// None of a declaration that was checked.
pub(crate) fn to_part(part: &impl Serialize, name: &str) -> Result<String> {
    toml::to_string(part).map_err(|e| Error::io(format!("{name}: {e}")))
}

/// Reads what [`to_part`] has written.
///
/// # Errors
/// What is no declaration.
pub(crate) fn of_part<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::damaged(format!("{name} is not UTF-8")))?;
    statera_data::toml_text::read(text, name).map_err(damaged)
}

/// An error of what a bundle declares.
pub(crate) fn damaged(e: Error) -> Error {
    Error::damaged(e.to_string())
}

/// Refuses a part of a bundle that does not describe just the columns that are read; `whose` says who reads.
pub(crate) fn check_inputs(inputs: &[InputColumn], read: &[&str], (name, whose): (&str, &str)) -> Result<()> {
    if inputs.iter().map(|input| input.name.as_str()).eq(read.iter().copied()) {
        return Ok(());
    }
    Err(Error::damaged(format!("{name}: its inputs are not those that {whose}")))
}

/// True if rows with these columns carry what would be made already.
pub(crate) fn are_in<'a>(mut made: impl Iterator<Item = &'a str>, schema: &Schema) -> bool {
    made.all(|name| schema.field_with_name(name).is_ok())
}

/// Columns of a training table as rows that are scored must bring them.
///
/// # Errors
/// A column that is not there.
pub(crate) fn inputs_of(
    set: &TrainingSet,
    formats: &BTreeMap<String, TextFormat>,
    names: &[&str],
) -> Result<Vec<InputColumn>> {
    let schema = set.batch.schema();
    let input = |name: &&str| -> Result<InputColumn> {
        let kind = set.columns.iter().find(|c| c.name == *name).map(|c| c.kind);
        let field = schema.field_with_name(name).map_err(|e| Error::request(e.to_string()))?;
        let kind = kind.ok_or_else(|| Error::request(format!("no column «{name}»")))?;
        let text = formats.get(*name).cloned();
        Ok(InputColumn { name: (*name).into(), kind, data_type: field.data_type().clone(), text })
    };
    names.iter().map(input).collect()
}

/// Columns of rows typed as in training; of those that are known later only, `late`, each may be absent.
///
/// # Errors
/// As [`conform::conform`].
pub(crate) fn typed(
    inputs: &[InputColumn],
    late: [&Option<String>; 2],
    batch: &RecordBatch,
    origin: RowOrigin,
) -> Result<RecordBatch> {
    let schema = batch.schema();
    let is_absent = |input: &&InputColumn| {
        late.iter().any(|name| name.as_ref() == Some(&input.name)) && schema.field_with_name(&input.name).is_err()
    };
    let absent: Vec<&InputColumn> = inputs.iter().filter(is_absent).collect();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for input in absent {
        fields.push(Arc::new(Field::new(&input.name, input.data_type.clone(), true)));
        columns.push(new_null_array(&input.data_type, batch.num_rows()));
    }
    let whole = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(arrow)?;
    Ok(conform::conform(&whole, inputs, origin)?.batch)
}

/// Where rows are from, those of a history and those after it; none where the caller names it.
pub(crate) type Places<'a> = [Option<&'a str>; 2];

fn at(e: Error, place: Option<&str>) -> Error {
    match place {
        Some(place) => e.at(place),
        None => e,
    }
}

/// The rows of a table as one batch, typed after those of a table that came before, and how many these are.
///
/// # Errors
/// As `typed`, of the place that the rows are from.
pub(crate) fn typed_after(
    history: Option<&Table>,
    (batch, place): (&RecordBatch, Option<&str>),
    tz: &str,
    typed: impl Fn(&RecordBatch, RowOrigin) -> Result<RecordBatch>,
) -> Result<(Vec<RecordBatch>, usize)> {
    let zone = Zone::new(Some(tz))?;
    let (mut all, mut n_history) = (Vec::new(), 0);
    if let Some(history) = history {
        for batch in &history.batches {
            let origin = RowOrigin { zone: &zone, is_text: false, first_row: n_history };
            all.push(typed(batch, origin).map_err(|e| e.at(&history.origin))?);
            n_history += batch.num_rows();
        }
    }
    let origin = RowOrigin { zone: &zone, is_text: false, first_row: 0 };
    all.push(typed(batch, origin).map_err(|e| at(e, place))?);
    Ok((all, n_history))
}

/// What `of` makes of typed batches, of which the first `n_history` rows are what came before. An error of a row is of the place that
/// the row is from, that of the history or that of the rows, and counts its rows.
///
/// # Errors
/// As `of`, which is to refuse a row for what stands in it alone.
pub(crate) fn of_rows<T>(
    typed: &[RecordBatch],
    n_history: usize,
    places: Places,
    of: impl Fn(&RecordBatch) -> Result<T>,
) -> Result<Option<T>> {
    let Some(first) = typed.first() else { return Ok(None) };
    let batch = concat_batches(&first.schema(), typed).map_err(arrow)?;
    let placed = |e: Error| {
        // The row is refused again among those of its own place.
        let parts = [(places[0], 0, n_history), (places[1], n_history, batch.num_rows() - n_history)];
        let again = |(place, first, n)| Some(at(of(&batch.slice(first, n)).err()?, place));
        parts.into_iter().filter(|(_, _, n)| *n > 0).find_map(again).unwrap_or_else(|| at(e, places[1]))
    };
    of(&batch).map(Some).map_err(placed)
}

/// An error of a row of a whole, whose first rows are those of a history: of its place, and with its number there, counted from 1.
pub(crate) fn at_row(e: Error, what: &str, row: usize, n_history: usize, places: Places) -> Error {
    let (place, row) = if row < n_history { (places[0], row) } else { (places[1], row - n_history) };
    at(e.at(format!("{what}: row {}", row + 1)), place)
}

/// Rows that are scored, all of them, because what is made of them reaches over them.
pub(crate) struct WholeRows {
    batches: VecDeque<RecordBatch>,
    /// What came before and then the rows, typed.
    pub typed: Vec<RecordBatch>,
    /// Rows that came before.
    pub n_history: usize,
    is_text: bool,
}

impl WholeRows {
    /// Reads on where `first` was read already, after the rows at the address of a history. `typed` gives what is read of a batch;
    /// errors are of the place that the rows are from.
    ///
    /// # Errors
    /// What cannot be read; as `typed`.
    pub fn read(
        (first, mut rest): (Option<RecordBatch>, Box<dyn BatchReader>),
        (address, history, tz): (&str, Option<&str>, &str),
        typed: impl Fn(&RecordBatch, RowOrigin) -> Result<RecordBatch>,
        options: &ReadOptions,
        run: &Run,
    ) -> Result<WholeRows> {
        let zone = Zone::new(Some(tz))?;
        let mut whole = WholeRows {
            batches: first.into_iter().collect(),
            typed: Vec::new(),
            n_history: 0,
            is_text: rest.is_text(),
        };
        if let Some(history) = history {
            let mut reader = source::open(history, options)?;
            while let Some(batch) = reader.next_batch()? {
                run.check()?;
                let origin = RowOrigin { zone: &zone, is_text: reader.is_text(), first_row: whole.n_history };
                whole.typed.push(typed(&batch, origin).map_err(|e| e.at(source::label(history)))?);
                whole.n_history += batch.num_rows();
            }
        }
        while let Some(batch) = rest.next_batch()? {
            run.check()?;
            whole.batches.push_back(batch);
        }
        let (place, mut first_row) = (source::label(address), 0);
        for batch in &whole.batches {
            let origin = RowOrigin { zone: &zone, is_text: whole.is_text, first_row };
            whole.typed.push(typed(batch, origin).map_err(|e| e.at(&place))?);
            first_row += batch.num_rows();
        }
        Ok(whole)
    }

    /// The rows with what was made of them, one array of all rows a column.
    ///
    /// # Errors
    /// None of columns that are not there yet.
    pub fn complete<'a, N: Iterator<Item = &'a str>>(
        self,
        names: impl Fn() -> N,
        made: &[ArrayRef],
    ) -> Result<Box<dyn BatchReader>> {
        let WholeRows { mut batches, typed, is_text, .. } = self;
        drop(typed);
        let mut first = 0;
        for batch in &mut batches {
            let own = made.iter().map(|column| column.slice(first, batch.num_rows())).collect();
            first += batch.num_rows();
            *batch = with_columns(batch, names(), own)?;
        }
        Ok(Box::new(ReadAhead { batches, rest: None, is_text }))
    }
}

/// Rows that were read ahead, and then those that were not.
pub(crate) struct ReadAhead {
    pub batches: VecDeque<RecordBatch>,
    pub rest: Option<Box<dyn BatchReader>>,
    pub is_text: bool,
}

impl ReadAhead {
    /// A first batch that was read to look at it, and the rest.
    pub fn of(first: Option<RecordBatch>, rest: Box<dyn BatchReader>) -> Box<dyn BatchReader> {
        let is_text = rest.is_text();
        Box::new(ReadAhead { batches: first.into_iter().collect(), rest: Some(rest), is_text })
    }
}

impl BatchReader for ReadAhead {
    fn is_text(&self) -> bool {
        self.is_text
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match (self.batches.pop_front(), &mut self.rest) {
            (Some(batch), _) => Ok(Some(batch)),
            (None, Some(rest)) => rest.next_batch(),
            (None, None) => Ok(None),
        }
    }
}
