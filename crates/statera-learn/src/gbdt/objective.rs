//! Losses: the start, the derivatives, and the figure that decides when to stop.

use super::GbdtParams;
use crate::imbalance::Focal;
use rayon::prelude::*;
use statera_core::{Error, Result, Task};
use statera_kernel::histogram::{Cell, Packing, logistic_cells};

/// Rows a task of the derivatives takes.
const CHUNK: usize = 8_192;

/// Target and weights of training rows; weights and counts are empty if all are 1.
pub(super) struct Labels {
    pub(super) target: Vec<f64>,
    /// Weights, raised to an average of 1 if below.
    pub(super) weight: Vec<f64>,
    /// Weights as counts: weight times `count_unit`, rounded.
    pub(super) count: Vec<i64>,
    /// Units of a row of weight 1.
    pub(super) count_unit: f64,
}

impl Labels {
    /// Labels of rows with positive weights.
    pub(super) fn new(target: Vec<f64>, weight: Vec<f64>) -> Labels {
        if weight.iter().all(|&w| w == 1.0) {
            return Labels { target, weight: Vec::new(), count: Vec::new(), count_unit: 1.0 };
        }
        let raise = (weight.len() as f64 / weight.iter().sum::<f64>()).max(1.0);
        let weight: Vec<f64> = weight.into_iter().map(|w| w * raise).collect();
        // Eighths of a row, or less where the average weight is above 2: the counts share a word with the hessians.
        let count_unit = (16.0 * weight.len() as f64 / weight.iter().sum::<f64>()).min(8.0);
        let count = weight.iter().map(|&w| (w * count_unit).round() as i64).collect();
        Labels { target, weight, count, count_unit }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.target.len()
    }
    pub(super) fn weight_of(&self, row: usize) -> f64 {
        self.weight.get(row).copied().unwrap_or(1.0)
    }
    /// Largest weight.
    fn weight_max(&self) -> f64 {
        self.weight.iter().copied().reduce(f64::max).unwrap_or(1.0)
    }
    fn count_sum(&self) -> i64 {
        if self.count.is_empty() { self.n_rows() as i64 } else { self.count.iter().sum() }
    }
    /// The packing for derivatives of rows of weight 1 up to these.
    fn packing(&self, g_max: f64, h_max: f64) -> Packing {
        let total = if self.weight.is_empty() { self.n_rows() as f64 } else { self.weight.iter().sum() };
        let most = self.weight_max();
        // 1 % more than the bounds leaves room for rounding each row.
        Packing::new(1.01 * g_max * most, 1.01 * h_max * most, 1.01 * h_max * total, self.count_sum())
    }
    fn packed(&self, packing: &Packing, row: usize, g: f64, h: f64) -> Cell {
        let w = self.weight_of(row);
        packing.pack(w * g, w * h, self.count.get(row).copied().unwrap_or(1))
    }
}

/// Checks every target against the task; `place` names the rows.
pub(super) fn check_target(task: Task, target: &[f64], n_rows: usize, place: &str) -> Result<()> {
    if target.len() != n_rows {
        return Err(Error::request(format!("{place}: {} targets for {n_rows} rows", target.len())));
    }
    let (allowed, fits): (String, Box<dyn Fn(f64) -> bool>) = match task {
        Task::Binary => ("0 or 1".into(), Box::new(|y| y == 0.0 || y == 1.0)),
        Task::Classes(k) => {
            (format!("a class from 0 to {}", k - 1), Box::new(move |y| y >= 0.0 && y < k as f64 && y.fract() == 0.0))
        }
        Task::Regression => ("a number up to 1e100".into(), Box::new(|y: f64| y.abs() <= 1e100)),
    };
    match target.iter().position(|&y| !fits(y)) {
        Some(row) => Err(Error::data(format!("{place}, row {row}: target is {}, allowed is {allowed}", target[row]))),
        None => Ok(()),
    }
}

/// The best constant margins. Fails if the target has only one value.
pub(super) fn start(task: Task, labels: &Labels) -> Result<Vec<f64>> {
    let target = &labels.target;
    if target.iter().all(|&y| y == target[0]) {
        return Err(Error::data(format!(
            "the target is {} in all {} training rows of positive weight, at least two values are needed",
            target[0],
            target.len()
        )));
    }
    let weights = || (0..target.len()).map(|row| labels.weight_of(row));
    let total: f64 = weights().sum();
    Ok(match task {
        Task::Binary => {
            let p = target.iter().zip(weights()).map(|(y, w)| y * w).sum::<f64>() / total;
            vec![(p / (1.0 - p)).ln()]
        }
        Task::Regression => vec![target.iter().zip(weights()).map(|(y, w)| y * (w / total)).sum()],
        Task::Classes(k) => {
            let mut sums = vec![0.0; k];
            target.iter().zip(weights()).for_each(|(&y, w)| sums[y as usize] += w);
            // A class without rows starts as if it had half a row's share of them.
            sums.iter().map(|&s| (s.max(0.5) / total).ln()).collect()
        }
    })
}

