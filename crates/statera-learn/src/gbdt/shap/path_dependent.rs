//! The game of path-dependent TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020), which `statera_kernel::shapley`
//! plays: a row goes down both sides of a node on an unknown feature, in the proportion of the training rows.

use super::encode;
use super::quadrature::gauss_legendre;
use rayon::prelude::*;
use statera_core::{Attributions, FrameSpec, Result};
use statera_kernel::shapley::{PathForest, PathScratch, PathTree, Sums};
use statera_kernel::tree::{Cells, Forest, Tree};

/// Rows of a task; rows share nothing.
const TASK_ROWS: usize = 64;
/// Least share of a child, where a damaged or tiny cover would give 0.
const MIN_SHARE: f64 = 1e-9;

/// A forest with the shares of the training rows.
#[derive(Debug)]
pub(in super::super) struct Shares {
    forest: PathForest,
    n_raw: usize,
    /// Margins of the training rows as the covers know them.
    mean: Vec<f64>,
}

impl Shares {
    /// Of a forest; `covers` are the training rows of each leaf of each tree.
    pub(in super::super) fn new(forest: &Forest, covers: &[Vec<f64>], spec: &FrameSpec) -> Shares {
        let n_raw = spec.raw_columns.len();
        let mut mean = forest.base().to_vec();
        let mut trees = Vec::with_capacity(covers.len());
        for (tree, covers) in forest.trees().iter().zip(covers) {
            let shares = shares(tree, covers);
            mean[tree.output] += expectation(tree, &shares);
            trees.push(PathTree::new(tree, &shares, |c| tree.output * n_raw + spec.features[c].raw));
        }
        let longest = trees.iter().map(PathTree::longest).max().unwrap_or(0);
        Shares { forest: PathForest::new(trees, &gauss_legendre(longest)), n_raw, mean }
    }

    /// Attributions of rows. The base is the mean margin of the training rows.
    pub(in super::super) fn attribute(
        &self,
        forest: &Forest,
        columns: &[Cells],
        n_rows: usize,
    ) -> Result<Attributions> {
        let base = self.mean.clone();
        let (n_outputs, width) = (base.len(), base.len() * self.n_raw);
        let mut values = vec![0.0; n_rows * width];
        let task = |(i, values): (usize, &mut [f64])| -> Result<()> {
            let first = i * TASK_ROWS;
            let columns = encode(forest, columns, first..first + values.len() / width)?;
            let (mut codes, mut sums, mut scratch) = (vec![0; columns.len()], Sums::default(), PathScratch::default());
            for (row, values) in values.chunks_exact_mut(width).enumerate() {
                codes.iter_mut().zip(&columns).for_each(|(code, column)| *code = column[row]);
                sums.reset(width);
                self.forest.add_row(&codes, &mut sums, &mut scratch);
                values.iter_mut().enumerate().for_each(|(at, value)| *value = sums.of(at));
            }
            Ok(())
        };
        if width > 0 && n_rows <= TASK_ROWS {
            // A few rows are not worth another thread's waking up.
            task((0, &mut values))?;
        } else if width > 0 {
            values.par_chunks_mut(TASK_ROWS * width).enumerate().try_for_each(task)?;
        }
        Ok(Attributions { n_outputs, n_raw: self.n_raw, base, values, remainder: Vec::new() })
    }
}

/// By node and side, the share of the training rows at the node that goes there.
fn shares(tree: &Tree, leaf_covers: &[f64]) -> Vec<[f64; 2]> {
    let mut covers = vec![0.0; tree.nodes.len()];
    let mut shares = vec![[0.0; 2]; tree.nodes.len()];
    // Children come after their parents, so the last node's children are known first.
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        let below = node.children.map(|c| usize::try_from(c).map_or_else(|_| leaf_covers[!c as usize], |c| covers[c]));
        covers[at] = below[0] + below[1];
        shares[at] = below.map(|b| if covers[at] > 0.0 { b / covers[at] } else { 0.5 }.max(MIN_SHARE));
    }
    shares
}

/// The mean leaf of rows that go down by these shares.
fn expectation(tree: &Tree, shares: &[[f64; 2]]) -> f64 {
    let mut below = vec![0.0; tree.nodes.len()];
    let of =
        |child: i32, below: &[f64]| usize::try_from(child).map_or_else(|_| tree.leaves[!child as usize], |c| below[c]);
    for (at, (node, shares)) in tree.nodes.iter().zip(shares).enumerate().rev() {
        below[at] = shares[0] * of(node.children[0], &below) + shares[1] * of(node.children[1], &below);
    }
    of(if tree.nodes.is_empty() { !0 } else { 0 }, &below)
}
