//! Logistic regression on binned features: Newton's method, Wald tests, variance inflation.
//!
//! A column is a bin index per row and a value per bin, so a table of a million rows takes two bytes a cell; blocks of
//! rows are expanded as they are needed. Sums run over blocks of fixed size in fixed order: the bits do not depend on
//! the number of threads.

use super::matrix::{cholesky, dot, inverse, solve, weighted_gram};
use super::optimal::Counts;
use rayon::prelude::*;
use statera_core::{Error, Result, Run};

/// Rows of a block.
const BLOCK: usize = 4096;
/// A step so small ends the search for coefficients.
const CONVERGED: f64 = 1e-7;
/// Blocks whose matrices are held at once.
const WAVE: usize = 16;

/// Columns of weights of evidence beside target and weight.
#[derive(Clone)]
pub(super) struct Design<'a> {
    /// Bin of each row, by column.
    pub rows: Vec<&'a [u16]>,
    /// Value of each bin, by column.
    pub values: Vec<&'a [f64]>,
    /// Values of the bins that hold rows of one class only, by column. Each counts as half a row more of both classes, all
    /// other columns being neutral there (0): the same half rows that make its weight of evidence finite
    /// ([`Counts::woe`]), so that a column that separates the classes gets a coefficient near -1 and a test with a meaning.
    pub pure: Vec<&'a [f64]>,
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

/// Whether [`Design::moments`] makes the information matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Information {
    Made,
    Omitted,
}

/// What one row of weight `w` and target `y` adds at log-odds `eta`: its log-likelihood and its first and (negative) second
/// derivative.
struct Point {
    likelihood: f64,
    residual: f64,
    curvature: f64,
}

impl Point {
    #[inline]
    fn at(eta: f64, w: f64, y: f64) -> Point {
        let e = (-eta.abs()).exp();
        let prob = if eta >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
        Point {
            likelihood: w * (y * eta - eta.max(0.0) - e.ln_1p()),
            residual: w * (y - prob),
            curvature: w * e / ((1.0 + e) * (1.0 + e)),
        }
    }
}

impl Moments {
    /// Half a row of each class where column `j` has `value` and all others are 0.
    fn add_half_rows(&mut self, beta: &[f64], j: usize, value: f64) {
        let p = beta.len();
        for y in [0.0, 1.0] {
            let point = Point::at(beta[0] + beta[j] * value, 0.5, y);
            self.likelihood += point.likelihood;
            self.gradient[0] += point.residual;
            self.gradient[j] += point.residual * value;
            if !self.information.is_empty() {
                self.information[0] += point.curvature;
                self.information[j] += point.curvature * value;
                self.information[j * p] += point.curvature * value;
                self.information[j * p + j] += point.curvature * value * value;
            }
        }
    }
}

