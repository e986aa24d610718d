//! Exact Shapley values of trees.
//!
//! A forest is a sum over leaves, and a row is in a leaf if it passes every test of the leaf's path. Tests of a path on one
//! feature are one *element*; the elements of a leaf are the players of a game of its own, whose Shapley values depend
//! on nothing of the row but which elements it passes. The values of features that came from one raw column are added up.
//!
//! There are two games, which differ in what an unknown feature is. Where a row then goes down both sides in the proportion
//! of the training rows, `statera-kernel` plays all leaves of a tree at once, row by row (`path_dependent.rs`). Where it has
//! the value of a row of a background (`interventional.rs`), rows share patterns of elements, so the values of a
//! pattern are computed once for the rows of a task and looked up for the others (Yang, "Fast TreeSHAP", 2021, tabulates all
//! patterns; here those that occur): a row costs a few additions per leaf.
//!
//! Trees and leaves are added in their order for every row: the bits do not depend on the other rows or on threads.

mod interventional;
mod path_dependent;
mod quadrature;

pub(super) use path_dependent::Shares;

use interventional::{Interventional, Seen, words};
use rayon::prelude::*;
use statera_core::{Attributions, Error, FrameSpec, Result};
use statera_kernel::tree::{Cells, Forest, Tree};

/// Most rows of a task: more share more patterns, but their sums must stay in the second-level cache.
const TASK_ROWS: usize = 4096;
/// Most sums of a task, where outputs or columns are many.
const TASK_SUMS: usize = 1 << 18;
/// Elements of a leaf up to which the values of patterns are kept.
const TABLE_BITS: usize = 12;

/// All tests of a path on one feature.
#[derive(Debug, Clone, Copy)]
struct Element {
    /// The last of them, which implies the others: 2 · node + side.
    test: u32,
    raw: u32,
}

/// A leaf and its part of the elements.
#[derive(Debug, Clone)]
struct Leaf {
    value: f64,
    elements: std::ops::Range<usize>,
}

/// A tree's part of the leaves, and how its tests follow from each other.
#[derive(Debug, Clone)]
struct TreePaths {
    leaves: std::ops::Range<usize>,
    /// By node: the test of the nearest node above that is on the same feature.
    before: Vec<Option<u32>>,
}

/// Every leaf's path, merged by feature.
#[derive(Debug)]
pub(super) struct Paths {
    trees: Vec<TreePaths>,
    leaves: Vec<Leaf>,
    elements: Vec<Element>,
    n_raw: usize,
}

impl Paths {
    /// The paths of a forest.
    pub(super) fn new(forest: &Forest, spec: &FrameSpec) -> Paths {
        let mut paths =
            Paths { trees: Vec::new(), leaves: Vec::new(), elements: Vec::new(), n_raw: spec.raw_columns.len() };
        forest.trees().iter().for_each(|tree| paths.add_tree(tree, spec));
        paths
    }

    fn add_tree(&mut self, tree: &Tree, spec: &FrameSpec) {
        let first = self.leaves.len();
        let mut before = vec![None; tree.nodes.len()];
        // A stack instead of recursion: a tree may be 4,095 deep.
        let mut open: Vec<(i32, Vec<Element>)> = vec![(if tree.nodes.is_empty() { !0 } else { 0 }, Vec::new())];
        while let Some((at, path)) = open.pop() {
            let Ok(at) = usize::try_from(at) else {
                let leaf = !at as usize;
                let value = tree.leaves[leaf];
                let start = self.elements.len();
                self.elements.extend(path);
                self.leaves.push(Leaf { value, elements: start..self.elements.len() });
                continue;
            };
            let node = &tree.nodes[at];
            let raw = spec.features[node.column as usize].raw as u32;
            let column_of = |e: &Element| tree.nodes[e.test as usize / 2].column;
            let same = path.iter().position(|e| column_of(e) == node.column);
            before[at] = same.map(|i| path[i].test);
            for (side, child) in node.children.into_iter().enumerate() {
                let element = Element { test: (2 * at + side) as u32, raw };
                let mut path = path.clone();
                match same {
                    Some(i) => path[i] = element,
                    None => path.push(element),
                }
                open.push((child, path));
            }
        }
        self.trees.push(TreePaths { leaves: first..self.leaves.len(), before });
    }

