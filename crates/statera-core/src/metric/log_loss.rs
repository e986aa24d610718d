//! Log loss: mean of -ln of the probability given to the class that came true.

use super::{Metric, Needs};
use crate::Task;

/// Log loss in nats, binary and k classes.
pub(super) const LOG_LOSS: Metric = Metric {
    name: "log_loss",
    title: "Log loss",
    higher_is_better: false,
    needs: Needs::Probability,
    applies: |task| task.is_classification(),
    compute: |sample| sample.mean(|row| sample.loss[row]),
    interval: None,
};

/// Loss of each row. A probability below 2⁻⁵² counts as 2⁻⁵² (as in scikit-learn), so that the loss is finite.
///
/// A sample computes it once: the bootstrap would take most of its time for logarithms.
pub(super) fn row_losses(task: Task, target: &[f64], probability: &[f64]) -> Vec<f64> {
    let k = task.n_outputs();
    let of_truth = |(row, &y): (usize, &f64)| match k {
        1 if y == 1.0 => probability[row],
        1 => 1.0 - probability[row],
        _ => probability[row * k + y as usize],
    };
    target.iter().enumerate().map(of_truth).map(|p| -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()).collect()
}
