//! One connection over two drivers: the statements are the same text, with `$1`, and everything above is written once.
//!
//! Synchronous: SQLite is called on the caller's thread, PostgreSQL's driver is driven by a runtime of the store's own. A
//! connection that broke, or whose server did not answer in time, says [`Failure::Away`] from then on and is replaced.

mod anchor;
pub(crate) mod failure;
mod index;
pub(crate) mod migrate;
pub(crate) mod readers;
pub(crate) mod sqlite;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod value;
pub(crate) mod wait;

pub(crate) use failure::{Attempt, Failure};
pub(crate) use value::{Row, Value};

use anchor::Anchor;
use index::{Index, index_of};
use sqlite::{PAGE_BYTES, Sqlite};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection as _, Executor};
use statera_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use table::Table;
use tokio::runtime::{Handle, Runtime};
use wait::wait;

/// How long PostgreSQL may take for one statement; beyond it the connection is given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take where much is read or written at once, as by a backup.
pub(crate) const BULK_LIMIT: Duration = Duration::from_secs(3600);
/// How long whoever closes a session waits until its locks are given back.
const UNLOCK_LIMIT: Duration = Duration::from_secs(1);
/// Rows of one inserting statement of SQLite; a statement for each number up to this is kept prepared.
const INSERT_ROWS: usize = 64;
/// Prepared statements of a writing connection: those, for each table that records fill, and some more.
const STATEMENTS: usize = 6 * INSERT_ROWS + 100;
/// What to do about a log that nobody who has the database open writes. Whatever lies beside the file is removed by the last process
/// that ends in order, once it has copied its own rows.
const ANOTHER_LOG: &str = "another log lies in its place, which is not this database's; keep a copy of the folder, then stop the \
                           servers, which save what they hold; remove nothing while one runs";
/// Name of the database's file in the store's folder.
pub(crate) const FILE: &str = "store.sqlite";

/// A database that can be connected to.
pub(crate) struct Database {
    place: Place,
    /// Drives PostgreSQL's sockets.
    runtime: Option<Runtime>,
    /// SQLite's file as it was when it was first opened for writing.
    anchor: OnceLock<Anchor>,
    /// SQLite's log as the store's writer has it open.
    log: Mutex<Option<Anchor>>,
    index: Arc<Index>,
    /// For tests: while true, SQLite refuses room.
    full: Arc<AtomicBool>,
}

enum Place {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Write,
    /// The same, and SQLite's file is made where there is none.
    Create,
    Read,
    /// Reads a copy that nothing may change, not even by opening it.
    Inspect,
}

impl Database {
    /// The database at an address: a folder, or `postgres://…`. Nothing is opened yet.
    pub(crate) fn at(address: &str) -> Result<Database> {
        if !is_postgres(address) {
            return Ok(Database::file(&Path::new(address).join(FILE)));
        }
        let options: PgConnectOptions = address.parse().map_err(|_| {
            Error::request(
                "the PostgreSQL address cannot be read; allowed is postgres://user:password@host:5432/database with special \
                 characters of user and password written as %40 (@), %3A (:), %2F (/)",
            )
        })?;
        let options = options.application_name("statera").statement_cache_capacity(STATEMENTS);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-io")
            .enable_all()
            .build()
            .map_err(|e| Error::io(format!("the store's threads: {e}")))?;
        Ok(Database::new(Place::Postgres(Box::new(options)), Some(runtime)))
    }

    /// The SQLite file at a path.
    pub(crate) fn file(path: &Path) -> Database {
        Database::new(Place::Sqlite(path.into()), None)
    }

    fn new(place: Place, runtime: Option<Runtime>) -> Database {
        let (anchor, log, index) = (OnceLock::new(), Mutex::default(), Arc::default());
        Database { place, runtime, anchor, log, index, full: Arc::default() }
    }

