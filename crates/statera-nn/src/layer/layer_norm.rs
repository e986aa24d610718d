//! Layer normalisation (Ba, Kiros and Hinton 2016) of each row: `y = g ⊙ (x − μ) / √(σ² + ε) + b`.
//!
//! With x̂ = (x − μ) / √(σ² + ε) and δ = dy ⊙ g: `dg += Σᵢ dy ⊙ x̂`, `db += Σᵢ dy`,
//! `dx = (δ − mean δ − x̂ mean(δ ⊙ x̂)) / √(σ² + ε)`. μ and σ² are taken over the row's columns.

use super::sequence::{MAX_COLUMNS, check_size};
use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::{Result, Rng};
use statera_kernel::normalise;
use std::ops::Range;

/// ε, PyTorch's.
const EPSILON: f32 = 1e-5;

/// Layer normalisation.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    n_cols: usize,
    gain: Range<usize>,
    shift: Range<usize>,
}

impl LayerNorm {
    /// Adds `name.gain` (g, 1 at the start) and `name.shift` (b, 0) of `n_cols` numbers to the parameters.
    ///
    /// # Errors
    /// No columns.
    pub fn new(params: &mut Params, name: &str, n_cols: usize) -> Result<LayerNorm> {
        check_size("columns of a layer normalisation", n_cols, 1..=MAX_COLUMNS)?;
        // Constants draw nothing.
        let rng = &mut Rng::new(0);
        let gain = params.add(format!("{name}.gain"), &[n_cols], &Init::Constant(1.0), Role::BIAS, rng);
        let shift = params.add(format!("{name}.shift"), &[n_cols], &Init::Constant(0.0), Role::BIAS, rng);
        Ok(LayerNorm { n_cols, gain, shift })
    }
}

/// The cache holds μ and 1 / √(σ² + ε) of each row.
impl Layer for LayerNorm {
    fn n_in(&self) -> usize {
        self.n_cols
    }
    fn n_out(&self) -> usize {
        self.n_cols
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        2 * n_rows
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (gain, shift) = (&pass.params[self.gain.clone()], &pass.params[self.shift.clone()]);
        normalise::rows(x, gain, shift, EPSILON, &mut pass.cache[..2 * pass.n_rows], y);
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let gain = &pass.params[self.gain.clone()];
        // The gain lies before the shift in the arena.
        let (before, shift_and_more) = pass.grads.split_at_mut(self.shift.start);
        let (d_gain, d_shift) = (&mut before[self.gain.clone()], &mut shift_and_more[..self.n_cols]);
        normalise::rows_backward(x, gain, &pass.cache[..2 * pass.n_rows], dy, d_gain, d_shift);
        if let Some(dx) = dx {
            dx.copy_from_slice(dy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn layer(n_cols: usize) -> (LayerNorm, Params) {
        let mut params = Params::default();
        (LayerNorm::new(&mut params, "norm", n_cols).expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for n_cols in [5, 16, 37] {
            let (layer, params) = layer(n_cols);
            check::torch_case(&layer, &params, "layer_norm", &format!("layer_norm_{n_cols}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for n_cols in [3, 19] {
            let (layer, params) = layer(n_cols);
            check::finite_differences(&layer, &params, 5);
        }
    }

    #[test]
    fn a_constant_row_becomes_the_shift() {
        let (layer, params) = layer(5);
        let mut work = crate::workspace::Workspace::forward_only(&layer, 1);
        let (mode, math) = (crate::layer::Mode::Evaluate, crate::layer::Math::Score);
        assert_eq!(work.forward(&layer, &params.values, &[0.5; 5], 1, mode, math), [0.0; 5]);
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let mut rng = Rng::new(2);
        let x: Vec<f32> = (0..37 * 37).map(|_| rng.normal() as f32).collect();
        let (layer, params) = layer(37);
        check::same_bits_everywhere(&layer, &params, &x);
    }

    #[test]
    fn rejects_no_columns() {
        let message = LayerNorm::new(&mut Params::default(), "norm", 0).expect_err("no columns").to_string();
        assert_eq!(message, "columns of a layer normalisation 0; allowed: 1 to 16777216");
    }
}
