//! The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), multivariate (Falkner et al., ICML 2018).
//!
//! Points tried so far are divided into the good ones and the others. Each side is a mixture of kernels around its points,
//! l(x) and g(x); of [`CANDIDATES`] draws from l the one with the greatest l(x) / g(x) is tried next. A kernel is a product
//! over all dimensions, so that settings which are good together stay together. Every mixture has one more component that
//! is even over the space: nothing is ever ruled out.
//!
//! Numbers live on [0, 1] by their (log) range; their kernel is a logistic density cut to [0, 1], which is much like a
//! normal one and has a closed inverse. Zero beside a range, and choices, keep their value with probability [`KEEP`].

use statera_core::{Dimension, Range, Rng};

/// Trials of a family that are drawn evenly before the estimator takes over, the defaults among them.
pub(super) const STARTUP: usize = 8;
/// Share of the trials that are good (Watanabe 2023 recommends 0.1 to 0.2).
const GOOD: f64 = 0.15;
/// Draws from the good side, of which one is tried.
const CANDIDATES: usize = 24;
/// Probability with which a kernel keeps a choice, or the side of a zero beside a range.
const KEEP: f64 = 0.8;
/// Standard deviation of a kernel around a single point, as a share of the range; it narrows as n^(-1/(d + 4)).
const WIDTH: f64 = 0.2;
/// Draws that may repeat points that were tried before the space counts as exhausted.
const MAX_REPEATS: usize = 200;

/// The next point to try; `None` once nothing new is found. `tried` are the points so far, the best first; `pending` those
/// whose outcome is not known yet: they count as not good, so that a batch spreads.
pub(super) fn propose(
    space: &[Dimension],
    tried: &[Vec<f64>],
    pending: &[Vec<f64>],
    rng: &mut Rng,
) -> Option<Vec<f64>> {
    let is_new = |x: &Vec<f64>| !tried.contains(x) && !pending.contains(x);
    if tried.len() + pending.len() >= STARTUP && !tried.is_empty() {
        let n_good = ((tried.len() as f64 * GOOD).ceil() as usize).clamp(1, tried.len());
        let good = Mixture::new(space, tried[..n_good].iter());
        let rest = Mixture::new(space, tried[n_good..].iter().chain(pending));
        let candidates = (0..CANDIDATES).map(|_| good.draw(rng)).filter(is_new).collect::<Vec<_>>();
        let gain = |x: &Vec<f64>| good.ln_density(x) - rest.ln_density(x);
        if let Some(best) = candidates.into_iter().max_by(|a, b| gain(a).total_cmp(&gain(b))) {
            return Some(best);
        }
    }
    (0..MAX_REPEATS).map(|_| space.iter().map(|d| draw_evenly(d, rng)).collect()).find(is_new)
}

/// Kernels around points of a space, and one component that is even over it.
struct Mixture<'a> {
    space: &'a [Dimension],
    points: Vec<&'a Vec<f64>>,
    /// Scale of the logistic kernels.
    scale: f64,
}

