//! Trees laid out for the vector levels: bits of many rows instead of rows.
//!
//! A row's place in the forest's tests is one bit per test, and bits of 512 rows are one register. Bits are kept in numbered
//! slots. Of each column that trees use, a slot holds for each t whether a row's code is at least t; a node's test is such a
//! slot, or the parity of several if the codes that go left are no two runs. So a test that many nodes share is done once.
//!
//! A tree gives each leaf a mark of five bits. From the leaves to the root, each bit of a node's mark is its children's bit
//! chosen by the node's test: one operation on the bits of all rows, and none where both children have the same constant, or
//! constants that make it the test itself. Marks are chosen so that this is often the case. The root's five bits are the
//! mark of the row's leaf, whose value is looked up.

use super::{Coder, Node, Tree, whole};
use std::collections::HashMap;
use std::ops::Range;

/// Leaves of a tree that the vector levels handle; larger trees are walked.
pub(super) const MAX_VECTOR_LEAVES: usize = 32;
/// Bits of a mark.
pub(super) const N_PLANES: usize = 5;
/// Slots that no row has set, and every row.
pub(super) const NONE: u32 = 0;
/// See [`NONE`].
pub(super) const ALL: u32 = 1;

/// The slots of a column.
#[derive(Debug, Clone)]
pub(super) struct ColumnSlots {
    /// Entry t tells the codes that are at least t.
    pub(super) slots: Range<usize>,
    /// Bits of a code.
    pub(super) n_bits: usize,
    /// The other slots of the column: each is the exclusive or of two earlier ones.
    pub(super) sets: Vec<Set>,
}

/// Slot `to` is the exclusive or of the others.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) to: u32,
    pub(super) from: [u32; 2],
}

/// A tree that is not walked.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) output: usize,
    /// Its part of [`Layout::ops`].
    pub(super) ops: Range<usize>,
    /// Slots of the root's mark, lowest bit first.
    pub(super) planes: [u32; N_PLANES],
    /// Its entry of the leaves' tables.
    pub(super) leaves: usize,
}

/// How a tree is scored.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// By a program.
    Program(Program),
    /// Tree i is walked, having too many leaves.
    Walk(usize),
}

/// Leaf values of the programs by mark.
#[derive(Debug, Clone)]
pub(super) enum Leaves {
    /// As multiples of a unit per output, see `whole.rs`.
    Whole { units: Vec<f64>, values: Vec<[i32; MAX_VECTOR_LEAVES]> },
    /// As they are.
    Real(Vec<[f64; MAX_VECTOR_LEAVES]>),
}

/// All trees.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// In the order of the forest's used columns.
    pub(super) columns: Vec<ColumnSlots>,
    /// In the order of the trees.
    pub(super) steps: Vec<Step>,
    /// Test, slot where it is set, slot where it is not. The result of a program's operation i is in slot
    /// `first_result + i`.
    pub(super) ops: Vec<[u32; 3]>,
    pub(super) first_result: usize,
    /// More than any operand or result.
    pub(super) n_slots: usize,
    pub(super) leaves: Leaves,
}

impl Layout {
    /// Lays out checked trees over columns with these coders; `used` are the columns that trees look at.
    pub(super) fn new(coders: &[Coder], base: &[f64], trees: &[Tree], used: &[usize]) -> Layout {
        let mut tests = Tests::new(coders, used);
        let tested: Vec<Option<Vec<Choice>>> = trees.iter().map(|tree| tests.of_tree(tree)).collect();
        let first_result = tests.n_slots;
        let (mut steps, mut ops, mut n_results) = (Vec::new(), Vec::new(), 0);
        let mut places = Vec::new();
        for (i, (tree, choices)) in trees.iter().zip(tested).enumerate() {
            let Some(choices) = choices else {
                steps.push(Step::Walk(i));
                continue;
            };
            let (planes, marks) = Compiler::new(&choices, first_result).compile(&mut ops);
            let start = steps.iter().rev().find_map(|step| match step {
                Step::Program(program) => Some(program.ops.end),
                Step::Walk(_) => None,
            });
            let program_ops = start.unwrap_or(0)..ops.len();
            n_results = n_results.max(program_ops.len());
            steps.push(Step::Program(Program { output: tree.output, ops: program_ops, planes, leaves: places.len() }));
            places.push((tree, marks));
        }
        Layout {
            columns: tests.columns,
            steps,
            ops,
            first_result,
            n_slots: first_result + n_results,
            leaves: Leaves::new(base, trees, &places),
        }
    }
}

