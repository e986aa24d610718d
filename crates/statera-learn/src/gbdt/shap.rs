//! Exact path-dependent Shapley values of trees.
//!
//! The game of TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020) sends a row of unknown features down both
//! sides of a node in the proportion of the training rows. A tree is then a sum over leaves of value · Π_j f_j over the
//! features of the leaf's path, where f_j is 1 or 0 for a known feature (the row passes all its tests or not) and the
//! share z_j for an unknown one. The Shapley value of a product game is the integral of its multilinear extension
//! (Owen, Management Science 1972):
//!
//! φ_i = value · (o_i - z_i) · ∫₀¹ Π_{j≠i} (z_j + (o_j - z_j)·t) dt
//!
//! The integrand is a polynomial of degree D - 1, so ⌈D/2⌉ Gauss-Legendre nodes give it exactly; all factors are
//! positive, so unlike the usual extend-and-unwind recursion nothing cancels.

use rayon::prelude::*;
use statera_core::{Attributions, Error, FrameSpec, Result};
use statera_kernel::tree::{Cells, Forest, Tree};

/// Rows a task takes.
const CHUNK: usize = 16;
/// Most quadrature nodes: exact up to 128 different features on a path, and to rounding beyond.
const MAX_NODES: usize = 64;
/// Least share of a child, where a damaged or tiny cover would give 0.
const MIN_SHARE: f64 = 1e-9;

/// All tests of a path on one feature.
#[derive(Debug, Clone, Copy)]
struct Element {
    feature: u32,
    raw: u32,
    /// Share of the rows that pass, if the feature is unknown.
    share: f64,
    /// Codes that pass.
    set: [u64; 4],
}

/// A leaf and its part of the elements.
#[derive(Debug, Clone)]
struct Leaf {
    output: usize,
    value: f64,
    elements: std::ops::Range<usize>,
}

/// Every leaf's path, merged by feature.
#[derive(Debug)]
pub(super) struct Paths {
    elements: Vec<Element>,
    leaves: Vec<Leaf>,
    base: Vec<f64>,
    n_raw: usize,
    /// Nodes and weights on [0, 1] by their number.
    quadrature: Vec<Vec<(f64, f64)>>,
}

impl Paths {
    /// The paths of a forest; `covers` are the training rows of each leaf of each tree.
    pub(super) fn new(forest: &Forest, covers: &[Vec<f64>], spec: &FrameSpec) -> Paths {
        let mut paths = Paths {
            elements: Vec::new(),
            leaves: Vec::new(),
            base: forest.base().to_vec(),
            n_raw: spec.raw_columns.len(),
            quadrature: Vec::new(),
        };
        for (tree, covers) in forest.trees().iter().zip(covers) {
            paths.add_tree(tree, covers, spec);
        }
        let longest = paths.leaves.iter().map(|l| l.elements.len()).max().unwrap_or(0);
        paths.quadrature = gauss_legendre(longest.div_ceil(2).clamp(1, MAX_NODES));
        paths
    }

    fn add_tree(&mut self, tree: &Tree, leaf_covers: &[f64], spec: &FrameSpec) {
        let node_covers = node_covers(tree, leaf_covers);
        // A stack instead of recursion: a tree may be 4,095 deep.
        let mut open: Vec<(i32, Vec<Element>)> = vec![(if tree.nodes.is_empty() { !0 } else { 0 }, Vec::new())];
        while let Some((at, path)) = open.pop() {
            let Ok(at) = usize::try_from(at) else {
                let leaf = !at as usize;
                let value = tree.leaves[leaf];
                self.base[tree.output] += value * path.iter().map(|e| e.share).product::<f64>();
                let start = self.elements.len();
                self.elements.extend(path);
                self.leaves.push(Leaf { output: tree.output, value, elements: start..self.elements.len() });
                continue;
            };
            let node = &tree.nodes[at];
            let raw = spec.features[node.column as usize].raw as u32;
            for (side, child) in node.children.into_iter().enumerate() {
                let cover = match usize::try_from(child) {
                    Ok(child) => node_covers[child],
                    Err(_) => leaf_covers[!child as usize],
                };
                let share = if node_covers[at] > 0.0 { cover / node_covers[at] } else { 0.5 };
                let share = share.max(MIN_SHARE);
                let set = if side == 0 { node.left } else { node.left.map(|word| !word) };
                let mut path = path.clone();
                match path.iter_mut().find(|e| e.feature == node.column) {
                    Some(same) => {
                        same.share *= share;
                        same.set.iter_mut().zip(set).for_each(|(a, b)| *a &= b);
                    }
                    None => path.push(Element { feature: node.column, raw, share, set }),
                }
                open.push((child, path));
            }
        }
    }

