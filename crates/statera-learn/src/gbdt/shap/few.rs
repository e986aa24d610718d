//! Path-dependent values of few rows: what is shared between rows is not worth a table, so the games of eight leaves with
//! as many elements are played at once.
//!
//! The values and the order in which they are added are those of the tables to the bit.

use super::path_dependent::Quadrature;
use super::{Element, Leaf, TreePaths};
use statera_kernel::shapley::{GAMES, ProductScratch, product_games};
use statera_kernel::tree::Forest;

/// Eight leaves with as many elements; what is missing of eight is a game of players who are sure to pass.
#[derive(Debug)]
struct Block {
    n_elements: usize,
    /// Its first row in `tests` and `shares`.
    start: usize,
}

/// Every leaf of a forest in blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// By element of a block, where its test stands among all trees' tests, in each lane.
    tests: Vec<[u32; GAMES]>,
    shares: Vec<[f64; GAMES]>,
    /// By block, its leaves' values.
    worth: Vec<[f64; GAMES]>,
    /// In the order of leaves and their elements: where the value stands among all lanes, and the sum that it belongs to, by
    /// output and raw column.
    sums: Vec<(u32, u32)>,
    /// By tree, where its tests stand; the last is a test that is always passed.
    offsets: Vec<u32>,
}

/// Room to work in, kept between rows.
#[derive(Default)]
pub(super) struct Room {
    passes: Vec<f64>,
    surplus: Vec<[f64; GAMES]>,
    values: Vec<[f64; GAMES]>,
    scratch: ProductScratch,
}

impl Blocks {
    pub(super) fn new(
        (trees, forest): (&[TreePaths], &Forest),
        (leaves, elements): (&[Leaf], &[Element]),
        n_raw: usize,
    ) -> Blocks {
        let mut offsets = vec![0u32];
        for tree in forest.trees() {
            offsets.push(offsets[offsets.len() - 1] + 2 * tree.nodes.len() as u32);
        }
        let always = offsets[forest.trees().len()];
        let mut order: Vec<(usize, usize)> = Vec::with_capacity(leaves.len()); // tree and leaf
        for (tree, paths) in trees.iter().enumerate() {
            order.extend(paths.leaves.clone().map(|leaf| (tree, leaf)));
        }
        order.sort_by_key(|&(_, leaf)| leaves[leaf].elements.len());
        let mut all = Blocks {
            blocks: Vec::new(),
            tests: Vec::new(),
            shares: Vec::new(),
            worth: Vec::new(),
            sums: Vec::new(),
            offsets,
        };
        let mut places = vec![0; leaves.len()];
        for same in order.chunk_by(|a, b| leaves[a.1].elements.len() == leaves[b.1].elements.len()) {
            for eight in same.chunks(GAMES) {
                all.add(eight, (leaves, elements), always, &mut places);
            }
        }
        for (paths, tree) in trees.iter().zip(forest.trees()) {
            for leaf in paths.leaves.clone() {
                for (j, element) in elements[leaves[leaf].elements.clone()].iter().enumerate() {
                    let sum = tree.output * n_raw + element.raw as usize;
                    all.sums.push(((places[leaf] + j * GAMES) as u32, sum as u32));
                }
            }
        }
        all
    }

    fn add(
        &mut self,
        eight: &[(usize, usize)],
        (leaves, elements): (&[Leaf], &[Element]),
        always: u32,
        places: &mut [usize],
    ) {
        let (start, n_elements) = (self.tests.len(), leaves[eight[0].1].elements.len());
        self.tests.resize(start + n_elements, [always; GAMES]);
        self.shares.resize(start + n_elements, [1.0; GAMES]);
        let mut worth = [0.0; GAMES];
        for (lane, &(tree, leaf)) in eight.iter().enumerate() {
            places[leaf] = start * GAMES + lane;
            worth[lane] = leaves[leaf].value;
            for (j, element) in elements[leaves[leaf].elements.clone()].iter().enumerate() {
                self.tests[start + j][lane] = self.offsets[tree] + element.test;
                self.shares[start + j][lane] = element.share;
            }
        }
        self.worth.push(worth);
        self.blocks.push(Block { n_elements, start });
    }

    /// Adds the values of a row to `sums`, by output and raw column; `codes` has its codes by column.
    pub(super) fn add_row(
        &self,
        (trees, forest): (&[TreePaths], &Forest),
        quadrature: &Quadrature,
        codes: &[u8],
        sums: &mut [f64],
        room: &mut Room,
    ) {
        let always = self.offsets[trees.len()] as usize;
        room.passes.clear();
        room.passes.resize(always + 1, 1.0);
        for ((paths, tree), &offset) in trees.iter().zip(forest.trees()).zip(&self.offsets) {
            let passes = &mut room.passes[offset as usize..][..2 * tree.nodes.len()];
            for (at, (node, before)) in tree.nodes.iter().zip(&paths.before).enumerate() {
                let before = before.map_or(1.0, |test| passes[test as usize]);
                let code = codes[node.column as usize];
                let left = before * (node.left[usize::from(code >> 6)] >> (code & 63) & 1) as f64;
                passes[2 * at] = left;
                passes[2 * at + 1] = before - left;
            }
        }
        room.surplus.resize(self.tests.len(), [0.0; GAMES]);
        room.values.resize(self.tests.len(), [0.0; GAMES]);
        for ((surplus, tests), shares) in room.surplus.iter_mut().zip(&self.tests).zip(&self.shares) {
            for lane in 0..GAMES {
                surplus[lane] = room.passes[tests[lane] as usize] - shares[lane];
            }
        }
        for (block, worth) in self.blocks.iter().zip(&self.worth) {
            let rows = block.start..block.start + block.n_elements;
            let (z, d) = (&self.shares[rows.clone()], &room.surplus[rows.clone()]);
            let values = &mut room.values[rows];
            product_games(quadrature.rule(block.n_elements), z, d, values, &mut room.scratch);
            for values in values {
                values.iter_mut().zip(worth).for_each(|(value, worth)| *value *= worth);
            }
        }
        let values = room.values.as_flattened();
        for &(place, sum) in &self.sums {
            sums[sum as usize] += values[place as usize];
        }
    }
}
