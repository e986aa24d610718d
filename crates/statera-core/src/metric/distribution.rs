//! How probabilities are distributed, by outcome.

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
    let mut bins: Vec<ScoreBin> =
        (0..N_BINS).map(|i| ScoreBin { from: edge(i), to: edge(i + 1), n_events: 0.0, n_others: 0.0 }).collect();
    for ((&p, &y), &w) in sample.probability.iter().zip(&sample.target).zip(&sample.weight) {
        let bin = bins.partition_point(|b| b.to <= p).min(N_BINS - 1);
        bins[bin].n_events += w * y;
        bins[bin].n_others += w * (1.0 - y);
    }
    Ok(bins)
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
        // One of 300 lies above .02: the bins end there, and the last holds it.
        let mut p = vec![0.012; 300];
        p[0] = 0.9;
        let mut y = vec![0.0; 300];
        y[0] = 1.0;
        let bins = score_distribution(&y, &p, None).unwrap();
        assert_eq!((bins[19].to, bins[19].n_events, bins[12].n_others), (0.02, 1.0, 299.0));
    }
}
