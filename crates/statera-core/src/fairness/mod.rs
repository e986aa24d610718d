//! How a decision treats groups of people: rates, ratios and errors of each group, with intervals and verdicts.
//!
//! The event is what approval is meant to avoid (default, fraud). A *false positive* is a declined row without the event, a
//! *false negative* an approved row with it. Every group is compared with the group of the highest approval rate among
//! those that are large enough (the four-fifths rule of the US Uniform Guidelines, 29 CFR 1607.4 D). Intervals are of a
//! bootstrap within groups. What the limits are is not said here: [`Rules`] are a file of their own.

mod disparity;
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

use crate::metric::{Interval, Ranking, area_ranked, draw_weights, percentile_interval};
use crate::{Error, Result, Rng};
use serde::{Deserialize, Serialize};

/// Rows with their outcomes, what a model said of them, and what was decided.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// 1 for the event, 0 for none.
    pub target: &'a [f64],
    /// Higher is riskier.
    pub margins: &'a [f64],
    /// Of the event.
    pub probabilities: &'a [f64],
    /// What was decided.
    pub approved: &'a [bool],
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
    /// The value with its 95 % interval.
    pub figure: Interval,
    /// What the rules say.
    pub verdict: Verdict,
}

/// The figures of a group. A figure that the group's rows cannot give (no events, say) is `None`.
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
    pub approval_rate: Interval,
    /// Approval rate over the reference group's: 0.8 and above passes the four-fifths rule.
    pub approval_ratio: Option<Judged>,
    /// Share with the event.
    pub event_rate: Interval,
    /// Area under the curve within the group.
    pub auc: Option<Interval>,
    /// That of the reference group minus the group's.
    pub auc_gap: Option<Judged>,
    /// Mean probability minus share with the event.
    pub calibration_gap: Judged,
    /// Declined among the rows without the event.
    pub false_positive_rate: Option<Interval>,
    /// The group's minus the reference group's.
    pub false_positive_gap: Option<Judged>,
    /// Approved among the rows with the event.
    pub false_negative_rate: Option<Interval>,
    /// The group's minus the reference group's.
    pub false_negative_gap: Option<Judged>,
}

/// Judges groups, which need not hold every row and may overlap.
///
/// # Errors
/// Lengths that differ, targets other than 0 and 1, fewer than two groups with rows, rules outside their ranges.
pub fn judge(decided: Decided<'_>, groups: &[Group], rules: &Rules, seed: u64) -> Result<Vec<GroupFigures>> {
    rules.check()?;
    check(decided)?;
    let parts: Vec<Part> = groups.iter().map(|g| Part::of(decided, g)).filter(|p| p.n_rows() > 0).collect();
    if parts.len() < 2 {
        let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        return Err(Error::data(format!(
            "fairness compares at least two groups with rows; there is {}",
            if names.is_empty() { "none".into() } else { format!("«{}» alone", names.join(", ")) }
        )));
    }
    let values: Vec<Values> = parts.iter().map(|p| p.values(&p.weight)).collect();
    let is_small: Vec<bool> = parts.iter().map(|p| rules.is_small(p.n_rows(), p.n_events())).collect();
    // Where every group is small, the largest stands for the others to be seen beside.
    let candidates: Vec<usize> = (0..parts.len()).filter(|&i| !is_small[i]).collect();
    let by_size = || (0..parts.len()).fold(0, |b, i| if parts[i].n_rows() > parts[b].n_rows() { i } else { b });
    let reference = candidates
        .iter()
        .copied()
        .reduce(|b, i| if values[i].approval > values[b].approval { i } else { b })
        .unwrap_or_else(by_size);

    let mut replicates: Vec<Vec<Values>> = vec![Vec::with_capacity(rules.n_bootstrap); parts.len()];
    for replicate in 0..rules.n_bootstrap {
        for (i, (part, replicates)) in parts.iter().zip(&mut replicates).enumerate() {
            let mut rng = Rng::fork(seed.wrapping_add(i as u64), replicate as u64);
            let mut drawn = vec![0.0; part.weight.len()];
            draw_weights(&part.weight, &mut rng, &mut drawn);
            replicates.push(part.values(&drawn));
        }
    }
    let judging = Judging { rules, values: &values, replicates: &replicates, reference };
    Ok((0..parts.len()).map(|i| judging.figures(&parts[i], i, is_small[i])).collect())
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
    let numbers = decided.margins.iter().chain(decided.probabilities).chain(decided.weight.unwrap_or_default());
    match numbers.into_iter().find(|v| !v.is_finite()) {
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
    approved: Vec<bool>,
    weight: Vec<f64>,
}

/// What a group comes to; NaN where its rows cannot say.
#[derive(Debug, Clone, Copy)]
struct Values {
    approval: f64,
    event: f64,
    auc: f64,
    calibration: f64,
    false_positive: f64,
    false_negative: f64,
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
            approved: rows.iter().map(|&i| decided.approved[i]).collect(),
            weight: rows.iter().map(|&i| weight_of(i)).collect(),
        }
    }

    fn n_rows(&self) -> usize {
        self.target.len()
    }

    fn n_events(&self) -> usize {
        self.target.iter().filter(|y| **y == 1.0).count()
    }

    /// Share approved where row i counts `weight[i]`.
    fn approval_rate(&self, weight: &[f64]) -> f64 {
        let approved: f64 = self.approved.iter().zip(weight).map(|(a, w)| if *a { *w } else { 0.0 }).sum();
        approved / weight.iter().sum::<f64>()
    }

    /// The figures where row i counts `weight[i]`.
    fn values(&self, weight: &[f64]) -> Values {
        // Sums over rows by outcome (0, 1) and decision (declined, approved).
        let mut sums = [[0.0; 2]; 2];
        let mut probability = 0.0;
        for (i, w) in weight.iter().enumerate() {
            sums[self.target[i] as usize][usize::from(self.approved[i])] += w;
            probability += w * self.probabilities[i];
        }
        let [good, bad] = sums.map(|s| s[0] + s[1]);
        let total = good + bad;
        Values {
            approval: (sums[0][1] + sums[1][1]) / total,
            event: bad / total,
            auc: if good > 0.0 && bad > 0.0 { area_ranked(&self.ranking, &self.target, weight) } else { f64::NAN },
            calibration: (probability - bad) / total,
            false_positive: sums[0][0] / good,
            false_negative: sums[1][1] / bad,
        }
    }
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

