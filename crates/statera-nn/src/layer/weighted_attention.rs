//! Multi-head attention (Vaswani et al. 2017) over tokens that are weighed: a token of weight 0, as one that only pads, gives
//! nothing and takes nothing.
//!
//! A row is `[tokens | weights of all tokens but the first]`; the first, which stands for the row, has weight 1. With X the tokens
//! (L × D), m their weights and, for each of H heads, d = D / H columns of `[Q K V] = X W + b`: `S = Q Kᵀ / √d`,
//! `Pᵢⱼ = mⱼ e^Sᵢⱼ / Σₖ mₖ e^Sᵢₖ`, `O = P V`, `Y = O W′ + b′` over all heads' columns of O. Weights between 0 and 1 lead
//! continuously from a sequence with a step to the one without it, so that attributions can go along them.
//!
//! Backward, head by head, from `dO = dY W′ᵀ`, with U = P without its factor m: `dV = Pᵀ dO`, `dP = dO Vᵀ`,
//! `E = dP − Σⱼ P ⊙ dP`, `dm += Σᵢ U ⊙ E`, `dS = P ⊙ E / √d`, `dQ = dS K`, `dK = dSᵀ Q`; then for all tokens at once
//! `dW += Xᵀ [dQ dK dV]`, `dX = [dQ dK dV] Wᵀ`, `dW′ += Oᵀ dY`.

use super::projections::Projections;
use super::sequence::{MAX_COLUMNS, MAX_SIZE, check_size};
use super::{Layer, Pass};
use crate::layer::Math;
use crate::params::{Params, padded, split};
use crate::product::{self, View};
use statera_core::{Result, Rng};
use statera_kernel::math32;
use std::ops::Range;

/// A token of weight 0 may have a score so far above all others; beyond it its derivative would not be finite.
const MOST_ABOVE: f32 = 40.0;

/// Which tokens ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    /// All: the output is a vector for each.
    All,
    /// The first: the output is one vector.
    First,
}

/// Multi-head attention over weighed tokens.
#[derive(Debug, Clone)]
pub struct WeightedAttention {
    n_tokens: usize,
    queries: Queries,
    heads: Projections,
}

/// Memory of one row.
struct Row<'a> {
    /// Q, K and V of each token.
    projected: &'a [f32],
    /// U and P, head after head.
    free: &'a mut [f32],
    shares: &'a mut [f32],
}

