//! What records do to alerts, in the transaction that writes them, and what erasure takes from them.

use super::Tx;
use crate::alert::{AlertChange, KEYS_OF_ONE, RISK_MAX, RISKS, SUSPECTS_MAX, Step, Suspicion};
use crate::record::{Id, NewRecord};
use crate::sql::migrate::{READS_STEPS, need_program};
use crate::sql::{Attempt, Connection, Value};
use statera_core::Error;

/// Cases that one transaction forgets at most, each with up to thousands of decisions: others wait for it.
const BATCH: i64 = 50;

/// A batch of cases that are old enough: their last decision is of a time before one.
#[derive(Debug, Clone)]
pub(crate) struct OldCases {
    before_us: i64,
    ids: Vec<Vec<u8>>,
}

impl OldCases {
    /// True where there is none any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Tx<'_> {
    /// Does what a record does to alerts; gives why not, where it cannot be done and the record must not be written.
    pub(super) fn change_alert(&mut self, record: &NewRecord) -> Attempt<Option<Error>> {
        match (&record.alert, record.of) {
            (Some(AlertChange::Suspect(suspicion)), _) => self.suspect(record.id, suspicion).map(|()| None),
            (Some(AlertChange::Answer), Some(of)) => self.answer(of).map(|()| None),
            (Some(AlertChange::Step(step)), Some(of)) => self.step(of, step),
            (Some(_), None) => Ok(Some(Error::request("a step or an answer follows no decision"))),
            (None, _) => Ok(None),
        }
    }

    fn suspect(&mut self, record: Id, suspicion: &Suspicion) -> Attempt<()> {
        let id = record.0.as_bytes();
        let card = self.seals.vault.subject(&suspicion.card);
        let sql = "INSERT INTO alert (id, model, card, opened_us, last_us, risk, n_waiting, steps) \
                   VALUES ($1, $2, $3, $4, $4, 0, 0, 0) ON CONFLICT (model, card) WHERE closed_us IS NULL \
                   DO UPDATE SET last_us = excluded.last_us RETURNING id";
        let values = vec![Value::from(id), suspicion.model.as_str().into(), Value::from(&card), self.at_us.into()];
        let row = self.connection.first(sql, values)?;
        let alert = row.map(|r| r.bytes::<16>(0)).transpose()?;
        let alert = alert.ok_or_else(|| Error::damaged("the case of a suspicious decision has no name"))?;
        let sql = "INSERT INTO suspect (record, of_alert, risk, answered) VALUES ($1, $2, $3, 0)";
        let risk = suspicion.risk.clamp(0, RISK_MAX);
        self.connection.execute(sql, vec![Value::from(id), Value::from(&alert), risk.into()])?;
        for (name, value) in suspicion.keys.iter().take(KEYS_OF_ONE) {
            let value = self.seals.vault.subject(&format!("{name}\0{value}"));
            let sql = "INSERT INTO alert_key (value, of_alert, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            self.connection.execute(sql, vec![Value::from(&value), Value::from(&alert), name.as_str().into()])?;
        }
        self.sum_up(&alert)
    }

    /// Takes an answered decision out of what its case waits for.
    fn answer(&mut self, of: Id) -> Attempt<()> {
        let of = of.0.as_bytes();
        let sql = "SELECT of_alert FROM suspect WHERE record = $1 AND answered = 0";
        let Some(row) = self.connection.first(sql, vec![of.into()])? else { return Ok(()) };
        let alert = row.bytes::<16>(0)?;
        self.hold(&alert)?;
        self.connection.execute("UPDATE suspect SET answered = 1 WHERE record = $1", vec![of.into()])?;
        self.sum_up(&alert)
    }

    /// Keeps a case to this transaction before its decisions are looked at: another server that adds one is waited for here,
    /// and what it added is seen by the statements after this one.
    fn hold(&mut self, alert: &[u8; 16]) -> Attempt<()> {
        self.connection.execute("UPDATE alert SET steps = steps WHERE id = $1", vec![Value::from(alert)]).map(drop)
    }

    /// Sums up a case that is held.
    fn sum_up(&mut self, alert: &[u8; 16]) -> Attempt<()> {
        // Bounded, so that no sum is too large and no case takes long.
        let sql = "UPDATE alert SET risk = (SELECT CAST(coalesce(sum(top.risk), 0) AS BIGINT) FROM (SELECT risk FROM suspect \
                   WHERE of_alert = $1 AND answered = 0 ORDER BY risk DESC LIMIT $2) AS top), n_waiting = (SELECT count(*) \
                   FROM (SELECT record FROM suspect WHERE of_alert = $1 AND answered = 0 LIMIT $3) AS waiting) WHERE id = $1";
        let values = vec![Value::from(alert), RISKS.into(), (SUSPECTS_MAX as i64).into()];
        self.connection.execute(sql, values).map(drop)
    }

