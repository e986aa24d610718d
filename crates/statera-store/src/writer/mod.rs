//! The one thread that writes: it takes everything that waits, commits it in one transaction, and then answers.
//!
//! A transaction is repeated as a whole where another process was in the way. Where the database went away before the
//! commit, nothing was written; where it went away during the commit, the writer comes back to the same chain, whose lock
//! tells that the old session is over, and looks whether its last row arrived.

pub(crate) mod acts;
pub(crate) mod alerts;
pub(crate) mod chain;
pub(crate) mod erase;
pub(crate) mod queue;
pub(crate) mod records;
pub(crate) mod sessions;

use crate::ledger::{Head, place, row_hash};
use crate::sql::table::AUDIT;
use crate::sql::{Attempt, Connection, Database, Failure, Use, Value};
use crate::tender::Signals;
use crate::vault::{KeyCache, Random, Vault};
use crate::{AWAY, IN_DOUBT, NOT_WRITTEN};
use chain::{Chain, Lock};
use queue::{Queue, Taken};
use statera_core::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a transaction is repeated where another was in the way.
const REPEATS: u32 = 8;
/// How often where something existed already: another process may have been first, and is seen the next time.
const REPEATS_UNIQUE: u32 = 2;
/// Bytes of a row beside its texts, roughly, with what its record adds to other tables.
const ROW_BYTES: usize = 300;
/// Between attempts to come back to a database.
const RECONNECT: Duration = Duration::from_millis(200);
/// Bytes that are asked of a full disk before the store is ready again: twice what was refused last, between these. What is small
/// may well find room where nothing else does.
const ROOM_BYTES: std::ops::RangeInclusive<u64> = (128 << 10)..=(8 << 20);
/// How long a commit may stay in doubt before those who wait are told so.
const DOUBT_LIMIT: Duration = Duration::from_secs(600);

/// The writer's state.
pub(crate) struct Writer {
    database: Arc<Database>,
    connection: Option<Connection>,
    lock: Lock,
    chain: Chain,
    seals: Seals,
    clock: fn() -> i64,
    queue: Arc<Queue>,
    signals: Arc<Signals>,
    /// Bytes of the last transaction that the disk had no room for.
    n_refused_bytes: u64,
    /// Groups that look for requests that were recorded before: names come again where a client repeats what it sent.
    n_looking: u32,
}

/// What encrypts.
pub(crate) struct Seals {
    pub(crate) vault: Arc<Vault>,
    pub(crate) cache: KeyCache,
    /// The number of erasures when the cache was filled: another process may have erased since.
    pub(crate) n_erasures: i64,
    pub(crate) random: Random,
}

impl Seals {
    pub(crate) fn new(vault: Arc<Vault>) -> Seals {
        Seals { vault, cache: KeyCache::default(), n_erasures: -1, random: Random::new() }
    }
}

/// A transaction under way.
pub(crate) struct Tx<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) seals: &'a mut Seals,
    chain: &'a Chain,
    head: Head,
    next_part: u64,
    /// Rows of the ledger that are to be inserted.
    audit: Vec<Value>,
    /// Bytes that it writes, roughly.
    pub(crate) n_bytes: u64,
    /// The time of all its rows, microseconds since 1970 UTC.
    pub(crate) at_us: i64,
}

impl Tx<'_> {
    /// Where the next row of the ledger will be.
    pub(crate) fn place(&self) -> i64 {
        place(self.chain.id, self.head.seq + 1)
    }

    /// Adds a row to the ledger.
    pub(crate) fn append(&mut self, actor: String, body: String) {
        let seq = self.head.seq + 1;
        let hash = row_hash(&self.head.hash, &self.chain.name, seq, self.at_us, &actor, &body);
        self.n_bytes += (ROW_BYTES + actor.len() + body.len()) as u64;
        self.audit.extend([
            place(self.chain.id, seq).into(),
            self.at_us.into(),
            actor.into(),
            body.into(),
            Value::from(&hash),
        ]);
        self.head = Head { seq, hash, at_us: self.at_us };
    }

    /// Takes so many bytes on the disk, and gives them back: what is deleted is overwritten, so that both are in the log.
    fn take_room(&mut self, n_bytes: u64) -> Attempt<()> {
        let (sql, n) = if self.connection.is_sqlite() {
            ("INSERT INTO meta (name, value) VALUES ('room', zeroblob($1))", n_bytes)
        } else {
            // What repeats itself would be compressed.
            let sql = "INSERT INTO meta (name, value) \
                       SELECT 'room', string_agg(random()::text, '') FROM generate_series(1::bigint, $1::bigint)";
            (sql, n_bytes / 16)
        };
        self.connection.execute(sql, vec![(n as i64).into()])?;
        self.connection.execute("DELETE FROM meta WHERE name = 'room'", Vec::new())?;
        self.n_bytes += n_bytes;
        Ok(())
    }

    /// The number of the next part, and of those after it.
    pub(crate) fn take_parts(&mut self, n: usize) -> i64 {
        let first = self.next_part;
        self.next_part += n as u64;
        place(self.chain.id, first)
    }
}

