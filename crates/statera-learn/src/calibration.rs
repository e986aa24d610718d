//! Calibration: from margins to probabilities that come true.
//!
//! A calibrator is fitted on out-of-fold margins, so that it sees what the model says of rows it has not learnt. As a
//! function of real numbers it is strictly increasing and never 0 or 1; in `f64` neighbouring margins may of course round to
//! the same probability, but the order of two margins is never reversed, and the value is kept within
//! 2.2e-308 … 1 - 1.1e-16. It is computed with additions, multiplications, divisions and `statera-kernel`'s functions
//! only, so that it has the same bits on every machine.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use statera_core::metric::{Predicted, Sample};
use statera_core::split::{Keys, folds};
use statera_core::{Error, Result, Task};
use statera_kernel::math::{exp, ln, sigmoid};

/// Fewest rows of which an isotonic curve is fitted; with fewer it follows chance.
pub const MIN_ISOTONIC_ROWS: usize = 1_000;

/// Folds that [`choose`] compares Platt's and the isotonic calibration by.
const N_FOLDS: usize = 5;

/// Least rise of log-odds over one standard deviation of the margins: a model whose margins rank rows wrongly is
/// calibrated to an almost constant probability, not turned round.
const MIN_SLOPE: f64 = 1e-3;

/// Greatest such rise for classes; margins that separate them without error would ask for an infinite one.
const MAX_SLOPE: f64 = 1e2;

/// A strictly increasing function from margins to probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Calibrator {
    /// The margin itself: a regression predicts values.
    Identity {},
    /// sigmoid(a · margin + b), a > 0 (Platt 1999).
    Platt {
        /// Slope, greater than 0.
        a: f64,
        /// Log-odds at margin 0.
        b: f64,
    },
    /// Straight lines between knots; beyond the first and the last knot the log-odds rise by 1 for each 1 of margin.
    Isotonic {
        /// Margins of the knots, strictly ascending, at least one.
        x: Vec<f64>,
        /// Probabilities of the knots, strictly ascending, greater than 0 and less than 1.
        y: Vec<f64>,
    },
    /// softmax(margins / t) (Guo et al. 2017).
    Temperature {
        /// Temperature, greater than 0.
        t: f64,
    },
}

