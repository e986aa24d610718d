//! Convolution over the steps of sequences, with its activation: `yₛ = f(b + Σₖ xₛ₊ₖ₋ₗ Wₖ)` for k = 0 … K − 1 and l steps of
//! padding in front; steps outside the sequence, and those that do not count, are 0. A step with a weight is xₛ times it: what
//! comes out has the same weights, which the next layer takes it times, and is 0 where a weight is 0.
//!
//! W is `(K × n_features) × n_filters`. The K steps of a window lie together in memory, so the windows of many rows are one
//! strided matrix whose rows overlap, and the convolution is one product; rows are copied only to put padding between
//! them, max(l, r) steps that two neighbours share. Windows over two rows are computed and dropped.
//!
//! Backward, with δ = dy ⊙ f′ (0 where a window was dropped): `dW += windows(x)ᵀ δ`, `db += Σₛ δₛ` and
//! `dxⱼ = Σₖ δⱼ₊ₗ₋ₖ Wₖᵀ`, which is a convolution of δ with the kernel turned round.

use super::sequence::{Column, Counted, MAX_SIZE, Sequence, check_size};
use super::{Layer, Pass, weighed};
use crate::activation::Activation;
use crate::layer::Math;
use crate::params::{Init, Params, Role, padded};
use crate::product::{self, View};
use statera_core::{Error, Result, Rng};
use std::ops::Range;

/// What lies around a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: K − 1 steps fewer come out.
    Valid,
    /// (K − 1) / 2 zero steps in front, rounded down, and the rest behind: as many steps come out.
    Same,
    /// K − 1 zero steps in front: as many steps come out, and none of them depends on later steps.
    Causal,
}

/// A convolution over steps.
#[derive(Debug, Clone)]
pub struct Conv1d {
    input: Sequence,
    n_filters: usize,
    kernel: usize,
    /// Zero steps in front and behind.
    around: [usize; 2],
    activation: Activation,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// Windows of a product: what it reads and writes stays in the second-level cache.
const WINDOWS_TOGETHER: usize = 256;

impl Conv1d {
    /// Adds `name.weight` (kernel × n_features × n_filters) and `name.bias` (n_filters) to the parameters, uniform between
    /// ±1/√(kernel n_features) (PyTorch's start).
    ///
    /// # Errors
    /// An empty sequence, no filters, a kernel of 0 or of more steps than the padded sequence has, or one that leaves fewer steps
    /// than there are weights.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        input: Sequence,
        n_filters: usize,
        kernel: usize,
        padding: Padding,
        activation: Activation,
    ) -> Result<Conv1d> {
        input.check()?;
        check_size("filters", n_filters, 1..=MAX_SIZE)?;
        let longest = if padding == Padding::Valid { input.n_steps } else { MAX_SIZE };
        check_size("steps of a kernel", kernel, 1..=longest)?;
        let around = match padding {
            Padding::Valid => [0, 0],
            Padding::Same => [(kernel - 1) / 2, kernel - 1 - (kernel - 1) / 2],
            Padding::Causal => [kernel - 1, 0],
        };
        if input.counted == Counted::Weights && padding == Padding::Valid {
            return Err(Error::request("a convolution of weighed steps without padding; allowed: same, causal"));
        }
        let n_window = kernel * input.n_features;
        let bound = Init::Uniform(1.0 / (n_window as f32).sqrt());
        let shape = [kernel, input.n_features, n_filters];
        let weight = params.add(format!("{name}.weight"), &shape, &bound, Role::WEIGHT, rng);
        let bias = params.add(format!("{name}.bias"), &[n_filters], &bound, Role::BIAS, rng);
        Ok(Conv1d { input, n_filters, kernel, around, activation, weight, bias })
    }

    /// The shape of the output.
    pub fn output(&self) -> Sequence {
        Sequence { n_steps: self.length_out(self.input.n_steps), n_features: self.n_filters, ..self.input }
    }

    /// Steps that come out of a number of steps.
    fn length_out(&self, length: usize) -> usize {
        (length + self.around[0] + self.around[1] + 1).saturating_sub(self.kernel)
    }

    /// Steps from the begin of a row to that of the next, padding included.
    fn period(&self) -> usize {
        self.input.n_steps + self.around[0].max(self.around[1])
    }

    /// Rows of a product.
    fn together(&self, n_rows: usize) -> usize {
        (WINDOWS_TOGETHER / self.period()).clamp(1, n_rows.max(1))
    }

