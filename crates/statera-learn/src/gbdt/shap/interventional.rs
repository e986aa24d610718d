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

use super::{Element, Game};
use std::sync::Arc;

/// The game with its workspace.
#[derive(Clone)]
pub(in super::super) struct Interventional {
    n_rows: usize,
    /// By tree and test, a bit for each background row that passes.
    tests: Arc<Vec<Vec<u64>>>,
    tree: usize,
    /// 1/P-parts by P, for the Q at hand: of those among P, and among Q.
    weights: Vec<[f64; 2]>,
}

impl Interventional {
    /// `passes` are by tree, test and background row.
    pub(super) fn new(passes: &[Vec<u8>], n_rows: usize) -> Interventional {
        let word = |rows: &[u8]| rows.iter().enumerate().fold(0, |word, (bit, &p)| word | u64::from(p) << bit);
        let bits = |tree: &Vec<u8>| tree.chunks(n_rows).flat_map(|rows| rows.chunks(64).map(word)).collect();
        let tests = Arc::new(passes.iter().map(bits).collect());
        Interventional { n_rows, tests, tree: 0, weights: Vec::new() }
    }
}

impl Game for Interventional {
    fn enter(&mut self, tree: usize) {
        self.tree = tree;
    }

    fn play(&mut self, elements: &[Element], passes: &[bool], values: &mut [f64]) {
        let n_words = self.n_rows.div_ceil(64);
        let tests = &self.tests[self.tree];
        let bits = |element: &Element, word: usize| tests[element.test as usize * n_words + word];
        let q = passes.iter().filter(|&&passes| !passes).count();
        set_weights(&mut self.weights, elements.len() - q, q);
        values.fill(0.0);
        let mut others = 0.0;
        for word in 0..n_words {
            let n_here = (self.n_rows - 64 * word).min(64);
            let mut count = u64::MAX >> (64 - n_here);
            for (element, _) in elements.iter().zip(passes).filter(|(_, passes)| !**passes) {
                count &= bits(element, word);
            }
            while count != 0 {
                let row = count.trailing_zeros();
                count &= count - 1;
                let differs = |element: &Element| bits(element, word) >> row & 1 == 0;
                let p = elements.iter().zip(passes).filter(|&(e, &passes)| passes && differs(e)).count();
                let [among_p, among_q] = self.weights[p];
                others += among_q;
                for ((element, &passes), value) in elements.iter().zip(passes).zip(&mut *values) {
                    *value += if passes && differs(element) { among_p } else { 0.0 };
                }
            }
        }
        for (value, &passes) in values.iter_mut().zip(passes) {
            *value = if passes { *value } else { -others } / self.n_rows as f64;
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
