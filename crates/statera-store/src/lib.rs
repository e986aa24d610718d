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
pub mod alert;
mod backup;
mod bundles;
mod cases;
mod check;
mod claim;
mod keys;
pub mod ledger;
mod locked;
pub mod people;
mod read;
pub mod record;
pub mod registry;
pub mod retention;
mod rules;
mod sql;
mod state;
mod store;
mod tender;
mod vault;
mod writer;

pub use backup::{BackedUp, Restored, copy_keys, restore};
pub use bundles::{BundleFailure, ObjectStore, SharedBundles};
pub use claim::Claim;
pub use keys::{CHECKPOINT_PUBLIC, KEYS};

use crate::act::{Act, Acted, Actor};
use crate::alert::{Case, CaseCounts, CaseQuery, Cases, Neighbour, Suspect};
use crate::ledger::{AuditRow, LedgerRecord};
use crate::people::{ApiKey, NewSession, Person, Session};
use crate::record::{Done, Id, NewRecord, RecordHead, RequestName, StoredRecord};
use crate::registry::Registry;
use crate::retention::LastRetain;
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A folder (SQLite, the default) or `postgres://…`.
    pub address: String,
    /// Where bundles, checkpoints and key files lie; for SQLite the folder of the address. Processes that share a PostgreSQL
    /// database share this folder too, or have the same key files and share an object store.
    pub folder: PathBuf,
    /// Records that wait for the writer at most; one more is `Busy`.
    pub queue: usize,
    /// Rows between signed checkpoints, and seconds between them while rows come.
    pub checkpoint_every: (u64, u64),
    /// Microseconds since 1970 UTC.
    pub clock: fn() -> i64,
    /// Where bundles lie if not in the folder alone, which is then their cache.
    pub objects: Option<Arc<dyn ObjectStore>>,
    /// For tests, and reached by no setting: while true, SQLite refuses room to what is written, as on a full disk.
    pub full: Arc<AtomicBool>,
}

/// Refuses what was meant as something else than the folder of that name.
fn check_address(address: &str) -> Result<()> {
    let told = |shown: &str, what: &str| {
        let allowed = "a folder, or postgres://USER@HOST/DATABASE";
        Err(Error::request(format!("the store «{shown}» {what}; allowed is {allowed}")))
    };
    let (path, is_postgres) = (Path::new(address), sql::is_postgres(address));
    // As slips of the pen and of drivers that other programs use are, also in capitals.
    let lower = address.to_ascii_lowercase();
    let is_like = ["postgres:", "postgresql:"].iter().any(|scheme| lower.starts_with(scheme));
    match address {
        _ if address.trim().is_empty() => told(address, "has no name"),
        _ if !is_postgres && (is_like || address.contains("://")) => {
            told(&without_secrets(address), "is no address of PostgreSQL")
        }
        _ if !is_postgres && path.is_file() => told(address, "is a file"),
        _ => Ok(()),
    }
}

/// An address as it may be told: without who signs in and the password, up to the last @, and without parameters, which may be
/// another.
fn without_secrets(address: &str) -> String {
    let scheme = match (address.find("://"), address.find(':')) {
        (Some(at), _) => &address[..at + "://".len()],
        (None, Some(at)) => &address[..=at],
        (None, None) => "",
    };
    // An @ before the first colon is in the secret of an address without a scheme.
    let (scheme, rest) = if scheme.contains('@') { ("", address) } else { (scheme, &address[scheme.len()..]) };
    let (hidden, place) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("…@", place));
    let (place, parameters) = place.split_once('?').map_or((place, ""), |(place, _)| (place, "?…"));
    format!("{scheme}{hidden}{place}{parameters}")
}

impl StoreOptions {
    /// The usual options for an address. `folder` is needed for PostgreSQL only.
    ///
    /// # Errors
    /// An address that is neither a folder's nor PostgreSQL's; a folder beside a folder; PostgreSQL without one.
    pub fn at(address: &str, folder: Option<&Path>) -> Result<StoreOptions> {
        check_address(address)?;
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
            objects: None,
            full: Arc::default(),
        })
    }
}

/// Microseconds since 1970 UTC by the machine's clock.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// How what is told of a database that is away begins, before a colon and the reason.
pub const AWAY: &str = "the database does not answer";
/// The same of one that has too much to do.
pub const BUSY: &str = "the database is busy";
/// How it ends where the change was not made.
pub const NOT_WRITTEN: &str = "; nothing was written";
/// How it ends where nobody knows whether it was.
pub const IN_DOUBT: &str = "; whether it was written is not known";

