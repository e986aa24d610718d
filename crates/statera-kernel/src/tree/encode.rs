//! How many edges are below a number.
//!
//! A search over 255 edges costs more than a node of every tree, so a forest's edges come with a [`Grid`]: the bits of
//! `|x| + offset`, shifted to 2048 buckets, tell how many edges are in earlier buckets, and one to four comparisons with the
//! edges of x's own bucket tell the rest. The sum is monotone in |x| (rounding is), nearly linear below the offset and
//! logarithmic above it, and the comparisons are exact, so a grid changes the time and never the code.

use super::MAX_CODES;
use crate::dispatch::Level;

/// Edges readable behind the last of 255, so that a grid's comparisons need no bound.
const PADDING: usize = 8;
/// Buckets of a grid at most; their starts stay in the first-level cache.
const MAX_BUCKETS: u64 = 2048;
/// Comparisons within a bucket at most; where more are needed the search is as fast.
const MAX_COMPARES: usize = 4;
/// Edges that are all compared: as fast as a grid.
#[cfg(target_arch = "x86_64")]
const FEW_EDGES: usize = 10;

/// Edges padded with +∞ to more than 256, for a search without branches.
#[derive(Debug, Clone)]
pub(super) struct EdgeTable {
    edges: Box<[f64; MAX_CODES + PADDING]>,
    n_edges: usize,
    /// Halvings needed.
    n_steps: u32,
    /// Code of a number below all edges.
    first_code: u8,
    grid: Option<Grid>,
}

impl EdgeTable {
    /// A table for a few cells.
    pub(super) fn new(edges: &[f64], n_sentinels: usize) -> EdgeTable {
        let mut table = Box::new([f64::INFINITY; MAX_CODES + PADDING]);
        table[..edges.len()].copy_from_slice(edges);
        EdgeTable {
            edges: table,
            n_edges: edges.len(),
            n_steps: usize::BITS - edges.len().leading_zeros(),
            first_code: (1 + n_sentinels) as u8,
            grid: None,
        }
    }

    /// A table for many cells: making it takes as long as encoding thousands.
    pub(super) fn with_grid(edges: &[f64], n_sentinels: usize) -> EdgeTable {
        EdgeTable { grid: Grid::new(edges), ..EdgeTable::new(edges, n_sentinels) }
    }
}

/// For each bucket of a monotone key, how many edges are in earlier buckets.
#[derive(Debug, Clone)]
struct Grid {
    /// The first and the last edge; numbers beyond count as these.
    range: [f64; 2],
    offset: f64,
    low_key: i64,
    shift: u32,
    /// Entry i belongs to bucket i; 7 bytes of padding let 8 bytes be read at each.
    starts: Vec<u8>,
    /// Edges of the fullest bucket.
    n_compares: usize,
}

impl Grid {
    /// The grid with the fewest comparisons among those of a few offsets; `None` if it needs too many.
    fn new(edges: &[f64]) -> Option<Grid> {
        let (&first, &last) = edges.first().zip(edges.last())?;
        let scale = first.abs().max(last.abs());
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let offsets = (-1..=12).map(|i| (scale * 0.125_f64.powi(i)).max(f64::MIN_POSITIVE));
        let best = offsets.map(|offset| Grid::at(edges, [first, last], offset)).min_by_key(|grid| grid.n_compares)?;
        (best.n_compares <= MAX_COMPARES).then(|| best.fill(edges))
    }

    /// A grid without its starts.
    fn at(edges: &[f64], range: [f64; 2], offset: f64) -> Grid {
        let mut grid = Grid { range, offset, low_key: 0, shift: 0, starts: Vec::new(), n_compares: 0 };
        grid.low_key = grid.key(range[0]);
        let width = grid.key(range[1]).wrapping_sub(grid.low_key) as u64;
        grid.shift = (u64::BITS - width.leading_zeros()).saturating_sub(MAX_BUCKETS.ilog2());
        // Edges ascend, so those of a bucket are neighbours.
        let buckets: Vec<usize> = edges.iter().map(|&edge| grid.bucket(edge)).collect();
        grid.n_compares = buckets.chunk_by(|a, b| a == b).map(<[usize]>::len).max().unwrap_or(0);
        grid
    }

