//! Tokens of features (Gorishniy et al. 2021): each feature of a row becomes a vector of d numbers.
//!
//! With C the input columns of token t (a number and its flags, or the flags of a category, whose weights are then the
//! embeddings of its levels): `yₜ = bₜ + Σ_{c ∈ C} x_c W_c`; backward `dW_c += x_c dyₜ`, `dbₜ += dyₜ`, `dx_c = W_c · dyₜ`.

use super::sequence::{MAX_COLUMNS, Sequence, check_size};
use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::{Result, Rng};
use std::ops::Range;

/// Tokens of features.
#[derive(Debug, Clone)]
pub struct FeatureTokens {
    /// The token of each input column.
    token_of: Vec<usize>,
    n_tokens: usize,
    d: usize,
    /// Columns × d.
    weight: Range<usize>,
    /// Tokens × d.
    bias: Range<usize>,
}

impl FeatureTokens {
    /// For input columns that belong to the tokens `token_of`, numbered from 0; adds `name.weight` (columns × d) and
    /// `name.bias` (tokens × d) to the parameters, both uniform between ±1/√d (the authors' start).
    ///
    /// # Errors
    /// No columns, or a width of 0; more than [`MAX_COLUMNS`] outputs.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        token_of: Vec<usize>,
        d: usize,
    ) -> Result<FeatureTokens> {
        let n_tokens = token_of.iter().max().map_or(0, |t| t + 1);
        check_size("columns of tokens", n_tokens * d, 1..=MAX_COLUMNS)?;
        let bound = Init::Uniform(1.0 / (d as f32).sqrt());
        let weight = params.add(format!("{name}.weight"), &[token_of.len(), d], &bound, Role::BIAS, rng);
        let bias = params.add(format!("{name}.bias"), &[n_tokens, d], &bound, Role::BIAS, rng);
        Ok(FeatureTokens { token_of, n_tokens, d, weight, bias })
    }

    /// The shape of the output: a step a token.
    ///
    /// # Errors
    /// Sizes that no sequence may have.
    pub fn output(&self) -> Result<Sequence> {
        Sequence::new(self.n_tokens, self.d)
    }
}

impl Layer for FeatureTokens {
    fn n_in(&self) -> usize {
        self.token_of.len()
    }
    fn n_out(&self) -> usize {
        self.n_tokens * self.d
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (weight, bias) = (&pass.params[self.weight.clone()], &pass.params[self.bias.clone()]);
        for (x, y) in x.chunks_exact(self.n_in()).zip(y.chunks_exact_mut(self.n_out())) {
            y.copy_from_slice(bias);
            for ((x, token), w) in x.iter().zip(&self.token_of).zip(weight.chunks_exact(self.d)) {
                // Most flags are 0.
                if *x != 0.0 {
                    y[token * self.d..][..self.d].iter_mut().zip(w).for_each(|(y, w)| *y += x * w);
                }
            }
        }
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let weight = &pass.params[self.weight.clone()];
        for (row, (x, dy)) in x.chunks_exact(self.n_in()).zip(dy.chunks_exact(self.n_out())).enumerate() {
            pass.grads[self.bias.clone()].iter_mut().zip(dy).for_each(|(g, d)| *g += d);
            let own = pass.grads[self.weight.clone()].chunks_exact_mut(self.d);
            for ((x, token), grads) in x.iter().zip(&self.token_of).zip(own) {
                if *x != 0.0 {
                    grads.iter_mut().zip(&dy[token * self.d..]).for_each(|(g, d)| *g += x * d);
                }
            }
            if let Some(dx) = dx.as_deref_mut() {
                let dx = dx[row * self.n_in()..].iter_mut().zip(&self.token_of);
                for ((dx, token), w) in dx.zip(weight.chunks_exact(self.d)) {
                    *dx = w.iter().zip(&dy[token * self.d..]).map(|(w, d)| w * d).sum();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut params = Params::default();
        let layer = FeatureTokens::new(&mut params, &mut Rng::new(1), "t", vec![0, 2, 1, 0], 5).expect("allowed");
        assert_eq!((layer.n_in(), layer.n_out()), (4, 15));
        check::finite_differences(&layer, &params, 3);
    }

    #[test]
    fn a_token_is_its_bias_and_the_weights_of_its_columns() {
        let mut params = Params::default();
        let layer = FeatureTokens::new(&mut params, &mut Rng::new(1), "t", vec![0, 1, 0], 1).expect("allowed");
        params.set("t.weight", &[2.0, 3.0, 5.0]).expect("3 columns");
        params.set("t.bias", &[0.5, 0.25]).expect("2 tokens");
        let mut work = crate::workspace::Workspace::forward_only(&layer, 2);
        let x = [1.0, 0.0, 0.0, -1.0, 2.0, 1.0];
        let y = work.forward(&layer, &params.values, &x, 2, crate::layer::Mode::Evaluate, crate::layer::Math::Score);
        assert_eq!(y, [2.5, 0.25, 3.5, 6.25]);
    }

    #[test]
    fn refuses_no_columns_and_no_width() {
        for (columns, d) in [(vec![], 4), (vec![0], 0)] {
            let error = FeatureTokens::new(&mut Params::default(), &mut Rng::new(1), "t", columns, d);
            assert!(error.is_err());
        }
    }
}
