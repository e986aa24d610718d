//! The one implementation of [`Store`], over either database.

use crate::act::{Act, Acted, Actor};
use crate::alert::{Case, CaseCounts, CaseQuery, Cases, Neighbour, Suspect};
use crate::bundles::Bundles;
use crate::keys::{self, MASTER};
use crate::ledger::checkpoint::{FILE as CHECKPOINTS, Notary};
use crate::ledger::{AuditRow, LedgerRecord};
use crate::locked::Locked;
use crate::people::{ApiKey, NewSession, Person, Session, Sessions};
use crate::record::{Done, Id, NewRecord, RecordHead, RequestName, StoredRecord};
use crate::registry::Registry;
use crate::retention::LastRetain;
use crate::sql::migrate::{MIGRATIONS, has_tables, meta, meta_int, migrate};
use crate::sql::readers::Readers;
use crate::sql::{self, Attempt, Connection, Database, Failure, Use, Value};
use crate::tender::{self, RESTART_PAGES, Signals, Tender, refuse_cut};
use crate::vault::Vault;
use crate::writer::chain::Lock;
use crate::writer::erase::{self, Search};
use crate::writer::queue::{Queue, Room};
use crate::writer::sessions::Which;
use crate::writer::{self, Writer};
use crate::{
    AWAY, BUSY, BackedUp, Claim, CommitTimer, GroupListener, NOT_WRITTEN, SharedBundles, Store, StoreOptions, backup,
    cases, check, claim, read, state,
};
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long another process may take to make or change the tables.
const MIGRATION_LIMIT: Duration = Duration::from_secs(30);
/// Between two batches of what is erased by age, at most: as long as a batch took, unless that was very long.
const RETAIN_PAUSE: Duration = Duration::from_secs(5);
/// How long the database may take to answer for readiness.
const READY_LIMIT: Duration = Duration::from_secs(1);

