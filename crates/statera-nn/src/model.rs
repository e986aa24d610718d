//! Model families: inputs, a network, and what turns its outputs into margins.

use crate::input::{Input, Reading, Scaling};
use crate::layer::Layer;
use crate::network::Network;
use crate::params::Params;
use crate::train::{self, Curve};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{
    Attributions, Background, Error, Frame, LearningCurve, Model, Parts, Result, Rng, Scores, Task, Tensor, TensorData,
};
use std::ops::Range;

pub mod attribution;
pub mod autoencoder;
mod average;
mod fit;
pub mod graphsage;
mod members;
pub mod mlp;
pub mod reader;
pub mod realmlp;
pub mod sequence;
pub mod tabm;
pub mod transformer;

#[cfg(test)]
mod torch_tests;

use attribution::Head;
pub use autoencoder::{AutoencoderModel, AutoencoderParams};
use average::Average;
pub use fit::{Recipe, fit};
pub use graphsage::GraphSageParams;
pub use mlp::MlpParams;
use reader::ReaderShape;
pub use realmlp::RealMlpParams;
pub use sequence::SequenceParams;
pub use tabm::TabmParams;
pub use transformer::TransformerParams;

/// Rows that one task prepares and scores.
const SCORING_ROWS: usize = 4096;

/// The shape of a network, from which it is built again when a model is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Architecture {
    /// Dense layers.
    Mlp(mlp::Shape),
    /// Members that share their weight matrices.
    Tabm(tabm::Shape),
    /// RealMLP.
    RealMlp(realmlp::Shape),
    /// A layer that reads sequences, beside the other columns.
    Sequence(sequence::Shape),
    /// Attention between the features.
    Transformer(transformer::Shape),
    /// Layers that read the neighbourhoods of nodes, beside the other columns.
    #[serde(rename = "graphsage")]
    GraphSage(graphsage::Shape),
}

/// In what form a network reads the categories that it embeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Categories {
    /// A code each.
    Codes,
    /// The share of each level, which has a derivative.
    Shares,
}

impl Architecture {
    /// Refuses shapes outside the allowed ranges.
    fn check(&self) -> Result<()> {
        match self {
            Architecture::Mlp(shape) => shape.check(),
            Architecture::Tabm(shape) => shape.check(),
            Architecture::RealMlp(shape) => shape.check(),
            Architecture::Sequence(shape) => shape.sizes().check(),
            Architecture::Transformer(shape) => shape.check(),
            Architecture::GraphSage(shape) => shape.check(),
        }
    }

    /// Builds the network with random weights. `edges` are the bins of numbers, where the architecture has bins; on
    /// `sample`, training rows, the start is scaled where the architecture wants that.
    fn build(
        &self,
        input: &Input,
        n_outputs: usize,
        edges: &[Vec<f32>],
        categories: Categories,
        sample: Option<&[f32]>,
        rng: &mut Rng,
    ) -> Result<Network> {
        Ok(match self {
            Architecture::Mlp(shape) => shape.build(input, n_outputs, rng),
            Architecture::Tabm(shape) => shape.build(input, n_outputs, edges, rng),
            Architecture::RealMlp(shape) => shape.build(input, n_outputs, categories, sample, rng)?,
            Architecture::Sequence(shape) => shape.build(input, n_outputs, rng)?,
            Architecture::Transformer(shape) => shape.build(input, n_outputs, rng)?,
            Architecture::GraphSage(shape) => shape.build(input, n_outputs, rng)?,
        })
    }

    /// Fits the preparation of inputs that it reads.
    fn fit_input(&self, frame: &Frame, scaling: Scaling, embed_above: usize) -> Result<Input> {
        match self {
            Architecture::Sequence(_) => Input::fit_sequences(frame, Reading::Steps, scaling, embed_above),
            Architecture::GraphSage(_) => Input::fit_sequences(frame, Reading::Neighbourhoods, scaling, embed_above),
            _ => Input::fit(frame, scaling, embed_above),
        }
    }

    /// Bins per number that it wants, if any.
    fn n_bins(&self) -> Option<usize> {
        match self {
            Architecture::Tabm(shape) => shape.bins,
            _ => None,
        }
    }
}

