//! Growth of one tree, best leaf first.

use super::split::{CodeSet, Kind, Leaf, Rules, Split, best_split};
use rayon::prelude::*;
use statera_kernel::histogram::{Cell, CodeMatrix, MAX_BINS, add, subtract};
use statera_kernel::tree::Node;
use std::ops::Range;

/// Row-column pairs from which counting a histogram is worth a second thread.
const PARALLEL_COUNT: usize = 1 << 17;
/// Cells from which searching two siblings is worth a second thread.
const PARALLEL_SEARCH: usize = 1 << 11;
/// Cells from which searching one leaf is worth a second thread.
const PARALLEL_LEAF: usize = 1 << 14;

/// A grown tree and where its training rows ended.
pub(super) struct Grown {
    pub(super) nodes: Vec<Node>,
    /// Loss that each node saved, times two.
    pub(super) gains: Vec<f64>,
    /// Optimal values, before the learning rate.
    pub(super) values: Vec<f64>,
    /// Rows of each leaf, by weight.
    pub(super) covers: Vec<f64>,
    /// Each leaf's part of the rows.
    pub(super) ranges: Vec<Range<usize>>,
}

/// Grows trees on one matrix; keeps histograms from tree to tree.
pub(super) struct Grower<'a> {
    matrix: &'a CodeMatrix,
    kinds: &'a [Kind],
    spare_rows: Vec<u32>,
    spare_histograms: Vec<Vec<Cell>>,
}