    /// Steps that a row and the `more` steps around it have in a matrix of that many rows.
    fn n_steps_of(&self, n_rows: usize, more: usize) -> usize {
        (n_rows - 1) * self.period() + self.input.n_steps + more
    }

    /// Floats of x with padding; of δ or the product; of dx with padding; of the kernel turned round.
    fn scratch_lens(&self, n_rows: usize) -> [usize; 4] {
        let n = self.together(n_rows);
        let (n_in, [front, behind]) = (self.input.n_features, self.around);
        let x = self.n_steps_of(n, front + behind) * n_in;
        let delta = self.n_steps_of(n, front + self.kernel - 1) * self.n_filters;
        [x, delta, self.n_steps_of(n, 0) * n_in, self.kernel * n_in * self.n_filters].map(padded)
    }

    /// True if rows can be read where they are.
    fn is_in_place(&self) -> bool {
        self.around == [0, 0] && self.input.counted == Counted::All
    }

    /// Copies rows to `padded` with zeros around each and in place of the steps that do not count, and steps times their weights.
    fn pad<'a>(&self, x: &'a [f32], padded: &'a mut [f32]) -> &'a [f32] {
        if self.is_in_place() {
            return x;
        }
        let (n, n_cols) = (self.input.n_features, self.input.n_cols());
        let padded = &mut padded[..self.n_steps_of(x.len() / n_cols, self.around[0] + self.around[1]) * n];
        let mut end = 0;
        for (i, row) in x.chunks_exact(n_cols).enumerate() {
            let len = self.input.length(row) * n;
            let start = (self.around[0] + i * self.period()) * n;
            padded[end..start].fill(0.0);
            let own = &mut padded[start..][..len];
            own.copy_from_slice(&row[..len]);
            if let Some(weights) = self.input.weights(row) {
                weighed::weigh(weights, own);
            }
            end = start + len;
        }
        padded[end..].fill(0.0);
        padded
    }

    /// The windows of padded rows.
    fn windows<'a>(&self, padded: &'a [f32], n_rows: usize) -> View<'a> {
        let n = self.input.n_features;
        let n_windows = (n_rows - 1) * self.period() + self.output().n_steps;
        View::strided(padded, n_windows, self.kernel * n, n)
    }

    /// Goes back through the activation of some rows and copies δ to `deltas` behind K − 1 zero steps; 0 elsewhere.
    fn put_deltas(&self, x: &[f32], y: &[f32], dy: &mut [f32], cache: &mut [f32], deltas: &mut [f32]) {
        let (output, n) = (self.output(), self.n_filters);
        let cache_len = self.activation.cache_len(output.n_steps * n);
        deltas.fill(0.0);
        let rows = y.chunks_exact(output.n_cols()).zip(dy.chunks_exact_mut(output.n_cols()));
        for (i, ((y, dy), x)) in rows.zip(x.chunks_exact(self.input.n_cols())).enumerate() {
            let len = self.length_out(self.input.length(x)) * n;
            let (dy, cache) = (&mut dy[..len], &mut cache[i * cache_len..][..cache_len]);
            self.activation.backward(&y[..len], dy, n, cache);
            if let Some(weights) = self.input.weights(x) {
                weighed::clear(weights, dy);
            }
            deltas[(self.kernel - 1 + i * self.period()) * n..][..len].copy_from_slice(dy);
        }
    }

    /// Writes W with its steps in reverse order and each of them transposed: (K × n_filters) × n_features.
    fn turn_round(&self, weight: &[f32], turned: &mut [f32]) {
        let (n_in, n) = (self.input.n_features, self.n_filters);
        for (from, to) in weight.chunks_exact(n_in * n).rev().zip(turned.chunks_exact_mut(n_in * n)) {
            for (f, from) in from.chunks_exact(n).enumerate() {
                for (c, v) in from.iter().enumerate() {
                    to[c * n_in + f] = *v;
                }
            }
        }
    }
}

