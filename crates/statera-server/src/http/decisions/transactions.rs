//! `POST /api/v1/transactions`: counted by the model's state, scored, ruled, recorded, then answered.
//!
//! A transaction is a decision of one row whose columns the state completes. Its id names the request: sent again it gets the
//! same answer and counts once, whoever sends it. Of many in one request each stands for itself, in the order in which they
//! are given.

use super::answer;
use super::ask::{Counted, Pending, Told, hand};
use super::request::Asked;
use super::{blocking, json_of, json_response, lost, now_us, read_body, whole};
use crate::app::Shared;
use crate::compute::Rows;
use crate::http::failure::Failure;
use crate::http::timings::Way;
use crate::live::{Event, Known, Live, LiveColumns, Taking};
use crate::models::{Chosen, Loaded, Part};
use crate::who::Who;
use arrow_array::RecordBatch;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use statera_core::{Error, ErrorKind, Result};
use statera_store::Store;
use statera_store::people::Role;
use statera_store::record::{Id, RecordKind, RequestName, StoredRecord};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// How long a transaction waits for a snapshot to be written.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(5);
const SNAPSHOT_LOOK: Duration = Duration::from_millis(2);
/// Transactions of one request that are on their way at a time.
const TOGETHER: usize = 256;

/// A transaction that was read.
struct Read {
    raw: RecordBatch,
    ignored: BTreeSet<String>,
    event: Event,
    request: RequestName,
    seen: Seen,
}

/// What is known of its name.
enum Seen {
    /// It was recorded before.
    Recorded(Box<StoredRecord>),
    /// It is on its way.
    Open,
    /// Nothing, at that mark.
    New(u64),
}

/// A transaction that is on its way, or was answered before.
enum Handed {
    Told(oneshot::Receiver<Result<Told>>),
    Before(Box<StoredRecord>),
}

/// One of many, as it is answered.
#[derive(Serialize)]
struct Item<'a, E: Serialize> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a RawValue>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    failure: Option<E>,
}

#[derive(Serialize)]
struct Items<'a, E: Serialize> {
    transactions: Vec<Item<'a, E>>,
}

/// Takes transactions.
pub(super) async fn post(
    State(app): State<Shared>,
    who: Who,
    way: Way,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer])?;
    let body = whole(body)?;
    let (explain, max_rows) = (app.settings.compute.explain, app.settings.compute.max_rows);
    let asked = read_body(body, move |body| Asked::parse(body, explain, max_rows)).await?;
    if asked.request_id.is_some() {
        return Err(Failure::from(Error::request("request_id: a transaction is named by its own id; leave it out")));
    }
    let (model, live) = counting(&app, &asked.model)?;
    let (shared, of_model, of_live) = (app.clone(), model.clone(), live.clone());
    let (asked, rows) = blocking(move || {
        let Some(columns) = &of_model.live else { return Err(no_windows(&of_model.name)) };
        let read = |at: usize| read(&*shared.store, &of_live, columns, &asked, at);
        let rows: Vec<_> = (0..asked.rows.len()).map(read).collect();
        Ok((asked, rows))
    })
    .await?;
    let mut answers = take_all(&app, (&who, &way), (&model, &live), &asked, rows).await;
    match answers.pop() {
        Some(only) if asked.is_one => only.map(json_response),
        last => {
            answers.extend(last);
            list(&answers)
        }
    }
}

/// Takes transactions, a part of them at a time, and waits for their answers.
async fn take_all(
    app: &Shared,
    asking: (&Who, &Way),
    counting: (&Arc<Loaded>, &Arc<Live>),
    asked: &Asked,
    rows: Vec<std::result::Result<Read, Failure>>,
) -> Vec<std::result::Result<Vec<u8>, Failure>> {
    let mut answers = Vec::with_capacity(rows.len());
    let mut rows = rows.into_iter().enumerate().peekable();
    while rows.peek().is_some() {
        let mut is_still = while_still(counting.1).await;
        let (mut wakes, mut handed) = (Vec::new(), Vec::with_capacity(TOGETHER));
        for (at, row) in rows.by_ref().take(TOGETHER) {
            if !is_still && counting.1.is_busy() {
                // It began meanwhile; what was taken before is scored.
                wakes.clear();
                is_still = while_still(counting.1).await;
            }
            let begun = row.and_then(|row| {
                if is_still {
                    return Err(Failure::from(Error::busy(
                        "a snapshot of the state is being written; nothing was taken",
                    )));
                }
                begin(app, asking, counting, asked, (at, row))
            });
            handed.push(begun.map(|(handed, wake)| {
                wakes.extend(wake);
                handed
            }));
        }
        // What other connections have sent meanwhile is read first, and scored together with this.
        yield_now().await;
        drop(wakes);
        for handed in handed {
            answers.push(match handed {
                Ok(handed) => answer_one(handed).await,
                Err(failure) => Err(failure),
            });
        }
    }
    answers
}

