//! Products of a matrix of rows with weights: [`affine`] for scoring, [`gram`] and [`add_transposed_product`] for fitting.
//!
//! Scoring sums in one fixed order, so a row has the same bits alone or in any batch, and at every [`Level`]. The
//! products for fitting have the same bits at every level too, but a sum over rows depends on where its blocks begin:
//! callers choose blocks that depend on the number of rows alone.

use crate::dispatch::{Instructions, LANES, Level, by_level};

/// Vectors of rows that are scored together: enough chains of multiply-adds to hide the latency of one.
const CHAINS: usize = 4;
/// Columns that are transposed at a time, a multiple of [`LANES`]; a tile of them stays in the first-level cache.
const COLUMNS: usize = 64;
/// Rows whose outer products are added to a Gram matrix in one pass over it.
const OUTER_ROWS: usize = 4;

/// The affine map of each row: `out[i, o] = bias[o] + Σₖ x[i, k] · weights[o, k]`.
///
/// `x` is row-major `n_rows × n_cols`, `weights` row-major `n_outputs × n_cols`, `out` row-major `n_rows × n_outputs`;
/// `n_outputs` is the length of `bias`. Every output is one chain of fused multiply-adds in f64 that starts at the bias
/// and runs over ascending k: the bits of a row do not depend on the rows around it or on the CPU.
///
/// # Panics
/// If the lengths do not fit together.
///
/// # Example
/// ```
/// let x = [1.0, 2.0, 3.0, 4.0]; // Two rows of two columns.
/// let mut out = [0.0; 2];
/// statera_kernel::dot::affine(&x, 2, &[10.0, 1.0], &[0.5], &mut out);
/// assert_eq!(out, [12.5, 34.5]);
/// ```
pub fn affine(x: &[f32], n_cols: usize, weights: &[f64], bias: &[f64], out: &mut [f64]) {
    affine_at(Level::active(), x, n_cols, weights, bias, out);
}

/// [`affine`] with the instructions of `level`, for tests that compare bits.
///
/// # Panics
/// If the lengths do not fit together.
pub fn affine_at(level: Level, x: &[f32], n_cols: usize, weights: &[f64], bias: &[f64], out: &mut [f64]) {
    let n_outputs = bias.len();
    assert_eq!(weights.len(), n_outputs * n_cols, "weights are n_outputs × n_cols");
    if n_outputs == 0 {
        assert!(out.is_empty(), "no outputs, nothing to write");
        return;
    }
    let n_rows = out.len() / n_outputs;
    assert_eq!(out.len(), n_rows * n_outputs, "out is n_rows × n_outputs");
    assert_eq!(x.len(), n_rows * n_cols, "x is n_rows × n_cols");
    if n_cols == 0 {
        out.chunks_exact_mut(n_outputs).for_each(|row| row.copy_from_slice(bias));
        return;
    }
    by_level!(level, affine_body(x: &[f32], n_cols: usize, weights: &[f64], bias: &[f64], out: &mut [f64]));
}

#[inline(always)]
fn affine_body<I: Instructions>(x: &[f32], n_cols: usize, weights: &[f64], bias: &[f64], out: &mut [f64]) {
    let n_outputs = bias.len();
    let mut tile = [[I::splat(0.0); COLUMNS]; CHAINS];
    for (block, out) in out.chunks_mut(CHAINS * LANES * n_outputs).enumerate() {
        let n_rows = out.len() / n_outputs;
        let x = &x[block * CHAINS * LANES * n_cols..][..n_rows * n_cols];
        for row in out.chunks_exact_mut(n_outputs) {
            row.copy_from_slice(bias);
        }
        for start in (0..n_cols).step_by(COLUMNS) {
            let end = n_cols.min(start + COLUMNS);
            for (tile, x) in tile.iter_mut().zip(x.chunks(LANES * n_cols)) {
                transpose_rows::<I>(x, n_cols, start, &mut tile[..end - start]);
            }
            for (o, weights) in weights.chunks_exact(n_cols).enumerate() {
                let weights = &weights[start..end];
                if n_rows == CHAINS * LANES {
                    add_products::<I, CHAINS>(&tile, weights, o, n_outputs, out);
                } else {
                    for (tile, out) in tile.iter().zip(out.chunks_mut(LANES * n_outputs)) {
                        add_products::<I, 1>(std::array::from_ref(tile), weights, o, n_outputs, out);
                    }
                }
            }
        }
    }
}