impl WeightedAttention {
    /// For rows of `n_tokens` tokens of width D = `d`; adds `name.weight` (D × 3 D: the columns of Q, K and V), `name.bias` (3 D),
    /// `name.out_weight` (D × D) and `name.out_bias` (D) to the parameters, at the start of
    /// [`SelfAttention`](super::SelfAttention).
    ///
    /// # Errors
    /// No tokens, or a number of heads that does not divide D.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        (n_tokens, d): (usize, usize),
        n_heads: usize,
        queries: Queries,
    ) -> Result<WeightedAttention> {
        check_size("tokens", n_tokens, 1..=MAX_SIZE)?;
        check_size("width of a token", d, 1..=MAX_SIZE)?;
        check_size("columns of tokens", n_tokens * (d + 1), 1..=MAX_COLUMNS)?;
        Ok(WeightedAttention { n_tokens, queries, heads: Projections::new(params, rng, name, d, n_heads)? })
    }

    fn n_queries(&self) -> usize {
        if self.queries == Queries::All { self.n_tokens } else { 1 }
    }

    /// Floats of the tokens without weights between them, Q, K and V, U, P, and O.
    fn cache_lens(&self, n_rows: usize) -> [usize; 5] {
        let (tokens, asked) = (n_rows * self.n_tokens * self.heads.d, n_rows * self.n_queries());
        let shares = asked * self.heads.n_heads * self.n_tokens;
        [tokens, 3 * tokens, shares, shares, asked * self.heads.d].map(padded)
    }

    /// Floats of the gradients of Q, K and V, of the tokens, of one row's P, and of O.
    fn scratch_lens(&self, n_rows: usize) -> [usize; 4] {
        let [tokens, projected, _, _, out] = self.cache_lens(n_rows);
        [projected, tokens, padded(self.heads.n_heads * self.n_queries() * self.n_tokens), out]
    }

    /// A head's columns of Q, K or V (`which` 0, 1, 2) of a row's tokens.
    fn head<'a>(&self, projected: &'a [f32], which: usize, head: usize) -> View<'a> {
        let n_rows = if which == 0 { self.n_queries() } else { self.n_tokens };
        self.heads.head(projected, n_rows, which, head)
    }

    /// U, P and O of a row.
    fn attend(&self, math: Math, row: Row, weights: &[f32], out: &mut [f32]) {
        let size = self.n_queries() * self.n_tokens;
        for head in 0..self.heads.n_heads {
            let (q, k) = (self.head(row.projected, 0, head), self.head(row.projected, 1, head));
            product::product(math, q, k.transposed(), false, &mut row.free[head * size..][..size], self.n_tokens);
        }
        let scale = self.heads.scale();
        row.free.iter_mut().for_each(|s| *s *= scale);
        let rows = row.free.chunks_exact_mut(self.n_tokens).zip(row.shares.chunks_exact_mut(self.n_tokens));
        rows.for_each(|(free, shares)| weigh(weights, free, shares));
        for head in 0..self.heads.n_heads {
            let p = View::rows(&row.shares[head * size..][..size], self.n_tokens);
            let at = head * self.heads.width();
            product::product(math, p, self.head(row.projected, 2, head), false, &mut out[at..], self.heads.d);
        }
    }

    /// The gradients of a row's Q, K and V, which were 0; adds that of its weights.
    fn attend_backward(
        &self,
        row: &Row,
        d_out: &[f32],
        d_shares: &mut [f32],
        d_projected: &mut [f32],
        d_weights: &mut [f32],
    ) {
        let (n, size) = (self.n_tokens, self.n_queries() * self.n_tokens);
        let d_head = |head: usize| self.heads.head_of_out(d_out, self.n_queries(), head);
        for head in 0..self.heads.n_heads {
            let (v, dp) = (self.head(row.projected, 2, head), &mut d_shares[head * size..][..size]);
            product::product(Math::Train, d_head(head), v.transposed(), false, dp, n);
        }
        let (scale, shares) = (self.heads.scale(), row.shares.chunks_exact(n));
        for ((d, p), u) in d_shares.chunks_exact_mut(n).zip(shares).zip(row.free.chunks_exact(n)) {
            let mean = math32::sum_of_products(p, d);
            d.iter_mut().for_each(|d| *d -= mean);
            d_weights.iter_mut().zip(&d[1..]).zip(&u[1..]).for_each(|((m, e), u)| *m += u * e);
            d.iter_mut().zip(p).for_each(|(d, p)| *d *= p * scale);
        }
        for head in 0..self.heads.n_heads {
            let p = View::rows(&row.shares[head * size..][..size], n);
            let ds = View::rows(&d_shares[head * size..][..size], n);
            let (q, k) = (self.head(row.projected, 0, head), self.head(row.projected, 1, head));
            for (which, left, right) in [(0, ds, k), (1, ds.transposed(), q), (2, p.transposed(), d_head(head))] {
                let to = &mut d_projected[self.heads.head_at(which, head)..];
                product::product(Math::Train, left, right, false, to, 3 * self.heads.d);
            }
        }
    }
}

/// From a query's scores, in `free`, to U there and P in `shares`; the first token has weight 1.
fn weigh(weights: &[f32], free: &mut [f32], shares: &mut [f32]) {
    let counted = free[1..].iter().zip(weights).filter(|(_, m)| **m > 0.0);
    let largest = counted.fold(free[0], |most, (s, _)| if *s > most { *s } else { most });
    free.iter_mut().for_each(|s| *s = (*s - largest).min(MOST_ABOVE));
    math32::exp(free);
    shares[0] = free[0];
    shares[1..].iter_mut().zip(&free[1..]).zip(weights).for_each(|((p, u), m)| *p = m * u);
    let inverse = 1.0 / math32::sum(shares);
    free.iter_mut().chain(shares).for_each(|v| *v *= inverse);
}

