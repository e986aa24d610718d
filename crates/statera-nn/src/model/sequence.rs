//! Networks that read sequences and images: a recurrent or convolutional layer reads each of them, or attention all of them, a
//! dense layer what it made of them and the other columns.
//!
//! A recurrent layer hands on its state after the last step (LSTM: Hochreiter and Schmidhuber 1997; GRU: Cho et al. 2014), of
//! an image after its last line. The convolutional network is two convolutions over three steps, the sequence padded with
//! zeros, and the mean over steps; over an image it is two convolutions over 3 × 3 points and the largest of each 2 × 2, again
//! and again with twice the filters until at most 8 lines and columns are left (after Simonyan and Zisserman 2015).
//!
//! A step of a sequence all of whose cells are missing does not count, as where a card has paid less often than there are steps:
//! a recurrent layer keeps its state over it, to convolutions it is 0, the mean is over the others. A sequence whose first or last
//! steps are missing gives the bits of the sequence without them. Networks that were stored before they masked, whose input has
//! no masks, are built without, and score as they did.

use super::Architecture;
use super::fit::{NetworkParams, Recipe, estimator, fit};
use crate::activation::Activation;
use crate::input::{Input, Scaling, StepsShape};
use crate::layer::{
    Columns, Conv1d, Conv2d, Dense, Dropout, GlobalPool, Gru, Image, Layer, Lstm, Padding, Pool, Pooling, Sequence,
    Sequential, States, Window,
};
use crate::loss::Loss;
use crate::network::Network;
use crate::params::Params;
use crate::train::TrainParams;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// The LSTM's name in lists, on the command line and in bundles.
pub const LSTM: &str = "lstm";
/// The GRU's.
pub const GRU: &str = "gru";
/// The convolutional network's.
pub const CNN: &str = "cnn";
/// That of attention over the steps.
pub const ATTENTION: &str = "attention";

/// Steps that a convolution sees at once.
const KERNEL: usize = 3;
/// Lines and columns of an image that a dense layer reads.
const MOST_POINTS: usize = 8;
/// Most units of a layer.
const MOST_UNITS: usize = 4096;
/// Rows that a fit sees at most, each as often as there are epochs …
const MOST_ROWS_SEEN: usize = 2_000_000;
/// … but every row this often.
const LEAST_EPOCHS: usize = 5;

mod attention;

/// What reads the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent units.
    Gru,
    /// Two convolutions, and the mean over the steps.
    Cnn,
    /// Attention between the steps, and of the row to them.
    Attention,
}

impl Reader {
    /// The family's name.
    pub fn name(self) -> &'static str {
        match self {
            Reader::Lstm => LSTM,
            Reader::Gru => GRU,
            Reader::Cnn => CNN,
            Reader::Attention => ATTENTION,
        }
    }
}

/// What a family says that needs a sequence where none is declared.
pub fn without_sequence(name: &str) -> Error {
    let or_image = if name == CNN { " or [image.NAME]" } else { "" };
    Error::request(format!(
        "{name} needs a sequence: declare [sequence.NAME] steps = [[…], […]]{or_image} in the project file"
    ))
}

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// What reads the steps.
    pub reader: Reader,
    /// Units or filters of the reader, 1 to 4096; numbers of a token of attention.
    pub units: usize,
    /// Width of the dense layer, 1 to 4096.
    pub hidden: usize,
    /// Share of the dense layer's numbers that are dropped in training, in [0, 1).
    pub dropout: f32,
}

