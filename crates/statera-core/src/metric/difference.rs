//! How much better one model is than another on the same rows.

use super::{Interval, Predicted, Sample, Z_95, auc, log_loss, primary};
use crate::{Error, Result, Task};
use serde::{Deserialize, Serialize};

/// How much better the first of two models is in the task's primary metric. Positive: the first is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Name of the metric.
    pub metric: String,
    /// The gain and its 95 % interval.
    pub gain: Interval,
    /// Standard error of the gain.
    pub standard_error: f64,
}

/// Compares two models on the same rows in the task's [`primary`] metric: gain in AUC, or reduction of log loss or RMSE.
///
/// The standard error takes into account that both saw the same rows: DeLong's covariance for AUC, the spread of the
/// rows' loss differences for log loss, and for RMSE the spread of the rows' influences (delta method). The interval
/// is the normal one. AUC and RMSE look at margins, log loss at probabilities.
///
/// Fails as [`Sample::new`] does, without probabilities where they are needed, and if a class has fewer than 2 rows.
pub fn paired_difference(
    task: Task,
    target: &[f64],
    a: Predicted<'_>,
    b: Predicted<'_>,
    weight: Option<&[f64]>,
) -> Result<Difference> {
    // These are made for their checks only: samples of a binary task sort their rows, and here rows must stay matched.
    Sample::new(task, target, a, weight, 0.5).map_err(|e| e.at("first model"))?;
    Sample::new(task, target, b, weight, 0.5).map_err(|e| e.at("second model"))?;
    let weight = weight.map_or_else(|| vec![1.0; target.len()], <[f64]>::to_vec);
    let (gain, standard_error) = match task {
        Task::Binary => area_difference(target, a.margins, b.margins, &weight)?,
        Task::Classes(_) => {
            if a.probabilities.is_empty() || b.probabilities.is_empty() {
                return Err(Error::request("there are margins only; comparing log loss needs probabilities"));
            }
            let [first, second] = [a, b].map(|p| log_loss::row_losses(task, target, p.probabilities));
            let gains: Vec<f64> = first.iter().zip(&second).map(|(a, b)| b - a).collect();
            mean_and_error(&gains, &weight)
        }
        Task::Regression => rmse_difference(target, a.margins, b.margins, &weight),
    };
    let half = Z_95 * standard_error;
    Ok(Difference {
        metric: primary(task).name.to_string(),
        gain: Interval { value: gain, low: gain - half, high: gain + half },
        standard_error,
    })
}

fn area_difference(target: &[f64], a: &[f64], b: &[f64], weight: &[f64]) -> Result<(f64, f64)> {
    let (first, second) = (auc::placements(a, target, weight), auc::placements(b, target, weight));
    let gains: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
    let variance = auc::placement_variance(&gains, target, weight).ok_or_else(|| {
        let counts = [0.0, 1.0].map(|c| target.iter().zip(weight).filter(|&(&y, &w)| y == c && w > 0.0).count());
        let [negative, positive] = counts;
        Error::data(format!(
            "{positive} positive and {negative} negative rows; comparing two models needs at least 2 of each"
        ))
    })?;
    Ok((auc::area(a, target, weight) - auc::area(b, target, weight), variance.sqrt()))
}

fn rmse_difference(target: &[f64], a: &[f64], b: &[f64], weight: &[f64]) -> (f64, f64) {
    let squares = |p: &[f64]| target.iter().zip(p).map(|(y, p)| (y - p).powi(2)).collect::<Vec<f64>>();
    let (first, second) = (squares(a), squares(b));
    let root = |squares: &[f64]| mean_and_error(squares, weight).0.sqrt();
    let (rmse_a, rmse_b) = (root(&first), root(&second));
    // d rmse = d mse / (2 rmse); a model without error has no influence.
    let influence = |square: f64, rmse: f64| if rmse > 0.0 { (square - rmse * rmse) / (2.0 * rmse) } else { 0.0 };
    let gains: Vec<f64> =
        first.iter().zip(&second).map(|(&a, &b)| influence(b, rmse_b) - influence(a, rmse_a)).collect();
    (rmse_b - rmse_a, mean_and_error(&gains, weight).1)
}

/// Weighted mean and its standard error, sqrt(Σ w²(x - x̄)² · n/(n - 1)) / Σ w.
fn mean_and_error(values: &[f64], weight: &[f64]) -> (f64, f64) {
    let total: f64 = weight.iter().sum();
    let mean = values.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>() / total;
    let squares: f64 = values.iter().zip(weight).map(|(x, w)| (w * (x - mean)).powi(2)).sum();
    let n = weight.iter().filter(|&&w| w > 0.0).count() as f64;
    (mean, (squares * n / (n - 1.0)).sqrt() / total)
}
