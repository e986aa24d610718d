//! How a decision treats groups of people: rates, ratios and errors of each group, with intervals and verdicts.
//!
//! The event is what approval is meant to avoid (default, fraud). A *false positive* is a declined row without the event, a
//! *false negative* an approved row with it. Every group is compared with the group of the highest approval rate among
//! those that are large enough (the four-fifths rule of the US Uniform Guidelines, 29 CFR 1607.4 D). What the limits are is
//! not said here: [`Rules`] are a file of their own.
//!
//! A group's own figures have 95 % intervals. Intervals of what is judged hold in 95 % of samples for all groups at once, and
//! whichever group turns out to be the reference: for a comparison each is taken at the level that Bonferroni's inequality
//! asks of all pairs of the groups that are judged, for a calibration gap at that of the groups. Two groups have one pair, and
//! intervals as wide as elsewhere.

mod disparity;
mod estimate;
pub mod proxy;
#[cfg(test)]
mod proxy_tests;
mod reweighing;
mod rules;
#[cfg(test)]
mod tests;

pub use disparity::{Disparity, disparity, pareto_optimal};
pub use reweighing::reweighing;
pub use rules::{RULES_VERSION, Rules};

use crate::metric::{Interval, Ranking, Z_95, area_ranked, draw_weights, simultaneous_quantile};
use crate::{Error, Result, Rng};
use disparity::n_pairs;
use estimate::{Estimate, Tally, difference, ratio};
use serde::{Deserialize, Serialize};

/// A standard error up to this is one of arithmetic.
const ROUNDING: f64 = 1e-12;

/// Rows with their outcomes, what a model said of them, and what was decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// 1 for the event, 0 for none.
    pub target: &'a [f64],
    /// Higher is riskier.
    pub margins: &'a [f64],
    /// Of the event.
    pub probabilities: &'a [f64],
    /// Share of each row that is approved: 1 or 0, or between them where lots decide among rows of one score.
    pub approved: &'a [f64],
    /// How much each row counts; `None` for 1 each.
    pub weight: Option<&'a [f64]>,
}

/// A group by name, with its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Such as `sex = female`, or `sex = female, age under 30`.
    pub name: String,
    /// Ascending.
    pub rows: Vec<usize>,
}

/// What a rule says of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The value and its whole interval are on the allowed side.
    Holds,
    /// The interval lies on both sides of the limit.
    Unclear,
    /// The value and its whole interval are on the other side.
    Fails,
    /// The group is too small to be judged, or is the one that the others are compared with.
    NotJudged,
}

impl Verdict {
    /// What a limit that should not be exceeded says of a figure.
    pub fn up_to(limit: f64, figure: Interval) -> Verdict {
        Allowed::UpTo(limit).verdict(figure)
    }
}

/// A figure of a group, and what the rules say of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The value with its interval: of groups of people one that holds for all of them at once in 95 % of samples.
    pub figure: Interval,
    /// What the rules say.
    pub verdict: Verdict,
}

/// The figures of a group. A figure that the group's rows cannot give (no events, say) is `None`; a group without rows has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupFigures {
    /// Name of the group.
    pub group: String,
    /// Rows of a weight above 0.
    pub n_rows: usize,
    /// Of them, rows with the event.
    pub n_events: usize,
    /// True if the rules find it too small to be judged.
    pub is_small: bool,
    /// True for the group that the others are compared with.
    pub is_reference: bool,
    /// Share that is approved.
    pub approval_rate: Option<Interval>,
    /// Approval rate over the reference group's: 0.8 and above passes the four-fifths rule.
    pub approval_ratio: Option<Judged>,
    /// Share with the event.
    pub event_rate: Option<Interval>,
    /// Area under the curve within the group.
    pub auc: Option<Interval>,
    /// That of the reference group minus the group's.
    pub auc_gap: Option<Judged>,
    /// Mean probability minus share with the event.
    pub calibration_gap: Option<Judged>,
    /// Declined among the rows without the event.
    pub false_positive_rate: Option<Interval>,
    /// The group's minus the reference group's.
    pub false_positive_gap: Option<Judged>,
    /// Approved among the rows with the event.
    pub false_negative_rate: Option<Interval>,
    /// The group's minus the reference group's.
    pub false_negative_gap: Option<Judged>,
}

