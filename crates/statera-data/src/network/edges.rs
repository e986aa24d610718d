//! A table of edges, read and checked.

use super::declaration::{EdgeColumns, SelfEdges};
use super::definition::Definition;
use super::graph::Link;
use super::nodes::{NO_NODE, Nodes, salt};
use super::rows::Rows;
use crate::preparer::number_cells;
use crate::table::{texts_of, told};
use crate::window::{NO_KEY, codes, complete_times};
use arrow_array::{ArrayRef, RecordBatch};
use statera_core::{Error, Result};
use std::collections::{BTreeSet, HashSet};

/// Most edges.
const MAX_EDGES: usize = 1 << 30;
/// Amounts are kept in millionths, so that their sums are exact.
pub(super) const UNITS: f64 = 1e6;
/// Largest amount.
const MAX_AMOUNT: f64 = 1e12;
/// Kinds that an error tells.
const KINDS_TOLD: usize = 20;

/// Edges between nodes that cells name; by default none.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    pub(super) from: Vec<u128>,
    pub(super) to: Vec<u128>,
    pub(super) times: Vec<i64>,
    pub(super) units: Vec<i64>,
    /// A bit per layer of the definition.
    pub(super) layers: Vec<u16>,
    /// What tells kinds apart; 0 where edges have none.
    pub(super) kind_codes: Vec<u32>,
    /// Rows of the table, from 0.
    pub(super) rows: Vec<u32>,
    /// The kinds that there are, where the edges have kinds.
    kinds: BTreeSet<String>,
    /// How many there are, and how many were passed over.
    pub counts: EdgeCounts,
}

/// What became of the rows of a table of edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Edges that are used.
    pub n_used: usize,
    /// Edges to whose use one of the ends did not consent.
    pub n_without_consent: usize,
    /// Edges from a node to itself.
    pub n_to_itself: usize,
}

impl Edges {
    /// The edges of a batch whose columns have the types of a [`Table`](crate::Table).
    ///
    /// # Errors
    /// Columns that are not there; an edge without an end or a time, from a node to itself where these are refused, with a
    /// negative or absurd amount, with something else than yes or no for its consent; each with its row.
    pub fn of(batch: &RecordBatch, definition: &Definition) -> Result<Edges> {
        let declared = &definition.network.edges;
        let n_rows = batch.num_rows();
        if n_rows > MAX_EDGES {
            return Err(Error::data(format!("{n_rows} edges; allowed are {MAX_EDGES}")));
        }
        let column = |name: &str| column(batch, name);
        let consented = declared.consent.as_ref().map(|name| consents(name, column(name)?)).transpose()?;
        let from = complete_nodes(&declared.from, column(&declared.from)?)?;
        let to = complete_nodes(&declared.to, column(&declared.to)?)?;
        let times = complete_times(&declared.time, column(&declared.time)?, "edge")?;
        let units = match &declared.amount {
            Some(name) => amounts(name, column(name)?)?,
            None => vec![0; n_rows],
        };
        let kinds = declared.kind.as_ref().map(|name| column(name).map(texts_of)).transpose()?;
        let kind_codes = declared.kind.as_ref().map(|name| column(name).map(codes)).transpose()?;
        let layer_bits = |row: usize| layer_bits(definition, kinds.as_ref().and_then(|kinds| kinds[row].as_deref()));
        let mut edges = Edges { kinds: kinds.iter().flatten().flatten().cloned().collect(), ..Edges::default() };
        for row in 0..n_rows {
            if consented.as_ref().is_some_and(|consented| !consented[row]) {
                edges.counts.n_without_consent += 1;
                continue;
            }
            if from[row] == to[row] {
                refuse_self(declared, batch, row)?;
                edges.counts.n_to_itself += 1;
                continue;
            }
            edges.from.push(from[row]);
            edges.to.push(to[row]);
            edges.times.push(times[row]);
            edges.units.push(units[row]);
            edges.layers.push(layer_bits(row));
            edges.kind_codes.push(kind_codes.as_ref().map_or(0, |codes| short(codes[row])));
            edges.rows.push(row as u32);
        }
        edges.counts.n_used = edges.from.len();
        Ok(edges)
    }

