//! Brier's score: mean squared difference of probability and outcome (Brier 1950).

use super::{Metric, Needs};
use crate::Task;

/// Brier score, 0 … 1.
pub(super) const BRIER: Metric = Metric {
    name: "brier",
    title: "Brier score",
    higher_is_better: false,
    needs: Needs::Probability,
    applies: |task| task == Task::Binary,
    compute: |sample| sample.mean(|row| (sample.probability[row] - sample.target[row]).powi(2)),
    interval: None,
};
