//! The bootstrap: rows drawn with replacement, expressed as weights.

use super::{Interval, Sample};
use crate::Rng;

/// Draws before a replicate with one class only is given up and the sample itself stands in for it.
const MAX_REDRAWS: usize = 100;

/// Calls `visit` with each of `n_replicates` draws of the sample and leaves the sample as it was.
///
/// Nothing is copied or sorted: a draw is the sample with other weights. A draw in which all targets are the same says
/// nothing and is drawn again. Replicate `r` depends on `seed` and `r` only.
pub(super) fn resample(sample: &mut Sample, n_replicates: usize, seed: u64, mut visit: impl FnMut(&Sample)) {
    let weight = sample.weight.clone();
    for replicate in 0..n_replicates {
        let mut rng = Rng::fork(seed, replicate as u64);
        sample.weight.fill(0.0);
        for attempt in 0..=MAX_REDRAWS {
            if attempt == MAX_REDRAWS {
                sample.weight.copy_from_slice(&weight);
                break;
            }
            draw(&weight, &mut rng, &mut sample.weight);
            if sample.is_varied() {
                break;
            }
        }
        visit(sample);
    }
    sample.weight = weight;
}

/// Sets `drawn` to weight × number of draws, of as many draws as there are rows.
pub(crate) fn draw(weight: &[f64], rng: &mut Rng, drawn: &mut [f64]) {
    drawn.fill(0.0);
    for _ in 0..weight.len() {
        let row = rng.below(weight.len());
        drawn[row] += weight[row];
    }
}

/// The 2.5 % and 97.5 % quantiles of the replicates (interpolated linearly), widened to `value` where it lies outside.
pub(crate) fn percentile_interval(value: f64, mut replicates: Vec<f64>) -> Interval {
    replicates.sort_unstable_by(f64::total_cmp);
    let quantile = |q: f64| {
        let place = q * (replicates.len() - 1) as f64;
        let below = replicates[place as usize];
        let above = replicates[(place as usize + 1).min(replicates.len() - 1)];
        below + (above - below) * place.fract()
    };
    Interval { value, low: quantile(0.025).min(value), high: quantile(0.975).max(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Task, metric::Predicted};

    #[test]
    fn quantiles_are_interpolated_as_numpy_does() {
        // np.quantile(np.arange(41.0), [.025, .975]) -> [1., 39.]; np.quantile([0., 1., 4., 9.], [.025, .975]) -> [.075, 8.625]
        let whole = percentile_interval(20.0, (0..41).rev().map(f64::from).collect());
        assert_eq!((whole.low, whole.high), (1.0, 39.0));
        let few = percentile_interval(2.0, vec![9.0, 0.0, 4.0, 1.0]);
        assert!((few.low - 0.075).abs() < 1e-12 && (few.high - 8.625).abs() < 1e-12, "{few:?}");
        assert_eq!(percentile_interval(-3.0, vec![0.0, 1.0]).low, -3.0);
    }

    #[test]
    fn draws_keep_both_classes_and_restore_the_weights() {
        let target = [0.0, 0.0, 0.0, 0.0, 1.0];
        let weight = [1.0, 2.0, 1.0, 1.0, 3.0];
        let predicted = Predicted { margins: &[0.0, 0.1, 0.2, 0.3, 0.4], probabilities: &[] };
        let mut sample = Sample::new(Task::Binary, &target, predicted, Some(&weight), 0.5).unwrap();
        let before = sample.weight.clone();
        let mut positive_draws = 0.0;
        resample(&mut sample, 2000, 1, |drawn| {
            assert!(drawn.is_varied());
            positive_draws += drawn.totals().1 / 3.0;
        });
        assert_eq!(sample.weight, before);
        // The positive row is drawn Binomial(5, 1/5) times, given that it and another are: 1 / (1 - .8^5 - .2^5) less the
        // draws of it alone, which cost 5 · .2^5: (1 - 5 · .2^5) / (1 - .8^5 - .2^5) = 1.4851.
        assert!((positive_draws / 2000.0 - 1.4851).abs() < 0.05, "{}", positive_draws / 2000.0);
    }
}
