//! Accuracy: the share of rows whose class is named rightly.

use super::{Metric, Needs, Sample};

/// Accuracy, 0 … 1: at the cut-off (binary), or of the most probable class (k classes; of equal ones the first).
pub(super) const ACCURACY: Metric = Metric {
    name: "accuracy",
    title: "Accuracy",
    higher_is_better: true,
    needs: Needs::Probability,
    applies: |task| task.is_classification(),
    compute: accuracy,
    interval: None,
};

fn accuracy(sample: &Sample) -> f64 {
    let right = |is_right: bool| f64::from(u8::from(is_right));
    match sample.task.n_outputs() {
        1 => sample.mean(|row| right((sample.probability[row] >= sample.cutoff) == (sample.target[row] == 1.0))),
        k => sample.mean(|row| {
            let p = &sample.probability[row * k..][..k];
            let named = (1..k).fold(0, |best, class| if p[class] > p[best] { class } else { best });
            right(named as f64 == sample.target[row])
        }),
    }
}
