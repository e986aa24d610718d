//! How probabilities are distributed, by outcome.

use super::Z_95;
use super::curve::wilson;
use super::{Predicted, Sample};
use crate::{Result, Task};
use serde::{Deserialize, Serialize};

/// Bins of equal width.
const N_BINS: usize = 20;
/// Share of the rows that the last bin's end may leave above it; that bin holds them too.
const LEFT_ABOVE: f64 = 0.005;
/// Ends of the last bin, the smallest that leaves few rows above it.
const ENDS: [f64; 10] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0];

/// Rows of probabilities from `from` to below `to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreBin {
    /// Lower end.
    pub from: f64,
    /// Upper end; the last bin holds every higher probability too.
    pub to: f64,
    /// Weight of its rows with the event.
    pub n_events: f64,
    /// Weight of its rows without.
    pub n_others: f64,
    /// Ends of the 95 % interval of its share of the rows with the event; `None` in bundles of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_interval: Option<[f64; 2]>,
    /// The same of the rows without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_interval: Option<[f64; 2]>,
}

/// Twenty bins of equal width by ascending probability. They end where at most a two-hundredth of the rows is above, so
/// that the rows of a rare event do not all fall into the first bin.
///
/// Binary targets; fails as [`Sample::new`] does.
pub fn score_distribution(target: &[f64], probabilities: &[f64], weight: Option<&[f64]>) -> Result<Vec<ScoreBin>> {
    let predicted = Predicted { margins: probabilities, probabilities };
    let sample = Sample::new(Task::Binary, target, predicted, weight, 0.5)?;
    let (total, _) = sample.totals();
    let above = |end: f64| -> f64 {
        let rows = sample.probability.iter().zip(&sample.weight);
        rows.filter(|(p, _)| **p > end).map(|(_, w)| w).sum()
    };
    let end = ENDS.into_iter().find(|&end| above(end) <= LEFT_ABOVE * total).unwrap_or(1.0);
    let edge = |i: usize| end * i as f64 / N_BINS as f64;
    let empty = |i: usize| ScoreBin {
        from: edge(i),
        to: edge(i + 1),
        n_events: 0.0,
        n_others: 0.0,
        events_interval: None,
        others_interval: None,
    };
    let mut bins: Vec<ScoreBin> = (0..N_BINS).map(empty).collect();
    for ((&p, &y), &w) in sample.probability.iter().zip(&sample.target).zip(&sample.weight) {
        let bin = bins.partition_point(|b| b.to <= p).min(N_BINS - 1);
        bins[bin].n_events += w * y;
        bins[bin].n_others += w * (1.0 - y);
    }
    let events = Class::of(&sample, 1.0);
    let others = Class::of(&sample, 0.0);
    for bin in &mut bins {
        bin.events_interval = Some(events.interval(bin.n_events));
        bin.others_interval = Some(others.interval(bin.n_others));
    }
    Ok(bins)
}

/// The rows of an outcome.
struct Class {
    weight: f64,
    weight_squared: f64,
}

impl Class {
    fn of(sample: &Sample, outcome: f64) -> Class {
        let own = sample.weight.iter().zip(&sample.target).filter(|(_, y)| **y == outcome);
        let (weight, weight_squared) = own.fold((0.0, 0.0), |sum, (w, _)| (sum.0 + w, sum.1 + w * w));
        Class { weight, weight_squared }
    }

    /// The interval of the share that rows of some weight are of it.
    fn interval(&self, weight: f64) -> [f64; 2] {
        let (low, high) = wilson(weight / self.weight, self.weight * self.weight / self.weight_squared, Z_95);
        [low, high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_row_and_end_where_few_are_above() {
        let p = [0.0, 0.049, 0.05, 0.5, 0.999, 1.0];
        let bins =
            score_distribution(&[0.0, 1.0, 0.0, 1.0, 1.0, 1.0], &p, Some(&[1.0, 2.0, 1.0, 1.0, 1.0, 1.0])).unwrap();
        assert_eq!((bins.len(), bins[0].from, bins[19].to), (20, 0.0, 1.0));
        assert_eq!((bins[0].n_events, bins[0].n_others, bins[1].n_others), (2.0, 1.0, 1.0));
        assert_eq!((bins[10].n_events, bins[19].n_events), (1.0, 2.0));
        assert_eq!(bins.iter().map(|b| b.n_events + b.n_others).sum::<f64>(), 7.0);
        // Events weigh 2, 1, 1 and 1 in four rows: 25 / 7 rows that count equally. By hand, of a share of 2/5:
        // (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n) with z² = 3.841459.
        let [low, high] = bins[0].events_interval.unwrap();
        let (p, n, z2): (f64, f64, f64) = (0.4, 25.0 / 7.0, 3.841_458_820_694_124);
        let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt();
        let ends = [(p + z2 / (2.0 * n) - half) / (1.0 + z2 / n), (p + z2 / (2.0 * n) + half) / (1.0 + z2 / n)];
        assert!((low - ends[0]).abs() < 1e-9 && (high - ends[1]).abs() < 1e-9, "{low} {high} {ends:?}");
        assert!((low - 0.09537).abs() < 1e-5 && (high - 0.80827).abs() < 1e-5, "{low} {high}");
        let empty = bins[5].others_interval.unwrap();
        assert!(empty[0] == 0.0 && empty[1] > 0.5, "none of two rows: {empty:?}");
        // One of 300 lies above .02: the bins end there, and the last holds it.
        let mut p = vec![0.012; 300];
        p[0] = 0.9;
        let mut y = vec![0.0; 300];
        y[0] = 1.0;
        let bins = score_distribution(&y, &p, None).unwrap();
        assert_eq!((bins[19].to, bins[19].n_events, bins[12].n_others), (0.02, 1.0, 299.0));
    }
}