impl Calibrator {
    /// Name in tables and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Calibrator::Identity {} => "none",
            Calibrator::Platt { .. } => "Platt",
            Calibrator::Isotonic { .. } => "isotonic",
            Calibrator::Temperature { .. } => "temperature",
        }
    }

    /// Probability of class 1 from a binary margin; for [`Calibrator::Identity`] the margin itself. NaN gives NaN.
    pub fn probability(&self, margin: f64) -> f64 {
        match self {
            Calibrator::Identity {} => margin,
            Calibrator::Platt { a, b } => inside(sigmoid(a * margin + b)),
            Calibrator::Isotonic { x, y } => inside(interpolate(x, y, margin)),
            Calibrator::Temperature { t } => inside(sigmoid(margin / t)),
        }
    }

    /// Replaces the margins of a row of k ≥ 2 classes by their probabilities, which sum to 1 but for rounding; every
    /// calibrator but [`Calibrator::Temperature`] stands for temperature 1 here.
    pub fn softmax(&self, row: &mut [f64]) {
        let t = if let Calibrator::Temperature { t } = self { *t } else { 1.0 };
        let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for m in row.iter_mut() {
            *m = exp((*m - greatest) / t);
            sum += *m;
        }
        for p in row {
            *p = inside(*p / sum);
        }
    }

    /// Probabilities of rows, in the layout of their margins: one a row (binary; the values themselves for a regression)
    /// or `n_rows × k`.
    pub fn probabilities(&self, task: Task, margins: &[f64]) -> Vec<f64> {
        match task {
            Task::Classes(k) => {
                let mut p = margins.to_vec();
                p.chunks_exact_mut(k).for_each(|row| self.softmax(row));
                p
            }
            Task::Binary | Task::Regression => margins.iter().map(|&m| self.probability(m)).collect(),
        }
    }

    /// This calibrator for margins that tell more than those it was fitted on: one at a distance d from `centre` is read as
    /// one at d / `ratio` was, 0 < `ratio` ≤ 1. A temperature and the identity stay as they are.
    #[must_use]
    pub fn stretched(&self, centre: f64, ratio: f64) -> Calibrator {
        match self {
            _ if ratio == 1.0 => self.clone(),
            Calibrator::Platt { a, b } => Calibrator::Platt { a: a / ratio, b: b + a * centre * (1.0 - 1.0 / ratio) },
            Calibrator::Isotonic { x, y } => {
                let x: Vec<f64> = x.iter().map(|x| centre + (x - centre) * ratio).collect();
                // Knots so close that they would fall together stay as they were.
                if x.windows(2).all(|p| p[0] < p[1]) { Calibrator::Isotonic { x, y: y.clone() } } else { self.clone() }
            }
            Calibrator::Identity {} | Calibrator::Temperature { .. } => self.clone(),
        }
    }

    /// The calibrator as JSON; its numbers come back exactly.
    pub fn save(&self) -> Value {
        serde_json::to_value(self).expect("its numbers are finite")
    }

    /// The calibrator that [`Calibrator::save`] wrote. Fails on unknown fields and on numbers that would make it fall.
    pub fn load(value: &Value) -> Result<Calibrator> {
        let calibrator = Calibrator::deserialize(value).map_err(|e| Error::damaged(format!("calibration: {e}")))?;
        calibrator.check().map_err(|e| e.at("calibration"))?;
        Ok(calibrator)
    }

    fn check(&self) -> Result<()> {
        let positive = |name: &str, v: f64| match v > 0.0 && v.is_finite() {
            true => Ok(()),
            false => Err(Error::damaged(format!("{name} is {v}; it must be greater than 0"))),
        };
        let ascending = |name: &str, v: &[f64]| match v.windows(2).find(|p| p[0] >= p[1]) {
            Some(p) => Err(Error::damaged(format!("{name} has {} before {}; it must ascend strictly", p[0], p[1]))),
            None => Ok(()),
        };
        match self {
            Calibrator::Identity {} => Ok(()),
            Calibrator::Platt { a, .. } => positive("a", *a),
            Calibrator::Temperature { t } => positive("t", *t),
            Calibrator::Isotonic { x, y } => {
                if x.is_empty() || x.len() != y.len() {
                    let (x, y) = (x.len(), y.len());
                    return Err(Error::damaged(format!(
                        "x has {x} knots and y {y}; there must be one at least, and as many"
                    )));
                }
                if let Some(p) = y.iter().find(|&&p| !(p > 0.0 && p < 1.0)) {
                    return Err(Error::damaged(format!("y has {p}; it must be greater than 0 and less than 1")));
                }
                ascending("x", x)?;
                ascending("y", y)
            }
        }
    }
}

/// The calibrator for a task: none for a regression, temperature for classes, and for binary what [`choose`] finds.
///
/// `margins` is row-major, `target` and `weight` have one value a row. Fails as [`Sample::new`] does.
pub fn fit(task: Task, margins: &[f64], target: &[f64], weight: Option<&[f64]>, seed: u64) -> Result<Calibrator> {
    match task {
        Task::Regression => Ok(Calibrator::Identity {}),
        Task::Classes(_) => fit_temperature(task, margins, target, weight),
        Task::Binary => choose(margins, target, weight, seed),
    }
}

impl Calibrator {
    /// A calibrator of the same kind, fitted on other rows; for probabilities of rows that no calibrator has seen.
    /// Arguments and failures as of [`fit`].
    pub fn fit_alike(&self, task: Task, margins: &[f64], target: &[f64], weight: Option<&[f64]>) -> Result<Calibrator> {
        match self {
            Calibrator::Identity {} => Ok(Calibrator::Identity {}),
            Calibrator::Platt { .. } => fit_platt(margins, target, weight),
            Calibrator::Isotonic { .. } => fit_isotonic(margins, target, weight),
            Calibrator::Temperature { .. } => fit_temperature(task, margins, target, weight),
        }
    }
}