impl Layer for WeightedAttention {
    fn n_in(&self) -> usize {
        self.n_tokens * self.heads.d + self.n_tokens - 1
    }
    fn n_out(&self) -> usize {
        self.n_queries() * self.heads.d
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.cache_lens(n_rows).iter().sum()
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        self.scratch_lens(n_rows).iter().sum()
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (n_rows, d, tokens) = (pass.n_rows, self.heads.d, self.n_tokens * self.heads.d);
        let [packed, projected, free, shares, out] = split(pass.cache, self.cache_lens(n_rows));
        for (packed, x) in packed.chunks_exact_mut(tokens).zip(x.chunks_exact(self.n_in())) {
            packed.copy_from_slice(&x[..tokens]);
        }
        let of = |range: &Range<usize>| &pass.params[range.clone()];
        let (packed, projected) = (&packed[..n_rows * tokens], &mut projected[..3 * n_rows * tokens]);
        product::affine(pass.math, packed, d, of(&self.heads.weight), Some(of(&self.heads.bias)), projected);
        let (n_out, n_shares) = (self.n_out(), self.heads.n_heads * self.n_queries() * self.n_tokens);
        let (free, shares) = (free.chunks_exact_mut(n_shares), shares.chunks_exact_mut(n_shares));
        let rows = projected.chunks_exact(3 * tokens).zip(free).zip(shares);
        let out = &mut out[..n_rows * n_out];
        for (row, (x, out)) in rows.zip(x.chunks_exact(self.n_in()).zip(out.chunks_exact_mut(n_out))) {
            let ((projected, free), shares) = row;
            self.attend(pass.math, Row { projected, free, shares }, &x[tokens..], out);
        }
        product::affine(pass.math, out, d, of(&self.heads.out_weight), Some(of(&self.heads.out_bias)), y);
    }

