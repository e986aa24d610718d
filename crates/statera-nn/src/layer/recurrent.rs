//! What the recurrent layers share: sequences in step-major order, and where their states go.
//!
//! Inside a recurrent layer matrices are `step × row × …`: the rows of one step lie together, as the product of a step
//! needs them, and the rows of all steps are one matrix for the products that all steps share. Steps behind a row's length
//! are computed from zeros and never written out: their gradients are 0 of themselves, since no later step that counts
//! follows them. Steps before and after those that any sequence of the pass has are not computed at all.
//!
//! A step of weight w leads from the state s to `s + w (s′ − s)`, s′ being what the cell makes of it: one of weight 0 leaves the
//! state as it was, to the bit. Backward, with d the gradient behind the step: `w d` goes on through the cell, `(1 − w) d` past
//! it, and `dw = d · (s′ − s)`. Of all that nothing is done where all weights of a pass are 1.

use super::sequence::{Column, Counted, MAX_SIZE, Sequence, check_size};
use crate::layer::Math;
use crate::params::padded;
use crate::product::{self, View};
use statera_core::{Error, Result};
use std::ops::Range;

/// Which states a recurrent layer puts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// That of the last step that counts; 0 for a sequence of which none does.
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
        if input.counted == Counted::Weights && states == States::All {
            return Err(Error::request("the states of all of weighed steps; allowed: the last"));
        }
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
    pub fn run(&self, x: &[f32]) -> Range<usize> {
        if self.input.counted != Counted::Weights {
            return 0..self.input.lengths(x).max().unwrap_or(0);
        }
        let (mut first, mut end) = (self.input.n_steps, 0);
        for weights in x.chunks_exact(self.input.n_cols()).filter_map(|row| self.input.weights(row)) {
            let counts = |m: &f32| *m != 0.0;
            first = weights[..first].iter().position(counts).unwrap_or(first);
            end = weights[end..].iter().rposition(counts).map_or(end, |last| end + last + 1);
        }
        first.min(end)..end
    }

    /// Whether a pass has to weigh steps: some weight is not 1, or its gradient is wanted.
    pub fn weighs(&self, x: &[f32], wants_gradient: bool) -> bool {
        let rows = || x.chunks_exact(self.input.n_cols()).filter_map(|row| self.input.weights(row));
        self.input.counted == Counted::Weights && (wants_gradient || rows().flatten().any(|m| *m != 1.0))
    }

    /// Floats of the gradient that goes past a step.
    pub fn past_len(&self, n_rows: usize) -> usize {
        if self.input.counted == Counted::Weights { padded(n_rows * self.n_hidden) } else { 0 }
    }

    /// The weight of each row's step `t`.
    fn weights_at<'a>(&self, t: usize, x: &'a [f32]) -> impl Iterator<Item = f32> + use<'a> {
        let first = self.input.n_steps * self.input.n_features;
        x.chunks_exact(self.input.n_cols()).map(move |row| row[first + t])
    }

    /// The states before and after step `t`, of those of all steps, which begin with those before the first.
    pub fn around<'a>(&self, t: usize, n_rows: usize, states: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        let n = n_rows * self.n_hidden;
        states[t * n..][..2 * n].split_at(n)
    }

    /// Takes the states `after` step `t` back towards those before it, by the steps' weights.
    pub fn weigh(&self, t: usize, x: &[f32], before: &[f32], after: &mut [f32]) {
        let n = self.n_hidden;
        let rows = before.chunks_exact(n).zip(after.chunks_exact_mut(n)).zip(self.weights_at(t, x));
        for ((before, after), m) in rows.filter(|(_, m)| *m != 1.0) {
            if m == 0.0 {
                after.copy_from_slice(before);
            } else {
                after.iter_mut().zip(before).for_each(|(after, before)| *after = before + m * (*after - before));
            }
        }
    }

    /// Back through [`Shape::weigh`]: leaves in `d` what goes on through the cell, and in `past` what goes past it; adds the
    /// gradient of the weights to that of `x`, where it is wanted.
    pub fn weigh_backward(
        &self,
        t: usize,
        x: &[f32],
        (before, after): (&[f32], &[f32]),
        (d, past): (&mut [f32], &mut [f32]),
        dx: Option<&mut [f32]>,
    ) {
        let n = self.n_hidden;
        if let Some(dx) = dx {
            let at = self.input.n_steps * self.input.n_features + t;
            let states = before.chunks_exact(n).zip(after.chunks_exact(n)).zip(d.chunks_exact(n));
            let rows = states.zip(self.weights_at(t, x)).zip(dx.chunks_exact_mut(self.input.n_cols()));
            for ((((before, after), d), m), dx) in rows.filter(|((_, m), _)| *m != 0.0) {
                // What the cell made of the step is no longer there: its distance is that of the states by the weight.
                let way: f32 = d.iter().zip(after).zip(before).map(|((d, after), before)| d * (after - before)).sum();
                dx[at] += way / m;
            }
        }
        for ((d, past), m) in d.chunks_exact_mut(n).zip(past.chunks_exact_mut(n)).zip(self.weights_at(t, x)) {
            d.iter_mut().zip(past).for_each(|(d, past)| (*d, *past) = (m * *d, (1.0 - m) * *d));
        }
    }

    /// Copies the steps `run` of `x` to their places in `steps` (n_steps × n_rows × n_features); 0 for those that do not count.
    pub fn gather(&self, x: &[f32], n_rows: usize, run: Range<usize>, steps: &mut [f32]) {
        let n = self.input.n_features;
        for (i, row) in x.chunks_exact(self.input.n_cols()).enumerate() {
            let (length, weights) = (self.input.length(row), self.input.weights(row));
            for t in run.clone() {
                let to = &mut steps[(t * n_rows + i) * n..][..n];
                if t < length && weights.is_none_or(|w| w[t] != 0.0) {
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

    /// Writes the gradient of `x` from that of the steps `run`, which begin `steps`: 0 for those that do not count. What
    /// [`Shape::weigh_backward`] wrote stays.
    pub fn scatter(&self, x: &[f32], n_rows: usize, run: Range<usize>, steps: &[f32], dx: &mut [f32]) {
        let (n, n_cols) = (self.input.n_features, self.input.n_cols());
        for (i, (row, dx)) in x.chunks_exact(n_cols).zip(dx.chunks_exact_mut(n_cols)).enumerate() {
            let (counted, rest) = dx.split_at_mut(self.input.length(row) * n);
            let weights = self.input.weights(row);
            for (t, dx) in counted.chunks_exact_mut(n).enumerate() {
                if run.contains(&t) && weights.is_none_or(|w| w[t] != 0.0) {
                    dx.copy_from_slice(&steps[((t - run.start) * n_rows + i) * n..][..n]);
                } else {
                    dx.fill(0.0);
                }
            }
            if weights.is_none() {
                rest.fill(0.0);
            }
        }
    }

    /// Sets the gradient of the weights in that of `x` to 0, for [`Shape::weigh_backward`] to add to.
    pub fn clear_weights(&self, dx: &mut [f32]) {
        let first = self.input.n_steps * self.input.n_features;
        dx.chunks_exact_mut(self.input.n_cols()).for_each(|dx| dx[first..].fill(0.0));
    }

    /// Steps behind which the state of each row is put out: where they have weights, the state stays what it was behind the last.
    fn ends<'a>(&self, x: &'a [f32], run: &Range<usize>) -> impl Iterator<Item = usize> + use<'a> {
        let last = if self.input.counted == Counted::Weights { run.end } else { self.input.n_steps };
        self.input.lengths(x).map(move |length| length.min(last))
    }

    /// Writes the output from the states `h` after each step (n_steps × n_rows × n_hidden), of which `run` are computed.
    pub fn put_out(&self, x: &[f32], n_rows: usize, run: &Range<usize>, h: &[f32], y: &mut [f32]) {
        let (n, output) = (self.n_hidden, self.input.with_features(self.n_hidden));
        for (i, (length, y)) in self.ends(x, run).zip(y.chunks_exact_mut(self.n_out())).enumerate() {
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

    /// Adds the output's gradient at step `t` of those that are computed to the gradients `dh` of the state after it
    /// (n_rows × n_hidden).
    pub fn add_output_gradient(&self, t: usize, x: &[f32], run: &Range<usize>, dy: &[f32], dh: &mut [f32]) {
        let n = self.n_hidden;
        let rows = self.ends(x, run).zip(dy.chunks_exact(self.n_out())).zip(dh.chunks_exact_mut(n));
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
