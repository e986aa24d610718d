//! Population stability.

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
