//! Logistic regression on binned features: Newton's method, Wald tests, variance inflation.
//!
//! A column is a bin index per row and a value per bin, so a table of a million rows takes two bytes a cell; blocks of
//! rows are expanded as they are needed. Sums run over blocks of fixed size in fixed order: the bits do not depend on
//! the number of threads.

use super::optimal::Counts;
use rayon::prelude::*;
use statera_core::{Error, Result, Run};

/// Rows of a block.
const BLOCK: usize = 4096;

/// Columns of weights of evidence beside target and weight.
#[derive(Clone)]
pub(super) struct Design<'a> {
    /// Bin of each row, by column.
    pub rows: Vec<&'a [u16]>,
    /// Value of each bin, by column.
    pub values: Vec<&'a [f64]>,
    pub is_bad: &'a [bool],
    pub weight: &'a [f64],
}

/// A fitted regression of the log-odds of bad.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// Intercept, then one coefficient per column.
    pub beta: Vec<f64>,
    /// Inverse of the (ridged) information matrix, `(p + 1)²`.
    pub covariance: Vec<f64>,
    pub iterations: usize,
}

/// Sums over rows at one point: penalised log-likelihood, its gradient, and the information matrix.
struct Moments {
    likelihood: f64,
    gradient: Vec<f64>,
    information: Vec<f64>,
}

