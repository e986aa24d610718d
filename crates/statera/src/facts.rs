//! Every figure that the report and the documents show: `facts.json`. No clock, no machine, no timing.

use crate::alerts::{self, Alerts};
use crate::background::BackgroundFacts;
use crate::card::{self, CardLine};
use crate::cross_calibration;
use crate::dependence::{self, Dependence, Interaction};
use crate::dial::Cut;
use crate::drift::{self, Stability};
use crate::leaderboard::{Leaderboard, baseline_risk};
use crate::note::Note;
use crate::pipeline::Contender;
use crate::project::Settings;
use crate::search::SearchFacts;
use crate::training_set::{TrainingSet, at_even_steps};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statera_core::metric::{
    self, Applicants, CurveBands, CurvePoint, DEFAULT_BOOTSTRAP, Decile, KsPoint, ReliabilityBin, ScoreBin, SwapSet,
};
use statera_core::{Attributions, Error, LearningCurve, Result, Run, Task};
use statera_data::{ColumnInfo, profile};
use std::collections::BTreeMap;

/// Share of applicants approved where the settings name none.
pub const DEFAULT_APPROVAL_RATE: f64 = 0.8;
/// Rows that importance is averaged over; more change nothing that is worth the time.
const IMPORTANCE_ROWS: usize = 2_000;
/// Multiplications that importance may take, about half a minute, and the rows that it has at least.
const IMPORTANCE_WORK: f64 = 2e11;
const LEAST_IMPORTANCE_ROWS: usize = 20;

/// What was trained on what, and how good it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// What is predicted.
    pub task: Task,
    /// Target column.
    pub target: String,
    /// Classes by index; of two, the second is the event.
    pub classes: Vec<String>,
    /// Fingerprint of the features in the table as it was read; `None` in bundles of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features_fingerprint: Option<String>,
    /// Rows used.
    pub n_rows: usize,
    /// Rows that candidates were trained on.
    pub n_train: usize,
    /// Rows held back; 0 without a test.
    pub n_test: usize,
    /// How rows were divided, in words.
    pub split: String,
    /// Share of the event among all rows; binary only.
    pub event_rate: Option<f64>,
    /// What the user should know, in English.
    pub notes: Vec<String>,
    /// The same by code, in the same order, for reports in other languages; empty in bundles of former versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coded_notes: Vec<Note>,
    /// Candidates side by side.
    pub leaderboard: Leaderboard,
    /// The search for better settings; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchFacts>,
    /// How probabilities are made of margins.
    pub calibration: String,
    /// Rows that the figures below are of: `test`, or `cross-fitted` without a test.
    pub measured_on: String,
    /// True if the present score falls with risk; `None` without one.
    pub baseline_falls_with_risk: Option<bool>,
    /// What changes when the model takes the present score's place.
    pub swap_set: Option<SwapSet>,
    /// The ten deciles by score; binary only.
    pub deciles: Vec<Decile>,
    /// Receiver operating characteristic; binary only.
    pub roc: Vec<CurvePoint>,
    /// Precision by recall; binary only.
    pub precision_recall: Vec<CurvePoint>,
    /// The two cumulative distributions; binary only.
    pub ks: Vec<KsPoint>,
    /// Predicted against observed shares; binary only.
    pub reliability: Vec<ReliabilityBin>,
    /// Bands of the curves above; binary only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<CurveBands>,
    /// Probabilities by outcome; binary only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub score_distribution: Vec<ScoreBin>,
    /// Mean absolute attribution by raw column, in margin units, the largest first; empty if a row could not be explained.
    pub importance: Vec<(String, f64)>,
    /// Rows that it is the mean of; 0 in bundles of former versions.
    #[serde(default)]
    pub n_importance: usize,
    /// What the most important columns add, by their value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependence: Vec<Dependence>,
    /// Which of them act together, the strongest pair first; `None` if it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interactions: Option<Vec<Interaction>>,
    /// The test rows beside the training rows; `None` without a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<Stability>,
    /// What a fraud desk finds with the model; `None` without cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Alerts>,
    /// How much the background rows tell of the training rows; `None` without any, and in bundles of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundFacts>,
    /// The scorecard's characteristics, where one is a candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scorecard: Vec<CardLine>,
    /// How the fits of the candidates went, where they went step by step; empty in bundles of former versions.
    #[serde(default)]
    pub learning_curves: Vec<FitCurve>,
    /// What members of its networks a bundle was cut to, and what that costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Everything that was asked for.
    pub settings: Settings,
}

/// How a fit went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitCurve {
    /// Family by name.
    pub model: String,
    /// The fold from 1; `None` for the refit on all training rows.
    pub fold: Option<usize>,
    /// Its course.
    pub curve: LearningCurve,
}

