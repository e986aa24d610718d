//! One figure of how unequally a decision approves groups, for candidates to be compared by.

use super::{Decided, Group, Part, Rules, check};
use crate::metric::{Interval, draw_weights, percentile_interval};
use crate::{Result, Rng};
use serde::{Deserialize, Serialize};

/// How unequal approvals are over the groups that are large enough to be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disparity {
    /// The least approval rate over the greatest, 0 to 1; 0.8 and above passes the four-fifths rule.
    pub approval_ratio: Interval,
    /// The greatest approval rate minus the least, 0 to 1.
    pub approval_gap: Interval,
    /// The group with the least approval rate.
    pub least: String,
    /// The group with the greatest.
    pub greatest: String,
}

/// The disparity of a decision with its bootstrap intervals (rows are drawn within groups); `None` if fewer than two groups
/// are large enough, or nobody in them is approved.
///
/// # Errors
/// As [`super::judge`], but for the number of groups.
pub fn disparity(decided: Decided<'_>, groups: &[Group], rules: &Rules, seed: u64) -> Result<Option<Disparity>> {
    rules.check()?;
    check(decided)?;
    let parts: Vec<Part> = groups
        .iter()
        .map(|g| Part::of(decided, g))
        .filter(|p| p.n_rows() > 0 && !rules.is_small(p.n_rows(), p.n_events()))
        .collect();
    let rates: Vec<f64> = parts.iter().map(|p| p.approval_rate(&p.weight)).collect();
    // The first of equals, so that names do not depend on rounding.
    let find = |is_better: fn(f64, f64) -> bool| {
        (1..rates.len()).fold(0, |best, i| if is_better(rates[i], rates[best]) { i } else { best })
    };
    let (least, greatest) = (find(|a, b| a < b), find(|a, b| a > b));
    if parts.len() < 2 || rates[greatest] <= 0.0 {
        return Ok(None);
    }
    let (mut ratios, mut gaps) = (Vec::new(), Vec::new());
    for replicate in 0..rules.n_bootstrap {
        let drawn = |(i, part): (usize, &Part)| {
            let mut rng = Rng::fork(seed.wrapping_add(i as u64), replicate as u64);
            let mut weight = vec![0.0; part.weight.len()];
            draw_weights(&part.weight, &mut rng, &mut weight);
            part.approval_rate(&weight)
        };
        let rates: Vec<f64> = parts.iter().enumerate().map(drawn).collect();
        let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let high = rates.iter().copied().fold(0.0, f64::max);
        gaps.push(high - low);
        // A draw in which nobody is approved has no ratio.
        ratios.extend((high > 0.0).then(|| low / high));
    }
    let value = rates[least] / rates[greatest];
    ratios.extend(ratios.is_empty().then_some(value));
    Ok(Some(Disparity {
        approval_ratio: percentile_interval(value, ratios),
        approval_gap: percentile_interval(rates[greatest] - rates[least], gaps),
        least: parts[least].name.clone(),
        greatest: parts[greatest].name.clone(),
    }))
}

/// Which of some alternatives no other one beats: none is at least as good in both figures and better in one. Of both
/// figures more is better; an alternative without a second figure is never among them.
pub fn pareto_optimal(figures: &[(f64, Option<f64>)]) -> Vec<bool> {
    let beats = |a: (f64, f64), b: (f64, f64)| a.0 >= b.0 && a.1 >= b.1 && (a.0 > b.0 || a.1 > b.1);
    let known: Vec<Option<(f64, f64)>> = figures.iter().map(|(a, b)| b.map(|b| (*a, b))).collect();
    known.iter().map(|own| own.is_some_and(|own| !known.iter().flatten().any(|other| beats(*other, own)))).collect()
}
