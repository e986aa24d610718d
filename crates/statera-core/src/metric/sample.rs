//! Targets and predictions, checked once and sorted once.

use super::log_loss;
use crate::{Error, Result, Task};

/// What a model says of rows.
#[derive(Debug, Clone, Copy)]
pub struct Predicted<'a> {
    /// Margins, row-major `n_rows × n_outputs`; the predicted values for a regression.
    pub margins: &'a [f64],
    /// Calibrated probabilities: of class 1 (binary, `n_rows`) or of each class (`n_rows × k`); empty for a regression,
    /// and where there is only a ranking.
    pub probabilities: &'a [f64],
}

/// Rows from the highest score to the lowest, in runs of equal scores.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Row indices, descending by score.
    pub order: Vec<u32>,
    /// For each place in `order`: true if the next score is lower or there is none.
    pub is_last: Vec<bool>,
}

impl Ranking {
    /// Ranks `n` rows by a score that is never NaN.
    pub fn new(n: usize, score: impl Fn(usize) -> f64) -> Self {
        let mut keyed: Vec<(f64, u32)> = (0..n).map(|i| (score(i), i as u32)).collect();
        keyed.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let is_last = (1..=n).map(|i| i == n || keyed[i].0 != keyed[i - 1].0).collect();
        Ranking { order: keyed.into_iter().map(|(_, i)| i).collect(), is_last }
    }

    /// The row indices of each run of equal scores, from the highest score down.
    pub fn runs(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        let ends = self.is_last.iter().enumerate().filter(|&(_, &is_last)| is_last).map(|(i, _)| i + 1);
        ends.map(move |end| &self.order[std::mem::replace(&mut start, end)..end])
    }

    /// Calls `visit` with the weight of each run and the part of it that is positive, from the highest score down.
    #[inline]
    pub fn sweep(&self, weight: &[f64], positive: impl Fn(usize) -> f64, mut visit: impl FnMut(f64, f64)) {
        let (mut all, mut hit) = (0.0, 0.0);
        for (&row, &is_last) in self.order.iter().zip(&self.is_last) {
            let w = weight[row as usize];
            all += w;
            hit += w * positive(row as usize);
            if is_last {
                visit(all, hit);
                (all, hit) = (0.0, 0.0);
            }
        }
    }
}

/// Targets and predictions of the rows with a positive weight: what a metric is computed from.
///
/// It holds at least two different targets, so that every metric has a value.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What is predicted.
    pub task: Task,
    /// Binary 0/1, class index, or value.
    pub target: Vec<f64>,
    /// Row-major `n_rows × n_outputs`.
    pub margin: Vec<f64>,
    /// `n_rows` (binary), `n_rows × k` (classes), or empty.
    pub probability: Vec<f64>,
    /// Non-negative; the bootstrap sets it to weight × number of draws.
    pub weight: Vec<f64>,
    /// Log loss of each row, where there are probabilities.
    pub loss: Vec<f64>,
    /// Least probability that is taken as positive.
    pub cutoff: f64,
    /// Binary only: true if the next row's margin is lower or there is none. Rows are in descending order of margin.
    pub is_last: Vec<bool>,
    /// Rows by probability: one ranking (binary), one per class, or none.
    pub by_probability: Vec<Ranking>,
}

impl Sample {
    /// Checks lengths and values, drops rows of weight 0 and sorts. Rows of a binary task are put in descending order of
    /// margin, so that sweeps over them read memory in order.
    ///
    /// Fails where lengths differ, a value is not finite, a target is not of the task, a probability is outside 0 … 1 or
    /// a row's do not sum to 1, a weight is negative, the cut-off is outside 0 … 1, or all targets are the same.
    pub fn new(
        task: Task,
        target: &[f64],
        predicted: Predicted<'_>,
        weight: Option<&[f64]>,
        cutoff: f64,
    ) -> Result<Sample> {
        let (n, k) = (target.len(), task.n_outputs());
        check_length("margins", predicted.margins.len(), n, k)?;
        check_finite("margin", predicted.margins, k)?;
        let has_probability = task.is_classification() && !predicted.probabilities.is_empty();
        if has_probability {
            check_probabilities(predicted.probabilities, n, k)?;
        }
        if !(0.0..=1.0).contains(&cutoff) {
            return Err(Error::request(format!("the cut-off is {cutoff}; it must lie in 0 to 1")));
        }
        check_target(task, target)?;
        check_weight(weight, n)?;

        let mut rows: Vec<usize> = (0..n).filter(|&i| weight.is_none_or(|w| w[i] > 0.0)).collect();
        check_varied(task, &rows, target)?;
        if task == Task::Binary {
            let ranking = Ranking::new(rows.len(), |i| predicted.margins[rows[i]]);
            rows = ranking.order.iter().map(|&i| rows[i as usize]).collect();
        }
        let take = |from: &[f64]| rows.iter().flat_map(|&r| from[r * k..][..k].iter().copied()).collect::<Vec<f64>>();
        let margin = take(predicted.margins);
        let probability = if has_probability { take(predicted.probabilities) } else { Vec::new() };
        let n = rows.len();
        let target: Vec<f64> = rows.iter().map(|&r| target[r]).collect();
        Ok(Sample {
            task,
            loss: if has_probability { log_loss::row_losses(task, &target, &probability) } else { Vec::new() },
            target,
            weight: rows.iter().map(|&r| weight.map_or(1.0, |w| w[r])).collect(),
            cutoff,
            is_last: if task == Task::Binary { Ranking::new(n, |i| margin[i]).is_last } else { Vec::new() },
            by_probability: (0..if has_probability { k } else { 0 })
                .map(|c| Ranking::new(n, |i| probability[i * k + c]))
                .collect(),
            margin,
            probability,
        })
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.target.len()
    }

