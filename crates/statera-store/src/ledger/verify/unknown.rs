//! Rows of tables that the ledger does not know: looked for only where a table has more rows than the ledger named.

use super::Check;
use super::chain::{body_at, place_name};
use crate::keys::hex;
use crate::ledger::body::{self, RecordBody};
use crate::ledger::of_place;
use crate::sql::{Attempt, Connection, Value};
use std::collections::HashSet;
use uuid::Uuid;

/// Rows that are read at once.
const PAGE: i64 = 1000;

impl Check {
    pub(super) fn unknown_rows(&mut self, connection: &mut Connection) -> Attempt<()> {
        type Search = fn(&mut Check, &mut Connection) -> Attempt<()>;
        let tables: [(&str, Search); 5] = [
            ("audit", Check::unknown_audit),
            ("record", Check::unknown_records),
            ("part", Check::unknown_parts),
            ("subject_key", Check::unknown_keys),
            ("request", Check::unknown_requests),
        ];
        for (i, (table, search)) in tables.into_iter().enumerate() {
            let row = connection.first(&format!("SELECT count(*) FROM {table}"), Vec::new())?;
            let n = row.map(|r| r.int(0)).transpose()?.unwrap_or(0) as u64;
            if n == self.n_known[i] {
                continue;
            }
            let before = self.verified.n_findings;
            search(self, connection)?;
            if self.verified.n_findings == before {
                let what = format!("the table {table} has {n} rows, where the ledger knows {}", self.n_known[i]);
                self.verified.find(None, what);
            }
        }
        Ok(())
    }

    fn unknown_audit(&mut self, connection: &mut Connection) -> Attempt<()> {
        let sql = "SELECT place FROM audit WHERE (place >> 40) NOT IN (SELECT id FROM chain) ORDER BY place LIMIT 100";
        for row in connection.fetch(sql, Vec::new())? {
            let what = format!("{} is in the ledger's table, but there is no such chain", place_name(row.int(0)?));
            self.verified.find(None, what);
        }
        Ok(())
    }

    fn unknown_records(&mut self, connection: &mut Connection) -> Attempt<()> {
        let mut after: Vec<u8> = Vec::new();
        loop {
            let sql = "SELECT id, place FROM record WHERE id > $1 ORDER BY id LIMIT $2";
            let rows = connection.fetch(sql, vec![after.clone().into(), PAGE.into()])?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.blob(0)?;
            for row in &rows {
                let (id, place) = (row.blob(0)?, row.int(1)?);
                if !with_record(connection, place, |r| r.id.0.as_bytes()[..] == id)? {
                    let what = format!("record {} is unknown to the ledger ({})", name(&id), place_name(place));
                    self.verified.find(None, what);
                }
            }
        }
    }

    fn unknown_parts(&mut self, connection: &mut Connection) -> Attempt<()> {
        let mut after = -1;
        loop {
            let sql = "SELECT id, place FROM part WHERE id > $1 ORDER BY id LIMIT $2";
            let rows = connection.fetch(sql, vec![Value::from(after), PAGE.into()])?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.int(0)?;
            for row in &rows {
                let (id, place) = (row.int(0)?, row.int(1)?);
                let sql = "SELECT count(*) FROM record WHERE place = $1 AND first_part <= $2 AND first_part + n_parts > $2 \
                           AND id = $3";
                let mut owner = Vec::new();
                with_record(connection, place, |r| {
                    owner = r.id.0.as_bytes().to_vec();
                    true
                })?;
                let found = connection.first(sql, vec![place.into(), id.into(), owner.into()])?;
                if found.map(|r| r.int(0)).transpose()? != Some(1) {
                    let (chain, number) = of_place(id);
                    let what = format!("part number {number} of chain number {chain} is unknown to the ledger");
                    self.verified.find(None, what);
                }
            }
        }
    }

    fn unknown_keys(&mut self, connection: &mut Connection) -> Attempt<()> {
        let mut known: HashSet<String> = HashSet::new();
        let mut after = -1;
        loop {
            let sql = "SELECT place, body FROM audit WHERE place > $1 ORDER BY place LIMIT $2";
            let rows = connection.fetch(sql, vec![Value::from(after), PAGE.into()])?;
            let Some(last) = rows.last() else { break };
            after = last.int(0)?;
            for row in &rows {
                let text = row.text(1).unwrap_or_default();
                let record = body::parse(&text).ok().and_then(|b| b.record);
                known.extend(record.iter().flat_map(|r| &r.keys).map(|(id, _)| id.to_string()));
            }
        }
        let mut after: Vec<u8> = Vec::new();
        loop {
            let sql = "SELECT id FROM subject_key WHERE id > $1 ORDER BY id LIMIT $2";
            let rows = connection.fetch(sql, vec![after.clone().into(), PAGE.into()])?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.blob(0)?;
            for row in &rows {
                let id = hex(&row.blob(0)?);
                if !known.contains(&id) {
                    self.verified.find(None, format!("the key {id} is unknown to the ledger"));
                }
            }
        }
    }

    fn unknown_requests(&mut self, connection: &mut Connection) -> Attempt<()> {
        let (mut scope, mut name) = (String::new(), String::new());
        loop {
            let sql = "SELECT q.scope, q.name, r.place FROM request q LEFT JOIN record r ON r.id = q.record \
                       WHERE (q.scope, q.name) > ($1, $2) ORDER BY q.scope, q.name LIMIT $3";
            let values = vec![scope.as_str().into(), name.as_str().into(), PAGE.into()];
            let rows = connection.fetch(sql, values)?;
            let Some(last) = rows.last() else { return Ok(()) };
            (scope, name) = (last.text(0)?, last.text(1)?);
            for row in &rows {
                let (scope, name) = (row.text(0)?, row.text(1)?);
                let is_known = match row.maybe_int(2)? {
                    Some(place) => with_record(connection, place, |r| {
                        r.request.as_ref().is_some_and(|q| q.0 == scope && q.1 == name)
                    })?,
                    None => false,
                };
                if !is_known {
                    self.verified.find(None, format!("the request «{name}» of «{scope}» is unknown to the ledger"));
                }
            }
        }
    }
}

/// What is true of the record that the ledger has at a place; false where there is none.
fn with_record(
    connection: &mut Connection,
    place: i64,
    mut test: impl FnMut(&RecordBody<'_>) -> bool,
) -> Attempt<bool> {
    let Some(text) = body_at(connection, place)? else { return Ok(false) };
    Ok(body::parse(&text).ok().and_then(|b| b.record).is_some_and(|r| test(&r)))
}

fn name(id: &[u8]) -> String {
    Uuid::from_slice(id).map_or_else(|_| hex(id), |id| id.to_string())
}
