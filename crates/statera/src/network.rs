//! Figures of a network on their way: from the settings and a table of edges to columns of the training table, to the bundle's
//! `network.toml`, and to rows that are scored.
//!
//! They are columns of the table before anything else is done with it, as those of [`crate::windows`] are. A bundle holds how they
//! are made and no edge: whoever scores gives the edges, and the rows that came before, or rows that carry the columns already.

#[cfg(test)]
mod scored_tests;
#[cfg(test)]
mod tests;

use crate::bundle::Bundle;
use crate::made::{self, Places, ReadAhead, WholeRows, arrow, damaged};
use crate::note::Note;
use crate::project::Settings;
use crate::rules::declared;
use crate::training_set::TrainingSet;
use crate::use_case;
use crate::windows;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;
use arrow_select::concat::concat_batches;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result, Role, Run};
use statera_data::conform::{InputColumn, RowOrigin};
use statera_data::infer::TextFormat;
use statera_data::network::{Definition, EdgeColumns, EdgeCounts, Edges, Network, Rows, Until, column_infos, columns};
use statera_data::source::{self, BatchReader, ReadOptions, read_table};
use statera_data::{Table, with_columns};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name in a bundle of the declaration and of the columns of rows that it reads.
pub const NETWORK_FILE: &str = "network.toml";

/// The address of standard input.
const STANDARD_INPUT: &str = "-";

/// The figures of a network of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnNetwork {
    /// What is told.
    pub definition: Arc<Definition>,
    /// The raw columns of rows that are read, as they were in training.
    pub inputs: Vec<InputColumn>,
}

/// `network.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: Network,
    #[serde(default, rename = "input")]
    inputs: Vec<InputColumn>,
}

impl OwnNetwork {
    /// The figures of a training; `None` if its settings have none.
    ///
    /// # Errors
    /// As [`Definition::new`].
    pub(crate) fn of_training(
        set: &TrainingSet,
        settings: &Settings,
        formats: &BTreeMap<String, TextFormat>,
    ) -> Result<Option<OwnNetwork>> {
        let Some(network) = &settings.network else { return Ok(None) };
        let inputs = made::inputs_of(set, formats, &network.inputs()).map_err(|e| e.at("network"))?;
        Ok(Some(OwnNetwork { definition: Arc::new(Definition::new(network.clone())?), inputs }))
    }

    /// The bundle's part.
    ///
    /// # Errors
    /// None of a declaration that was checked.
    pub(crate) fn to_toml(&self) -> Result<String> {
        let file = File { network: self.definition.network().clone(), inputs: self.inputs.clone() };
        made::to_part(&file, NETWORK_FILE)
    }

    /// Reads what [`OwnNetwork::to_toml`] has written.
    ///
    /// # Errors
    /// What is no declaration; columns that are read and not described.
    pub(crate) fn parse(bytes: &[u8]) -> Result<OwnNetwork> {
        let File { network, inputs } = made::of_part(bytes, NETWORK_FILE)?;
        let definition = Definition::new(network).map_err(|e| damaged(e.at(NETWORK_FILE)))?;
        made::check_inputs(&inputs, &definition.network().inputs(), (NETWORK_FILE, "the network reads"))?;
        Ok(OwnNetwork { definition: Arc::new(definition), inputs })
    }

    /// True if rows with these columns carry the figures already.
    fn are_in(&self, schema: &Schema) -> bool {
        made::are_in(self.definition.column_names(), schema)
    }

    /// The columns of rows that are read, typed as in training. The label, which rows to be scored do not have yet, may be absent.
    fn typed(&self, batch: &RecordBatch, origin: RowOrigin) -> Result<RecordBatch> {
        let network = self.definition.network();
        made::typed(&self.inputs, [&network.label, &network.label_time], batch, origin)
    }

    /// The figures of the last rows of typed batches, of which the first `n_history` rows are what came before.
    fn columns(
        &self,
        typed: &[RecordBatch],
        (n_history, places): (usize, Places),
        edges: &Edges,
        run: &Run,
    ) -> Result<Vec<ArrayRef>> {
        let of = |batch: &RecordBatch| Rows::of(batch, &self.definition);
        match made::of_rows(typed, n_history, places, of)? {
            Some(rows) => columns(&self.definition, edges, &rows, n_history, run),
            None => Ok(Vec::new()),
        }
    }