    /// Weighted mean of a figure of each row.
    pub fn mean(&self, figure: impl Fn(usize) -> f64) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (row, &w) in self.weight.iter().enumerate() {
            sum += w * figure(row);
            weight += w;
        }
        sum / weight
    }

    /// Calls `visit` with weight, positive weight and margin of each run of equal margins of a binary sample, from the
    /// highest margin down.
    #[inline]
    pub fn sweep(&self, mut visit: impl FnMut(f64, f64, f64)) {
        let (mut all, mut hit) = (0.0, 0.0);
        let rows = self.weight.iter().zip(&self.target).zip(&self.margin).zip(&self.is_last);
        for (((&w, &y), &margin), &is_last) in rows {
            all += w;
            hit += w * y;
            if is_last {
                visit(all, hit, margin);
                (all, hit) = (0.0, 0.0);
            }
        }
    }

    /// Weight of all rows and of the positive ones of a binary sample.
    pub fn totals(&self) -> (f64, f64) {
        self.weight.iter().zip(&self.target).fold((0.0, 0.0), |(all, hit), (&w, &y)| (all + w, hit + w * y))
    }

    /// True if two rows of positive weight have different targets; a bootstrap draw need not.
    pub(super) fn is_varied(&self) -> bool {
        let mut seen = self.target.iter().zip(&self.weight).filter(|&(_, &w)| w > 0.0).map(|(&y, _)| y);
        seen.next().is_some_and(|first| seen.any(|y| y != first))
    }
}

/// Fails unless there are `n × k` values.
pub(super) fn check_length(what: &str, len: usize, n: usize, k: usize) -> Result<()> {
    if len == n * k {
        return Ok(());
    }
    let wanted = if k == 1 { format!("{n}") } else { format!("{n} × {k} = {}", n * k) };
    Err(Error::data(format!("{len} {what} for {n} targets; {wanted} are needed")))
}

/// Fails on NaN and infinity; `k` values belong to a row.
pub(super) fn check_finite(what: &str, values: &[f64], k: usize) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => {
            Err(Error::data(format!("the {what} of row {} (from 0) is {}; it must be finite", i / k, values[i])))
        }
        None => Ok(()),
    }
}

/// Fails unless each target is one of the task.
pub(crate) fn check_target(task: Task, target: &[f64]) -> Result<()> {
    let allowed = |y: f64| match task {
        Task::Binary => y == 0.0 || y == 1.0,
        Task::Classes(k) => y >= 0.0 && y < k as f64 && y.fract() == 0.0,
        Task::Regression => y.is_finite(),
    };
    let Some(row) = target.iter().position(|&y| !allowed(y)) else { return Ok(()) };
    let wanted = match task {
        Task::Binary => "0 or 1".to_string(),
        Task::Classes(k) => format!("a whole number from 0 to {}", k - 1),
        Task::Regression => "finite".to_string(),
    };
    Err(Error::data(format!("the target of row {row} (from 0) is {}; it must be {wanted}", target[row])))
}

/// Fails unless there is one finite, non-negative weight a row.
pub(super) fn check_weight(weight: Option<&[f64]>, n: usize) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    check_length("weights", weight.len(), n, 1)?;
    match weight.iter().position(|&w| !(w >= 0.0 && w.is_finite())) {
        Some(row) => Err(Error::data(format!(
            "the weight of row {row} (from 0) is {}; it must be finite and at least 0",
            weight[row]
        ))),
        None => Ok(()),
    }
}

/// Fails unless two of the rows have different targets.
pub(crate) fn check_varied(task: Task, rows: &[usize], target: &[f64]) -> Result<()> {
    let Some(&first) = rows.first() else {
        return Err(Error::data("there are no rows with a positive weight to measure on; at least 2 are needed"));
    };
    if rows.iter().any(|&r| target[r] != target[first]) {
        return Ok(());
    }
    let what = if task.is_classification() { "classes" } else { "values" };
    Err(Error::data(format!(
        "the target is {} on all {} rows; at least 2 different {what} are needed",
        target[first],
        rows.len()
    )))
}

fn check_probabilities(probabilities: &[f64], n: usize, k: usize) -> Result<()> {
    check_length("probabilities", probabilities.len(), n, k)?;
    if let Some(i) = probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::data(format!(
            "the probability of row {} (from 0) is {}; it must lie in 0 to 1",
            i / k,
            probabilities[i]
        )));
    }
    if k == 1 {
        return Ok(());
    }
    for (row, classes) in probabilities.chunks_exact(k).enumerate() {
        let sum: f64 = classes.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(Error::data(format!("the probabilities of row {row} (from 0) sum to {sum}; it must be 1")));
        }
    }
    Ok(())
}
