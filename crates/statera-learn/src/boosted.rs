//! Boosting that reads an anomaly score as one more column: what is unlike all else, learnt without the target, beside what the
//! target tells.
//!
//! What gives the score is a [`Detector`]. It is fitted on the rows that boosting learns from, and on no others; the rows that
//! tell boosting when to stop, and those that are scored, only get its score.

use crate::gbdt::{self, GbdtModel, GbdtParams};
use serde_json::{Value, json};
use statera_core::{
    Attributions, Background, Column, Error, Estimator, FeatureSpec, Form, Frame, FrameSpec, LearningCurve, Model,
    Parts, Result, Run, Scores,
};
use std::sync::Arc;

/// Name of the column that is added. No table has it: the names of raw columns have no line breaks.
pub const SCORE: &str = "anomaly score\n";

/// Name of the trees' part in `model.json`; the names of their arrays begin with it.
const BOOSTING: &str = "boosting";

/// The settings of what tells how unlike the others a row is.
pub trait Detector: Clone + Send + Sync + 'static {
    /// Its name, which is that of its part in `model.json`.
    const NAME: &'static str;
    /// Name of boosting that reads its score: in lists, on the command line and in bundles.
    const BOOSTED: &'static str;
    /// What is fitted: one margin a row, and what each raw column adds to it. The name of none of its arrays begins with
    /// `boosting.`.
    type Model: Model + 'static;

    /// Fits on the features of the training rows alone.
    ///
    /// # Errors
    /// Settings outside their ranges, rows that it cannot learn from, cancellation.
    fn detect(&self, train: &Frame, run: &Run) -> Result<Self::Model>;

    /// The settings for a refit on all rows, given what was fitted on the folds; the same, unless something was chosen there.
    #[must_use]
    fn for_refit(&self, _folds: &[&dyn Model]) -> Self {
        self.clone()
    }

    /// Loads what the model saved.
    ///
    /// # Errors
    /// Parts that do not fit together.
    fn load(parts: &Parts) -> Result<Self::Model>;

    /// The columns that a fitted model reads.
    fn spec(model: &Self::Model) -> &FrameSpec;
}

/// Settings of boosting with an anomaly score.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoostedParams<D> {
    /// What gives the score, fitted on the same rows.
    pub detector: D,
    /// The trees that read it.
    pub boosting: GbdtParams,
}

/// What gives the score, and the trees that read it.
pub struct BoostedModel<D: Detector> {
    detector: Arc<D::Model>,
    boosting: GbdtModel,
}

/// The frame with the detector's margin as its last column.
fn with_score(detector: &impl Model, frame: &Frame) -> Result<Frame> {
    let score = detector.predict(frame)?.margins;
    let spec = &frame.spec;
    let raw = spec.raw_columns.len();
    let feature = FeatureSpec { name: SCORE.into(), raw, levels: None, sentinels: Vec::new(), monotone: 0 };
    let mut wider = frame.clone();
    wider.columns.push(Column::Number(score));
    wider.spec = FrameSpec {
        features: spec.features.iter().cloned().chain([feature]).collect(),
        raw_columns: spec.raw_columns.iter().cloned().chain([SCORE.to_string()]).collect(),
        sequences: spec.sequences.clone(),
    }
    .into();
    Ok(wider)
}

impl<D: Detector> BoostedParams<D> {
    /// Fits the detector on the training rows, then boosting on these with its score.
    ///
    /// # Errors
    /// As [`Detector::detect`] and [`GbdtParams::fit_model`].
    pub fn fit_model(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<BoostedModel<D>> {
        let detector = self.detector.detect(train, run)?;
        let train = with_score(&detector, train)?;
        let valid = if valid.n_rows > 0 { with_score(&detector, valid)? } else { Frame::default() };
        let boosting = self.boosting.fit_model(&train, &valid, run)?;
        Ok(BoostedModel { detector: Arc::new(detector), boosting })
    }
}

impl<D: Detector> Estimator for BoostedParams<D> {
    fn form(&self) -> Form {
        Form::Codes
    }

    fn fit(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        Ok(Box::new(self.fit_model(train, valid, run)?))
    }

    /// As boosting does by itself: what gives the scores stays as it is.
    fn settle(&self, folds: Vec<Box<dyn Model>>) -> Result<Vec<Box<dyn Model>>> {
        let models: Vec<&BoostedModel<D>> = folds.iter().filter_map(|m| m.as_any().downcast_ref()).collect();
        if models.len() != folds.len() {
            return Ok(folds);
        }
        let copy = |model: &BoostedModel<D>| -> Result<Box<dyn Model>> {
            Ok(Box::new(model.boosting.with_rounds(model.boosting.n_rounds())?))
        };
        let settled = self.boosting.settle(models.iter().map(|m| copy(m)).collect::<Result<_>>()?)?;
        let join = |(model, settled): (&&BoostedModel<D>, &dyn Model)| -> Result<Box<dyn Model>> {
            let rounds = settled.as_any().downcast_ref().map_or(model.boosting.n_rounds(), GbdtModel::n_rounds);
            let boosting = model.boosting.with_rounds(rounds)?;
            Ok(Box::new(BoostedModel::<D> { detector: model.detector.clone(), boosting }))
        };
        models.iter().zip(settled.iter().map(|m| &**m)).map(join).collect()
    }

