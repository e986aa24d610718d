//! Accuracy: the share of rows whose class is named rightly.

use super::{Metric, Needs, Sample};

/// Accuracy, 0 … 1: at the cut-off (binary), or of the most probable class (k classes; of equal ones the first).
pub(super) const ACCURACY: Metric = Metric {
    name: "accuracy",
    title: "Accuracy",
    higher_is_better: true,
    needs: Needs::Probability,
    applies: |task| task.is_classification(),
    compute: |sample| sample.mean(|row| f64::from(u8::from(named(sample, row) == sample.target[row]))),
    interval: None,
};

fn named(sample: &Sample, row: usize) -> f64 {
    let k = sample.task.n_outputs();
    let p = &sample.probability[row * k..][..k];
    if k == 1 {
        return f64::from(u8::from(p[0] >= sample.cutoff));
    }
    (1..k).fold(0, |best, class| if p[class] > p[best] { class } else { best }) as f64
}