impl Design<'_> {
    /// The columns at `which`.
    pub fn select(&self, which: &[usize]) -> Design<'_> {
        Design {
            rows: which.iter().map(|&j| self.rows[j]).collect(),
            values: which.iter().map(|&j| self.values[j]).collect(),
            pure: which.iter().map(|&j| self.pure[j]).collect(),
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

    /// `wanted` says whether the information matrix is made, by far the most work; it is empty otherwise.
    fn moments(&self, beta: &[f64], ridge: f64, wanted: Information) -> Moments {
        let p = beta.len();
        let parts: Vec<Moments> = (0..self.n_blocks())
            .into_par_iter()
            .map(|block| {
                let (range, x) = self.expand(block);
                let n = range.len();
                let eta = Self::margins(&x, n, beta);
                let (mut residual, mut curvature, mut likelihood) = (vec![0.0; n], vec![0.0; n], 0.0);
                for (i, row) in range.enumerate() {
                    let point = Point::at(eta[i], self.weight[row], f64::from(u8::from(self.is_bad[row])));
                    residual[i] = point.residual;
                    curvature[i] = point.curvature;
                    likelihood += point.likelihood;
                }
                let gradient = x.chunks_exact(n).map(|column| dot(column, &residual)).collect();
                let information = match wanted {
                    Information::Made => weighted_gram(&x, n, p, &curvature),
                    Information::Omitted => Vec::new(),
                };
                Moments { likelihood, gradient, information }
            })
            .collect();
        let size = if wanted == Information::Made { p * p } else { 0 };
        let mut sum = Moments { likelihood: 0.0, gradient: vec![0.0; p], information: vec![0.0; size] };
        for part in &parts {
            sum.likelihood += part.likelihood;
            sum.gradient.iter_mut().zip(&part.gradient).for_each(|(a, b)| *a += b);
            sum.information.iter_mut().zip(&part.information).for_each(|(a, b)| *a += b);
        }
        for (column, values) in self.pure.iter().enumerate() {
            values.iter().for_each(|&value| sum.add_half_rows(beta, column + 1, value));
        }
        for (j, &b) in beta.iter().enumerate().skip(1) {
            sum.likelihood -= 0.5 * ridge * b * b;
            sum.gradient[j] -= ridge * b;
            if wanted == Information::Made {
                sum.information[j * p + j] += ridge;
            }
        }
        sum
    }

    /// Weighted correlations of the columns, `p × p`; a constant column has correlation 0 with every other.
    pub fn correlations(&self) -> Vec<f64> {
        let p = self.rows.len();
        let q = p + 1;
        let mut gram = vec![0.0; q * q];
        // A few blocks at a time: with many columns the matrices of all blocks would not fit into memory.
        for wave in (0..self.n_blocks()).collect::<Vec<_>>().chunks(WAVE) {
            let parts: Vec<Vec<f64>> = wave
                .par_iter()
                .map(|&block| {
                    let (range, x) = self.expand(block);
                    weighted_gram(&x, range.len(), q, &self.weight[range])
                })
                .collect();
            for part in &parts {
                gram.iter_mut().zip(part).for_each(|(a, b)| *a += b);
            }
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

    /// Probability of bad of each row under coefficients for this design.
    pub fn probabilities(&self, beta: &[f64]) -> Vec<f64> {
        let parts: Vec<Vec<f64>> = (0..self.n_blocks())
            .into_par_iter()
            .map(|block| {
                let (range, x) = self.expand(block);
                let eta = Self::margins(&x, range.len(), beta);
                eta.into_iter().map(|eta| 1.0 / (1.0 + (-eta).exp())).collect()
            })
            .collect();
        parts.concat()
    }

    /// Expected goods and bads by bin of `rows`, given the probability of bad of each row.
    pub fn expected(&self, probabilities: &[f64], rows: &[u16], n_bins: usize) -> Vec<Counts> {
        let mut out = vec![Counts::default(); n_bins];
        let blocks = rows.chunks(BLOCK).zip(probabilities.chunks(BLOCK)).zip(self.weight.chunks(BLOCK));
        for ((rows, probabilities), weight) in blocks {
            let mut counts = vec![Counts::default(); n_bins];
            for ((&bin, &prob), &w) in rows.iter().zip(probabilities).zip(weight) {
                counts[bin as usize].bad += w * prob;
                counts[bin as usize].good += w * (1.0 - prob);
            }
            out.iter_mut().zip(counts).for_each(|(a, b)| *a = a.plus(b));
        }
        out
    }

    /// Maximises the log-likelihood less `ridge/2 · Σ β²` (intercept free) by Newton's method with step halving, from
    /// `start` (intercept first), or from the prior odds where they have the higher likelihood.
    pub fn fit(&self, ridge: f64, start: Option<Vec<f64>>, run: &Run) -> Result<Fit> {
        let p = self.rows.len() + 1;
        let mut total = Counts::default();
        self.weight.iter().zip(self.is_bad).for_each(|(&w, &bad)| total.add(w, bad));
        let mut prior = vec![0.0; p];
        prior[0] = (total.bad / total.good).ln();
        // A start that was extrapolated too far is worse than none.
        let likelihood = |beta: &[f64]| self.moments(beta, ridge, Information::Omitted).likelihood;
        let mut beta = match start {
            Some(start) if likelihood(&start) >= likelihood(&prior) => start,
            _ => prior,
        };
        let mut now = self.moments(&beta, ridge, Information::Made);
        for iterations in 1..=100 {
            run.check()?;
            let factor = cholesky(&now.information, p).ok_or_else(collinear)?;
            let step = solve(&factor, p, &now.gradient);
            let size = step.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            let mut scale = 1.0;
            loop {
                let trial: Vec<f64> = beta.iter().zip(&step).map(|(b, s)| b + scale * s).collect();
                let next = self.moments(&trial, ridge, Information::Made);
                // Rounding may lower the likelihood a little near its maximum.
                let slack = 1e-10 * now.likelihood.abs().max(1.0);
                if next.likelihood >= now.likelihood - slack || scale < 1e-6 {
                    (beta, now) = (trial, next);
                    break;
                }
                scale *= 0.5;
            }
            if size < CONVERGED {
                let factor = cholesky(&now.information, p).ok_or_else(collinear)?;
                return Ok(Fit { beta, covariance: inverse(&factor, p), iterations });
            }
        }
        Err(Error::data(
            "scorecard: the regression did not converge in 100 steps; raise ridge or the least share of a bin",
        ))
    }

    /// The coefficients of [`Design::fit`] alone, from a fit that is near: steps with the covariance of `near` need gradients
    /// and no information matrices. Where they do not shrink to nothing quickly, Newton's method goes on.
    pub fn fit_near(&self, ridge: f64, near: Fit, run: &Run) -> Result<Vec<f64>> {
        let p = near.beta.len();
        let mut beta = near.beta;
        let mut before = 1.0;
        for _ in 0..20 {
            let gradient = self.moments(&beta, ridge, Information::Omitted).gradient;
            let step: Vec<f64> = near.covariance.chunks_exact(p).map(|row| dot(row, &gradient)).collect();
            let size = step.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            if size.is_nan() || size >= 0.5 * before {
                break;
            }
            beta.iter_mut().zip(&step).for_each(|(b, s)| *b += s);
            if size < CONVERGED {
                return Ok(beta);
            }
            before = size;
        }
        Ok(self.fit(ridge, Some(beta), run)?.beta)
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

    /// Where coefficients and covariance would be without the one at `index`, to second order: the start of the next fit.
    pub fn without(&self, index: usize) -> Fit {
        let p = self.beta.len();
        let kept = || (0..p).filter(move |&i| i != index);
        let covariance = |i: usize, j: usize| self.covariance[i * p + j];
        let own = covariance(index, index);
        let shift = self.beta[index] / own;
        Fit {
            beta: kept().map(|i| self.beta[i] - covariance(i, index) * shift).collect(),
            covariance: kept()
                .flat_map(|i| kept().map(move |j| (i, j)))
                .map(|(i, j)| covariance(i, j) - covariance(i, index) * covariance(index, j) / own)
                .collect(),
            iterations: self.iterations,
        }
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
            pure: vec![&[], &[]],
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
        assert!((guess.beta[1] - exact.beta[1]).abs() < 0.05, "{guess:?} {:?}", exact.beta);
        for (a, b) in guess.covariance.iter().zip(&exact.covariance) {
            assert!((a - b).abs() < 0.1 * exact.covariance[3], "{guess:?} {exact:?}");
        }
        let warm = design(&data).select(&[0]).fit(1e-3, Some(guess.beta.clone()), &run).unwrap();
        assert!((warm.beta[1] - exact.beta[1]).abs() < 1e-9);
        // Without information matrices the same place is found, from a poor start too.
        let poor = Fit { beta: vec![3.0, 5.0], ..guess.clone() };
        for near in [guess, poor] {
            let beta = design(&data).select(&[0]).fit_near(1e-3, near, &run).unwrap();
            assert!(beta.iter().zip(&exact.beta).all(|(a, b)| (a - b).abs() < 1e-7), "{beta:?} {:?}", exact.beta);
        }
    }

    #[test]
    fn a_column_that_separates_gets_a_coefficient_of_minus_one() {
        // 10 goods in bin 0 and 20 bads in bin 1. With the half rows the log-odds of bad are ln(.5 / 10.5) and ln(20.5 / .5), and
        // the weights of evidence ln((10.5 / 10) / (.5 / 20)) and ln((.5 / 10) / (20.5 / 20)): odds less evidence both times.
        let rows: Vec<u16> = (0..30).map(|i| u16::from(i >= 10)).collect();
        let is_bad: Vec<bool> = (0..30).map(|i| i >= 10).collect();
        let values = [(42.0f64).ln(), (0.05f64 / 1.025).ln()];
        let weight = [1.0; 30];
        let design = |pure| Design {
            rows: vec![&rows],
            values: vec![&values],
            pure: vec![pure],
            is_bad: &is_bad,
            weight: &weight,
        };
        let fit = design(&values).fit(1e-9, None, &Run::new(0, 1)).unwrap();
        assert!((fit.beta[1] + 1.0).abs() < 1e-7 && (fit.beta[0] - 2.0f64.ln()).abs() < 1e-7, "{:?}", fit.beta);
        assert!(fit.p_value(1) < 1e-3, "{}", fit.p_value(1));
        // Without them it runs away, and the Wald test sees nothing (Hauck and Donner 1977).
        let alone = design(&[]).fit(1e-3, None, &Run::new(0, 1)).unwrap();
        assert!(alone.beta[1] < -2.0 && alone.p_value(1) > 0.5, "{:?} {}", alone.beta, alone.p_value(1));
    }
}