fn no_windows(model: &str) -> Error {
    Error::request(format!("«{model}» has no windows, and needs no state; allowed: POST /api/v1/decisions"))
}

/// The champion of a model, whose windows count, and their state.
fn counting(app: &Shared, model: &str) -> Result<(Arc<Loaded>, Arc<Live>)> {
    let champion = app.models.champion(model)?;
    if champion.live.is_none() {
        return Err(no_windows(&champion.name));
    }
    let live = app.lives.of(model).ok_or_else(|| Error::busy(format!("the state of «{model}» is being built")))?;
    Ok((champion, live))
}

/// Reads a transaction, and what the store has of its name.
fn read(
    store: &dyn Store,
    live: &Live,
    columns: &LiveColumns,
    asked: &Asked,
    at: usize,
) -> std::result::Result<Read, Failure> {
    let bytes = &asked.body[asked.rows[at].clone()];
    let text = std::str::from_utf8(bytes).map_err(|_| Error::data(format!("row {}: not UTF-8", at + 1)))?;
    let (raw, ignored) = columns.raw(text, at + 1)?;
    let event = columns.event(&raw)?;
    let id = event.windows.id(0);
    let n = id.chars().count();
    if n > 128 || id.chars().any(char::is_control) {
        let told = format!("row {}: the id has {n} characters; allowed: 1 to 128, none of them control", at + 1);
        return Err(Failure::from(Error::data(told)));
    }
    let mut digest = blake3::Hasher::new();
    digest.update(asked.subjects[at].as_bytes()).update(&[0]).update(bytes);
    let request = RequestName { scope: scope(&asked.model), name: id, body_digest: *digest.finalize().as_bytes() };
    let mark = match live.known(&request.name) {
        Known::Recent(recent) if !recent.is_recorded => None,
        Known::Recent(_) => Some(0),
        Known::Unknown(mark) => Some(mark),
    };
    let seen = match mark {
        None => Seen::Open,
        Some(mark) => match store.request(&request) {
            Ok(Some(record)) => Seen::Recorded(Box::new(record)),
            Ok(None) => Seen::New(mark),
            Err(e) if e.kind() == ErrorKind::Conflict => {
                let told = format!("the transaction «{}» was taken before with another body", request.name);
                return Err(Failure { code: Some("another_body"), ..Failure::from(Error::conflict(told)) });
            }
            Err(e) => return Err(Failure::from(e)),
        },
    };
    Ok(Read { raw, ignored, event, request, seen })
}

/// Whose names a model's transactions have: they are the model's, not those of who sends them.
pub(crate) fn scope(model: &str) -> String {
    format!("transactions:{model}")
}

/// Waits while a snapshot is written; true if it still is.
async fn while_still(live: &Live) -> bool {
    let end = Instant::now() + SNAPSHOT_LIMIT;
    while live.is_busy() && Instant::now() < end {
        tokio::time::sleep(SNAPSHOT_LOOK).await;
    }
    live.is_busy()
}

