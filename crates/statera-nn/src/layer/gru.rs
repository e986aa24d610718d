//! Gated recurrent units (Cho et al. 2014), PyTorch's equations.
//!
//! With the step's input xₜ and the state hₜ₋₁ (0 at the start): `r, z = σ(xₜ W + hₜ₋₁ U + b)`, `q = hₜ₋₁ Uₙ + b′`,
//! `n = tanh(xₜ Wₙ + bₙ + r ⊙ q)`, `hₜ = (1 − z) ⊙ n + z ⊙ hₜ₋₁`; the columns of W, U and b are those of r, z, n, one after
//! another. The biases of r and z are the sums of PyTorch's two; b′ is its second bias of n.
//!
//! Backward, from the last step to the first, with δₜ the gradients of r's and z's arguments, of n's without r ⊙ q, and of q
//! (statera-kernel computes them): `dhₜ₋₁ = z ⊙ dhₜ + δₜ Uᵀ`; then for all steps at once `dW += Σₜ xₜᵀ δₜ`,
//! `dU += Σₜ hₜ₋₁ᵀ δₜ`, `db += Σₜ δₜ`, `dxₜ = δₜ Wᵀ`.

use super::recurrent::{Columns, Shape, States, add_weight_gradient_of, steps_together};
use super::sequence::Sequence;
use super::{Layer, Pass};
use crate::layer::Math;
use crate::params::{Init, Params, Role, padded, split};
use crate::product::{self, View};
use statera_core::{Result, Rng};
use statera_kernel::{elementwise, recurrent};
use std::ops::Range;

/// Gated recurrent units.
#[derive(Debug, Clone)]
pub struct Gru {
    shape: Shape,
    input_weight: Range<usize>,
    recurrent_weight: Range<usize>,
    bias: Range<usize>,
    recurrent_bias: Range<usize>,
}

impl Gru {
    /// Adds `name.input_weight` (n_features × 3 n_hidden), `name.recurrent_weight` (n_hidden × 3 n_hidden), `name.bias`
    /// (3 n_hidden) and `name.recurrent_bias` (b′, n_hidden) to the parameters, uniform between ±1/√n_hidden.
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
    ) -> Result<Gru> {
        let shape = Shape::new(input, n_hidden, states)?;
        let bound = Init::Uniform(1.0 / (n_hidden as f32).sqrt());
        let mut own = params.of(name, rng);
        let mut add = |part, shape: &[usize], role| own.add(part, shape, &bound, role);
        Ok(Gru {
            shape,
            input_weight: add("input_weight", &[input.n_features, 3 * n_hidden], Role::WEIGHT),
            recurrent_weight: add("recurrent_weight", &[n_hidden, 3 * n_hidden], Role::WEIGHT),
            bias: add("bias", &[3 * n_hidden], Role::BIAS),
            recurrent_bias: add("recurrent_bias", &[n_hidden], Role::BIAS),
        })
    }

    /// Splits the cache into x (step-major), gates (r, z, n and q of a row) and h, which begins with the state before the
    /// first step.
    fn parts<'a>(&self, n_rows: usize, cache: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        split(cache, self.part_lens(n_rows))
    }

    fn part_lens(&self, n_rows: usize) -> [usize; 3] {
        let (n_steps, h) = (self.shape.input.n_steps, self.shape.n_hidden * n_rows);
        [n_rows * n_steps * self.shape.input.n_features, 4 * n_steps * h, (n_steps + 1) * h]
    }

    /// U of r and z, and of n: parts of one matrix.
    fn recurrent_weights<'a>(&self, params: &'a [f32]) -> [View<'a>; 2] {
        let n = self.shape.n_hidden;
        let u = &params[self.recurrent_weight.clone()];
        [View::strided(u, n, 2 * n, 3 * n), View::strided(&u[2 * n..], n, n, 3 * n)]
    }
}

