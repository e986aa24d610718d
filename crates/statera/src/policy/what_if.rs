//! What a cut-off would do: approvals, bad loans, money, groups of people, and the present score at the same approvals.

use super::DecisionRule;
use serde::{Deserialize, Deserializer, Serialize};
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
    /// Declined from this probability; `None` where nobody is.
    #[serde(deserialize_with = "probability_or_none")]
    pub cutoff: Option<f64>,
    /// Under the model.
    pub model: Alternative,
    /// Under the present score, with as many approvals.
    pub baseline: Option<Alternative>,
    /// Share approved of each group, in the order of the groups; `None` for a group without rows of a weight above 0.
    pub groups: Vec<Option<f64>>,
    /// The same under the present score, with as many approvals; empty without a present score.
    #[serde(default)]
    pub baseline_groups: Vec<Option<f64>>,
}

/// Former versions wrote 2 where nobody is declined.
fn probability_or_none<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<f64>, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.filter(|cutoff| *cutoff <= 1.0))
}

/// What a way of deciding comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// Share of the rows.
    pub approval_rate: f64,
    /// Share with the event among the approved; `None` if none is.
    pub bad_rate: Option<f64>,
    /// What a row brings on average (see [`DecisionRule::value`]); `None` if the policy says nothing of money.
    pub value: Option<f64>,
}

/// What each cut-off would have done with rows whose outcomes are known; above 1 nobody is declined. Shares are of weights.
///
/// # Errors
/// Lengths that differ, weights that are below 0 or not finite, no rows of weight above 0.
pub fn what_if(rows: Outcomes<'_>, groups: &[Group], rule: &DecisionRule, cutoffs: &[f64]) -> Result<Vec<WhatIf>> {
    let total = rows.total_weight()?;
    let present = rows.baseline.map(|score| (score, ascending(score)));
    let of_cutoff = |&cutoff: &f64| {
        let approved: Vec<f64> = rows.probabilities.iter().map(|p| f64::from(u8::from(*p < cutoff))).collect();
        let model = rows.alternative(rule, &approved);
        let present = present
            .as_ref()
            .map(|(score, order)| shares_at_rate(order, score, rows.weight, model.approval_rate * total));
        let present = present.as_deref();
        WhatIf {
            cutoff: (cutoff <= 1.0).then_some(cutoff),
            model,
            baseline: present.map(|shares| rows.alternative(rule, shares)),
            groups: rows.of_groups(groups, &approved),
            baseline_groups: present.map_or_else(Vec::new, |shares| rows.of_groups(groups, shares)),
        }
    };
    Ok(cutoffs.iter().map(of_cutoff).collect())
}

impl Outcomes<'_> {
    fn weight_of(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |w| w[row])
    }

    /// The sum of the weights, of rows that can be looked at.
    fn total_weight(&self) -> Result<f64> {
        let n = self.target.len();
        let others = [Some(self.probabilities), self.baseline, self.weight];
        if others.iter().flatten().any(|v| v.len() != n) {
            return Err(Error::request(format!(
                "a probability, present score and weight, if any, is needed for each of {n} rows"
            )));
        }
        if let Some(row) = (0..n).find(|&row| !(self.weight_of(row) >= 0.0 && self.weight_of(row).is_finite())) {
            return Err(Error::data(format!(
                "row {}: weight {}; allowed: finite numbers of 0 and above",
                row + 1,
                self.weight_of(row)
            )));
        }
        let total: f64 = (0..n).map(|row| self.weight_of(row)).sum();
        if total > 0.0 { Ok(total) } else { Err(Error::data("none of the rows has a weight above 0")) }
    }

    /// What comes of approving a share of each row.
    fn alternative(&self, rule: &DecisionRule, approved: &[f64]) -> Alternative {
        let (mut total, mut n_approved, mut n_bad, mut value) = (0.0, 0.0, 0.0, Some(0.0));
        for (row, share) in approved.iter().enumerate() {
            let (w, is_bad) = (self.weight_of(row), self.target[row] == 1.0);
            total += w;
            n_approved += w * share;
            n_bad += w * share * self.target[row];
            let one = rule.value(is_bad, true).zip(rule.value(is_bad, false));
            value = value.zip(one).map(|(sum, (yes, no)): (f64, _)| sum + w * (share * yes + (1.0 - share) * no));
        }
        Alternative {
            approval_rate: n_approved / total,
            bad_rate: (n_approved > 0.0).then(|| n_bad / n_approved),
            value: value.map(|v| v / total),
        }
    }

    /// The share of each group that is approved.
    fn of_groups(&self, groups: &[Group], approved: &[f64]) -> Vec<Option<f64>> {
        let share_of = |group: &Group| {
            let weight: f64 = group.rows.iter().map(|&row| self.weight_of(row)).sum();
            let sum: f64 = group.rows.iter().map(|&row| self.weight_of(row) * approved[row]).sum();
            (weight > 0.0).then(|| sum / weight)
        };
        groups.iter().map(share_of).collect()
    }
}

/// Rows from the lowest score to the highest.
pub(crate) fn ascending(score: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_by(|&a, &b| score[a].total_cmp(&score[b]));
    order
}

/// The share of each row that is approved when rows of the lowest scores are, up to a sum of weights: rows of the score at
/// the end have equal shares, so that nothing depends on their order.
pub(crate) fn shares_at_rate(order: &[usize], score: &[f64], weight: Option<&[f64]>, wanted: f64) -> Vec<f64> {
    let mut shares = vec![0.0; order.len()];
    let mut left = wanted;
    for tied in order.chunk_by(|&a, &b| score[a] == score[b]) {
        let weight: f64 = tied.iter().map(|&i| weight.map_or(1.0, |w| w[i])).sum();
        let share = if weight > 0.0 { (left / weight).clamp(0.0, 1.0) } else { 0.0 };
        tied.iter().for_each(|&i| shares[i] = share);
        left -= weight;
    }
    shares
}
