//! Recall at a fixed false-positive rate: how much is found while no more than a set share of the good rows is stopped.

use super::{Metric, Needs, Ranking};
use crate::Task;

/// The false-positive rate of [`RECALL_AT_1_PERCENT`].
const RATE: f64 = 0.01;

/// Share of the positive rows above the lowest cut-off at which at most 1 % of the negative rows stand above it.
pub(super) const RECALL_AT_1_PERCENT: Metric = Metric {
    name: "recall_at_1_percent_fpr",
    title: "Recall at 1 % false positives",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: |sample| {
        let (all, positive) = sample.totals();
        let mut found = Found::new(RATE, all, positive);
        sample.sweep(|all, hit, _| found.add(all, hit));
        found.recall()
    },
    interval: None,
};

/// The same of any score that has been ranked, at any rate in 0 … 1; NaN without a positive row.
pub fn recall_at_rate(ranking: &Ranking, target: &[f64], weight: &[f64], rate: f64) -> f64 {
    let (all, positive) = target.iter().zip(weight).fold((0.0, 0.0), |(all, hit), (&y, &w)| (all + w, hit + w * y));
    let mut found = Found::new(rate, all, positive);
    ranking.sweep(weight, |i| target[i], |all, hit| found.add(all, hit));
    found.recall()
}

/// The recall while runs of equal scores come in, highest score first. A run is above the cut-off as a whole or not at all,
/// as scikit-learn's curve has it at the last point whose rate is not above the wanted one.
struct Found {
    /// Weight of negative rows that may be above, with room for rounding.
    allowed: f64,
    positive: f64,
    above: f64,
    hit: f64,
    is_over: bool,
}

impl Found {
    fn new(rate: f64, all: f64, positive: f64) -> Found {
        Found { allowed: rate * (all - positive) * (1.0 + 1e-12), positive, above: 0.0, hit: 0.0, is_over: false }
    }

    #[inline]
    fn add(&mut self, all: f64, hit: f64) {
        self.above += all - hit;
        self.is_over |= self.above > self.allowed;
        if !self.is_over {
            self.hit += hit;
        }
    }

    fn recall(&self) -> f64 {
        self.hit / self.positive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_ties_is_above_as_a_whole_or_not_at_all() {
        // By descending score: + | - + + (tied) | - | + -; four positive and three negative rows.
        let score = [9.0, 8.0, 8.0, 8.0, 7.0, 6.0, 6.0];
        let target = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
        let ranking = Ranking::new(7, |i| score[i]);
        let at = |rate| recall_at_rate(&ranking, &target, &[1.0; 7], rate);
        assert_eq!((at(0.0), at(0.33), at(1.0 / 3.0), at(0.7), at(1.0)), (0.25, 0.25, 0.75, 0.75, 1.0));
        // A row of weight 2 stands twice: 5 positives, of which the first run has two.
        assert_eq!(recall_at_rate(&ranking, &target, &[2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0.0), 0.4);
    }
}
