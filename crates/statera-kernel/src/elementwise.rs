//! Loops over the numbers of a network in training, in single precision and compiled for each level.
//!
//! Every operation is rounded on its own: the bits are the same at every [`Level`].

use crate::dispatch::{Instructions, Level, by_level};
use crate::lanes::{self, LANES};

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

/// Adds to each number of `out` the sum of products of a row of `rows` (`out.len()` × `vector.len()`) and `vector`: lane l
/// of sixteen takes the columns l, l + 16, …; the lanes are then summed in pairs.
///
/// # Panics
/// If the lengths do not fit together.
pub fn add_row_products(rows: &[f32], vector: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn some<const N: usize>(rows: &[f32], vector: &[f32], out: &mut [f32]) {
        let n = vector.len();
        let (whole, rest) = vector.as_chunks::<LANES>();
        let mut lanes = [[0.0f32; LANES]; N];
        for (chunk, v) in whole.iter().enumerate() {
            for r in 0..N {
                let x = &rows[r * n + chunk * LANES..][..LANES];
                for l in 0..LANES {
                    lanes[r][l] += x[l] * v[l];
                }
            }
        }
        for r in 0..N {
            for (l, v) in rest.iter().enumerate() {
                lanes[r][l] += rows[r * n + whole.len() * LANES + l] * v;
            }
            out[r] += lanes::sum(lanes[r]);
        }
    }
    #[inline(always)]
    fn body<I: Instructions>(rows: &[f32], vector: &[f32], out: &mut [f32]) {
        // Four rows at once hide that a sum waits for the one before it.
        const ROWS: usize = 4;
        let n = vector.len();
        let (many, few) = rows.split_at(out.len() / ROWS * ROWS * n);
        let (out_many, out_few) = out.split_at_mut(out.len() / ROWS * ROWS);
        for (rows, out) in many.chunks_exact(ROWS * n).zip(out_many.chunks_exact_mut(ROWS)) {
            some::<ROWS>(rows, vector, out);
        }
        for (row, out) in few.chunks_exact(n).zip(out_few.chunks_exact_mut(1)) {
            some::<1>(row, vector, out);
        }
    }
    assert_eq!(rows.len(), vector.len() * out.len(), "one row of the vector's length per number");
    if !vector.is_empty() {
        by_level!(Level::active(), body(rows: &[f32], vector: &[f32], out: &mut [f32]));
    }
}

/// Adds `b` to `a`, number by number.
///
/// # Panics
/// If the lengths differ.
pub fn add(a: &mut [f32], b: &[f32]) {
    #[inline(always)]
    fn body<I: Instructions>(a: &mut [f32], b: &[f32]) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += *b;
        }
    }
    assert_eq!(a.len(), b.len(), "one number per number");
    by_level!(Level::active(), body(a: &mut [f32], b: &[f32]));
}

/// Moves the numbers of `from` to `to`, adding them, and leaves zeros.
///
/// # Panics
/// If the lengths differ.
pub fn add_and_clear(to: &mut [f32], from: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(to: &mut [f32], from: &mut [f32]) {
        for (t, f) in to.iter_mut().zip(from) {
            *t += *f;
            *f = 0.0;
        }
    }
    assert_eq!(to.len(), from.len(), "one number per number");
    by_level!(Level::active(), body(to: &mut [f32], from: &mut [f32]));
}

/// Sum of squares: sixteen sums in single precision over 4096 numbers at most, then in double precision.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    values.chunks(4096).map(|block| f64::from(crate::math32::sum_of_products(block, block))).sum()
}

/// Moments below it are taken as 0: far from the least normal number, and far below what moves a value.
const NEGLIGIBLE: f32 = 1e-35;

/// What one step of Adam does to each number (Kingma and Ba 2015), with decoupled weight decay (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// The learning rate over 1 − β₁ᵗ.
    pub rate: f32,
    /// β₁.
    pub beta1: f32,
    /// β₂.
    pub beta2: f32,
    /// ε, added to the root of the corrected second moment.
    pub epsilon: f32,
    /// 1 / √(1 − β₂ᵗ).
    pub correction: f32,
    /// What a value is multiplied by first: 1 − learning rate × weight decay.
    pub keep: f32,
    /// What a gradient is multiplied by first (clipping).
    pub gradient_scale: f32,
}

