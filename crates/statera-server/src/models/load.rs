//! From the registry to bundles in memory.

use super::{Inner, Live, LoadFailure, Rules, Served, Tally, lock};
use crate::compute::{self, Columns};
use crate::live::LiveColumns;
use rayon::prelude::*;
use statera::bundle::Bundle;
use statera_core::{Error, ErrorKind, Result};
use statera_store::registry::{Model, Registry};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// A bundle in memory that may answer.
pub struct Loaded {
    /// The model's name in the registry.
    pub name: String,
    /// Its version there.
    pub version: u32,
    /// The bundle's digest: the registry's and the bundle's own.
    pub digest: String,
    /// The bundle.
    pub bundle: Bundle,
    /// What it reads, made ready for rows of JSON.
    pub columns: Columns,
    /// The rules beside it, where it has some.
    pub rules: Option<Rules>,
    /// What its transactions bring, where it has windows.
    pub live: Option<LiveColumns>,
    /// Lowers the count of bundles in memory when the last holder lets go.
    _counted: Counted,
}

/// Counts as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Most times that one look loads, or has brought, what became missing meanwhile.
const MAX_ROUNDS: usize = 8;

/// A version by model, number and digest.
type Wanted = (String, u32, String);

/// When versions that are not in memory were last tried in vain.
#[derive(Default)]
pub(super) struct Tries {
    /// Those that the store had here.
    loaded: BTreeMap<Wanted, Instant>,
    /// Those that had to be brought: what could not be had may lie here a moment later.
    brought: BTreeMap<Wanted, Instant>,
}

impl Inner {
    pub(super) fn live(&self) -> Arc<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn swap(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// Puts the registry in force if it changed, for the thread that looks: what fails is logged.
    pub(super) fn follow_or_tell(&self) {
        if let Err(e) = self.follow() {
            tracing::warn!(error = %e, "the registry cannot be read; what is in force answers on");
        }
    }

    /// Loads what the registry in force names and memory lacks. What the store has here is in force on return, whoever loaded it; what
    /// has to be brought from an object store is waited for only if nobody brings it already.
    pub(super) fn load_missing(&self) {
        for _ in 0..MAX_ROUNDS {
            if self.load_here().is_empty() {
                return;
            }
            // Whoever brings bundles looks once more when that is done, and finds these, too.
            let _bringing = match self.bringing.try_lock() {
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(bringing)) => bringing.into_inner(),
                Ok(bringing) => bringing,
            };
            // One after the other, on this thread: the pool is for what computes, not for what waits. Each is in force before the
            // next one is waited for.
            for wanted in self.load_here() {
                let place = self.store.bundle(&wanted.2);
                let mut tries = lock(&self.loading);
                // Somebody else may have found it here since it came.
                if self.missing().contains(&wanted) {
                    let Tries { loaded, brought } = &mut *tries;
                    let tried = if place.is_ok() { loaded } else { brought };
                    self.load_from(vec![(wanted, place)], tried);
                }
            }
        }
    }

