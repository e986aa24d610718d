//! A table of buckets that a number's bits find.

use super::FIRST_BYTE;

/// Binary logarithm of the number of buckets, at least and at most: more would leave the first-level cache.
const BUCKET_BITS: std::ops::RangeInclusive<u32> = 1..=12;
/// Comparisons within a bucket at most; where more are needed the search is as fast.
const MAX_COMPARES: usize = 4;

/// For each bucket of a monotone key, how many edges are in earlier buckets.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// The first and the last edge; numbers beyond count as these.
    pub(super) range: [f64; 2],
    pub(super) offset: f64,
    pub(super) low_key: i64,
    pub(super) shift: u32,
    /// Entry i belongs to bucket i.
    pub(super) starts: Vec<u8>,
    /// Edges of the fullest bucket.
    pub(super) n_compares: usize,
    /// The bits of each bucket's first edge, or of the next one above, the lowest byte replaced by the code of a number below
    /// that edge.
    pub(super) entries: Vec<u64>,
    /// If some bucket has two edges, the edge after that of `entries`.
    pub(super) seconds: Vec<f64>,
    /// True if the lowest byte of each edge was zero.
    pub(super) is_exact: bool,
}

impl Grid {
    /// The grid with the fewest comparisons, then the fewest buckets, among those of a few offsets; `None` if it needs too
    /// many comparisons. Numbers below all edges have the code `first_code`.
    pub(super) fn new(edges: &[f64], first_code: u8) -> Option<Grid> {
        let (&first, &last) = edges.first().zip(edges.last())?;
        let scale = first.abs().max(last.abs());
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let offsets = (-1..=18).map(|i| (scale * 0.25_f64.powi(i)).max(f64::MIN_POSITIVE));
        let grids = offsets.flat_map(|offset| sizes(edges, [first, last], offset));
        let best = grids.min_by_key(|(n_buckets, grid)| (grid.n_compares, *n_buckets))?.1;
        (best.n_compares <= MAX_COMPARES).then(|| best.fill(edges, first_code))
    }

    fn fill(mut self, edges: &[f64], first_code: u8) -> Grid {
        let mut counts = vec![0_u8; self.bucket(self.range[1]) + 1];
        edges.iter().for_each(|&edge| counts[self.bucket(edge)] += 1);
        let mut below = 0;
        for count in counts {
            self.starts.push(below);
            below += count;
        }
        // The last bucket has the last edge, so every bucket has an edge or one above.
        let entry = |&start: &u8| {
            let code = start.wrapping_add(first_code);
            edges[usize::from(start)].to_bits() & !FIRST_BYTE | u64::from(code)
        };
        self.entries = self.starts.iter().map(entry).collect();
        if self.n_compares > 1 {
            let second = |&start: &u8| edges.get(usize::from(start) + 1).copied().unwrap_or(f64::INFINITY);
            self.seconds = self.starts.iter().map(second).collect();
        }
        self.is_exact = edges.iter().all(|edge| edge.to_bits() & FIRST_BYTE == 0);
        self
    }

    /// The bucket of a number.
    pub(super) fn bucket(&self, x: f64) -> usize {
        // NaN is in the first.
        let inside = if x > self.range[0] { x } else { self.range[0] }.min(self.range[1]);
        (key(inside, self.offset).wrapping_sub(self.low_key) as u64 >> self.shift) as usize
    }
}

/// Ascends with x.
fn key(x: f64, offset: f64) -> i64 {
    let size = (x.abs() + offset).to_bits().wrapping_sub(offset.to_bits()) as i64;
    if x < 0.0 { size.wrapping_neg() } else { size }
}

/// Grids with an offset, not filled, with their numbers of buckets.
fn sizes(edges: &[f64], range: [f64; 2], offset: f64) -> impl Iterator<Item = (u64, Grid)> {
    let low_key = key(range[0], offset);
    let distances: Vec<u64> = edges.iter().map(|&edge| key(edge, offset).wrapping_sub(low_key) as u64).collect();
    let width = distances.last().copied().unwrap_or(0);
    BUCKET_BITS.map(move |bits| {
        let shift = (u64::BITS - width.leading_zeros()).saturating_sub(bits);
        // Edges ascend, so those of a bucket are neighbours.
        let buckets = distances.chunk_by(|a, b| a >> shift == b >> shift);
        let n_compares = buckets.map(<[u64]>::len).max().unwrap_or(0);
        let (starts, entries, seconds) = (Vec::new(), Vec::new(), Vec::new());
        let grid = Grid { range, offset, low_key, shift, starts, n_compares, entries, seconds, is_exact: false };
        ((width >> shift) + 1, grid)
    })
}
