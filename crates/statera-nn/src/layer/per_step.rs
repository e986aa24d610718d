//! A layer applied to each step of sequences: its rows are the steps that count.
//!
//! Where lengths differ, the steps that count are copied one after another: the inner layer neither computes nor sees
//! the others (a batch normalisation inside takes its statistics from the steps that count).

use super::sequence::{Column, Counted, Sequence};
use super::{Layer, Pass};
use crate::params::padded;
use statera_core::{Error, Result};

/// A layer of steps.
pub struct PerStep {
    sequence: Sequence,
    inner: Box<dyn Layer>,
}

impl PerStep {
    /// Applies `inner` to each step; the output has the same steps (and column of lengths) with `inner.n_out()` features.
    ///
    /// # Errors
    /// If the inner layer takes another number of features than a step has, or steps have weights.
    pub fn new(sequence: Sequence, inner: Box<dyn Layer>) -> Result<PerStep> {
        sequence.check_unweighed("a layer of steps")?;
        if inner.n_in() != sequence.n_features {
            let (is, needs) = (inner.n_in(), sequence.n_features);
            return Err(Error::request(format!("a layer of {is} inputs for each step; allowed: {needs}")));
        }
        Ok(PerStep { sequence, inner })
    }

    /// The shape of the output.
    pub fn output(&self) -> Sequence {
        self.sequence.with_features(self.inner.n_out())
    }

    /// Floats of the packed inputs and outputs.
    fn packed_len(&self, n_rows: usize) -> [usize; 2] {
        let n_steps = n_rows * self.sequence.n_steps;
        [padded(n_steps * self.inner.n_in()), padded(n_steps * self.inner.n_out())]
    }
}

/// Where lengths differ, the cache holds the packed inputs and outputs and then the inner layer's cache; the scratch
/// gradients of the packed outputs and inputs and then the inner layer's scratch.
impl Layer for PerStep {
    fn n_in(&self) -> usize {
        self.sequence.n_cols()
    }
    fn n_out(&self) -> usize {
        self.output().n_cols()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        let packed: usize = self.packed_len(n_rows).iter().sum();
        let inner = self.inner.cache_len(n_rows * self.sequence.n_steps);
        if self.sequence.counted == Counted::Lengths { packed + inner } else { inner }
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        let packed: usize = self.packed_len(n_rows).iter().sum();
        let inner = self.inner.scratch_len(n_rows * self.sequence.n_steps);
        if self.sequence.counted == Counted::Lengths { packed + inner } else { inner }
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let n_steps = pass.n_rows * self.sequence.n_steps;
        if self.sequence.counted != Counted::Lengths {
            self.inner.forward(&mut pass.with_rows(n_steps, cache, scratch), x, y);
            return;
        }
        let [in_len, out_len] = self.packed_len(pass.n_rows);
        let (packed_x, cache) = cache.split_at_mut(in_len);
        let (packed_y, cache) = cache.split_at_mut(out_len);
        let n_counted = self.sequence.pack(self.sequence.lengths(x), x, packed_x);
        let packed_x = &packed_x[..n_counted * self.inner.n_in()];
        let packed_y = &mut packed_y[..n_counted * self.inner.n_out()];
        self.inner.forward(&mut pass.with_rows(n_counted, cache, scratch), packed_x, packed_y);
        self.output().unpack(self.sequence.lengths(x), packed_y, y, Column::Length);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (cache, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let n_steps = pass.n_rows * self.sequence.n_steps;
        if self.sequence.counted != Counted::Lengths {
            self.inner.backward(&mut pass.with_rows(n_steps, cache, scratch), x, y, dy, dx);
            return;
        }
        let [in_len, out_len] = self.packed_len(pass.n_rows);
        let (packed_x, cache) = cache.split_at_mut(in_len);
        let (packed_y, cache) = cache.split_at_mut(out_len);
        let (packed_dx, scratch) = scratch.split_at_mut(in_len);
        let (packed_dy, scratch) = scratch.split_at_mut(out_len);
        let n_counted = self.output().pack(self.sequence.lengths(x), dy, packed_dy);
        let (len, out_len) = (n_counted * self.inner.n_in(), n_counted * self.inner.n_out());
        let mut pass = pass.with_rows(n_counted, cache, scratch);
        let (packed_x, packed_y, packed_dy) = (&packed_x[..len], &packed_y[..out_len], &mut packed_dy[..out_len]);
        let inner_dx = dx.is_some().then_some(&mut packed_dx[..len]);
        self.inner.backward(&mut pass, packed_x, packed_y, packed_dy, inner_dx);
        if let Some(dx) = dx {
            self.sequence.unpack(self.sequence.lengths(x), &packed_dx[..len], dx, Column::Gradient);
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

    fn layer(counted: Counted) -> (PerStep, Params) {
        let mut params = Params::default();
        let sequence = Sequence { n_steps: 4, n_features: 3, counted };
        let dense = Dense::new(&mut params, &mut Rng::new(1), "dense", 3, 5, Activation::Gelu);
        (PerStep::new(sequence, Box::new(dense)).expect("sizes fit"), params)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for counted in [Counted::All, Counted::Lengths] {
            let (layer, params) = layer(counted);
            check::finite_differences_at(&layer, &params, &check::sequences(&layer.sequence, 6, 3), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for counted in [Counted::All, Counted::Lengths] {
            let (layer, params) = layer(counted);
            check::same_bits_everywhere(&layer, &params, &check::sequences(&layer.sequence, 37, 4));
        }
    }
}
