//! Piecewise-linear embedding of numbers, version B (Gorishniy, Rubachev and Babenko 2022; as in TabM, 2025).
//!
//! A number x with bin edges e₀ < … < e_T has components cₜ = (x − eₜ) / (eₜ₊₁ − eₜ) clamped to [0, 1], but the first not
//! below and the last not above. Its embedding is a x + b + Σₜ cₜ Wₜ, with a, b and each Wₜ of d numbers.
//!
//! Up to the bin of x all components are 1, beyond it 0: the sum is a sum of the first rows of W, taken from a table
//! where the batch is long, and one product. Backward, a row's gradient is added to its bin, and the gradient of Wₜ is the
//! sum over all later bins.

use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::Rng;
use std::ops::Range;

/// Rows from which a table of sums pays.
const TABLE_ROWS: usize = 32;

/// The embedding of some numbers, each with bins of its own.
#[derive(Debug, Clone)]
pub struct PiecewiseEmbedding {
    d: usize,
    edges: Vec<Vec<f32>>,
    /// 1 / (eₜ₊₁ − eₜ).
    inverse: Vec<Vec<f32>>,
    /// n × d: a.
    slope: Range<usize>,
    /// n × d: b.
    bias: Range<usize>,
    /// All bins × d: W.
    weight: Range<usize>,
}

impl PiecewiseEmbedding {
    /// Adds `name.slope` and `name.bias` (numbers × d, uniform between ±1/√d) and `name.weight` (bins of all
    /// numbers × d, 0). `edges` are at least two rising numbers each.
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, edges: &[Vec<f32>], d: usize) -> PiecewiseEmbedding {
        let bound = Init::Uniform(1.0 / (d as f32).sqrt());
        let n_bins: usize = edges.iter().map(|e| e.len() - 1).sum();
        PiecewiseEmbedding {
            d,
            edges: edges.to_vec(),
            inverse: edges.iter().map(|e| e.windows(2).map(|w| 1.0 / (w[1] - w[0])).collect()).collect(),
            slope: params.add(format!("{name}.slope"), &[edges.len(), d], &bound, Role::BIAS, rng),
            bias: params.add(format!("{name}.bias"), &[edges.len(), d], &bound, Role::BIAS, rng),
            weight: params.add(format!("{name}.weight"), &[n_bins, d], &Init::Constant(0.0), Role::WEIGHT, rng),
        }
    }

    /// The bin of a value of number `j` and its component there.
    fn locate(&self, j: usize, x: f32) -> (usize, f32) {
        let edges = &self.edges[j];
        let last = edges.len() - 2;
        let bin = edges[1..=last].partition_point(|e| *e <= x);
        (bin, (x - edges[bin]) * self.inverse[j][bin])
    }

    /// Bins of the widest number.
    fn most_bins(&self) -> usize {
        self.edges.iter().map(|e| e.len() - 1).max().unwrap_or(0)
    }

    /// Number, first row of W, and rows of W of each number.
    fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.edges.iter().enumerate().scan(0, |first, (j, edges)| {
            let here = *first;
            *first += edges.len() - 1;
            Some((j, here, edges.len() - 1))
        })
    }
}

