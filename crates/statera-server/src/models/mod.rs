//! The bundles that answer: loaded, checked, replayed, warmed, then swapped in at once; shadow and split challengers.
//!
//! What answers is one immutable value behind a lock that is held for the time of a pointer's copy. A request takes its
//! bundle when it comes in and keeps it until it is answered, so that no request is lost by a change: the former bundle
//! goes when its last request is done. A bundle that cannot be loaded, or whose digest is not the registry's, never
//! replaces one that answers; [`Models::status`] tells it. A stop needs no loading and is in force with the first reading
//! of the registry.

mod load;
mod rules;
mod shadow;
#[cfg(test)]
mod tests;

use load::Tries;

pub use load::Loaded;
pub use rules::Rules;
pub use shadow::{Tally, TallyCounts};

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::Store;
use statera_store::registry::{Registry, Route};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// How models are loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSettings {
    /// Milliseconds between two looks at the registry's revision, 10 to 60,000; a change by this process is seen at once.
    pub poll_ms: u64,
    /// Seconds after which a bundle that could not be loaded is tried again.
    pub retry_s: u64,
    /// Bundles that are kept for replays of decisions by versions that answer no more, at most.
    pub n_archived: usize,
}

impl Default for ModelsSettings {
    fn default() -> ModelsSettings {
        ModelsSettings { poll_ms: 1_000, retry_s: 30, n_archived: 4 }
    }
}

impl ModelsSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("poll_ms", "How often the registry is looked at for changes by other processes"),
        ("retry_s", "When a bundle that could not be loaded is tried again"),
        ("n_archived", "Bundles that are kept in memory for replays of decisions by versions that answer no more"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let limits = [
            ("poll_ms", self.poll_ms, 10..=60_000),
            ("retry_s", self.retry_s, 1..=86_400),
            ("n_archived", self.n_archived as u64, 1..=1_000),
        ];
        match limits.iter().find(|(_, value, allowed)| !allowed.contains(value)) {
            None => Ok(()),
            Some((name, value, allowed)) => {
                let (least, most) = (allowed.start(), allowed.end());
                Err(Error::request(format!("models.{name} is {value}; allowed is {least} to {most}")))
            }
        }
    }
}

/// As whom a version answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It decides.
    Champion,
    /// It decides its share.
    Challenger,
    /// It answers after an emergency stop.
    Backup,
}

impl Part {
    /// Its name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Part::Champion => "champion",
            Part::Challenger => "challenger",
            Part::Backup => "backup",
        }
    }
}

/// What answers a request.
#[derive(Clone)]
pub struct Chosen {
    /// Whose score is given.
    pub model: Arc<Loaded>,
    /// As whom.
    pub part: Part,
    /// Who scores a copy of the rows, where there is a shadow challenger and the request is of its share.
    pub shadow: Option<(Arc<Loaded>, Arc<Tally>)>,
}

/// A version that is not served as the registry says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadFailure {
    /// The model.
    pub model: String,
    /// The version.
    pub version: u32,
    /// Its bundle.
    pub digest: String,
    /// Why.
    pub error: String,
}

/// Where the models stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The registry's revision that is in force; none before the first reading.
    pub revision: Option<u64>,
    /// Bundles in memory, with those that are kept for replays.
    pub n_loaded: usize,
    /// Versions that could not be loaded; what answered before them answers on.
    pub failures: Vec<LoadFailure>,
    /// Models whose version cannot answer and that nothing else answers for.
    pub silent: Vec<String>,
}

impl Status {
    /// True if every model that has an approved version is answered.
    pub fn is_ready(&self) -> bool {
        self.revision.is_some() && self.silent.is_empty()
    }
}

/// The versions of a model that are in memory.
#[derive(Clone, Default)]
struct Served {
    route: Route,
    champion: Option<Arc<Loaded>>,
    challenger: Option<(Arc<Loaded>, Arc<Tally>)>,
    backup: Option<Arc<Loaded>>,
    /// The champion before, so that a rollback waits for no bundle.
    previous: Option<Arc<Loaded>>,
}

impl Served {
    /// Those that may answer now.
    fn answering(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.champion.iter().chain(self.challenger.iter().map(|(model, _)| model)).chain(&self.backup)
    }
    fn all(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.answering().chain(&self.previous)
    }
}

/// What answers at one moment.
#[derive(Clone, Default)]
struct Live {
    revision: Option<u64>,
    models: BTreeMap<String, Served>,
    failures: Vec<LoadFailure>,
}

/// The models in memory.
pub struct Models {
    inner: Arc<Inner>,
    /// Wakes the thread that looks at the registry; when it is dropped, the thread ends.
    wake: SyncSender<()>,
}

