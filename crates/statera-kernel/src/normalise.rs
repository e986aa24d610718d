//! Normalisation of rows and columns in single precision.
//!
//! Operations are rounded one by one in an order that depends on the sizes alone: the bits are the same at every
//! [`Level`], and those of a row do not depend on the rows around it.

use crate::dispatch::{Instructions, Level, by_level};
use crate::lanes::{LANES, blocks, each, load, store, sum};

/// The sum of `f` of the places of a row: lane l takes the columns l, l + 16, …
#[inline(always)]
fn sum_row(n: usize, f: impl Fn(usize, usize) -> [f32; LANES]) -> f32 {
    let mut lanes = [0.0; LANES];
    for (at, len) in blocks(n) {
        let block = f(at, len);
        for l in 0..LANES {
            // Lanes behind the row's end hold no number.
            lanes[l] += if l < len { block[l] } else { 0.0 };
        }
    }
    sum(lanes)
}

/// Layer normalisation of the rows of `x` (n × the length of `gain`): `y = gain ⊙ (x − μ) / √(σ² + ε) + shift` with the
/// row's mean μ and variance σ² (divided by the number of columns). Writes μ and 1 / √(σ² + ε) of each row to
/// `statistics` (n × 2).
///
/// # Panics
/// If the sizes do not fit together.
pub fn rows(x: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, statistics: &mut [f32], y: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(
        x: &[f32],
        gain: &[f32],
        shift: &[f32],
        epsilon: f32,
        statistics: &mut [f32],
        y: &mut [f32],
    ) {
        let n = gain.len();
        for ((x, y), s) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(statistics.chunks_exact_mut(2)) {
            let mean = sum_row(n, |at, len| load(x, at, len)) / n as f32;
            let squares = sum_row(n, |at, len| {
                let x = load(x, at, len);
                each(|l| (x[l] - mean) * (x[l] - mean))
            });
            let inverse = 1.0 / (squares / n as f32 + epsilon).sqrt();
            (s[0], s[1]) = (mean, inverse);
            for (at, len) in blocks(n) {
                let (x, gain, shift) = (load(x, at, len), load(gain, at, len), load(shift, at, len));
                store(&each(|l| (x[l] - mean) * inverse * gain[l] + shift[l]), y, at, len);
            }
        }
    }
    assert!(!gain.is_empty() && shift.len() == gain.len(), "a gain and a shift a column");
    assert!(x.len().is_multiple_of(gain.len()) && y.len() == x.len(), "whole rows");
    assert_eq!(statistics.len(), x.len() / gain.len() * 2, "two statistics a row");
    let level = Level::active();
    by_level!(level, body(x: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, statistics: &mut [f32], y: &mut [f32]));
}

/// Back through [`rows`] with its statistics: adds to the gradients of gain and shift, and writes
/// `dx = (g − mean g − x̂ mean(g ⊙ x̂)) / √(σ² + ε)` with g = dy ⊙ gain and x̂ = (x − μ) / √(σ² + ε) over `dy`.
///
/// # Panics
/// If the sizes do not fit together.
pub fn rows_backward(
    x: &[f32],
    gain: &[f32],
    statistics: &[f32],
    dy: &mut [f32],
    d_gain: &mut [f32],
    d_shift: &mut [f32],
) {
    #[inline(always)]
    fn body<I: Instructions>(
        x: &[f32],
        gain: &[f32],
        statistics: &[f32],
        dy: &mut [f32],
        d_gain: &mut [f32],
        d_shift: &mut [f32],
    ) {
        let n = gain.len();
        for ((x, dy), s) in x.chunks_exact(n).zip(dy.chunks_exact_mut(n)).zip(statistics.chunks_exact(2)) {
            let (mean, inverse) = (s[0], s[1]);
            let (mut sum_g, mut sum_gx) = ([0.0; LANES], [0.0; LANES]);
            for (at, len) in blocks(n) {
                let (x, d, gain) = (load(x, at, len), load(dy, at, len), load(gain, at, len));
                let normal = each(|l| (x[l] - mean) * inverse);
                let g = each(|l| d[l] * gain[l]);
                let (dg, ds) = (load(d_gain, at, len), load(d_shift, at, len));
                store(&each(|l| dg[l] + d[l] * normal[l]), d_gain, at, len);
                store(&each(|l| ds[l] + d[l]), d_shift, at, len);
                // Behind the row's end g is 0.
                sum_g = each(|l| sum_g[l] + g[l]);
                sum_gx = each(|l| sum_gx[l] + g[l] * normal[l]);
            }
            let (mean_g, mean_gx) = (sum(sum_g) / n as f32, sum(sum_gx) / n as f32);
            for (at, len) in blocks(n) {
                let (x, d, gain) = (load(x, at, len), load(dy, at, len), load(gain, at, len));
                let dx = each(|l| (d[l] * gain[l] - mean_g - (x[l] - mean) * inverse * mean_gx) * inverse);
                store(&dx, dy, at, len);
            }
        }
    }
    let n = gain.len();
    assert!(n > 0 && d_gain.len() == n && d_shift.len() == n, "a gain and a shift a column");
    assert!(x.len().is_multiple_of(n) && dy.len() == x.len(), "whole rows");
    assert_eq!(statistics.len(), x.len() / n * 2, "two statistics a row");
    let level = Level::active();
    by_level!(level, body(x: &[f32], gain: &[f32], statistics: &[f32], dy: &mut [f32], d_gain: &mut [f32], d_shift: &mut [f32]));
}