/// What `model.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    task: Task,
    architecture: Architecture,
    input: Input,
    /// The range of each margin over training rows; models of before have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    margin_ranges: Vec<f64>,
    /// A regression's margin is this …
    target_mean: f64,
    /// … plus this times the output.
    target_scale: f64,
    /// Bin edges of each number, where the architecture has bins.
    n_edges: Vec<usize>,
    curve: Curve,
}

/// A fitted network.
pub struct NetworkModel {
    header: Header,
    network: Network,
    edges: Vec<Vec<f32>>,
    /// Mean of each input column over the training rows, its codes spread: where attributions are zero.
    baseline: Vec<f32>,
    /// The network over spread rows, where it embeds categories: attributions go through it.
    spread: Option<Box<dyn Layer>>,
}

impl NetworkModel {
    fn new(header: Header, network: Network, edges: Vec<Vec<f32>>, baseline: Vec<f32>) -> Result<NetworkModel> {
        let embeds = !header.input.code_sizes().is_empty();
        let (n_outputs, mut rng) = (header.task.n_outputs(), Rng::new(0));
        let build = || {
            let shares = Categories::Shares;
            header.architecture.build(&header.input, n_outputs, &edges, shares, None, &mut rng)
        };
        let spread = embeds.then(build).transpose()?.map(|n| n.layer);
        Ok(NetworkModel { header, network, edges, baseline, spread })
    }

    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// Parts of another kind, size or range.
    pub fn load(parts: &Parts) -> Result<NetworkModel> {
        let mut header: Header =
            Header::deserialize(&parts.json).map_err(|e| Error::damaged(format!("model.json: {e}")))?;
        header.architecture.check().map_err(|e| Error::damaged(format!("model.json: {e}")))?;
        header.input = header.input.load(parts)?;
        let edges = load_edges(parts, &header)?;
        let n_outputs = header.task.n_outputs();
        let mut network =
            header.architecture.build(&header.input, n_outputs, &edges, Categories::Codes, None, &mut Rng::new(0))?;
        network.params.load(parts)?;
        let mut baseline = parts.f32s(BASELINE)?.to_vec();
        let (n_columns, n_spread) = (header.input.n_columns(), header.input.n_spread_columns());
        if header.margin_ranges.is_empty() && baseline.len() == n_columns {
            // A model of before the codes were spread: no category at all is where it starts.
            baseline.truncate(n_columns - header.input.code_sizes().len());
            baseline.resize(n_spread, 0.0);
        }
        let ranges_fit = [0, n_outputs].contains(&header.margin_ranges.len())
            && header.margin_ranges.iter().all(|r| r.is_finite() && *r >= 0.0);
        let scale_fits = header.target_scale > 0.0 && (header.target_mean + header.target_scale).is_finite();
        if baseline.len() != n_spread || !baseline.iter().all(|b| b.is_finite()) || !scale_fits || !ranges_fit {
            return Err(Error::damaged(
                "the baseline, the margins' ranges or the target's scale do not fit the network",
            ));
        }
        NetworkModel::new(header, network, edges, baseline)
    }

    /// What is predicted.
    pub fn task(&self) -> Task {
        self.header.task
    }

    /// The learning curve.
    pub fn curve(&self) -> &Curve {
        &self.header.curve
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.network.params
    }

    fn average(&self) -> Average {
        Average {
            task: self.header.task,
            n_members: self.network.n_members,
            mean: self.header.target_mean,
            scale: self.header.target_scale,
        }
    }
}

impl NetworkModel {
    /// What lines of attributions go through; `raw` is the raw column of each of its inputs.
    fn path<'a>(&'a self, raw: &'a [usize], average: &'a Average) -> attribution::Path<'a> {
        attribution::Path {
            layer: self.spread.as_deref().unwrap_or(&*self.network.layer),
            params: &self.network.params.values,
            head: average,
            baseline: &self.baseline,
            raw,
            n_raw: self.header.input.spec().raw_columns.len(),
            ranges: &self.header.margin_ranges,
        }
    }
}

