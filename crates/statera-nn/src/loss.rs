//! Losses with their gradients.
//!
//! A row of the network's output has the margins of one or more members, one member after another; the loss of a row
//! is the *mean of its members' losses* (never the loss of their mean), times the row's weight.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_kernel::math32;

/// A loss of the margins of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross-entropy of one log-odds z with the target 0 or 1: −ln σ(±z).
    Binary {
        /// Factors of rows of class 0 and 1.
        class_weights: [f32; 2],
        /// γ of the focal loss −(1 − p)^γ ln p, p the probability of the true class (Lin et al. 2017); 0 for none.
        focal: f32,
        /// ε: the target is moved to (1 − ε) y + ε/2. In [0, 1); not together with `focal`.
        smoothing: f32,
    },
    /// Cross-entropy of the softmax of k margins with the class 0 to k − 1.
    Classes {
        /// A factor per class.
        class_weights: Vec<f32>,
        /// γ of the focal loss; 0 for none.
        focal: f32,
        /// ε: the target's share is 1 − ε + ε/k, each other's ε/k. In [0, 1); not together with `focal`.
        smoothing: f32,
    },
    /// (ŷ − y)².
    Squared,
    /// |ŷ − y|.
    Absolute,
    /// ½ e² for |e| ≤ δ, δ (|e| − ½ δ) beyond; e = ŷ − y (Huber 1964).
    Huber {
        /// δ, above 0.
        delta: f32,
    },
    /// The mean over τ of max(τ (y − ŷ), (τ − 1)(y − ŷ)), one output per τ (Koenker and Bassett 1978).
    Quantile {
        /// Each in (0, 1).
        levels: Vec<f32>,
    },
}

impl Loss {
    /// Cross-entropy of two classes, without weights.
    pub const BINARY: Loss = Loss::Binary { class_weights: [1.0; 2], focal: 0.0, smoothing: 0.0 };

    /// Cross-entropy of `k` classes, without weights.
    pub fn classes(k: usize) -> Loss {
        Loss::Classes { class_weights: vec![1.0; k], focal: 0.0, smoothing: 0.0 }
    }

