//! What a model with windows reads of a transaction: the raw columns that it, its windows, its network and its rules ask for; the
//! columns that the state adds; and the batch of both that the scorer and the rules see. Of a recorded transaction the state is told
//! again what windows and network alone ask for.

use super::counting::Event;
use super::edge_table::EdgeTable;
use crate::compute::{Columns, RowsBuilder};
use crate::models::Loaded;
use arrow_array::RecordBatch;
use serde::de::IgnoredAny;
use statera::bundle::Bundle;
use statera::network::LiveNetwork;
use statera::rules::{Ruling, seen_columns};
use statera::windows::OwnWindows;
use statera_core::{Error, Result};
use statera_data::conform::{InputColumn, RowOrigin};
use statera_data::network::{self, Edges};
use statera_data::time::Zone;
use statera_data::window::{arrays, with_columns};
use statera_data::with_columns as with_named;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;

/// The columns of a model's transactions.
pub struct LiveColumns {
    /// What a transaction brings.
    raw: Columns,
    /// The same with what the state makes, as a record has them.
    whole: Columns,
    /// What windows and network count of it, whatever model and rules read besides.
    counted: Columns,
    /// What an edge brings, where edges come of themselves.
    edges: Option<Columns>,
    /// The windows.
    pub windows: OwnWindows,
    /// The network, where transactions are its edges, or edges come of themselves.
    pub network: Option<LiveNetwork>,
    /// Why transactions bring the figures of a network themselves, where they do.
    pub why_brought: Option<String>,
    zone: Zone,
}

impl LiveColumns {
    /// Of a bundle and the rules beside its model; `None` if it has no windows.
    ///
    /// # Errors
    /// A rule that reads what is known later only.
    pub fn of(bundle: &Bundle, ruling: Option<&Ruling>) -> Result<Option<LiveColumns>> {
        let Some(windows) = bundle.windows.clone() else { return Ok(None) };
        let mut whole = seen_columns(&bundle.scorer, Some(&windows));
        let (network, why_brought) = match bundle.network.as_ref().map(|own| own.live(&whole)) {
            None => (None, None),
            Some(Ok(network)) => (Some(network), None),
            Some(Err(why)) => (None, Some(why.to_string())),
        };
        for column in network.iter().flat_map(|own| &own.inputs) {
            if !whole.iter().any(|known| known.name == column.name) {
                whole.push(column.clone());
            }
        }
        let declared = windows.definition.windows();
        let of_network = network.as_ref().map(|own| own.definition.network());
        let late = [&declared.label, &declared.label_time].into_iter().flatten();
        let late: Vec<&String> =
            late.chain(of_network.iter().flat_map(|own| [&own.label, &own.label_time]).flatten()).collect();
        let is_late = |name: &String| late.contains(&name);
        let of_rules = ruling.map_or_else(Vec::new, |ruling| ruling.compiled.inputs.clone());
        if let Some(late) = of_rules.iter().find(|column| is_late(&column.name)) {
            let (name, file) = (&late.name, statera::rules::DECISION_RULES_FILE);
            return Err(Error::data(format!(
                "{file}: the rules read «{name}», which is known of a transaction later only; allowed is what it brings"
            )));
        }
        // What is known later only is not asked of a transaction that happens now.
        whole.retain(|column| !is_late(&column.name));
        let made: HashSet<&str> = made_by(&windows, network.as_ref()).collect();
        let raw = |columns: &[InputColumn]| -> Vec<InputColumn> {
            columns.iter().filter(|c| !made.contains(c.name.as_str())).cloned().collect()
        };
        let of_state: HashSet<&str> =
            windows.inputs.iter().chain(network.iter().flat_map(|own| &own.inputs)).map(|c| c.name.as_str()).collect();
        let mut counted = raw(&whole);
        counted.retain(|column| of_state.contains(column.name.as_str()));
        let schema = bundle.scorer.schema();
        let (tz, id) = (schema.tz.as_str(), schema.id.clone());
        let edges = network.as_ref().and_then(|own| own.edge_inputs.clone());
        Ok(Some(LiveColumns {
            edges: edges.map(|inputs| Columns::of(inputs, tz, None).map(Columns::plain)).transpose()?,
            counted: Columns::of(counted, tz, id.clone())?,
            raw: Columns::with_rules(raw(&whole), &raw(&of_rules), tz, id.clone())?,
            whole: Columns::with_rules(whole, &of_rules, tz, id)?,
            zone: Zone::new(Some(tz))?,
            windows,
            network,
            why_brought,
        }))
    }