impl<'a> Mixture<'a> {
    fn new(space: &'a [Dimension], points: impl Iterator<Item = &'a Vec<f64>>) -> Mixture<'a> {
        let points: Vec<_> = points.collect();
        let n = points.len().max(1) as f64;
        let deviation = WIDTH * n.powf(-1.0 / (space.len() as f64 + 4.0));
        // The standard deviation of a logistic density is π/√3 of its scale.
        Mixture { space, points, scale: deviation * 3f64.sqrt() / std::f64::consts::PI }
    }

    fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let centre = self.points.get(rng.below(self.points.len() + 1));
        let draw = |(i, dimension): (usize, &Dimension)| match centre {
            Some(centre) => self.draw_near(dimension, centre[i], rng),
            None => draw_evenly(dimension, rng),
        };
        self.space.iter().enumerate().map(draw).collect()
    }

    fn draw_near(&self, dimension: &Dimension, centre: f64, rng: &mut Rng) -> f64 {
        let keeps = rng.uniform() < KEEP;
        let near = |rng: &mut Rng| {
            let kernel = Kernel { centre: unit(dimension, centre), scale: self.scale };
            value(dimension, kernel.quantile(rng.uniform()))
        };
        match dimension.range {
            Range::Choice(values) if values.len() == 1 => values[0],
            Range::Choice(_) if keeps => centre,
            Range::Choice(values) => {
                let others: Vec<f64> = values.iter().copied().filter(|v| *v != centre).collect();
                others[rng.below(others.len())]
            }
            Range::Real { or_zero: true, .. } => match (centre == 0.0, keeps) {
                (true, true) | (false, false) => 0.0,
                (true, false) => value(dimension, rng.uniform()),
                (false, true) => near(rng),
            },
            _ => near(rng),
        }
    }

    fn ln_density(&self, x: &[f64]) -> f64 {
        let even: f64 = self.space.iter().map(even_density).product();
        let near = |centre: &&Vec<f64>| -> f64 {
            (0..x.len()).map(|i| self.density_near(&self.space[i], centre[i], x[i])).product()
        };
        let sum: f64 = self.points.iter().map(near).sum();
        ((even + sum) / (self.points.len() as f64 + 1.0)).ln()
    }

    fn density_near(&self, dimension: &Dimension, centre: f64, x: f64) -> f64 {
        let near = || Kernel { centre: unit(dimension, centre), scale: self.scale }.density(unit(dimension, x));
        match dimension.range {
            Range::Choice(values) if values.len() == 1 => 1.0,
            Range::Choice(_) if x == centre => KEEP,
            Range::Choice(values) => (1.0 - KEEP) / (values.len() - 1) as f64,
            Range::Real { or_zero: true, .. } => match (centre == 0.0, x == 0.0) {
                (true, true) => KEEP,
                (true, false) | (false, true) => 1.0 - KEEP,
                (false, false) => KEEP * near(),
            },
            _ => near(),
        }
    }
}

/// A logistic density around `centre`, cut to [0, 1].
struct Kernel {
    centre: f64,
    scale: f64,
}

impl Kernel {
    fn cumulative(&self, u: f64) -> f64 {
        1.0 / (1.0 + (-(u - self.centre) / self.scale).exp())
    }
    fn density(&self, u: f64) -> f64 {
        let f = self.cumulative(u);
        f * (1.0 - f) / self.scale / (self.cumulative(1.0) - self.cumulative(0.0))
    }
    fn quantile(&self, p: f64) -> f64 {
        let (low, high) = (self.cumulative(0.0), self.cumulative(1.0));
        let f = low + p * (high - low);
        (self.centre + self.scale * (f / (1.0 - f)).ln()).clamp(0.0, 1.0)
    }
}

/// A value drawn evenly over a range; of a zero beside a range, half of the draws are 0.
fn draw_evenly(dimension: &Dimension, rng: &mut Rng) -> f64 {
    match dimension.range {
        Range::Choice(values) => values[rng.below(values.len())],
        Range::Real { or_zero: true, .. } if rng.uniform() < 0.5 => 0.0,
        _ => value(dimension, rng.uniform()),
    }
}

/// The density of [`draw_evenly`] at any value.
fn even_density(dimension: &Dimension) -> f64 {
    match dimension.range {
        Range::Choice(values) => 1.0 / values.len() as f64,
        Range::Real { or_zero: true, .. } => 0.5,
        _ => 1.0,
    }
}

/// Ends of a range as they are searched. Whole numbers own half a step on either side.
fn ends(range: Range) -> (f64, f64, bool) {
    match range {
        Range::Real { low, high, log, .. } => (low, high, log),
        Range::Whole { low, high, log } => (f64::from(low) - 0.5, f64::from(high) + 0.5, log),
        Range::Choice(_) => (0.0, 1.0, false),
    }
}

/// The place of a value of a numeric range on [0, 1].
fn unit(dimension: &Dimension, value: f64) -> f64 {
    let (low, high, log) = ends(dimension.range);
    if log { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) }
}

/// The value at a place on [0, 1] of a numeric range: whole, or of four significant digits, as people write settings.
fn value(dimension: &Dimension, u: f64) -> f64 {
    let (low, high, log) = ends(dimension.range);
    let value = if log { low * (high / low).powf(u) } else { low + u * (high - low) };
    match dimension.range {
        Range::Whole { low, high, .. } => value.round().clamp(f64::from(low), f64::from(high)),
        _ => rounded(value).clamp(low, high),
    }
}

fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: [Dimension; 6] = [
        Dimension::log("rate", 1e-4, 1.0, 0.1),
        Dimension::real("share", 0.2, 1.0, 0.8),
        Dimension::whole_log("leaves", 2, 256, 31),
        Dimension::whole("depth", 1, 10, 6),
        Dimension::log_or_zero("decay", 1e-6, 1e-1, 0.0),
        Dimension::choice("kind", &[0.0, 1.0, 2.0], 0.0),
    ];

    /// Smallest at rate 0.01, share 0.6, leaves 32, depth 3, decay 0 and kind 2, where it is 0; rate and leaves interact.
    fn loss(x: &[f64]) -> f64 {
        let (rate, leaves) = ((x[0] / 0.01).ln(), (x[2] / 32.0).ln());
        let decay = if x[4] == 0.0 { 0.0 } else { 0.5 + (x[4] / 1e-6).ln() * 0.1 };
        (rate + leaves).powi(2)
            + 0.2 * (rate - leaves).powi(2)
            + 8.0 * (x[1] - 0.6).powi(2)
            + 0.1 * (x[3] - 3.0).abs()
            + decay
            + [1.0, 0.6, 0.0][x[5] as usize]
    }

    /// The best loss of `n` trials.
    fn best(n: usize, seed: u64, by_estimator: bool) -> f64 {
        let mut rng = Rng::new(seed);
        let mut tried: Vec<(f64, Vec<f64>)> = Vec::new();
        for _ in 0..n {
            let order: Vec<Vec<f64>> = if by_estimator { tried.iter().map(|t| t.1.clone()).collect() } else { vec![] };
            let x = propose(&SPACE, &order, &[], &mut rng).unwrap();
            tried.push((loss(&x), x));
            tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        tried[0].0
    }

    #[test]
    fn finds_better_points_than_chance_in_as_many_trials() {
        let median = |by_estimator: bool| {
            let mut found: Vec<f64> = (0..21).map(|seed| best(60, seed, by_estimator)).collect();
            found.sort_by(f64::total_cmp);
            found[10]
        };
        let (estimated, random) = (median(true), median(false));
        assert!(estimated < 0.6 * random, "{estimated} against {random}");
    }

    #[test]
    fn every_proposal_is_in_its_range_and_new() {
        let mut rng = Rng::new(1);
        let (mut tried, mut zeros) = (Vec::new(), 0);
        for _ in 0..300 {
            let x = propose(&SPACE, &tried, &[], &mut rng).unwrap();
            assert!(SPACE.iter().zip(&x).all(|(d, v)| d.holds(*v)), "{x:?}");
            assert!(!tried.contains(&x));
            zeros += usize::from(x[4] == 0.0);
            tried.push(x);
        }
        assert!((50..290).contains(&zeros), "{zeros} of 300");
    }

    #[test]
    fn a_space_ends_when_every_point_was_tried() {
        let space = [Dimension::choice("kind", &[0.0, 1.0], 0.0), Dimension::whole("depth", 1, 3, 2)];
        let mut rng = Rng::new(1);
        let mut tried = Vec::new();
        while let Some(x) = propose(&space, &tried, &[], &mut rng) {
            tried.push(x);
        }
        assert_eq!(tried.len(), 6, "{tried:?}");
    }

    #[test]
    fn densities_integrate_to_one_and_draws_follow_them() {
        for (centre, scale) in [(0.0, 0.11), (0.5, 0.03), (0.93, 0.11)] {
            let kernel = Kernel { centre, scale };
            let n = 20_000;
            let middle = |i: usize| (i as f64 + 0.5) / n as f64;
            let mass: f64 = (0..n).map(|i| kernel.density(middle(i)) / n as f64).sum();
            assert!((mass - 1.0).abs() < 1e-6, "{mass}");
            let below: f64 = (0..n).filter(|&i| middle(i) < 0.4).map(|i| kernel.density(middle(i)) / n as f64).sum();
            let drawn = (0..n).filter(|&i| kernel.quantile(middle(i)) < 0.4).count() as f64 / n as f64;
            assert!((below - drawn).abs() < 1e-3, "{below} {drawn}");
        }
        for dimension in &SPACE[..4] {
            let end = if let Range::Whole { low, high, .. } = dimension.range {
                [low, high].map(f64::from)
            } else {
                [0.2, 1.0]
            };
            for v in end {
                assert_eq!(value(dimension, unit(dimension, v)), v, "{}", dimension.name);
            }
        }
    }
}
