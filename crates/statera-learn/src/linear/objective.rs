//! The loss of a linear model over a frame, with its gradient and curvature.

use rayon::prelude::*;
use statera_core::{Frame, Result, Task};
use statera_kernel::{dot, math};

use super::solve;

/// The most parameters whose Hessian is formed: beyond, its products with vectors are cheaper than itself.
const DENSE_PARAMETERS: usize = 512;
/// Rows of a block of a sum, at least.
const BLOCK_ROWS: usize = 1024;
/// Blocks of a sum, at most: their partial sums are held at the same time.
const BLOCKS: usize = 32;

/// `Σᵢ wᵢ · lossᵢ + ½ · l2 · ‖β‖²` as a function of the parameters: for each output its coefficients, then its
/// intercept, row-major `n_outputs × (n_cols + 1)`.
pub(super) struct Objective<'a> {
    /// Strength of the squared penalty.
    pub l2: f64,
    task: Task,
    frame: &'a Frame,
    n_cols: usize,
    n_outputs: usize,
}

/// The objective at a point.
pub(super) struct Evaluation {
    /// Its value.
    pub value: f64,
    /// Its derivatives.
    pub gradient: Vec<f64>,
    /// Its second derivatives.
    pub curvature: Curvature,
}

/// Second derivatives, in the form that suits the number of parameters.
pub(super) enum Curvature {
    /// The Hessian, row-major; only the lower triangle is filled.
    Dense(Vec<f64>),
    /// Per row what products with the Hessian need: `w p (1 − p)`, or the weight, or the probabilities of k classes.
    Rows(Vec<f64>),
}

/// The sums over a block of rows.
struct Partial {
    loss: f64,
    gradient: Vec<f64>,
    /// One matrix for each pair of outputs o ≥ o′, each with sides of n_cols + 1.
    hessian: Vec<f64>,
    rows: Vec<f64>,
}

/// The rows of a block.
struct Block<'a> {
    x: &'a [f32],
    target: &'a [f64],
    weight: Option<&'a [f64]>,
}

impl Block<'_> {
    fn weight_of(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |w| w[row])
    }
}

impl<'a> Objective<'a> {
    /// The unpenalised objective of the frame, which must be dense and checked.
    pub fn new(task: Task, frame: &'a Frame) -> Self {
        Objective { l2: 0.0, task, frame, n_cols: frame.dense.n_cols, n_outputs: task.n_outputs() }
    }

    /// Parameters.
    pub fn n_parameters(&self) -> usize {
        self.n_outputs * self.side()
    }

    /// True if the parameters are few enough for their Hessian to be formed.
    pub fn has_dense_hessian(&self) -> bool {
        self.n_parameters() <= DENSE_PARAMETERS
    }

    /// Coefficients of an output and its intercept.
    pub fn side(&self) -> usize {
        self.n_cols + 1
    }

    /// Sum of the weights.
    pub fn total_weight(&self) -> f64 {
        self.frame.weight.as_ref().map_or(self.frame.n_rows as f64, |w| w.iter().sum())
    }

    /// The best parameters without features: log-odds, log-shares (centred), or the mean.
    pub fn null_parameters(&self) -> Vec<f64> {
        let total = self.total_weight();
        let share = |class: usize| {
            let rows = (0..self.frame.n_rows).filter(|&i| self.frame.target[i] == class as f64);
            // Half a row stands for a class that does not occur.
            rows.map(|i| self.frame.weight_of(i)).sum::<f64>().max(0.5) / total
        };
        let mut intercepts: Vec<f64> = match self.task {
            Task::Binary => vec![(share(1) / share(0)).ln()],
            Task::Classes(k) => (0..k).map(|class| share(class).ln()).collect(),
            Task::Regression => {
                vec![
                    (0..self.frame.n_rows).map(|i| self.frame.weight_of(i) * self.frame.target[i]).sum::<f64>() / total,
                ]
            }
        };
        if self.n_outputs > 1 {
            let mean = intercepts.iter().sum::<f64>() / self.n_outputs as f64;
            intercepts.iter_mut().for_each(|b| *b -= mean);
        }
        let mut parameters = vec![0.0; self.n_parameters()];
        for (o, b) in intercepts.into_iter().enumerate() {
            parameters[o * self.side() + self.n_cols] = b;
        }
        parameters
    }

    /// The loss of the best model without features: the scale against which a fit is precise enough.
    pub fn null_loss(&self) -> f64 {
        self.loss(&self.null_parameters())
    }

