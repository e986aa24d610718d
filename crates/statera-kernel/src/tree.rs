//! Scoring with decision trees: raw cells become byte codes, trees are evaluated on codes.
//!
//! A margin is `base + Σ leaf values` in tree order in f64, one addition per tree, so its bits are the same for a row
//! alone or in any batch and at every CPU level: the levels differ in how a leaf is found (integers only), never in how
//! leaves are added.
//!
//! A tree is not walked. As in QuickScorer (Lucchese et al., SIGIR 2015) its leaves are numbered from left to right and a
//! row starts with one bit per leaf; each node whose test fails clears the bits of its left subtree; the first bit left
//! is the row's leaf. Every node is then one byte comparison and one masked AND for 64 rows at once (AVX-512) or 32
//! (AVX2), without a branch or a gather.

use crate::dispatch::Level;

/// Codes a column may have.
pub const MAX_CODES: usize = 256;
/// Rows that are encoded and scored together; more fill the first-level cache.
pub const BLOCK_ROWS: usize = 1024;
/// Leaves of a tree that the vector levels handle; larger trees are walked.
const MAX_VECTOR_LEAVES: usize = 32;

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
                let table = EdgeTable::new(edges, sentinels.len());
                encode_numbers(&table, sentinels, values, out);
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

/// Edges padded with +∞ to 256, for a search without branches.
#[derive(Debug, Clone)]
struct EdgeTable {
    edges: Box<[f64; MAX_CODES]>,
    /// Halvings needed.
    n_steps: u32,
    /// Code of a number below all edges.
    first_code: u8,
}

impl EdgeTable {
    fn new(edges: &[f64], n_sentinels: usize) -> EdgeTable {
        let mut table = Box::new([f64::INFINITY; MAX_CODES]);
        table[..edges.len()].copy_from_slice(edges);
        EdgeTable {
            edges: table,
            n_steps: usize::BITS - edges.len().leading_zeros(),
            first_code: (1 + n_sentinels) as u8,
        }
    }
}

/// Encodes numbers, 16 searches side by side so that their memory reads overlap.
fn encode_numbers(table: &EdgeTable, sentinels: &[f64], values: &[f64], out: &mut [u8]) {
    assert!(out.len() >= values.len(), "one code per cell");
    #[cfg(target_arch = "x86_64")]
    if Level::active() == Level::Avx512 {
        // SAFETY: the features were detected.
        unsafe { avx512::encode_numbers(table, values, out) };
    } else {
        encode_numbers_body(table, values, out);
    }
    #[cfg(not(target_arch = "x86_64"))]
    encode_numbers_body(table, values, out);
    for (i, sentinel) in sentinels.iter().enumerate() {
        for (code, value) in out.iter_mut().zip(values) {
            *code = if value == sentinel { 1 + i as u8 } else { *code };
        }
    }
}

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

/// Codes `first ..= first + span` modulo 256.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    first: u8,
    span: u8,
}

/// A node ready for the vector levels: it fails where the code is outside all its runs.
#[derive(Debug, Clone, Copy)]
struct Test {
    /// First byte of the column's codes in a block.
    column: u32,
    /// Runs behind `run` in [`Forest::runs`].
    n_more: u32,
    /// Index of the first of them.
    more: u32,
    run: Run,
    /// Leaves that stay if the test fails; leaf 0 is the highest bit.
    keep: u32,
}

/// A tree's place in the flat arrays.
#[derive(Debug, Clone)]
struct Flat {
    output: usize,
    tests: std::ops::Range<usize>,
    /// Leaf values from left to right, padded to 32 with 0.
    leaves: usize,
    /// Index in [`Forest::trees`].
    tree: usize,
    /// True if the tree has too many leaves for the vector levels.
    walk: bool,
}