    /// Interventional attributions of rows against a background: its columns, its rows (at least one), and their mean margin.
    pub(super) fn interventional(
        &self,
        forest: &Forest,
        columns: &[Cells],
        n_rows: usize,
        background: (&[Cells], usize),
        base: Vec<f64>,
    ) -> Result<Attributions> {
        let codes = encode(forest, background.0, 0..background.1)?;
        let tests = self.trees.par_iter().zip(forest.trees());
        let tests = tests.map(|(paths, tree)| {
            let mut passes = Vec::new();
            paths.test(tree, &codes, background.1, &mut passes);
            passes.chunks(background.1).flat_map(words).collect()
        });
        let seen = Seen::new(background.1, tests.collect());
        self.attribute(forest, columns, n_rows, base, &Interventional::new(&seen))
    }

    fn attribute(
        &self,
        forest: &Forest,
        columns: &[Cells],
        n_rows: usize,
        base: Vec<f64>,
        game: &Interventional<'_>,
    ) -> Result<Attributions> {
        let n_outputs = base.len();
        let width = n_outputs * self.n_raw;
        let mut values = vec![0.0; n_rows * width];
        if let Some(most) = TASK_SUMS.checked_div(width) {
            let most = most.clamp(1, TASK_ROWS);
            let task = n_rows.div_ceil(2 * rayon::current_num_threads()).clamp(most.min(64), most);
            values.par_chunks_mut(task * width).enumerate().try_for_each(|(i, values)| -> Result<()> {
                let rows = i * task..i * task + values.len() / width;
                let codes = encode(forest, columns, rows)?;
                self.attribute_rows(forest, &codes, values, width, &mut game.clone());
                Ok(())
            })?;
        }
        Ok(Attributions { n_outputs, n_raw: self.n_raw, base, values, remainder: Vec::new() })
    }

    /// Writes the Shapley values of a task's rows, row-major by output and raw column, from their codes by column.
    fn attribute_rows(
        &self,
        forest: &Forest,
        codes: &[Vec<u8>],
        values: &mut [f64],
        width: usize,
        game: &mut Interventional<'_>,
    ) {
        let n_rows = values.len() / width;
        let mut sums = vec![0.0; values.len()]; // of each output and raw column, the rows
        let mut passes = Vec::new();
        let mut table = Table::default();
        for (i, (paths, tree)) in self.trees.iter().zip(forest.trees()).enumerate() {
            game.enter(i);
            paths.test(tree, codes, n_rows, &mut passes);
            let sums = &mut sums[tree.output * self.n_raw * n_rows..][..self.n_raw * n_rows];
            for leaf in &self.leaves[paths.leaves.clone()] {
                let elements = &self.elements[leaf.elements.clone()];
                if elements.len() <= TABLE_BITS {
                    table.add_leaf(leaf.value, elements, &passes, n_rows, game, sums);
                } else {
                    add_long_leaf(leaf.value, elements, &passes, n_rows, game, sums);
                }
            }
        }
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            values.iter_mut().zip(sums[row..].iter().step_by(n_rows)).for_each(|(value, sum)| *value = *sum);
        }
    }
}

