//! `POST /api/v1/outcomes`: what became of a decision, or of a transaction, whose state learns whether it was a fraud.

use crate::app::Shared;
use crate::http::decisions::{
    self, blocking, disk_has_room, json_of, lost, now_us, parsed, request_name, submit_named, transaction_scope, whole,
};
use crate::http::failure::Failure;
use crate::live::{Event, Ticket};
use crate::who::Who;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use axum::routing::post;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use statera_core::{Error, ErrorKind, Result};
use statera_store::alert::AlertChange;
use statera_store::people::Role;
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded, RequestName, StoredRecord};
use tokio::sync::oneshot;

/// Outcomes of one decision that are looked at for one that disagrees.
const MAX_EARLIER: usize = 1_000;

/// The routes of outcomes.
pub fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/outcomes", post(record))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    decision: Option<Id>,
    /// In the place of the decision: a transaction by its id, and its model.
    #[serde(default)]
    transaction: Option<String>,
    #[serde(default)]
    model: Option<String>,
    /// Of a request of many, from 0.
    #[serde(default)]
    row: usize,
    outcome: String,
    /// The day it was known, as `2026-11-30`.
    #[serde(default)]
    on: Option<String>,
    /// True where a person says it of a whole case: also of what nobody can read any more.
    #[serde(skip)]
    is_of_case: bool,
}

/// What the ledger holds of an outcome, and what is answered.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutcomeFacts {
    pub model: String,
    pub version: u32,
    pub row: usize,
    pub outcome: String,
    /// Of a transaction that the state could still learn it of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<Label>,
    /// Of a transaction of which the state knew it, or had no use for it: states of other windows may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept_label: Option<Label>,
}

/// What a state has learnt, or may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// Its place in the order in which the state took what it has.
    pub number: u64,
    /// What it says.
    pub is_fraud: bool,
    /// From when on it counts, microseconds since 1970 UTC.
    pub when_us: i64,
}

/// What lies in the part.
#[derive(Serialize, Deserialize)]
pub(crate) struct LabelPart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    /// The id of the transaction, where it is a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: Id,
    of: Id,
    #[serde(flatten)]
    facts: &'a OutcomeFacts,
}

/// An outcome on its way.
struct Known {
    facts: OutcomeFacts,
    part: Part,
    ticket: Option<Ticket>,
    /// True where it says whether a transaction was a fraud.
    is_label: bool,
}

/// One that the store was given, or was given before: then nobody is waited for.
struct Handed {
    id: Id,
    of: Id,
    facts: String,
    told: Option<oneshot::Receiver<Result<Recorded>>>,
}

async fn record(
    State(app): State<Shared>,
    who: Who,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer])?;
    let body = whole(body)?;
    let asked: Body = parsed(&body)?;
    let request = request_name(&who, asked.request_id.as_deref(), "outcomes", &body)?;
    let (id, of, facts) = reported(&app, &who, asked, request).await?;
    json_of(&Answer { id, of, facts: &facts })
}

/// Reports what became of a transaction, as a person found it.
///
/// # Errors
/// As those of a request: an outcome that is not listed, a state that is being built, the contrary of what was said before.
pub(crate) async fn report(app: &Shared, who: &Who, decision: Id, outcome: &str) -> std::result::Result<(), Failure> {
    let asked = Body {
        request_id: None,
        decision: Some(decision),
        transaction: None,
        model: None,
        row: 0,
        outcome: outcome.into(),
        on: None,
        is_of_case: true,
    };
    reported(app, who, asked, None).await.map(drop)
}