impl Layer for PiecewiseEmbedding {
    fn n_in(&self) -> usize {
        self.edges.len()
    }
    fn n_out(&self) -> usize {
        self.edges.len() * self.d
    }
    fn scratch_len(&self, _: usize) -> usize {
        self.most_bins() * self.d
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (d, n, width) = (self.d, self.n_in(), self.n_out());
        for (j, first, n_bins) in self.places() {
            let slope = &pass.params[self.slope.clone()][j * d..][..d];
            let bias = &pass.params[self.bias.clone()][j * d..][..d];
            let weight = &pass.params[self.weight.clone()][first * d..][..n_bins * d];
            let table = &mut pass.scratch[..n_bins * d];
            let has_table = pass.n_rows >= TABLE_ROWS;
            if has_table {
                table[..d].fill(0.0);
                for t in 1..n_bins {
                    for l in t * d..(t + 1) * d {
                        table[l] = table[l - d] + weight[l - d];
                    }
                }
            }
            for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(width)) {
                let (x, y) = (x[j], &mut y[j * d..][..d]);
                let (bin, c) = self.locate(j, x);
                // The sum of rows before the bin, added up in the same order with or without the table.
                if has_table {
                    y.copy_from_slice(&table[bin * d..][..d]);
                } else {
                    y.fill(0.0);
                    for row in weight[..bin * d].chunks_exact(d) {
                        y.iter_mut().zip(row).for_each(|(y, w)| *y += w);
                    }
                }
                let own = &weight[bin * d..][..d];
                for (((y, w), a), b) in y.iter_mut().zip(own).zip(slope).zip(bias) {
                    *y = (a * x + b) + (*y + c * w);
                }
            }
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (d, n, width) = (self.d, self.n_in(), self.n_out());
        for (j, first, n_bins) in self.places() {
            let by_bin = &mut pass.scratch[..n_bins * d];
            by_bin.fill(0.0);
            for (row, (x, dy)) in x.chunks_exact(n).zip(dy.chunks_exact(width)).enumerate() {
                let (x, g) = (x[j], &dy[j * d..][..d]);
                let (bin, c) = self.locate(j, x);
                let add = |to: &mut [f32], factor: f32| to.iter_mut().zip(g).for_each(|(t, g)| *t += factor * g);
                add(&mut pass.grads[self.slope.clone()][j * d..][..d], x);
                add(&mut pass.grads[self.bias.clone()][j * d..][..d], 1.0);
                add(&mut by_bin[bin * d..][..d], 1.0);
                add(&mut pass.grads[self.weight.clone()][(first + bin) * d..][..d], c);
                if let Some(dx) = dx.as_deref_mut() {
                    let dot = |v: &[f32]| v.iter().zip(g).map(|(v, g)| v * g).sum::<f32>();
                    let own = dot(&pass.params[self.weight.clone()][(first + bin) * d..][..d]);
                    let slope = dot(&pass.params[self.slope.clone()][j * d..][..d]);
                    dx[row * n + j] = slope + self.inverse[j][bin] * own;
                }
            }
            // Row t of W is whole in every later bin.
            let weight = &mut pass.grads[self.weight.clone()][first * d..][..n_bins * d];
            for t in (1..n_bins).rev() {
                for l in t * d..(t + 1) * d {
                    weight[l - d] += by_bin[l];
                    by_bin[l - d] += by_bin[l];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn layer() -> (PiecewiseEmbedding, Params) {
        let (mut params, mut rng) = (Params::default(), Rng::new(1));
        let edges = [vec![-1.0, -0.25, 0.5, 1.0], vec![-0.5, 0.75], vec![-2.0, 0.0, 0.125]];
        let layer = PiecewiseEmbedding::new(&mut params, &mut rng, "embedding", &edges, 4);
        let range = params.slot("embedding.weight").map(|s| s.range.clone()).unwrap_or_default();
        params.values[range].fill_with(|| rng.normal() as f32);
        (layer, params)
    }

    /// Rows away from the edges, where the slope has no value.
    fn rows(n: usize) -> Vec<f32> {
        let mut rng = Rng::new(3);
        (0..n * 3).map(|_| (rng.uniform() * 32.0 - 16.0).floor() as f32 / 8.0 + 0.05).collect()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (layer, params) = layer();
        for n in [9, 40] {
            check::finite_differences_at(&layer, &params, &rows(n), true);
        }
    }

    #[test]
    fn equals_pytorch() {
        let (layer, params) = layer();
        check::torch_case(&layer, &params, "tabm", "piecewise");
        let mut params = Params::default();
        let edges = [vec![-1.0, -0.25, 0.5, 1.0]];
        let layer = PiecewiseEmbedding::new(&mut params, &mut Rng::new(1), "embedding", &edges, 17);
        check::torch_case(&layer, &params, "tabm", "piecewise_one_row");
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let (layer, params) = layer();
        check::same_bits_everywhere(&layer, &params, &rows(50));
    }
}
