//! Fitted clusters as a model of k classes: scoring, attributions, and the saved form.

use super::{Covariance, Gmm, KMeans};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{
    Attributions, Background, Error, Frame, FrameSpec, Model, Parts, Result, Scores, Tensor, TensorData,
};

/// Rows that one task scores.
const SCORING_ROWS: usize = 4096;

/// What the clusters are.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixture {
    /// The nearest centre; margins are minus squared distances.
    KMeans(KMeans),
    /// The likeliest component; margins are logarithms of weight times density, so that their softmax is the probability.
    Gmm(Gmm),
}

impl Mixture {
    /// Clusters.
    pub fn k(&self) -> usize {
        match self {
            Mixture::KMeans(model) => model.k(),
            Mixture::Gmm(model) => model.k(),
        }
    }

    /// Row-major `n_rows × k`.
    pub fn margins(&self, data: &[f32]) -> Vec<f64> {
        match self {
            Mixture::KMeans(model) => model.margins(data),
            Mixture::Gmm(model) => model.margins(data),
        }
    }

    /// The derivative of a row's margin of cluster `j` with respect to each column.
    pub fn slope(&self, row: &[f32], j: usize) -> Vec<f64> {
        match self {
            Mixture::KMeans(model) => {
                let centre = &model.centres[j * model.n_cols..][..model.n_cols];
                row.iter().zip(centre).map(|(x, c)| -2.0 * (f64::from(*x) - c)).collect()
            }
            Mixture::Gmm(model) => model.slope(row, j),
        }
    }

    /// The cluster of each row.
    pub fn assign(&self, data: &[f32]) -> Vec<usize> {
        match self {
            Mixture::KMeans(model) => model.assign(data),
            Mixture::Gmm(model) => model.assign(data),
        }
    }

    /// Row-major `k × n_cols`: the middle of each cluster.
    pub fn centres(&self) -> &[f64] {
        match self {
            Mixture::KMeans(model) => &model.centres,
            Mixture::Gmm(model) => &model.means,
        }
    }

    /// The same with cluster `order[j]` at place j.
    #[must_use]
    pub fn reordered(self, order: &[usize]) -> Mixture {
        let take = |values: &[f64], size: usize| -> Vec<f64> {
            order.iter().flat_map(|&j| values[j * size..][..size].to_vec()).collect()
        };
        match self {
            Mixture::KMeans(m) => Mixture::KMeans(KMeans { centres: take(&m.centres, m.n_cols), ..m }),
            Mixture::Gmm(m) => {
                let size = m.precisions.len() / m.k();
                Mixture::Gmm(Gmm {
                    ln_weights: take(&m.ln_weights, 1),
                    means: take(&m.means, m.n_cols),
                    precisions: take(&m.precisions, size),
                    ..m
                })
            }
        }
    }
}

/// Fitted clusters of the rows of dense frames.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterModel {
    /// The columns.
    pub spec: FrameSpec,
    /// The clusters.
    pub mixture: Mixture,
}

/// What `model.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    family: String,
    k: usize,
    covariance: Option<Covariance>,
    iterations: usize,
    inertia: Option<f64>,
    curve: Vec<f64>,
    spec: FrameSpec,
}

impl ClusterModel {
    /// Name of the k-means family in lists, on the command line and in bundles.
    pub const KMEANS: &'static str = "kmeans";
    /// Name of the family of Gaussian mixtures.
    pub const GMM: &'static str = "gmm";

    /// Name of the family.
    pub fn family(&self) -> &'static str {
        match self.mixture {
            Mixture::KMeans(_) => ClusterModel::KMEANS,
            Mixture::Gmm(_) => ClusterModel::GMM,
        }
    }

    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// What is missing, of another size or not finite.
    pub fn load(parts: &Parts) -> Result<ClusterModel> {
        let header = Header::deserialize(&parts.json).map_err(|e| Error::damaged(format!("model.json: {e}")))?;
        let (k, d, n_raw) = (header.k, header.spec.features.len(), header.spec.raw_columns.len());
        if k == 0 || d == 0 {
            return Err(Error::damaged(format!(
                "model.json: {k} clusters of {d} columns; at least one of each is needed"
            )));
        }
        if let Some(f) = header.spec.features.iter().find(|f| f.raw >= n_raw) {
            let message = format!("model.json: feature «{}» is of raw column {}; there are {n_raw}", f.name, f.raw);
            return Err(Error::damaged(message));
        }
        let array = |name: &str, length: Option<usize>| -> Result<Vec<f64>> {
            let values = parts.f64s(name)?;
            if Some(values.len()) != length || values.iter().any(|v| !v.is_finite()) {
                return Err(Error::damaged(format!(
                    "weights.safetensors: «{name}» is not {length:?} finite numbers; {k} clusters of {d} columns need them"
                )));
            }
            Ok(values.to_vec())
        };
        let centres = array("centres", k.checked_mul(d))?;
        let mixture = match (header.family.as_str(), header.covariance) {
            (ClusterModel::KMEANS, None) => Mixture::KMeans(KMeans {
                n_cols: d,
                centres,
                inertia: header.inertia.unwrap_or(0.0),
                iterations: header.iterations,
            }),
            (ClusterModel::GMM, Some(covariance)) => {
                let size = if covariance == Covariance::Full { d.checked_mul(d) } else { Some(d) };
                let precisions = array("precisions", size.and_then(|s| s.checked_mul(k)))?;
                let step = if covariance == Covariance::Full { d + 1 } else { 1 };
                let mut diagonals =
                    precisions.chunks_exact(size.unwrap_or(d)).flat_map(|p| p.iter().step_by(step).copied());
                if let Some(v) = diagonals.find(|v| *v <= 0.0) {
                    return Err(Error::damaged(format!("weights.safetensors: a precision is {v}; allowed: above 0")));
                }
                let ln_weights = array("ln_weights", Some(k))?;
                Mixture::Gmm(Gmm { n_cols: d, covariance, ln_weights, means: centres, precisions, curve: header.curve })
            }
            (family, _) => {
                return Err(Error::damaged(format!("model.json: «{family}» with such covariances is no clustering")));
            }
        };
        Ok(ClusterModel { spec: header.spec, mixture })
    }

    fn check(&self, frame: &Frame) -> Result<()> {
        let (own, other) = (&self.spec.features, &frame.spec.features);
        if own.len() != other.len() || own.iter().zip(other).any(|(a, b)| a.name != b.name) {
            let names =
                |f: &[statera_core::FeatureSpec]| f.iter().map(|f| f.name.clone()).collect::<Vec<_>>().join(", ");
            return Err(Error::request(format!(
                "the clusters have the columns {}, the data {}",
                names(own),
                names(other)
            )));
        }
        if frame.dense.n_cols != own.len() || frame.dense.data.len() != frame.n_rows * own.len() {
            let cells = frame.dense.data.len();
            return Err(Error::request(format!(
                "a dense frame of {} × {} cells is needed, not of {cells}",
                frame.n_rows,
                own.len()
            )));
        }
        Ok(())
    }
}