/// Records an outcome; gives its record, the decision's, and what the ledger has of it.
async fn reported(
    app: &Shared,
    who: &Who,
    asked: Body,
    request: Option<RequestName>,
) -> std::result::Result<(Id, Id, OutcomeFacts), Failure> {
    app.settings.decisions.check_outcome(&asked.outcome)?;
    let (shared, reporter) = (app.clone(), who.clone());
    let Handed { id, of, facts, told } = blocking(move || Ok(hand(&shared, &reporter, asked, request))).await??;
    let (id, facts, is_new) = match told {
        None => (id, facts, false),
        Some(told) => match told.await.map_err(|_| lost())?? {
            Recorded::New { .. } => (id, facts, true),
            Recorded::Before(before) => (before.id, before.facts, false),
        },
    };
    let facts: OutcomeFacts =
        serde_json::from_str(&facts).map_err(|e| Failure::from(Error::damaged(format!("record {id}: facts: {e}"))))?;
    if is_new {
        app.metrics.decisions.became(&facts.model, &facts.outcome);
    }
    Ok((id, of, facts))
}

/// Checks an outcome, tells the state, and hands the record to the store, all at one go on one thread: whoever goes away
/// meanwhile (a deadline, a client) leaves no state that has learnt what is not recorded.
fn hand(app: &Shared, who: &Who, asked: Body, request: Option<RequestName>) -> std::result::Result<Handed, Failure> {
    let of = decision_of(app, &asked)?;
    let decision = decisions::readable_decision(&*app.store, who, of)?;
    // A name that another body had, or has at this moment, would be refused when the state has learnt what is said: it would have to
    // be rebuilt without it. So the name is held before it is looked up.
    let name = request.as_ref().map(|request| app.names.hold(request)).transpose()?;
    if let Some(before) = request.as_ref().map(|request| app.store.request(request)).transpose()?.flatten() {
        return Ok(Handed { id: before.id, of, facts: before.facts, told: None });
    }
    let Known { facts, part, ticket, is_label } = check(app, &decision, asked)?;
    let facts = serde_json::to_string(&facts).map_err(|e| Error::damaged(e.to_string()))?;
    let (id, kind, actor) = (decisions::following_id(of), RecordKind::Outcome, who.actor.clone());
    let (parts, alert) = (vec![part], is_label.then_some(AlertChange::Answer));
    let record = NewRecord { id, kind, of: Some(of), request, actor, facts: facts.clone(), parts, alert };
    let told = Some(submit_named(app, record, ticket, name)?);
    Ok(Handed { id, of, facts, told })
}

/// Checks that the decision has the row; tells the state.
fn check(app: &Shared, record: &StoredRecord, asked: Body) -> std::result::Result<Known, Failure> {
    let of_decision = decisions::Facts::read(record)?;
    let mut facts = OutcomeFacts {
        model: of_decision.model.to_string(),
        version: of_decision.version,
        row: asked.row,
        outcome: asked.outcome,
        label: None,
        kept_label: None,
    };
    let label = app.settings.transactions.label(&facts.outcome).filter(|_| of_decision.state.is_some());
    let mut known = LabelPart { on: asked.on, transaction: None };
    let (mut ticket, mut subject) = (None, decisions::subject_of(record, ""));
    match decisions::row_of(record, asked.row) {
        Ok(row) => {
            let day = known.on.as_deref().map(day).transpose()?;
            if let Some(is_fraud) = label {
                agrees(app, record, is_fraud)?;
                let event = transaction(app, &facts.model, row.input.get())?;
                let id = event.windows.id(0);
                let when_us = day.map_or(i64::MAX, end_of).min(now_us());
                let (taken, is_new) = tell(app, &facts.model, (&id, &event), (is_fraud, when_us))?;
                let said = Some(Label { number: taken.number, is_fraud, when_us });
                *(if is_new { &mut facts.label } else { &mut facts.kept_label }) = said;
                (ticket, known.transaction) = (Some(taken), Some(id));
            }
            subject = decisions::subject_of(record, &row.subject);
        }
        // Its case does not wait for it any more; no state can learn what it was.
        Err(e) if asked.is_of_case && e.kind() == ErrorKind::Conflict => {}
        Err(e) => return Err(Failure::from(e)),
    }
    let plain = serde_json::to_vec(&known).map_err(|e| Error::damaged(e.to_string()))?;
    Ok(Known { facts, part: Part { subject, plain }, ticket, is_label: label.is_some() })
}