struct Inner {
    settings: ModelsSettings,
    store: Arc<dyn Store>,
    live: RwLock<Arc<Live>>,
    /// As it was last read; held while it is read and put in force.
    registry: Mutex<Registry>,
    /// Held while bundles are loaded that the store has here.
    loading: Mutex<Tries>,
    /// Held by the one who brings bundles from the object store.
    bringing: Mutex<()>,
    archive: Mutex<VecDeque<Arc<Loaded>>>,
    n_loaded: Arc<AtomicUsize>,
}

impl Models {
    /// Reads the registry, loads what it names and the store has here, and looks at it again from then on. What has to be
    /// brought comes later, and a store that does not answer now is no error: until then [`Models::status`] is not ready.
    ///
    /// # Errors
    /// Settings outside their ranges; a thread that cannot be started.
    pub fn open(settings: ModelsSettings, store: Arc<dyn Store>) -> Result<Models> {
        settings.check()?;
        let poll = Duration::from_millis(settings.poll_ms);
        let inner = Arc::new(Inner {
            settings,
            store,
            live: RwLock::default(),
            registry: Mutex::default(),
            loading: Mutex::default(),
            bringing: Mutex::default(),
            archive: Mutex::default(),
            n_loaded: Arc::default(),
        });
        inner.follow_or_tell();
        let (wake, woken) = sync_channel(1);
        let (begin, begun) = sync_channel(1);
        if !inner.load_here().is_empty() {
            let _ = begin.try_send(());
        }
        let watched = inner.clone();
        let watch = move || {
            while woken.recv_timeout(poll) != Err(RecvTimeoutError::Disconnected) {
                watched.follow_or_tell();
                let _ = begin.try_send(());
            }
        };
        // On a thread of its own: a bundle that is long in coming keeps nobody from seeing that a model was stopped.
        let loader = inner.clone();
        let load = move || {
            while begun.recv().is_ok() {
                loader.load_missing();
            }
        };
        std::thread::Builder::new().name("models".into()).spawn(watch)?;
        std::thread::Builder::new().name("loader".into()).spawn(load)?;
        Ok(Models { inner, wake })
    }

    /// Has the registry looked at now, without waiting for it.
    pub fn wake(&self) {
        // A full channel means that the thread is about to look anyway.
        let _ = self.wake.try_send(());
    }

    /// Reads the registry if it changed and puts it in force; returns when it is, with every bundle that the store has here. One that
    /// somebody else is bringing from an object store may come later. To be called after an act on a thread that may block.
    ///
    /// # Errors
    /// A store that does not answer; what is in force stays.
    pub fn refresh(&self) -> Result<()> {
        self.inner.follow()?;
        self.inner.load_missing();
        Ok(())
    }

    /// The same with the bundles that are in memory, for acts that bring no other: an emergency stop is in force before its answer
    /// leaves, which waits for no bundle that somebody loads. What is missing is loaded without waiting for it.
    ///
    /// # Errors
    /// As [`Models::refresh`].
    pub fn follow(&self) -> Result<()> {
        let followed = self.inner.follow();
        self.wake();
        followed
    }

    /// What answers a request about `model`; `key` (a subject or a request's name) always falls into the same share of a
    /// challenger.
    ///
    /// # Errors
    /// `NotFound` for a model that is not in the registry; `Busy` for one that nothing may answer for now, with why.
    pub fn route(&self, model: &str, key: &str) -> Result<Chosen> {
        let live = self.inner.live();
        let served = live.models.get(model).ok_or_else(|| no_model(model))?;
        let plain = |model: &Arc<Loaded>, part| Chosen { model: model.clone(), part, shadow: None };
        if served.route.stopped {
            let backup = served.backup.as_ref().ok_or_else(|| {
                Error::busy(format!("«{model}» was stopped and has no backup; people decide until it is resumed"))
            })?;
            return Ok(plain(backup, Part::Backup));
        }
        let champion = served.champion.as_ref().ok_or_else(|| match served.route.champion {
            None => Error::busy(format!("«{model}» has no approved version yet")),
            Some(version) => Error::busy(format!("version {version} of «{model}» could not be loaded")),
        })?;
        let Some((challenger, tally)) = &served.challenger else { return Ok(plain(champion, Part::Champion)) };
        let (is_shadow, per_mille) = served.route.challenger.map_or((true, 0), |c| (c.shadow, c.per_mille));
        if share_of(model, key) >= per_mille {
            return Ok(plain(champion, Part::Champion));
        }
        if is_shadow {
            let shadow = Some((challenger.clone(), tally.clone()));
            return Ok(Chosen { shadow, ..plain(champion, Part::Champion) });
        }
        Ok(plain(challenger, Part::Challenger))
    }