/// The bin edges of a saved model.
fn load_edges(parts: &Parts, header: &Header) -> Result<Vec<Vec<f32>>> {
    let n_numbers = if header.architecture.n_bins().is_some() { header.input.n_numbers() } else { 0 };
    if header.n_edges.len() != n_numbers {
        return Err(Error::damaged(format!("model.json: bins of {} numbers, not {n_numbers}", header.n_edges.len())));
    }
    let mut rest = if n_numbers > 0 { parts.f32s(EDGES)? } else { &[] };
    let mut edges = Vec::with_capacity(n_numbers);
    for &n in &header.n_edges {
        let own = rest
            .get(..n)
            .filter(|own| n >= 2 && own.windows(2).all(|w| w[0] < w[1]) && own.iter().all(|e| e.is_finite()));
        let own = own.ok_or_else(|| Error::damaged("weights.safetensors: bin edges do not rise, or are too few"))?;
        edges.push(own.to_vec());
        rest = &rest[n..];
    }
    Ok(edges)
}

/// What `block` gives for ranges of rows, in their order: blocks that tasks share.
fn in_blocks<T: Clone + Send>(n_rows: usize, block: impl Fn(Range<usize>) -> Result<Vec<T>> + Sync) -> Result<Vec<T>> {
    if n_rows <= SCORING_ROWS {
        return block(0..n_rows);
    }
    let starts = (0..n_rows).into_par_iter().step_by(SCORING_ROWS);
    let blocks = starts.map(|start| block(start..n_rows.min(start + SCORING_ROWS)));
    Ok(blocks.collect::<Result<Vec<_>>>()?.concat())
}

/// Names of arrays that are not parameters.
const BASELINE: &str = "input.baseline";
const EDGES: &str = "input.edges";

impl Model for NetworkModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        let (average, n_outputs) = (self.average(), self.header.task.n_outputs());
        let margins = in_blocks(frame.n_rows, |rows| {
            let x = self.header.input.apply(frame, rows)?;
            Ok(average.margins(&self.network.score(&x)))
        })?;
        Ok(Scores { n_outputs, margins })
    }

    /// Integrated gradients from the mean training row; what the integral misses is the remainder, below a thousandth of
    /// the margin's range over the training rows.
    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        let input = &self.header.input;
        let mut x = input.apply(frame, 0..frame.n_rows)?;
        if self.spread.is_some() {
            x = x.chunks_exact(input.n_columns()).flat_map(|row| input.spread(row)).collect();
        }
        self.path(&input.spread_raw_columns(), &self.average()).attributions(&x)
    }

    fn attribution_work(&self) -> f64 {
        // A forward pass and two backward ones for each gradient, of which an output's line has about a hundred.
        let gradients = 100.0 * self.header.task.n_outputs() as f64;
        // Layers over steps, points of an image and tokens use their parameters once for each.
        let input = &self.header.input;
        let uses = match self.header.architecture {
            Architecture::Sequence(_) | Architecture::GraphSage(_) => {
                input.sequences().iter().map(|s| s.n_steps).max().unwrap_or(1)
            }
            Architecture::Transformer(_) => input.n_columns(),
            _ => 1,
        };
        3.0 * gradients * (self.network.n_members * self.network.params.n_trained() * uses) as f64
    }

    fn save(&self) -> Parts {
        let mut parts = Parts { json: serde_json::json!(self.header), ..Parts::default() };
        self.header.input.save(&mut parts);
        let floats = |values: Vec<f32>| Tensor::vector(TensorData::F32(values));
        parts.tensors.insert(BASELINE.into(), floats(self.baseline.clone()));
        if !self.edges.is_empty() {
            parts.tensors.insert(EDGES.into(), floats(self.edges.concat()));
        }
        self.network.params.save(&mut parts);
        parts
    }

    fn describe(&self) -> Vec<(String, String)> {
        let curve = &self.header.curve;
        vec![
            ("parameters".into(), self.network.params.n_trained().to_string()),
            ("epochs".into(), curve.epochs.len().to_string()),
            ("best epoch".into(), curve.best.to_string()),
        ]
    }

    fn worth_keeping(&self) -> Option<Parts> {
        Some(self.save())
    }

    fn learning_curve(&self) -> Option<LearningCurve> {
        Some(self.header.curve.named(|figures| figure_name(self.header.task, figures)))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The name of the validation figure that stopping goes by (see `fit`), whose values are `figures`.
fn figure_name(task: Task, figures: &[f64]) -> &'static str {
    match task {
        // An area is never negative: of one class alone there is none, and minus the log loss takes its place.
        Task::Binary if figures.iter().all(|f| *f >= 0.0) => train::AUC,
        Task::Binary | Task::Classes(_) => train::LOG_LOSS,
        Task::Regression => train::SQUARED_ERROR,
    }
}