impl Leaves {
    fn new(base: &[f64], trees: &[Tree], places: &[(&Tree, Vec<u8>)]) -> Leaves {
        let by_mark = |(tree, marks): &(&Tree, Vec<u8>)| {
            let mut values = [0.0; MAX_VECTOR_LEAVES];
            for (&mark, &leaf) in marks.iter().zip(&tree.leaves) {
                values[usize::from(mark)] = leaf;
            }
            values
        };
        let Some(units) = whole::units(base, trees) else {
            return Leaves::Real(places.iter().map(by_mark).collect());
        };
        let whole = |place: &(&Tree, Vec<u8>)| by_mark(place).map(|leaf| (leaf / units[place.0.output]) as i32);
        let values = places.iter().map(whole).collect();
        Leaves::Whole { units, values }
    }
}

/// A node: the slot of its test, the child (a node's index or `!leaf`) of the rows that have it set, and the other.
#[derive(Debug, Clone, Copy)]
struct Choice {
    test: u32,
    children: [i32; 2],
}

/// The slots of tests.
struct Tests {
    columns: Vec<ColumnSlots>,
    /// Place of a column in `columns`.
    place: HashMap<usize, usize>,
    n_slots: usize,
    /// Slot of each list of slots whose parity is needed.
    known: HashMap<Vec<u32>, u32>,
}

impl Tests {
    fn new(coders: &[Coder], used: &[usize]) -> Tests {
        let mut end = ALL as usize + 1;
        let columns = used.iter().map(|&column| {
            let n_codes = coders[column].n_codes();
            let start = end;
            end += n_codes;
            ColumnSlots {
                slots: start..end,
                n_bits: (usize::BITS - (n_codes - 1).leading_zeros()) as usize,
                sets: Vec::new(),
            }
        });
        let columns = columns.collect();
        let place = used.iter().enumerate().map(|(place, &column)| (column, place)).collect();
        Tests { columns, place, n_slots: end, known: HashMap::new() }
    }

    /// The tests of a tree's nodes; `None` if the tree is too large.
    fn of_tree(&mut self, tree: &Tree) -> Option<Vec<Choice>> {
        (tree.leaves.len() <= MAX_VECTOR_LEAVES).then(|| tree.nodes.iter().map(|node| self.of_node(node)).collect())
    }

    fn of_node(&mut self, node: &Node) -> Choice {
        let place = self.place[&(node.column as usize)];
        let slots = self.columns[place].slots.clone();
        let is_left = |code: usize| node.left[code >> 6] >> (code & 63) & 1 == 1;
        // An even number of changes up to its code: a row goes where code 0 goes.
        let changes = (1..slots.len()).filter(|&code| is_left(code) != is_left(code - 1));
        let changes: Vec<u32> = changes.map(|code| (slots.start + code) as u32).collect();
        let [left, right] = node.children;
        let children = if is_left(0) { [right, left] } else { [left, right] };
        Choice { test: self.parity(place, changes), children }
    }

    /// The slot of the parity of slots of the column at a place, at least one.
    fn parity(&mut self, place: usize, slots: Vec<u32>) -> u32 {
        let Tests { columns, n_slots, known, .. } = self;
        let combine = |a: u32, b: u32| {
            let to = *n_slots as u32;
            columns[place].sets.push(Set { to, from: [a, b] });
            *n_slots += 1;
            to
        };
        *known.entry(slots).or_insert_with_key(|slots| slots.iter().copied().reduce(combine).unwrap_or(NONE))
    }
}

/// Marks of a tree's leaves and the operations that find them.
///
/// Marks are numbers in a row: those of a node's first branch, then those of its second, and either child may be first. The
/// number of operations of a node follows from its first mark and the order of its branches, so the best orders are found
/// by trying both for each first mark that may come about.
struct Compiler<'a> {
    choices: &'a [Choice],
    /// Leaves below each node.
    sizes: Vec<u8>,
    /// For each node and first mark: the fewest operations, and whether the child of set rows is first.
    best: Vec<Option<(u16, bool)>>,
    /// Mark of each leaf.
    marks: Vec<u8>,
    first_result: usize,
}

