//! Penalised linear models: logistic regression for two classes, softmax regression for more, ridge regression for a
//! real target; with an L1 penalty and with coefficients of a required sign where asked.
//!
//! The objective is scikit-learn's, with C = 1 / `l2`:
//!
//! > Σᵢ wᵢ · lossᵢ + ½ · l2 · ‖β‖² + l1 · ‖β‖₁
//!
//! with the loss −ln p(yᵢ), or ½ (yᵢ − f(xᵢ))² for regression; intercepts are free. So a weight of 2 is the row twice,
//! and the penalty counts less the more rows there are. It is minimised by Newton's method (`solve`), whose sums over
//! rows run in blocks that depend on the number of rows alone: the result has the same bits for any number of threads.

use crate::imbalance::Imbalance;
use rayon::prelude::*;
use statera_core::{Dimension, Error, Estimator, Form, Frame, Model, Point, Result, Run, Task};
use std::borrow::Cow;

mod model;
mod objective;
mod solve;

pub use model::LinearModel;
use objective::Objective;
use solve::{Limits, Solution, minimise};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "logistic";

/// Strengths that are tried where `l2` is not given, strongest first: each fit starts at the one before it.
const PATH: [f64; 9] = [1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1];
/// Strengths in a row that must not be better than the best one before the path ends.
const PATH_PATIENCE: usize = 2;
/// The share by which a weaker penalty must lower the loss to count as better: with many rows all are alike, and the
/// stronger is the more careful one.
const PATH_GAIN: f64 = 1e-6;
/// The strength where none can be chosen: scikit-learn's default.
const FALLBACK_L2: f64 = 1.0;

/// Settings of a penalised linear model.
///
/// # Example
/// ```
/// use statera_core::{Estimator, FeatureSpec, Frame, FrameSpec, Matrix, Run, Task};
/// use statera_learn::linear::LinearParams;
///
/// let feature = |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
/// let spec = FrameSpec { features: vec![feature("income", 0)], raw_columns: vec!["income".into()], ..FrameSpec::default() };
/// let train = Frame {
///     spec: spec.into(),
///     n_rows: 4,
///     dense: Matrix { data: vec![-1.0, -0.5, 0.5, 1.0], n_cols: 1 },
///     target: vec![0.0, 1.0, 0.0, 1.0],
///     ..Frame::default()
/// };
/// let params = LinearParams { task: Task::Binary, l2: Some(1.0), ..LinearParams::default() };
/// let model = params.fit(&train, &Frame::default(), &Run::new(1, 1))?;
/// assert!(model.predict(&train)?.row(3)[0] > 0.0);
/// # Ok::<(), statera_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LinearParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// Strength of the squared penalty, at least 0. `None`, the default, tries nine values from 1000 to 0.1 and takes the
    /// one with the least loss on the validation rows (to a millionth); without those, the one with the least AIC at the effective number
    /// of parameters tr H (H + l2)⁻¹ (Hastie, Tibshirani and Friedman 2009, section 7.6), or 1 for models of more than
    /// 512 parameters.
    pub l2: Option<f64>,
    /// Strength of the absolute penalty, at least 0; sets coefficients to 0. Not for k classes. Default: 0.
    pub l1: f64,
    /// Newton steps a fit may take for one strength, at least 1. Default: 100; 5 to 10 are usual.
    pub max_iterations: usize,
    /// A fit ends when the next step would lower the objective by less than this share of the loss of a model without
    /// features; that step is still taken. Above 0. Default: 1e-10.
    pub tolerance: f64,
    /// Factor of a positive row's weight, above 0 and at most 10,000; binary tasks only. Default: 1.
    pub positive_weight: f64,
}

impl Default for LinearParams {
    fn default() -> Self {
        LinearParams {
            task: Task::Binary,
            l2: None,
            l1: 0.0,
            max_iterations: 100,
            tolerance: 1e-10,
            positive_weight: 1.0,
        }
    }
}

impl LinearParams {
    /// The settings that a search may change: the absolute penalty, which sets coefficients to 0, beside the path of squared
    /// penalties that every fit goes along by itself. Nothing for k classes, which have no absolute penalty.
    pub fn space(task: Task) -> Vec<Dimension> {
        match task {
            Task::Classes(_) => Vec::new(),
            Task::Binary | Task::Regression => vec![Dimension::log_or_zero("l1", 0.01, 100.0, 0.0)],
        }
    }

    /// The learner at a point of [`LinearParams::space`].
    pub fn at(task: Task, point: &Point) -> LinearParams {
        LinearParams { task, l1: point.real("l1"), ..LinearParams::default() }
    }
}

impl Estimator for LinearParams {
    fn form(&self) -> Form {
        Form::Dense
    }

    fn fit(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.check()?;
        check_frame(self.task, train).map_err(|e| e.at("training rows"))?;
        check_task(self.task, train)?;
        if valid.n_rows > 0 {
            check_frame(self.task, valid).map_err(|e| e.at("validation rows"))?;
        }
        let signs: Vec<i8> = train.spec.features.iter().map(|f| f.monotone).collect();
        if let (Task::Classes(k), Some(j)) = (self.task, signs.iter().position(|&s| s != 0)) {
            return Err(Error::request(format!(
                "column «{}» must be monotone, which has no meaning for the {k} margins of {k} classes; allowed: binary \
                 and regression tasks",
                train.spec.features[j].name
            )));
        }
        let rare = Imbalance { positive_weight: self.positive_weight, ..Imbalance::default() };
        rare.check(self.task)?;
        let weighted = rare.weighted(Cow::Borrowed(train));
        let fit = self.fit_path(&weighted, valid, &signs, run)?;
        Ok(Box::new(LinearModel::new(self, train, &fit)))
    }

