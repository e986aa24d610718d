//! Clusters of what an autoencoder squeezes rows into: they see how columns hang together, not each column by itself.
//!
//! The numbers of the code are standardised, because a bottleneck gives them no common unit. Attributions go through the
//! encoder by integrated gradients, so that they are of the raw columns, with a remainder of their own.

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use statera_core::{
    Attributions, Background, Error, FeatureSpec, Frame, FrameSpec, Model, Parts, Result, Run, Scores, Tensor,
    TensorData,
};
use statera_learn::cluster::{ClusterModel, Mixture};
use statera_nn::model::attribution::Head;
use statera_nn::model::{AutoencoderModel, AutoencoderParams};

/// One row in this many tells the autoencoder when to stop.
const STOPPING_EVERY: usize = 7;

/// Rows to standardised codes.
pub struct Encoder {
    model: AutoencoderModel,
    /// Mean of each number of the code over the training rows.
    mean: Vec<f64>,
    /// Its standard deviation; 1 where it does not vary.
    deviation: Vec<f64>,
}

impl Encoder {
    /// Fits on the rows of a frame of level codes and numbers.
    ///
    /// # Errors
    /// What the autoencoder refuses, an interruption.
    pub fn fit(frame: &Frame, quick: bool, run: &Run) -> Result<Encoder> {
        let (stopping, learnt): (Vec<usize>, Vec<usize>) =
            (0..frame.n_rows).partition(|i| i % STOPPING_EVERY == STOPPING_EVERY - 1);
        let params = AutoencoderParams::default();
        let params = if quick { params.quick() } else { params };
        let model = params.fit_model(&frame.take(&learnt), &frame.take(&stopping), run)?;
        let (codes, d) = (model.encode(frame)?, model.n_codes());
        let n = frame.n_rows.max(1) as f64;
        let column = |j: usize| codes.iter().skip(j).step_by(d).map(|&c| f64::from(c));
        let mean: Vec<f64> = (0..d).map(|j| column(j).sum::<f64>() / n).collect();
        let deviation = (0..d).map(|j| (column(j).map(|c| (c - mean[j]).powi(2)).sum::<f64>() / n).sqrt());
        let deviation = deviation.map(|s| if s > 0.0 { s } else { 1.0 }).collect();
        Ok(Encoder { model, mean, deviation })
    }

    /// Numbers of a code.
    pub fn n_codes(&self) -> usize {
        self.mean.len()
    }

    /// Codes of n rows, n × d. The same bits for a row alone or in any batch.
    ///
    /// # Errors
    /// A frame with other columns than those of the fit.
    pub fn apply(&self, frame: &Frame) -> Result<Vec<f32>> {
        Ok(self.standardised(&self.model.encode(frame)?))
    }

    fn standardised(&self, codes: &[f32]) -> Vec<f32> {
        let number = |(i, &c): (usize, &f32)| {
            let j = i % self.n_codes();
            ((f64::from(c) - self.mean[j]) / self.deviation[j]) as f32
        };
        codes.iter().enumerate().map(number).collect()
    }

    /// The codes as the columns of clusters.
    pub fn spec(&self) -> FrameSpec {
        let name = |j: usize| format!("code {}", j + 1);
        let feature = |j| FeatureSpec { name: name(j), raw: j, levels: None, sentinels: Vec::new(), monotone: 0 };
        FrameSpec {
            features: (0..self.n_codes()).map(feature).collect(),
            raw_columns: (0..self.n_codes()).map(name).collect(),
            ..FrameSpec::default()
        }
    }
}

/// Clusters of codes, over raw columns.
pub struct CodeClusterModel {
    encoder: Encoder,
    clusters: ClusterModel,
    /// The range of each margin over the training rows.
    ranges: Vec<f64>,
}

/// Names of what is the encoder's, and of what is the clusters'.
const ENCODER: &str = "encoder";
const CLUSTERS: &str = "clusters";
/// Names of arrays of its own.
const MEAN: &str = "code.mean";
const DEVIATION: &str = "code.deviation";
const RANGES: &str = "code.ranges";

impl CodeClusterModel {
    /// Name of k-means on codes in lists, on the command line and in bundles.
    pub const KMEANS: &'static str = "kmeans_code";
    /// Name of Gaussian mixtures on codes.
    pub const GMM: &'static str = "gmm_code";