impl Shape {
    /// Refuses shapes outside the allowed ranges.
    ///
    /// # Errors
    /// A request error that names the value and the range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("units", self.units), ("hidden", self.hidden)] {
            if !(1..=MOST_UNITS).contains(&value) {
                return Err(Error::request(format!("{name} is {value}; allowed: 1 to {MOST_UNITS}")));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::request(format!("dropout is {}; allowed: 0 to below 1", self.dropout)));
        }
        Ok(())
    }

    /// The network with random weights.
    ///
    /// # Errors
    /// An input without sequences, or with too many columns.
    pub fn build(&self, input: &Input, n_outputs: usize, rng: &mut Rng) -> Result<Network> {
        let sequences = input.sequences();
        if sequences.is_empty() {
            return Err(without_sequence(self.reader.name()));
        }
        let (mut params, mut columns, mut rest) = (Params::default(), Columns::default(), input.n_columns());
        if self.reader == Reader::Attention {
            let layers = self.attend(&mut params, rng, &sequences, rest)?;
            return Ok(self.network(params, rng, layers, n_outputs));
        }
        if let Some(shape) = sequences.iter().find(|s| s.fans.is_some() || (s.is_masked && s.grid.is_some())) {
            let n = shape.n_steps;
            return Err(Error::damaged(format!(
                "model.json: a sequence of {n} steps is not one that {} reads",
                self.reader.name()
            )));
        }
        for (i, shape) in sequences.into_iter().enumerate() {
            rest -= shape.n_columns();
            let name = format!("sequence{i}");
            let reader = match shape {
                StepsShape { grid: Some([height, width]), width: channels, .. } => {
                    self.look(&mut params, rng, &name, Image { height, width, channels })?
                }
                StepsShape { n_steps, width, is_masked, .. } => {
                    let steps = Sequence::new(n_steps, width)?;
                    self.read(&mut params, rng, &name, if is_masked { steps.with_weights() } else { steps })?
                }
            };
            columns = columns.then(reader);
        }
        Ok(self.network(params, rng, vec![Box::new(columns.then_same(rest))], n_outputs))
    }

    /// The network whose first layers, which are not none, have read the sequences.
    fn network(&self, mut params: Params, rng: &mut Rng, mut layers: Vec<Box<dyn Layer>>, n_outputs: usize) -> Network {
        let (n_read, hidden) = (layers.last().map_or(0, |l| l.n_out()), self.hidden);
        layers.push(Box::new(Dense::new(&mut params, rng, "hidden", n_read, hidden, Activation::Relu)));
        if self.dropout > 0.0 {
            layers.push(Box::new(Dropout::new(hidden, self.dropout, 0)));
        }
        layers.push(Box::new(Dense::new(&mut params, rng, "output", hidden, n_outputs, Activation::Identity)));
        Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 }
    }

    /// The layer that looks at an image.
    fn look(&self, params: &mut Params, rng: &mut Rng, name: &str, mut image: Image) -> Result<Box<dyn Layer>> {
        if self.reader != Reader::Cnn {
            // The points of a line lie together: a line is a step.
            return self.read(params, rng, name, Sequence::new(image.height, image.width * image.channels)?);
        }
        let window = Window { kernel: [KERNEL, KERNEL], stride: [1, 1], padding: [KERNEL / 2, KERNEL / 2] };
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        for stage in 0.. {
            for (half, divisor) in [("first", 2), ("second", 1)] {
                let n = ((self.units << stage.min(2)) / divisor).clamp(1, MOST_UNITS);
                let name = format!("{name}.{stage}.{half}");
                let convolution = Conv2d::new(params, rng, &name, image, n, window, Activation::Relu)?;
                image = convolution.output();
                layers.push(Box::new(convolution));
            }
            let size = [image.height.min(2), image.width.min(2)];
            let pool = Pool::of_image(image, size, size, Pooling::Max)?;
            image = pool.output();
            layers.push(Box::new(pool));
            if image.height.max(image.width) <= MOST_POINTS {
                break;
            }
        }
        Ok(Box::new(Sequential::new(layers)))
    }

    /// The layer that reads a sequence.
    fn read(&self, params: &mut Params, rng: &mut Rng, name: &str, sequence: Sequence) -> Result<Box<dyn Layer>> {
        let n = self.units;
        Ok(match self.reader {
            Reader::Lstm => Box::new(Lstm::new(params, rng, name, sequence, n, States::Last)?),
            Reader::Gru => Box::new(Gru::new(params, rng, name, sequence, n, States::Last)?),
            Reader::Cnn => {
                let mut convolution = |name: String, input: Sequence| {
                    Conv1d::new(params, rng, &name, input, n, KERNEL, Padding::Same, Activation::Relu)
                };
                let first = convolution(format!("{name}.first"), sequence)?;
                let second = convolution(format!("{name}.second"), first.output())?;
                let pool = GlobalPool::new(second.output(), Pooling::Average)?;
                Box::new(Sequential::new(vec![Box::new(first), Box::new(second), Box::new(pool)]))
            }
            // It reads all sequences at once.
            Reader::Attention => return Err(Error::request("attention reads no sequence alone")),
        })
    }
}

