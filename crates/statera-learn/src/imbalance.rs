//! Few positive rows among many: weights, balanced bags, and the focal loss.
//!
//! None of them makes a ranking better by itself: they move what a learner spends its trees on. All of them bend the
//! probabilities, which the calibrator that every candidate has puts right.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Frame, Result, Rng, Task};
use std::borrow::Cow;

/// The stream of the generator that bags are drawn from.
const DRAWS: u64 = 0x6472_6177;

/// How a learner treats rare positive rows. The default treats them like any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Imbalance {
    /// Factor of a positive row's weight, above 0 and at most 10,000. Default: 1.
    pub positive_weight: f64,
    /// γ of the focal loss −(1 − p)^γ ln p, p the probability of the true class (Lin et al. 2017), 0 to 10; 0, the default,
    /// for log loss.
    pub focal: f64,
    /// Balanced bagging: this many draws, each of all positive rows and of `negatives_per_positive` negative rows for each
    /// of them, and the mean of what is learnt from them (Wallace et al. 2011). 1 to 100; 0, the default, for none.
    pub bags: usize,
    /// Negative rows that a bag has for each positive one, above 0. Where there are not as many, it has all of them.
    /// Default: 10.
    pub negatives_per_positive: f64,
}

impl Default for Imbalance {
    fn default() -> Self {
        Imbalance { positive_weight: 1.0, focal: 0.0, bags: 0, negatives_per_positive: 10.0 }
    }
}

impl Imbalance {
    /// True if rare rows are treated like any.
    pub fn is_default(&self) -> bool {
        *self == Imbalance::default()
    }

    /// What is grown side by side, at least 1.
    pub fn n_bags(&self) -> usize {
        self.bags.max(1)
    }

    /// Refuses settings outside their ranges, and any where there is no positive class.
    ///
    /// # Errors
    /// A request error that names the setting, the value and what is allowed.
    pub fn check(&self, task: Task) -> Result<()> {
        let within = |x: f64, most: f64| x > 0.0 && x <= most;
        let rules: [(&str, String, bool, &str); 4] = [
            (
                "positive_weight",
                self.positive_weight.to_string(),
                within(self.positive_weight, 1e4),
                "above 0 and at most 10000",
            ),
            ("focal", self.focal.to_string(), (0.0..=10.0).contains(&self.focal), "0 to 10"),
            ("bags", self.bags.to_string(), self.bags <= 100, "0 to 100"),
            (
                "negatives_per_positive",
                self.negatives_per_positive.to_string(),
                within(self.negatives_per_positive, 1e9),
                "above 0",
            ),
        ];
        if let Some((name, value, _, allowed)) = rules.into_iter().find(|rule| !rule.2) {
            return Err(Error::request(format!("{name} is {value}, allowed is {allowed}")));
        }
        if task != Task::Binary && !self.is_default() {
            return Err(Error::request("weights, bags and focal loss of rare rows are for two classes"));
        }
        Ok(())
    }

    /// The frame with the weights of positive rows raised.
    pub fn weighted<'a>(&self, frame: Cow<'a, Frame>) -> Cow<'a, Frame> {
        if self.positive_weight == 1.0 {
            return frame;
        }
        let mut frame = frame.into_owned();
        let factor = |y: f64| if y == 1.0 { self.positive_weight } else { 1.0 };
        frame.weight = Some((0..frame.n_rows).map(|i| frame.weight_of(i) * factor(frame.target[i])).collect());
        Cow::Owned(frame)
    }

    /// The rows of each bag, ascending; `None` without bags. A bag depends on the seed and its number.
    ///
    /// # Errors
    /// No positive or no negative rows.
    pub fn draws(&self, target: &[f64], seed: u64) -> Result<Option<Vec<Vec<usize>>>> {
        if self.bags == 0 {
            return Ok(None);
        }
        let (positive, negative): (Vec<usize>, Vec<usize>) = (0..target.len()).partition(|&i| target[i] == 1.0);
        if positive.is_empty() || negative.is_empty() {
            let (p, n) = (positive.len(), negative.len());
            return Err(Error::data(format!("{p} positive and {n} negative rows; balanced bags need some of each")));
        }
        let wanted = (positive.len() as f64 * self.negatives_per_positive).round() as usize;
        let wanted = wanted.clamp(1, negative.len());
        let bag = |number: usize| {
            let mut drawn = negative.clone();
            let mut rng = Rng::fork(seed, (DRAWS << 32) + number as u64);
            for i in 0..wanted {
                let place = i + rng.below(drawn.len() - i);
                drawn.swap(i, place);
            }
            drawn.truncate(wanted);
            drawn.extend(&positive);
            drawn.sort_unstable();
            drawn
        };
        Ok(Some((0..self.bags).map(bag).collect()))
    }
}

/// The focal loss of a row, by the log-odds u of its true class; p = σ(u).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Focal {
    /// γ, 0 or more.
    pub(crate) gamma: f64,
}

impl Focal {
    /// ln p, p and 1 − p.
    fn parts(u: f64) -> (f64, f64, f64) {
        let log_p = u.min(0.0) - (-u.abs()).exp().ln_1p();
        (log_p, log_p.exp(), 1.0 / (1.0 + u.exp()))
    }

