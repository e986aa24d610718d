//! Beside the writer, so that no decision waits for it: signed checkpoints, and copying SQLite's log into the database.

use crate::ledger::Head;
use crate::ledger::checkpoint::{ChainHead, Notary};
use crate::sql::{Attempt, Connection, Database, Use};
use crate::writer::chain::head;
use crate::{CommitTimer, Group, GroupListener};
use statera_core::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Bytes after which the log is copied. A disk that gets much to write at once lets commits wait behind it, so that little at
/// a time makes the slowest answers faster.
const COPY_AFTER: u64 = 128 << 10;
/// Between two copies at least: of pages that many commits change, only the last is copied.
const COPY_EVERY: Duration = Duration::from_millis(100);
/// Copies of a log that is to begin anew, until nothing was committed meanwhile: only then SQLite has the disk take what was
/// copied. Else that is the writer's, and nobody is answered for tens of milliseconds. Not at each time: commits wait a little
/// for the disk then.
const COPIES: usize = 8;
/// Pages of the log beyond which it begins anew: 16 MB.
pub(crate) const RESTART_PAGES: i64 = 4_096;
/// Between attempts, while the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Of the tender, on the system's scale from -20 to 19; others have 0.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What the writer tells the tender, and the other way round.
#[derive(Default)]
pub(crate) struct Signals {
    /// Rows since the last checkpoint.
    n_rows: AtomicU64,
    /// Bytes since the log was copied, roughly.
    n_bytes: AtomicU64,
    /// Rows after which a checkpoint is due.
    n_rows_max: AtomicU64,
    restart: AtomicBool,
    is_over: AtomicBool,
    tender: OnceLock<Thread>,
    /// Who is told how long commits take.
    timer: OnceLock<CommitTimer>,
    /// Who is told when a group's callbacks are called.
    listener: OnceLock<GroupListener>,
    /// Why the last checkpoint could not be written.
    trouble: Mutex<Option<Error>>,
    /// The disk had no room for the last transaction.
    is_full: AtomicBool,
}

impl Signals {
    pub(crate) fn new(n_rows_max: u64) -> Signals {
        Signals { n_rows_max: AtomicU64::new(n_rows_max.max(1)), ..Signals::default() }
    }

    /// The writer has committed.
    pub(crate) fn written(&self, n_rows: u64, n_bytes: u64) {
        let rows = self.n_rows.fetch_add(n_rows, Ordering::Relaxed) + n_rows;
        let bytes = self.n_bytes.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes;
        let is_first = rows == n_rows && n_rows > 0;
        let is_enough = bytes >= COPY_AFTER && bytes - n_bytes < COPY_AFTER;
        if is_first || rows >= self.n_rows_max.load(Ordering::Relaxed) || is_enough {
            self.wake();
        }
    }

    /// From now on `timer` is told how long commits take.
    pub(crate) fn time_commits(&self, timer: CommitTimer) {
        let _ = self.timer.set(timer);
    }

    /// From now on `listener` is told of groups.
    pub(crate) fn announce_groups(&self, listener: GroupListener) {
        let _ = self.listener.set(listener);
    }

    /// The callbacks of a group are about to be called, or all were.
    pub(crate) fn announce(&self, group: Group) {
        if let Some(listener) = self.listener.get() {
            listener(group);
        }
    }

    /// A commit took so long.
    pub(crate) fn timed(&self, time: Duration) {
        if let Some(timer) = self.timer.get() {
            timer(time);
        }
    }

    /// True once, where the log is to be begun anew.
    pub(crate) fn take_restart(&self) -> bool {
        self.restart.load(Ordering::Relaxed) && self.restart.swap(false, Ordering::Relaxed)
    }

    /// Ends the tender after a last checkpoint.
    pub(crate) fn finish(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake();
    }

    /// Why the last checkpoint could not be written, if it could not.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether the disk had room for a transaction.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// True while the disk has no room for what is written.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        if let Some(tender) = self.tender.get() {
            tender.unpark();
        }
    }
}

/// The tender's state.
pub(crate) struct Tender {
    pub(crate) database: Arc<Database>,
    pub(crate) notary: Notary,
    pub(crate) signals: Arc<Signals>,
    /// How long rows may wait for a checkpoint.
    pub(crate) every: Duration,
    /// Pages of SQLite's log beyond which it begins anew.
    pub(crate) restart_pages: i64,
    pub(crate) clock: fn() -> i64,
}