/// Judges groups, which need not hold every row and may overlap. A group whose rows all have weight 0 is marked as small.
///
/// # Errors
/// Lengths that differ, targets other than 0 and 1, weights below 0, fewer than two groups, rules outside their ranges.
pub fn judge(decided: Decided<'_>, groups: &[Group], rules: &Rules, seed: u64) -> Result<Vec<GroupFigures>> {
    rules.check()?;
    check(decided)?;
    if groups.len() < 2 {
        let alone = groups.first().map_or("none".into(), |g| format!("«{}» alone", g.name));
        return Err(Error::data(format!("fairness compares at least two groups; there is {alone}")));
    }
    let parts: Vec<Part> = groups.iter().map(|g| Part::of(decided, g)).collect();
    let estimate = |(i, part): (usize, &Part)| part.estimates(rules.n_bootstrap, seed.wrapping_add(i as u64));
    let estimates: Vec<Estimates> = parts.iter().enumerate().map(estimate).collect();
    let large: Vec<usize> = (0..parts.len()).filter(|&i| !parts[i].is_small(rules)).collect();
    // Where every group is small, the largest stands for the others to be seen beside.
    let by_size = || (0..parts.len()).fold(0, |b, i| if parts[i].n_rows() > parts[b].n_rows() { i } else { b });
    let rate = |i: usize| estimates[i].approval.map_or(f64::NEG_INFINITY, |e| e.interval(Z_95).value);
    let reference = large.iter().copied().reduce(|b, i| if rate(i) > rate(b) { i } else { b }).unwrap_or_else(by_size);
    let judging = Judging {
        rules,
        reference: &estimates[reference],
        z_of_pairs: simultaneous_quantile(n_pairs(large.len())),
        z_of_groups: simultaneous_quantile(large.len()),
    };
    let figures = |(i, part): (usize, &Part)| judging.figures(part, &estimates[i], i == reference);
    Ok(parts.iter().enumerate().map(figures).collect())
}

fn check(decided: Decided<'_>) -> Result<()> {
    let n = decided.target.len();
    let lengths = [decided.margins.len(), decided.probabilities.len(), decided.approved.len()];
    if lengths.iter().any(|l| *l != n) || decided.weight.is_some_and(|w| w.len() != n) {
        return Err(Error::request(format!(
            "{n} outcomes, {lengths:?} margins, probabilities and decisions; allowed: as many"
        )));
    }
    if let Some(row) = decided.target.iter().position(|y| *y != 0.0 && *y != 1.0) {
        return Err(Error::data(format!("row {row}: outcome {}; allowed: 0 or 1", decided.target[row])));
    }
    if let Some(row) = decided.approved.iter().position(|share| !(0.0..=1.0).contains(share)) {
        return Err(Error::request(format!("row {row}: {} of it is approved; allowed: 0 to 1", decided.approved[row])));
    }
    let weight = decided.weight.unwrap_or_default();
    if let Some(row) = weight.iter().position(|w| *w < 0.0) {
        return Err(Error::data(format!("row {row}: weight {}; allowed: 0 and above", weight[row])));
    }
    match decided.margins.iter().chain(decided.probabilities).chain(weight).find(|v| !v.is_finite()) {
        Some(v) => Err(Error::data(format!("a score or weight is {v}; allowed: finite numbers"))),
        None => Ok(()),
    }
}

/// The rows of a group, side by side.
struct Part {
    name: String,
    target: Vec<f64>,
    /// Of the margins.
    ranking: Ranking,
    probabilities: Vec<f64>,
    approved: Vec<f64>,
    weight: Vec<f64>,
}

/// What a group's rows say of its figures.
struct Estimates {
    approval: Option<Estimate>,
    event: Option<Estimate>,
    auc: Option<Estimate>,
    calibration: Option<Estimate>,
    false_positive: Option<Estimate>,
    false_negative: Option<Estimate>,
}

