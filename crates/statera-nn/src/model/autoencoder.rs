//! An autoencoder: dense layers that squeeze a row through a bottleneck and rebuild it. It never reads the target; what it
//! rebuilds badly is unlike the rows it was trained on (Hawkins et al. 2002), and some of its inputs are hidden in training,
//! so that it learns columns from each other (Vincent et al. 2008).
//!
//! A row's margin is an anomaly score: the squared error of its rebuilt inputs, summed. Inputs are numbers of variance 1 and
//! flags of 0 and 1 (missing cells, sentinels, levels), so a number weighs about as much as a category. The margin is a sum
//! over raw columns, and the attributions are its terms minus their means over the training rows: exact by construction.

use super::attribution::{Head, Path};
use super::fit::{NetworkParams, check_columns, estimator, means as input_means, weight_of_rows, without_weightless};
use super::in_blocks;
use crate::activation::Activation;
use crate::input::{Input, Scaling};
use crate::layer::{Dense, Dropout, Layer, Math, Mode, Residual, Sequential};
use crate::loss::Loss;
use crate::network::{Network, Rows};
use crate::params::Params;
use crate::train::{Curve, SQUARED_ERROR, TrainParams, Validation, train};
use crate::workspace::Workspace;
use serde::{Deserialize, Serialize};
use statera_core::{
    Attributions, Background, Error, Frame, FrameSpec, LearningCurve, Model, Parts, Result, Rng, Run, Scores, Task,
    Tensor, TensorData,
};
use std::ops::Range;

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "autoencoder";

/// Name of the array of the mean error of each raw column.
const MEAN_ERROR: &str = "autoencoder.mean_error";
/// Name of the array of the mean of each input.
const MEAN_INPUT: &str = "autoencoder.mean_input";

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Widths of the layers before the bottleneck, each 1 to 65,536; those after it mirror them. None for a linear one.
    pub hidden: Vec<usize>,
    /// Numbers that a row is squeezed into, 1 to 65,536.
    pub bottleneck: usize,
    /// Of the hidden layers.
    pub activation: Activation,
    /// Share of the inputs that are hidden in training, in [0, 1).
    pub noise: f32,
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
        if !(1..=65_536).contains(&self.bottleneck) {
            return Err(Error::request(format!("a bottleneck of width {}; allowed: 1 to 65536", self.bottleneck)));
        }
        if !(0.0..1.0).contains(&self.noise) {
            return Err(Error::request(format!("noise is {}; allowed: 0 to below 1", self.noise)));
        }
        Ok(())
    }

    /// From the inputs to the bottleneck. Its parameters are the first of the arena, so that it is part of a network with
    /// the same first parameters.
    fn encoder(&self, params: &mut Params, rng: &mut Rng, n_in: usize) -> Sequential {
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        if self.noise > 0.0 {
            layers.push(Box::new(Dropout::new(n_in, self.noise, 0)));
        }
        let mut width = n_in;
        for (i, &hidden) in self.hidden.iter().enumerate() {
            layers.push(Box::new(Dense::new(params, rng, &format!("encoder{i}"), width, hidden, self.activation)));
            width = hidden;
        }
        layers.push(Box::new(Dense::new(params, rng, "bottleneck", width, self.bottleneck, Activation::Identity)));
        Sequential::new(layers)
    }

    /// The network with random weights, whose outputs are the errors x − x̂: a residual connection around layers that give
    /// −x̂.
    fn build(&self, n_in: usize, rng: &mut Rng) -> Result<Network> {
        let mut params = Params::default();
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(self.encoder(&mut params, rng, n_in))];
        let mut width = self.bottleneck;
        for (i, &hidden) in self.hidden.iter().enumerate().rev() {
            let name = format!("decoder{i}");
            layers.push(Box::new(Dense::new(&mut params, rng, &name, width, hidden, self.activation)));
            width = hidden;
        }
        layers.push(Box::new(Dense::new(&mut params, rng, "output", width, n_in, Activation::Identity)));
        let errors = Residual::new(Box::new(Sequential::new(layers)))?;
        Ok(Network { params, layer: Box::new(errors), n_members: 1 })
    }
}