/// Trees with their coders, laid out for scoring.
#[derive(Debug, Clone)]
pub struct Forest {
    coders: Vec<Coder>,
    tables: Vec<Option<EdgeTable>>,
    base: Vec<f64>,
    trees: Vec<Tree>,
    flats: Vec<Flat>,
    tests: Vec<Test>,
    runs: Vec<Run>,
    leaves: Vec<f64>,
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
        let slots = (0..coders.len()).map(|c| used.binary_search(&c).unwrap_or(0)).collect();
        let tables = coders
            .iter()
            .map(|coder| match coder {
                Coder::Number { edges, sentinels } => Some(EdgeTable::new(edges, sentinels.len())),
                Coder::Level { .. } => None,
            })
            .collect();
        let mut forest = Forest {
            coders,
            tables,
            base,
            trees: Vec::new(),
            flats: Vec::new(),
            tests: Vec::new(),
            runs: Vec::new(),
            leaves: Vec::new(),
            used,
            slots,
        };
        for (i, tree) in trees.iter().enumerate() {
            forest.flatten(i, tree, &n_codes);
        }
        forest.trees = trees;
        Ok(forest)
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

    fn flatten(&mut self, index: usize, tree: &Tree, n_codes: &[usize]) {
        let (tests, leaves) = (self.tests.len(), self.leaves.len());
        let walk = tree.leaves.len() > MAX_VECTOR_LEAVES;
        if !walk {
            self.leaves.extend_from_slice(&tree.leaves);
            self.leaves.resize(leaves + MAX_VECTOR_LEAVES, 0.0);
            let mut next_leaf = 0;
            if tree.nodes.is_empty() {
                next_leaf = 1;
            } else {
                self.flatten_node(tree, 0, &mut next_leaf, leaves, n_codes);
            }
            debug_assert!(next_leaf == tree.leaves.len(), "every leaf is numbered");
        }
        self.flats.push(Flat { output: tree.output, tests: tests..self.tests.len(), leaves, tree: index, walk });
    }

    /// Numbers the leaves below a node from left to right and adds the tests; the depth is below 32.
    fn flatten_node(&mut self, tree: &Tree, at: usize, next_leaf: &mut usize, leaves: usize, n_codes: &[usize]) {
        let node = &tree.nodes[at];
        let place = self.tests.len();
        let column = node.column as usize;
        let slot = self.slots[column];
        let mut runs = runs_of(&node.left, n_codes[column]).into_iter();
        let run = runs.next().unwrap_or_default();
        let more = self.runs.len();
        self.runs.extend(runs);
        let first_leaf = *next_leaf;
        self.tests.push(Test {
            column: (slot * BLOCK_ROWS) as u32,
            n_more: (self.runs.len() - more) as u32,
            more: more as u32,
            run,
            keep: 0,
        });
        for (side, child) in node.children.into_iter().enumerate() {
            match usize::try_from(child) {
                Ok(child) => self.flatten_node(tree, child, next_leaf, leaves, n_codes),
                Err(_) => {
                    self.leaves[leaves + *next_leaf] = tree.leaves[!child as usize];
                    *next_leaf += 1;
                }
            }
            if side == 0 {
                let left_leaves = (first_leaf..*next_leaf).fold(0_u32, |mask, leaf| mask | (1 << 31 >> leaf));
                self.tests[place].keep = !left_leaves;
            }
        }
    }

    /// Adds the margins of the rows of `columns` (one per coder, of equal length) to `out`, row-major
    /// `n_rows × n_outputs`; what `out` held is overwritten. Uses the widest level of the CPU.
    ///
    /// # Errors
    /// A message if a column is absent, has another length or is of another kind than its coder.
    ///
    /// # Panics
    /// If `out` has another length than `n_rows × n_outputs`.
    pub fn score(&self, columns: &[Cells], out: &mut [f64]) -> Result<(), String> {
        self.score_at(Level::active(), columns, out)
    }

