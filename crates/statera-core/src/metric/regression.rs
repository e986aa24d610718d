//! Errors of predicted values: root of the mean square, mean absolute, and the share of variance explained.

use super::{Metric, Needs};
use crate::Task;

/// Root mean squared error, in the target's unit.
pub(super) const RMSE: Metric = Metric {
    name: "rmse",
    title: "RMSE",
    higher_is_better: false,
    needs: Needs::Margin,
    applies: |task| task == Task::Regression,
    compute: |sample| sample.mean(|row| (sample.target[row] - sample.margin[row]).powi(2)).sqrt(),
    interval: None,
};

/// Mean absolute error, in the target's unit.
pub(super) const MAE: Metric = Metric {
    name: "mae",
    title: "MAE",
    compute: |sample| sample.mean(|row| (sample.target[row] - sample.margin[row]).abs()),
    ..RMSE
};

/// Share of the target's variance that the predictions explain: at most 1, negative if worse than the mean.
pub(super) const R2: Metric = Metric {
    name: "r2",
    title: "R²",
    higher_is_better: true,
    compute: |sample| {
        let mean = sample.mean(|row| sample.target[row]);
        let left = sample.mean(|row| (sample.target[row] - sample.margin[row]).powi(2));
        1.0 - left / sample.mean(|row| (sample.target[row] - mean).powi(2))
    },
    ..RMSE
};