impl Design<'_> {
    /// The columns at `which`.
    pub fn select(&self, which: &[usize]) -> Design<'_> {
        Design {
            rows: which.iter().map(|&j| self.rows[j]).collect(),
            values: which.iter().map(|&j| self.values[j]).collect(),
            is_bad: self.is_bad,
            weight: self.weight,
        }
    }

    fn n_blocks(&self) -> usize {
        self.weight.len().div_ceil(BLOCK)
    }

    /// A block of rows: range, and the values column by column after a column of ones.
    fn expand(&self, block: usize) -> (std::ops::Range<usize>, Vec<f64>) {
        let range = block * BLOCK..((block + 1) * BLOCK).min(self.weight.len());
        let mut x = vec![1.0; range.len()];
        for (rows, values) in self.rows.iter().zip(&self.values) {
            x.extend(rows[range.clone()].iter().map(|&bin| values[bin as usize]));
        }
        (range, x)
    }

    /// Log-odds of the rows of an expanded block.
    fn margins(x: &[f64], n: usize, beta: &[f64]) -> Vec<f64> {
        let mut eta = vec![0.0; n];
        for (column, &b) in x.chunks_exact(n).zip(beta) {
            for (e, v) in eta.iter_mut().zip(column) {
                *e += b * v;
            }
        }
        eta
    }

    fn moments(&self, beta: &[f64], ridge: f64) -> Moments {
        let p = beta.len();
        let parts: Vec<Moments> = (0..self.n_blocks())
            .into_par_iter()
            .map(|block| {
                let (range, x) = self.expand(block);
                let n = range.len();
                let eta = Self::margins(&x, n, beta);
                let (mut residual, mut curvature, mut likelihood) = (vec![0.0; n], vec![0.0; n], 0.0);
                for (i, row) in range.enumerate() {
                    let (w, y) = (self.weight[row], f64::from(u8::from(self.is_bad[row])));
                    let e = (-eta[i].abs()).exp();
                    let prob = if eta[i] >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
                    residual[i] = w * (y - prob);
                    curvature[i] = w * e / ((1.0 + e) * (1.0 + e));
                    likelihood += w * (y * eta[i] - eta[i].max(0.0) - e.ln_1p());
                }
                let gradient = x.chunks_exact(n).map(|column| dot(column, &residual)).collect();
                Moments { likelihood, gradient, information: weighted_gram(&x, n, p, &curvature) }
            })
            .collect();
        let mut sum = Moments { likelihood: 0.0, gradient: vec![0.0; p], information: vec![0.0; p * p] };
        for part in &parts {
            sum.likelihood += part.likelihood;
            sum.gradient.iter_mut().zip(&part.gradient).for_each(|(a, b)| *a += b);
            sum.information.iter_mut().zip(&part.information).for_each(|(a, b)| *a += b);
        }
        for (j, &b) in beta.iter().enumerate().skip(1) {
            sum.likelihood -= 0.5 * ridge * b * b;
            sum.gradient[j] -= ridge * b;
            sum.information[j * p + j] += ridge;
        }
        sum
    }

    /// Weighted correlations of the columns, `p × p`; a constant column has correlation 0 with every other.
    pub fn correlations(&self) -> Vec<f64> {
        let p = self.rows.len();
        let parts: Vec<Vec<f64>> = (0..self.n_blocks())
            .into_par_iter()
            .map(|block| {
                let (range, x) = self.expand(block);
                weighted_gram(&x, range.len(), p + 1, &self.weight[range])
            })
            .collect();
        let q = p + 1;
        let mut gram = vec![0.0; q * q];
        for part in &parts {
            gram.iter_mut().zip(part).for_each(|(a, b)| *a += b);
        }
        let covariance = |i: usize, j: usize| gram[i * q + j] - gram[i] * gram[j] / gram[0];
        let mut out = vec![0.0; p * p];
        for i in 0..p {
            for j in 0..p {
                let scale = (covariance(i + 1, i + 1) * covariance(j + 1, j + 1)).sqrt();
                out[i * p + j] = match () {
                    () if i == j => 1.0,
                    () if scale > 1e-12 * gram[0] => covariance(i + 1, j + 1) / scale,
                    () => 0.0,
                };
            }
        }
        out
    }

    /// Expected goods and bads by bin of `rows` under coefficients for this design.
    pub fn expected(&self, beta: &[f64], rows: &[u16], n_bins: usize) -> Vec<Counts> {
        let parts: Vec<Vec<Counts>> = (0..self.n_blocks())
            .into_par_iter()
            .map(|block| {
                let (range, x) = self.expand(block);
                let eta = Self::margins(&x, range.len(), beta);
                let mut counts = vec![Counts::default(); n_bins];
                for (row, eta) in range.zip(eta) {
                    let (w, prob) = (self.weight[row], 1.0 / (1.0 + (-eta).exp()));
                    counts[rows[row] as usize].bad += w * prob;
                    counts[rows[row] as usize].good += w * (1.0 - prob);
                }
                counts
            })
            .collect();
        let mut out = vec![Counts::default(); n_bins];
        for part in parts {
            out.iter_mut().zip(part).for_each(|(a, b)| *a = a.plus(b));
        }
        out
    }

    /// Maximises the log-likelihood less `ridge/2 · Σ β²` (intercept free) by Newton's method with step halving, from
    /// `start` (intercept first) or from the prior odds.
    pub fn fit(&self, ridge: f64, start: Option<Vec<f64>>, run: &Run) -> Result<Fit> {
        let p = self.rows.len() + 1;
        let mut beta = start.unwrap_or_else(|| {
            let mut total = Counts::default();
            self.weight.iter().zip(self.is_bad).for_each(|(&w, &bad)| total.add(w, bad));
            let mut beta = vec![0.0; p];
            beta[0] = (total.bad / total.good).ln();
            beta
        });
        let mut now = self.moments(&beta, ridge);
        for iterations in 1..=100 {
            run.check()?;
            let factor = cholesky(&now.information, p).ok_or_else(collinear)?;
            let step = solve(&factor, p, &now.gradient);
            let size = step.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            let mut scale = 1.0;
            loop {
                let trial: Vec<f64> = beta.iter().zip(&step).map(|(b, s)| b + scale * s).collect();
                let next = self.moments(&trial, ridge);
                // Rounding may lower the likelihood a little near its maximum.
                let slack = 1e-10 * now.likelihood.abs().max(1.0);
                if next.likelihood >= now.likelihood - slack || scale < 1e-6 {
                    (beta, now) = (trial, next);
                    break;
                }
                scale *= 0.5;
            }
            if size < 1e-7 {
                let factor = cholesky(&now.information, p).ok_or_else(collinear)?;
                return Ok(Fit { beta, covariance: inverse(&factor, p), iterations });
            }
        }
        Err(Error::data(
            "scorecard: the regression did not converge in 100 steps; raise ridge or the least share of a bin",
        ))
    }
}

fn collinear() -> Error {
    Error::data("scorecard: characteristics determine each other exactly; exclude one of them in bins.toml")
}

impl Fit {
    /// Standard error of the coefficient at `index` (0 is the intercept).
    pub fn std_error(&self, index: usize) -> f64 {
        let p = self.beta.len();
        self.covariance[index * p + index].max(0.0).sqrt()
    }

