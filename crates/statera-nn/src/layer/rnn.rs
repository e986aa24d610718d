//! Simple recurrent network (Elman 1990): `hₜ = f(xₜ W + hₜ₋₁ U + b)` with f = tanh or max(·, 0), h₀ = 0.
//!
//! b is the sum of PyTorch's two biases. Backward, from the last step to the first: `δₜ = dhₜ ⊙ f′`, `dhₜ₋₁ = δₜ Uᵀ`; then
//! for all steps at once `dW += Σₜ xₜᵀ δₜ`, `dU += Σₜ hₜ₋₁ᵀ δₜ`, `db += Σₜ δₜ`, `dxₜ = δₜ Wᵀ`.

use super::recurrent::{Shape, States, add_weight_gradient, steps_together};
use super::sequence::Sequence;
use super::{Layer, Pass};
use crate::activation::Activation;
use crate::params::{Init, Params, Role, padded};
use crate::product::{self, View};
use statera_core::{Error, Result, Rng};
use std::ops::Range;

/// A simple recurrent network.
#[derive(Debug, Clone)]
pub struct Rnn {
    shape: Shape,
    activation: Activation,
    input_weight: Range<usize>,
    recurrent_weight: Range<usize>,
    bias: Range<usize>,
}

impl Rnn {
    /// Adds `name.input_weight` (n_features × n_hidden), `name.recurrent_weight` (n_hidden × n_hidden) and `name.bias`
    /// (n_hidden) to the parameters, uniform between ±1/√n_hidden.
    ///
    /// # Errors
    /// An empty sequence, steps with weights, no hidden units, or an activation other than tanh and relu.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        input: Sequence,
        n_hidden: usize,
        states: States,
        activation: Activation,
    ) -> Result<Rnn> {
        input.check_unweighed("a simple recurrent network")?;
        let shape = Shape::new(input, n_hidden, states)?;
        if !matches!(activation, Activation::Tanh | Activation::Relu) {
            let name = activation.name();
            return Err(Error::request(format!("activation {name} of a recurrent network; allowed: tanh, relu")));
        }
        let bound = Init::Uniform(1.0 / (n_hidden as f32).sqrt());
        let mut own = params.of(name, rng);
        let mut add = |part, shape: &[usize], role| own.add(part, shape, &bound, role);
        Ok(Rnn {
            shape,
            activation,
            input_weight: add("input_weight", &[input.n_features, n_hidden], Role::WEIGHT),
            recurrent_weight: add("recurrent_weight", &[n_hidden, n_hidden], Role::WEIGHT),
            bias: add("bias", &[n_hidden], Role::BIAS),
        })
    }

    /// Floats of x, step-major, and of the states; the states begin with that before the first step.
    fn part_lens(&self, n_rows: usize) -> [usize; 2] {
        let n_steps = self.shape.input.n_steps;
        [n_rows * n_steps * self.shape.input.n_features, (n_steps + 1) * n_rows * self.shape.n_hidden]
    }
}

