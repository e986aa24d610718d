//! Fine bins of a number: where a cut may lie at all.

use super::optimal::Counts;

/// A run of neighbouring values: the least, the greatest, and its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fine {
    pub low: f64,
    pub high: f64,
    pub counts: Counts,
}

/// Groups values so that each group has about `1 / max_bins` of the weight; a value that is heavier stands alone, so that
/// there are at most about twice as many groups. With few distinct values each is a group. `cells` are
/// (value, weight, is bad) of the rows with positive weight, in any order.
pub(super) fn prebin(mut cells: Vec<(f64, f64, bool)>, max_bins: usize) -> Vec<Fine> {
    // A stable sort keeps equal values in row order: sums of fractional weights do not depend on the algorithm.
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut values: Vec<Fine> = Vec::new();
    for (value, weight, is_bad) in cells {
        match values.last_mut() {
            Some(last) if last.high == value => last.counts.add(weight, is_bad),
            _ => {
                let mut counts = Counts::default();
                counts.add(weight, is_bad);
                values.push(Fine { low: value, high: value, counts });
            }
        }
    }
    if values.len() <= max_bins {
        return values;
    }
    let total: f64 = values.iter().map(|v| v.counts.weight()).sum();
    let share = total / max_bins as f64;
    let mut fine: Vec<Fine> = Vec::new();
    let mut open = false;
    for value in values {
        let is_heavy = value.counts.weight() >= share;
        match fine.last_mut() {
            Some(last) if open && !is_heavy => {
                last.high = value.high;
                last.counts = last.counts.plus(value.counts);
            }
            _ => fine.push(value),
        }
        open = fine.last().is_some_and(|f| f.counts.weight() < share);
    }
    fine
}

/// The cut between two neighbouring values, `low < cut ≤ high`, with the fewest digits; a value below the cut lies left of it.
pub(super) fn simplest_cut(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    for exponent in (-12..=15).rev() {
        // Dividing by an exact power of ten rounds to the double that the decimal text means.
        let cut = if exponent >= 0 {
            let step = 10f64.powi(exponent);
            (middle / step).round() * step
        } else {
            let step = 10f64.powi(-exponent);
            (middle * step).round() / step
        };
        if cut > low && cut <= high {
            return cut + 0.0; // never a negative zero
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_have_few_digits() {
        for (low, high, expected) in [
            (1.0, 2.0, 2.0),
            (19.0, 20.0, 20.0),
            (9.4, 9.6, 9.5),
            (-0.3, 0.2, 0.0),
            (48_321.0, 51_877.0, 50_000.0),
            (0.123_41, 0.123_49, 0.123_45),
            (1.0, 1.0 + f64::EPSILON, 1.0 + f64::EPSILON),
        ] {
            let cut = simplest_cut(low, high);
            assert!(low < cut && cut <= high);
            assert_eq!(cut.to_bits(), f64::to_bits(expected), "between {low} and {high}");
        }
    }

    #[test]
    fn heavy_values_stand_alone() {
        // 50 zeros among 1 … 50: the zero alone, the rest in groups of 10 at least.
        let cells: Vec<(f64, f64, bool)> = (0..100).map(|i| (f64::from((i - 49).max(0)), 1.0, i % 3 == 0)).collect();
        let fine = prebin(cells, 10);
        assert_eq!((fine[0].low, fine[0].high, fine[0].counts.weight()), (0.0, 0.0, 50.0));
        let rest: Vec<f64> = fine[1..].iter().map(|f| f.counts.weight()).collect();
        assert_eq!(rest, [10.0; 5]);
        assert!(fine.windows(2).all(|w| w[0].high < w[1].low));
    }

    #[test]
    fn few_values_are_all_kept() {
        let fine = prebin(vec![(3.0, 1.0, true), (1.0, 2.0, false), (3.0, 0.5, false)], 10);
        assert_eq!(fine.len(), 2);
        assert_eq!(fine[1].counts, Counts { good: 0.5, bad: 1.0 });
    }
}