/// An open store.
pub(crate) struct OpenStore {
    folder: PathBuf,
    bundles: Bundles,
    database: Arc<Database>,
    readers: Readers,
    queue: Arc<Queue>,
    signals: Arc<Signals>,
    vault: Arc<Vault>,
    clock: fn() -> i64,
    /// The writer and the tender, in the order in which they end.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Opens a store, and makes or migrates it where needed.
pub(crate) fn open(options: &StoreOptions) -> Result<OpenStore> {
    open_with(options, RESTART_PAGES)
}

/// The same, whose log begins anew beyond so many pages.
pub(crate) fn open_with(options: &StoreOptions, restart_pages: i64) -> Result<OpenStore> {
    let folder = &options.folder;
    keys::make_folder(folder).map_err(|e| Error::io(format!("{}: {e}", folder.display())))?;
    let database = Arc::new(Database::at(&options.address)?.filled_by(options.full.clone()));
    let label = database.label();
    refuse_lost(&database, folder)?;
    let mut connection = database.connect(Use::Create)?;
    {
        let _alone = lock_migration(folder)?;
        migrate(&mut connection, MIGRATIONS.len()).map_err(|e| e.at(&label))?;
    }
    let vault = Arc::new(open_vault(&mut connection, folder, &label)?);
    let notary = Notary::open(folder)?;
    let is_unsigned = refuse_cut(&mut connection, &notary, &label)?;
    let chain = Lock::first_free(&mut connection, folder)?;
    let queue = Arc::new(Queue::new(options.queue));
    let (n_rows, seconds) = options.checkpoint_every;
    let signals = Arc::new(Signals::new(n_rows));
    if is_unsigned {
        signals.written(1, 0);
    }
    let (clock, every) = (options.clock, Duration::from_secs(seconds.max(1)));
    let tender = Tender { database: database.clone(), notary, signals: signals.clone(), every, restart_pages, clock };
    let writer = Writer::new(database.clone(), connection, chain, vault.clone(), clock, queue.clone(), signals.clone());
    let failed = |e: std::io::Error| Error::io(format!("the store's threads: {e}"));
    // The tender first, so that the writer has it to wake from its first row on.
    let tender = tender::start(tender).map_err(failed)?;
    let writer = writer::start(writer).map_err(|e| {
        signals.finish();
        failed(e)
    })?;
    let threads = Mutex::new(vec![writer, tender]);
    let readers = Readers::new(database.clone());
    let bundles = Bundles::of(folder, options.objects.clone());
    Ok(OpenStore { folder: folder.clone(), bundles, database, readers, queue, signals, vault, clock, threads })
}

/// Refuses to make a file anew where one is missing: what was written with it is there, and the rows that its log has would
/// be dropped.
fn refuse_lost(database: &Database, folder: &Path) -> Result<()> {
    let Some(path) = database.path().filter(|path| !path.exists()) else { return Ok(()) };
    let left = [sql::log_of(path), folder.join(CHECKPOINTS)].into_iter().find(|file| file.exists());
    match left {
        None => Ok(()),
        Some(left) => Err(Error::io(format!(
            "{} is missing, and {} was written with it; put the file back, restore a backup into another folder, or move what \
             is left of {} away to begin a new store",
            path.display(),
            left.display(),
            folder.display()
        ))),
    }
}

/// Refuses a place without a store: whoever works on one that exists would otherwise make another by a slip of the pen.
///
/// # Errors
/// A place where no store is; a database that does not answer.
pub(crate) fn refuse_absent(options: &StoreOptions) -> Result<()> {
    let database = Database::at(&options.address)?;
    let is_there = match database.path() {
        Some(path) => path.is_file(),
        None => has_tables(&mut database.connect(Use::Read)?)?,
    };
    if is_there {
        return Ok(());
    }
    let label = database.label();
    Err(Error::request(match database.path() {
        Some(_) => format!("{label} is not there; name the folder of a store that `statera serve` made"),
        None => format!("{label} holds no store; name one that `statera serve` made"),
    }))
}

/// SQLite's migrations do not wait for each other by themselves.
fn lock_migration(folder: &Path) -> Result<Locked> {
    let path = folder.join("migration.lock");
    let end = Instant::now() + MIGRATION_LIMIT;
    loop {
        match Locked::take(&path)? {
            Some(locked) => return Ok(locked),
            None if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            None => return Err(Error::busy(format!("{}: another process is changing the tables", path.display()))),
        }
    }
}

/// The vault of the master key, which is made at the first start and never replaced.
fn open_vault(connection: &mut Connection, folder: &Path, label: &str) -> Result<Vault> {
    let path = keys::folder(folder)?.join(MASTER);
    let known = meta(connection, "key_check")?;
    let master = match (keys::read(&path)?, &known) {
        (Some(key), _) => key,
        (None, Some(_)) => {
            return Err(Error::io(format!(
                "{} is missing, and the payloads of {label} cannot be read or written without it; copy it back",
                path.display()
            )));
        }
        (None, None) => {
            let key = keys::random()?;
            keys::write(&path, &key, true)?;
            key
        }
    };
    let vault = Vault::new(&master);
    let sql = "INSERT INTO meta (name, value) VALUES ('key_check', $1) ON CONFLICT (name) DO NOTHING";
    connection.execute(sql, vec![vault.check.as_str().into()])?;
    // Another process with another key may have been first.
    if meta(connection, "key_check")?.as_deref() != Some(vault.check.as_str()) {
        return Err(Error::request(format!(
            "{} is not the master key of {label}; copy the one that it was made with",
            path.display()
        )));
    }
    Ok(vault)
}

impl OpenStore {
    /// Lets the writer do something, and waits for it.
    fn on_writer<T: Send + 'static>(&self, work: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static) -> Result<T> {
        let (answer, done) = mpsc::sync_channel(1);
        self.queue.push_deed(Box::new(move |writer| {
            let _ = answer.send(work(writer));
        }))?;
        done.recv().unwrap_or_else(|_| Err(Error::busy(format!("{AWAY}{NOT_WRITTEN}"))))
    }

    /// A record as the writer takes it.
    fn checked(&self, mut record: NewRecord) -> Result<NewRecord> {
        check::record(&record)?;
        if let Some(request) = &mut record.request {
            request.body_digest = self.vault.request(&request.body_digest);
        }
        Ok(record)
    }

    /// Has what was destroyed leave the files, too, as far as that is possible now; the keys are gone whether or not it is.
    fn forget_old_pages(&self) {
        let _ = erase::forget_old_pages(&self.database);
        let _ = self.on_writer(|writer| {
            writer.empty_log();
            Ok(())
        });
    }

    fn read<T>(&self, read: impl FnMut(&mut Connection) -> Attempt<T>) -> Result<T> {
        self.readers.with(read).map_err(Error::from)
    }
}

/// Leaves decisions as long again as a batch took.
fn pause_after(started: Instant) {
    thread::sleep(started.elapsed().min(RETAIN_PAUSE));
}