impl Model for ClusterModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        self.check(frame)?;
        let blocks = frame.dense.data.par_chunks(SCORING_ROWS * self.spec.features.len());
        let margins = blocks.map(|cells| self.mixture.margins(cells)).collect::<Vec<_>>().concat();
        Ok(Scores { n_outputs: self.mixture.k(), margins })
    }

    /// What each raw column takes from the margin that the middle of a cluster has. Needs no background.
    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        self.check(frame)?;
        let (k, d, n_raw) = (self.mixture.k(), self.spec.features.len(), self.spec.raw_columns.len());
        let base = match &self.mixture {
            Mixture::KMeans(_) => vec![0.0; k],
            Mixture::Gmm(model) => (0..k).map(|j| model.peak(j)).collect(),
        };
        let of = |row: &[f32], j: usize| -> Vec<f64> {
            match &self.mixture {
                Mixture::KMeans(model) => {
                    let centre = &model.centres[j * d..][..d];
                    row.iter().zip(centre).map(|(x, c)| -(f64::from(*x) - c).powi(2)).collect()
                }
                Mixture::Gmm(model) => model.contributions(row, j),
            }
        };
        let mut values = vec![0.0; frame.n_rows * k * n_raw];
        values.par_chunks_mut((k * n_raw).max(1)).enumerate().for_each(|(i, values)| {
            for (j, values) in values.chunks_exact_mut(n_raw).enumerate() {
                for (c, part) in of(frame.dense.row(i), j).into_iter().enumerate() {
                    values[self.spec.features[c].raw] += part;
                }
            }
        });
        Ok(Attributions { n_outputs: k, n_raw, base, values, remainder: Vec::new() })
    }

    fn save(&self) -> Parts {
        let (k, d) = (self.mixture.k(), self.spec.features.len());
        let (mut header, mut tensors) = (
            Header {
                family: self.family().into(),
                k,
                covariance: None,
                iterations: 0,
                inertia: None,
                curve: Vec::new(),
                spec: self.spec.clone(),
            },
            vec![(
                "centres".to_string(),
                Tensor { shape: vec![k, d], data: TensorData::F64(self.mixture.centres().to_vec()) },
            )],
        );
        match &self.mixture {
            Mixture::KMeans(model) => {
                (header.iterations, header.inertia) = (model.iterations, Some(model.inertia));
            }
            Mixture::Gmm(model) => {
                (header.iterations, header.covariance) = (model.curve.len(), Some(model.covariance));
                header.curve.clone_from(&model.curve);
                let vector = |v: &[f64]| Tensor::vector(TensorData::F64(v.to_vec()));
                tensors.push(("precisions".into(), vector(&model.precisions)));
                tensors.push(("ln_weights".into(), vector(&model.ln_weights)));
            }
        }
        let json = serde_json::to_value(&header).expect("a header of texts and numbers is JSON");
        Parts { json, tensors: tensors.into_iter().collect(), files: Default::default() }
    }

    fn describe(&self) -> Vec<(String, String)> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = vec![fact("clusters", self.mixture.k().to_string())];
        match &self.mixture {
            Mixture::KMeans(model) => {
                facts.push(fact("inertia", format!("{:.4e}", model.inertia)));
                facts.push(fact("passes", model.iterations.to_string()));
            }
            Mixture::Gmm(model) => {
                facts.push(fact("covariance", format!("{:?}", model.covariance).to_lowercase()));
                facts.push(fact("steps", model.curve.len().to_string()));
                if let Some(last) = model.curve.last() {
                    facts.push(fact("mean log-likelihood", format!("{last:.4}")));
                }
            }
        }
        facts
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
