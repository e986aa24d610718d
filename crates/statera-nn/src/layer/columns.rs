//! Layers side by side: neighbouring columns of the input each go through a layer of their own (or through none), and
//! the outputs stand side by side in the same order.

use super::{Layer, Pass};
use crate::params::padded;

/// A part of the columns.
enum Part {
    /// This many columns stay as they are.
    Same(usize),
    /// A layer takes its columns.
    Layer(Box<dyn Layer>),
}

impl Part {
    fn n_in(&self) -> usize {
        match self {
            Part::Same(n) => *n,
            Part::Layer(layer) => layer.n_in(),
        }
    }
    fn n_out(&self) -> usize {
        match self {
            Part::Same(n) => *n,
            Part::Layer(layer) => layer.n_out(),
        }
    }
}

/// Layers side by side.
#[derive(Default)]
pub struct Columns {
    parts: Vec<Part>,
}

impl Columns {
    /// Adds a layer for the next columns.
    #[must_use]
    pub fn then(mut self, layer: Box<dyn Layer>) -> Columns {
        self.parts.push(Part::Layer(layer));
        self
    }
    /// Leaves the next `n` columns as they are.
    #[must_use]
    pub fn then_same(mut self, n: usize) -> Columns {
        self.parts.push(Part::Same(n));
        self
    }

    /// The layers, each with the first of its input columns and the first of its output columns.
    fn places(&self) -> impl Iterator<Item = (&Part, usize, usize)> {
        self.parts.iter().scan((0, 0), |place, part| {
            let here = *place;
            *place = (here.0 + part.n_in(), here.1 + part.n_out());
            Some((part, here.0, here.1))
        })
    }

    fn widest(&self, n_rows: usize, columns: impl Fn(&dyn Layer) -> usize) -> usize {
        let layers = self.parts.iter().filter_map(|p| if let Part::Layer(l) = p { Some(&**l) } else { None });
        layers.map(|l| padded(n_rows * columns(l))).max().unwrap_or(0)
    }
}

/// Copies `n` columns from column `from` of rows of `from_width` to column `to` of rows of `to_width`.
fn copy_columns(src: &[f32], from: usize, from_width: usize, dst: &mut [f32], to: usize, to_width: usize, n: usize) {
    for (src, dst) in src.chunks_exact(from_width).zip(dst.chunks_exact_mut(to_width)) {
        dst[to..to + n].copy_from_slice(&src[from..from + n]);
    }
}

/// The cache holds for each layer its input, its output and its own cache.
impl Layer for Columns {
    fn n_in(&self) -> usize {
        self.parts.iter().map(Part::n_in).sum()
    }
    fn n_out(&self) -> usize {
        self.parts.iter().map(Part::n_out).sum()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        let len = |p: &Part| match p {
            Part::Same(_) => 0,
            Part::Layer(l) => padded(n_rows * l.n_in()) + padded(n_rows * l.n_out()) + padded(l.cache_len(n_rows)),
        };
        self.parts.iter().map(len).sum()
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        let own = |p: &Part| if let Part::Layer(l) = p { l.scratch_len(n_rows) } else { 0 };
        let inner = self.parts.iter().map(own).max().unwrap_or(0);
        padded(inner) + self.widest(n_rows, |l| l.n_in()) + self.widest(n_rows, |l| l.n_out())
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (mut rest, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let (n_rows, n_in, n_out) = (pass.n_rows, self.n_in(), self.n_out());
        for (part, from, to) in self.places() {
            let Part::Layer(layer) = part else {
                copy_columns(x, from, n_in, y, to, n_out, part.n_in());
                continue;
            };
            let (own_x, after) = rest.split_at_mut(padded(n_rows * layer.n_in()));
            let (own_y, after) = after.split_at_mut(padded(n_rows * layer.n_out()));
            let (cache, after) = after.split_at_mut(padded(layer.cache_len(n_rows)));
            let (own_x, own_y) = (&mut own_x[..n_rows * layer.n_in()], &mut own_y[..n_rows * layer.n_out()]);
            copy_columns(x, from, n_in, own_x, 0, layer.n_in(), layer.n_in());
            layer.forward(&mut pass.with(cache, scratch), own_x, own_y);
            copy_columns(own_y, 0, layer.n_out(), y, to, n_out, layer.n_out());
            rest = after;
        }
    }

    fn backward(&self, pass: &mut Pass, _: &[f32], _: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (mut rest, scratch) = (std::mem::take(&mut pass.cache), std::mem::take(&mut pass.scratch));
        let (n_rows, n_in, n_out) = (pass.n_rows, self.n_in(), self.n_out());
        let (own_dx, scratch) = scratch.split_at_mut(self.widest(n_rows, |l| l.n_in()));
        let (own_dy, scratch) = scratch.split_at_mut(self.widest(n_rows, |l| l.n_out()));
        for (part, from, to) in self.places() {
            let Part::Layer(layer) = part else {
                if let Some(dx) = dx.as_deref_mut() {
                    copy_columns(dy, to, n_out, dx, from, n_in, part.n_in());
                }
                continue;
            };
            let (own_x, after) = rest.split_at_mut(padded(n_rows * layer.n_in()));
            let (own_y, after) = after.split_at_mut(padded(n_rows * layer.n_out()));
            let (cache, after) = after.split_at_mut(padded(layer.cache_len(n_rows)));
            let (own_x, own_y) = (&own_x[..n_rows * layer.n_in()], &own_y[..n_rows * layer.n_out()]);
            let (own_dx, own_dy) = (&mut own_dx[..own_x.len()], &mut own_dy[..own_y.len()]);
            copy_columns(dy, to, n_out, own_dy, 0, layer.n_out(), layer.n_out());
            let wanted = dx.is_some().then_some(&mut *own_dx);
            layer.backward(&mut pass.with(cache, scratch), own_x, own_y, own_dy, wanted);
            if let Some(dx) = dx.as_deref_mut() {
                copy_columns(own_dx, 0, layer.n_in(), dx, from, n_in, layer.n_in());
            }
            rest = after;
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
        let (mut params, mut rng) = (Params::default(), Rng::new(1));
        let a = Dense::new(&mut params, &mut rng, "a", 2, 3, Activation::Gelu);
        let b = Dense::new(&mut params, &mut rng, "b", 3, 1, Activation::Tanh);
        let layer = Columns::default().then(Box::new(a)).then_same(2).then(Box::new(b));
        assert_eq!((layer.n_in(), layer.n_out()), (7, 6));
        check::finite_differences(&layer, &params, 5);
    }
}
