//! The judgement that a training ends with: on the rows held back for the test, or without a test on those of the training, each
//! by a fold model and a calibrator that have not seen it.

use super::frontier::{self, Compared, Frontier, Scores};
use super::{Judgement, MeasuredOn, Rows, Rule, rules_of};
use crate::bundle::Bundle;
use crate::decision::{self, Deciding, Own, Typical};
use crate::facts::{Facts, Measured};
use crate::groups::{self, Labels};
use crate::leaderboard::baseline_risk;
use crate::pipeline::Contender;
use crate::policy::Decision;
use crate::proxy;
use crate::reasons::{self, Reasons, Stability};
use crate::scorer::{Member, RowSource, Scorer};
use crate::training_set::{TrainingSet, even_steps, take_rows};
use statera_core::fairness::Rules;
use statera_core::{Attributions, Result, Run};

/// Most rows, at even steps, whose reasons are compared with those under other fits.
const MAX_STABILITY_ROWS: usize = 500;
/// Multiplications that this may take, and the rows that are compared at least.
const STABILITY_WORK: f64 = 1e11;
const LEAST_STABILITY_ROWS: usize = 20;

/// What a training knows of its candidates and rows.
pub(crate) struct Training<'a> {
    /// Rows that the judgement is of, with what the chosen candidate says of them.
    pub measured: &'a Measured,
    /// True if they were held back.
    pub has_test: bool,
    /// Their protected groups.
    pub labels: Vec<Labels>,
    /// What stands for each fold's fit of the chosen candidate.
    pub folds: Vec<Vec<Member>>,
    /// The rows that were trained on, and their protected groups.
    pub train: &'a TrainingSet,
    pub train_labels: Vec<Labels>,
    /// Of them those that fold models judged, and what every candidate says of these.
    pub cross_fitted: Vec<usize>,
    pub scores: Vec<Scores>,
}

/// What every candidate, and the present score, say of the cross-fitted rows.
pub(crate) fn scores(contenders: &[Contender], train: &TrainingSet, baseline_falls: Option<bool>) -> Vec<Scores> {
    let baseline = baseline_falls.map(|falls| {
        let risk = baseline_risk(train, falls);
        Scores::baseline(contenders[0].rows.iter().map(|&row| risk[row]).collect())
    });
    let of = |c: &Contender| Scores { model: c.name.clone(), margins: c.out_of_fold.clone() };
    baseline.into_iter().chain(contenders.iter().map(of)).collect()
}

/// Judges a trained bundle, which may have no policy, by the figures of its training; `None` if there is neither a policy nor a
/// protected column.
///
/// # Errors
/// Groups that cannot be compared, what cannot be explained, an interruption.
pub(crate) fn judge_training(
    bundle: &Bundle,
    training: &Training<'_>,
    facts: &Facts,
    run: &Run,
) -> Result<Option<Judgement>> {
    if bundle.deciding.policy.is_none() && training.labels.is_empty() {
        return Ok(None);
    }
    let seed = bundle.manifest.seed;
    let run = &run.clone().with_seed(seed);
    let Measured { rows: set, margins, probabilities } = training.measured;
    let baseline = facts.baseline_falls_with_risk.map(|falls| baseline_risk(set, falls));
    let rows = Rows {
        target: &set.target,
        margins,
        probabilities,
        baseline: baseline.as_deref(),
        weight: set.weight.as_deref(),
        labels: &training.labels,
    };
    run.progress.start("Judging", 0);
    let rules = rules_of(&bundle.deciding);
    let mut judgement = Rule::of(bundle).judge(rows, &rules, seed)?;
    judgement.measured_on = if training.has_test { MeasuredOn::Test } else { MeasuredOn::CrossFitted };
    run.check()?;
    judgement.stability = stability(bundle, training, set, run)?;
    if !training.labels.is_empty() {
        judgement.frontier = Some(compared(training, facts, judgement.shares[0], &rules)?);
        run.check()?;
        let importance = &facts.importance;
        let (train, labels) = (&training.train.batch, &training.train_labels);
        // The training rows may hold groups that the others lack.
        judgement.group_parts.extend(groups::parts(labels, &groups::families(labels)?));
        judgement.proxies = proxy::search(&bundle.scorer, train, labels, importance, &rules, run)?;
    }
    run.progress.finish();
    Ok(Some(judgement))
}

