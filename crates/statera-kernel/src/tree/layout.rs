//! Trees laid out for the vector levels.
//!
//! Every row has a mark, the number of a leaf (leaves are numbered from left to right), and a tree is a list of tests that
//! move marks; after the last test the mark is the row's leaf. The longest path of the tree comes first, from its end to the
//! root: the mark starts as the leaf at the end, and each node of the path whose test sends the row off moves it to the first
//! leaf of the side branch, whatever it was. Then the other nodes, parents before children: a row is at such a node if its
//! mark is the first leaf of the node's branch, and moves on if its test fails. So a test is one comparison of 64 codes, a
//! second of 64 marks except on the longest path, and one masked move.

use super::{BLOCK_ROWS, Coder, MAX_CODES, Node, Tree};
use std::ops::Range;

/// Leaves of a tree that the vector levels handle; larger trees are walked.
pub(super) const MAX_VECTOR_LEAVES: usize = 32;

/// Codes `first ..= first + span` modulo 256.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) first: u8,
    pub(super) span: u8,
}

/// A column's codes with another start or direction, so that a test of them is one comparison: `(code - first) ^ flip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    /// The block of codes that it is made from.
    pub(super) source: usize,
    pub(super) first: u8,
    pub(super) flip: u8,
}

/// Which rows move where. Bytes are repeated four times: a broadcast of 32 bits needs no shuffle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    /// First byte of the view in a block.
    pub(super) view: u32,
    /// Rows move whose viewed code is above this.
    pub(super) limit: u32,
    /// Mark of the rows at the node.
    pub(super) at: u32,
    /// Mark that they move to.
    pub(super) to: u32,
    /// Entry of [`Layout::sets`] if the codes that stay are no single run; [`NO_SET`] otherwise.
    pub(super) set: u32,
}

/// See [`Test::set`].
pub(super) const NO_SET: u32 = u32::MAX;

/// A tree's place in the flat arrays.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    pub(super) output: usize,
    /// Index in the list of trees.
    pub(super) tree: usize,
    /// True if the tree has too many leaves for the vector levels.
    pub(super) walk: bool,
    /// Mark before the first test.
    pub(super) start: u8,
    /// Tests of the longest path, from its end.
    pub(super) path: Range<usize>,
    /// The other tests, parents first.
    pub(super) rest: Range<usize>,
    /// Leaf values from left to right, padded to 32 with 0.
    pub(super) leaves: usize,
}

/// All trees.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) flats: Vec<Flat>,
    pub(super) tests: Vec<Test>,
    /// Views behind the codes themselves, which have a block per used column.
    pub(super) views: Vec<View>,
    /// Runs of the sets of codes that stay.
    pub(super) sets: Vec<Vec<Run>>,
    pub(super) leaves: Vec<f64>,
}

impl Layout {
    /// Lays out checked trees over columns with these coders; `slots` tells each column's block of codes.
    pub(super) fn new(coders: &[Coder], trees: &[Tree], slots: &[usize], n_used: usize) -> Layout {
        let mut layout = Layout::default();
        for (i, tree) in trees.iter().enumerate() {
            layout.add(i, tree, &Columns { coders, slots, n_used });
        }
        layout
    }

