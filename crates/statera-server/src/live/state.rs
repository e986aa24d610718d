//! The state of one model's windows and network, the transactions that are on their way to the disk, and those that were taken lately.
//!
//! An advance is never undone. A transaction or label that was taken and could not be recorded leaves the state marked: nothing
//! is taken any more until it was rebuilt of what is recorded, and who asks meanwhile is told to ask again.

use super::columns::LiveColumns;
use super::counting::{Counting, Event};
use super::rebuild::Rebuilt;
use super::settings::TransactionsSettings;
use crate::http::failure::Failure;
use statera_core::{Error, Result};
use statera_data::network::{Edges, EdgesTaken};
use statera_data::window::Refusal;
use statera_store::Claim;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Transactions whose names are remembered: those that may have come between the look into the store and the taking.
const RECENT: usize = 1 << 16;
/// Looks at a state that somebody else advances before a transaction is refused: the first ones at once, the others with a pause.
const MAX_LOOKS: usize = 400;
const MAX_YIELDS: usize = 200;
const LOOK: Duration = Duration::from_micros(50);
/// Edges from which on it takes milliseconds to take them.
const MANY_EDGES: usize = 256;

/// The state as a thread that failed has left it.
type Poisoned<'s> = PoisonError<MutexGuard<'s, Option<Counting>>>;

/// The live state of one model.
pub struct Live {
    /// The model.
    pub name: String,
    pub(super) settings: TransactionsSettings,
    /// Held for the time of an advance; for as long as a snapshot is written.
    pub(super) state: Mutex<Option<Counting>>,
    desk: Mutex<Desk>,
    /// True while a snapshot is written, the network ranked, or many edges taken.
    is_busy: AtomicBool,
    /// The right to count; none before the state is there.
    pub(super) claim: Mutex<Option<Claim>>,
    /// What went wrong last, so that it is told once.
    pub(super) trouble: Mutex<Option<String>>,
}

/// What is on its way. Its lock is taken after that of the state.
#[derive(Default)]
struct Desk {
    /// The number of what was taken last.
    number: u64,
    /// Numbers of what is not on disk yet.
    open: BTreeSet<u64>,
    recent: HashMap<String, Recent>,
    order: VecDeque<String>,
    /// Transactions that were ever put into `recent`.
    n_recent: u64,
    /// Why nothing is taken until the state is rebuilt.
    stale: Option<String>,
    /// How often it was marked, ever.
    n_marked: u64,
    /// Takings that were not recorded, ever.
    n_failed: u64,
    snapshot: Option<(u64, Instant)>,
}

/// A transaction that was taken lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent {
    /// True once it is on disk.
    pub is_recorded: bool,
}

/// What is known of a transaction's name before the store is asked.
pub enum Known {
    /// It was taken lately.
    Recent(Recent),
    /// The store must be asked; what it says holds for [`Live::take`] with this mark.
    Unknown(u64),
}

/// A transaction that is to be taken.
pub struct Taking<'a> {
    /// As the state takes it.
    pub event: &'a Event,
    /// Its name.
    pub id: &'a str,
    /// That of [`Known::Unknown`].
    pub mark: u64,
}

/// What becomes of the state when what was taken is recorded or is not: dropped without [`Ticket::recorded`], it was not.
pub struct Ticket {
    live: Arc<Live>,
    /// The place in the order in which the state took it.
    pub number: u64,
    id: Option<String>,
    /// False where the state is as it was before.
    is_counted: bool,
    is_done: bool,
}

