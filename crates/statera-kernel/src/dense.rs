//! Products of row-major single-precision matrices, for scoring and training of networks.
//!
//! Each element is one chain of fused multiply-adds over ascending k: its bits depend neither on the matrices' other
//! rows and columns nor on the CPU. So vectors of columns, tiles of rows and blocks of k are free to choose: a tile of
//! rows × vectors of columns stays in registers, a block of the right matrix in the first-level cache.

use crate::dispatch::{Level, SINGLES, Singles, by_level};

/// Vectors in the widest tile: the columns of a panel of the right matrix.
const VECTORS: usize = 4;
/// Steps of k that a packed panel holds: with [`VECTORS`] they fill a first-level cache of 32 KiB.
const DEPTH: usize = 128;
/// Packed panels' depths, and rows, of a block of the left matrix: it stays in a second-level cache of half a megabyte.
const DEPTHS: usize = 3;
/// See [`DEPTHS`]; a multiple of every tile's rows.
const ROWS: usize = 240;
/// Rows from which copying a panel into one piece pays.
const PACK_ROWS: usize = 24;

/// A matrix in memory: element (i, j) is `data[i · row_stride + j · col_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Rows.
    pub n_rows: usize,
    /// Columns.
    pub n_cols: usize,
    /// Distance between rows.
    pub row_stride: usize,
    /// Distance between columns.
    pub col_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix with `n_cols` columns, without gaps.
    pub fn rows(data: &'a [f32], n_cols: usize) -> View<'a> {
        View { data, n_rows: data.len() / n_cols.max(1), n_cols, row_stride: n_cols, col_stride: 1 }
    }
    /// A part of a wider row-major matrix: `n_rows` rows of `n_cols` numbers, `row_stride` apart.
    pub fn strided(data: &'a [f32], n_rows: usize, n_cols: usize, row_stride: usize) -> View<'a> {
        View { data, n_rows, n_cols, row_stride, col_stride: 1 }
    }
    /// The transposed matrix.
    #[must_use]
    pub fn transposed(self) -> View<'a> {
        View {
            data: self.data,
            n_rows: self.n_cols,
            n_cols: self.n_rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
    /// True if every element lies in `data`.
    pub fn fits(&self) -> bool {
        if self.n_rows == 0 || self.n_cols == 0 {
            return true;
        }
        let last = (self.n_rows - 1).checked_mul(self.row_stride);
        let across = (self.n_cols - 1).checked_mul(self.col_stride);
        matches!((last, across), (Some(a), Some(b)) if a.checked_add(b).is_some_and(|i| i < self.data.len()))
    }
}

/// Where the chains begin.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// At 0.
    Zero,
    /// At one number per column.
    Bias(&'a [f32]),
    /// At what `out` holds.
    Out,
}

/// `out[i, j] = start + Σₖ left[i, k] · right[k, j]`; rows of `out` are `out_stride` apart.
///
/// # Panics
/// If the sizes do not fit together.
///
/// # Example
/// ```
/// use statera_kernel::dense::{Start, View, product};
/// let (x, w) = ([1.0, 2.0, 3.0, 4.0], [0.5, 0.25]); // Two rows of two columns; two rows of one column.
/// let mut out = [0.0; 2];
/// product(View::rows(&x, 2), View::rows(&w, 1), Start::Bias(&[10.0]), &mut out, 1);
/// assert_eq!(out, [11.0, 12.5]);
/// ```
pub fn product(left: View, right: View, start: Start, out: &mut [f32], out_stride: usize) {
    product_at(Level::active(), left, right, start, out, out_stride);
}

/// [`product`] with the instructions of `level`, for tests that compare bits.
///
/// # Panics
/// If the sizes do not fit together.
pub fn product_at(level: Level, left: View, right: View, start: Start, out: &mut [f32], out_stride: usize) {
    let (m, n) = (left.n_rows, right.n_cols);
    assert_eq!(left.n_cols, right.n_rows, "columns of the left matrix are rows of the right one");
    assert!(left.fits() && right.fits(), "matrices lie within their data");
    if m == 0 || n == 0 {
        return;
    }
    let end = (m - 1).checked_mul(out_stride).and_then(|e| e.checked_add(n));
    assert!(out_stride >= n && end.is_some_and(|e| e <= out.len()), "the product fits into out");
    if let Start::Bias(bias) = start {
        assert_eq!(bias.len(), n, "one bias per column");
    }
    if left.n_cols == 0 {
        for row in out.chunks_mut(out_stride) {
            match start {
                Start::Zero => row[..n].fill(0.0),
                Start::Bias(bias) => row[..n].copy_from_slice(bias),
                Start::Out => {}
            }
        }
        return;
    }
    if n == 1 && m > 1 && left.row_stride == 1 && out_stride == 1 {
        // One column of a transposed matrix: as a row its numbers lie side by side in a vector. The chains are the same.
        let out = &mut out[..m];
        let start = match start {
            Start::Bias(bias) => {
                out.fill(bias[0]);
                Start::Out
            }
            other => other,
        };
        return product_at(level, right.transposed(), left.transposed(), start, out, m);
    }
    by_level!(level, panels(left: View<'_>, right: View<'_>, start: Start<'_>, out: &mut [f32], out_stride: usize));
}

/// The places of a block of the product: pointers into matrices that [`product_at`] has checked.
#[derive(Clone, Copy)]
struct Block {
    n_rows: usize,
    n_cols: usize,
    depth: usize,
    left: *const f32,
    left_row: usize,
    left_col: usize,
    right: *const f32,
    right_row: usize,
    /// One number per column, or null to begin at what `out` holds.
    start: *const f32,
    out: *mut f32,
    out_row: usize,
}

/// Zeros to begin at.
static ZEROS: [f32; VECTORS * SINGLES] = [0.0; VECTORS * SINGLES];

#[inline(always)]
fn panels<I: Singles>(left: View<'_>, right: View<'_>, start: Start<'_>, out: &mut [f32], out_stride: usize) {
    let (m, n, k) = (left.n_rows, right.n_cols, left.n_cols);
    let width = if I::WIDE { VECTORS * SINGLES } else { SINGLES };
    let in_place = right.col_stride == 1 && (m < PACK_ROWS || (n <= width && right.row_stride <= 2 * width));
    let out = out.as_mut_ptr();
    let block = |i: usize, j: usize, from: usize, depth: usize, n_rows: usize| {
        // SAFETY: the asserts of `product_at`: every element of the three matrices lies within its slice, and a bias has
        // n numbers; a block is a part of them.
        unsafe {
            Block {
                n_rows,
                n_cols: width.min(n - j),
                depth,
                left: left.data.as_ptr().add(i * left.row_stride + from * left.col_stride),
                left_row: left.row_stride,
                left_col: left.col_stride,
                right: right.data.as_ptr().add(from * right.row_stride + j * right.col_stride),
                right_row: right.row_stride,
                start: match start {
                    _ if from > 0 => std::ptr::null(),
                    Start::Zero => ZEROS.as_ptr(),
                    Start::Bias(bias) => bias.as_ptr().add(j),
                    Start::Out => std::ptr::null(),
                },
                out: out.add(i * out_stride + j),
                out_row: out_stride,
            }
        }
    };
    if in_place {
        for j in (0..n).step_by(width) {
            // SAFETY: the block is a part of the matrices, `out` is borrowed mutably.
            unsafe { tiles::<I, true>(&block(0, j, 0, k, m)) };
        }
        return;
    }
    for from in (0..k).step_by(DEPTH * DEPTHS) {
        let end = k.min(from + DEPTH * DEPTHS);
        for i in (0..m).step_by(ROWS) {
            for j in (0..n).step_by(width) {
                for from in (from..end).step_by(DEPTH) {
                    let block = block(i, j, from, DEPTH.min(end - from), ROWS.min(m - i));
                    // SAFETY: the block is a part of the matrices, `out` is borrowed mutably.
                    unsafe { packed_tiles::<I>(block, right.col_stride) };
                }
            }
        }
    }
}

/// A panel of the right matrix in one piece: [`DEPTH`] rows of whole vectors.
#[repr(align(64))]
struct Panel([std::mem::MaybeUninit<f32>; DEPTH * VECTORS * SINGLES]);

/// [`tiles`] with a copy of the right matrix, whose columns may be anywhere.
///
/// # Safety
/// As [`tiles`]; `block.right` with rows `right_row` and columns `right_col` apart.
#[inline(always)]
unsafe fn packed_tiles<I: Singles>(block: Block, right_col: usize) {
    let mut panel = Panel([std::mem::MaybeUninit::uninit(); DEPTH * VECTORS * SINGLES]);
    let to = panel.0.as_mut_ptr().cast::<f32>();
    let width = block.n_cols.div_ceil(SINGLES) * SINGLES;
    // SAFETY: the panel has room for `depth` ≤ DEPTH rows of `width` numbers, all of which are written before they are
    // read; what is read of the right matrix is within it by the caller's promise.
    unsafe {
        if right_col == 1 {
            for k in 0..block.depth {
                let row = block.right.add(k * block.right_row);
                for v in (0..width).step_by(SINGLES) {
                    let lanes = I::load_part(row.wrapping_add(v), block.n_cols - v);
                    I::store(lanes, to.add(k * width + v));
                }
            }
        } else {
            pack_transposed::<I>(&block, right_col, width, to);
        }
        tiles::<I, false>(&Block { right: to, right_row: width, ..block });
    }
}

/// Copies a panel whose rows are contiguous across k (or nowhere), squares of 8 × 8 at a time.
///
/// # Safety
/// As [`packed_tiles`]; `to` has room for `depth` rows of `width` numbers.
#[inline(always)]
unsafe fn pack_transposed<I: Singles>(block: &Block, right_col: usize, width: usize, to: *mut f32) {
    let (whole_cols, whole_depth) =
        if block.right_row == 1 { (block.n_cols / 8 * 8, block.depth / 8 * 8) } else { (0, 0) };
    // SAFETY: the caller's.
    unsafe {
        for j in (0..whole_cols).step_by(8) {
            for k in (0..whole_depth).step_by(8) {
                I::transpose8(block.right.add(j * right_col + k), right_col, to.add(k * width + j), width);
            }
        }
        for j in 0..width {
            for k in if j < whole_cols { whole_depth } else { 0 }..block.depth {
                let inside = j < block.n_cols;
                *to.add(k * width + j) =
                    if inside { *block.right.add(j * right_col + k * block.right_row) } else { 0.0 };
            }
        }
    }
}

/// All tiles of a block whose columns fit into one tile. With `PART`, the right matrix ends with its last column.
///
/// # Safety
/// The places of the block lie within readable (left, right, start) and writable (out) memory, and `out` overlaps none
/// of the others; columns of `right` are adjacent, and without `PART` its rows are whole vectors.
#[inline(always)]
unsafe fn tiles<I: Singles, const PART: bool>(block: &Block) {
    // SAFETY: the caller's.
    unsafe {
        match (I::WIDE, block.n_cols.div_ceil(SINGLES)) {
            (true, 4..) => rows_of_tiles::<I, 6, 4, PART>(block),
            (true, 3) => rows_of_tiles::<I, 8, 3, PART>(block),
            (true, 2) => rows_of_tiles::<I, 12, 2, PART>(block),
            (true, _) => rows_of_tiles::<I, 12, 1, PART>(block),
            (false, _) => rows_of_tiles::<I, 6, 1, PART>(block),
        }
    }
}

/// All tiles of `R` rows, and the rest of the rows by fours and one at a time.
///
/// # Safety
/// As [`tiles`]; the block has at most `N` vectors of columns.
#[inline(always)]
unsafe fn rows_of_tiles<I: Singles, const R: usize, const N: usize, const PART: bool>(block: &Block) {
    let mut row = 0;
    // SAFETY: the caller's; rows stay below `n_rows`.
    unsafe {
        while row + R <= block.n_rows {
            tile::<I, R, N, PART>(block, row);
            row += R;
        }
        while row + 4 <= block.n_rows {
            tile::<I, 4, N, PART>(block, row);
            row += 4;
        }
        while row < block.n_rows {
            tile::<I, 1, N, PART>(block, row);
            row += 1;
        }
    }
}

/// `R` rows × `N` vectors of columns, in registers.
///
/// # Safety
/// As [`tiles`]; the block has between `N − 1` (exclusive) and `N` vectors of columns, and rows `row` to `row + R − 1`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "iterators over arrays of registers are not unrolled as surely")]
unsafe fn tile<I: Singles, const R: usize, const N: usize, const PART: bool>(block: &Block, row: usize) {
    let last = block.n_cols - (N - 1) * SINGLES;
    // SAFETY: the caller's.
    unsafe {
        let out = block.out.add(row * block.out_row);
        let mut sums = [[I::splat(0.0); N]; R];
        for r in 0..R {
            let from = if block.start.is_null() { out.add(r * block.out_row).cast_const() } else { block.start };
            for v in 0..N {
                let from = from.add(v * SINGLES);
                sums[r][v] = if v + 1 < N { I::load(from) } else { I::load_part(from, last) };
            }
        }
        let mut left = block.left.add(row * block.left_row);
        let mut right = block.right;
        for _ in 0..block.depth {
            let mut w = [I::splat(0.0); N];
            for v in 0..N {
                let from = right.add(v * SINGLES);
                w[v] = if !PART || v + 1 < N { I::load(from) } else { I::load_part(from, last) };
            }
            for r in 0..R {
                let x = I::splat(*left.add(r * block.left_row));
                for v in 0..N {
                    sums[r][v] = I::fused(x, w[v], sums[r][v]);
                }
            }
            left = left.wrapping_add(block.left_col);
            right = right.wrapping_add(block.right_row);
        }
        for r in 0..R {
            for v in 0..N {
                let to = out.add(r * block.out_row + v * SINGLES);
                if v + 1 < N { I::store(sums[r][v], to) } else { I::store_part(sums[r][v], to, last) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of all sizes around 1, the same in every run.
    fn numbers(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(|_| next() * 3.0).collect()
    }

    /// The definition, one element at a time.
    fn expected(left: View, right: View, start: Start, out: &[f32], out_stride: usize) -> Vec<f32> {
        let mut all = out.to_vec();
        for i in 0..left.n_rows {
            for j in 0..right.n_cols {
                let mut sum = match start {
                    Start::Zero => 0.0,
                    Start::Bias(bias) => bias[j],
                    Start::Out => out[i * out_stride + j],
                };
                for k in 0..left.n_cols {
                    let a = left.data[i * left.row_stride + k * left.col_stride];
                    sum = a.mul_add(right.data[k * right.row_stride + j * right.col_stride], sum);
                }
                all[i * out_stride + j] = sum;
            }
        }
        all
    }

    #[test]
    fn every_element_is_one_chain_at_every_level() {
        let sizes = [
            (1, 1, 1),
            (200, 1, 37),
            (1, 64, 23),
            (5, 17, 3),
            (30, 70, 200),
            (37, 31, 97),
            (25, 48, 8),
            (13, 130, 100),
            (2, 3, 0),
        ];
        for (m, n, k) in sizes {
            let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
            let lefts = [View::strided(&a, m, k, k), View::strided(&a, k, m, m).transposed()];
            let rights = [View::strided(&b, k, n, n), View::strided(&b, n, k, k).transposed()];
            for (left, right) in lefts.iter().flat_map(|l| rights.iter().map(move |r| (*l, *r))) {
                for start in [Start::Zero, Start::Bias(&bias), Start::Out] {
                    for stride in [n, n + 3] {
                        let before = numbers(m * stride, 4);
                        let right_result = expected(left, right, start, &before, stride);
                        for level in Level::available() {
                            let mut out = before.clone();
                            product_at(level, left, right, start, &mut out, stride);
                            let same = out.iter().zip(&right_result).all(|(o, e)| o.to_bits() == e.to_bits());
                            assert!(same, "{m} × {k} × {n}, {start:?}, {level:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the product fits into out")]
    fn refuses_an_output_that_is_too_short() {
        product(View::rows(&[1.0; 6], 3), View::rows(&[1.0; 6], 2), Start::Zero, &mut [0.0; 3], 2);
    }
}
