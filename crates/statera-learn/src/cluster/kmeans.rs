//! k-means: Lloyd's algorithm from several k-means++ starts (Arthur & Vassilvitskii 2007).

use super::{Points, greatest};
use statera_core::{Error, Result, Rng, Run};
use statera_kernel::dot;

/// Settings of k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansParams {
    /// Clusters, at least 1. Default: 5.
    pub k: usize,
    /// Starts, at least 1, of which the one with the least inertia is kept. Default: 10.
    pub starts: usize,
    /// Most passes over the rows of a start, at least 1. Default: 300.
    pub max_iterations: usize,
    /// A start ends when the centres moved less than this in all, as a share of the columns' mean variance. Default: 1e-4, as
    /// in scikit-learn.
    pub tolerance: f64,
}

impl Default for KMeansParams {
    fn default() -> Self {
        KMeansParams { k: 5, starts: 10, max_iterations: 300, tolerance: 1e-4 }
    }
}

/// Fitted centres.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// Columns.
    pub n_cols: usize,
    /// Row-major `k × n_cols`.
    pub centres: Vec<f64>,
    /// Weighted sum of squared distances to the nearest centre.
    pub inertia: f64,
    /// Passes of the start that was kept.
    pub iterations: usize,
}

impl KMeansParams {
    /// Fits the centres.
    ///
    /// # Errors
    /// Settings outside their ranges, fewer distinct rows than clusters, cells that are not finite, an interruption.
    pub fn fit(&self, points: &Points<'_>, run: &Run) -> Result<KMeans> {
        for (name, value) in [("starts", self.starts), ("max_iterations", self.max_iterations)] {
            if value == 0 {
                return Err(Error::request(format!("{name} is 0; allowed: 1 and above")));
            }
        }
        points.check(self.k)?;
        let least_move = self.tolerance * mean_variance(points);
        let mut best: Option<KMeans> = None;
        for start in 0..self.starts {
            let mut rng = Rng::fork(run.seed ^ 0x6b6d, start as u64);
            let found = self.lloyd(points, plus_plus(points, self.k, &mut rng, run)?, least_move, run)?;
            if best.as_ref().is_none_or(|b| found.inertia < b.inertia) {
                best = Some(found);
            }
        }
        best.ok_or_else(|| Error::request("no start"))
    }

    fn lloyd(&self, points: &Points<'_>, centres: Vec<f64>, least_move: f64, run: &Run) -> Result<KMeans> {
        let mut model = KMeans { n_cols: points.n_cols, centres, inertia: f64::INFINITY, iterations: 0 };
        loop {
            let mut pass = model.pass(points, run)?;
            model.inertia = pass.inertia;
            if model.iterations == self.max_iterations {
                return Ok(model);
            }
            model.iterations += 1;
            pass.fill_empty(points, &model);
            let mut moved = 0.0;
            for (j, centre) in model.centres.chunks_exact_mut(points.n_cols).enumerate() {
                for (c, sum) in centre.iter_mut().zip(&pass.sums[j * points.n_cols..]) {
                    let mean = sum / pass.weights[j];
                    moved += (mean - *c).powi(2);
                    *c = mean;
                }
            }
            if moved <= least_move {
                // The inertia is that of the centres that are returned.
                model.inertia = model.pass(points, run)?.inertia;
                return Ok(model);
            }
        }
    }
}

/// What a pass over the rows sums up.
struct Pass {
    /// Row-major k × n_cols.
    sums: Vec<f64>,
    weights: Vec<f64>,
    inertia: f64,
}

impl Pass {
    /// Gives each cluster without rows the row that is farthest from its centre; of equals the first.
    fn fill_empty(&mut self, points: &Points<'_>, model: &KMeans) {
        let d = points.n_cols;
        let empty: Vec<usize> = (0..self.weights.len()).filter(|&j| self.weights[j] == 0.0).collect();
        if empty.is_empty() {
            return;
        }
        let margins = model.margins(points.data);
        let k = self.weights.len();
        let nearest = |row: usize| greatest(&margins[row * k..][..k]);
        let mut far: Vec<usize> = (0..points.n_rows()).collect();
        far.sort_by(|&a, &b| margins[a * k + nearest(a)].total_cmp(&margins[b * k + nearest(b)]).then(a.cmp(&b)));
        let mut far = far.into_iter();
        for j in empty {
            // A row that is alone in its cluster would leave that one empty.
            let Some(row) = far.find(|&row| self.weights[nearest(row)] > points.weight_of(row)) else { return };
            let (from, w) = (nearest(row), points.weight_of(row));
            for (c, x) in points.row(row).iter().enumerate() {
                self.sums[from * d + c] -= w * f64::from(*x);
                self.sums[j * d + c] = w * f64::from(*x);
            }
            self.weights[from] -= w;
            self.weights[j] = w;
        }
    }
}

impl KMeans {
    /// Clusters.
    pub fn k(&self) -> usize {
        self.centres.len() / self.n_cols
    }