    /// Names of the columns that the state makes.
    pub fn made(&self) -> impl Iterator<Item = &str> {
        made_by(&self.windows, self.network.as_ref())
    }

    /// How many they are.
    pub fn n_made(&self) -> usize {
        self.windows.definition.n_columns() + self.network.as_ref().map_or(0, |own| own.definition.n_columns())
    }

    /// A transaction as columns, and what it has that nobody reads.
    ///
    /// # Errors
    /// As [`RowsBuilder::push`]; a column that the state makes.
    pub fn raw(&self, row: &str, number: usize) -> Result<(RecordBatch, BTreeSet<String>)> {
        let (raw, ignored) = read(&self.raw, row, number)?;
        if let Some(made) = self.made().find(|name| ignored.contains(*name)) {
            return Err(Error::data(format!(
                "row {number}: the column «{made}» is counted by the server; allowed are raw columns"
            )));
        }
        Ok((raw, ignored))
    }

    /// The transaction as the state takes it.
    ///
    /// # Errors
    /// A cell that cannot be what it was in training; no time or no id; what cannot be an edge, where transactions are edges.
    pub fn event(&self, raw: &RecordBatch) -> Result<Event> {
        let edges = self.network.as_ref().map(|own| own.taken(raw, self.origin())).transpose()?;
        Ok(Event { windows: self.windows.events(raw, self.origin())?, edges })
    }

    /// Edges as the state takes them, and what they have that nobody reads.
    ///
    /// # Errors
    /// A network whose edges do not come of themselves; as [`RowsBuilder::push`]; what is no edge.
    pub fn edges<'r>(&self, rows: impl Iterator<Item = &'r str>) -> Result<(Edges, BTreeSet<String>)> {
        let (own, columns) = self.of_edges()?;
        let mut builder = RowsBuilder::new(columns, rows.size_hint().0)?;
        for (i, row) in rows.enumerate() {
            builder.push(row, i + 1)?;
        }
        let ignored = builder.take_ignored();
        Ok((own.edges(&builder.finish()?, self.origin())?, ignored))
    }

    /// Recorded edges as the state takes them. They may be of a time when the network asked for fewer columns: one that is absent is
    /// missing.
    ///
    /// # Errors
    /// As [`LiveColumns::edges`], but for absent columns.
    pub fn recorded_edges(&self, rows: &[&str]) -> Result<Edges> {
        let (_, columns) = self.of_edges()?;
        let complete = |row: &&str| completed(columns, row).unwrap_or_else(|| (*row).into());
        let rows: Vec<String> = rows.iter().map(complete).collect();
        Ok(self.edges(rows.iter().map(String::as_str))?.0)
    }

    /// The table that edges are of which come of themselves; `None` where none do.
    pub fn edge_table(&self) -> Option<EdgeTable> {
        let own = self.network.as_ref().filter(|_| self.edges.is_some())?;
        Some(EdgeTable::of(&own.definition.network().edges))
    }

    fn of_edges(&self) -> Result<(&LiveNetwork, &Columns)> {
        let both = self.network.as_ref().zip(self.edges.as_ref());
        both.ok_or_else(|| {
            let why = match (&self.network, &self.why_brought) {
                (Some(_), _) => "its edges are its transactions; allowed: POST /api/v1/transactions",
                (None, Some(why)) => why,
                (None, None) => "it has no network",
            };
            Error::request(format!("the model counts no edges: {why}"))
        })
    }

    fn origin(&self) -> RowOrigin<'_> {
        RowOrigin { zone: &self.zone, is_text: true, first_row: 0 }
    }

    /// A recorded transaction as the state takes it. It may be of a time when it brought what the state makes now, when model, rules
    /// and network asked for fewer columns, and when it did not have to be an edge: a column that is absent is missing, and what is no
    /// edge is counted by the windows alone.
    ///
    /// # Errors
    /// As [`RowsBuilder::push`], but for absent columns; what the windows cannot count.
    pub fn recorded_event(&self, row: &str, number: usize) -> Result<Event> {
        let raw = match read(&self.counted, row, number) {
            Ok((raw, _)) => raw,
            Err(e) => match completed(&self.counted, row) {
                Some(row) => read(&self.counted, &row, number)?.0,
                None => return Err(e),
            },
        };
        let edges = self.network.as_ref().and_then(|own| own.taken(&raw, self.origin()).ok());
        Ok(Event { windows: self.windows.events(&raw, self.origin())?, edges })
    }

    /// The transaction with what the state has counted.
    ///
    /// # Errors
    /// None of one number a column.
    pub fn whole(&self, raw: &RecordBatch, counted: &[f64]) -> Result<RecordBatch> {
        let definition = &self.windows.definition;
        let mut counted: Vec<Vec<f64>> = counted.iter().map(|value| vec![*value]).collect();
        let of_network = counted.split_off(definition.n_columns().min(counted.len()));
        let batch = with_columns(raw, definition, arrays(definition, counted))?;
        match &self.network {
            None => Ok(batch),
            Some(own) => {
                let made = network::arrays(&own.definition, &of_network);
                with_named(&batch, own.definition.column_names(), made)
            }
        }
    }

    /// What the state has counted, as a record keeps it: an object of JSON whose numbers read back to the same bits.
    pub fn text(&self, counted: &[f64]) -> String {
        let mut text = String::from("{");
        for (name, value) in self.made().zip(counted) {
            let mark = if text.len() > 1 { "," } else { "" };
            // Names are texts that JSON may have to escape.
            let name = serde_json::Value::from(name);
            let is_whole = value.fract() == 0.0 && value.abs() < 9e15 && !(*value == 0.0 && value.is_sign_negative());
            let _ = if !value.is_finite() {
                write!(text, "{mark}{name}:null")
            } else if is_whole {
                write!(text, "{mark}{name}:{}", *value as i64)
            } else {
                write!(text, "{mark}{name}:{value:?}")
            };
        }
        text.push('}');
        text
    }

    /// Rows of records, each with what was counted of it, as they were scored.
    ///
    /// # Errors
    /// As [`RowsBuilder::push`].
    pub fn recorded(&self, rows: &[String]) -> Result<RecordBatch> {
        let mut builder = RowsBuilder::new(&self.whole, rows.len())?;
        for (i, row) in rows.iter().enumerate() {
            builder.push(row, i + 1)?;
        }
        builder.finish()
    }

    /// True if another version's transactions are counted by the same state.
    pub fn counts_as(&self, other: &LiveColumns) -> bool {
        let network = |columns: &LiveColumns| columns.network.as_ref().map(|own| own.definition.digest().to_string());
        self.windows.definition.digest() == other.windows.definition.digest() && network(self) == network(other)
    }

    /// True if another version, with its own windows and rules, can score what these transactions bring: rules that lacked a column
    /// would fail after the state has counted, which has it rebuilt.
    pub fn serves(&self, other: &Loaded) -> bool {
        let has = |column: &InputColumn| self.whole.inputs().iter().any(|own| own.name == column.name);
        let is_same = |live: &LiveColumns| self.counts_as(live) && live.whole.inputs().iter().all(has);
        other.columns.inputs().iter().all(has)
            && other.rules.as_ref().is_none_or(|rules| rules.columns.inputs().iter().all(has))
            && other.live.as_ref().is_none_or(is_same)
    }
}