    fn refit(&self, folds: &[&dyn Model]) -> Box<dyn Estimator> {
        let mut chosen: Vec<f64> =
            folds.iter().filter_map(|m| m.as_any().downcast_ref::<LinearModel>()).map(LinearModel::l2).collect();
        chosen.sort_by(f64::total_cmp);
        // Between two middle values the stronger penalty is the more careful one.
        let median = chosen.get(chosen.len() / 2).copied();
        Box::new(LinearParams { l2: median.or(self.l2), ..self.clone() })
    }
}

/// The fit of the chosen strength.
struct PathFit {
    l2: f64,
    solution: Solution,
}

impl LinearParams {
    /// Refuses settings outside their ranges.
    fn check(&self) -> Result<()> {
        let l2 = self.l2.unwrap_or(0.0);
        if !(l2 >= 0.0 && l2.is_finite()) {
            return Err(Error::request(format!("l2 is {l2}; allowed: 0 and above")));
        }
        if !(self.l1 >= 0.0 && self.l1.is_finite()) {
            return Err(Error::request(format!("l1 is {}; allowed: 0 and above", self.l1)));
        }
        if self.l1 > 0.0 && matches!(self.task, Task::Classes(_)) {
            return Err(Error::request(format!("l1 is {}; allowed for more than two classes: 0", self.l1)));
        }
        if self.max_iterations == 0 {
            return Err(Error::request("max_iterations is 0; allowed: 1 and above"));
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(Error::request(format!("tolerance is {}; allowed: above 0 and below 1", self.tolerance)));
        }
        Ok(())
    }

    /// Fits each strength of the path, from the strongest, and keeps the best; a given strength is a path of one.
    fn fit_path(&self, train: &Frame, valid: &Frame, signs: &[i8], run: &Run) -> Result<PathFit> {
        let mut objective = Objective::new(self.task, train);
        let choosable = valid.n_rows > 0 || objective.has_dense_hessian();
        let path = match self.l2 {
            Some(l2) => vec![l2],
            None if choosable => PATH.to_vec(),
            None => vec![FALLBACK_L2],
        };
        let limits = Limits {
            l1: self.l1,
            signs,
            max_iterations: self.max_iterations,
            tolerance: self.tolerance * objective.null_loss() + objective.rounding(),
        };
        run.progress.start("linear model", path.len() as u64);
        let mut best: Option<(f64, PathFit)> = None;
        let mut start = objective.null_parameters();
        let (mut worse, mut iterations) = (0, 0);
        for (done, &l2) in path.iter().enumerate() {
            objective.l2 = l2;
            let mut solution = minimise(&objective, start, &limits, run)?;
            iterations += solution.iterations;
            solution.iterations = iterations;
            start = solution.parameters.clone();
            let criterion = match (path.len(), valid.n_rows) {
                (1, _) => 0.0,
                (_, 0) => objective.akaike(&solution.parameters)?,
                _ => Objective::new(self.task, valid).loss(&solution.parameters),
            };
            run.progress.update(done as u64 + 1, &format!("l2 {l2}"));
            match &best {
                Some((least, _)) if criterion > least - PATH_GAIN * least.abs() => worse += 1,
                _ => {
                    worse = 0;
                    best = Some((criterion, PathFit { l2, solution }));
                }
            }
            if worse == PATH_PATIENCE {
                break;
            }
        }
        run.progress.finish();
        let (_, mut fit) =
            best.ok_or_else(|| Error::data("the loss is not a number for any strength of the penalty"))?;
        fit.solution.iterations = iterations;
        Ok(fit)
    }
}

/// Refuses a frame that is not dense, or whose cells, targets or weights are outside what they may be.
fn check_frame(task: Task, frame: &Frame) -> Result<()> {
    let (n_rows, n_cols) = (frame.n_rows, frame.spec.features.len());
    if frame.dense.n_cols != n_cols || frame.dense.data.len() != n_rows * n_cols {
        return Err(Error::request(format!(
            "a dense frame of {n_rows} × {n_cols} cells is needed, not one of {} cells in {} columns",
            frame.dense.data.len(),
            frame.dense.n_cols
        )));
    }
    if frame.target.len() != n_rows || frame.weight.as_ref().is_some_and(|w| w.len() != n_rows) {
        return Err(Error::request(format!("a target and, if any, a weight are needed for each of the {n_rows} rows")));
    }
    // Whole chunks without early exit are checked as vectors; the place is looked for only where there is one.
    let finite = |chunk: &[f32]| chunk.iter().fold(true, |all, v| all & v.is_finite());
    if !frame.dense.data.par_chunks(1 << 16).all(finite)
        && let Some(i) = frame.dense.data.iter().position(|v| !v.is_finite())
    {
        let (row, name) = (i / n_cols, &frame.spec.features[i % n_cols].name);
        let value = frame.dense.data[i];
        return Err(Error::data(format!("row {row}, column «{name}»: {value}; allowed: finite numbers")));
    }
    if let Some(weights) = &frame.weight
        && let Some(i) = weights.iter().position(|w| !(*w >= 0.0 && w.is_finite()))
    {
        return Err(Error::data(format!("row {i}: weight {}; allowed: 0 and above, finite", weights[i])));
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

/// Refuses training rows that weigh nothing or have a single class.
fn check_task(task: Task, train: &Frame) -> Result<()> {
    let mut counted = (0..train.n_rows).filter(|&i| train.weight_of(i) > 0.0);
    let Some(first) = counted.next() else {
        return Err(Error::data(format!("none of the {} training rows has a weight above 0", train.n_rows)));
    };
    if task.is_classification() && !counted.any(|i| train.target[i] != train.target[first]) {
        return Err(Error::data(format!(
            "the target is {} in all training rows with a weight above 0; at least two classes are needed",
            train.target[first]
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
