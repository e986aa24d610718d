//! Gaussian mixtures, fitted by expectation and maximisation (Dempster, Laird & Rubin 1977) from the clusters of k-means.

use super::{KMeansParams, Points, greatest};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result, Run};
use statera_kernel::{dot, math};

/// Shape of each component's covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Covariance {
    /// Columns vary together: d(d + 1)/2 numbers a component.
    Full,
    /// Columns vary by themselves within a component.
    Diagonal,
}

/// Settings of a Gaussian mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct GmmParams {
    /// Components, at least 1. Default: 5.
    pub k: usize,
    /// Shape of the covariances. Default: diagonal.
    pub covariance: Covariance,
    /// Added to every variance, above 0, in squared units of the columns: a component cannot shrink onto single rows or onto
    /// a column that is constant in it. Default: 0.01, since columns have a variance of about 1; scikit-learn's 1e-6 lets
    /// levels of categories that do not occur in a component decide everything.
    pub ridge: f64,
    /// Most steps, at least 1. Default: 200.
    pub max_iterations: usize,
    /// The fit ends when the mean log-likelihood of a row rises by less. Default: 1e-5.
    pub tolerance: f64,
    /// Starts of the k-means that it begins with. Default: 10.
    pub starts: usize,
}

impl Default for GmmParams {
    fn default() -> Self {
        GmmParams {
            k: 5,
            covariance: Covariance::Diagonal,
            ridge: 0.01,
            max_iterations: 200,
            tolerance: 1e-5,
            starts: 10,
        }
    }
}

/// A fitted mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Gmm {
    /// Columns.
    pub n_cols: usize,
    /// Shape of the covariances.
    pub covariance: Covariance,
    /// Logarithm of each component's share, `k`.
    pub ln_weights: Vec<f64>,
    /// Row-major `k × n_cols`.
    pub means: Vec<f64>,
    /// P of Σ⁻¹ = P Pᵀ: `k × d × d`, upper triangular, or `k × d` of a diagonal one.
    pub precisions: Vec<f64>,
    /// Mean log-likelihood of a row before each step and at the end.
    pub curve: Vec<f64>,
}

impl GmmParams {
    /// Fits the mixture.
    ///
    /// # Errors
    /// Settings outside their ranges, fewer distinct rows than components, cells that are not finite, an interruption.
    pub fn fit(&self, points: &Points<'_>, run: &Run) -> Result<Gmm> {
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::request(format!("ridge is {}; allowed: above 0", self.ridge)));
        }
        if self.max_iterations == 0 {
            return Err(Error::request("max_iterations is 0; allowed: 1 and above"));
        }
        let start = KMeansParams { k: self.k, starts: self.starts, ..KMeansParams::default() };
        let clusters = start.fit(points, run)?;
        let nearest = |cells: &[f32]| {
            let mut shares = vec![0.0; cells.len() / points.n_cols * self.k];
            let places = clusters.assign(cells);
            shares.chunks_exact_mut(self.k).zip(places).for_each(|(row, j)| row[j] = 1.0);
            shares
        };
        let mut model = self.maximise(points, &nearest, run)?;
        loop {
            let value = model.mean_log_likelihood(points, run)?;
            let rise = value - model.curve.last().copied().unwrap_or(f64::NEG_INFINITY);
            model.curve.push(value);
            if rise < self.tolerance || model.curve.len() > self.max_iterations {
                return Ok(model);
            }
            let curve = std::mem::take(&mut model.curve);
            model = self.maximise(points, &|cells| model.responsibilities(cells), run)?;
            model.curve = curve;
        }
    }

    /// The mixture of greatest likelihood for given shares of rows in components. Two passes: means, then deviations from
    /// them, so that nothing is lost where means are far from 0.
    fn maximise(&self, points: &Points<'_>, shares: &(dyn Fn(&[f32]) -> Vec<f64> + Sync), run: &Run) -> Result<Gmm> {
        let (d, k) = (points.n_cols, self.k);
        let size = if self.covariance == Covariance::Full { d * d } else { d };
        let first = points.blocks(run, |first, cells| {
            let shares = shares(cells);
            let mut sums = vec![0.0; k * (d + 1)];
            for (i, (row, shares)) in cells.chunks_exact(d).zip(shares.chunks_exact(k)).enumerate() {
                for (j, share) in shares.iter().enumerate() {
                    let w = share * points.weight_of(first + i);
                    let sums = &mut sums[j * (d + 1)..][..d + 1];
                    sums[d] += w;
                    sums.iter_mut().zip(row).for_each(|(s, x)| *s += w * f64::from(*x));
                }
            }
            (sums, shares)
        })?;
        let mut sums = vec![0.0; k * (d + 1)];
        first.iter().for_each(|(part, _)| sums.iter_mut().zip(part).for_each(|(a, b)| *a += b));
        // A component that no row belongs to keeps a trace of weight, so that nothing divides by 0.
        let mass: Vec<f64> = (0..k).map(|j| sums[j * (d + 1) + d] + 10.0 * f64::EPSILON).collect();
        let means: Vec<f64> = (0..k * d).map(|i| sums[i / d * (d + 1) + i % d] / mass[i / d]).collect();
        let spreads = points.blocks(run, |start, cells| {
            let shares = &first[start / super::BLOCK_ROWS].1;
            let mut sums = vec![0.0; k * size];
            let mut deviation = vec![0.0; d];
            for (i, (row, shares)) in cells.chunks_exact(d).zip(shares.chunks_exact(k)).enumerate() {
                for (j, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                    let w = share * points.weight_of(start + i);
                    let centred = row.iter().zip(&means[j * d..]).map(|(x, m)| f64::from(*x) - m);
                    deviation.iter_mut().zip(centred).for_each(|(to, v)| *to = v);
                    add_square(self.covariance, w, &deviation, &mut sums[j * size..][..size]);
                }
            }
            sums
        })?;
        let mut covariances = vec![0.0; k * size];
        spreads.iter().for_each(|part| covariances.iter_mut().zip(part).for_each(|(a, b)| *a += b));
        let total: f64 = mass.iter().sum();
        let mut precisions = vec![0.0; k * size];
        for j in 0..k {
            let covariance = &mut covariances[j * size..][..size];
            covariance.iter_mut().for_each(|v| *v /= mass[j]);
            let step = if self.covariance == Covariance::Full { d + 1 } else { 1 };
            covariance.iter_mut().step_by(step).for_each(|v| *v += self.ridge);
            precision(self.covariance, covariance, d, &mut precisions[j * size..][..size])
                .map_err(|e| e.at(format!("mixture, component {}", j + 1)))?;
        }
        let ln_weights = mass.iter().map(|m| math::ln(m / total)).collect();
        Ok(Gmm { n_cols: d, covariance: self.covariance, ln_weights, means, precisions, curve: Vec::new() })
    }
}

