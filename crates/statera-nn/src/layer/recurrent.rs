//! What the recurrent layers share: sequences in step-major order, and where their states go.
//!
//! Inside a recurrent layer matrices are `step × row × …`: the rows of one step lie together, as the product of a step
//! needs them, and the rows of all steps are one matrix for the products that all steps share. Steps that do not count
//! are computed from zeros and never written out: their gradients are 0 of themselves, since no later step that counts
//! follows them. Steps after the longest sequence of the pass are not computed at all.

use super::sequence::{Column, MAX_SIZE, Sequence, check_size};
use crate::layer::Math;
use crate::product::{self, View};
use statera_core::Result;
use std::ops::Range;

/// Which states a recurrent layer puts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// That of the last step that counts; 0 for a sequence of length 0.
    Last,
    /// Those of all steps as a sequence with the input's lengths; 0 after the length.
    All,
}

/// The sizes of a recurrent layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub input: Sequence,
    pub n_hidden: usize,
    pub states: States,
}

impl Shape {
    /// Checks the sizes.
    pub fn new(input: Sequence, n_hidden: usize, states: States) -> Result<Shape> {
        input.check()?;
        check_size("hidden units", n_hidden, 1..=MAX_SIZE)?;
        Ok(Shape { input, n_hidden, states })
    }

    /// Columns of the output.
    pub fn n_out(&self) -> usize {
        match self.states {
            States::Last => self.n_hidden,
            States::All => self.input.with_features(self.n_hidden).n_cols(),
        }
    }

    /// Steps that have to be computed for the rows.
    pub fn n_run(&self, x: &[f32]) -> usize {
        self.input.lengths(x).max().unwrap_or(0)
    }

    /// Copies the first `n_run` steps of `x` to `steps` (n_run × n_rows × n_features); 0 after a row's length.
    pub fn gather(&self, x: &[f32], n_rows: usize, n_run: usize, steps: &mut [f32]) {
        let n = self.input.n_features;
        for (i, row) in x.chunks_exact(self.input.n_cols()).enumerate() {
            let length = self.input.length(row);
            for t in 0..n_run {
                let to = &mut steps[(t * n_rows + i) * n..][..n];
                if t < length {
                    to.copy_from_slice(&row[t * n..][..n]);
                } else {
                    to.fill(0.0);
                }
            }
        }
    }

    /// The inputs of some steps.
    pub fn steps<'a>(&self, range: Range<usize>, n_rows: usize, steps: &'a [f32]) -> &'a [f32] {
        let n = n_rows * self.input.n_features;
        &steps[range.start * n..range.end * n]
    }

    /// Writes the gradient of `x` from that of the steps: 0 after a row's length.
    pub fn scatter(&self, x: &[f32], n_rows: usize, steps: &[f32], dx: &mut [f32]) {
        let (n, n_cols) = (self.input.n_features, self.input.n_cols());
        for (i, (row, dx)) in x.chunks_exact(n_cols).zip(dx.chunks_exact_mut(n_cols)).enumerate() {
            let (counted, rest) = dx.split_at_mut(self.input.length(row) * n);
            for (t, dx) in counted.chunks_exact_mut(n).enumerate() {
                dx.copy_from_slice(&steps[(t * n_rows + i) * n..][..n]);
            }
            rest.fill(0.0);
        }
    }

    /// Writes the output from the states `h` after each step (n_run × n_rows × n_hidden).
    pub fn put_out(&self, x: &[f32], n_rows: usize, h: &[f32], y: &mut [f32]) {
        let (n, output) = (self.n_hidden, self.input.with_features(self.n_hidden));
        for (i, (length, y)) in self.input.lengths(x).zip(y.chunks_exact_mut(self.n_out())).enumerate() {
            match self.states {
                States::Last if length == 0 => y.fill(0.0),
                States::Last => y.copy_from_slice(&h[((length - 1) * n_rows + i) * n..][..n]),
                States::All => {
                    let (counted, rest) = y.split_at_mut(length * n);
                    for (t, y) in counted.chunks_exact_mut(n).enumerate() {
                        y.copy_from_slice(&h[(t * n_rows + i) * n..][..n]);
                    }
                    rest.fill(0.0);
                    Column::Length.write(&output, length, rest);
                }
            }
        }
    }

    /// Adds the output's gradient at step `t` to the gradients `dh` of the state after it (n_rows × n_hidden).
    pub fn add_output_gradient(&self, t: usize, x: &[f32], dy: &[f32], dh: &mut [f32]) {
        let n = self.n_hidden;
        let rows = self.input.lengths(x).zip(dy.chunks_exact(self.n_out())).zip(dh.chunks_exact_mut(n));
        for ((length, dy), dh) in rows {
            let dy = match self.states {
                States::Last if t + 1 == length => dy,
                States::All if t < length => &dy[t * n..][..n],
                _ => continue,
            };
            dh.iter_mut().zip(dy).for_each(|(dh, dy)| *dh += *dy);
        }
    }
}

/// Rows of a product with the inputs, and of a sum over the rows of all steps, at a time: what one product writes is
/// still in the second-level cache when it is used.
const ROWS_TOGETHER: usize = 256;

/// Steps whose inputs are multiplied at once.
pub(super) fn steps_together(n_rows: usize) -> usize {
    (ROWS_TOGETHER / n_rows.max(1)).max(1)
}

/// `dW += xᵀ δ` over the rows of all steps, some at a time.
pub(super) fn add_weight_gradient(x: &[f32], n_in: usize, deltas: &[f32], dw: &mut [f32]) {
    let n_out = dw.len() / n_in;
    let x = x.chunks(ROWS_TOGETHER * n_in);
    for (x, deltas) in x.zip(deltas.chunks(ROWS_TOGETHER * n_out)) {
        product::add_weight_gradient(x, n_in, deltas, dw);
    }
}

/// Some columns of a row-major matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub first: usize,
    pub n_cols: usize,
    /// Columns of the whole matrix.
    pub stride: usize,
}

/// The same for some columns of δ; rows of dW are `out_stride` apart.
pub(super) fn add_weight_gradient_of(
    x: &[f32],
    n_in: usize,
    deltas: &[f32],
    of: Columns,
    dw: &mut [f32],
    out_stride: usize,
) {
    let x = x.chunks(ROWS_TOGETHER * n_in);
    for (x, deltas) in x.zip(deltas.chunks(ROWS_TOGETHER * of.stride)) {
        let x = View::rows(x, n_in);
        let deltas = View::strided(&deltas[of.first..], x.n_rows, of.n_cols, of.stride);
        product::product(Math::Train, x.transposed(), deltas, true, dw, out_stride);
    }
}
