//! The ensemble: a weighted average of candidates' margins, chosen greedily with replacement (Caruana et al., ICML 2004).
//!
//! Each round adds the candidate whose margins, added to those chosen so far, give the best primary metric on rows out
//! of fold; a candidate may be added again, which gives it weight. The choice for the rows of a fold is made on the
//! other folds, so that the ensemble's own line on the leaderboard is of rows that took no part in choosing; the weights
//! that are used are chosen on all rows.

use crate::pipeline::{Contender, Timing, Training, contender};
use crate::scorer::{Member, share_preparers};
use rayon::prelude::*;
use statera_core::metric::{self, Predicted, Sample};
use statera_core::split::Sides;
use statera_core::{Result, Run, Task};
use statera_learn::calibration::Calibrator;
use std::time::Instant;

/// Name in files.
pub const NAME: &str = "ensemble";
/// Name in tables.
pub const TITLE: &str = "Ensemble";
/// Most rounds of the choice, which is also the sum of the weights.
const MAX_ROUNDS: usize = 20;
/// Rounds without a gain after which the choice ends.
const PATIENCE: usize = 3;
/// Rows that a choice looks at; more rows tell candidates apart no better than this.
const MAX_ROWS: usize = 50_000;

/// The ensemble of candidates that were judged on the same rows; `None` if fewer than two of them have a weight.
///
/// # Errors
/// An interruption.
pub(crate) fn build(
    contenders: &[&Contender],
    folds: &[Sides],
    training: Training<'_>,
    run: &Run,
) -> Result<Option<(Contender, Timing)>> {
    if contenders.len() < 2 {
        return Ok(None);
    }
    let started = Instant::now();
    let judge = Judge::new(contenders, training);
    let all: Vec<usize> = (0..judge.rows.len()).collect();
    let counts = judge.choose(&all, run)?;
    if counts.iter().filter(|&&n| n > 0).count() < 2 {
        return Ok(None);
    }
    let mut margins = vec![0.0; judge.margins[0].len()];
    for (_, valid) in folds {
        // A search takes rows away: a fold may have none left, or all that are left.
        let is_inside: Vec<bool> = judge.rows.iter().map(|row| valid.binary_search(row).is_ok()).collect();
        let others: Vec<usize> = all.iter().copied().filter(|&i| !is_inside[i]).collect();
        let counts = judge.choose(&others, run)?;
        if counts.iter().all(|n| *n == 0) && is_inside.iter().any(|i| *i) {
            // No other fold can say how to weigh for this one, so that nothing could be said of the ensemble.
            return Ok(None);
        }
        for i in all.iter().copied().filter(|&i| is_inside[i]) {
            judge.average(&counts, i, &mut margins[i * judge.n_outputs..][..judge.n_outputs]);
        }
    }
    let mut members = members(contenders, &counts);
    share_preparers(&mut members);
    let seconds = started.elapsed().as_secs_f64();
    let rows = judge.rows.to_vec();
    let on_folds = (0..folds.len()).map(|fold| fold_members(contenders, &counts, fold)).collect();
    let (mut ensemble, timing) = contender(NAME.into(), NAME, (members, on_folds), (rows, margins), seconds, training)?;
    let parts = contenders.iter().zip(&counts).filter(|(_, n)| **n > 0);
    ensemble.parts = parts.map(|(c, n)| (c.title(training.train.task), *n)).collect();
    ensemble.variant = contenders[0].variant;
    Ok(Some((ensemble, timing)))
}

/// What the ensemble is made of if each candidate's fit on a fold stands for it.
fn fold_members(contenders: &[&Contender], counts: &[u32], fold: usize) -> Vec<Member> {
    let of = |(contender, &weight): (&&Contender, &u32)| -> Vec<Member> {
        let own = contender.folds.get(fold).filter(|_| weight > 0);
        own.into_iter().flatten().map(|m| Member { weight: m.weight * weight, ..m.clone() }).collect()
    };
    contenders.iter().zip(counts).flat_map(of).collect()
}

/// Every member of every chosen candidate, weighted so that candidates weigh as often as they were chosen, however many
/// members they have.
fn members(contenders: &[&Contender], counts: &[u32]) -> Vec<Member> {
    let total = |c: &Contender| c.scorer.members().iter().map(|m| m.weight).sum::<u32>();
    let chosen = || contenders.iter().zip(counts).filter(|(_, n)| **n > 0);
    let common = chosen().map(|(c, _)| total(c)).fold(1, least_common_multiple);
    let weighted = |(contender, &count): (&&Contender, &u32)| {
        let factor = count * (common / total(contender));
        let members = contender.scorer.members().iter();
        members.map(|m| Member { weight: m.weight * factor, ..m.clone() }).collect::<Vec<_>>()
    };
    chosen().flat_map(weighted).collect()
}

fn least_common_multiple(a: u32, b: u32) -> u32 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// What candidates are chosen by.
struct Judge<'a> {
    task: Task,
    n_outputs: usize,
    /// Rows of the training part that were judged.
    rows: &'a [usize],
    target: Vec<f64>,
    weight: Option<Vec<f64>>,
    /// Out of fold, by candidate.
    margins: Vec<&'a [f64]>,
}