impl Facts {
    /// Adds what the user should know.
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push(note.english());
        self.coded_notes.push(note);
    }

    /// Reads the facts of a bundle, of this format or of one before.
    ///
    /// # Errors
    /// [`statera_core::ErrorKind::Damaged`] for what are no facts of a model with an outcome.
    pub fn read(facts: &Value) -> Result<Facts> {
        let mut facts = facts.clone();
        // Format 1 knew two ways of choosing only.
        if let Some(Value::Object(settings)) = facts.get_mut("settings")
            && let Some(simple) = settings.remove("prefer_simple")
        {
            settings.insert("prefer".into(), if simple == true { "simple" } else { "best" }.into());
        }
        serde_json::from_value(facts).map_err(|e| Error::damaged(format!("facts.json cannot be read: {e}")))
    }
}

/// Rows that a contender has not seen, with what it says of them.
pub(crate) struct Measured {
    /// Those of the test, or without one those of the training that some fold model judged.
    pub rows: TrainingSet,
    /// Row-major.
    pub margins: Vec<f64>,
    /// In the same layout, by a calibrator that has not seen them either.
    pub probabilities: Vec<f64>,
}

/// The chosen contender.
fn chosen<'a>(contenders: &'a [Contender], leaderboard: &Leaderboard) -> Result<&'a Contender> {
    let is_chosen = |c: &&Contender| c.name == leaderboard.chosen;
    contenders.iter().find(is_chosen).ok_or_else(|| Error::request("no candidate was chosen"))
}

/// The rows that the figures of the chosen contender are of.
pub(crate) fn measured(
    train: &TrainingSet,
    test: Option<&TrainingSet>,
    contenders: &[Contender],
    leaderboard: &Leaderboard,
    settings: &Settings,
) -> Result<Measured> {
    let chosen = chosen(contenders, leaderboard)?;
    Ok(match test {
        Some(test) => {
            let scored = chosen.scorer.score(&test.batch)?;
            Measured { rows: test.clone(), margins: scored.margins, probabilities: scored.probabilities }
        }
        None => {
            let folds = cross_calibration::folds(train, settings)?;
            let probabilities = cross_calibration::probabilities(chosen, train, &folds)?;
            Measured { rows: train.take(&chosen.rows)?, margins: chosen.out_of_fold.clone(), probabilities }
        }
    })
}

/// Collects the figures of the chosen contender, which are of the rows `measured`.
pub(crate) fn gather(
    set: &TrainingSet,
    (train, test): (&TrainingSet, Option<&TrainingSet>),
    measured: &Measured,
    contenders: &[Contender],
    leaderboard: Leaderboard,
    settings: &Settings,
    run: &Run,
) -> Result<Facts> {
    let chosen = chosen(contenders, &leaderboard)?;
    run.check()?;
    let Measured { rows, margins, probabilities } = measured;
    let mut facts = Facts {
        task: set.task,
        target: settings.target.clone(),
        classes: set.classes.clone(),
        features_fingerprint: set.features_fingerprint.clone(),
        n_rows: set.n_rows(),
        n_train: train.n_rows(),
        n_test: test.map_or(0, TrainingSet::n_rows),
        split: split_in_words(settings),
        event_rate: (set.task == Task::Binary).then(|| set.target.iter().sum::<f64>() / set.n_rows() as f64),
        notes: Vec::new(),
        coded_notes: Vec::new(),
        leaderboard,
        search: None,
        calibration: chosen.scorer.calibrator().name().into(),
        measured_on: if test.is_some() { "test" } else { "cross-fitted" }.into(),
        baseline_falls_with_risk: None,
        swap_set: None,
        deciles: Vec::new(),
        roc: Vec::new(),
        precision_recall: Vec::new(),
        ks: Vec::new(),
        reliability: Vec::new(),
        bands: None,
        score_distribution: Vec::new(),
        importance: Vec::new(),
        n_importance: 0,
        dependence: Vec::new(),
        interactions: None,
        stability: test.map(|test| drift::stability(chosen, train, test)).transpose()?,
        alerts: None,
        background: None,
        scorecard: card::lines(contenders),
        cut: None,
        learning_curves: contenders.iter().flat_map(|c| c.learning_curves.clone()).collect(),
        settings: settings.clone(),
    };
    notes(set, train)?.into_iter().for_each(|note| facts.note(note));
    match explain(chosen, rows, &mut facts) {
        Ok(()) => {}
        Err(e) if e.is_cancelled() => return Err(e),
        // A finished training is not lost for a row that cannot be explained.
        Err(e) => facts.note(Note::new("importance_unknown", &[("why", &e)])),
    }
    run.check()?;
    if set.task == Task::Binary {
        rank(&mut facts, rows, margins, probabilities)?;
        if let Some(score) = &train.baseline {
            facts.baseline_falls_with_risk =
                Some(metric::orient(&train.target, score, train.weight.as_deref())?.flipped);
        }
        facts.swap_set = swap_set(train, rows, margins, settings)?;
        match alerts::alerts(measured, (train, chosen), settings) {
            Ok(alerts) => facts.alerts = alerts,
            // A finished training is not lost for a test without fraud.
            Err(e) => facts.note(Note::new("alerts_unknown", &[("why", &e)])),
        }
    }
    Ok(facts)
}