    /// The same, whose disk passes for full while `full` says so.
    pub(crate) fn filled_by(mut self, full: Arc<AtomicBool>) -> Database {
        self.full = full;
        self
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Sqlite(_))
    }

    /// SQLite's file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// From now on the log of this connection is watched: the writer's.
    pub(crate) fn watch_log(&self, connection: &Connection) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = connection.log.clone();
    }

    /// False where SQLite's file, or its log, is no longer the one that was opened.
    pub(crate) fn is_in_place(&self) -> bool {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.anchor.get().is_none_or(Anchor::is_in_place) && log.as_ref().is_none_or(Anchor::is_in_place)
    }

    /// The database in messages; never with a password.
    pub(crate) fn label(&self) -> String {
        match &self.place {
            Place::Sqlite(path) => path.display().to_string(),
            Place::Postgres(options) => format!(
                "PostgreSQL database «{}» at {}:{}",
                options.get_database().unwrap_or(options.get_username()),
                options.get_host(),
                options.get_port()
            ),
        }
    }

    /// A connection.
    pub(crate) fn connect(&self, purpose: Use) -> Attempt<Connection> {
        self.connect_within(purpose, CONNECT_LIMIT)
    }

    /// The same, for which PostgreSQL has another time.
    pub(crate) fn connect_within(&self, purpose: Use, limit: Duration) -> Attempt<Connection> {
        let handle = self.runtime.as_ref().map(|r| r.handle().clone());
        match &self.place {
            Place::Sqlite(path) => {
                self.anchor.get().map_or(Ok(()), Anchor::check)?;
                let connection = Sqlite::open(path, purpose).map_err(|e| e.at(&self.label()))?;
                let is_writer = matches!(purpose, Use::Write | Use::Create);
                let anchor = is_writer.then(|| self.anchor.get_or_init(|| Anchor::of(path)).clone());
                let log = is_writer.then(|| Anchor::of(&log_of(path))).filter(Anchor::exists);
                let index = is_writer.then(|| (Anchor::of(&index_of(path)), self.index.clone()));
                let (driver, full) = (Driver::Sqlite(connection), self.full.clone());
                let (runtime, limit, is_growing, is_broken) = (None, ANSWER_LIMIT, false, false);
                Ok(Connection { driver, anchor, log, index, full, is_growing, runtime, limit, is_broken })
            }
            Place::Postgres(options) => {
                let options = options.as_ref().clone().disable_statement_logging();
                let connecting = async move { PgConnection::connect_with(&options).await };
                let connection = wait(connecting, handle.as_ref(), limit);
                let connection = connection.ok_or_else(|| Failure::Away(format!("{}: no answer", self.label())))?;
                let connection = connection.map_err(|e| failure::postgres(&e).at(&self.label()))?;
                let driver = Driver::Postgres(connection);
                let (limit, full) = (ANSWER_LIMIT, Arc::default());
                let (anchor, log, index, runtime) = (None, None, None, handle);
                let (is_growing, is_broken) = (false, false);
                let mut connection =
                    Connection { driver, anchor, log, index, full, is_growing, runtime, limit, is_broken };
                if matches!(purpose, Use::Write | Use::Create) {
                    connection.refuse_lazy_commits()?;
                }
                Ok(connection)
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Dropping a runtime waits for it, which panics on a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// True for an address of PostgreSQL; anything else is a folder.
pub(crate) fn is_postgres(address: &str) -> bool {
    address.starts_with("postgres://") || address.starts_with("postgresql://")
}

/// The log beside a file of SQLite.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_os_string();
    log.push("-wal");
    log.into()
}

/// A connection to either database.
pub(crate) struct Connection {
    driver: Driver,
    /// Of one that writes to SQLite: its file and its log.
    anchor: Option<Anchor>,
    log: Option<Anchor>,
    index: Option<(Anchor, Arc<Index>)>,
    full: Arc<AtomicBool>,
    /// The transaction under way inserts something.
    is_growing: bool,
    runtime: Option<Handle>,
    /// For a statement of PostgreSQL.
    limit: Duration,
    is_broken: bool,
}

enum Driver {
    Sqlite(Sqlite),
    Postgres(PgConnection),
}

impl Connection {
    /// True where the connection must be replaced.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.driver, Driver::Sqlite(_))
    }

    /// The same connection with another limit for PostgreSQL's statements, as of backups.
    pub(crate) fn limited<T>(&mut self, limit: Duration, work: impl FnOnce(&mut Connection) -> T) -> T {
        let usual = std::mem::replace(&mut self.limit, limit);
        let done = work(self);
        self.limit = usual;
        done
    }

    /// Runs a statement; rows that it changed.
    pub(crate) fn execute(&mut self, sql: &str, values: Vec<Value>) -> Attempt<u64> {
        self.check()?;
        self.is_growing |= sql.starts_with("INSERT");
        let done = match &mut self.driver {
            Driver::Sqlite(c) => Some(c.execute(sql, &values)),
            Driver::Postgres(c) => {
                wait(sqlx::query_with(sql, value::postgres(values)?).execute(c), self.runtime.as_ref(), self.limit)
                    .map(|done| done.map(|d| d.rows_affected()).map_err(|e| failure::postgres(&e)))
            }
        };
        self.noticed(done)
    }

    /// Runs statements without arguments, as they are.
    pub(crate) fn batch(&mut self, sql: &str) -> Attempt<()> {
        self.check()?;
        let done = match &mut self.driver {
            Driver::Sqlite(c) => Some(c.batch(sql)),
            Driver::Postgres(c) => wait(c.execute(sqlx::raw_sql(sql)), self.runtime.as_ref(), self.limit)
                .map(|done| done.map(drop).map_err(|e| failure::postgres(&e))),
        };
        self.noticed(done)
    }

    /// All rows of a query.
    pub(crate) fn fetch(&mut self, sql: &str, values: Vec<Value>) -> Attempt<Vec<Row>> {
        self.check()?;
        let done = match &mut self.driver {
            Driver::Sqlite(c) => Some(c.fetch(sql, &values)),
            Driver::Postgres(c) => {
                wait(sqlx::query_with(sql, value::postgres(values)?).fetch_all(c), self.runtime.as_ref(), self.limit)
                    .map(|rows| {
                        rows.map(|r| r.into_iter().map(Row::Postgres).collect()).map_err(|e| failure::postgres(&e))
                    })
            }
        };
        self.noticed(done)
    }

    /// The first row of a query, if there is one.
    pub(crate) fn first(&mut self, sql: &str, values: Vec<Value>) -> Attempt<Option<Row>> {
        Ok(self.fetch(sql, values)?.into_iter().next())
    }

    /// Inserts rows, given as values one after the other.
    pub(crate) fn insert(&mut self, table: &Table, rows: Vec<Value>) -> Attempt<()> {
        self.check()?;
        if rows.is_empty() {
            return Ok(());
        }
        if let Driver::Postgres(c) = &mut self.driver {
            let sql = table.insert_postgres();
            let done = wait(sqlx::query_with(&sql, table.arrays(rows)?).execute(c), self.runtime.as_ref(), self.limit)
                .map(|done| done.map(drop).map_err(|e| failure::postgres(&e)));
            return self.noticed(done);
        }
        let width = table.columns.len();
        let mut n_left = rows.len() / width;
        let mut rows = rows.into_iter();
        while n_left > 0 {
            let n = n_left.min(INSERT_ROWS);
            self.execute(&table.insert_sqlite(n), rows.by_ref().take(n * width).collect())?;
            n_left -= n;
        }
        Ok(())
    }

    /// Begins a transaction that writes.
    pub(crate) fn begin(&mut self) -> Attempt<()> {
        let in_place = self.anchor.as_ref().map_or(Ok(()), Anchor::check);
        self.noticed(Some(in_place))?;
        let sql = if self.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.execute(sql, Vec::new())?;
        self.is_growing = false;
        // Only now, when no other process writes: one that found it first may have begun a new log.
        match self.log.as_ref().filter(|log| !log.is_in_place()).map(Anchor::lost) {
            None => Ok(()),
            Some(lost) => {
                self.rollback();
                self.noticed(Some(Err(lost)))
            }
        }
    }

    pub(crate) fn commit(&mut self) -> Attempt<()> {
        // What changes nothing needs no room on a full disk, either.
        if self.is_growing && self.full.load(Ordering::Relaxed) {
            self.overfill()?;
        }
        self.execute("COMMIT", Vec::new()).map(drop)
    }

    /// Has SQLite refuse room, as it does on a full disk: more is written than its file may have. For tests.
    fn overfill(&mut self) -> Attempt<()> {
        let Driver::Sqlite(c) = &self.driver else { return Ok(()) };
        let n_free = c.fetch("PRAGMA freelist_count", &[])?.first().map(|r| r.int(0)).transpose()?.unwrap_or(0);
        let n_bytes = (n_free + 16) * i64::from(PAGE_BYTES);
        c.batch("PRAGMA max_page_count = 1")?;
        let done = c.execute("INSERT INTO meta (name, value) VALUES ('full', zeroblob($1))", &[n_bytes.into()]);
        c.batch("PRAGMA max_page_count = 4294967294")?;
        self.noticed(Some(done.map(drop)))
    }

    /// Copies what a log holds that was moved or removed since this connection opened it into the database, where the next
    /// process finds it; nothing to do while the log is in its place. The connection may be broken, and is to be replaced.
    ///
    /// The copied log is empty for every process: what is written next begins at the first byte of whichever log lies there, and a
    /// connection that has the old one still open reads nothing out of it, fails, and is replaced.
    pub(crate) fn save_log(&mut self) -> Attempt<()> {
        let (Driver::Sqlite(c), Some(log)) = (&self.driver, &self.log) else { return Ok(()) };
        if log.is_in_place() {
            return Ok(());
        }
        self.anchor.as_ref().map_or(Ok(()), Anchor::check)?;
        if log.has_another() {
            // Of several processes the first has saved what the log held, and writes into the new one.
            return match &self.index {
                Some((anchor, index)) if index.is_of(log.path(), anchor) => Ok(()),
                _ => Err(Failure::Away(format!("{}; {ANOTHER_LOG}", log.label()))),
            };
        }
        // There may be none.
        let _ = c.batch("ROLLBACK");
        let done = c.fetch("PRAGMA wal_checkpoint(TRUNCATE)", &[])?;
        match done.first().map(|row| row.int(0)).transpose()? {
            Some(0) => Ok(()),
            _ => Err(Failure::Away(format!("{}; somebody reads in it, so that it cannot be saved yet", log.label()))),
        }
    }

    /// Undoes a transaction; a connection that cannot even do that is broken.
    pub(crate) fn rollback(&mut self) {
        if let Driver::Sqlite(c) = &self.driver
            && c.is_autocommit()
        {
            return;
        }
        if self.execute("ROLLBACK", Vec::new()).is_err() {
            self.is_broken = true;
        }
    }

    /// Several queries that see the database at one moment.
    pub(crate) fn snapshot<T>(&mut self, read: impl FnOnce(&mut Connection) -> Attempt<T>) -> Attempt<T> {
        let sql = if self.is_sqlite() { "BEGIN" } else { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" };
        self.execute(sql, Vec::new())?;
        let done = read(self);
        self.rollback();
        done
    }

    /// Applies migrations.
    pub(crate) fn migrate(&mut self, migrator: &sqlx::migrate::Migrator) -> Attempt<()> {
        let done = match &mut self.driver {
            Driver::Sqlite(c) => c.migrate(migrator).map_err(Error::from).map_err(|e| e.to_string()),
            // All of them together; a large table takes its time.
            Driver::Postgres(c) => wait(migrator.run_direct(c), self.runtime.as_ref(), BULK_LIMIT)
                .ok_or_else(|| Failure::Away(format!("no answer within {} s", BULK_LIMIT.as_secs())))?
                .map_err(|e| e.to_string()),
        };
        done.map_err(|e| Error::io(format!("the store's tables cannot be made or brought up to date: {e}")).into())
    }

    /// A role or database may have switched durable commits off; what is acknowledged must be on disk.
    fn refuse_lazy_commits(&mut self) -> Attempt<()> {
        let row = self.first("SELECT current_setting('synchronous_commit')", Vec::new())?;
        if row.map(|r| r.text(0)).transpose()?.as_deref() == Some("off") {
            self.batch("SET synchronous_commit = on")?;
        }
        Ok(())
    }

    /// Gives back what locks the session has, before the connection is closed: the server finds only a moment later that it is. A
    /// connection that broke is left as it is, since its session may still be at work, and a server that says nothing is not
    /// waited for.
    pub(crate) fn unlock(&mut self) {
        if !self.is_sqlite() {
            let _ = self.limited(UNLOCK_LIMIT, |c| c.batch("SELECT pg_advisory_unlock_all()"));
        }
    }

    fn check(&self) -> Attempt<()> {
        if self.is_broken { Err(Failure::Away("the connection broke".into())) } else { Ok(()) }
    }

    /// A statement whose answer is not known leaves a connection that cannot be used.
    fn noticed<T>(&mut self, done: Option<Attempt<T>>) -> Attempt<T> {
        let done =
            done.unwrap_or_else(|| Err(Failure::Away(format!("no answer within {} s", self.limit.as_secs_f64()))));
        self.is_broken |= matches!(done, Err(Failure::Away(_)));
        done
    }
}
