//! Dense layer with its activation: `y = f(x W + b)`.
//!
//! W is `n_in × n_out`, row-major (PyTorch's transposed): a row of outputs is contiguous, which is what a vector of
//! outputs reads. Backward, with δ = dy ⊙ f′: `dW += xᵀ δ`, `db += Σᵢ δᵢ`, `dx = δ Wᵀ`.

use super::{Layer, Pass};
use crate::activation::Activation;
use crate::params::{Init, Params, Role};
use crate::product;
use statera_core::Rng;
use std::ops::Range;

/// A dense layer.
#[derive(Debug, Clone)]
pub struct Dense {
    n_in: usize,
    n_out: usize,
    /// Applied to each output.
    pub activation: Activation,
    weight: Range<usize>,
    bias: Option<Range<usize>>,
}

impl Dense {
    /// Adds `name.weight` (n_in × n_out) and `name.bias` (n_out) to the parameters, both uniform between
    /// ±1/√n_in (PyTorch's start).
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        n_in: usize,
        n_out: usize,
        activation: Activation,
    ) -> Dense {
        let bound = Init::Uniform(1.0 / (n_in.max(1) as f32).sqrt());
        Dense {
            n_in,
            n_out,
            activation,
            weight: params.add(format!("{name}.weight"), &[n_in, n_out], &bound, Role::WEIGHT, rng),
            bias: Some(params.add(format!("{name}.bias"), &[n_out], &bound, Role::BIAS, rng)),
        }
    }

    /// The same without a bias.
    pub fn without_bias(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        n_in: usize,
        n_out: usize,
        activation: Activation,
    ) -> Dense {
        let bound = Init::Uniform(1.0 / (n_in.max(1) as f32).sqrt());
        let weight = params.add(format!("{name}.weight"), &[n_in, n_out], &bound, Role::WEIGHT, rng);
        Dense { n_in, n_out, activation, weight, bias: None }
    }
}

impl Layer for Dense {
    fn n_in(&self) -> usize {
        self.n_in
    }
    fn n_out(&self) -> usize {
        self.n_out
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.activation.cache_len(n_rows * self.n_out)
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let bias = self.bias.as_ref().map(|b| &pass.params[b.clone()]);
        product::affine(pass.math, x, self.n_in, &pass.params[self.weight.clone()], bias, y);
        self.activation.forward(y, self.n_out, pass.cache);
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        self.activation.backward(y, dy, self.n_out, pass.cache);
        product::add_weight_gradient(x, self.n_in, dy, &mut pass.grads[self.weight.clone()]);
        if let Some(bias) = &self.bias {
            product::add_column_sums(dy, &mut pass.grads[bias.clone()]);
        }
        if let Some(dx) = dx {
            product::input_gradient(dy, self.n_out, &pass.params[self.weight.clone()], dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn layer(activation: Activation) -> (Dense, Params) {
        sized(5, 19, activation)
    }

    fn sized(n_in: usize, n_out: usize, activation: Activation) -> (Dense, Params) {
        let mut params = Params::default();
        let layer = Dense::new(&mut params, &mut Rng::new(1), "dense", n_in, n_out, activation);
        (layer, params)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for activation in Activation::ALL {
            let (layer, params) = layer(activation);
            check::finite_differences(&layer, &params, 7);
        }
    }

    #[test]
    fn equals_pytorch() {
        for (suffix, n_in, n_out) in [("", 5, 19), ("_least", 1, 1), ("_wide", 37, 16)] {
            for activation in Activation::ALL {
                let (layer, params) = sized(n_in, n_out, activation);
                check::torch_case(&layer, &params, "dense", &format!("dense_{}{suffix}", activation.name()));
            }
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let mut rng = Rng::new(2);
        let x: Vec<f32> = (0..37 * 5).map(|_| rng.normal() as f32).collect();
        for activation in Activation::ALL {
            let (layer, params) = layer(activation);
            check::same_bits_everywhere(&layer, &params, &x);
        }
    }
}
