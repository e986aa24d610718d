//! Kolmogorov and Smirnov's statistic: the greatest distance between the score distributions of the two classes.

use super::{Metric, Needs, Sample};
use crate::Task;

/// KS, 0 … 1.
pub(super) const KS: Metric = Metric {
    name: "ks",
    title: "KS",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: greatest_distance,
    interval: None,
};

fn greatest_distance(sample: &Sample) -> f64 {
    let (total, total_positive) = sample.totals();
    let (mut positive, mut negative, mut greatest) = (0.0, 0.0, 0.0f64);
    sample.sweep(|all, hit, _| {
        positive += hit;
        negative += all - hit;
        greatest = greatest.max((positive / total_positive - negative / (total - total_positive)).abs());
    });
    greatest.min(1.0)
}
