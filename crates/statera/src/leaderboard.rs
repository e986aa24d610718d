//! Which candidate is best, and which is the simplest that is not clearly worse.

use crate::alerts;
use crate::cross_calibration;
use crate::decision;
use crate::ensemble;
use crate::models::{self, ModelFamily};
use crate::pipeline::Contender;
use crate::policy::Policy;
use crate::project::{Prefer, Settings};
use crate::training_set::TrainingSet;
use crate::variant::Variant;
use serde::{Deserialize, Serialize};
use statera_core::metric::{self, DEFAULT_BOOTSTRAP, Difference, Measured, Predicted};
use statera_core::{Result, Run, Task};

/// Name of the bank's present score on the leaderboard.
pub const BASELINE: &str = "baseline";

/// One line of the leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Family by name, with an ending where a search chose its settings, or [`BASELINE`].
    pub model: String,
    /// Name in tables.
    pub title: String,
    /// Every metric on rows of the training part that neither the judging fold model nor the calibrator of their
    /// probabilities had seen; candidates are chosen by it.
    pub cross_fitted: Vec<Measured>,
    /// Every metric of the final model on the test rows; empty without a test.
    pub test: Vec<Measured>,
    /// How much better the best candidate is on the same rows; `None` for the best itself.
    pub best_gains: Option<Difference>,
    /// How much better it is than its family's default settings on the same rows; where a search chose its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gains_over_default: Option<Difference>,
    /// A few figures of the final model.
    pub about: Vec<(String, String)>,
}

/// All candidates side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaderboard {
    /// Metric that candidates are chosen by.
    pub metric: String,
    /// The baseline first, then candidates from simple to complex.
    pub entries: Vec<Entry>,
    /// The candidate with the best cross-fitted metric, of those of the variant that was asked for; the ensemble only if it
    /// is better by more than one standard error of the paired difference to the best single candidate, and settings from
    /// a search only if they are so against their family's defaults.
    pub best: String,
    /// The simplest candidate within one standard error of the paired difference to the best.
    pub simplest: String,
    /// The one that is used.
    pub chosen: String,
    /// Probability from which a row counts as the event in precision, recall, F1 and accuracy; binary only. That from which the
    /// policy declines, where the training was given one.
    pub cutoff: f64,
}

/// Measures every contender and the bank's present score, and chooses; `policy` says where rows are declined.
pub fn judge(
    contenders: &[Contender],
    train: &TrainingSet,
    test: Option<&TrainingSet>,
    settings: &Settings,
    policy: Option<&Policy>,
    run: &Run,
) -> Result<Leaderboard> {
    let rows = &contenders[0].rows;
    let judged = Judged::new(train, rows);
    let folds = cross_calibration::folds(train, settings)?;
    let probabilities: Vec<Vec<f64>> =
        contenders.iter().map(|c| cross_calibration::probabilities(c, train, &folds)).collect::<Result<_>>()?;
    let predicted = |i: usize| Predicted { margins: &contenders[i].out_of_fold, probabilities: &probabilities[i] };
    let metric = metric::primary(train.task);
    let mut values = Vec::new();
    let mut entries = Vec::new();
    run.progress.start("Measuring", contenders.len() as u64 + 1);
    // Cut-offs are for the probabilities that the final calibrator gives.
    let cutoff = |c: &Contender| match policy {
        Some(policy) => Ok(policy.cutoffs(&c.typical_probabilities(train))?.decline_from),
        None => Ok(match alerts::cutoff(&c.probabilities(), train, rows, settings)? {
            Some(cutoff) => cutoff,
            None => cutoff_of(&c.probabilities(), &judged, train.task, settings),
        }),
    };
    let cutoffs: Vec<f64> = contenders.iter().map(cutoff).collect::<Result<_>>()?;
    for (i, contender) in contenders.iter().enumerate() {
        run.check()?;
        let measured = judged.evaluate(train.task, predicted(i), cutoffs[i], settings.seed)?;
        values.push(measured.iter().find(|m| m.name == metric.name).map_or(f64::NAN, |m| m.interval.value));
        let title = contender.title(train.task);
        let test = test.map(|test| contender.measure(test, cutoffs[i], settings.seed)).transpose()?;
        entries.push(Entry {
            model: contender.name.clone(),
            title: title.clone(),
            cross_fitted: measured,
            test: test.unwrap_or_default(),
            best_gains: None,
            gains_over_default: None,
            about: contender.about(),
        });
        run.progress.update(i as u64 + 1, &title);
    }
    let gains = gains_over_default(contenders, train, settings)?;
    let stands: Vec<bool> = gains.iter().map(proves_itself).collect();
    entries.iter_mut().zip(gains).for_each(|(entry, gains)| entry.gains_over_default = gains);
    // The ensemble is slower and harder to explain: it must be clearly better than the best of its parts.
    let n_single = contenders.iter().filter(|c| c.family != ensemble::NAME).count();
    let better = |a: f64, b: f64| if metric.higher_is_better { a > b } else { a < b };
    // Where reweighing or rejects were asked for, the others are there to be compared with.
    let is_asked = |i: usize| contenders[i].variant == Variant::asked(settings);
    let standing = (0..n_single).filter(|&i| stands[i] && is_asked(i));
    let best_single = standing.reduce(|best, i| if better(values[i], values[best]) { i } else { best }).unwrap_or(0);
    let mut best = best_single;
    if n_single < contenders.len() {
        let gains = judged.compare(train.task, predicted(n_single), predicted(best_single))?;
        if gains.gain.value > gains.standard_error {
            best = n_single;
        }
    }
    let mut simplest = best;
    for i in (0..contenders.len()).rev() {
        if i == best {
            continue;
        }
        let gains = judged.compare(train.task, predicted(best), predicted(i))?;
        let simpler = complexity(contenders[i].family) < complexity(contenders[simplest].family);
        if simpler && stands[i] && is_asked(i) && gains.gain.value <= gains.standard_error {
            simplest = i;
        }
        entries[i].best_gains = Some(gains);
    }
    if let Some(entry) = baseline_entry(train, test, rows, settings, predicted(best))? {
        entries.insert(0, entry);
    }
    run.progress.finish();
    let name = |i: usize| contenders[i].name.clone();
    let chosen = match settings.prefer {
        Prefer::Best => best,
        Prefer::Simple => simplest,
        Prefer::Ensemble => contenders.iter().position(|c| c.family == ensemble::NAME).unwrap_or(best),
    };
    Ok(Leaderboard {
        metric: metric.name.into(),
        entries,
        best: name(best),
        simplest: name(simplest),
        chosen: name(chosen),
        cutoff: cutoffs[chosen],
    })
}

