//! Fine bins of a number: where a cut may lie at all.

use super::optimal::Counts;

/// A run of neighbouring values: the least, the greatest, and its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fine {
    pub low: f64,
    pub high: f64,
    pub counts: Counts,
}

/// The distinct values of a number, ascending, with their rows. `cells` are (value, weight, is bad) of the rows with positive
/// weight, in any order.
pub(super) fn distinct(mut cells: Vec<(f64, f64, bool)>) -> Vec<Fine> {
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
    values
}

/// Where fine bins end, as indices into `values`: each has about `1 / max_bins` of the weight; a value that is heavier
/// stands alone, so that there are at most about twice as many. With few distinct values each stands alone.
pub(super) fn grid(values: &[Fine], max_bins: usize) -> Vec<usize> {
    if values.len() <= max_bins {
        return (1..=values.len()).collect();
    }
    let share = values.iter().map(|v| v.counts.weight()).sum::<f64>() / max_bins as f64;
    let mut ends = Vec::new();
    let mut open = 0.0;
    for (i, value) in values.iter().enumerate() {
        let weight = value.counts.weight();
        if weight >= share && open > 0.0 {
            ends.push(i);
            open = 0.0;
        }
        open += weight;
        if open >= share || i + 1 == values.len() {
            ends.push(i + 1);
            open = 0.0;
        }
    }
    ends
}

/// The best cuts of a number, as ends of bins in `values`: `merge` partitions a grid of groups, then three times again
/// with ever closer candidates on both sides of the cuts found. Every round has the cuts of the one before among its candidates,
/// so none is worse; the last one resolves about `1 / (200 · max_prebins)` of the weight.
pub(super) fn refine(values: &[Fine], max_prebins: usize, merge: impl Fn(&[Counts]) -> Vec<usize>) -> Vec<usize> {
    const STEPS: i32 = 6;
    let best = |ends: &[usize]| -> Vec<usize> {
        let mut start = 0;
        let mut groups = Vec::with_capacity(ends.len());
        for &end in ends {
            groups.push(values[start..end].iter().fold(Counts::default(), |sum, v| sum.plus(v.counts)));
            start = end;
        }
        merge(&groups).into_iter().filter(|&g| g > 0).map(|g| ends[g - 1]).collect()
    };
    let mut found = best(&grid(values, max_prebins));
    if values.len() <= max_prebins {
        return found;
    }
    // below[i] is the weight of values[..i].
    let mut below = vec![0.0];
    for value in values {
        below.push(below[below.len() - 1] + value.counts.weight());
    }
    let coarse = grid(values, max_prebins.div_ceil(2));
    let mut step = below[values.len()] / max_prebins as f64;
    for _ in 0..3 {
        step /= f64::from(STEPS);
        let mut ends = coarse.clone();
        for &end in &found {
            ends.push(end);
            for t in (-STEPS..=STEPS).filter(|&t| t != 0) {
                let target = below[end] + f64::from(t) * step;
                ends.push(below.partition_point(|&w| w < target).clamp(1, values.len()));
            }
        }
        ends.sort_unstable();
        ends.dedup();
        found = best(&ends);
    }
    found
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
    use super::super::optimal::{Limits, Trend, merge};
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
        // 50 zeros among 1 … 50: the zeros alone, the rest in groups of 10.
        let cells = (0..100).map(|i| (f64::from((i - 49).max(0)), 1.0, i % 3 == 0)).collect();
        let values = distinct(cells);
        assert_eq!((values.len(), values[0].counts.weight()), (51, 50.0));
        assert_eq!(grid(&values, 10), [1, 11, 21, 31, 41, 51]);
    }

    #[test]
    fn few_values_are_all_kept() {
        let values = distinct(vec![(3.0, 1.0, true), (1.0, 2.0, false), (3.0, 0.5, false)]);
        assert_eq!(values.len(), 2);
        assert_eq!(values[1].counts, Counts { good: 0.5, bad: 1.0 });
        assert_eq!(grid(&values, 10), [1, 2]);
    }

    #[test]
    fn refinement_finds_a_cut_between_the_lines_of_the_grid() {
        // Bads begin at value 4321 of 10,000; the grid of 20 has its lines at multiples of 500.
        let values = distinct((0..10_000).map(|i| (f64::from(i), 1.0, i >= 4321)).collect());
        let total = Counts { good: 4321.0, bad: 5679.0 };
        let limits = Limits { max_bins: 2, min_weight: 1.0, min_events: 0.0, tolerance: 0.0 };
        let ends = refine(&values, 20, |groups| merge(groups, total, Trend::Auto, &limits));
        assert!(ends[0].abs_diff(4321) <= 3 && ends[1] == 10_000, "{ends:?}");
    }
}