    fn step(&mut self, alert: Id, step: &Step) -> Attempt<Option<Error>> {
        // A decision that joined the case while it was worked on must not lie in a closed one, where nobody looks.
        let answered = if step.closed.is_some() { " AND n_waiting = 0" } else { "" };
        let sql = format!(
            "UPDATE alert SET steps = $2, assigned = $3, verdict = $4, closed_us = $5 \
             WHERE id = $1 AND steps = $6 AND closed_us IS NULL{answered}"
        );
        let (number, verdict) = (i64::from(step.number), step.closed.map(|v| v.name().to_string()));
        let values = vec![
            alert.0.as_bytes().into(),
            number.into(),
            step.assigned.clone().into(),
            verdict.into(),
            step.closed.map(|_| self.at_us).into(),
            (number - 1).into(),
        ];
        if self.connection.execute(&sql, values)? > 0 {
            need_program(self.connection, READS_STEPS)?;
            return Ok(None);
        }
        let sql = "SELECT n_waiting FROM alert WHERE id = $1 AND steps = $2 AND closed_us IS NULL";
        let row = self.connection.first(sql, vec![alert.0.as_bytes().into(), (number - 1).into()])?;
        let told = match row.map(|r| r.int(0)).transpose()? {
            Some(n) => format!("of the case {alert} {n} wait for an answer; it is closed when none does"),
            None => format!("somebody else worked on the case {alert} meanwhile; look at it again"),
        };
        Ok(Some(Error::conflict(told)))
    }

    /// Forgets all cases of a card; how many there were.
    pub(super) fn forget_card(&mut self, card: &[u8; 32]) -> Attempt<u64> {
        // Held, as by `hold`.
        self.connection.execute("UPDATE alert SET steps = steps WHERE card = $1", vec![Value::from(card)])?;
        let of_card = "(SELECT id FROM alert WHERE card = $1)";
        for table in ["suspect", "alert_key"] {
            let sql = format!("DELETE FROM {table} WHERE of_alert IN {of_card}");
            self.connection.execute(&sql, vec![Value::from(card)])?;
        }
        self.connection.execute("DELETE FROM alert WHERE card = $1", vec![Value::from(card)])
    }

    /// Forgets a decision that names nobody; its case goes with its last decision.
    pub(super) fn forget_suspect(&mut self, record: &[u8; 16]) -> Attempt<()> {
        let sql = "SELECT of_alert FROM suspect WHERE record = $1";
        let Some(row) = self.connection.first(sql, vec![Value::from(record)])? else { return Ok(()) };
        let alert = row.bytes::<16>(0)?;
        self.hold(&alert)?;
        self.connection.execute("DELETE FROM suspect WHERE record = $1", vec![Value::from(record)])?;
        for (table, id) in [("alert_key", "of_alert"), ("alert", "id")] {
            let sql = format!(
                "DELETE FROM {table} WHERE {id} = $1 AND NOT EXISTS (SELECT 1 FROM suspect WHERE of_alert = $1)"
            );
            self.connection.execute(&sql, vec![Value::from(&alert)])?;
        }
        self.sum_up(&alert)
    }

    /// Forgets cases that were found to be old, but for those that a decision joined meanwhile; how many there were.
    pub(super) fn forget_old_cases(&mut self, old: &OldCases) -> Attempt<u64> {
        if old.ids.is_empty() {
            return Ok(0);
        }
        let ids = |ids: &[Vec<u8>]| ids.iter().map(|id| Value::from(id.clone())).collect::<Vec<_>>();
        // Held, as by `hold`: whoever adds a decision from here on opens a new case.
        let sql = format!(
            "UPDATE alert SET steps = steps WHERE id IN ({}) AND last_us < ${} RETURNING id",
            numbered(old.ids.len()),
            old.ids.len() + 1
        );
        let values = ids(&old.ids).into_iter().chain([old.before_us.into()]).collect();
        let held = self.connection.fetch(&sql, values)?.iter().map(|r| r.blob(0)).collect::<Attempt<Vec<_>>>()?;
        if held.is_empty() {
            return Ok(0);
        }
        for (table, column) in [("suspect", "of_alert"), ("alert_key", "of_alert"), ("alert", "id")] {
            let sql = format!("DELETE FROM {table} WHERE {column} IN ({})", numbered(held.len()));
            self.connection.execute(&sql, ids(&held))?;
        }
        Ok(held.len() as u64)
    }
}

/// Looks for a batch of cases whose last decision is of a time before one, on a connection that reads.
pub(crate) fn old_cases(connection: &mut Connection, before_us: i64) -> Attempt<OldCases> {
    // No case is older than its last decision: the index by the first bounds the search.
    let sql = "SELECT id FROM alert WHERE opened_us < $1 AND last_us < $1 ORDER BY opened_us LIMIT $2";
    let found = connection.fetch(sql, vec![before_us.into(), BATCH.into()])?;
    Ok(OldCases { before_us, ids: found.iter().map(|r| r.blob(0)).collect::<Attempt<_>>()? })
}

/// «$1, $2, …».
fn numbered(n: usize) -> String {
    (1..=n).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ")
}
