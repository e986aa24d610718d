//! Everything a fit needs that is not data.

use crate::{Error, Parts, Result};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Where long work reports how far it is.
pub trait Progress: Send + Sync {
    /// A step begins; `total` units are expected (0 if unknown).
    fn start(&self, step: &str, total: u64);
    /// `done` units of the current step are finished in all, with a short remark (a loss, a metric).
    fn update(&self, done: u64, remark: &str);
    /// `done` units are finished, and the next one has come this far, from 0 to 1.
    fn within(&self, done: u64, share: f64, remark: &str) {
        let _ = share;
        self.update(done, remark);
    }
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

/// The progress of a part of the work: how far the unit has come that it is of the whole.
struct Within {
    whole: Arc<dyn Progress>,
    name: String,
    /// Units of the whole that were finished before.
    done: u64,
    /// Units of the part; 0 if unknown.
    total: AtomicU64,
}

impl Progress for Within {
    fn start(&self, _: &str, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.whole.within(self.done, 0.0, &self.name);
    }
    fn update(&self, done: u64, remark: &str) {
        let total = self.total.load(Ordering::Relaxed);
        let share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
        let separator = if remark.is_empty() { "" } else { ": " };
        self.whole.within(self.done, share, &format!("{}{separator}{remark}", self.name));
    }
    fn finish(&self) {}
}

/// What is kept of a fit.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// How far it is, in terms of its learner.
    State(Parts),
    /// The fitted model.
    Model(Parts),
}

/// Where unfinished work is kept, so that it can be continued after an interruption.
pub trait Checkpoints: Send + Sync {
    /// Says what the work is of: data, settings, program.
    ///
    /// # Errors
    /// If other work is to be continued; the message says what differs.
    fn open(&self, of: &Value) -> Result<()>;
    /// What was kept under that key, if anything.
    ///
    /// # Errors
    /// What is there cannot be read or is damaged.
    fn load(&self, key: &str) -> Result<Option<Kept>>;
    /// True if it is time to keep the state of a fit, or a fit that is finished.
    fn is_due(&self, is_finished: bool) -> bool;
    /// Keeps something under a key in place of what was there.
    ///
    /// # Errors
    /// The place cannot be written.
    fn save(&self, key: &str, kept: &Kept) -> Result<()>;
}

/// Seed, threads, progress, checkpoints and cancellation of a piece of work.
#[derive(Clone)]
pub struct Run {
    /// Every random draw derives from it.
    pub seed: u64,
    /// Worker threads, at least 1. Results are the same for every number unless a learner says otherwise.
    pub threads: usize,
    /// Where progress goes.
    pub progress: Arc<dyn Progress>,
    cancelled: Arc<AtomicBool>,
    checkpoints: Option<Arc<dyn Checkpoints>>,
    /// What a fit is kept under; empty for work that is not a fit of its own.
    key: String,
}

impl Run {
    /// A silent run without checkpoints.
    pub fn new(seed: u64, threads: usize) -> Self {
        Run {
            seed,
            threads: threads.max(1),
            progress: Arc::new(Silent),
            cancelled: Arc::default(),
            checkpoints: None,
            key: String::new(),
        }
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
    /// The same run, keeping what is finished in `checkpoints`.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Arc<dyn Checkpoints>) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }
    /// A part of the work: a run with another seed, whose progress is that of the unit after the `done` first ones, under
    /// the name of the part.
    #[must_use]
    pub fn part(&self, seed: u64, name: &str, done: u64) -> Self {
        let (whole, name) = (self.progress.clone(), name.to_string());
        let progress = Arc::new(Within { whole, name, done, total: AtomicU64::new(0) });
        Run { seed, progress, key: String::new(), ..self.clone() }
    }
    /// The same run with another seed, silent and keeping nothing: for one of many parts that run side by side.
    #[must_use]
    pub fn silent(&self, seed: u64) -> Self {
        Run { seed, progress: Arc::new(Silent), key: String::new(), ..self.clone() }
    }
    /// The same run for a fit that is kept under `key`: letters, digits, `-` and `_`.
    #[must_use]
    pub fn keeping(self, key: impl Into<String>) -> Self {
        Run { key: key.into(), ..self }
    }
    /// Says what the work is of, where it is kept.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn open_checkpoints(&self, of: impl FnOnce() -> Value) -> Result<()> {
        self.checkpoints.as_ref().map_or(Ok(()), |c| c.open(&of()))
    }
    /// What was kept of this fit.
    ///
    /// # Errors
    /// As [`Checkpoints::load`].
    pub fn kept(&self) -> Result<Option<Kept>> {
        self.store().map_or(Ok(None), |c| c.load(&self.key))
    }
    /// Keeps the state of this fit, if it is time to.
    ///
    /// # Errors
    /// As [`Checkpoints::save`].
    pub fn keep_state(&self, state: impl FnOnce() -> Parts) -> Result<()> {
        self.store().filter(|c| c.is_due(false)).map_or(Ok(()), |c| c.save(&self.key, &Kept::State(state())))
    }
    /// Keeps the model of this fit in place of its state, if it is worth it.
    ///
    /// # Errors
    /// As [`Checkpoints::save`].
    pub fn keep_model(&self, model: impl FnOnce() -> Option<Parts>) -> Result<()> {
        let store = self.store().filter(|c| c.is_due(true));
        match store.and_then(|c| Some((c, model()?))) {
            Some((store, parts)) => store.save(&self.key, &Kept::Model(parts)),
            None => Ok(()),
        }
    }
    fn store(&self) -> Option<&Arc<dyn Checkpoints>> {
        self.checkpoints.as_ref().filter(|_| !self.key.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Progress for Recorder {
        fn start(&self, step: &str, total: u64) {
            self.0.lock().unwrap().push(format!("start {step} {total}"));
        }
        fn update(&self, done: u64, remark: &str) {
            self.0.lock().unwrap().push(format!("{done} {remark}"));
        }
        fn within(&self, done: u64, share: f64, remark: &str) {
            self.0.lock().unwrap().push(format!("{done}+{share} {remark}"));
        }
        fn finish(&self) {
            self.0.lock().unwrap().push("finish".into());
        }
    }

    #[test]
    fn a_part_reports_under_its_name_and_leaves_the_count_to_the_whole() {
        let recorder = Arc::new(Recorder::default());
        let run = Run::new(1, 2).with_progress(recorder.clone());
        run.progress.start("Cross-fitting", 10);
        let part = run.part(7, "Neural network, fold 2", 3);
        assert_eq!((part.seed, part.threads), (7, 2));
        part.progress.start("neural network", 100);
        part.progress.update(7, "epoch 7 of 100, loss 0.4310");
        part.progress.update(200, "");
        part.progress.finish();
        run.progress.update(4, "done");
        let expected = [
            "start Cross-fitting 10",
            "3+0 Neural network, fold 2",
            "3+0.07 Neural network, fold 2: epoch 7 of 100, loss 0.4310",
            "3+1 Neural network, fold 2",
            "4 done",
        ];
        assert_eq!(*recorder.0.lock().unwrap(), expected);
        run.cancel_flag().store(true, Ordering::Relaxed);
        assert!(part.check().is_err(), "a part stops with the whole");
    }
}
