//! Erasure: wrapped keys are destroyed, with a row of the ledger that says which.
//!
//! What is old is looked for beside the writer, a window of keys at a time, and destroyed a batch at a time: decisions are written
//! in between.

use super::acts::actor_json;
use super::alerts::{self, OldCases};
use super::{Tx, Writer};
use crate::act::Actor;
use crate::keys::hex;
use crate::ledger::body::{self, Erased, Retained};
use crate::retention::LastRetain;
use crate::rules::check_note;
use crate::sql::migrate::{meta, meta_int, set_meta};
use crate::sql::{Attempt, Connection, Database, Use, Value};
use crate::vault::{PERIOD_US, period};
use statera_core::{Error, ErrorKind, Result};
use std::str::FromStr;
use std::time::Duration;

/// Keys that one transaction destroys at most: decisions wait for it.
const BATCH: usize = 1000;
/// Keys that are looked at with one statement, so that none of them takes long however many there are.
const WINDOW: usize = 10_000;
/// Keys that one statement destroys at most.
const STATEMENT: usize = 100;
/// The table `meta` has by this name the last erasure by age: the period before which keys are gone, and the time by the clock.
const LAST: &str = "retained";
/// How long PostgreSQL may take to vacuum; beyond it, its own vacuum does it later.
const VACUUM_LIMIT: Duration = Duration::from_secs(600);

/// Keys that are old enough: of earlier periods than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Old {
    before_period: i64,
    ids: Vec<Vec<u8>>,
}

impl Old {
    /// True where nothing is left: the row of none says so to whoever checks the ledger. One with few says nothing, since what was
    /// found may have been erased by name before it was destroyed.
    pub(crate) fn is_last(&self) -> bool {
        self.ids.is_empty()
    }
}

/// The search for keys that are old enough, in the order of their ids.
#[derive(Debug)]
pub(crate) struct Search {
    before_period: i64,
    /// The id after which it goes on.
    after: Vec<u8>,
    found: Vec<Vec<u8>>,
    is_over: bool,
    window: usize,
    batch: usize,
}

impl Search {
    pub(crate) fn new(before_us: i64) -> Search {
        let before_period = period(before_us);
        Search { before_period, after: Vec::new(), found: Vec::new(), is_over: false, window: WINDOW, batch: BATCH }
    }

    /// Looks at the next window, on a connection that reads. What failed may be done again.
    pub(crate) fn look(&mut self, connection: &mut Connection) -> Attempt<()> {
        let n_wanted = self.batch - self.found.len();
        let Some(end) = self.window_end(connection)? else {
            self.is_over = true;
            return Ok(());
        };
        let sql = "SELECT id FROM subject_key WHERE id > $1 AND id <= $2 AND wrapped IS NOT NULL AND period < $3 \
                   ORDER BY id LIMIT $4";
        let limit = n_wanted as i64;
        let values = vec![self.after.clone().into(), end.clone().into(), self.before_period.into(), limit.into()];
        let found = connection.fetch(sql, values)?.iter().map(|r| r.blob(0)).collect::<Attempt<Vec<_>>>()?;
        // There may be more in the window than were wanted.
        self.after = found.last().filter(|_| found.len() == n_wanted).cloned().unwrap_or(end);
        self.found.extend(found);
        Ok(())
    }

    /// The last id of the next window; none where there is no key any more.
    fn window_end(&self, connection: &mut Connection) -> Attempt<Option<Vec<u8>>> {
        let after = || self.after.clone().into();
        let sql = "SELECT id FROM subject_key WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";
        let row = match connection.first(sql, vec![after(), (self.window as i64 - 1).into()])? {
            Some(row) => Some(row),
            None => {
                let sql = "SELECT id FROM subject_key WHERE id > $1 ORDER BY id DESC LIMIT 1";
                connection.first(sql, vec![after()])?
            }
        };
        row.map(|r| r.blob(0)).transpose()
    }

    /// What was found, once it is a batch or all that was left; at the end one of none: that the policy was carried out is worth a
    /// row.
    pub(crate) fn take(&mut self) -> Option<Old> {
        if self.found.len() < self.batch && !self.is_over {
            return None;
        }
        Some(Old { before_period: self.before_period, ids: std::mem::take(&mut self.found) })
    }
}

impl Writer {
    /// Destroys the keys of a subject; parts that it had.
    pub(crate) fn erase(&mut self, actor: &Actor, subject: &str, why: &str) -> Result<u64> {
        self.transact(|tx| tx.erase(actor, subject, why)).map_err(Error::from)
    }

    /// Destroys a batch of old keys; keys that it destroyed.
    pub(crate) fn retain(&mut self, actor: &Actor, old: &Old, why: &str) -> Result<u64> {
        let now_us = (self.clock)();
        match self.transact(|tx| tx.retain(actor, old, why, now_us)).map_err(Error::from) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
            done => done,
        }
    }

    /// Forgets a batch of old cases; how many of them were still old.
    pub(crate) fn forget_old_cases(&mut self, old: &OldCases) -> Result<u64> {
        self.transact(|tx| tx.forget_old_cases(old)).map_err(Error::from)
    }

    /// Takes what was destroyed out of SQLite's log. A reader that is still in there, as of a backup, delays it to when the log
    /// begins anew.
    pub(crate) fn empty_log(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.is_sqlite() {
            // Decisions must not wait for that reader.
            let _ = connection
                .batch("PRAGMA busy_timeout = 100; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = 5000");
        }
    }
}

