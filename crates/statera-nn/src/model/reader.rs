//! What the networks share that read some columns by a layer of their own, of sequences or of neighbourhoods: their settings, and
//! the dense layers behind it, which read what it made of them and the other columns.

use super::fit::{NetworkParams, Recipe, fit};
use super::{Architecture, MlpParams};
use crate::activation::Activation;
use crate::input::Scaling;
use crate::layer::{Dense, Dropout, Layer, Sequential};
use crate::loss::Loss;
use crate::network::Network;
use crate::params::Params;
use crate::train::TrainParams;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// Most units of a layer.
pub(super) const MOST_UNITS: usize = 4096;
/// Rows that a fit sees at most, each as often as there are epochs …
const MOST_ROWS_SEEN: usize = 2_000_000;
/// … but every row this often.
const LEAST_EPOCHS: usize = 5;

/// Sizes of such a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Units or filters of the layers that read, 1 to 4096; numbers of a token of attention.
    pub units: usize,
    /// Width of the dense layer, 1 to 4096.
    pub hidden: usize,
    /// Share of the dense layer's numbers that are dropped in training, in [0, 1).
    pub dropout: f32,
}

impl Default for Sizes {
    /// 64 units or filters, then 64 rectified units with dropout 0.2.
    fn default() -> Self {
        Sizes { units: 64, hidden: 64, dropout: 0.2 }
    }
}

impl Sizes {
    /// Refuses sizes outside the allowed ranges.
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

    /// The network whose first layers, which are not none, read those columns.
    pub(super) fn network(
        &self,
        mut params: Params,
        rng: &mut Rng,
        mut layers: Vec<Box<dyn Layer>>,
        n_outputs: usize,
    ) -> Network {
        let (n_read, hidden) = (layers.last().map_or(0, |l| l.n_out()), self.hidden);
        layers.push(Box::new(Dense::new(&mut params, rng, "hidden", n_read, hidden, Activation::Relu)));
        if self.dropout > 0.0 {
            layers.push(Box::new(Dropout::new(hidden, self.dropout, 0)));
        }
        layers.push(Box::new(Dense::new(&mut params, rng, "output", hidden, n_outputs, Activation::Identity)));
        Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 }
    }
}

/// The shape of such a network: its sizes, and which columns it reads.
pub trait ReaderShape: Clone {
    /// Whether a search may scale numbers by their quantiles.
    const MAY_SCALE_BY_QUANTILES: bool;

    /// Its sizes.
    fn sizes(&self) -> Sizes;
    /// The same with other sizes.
    #[must_use]
    fn with_sizes(self, sizes: Sizes) -> Self;
    /// As part of a stored model.
    fn architecture(self) -> Architecture;
    /// Refuses a frame without columns that it reads.
    ///
    /// # Errors
    /// A request error that says what to declare.
    fn check_frame(&self, frame: &Frame) -> Result<()>;
}

/// Settings of such a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ReaderParams<S> {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: 64 units or filters, then 64 rectified units with dropout 0.2.
    pub shape: S,
    /// How numbers are scaled, a feature alike for all steps or nodes. Default: minus the mean, by the standard deviation, which keeps
    /// how far out an amount is; quantiles would flatten it.
    pub scaling: Scaling,
    /// `None`, the default, for the task's: cross-entropy or squared error.
    pub loss: Option<Loss>,
    /// How it is trained. Default: as [`super::MlpParams`]. Of many rows a fit has fewer epochs: it sees two million rows, and all
    /// rows five times.
    pub train: TrainParams,
}

/// What a search may change of all of them …
const SPACE: [Dimension; 5] = [
    Dimension::whole_log("units", 16, 256, 64),
    Dimension::whole_log("hidden", 16, 256, 64),
    Dimension::real_or_zero("dropout", 0.05, 0.5, 0.2),
    Dimension::log("learning_rate", 1e-4, 1e-2, 1e-3),
    Dimension::log_or_zero("weight_decay", 1e-6, 0.1, 1e-2),
];
/// … and of those whose numbers may be scaled by their quantiles: where it is 1, they are.
const SCALING: Dimension = Dimension::choice("quantile_scaling", &[0.0, 1.0], 0.0);

impl<S: ReaderShape> ReaderParams<S> {
    /// The defaults with that shape.
    pub fn of(shape: S, task: Task) -> ReaderParams<S> {
        ReaderParams { task, shape, scaling: Scaling::Standard, loss: None, train: MlpParams::default().train }
    }

    /// The settings that a search may change.
    pub fn space(_: Task) -> Vec<Dimension> {
        let mut space = SPACE.to_vec();
        space.extend(S::MAY_SCALE_BY_QUANTILES.then_some(SCALING));
        space
    }

    /// The same at a point of [`ReaderParams::space`].
    #[must_use]
    pub fn at(mut self, point: &Point) -> ReaderParams<S> {
        let (units, hidden) = (point.whole("units"), point.whole("hidden"));
        self.shape = self.shape.with_sizes(Sizes { units, hidden, dropout: point.real("dropout") as f32 });
        self.train.learning_rate = point.real("learning_rate");
        self.train.weight_decay = point.real("weight_decay");
        let by_quantiles = S::MAY_SCALE_BY_QUANTILES && point.whole("quantile_scaling") == 1;
        self.scaling = if by_quantiles { Scaling::Quantile } else { Scaling::Standard };
        self
    }

    /// The same with a smaller network and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> ReaderParams<S> {
        let sizes = Sizes { units: 16, hidden: 16, ..self.shape.sizes() };
        self.shape = self.shape.with_sizes(sizes);
        (self.train.batch_rows, self.train.learning_rate, self.train.epochs) = (64, 5e-3, 8);
        self
    }
}

impl<S: ReaderShape> NetworkParams for ReaderParams<S> {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.sizes().check()?;
        self.shape.check_frame(train)?;
        let most_epochs = (MOST_ROWS_SEEN / train.n_rows.max(1)).max(LEAST_EPOCHS);
        let epochs = self.train.epochs.min(most_epochs);
        let recipe = Recipe {
            task: self.task,
            architecture: self.shape.clone().architecture(),
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
