//! TabM (Gorishniy et al., ICLR 2025): k networks in one that share their weight matrices.

use super::Architecture;
use super::fit::{NetworkParams, Recipe, estimator, fit};
use crate::activation::Activation;
use crate::input::{Input, Scaling};
use crate::layer::{
    Columns, Dense, Dropout, EnsembleDense, EnsembleShape, Heads, Layer, MemberScale, PerMember, PiecewiseEmbedding,
    Scales, Sequential,
};
use crate::network::Network;
use crate::optimizer::Method;
use crate::params::Params;
use crate::train::TrainParams;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "tabm";
/// The name of its smaller variant.
pub const NAME_MINI: &str = "tabm_mini";

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Members, 1 to 1024.
    pub k: usize,
    /// Numbers of a hidden layer, 1 to 65,536.
    pub width: usize,
    /// Hidden layers, 1 to 64.
    pub blocks: usize,
    /// Share of hidden numbers dropped in training, in [0, 1).
    pub dropout: f32,
    /// Bins of the embedding of a number, 2 to 4096; `None` for no embedding.
    pub bins: Option<usize>,
    /// Numbers of an embedding, 1 to 1024.
    pub embedding: usize,
    /// True if only the first scaling and the heads are the members' own (TabM-mini).
    pub mini: bool,
}

impl Shape {
    /// Refuses shapes outside the allowed ranges.
    ///
    /// # Errors
    /// A request error that names the value and the range.
    pub fn check(&self) -> Result<()> {
        let ranges = [
            ("k", self.k, 1, 1024),
            ("width", self.width, 1, 65_536),
            ("blocks", self.blocks, 1, 64),
            ("bins", self.bins.unwrap_or(2), 2, 4096),
            ("embedding", self.embedding, 1, 1024),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Error::request(format!("{name} is {value}; allowed: {least} to {most}")));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::request(format!("dropout is {}; allowed: 0 to below 1", self.dropout)));
        }
        Ok(())
    }

    /// The network with random weights; `edges` are the bins of each number, where it has bins.
    pub fn build(&self, input: &Input, n_outputs: usize, edges: &[Vec<f32>], rng: &mut Rng) -> Network {
        let mut params = Params::default();
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        let d = if edges.is_empty() { 1 } else { self.embedding };
        if !edges.is_empty() {
            let embedding = PiecewiseEmbedding::new(&mut params, rng, "embedding", edges, d);
            layers.push(Box::new(Columns::default().then(Box::new(embedding)).then_same(input.n_flags())));
        }
        let mut groups = vec![d; input.n_numbers()];
        groups.extend(input.flag_groups());
        let scales = if edges.is_empty() { Scales::Signs(&groups) } else { Scales::Normal(&groups) };
        let n_in = groups.iter().sum();
        if self.mini {
            layers.push(Box::new(MemberScale::new(&mut params, rng, "first", self.k, n_in, &scales)));
            layers.push(Box::new(PerMember::new(self.k, self.shared_blocks(&mut params, rng, n_in))));
        } else {
            for block in 0..self.blocks {
                let first = block == 0;
                let shape = EnsembleShape {
                    k: self.k,
                    n_in: if first { n_in } else { self.width },
                    n_out: self.width,
                    shared: first,
                    scales: if first { scales.clone() } else { Scales::Ones },
                    dropout: self.dropout,
                    stream: block as u64,
                };
                layers.push(Box::new(EnsembleDense::new(&mut params, rng, &format!("block{block}"), &shape)));
            }
        }
        layers.push(Box::new(Heads::new(&mut params, rng, "heads", self.k, self.width, n_outputs)));
        Network { params, layer: Box::new(Sequential::new(layers)), n_members: self.k }
    }

    /// The hidden layers of the mini variant.
    fn shared_blocks(&self, params: &mut Params, rng: &mut Rng, n_in: usize) -> Box<dyn Layer> {
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        for block in 0..self.blocks {
            let n_in = if block == 0 { n_in } else { self.width };
            let name = format!("block{block}");
            layers.push(Box::new(Dense::new(params, rng, &name, n_in, self.width, Activation::Relu)));
            if self.dropout > 0.0 {
                layers.push(Box::new(Dropout::new(self.width, self.dropout, block as u64)));
            }
        }
        Box::new(Sequential::new(layers))
    }
}

/// Settings of TabM; the defaults are the authors'.
#[derive(Debug, Clone, PartialEq)]
pub struct TabmParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: 32 members, two layers of 512, dropout 0.1, embeddings of 16 numbers over 48 bins.
    pub shape: Shape,
    /// Rows of a batch; `None`, the default, for the authors' rule by the number of training rows.
    pub batch_rows: Option<usize>,
    /// How it is trained, but for the batch. Default: AdamW at 2e-3, weight decay 3e-4, gradients clipped at 1, at most
    /// 500 epochs with a patience of 16.
    pub train: TrainParams,
}

impl Default for TabmParams {
    fn default() -> Self {
        TabmParams {
            task: Task::Binary,
            shape: Shape { k: 32, width: 512, blocks: 2, dropout: 0.1, bins: Some(48), embedding: 16, mini: false },
            batch_rows: None,
            train: TrainParams {
                epochs: 500,
                learning_rate: 2e-3,
                method: Method::ADAM,
                weight_decay: 3e-4,
                clip: Some(1.0),
                patience: Some(16),
                ..TrainParams::default()
            },
        }
    }
}

