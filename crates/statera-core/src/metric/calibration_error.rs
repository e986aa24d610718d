//! Expected calibration error over bins of equal count (Naeini, Cooper & Hauskrecht 2015, with equal-mass bins as in
//! Nixon et al. 2019).

use super::{Metric, Needs, Sample};
use crate::Task;

/// Bins.
pub(super) const N_BINS: usize = 10;

/// Weighted mean over the bins of |mean probability - share of positive rows|, 0 … 1.
pub(super) const CALIBRATION_ERROR: Metric = Metric {
    name: "calibration_error",
    title: "Calibration error (ECE)",
    higher_is_better: false,
    needs: Needs::Probability,
    applies: |task| task == Task::Binary,
    compute: |sample| {
        let bins = bins(sample);
        let weight: f64 = bins.iter().map(|b| b.weight).sum();
        bins.iter().map(|b| (b.probability - b.positive).abs()).sum::<f64>() / weight
    },
    interval: None,
};

/// Sums over the rows of a bin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bin {
    pub weight: f64,
    pub weight_squared: f64,
    pub probability: f64,
    pub positive: f64,
}

/// The bins from the highest probability down. A run of equal probabilities is never divided: it falls into the bin
/// that holds the middle of its weight, so bins have equal counts as far as ties allow, and some may be empty.
pub(super) fn bins(sample: &Sample) -> [Bin; N_BINS] {
    let scale = N_BINS as f64 / sample.weight.iter().sum::<f64>();
    let mut bins = [Bin::default(); N_BINS];
    let mut above = 0.0;
    let mut run = Bin::default();
    let ranking = &sample.by_probability[0];
    for (&row, &is_last) in ranking.order.iter().zip(&ranking.is_last) {
        let (row, w) = (row as usize, sample.weight[row as usize]);
        run.weight += w;
        run.weight_squared += w * w;
        run.positive += w * sample.target[row];
        if is_last {
            let bin = &mut bins[((above + 0.5 * run.weight) * scale).min((N_BINS - 1) as f64) as usize];
            bin.weight += run.weight;
            bin.weight_squared += run.weight_squared;
            bin.positive += run.positive;
            bin.probability += run.weight * sample.probability[row];
            above += run.weight;
            run = Bin::default();
        }
    }
    bins
}
