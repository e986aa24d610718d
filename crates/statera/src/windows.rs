//! Windowed features on their way: from the settings to a column of the training table, to the bundle's `windows.toml`, and to
//! rows that are scored.
//!
//! They are columns of the table before anything else is done with it: kinds, preparers and the scorer see numbers like any.
//! Rows that carry the columns already, as those of a server that keeps a [`State`](statera_data::window::State), are taken as
//! they are.

#[cfg(test)]
mod tests;

use crate::bundle::Bundle;
use crate::made::{self, Places, ReadAhead, WholeRows, arrow, damaged};
use crate::project::Settings;
use crate::training_set::TrainingSet;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;
use arrow_select::concat::concat_batches;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result, Role, Run};
use statera_data::Table;
use statera_data::conform::{InputColumn, RowOrigin};
use statera_data::infer::TextFormat;
use statera_data::source::{self, BatchReader, ReadOptions};
use statera_data::window::{Definition, Events, Windows, column_infos, sweep_rows, with_columns};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name in a bundle of the declaration and of the columns that it reads.
pub const WINDOWS_FILE: &str = "windows.toml";

/// The windows of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnWindows {
    /// What is counted.
    pub definition: Arc<Definition>,
    /// The raw columns that are read, as they were in training.
    pub inputs: Vec<InputColumn>,
}

/// `windows.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    windows: Windows,
    #[serde(default, rename = "input")]
    inputs: Vec<InputColumn>,
}

impl OwnWindows {
    /// The windows of a training; `None` if its settings have none.
    ///
    /// # Errors
    /// As [`Definition::new`].
    pub(crate) fn of_training(
        set: &TrainingSet,
        settings: &Settings,
        formats: &BTreeMap<String, TextFormat>,
    ) -> Result<Option<OwnWindows>> {
        let Some(windows) = &settings.windows else { return Ok(None) };
        let inputs = made::inputs_of(set, formats, &windows.inputs()).map_err(|e| e.at("windows"))?;
        Ok(Some(OwnWindows { definition: Arc::new(Definition::new(windows.clone())?), inputs }))
    }

    /// The bundle's part.
    ///
    /// # Errors
    /// None of windows that were checked.
    pub(crate) fn to_toml(&self) -> Result<String> {
        let file = File { windows: self.definition.windows().clone(), inputs: self.inputs.clone() };
        made::to_part(&file, WINDOWS_FILE)
    }

    /// Reads what [`OwnWindows::to_toml`] has written.
    ///
    /// # Errors
    /// What is no declaration; columns that are read and not described.
    pub(crate) fn parse(bytes: &[u8]) -> Result<OwnWindows> {
        let File { windows, inputs } = made::of_part(bytes, WINDOWS_FILE)?;
        let definition = Definition::new(windows).map_err(|e| damaged(e.at(WINDOWS_FILE)))?;
        made::check_inputs(&inputs, &definition.windows().inputs(), (WINDOWS_FILE, "the windows read"))?;
        Ok(OwnWindows { definition: Arc::new(definition), inputs })
    }

    /// True if rows with these columns carry the windows' already.
    pub(crate) fn are_in(&self, schema: &Schema) -> bool {
        made::are_in(self.definition.column_names(), schema)
    }

    /// The columns that windows read, typed as in training. The label, which rows to be scored do not have yet, may be absent.
    fn typed(&self, batch: &RecordBatch, origin: RowOrigin) -> Result<RecordBatch> {
        let windows = self.definition.windows();
        made::typed(&self.inputs, [&windows.label, &windows.label_time], batch, origin)
    }

    /// Raw rows as events: for who keeps a [`State`](statera_data::window::State) and asks it for the columns of rows as they come,
    /// which [`with_columns`] then adds to the rows that are scored.
    ///
    /// # Errors
    /// Columns that are missing; cells that cannot be what they were in training.
    pub fn events(&self, batch: &RecordBatch, origin: RowOrigin) -> Result<Events> {
        Events::of(&self.typed(batch, origin)?, &self.definition)
    }

    /// The columns of the last rows of typed batches, of which the first `n_history` rows are what came before.
    fn columns(&self, typed: &[RecordBatch], n_history: usize, places: Places) -> Result<Vec<ArrayRef>> {
        let of = |batch: &RecordBatch| Events::of(batch, &self.definition);
        let Some(events) = made::of_rows(typed, n_history, places, of)? else { return Ok(Vec::new()) };
        let columns = sweep_rows(&self.definition, &events)
            .map_err(|(row, refusal)| made::at_row(Error::from(refusal), "windows", row, n_history, places))?;
        let n_rows = typed.iter().map(RecordBatch::num_rows).sum::<usize>() - n_history;
        Ok(columns.into_iter().map(|column| column.slice(n_history, n_rows)).collect())
    }
}

