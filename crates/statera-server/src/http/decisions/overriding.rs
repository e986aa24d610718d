//! `POST /api/v1/decisions/{id}/override`: a person decides otherwise, for a coded reason and within their authority.

use super::{
    blocking, commit, decision_record, following_id, json_of, parsed, recorded_or, request_name, row_of, whole,
};
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
use statera_store::Store;
use statera_store::people::Role;
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded, StoredRecord};
use std::collections::HashMap;

/// Records after a decision among which its last override is looked for: some for each row of the largest request.
const MAX_FOLLOWING: usize = 50_000;
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
pub(crate) struct OverrideFacts {
    pub model: String,
    pub version: u32,
    pub digest: String,
    pub row: usize,
    /// What held before: what the model decided, or a person since.
    pub from: Option<Decision>,
    pub to: Decision,
    /// Its code.
    pub reason: String,
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
    let (shared, named) = (app.clone(), request.clone());
    let record = blocking(move || {
        let (facts, part) = check(&shared, &who, of, asked)?;
        let facts = serde_json::to_string(&facts).map_err(|e| Error::damaged(e.to_string()))?;
        let (id, kind, actor) = (following_id(of), RecordKind::Override, who.actor);
        Ok(NewRecord { id, kind, of: Some(of), request, actor, facts, parts: vec![part], alert: None })
    })
    .await;
    let (id, facts, is_new) = match record {
        Ok(record) => {
            let (id, facts) = (record.id, record.facts.clone());
            match commit(&app, record).await? {
                Recorded::New { .. } => (id, facts, true),
                Recorded::Before(before) => (before.id, before.facts, false),
            }
        }
        // Sent again, it would be one too many: its own record stands in its way.
        Err(failure) => {
            let before = recorded_or(&app, named, failure).await?;
            (before.id, before.facts, false)
        }
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
    let from = last_override(&*app.store, of, asked.row)?.map(|(to, _)| to).or(answered.decision);
    if from == Some(asked.decision) {
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
        from,
        to: asked.decision,
        reason: asked.reason,
    };
    Ok((facts, part))
}

/// What a person decided last of a row, and when, microseconds since 1970 UTC.
///
/// # Errors
/// `Conflict` where more followed the decision than the store gives at once.
pub(super) fn last_override(store: &dyn Store, of: Id, row: usize) -> Result<Option<(Decision, i64)>> {
    let later = store.records_of(of, MAX_FOLLOWING + 1)?;
    if later.len() > MAX_FOLLOWING {
        return Err(Error::conflict(format!("more than {MAX_FOLLOWING} records followed decision {of}")));
    }
    let read = |record: &StoredRecord| -> Result<OverrideFacts> {
        serde_json::from_str(&record.facts).map_err(|e| Error::damaged(format!("record {}: facts: {e}", record.id)))
    };
    for record in later.iter().rev().filter(|record| record.kind == RecordKind::Override) {
        let facts = read(record)?;
        if facts.row == row {
            return Ok(Some((facts.to, record.at_us)));
        }
    }
    Ok(None)
}

/// Whom a later record's part is about: the row's subject; where none is named, the decision's own name, so that erasing by that
/// erases what followed, too.
pub(crate) fn subject_of(record: &StoredRecord, subject: &str) -> String {
    if subject.is_empty() { record.id.to_string() } else { subject.into() }
}

/// A note of at most 4,000 characters; `needed` says that it may not be empty.
pub(crate) fn check_note(note: &str, needed: bool) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use crate::testing::{DECLINED, Server, checker, program, viewer};
    use axum::http::StatusCode;
    use serde_json::json;

    #[test]
    fn an_override_can_be_undone_and_is_not_made_twice() {
        let server = Server::new(Default::default());
        let id = server.decide(DECLINED)["id"].as_str().expect("an id").to_string();
        let path = format!("/api/v1/decisions/{id}/override");
        let over = |to: &str, name: &str| {
            let body = json!({"decision": to, "reason": "mitigation", "note": "x", "request_id": name});
            server.json(&checker(), "POST", &path, &body.to_string())
        };
        let first = over("approve", "o-1");
        assert_eq!((first.0, &first.1["from"]), (StatusCode::OK, &json!("decline")), "{}", first.1);
        let (status, told) = over("approve", "o-2");
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(told["message"], json!("the decision is «approve» already"));
        let (status, undone) = over("decline", "o-3");
        assert_eq!(status, StatusCode::OK, "{undone}");
        assert_eq!((&undone["from"], &undone["to"]), (&json!("approve"), &json!("decline")));
        // Sent again, each is answered as it was, whatever came since.
        assert_eq!(over("approve", "o-1"), first);
        assert_eq!(over("decline", "o-3").1, undone);
        assert_eq!(over("decline", "o-1").0, StatusCode::CONFLICT, "another body");
        let (_, shown) = server.json(&viewer(), "GET", path.trim_end_matches("/override"), "");
        assert_eq!(shown["later"].as_array().map(Vec::len), Some(2));
        let page = server.send(&program(), "GET", &path.replace("/override", "/explanation"), "").1;
        let page = String::from_utf8(page).expect("UTF-8");
        assert!(page.contains("A person has decided otherwise since: declined"), "{page}");
    }
}