    /// How rows with the columns `seen` are taken one after the other, and edges that come of themselves where rows are none.
    ///
    /// # Errors
    /// Edges that do not come; what would not be told as a table tells it: rows that are edges and see edges of their own time, cells that
    /// are looked for without end.
    pub fn live(&self, seen: &[InputColumn]) -> Result<LiveNetwork> {
        let network = self.definition.network();
        let edges = &network.edges;
        let refused =
            |why: &str| Err(Error::request(format!("the network's figures cannot be made as rows come: {why}")));
        let are_edges = network.are_rows_edges();
        if !are_edges && !edges.live {
            return refused("rows are no edges, and edges.live does not say that the server is sent any");
        }
        if are_edges && network.until == Until::At {
            return refused("rows see edges of their own time, of which some come later; needed is until = \"before\"");
        }
        // A neighbour by an edge that is a row has a row as late as that; others may have none since long.
        let is_number = |of: &String| network.label.as_ref() != Some(of);
        let of_nodes = network.neighbourhoods.iter().flat_map(|near| &near.of);
        let of_figures = network.features.iter().filter_map(|feature| feature.of.as_ref()).filter(|_| !are_edges);
        if let Some(of) = of_nodes.chain(of_figures).find(|of| is_number(of) && network.cells_within.is_none()) {
            return refused(&format!(
                "the cell of «{of}» of a node's last row is looked for without end; needed is cells_within, such as \"90d\""
            ));
        }
        let mut inputs = self.inputs.clone();
        let declared = edge_types(edges).into_iter().map(|(name, kind)| declared(&name, kind));
        let edge_inputs = if are_edges {
            for column in declared {
                if !inputs.iter().any(|input| input.name == column.name) {
                    let known = seen.iter().find(|known| known.name == column.name).cloned();
                    inputs.push(known.unwrap_or(column));
                }
            }
            None
        } else {
            Some(declared.collect())
        };
        Ok(LiveNetwork { definition: self.definition.clone(), inputs, edge_inputs })
    }

    /// What is said where edges are needed and none are given.
    fn no_edges(&self) -> Error {
        let name = self.definition.column_names().next().unwrap_or_default();
        Error::request(format!(
            "the model reads figures of a network, such as «{name}», which the rows do not have; give the edges (--edges DATA), \
             or rows that carry the columns"
        ))
    }
}

/// The figures of a network as rows come, which are its edges, or beside which edges come.
#[derive(Debug, Clone)]
pub struct LiveNetwork {
    /// What is told.
    pub definition: Arc<Definition>,
    /// The raw columns of rows that are read; where rows are edges, those of edges too.
    pub inputs: Vec<InputColumn>,
    /// The columns of edges that come of themselves; none where rows are the edges.
    pub edge_inputs: Option<Vec<InputColumn>>,
}

impl LiveNetwork {
    /// Rows, and the edges that they are: for who keeps a [`NetworkState`](statera_data::network::NetworkState).
    ///
    /// # Errors
    /// As [`Rows::of`] and [`Edges::of`].
    pub fn taken(&self, batch: &RecordBatch, origin: RowOrigin) -> Result<(Rows, Edges)> {
        let network = self.definition.network();
        let batch = made::typed(&self.inputs, [&network.label, &network.label_time], batch, origin)?;
        let edges = match self.edge_inputs {
            None => Edges::of(&batch, &self.definition)?,
            Some(_) => Edges::default(),
        };
        Ok((Rows::of(&batch, &self.definition)?, edges))
    }

    /// Edges that come of themselves.
    ///
    /// # Errors
    /// As [`Edges::of`]; where rows are the edges.
    pub fn edges(&self, batch: &RecordBatch, origin: RowOrigin) -> Result<Edges> {
        let Some(inputs) = &self.edge_inputs else {
            return Err(Error::request("the network's edges are the rows themselves; allowed are no others"));
        };
        Edges::of(&made::typed(inputs, [&None, &None], batch, origin)?, &self.definition)
    }
}