    /// The rows of the table that are used, from 0, ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Refuses a kind that a feature names and no edge has; what is scored later may lack one.
    ///
    /// # Errors
    /// The kind, and those that there are.
    pub fn check_kinds(&self, definition: &Definition) -> Result<()> {
        let named = definition.layers.iter().flatten();
        let Some(kind) = named.into_iter().find(|kind| !self.kinds.contains(*kind)) else { return Ok(()) };
        let there: Vec<&str> = self.kinds.iter().map(String::as_str).take(KINDS_TOLD).collect();
        let there = if there.is_empty() { "none".into() } else { there.join(", ") };
        Err(Error::request(format!("network: no edge is of kind «{kind}»; there are {there}")))
    }

    /// Refuses edges of which none has an end that a row of a training names, as those of another bank or with names written another
    /// way; a single node without an edge is no mistake.
    ///
    /// # Errors
    /// The columns of nodes.
    pub fn check_nodes(&self, rows: &Rows, definition: &Definition) -> Result<()> {
        let named: HashSet<u128> = rows.nodes.iter().flatten().copied().filter(|node| *node != NO_KEY).collect();
        if self.from.is_empty() || self.from.iter().chain(&self.to).any(|node| named.contains(node)) {
            return Ok(());
        }
        Err(Error::data(format!(
            "network: no end of the {} edges is in {} of the rows; nodes are called in the edges as rows call them",
            self.from.len(),
            definition.network.nodes.join(" or ")
        )))
    }

    /// The edges of a layer between numbered nodes.
    pub(super) fn links(&self, layer: usize, nodes: &Nodes) -> Vec<Link> {
        let (from, to) = (nodes.numbers(&self.from), nodes.numbers(&self.to));
        let of_layer = (0..from.len()).filter(|&edge| self.layers[edge] >> layer & 1 == 1);
        let link =
            |edge: usize| Link { time: self.times[edge], from: from[edge], to: to[edge], units: self.units[edge] };
        of_layer.map(link).filter(|link| link.from != NO_NODE && link.to != NO_NODE).collect()
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        Error::request(format!("no column «{name}»; there are {} (network.edges names them)", names.join(", ")))
    })
}

/// The layers that an edge of a kind is in.
fn layer_bits(definition: &Definition, kind: Option<&str>) -> u16 {
    let is_in = |kinds: &Vec<String>| kinds.is_empty() || kinds.iter().any(|k| kind == Some(k));
    definition.layers.iter().enumerate().fold(0, |bits, (layer, kinds)| bits | u16::from(is_in(kinds)) << layer)
}

/// The code of a kind in a few bytes: it only tells edges apart that are alike else.
fn short(code: u128) -> u32 {
    (salt(code) >> 32) as u32
}

fn complete_nodes(name: &str, column: &ArrayRef) -> Result<Vec<u128>> {
    let codes = codes(column);
    match codes.iter().position(|code| *code == NO_KEY) {
        Some(row) => Err(Error::data(format!(
            "column «{name}», row {}: missing; every edge needs two nodes and a time",
            row + 1
        ))),
        None => Ok(codes),
    }
}

fn amounts(name: &str, column: &ArrayRef) -> Result<Vec<i64>> {
    let cell = |(row, amount): (usize, f64)| match amount {
        amount if amount.is_nan() => Ok(0),
        amount if (0.0..=MAX_AMOUNT).contains(&amount) => Ok((amount * UNITS).round() as i64),
        amount => Err(Error::data(format!(
            "column «{name}», row {}: {} is not allowed; allowed is from 0 to {MAX_AMOUNT:e}, and the direction of the money \
             is that of the edge",
            row + 1,
            told(amount)
        ))),
    };
    number_cells(name, column)?.into_iter().enumerate().map(cell).collect()
}

/// True where the ends consented; where nothing is said they did not.
fn consents(name: &str, column: &ArrayRef) -> Result<Vec<bool>> {
    let cell = |(row, text): (usize, Option<String>)| {
        let text = text.unwrap_or_default();
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" | "1.0" => Ok(true),
            "no" | "false" | "0" | "0.0" | "" => Ok(false),
            _ => Err(Error::data(format!(
                "column «{name}», row {}: «{text}» is no consent; allowed are yes and no, true and false, 1 and 0",
                row + 1
            ))),
        }
    };
    texts_of(column).into_iter().enumerate().map(cell).collect()
}

fn refuse_self(declared: &EdgeColumns, batch: &RecordBatch, row: usize) -> Result<()> {
    if declared.self_edges == SelfEdges::LeaveOut {
        return Ok(());
    }
    let node = texts_of(&column(batch, &declared.from)?.slice(row, 1)).pop().flatten().unwrap_or_default();
    Err(Error::data(format!(
        "row {}: an edge from «{node}» to itself; allowed are two different nodes, or self_edges = \"leave_out\"",
        row + 1
    )))
}
