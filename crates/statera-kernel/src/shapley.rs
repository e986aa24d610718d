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

/// The numbers of a vector, in one line of the cache: where they lie in two, every load and store is two.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
struct Eight([f64; LANES]);

/// A tree whose rows' margins are told by column.
///
/// The loops over it have no branches but their own: what differs from node to node (a column tested again, a leaf below)
/// stands in lists of its own, because no processor could foretell it.
#[derive(Debug, Clone)]
pub struct PathTree {
    nodes: Vec<PathNode>,
    /// The nodes whose column is tested above for the first time, and the others.
    first: Vec<u32>,
    again: Vec<u32>,
    /// The edge to each leaf, and its value.
    leaves: Vec<(u32, f64)>,
}

#[derive(Debug, Clone)]
struct PathNode {
    /// Whose codes it tests, and which go to the first child.
    column: u32,
    left: [u64; 4],
    /// Where its values are added.
    sum: u32,
    /// The edge that leads here: 2 · node + side; of the root, the one after all.
    parent: u32,
    /// The nearest edge above of a node on the same column, or the one after all.
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
struct Rule(Vec<[Eight; 2]>);

impl Rule {
    fn new(rule: &[(f64, f64)]) -> Rule {
        let eight = |some: &[(f64, f64)]| {
            // What is missing of eight has no weight.
            let of = |l: usize| some.get(l).copied().unwrap_or((0.5, 0.0));
            [Eight(std::array::from_fn(|l| of(l).0)), Eight(std::array::from_fn(|l| of(l).1))]
        };
        Rule(rule.chunks(LANES).map(eight).collect())
    }
}

/// Sums by raw column (of all outputs, one after the other), kept apart by node of the rule until all trees are done.
#[derive(Debug, Clone, Default)]
pub struct Sums(Vec<Eight>);

impl Sums {
    /// So many zeros.
    pub fn reset(&mut self, n: usize) {
        self.0.clear();
        self.0.resize(n, Eight::default());
    }

