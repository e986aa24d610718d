//! A multilayer perceptron: dense layers, each followed by an activation and dropout.

use super::Architecture;
use super::fit::{NetworkParams, Recipe, estimator, fit};
use crate::activation::Activation;
use crate::input::{Input, Scaling};
use crate::layer::{Dense, Dropout, Layer, Sequential};
use crate::loss::Loss;
use crate::network::Network;
use crate::optimizer::Method;
use crate::params::Params;
use crate::schedule::Schedule;
use crate::train::TrainParams;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "mlp";
/// The name of the tutorials' network.
pub const NAME_TUTORIAL: &str = "mlp_tutorial";

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Widths of the hidden layers, each 1 to 65,536; none for a linear model.
    pub hidden: Vec<usize>,
    /// After each hidden layer.
    pub activation: Activation,
    /// Share of hidden numbers that are dropped in training, in [0, 1).
    pub dropout: f32,
}

impl Shape {
    /// Refuses shapes outside the allowed ranges.
    ///
    /// # Errors
    /// A request error that names the value and the range.
    pub fn check(&self) -> Result<()> {
        if let Some(w) = self.hidden.iter().find(|w| !(1..=65_536).contains(*w)) {
            return Err(Error::request(format!("a hidden layer of width {w}; allowed: 1 to 65536")));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::request(format!("dropout is {}; allowed: 0 to below 1", self.dropout)));
        }
        Ok(())
    }

    /// The network with random weights.
    pub fn build(&self, input: &Input, n_outputs: usize, rng: &mut Rng) -> Network {
        let mut params = Params::default();
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        let mut width = input.n_columns();
        for (i, &hidden) in self.hidden.iter().enumerate() {
            let name = format!("hidden{i}");
            layers.push(Box::new(Dense::new(&mut params, rng, &name, width, hidden, self.activation)));
            if self.dropout > 0.0 {
                layers.push(Box::new(Dropout::new(hidden, self.dropout, i as u64)));
            }
            width = hidden;
        }
        layers.push(Box::new(Dense::new(&mut params, rng, "output", width, n_outputs, Activation::Identity)));
        Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 }
    }
}

/// Settings of a multilayer perceptron.
///
/// # Example
/// ```
/// use statera_core::{Column, Estimator, FeatureSpec, Frame, FrameSpec, Run, Task};
/// use statera_nn::model::mlp::MlpParams;
///
/// let feature = |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
/// let spec = FrameSpec { features: vec![feature("income", 0)], raw_columns: vec!["income".into()], ..FrameSpec::default() };
/// let train = Frame {
///     spec: spec.into(),
///     n_rows: 4,
///     columns: vec![Column::Number(vec![-1.0, -0.5, 0.5, 1.0])],
///     target: vec![0.0, 0.0, 1.0, 1.0],
///     ..Frame::default()
/// };
/// let model = MlpParams::tutorial(Task::Binary).fit(&train, &Frame::default(), &Run::new(1, 1))?;
/// assert!(model.predict(&train)?.row(3)[0].is_finite());
/// # Ok::<(), statera_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MlpParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: two layers of 256, ReLU, dropout 0.2.
    pub shape: Shape,
    /// How numbers are scaled. Default: quantiles to normal.
    pub scaling: Scaling,
    /// `None`, the default, for the task's: cross-entropy or squared error.
    pub loss: Option<Loss>,
    /// How it is trained. Default: AdamW at 1e-3 with weight decay 1e-2, batches of 256, gradients clipped at 1, at most
    /// 100 epochs with a patience of 12.
    pub train: TrainParams,
}

impl Default for MlpParams {
    fn default() -> Self {
        MlpParams {
            task: Task::Binary,
            shape: Shape { hidden: vec![256, 256], activation: Activation::Relu, dropout: 0.2 },
            scaling: Scaling::Quantile,
            loss: None,
            train: TrainParams {
                epochs: 100,
                batch_rows: 256,
                learning_rate: 1e-3,
                method: Method::ADAM,
                weight_decay: 1e-2,
                clip: Some(1.0),
                patience: Some(12),
                ..TrainParams::default()
            },
        }
    }
}

/// What a search may change: Gorishniy et al. (NeurIPS 2021) for tables of moderate size, with at most four layers.
const SPACE: [Dimension; 5] = [
    Dimension::whole("layers", 1, 4, 2),
    Dimension::whole_log("width", 16, 512, 256),
    Dimension::real_or_zero("dropout", 0.05, 0.5, 0.2),
    Dimension::log("learning_rate", 1e-4, 1e-2, 1e-3),
    Dimension::log_or_zero("weight_decay", 1e-6, 0.1, 1e-2),
];

impl MlpParams {
    /// The settings that a search may change.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The learner at a point of [`MlpParams::space`].
    pub fn at(task: Task, point: &Point) -> MlpParams {
        let mut params = MlpParams { task, ..MlpParams::default() };
        params.shape.hidden = vec![point.whole("width"); point.whole("layers")];
        params.shape.dropout = point.real("dropout") as f32;
        params.train.learning_rate = point.real("learning_rate");
        params.train.weight_decay = point.real("weight_decay");
        params
    }

    /// The network of the usual tutorials: 64 and 32 rectified units on standardised numbers, Adam from 1e-3 along a cosine,
    /// batches of 32, ten epochs.
    pub fn tutorial(task: Task) -> MlpParams {
        MlpParams {
            task,
            shape: Shape { hidden: vec![64, 32], activation: Activation::Relu, dropout: 0.0 },
            scaling: Scaling::Standard,
            loss: None,
            train: TrainParams { schedule: Schedule::Cosine, ..TrainParams::default() },
        }
    }

    /// A network that fits in a moment, to try things out.
    pub fn quick(task: Task) -> MlpParams {
        let mut params = MlpParams { task, ..MlpParams::default() };
        params.shape.hidden = vec![32, 16];
        (params.train.batch_rows, params.train.learning_rate, params.train.epochs) = (64, 5e-3, 12);
        params
    }
}

impl NetworkParams for MlpParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.check()?;
        let recipe = Recipe {
            task: self.task,
            architecture: Architecture::Mlp(self.shape.clone()),
            scaling: self.scaling,
            embed_above: usize::MAX,
            loss: self.loss.clone(),
            train: self.train.clone(),
        };
        fit(&recipe, train, valid, run)
    }

    fn training(&mut self) -> &mut TrainParams {
        &mut self.train
    }
}

estimator!(MlpParams);

#[cfg(test)]
pub(crate) mod tests;
