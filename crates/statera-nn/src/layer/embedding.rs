//! Embeddings of categories: each categorical column becomes the row of a table that its code names.
//!
//! With the code a of a row, `e = E[a]`; backward `dE[a] += de`, row after row. A code that names no category (unknown,
//! missing, NaN, not an integer) becomes the zero vector and has no gradient.
//!
//! A code has no derivative; the *shares* p of the categories have one: `e = Σₐ pₐ E[a]`, which is `E[a]` to the bit where
//! all of the share is one category's. Attributions go along lines of shares.

use super::sequence::{MAX_SIZE, check_size};
use super::{Layer, Pass};
use crate::params::{Init, Params, Role};
use statera_core::{Result, Rng};
use std::ops::Range;

/// The sizes of a categorical column's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Codes are 0 … `n_categories` − 1.
    pub n_categories: usize,
    /// Numbers that a category becomes.
    pub width: usize,
}

/// Embeddings of the last columns of the rows; the columns before them pass unchanged.
#[derive(Debug, Clone)]
pub struct Embedding {
    n_passed: usize,
    tables: Vec<(Table, Range<usize>)>,
    reads_shares: bool,
}

impl Embedding {
    /// For rows of `n_passed` numbers followed by a code for each table; adds `name.table0`, … (`n_categories × width`)
    /// to the parameters, which start as `init` (N(0, 1) is PyTorch's).
    ///
    /// # Errors
    /// A table without categories or width; no column at all.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        n_passed: usize,
        tables: &[Table],
        init: &Init,
    ) -> Result<Embedding> {
        check_size("columns of an embedding", n_passed + tables.len(), 1..=MAX_SIZE)?;
        for table in tables {
            // Every code up to the largest is exact as a float.
            check_size("categories of an embedding", table.n_categories, 1..=1 << f32::MANTISSA_DIGITS)?;
            check_size("width of an embedding", table.width, 1..=MAX_SIZE)?;
        }
        let add = |(i, table): (usize, &Table)| {
            let shape = [table.n_categories, table.width];
            (*table, params.add(format!("{name}.table{i}"), &shape, init, Role::WEIGHT, rng))
        };
        Ok(Embedding { n_passed, tables: tables.iter().enumerate().map(add).collect(), reads_shares: false })
    }

    /// The same for rows that hold, in place of each code, the share of each of its categories.
    #[must_use]
    pub fn of_shares(self) -> Embedding {
        Embedding { reads_shares: true, ..self }
    }

    /// Columns of the input that a table reads.
    fn n_read(&self, table: &Table) -> usize {
        if self.reads_shares { table.n_categories } else { 1 }
    }
}

/// e = Σ pₐ E[a].
fn mix(shares: &[f32], vectors: &[f32], embedded: &mut [f32]) {
    embedded.fill(0.0);
    for (share, vector) in shares.iter().zip(vectors.chunks_exact(embedded.len())).filter(|(p, _)| **p != 0.0) {
        embedded.iter_mut().zip(vector).for_each(|(e, v)| *e += share * v);
    }
}

/// The place of a code's vector in the arena.
fn vector(code: f32, table: &Table, range: &Range<usize>) -> Option<Range<usize>> {
    // The cast takes NaN and negative numbers to 0 and fractions to the integer below; then they differ from the code.
    let category = code as usize;
    let known = category < table.n_categories && category as f32 == code;
    known.then(|| range.start + category * table.width..range.start + (category + 1) * table.width)
}