    /// [`Forest::score`] at a level, for tests of the bits.
    ///
    /// # Errors
    /// As [`Forest::score`], or if the CPU lacks the level.
    ///
    /// # Panics
    /// As [`Forest::score`].
    pub fn score_at(&self, level: Level, columns: &[Cells], out: &mut [f64]) -> Result<(), String> {
        if level > Level::detected() {
            return Err(format!("this CPU has no {level:?}"));
        }
        let n_rows = out.len() / self.n_outputs().max(1);
        assert!(out.len() == n_rows * self.n_outputs(), "one margin per row and output");
        self.check_columns(columns, n_rows)?;
        let mut codes = vec![0_u8; self.used.len() * BLOCK_ROWS];
        let mut margins = vec![0.0; self.n_outputs() * BLOCK_ROWS];
        for start in (0..n_rows).step_by(BLOCK_ROWS) {
            let rows = start..n_rows.min(start + BLOCK_ROWS);
            for (&column, codes) in self.used.iter().zip(codes.chunks_exact_mut(BLOCK_ROWS)) {
                self.encode(column, columns[column].slice(rows.clone()), codes);
            }
            for (margins, base) in margins.chunks_exact_mut(BLOCK_ROWS).zip(&self.base) {
                margins[..rows.len()].fill(*base);
            }
            self.add_trees(level, &codes, rows.len(), &mut margins);
            let out = &mut out[rows.start * self.n_outputs()..rows.end * self.n_outputs()];
            for (row, out) in out.chunks_exact_mut(self.n_outputs()).enumerate() {
                for (output, out) in out.iter_mut().enumerate() {
                    *out = margins[output * BLOCK_ROWS + row];
                }
            }
        }
        Ok(())
    }

    fn check_columns(&self, columns: &[Cells], n_rows: usize) -> Result<(), String> {
        if columns.len() != self.coders.len() {
            return Err(format!("there are {} columns, {} are needed", columns.len(), self.coders.len()));
        }
        for (i, (cells, coder)) in columns.iter().zip(&self.coders).enumerate() {
            if cells.len() != n_rows {
                return Err(format!("column {i} has {} rows, {n_rows} are needed", cells.len()));
            }
            match (cells, coder) {
                (Cells::Number(_), Coder::Number { .. }) | (Cells::Level(_), Coder::Level { .. }) => {}
                (Cells::Number(_), _) => return Err(format!("column {i} holds numbers, levels are needed")),
                (Cells::Level(_), _) => return Err(format!("column {i} holds levels, numbers are needed")),
            }
        }
        Ok(())
    }

    /// Writes the codes of a column's cells; the kinds were checked.
    fn encode(&self, column: usize, cells: Cells, codes: &mut [u8]) {
        match (&self.coders[column], &self.tables[column], cells) {
            (Coder::Number { sentinels, .. }, Some(table), Cells::Number(values)) => {
                encode_numbers(table, sentinels, values, codes);
            }
            (coder, _, cells) => assert!(coder.encode(cells, codes), "the kinds of columns were checked"),
        }
    }

