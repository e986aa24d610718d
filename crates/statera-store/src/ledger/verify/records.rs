//! Records, parts, keys and requests beside what the ledger says of them.

use super::chain::{Stored, readable};
use super::{Check, Gone};
use crate::keys::{hex, unhex};
use crate::ledger::body::RecordBody;
use crate::ledger::place;
use crate::sql::{Attempt, Connection, Row, Value};
use crate::vault::{key_digest, part_digest, period};
use std::collections::HashMap;

/// Values that one query looks for, and parts that are read at once.
const LOOKUP: usize = 64;
const PARTS: usize = 256;

/// A record of the ledger and its row.
pub(super) type Known<'a> = (&'a Stored, RecordBody<'a>);

impl Check {
    pub(super) fn records(
        &mut self,
        connection: &mut Connection,
        id: i64,
        chain: &str,
        next_part: &mut u64,
        records: &[Known<'_>],
    ) -> Attempt<()> {
        for records in records.chunks(LOOKUP) {
            let first_part = *next_part;
            self.record_rows(connection, id, chain, next_part, records)?;
            self.part_rows(connection, id, chain, first_part, records)?;
            self.key_rows(connection, chain, records)?;
            self.request_rows(connection, chain, records)?;
        }
        self.note_steps(chain, records);
        self.verified.n_records += records.len() as u64;
        Ok(())
    }

    fn record_rows(
        &mut self,
        connection: &mut Connection,
        chain_id: i64,
        chain: &str,
        next_part: &mut u64,
        records: &[Known<'_>],
    ) -> Attempt<()> {
        let ids = records.iter().map(|(_, r)| r.id.0.as_bytes().into()).collect();
        let sql =
            format!("SELECT id, follows, place, first_part, n_parts FROM record WHERE id IN ({})", list(records.len()));
        let mut rows = HashMap::new();
        for row in connection.fetch(&sql, ids)? {
            rows.insert(row.blob(0)?, row);
        }
        for (stored, record) in records {
            let n_parts = record.parts.len() as u64;
            let expected = (
                record.of.map(|of| of.0.as_bytes().to_vec()),
                place(chain_id, stored.seq),
                place(chain_id, *next_part),
                n_parts as i64,
            );
            *next_part += n_parts;
            let found = rows.get(&record.id.0.as_bytes()[..]);
            let values = |r: &Row| Ok((r.maybe_blob(1)?, r.int(2)?, r.int(3)?, r.int(4)?));
            let wrong = match found.map(|r| readable(values(r))).transpose()? {
                None => "is missing from its table",
                Some(found) if found.as_ref() == Some(&expected) => {
                    self.n_known[1] += 1;
                    continue;
                }
                Some(_) => {
                    self.n_known[1] += 1;
                    "was changed in its table"
                }
            };
            self.verified.find(Some((chain, stored.seq)), format!("record {} {wrong}", record.id));
        }
        Ok(())
    }

    fn part_rows(
        &mut self,
        connection: &mut Connection,
        chain_id: i64,
        chain: &str,
        first: u64,
        records: &[Known<'_>],
    ) -> Attempt<()> {
        let expected: Vec<(usize, usize)> = records
            .iter()
            .enumerate()
            .flat_map(|(r, (_, record))| (0..record.parts.len()).map(move |p| (r, p)))
            .collect();
        for (i, wanted) in expected.chunks(PARTS).enumerate() {
            let from = place(chain_id, first + (i * PARTS) as u64);
            let sql = "SELECT id, place, key_id, sealed FROM part WHERE id >= $1 AND id < $2 ORDER BY id";
            let mut found = HashMap::new();
            for row in connection.fetch(sql, vec![from.into(), (from + wanted.len() as i64).into()])? {
                found.insert(row.int(0)?, row);
            }
            for (id, (record, number)) in (from..).zip(wanted) {
                let (stored, record) = &records[*record];
                let wrong = match found.get(&id) {
                    None => "is missing from its table",
                    Some(row) => {
                        self.n_known[2] += 1;
                        if readable(is_part(row, chain_id, stored, record, *number))? == Some(true) {
                            self.verified.n_parts += 1;
                            continue;
                        }
                        "was changed in its table"
                    }
                };
                let what = format!("part {} of record {} {wrong}", number + 1, record.id);
                self.verified.find(Some((chain, stored.seq)), what);
            }
        }
        Ok(())
    }

    fn key_rows(&mut self, connection: &mut Connection, chain: &str, records: &[Known<'_>]) -> Attempt<()> {
        let made: Vec<_> =
            records.iter().flat_map(|(s, r)| r.keys.iter().map(move |(id, digest)| (*s, id, digest))).collect();
        for made in made.chunks(LOOKUP) {
            let ids = made.iter().map(|(_, id, _)| Value::from(&unhex::<16>(id).unwrap_or_default())).collect();
            let sql = format!(
                "SELECT id, subject, period, wrapped, erased_us FROM subject_key WHERE id IN ({})",
                list(made.len())
            );
            let mut rows = HashMap::new();
            for row in connection.fetch(&sql, ids)? {
                rows.insert(hex(&row.blob(0)?), row);
            }
            for (stored, id, digest) in made {
                let wrong = match rows.get(id.as_ref()) {
                    None => "is missing from its table",
                    Some(row) => {
                        self.n_known[3] += 1;
                        match readable(self.key_row(row, digest, stored, chain))? {
                            Some(true) => continue,
                            _ => "was changed in its table",
                        }
                    }
                };
                self.verified.find(Some((chain, stored.seq)), format!("the key {id} {wrong}"));
            }
        }
        Ok(())
    }

    /// True where a key is as it was made, or erased; that the ledger says so too is seen at the end.
    fn key_row(&mut self, row: &Row, digest: &str, stored: &Stored, chain: &str) -> Attempt<bool> {
        let id: [u8; 16] = row.bytes(0)?;
        let (subject, made_in, wrapped) = (row.maybe_blob(1)?, row.int(2)?, row.maybe_blob(3)?);
        if made_in != period(stored.at_us) {
            return Ok(false);
        }
        match (wrapped, row.maybe_int(4)?) {
            (Some(wrapped), None) => Ok(key_digest(&id, subject.as_deref(), &wrapped).to_hex().as_str() == digest),
            (None, Some(erased_us)) if subject.is_none() => {
                self.gone.push(Gone { id, erased_us, period: made_in, chain: chain.into(), seq: stored.seq });
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn request_rows(&mut self, connection: &mut Connection, chain: &str, records: &[Known<'_>]) -> Attempt<()> {
        let named: Vec<_> = records.iter().filter_map(|(s, r)| Some((s, r.id, r.request.as_ref()?))).collect();
        if named.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = (0..named.len()).map(|i| format!("(${}, ${})", 2 * i + 1, 2 * i + 2)).collect();
        let sql = format!(
            "SELECT scope, name, record, body_digest FROM request WHERE (scope, name) IN (VALUES {})",
            names.join(", ")
        );
        let values = named.iter().flat_map(|(.., r)| [Value::from(r.0.as_ref()), Value::from(r.1.as_ref())]).collect();
        let mut rows = HashMap::new();
        for row in connection.fetch(&sql, values)? {
            rows.insert((row.text(0)?, row.text(1)?), row);
        }
        for (stored, id, (scope, name, digest)) in named {
            let found = rows.get(&(scope.to_string(), name.to_string()));
            let wrong = match found.map(|r| readable(Ok((r.blob(2)?, hex(&r.blob(3)?))))).transpose()? {
                None => "is missing from its table",
                Some(found) => {
                    self.n_known[4] += 1;
                    if found.is_some_and(|(record, body)| record == id.0.as_bytes() && body == *digest) {
                        continue;
                    }
                    "was changed in its table"
                }
            };
            self.verified.find(Some((chain, stored.seq)), format!("the request «{name}» of record {id} {wrong}"));
        }
        Ok(())
    }
}

/// True where a part is the one that the ledger names.
fn is_part(row: &Row, chain_id: i64, stored: &Stored, record: &RecordBody<'_>, number: usize) -> Attempt<bool> {
    let (key, digest) = &record.parts[number];
    let key_id = row.maybe_blob(2)?;
    if row.int(1)? != place(chain_id, stored.seq) || key_id.as_deref().map(hex).as_deref() != key.as_deref() {
        return Ok(false);
    }
    let key = match key_id {
        Some(_) => row.bytes(2)?,
        None => *record.id.0.as_bytes(),
    };
    Ok(part_digest(&key, &row.blob(3)?).to_hex().as_str() == digest)
}

/// `$1, $2, $3`.
fn list(n: usize) -> String {
    (1..=n).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ")
}