/// Approvals among the rows without the event, and among those with it.
struct Tallies {
    good: Tally,
    bad: Tally,
}

impl Tallies {
    /// Share approved.
    fn approval(&self) -> Option<Estimate> {
        self.good.and(self.bad).share()
    }
}

impl Part {
    fn of(decided: Decided<'_>, group: &Group) -> Part {
        let weight_of = |i: usize| decided.weight.map_or(1.0, |w| w[i]);
        let rows: Vec<usize> = group.rows.iter().copied().filter(|&i| weight_of(i) > 0.0).collect();
        let take = |values: &[f64]| rows.iter().map(|&i| values[i]).collect();
        Part {
            name: group.name.clone(),
            target: take(decided.target),
            ranking: Ranking::new(rows.len(), |i| decided.margins[rows[i]]),
            probabilities: take(decided.probabilities),
            approved: take(decided.approved),
            weight: rows.iter().map(|&i| weight_of(i)).collect(),
        }
    }

    fn n_rows(&self) -> usize {
        self.target.len()
    }

    fn n_events(&self) -> usize {
        self.target.iter().filter(|y| **y == 1.0).count()
    }

    fn is_small(&self, rules: &Rules) -> bool {
        rules.is_small(self.n_rows(), self.n_events())
    }

    fn tallies(&self) -> Tallies {
        let mut tallies = Tallies { good: Tally::default(), bad: Tally::default() };
        for (i, y) in self.target.iter().enumerate() {
            let tally = if *y == 1.0 { &mut tallies.bad } else { &mut tallies.good };
            tally.add(self.weight[i], self.approved[i]);
        }
        tallies
    }

    fn estimates(&self, n_bootstrap: usize, seed: u64) -> Estimates {
        let tallies = self.tallies();
        let mut events = Tally::default();
        self.target.iter().zip(&self.weight).for_each(|(y, w)| events.add(*w, *y));
        let event = events.share();
        Estimates {
            approval: tallies.approval(),
            event,
            auc: self.auc(n_bootstrap, seed),
            calibration: event.and_then(|event| self.calibration(event)),
            false_positive: tallies.good.turned().share(),
            false_negative: tallies.bad.share(),
        }
    }

    /// The area under the curve with the standard error of a bootstrap within the group; `None` without rows of both classes.
    ///
    /// Draws that all give the same area know nothing of its error: then it counts as the share of so many independent pairs as
    /// can be made of the rows, of which none occurs twice.
    fn auc(&self, n_bootstrap: usize, seed: u64) -> Option<Estimate> {
        let n_bad = self.n_events();
        let n_pairs = n_bad.min(self.n_rows() - n_bad);
        if n_pairs == 0 {
            return None;
        }
        let value = area_ranked(&self.ranking, &self.target, &self.weight);
        let mut drawn = vec![0.0; self.weight.len()];
        let mut draw = |replicate: usize| {
            draw_weights(&self.weight, &mut Rng::fork(seed, replicate as u64), &mut drawn);
            area_ranked(&self.ranking, &self.target, &drawn)
        };
        // A draw of one class has no area.
        let areas: Vec<f64> = (0..n_bootstrap).map(&mut draw).filter(|area| area.is_finite()).collect();
        let error = standard_deviation(&areas);
        Some(if error > ROUNDING {
            Estimate::Normal { value, error, range: [0.0, 1.0] }
        } else {
            Estimate::Share { value, n: n_pairs as f64 }
        })
    }

    /// Mean probability minus the share with the event. `None` without rows.
    fn calibration(&self, event: Estimate) -> Option<Estimate> {
        let Estimate::Share { value: share, n } = event else { return None };
        let total: f64 = self.weight.iter().sum();
        let mean = |of: &dyn Fn(usize) -> f64| (0..self.n_rows()).map(|i| self.weight[i] * of(i)).sum::<f64>() / total;
        let given = mean(&|i| self.probabilities[i]);
        let value = given - share;
        let gap = |i: usize| self.probabilities[i] - self.target[i] - value;
        let error = (mean(&|i| self.weight[i] * gap(i).powi(2)) / total).sqrt();
        // Where all outcomes are the same, or as they were predicted, the rows do not show how far they scatter.
        let is_known = share > 0.0 && share < 1.0 && error > ROUNDING;
        Some(if is_known {
            Estimate::Normal { value, error, range: [-1.0, 1.0] }
        } else {
            Estimate::Less { given, share, n }
        })
    }
}