/// Platt's calibration or, from [`MIN_ISOTONIC_ROWS`] rows on, the isotonic one if its log loss over 5 folds is lower.
pub fn choose(margins: &[f64], target: &[f64], weight: Option<&[f64]>, seed: u64) -> Result<Calibrator> {
    let points = Points::new(margins, target, weight)?;
    let keys = Keys { task: Task::Binary, target: &points.target, time: None, known: None, group: None };
    // Too few rows of a class for the folds are too few for an isotonic curve as well.
    let folds = if points.target.len() < MIN_ISOTONIC_ROWS { None } else { folds(&keys, N_FOLDS, seed).ok() };
    let Some(folds) = folds else { return Ok(platt(&points)) };
    let (mut platt_loss, mut isotonic_loss) = (0.0, 0.0);
    for (train, valid) in folds {
        let (train, valid) = (points.take(&train), points.take(&valid));
        platt_loss += valid.loss(&platt(&train));
        isotonic_loss += valid.loss(&isotonic(&train));
    }
    Ok(if isotonic_loss < platt_loss { isotonic(&points) } else { platt(&points) })
}

/// Platt's calibration: logistic regression on the margin with Platt's smoothed targets, which keep the slope finite
/// where margins separate the classes. Binary; fails as [`Sample::new`] does.
pub fn fit_platt(margins: &[f64], target: &[f64], weight: Option<&[f64]>) -> Result<Calibrator> {
    Ok(platt(&Points::new(margins, target, weight)?))
}

/// The isotonic calibration: least-squares non-decreasing steps (pool adjacent violators, Ayer et al. 1955), of which
/// each is one knot at its mean margin; lines between the knots make it strictly increasing. Binary; fails as
/// [`Sample::new`] does.
pub fn fit_isotonic(margins: &[f64], target: &[f64], weight: Option<&[f64]>) -> Result<Calibrator> {
    Ok(isotonic(&Points::new(margins, target, weight)?))
}

/// The temperature of least log loss. `margins` is `n_rows × k`; fails as [`Sample::new`] does.
pub fn fit_temperature(task: Task, margins: &[f64], target: &[f64], weight: Option<&[f64]>) -> Result<Calibrator> {
    let sample = Sample::new(task, target, Predicted { margins, probabilities: &[] }, weight, 0.5)?;
    let k = task.n_outputs();
    let rows = || sample.margin.chunks_exact(k);
    let spread = sample.mean(|row| {
        let row = &sample.margin[row * k..][..k];
        let mean = row.iter().sum::<f64>() / k as f64;
        row.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / k as f64
    });
    if spread == 0.0 {
        return Ok(Calibrator::Temperature { t: 1.0 });
    }
    let unit = spread.sqrt();
    // The log loss is convex in the slope s = unit / t; its derivative is Σ w (E[m] - m of the true class) / unit, E over the
    // softmax, and has one root at most.
    let derivative = |s: f64| {
        let mut sum = 0.0;
        let mut p = vec![0.0; k];
        for ((row, &y), &w) in rows().zip(&sample.target).zip(&sample.weight) {
            p.copy_from_slice(row);
            Calibrator::Temperature { t: unit / s }.softmax(&mut p);
            let expected: f64 = p.iter().zip(row).map(|(p, m)| p * m).sum();
            sum += w * (expected - row[y as usize]);
        }
        sum
    };
    Ok(Calibrator::Temperature { t: unit / root(derivative, MIN_SLOPE, MAX_SLOPE) })
}

/// Root of a rising function between two bounds by bisection of the logarithm; a bound if it has none there.
fn root(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    if f(low) >= 0.0 {
        return low;
    }
    if f(high) <= 0.0 {
        return high;
    }
    // 100,000 : 1 is halved to less than a billionth in 34 steps.
    while high / low > 1.0 + 1e-9 {
        let middle = (low * high).sqrt();
        if f(middle) < 0.0 { low = middle } else { high = middle }
    }
    (low * high).sqrt()
}

/// Binary out-of-fold margins, ascending, with weights of mean 1.
struct Points {
    margin: Vec<f64>,
    target: Vec<f64>,
    weight: Vec<f64>,
}

