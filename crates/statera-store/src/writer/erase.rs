//! Erasure: wrapped keys are destroyed, with a row of the ledger that says which.

use super::acts::actor_json;
use super::{Tx, Writer};
use crate::act::Actor;
use crate::keys::hex;
use crate::ledger::body::{self, Erased, Retained};
use crate::rules::check_note;
use crate::sql::migrate::{meta_int, set_meta};
use crate::sql::{Attempt, Value};
use crate::vault::period;
use statera_core::{Error, Result};
use std::str::FromStr;

/// Keys that one transaction destroys at most.
const BATCH: i64 = 5000;

impl Writer {
    /// Destroys the keys of a subject; parts that it had.
    pub(crate) fn erase(&mut self, actor: &Actor, subject: &str, why: &str) -> Result<u64> {
        let n_parts = self.transact(|tx| tx.erase(actor, subject, why))?;
        self.forget_old_pages();
        Ok(n_parts)
    }

    /// Destroys the keys of periods that ended before a time; keys that it destroyed.
    pub(crate) fn retain(&mut self, actor: &Actor, before_us: i64, why: &str) -> Result<u64> {
        if before_us > (self.clock)() {
            return Err(Error::request("what is to be recorded yet cannot be too old; allowed is a time that has passed"));
        }
        let mut n_keys = 0;
        let mut after = Vec::new();
        loop {
            let (n, last) = self.transact(|tx| tx.retain(actor, period(before_us), &after, why))?;
            n_keys += n;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        self.forget_old_pages();
        Ok(n_keys)
    }

    /// Takes what was destroyed out of the log, or out of the pages of rows that are no more. A reader that is still in
    /// there delays it to the next time.
    fn forget_old_pages(&mut self) {
        if let Some(connection) = &mut self.connection {
            let sql = if connection.is_sqlite() { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "VACUUM subject_key" };
            let _ = connection.fetch(sql, Vec::new());
        }
    }
}

impl Tx<'_> {
    fn erase(&mut self, actor: &Actor, name: &str, why: &str) -> Attempt<u64> {
        check_note("the reason", why)?;
        let turn = self.take_turn()?;
        let subject = self.seals.vault.subject(name);
        let found = self.connection.fetch(
            "SELECT id FROM subject_key WHERE subject = $1 AND subject IS NOT NULL AND wrapped IS NOT NULL ORDER BY id",
            vec![Value::from(&subject)],
        )?;
        let mut keys: Vec<[u8; 16]> = found.iter().map(|r| r.bytes(0)).collect::<Attempt<_>>()?;
        let is_named = !keys.is_empty();
        if !is_named && let Ok(id) = crate::record::Id::from_str(name) {
            let sql = "SELECT id FROM subject_key WHERE id = $1 AND subject IS NULL AND wrapped IS NOT NULL";
            let found = self.connection.fetch(sql, vec![id.0.as_bytes().into()])?;
            keys = found.iter().map(|r| r.bytes(0)).collect::<Attempt<_>>()?;
        }
        if keys.is_empty() {
            return Err(Error::not_found("nothing is kept of this subject, or it was erased already").into());
        }
        let mut n_parts = 0;
        for id in &keys {
            let sql = if is_named {
                "SELECT count(*) FROM part WHERE key_id = $1"
            } else {
                "SELECT count(*) FROM record r JOIN part p ON p.id >= r.first_part AND p.id < r.first_part + r.n_parts \
                 WHERE r.id = $1 AND p.key_id IS NULL"
            };
            let row = self.connection.first(sql, vec![id.into()])?;
            n_parts += row.map(|r| r.int(0)).transpose()?.unwrap_or(0) as u64;
            let sql = "UPDATE subject_key SET wrapped = NULL, subject = NULL, erased_us = $1 WHERE id = $2";
            self.connection.execute(sql, vec![self.at_us.into(), id.into()])?;
        }
        self.count_erasure()?;
        let erased = Erased {
            subject: is_named.then(|| hex(&subject)),
            keys: keys.iter().map(|id| hex(id)).collect(),
            parts: n_parts,
            why: why.into(),
        };
        self.append(actor_json(actor)?, body::of_erase(turn, &erased)?);
        Ok(n_parts)
    }

    /// Destroys a batch of old keys, in the order of their ids after one; how many, and the last id where there may be more.
    fn retain(
        &mut self,
        actor: &Actor,
        before_period: i64,
        after: &[u8],
        why: &str,
    ) -> Attempt<(u64, Option<Vec<u8>>)> {
        check_note("the reason", why)?;
        let turn = self.take_turn()?;
        let sql =
            "SELECT id FROM subject_key WHERE id > $1 AND wrapped IS NOT NULL AND period < $2 ORDER BY id LIMIT $3";
        let found = self.connection.fetch(sql, vec![after.to_vec().into(), before_period.into(), BATCH.into()])?;
        let Some(last) = found.last().map(|r| r.blob(0)).transpose()? else {
            // That nothing (more) was old enough is worth a row too: the policy was carried out.
            return self.append_retained(actor, turn, before_period, 0, why).map(|()| (0, None));
        };
        let sql = "UPDATE subject_key SET wrapped = NULL, subject = NULL, erased_us = $1 \
                   WHERE id > $2 AND id <= $3 AND wrapped IS NOT NULL AND period < $4";
        let values = vec![self.at_us.into(), after.to_vec().into(), last.clone().into(), before_period.into()];
        let n = self.connection.execute(sql, values)?;
        self.count_erasure()?;
        self.append_retained(actor, turn, before_period, n, why)?;
        Ok((n, (found.len() as i64 == BATCH).then_some(last)))
    }

    fn append_retained(&mut self, actor: &Actor, turn: u64, before_period: i64, keys: u64, why: &str) -> Attempt<()> {
        let retained = Retained { before_period, keys, why: why.into() };
        self.append(actor_json(actor)?, body::of_retain(turn, &retained)?);
        Ok(())
    }

    /// Tells every process that keys it remembers may be gone.
    fn count_erasure(&mut self) -> Attempt<()> {
        let n = meta_int(self.connection, "erasures")? + 1;
        set_meta(self.connection, "erasures", &n.to_string())
    }
}
