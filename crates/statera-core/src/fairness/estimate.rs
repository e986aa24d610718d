//! What rows know of a group's figure, and the intervals of two groups' figures beside each other.
//!
//! The interval of a share is Wilson's (1927), which has a width where none or all of the rows have what is counted. Those of a
//! difference and a ratio are recovered from the intervals of both sides: Newcombe (1998, method 10) and Zou & Donner (2008) for
//! the difference, Donner & Zou (2012) for the ratio. Groups count as independent samples.

use crate::metric::{Interval, wilson};

/// A figure, and how well it is known: intervals of any level follow from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Estimate {
    /// A share, as well known as by `n` rows of weight 1.
    Share { value: f64, n: f64 },
    /// A figure from `range[0]` to `range[1]` with its standard error.
    Normal { value: f64, error: f64, range: [f64; 2] },
    /// A number that is given, less a share.
    Less { given: f64, share: f64, n: f64 },
}

impl Estimate {
    /// The figure with its interval; `z` is the two-sided normal quantile of the level.
    pub fn interval(self, z: f64) -> Interval {
        match self {
            Estimate::Share { value, n } => {
                let (low, high) = wilson(value, n, z);
                Interval { value, low, high }
            }
            Estimate::Normal { value, error, range: [least, greatest] } => Interval {
                value,
                low: (value - z * error).max(least).min(value),
                high: (value + z * error).min(greatest).max(value),
            },
            Estimate::Less { given, share, n } => {
                let (low, high) = wilson(share, n, z);
                Interval { value: given - share, low: given - high, high: given - low }
            }
        }
    }
}

/// Sums of weights and of their squares over rows that have what is counted (`yes`) and rows that have not; a row may have it in
/// part.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    yes: f64,
    no: f64,
    yes_squared: f64,
    no_squared: f64,
}

impl Tally {
    /// Counts a row of a weight that has `share` (0 to 1) of what is counted.
    pub fn add(&mut self, weight: f64, share: f64) {
        self.yes += weight * share;
        self.no += weight * (1.0 - share);
        self.yes_squared += weight * weight * share;
        self.no_squared += weight * weight * (1.0 - share);
    }

    /// The rows of two tallies.
    pub fn and(self, other: Tally) -> Tally {
        Tally {
            yes: self.yes + other.yes,
            no: self.no + other.no,
            yes_squared: self.yes_squared + other.yes_squared,
            no_squared: self.no_squared + other.no_squared,
        }
    }

    /// What is not counted, counted.
    pub fn turned(self) -> Tally {
        Tally { yes: self.no, no: self.yes, yes_squared: self.no_squared, no_squared: self.yes_squared }
    }

    /// Sum of the weights.
    pub fn weight(self) -> f64 {
        self.yes + self.no
    }

    /// The share that has what is counted; `None` without rows.
    ///
    /// Rows that weigh differently know as much as so many of weight 1: those of the same variance, or Kish's (Σw)² / Σw²
    /// where that is less. The variance is that of a bootstrap within the group in the limit of many draws,
    /// Σ w² (y − p)² / (Σw)²; of rows that weigh the same both numbers are that of the rows.
    pub fn share(self) -> Option<Estimate> {
        let total = self.weight();
        if total <= 0.0 {
            return None;
        }
        let p = self.yes / total;
        let kish = total * total / (self.yes_squared + self.no_squared);
        let variance = ((1.0 - p).powi(2) * self.yes_squared + p * p * self.no_squared) / (total * total);
        let n = if variance > 0.0 { kish.min(p * (1.0 - p) / variance) } else { kish };
        Some(Estimate::Share { value: p, n })
    }
}

/// `a` minus `b`.
pub(super) fn difference(a: Interval, b: Interval) -> Interval {
    let value = a.value - b.value;
    let root = |x: f64, y: f64| (x * x + y * y).sqrt();
    Interval {
        value,
        low: value - root(a.value - a.low, b.high - b.value),
        high: value + root(a.high - a.value, b.value - b.low),
    }
}

