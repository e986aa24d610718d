//! Area under the receiver operating characteristic: the chance that a positive row scores above a negative one, ties
//! counting half; and its variance after DeLong, DeLong & Clarke-Pearson (1988), by the O(n log n) algorithm of Sun & Xu
//! (2014).

use super::{Interval, Metric, Needs, Ranking, Sample, Z_95};
use crate::Task;

/// Area under the curve, binary.
pub(super) const AUC: Metric = Metric {
    name: "auc",
    title: "AUC",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: |sample| {
        let mut area = Area::default();
        sample.sweep(|all, hit, _| area.add(all, hit));
        area.value()
    },
    interval: Some(delong_interval),
};

/// Mean over the classes of the area of each against the rest, ranked by the class's probability. A class that the
/// sample lacks has no area and is left out.
pub(super) const AUC_MACRO: Metric = Metric {
    name: "auc_macro",
    title: "AUC, mean of each class against the rest",
    higher_is_better: true,
    needs: Needs::Probability,
    applies: |task| matches!(task, Task::Classes(_)),
    compute: macro_area,
    interval: None,
};

/// Area under the curve of any score; NaN if a class is absent.
///
/// `target` is 0 or 1; one score a row, not NaN; one weight a row, non-negative.
pub fn area(score: &[f64], target: &[f64], weight: &[f64]) -> f64 {
    area_ranked(&Ranking::new(score.len(), |i| score[i]), target, weight)
}

/// The same of scores that have been ranked, so that many weights of the same rows need one sort.
pub(crate) fn area_ranked(ranking: &Ranking, target: &[f64], weight: &[f64]) -> f64 {
    let mut area = Area::default();
    ranking.sweep(weight, |i| target[i], |all, hit| area.add(all, hit));
    area.value()
}

/// The area while runs of equal scores come in, highest score first.
#[derive(Default)]
struct Area {
    positive: f64,
    negative: f64,
    /// Weight of the pairs ranked rightly, ties counting half.
    won: f64,
}

impl Area {
    #[inline]
    fn add(&mut self, all: f64, hit: f64) {
        let miss = all - hit;
        self.won += miss * (self.positive + 0.5 * hit);
        self.positive += hit;
        self.negative += miss;
    }

    /// NaN without rows of both classes.
    fn value(&self) -> f64 {
        self.won / (self.positive * self.negative)
    }
}

fn macro_area(sample: &Sample) -> f64 {
    let areas = sample.by_probability.iter().enumerate().filter_map(|(class, ranking)| {
        let is_class = |row: usize| f64::from(u8::from(sample.target[row] == class as f64));
        let mut area = Area::default();
        ranking.sweep(&sample.weight, is_class, |all, hit| area.add(all, hit));
        Some(area.value()).filter(|area| area.is_finite())
    });
    let (n, sum) = areas.fold((0, 0.0), |(n, sum), area| (n + 1, sum + area));
    sum / f64::from(n)
}

/// The placement of each row: the weighted share of the other class that it is ranked rightly against, ties counting
/// half (V10 of a positive row and V01 of a negative one in DeLong et al.). Their weighted mean within either class is
/// the area.
pub(super) fn placements(score: &[f64], target: &[f64], weight: &[f64]) -> Vec<f64> {
    let ranking = Ranking::new(score.len(), |i| score[i]);
    let (mut n_positive, mut n_negative) = (0.0, 0.0);
    for (&w, &y) in weight.iter().zip(target) {
        n_positive += w * y;
        n_negative += w * (1.0 - y);
    }
    let mut placement = vec![0.0; score.len()];
    let (mut positive, mut negative) = (0.0, 0.0);
    for run in ranking.runs() {
        let (hit, miss) = run.iter().map(|&row| row as usize).fold((0.0, 0.0), |(hit, miss), row| {
            (hit + weight[row] * target[row], miss + weight[row] * (1.0 - target[row]))
        });
        for &row in run {
            placement[row as usize] = if target[row as usize] == 1.0 {
                (n_negative - negative - 0.5 * miss) / n_negative
            } else {
                (positive + 0.5 * hit) / n_positive
            };
        }
        positive += hit;
        negative += miss;
    }
    placement
}

/// Variance of an area, or of a difference of two areas, from the (differences of) placements: within each class
/// Σ w²(v - v̄)² / (Σ w)² · m/(m - 1), which for equal weights is DeLong's S10/m + S01/n.
///
/// `None` if a class has a single row, whose spread is unknown.
pub(super) fn placement_variance(placement: &[f64], target: &[f64], weight: &[f64]) -> Option<f64> {
    let mut variance = 0.0;
    for class in [0.0, 1.0] {
        let rows = || (0..target.len()).filter(|&i| target[i] == class && weight[i] > 0.0);
        let n = rows().count() as f64;
        if n < 2.0 {
            return None;
        }
        let total: f64 = rows().map(|i| weight[i]).sum();
        let mean = rows().map(|i| weight[i] * placement[i]).sum::<f64>() / total;
        let squares: f64 = rows().map(|i| (weight[i] * (placement[i] - mean)).powi(2)).sum();
        variance += squares / (total * total) * n / (n - 1.0);
    }
    Some(variance)
}

/// Variance of the area under the curve of a score (DeLong et al. 1988); `None` if a class has fewer than 2 rows.
///
/// `target` is 0 or 1; weights are non-negative importance weights.
pub fn delong_variance(score: &[f64], target: &[f64], weight: &[f64]) -> Option<f64> {
    placement_variance(&placements(score, target, weight), target, weight)
}

/// Normal interval with DeLong's variance, cut at 0 and 1; from 0 to 1 if a class has a single row.
pub(super) fn delong_interval(sample: &Sample) -> Interval {
    let value = (AUC.compute)(sample);
    match delong_variance(&sample.margin, &sample.target, &sample.weight) {
        Some(variance) => {
            let half = Z_95 * variance.sqrt();
            Interval { value, low: (value - half).max(0.0), high: (value + half).min(1.0) }
        }
        None => Interval { value, low: 0.0, high: 1.0 },
    }
}
