//! `POST /api/v1/edges`: edges of the network that a model's transactions are counted in, where they come of themselves: who shares a
//! device, an account, an address with whom, who pays whom, since when.
//!
//! They are taken by the model's state, all of a request or none, recorded, and then answered, as transactions are: a state that is
//! built again takes them again in its order. An edge is named by what it says: one that is sent again counts once. Those that a
//! transaction is to see are to be there before it, in whatever order they come.

use crate::app::Shared;
use crate::http::decisions::{blocking, disk_has_room, json_of, lost, now_us, request_name, submit_taken, whole};
use crate::http::failure::Failure;
use crate::http::json;
use crate::live::LiveColumns;
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
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded};
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

/// What lies in the part: the rows, as they were sent.
#[derive(Serialize, Deserialize)]
pub(crate) struct EdgesPart<'a> {
    #[serde(borrow)]
    pub edges: Vec<&'a RawValue>,
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
struct Handed {
    id: Id,
    facts: String,
    ignored: BTreeSet<String>,
    told: Option<oneshot::Receiver<Result<Recorded>>>,
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
    let Handed { id, facts, ignored, told } = blocking(move || Ok(hand(&shared, &who, &body))).await??;
    let (id, facts) = match told {
        None => (id, facts),
        Some(told) => match told.await.map_err(|_| lost())?? {
            Recorded::New { .. } => (id, facts),
            Recorded::Before(before) => (before.id, before.facts),
        },
    };
    let facts = serde_json::from_str(&facts).map_err(|e| Error::damaged(format!("record {id}: facts: {e}")))?;
    json_of(&Answer { id, facts, ignored_columns: ignored })
}

/// Checks edges, has the state take them, and hands the record to the store.
fn hand(app: &Shared, who: &Who, body: &Bytes) -> std::result::Result<Handed, Failure> {
    let asked: Body<'_> = json::read(body)?;
    let request = request_name(who, asked.request_id.as_deref(), "edges", body)?;
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
    // A name that was given to another body would be refused when the state has the edges already, and be built again without them.
    if let Some(before) = request.as_ref().map(|request| app.store.request(request)).transpose()?.flatten() {
        return Ok(Handed { id: before.id, facts: before.facts, ignored, told: None });
    }
    let live = app.lives.of(&champion.name);
    let live = live.ok_or_else(|| Error::busy(format!("the state of «{}» is being built", champion.name)))?;
    disk_has_room(app, &live)?;
    let plain = serde_json::to_vec(&EdgesPart { edges: asked.edges }).map_err(|e| Error::damaged(e.to_string()))?;
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
    };
    let facts = serde_json::to_string(&facts).map_err(|e| Error::damaged(e.to_string()))?;
    let (id, kind, actor) = (Id::new(now_us()), RecordKind::Edges, who.actor.clone());
    let parts = vec![Part { subject, plain }];
    let record = NewRecord { id, kind, of: None, request, actor, facts: facts.clone(), parts, alert: None };
    Ok(Handed { id, facts, ignored, told: Some(submit_taken(app, record, Some(ticket))?) })
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