    /// The attributions of rows.
    pub(super) fn attribute(&self, forest: &Forest, columns: &[Cells], n_rows: usize) -> Result<Attributions> {
        let n_outputs = self.base.len();
        let width = n_outputs * self.n_raw;
        let mut values = vec![0.0; n_rows * width];
        if width > 0 {
            values.par_chunks_mut(CHUNK * width).enumerate().try_for_each(|(chunk, values)| {
                let rows = chunk * CHUNK..chunk * CHUNK + values.len() / width;
                let mut codes = vec![[0_u8; CHUNK]; columns.len()];
                for ((coder, cells), codes) in forest.coders().iter().zip(columns).zip(&mut codes) {
                    if !coder.encode(cells.slice(rows.clone()), codes) {
                        return Err(Error::request("boosting: a column is of another kind than in training"));
                    }
                }
                let mut scratch = Vec::new();
                for (row, values) in values.chunks_exact_mut(width).enumerate() {
                    self.attribute_row(|feature| codes[feature][row], values, &mut scratch);
                }
                Ok(())
            })?;
        }
        Ok(Attributions { n_outputs, n_raw: self.n_raw, base: self.base.clone(), values, remainder: Vec::new() })
    }

    /// Adds a row's Shapley values, per output and raw column.
    fn attribute_row(&self, code: impl Fn(usize) -> u8, values: &mut [f64], scratch: &mut Vec<[f64; 3]>) {
        for leaf in &self.leaves {
            let elements = &self.elements[leaf.elements.clone()];
            // Per element: z, o - z, and the integral.
            scratch.clear();
            scratch.extend(elements.iter().map(|e| {
                let code = code(e.feature as usize);
                let passes = (e.set[usize::from(code >> 6)] >> (code & 63)) & 1;
                [e.share, passes as f64 - e.share, 0.0]
            }));
            for &(t, weight) in &self.quadrature[elements.len().div_ceil(2).clamp(1, MAX_NODES) - 1] {
                let product: f64 = scratch.iter().map(|[z, d, _]| z + d * t).product();
                for [z, d, integral] in scratch.iter_mut() {
                    *integral += weight * product / (*z + *d * t);
                }
            }
            let values = &mut values[leaf.output * self.n_raw..][..self.n_raw];
            for (element, [_, d, integral]) in elements.iter().zip(&*scratch) {
                values[element.raw as usize] += leaf.value * d * integral;
            }
        }
    }
}

/// Cover of each node: the sum of its leaves'.
fn node_covers(tree: &Tree, leaf_covers: &[f64]) -> Vec<f64> {
    let mut covers = vec![0.0; tree.nodes.len()];
    // Children come after their parents, so the last node's children are known first.
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        covers[at] = node
            .children
            .iter()
            .map(|&child| usize::try_from(child).map_or_else(|_| leaf_covers[!child as usize], |c| covers[c]))
            .sum();
    }
    covers
}

/// Gauss-Legendre nodes and weights on [0, 1], for 1 to `most` nodes.
///
/// The roots of each Legendre polynomial lie between those of the one before, and are found by halving: no cosine, so
/// the numbers are the same on every machine.
fn gauss_legendre(most: usize) -> Vec<Vec<(f64, f64)>> {
    let mut rules = Vec::with_capacity(most);
    let mut roots: Vec<f64> = Vec::new();
    for n in 1..=most {
        let ends: Vec<f64> = std::iter::once(-1.0).chain(roots).chain([1.0]).collect();
        roots = ends.windows(2).map(|w| root_between(n, w[0], w[1])).collect();
        let rule = roots.iter().map(|&x| {
            let (p, before) = legendre(n, x);
            let slope = n as f64 * (x * p - before) / (x * x - 1.0);
            ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        });
        rules.push(rule.collect());
    }
    rules
}

/// P_n(x) and P_{n-1}(x) by Bonnet's recursion.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut p, mut before) = (x, 1.0);
    for k in 2..=n {
        let k = k as f64;
        (p, before) = (((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k, p);
    }
    (p, before)
}

fn root_between(n: usize, mut low: f64, mut high: f64) -> f64 {
    let rises = legendre(n, high).0 > 0.0;
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if (legendre(n, middle).0 > 0.0) == rises {
            high = middle;
        } else {
            low = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_integrates_polynomials_exactly() {
        for (n, rule) in gauss_legendre(MAX_NODES).iter().enumerate() {
            let degree = 2 * n as i32 + 1;
            for power in [0, 1, degree] {
                let sum: f64 = rule.iter().map(|(t, w)| w * t.powi(power)).sum();
                let exact = 1.0 / (f64::from(power) + 1.0);
                assert!((sum - exact).abs() < 1e-14, "{} nodes, t^{power}: {sum} for {exact}", n + 1);
            }
        }
    }
}