/// Settings of an autoencoder.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderParams {
    /// The network. Default: a layer of 64 rectified units, a bottleneck of 8, a tenth of the inputs hidden. A bottleneck
    /// wider than half of the inputs is made that narrow: it would squeeze nothing.
    pub shape: Shape,
    /// How numbers are scaled. Default: quantiles to normal, so that no tail outweighs everything else; a number beyond
    /// all of training lies 5.2 deviations out.
    pub scaling: Scaling,
    /// How it is trained. Default: as [`super::MlpParams`], with weight decay 1e-4.
    pub train: TrainParams,
}

impl Default for AutoencoderParams {
    fn default() -> Self {
        AutoencoderParams {
            shape: Shape { hidden: vec![64], bottleneck: 8, activation: Activation::Relu, noise: 0.1 },
            scaling: Scaling::Quantile,
            train: TrainParams { weight_decay: 1e-4, ..super::MlpParams::default().train },
        }
    }
}

impl AutoencoderParams {
    /// The same with a smaller network and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> AutoencoderParams {
        (self.shape.hidden, self.shape.bottleneck) = (vec![32], 4);
        (self.train.batch_rows, self.train.learning_rate, self.train.epochs) = (64, 5e-3, 15);
        self
    }

    /// The same for a refit on all rows, for as many epochs as the folds' models were best after.
    #[must_use]
    pub fn refit_params(&self, folds: &[&dyn Model]) -> AutoencoderParams {
        self.for_refit(folds)
    }

    /// Fits on the features alone; `valid`, if it has rows, tells when to stop.
    ///
    /// # Errors
    /// Settings outside their ranges, infinite numbers, columns that do not vary, cancellation.
    pub fn fit_model(&self, train_frame: &Frame, valid: &Frame, run: &Run) -> Result<AutoencoderModel> {
        self.shape.check()?;
        self.train.check()?;
        check_columns(train_frame).map_err(|e| e.at("training rows"))?;
        let kept = without_weightless(train_frame);
        let train_frame = kept.as_ref().unwrap_or(train_frame);
        if train_frame.n_rows < 2 {
            let n = train_frame.n_rows;
            return Err(Error::data(format!("{n} training rows with a weight above 0; at least 2 are needed")));
        }
        let input = Input::fit(train_frame, self.scaling, usize::MAX)?;
        let n_in = input.n_columns();
        let bottleneck = self.shape.bottleneck.min(n_in.div_ceil(2));
        let shape = Shape { bottleneck, ..self.shape.clone() };
        let mut network = shape.build(n_in, &mut Rng::fork(run.seed, 0x6165))?;
        let x = input.apply(train_frame, 0..train_frame.n_rows)?;
        let rows = Rows { x, target: vec![0.0; train_frame.n_rows], weight: weight_of_rows(train_frame) };
        let curve = if valid.n_rows > 0 {
            check_columns(valid).map_err(|e| e.at("validation rows"))?;
            let x = input.apply(valid, 0..valid.n_rows)?;
            let total: f64 = (0..valid.n_rows).map(|i| valid.weight_of(i)).sum();
            let figure = |errors: &[f32]| {
                let square = |row: &[f32]| row.iter().map(|e| f64::from(*e).powi(2)).sum::<f64>();
                let sum: f64 = errors.chunks_exact(n_in).enumerate().map(|(i, e)| valid.weight_of(i) * square(e)).sum();
                -sum / (total * n_in as f64)
            };
            let valid = Validation { x: &x, figure: &figure };
            train(&mut network, &Loss::Squared, &rows, Some(&valid), &self.train, run)?
        } else {
            train(&mut network, &Loss::Squared, &rows, None, &self.train, run)?
        };
        let mean_input = input_means(&rows, &input);
        let header = Header { family: NAME.into(), shape, input, curve };
        let mut model = AutoencoderModel::new(header, network, Vec::new(), mean_input);
        let errors = model.errors(train_frame)?;
        model.mean_error = means(&errors, train_frame, model.n_raw());
        Ok(model)
    }
}

