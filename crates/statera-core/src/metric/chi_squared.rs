//! The χ² distribution: what a sum of squares exceeds by chance.

/// Terms of the series; it converges long before for every quantile that is asked for.
const MAX_TERMS: usize = 100_000;
/// Halvings of the interval that holds a quantile: more than a double has digits.
const N_HALVINGS: usize = 120;

/// The quantile of χ² with `df` degrees of freedom, at least 1; `p` lies above 0 and below 1.
pub(super) fn quantile(p: f64, df: usize) -> f64 {
    let (mut low, mut high) = (0.0, df as f64);
    // Beyond mean + 40 standard deviations nothing is left.
    let end = df as f64 + 40.0 * (2.0 * df as f64).sqrt();
    while high < end && distribution(high, df) < p {
        high *= 2.0;
    }
    for _ in 0..N_HALVINGS {
        let middle = 0.5 * (low + high);
        if distribution(middle, df) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// P(χ² ≤ x): the regularised lower incomplete gamma function by its series, x^a e^−x / Γ(a + 1) · Σ xⁿ / ((a + 1) … (a + n))
/// with a = df / 2 and half of `x` (Abramowitz & Stegun 6.5.29).
fn distribution(x: f64, df: usize) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let (a, x) = (df as f64 / 2.0, x / 2.0);
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..MAX_TERMS {
        term *= x / (a + n as f64);
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
    }
    (a * x.ln() - x - ln_gamma_after(df) + sum.ln()).exp().min(1.0)
}

/// ln Γ(df / 2 + 1), from Γ(1) = 1 or Γ(1/2) = √π upwards.
fn ln_gamma_after(df: usize) -> f64 {
    let (mut at, mut ln) = if df.is_multiple_of(2) { (1.0, 0.0) } else { (0.5, 0.5 * std::f64::consts::PI.ln()) };
    let end = df as f64 / 2.0 + 1.0;
    while at < end - 0.25 {
        ln += f64::ln(at);
        at += 1.0;
    }
    ln
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_scipy() {
        // from scipy.stats import chi2; chi2.ppf(p, df)
        let cases = [
            (0.95, 1, 3.841458820694124),
            (0.95, 2, 5.991464547107979),
            (0.95, 9, 16.918977604620448),
            (0.95, 10, 18.307038053275146),
            (0.99, 19, 36.19086912927004),
            (0.5, 4, 3.3566939800333224),
            (0.95, 100, 124.3421134004004),
        ];
        for (p, df, expected) in cases {
            let found = quantile(p, df);
            assert!((found - expected).abs() < 1e-9 * expected, "{p} {df}: {found}, expected {expected}");
        }
        // Two degrees of freedom have a closed form: 1 − e^(−x/2).
        assert!((distribution(3.0, 2) - (1.0 - (-1.5f64).exp())).abs() < 1e-15);
        assert!((distribution(quantile(0.95, 5_000), 5_000) - 0.95).abs() < 1e-9);
    }
}
