//! The fitted linear model: scoring, attributions, and its saved form.

use super::objective::split;
use super::{LinearParams, PathFit};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{
    Attributions, Background, Error, Frame, FrameSpec, Model, Parts, Result, Scores, Task, Tensor, TensorData,
};
use statera_kernel::dot;

/// Rows that one task scores; fewer are not worth a thread.
const SCORING_ROWS: usize = 4096;

/// A fitted linear model: `margin[o] = intercept[o] + Σⱼ coefficient[o, j] · x[j]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearModel {
    header: Header,
    /// Row-major `n_outputs × n_cols`.
    coefficients: Vec<f64>,
    /// One per output.
    intercepts: Vec<f64>,
    /// Weighted mean of each column over the training rows: where attributions are zero.
    means: Vec<f64>,
}

/// What `model.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    task: Task,
    l2: f64,
    l1: f64,
    iterations: usize,
    spec: FrameSpec,
}

impl LinearModel {
    /// The model of a fit on `train`.
    pub(super) fn new(params: &LinearParams, train: &Frame, fit: &PathFit) -> Self {
        let n_cols = train.dense.n_cols;
        let (coefficients, mut intercepts) = split(&fit.solution.parameters, n_cols + 1);
        if intercepts.len() > 1 {
            // Softmax does not change when all margins rise; the intercepts are those that sum to zero.
            let mean = intercepts.iter().sum::<f64>() / intercepts.len() as f64;
            intercepts.iter_mut().for_each(|b| *b -= mean);
        }
        let mut means = vec![0.0; n_cols];
        let mut total = 0.0;
        for i in 0..train.n_rows {
            let w = train.weight_of(i);
            total += w;
            means.iter_mut().zip(train.dense.row(i)).for_each(|(m, x)| *m += w * f64::from(*x));
        }
        means.iter_mut().for_each(|m| *m /= total);
        let header = Header {
            task: params.task,
            l2: fit.l2,
            l1: params.l1,
            iterations: fit.solution.iterations,
            spec: (*train.spec).clone(),
        };
        LinearModel { header, coefficients, intercepts, means }
    }

    /// Loads a saved model, refusing parts that do not fit together.
    pub fn load(parts: &Parts) -> Result<LinearModel> {
        let header: Header =
            Header::deserialize(&parts.json).map_err(|e| Error::damaged(format!("model.json: {e}")))?;
        let (n_cols, n_outputs) = (header.spec.features.len(), header.task.n_outputs());
        let array = |name: &str, length: usize| -> Result<Vec<f64>> {
            let values = parts.f64s(name)?;
            if values.len() != length {
                let found = values.len();
                return Err(Error::damaged(format!("weights.safetensors: «{name}» has {found} numbers, not {length}")));
            }
            if let Some(v) = values.iter().find(|v| !v.is_finite()) {
                return Err(Error::damaged(format!(
                    "weights.safetensors: «{name}» holds {v}; allowed: finite numbers"
                )));
            }
            Ok(values.to_vec())
        };
        let n_raw = header.spec.raw_columns.len();
        if let Some(f) = header.spec.features.iter().find(|f| f.raw >= n_raw) {
            let message = format!("model.json: feature «{}» is of raw column {}; there are {n_raw}", f.name, f.raw);
            return Err(Error::damaged(message));
        }
        Ok(LinearModel {
            coefficients: array("coefficients", n_outputs * n_cols)?,
            intercepts: array("intercepts", n_outputs)?,
            means: array("means", n_cols)?,
            header,
        })
    }

    /// What is predicted.
    pub fn task(&self) -> Task {
        self.header.task
    }

    /// The squared penalty of the fit: given, or chosen.
    pub fn l2(&self) -> f64 {
        self.header.l2
    }

    /// Newton steps taken in all, over the strengths tried.
    pub fn iterations(&self) -> usize {
        self.header.iterations
    }

    /// The coefficients of an output, one per column of the frame.
    pub fn coefficients(&self, output: usize) -> &[f64] {
        let n_cols = self.means.len();
        &self.coefficients[output * n_cols..][..n_cols]
    }