/// The weighted mean of each column of n × n_raw numbers.
fn means(errors: &[f64], frame: &Frame, n_raw: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_raw];
    let mut total = 0.0;
    for (i, row) in errors.chunks_exact(n_raw).enumerate() {
        let weight = frame.weight_of(i);
        total += weight;
        sums.iter_mut().zip(row).for_each(|(s, e)| *s += weight * e);
    }
    sums.iter().map(|s| s / total).collect()
}

impl NetworkParams for AutoencoderParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        Ok(Box::new(self.fit_model(train, valid, run)?))
    }

    fn training(&mut self) -> &mut TrainParams {
        &mut self.train
    }
}

estimator!(AutoencoderParams);

/// True of a task that the score says something of: whether a row is of the rare kind.
pub fn does(task: Task) -> bool {
    task == Task::Binary
}

/// What `model.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    family: String,
    shape: Shape,
    input: Input,
    curve: Curve,
}

/// A fitted autoencoder.
pub struct AutoencoderModel {
    header: Header,
    network: Network,
    encoder: Sequential,
    /// The raw column of each input.
    raw: Vec<usize>,
    /// Mean error of each raw column over the training rows.
    mean_error: Vec<f64>,
    /// Mean of each input over the training rows.
    mean_input: Vec<f32>,
}

impl AutoencoderModel {
    fn new(header: Header, network: Network, mean_error: Vec<f64>, mean_input: Vec<f32>) -> AutoencoderModel {
        // Only its ranges are used; the values are the network's.
        let encoder = header.shape.encoder(&mut Params::default(), &mut Rng::new(0), header.input.n_columns());
        let raw = header.input.raw_columns();
        AutoencoderModel { header, network, encoder, raw, mean_error, mean_input }
    }

    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// Parts of another kind, size or range.
    pub fn load(parts: &Parts) -> Result<AutoencoderModel> {
        let damaged = |what: String| Error::damaged(format!("model.json: {what}"));
        let mut header = Header::deserialize(&parts.json).map_err(|e| damaged(e.to_string()))?;
        if header.family != NAME {
            return Err(damaged(format!("the model is of the family «{}»", header.family)));
        }
        header.shape.check().map_err(|e| damaged(e.to_string()))?;
        header.input = header.input.load(parts)?;
        let mut network = header.shape.build(header.input.n_columns(), &mut Rng::new(0))?;
        network.params.load(parts)?;
        let mean_error = parts.f64s(MEAN_ERROR)?.to_vec();
        // Models of before this array was kept explain their codes from inputs of 0.
        let mean_input = match parts.tensors.contains_key(MEAN_INPUT) {
            true => parts.f32s(MEAN_INPUT)?.to_vec(),
            false => vec![0.0; header.input.n_columns()],
        };
        if mean_input.len() != header.input.n_columns() || mean_input.iter().any(|m| !m.is_finite()) {
            return Err(Error::damaged("the mean inputs do not fit the columns"));
        }
        let model = AutoencoderModel::new(header, network, mean_error, mean_input);
        let fits = |e: &f64| e.is_finite() && *e >= 0.0;
        if model.mean_error.len() != model.n_raw() || !model.mean_error.iter().all(fits) {
            return Err(Error::damaged("the mean errors do not fit the columns"));
        }
        Ok(model)
    }

    /// What each row is squeezed into: n × d numbers, d of [`AutoencoderModel::n_codes`], for clustering and pictures. The
    /// same bits for a row alone or in any batch.
    ///
    /// # Errors
    /// A frame with other columns than those of the fit.
    pub fn encode(&self, frame: &Frame) -> Result<Vec<f32>> {
        in_blocks(frame.n_rows, |rows| {
            let x = self.header.input.apply(frame, rows.clone())?;
            let mut work = Workspace::forward_only(&self.encoder, rows.len());
            let values = &self.network.params.values;
            Ok(work.forward(&self.encoder, values, &x, rows.len(), Mode::Evaluate, Math::Score).to_vec())
        })
    }

    /// Numbers of the bottleneck.
    pub fn n_codes(&self) -> usize {
        self.header.shape.bottleneck
    }