impl Live {
    pub(super) fn new(name: &str, settings: &TransactionsSettings) -> Live {
        let desk = Desk { stale: Some("is being built".into()), ..Desk::default() };
        Live {
            name: name.into(),
            settings: settings.clone(),
            state: Mutex::default(),
            desk: Mutex::new(desk),
            is_busy: AtomicBool::new(false),
            claim: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Option<Counting>> {
        self.state.lock().unwrap_or_else(|poisoned| self.cleared(poisoned))
    }

    /// The state on a thread that serves connections, which never waits for a snapshot: another advance takes microseconds.
    fn state_at_once(&self) -> Result<MutexGuard<'_, Option<Counting>>> {
        for look in 0..MAX_LOOKS {
            match self.state.try_lock() {
                Ok(state) => return Ok(state),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(self.cleared(poisoned)),
                Err(TryLockError::WouldBlock) if self.is_busy() => break,
                Err(TryLockError::WouldBlock) if look < MAX_YIELDS => std::thread::yield_now(),
                // Whoever has it may have been put aside by the system.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            }
        }
        Err(Error::busy(format!(
            "a snapshot of the state of «{}» is being written, its network ranked, or many edges taken; nothing was taken",
            self.name
        )))
    }

    fn cleared<'s>(&'s self, poisoned: Poisoned<'s>) -> MutexGuard<'s, Option<Counting>> {
        // A thread that panicked while it counted has left who knows what.
        self.mark("was left by a thread that failed");
        self.state.clear_poison();
        let mut state = poisoned.into_inner();
        *state = None;
        state
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Every change of it is whole.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while a snapshot is written, the network ranked, or many edges taken: taking would wait.
    pub fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Acquire)
    }

    /// Transactions that are taken and not on disk yet.
    pub fn n_open(&self) -> usize {
        self.desk().open.len()
    }

    /// What is known of a transaction's name.
    pub fn known(&self, id: &str) -> Known {
        let desk = self.desk();
        desk.recent.get(id).map_or(Known::Unknown(desk.n_recent), |recent| Known::Recent(*recent))
    }

    /// Takes a transaction: its columns, and the ticket of its record. `now` is the clock's, microseconds UTC.
    ///
    /// # Errors
    /// What the state refuses; 503 where the state is being rebuilt, where too many are on their way, or where the same
    /// transaction is; 409 for one that was taken since the store was asked.
    pub fn take(
        self: &Arc<Live>,
        columns: &LiveColumns,
        taking: &Taking<'_>,
        now: i64,
    ) -> std::result::Result<(Ticket, Vec<f64>), Failure> {
        let mut state = self.state_at_once()?;
        let desk = self.desk();
        let state = self.ready(&mut state, &desk)?;
        self.is_counted_by(state, columns)?;
        self.has_room(&desk)?;
        if desk.recent.contains_key(taking.id) || desk.n_recent.saturating_sub(taking.mark) >= RECENT as u64 {
            let told = format!("transaction «{}» is being taken; ask again for its answer", taking.id);
            return Err(Failure::from(Error::busy(told)));
        }
        let mut counted = vec![f64::NAN; columns.n_made()];
        let is_long = state.is_long(taking.event);
        let (taken, mut desk) = self.advance(desk, is_long, || state.advance(taking.event, Some(now), &mut counted))?;
        if taken.n_evicted > 0 {
            tracing::warn!(model = self.name, keys = taken.n_evicted, "keys with events in windows are forgotten");
        }
        desk.remember(taking.id, Recent { is_recorded: false });
        Ok((self.ticket(&mut desk, Some(taking.id.into()), true), counted))
    }

    /// Takes edges of the network that come of themselves, all or none: the ticket of their record, and what became of them. What the
    /// state knows already is recorded all the same: who said it first may not be on disk yet.
    ///
    /// # Errors
    /// What the state refuses; 503 where the state is being rebuilt, or where too many are on their way.
    pub fn edges(
        self: &Arc<Live>,
        columns: &LiveColumns,
        edges: &Edges,
        now: i64,
    ) -> std::result::Result<(Ticket, EdgesTaken), Failure> {
        // As a label they may wait for a snapshot.
        let mut state = self.state();
        let desk = self.desk();
        let state = self.ready(&mut state, &desk)?;
        self.is_counted_by(state, columns)?;
        self.has_room(&desk)?;
        let is_long = edges.counts.n_used > MANY_EDGES;
        let (taken, mut desk) = self.advance(desk, is_long, || state.take_edges(edges, Some(now)))?;
        Ok((self.ticket(&mut desk, None, taken.n_new > 0), taken))
    }

    /// Does something with the state. The others wait for a long one as for a snapshot; what is on its way to the disk does not.
    fn advance<'d, T>(
        &'d self,
        desk: MutexGuard<'d, Desk>,
        is_long: bool,
        work: impl FnOnce() -> std::result::Result<T, Refusal>,
    ) -> std::result::Result<(T, MutexGuard<'d, Desk>), Failure> {
        self.is_busy.fetch_or(is_long, Ordering::AcqRel);
        let desk = (!is_long).then_some(desk);
        let done = work();
        self.is_busy.fetch_and(!is_long, Ordering::AcqRel);
        let done = done.map_err(Failure::refused)?;
        let mut desk = desk.unwrap_or_else(|| self.desk());
        if let Some(why) = desk.stale.clone() {
            // It was marked meanwhile: what is being rebuilt may lack nothing that is recorded later.
            desk.n_marked += 1;
            return Err(Failure::from(self.away(&why)));
        }
        Ok((done, desk))
    }

