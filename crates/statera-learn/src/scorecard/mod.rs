//! The scorecard: optimal binning to weight of evidence, logistic regression with the right signs, integer
//! points. What a regulator can read.
//!
//! **Conventions.** Target 1 is bad. Weight of evidence = ln(share of goods / share of bads), so it is positive where rows
//! are better than the average, and every coefficient of the log-odds of bad on it must be negative. Points rise with
//! goodness: [`ScorecardParams::base_points`] at [`ScorecardParams::base_odds`] goods to one bad, and
//! [`ScorecardParams::double_odds`] more where the odds double.
//!
//! **The card is the model.** Points are rounded to integers, and the margin is computed from their sum:
//! `margin = ((base_points - total) / double_odds) · ln 2 - ln base_odds`. What a clerk adds up on paper is therefore what the model says, and
//! attributions (distance of each characteristic's points from their mean over the training rows) explain the decision
//! exactly. Rounding moves a characteristic by at most half a point, .007 of log-odds. Scoring is a comparison with cuts, an
//! integer sum and one multiplication: the same bits on every machine.
//!
//! **Editing.** The bins live in `bins.toml` ([`BinsFile`]), which a bank edits and gives back to the next fit.
//!
//! Methods: Siddiqi, *Credit Risk Scorecards* (2006) for evidence, points and selection; exact binning in `optimal.rs`.

mod binning;
mod bins_file;
mod logistic;
mod matrix;
mod model;
mod optimal;
mod prebin;
mod screen;
mod selection;
#[cfg(test)]
mod tests;

pub use binning::{Bin, BinKind, Binning};
pub use bins_file::{BINS_FILE, BinsFile, FeatureBins};
pub use model::{CardRow, Characteristic, Estimate, ScorecardModel};
pub use optimal::Trend;

use binning::Sample;
use bins_file::number;
use logistic::Design;
use optimal::Counts;
use rayon::prelude::*;
use selection::{Candidate, Selection};
use statera_core::{CODE_RARE, Column, Dimension, Error, Estimator, Form, Frame, Model, Point, Result, Run, Task};

/// Name of the family in lists, on the command line and in bundles.
pub const NAME: &str = "scorecard";

/// Settings of a scorecard. The defaults suit tables of a thousand rows and more.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorecardParams {
    /// What is predicted; only [`Task::Binary`] makes a scorecard.
    pub task: Task,
    /// Fine bins of a number before merging, about; 2 … 1000. Cuts are then refined between them.
    pub max_prebins: usize,
    /// Bins of a number or groups of a category at most, besides missing and special values; at least 1.
    pub max_bins: usize,
    /// Least share of the training weight in a bin, 0 … 0.5.
    pub min_bin_share: f64,
    /// Least weight of goods and of bads in a bin; where no split satisfies it (a feature that separates the classes), the
    /// least weights that a bin lets expect at the overall rate. Bins of one class stand on half a row of the other.
    pub min_events: f64,
    /// The fewest bins are taken that keep `1 - iv_tolerance` of the best information value; 0 … 1.
    pub iv_tolerance: f64,
    /// How the bad rate runs over the bins of a number, where neither the frame nor `bins` says it. The default is monotone,
    /// with a turn only where it is significant (the young and the old).
    pub trend: Trend,
    /// Missing, special, rare and unknown bins with less training weight are neutral (weight of evidence 0).
    pub min_special: f64,
    /// Least information value of a characteristic (Siddiqi: below .02 is unpredictive).
    pub min_iv: f64,
    /// Of two characteristics whose weights of evidence correlate more (absolute value), the weaker is left out.
    pub max_correlation: f64,
    /// Characteristics that enter the regression at most, 1 … 1000; fewer where the rarer class has less than five rows for
    /// each (but always 20). Where more are left after `max_correlation`, forward selection by partial correlation takes
    /// them.
    pub max_candidates: usize,
    /// Characteristics with a higher Wald p-value are eliminated, the highest first. The default is about what Akaike's
    /// criterion does (.157); stricter levels lose on small tables (german_credit: AUC .775 at .05, .783 at .15).
    pub max_p_value: f64,
    /// Characteristics with a higher variance inflation factor are eliminated, the highest first.
    pub max_vif: f64,
    /// Penalty `ridge/2 · Σ β²`, in units of rows: it keeps coefficients finite where classes separate, and is far too small to be
    /// seen elsewhere. Positive.
    pub ridge: f64,
    /// Points at `base_odds`.
    pub base_points: f64,
    /// Goods to one bad at `base_points`; positive.
    pub base_odds: f64,
    /// Points that double the odds; positive.
    pub double_odds: f64,
    /// The bank's own bins.
    pub bins: Option<BinsFile>,
}