    /// Two-sided p-value of the Wald test that the coefficient is 0.
    pub fn p_value(&self, index: usize) -> f64 {
        let z = self.beta[index].abs() / self.std_error(index);
        complementary_error(z / std::f64::consts::SQRT_2)
    }

    /// Where the coefficients would be without the one at `index`, to second order: the start of the next fit.
    pub fn without(&self, index: usize) -> Vec<f64> {
        let p = self.beta.len();
        let shift = self.beta[index] / self.covariance[index * p + index];
        (0..p).filter(|&i| i != index).map(|i| self.beta[i] - self.covariance[i * p + index] * shift).collect()
    }
}

/// Variance inflation factors from a correlation matrix: the diagonal of its inverse, at most 10⁶.
pub(super) fn variance_inflation(correlations: &[f64], p: usize) -> Vec<f64> {
    let mut ridged = correlations.to_vec();
    (0..p).for_each(|i| ridged[i * p + i] += 1e-9);
    match cholesky(&ridged, p) {
        Some(factor) => {
            let inverse = inverse(&factor, p);
            (0..p).map(|i| inverse[i * p + i].clamp(1.0, 1e6)).collect()
        }
        None => vec![1e6; p],
    }
}

/// Dot product in eight interleaved sums, which the compiler turns into vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for (s, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// `X' diag(weight) X` of `p` columns of `n` rows.
fn weighted_gram(x: &[f64], n: usize, p: usize, weight: &[f64]) -> Vec<f64> {
    let mut gram = vec![0.0; p * p];
    let mut scaled = vec![0.0; n];
    for i in 0..p {
        for ((s, v), w) in scaled.iter_mut().zip(&x[i * n..]).zip(weight) {
            *s = v * w;
        }
        for j in 0..=i {
            let value = dot(&scaled, &x[j * n..][..n]);
            gram[i * p + j] = value;
            gram[j * p + i] = value;
        }
    }
    gram
}

/// Lower triangular `L` with `L L' = a`, or `None` if `a` is not positive definite.
fn cholesky(a: &[f64], p: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| l[i * p + k] * l[j * p + k]).sum();
            let rest = a[i * p + j] - sum;
            if i == j {
                // The comparison is false for NaN as well.
                if !(rest > 1e-14 * a[i * p + i]) {
                    return None;
                }
                l[i * p + i] = rest.sqrt();
            } else {
                l[i * p + j] = rest / l[j * p + j];
            }
        }
    }
    Some(l)
}

