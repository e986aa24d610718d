//! Records and rows of the ledger as they are read.

use crate::ledger::{AuditRow, body, of_place, place};
use crate::record::{Id, RecordHead, RecordKind, RequestName, StoredPart, StoredRecord};
use crate::sql::{Attempt, Connection, Row, Value};
use crate::vault::{Sealer, Vault};
use crate::writer::chain;
use statera_core::Error;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Most that one call gives.
pub(crate) const LIMIT_MAX: usize = 100_000;
/// Most heads that one call gives: a reader is held for as long.
const HEADS_MAX: usize = 10_000;
/// Parts of these records, beyond which one more is given at most: a row's body grows by a hundred bytes with each.
const HEADS_PARTS_MAX: i64 = 50_000;

/// A record with its parts.
pub(crate) fn record(connection: &mut Connection, vault: &Vault, id: Id) -> Attempt<StoredRecord> {
    let sql = "SELECT r.place, r.first_part, r.n_parts, a.at_us, a.actor, a.body, c.name FROM record r \
               JOIN audit a ON a.place = r.place JOIN chain c ON c.id = a.place >> 40 WHERE r.id = $1";
    let row = connection.first(sql, vec![id.0.as_bytes().into()])?;
    let row = row.ok_or_else(|| Error::not_found(format!("there is no record {id}")))?;
    let (place, first_part, n_parts) = (row.int(0)?, row.int(1)?, row.int(2)?);
    let text = row.text(5)?;
    let wrong =
        || Error::damaged(format!("record {id} is not the one that the ledger has; run `statera audit verify`"));
    let body = body::parse(&text)?.record.ok_or_else(wrong)?;
    if body.id != id || body.parts.len() as i64 != n_parts {
        return Err(wrong().into());
    }
    let actor = serde_json::from_str(&row.text(4)?)
        .map_err(|e| Error::damaged(format!("record {id}: its actor cannot be read: {e}")))?;
    let parts = parts(connection, vault, id, first_part, n_parts)?;
    Ok(StoredRecord {
        id,
        kind: body.kind,
        of: body.of,
        at_us: row.int(3)?,
        actor,
        facts: body.facts.get().into(),
        parts,
        ledger: (row.text(6)?, of_place(place).1),
    })
}

fn parts(connection: &mut Connection, vault: &Vault, id: Id, first: i64, n: i64) -> Attempt<Vec<StoredPart>> {
    if n == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT p.key_id, p.sealed, k.wrapped, k.erased_us FROM part p \
               LEFT JOIN subject_key k ON k.id = coalesce(p.key_id, $1) WHERE p.id >= $2 AND p.id < $3 ORDER BY p.id";
    let record = id.0.as_bytes();
    let rows = connection.fetch(sql, vec![record.into(), first.into(), first.saturating_add(n).into()])?;
    if rows.len() as i64 != n {
        return Err(Error::damaged(format!("record {id} has {} of its {n} parts", rows.len())).into());
    }
    let mut parts = Vec::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        let key_id = if row.maybe_blob(0)?.is_some() { row.bytes::<16>(0)? } else { *record };
        let part = match (row.maybe_blob(2)?, row.maybe_int(3)?) {
            (Some(wrapped), None) => {
                let key = vault.unwrap(&key_id, &wrapped)?;
                let plain = Sealer::new(&key).open(record, number, &row.blob(1)?);
                StoredPart::Plain(plain.map_err(|e| e.at(format!("record {id}")))?)
            }
            (None, Some(at_us)) => StoredPart::Erased { at_us },
            _ => return Err(Error::damaged(format!("record {id}: the key of part {} is gone", number + 1)).into()),
        };
        parts.push(part);
    }
    Ok(parts)
}

/// What a request recorded when it was made before.
pub(crate) fn request(
    connection: &mut Connection,
    vault: &Vault,
    request: &RequestName,
) -> Attempt<Option<StoredRecord>> {
    let sql = "SELECT record, body_digest FROM request WHERE scope = $1 AND name = $2";
    let row = connection.first(sql, vec![request.scope.as_str().into(), request.name.as_str().into()])?;
    let Some(row) = row else { return Ok(None) };
    if row.bytes::<32>(1)? != vault.request(&request.body_digest) {
        return Err(other_body(&request.name).into());
    }
    record(connection, vault, Id(Uuid::from_bytes(row.bytes(0)?))).map(Some)
}

/// A name that was used for another body.
pub(crate) fn other_body(name: &str) -> Error {
    Error::conflict(format!("the request «{name}» was made before with another body"))
}

/// What follows a record, in the order of time.
pub(crate) fn records_of(
    connection: &mut Connection,
    vault: &Vault,
    id: Id,
    limit: usize,
) -> Attempt<Vec<StoredRecord>> {
    let sql = "SELECT r.id FROM record r JOIN audit a ON a.place = r.place WHERE r.follows = $1 \
               ORDER BY a.at_us, r.place LIMIT $2";
    let limit = limit.min(LIMIT_MAX) as i64;
    let rows = connection.fetch(sql, vec![id.0.as_bytes().into(), limit.into()])?;
    rows.iter().map(|row| record(connection, vault, Id(Uuid::from_bytes(row.bytes(0)?)))).collect()
}