    /// Adds every tree's leaf to the margins of the first `n_rows` rows of a block.
    fn add_trees(&self, level: Level, codes: &[u8], n_rows: usize, margins: &mut [f64]) {
        for flat in &self.flats {
            let margins = &mut margins[flat.output * BLOCK_ROWS..][..BLOCK_ROWS];
            match (flat.walk, level) {
                #[cfg(target_arch = "x86_64")]
                (false, Level::Avx512) if n_rows > 8 => {
                    let leaves = self.leaves_of(flat);
                    // SAFETY: `score_at` checked that the CPU has the level.
                    unsafe {
                        avx512::add_tree(&self.tests[flat.tests.clone()], &self.runs, leaves, codes, n_rows, margins);
                    }
                }
                #[cfg(target_arch = "x86_64")]
                (false, Level::Avx2Fma) if n_rows > 8 => {
                    let leaves = self.leaves_of(flat);
                    // SAFETY: `score_at` checked that the CPU has the level.
                    unsafe {
                        avx2::add_tree(&self.tests[flat.tests.clone()], &self.runs, leaves, codes, n_rows, margins);
                    }
                }
                _ => self.walk(flat, codes, n_rows, margins),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn leaves_of(&self, flat: &Flat) -> &[f64; MAX_VECTOR_LEAVES] {
        self.leaves[flat.leaves..].first_chunk().expect("leaves are padded to 32 by `flatten`")
    }

    fn walk(&self, flat: &Flat, codes: &[u8], n_rows: usize, margins: &mut [f64]) {
        let tree = &self.trees[flat.tree];
        for (row, margin) in margins[..n_rows].iter_mut().enumerate() {
            *margin += tree.leaves[tree.leaf(|column| codes[self.slots[column] * BLOCK_ROWS + row])];
        }
    }
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

/// 64 rows at once.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{BLOCK_ROWS, EdgeTable, MAX_CODES, MAX_VECTOR_LEAVES, Run, Test};
    use std::arch::x86_64::*;

    /// Two comparisons with 16 edges each: every 16th edge tells the sixteenth of the table, its edges tell the place.
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,popcnt")]
    pub(super) fn encode_numbers(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
        let edges = &table.edges;
        // SAFETY: `at` is at most 240 and the table has 256 values.
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
        let first = load(0);
        let is_short = table.n_steps <= 4;
        for (out, &value) in out.iter_mut().zip(values) {
            let x = _mm512_set1_pd(value);
            let below = if is_short {
                count_below(first, x)
            } else {
                let start = 16 * count_below(pivots, x);
                start + count_below(load(start), x)
            };
            *out = if value.is_nan() { 0 } else { below as u8 + table.first_code };
        }
    }

    /// Adds a tree's leaves to the margins of a block.
    ///
    /// # Panics
    /// If a column's codes or the margins are shorter than a block.
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
    pub(super) fn add_tree(
        tests: &[Test],
        runs: &[Run],
        leaves: &[f64; MAX_VECTOR_LEAVES],
        codes: &[u8],
        n_rows: usize,
        margins: &mut [f64],
    ) {
        assert!(margins.len() == BLOCK_ROWS && n_rows <= BLOCK_ROWS, "margins are a block");
        assert!(tests.iter().all(|t| t.column as usize + BLOCK_ROWS <= codes.len()), "codes are a block per column");
        // SAFETY: the table has 32 values.
        let table: [__m512d; 4] = std::array::from_fn(|i| unsafe { _mm512_loadu_pd(leaves.as_ptr().add(8 * i)) });
        for start in (0..n_rows).step_by(64) {
            let mut alive = [_mm512_set1_epi32(-1); 4];
            for test in tests {
                // SAFETY: start + 64 is at most a block, and the column's codes are a block (asserted above).
                let codes = unsafe { _mm512_loadu_si512(codes.as_ptr().add(test.column as usize + start).cast()) };
                let mut fails = outside(codes, test.run);
                if test.n_more > 0 {
                    for run in &runs[test.more as usize..(test.more + test.n_more) as usize] {
                        fails &= outside(codes, *run);
                    }
                }
                let keep = _mm512_set1_epi32(test.keep as i32);
                alive[0] = _mm512_mask_and_epi32(alive[0], fails as u16, alive[0], keep);
                alive[1] = _mm512_mask_and_epi32(alive[1], (fails >> 16) as u16, alive[1], keep);
                alive[2] = _mm512_mask_and_epi32(alive[2], (fails >> 32) as u16, alive[2], keep);
                alive[3] = _mm512_mask_and_epi32(alive[3], (fails >> 48) as u16, alive[3], keep);
            }
            for (i, alive) in alive.into_iter().enumerate() {
                let leaf = _mm512_lzcnt_epi32(alive);
                let halves = [_mm512_castsi512_si256(leaf), _mm512_extracti64x4_epi64::<1>(leaf)];
                for (j, half) in halves.into_iter().enumerate() {
                    let index = _mm512_cvtepu32_epi64(half);
                    let low = _mm512_permutex2var_pd(table[0], index, table[1]);
                    let high = _mm512_permutex2var_pd(table[2], index, table[3]);
                    let is_high = _mm512_test_epi64_mask(index, _mm512_set1_epi64(16));
                    let value = _mm512_mask_blend_pd(is_high, low, high);
                    let at = start + 16 * i + 8 * j;
                    // SAFETY: at + 8 is at most start + 64, within the block.
                    unsafe {
                        let to = margins.as_mut_ptr().add(at);
                        _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), value));
                    }
                }
            }
        }
    }

