//! Multi-head self-attention (Vaswani et al. 2017) over the tokens of each row, which are the steps of a sequence.
//!
//! With X the tokens of a row (L × D) and, for each of H heads, d = D / H columns of `[Q K V] = X W + b`:
//! `P = softmax(Q Kᵀ / √d)` row by row, `O = P V`; then `Y = O W′ + b′` over all heads' columns of O. Tokens behind a row's
//! length are neither asked nor answer, and come out as 0.
//!
//! Backward, head by head, from `dO = dY W′ᵀ`: `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ⊙ (dP − Σⱼ P ⊙ dP) / √d`, `dQ = dS K`,
//! `dK = dSᵀ Q`; then for all tokens at once `dW += Xᵀ [dQ dK dV]`, `dX = [dQ dK dV] Wᵀ`, `dW′ += Oᵀ dY`.

use super::projections::Projections;
use super::sequence::{Column, Counted, Sequence};
use super::{Layer, Pass};
use crate::activation::Activation;
use crate::layer::Math;
use crate::params::{Params, padded, split};
use crate::product::{self, View};
use statera_core::{Result, Rng};
use std::ops::Range;

/// Multi-head self-attention.
#[derive(Debug, Clone)]
pub struct SelfAttention {
    sequence: Sequence,
    heads: Projections,
}

/// One row's part of what all tokens share.
struct Tokens {
    /// The first token.
    first: usize,
    /// Tokens that count.
    length: usize,
    /// The place of its P, head after head.
    weights: Range<usize>,
}

impl SelfAttention {
    /// Adds `name.weight` (D × 3 D: the columns of Q, K and V), `name.bias` (3 D), `name.out_weight` (D × D) and
    /// `name.out_bias` (D) to the parameters, D being the sequence's features, at PyTorch's start.
    ///
    /// # Errors
    /// An empty sequence, steps with weights, or a number of heads that does not divide D.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        sequence: Sequence,
        n_heads: usize,
    ) -> Result<SelfAttention> {
        sequence.check_unweighed("attention")?;
        let heads = Projections::new(params, rng, name, sequence.n_features, n_heads)?;
        Ok(SelfAttention { sequence, heads })
    }

    /// Floats of the packed tokens (none where all steps count), Q, K and V, P, and O.
    fn cache_lens(&self, n_rows: usize) -> [usize; 4] {
        let (d, n_tokens) = (self.sequence.n_features, n_rows * self.sequence.n_steps);
        let packed = if self.sequence.counted == Counted::Lengths { n_tokens * d } else { 0 };
        [packed, 3 * n_tokens * d, n_tokens * self.heads.n_heads * self.sequence.n_steps, n_tokens * d].map(padded)
    }

    /// Floats of the packed gradients of y and then x (none where all steps count), of Q, K and V, of one row's P, and of O.
    fn scratch_lens(&self, n_rows: usize) -> [usize; 4] {
        let [packed, projected, _, out] = self.cache_lens(n_rows);
        [packed, projected, padded(self.heads.n_heads * self.sequence.n_steps.pow(2)), out]
    }

    /// The rows' tokens.
    fn rows(&self, x: &[f32]) -> impl Iterator<Item = Tokens> + use<> {
        let lengths: Vec<usize> = self.sequence.lengths(x).collect();
        let (mut first, mut weight, n_heads) = (0, 0, self.heads.n_heads);
        lengths.into_iter().map(move |length| {
            let tokens = Tokens { first, length, weights: weight..weight + n_heads * length * length };
            (first, weight) = (first + length, tokens.weights.end);
            tokens
        })
    }

    /// A head's columns of Q, K or V (`which` 0, 1, 2) of a row's tokens.
    fn head<'a>(&self, projected: &'a [f32], row: &Tokens, which: usize, head: usize) -> View<'a> {
        self.heads.head(&projected[3 * row.first * self.heads.d..], row.length, which, head)
    }

    /// P and O of a row.
    fn attend(&self, math: Math, row: &Tokens, projected: &[f32], weights: &mut [f32], out: &mut [f32]) {
        let (d, length) = (self.heads.d, row.length);
        let size = length * length;
        for head in 0..self.heads.n_heads {
            let (q, k) = (self.head(projected, row, 0, head), self.head(projected, row, 1, head));
            product::product(math, q, k.transposed(), false, &mut weights[head * size..][..size], length);
        }
        let scale = self.heads.scale();
        weights.iter_mut().for_each(|w| *w *= scale);
        Activation::Softmax.forward(weights, length, &mut []);
        for head in 0..self.heads.n_heads {
            let p = View::rows(&weights[head * size..][..size], length);
            let at = row.first * d + head * self.heads.width();
            product::product(math, p, self.head(projected, row, 2, head), false, &mut out[at..], d);
        }
    }

    /// The gradients of a row's Q, K and V.
    fn attend_backward(
        &self,
        row: &Tokens,
        (projected, weights, d_out): (&[f32], &[f32], &[f32]),
        d_weights: &mut [f32],
        d_projected: &mut [f32],
    ) {
        let (d, length) = (self.heads.d, row.length);
        let size = length * length;
        let d_head = |head: usize| self.heads.head_of_out(&d_out[row.first * d..], length, head);
        for head in 0..self.heads.n_heads {
            let v = self.head(projected, row, 2, head);
            let dp = &mut d_weights[head * size..][..size];
            product::product(Math::Train, d_head(head), v.transposed(), false, dp, length);
        }
        Activation::Softmax.backward(weights, d_weights, length, &mut []);
        let scale = self.heads.scale();
        d_weights.iter_mut().for_each(|w| *w *= scale);
        for head in 0..self.heads.n_heads {
            let p = View::rows(&weights[head * size..][..size], length);
            let ds = View::rows(&d_weights[head * size..][..size], length);
            let (q, k) = (self.head(projected, row, 0, head), self.head(projected, row, 1, head));
            for (which, left, right) in [(0, ds, k), (1, ds.transposed(), q), (2, p.transposed(), d_head(head))] {
                let to = &mut d_projected[3 * row.first * d + self.heads.head_at(which, head)..];
                product::product(Math::Train, left, right, false, to, 3 * d);
            }
        }
    }
}

