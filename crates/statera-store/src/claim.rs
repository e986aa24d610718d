//! The exclusive right to do something that only one process may do at a time: it goes with the process.

use crate::keys;
use crate::locked::Locked;
use crate::sql::{Attempt, Connection, Database, Failure, Use};
use statera_core::{Error, Result};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// First half of PostgreSQL's advisory locks of claims; the second is of the name's hash.
const LOCK: i64 = 0x0057_A7EE;

/// How long the session of a claim may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// A claim that is held until it is dropped.
pub struct Claim {
    _file: Option<Locked>,
    /// The session that holds the lock of a database which other machines reach, too.
    session: Option<Mutex<Connection>>,
}

impl Claim {
    /// A claim that nobody contests: of a store that has no other process.
    pub fn free() -> Claim {
        Claim { _file: None, session: None }
    }

    /// False once the session that held it is over: another process may have it now.
    pub fn holds(&self) -> bool {
        let Some(session) = &self.session else { return true };
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        session.limited(LIMIT, |c| c.first("SELECT 1::bigint", Vec::new())).is_ok()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Whoever takes it next finds it free, also at once.
        if let Some(session) = &mut self.session {
            session.get_mut().unwrap_or_else(PoisonError::into_inner).unlock();
        }
    }
}

/// Takes a claim.
///
/// # Errors
/// `Busy` if another process has it.
pub(crate) fn claim(database: &Database, folder: &Path, what: &str) -> Result<Claim> {
    let digest = blake3::hash(what.as_bytes());
    let path = folder.join(format!("claim-{}.lock", keys::hex(&digest.as_bytes()[..8])));
    let taken = || Error::busy(format!("another process of this store has the right to {what}; only one may"));
    let file = Locked::take(&path)?.ok_or_else(taken)?;
    let session = if database.is_sqlite() { None } else { Some(lock_session(database, &digest)?.ok_or_else(taken)?) };
    Ok(Claim { _file: Some(file), session: session.map(Mutex::new) })
}

/// A session that has the lock; `None` if another has it.
fn lock_session(database: &Database, digest: &blake3::Hash) -> Attempt<Option<Connection>> {
    let mut connection = database.connect(Use::Read)?;
    let (first, _) = digest.as_bytes().split_at(4);
    // 31 bits, because PostgreSQL's second half is a signed whole number of 32.
    let second = first.iter().fold(0i64, |n, b| n << 8 | i64::from(*b)) & i64::from(i32::MAX);
    let sql = "SELECT CASE WHEN pg_try_advisory_lock($1::int, $2::int) THEN 1::bigint ELSE 0::bigint END";
    let row = connection.first(sql, vec![LOCK.into(), second.into()])?;
    let is_ours = row.map(|r| r.int(0)).transpose()?.ok_or_else(|| Failure::Away("no answer".into()))? == 1;
    Ok(is_ours.then_some(connection))
}
