//! `POST /api/v1/edges`: edges of the network that a model's transactions are counted in, where they come of themselves: who shares a
//! device, an account, an address with whom, who pays whom, since when.
//!
//! They are taken by the model's state, all of a request or none, recorded, and then answered, as transactions are: a state that is
//! built again takes them again in its order. An edge is named by what it says: one that is sent again counts once. Those that a
//! transaction is to see are to be there before it, in whatever order they come.

use crate::app::Shared;
use crate::http::decisions::{blocking, disk_has_room, json_of, lost, now_us, request_name, submit_named, whole};
use crate::http::failure::Failure;
use crate::http::json;
use crate::live::{EdgeTable, LiveColumns};
use crate::models::Loaded;
use crate::who::Who;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use statera_core::{Error, Result};
use statera_data::network::{EdgeCounts, EdgesTaken};
use statera_store::people::Role;
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded, StoredPart, StoredRecord};
use std::borrow::Cow;
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// Most characters of a subject.
const MAX_SUBJECT_CHARS: usize = 256;

/// The routes of edges.
pub fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/edges", post(take))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    request_id: Option<String>,
    /// Whom they are about, where it is one: they can be erased by it.
    #[serde(default)]
    subject: Option<String>,
    /// The name of their table, as the model was trained; it need not be given.
    #[serde(default)]
    table: Option<String>,
    #[serde(borrow)]
    edges: Vec<&'a RawValue>,
}

/// What lies in the part: the rows that are used, as they were sent. Those to whose use somebody did not consent are not kept: another
/// declaration might count them, and nobody has agreed to that.
#[derive(Serialize, Deserialize)]
pub(crate) struct EdgesPart<'a> {
    #[serde(borrow)]
    pub edges: Vec<&'a RawValue>,
    /// Names of columns that nobody read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored_columns: BTreeSet<String>,
}

/// What the ledger holds of edges, and what is answered.
#[derive(Serialize, Deserialize)]
struct Facts {
    model: String,
    version: u32,
    /// Its place in the order in which the state took what it has.
    state: u64,
    /// Edges that the request had.
    edges: usize,
    /// Of them those that are counted from now on,
    new: usize,
    /// those that came before,
    known: usize,
    /// those that no transaction to come sees: older than every window, or of a kind that no figure reads,
    unseen: usize,
    /// those to whose use the ends did not consent, and those from a node to itself.
    left_out: usize,
    /// The table that they are of, which is not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<EdgeTable>,
}

#[derive(Serialize)]
struct Answer {
    id: Id,
    #[serde(flatten)]
    facts: Facts,
    /// Names of columns that nobody reads.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    ignored_columns: BTreeSet<String>,
}

/// Edges that the store was given, or was given before: then nobody is waited for.
enum Handed {
    New { answer: Box<Answer>, told: oneshot::Receiver<Result<Recorded>> },
    Before(Box<StoredRecord>),
}

async fn take(
    State(app): State<Shared>,
    who: Who,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer])?;
    let body = whole(body)?;
    let shared = app.clone();
    // At one go on one thread: whoever goes away meanwhile leaves no state that has what is not recorded.
    match blocking(move || Ok(hand(&shared, &who, &body))).await?? {
        Handed::Before(before) => json_of(&again(&before)?),
        Handed::New { answer, told } => match told.await.map_err(|_| lost())?? {
            Recorded::New { .. } => json_of(&answer),
            Recorded::Before(before) => json_of(&again(&before)?),
        },
    }
}

/// The answer to edges that were recorded before, whatever the model has become since.
fn again(before: &StoredRecord) -> Result<Answer> {
    let id = before.id;
    let damaged = |e: serde_json::Error| Error::damaged(format!("record {id}: {}", unread(&e)));
    let facts: Facts = serde_json::from_str(&before.facts).map_err(damaged)?;
    let mut ignored_columns = BTreeSet::new();
    for part in &before.parts {
        // Of who was erased, names of columns are not known any more either.
        if let StoredPart::Plain(plain) = part {
            let part: EdgesPart<'_> = serde_json::from_slice(plain).map_err(damaged)?;
            ignored_columns.extend(part.ignored_columns);
        }
    }
    Ok(Answer { id, facts: Facts { table: None, ..facts }, ignored_columns })
}

/// What is wrong with a part, without what it says of people.
pub(crate) fn unread(e: &serde_json::Error) -> String {
    format!("what it holds cannot be read ({:?} error at byte {} of line {})", e.classify(), e.column(), e.line())
}