/// `a` over `b`, of shares; `None` where `b` may be 0.
///
/// With p = a b and f(x, y) = x (2 y − x) the ends are (p − √(p² − f(a.low) f(b.high))) / f(b.high) and
/// (p + √(p² − f(a.high) f(b.low))) / f(b.low); the first is written so that f(b.high) may be 0 or below.
pub(super) fn ratio(a: Interval, b: Interval) -> Option<Interval> {
    if b.low <= 0.0 {
        return None;
    }
    let value = a.value / b.value;
    let product = a.value * b.value;
    let f = |end: f64, value: f64| end * (2.0 * value - end);
    let root = |a: f64, b: f64| (product * product - a * b).max(0.0).sqrt();
    let (low_a, high_a) = (f(a.low, a.value), f(a.high, a.value));
    let (low_b, high_b) = (f(b.low, b.value), f(b.high, b.value));
    let low = if product > 0.0 { low_a / (product + root(low_a, high_b)) } else { 0.0 };
    let high = (product + root(high_a, low_b)) / low_b;
    Some(Interval { value, low: low.min(value), high: high.max(value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Z_95;

    fn share(n_yes: usize, n: usize) -> Estimate {
        let mut tally = Tally::default();
        (0..n).for_each(|i| tally.add(1.0, f64::from(u8::from(i < n_yes))));
        tally.share().expect("rows")
    }

    fn check(found: Interval, [value, low, high]: [f64; 3]) {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * b.abs().max(1.0);
        assert!(near(found.value, value) && near(found.low, low) && near(found.high, high), "{found:?}");
    }

    #[test]
    fn shares_have_wilsons_interval_also_where_all_rows_agree() {
        // from scipy.stats import binomtest; binomtest(56, 70).proportion_ci(method="wilson")
        check(share(56, 70).interval(Z_95), [0.8, 0.6918335550374693, 0.8769526075163704]);
        // n / (n + z²) and z² / (n + z²)
        let z2 = Z_95 * Z_95;
        check(share(20, 20).interval(Z_95), [1.0, 20.0 / (20.0 + z2), 1.0]);
        check(share(0, 20).interval(Z_95), [0.0, 0.0, z2 / (20.0 + z2)]);
        let given = Estimate::Less { given: 0.25, share: 0.0, n: 20.0 };
        check(given.interval(Z_95), [0.25, 0.25 - z2 / (20.0 + z2), 0.25]);
        let sure = Estimate::Normal { value: 0.98, error: 0.02, range: [0.0, 1.0] };
        check(sure.interval(2.0), [0.98, 0.94, 1.0]);
    }

    #[test]
    fn rows_that_weigh_differently_know_less() {
        let of = |rows: &[(f64, f64)]| {
            let mut tally = Tally::default();
            rows.iter().for_each(|(weight, share)| tally.add(*weight, *share));
            tally.share()
        };
        let n = |rows: &[(f64, f64)]| match of(rows) {
            Some(Estimate::Share { n, .. }) => n,
            other => panic!("{other:?}"),
        };
        // Four rows of weight 3 count as four rows, whatever the unit of a weight is.
        assert!((n(&[(3.0, 1.0), (3.0, 0.0), (3.0, 1.0), (3.0, 1.0)]) - 4.0).abs() < 1e-12);
        // Kish: 10² / (64 + 4) where all agree.
        assert!((n(&[(8.0, 1.0), (2.0, 1.0)]) - 100.0 / 68.0).abs() < 1e-12);
        // p = 3/4, variance (1/16 · (4 + 1) + 9/16 · 1) / 16 = 7/128: 3/16 / (7/128) = 24/7, above Kish's 16/6.
        assert!((n(&[(2.0, 1.0), (1.0, 1.0), (1.0, 0.0)]) - 16.0 / 6.0).abs() < 1e-12);
        // p = 1/4, variance (9/16 · 1 + 1/16 · 9) / 16 = 9/128: 3/16 / (9/128) = 8/3, above Kish's 16/10.
        assert!((n(&[(1.0, 1.0), (3.0, 0.0)]) - 1.6).abs() < 1e-12);
        // A row that is approved by half is a row by lot: its variance is that of a whole one.
        assert!((n(&[(1.0, 0.5), (1.0, 0.5)]) - 2.0).abs() < 1e-12);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn differences_have_the_intervals_that_newcombe_published() {
        // Newcombe (1998), «Interval estimation for the difference between independent proportions», table II, method 10.
        for (a, b, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((10, 10), (0, 20), 0.6791, 1.0000),
            ((5, 56), (0, 29), -0.0381, 0.1926),
        ] {
            let found = difference(share(a.0, a.1).interval(Z_95), share(b.0, b.1).interval(Z_95));
            assert!((found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5, "{a:?} {b:?}: {found:?}");
        }
    }

    #[test]
    fn ratios_have_the_intervals_of_the_formula_as_published() {
        let of = |a: (usize, usize), b: (usize, usize)| {
            ratio(share(a.0, a.1).interval(Z_95), share(b.0, b.1).interval(Z_95))
        };
        // Both ends of the formula as it is printed, in Python, with scipy's normal quantile.
        for (a, b, expected) in [
            ((56, 70), (48, 80), [4.0 / 3.0, 1.0782946132402962, 1.6629199665110788]),
            ((9, 10), (3, 10), [3.0, 1.322396507007772, 8.368906115741073]),
            ((0, 20), (10, 20), [0.0, 0.0, 0.3518396395057664]),
            ((20, 20), (20, 20), [1.0, 0.8388748419471808, 1.1920729410347062]),
            ((1, 200), (150, 200), [1.0 / 150.0, 0.0011768818632640755, 0.03719883613315987]),
            ((150, 200), (1, 200), [150.0, 26.88256149790068, 849.7029576328971]),
        ] {
            check(of(a, b).expect("some of the others"), expected);
        }
        assert_eq!(of((1, 20), (0, 20)), None);
    }
}