impl Points {
    fn new(margins: &[f64], target: &[f64], weight: Option<&[f64]>) -> Result<Points> {
        let Sample { mut margin, mut target, mut weight, .. } =
            Sample::new(Task::Binary, target, Predicted { margins, probabilities: &[] }, weight, 0.5)?;
        for ascending in [&mut margin, &mut target, &mut weight] {
            ascending.reverse();
        }
        // Weights tell how much a row counts beside the others; smoothing needs to know how many rows there are.
        let scale = weight.len() as f64 / weight.iter().sum::<f64>();
        weight.iter_mut().for_each(|w| *w *= scale);
        Ok(Points { margin, target, weight })
    }

    /// The points at ascending places.
    fn take(&self, rows: &[usize]) -> Points {
        let [margin, target, weight] =
            [&self.margin, &self.target, &self.weight].map(|v| rows.iter().map(|&r| v[r]).collect());
        Points { margin, target, weight }
    }

    fn rows(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.margin.iter().zip(&self.target).zip(&self.weight).map(|((&m, &y), &w)| (m, y, w))
    }

    /// Sum of the log losses.
    fn loss(&self, calibrator: &Calibrator) -> f64 {
        self.rows().fold(0.0, |sum, (m, y, w)| {
            let p = calibrator.probability(m);
            sum - w * ln(if y == 1.0 { p } else { 1.0 - p })
        })
    }
}

fn platt(points: &Points) -> Calibrator {
    let (mut total, mut positive, mut mean) = (0.0, 0.0, 0.0);
    for (m, y, w) in points.rows() {
        total += w;
        positive += w * y;
        mean += w * m;
    }
    mean /= total;
    let deviation = (points.rows().map(|(m, _, w)| w * (m - mean).powi(2)).sum::<f64>() / total).sqrt();
    let unit = if deviation > 0.0 { deviation } else { 1.0 };
    // Platt's targets: what Laplace's rule expects of the next row of either class.
    let targets = [1.0 / (total - positive + 2.0), (positive + 1.0) / (positive + 2.0)];
    let rows: Vec<(f64, f64, f64)> =
        points.rows().map(|(m, y, w)| ((m - mean) / unit, targets[usize::from(y == 1.0)], w)).collect();
    let odds = (positive + 1.0) / (total - positive + 1.0);
    let (mut slope, mut level) = newton(&rows, (MIN_SLOPE, ln(odds)), true);
    if slope < MIN_SLOPE || deviation == 0.0 {
        (slope, level) = newton(&rows, (MIN_SLOPE, ln(odds)), false);
    }
    Calibrator::Platt { a: slope / unit, b: level - slope * mean / unit }
}

/// Slope and level of the logistic regression of (margin, target in 0 … 1, weight) by Newton's method with step halving
/// (Lin, Lin & Weng 2007); the slope stays as it is unless `free`.
fn newton(rows: &[(f64, f64, f64)], start: (f64, f64), free: bool) -> (f64, f64) {
    let loss = |(a, b): (f64, f64)| -> f64 {
        rows.iter().fold(0.0, |sum, &(x, t, w)| {
            let z = a * x + b;
            sum + w * (ln(1.0 + exp(-z.abs())) + z.max(0.0) - t * z)
        })
    };
    let mut at = start;
    let mut lowest = loss(at);
    for _ in 0..100 {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 1e-12, 0.0, 1e-12);
        for &(x, t, w) in rows {
            let p = sigmoid(at.0 * x + at.1);
            let (g, h) = (w * (p - t), w * p * (1.0 - p));
            ga += g * x;
            gb += g;
            haa += h * x * x;
            hab += h * x;
            hbb += h;
        }
        let (da, db) = if free {
            let determinant = haa * hbb - hab * hab;
            ((hab * gb - hbb * ga) / determinant, (hab * ga - haa * gb) / determinant)
        } else {
            (0.0, -gb / hbb)
        };
        let mut step = 1.0;
        let next = loop {
            let next = (at.0 + step * da, at.1 + step * db);
            let found = loss(next);
            if found < lowest {
                lowest = found;
                break Some(next);
            }
            step *= 0.5;
            if step < 1e-6 {
                break None;
            }
        };
        let Some(next) = next else { break };
        let moved = (next.0 - at.0).abs().max((next.1 - at.1).abs());
        at = next;
        if moved < 1e-10 {
            break;
        }
    }
    at
}

