//! Average precision: Σ (Rₙ - Rₙ₋₁) Pₙ over the distinct scores, without interpolation (as scikit-learn defines it).

use super::{Metric, Needs, Sample};
use crate::Task;

/// Average precision, 0 … 1; the share of positive rows is what a random score reaches.
pub(super) const AVERAGE_PRECISION: Metric = Metric {
    name: "average_precision",
    title: "Average precision",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: average_precision,
    interval: None,
};

fn average_precision(sample: &Sample) -> f64 {
    let (mut above, mut positive, mut sum) = (0.0, 0.0, 0.0);
    sample.sweep(|all, hit, _| {
        above += all;
        positive += hit;
        // The first runs may have no weight in a bootstrap draw.
        if hit > 0.0 {
            sum += hit * positive / above;
        }
    });
    sum / positive
}