/// The writer's thread: everything it was made of comes with it.
pub(crate) fn start(mut writer: Writer) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("store-writer".into()).spawn(move || {
        let _last = Last(writer.queue.clone());
        writer.run();
    })
}

/// However the writer ends, also by a panic in somebody's callback: nobody waits for it any more.
struct Last(Arc<Queue>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever opens the store next continues its chain, also at once.
        if let Some(connection) = &mut self.connection {
            // Never with a transaction open, as a panic leaves it: whoever continues the chain would wait for its rows.
            if std::thread::panicking() {
                connection.rollback();
            }
            connection.unlock();
        }
    }
}

impl Writer {
    pub(crate) fn new(
        database: Arc<Database>,
        connection: Connection,
        (lock, chain): (Lock, Chain),
        vault: Arc<Vault>,
        clock: fn() -> i64,
        queue: Arc<Queue>,
        signals: Arc<Signals>,
    ) -> Writer {
        let seals = Seals::new(vault);
        database.watch_log(&connection);
        let connection = Some(connection);
        let (n_refused_bytes, n_looking) = (0, 0);
        Writer { database, connection, lock, chain, seals, clock, queue, signals, n_refused_bytes, n_looking }
    }

    fn run(&mut self) {
        loop {
            let is_broken = self.connection.as_ref().is_none_or(Connection::is_broken);
            let is_lost = is_broken && !self.database.is_in_place();
            let is_in_trouble = is_lost || self.queue.is_away() || self.signals.is_full();
            let taken = self.queue.take(is_in_trouble.then_some(RECONNECT));
            let is_last = taken.is_last;
            if self.connect().is_ok() {
                if self.signals.is_full() {
                    self.ask_for_room();
                }
                self.work(taken);
            } else {
                refuse(taken);
            }
            if is_last {
                return;
            }
        }
    }

    fn work(&mut self, taken: Taken) {
        for deed in taken.deeds {
            deed(self);
        }
        if !taken.records.is_empty() {
            self.write_records(taken.records);
        }
        self.restart_log();
    }

    /// Begins to write, and finds that the log is gone: nobody may ask a server that is not ready, so that it must look itself.
    pub(crate) fn try_writing(&mut self) {
        let _ = self.attempt(|_| Ok(()));
    }

    /// Finds by itself that a full disk has room again, and only so: what changes nothing is committed without a byte, and what is
    /// small into the last of a page or of the log, both also where the next decision is refused.
    fn ask_for_room(&mut self) {
        let n_bytes = self.n_refused_bytes.saturating_mul(2).clamp(*ROOM_BYTES.start(), *ROOM_BYTES.end());
        let n_refused_bytes = self.n_refused_bytes;
        let has_room = self.attempt(|tx| tx.take_room(n_bytes)).is_ok();
        if has_room {
            self.signals.set_full(false);
        }
        // What is asked for must not be what twice as much is asked for next.
        self.n_refused_bytes = if has_room { 0 } else { n_refused_bytes };
    }

    /// Does something in a transaction, repeated where another was in the way.
    pub(crate) fn transact<T>(&mut self, mut work: impl FnMut(&mut Tx<'_>) -> Attempt<T>) -> Attempt<T> {
        let mut repeat = 1;
        loop {
            match self.attempt(&mut work) {
                Err(Failure::Again(_)) if repeat < REPEATS => {}
                Err(Failure::Unique(_)) if repeat < REPEATS_UNIQUE => {}
                done => return done,
            }
            std::thread::sleep(Duration::from_millis(u64::from(repeat)));
            repeat += 1;
        }
    }

    /// Does something in a transaction, once.
    pub(crate) fn attempt<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Attempt<T>) -> Attempt<T> {
        let done = self.attempted(work);
        if let Err(Failure::Full(_)) = &done {
            self.signals.set_full(true);
        }
        done
    }

