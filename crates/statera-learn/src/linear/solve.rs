//! Newton's method with a line search, for smooth objectives, and for those with an L1 penalty or sign constraints
//! (proximal Newton: Lee, Sun and Saunders 2014).

use super::objective::{Curvature, Evaluation, Objective};
use statera_core::{Error, Result, Run};

/// Sweeps of coordinate descent for one step; more than it needs but in nearly singular problems, where the step that is
/// reached is still one downhill.
const SWEEPS: usize = 5000;
/// Steps of conjugate gradients for one Newton step.
const GRADIENT_STEPS: usize = 500;
/// Halvings of a step before the search gives up.
const HALVINGS: usize = 40;
/// The share of the promised fall that a step must deliver (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// What the minimum must respect and how precise it must be.
pub(super) struct Limits<'a> {
    /// Strength of the absolute penalty.
    pub l1: f64,
    /// Per column 1 for a coefficient that must not be negative, -1 for one that must not be positive, 0 for a free one.
    pub signs: &'a [i8],
    /// Newton steps allowed.
    pub max_iterations: usize,
    /// The fit ends when the next step promises a smaller fall.
    pub tolerance: f64,
}

impl Limits<'_> {
    fn is_smooth(&self) -> bool {
        self.l1 == 0.0 && self.signs.iter().all(|&s| s == 0)
    }

    /// The absolute penalty of parameters; intercepts are free.
    fn absolute(&self, parameters: &[f64], side: usize) -> f64 {
        if self.l1 == 0.0 {
            return 0.0;
        }
        parameters.chunks_exact(side).flat_map(|r| &r[..side - 1]).map(|b| b.abs()).sum::<f64>() * self.l1
    }
}

/// A minimum.
pub(super) struct Solution {
    /// Where it is.
    pub parameters: Vec<f64>,
    /// Newton steps taken.
    pub iterations: usize,
}

/// The minimum of the objective with the absolute penalty under the sign constraints, from a feasible start.
pub(super) fn minimise(objective: &Objective<'_>, start: Vec<f64>, limits: &Limits<'_>, run: &Run) -> Result<Solution> {
    let smooth = limits.is_smooth();
    let evaluate = |parameters: &[f64]| match smooth {
        true => objective.evaluate(parameters),
        false => objective.evaluate_as(parameters, true),
    };
    let side = objective.side();
    let mut parameters = start;
    let mut here = evaluate(&parameters);
    for iteration in 1..=limits.max_iterations {
        run.check()?;
        let step = match &here.curvature {
            Curvature::Dense(hessian) if smooth => newton_step(hessian, &here.gradient)?,
            Curvature::Dense(hessian) => coordinate_step(hessian, &here.gradient, &parameters, side, limits, run)?,
            Curvature::Rows(rows) => conjugate_gradient_step(objective, rows, &here.gradient, run)?,
        };
        let whole: Vec<f64> = moved(&parameters, &step, 1.0);
        let absolute = limits.absolute(&parameters, side);
        let fall = -inner(&here.gradient, &step) + absolute - limits.absolute(&whole, side);
        if !fall.is_finite() {
            return Err(Error::data("the linear model's loss is not finite; are the columns scaled?"));
        }
        if fall <= limits.tolerance {
            return Ok(Solution { parameters: whole, iterations: iteration });
        }
        match search(&evaluate, &parameters, &here, &step, fall, limits, side) {
            Some((next, evaluation)) => (parameters, here) = (next, evaluation),
            // No step lowers the value: what is promised lies below its rounding.
            None if fall <= 1e-9 * here.value.abs() => return Ok(Solution { parameters, iterations: iteration }),
            None => break,
        }
    }
    Err(Error::data(format!(
        "the linear model did not converge in {} steps at l2 = {}; raise l2 or max_iterations, or drop columns that \
         repeat each other",
        limits.max_iterations, objective.l2
    )))
}