/// Records of a window without their parts, the newest name first.
pub(crate) fn record_heads(connection: &mut Connection, from: Id, until: Id, limit: usize) -> Attempt<Vec<RecordHead>> {
    let found = "SELECT id, follows, place, n_parts FROM record WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    let limit = limit.min(HEADS_MAX) as i64;
    let values = vec![from.0.as_bytes().into(), until.0.as_bytes().into(), limit.into()];
    heads(connection, found, "id DESC", values)
}

/// The same of what follows the decisions of a window, those of the newest decision first, before a decision and a record.
pub(crate) fn following_heads(
    connection: &mut Connection,
    from: Id,
    (of, id): (Id, Id),
    limit: usize,
) -> Attempt<Vec<RecordHead>> {
    // The first two conditions are for the index, the third for where the page before ended.
    let found = "SELECT id, follows, place, n_parts FROM record WHERE follows IS NOT NULL AND follows >= $1 AND follows <= $2 \
                 AND (follows < $2 OR id < $3) ORDER BY follows DESC, id DESC LIMIT $4";
    let limit = limit.min(HEADS_MAX) as i64;
    let values = vec![from.0.as_bytes().into(), of.0.as_bytes().into(), id.0.as_bytes().into(), limit.into()];
    heads(connection, found, "follows DESC, id DESC", values)
}

/// Heads of the records that a query finds, in an order. The database takes kind and facts out of a row's body: that of a large
/// batch names every part, and megabytes of it would have to be carried here.
fn heads(connection: &mut Connection, found: &str, order: &str, values: Vec<Value>) -> Attempt<Vec<RecordHead>> {
    let (kind, facts) = if connection.is_sqlite() {
        ("json_extract(a.body, '$.record.kind')", "json_extract(a.body, '$.record.facts')")
    } else {
        ("a.body::json #>> '{record,kind}'", "(a.body::json #> '{record,facts}')::text")
    };
    let sql = format!(
        "WITH found AS ({found}), weighed AS (SELECT id, follows, place, n_parts, sum(n_parts) OVER (ORDER BY {order}) AS n_sum \
         FROM found) SELECT r.id, r.follows, a.at_us, a.actor, {kind}, {facts} FROM weighed r JOIN audit a \
         ON a.place = r.place WHERE r.n_sum - r.n_parts < {HEADS_PARTS_MAX} ORDER BY {order}"
    );
    connection.fetch(&sql, values)?.iter().map(head).collect()
}

fn head(row: &Row) -> Attempt<RecordHead> {
    let id = Id(Uuid::from_bytes(row.bytes(0)?));
    let of = if row.maybe_blob(1)?.is_some() { Some(Id(Uuid::from_bytes(row.bytes(1)?))) } else { None };
    let wrong = |what: &str| Error::damaged(format!("record {id}: its {what} cannot be read"));
    let actor = serde_json::from_str(&row.text(3)?).map_err(|_| wrong("actor"))?;
    let kind = row.maybe_text(4)?.and_then(|name| RecordKind::of_name(&name)).ok_or_else(|| wrong("kind"))?;
    let facts = row.maybe_text(5)?.ok_or_else(|| wrong("facts"))?;
    Ok(RecordHead { id, kind, of, at_us: row.int(2)?, actor, facts })
}

/// Rows of a chain after a number.
pub(crate) fn audit_rows(connection: &mut Connection, chain: &str, after: u64, limit: usize) -> Attempt<Vec<AuditRow>> {
    let number = connection.first("SELECT id FROM chain WHERE name = $1", vec![chain.into()])?;
    let Some(number) = number.map(|r| r.int(0)).transpose()? else {
        return Err(Error::not_found(format!("there is no chain «{chain}»")).into());
    };
    // The row before is read too, for its hash.
    let (first, end) = (place(number, after.min(1 << 39)), place(number + 1, 0));
    let sql =
        "SELECT place, at_us, actor, body, hash FROM audit WHERE place >= $1 AND place < $2 ORDER BY place LIMIT $3";
    let limit = limit.min(LIMIT_MAX) as i64 + i64::from(after > 0);
    let mut previous = [0; 32];
    let mut rows = Vec::new();
    for row in connection.fetch(sql, vec![first.into(), end.into(), limit.into()])? {
        let (_, seq) = of_place(row.int(0)?);
        let hash = row.bytes(4)?;
        if seq > after {
            rows.push(AuditRow {
                chain: chain.into(),
                seq,
                at_us: row.int(1)?,
                actor: row.text(2)?,
                body: row.text(3)?,
                previous,
                hash,
            });
        }
        previous = hash;
    }
    Ok(rows)
}

/// Names of the chains.
pub(crate) fn chains(connection: &mut Connection) -> Attempt<Vec<String>> {
    connection.fetch("SELECT name FROM chain ORDER BY id", Vec::new())?.iter().map(|r| r.text(0)).collect()
}

/// The record that a request's name was given for.
pub(crate) fn named(connection: &mut Connection, scope: &str, name: &str) -> Attempt<Option<Id>> {
    let sql = "SELECT record FROM request WHERE scope = $1 AND name = $2";
    let row = connection.first(sql, vec![scope.into(), name.into()])?;
    row.map(|row| Ok(Id(Uuid::from_bytes(row.bytes(0)?)))).transpose()
}

/// The number of the last row of each chain.
pub(crate) fn ledger_ends(connection: &mut Connection) -> Attempt<BTreeMap<String, u64>> {
    let chains = connection.fetch("SELECT id, name FROM chain ORDER BY id", Vec::new())?;
    chains.iter().map(|row| Ok((row.text(1)?, chain::head(connection, row.int(0)?)?.seq))).collect()
}
