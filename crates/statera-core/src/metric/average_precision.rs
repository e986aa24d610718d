//! Average precision: Σ (Rₙ - Rₙ₋₁) Pₙ over the distinct scores, without interpolation (as scikit-learn defines it).

use super::{Metric, Needs, Ranking};
use crate::Task;

/// Average precision, 0 … 1; the share of positive rows is what a random score reaches.
pub(super) const AVERAGE_PRECISION: Metric = Metric {
    name: "average_precision",
    title: "Average precision",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: |sample| {
        let mut steps = Steps::default();
        sample.sweep(|all, hit, _| steps.add(all, hit));
        steps.value()
    },
    interval: None,
};

/// The same of any score that has been ranked; NaN without a positive row.
pub(super) fn average_precision_ranked(ranking: &Ranking, target: &[f64], weight: &[f64]) -> f64 {
    let mut steps = Steps::default();
    ranking.sweep(weight, |i| target[i], |all, hit| steps.add(all, hit));
    steps.value()
}

/// The sum while runs of equal scores come in, highest score first.
#[derive(Default)]
struct Steps {
    above: f64,
    positive: f64,
    sum: f64,
}

impl Steps {
    #[inline]
    fn add(&mut self, all: f64, hit: f64) {
        self.above += all;
        self.positive += hit;
        // The first runs may have no weight in a bootstrap draw.
        if hit > 0.0 {
            self.sum += hit * self.positive / self.above;
        }
    }

    fn value(&self) -> f64 {
        self.sum / self.positive
    }
}