/// The candidates beside each other, on the rows by which they were chosen.
fn compared(training: &Training<'_>, facts: &Facts, rate: f64, rules: &Rules) -> Result<Frontier> {
    let Training { train, train_labels, cross_fitted, scores, .. } = training;
    let labels: Vec<Labels> = train_labels.iter().map(|l| l.take(cross_fitted)).collect();
    let families = groups::families(&labels)?;
    let target: Vec<f64> = cross_fitted.iter().map(|&row| train.target[row]).collect();
    let weight: Option<Vec<f64>> = train.weight.as_ref().map(|w| cross_fitted.iter().map(|&row| w[row]).collect());
    let rows = Compared { target: &target, weight: weight.as_deref(), families: &families };
    frontier::frontier(rows, scores, &facts.leaderboard, rate, rules)
}

/// How often the reasons of rows that are not approved are those that the folds' fits of the same model give, each measured
/// from its own average approved row. `None` without a policy, reasons, or such rows.
fn stability(bundle: &Bundle, training: &Training<'_>, set: &TrainingSet, run: &Run) -> Result<Option<Stability>> {
    let folds = &training.folds;
    let Deciding { policy: Some((_, fitted)), reasons: Some(reasons), .. } = &bundle.deciding else { return Ok(None) };
    let scorer = &bundle.scorer;
    let work: f64 = scorer.members().iter().map(|m| m.model.attribution_work()).sum();
    let affordable = (STABILITY_WORK / (work * (folds.len() + 1) as f64).max(1.0)) as usize;
    let n_most = affordable.clamp(LEAST_STABILITY_ROWS, MAX_STABILITY_ROWS);
    let probabilities = scorer.score(&set.batch)?.probabilities;
    let is_adverse = |row: &usize| fitted.cutoffs.decide(probabilities[*row]) != Decision::Approve;
    let adverse = spread(&(0..set.n_rows()).filter(is_adverse).collect::<Vec<_>>(), n_most);
    if adverse.is_empty() {
        return Ok(None);
    }
    let rows = take_rows(&set.batch, &adverse)?;
    let codes = |scorer: &Scorer, neutral: &[f64]| -> Result<Vec<Vec<&str>>> {
        run.check()?;
        Ok(codes(reasons, &scorer.attribute_rows(&rows, RowSource::default())?, neutral, scorer.raw_columns()))
    };
    let own = codes(scorer, &fitted.neutral)?;
    let mut others = Vec::new();
    let typical = Typical::of_training(training.train)?;
    for members in folds {
        run.check()?;
        let fold = Scorer::new(scorer.schema().clone(), members.clone(), scorer.calibrator().clone())?;
        let neutral = decision::neutral(&fold, &typical, fitted.cutoffs)?;
        others.push(codes(&fold, &neutral)?);
    }
    Ok(reasons::stability(&own, &others))
}

/// At most so many of some rows, from all over them.
fn spread(rows: &[usize], n_most: usize) -> Vec<usize> {
    even_steps(rows.len(), n_most).map(|at| rows[at]).collect()
}

/// Codes of the reasons of each row, the strongest first.
fn codes<'a>(
    reasons: &'a Own<Reasons>,
    parts: &Attributions,
    neutral: &[f64],
    columns: &[String],
) -> Vec<Vec<&'a str>> {
    let n_rows = parts.values.len() / (parts.n_outputs * parts.n_raw).max(1);
    let of = |row: usize| {
        let beyond: Vec<f64> = parts.of(row, 0).iter().zip(neutral).map(|(c, n)| c - n).collect();
        reasons.read.against(&beyond, columns).iter().map(|given| given.reason.code.as_str()).collect()
    };
    (0..n_rows).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_compared_of_rows_from_all_over_the_table() {
        let adverse: Vec<usize> = (0..1300).map(|i| 3 * i).collect();
        let found = spread(&adverse, MAX_STABILITY_ROWS);
        assert_eq!((found.len(), found[0], found[1], found.last()), (434, 0, 9, Some(&3897)));
        assert_eq!(spread(&adverse[..500], MAX_STABILITY_ROWS), adverse[..500]);
        assert!(spread(&[], MAX_STABILITY_ROWS).is_empty());
    }
}