/// The curves of a ranking and of its probabilities.
fn rank(facts: &mut Facts, rows: &TrainingSet, margins: &[f64], probabilities: &[f64]) -> Result<()> {
    let (target, weight, seed) = (&rows.target, rows.weight.as_deref(), facts.settings.seed);
    facts.deciles = metric::deciles(target, margins, weight)?;
    facts.roc = metric::roc_curve(target, margins, weight)?;
    facts.precision_recall = metric::precision_recall_curve(target, margins, weight)?;
    facts.ks = metric::ks_curve(target, margins, weight)?;
    facts.bands = Some(metric::curve_bands(target, margins, weight, seed, DEFAULT_BOOTSTRAP)?);
    facts.score_distribution = metric::score_distribution(target, probabilities, weight)?;
    facts.reliability = metric::reliability(target, probabilities, weight)?;
    Ok(())
}

/// What the training set told, and the columns that alone are too good to be true.
fn notes(set: &TrainingSet, train: &TrainingSet) -> Result<Vec<Note>> {
    let mut notes = set.notes.clone();
    if set.task != Task::Binary {
        return Ok(notes);
    }
    let features: Vec<ColumnInfo> =
        train.features.iter().map(|(name, kind)| ColumnInfo { name: name.clone(), kind: *kind }).collect();
    for (name, auc) in profile::leak_suspects(&train.batch, &features, &train.target)? {
        notes.push(Note::new("leak", &[("column", &name), ("auc", &format!("{auc:.3}"))]));
    }
    Ok(notes)
}

fn swap_set(train: &TrainingSet, rows: &TrainingSet, margins: &[f64], settings: &Settings) -> Result<Option<SwapSet>> {
    let Some(score) = &train.baseline else { return Ok(None) };
    let oriented = metric::orient(&train.target, score, train.weight.as_deref())?;
    let baseline = baseline_risk(rows, oriented.flipped);
    let applicants = Applicants {
        target: &rows.target,
        model: margins,
        baseline: &baseline,
        amount: rows.amount.as_deref(),
        weight: rows.weight.as_deref(),
    };
    metric::swap_set(applicants, settings.approval_rate.unwrap_or(DEFAULT_APPROVAL_RATE), settings.seed).map(Some)
}

/// Importance, dependence and interactions. Networks are asked about fewer rows, the larger they are.
fn explain(chosen: &Contender, rows: &TrainingSet, facts: &mut Facts) -> Result<()> {
    let scorer = &chosen.scorer;
    let work: f64 = scorer.members().iter().map(|m| m.model.attribution_work()).sum();
    let affordable = (IMPORTANCE_WORK / work.max(1.0)) as usize;
    let n = rows.n_rows().min(affordable.clamp(LEAST_IMPORTANCE_ROWS, IMPORTANCE_ROWS));
    let batch = at_even_steps(&rows.batch, n)?;
    let n = batch.num_rows();
    let attributions = scorer.attribute(&batch)?;
    let importance = importance(scorer.raw_columns(), &attributions, n);
    facts.dependence = dependence::dependence(scorer, &batch, &attributions, &importance)?;
    facts.interactions = Some(dependence::interactions(scorer, &rows.batch, &importance)?);
    (facts.importance, facts.n_importance) = (importance, n);
    Ok(())
}

/// Mean absolute attribution by raw column; classes are summed.
fn importance(columns: &[String], attributions: &Attributions, n: usize) -> Vec<(String, f64)> {
    let mut sums: BTreeMap<&String, f64> = BTreeMap::new();
    for row in 0..n {
        for output in 0..attributions.n_outputs {
            for (name, value) in columns.iter().zip(attributions.of(row, output)) {
                *sums.entry(name).or_default() += value.abs() / n as f64;
            }
        }
    }
    let mut importance: Vec<(String, f64)> = sums.into_iter().map(|(name, value)| (name.clone(), value)).collect();
    importance.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    importance
}

fn split_in_words(settings: &Settings) -> String {
    let how = match (&settings.time, &settings.group) {
        (Some(time), _) => format!("out of time by «{time}»"),
        (None, Some(group)) => format!("by whole groups of «{group}»"),
        (None, None) => "at random, each class in proportion".into(),
    };
    let test = if settings.test_share > 0.0 {
        format!("; the test holds {:.0} % of the rows", settings.test_share * 100.0)
    } else {
        "; no rows were held back for a test".into()
    };
    format!("{how}; {} folds{test}", settings.folds)
}
