//! Records and rows of the ledger as they are read.

use crate::ledger::{AuditRow, body, of_place, place};
use crate::record::{Id, RequestName, StoredPart, StoredRecord};
use crate::sql::{Attempt, Connection};
use crate::vault::{Sealer, Vault};
use statera_core::Error;
use uuid::Uuid;

/// Most that one call gives.
pub(crate) const LIMIT_MAX: usize = 100_000;

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
