//! How far curves would move with other rows: pointwise 95 % bands of the bootstrap.

use super::{MIN_BOOTSTRAP, Predicted, Sample, bootstrap};
use crate::{Error, Result, Task};
use serde::{Deserialize, Serialize};

/// Steps of a band from 0 to 1.
const N_STEPS: usize = 40;

/// A band at a place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandPoint {
    /// Horizontal place, 0 … 1.
    pub x: f64,
    /// Lower end of the 95 % interval, 0 … 1.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Bands of the curves of a ranking, by ascending x.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveBands {
    /// Share of the positive rows taken, at a share of the negative ones.
    pub roc: Vec<BandPoint>,
    /// Precision at a recall.
    pub precision_recall: Vec<BandPoint>,
    /// Share of the positive rows taken, at a share of all rows.
    pub gain: Vec<BandPoint>,
    /// Share of the negative rows taken, at a share of all rows: with `gain` the two distributions of the KS picture; empty in
    /// bundles of former versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negatives: Vec<BandPoint>,
    /// Replicates that they are quantiles of.
    pub n_bootstrap: usize,
}

/// Percentile bands of `n_bootstrap` replicates (at least [`MIN_BOOTSTRAP`]), averaged vertically: at each place of the
/// horizontal axis the 2.5 % and 97.5 % quantiles of what the replicates' curves have there (Macskassy, Provost &
/// Rosset 2005). They hold pointwise, not for the whole curve at once.
///
/// Binary targets; fails as [`Sample::new`] does, and with too few replicates.
pub fn curve_bands(
    target: &[f64],
    margins: &[f64],
    weight: Option<&[f64]>,
    seed: u64,
    n_bootstrap: usize,
) -> Result<CurveBands> {
    if n_bootstrap < MIN_BOOTSTRAP {
        return Err(Error::request(format!("{n_bootstrap} bootstrap replicates; at least {MIN_BOOTSTRAP} are needed")));
    }
    let mut sample = Sample::new(Task::Binary, target, Predicted { margins, probabilities: &[] }, weight, 0.5)?;
    let own = curves(&sample);
    let mut drawn: [Vec<[f64; N_STEPS + 1]>; 4] = Default::default();
    bootstrap::resample(&mut sample, n_bootstrap, seed, |sample| {
        for (curves, curve) in drawn.iter_mut().zip(curves(sample)) {
            curves.push(curve);
        }
    });
    let [roc, precision_recall, gain, negatives] = [0, 1, 2, 3].map(|i| band(&own[i], &drawn[i]));
    Ok(CurveBands { roc, precision_recall, gain, negatives, n_bootstrap })
}

/// Receiver operating characteristic, precision by recall, gain, and negatives by rows taken, of a draw at the steps.
fn curves(sample: &Sample) -> [[f64; N_STEPS + 1]; 4] {
    let (total, positive) = sample.totals();
    let negative = total - positive;
    let mut roc = Along::new();
    let mut gain = Along::new();
    let mut negatives = Along::new();
    let mut precision = [0.0; N_STEPS + 1];
    let (mut next, mut above, mut hit_above) = (0, 0.0, 0.0);
    sample.sweep(|all, hit, _| {
        above += all;
        hit_above += hit;
        roc.to((above - hit_above) / negative, hit_above / positive);
        gain.to(above / total, hit_above / positive);
        negatives.to(above / total, (above - hit_above) / negative);
        // The precision at a recall is that of the first cut-off that reaches it; rounding must not hide the last step.
        while all > 0.0 && next <= N_STEPS && hit_above / positive >= step(next) - 1e-12 {
            precision[next] = hit_above / above;
            next += 1;
        }
    });
    [roc.at, precision, gain.at, negatives.at]
}

fn step(i: usize) -> f64 {
    i as f64 / N_STEPS as f64
}

/// A curve of rising x as it is walked along, read at the steps; between two points it is a straight line, and where it
/// rises at a step, the upper end counts.
struct Along {
    at: [f64; N_STEPS + 1],
    last: (f64, f64),
}

