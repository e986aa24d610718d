//! Precision, recall and F1 at the cut-off.

use super::{Metric, Needs, Sample};
use crate::Task;

/// Share of the rows taken as positive that are; 0 if none is taken.
pub(super) const PRECISION: Metric = Metric {
    name: "precision",
    title: "Precision",
    higher_is_better: true,
    needs: Needs::Probability,
    applies: |task| task == Task::Binary,
    compute: |sample| {
        let counts = Counts::of(sample);
        ratio(counts.hit, counts.taken)
    },
    interval: None,
};

/// Share of the positive rows that are taken as positive.
pub(super) const RECALL: Metric = Metric {
    name: "recall",
    title: "Recall",
    compute: |sample| {
        let counts = Counts::of(sample);
        ratio(counts.hit, counts.positive)
    },
    ..PRECISION
};

/// Harmonic mean of precision and recall; 0 if no row is taken.
pub(super) const F1: Metric = Metric {
    name: "f1",
    title: "F1",
    compute: |sample| {
        let counts = Counts::of(sample);
        ratio(2.0 * counts.hit, counts.taken + counts.positive)
    },
    ..PRECISION
};

/// Weights at the cut-off.
struct Counts {
    /// Rows taken as positive.
    taken: f64,
    /// Positive rows.
    positive: f64,
    /// Positive rows taken as positive.
    hit: f64,
}

impl Counts {
    fn of(sample: &Sample) -> Counts {
        let mut counts = Counts { taken: 0.0, positive: 0.0, hit: 0.0 };
        for ((&w, &y), &p) in sample.weight.iter().zip(&sample.target).zip(&sample.probability) {
            let taken = f64::from(u8::from(p >= sample.cutoff));
            counts.taken += w * taken;
            counts.positive += w * y;
            counts.hit += w * y * taken;
        }
        counts
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
