//! Scalings of numbers.

use super::inverse_normal;
use serde::{Deserialize, Serialize};
use statera_core::Frame;

/// How numbers are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Minus the mean, by the standard deviation; cut at ±1000.
    Standard,
    /// By the distribution function of the training rows, then the inverse of the normal one.
    Quantile,
    /// Minus the median, by the interquartile range (if 0 by half the range), then x / √(1 + (x/3)²) (RealMLP).
    Robust,
}

/// Least distance of a quantile's probability from 0 and 1.
const EDGE: f64 = 1e-7;

/// A fitted scaling of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// (x − centre) · factor, clipped smoothly to ±3 if asked.
    Affine {
        /// Subtracted.
        centre: f64,
        /// Multiplied with.
        factor: f64,
        /// x / √(1 + (x/3)²) afterwards.
        clip: bool,
        /// The greatest number and, with a minus, the least; a network that was fitted before there was one has the range of single
        /// precision, so that it scores what is far out as it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut: Option<f32>,
    },
    /// Φ⁻¹ of the share of training rows below.
    Quantile {
        /// Index of the first knot.
        first: usize,
        /// Knots: quantiles at equal steps of probability, both ends included.
        n_knots: usize,
    },
}

impl Transform {
    /// Fits on `cells` at `rows`; `None` if they do not vary. Knots are appended to `knots`.
    pub fn fit(
        scaling: Scaling,
        frame: &Frame,
        cells: &[f64],
        rows: &[usize],
        knots: &mut Vec<f64>,
    ) -> Option<Transform> {
        let mut sorted: Vec<f64> = rows.iter().map(|&i| cells[i]).collect();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        if first == last {
            return None;
        }
        let quantile = |p: f64| {
            let place = p * (sorted.len() - 1) as f64;
            let below = place.floor() as usize;
            let above = (below + 1).min(sorted.len() - 1);
            sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
        };
        let (centre, scale, clip) = match scaling {
            Scaling::Standard => {
                let total: f64 = rows.iter().map(|&i| frame.weight_of(i)).sum();
                let mean = rows.iter().map(|&i| frame.weight_of(i) * cells[i]).sum::<f64>() / total;
                let square = rows.iter().map(|&i| frame.weight_of(i) * (cells[i] - mean).powi(2)).sum::<f64>();
                (mean, (square / total).sqrt(), false)
            }
            Scaling::Robust => {
                let range = quantile(0.75) - quantile(0.25);
                (quantile(0.5), if range > 0.0 { range } else { 0.5 * (last - first) }, true)
            }
            Scaling::Quantile => {
                let n_knots = (sorted.len() / 30).clamp(10, 1000);
                let start = knots.len();
                knots.extend((0..n_knots).map(|i| quantile(i as f64 / (n_knots - 1) as f64)));
                return Some(Transform::Quantile { first: start, n_knots });
            }
        };
        let factor = 1.0 / scale;
        // What is clipped smoothly is never far out.
        let cut = (!clip).then_some(FARTHEST);
        (factor.is_finite() && factor > 0.0).then_some(Transform::Affine { centre, factor, clip, cut })
    }

    /// Writes the scaled cells to every `stride`-th number of `out`; 0 for missing cells and sentinels.
    pub fn apply(&self, knots: &[f64], cells: &[f64], sentinels: &[f64], out: &mut [f32], stride: usize) {
        let out = out.iter_mut().step_by(stride).zip(cells);
        let usual = |v: f64| !v.is_nan() && !sentinels.contains(&v);
        match *self {
            Transform::Affine { centre, factor, clip: false, cut } if sentinels.is_empty() => {
                let far = cut.unwrap_or(f32::MAX);
                out.for_each(|(o, &v)| *o = if v.is_nan() { 0.0 } else { bounded((v - centre) * factor, far) });
            }
            Transform::Affine { centre, factor, clip, cut } => {
                let far = cut.unwrap_or(f32::MAX);
                out.for_each(|(o, &v)| {
                    if usual(v) {
                        let x = (v - centre) * factor;
                        *o = bounded(if clip { x / (1.0 + (x / 3.0) * (x / 3.0)).sqrt() } else { x }, far);
                    }
                });
            }
            Transform::Quantile { first, n_knots } => {
                let knots = &knots[first..][..n_knots];
                out.filter(|(_, v)| usual(**v)).for_each(|(o, &v)| *o = normal_score(knots, v));
            }
        }
    }

    /// Knots of its own.
    pub fn n_knots(&self) -> usize {
        if let Transform::Quantile { n_knots, .. } = self { *n_knots } else { 0 }
    }

    /// True if its numbers are usable with these knots.
    pub fn fits(&self, knots: &[f64]) -> bool {
        match *self {
            Transform::Affine { centre, factor, cut, .. } => {
                let is_range = cut.is_none_or(|far| far.is_finite() && far > 0.0);
                centre.is_finite() && factor.is_finite() && is_range
            }
            Transform::Quantile { first, n_knots } => {
                let own = first.checked_add(n_knots).and_then(|end| knots.get(first..end));
                own.is_some_and(|k| k.len() >= 2 && k.is_sorted() && k.iter().all(|v| v.is_finite()))
            }
        }
    }
}