impl Layer for SelfAttention {
    fn n_in(&self) -> usize {
        self.sequence.n_cols()
    }
    fn n_out(&self) -> usize {
        self.sequence.n_cols()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.cache_lens(n_rows).iter().sum()
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        self.scratch_lens(n_rows).iter().sum()
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let [packed, projected, weights, out] = split(pass.cache, self.cache_lens(pass.n_rows));
        let (d, shape) = (self.sequence.n_features, &self.sequence);
        let tokens = if shape.counted == Counted::Lengths {
            let n_tokens = shape.pack(shape.lengths(x), x, packed);
            &packed[..n_tokens * d]
        } else {
            x
        };
        let (projected, out) = (&mut projected[..3 * tokens.len()], &mut out[..tokens.len()]);
        let of = |range: &Range<usize>| &pass.params[range.clone()];
        product::affine(pass.math, tokens, d, of(&self.heads.weight), Some(of(&self.heads.bias)), projected);
        for row in self.rows(x).filter(|row| row.length > 0) {
            self.attend(pass.math, &row, projected, &mut weights[row.weights.clone()], out);
        }
        if shape.counted == Counted::Lengths {
            let y_tokens = &mut pass.scratch[..tokens.len()];
            product::affine(pass.math, out, d, of(&self.heads.out_weight), Some(of(&self.heads.out_bias)), y_tokens);
            shape.unpack(shape.lengths(x), y_tokens, y, Column::Length);
        } else {
            product::affine(pass.math, out, d, of(&self.heads.out_weight), Some(of(&self.heads.out_bias)), y);
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let [packed, projected, weights, out] = split(pass.cache, self.cache_lens(pass.n_rows));
        let [d_packed, d_projected, d_weights, d_out] = split(pass.scratch, self.scratch_lens(pass.n_rows));
        let (d, shape) = (self.sequence.n_features, &self.sequence);
        let (tokens, dy): (&[f32], &[f32]) = if shape.counted == Counted::Lengths {
            let n_tokens = shape.pack(shape.lengths(x), dy, d_packed);
            (&packed[..n_tokens * d], &d_packed[..n_tokens * d])
        } else {
            (x, dy)
        };
        let len = tokens.len();
        let (d_projected, d_out) = (&mut d_projected[..3 * len], &mut d_out[..len]);
        product::input_gradient(dy, d, &pass.params[self.heads.out_weight.clone()], d_out);
        product::add_weight_gradient(&out[..len], d, dy, &mut pass.grads[self.heads.out_weight.clone()]);
        product::add_column_sums(dy, &mut pass.grads[self.heads.out_bias.clone()]);
        for row in self.rows(x).filter(|row| row.length > 0) {
            let (weights, d_weights) = (&weights[row.weights.clone()], &mut d_weights[..row.weights.len()]);
            self.attend_backward(&row, (projected, weights, d_out), d_weights, d_projected);
        }
        product::add_weight_gradient(tokens, d, d_projected, &mut pass.grads[self.heads.weight.clone()]);
        product::add_column_sums(d_projected, &mut pass.grads[self.heads.bias.clone()]);
        let Some(dx) = dx else { return };
        let weight = &pass.params[self.heads.weight.clone()];
        if shape.counted == Counted::Lengths {
            product::input_gradient(d_projected, 3 * d, weight, &mut d_packed[..len]);
            shape.unpack(shape.lengths(x), &d_packed[..len], dx, Column::Gradient);
        } else {
            product::input_gradient(d_projected, 3 * d, weight, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    /// Name, width, heads, steps that count.
    const CASES: [(&str, usize, usize, Counted); 4] = [
        ("one_head", 5, 1, Counted::All),
        ("heads", 6, 3, Counted::All),
        ("lengths", 6, 2, Counted::Lengths),
        ("wide_lengths", 20, 2, Counted::Lengths),
    ];

    fn layer(n_features: usize, n_heads: usize, counted: Counted) -> (SelfAttention, Params) {
        let mut params = Params::default();
        let sequence = Sequence { n_steps: 4, n_features, counted };
        let layer = SelfAttention::new(&mut params, &mut Rng::new(1), "attention", sequence, n_heads);
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for (name, n_features, n_heads, counted) in CASES {
            let (layer, params) = layer(n_features, n_heads, counted);
            check::torch_case(&layer, &params, "attention", &format!("attention_{name}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (_, n_features, n_heads, counted) in &CASES[..3] {
            let (layer, params) = layer(*n_features, *n_heads, *counted);
            check::finite_differences_at(&layer, &params, &check::sequences(&layer.sequence, 6, 3), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for (_, n_features, n_heads, counted) in CASES {
            let (layer, params) = layer(n_features, n_heads, counted);
            check::same_bits_everywhere(&layer, &params, &check::sequences(&layer.sequence, 37, 4));
        }
    }

    #[test]
    fn rejects_heads_that_do_not_divide_the_width() {
        for (n_heads, expected) in [
            (0, "heads 0; allowed: 1 to 6"),
            (7, "heads 7; allowed: 1 to 6"),
            (4, "heads 4; allowed: divisors of the width 6"),
        ] {
            let sequence = Sequence { n_steps: 4, n_features: 6, counted: Counted::All };
            let made = SelfAttention::new(&mut Params::default(), &mut Rng::new(1), "attention", sequence, n_heads);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