/// The tender's thread. From here on it is woken by whoever has its signals; by itself it would be known only once it runs, and
/// who meant to end it before that would wake nobody.
pub(crate) fn start(tender: Tender) -> std::io::Result<thread::JoinHandle<()>> {
    let signals = tender.signals.clone();
    let started = thread::Builder::new().name("store-tender".into()).spawn(move || tender.run())?;
    let _ = signals.tender.set(started.thread().clone());
    Ok(started)
}

/// Has the system prefer every other thread of the process: where cores are few, copying the log would take whole slices of
/// time from decisions. Nothing is lost where that cannot be asked for.
fn step_back() {
    // On Linux no process named means the calling thread alone; elsewhere it would be the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

impl Tender {
    fn run(&self) {
        step_back();
        let mut connection: Option<Connection> = None;
        let (mut last, mut copied) = (Instant::now(), Instant::now());
        loop {
            let is_over = self.signals.is_over.load(Ordering::Acquire);
            if self.signals.n_bytes.load(Ordering::Relaxed) >= COPY_AFTER {
                thread::sleep(COPY_EVERY.saturating_sub(copied.elapsed()));
                self.signals.n_bytes.store(0, Ordering::Relaxed);
                self.copy_log(&mut connection);
                copied = Instant::now();
            }
            let n_rows = self.signals.n_rows.load(Ordering::Relaxed);
            let is_due = n_rows >= self.signals.n_rows_max.load(Ordering::Relaxed)
                || last.elapsed() >= self.every
                || self.signals.trouble().is_some();
            if n_rows > 0 && (is_due || is_over) {
                let mut done = self.checkpoint(&mut connection);
                if done.is_err() && connection.take().is_some() {
                    // Its session may have ended long ago, and at the end there is no other time.
                    done = self.checkpoint(&mut connection);
                }
                let is_done = done.is_ok();
                *self.signals.trouble.lock().unwrap_or_else(PoisonError::into_inner) = done.err();
                if is_done {
                    self.signals.n_rows.fetch_sub(n_rows, Ordering::Relaxed);
                } else {
                    connection = None;
                }
                last = Instant::now();
            }
            if is_over {
                return;
            }
            self.sleep(last);
        }
    }

    fn sleep(&self, last: Instant) {
        // Whatever this thread waited for since it looked may have taken what it was woken with.
        if self.signals.is_over.load(Ordering::Acquire) {
            return;
        }
        let n_rows = self.signals.n_rows.load(Ordering::Relaxed);
        if n_rows == 0 {
            // Rows that come begin a new interval.
            thread::park();
        } else if self.signals.trouble().is_some() {
            thread::park_timeout(PAUSE);
        } else {
            thread::park_timeout(self.every.saturating_sub(last.elapsed()).max(Duration::from_millis(1)));
        }
    }

    fn connection<'c>(&self, connection: &'c mut Option<Connection>) -> Attempt<&'c mut Connection> {
        let usable = connection.take().filter(|c| !c.is_broken());
        let usable = match usable {
            Some(usable) => usable,
            // It writes nothing itself; but a reading connection of SQLite cannot copy the log.
            None => self.database.connect(if self.database.is_sqlite() { Use::Write } else { Use::Read })?,
        };
        Ok(connection.insert(usable))
    }

    /// Signs the heads of all chains.
    fn checkpoint(&self, connection: &mut Option<Connection>) -> Result<()> {
        let heads = self.connection(connection)?.snapshot(heads)?;
        self.notary.sign((self.clock)(), heads)
    }

    /// Copies the log while the writer goes on.
    fn copy_log(&self, connection: &mut Option<Connection>) {
        if !self.database.is_sqlite() {
            return;
        }
        let Ok(connection) = self.connection(connection) else { return };
        let mut before = None;
        for _ in 0..COPIES {
            // Another process may be copying it.
            let Ok(Some(row)) = connection.first("PRAGMA wal_checkpoint(PASSIVE)", Vec::new()) else { return };
            // Of when it began: what was committed since shows in the next.
            let n_pages = row.int(1).unwrap_or(0);
            if n_pages <= self.restart_pages {
                return;
            }
            if before.replace(n_pages).is_some_and(|before| n_pages <= before) {
                break;
            }
        }
        self.signals.restart.store(true, Ordering::Relaxed);
    }
}

/// The heads of all chains that have rows.
pub(crate) fn heads(connection: &mut Connection) -> Attempt<Vec<ChainHead>> {
    let mut heads = Vec::new();
    for row in connection.fetch("SELECT id, name FROM chain ORDER BY id", Vec::new())? {
        let Head { seq, hash, .. } = head(connection, row.int(0)?)?;
        if seq > 0 {
            heads.push(ChainHead { chain: row.text(1)?, seq, hash: crate::keys::hex(&hash) });
        }
    }
    Ok(heads)
}

