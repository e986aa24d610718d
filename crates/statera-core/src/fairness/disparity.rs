//! One figure of how unequally a decision approves groups, for candidates to be compared by.

use super::{Decided, Group, Part, Rules, check, estimate};
use crate::Result;
use crate::metric::{Interval, simultaneous_quantile};
use serde::{Deserialize, Serialize};

/// How unequal approvals are over the groups that are large enough to be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disparity {
    /// The least approval rate over the greatest, 0 to 1; 0.8 and above passes the four-fifths rule. Its interval is of these two
    /// groups and may reach above 1.
    pub approval_ratio: Interval,
    /// The greatest approval rate minus the least, 0 to 1; its interval may reach below 0.
    pub approval_gap: Interval,
    /// The group with the least approval rate.
    pub least: String,
    /// The group with the greatest.
    pub greatest: String,
}

/// The disparity of a decision; `None` if fewer than two groups are large enough, or nobody in them is approved.
///
/// The two groups stay who they are in the intervals, which hold at once for all pairs of groups (Bonferroni): so they hold for
/// these two, though it is by what the rows showed that they were chosen.
///
/// # Errors
/// As [`super::judge`], but for the number of groups.
pub fn disparity(decided: Decided<'_>, groups: &[Group], rules: &Rules) -> Result<Option<Disparity>> {
    rules.check()?;
    check(decided)?;
    let parts: Vec<Part> = groups.iter().map(|g| Part::of(decided, g)).filter(|p| !p.is_small(rules)).collect();
    let z = simultaneous_quantile(n_pairs(parts.len()));
    let rates: Vec<Interval> = parts.iter().filter_map(|p| Some(p.tallies().approval()?.interval(z))).collect();
    // The first of equals, so that names do not depend on rounding.
    let find = |is_better: fn(f64, f64) -> bool| {
        (1..rates.len()).fold(0, |best, i| if is_better(rates[i].value, rates[best].value) { i } else { best })
    };
    if rates.len() < 2 {
        return Ok(None);
    }
    let (least, greatest) = (find(|a, b| a < b), find(|a, b| a > b));
    let Some(approval_ratio) = estimate::ratio(rates[least], rates[greatest]) else { return Ok(None) };
    Ok(Some(Disparity {
        approval_ratio,
        approval_gap: estimate::difference(rates[greatest], rates[least]),
        least: parts[least].name.clone(),
        greatest: parts[greatest].name.clone(),
    }))
}

/// Pairs of so many groups.
pub(super) fn n_pairs(n_groups: usize) -> usize {
    n_groups * n_groups.saturating_sub(1) / 2
}

/// Which of some alternatives no other one beats: none is at least as good in both figures and better in one. Of both
/// figures more is better; an alternative without a second figure is never among them.
pub fn pareto_optimal(figures: &[(f64, Option<f64>)]) -> Vec<bool> {
    let beats = |a: (f64, f64), b: (f64, f64)| a.0 >= b.0 && a.1 >= b.1 && (a.0 > b.0 || a.1 > b.1);
    let known: Vec<Option<(f64, f64)>> = figures.iter().map(|(a, b)| b.map(|b| (*a, b))).collect();
    known.iter().map(|own| own.is_some_and(|own| !known.iter().flatten().any(|other| beats(*other, own)))).collect()
}
