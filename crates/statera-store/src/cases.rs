//! Cases as they are read.

use crate::alert::{
    CASES_OF_KEY, COUNT_MAX, Case, CaseCounts, CaseQuery, CaseState, Cases, KEYS, Neighbour, SUSPECTS_MAX, Suspect,
    Verdict,
};
use crate::ledger::{LedgerRecord, body};
use crate::read::LIMIT_MAX;
use crate::record::Id;
use crate::sql::{Attempt, Connection, Row, Value};
use crate::vault::{Vault, period};
use statera_core::Error;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Columns of a case, in the order of [`case`].
const CASE: &str =
    "a.id, a.model, a.opened_us, a.last_us, a.risk, a.n_waiting, a.assigned, a.verdict, a.closed_us, a.steps";
/// Open ones that are worth a look: what is answered altogether is no work any more, unless somebody has it.
const LISTED: &str = "a.closed_us IS NULL AND (a.assigned IS NOT NULL OR (a.n_waiting > 0 AND a.last_us >= $1))";
const WAITS: &str = "a.closed_us IS NULL AND a.assigned IS NULL AND a.n_waiting > 0 AND a.last_us >= $1";
const ASSIGNED: &str = "a.closed_us IS NULL AND a.assigned IS NOT NULL";

fn case(row: &Row) -> Attempt<Case> {
    let damaged = |what: &str| Error::damaged(format!("the table of alerts holds {what}"));
    let closed = match (row.maybe_text(7)?, row.maybe_int(8)?) {
        (None, None) => None,
        (Some(verdict), Some(at_us)) => {
            let verdict = Verdict::of(&verdict).ok_or_else(|| damaged(&format!("the verdict «{verdict}»")))?;
            Some((verdict, at_us))
        }
        _ => return Err(damaged("half a verdict").into()),
    };
    let small =
        |at: usize| -> Attempt<u32> { u32::try_from(row.int(at)?).map_err(|_| damaged("a count below 0").into()) };
    Ok(Case {
        id: Id(Uuid::from_bytes(row.bytes(0)?)),
        model: row.text(1)?,
        opened_us: row.int(2)?,
        last_us: row.int(3)?,
        risk: row.int(4)?,
        n_waiting: small(5)?,
        assigned: row.maybe_text(6)?,
        closed,
        steps: small(9)?,
    })
}

/// The cases that are wanted, and how many there are of them from that place on.
pub(crate) fn cases(connection: &mut Connection, query: &CaseQuery<'_>) -> Attempt<Cases> {
    let (mut which, rank) = match query.state {
        Some(CaseState::Open) => (WAITS.to_string(), "a.risk"),
        // PostgreSQL wants every parameter used.
        Some(CaseState::Assigned) => (format!("{ASSIGNED} AND $1 = $1"), "a.risk"),
        Some(CaseState::Closed) => ("a.closed_us IS NOT NULL AND $1 = $1".to_string(), "a.closed_us"),
        None => (LISTED.to_string(), "a.risk"),
    };
    if query.model.is_some() {
        which += " AND a.model = $3";
    }
    if query.after.is_some() {
        let (at, id) = if query.model.is_some() { ("$4", "$5") } else { ("$3", "$4") };
        // The first of the two is what an index finds.
        which += &format!(" AND {rank} <= {at} AND ({rank} < {at} OR a.id > {id})");
    }
    let values = |limit: i64| -> Vec<Value> {
        let after = query.after.iter().flat_map(|(rank, id)| [Value::from(*rank), id.0.as_bytes().into()]);
        let model = query.model.map(Value::from);
        [query.since_us.into(), limit.into()].into_iter().chain(model).chain(after).collect()
    };
    let sql = format!("SELECT {CASE} FROM alert a WHERE {which} ORDER BY {rank} DESC, a.id LIMIT $2");
    let rows = connection.fetch(&sql, values(query.limit.min(LIMIT_MAX) as i64))?;
    let sql = format!("SELECT count(*) FROM (SELECT a.id FROM alert a WHERE {which} LIMIT $2) AS n");
    let n = connection.first(&sql, values(COUNT_MAX as i64))?;
    let n_all = n.map(|r| r.int(0)).transpose()?.unwrap_or(0) as u64;
    Ok(Cases { cases: rows.iter().map(case).collect::<Attempt<_>>()?, n_all })
}

/// A case and its decisions, in the order in which they were recorded. Of more than are listed those that wait for an answer go
/// before the others, and later ones before earlier ones.
pub(crate) fn one(connection: &mut Connection, id: Id) -> Attempt<(Case, Vec<Suspect>)> {
    let sql = format!("SELECT {CASE} FROM alert a WHERE a.id = $1");
    let row = connection.first(&sql, vec![id.0.as_bytes().into()])?;
    let found = case(&row.ok_or_else(|| Error::not_found(format!("there is no alert {id}")))?)?;
    let sql = "SELECT s.record, s.risk, s.answered, a.at_us, a.place FROM suspect s JOIN record r ON r.id = s.record JOIN audit a ON \
               a.place = r.place WHERE s.of_alert = $1 ORDER BY s.answered, a.at_us DESC, a.place DESC LIMIT $2";
    let rows = connection.fetch(sql, vec![id.0.as_bytes().into(), (SUSPECTS_MAX as i64).into()])?;
    let suspect = |row: &Row| -> Attempt<((i64, i64), Suspect)> {
        let record = Id(Uuid::from_bytes(row.bytes(0)?));
        let suspect = Suspect { record, risk: row.int(1)?, is_answered: row.int(2)? != 0 };
        Ok(((row.int(3)?, row.int(4)?), suspect))
    };
    let mut suspects = rows.iter().map(suspect).collect::<Attempt<Vec<_>>>()?;
    suspects.sort_unstable_by_key(|(place, _)| *place);
    Ok((found, suspects.into_iter().map(|(_, suspect)| suspect).collect()))
}

