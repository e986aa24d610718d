//! What a bank keeps of its decisions: models and who approved them, decisions and what became of them, people and their
//! keys, and a ledger in which no row can be changed, dropped or reordered unseen.
//!
//! One [`Store`] trait with two implementations under the same battery of tests: SQLite in a folder of its own (the
//! default), PostgreSQL where several processes serve. The interface is synchronous; databases run on a runtime of the
//! store's own. Invariants: whatever is acknowledged is on disk; everything that people do is a row of the ledger, written
//! in the transaction that does it; personal data lie only in parts, encrypted under a key per subject.
//! Deliberately absent: HTTP, scoring, and who may do what beyond the rule of two persons (the server knows the roles).

#![forbid(unsafe_code)]

pub mod act;
mod backup;
mod bundles;
mod check;
mod keys;
pub mod ledger;
pub mod people;
mod read;
pub mod record;
pub mod registry;
mod rules;
mod sql;
mod state;
mod store;
mod tender;
mod vault;
mod writer;

pub use backup::{Restored, copy_keys, restore};
pub use keys::{CHECKPOINT_PUBLIC, KEYS};

use crate::act::{Act, Acted, Actor};
use crate::ledger::AuditRow;
use crate::people::{ApiKey, NewSession, Person, Session};
use crate::record::{Done, Id, NewRecord, RequestName, StoredRecord};
use crate::registry::Registry;
use statera_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A folder (SQLite, the default) or `postgres://…`.
    pub address: String,
    /// Where bundles, checkpoints and key files lie; for SQLite the folder of the address. Processes that share a PostgreSQL
    /// database share this folder too, or one has a copy of the other's key files.
    pub folder: PathBuf,
    /// Records that wait for the writer at most; one more is `Busy`.
    pub queue: usize,
    /// Rows between signed checkpoints, and seconds between them while rows come.
    pub checkpoint_every: (u64, u64),
    /// Microseconds since 1970 UTC.
    pub clock: fn() -> i64,
}

impl StoreOptions {
    /// The usual options for an address. `folder` is needed for PostgreSQL only.
    ///
    /// # Errors
    /// A folder beside a folder; PostgreSQL without one.
    pub fn at(address: &str, folder: Option<&Path>) -> Result<StoreOptions> {
        let folder = match (sql::is_postgres(address), folder) {
            (true, Some(folder)) => folder.into(),
            (false, None) => PathBuf::from(address),
            (true, None) => {
                return Err(Error::request("a PostgreSQL store needs a folder for its bundles, checkpoints and keys"));
            }
            (false, Some(folder)) if folder == Path::new(address) => folder.into(),
            (false, Some(folder)) => {
                let folder = folder.display();
                return Err(Error::request(format!("the store is the folder {address}; {folder} is one too many")));
            }
        };
        Ok(StoreOptions {
            address: address.into(),
            folder,
            queue: 8192,
            checkpoint_every: (100_000, 60),
            clock: now_us,
        })
    }
}

/// Microseconds since 1970 UTC by the machine's clock.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Opens a store, and makes or migrates it where needed.
///
/// # Errors
/// A folder that cannot be written, a database that does not answer, one of a newer version that this program must not
/// write to, key files that others may read or that are not the store's, a ledger that ends before its last checkpoint.
pub fn open(options: &StoreOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(store::open(options)?))
}

/// Is told how long a commit took; it must not block.
pub type CommitTimer = Box<dyn Fn(Duration) + Send + Sync>;

/// Where the writer is with the callbacks of a group of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// They are about to be called, one after the other.
    Begins,
    /// All were called.
    Ends,
}

/// Who is told of groups; must not block.
pub type GroupListener = Box<dyn Fn(Group) + Send + Sync>;

/// What `statera serve` and the auditor's commands need kept.
///
/// Errors of every call: [`statera_core::ErrorKind::Busy`] if the database does not answer or a queue is full (the same call
/// may succeed later, and nothing was written), `NotFound`, `Conflict` and `Denied` as the calls say, `Damaged` if what is
/// stored cannot be right.
pub trait Store: Send + Sync {
    /// Hands a record to the writer, which commits all waiting ones in one transaction, each with its row of the ledger, and
    /// calls `done` after the commit is on disk. Never blocks.
    ///
    /// # Errors
    /// `Busy` at once if the writer's bounded queue is full; `done` is then not called. To `done`: `Conflict` if the request's
    /// name was used for another body; `Busy` if the database went away (nothing of the record was written).
    fn submit(&self, record: NewRecord, done: Done) -> Result<()>;

    /// A record with its parts, decrypted where their subjects' keys still exist.
    ///
    /// # Errors
    /// `NotFound`.
    fn record(&self, id: Id) -> Result<StoredRecord>;

