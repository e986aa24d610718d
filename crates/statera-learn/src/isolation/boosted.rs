//! Boosting that reads the score of an isolation forest as one more column: what is unlike all else, learnt without the
//! target, beside what the target tells.

use super::{IsolationModel, IsolationParams};
use crate::gbdt::{self, GbdtModel, GbdtParams};
use serde_json::{Value, json};
use statera_core::{
    Attributions, Background, Column, Error, Estimator, FeatureSpec, Form, Frame, FrameSpec, LearningCurve, Model,
    Parts, Result, Run, Scores,
};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "boosting_isolation";

/// Name of the column that is added. No table has it: the names of raw columns have no line breaks.
const SCORE: &str = "anomaly score\n";

/// Names of the parts in `model.json`.
const ISOLATION: &str = "isolation";
const BOOSTING: &str = "boosting";

/// Settings of boosting with an anomaly score.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoostedParams {
    /// The forest, fitted on the same rows.
    pub isolation: IsolationParams,
    /// The trees that read its score.
    pub boosting: GbdtParams,
}

/// A fitted forest and the trees that read its score.
pub struct BoostedModel {
    isolation: IsolationModel,
    boosting: GbdtModel,
}

/// The frame with the forest's margin as its last column.
fn with_score(isolation: &IsolationModel, frame: &Frame) -> Result<Frame> {
    let score = isolation.margins(frame)?;
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

impl BoostedParams {
    /// Fits the forest on the training rows, then boosting on these with its score.
    ///
    /// # Errors
    /// As [`IsolationParams::fit_model`] and [`GbdtParams::fit_model`].
    pub fn fit_model(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<BoostedModel> {
        let isolation = self.isolation.fit_model(train, run)?;
        let train = with_score(&isolation, train)?;
        let valid = if valid.n_rows > 0 { with_score(&isolation, valid)? } else { Frame::default() };
        let boosting = self.boosting.fit_model(&train, &valid, run)?;
        Ok(BoostedModel { isolation, boosting })
    }
}

impl Estimator for BoostedParams {
    fn form(&self) -> Form {
        Form::Codes
    }

    fn fit(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        Ok(Box::new(self.fit_model(train, valid, run)?))
    }

    /// As boosting does by itself: the forests stay as they are.
    fn settle(&self, folds: Vec<Box<dyn Model>>) -> Result<Vec<Box<dyn Model>>> {
        let models: Vec<&BoostedModel> = folds.iter().filter_map(|m| m.as_any().downcast_ref()).collect();
        if models.len() != folds.len() {
            return Ok(folds);
        }
        let copy = |model: &BoostedModel| -> Result<Box<dyn Model>> {
            Ok(Box::new(model.boosting.with_rounds(model.boosting.n_rounds())?))
        };
        let settled = self.boosting.settle(models.iter().map(|m| copy(m)).collect::<Result<_>>()?)?;
        let join = |(model, settled): (&&BoostedModel, &dyn Model)| -> Result<Box<dyn Model>> {
            let rounds = settled.as_any().downcast_ref().map_or(model.boosting.n_rounds(), GbdtModel::n_rounds);
            Ok(Box::new(BoostedModel {
                isolation: model.isolation.clone(),
                boosting: model.boosting.with_rounds(rounds)?,
            }))
        };
        models.iter().zip(settled.iter().map(|m| &**m)).map(join).collect()
    }

    fn refit(&self, folds: &[&dyn Model]) -> Box<dyn Estimator> {
        let models: Vec<&BoostedModel> = folds.iter().filter_map(|m| m.as_any().downcast_ref()).collect();
        let trees: Vec<&dyn Model> = models.iter().map(|m| &m.boosting as &dyn Model).collect();
        Box::new(BoostedParams { isolation: self.isolation.clone(), boosting: self.boosting.refit_params(&trees) })
    }
}

impl BoostedModel {
    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// As the loaders of the forest and of boosting; trees that read other columns than the forest's and its score.
    pub fn load(parts: &Parts) -> Result<BoostedModel> {
        let object = parts.json.as_object().filter(|o| o.get("family") == Some(&Value::from(NAME)) && o.len() == 3);
        let Some(object) = object else {
            return Err(Error::damaged(format!("model.json: the model is not of the family «{NAME}» with two parts")));
        };
        let part = |name: &str| -> Parts {
            let own = |key: &&String| key.starts_with(&format!("{name}."));
            let tensors = parts.tensors.iter().filter(|(key, _)| own(key)).map(|(k, t)| (k.clone(), t.clone()));
            Parts {
                json: object.get(name).cloned().unwrap_or_default(),
                tensors: tensors.collect(),
                ..Parts::default()
            }
        };
        let isolation = IsolationModel::load(&part(ISOLATION))?;
        let boosting = gbdt::load_model(&part(BOOSTING))?;
        let names = |spec: &FrameSpec| spec.features.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        let (own, mut wanted) = (names(boosting.spec()), names(isolation.spec()));
        wanted.push(SCORE.into());
        if own != wanted {
            return Err(Error::damaged("model.json: the trees do not read the forest's columns and its score"));
        }
        Ok(BoostedModel { isolation, boosting })
    }
}

impl Model for BoostedModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        self.boosting.predict(&with_score(&self.isolation, frame)?)
    }

    /// Shapley values of boosting; that of the score is shared out to the raw columns by the size of what each adds to the
    /// score, so that the parts still sum to the margin.
    fn attribute(&self, frame: &Frame, background: &Background) -> Result<Attributions> {
        let background = match &background.frame {
            Some(rows) => Background { frame: Some(with_score(&self.isolation, rows)?) },
            None => Background::default(),
        };
        let wide = self.boosting.attribute(&with_score(&self.isolation, frame)?, &background)?;
        let (n_raw, n_outputs) = (wide.n_raw - 1, wide.n_outputs);
        let mut values = Vec::with_capacity(frame.n_rows * n_outputs * n_raw);
        for row in 0..frame.n_rows {
            let mut shares = vec![0.0; n_raw];
            self.isolation.contributions(frame, row, &mut shares);
            shares.iter_mut().for_each(|s| *s = s.abs());
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
        let (isolation, boosting) = (self.isolation.save(), self.boosting.save());
        Parts {
            json: json!({ "family": NAME, (ISOLATION): isolation.json, (BOOSTING): boosting.json }),
            tensors: isolation.tensors.into_iter().chain(boosting.tensors).collect(),
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
