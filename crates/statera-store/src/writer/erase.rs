//! Erasure: wrapped keys are destroyed, with a row of the ledger that says which.

use super::acts::actor_json;
use super::{Tx, Writer};
use crate::act::Actor;
use crate::keys::hex;
use crate::ledger::body::{self, Erased, Retained};
use crate::rules::check_note;
use crate::sql::migrate::{meta_int, set_meta};
use crate::sql::{Attempt, Connection, Value};
use crate::vault::{PERIOD_US, period};
use statera_core::{Error, Result};
use std::str::FromStr;

/// Keys that one transaction destroys at most: decisions wait for it.
const BATCH: i64 = 1000;

/// Keys that are old enough: those of earlier periods than one, with ids in a range.
#[derive(Debug, Clone)]
pub(crate) struct Old {
    pub(crate) before_period: i64,
    /// The id before the first.
    pub(crate) after: Vec<u8>,
    /// The last id; none where no key is old enough.
    pub(crate) last: Option<Vec<u8>>,
}

impl Old {
    /// The next range after an id, found on a connection that reads, since the search may be long.
    pub(crate) fn find(connection: &mut Connection, before_us: i64, after: Vec<u8>) -> Attempt<Old> {
        let before_period = period(before_us);
        let sql =
            "SELECT id FROM subject_key WHERE id > $1 AND wrapped IS NOT NULL AND period < $2 ORDER BY id LIMIT $3";
        let found = connection.fetch(sql, vec![after.clone().into(), before_period.into(), BATCH.into()])?;
        let last = found.last().map(|r| r.blob(0)).transpose()?;
        Ok(Old { before_period, after, last })
    }
}

impl Writer {
    /// Destroys the keys of a subject; parts that it had.
    pub(crate) fn erase(&mut self, actor: &Actor, subject: &str, why: &str) -> Result<u64> {
        let n_parts = self.transact(|tx| tx.erase(actor, subject, why))?;
        self.forget_old_pages();
        Ok(n_parts)
    }

    /// Destroys the keys of a range of ids whose periods ended before a time; keys that it destroyed.
    pub(crate) fn retain(&mut self, actor: &Actor, old: &Old, why: &str) -> Result<u64> {
        self.transact(|tx| tx.retain(actor, old, why)).map_err(Error::from)
    }

    /// Forgets cases whose last decision is of a period before that of a time; false where none was left.
    pub(crate) fn forget_old_cases(&mut self, before_us: i64) -> Result<bool> {
        let n = self.transact(|tx| tx.forget_old_cases(period(before_us) * PERIOD_US)).map_err(Error::from)?;
        Ok(n > 0)
    }

    /// Takes what was destroyed out of the log, or out of the pages of rows that are no more. A reader that is still in
    /// there, as of a backup, delays it to when the log begins anew, or to the next vacuum.
    pub(crate) fn forget_old_pages(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.is_sqlite() {
            // Decisions must not wait for that reader.
            let _ = connection
                .batch("PRAGMA busy_timeout = 100; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = 5000");
        } else {
            let _ = connection.batch("VACUUM subject_key, alert, suspect, alert_key");
        }
    }
}

impl Tx<'_> {
    fn erase(&mut self, actor: &Actor, name: &str, why: &str) -> Attempt<u64> {
        check_note("the reason", why)?;
        let turn = self.take_turn()?;
        let subject = self.seals.vault.subject(name);
        let mut named = self.keys_of(&subject)?;
        let mut own = Vec::new();
        if let Ok(id) = crate::record::Id::from_str(name) {
            // What was said later of a decision that names nobody is kept under the decision's name, as we write it.
            let ours = id.to_string();
            if ours != name {
                let written = self.seals.vault.subject(&ours);
                named.extend(self.keys_of(&written)?);
            }
            let sql = "SELECT id FROM subject_key WHERE id = $1 AND subject IS NULL AND wrapped IS NOT NULL";
            let found = self.connection.fetch(sql, vec![id.0.as_bytes().into()])?;
            own = found.iter().map(|r| r.bytes(0)).collect::<Attempt<Vec<[u8; 16]>>>()?;
        }
        let n_cases = self.forget_card(&subject)?;
        for id in &own {
            self.forget_suspect(id)?;
        }
        if named.is_empty() && own.is_empty() && n_cases == 0 {
            return Err(Error::not_found("nothing is kept of this subject, or it was erased already").into());
        }
        let is_named = !named.is_empty() || n_cases > 0;
        let keys: Vec<([u8; 16], bool)> =
            named.into_iter().map(|id| (id, true)).chain(own.into_iter().map(|id| (id, false))).collect();
        let mut n_parts = 0;
        for (id, is_of_subject) in &keys {
            let sql = if *is_of_subject {
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
            keys: keys.iter().map(|(id, _)| hex(id)).collect(),
            parts: n_parts,
            why: why.into(),
        };
        self.append(actor_json(actor)?, body::of_erase(turn, &erased)?);
        Ok(n_parts)
    }

    /// The keys of a subject that are there.
    fn keys_of(&mut self, subject: &[u8; 32]) -> Attempt<Vec<[u8; 16]>> {
        let sql =
            "SELECT id FROM subject_key WHERE subject = $1 AND subject IS NOT NULL AND wrapped IS NOT NULL ORDER BY id";
        self.connection.fetch(sql, vec![Value::from(subject)])?.iter().map(|r| r.bytes(0)).collect()
    }

    /// Destroys a batch of old keys.
    fn retain(&mut self, actor: &Actor, old: &Old, why: &str) -> Attempt<u64> {
        check_note("the reason", why)?;
        let turn = self.take_turn()?;
        let mut n = 0;
        if let Some(last) = &old.last {
            let sql = "UPDATE subject_key SET wrapped = NULL, subject = NULL, erased_us = $1 \
                       WHERE id > $2 AND id <= $3 AND wrapped IS NOT NULL AND period < $4";
            let (after, last) = (old.after.clone(), last.clone());
            n = self
                .connection
                .execute(sql, vec![self.at_us.into(), after.into(), last.into(), old.before_period.into()])?;
        }
        if n > 0 {
            self.count_erasure()?;
        }
        // That nothing was old enough is worth a row too: the policy was carried out.
        let retained = Retained { before_period: old.before_period, keys: n, why: why.into() };
        self.append(actor_json(actor)?, body::of_retain(turn, &retained)?);
        Ok(n)
    }

    /// Tells every process that keys it remembers may be gone.
    fn count_erasure(&mut self) -> Attempt<()> {
        let n = meta_int(self.connection, "erasures")? + 1;
        set_meta(self.connection, "erasures", &n.to_string())
    }
}
