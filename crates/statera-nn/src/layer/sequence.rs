//! Rows that are sequences: `n_steps` steps one after another, each with all its features, and where not all of them count a
//! last column with the number of steps that do, or a weight of each.

use statera_core::{Error, Result};
use std::ops::RangeInclusive;

/// The largest number of steps, features, units or filters.
pub const MAX_SIZE: usize = 1 << 16;
/// The largest number of columns of a row.
pub const MAX_COLUMNS: usize = 1 << 24;

/// Checks a size.
///
/// # Errors
/// If it lies outside the range; the message names it, its value and the range.
pub(super) fn check_size(name: &str, value: usize, allowed: RangeInclusive<usize>) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(Error::request(format!("{name} {value}; allowed: {} to {}", allowed.start(), allowed.end())))
}

/// Which steps of a row count. What lies in the others is never read, and has no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// All.
    All,
    /// As many, from the first on, as a last column tells. A number is cut off to the integer below and to `0 … n_steps`; NaN
    /// is 0.
    Lengths,
    /// Those whose weight, in a column of each behind all steps, is not 0. A weight between 0 and 1 leads continuously from a
    /// sequence with the step to the one without it, so that attributions can go along it; one of 0 has no gradient.
    Weights,
}

/// The shape of a row that is a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Steps of every row.
    pub n_steps: usize,
    /// Numbers of a step.
    pub n_features: usize,
    /// Which of the steps count.
    pub counted: Counted,
}

impl Sequence {
    /// A sequence all of whose steps count.
    ///
    /// # Errors
    /// No steps or no features, or more than [`MAX_SIZE`] of them or [`MAX_COLUMNS`] columns.
    pub fn new(n_steps: usize, n_features: usize) -> Result<Sequence> {
        let sequence = Sequence { n_steps, n_features, counted: Counted::All };
        sequence.check()?;
        Ok(sequence)
    }

    /// The same with a column of lengths.
    #[must_use]
    pub fn with_lengths(self) -> Sequence {
        Sequence { counted: Counted::Lengths, ..self }
    }

    /// The same with a weight of each step.
    #[must_use]
    pub fn with_weights(self) -> Sequence {
        Sequence { counted: Counted::Weights, ..self }
    }

    /// The same with another number of features.
    #[must_use]
    pub fn with_features(self, n_features: usize) -> Sequence {
        Sequence { n_features, ..self }
    }

    /// Checks the sizes.
    pub(super) fn check(&self) -> Result<()> {
        check_size("steps", self.n_steps, 1..=MAX_SIZE)?;
        check_size("features of a step", self.n_features, 1..=MAX_SIZE)?;
        check_size("columns of a sequence", self.n_cols(), 1..=MAX_COLUMNS)
    }

    /// Checks the sizes, and that steps have no weights, of which the layer knows nothing.
    pub(super) fn check_unweighed(&self, layer: &str) -> Result<()> {
        self.check()?;
        if self.counted == Counted::Weights {
            return Err(Error::request(format!("{layer} of weighed steps; allowed: steps that all count, or lengths")));
        }
        Ok(())
    }

    /// Columns of a row.
    pub fn n_cols(&self) -> usize {
        let behind = match self.counted {
            Counted::All => 0,
            Counted::Lengths => 1,
            Counted::Weights => self.n_steps,
        };
        self.n_steps * self.n_features + behind
    }

    /// Steps of a row that its length leaves; where steps have weights, some of these may not count.
    pub fn length(&self, row: &[f32]) -> usize {
        match row.last() {
            // A cast cuts off, takes negative numbers and NaN to 0 and large ones to the largest integer.
            Some(length) if self.counted == Counted::Lengths => (*length as usize).min(self.n_steps),
            _ => self.n_steps,
        }
    }

    /// The weights of a row's steps, where they have any.
    pub(super) fn weights<'a>(&self, row: &'a [f32]) -> Option<&'a [f32]> {
        (self.counted == Counted::Weights).then(|| &row[self.n_steps * self.n_features..])
    }

    /// The lengths of rows.
    pub(super) fn lengths<'a>(&self, rows: &'a [f32]) -> impl Iterator<Item = usize> + use<'a> {
        let shape = *self;
        rows.chunks_exact(self.n_cols()).map(move |row| shape.length(row))
    }

    /// Copies the steps of rows of this shape that count one after another and returns how many there are.
    pub(super) fn pack(&self, lengths: impl Iterator<Item = usize>, rows: &[f32], packed: &mut [f32]) -> usize {
        let mut at = 0;
        for (row, length) in rows.chunks_exact(self.n_cols()).zip(lengths) {
            let len = length * self.n_features;
            packed[at..][..len].copy_from_slice(&row[..len]);
            at += len;
        }
        at / self.n_features
    }

    /// Writes rows of this shape from the steps that count; the others are 0. A column of lengths is what `column` says.
    pub(super) fn unpack(
        &self,
        lengths: impl Iterator<Item = usize>,
        packed: &[f32],
        rows: &mut [f32],
        column: Column,
    ) {
        let mut at = 0;
        for (row, length) in rows.chunks_exact_mut(self.n_cols()).zip(lengths) {
            let len = length * self.n_features;
            let (counted, rest) = row.split_at_mut(len);
            counted.copy_from_slice(&packed[at..][..len]);
            rest.fill(0.0);
            column.write(self, length, rest);
            at += len;
        }
    }
}

/// What the column of lengths of written rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The length.
    Length,
    /// 0: a length has no gradient.
    Gradient,
}

impl Column {
    /// Writes the last column of a row, where the shape has one.
    pub(super) fn write(self, shape: &Sequence, length: usize, row: &mut [f32]) {
        if let Some(last) = row.last_mut().filter(|_| shape.counted == Counted::Lengths) {
            *last = if self == Column::Length { length as f32 } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_cut_to_the_steps() {
        let shape = Sequence::new(3, 1).expect("sizes are allowed").with_lengths();
        for (column, expected) in [(0.0, 0), (2.0, 2), (2.9, 2), (7.0, 3), (-1.0, 0), (f32::NAN, 0), (f32::INFINITY, 3)]
        {
            assert_eq!(shape.length(&[1.0, 2.0, 3.0, column]), expected, "{column}");
        }
    }

    #[test]
    fn rejects_empty_and_endless_sequences() {
        let message = Sequence::new(0, 4).expect_err("no steps").to_string();
        assert_eq!(message, "steps 0; allowed: 1 to 65536");
        let message = Sequence::new(4, 0).expect_err("no features").to_string();
        assert_eq!(message, "features of a step 0; allowed: 1 to 65536");
        let message = Sequence::new(65536, 257).expect_err("too many").to_string();
        assert_eq!(message, "columns of a sequence 16842752; allowed: 1 to 16777216");
    }

    #[test]
    fn weights_lie_behind_the_steps() {
        let shape = Sequence::new(2, 3).expect("sizes are allowed").with_weights();
        let row = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 1.0];
        assert_eq!((shape.n_cols(), shape.length(&row), shape.weights(&row)), (8, 2, Some(&[0.0, 1.0][..])));
        let message = shape.check_unweighed("a pool").expect_err("weights").to_string();
        assert_eq!(message, "a pool of weighed steps; allowed: steps that all count, or lengths");
    }
}