    fn backward(&self, pass: &mut Pass, _x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (n_rows, d, tokens) = (pass.n_rows, self.heads.d, self.n_tokens * self.heads.d);
        let [packed, projected, free, shares, out] = split(pass.cache, self.cache_lens(n_rows));
        let [d_projected, d_packed, d_shares, d_out] = split(pass.scratch, self.scratch_lens(n_rows));
        let (n_out, n_shares) = (self.n_out(), self.heads.n_heads * self.n_queries() * self.n_tokens);
        let d_out = &mut d_out[..n_rows * n_out];
        product::input_gradient(dy, d, &pass.params[self.heads.out_weight.clone()], d_out);
        product::add_weight_gradient(&out[..d_out.len()], d, dy, &mut pass.grads[self.heads.out_weight.clone()]);
        product::add_column_sums(dy, &mut pass.grads[self.heads.out_bias.clone()]);
        let d_projected = &mut d_projected[..3 * n_rows * tokens];
        d_projected.fill(0.0);
        // Where nobody asks for the gradient of x, that of its weights goes nowhere.
        let mut dx = dx;
        let mut unused = vec![0.0; if dx.is_none() { self.n_tokens - 1 } else { 0 }];
        for i in 0..n_rows {
            let d_weights = match dx.as_deref_mut() {
                Some(dx) => &mut dx[i * self.n_in() + tokens..][..self.n_tokens - 1],
                None => &mut unused[..],
            };
            d_weights.fill(0.0);
            let at = i * n_shares..(i + 1) * n_shares;
            let row = Row {
                projected: &projected[3 * i * tokens..][..3 * tokens],
                free: &mut free[at.clone()],
                shares: &mut shares[at],
            };
            let (d_out, d_projected) = (&d_out[i * n_out..][..n_out], &mut d_projected[3 * i * tokens..][..3 * tokens]);
            self.attend_backward(&row, d_out, &mut d_shares[..n_shares], d_projected, d_weights);
        }
        let packed = &packed[..n_rows * tokens];
        product::add_weight_gradient(packed, d, d_projected, &mut pass.grads[self.heads.weight.clone()]);
        product::add_column_sums(d_projected, &mut pass.grads[self.heads.bias.clone()]);
        let Some(dx) = dx else { return };
        let d_packed = &mut d_packed[..n_rows * tokens];
        product::input_gradient(d_projected, 3 * d, &pass.params[self.heads.weight.clone()], d_packed);
        for (dx, own) in dx.chunks_exact_mut(self.n_in()).zip(d_packed.chunks_exact(tokens)) {
            dx[..tokens].copy_from_slice(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::{Counted, Mode, SelfAttention, Sequence};
    use crate::workspace::Workspace;

    const N_TOKENS: usize = 4;

    fn layer(d: usize, n_heads: usize, queries: Queries) -> (WeightedAttention, Params) {
        let mut params = Params::default();
        let made = WeightedAttention::new(&mut params, &mut Rng::new(1), "a", (N_TOKENS, d), n_heads, queries);
        (made.expect("sizes are allowed"), params)
    }

    /// Rows of random tokens with those weights.
    fn rows(layer: &WeightedAttention, n_rows: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let mut rng = Rng::new(3);
        let tokens = N_TOKENS * layer.heads.d;
        let row = |i: usize| {
            let tokens: Vec<f32> = (0..tokens).map(|_| rng.normal() as f32).collect();
            tokens.into_iter().chain((1..N_TOKENS).map(|j| weight(i, j))).collect::<Vec<f32>>()
        };
        (0..n_rows).flat_map(row).collect()
    }

    fn output(layer: &dyn Layer, params: &Params, x: &[f32]) -> Vec<f32> {
        let n_rows = x.len() / layer.n_in();
        let mut work = Workspace::forward_only(layer, n_rows);
        work.forward(layer, &params.values, x, n_rows, Mode::Evaluate, Math::Score).to_vec()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (d, n_heads, queries) in [(5, 1, Queries::All), (6, 3, Queries::All), (6, 2, Queries::First)] {
            let (layer, params) = layer(d, n_heads, queries);
            // Weights of more than 0 have a derivative; in a row all are 1.
            let x = rows(&layer, 5, |i, j| if i == 0 { 1.0 } else { 0.1 + 0.2 * ((i + j) % 4) as f32 });
            check::finite_differences_at(&layer, &params, &x, true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for queries in [Queries::All, Queries::First] {
            let (layer, params) = layer(20, 2, queries);
            let x = rows(&layer, 37, |i, j| f32::from(u8::from((i + j) % 3 > 0)));
            check::same_bits_everywhere(&layer, &params, &x);
        }
    }

    #[test]
    fn with_all_weights_one_it_is_self_attention() {
        let (layer, params) = layer(6, 2, Queries::All);
        let mut own = Params::default();
        let sequence = Sequence { n_steps: N_TOKENS, n_features: 6, counted: Counted::All };
        let plain = SelfAttention::new(&mut own, &mut Rng::new(1), "a", sequence, 2).expect("sizes are allowed");
        assert_eq!(own.values[..], params.values[..]);
        let x = rows(&layer, 3, |_, _| 1.0);
        let tokens: Vec<f32> = x.chunks_exact(layer.n_in()).flat_map(|row| row[..N_TOKENS * 6].to_vec()).collect();
        let (ours, expected) = (output(&layer, &params, &x), output(&plain, &own, &tokens));
        ours.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a}, expected {b}"));
    }

    #[test]
    fn a_token_of_weight_zero_has_no_influence_to_the_bit() {
        for queries in [Queries::All, Queries::First] {
            let (layer, params) = layer(6, 2, queries);
            let x = rows(&layer, 3, |_, j| f32::from(u8::from(j != 2)));
            let mut moved = x.clone();
            for row in moved.chunks_exact_mut(layer.n_in()) {
                row[2 * 6..3 * 6].iter_mut().for_each(|v| *v = 37.0 - 5.0 * *v);
            }
            let (a, b) = (output(&layer, &params, &x), output(&layer, &params, &moved));
            for (i, (a, b)) in a.iter().zip(&b).enumerate() {
                // What it asks for itself is its own.
                if queries == Queries::First || i % (N_TOKENS * 6) / 6 != 2 {
                    assert_eq!(a.to_bits(), b.to_bits(), "number {i}");
                }
            }
        }
    }

    #[test]
    fn rejects_heads_that_do_not_divide_the_width() {
        for (n_tokens, n_heads, expected) in [
            (4, 4, "heads 4; allowed: divisors of the width 6"),
            (4, 0, "heads 0; allowed: 1 to 6"),
            (0, 2, "tokens 0; allowed: 1 to 65536"),
        ] {
            let (mut params, mut rng) = (Params::default(), Rng::new(1));
            let made = WeightedAttention::new(&mut params, &mut rng, "a", (n_tokens, 6), n_heads, Queries::All);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
