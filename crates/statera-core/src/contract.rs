//! The contracts between the pipeline and the learners.

use crate::{Error, Frame, LearningCurve, Result, Run};
use serde_json::Value;
use std::collections::BTreeMap;

/// The form in which a learner wants its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Numbers as they are (NaN missing, sentinels in place) and level codes; the learner bins them itself
    /// (boosting: quantile bins; scorecard: weight of evidence).
    Codes,
    /// One dense row of scaled numbers, missing and sentinel indicators, and one-hot levels.
    Dense,
}

/// Margins of rows, row-major `n_rows × n_outputs`: log-odds, softmax logits, or the predicted value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// Margins a row has.
    pub n_outputs: usize,
    /// All margins.
    pub margins: Vec<f64>,
}

impl Scores {
    /// The margins of a row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.margins[row * self.n_outputs..][..self.n_outputs]
    }
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.margins.len().checked_div(self.n_outputs).unwrap_or(0)
    }
}

/// What each raw column adds to each margin: `base + Σ values + remainder = margin`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributions {
    /// Margins a row has.
    pub n_outputs: usize,
    /// Raw columns.
    pub n_raw: usize,
    /// The margin before any column is known, one per output.
    pub base: Vec<f64>,
    /// Row-major `n_rows × n_outputs × n_raw`.
    pub values: Vec<f64>,
    /// What the method leaves unexplained, `n_rows × n_outputs`; empty where it is exact by construction.
    pub remainder: Vec<f64>,
}

impl Attributions {
    /// The contributions of the raw columns to an output of a row.
    pub fn of(&self, row: usize, output: usize) -> &[f64] {
        &self.values[(row * self.n_outputs + output) * self.n_raw..][..self.n_raw]
    }

    /// What is left unexplained of an output of a row; 0 where the method is exact.
    pub fn remainder_of(&self, row: usize, output: usize) -> f64 {
        self.remainder.get(row * self.n_outputs + output).copied().unwrap_or(0.0)
    }
}

/// Rows that attributions are measured against, in the model's own form.
#[derive(Debug, Clone, Default)]
pub struct Background {
    /// Synthetic rows; `None` for methods that need none (points, coefficients, path-dependent TreeSHAP).
    pub frame: Option<Frame>,
}

/// Numbers of a saved model.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// Bytes.
    U8(Vec<u8>),
}

/// A named array of a saved model.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: TensorData,
}

impl Tensor {
    /// A vector.
    pub fn vector(data: TensorData) -> Tensor {
        let n = match &data {
            TensorData::F64(v) => v.len(),
            TensorData::F32(v) => v.len(),
            TensorData::I32(v) => v.len(),
            TensorData::U8(v) => v.len(),
        };
        Tensor { shape: vec![n], data }
    }
}

/// A saved model: what is read by people as JSON, its numbers as tensors, and the files that a bank edits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parts {
    /// Goes to `model.json`.
    pub json: Value,
    /// Go to `weights.safetensors`.
    pub tensors: BTreeMap<String, Tensor>,
    /// Text files of the model's own by name, such as `bins.toml`.
    pub files: BTreeMap<String, String>,
}

impl Parts {
    /// The vector of 64-bit floats of that name.
    pub fn f64s(&self, name: &str) -> Result<&[f64]> {
        match self.tensors.get(name).map(|t| &t.data) {
            Some(TensorData::F64(v)) => Ok(v),
            _ => Err(Error::damaged(format!("weights.safetensors: no array «{name}» of 64-bit floats"))),
        }
    }
    /// The vector of 32-bit floats of that name.
    pub fn f32s(&self, name: &str) -> Result<&[f32]> {
        match self.tensors.get(name).map(|t| &t.data) {
            Some(TensorData::F32(v)) => Ok(v),
            _ => Err(Error::damaged(format!("weights.safetensors: no array «{name}» of 32-bit floats"))),
        }
    }
    /// The vector of 32-bit integers of that name.
    pub fn i32s(&self, name: &str) -> Result<&[i32]> {
        match self.tensors.get(name).map(|t| &t.data) {
            Some(TensorData::I32(v)) => Ok(v),
            _ => Err(Error::damaged(format!("weights.safetensors: no array «{name}» of 32-bit integers"))),
        }
    }
    /// The bytes of that name.
    pub fn u8s(&self, name: &str) -> Result<&[u8]> {
        match self.tensors.get(name).map(|t| &t.data) {
            Some(TensorData::U8(v)) => Ok(v),
            _ => Err(Error::damaged(format!("weights.safetensors: no array «{name}» of bytes"))),
        }
    }
}

/// A learner with its settings.
pub trait Estimator: Send + Sync {
    /// The form of features it wants.
    fn form(&self) -> Form;
    /// Fits on `train`; `valid` decides when to stop (see [`Estimator::settle`]) and is empty (`n_rows == 0`) when the model is refitted on all rows.
    fn fit(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>>;
    /// True if it cannot choose again in [`Estimator::settle`] where it stopped: its `valid` must then be a part of the
    /// training rows, never the rows that judge it.
    fn stops_on_training_rows(&self) -> bool {
        false
    }
    /// The fold models as they are judged and bagged, once all of them are known. A learner that stopped each fold by the
    /// rows that will judge it must choose again here without them; the others change nothing.
    fn settle(&self, folds: Vec<Box<dyn Model>>) -> Result<Vec<Box<dyn Model>>> {
        Ok(folds)
    }
    /// The settings for a refit on all rows, given the models fitted on the folds (boosting: how many trees).
    fn refit(&self, folds: &[&dyn Model]) -> Box<dyn Estimator>;
}

/// A fitted model. Predictions have the same bits for a row alone or in any batch, with any number of threads, on any CPU.
pub trait Model: Send + Sync {
    /// Margins of the rows of a frame in the model's form.
    fn predict(&self, frame: &Frame) -> Result<Scores>;
    /// What each raw column adds to the margins.
    fn attribute(&self, frame: &Frame, background: &Background) -> Result<Attributions>;
    /// About how many multiplications the attributions of a row take, where they take long; 0, the default, where they do not.
    fn attribution_work(&self) -> f64 {
        0.0
    }
    /// Writes everything needed to load it again, to the same bytes.
    fn save(&self) -> Parts;
    /// A few figures worth printing: trees, coefficients, iterations. Deterministic.
    fn describe(&self) -> Vec<(String, String)>;
    /// What a checkpoint keeps of a fit, so that a training that was interrupted need not fit it again: [`Model::save`]'s
    /// parts, where they are all that [`Estimator::settle`] and [`Estimator::refit`] ask for. `None`, the default, for models that
    /// are fitted again in moments.
    fn worth_keeping(&self) -> Option<Parts> {
        None
    }
    /// How the fit went, where it went step by step.
    fn learning_curve(&self) -> Option<LearningCurve> {
        None
    }
    /// Access to the concrete type, for its family's own tools.
    fn as_any(&self) -> &dyn std::any::Any;
}