/// Rows of one level of the step function.
#[derive(Clone, Copy)]
struct Block {
    weight: f64,
    margin: f64,
    positive: f64,
}

impl Block {
    fn x(&self) -> f64 {
        self.margin / self.weight
    }
    fn y(&self) -> f64 {
        self.positive / self.weight
    }
}

fn isotonic(points: &Points) -> Calibrator {
    let mut blocks: Vec<Block> = Vec::new();
    let mut rows = points.rows().peekable();
    while let Some((margin, y, w)) = rows.next() {
        let mut block = Block { weight: w, margin: w * margin, positive: w * y };
        // Equal margins are one point, whatever their order.
        while let Some((_, y, w)) = rows.next_if(|next| next.0 == margin) {
            block.weight += w;
            block.margin += w * margin;
            block.positive += w * y;
        }
        // Levels and, after rounding, margins must ascend strictly.
        while let Some(last) = blocks.last().filter(|last| last.y() >= block.y() || last.x() >= block.x()) {
            block.weight += last.weight;
            block.margin += last.margin;
            block.positive += last.positive;
            blocks.pop();
        }
        blocks.push(block);
    }
    let x: Vec<f64> = blocks.iter().map(Block::x).collect();
    let mut y: Vec<f64> = blocks.iter().map(Block::y).collect();
    // Levels 0 and 1 can only be the first and the last; there half a row of the other class is supposed (but the next level
    // is not passed). Both classes occur, so there is a next level.
    let last = y.len() - 1;
    let (second, last_but_one) = (y[1.min(last)], y[last.saturating_sub(1)]);
    if y[0] == 0.0 {
        y[0] = (0.5 / (blocks[0].weight + 1.0)).min(second / 2.0);
    }
    if y[last] == 1.0 {
        y[last] = (1.0 - 0.5 / (blocks[last].weight + 1.0)).max((1.0 + last_but_one) / 2.0);
    }
    Calibrator::Isotonic { x, y }
}

fn interpolate(x: &[f64], y: &[f64], margin: f64) -> f64 {
    let logit = |p: f64| ln(p / (1.0 - p));
    let last = x.len() - 1;
    let after = x.partition_point(|&knot| knot <= margin);
    if after == 0 {
        let p = sigmoid(logit(y[0]) + (margin - x[0]));
        // Rounding must not lift it over the knot.
        return if p > y[0] { y[0] } else { p };
    }
    if after > last {
        return sigmoid(logit(y[last]) + (margin - x[last])).max(y[last]);
    }
    let (x0, x1, y0, y1) = (x[after - 1], x[after], y[after - 1], y[after]);
    (y0 + (y1 - y0) * ((margin - x0) / (x1 - x0))).min(y1)
}

