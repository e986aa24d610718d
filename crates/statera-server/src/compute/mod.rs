//! The bounded pool that scores: what waits for the same model is scored as one batch, so that the cost of a batch is
//! shared; no request waits for others to come.
//!
//! A thread takes, in this order: urgent requests, others, large ones (a slice at a time, every few turns even while others
//! come), and copies for shadow challengers when nothing else waits. A request whose rows cannot be scored does not
//! touch those it was put together with. A request whose deadline passed while it waited is not scored.

mod answers;
mod cells;
mod lanes;
mod rows;
mod score;
#[cfg(test)]
mod tests;

pub use answers::Answers;
pub use rows::{Columns, RowsBuilder};
pub use score::{score_alone, warm};

use crate::models::Loaded;
use arrow_array::RecordBatch;
use bytes::Bytes;
use lanes::Lanes;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How requests are scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComputeSettings {
    /// Threads, 0 to 256; 0: one for each core.
    pub threads: usize,
    /// Requests that wait in a lane (urgent, others, large ones) at most, 1 to 100,000; one more is refused with 503.
    pub queue: usize,
    /// Requests that wait for a shadow challenger at most, 1 to 100,000; one more is dropped and counted.
    pub shadow_queue: usize,
    /// Rows that are scored together at most, 1 to 100,000.
    pub batch_rows: usize,
    /// Rows of a request at most, 1 to 1,000,000.
    pub max_rows: usize,
    /// Rows whose contributions by column are kept, if the request does not say.
    pub explain: Explain,
}

impl Default for ComputeSettings {
    fn default() -> ComputeSettings {
        ComputeSettings {
            threads: 0,
            queue: 4_096,
            shadow_queue: 256,
            batch_rows: 512,
            max_rows: 10_000,
            explain: Explain::Adverse,
        }
    }
}

impl ComputeSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("threads", "Threads that score; 0: one for each core"),
        ("queue", "Requests that wait for a thread, by lane (urgent, others, large ones); more are answered 503"),
        ("shadow_queue", "Requests that wait for a shadow challenger; more are dropped and counted"),
        ("batch_rows", "Rows that are scored together"),
        ("max_rows", "Rows of a request"),
        ("explain", "Rows whose contributions are kept, unless the request says: adverse, all or none"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let limits = [
            ("threads", self.threads, 0..=256),
            ("queue", self.queue, 1..=100_000),
            ("shadow_queue", self.shadow_queue, 1..=100_000),
            ("batch_rows", self.batch_rows, 1..=100_000),
            ("max_rows", self.max_rows, 1..=1_000_000),
        ];
        match limits.iter().find(|(_, value, allowed)| !allowed.contains(value)) {
            None => Ok(()),
            Some((name, value, allowed)) => Err(Error::request(format!(
                "compute.{name} is {value}; allowed is {} to {}",
                allowed.start(),
                allowed.end()
            ))),
        }
    }
}

/// Which rows have their margins told by column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explain {
    /// Those that are not approved: they get reasons.
    #[default]
    Adverse,
    /// All.
    All,
    /// None; a replay finds the reasons.
    None,
}

/// What waits where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The payment path.
    Urgent,
    /// The rest.
    Plain,
    /// Copies for shadow challengers.
    Shadow,
}

/// Rows to be scored.
pub enum Rows {
    /// Objects of JSON, each a range of the body.
    Json {
        /// As it came.
        body: Bytes,
        /// Where each row lies in it.
        rows: Vec<Range<usize>>,
    },
    /// Columns by name. Text in them is read by the rules of the training.
    Columns(RecordBatch),
}

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Rows::Json { rows, .. } => rows.len(),
            Rows::Columns(batch) => batch.num_rows(),
        }
    }
    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is asked of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Scores only.
    Scores,
    /// Scores, decisions and reasons.
    Decisions(Explain),
    /// The same, and what the rules beside the model say: rows bring the columns that rules read, too.
    Ruled(Explain),
}

impl Wanted {
    /// Which rows are explained; `None` where nothing is decided.
    fn explain(self) -> Option<Explain> {
        match self {
            Wanted::Scores => None,
            Wanted::Decisions(explain) | Wanted::Ruled(explain) => Some(explain),
        }
    }
}

/// Called once, on a thread of the pool: it must not block.
pub type Done = Box<dyn FnOnce(Result<Answers>) + Send>;

/// A request for the pool.
pub struct Job {
    /// Who scores.
    pub model: Arc<Loaded>,
    /// What.
    pub rows: Rows,
    /// What for.
    pub wanted: Wanted,
    /// Where it waits.
    pub lane: Lane,
    /// Not scored after this moment.
    pub deadline: Option<Instant>,
    /// Who is told.
    pub done: Done,
}

/// How long a request took by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    /// Waiting for a thread.
    pub queue: Duration,
    /// From JSON to columns; of all rows that were scored together.
    pub parse: Duration,
    /// Preparing features and scoring; of all rows that were scored together.
    pub score: Duration,
    /// Deciding and explaining; of all rows that were scored together.
    pub explain: Duration,
}

/// Wakes a thread of the pool when it is dropped.
#[must_use]
pub struct Wake<'a>(&'a Lanes);

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The pool.
pub struct Compute {
    lanes: Arc<Lanes>,
    max_rows: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Compute {
    /// Starts the threads.
    ///
    /// # Errors
    /// Settings outside their ranges; a thread that cannot be started.
    pub fn start(settings: &ComputeSettings) -> Result<Compute> {
        settings.check()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let n_threads = if settings.threads == 0 { cores } else { settings.threads };
        let lanes = Arc::new(Lanes::new(settings));
        let mut compute = Compute { lanes: lanes.clone(), max_rows: settings.max_rows, threads: Vec::new() };
        for i in 0..n_threads {
            let lanes = lanes.clone();
            let thread = std::thread::Builder::new().name(format!("compute-{i}"));
            compute.threads.push(thread.spawn(move || score::work(&lanes))?);
        }
        Ok(compute)
    }

    /// Hands rows to the pool. Never blocks.
    ///
    /// # Errors
    /// `Busy` if the lane is full; `Request` for no rows or too many. The job's `done` is then not called.
    pub fn submit(&self, job: Job) -> Result<()> {
        self.enqueue(job).map(drop)
    }

    /// The same, and a thread that sleeps is not woken before what is given back is dropped: who has more to hand over, or
    /// may soon have, lets it be scored together. On one core a thread that is woken would otherwise score every request by
    /// itself at once, and every one would cost two changes of threads.
    ///
    /// # Errors
    /// As [`Compute::submit`].
    pub fn enqueue(&self, job: Job) -> Result<Wake<'_>> {
        let n_rows = job.rows.len();
        if !(1..=self.max_rows).contains(&n_rows) {
            return Err(Error::request(format!("{n_rows} rows; allowed: 1 to {}", self.max_rows)));
        }
        self.lanes.push(job)?;
        Ok(Wake(&self.lanes))
    }

    /// Requests that wait now.
    pub fn n_waiting(&self) -> usize {
        self.lanes.n_waiting()
    }
}

impl Drop for Compute {
    /// What waits is still scored.
    fn drop(&mut self) {
        self.lanes.close();
        for thread in self.threads.drain(..) {
            // A callback may hold the last reference to what owns the pool: a thread does not wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
