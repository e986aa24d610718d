//! The judgement that a training ends with: on the rows held back for the test, or without a test on those of the training, each
//! by a fold model and a calibrator that have not seen it.

use super::frontier::{self, Compared, Scores};
use super::{Judgement, MeasuredOn, Rows, Rule, rules_of};
use crate::bundle::Bundle;
use crate::decision::{self, Deciding, Own};
use crate::facts::{Facts, Measured};
use crate::groups::{self, Labels};
use crate::leaderboard::baseline_risk;
use crate::pipeline::Contender;
use crate::policy::Decision;
use crate::proxy;
use crate::reasons::{self, Reasons, Stability};
use crate::scorer::{Member, RowSource, Scorer};
use crate::training_set::{TrainingSet, take_rows};
use statera_core::{Attributions, Result, Run};

/// Most rows whose reasons are compared with those under other fits.
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
    /// What every candidate says of them.
    pub scores: Vec<Scores>,
    /// What stands for each fold's fit of the chosen candidate.
    pub folds: Vec<Vec<Member>>,
    /// The rows that were trained on, and their protected groups.
    pub train: &'a TrainingSet,
    pub train_labels: Vec<Labels>,
}

/// Scores of the measured rows by every candidate and by the present score.
///
/// # Errors
/// As [`Scorer::score`].
pub(crate) fn scores(
    contenders: &[Contender],
    measured: &Measured,
    test: Option<&TrainingSet>,
    baseline_falls: Option<bool>,
) -> Result<Vec<Scores>> {
    let of = |contender: &Contender| -> Result<Scores> {
        let margins = match test {
            Some(test) => contender.scorer.score(&test.batch)?.margins,
            None => contender.out_of_fold.clone(),
        };
        Ok(Scores { model: contender.name.clone(), margins })
    };
    let baseline = baseline_falls.map(|falls| Scores::baseline(baseline_risk(&measured.rows, falls)));
    baseline.map(Ok).into_iter().chain(contenders.iter().map(of)).collect()
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
    judgement.stability = stability(bundle, &training.folds, set, run)?;
    if !training.labels.is_empty() {
        let groups = groups::groups(&training.labels)?;
        let compared = Compared { target: &set.target, weight: set.weight.as_deref(), groups: &groups };
        let (board, rate) = (&facts.leaderboard, judgement.shares[0]);
        judgement.frontier = Some(frontier::frontier(compared, &training.scores, board, rate, &rules, seed)?);
        run.check()?;
        let importance = &facts.importance;
        let (train, labels) = (&training.train.batch, &training.train_labels);
        judgement.proxies = proxy::search(&bundle.scorer, train, labels, importance, &rules, run)?;
    }
    run.progress.finish();
    Ok(Some(judgement))
}

/// How often the reasons of rows that are not approved are those that the folds' fits of the same model give, each measured
/// from its own average approved row. `None` without a policy, reasons, or such rows.
fn stability(bundle: &Bundle, folds: &[Vec<Member>], set: &TrainingSet, run: &Run) -> Result<Option<Stability>> {
    let Deciding { policy: Some((_, fitted)), reasons: Some(reasons), .. } = &bundle.deciding else { return Ok(None) };
    let scorer = &bundle.scorer;
    let work: f64 = scorer.members().iter().map(|m| m.model.attribution_work()).sum();
    let affordable = (STABILITY_WORK / (work * (folds.len() + 1) as f64).max(1.0)) as usize;
    let n_most = affordable.clamp(LEAST_STABILITY_ROWS, MAX_STABILITY_ROWS);
    let probabilities = scorer.score(&set.batch)?.probabilities;
    let is_adverse = |row: &usize| fitted.cutoffs.decide(probabilities[*row]) != Decision::Approve;
    let adverse: Vec<usize> = (0..set.n_rows()).filter(is_adverse).take(n_most).collect();
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
    for members in folds {
        let fold = Scorer::new(scorer.schema().clone(), members.clone(), scorer.calibrator().clone())?;
        let neutral = decision::neutral(&fold, &bundle.reference, fitted.cutoffs, bundle.manifest.seed)?;
        others.push(codes(&fold, &neutral)?);
    }
    Ok(reasons::stability(&own, &others))
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