/// One round's derivatives at `margins` (one vector per output): per output the packing and one cell per row.
///
/// Softmax hessians carry the factor k/(k - 1), as in Friedman's (2001) multi-class step.
pub(super) fn derivatives(
    params: &GbdtParams,
    labels: &Labels,
    margins: &[Vec<f64>],
    cells: &mut [Vec<Cell>],
) -> Vec<Packing> {
    let focal = Focal { gamma: params.imbalance.focal };
    match params.task {
        Task::Binary if focal.gamma > 0.0 => {
            let packing = labels.packing(focal.gradient_max(), focal.hessian_max());
            cells[0].par_iter_mut().with_min_len(CHUNK).enumerate().for_each(|(row, out)| {
                let sign = if labels.target[row] == 1.0 { 1.0 } else { -1.0 };
                let (slope, curvature) = focal.derivatives(sign * margins[0][row]);
                *out = labels.packed(&packing, row, sign * slope, curvature);
            });
            vec![packing]
        }
        Task::Binary => {
            let packing = labels.packing(1.0, 0.25);
            cells[0].par_chunks_mut(CHUNK).enumerate().for_each(|(i, out)| {
                let rows = i * CHUNK..i * CHUNK + out.len();
                let weighted = if labels.weight.is_empty() { 0..0 } else { rows.clone() };
                logistic_cells(
                    &margins[0][rows.clone()],
                    &labels.target[rows],
                    &labels.weight[weighted.clone()],
                    &labels.count[weighted],
                    &packing,
                    out,
                );
            });
            vec![packing]
        }
        Task::Regression => {
            let residual = |row: usize| margins[0][row] - labels.target[row];
            let most = (0..labels.n_rows()).into_par_iter().map(|r| residual(r).abs()).reduce(|| 0.0, f64::max);
            let packing = labels.packing(most.max(1e-200), 1.0);
            cells[0].par_iter_mut().with_min_len(CHUNK).enumerate().for_each(|(row, out)| {
                *out = labels.packed(&packing, row, residual(row), 1.0);
            });
            vec![packing]
        }
        Task::Classes(k) => {
            let factor = k as f64 / (k as f64 - 1.0);
            let packing = labels.packing(1.0, factor / 4.0);
            let log_sums: Vec<f64> =
                (0..labels.n_rows()).into_par_iter().with_min_len(1_024).map(|row| log_sum(margins, row)).collect();
            cells.par_iter_mut().enumerate().for_each(|(class, cells)| {
                for (row, out) in cells.iter_mut().enumerate() {
                    let p = (margins[class][row] - log_sums[row]).exp();
                    let y = if labels.target[row] == class as f64 { 1.0 } else { 0.0 };
                    *out = labels.packed(&packing, row, p - y, factor * p * (1.0 - p));
                }
            });
            vec![packing; k]
        }
    }
}

/// ln Σ exp(margin) over a row's outputs.
fn log_sum(margins: &[Vec<f64>], row: usize) -> f64 {
    let top = margins.iter().map(|m| m[row]).fold(f64::NEG_INFINITY, f64::max);
    top + margins.iter().map(|m| (m[row] - top).exp()).sum::<f64>().ln()
}

/// Weighted mean loss: log loss (focal where asked for), or squared error; NaN without weight.
pub(super) fn loss(params: &GbdtParams, margins: &[Vec<f64>], target: &[f64], weight: &[f64]) -> f64 {
    let focal = Focal { gamma: params.imbalance.focal };
    let row_loss = |row: usize| match params.task {
        Task::Binary if focal.gamma > 0.0 => {
            focal.loss(if target[row] == 1.0 { margins[0][row] } else { -margins[0][row] })
        }
        Task::Binary => {
            let against = if target[row] == 1.0 { -margins[0][row] } else { margins[0][row] };
            against.max(0.0) + (-against.abs()).exp().ln_1p()
        }
        Task::Regression => (margins[0][row] - target[row]).powi(2),
        Task::Classes(_) => log_sum(margins, row) - margins[target[row] as usize][row],
    };
    // Blocks are summed in their order, so the bits do not depend on threads.
    let sums: Vec<(f64, f64)> = (0..target.len().div_ceil(CHUNK))
        .into_par_iter()
        .map(|block| {
            (block * CHUNK..target.len().min((block + 1) * CHUNK)).fold((0.0, 0.0), |(loss, total), row| {
                let w = weight.get(row).copied().unwrap_or(1.0);
                (loss + w * row_loss(row), total + w)
            })
        })
        .collect();
    let (sum, total) = sums.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    sum / total
}