/// Halves the step until it delivers a sufficient share of the fall it promises.
fn search(
    evaluate: &impl Fn(&[f64]) -> Evaluation,
    parameters: &[f64],
    here: &Evaluation,
    step: &[f64],
    fall: f64,
    limits: &Limits<'_>,
    side: usize,
) -> Option<(Vec<f64>, Evaluation)> {
    let value = here.value + limits.absolute(parameters, side);
    let mut length = 1.0;
    for _ in 0..HALVINGS {
        let next = moved(parameters, step, length);
        let evaluation = evaluate(&next);
        if evaluation.value + limits.absolute(&next, side) <= value - SUFFICIENT * length * fall {
            return Some((next, evaluation));
        }
        length *= 0.5;
    }
    None
}

/// −H⁻¹ g.
fn newton_step(hessian: &[f64], gradient: &[f64]) -> Result<Vec<f64>> {
    let mut step: Vec<f64> = gradient.iter().map(|g| -g).collect();
    Cholesky::new(hessian.to_vec(), gradient.len())?.solve(&mut step);
    Ok(step)
}

/// Approximately −H⁻¹ g by conjugate gradients, preconditioned by the diagonal of H; precise to a thousandth, so that
/// each Newton step gains three digits.
fn conjugate_gradient_step(objective: &Objective<'_>, rows: &[f64], gradient: &[f64], run: &Run) -> Result<Vec<f64>> {
    let diagonal = objective.hessian_diagonal(rows);
    let largest = diagonal.iter().copied().fold(0.0, f64::max);
    let precondition =
        |r: &[f64]| -> Vec<f64> { r.iter().zip(&diagonal).map(|(r, d)| r / d.max(1e-12 * largest)).collect() };
    let mut step = vec![0.0; gradient.len()];
    let mut residual: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut scaled = precondition(&residual);
    let mut direction = scaled.clone();
    let first = inner(&residual, &scaled);
    let mut size = first;
    for _ in 0..GRADIENT_STEPS {
        if size <= 1e-6 * first {
            break;
        }
        run.check()?;
        let product = objective.hessian_times(rows, &direction);
        let bend = inner(&direction, &product);
        if bend <= 0.0 {
            break; // A flat direction: without a penalty, columns that repeat each other.
        }
        let length = size / bend;
        for j in 0..step.len() {
            step[j] += length * direction[j];
            residual[j] -= length * product[j];
        }
        scaled = precondition(&residual);
        let next = inner(&residual, &scaled);
        direction.iter_mut().zip(&scaled).for_each(|(d, s)| *d = s + next / size * *d);
        size = next;
    }
    Ok(step)
}

/// The step to the minimum of the quadratic model with the absolute penalty under the sign constraints, by cyclic
/// coordinate descent (Friedman, Hastie and Tibshirani 2010).
fn coordinate_step(
    lower: &[f64],
    gradient: &[f64],
    parameters: &[f64],
    side: usize,
    limits: &Limits<'_>,
    run: &Run,
) -> Result<Vec<f64>> {
    let d = gradient.len();
    let mut hessian = lower.to_vec();
    for i in 0..d {
        for j in 0..i {
            hessian[j * d + i] = lower[i * d + j];
        }
    }
    let mut point = parameters.to_vec();
    let mut slope = gradient.to_vec();
    for sweep in 0..SWEEPS {
        if sweep % 64 == 0 {
            run.check()?;
        }
        let mut largest: f64 = 0.0;
        for j in 0..d {
            let row = &hessian[j * d..][..d];
            let bend = row[j];
            if bend <= 0.0 {
                continue; // A column of zeros without a penalty: any coefficient will do, so it keeps its own.
            }
            let free = point[j] - slope[j] / bend;
            let column = j % side;
            let best = match limits.signs.get(column) {
                Some(sign) => constrain(shrink(free, limits.l1 / bend), *sign),
                None => free, // The intercept.
            };
            let change = best - point[j];
            if change != 0.0 {
                point[j] = best;
                slope.iter_mut().zip(row).for_each(|(s, h)| *s += change * h);
                largest = largest.max(change * change * bend);
            }
        }
        // Far below what ends the fit, so that the coefficients have more digits than the objective needs.
        if largest <= 1e-6 * limits.tolerance {
            break;
        }
    }
    Ok(point.iter().zip(parameters).map(|(a, b)| a - b).collect())
}