    /// One bit per code that is not in the run.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn outside(codes: __m512i, run: Run) -> u64 {
        let distance = _mm512_sub_epi8(codes, _mm512_set1_epi8(run.first as i8));
        _mm512_cmpgt_epu8_mask(distance, _mm512_set1_epi8(run.span as i8))
    }
}

/// 32 rows at once.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{BLOCK_ROWS, MAX_VECTOR_LEAVES, Run, Test};
    use std::arch::x86_64::*;

    /// Adds a tree's leaves to the margins of a block.
    ///
    /// # Panics
    /// If a column's codes or the margins are shorter than a block.
    #[target_feature(enable = "avx2")]
    pub(super) fn add_tree(
        tests: &[Test],
        runs: &[Run],
        leaves: &[f64; MAX_VECTOR_LEAVES],
        codes: &[u8],
        n_rows: usize,
        margins: &mut [f64],
    ) {
        assert!(margins.len() == BLOCK_ROWS && n_rows <= BLOCK_ROWS, "margins are a block");
        assert!(tests.iter().all(|t| t.column as usize + BLOCK_ROWS <= codes.len()), "codes are a block per column");
        for start in (0..n_rows).step_by(32) {
            let mut alive = [_mm256_set1_epi32(-1); 4];
            for test in tests {
                // SAFETY: start + 32 is at most a block, and the column's codes are a block (asserted above).
                let codes = unsafe { _mm256_loadu_si256(codes.as_ptr().add(test.column as usize + start).cast()) };
                let mut passes = inside(codes, test.run);
                if test.n_more > 0 {
                    for run in &runs[test.more as usize..(test.more + test.n_more) as usize] {
                        passes = _mm256_or_si256(passes, inside(codes, *run));
                    }
                }
                let keep = _mm256_set1_epi32(test.keep as i32);
                let halves = [_mm256_castsi256_si128(passes), _mm256_extracti128_si256::<1>(passes)];
                for (pair, half) in alive.chunks_exact_mut(2).zip(halves) {
                    let (low, high) = (_mm256_cvtepi8_epi32(half), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(half)));
                    pair[0] = _mm256_and_si256(pair[0], _mm256_or_si256(low, keep));
                    pair[1] = _mm256_and_si256(pair[1], _mm256_or_si256(high, keep));
                }
            }
            let mut bits = [0_u32; 32];
            for (i, alive) in alive.into_iter().enumerate() {
                // SAFETY: 8 · 4 words are the array's 32.
                unsafe { _mm256_storeu_si256(bits.as_mut_ptr().add(8 * i).cast(), alive) };
            }
            for (margin, bits) in margins[start..start + 32].iter_mut().zip(bits) {
                *margin += leaves[(bits.leading_zeros() & 31) as usize];
            }
        }
    }

    /// All bits set in each byte whose code is in the run.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn inside(codes: __m256i, run: Run) -> __m256i {
        let distance = _mm256_sub_epi8(codes, _mm256_set1_epi8(run.first as i8));
        _mm256_cmpeq_epi8(_mm256_min_epu8(distance, _mm256_set1_epi8(run.span as i8)), distance)
    }
}

#[cfg(test)]
mod tests;
