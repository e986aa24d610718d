//! Layers with a parameter per column (RealMLP; Holzmüller et al. 2024): scaling, bias after a constant factor, and an
//! activation whose strength is learnt.

use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::Rng;
use statera_kernel::math32;
use std::ops::Range;

/// `y = s ⊙ x` with s = 1 at the start.
#[derive(Debug, Clone)]
pub struct ColumnScale {
    s: Range<usize>,
}

impl ColumnScale {
    /// Adds `name.scale` (n).
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, n: usize, role: Role) -> ColumnScale {
        ColumnScale { s: params.add(format!("{name}.scale"), &[n], &Init::Constant(1.0), role, rng) }
    }
}

impl Layer for ColumnScale {
    fn n_in(&self) -> usize {
        self.s.len()
    }
    fn n_out(&self) -> usize {
        self.s.len()
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let s = &pass.params[self.s.clone()];
        for (x, y) in x.chunks_exact(s.len()).zip(y.chunks_exact_mut(s.len())) {
            y.iter_mut().zip(x).zip(s).for_each(|((y, x), s)| *y = s * x);
        }
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (s, grads) = (&pass.params[self.s.clone()], &mut pass.grads[self.s.clone()]);
        for (x, dy) in x.chunks_exact(s.len()).zip(dy.chunks_exact(s.len())) {
            grads.iter_mut().zip(x).zip(dy).for_each(|((g, x), d)| *g += x * d);
        }
        if let Some(dx) = dx {
            for (dx, dy) in dx.chunks_exact_mut(s.len()).zip(dy.chunks_exact(s.len())) {
                dx.iter_mut().zip(dy).zip(s).for_each(|((x, d), s)| *x = s * d);
            }
        }
    }
}

/// `y = c x + b` with a constant c and b = 0 at the start: what follows the product in a layer in neural tangent form.
#[derive(Debug, Clone)]
pub struct ColumnBias {
    factor: f32,
    b: Range<usize>,
}

impl ColumnBias {
    /// Adds `name.bias` (n).
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, n: usize, factor: f32, role: Role) -> ColumnBias {
        ColumnBias { factor, b: params.add(format!("{name}.bias"), &[n], &Init::Constant(0.0), role, rng) }
    }
}

impl Layer for ColumnBias {
    fn n_in(&self) -> usize {
        self.b.len()
    }
    fn n_out(&self) -> usize {
        self.b.len()
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let b = &pass.params[self.b.clone()];
        for (x, y) in x.chunks_exact(b.len()).zip(y.chunks_exact_mut(b.len())) {
            y.iter_mut().zip(x).zip(b).for_each(|((y, x), b)| *y = self.factor * x + b);
        }
    }
    fn backward(&self, pass: &mut Pass, _: &[f32], _: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        statera_kernel::elementwise::add_rows(dy, &mut pass.grads[self.b.clone()]);
        if let Some(dx) = dx {
            dx.iter_mut().zip(dy).for_each(|(x, d)| *x = self.factor * *d);
        }
    }
}

/// `y = x + α ⊙ (SELU(x) − x)` with α = 1 at the start.
#[derive(Debug, Clone)]
pub struct ParametricSelu {
    alpha: Range<usize>,
}

impl ParametricSelu {
    /// Adds `name.alpha` (n).
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, n: usize, role: Role) -> ParametricSelu {
        ParametricSelu { alpha: params.add(format!("{name}.alpha"), &[n], &Init::Constant(1.0), role, rng) }
    }
}

/// The cache holds SELU(x).
impl Layer for ParametricSelu {
    fn n_in(&self) -> usize {
        self.alpha.len()
    }
    fn n_out(&self) -> usize {
        self.alpha.len()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        n_rows * self.alpha.len()
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let alpha = &pass.params[self.alpha.clone()];
        let selu = &mut pass.cache[..x.len()];
        selu.copy_from_slice(x);
        math32::selu(selu);
        for ((x, f), y) in
            x.chunks_exact(alpha.len()).zip(selu.chunks_exact(alpha.len())).zip(y.chunks_exact_mut(alpha.len()))
        {
            for i in 0..alpha.len() {
                y[i] = x[i] + alpha[i] * (f[i] - x[i]);
            }
        }
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (alpha, grads) = (&pass.params[self.alpha.clone()], &mut pass.grads[self.alpha.clone()]);
        let n = alpha.len();
        for (row, (x, dy)) in x.chunks_exact(n).zip(dy.chunks_exact(n)).enumerate() {
            let f = &pass.cache[row * n..][..n];
            for i in 0..n {
                grads[i] += dy[i] * (f[i] - x[i]);
            }
            if let Some(dx) = dx.as_deref_mut() {
                let dx = &mut dx[row * n..][..n];
                for i in 0..n {
                    // Below 0, SELU′ = SELU + λ α_S.
                    let below = f[i] + math32::SELU_SCALE * math32::SELU_ALPHA;
                    let slope = if x[i] > 0.0 { math32::SELU_SCALE } else { below };
                    dx[i] = dy[i] * (1.0 + alpha[i] * (slope - 1.0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn check_all(layer: &dyn Layer, params: &Params, name: &str) {
        check::finite_differences(layer, params, 6);
        check::torch_case(layer, params, "realmlp", name);
        let x: Vec<f32> = (0..layer.n_in() * 33).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        check::same_bits_everywhere(layer, params, &x);
    }

    #[test]
    fn layers_equal_pytorch_and_finite_differences() {
        let mut rng = Rng::new(1);
        for (suffix, n) in [("", 5), ("_least", 1), ("_wide", 37)] {
            let mut params = Params::default();
            let layer = ColumnScale::new(&mut params, &mut rng, "a", n, Role::BIAS);
            check_all(&layer, &params, &format!("scale{suffix}"));
            let mut params = Params::default();
            let layer = ColumnBias::new(&mut params, &mut rng, "a", n, 0.5, Role::BIAS);
            check_all(&layer, &params, &format!("bias{suffix}"));
            let mut params = Params::default();
            let layer = ParametricSelu::new(&mut params, &mut rng, "a", n, Role::BIAS);
            check_all(&layer, &params, &format!("selu{suffix}"));
        }
    }
}