impl Store for OpenStore {
    fn submit(&self, record: NewRecord, done: Done) -> Result<()> {
        self.queue.push_record(self.checked(record)?, done, Room::Open)
    }

    fn submit_counted(&self, record: NewRecord, done: Done) -> Result<()> {
        self.queue.push_record(self.checked(record)?, done, Room::Kept)
    }

    fn record(&self, id: Id) -> Result<StoredRecord> {
        self.read(|c| read::record(c, &self.vault, id))
    }

    fn request(&self, request: &RequestName) -> Result<Option<StoredRecord>> {
        self.read(|c| read::request(c, &self.vault, request))
    }

    fn records_of(&self, id: Id, limit: usize) -> Result<Vec<StoredRecord>> {
        self.read(|c| read::records_of(c, &self.vault, id, limit))
    }

    fn record_heads(&self, from: Id, until: Id, limit: usize) -> Result<Vec<RecordHead>> {
        self.read(|c| read::record_heads(c, from, until, limit))
    }

    fn following_heads(&self, from: Id, before: (Id, Id), limit: usize) -> Result<Vec<RecordHead>> {
        self.read(|c| read::following_heads(c, from, before, limit))
    }

    fn registry(&self) -> Result<Registry> {
        self.read(|c| c.snapshot(|c| state::load_registry(c, false)))
    }

    fn registry_revision(&self) -> Result<u64> {
        self.read(|c| meta_int(c, "revision")).map(|r| r as u64)
    }

    fn act(&self, actor: &Actor, act: Act) -> Result<Acted> {
        if let Act::AddVersion { digest, .. } = &act {
            self.bundles.find(digest)?;
        }
        let actor = actor.clone();
        self.on_writer(move |writer| writer.act(&actor, &act))
    }

    fn put_bundle(&self, digest: &str, from: &Path) -> Result<PathBuf> {
        self.bundles.put(digest, from)
    }

    fn bundle(&self, digest: &str) -> Result<PathBuf> {
        self.bundles.find(digest)
    }

    fn bundle_here(&self, digest: &str) -> Result<PathBuf> {
        self.bundles.find_here(digest)
    }

    fn share_bundles(&self) -> Result<SharedBundles> {
        let registry = self.registry()?;
        let versions = registry.models.values().flat_map(|model| &model.versions);
        Ok(self.bundles.share(versions.map(|version| version.digest.clone()).collect()))
    }

    fn person(&self, name: &str) -> Result<Person> {
        let found = self.read(|c| state::load_persons(c, Some(name)))?.pop();
        found.ok_or_else(|| Error::not_found("there is no person of that name"))
    }

    fn people(&self) -> Result<Vec<Person>> {
        self.read(|c| state::load_persons(c, None))
    }

