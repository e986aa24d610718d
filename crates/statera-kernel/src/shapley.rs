//! Path-dependent Shapley values of trees, all leaves of a tree at once.
//!
//! A row goes down both sides of a node on an unknown feature, in the proportion of the training rows. All tests of a path on
//! one feature are one element; a leaf of value v is then worth v · Π_j f_j over its elements, where f_j is o_j (1 or 0: the
//! row passes or not) for a known feature and the share z_j of the training rows that pass for an unknown one. By Owen's
//! multilinear extension (Management Science 1972) the value of element i is
//!
//! φ_i = (o_i - z_i) · ∫₀¹ v · Π_{j≠i} f_j(t) dt,  f_j(t) = z_j + (o_j - z_j)·t
//!
//! whose integrand is a polynomial of degree D - 1: a Gauss-Legendre rule of ⌈D/2⌉ nodes gives it exactly. The sum over the
//! leaves below an edge is taken before the integral, as in Yu et al. ("Linear TreeSHAP", NeurIPS 2022): every edge is
//! visited once on the way down (products of the factors above) and once on the way up (sums over the leaves below), so a
//! row costs no more for a leaf that lies deep. A feature that is tested again below takes the leaves of that edge over: they
//! are taken away from the edge above. Eight nodes of the rule are worked on at once.
//!
//! All factors lie in (0, 1], and the quotient of a feature's factor and its factor above does too: only the leaves' values
//! and what is taken away cancel, as they do in the definition.

use crate::dispatch::{Instructions, LANES, Level, by_level};
use crate::tree::Tree;

/// No test above.
const NONE: u32 = u32::MAX;

/// A tree whose rows' margins are told by column.
#[derive(Debug, Clone)]
pub struct PathTree {
    nodes: Vec<PathNode>,
    leaves: Vec<f64>,
}

#[derive(Debug, Clone)]
struct PathNode {
    /// Whose codes it tests, and which go to the first child.
    column: u32,
    left: [u64; 4],
    /// A node's index, or `!leaf`.
    children: [i32; 2],
    /// Where its values are added.
    sum: u32,
    /// The edge that leads here: 2 · node + side; of the root, the one after all.
    parent: u32,
    /// The nearest edge above of a node on the same column, or none.
    before: u32,
    /// By side, the share of the training rows that pass all tests of the path on this column down to here.
    shares: [f64; 2],
}

/// Trees whose values are added up.
#[derive(Debug, Clone, Default)]
pub struct PathForest {
    trees: Vec<PathTree>,
    rule: Rule,
}

/// Nodes and weights of a Gauss-Legendre rule on [0, 1], eight at a time.
#[derive(Debug, Clone, Default)]
struct Rule(Vec<[[f64; LANES]; 2]>);

impl Rule {
    fn new(rule: &[(f64, f64)]) -> Rule {
        let eight = |some: &[(f64, f64)]| {
            // What is missing of eight has no weight.
            let of = |l: usize| some.get(l).copied().unwrap_or((0.5, 0.0));
            [std::array::from_fn(|l| of(l).0), std::array::from_fn(|l| of(l).1)]
        };
        Rule(rule.chunks(LANES).map(eight).collect())
    }
}

/// Sums by raw column (of all outputs, one after the other), kept apart by node of the rule until all trees are done.
#[derive(Debug, Clone, Default)]
pub struct Sums(Vec<[f64; LANES]>);

impl Sums {
    /// So many zeros.
    pub fn reset(&mut self, n: usize) {
        self.0.clear();
        self.0.resize(n, [0.0; LANES]);
    }

    /// A sum.
    pub fn of(&self, at: usize) -> f64 {
        let x = &self.0[at];
        ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    }
}

/// Room to work in, kept between trees and rows.
#[derive(Debug, Clone, Default)]
pub struct PathScratch {
    /// By edge: whether the row passes, 1 or 0.
    passes: Vec<f64>,
    /// By edge: its factor; that factor over the one above; the product down to it with the rule's weight.
    factors: Vec<[f64; LANES]>,
    ratios: Vec<[f64; LANES]>,
    products: Vec<[f64; LANES]>,
    /// By node: one over the factor of the edge above on the same column, and the sum over the leaves below.
    inverses: Vec<[f64; LANES]>,
    below: Vec<[f64; LANES]>,
}

impl PathScratch {
    /// Has room for a tree.
    fn fit(&mut self, n_nodes: usize) {
        if self.below.len() < n_nodes {
            let zeros = [0.0; LANES];
            self.passes.resize(2 * n_nodes, 0.0);
            self.factors.resize(2 * n_nodes, zeros);
            self.ratios.resize(2 * n_nodes, zeros);
            self.products.resize(2 * n_nodes + 1, zeros);
            self.inverses.resize(n_nodes, zeros);
            self.below.resize(n_nodes, zeros);
        }
    }
}