    fn is_counted_by(&self, state: &Counting, columns: &LiveColumns) -> Result<()> {
        if state.is_of(columns) {
            return Ok(());
        }
        Err(self.away("is being built for another version of its windows or its network"))
    }

    /// Takes a label (whether it was a fraud, and when that became known): the ticket of its record, and whether the state has learnt something by it. What it knows already, or has no
    /// use for, has its number all the same: other windows may learn it when a state is built for them.
    ///
    /// # Errors
    /// What the state refuses else; 503 where the state is being rebuilt, or where too many are on their way.
    pub fn label(
        self: &Arc<Live>,
        id: &str,
        event: &Event,
        said: (bool, i64),
    ) -> std::result::Result<(Ticket, bool), Failure> {
        // A label may wait for a snapshot: it is not taken on a thread that serves connections.
        let mut state = self.state();
        let mut desk = self.desk();
        let state = self.ready(&mut state, &desk)?;
        self.has_room(&desk)?;
        let is_new = state.label(id, Some(event), said).map_err(Failure::refused)?;
        Ok((self.ticket(&mut desk, None, is_new), is_new))
    }

    /// Refuses what would be one too many on its way.
    fn has_room(&self, desk: &Desk) -> Result<()> {
        let n = desk.open.len();
        if n < self.settings.in_flight {
            return Ok(());
        }
        Err(Error::busy(format!("{n} transactions wait for the disk, as many as are allowed")))
    }

