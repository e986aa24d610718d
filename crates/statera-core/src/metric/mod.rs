//! Figures that judge a model, each with a 95 % interval.
//!
//! Weights are importance weights everywhere: a value is that of a table in which a row of weight *w* stands *w* times,
//! a row of weight 0 is no row, and an interval does not change when all weights are multiplied by a number.
//! Tied scores count as ties: no value depends on the order of the rows.
//!
//! A new metric is one file with a constant of type [`Metric`], and one line in [`METRICS`].

mod accuracy;
mod alert;
mod auc;
mod average_precision;
mod band;
mod bootstrap;
mod brier;
mod calibration_error;
mod chi_squared;
mod confusion;
mod curve;
mod decile;
mod difference;
mod distribution;
mod gini;
mod ks;
mod log_loss;
mod prequential;
mod recall_at_rate;
mod regression;
mod sample;
mod stability;
mod swap;

pub use alert::{AlertQueue, Review, Transactions, Worked};
pub(crate) use auc::area_ranked;
pub use auc::{area, delong_variance};
pub use band::{BandPoint, CurveBands, curve_bands};
pub(crate) use bootstrap::draw as draw_weights;
pub use curve::{
    CurvePoint, KsPoint, MAX_POINTS, ReliabilityBin, ks_curve, precision_recall_curve, reliability, roc_curve, wilson,
};
pub use decile::{Decile, deciles};
pub use difference::{Difference, paired_difference};
pub use distribution::{ScoreBin, score_distribution};
pub use prequential::{CAPACITY_STEPS, CapacityPoint, Reviewing, ScoredFolds, measured};
pub use recall_at_rate::recall_at_rate;
pub use sample::{Predicted, Ranking, Sample};
pub(crate) use sample::{check_target, check_varied};
pub use stability::{population_stability, stability_bound};
pub use swap::{Applicants, Oriented, SwapSet, orient, swap_set};

use crate::{Error, Result, Task};
use serde::{Deserialize, Serialize};

/// Two-sided 95 % quantile of the standard normal distribution.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// The two-sided quantile of the standard normal distribution at which each of `n` intervals, at least 1, has to be taken for
/// all to hold at once in 95 % of samples (Bonferroni); [`Z_95`] for one.
pub(crate) fn simultaneous_quantile(n: usize) -> f64 {
    // The square of a normal variable is χ² of one degree of freedom.
    if n <= 1 { Z_95 } else { chi_squared::quantile(1.0 - 0.05 / n as f64, 1).sqrt() }
}

/// Bootstrap replicates where the caller has no wish of its own.
pub const DEFAULT_BOOTSTRAP: usize = 200;

/// Fewest bootstrap replicates of which 2.5 % quantiles say anything.
pub const MIN_BOOTSTRAP: usize = 40;

/// Every metric, in the order in which tables show them. The first that applies to a task is its primary one.
pub const METRICS: &[Metric] = &[
    auc::AUC,
    gini::GINI,
    ks::KS,
    average_precision::AVERAGE_PRECISION,
    recall_at_rate::RECALL_AT_1_PERCENT,
    log_loss::LOG_LOSS,
    brier::BRIER,
    calibration_error::CALIBRATION_ERROR,
    auc::AUC_MACRO,
    accuracy::ACCURACY,
    confusion::PRECISION,
    confusion::RECALL,
    confusion::F1,
    decile::LIFT_TOP_DECILE,
    decile::GAIN_TOP_3_DECILES,
    regression::RMSE,
    regression::MAE,
    regression::R2,
];

/// What a metric looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Margins only: the ranking they give, or the predicted values of a regression.
    Margin,
    /// Calibrated probabilities.
    Probability,
}

/// One figure that judges predictions.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name in files and on the command line.
    pub name: &'static str,
    /// Name in tables and reports.
    pub title: &'static str,
    /// True if more is better.
    pub higher_is_better: bool,
    /// What it looks at.
    pub needs: Needs,
    /// Tells whether it is defined for a task.
    pub applies: fn(Task) -> bool,
    /// Its value; finite for every [`Sample`].
    pub compute: fn(&Sample) -> f64,
    /// Its interval in closed form; without one the bootstrap gives it.
    pub interval: Option<fn(&Sample) -> Interval>,
}