/// Writes the columns from `start` on of at most [`LANES`] rows, a lane a row. Lanes without a row repeat the last one.
#[inline(always)]
fn transpose_rows<I: Instructions>(x: &[f32], n_cols: usize, start: usize, tile: &mut [I::Vector]) {
    let last = x.len() / n_cols - 1;
    let width = tile.len();
    let (squares, rest) = tile.as_chunks_mut::<LANES>();
    let mut cells = [&[0.0; LANES]; LANES];
    let mut rows = [&x[..0]; LANES];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &x[r.min(last) * n_cols + start..][..width];
    }
    for columns in squares {
        for r in 0..LANES {
            if let Some((square, after)) = rows[r].split_first_chunk() {
                (cells[r], rows[r]) = (square, after);
            }
        }
        *columns = I::columns(cells);
    }
    if !rest.is_empty() {
        let mut padded = [[0.0; LANES]; LANES];
        for r in 0..LANES {
            padded[r][..rest.len()].copy_from_slice(rows[r]);
        }
        rest.copy_from_slice(&I::columns(padded.each_ref())[..rest.len()]);
    }
}

/// Continues the chains of output `o` of `N` vectors of rows over the columns of a tile.
#[inline(always)]
fn add_products<I: Instructions, const N: usize>(
    tile: &[[I::Vector; COLUMNS]; N],
    weights: &[f64],
    o: usize,
    n_outputs: usize,
    out: &mut [f64],
) {
    let mut sums = [[0.0; LANES]; N];
    for (sum, row) in sums.as_flattened_mut().iter_mut().zip(out.chunks_exact(n_outputs)) {
        *sum = row[o];
    }
    let mut vectors = [I::splat(0.0); N];
    for c in 0..N {
        vectors[c] = I::load(&sums[c]);
    }
    for (k, w) in weights.iter().enumerate() {
        let w = I::splat(*w);
        for c in 0..N {
            vectors[c] = I::fused(tile[c][k], w, vectors[c]);
        }
    }
    for c in 0..N {
        sums[c] = I::lanes(vectors[c]);
    }
    for (sum, row) in sums.as_flattened().iter().zip(out.chunks_exact_mut(n_outputs)) {
        row[o] = *sum;
    }
}

/// Adds `Σᵢ weights[i] · x̃ᵢ x̃ᵢᵀ` to the lower triangle of `sum`, where x̃ is the row followed by a 1 for the intercept.
///
/// `x` is row-major `n_rows × n_cols`; `sum` is row-major with sides of `n_cols + 1`; above its diagonal nothing is
/// written. Products and sums are rounded separately, so that the bits are the same on every CPU.
///
/// # Panics
/// If the lengths do not fit together.
pub fn gram(x: &[f32], n_cols: usize, weights: &[f64], sum: &mut [f64]) {
    gram_at(Level::active(), x, n_cols, weights, sum);
}

/// [`gram`] with the instructions of `level`, for tests that compare bits.
///
/// # Panics
/// If the lengths do not fit together.
pub fn gram_at(level: Level, x: &[f32], n_cols: usize, weights: &[f64], sum: &mut [f64]) {
    assert_eq!(x.len(), weights.len() * n_cols, "x is n_rows × n_cols");
    assert_eq!(sum.len(), (n_cols + 1) * (n_cols + 1), "sum has sides of n_cols + 1");
    by_level!(level, gram_body(x: &[f32], n_cols: usize, weights: &[f64], sum: &mut [f64]));
}

#[inline(always)]
fn gram_body<I: Instructions>(x: &[f32], n_cols: usize, weights: &[f64], sum: &mut [f64]) {
    let side = n_cols + 1;
    // Lines of whole vectors: no loop has a scalar tail, and what lies above the diagonal is dropped at the end.
    let n_vectors = side.div_ceil(LANES);
    let mut rows = vec![[0.0; LANES]; OUTER_ROWS * n_vectors];
    let mut lower = vec![[0.0; LANES]; side * n_vectors];
    for (block, weights) in weights.chunks(OUTER_ROWS).enumerate() {
        let mut scale = [0.0; OUTER_ROWS];
        scale[..weights.len()].copy_from_slice(weights);
        for (r, row) in rows.chunks_exact_mut(n_vectors).take(weights.len()).enumerate() {
            let row = row.as_flattened_mut();
            for (to, v) in row.iter_mut().zip(&x[(block * OUTER_ROWS + r) * n_cols..][..n_cols]) {
                *to = f64::from(*v);
            }
            row[n_cols] = 1.0;
        }
        add_outer_products::<I>(&rows, scale, &mut lower);
    }
    for (i, (line, from)) in sum.chunks_exact_mut(side).zip(lower.chunks_exact(n_vectors)).enumerate() {
        for (s, v) in line[..=i].iter_mut().zip(from.as_flattened()) {
            *s += v;
        }
    }
}