    /// What each raw column adds to margins that are made of the code by `head`, whose ranges over the training rows are
    /// `ranges`: integrated gradients through the encoder, from the mean training row.
    ///
    /// # Errors
    /// A frame with other columns than those of the fit; a row that cannot be explained to a thousandth of the range.
    pub fn attribute_code(&self, frame: &Frame, head: &dyn Head, ranges: &[f64]) -> Result<Attributions> {
        let path = Path {
            layer: &self.encoder,
            params: &self.network.params.values,
            head,
            baseline: &self.mean_input,
            raw: &self.raw,
            n_raw: self.n_raw(),
            ranges,
        };
        path.attributions(&self.header.input.apply(frame, 0..frame.n_rows)?)
    }

    /// The columns it reads.
    pub fn spec(&self) -> &FrameSpec {
        self.header.input.spec()
    }

    fn n_raw(&self) -> usize {
        self.header.input.spec().raw_columns.len()
    }

    /// The squared error of each raw column in each row, n × n_raw.
    fn errors(&self, frame: &Frame) -> Result<Vec<f64>> {
        in_blocks(frame.n_rows, |rows: Range<usize>| {
            let n_raw = self.n_raw();
            let mut out = vec![0.0; rows.len() * n_raw];
            let errors = self.network.score(&self.header.input.apply(frame, rows)?);
            for (out, errors) in out.chunks_exact_mut(n_raw.max(1)).zip(errors.chunks_exact(self.raw.len())) {
                for (raw, e) in self.raw.iter().zip(errors) {
                    out[*raw] += f64::from(*e) * f64::from(*e);
                }
            }
            Ok(out)
        })
    }
}