/// Adds w · x xᵀ (its lower triangle), or w · x² to a diagonal.
fn add_square(shape: Covariance, w: f64, x: &[f64], sum: &mut [f64]) {
    match shape {
        Covariance::Diagonal => sum.iter_mut().zip(x).for_each(|(s, x)| *s += w * x * x),
        Covariance::Full => {
            for (a, row) in sum.chunks_exact_mut(x.len()).enumerate() {
                row[..=a].iter_mut().zip(x).for_each(|(s, b)| *s += w * x[a] * b);
            }
        }
    }
}

/// P of Σ⁻¹ = P Pᵀ from the lower triangle of Σ: the transposed inverse of its Cholesky factor.
fn precision(shape: Covariance, covariance: &mut [f64], d: usize, out: &mut [f64]) -> Result<()> {
    if shape == Covariance::Diagonal {
        out.iter_mut().zip(covariance).for_each(|(p, v)| *p = 1.0 / v.sqrt());
        return Ok(());
    }
    for a in 0..d {
        for b in 0..=a {
            let sum: f64 = (0..b).map(|c| covariance[a * d + c] * covariance[b * d + c]).sum();
            let rest = covariance[a * d + b] - sum;
            if a == b && !(rest > 0.0 && rest.is_finite()) {
                return Err(Error::data(format!(
                    "column {a} is a sum of others; raise the ridge or leave columns out"
                )));
            }
            covariance[a * d + b] = if a == b { rest.sqrt() } else { rest / covariance[b * d + b] };
        }
    }
    // Column b of L⁻¹ by forward substitution; P = L⁻ᵀ holds it as its row b.
    for b in 0..d {
        for a in b..d {
            let sum: f64 = (b..a).map(|c| covariance[a * d + c] * out[b * d + c]).sum();
            out[b * d + a] = (f64::from(u8::from(a == b)) - sum) / covariance[a * d + a];
        }
    }
    Ok(())
}

impl Gmm {
    /// Components.
    pub fn k(&self) -> usize {
        self.ln_weights.len()
    }

    /// The deviation of a row from a component's mean, in the component's standard deviations along its own axes: y = (x -
    /// μ) P, row-major `n_rows × n_cols`.
    fn standardised(&self, data: &[f32], j: usize) -> Vec<f64> {
        let d = self.n_cols;
        let mean = &self.means[j * d..][..d];
        if self.covariance == Covariance::Diagonal {
            let p = &self.precisions[j * d..][..d];
            let row = |row: &[f32]| (0..d).map(|c| (f64::from(row[c]) - mean[c]) * p[c]).collect::<Vec<f64>>();
            return data.chunks_exact(d).flat_map(row).collect();
        }
        let p = &self.precisions[j * d * d..][..d * d];
        let weights: Vec<f64> = (0..d * d).map(|i| p[i % d * d + i / d]).collect();
        let bias: Vec<f64> =
            weights.chunks_exact(d).map(|w| -w.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>()).collect();
        let mut out = vec![0.0; data.len()];
        dot::affine(data, d, &weights, &bias, &mut out);
        out
    }

