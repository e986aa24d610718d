//! Embedding of categories: code c of column j becomes row c of that column's table. The input holds the codes as exact
//! floats; it has no gradient (`dx` is 0).

use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::Rng;
use std::ops::Range;

/// Tables of columns of codes, side by side.
#[derive(Debug, Clone)]
pub struct Embedding {
    d: usize,
    /// Codes of each column.
    sizes: Vec<usize>,
    tables: Range<usize>,
}

impl Embedding {
    /// Adds `name.tables` (all codes × d). Codes outside their table are taken as 0.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        sizes: &[usize],
        d: usize,
        init: &Init,
        role: Role,
    ) -> Embedding {
        let shape = [sizes.iter().sum::<usize>(), d];
        Embedding { d, sizes: sizes.to_vec(), tables: params.add(format!("{name}.tables"), &shape, init, role, rng) }
    }

    /// Calls `visit` with the place of each cell's numbers in a row-major output, and in the tables.
    fn each(&self, x: &[f32], mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        let mut first = 0;
        for (j, size) in self.sizes.iter().enumerate() {
            for (row, x) in x.chunks_exact(self.sizes.len()).enumerate() {
                let code = if x[j] >= 0.0 && (x[j] as usize) < *size { x[j] as usize } else { 0 };
                let (to, from) = ((row * self.sizes.len() + j) * self.d, (first + code) * self.d);
                visit(to..to + self.d, from..from + self.d);
            }
            first += size;
        }
    }
}

impl Layer for Embedding {
    fn n_in(&self) -> usize {
        self.sizes.len()
    }
    fn n_out(&self) -> usize {
        self.sizes.len() * self.d
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let tables = &pass.params[self.tables.clone()];
        self.each(x, |to, from| y[to].copy_from_slice(&tables[from]));
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let grads = &mut pass.grads[self.tables.clone()];
        self.each(x, |to, from| grads[from].iter_mut().zip(&dy[to]).for_each(|(g, d)| *g += d));
        if let Some(dx) = dx {
            dx.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn layer() -> (Embedding, Params) {
        let (mut params, mut rng) = (Params::default(), Rng::new(1));
        let layer = Embedding::new(&mut params, &mut rng, "embedding", &[3, 5], 4, &Init::Normal(1.0), Role::WEIGHT);
        (layer, params)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (layer, params) = layer();
        check::finite_differences_at(&layer, &params, &[0.0, 4.0, 2.0, 4.0, 1.0, 0.0, 2.0, 3.0], false);
    }

    #[test]
    fn equals_pytorch() {
        let (layer, params) = layer();
        check::torch_case(&layer, &params, "realmlp", "embedding");
    }
}
