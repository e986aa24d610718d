//! What both forms of attention are made of: the matrices to queries, keys and values and from what was attended back, cut in heads.

use super::sequence::check_size;
use crate::params::{Init, Params, Role};
use crate::product::View;
use statera_core::{Error, Result, Rng};
use std::ops::Range;

/// The matrices and their heads: `[Q K V] = X W + b`, and `Y = O W′ + b′` of the columns of O of all heads.
#[derive(Debug, Clone)]
pub(super) struct Projections {
    /// Width of a token, D.
    pub d: usize,
    /// Heads, H.
    pub n_heads: usize,
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    pub out_weight: Range<usize>,
    pub out_bias: Range<usize>,
}

impl Projections {
    /// Adds `name.weight` (D × 3 D: the columns of Q, K and V), `name.bias` (3 D), `name.out_weight` (D × D) and `name.out_bias`
    /// (D) to the parameters. The weights are uniform between ±√(6/4D) and ±1/√D, the biases 0 (PyTorch's start).
    ///
    /// # Errors
    /// A number of heads that does not divide D.
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, d: usize, n_heads: usize) -> Result<Projections> {
        check_size("heads", n_heads, 1..=d)?;
        if !d.is_multiple_of(n_heads) {
            return Err(Error::request(format!("heads {n_heads}; allowed: divisors of the width {d}")));
        }
        let bound = |of: f32| Init::Uniform(of.sqrt());
        let zero = Init::Constant(0.0);
        let mut own = params.of(name, rng);
        Ok(Projections {
            d,
            n_heads,
            weight: own.add("weight", &[d, 3 * d], &bound(6.0 / (4.0 * d as f32)), Role::WEIGHT),
            bias: own.add("bias", &[3 * d], &zero, Role::BIAS),
            out_weight: own.add("out_weight", &[d, d], &bound(1.0 / d as f32), Role::WEIGHT),
            out_bias: own.add("out_bias", &[d], &zero, Role::BIAS),
        })
    }

    /// Columns of a head, d.
    pub fn width(&self) -> usize {
        self.d / self.n_heads
    }

    /// 1 / √d.
    pub fn scale(&self) -> f32 {
        1.0 / (self.width() as f32).sqrt()
    }

    /// Where a head's columns of Q, K or V (`which` 0, 1, 2) of a token begin.
    pub fn head_at(&self, which: usize, head: usize) -> usize {
        which * self.d + head * self.width()
    }

    /// Those columns of the first `n_tokens` tokens of `projected`, tokens × 3 D.
    pub fn head<'a>(&self, projected: &'a [f32], n_tokens: usize, which: usize, head: usize) -> View<'a> {
        View::strided(&projected[self.head_at(which, head)..], n_tokens, self.width(), 3 * self.d)
    }

    /// A head's columns of the first `n_tokens` tokens of what was attended, tokens × D.
    pub fn head_of_out<'a>(&self, out: &'a [f32], n_tokens: usize, head: usize) -> View<'a> {
        View::strided(&out[head * self.width()..], n_tokens, self.width(), self.d)
    }
}