    /// A version that is in memory, or the one that answers where none is named.
    ///
    /// # Errors
    /// `NotFound` for a model or version that is not in force, and as [`Models::route`].
    pub fn version(&self, model: &str, version: Option<&str>) -> Result<Arc<Loaded>> {
        let Some(version) = version else { return Ok(self.route(model, "")?.model) };
        let live = self.inner.live();
        let served = live.models.get(model).ok_or_else(|| no_model(model))?;
        let found = served.answering().find(|loaded| loaded.version.to_string() == version);
        found.cloned().ok_or_else(|| {
            let known: Vec<String> = served.answering().map(|loaded| loaded.version.to_string()).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            Error::not_found(format!("«{model}» serves no version «{version}»; served: {known}"))
        })
    }

    /// The champion of a model, also while another answers in its place.
    ///
    /// # Errors
    /// `NotFound` for a model that is not in the registry; `Busy` where it has none or it could not be loaded.
    pub fn champion(&self, model: &str) -> Result<Arc<Loaded>> {
        let live = self.inner.live();
        let served = live.models.get(model).ok_or_else(|| no_model(model))?;
        let none = || Error::busy(format!("«{model}» has no approved version in memory"));
        served.champion.clone().ok_or_else(none)
    }

    /// The champions of all models, by name.
    pub fn champions(&self) -> Vec<(String, Arc<Loaded>)> {
        let live = self.inner.live();
        let of = |(name, served): (&String, &Served)| Some((name.clone(), served.champion.clone()?));
        live.models.iter().filter_map(of).collect()
    }

    /// Versions of a model in memory.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn versions(&self, model: &str) -> Result<Vec<u32>> {
        let live = self.inner.live();
        let served = live.models.get(model).ok_or_else(|| no_model(model))?;
        let mut versions: Vec<u32> = served.answering().map(|loaded| loaded.version).collect();
        versions.sort_unstable();
        versions.dedup();
        Ok(versions)
    }

    /// The bundle of a digest, whether it still answers or not: for replays. It may take long and block.
    ///
    /// # Errors
    /// `NotFound` for a bundle that is not in the store; as [`statera::bundle::Bundle::read`].
    pub fn archived(&self, model: &str, version: u32, digest: &str) -> Result<Arc<Loaded>> {
        let is_it =
            |loaded: &&Arc<Loaded>| loaded.digest == digest && loaded.name == model && loaded.version == version;
        if let Some(found) = self.inner.live().models.values().flat_map(Served::all).find(is_it) {
            return Ok(found.clone());
        }
        let in_archive = |archive: &VecDeque<Arc<Loaded>>| archive.iter().find(is_it).cloned();
        if let Some(found) = in_archive(&lock(&self.inner.archive)) {
            return Ok(found);
        }
        // Before the lock is taken: it may be long in coming, and others are here already.
        let place = self.inner.store.bundle(digest)?;
        let mut archive = lock(&self.inner.archive);
        if let Some(found) = in_archive(&archive) {
            return Ok(found);
        }
        let loaded = self.inner.load(model, version, digest, &place)?;
        archive.push_back(loaded.clone());
        while archive.len() > self.inner.settings.n_archived {
            archive.pop_front();
        }
        Ok(loaded)
    }

    /// Every version that may answer, by model.
    pub fn answering(&self) -> BTreeSet<(String, u32)> {
        let live = self.inner.live();
        let of = |(name, served): (&String, &Served)| served.answering().map(|m| (name.clone(), m.version)).collect();
        live.models.iter().flat_map(|each| -> Vec<(String, u32)> { of(each) }).collect()
    }

    /// Where the models stand.
    pub fn status(&self) -> Status {
        let live = self.inner.live();
        let is_silent = |served: &&Served| match served.route.stopped {
            true => served.route.backup.is_some() && served.backup.is_none(),
            false => served.route.champion.is_some() && served.champion.is_none(),
        };
        let silent = live.models.iter().filter(|(_, served)| is_silent(served)).map(|(name, _)| name.clone());
        Status {
            revision: live.revision,
            n_loaded: self.inner.n_loaded.load(Ordering::Relaxed),
            failures: live.failures.clone(),
            silent: silent.collect(),
        }
    }

    /// What shadow challengers came to so far, by model and version.
    pub fn tallies(&self) -> Vec<(String, u32, TallyCounts)> {
        let live = self.inner.live();
        let of = |(name, served): (&String, &Served)| {
            let (model, tally) = served.challenger.as_ref()?;
            Some((name.clone(), model.version, tally.counts()))
        };
        live.models.iter().filter_map(of).collect()
    }
}

fn no_model(model: &str) -> Error {
    let shown: String = model.chars().take(64).collect();
    Error::not_found(format!("there is no model «{shown}»"))
}

/// The share that a key falls into, 0 to 999: the same in every process and at every time.
fn share_of(model: &str, key: &str) -> u16 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(model.as_bytes()).update(&[0]).update(key.as_bytes());
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_at(8);
    let number = first.iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
    (number % 1_000) as u16
}

/// What a thread that failed has left behind a lock is as good as before: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
