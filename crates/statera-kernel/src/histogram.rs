//! Gradient histograms of boosting: rows as bytes, gradients as exact fixed-point numbers, and the search for a cut.
//!
//! Gradients are rounded once to integers and summed as integers, so a histogram's bits depend neither on the order of
//! the rows nor on the number of threads, and a sibling found by subtraction equals the counted one exactly. A cell is
//! 16 bytes: the gradient sum, and one word with the hessian sum above the row count. Only the rounding of each row's
//! gradient (to 2⁻³⁰ of the largest) is lossy.

/// Codes a column may have.
pub const MAX_BINS: usize = 256;
/// Columns that one machine word of a [`CodeMatrix`] holds.
const LANES: usize = 8;

/// Compiles a safe, inlined body for the CPU's widest vectors and calls that version. The arithmetic is the same in each
/// (Rust fuses no multiplication with an addition), so the bits are too.
macro_rules! vectorised {
    ($body:ident($($arg:ident),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl")
            {
                // SAFETY: the features were just detected.
                return unsafe { wide::$body($($arg),*) };
            }
        }
        $body($($arg),*)
    }};
}

/// A sum of gradients over rows: `g`, and `hc` = hessian · 2^`count_bits` + count, all in fixed point ([`Packing`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(16))]
pub struct Cell {
    /// Sum of first derivatives.
    pub g: i64,
    /// Sum of second derivatives above the sum of counts.
    pub hc: i64,
}

impl Cell {
    /// The sum of two disjoint sets of rows.
    #[must_use]
    pub fn plus(self, other: Cell) -> Cell {
        Cell { g: self.g + other.g, hc: self.hc + other.hc }
    }
    /// The rows of `self` without those of `other`, a subset.
    #[must_use]
    pub fn minus(self, other: Cell) -> Cell {
        Cell { g: self.g - other.g, hc: self.hc - other.hc }
    }
}

/// How real gradients, hessians and counts are packed in a [`Cell`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Packing {
    g_scale: f64,
    h_scale: f64,
    count_bits: u32,
}

impl Packing {
    /// The packing for rows whose gradients are at most `g_max` and hessians at most `h_max` in absolute value, whose
    /// hessians sum to at most `h_sum` and counts to `count_sum`; all bounds are positive and finite.
    ///
    /// Scales are powers of two, so unpacking is exact. Hessians get what the count leaves of the word: 30 bits up to
    /// about 100,000 rows, 22 at a million, 10 at 64 million.
    ///
    /// # Panics
    /// If a bound is not positive and finite or if `count_sum` needs more than 40 bits.
    pub fn new(g_max: f64, h_max: f64, h_sum: f64, count_sum: i64) -> Packing {
        let is_bound = |x: f64| x > 0.0 && x.is_finite();
        assert!(is_bound(g_max) && is_bound(h_max) && is_bound(h_sum), "gradient bounds are positive");
        let count_bits = 65 - (count_sum.max(1) as u64).leading_zeros();
        assert!(count_bits <= 41, "the counts of a histogram sum to at most 2^40");
        let h_scale = scale_for(h_max, 30).min(scale_for(h_sum, 61 - i64::from(count_bits)));
        Packing { g_scale: scale_for(g_max, 30), h_scale, count_bits }
    }

    /// One row's cell.
    #[inline(always)]
    pub fn pack(&self, g: f64, h: f64, count: i64) -> Cell {
        Cell { g: round(g * self.g_scale), hc: (round(h * self.h_scale) << self.count_bits) + count }
    }
    /// The gradient sum.
    #[inline(always)]
    pub fn gradient(&self, cell: Cell) -> f64 {
        cell.g as f64 * (1.0 / self.g_scale)
    }
    /// The hessian sum.
    #[inline(always)]
    pub fn hessian(&self, cell: Cell) -> f64 {
        (cell.hc >> self.count_bits) as f64 * (1.0 / self.h_scale)
    }
    /// The count.
    #[inline(always)]
    pub fn count(&self, cell: Cell) -> i64 {
        cell.hc & ((1 << self.count_bits) - 1)
    }
}