impl Layer for Gru {
    fn n_in(&self) -> usize {
        self.shape.input.n_cols()
    }
    fn n_out(&self) -> usize {
        self.shape.n_out()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.part_lens(n_rows).iter().map(|l| padded(*l)).sum()
    }
    /// The gradient of h, what of it goes past a step, column sums of gates, and, step-major, the gradient of x.
    fn scratch_len(&self, n_rows: usize) -> usize {
        let n_hidden = self.shape.n_hidden;
        padded(n_rows * n_hidden) + self.shape.past_len(n_rows) + padded(4 * n_hidden) + self.part_lens(n_rows)[0]
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (n_rows, n, n_features) = (pass.n_rows, self.shape.n_hidden, self.shape.input.n_features);
        let [steps, gates, h] = self.parts(n_rows, pass.cache);
        let (run, weighs) = (self.shape.run(x), self.shape.weighs(x, false));
        self.shape.gather(x, n_rows, run.clone(), steps);
        let state = n_rows * n;
        let w = View::rows(&pass.params[self.input_weight.clone()], 3 * n);
        let [u, u_n] = self.recurrent_weights(pass.params);
        let (bias, bias_q) = (&pass.params[self.bias.clone()], &pass.params[self.recurrent_bias.clone()]);
        h[run.start * state..][..state].fill(0.0);
        for t in run.clone() {
            let together = steps_together(n_rows);
            if (t - run.start).is_multiple_of(together) {
                let steps = View::rows(self.shape.steps(t..run.end.min(t + together), n_rows, steps), n_features);
                let gates = &mut gates[4 * t * state..][..steps.n_rows * 4 * n];
                for row in gates.chunks_exact_mut(4 * n) {
                    row[..3 * n].copy_from_slice(bias);
                    row[3 * n..].copy_from_slice(bias_q);
                }
                product::product(pass.math, steps, w, true, gates, 4 * n);
            }
            let gates = &mut gates[4 * t * state..][..4 * state];
            let (h_before, h) = h[t * state..][..2 * state].split_at_mut(state);
            if t > run.start {
                let h_before = View::rows(h_before, n);
                product::product(pass.math, h_before, u, true, gates, 4 * n);
                product::product(pass.math, h_before, u_n, true, &mut gates[3 * n..], 4 * n);
            }
            recurrent::gru(n, gates, h_before, h);
            if weighs {
                self.shape.weigh(t, x, h_before, h);
            }
        }
        self.shape.put_out(x, n_rows, &run, &h[state..], y);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (n_rows, n, n_features) = (pass.n_rows, self.shape.n_hidden, self.shape.input.n_features);
        let [steps, gates, h] = self.parts(n_rows, pass.cache);
        let (run, state) = (self.shape.run(x), n_rows * n);
        let (dh, scratch) = pass.scratch.split_at_mut(padded(state));
        let (past, scratch) = scratch.split_at_mut(self.shape.past_len(n_rows));
        let (sums, d_steps) = scratch.split_at_mut(padded(4 * n));
        let (dh, sums) = (&mut dh[..state], &mut sums[..4 * n]);
        dh.fill(0.0);
        let weighs = self.shape.weighs(x, dx.is_some());
        if let Some(dx) = dx.as_deref_mut().filter(|_| weighs) {
            self.shape.clear_weights(dx);
        }
        let [u, u_n] = self.recurrent_weights(pass.params).map(View::transposed);
        for t in run.clone().rev() {
            let gates = &mut gates[4 * t * state..][..4 * state];
            self.shape.add_output_gradient(t, x, &run, dy, dh);
            if weighs {
                let h = self.shape.around(t, n_rows, h);
                self.shape.weigh_backward(t, x, h, (&mut *dh, &mut *past), dx.as_deref_mut());
            }
            recurrent::gru_backward(n, gates, &h[t * state..][..state], dh);
            if t > run.start {
                product::product(Math::Train, View::strided(gates, n_rows, 2 * n, 4 * n), u, true, dh, n);
                product::product(Math::Train, View::strided(&gates[3 * n..], n_rows, n, 4 * n), u_n, true, dh, n);
            }
            if weighs {
                elementwise::add(dh, &past[..state]);
            }
        }
        let deltas = &gates[4 * run.start * state..4 * run.end * state];
        let (steps, h) = (self.shape.steps(run.clone(), n_rows, steps), &h[run.start * state..run.end * state]);
        let of = |first, n_cols| Columns { first, n_cols, stride: 4 * n };
        add_weight_gradient_of(
            steps,
            n_features,
            deltas,
            of(0, 3 * n),
            &mut pass.grads[self.input_weight.clone()],
            3 * n,
        );
        let du = &mut pass.grads[self.recurrent_weight.clone()];
        add_weight_gradient_of(h, n, deltas, of(0, 2 * n), du, 3 * n);
        add_weight_gradient_of(h, n, deltas, of(3 * n, n), &mut du[2 * n..], 3 * n);
        sums.fill(0.0);
        product::add_column_sums(deltas, sums);
        elementwise::add(&mut pass.grads[self.bias.clone()], &sums[..3 * n]);
        elementwise::add(&mut pass.grads[self.recurrent_bias.clone()], &sums[3 * n..]);
        if let Some(dx) = dx {
            let d_steps = &mut d_steps[..steps.len()];
            let w = View::rows(&pass.params[self.input_weight.clone()], 3 * n).transposed();
            let deltas = View::strided(deltas, run.len() * n_rows, 3 * n, 4 * n);
            product::product(Math::Train, deltas, w, false, d_steps, n_features);
            self.shape.scatter(x, n_rows, run, d_steps, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Counted;

    fn layer(n_hidden: usize, states: States, counted: Counted) -> (Gru, Params) {
        let mut params = Params::default();
        let input = Sequence { n_steps: 4, n_features: 3, counted };
        let layer = Gru::new(&mut params, &mut Rng::new(1), "gru", input, n_hidden, states);
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for (name, n_hidden, states, counted) in check::RECURRENT_CASES {
            let (layer, params) = layer(n_hidden, states, counted);
            check::torch_case(&layer, &params, "gru", &format!("gru_{name}"));
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
            let made = Gru::new(&mut Params::default(), &mut Rng::new(1), "gru", input, n_hidden, States::Last);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }

    #[test]
    fn rejects_the_states_of_all_of_weighed_steps() {
        let input = Sequence { n_steps: 4, n_features: 3, counted: Counted::Weights };
        let made = Gru::new(&mut Params::default(), &mut Rng::new(1), "gru", input, 2, States::All);
        let message = "the states of all of weighed steps; allowed: the last";
        assert_eq!(made.expect_err("not allowed").to_string(), message);
    }
}
