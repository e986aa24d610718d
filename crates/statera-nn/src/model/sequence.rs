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
use super::fit::{NetworkParams, estimator};
use super::reader::{MOST_UNITS, ReaderParams, ReaderShape, Sizes};
use crate::activation::Activation;
use crate::input::{Input, StepsShape};
use crate::layer::{
    Columns, Conv1d, Conv2d, GlobalPool, Gru, Image, Layer, Lstm, Padding, Pool, Pooling, Sequence, Sequential, States,
    Window,
};
use crate::network::Network;
use crate::params::Params;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Frame, Model, Result, Rng, Run, Task};

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
            return Ok(self.sizes().network(params, rng, layers, n_outputs));
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
        Ok(self.sizes().network(params, rng, vec![Box::new(columns.then_same(rest))], n_outputs))
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

impl ReaderShape for Shape {
    const MAY_SCALE_BY_QUANTILES: bool = true;

    fn sizes(&self) -> Sizes {
        Sizes { units: self.units, hidden: self.hidden, dropout: self.dropout }
    }

    fn with_sizes(self, Sizes { units, hidden, dropout }: Sizes) -> Shape {
        Shape { units, hidden, dropout, ..self }
    }

    fn architecture(self) -> Architecture {
        Architecture::Sequence(self)
    }

    fn check_frame(&self, frame: &Frame) -> Result<()> {
        if frame.spec.sequences.iter().all(|s| s.fans.is_some()) {
            return Err(without_sequence(self.reader.name()));
        }
        Ok(())
    }
}

/// Settings of a network that reads sequences.
pub type SequenceParams = ReaderParams<Shape>;

impl SequenceParams {
    /// The defaults with that reader.
    pub fn new(reader: Reader, task: Task) -> SequenceParams {
        let Sizes { units, hidden, dropout } = Sizes::default();
        ReaderParams::of(Shape { reader, units, hidden, dropout }, task)
    }
}

estimator!(SequenceParams);

#[cfg(test)]
mod tests;