/// The power of two that maps `max` into (2^(bits-1), 2^bits].
fn scale_for(max: f64, bits: i64) -> f64 {
    // ±900 keeps the scale and its inverse normal numbers.
    let exponent = (max.to_bits() >> 52) as i64 - 1022;
    f64::from_bits(((bits - exponent).clamp(-900, 900) + 1023).cast_unsigned() << 52)
}

/// Nearest integer, half to even, for |x| < 2⁵¹; unlike `as`, it vectorises.
#[inline(always)]
fn round(x: f64) -> i64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
    ((x + MAGIC).to_bits() as i64).wrapping_sub(MAGIC.to_bits() as i64)
}

/// Cells of the logistic loss: g = w·(p - y), h = w·p·(1 - p) with p = 1 / (1 + exp(-margin)).
///
/// `weight` and `count` are one per row or empty, which means 1 for each.
///
/// # Panics
/// If the slices differ in length.
pub fn logistic_cells(
    margin: &[f64],
    target: &[f64],
    weight: &[f64],
    count: &[i64],
    packing: &Packing,
    out: &mut [Cell],
) {
    let n = out.len();
    assert!(margin.len() == n && target.len() == n, "one margin and one target per row");
    assert!(weight.is_empty() == count.is_empty(), "weights and counts come together");
    assert!(weight.is_empty() || (weight.len() == n && count.len() == n), "one weight and one count per row");
    vectorised!(logistic_cells_body(margin, target, weight, count, packing, out))
}

#[inline(always)]
fn logistic_cells_body(
    margin: &[f64],
    target: &[f64],
    weight: &[f64],
    count: &[i64],
    packing: &Packing,
    out: &mut [Cell],
) {
    let pack = *packing;
    if weight.is_empty() {
        for ((out, &m), &y) in out.iter_mut().zip(margin).zip(target) {
            let p = 1.0 / (1.0 + exp(-m));
            *out = pack.pack(p - y, p * (1.0 - p), 1);
        }
    } else {
        for ((((out, &m), &y), &w), &c) in out.iter_mut().zip(margin).zip(target).zip(weight).zip(count) {
            let p = 1.0 / (1.0 + exp(-m));
            *out = pack.pack(w * (p - y), w * p * (1.0 - p), c);
        }
    }
}