impl<'a> Compiler<'a> {
    fn new(choices: &'a [Choice], first_result: usize) -> Compiler<'a> {
        let mut sizes = vec![0; choices.len()];
        for (i, choice) in choices.iter().enumerate().rev() {
            let size_of = |child: i32| usize::try_from(child).map_or(1, |node| sizes[node]);
            sizes[i] = choice.children.map(size_of).iter().sum();
        }
        let best = vec![None; choices.len() * MAX_VECTOR_LEAVES];
        Compiler { choices, sizes, best, marks: vec![0; choices.len() + 1], first_result }
    }

    /// Appends the operations; the slots of the root's mark, and the mark of each leaf.
    fn compile(mut self, ops: &mut Vec<[u32; 3]>) -> ([u32; N_PLANES], Vec<u8>) {
        let root = if self.choices.is_empty() { !0 } else { 0 };
        let (start, mut first) = (ops.len(), 0);
        if !self.choices.is_empty() {
            let last = MAX_VECTOR_LEAVES - self.size(root);
            first = [0, last].into_iter().min_by_key(|&first| self.cost(root, first)).unwrap_or(0);
        }
        let planes = self.emit(root, first, start, ops);
        (planes, self.marks)
    }

    fn size(&self, child: i32) -> usize {
        usize::try_from(child).map_or(1, |node| self.sizes[node].into())
    }

    /// The children in the order of their marks, with their first marks.
    fn ordered(&self, node: usize, first: usize, is_yes_first: bool) -> [(i32, usize); 2] {
        let [yes, no] = self.choices[node].children;
        let (a, b) = if is_yes_first { (yes, no) } else { (no, yes) };
        [(a, first), (b, first + self.size(a))]
    }

    /// The fewest operations below a child whose marks start there.
    fn cost(&mut self, child: i32, first: usize) -> u16 {
        let Ok(node) = usize::try_from(child) else { return 0 };
        let at = node * MAX_VECTOR_LEAVES + first;
        if let Some((cost, _)) = self.best[at] {
            return cost;
        }
        let options = [true, false].map(|is_yes_first| {
            let [a, b] = self.ordered(node, first, is_yes_first);
            let own = self.own_cost([(a.1, self.size(a.0)), (b.1, self.size(b.0))], is_yes_first);
            (own + self.cost(a.0, a.1) + self.cost(b.0, b.1), is_yes_first)
        });
        let best = if options[1].0 < options[0].0 { options[1] } else { options[0] };
        self.best[at] = Some(best);
        best.0
    }

    /// Operations of a node whose branches have these first marks and sizes.
    fn own_cost(&self, [a, b]: [(usize, usize); 2], is_yes_first: bool) -> u16 {
        // The bits that all marks of a branch share: those above the highest in which the first and the last differ.
        let shared = |(first, size): (usize, usize)| {
            let differing = first ^ (first + size - 1);
            !(differing.checked_ilog2().map_or(0, |top| (2 << top) - 1))
        };
        let constant = shared(a) & shared(b);
        let (a, b) = (a.0, b.0);
        // Where constants differ and that of the set rows is 1, the bit is the test.
        let chosen = (a ^ b) & !if is_yes_first { a } else { b };
        ((!constant | chosen) & ((1 << N_PLANES) - 1)).count_ones() as u16
    }

    /// Appends the operations of a child whose marks start there; the slots of its mark.
    fn emit(&mut self, child: i32, first: usize, start: usize, ops: &mut Vec<[u32; 3]>) -> [u32; N_PLANES] {
        let Ok(node) = usize::try_from(child) else {
            self.marks[!child as usize] = first as u8;
            return std::array::from_fn(|plane| [NONE, ALL][first >> plane & 1]);
        };
        let is_yes_first = self.best[node * MAX_VECTOR_LEAVES + first].is_some_and(|best| best.1);
        let [a, b] = self.ordered(node, first, is_yes_first);
        let [a, b] = [a, b].map(|(child, first)| self.emit(child, first, start, ops));
        let (yes, no) = if is_yes_first { (a, b) } else { (b, a) };
        let test = self.choices[node].test;
        std::array::from_fn(|plane| match (yes[plane], no[plane]) {
            (yes, no) if yes == no => yes,
            (ALL, NONE) => test,
            (yes, no) => {
                ops.push([test, yes, no]);
                (self.first_result + ops.len() - 1 - start) as u32
            }
        })
    }
}

/// The coders and trees with only those edges that some node tells apart: a search among fewer edges is faster, and no row
/// changes its leaf. The trees are checked.
pub(super) fn compact(coders: &[Coder], trees: &[Tree]) -> (Vec<Coder>, Vec<Tree>) {
    let has = |set: &[u64; 4], code: usize| set[code >> 6] >> (code & 63) & 1 == 1;
    // By column, the codes that some node sends another way than the next code; the last has none.
    let mut splits = vec![[0_u64; 4]; coders.len()];
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        for (word, split) in splits[node.column as usize].iter_mut().enumerate() {
            let following = node.left.get(word + 1).map_or(node.left[word] >> 63, |next| next & 1);
            *split |= node.left[word] ^ (node.left[word] >> 1 | following << 63);
        }
    }
    // For each column, one of the old codes of each new code.
    let mut olds: Vec<Vec<usize>> = Vec::new();
    let mut short = Vec::new();
    for (coder, splits) in coders.iter().zip(&splits) {
        match coder {
            Coder::Number { edges, sentinels } => {
                let first = 1 + sentinels.len();
                let kept: Vec<usize> = (0..edges.len()).filter(|i| has(splits, first + i)).collect();
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