/// The table that recorded edges are of, where that was recorded.
///
/// # Errors
/// Facts of something else.
pub(crate) fn table_of(record: &StoredRecord) -> Result<Option<EdgeTable>> {
    let facts: Facts = serde_json::from_str(&record.facts)
        .map_err(|e| Error::damaged(format!("record {}: facts: {}", record.id, unread(&e))))?;
    Ok(facts.table)
}

/// Checks edges, has the state take them, and hands the record to the store.
fn hand(app: &Shared, who: &Who, body: &Bytes) -> std::result::Result<Handed, Failure> {
    let asked: Body<'_> = json::read(body)?;
    let request = request_name(who, asked.request_id.as_deref(), "edges", body)?;
    // Before all else: what was acknowledged stays so, also where another champion would refuse it by now. And a name that was given to
    // another body, or is at this moment, would be refused when the state has the edges already, and be built again without them.
    let name = request.as_ref().map(|request| app.names.hold(request)).transpose()?;
    if let Some(before) = request.as_ref().map(|request| app.store.request(request)).transpose()?.flatten() {
        return Ok(Handed::Before(Box::new(before)));
    }
    let max = app.settings.compute.max_rows;
    let n = asked.edges.len();
    if !(1..=max).contains(&n) {
        return Err(Failure::from(Error::request(format!("{n} edges; allowed: 1 to {max}"))));
    }
    let subject = asked.subject.unwrap_or_default();
    let n_chars = subject.chars().count();
    if n_chars > MAX_SUBJECT_CHARS {
        let told = format!("the subject has {n_chars} characters; allowed: at most {MAX_SUBJECT_CHARS}");
        return Err(Failure::from(Error::request(told)));
    }
    let champion = app.models.champion(&asked.model)?;
    let columns = of_network(&champion)?;
    check_table(columns, &champion.name, asked.table.as_deref())?;
    let (edges, ignored) = columns.edges(asked.edges.iter().map(|row| row.get()))?;
    let live = app.lives.of(&champion.name);
    let live = live.ok_or_else(|| Error::busy(format!("the state of «{}» is being built", champion.name)))?;
    disk_has_room(app, &live)?;
    let used = edges.rows().iter().map(|row| asked.edges[*row as usize]).collect();
    let part = EdgesPart { edges: used, ignored_columns: ignored };
    let plain = serde_json::to_vec(&part).map_err(|e| Error::damaged(e.to_string()))?;
    let (ticket, taken) = live.edges(columns, &edges, now_us())?;
    let EdgesTaken { n_new, n_known, n_unseen } = taken;
    let EdgeCounts { n_without_consent, n_to_itself, .. } = edges.counts;
    let facts = Facts {
        model: champion.name.clone(),
        version: champion.version,
        state: ticket.number,
        edges: n,
        new: n_new,
        known: n_known,
        unseen: n_unseen,
        left_out: n_without_consent + n_to_itself,
        table: columns.edge_table(),
    };
    let recorded = serde_json::to_string(&facts).map_err(|e| Error::damaged(e.to_string()))?;
    let (id, kind, actor) = (Id::new(now_us()), RecordKind::Edges, who.actor.clone());
    let answer = Box::new(Answer { id, facts: Facts { table: None, ..facts }, ignored_columns: part.ignored_columns });
    let parts = vec![Part { subject, plain }];
    let record = NewRecord { id, kind, of: None, request, actor, facts: recorded, parts, alert: None };
    Ok(Handed::New { answer, told: submit_named(app, record, Some(ticket), name)? })
}

/// The columns of a model with a state that takes edges.
fn of_network(champion: &Loaded) -> Result<&LiveColumns> {
    let none = || Error::request(format!("«{}» has no windows: no state of it takes edges", champion.name));
    champion.live.as_ref().ok_or_else(none)
}

/// Refuses a table that is not the one that the model's edges were in.
fn check_table(columns: &LiveColumns, model: &str, table: Option<&str>) -> Result<()> {
    let own = columns.network.as_ref().and_then(|own| own.definition.network().edges.source.as_deref());
    match table {
        Some(table) if own != Some(table) => {
            let allowed = own.map_or("none".into(), |own| format!("«{own}»"));
            Err(Error::request(format!("table: «{model}» reads no edges of «{table}»; allowed is {allowed}")))
        }
        _ => Ok(()),
    }
}