    /// Loads what the registry in force names, memory lacks and the store has here, or waits for who is loading that; it waits for no
    /// object store. Gives what has to be brought. What failed is left for a while.
    pub(super) fn load_here(&self) -> Vec<Wanted> {
        let mut tries = lock(&self.loading);
        let pause = Duration::from_secs(self.settings.retry_s);
        let is_due = |tried: Option<&Instant>| tried.is_none_or(|tried| tried.elapsed() >= pause);
        let mut elsewhere = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let missing = self.missing();
            tries.loaded.retain(|wanted, _| missing.contains(wanted));
            tries.brought.retain(|wanted, _| missing.contains(wanted));
            let mut here = Vec::new();
            elsewhere.clear();
            for wanted in missing {
                match self.store.bundle_here(&wanted.2) {
                    Err(e) if e.kind() == ErrorKind::NotFound => elsewhere.push(wanted),
                    place => here.push((wanted, place)),
                }
            }
            here.retain(|(wanted, _)| is_due(tries.loaded.get(wanted)));
            elsewhere.retain(|wanted| is_due(tries.brought.get(wanted)));
            if here.is_empty() {
                break;
            }
            self.load_from(here, &mut tries.loaded);
        }
        elsewhere
    }

    /// Reads the registry if its revision is another, and puts in force what is in memory.
    pub(super) fn follow(&self) -> Result<()> {
        let mut registry = lock(&self.registry);
        let revision = self.store.registry_revision()?;
        let before = self.live();
        if before.revision == Some(revision) {
            return Ok(());
        }
        *registry = self.store.registry()?;
        self.swap(assemble(&registry, &before, &loaded(&before), before.failures.clone()));
        Ok(())
    }

    /// Versions of the registry that are not in memory.
    fn missing(&self) -> Vec<Wanted> {
        let mut missing = wanted(&lock(&self.registry));
        let loaded = loaded(&self.live());
        missing.retain(|w| !loaded.contains_key(w));
        missing
    }

    /// Loads bundles from where they lie and puts them in force; what fails is told, and noted in `tried`.
    fn load_from(&self, places: Vec<(Wanted, Result<PathBuf>)>, tried: &mut BTreeMap<Wanted, Instant>) {
        let load = |(wanted, place): (Wanted, Result<PathBuf>)| {
            let loaded = place.and_then(|place| self.load(&wanted.0, wanted.1, &wanted.2, &place));
            (wanted, loaded)
        };
        let results: Vec<(Wanted, Result<Arc<Loaded>>)> = places.into_par_iter().map(load).collect();
        let registry = lock(&self.registry);
        let now = self.live();
        let (mut loaded, mut failures) = (loaded(&now), now.failures.clone());
        failures.retain(|f| !results.iter().any(|(w, _)| (&f.model, f.version) == (&w.0, w.1)));
        for (wanted, result) in results {
            match result {
                Ok(model) => {
                    tracing::info!(model = wanted.0, version = wanted.1, "a bundle is loaded, checked and warm");
                    loaded.insert(wanted, model);
                }
                Err(e) => {
                    // From the end: what failed after longer than the pause is not tried again at once.
                    tried.insert(wanted.clone(), Instant::now());
                    let (model, version, digest) = wanted;
                    tracing::error!(model, version, digest, error = %e, "a bundle is refused; what answered before answers on");
                    failures.push(LoadFailure { model, version, digest, error: e.to_string() });
                }
            }
        }
        self.swap(assemble(&registry, &now, &loaded, failures));
    }

    /// Reads a bundle (which checks every part and replays the golden rows), compares its digest with the registry's, and
    /// scores and explains rows by the way that requests go, so that the first request finds everything made.
    pub(super) fn load(&self, model: &str, version: u32, digest: &str, place: &Path) -> Result<Arc<Loaded>> {
        let bundle = Bundle::read(place)?;
        let own = bundle.digest()?;
        if own != digest {
            return Err(Error::damaged(format!(
                "{}: the digest of the bundle is {own}; the registry says {digest}",
                place.display()
            )));
        }
        let columns = Columns::new(bundle.scorer.schema())?;
        let columns = if bundle.windows.is_some() { columns.with_windows() } else { columns };
        let rules = Rules::of(&bundle)?;
        let live = LiveColumns::of(&bundle, rules.as_ref().map(|rules| &rules.ruling))?;
        let loaded = Loaded {
            name: model.into(),
            version,
            digest: own,
            bundle,
            columns,
            rules,
            live,
            _counted: Counted::new(&self.n_loaded),
        };
        if let Some(why) = loaded.live.as_ref().and_then(|live| live.why_brought.as_ref()) {
            tracing::warn!(model, version, why, "transactions must bring the network's columns themselves");
        }
        compute::warm(&loaded)?;
        Ok(Arc::new(loaded))
    }
}

/// The bundles that are in memory because they may answer.
fn loaded(live: &Live) -> BTreeMap<Wanted, Arc<Loaded>> {
    let all = live.models.values().flat_map(Served::all);
    all.map(|model| ((model.name.clone(), model.version, model.digest.clone()), model.clone())).collect()
}

/// The versions that may have to answer.
fn wanted(registry: &Registry) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (name, model) in &registry.models {
        let route = &model.route;
        let challenger = route.challenger.map(|c| c.version);
        for version in [route.champion, challenger, route.backup, route.before.last().copied()].into_iter().flatten() {
            wanted.extend(key(name, model, version));
        }
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

fn key(name: &str, model: &Model, version: u32) -> Option<Wanted> {
    let found = model.versions.iter().find(|v| v.number == version)?;
    Some((name.into(), version, found.digest.clone()))
}

/// What answers under a registry, of the bundles that are in memory.
fn assemble(
    registry: &Registry,
    before: &Live,
    loaded: &BTreeMap<Wanted, Arc<Loaded>>,
    mut failures: Vec<LoadFailure>,
) -> Live {
    let still = wanted(registry);
    failures.retain(|f| still.iter().any(|w| (&f.model, f.version, &f.digest) == (&w.0, w.1, &w.2)));
    let mut models = BTreeMap::new();
    for (name, model) in &registry.models {
        let old = before.models.get(name).cloned().unwrap_or_default();
        let find = |version: Option<u32>| loaded.get(&key(name, model, version?)?).cloned();
        let route = model.route.clone();
        // A champion or backup whose bundle is not there (yet, or refused) leaves the one that answered before.
        let or_old =
            |version: Option<u32>, old: Option<Arc<Loaded>>| version.and_then(|version| find(Some(version)).or(old));
        let challenger = find(route.challenger.map(|c| c.version)).map(|model| {
            let same = old.challenger.as_ref().filter(|(before, _)| Arc::ptr_eq(before, &model));
            let tally = same.map_or_else(Arc::<Tally>::default, |(_, tally)| tally.clone());
            (model, tally)
        });
        let served = Served {
            champion: or_old(route.champion, old.champion),
            challenger,
            backup: or_old(route.backup, old.backup),
            previous: find(route.before.last().copied()),
            route,
        };
        models.insert(name.clone(), served);
    }
    Live { revision: Some(registry.revision), models, failures }
}
