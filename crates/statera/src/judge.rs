//! A policy judged on rows whose outcomes are known: what its cut-offs do, what others would do, how groups of people fare
//! under it, and which columns stand in for belonging to one of them.
//!
//! A bundle without a policy is judged all the same where protected columns are named: as if it approved the share of rows that
//! its training was told, or 80 %.

mod frontier;
mod training;

pub use frontier::{Frontier, FrontierLine};
pub(crate) use training::{Training, judge_training, scores};

use crate::bundle::Bundle;
use crate::decision::Deciding;
use crate::evaluate::{self, Outcomes};
use crate::facts::DEFAULT_APPROVAL_RATE;
use crate::groups::{self, GroupPart, Labels};
use crate::policy::{self, Cutoffs, Decision, DecisionRule, Policy, WhatIf, what_if};
use crate::proxy::{self, ProxySearch};
use crate::reasons::Stability;
use crate::training_set::complete_numbers;
use serde::{Deserialize, Serialize};
use statera_core::fairness::{self, Group, GroupFigures, Rules};
use statera_core::{Error, Result, Run, Task};
use statera_data::Table;
use statera_data::toml_text;
use std::collections::BTreeMap;

/// Name in a bundle, and in messages, of the limits that groups are judged by.
pub const RULES_FILE: &str = "rules.toml";
/// Name in a bundle of the judgement.
pub(crate) const JUDGEMENT_FILE: &str = "judgement.json";

/// Approval rates that a what-if looks at.
const RATES: [f64; 11] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];

/// What a policy comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Rows it is judged on.
    pub n_rows: usize,
    /// Which rows those are.
    pub measured_on: MeasuredOn,
    /// True if this is the very table the model was trained on: then the figures flatter it.
    pub is_training_table: bool,
    /// What decides.
    pub decided_by: DecidedBy,
    /// The cut-offs.
    pub cutoffs: Cutoffs,
    /// Share of the rows approved, reviewed, declined.
    pub shares: [f64; 3],
    /// Rows of each grade, from the lowest risk, with the share that has the event; empty without a master scale.
    pub grades: Vec<GradeLine>,
    /// Protected groups, in the order of the shares in `what_if` and of `fairness`.
    pub groups: Vec<String>,
    /// What groups have in common, by the name that they have here; empty in bundles of former versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group_parts: BTreeMap<String, Vec<GroupPart>>,
    /// The rule's own cut-off first, then those of round approval rates.
    pub what_if: Vec<WhatIf>,
    /// Rules that groups were judged by.
    pub rules: Rules,
    /// How groups fare when rows that are not approved count as declined, each beside the reference group of its own protected
    /// column, or of the cells where all meet; empty without protected columns.
    pub fairness: Vec<GroupFigures>,
    /// Which columns stand in for each protected column.
    pub proxies: Vec<ProxySearch>,
    /// How often reasons stay the same when the model is fitted again, as a training with this policy and reasons found.
    pub stability: Option<Stability>,
    /// What other candidates would do to groups, as a training with protected columns found.
    pub frontier: Option<Frontier>,
}

/// Rows that something is judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredOn {
    /// Those held back in training.
    Test,
    /// Those of the training, each by a model and a calibrator that have not seen it.
    CrossFitted,
    /// Those of a table that was given afterwards.
    Table,
}

/// What decides about rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum DecidedBy {
    /// The bundle's policy.
    Policy {
        /// Which one.
        version: String,
    },
    /// No policy: the probability that the training was told to decline from.
    Cutoff {
        /// That probability.
        decline_from: f64,
    },
    /// No policy: as many rows are approved as the training was told, or by default, among rows like those of the training.
    ApprovalRate {
        /// Share of the rows.
        rate: f64,
    },
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

/// Reads and checks the text of a file of rules.
///
/// # Errors
/// Text that is no such file; limits outside their ranges.
pub fn parse_rules(text: &str) -> Result<Rules> {
    let rules: Rules = toml_text::read(text, RULES_FILE)?;
    rules.check().map_err(|e| e.at(RULES_FILE))?;
    Ok(rules)
}