impl PathTree {
    /// Of a tree: by node and side the share of the training rows at the node that goes there, above 0 and at most 1; by
    /// column the sum that its values are added to.
    ///
    /// # Panics
    /// If there is not a share for each side.
    pub fn new(tree: &Tree, shares: &[[f64; 2]], sum_of: impl Fn(usize) -> usize) -> PathTree {
        assert_eq!(tree.nodes.len(), shares.len(), "two shares a node");
        let mut nodes: Vec<PathNode> = Vec::with_capacity(shares.len());
        let root = 2 * shares.len() as u32;
        let mut parents = vec![root; shares.len()];
        for (at, (node, shares)) in tree.nodes.iter().zip(shares).enumerate() {
            for (side, child) in node.children.into_iter().enumerate() {
                if let Ok(child) = usize::try_from(child) {
                    parents[child] = (2 * at + side) as u32;
                }
            }
            let mut before = parents[at];
            while before != root && nodes[before as usize / 2].column != node.column {
                before = nodes[before as usize / 2].parent;
            }
            let of_before = if before == root { 1.0 } else { nodes[before as usize / 2].shares[before as usize % 2] };
            nodes.push(PathNode {
                column: node.column,
                left: node.left,
                children: node.children,
                sum: sum_of(node.column as usize) as u32,
                parent: parents[at],
                before: if before == root { NONE } else { before },
                shares: shares.map(|share| share * of_before),
            });
        }
        PathTree { nodes, leaves: tree.leaves.clone() }
    }

    /// The most columns that a path tests.
    pub fn longest(&self) -> usize {
        let mut tested = vec![0; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let above = self.nodes.len().min(node.parent as usize / 2);
            tested[at] = tested.get(above).copied().unwrap_or(0) + usize::from(node.before == NONE);
        }
        tested.into_iter().max().unwrap_or(0)
    }
}

impl PathForest {
    /// Of trees; `rule` has at least half as many nodes as the longest path tests columns.
    pub fn new(trees: Vec<PathTree>, rule: &[(f64, f64)]) -> PathForest {
        PathForest { trees, rule: Rule::new(rule) }
    }

    /// Adds the values of a row, given by its `codes` by column, to the sums.
    ///
    /// # Panics
    /// If a column has no code, or a raw column no sum.
    pub fn add_row(&self, codes: &[u8], sums: &mut Sums, scratch: &mut PathScratch) {
        let (forest, sums) = (self, &mut sums.0[..]);
        by_level!(Level::active(), add_row(
            forest: &PathForest,
            codes: &[u8],
            sums: &mut [[f64; LANES]],
            scratch: &mut PathScratch
        ));
    }
}

#[inline(always)]
fn add_row<I: Instructions>(forest: &PathForest, codes: &[u8], sums: &mut [[f64; LANES]], scratch: &mut PathScratch) {
    for tree in &forest.trees {
        scratch.fit(tree.nodes.len());
        for [at, weights] in &forest.rule.0 {
            go_down::<I>(tree, (I::load(at), weights), codes, scratch);
            go_up::<I>(tree, sums, scratch);
        }
    }
}

/// The products of the factors from the root to each edge.
#[inline(always)]
fn go_down<I: Instructions>(
    tree: &PathTree,
    (t, weights): (I::Vector, &[f64; LANES]),
    codes: &[u8],
    scratch: &mut PathScratch,
) {
    let n_edges = 2 * tree.nodes.len();
    let passes = &mut scratch.passes[..n_edges];
    let factors = &mut scratch.factors[..n_edges];
    let ratios = &mut scratch.ratios[..n_edges];
    let products = &mut scratch.products[..n_edges + 1];
    let inverses = &mut scratch.inverses[..tree.nodes.len()];
    products[n_edges] = *weights;
    for (at, node) in tree.nodes.iter().enumerate() {
        let code = codes[node.column as usize];
        let goes_left = (node.left[usize::from(code >> 6)] >> (code & 63) & 1) as f64;
        let above = I::load(&products[node.parent as usize]);
        let is_again = node.before != NONE;
        let (mut left, mut right, mut inverse) = (goes_left, 1.0 - goes_left, I::splat(1.0));
        if is_again {
            let before = passes[node.before as usize];
            (left, right) = (before * left, before * right);
            inverse = I::div(inverse, I::load(&factors[node.before as usize]));
            inverses[at] = I::lanes(inverse);
        }
        for (side, pass) in [left, right].into_iter().enumerate() {
            let share = node.shares[side];
            let factor = I::add(I::splat(share), I::mul(I::splat(pass - share), t));
            let ratio = if is_again { I::mul(factor, inverse) } else { factor };
            passes[2 * at + side] = pass;
            factors[2 * at + side] = I::lanes(factor);
            ratios[2 * at + side] = I::lanes(ratio);
            products[2 * at + side] = I::lanes(I::mul(above, ratio));
        }
    }
}