    fn add(&mut self, index: usize, tree: &Tree, columns: &Columns) {
        let at = self.tests.len();
        let walk = tree.leaves.len() > MAX_VECTOR_LEAVES;
        let mut flat = Flat {
            output: tree.output,
            tree: index,
            walk,
            start: 0,
            path: at..at,
            rest: at..at,
            leaves: self.leaves.len(),
        };
        if !walk {
            let (first_leaf, order) = number_leaves(tree);
            self.leaves.extend(order.iter().map(|&leaf| tree.leaves[leaf]));
            self.leaves.resize(flat.leaves + MAX_VECTOR_LEAVES, 0.0);
            let (path, end) = longest_path(tree);
            let mark_of = |child: i32| match usize::try_from(child) {
                Ok(node) => first_leaf[node],
                Err(_) => order.iter().position(|&leaf| leaf == !child as usize).unwrap_or(0),
            };
            flat.start = mark_of(end) as u8;
            for &(i, side) in path.iter().rev() {
                let node = &tree.nodes[i];
                self.test(node, side, [0, mark_of(node.children[1 - side])], columns);
            }
            flat.path.end = self.tests.len();
            let is_on_path = |i: usize| path.iter().any(|p| p.0 == i);
            // A child's index is above its parent's.
            for (i, node) in tree.nodes.iter().enumerate().filter(|(i, _)| !is_on_path(*i)) {
                self.test(node, 0, [first_leaf[i], mark_of(node.children[1])], columns);
            }
            flat.rest = flat.path.end..self.tests.len();
        }
        self.flats.push(flat);
    }

    /// Adds a test that moves the rows which do not go to the node's child of that side.
    fn test(&mut self, node: &Node, side: usize, [at, to]: [usize; 2], columns: &Columns) {
        let column = node.column as usize;
        let n_codes = columns.coders[column].n_codes();
        let left = node.left;
        let right = std::array::from_fn(|w| {
            let used = (64 * w..64 * w + 64).filter(|&c| c < n_codes).fold(0, |word, c| word | 1_u64 << (c & 63));
            used & !left[w]
        });
        let (stay, go) = if side == 0 { (left, right) } else { (right, left) };
        let source = columns.slots[column];
        let firsts: &[u8] = match &columns.coders[column] {
            Coder::Number { sentinels, .. } => &[0, 1 + sentinels.len() as u8],
            Coder::Level { .. } => &[0],
        };
        let (stay, go) = (runs_of(&stay, n_codes), runs_of(&go, n_codes));
        let is_plain = |runs: &[Run]| runs.len() == 1 && firsts.contains(&runs[0].first);
        let (view, limit, set) = if is_plain(&stay) {
            (View { source, first: stay[0].first, flip: 0 }, stay[0].span, NO_SET)
        } else if is_plain(&go) {
            // Inside the run: distance ≤ span, or 255 - distance > 254 - span; no test moves every code, so span < 255.
            (View { source, first: go[0].first, flip: 255 }, 254 - go[0].span.min(254), NO_SET)
        } else {
            self.sets.push(stay);
            (View { source, first: 0, flip: 0 }, 0, self.sets.len() as u32 - 1)
        };
        let four = |byte: usize| u32::from_ne_bytes([byte as u8; 4]);
        let view = (self.view(view, columns.n_used) * BLOCK_ROWS) as u32;
        self.tests.push(Test { view, limit: four(limit.into()), at: four(at), to: four(to), set });
    }

    /// The block of a view.
    fn view(&mut self, view: View, n_used: usize) -> usize {
        if (view.first, view.flip) == (0, 0) {
            return view.source;
        }
        n_used
            + self.views.iter().position(|v| *v == view).unwrap_or_else(|| {
                self.views.push(view);
                self.views.len() - 1
            })
    }
}

/// What a test needs of the columns.
struct Columns<'a> {
    coders: &'a [Coder],
    slots: &'a [usize],
    n_used: usize,
}

/// From left to right: the number of each node's first leaf, and the leaf at each place.
fn number_leaves(tree: &Tree) -> (Vec<usize>, Vec<usize>) {
    let mut sizes = vec![0; tree.nodes.len()];
    let size_of = |sizes: &[usize], child: i32| usize::try_from(child).map_or(1, |node| sizes[node]);
    for (i, node) in tree.nodes.iter().enumerate().rev() {
        sizes[i] = node.children.iter().map(|&child| size_of(&sizes, child)).sum();
    }
    let (mut first_leaf, mut order) = (vec![0; tree.nodes.len()], vec![0; tree.leaves.len()]);
    for (i, node) in tree.nodes.iter().enumerate() {
        let mut at = first_leaf[i];
        for &child in &node.children {
            match usize::try_from(child) {
                Ok(child) => first_leaf[child] = at,
                Err(_) => order[at] = !child as usize,
            }
            at += size_of(&sizes, child);
        }
    }
    (first_leaf, order)
}