/// Opens a store, and makes or migrates it where needed.
///
/// # Errors
/// A folder that cannot be written, a database that does not answer, one of a newer version that this program must not
/// write to, key files that others may read or that are not the store's, a ledger that ends before its last checkpoint.
pub fn open(options: &StoreOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(store::open(options)?))
}

/// Opens a store that exists: nothing is made where there is none.
///
/// # Errors
/// A place without a store, and as [`open`].
pub fn open_existing(options: &StoreOptions) -> Result<Arc<dyn Store>> {
    store::refuse_absent(options)?;
    open(options)
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

    /// As [`Store::submit`], of what was counted already and cannot be taken back: it still finds room where others do not, so
    /// that as many again may wait.
    ///
    /// # Errors
    /// As [`Store::submit`].
    fn submit_counted(&self, record: NewRecord, done: Done) -> Result<()> {
        self.submit(record, done)
    }

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

    /// Records of every kind without their parts, whose names are not before `from` and before `until`, the newest name first,
    /// at most `limit` (and never more than 10,000, and fewer of large batches; none only if there is none). Names rise with
    /// time ([`Id::first_at`]), so that this is a window, which is read page by page with the last name of a page as the next
    /// `until`.
    ///
    /// # Errors
    /// As the trait says.
    fn record_heads(&self, from: Id, until: Id, limit: usize) -> Result<Vec<RecordHead>>;

    /// The same of what follows decisions whose names are not before `from`, whenever it was recorded: those of the newest
    /// decision first, of each the newest name first. Only what comes, in this order, after the decision and the record of
    /// `before`: for a first page a decision that is wanted no more and [`Id::first_at`] of 0, then what the last record of a
    /// page follows and its name.
    ///
    /// # Errors
    /// As the trait says.
    fn following_heads(&self, from: Id, before: (Id, Id), limit: usize) -> Result<Vec<RecordHead>>;

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
    /// A disk that is full or files that cannot be read, an object store that does not take it; nothing half-copied stays.
    fn put_bundle(&self, digest: &str, from: &Path) -> Result<PathBuf>;

    /// Where a bundle lies. One that only the object store has is brought first, which may block for as long as that takes.
    ///
    /// # Errors
    /// `NotFound`; as [`ObjectStore::fetch`].
    fn bundle(&self, digest: &str) -> Result<PathBuf>;

    /// Where a bundle lies that is here already; one that only the object store has is not brought.
    ///
    /// # Errors
    /// `NotFound`.
    fn bundle_here(&self, digest: &str) -> Result<PathBuf> {
        self.bundle(digest)
    }

    /// Puts the bundles of the registry's versions that this folder has and the object store has not there: those of the time
    /// before there was one. A bundle that fails is told in what it gives, and keeps no other from it; an object store that
    /// does not answer ends it. A store without an object store has nothing to do.
    ///
    /// # Errors
    /// A registry that cannot be read.
    fn share_bundles(&self) -> Result<SharedBundles> {
        Ok(SharedBundles::default())
    }

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

    /// The record that a request's name was given for, whatever its body was.
    ///
    /// # Errors
    /// As the trait says.
    fn named(&self, scope: &str, name: &str) -> Result<Option<Id>>;

    /// The number of the last row of each chain, by the chain's name.
    ///
    /// # Errors
    /// As the trait says.
    fn ledger_ends(&self) -> Result<BTreeMap<String, u64>>;

    /// Takes the exclusive right to do `what`, which one process may do at a time, until the claim is dropped or the process
    /// ends.
    ///
    /// # Errors
    /// `Busy` if another process has it.
    fn claim(&self, what: &str) -> Result<Claim>;

    /// A key for files beside the store that hold personal data; the same for a purpose as long as the master key is.
    fn file_key(&self, purpose: &str) -> Zeroizing<[u8; 32]>;

    /// Records that [`Store::submit`] would still take now.
    fn room(&self) -> usize;

    /// Names of the chains: one for each process that ever wrote.
    ///
    /// # Errors
    /// As the trait says.
    fn chains(&self) -> Result<Vec<String>>;

    /// Cases of suspicious decisions.
    ///
    /// # Errors
    /// As the trait says.
    fn cases(&self, query: &CaseQuery<'_>) -> Result<Cases>;

    /// A case with its decisions in the order in which they were recorded, at most [`alert::SUSPECTS_MAX`]: those that wait for
    /// an answer before the others, and of both the last.
    ///
    /// # Errors
    /// `NotFound`.
    fn case(&self, id: Id) -> Result<(Case, Vec<Suspect>)>;

    /// Other cases that share keys with one, open or confirmed, at most `limit`: those that share the most first.
    ///
    /// # Errors
    /// As the trait says.
    fn neighbours(&self, id: Id, limit: usize) -> Result<Vec<Neighbour>>;

    /// How many cases wait whose last decision is not older than `kept_us`, and what became of cases since `since_us`.
    ///
    /// # Errors
    /// As the trait says.
    fn case_counts(&self, kept_us: i64, since_us: i64) -> Result<CaseCounts>;

    /// Records that hold something of a subject, recorded since a time, the latest first, at most `limit`.
    ///
    /// # Errors
    /// As the trait says.
    fn heads_of(&self, subject: &str, since_us: i64, limit: usize) -> Result<Vec<LedgerRecord>>;

    /// Destroys a subject's key: its parts can never be read again, the chain still verifies; its cases are forgotten. Gives how
    /// many parts there were.
    ///
    /// # Errors
    /// `NotFound` if nothing is kept of the subject.
    fn erase(&self, actor: &Actor, subject: &str, why: &str) -> Result<u64>;

    /// Destroys every key whose 30 days had ended at a time, so that what was recorded before can never be read again: at
    /// the latest 30 days after it could have been. Gives how many keys there were. A batch is a transaction with its row of the
    /// ledger, and decisions are written between batches; several processes may do it at once, and each key is destroyed by one.
    ///
    /// # Errors
    /// `Request` for a time that has not passed; as the trait says, after batches that are done.
    fn retain(&self, actor: &Actor, before_us: i64, why: &str) -> Result<u64>;

    /// The last [`Store::retain`]; none of a store where there was none yet, or that does not say.
    ///
    /// # Errors
    /// As the trait says.
    fn last_retain(&self) -> Result<Option<LastRetain>> {
        Ok(None)
    }

    /// A copy of everything but the secret keys (database as an SQLite file, bundles, checkpoints) in a new folder, taken
    /// while running; [`restore`] makes a store of it, and [`ledger::verify`] reads it as it is. Bundles that the object store
    /// does not give are named in what it gives: the rest must not be without a backup for their sake.
    ///
    /// # Errors
    /// A folder that exists; a disk that is full: nothing half-written stays.
    fn backup(&self, to: &Path) -> Result<BackedUp>;

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

    /// Why nothing that is written is taken now, in words that name no place; none where it is, and the database answers within a
    /// second: for readiness.
    fn unready(&self) -> Option<&'static str>;

    /// True where nothing keeps the store from taking what is written.
    fn is_ready(&self) -> bool {
        self.unready().is_none()
    }

    /// Lets nothing more in, writes what waits, and signs the last checkpoint; returns when that is done. From then on what is to
    /// be written is `Busy`. The same happens when the last owner goes: this is for the end of a process in which a thread that
    /// waits for something else may still be one.
    fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_of_a_store_is_refused() {
        let allowed = "allowed is a folder, or postgres://USER@HOST/DATABASE";
        let check = |address: &str, what: &str| {
            let told = StoreOptions::at(address, None).expect_err("refused");
            assert!(told.is_request());
            assert_eq!(told.to_string(), format!("the store «{address}» {what}; {allowed}"));
        };
        check("", "has no name");
        check(" ", "has no name");
        check("postgres:/bank", "is no address of PostgreSQL");
        check("postgresql:bank", "is no address of PostgreSQL");
        check("sqlite://store", "is no address of PostgreSQL");
        check("http://db/bank", "is no address of PostgreSQL");
        for (address, shown) in [
            ("postgresql+psycopg://bank:secret@db/bank", "postgresql+psycopg://…@db/bank"),
            ("postgres:/bank:secret@db", "postgres:…@db"),
            ("postgres:bank:se@cret@db:5432/bank", "postgres:…@db:5432/bank"),
            ("POSTGRES://bank:secret@db/bank", "POSTGRES://…@db/bank"),
            ("http://bank:secret://secret@db/bank?password=secret", "http://…@db/bank?…"),
            ("http://db/bank?user=bank&password=secret", "http://db/bank?…"),
            ("http://db/bank?password=secret@", "http://…@"),
            ("bank:secret@://db/bank", "…@://db/bank"),
        ] {
            let told = StoreOptions::at(address, None).expect_err("refused").to_string();
            assert_eq!(told, format!("the store «{shown}» is no address of PostgreSQL; {allowed}"));
            assert!(!told.contains("cret"), "{told}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.sqlite");
        std::fs::write(&file, "").expect("written");
        check(&file.display().to_string(), "is a file");
        for place in [folder.path(), &folder.path().join("new")] {
            assert!(StoreOptions::at(&place.display().to_string(), None).is_ok(), "{}", place.display());
        }
        assert!(StoreOptions::at("postgres://bank@127.0.0.1/bank", Some(folder.path())).is_ok());
    }
}