/// How much better each contender with settings from a search is than its family's default: those settings were the best of
/// many, and must prove themselves on rows that did not choose them. `None` for the others.
///
/// # Errors
/// What the paired difference refuses.
pub(crate) fn gains_over_default(
    contenders: &[Contender],
    train: &TrainingSet,
    settings: &Settings,
) -> Result<Vec<Option<Difference>>> {
    let is_default_of =
        |d: &Contender, c: &Contender| c.tuned && !d.tuned && (d.family, d.variant) == (c.family, c.variant);
    let default_of = |c: &Contender| contenders.iter().find(|d| is_default_of(d, c));
    let folds = cross_calibration::folds(train, settings)?;
    let gains = |contender: &Contender| -> Result<Option<Difference>> {
        let Some(default) = default_of(contender) else { return Ok(None) };
        let judged = Judged::new(train, &contender.rows);
        let probabilities = |c: &Contender| cross_calibration::probabilities(c, train, &folds);
        let (of_tuned, of_default) = (probabilities(contender)?, probabilities(default)?);
        let tuned = Predicted { margins: &contender.out_of_fold, probabilities: &of_tuned };
        let default = Predicted { margins: &default.out_of_fold, probabilities: &of_default };
        judged.compare(train.task, tuned, default).map(Some)
    };
    contenders.iter().map(gains).collect()
}

/// True of everything but settings from a search that are not better by more than a standard error.
pub(crate) fn proves_itself(gains: &Option<Difference>) -> bool {
    gains.as_ref().is_none_or(|g| g.gain.value > g.standard_error)
}

/// A family's name in tables.
fn title(family: &str, task: Task) -> &'static str {
    models::family(family).map_or(ensemble::TITLE, |family| family.title_for(task))
}

fn complexity(family: &str) -> u8 {
    models::MODELS.iter().find(|m: &&ModelFamily| m.name == family).map_or(u8::MAX, |m| m.complexity)
}

/// Targets and weights of the rows that candidates are judged on.
pub(crate) struct Judged {
    pub target: Vec<f64>,
    pub weight: Option<Vec<f64>>,
}

impl Judged {
    pub fn new(set: &TrainingSet, rows: &[usize]) -> Judged {
        Judged {
            target: rows.iter().map(|&r| set.target[r]).collect(),
            weight: set.weight.as_ref().map(|w| rows.iter().map(|&r| w[r]).collect()),
        }
    }
    fn evaluate(&self, task: Task, predicted: Predicted<'_>, cutoff: f64, seed: u64) -> Result<Vec<Measured>> {
        metric::evaluate(task, &self.target, predicted, self.weight.as_deref(), cutoff, seed, DEFAULT_BOOTSTRAP)
    }
    fn compare(&self, task: Task, a: Predicted<'_>, b: Predicted<'_>) -> Result<Difference> {
        metric::paired_difference(task, &self.target, a, b, self.weight.as_deref())
    }
}

