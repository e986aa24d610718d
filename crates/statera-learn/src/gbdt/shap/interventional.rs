//! The game of interventional TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020; Janzing et al., AISTATS 2020): an
//! unknown feature has the value that it has in a row of the background; the mean over the background rows counts.
//!
//! Against one background row, a leaf of value 1 is worth 1 for the known features S if the row passes the elements in S
//! and the background row those outside. With the P elements that only the row passes and the Q that only the
//! background row passes this is the game in which all of P must be known and none of Q may be. Its Shapley values are
//!
//! φ_i = (P-1)! Q! / (P+Q)! for i among P,  φ_i = -P! (Q-1)! / (P+Q)! for i among Q
//!
//! and nothing where an element is passed by neither. Q is what the row does not pass, the same for all background rows
//! that count. Which these are is found for 64 at a time.

use super::Element;

/// The background as the tests of the trees see it.
pub(super) struct Seen {
    n_rows: usize,
    /// By tree and test, a bit for each background row that passes.
    tests: Vec<Vec<u64>>,
}

impl Seen {
    /// `tests` are by tree, as [`words`] of each test.
    pub(super) fn new(n_rows: usize, tests: Vec<Vec<u64>>) -> Seen {
        Seen { n_rows, tests }
    }
}

/// Bits of the rows, 64 to a word, of bytes that are 0 or 1.
pub(super) fn words(passes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let byte = |rows: &[u8]| {
        let mut eight = [0; 8];
        eight[..rows.len()].copy_from_slice(rows);
        // Of the product's terms only byte i shifted by 56 - 7 i reaches the top byte, as bit i.
        u64::from_le_bytes(eight).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    passes.chunks(64).map(move |rows| rows.chunks(8).rev().fold(0, |word, rows| word << 8 | byte(rows)))
}

/// The game with its workspace.
#[derive(Clone)]
pub(super) struct Interventional<'a> {
    seen: &'a Seen,
    tree: usize,
    /// What a row counts by how many elements are P: for those among P, and for those among Q.
    weights: Vec<[f64; 2]>,
    /// Per element that the row passes: the background rows that do not, and its sum.
    misses: Vec<(u64, f64)>,
}

impl<'a> Interventional<'a> {
    pub(super) fn new(seen: &'a Seen) -> Self {
        Interventional { seen, tree: 0, weights: Vec::new(), misses: Vec::new() }
    }

    /// Goes to a tree.
    pub(super) fn enter(&mut self, tree: usize) {
        self.tree = tree;
    }

    /// The Shapley values of a leaf's elements, where a row `passes` some of them, for a leaf of value 1.
    pub(super) fn play(&mut self, elements: &[Element], passes: &[bool], values: &mut [f64]) {
        let Seen { n_rows, tests } = self.seen;
        let n_words = n_rows.div_ceil(64);
        let tests = &tests[self.tree];
        let q = passes.iter().filter(|&&passes| !passes).count();
        self.misses.clear();
        self.misses.resize(elements.len() - q, (0, 0.0));
        set_weights(&mut self.weights, elements.len() - q, q);
        let mut among_q = 0.0;
        for word in 0..n_words {
            let bits = |element: &Element| tests[element.test as usize * n_words + word];
            let mut count = u64::MAX >> (64 - (n_rows - 64 * word).min(64));
            for (element, _) in elements.iter().zip(passes).filter(|(_, passes)| !**passes) {
                count &= bits(element);
            }
            let passed = elements.iter().zip(passes).filter(|(_, passes)| **passes);
            self.misses.iter_mut().zip(passed).for_each(|(miss, (element, _))| miss.0 = !bits(element));
            while count != 0 {
                let row = count.trailing_zeros();
                count &= count - 1;
                let p: u64 = self.misses.iter().map(|(miss, _)| miss >> row & 1).sum();
                let [of_p, of_q] = self.weights[p as usize];
                among_q += of_q;
                for (miss, sum) in &mut self.misses {
                    *sum += of_p * (*miss >> row & 1) as f64;
                }
            }
        }
        let mut among_p = self.misses.iter().map(|(_, sum)| *sum);
        for (value, &passes) in values.iter_mut().zip(passes) {
            let sum = if passes { among_p.next().unwrap_or(0.0) } else { -among_q };
            *value = sum / *n_rows as f64;
        }
    }
}

/// (P-1)! q! / (P+q)! and P! (q-1)! / (P+q)! for P = 0 … `max_p`; what does not occur is 0.
fn set_weights(weights: &mut Vec<[f64; 2]>, max_p: usize, q: usize) {
    weights.clear();
    let q = q as f64;
    let (mut among_p, mut among_q) = (1.0 / (q + 1.0), if q > 0.0 { 1.0 / q } else { 0.0 });
    weights.push([0.0, among_q]);
    for p in 1..=max_p {
        let p = p as f64;
        among_q *= p / (p + q);
        weights.push([among_p, among_q]);
        among_p *= p / (p + q + 1.0);
    }
}