/// Adds the columns of the settings' windows to a table that does not have them, declares their sequences, leaves what is known
/// later only out of the features, and notes how many decimals numbers have.
///
/// # Errors
/// As [`Definition::of_table`] and [`sweep_rows`], with the row; a table that has some of the columns; a sequence of a name that is taken.
pub(crate) fn add(table: Table, settings: &mut Settings) -> Result<Table> {
    let Some(windows) = settings.windows.clone() else { return Ok(table) };
    let origin = table.origin.clone();
    let table = add_columns(table, windows, settings).map_err(|e| e.at(origin))?;
    let Some(windows) = settings.windows.clone() else { return Ok(table) };
    for sequence in &windows.sequences {
        let steps = sequence.columns();
        let declared = settings.sequences.insert(sequence.name.clone(), steps.clone());
        if declared.is_some_and(|declared| declared != steps) {
            return Err(Error::request(format!("sequence «{}»: another sequence has that name", sequence.name)));
        }
    }
    // The label of a row and when it became known are no features of it.
    for name in [&windows.label, &windows.label_time].into_iter().flatten() {
        if settings.role(name) == Role::Feature {
            settings.drop.push(name.clone());
        }
    }
    Ok(table)
}

fn add_columns(table: Table, windows: Windows, settings: &mut Settings) -> Result<Table> {
    let made = windows.column_names();
    let n_there = made.iter().filter(|name| table.columns.iter().any(|c| c.name == **name)).count();
    if n_there == made.len() {
        return Ok(table);
    }
    let Table { mut columns, batches, origin } = table;
    let batch = concat_batches(&batches[0].schema(), &batches).map_err(arrow)?;
    drop(batches);
    let definition = Arc::new(Definition::of_table(windows, &batch)?);
    let events = Events::of(&batch, &definition)?;
    let made = sweep_rows(&definition, &events)
        .map_err(|(row, refusal)| Error::from(refusal).at(format!("windows: row {}", row + 1)))?;
    columns.extend(column_infos(&definition));
    let batch = with_columns(&batch, &definition, made)?;
    settings.windows = Some(definition.windows().clone());
    Ok(Table { columns, batches: vec![batch], origin })
}

/// A table with the columns of the bundle's windows, which are made where it does not have them. Errors do not name the table.
///
/// # Errors
/// Columns that windows read and the table does not have; events that are refused, with their row.
pub fn complete(bundle: &Bundle, table: &Table) -> Result<Table> {
    with_windows(bundle, table, None, [None, None])
}

/// The same after the rows of a table that came before; errors name their table.
///
/// # Errors
/// As [`complete`].
pub(crate) fn complete_after(bundle: &Bundle, table: &Table, history: Option<&Table>) -> Result<Table> {
    with_windows(bundle, table, history, [history.map(|history| history.origin.as_str()), Some(&table.origin)])
}

fn with_windows(bundle: &Bundle, table: &Table, history: Option<&Table>, places: Places) -> Result<Table> {
    let Some(own) = bundle.windows.as_ref().filter(|own| !own.are_in(&table.batches[0].schema())) else {
        return Ok(table.clone());
    };
    let batch = concat_batches(&table.batches[0].schema(), &table.batches).map_err(arrow)?;
    let typed = |batch: &RecordBatch, origin: RowOrigin| own.typed(batch, origin);
    let (typed, n_history) = made::typed_after(history, (&batch, places[1]), &bundle.scorer.schema().tz, typed)?;
    let made = own.columns(&typed, n_history, places)?;
    let mut columns = table.columns.clone();
    columns.extend(column_infos(&own.definition));
    Ok(Table { columns, batches: vec![with_columns(&batch, &own.definition, made)?], origin: table.origin.clone() })
}

/// Opens a table whose rows are scored, with the columns of the bundle's windows: rows that have them are passed on as they come;
/// else all rows are read, because a window reaches over them, after those of `history`, the table of what came before.
///
/// # Errors
/// As [`complete`]; a history that is of no use.
pub(crate) fn open(
    bundle: &Bundle,
    address: &str,
    history: Option<&str>,
    read: &ReadOptions,
    run: &Run,
) -> Result<Box<dyn BatchReader>> {
    let mut reader = source::open(address, read)?;
    let of_no_use = |why: &str| {
        let history = history.unwrap_or_default();
        Err(Error::request(format!("--history {history}: {why}; leave it out")))
    };
    let Some(own) = &bundle.windows else {
        return if history.is_some() { of_no_use("the bundle has no windows") } else { Ok(reader) };
    };
    let first = reader.next_batch()?;
    let is_complete = first.as_ref().is_none_or(|batch| own.are_in(&batch.schema()));
    if is_complete && history.is_some() {
        return of_no_use("the rows have the windows' columns already");
    }
    if is_complete {
        return Ok(ReadAhead::of(first, reader));
    }
    run.progress.start("Windows", 0);
    let (place, before) = (source::label(address), history.map(source::label).unwrap_or_default());
    let tz = bundle.scorer.schema().tz.as_str();
    let typed = |batch: &RecordBatch, origin: RowOrigin| own.typed(batch, origin);
    let whole = WholeRows::read((first, reader), (address, history, tz), typed, read, run)?;
    let made = own.columns(&whole.typed, whole.n_history, [Some(&before), Some(&place)])?;
    let rows = whole.complete(|| own.definition.column_names(), &made)?;
    run.progress.finish();
    Ok(rows)
}
