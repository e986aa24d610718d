//! A state as the records make it: the last snapshot, and what was taken after it, in the order in which it was taken.

use super::columns::LiveColumns;
use super::counting::{Counting, Event};
use super::settings::TransactionsSettings;
use super::snapshot;
use crate::http::decisions::{self, Document};
use crate::http::edges::{EdgesPart, table_of, unread};
use crate::http::outcomes::{Label, LabelPart};
use serde::Deserialize;
use statera_core::{Error, ErrorKind, Result};
use statera_store::Store;
use statera_store::record::{Id, RecordKind, StoredPart, StoredRecord};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows of the ledger that are read at a time.
const PAGE: usize = 10_000;

/// A state that was rebuilt.
pub(super) struct Rebuilt {
    pub state: Counting,
    /// Number of the last that it has.
    pub number: u64,
    /// Number of the last that the snapshot has.
    pub kept: u64,
    /// Transactions and labels that came after the snapshot.
    pub n_replayed: usize,
    /// Of them those that the state refused; of edges each one.
    pub n_refused: usize,
    /// Of them those whose columns are not the recorded ones.
    pub n_different: usize,
    /// Of them those whose subject was erased.
    pub n_erased: usize,
    /// Records of edges of a table, or of columns, that the network does not declare.
    pub n_of_another: usize,
}

/// What the facts of a record say of a state.
#[derive(Deserialize)]
struct Marks {
    model: String,
    #[serde(default)]
    state: Option<u64>,
    #[serde(default)]
    label: Option<Label>,
    #[serde(default)]
    kept_label: Option<Label>,
    /// Of a label, which row of the decision it is of.
    #[serde(default)]
    row: usize,
}

/// Parts of facts that tell what a state took.
const MARKS: [&str; 3] = ["\"state\":", "\"label\":", "\"kept_label\":"];

/// Something that was taken, in the order of its number.
struct Deed {
    number: u64,
    id: Id,
}

/// Rebuilds the state of a model. Whether something was to be admitted was asked when it was taken: it is counted again whatever
/// the settings say now, and they bound the state from the end of the rebuild on.
///
/// # Errors
/// A store that does not answer; `Cancelled` once `is_stopping`. A snapshot that is of no use is passed over.
pub(super) fn rebuild(
    store: &dyn Store,
    folder: &Path,
    model: &str,
    (columns, settings): (&LiveColumns, &TransactionsSettings),
    is_stopping: &AtomicBool,
) -> Result<Rebuilt> {
    let bounds = settings.replay_bounds();
    let path = snapshot::path(folder, model);
    let (places, number, state) =
        match snapshot::read(&path, model, (columns, bounds), &store.file_key(snapshot::PURPOSE)) {
            Ok(Some((head, state))) => (head.places, head.number, state),
            Ok(None) => (BTreeMap::new(), 0, Counting::new(columns, bounds)),
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Newer | ErrorKind::Damaged) => {
                tracing::warn!(model, error = %e, "a snapshot is refused; the state is rebuilt of all records");
                (BTreeMap::new(), 0, Counting::new(columns, bounds))
            }
            Err(e) => return Err(e),
        };
    let deeds = deeds(store, model, (&places, number), is_stopping)?;
    let (kept, n_replayed) = (number, deeds.len());
    let (n_refused, n_different, n_erased, n_of_another) = (0, 0, 0, 0);
    let mut rebuilt = Rebuilt { state, number, kept, n_replayed, n_refused, n_different, n_erased, n_of_another };
    let mut counted = vec![f64::NAN; columns.n_made()];
    for Deed { number, id } in deeds {
        go_on(is_stopping)?;
        rebuilt.replay(store, &store.record(id)?, columns, &mut counted)?;
        rebuilt.number = number;
    }
    rebuilt.state.set_bounds(settings.bounds());
    Ok(rebuilt)
}

fn go_on(is_stopping: &AtomicBool) -> Result<()> {
    if is_stopping.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
}

/// What was taken after a number, recorded after some places.
fn deeds(
    store: &dyn Store,
    model: &str,
    (places, number): (&BTreeMap<String, u64>, u64),
    is_stopping: &AtomicBool,
) -> Result<Vec<Deed>> {
    let mut deeds = Vec::new();
    for chain in store.chains()? {
        let mut after = places.get(&chain).copied().unwrap_or(0);
        loop {
            go_on(is_stopping)?;
            let rows = store.audit_rows(&chain, after, PAGE)?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in rows {
                let Some(head) = row.record()? else { continue };
                // Most records of a store may be of other kinds: their facts are not read.
                if !MARKS.iter().any(|mark| head.facts.contains(mark)) {
                    continue;
                }
                let marks: Marks = serde_json::from_str(&head.facts)
                    .map_err(|e| Error::damaged(format!("record {}: facts: {e}", head.id)))?;
                let label = marks.label.or(marks.kept_label);
                let own = marks.state.or(label.map(|label| label.number));
                if let Some(own) = own.filter(|own| *own > number && marks.model == model) {
                    deeds.push(Deed { number: own, id: head.id });
                }
            }
        }
    }
    deeds.sort_unstable_by_key(|deed| deed.number);
    Ok(deeds)
}

/// What kind of error it is, for a log, which must not have what its message names.
fn kind_of(e: &Error) -> String {
    format!("{:?}", e.kind()).to_lowercase()
}

impl Rebuilt {
    fn replay(
        &mut self,
        store: &dyn Store,
        record: &StoredRecord,
        columns: &LiveColumns,
        counted: &mut [f64],
    ) -> Result<()> {
        match record.kind {
            RecordKind::Outcome => self.label(store, record, columns),
            RecordKind::Edges => self.edges(record, columns),
            _ => self.transaction(record, columns, counted),
        }
    }

