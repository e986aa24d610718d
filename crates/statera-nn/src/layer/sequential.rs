//! Layers one after another.

use super::{Layer, Pass};
use crate::params::padded;

/// Layers, each of which takes the output of the one before.
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// A chain of at least one layer.
    ///
    /// # Panics
    /// If there is none, or the columns of neighbours do not fit.
    pub fn new(layers: Vec<Box<dyn Layer>>) -> Sequential {
        assert!(!layers.is_empty(), "a chain has at least one layer");
        for pair in layers.windows(2) {
            assert_eq!(pair[0].n_out(), pair[1].n_in(), "the output of a layer is the input of the next");
        }
        Sequential { layers }
    }

    /// Floats of the longest value between two layers.
    fn widest(&self, n_rows: usize) -> usize {
        self.layers[1..].iter().map(|l| padded(n_rows * l.n_in())).max().unwrap_or(0)
    }
}

/// The cache holds for each layer its own cache followed by its output; the last output is the caller's.
impl Layer for Sequential {
    fn n_in(&self) -> usize {
        self.layers[0].n_in()
    }
    fn n_out(&self) -> usize {
        self.layers[self.layers.len() - 1].n_out()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        let caches: usize = self.layers.iter().map(|l| padded(l.cache_len(n_rows))).sum();
        caches + self.layers[1..].iter().map(|l| padded(n_rows * l.n_in())).sum::<usize>()
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        let own = self.layers.iter().map(|l| l.scratch_len(n_rows)).max().unwrap_or(0);
        padded(own) + 2 * self.widest(n_rows)
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (mut rest, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let mut x = x;
        let last = self.layers.len() - 1;
        for layer in &self.layers[..last] {
            let (cache, after) = rest.split_at_mut(padded(layer.cache_len(pass.n_rows)));
            let len = pass.n_rows * layer.n_out();
            let (out, after) = after.split_at_mut(padded(len));
            layer.forward(&mut pass.with(cache, scratch), x, &mut out[..len]);
            (x, rest) = (&out[..len], after);
        }
        self.layers[last].forward(&mut pass.with(rest, scratch), x, y);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (mut rest, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let n_rows = pass.n_rows;
        let widest = self.widest(n_rows);
        let (a, scratch) = scratch.split_at_mut(widest);
        let (b, scratch) = scratch.split_at_mut(widest);
        // The gradient of each value between layers is written to one of two places and read from the other.
        let (mut current, mut other): (&mut [f32], &mut [f32]) = (a, b);
        let (mut y, mut dx) = (y, dx);
        let mut dy = Some(dy);
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (before, cache) = if i == 0 { (&mut [][..], rest) } else { split(rest, &self.layers, i, n_rows) };
            let len = n_rows * layer.n_in();
            let dy = match dy.take() {
                Some(dy) => dy,
                None => &mut current[..n_rows * layer.n_out()],
            };
            if i == 0 {
                layer.backward(&mut pass.with(cache, scratch), x, y, dy, dx.take());
                return;
            }
            let start = before.len() - padded(len);
            let input = &before[start..][..len];
            layer.backward(&mut pass.with(cache, scratch), input, y, dy, Some(&mut other[..len]));
            std::mem::swap(&mut current, &mut other);
            // The input is the output of the layer before, whose cache lies before it.
            let (earlier, out) = before.split_at_mut(start);
            (rest, y) = (earlier, &out[..len]);
        }
    }
}

/// Splits what is left of the cache before the own cache of layer `i`.
fn split<'a>(
    rest: &'a mut [f32],
    layers: &[Box<dyn Layer>],
    i: usize,
    n_rows: usize,
) -> (&'a mut [f32], &'a mut [f32]) {
    let own = padded(layers[i].cache_len(n_rows));
    // The caller's cache may be longer than asked for at its end; the chain's own part is found from the front.
    let before: usize = layers[..i].iter().map(|l| padded(l.cache_len(n_rows)) + padded(n_rows * l.n_out())).sum();
    let (before, own_and_more) = rest.split_at_mut(before);
    (before, &mut own_and_more[..own])
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
        let mut params = Params::default();
        let mut rng = Rng::new(1);
        let chain = Sequential::new(vec![
            Box::new(Dense::new(&mut params, &mut rng, "a", 3, 17, Activation::Tanh)),
            Box::new(Dense::new(&mut params, &mut rng, "b", 17, 5, Activation::Gelu)),
            Box::new(Dense::new(&mut params, &mut rng, "c", 5, 2, Activation::Identity)),
        ]);
        check::finite_differences(&chain, &params, 7);
        let outer = Sequential::new(vec![
            Box::new(chain),
            Box::new(Dense::new(&mut params, &mut rng, "d", 2, 1, Activation::Sigmoid)),
        ]);
        check::finite_differences(&outer, &params, 7);
    }
}
