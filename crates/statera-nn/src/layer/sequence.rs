//! Rows that are sequences: `n_steps` steps one after another, each with all its features, and where lengths differ a last
//! column with the number of steps that count.

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

/// The shape of a row that is a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Steps of every row.
    pub n_steps: usize,
    /// Numbers of a step.
    pub n_features: usize,
    /// Whether a last column holds the number of steps that count, from the first on. A number is cut off to the
    /// integer below and to `0 … n_steps`; NaN is 0. What lies in the other steps is never read.
    pub has_lengths: bool,
}

impl Sequence {
    /// A sequence all of whose steps count.
    ///
    /// # Errors
    /// No steps or no features, or more than [`MAX_SIZE`] of them or [`MAX_COLUMNS`] columns.
    pub fn new(n_steps: usize, n_features: usize) -> Result<Sequence> {
        let sequence = Sequence { n_steps, n_features, has_lengths: false };
        sequence.check()?;
        Ok(sequence)
    }

    /// The same with a column of lengths.
    #[must_use]
    pub fn with_lengths(self) -> Sequence {
        Sequence { has_lengths: true, ..self }
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

    /// Columns of a row.
    pub fn n_cols(&self) -> usize {
        self.n_steps * self.n_features + usize::from(self.has_lengths)
    }

    /// Steps of a row that count.
    pub fn length(&self, row: &[f32]) -> usize {
        match row.last() {
            // A cast cuts off, takes negative numbers and NaN to 0 and large ones to the largest integer.
            Some(length) if self.has_lengths => (*length as usize).min(self.n_steps),
            _ => self.n_steps,
        }
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
        if let Some(last) = row.last_mut().filter(|_| shape.has_lengths) {
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
}
