//! Who is scored next.

use super::{Answers, ComputeSettings, Job, Lane, Wanted};
use crate::models::Loaded;
use statera_core::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Rows of a request that is scored a slice at a time where reasons are asked for: about two milliseconds' work of a
/// boosted model, which is what an urgent request may have to wait.
const SLICE_EXPLAINED: usize = 256;
/// The same where scores alone are asked for.
const SLICE_SCORED: usize = 1_024;
/// Turns of small requests after which a large one gets its slice, although more small ones wait.
const SMALL_TURNS: u32 = 8;
/// Requests for other models that are passed over when those for one model are put together.
const MAX_PASSED: usize = 256;

/// A request on its way.
pub(super) struct Waiting {
    pub job: Job,
    pub since: Instant,
    /// Of a large request: rows that are scored, and what came of them.
    pub done_rows: usize,
    pub answers: Option<Answers>,
}

impl Waiting {
    /// Rows that are scored in one go.
    pub(super) fn slice_rows(&self) -> usize {
        match self.job.wanted {
            Wanted::Scores => SLICE_SCORED,
            Wanted::Decisions(_) | Wanted::Ruled(_) => SLICE_EXPLAINED,
        }
    }
    fn is_large(&self) -> bool {
        self.job.rows.len() > self.slice_rows()
    }
}

/// What a thread does next.
pub(super) enum Turn {
    /// Requests for one model that are scored together.
    Small(Vec<Waiting>),
    /// A slice of a large request.
    Slice(Box<Waiting>),
}

#[derive(Default)]
struct Queues {
    urgent: VecDeque<Waiting>,
    plain: VecDeque<Waiting>,
    /// Urgent ones in front.
    large: VecDeque<Box<Waiting>>,
    shadow: VecDeque<Waiting>,
    small_turns: u32,
    /// Threads that sleep and were not woken yet.
    n_sleeping: usize,
    is_closed: bool,
}

/// What waits for the pool's threads.
pub(super) struct Lanes {
    queues: Mutex<Queues>,
    filled: Condvar,
    limit: usize,
    shadow_limit: usize,
    batch_rows: usize,
}

impl Lanes {
    pub(super) fn new(settings: &ComputeSettings) -> Lanes {
        Lanes {
            queues: Mutex::default(),
            filled: Condvar::new(),
            limit: settings.queue,
            shadow_limit: settings.shadow_queue,
            batch_rows: settings.batch_rows,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request; nobody is woken for it yet.
    pub(super) fn push(&self, job: Job) -> Result<()> {
        let waiting = Waiting { job, since: Instant::now(), done_rows: 0, answers: None };
        let mut queues = self.lock();
        if queues.is_closed {
            return Err(Error::busy("the server is ending"));
        }
        let lane = waiting.job.lane;
        let is_large = waiting.is_large();
        let (n_waiting, limit) = match lane {
            Lane::Shadow => (queues.shadow.len(), self.shadow_limit),
            _ if is_large => (queues.large.len(), self.limit),
            Lane::Urgent => (queues.urgent.len(), self.limit),
            Lane::Plain => (queues.plain.len(), self.limit),
        };
        if n_waiting >= limit {
            return Err(Error::busy(format!("{n_waiting} requests wait to be scored; allowed: at most {limit}")));
        }
        match lane {
            Lane::Shadow => queues.shadow.push_back(waiting),
            Lane::Urgent if is_large => queues.large.push_front(Box::new(waiting)),
            Lane::Plain if is_large => queues.large.push_back(Box::new(waiting)),
            Lane::Urgent => queues.urgent.push_back(waiting),
            Lane::Plain => queues.plain.push_back(waiting),
        }
        Ok(())
    }

    /// Wakes a thread that sleeps, if something waits. Waking one that is at work would be a call of the system for nothing.
    pub(super) fn wake(&self) {
        let mut queues = self.lock();
        if queues.n_sleeping > 0 && queues.has_any() {
            queues.n_sleeping -= 1;
            drop(queues);
            self.filled.notify_one();
        }
    }

    /// Puts back a large request of which rows are left; it goes on before others of its kind.
    pub(super) fn push_rest(&self, waiting: Box<Waiting>) {
        let mut queues = self.lock();
        match waiting.job.lane {
            Lane::Shadow => queues.shadow.push_front(*waiting),
            Lane::Urgent | Lane::Plain => queues.large.push_front(waiting),
        }
        drop(queues);
        self.wake();
    }

    /// What to do next; waits for it. `None` once the pool is closed and nothing is left.
    pub(super) fn take(&self) -> Option<Turn> {
        let mut queues = self.lock();
        loop {
            if let Some(turn) = queues.next(self.batch_rows) {
                return Some(turn);
            }
            if queues.is_closed {
                return None;
            }
            queues.n_sleeping += 1;
            queues = self.filled.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_all();
    }

    pub(super) fn n_waiting(&self) -> usize {
        let queues = self.lock();
        queues.urgent.len() + queues.plain.len() + queues.large.len()
    }
}

impl Queues {
    fn has_any(&self) -> bool {
        !(self.urgent.is_empty() && self.plain.is_empty() && self.large.is_empty() && self.shadow.is_empty())
    }

    fn next(&mut self, batch_rows: usize) -> Option<Turn> {
        let is_large_due = self.small_turns >= SMALL_TURNS || (self.urgent.is_empty() && self.plain.is_empty());
        if is_large_due && let Some(large) = self.large.pop_front() {
            self.small_turns = 0;
            return Some(Turn::Slice(large));
        }
        let first = self.urgent.pop_front().or_else(|| self.plain.pop_front());
        if let Some(first) = first {
            self.small_turns = self.small_turns.saturating_add(1);
            let model = first.job.model.clone();
            let mut together = Together { n_rows: first.job.rows.len(), all: vec![first], batch_rows };
            together.gather(&model, &mut self.urgent);
            together.gather(&model, &mut self.plain);
            return Some(Turn::Small(together.all));
        }
        // One at a time: a request that comes now waits for no more than one copy.
        let shadow = self.shadow.pop_front()?;
        Some(if shadow.is_large() { Turn::Slice(Box::new(shadow)) } else { Turn::Small(vec![shadow]) })
    }
}

/// Requests that are put together.
struct Together {
    all: Vec<Waiting>,
    n_rows: usize,
    batch_rows: usize,
}

impl Together {
    /// Takes from a queue what waits for the model and finds room; the others stay in their order.
    fn gather(&mut self, model: &Arc<Loaded>, queue: &mut VecDeque<Waiting>) {
        let mut passed = Vec::new();
        while passed.len() < MAX_PASSED
            && self.n_rows < self.batch_rows
            && let Some(waiting) = queue.pop_front()
        {
            let n_rows = waiting.job.rows.len();
            if Arc::ptr_eq(model, &waiting.job.model) && self.n_rows + n_rows <= self.batch_rows {
                self.n_rows += n_rows;
                self.all.push(waiting);
            } else {
                passed.push(waiting);
            }
        }
        for waiting in passed.into_iter().rev() {
            queue.push_front(waiting);
        }
    }
}