    fn transaction(&mut self, record: &StoredRecord, columns: &LiveColumns, counted: &mut [f64]) -> Result<()> {
        for document in decisions::documents(record)? {
            let Document::Plain(part) = document else {
                self.n_erased += 1;
                continue;
            };
            for row in part.rows {
                let event = columns.recorded_event(row.input.get(), row.row + 1).map_err(|e| kind_of(&e));
                let taken = event.and_then(|event| {
                    self.state.advance(&event, None, counted).map_err(|refusal| refusal.code().to_string())
                });
                match taken {
                    // What it was refused for names cards, ids and cells, which no log may have.
                    Err(why) => {
                        self.n_refused += 1;
                        tracing::warn!(record = %record.id, why, "a recorded transaction is not counted again");
                    }
                    Ok(_) => {
                        let recorded = row.windows.map_or("{}", serde_json::value::RawValue::get);
                        self.n_different += usize::from(recorded != columns.text(counted));
                    }
                }
            }
        }
        Ok(())
    }

    /// Edges; a network that is of no others has no use for them, nor has one of another table. A record that does not say which it is
    /// of is read as of the one declared.
    fn edges(&mut self, record: &StoredRecord, columns: &LiveColumns) -> Result<()> {
        let Some(table) = columns.edge_table() else { return Ok(()) };
        if table_of(record)?.is_some_and(|recorded| !table.reads(&recorded)) {
            self.n_of_another += 1;
            return Ok(());
        }
        for part in &record.parts {
            let StoredPart::Plain(plain) = part else {
                self.n_erased += 1;
                continue;
            };
            let part: EdgesPart<'_> = serde_json::from_slice(plain)
                .map_err(|e| Error::damaged(format!("record {}: {}", record.id, unread(&e))))?;
            let rows: Vec<&str> = part.edges.iter().map(|row| row.get()).collect();
            if rows.is_empty() {
                continue;
            }
            let (n_refused, why) = self.take_edges(&rows, columns);
            if n_refused > 0 {
                self.n_refused += n_refused;
                let why = why.unwrap_or_default();
                tracing::warn!(record = %record.id, edges = n_refused, why, "recorded edges are not taken again");
            }
        }
        Ok(())
    }

    /// Takes recorded edges, but for those that the network as it is declared now refuses: how many these are, and what the last was
    /// refused for.
    fn take_edges(&mut self, rows: &[&str], columns: &LiveColumns) -> (usize, Option<String>) {
        let mut why = None;
        let taken = match columns.recorded_edges(rows) {
            Ok(edges) => Ok((rows.len(), edges)),
            // One must not take the others with it, which were acknowledged. The rest is taken at one go: those that are alike count
            // as often as they are there.
            Err(_) => {
                let is_taken = |row: &&str| match columns.recorded_edges(&[*row]) {
                    Ok(_) => true,
                    Err(e) => {
                        why = Some(kind_of(&e));
                        false
                    }
                };
                let rest: Vec<&str> = rows.iter().copied().filter(is_taken).collect();
                if rest.is_empty() {
                    return (rows.len(), why);
                }
                columns.recorded_edges(&rest).map(|edges| (rest.len(), edges))
            }
        };
        let taken = taken.map_err(|e| kind_of(&e)).and_then(|(n, edges)| {
            let taken = self.state.take_edges(&edges, None).map_err(|refusal| refusal.code().to_string());
            taken.map(|_| n)
        });
        match taken {
            Ok(n) => (rows.len() - n, why),
            Err(e) => (rows.len(), Some(e)),
        }
    }

    fn label(&mut self, store: &dyn Store, record: &StoredRecord, columns: &LiveColumns) -> Result<()> {
        let damaged = |e: serde_json::Error| Error::damaged(format!("record {}: {}", record.id, unread(&e)));
        let marks: Marks = serde_json::from_str(&record.facts).map_err(damaged)?;
        let Some(label) = marks.label.or(marks.kept_label) else { return Ok(()) };
        for part in &record.parts {
            let StoredPart::Plain(plain) = part else {
                self.n_erased += 1;
                continue;
            };
            let part: LabelPart = serde_json::from_slice(plain).map_err(damaged)?;
            let Some(id) = part.transaction else { continue };
            let event = self.labelled(store, record, columns, marks.row)?;
            match self.state.label(&id, event.as_ref(), (label.is_fraud, label.when_us)) {
                Ok(_) => {}
                // Those that the windows of its day had no use for were not compared with anything.
                Err(_) if marks.kept_label.is_some() => {}
                Err(refusal) => {
                    self.n_refused += 1;
                    tracing::warn!(record = %record.id, why = refusal.code(), "a recorded label is not taken again");
                }
            }
        }
        Ok(())
    }

    /// The transaction that a label is of, where there is a network that learns by it; none where it was erased.
    fn labelled(
        &mut self,
        store: &dyn Store,
        record: &StoredRecord,
        columns: &LiveColumns,
        row: usize,
    ) -> Result<Option<Event>> {
        let Some(of) = record.of.filter(|_| columns.network.is_some()) else { return Ok(None) };
        let decision = store.record(of)?;
        match decisions::row_of(&decision, row) {
            // One that cannot be read was not counted again either, which was told.
            Ok(row) => Ok(columns.recorded_event(row.input.get(), row.row + 1).ok()),
            Err(e) if e.kind() == ErrorKind::Conflict => {
                self.n_erased += 1;
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }
}