/// How the columns of a table of edges are read.
pub(crate) fn edge_types(edges: &EdgeColumns) -> BTreeMap<String, Kind> {
    let named = [
        (Some(&edges.from), Kind::Identifier),
        (Some(&edges.to), Kind::Identifier),
        (Some(&edges.time), Kind::Time),
        (edges.amount.as_ref(), Kind::Number),
        (edges.kind.as_ref(), Kind::Category),
        (edges.consent.as_ref(), Kind::Category),
    ];
    named.into_iter().filter_map(|(name, kind)| Some((name?.clone(), kind))).collect()
}

/// The edges of a table.
fn edges_of(table: &Table, definition: &Definition) -> Result<Edges> {
    let batch = concat_batches(&table.batches[0].schema(), &table.batches).map_err(arrow)?;
    Edges::of(&batch, definition).map_err(|e| e.at(&table.origin))
}

/// The edges at an address.
fn read_edges(address: &str, definition: &Definition, tz: Option<&str>, run: &Run) -> Result<Edges> {
    let types = edge_types(&definition.network().edges);
    // Standard input is read once.
    if address != STANDARD_INPUT {
        let there = columns_at(address, tz)?;
        if let Some(name) = types.keys().find(|name| !there.contains(name)) {
            return Err(Error::request(format!(
                "{}: no column «{name}»; edges are read from the columns {}; there are {}",
                source::label(address),
                types.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
                there.join(", ")
            )));
        }
    }
    edges_of(&read_table(address, &ReadOptions { types, tz: tz.map(String::from) }, run)?, definition)
}

/// Where the edges of a training are.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Nowhere: the table has the columns already.
    Nowhere,
    /// At an address.
    Address(&'a str),
    /// In a table that was read.
    Table(&'a Table),
}

/// Adds the figures that the settings declare to a table that does not have them, and leaves nodes and what is known later only out
/// of the features. Edges that are given without a declaration get that of the use case.
///
/// # Errors
/// Edges whose columns may not be used for the model's purpose; as [`Definition::new`], [`Edges::of`] and [`Rows::of`]; no edges
/// where they are needed, and edges where they are not.
pub(crate) fn add(
    table: Table,
    settings: &mut Settings,
    edges: Source,
    run: &Run,
) -> Result<(Table, Option<EdgeCounts>)> {
    if let (None, Source::Address(address)) = (&settings.network, edges) {
        if address == STANDARD_INPUT {
            return Err(Error::request(
                "edges: standard input is read once, and its columns are looked at before; give a file, or say what is told of the \
                 edges by [network] in a project file (docs/network.md)",
            ));
        }
        let there = columns_at(address, settings.tz.as_deref())?;
        settings.network = Some(use_case::network(settings, &there)?);
    }
    let Some(network) = settings.network.clone() else { return Ok((table, None)) };
    declare_neighbourhoods(&network, settings)?;
    network.check_purpose(use_case::purpose(settings))?;
    let late = [&network.label, &network.label_time].into_iter().flatten();
    for name in late.chain(&network.nodes) {
        if settings.role(name) == Role::Feature {
            settings.drop.push(name.clone());
        }
    }
    let definition = Definition::new(network)?;
    if is_made(&table, &definition, edges)? {
        return Ok((table, None));
    }
    run.progress.start("Network", 0);
    let edges = match edges {
        Source::Table(table) => edges_of(table, &definition)?,
        Source::Address(address) => read_edges(address, &definition, settings.tz.as_deref(), run)?,
        Source::Nowhere => return Err(Error::request("network: no edges")),
    };
    edges.check_kinds(&definition)?;
    let table = with_figures(table, &definition, &edges, run)?;
    run.progress.finish();
    Ok((table, Some(edges.counts)))
}

/// Declares the sampled neighbourhoods as sequences, as which models find them.
fn declare_neighbourhoods(network: &Network, settings: &mut Settings) -> Result<()> {
    for neighbourhood in &network.neighbourhoods {
        let (name, nodes) = (&neighbourhood.name, neighbourhood.columns());
        let declared = settings.sequences.insert(name.clone(), nodes.clone());
        if declared.is_some_and(|declared| declared != nodes) {
            return Err(Error::request(format!("network.neighbourhood «{name}»: a sequence has that name")));
        }
        settings.fans.insert(name.clone(), neighbourhood.fans);
    }
    Ok(())
}

/// True if a table has the figures already.
///
/// # Errors
/// Some of them there, or all and edges beside; none and no edges; columns that they are made of and that are not there.
fn is_made(table: &Table, definition: &Definition, edges: Source) -> Result<bool> {
    let has = |name: &str| table.columns.iter().any(|c| c.name == name);
    let made: Vec<&str> = definition.column_names().collect();
    let there: Vec<&str> = made.iter().copied().filter(|name| has(name)).collect();
    let is_nowhere = matches!(edges, Source::Nowhere);
    match there.first() {
        Some(_) if there.len() == made.len() && is_nowhere => return Ok(true),
        Some(_) if there.len() == made.len() => {
            return Err(Error::request("edges: the table has the network's columns already; leave them out"));
        }
        Some(name) => {
            return Err(Error::request(format!(
                "network: column «{name}» is in the table already; leave it out there, or the feature here"
            )));
        }
        None if is_nowhere => {
            return Err(Error::request(
                "network: no edges; name a source of them with network.edges.source, or give them with --edges",
            ));
        }
        None => {}
    }
    match definition.network().inputs().into_iter().find(|name| !has(name)) {
        Some(name) => {
            let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            Err(Error::request(format!(
                "network: no column «{name}»; there are {} (a target that [outcome] computes is known only afterwards)",
                names.join(", ")
            )))
        }
        None => Ok(false),
    }
}

/// What a training tells of edges that it passed over.
pub(crate) fn note(counts: &EdgeCounts) -> Option<Note> {
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("used", &counts.n_used), ("consent", &counts.n_without_consent), ("itself", &counts.n_to_itself)];
    (counts.n_without_consent + counts.n_to_itself > 0).then(|| Note::new("edges_left_out", &values))
}

