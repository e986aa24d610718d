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
    /// Rows of a weight above 0 that it is judged on.
    pub n_rows: usize,
    /// Which rows those are.
    pub measured_on: MeasuredOn,
    /// True if the model was trained on this very table or one with the same features in the same rows: then the figures flatter
    /// it. Of a part of those rows it is false, though they flatter too.
    pub is_training_table: bool,
    /// What decides.
    pub decided_by: DecidedBy,
    /// The cut-offs.
    pub cutoffs: Cutoffs,
    /// Share of the rows approved, reviewed, declined; shares are of weights, here and below.
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
    /// What other candidates would do to groups, as a training with these protected columns and these rules found.
    pub frontier: Option<Frontier>,
}

impl Judgement {
    /// The groups of single protected columns that are large enough to be judged, by their places in `groups`.
    pub fn large_groups(&self) -> impl Iterator<Item = usize> {
        let is_large = |name: &String| self.fairness.iter().any(|f| f.group == *name && !f.is_small);
        // A level may hold a comma; bundles of former versions know groups by their names alone.
        let is_single = |name: &String| match self.group_parts.get(name) {
            Some(parts) => parts.len() == 1,
            None => !name.contains(", "),
        };
        self.groups.iter().enumerate().filter(move |(_, name)| is_single(name) && is_large(name)).map(|(g, _)| g)
    }
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
    /// Rows of a weight above 0.
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
    if protected.contains(&bundle.scorer.schema().target) {
        return Err(Error::request(format!(
            "protected column «{}» is the target; allowed: columns that tell people apart, not what they did",
            bundle.scorer.schema().target
        )));
    }
    let Outcomes { batch, target, weight, is_training_table } = Outcomes::of(bundle, table)?;
    let scored = bundle.scorer.score(&batch)?;
    let labels = groups::labels(&batch, protected, &bundle.scorer.schema().sentinels)?;
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
        // What only the training knew of this policy stays true of it; of groups, while they and the rules are those of then.
        judgement.stability = former.stability;
        let parts = former.group_parts.iter().map(|(name, parts)| (name.clone(), parts.clone()));
        judgement.group_parts.extend(parts);
        let is_same = former.rules == judgement.rules && is_trained_with(bundle, protected);
        judgement.frontier = former.frontier.clone().filter(|_| is_same);
    }
    let importance = bundle.facts.get("importance").cloned().unwrap_or_default();
    let importance: Vec<(String, f64)> = serde_json::from_value(importance).unwrap_or_default();
    let run = run.clone().with_seed(bundle.manifest.seed);
    judgement.proxies = proxy::search(&bundle.scorer, &batch, &labels, &importance, &judgement.rules, &run)?;
    Ok(judgement)
}

