//! Batch normalisation (Ioffe and Szegedy 2015) of each column: `y = g (x − μ) / √(σ² + ε) + b`.
//!
//! In training μ and σ² are those of the pass's rows. Where a batch is split into shards, each shard is normalised by its
//! own statistics («ghost batch normalisation», Hoffer et al. 2017): gradients stay exact for each shard, no shard waits
//! for another, and the result depends on the number of shards, which is a function of the work alone. The parameters
//! `mean` and `variance` follow the batches' statistics (`Role::Running`): the forward pass in training adds μ and σ² n/(n − 1),
//! times the shard's share of the batch, to their places in the gradients, and the optimizer moves them by `momentum` of the
//! way. In evaluation they stand for μ and σ².
//!
//! With x̂ = (x − μ) / √(σ² + ε): `dg += Σᵢ dy x̂`, `db += Σᵢ dy`, `dx = g (dy − mean dy − x̂ mean(dy x̂)) / √(σ² + ε)` with
//! means over the rows; in evaluation, where μ and σ² do not depend on x, both means are left out.

use super::sequence::{MAX_COLUMNS, check_size};
use super::{Layer, Mode, Pass};
use crate::params::{Init, Params, Role, padded};
use statera_core::{Error, Result, Rng};
use statera_kernel::{elementwise, normalise};
use std::ops::Range;

/// ε, PyTorch's.
const EPSILON: f32 = 1e-5;

/// Batch normalisation.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    n_cols: usize,
    gain: Range<usize>,
    shift: Range<usize>,
    mean: Range<usize>,
    variance: Range<usize>,
}

impl BatchNorm {
    /// Adds `name.gain` (1 at the start), `name.shift` (0), `name.mean` (0) and `name.variance` (1) of `n_cols` numbers to the
    /// parameters. `momentum` is the newest batch's share of the running statistics; PyTorch's is 0.1.
    ///
    /// # Errors
    /// No columns, or a momentum outside (0, 1].
    pub fn new(params: &mut Params, name: &str, n_cols: usize, momentum: f32) -> Result<BatchNorm> {
        check_size("columns of a batch normalisation", n_cols, 1..=MAX_COLUMNS)?;
        if !(momentum > 0.0 && momentum <= 1.0) {
            return Err(Error::request(format!("momentum {momentum}; allowed: above 0, at most 1")));
        }
        // Constants draw nothing.
        let mut rng = Rng::new(0);
        let mut own = params.of(name, &mut rng);
        let mut add = |part, value, role| own.add(part, &[n_cols], &Init::Constant(value), role);
        let running = Role::Running { momentum };
        Ok(BatchNorm {
            n_cols,
            gain: add("gain", 1.0, Role::BIAS),
            shift: add("shift", 0.0, Role::BIAS),
            mean: add("mean", 0.0, running),
            variance: add("variance", 1.0, running),
        })
    }

    /// Writes the statistics of the rows and adds them to the running ones' places.
    fn measure(&self, pass: &mut Pass, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
        let n = pass.n_rows as f32;
        mean.fill(0.0);
        variance.fill(0.0);
        if pass.n_rows == 0 {
            // A shard without rows leaves the running statistics where they are.
            mean.copy_from_slice(&pass.params[self.mean.clone()]);
            variance.copy_from_slice(&pass.params[self.variance.clone()]);
        } else {
            elementwise::add_rows(x, mean);
            mean.iter_mut().for_each(|m| *m /= n);
            normalise::add_squares(x, mean, variance);
            variance.iter_mut().for_each(|v| *v /= n);
        }
        if !pass.grads.is_empty() {
            let unbiased = if pass.n_rows > 1 { n / (n - 1.0) } else { 1.0 };
            let share = pass.share;
            pass.grads[self.mean.clone()].iter_mut().zip(mean).for_each(|(g, m)| *g += *m * share);
            pass.grads[self.variance.clone()].iter_mut().zip(variance).for_each(|(g, v)| *g += *v * (unbiased * share));
        }
    }
}

