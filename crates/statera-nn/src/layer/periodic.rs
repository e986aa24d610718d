//! Periodic embedding of numbers (PBLD; Holzmüller et al. 2024, after Gorishniy et al. 2022): number x becomes
//! [V cos(2π w x + b) + c, x] with frequencies w, phases b, a matrix V and a bias c of its own.
//!
//! The cosine is computed from x reduced by whole turns, by a polynomial: the same bits on every CPU.

use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::Rng;
use statera_kernel::math32;
use std::ops::Range;

/// The embedding of some numbers.
#[derive(Debug, Clone)]
pub struct PeriodicEmbedding {
    n: usize,
    n_frequencies: usize,
    /// Numbers of an embedding, x included.
    d: usize,
    frequency: Range<usize>,
    phase: Range<usize>,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// Sizes and starts of a [`PeriodicEmbedding`].
#[derive(Debug, Clone, Copy)]
pub struct PeriodicShape {
    /// Numbers.
    pub n: usize,
    /// Frequencies of a number.
    pub n_frequencies: usize,
    /// Numbers of an embedding, the number itself included; at least 2.
    pub d: usize,
    /// Standard deviation of the frequencies at the start.
    pub deviation: f32,
    /// Factor of the learning rate.
    pub lr_factor: f32,
}

impl PeriodicEmbedding {
    /// Adds `name.frequency` and `name.phase` (n × frequencies; normal, uniform ±π), `name.weight`
    /// (n × frequencies × (d − 1)) and `name.bias` (n × (d − 1)), uniform between ±1/√frequencies.
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, shape: &PeriodicShape) -> PeriodicEmbedding {
        let PeriodicShape { n, n_frequencies: f, d, deviation, lr_factor } = *shape;
        let bound = Init::Uniform(1.0 / (f as f32).sqrt());
        let weight = Role::Trained { lr_factor, decay_factor: 1.0 };
        let bias = Role::Trained { lr_factor, decay_factor: 0.0 };
        PeriodicEmbedding {
            n,
            n_frequencies: f,
            d,
            frequency: params.add(format!("{name}.frequency"), &[n, f], &Init::Normal(deviation), weight, rng),
            phase: params.add(format!("{name}.phase"), &[n, f], &Init::Uniform(std::f32::consts::PI), bias, rng),
            weight: params.add(format!("{name}.weight"), &[n, f, d - 1], &bound, weight, rng),
            bias: params.add(format!("{name}.bias"), &[n, d - 1], &bound, bias, rng),
        }
    }

    /// The angles of a number's value, in `angles`.
    fn angles(&self, params: &[f32], j: usize, x: f32, angles: &mut [f32]) {
        let own = j * self.n_frequencies..(j + 1) * self.n_frequencies;
        let (w, b) = (&params[self.frequency.clone()][own.clone()], &params[self.phase.clone()][own]);
        for ((a, w), b) in angles.iter_mut().zip(w).zip(b) {
            *a = std::f32::consts::TAU * (w * x) + b;
        }
    }
}

impl Layer for PeriodicEmbedding {
    fn n_in(&self) -> usize {
        self.n
    }
    fn n_out(&self) -> usize {
        self.n * self.d
    }
    fn scratch_len(&self, _: usize) -> usize {
        2 * self.n_frequencies
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (f, d) = (self.n_frequencies, self.d);
        let cosines = &mut pass.scratch[..f];
        for (i, (x, y)) in x.iter().zip(y.chunks_exact_mut(d)).enumerate() {
            let j = i % self.n;
            self.angles(pass.params, j, *x, cosines);
            math32::cos(cosines);
            let weight = &pass.params[self.weight.clone()][j * f * (d - 1)..][..f * (d - 1)];
            y[..d - 1].copy_from_slice(&pass.params[self.bias.clone()][j * (d - 1)..][..d - 1]);
            for (c, row) in cosines.iter().zip(weight.chunks_exact(d - 1)) {
                y.iter_mut().zip(row).for_each(|(y, v)| *y += c * v);
            }
            y[d - 1] = *x;
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (f, d) = (self.n_frequencies, self.d);
        let (cosines, rest) = pass.scratch.split_at_mut(f);
        let sines = &mut rest[..f];
        for (i, (x, dy)) in x.iter().zip(dy.chunks_exact(d)).enumerate() {
            let j = i % self.n;
            self.angles(pass.params, j, *x, cosines);
            // sin a = cos(a − π/2).
            sines.iter_mut().zip(&*cosines).for_each(|(s, a)| *s = a - std::f32::consts::FRAC_PI_2);
            math32::cos(cosines);
            math32::cos(sines);
            let (g, mut slope) = (&dy[..d - 1], dy[d - 1]);
            for l in 0..f {
                let own = (j * f + l) * (d - 1);
                let row = &pass.params[self.weight.clone()][own..own + d - 1];
                let d_cosine: f32 = row.iter().zip(g).map(|(v, g)| v * g).sum();
                let d_angle = -sines[l] * d_cosine;
                let row = &mut pass.grads[self.weight.clone()][own..own + d - 1];
                row.iter_mut().zip(g).for_each(|(r, g)| *r += cosines[l] * g);
                pass.grads[self.phase.start + j * f + l] += d_angle;
                pass.grads[self.frequency.start + j * f + l] += std::f32::consts::TAU * x * d_angle;
                slope += std::f32::consts::TAU * pass.params[self.frequency.start + j * f + l] * d_angle;
            }
            let bias = &mut pass.grads[self.bias.clone()][j * (d - 1)..][..d - 1];
            bias.iter_mut().zip(g).for_each(|(b, g)| *b += g);
            if let Some(dx) = dx.as_deref_mut() {
                dx[i] = slope;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn equals_pytorch_and_finite_differences() {
        for (suffix, n) in [("", 5), ("_least", 1), ("_wide", 37)] {
            let (mut params, mut rng) = (Params::default(), Rng::new(1));
            let shape = PeriodicShape { n, n_frequencies: 5, d: 4, deviation: 0.3, lr_factor: 0.1 };
            let layer = PeriodicEmbedding::new(&mut params, &mut rng, "periodic", &shape);
            check::finite_differences(&layer, &params, 6);
            check::torch_case(&layer, &params, "realmlp", &format!("periodic{suffix}"));
            let x: Vec<f32> = (0..30 * n).map(|_| rng.normal() as f32 * 3.0).collect();
            check::same_bits_everywhere(&layer, &params, &x);
        }
    }
}