/// Names of the columns that a state makes.
fn made_by<'a>(windows: &'a OwnWindows, network: Option<&'a LiveNetwork>) -> impl Iterator<Item = &'a str> {
    windows.definition.column_names().chain(network.into_iter().flat_map(|own| own.definition.column_names()))
}

/// A row as columns, and what it has that nobody reads.
fn read(columns: &Columns, row: &str, number: usize) -> Result<(RecordBatch, BTreeSet<String>)> {
    let mut rows = RowsBuilder::new(columns, 1)?;
    rows.push(row, number)?;
    let ignored = rows.take_ignored();
    Ok((rows.finish()?, ignored))
}

/// A row with null for the columns that it does not have; `None` if it has them all, or is no object.
fn completed(columns: &Columns, row: &str) -> Option<String> {
    let own: HashMap<String, IgnoredAny> = serde_json::from_str(row).ok()?;
    let absent = columns.inputs().iter().filter(|column| !own.contains_key(&column.name));
    let cells: Vec<String> = absent.map(|c| format!("{}:null", serde_json::Value::from(c.name.as_str()))).collect();
    (!cells.is_empty()).then(|| joined(row, Some(&format!("{{{}}}", cells.join(",")))))
}

/// A recorded row with what was counted of it, as one object of JSON.
pub fn joined(input: &str, counted: Option<&str>) -> String {
    let Some(counted) = counted.filter(|text| text.len() > 2) else { return input.to_string() };
    // One brace alone: a cell that nobody reads may end with others.
    let head = input.trim_end();
    let head = head.strip_suffix('}').unwrap_or(head).trim_end();
    let mark = if head.ends_with('{') { "" } else { "," };
    format!("{head}{mark}{}", counted.trim_start().trim_start_matches('{'))
}
