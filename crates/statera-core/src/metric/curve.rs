//! Curves for pictures, of at most [`MAX_POINTS`] points.

use super::{Predicted, Sample, Z_95, calibration_error};
use crate::{Result, Task};
use serde::{Deserialize, Serialize};

/// Most points a curve has; more cannot be told apart in a picture.
pub const MAX_POINTS: usize = 200;

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Horizontal place, 0 … 1.
    pub x: f64,
    /// Vertical place, 0 … 1.
    pub y: f64,
    /// Rows with at least this margin are taken as positive; `None` where none is.
    pub cutoff: Option<f64>,
}

/// The two distributions at a margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KsPoint {
    /// Share of all rows at or above the margin.
    pub share: f64,
    /// Share of the positive rows at or above it.
    pub positive: f64,
    /// Share of the negative rows at or above it.
    pub negative: f64,
    /// The margin; `None` above the highest.
    pub cutoff: Option<f64>,
}

/// Rows of similar probability, and what came true.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    /// Mean probability.
    pub probability: f64,
    /// Share of positive rows.
    pub rate: f64,
    /// Lower end of the rate's 95 % interval (Wilson 1927).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Weight of the rows.
    pub n_rows: f64,
}

/// Receiver operating characteristic from (0, 0) to (1, 1): share of the negative rows taken (x) and of the positive
/// ones (y). Binary; fails as [`Sample::new`] does.
pub fn roc_curve(target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> Result<Vec<CurvePoint>> {
    let points = ks_points(target, margins, weight)?;
    let thinned = thin(&points, |p| p.positive + p.negative, MAX_POINTS);
    Ok(thinned.into_iter().map(|p| CurvePoint { x: p.negative, y: p.positive, cutoff: p.cutoff }).collect())
}

/// Precision (y) over recall (x), by ascending recall. Binary; fails as [`Sample::new`] does.
pub fn precision_recall_curve(target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> Result<Vec<CurvePoint>> {
    let sample = binary(target, margins, weight)?;
    let (_, total_positive) = sample.totals();
    let (mut above, mut positive) = (0.0, 0.0);
    let mut points = Vec::new();
    sample.sweep(|all, hit, margin| {
        above += all;
        positive += hit;
        points.push(CurvePoint { x: positive / total_positive, y: positive / above, cutoff: Some(margin) });
    });
    Ok(thin(&points, |p| p.x, MAX_POINTS))
}

/// The distributions of both classes by descending margin; the point of their greatest distance (KS) is always one of
/// them. Binary; fails as [`Sample::new`] does.
pub fn ks_curve(target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> Result<Vec<KsPoint>> {
    let points = ks_points(target, margins, weight)?;
    let distance = |p: &KsPoint| (p.positive - p.negative).abs();
    let greatest = *points.iter().max_by(|a, b| distance(a).total_cmp(&distance(b))).expect("there are two points");
    let mut thinned = thin(&points, |p| p.share, MAX_POINTS - 1);
    let place = thinned.partition_point(|p| p.share < greatest.share);
    if thinned[place] != greatest {
        thinned.insert(place, greatest);
    }
    Ok(thinned)
}

/// Ten bins of equal count by ascending probability, fewer where probabilities tie: the reliability diagram.
/// Binary; fails as [`Sample::new`] does.
pub fn reliability(target: &[f64], probabilities: &[f64], weight: Option<&[f64]>) -> Result<Vec<ReliabilityBin>> {
    let predicted = Predicted { margins: probabilities, probabilities };
    let sample = Sample::new(Task::Binary, target, predicted, weight, 0.5)?;
    let bins = calibration_error::bins(&sample);
    let filled = bins.iter().rev().filter(|b| b.weight > 0.0).map(|b| {
        let rate = b.positive / b.weight;
        // Rows that count equally and have the variance of these weights: Kish's effective number.
        let (low, high) = wilson(rate, b.weight * b.weight / b.weight_squared, Z_95);
        ReliabilityBin { probability: b.probability / b.weight, rate, low, high, n_rows: b.weight }
    });
    Ok(filled.collect())
}

/// Wilson's score interval of a share seen in `n` rows; `z` is the two-sided quantile of its level.
pub fn wilson(share: f64, n: f64, z: f64) -> (f64, f64) {
    let z2 = z * z;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0).min(share), (centre + half).min(1.0).max(share))
}

fn binary(target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> Result<Sample> {
    Sample::new(Task::Binary, target, Predicted { margins, probabilities: &[] }, weight, 0.5)
}

fn ks_points(target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> Result<Vec<KsPoint>> {
    let sample = binary(target, margins, weight)?;
    let (total, total_positive) = sample.totals();
    let (mut positive, mut negative) = (0.0, 0.0);
    let mut points = vec![KsPoint { share: 0.0, positive: 0.0, negative: 0.0, cutoff: None }];
    sample.sweep(|all, hit, margin| {
        positive += hit;
        negative += all - hit;
        points.push(KsPoint {
            share: ((positive + negative) / total).min(1.0),
            positive: (positive / total_positive).min(1.0),
            negative: (negative / (total - total_positive)).min(1.0),
            cutoff: Some(margin),
        });
    });
    Ok(points)
}

/// At most `n` of the points, the first and the last among them, evenly spaced in a progress that never falls.
fn thin<P: Copy>(points: &[P], progress: impl Fn(&P) -> f64, n: usize) -> Vec<P> {
    if points.len() <= n {
        return points.to_vec();
    }
    let last = points.len() - 1;
    let (start, length) = (progress(&points[0]), progress(&points[last]) - progress(&points[0]));
    let mut kept: Vec<usize> = (0..n - 1)
        .map(|step| {
            let wanted = start + length * step as f64 / (n - 1) as f64;
            points.partition_point(|p| progress(p) < wanted).min(last)
        })
        .collect();
    kept.push(last);
    kept.dedup();
    kept.into_iter().map(|i| points[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn small_curves_are_those_of_scikit_learn() {
        // from sklearn.metrics import roc_curve, precision_recall_curve
        // y = [0, 0, 1, 1, 0, 1]; s = [.1, .4, .35, .8, .35, .7]; w = [1, 2, 1, 1, 1, 2]
        // roc_curve(y, s, sample_weight=w, drop_intermediate=False) -> fpr [0, 0, 0, .5, .75, 1], tpr [0, .25, .75, .75, 1, 1]
        // precision_recall_curve(y, s, sample_weight=w) -> precision [.5, .5714.., .6, 1, 1, 1], recall [1, 1, .75, .75, .25, 0]
        let (y, s) = ([0.0, 0.0, 1.0, 1.0, 0.0, 1.0], [0.1, 0.4, 0.35, 0.8, 0.35, 0.7]);
        let w = [1.0, 2.0, 1.0, 1.0, 1.0, 2.0];
        let roc = roc_curve(&y, &s, Some(&w)).unwrap();
        let places: Vec<(f64, f64)> = roc.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(places, [(0.0, 0.0), (0.0, 0.25), (0.0, 0.75), (0.5, 0.75), (0.75, 1.0), (1.0, 1.0)]);
        assert_eq!(roc.iter().map(|p| p.cutoff).collect::<Vec<_>>()[..3], [None, Some(0.8), Some(0.7)]);
        let pr = precision_recall_curve(&y, &s, Some(&w)).unwrap();
        let places: Vec<(f64, f64)> = pr.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(places, [(0.25, 1.0), (0.75, 1.0), (0.75, 0.6), (1.0, 4.0 / 7.0), (1.0, 0.5)]);
        let ks = ks_curve(&y, &s, Some(&w)).unwrap();
        assert_eq!(ks[2], KsPoint { share: 0.375, positive: 0.75, negative: 0.0, cutoff: Some(0.7) });
    }

    #[test]
    fn long_curves_are_bounded_and_keep_their_ends_and_the_greatest_distance() {
        let mut rng = Rng::new(5);
        let y: Vec<f64> = (0..5000).map(|i| f64::from(u8::from(i % 9 == 0))).collect();
        let s: Vec<f64> = y.iter().map(|y| y + rng.normal()).collect();
        let roc = roc_curve(&y, &s, None).unwrap();
        assert!(roc.len() <= MAX_POINTS && roc.len() > 100, "{}", roc.len());
        assert_eq!((roc[0].x, roc[0].y, roc[roc.len() - 1].x, roc[roc.len() - 1].y), (0.0, 0.0, 1.0, 1.0));
        assert!(roc.windows(2).all(|p| p[0].x <= p[1].x && p[0].y <= p[1].y));
        let trapezes: f64 = roc.windows(2).map(|p| (p[1].x - p[0].x) * (p[1].y + p[0].y) / 2.0).sum();
        let area = super::super::area(&s, &y, &vec![1.0; y.len()]);
        assert!((trapezes - area).abs() < 0.002, "{trapezes} {area}");
        let ks = ks_curve(&y, &s, None).unwrap();
        assert!(ks.len() <= MAX_POINTS, "{}", ks.len());
        let sample = binary(&y, &s, None).unwrap();
        let greatest = ks.iter().map(|p| (p.positive - p.negative).abs()).fold(0.0, f64::max);
        assert_eq!(greatest, (super::super::ks::KS.compute)(&sample));
        assert!(precision_recall_curve(&y, &s, None).unwrap().len() <= MAX_POINTS);
    }

    #[test]
    fn reliability_bins_hold_equal_counts_and_wilson_intervals() {
        // from scipy.stats import binomtest; binomtest(2, 10).proportion_ci(method="wilson") -> low 0.0566821…, high 0.5098375…
        let (low, high) = wilson(0.2, 10.0, Z_95);
        assert!((low - 0.05668215).abs() < 1e-8 && (high - 0.50983753).abs() < 1e-8, "{low} {high}");
        let p: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let y: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 < i / 10))).collect();
        let bins = reliability(&y, &p, None).unwrap();
        assert_eq!(bins.len(), 10);
        for (i, bin) in bins.iter().enumerate() {
            assert_eq!(bin.n_rows, 10.0);
            assert!((bin.rate - i as f64 / 10.0).abs() < 1e-12 && bin.low <= bin.rate && bin.rate <= bin.high);
            assert!((bin.probability - (i as f64 / 10.0 + 0.045)).abs() < 1e-12);
        }
        let tied = reliability(&[0.0, 1.0, 1.0], &[0.5, 0.5, 0.5], Some(&[1.0, 1.0, 2.0])).unwrap();
        assert_eq!((tied.len(), tied[0].rate, tied[0].n_rows), (1, 0.75, 4.0));
    }
}