/// Standard deviations: of a million training rows none can be further from the mean. What is further out is absurd, and a network
/// must neither overflow on it nor fail to explain itself.
const FARTHEST: f32 = 1000.0;

/// A single-precision number that is not further from 0 than `far`.
fn bounded(x: f64, far: f32) -> f32 {
    (x as f32).clamp(-far, far)
}

/// Φ⁻¹ of the interpolated distribution function; a value that several knots share stands in their middle, as if a
/// little noise had been added before the quantiles were taken.
fn normal_score(knots: &[f64], v: f64) -> f32 {
    let steps = (knots.len() - 1) as f64;
    let below = knots.partition_point(|k| *k < v);
    let p = if below == knots.len() {
        1.0
    } else if knots[below] == v {
        let through = below + knots[below..].partition_point(|k| *k <= v) - 1;
        0.5 * (below + through) as f64 / steps
    } else if below == 0 {
        0.0
    } else {
        let (low, high) = (knots[below - 1], knots[below]);
        ((below - 1) as f64 + (v - low) / (high - low)) / steps
    };
    inverse_normal(p.clamp(EDGE, 1.0 - EDGE)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scaling: Scaling, cells: &[f64], expected: &[f32]) {
        let mut knots = Vec::new();
        let rows: Vec<usize> = (0..cells.len()).filter(|&i| !cells[i].is_nan()).collect();
        let transform = Transform::fit(scaling, &Frame::default(), cells, &rows, &mut knots).expect("cells vary");
        let mut out = vec![0.0; cells.len()];
        transform.apply(&knots, cells, &[], &mut out, 1);
        for (o, e) in out.iter().zip(expected) {
            assert!((o - e).abs() < 1e-6, "{scaling:?}: {out:?}, expected {expected:?}");
        }
    }

    #[test]
    fn cells_are_scaled_by_their_distribution_and_missing_ones_are_zero() {
        check(Scaling::Standard, &[1.0, 3.0, f64::NAN], &[-1.0, 1.0, 0.0]);
        // Median 2, quartiles 1 and 3.
        let soft = |x: f32| x / (1.0 + x * x / 9.0).sqrt();
        check(Scaling::Robust, &[0.0, 1.0, 2.0, 3.0, 40.0], &[soft(-1.0), soft(-0.5), 0.0, soft(0.5), soft(19.0)]);
        // No interquartile range: half the range.
        check(Scaling::Robust, &[5.0, 5.0, 5.0, 5.0, 9.0], &[0.0, 0.0, 0.0, 0.0, soft(2.0)]);
        // Ten knots of 19 cells lie on every other cell; the largest is Φ⁻¹(1 − 1e-7).
        let cells: Vec<f64> = (0..19).map(f64::from).collect();
        let at = |p: f64| inverse_normal(p.clamp(EDGE, 1.0 - EDGE)) as f32;
        let expected: Vec<f32> = (0..19).map(|i| at(f64::from(i) / 18.0)).collect();
        check(Scaling::Quantile, &cells, &expected);
        // Half of the cells are 0: they stand in the middle of the lower half, at knots 0 to 4 of 9 steps.
        let mut tied = vec![0.0; 10];
        tied.extend((1..=10).map(f64::from));
        check(Scaling::Quantile, &tied, &[at(2.0 / 9.0)]);
    }

    #[test]
    fn what_is_far_out_is_cut_where_the_fit_says_so() {
        let scaled = |text: &str, sentinels: &[f64]| {
            let transform: Transform = serde_json::from_str(text).expect("a transform");
            assert!(transform.fits(&[]), "{text}");
            assert_eq!(serde_json::to_string(&transform).expect("text"), text, "it is written as it was read");
            let mut out = [0.0; 3];
            transform.apply(&[], &[1e300, -1e9, 8.0], sentinels, &mut out, 1);
            out
        };
        // As networks were saved that knew no cut: they score as they did.
        let old = r#"{"affine":{"centre":2.0,"factor":0.5,"clip":false}}"#;
        let new = r#"{"affine":{"centre":2.0,"factor":0.5,"clip":false,"cut":1000.0}}"#;
        let none: &[f64] = &[];
        for sentinels in [none, &[999.0]] {
            assert_eq!(scaled(old, sentinels), [f32::MAX, -5e8, 3.0]);
            assert_eq!(scaled(new, sentinels), [1000.0, -1000.0, 3.0]);
        }
        let fitted = |scaling| Transform::fit(scaling, &Frame::default(), &[1.0, 3.0], &[0, 1], &mut Vec::new());
        let expected = Transform::Affine { centre: 2.0, factor: 1.0, clip: false, cut: Some(1000.0) };
        assert_eq!(fitted(Scaling::Standard), Some(expected));
        assert!(matches!(fitted(Scaling::Robust), Some(Transform::Affine { clip: true, cut: None, .. })));
        for cut in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let wrong = Transform::Affine { centre: 2.0, factor: 1.0, clip: false, cut: Some(cut) };
            assert!(!wrong.fits(&[]), "{cut}");
        }
    }

    #[test]
    fn constant_cells_have_no_transform() {
        for scaling in [Scaling::Standard, Scaling::Quantile, Scaling::Robust] {
            let fitted = Transform::fit(scaling, &Frame::default(), &[2.0, 2.0], &[0, 1], &mut Vec::new());
            assert_eq!(fitted, None);
        }
    }
}