    /// The intercepts, one per output.
    pub fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// The weighted mean of each column over the training rows: where attributions are zero.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Refuses a frame with other columns than the model's.
    fn check(&self, frame: &Frame) -> Result<()> {
        let (own, other) = (&self.header.spec.features, &frame.spec.features);
        if own.len() != other.len() {
            return Err(Error::request(format!("the model has {} columns, the data {}", own.len(), other.len())));
        }
        if let Some((j, (a, b))) = own.iter().zip(other).enumerate().find(|(_, (a, b))| a.name != b.name) {
            return Err(Error::request(format!(
                "column {j} is «{}» in the model and «{}» in the data",
                a.name, b.name
            )));
        }
        let cells = frame.dense.data.len();
        if frame.dense.n_cols != own.len() || cells != frame.n_rows * own.len() {
            return Err(Error::request(format!(
                "a dense frame of {} × {} cells is needed, not one of {cells} cells",
                frame.n_rows,
                own.len()
            )));
        }
        Ok(())
    }

    /// Writes the contributions of a row to each output, `n_outputs × n_raw` numbers.
    fn attribute_row(&self, x: &[f32], values: &mut [f64]) {
        let n_raw = self.header.spec.raw_columns.len();
        for (o, values) in values.chunks_exact_mut(n_raw).enumerate() {
            for (j, w) in self.coefficients(o).iter().enumerate() {
                values[self.header.spec.features[j].raw] += w * (f64::from(x[j]) - self.means[j]);
            }
        }
    }
}

impl Model for LinearModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        self.check(frame)?;
        let (n_cols, n_outputs) = (self.means.len(), self.intercepts.len());
        let mut margins = vec![0.0; frame.n_rows * n_outputs];
        let score = |x: &[f32], out: &mut [f64]| dot::affine(x, n_cols, &self.coefficients, &self.intercepts, out);
        if frame.n_rows <= SCORING_ROWS || n_cols == 0 {
            score(&frame.dense.data, &mut margins);
        } else {
            margins
                .par_chunks_mut(SCORING_ROWS * n_outputs)
                .zip(frame.dense.data.par_chunks(SCORING_ROWS * n_cols))
                .for_each(|(out, x)| score(x, out));
        }
        Ok(Scores { n_outputs, margins })
    }

    /// Coefficient × distance from the training mean, summed per raw column; the base is the margin at the mean. Needs
    /// no background.
    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        self.check(frame)?;
        let (n_outputs, n_raw) = (self.intercepts.len(), self.header.spec.raw_columns.len());
        let mut base = self.intercepts.clone();
        for (o, base) in base.iter_mut().enumerate() {
            *base += self.coefficients(o).iter().zip(&self.means).map(|(w, m)| w * m).sum::<f64>();
        }
        let mut values = vec![0.0; frame.n_rows * n_outputs * n_raw];
        if n_raw > 0 {
            values
                .par_chunks_mut(n_outputs * n_raw)
                .enumerate()
                .for_each(|(i, values)| self.attribute_row(frame.dense.row(i), values));
        }
        Ok(Attributions { n_outputs, n_raw, base, values, remainder: Vec::new() })
    }

    fn save(&self) -> Parts {
        let (n_cols, n_outputs) = (self.means.len(), self.intercepts.len());
        let coefficients = Tensor { shape: vec![n_outputs, n_cols], data: TensorData::F64(self.coefficients.clone()) };
        let vector = |v: &[f64]| Tensor::vector(TensorData::F64(v.to_vec()));
        Parts {
            json: serde_json::json!({
                "task": self.header.task,
                "l2": self.header.l2,
                "l1": self.header.l1,
                "iterations": self.header.iterations,
                "spec": self.header.spec,
            }),
            tensors: [
                ("coefficients".to_owned(), coefficients),
                ("intercepts".to_owned(), vector(&self.intercepts)),
                ("means".to_owned(), vector(&self.means)),
            ]
            .into(),
            files: Default::default(),
        }
    }

    fn describe(&self) -> Vec<(String, String)> {
        let nonzero = self.coefficients.iter().filter(|w| **w != 0.0).count();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = vec![
            fact("coefficients", format!("{nonzero} of {} not zero", self.coefficients.len())),
            fact("squared penalty (l2)", self.header.l2.to_string()),
        ];
        if self.header.l1 > 0.0 {
            facts.push(fact("absolute penalty (l1)", self.header.l1.to_string()));
        }
        facts.push(fact("Newton steps", self.header.iterations.to_string()));
        facts
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
