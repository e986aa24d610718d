//! Log loss: mean of -ln of the probability given to the class that came true.

use super::{Metric, Needs, Sample};

/// Log loss in nats, binary and k classes.
pub(super) const LOG_LOSS: Metric = Metric {
    name: "log_loss",
    title: "Log loss",
    higher_is_better: false,
    needs: Needs::Probability,
    applies: |task| task.is_classification(),
    compute: |sample| sample.mean(|row| loss(sample, row)),
    interval: None,
};

/// Loss of one row. A probability below 2⁻⁵² counts as 2⁻⁵² (as in scikit-learn), so that the loss is finite.
pub(super) fn loss(sample: &Sample, row: usize) -> f64 {
    let k = sample.task.n_outputs();
    let p = match k {
        1 if sample.target[row] == 1.0 => sample.probability[row],
        1 => 1.0 - sample.probability[row],
        _ => sample.probability[row * k + sample.target[row] as usize],
    };
    -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}
