//! Accuracy against disparity over the candidates, so that a less discriminatory alternative is seen: every candidate approves
//! the same share of the same rows, those of its lowest scores. The rows are the cross-fitted ones, by which candidates are
//! chosen: a choice by the test would leave nothing to test it.

use super::at_rate;
use crate::leaderboard::{BASELINE, Leaderboard};
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
    /// The share of them that each candidate approves: what the policy approves of the rows it is judged on.
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
    /// Share approved: less than asked for where rows of one score would not fit in.
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
    seed: u64,
) -> Result<Frontier> {
    let mut candidates = Vec::new();
    for entry in &board.entries {
        let Some(own) = scores.iter().find(|s| s.model == entry.model) else { continue };
        let Some(auc) = entry.cross_fitted.iter().find(|m| m.name == "auc") else { continue };
        let cutoff = at_rate(&own.margins, approval_rate);
        let approved: Vec<bool> = own.margins.iter().map(|m| *m < cutoff).collect();
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
            approval_rate: approved.iter().filter(|a| **a).count() as f64 / approved.len().max(1) as f64,
            disparity: most_unequal(decided, rows.families, rules, seed)?,
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
fn most_unequal(decided: Decided<'_>, families: &[Vec<Group>], rules: &Rules, seed: u64) -> Result<Option<Disparity>> {
    let mut most: Option<Disparity> = None;
    for groups in families {
        let Some(found) = fairness::disparity(decided, groups, rules, seed)? else { continue };
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