/// A value and the ends of its 95 % interval, `low <= value <= high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The value measured.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A metric's value on a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// [`Metric::name`].
    pub name: String,
    /// Value and interval.
    pub interval: Interval,
}

/// The metric of that name; the error lists what there is.
pub fn find(name: &str) -> Result<&'static Metric> {
    METRICS.iter().find(|m| m.name == name).ok_or_else(|| {
        let names: Vec<&str> = METRICS.iter().map(|m| m.name).collect();
        Error::request(format!("no metric «{name}»; there are {}", names.join(", ")))
    })
}

/// The metric that candidates are chosen by: AUC (binary), log loss (k classes), RMSE (regression).
pub fn primary(task: Task) -> &'static Metric {
    METRICS.iter().find(|m| (m.applies)(task)).expect("METRICS has an entry for each task; a test checks it")
}

/// Every metric that applies, with its 95 % interval.
///
/// `target`: 0/1, class index or value, one a row. `predicted.probabilities` may be empty; then metrics that need them
/// are left out (a bank's present score has a ranking only). `cutoff`: rows with a probability of at least it are taken
/// as positive. `n_bootstrap`: at least [`MIN_BOOTSTRAP`]. AUC and Gini have DeLong's interval, the others the
/// percentile interval of the bootstrap (Efron & Tibshirani 1993, § 13.3): rows are drawn with replacement, sorted
/// orders are computed once and a draw only changes the rows' weights. Where the bootstrap's bias would leave the value
/// outside its own interval, the interval is widened to it.
///
/// Fails as [`Sample::new`] does, and with too few replicates.
///
/// ```
/// use statera_core::{Task, metric::{DEFAULT_BOOTSTRAP, Predicted, evaluate}};
/// let predicted = Predicted { margins: &[-2.0, -1.0, 0.0, 1.0], probabilities: &[0.1, 0.3, 0.5, 0.7] };
/// let measured = evaluate(Task::Binary, &[0.0, 1.0, 0.0, 1.0], predicted, None, 0.5, 42, DEFAULT_BOOTSTRAP)?;
/// assert_eq!((measured[0].name.as_str(), measured[0].interval.value), ("auc", 0.75));
/// # Ok::<(), statera_core::Error>(())
/// ```
pub fn evaluate(
    task: Task,
    target: &[f64],
    predicted: Predicted<'_>,
    weight: Option<&[f64]>,
    cutoff: f64,
    seed: u64,
    n_bootstrap: usize,
) -> Result<Vec<Measured>> {
    if n_bootstrap < MIN_BOOTSTRAP {
        return Err(Error::request(format!("{n_bootstrap} bootstrap replicates; at least {MIN_BOOTSTRAP} are needed")));
    }
    let mut sample = Sample::new(task, target, predicted, weight, cutoff)?;
    let metrics: Vec<&Metric> = METRICS
        .iter()
        .filter(|m| (m.applies)(task) && (m.needs == Needs::Margin || !predicted.probabilities.is_empty()))
        .collect();
    let values: Vec<f64> = metrics.iter().map(|m| (m.compute)(&sample)).collect();
    let mut replicates = vec![Vec::with_capacity(n_bootstrap); metrics.len()];
    bootstrap::resample(&mut sample, n_bootstrap, seed, |drawn| {
        for (metric, values) in metrics.iter().zip(&mut replicates) {
            if metric.interval.is_none() {
                values.push((metric.compute)(drawn));
            }
        }
    });
    let measured = metrics.iter().zip(values).zip(replicates).map(|((metric, value), replicates)| Measured {
        name: metric.name.to_string(),
        interval: match metric.interval {
            Some(interval) => interval(&sample),
            None => bootstrap::percentile_interval(value, replicates),
        },
    });
    Ok(measured.collect())
}

#[cfg(test)]
mod tests;