impl TreePaths {
    /// Whether each row passes each test (1 or 0), test-major. A row passes the test of a side of a node if it passes the tests
    /// of the nodes above on the same feature and goes to that side here.
    fn test(&self, tree: &Tree, codes: &[Vec<u8>], n_rows: usize, passes: &mut Vec<u8>) {
        passes.clear();
        passes.resize((2 * tree.nodes.len() + 1) * n_rows, 1); // The last stands for no test.
        let none = 2 * tree.nodes.len() as u32;
        for (at, (node, before)) in tree.nodes.iter().zip(&self.before).enumerate() {
            let start = before.unwrap_or(none) as usize * n_rows;
            for (row, code) in codes[node.column as usize].iter().enumerate() {
                let before = passes[start + row];
                let left = before & (node.left[usize::from(code >> 6)] >> (code & 63)) as u8;
                passes[2 * at * n_rows + row] = left;
                passes[(2 * at + 1) * n_rows + row] = before ^ left;
            }
        }
    }
}

/// The values of patterns of a leaf.
#[derive(Default)]
struct Table {
    /// By pattern, whether `values` has it.
    is_known: Vec<bool>,
    /// By element and pattern.
    values: Vec<f64>,
    /// Of each row, bit by bit which elements it passes.
    patterns: Vec<u16>,
    flags: Vec<bool>,
    shapley: Vec<f64>,
}

impl Table {
    /// Adds the values of a leaf's elements to the rows' sums.
    fn add_leaf(
        &mut self,
        value: f64,
        elements: &[Element],
        passes: &[u8],
        n_rows: usize,
        game: &mut Interventional<'_>,
        sums: &mut [f64],
    ) {
        let n_patterns = 1 << elements.len();
        self.is_known.clear();
        self.is_known.resize(n_patterns, false);
        self.values.resize(self.values.len().max(n_patterns * elements.len()), 0.0);
        self.patterns.clear();
        self.patterns.resize(n_rows, 0);
        for (bit, element) in elements.iter().enumerate() {
            let passes = &passes[element.test as usize * n_rows..][..n_rows];
            self.patterns.iter_mut().zip(passes).for_each(|(p, &passes)| *p |= u16::from(passes) << bit);
        }
        for &pattern in &self.patterns {
            let pattern = usize::from(pattern);
            if !self.is_known[pattern] {
                self.is_known[pattern] = true;
                self.flags.clear();
                self.flags.extend((0..elements.len()).map(|bit| pattern >> bit & 1 == 1));
                self.shapley.resize(elements.len(), 0.0);
                game.play(elements, &self.flags, &mut self.shapley);
                for (element, shapley) in self.shapley.iter().enumerate() {
                    self.values[element * n_patterns + pattern] = value * shapley;
                }
            }
        }
        for (element, values) in elements.iter().zip(self.values.chunks_exact(n_patterns)) {
            let sums = &mut sums[element.raw as usize * n_rows..][..n_rows];
            sums.iter_mut().zip(&self.patterns).for_each(|(sum, &pattern)| *sum += values[usize::from(pattern)]);
        }
    }
}

/// The same for a leaf of so many elements that hardly two rows share a pattern.
fn add_long_leaf(
    value: f64,
    elements: &[Element],
    passes: &[u8],
    n_rows: usize,
    game: &mut Interventional<'_>,
    sums: &mut [f64],
) {
    let mut shapley = vec![0.0; elements.len()];
    let mut flags = Vec::with_capacity(elements.len());
    for row in 0..n_rows {
        flags.clear();
        flags.extend(elements.iter().map(|e| passes[e.test as usize * n_rows + row] == 1));
        game.play(elements, &flags, &mut shapley);
        for (element, shapley) in elements.iter().zip(&shapley) {
            sums[element.raw as usize * n_rows + row] += value * shapley;
        }
    }
}

/// Codes of rows by column.
fn encode(forest: &Forest, columns: &[Cells], rows: std::ops::Range<usize>) -> Result<Vec<Vec<u8>>> {
    let encode = |(coder, cells): (&statera_kernel::tree::Coder, &Cells)| {
        let mut codes = vec![0; rows.len()];
        match coder.encode(cells.slice(rows.clone()), &mut codes) {
            true => Ok(codes),
            false => Err(Error::request("boosting: a column is of another kind than in training")),
        }
    };
    forest.coders().iter().zip(columns).map(encode).collect()
}
