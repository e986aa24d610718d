//! `POST /api/v1/outcomes`: what became of a decision.

use crate::app::Shared;
use crate::http::decisions::{self, blocking, commit, json_of, now_us, parsed, request_name, whole};
use crate::http::failure::Failure;
use crate::who::Who;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::people::Role;
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded};

/// The routes of outcomes.
pub fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/outcomes", post(record))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    request_id: Option<String>,
    decision: Id,
    /// Of a request of many, from 0.
    #[serde(default)]
    row: usize,
    outcome: String,
    /// The day it was known, as `2026-11-30`.
    #[serde(default)]
    on: Option<String>,
}

/// What the ledger holds of an outcome, and what is answered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeFacts {
    model: String,
    version: u32,
    row: usize,
    outcome: String,
}

/// What lies in the part.
#[derive(Serialize)]
struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: Id,
    of: Id,
    #[serde(flatten)]
    facts: &'a OutcomeFacts,
}

async fn record(
    State(app): State<Shared>,
    who: Who,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer])?;
    let body = whole(body)?;
    let asked: Body = parsed(&body)?;
    app.settings.decisions.check_outcome(&asked.outcome)?;
    let request = request_name(&who, asked.request_id.as_deref(), "outcomes", &body)?;
    let (shared, of) = (app.clone(), asked.decision);
    let record = blocking(move || {
        let (facts, part) = check(&shared, &who, asked)?;
        let facts = serde_json::to_string(&facts).map_err(|e| Error::damaged(e.to_string()))?;
        let (id, kind, actor) = (Id::new(now_us()), RecordKind::Outcome, who.actor);
        Ok(NewRecord { id, kind, of: Some(of), request, actor, facts, parts: vec![part] })
    })
    .await?;
    let (id, facts) = (record.id, record.facts.clone());
    let (id, facts, is_new) = match commit(&app, record).await? {
        Recorded::New { .. } => (id, facts, true),
        Recorded::Before(before) => (before.id, before.facts, false),
    };
    let facts: OutcomeFacts =
        serde_json::from_str(&facts).map_err(|e| Failure::from(Error::damaged(format!("record {id}: facts: {e}"))))?;
    if is_new {
        app.metrics.decisions.became(&facts.model, &facts.outcome);
    }
    json_of(&Answer { id, of, facts: &facts })
}

/// Checks that who reports may read the decision, and that it has the row.
fn check(app: &Shared, who: &Who, asked: Body) -> Result<(OutcomeFacts, Part)> {
    let record = decisions::readable_decision(&*app.store, who, asked.decision)?;
    let facts = decisions::Facts::read(&record)?;
    let row = decisions::row_of(&record, asked.row)?;
    if let Some(on) = &asked.on
        && on.parse::<jiff::civil::Date>().is_err()
    {
        let shown: String = on.chars().take(40).collect();
        return Err(Error::request(format!("on is «{shown}»; allowed: a day such as 2026-11-30")));
    }
    let plain = serde_json::to_vec(&Known { on: asked.on }).map_err(|e| Error::damaged(e.to_string()))?;
    let part = Part { subject: decisions::subject_of(&record, &row.subject), plain };
    let facts =
        OutcomeFacts { model: facts.model.to_string(), version: facts.version, row: asked.row, outcome: asked.outcome };
    Ok((facts, part))
}
