//! Reweighing: weights under which group and outcome are independent, so that a learner finds nothing of one in the other
//! (Kamiran & Calders 2012, «Data preprocessing techniques for classification without discrimination»). Rows stay as they are;
//! what changes is how much each counts.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// The factor of each row, `P(group) · P(outcome) / P(group, outcome)`, by which its own weight is to be multiplied.
///
/// `target` is 0 or 1 and `group` any number that names the row's group; `weight` is how much each row counts, `None` for 1
/// each. With the factors every group keeps its weight, every outcome keeps its weight, and all groups have the same share
/// of events. A row of weight 0 has the factor 1.
///
/// ```
/// use statera_core::fairness::reweighing;
/// // Of four men one has the event, of four women two.
/// let target = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
/// let factors = reweighing(&target, &[0, 0, 0, 0, 1, 1, 1, 1], None)?;
/// assert_eq!((factors[0], factors[4]), (1.5, 0.75));
/// # Ok::<(), statera_core::Error>(())
/// ```
///
/// # Errors
/// Lengths that differ, targets other than 0 and 1, weights that are negative or not finite, no row of a weight above 0.
pub fn reweighing(target: &[f64], group: &[usize], weight: Option<&[f64]>) -> Result<Vec<f64>> {
    let n = target.len();
    if group.len() != n || weight.is_some_and(|w| w.len() != n) {
        return Err(Error::request(format!(
            "{n} outcomes, {} groups and as many weights; allowed: as many",
            group.len()
        )));
    }
    if let Some(row) = target.iter().position(|y| *y != 0.0 && *y != 1.0) {
        return Err(Error::data(format!("row {}: outcome {}; allowed: 0 or 1", row + 1, target[row])));
    }
    let weight_of = |row: usize| weight.map_or(1.0, |w| w[row]);
    if let Some(row) = (0..n).find(|&row| !weight_of(row).is_finite() || weight_of(row) < 0.0) {
        return Err(Error::data(format!("row {}: weight {}; allowed: 0 and above", row + 1, weight_of(row))));
    }
    // Sums of weights by group, then by outcome.
    let mut cells: BTreeMap<usize, [f64; 2]> = BTreeMap::new();
    let mut outcomes = [0.0; 2];
    for row in 0..n {
        cells.entry(group[row]).or_default()[target[row] as usize] += weight_of(row);
        outcomes[target[row] as usize] += weight_of(row);
    }
    let total = outcomes[0] + outcomes[1];
    if total <= 0.0 {
        return Err(Error::data("none of the rows has a weight above 0"));
    }
    let factor = |row: usize| {
        let (cell, y) = (cells[&group[row]], target[row] as usize);
        if cell[y] > 0.0 { (cell[0] + cell[1]) * outcomes[y] / (total * cell[y]) } else { 1.0 }
    };
    Ok((0..n).map(factor).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_papers_example() {
        // Kamiran & Calders 2012, the example of reweighing: of ten applicants five are men, four of them accepted; two of the five
        // women are. Weights: men accepted .75, men rejected 2, women accepted 1.5, women rejected .67.
        let sex = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1];
        let accepted = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        let found = reweighing(&accepted, &sex, None).unwrap();
        let expected = [0.75, 0.75, 0.75, 0.75, 2.0, 1.5, 1.5, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }

    #[test]
    fn group_and_outcome_become_independent_and_keep_their_weights() {
        let n = 300;
        let target: Vec<f64> = (0..n).map(|i| f64::from(u8::from((i * i) % 7 < 2 + i % 3))).collect();
        let group: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let weight: Vec<f64> = (0..n).map(|i| (i % 4) as f64 * 0.5).collect();
        let factors = reweighing(&target, &group, Some(&weight)).unwrap();
        let sum = |is_in: &dyn Fn(usize) -> bool, w: &dyn Fn(usize) -> f64| -> f64 {
            (0..n).filter(|&i| is_in(i)).map(w).sum()
        };
        let (before, after) = (|i: usize| weight[i], |i: usize| weight[i] * factors[i]);
        let total = sum(&|_| true, &before);
        for g in 0..3 {
            assert!((sum(&|i| group[i] == g, &before) - sum(&|i| group[i] == g, &after)).abs() < 1e-9);
            for y in [0.0, 1.0] {
                let cell = sum(&|i| group[i] == g && target[i] == y, &after) / total;
                let product = sum(&|i| group[i] == g, &before) * sum(&|i| target[i] == y, &before) / total.powi(2);
                assert!((cell - product).abs() < 1e-12, "group {g}, outcome {y}: {cell} for {product}");
            }
        }
    }

    #[test]
    fn refuses_what_is_no_outcome_or_weight() {
        let refused =
            |target: &[f64], weight: &[f64]| reweighing(target, &[0, 1], Some(weight)).unwrap_err().to_string();
        assert_eq!(refused(&[0.0, 2.0], &[1.0, 1.0]), "row 2: outcome 2; allowed: 0 or 1");
        assert_eq!(refused(&[0.0, 1.0], &[1.0, -1.0]), "row 2: weight -1; allowed: 0 and above");
        assert_eq!(refused(&[0.0, 1.0], &[0.0, 0.0]), "none of the rows has a weight above 0");
        assert_eq!(refused(&[0.0], &[1.0]), "1 outcomes, 2 groups and as many weights; allowed: as many");
    }
}