    /// Of an encoder and the clusters of its codes of the training rows.
    pub fn new(encoder: Encoder, mixture: Mixture, codes: &[f32]) -> CodeClusterModel {
        let margins = mixture.margins(codes);
        let of = |j: usize| {
            let own = margins.iter().skip(j).step_by(mixture.k());
            let (low, high) = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(*m), h.max(*m)));
            high - low
        };
        let ranges = (0..mixture.k()).map(of).collect();
        let clusters = ClusterModel { spec: encoder.spec(), mixture };
        CodeClusterModel { encoder, clusters, ranges }
    }

    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// Parts of another kind, size or range.
    pub fn load(parts: &Parts) -> Result<CodeClusterModel> {
        let within = |place: &str| {
            let prefix = format!("{place}.");
            let own = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(&prefix)?.into(), tensor.clone()));
            let json = parts.json.get(place).cloned().unwrap_or(Value::Null);
            Parts { json, tensors: parts.tensors.iter().filter_map(own).collect(), files: Default::default() }
        };
        let family = parts.json.get("family").map(String::deserialize);
        if !matches!(family, Some(Ok(name)) if [Self::KMEANS, Self::GMM].contains(&name.as_str())) {
            return Err(Error::damaged("model.json: these are no clusters of codes"));
        }
        let numbers = |name: &str, least: f64| -> Result<Vec<f64>> {
            let values = parts.f64s(name)?.to_vec();
            match values.iter().find(|v| !v.is_finite() || **v < least) {
                Some(v) => {
                    Err(Error::damaged(format!("weights.safetensors: «{name}» holds {v}; allowed: from {least}")))
                }
                None => Ok(values),
            }
        };
        let encoder = Encoder {
            model: AutoencoderModel::load(&within(ENCODER))?,
            mean: numbers(MEAN, f64::MIN)?,
            deviation: numbers(DEVIATION, f64::MIN_POSITIVE)?,
        };
        let (clusters, ranges) = (ClusterModel::load(&within(CLUSTERS))?, numbers(RANGES, 0.0)?);
        let n_codes = encoder.model.n_codes();
        let sizes = [encoder.mean.len(), encoder.deviation.len(), clusters.spec.features.len()];
        if sizes.iter().any(|n| *n != n_codes) || ranges.len() != clusters.mixture.k() {
            return Err(Error::damaged(format!(
                "weights.safetensors: arrays that do not fit codes of {n_codes} numbers"
            )));
        }
        Ok(CodeClusterModel { encoder, clusters, ranges })
    }

    /// What rows are squeezed by.
    pub fn encoder(&self) -> &AutoencoderModel {
        &self.encoder.model
    }

    /// Name of the family.
    pub fn family(&self) -> &'static str {
        match self.clusters.mixture {
            Mixture::KMeans(_) => Self::KMEANS,
            Mixture::Gmm(_) => Self::GMM,
        }
    }
}

/// From codes to the margins of clusters.
struct CodeHead<'a>(&'a CodeClusterModel);

impl Head for CodeHead<'_> {
    fn n_outputs(&self) -> usize {
        self.0.clusters.mixture.k()
    }

    fn margins(&self, y: &[f32]) -> Vec<f64> {
        self.0.clusters.mixture.margins(&self.0.encoder.standardised(y))
    }

    fn gradient(&self, y: &[f32], output: usize, dy: &mut [f32]) {
        let encoder = &self.0.encoder;
        let slope = self.0.clusters.mixture.slope(&encoder.standardised(y), output);
        dy.iter_mut().zip(slope).zip(&encoder.deviation).for_each(|((d, s), deviation)| *d = (s / deviation) as f32);
    }

    fn scale(&self) -> f64 {
        // Squares of codes: a few standard deviations of each.
        self.0.encoder.n_codes() as f64 * 10.0
    }
}

/// Rows that one task scores.
const SCORING_ROWS: usize = 4096;

impl Model for CodeClusterModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        let codes = self.encoder.apply(frame)?;
        let blocks = codes.par_chunks(SCORING_ROWS * self.encoder.n_codes());
        let margins = blocks.map(|codes| self.clusters.mixture.margins(codes)).collect::<Vec<_>>().concat();
        Ok(Scores { n_outputs: self.clusters.mixture.k(), margins })
    }

    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        self.encoder.model.attribute_code(frame, &CodeHead(self), &self.ranges)
    }

    fn save(&self) -> Parts {
        let mut parts = Parts { json: json!({ "family": self.family() }), ..Parts::default() };
        for (place, own) in [(ENCODER, self.encoder.model.save()), (CLUSTERS, self.clusters.save())] {
            parts.json[place] = own.json;
            parts.tensors.extend(own.tensors.into_iter().map(|(name, tensor)| (format!("{place}.{name}"), tensor)));
        }
        for (name, values) in [(MEAN, &self.encoder.mean), (DEVIATION, &self.encoder.deviation), (RANGES, &self.ranges)]
        {
            parts.tensors.insert(name.into(), Tensor::vector(TensorData::F64(values.clone())));
        }
        parts
    }

    fn describe(&self) -> Vec<(String, String)> {
        let mut facts = self.clusters.describe();
        facts.push(("numbers of a code".into(), self.encoder.n_codes().to_string()));
        facts
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