/// Cases that share keys with one and are not dismissed: those that share the most first.
pub(crate) fn neighbours(connection: &mut Connection, id: Id, limit: usize) -> Attempt<Vec<Neighbour>> {
    let own = id.0.as_bytes();
    let sql = "SELECT value, name FROM alert_key WHERE of_alert = $1 ORDER BY name, value LIMIT $2";
    let keys = connection.fetch(sql, vec![own.into(), KEYS.into()])?;
    let mut found: BTreeMap<Id, Neighbour> = BTreeMap::new();
    for key in &keys {
        let (value, name) = (key.blob(0)?, key.text(1)?);
        let sql = format!(
            "SELECT {CASE} FROM (SELECT of_alert FROM alert_key WHERE value = $1 AND of_alert <> $2 ORDER BY of_alert DESC \
             LIMIT $3) AS k JOIN alert a ON a.id = k.of_alert WHERE a.closed_us IS NULL OR a.verdict = 'confirmed'"
        );
        for row in connection.fetch(&sql, vec![value.into(), own.into(), CASES_OF_KEY.into()])? {
            let case = case(&row)?;
            let neighbour = found.entry(case.id).or_insert_with(|| Neighbour { case, shared: Vec::new() });
            if !neighbour.shared.contains(&name) {
                neighbour.shared.push(name.clone());
            }
        }
    }
    let mut all: Vec<Neighbour> = found.into_values().collect();
    all.sort_by_key(|n| (Reverse(n.shared.len()), Reverse(n.case.risk), n.case.id));
    all.truncate(limit);
    Ok(all)
}

/// How the queue stands, and what became of it since a time.
pub(crate) fn counts(connection: &mut Connection, kept_us: i64, since_us: i64) -> Attempt<CaseCounts> {
    let mut n = |sql: &str, values: Vec<Value>| -> Attempt<i64> {
        let row = connection.first(sql, values)?;
        Ok(row.map(|r| r.int(0)).transpose()?.unwrap_or(0))
    };
    let limited =
        |which: &str| format!("SELECT count(*) FROM (SELECT a.id FROM alert a WHERE {which} LIMIT {COUNT_MAX}) AS n");
    let open = n(&limited(WAITS), vec![kept_us.into()])? as u64;
    let assigned = n(&limited(ASSIGNED), Vec::new())? as u64;
    let opened = n(&limited("a.opened_us >= $1"), vec![since_us.into()])? as u64;
    let mut closed = |verdict: Verdict| {
        let which = format!("a.closed_us >= $1 AND a.verdict = '{}'", verdict.name());
        n(&limited(&which), vec![since_us.into()])
    };
    let (confirmed, dismissed) = (closed(Verdict::Confirmed)? as u64, closed(Verdict::Dismissed)? as u64);
    let sql = format!("SELECT min(a.opened_us) FROM alert a WHERE {LISTED}");
    let oldest = connection.first(&sql, vec![kept_us.into()])?;
    let oldest_us = oldest.map(|r| r.maybe_int(0)).transpose()?.flatten();
    Ok(CaseCounts { open, assigned, oldest_us, opened, confirmed, dismissed })
}

/// Records that hold something of a subject, recorded since a time, the latest first.
pub(crate) fn heads_of(
    connection: &mut Connection,
    vault: &Vault,
    subject: &str,
    since_us: i64,
    limit: usize,
) -> Attempt<Vec<LedgerRecord>> {
    let subject = vault.subject(subject);
    let sql = "SELECT id FROM subject_key WHERE subject = $1 AND subject IS NOT NULL AND wrapped IS NOT NULL AND period >= $2";
    let keys = connection.fetch(sql, vec![Value::from(&subject), period(since_us).into()])?;
    let mut found = BTreeMap::new();
    for key in &keys {
        // A key of its own for each period of a subject: of each the latest are enough.
        let sql = "SELECT a.at_us, a.place, a.body FROM (SELECT place FROM part WHERE key_id = $1 ORDER BY id DESC LIMIT $2) \
                   AS own JOIN audit a ON a.place = own.place WHERE a.at_us >= $3";
        let limit = limit.min(LIMIT_MAX) as i64;
        for row in connection.fetch(sql, vec![key.blob(0)?.into(), limit.into(), since_us.into()])? {
            found.insert((row.int(0)?, row.int(1)?), row.text(2)?);
        }
    }
    let mut heads = Vec::new();
    for body in found.values().rev().take(limit) {
        heads.extend(body::parse(body)?.record.map(LedgerRecord::from));
    }
    Ok(heads)
}