    /// What the logarithm of weight times density is at a component's mean.
    pub fn peak(&self, j: usize) -> f64 {
        let (d, full) = (self.n_cols, self.covariance == Covariance::Full);
        let p = if full { &self.precisions[j * d * d..][..d * d] } else { &self.precisions[j * d..][..d] };
        let ln_det: f64 = p.iter().step_by(if full { d + 1 } else { 1 }).map(|v| math::ln(*v)).sum();
        self.ln_weights[j] + ln_det - 0.5 * d as f64 * math::ln(std::f64::consts::TAU)
    }

    /// Logarithm of weight times density of each component, row-major `n_rows × k`. The bits of a row do not depend on the
    /// rows around it or on the CPU.
    pub fn margins(&self, data: &[f32]) -> Vec<f64> {
        let (d, k) = (self.n_cols, self.k());
        let mut out = vec![0.0; data.len() / d * k];
        for j in 0..k {
            let peak = self.peak(j);
            for (out, y) in out.chunks_exact_mut(k).zip(self.standardised(data, j).chunks_exact(d)) {
                out[j] = peak - 0.5 * y.iter().map(|v| v * v).sum::<f64>();
            }
        }
        out
    }

    /// What each column adds to a row's margin of component `j` below its peak: -½ (x - μ)_c (Σ⁻¹ (x - μ))_c.
    pub fn contributions(&self, row: &[f32], j: usize) -> Vec<f64> {
        let means = &self.means[j * self.n_cols..][..self.n_cols];
        let slope = self.slope(row, j);
        row.iter().zip(means).zip(slope).map(|((x, mean), s)| 0.5 * (f64::from(*x) - mean) * s).collect()
    }

    /// The derivative of a row's margin of component `j` with respect to each column: -Σ⁻¹ (x - μ).
    pub fn slope(&self, row: &[f32], j: usize) -> Vec<f64> {
        let d = self.n_cols;
        let y = self.standardised(row, j);
        let bent = |c: usize| match self.covariance {
            Covariance::Diagonal => self.precisions[j * d + c] * y[c],
            Covariance::Full => {
                self.precisions[j * d * d + c * d..][..d].iter().zip(&y).map(|(p, y)| p * y).sum::<f64>()
            }
        };
        (0..d).map(|c| -bent(c)).collect()
    }

    /// The likeliest component of each row.
    pub fn assign(&self, data: &[f32]) -> Vec<usize> {
        self.margins(data).chunks_exact(self.k()).map(greatest).collect()
    }

    /// Probabilities of the components, row-major.
    fn responsibilities(&self, cells: &[f32]) -> Vec<f64> {
        let mut shares = self.margins(cells);
        for row in shares.chunks_exact_mut(self.k()) {
            let ln = log_sum_exp(row);
            row.iter_mut().for_each(|m| *m = math::exp(*m - ln));
        }
        shares
    }

    /// The weighted mean log-likelihood of a row.
    ///
    /// # Errors
    /// An interruption.
    pub fn mean_log_likelihood(&self, points: &Points<'_>, run: &Run) -> Result<f64> {
        let block = |first: usize, cells: &[f32]| {
            let margins = self.margins(cells);
            let rows = margins.chunks_exact(self.k()).enumerate();
            rows.map(|(i, row)| points.weight_of(first + i) * log_sum_exp(row)).sum::<f64>()
        };
        let sum: f64 = points.blocks(run, block)?.iter().sum();
        Ok(sum / (0..points.n_rows()).map(|i| points.weight_of(i)).sum::<f64>())
    }

    /// Numbers that were fitted.
    pub fn n_parameters(&self) -> usize {
        let d = self.n_cols;
        let spread = if self.covariance == Covariance::Full { d * (d + 1) / 2 } else { d };
        self.k() * (d + spread) + self.k() - 1
    }

    /// The Bayesian information criterion on those rows, smaller is better (Schwarz 1978).
    ///
    /// # Errors
    /// An interruption.
    pub fn bic(&self, points: &Points<'_>, run: &Run) -> Result<f64> {
        let n = points.n_rows() as f64;
        Ok(-2.0 * n * self.mean_log_likelihood(points, run)? + self.n_parameters() as f64 * n.ln())
    }
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + math::ln(row.iter().map(|m| math::exp(m - most)).sum())
}
