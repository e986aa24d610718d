//! Loops over the numbers of a network in training, in single precision and compiled for each level.
//!
//! Every operation is rounded on its own: the bits are the same at every [`Level`].

use crate::dispatch::{Instructions, Level, by_level};

/// Sets the gradient to 0 where the output of the rectifier is not above 0.
///
/// # Panics
/// If the lengths differ.
pub fn relu_backward(y: &[f32], dy: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(y: &[f32], dy: &mut [f32]) {
        for (y, d) in y.iter().zip(dy) {
            *d = if *y > 0.0 { *d } else { 0.0 };
        }
    }
    assert_eq!(y.len(), dy.len(), "one gradient per output");
    by_level!(Level::active(), body(y: &[f32], dy: &mut [f32]));
}

/// Adds the rows of `rows` (n × `sum.len()`), in their order, to `sum`.
///
/// # Panics
/// If `rows` is not whole rows.
pub fn add_rows(rows: &[f32], sum: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(rows: &[f32], sum: &mut [f32]) {
        // Columns a vector or a few at a time: the sums stay in registers.
        const WIDTH: usize = 64;
        let n_cols = sum.len();
        for (block, sum) in sum.chunks_mut(WIDTH).enumerate() {
            if let Ok(sum) = <&mut [f32; WIDTH]>::try_from(&mut *sum) {
                let mut total = *sum;
                for row in rows.chunks_exact(n_cols) {
                    let row = &row[block * WIDTH..][..WIDTH];
                    for l in 0..WIDTH {
                        total[l] += row[l];
                    }
                }
                *sum = total;
            } else {
                for row in rows.chunks_exact(n_cols) {
                    for (s, v) in sum.iter_mut().zip(&row[block * WIDTH..]) {
                        *s += *v;
                    }
                }
            }
        }
    }
    assert!(rows.len().checked_rem(sum.len()).unwrap_or(rows.len()) == 0, "whole rows");
    if !sum.is_empty() {
        by_level!(Level::active(), body(rows: &[f32], sum: &mut [f32]));
    }
}