    /// What rounding alone may leave of the objective's fall (a constant real target has no loss to compare with).
    pub fn rounding(&self) -> f64 {
        match self.task {
            Task::Regression => {
                let squares = (0..self.frame.n_rows).map(|i| self.frame.weight_of(i) * self.frame.target[i].powi(2));
                1e-28 * squares.sum::<f64>() + f64::MIN_POSITIVE
            }
            _ => 0.0,
        }
    }

    /// `Σᵢ wᵢ · lossᵢ`, without the penalty.
    pub fn loss(&self, parameters: &[f64]) -> f64 {
        let partials = self.sum_blocks(|block| self.block_residuals(parameters, &block).0);
        partials.into_iter().sum()
    }

    /// Value, gradient and curvature.
    pub fn evaluate(&self, parameters: &[f64]) -> Evaluation {
        let dense = self.has_dense_hessian();
        self.evaluate_as(parameters, dense)
    }

    /// The same with a Hessian however many the parameters (for constrained problems).
    pub fn evaluate_as(&self, parameters: &[f64], dense: bool) -> Evaluation {
        let mut partials = self.sum_blocks(|block| self.partial(parameters, &block, dense)).into_iter();
        let empty = Partial { loss: 0.0, gradient: vec![], hessian: vec![], rows: vec![] };
        let mut sum = partials.next().unwrap_or(empty);
        for p in partials {
            sum.loss += p.loss;
            add(&mut sum.gradient, &p.gradient);
            add(&mut sum.hessian, &p.hessian);
            sum.rows.extend(p.rows);
        }
        let mut value = sum.loss;
        for (coefficients, gradient) in
            parameters.chunks_exact(self.side()).zip(sum.gradient.chunks_exact_mut(self.side()))
        {
            for (b, g) in coefficients[..self.n_cols].iter().zip(gradient) {
                value += 0.5 * self.l2 * b * b;
                *g += self.l2 * b;
            }
        }
        let curvature = if dense { Curvature::Dense(self.assemble(&sum.hessian)) } else { Curvature::Rows(sum.rows) };
        Evaluation { value, gradient: sum.gradient, curvature }
    }

    /// The product of the Hessian and a vector, from [`Curvature::Rows`].
    pub fn hessian_times(&self, rows: &[f64], vector: &[f64]) -> Vec<f64> {
        let (weights, intercepts) = split(vector, self.side());
        let k = self.n_outputs;
        let partials = self.sum_indexed_blocks(|start, block| {
            let n = block.target.len();
            let mut t = vec![0.0; n * k];
            dot::affine(block.x, self.n_cols, &weights, &intercepts, &mut t);
            let rows = &rows[start * k..][..n * k];
            if k == 1 {
                t.iter_mut().zip(rows).for_each(|(t, c)| *t *= c);
            } else {
                for (i, (t, p)) in t.chunks_exact_mut(k).zip(rows.chunks_exact(k)).enumerate() {
                    let mean: f64 = t.iter().zip(p).map(|(t, p)| t * p).sum();
                    t.iter_mut().zip(p).for_each(|(t, p)| *t = block.weight_of(i) * p * (*t - mean));
                }
            }
            let mut product = vec![0.0; self.n_parameters()];
            dot::add_transposed_product(block.x, self.n_cols, &t, k, &mut product);
            product
        });
        let mut product = vec![0.0; self.n_parameters()];
        partials.iter().for_each(|p| add(&mut product, p));
        for (j, (p, v)) in product.iter_mut().zip(vector).enumerate() {
            if j % self.side() < self.n_cols {
                *p += self.l2 * v;
            }
        }
        product
    }

    /// The diagonal of the Hessian, from [`Curvature::Rows`].
    pub fn hessian_diagonal(&self, rows: &[f64]) -> Vec<f64> {
        let (k, side) = (self.n_outputs, self.side());
        let partials = self.sum_indexed_blocks(|start, block| {
            let mut diagonal = vec![0.0; self.n_parameters()];
            for i in 0..block.target.len() {
                let x = &block.x[i * self.n_cols..][..self.n_cols];
                for (c, diagonal) in rows[(start + i) * k..][..k].iter().zip(diagonal.chunks_exact_mut(side)) {
                    let c = if k == 1 { *c } else { block.weight_of(i) * c * (1.0 - c) };
                    diagonal.iter_mut().zip(x).for_each(|(d, v)| *d += c * f64::from(*v) * f64::from(*v));
                    diagonal[self.n_cols] += c;
                }
            }
            diagonal
        });
        let mut diagonal = vec![0.0; self.n_parameters()];
        partials.iter().for_each(|p| add(&mut diagonal, p));
        for (j, d) in diagonal.iter_mut().enumerate() {
            if j % side < self.n_cols {
                *d += self.l2;
            }
        }
        diagonal
    }

