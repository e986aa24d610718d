//! `GET /api/v1/decisions/{id}`: a decision with what followed it.

use super::answer::{Document, document, documents};
use super::{RowDoc, blocking, time_text};
use crate::app::Shared;
use crate::http::failure::Failure;
use crate::who::Who;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use statera_core::{Error, Result};
use statera_store::Store;
use statera_store::act::{Act, Actor};
use statera_store::people::Role;
use statera_store::record::{Id, RecordKind, StoredPart, StoredRecord};

/// Records that followed a decision which are listed at most.
const MAX_LATER: usize = 1_000;

/// A record as it is read.
#[derive(Serialize)]
struct Shown<'a> {
    id: Id,
    kind: RecordKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Id>,
    at: String,
    actor: &'a Actor,
    facts: &'a RawValue,
    ledger: Place<'a>,
    /// What was asked and answered; only for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<RowDoc<'a>>>,
    /// What was said with an objection; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Of an override its note, of an outcome its day; likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<&'a RawValue>,
    /// When parts of it were erased.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    erased: Vec<String>,
    later: Vec<Later<'a>>,
}

/// Where the ledger has it.
#[derive(Serialize)]
struct Place<'a> {
    chain: &'a str,
    seq: u64,
}

/// A record that followed.
#[derive(Serialize)]
struct Later<'a> {
    id: Id,
    kind: RecordKind,
    at: String,
    actor: &'a Actor,
    facts: &'a RawValue,
}

/// Shows a decision. What is personal is shown to checkers and to who asked for it; that a checker read it is in the ledger.
pub(super) async fn get(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Viewer, Role::Scorer, Role::Maker, Role::Checker, Role::Admin])?;
    let id: Id = id.parse()?;
    let shown = blocking(move || show(&*app.store, &who, id)).await?;
    Ok(super::json_response(shown))
}

fn show(store: &dyn Store, who: &Who, id: Id) -> Result<Vec<u8>> {
    let record = store.record(id)?;
    refuse_hidden(who, &record)?;
    let is_own = record.actor == who.actor;
    let is_checker = who.roles.contains(&Role::Checker);
    if is_checker && !is_own {
        store.act(&who.actor, Act::Note { what: format!("read decision {id}") })?;
    }
    let later = store.records_of(id, MAX_LATER)?;
    let json = |text: &'_ str| -> Result<Box<RawValue>> {
        RawValue::from_string(text.into()).map_err(|e| Error::damaged(format!("record {id}: facts: {e}")))
    };
    let facts = json(&record.facts)?;
    let later_facts = later.iter().map(|r| json(&r.facts)).collect::<Result<Vec<_>>>()?;
    let (mut rows, mut note) = (Vec::new(), None);
    let holds_rows = matches!(record.kind, RecordKind::Decision | RecordKind::Objection);
    let may_see = is_own || is_checker;
    let seen = if may_see { &record.parts[..] } else { &[] };
    for part in seen.iter().filter(|_| holds_rows) {
        if let Document::Plain(part) = document(id, part)? {
            note = part.note.or(note);
            rows.extend(part.rows);
        }
    }
    rows.sort_by_key(|r| r.row);
    let plain = seen.iter().filter(|_| !holds_rows).filter_map(|part| match part {
        StoredPart::Plain(bytes) => serde_json::from_slice(bytes).ok(),
        StoredPart::Erased { .. } => None,
    });
    let erased = record.parts.iter().filter_map(|part| match part {
        StoredPart::Erased { at_us } => Some(time_text(*at_us)),
        StoredPart::Plain(_) => None,
    });
    let shown = Shown {
        id,
        kind: record.kind,
        of: record.of,
        at: time_text(record.at_us),
        actor: &record.actor,
        facts: &facts,
        ledger: Place { chain: &record.ledger.0, seq: record.ledger.1 },
        rows: (may_see && holds_rows).then_some(rows),
        note,
        details: plain.collect(),
        erased: erased.collect(),
        later: later
            .iter()
            .zip(&later_facts)
            .map(|(r, facts)| Later { id: r.id, kind: r.kind, at: time_text(r.at_us), actor: &r.actor, facts })
            .collect(),
    };
    serde_json::to_vec(&shown).map_err(|e| Error::damaged(e.to_string()))
}

/// A program sees what it asked for itself, and no more: of anything else it does not even learn that it is there.
fn refuse_hidden(who: &Who, record: &StoredRecord) -> Result<()> {
    if record.actor != who.actor && who.roles.iter().all(|role| *role == Role::Scorer) {
        return Err(Error::not_found(format!("there is no record {}", record.id)));
    }
    Ok(())
}

/// A record that holds decisions, for who adds to it.
///
/// # Errors
/// As [`decision_record`]; `NotFound` also for one that they may not read.
pub(crate) fn readable_decision(store: &dyn Store, who: &Who, id: Id) -> Result<StoredRecord> {
    let record = store.record(id)?;
    refuse_hidden(who, &record)?;
    holding_decisions(record)
}

/// A record that holds decisions.
///
/// # Errors
/// `NotFound`, also for a record of another kind.
pub(crate) fn decision_record(store: &dyn Store, id: Id) -> Result<StoredRecord> {
    holding_decisions(store.record(id)?)
}

fn holding_decisions(record: StoredRecord) -> Result<StoredRecord> {
    match record.kind {
        RecordKind::Decision | RecordKind::Objection => Ok(record),
        RecordKind::Override | RecordKind::Outcome | RecordKind::Alert | RecordKind::Edges => {
            Err(Error::not_found(format!("record {} is no decision", record.id)))
        }
    }
}

/// A row of a decision.
///
/// # Errors
/// `NotFound` for a row that it does not have; `Conflict` for one that was erased.
pub(crate) fn row_of(record: &StoredRecord, row: usize) -> Result<RowDoc<'_>> {
    let mut erased = None;
    for document in documents(record)? {
        match document {
            Document::Erased(at) => erased = Some(at),
            Document::Plain(part) => {
                if let Some(found) = part.rows.into_iter().find(|r| r.row == row) {
                    return Ok(found);
                }
            }
        }
    }
    Err(match erased {
        Some(at) => Error::conflict(format!("row {row} of decision {} was erased on {}", record.id, time_text(at))),
        None => Error::not_found(format!("decision {} has no row {row}; rows count from 0", record.id)),
    })
}