/// `x` with `L L' x = b`.
fn solve(l: &[f64], p: usize, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in 0..p {
        let sum: f64 = (0..i).map(|k| l[i * p + k] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * p + i];
    }
    for i in (0..p).rev() {
        let sum: f64 = (i + 1..p).map(|k| l[k * p + i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * p + i];
    }
    x
}

/// Inverse of `L L'`.
fn inverse(l: &[f64], p: usize) -> Vec<f64> {
    let mut out = vec![0.0; p * p];
    for j in 0..p {
        let mut unit = vec![0.0; p];
        unit[j] = 1.0;
        for (i, v) in solve(l, p, &unit).into_iter().enumerate() {
            out[i * p + j] = v;
        }
    }
    out
}

/// `erfc(x)` for x ≥ 0: the series of Abramowitz and Stegun 7.1.6 below 2.5, the continued fraction 7.1.14 above.
fn complementary_error(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        let mut n = 0.0;
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 * scale * sum;
    }
    let mut tail = x;
    for k in (1..=60).rev() {
        tail = x + f64::from(k) / 2.0 / tail;
    }
    scale / tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_function_equals_scipy() {
        // python3: print([scipy.special.erfc(x) for x in (.5, 1, 2.4, 2.6, 5)])
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.4, 0.000_688_513_896_645_078_9),
            (2.6, 0.000_236_034_416_529_349),
            (5.0, 1.537_459_794_428_035e-12),
        ] {
            let got = complementary_error(x);
            assert!((got - expected).abs() <= 1e-9 * expected, "erfc({x}) = {got}, not {expected}");
        }
    }

    /// Rows of a small design: values by column (made of three bins each), target, weight.
    struct Data {
        rows: [Vec<u16>; 2],
        is_bad: Vec<bool>,
        weight: Vec<f64>,
    }

    fn data() -> Data {
        let n = 300u64;
        let hash = |i: u64, k: u64| (i * 2_654_435_761 + k * 40_503) % 1_000_003 % 97;
        let a: Vec<u16> = (0..n).map(|i| (hash(i, 1) % 3) as u16).collect();
        let b: Vec<u16> = (0..n).map(|i| ((hash(i, 2) + u64::from(a[i as usize]) * 30) % 97 % 3) as u16).collect();
        let is_bad =
            (0..n as usize).map(|i| hash(i as u64, 3) < 20 + 15 * u64::from(a[i]) + 8 * u64::from(b[i])).collect();
        let weight = (0..n).map(|i| 1.0 + (i % 3) as f64 * 0.5).collect();
        Data { rows: [a, b], is_bad, weight }
    }

    fn design(data: &Data) -> Design<'_> {
        Design {
            rows: data.rows.iter().map(Vec::as_slice).collect(),
            values: vec![&[0.8, -0.1, -0.9], &[0.5, 0.2, -0.7]],
            is_bad: &data.is_bad,
            weight: &data.weight,
        }
    }

    #[test]
    fn fit_equals_statsmodels() {
        // See STATSMODELS for the script that printed these numbers.
        let data = data();
        let fit = design(&data).fit(1e-9, None, &Run::new(0, 1)).unwrap();
        for (i, (beta, error, p)) in STATSMODELS.into_iter().enumerate() {
            assert!((fit.beta[i] - beta).abs() < 1e-8, "beta {i}: {}", fit.beta[i]);
            assert!((fit.std_error(i) - error).abs() < 1e-8, "error {i}: {}", fit.std_error(i));
            assert!((fit.p_value(i) - p).abs() < 1e-6 * p, "p {i}: {:e}", fit.p_value(i));
        }
        let vif = variance_inflation(&design(&data).correlations(), 2);
        assert!((vif[0] - VIF).abs() < 1e-7 && (vif[1] - VIF).abs() < 1e-7, "{vif:?}");
    }

    /// Coefficient, standard error, p-value, printed by
    /// ```python
    /// import numpy as np, statsmodels.api as sm
    /// h = lambda i, k: (i * 2654435761 + k * 40503) % 1000003 % 97
    /// i = list(range(300)); a = [h(j, 1) % 3 for j in i]; b = [(h(j, 2) + a[j] * 30) % 97 % 3 for j in i]
    /// y = [h(j, 3) < 20 + 15 * a[j] + 8 * b[j] for j in i]; w = np.array([1 + j % 3 * .5 for j in i])
    /// X = sm.add_constant(np.c_[np.array([.8, -.1, -.9])[a], np.array([.5, .2, -.7])[b]])
    /// r = sm.GLM(np.array(y, float), X, sm.families.Binomial(), freq_weights=w).fit(tol=1e-14)
    /// print(r.params, r.bse, r.pvalues)
    /// c = np.cov(X[:, 1:].T, aweights=w); print(1 / (1 - c[0, 1] ** 2 / c[0, 0] / c[1, 1]))
    /// ```
    const STATSMODELS: [(f64, f64, f64); 3] = [
        (-0.408_442_202_401_587_6, 0.111_305_538_610_528_23, 2.429_695_871_705_094_8e-4),
        (-1.173_885_039_517_439_8, 0.171_123_837_065_611_9, 6.892_954_664_122_203e-12),
        (-0.650_876_675_233_945_9, 0.268_318_132_315_145_45, 1.527_616_772_554_667_7e-2),
    ];
    const VIF: f64 = 1.179_842_243_299_505_3;

    #[test]
    fn removal_starts_near_the_new_optimum() {
        let data = data();
        let run = Run::new(0, 1);
        let full = design(&data).fit(1e-3, None, &run).unwrap();
        let exact = design(&data).select(&[0]).fit(1e-3, None, &run).unwrap();
        let guess = full.without(2);
        assert!((guess[1] - exact.beta[1]).abs() < 0.05, "{guess:?} {:?}", exact.beta);
        let warm = design(&data).select(&[0]).fit(1e-3, Some(guess), &run).unwrap();
        assert!((warm.beta[1] - exact.beta[1]).abs() < 1e-9);
    }
}