/// Judges a bundle's policy on a table that has the target, by the bundle's rules. Without a policy protected columns are
/// needed.
///
/// # Errors
/// Neither a policy nor protected columns, protected columns that make no groups, what [`evaluate::evaluate`] refuses.
pub fn judge(bundle: &Bundle, table: &Table, protected: &[String], run: &Run) -> Result<Judgement> {
    judged(bundle, table, protected, run).map_err(|e| e.at(&table.origin))
}

fn judged(bundle: &Bundle, table: &Table, protected: &[String], run: &Run) -> Result<Judgement> {
    if bundle.deciding.policy.is_none() && protected.is_empty() {
        return Err(Error::request(
            "the bundle has no policy; give one with --policy policy.toml, or columns whose groups are compared with \
             --protected",
        ));
    }
    if bundle.scorer.schema().task != Task::Binary {
        return Err(Error::request(
            "a policy decides by the probability of an event, which this bundle does not predict",
        ));
    }
    let Outcomes { batch, target, weight, is_training_table } = Outcomes::of(bundle, table)?;
    let scored = bundle.scorer.score(&batch)?;
    let labels = groups::labels(&batch, protected)?;
    let baseline = evaluate::baseline_column(bundle, &batch);
    let baseline = baseline.map(|name| complete_numbers(&batch, name, "a score")).transpose()?;
    let falls = evaluate::baseline_falls(bundle);
    let baseline: Option<Vec<f64>> = baseline.map(|b| b.iter().map(|s| if falls { -s } else { *s }).collect());
    let rows = Rows {
        target: &target,
        margins: &scored.margins,
        probabilities: &scored.probabilities,
        baseline: baseline.as_deref(),
        weight: weight.as_deref(),
        labels: &labels,
    };
    let deciding = Rule::of(bundle);
    let mut judgement = deciding.judge(rows, &rules_of(&bundle.deciding), bundle.manifest.seed)?;
    judgement.is_training_table = is_training_table;
    if let Some(former) = &bundle.deciding.judgement {
        // What only the training knew of this policy stays true of it.
        judgement.stability = former.stability;
        judgement.frontier.clone_from(&former.frontier);
        let parts = former.group_parts.iter().map(|(name, parts)| (name.clone(), parts.clone()));
        judgement.group_parts.extend(parts);
    }
    let importance = bundle.facts.get("importance").cloned().unwrap_or_default();
    let importance: Vec<(String, f64)> = serde_json::from_value(importance).unwrap_or_default();
    let run = run.clone().with_seed(bundle.manifest.seed);
    judgement.proxies = proxy::search(&bundle.scorer, &batch, &labels, &importance, &judgement.rules, &run)?;
    Ok(judgement)
}

/// The rules that a bundle's groups are judged by.
fn rules_of(deciding: &Deciding) -> Rules {
    deciding.rules.as_ref().map_or_else(Rules::default, |own| own.read.clone())
}

/// Rows whose outcomes are known, with what a model says of them.
#[derive(Clone, Copy)]
struct Rows<'a> {
    target: &'a [f64],
    margins: &'a [f64],
    probabilities: &'a [f64],
    /// The present score, turned so that higher is riskier.
    baseline: Option<&'a [f64]>,
    weight: Option<&'a [f64]>,
    labels: &'a [Labels],
}

/// By what rows are decided: the bundle's policy, or what stands in for one.
struct Rule<'a> {
    policy: Option<&'a Policy>,
    by: DecidedBy,
    rule: DecisionRule,
    cutoffs: Cutoffs,
}