/// The cache is the activation's, row after row.
impl Layer for Conv1d {
    fn n_in(&self) -> usize {
        self.input.n_cols()
    }
    fn n_out(&self) -> usize {
        self.output().n_cols()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        n_rows * self.activation.cache_len(self.output().n_steps * self.n_filters)
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        self.scratch_lens(n_rows).iter().sum()
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let [x_len, delta_len, ..] = self.scratch_lens(pass.n_rows);
        let (padded, rest) = pass.scratch.split_at_mut(x_len);
        let product = &mut rest[..delta_len];
        let (weight, bias) = (&pass.params[self.weight.clone()], &pass.params[self.bias.clone()]);
        let (weight, n, output) = (View::rows(weight, self.n_filters), self.n_filters, self.output());
        let (together, n_in, n_out) = (self.together(pass.n_rows), self.n_in(), self.n_out());
        let cache_len = self.cache_len(1);
        for (block, (x, y)) in x.chunks(together * n_in).zip(y.chunks_mut(together * n_out)).enumerate() {
            let windows = self.windows(self.pad(x, padded), x.len() / n_in);
            product::affine_view(pass.math, windows, weight, Some(bias), product, n);
            for (i, (x, y)) in x.chunks_exact(n_in).zip(y.chunks_exact_mut(n_out)).enumerate() {
                let length = self.input.length(x);
                let (counted, rest) = y.split_at_mut(self.length_out(length) * n);
                counted.copy_from_slice(&product[i * self.period() * n..][..counted.len()]);
                let cache = &mut pass.cache[(block * together + i) * cache_len..][..cache_len];
                self.activation.forward(counted, n, cache);
                if let Some(weights) = self.input.weights(x) {
                    weighed::clear(weights, counted);
                    rest.copy_from_slice(weights);
                    continue;
                }
                rest.fill(0.0);
                Column::Length.write(&output, self.length_out(length), rest);
            }
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let [x_len, delta_len, dx_len, _] = self.scratch_lens(pass.n_rows);
        let (padded, rest) = pass.scratch.split_at_mut(x_len);
        let (deltas, rest) = rest.split_at_mut(delta_len);
        let (d_padded, turned) = rest.split_at_mut(dx_len);
        let (n_in, n_out, n, n_features) = (self.n_in(), self.n_out(), self.n_filters, self.input.n_features);
        if dx.is_some() {
            self.turn_round(&pass.params[self.weight.clone()], turned);
        }
        let turned = View::rows(&turned[..self.kernel * n * n_features], n_features);
        let (together, cache_len) = (self.together(pass.n_rows), self.cache_len(1));
        let rows = x.chunks(together * n_in).zip(y.chunks(together * n_out)).zip(dy.chunks_mut(together * n_out));
        for (block, ((x, y), dy)) in rows.enumerate() {
            let n_rows = x.len() / n_in;
            let deltas = &mut deltas[..self.n_steps_of(n_rows, self.around[0] + self.kernel - 1) * n];
            self.put_deltas(x, y, dy, &mut pass.cache[block * together * cache_len..], deltas);
            let windows = self.windows(self.pad(x, padded), n_rows);
            let of_windows = &deltas[(self.kernel - 1) * n..][..windows.n_rows * n];
            let dw = &mut pass.grads[self.weight.clone()];
            product::product(Math::Train, windows.transposed(), View::rows(of_windows, n), true, dw, n);
            product::add_column_sums(of_windows, &mut pass.grads[self.bias.clone()]);
            if let Some(dx) = &mut dx {
                let n_steps = self.n_steps_of(n_rows, 0);
                let around = View::strided(&deltas[self.around[0] * n..], n_steps, self.kernel * n, n);
                product::product(Math::Train, around, turned, false, d_padded, n_features);
                let dx = &mut dx[block * together * n_in..][..x.len()];
                for (i, (x, dx)) in x.chunks_exact(n_in).zip(dx.chunks_exact_mut(n_in)).enumerate() {
                    let (counted, rest) = dx.split_at_mut(self.input.length(x) * n_features);
                    counted.copy_from_slice(&d_padded[i * self.period() * n_features..][..counted.len()]);
                    rest.fill(0.0);
                    match self.input.weights(x) {
                        Some(weights) if pass.to_input => {
                            // The weights passed, too.
                            rest.copy_from_slice(&dy[(i + 1) * n_out - rest.len()..(i + 1) * n_out]);
                            weighed::weigh_backward(weights, x, counted, rest);
                        }
                        Some(weights) => weighed::weigh(weights, counted),
                        None => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    /// Name, kernel, padding, steps that count, activation.
    const CASES: [(&str, usize, Padding, Counted, Activation); 7] = [
        ("one", 1, Padding::Valid, Counted::All, Activation::Identity),
        ("valid_2", 2, Padding::Valid, Counted::All, Activation::Tanh),
        ("same_3", 3, Padding::Same, Counted::All, Activation::Relu),
        ("same_4", 4, Padding::Same, Counted::All, Activation::Gelu),
        ("causal_3", 3, Padding::Causal, Counted::All, Activation::Identity),
        ("same_3_lengths", 3, Padding::Same, Counted::Lengths, Activation::Gelu),
        ("valid_3_lengths", 3, Padding::Valid, Counted::Lengths, Activation::Tanh),
    ];

    /// More of them, of weighed steps; PyTorch has no numbers of them.
    const WEIGHED_CASES: [(&str, usize, Padding, Counted, Activation); 3] = [
        ("same_3_weights", 3, Padding::Same, Counted::Weights, Activation::Gelu),
        ("same_4_weights", 4, Padding::Same, Counted::Weights, Activation::Tanh),
        ("causal_3_weights", 3, Padding::Causal, Counted::Weights, Activation::Identity),
    ];

    fn layer(kernel: usize, padding: Padding, counted: Counted, activation: Activation) -> (Conv1d, Params) {
        let mut params = Params::default();
        let (input, rng) = (Sequence { n_steps: 5, n_features: 3, counted }, &mut Rng::new(1));
        let layer = Conv1d::new(&mut params, rng, "conv", input, 17, kernel, padding, activation);
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for (name, kernel, padding, counted, activation) in CASES {
            let (layer, params) = layer(kernel, padding, counted, activation);
            check::torch_case(&layer, &params, "conv1d", &format!("conv1d_{name}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (_, kernel, padding, counted, activation) in CASES.into_iter().chain(WEIGHED_CASES) {
            let (layer, params) = layer(kernel, padding, counted, activation);
            // A step of a finite difference may cross the rectifier's corner.
            let smooth = if activation == Activation::Relu { Activation::Silu } else { activation };
            let layer = Conv1d { activation: smooth, ..layer };
            check::finite_differences_at(&layer, &params, &check::sequences(&layer.input, 17, 3), true);
        }
    }

    #[test]
    fn rows_beyond_one_product_are_as_those_of_the_first() {
        let (layer, params) = layer(3, Padding::Same, Counted::Lengths, Activation::Gelu);
        let x = check::sequences(&layer.input, 6, 3);
        let n_rows = 6 * layer.together(usize::MAX);
        let many: Vec<f32> = x.iter().copied().cycle().take(n_rows * layer.n_in()).collect();
        let run = |x: &[f32]| {
            let n_rows = x.len() / layer.n_in();
            let mut work = crate::workspace::Workspace::new(&layer, params.values.len(), n_rows);
            let mode = crate::layer::Mode::Train { seed: 1 };
            let mut dx = vec![f32::NAN; x.len()];
            let y = work.forward(&layer, &params.values, x, n_rows, mode, Math::Train).to_vec();
            work.dy.copy_from_slice(&y);
            work.backward(&layer, &params.values, x, n_rows, mode, Some(&mut dx));
            (y, dx, work.grads.to_vec())
        };
        let ((y, dx, grads), (many_y, many_dx, many_grads)) = (run(&x), run(&many));
        assert_eq!(many_y, y.repeat(n_rows / 6));
        assert_eq!(many_dx, dx.repeat(n_rows / 6));
        let times = (n_rows / 6) as f32;
        assert!(many_grads.iter().zip(&grads).all(|(m, g)| (m - g * times).abs() <= 1e-4 * times * (1.0 + g.abs())));
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for (_, kernel, padding, counted, activation) in CASES.into_iter().chain(WEIGHED_CASES) {
            let (layer, params) = layer(kernel, padding, counted, activation);
            check::same_bits_everywhere(&layer, &params, &check::sequences(&layer.input, 61, 4));
        }
    }

    #[test]
    fn rejects_kernels_that_do_not_fit() {
        for (kernel, n_filters, padding, expected) in [
            (6, 2, Padding::Valid, "steps of a kernel 6; allowed: 1 to 5"),
            (0, 2, Padding::Same, "steps of a kernel 0; allowed: 1 to 65536"),
            (3, 0, Padding::Same, "filters 0; allowed: 1 to 65536"),
        ] {
            let (input, identity) =
                (Sequence { n_steps: 5, n_features: 3, counted: Counted::All }, Activation::Identity);
            let (params, rng) = (&mut Params::default(), &mut Rng::new(1));
            let made = Conv1d::new(params, rng, "conv", input, n_filters, kernel, padding, identity);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
