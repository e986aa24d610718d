//! Transactions as they happen: the state of each model's windows, which counts every transaction that is taken, gives its
//! columns, and comes back after a stop; and edges of the network that come beside them.
//!
//! What is recorded is the truth: the state is what the recorded transactions, labels and edges make, in the order of the numbers that
//! they were given when they were taken. A transaction is taken (its state advances), scored, recorded, and only then answered.
//! If it could not be recorded, the state is rebuilt before anything else is taken. A snapshot bounds how much is replayed;
//! one of other windows, or one that was altered, is refused, and all is replayed. A state belongs to one process of a
//! store, which has its claim; another is refused.

mod columns;
mod counting;
mod edge_table;
#[cfg(test)]
mod edges_tests;
#[cfg(test)]
mod edges_upgrade_tests;
#[cfg(test)]
mod network_tests;
mod rebuild;
#[cfg(test)]
mod request_tests;
mod sealed;
mod settings;
mod snapshot;
mod state;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use columns::{LiveColumns, joined};
pub use counting::Event;
pub use edge_table::EdgeTable;
pub use settings::TransactionsSettings;
pub use state::{Known, Live, Taking, Ticket};

use crate::models::{Loaded, Models};
use snapshot::{Head, draft};
use statera_core::{ErrorKind, Result};
use statera_store::Store;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at what is to be rebuilt or kept.
const LOOK: Duration = Duration::from_millis(100);
/// How long a snapshot waits for what was on its way when it was written.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// The same once the server stops, for all snapshots together: while the database is away nothing settles, and the store, whose end
/// would settle it, is closed only after this.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// The states of all models with windows.
pub struct Lives {
    inner: Arc<Inner>,
    /// When they are dropped, the threads end: one that tends the states, and one that looks after their claims, since a rebuild
    /// may take minutes.
    stops: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

struct Inner {
    settings: TransactionsSettings,
    store: Arc<dyn Store>,
    models: Arc<Models>,
    folder: PathBuf,
    all: RwLock<BTreeMap<String, Arc<Live>>>,
    /// Held while states are rebuilt and kept.
    tending: Mutex<()>,
    /// From now on nothing is rebuilt or claimed.
    is_stopping: AtomicBool,
    /// Until when snapshots wait once the server stops.
    settles_until: OnceLock<Instant>,
}

impl Lives {
    /// Begins to tend the states of the models that have windows; their snapshots lie in `folder`.
    ///
    /// # Errors
    /// Settings outside their ranges; a thread that cannot be started.
    pub fn open(
        settings: TransactionsSettings,
        store: Arc<dyn Store>,
        models: Arc<Models>,
        folder: PathBuf,
    ) -> Result<Lives> {
        settings.check()?;
        let (all, tending, is_stopping) = (RwLock::default(), Mutex::default(), AtomicBool::new(false));
        let settles_until = OnceLock::new();
        let inner = Arc::new(Inner { settings, store, models, folder, all, tending, is_stopping, settles_until });
        let mut lives = Lives { inner, stops: Vec::new(), threads: Vec::new() };
        lives.start("transactions", |inner| inner.tend(false))?;
        lives.start("claims", Inner::check_claims)?;
        Ok(lives)
    }

    /// Starts a thread that does something between two looks.
    fn start(&mut self, name: &str, work: impl Fn(&Inner) + Send + 'static) -> Result<()> {
        let (stop, stopped) = sync_channel(0);
        let inner = self.inner.clone();
        let work = move || {
            loop {
                work(&inner);
                if stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        };
        self.threads.push(std::thread::Builder::new().name(name.into()).spawn(work)?);
        self.stops.push(stop);
        Ok(())
    }

    /// The state of a model; `None` before it was looked at.
    pub fn of(&self, model: &str) -> Option<Arc<Live>> {
        self.inner.of(model)
    }

    /// Rebuilds what is to be rebuilt, and keeps what is due; `at_once` keeps all that is new.
    pub fn tend(&self, at_once: bool) {
        self.inner.tend(at_once);
    }
}

impl Drop for Lives {
    /// What is new is kept, unless it does not settle within a second or the database is away; what is being rebuilt is left.
    fn drop(&mut self) {
        let _ = self.inner.settles_until.set(Instant::now() + STOP_LIMIT);
        self.inner.is_stopping.store(true, Ordering::Relaxed);
        self.stops.clear();
        let own = std::thread::current().id();
        if self.threads.iter().any(|thread| thread.thread().id() == own) {
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        // A database that is away would be waited for once for each of the models.
        if let Some(why) = self.inner.store.unready() {
            tracing::warn!(
                why,
                "the states are not kept at the end: the next start replays what was recorded since they were"
            );
            return;
        }
        self.inner.tend(true);
    }
}

impl Inner {
    fn of(&self, model: &str) -> Option<Arc<Live>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }

    fn tend(&self, at_once: bool) {
        let _one = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, loaded) in self.models.champions() {
            let Some(columns) = &loaded.live else { continue };
            let live = self.of(&name).unwrap_or_else(|| {
                let live = Arc::new(Live::new(&name, &self.settings));
                self.all.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), live.clone());
                live
            });
            let tended = self.tend_one(&live, &loaded, columns, at_once);
            let trouble = tended.err().filter(|e| e.kind() != ErrorKind::Cancelled).map(|e| e.to_string());
            let mut told = live.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = trouble.as_ref().filter(|_| *told != trouble) {
                tracing::warn!(model = name, error, "the state of transactions");
            }
            *told = trouble;
        }
    }

    fn tend_one(&self, live: &Arc<Live>, loaded: &Loaded, columns: &LiveColumns, at_once: bool) -> Result<()> {
        if !self.has_claim(live)? {
            return Ok(());
        }
        let is_other = live.state().as_ref().is_some_and(|state| !state.is_of(columns));
        if is_other {
            live.mark("is being built for another version of its windows or its network");
        }
        if live.is_to_be_rebuilt() {
            if self.is_stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.rebuild(live, loaded, columns)?;
        }
        if live.is_snapshot_due(at_once) { self.keep(live) } else { Ok(()) }
    }

    fn rebuild(&self, live: &Live, loaded: &Loaded, columns: &LiveColumns) -> Result<()> {
        let (started, n_marked) = (Instant::now(), live.n_marked());
        let by = (columns, &self.settings);
        let rebuilt = rebuild::rebuild(&*self.store, &self.folder, &live.name, by, &self.is_stopping)?;
        tracing::info!(
            model = live.name,
            version = loaded.version,
            replayed = rebuilt.n_replayed,
            refused = rebuilt.n_refused,
            different = rebuilt.n_different,
            erased = rebuilt.n_erased,
            of_another_table = rebuilt.n_of_another,
            ms = started.elapsed().as_millis() as u64,
            "the state is built"
        );
        if rebuilt.n_refused > 0 {
            tracing::error!(
                model = live.name,
                version = loaded.version,
                refused = rebuilt.n_refused,
                "the state has refused what was recorded, and lacks it: its columns are not those of all records"
            );
        }
        // What was marked while it was built is built again.
        if !live.begin(rebuilt, n_marked) {
            tracing::info!(model = live.name, "the state was marked while it was built, and is built again");
        }
        Ok(())
    }

    /// Marks the states whose claim another process may have by now; nothing is taken by them from here on.
    fn check_claims(&self) {
        let all: Vec<Arc<Live>> = self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for live in all {
            // Each look may wait for a database that is away.
            if self.is_stopping.load(Ordering::Relaxed) {
                return;
            }
            live.check_claim();
        }
    }

    /// True if this process may count the model's transactions.
    fn has_claim(&self, live: &Live) -> Result<bool> {
        if live.check_claim() {
            return Ok(true);
        }
        if self.is_stopping.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut claim = live.claim.lock().unwrap_or_else(PoisonError::into_inner);
        match self.store.claim(&format!("count transactions of «{}»", live.name)) {
            Ok(new) => {
                *claim = Some(new);
                Ok(true)
            }
            Err(e) => {
                live.mark(&format!("is not here: {e}"));
                if e.kind() == ErrorKind::Busy { Ok(false) } else { Err(e) }
            }
        }
    }

    /// Writes a snapshot, which is in force only when all that it has is on disk.
    fn keep(&self, live: &Live) -> Result<()> {
        // The ends first: what is taken after the state is looked at is recorded after them.
        let places = self.store.ledger_ends()?;
        let key = self.store.file_key(snapshot::PURPOSE);
        let mut draft = draft(snapshot::path(&self.folder, &live.name))?;
        let written = live.still(|state, number| {
            let head = Head { model: live.name.clone(), number, places, network_bytes: state.network_bytes()? };
            draft.write(&head, state, &key)
        });
        let still = match written {
            Ok(Some(((), still))) => still,
            Ok(None) => {
                draft.discard();
                return Ok(());
            }
            Err(e) => {
                draft.discard();
                return Err(e);
            }
        };
        let end = Instant::now() + SETTLE_LIMIT;
        let is_settled = loop {
            // The end may come while this waits.
            let end = self.settles_until.get().map_or(end, |until| end.min(*until));
            match live.is_settled(&still) {
                Some(is_settled) => break is_settled,
                None if Instant::now() >= end => break false,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if !is_settled {
            draft.discard();
            if self.settles_until.get().is_some() {
                let model = &live.name;
                tracing::warn!(
                    model,
                    "the state is not kept at the end: a record was still on its way; the next start replays more"
                );
            }
            return Ok(());
        }
        draft.keep()?;
        live.kept(&still);
        Ok(())
    }
}