impl Layer for Rnn {
    fn n_in(&self) -> usize {
        self.shape.input.n_cols()
    }
    fn n_out(&self) -> usize {
        self.shape.n_out()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        let [steps, states] = self.part_lens(n_rows);
        padded(steps) + states
    }
    /// The gradients of the states after all steps and, step-major, of x.
    fn scratch_len(&self, n_rows: usize) -> usize {
        let [steps, states] = self.part_lens(n_rows);
        padded(states) + steps
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (n_rows, n, n_features) = (pass.n_rows, self.shape.n_hidden, self.shape.input.n_features);
        let (steps, h) = pass.cache.split_at_mut(padded(self.part_lens(n_rows)[0]));
        let (run, state) = (self.shape.run(x), n_rows * n);
        self.shape.gather(x, n_rows, run.clone(), steps);
        let (w, bias) = (&pass.params[self.input_weight.clone()], &pass.params[self.bias.clone()]);
        let u = View::rows(&pass.params[self.recurrent_weight.clone()], n);
        h[..state].fill(0.0);
        for t in run.clone() {
            let together = steps_together(n_rows);
            if t.is_multiple_of(together) {
                let steps = self.shape.steps(t..run.end.min(t + together), n_rows, steps);
                let h = &mut h[(t + 1) * state..][..steps.len() / n_features * n];
                product::affine(pass.math, steps, n_features, w, Some(bias), h);
            }
            let (h_before, h) = h[t * state..][..2 * state].split_at_mut(state);
            if t > 0 {
                product::product(pass.math, View::rows(h_before, n), u, true, h, n);
            }
            self.activation.forward(h, n, &mut []);
        }
        self.shape.put_out(x, n_rows, &run, &h[state..], y);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (n_rows, n, n_features) = (pass.n_rows, self.shape.n_hidden, self.shape.input.n_features);
        let [steps_len, states_len] = self.part_lens(n_rows);
        let (steps, h) = pass.cache.split_at_mut(padded(steps_len));
        let (deltas, d_steps) = pass.scratch.split_at_mut(padded(states_len));
        let (run, state) = (self.shape.run(x), n_rows * n);
        // All that have steps have the first: no step has a weight.
        let n_run = run.end;
        deltas[..n_run * state].fill(0.0);
        let u = &pass.params[self.recurrent_weight.clone()];
        for t in run.clone().rev() {
            let (earlier, delta) = deltas[..(t + 1) * state].split_at_mut(t * state);
            self.shape.add_output_gradient(t, x, &run, dy, delta);
            self.activation.backward(&h[(t + 1) * state..][..state], delta, n, &mut []);
            if t > 0 {
                product::input_gradient(delta, n, u, &mut earlier[(t - 1) * state..]);
            }
        }
        let deltas = &deltas[..n_run * state];
        let steps = &steps[..n_run * n_rows * n_features];
        add_weight_gradient(steps, n_features, deltas, &mut pass.grads[self.input_weight.clone()]);
        add_weight_gradient(&h[..n_run * state], n, deltas, &mut pass.grads[self.recurrent_weight.clone()]);
        product::add_column_sums(deltas, &mut pass.grads[self.bias.clone()]);
        if let Some(dx) = dx {
            let d_steps = &mut d_steps[..steps.len()];
            product::input_gradient(deltas, n, &pass.params[self.input_weight.clone()], d_steps);
            self.shape.scatter(x, n_rows, run, d_steps, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Counted;

    fn layer(n_hidden: usize, states: States, counted: Counted, activation: Activation) -> (Rnn, Params) {
        let mut params = Params::default();
        let input = Sequence { n_steps: 4, n_features: 3, counted };
        let layer = Rnn::new(&mut params, &mut Rng::new(1), "rnn", input, n_hidden, states, activation);
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for (name, n_hidden, states, counted) in check::RECURRENT_CASES {
            for activation in [Activation::Tanh, Activation::Relu] {
                let (layer, params) = layer(n_hidden, states, counted, activation);
                check::torch_case(&layer, &params, "rnn", &format!("rnn_{}_{name}", activation.name()));
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (_, n_hidden, states, counted) in check::RECURRENT_CASES {
            let (layer, params) = layer(n_hidden, states, counted, Activation::Tanh);
            check::finite_differences_at(&layer, &params, &check::sequences(&layer.shape.input, 6, 3), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for (_, n_hidden, states, counted) in check::RECURRENT_CASES {
            let (layer, params) = layer(n_hidden, states, counted, Activation::Tanh);
            check::same_bits_everywhere(&layer, &params, &check::sequences(&layer.shape.input, 37, 4));
        }
    }

    #[test]
    fn rejects_sizes_of_zero() {
        for (n_steps, n_features, n_hidden, expected) in [
            (0, 3, 2, "steps 0; allowed: 1 to 65536"),
            (4, 0, 2, "features of a step 0; allowed: 1 to 65536"),
            (4, 3, 0, "hidden units 0; allowed: 1 to 65536"),
        ] {
            let input = Sequence { n_steps, n_features, counted: Counted::All };
            let made = Rnn::new(
                &mut Params::default(),
                &mut Rng::new(1),
                "rnn",
                input,
                n_hidden,
                States::Last,
                Activation::Tanh,
            );
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }

    #[test]
    fn rejects_other_activations() {
        let input = Sequence { n_steps: 2, n_features: 2, counted: Counted::All };
        let (params, rng) = (&mut Params::default(), &mut Rng::new(1));
        let made = Rnn::new(params, rng, "rnn", input, 3, States::Last, Activation::Softmax);
        let message = "activation softmax of a recurrent network; allowed: tanh, relu";
        assert_eq!(made.expect_err("not allowed").to_string(), message);
    }
}
