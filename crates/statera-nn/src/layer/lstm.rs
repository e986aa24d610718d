//! Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000), PyTorch's equations.
//!
//! With the step's input xₜ and the state hₜ₋₁, cₜ₋₁ (0 at the start):
//! `i, f, o = σ(xₜ W + hₜ₋₁ U + b)`, `g = tanh(…)`, `cₜ = f ⊙ cₜ₋₁ + i ⊙ g`, `hₜ = o ⊙ tanh cₜ`; the columns of W, U and
//! b are those of i, f, g, o, one after another. b is the sum of PyTorch's two biases.
//!
//! Backward, from the last step to the first, with δₜ the gradient of the gates' arguments (statera-kernel computes it):
//! `dhₜ₋₁ = δₜ Uᵀ`; then for all steps at once `dW += Σₜ xₜᵀ δₜ`, `dU += Σₜ hₜ₋₁ᵀ δₜ`, `db += Σₜ δₜ`, `dxₜ = δₜ Wᵀ`.

use super::recurrent::{Shape, States, add_weight_gradient, steps_together};
use super::sequence::Sequence;
use super::{Layer, Pass};
use crate::params::{Init, Params, Role, padded, split};
use crate::product::{self, View};
use statera_core::{Result, Rng};
use statera_kernel::{elementwise, recurrent};
use std::ops::Range;

/// Long short-term memory.
#[derive(Debug, Clone)]
pub struct Lstm {
    shape: Shape,
    input_weight: Range<usize>,
    recurrent_weight: Range<usize>,
    bias: Range<usize>,
}

impl Lstm {
    /// Adds `name.input_weight` (n_features × 4 n_hidden), `name.recurrent_weight` (n_hidden × 4 n_hidden) and `name.bias`
    /// (4 n_hidden) to the parameters, uniform between ±1/√n_hidden.
    ///
    /// # Errors
    /// An empty sequence, no hidden units, or the states of all of weighed steps.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        input: Sequence,
        n_hidden: usize,
        states: States,
    ) -> Result<Lstm> {
        let shape = Shape::new(input, n_hidden, states)?;
        let bound = Init::Uniform(1.0 / (n_hidden as f32).sqrt());
        let mut own = params.of(name, rng);
        let mut add = |part, shape: &[usize], role| own.add(part, shape, &bound, role);
        Ok(Lstm {
            shape,
            input_weight: add("input_weight", &[input.n_features, 4 * n_hidden], Role::WEIGHT),
            recurrent_weight: add("recurrent_weight", &[n_hidden, 4 * n_hidden], Role::WEIGHT),
            bias: add("bias", &[4 * n_hidden], Role::BIAS),
        })
    }

    /// Splits the cache into x (step-major), gates, c, tanh c and h; c and h begin with the state before the first step.
    fn parts<'a>(&self, n_rows: usize, cache: &'a mut [f32]) -> [&'a mut [f32]; 5] {
        split(cache, self.part_lens(n_rows))
    }

    fn part_lens(&self, n_rows: usize) -> [usize; 5] {
        let (n_steps, h) = (self.shape.input.n_steps, self.shape.n_hidden * n_rows);
        let x = n_rows * n_steps * self.shape.input.n_features;
        [x, 4 * n_steps * h, (n_steps + 1) * h, n_steps * h, (n_steps + 1) * h]
    }
}