impl Model for AutoencoderModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        let errors = self.errors(frame)?;
        let margins = errors.chunks_exact(self.n_raw().max(1)).map(|row| row.iter().sum()).collect();
        Ok(Scores { n_outputs: 1, margins })
    }

    /// Each column's own error minus its mean over the training rows; the base is the mean margin of those.
    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        let (mut values, n_raw) = (self.errors(frame)?, self.n_raw());
        for row in values.chunks_exact_mut(n_raw.max(1)) {
            row.iter_mut().zip(&self.mean_error).for_each(|(v, mean)| *v -= mean);
        }
        Ok(Attributions {
            n_outputs: 1,
            n_raw,
            base: vec![self.mean_error.iter().sum()],
            values,
            remainder: Vec::new(),
        })
    }

    fn save(&self) -> Parts {
        let mut parts = Parts { json: serde_json::json!(self.header), ..Parts::default() };
        self.header.input.save(&mut parts);
        self.network.params.save(&mut parts);
        parts.tensors.insert(MEAN_ERROR.into(), Tensor::vector(TensorData::F64(self.mean_error.clone())));
        parts.tensors.insert(MEAN_INPUT.into(), Tensor::vector(TensorData::F32(self.mean_input.clone())));
        parts
    }

    fn describe(&self) -> Vec<(String, String)> {
        let curve = &self.header.curve;
        vec![
            ("parameters".into(), self.network.params.n_trained().to_string()),
            ("epochs".into(), curve.epochs.len().to_string()),
            ("best epoch".into(), curve.best.to_string()),
            ("bottleneck".into(), self.n_codes().to_string()),
        ]
    }

    fn worth_keeping(&self) -> Option<Parts> {
        Some(self.save())
    }

    fn learning_curve(&self) -> Option<LearningCurve> {
        Some(self.header.curve.named(|_| SQUARED_ERROR))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mlp::tests::frame;
    use statera_core::{Column, FeatureSpec, FrameSpec, metric};

    /// Three numbers that follow one another and a level that follows them; a share of rows, whose target is 1, breaks the
    /// rule: each column is ordinary, the row is not.
    fn planted(n: usize, share: f64, seed: u64) -> Frame {
        let mut rng = Rng::new(seed);
        let feature =
            |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
        let mut features = vec![feature("a", 0), feature("b", 1), feature("c", 2), feature("d", 3)];
        features[3].levels = Some((0..3).map(|l| format!("level {l}")).collect());
        let raw_columns = features.iter().map(|f| f.name.clone()).collect();
        let (mut a, mut b, mut c, mut d, mut target) = (vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..n {
            let x = rng.normal();
            let is_planted = rng.uniform() < share;
            let (y, z) = (x + 0.1 * rng.normal(), 0.1 * rng.normal() - x);
            let level = if x < -0.5 {
                3
            } else if x < 0.5 {
                4
            } else {
                5
            };
            let far = if x < 0.0 { x + 2.0 } else { x - 2.0 };
            a.push(x);
            b.push(if is_planted { far } else { y });
            c.push(z);
            d.push(if is_planted { 3 + (level - 3 + 1) % 3 } else { level });
            target.push(f64::from(u8::from(is_planted)));
        }
        Frame {
            spec: FrameSpec { features, raw_columns, ..FrameSpec::default() }.into(),
            n_rows: n,
            columns: vec![Column::Number(a), Column::Number(b), Column::Number(c), Column::Codes(d)],
            target,
            ..Frame::default()
        }
    }

    fn quick() -> AutoencoderParams {
        AutoencoderParams::default().quick()
    }

    #[test]
    fn planted_anomalies_are_found_without_the_target() {
        let (train, valid, test) = (planted(3000, 0.02, 1), planted(500, 0.02, 2), planted(2000, 0.05, 3));
        let model = quick().fit_model(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let scores = model.predict(&test).expect("scores").margins;
        let area = metric::area(&scores, &test.target, &vec![1.0; 2000]);
        assert!(area > 0.9, "{area}");
        // The columns that break the rule add to the score of the rows that break it, and not to that of the others.
        let parts = model.attribute(&test, &Background::default()).expect("parts");
        for column in [1, 3] {
            let sum = |class: f64| {
                let rows = (0..2000).filter(|&i| test.target[i] == class);
                rows.map(|i| parts.of(i, 0)[column]).sum::<f64>()
            };
            assert!(sum(1.0) > 5.0 && sum(0.0) < sum(1.0) / 5.0, "column {column}: {}, others {}", sum(1.0), sum(0.0));
        }
        // Whatever the target says, the model is the same.
        let mut other = train.clone();
        other.target.fill(1.0);
        let again = quick().fit_model(&other, &valid, &Run::new(1, 2)).expect("it fits");
        assert_eq!(again.save(), model.save());
        let curve = model.learning_curve().expect("networks have one");
        assert_eq!(curve.figure.as_deref(), Some("mean squared error"));
        assert!(curve.best().and_then(|p| p.figure).is_some_and(|f| f > 0.0 && f < 0.6), "{curve:?}");
    }

    #[test]
    fn returns_from_its_parts_and_gives_the_same_bits_alone_and_in_a_batch() {
        let (train, valid) = (frame(Task::Binary, 5000, 1), frame(Task::Binary, 200, 2));
        let model = quick().fit_model(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let parts = model.save();
        let text = serde_json::to_string(&parts.json).expect("JSON");
        let again =
            AutoencoderModel::load(&Parts { json: serde_json::from_str(&text).expect("JSON"), ..parts.clone() })
                .expect("loads");
        assert_eq!(again.save(), parts);
        let (scores, codes) = (model.predict(&train).expect("scores"), model.encode(&train).expect("codes"));
        assert_eq!(again.predict(&train).expect("scores"), scores);
        let d = model.n_codes();
        assert_eq!((codes.len(), d), (5000 * 4, 4));
        for row in [0, 4097, 4999] {
            let alone = train.take(&[row]);
            assert_eq!(again.predict(&alone).expect("scores").row(0), scores.row(row));
            assert_eq!(again.encode(&alone).expect("codes"), codes[row * d..][..d]);
        }
        let mut damaged = parts.clone();
        damaged.tensors.insert(MEAN_ERROR.into(), Tensor::vector(TensorData::F64(vec![1.0])));
        let error = AutoencoderModel::load(&damaged).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("the mean errors do not fit the columns"));
    }

    #[test]
    fn codes_are_those_that_the_network_decodes() {
        let train = planted(600, 0.0, 1);
        let mut params = quick();
        params.shape.hidden = vec![];
        let model = params.fit_model(&train, &Frame::default(), &Run::new(1, 1)).expect("it fits");
        let (codes, d) = (model.encode(&train).expect("codes"), model.n_codes());
        let x = model.header.input.apply(&train, 0..600).expect("own columns");
        let n_in = model.header.input.n_columns();
        let values = |name: &str| {
            let slot = model.network.params.slot(name).expect("a parameter");
            (slot.shape.clone(), model.network.params.values[slot.range.clone()].to_vec())
        };
        let ((shape, weight), (_, bias)) = (values("output.weight"), values("output.bias"));
        assert_eq!(shape, [d, n_in]);
        // By hand: x̂ = −(codes W + b), and the margin is the sum of (x − x̂)².
        for row in [0, 1, 599] {
            let error = |j: usize| {
                let products = (0..d).map(|k| f64::from(codes[row * d + k]) * f64::from(weight[k * n_in + j]));
                f64::from(x[row * n_in + j]) + products.sum::<f64>() + f64::from(bias[j])
            };
            let expected: f64 = (0..n_in).map(|j| error(j).powi(2)).sum();
            let margin = model.predict(&train.take(&[row])).expect("scores").row(0)[0];
            assert!((margin - expected).abs() < 1e-4 * expected.max(1.0), "{margin}, expected {expected}");
        }
    }

    #[test]
    fn attributions_are_the_errors_of_columns_and_their_base_the_mean_margin() {
        let mut train = frame(Task::Binary, 500, 1);
        train.weight = Some((0..500).map(|i| f64::from(i % 3)).collect());
        let model = quick().fit_model(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
        let margins = model.predict(&train).expect("scores").margins;
        let parts = model.attribute(&train, &Background::default()).expect("parts");
        for (row, margin) in margins.iter().enumerate() {
            let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>();
            assert!((sum - margin).abs() < 1e-12 * margin.max(1.0), "{sum}, margin {margin}");
            assert_eq!(parts.of(row, 0)[3], 0.0, "a constant column has no error");
        }
        let mean = margins.iter().enumerate().map(|(i, m)| train.weight_of(i) * m).sum::<f64>()
            / (0..500).map(|i| train.weight_of(i)).sum::<f64>();
        assert!((mean - parts.base[0]).abs() < 1e-12 * mean, "{mean}, base {}", parts.base[0]);
    }

    #[test]
    fn refuses_what_cannot_be() {
        let train = frame(Task::Binary, 50, 1);
        let refusal = |train: &Frame, change: &dyn Fn(&mut Shape)| {
            let mut params = quick();
            change(&mut params.shape);
            let fitted = params.fit_model(train, &Frame::default(), &Run::new(1, 1));
            fitted.err().map(|e| e.to_string()).unwrap_or_default()
        };
        let mut infinite = train.clone();
        infinite.columns[1] = Column::Number(vec![f64::INFINITY; 50]);
        let mut missing = train.clone();
        missing.columns[0] = Column::Number(vec![f64::NAN; 50]);
        let cases = [
            (refusal(&train, &|s| s.hidden = vec![8, 0]), "a hidden layer of width 0; allowed: 1 to 65536"),
            (refusal(&train, &|s| s.bottleneck = 0), "a bottleneck of width 0; allowed: 1 to 65536"),
            (refusal(&train, &|s| s.noise = 1.0), "noise is 1; allowed: 0 to below 1"),
            (refusal(&infinite, &|_| ()), "training rows: row 0, column «b»: inf; allowed: finite numbers"),
            (refusal(&train.take(&[0]), &|_| ()), "1 training rows with a weight above 0; at least 2 are needed"),
            (refusal(&train.take(&[]), &|_| ()), "0 training rows with a weight above 0; at least 2 are needed"),
            // A column without a number is a column without an error.
            (refusal(&missing, &|_| ()), ""),
        ];
        for (message, expected) in cases {
            assert_eq!(message, expected);
        }
    }
}