/// The decision that is meant, by its own name or that of its transaction.
fn decision_of(app: &Shared, asked: &Body) -> Result<Id> {
    match (asked.decision, &asked.transaction, &asked.model) {
        (Some(id), None, None) => Ok(id),
        (None, Some(transaction), Some(model)) => {
            let found = app.store.named(&transaction_scope(model), transaction)?;
            let shown: String = transaction.chars().take(64).collect();
            let none = || Error::not_found(format!("«{model}» has no transaction «{shown}»"));
            found.ok_or_else(none)
        }
        _ => Err(Error::request("the body needs either decision, or transaction and model")),
    }
}

/// What was said of a transaction.
pub(crate) struct Said {
    /// Whether it was a fraud.
    pub is_fraud: bool,
    /// In the words of the outcome.
    pub outcome: String,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
}

/// Refuses a label that contradicts what was said of the transaction before.
fn agrees(app: &Shared, record: &StoredRecord, is_fraud: bool) -> std::result::Result<(), Failure> {
    match labels(app, record.id)?.into_iter().find(|said| said.is_fraud != is_fraud) {
        Some(said) => Err(disagreement(&said)),
        None => Ok(()),
    }
}

/// The refusal of the contrary of what was said.
pub(crate) fn disagreement(said: &Said) -> Failure {
    let told = format!(
        "the transaction was said to be «{}» on {}; what is said now disagrees",
        said.outcome,
        decisions::time_text(said.at_us)
    );
    Failure { code: Some("disagreement"), ..Failure::from(Error::conflict(told)) }
}

/// The first label of a transaction.
pub(crate) fn label_of(app: &Shared, decision: Id) -> Result<Option<Said>> {
    Ok(labels(app, decision)?.into_iter().next())
}

/// The last label of a transaction.
pub(crate) fn said_last(app: &Shared, decision: Id) -> Result<Option<Said>> {
    Ok(labels(app, decision)?.pop())
}

/// What outcomes said of a transaction, in their order.
fn labels(app: &Shared, decision: Id) -> Result<Vec<Said>> {
    let mut labels = Vec::new();
    for earlier in app.store.records_of(decision, MAX_EARLIER)? {
        if earlier.kind != RecordKind::Outcome {
            continue;
        }
        let facts: OutcomeFacts = serde_json::from_str(&earlier.facts)
            .map_err(|e| Error::damaged(format!("record {}: facts: {e}", earlier.id)))?;
        if let Some(is_fraud) = app.settings.transactions.label(&facts.outcome) {
            labels.push(Said { is_fraud, outcome: facts.outcome, at_us: earlier.at_us });
        }
    }
    Ok(labels)
}

/// The id of a recorded transaction.
pub(crate) fn transaction_id(app: &Shared, model: &str, input: &str) -> Result<String> {
    Ok(transaction(app, model, input)?.windows.id(0))
}

/// A recorded transaction as a state takes it.
fn transaction(app: &Shared, model: &str, input: &str) -> Result<Event> {
    let champion = app.models.champion(model)?;
    let none = || Error::busy(format!("the champion of «{model}» has no windows now; a label cannot be taken"));
    let columns = champion.live.as_ref().ok_or_else(none)?;
    columns.recorded_event(input, 1)
}

/// Tells the state; gives what its record needs, and whether the state has learnt something by it.
fn tell(
    app: &Shared,
    model: &str,
    (id, event): (&str, &Event),
    said: (bool, i64),
) -> std::result::Result<(Ticket, bool), Failure> {
    let none = || Error::busy(format!("the state of «{model}» is being built; nothing was recorded, ask again"));
    let live = app.lives.of(model).ok_or_else(none)?;
    disk_has_room(app, &live)?;
    live.label(id, event, said)
}

fn day(text: &str) -> Result<Date> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Error::request(format!("on is «{shown}»; allowed: a day such as 2026-11-30"))
    })
}

/// The end of a day, microseconds UTC: what became known on it was known then.
fn end_of(day: Date) -> i64 {
    let next = day.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
    next.map_or(i64::MAX, |next| next.timestamp().as_microsecond() - 1)
}
