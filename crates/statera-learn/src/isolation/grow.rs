//! How the trees grow.

use super::IsolationParams;
use super::model::{Cut, Node};
use rayon::prelude::*;
use statera_core::{Column, Frame, Result, Rng, Run};
use std::collections::HashSet;

/// The Euler–Mascheroni constant.
const EULER: f64 = 0.577_215_664_901_532_9;

/// c(n): the mean path length of an unsuccessful search in a binary search tree of `n` rows, with Hₙ₋₁ ≈ ln(n − 1) + γ as Liu
/// et al. and scikit-learn take it; 0 up to one row, 1 for two.
pub fn average_path_length(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}

/// All trees, each depending on the seed and its number alone.
pub(super) fn grow(params: &IsolationParams, frame: &Frame, rows: &[u32], run: &Run) -> Result<Vec<Vec<Node>>> {
    let n_drawn = params.rows_per_tree.min(rows.len());
    let depth_max = (n_drawn as f64).log2().ceil() as usize;
    let scale = average_path_length(n_drawn);
    let tree = |number: usize| -> Result<Vec<Node>> {
        run.check()?;
        let mut rng = Rng::fork(run.seed, number as u64);
        let mut drawn = draw(frame, rows, n_drawn, &mut rng);
        let mut grower = Grower { frame, depth_max, scale, rng, nodes: vec![Node::default()] };
        grower.node(0, &mut drawn, 0);
        Ok(grower.nodes)
    };
    (0..params.trees).into_par_iter().map(tree).collect()
}

/// `n` of the rows without replacement, a row's chance rising with its weight.
fn draw(frame: &Frame, rows: &[u32], n: usize, rng: &mut Rng) -> Vec<u32> {
    if n == rows.len() {
        return rows.to_vec();
    }
    if frame.weight.is_none() {
        // Floyd's method: the draw is made in n steps, however many rows there are.
        let mut seen = HashSet::new();
        let pick = |last: usize| {
            let place = rng.below(last + 1);
            let place = if seen.insert(place) { place } else { last };
            seen.insert(place);
            rows[place]
        };
        return (rows.len() - n..rows.len()).map(pick).collect();
    }
    // The rows of the largest u^(1/w), here of the smallest −ln(u)/w (Efraimidis & Spirakis 2006).
    let key = |row: &u32| (-(1.0 - rng.uniform()).ln() / frame.weight_of(*row as usize), *row);
    let mut keyed: Vec<(f64, u32)> = rows.iter().map(key).collect();
    keyed.select_nth_unstable_by(n - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.truncate(n);
    keyed.sort_unstable_by_key(|(_, row)| *row);
    keyed.into_iter().map(|(_, row)| row).collect()
}

struct Grower<'a> {
    frame: &'a Frame,
    depth_max: usize,
    scale: f64,
    rng: Rng,
    nodes: Vec<Node>,
}

impl Grower<'_> {
    /// Grows the tree of `rows` below node `at` and returns its value: minus the mean path length over that expected.
    fn node(&mut self, at: usize, rows: &mut [u32], depth: usize) -> f64 {
        let cut = if depth < self.depth_max && rows.len() > 1 { self.cut(rows) } else { None };
        let Some(cut) = cut else {
            self.nodes[at].value = -(depth as f64 + average_path_length(rows.len())) / self.scale;
            return self.nodes[at].value;
        };
        let n_left = partition(rows, |row| cut.goes_left(&self.frame.columns[cut.column as usize], row as usize));
        let left = self.nodes.len();
        self.nodes.extend([Node::default(), Node::default()]);
        let (n, n_left_rows) = (rows.len() as f64, n_left as f64);
        let (left_rows, right_rows) = rows.split_at_mut(n_left);
        let value_left = self.node(left, left_rows, depth + 1);
        let value_right = self.node(left + 1, right_rows, depth + 1);
        let value = (n_left_rows * value_left + (n - n_left_rows) * value_right) / n;
        self.nodes[at] = Node { cut: Some(cut), left: left as u32, value };
        value
    }

    /// A random cut of a random column that sets some of the rows apart; `None` if all rows are alike.
    fn cut(&mut self, rows: &[u32]) -> Option<Cut> {
        let mut columns: Vec<u32> = (0..self.frame.columns.len() as u32).collect();
        while !columns.is_empty() {
            let column = columns.swap_remove(self.rng.below(columns.len()));
            let cut = match &self.frame.columns[column as usize] {
                Column::Number(cells) => self.cut_number(column, cells, rows),
                Column::Codes(cells) => self.cut_level(column, cells, rows),
            };
            if cut.is_some() {
                return cut;
            }
        }
        None
    }

    fn cut_number(&mut self, column: u32, cells: &[f64], rows: &[u32]) -> Option<Cut> {
        let present = || rows.iter().map(|&row| cells[row as usize]).filter(|x| !x.is_nan());
        let (low, high) = present().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let has_missing = rows.iter().any(|&row| cells[row as usize].is_nan());
        if low < high {
            // Halves keep the width of a range of huge numbers finite; a cut at the upper end would leave nothing above it.
            let place = low + 2.0 * (self.rng.uniform() * (high / 2.0 - low / 2.0));
            let at = if place >= high { low } else { place.max(low) };
            return Some(Cut { column, at, missing_left: has_missing && self.rng.below(2) == 0 });
        }
        // All present cells are alike: they can be set apart from missing ones only.
        (low == high && has_missing).then_some(Cut { column, at: low, missing_left: false })
    }

    fn cut_level(&mut self, column: u32, cells: &[u32], rows: &[u32]) -> Option<Cut> {
        let mut levels: Vec<u32> = rows.iter().map(|&row| cells[row as usize]).collect();
        levels.sort_unstable();
        levels.dedup();
        let level = levels[self.rng.below(levels.len())];
        (levels.len() > 1).then_some(Cut { column, at: f64::from(level), missing_left: false })
    }
}

/// Puts the rows that go left before the others, in their order, and counts them.
fn partition(rows: &mut [u32], goes_left: impl Fn(u32) -> bool) -> usize {
    let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&row| goes_left(row));
    rows[..left.len()].copy_from_slice(&left);
    rows[left.len()..].copy_from_slice(&right);
    left.len()
}
