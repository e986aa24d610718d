//! Scoring with decision trees: raw cells become byte codes, trees are evaluated on codes.
//!
//! A margin is `base + Σ leaf values` in tree order in f64, one addition per tree, so its bits are the same for a row
//! alone or in any batch and at every CPU level: the levels differ in how a leaf is found (integers only), never in the
//! sum. Where all partial sums are exact (`whole.rs`), any other way of adding gives these bits too.
//!
//! At the vector levels a tree is not walked: its tests are bits of 512 rows, see `layout.rs`. Codes are made for scoring
//! with only those edges that some tree uses.

use crate::dispatch::Level;
use encode::EdgeTable;
use layout::Layout;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod encode;
mod layout;
mod score;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod sliced;
mod whole;

pub use score::Scratch;
pub use whole::round;

/// Codes a column may have.
pub const MAX_CODES: usize = 256;
/// Rows that are encoded and scored together; more fill the first-level cache.
pub const BLOCK_ROWS: usize = 1024;
/// Cells that are worth a grid of the edges.
const MANY_CELLS: usize = 50_000;

/// How a raw column becomes codes.
#[derive(Debug, Clone, PartialEq)]
pub enum Coder {
    /// Numbers. Code 0 is missing (NaN); code `1 + i` is exactly `sentinels[i]`; any other number x has code
    /// `1 + sentinels.len() + (how many edges are below x)`. Both lists ascend strictly and are finite.
    Number {
        /// Upper ends (included) of all bins but the last.
        edges: Vec<f64>,
        /// Numbers with a code of their own.
        sentinels: Vec<f64>,
    },
    /// Levels: `codes[level]`; a level beyond the list has code 0.
    Level {
        /// Code of each level.
        codes: Vec<u8>,
    },
}

impl Coder {
    /// Codes that occur: the highest + 1.
    pub fn n_codes(&self) -> usize {
        match self {
            Coder::Number { edges, sentinels } => 2 + sentinels.len() + edges.len(),
            Coder::Level { codes } => 1 + codes.iter().fold(0, |top, &c| top.max(usize::from(c))),
        }
    }

    /// Checks what [`Coder::encode`] relies on; the message says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if let Coder::Number { edges, sentinels } = self {
            for (name, list) in [("edges", edges), ("sentinels", sentinels)] {
                if list.iter().any(|x| !x.is_finite()) || list.windows(2).any(|w| w[0] >= w[1]) {
                    return Err(format!("the {name} of a column must be finite and ascend strictly"));
                }
            }
        }
        if self.n_codes() > MAX_CODES {
            return Err(format!("a column has {} codes, at most {MAX_CODES} are allowed", self.n_codes()));
        }
        Ok(())
    }

    /// Writes the code of each cell; false if the kind of cells is not the coder's.
    ///
    /// # Panics
    /// If `out` is shorter than the cells.
    #[must_use]
    pub fn encode(&self, cells: Cells, out: &mut [u8]) -> bool {
        match (self, cells) {
            (Coder::Number { edges, sentinels }, Cells::Number(values)) => {
                let table = if values.len() < MANY_CELLS { EdgeTable::new } else { EdgeTable::with_grid };
                encode::encode_numbers(Level::active(), &table(edges, sentinels.len()), sentinels, values, out);
                true
            }
            (Coder::Level { codes }, Cells::Level(levels)) => {
                assert!(out.len() >= levels.len(), "one code per cell");
                for (out, &level) in out.iter_mut().zip(levels) {
                    *out = codes.get(level as usize).copied().unwrap_or(0);
                }
                true
            }
            _ => false,
        }
    }
}

/// Raw cells of a column.
#[derive(Debug, Clone, Copy)]
pub enum Cells<'a> {
    /// Numbers, NaN is missing.
    Number(&'a [f64]),
    /// Levels.
    Level(&'a [u32]),
}

impl<'a> Cells<'a> {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Cells::Number(v) => v.len(),
            Cells::Level(v) => v.len(),
        }
    }
    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rows of a range.
    ///
    /// # Panics
    /// If the range is not within the column.
    #[must_use]
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Cells<'a> {
        match self {
            Cells::Number(v) => Cells::Number(&v[rows]),
            Cells::Level(v) => Cells::Level(&v[rows]),
        }
    }
}

/// A node: which codes of which column go to the first child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The column.
    pub column: u32,
    /// Bit `c` of the 256 is set if code `c` goes to the first child.
    pub left: [u64; 4],
    /// A node's index, or `!leaf`.
    pub children: [i32; 2],
}

impl Node {
    /// The child of a row with that code.
    #[inline]
    pub fn next(&self, code: u8) -> i32 {
        let goes_left = (self.left[usize::from(code >> 6)] >> (code & 63)) & 1;
        self.children[1 - goes_left as usize]
    }
}

/// A tree to be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The margin it adds to.
    pub output: usize,
    /// Nodes; the first is the root, a child's index is above its parent's. None if the tree is one leaf.
    pub nodes: Vec<Node>,
    /// Values of the leaves.
    pub leaves: Vec<f64>,
}