impl Default for ScorecardParams {
    fn default() -> Self {
        ScorecardParams {
            task: Task::Binary,
            max_prebins: 50,
            max_bins: 10,
            min_bin_share: 0.05,
            min_events: 5.0,
            iv_tolerance: 0.0,
            trend: Trend::Auto,
            min_special: 30.0,
            min_iv: 0.02,
            max_correlation: 0.9,
            max_candidates: 100,
            max_p_value: 0.15,
            max_vif: 10.0,
            ridge: 1e-3,
            base_points: 600.0,
            base_odds: 19.0,
            double_odds: 50.0,
            bins: None,
        }
    }
}

/// What a search may change: how coarse bins are, and how strictly characteristics are selected. Ranges are around what
/// Siddiqi (2006) recommends: bins of 5 % and up to 20 of them, information values from .02, and elimination from the
/// strict .01 to almost none.
const SPACE: [Dimension; 4] = [
    Dimension::whole("max_bins", 2, 20, 10),
    Dimension::log("min_bin_share", 0.01, 0.2, 0.05),
    Dimension::log("min_iv", 0.005, 0.1, 0.02),
    Dimension::log("max_p_value", 0.01, 0.6, 0.15),
];

impl ScorecardParams {
    /// The settings that a search may change.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The learner at a point of [`ScorecardParams::space`].
    pub fn at(task: Task, bins: Option<BinsFile>, point: &Point) -> ScorecardParams {
        ScorecardParams {
            task,
            max_bins: point.whole("max_bins"),
            min_bin_share: point.real("min_bin_share"),
            min_iv: point.real("min_iv"),
            max_p_value: point.real("max_p_value"),
            bins,
            ..ScorecardParams::default()
        }
    }
}

impl Estimator for ScorecardParams {
    fn form(&self) -> Form {
        Form::Codes
    }

    /// Fits the card on `train`; `valid` is not needed, since nothing is stopped early.
    fn fit(&self, train: &Frame, _valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        Ok(Box::new(self.fit_card(train, run)?))
    }

    fn refit(&self, _folds: &[&dyn Model]) -> Box<dyn Estimator> {
        Box::new(self.clone())
    }
}

impl ScorecardParams {
    /// Fits the card.
    ///
    /// # Errors
    /// A request error for another task than binary, for parameters outside their ranges and for a `bins` file that does not
    /// fit the columns; a data error for a frame without rows, a target other than 0 and 1 or of one class.
    pub fn fit_card(&self, train: &Frame, run: &Run) -> Result<ScorecardModel> {
        self.validate()?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(run.threads)
            .build()
            .map_err(|e| Error::io(format!("scorecard: cannot start {} threads: {e}", run.threads)))?;
        pool.install(|| self.fit_inside(train, run))
    }

    /// Bins every feature of `train` without building a card: for a look at information values. In frame order.
    ///
    /// # Errors
    /// As [`ScorecardParams::fit_card`].
    pub fn bin(&self, train: &Frame) -> Result<Vec<Binning>> {
        self.validate()?;
        let target = Target::of(train)?;
        Ok(self.bin_features(train, &target)?.into_iter().map(|(binning, _)| binning).collect())
    }

    fn bin_features(&self, train: &Frame, target: &Target) -> Result<Vec<(Binning, Vec<u16>)>> {
        if let Some(file) = &self.bins {
            file.check(&train.spec, |i| match &train.columns[i] {
                Column::Codes(codes) => codes.contains(&CODE_RARE),
                Column::Number(_) => false,
            })?;
        }
        let features = train.spec.features.par_iter().zip(&train.columns);
        features
            .map(|(spec, column)| {
                let entry = self.bins.as_ref().and_then(|f| f.entry(&spec.name));
                Binning::fit(spec, column, entry, &target.sample(), self)
            })
            .collect()
    }

    fn fit_inside(&self, train: &Frame, run: &Run) -> Result<ScorecardModel> {
        let target = Target::of(train)?;
        let sample = target.sample();
        let (binnings, rows): (Vec<Binning>, Vec<Vec<u16>>) = self.bin_features(train, &target)?.into_iter().unzip();
        run.check()?;
        let values: Vec<Vec<f64>> = binnings.iter().map(|b| b.bins.iter().map(|b| b.woe).collect()).collect();
        let counts: Vec<Vec<Counts>> =
            binnings.iter().map(|b| b.bins.iter().map(|b| Counts { good: b.goods, bad: b.bads }).collect()).collect();
        let pure: Vec<Vec<f64>> = binnings.iter().map(|b| b.pure(target.total)).collect();
        let design = Design {
            rows: rows.iter().map(Vec::as_slice).collect(),
            values: values.iter().map(Vec::as_slice).collect(),
            pure: pure.iter().map(Vec::as_slice).collect(),
            is_bad: sample.is_bad,
            weight: sample.weight,
        };
        let entry = |name: &str| self.bins.as_ref().and_then(|f| f.entry(name));
        let candidates: Vec<Candidate> = train
            .spec
            .features
            .iter()
            .zip(&binnings)
            .map(|(spec, binning)| Candidate {
                name: &spec.name,
                iv: binning.iv(),
                is_forced: entry(&spec.name).is_some_and(|e| e.force),
                is_excluded: entry(&spec.name).is_some_and(|e| e.exclude),
            })
            .collect();
        let selection = selection::select(&candidates, &design, &counts, self, run)?;
        Ok(self.card(train, binnings, &selection))
    }