/// Adds the scaled outer products of four rows to the lower triangle, in one pass over it.
#[inline(always)]
fn add_outer_products<I: Instructions>(rows: &[[f64; LANES]], scale: [f64; OUTER_ROWS], lower: &mut [[f64; LANES]]) {
    let n_vectors = rows.len() / OUTER_ROWS;
    let (a, rest) = rows.split_at(n_vectors);
    let (b, rest) = rest.split_at(n_vectors);
    let (c, d) = rest.split_at(n_vectors);
    for (i, line) in lower.chunks_exact_mut(n_vectors).enumerate() {
        let (v, l) = (i / LANES, i % LANES);
        let (wa, wb) = (I::splat(scale[0] * a[v][l]), I::splat(scale[1] * b[v][l]));
        let (wc, wd) = (I::splat(scale[2] * c[v][l]), I::splat(scale[3] * d[v][l]));
        for ((((s, a), b), c), d) in line[..=v].iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let ab = I::add(I::mul(wa, I::load(a)), I::mul(wb, I::load(b)));
            let cd = I::add(I::mul(wc, I::load(c)), I::mul(wd, I::load(d)));
            *s = I::lanes(I::add(I::load(s), I::add(ab, cd)));
        }
    }
}

/// Adds `Σᵢ residuals[i, o] · x̃ᵢ` to row `o` of `sum`, where x̃ is the row followed by a 1 for the intercept.
///
/// `x` is row-major `n_rows × n_cols`, `residuals` row-major `n_rows × n_outputs`, `sum` row-major
/// `n_outputs × (n_cols + 1)`. Products and sums are rounded separately, so that the bits are the same on every CPU.
///
/// # Panics
/// If the lengths do not fit together.
pub fn add_transposed_product(x: &[f32], n_cols: usize, residuals: &[f64], n_outputs: usize, sum: &mut [f64]) {
    add_transposed_product_at(Level::active(), x, n_cols, residuals, n_outputs, sum);
}

/// [`add_transposed_product`] with the instructions of `level`, for tests that compare bits.
///
/// # Panics
/// If the lengths do not fit together.
pub fn add_transposed_product_at(
    level: Level,
    x: &[f32],
    n_cols: usize,
    residuals: &[f64],
    n_outputs: usize,
    sum: &mut [f64],
) {
    assert!(n_outputs > 0 && residuals.len().is_multiple_of(n_outputs), "residuals are n_rows × n_outputs");
    assert_eq!(x.len(), residuals.len() / n_outputs * n_cols, "x is n_rows × n_cols");
    assert_eq!(sum.len(), n_outputs * (n_cols + 1), "sum is n_outputs × (n_cols + 1)");
    by_level!(level, transposed_body(x: &[f32], n_cols: usize, residuals: &[f64], n_outputs: usize, sum: &mut [f64]));
}