    /// What a request recorded when it was made before; none if nothing is recorded under its name.
    ///
    /// # Errors
    /// `Conflict` if the request's name was used for another body.
    fn request(&self, request: &RequestName) -> Result<Option<StoredRecord>>;

    /// What was recorded of a decision later: overrides, objections, outcomes; in the order of time, at most `limit`.
    ///
    /// # Errors
    /// As the trait says.
    fn records_of(&self, id: Id, limit: usize) -> Result<Vec<StoredRecord>>;

    /// Everything of models: one consistent view.
    ///
    /// # Errors
    /// As the trait says.
    fn registry(&self) -> Result<Registry>;

    /// Rises with every change of the registry by any process; cheap, for polling.
    ///
    /// # Errors
    /// As the trait says.
    fn registry_revision(&self) -> Result<u64>;

    /// Does what a person (or the system) does, with its row of the ledger, in one transaction.
    ///
    /// # Errors
    /// `Denied` by the rule of two persons, `Conflict` (a closed proposal, a name that is taken), `NotFound`, `Request`
    /// (a name that is not allowed).
    fn act(&self, actor: &Actor, act: Act) -> Result<Acted>;

    /// Copies a bundle (a folder or a .zip, already checked) into the store under its digest; create-only, so that a digest
    /// that exists stays as it is. Gives the folder or .zip to read it from.
    ///
    /// # Errors
    /// A disk that is full or files that cannot be read; nothing half-copied stays.
    fn put_bundle(&self, digest: &str, from: &Path) -> Result<PathBuf>;

    /// Where a bundle lies.
    ///
    /// # Errors
    /// `NotFound`.
    fn bundle(&self, digest: &str) -> Result<PathBuf>;

    /// A person by name.
    ///
    /// # Errors
    /// `NotFound`.
    fn person(&self, name: &str) -> Result<Person>;

    /// All people, by name.
    ///
    /// # Errors
    /// As the trait says.
    fn people(&self) -> Result<Vec<Person>>;

    /// An API key by its prefix.
    ///
    /// # Errors
    /// `NotFound`.
    fn api_key(&self, prefix: &str) -> Result<ApiKey>;

    /// All API keys, by prefix.
    ///
    /// # Errors
    /// As the trait says.
    fn api_keys(&self) -> Result<Vec<ApiKey>>;

    /// Keeps a session; only a digest of its secret is given to the store.
    ///
    /// # Errors
    /// As the trait says.
    fn open_session(&self, session: NewSession) -> Result<()>;

    /// A session by the digest of its secret; expired ones are not found.
    ///
    /// # Errors
    /// `NotFound`.
    fn session(&self, secret_digest: &[u8; 32]) -> Result<Session>;

    /// Ends a session, or every session of a person.
    ///
    /// # Errors
    /// As the trait says.
    fn close_sessions(&self, which: people::Sessions<'_>) -> Result<()>;

    /// Rows of the ledger after a place in a chain, at most `limit`.
    ///
    /// # Errors
    /// As the trait says.
    fn audit_rows(&self, chain: &str, after: u64, limit: usize) -> Result<Vec<AuditRow>>;

    /// Names of the chains: one for each process that ever wrote.
    ///
    /// # Errors
    /// As the trait says.
    fn chains(&self) -> Result<Vec<String>>;

    /// Destroys a subject's key: its parts can never be read again, the chain still verifies. Gives how many parts there were.
    ///
    /// # Errors
    /// `NotFound` if nothing is kept of the subject.
    fn erase(&self, actor: &Actor, subject: &str, why: &str) -> Result<u64>;

    /// Destroys every key whose 30 days had ended at a time, so that what was recorded before can never be read again: at
    /// the latest 30 days after it could have been. Gives how many keys there were.
    ///
    /// # Errors
    /// As the trait says.
    fn retain(&self, actor: &Actor, before_us: i64, why: &str) -> Result<u64>;

    /// A copy of everything but the secret keys (database as an SQLite file, bundles, checkpoints) in a new folder, taken
    /// while running; [`restore`] makes a store of it, and [`ledger::verify`] reads it as it is.
    ///
    /// # Errors
    /// A folder that exists; a disk that is full: nothing half-written stays.
    fn backup(&self, to: &Path) -> Result<()>;

    /// Has `timer` told, on the writer's thread, how long the database takes for each commit until it is on disk; only the
    /// first call counts. A store that has no disk tells nothing.
    fn time_commits(&self, timer: CommitTimer) {
        drop(timer);
    }

    /// Has `listener` told, on the writer's thread, when the callbacks of a group of records are about to be called and when
    /// all were, so that what they leave can be handed on at once; only the first call counts. A store that calls each as it
    /// comes tells nothing.
    fn announce_groups(&self, listener: GroupListener) {
        drop(listener);
    }

    /// True if the database answers within a second: for readiness.
    fn is_ready(&self) -> bool;
}
