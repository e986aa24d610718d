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
    /// Entry i belongs to bucket i.
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
            _ if table.n_edges <= FEW_EDGES => eights(values, out, |x, out| few_edges(table, x, out)),
            Some(grid) => match grid.n_compares {
                1 => through_grid::<1>(table, grid, values, out),
                2 => through_grid::<2>(table, grid, values, out),
                _ => through_grid::<{ super::MAX_COMPARES }>(table, grid, values, out),
            },
            None => search(table, values, out),
        }
    }

    /// Calls `work` with 8 values and 8 bytes of `out` at a time; the last values are filled up with NaN.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn eights(values: &[f64], out: &mut [u8], work: impl Fn(&[f64; 8], &mut [u8; 8])) {
        let ((values, last), (out, last_out)) = (values.as_chunks(), out[..values.len()].as_chunks_mut());
        for (values, out) in values.iter().zip(out) {
            work(values, out);
        }
        if !last.is_empty() {
            let (mut eight, mut codes) = ([f64::NAN; 8], [0; 8]);
            eight[..last.len()].copy_from_slice(last);
            work(&eight, &mut codes);
            last_out.copy_from_slice(&codes[..last.len()]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(values: &[f64; 8]) -> __m512d {
        // SAFETY: the array has 8 values.
        unsafe { _mm512_loadu_pd(values.as_ptr()) }
    }

    /// Compares with every edge.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn few_edges(table: &EdgeTable, values: &[f64; 8], out: &mut [u8; 8]) {
        let (x, one) = (load(values), _mm512_set1_epi64(1));
        let is_number = _mm512_cmp_pd_mask::<_CMP_ORD_Q>(x, x);
        let mut code = _mm512_maskz_set1_epi64(is_number, i64::from(table.first_code));
        for &edge in &table.edges[..table.n_edges] {
            // Nothing is below NaN, whose code stays 0.
            let above = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(_mm512_set1_pd(edge), x);
            code = _mm512_mask_add_epi64(code, above, code, one);
        }
        *out = _mm_cvtsi128_si64(_mm512_cvtepi64_epi8(code)).to_le_bytes();
    }

    /// Takes each number's start from the grid and compares with N edges from there: those of its bucket, then edges above
    /// it. Both are read one by one: gathers are slow on CPUs whose microcode guards them.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn through_grid<const N: usize>(table: &EdgeTable, grid: &Grid, values: &[f64], out: &mut [u8]) {
        // The buckets of many numbers go through memory: taken out of a register at once, each would cost a shuffle.
        const MANY: usize = 256;
        let mut buckets = [0_u16; MANY];
        for (out, values) in out.chunks_mut(MANY).zip(values.chunks(MANY)) {
            find_buckets(grid, values, &mut buckets);
            for ((out, &x), &bucket) in out.iter_mut().zip(values).zip(&buckets) {
                // The key ascends with x, so the bucket is at most that of the last edge.
                let start = grid.starts[usize::from(bucket)];
                // The table has 264 edges.
                let below = |i: usize| u8::from(table.edges[usize::from(start) + i] < x);
                let code = (0..N).fold(start.wrapping_add(table.first_code), |code, i| code.wrapping_add(below(i)));
                *out = if x.is_nan() { 0 } else { code };
            }
        }
    }

    /// Writes the bucket of each number, taken as the nearest number between the first and the last edge.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn find_buckets(grid: &Grid, values: &[f64], buckets: &mut [u16; 256]) {
        let [low, high] = grid.range.map(|edge| _mm512_set1_pd(edge));
        let offset = _mm512_set1_pd(grid.offset);
        let find = |values: &[f64; 8]| {
            // For NaN both operations give their second operand, so the bucket is always one that the grid has.
            let inside = _mm512_min_pd(_mm512_max_pd(load(values), low), high);
            let size = _mm512_castpd_si512(_mm512_add_pd(_mm512_abs_pd(inside), offset));
            let size = _mm512_sub_epi64(size, _mm512_castpd_si512(offset));
            let is_negative = _mm512_movepi64_mask(_mm512_castpd_si512(inside));
            let key = _mm512_mask_sub_epi64(size, is_negative, _mm512_setzero_si512(), size);
            let distance = _mm512_sub_epi64(key, _mm512_set1_epi64(grid.low_key));
            _mm512_cvtepi64_epi16(_mm512_srl_epi64(distance, _mm_cvtsi32_si128(grid.shift as i32)))
        };
        let (eights, last) = values.as_chunks::<8>();
        let (places, _) = buckets.as_chunks_mut::<8>();
        let mut filled = [f64::NAN; 8];
        filled[..last.len()].copy_from_slice(last);
        let filled = (!last.is_empty()).then_some(&filled);
        for (values, place) in eights.iter().chain(filled).zip(places) {
            // SAFETY: 8 places of 16 bits are the register's 128.
            unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), find(values)) };
        }
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
