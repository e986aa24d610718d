//! Population stability.

use super::chi_squared;
use crate::{Error, Result};

/// Population stability index Σ (aᵢ - eᵢ) ln(aᵢ / eᵢ) over the shares of bins: 0 for equal distributions; banks read
/// 0.1 as a small and 0.25 as a large shift.
///
/// `expected` and `actual` are counts or weights of the same bins. The formula has no value where a bin is empty on one
/// side. Instead of an arbitrary small number, half a row is then added to every bin of both sides (the estimate of the
/// shares under Jeffreys' prior), so an empty bin counts for more the more rows the other side has. Bins empty on
/// both sides say nothing and are left out; where no bin is empty the formula is used as it stands.
///
/// Fails if the numbers of bins differ, a count is negative or not finite, or a side has no rows.
///
/// ```
/// let psi = statera_core::metric::population_stability(&[50.0, 50.0], &[60.0, 40.0])?;
/// assert!((psi - (0.1 * f64::ln(0.6 / 0.5) - 0.1 * f64::ln(0.4 / 0.5))).abs() < 1e-12);
/// # Ok::<(), statera_core::Error>(())
/// ```
pub fn population_stability(expected: &[f64], actual: &[f64]) -> Result<f64> {
    if expected.len() != actual.len() {
        let (e, a) = (expected.len(), actual.len());
        return Err(Error::data(format!("{a} actual bins for {e} expected ones; the bins must be the same")));
    }
    for (side, counts) in [("expected", expected), ("actual", actual)] {
        if let Some(bin) = counts.iter().position(|&c| !(c >= 0.0 && c.is_finite())) {
            return Err(Error::data(format!(
                "the {side} count of bin {bin} (from 0) is {}; it must be finite and at least 0",
                counts[bin]
            )));
        }
        if counts.iter().sum::<f64>() == 0.0 {
            return Err(Error::data(format!("all {} {side} counts are 0; at least one row is needed", counts.len())));
        }
    }
    let bins = || expected.iter().zip(actual).filter(|&(&e, &a)| e > 0.0 || a > 0.0);
    let added = if bins().any(|(&e, &a)| e == 0.0 || a == 0.0) { 0.5 } else { 0.0 };
    let (n_expected, n_actual) = bins().fold((0.0, 0.0), |(e, a), b| (e + b.0 + added, a + b.1 + added));
    Ok(bins()
        .map(|(e, a)| {
            let (e, a) = ((e + added) / n_expected, (a + added) / n_actual);
            (a - e) * (a / e).ln()
        })
        .sum())
}

/// The population stability index that two samples of the same distribution exceed in one case of twenty:
/// (1/n + 1/m) · χ², the 95 % quantile of B − 1 degrees of freedom (Yurdakul & Naranjo 2020, *Journal of Risk Model
/// Validation* 14 (4)). Small samples move by chance alone; the customary 0.1 and 0.25 do not know how small they are.
///
/// `n_expected` and `n_actual` are the rows of the two sides (weighted rows: Kish's effective number), `n_bins` the bins
/// that are not empty on both sides, at least 2.
///
/// Fails if a side has no rows, or with fewer than 2 bins or more than 10,000.
///
/// ```
/// // χ² of nine degrees of freedom at 95 % is 16.919.
/// let bound = statera_core::metric::stability_bound(1000.0, 500.0, 10)?;
/// assert!((bound - 0.003 * 16.918978).abs() < 1e-8);
/// # Ok::<(), statera_core::Error>(())
/// ```
pub fn stability_bound(n_expected: f64, n_actual: f64, n_bins: usize) -> Result<f64> {
    for (side, n) in [("expected", n_expected), ("actual", n_actual)] {
        if !(n > 0.0 && n.is_finite()) {
            return Err(Error::data(format!("the {side} side has {n} rows; it must be more than 0")));
        }
    }
    if !(2..=MAX_BINS).contains(&n_bins) {
        return Err(Error::data(format!("{n_bins} bins; allowed: 2 to {MAX_BINS}")));
    }
    Ok((1.0 / n_expected + 1.0 / n_actual) * chi_squared::quantile(0.95, n_bins - 1))
}

/// More bins tell of no distribution.
const MAX_BINS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn two_samples_of_one_distribution_exceed_the_bound_in_about_one_case_of_twenty() {
        let (mut rng, n_trials, bound) = (Rng::new(3), 2_000, stability_bound(800.0, 400.0, 10).unwrap());
        let mut n_beyond = 0;
        for _ in 0..n_trials {
            let mut counts = |n: usize| {
                let mut bins = [0.0; 10];
                (0..n).for_each(|_| bins[rng.below(10)] += 1.0);
                bins
            };
            n_beyond += usize::from(population_stability(&counts(800), &counts(400)).unwrap() > bound);
        }
        let share = n_beyond as f64 / f64::from(n_trials);
        assert!((0.035..0.075).contains(&share), "{share}");
    }

    #[test]
    fn refuses_what_has_no_bound() {
        let check = |n: f64, m: f64, bins: usize, expected: &str| {
            assert_eq!(stability_bound(n, m, bins).unwrap_err().to_string(), expected);
        };
        check(0.0, 5.0, 3, "the expected side has 0 rows; it must be more than 0");
        check(5.0, f64::NAN, 3, "the actual side has NaN rows; it must be more than 0");
        check(5.0, 5.0, 1, "1 bins; allowed: 2 to 10000");
    }
}
