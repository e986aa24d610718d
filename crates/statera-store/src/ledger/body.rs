//! What rows of the ledger say, as one line of JSON.

use crate::act::Act;
use crate::alert::{AlertChange, Step};
use crate::keys;
use crate::record::{Id, NewRecord, RecordKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use statera_core::{Error, Result};
use std::borrow::Cow;

/// The body of a row: a record, or something that was done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body<'a> {
    /// A record.
    #[serde(borrow, default)]
    pub(crate) record: Option<RecordBody<'a>>,
    /// The number of what was done, over all chains and without a gap.
    #[serde(default)]
    pub(crate) turn: Option<u64>,
    /// What was done, without its secret.
    #[serde(default)]
    pub(crate) act: Option<Act>,
    /// The proposal that was made.
    #[serde(default)]
    pub(crate) made: Option<Id>,
    /// Digest of the secret that the act had.
    #[serde(default)]
    pub(crate) secret: Option<String>,
    /// A subject was erased.
    #[serde(default)]
    pub(crate) erase: Option<Erased>,
    /// What is old was erased.
    #[serde(default)]
    pub(crate) retain: Option<Retained>,
}

/// A record, as the ledger has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordBody<'a> {
    pub(crate) id: Id,
    pub(crate) kind: RecordKind,
    #[serde(default)]
    pub(crate) of: Option<Id>,
    /// Scope, name, digest of the request's body.
    #[serde(borrow, default)]
    pub(crate) request: Option<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)>,
    /// The key of each part, where it is not the record's own, and the part's digest.
    #[serde(borrow, default)]
    pub(crate) parts: Vec<(Option<Cow<'a, str>>, Cow<'a, str>)>,
    /// The keys that were made for it, each with its digest.
    #[serde(borrow, default)]
    pub(crate) keys: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// How it leaves the alert that it follows.
    #[serde(default)]
    pub(crate) step: Option<Step>,
    /// As given.
    #[serde(borrow)]
    pub(crate) facts: &'a RawValue,
}

/// A subject that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erased {
    /// What it was called in the database, by which the bank can show that it was erased; none for a record of nobody named.
    pub(crate) subject: Option<String>,
    /// Its keys.
    pub(crate) keys: Vec<String>,
    /// Parts that cannot be read any more.
    pub(crate) parts: u64,
    /// Why.
    pub(crate) why: String,
}

/// Keys that were erased because they were old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retained {
    /// Keys of this and later periods stay.
    pub(crate) before_period: i64,
    /// Keys that were erased by this row.
    pub(crate) keys: u64,
    /// Why.
    pub(crate) why: String,
}

/// Reads a body.
///
/// # Errors
/// `Damaged` for anything else than a body.
pub(crate) fn parse(body: &str) -> Result<Body<'_>> {
    serde_json::from_str(body).map_err(|e| Error::damaged(format!("a row of the ledger cannot be read: {e}")))
}

/// The body of an act.
pub(crate) fn of_act(turn: u64, act: &Act, made: Option<Id>, secret: Option<[u8; 32]>) -> Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        turn: u64,
        act: &'a Act,
        #[serde(skip_serializing_if = "Option::is_none")]
        made: Option<Id>,
        #[serde(skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    }
    line(&Line { turn, act, made, secret: secret.map(|s| keys::hex(&s)) })
}

/// The body of an erasure.
pub(crate) fn of_erase(turn: u64, erase: &Erased) -> Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        turn: u64,
        erase: &'a Erased,
    }
    line(&Line { turn, erase })
}

/// The body of an erasure by age.
pub(crate) fn of_retain(turn: u64, retain: &Retained) -> Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        turn: u64,
        retain: &'a Retained,
    }
    line(&Line { turn, retain })
}

fn line(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::io(format!("a row of the ledger cannot be written: {e}")))
}

/// A part as a record's body names it.
pub(crate) struct PartLine {
    pub(crate) key: Option<[u8; 16]>,
    pub(crate) digest: blake3::Hash,
}

/// The body of a record: written by hand, because every decision waits for it.
pub(crate) fn of_record(record: &NewRecord, parts: &[PartLine], made: &[([u8; 16], blake3::Hash)]) -> Result<String> {
    let mut body = String::with_capacity(160 + 110 * (parts.len() + made.len()) + record.facts.len());
    let mut buffer = uuid::Uuid::encode_buffer();
    body.push_str("{\"record\":{\"id\":\"");
    body.push_str(record.id.0.as_hyphenated().encode_lower(&mut buffer));
    body.push_str("\",\"kind\":\"");
    body.push_str(record.kind.name());
    body.push('"');
    if let Some(of) = record.of {
        body.push_str(",\"of\":\"");
        body.push_str(of.0.as_hyphenated().encode_lower(&mut buffer));
        body.push('"');
    }
    if let Some(request) = &record.request {
        body.push_str(",\"request\":");
        body.push_str(&line(&(&request.scope, &request.name, keys::hex(&request.body_digest)))?);
    }
    if !parts.is_empty() {
        body.push_str(",\"parts\":");
        push_list(&mut body, parts, |body, part| {
            push_pair(body, part.key.as_ref(), part.digest.as_bytes());
        });
    }
    if !made.is_empty() {
        body.push_str(",\"keys\":");
        push_list(&mut body, made, |body, (id, digest)| push_pair(body, Some(id), digest.as_bytes()));
    }
    if let Some(AlertChange::Step(step)) = &record.alert {
        body.push_str(",\"step\":");
        body.push_str(&line(step)?);
    }
    body.push_str(",\"facts\":");
    body.push_str(record.facts.trim());
    body.push_str("}}");
    Ok(body)
}

fn push_list<T>(body: &mut String, items: &[T], mut push: impl FnMut(&mut String, &T)) {
    body.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            body.push(',');
        }
        push(body, item);
    }
    body.push(']');
}

fn push_pair(body: &mut String, key: Option<&[u8; 16]>, digest: &[u8; 32]) {
    body.push('[');
    match key {
        Some(key) => {
            body.push('"');
            keys::push_hex(body, key);
            body.push('"');
        }
        None => body.push_str("null"),
    }
    body.push_str(",\"");
    keys::push_hex(body, digest);
    body.push_str("\"]");
}
