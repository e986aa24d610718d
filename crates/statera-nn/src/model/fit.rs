//! What fitting is for every family: checks, inputs, targets, training, the model.

use super::attribution::Head;
use super::average::Average;
use super::{Architecture, Categories, Header, NetworkModel};
use crate::input::{Input, Scaling};
use crate::loss::Loss;
use crate::network::{Network, Rows};
use crate::train::{TrainParams, Validation, train};
use statera_core::metric;
use statera_core::{Column, Error, Frame, Model, Result, Rng, Run, Task};
use statera_kernel::math;

/// A family's settings, in the terms of every family.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What is predicted.
    pub task: Task,
    /// The network.
    pub architecture: Architecture,
    /// How numbers are scaled.
    pub scaling: Scaling,
    /// Categories of more levels are embedded.
    pub embed_above: usize,
    /// `None` for the task's: cross-entropy or squared error.
    pub loss: Option<Loss>,
    /// How it is trained.
    pub train: TrainParams,
}

/// Most rows of a fit: row numbers have 32 bits.
const MOST_ROWS: usize = u32::MAX as usize;

/// Fits a network.
///
/// # Errors
/// Settings or data outside their ranges, cancellation, or a loss that is not finite.
pub fn fit(recipe: &Recipe, train_frame: &Frame, valid_frame: &Frame, run: &Run) -> Result<Box<dyn Model>> {
    recipe.train.check()?;
    check_frame(recipe.task, train_frame).map_err(|e| e.at("training rows"))?;
    if valid_frame.n_rows > 0 {
        check_frame(recipe.task, valid_frame).map_err(|e| e.at("validation rows"))?;
    }
    let kept = without_weightless(train_frame);
    let train_frame = kept.as_ref().unwrap_or(train_frame);
    check_varied(recipe.task, train_frame)?;
    let input = recipe.architecture.fit_input(train_frame, recipe.scaling, recipe.embed_above)?;
    let x = input.apply(train_frame, 0..train_frame.n_rows)?;
    let (target_mean, target_scale) = target_scale(recipe.task, train_frame);
    let rows = rows_of(x, train_frame, target_mean, target_scale);
    let edges = match recipe.architecture.n_bins() {
        Some(n_bins) => (0..input.n_numbers()).map(|j| bin_edges(&rows.x, input.n_columns(), j, n_bins)).collect(),
        None => Vec::new(),
    };
    let n_outputs = recipe.task.n_outputs();
    let mut rng = Rng::fork(run.seed, 0x6e6e);
    let mut network =
        recipe.architecture.build(&input, n_outputs, &edges, Categories::Codes, Some(&rows.x), &mut rng)?;
    let loss = recipe.loss.clone().unwrap_or_else(|| loss_of(recipe.task));
    if loss.n_outputs() != n_outputs {
        return Err(Error::request(format!("the loss is of {} margins; the task has {n_outputs}", loss.n_outputs())));
    }
    let baseline = means(&rows, &input);
    let average = Average { task: recipe.task, n_members: network.n_members, mean: target_mean, scale: target_scale };
    let curve = if valid_frame.n_rows > 0 {
        let x = input.apply(valid_frame, 0..valid_frame.n_rows)?;
        let weight: Vec<f64> = (0..valid_frame.n_rows).map(|i| valid_frame.weight_of(i)).collect();
        let figure = |y: &[f32]| figure(recipe.task, &average.margins(y), &valid_frame.target, &weight);
        train(&mut network, &loss, &rows, Some(&Validation { x: &x, figure: &figure }), &recipe.train, run)?
    } else {
        train(&mut network, &loss, &rows, None, &recipe.train, run)?
    };
    let n_edges = edges.iter().map(Vec::len).collect();
    let architecture = recipe.architecture.clone();
    let margin_ranges = margin_ranges(&network, &average, &rows.x);
    let header =
        Header { task: recipe.task, architecture, input, target_mean, target_scale, margin_ranges, n_edges, curve };
    Ok(Box::new(NetworkModel::new(header, network, edges, baseline)?))
}

/// The settings of a family of networks: what differs between them. [`estimator`] makes a learner of it.
pub(super) trait NetworkParams: Clone {
    /// Checks the settings and fits; as [`statera_core::Estimator::fit`].
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>>;
    /// How it is trained.
    fn training(&mut self) -> &mut TrainParams;

    /// The same for as many epochs as the folds' models were best after: the median of them.
    #[must_use]
    fn for_refit(&self, folds: &[&dyn Model]) -> Self {
        let mut best: Vec<usize> = folds.iter().filter_map(|m| m.learning_curve()).map(|c| c.kept).collect();
        best.sort_unstable();
        let mut refit = self.clone();
        if let Some(&epochs) = best.get(best.len() / 2) {
            (refit.training().epochs, refit.training().patience) = (epochs, None);
        }
        refit
    }
}