/// Nodes from the root with the side that the path takes, and the leaf (as a child) where it ends.
fn longest_path(tree: &Tree) -> (Vec<(usize, usize)>, i32) {
    let mut heights = vec![0; tree.nodes.len()];
    let height_of = |heights: &[usize], child: i32| usize::try_from(child).map_or(0, |node| heights[node]);
    for (i, node) in tree.nodes.iter().enumerate().rev() {
        heights[i] = 1 + node.children.iter().map(|&child| height_of(&heights, child)).max().unwrap_or(0);
    }
    let (mut path, mut at) = (Vec::new(), if tree.nodes.is_empty() { !0 } else { 0 });
    while let Ok(i) = usize::try_from(at) {
        let children = tree.nodes[i].children;
        let side = usize::from(height_of(&heights, children[1]) > height_of(&heights, children[0]));
        path.push((i, side));
        at = children[side];
    }
    (path, at)
}

/// The coders and trees with only those edges that some node tells apart: a search among fewer edges is faster, and no row
/// changes its leaf. The trees are checked.
pub(super) fn compact(coders: &[Coder], trees: &[Tree]) -> (Vec<Coder>, Vec<Tree>) {
    let mut splits = vec![[false; MAX_CODES]; coders.len()];
    let has = |set: &[u64; 4], code: usize| set[code >> 6] >> (code & 63) & 1 == 1;
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        for (code, split) in splits[node.column as usize][..MAX_CODES - 1].iter_mut().enumerate() {
            *split |= has(&node.left, code) != has(&node.left, code + 1);
        }
    }
    // For each column, one of the old codes of each new code.
    let mut olds: Vec<Vec<usize>> = Vec::new();
    let mut short = Vec::new();
    for (coder, splits) in coders.iter().zip(&splits) {
        match coder {
            Coder::Number { edges, sentinels } => {
                let first = 1 + sentinels.len();
                let kept: Vec<usize> = (0..edges.len()).filter(|i| splits[first + i]).collect();
                olds.push((0..=first).chain(kept.iter().map(|i| first + i + 1)).collect());
                let edges = kept.iter().map(|&i| edges[i]).collect();
                short.push(Coder::Number { edges, sentinels: sentinels.clone() });
            }
            Coder::Level { .. } => {
                olds.push((0..coder.n_codes()).collect());
                short.push(coder.clone());
            }
        }
    }
    let remap = |node: &Node| {
        let mut left = [0; 4];
        for (new, &old) in olds[node.column as usize].iter().enumerate() {
            left[new >> 6] |= u64::from(has(&node.left, old)) << (new & 63);
        }
        Node { left, ..*node }
    };
    let trees = trees.iter().map(|tree| Tree { nodes: tree.nodes.iter().map(remap).collect(), ..tree.clone() });
    let trees = trees.collect();
    (short, trees)
}

/// The runs, taken modulo 256, that hold the codes of a set; codes from `n_codes` on never occur and may be in a run.
fn runs_of(set: &[u64; 4], n_codes: usize) -> Vec<Run> {
    let has = |c: usize| set[c >> 6] >> (c & 63) & 1 == 1;
    // Starting behind an absent code, no run is cut in two by the end of the list.
    let Some(absent) = (0..n_codes).find(|&c| !has(c)) else {
        return vec![Run { first: 0, span: 255 }];
    };
    let mut runs = Vec::new();
    let mut open: Option<usize> = None;
    for i in 1..=n_codes {
        let code = (absent + i) % n_codes;
        match (open, has(code)) {
            (None, true) => open = Some(code),
            (Some(first), false) => {
                let last = (code + n_codes - 1) % n_codes;
                runs.push(Run { first: first as u8, span: (last as u8).wrapping_sub(first as u8) });
                open = None;
            }
            _ => {}
        }
    }
    runs
}