impl Along {
    fn new() -> Along {
        Along { at: [0.0; N_STEPS + 1], last: (0.0, 0.0) }
    }

    fn to(&mut self, x: f64, y: f64) {
        let (x0, y0) = self.last;
        let first = (x0 * N_STEPS as f64 - 1e-9).ceil().max(0.0) as usize;
        for i in first..=N_STEPS {
            let place = step(i);
            if place > x + 1e-12 {
                break;
            }
            let share = if x > x0 { ((place - x0) / (x - x0)).clamp(0.0, 1.0) } else { 1.0 };
            self.at[i] = y0 + share * (y - y0);
        }
        self.last = (x, y);
    }
}

/// The quantiles of the replicates at each step, widened to the curve itself.
fn band(own: &[f64; N_STEPS + 1], curves: &[[f64; N_STEPS + 1]]) -> Vec<BandPoint> {
    let at = |i: usize| {
        let ends = bootstrap::percentile_interval(own[i], curves.iter().map(|c| c[i]).collect());
        BandPoint { x: step(i), low: ends.low, high: ends.high }
    };
    (0..=N_STEPS).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::metric::{area, roc_curve};

    #[test]
    fn curves_at_the_steps_are_those_counted_by_hand() {
        // By descending margin: bad, good, bad, good: ROC (0, .5) (.5, .5) (.5, 1) (1, 1); gain (.25, .5) (.5, .5) (.75, 1) (1, 1).
        let predicted = Predicted { margins: &[0.9, 0.8, 0.7, 0.6], probabilities: &[] };
        let sample = Sample::new(Task::Binary, &[1.0, 0.0, 1.0, 0.0], predicted, None, 0.5).unwrap();
        let [roc, precision, gain, negatives] = curves(&sample);
        assert_eq!((roc[0], roc[10], roc[20], roc[40]), (0.5, 0.5, 1.0, 1.0));
        assert_eq!((precision[0], precision[20], precision[21], precision[40]), (1.0, 1.0, 2.0 / 3.0, 2.0 / 3.0));
        assert_eq!((gain[0], gain[5], gain[10], gain[15], gain[25], gain[40]), (0.0, 0.25, 0.5, 0.5, 0.75, 1.0));
        // Of two good rows the second and the fourth: none at .25, half at .5 and .75, all at 1.
        assert_eq!(
            (negatives[5], negatives[10], negatives[15], negatives[20], negatives[30]),
            (0.0, 0.0, 0.25, 0.5, 0.5)
        );
    }

    #[test]
    fn bands_hold_the_curve_and_are_as_wide_as_its_binomial_error() {
        let mut rng = Rng::new(11);
        let target: Vec<f64> = (0..1200).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let margins: Vec<f64> = target.iter().map(|y| y + rng.normal()).collect();
        let bands = curve_bands(&target, &margins, None, 1, 200).unwrap();
        assert_eq!(bands, curve_bands(&target, &margins, None, 1, 200).unwrap());
        let roc = roc_curve(&target, &margins, None).unwrap();
        for band in &bands.roc {
            let there = roc.iter().rfind(|p| p.x <= band.x).unwrap();
            assert!(band.low <= there.y + 0.02 && band.high >= there.y - 0.02, "{band:?} {there:?}");
        }
        // 400 positives: a share of one half has a standard error of about √(.25 / 400) = .025, with that of the cut-off more.
        let middle = bands.roc.iter().find(|b| b.low < 0.7 && b.high > 0.6).unwrap();
        assert!((0.06..0.2).contains(&(middle.high - middle.low)), "{middle:?}");
        assert!(area(&margins, &target, &[1.0; 1200]) > 0.7);
    }

    #[test]
    fn few_replicates_and_one_class_are_refused() {
        let check = |target: &[f64], n: usize, expected: &str| {
            assert_eq!(curve_bands(target, &[0.1, 0.2], None, 1, n).unwrap_err().to_string(), expected);
        };
        check(&[0.0, 1.0], 39, "39 bootstrap replicates; at least 40 are needed");
        check(&[1.0, 1.0], 40, "the target is 1 on all 2 rows; at least 2 different classes are needed");
    }
}