/// Soft thresholding.
fn shrink(x: f64, by: f64) -> f64 {
    if x > by {
        x - by
    } else if x < -by {
        x + by
    } else {
        0.0
    }
}

/// The nearest number of the required sign.
fn constrain(x: f64, sign: i8) -> f64 {
    match sign {
        0 => x,
        1.. => x.max(0.0),
        _ => x.min(0.0),
    }
}

/// `a + length · step`.
fn moved(a: &[f64], step: &[f64], length: f64) -> Vec<f64> {
    a.iter().zip(step).map(|(a, s)| a + length * s).collect()
}

/// The inner product, in eight interleaved sums.
fn inner(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for l in 0..8 {
            sums[l] += a[l] * b[l];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// The factor L of a symmetric positive definite matrix L Lᵀ.
pub(super) struct Cholesky {
    factor: Vec<f64>,
    n: usize,
}

impl Cholesky {
    /// Factorises the matrix of which the lower triangle is given, row-major. A matrix that is singular to rounding
    /// (columns that repeat each other, without a penalty) gets the least of a few multiples of its diagonal added that
    /// makes it definite: a Newton step is then a little short, in directions in which nothing is to be gained.
    pub fn new(lower: Vec<f64>, n: usize) -> Result<Self> {
        for share in [0.0, 1e-12, 1e-10, 1e-8, 1e-6] {
            if let Some(factor) = factorise(lower.clone(), n, share) {
                return Ok(Cholesky { factor, n });
            }
        }
        Err(Error::data("the curvature of the linear model's loss is not finite; are the columns scaled?"))
    }

    /// Replaces b by the x of `L Lᵀ x = b`.
    pub fn solve(&self, b: &mut [f64]) {
        let n = self.n;
        for i in 0..n {
            let row = &self.factor[i * n..][..=i];
            b[i] = (b[i] - inner(&row[..i], &b[..i])) / row[i];
        }
        for i in (0..n).rev() {
            b[i] /= self.factor[i * n + i];
            let (x, row) = (b[i], &self.factor[i * n..][..i]);
            b[..i].iter_mut().zip(row).for_each(|(b, l)| *b -= l * x);
        }
    }

    /// The diagonal element `j` of the inverse: the squared length of L⁻¹ eⱼ.
    pub fn inverse_diagonal(&self, j: usize) -> f64 {
        let n = self.n;
        let mut x = vec![0.0; n];
        x[j] = 1.0;
        for i in j..n {
            let row = &self.factor[i * n..][..=i];
            x[i] = (x[i] - inner(&row[j..i], &x[j..i])) / row[i];
        }
        inner(&x, &x)
    }
}

/// L, row by row, of the matrix with a share of its diagonal added; `None` if a pivot is lost in rounding.
fn factorise(mut a: Vec<f64>, n: usize, share: f64) -> Option<Vec<f64>> {
    let mean = (0..n).map(|j| a[j * n + j]).sum::<f64>() / n as f64;
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        row[i] += share * mean;
        let whole = row[i];
        for j in 0..i {
            let other = &above[j * n..][..=j];
            row[j] = (row[j] - inner(&row[..j], &other[..j])) / other[j];
        }
        let pivot = row[i] - inner(&row[..i], &row[..i]);
        // Also false for NaN.
        if !(pivot > 1e-14 * whole && pivot.is_finite()) {
            return None;
        }
        row[i] = pivot.sqrt();
    }
    Some(a)
}
