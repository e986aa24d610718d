//! Accuracy against disparity over the candidates, so that a less discriminatory alternative is seen: every candidate approves
//! the same share of the same rows, those of its lowest scores.

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
    /// The share of rows that each candidate approves.
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
    /// How unequally groups are approved; `None` if fewer than two are large enough.
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
    pub groups: &'a [Group],
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
        let measured = if entry.test.is_empty() { &entry.cross_fitted } else { &entry.test };
        let Some(auc) = measured.iter().find(|m| m.name == "auc") else { continue };
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
            disparity: fairness::disparity(decided, rows.groups, rules, seed)?,
            is_chosen: entry.model == board.chosen,
            is_optimal: false,
        });
    }
    let figures: Vec<(f64, Option<f64>)> =
        candidates.iter().map(|c| (c.auc.value, c.disparity.as_ref().map(|d| d.approval_ratio.value))).collect();
    for (line, is_optimal) in candidates.iter_mut().zip(pareto_optimal(&figures)) {
        line.is_optimal = is_optimal;
    }
    Ok(Frontier { approval_rate, candidates })
}

impl Scores {
    /// Those of the bank's present score.
    pub fn baseline(margins: Vec<f64>) -> Scores {
        Scores { model: BASELINE.into(), margins }
    }
}