/// Keeps a probability off 0 and 1, where odds have no logarithm.
fn inside(p: f64) -> f64 {
    p.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::Rng;

    const TARGET: [f64; 20] = [0., 1., 0., 1., 1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 0., 0.];
    const MARGIN: [f64; 20] =
        [-2., 1.5, -1., -0.5, 0.75, -1., 0.5, 2., -1.5, -0.5, -0.5, -3., 0.75, 0.25, -1.25, 1., 3., -0.75, -2.5, -1.];
    /// Mean 1, so that smoothing by counts is that of scikit-learn.
    const WEIGHT: [f64; 20] = [1., 2., 1., 0.5, 1., 0.5, 1., 1., 1.5, 1., 1., 1., 0.5, 1., 1., 1., 1.5, 0.5, 1., 1.];

    /// Rows with probability f(margin) of being positive.
    fn invented(n: usize, seed: u64, f: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = Rng::new(seed);
        (0..n)
            .map(|_| {
                let m = 2.0 * rng.normal();
                (m, f64::from(u8::from(rng.uniform() < f(m))))
            })
            .unzip()
    }

    #[test]
    fn platt_is_that_of_scikit_learn() {
        // from sklearn.calibration import _sigmoid_calibration; a, b = _sigmoid_calibration(m, y, sample_weight=w); (-a, -b)
        let check = |weight: Option<&[f64]>, expected: (f64, f64)| {
            let Calibrator::Platt { a, b } = fit_platt(&MARGIN, &TARGET, weight).unwrap() else { panic!("not Platt") };
            assert!((a - expected.0).abs() < 1e-6 && (b - expected.1).abs() < 1e-6, "{a} {b}");
        };
        check(None, (0.88364946, -0.51732966));
        check(Some(&WEIGHT), (0.98624083, -0.41315170));
    }

    #[test]
    fn isotonic_levels_are_those_of_scikit_learn() {
        // from sklearn.isotonic import IsotonicRegression; IsotonicRegression().fit(m, y, sample_weight=w).predict(np.unique(m))
        // gives the levels; a knot's margin is the weighted mean of the margins of its level.
        let Calibrator::Isotonic { x, y } = fit_isotonic(&MARGIN, &TARGET, Some(&WEIGHT)).unwrap() else {
            panic!("not isotonic")
        };
        let close = |found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        };
        close(&x, &[-1.6323529411764706, 0.23214285714285715, 2.111111111111111]);
        // The levels are 0, .5 and 1; the first has 8.5 rows, the last 4.5: half a row of the other class in one more.
        close(&y, &[0.5 / 9.5, 0.5, 1.0 - 0.5 / 5.5]);
    }

    #[test]
    fn temperature_is_that_of_least_loss() {
        // scipy.optimize.minimize_scalar(lambda s: log_loss(y, softmax(M * s, 1), sample_weight=w), bounds=(.01, 20)), t = 1 / s
        let classes = [0., 1., 2., 0., 1., 2., 2., 1., 0., 2.];
        let logits = [
            1., 0., -1., 0., 0.5, 0., -1., 0.25, 1., 0.5, 0.5, -0.5, 1., 0.75, 0., 0., 0., 0.5, 0.25, -0.5, 0., -1.,
            2., 0., 2., -1., 0.5, 0., 1., 0.75,
        ];
        let weight = [1., 2., 1., 1., 0.5, 1., 3., 1., 1., 2.];
        let check = |weight: Option<&[f64]>, expected: f64| {
            let found = fit_temperature(Task::Classes(3), &logits, &classes, weight).unwrap();
            let Calibrator::Temperature { t } = found else { panic!("not temperature") };
            assert!((t - expected).abs() < 1e-5, "{t}");
        };
        check(None, 0.31143607709127696);
        check(Some(&weight), 0.3509936974857265);
    }

    #[test]
    fn calibrators_recover_the_probability_rows_were_drawn_with() {
        type Curve = fn(f64) -> f64;
        let curves: [(&str, Curve); 2] = [
            ("Platt", |m| 1.0 / (1.0 + (1.0 - 0.6 * m).exp())),
            // Two rises with a plateau between them, which no sigmoid follows.
            ("isotonic", |m| 0.03 + 0.4 / (1.0 + (-3.0 - 3.0 * m).exp()) + 0.4 / (1.0 + (6.0 - 2.0 * m).exp())),
        ];
        for (name, curve) in curves {
            let (margins, target) = invented(20_000, 7, curve);
            let found = choose(&margins, &target, None, 1).unwrap();
            assert_eq!(found.name(), name);
            let error: f64 = margins.iter().map(|&m| (found.probability(m) - curve(m)).abs()).sum::<f64>() / 20_000.0;
            assert!(error < 0.012, "{name} {error}");
        }
        let (margins, target) = invented(MIN_ISOTONIC_ROWS - 1, 7, curves[1].1);
        assert_eq!(choose(&margins, &target, None, 1).unwrap().name(), "Platt");
    }

    fn fitted() -> Vec<Calibrator> {
        let (margins, target) = invented(5000, 3, |m| 1.0 / (1.0 + (-m).exp()));
        let perfect: Vec<f64> = margins.iter().map(|&m| f64::from(u8::from(m > 0.0))).collect();
        let reversed: Vec<f64> = perfect.iter().map(|y| 1.0 - y).collect();
        let constant = vec![2.0; 5000];
        let mut all = vec![];
        for (m, y) in [(&margins, &target), (&margins, &perfect), (&margins, &reversed), (&constant, &target)] {
            all.push(fit_platt(m, y, None).unwrap());
            all.push(fit_isotonic(m, y, None).unwrap());
        }
        all.push(Calibrator::Temperature { t: 0.7 });
        all
    }

    #[test]
    fn every_calibrator_rises_strictly_and_stays_off_zero_and_one() {
        for c in fitted() {
            // Where no side is saturated, steps of .001 of margin are seen.
            let p: Vec<f64> = (-5000..=5000).map(|i| c.probability(f64::from(i) / 1000.0)).collect();
            let saturated = |p: f64| p > 1.0 - 1e-12;
            let falls = p.windows(2).position(|p| !(p[0] < p[1] || saturated(p[0]) && p[0] <= p[1]));
            assert!(falls.is_none(), "{} at {falls:?}", c.name());
            // Neighbouring numbers may share a probability, but never in the wrong order: around each knot and anywhere.
            let mut near: Vec<f64> = vec![-1.25, 0.0, 3.5];
            if let Calibrator::Isotonic { x, .. } = &c {
                near.extend(x);
            }
            for m in near {
                let run = [m.next_down().next_down(), m.next_down(), m, m.next_up(), m.next_up().next_up()];
                assert!(run.map(|m| c.probability(m)).is_sorted(), "{} at {m}", c.name());
            }
            for m in [f64::NEG_INFINITY, -1e300, -800.0, -40.0, 40.0, 800.0, 1e300, f64::INFINITY] {
                assert!(c.probability(m) > 0.0 && c.probability(m) < 1.0, "{} at {m}", c.name());
            }
            assert!(c.probability(f64::NAN).is_nan());
        }
    }

    #[test]
    fn mean_probability_is_the_share_of_positive_rows() {
        let (margins, target) = invented(20_000, 5, |m| 1.0 / (1.0 + (2.0 - m).exp()));
        let share = target.iter().sum::<f64>() / 20_000.0;
        for c in [fit_platt(&margins, &target, None).unwrap(), fit_isotonic(&margins, &target, None).unwrap()] {
            let mean = c.probabilities(Task::Binary, &margins).iter().sum::<f64>() / 20_000.0;
            assert!((mean - share).abs() < 0.002, "{} {mean} {share}", c.name());
        }
    }

    #[test]
    fn a_stretched_calibrator_is_right_for_averages() {
        // Rows of log-odds f; five fits see f + noise of a ninth of its variance each, and a calibrator is fitted on one.
        let (mut rng, n) = (Rng::new(12), 200_000);
        let f: Vec<f64> = (0..n).map(|_| 1.5 * rng.normal() - 1.0).collect();
        let target: Vec<f64> = f.iter().map(|&f| f64::from(u8::from(rng.uniform() < sigmoid(f)))).collect();
        let sd = 0.5;
        let single: Vec<f64> = f.iter().map(|f| f + sd * rng.normal()).collect();
        let average: Vec<f64> = f.iter().map(|f| f + sd / 5f64.sqrt() * rng.normal()).collect();
        let ratio = (1.0 + 1.0 / 45.0) / (1.0 + 1.0 / 9.0);
        for fitted in [fit_platt(&single, &target, None).unwrap(), fit_isotonic(&single, &target, None).unwrap()] {
            let slope = |c: &Calibrator| {
                let odds: Vec<f64> = average.iter().map(|&m| ln(c.probability(m) / (1.0 - c.probability(m)))).collect();
                let Ok(Calibrator::Platt { a, .. }) = fit_platt(&odds, &target, None) else { panic!("not Platt") };
                a
            };
            let (left, stretched) = (slope(&fitted), slope(&fitted.stretched(-1.0, ratio)));
            // The rest is of second order: noise also flattens the curve beyond what it takes from the slope.
            assert!(
                left > 1.1 && (stretched - 1.0).abs() < (left - 1.0) / 3.0,
                "{}: {left} {stretched}",
                fitted.name()
            );
        }
        let temperature = Calibrator::Temperature { t: 0.7 };
        assert_eq!(temperature.stretched(1.0, 0.8), temperature);
    }

    #[test]
    fn a_weight_is_a_repetition_and_weight_zero_is_no_row() {
        let (margins, target) = invented(2000, 9, |m| 1.0 / (1.0 + (-m).exp()));
        let weight: Vec<f64> = (0..2000).map(|i| f64::from(i % 3)).collect();
        let rows: Vec<usize> = (0..2000).flat_map(|i| vec![i; i % 3]).collect();
        let [m, y] = [&margins, &target].map(|v| rows.iter().map(|&r| v[r]).collect::<Vec<f64>>());
        for fit in [fit_platt, fit_isotonic] {
            let (weighted, repeated) = (fit(&margins, &target, Some(&weight)).unwrap(), fit(&m, &y, None).unwrap());
            for margin in [-3.0, -1.0, 0.0, 0.5, 2.0] {
                let (a, b) = (weighted.probability(margin), repeated.probability(margin));
                // Smoothing counts the rows there are, 1,333 here and 1,999 there.
                assert!((a - b).abs() < 1e-3, "{} {a} {b}", weighted.name());
            }
        }
    }

    #[test]
    fn softmax_rows_sum_to_one_and_keep_the_order() {
        let mut row = [1.0, -2.0, 800.0, 799.0];
        Calibrator::Temperature { t: 2.0 }.softmax(&mut row);
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-15 && row.iter().all(|&p| p > 0.0 && p < 1.0));
        // 1 / (1 + e^-.5)
        assert!((row[2] - 0.6224593312018546).abs() < 1e-15, "{}", row[2]);
        let p = Calibrator::Temperature { t: 1.0 }.probabilities(Task::Classes(2), &[0.0, 0.0, 1.0, 1.0]);
        assert_eq!(p, [0.5; 4]);
        assert_eq!(
            fit(Task::Regression, &[1.5], &[2.0], None, 1).unwrap().probabilities(Task::Regression, &[1.5]),
            [1.5]
        );
    }

    #[test]
    fn files_come_back_exactly() {
        for c in fitted().into_iter().chain([Calibrator::Identity {}]) {
            let text = serde_json::to_string(&c.save()).unwrap();
            assert_eq!(Calibrator::load(&serde_json::from_str(&text).unwrap()).unwrap(), c);
        }
    }

    #[test]
    fn refuses_damaged_files_and_unusable_rows() {
        let check = |text: &str, expected: &str| {
            let found = Calibrator::load(&serde_json::from_str(text).unwrap()).unwrap_err();
            assert!(found.to_string().contains(expected), "{found}");
        };
        check(r#"{"platt": {"a": -1.0, "b": 0.0}}"#, "calibration: a is -1; it must be greater than 0");
        check(r#"{"platt": {"a": 1.0, "b": 0.0, "c": 0.0}}"#, "unknown field `c`");
        check(r#"{"identity": {"c": 0.0}}"#, "unknown field `c`");
        check(r#"{"spline": {}}"#, "unknown variant `spline`");
        check(r#"{"temperature": {"t": 0.0}}"#, "t is 0; it must be greater than 0");
        check(r#"{"isotonic": {"x": [1.0, 1.0], "y": [0.1, 0.2]}}"#, "x has 1 before 1; it must ascend strictly");
        check(r#"{"isotonic": {"x": [1.0, 2.0], "y": [0.3, 0.2]}}"#, "y has 0.3 before 0.2; it must ascend strictly");
        check(r#"{"isotonic": {"x": [1.0], "y": [1.0]}}"#, "y has 1; it must be greater than 0 and less than 1");
        check(r#"{"isotonic": {"x": [], "y": []}}"#, "x has 0 knots and y 0");
        let one_class = choose(&[0.1, 0.2], &[1.0, 1.0], None, 1).unwrap_err();
        assert_eq!(one_class.to_string(), "the target is 1 on all 2 rows; at least 2 different classes are needed");
        let lost = fit_isotonic(&[0.1, f64::NAN], &[1.0, 0.0], None).unwrap_err();
        assert_eq!(lost.to_string(), "the margin of row 1 (from 0) is NaN; it must be finite");
    }
}