impl Layer for Lstm {
    fn n_in(&self) -> usize {
        self.shape.input.n_cols()
    }
    fn n_out(&self) -> usize {
        self.shape.n_out()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.part_lens(n_rows).iter().map(|l| padded(*l)).sum()
    }
    /// The gradients of h, c, what of both goes past a step, and, step-major, that of x.
    fn scratch_len(&self, n_rows: usize) -> usize {
        2 * padded(n_rows * self.shape.n_hidden) + 2 * self.shape.past_len(n_rows) + self.part_lens(n_rows)[0]
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (n_rows, n_hidden) = (pass.n_rows, self.shape.n_hidden);
        let [steps, gates, c, tanh_c, h] = self.parts(n_rows, pass.cache);
        let (run, weighs) = (self.shape.run(x), self.shape.weighs(x, false));
        self.shape.gather(x, n_rows, run.clone(), steps);
        let state = n_rows * n_hidden;
        let (w, bias) = (&pass.params[self.input_weight.clone()], &pass.params[self.bias.clone()]);
        let u = View::rows(&pass.params[self.recurrent_weight.clone()], 4 * n_hidden);
        c[run.start * state..][..state].fill(0.0);
        h[run.start * state..][..state].fill(0.0);
        for t in run.clone() {
            let together = steps_together(n_rows);
            if (t - run.start).is_multiple_of(together) {
                let steps = self.shape.steps(t..run.end.min(t + together), n_rows, steps);
                let gates = &mut gates[4 * t * state..][..steps.len() / self.shape.input.n_features * 4 * n_hidden];
                product::affine(pass.math, steps, self.shape.input.n_features, w, Some(bias), gates);
            }
            let gates = &mut gates[4 * t * state..][..4 * state];
            let (c_before, c) = c[t * state..][..2 * state].split_at_mut(state);
            let (h_before, h) = h[t * state..][..2 * state].split_at_mut(state);
            if t > run.start {
                product::product(pass.math, View::rows(h_before, n_hidden), u, true, gates, 4 * n_hidden);
            }
            recurrent::lstm(n_hidden, gates, c_before, c, &mut tanh_c[t * state..][..state], h);
            if weighs {
                self.shape.weigh(t, x, c_before, c);
                self.shape.weigh(t, x, h_before, h);
            }
        }
        self.shape.put_out(x, n_rows, &run, &h[state..], y);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (n_rows, n_hidden, n_features) = (pass.n_rows, self.shape.n_hidden, self.shape.input.n_features);
        let [steps, gates, c, tanh_c, h] = self.parts(n_rows, pass.cache);
        let (run, state) = (self.shape.run(x), n_rows * n_hidden);
        let (dh, scratch) = pass.scratch.split_at_mut(padded(state));
        let (dc, scratch) = scratch.split_at_mut(padded(state));
        let (past_h, scratch) = scratch.split_at_mut(self.shape.past_len(n_rows));
        let (past_c, d_steps) = scratch.split_at_mut(self.shape.past_len(n_rows));
        let (dh, dc) = (&mut dh[..state], &mut dc[..state]);
        dh.fill(0.0);
        dc.fill(0.0);
        let weighs = self.shape.weighs(x, dx.is_some());
        if let Some(dx) = dx.as_deref_mut().filter(|_| weighs) {
            self.shape.clear_weights(dx);
        }
        let u = &pass.params[self.recurrent_weight.clone()];
        for t in run.clone().rev() {
            let gates = &mut gates[4 * t * state..][..4 * state];
            self.shape.add_output_gradient(t, x, &run, dy, dh);
            if weighs {
                let (h, c) = (self.shape.around(t, n_rows, h), self.shape.around(t, n_rows, c));
                self.shape.weigh_backward(t, x, h, (&mut *dh, &mut *past_h), dx.as_deref_mut());
                self.shape.weigh_backward(t, x, c, (&mut *dc, &mut *past_c), dx.as_deref_mut());
            }
            recurrent::lstm_backward(n_hidden, gates, &c[t * state..][..state], &tanh_c[t * state..][..state], dh, dc);
            if t > run.start {
                product::input_gradient(gates, 4 * n_hidden, u, dh);
            }
            if weighs {
                elementwise::add(dh, &past_h[..state]);
                elementwise::add(dc, &past_c[..state]);
            }
        }
        let deltas = &gates[4 * run.start * state..4 * run.end * state];
        let (steps, h) = (self.shape.steps(run.clone(), n_rows, steps), &h[run.start * state..run.end * state]);
        add_weight_gradient(steps, n_features, deltas, &mut pass.grads[self.input_weight.clone()]);
        add_weight_gradient(h, n_hidden, deltas, &mut pass.grads[self.recurrent_weight.clone()]);
        product::add_column_sums(deltas, &mut pass.grads[self.bias.clone()]);
        if let Some(dx) = dx {
            let d_steps = &mut d_steps[..steps.len()];
            product::input_gradient(deltas, 4 * n_hidden, &pass.params[self.input_weight.clone()], d_steps);
            self.shape.scatter(x, n_rows, run, d_steps, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Counted;

    fn layer(n_hidden: usize, states: States, counted: Counted) -> (Lstm, Params) {
        let mut params = Params::default();
        let input = Sequence { n_steps: 4, n_features: 3, counted };
        let layer = Lstm::new(&mut params, &mut Rng::new(1), "lstm", input, n_hidden, states);
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for (name, n_hidden, states, counted) in check::RECURRENT_CASES {
            let (layer, params) = layer(n_hidden, states, counted);
            check::torch_case(&layer, &params, "lstm", &format!("lstm_{name}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (_, n_hidden, states, counted) in check::RECURRENT_CASES.into_iter().chain([check::WEIGHED_CASE]) {
            let (layer, params) = layer(n_hidden, states, counted);
            check::finite_differences_at(&layer, &params, &check::sequences(&layer.shape.input, 14, 3), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for (_, n_hidden, states, counted) in check::RECURRENT_CASES.into_iter().chain([check::WEIGHED_CASE]) {
            let (layer, params) = layer(n_hidden, states, counted);
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
            let made = Lstm::new(&mut Params::default(), &mut Rng::new(1), "lstm", input, n_hidden, States::Last);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }

    #[test]
    fn rejects_the_states_of_all_of_weighed_steps() {
        let input = Sequence { n_steps: 4, n_features: 3, counted: Counted::Weights };
        let made = Lstm::new(&mut Params::default(), &mut Rng::new(1), "lstm", input, 2, States::All);
        let message = "the states of all of weighed steps; allowed: the last";
        assert_eq!(made.expect_err("not allowed").to_string(), message);
    }
}
