//! Successive halving (Jamieson & Talwalkar, AISTATS 2016) over training rows: every trial is first fitted on few rows, and
//! only the best third of what reached a rung goes on to three times as many.
//!
//! Rows, not trees or epochs: a slow learning rate looks bad after a tenth of its trees and is best at the end, and one
//! resource that every family has makes one rule. A trial is measured against all earlier ones of its family on the
//! rung, as in asynchronous halving (Li et al., MLSys 2020), but only once its whole batch is there, so that nothing
//! depends on which thread was first.

use statera_core::Task;
use statera_core::split::{Keys, holdout};

/// A rung has this many times the rows of the one before, and one in this many goes on.
const FACTOR: usize = 3;
/// Rungs at most, that of all rows included.
const MAX_RUNGS: usize = 3;
/// Least rows of a rung below that of all rows; fewer tell settings apart by chance.
const MIN_ROWS: usize = 2_000;
/// Least rows of each class on such a rung.
const MIN_CLASS_ROWS: usize = 100;

/// Rows of each rung among the rows of `keys`, ascending, the last rung all of them: at random a share of each class, with
/// groups whole groups, with time the latest rows.
pub(super) fn rungs(keys: &Keys<'_>, seed: u64) -> Vec<Vec<usize>> {
    let n = keys.target.len();
    let mut rungs = vec![(0..n).collect::<Vec<usize>>()];
    let mut share = 1.0;
    while rungs.len() < MAX_RUNGS {
        share /= FACTOR as f64;
        if (n as f64 * share) < MIN_ROWS as f64 {
            break;
        }
        // Rows that cannot be divided so (few large groups, a class that stopped to occur) have no smaller rung.
        let Ok((_, rows)) = holdout(keys, share, seed) else { break };
        if rows.len() < MIN_ROWS || least_class(keys, &rows) < MIN_CLASS_ROWS {
            break;
        }
        rungs.insert(0, rows);
    }
    rungs
}

/// Rows of the rarest class among `rows`; of a regression all of them.
fn least_class(keys: &Keys<'_>, rows: &[usize]) -> usize {
    let k = match keys.task {
        Task::Regression => return rows.len(),
        Task::Binary => 2,
        Task::Classes(k) => k,
    };
    let mut counts = vec![0; k];
    rows.iter().for_each(|&row| counts[keys.target[row] as usize] += 1);
    counts.into_iter().min().unwrap_or(0)
}

/// Which of `batch` go on from a rung where `before` were measured already; higher is better, NaN is a trial that failed.
/// They are among the best third of all; of equals the earlier one.
pub(super) fn promoted(before: &[f64], batch: &[f64]) -> Vec<bool> {
    let n = before.iter().chain(batch).filter(|v| !v.is_nan()).count();
    let places = n.div_ceil(FACTOR);
    let goes_on = |i: usize| {
        let own = batch[i];
        let better = before.iter().chain(&batch[..i]).filter(|&&v| v >= own).count();
        let later = batch[i + 1..].iter().filter(|&&v| v > own).count();
        !own.is_nan() && better + later < places
    };
    (0..batch.len()).map(goes_on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_third_of_all_so_far_goes_on() {
        let check = |before: &[f64], batch: &[f64], expected: &[bool]| {
            assert_eq!(promoted(before, batch), expected, "{before:?} {batch:?}");
        };
        let nan = f64::NAN;
        check(&[], &[0.7], &[true]);
        check(&[], &[0.7, 0.8, 0.6, 0.5], &[true, true, false, false]);
        check(&[0.9, 0.9, 0.9], &[0.7, 0.8, 0.6], &[false, false, false]);
        check(&[0.5, 0.5, 0.5], &[0.7, nan, 0.6], &[true, false, true]);
        check(&[0.5], &[0.5, 0.5], &[false, false]);
        check(&[], &[nan, nan], &[false, false]);
    }

    #[test]
    fn small_tables_and_rare_classes_have_one_rung() {
        let keys = |target: &[f64]| -> Vec<usize> {
            let keys = Keys { task: Task::Binary, target, time: None, known: None, group: None };
            rungs(&keys, 1).iter().map(Vec::len).collect()
        };
        let target =
            |n: usize, every: usize| -> Vec<f64> { (0..n).map(|i| f64::from(u8::from(i % every == 0))).collect() };
        assert_eq!(keys(&target(800, 3)), [800]);
        assert_eq!(keys(&target(9_000, 3)), [3_000, 9_000]);
        assert_eq!(keys(&target(27_000, 5)), [3_000, 9_000, 27_000]);
        assert_eq!(keys(&target(27_000, 120)), [27_000]);
    }
}
