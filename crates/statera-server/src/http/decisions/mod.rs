//! `/api/v1/decisions`: asking for decisions, reading and replaying them, and what people do about them.
//!
//! A request is one record, however many rows it has. What was asked and answered lies in the record's parts, one for each
//! subject that the rows name, so that a subject can be erased from a batch; the facts hold what is no personal data. The
//! answer to a request is made of the facts and the parts alone: a request that is sent again gets the same bytes.

mod answer;
mod ask;
#[cfg(test)]
mod away_tests;
mod courier;
mod explanation;
mod meters;
mod names;
mod objection;
mod overriding;
mod read;
mod replay;
mod request;
#[cfg(test)]
mod rule_tests;
mod settings;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
mod transactions;
#[cfg(test)]
mod upgrade_tests;

pub(crate) use answer::{Counts, Document, Facts, RowDoc, documents};
pub use courier::Courier;
pub use meters::Meters;
pub(crate) use names::HeldName;
pub use names::Names;
pub(crate) use overriding::{OverrideFacts, check_note, subject_of};
pub(crate) use read::{decision_record, readable_decision, row_of};
pub use settings::{Authority, DecisionsSettings, OverrideReason};
pub(crate) use transactions::{disk_has_room, scope as transaction_scope};

use crate::app::Shared;
use crate::http::failure::Failure;
use crate::live::Ticket;
use crate::who::Who;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use statera_core::{Error, Result};
use statera_store::act::Actor;
pub(crate) use statera_store::now_us;
use statera_store::record::{Id, NewRecord, Recorded, RequestName, StoredRecord};
use tokio::sync::oneshot;

/// The routes of decisions.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/decisions", post(ask::post))
        .route("/api/v1/transactions", post(transactions::post))
        .route("/api/v1/decisions/{id}", get(read::get))
        .route("/api/v1/decisions/{id}/replay", get(replay::get))
        .route("/api/v1/decisions/{id}/explanation", get(explanation::get))
        .route("/api/v1/decisions/{id}/override", post(overriding::post))
        .route("/api/v1/decisions/{id}/objection", post(objection::post))
}

/// A new name for a record that follows another: later than the other's, also where the clock was set back in between. What
/// reads records by their names must not meet what followed a decision before the decision.
pub(crate) fn following_id(of: Id) -> Id {
    // Names are exact to the millisecond.
    Id::new(now_us().max(of.at_us().saturating_add(1_000)))
}

/// A time as people read it: RFC 3339 in UTC.
pub(crate) fn time_text(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).map_or_else(|_| at_us.to_string(), |at| format!("{at:.6}"))
}

/// The body, or what is wrong with it.
pub(crate) fn whole(body: std::result::Result<Bytes, BytesRejection>) -> std::result::Result<Bytes, Failure> {
    body.map_err(|rejected| Failure::new(rejected.status(), rejected.body_text()))
}

/// A small body as what it must be.
pub(crate) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    crate::http::json::read(body)
}

/// Work that may wait for a disk or a database, off the threads that serve connections.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> std::result::Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Failure::from),
        Err(_) => Err(Failure::from(Error::damaged("the work of a request panicked"))),
    }
}

/// Bytes of a body from which on it is read beside the threads that serve connections.
const LARGE_BODY: usize = 64 << 10;

/// Reads a body, which takes milliseconds if it is large: then off the threads that serve connections.
pub(crate) async fn read_body<T: Send + 'static>(
    body: Bytes,
    read: impl FnOnce(Bytes) -> Result<T> + Send + 'static,
) -> std::result::Result<T, Failure> {
    if body.len() < LARGE_BODY { Ok(read(body)?) } else { blocking(move || read(body)).await }
}

/// Bytes of JSON as an answer.
pub(crate) fn json_response(bytes: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], bytes).into_response()
}

/// A value as an answer.
pub(crate) fn json_of(value: &impl Serialize) -> std::result::Result<Response, Failure> {
    let bytes = serde_json::to_vec(value).map_err(|e| Failure::from(Error::damaged(e.to_string())))?;
    Ok(json_response(bytes))
}

/// The name of a request under who asks; 1 to 128 characters. `of` is what the request's path says beside its body: the same
/// body about another decision is another request.
pub(crate) fn request_name(who: &Who, name: Option<&str>, of: &str, body: &[u8]) -> Result<Option<RequestName>> {
    let Some(name) = name else { return Ok(None) };
    let n = name.chars().count();
    if !(1..=128).contains(&n) || name.chars().any(char::is_control) {
        return Err(Error::request(format!("request_id has {n} characters; allowed: 1 to 128, none of them control")));
    }
    let scope = match &who.actor {
        Actor::Person(name) => format!("person:{name}"),
        Actor::Key(prefix) => format!("key:{prefix}"),
        Actor::System => "system".into(),
    };
    let mut digest = blake3::Hasher::new();
    digest.update(of.as_bytes()).update(&[0]).update(body);
    Ok(Some(RequestName { scope, name: name.into(), body_digest: *digest.finalize().as_bytes() }))
}

/// What the request recorded when it was made before, in the place of a failure that has come since: what was acknowledged
/// stays so, whatever answers today.
///
/// # Errors
/// The failure, if nothing was recorded under the request's name or the store does not answer; 409 if its body was another.
pub(crate) async fn recorded_or(
    app: &Shared,
    request: Option<RequestName>,
    failure: Failure,
) -> std::result::Result<StoredRecord, Failure> {
    let Some(request) = request else { return Err(failure) };
    let store = app.store.clone();
    match blocking(move || store.request(&request)).await {
        Ok(Some(record)) => Ok(record),
        Err(conflict) if conflict.status == StatusCode::CONFLICT => Err(conflict),
        Ok(None) | Err(_) => Err(failure),
    }
}

/// Hands a record to the store and waits until it is on disk.
pub(crate) async fn commit(app: &Shared, record: NewRecord) -> std::result::Result<Recorded, Failure> {
    submit_taken(app, record, None)?.await.map_err(|_| lost())?.map_err(Failure::from)
}

/// Hands a record to the store; who waits for what is given back is told when it is on disk. What a state has taken learns
/// whether it was recorded, also if nobody waits.
pub(crate) fn submit_taken(
    app: &Shared,
    record: NewRecord,
    ticket: Option<Ticket>,
) -> Result<oneshot::Receiver<Result<Recorded>>> {
    submit_named(app, record, ticket, None)
}

/// The same of a request whose name is held ([`Names::hold`]) until the store has the record or has refused it.
pub(crate) fn submit_named(
    app: &Shared,
    record: NewRecord,
    ticket: Option<Ticket>,
    name: Option<HeldName>,
) -> Result<oneshot::Receiver<Result<Recorded>>> {
    let (tell, told) = oneshot::channel();
    let is_counted = ticket.is_some();
    let done = Box::new(move |recorded: Result<Recorded>| {
        if let (Some(ticket), Ok(Recorded::New { .. })) = (ticket, &recorded) {
            ticket.recorded();
        }
        // Who has the answer may use the name at once.
        drop(name);
        drop(tell.send(recorded));
    });
    match is_counted {
        true => app.store.submit_counted(record, done)?,
        false => app.store.submit(record, done)?,
    }
    Ok(told)
}

/// The answer to a request whose callback was dropped: nothing of it was written.
pub(crate) fn lost() -> Failure {
    Failure::from(Error::busy("the request could not be worked on; nothing was recorded"))
}