/// A leaf that may still be split.
struct Open {
    rows: Range<usize>,
    stats: Leaf,
    l2: f64,
    /// Parent node and side.
    parent: Option<(usize, usize)>,
    histogram: Option<Vec<Cell>>,
    best: Option<Split>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(matrix: &'a CodeMatrix, kinds: &'a [Kind]) -> Grower<'a> {
        Grower { matrix, kinds, spare_rows: vec![0; matrix.n_rows()], spare_histograms: Vec::new() }
    }

    /// Grows a tree on `rows`, which are reordered so that each leaf's are together; `wanted` are the columns it may use.
    pub(super) fn grow(&mut self, rules: &Rules, cells: &[Cell], rows: &mut [u32], wanted: &[bool]) -> Grown {
        let total = rows.iter().fold(Cell::default(), |sum, &row| sum.plus(cells[row as usize]));
        let stats = Leaf { total, bounds: (f64::NEG_INFINITY, f64::INFINITY) };
        let l2 = rules.params.l2;
        let mut root = Open { rows: 0..rows.len(), stats, l2, parent: None, histogram: None, best: None };
        if rules.may_split(total) {
            let histogram = self.count(rows, cells, wanted);
            root.best = self.search(rules, &histogram, &root.stats, wanted);
            root.histogram = Some(histogram);
        }
        let mut leaves = vec![root];
        let (mut nodes, mut gains) = (Vec::new(), Vec::new());
        while leaves.len() < rules.params.max_leaves {
            let Some((at, split)) = best_leaf(&leaves) else { break };
            let is_last = leaves.len() + 1 == rules.params.max_leaves;
            let new_leaf = leaves.len();
            if let Some((parent, side)) = leaves[at].parent {
                let nodes: &mut Vec<Node> = &mut nodes;
                let index = nodes.len() as i32;
                nodes[parent].children[side] = index;
            }
            let parent = nodes.len();
            nodes.push(Node {
                column: split.column as u32,
                left: split.left,
                children: [!(at as i32), !(new_leaf as i32)],
            });
            gains.push(split.gain);
            let [left, right] = self.divide(rules, &mut leaves[at], &split, parent, rows, cells, wanted, is_last);
            leaves[at] = left;
            leaves.push(right);
        }
        self.finish(rules, leaves, nodes, gains)
    }

    fn finish(&mut self, rules: &Rules, leaves: Vec<Open>, nodes: Vec<Node>, gains: Vec<f64>) -> Grown {
        let unit = rules.count_unit;
        let values = leaves.iter().map(|l| rules.value(l.stats.total, l.l2, l.stats.bounds)).collect();
        let covers = leaves.iter().map(|l| rules.packing.count(l.stats.total) as f64 / unit).collect();
        let ranges = leaves.iter().map(|l| l.rows.clone()).collect();
        self.spare_histograms.extend(leaves.into_iter().filter_map(|l| l.histogram));
        Grown { nodes, gains, values, covers, ranges }
    }

    /// Splits a leaf: its rows, sums and bounds, and (unless these are the tree's last leaves) both children's best splits.
    #[expect(clippy::too_many_arguments, reason = "one step of the loop above, apart so that both fit a screen")]
    fn divide(
        &mut self,
        rules: &Rules,
        leaf: &mut Open,
        split: &Split,
        parent: usize,
        rows: &mut [u32],
        cells: &[Cell],
        wanted: &[bool],
        is_last: bool,
    ) -> [Open; 2] {
        let start = leaf.rows.start;
        let part = &mut rows[leaf.rows.clone()];
        let n_left = self.matrix.partition(split.column, &table(&split.left), part, &mut self.spare_rows);
        let sums = [split.left_sum, leaf.stats.total.minus(split.left_sum)];
        let bounds = child_bounds(rules, split, &sums, leaf.stats.bounds);
        let ranges = [start..start + n_left, start + n_left..leaf.rows.end];
        let mut sides = [0, 1].map(|side| Open {
            rows: ranges[side].clone(),
            stats: Leaf { total: sums[side], bounds: bounds[side] },
            l2: split.l2,
            parent: Some((parent, side)),
            histogram: None,
            best: None,
        });
        let may = [rules.may_split(sums[0]), rules.may_split(sums[1])];
        let parents = leaf.histogram.take();
        if is_last || !(may[0] || may[1]) {
            self.spare_histograms.extend(parents);
            return sides;
        }
        let Some(mut larger) = parents else { return sides };
        let small = usize::from(sides[0].rows.len() > sides[1].rows.len());
        let smaller = self.count(&rows[sides[small].rows.clone()], cells, wanted);
        subtract(&mut larger, &smaller);
        let histograms = if small == 0 { [smaller, larger] } else { [larger, smaller] };
        let this = &*self;
        let search = |side: usize| {
            may[side].then(|| this.search(rules, &histograms[side], &sides[side].stats, wanted)).flatten()
        };
        let best = if may[0] && may[1] && this.matrix.n_cells() >= PARALLEL_SEARCH && rayon::current_num_threads() > 1 {
            rayon::join(|| search(0), || search(1))
        } else {
            (search(0), search(1))
        };
        (sides[0].best, sides[1].best) = best;
        for (side, histogram) in sides.iter_mut().zip(histograms) {
            side.histogram = Some(histogram);
        }
        sides
    }

    /// The histogram of some rows.
    fn count(&mut self, rows: &[u32], cells: &[Cell], wanted: &[bool]) -> Vec<Cell> {
        let mut histogram = self.empty_histogram();
        let threads = rayon::current_num_threads();
        if threads == 1 || rows.len() * self.matrix.n_columns() < PARALLEL_COUNT {
            self.matrix.accumulate(rows, cells, wanted, &mut histogram);
            return histogram;
        }
        // Sums are of integers: how rows are divided among threads does not show in them.
        let mut others: Vec<Vec<Cell>> = (1..threads).map(|_| self.empty_histogram()).collect();
        let matrix = self.matrix;
        std::iter::once(&mut histogram)
            .chain(&mut others)
            .zip(rows.chunks(rows.len().div_ceil(threads)))
            .collect::<Vec<_>>()
            .into_par_iter()
            .for_each(|(histogram, rows)| matrix.accumulate(rows, cells, wanted, histogram));
        others.iter().for_each(|other| add(&mut histogram, other));
        self.spare_histograms.extend(others);
        histogram
    }

    fn empty_histogram(&mut self) -> Vec<Cell> {
        match self.spare_histograms.pop() {
            Some(mut spare) => {
                spare.fill(Cell::default());
                spare
            }
            None => vec![Cell::default(); self.matrix.n_cells()],
        }
    }

    /// The best split of a leaf over the wanted columns; the lowest column among equals.
    fn search(&self, rules: &Rules, histogram: &[Cell], leaf: &Leaf, wanted: &[bool]) -> Option<Split> {
        let of_column = |column: usize| {
            let cells = &histogram[self.matrix.cells_of(column)];
            wanted[column].then(|| best_split(rules, self.kinds[column], column, cells, leaf)).flatten()
        };
        let better = |a: Option<Split>, b: Option<Split>| match (a, b) {
            (Some(a), Some(b)) => Some(if b.gain > a.gain { b } else { a }),
            (a, b) => a.or(b),
        };
        if histogram.len() >= PARALLEL_LEAF && rayon::current_num_threads() > 1 {
            let splits: Vec<_> = (0..wanted.len()).into_par_iter().map(of_column).collect();
            splits.into_iter().fold(None, better)
        } else {
            (0..wanted.len()).map(of_column).fold(None, better)
        }
    }
}

/// The leaf whose split gains most, the first among equals.
fn best_leaf(leaves: &[Open]) -> Option<(usize, Split)> {
    let mut best: Option<(usize, Split)> = None;
    for (at, leaf) in leaves.iter().enumerate() {
        if let Some(split) = leaf.best
            && best.is_none_or(|(_, b)| split.gain > b.gain)
        {
            best = Some((at, split));
        }
    }
    best
}

/// Limits of both children: a split on a monotone feature parts them at the middle of their values.
fn child_bounds(rules: &Rules, split: &Split, sums: &[Cell; 2], bounds: (f64, f64)) -> [(f64, f64); 2] {
    let (low, high) = bounds;
    let [left, right] = sums.map(|sum| rules.value(sum, split.l2, bounds));
    let middle = left / 2.0 + right / 2.0;
    match split.monotone {
        0 => [bounds, bounds],
        1.. => [(low, middle), (middle, high)],
        _ => [(middle, high), (low, middle)],
    }
}

/// A set as a table of all codes.
fn table(set: &CodeSet) -> [bool; MAX_BINS] {
    std::array::from_fn(|code| set[code >> 6] >> (code & 63) & 1 == 1)
}