/// exp by reduction to |r| ≤ ln2/2 and a Taylor polynomial of degree 12 (relative error about 4e-16); the argument is
/// clamped to ±700, where a probability is 0 or 1 anyway. Training only.
#[inline(always)]
fn exp(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    const FACTORIAL_INVERSES: [f64; 13] = [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let x = if x > 700.0 { 700.0 } else { x };
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + MAGIC;
    let k = shifted - MAGIC;
    let r = (x - k * LN2_HI) - k * LN2_LO;
    let mut sum = FACTORIAL_INVERSES[0];
    for &c in &FACTORIAL_INVERSES[1..] {
        sum = sum * r + c;
    }
    let two_to_k = f64::from_bits(shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(1023) << 52);
    sum * two_to_k
}

/// Rows of byte codes, eight columns to a machine word, column groups one after another.
#[derive(Debug, Clone)]
pub struct CodeMatrix {
    n_rows: usize,
    n_bins: Vec<usize>,
    /// First cell of each column in a histogram, and the end.
    offsets: Vec<usize>,
    /// Words by group, each with one word per row; column `c` is byte `c % 8` of group `c / 8`.
    groups: Vec<Vec<u64>>,
}

impl CodeMatrix {
    /// The matrix of these columns; column `c` has codes below `n_bins[c]`.
    ///
    /// # Panics
    /// If a column's length is not `n_rows`, a code is out of range, or there are 2³² rows or more.
    pub fn new(n_rows: usize, columns: &[Vec<u8>], n_bins: &[usize]) -> CodeMatrix {
        assert!(columns.len() == n_bins.len(), "one number of bins per column");
        assert!(u32::try_from(n_rows).is_ok(), "rows are numbered in 32 bits");
        let mut offsets = vec![0];
        for (column, &bins) in columns.iter().zip(n_bins) {
            assert!(column.len() == n_rows, "one code per row");
            assert!((1..=MAX_BINS).contains(&bins), "a column has 1 to 256 bins");
            // The unchecked additions below rely on this.
            let highest = column.iter().fold(0, |top, &c| top.max(c));
            assert!(usize::from(highest) < bins, "codes are below the number of bins");
            offsets.push(offsets.last().unwrap_or(&0) + bins);
        }
        let groups = columns.chunks(LANES).map(|group| interleave(n_rows, group)).collect();
        CodeMatrix { n_rows, n_bins: n_bins.to_vec(), offsets, groups }
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }
    /// Columns.
    pub fn n_columns(&self) -> usize {
        self.n_bins.len()
    }
    /// Cells of a histogram over all columns.
    pub fn n_cells(&self) -> usize {
        self.offsets[self.n_bins.len()]
    }
    /// The cells of a column within a histogram.
    pub fn cells_of(&self, column: usize) -> std::ops::Range<usize> {
        self.offsets[column]..self.offsets[column + 1]
    }
    /// The code of a cell.
    #[inline]
    pub fn code(&self, row: usize, column: usize) -> u8 {
        (self.groups[column / LANES][row] >> (8 * (column % LANES))) as u8
    }

    /// Adds the cells of `rows` to a histogram over all columns; `cells` has one entry per row of the matrix.
    /// Groups without a wanted column are left out.
    ///
    /// # Panics
    /// If a row is out of range or a length does not fit.
    pub fn accumulate(&self, rows: &[u32], cells: &[Cell], wanted: &[bool], histogram: &mut [Cell]) {
        assert!(cells.len() == self.n_rows, "one cell per row");
        assert!(histogram.len() == self.n_cells(), "one cell per bin");
        assert!(wanted.len() == self.n_columns(), "one wish per column");
        let highest = rows.iter().fold(0, |top, &r| top.max(r));
        assert!(rows.is_empty() || (highest as usize) < self.n_rows, "rows are within the matrix");
        for (group, words) in self.groups.iter().enumerate() {
            let first = group * LANES;
            let width = LANES.min(self.n_columns() - first);
            if !wanted[first..first + width].contains(&true) {
                continue;
            }
            let mut starts = [0; LANES];
            starts[..width].copy_from_slice(&self.offsets[first..first + width]);
            // SAFETY: rows are below n_rows = words.len() = cells.len() (asserted above), and column c's codes are below
            // its bins (asserted in `new`), so start + code is below the histogram's length.
            unsafe {
                match width {
                    1 => add_rows::<1>(words, rows, cells, &starts, histogram),
                    2 => add_rows::<2>(words, rows, cells, &starts, histogram),
                    3 => add_rows::<3>(words, rows, cells, &starts, histogram),
                    4 => add_rows::<4>(words, rows, cells, &starts, histogram),
                    5 => add_rows::<5>(words, rows, cells, &starts, histogram),
                    6 => add_rows::<6>(words, rows, cells, &starts, histogram),
                    7 => add_rows::<7>(words, rows, cells, &starts, histogram),
                    _ => add_rows::<8>(words, rows, cells, &starts, histogram),
                }
            }
        }
    }

    /// Splits `rows` stably: those whose code of `column` is in `left` stay in front, the others go behind them.
    /// Returns how many stay. `spare` is scratch of at least the same length.
    ///
    /// # Panics
    /// If a row is out of range or `spare` is too short.
    pub fn partition(&self, column: usize, left: &[bool; MAX_BINS], rows: &mut [u32], spare: &mut [u32]) -> usize {
        assert!(spare.len() >= rows.len(), "the scratch is as long as the rows");
        let words = &self.groups[column / LANES][..];
        let shift = 8 * (column % LANES);
        let (mut n_left, mut n_right) = (0, 0);
        for i in 0..rows.len() {
            let row = rows[i];
            let stays = usize::from(left[usize::from((words[row as usize] >> shift) as u8)]);
            // Both writes always happen and only one counts: the branch would be mispredicted half of the time.
            rows[n_left] = row;
            spare[n_right] = row;
            n_left += stays;
            n_right += 1 - stays;
        }
        rows[n_left..].copy_from_slice(&spare[..n_right]);
        n_left
    }
}

/// One word per row from up to eight columns.
fn interleave(n_rows: usize, columns: &[Vec<u8>]) -> Vec<u64> {
    let mut words = vec![0_u64; n_rows];
    for (lane, column) in columns.iter().enumerate() {
        for (word, &code) in words.iter_mut().zip(column) {
            *word |= u64::from(code) << (8 * lane);
        }
    }
    words
}

/// Adds each row's cell to the bins of `WIDTH` columns.
///
/// # Safety
/// Every row is below `words.len()` and `cells.len()`, and `starts[c] + code` is below `histogram.len()` for every column.
unsafe fn add_rows<const WIDTH: usize>(
    words: &[u64],
    rows: &[u32],
    cells: &[Cell],
    starts: &[usize; LANES],
    histogram: &mut [Cell],
) {
    const AHEAD: usize = 24;
    let base = histogram.as_mut_ptr();
    let bins: [*mut Cell; WIDTH] = std::array::from_fn(|c| base.wrapping_add(starts[c]));
    let ahead = rows.len().saturating_sub(AHEAD);
    for (i, &row) in rows.iter().enumerate() {
        if i < ahead {
            // SAFETY: i + AHEAD < rows.len(), and rows are in range by the caller's promise.
            unsafe {
                let next = *rows.get_unchecked(i + AHEAD) as usize;
                prefetch(words.as_ptr().add(next));
                prefetch(cells.as_ptr().add(next));
            }
        }
        // SAFETY: as the caller promises.
        unsafe {
            let mut word = *words.get_unchecked(row as usize);
            let cell = *cells.get_unchecked(row as usize);
            for bin in bins {
                add_cell(bin.add((word & 255) as usize), cell);
                word >>= 8;
            }
        }
    }
}

/// Hints that the address is read soon.
#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// `*to += cell`, both words in one vector addition.
///
/// # Safety
/// `to` points to a cell.
#[inline(always)]
unsafe fn add_cell(to: *mut Cell, cell: Cell) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_add_epi64, _mm_load_si128, _mm_store_si128};
        let cell_ptr: *const Cell = &raw const cell;
        // SAFETY: a cell is two 64-bit words aligned to 16 bytes; SSE2 is part of x86-64.
        unsafe {
            let sum = _mm_add_epi64(_mm_load_si128(to.cast::<__m128i>()), _mm_load_si128(cell_ptr.cast()));
            _mm_store_si128(to.cast(), sum);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: as the caller promises.
    unsafe {
        *to = (*to).plus(cell);
    }
}