    fn ready<'s>(&self, state: &'s mut Option<Counting>, desk: &Desk) -> Result<&'s mut Counting> {
        if let Some(why) = &desk.stale {
            return Err(self.away(why));
        }
        state.as_mut().ok_or_else(|| self.away("is being built"))
    }

    fn away(&self, why: &str) -> Error {
        Error::busy(format!("the state of «{}» {why}; nothing was taken, ask again", self.name))
    }

    fn ticket(self: &Arc<Live>, desk: &mut Desk, id: Option<String>, is_counted: bool) -> Ticket {
        desk.number += 1;
        desk.open.insert(desk.number);
        Ticket { live: self.clone(), number: desk.number, id, is_counted, is_done: false }
    }

    /// Has the state rebuilt before anything is taken again.
    pub(super) fn mark(&self, why: &str) {
        let mut desk = self.desk();
        desk.stale = Some(why.into());
        desk.n_marked += 1;
    }

    /// How often the state was marked, ever.
    pub(super) fn n_marked(&self) -> u64 {
        self.desk().n_marked
    }

    /// True while this process has the right to count. A right that is lost has the state rebuilt, once it is there again.
    pub(super) fn check_claim(&self) -> bool {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.as_ref().is_some_and(Claim::holds) {
            return true;
        }
        if claim.take().is_some() {
            self.mark("is not this process's any more");
        }
        false
    }

    /// True if the state must be rebuilt, and nothing that was taken is on its way any more.
    pub(super) fn is_to_be_rebuilt(&self) -> bool {
        let desk = self.desk();
        desk.stale.is_some() && desk.open.is_empty()
    }

    /// True if transactions are taken.
    pub fn is_ready(&self) -> bool {
        self.desk().stale.is_none()
    }

    /// Puts a state that was rebuilt in force; false where it was marked since [`Live::n_marked`] gave a number.
    pub(super) fn begin(&self, rebuilt: Rebuilt, n_marked: u64) -> bool {
        let mut own = self.state();
        let mut desk = self.desk();
        if desk.n_marked != n_marked {
            return false;
        }
        let before = own.replace(rebuilt.state);
        desk.number = desk.number.max(rebuilt.number);
        desk.recent.clear();
        desk.order.clear();
        // Whoever asked the store before knows nothing of what is forgotten here.
        desk.n_recent += RECENT as u64;
        desk.snapshot = Some((rebuilt.kept, Instant::now()));
        desk.stale = None;
        // To let go of a large state takes a while, for which nobody should wait.
        drop((desk, own));
        drop(before);
        true
    }

    /// True if it is time for a snapshot of something new.
    pub(super) fn is_snapshot_due(&self, at_once: bool) -> bool {
        let desk = self.desk();
        let Some((number, at)) = desk.snapshot else { return false };
        desk.stale.is_none() && desk.number > number && (at_once || at.elapsed().as_secs() >= self.settings.snapshot_s)
    }

    /// Calls `write` with the state and the number of what it took last, while nothing is taken.
    pub(super) fn still<T>(&self, write: impl FnOnce(&Counting, u64) -> Result<T>) -> Result<Option<(T, Still)>> {
        self.is_busy.store(true, Ordering::Release);
        let done = {
            let state = self.state();
            // Who had it before may have said that it is free.
            self.is_busy.store(true, Ordering::Release);
            let still = {
                let desk = self.desk();
                desk.stale.is_none().then_some(Still { number: desk.number, n_failed: desk.n_failed })
            };
            state.as_ref().zip(still).map(|(state, still)| write(state, still.number).map(|t| (t, still))).transpose()
        };
        self.is_busy.store(false, Ordering::Release);
        done
    }

    /// Whether everything that a snapshot has is on disk; `None` while something is on its way.
    pub(super) fn is_settled(&self, still: &Still) -> Option<bool> {
        let desk = self.desk();
        if desk.n_failed != still.n_failed {
            return Some(false);
        }
        desk.open.first().is_none_or(|first| *first > still.number).then_some(true)
    }

    /// Notes that a snapshot was written.
    pub(super) fn kept(&self, still: &Still) {
        self.desk().snapshot = Some((still.number, Instant::now()));
    }
}

/// Where the state stood while a snapshot was written.
pub(super) struct Still {
    pub number: u64,
    n_failed: u64,
}

impl Desk {
    fn remember(&mut self, id: &str, recent: Recent) {
        self.recent.insert(id.into(), recent);
        self.order.push_back(id.into());
        self.n_recent += 1;
        while self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }
}

impl Ticket {
    /// What was taken is on disk.
    pub fn recorded(mut self) {
        self.is_done = true;
        let mut desk = self.live.desk();
        desk.open.remove(&self.number);
        if let Some(id) = &self.id
            && let Some(recent) = desk.recent.get_mut(id)
        {
            recent.is_recorded = true;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut desk = self.live.desk();
        desk.open.remove(&self.number);
        if !self.is_counted {
            return;
        }
        desk.n_failed += 1;
        if let Some(id) = &self.id {
            desk.recent.remove(id);
        }
        desk.stale.get_or_insert_with(|| "is being rebuilt, because a record could not be written".into());
        tracing::warn!(
            model = self.live.name,
            number = self.number,
            "what was taken was not recorded: the state is rebuilt"
        );
    }
}
