//! RealMLP (Holzmüller et al., NeurIPS 2024), with its tuned defaults (RealMLP-TD).

use super::fit::{NetworkParams, Recipe, estimator, fit};
use super::{Architecture, Categories};
use crate::activation::Activation;
use crate::input::{Input, Scaling};
use crate::layer::{
    ColumnBias, ColumnScale, Columns, Dense, Dropout, Embedding, Layer, Math, Mode, ParametricSelu, PeriodicEmbedding,
    PeriodicShape, Sequential, Table,
};
use crate::network::Network;
use crate::optimizer::Method;
use crate::params::{Init, Params, Role};
use crate::schedule::Schedule;
use crate::train::TrainParams;
use crate::workspace::Workspace;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "realmlp";

/// Numbers of the embedding of a category.
const CATEGORY: usize = 8;
/// Frequencies of the embedding of a number, and numbers of that embedding, itself included.
const FREQUENCIES: usize = 16;
/// See [`FREQUENCIES`].
const NUMBER: usize = 4;
/// Most training rows on which the start is scaled.
const START_ROWS: usize = 4096;
/// Slow parameters: embeddings of numbers, biases, activations.
const SLOW: f32 = 0.1;

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Widths of the hidden layers, each 1 to 65,536, at least one.
    pub hidden: Vec<usize>,
    /// Share of hidden numbers dropped in training, in [0, 1).
    pub dropout: f32,
}

impl Shape {
    /// Refuses shapes outside the allowed ranges.
    ///
    /// # Errors
    /// A request error that names the value and the range.
    pub fn check(&self) -> Result<()> {
        if self.hidden.is_empty() {
            return Err(Error::request("no hidden layers; allowed: 1 and above"));
        }
        if let Some(w) = self.hidden.iter().find(|w| !(1..=65_536).contains(*w)) {
            return Err(Error::request(format!("a hidden layer of width {w}; allowed: 1 to 65536")));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::request(format!("dropout is {}; allowed: 0 to below 1", self.dropout)));
        }
        Ok(())
    }

    /// The network with random weights, scaled on training rows where given. In whichever form it reads categories, the
    /// parameters are the same.
    ///
    /// # Errors
    /// Categories that are too many to embed.
    pub fn build(
        &self,
        input: &Input,
        n_outputs: usize,
        categories: Categories,
        sample: Option<&[f32]>,
        rng: &mut Rng,
    ) -> Result<Network> {
        let mut params = Params::default();
        let mut layers = vec![inputs(&mut params, rng, input, categories)?];
        let role = |lr_factor, decay_factor| Role::Trained { lr_factor, decay_factor };
        let mut width = layers[0].n_out();
        layers.push(Box::new(ColumnScale::new(&mut params, rng, "scale", width, role(6.0, 0.0))));
        let mut h = sample.map(|x| forward(&layers, &params, &x[..x.len().min(START_ROWS * input.n_columns())]));
        let widths: Vec<usize> = self.hidden.iter().copied().chain([n_outputs]).collect();
        for (i, &n_out) in widths.iter().enumerate() {
            let name = if i == self.hidden.len() { "output".into() } else { format!("hidden{i}") };
            let dense = Dense::without_bias(&mut params, rng, &name, width, n_out, Activation::Identity);
            let range = params.slot(&format!("{name}.weight")).map(|s| s.range.clone()).unwrap_or_default();
            params.values[range.clone()].fill_with(|| rng.normal() as f32);
            let factor = 1.0 / (width as f32).sqrt();
            let mut block: Vec<Box<dyn Layer>> = vec![
                Box::new(dense),
                Box::new(ColumnBias::new(&mut params, rng, &name, n_out, factor, role(SLOW, 0.0))),
            ];
            if let Some(h) = &h {
                unit_deviation(&block, &mut params, range, h);
            }
            if i < self.hidden.len() {
                block.push(Box::new(ParametricSelu::new(&mut params, rng, &name, n_out, role(SLOW, 0.0))));
                h = h.map(|h| forward(&block, &params, &h));
                if self.dropout > 0.0 {
                    block.push(Box::new(Dropout::new(n_out, self.dropout, i as u64)));
                }
            }
            layers.append(&mut block);
            width = n_out;
        }
        Ok(Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 })
    }
}