/// What figures are made of.
struct Judging<'a> {
    rules: &'a Rules,
    values: &'a [Values],
    /// By group, then by replicate.
    replicates: &'a [Vec<Values>],
    reference: usize,
}

impl Judging<'_> {
    fn figures(&self, part: &Part, group: usize, is_small: bool) -> GroupFigures {
        let rules = self.rules;
        let is_reference = group == self.reference;
        let alone = |f: fn(&Values) -> f64| self.interval(group, |own, _| f(own));
        let is_judged = !is_small && !is_reference;
        let against = |f: fn(&Values, &Values) -> f64, allowed| {
            if is_reference { None } else { self.interval(group, f).map(|figure| judged(figure, allowed, is_judged)) }
        };
        let nothing = Interval { value: 0.0, low: 0.0, high: 0.0 };
        let calibration = alone(|v| v.calibration).unwrap_or(nothing);
        GroupFigures {
            group: part.name.clone(),
            n_rows: part.n_rows(),
            n_events: part.n_events(),
            is_small,
            is_reference,
            approval_rate: alone(|v| v.approval).unwrap_or(nothing),
            approval_ratio: against(|own, other| own.approval / other.approval, Allowed::From(rules.approval_ratio)),
            event_rate: alone(|v| v.event).unwrap_or(nothing),
            auc: alone(|v| v.auc),
            auc_gap: against(|own, other| other.auc - own.auc, Allowed::UpTo(rules.auc_gap)),
            calibration_gap: judged(calibration, Allowed::Within(rules.calibration_gap), !is_small),
            false_positive_rate: alone(|v| v.false_positive),
            false_positive_gap: against(
                |own, other| own.false_positive - other.false_positive,
                Allowed::UpTo(rules.error_rate_gap),
            ),
            false_negative_rate: alone(|v| v.false_negative),
            false_negative_gap: against(
                |own, other| own.false_negative - other.false_negative,
                Allowed::UpTo(rules.error_rate_gap),
            ),
        }
    }

    /// A figure of a group beside the reference group, with the interval of its replicates; `None` if there is none.
    fn interval(&self, group: usize, f: impl Fn(&Values, &Values) -> f64) -> Option<Interval> {
        let value = f(&self.values[group], &self.values[self.reference]);
        let pairs = self.replicates[group].iter().zip(&self.replicates[self.reference]);
        let replicates: Vec<f64> = pairs.map(|(a, b)| f(a, b)).filter(|v| v.is_finite()).collect();
        (value.is_finite() && !replicates.is_empty()).then(|| percentile_interval(value, replicates))
    }
}

fn judged(figure: Interval, allowed: Allowed, is_judged: bool) -> Judged {
    Judged { figure, verdict: if is_judged { allowed.verdict(figure) } else { Verdict::NotJudged } }
}