impl Contender {
    /// Its name in tables.
    pub(crate) fn title(&self, task: Task) -> String {
        format!("{}{}{}", title(self.family, task), if self.tuned { ", tuned" } else { "" }, self.variant.title())
    }

    /// Calibrated probabilities of the out-of-fold margins.
    pub fn probabilities(&self) -> Vec<f64> {
        self.calibrator.probabilities(self.scorer.schema().task, &self.out_of_fold)
    }

    /// Probabilities of its scorer of rows like those of the training, as the bundle has them.
    fn typical_probabilities(&self, train: &TrainingSet) -> Vec<f64> {
        let margins = self.reference_margins(train);
        decision::typical_probabilities(&self.scorer, margins.first().map_or(&[], Vec::as_slice))
    }

    /// A few figures of the final model; of an ensemble the share of each candidate.
    fn about(&self) -> Vec<(String, String)> {
        if self.family != ensemble::NAME {
            return self.scorer.members()[0].model.describe();
        }
        let total: u32 = self.parts.iter().map(|(_, weight)| weight).sum();
        let percent = |weight: u32| format!("{:.0} %", 100.0 * f64::from(weight) / f64::from(total));
        self.parts.iter().map(|(title, weight)| (title.clone(), percent(*weight))).collect()
    }

    /// Every metric of the final model on rows that took no part in training.
    fn measure(&self, test: &TrainingSet, cutoff: f64, seed: u64) -> Result<Vec<Measured>> {
        let scored = self.scorer.score(&test.batch)?;
        let predicted = Predicted { margins: &scored.margins, probabilities: &scored.probabilities };
        Judged { target: test.target.clone(), weight: test.weight.clone() }
            .evaluate(test.task, predicted, cutoff, seed)
            .map_err(|e| e.at("test rows"))
    }
}

/// The probability from which a row counts as the event: as set, or at the approval rate set, or where as many rows
/// count as events as there are events.
fn cutoff_of(probabilities: &[f64], judged: &Judged, task: Task, settings: &Settings) -> f64 {
    if task != Task::Binary {
        return 0.5;
    }
    if let Some(cutoff) = settings.cutoff {
        return cutoff;
    }
    let weight = |i: usize| judged.weight.as_ref().map_or(1.0, |w| w[i]);
    let total: f64 = (0..probabilities.len()).map(weight).sum();
    let events: f64 = (0..probabilities.len()).map(|i| weight(i) * judged.target[i]).sum();
    let declined = settings.approval_rate.map_or(events, |rate| (1.0 - rate) * total);
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_unstable_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
    let mut seen = 0.0;
    for row in order {
        seen += weight(row);
        if seen >= declined {
            return probabilities[row];
        }
    }
    0.5
}

/// The bank's present score on the same rows: it has a ranking but no probabilities.
fn baseline_entry(
    train: &TrainingSet,
    test: Option<&TrainingSet>,
    rows: &[usize],
    settings: &Settings,
    best: Predicted<'_>,
) -> Result<Option<Entry>> {
    let Some(score) = &train.baseline else { return Ok(None) };
    if train.task != Task::Binary {
        return Ok(None);
    }
    let oriented = metric::orient(&train.target, score, train.weight.as_deref())?;
    let judged = Judged::new(train, rows);
    let score: Vec<f64> = rows.iter().map(|&r| oriented.score[r]).collect();
    let predicted = Predicted { margins: &score, probabilities: &[] };
    let on_test = test.map(|test| {
        let score = baseline_risk(test, oriented.flipped);
        let predicted = Predicted { margins: &score, probabilities: &[] };
        Judged { target: test.target.clone(), weight: test.weight.clone() }.evaluate(
            test.task,
            predicted,
            0.5,
            settings.seed,
        )
    });
    let direction = if oriented.flipped { "falls with risk" } else { "rises with risk" };
    Ok(Some(Entry {
        model: BASELINE.into(),
        title: "Present score".into(),
        cross_fitted: judged.evaluate(train.task, predicted, 0.5, settings.seed)?,
        test: on_test.transpose()?.unwrap_or_default(),
        best_gains: Some(judged.compare(train.task, best, predicted)?),
        gains_over_default: None,
        about: vec![
            ("column".into(), settings.baseline.clone().unwrap_or_default()),
            ("direction".into(), direction.into()),
        ],
    }))
}

/// The baseline with higher values for higher risk.
pub(crate) fn baseline_risk(set: &TrainingSet, flipped: bool) -> Vec<f64> {
    let sign = if flipped { -1.0 } else { 1.0 };
    set.baseline.as_ref().map(|score| score.iter().map(|s| sign * s).collect()).unwrap_or_default()
}