/// True if these are the protected columns of the training, in any order.
fn is_trained_with(bundle: &Bundle, protected: &[String]) -> bool {
    let own = bundle.facts.pointer("/settings/protected").cloned().unwrap_or_default();
    let own: Vec<String> = serde_json::from_value(own).unwrap_or_default();
    own.len() == protected.len() && own.iter().all(|column| protected.contains(column))
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

impl Rows<'_> {
    fn weight_of(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |w| w[row])
    }

    /// The weighted mean over some rows; `None` if they weigh nothing.
    fn mean(&self, rows: &[usize], of: impl Fn(usize) -> f64) -> Option<f64> {
        let total: f64 = rows.iter().map(|&row| self.weight_of(row)).sum();
        (total > 0.0).then(|| rows.iter().map(|&row| self.weight_of(row) * of(row)).sum::<f64>() / total)
    }
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
                let cutoff = cutoff_at(&bundle.reference_probabilities(), None, rate);
                (DecidedBy::ApprovalRate { rate }, cutoff.unwrap_or(1.0))
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
        // Beyond every probability all are approved.
        tried.extend(RATES.iter().map(|rate| cutoff_at(probabilities, weight, *rate).unwrap_or(2.0)));
        let outcomes = policy::Outcomes { target, probabilities, baseline, weight };
        let what_if = what_if(outcomes, &groups, &self.rule, &tried)?;
        let decisions: Vec<Decision> = probabilities.iter().map(|p| self.cutoffs.decide(*p)).collect();
        let approved: Vec<f64> = decisions.iter().map(|d| f64::from(u8::from(*d == Decision::Approve))).collect();
        let decided = fairness::Decided { target, margins, probabilities, approved: &approved, weight };
        let judged = |family: &Vec<Group>| fairness::judge(decided, family, rules, seed);
        let fairness = families.iter().map(judged).collect::<Result<Vec<_>>>()?.concat();
        let all: Vec<usize> = (0..target.len()).filter(|&row| rows.weight_of(row) > 0.0).collect();
        let share = |d| rows.mean(&all, |row| f64::from(u8::from(decisions[row] == d))).unwrap_or(0.0);
        Ok(Judgement {
            n_rows: all.len(),
            measured_on: MeasuredOn::Table,
            is_training_table: false,
            decided_by: self.by.clone(),
            cutoffs: self.cutoffs,
            shares: [Decision::Approve, Decision::Review, Decision::Decline].map(share),
            grades: self.policy.map_or_else(Vec::new, |policy| grades(policy, rows)),
            what_if,
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

/// The cut-off below which the share of the values, by weight (`None` for 1 each), is nearest to a rate; `None` if that is all
/// of them. Of values that many rows share, all or none lie below.
fn cutoff_at(values: &[f64], weight: Option<&[f64]>, rate: f64) -> Option<f64> {
    let weight_of = |row: &usize| weight.map_or(1.0, |w| w[*row]);
    let order = policy::ascending(values);
    let total: f64 = order.iter().map(weight_of).sum();
    let (mut below, mut nearest) = (0.0, None);
    let mut off = f64::INFINITY;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // The lower one of two that are as near.
        if (below - rate * total).abs() < off {
            (off, nearest) = ((below - rate * total).abs(), Some(values[tied[0]]));
        }
        below += tied.iter().map(weight_of).sum::<f64>();
    }
    nearest.filter(|_| off <= (below - rate * total).abs())
}

fn grades(policy: &Policy, rows: Rows<'_>) -> Vec<GradeLine> {
    let line = |grade: &policy::Grade| {
        let is_in =
            |row: &usize| rows.weight_of(*row) > 0.0 && policy.grade_of(rows.probabilities[*row]) == Some(&grade.name);
        let own: Vec<usize> = (0..rows.target.len()).filter(is_in).collect();
        GradeLine {
            grade: grade.name.clone(),
            n_rows: own.len(),
            predicted: rows.mean(&own, |row| rows.probabilities[row]),
            observed: rows.mean(&own, |row| rows.target[row]),
        }
    };
    policy.grade.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_among_equal_values_takes_all_or_none_of_them() {
        let values = [0.1, 0.3, 0.2, 0.2, 0.1, 0.2, 0.4, 0.2, 0.2, 0.5];
        assert_eq!(cutoff_at(&values, None, 0.25), Some(0.2), "two of ten, not seven");
        assert_eq!(cutoff_at(&values, None, 0.6), Some(0.3), "seven of ten, not two");
        assert_eq!(cutoff_at(&values, None, 0.9), Some(0.5), "nine of ten lie below");
        assert_eq!(cutoff_at(&[0.2; 5], None, 0.8), None, "all of them");
        assert_eq!(cutoff_at(&[0.1, 0.2], None, 0.25), Some(0.1), "none is as near as one of two");
        assert_eq!(cutoff_at(&values, None, 1.0), None);
        assert_eq!(cutoff_at(&[], None, 0.8), None);
        // Of a weight of 8 the first row has 5, so that a rate of a half takes it alone.
        let weight = [5.0, 1.0, 0.0, 1.0, 1.0];
        assert_eq!(cutoff_at(&[0.1, 0.2, 0.3, 0.4, 0.5], Some(&weight), 0.5), Some(0.2));
    }

    #[test]
    fn shares_and_grades_are_of_weights_and_counts_of_rows() {
        let text = "version = \"1\"\n[decision]\nby = \"cutoff\"\ndecline_from = 0.4\n[[grade]]\nname = \"A\"\nfrom = 0\n\
            to = 0.4\n[[grade]]\nname = \"B\"\nfrom = 0.4\nto = 1\n";
        let policy = Policy::parse(text).expect("a policy");
        let cutoffs = policy.cutoffs(&[]).expect("nothing is reviewed");
        let by = DecidedBy::Policy { version: "1".into() };
        let rule = Rule { policy: Some(&policy), by, rule: policy.decision.clone(), cutoffs };
        let (target, probabilities) = ([0.0, 1.0, 1.0, 0.0], [0.1, 0.3, 0.5, 0.9]);
        let weight = [6.0, 2.0, 2.0, 0.0];
        let rows = Rows {
            target: &target,
            margins: &probabilities,
            probabilities: &probabilities,
            baseline: None,
            weight: Some(&weight),
            labels: &[],
        };
        let found = rule.judge(rows, &Rules::default(), 1).expect("rows");
        assert_eq!((found.n_rows, found.shares), (3, [0.8, 0.0, 0.2]));
        let [a, b] = &found.grades[..] else { panic!("{found:?}") };
        assert_eq!((a.n_rows, a.observed), (2, Some(0.25)));
        assert!(a.predicted.is_some_and(|p| (p - 1.2 / 8.0).abs() < 1e-12), "{a:?}");
        assert_eq!((b.n_rows, b.predicted, b.observed), (1, Some(0.5), Some(1.0)));
        // Half of the weight is nearer to the first row's .6 than to nothing.
        let half = &found.what_if[1];
        assert_eq!((half.cutoff, half.model.approval_rate, half.model.bad_rate), (Some(0.3), 0.6, Some(0.0)));
        // Where all are approved nobody is declined from anywhere; former versions wrote 2.
        let found = rule.judge(Rows { weight: None, ..rows }, &Rules::default(), 1).expect("rows");
        let all = found.what_if.last().expect("eleven rates");
        assert_eq!((all.cutoff, all.model.approval_rate), (None, 1.0));
        let former = serde_json::to_string(all).expect("JSON").replace("\"cutoff\":null", "\"cutoff\":2.0");
        assert_eq!(serde_json::from_str::<WhatIf>(&former).expect("a former file"), *all);
        let refused = rule.judge(Rows { weight: Some(&[1.0, -1.0, 1.0, 1.0]), ..rows }, &Rules::default(), 1);
        let refused = refused.expect_err("refused").to_string();
        assert_eq!(refused, "row 2: weight -1; allowed: finite numbers of 0 and above");
    }

    #[test]
    fn a_level_with_a_comma_is_a_group_of_one_column() {
        let policy =
            Policy::parse("version = \"1\"\n[decision]\nby = \"cutoff\"\ndecline_from = 0.5\n").expect("a policy");
        let cutoffs = policy.cutoffs(&[]).expect("nothing is reviewed");
        let by = DecidedBy::Policy { version: "1".into() };
        let rule = Rule { policy: Some(&policy), by, rule: policy.decision.clone(), cutoffs };
        let n = 1_200;
        let target: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let probabilities: Vec<f64> = (0..n).map(|i| (i % 10) as f64 / 10.0).collect();
        let labels = |column: &str, names: [&str; 2], every: usize| Labels {
            column: column.into(),
            of_rows: (0..n).map(|i| Some(names[i / every % 2].to_string())).collect(),
            meaning: names.map(|name| (name.to_string(), crate::bins::BinLabel::Level(name.into()))).into(),
        };
        let labels = [labels("job", ["clerk", "clerk, senior"], 10), labels("sex", ["f", "m"], 20)];
        let rows = Rows {
            target: &target,
            margins: &probabilities,
            probabilities: &probabilities,
            baseline: None,
            weight: None,
            labels: &labels,
        };
        let mut found = rule.judge(rows, &Rules::default(), 1).expect("groups");
        let large = |found: &Judgement| found.large_groups().map(|g| found.groups[g].clone()).collect::<Vec<_>>();
        assert_eq!(large(&found), ["job clerk", "job clerk, senior", "sex f", "sex m"]);
        found.group_parts.clear();
        assert_eq!(large(&found), ["job clerk", "sex f", "sex m"], "as far as the names of former versions tell");
    }

    #[test]
    fn a_group_that_weighs_nothing_costs_no_judgement() {
        let policy =
            Policy::parse("version = \"1\"\n[decision]\nby = \"cutoff\"\ndecline_from = 0.5\n").expect("a policy");
        let cutoffs = policy.cutoffs(&[]).expect("nothing is reviewed");
        let by = DecidedBy::Policy { version: "1".into() };
        let rule = Rule { policy: Some(&policy), by, rule: policy.decision.clone(), cutoffs };
        let n = 400;
        let target: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let probabilities: Vec<f64> = (0..n).map(|i| (i % 10) as f64 / 10.0).collect();
        let weight: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i < n / 2))).collect();
        let of_rows = (0..n).map(|i| Some(if i < n / 2 { "f" } else { "m" }.to_string())).collect();
        let labels = [Labels { column: "sex".into(), of_rows, meaning: BTreeMap::new() }];
        let rows = Rows {
            target: &target,
            margins: &probabilities,
            probabilities: &probabilities,
            baseline: Some(&probabilities),
            weight: Some(&weight),
            labels: &labels,
        };
        let found = rule.judge(rows, &Rules::default(), 1).expect("one group has rows");
        assert_eq!(found.n_rows, n / 2);
        let [f, m] = &found.fairness[..] else { panic!("{:?}", found.fairness) };
        assert!(f.is_reference && f.approval_rate.is_some_and(|r| r.value == 0.5), "{f:?}");
        assert!(m.is_small && m.n_rows == 0 && m.approval_rate.is_none(), "{m:?}");
        assert_eq!(found.what_if[0].groups, [Some(0.5), None]);
        assert_eq!(found.what_if[0].baseline_groups, [Some(0.5), None]);
    }
}