/// Names of the columns of a table of edges.
fn columns_at(address: &str, tz: Option<&str>) -> Result<Vec<String>> {
    let options = ReadOptions { tz: tz.map(String::from), ..ReadOptions::default() };
    let first = source::open(address, &options)?.next_batch()?;
    let names = |batch: RecordBatch| batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    Ok(first.map(names).unwrap_or_default())
}

fn with_figures(table: Table, definition: &Definition, edges: &Edges, run: &Run) -> Result<Table> {
    let Table { mut columns, batches, origin } = table;
    let batch = concat_batches(&batches[0].schema(), &batches).map_err(arrow)?;
    drop(batches);
    let rows = Rows::of(&batch, definition).map_err(|e| e.at(&origin))?;
    edges.check_nodes(&rows, definition)?;
    let made = statera_data::network::columns(definition, edges, &rows, 0, run)?;
    columns.extend(column_infos(definition));
    let batch = with_columns(&batch, definition.column_names(), made)?;
    Ok(Table { columns, batches: vec![batch], origin })
}

/// A table with the figures of the bundle's network, which are made of the edges at an address where it does not have them.
///
/// # Errors
/// No edges where they are needed, and edges where they are not; as [`Edges::of`] and [`Rows::of`].
pub fn complete(bundle: &Bundle, table: &Table, edges: Option<&str>, run: &Run) -> Result<Table> {
    with_network(bundle, table, None, edges, run)
}

/// A table with the columns of the bundle's windows and of its network, which are made where it does not have them, after the rows of a
/// table that came before.
///
/// # Errors
/// As [`windows::complete`] and [`complete`]; a history that is of no use.
pub fn complete_after(
    bundle: &Bundle,
    table: &Table,
    history: Option<&Table>,
    edges: Option<&str>,
    run: &Run,
) -> Result<Table> {
    let schema = table.batches[0].schema();
    let has_windows = bundle.windows.as_ref().is_none_or(|own| own.are_in(&schema));
    let has_network = bundle.network.as_ref().is_none_or(|own| own.are_in(&schema));
    if let Some(history) = history.filter(|_| has_windows && has_network) {
        let why = match (&bundle.windows, &bundle.network) {
            (None, None) => "the bundle has no windows and no network",
            _ => "the rows have the columns of the bundle's windows and network already",
        };
        return Err(Error::request(format!("--history {}: {why}; leave it out", history.origin)));
    }
    let table = windows::complete_after(bundle, table, history)?;
    with_network(bundle, &table, history, edges, run)
}

