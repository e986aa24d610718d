//! How near changes can come to the approved background rows: which ends within reach at all, and of how few columns.

use super::row::{Moves, Row};

/// What comes nearest to one background row: a change of each column, the one that brings most first.
pub(super) struct Approach {
    /// Sum of the differences between it and the row as it is, and the largest sum within its reach.
    start: f64,
    reach: f64,
    /// What each column's change adds to the sum, ascending, with the change.
    shifts: Vec<(f64, (usize, i64))>,
}

impl Approach {
    /// The approach of changes that each add something to a sum of differences.
    pub fn new((start, reach): (f64, f64), mut shifts: Vec<(f64, (usize, i64))>) -> Approach {
        shifts.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Approach { start, reach, shifts }
    }

    /// The change of so many columns that comes nearest, if it ends within reach.
    pub fn of(&self, n_columns: usize) -> Option<Moves> {
        let nearest = self.shifts.get(..n_columns)?;
        let sum = self.start + nearest.iter().map(|(shift, _)| shift).sum::<f64>();
        let mut moves: Moves = nearest.iter().map(|(_, change)| *change).collect();
        moves.sort_unstable();
        (sum <= self.reach).then_some(moves)
    }

    /// The fewest columns, at least one, whose change ends within reach; `None` if not even all of them do.
    fn fewest(&self) -> Option<usize> {
        (1..=self.shifts.len()).find(|&n| self.of(n).is_some())
    }
}

/// The fewest columns that must change for a change to be plausible; `None` if no change is.
pub(super) fn fewest(approaches: &[Approach]) -> Option<usize> {
    approaches.iter().filter_map(Approach::fewest).min()
}

/// The nearest changes of so many columns that are plausible, one a background row at most.
pub(super) fn nearest(row: &Row<'_>, approaches: &[Approach], n_columns: usize) -> Vec<Moves> {
    let mut found: Vec<Moves> = Vec::new();
    for moves in approaches.iter().filter_map(|a| a.of(n_columns)) {
        // Sums in another order may differ in their last digits.
        if row.is_plausible(&moves) && !found.contains(&moves) {
            found.push(moves);
        }
    }
    found
}