    /// Minus the squared distance to each centre, row-major `n_rows × k`. The bits of a row do not depend on the rows around
    /// it or on the CPU.
    pub fn margins(&self, data: &[f32]) -> Vec<f64> {
        let (d, k) = (self.n_cols, self.k());
        let mut out = vec![0.0; data.len() / d * k];
        let doubled: Vec<f64> = self.centres.iter().map(|c| 2.0 * c).collect();
        dot::affine(data, d, &doubled, &self.bias(), &mut out);
        for (row, out) in data.chunks_exact(d).zip(out.chunks_exact_mut(k)) {
            let square: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            out.iter_mut().for_each(|m| *m -= square);
        }
        out
    }

    /// The nearest centre of each row.
    pub fn assign(&self, data: &[f32]) -> Vec<usize> {
        self.margins(data).chunks_exact(self.k()).map(greatest).collect()
    }

    /// Minus the squared length of each centre.
    fn bias(&self) -> Vec<f64> {
        self.centres.chunks_exact(self.n_cols).map(|c| -c.iter().map(|v| v * v).sum::<f64>()).collect()
    }

    fn pass(&self, points: &Points<'_>, run: &Run) -> Result<Pass> {
        let (d, k) = (self.n_cols, self.k());
        let block = |first: usize, cells: &[f32]| {
            let margins = self.margins(cells);
            let mut pass = Pass { sums: vec![0.0; k * d], weights: vec![0.0; k], inertia: 0.0 };
            for (i, (row, margins)) in cells.chunks_exact(d).zip(margins.chunks_exact(k)).enumerate() {
                let (j, w) = (greatest(margins), points.weight_of(first + i));
                pass.weights[j] += w;
                pass.inertia += w * (-margins[j]).max(0.0);
                pass.sums[j * d..][..d].iter_mut().zip(row).for_each(|(s, x)| *s += w * f64::from(*x));
            }
            pass
        };
        let mut all = Pass { sums: vec![0.0; k * d], weights: vec![0.0; k], inertia: 0.0 };
        for part in points.blocks(run, block)? {
            all.sums.iter_mut().zip(&part.sums).for_each(|(a, b)| *a += b);
            all.weights.iter_mut().zip(&part.weights).for_each(|(a, b)| *a += b);
            all.inertia += part.inertia;
        }
        Ok(all)
    }
}

/// The mean over columns of the weighted variance.
fn mean_variance(points: &Points<'_>) -> f64 {
    let (n, d) = (points.n_rows(), points.n_cols);
    let total: f64 = (0..n).map(|i| points.weight_of(i)).sum();
    let sum = |c: usize, f: &dyn Fn(f64) -> f64| {
        (0..n).map(|i| points.weight_of(i) * f(f64::from(points.row(i)[c]))).sum::<f64>() / total
    };
    (0..d).map(|c| sum(c, &|x| x)).enumerate().map(|(c, mean)| sum(c, &|x| (x - mean).powi(2))).sum::<f64>() / d as f64
}

/// Starting centres: rows drawn by their squared distance to those drawn before; of 2 + ln k draws the one that lowers the
/// inertia most.
fn plus_plus(points: &Points<'_>, k: usize, rng: &mut Rng, run: &Run) -> Result<Vec<f64>> {
    let n = points.n_rows();
    let draw = |mass: &[f64], rng: &mut Rng| {
        let total: f64 = mass.iter().sum();
        let mut left = rng.uniform() * total;
        let found = mass.iter().position(|m| {
            left -= m;
            left < 0.0
        });
        // Rounding may leave a little at the end; the last row that has any mass is meant.
        found.or_else(|| mass.iter().rposition(|m| *m > 0.0)).unwrap_or(0)
    };
    let distances = |row: usize| -> Result<Vec<f64>> {
        let centre = points.row(row);
        let squared = |x: &[f32]| x.iter().zip(centre).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        let block = |_, cells: &[f32]| cells.chunks_exact(points.n_cols).map(squared).collect::<Vec<f64>>();
        Ok(points.blocks(run, block)?.concat())
    };
    let weight: Vec<f64> = (0..n).map(|i| points.weight_of(i)).collect();
    let first = draw(&weight, rng);
    let (mut chosen, mut nearest) = (vec![first], distances(first)?);
    let n_draws = 2 + (k as f64).ln() as usize;
    while chosen.len() < k {
        let mass: Vec<f64> = nearest.iter().zip(&weight).map(|(d, w)| d * w).collect();
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..n_draws {
            let row = draw(&mass, rng);
            let closer: Vec<f64> = distances(row)?.iter().zip(&nearest).map(|(a, b)| a.min(*b)).collect();
            let inertia: f64 = closer.iter().zip(&weight).map(|(d, w)| d * w).sum();
            if best.as_ref().is_none_or(|(least, ..)| inertia < *least) {
                best = Some((inertia, row, closer));
            }
        }
        let Some((_, row, closer)) = best else { break };
        chosen.push(row);
        nearest = closer;
    }
    Ok(chosen.into_iter().flat_map(|row| points.row(row).iter().map(|x| f64::from(*x))).collect())
}