fn with_network(
    bundle: &Bundle,
    table: &Table,
    history: Option<&Table>,
    edges: Option<&str>,
    run: &Run,
) -> Result<Table> {
    let own = bundle.network.as_ref();
    let is_complete = own.is_none_or(|own| own.are_in(&table.batches[0].schema()));
    match (own.filter(|_| !is_complete), edges) {
        (None, Some(edges)) => Err(of_no_use(own.is_some(), "edges", edges)),
        (None, None) => Ok(table.clone()),
        (Some(own), None) => Err(own.no_edges()),
        (Some(own), Some(edges)) => {
            let tz = bundle.scorer.schema().tz.as_str();
            let batch = concat_batches(&table.batches[0].schema(), &table.batches).map_err(arrow)?;
            let typed = |batch: &RecordBatch, origin: RowOrigin| own.typed(batch, origin);
            let places = [history.map(|history| history.origin.as_str()), Some(table.origin.as_str())];
            let (typed, n_history) = made::typed_after(history, (&batch, places[1]), tz, typed)?;
            let edges = read_edges(edges, &own.definition, Some(tz), run)?;
            let made = own.columns(&typed, (n_history, places), &edges, run)?;
            let mut columns = table.columns.clone();
            columns.extend(column_infos(&own.definition));
            let batch = with_columns(&batch, own.definition.column_names(), made)?;
            Ok(Table { columns, batches: vec![batch], origin: table.origin.clone() })
        }
    }
}

/// What is said of a table that would not be read.
fn of_no_use(has_network: bool, flag: &str, address: &str) -> Error {
    let why = if has_network { "the rows have the network's columns already" } else { "the bundle has no network" };
    Error::request(format!("--{flag} {address}: {why}; leave it out"))
}

/// What is given beside rows that are scored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    /// Address of the rows that came before.
    pub history: Option<&'a str>,
    /// Address of the edges.
    pub edges: Option<&'a str>,
}

/// Opens a table whose rows are scored, with the columns of the bundle's windows and of its network: rows that have them are passed
/// on as they come; else all rows are read, after those that came before.
///
/// # Errors
/// As [`windows::open`] and [`complete`].
pub(crate) fn open(
    bundle: &Bundle,
    address: &str,
    beside: Beside,
    read: &ReadOptions,
    run: &Run,
) -> Result<Box<dyn BatchReader>> {
    let Some(own) = &bundle.network else {
        return match beside.edges {
            Some(edges) => Err(of_no_use(false, "edges", edges)),
            None => windows::open(bundle, address, beside.history, read, run),
        };
    };
    let for_windows = beside.history.filter(|_| bundle.windows.is_some());
    let mut reader = windows::open(bundle, address, for_windows, read, run)?;
    let first = reader.next_batch()?;
    if first.as_ref().is_none_or(|batch| own.are_in(&batch.schema())) {
        let unused = beside.history.filter(|_| for_windows.is_none()).map(|history| ("history", history));
        return match beside.edges.map(|edges| ("edges", edges)).or(unused) {
            Some((flag, address)) => Err(of_no_use(true, flag, address)),
            None => Ok(ReadAhead::of(first, reader)),
        };
    }
    let tz = bundle.scorer.schema().tz.as_str();
    let edges = read_edges(beside.edges.ok_or_else(|| own.no_edges())?, &own.definition, Some(tz), run)?;
    run.progress.start("Network", 0);
    let typed = |batch: &RecordBatch, origin: RowOrigin| own.typed(batch, origin);
    let whole = WholeRows::read((first, reader), (address, beside.history, tz), typed, read, run)?;
    let (place, before) = (source::label(address), beside.history.map(source::label).unwrap_or_default());
    let made = own.columns(&whole.typed, (whole.n_history, [Some(&before), Some(&place)]), &edges, run)?;
    let rows = whole.complete(|| own.definition.column_names(), &made)?;
    run.progress.finish();
    Ok(rows)
}