    fn fill(mut self, edges: &[f64]) -> Grid {
        let mut counts = vec![0_u8; self.bucket(self.range[1]) + 1];
        edges.iter().for_each(|&edge| counts[self.bucket(edge)] += 1);
        let mut below = 0;
        for count in counts {
            self.starts.push(below);
            below += count;
        }
        self.starts.extend([0; 7]);
        self
    }

    /// The bucket of an edge.
    fn bucket(&self, edge: f64) -> usize {
        (self.key(edge).wrapping_sub(self.low_key) as u64 >> self.shift) as usize
    }

    /// Ascends with x.
    fn key(&self, x: f64) -> i64 {
        let size = (x.abs() + self.offset).to_bits().wrapping_sub(self.offset.to_bits()) as i64;
        if x < 0.0 { size.wrapping_neg() } else { size }
    }
}

/// Writes the code of each number.
///
/// # Panics
/// If `out` is shorter than the values.
pub(super) fn encode_numbers(level: Level, table: &EdgeTable, sentinels: &[f64], values: &[f64], out: &mut [u8]) {
    assert!(out.len() >= values.len(), "one code per cell");
    match level.min(Level::detected()) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the features were detected.
        Level::Avx512 => unsafe { avx512::encode_numbers(table, values, out) },
        _ => encode_numbers_body(table, values, out),
    }
    for (i, sentinel) in sentinels.iter().enumerate() {
        for (code, value) in out.iter_mut().zip(values) {
            *code = if value == sentinel { 1 + i as u8 } else { *code };
        }
    }
}