impl Rule<'_> {
    fn of(bundle: &Bundle) -> Rule<'_> {
        if let Some((own, fitted)) = &bundle.deciding.policy {
            let by = DecidedBy::Policy { version: own.read.version.clone() };
            return Rule { policy: Some(&own.read), by, rule: own.read.decision.clone(), cutoffs: fitted.cutoffs };
        }
        let setting = |name: &str| bundle.facts.pointer(name).and_then(serde_json::Value::as_f64);
        let (by, cutoff) = match (setting("/settings/cutoff"), setting("/settings/approval_rate")) {
            (Some(decline_from), _) => (DecidedBy::Cutoff { decline_from }, decline_from),
            (None, rate) => {
                let rate = rate.unwrap_or(DEFAULT_APPROVAL_RATE);
                (DecidedBy::ApprovalRate { rate }, nearest(&bundle.reference_probabilities(), rate))
            }
        };
        let cutoffs = Cutoffs { review_from: cutoff, decline_from: cutoff };
        Rule { policy: None, by, rule: DecisionRule::Cutoff { decline_from: cutoff }, cutoffs }
    }

    fn judge(&self, rows: Rows<'_>, rules: &Rules, seed: u64) -> Result<Judgement> {
        let Rows { target, margins, probabilities, baseline, weight, labels } = rows;
        rules.check()?;
        let families = groups::families(labels)?;
        let group_parts = groups::parts(labels, &families);
        // A family of which these rows hold one group only has nothing to compare.
        let families: Vec<Vec<Group>> = families.into_iter().filter(|f| f.len() > 1).collect();
        let groups = families.concat();
        let mut tried = vec![self.rule.cutoff()];
        tried.extend(RATES.iter().map(|rate| at_rate(probabilities, *rate).min(2.0)));
        let decisions: Vec<Decision> = probabilities.iter().map(|p| self.cutoffs.decide(*p)).collect();
        let approved: Vec<bool> = decisions.iter().map(|d| *d == Decision::Approve).collect();
        let n = target.len() as f64;
        let share = |d: Decision| decisions.iter().filter(|o| **o == d).count() as f64 / n;
        let decided = fairness::Decided { target, margins, probabilities, approved: &approved, weight };
        let judged = |family: &Vec<Group>| fairness::judge(decided, family, rules, seed);
        let fairness = families.iter().map(judged).collect::<Result<Vec<_>>>()?.concat();
        let outcomes = policy::Outcomes { target, probabilities, baseline, weight };
        Ok(Judgement {
            n_rows: target.len(),
            measured_on: MeasuredOn::Table,
            is_training_table: false,
            decided_by: self.by.clone(),
            cutoffs: self.cutoffs,
            shares: [Decision::Approve, Decision::Review, Decision::Decline].map(share),
            grades: self.policy.map_or_else(Vec::new, |policy| grades(policy, target, probabilities)),
            what_if: what_if(outcomes, &groups, &self.rule, &tried)?,
            groups: groups.into_iter().map(|g| g.name).collect(),
            group_parts,
            rules: rules.clone(),
            fairness,
            proxies: Vec::new(),
            stability: None,
            frontier: None,
        })
    }
}

/// The cut-off below which the share of ascending values is nearest to a rate: of values that many rows share, all or none are
/// approved.
fn nearest(quantiles: &[f64], rate: f64) -> f64 {
    let at = (rate * quantiles.len().saturating_sub(1) as f64).round() as usize;
    let Some(value) = quantiles.get(at) else { return 1.0 };
    let share = |end: usize| (end as f64 / quantiles.len() as f64 - rate).abs();
    let (below, through) = (quantiles.partition_point(|q| q < value), quantiles.partition_point(|q| q <= value));
    if share(below) <= share(through) { *value } else { quantiles.get(through).copied().unwrap_or(1.0) }
}

/// The cut-off of an approval rate: the first value beyond that share of them; above every value all are approved.
fn at_rate(values: &[f64], rate: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((rate * sorted.len() as f64).round() as usize).copied().unwrap_or(f64::INFINITY)
}

fn grades(policy: &Policy, target: &[f64], probabilities: &[f64]) -> Vec<GradeLine> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_among_equal_values_takes_all_or_none_of_them() {
        let quantiles = [0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3, 0.4, 0.5];
        assert_eq!(nearest(&quantiles, 0.25), 0.2, "two of ten, not seven");
        assert_eq!(nearest(&quantiles, 0.6), 0.3, "seven of ten, not two");
        assert_eq!(nearest(&quantiles, 0.9), 0.5, "nine of ten lie below");
        assert_eq!(nearest(&[0.2; 5], 0.8), 1.0, "all of them");
        assert_eq!(nearest(&[], 0.8), 1.0);
    }
}