/// Does beside the writer what it need not wait for: what was destroyed is taken out of the pages of PostgreSQL's tables, of which
/// versions of rows stay until then, and the log of SQLite is copied, so that the writer finds little left in it.
pub(crate) fn forget_old_pages(database: &Database) -> Attempt<()> {
    let mut connection = database.connect(Use::Write)?;
    let sql = if connection.is_sqlite() {
        "PRAGMA wal_checkpoint(PASSIVE)"
    } else {
        "VACUUM subject_key, alert, suspect, alert_key"
    };
    connection.limited(VACUUM_LIMIT, |c| c.batch(sql))
}

/// Looks for a batch of cases whose last decision is of a period before that of a time.
pub(crate) fn old_cases(connection: &mut Connection, before_us: i64) -> Attempt<OldCases> {
    alerts::old_cases(connection, period(before_us) * PERIOD_US)
}

/// The last erasure by age.
pub(crate) fn last_retain(connection: &mut Connection) -> Attempt<Option<LastRetain>> {
    let Some(text) = meta(connection, LAST)? else { return Ok(None) };
    let read = |(period, at_us): (&str, &str)| {
        let before_us = period.parse::<i64>().ok()?.checked_mul(PERIOD_US)?;
        Some(LastRetain { before_us, at_us: at_us.parse().ok()? })
    };
    let wrong = || Error::damaged(format!("the store's table meta: {LAST} is {text:?}; allowed are two numbers"));
    Ok(Some(text.split_once(' ').and_then(read).ok_or_else(wrong)?))
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

    /// Destroys a batch of old keys; refused, and no row, where each of them was destroyed meanwhile: the row of none is the last.
    fn retain(&mut self, actor: &Actor, old: &Old, why: &str, now_us: i64) -> Attempt<u64> {
        check_note("the reason", why)?;
        let turn = self.take_turn()?;
        let mut n = 0;
        for ids in old.ids.chunks(STATEMENT) {
            let list: Vec<String> = (3..ids.len() + 3).map(|i| format!("${i}")).collect();
            let sql = format!(
                "UPDATE subject_key SET wrapped = NULL, subject = NULL, erased_us = $1 WHERE wrapped IS NOT NULL AND \
                 period < $2 AND id IN ({})",
                list.join(", ")
            );
            let values = [self.at_us.into(), old.before_period.into()];
            let ids = ids.iter().map(|id| Value::from(id.clone()));
            n += self.connection.execute(&sql, values.into_iter().chain(ids).collect())?;
        }
        if n > 0 {
            self.count_erasure()?;
        } else if !old.is_last() {
            return Err(Error::not_found("what was old was erased meanwhile").into());
        }
        set_meta(self.connection, LAST, &format!("{} {now_us}", old.before_period))?;
        // Also where nothing was old enough: the policy was carried out.
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

#[cfg(test)]
impl Search {
    /// The same in batches of so many.
    pub(crate) fn by(self, batch: usize) -> Search {
        Search { batch, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::migrate::{MIGRATIONS, migrate};

    /// Every second key is of period 1 and the others of period 9; every third was destroyed before. Whatever the sizes, each old
    /// one is found once and no other, in batches of which the last is empty, and at most the one before it is not full.
    #[test]
    fn old_keys_are_found_once_whatever_the_sizes() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::file(&folder.path().join("store.sqlite"));
        let mut c = database.connect(Use::Create).expect("opens");
        migrate(&mut c, MIGRATIONS.len()).expect("is made");
        let id = |i: u8| [&[0; 15][..], &[i]].concat();
        for i in 1..=40 {
            let wrapped: Option<Vec<u8>> = (i % 3 > 0).then(|| vec![7]);
            let sql =
                "INSERT INTO subject_key (id, subject, period, wrapped, erased_us) VALUES ($1, NULL, $2, $3, NULL)";
            let period: i64 = if i % 2 > 0 { 1 } else { 9 };
            c.execute(sql, vec![id(i).into(), period.into(), wrapped.into()]).expect("is inserted");
        }
        // Of 1, 3, 5, …, 39 those that three does not divide.
        let expected: Vec<Vec<u8>> = (1..=40).filter(|i| i % 2 > 0 && i % 3 > 0).map(id).collect();
        assert_eq!(expected.len(), 13);
        for (window, batch) in [(1, 1), (1, 5), (3, 2), (7, 7), (10, 13), (39, 100), (40, 1), (1000, 1000)] {
            let mut search = Search { window, batch, ..Search::new(5 * PERIOD_US) };
            let mut batches = Vec::new();
            loop {
                search.look(&mut c).expect("reads");
                let Some(old) = search.take() else { continue };
                assert_eq!(old.before_period, 5);
                let is_last = old.is_last();
                batches.push(old.ids);
                if is_last {
                    break;
                }
            }
            assert_eq!(batches.len(), 13usize.div_ceil(batch) + 1, "{window}, {batch}");
            assert!(batches[..13 / batch].iter().all(|ids| ids.len() == batch), "{window}, {batch}");
            assert_eq!(batches.concat(), expected, "{window}, {batch}");
        }
    }
}
