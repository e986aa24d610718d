//! A policy judged on rows whose outcomes are known: what its cut-offs do, what others would do, and how groups of
//! people fare under it.

use crate::bundle::Bundle;
use crate::decision::{self, Deciding};
use crate::evaluate::{self, Outcomes};
use crate::groups;
use crate::policy::{self, Cutoffs, Decision, WhatIf, what_if};
use crate::training_set::complete_numbers;
use serde::{Deserialize, Serialize};
use statera_core::fairness::{self, GroupFigures, Rules};
use statera_core::{Error, Result, Task};
use statera_data::Table;
use statera_data::toml_text;
use std::path::Path;

/// Approval rates that a what-if looks at.
const RATES: [f64; 11] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];

/// What a policy comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Rows it is judged on.
    pub n_rows: usize,
    /// True if this is the very table the model was trained on: then the figures flatter it.
    pub is_training_table: bool,
    /// The policy's cut-offs.
    pub cutoffs: Cutoffs,
    /// Share of the rows approved, reviewed, declined.
    pub shares: [f64; 3],
    /// Rows of each grade, from the lowest risk, with the share that has the event; empty without a master scale.
    pub grades: Vec<GradeLine>,
    /// Protected groups, in the order of the shares in `what_if` and of `fairness`.
    pub groups: Vec<String>,
    /// The rule's own cut-off first, then those of round approval rates.
    pub what_if: Vec<WhatIf>,
    /// Rules that groups were judged by.
    pub rules: Rules,
    /// How groups fare when rows that are not approved count as declined; empty without protected columns.
    pub fairness: Vec<GroupFigures>,
}

/// A grade of the master scale on rows whose outcomes are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradeLine {
    /// Name.
    pub grade: String,
    /// Rows.
    pub n_rows: usize,
    /// Mean probability; `None` without rows.
    pub predicted: Option<f64>,
    /// Share with the event; `None` without rows.
    pub observed: Option<f64>,
}

/// Reads and checks a file of rules.
///
/// # Errors
/// A file that cannot be read or is no such file; limits outside their ranges.
pub fn read_rules(path: &Path) -> Result<Rules> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
    let place = path.display().to_string();
    let rules: Rules = toml_text::read(&text, &place)?;
    rules.check().map_err(|e| e.at(place))?;
    Ok(rules)
}

/// Judges a bundle's policy on a table that has the target.
///
/// # Errors
/// A bundle without a policy, protected columns that make no groups, what [`evaluate::evaluate`] refuses.
pub fn judge(bundle: &Bundle, table: &Table, protected: &[String], rules: &Rules) -> Result<Judgement> {
    judged(bundle, table, protected, rules).map_err(|e| e.at(&table.origin))
}

fn judged(bundle: &Bundle, table: &Table, protected: &[String], rules: &Rules) -> Result<Judgement> {
    rules.check()?;
    let Deciding { policy: Some((policy, decision::Fitted { cutoffs, .. })), .. } = &bundle.deciding else {
        return Err(Error::request("the bundle has no policy; give one with --policy policy.toml"));
    };
    if bundle.scorer.schema().task != Task::Binary {
        return Err(Error::request(
            "a policy decides by the probability of an event, which this bundle does not predict",
        ));
    }
    let Outcomes { batch, target, weight, is_training_table } = Outcomes::of(bundle, table)?;
    let scored = bundle.scorer.score(&batch)?;
    let groups = groups::groups(&batch, protected)?;
    let baseline = evaluate::baseline_column(bundle, &batch);
    let baseline = baseline.map(|name| complete_numbers(&batch, name, "a score")).transpose()?;
    let falls = evaluate::baseline_falls(bundle);
    let baseline: Option<Vec<f64>> = baseline.map(|b| b.iter().map(|s| if falls { -s } else { *s }).collect());
    let rows = policy::Outcomes {
        target: &target,
        probabilities: &scored.probabilities,
        baseline: baseline.as_deref(),
        weight: weight.as_deref(),
    };
    let mut tried = vec![policy.read.decision.cutoff()];
    let mut sorted = scored.probabilities.clone();
    sorted.sort_by(f64::total_cmp);
    // The cut-off of a rate lies at the first row beyond it; above every row all are approved.
    let at = |rate: f64| sorted.get((rate * sorted.len() as f64).round() as usize).copied().unwrap_or(f64::INFINITY);
    tried.extend(RATES.iter().map(|r| at(*r).min(2.0)));
    let decisions: Vec<Decision> = scored.probabilities.iter().map(|p| cutoffs.decide(*p)).collect();
    let approved: Vec<bool> = decisions.iter().map(|d| *d == Decision::Approve).collect();
    let n = target.len() as f64;
    let share = |d: Decision| decisions.iter().filter(|o| **o == d).count() as f64 / n;
    let decided = fairness::Decided {
        target: &target,
        margins: &scored.margins,
        probabilities: &scored.probabilities,
        approved: &approved,
        weight: weight.as_deref(),
    };
    let fairness =
        if groups.is_empty() { Vec::new() } else { fairness::judge(decided, &groups, rules, bundle.manifest.seed)? };
    Ok(Judgement {
        n_rows: target.len(),
        is_training_table,
        cutoffs: *cutoffs,
        shares: [Decision::Approve, Decision::Review, Decision::Decline].map(share),
        grades: grades(&policy.read, &target, &scored.probabilities),
        what_if: what_if(rows, &groups, &policy.read.decision, &tried)?,
        groups: groups.into_iter().map(|g| g.name).collect(),
        rules: rules.clone(),
        fairness,
    })
}

fn grades(policy: &policy::Policy, target: &[f64], probabilities: &[f64]) -> Vec<GradeLine> {
    let line = |grade: &policy::Grade| {
        let own: Vec<usize> =
            (0..target.len()).filter(|&i| policy.grade_of(probabilities[i]) == Some(&grade.name)).collect();
        let mean = |v: &[f64]| (!own.is_empty()).then(|| own.iter().map(|&i| v[i]).sum::<f64>() / own.len() as f64);
        GradeLine {
            grade: grade.name.clone(),
            n_rows: own.len(),
            predicted: mean(probabilities),
            observed: mean(target),
        }
    };
    policy.grade.iter().map(line).collect()
}