impl Layer for Embedding {
    fn n_in(&self) -> usize {
        self.n_passed + self.tables.iter().map(|(t, _)| self.n_read(t)).sum::<usize>()
    }
    fn n_out(&self) -> usize {
        self.n_passed + self.tables.iter().map(|(t, _)| t.width).sum::<usize>()
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(self.n_in()).zip(y.chunks_exact_mut(self.n_out())) {
            let (numbers, mut codes) = x.split_at(self.n_passed);
            let (passed, mut rest) = y.split_at_mut(self.n_passed);
            passed.copy_from_slice(numbers);
            for (table, range) in &self.tables {
                let (own, others) = codes.split_at(self.n_read(table));
                let (embedded, after) = rest.split_at_mut(table.width);
                if self.reads_shares {
                    mix(own, &pass.params[range.clone()], embedded);
                } else {
                    match vector(own[0], table, range) {
                        Some(place) => embedded.copy_from_slice(&pass.params[place]),
                        None => embedded.fill(0.0),
                    }
                }
                (codes, rest) = (others, after);
            }
        }
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        for (x, dy) in x.chunks_exact(self.n_in()).zip(dy.chunks_exact(self.n_out())) {
            let (mut codes, mut rest) = (&x[self.n_passed..], &dy[self.n_passed..]);
            for (table, range) in &self.tables {
                let (own, others) = codes.split_at(self.n_read(table));
                let (embedded, after) = rest.split_at(table.width);
                if self.reads_shares {
                    for (share, grads) in own.iter().zip(pass.grads[range.clone()].chunks_exact_mut(table.width)) {
                        grads.iter_mut().zip(embedded).for_each(|(g, d)| *g += share * d);
                    }
                } else if let Some(place) = vector(own[0], table, range) {
                    pass.grads[place].iter_mut().zip(embedded).for_each(|(g, d)| *g += *d);
                }
                (codes, rest) = (others, after);
            }
        }
        if let Some(dx) = dx {
            for (dx, dy) in dx.chunks_exact_mut(self.n_in()).zip(dy.chunks_exact(self.n_out())) {
                dx[..self.n_passed].copy_from_slice(&dy[..self.n_passed]);
                if !self.reads_shares {
                    // A code has no derivative.
                    dx[self.n_passed..].fill(0.0);
                    continue;
                }
                let (mut shares, mut rest) = (&mut dx[self.n_passed..], &dy[self.n_passed..]);
                for (table, range) in &self.tables {
                    let (own, others) = shares.split_at_mut(table.n_categories);
                    let (embedded, after) = rest.split_at(table.width);
                    for (share, vector) in own.iter_mut().zip(pass.params[range.clone()].chunks_exact(table.width)) {
                        *share = vector.iter().zip(embedded).map(|(v, d)| v * d).sum();
                    }
                    (shares, rest) = (others, after);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    const TABLES: [Table; 2] = [Table { n_categories: 5, width: 3 }, Table { n_categories: 2, width: 17 }];

    fn layer(n_passed: usize) -> (Embedding, Params) {
        let mut params = Params::default();
        let layer = Embedding::new(&mut params, &mut Rng::new(1), "embedding", n_passed, &TABLES, &Init::Normal(1.0));
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn equals_pytorch() {
        for n_passed in [0, 4] {
            let (layer, params) = layer(n_passed);
            check::torch_case(&layer, &params, "embedding", &format!("embedding_after_{n_passed}"));
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (layer, params) = layer(0);
        // A step of a finite difference would change the code: only the tables are checked.
        let x = [0.0, 1.0, 4.0, 0.0, 0.0, 0.0, 3.0, 7.0];
        check::finite_differences_at(&layer, &params, &x, false);
    }

    #[test]
    fn shares_have_derivatives_and_a_whole_share_is_its_code() {
        let (layer, params) = layer(1);
        let shares = layer.clone().of_shares();
        assert_eq!((layer.n_in(), shares.n_in(), shares.n_out()), (3, 8, layer.n_out()));
        check::finite_differences(&shares, &params, 4);
        let run = |layer: &Embedding, x: &[f32]| {
            let mut work = crate::workspace::Workspace::forward_only(layer, 1);
            let mode = crate::layer::Mode::Evaluate;
            work.forward(layer, &params.values, x, 1, mode, crate::layer::Math::Score).to_vec()
        };
        let mixed = [0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        assert_eq!(run(&shares, &mixed), run(&layer, &[0.5, 3.0, 0.0]));
        assert_eq!(run(&shares, &[0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), run(&layer, &[0.5, -1.0, 1.0]));
    }

    #[test]
    fn an_unknown_code_becomes_the_zero_vector() {
        let (layer, params) = layer(1);
        for code in [5.0, -1.0, 0.5, f32::NAN, f32::INFINITY, 1e30] {
            let mut work = crate::workspace::Workspace::new(&layer, params.values.len(), 1);
            let mode = crate::layer::Mode::Evaluate;
            let y = work.forward(&layer, &params.values, &[2.0, code, 1.0], 1, mode, crate::layer::Math::Score);
            assert_eq!(y[..4], [2.0, 0.0, 0.0, 0.0], "{code}");
            assert!(y[4..].iter().all(|v| *v != 0.0));
            work.dy.fill(1.0);
            work.backward(&layer, &params.values, &[2.0, code, 1.0], 1, mode, None);
            let unknown = &work.grads[params.slots[0].range.clone()];
            assert!(unknown.iter().all(|g| *g == 0.0), "{code} has no gradient");
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let (layer, params) = layer(1);
        let x: Vec<f32> = (0..37).flat_map(|i| [i as f32 * 0.3, (i % 7) as f32, (i % 2) as f32]).collect();
        check::same_bits_everywhere(&layer, &params, &x);
    }

    #[test]
    fn rejects_empty_tables() {
        for (table, expected) in [
            (Table { n_categories: 0, width: 2 }, "categories of an embedding 0; allowed: 1 to 16777216"),
            (Table { n_categories: 2, width: 0 }, "width of an embedding 0; allowed: 1 to 65536"),
        ] {
            let init = Init::Normal(1.0);
            let made = Embedding::new(&mut Params::default(), &mut Rng::new(1), "e", 0, &[table], &init);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
