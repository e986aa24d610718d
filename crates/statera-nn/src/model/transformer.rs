//! A transformer over the features of a row (after FT-Transformer; Gorishniy, Rubachev, Khrulkov and Babenko 2021): each
//! feature is a token, a number x `x w + b` and the vectors of its flags (missing, sentinels), a category the embedding of
//! its level; pre-norm blocks of attention; then the normalised mean over the tokens (where the authors add a token that
//! stands for the row) and a dense layer.

use super::Architecture;
use super::fit::{NetworkParams, Recipe, estimator, fit};
use crate::activation::Activation;
use crate::input::{Input, Scaling};
use crate::layer::{Dense, FeatureTokens, GlobalPool, Layer, LayerNorm, Pooling, Sequential, Transformer};
use crate::loss::Loss;
use crate::network::Network;
use crate::params::Params;
use crate::train::TrainParams;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "transformer";

/// Most numbers of a token.
const MOST_WIDTH: usize = 4096;
/// Most blocks.
const MOST_BLOCKS: usize = 64;

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Numbers of a token, 1 to 4096.
    pub width: usize,
    /// Heads of the attention, a divisor of the width.
    pub heads: usize,
    /// Blocks, 1 to 64.
    pub blocks: usize,
    /// Hidden units of a block's dense layers, 1 to 4096.
    pub hidden: usize,
    /// Share of the numbers behind attention and dense layers that are dropped in training, in [0, 1).
    pub dropout: f32,
}

impl Shape {
    /// Refuses shapes outside the allowed ranges.
    ///
    /// # Errors
    /// A request error that names the value and the range.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("width", self.width, MOST_WIDTH),
            ("blocks", self.blocks, MOST_BLOCKS),
            ("hidden", self.hidden, MOST_WIDTH),
        ];
        for (name, value, most) in sizes {
            if !(1..=most).contains(&value) {
                return Err(Error::request(format!("{name} is {value}; allowed: 1 to {most}")));
            }
        }
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            return Err(Error::request(format!(
                "heads is {}; allowed: divisors of the width {}",
                self.heads, self.width
            )));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::request(format!("dropout is {}; allowed: 0 to below 1", self.dropout)));
        }
        Ok(())
    }

    /// The network with random weights.
    ///
    /// # Errors
    /// An input with too many columns.
    pub fn build(&self, input: &Input, n_outputs: usize, rng: &mut Rng) -> Result<Network> {
        let mut params = Params::default();
        let tokens = FeatureTokens::new(&mut params, rng, "tokens", tokens(input), self.width)?;
        let sequence = tokens.output()?;
        let sizes = Transformer { sequence, n_heads: self.heads, n_hidden: self.hidden, dropout: self.dropout };
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(tokens)];
        for i in 0..self.blocks {
            layers.push(Box::new(sizes.block(&mut params, rng, &format!("block{i}"), 2 * i as u64)?));
        }
        layers.push(Box::new(GlobalPool::new(sequence, Pooling::Average)?));
        layers.push(Box::new(LayerNorm::new(&mut params, "norm", self.width)?));
        layers.push(Box::new(Dense::new(&mut params, rng, "output", self.width, n_outputs, Activation::Identity)));
        Ok(Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 })
    }
}

/// The token of each input column: columns of a feature share one.
fn tokens(input: &Input) -> Vec<usize> {
    let mut seen: Vec<usize> = Vec::new();
    let mut token = |feature: usize| {
        seen.iter().position(|f| *f == feature).unwrap_or_else(|| {
            seen.push(feature);
            seen.len() - 1
        })
    };
    input.features().into_iter().map(&mut token).collect()
}

/// Settings of a transformer over features.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: tokens of 64 numbers, 2 blocks of 8 heads and 128 hidden units, dropout 0.1.
    pub shape: Shape,
    /// How numbers are scaled. Default: quantiles to normal.
    pub scaling: Scaling,
    /// `None`, the default, for the task's: cross-entropy or squared error.
    pub loss: Option<Loss>,
    /// How it is trained. Default: as [`super::MlpParams`], with a patience of 8 and at most 60 epochs.
    pub train: TrainParams,
}

impl Default for TransformerParams {
    fn default() -> Self {
        TransformerParams {
            task: Task::Binary,
            shape: Shape { width: 64, heads: 8, blocks: 2, hidden: 128, dropout: 0.1 },
            scaling: Scaling::Quantile,
            loss: None,
            train: TrainParams { epochs: 60, patience: Some(8), ..super::MlpParams::default().train },
        }
    }
}

/// What a search may change, after Gorishniy et al. (NeurIPS 2021); the width is a multiple of the 8 heads.
const SPACE: [Dimension; 6] = [
    Dimension::whole("blocks", 1, 4, 2),
    Dimension::choice("width", &[32.0, 64.0, 128.0, 192.0], 64.0),
    Dimension::whole_log("hidden", 32, 512, 128),
    Dimension::real_or_zero("dropout", 0.05, 0.5, 0.1),
    Dimension::log("learning_rate", 1e-4, 5e-3, 1e-3),
    Dimension::log_or_zero("weight_decay", 1e-6, 0.1, 1e-2),
];

