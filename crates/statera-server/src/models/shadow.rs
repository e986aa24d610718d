//! What a shadow challenger came to beside the champion.

use std::sync::atomic::{AtomicU64, Ordering};

/// Differences of probabilities are added up in billionths.
const UNIT: f64 = 1e9;

/// Counts of a shadow challenger since it was loaded.
#[derive(Debug, Default)]
pub struct Tally {
    scored: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    agreed: AtomicU64,
    difference: AtomicU64,
}

/// What a [`Tally`] has at one moment.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TallyCounts {
    /// Rows that both scored.
    pub scored: u64,
    /// Rows that were dropped because the queue was full.
    pub dropped: u64,
    /// Rows that the challenger could not score and the champion could.
    pub failed: u64,
    /// Scored rows that both decide alike.
    pub agreed: u64,
    /// Mean absolute difference of their probabilities, or of predicted values; 0 before the first row.
    pub mean_difference: f64,
}

impl Tally {
    /// Adds rows that found no place.
    pub fn add_dropped(&self, n_rows: usize) {
        self.dropped.fetch_add(n_rows as u64, Ordering::Relaxed);
    }
    /// Adds rows that the challenger could not score.
    pub fn add_failed(&self, n_rows: usize) {
        self.failed.fetch_add(n_rows as u64, Ordering::Relaxed);
    }
    /// Adds a row that both scored: whether they decide alike, and how far apart their scores are.
    pub fn add_scored(&self, is_agreed: bool, difference: f64) {
        self.scored.fetch_add(1, Ordering::Relaxed);
        self.agreed.fetch_add(u64::from(is_agreed), Ordering::Relaxed);
        // The cast saturates, so that a difference of a prediction without bounds cannot wrap.
        let units = (difference.abs() * UNIT) as u64;
        self.difference.fetch_add(units.min(u64::MAX >> 24), Ordering::Relaxed);
    }
    /// What it has now.
    pub fn counts(&self) -> TallyCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let scored = of(&self.scored);
        TallyCounts {
            scored,
            dropped: of(&self.dropped),
            failed: of(&self.failed),
            agreed: of(&self.agreed),
            mean_difference: if scored == 0 { 0.0 } else { of(&self.difference) as f64 / UNIT / scored as f64 },
        }
    }
}
