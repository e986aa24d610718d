//! `POST /api/v1/decisions/{id}/override`: a person decides otherwise, for a coded reason and within their authority.

use super::{blocking, commit, decision_record, json_of, now_us, parsed, request_name, row_of, whole};
use crate::app::Shared;
use crate::http::decisions::answer::Facts;
use crate::http::failure::Failure;
use crate::who::Who;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use statera::policy::Decision;
use statera_core::{Error, Result};
use statera_store::people::Role;
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded, StoredRecord};
use std::collections::HashMap;

/// Most characters of a note.
pub(super) const MAX_NOTE_CHARS: usize = 4_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    request_id: Option<String>,
    /// Of a request of many, from 0.
    #[serde(default)]
    row: usize,
    decision: Decision,
    reason: String,
    note: String,
}

/// What the ledger holds of an override, and what is answered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverrideFacts {
    model: String,
    version: u32,
    digest: String,
    pub row: usize,
    from: Option<Decision>,
    pub to: Decision,
    reason: String,
}

/// What lies in the part: a note may be personal.
#[derive(Serialize)]
struct Noted<'a> {
    note: &'a str,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: Id,
    of: Id,
    #[serde(flatten)]
    facts: &'a OverrideFacts,
}

/// What of a row's answer an override is about.
#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    decision: Option<Decision>,
}

/// Records that a person decided otherwise.
pub(super) async fn post(
    State(app): State<Shared>,
    who: Who,
    Path(of): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Checker])?;
    let of: Id = of.parse()?;
    let body = whole(body)?;
    let asked: Body = parsed(&body)?;
    check_note(&asked.note, true)?;
    let request = request_name(&who, asked.request_id.as_deref(), &format!("override {of}"), &body)?;
    let shared = app.clone();
    let record = blocking(move || {
        let (facts, part) = check(&shared, &who, of, asked)?;
        let facts = serde_json::to_string(&facts).map_err(|e| Error::damaged(e.to_string()))?;
        let (id, kind, actor) = (Id::new(now_us()), RecordKind::Override, who.actor);
        Ok(NewRecord { id, kind, of: Some(of), request, actor, facts, parts: vec![part] })
    })
    .await?;
    let (id, facts) = (record.id, record.facts.clone());
    let (id, facts, is_new) = match commit(&app, record).await? {
        Recorded::New { .. } => (id, facts, true),
        Recorded::Before(before) => (before.id, before.facts, false),
    };
    let facts: OverrideFacts =
        serde_json::from_str(&facts).map_err(|e| Failure::from(Error::damaged(format!("record {id}: facts: {e}"))))?;
    if is_new {
        app.metrics.decisions.overridden(&facts.model, facts.to.name(), &facts.reason);
    }
    json_of(&Answer { id, of, facts: &facts })
}

/// Checks the override against the decision, the coded reasons and the authority of who decides.
fn check(app: &Shared, who: &Who, of: Id, asked: Body) -> Result<(OverrideFacts, Part)> {
    let settings = &app.settings.decisions;
    settings.reason(&asked.reason)?;
    let record = decision_record(&*app.store, of)?;
    if record.actor == who.actor {
        return Err(Error::denied("who asked for a decision cannot override it"));
    }
    let facts = Facts::read(&record)?;
    let row = row_of(&record, asked.row)?;
    let answered: Answered =
        serde_json::from_str(row.answer.get()).map_err(|e| Error::damaged(format!("record {of}: an answer: {e}")))?;
    if answered.decision == Some(asked.decision) {
        return Err(Error::conflict(format!("the decision is «{}» already", asked.decision.name())));
    }
    let column = settings.amount_columns.get(facts.model.as_ref());
    settings.allow_override(&who.roles, column.and_then(|column| amount_of(row.input, column)))?;
    let noted = serde_json::to_vec(&Noted { note: &asked.note }).map_err(|e| Error::damaged(e.to_string()))?;
    let part = Part { subject: subject_of(&record, &row.subject), plain: noted };
    let facts = OverrideFacts {
        model: facts.model.to_string(),
        version: facts.version,
        digest: facts.digest.to_string(),
        row: asked.row,
        from: answered.decision,
        to: asked.decision,
        reason: asked.reason,
    };
    Ok((facts, part))
}

/// Whom a later record's part is about: the row's subject; where none is named, the decision's own name, so that erasing by that
/// erases what followed, too.
pub(crate) fn subject_of(record: &StoredRecord, subject: &str) -> String {
    if subject.is_empty() { record.id.to_string() } else { subject.into() }
}

/// A note of at most 4,000 characters; `needed` says that it may not be empty.
pub(super) fn check_note(note: &str, needed: bool) -> Result<()> {
    let n = note.chars().count();
    if n > MAX_NOTE_CHARS || (needed && note.trim().is_empty()) {
        let least = usize::from(needed);
        return Err(Error::request(format!("the note has {n} characters; allowed: {least} to {MAX_NOTE_CHARS}")));
    }
    Ok(())
}

/// The number in a column of the input, written as a number or as text.
fn amount_of(input: &RawValue, column: &str) -> Option<f64> {
    let cells: HashMap<String, &RawValue> = serde_json::from_str(input.get()).ok()?;
    let raw = cells.get(column)?.get();
    let text = raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(raw);
    text.trim().parse().ok().filter(|amount: &f64| amount.is_finite())
}