    fn refit(&self, folds: &[&dyn Model]) -> Box<dyn Estimator> {
        let models: Vec<&BoostedModel<D>> = folds.iter().filter_map(|m| m.as_any().downcast_ref()).collect();
        let detectors: Vec<&dyn Model> = models.iter().map(|m| &*m.detector as &dyn Model).collect();
        let trees: Vec<&dyn Model> = models.iter().map(|m| &m.boosting as &dyn Model).collect();
        Box::new(BoostedParams {
            detector: self.detector.for_refit(&detectors),
            boosting: self.boosting.refit_params(&trees),
        })
    }
}

impl<D: Detector> BoostedModel<D> {
    /// What gives the score.
    pub fn detector(&self) -> &D::Model {
        &self.detector
    }

    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// As the loaders of the detector and of boosting; trees that read other columns than the detector's and its score.
    pub fn load(parts: &Parts) -> Result<BoostedModel<D>> {
        let object =
            parts.json.as_object().filter(|o| o.get("family") == Some(&Value::from(D::BOOSTED)) && o.len() == 3);
        let Some(object) = object else {
            let name = D::BOOSTED;
            return Err(Error::damaged(format!("model.json: the model is not of the family «{name}» with two parts")));
        };
        let trees = format!("{BOOSTING}.");
        let part = |name: &str| -> Parts {
            let own = |key: &String| key.starts_with(&trees) == (name == BOOSTING);
            let tensors = parts.tensors.iter().filter(|(key, _)| own(key)).map(|(k, t)| (k.clone(), t.clone()));
            Parts {
                json: object.get(name).cloned().unwrap_or_default(),
                tensors: tensors.collect(),
                ..Parts::default()
            }
        };
        let detector = D::load(&part(D::NAME))?;
        let boosting = gbdt::load_model(&part(BOOSTING))?;
        let names = |spec: &FrameSpec| spec.features.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        let (own, mut wanted) = (names(boosting.spec()), names(D::spec(&detector)));
        wanted.push(SCORE.into());
        if own != wanted {
            let name = D::NAME;
            return Err(Error::damaged(format!(
                "model.json: the trees do not read the columns of «{name}» and its score"
            )));
        }
        Ok(BoostedModel { detector: Arc::new(detector), boosting })
    }
}

impl<D: Detector> Model for BoostedModel<D> {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        self.boosting.predict(&with_score(&*self.detector, frame)?)
    }

    /// Shapley values of boosting; that of the score is shared out to the raw columns by the size of what each adds to the
    /// score, so that the parts still sum to the margin.
    fn attribute(&self, frame: &Frame, background: &Background) -> Result<Attributions> {
        let background = match &background.frame {
            Some(rows) => Background { frame: Some(with_score(&*self.detector, rows)?) },
            None => Background::default(),
        };
        let wide = self.boosting.attribute(&with_score(&*self.detector, frame)?, &background)?;
        let score = self.detector.attribute(frame, &Background::default())?;
        let (n_raw, n_outputs) = (wide.n_raw - 1, wide.n_outputs);
        let mut values = Vec::with_capacity(frame.n_rows * n_outputs * n_raw);
        for row in 0..frame.n_rows {
            let shares: Vec<f64> = score.of(row, 0).iter().map(|s| s.abs()).collect();
            let total: f64 = shares.iter().sum();
            for output in 0..n_outputs {
                let of = wide.of(row, output);
                let even = 1.0 / n_raw as f64;
                let share = |raw: usize| if total > 0.0 { shares[raw] / total } else { even };
                values.extend((0..n_raw).map(|raw| of[raw] + of[n_raw] * share(raw)));
            }
        }
        Ok(Attributions { n_outputs, n_raw, base: wide.base, values, remainder: wide.remainder })
    }

    fn attribution_work(&self) -> f64 {
        self.boosting.attribution_work()
    }

    fn save(&self) -> Parts {
        let (detector, boosting) = (self.detector.save(), self.boosting.save());
        Parts {
            json: json!({ "family": D::BOOSTED, (D::NAME): detector.json, (BOOSTING): boosting.json }),
            tensors: detector.tensors.into_iter().chain(boosting.tensors).collect(),
            ..Parts::default()
        }
    }

    fn describe(&self) -> Vec<(String, String)> {
        let gain = self.boosting.gain_by_feature();
        let share = gain.last().copied().unwrap_or(0.0) / gain.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mut facts = self.boosting.describe();
        facts.push(("share of the gain by the anomaly score".into(), format!("{share:.3}")));
        facts
    }

    fn learning_curve(&self) -> Option<LearningCurve> {
        self.boosting.learning_curve()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