/// The sums over the leaves below each edge, and with them the values.
#[inline(always)]
fn go_up<I: Instructions>(tree: &PathTree, sums: &mut [[f64; LANES]], scratch: &mut PathScratch) {
    let n_nodes = tree.nodes.len();
    let (passes, ratios) = (&scratch.passes[..2 * n_nodes], &scratch.ratios[..2 * n_nodes]);
    let (products, inverses) = (&scratch.products[..2 * n_nodes + 1], &scratch.inverses[..n_nodes]);
    let below = &mut scratch.below[..n_nodes];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        let mut above = I::load(&products[node.parent as usize]);
        let is_again = node.before != NONE;
        if is_again {
            above = I::mul(above, I::load(&inverses[at]));
        }
        let mut value = I::load(&sums[node.sum as usize]);
        let mut sum = I::splat(0.0);
        for side in 0..2 {
            let child = node.children[side];
            let leaves = match usize::try_from(child) {
                Ok(child) => I::load(&below[child]),
                Err(_) => I::splat(tree.leaves[!child as usize]),
            };
            let ratio = I::load(&ratios[2 * at + side]);
            let without = I::mul(above, leaves);
            let surplus = passes[2 * at + side] - node.shares[side];
            value = I::add(value, I::mul(without, I::splat(surplus)));
            if is_again {
                // The leaves below are this edge's now.
                let before = node.before as usize;
                let of_before = passes[before] - tree.nodes[before / 2].shares[before % 2];
                value = I::add(value, I::mul(I::mul(without, ratio), I::splat(-of_before)));
            }
            sum = I::add(sum, I::mul(ratio, leaves));
        }
        sums[node.sum as usize] = I::lanes(value);
        below[at] = I::lanes(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::with_level;
    use crate::tree::Node;

    /// Gauss-Legendre on [0, 1] with two nodes: exact up to degree 3.
    const RULE: [(f64, f64); 2] = [(0.211_324_865_405_187_1, 0.5), (0.788_675_134_594_812_9, 0.5)];

    /// Column 0 below code 2, then left column 1 below 1, right column 0 again below 3.
    fn tree() -> (Tree, Vec<[f64; 2]>) {
        let node = |column, left: u64, children| Node { column, left: [left, 0, 0, 0], children };
        let nodes = vec![node(0, 0b11, [1, 2]), node(1, 0b1, [!0, !1]), node(0, 0b111, [!2, !3])];
        let tree = Tree { output: 0, nodes, leaves: vec![1.0, -2.0, 4.0, 0.5] };
        (tree, vec![[0.5, 0.5], [0.25, 0.75], [0.6, 0.4]])
    }

    fn values(codes: &[u8]) -> [f64; 2] {
        let (tree, shares) = tree();
        let forest = PathForest::new(vec![PathTree::new(&tree, &shares, |column| column)], &RULE);
        let mut sums = Sums::default();
        sums.reset(2);
        forest.add_row(codes, &mut sums, &mut PathScratch::default());
        [sums.of(0), sums.of(1)]
    }

    #[test]
    fn values_are_those_of_the_definition() {
        // Worth of {}, {0}, {1}, {0, 1} by hand. Of nothing: .5 (.25 · 1 + .75 · -2) + .3 · 4 + .2 · .5 = .675.
        let nothing = 0.675;
        for (codes, worth) in [
            // Left, then right: {0}: -1.25; {1}: .5 · -2 + 1.3; both: -2.
            ([0, 5], [nothing, -1.25, 0.3, -2.0]),
            // Right and passing the second test: {0}: 4; {1}: .5 · 1 + 1.3; both: 4.
            ([2, 0], [nothing, 4.0, 1.8, 4.0]),
            // Right and not passing it.
            ([3, 0], [nothing, 0.5, 1.8, 0.5]),
        ] {
            let [none, first, second, both]: [f64; 4] = worth;
            let expected = [(first - none + both - second) / 2.0, (second - none + both - first) / 2.0];
            let got = values(&codes);
            assert!(got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-15), "{got:?} for {expected:?}");
        }
    }

    #[test]
    fn every_level_has_the_same_bits() {
        let all: Vec<[u64; 2]> =
            Level::available().map(|level| with_level(level, || values(&[2, 5])).map(f64::to_bits)).collect();
        assert!(all.windows(2).all(|w| w[0] == w[1]), "{all:?}");
    }

    #[test]
    fn the_longest_path_counts_a_column_once() {
        let (tree, shares) = tree();
        assert_eq!(PathTree::new(&tree, &shares, |column| column).longest(), 2);
    }
}