/// Settings of a network that reads sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: 64 units or filters, then 64 rectified units with dropout 0.2.
    pub shape: Shape,
    /// How numbers are scaled, all steps of a feature alike. Default: minus the mean, by the standard deviation, which keeps how far
    /// out an amount is; quantiles would flatten it.
    pub scaling: Scaling,
    /// `None`, the default, for the task's: cross-entropy or squared error.
    pub loss: Option<Loss>,
    /// How it is trained. Default: as [`super::MlpParams`]. Of many rows a fit has fewer epochs: it sees two million rows, and all
    /// rows five times.
    pub train: TrainParams,
}

/// What a search may change; numbers are scaled by their quantiles where that is 1.
const SPACE: [Dimension; 6] = [
    Dimension::whole_log("units", 16, 256, 64),
    Dimension::whole_log("hidden", 16, 256, 64),
    Dimension::real_or_zero("dropout", 0.05, 0.5, 0.2),
    Dimension::log("learning_rate", 1e-4, 1e-2, 1e-3),
    Dimension::log_or_zero("weight_decay", 1e-6, 0.1, 1e-2),
    Dimension::choice("quantile_scaling", &[0.0, 1.0], 0.0),
];

impl SequenceParams {
    /// The settings that a search may change, of every reader.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The same at a point of [`SequenceParams::space`].
    #[must_use]
    pub fn at(mut self, point: &Point) -> SequenceParams {
        (self.shape.units, self.shape.hidden) = (point.whole("units"), point.whole("hidden"));
        self.shape.dropout = point.real("dropout") as f32;
        self.train.learning_rate = point.real("learning_rate");
        self.train.weight_decay = point.real("weight_decay");
        self.scaling = if point.whole("quantile_scaling") == 1 { Scaling::Quantile } else { Scaling::Standard };
        self
    }

    /// The defaults with that reader.
    pub fn new(reader: Reader, task: Task) -> SequenceParams {
        SequenceParams {
            task,
            shape: Shape { reader, units: 64, hidden: 64, dropout: 0.2 },
            scaling: Scaling::Standard,
            loss: None,
            train: super::MlpParams::default().train,
        }
    }

    /// The same with a smaller network and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> SequenceParams {
        (self.shape.units, self.shape.hidden) = (16, 16);
        (self.train.batch_rows, self.train.learning_rate, self.train.epochs) = (64, 5e-3, 8);
        self
    }
}

impl NetworkParams for SequenceParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.check()?;
        if train.spec.sequences.iter().all(|s| s.fans.is_some()) {
            return Err(without_sequence(self.shape.reader.name()));
        }
        let most_epochs = (MOST_ROWS_SEEN / train.n_rows.max(1)).max(LEAST_EPOCHS);
        let epochs = self.train.epochs.min(most_epochs);
        let recipe = Recipe {
            task: self.task,
            architecture: Architecture::Sequence(self.shape.clone()),
            scaling: self.scaling,
            embed_above: usize::MAX,
            loss: self.loss.clone(),
            train: TrainParams { epochs, ..self.train.clone() },
        };
        fit(&recipe, train, valid, run)
    }

    fn training(&mut self) -> &mut TrainParams {
        &mut self.train
    }
}

estimator!(SequenceParams);

#[cfg(test)]
mod tests;
