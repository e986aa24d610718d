//! How a fit went, unit by unit: epochs of a network, trees of boosting.

use serde::{Deserialize, Serialize};

/// Most points of a curve; longer fits are thinned.
pub const MAX_POINTS: usize = 200;

/// What a unit of a fit came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningPoint {
    /// Units done: 1 is the first epoch or tree.
    pub unit: usize,
    /// Mean loss on the training rows, where it was measured.
    pub loss: Option<f64>,
    /// The validation figure, where there were validation rows.
    pub figure: Option<f64>,
}

/// The learning curve of a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningCurve {
    /// What is counted: `epoch` or `tree`.
    pub unit: String,
    /// The validation figure's name; `None` without validation rows.
    pub figure: Option<String>,
    /// True if a larger figure is better.
    pub higher_is_better: bool,
    /// Units after which the model that is used stood.
    pub kept: usize,
    /// Units that were fitted.
    pub n_units: usize,
    /// Ascending in their units; the first, the last, the best and the kept one are among them.
    pub points: Vec<LearningPoint>,
}

impl LearningCurve {
    /// At most [`MAX_POINTS`] evenly spread points and the last, the kept one and the one of the best figure. Where some
    /// points have no loss, it is those that go.
    #[must_use]
    pub fn thinned(mut self) -> LearningCurve {
        if self.points.len() <= MAX_POINTS {
            return self;
        }
        let n_whole = self.points.iter().filter(|p| p.loss.is_some()).count();
        let is_regular = |p: &LearningPoint| n_whole == 0 || p.loss.is_some();
        let step = self.points.iter().filter(|p| is_regular(p)).count().div_ceil(MAX_POINTS);
        let named = [self.points.last().map(|p| p.unit), Some(self.kept), self.best().map(|p| p.unit)];
        let mut seen = 0;
        self.points.retain(|p| {
            let is_regular = is_regular(p);
            seen += usize::from(is_regular);
            (is_regular && (seen - 1) % step == 0) || named.contains(&Some(p.unit))
        });
        self
    }

    /// The point of the best validation figure, the first of equals; without validation rows of the smallest loss.
    pub fn best(&self) -> Option<&LearningPoint> {
        let better = |a: f64, b: f64| if self.figure.is_some() && self.higher_is_better { a > b } else { a < b };
        let known = self.points.iter().filter(|p| self.shown(p).is_some_and(|v| !v.is_nan()));
        known.reduce(|best, p| match (self.shown(best), self.shown(p)) {
            (Some(a), Some(b)) if better(b, a) => p,
            _ => best,
        })
    }

    /// The number of a point that a chart shows: the validation figure, or the loss where there were no validation rows.
    pub fn shown(&self, point: &LearningPoint) -> Option<f64> {
        if self.figure.is_some() { point.figure } else { point.loss }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(figures: &[f64], kept: usize) -> LearningCurve {
        let point = |(i, f): (usize, &f64)| LearningPoint { unit: i + 1, loss: None, figure: Some(*f) };
        LearningCurve {
            unit: "tree".into(),
            figure: Some("log loss".into()),
            higher_is_better: false,
            kept,
            n_units: figures.len(),
            points: figures.iter().enumerate().map(point).collect(),
        }
    }

    #[test]
    fn thinning_keeps_the_points_that_are_spoken_of() {
        let mut figures: Vec<f64> = (0..1999).map(|i| 1.0 - f64::from(i) * 1e-4).collect();
        figures[1234] = 0.1;
        let thin = curve(&figures, 777).thinned();
        assert!(thin.points.len() <= MAX_POINTS + 4, "{}", thin.points.len());
        assert!(thin.points.windows(2).all(|w| w[0].unit < w[1].unit));
        for unit in [1, 777, 1235, 1999] {
            assert!(thin.points.iter().any(|p| p.unit == unit), "{unit}");
        }
        assert_eq!(thin.best().map(|p| p.unit), Some(1235));
        assert_eq!(thin.n_units, 1999);
        // Losses at every tenth unit: their points stay, whole.
        let mut long = curve(&figures[..1000], 777);
        long.points.iter_mut().step_by(10).for_each(|p| p.loss = Some(0.5));
        let thin = long.thinned();
        assert_eq!(thin.points.iter().filter(|p| p.loss.is_some()).count(), 100);
        assert_eq!(thin.points.len(), 102);
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_never_nan() {
        assert_eq!(curve(&[f64::NAN, 0.5, 0.4, 0.4], 3).best().map(|p| p.unit), Some(3));
        let mut rising = curve(&[0.5, 0.7, 0.6], 2);
        rising.higher_is_better = true;
        assert_eq!(rising.best().map(|p| p.unit), Some(2));
        assert_eq!(curve(&[], 0).best(), None);
    }
}