/// Adds `(x − mean)²` of each row of `x` (n × the length of `mean`) to `sum`.
///
/// # Panics
/// If the sizes do not fit together.
pub fn add_squares(x: &[f32], mean: &[f32], sum: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(x: &[f32], mean: &[f32], sum: &mut [f32]) {
        let n = mean.len();
        for x in x.chunks_exact(n) {
            for (at, len) in blocks(n) {
                let (x, mean, before) = (load(x, at, len), load(mean, at, len), load(sum, at, len));
                store(&each(|l| before[l] + (x[l] - mean[l]) * (x[l] - mean[l])), sum, at, len);
            }
        }
    }
    assert!(!mean.is_empty() && x.len().is_multiple_of(mean.len()) && sum.len() == mean.len(), "whole rows");
    by_level!(Level::active(), body(x: &[f32], mean: &[f32], sum: &mut [f32]));
}

/// Writes `y = (x − mean) ⊙ scale + shift` for the rows of `x` (n × the length of `mean`).
///
/// # Panics
/// If the sizes do not fit together.
pub fn columns(x: &[f32], mean: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(x: &[f32], mean: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
        let n = mean.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            for (at, len) in blocks(n) {
                let (x, mean) = (load(x, at, len), load(mean, at, len));
                let (scale, shift) = (load(scale, at, len), load(shift, at, len));
                store(&each(|l| (x[l] - mean[l]) * scale[l] + shift[l]), y, at, len);
            }
        }
    }
    let n = mean.len();
    assert!(n > 0 && scale.len() == n && shift.len() == n, "one of each a column");
    assert!(x.len().is_multiple_of(n) && y.len() == x.len(), "whole rows");
    by_level!(Level::active(), body(x: &[f32], mean: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]));
}

/// Adds each row of `dy ⊙ (x − mean) ⊙ inverse` to `sum`.
///
/// # Panics
/// If the sizes do not fit together.
pub fn add_products(x: &[f32], mean: &[f32], inverse: &[f32], dy: &[f32], sum: &mut [f32]) {
    #[inline(always)]
    fn body<I: Instructions>(x: &[f32], mean: &[f32], inverse: &[f32], dy: &[f32], sum: &mut [f32]) {
        let n = mean.len();
        for (x, dy) in x.chunks_exact(n).zip(dy.chunks_exact(n)) {
            for (at, len) in blocks(n) {
                let (x, mean, inverse) = (load(x, at, len), load(mean, at, len), load(inverse, at, len));
                let (d, before) = (load(dy, at, len), load(sum, at, len));
                store(&each(|l| before[l] + d[l] * ((x[l] - mean[l]) * inverse[l])), sum, at, len);
            }
        }
    }
    let n = mean.len();
    assert!(n > 0 && inverse.len() == n && sum.len() == n, "one of each a column");
    assert!(x.len().is_multiple_of(n) && dy.len() == x.len(), "whole rows");
    by_level!(Level::active(), body(x: &[f32], mean: &[f32], inverse: &[f32], dy: &[f32], sum: &mut [f32]));
}