#[inline(always)]
fn transposed_body<I: Instructions>(x: &[f32], n_cols: usize, residuals: &[f64], n_outputs: usize, sum: &mut [f64]) {
    for (i, residuals) in residuals.chunks_exact(n_outputs).enumerate() {
        let row = &x[i * n_cols..][..n_cols];
        for (g, sum) in residuals.iter().zip(sum.chunks_exact_mut(n_cols + 1)) {
            for (s, v) in sum.iter_mut().zip(row) {
                *s += g * f64::from(*v);
            }
            sum[n_cols] += g;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without structure: a fractional part of multiples of the golden ratio, on [-2, 2).
    fn numbers(n: usize, offset: usize) -> Vec<f64> {
        (0..n).map(|i| ((i + offset) as f64 * 0.618_033_988_749_894_9).fract() * 4.0 - 2.0).collect()
    }

    fn cells(n: usize, offset: usize) -> Vec<f32> {
        numbers(n, offset).into_iter().map(|v| v as f32).collect()
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    /// The definition: one chain of exact fused multiply-adds a row and output.
    fn affine_by_definition(x: &[f32], n_cols: usize, weights: &[f64], bias: &[f64]) -> Vec<f64> {
        let n_rows = x.len() / n_cols;
        let mut out = Vec::new();
        for i in 0..n_rows {
            for (o, b) in bias.iter().enumerate() {
                let mut sum = *b;
                for k in 0..n_cols {
                    sum = crate::math::fma(f64::from(x[i * n_cols + k]), weights[o * n_cols + k], sum);
                }
                out.push(sum);
            }
        }
        out
    }

    #[test]
    fn affine_has_the_bits_of_its_definition_in_every_batch_and_level() {
        for (n_cols, n_outputs) in [(1, 1), (3, 2), (23, 1), (60, 3), (127, 1), (128, 1), (129, 2), (300, 1)] {
            let x = cells(1000 * n_cols, n_cols);
            let (weights, bias) = (numbers(n_outputs * n_cols, 77), numbers(n_outputs, 5));
            let expected = bits(&affine_by_definition(&x, n_cols, &weights, &bias));
            for level in Level::available() {
                for batch in [1, 7, 16, 17, 1000] {
                    let mut out = vec![f64::NAN; 1000 * n_outputs];
                    for (x, out) in x.chunks(batch * n_cols).zip(out.chunks_mut(batch * n_outputs)) {
                        affine_at(level, x, n_cols, &weights, &bias, out);
                    }
                    assert!(bits(&out) == expected, "{n_cols} columns, {n_outputs} outputs, {batch} rows, {level:?}");
                }
            }
        }
    }

    #[test]
    fn affine_without_columns_or_rows_is_the_bias_or_nothing() {
        let mut out = [0.0; 4];
        affine(&[], 0, &[], &[1.5, -2.0], &mut out);
        assert_eq!(out, [1.5, -2.0, 1.5, -2.0]);
        affine(&[], 3, &[1.0, 2.0, 3.0], &[0.0], &mut []);
        affine(&[], 3, &[], &[], &mut []);
    }

    #[test]
    fn affine_keeps_amounts_beyond_f32_apart() {
        // Accumulated in f32, the 1 would be lost in 2³⁰.
        let mut out = [0.0];
        affine(&[2f32.powi(30), 1.0, -(2f32.powi(30))], 3, &[1.0; 3], &[0.0], &mut out);
        assert_eq!(out, [1.0]);
    }

    #[test]
    #[should_panic(expected = "x is n_rows × n_cols")]
    fn affine_refuses_lengths_that_do_not_fit() {
        affine(&[1.0; 5], 2, &[1.0; 2], &[0.0], &mut [0.0; 2]);
    }

    #[test]
    fn gram_is_the_weighted_sum_of_outer_products() {
        // By hand: rows (1, 2) and (3, -1), each with an intercept, weights 2 and 0.5.
        let mut sum = [0.0; 9];
        gram(&[1.0, 2.0, 3.0, -1.0], 2, &[2.0, 0.5], &mut sum);
        assert_eq!(sum, [6.5, 0.0, 0.0, 2.5, 8.5, 0.0, 3.5, 3.5, 2.5]);
        for (n_rows, n_cols) in [(1, 1), (5, 7), (64, 40), (33, 17)] {
            let (x, weights) = (cells(n_rows * n_cols, 3), numbers(n_rows, 9));
            let side = n_cols + 1;
            let at = |i: usize, k: usize| if k < n_cols { f64::from(x[i * n_cols + k]) } else { 1.0 };
            let mut first: Option<Vec<u64>> = None;
            for level in Level::available() {
                let mut sum = vec![1.0; side * side];
                gram_at(level, &x, n_cols, &weights, &mut sum);
                for j in 0..side {
                    for k in 0..side {
                        let exact: f64 = (0..n_rows).map(|i| weights[i] * at(i, j) * at(i, k)).sum();
                        let expected = if k <= j { 1.0 + exact } else { 1.0 };
                        assert!((sum[j * side + k] - expected).abs() < 1e-12 * n_rows as f64, "{j}, {k} at {level:?}");
                    }
                }
                let got = bits(&sum);
                assert_eq!(*first.get_or_insert_with(|| got.clone()), got, "{n_rows} × {n_cols} at {level:?}");
            }
        }
    }

    #[test]
    fn transposed_product_sums_rows_by_their_residuals() {
        // By hand: rows (1, 2) and (3, -1), residuals (2, 1) and (-1, 4), two outputs.
        let mut sum = [0.0; 6];
        add_transposed_product(&[1.0, 2.0, 3.0, -1.0], 2, &[2.0, 1.0, -1.0, 4.0], 2, &mut sum);
        assert_eq!(sum, [-1.0, 5.0, 1.0, 13.0, -2.0, 5.0]);
        let (x, residuals) = (cells(50 * 13, 1), numbers(100, 4));
        let expected: Vec<u64> = {
            let mut sum = vec![0.0; 2 * 14];
            add_transposed_product_at(Level::Baseline, &x, 13, &residuals, 2, &mut sum);
            bits(&sum)
        };
        for level in Level::available() {
            let mut sum = vec![0.0; 2 * 14];
            add_transposed_product_at(level, &x, 13, &residuals, 2, &mut sum);
            assert_eq!(bits(&sum), expected, "{level:?}");
        }
    }
}