/// 16 searches side by side so that their memory reads overlap.
#[inline(always)]
fn encode_numbers_body(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
    const SIDE: usize = 16;
    let edges = &table.edges;
    for (out, values) in out.chunks_mut(SIDE).zip(values.chunks(SIDE)) {
        let mut x = [f64::NAN; SIDE];
        x[..values.len()].copy_from_slice(values);
        let mut below = [0_usize; SIDE];
        for step in (0..table.n_steps).rev() {
            let half = 1 << step;
            for (n, &x) in below.iter_mut().zip(&x) {
                // `below` stays under 256 - half, the mask only tells the compiler so.
                *n += if edges[(*n + half - 1) & (MAX_CODES - 1)] < x { half } else { 0 };
            }
        }
        for ((out, &n), &x) in out.iter_mut().zip(&below).zip(&x) {
            *out = if x.is_nan() { 0 } else { n as u8 + table.first_code };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{EdgeTable, FEW_EDGES, Grid, MAX_CODES};
    use std::arch::x86_64::*;

    /// Writes the code of each number; `out` has at least as many places.
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,popcnt")]
    pub(super) fn encode_numbers(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
        match &table.grid {
            _ if table.n_edges <= FEW_EDGES => eights(values, out, |x| few_edges(table, x)),
            Some(grid) => match grid.n_compares {
                1 => eights(values, out, |x| in_grid::<1>(table, grid, x)),
                2 => eights(values, out, |x| in_grid::<2>(table, grid, x)),
                n => {
                    assert!(n <= super::MAX_COMPARES, "a grid with more comparisons is not kept");
                    eights(values, out, |x| in_grid::<{ super::MAX_COMPARES }>(table, grid, x));
                }
            },
            None => search(table, values, out),
        }
    }

    /// Encodes 8 numbers at a time; `code` gives one code per 64 bits, whatever it likes for NaN.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn eights(values: &[f64], out: &mut [u8], code: impl Fn(__m512d) -> __m512i) {
        assert!(out.len() >= values.len(), "one code per cell");
        let encode = |x: __m512d| {
            let is_number = _mm512_cmp_pd_mask::<_CMP_ORD_Q>(x, x);
            _mm512_cvtepi64_epi8(_mm512_maskz_mov_epi64(is_number, code(x)))
        };
        let n_whole = values.len() & !7;
        for at in (0..n_whole).step_by(8) {
            // SAFETY: at + 8 is at most the length of the values, and of the codes (asserted).
            unsafe {
                _mm_storel_epi64(out.as_mut_ptr().add(at).cast(), encode(_mm512_loadu_pd(values.as_ptr().add(at))))
            }
        }
        let mut rest = [f64::NAN; 8];
        rest[..values.len() - n_whole].copy_from_slice(&values[n_whole..]);
        let mut codes = [0_u8; 8];
        // SAFETY: both arrays have 8 entries.
        unsafe { _mm_storel_epi64(codes.as_mut_ptr().cast(), encode(_mm512_loadu_pd(rest.as_ptr()))) };
        out[n_whole..values.len()].copy_from_slice(&codes[..values.len() - n_whole]);
    }

    /// Compares with every edge.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn few_edges(table: &EdgeTable, x: __m512d) -> __m512i {
        let one = _mm512_set1_epi64(1);
        let mut code = _mm512_set1_epi64(i64::from(table.first_code));
        for &edge in &table.edges[..table.n_edges] {
            let above = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(_mm512_set1_pd(edge), x);
            code = _mm512_mask_add_epi64(code, above, code, one);
        }
        code
    }

    /// Takes the start from the grid and compares with N edges from there: those of x's bucket, then edges above x.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn in_grid<const N: usize>(table: &EdgeTable, grid: &Grid, x: __m512d) -> __m512i {
        let [low, high] = grid.range.map(|edge| _mm512_set1_pd(edge));
        // For NaN both operations give their second operand, so the index is always of an edge's bucket or between.
        let inside = _mm512_min_pd(_mm512_max_pd(x, low), high);
        let offset = _mm512_set1_pd(grid.offset);
        let size = _mm512_castpd_si512(_mm512_add_pd(_mm512_abs_pd(inside), offset));
        let size = _mm512_sub_epi64(size, _mm512_castpd_si512(offset));
        let is_negative = _mm512_movepi64_mask(_mm512_castpd_si512(inside));
        let key = _mm512_mask_sub_epi64(size, is_negative, _mm512_setzero_si512(), size);
        let distance = _mm512_sub_epi64(key, _mm512_set1_epi64(grid.low_key));
        let bucket = _mm512_srl_epi64(distance, _mm_cvtsi32_si128(grid.shift as i32));
        // SAFETY: the key ascends with x, so the bucket is at most that of the last edge, behind which there are 7 bytes.
        let start = unsafe { _mm512_i64gather_epi64::<1>(bucket, grid.starts.as_ptr().cast()) };
        let start = _mm512_and_si512(start, _mm512_set1_epi64(255));
        let one = _mm512_set1_epi64(1);
        let mut code = _mm512_add_epi64(start, _mm512_set1_epi64(i64::from(table.first_code)));
        for i in 0..N {
            // SAFETY: the start is at most 255 and N at most 4; the table has 264 edges.
            let edge = unsafe { _mm512_i64gather_pd::<8>(start, table.edges.as_ptr().add(i)) };
            code = _mm512_mask_add_epi64(code, _mm512_cmp_pd_mask::<_CMP_LT_OQ>(edge, x), code, one);
        }
        code
    }

    /// Two comparisons with 16 edges each: every 16th edge tells the sixteenth of the table, its edges tell the place.
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,popcnt")]
    fn search(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
        let edges = &table.edges;
        // SAFETY: `at` is at most 240 and the table has more than 256 values.
        let load = |at: usize| unsafe {
            let from = edges.as_ptr().add(at.min(MAX_CODES - 16));
            [_mm512_loadu_pd(from), _mm512_loadu_pd(from.add(8))]
        };
        let count_below = |edges: [__m512d; 2], x: __m512d| {
            let masks = edges.map(|e| u32::from(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(e, x)));
            (masks[0] | masks[1] << 8).count_ones() as usize
        };
        let pivots: [f64; 16] = std::array::from_fn(|i| edges[16 * i + 15]);
        // SAFETY: the array has 16 values.
        let pivots = unsafe { [_mm512_loadu_pd(pivots.as_ptr()), _mm512_loadu_pd(pivots.as_ptr().add(8))] };
        for (out, &value) in out.iter_mut().zip(values) {
            let x = _mm512_set1_pd(value);
            let start = 16 * count_below(pivots, x);
            let below = start + count_below(load(start), x);
            *out = if value.is_nan() { 0 } else { below as u8 + table.first_code };
        }
    }
}