/// Takes a transaction and hands it to the pool.
fn begin<'a>(
    app: &'a Shared,
    (who, way): (&Who, &Way),
    (model, live): (&Arc<Loaded>, &Arc<Live>),
    asked: &Asked,
    (at, row): (usize, Read),
) -> std::result::Result<(Handed, Option<crate::compute::Wake<'a>>), Failure> {
    let mark = match row.seen {
        Seen::Recorded(record) => return Ok((Handed::Before(record), None)),
        Seen::Open => {
            let told = format!("the transaction «{}» is being taken; ask again for its answer", row.request.name);
            return Err(Failure::from(Error::busy(told)));
        }
        Seen::New(mark) => mark,
    };
    let Some(columns) = &model.live else { return Err(Failure::from(no_windows(&model.name))) };
    let subject = &asked.subjects[at];
    let chosen = chosen(app, model, columns, if subject.is_empty() { &row.request.name } else { subject })?;
    has_room(app, live, way)?;
    let record = Id::new(now_us());
    let taking = Taking { event: &row.event, id: &row.request.name, mark };
    // From here on the state has it: whatever fails drops the ticket, and the state is rebuilt.
    let (ticket, counted) = live.take(columns, &taking, now_us())?;
    let batch = columns.whole(&row.raw, &counted)?;
    let counted =
        Counted { number: ticket.number, windows: columns.text(&counted), batch: batch.clone(), ignored: row.ignored };
    let place = asked.rows[at].clone();
    let pending = Pending {
        id: record,
        kind: RecordKind::Decision,
        of: None,
        actor: who.actor.clone(),
        request: Some(row.request),
        subjects: vec![subject.clone()],
        body: asked.body.slice(place.clone()),
        rows: std::iter::once(0..place.len()).collect(),
        explain: asked.explain,
        language: asked.language,
        objection: None,
        counted: Some(counted),
        ticket: Some(ticket),
        chosen,
        // What was counted is scored, however late it is.
        way: Way { deadline: None, ..way.clone() },
    };
    let (wake, told) = hand(app, pending, Rows::Columns(batch), who.urgent)?;
    Ok((Handed::Told(told), Some(wake)))
}

/// Who scores. A challenger that reads other windows or columns than the champion's does not get its share.
fn chosen(app: &Shared, model: &Arc<Loaded>, columns: &LiveColumns, key: &str) -> Result<Chosen> {
    let mut chosen = app.models.route(&model.name, key)?;
    if !columns.serves(&chosen.model) {
        if chosen.part != Part::Challenger {
            return Err(Error::busy(format!(
                "version {} of «{}» answers and reads other columns than its transactions bring",
                chosen.model.version, model.name
            )));
        }
        chosen = Chosen { model: model.clone(), part: Part::Champion, shadow: None };
    }
    chosen.shadow = chosen.shadow.filter(|(challenger, _)| columns.serves(challenger));
    Ok(chosen)
}

/// Refuses a transaction, before it is counted, that would find no room on its way or is late already.
fn has_room(app: &Shared, live: &Live, way: &Way) -> Result<()> {
    if way.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return Err(Error::busy("the request's deadline passed before the transaction was taken"));
    }
    disk_has_room(app, live)?;
    if app.compute.n_waiting() >= app.settings.compute.queue {
        return Err(Error::busy("more wait to be scored than are allowed; nothing was taken"));
    }
    Ok(())
}

/// Refuses what a state is about to take where its record would find no room on its way to the disk.
pub(crate) fn disk_has_room(app: &Shared, live: &Live) -> Result<()> {
    if app.store.room() <= live.n_open() {
        return Err(Error::busy("the disk has more to write than may wait; nothing was taken"));
    }
    Ok(())
}

/// The answers to many.
fn list(answers: &[std::result::Result<Vec<u8>, Failure>]) -> std::result::Result<Response, Failure> {
    let mut items = Vec::with_capacity(answers.len());
    for answer in answers {
        items.push(match answer {
            Ok(bytes) => {
                let answer = serde_json::from_slice(bytes).map_err(|e| Failure::from(Error::damaged(e.to_string())))?;
                Item { status: StatusCode::OK.as_u16(), answer: Some(answer), failure: None }
            }
            Err(failure) => Item { status: failure.status.as_u16(), answer: None, failure: Some(failure.body()) },
        });
    }
    json_of(&Items { transactions: items })
}

async fn answer_one(handed: Handed) -> std::result::Result<Vec<u8>, Failure> {
    let before = match handed {
        Handed::Told(told) => match told.await.map_err(|_| lost())?? {
            Told::New(answer) => return Ok(answer),
            Told::Before(record) => *record,
        },
        Handed::Before(record) => *record,
    };
    blocking(move || answer::again(&before)).await
}
