//! A residual connection (He et al. 2016) of a row's first columns: with f(x) of m columns, `y = x₁…ₘ + f(x)`; the columns behind
//! them pass or end here. Backward, `dx = fᵀ(dy₁…ₘ)`, to whose columns those of dy are added.

use super::{Layer, Pass};
use crate::params::padded;
use statera_core::{Error, Result};
use statera_kernel::elementwise;

/// A layer to whose output the first columns of its input are added.
pub struct Shortcut {
    inner: Box<dyn Layer>,
    /// Columns behind the first that pass.
    n_passed: usize,
}

impl Shortcut {
    /// The other columns of the input, which the inner layer reads too, pass.
    ///
    /// # Errors
    /// If the inner layer has more outputs than inputs.
    pub fn passing(inner: Box<dyn Layer>) -> Result<Shortcut> {
        let n_passed = inner.n_in().saturating_sub(inner.n_out());
        Ok(Shortcut { n_passed, ..Shortcut::ending(inner)? })
    }

    /// The other columns of the input, which the inner layer reads, end here.
    ///
    /// # Errors
    /// If the inner layer has more outputs than inputs.
    pub fn ending(inner: Box<dyn Layer>) -> Result<Shortcut> {
        let (n_in, n_out) = (inner.n_in(), inner.n_out());
        if n_out > n_in {
            return Err(Error::request(format!("{n_out} outputs of a shortcut; allowed: at most the inputs, {n_in}")));
        }
        Ok(Shortcut { inner, n_passed: 0 })
    }
}

/// The cache holds f(x) and then the inner layer's cache; the scratch the gradient of f(x) and then the inner layer's scratch.
impl Layer for Shortcut {
    fn n_in(&self) -> usize {
        self.inner.n_in()
    }
    fn n_out(&self) -> usize {
        self.inner.n_out() + self.n_passed
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        padded(n_rows * self.inner.n_out()) + self.inner.cache_len(n_rows)
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        let own = padded(n_rows * self.inner.n_out()) + padded(n_rows * self.n_in());
        own + self.inner.scratch_len(n_rows)
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let n = self.inner.n_out();
        let (f, cache) = cache.split_at_mut(padded(pass.n_rows * n));
        let f = &mut f[..pass.n_rows * n];
        self.inner.forward(&mut pass.with(cache, scratch), x, f);
        let rows = x.chunks_exact(self.n_in()).zip(y.chunks_exact_mut(self.n_out())).zip(f.chunks_exact(n));
        for ((x, y), f) in rows {
            y.copy_from_slice(&x[..y.len()]);
            elementwise::add(&mut y[..n], f);
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let (n, n_in, n_out) = (self.inner.n_out(), self.n_in(), self.n_out());
        let (f, cache) = cache.split_at_mut(padded(pass.n_rows * n));
        let (df, scratch) = scratch.split_at_mut(padded(pass.n_rows * n));
        let (through, scratch) = scratch.split_at_mut(padded(pass.n_rows * n_in));
        let (f, df) = (&f[..pass.n_rows * n], &mut df[..pass.n_rows * n]);
        for (df, dy) in df.chunks_exact_mut(n).zip(dy.chunks_exact(n_out)) {
            df.copy_from_slice(&dy[..n]);
        }
        let through = dx.is_some().then_some(&mut through[..pass.n_rows * n_in]);
        match (dx, through) {
            (Some(dx), Some(through)) => {
                self.inner.backward(&mut pass.with(cache, scratch), x, f, df, Some(through));
                dx.copy_from_slice(through);
                for (dx, dy) in dx.chunks_exact_mut(n_in).zip(dy.chunks_exact(n_out)) {
                    elementwise::add(&mut dx[..n_out], dy);
                }
            }
            _ => self.inner.backward(&mut pass.with(cache, scratch), x, f, df, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::check;
    use crate::layer::Dense;
    use crate::params::Params;
    use statera_core::Rng;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        type Make = fn(Box<dyn Layer>) -> Result<Shortcut>;
        for (make, n_out) in [(Shortcut::passing as Make, 5), (Shortcut::ending as Make, 3)] {
            let mut params = Params::default();
            let dense = Dense::new(&mut params, &mut Rng::new(1), "d", 5, 3, Activation::Tanh);
            let layer = make(Box::new(dense)).expect("sizes fit");
            assert_eq!((layer.n_in(), layer.n_out()), (5, n_out));
            check::finite_differences(&layer, &params, 4);
        }
    }

    #[test]
    fn rejects_more_outputs_than_inputs() {
        let dense = Dense::new(&mut Params::default(), &mut Rng::new(1), "d", 2, 3, Activation::Tanh);
        let message = Shortcut::ending(Box::new(dense)).err().expect("too many").to_string();
        assert_eq!(message, "3 outputs of a shortcut; allowed: at most the inputs, 2");
    }
}
