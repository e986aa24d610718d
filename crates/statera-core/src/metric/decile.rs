//! Lift and gain by decile of the score.

use super::{Metric, Needs, Predicted, Sample};
use crate::{Result, Task};
use serde::{Deserialize, Serialize};

/// Share of positive rows in the tenth with the highest scores, relative to the share in all rows.
pub(super) const LIFT_TOP_DECILE: Metric = Metric {
    name: "lift_top_decile",
    title: "Lift of the top decile",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: |sample| 10.0 * gains(sample)[0].1 / sample.totals().1,
    interval: None,
};

/// Share of the positive rows that the three tenths with the highest scores hold.
pub(super) const GAIN_TOP_3_DECILES: Metric = Metric {
    name: "gain_top_3_deciles",
    title: "Gain of the top 3 deciles",
    compute: |sample| gains(sample)[2].1 / sample.totals().1,
    ..LIFT_TOP_DECILE
};

/// One tenth of the rows by score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decile {
    /// 1 has the highest scores, 10 the lowest.
    pub decile: usize,
    /// Weight of its rows: a tenth of all.
    pub n_rows: f64,
    /// Weight of its positive rows.
    pub n_positive: f64,
    /// Share of positive rows in it.
    pub rate: f64,
    /// `rate` relative to the share in all rows.
    pub lift: f64,
    /// Share of all positive rows in this and the deciles before.
    pub gain: f64,
}

/// The ten deciles from the highest margin down, each of exactly a tenth of the weight. Rows of equal margin that a
/// decile's end divides count on both sides in proportion, so the figures do not depend on the order of the rows.
///
/// Binary targets; fails as [`Sample::new`] does.
pub fn deciles(target: &[f64], margins: &[f64], weight: Option<&[f64]>) -> Result<Vec<Decile>> {
    let sample = Sample::new(Task::Binary, target, Predicted { margins, probabilities: &[] }, weight, 0.5)?;
    let (all, positive) = sample.totals();
    let gains = gains(&sample);
    let table = (0..10).map(|i| {
        let before = if i == 0 { (0.0, 0.0) } else { gains[i - 1] };
        let (n_rows, n_positive) = (gains[i].0 - before.0, gains[i].1 - before.1);
        let rate = n_positive / n_rows;
        Decile { decile: i + 1, n_rows, n_positive, rate, lift: rate / (positive / all), gain: gains[i].1 / positive }
    });
    Ok(table.collect())
}

/// Weight and positive weight of the top 1, 2, … 10 tenths.
fn gains(sample: &Sample) -> [(f64, f64); 10] {
    let (total, positive) = sample.totals();
    let mut gains = [(total, positive); 10];
    let end_of = |decile: usize| total * decile as f64 / 10.0;
    let (mut above, mut hit_above, mut next, mut end) = (0.0, 0.0, 0, end_of(1));
    sample.sweep(|all, hit, _| {
        while next < 9 && above + all >= end {
            let share = if all > 0.0 { (end - above) / all } else { 0.0 };
            gains[next] = (end, hit_above + hit * share);
            next += 1;
            end = end_of(next + 1);
        }
        above += all;
        hit_above += hit;
    });
    gains
}