    /// Puts the parts together.
    fn card(&self, train: &Frame, binnings: Vec<Binning>, selection: &Selection) -> ScorecardModel {
        let entry = |name: &str| self.bins.as_ref().and_then(|f| f.entry(name));
        let mut characteristics = Vec::new();
        for (j, (spec, binning)) in train.spec.features.iter().zip(binnings).enumerate() {
            let column = selection.active.iter().position(|&a| a == j);
            let estimate = match column {
                Some(c) => Some(Estimate {
                    coefficient: selection.fit.beta[c + 1],
                    std_error: selection.fit.std_error(c + 1),
                    p_value: selection.fit.p_value(c + 1),
                    vif: selection.vif[c],
                }),
                None if selection.held.contains(&j) => {
                    Some(Estimate { coefficient: 0.0, std_error: 0.0, p_value: 1.0, vif: 1.0 })
                }
                None => None,
            };
            characteristics.push(Characteristic {
                feature: spec.name.clone(),
                label: entry(&spec.name).and_then(|e| e.label.clone()),
                iv: binning.iv(),
                gini: binning.gini(),
                marginal_iv: selection.marginal_iv[j],
                binning,
                estimate,
                left_out: selection.left_out[j].clone(),
                neutral_points: 0.0,
            });
        }
        ScorecardModel::new(
            self,
            train.spec.as_ref().clone(),
            selection.fit.beta[0],
            selection.fit.iterations,
            characteristics,
        )
    }

    /// Checks the parameters.
    fn validate(&self) -> Result<()> {
        if self.task != Task::Binary {
            return Err(Error::request(
                "scorecard: it predicts a target of two classes only; choose boosting or a linear model for this task",
            ));
        }
        for (name, value, low, high) in [
            ("max_prebins", self.max_prebins as f64, 2.0, 1000.0),
            ("max_bins", self.max_bins as f64, 1.0, 100.0),
            ("min_bin_share", self.min_bin_share, 0.0, 0.5),
            ("min_events", self.min_events, 0.0, 1e12),
            ("iv_tolerance", self.iv_tolerance, 0.0, 1.0),
            ("min_special", self.min_special, 0.0, 1e12),
            ("min_iv", self.min_iv, 0.0, 1e3),
            ("max_correlation", self.max_correlation, 0.0, 1.0),
            ("max_candidates", self.max_candidates as f64, 1.0, 1000.0),
            ("max_p_value", self.max_p_value, 0.0, 1.0),
            ("max_vif", self.max_vif, 1.0, 1e6),
            ("ridge", self.ridge, 1e-12, 1e12),
            ("base_points", self.base_points, -1e5, 1e5),
            ("base_odds", self.base_odds, 1e-6, 1e6),
            ("double_odds", self.double_odds, 1.0, 1e4),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::request(format!(
                    "scorecard: {name} = {value}; allowed is {} … {}",
                    number(low),
                    number(high)
                )));
            }
        }
        Ok(())
    }
}

/// Classes and weights of the training rows.
struct Target {
    is_bad: Vec<bool>,
    weight: Vec<f64>,
    total: Counts,
}

impl Target {
    fn of(train: &Frame) -> Result<Target> {
        let n = train.n_rows;
        if train.columns.len() != train.spec.features.len() {
            return Err(Error::request(format!(
                "scorecard: {} columns for {} features; the form «codes» is needed",
                train.columns.len(),
                train.spec.features.len()
            )));
        }
        if n == 0 || train.target.len() != n {
            return Err(Error::data(format!(
                "scorecard: {n} training rows with {} targets; at least two are needed",
                train.target.len()
            )));
        }
        if let Some(row) = train.target.iter().position(|&y| y != 0.0 && y != 1.0) {
            return Err(Error::data(format!(
                "scorecard: target {} in row {row}; only 0 and 1 are allowed",
                train.target[row]
            )));
        }
        let is_bad: Vec<bool> = train.target.iter().map(|&y| y == 1.0).collect();
        let weight: Vec<f64> = (0..n).map(|row| train.weight_of(row)).collect();
        if let Some(row) = weight.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::data(format!(
                "scorecard: weight {} in row {row}; it must be finite and not below 0",
                weight[row]
            )));
        }
        let mut total = Counts::default();
        weight.iter().zip(&is_bad).for_each(|(&w, &bad)| total.add(w, bad));
        if total.good <= 0.0 || total.bad <= 0.0 {
            return Err(Error::data(format!(
                "scorecard: training rows of weight {} with target 0 and {} with target 1; both classes are needed",
                total.good, total.bad
            )));
        }
        Ok(Target { is_bad, weight, total })
    }

    fn sample(&self) -> Sample<'_> {
        Sample { is_bad: &self.is_bad, weight: &self.weight, total: self.total }
    }
}