/// Makes settings that are [`NetworkParams`] a learner: on level codes and numbers, stopped by rows held back from training.
macro_rules! estimator {
    ($params:ty) => {
        impl statera_core::Estimator for $params {
            fn form(&self) -> statera_core::Form {
                statera_core::Form::Codes
            }
            fn fit(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
                self.learn(train, valid, run)
            }
            fn stops_on_training_rows(&self) -> bool {
                true
            }
            fn refit(&self, folds: &[&dyn Model]) -> Box<dyn statera_core::Estimator> {
                Box::new(self.for_refit(folds))
            }
        }
    };
}
pub(super) use estimator;

/// The usual loss of a task.
fn loss_of(task: Task) -> Loss {
    match task {
        Task::Binary => Loss::BINARY,
        Task::Classes(k) => Loss::classes(k),
        Task::Regression => Loss::Squared,
    }
}

/// The validation figure, higher is better: AUC of two classes, minus the log loss of more, minus the mean squared error.
fn figure(task: Task, margins: &[f64], target: &[f64], weight: &[f64]) -> f64 {
    let total: f64 = weight.iter().sum();
    let mean = |row: &dyn Fn(usize) -> f64| weight.iter().enumerate().map(|(i, w)| w * row(i)).sum::<f64>() / total;
    match task {
        Task::Binary => {
            let area = metric::area(margins, target, weight);
            // Of one class alone there is no area.
            if area.is_nan() {
                -mean(&|i| math::ln(1.0 + math::exp(margins[i] * (1.0 - 2.0 * target[i]))))
            } else {
                area
            }
        }
        Task::Classes(k) => {
            let loss = |i: usize| {
                let row = &margins[i * k..][..k];
                let largest = row.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
                let sum: f64 = row.iter().map(|v| math::exp(v - largest)).sum();
                row[target[i] as usize] - largest - math::ln(sum)
            };
            mean(&loss)
        }
        Task::Regression => -mean(&|i| (margins[i] - target[i]).powi(2)),
    }
}

/// The weighted mean and standard deviation of a regression's target; 0 and 1 for classes.
fn target_scale(task: Task, frame: &Frame) -> (f64, f64) {
    if task.is_classification() {
        return (0.0, 1.0);
    }
    let sum = |f: &dyn Fn(usize) -> f64| (0..frame.n_rows).map(|i| frame.weight_of(i) * f(i)).sum::<f64>();
    let total = sum(&|_| 1.0);
    let mean = sum(&|i| frame.target[i]) / total;
    let deviation = (sum(&|i| (frame.target[i] - mean).powi(2)) / total).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

/// The rows of a training frame in the network's terms; weights get a mean of 1.
fn rows_of(x: Vec<f32>, frame: &Frame, mean: f64, scale: f64) -> Rows {
    let target = frame.target.iter().map(|y| ((y - mean) / scale) as f32).collect();
    Rows { x, target, weight: weight_of_rows(frame) }
}

/// The weights of a frame's rows, if it has any, with a mean of 1.
pub(super) fn weight_of_rows(frame: &Frame) -> Option<Vec<f32>> {
    let weight = frame.weight.as_ref()?;
    let factor = weight.len() as f64 / weight.iter().sum::<f64>();
    Some(weight.iter().map(|w| (w * factor) as f32).collect())
}

/// Rows whose margins tell their range.
const RANGE_ROWS: usize = 10_000;

/// The range of each margin over training rows at even steps.
fn margin_ranges(network: &Network, average: &Average, x: &[f32]) -> Vec<f64> {
    let (n_in, n_outputs) = (network.layer.n_in(), average.task.n_outputs());
    let every = (x.len() / n_in).div_ceil(RANGE_ROWS).max(1);
    let x: Vec<f32> = x.chunks_exact(n_in).step_by(every).flatten().copied().collect();
    let margins = average.margins(&network.score(&x));
    let of = |output: usize| {
        let own = margins.iter().skip(output).step_by(n_outputs);
        let (low, high) = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(*m), h.max(*m)));
        high - low
    };
    (0..n_outputs).map(of).collect()
}

/// The weighted mean of each input column; of a category that is embedded, the weighted share of each of its levels.
pub(super) fn means(rows: &Rows, input: &Input) -> Vec<f32> {
    let mut sums = vec![0.0; input.n_spread_columns()];
    for (i, row) in rows.x.chunks_exact(input.n_columns()).enumerate() {
        let w = rows.weight.as_ref().map_or(1.0, |w| f64::from(w[i]));
        sums.iter_mut().zip(input.spread(row)).for_each(|(s, v)| *s += w * f64::from(v));
    }
    sums.iter().map(|s| (s / rows.n_rows() as f64) as f32).collect()
}

