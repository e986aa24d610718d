//! Where the time of a request went, by stage.

use super::limits::Limits;
use crate::compute::Stages;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a request passes, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waiting: for admission, for the pool that scores, for a turn.
    Queue,
    /// From the body's bytes to columns.
    Parse,
    /// From raw columns to a learner's features.
    Features,
    /// From features to a score and a decision.
    Score,
    /// Attributions and reasons.
    Explain,
    /// Waiting for the record to be on disk.
    Commit,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Stage; 6] =
        [Stage::Queue, Stage::Parse, Stage::Features, Stage::Score, Stage::Explain, Stage::Commit];

    /// The name in metrics and in `server-timing`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Queue => "queue",
            Stage::Parse => "parse",
            Stage::Features => "features",
            Stage::Score => "score",
            Stage::Explain => "explain",
            Stage::Commit => "commit",
        }
    }
}

/// The stages' times of one request. It lies in the request's extensions; a handler takes it as `Extension<Timings>`, and
/// may hand clones to other threads. A stage that happens twice adds up.
#[derive(Debug, Clone, Default)]
pub struct Timings(Arc<[AtomicU64; Stage::ALL.len()]>);

impl Timings {
    /// Adds to a stage.
    pub fn add(&self, stage: Stage, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0[stage as usize].fetch_add(ns, Ordering::Relaxed);
    }

    /// Adds what has passed since `start`.
    pub fn since(&self, stage: Stage, start: Instant) {
        self.add(stage, start.elapsed());
    }

    /// Adds what `work` takes.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = work();
        self.since(stage, start);
        out
    }

    /// Nanoseconds of a stage; 0 if it did not happen.
    pub fn ns(&self, stage: Stage) -> u64 {
        self.0[stage as usize].load(Ordering::Relaxed)
    }

    /// As the header `server-timing` has it, milliseconds: `queue;dur=0.012, parse;dur=0.030, total;dur=1.2`.
    pub fn header(&self, total: Duration) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(128);
        for stage in Stage::ALL {
            let ns = self.ns(stage);
            if ns > 0 {
                let _ = write!(text, "{};dur={:.3}, ", stage.name(), ns as f64 / 1e6);
            }
        }
        let _ = write!(text, "total;dur={:.3}", total.as_secs_f64() * 1e3);
        text
    }
}

/// What a handler hands on with work: where its time goes, and until when it is wanted.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Of the request.
    pub timings: Timings,
    /// Work that is not begun by then is left undone: nobody waits for it.
    pub deadline: Option<Instant>,
}

impl Way {
    /// Adds what the pool told.
    pub fn scored(&self, stages: &Stages) {
        let Stages { queue, parse, score, explain } = *stages;
        for (stage, time) in
            [(Stage::Queue, queue), (Stage::Parse, parse), (Stage::Score, score), (Stage::Explain, explain)]
        {
            self.timings.add(stage, time);
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Way {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Way, Infallible> {
        let timings = parts.extensions.get::<Timings>().cloned().unwrap_or_default();
        Ok(Way { timings, deadline: parts.extensions.get::<Limits>().map(|limits| limits.deadline) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_and_those_that_did_not_happen_are_not_shown() {
        let timings = Timings::default();
        let elsewhere = timings.clone();
        elsewhere.add(Stage::Score, Duration::from_micros(1_500));
        timings.add(Stage::Score, Duration::from_micros(500));
        timings.add(Stage::Queue, Duration::from_nanos(12_400));
        assert_eq!(timings.ns(Stage::Score), 2_000_000);
        assert_eq!(timings.header(Duration::from_millis(3)), "queue;dur=0.012, score;dur=2.000, total;dur=3.000");
    }
}