    /// Akaike's criterion at the minimum: twice the loss (for regression with the variance estimated) and twice the
    /// effective number of parameters tr H₀ H⁻¹, where H₀ is the Hessian without the penalty.
    pub fn akaike(&self, parameters: &[f64]) -> Result<f64> {
        let Curvature::Dense(hessian) = self.evaluate_as(parameters, true).curvature else {
            return Ok(f64::NAN); // Not reached: a dense Hessian was asked for.
        };
        let factor = solve::Cholesky::new(hessian, self.n_parameters())?;
        // tr H₀ H⁻¹ = n − l2 · Σ of the penalised diagonal elements of H⁻¹.
        let penalised = (0..self.n_parameters()).filter(|j| j % self.side() < self.n_cols);
        let lost: f64 = penalised.map(|j| factor.inverse_diagonal(j)).sum::<f64>() * self.l2;
        let effective = self.n_parameters() as f64 - lost;
        let loss = self.loss(parameters);
        Ok(match self.task {
            Task::Regression => {
                let total = self.total_weight();
                total * (2.0 * loss / total).ln() + 2.0 * effective
            }
            _ => 2.0 * (loss + effective),
        })
    }

    /// Loss, gradient and curvature of a block.
    fn partial(&self, parameters: &[f64], block: &Block<'_>, dense: bool) -> Partial {
        let (k, side) = (self.n_outputs, self.side());
        let (loss, residuals, rows) = self.block_residuals(parameters, block);
        let mut gradient = vec![0.0; self.n_parameters()];
        dot::add_transposed_product(block.x, self.n_cols, &residuals, k, &mut gradient);
        if !dense {
            return Partial { loss, gradient, hessian: vec![], rows };
        }
        let mut hessian = vec![0.0; k * (k + 1) / 2 * side * side];
        let mut matrices = hessian.chunks_exact_mut(side * side);
        if k == 1 {
            matrices.by_ref().take(1).for_each(|m| dot::gram(block.x, self.n_cols, &rows, m));
        } else {
            for a in 0..k {
                for b in 0..=a {
                    let weight =
                        |(i, p): (usize, &[f64])| block.weight_of(i) * p[a] * (f64::from(u8::from(a == b)) - p[b]);
                    let weights: Vec<f64> = rows.chunks_exact(k).enumerate().map(weight).collect();
                    matrices.by_ref().take(1).for_each(|m| dot::gram(block.x, self.n_cols, &weights, m));
                }
            }
        }
        Partial { loss, gradient, hessian, rows: vec![] }
    }

    /// The loss of a block, the derivatives of the loss by the margins, row-major `n_rows × n_outputs`, and the rows'
    /// part of [`Curvature::Rows`].
    fn block_residuals(&self, parameters: &[f64], block: &Block<'_>) -> (f64, Vec<f64>, Vec<f64>) {
        let (weights, intercepts) = split(parameters, self.side());
        let (n, k) = (block.target.len(), self.n_outputs);
        let mut margins = vec![0.0; n * k];
        dot::affine(block.x, self.n_cols, &weights, &intercepts, &mut margins);
        match self.task {
            Task::Binary => binary_residuals(block, margins),
            Task::Classes(_) => class_residuals(block, margins, k),
            Task::Regression => {
                let mut loss = 0.0;
                let mut rows = Vec::with_capacity(n);
                for (i, m) in margins.iter_mut().enumerate() {
                    let (w, r) = (block.weight_of(i), *m - block.target[i]);
                    loss += 0.5 * w * r * r;
                    *m = w * r;
                    rows.push(w);
                }
                (loss, margins, rows)
            }
        }
    }

    /// The Hessian's lower triangle from the matrices of pairs of outputs, with the penalty.
    fn assemble(&self, pairs: &[f64]) -> Vec<f64> {
        let (k, side, d) = (self.n_outputs, self.side(), self.n_parameters());
        let mut hessian = vec![0.0; d * d];
        let mut matrices = pairs.chunks_exact(side * side);
        for a in 0..k {
            for (b, matrix) in (0..=a).zip(matrices.by_ref()) {
                for i in 0..side {
                    for j in 0..side {
                        let v = matrix[i.max(j) * side + i.min(j)];
                        hessian[(a * side + i) * d + b * side + j] = v;
                    }
                }
            }
        }
        for j in (0..d).filter(|j| j % side < self.n_cols) {
            hessian[j * d + j] += self.l2;
        }
        if k > 1 {
            // Softmax does not change when all margins rise: curvature along the intercepts' common direction, in which
            // there is no gradient, makes the Hessian invertible and moves no solution.
            let c = self.total_weight() / (k * k) as f64;
            for a in 0..k {
                for b in 0..=a {
                    hessian[(a * side + self.n_cols) * d + b * side + self.n_cols] += c;
                }
            }
        }
        hessian
    }