/// `larger -= smaller`, cell by cell: the sibling's histogram from the parent's.
///
/// # Panics
/// If the lengths differ.
pub fn subtract(larger: &mut [Cell], smaller: &[Cell]) {
    assert!(larger.len() == smaller.len(), "histograms have one length");
    for (l, s) in larger.iter_mut().zip(smaller) {
        *l = l.minus(*s);
    }
}

/// `sum += part`, cell by cell.
///
/// # Panics
/// If the lengths differ.
pub fn add(sum: &mut [Cell], part: &[Cell]) {
    assert!(sum.len() == part.len(), "histograms have one length");
    for (s, p) in sum.iter_mut().zip(part) {
        *s = s.plus(*p);
    }
}

/// What a cut must respect and how it is valued.
#[derive(Debug, Clone, Copy)]
pub struct CutRule {
    /// How cells are packed.
    pub packing: Packing,
    /// The sum over the leaf that is cut.
    pub total: Cell,
    /// λ, added to each side's hessian.
    pub l2: f64,
    /// Least hessian of a side.
    pub min_hessian: f64,
    /// Least count of a side.
    pub min_count: i64,
}

/// The best cut of an ordered column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// The last cell on the left side.
    pub last: usize,
    /// G_L²/(H_L+λ) + G_R²/(H_R+λ); the leaf's own G²/(H+λ) is not yet taken off.
    pub gain: f64,
    /// The sum over the left side.
    pub left: Cell,
}

/// Finds the cut of at most 256 ordered `cells` with the largest gain, the first among equals; `start` is on the left of
/// every cut. `None` if no cut respects the rule.
///
/// # Panics
/// If there are more than 256 cells.
pub fn best_cut(cells: &[Cell], start: Cell, rule: &CutRule) -> Option<Cut> {
    assert!(cells.len() <= MAX_BINS, "a column has at most 256 bins");
    vectorised!(best_cut_body(cells, start, rule))
}