impl TransformerParams {
    /// The settings that a search may change.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The learner at a point of [`TransformerParams::space`].
    pub fn at(task: Task, point: &Point) -> TransformerParams {
        let mut params = TransformerParams { task, ..TransformerParams::default() };
        (params.shape.blocks, params.shape.width) = (point.whole("blocks"), point.whole("width"));
        (params.shape.hidden, params.shape.dropout) = (point.whole("hidden"), point.real("dropout") as f32);
        params.train.learning_rate = point.real("learning_rate");
        params.train.weight_decay = point.real("weight_decay");
        params
    }

    /// The same with a smaller network and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> TransformerParams {
        self.shape = Shape { width: 16, heads: 4, blocks: 1, hidden: 32, dropout: 0.0 };
        (self.train.batch_rows, self.train.learning_rate, self.train.epochs) = (64, 5e-3, 8);
        self
    }
}

impl NetworkParams for TransformerParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.check()?;
        let recipe = Recipe {
            task: self.task,
            architecture: Architecture::Transformer(self.shape.clone()),
            scaling: self.scaling,
            // One-hot flags: their weights are embeddings, and a level has an attribution.
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

estimator!(TransformerParams);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mlp::tests::frame;
    use crate::model::{MlpParams, NetworkModel};
    use statera_core::{Background, Column, Estimator, metric};

    fn quick() -> TransformerParams {
        TransformerParams::default().quick()
    }

    /// The frame of the other networks with another target: whether two numbers have the same sign.
    fn interaction(n: usize, seed: u64) -> Frame {
        let mut frame = frame(Task::Binary, n, seed);
        let mut rng = Rng::new(seed ^ 77);
        let mut number = || (0..n).map(|_| rng.normal()).collect::<Vec<f64>>();
        let (a, b) = (number(), number());
        frame.target = a.iter().zip(&b).map(|(a, b)| f64::from(u8::from(a * b > 0.0))).collect();
        let missing = |v: Vec<f64>| v.into_iter().enumerate().map(|(i, v)| if i % 50 == 0 { f64::NAN } else { v });
        (frame.columns[0], frame.columns[1]) = (Column::Number(missing(a).collect()), Column::Number(b));
        frame
    }

    #[test]
    fn learns_an_interaction_that_no_line_can() {
        let (train, valid, test) = (interaction(3000, 1), interaction(500, 2), interaction(1000, 3));
        let area = |model: Box<dyn Model>| {
            metric::area(&model.predict(&test).expect("scores").margins, &test.target, &vec![1.0; 1000])
        };
        let mut linear = MlpParams::quick(Task::Binary);
        linear.shape.hidden = vec![];
        let linear = area(linear.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"));
        let mut params = quick();
        params.train.epochs = 15;
        let area = area(params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"));
        assert!(linear < 0.6 && area > 0.9, "{area}, linear {linear}");
    }

    #[test]
    fn returns_from_its_parts_and_scores_a_row_alone_as_in_a_batch() {
        for task in [Task::Binary, Task::Classes(3), Task::Regression] {
            let (train, valid) = (frame(task, 400, 1), frame(task, 100, 2));
            let mut params = quick();
            (params.task, params.train.epochs) = (task, 2);
            let model = params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
            let again = NetworkModel::load(&model.save()).expect("loads");
            assert_eq!(again.save(), model.save());
            let scores = model.predict(&train).expect("scores");
            assert_eq!(again.predict(&train).expect("scores"), scores);
            for row in [0, 99] {
                assert_eq!(model.predict(&train.take(&[row])).expect("scores").row(0), scores.row(row), "{task:?}");
            }
            let rows = train.take(&(0..10).collect::<Vec<_>>());
            let parts = model.attribute(&rows, &Background::default()).expect("parts");
            for row in 0..10 {
                let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>() + parts.remainder_of(row, 0);
                let margin = scores.row(row)[0];
                assert!((sum - margin).abs() <= 1e-9 * margin.abs().max(1.0), "{task:?}: {sum}, margin {margin}");
                assert!(parts.of(row, 0)[2] != 0.0, "a category adds something");
            }
        }
    }

    #[test]
    fn a_number_and_its_flags_share_a_token() {
        let train = frame(Task::Binary, 400, 1);
        let input = Input::fit(&train, Scaling::Quantile, usize::MAX).expect("columns vary");
        let tokens = tokens(&input);
        // Two numbers; the flags of the first's missing cells and of the second's sentinel; 12 levels of the category.
        assert_eq!(tokens[..4], [0, 1, 0, 1]);
        assert_eq!(tokens[4..], [2; 12]);
    }

    #[test]
    fn refuses_settings_that_cannot_be() {
        let train = frame(Task::Binary, 100, 1);
        let with = |change: &dyn Fn(&mut Shape)| {
            let mut params = quick();
            change(&mut params.shape);
            let fitted = params.fit(&train, &Frame::default(), &Run::new(1, 1));
            fitted.err().map(|e| e.to_string()).unwrap_or_default()
        };
        let cases = [
            (with(&|s| s.width = 0), "width is 0; allowed: 1 to 4096"),
            (with(&|s| s.blocks = 65), "blocks is 65; allowed: 1 to 64"),
            (with(&|s| s.heads = 3), "heads is 3; allowed: divisors of the width 16"),
            (with(&|s| s.hidden = 0), "hidden is 0; allowed: 1 to 4096"),
            (with(&|s| s.dropout = -0.1), "dropout is -0.1; allowed: 0 to below 1"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "«{message}», expected «{expected}»");
        }
    }
}
