//! The chain that this process writes: the first whose lock is free. The lock goes with the process, so that the chain of
//! one that was killed is continued by the next.

use crate::ledger::{CHAINS_MAX, Head, of_place, place};
use crate::locked::Locked;
use crate::sql::{Attempt, Connection};
use statera_core::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// First half of PostgreSQL's advisory locks of chains; the second is the chain's number.
const LOCK: i64 = 0x0057_A7ED;
/// How long the session before this one may take to end after it was told to.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The exclusive right to write a chain.
pub(crate) enum Lock {
    /// A locked file in the folder.
    File { folder: PathBuf, _file: Locked },
    /// An advisory lock of the session with that process number.
    Session { pid: i64 },
}

/// A chain and its end.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) head: Head,
    /// The number of its next part.
    pub(crate) next_part: u64,
}

impl Lock {
    /// Takes the first chain that nobody writes.
    pub(crate) fn first_free(connection: &mut Connection, folder: &Path) -> Attempt<(Lock, Chain)> {
        for id in 1..=CHAINS_MAX {
            let lock = if connection.is_sqlite() { lock_file(folder, id)? } else { lock_session(connection, id)? };
            if let Some(lock) = lock {
                return Ok((lock, Chain::load(connection, id)?));
            }
        }
        Err(Error::busy(format!("{CHAINS_MAX} processes write this store, as many as are allowed")).into())
    }

    /// Takes the same chain on a new connection; false where its old session is not over.
    pub(crate) fn take_again(&mut self, connection: &mut Connection, id: i64) -> Attempt<bool> {
        let Lock::Session { pid } = self else { return Ok(true) };
        // A session whose client is gone may hold its lock for long; it is ours, and may be ended. Only CASE says in which
        // order conditions are looked at; nothing but the session that holds this chain may be ended.
        let sql = "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND \
                   pid = $1::int AND classid::bigint = $2 AND objid::bigint = $3) THEN pg_terminate_backend($1::int) \
                   ELSE false END";
        connection.first(sql, vec![(*pid).into(), LOCK.into(), id.into()])?;
        let end = Instant::now() + END_LIMIT;
        loop {
            if let Some(lock) = lock_session(connection, id)? {
                *self = lock;
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where lock files lie.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Lock::File { folder, .. } => folder,
            Lock::Session { .. } => Path::new(""),
        }
    }
}

fn lock_file(folder: &Path, id: i64) -> Attempt<Option<Lock>> {
    let path = folder.join(format!("writer-{id}.lock"));
    Ok(Locked::take(&path)?.map(|file| Lock::File { folder: folder.into(), _file: file }))
}

fn lock_session(connection: &mut Connection, id: i64) -> Attempt<Option<Lock>> {
    let sql = "SELECT CASE WHEN pg_try_advisory_lock($1::int, $2::int) THEN pg_backend_pid()::bigint ELSE 0 END";
    let row = connection.first(sql, vec![LOCK.into(), id.into()])?;
    let pid = row.map(|r| r.int(0)).transpose()?.unwrap_or(0);
    Ok((pid != 0).then_some(Lock::Session { pid }))
}

impl Chain {
    /// The chain as the database has it; it is begun where it is not there.
    pub(crate) fn load(connection: &mut Connection, id: i64) -> Attempt<Chain> {
        let sql = "INSERT INTO chain (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
        connection.execute(sql, vec![id.into(), format!("writer-{id}").into()])?;
        let name = connection.first("SELECT name FROM chain WHERE id = $1", vec![id.into()])?;
        let name = name.map(|r| r.text(0)).transpose()?.unwrap_or_default();
        let head = head(connection, id)?;
        let sql = "SELECT id FROM part WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1";
        let last = connection.first(sql, vec![place(id, 0).into(), place(id + 1, 0).into()])?;
        let next_part = last.map(|r| r.int(0)).transpose()?.map_or(0, |last| of_place(last).1 + 1);
        Ok(Chain { id, name, head, next_part })
    }
}

/// The end of a chain.
pub(crate) fn head(connection: &mut Connection, id: i64) -> Attempt<Head> {
    let sql = "SELECT place, hash, at_us FROM audit WHERE place >= $1 AND place < $2 ORDER BY place DESC LIMIT 1";
    match connection.first(sql, vec![place(id, 0).into(), place(id + 1, 0).into()])? {
        None => Ok(Head::default()),
        Some(row) => Ok(Head { seq: of_place(row.int(0)?).1, hash: row.bytes(1)?, at_us: row.int(2)? }),
    }
}
