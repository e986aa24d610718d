//! What a cut-off would do: approvals, bad loans, money, groups of people, and the present score at the same approvals.

use super::DecisionRule;
use serde::{Deserialize, Serialize};
use statera_core::fairness::Group;
use statera_core::{Error, Result};

/// Rows with known outcomes.
#[derive(Debug, Clone, Copy)]
pub struct Outcomes<'a> {
    /// 1 for the event, 0 for none.
    pub target: &'a [f64],
    /// Of the event.
    pub probabilities: &'a [f64],
    /// The present score, turned so that higher is riskier.
    pub baseline: Option<&'a [f64]>,
    /// How much each row counts; `None` for 1 each.
    pub weight: Option<&'a [f64]>,
}

/// What a cut-off does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// Declined from this probability.
    pub cutoff: f64,
    /// Under the model.
    pub model: Alternative,
    /// Under the present score, with as many approvals.
    pub baseline: Option<Alternative>,
    /// Share approved of each group, in the order of the groups; 0 for a group without rows.
    pub groups: Vec<f64>,
}

/// What a way of deciding comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// Share of the rows.
    pub approval_rate: f64,
    /// Share with the event among the approved; 0 if none is.
    pub bad_rate: f64,
    /// What a row brings on average (see [`DecisionRule::value`]); `None` if the policy says nothing of money.
    pub value: Option<f64>,
}

/// What each cut-off would have done with rows whose outcomes are known.
///
/// # Errors
/// Lengths that differ, no rows of weight above 0.
pub fn what_if(rows: Outcomes<'_>, groups: &[Group], rule: &DecisionRule, cutoffs: &[f64]) -> Result<Vec<WhatIf>> {
    let n = rows.target.len();
    let others = [Some(rows.probabilities), rows.baseline, rows.weight];
    if others.iter().flatten().any(|v| v.len() != n) {
        return Err(Error::request(format!(
            "a probability, present score and weight, if any, is needed for each of {n} rows"
        )));
    }
    let weight_of = |i: usize| rows.weight.map_or(1.0, |w| w[i]);
    let total: f64 = (0..n).map(weight_of).sum();
    if total <= 0.0 {
        return Err(Error::data("none of the rows has a weight above 0"));
    }
    let by_baseline = rows.baseline.map(|score| {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| score[a].total_cmp(&score[b]));
        order
    });
    let of = |approved: &dyn Fn(usize) -> f64| -> Alternative {
        let (mut n_approved, mut n_bad, mut value) = (0.0, 0.0, Some(0.0));
        for i in 0..n {
            let (share, w, is_bad) = (approved(i), weight_of(i), rows.target[i] == 1.0);
            n_approved += w * share;
            n_bad += w * share * rows.target[i];
            let one = rule.value(is_bad, true).zip(rule.value(is_bad, false));
            value = value.zip(one).map(|(sum, (yes, no)): (f64, _)| sum + w * (share * yes + (1.0 - share) * no));
        }
        Alternative {
            approval_rate: n_approved / total,
            bad_rate: if n_approved > 0.0 { n_bad / n_approved } else { 0.0 },
            value: value.map(|v| v / total),
        }
    };
    let of_cutoff = |&cutoff: &f64| {
        let approved = |i: usize| f64::from(u8::from(rows.probabilities[i] < cutoff));
        let model = of(&approved);
        let share_of = |group: &Group| {
            let weight: f64 = group.rows.iter().map(|&i| weight_of(i)).sum();
            let sum: f64 = group.rows.iter().map(|&i| weight_of(i) * approved(i)).sum();
            if weight > 0.0 { sum / weight } else { 0.0 }
        };
        let baseline = by_baseline.as_ref().zip(rows.baseline).map(|(order, score)| {
            let shares = at_rate(order, score, &weight_of, model.approval_rate * total);
            of(&|i| shares[i])
        });
        WhatIf { cutoff, model, baseline, groups: groups.iter().map(share_of).collect() }
    };
    Ok(cutoffs.iter().map(of_cutoff).collect())
}

/// The share of each row that is approved when rows of the lowest scores are, up to a sum of weights: rows of the score at
/// the end have equal shares, so that nothing depends on their order.
fn at_rate(order: &[usize], score: &[f64], weight_of: &dyn Fn(usize) -> f64, wanted: f64) -> Vec<f64> {
    let mut shares = vec![0.0; order.len()];
    let mut left = wanted;
    for tied in order.chunk_by(|&a, &b| score[a] == score[b]) {
        let weight: f64 = tied.iter().map(|&i| weight_of(i)).sum();
        let share = if weight > 0.0 { (left / weight).clamp(0.0, 1.0) } else { 0.0 };
        tied.iter().for_each(|&i| shares[i] = share);
        left -= weight;
    }
    shares
}