    /// A sum.
    pub fn of(&self, at: usize) -> f64 {
        let x = &self.0[at].0;
        ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    }
}

/// Room to work in, kept between trees and rows. By edge, the one after all included, which leads to the root.
#[derive(Debug, Clone, Default)]
pub struct PathScratch {
    /// Whether the row passes, 1 or 0.
    passes: Vec<f64>,
    /// The factor; that factor over the one above; the product down to the edge with the rule's weight; the sum over the
    /// leaves below.
    factors: Vec<Eight>,
    ratios: Vec<Eight>,
    products: Vec<Eight>,
    below: Vec<Eight>,
    /// By node that tests a column again, one over the factor of the edge above.
    inverses: Vec<Eight>,
}

impl PathScratch {
    /// Has room for a tree.
    fn fit(&mut self, n_nodes: usize) {
        let n_edges = 2 * n_nodes + 1;
        if self.passes.len() < n_edges {
            self.passes.resize(n_edges, 0.0);
            for lanes in [&mut self.factors, &mut self.ratios, &mut self.products, &mut self.below] {
                lanes.resize(n_edges, Eight::default());
            }
            self.inverses.resize(n_nodes, Eight::default());
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
        let mut leaves = Vec::with_capacity(tree.leaves.len());
        for (at, (node, shares)) in tree.nodes.iter().zip(shares).enumerate() {
            for (side, child) in node.children.into_iter().enumerate() {
                let edge = (2 * at + side) as u32;
                match usize::try_from(child) {
                    Ok(child) => parents[child] = edge,
                    Err(_) => leaves.push((edge, tree.leaves[!child as usize])),
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
                sum: sum_of(node.column as usize) as u32,
                parent: parents[at],
                before,
                shares: shares.map(|share| share * of_before),
            });
        }
        let is_first = |at: &u32| nodes[*at as usize].before == root;
        let (first, again) = (0..shares.len() as u32).partition(is_first);
        PathTree { nodes, first, again, leaves }
    }

    /// The most columns that a path tests.
    pub fn longest(&self) -> usize {
        let mut tested = vec![0; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let above = self.nodes.len().min(node.parent as usize / 2);
            tested[at] =
                tested.get(above).copied().unwrap_or(0) + usize::from(node.before as usize == 2 * self.nodes.len());
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
            sums: &mut [Eight],
            scratch: &mut PathScratch
        ));
    }
}

#[inline(always)]
fn add_row<I: Instructions>(forest: &PathForest, codes: &[u8], sums: &mut [Eight], scratch: &mut PathScratch) {
    for tree in &forest.trees {
        scratch.fit(tree.nodes.len());
        for [at, weights] in &forest.rule.0 {
            go_down::<I>(tree, (I::load(&at.0), weights), codes, scratch);
            go_up::<I>(tree, sums, scratch);
        }
    }
}

/// The products of the factors from the root to each edge.
#[inline(always)]
fn go_down<I: Instructions>(
    tree: &PathTree,
    (t, weights): (I::Vector, &Eight),
    codes: &[u8],
    scratch: &mut PathScratch,
) {
    let root = 2 * tree.nodes.len();
    let (passes, factors) = (&mut scratch.passes[..root + 1], &mut scratch.factors[..root + 1]);
    let (ratios, products) = (&mut scratch.ratios[..root + 1], &mut scratch.products[..root + 1]);
    passes[root] = 1.0;
    for (at, node) in tree.nodes.iter().enumerate() {
        let code = codes[node.column as usize];
        let goes_left = (node.left[usize::from(code >> 6)] >> (code & 63) & 1) as f64;
        let before = passes[node.before as usize];
        let left = before * goes_left;
        for (side, pass) in [left, before - left].into_iter().enumerate() {
            let share = node.shares[side];
            let factor = Eight(I::lanes(I::add(I::splat(share), I::mul(I::splat(pass - share), t))));
            passes[2 * at + side] = pass;
            factors[2 * at + side] = factor;
            ratios[2 * at + side] = factor;
        }
    }
    for (&at, inverse) in tree.again.iter().zip(&mut scratch.inverses) {
        let above = I::div(I::splat(1.0), I::load(&factors[tree.nodes[at as usize].before as usize].0));
        *inverse = Eight(I::lanes(above));
        for edge in [2 * at as usize, 2 * at as usize + 1] {
            ratios[edge] = Eight(I::lanes(I::mul(I::load(&ratios[edge].0), above)));
        }
    }
    products[root] = *weights;
    for (at, node) in tree.nodes.iter().enumerate() {
        let above = I::load(&products[node.parent as usize].0);
        for edge in [2 * at, 2 * at + 1] {
            products[edge] = Eight(I::lanes(I::mul(above, I::load(&ratios[edge].0))));
        }
    }
}

/// The sums over the leaves below each edge, and with them the values.
#[inline(always)]
fn go_up<I: Instructions>(tree: &PathTree, sums: &mut [Eight], scratch: &mut PathScratch) {
    let root = 2 * tree.nodes.len();
    let (passes, ratios) = (&scratch.passes[..root + 1], &scratch.ratios[..root + 1]);
    let (products, below) = (&scratch.products[..root + 1], &mut scratch.below[..root + 1]);
    for &(edge, value) in &tree.leaves {
        below[edge as usize] = Eight(I::lanes(I::splat(value)));
    }
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        let left = I::mul(I::load(&ratios[2 * at].0), I::load(&below[2 * at].0));
        let right = I::mul(I::load(&ratios[2 * at + 1].0), I::load(&below[2 * at + 1].0));
        below[node.parent as usize] = Eight(I::lanes(I::add(left, right)));
    }
    let surplus = |edge: usize| passes[edge] - tree.nodes[edge / 2].shares[edge % 2];
    for &at in &tree.first {
        let (node, left, right) = (&tree.nodes[at as usize], 2 * at as usize, 2 * at as usize + 1);
        let of_left = I::mul(I::load(&below[left].0), I::splat(surplus(left)));
        let of_right = I::mul(I::load(&below[right].0), I::splat(surplus(right)));
        let value = I::mul(I::load(&products[node.parent as usize].0), I::add(of_left, of_right));
        let sum = &mut sums[node.sum as usize].0;
        *sum = I::lanes(I::add(I::load(sum), value));
    }
    for (&at, inverse) in tree.again.iter().zip(&scratch.inverses) {
        let node = &tree.nodes[at as usize];
        let above = I::mul(I::load(&products[node.parent as usize].0), I::load(&inverse.0));
        let of_before = I::splat(-surplus(node.before as usize));
        let sum = &mut sums[node.sum as usize].0;
        let mut value = I::load(sum);
        for edge in [2 * at as usize, 2 * at as usize + 1] {
            // The leaves below are this edge's now, and no more the one's above.
            let own = I::add(I::splat(surplus(edge)), I::mul(I::load(&ratios[edge].0), of_before));
            value = I::add(value, I::mul(I::mul(above, I::load(&below[edge].0)), own));
        }
        *sum = I::lanes(value);
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
