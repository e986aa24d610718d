//! Accuracy against disparity over the candidates, so that a less discriminatory alternative is seen: every candidate approves
//! the same share of the same rows by weight, those of its lowest scores; rows of the score at the end share what is left, as
//! if by lot. The rows are the cross-fitted ones, by which candidates are
//! chosen: a choice by the test would leave nothing to test it.

use crate::leaderboard::{BASELINE, Leaderboard};
use crate::policy::{ascending, shares_at_rate};
use serde::{Deserialize, Serialize};
use statera_core::Result;
use statera_core::fairness::{self, Decided, Disparity, Group, Rules, pareto_optimal};
use statera_core::metric::Interval;

/// All candidates beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontier {
    /// Cross-fitted rows that candidates are compared on.
    pub n_rows: usize,
    /// The share of them, by weight, that each candidate approves: what the policy approves of the rows it is judged on.
    pub approval_rate: f64,
    /// In the order of the leaderboard.
    pub candidates: Vec<FrontierLine>,
}

/// A candidate's accuracy and disparity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontierLine {
    /// As on the leaderboard.
    pub model: String,
    /// Name in tables.
    pub title: String,
    /// Area under the curve.
    pub auc: Interval,
    /// Share approved, by weight.
    pub approval_rate: f64,
    /// How unequally groups are approved, of the protected column (or all where they meet) whose groups are so most; `None` if
    /// no column has two groups that are large enough.
    pub disparity: Option<Disparity>,
    /// True of the one that is used.
    pub is_chosen: bool,
    /// True if no candidate has an area and a ratio of approvals that are both at least as good, and one of them better.
    pub is_optimal: bool,
}

/// A candidate's scores of the rows, higher riskier.
pub(crate) struct Scores {
    /// As on the leaderboard.
    pub model: String,
    /// One a row.
    pub margins: Vec<f64>,
}

/// Rows that candidates are compared on.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    pub target: &'a [f64],
    pub weight: Option<&'a [f64]>,
    /// The groups of each protected column, and those where they meet.
    pub families: &'a [Vec<Group>],
}

/// Compares the candidates at an approval rate.
///
/// # Errors
/// As [`fairness::disparity`].
pub(super) fn frontier(
    rows: Compared<'_>,
    scores: &[Scores],
    board: &Leaderboard,
    approval_rate: f64,
    rules: &Rules,
) -> Result<Frontier> {
    let weight_of = |row: usize| rows.weight.map_or(1.0, |w| w[row]);
    let total: f64 = (0..rows.target.len()).map(weight_of).sum();
    let mut candidates = Vec::new();
    for entry in &board.entries {
        let Some(own) = scores.iter().find(|s| s.model == entry.model) else { continue };
        let Some(auc) = entry.cross_fitted.iter().find(|m| m.name == "auc") else { continue };
        let order = ascending(&own.margins);
        let approved = shares_at_rate(&order, &own.margins, rows.weight, approval_rate * total);
        let n_approved: f64 = approved.iter().enumerate().map(|(row, share)| weight_of(row) * share).sum();
        // Disparity looks at decisions only.
        let decided = Decided {
            target: rows.target,
            margins: &own.margins,
            probabilities: &own.margins,
            approved: &approved,
            weight: rows.weight,
        };
        candidates.push(FrontierLine {
            model: entry.model.clone(),
            title: entry.title.clone(),
            auc: auc.interval,
            approval_rate: if total > 0.0 { n_approved / total } else { 0.0 },
            disparity: most_unequal(decided, rows.families, rules)?,
            is_chosen: entry.model == board.chosen,
            is_optimal: false,
        });
    }
    let figures: Vec<(f64, Option<f64>)> =
        candidates.iter().map(|c| (c.auc.value, c.disparity.as_ref().map(|d| d.approval_ratio.value))).collect();
    for (line, is_optimal) in candidates.iter_mut().zip(pareto_optimal(&figures)) {
        line.is_optimal = is_optimal;
    }
    Ok(Frontier { n_rows: rows.target.len(), approval_rate, candidates })
}

/// The disparity within the family of groups where it is greatest; the first of equals.
fn most_unequal(decided: Decided<'_>, families: &[Vec<Group>], rules: &Rules) -> Result<Option<Disparity>> {
    let mut most: Option<Disparity> = None;
    for groups in families {
        let Some(found) = fairness::disparity(decided, groups, rules)? else { continue };
        if most.as_ref().is_none_or(|known| found.approval_ratio.value < known.approval_ratio.value) {
            most = Some(found);
        }
    }
    Ok(most)
}

impl Scores {
    /// Those of the bank's present score.
    pub fn baseline(margins: Vec<f64>) -> Scores {
        Scores { model: BASELINE.into(), margins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaderboard::Entry;
    use statera_core::metric::Measured;

    #[test]
    fn every_candidate_approves_the_share_that_was_told_by_weight() {
        let n = 400;
        let target: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let weight: Vec<f64> = (0..n).map(|i| if i < 100 { 4.0 } else { 1.0 }).collect();
        let group = |name: &str, rows: std::ops::Range<usize>| Group { name: name.into(), rows: rows.collect() };
        let families = [vec![group("a", 0..200), group("b", 200..400)]];
        let rows = Compared { target: &target, weight: Some(&weight), families: &families };
        let margins = |of: &dyn Fn(usize) -> f64| (0..n).map(of).collect();
        // A score that all rows share, and one by which the first rows are the safest.
        let scores = [
            Scores { model: "tied".into(), margins: margins(&|_| 0.5) },
            Scores { model: "ranked".into(), margins: margins(&|i| i as f64) },
        ];
        let auc = Measured { name: "auc".into(), interval: Interval { value: 0.5, low: 0.4, high: 0.6 } };
        let entry = |s: &Scores| Entry {
            model: s.model.clone(),
            title: s.model.clone(),
            cross_fitted: vec![auc.clone()],
            test: Vec::new(),
            best_gains: None,
            gains_over_default: None,
            about: Vec::new(),
        };
        let board = Leaderboard {
            metric: "auc".into(),
            entries: scores.iter().map(entry).collect(),
            best: "ranked".into(),
            simplest: "tied".into(),
            chosen: "tied".into(),
            cutoff: 0.5,
        };
        let found = frontier(rows, &scores, &board, 0.8, &Rules::default()).expect("rows");
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} for {b}");
        let [tied, ranked] = &found.candidates[..] else { panic!("{found:?}") };
        let ratio = |line: &FrontierLine| line.disparity.as_ref().expect("two groups").approval_ratio.value;
        // Each of the tied rows has a chance of .8; of the ranked, whose weights are 400 and 300, the first 560 are taken: all of a,
        // which weighs 500, and 60 of the 200 of b.
        near(tied.approval_rate, 0.8);
        near(ratio(tied), 1.0);
        near(ranked.approval_rate, 0.8);
        near(ratio(ranked), 0.3);
    }
}
