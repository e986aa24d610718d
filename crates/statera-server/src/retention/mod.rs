//! Retention by policy: once a day, and at the start, the keys of what is older than the bank keeps it are destroyed, as
//! `statera ledger retain` does it by hand.
//!
//! A thread of its own does it, a batch at a time, so that no answer waits for it. Of several servers of a store one does it at a
//! time, by a claim that goes with the process; another that comes later finds nothing more, since a key is destroyed once. What is too
//! old is counted from the clock or from the ledger's last row, whichever is earlier. Every batch is a row of the ledger.
//!
//! A clock that is ahead must erase nothing. Where it is far ahead of the ledger's last row, not even the row is written that says
//! that nothing was old: it would have the clock's time, and be the last row of the next look.

mod settings;
#[cfg(test)]
mod tests;

pub use settings::RetentionSettings;

use crate::who::{Clock, SECOND_US};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use statera_core::{ErrorKind, Result};
use statera_store::act::Actor;
use statera_store::retention::{CLAIM, Reach, reach};
use statera_store::{AWAY, Store};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(60);
/// How long the end waits for the thread.
const END: Duration = Duration::from_secs(1);
/// Microseconds after which what failed, or what another server did, is tried again.
const AGAIN_US: i64 = 600 * SECOND_US;
const DAY_US: i64 = 86_400 * SECOND_US;

/// What became of a look that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was done.
    Done,
    /// The store did not answer, or not to the end.
    Failed,
    /// Another server, or the command, is doing it.
    Elsewhere,
    /// The clock is too far ahead of the ledger's last row.
    Clock,
}

/// What an erasure came to.
enum Erased {
    /// Keys that were destroyed, and how far it could go.
    Keys(u64, Reach),
    /// The clock is too far ahead of the ledger's last row, which is of this time, microseconds since 1970 UTC.
    Ahead(i64),
    /// Another process has the right to.
    Elsewhere,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Done, Outcome::Failed, Outcome::Elsewhere, Outcome::Clock];

    fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Elsewhere => "elsewhere",
            Outcome::Clock => "clock",
        }
    }
}

/// Erases by age, if the settings say so.
pub struct Retention {
    inner: Arc<Inner>,
    /// When it is dropped, the thread ends.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    settings: RetentionSettings,
    /// None: nothing is erased by age.
    age_us: Option<i64>,
    store: Arc<dyn Store>,
    clock: Clock,
    /// Held while it is done.
    state: Mutex<State>,
    tally: Tally,
}

/// When it was done, and when it was tried in vain; microseconds since 1970 UTC.
#[derive(Default)]
struct State {
    done_us: Option<i64>,
    vain_us: Option<i64>,
}

/// What was counted since the start.
#[derive(Default)]
struct Tally {
    keys: AtomicU64,
    runs: [AtomicU64; Outcome::ALL.len()],
    /// When it was done last, microseconds since 1970 UTC; 0: not yet.
    done_us: AtomicI64,
}