/// The distinct quantiles of an input column at equal steps of probability: the edges of at most `n_bins` bins.
fn bin_edges(x: &[f32], n_columns: usize, column: usize, n_bins: usize) -> Vec<f32> {
    let mut sorted: Vec<f32> = x.iter().skip(column).step_by(n_columns).copied().collect();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len() - 1;
    let quantile = |i: usize| {
        let place = i as f64 / n_bins as f64 * last as f64;
        let below = place.floor() as usize;
        let (low, high) = (f64::from(sorted[below]), f64::from(sorted[(below + 1).min(last)]));
        (low + (high - low) * (place - below as f64)) as f32
    };
    let mut edges: Vec<f32> = (0..=n_bins).map(quantile).collect();
    edges.dedup();
    // Missing cells are 0 here, so that a column varies although its numbers' quantiles may not.
    if edges.len() == 1 {
        edges.push(edges[0] + 1.0);
    }
    edges
}

/// The frame without rows of weight 0, if it has any.
pub(super) fn without_weightless(frame: &Frame) -> Option<Frame> {
    let kept: Vec<usize> = (0..frame.n_rows).filter(|&i| frame.weight_of(i) > 0.0).collect();
    (kept.len() < frame.n_rows).then(|| frame.take(&kept))
}

/// Refuses a frame whose columns or weights are outside what they may be.
pub(super) fn check_columns(frame: &Frame) -> Result<()> {
    let n = frame.n_rows;
    if frame.columns.len() != frame.spec.features.len() || frame.columns.iter().any(|c| c.len() != n) {
        return Err(Error::request(format!("a frame of {n} level codes or numbers in each column is needed")));
    }
    if frame.weight.as_ref().is_some_and(|w| w.len() != n) {
        return Err(Error::request(format!("a weight, if any, is needed for each of the {n} rows")));
    }
    if let Some(feature) = frame.spec.features.iter().find(|f| f.monotone != 0) {
        return Err(Error::request(format!(
            "column «{}» must be monotone, which a neural network cannot promise; allowed: no required direction, or \
             another model",
            feature.name
        )));
    }
    if n > MOST_ROWS {
        return Err(Error::request(format!("{n} rows; allowed: at most {MOST_ROWS}")));
    }
    for (column, feature) in frame.columns.iter().zip(&frame.spec.features) {
        if let Column::Number(cells) = column
            && let Some(i) = cells.iter().position(|v| v.is_infinite())
        {
            let (name, value) = (&feature.name, cells[i]);
            return Err(Error::data(format!("row {i}, column «{name}»: {value}; allowed: finite numbers")));
        }
    }
    if let Some(weights) = &frame.weight
        && let Some(i) = weights.iter().position(|w| !(*w >= 0.0 && w.is_finite()))
    {
        return Err(Error::data(format!("row {i}: weight {}; allowed: 0 and above, finite", weights[i])));
    }
    Ok(())
}

/// Refuses a frame whose columns, targets or weights are outside what they may be.
fn check_frame(task: Task, frame: &Frame) -> Result<()> {
    check_columns(frame)?;
    let n = frame.n_rows;
    if frame.target.len() != n {
        return Err(Error::request(format!("a target is needed for each of the {n} rows")));
    }
    let (allowed, fits): (String, Box<dyn Fn(f64) -> bool>) = match task {
        Task::Binary => ("0 or 1".into(), Box::new(|y| y == 0.0 || y == 1.0)),
        Task::Classes(k) => {
            (format!("0 to {}", k.saturating_sub(1)), Box::new(move |y| y >= 0.0 && y < k as f64 && y.fract() == 0.0))
        }
        Task::Regression => ("finite numbers".into(), Box::new(f64::is_finite)),
    };
    match frame.target.iter().position(|&y| !fits(y)) {
        Some(i) => Err(Error::data(format!("row {i}: target {}; allowed: {allowed}", frame.target[i]))),
        None => Ok(()),
    }
}

/// Refuses training rows (of weight above 0) that are none or have a single class.
fn check_varied(task: Task, frame: &Frame) -> Result<()> {
    let Some(first) = frame.target.first() else {
        return Err(Error::data("none of the training rows has a weight above 0"));
    };
    if task.is_classification() && frame.target.iter().all(|y| y == first) {
        return Err(Error::data(format!(
            "the target is {first} in all training rows with a weight above 0; at least two classes are needed"
        )));
    }
    Ok(())
}