impl Tree {
    /// Checks that this is one tree over columns with `n_codes` codes each; the message says what is wrong.
    pub fn check(&self, n_codes: &[usize]) -> Result<(), String> {
        if self.leaves.len() != self.nodes.len() + 1 {
            return Err(format!("a tree has {} nodes and {} leaves", self.nodes.len(), self.leaves.len()));
        }
        if self.leaves.iter().any(|v| !v.is_finite()) {
            return Err("a leaf's value is not finite".into());
        }
        let (mut node_seen, mut leaf_seen) = (vec![false; self.nodes.len()], vec![false; self.leaves.len()]);
        for (i, node) in self.nodes.iter().enumerate() {
            let Some(&codes) = n_codes.get(node.column as usize) else {
                return Err(format!("a node splits column {}, there are {}", node.column, n_codes.len()));
            };
            if let Some(code) = (codes..MAX_CODES).find(|&c| node.left[c >> 6] >> (c & 63) & 1 == 1) {
                return Err(format!("a node names code {code} of a column with {codes} codes"));
            }
            let n_left: u32 = node.left.iter().map(|word| word.count_ones()).sum();
            if n_left == 0 || n_left as usize == codes {
                return Err(format!("node {i} sends every row to one side"));
            }
            for child in node.children {
                let seen = match usize::try_from(child) {
                    Ok(child) if child <= i => return Err(format!("node {i} has the earlier node {child} as a child")),
                    Ok(child) => node_seen.get_mut(child),
                    Err(_) => leaf_seen.get_mut(!child as usize),
                };
                match seen {
                    Some(seen) if !*seen => *seen = true,
                    _ => return Err(format!("child {child} of node {i} is absent or has two parents")),
                }
            }
        }
        Ok(())
    }

    /// The leaf of a row whose code of a column is `code_of(column)`.
    #[inline]
    pub fn leaf(&self, code_of: impl Fn(usize) -> u8) -> usize {
        if self.nodes.is_empty() {
            return 0;
        }
        let mut at = 0;
        loop {
            let node = &self.nodes[at];
            let next = node.next(code_of(node.column as usize));
            match usize::try_from(next) {
                Ok(next) => at = next,
                Err(_) => return !next as usize,
            }
        }
    }
}

/// Trees with their coders, laid out for scoring.
#[derive(Debug, Clone)]
pub struct Forest {
    coders: Vec<Coder>,
    base: Vec<f64>,
    trees: Vec<Tree>,
    /// The coders with the edges that trees use.
    compact_coders: Vec<Coder>,
    /// Their edges.
    tables: Vec<Option<EdgeTable>>,
    /// The trees on those codes.
    compact_trees: Vec<Tree>,
    layout: Layout,
    /// Columns that some tree looks at, ascending.
    used: Vec<usize>,
    /// Place of each column in `used` (0 for those that are not).
    slots: Vec<usize>,
}

impl Forest {
    /// A forest that adds `trees` in their order to `base`, one entry per output.
    ///
    /// # Errors
    /// A message that says which column or tree is malformed.
    pub fn new(coders: Vec<Coder>, base: Vec<f64>, trees: Vec<Tree>) -> Result<Forest, String> {
        for (i, coder) in coders.iter().enumerate() {
            coder.check().map_err(|e| format!("column {i}: {e}"))?;
        }
        if base.iter().any(|b| !b.is_finite()) {
            return Err("a base margin is not finite".into());
        }
        let n_codes: Vec<usize> = coders.iter().map(Coder::n_codes).collect();
        let mut is_used = vec![false; coders.len()];
        for (i, tree) in trees.iter().enumerate() {
            tree.check(&n_codes).map_err(|e| format!("tree {i}: {e}"))?;
            if tree.output >= base.len() {
                return Err(format!("tree {i} adds to output {}, there are {}", tree.output, base.len()));
            }
            tree.nodes.iter().for_each(|node| is_used[node.column as usize] = true);
        }
        let used: Vec<usize> = (0..coders.len()).filter(|&c| is_used[c]).collect();
        let slots: Vec<usize> = (0..coders.len()).map(|c| used.binary_search(&c).unwrap_or(0)).collect();
        let (compact_coders, compact_trees) = layout::compact(&coders, &trees);
        let table = |coder: &Coder| match coder {
            Coder::Number { edges, sentinels } => Some(EdgeTable::with_grid(edges, sentinels.len())),
            Coder::Level { .. } => None,
        };
        let tables = compact_coders.iter().map(table).collect();
        let layout = Layout::new(&compact_coders, &base, &compact_trees, &used);
        Ok(Forest { coders, base, trees, compact_coders, tables, compact_trees, layout, used, slots })
    }

    /// Margins of a row.
    pub fn n_outputs(&self) -> usize {
        self.base.len()
    }
    /// The margins before any tree.
    pub fn base(&self) -> &[f64] {
        &self.base
    }
    /// The trees in the order they are added.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }
    /// How columns become codes.
    pub fn coders(&self) -> &[Coder] {
        &self.coders
    }
}

#[cfg(test)]
mod tests;
