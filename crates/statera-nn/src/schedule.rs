//! Learning rates over a fit.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// What the learning rate is multiplied by at a share t of all steps.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// 1 throughout.
    #[default]
    Constant,
    /// ½ (1 + cos πt): from 1 to 0 (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// Up along a cosine from 1/25 to 1 in the first 30 %, then down along one to 1/250,000 (Smith and Topin 2018, with
    /// PyTorch's defaults).
    OneCycle,
    /// ½ (1 − cos(2π log₂(1 + 15 t))): four waves, each longer than the one before (RealMLP; Holzmüller et al. 2024).
    LogWaves,
    /// 1 in the first half, then down along a cosine to 0 (RealMLP's dropout and weight decay).
    FlatCosine,
}

impl Schedule {
    /// The factor at `t` in [0, 1].
    pub fn factor(self, t: f64) -> f64 {
        let between = |from: f64, to: f64, s: f64| to + (from - to) * 0.5 * (1.0 + (PI * s).cos());
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => between(1.0, 0.0, t),
            Schedule::OneCycle if t < 0.3 => between(1.0 / 25.0, 1.0, t / 0.3),
            Schedule::OneCycle => between(1.0, 1.0 / 250_000.0, (t - 0.3) / 0.7),
            Schedule::LogWaves => 0.5 * (1.0 - (2.0 * PI * (1.0 + 15.0 * t).log2()).cos()),
            Schedule::FlatCosine => between(1.0, 0.0, (2.0 * t - 1.0).max(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_those_of_the_definitions() {
        let cases = [
            (Schedule::Constant, 0.7, 1.0),
            (Schedule::Cosine, 0.0, 1.0),
            (Schedule::Cosine, 0.5, 0.5),
            (Schedule::Cosine, 1.0, 0.0),
            (Schedule::OneCycle, 0.0, 0.04),
            (Schedule::OneCycle, 0.15, 0.52),
            (Schedule::OneCycle, 0.3, 1.0),
            (Schedule::OneCycle, 1.0, 4e-6),
            (Schedule::LogWaves, 0.0, 0.0),
            (Schedule::LogWaves, (2f64.sqrt() - 1.0) / 15.0, 1.0),
            (Schedule::LogWaves, 1.0 / 15.0, 0.0),
            (Schedule::LogWaves, 1.0, 0.0),
            (Schedule::FlatCosine, 0.4, 1.0),
            (Schedule::FlatCosine, 0.75, 0.5),
            (Schedule::FlatCosine, 1.0, 0.0),
        ];
        for (schedule, t, expected) in cases {
            let ours = schedule.factor(t);
            assert!((ours - expected).abs() < 1e-12, "{schedule:?} at {t}: {ours}, expected {expected}");
        }
    }
}