/// Embeddings of numbers, flags as they are, embeddings of categories.
fn inputs(params: &mut Params, rng: &mut Rng, input: &Input, categories: Categories) -> Result<Box<dyn Layer>> {
    let mut columns = Columns::default();
    if input.n_numbers() > 0 {
        let n = input.n_numbers();
        let shape = PeriodicShape { n, n_frequencies: FREQUENCIES, d: NUMBER, deviation: 0.1, lr_factor: SLOW };
        columns = columns.then(Box::new(PeriodicEmbedding::new(params, rng, "number", &shape)));
    }
    columns = columns.then_same(input.n_flags());
    let tables: Vec<Table> =
        input.code_sizes().into_iter().map(|n_categories| Table { n_categories, width: CATEGORY }).collect();
    if !tables.is_empty() {
        let embedding = Embedding::new(params, rng, "category", 0, &tables, &Init::Normal(1.0))?;
        columns = columns.then(Box::new(match categories {
            Categories::Codes => embedding,
            Categories::Shares => embedding.of_shares(),
        }));
    }
    Ok(Box::new(columns))
}

/// The outputs of layers for rows, in evaluation.
fn forward(layers: &[Box<dyn Layer>], params: &Params, x: &[f32]) -> Vec<f32> {
    let mut h = x.to_vec();
    for layer in layers {
        let n_rows = h.len() / layer.n_in().max(1);
        let mut work = Workspace::forward_only(&**layer, n_rows);
        h = work.forward(&**layer, &params.values, &h, n_rows, Mode::Evaluate, Math::Score).to_vec();
    }
    h
}

/// Divides each column of a weight matrix by the standard deviation of the block's outputs in it.
fn unit_deviation(block: &[Box<dyn Layer>], params: &mut Params, weight: std::ops::Range<usize>, h: &[f32]) {
    let y = forward(block, params, h);
    let n_out = block[block.len() - 1].n_out();
    let n_rows = (y.len() / n_out) as f64;
    for j in 0..n_out {
        let column = || y.iter().skip(j).step_by(n_out).map(|&v| f64::from(v));
        let mean = column().sum::<f64>() / n_rows;
        let deviation = (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n_rows).sqrt() as f32;
        if deviation > 1e-6 {
            params.values[weight.clone()].iter_mut().skip(j).step_by(n_out).for_each(|w| *w /= deviation);
        }
    }
}

/// Settings of RealMLP; the defaults are the authors' tuned ones.
#[derive(Debug, Clone, PartialEq)]
pub struct RealMlpParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: three layers of 256, dropout 0.15.
    pub shape: Shape,
    /// How it is trained. Default: Adam with β 0.9 and 0.95 at 0.04 in four waves, weight decay 0.02 and dropout flat and
    /// then along a cosine to 0, 256 epochs of batches of 256, the best epoch kept.
    pub train: TrainParams,
}

impl Default for RealMlpParams {
    fn default() -> Self {
        RealMlpParams {
            task: Task::Binary,
            shape: Shape { hidden: vec![256; 3], dropout: 0.15 },
            train: TrainParams {
                epochs: 256,
                batch_rows: 256,
                learning_rate: 0.04,
                schedule: Schedule::LogWaves,
                method: Method::Adam { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
                weight_decay: 0.02,
                regularisation_schedule: Schedule::FlatCosine,
                clip: None,
                patience: None,
            },
        }
    }
}

/// Shapes that the authors search.
const HIDDEN: [&[usize]; 3] = [&[256, 256, 256], &[64, 64, 64, 64, 64], &[512]];

/// What a search may change: the part of the authors' space that this network has (Holzmüller et al. 2024, appendix).
/// `hidden` is 0 for three layers of 256, 1 for five of 64, 2 for one of 512.
const SPACE: [Dimension; 4] = [
    Dimension::choice("hidden", &[0.0, 1.0, 2.0], 0.0),
    Dimension::choice("dropout", &[0.0, 0.15, 0.3], 0.15),
    Dimension::log("learning_rate", 0.02, 0.3, 0.04),
    Dimension::choice("weight_decay", &[0.0, 0.02], 0.02),
];

impl RealMlpParams {
    /// The settings that a search may change.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The learner at a point of [`RealMlpParams::space`].
    pub fn at(task: Task, point: &Point) -> RealMlpParams {
        let mut params = RealMlpParams { task, ..RealMlpParams::default() };
        params.shape.hidden = HIDDEN[point.whole("hidden")].to_vec();
        params.shape.dropout = point.real("dropout") as f32;
        params.train.learning_rate = point.real("learning_rate");
        params.train.weight_decay = point.real("weight_decay");
        params
    }