/// Writes `dx = (dy − offset − (x − mean) ⊙ slope) ⊙ scale` for the rows of `x` (n × the length of `mean`).
///
/// # Panics
/// If the sizes do not fit together.
pub fn columns_backward(
    x: &[f32],
    mean: &[f32],
    scale: &[f32],
    [offset, slope]: [&[f32]; 2],
    dy: &[f32],
    dx: &mut [f32],
) {
    #[inline(always)]
    fn body<I: Instructions>(
        x: &[f32],
        mean: &[f32],
        scale: &[f32],
        offset: &[f32],
        slope: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) {
        let n = mean.len();
        for ((x, dy), dx) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            for (at, len) in blocks(n) {
                let (x, mean, scale) = (load(x, at, len), load(mean, at, len), load(scale, at, len));
                let (offset, slope, d) = (load(offset, at, len), load(slope, at, len), load(dy, at, len));
                store(&each(|l| (d[l] - offset[l] - (x[l] - mean[l]) * slope[l]) * scale[l]), dx, at, len);
            }
        }
    }
    let n = mean.len();
    assert!(n > 0 && [scale.len(), offset.len(), slope.len()] == [n; 3], "one of each a column");
    assert!(x.len().is_multiple_of(n) && [dy.len(), dx.len()] == [x.len(); 2], "whole rows");
    let level = Level::active();
    by_level!(level, body(x: &[f32], mean: &[f32], scale: &[f32], offset: &[f32], slope: &[f32], dy: &[f32], dx: &mut [f32]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::with_level;

    /// What all functions make of three rows of `n` columns.
    fn run(n: usize) -> Vec<Vec<u32>> {
        let numbers = |rows: usize, seed: usize| -> Vec<f32> {
            (0..rows * n).map(|i| ((i * 7919 + seed * 104_729) % 6007) as f32 / 1000.0 - 3.0).collect()
        };
        let (x, gain, shift, dy) = (numbers(3, 1), numbers(1, 2), numbers(1, 3), numbers(3, 4));
        let (mut statistics, mut y) = (vec![0.0; 6], vec![0.0; 3 * n]);
        rows(&x, &gain, &shift, 1e-5, &mut statistics, &mut y);
        let (mut back, mut d_gain, mut d_shift) = (dy.clone(), vec![0.0; n], vec![0.0; n]);
        rows_backward(&x, &gain, &statistics, &mut back, &mut d_gain, &mut d_shift);
        let (mut squares, mut products) = (vec![0.0; n], vec![0.0; n]);
        add_squares(&x, &shift, &mut squares);
        add_products(&x, &shift, &gain, &dy, &mut products);
        let (mut normal, mut dx) = (vec![0.0; 3 * n], vec![0.0; 3 * n]);
        columns(&x, &shift, &gain, &squares, &mut normal);
        columns_backward(&x, &shift, &gain, [&squares, &products], &dy, &mut dx);
        let all = [statistics, y, back, d_gain, d_shift, squares, products, normal, dx];
        all.map(|values| values.iter().map(|v| v.to_bits()).collect()).to_vec()
    }

    #[test]
    fn bits_are_the_same_at_every_level() {
        for n in [1, 15, 16, 17, 64] {
            let expected = with_level(Level::Baseline, || run(n));
            for level in Level::available() {
                assert_eq!(with_level(level, || run(n)), expected, "{n} columns at {level:?}");
            }
        }
    }

    #[test]
    fn a_row_is_normalised() {
        let (mut statistics, mut y) = ([0.0; 2], [0.0; 3]);
        rows(&[1.0, 2.0, 6.0], &[1.0, 1.0, 2.0], &[0.0, 0.5, 0.0], 0.0, &mut statistics, &mut y);
        // μ = 3, σ² = 14/3.
        let inverse = (3.0f32 / 14.0).sqrt();
        for (y, expected) in y.iter().zip([-2.0 * inverse, -inverse + 0.5, 6.0 * inverse]) {
            assert!((y - expected).abs() < 1e-6, "{y}, expected {expected}");
        }
    }
}