/// One step of Adam: changes the values and both moments, and sets the gradients to 0.
///
/// # Panics
/// If the lengths differ.
pub fn adam(step: &AdamStep, values: &mut [f32], gradients: &mut [f32], first: &mut [f32], second: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(
        s: &AdamStep,
        values: &mut [f32],
        gradients: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let (rest1, rest2) = (1.0 - s.beta1, 1.0 - s.beta2);
        for (((v, g), m), q) in values.iter_mut().zip(gradients).zip(first).zip(second) {
            let gradient = *g * s.gradient_scale;
            *g = 0.0;
            // Moments of units that are silent for long would stay subnormal for ever, and those take a hundred times as long.
            let mean = s.beta1 * *m + rest1 * gradient;
            *m = if mean.abs() < NEGLIGIBLE { 0.0 } else { mean };
            let square = s.beta2 * *q + rest2 * (gradient * gradient);
            *q = if square < NEGLIGIBLE { 0.0 } else { square };
            *v = *v * s.keep - s.rate * *m / (q.sqrt() * s.correction + s.epsilon);
        }
    }
    let len = values.len();
    assert!(
        gradients.len() == len && first.len() == len && second.len() == len,
        "one gradient and two moments a value"
    );
    by_level!(
        Level::active(),
        body(step: &AdamStep, values: &mut [f32], gradients: &mut [f32], first: &mut [f32], second: &mut [f32])
    );
}

/// What one step of gradient descent does to each number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DescentStep {
    /// The learning rate.
    pub rate: f32,
    /// What the velocity is multiplied by before the gradient is added; 0 for plain descent.
    pub momentum: f32,
    /// What a value is multiplied by first: 1 − learning rate × weight decay.
    pub keep: f32,
    /// What a gradient is multiplied by first (clipping).
    pub gradient_scale: f32,
}

/// One step of gradient descent with momentum: changes the values and the velocity, and sets the gradients to 0.
///
/// # Panics
/// If the lengths differ.
pub fn descend(step: &DescentStep, values: &mut [f32], gradients: &mut [f32], velocity: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(s: &DescentStep, values: &mut [f32], gradients: &mut [f32], velocity: &mut [f32]) {
        for ((v, g), m) in values.iter_mut().zip(gradients).zip(velocity) {
            let velocity = s.momentum * *m + *g * s.gradient_scale;
            *m = if velocity.abs() < NEGLIGIBLE { 0.0 } else { velocity };
            *g = 0.0;
            *v = *v * s.keep - s.rate * *m;
        }
    }
    let len = values.len();
    assert!(gradients.len() == len && velocity.len() == len, "one gradient and one velocity a value");
    by_level!(
        Level::active(),
        body(step: &DescentStep, values: &mut [f32], gradients: &mut [f32], velocity: &mut [f32])
    );
}

/// Sets each number to 0 with probability `rate` and divides it by 1 − `rate` otherwise (Srivastava et al. 2014). Which
/// ones depends on `seed` and the place alone, so the same call masks gradients as it masked values.
///
/// # Panics
/// If `rate` is not in [0, 1).
pub fn dropout(values: &mut [f32], rate: f32, seed: u64) {
    #[inline(always)]
    fn body<I: Instructions>(values: &mut [f32], threshold: u32, scale: f32, low: u32, high: u32) {
        for (i, v) in values.iter_mut().enumerate() {
            // Two rounds of multiplying and shifting (as in MurmurHash3's finaliser) spread the place over all bits.
            let mut h = (i as u32).wrapping_mul(0x9e37_79b1) ^ low;
            h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
            h = ((h ^ (h >> 13)) ^ high).wrapping_mul(0xc2b2_ae35);
            h ^= h >> 16;
            *v = if h < threshold { 0.0 } else { *v * scale };
        }
    }
    assert!((0.0..1.0).contains(&rate), "a dropout rate of {rate}; allowed: 0 to below 1");
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u32;
    let (scale, low, high) = (1.0 / (1.0 - rate), seed as u32, (seed >> 32) as u32);
    by_level!(Level::active(), body(values: &mut [f32], threshold: u32, scale: f32, low: u32, high: u32));
}