/// Of a sample; 0 for fewer than two values.
fn standard_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    if values.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() }
}

/// Which side of a limit is allowed.
#[derive(Clone, Copy)]
enum Allowed {
    From(f64),
    UpTo(f64),
    /// From minus this to this.
    Within(f64),
}

impl Allowed {
    fn holds(self, value: f64) -> bool {
        match self {
            Allowed::From(limit) => value >= limit,
            Allowed::UpTo(limit) => value <= limit,
            Allowed::Within(limit) => value.abs() <= limit,
        }
    }

    fn verdict(self, figure: Interval) -> Verdict {
        // Between two ends on allowed sides everything is allowed; a band may lie inside an interval whose ends are not.
        let ends = [self.holds(figure.low), self.holds(figure.high)];
        let spans = figure.low < 0.0 && figure.high > 0.0 && matches!(self, Allowed::Within(_));
        match ends {
            [true, true] => Verdict::Holds,
            [false, false] if !self.holds(figure.value) && !spans => Verdict::Fails,
            _ => Verdict::Unclear,
        }
    }
}

/// What groups are judged by.
struct Judging<'a> {
    rules: &'a Rules,
    /// Of the group that the others are compared with.
    reference: &'a Estimates,
    /// Normal quantiles at which all comparisons hold at once, and all figures of single groups.
    z_of_pairs: f64,
    z_of_groups: f64,
}

impl Judging<'_> {
    fn figures(&self, part: &Part, own: &Estimates, is_reference: bool) -> GroupFigures {
        let rules = self.rules;
        let is_small = part.is_small(rules);
        let alone = |e: Option<Estimate>| e.map(|e| e.interval(Z_95));
        let against = |of: fn(&Estimates) -> Option<Estimate>, compare: Compare, allowed| {
            let (own, other) = of(own).zip(of(self.reference)).filter(|_| !is_reference)?;
            let figure = compare(own.interval(self.z_of_pairs), other.interval(self.z_of_pairs))?;
            Some(judged(figure, allowed, !is_small))
        };
        let more: Compare = |own, other| Some(difference(own, other));
        let less: Compare = |own, other| Some(difference(other, own));
        let calibration = |e: Estimate| {
            let allowed = Allowed::Within(rules.calibration_gap);
            judged(e.interval(self.z_of_groups), allowed, !is_small)
        };
        GroupFigures {
            group: part.name.clone(),
            n_rows: part.n_rows(),
            n_events: part.n_events(),
            is_small,
            is_reference: is_reference && part.n_rows() > 0,
            approval_rate: alone(own.approval),
            approval_ratio: against(|e| e.approval, ratio, Allowed::From(rules.approval_ratio)),
            event_rate: alone(own.event),
            auc: alone(own.auc),
            auc_gap: against(|e| e.auc, less, Allowed::UpTo(rules.auc_gap)),
            calibration_gap: own.calibration.map(calibration),
            false_positive_rate: alone(own.false_positive),
            false_positive_gap: against(|e| e.false_positive, more, Allowed::UpTo(rules.error_rate_gap)),
            false_negative_rate: alone(own.false_negative),
            false_negative_gap: against(|e| e.false_negative, more, Allowed::UpTo(rules.error_rate_gap)),
        }
    }
}

/// A group's figure beside the reference group's.
type Compare = fn(Interval, Interval) -> Option<Interval>;

fn judged(figure: Interval, allowed: Allowed, is_judged: bool) -> Judged {
    Judged { figure, verdict: if is_judged { allowed.verdict(figure) } else { Verdict::NotJudged } }
}