    fn attempted<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Attempt<T>) -> Attempt<T> {
        self.connect()?;
        let Some(connection) = &mut self.connection else { return Err(Failure::Away("no connection".into())) };
        connection.begin()?;
        let mut tx = Tx {
            connection,
            seals: &mut self.seals,
            chain: &self.chain,
            head: self.chain.head,
            next_part: self.chain.next_part,
            audit: Vec::new(),
            n_bytes: 0,
            at_us: (self.clock)().max(self.chain.head.at_us),
        };
        let done = work(&mut tx).and_then(|value| {
            let rows = std::mem::take(&mut tx.audit);
            tx.connection.insert(&AUDIT, rows)?;
            Ok((value, tx.head, tx.next_part))
        });
        let n_bytes = tx.n_bytes;
        let (value, head, next_part) = match done {
            Ok(done) => done,
            Err(e) => return Err(self.undone(e, n_bytes)),
        };
        let n_rows = head.seq - self.chain.head.seq;
        let started = Instant::now();
        let committed = connection.commit();
        self.signals.timed(started.elapsed());
        match committed {
            Ok(()) => {}
            // The disk or the server failed while it committed: whether it did is found out.
            Err(Failure::Away(why)) => self.settle(head, &why)?,
            Err(e) => return Err(self.undone(e, n_bytes)),
        }
        (self.chain.head, self.chain.next_part) = (head, next_part);
        self.signals.written(n_rows, n_bytes);
        Ok(value)
    }

    /// Undoes a transaction that failed, of so many bytes.
    fn undone(&mut self, failure: Failure, n_bytes: u64) -> Failure {
        if let Some(connection) = &mut self.connection {
            connection.rollback();
        }
        self.seals.cache.clear();
        if let Failure::Full(_) = &failure {
            self.n_refused_bytes = self.n_refused_bytes.max(n_bytes);
        }
        failure
    }

    /// Whether a commit arrived whose answer was lost.
    fn settle(&mut self, head: Head, why: &str) -> Attempt<()> {
        self.queue.set_away(true);
        self.seals.cache.clear();
        let end = Instant::now() + DOUBT_LIMIT;
        while Instant::now() < end && !self.queue.is_closed() {
            match self.reconnect(true).and_then(|()| self.has(head)) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Failure::Away(format!("{why}{NOT_WRITTEN}"))),
                // It went away again before it said so.
                Err(_) => self.queue.set_away(true),
            }
            refuse(self.queue.take(Some(RECONNECT)));
        }
        Err(Failure::Away(format!("{why}{IN_DOUBT}")))
    }

    fn has(&mut self, head: Head) -> Attempt<bool> {
        let place = place(self.chain.id, head.seq);
        let Some(connection) = &mut self.connection else { return Ok(false) };
        let row = connection.first("SELECT hash FROM audit WHERE place = $1", vec![place.into()])?;
        Ok(row.map(|r| r.bytes::<32>(0)).transpose()? == Some(head.hash))
    }

    /// Replaces a connection that broke.
    fn connect(&mut self) -> Attempt<()> {
        match &self.connection {
            Some(connection) if !connection.is_broken() => Ok(()),
            _ => self.reconnect(false),
        }
    }

    fn reconnect(&mut self, same_chain: bool) -> Attempt<()> {
        self.queue.set_away(true);
        if let Some(broken) = &mut self.connection {
            broken.save_log()?;
        }
        self.connection = None;
        self.seals.cache.clear();
        let mut connection = self.database.connect(Use::Write)?;
        self.database.watch_log(&connection);
        let is_taken = self.lock.take_again(&mut connection, self.chain.id)?;
        if is_taken {
            self.chain = Chain::load(&mut connection, self.chain.id)?;
        } else if same_chain {
            return Err(Failure::Away("the session before this one is not over yet".into()));
        } else {
            (self.lock, self.chain) = Lock::first_free(&mut connection, self.lock.folder())?;
        }
        self.connection = Some(connection);
        self.queue.set_away(false);
        Ok(())
    }

    /// Begins SQLite's log anew, when it has grown long and the tender has copied nearly all of it.
    fn restart_log(&mut self) {
        if self.signals.take_restart()
            && let Some(connection) = &mut self.connection
        {
            // A reader that is still in it is no failure: the next time will do.
            let _ = connection.fetch("PRAGMA wal_checkpoint(PASSIVE)", Vec::new());
        }
    }

    /// The writer's connection, for reading what was just written.
    pub(crate) fn connection(&mut self) -> Attempt<&mut Connection> {
        self.connection.as_mut().ok_or_else(|| Failure::Away("no connection".into()))
    }

    pub(crate) fn vault(&self) -> Arc<Vault> {
        self.seals.vault.clone()
    }
}

/// Answers everybody that the database is away. Deeds are dropped, which tells those who wait.
fn refuse(taken: Taken) {
    for (_, done) in taken.records {
        done(Err(Error::busy(format!("{AWAY}{NOT_WRITTEN}"))));
    }
}