impl Judge<'_> {
    fn new<'a>(contenders: &'a [&Contender], training: Training<'a>) -> Judge<'a> {
        let rows = &contenders[0].rows;
        let train = training.train;
        Judge {
            task: train.task,
            n_outputs: train.task.n_outputs(),
            target: rows.iter().map(|&r| train.target[r]).collect(),
            weight: train.weight.as_ref().map(|w| rows.iter().map(|&r| w[r]).collect()),
            margins: contenders.iter().map(|c| c.out_of_fold.as_slice()).collect(),
            rows,
        }
    }

    /// How often each candidate is chosen by the rows at `places`.
    fn choose(&self, places: &[usize], run: &Run) -> Result<Vec<u32>> {
        let every = places.len().div_ceil(MAX_ROWS).max(1);
        let places: Vec<usize> = places.iter().copied().step_by(every).collect();
        let k = self.n_outputs;
        let take = |margins: &[f64]| places.iter().flat_map(|&i| margins[i * k..][..k].to_vec()).collect::<Vec<f64>>();
        let margins: Vec<Vec<f64>> = self.margins.iter().map(|m| take(m)).collect();
        let target: Vec<f64> = places.iter().map(|&i| self.target[i]).collect();
        let weight: Option<Vec<f64>> = self.weight.as_ref().map(|w| places.iter().map(|&i| w[i]).collect());
        let goodness = |margins: &[f64]| goodness(self.task, &target, margins, weight.as_deref());

        let mut sum = vec![0.0; target.len() * k];
        let mut counts = vec![0; margins.len()];
        let mut best = (f64::NEG_INFINITY, counts.clone(), 0);
        for round in 1..=MAX_ROUNDS {
            run.check()?;
            let added = |candidate: &Vec<f64>| {
                let mean: Vec<f64> = sum.iter().zip(candidate).map(|(s, m)| (s + m) / round as f64).collect();
                goodness(&mean)
            };
            let values: Vec<f64> = margins.par_iter().map(added).collect();
            // The first of equals: candidates are ordered from simple to complex.
            let chosen = (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
            counts[chosen] += 1;
            sum.iter_mut().zip(&margins[chosen]).for_each(|(s, m)| *s += m);
            if values[chosen] > best.0 {
                best = (values[chosen], counts.clone(), round);
            }
            if round - best.2 >= PATIENCE {
                break;
            }
        }
        Ok(best.1)
    }

    /// The average margins of a row.
    fn average(&self, counts: &[u32], place: usize, out: &mut [f64]) {
        let total: u32 = counts.iter().sum();
        for (output, out) in out.iter_mut().enumerate() {
            let of = |m: &[f64]| m[place * self.n_outputs + output];
            let sum: f64 = self.margins.iter().zip(counts).map(|(m, &n)| f64::from(n) * of(m)).sum();
            *out = sum / f64::from(total);
        }
    }
}

/// The primary metric, turned so that more is better; the worst of all where rows cannot tell (one class only).
pub(crate) fn goodness(task: Task, target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> f64 {
    let metric = metric::primary(task);
    // Uncalibrated: softmax at temperature 1 where the metric needs probabilities.
    let probabilities = match task {
        Task::Classes(_) => Calibrator::Identity {}.probabilities(task, margins),
        _ => Vec::new(),
    };
    let predicted = Predicted { margins, probabilities: &probabilities };
    match Sample::new(task, target, predicted, weight, 0.5) {
        Ok(sample) if metric.higher_is_better => (metric.compute)(&sample),
        Ok(sample) => -(metric.compute)(&sample),
        Err(_) => f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::Rng;

    fn judge<'a>(target: Vec<f64>, margins: Vec<&'a [f64]>, rows: &'a [usize]) -> Judge<'a> {
        Judge { task: Task::Binary, n_outputs: 1, rows, target, weight: None, margins }
    }

    #[test]
    fn weights_are_those_of_the_best_mix() {
        // Two views of the truth with independent noise, one of twice the variance, and one of noise alone.
        let mut rng = Rng::new(3);
        let n = 20_000;
        let truth: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let target: Vec<f64> = truth.iter().map(|t| f64::from(u8::from(t + rng.normal() > 1.0))).collect();
        let mut seen = |noise: f64| truth.iter().map(|t| t + noise * rng.normal()).collect::<Vec<f64>>();
        let (clear, dim) = (seen(1.0), seen(2f64.sqrt()));
        let noise: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let rows: Vec<usize> = (0..n).collect();
        let judge = judge(target.clone(), vec![&clear, &dim, &noise], &rows);
        let counts = judge.choose(&rows, &Run::new(1, 1)).unwrap();
        // The best linear mix weighs by the inverse of the variance: 2 to 1.
        let share = f64::from(counts[0]) / f64::from(counts.iter().sum::<u32>());
        assert!((share - 2.0 / 3.0).abs() < 0.1 && counts[2] == 0, "{counts:?}");
        let mut mixed = vec![0.0; n];
        (0..n).for_each(|i| judge.average(&counts, i, &mut mixed[i..=i]));
        let area = |margins: &[f64]| metric::area(margins, &target, &vec![1.0; n]);
        assert!(area(&mixed) > area(&clear) + 0.01, "{} {}", area(&mixed), area(&clear));
    }

    #[test]
    fn one_good_candidate_is_no_ensemble() {
        let target: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let rows: Vec<usize> = (0..100).collect();
        let bad: Vec<f64> = (0..100).map(f64::from).collect();
        let judge = judge(target.clone(), vec![&bad, &target], &rows);
        assert_eq!(judge.choose(&rows, &Run::new(1, 1)).unwrap(), [0, 1]);
        assert_eq!(least_common_multiple(4, 6), 12);
    }
}
