//! Residual connection (He et al. 2016): `y = x + f(x)` for any inner layer f; backward, `dx = dy + fᵀ(dy)`.

use super::sequence::{Column, Counted, Sequence};
use super::{Layer, Pass};
use crate::params::padded;
use statera_core::{Error, Result};
use statera_kernel::elementwise;

/// A layer whose input is added to its output.
pub struct Residual {
    inner: Box<dyn Layer>,
    /// The shape of rows whose last column is a length: it passes, and is not added.
    lengths: Option<Sequence>,
}

impl Residual {
    /// Adds the input to the output of `inner`.
    ///
    /// # Errors
    /// If the inner layer has other numbers of inputs and outputs.
    pub fn new(inner: Box<dyn Layer>) -> Result<Residual> {
        if inner.n_in() != inner.n_out() {
            let (is, needs) = (inner.n_out(), inner.n_in());
            return Err(Error::request(format!(
                "{is} outputs of a residual connection; allowed: as many as inputs, {needs}"
            )));
        }
        Ok(Residual { inner, lengths: None })
    }

    /// The same for a layer of sequences: a column of lengths passes, and steps that do not count are 0.
    ///
    /// # Errors
    /// If the inner layer's inputs or outputs are not such sequences, or steps have weights.
    pub fn of_steps(sequence: Sequence, inner: Box<dyn Layer>) -> Result<Residual> {
        sequence.check_unweighed("a residual connection")?;
        if inner.n_in() != sequence.n_cols() {
            let (is, needs) = (inner.n_in(), sequence.n_cols());
            return Err(Error::request(format!("{is} inputs of a residual connection; allowed: {needs}")));
        }
        let lengths = (sequence.counted == Counted::Lengths).then_some(sequence);
        Ok(Residual { lengths, ..Residual::new(inner)? })
    }
}

/// The cache holds f(x) and then the inner layer's cache; the scratch fᵀ(dy) and then the inner layer's scratch.
impl Layer for Residual {
    fn n_in(&self) -> usize {
        self.inner.n_in()
    }
    fn n_out(&self) -> usize {
        self.inner.n_out()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        padded(n_rows * self.n_out()) + self.inner.cache_len(n_rows)
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        padded(n_rows * self.n_in()) + self.inner.scratch_len(n_rows)
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let (f, cache) = cache.split_at_mut(padded(y.len()));
        let f = &mut f[..y.len()];
        self.inner.forward(&mut pass.with(cache, scratch), x, f);
        y.copy_from_slice(f);
        let Some(shape) = self.lengths else {
            elementwise::add(y, x);
            return;
        };
        for (y, x) in y.chunks_exact_mut(shape.n_cols()).zip(x.chunks_exact(shape.n_cols())) {
            let length = shape.length(x);
            elementwise::add(&mut y[..length * shape.n_features], &x[..length * shape.n_features]);
            Column::Length.write(&shape, length, y);
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let (f, cache) = cache.split_at_mut(padded(y.len()));
        let (through, scratch) = scratch.split_at_mut(padded(x.len()));
        let (f, through) = (&f[..y.len()], &mut through[..x.len()]);
        let Some(dx) = dx else {
            self.inner.backward(&mut pass.with(cache, scratch), x, f, dy, None);
            return;
        };
        // The inner layer may overwrite dy.
        dx.copy_from_slice(dy);
        self.inner.backward(&mut pass.with(cache, scratch), x, f, dy, Some(through));
        let Some(shape) = self.lengths else {
            elementwise::add(dx, through);
            return;
        };
        let rows = dx.chunks_exact_mut(shape.n_cols()).zip(through.chunks_exact(shape.n_cols()));
        for ((dx, through), length) in rows.zip(shape.lengths(x)) {
            let (counted, rest) = dx.split_at_mut(length * shape.n_features);
            elementwise::add(counted, &through[..length * shape.n_features]);
            rest.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::check;
    use crate::layer::{Dense, PerStep};
    use crate::params::Params;
    use statera_core::Rng;

    fn layer(counted: Counted) -> (Residual, Params) {
        let mut params = Params::default();
        let sequence = Sequence { n_steps: 4, n_features: 5, counted };
        let dense = Dense::new(&mut params, &mut Rng::new(1), "dense", 5, 5, Activation::Gelu);
        let steps = PerStep::new(sequence, Box::new(dense)).expect("sizes fit");
        (Residual::of_steps(sequence, Box::new(steps)).expect("sizes fit"), params)
    }

    fn rows(layer: &Residual, n_rows: usize) -> Vec<f32> {
        let shape = layer.lengths.unwrap_or(Sequence { n_steps: 4, n_features: 5, counted: Counted::All });
        check::sequences(&shape, n_rows, 3)
    }

    #[test]
    fn equals_pytorch() {
        for (name, counted) in [("residual", Counted::All), ("residual_lengths", Counted::Lengths)] {
            let (layer, params) = layer(counted);
            check::torch_case(&layer, &params, "residual", name);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for counted in [Counted::All, Counted::Lengths] {
            let (layer, params) = layer(counted);
            check::finite_differences_at(&layer, &params, &rows(&layer, 6), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for counted in [Counted::All, Counted::Lengths] {
            let (layer, params) = layer(counted);
            check::same_bits_everywhere(&layer, &params, &rows(&layer, 37));
        }
    }

    #[test]
    fn rejects_a_layer_of_another_width() {
        let dense = Dense::new(&mut Params::default(), &mut Rng::new(1), "dense", 5, 4, Activation::Relu);
        let message = Residual::new(Box::new(dense)).err().expect("widths differ").to_string();
        assert_eq!(message, "4 outputs of a residual connection; allowed: as many as inputs, 5");
    }
}