/// Refuses a database that lacks rows which the last checkpoint names. True where it has rows that no checkpoint names yet,
/// as after a process that was killed.
pub(crate) fn refuse_cut(connection: &mut Connection, notary: &Notary, label: &str) -> Result<bool> {
    let heads = heads(connection)?;
    let Some(checkpoint) = notary.last()? else { return Ok(!heads.is_empty()) };
    let has_more = checkpoint.heads != heads;
    for head in checkpoint.heads {
        let sql = "SELECT a.hash FROM chain c JOIN audit a ON a.place = (c.id << 40) + $2 WHERE c.name = $1";
        let values = vec![head.chain.as_str().into(), (head.seq as i64).into()];
        let found = connection.first(sql, values)?.map(|r| r.bytes::<32>(0)).transpose()?;
        if found.map(|hash| crate::keys::hex(&hash)) != Some(head.hash) {
            return Err(Error::damaged(format!(
                "{label}: the ledger is not the one that the last checkpoint names: chain {}, row {} is not there or another; \
                 run `statera audit verify`; to go on in spite of it, move checkpoints.jsonl away",
                head.chain, head.seq
            )));
        }
    }
    Ok(has_more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Actor;
    use crate::ledger::verify;
    use crate::record::{Id, NewRecord, Part, RecordKind};
    use crate::{Store, StoreOptions, now_us, sql, store};
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;

    /// How long anything may take before a test fails.
    const LIMIT: Duration = Duration::from_secs(60);
    /// Pages of a log that is long here: those of one or two records.
    const FEW_PAGES: i64 = 20;

    /// Writes a record of 60 kB, and waits until it is there.
    fn write(store: &dyn Store) -> Id {
        let record = NewRecord {
            id: Id::new(now_us()),
            kind: RecordKind::Decision,
            of: None,
            request: None,
            actor: Actor::Key("paymentpath".into()),
            facts: "{\"model\": \"credit\", \"version\": 1}".into(),
            parts: vec![Part { subject: String::new(), plain: vec![b'x'; 60_000] }],
            alert: None,
        };
        let (id, (tell, told)) = (record.id, mpsc::channel());
        store.submit(record, Box::new(move |done| drop(tell.send(done.map(drop))))).unwrap();
        told.recv_timeout(LIMIT).unwrap().unwrap();
        id
    }

    /// What a log has otherwise each time that it begins anew.
    fn salts(log: &Path) -> Vec<u8> {
        fs::read(log).unwrap()[16..24].to_vec()
    }

    /// Writes until the log begins anew.
    fn write_until_anew(store: &dyn Store, log: &Path, kept: &mut Vec<Id>) {
        let (before, end) = (salts(log), Instant::now() + LIMIT);
        while salts(log) == before {
            assert!(Instant::now() < end, "the log only grows: {} bytes", fs::metadata(log).unwrap().len());
            kept.push(write(store));
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_long_log_begins_anew_once_nobody_reads_in_it_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("bank").display().to_string();
        let file = folder.path().join("bank").join(sql::FILE);
        let log = sql::log_of(&file);
        let options = StoreOptions::at(&address, None).unwrap();
        let store = store::open_with(&options, FEW_PAGES).unwrap();
        let mut kept = vec![write(&store)];
        for _ in 0..3 {
            write_until_anew(&store, &log, &mut kept);
        }
        // A reader that stays, as of a backup, sees what it saw, and what it reads in is not written over.
        let reader = rusqlite::Connection::open(&file).unwrap();
        let n_records = || reader.query_row("SELECT count(*) FROM record", [], |row| row.get::<_, i64>(0)).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        assert_eq!(n_records(), kept.len() as i64);
        let n_seen = kept.len() as i64;
        // Where all had been copied, it reads in the file alone, and this may be the first of a new log.
        kept.push(write(&store));
        let before = salts(&log);
        for _ in 0..20 {
            kept.push(write(&store));
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!((salts(&log), n_records()), (before, n_seen));
        assert!(kept.iter().all(|id| store.record(*id).is_ok()), "others read what is new");
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(n_records(), kept.len() as i64);
        drop(reader);
        write_until_anew(&store, &log, &mut kept);
        write_until_anew(&store, &log, &mut kept);
        drop(store);
        let store = store::open(&options).unwrap();
        assert!(kept.iter().all(|id| store.record(*id).is_ok()), "an acknowledged one is lost");
        drop(store);
        assert_eq!(verify(&address, None, None).unwrap().findings, []);
    }
}