    /// −(1 − p)^γ ln p.
    pub(crate) fn loss(self, u: f64) -> f64 {
        let (log_p, _, rest) = Focal::parts(u);
        -rest.powf(self.gamma) * log_p
    }

    /// dL/du = (1 − p)^γ (γ p ln p − (1 − p)), and d²L/du² = (1 − p)^γ p ((1 − p)(1 + 2γ + γ ln p) − γ² p ln p) without the
    /// term γ (1 − p) ln p: with it the loss is not convex where p is small, and a step could go the wrong way.
    pub(crate) fn derivatives(self, u: f64) -> (f64, f64) {
        let ((log_p, p, rest), gamma) = (Focal::parts(u), self.gamma);
        let factor = rest.powf(gamma);
        let slope = factor * (gamma * p * log_p - rest);
        (slope, factor * p * (rest * (1.0 + 2.0 * gamma) - gamma * gamma * p * log_p))
    }

    /// No slope is steeper: −p ln p ≤ 1/e.
    pub(crate) fn gradient_max(self) -> f64 {
        1.0 + self.gamma / std::f64::consts::E
    }

    /// No curvature is larger: p (1 − p) ≤ 1/4 and −p² ln p ≤ 1/(2e).
    pub(crate) fn hessian_max(self) -> f64 {
        0.25 * (1.0 + 2.0 * self.gamma) + self.gamma * self.gamma / (2.0 * std::f64::consts::E)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_focal_loss_is_that_of_its_formula_and_its_slope_that_of_differences() {
        for gamma in [0.5, 1.0, 2.0, 5.0] {
            let focal = Focal { gamma };
            for i in -40..=40 {
                let u = f64::from(i) / 4.0;
                let p = 1.0 / (1.0 + (-u).exp());
                let direct = -(1.0 - p).powf(gamma) * p.ln();
                assert!((focal.loss(u) - direct).abs() < 1e-9, "γ {gamma}, u {u}");
                let (slope, curvature) = focal.derivatives(u);
                let step = 1e-5;
                let difference = (focal.loss(u + step) - focal.loss(u - step)) / (2.0 * step);
                assert!((slope - difference).abs() < 1e-6, "γ {gamma}, u {u}: {slope}, {difference}");
                // With the term that is left out, it is the second difference.
                let second = (focal.derivatives(u + step).0 - focal.derivatives(u - step).0) / (2.0 * step);
                let left_out = (1.0 - p).powf(gamma) * p * gamma * (1.0 - p) * p.ln();
                assert!((curvature + left_out - second).abs() < 1e-6, "γ {gamma}, u {u}: {curvature}, {second}");
                assert!(curvature > 0.0 && curvature <= focal.hessian_max() && slope.abs() <= focal.gradient_max());
            }
        }
        // γ = 0 is log loss: at u = 0 a slope of −1/2 and a curvature of 1/4.
        assert_eq!(Focal { gamma: 0.0 }.derivatives(0.0), (-0.5, 0.25));
    }

    #[test]
    fn bags_have_all_positives_and_a_draw_of_the_others() {
        let target: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 50 == 0))).collect();
        let rare = Imbalance { bags: 3, negatives_per_positive: 5.0, ..Imbalance::default() };
        let bags = rare.draws(&target, 1).unwrap().unwrap();
        assert_eq!(bags.len(), 3);
        for bag in &bags {
            assert!(bag.len() == 120 && bag.windows(2).all(|w| w[0] < w[1]));
            assert_eq!(bag.iter().filter(|&&i| target[i] == 1.0).count(), 20);
        }
        assert_ne!(bags[0], bags[1]);
        assert_eq!(rare.draws(&target, 1).unwrap().unwrap(), bags);
        let more = Imbalance { negatives_per_positive: 1e6, ..rare.clone() };
        assert_eq!(more.draws(&target, 1).unwrap().unwrap()[0], (0..1000).collect::<Vec<_>>());
        assert_eq!(Imbalance::default().draws(&target, 1).unwrap(), None);
        let none = rare.draws(&[0.0, 0.0], 1).unwrap_err().to_string();
        assert_eq!(none, "0 positive and 2 negative rows; balanced bags need some of each");
    }

    #[test]
    fn refuses_what_cannot_be() {
        let check = |rare: Imbalance, task, expected: &str| {
            assert_eq!(rare.check(task).unwrap_err().to_string(), expected);
        };
        let plain = Imbalance::default;
        check(
            Imbalance { positive_weight: 0.0, ..plain() },
            Task::Binary,
            "positive_weight is 0, allowed is above 0 and at most 10000",
        );
        check(Imbalance { focal: -1.0, ..plain() }, Task::Binary, "focal is -1, allowed is 0 to 10");
        check(Imbalance { bags: 101, ..plain() }, Task::Binary, "bags is 101, allowed is 0 to 100");
        check(
            Imbalance { bags: 5, ..plain() },
            Task::Regression,
            "weights, bags and focal loss of rare rows are for two classes",
        );
        assert!(plain().check(Task::Classes(3)).is_ok());
    }
}
