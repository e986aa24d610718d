//! Everything a fit needs that is not data.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where long work reports how far it is.
pub trait Progress: Send + Sync {
    /// A step begins; `total` units are expected (0 if unknown).
    fn start(&self, step: &str, total: u64);
    /// `done` units of the current step are finished in all, with a short remark (a loss, a metric).
    fn update(&self, done: u64, remark: &str);
    /// The current step ends.
    fn finish(&self);
}

/// Reports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64) {}
    fn update(&self, _: u64, _: &str) {}
    fn finish(&self) {}
}

/// Seed, threads, progress and cancellation of a piece of work.
#[derive(Clone)]
pub struct Run {
    /// Every random draw derives from it.
    pub seed: u64,
    /// Worker threads, at least 1. Results are the same for every number unless a learner says otherwise.
    pub threads: usize,
    /// Where progress goes.
    pub progress: Arc<dyn Progress>,
    cancelled: Arc<AtomicBool>,
}

impl Run {
    /// A silent run.
    pub fn new(seed: u64, threads: usize) -> Self {
        Run { seed, threads: threads.max(1), progress: Arc::new(Silent), cancelled: Arc::default() }
    }
    /// The same run, reporting to `progress`.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
    /// The same run with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Run { seed, ..self }
    }
    /// The same run with another seed and silent progress: for a part of the work.
    #[must_use]
    pub fn part(&self, seed: u64) -> Self {
        Run { seed, progress: Arc::new(Silent), ..self.clone() }
    }
    /// The flag that stops the work; set it from a signal handler.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancelled.clone()
    }
    /// Fails once the user has interrupted the work. Long loops call it at least every 100 ms.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::cancelled()) } else { Ok(()) }
    }
}