/// The cache holds μ and 1 / √(σ² + ε).
impl Layer for BatchNorm {
    fn n_in(&self) -> usize {
        self.n_cols
    }
    fn n_out(&self) -> usize {
        self.n_cols
    }
    fn cache_len(&self, _n_rows: usize) -> usize {
        padded(self.n_cols) + self.n_cols
    }
    /// Column sums and factors.
    fn scratch_len(&self, _n_rows: usize) -> usize {
        3 * padded(self.n_cols)
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let (mean, inverse) = cache.split_at_mut(padded(self.n_cols));
        let (mean, inverse) = (&mut mean[..self.n_cols], &mut inverse[..self.n_cols]);
        if let Mode::Train { .. } = pass.mode {
            self.measure(pass, x, mean, inverse);
        } else {
            mean.copy_from_slice(&pass.params[self.mean.clone()]);
            inverse.copy_from_slice(&pass.params[self.variance.clone()]);
        }
        let scale = &mut scratch[..self.n_cols];
        for ((i, scale), gain) in inverse.iter_mut().zip(scale.iter_mut()).zip(&pass.params[self.gain.clone()]) {
            *i = 1.0 / (*i + EPSILON).sqrt();
            *scale = *i * *gain;
        }
        normalise::columns(x, mean, scale, &pass.params[self.shift.clone()], y);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let n_cols = self.n_cols;
        let (mean, inverse) = pass.cache.split_at(padded(n_cols));
        let (mean, inverse) = (&mean[..n_cols], &inverse[..n_cols]);
        let (sums, rest) = pass.scratch.split_at_mut(padded(n_cols));
        let (products, scale) = rest.split_at_mut(padded(n_cols));
        let (sums, products, scale) = (&mut sums[..n_cols], &mut products[..n_cols], &mut scale[..n_cols]);
        sums.fill(0.0);
        products.fill(0.0);
        elementwise::add_rows(dy, sums);
        normalise::add_products(x, mean, inverse, dy, products);
        elementwise::add(&mut pass.grads[self.shift.clone()], sums);
        elementwise::add(&mut pass.grads[self.gain.clone()], products);
        let Some(dx) = dx else { return };
        let one_over_n = if pass.mode == Mode::Evaluate { 0.0 } else { 1.0 / pass.n_rows.max(1) as f32 };
        let gain = &pass.params[self.gain.clone()];
        for (c, scale) in scale.iter_mut().enumerate() {
            sums[c] *= one_over_n;
            products[c] *= one_over_n * inverse[c];
            *scale = gain[c] * inverse[c];
        }
        normalise::columns_backward(x, mean, scale, [sums, products], dy, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Math;
    use crate::workspace::Workspace;

    fn layer(n_cols: usize) -> (BatchNorm, Params) {
        let mut params = Params::default();
        (BatchNorm::new(&mut params, "norm", n_cols, 0.1).expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for (name, n_cols) in [("train", 19), ("train_narrow", 1), ("evaluate", 17)] {
            let (layer, params) = layer(n_cols);
            check::torch_case(&layer, &params, "batch_norm", &format!("batch_norm_{name}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for n_cols in [1, 19] {
            let (layer, params) = layer(n_cols);
            check::finite_differences(&layer, &params, 9);
        }
    }

    #[test]
    fn leaves_its_share_of_the_statistics_in_the_gradients() {
        let (layer, params) = layer(2);
        let mut work = Workspace::new(&layer, params.values.len(), 3);
        // Half of a batch of 6.
        let x = [1.0, 10.0, 2.0, 10.0, 6.0, 10.0];
        work.forward(&layer, &params.values, &x, 6, Mode::Train { seed: 1 }, Math::Train);
        assert_eq!(work.grads[layer.mean.clone()], [1.5, 5.0]);
        assert_eq!(work.grads[layer.variance.clone()], [3.5, 0.0]);
        // A pass without rows does not move them.
        work.grads.fill(0.0);
        work.forward(&layer, &params.values, &[], 6, Mode::Train { seed: 1 }, Math::Train);
        assert_eq!(work.grads[layer.variance.clone()], [0.0, 0.0], "a share of 0");
    }

    #[test]
    fn one_row_or_a_constant_column_becomes_the_shift() {
        let (layer, params) = layer(2);
        let mut work = Workspace::new(&layer, params.values.len(), 3);
        let train = Mode::Train { seed: 1 };
        assert_eq!(work.forward(&layer, &params.values, &[3.0, -7.0], 1, train, Math::Train), [0.0, 0.0]);
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let mut rng = Rng::new(2);
        let (layer, mut params) = layer(19);
        params.values[layer.variance.clone()].iter_mut().for_each(|v| *v = rng.uniform() as f32 + 0.1);
        params.values[layer.mean.clone()].iter_mut().for_each(|v| *v = rng.normal() as f32);
        let x: Vec<f32> = (0..37 * 19).map(|_| rng.normal() as f32).collect();
        check::same_bits_everywhere(&layer, &params, &x);
    }

    #[test]
    fn rejects_what_is_outside_the_range() {
        for (n_cols, momentum, expected) in [
            (0, 0.1, "columns of a batch normalisation 0; allowed: 1 to 16777216"),
            (2, 0.0, "momentum 0; allowed: above 0, at most 1"),
            (2, 1.5, "momentum 1.5; allowed: above 0, at most 1"),
        ] {
            let made = BatchNorm::new(&mut Params::default(), "norm", n_cols, momentum);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