    /// The same with a smaller network and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> RealMlpParams {
        self.shape.hidden = vec![32; 2];
        (self.train.epochs, self.train.batch_rows) = (8, 64);
        self
    }
}

impl NetworkParams for RealMlpParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.check()?;
        let recipe = Recipe {
            task: self.task,
            architecture: Architecture::RealMlp(self.shape.clone()),
            scaling: Scaling::Robust,
            embed_above: 9,
            loss: None,
            train: self.train.clone(),
        };
        fit(&recipe, train, valid, run)
    }

    fn training(&mut self) -> &mut TrainParams {
        &mut self.train
    }
}

estimator!(RealMlpParams);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkModel;
    use crate::model::mlp::tests::frame;
    use statera_core::{Background, Column, Estimator, metric};

    #[test]
    fn learns_and_returns_from_its_parts() {
        let (train, valid, test) =
            (frame(Task::Binary, 2000, 1), frame(Task::Binary, 500, 2), frame(Task::Binary, 1000, 3));
        let model = RealMlpParams::default().quick().fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let margins = model.predict(&test).expect("scores");
        let area = metric::area(&margins.margins, &test.target, &vec![1.0; 1000]);
        assert!(area > 0.9, "{area}");
        let again = NetworkModel::load(&model.save()).expect("loads");
        assert_eq!(again.predict(&test).expect("scores"), margins);
    }

    #[test]
    fn an_embedded_category_has_its_part_in_the_margin() {
        let (train, valid, test) =
            (frame(Task::Binary, 2000, 1), frame(Task::Binary, 500, 2), frame(Task::Binary, 200, 3));
        let model = RealMlpParams::default().quick().fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let model = NetworkModel::load(&model.save()).expect("loads");
        let (margins, parts) =
            (model.predict(&test).expect("scores"), model.attribute(&test, &Background::default()).expect("parts"));
        let Column::Codes(levels) = &test.columns[2] else { panic!("levels") };
        let mut agreeing = 0;
        for (row, level) in levels.iter().enumerate() {
            let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>() + parts.remainder_of(row, 0);
            assert!((sum - margins.row(row)[0]).abs() < 1e-9, "row {row}: {sum}");
            // The first six levels raise the margin, the others lower it.
            agreeing += usize::from((parts.of(row, 0)[2] > 0.0) == (*level < 9));
        }
        assert!(agreeing > 180, "{agreeing} of 200 rows");
        // Without ranges and shares, a model says where it starts, and still adds up.
        let mut old = model.save();
        old.json.as_object_mut().expect("an object").remove("margin_ranges");
        let baseline = old.tensors.get_mut("input.baseline").expect("a baseline");
        let statera_core::TensorData::F32(values) = &mut baseline.data else { panic!("floats") };
        let n_codes = values.len() - 12;
        values.truncate(n_codes + 1);
        let old = NetworkModel::load(&old).expect("an older model loads");
        assert_eq!(old.predict(&test).expect("scores"), margins);
    }

    #[test]
    fn pre_activations_start_with_a_deviation_of_one() {
        let train = frame(Task::Binary, 1000, 1);
        let input = Input::fit(&train, Scaling::Robust, 9).expect("columns vary");
        let x = input.apply(&train, 0..1000).expect("own columns");
        let shape = Shape { hidden: vec![8], dropout: 0.0 };
        let network = shape.build(&input, 3, Categories::Codes, Some(&x), &mut Rng::new(1)).expect("few categories");
        let y = network.score(&x);
        for j in 0..3 {
            let column: Vec<f64> = y.iter().skip(j).step_by(3).map(|&v| f64::from(v)).collect();
            let mean = column.iter().sum::<f64>() / 1000.0;
            let deviation = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1000.0).sqrt();
            assert!((deviation - 1.0).abs() < 1e-3, "output {j}: {deviation}");
        }
    }
}