/// What a search may change: the authors' space (Gorishniy et al., ICLR 2025, appendix).
const SPACE: [Dimension; 7] = [
    Dimension::whole("blocks", 1, 4, 2),
    Dimension::whole("width", 64, 1024, 512),
    Dimension::log("learning_rate", 1e-4, 5e-3, 2e-3),
    Dimension::log_or_zero("weight_decay", 1e-4, 0.1, 3e-4),
    Dimension::real_or_zero("dropout", 0.01, 0.5, 0.1),
    Dimension::whole("bins", 2, 128, 48),
    Dimension::whole("embedding", 8, 32, 16),
];

impl TabmParams {
    /// The settings that a search may change, of either variant.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The same at a point of [`TabmParams::space`].
    #[must_use]
    pub fn at(mut self, point: &Point) -> TabmParams {
        (self.shape.blocks, self.shape.width) = (point.whole("blocks"), point.whole("width"));
        self.shape.dropout = point.real("dropout") as f32;
        (self.shape.bins, self.shape.embedding) = (Some(point.whole("bins")), point.whole("embedding"));
        self.train.learning_rate = point.real("learning_rate");
        self.train.weight_decay = point.real("weight_decay");
        self
    }

    /// The smaller variant.
    pub fn mini(task: Task) -> TabmParams {
        let mut params = TabmParams { task, ..TabmParams::default() };
        params.shape.mini = true;
        params
    }

    /// The same with fewer and smaller members and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> TabmParams {
        (self.shape.k, self.shape.width, self.shape.bins, self.shape.embedding) = (4, 16, Some(8), 4);
        (self.train.epochs, self.train.learning_rate) = (6, 1e-2);
        self
    }
}

/// The authors' batch by training rows.
fn batch_rows(n_rows: usize) -> usize {
    match n_rows {
        0..2800 => 32,
        2800..4500 => 64,
        4500..6400 => 128,
        6400..32_000 => 256,
        32_000..108_000 => 512,
        _ => 1024,
    }
}

impl NetworkParams for TabmParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.check()?;
        let recipe = Recipe {
            task: self.task,
            architecture: Architecture::Tabm(self.shape.clone()),
            scaling: Scaling::Quantile,
            embed_above: usize::MAX,
            loss: None,
            train: TrainParams {
                batch_rows: self.batch_rows.unwrap_or_else(|| batch_rows(train.n_rows)),
                ..self.train.clone()
            },
        };
        fit(&recipe, train, valid, run)
    }

    fn training(&mut self) -> &mut TrainParams {
        &mut self.train
    }
}

estimator!(TabmParams);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkModel;
    use crate::model::mlp::tests::frame;
    use statera_core::{Background, Estimator, metric};

    fn quick(task: Task, mini: bool) -> TabmParams {
        if mini { TabmParams::mini(task).quick() } else { TabmParams { task, ..TabmParams::default() }.quick() }
    }

    #[test]
    fn learns_saves_and_explains_itself() {
        let (train, valid, test) =
            (frame(Task::Binary, 2000, 1), frame(Task::Binary, 500, 2), frame(Task::Binary, 1000, 3));
        for (mini, bins) in [(false, Some(8)), (false, None), (true, Some(8)), (true, None)] {
            let mut params = quick(Task::Binary, mini);
            params.shape.bins = bins;
            let model = params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
            let margins = model.predict(&test).expect("scores");
            let area = metric::area(&margins.margins, &test.target, &vec![1.0; 1000]);
            assert!(area > 0.9, "mini {mini}, bins {bins:?}: {area}");
            let again = NetworkModel::load(&model.save()).expect("loads");
            assert_eq!(again.predict(&test).expect("scores"), margins);
            assert_eq!(again.save(), model.save());
            let rows = test.take(&[0, 1, 2]);
            let parts = model.attribute(&rows, &Background::default()).expect("parts");
            for row in 0..3 {
                let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>() + parts.remainder_of(row, 0);
                assert!((sum - margins.margins[row]).abs() < 1e-9 * margins.margins[row].abs().max(1.0));
            }
        }
    }

    #[test]
    fn every_task_has_finite_margins() {
        for task in [Task::Classes(3), Task::Regression] {
            let train = frame(task, 300, 1);
            let model = quick(task, false).fit(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
            let scores = model.predict(&train).expect("scores");
            assert!(scores.margins.iter().all(|m| m.is_finite()) && scores.n_rows() == 300);
        }
    }

    #[test]
    fn refuses_shapes_that_cannot_be() {
        for (change, expected) in [
            ((|s: &mut Shape| s.k = 0) as fn(&mut Shape), "k is 0; allowed: 1 to 1024"),
            (|s| s.bins = Some(1), "bins is 1; allowed: 2 to 4096"),
            (|s| s.dropout = -0.1, "dropout is -0.1; allowed: 0 to below 1"),
        ] {
            let mut params = quick(Task::Binary, false);
            change(&mut params.shape);
            let error =
                params.fit(&frame(Task::Binary, 50, 1), &Frame::default(), &Run::new(1, 1)).err().expect("refused");
            assert_eq!(error.to_string(), expected);
        }
    }
}