#[inline(always)]
fn best_cut_body(cells: &[Cell], start: Cell, rule: &CutRule) -> Option<Cut> {
    let mut left_sums = [Cell::default(); MAX_BINS];
    let mut gains = [f64::NEG_INFINITY; MAX_BINS];
    let (total, packing) = (rule.total, rule.packing);
    let total_count = packing.count(total);
    let mut sum = start;
    for (to, cell) in left_sums.iter_mut().zip(cells) {
        sum = sum.plus(*cell);
        *to = sum;
    }
    // Whole vectors of eight: cells past the end repeat nothing, their gain is set to -∞ below.
    let n = cells.len();
    let padded = n.next_multiple_of(8).min(MAX_BINS);
    for (gain, &left) in gains[..padded].iter_mut().zip(&left_sums[..padded]) {
        let right = total.minus(left);
        let (gl, gr) = (packing.gradient(left), packing.gradient(right));
        let (hl, hr) = (packing.hessian(left), packing.hessian(right));
        let (cl, cr) = (packing.count(left), total_count - packing.count(left));
        let allowed =
            (cl >= rule.min_count) & (cr >= rule.min_count) & (hl >= rule.min_hessian) & (hr >= rule.min_hessian);
        let value = gl * gl / (hl + rule.l2) + gr * gr / (hr + rule.l2);
        *gain = if allowed { value } else { f64::NEG_INFINITY };
    }
    gains[n..padded].fill(f64::NEG_INFINITY);
    let mut lanes = [f64::NEG_INFINITY; 8];
    for chunk in gains[..padded].chunks_exact(8) {
        for (lane, &gain) in lanes.iter_mut().zip(chunk) {
            *lane = if gain > *lane { gain } else { *lane };
        }
    }
    let best = lanes.iter().fold(f64::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    if best == f64::NEG_INFINITY {
        return None;
    }
    let last = gains[..n].iter().position(|&gain| gain == best)?;
    Some(Cut { last, gain: best, left: left_sums[last] })
}

/// The bodies, compiled for AVX-512.
#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{Cell, Cut, CutRule, Packing};

    #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
    pub(super) fn best_cut_body(cells: &[Cell], start: Cell, rule: &CutRule) -> Option<Cut> {
        super::best_cut_body(cells, start, rule)
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
    pub(super) fn logistic_cells_body(
        margin: &[f64],
        target: &[f64],
        weight: &[f64],
        count: &[i64],
        packing: &Packing,
        out: &mut [Cell],
    ) {
        super::logistic_cells_body(margin, target, weight, count, packing, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_sums_counts_and_signs() {
        let packing = Packing::new(3.0, 0.25, 250.0, 16_000);
        let cells = [(1.5, 0.25, 16), (-2.75, 0.125, 8), (3.0, 0.0, 1)];
        let sum = cells.iter().fold(Cell::default(), |sum, &(g, h, c)| sum.plus(packing.pack(g, h, c)));
        assert_eq!((packing.gradient(sum), packing.hessian(sum), packing.count(sum)), (1.75, 0.375, 25));
        let rest = sum.minus(packing.pack(1.5, 0.25, 16));
        assert_eq!((packing.gradient(rest), packing.hessian(rest), packing.count(rest)), (0.25, 0.125, 9));
    }

    #[test]
    fn a_full_leaf_does_not_overflow() {
        for n in [1_usize, 1_000, 1 << 20, 1 << 26] {
            let packing = Packing::new(1.0, 0.25, 0.25 * n as f64, n as i64);
            let row = packing.pack(-1.0, 0.25, 1);
            let all = Cell { g: row.g * n as i64, hc: row.hc.checked_mul(n as i64).expect("the sum fits a word") };
            assert_eq!(packing.gradient(all), -(n as f64));
            assert_eq!((packing.hessian(all), packing.count(all)), (0.25 * n as f64, n as i64));
        }
    }

    #[test]
    fn histograms_are_sums_over_rows() {
        let columns: Vec<Vec<u8>> =
            (0..11).map(|c| (0..100).map(|r| ((r * 7 + c * c) % (c + 2)) as u8).collect()).collect();
        let n_bins: Vec<usize> = (0..11).map(|c| c + 2).collect();
        let matrix = CodeMatrix::new(100, &columns, &n_bins);
        let cells: Vec<Cell> = (0..100).map(|r| Cell { g: r * r - 50, hc: r + 1 }).collect();
        let rows: Vec<u32> = (0..100).filter(|r| r % 3 != 1).collect();
        let mut histogram = vec![Cell::default(); matrix.n_cells()];
        matrix.accumulate(&rows, &cells, &[true; 11], &mut histogram);
        for (column, codes) in columns.iter().enumerate() {
            for (bin, cell) in histogram[matrix.cells_of(column)].iter().enumerate() {
                let of_bin = rows.iter().filter(|&&r| usize::from(codes[r as usize]) == bin);
                let expected = of_bin.fold(Cell::default(), |sum, &r| sum.plus(cells[r as usize]));
                assert_eq!(*cell, expected, "column {column}, bin {bin}");
            }
        }
    }

    #[test]
    fn a_partition_is_stable() {
        let matrix = CodeMatrix::new(6, &[vec![0, 2, 1, 2, 0, 1]], &[3]);
        let mut left = [false; MAX_BINS];
        left[2] = true;
        let mut rows = [5, 3, 1, 0];
        assert_eq!(matrix.partition(0, &left, &mut rows, &mut [0; 4]), 2);
        assert_eq!(rows, [3, 1, 5, 0]);
    }

    #[test]
    fn the_best_cut_is_that_of_brute_force() {
        let packing = Packing::new(10.0, 1.0, 400.0, 400);
        let cells: Vec<Cell> =
            (0..19_i32).map(|i| packing.pack(f64::from((i * 37) % 11) - 5.0, 0.5, i64::from(i % 4) + 1)).collect();
        let start = packing.pack(2.0, 1.0, 3);
        let total = cells.iter().fold(start, |sum, &c| sum.plus(c)).plus(packing.pack(-7.0, 1.0, 5));
        let rule = CutRule { packing, total, l2: 0.5, min_hessian: 1.0, min_count: 6 };
        let mut expected: Option<Cut> = None;
        let mut left = start;
        for (last, &cell) in cells.iter().enumerate() {
            left = left.plus(cell);
            let sides = [left, total.minus(left)];
            if sides.iter().any(|&s| packing.count(s) < 6 || packing.hessian(s) < 1.0) {
                continue;
            }
            let gain = sides.iter().map(|&s| packing.gradient(s).powi(2) / (packing.hessian(s) + 0.5)).sum();
            if expected.is_none_or(|e| gain > e.gain) {
                expected = Some(Cut { last, gain, left });
            }
        }
        assert!(expected.is_some(), "the case has a cut");
        assert_eq!(best_cut(&cells, start, &rule), expected);
        assert_eq!(best_cut_body(&cells, start, &rule), expected);
        assert_eq!(best_cut(&cells, start, &CutRule { min_count: 1000, ..rule }), None);
    }

    #[test]
    fn exp_is_accurate() {
        for i in -7000..=7000 {
            let x = f64::from(i) * 0.1;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "exp({x})");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn logistic_cells_are_the_derivatives_of_log_loss() {
        let packing = Packing::new(2.0, 0.5, 1.0, 64);
        let mut out = [Cell::default(); 3];
        logistic_cells(&[0.0, 2.0, -900.0], &[1.0, 0.0, 0.0], &[1.0, 2.0, 1.0], &[16, 32, 16], &packing, &mut out);
        let p = 1.0 / (1.0 + (-2.0_f64).exp());
        let expected = [(-0.5, 0.25, 16), (2.0 * p, 2.0 * p * (1.0 - p), 32), (0.0, 0.0, 16)];
        for (cell, (g, h, count)) in out.iter().zip(expected) {
            assert!((packing.gradient(*cell) - g).abs() < 2e-9 && (packing.hessian(*cell) - h).abs() < 1e-9);
            assert_eq!(packing.count(*cell), count);
        }
    }
}