    fn api_key(&self, prefix: &str) -> Result<ApiKey> {
        let found = self.read(|c| state::load_keys(c, Some(prefix)))?.pop();
        found.ok_or_else(|| Error::not_found("there is no key of that prefix"))
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>> {
        self.read(|c| state::load_keys(c, None))
    }

    fn open_session(&self, session: NewSession) -> Result<()> {
        self.on_writer(move |writer| writer.open_session(&session))
    }

    fn session(&self, secret_digest: &[u8; 32]) -> Result<Session> {
        let now = (self.clock)();
        let sql = "SELECT person, at_us, expires_us FROM session WHERE secret_digest = $1 AND expires_us > $2";
        let row = self.read(|c| {
            let row = c.first(sql, vec![Value::from(secret_digest), now.into()])?;
            row.map(|r| Ok(Session { person: r.text(0)?, at_us: r.int(1)?, expires_us: r.int(2)? })).transpose()
        })?;
        row.ok_or_else(|| Error::not_found("there is no such session, or it has expired"))
    }

    fn close_sessions(&self, which: Sessions<'_>) -> Result<()> {
        let which = Which::from(which);
        self.on_writer(move |writer| writer.close_sessions(&which))
    }

    fn audit_rows(&self, chain: &str, after: u64, limit: usize) -> Result<Vec<AuditRow>> {
        self.read(|c| read::audit_rows(c, chain, after, limit))
    }

    fn named(&self, scope: &str, name: &str) -> Result<Option<Id>> {
        self.read(|c| read::named(c, scope, name))
    }

    fn ledger_ends(&self) -> Result<BTreeMap<String, u64>> {
        self.read(read::ledger_ends)
    }

    fn claim(&self, what: &str) -> Result<Claim> {
        claim::claim(&self.database, &self.folder, what)
    }

    fn file_key(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        self.vault.file_key(purpose)
    }

    fn room(&self) -> usize {
        self.queue.room()
    }

    fn chains(&self) -> Result<Vec<String>> {
        self.read(read::chains)
    }

    fn cases(&self, query: &CaseQuery<'_>) -> Result<Cases> {
        self.read(|c| c.snapshot(|c| cases::cases(c, query)))
    }

    fn case(&self, id: Id) -> Result<(Case, Vec<Suspect>)> {
        self.read(|c| c.snapshot(|c| cases::one(c, id)))
    }

    fn neighbours(&self, id: Id, limit: usize) -> Result<Vec<Neighbour>> {
        self.read(|c| cases::neighbours(c, id, limit))
    }

    fn case_counts(&self, kept_us: i64, since_us: i64) -> Result<CaseCounts> {
        self.read(|c| cases::counts(c, kept_us, since_us))
    }

    fn heads_of(&self, subject: &str, since_us: i64, limit: usize) -> Result<Vec<LedgerRecord>> {
        self.read(|c| cases::heads_of(c, &self.vault, subject, since_us, limit))
    }

    fn erase(&self, actor: &Actor, subject: &str, why: &str) -> Result<u64> {
        let (actor, subject, why) = (actor.clone(), subject.to_string(), why.to_string());
        let n_parts = self.on_writer(move |writer| writer.erase(&actor, &subject, &why))?;
        self.forget_old_pages();
        Ok(n_parts)
    }

    fn retain(&self, actor: &Actor, before_us: i64, why: &str) -> Result<u64> {
        if before_us > (self.clock)() {
            return Err(Error::request(
                "what is to be recorded yet cannot be too old; allowed is a time that has passed",
            ));
        }
        let (mut n_keys, mut search) = (0, Search::new(before_us));
        loop {
            let started = Instant::now();
            self.read(|c| search.look(c))?;
            if let Some(old) = search.take() {
                let (actor, why, is_last) = (actor.clone(), why.to_string(), old.is_last());
                n_keys += self.on_writer(move |writer| writer.retain(&actor, &old, &why))?;
                if is_last {
                    break;
                }
            }
            pause_after(started);
        }
        let mut has_forgotten = n_keys > 0;
        loop {
            let started = Instant::now();
            let old = self.read(|c| erase::old_cases(c, before_us))?;
            if old.is_empty() {
                break;
            }
            has_forgotten |= self.on_writer(move |writer| writer.forget_old_cases(&old))? > 0;
            pause_after(started);
        }
        if has_forgotten {
            self.forget_old_pages();
        }
        Ok(n_keys)
    }

    fn last_retain(&self) -> Result<Option<LastRetain>> {
        self.read(erase::last_retain)
    }

    fn backup(&self, to: &Path) -> Result<BackedUp> {
        backup::backup(&self.database, &self.folder, &self.bundles, to)
    }

    fn time_commits(&self, timer: CommitTimer) {
        self.signals.time_commits(timer);
    }

    fn announce_groups(&self, listener: GroupListener) {
        self.signals.announce_groups(listener);
    }

    fn unready(&self) -> Option<&'static str> {
        if self.queue.is_closed() {
            return Some("the store is being closed");
        }
        if !self.database.is_in_place() {
            // The writer finds it when it writes; nobody may ask a server that is not ready.
            let _ = self.queue.push_deed(Box::new(Writer::try_writing));
            return Some("a file of the database was moved, removed or replaced");
        }
        if self.signals.is_full() {
            return Some("the disk of the store is full");
        }
        if self.signals.trouble().is_some() {
            return Some("a checkpoint of the ledger cannot be written");
        }
        // Who knows it already need not wait for an answer that does not come.
        if self.queue.is_away() {
            return Some(AWAY);
        }
        let end = Instant::now() + READY_LIMIT;
        let answers = self.readers.until(end, |c| {
            let left = end.saturating_duration_since(Instant::now());
            c.limited(left, |c| c.first("SELECT value FROM meta WHERE name = 'turn'", Vec::new()))
        });
        match answers {
            Ok(Some(_)) if !self.queue.is_away() => None,
            Err(Failure::Again(_)) => Some(BUSY),
            _ => Some(AWAY),
        }
    }

    fn close(&self) {
        self.queue.close();
        // Nobody waits with the lock: whoever was called by the writer may come here, too.
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for (i, thread) in threads.into_iter().enumerate() {
            if i > 0 {
                self.signals.finish();
            }
            // Whoever was called last by the writer may hold the last reference; a thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