    /// What `of` gives for each block of rows, in their order.
    fn sum_blocks<T: Send>(&self, of: impl Fn(Block<'_>) -> T + Sync) -> Vec<T> {
        self.sum_indexed_blocks(|_, block| of(block))
    }

    /// The same, where `of` also gets the block's first row. Blocks depend on the number of rows alone.
    fn sum_indexed_blocks<T: Send>(&self, of: impl Fn(usize, Block<'_>) -> T + Sync) -> Vec<T> {
        let n_rows = self.frame.n_rows;
        let size = BLOCK_ROWS.max(n_rows.div_ceil(BLOCKS));
        let block = |start: usize| {
            let end = n_rows.min(start + size);
            let x = &self.frame.dense.data[start * self.n_cols..end * self.n_cols];
            let weight = self.frame.weight.as_ref().map(|w| &w[start..end]);
            of(start, Block { x, target: &self.frame.target[start..end], weight })
        };
        (0..n_rows.div_ceil(size)).into_par_iter().map(|b| block(b * size)).collect()
    }
}

/// −ln p(y) = max(m, 0) − y m + ln(1 + e^(−|m|)); its derivatives are p − y and p (1 − p).
fn binary_residuals(block: &Block<'_>, mut margins: Vec<f64>) -> (f64, Vec<f64>, Vec<f64>) {
    let mut e: Vec<f64> = margins.iter().map(|m| -m.abs()).collect();
    math::exp_slice(&mut e);
    let mut logs: Vec<f64> = e.iter().map(|e| 1.0 + e).collect();
    math::ln_slice(&mut logs);
    let mut loss = 0.0;
    for (i, ((m, e), log)) in margins.iter_mut().zip(&mut e).zip(&logs).enumerate() {
        let (w, y) = (block.weight_of(i), block.target[i]);
        let p = if *m < 0.0 { *e / (1.0 + *e) } else { 1.0 / (1.0 + *e) };
        loss += w * (m.max(0.0) - y * *m + log);
        *m = w * (p - y);
        // p (1 − p) without cancellation.
        *e = w * *e / ((1.0 + *e) * (1.0 + *e));
    }
    (loss, margins, e)
}

/// −ln p_y = ln Σ e^m − m_y; its derivatives are p − 1(y), and the rows keep p.
fn class_residuals(block: &Block<'_>, margins: Vec<f64>, k: usize) -> (f64, Vec<f64>, Vec<f64>) {
    let mut p = margins.clone();
    for row in p.chunks_exact_mut(k) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|m| *m -= top);
    }
    let shifted: Vec<f64> = p.chunks_exact(k).zip(block.target).map(|(row, y)| row[*y as usize]).collect();
    math::exp_slice(&mut p);
    let mut logs: Vec<f64> = p.chunks_exact(k).map(|row| row.iter().sum()).collect();
    p.chunks_exact_mut(k).zip(&logs).for_each(|(row, sum)| row.iter_mut().for_each(|p| *p /= sum));
    math::ln_slice(&mut logs);
    let (mut loss, mut residuals) = (0.0, margins);
    for (i, (residual, p)) in residuals.chunks_exact_mut(k).zip(p.chunks_exact(k)).enumerate() {
        let (w, y) = (block.weight_of(i), block.target[i] as usize);
        loss += w * (logs[i] - shifted[i]);
        for (o, (r, p)) in residual.iter_mut().zip(p).enumerate() {
            *r = w * (p - f64::from(u8::from(o == y)));
        }
    }
    (loss, residuals, p)
}

/// Coefficients, row-major `n_outputs × n_cols`, and intercepts of parameters with rows of `side`.
pub(super) fn split(parameters: &[f64], side: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = parameters.chunks_exact(side);
    (rows.clone().flat_map(|r| &r[..side - 1]).copied().collect(), rows.map(|r| r[side - 1]).collect())
}

/// `sum += part`, element by element.
fn add(sum: &mut [f64], part: &[f64]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
}