    /// Margins a member has.
    pub fn n_outputs(&self) -> usize {
        match self {
            Loss::Classes { class_weights, .. } => class_weights.len(),
            Loss::Quantile { levels } => levels.len(),
            _ => 1,
        }
    }

    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// A request error that names the value and its range.
    pub fn check(&self) -> Result<()> {
        let entropy = |weights: &[f32], focal: f32, smoothing: f32| {
            if let Some(w) = weights.iter().find(|w| !(**w >= 0.0 && w.is_finite())) {
                return Err(Error::request(format!("a class weight is {w}; allowed: 0 and above, finite")));
            }
            if !(focal >= 0.0 && focal.is_finite()) {
                return Err(Error::request(format!("focal is {focal}; allowed: 0 and above")));
            }
            if !(0.0..1.0).contains(&smoothing) || (smoothing > 0.0 && focal > 0.0) {
                let range = if focal > 0.0 { "0 with a focal loss" } else { "0 to below 1" };
                return Err(Error::request(format!("label smoothing is {smoothing}; allowed: {range}")));
            }
            Ok(())
        };
        match self {
            Loss::Binary { class_weights, focal, smoothing } => entropy(class_weights, *focal, *smoothing),
            Loss::Classes { class_weights, focal, smoothing } => {
                if class_weights.len() < 2 {
                    return Err(Error::request(format!("{} classes; allowed: 2 and above", class_weights.len())));
                }
                entropy(class_weights, *focal, *smoothing)
            }
            Loss::Huber { delta } if !(*delta > 0.0 && delta.is_finite()) => {
                Err(Error::request(format!("delta is {delta}; allowed: above 0")))
            }
            Loss::Quantile { levels } => match levels.iter().find(|l| !(**l > 0.0 && **l < 1.0)) {
                Some(l) => Err(Error::request(format!("quantile {l}; allowed: above 0 and below 1"))),
                None if levels.is_empty() => Err(Error::request("no quantiles; at least one is needed")),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Writes to `dy` the gradient with respect to the margins `y` of `scale` times the sum of the rows' losses, and
    /// returns that scaled sum. `y` and `dy` are n × (members × outputs); `target` and `weight` have one number a row.
    ///
    /// # Panics
    /// If the lengths do not fit together, or a class is not below k.
    pub fn evaluate(&self, y: &[f32], target: &[f32], weight: Option<&[f32]>, scale: f32, dy: &mut [f32]) -> f64 {
        assert_eq!(y.len(), dy.len(), "one gradient per margin");
        if target.is_empty() {
            return 0.0;
        }
        let per_row = y.len() / target.len();
        let n_outputs = self.n_outputs();
        let scale = scale / (per_row / n_outputs) as f32;
        match self {
            Loss::Binary { focal, .. } if *focal == 0.0 => {
                dy.copy_from_slice(y);
                math32::sigmoid(dy);
            }
            Loss::Classes { .. } => {
                dy.copy_from_slice(y);
                math32::softmax(dy, n_outputs);
            }
            _ => {}
        }
        let mut total = 0.0;
        let rows = y.chunks_exact(per_row).zip(dy.chunks_exact_mut(per_row));
        for (i, (y, dy)) in rows.enumerate() {
            let weight = scale * weight.map_or(1.0, |w| w[i]);
            for (y, dy) in y.chunks_exact(n_outputs).zip(dy.chunks_exact_mut(n_outputs)) {
                total += self.member(y, target[i], weight, dy);
            }
        }
        total
    }

    /// The loss of one member of a row, times `weight`, and its gradient. For cross-entropy, `dy` holds probabilities.
    #[inline]
    fn member(&self, y: &[f32], target: f32, weight: f32, dy: &mut [f32]) -> f64 {
        match self {
            Loss::Binary { class_weights, focal, smoothing } => {
                let weight = weight * class_weights[usize::from(target > 0.5)];
                if *focal > 0.0 {
                    return focal_binary(y[0], target, *focal, weight, &mut dy[0]);
                }
                let target = target * (1.0 - smoothing) + 0.5 * smoothing;
                let z = y[0];
                // −t ln σ(z) − (1 − t) ln σ(−z) = max(z, 0) − t z + ln(1 + e^−|z|), and the last term is −ln σ(|z|).
                let certain = if z < 0.0 { 1.0 - dy[0] } else { dy[0] };
                dy[0] = weight * (dy[0] - target);
                f64::from(weight) * f64::from(z.max(0.0) - target * z - certain.ln())
            }
            Loss::Classes { class_weights, focal, smoothing } => {
                let class = target as usize;
                let weight = weight * class_weights[class];
                if *focal > 0.0 {
                    return focal_classes(class, *focal, weight, dy);
                }
                let k = dy.len() as f32;
                let largest = y.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
                let log_sum = largest + y.iter().map(|v| (v - largest).exp()).sum::<f32>().ln();
                let mut loss = 0.0;
                for (j, (y, d)) in y.iter().zip(dy).enumerate() {
                    let share = smoothing / k + if j == class { 1.0 - smoothing } else { 0.0 };
                    loss += share * (log_sum - y);
                    *d = weight * (*d - share);
                }
                f64::from(weight) * f64::from(loss)
            }
            Loss::Quantile { levels } => {
                let weight = weight / levels.len() as f32;
                let mut loss = 0.0;
                for ((level, y), d) in levels.iter().zip(y).zip(dy) {
                    let error = target - y;
                    let slope = if error >= 0.0 { *level } else { level - 1.0 };
                    loss += slope * error;
                    *d = -weight * slope;
                }
                f64::from(weight) * f64::from(loss)
            }
            Loss::Squared | Loss::Absolute | Loss::Huber { .. } => {
                let error = y[0] - target;
                let (loss, slope) = match self {
                    Loss::Absolute if error == 0.0 => (0.0, 0.0),
                    Loss::Absolute => (error.abs(), error.signum()),
                    Loss::Huber { delta } if error.abs() > *delta => {
                        (delta * (error.abs() - 0.5 * delta), delta.copysign(error))
                    }
                    Loss::Huber { .. } => (0.5 * error * error, error),
                    _ => (error * error, 2.0 * error),
                };
                dy[0] = weight * slope;
                f64::from(weight) * f64::from(loss)
            }
        }
    }
}

/// With u = ±z the log-odds of the true class and p = σ(u): L = −(1 − p)^γ ln p, dL/du = (1 − p)^γ (γ p ln p − (1 − p)).
fn focal_binary(z: f32, target: f32, gamma: f32, weight: f32, dy: &mut f32) -> f64 {
    let sign = if target > 0.5 { 1.0 } else { -1.0 };
    let u = f64::from(sign * z);
    let log_p = -((-u.abs()).exp().ln_1p() - u.min(0.0));
    let (p, rest) = (log_p.exp(), 1.0 / (1.0 + u.exp()));
    let factor = rest.powf(f64::from(gamma));
    *dy = weight * sign * (factor * (f64::from(gamma) * p * log_p - rest)) as f32;
    -f64::from(weight) * factor * log_p
}

/// With p the softmax probability of the true class t: dL/dzⱼ = (γ p (1 − p)^(γ−1) ln p − (1 − p)^γ)(δⱼₜ − pⱼ).
fn focal_classes(class: usize, gamma: f32, weight: f32, probabilities: &mut [f32]) -> f64 {
    let p = f64::from(probabilities[class]).max(1e-30);
    let (gamma, rest) = (f64::from(gamma), (1.0 - p).max(1e-30));
    let factor = rest.powf(gamma);
    let slope = (gamma * p * factor / rest * p.ln() - factor) as f32;
    for (j, d) in probabilities.iter_mut().enumerate() {
        *d = weight * slope * (if j == class { 1.0 } else { 0.0 } - *d);
    }
    -f64::from(weight) * factor * p.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn floats(values: &Value) -> Vec<f32> {
        values.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
    }

    #[test]
    fn losses_and_gradients_equal_pytorch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torch/loss.json");
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("stored")).expect("JSON");
        let binary = |class_weights, focal, smoothing| Loss::Binary { class_weights, focal, smoothing };
        let classes =
            |weights: [f32; 3], focal, smoothing| Loss::Classes { class_weights: weights.into(), focal, smoothing };
        let losses = [
            ("binary", Loss::BINARY),
            ("binary_weights", binary([0.5, 2.0], 0.0, 0.0)),
            ("binary_smoothing", binary([1.0; 2], 0.0, 0.25)),
            ("binary_focal", binary([0.5, 2.0], 2.0, 0.0)),
            ("classes", Loss::classes(3)),
            ("classes_weights", classes([0.5, 1.0, 2.0], 0.0, 0.0)),
            ("classes_smoothing", classes([1.0; 3], 0.0, 0.25)),
            ("classes_focal", classes([1.0; 3], 2.0, 0.0)),
            ("squared", Loss::Squared),
            ("absolute", Loss::Absolute),
            ("huber", Loss::Huber { delta: 0.5 }),
            ("quantile", Loss::Quantile { levels: vec![0.1, 0.5, 0.75] }),
            ("binary_members", Loss::BINARY),
        ];
        for (name, loss) in losses {
            let case = &cases[name];
            let (y, target, weight) = (floats(&case["y"]), floats(&case["target"]), floats(&case["weight"]));
            let mut dy = vec![f32::NAN; y.len()];
            let value = loss.evaluate(&y, &target, Some(&weight), 0.25, &mut dy);
            let expected = case["loss"].as_f64().expect("a number");
            assert!((value - expected).abs() <= 1e-5 * expected.abs(), "{name}: {value}, expected {expected}");
            let dy_expected = floats(&case["dy"]);
            let rms = (dy_expected.iter().map(|d| d * d).sum::<f32>() / dy.len() as f32).sqrt();
            for (i, (d, e)) in dy.iter().zip(&dy_expected).enumerate() {
                assert!((d - e).abs() <= 1e-5 * e.abs().max(rms), "{name}, gradient {i}: {d}, expected {e}");
            }
        }
    }

    #[test]
    fn far_margins_give_finite_numbers() {
        for loss in [Loss::BINARY, Loss::Binary { class_weights: [1.0; 2], focal: 2.0, smoothing: 0.0 }] {
            for z in [-200.0, 200.0] {
                let mut dy = [0.0];
                let value = loss.evaluate(&[z], &[1.0], None, 1.0, &mut dy);
                assert!(value.is_finite() && dy[0].is_finite(), "{loss:?} at {z}: {value}, {}", dy[0]);
            }
        }
    }

    #[test]
    fn refuses_settings_outside_their_ranges() {
        let cases = [
            (Loss::Huber { delta: 0.0 }, "delta is 0; allowed: above 0"),
            (Loss::Quantile { levels: vec![1.0] }, "quantile 1; allowed: above 0 and below 1"),
            (Loss::classes(1), "1 classes; allowed: 2 and above"),
            (Loss::Binary { class_weights: [1.0; 2], focal: 1.0, smoothing: 0.1 }, "allowed: 0 with a focal loss"),
        ];
        for (loss, expected) in cases {
            let message = loss.check().map_err(|e| e.to_string()).expect_err("refused");
            assert!(message.contains(expected), "{message}");
        }
    }
}