impl Retention {
    /// Begins, where the settings name an age; the first look is made at once, beside whoever calls this.
    ///
    /// # Errors
    /// Settings that cannot be meant; a thread that cannot be started.
    pub fn open(settings: &RetentionSettings, store: Arc<dyn Store>, clock: Clock) -> Result<Retention> {
        let age_us = settings.age_us()?;
        let (settings, state, tally) = (settings.clone(), Mutex::default(), Tally::default());
        let inner = Arc::new(Inner { settings, age_us, store, clock, state, tally });
        if age_us.is_none() {
            return Ok(Retention { inner, stop: None, thread: None });
        }
        let (stop, stopped) = sync_channel(0);
        let of_thread = inner.clone();
        let work = move || {
            loop {
                of_thread.look();
                if stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("retention".into()).spawn(work)?;
        Ok(Retention { inner, stop: Some(stop), thread: Some(thread) })
    }

    /// Does it, if it is due. Waits while it is being done.
    pub fn look(&self) {
        self.inner.look();
    }
}

impl Drop for Retention {
    /// What is being erased is left after a moment: it ends when the store is closed.
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + END;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Inner {
    fn look(&self) {
        let Some(age_us) = self.age_us else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now_us = (self.clock)();
        if !state.is_due(now_us, self.settings.due_us(now_us)) {
            return;
        }
        let outcome = match self.erase(age_us, now_us) {
            Ok(Erased::Keys(keys, reach)) => {
                self.tally.keys.fetch_add(keys, Ordering::Relaxed);
                self.tally.done_us.store(now_us, Ordering::Relaxed);
                self.tell(keys, reach);
                Outcome::Done
            }
            Ok(Erased::Ahead(latest_us)) => {
                let (clock, last_row) = (statera_data::iso(now_us), statera_data::iso(latest_us));
                tracing::warn!(
                    clock,
                    last_row,
                    "this machine's clock is more than 35 days ahead of the ledger's last row, and nothing is erased by age; set it \
                     right if it is wrong; if the store was idle, it goes on after the next decision, or by `statera ledger retain`"
                );
                Outcome::Clock
            }
            Ok(Erased::Elsewhere) => {
                tracing::debug!("another process erases what is old");
                Outcome::Elsewhere
            }
            Err(e) => {
                tracing::warn!(error = %e, "what is old could not be erased; it is tried again in ten minutes");
                Outcome::Failed
            }
        };
        self.tally.runs[outcome as usize].fetch_add(1, Ordering::Relaxed);
        *state = match outcome {
            Outcome::Done => State { done_us: Some(now_us), vain_us: None },
            _ => State { vain_us: Some(now_us), ..*state },
        };
    }

    fn tell(&self, keys: u64, reach: Reach) {
        let older_than = self.settings.older_than.as_str();
        match reach {
            Reach::Whole { before_us } => {
                let before = statera_data::iso(before_us);
                tracing::info!(keys, before, older_than, "what is older than the policy keeps was erased");
            }
            Reach::Part { before_us, wanted_us } => {
                let (before, wanted) = (statera_data::iso(before_us), statera_data::iso(wanted_us));
                tracing::warn!(
                    keys,
                    before,
                    wanted,
                    older_than,
                    "only a part of what is older than the policy keeps was erased: it goes further by 60 days a day, so that a wrong \
                     clock erases little; `statera ledger retain --by PERSON` erases all of it at once"
                );
            }
            Reach::Nowhere { .. } => {}
        }
    }

    fn erase(&self, age_us: i64, now_us: i64) -> Result<Erased> {
        let _claim = match self.store.claim(CLAIM) {
            Ok(claim) => claim,
            Err(e) if e.kind() == ErrorKind::Busy && !e.to_string().contains(AWAY) => return Ok(Erased::Elsewhere),
            Err(e) => return Err(e),
        };
        let reach = reach(&*self.store, age_us, now_us)?;
        let before_us = match reach {
            Reach::Whole { before_us } | Reach::Part { before_us, .. } => before_us,
            Reach::Nowhere { latest_us } => return Ok(Erased::Ahead(latest_us)),
        };
        let why = format!("retention.older_than = {}", self.settings.older_than);
        let n_keys = self.store.retain(&Actor::System, before_us, &why)?;
        Ok(Erased::Keys(n_keys, reach))
    }
}

impl State {
    /// True if it was not done since `due_us`. What was done at a time that is still more than a day ahead, by a clock that was set
    /// back since, does not count.
    fn is_due(&self, now_us: i64, due_us: i64) -> bool {
        let waits = self.vain_us.is_some_and(|at_us| (at_us..at_us.saturating_add(AGAIN_US)).contains(&now_us));
        !waits && self.done_us.is_none_or(|at_us| !(due_us..=now_us.saturating_add(DAY_US)).contains(&at_us))
    }
}

/// What Prometheus reads of it, copied where somebody reads.
pub struct Gauges {
    keys: IntCounter,
    runs: IntCounterVec,
    done: IntGauge,
}

impl Gauges {
    /// With nothing counted, in a registry of metrics.
    ///
    /// # Errors
    /// A name that is registered twice.
    pub fn new(registry: &Registry) -> prometheus::Result<Gauges> {
        let runs = Opts::new("statera_retention_runs_total", "Times that erasing by age was due, by outcome");
        let done = "When it was done last, seconds since 1970; 0: not since the start, or no age is set";
        let gauges = Gauges {
            keys: IntCounter::new("statera_retention_keys_total", "Keys that were destroyed by age")?,
            runs: IntCounterVec::new(runs, &["outcome"])?,
            done: IntGauge::new("statera_retention_done_timestamp_seconds", done)?,
        };
        registry.register(Box::new(gauges.keys.clone()))?;
        registry.register(Box::new(gauges.runs.clone()))?;
        registry.register(Box::new(gauges.done.clone()))?;
        Ok(gauges)
    }

    /// Copies what was counted.
    pub fn pull(&self, retention: &Retention) {
        let tally = &retention.inner.tally;
        let raise = |counter: &IntCounter, to: &AtomicU64| {
            counter.inc_by(to.load(Ordering::Relaxed).saturating_sub(counter.get()));
        };
        raise(&self.keys, &tally.keys);
        for (outcome, n) in Outcome::ALL.into_iter().zip(&tally.runs) {
            raise(&self.runs.with_label_values(&[outcome.name()]), n);
        }
        self.done.set(tally.done_us.load(Ordering::Relaxed) / SECOND_US);
    }
}
