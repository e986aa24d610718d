//! From a table to a chosen, measured, calibrated model: the way of the data, top-down.

use crate::background;
use crate::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::cross_fit::{self, Candidate, CrossFitted};
use crate::decision::Deciding;
use crate::ensemble;
use crate::facts::{self, Facts, FitCurve};
use crate::given::Given;
use crate::groups::{self, Labels};
use crate::judge;
use crate::leaderboard::{self, Leaderboard};
use crate::models::{self, Demands, Last, MANY_ROWS, SCORECARD};
use crate::network::{self, OwnNetwork};
use crate::note::Note;
use crate::project::{Prefer, Settings};
use crate::reference::{self, Reference};
use crate::reject::Rejects;
use crate::scorer::{Member, Schema, Scorer, share_preparers};
use crate::search;
use crate::spread::Spread;
use crate::training_set::{TrainingSet, take_rows};
use crate::use_case;
use crate::variant::{self, Fitting, Variant, Variants};
use crate::windows::{self, OwnWindows};
use arrow_array::RecordBatch;
use serde_json::json;
use statera_core::split::{self, Keys, Sides};
use statera_core::{Error, Form, Frame, Kind, Model, Result, Rng, Run, Task};
use statera_data::Table;
use statera_data::conform::InputColumn;
use statera_data::infer::TextFormat;
use statera_data::preparer::Preparer;
use statera_learn::calibration::{self, Calibrator};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// This program and its version, as manifests and records name it.
pub const SOFTWARE: &str = concat!("statera ", env!("CARGO_PKG_VERSION"));

/// A trained bundle, not yet written, and what was found on the way.
pub struct Trained {
    /// The chosen model with everything that belongs to it.
    pub bundle: Bundle,
    /// Every figure that reports show.
    pub facts: Facts,
    /// Seconds and rows a second by candidate; not part of the bundle's digest.
    pub timings: BTreeMap<String, Timing>,
    /// The rows held back for the test.
    pub test: Option<TrainingSet>,
}

/// How fast a candidate was.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Timing {
    /// Seconds to fit all folds and the final model.
    pub fit_seconds: f64,
    /// Raw rows that the final model scores a second.
    pub rows_per_second: f64,
}

/// Trains every candidate, compares them on rows none of them has seen, and makes a bundle of the chosen one.
///
/// `formats` tells how the table's text cells were written, so that text is read the same way when scoring.
///
/// # Errors
/// What [`TrainingSet::new`], [`Given::check_settings`] and the learners refuse, and an interruption; nothing is written.
pub fn train(
    table: Table,
    settings: &Settings,
    formats: &BTreeMap<String, TextFormat>,
    given: &Given,
    run: &Run,
) -> Result<Trained> {
    let started = Instant::now();
    given.check_settings(settings)?;
    let bins = given.bins.as_deref();
    let mut settings = settings.clone();
    let table = windows::add(table, &mut settings)?;
    let edges = given.edges.as_deref().map_or(network::Source::Nowhere, network::Source::Address);
    let (table, edge_counts) = network::add(table, &mut settings, edges, run)?;
    let settings = &settings;
    let mut set = TrainingSet::new(table, settings)?;
    let windows = OwnWindows::of_training(&set, settings, formats)?;
    let network = OwnNetwork::of_training(&set, settings, formats)?;
    set.notes.extend(edge_counts.as_ref().and_then(network::note));
    set.notes.extend((use_case::of(settings.use_case).note)(settings));
    given.check(&set, settings)?;
    let labels = labels(&set, settings)?;
    set.notes.extend(groups::note_without_event(set.task, settings));
    let schema = schema(&set, settings, formats)?;
    let rejects = given.rejects.as_ref().map(|address| Rejects::read(address, &set, &schema, settings, formats, run));
    let rejects = rejects.transpose()?;
    run.open_checkpoints(|| {
        json!({
            "software": SOFTWARE,
            "table": set.fingerprint,
            "bins.toml": bins,
            "rejects": rejects.as_ref().map(|r| &r.fingerprint),
            "settings": settings,
        })
    })?;
    let sequences = cross_fit::sequences(&set, settings)?;
    let demands = Demands {
        task: set.task,
        has_sequence: sequences.has_steps(),
        has_neighbourhood: !sequences.fans.is_empty(),
        has_directions: settings.monotone.values().any(|&direction| direction != 0),
    };
    let families = models::candidates(&settings.models, demands)?;
    if bins.is_some() && families.iter().all(|f| f.name != SCORECARD) {
        return Err(Error::request(format!(
            "the bins are for the scorecard, which is not among the candidates; add {SCORECARD} to --models, or leave out \
             --bins"
        )));
    }
    if settings.prefer == Prefer::Ensemble && families.len() < 2 {
        set.notes.push(Note::new("ensemble_alone", &[]));
    }
    if families.is_empty() {
        return Err(Error::request("no model can predict this target; name one with --models"));
    }
    variant::check(&families, settings)?;
    let (train_rows, test_rows) = holdout(&set, settings).map_err(|e| named(e, &set, settings))?;
    let n_open = set.n_rows() - train_rows.len() - test_rows.len();
    if let (Some(delay), 1..) = (&settings.label_delay, n_open) {
        set.notes.push(Note::new("rows_open", &[("n", &n_open), ("delay", delay)]));
    }
    let train = set.take(&train_rows)?;
    let train_labels: Vec<Labels> = labels.iter().map(|l| l.take(&train_rows)).collect();
    set.notes.extend(rejects.as_ref().map(Rejects::warning));
    let groups = settings.mitigate.map(|_| groups::cells(&train_labels));
    let variants = Variants { groups, rejects };
    let folds = split::folds(&keys(&train), settings.folds, settings.seed).map_err(|e| named(e, &set, settings))?;
    let mut candidates: Vec<Candidate> =
        families.iter().map(|f| Candidate::new(f, train.task, bins, settings.quick)).collect::<Result<_>>()?;
    let searched = search::search(&candidates, &train, settings, bins, &folds, run)?;
    let (searched, settings) = searched.map_or((None, settings.clone()), |s| {
        candidates.extend(s.tuned);
        candidates.sort_by_key(|c| c.family.complexity);
        let settings = Settings { trials: Some(s.facts.trials.len()), budget: None, ..settings.clone() };
        (Some((s.judging, s.facts, s.seconds)), settings)
    });
    let settings = &settings;
    variant::add(&mut candidates, settings);
    let mut cross_fitted = cross_fit::cross_fit(&candidates, &train, settings, &folds, &variants, run)?;
    if let Some((judging, ..)) = &searched {
        cross_fitted.iter_mut().for_each(|fitted| fitted.keep(judging));
    }

    let test = if test_rows.is_empty() { None } else { Some(set.take(&test_rows)?) };
    let training = Training { train: &train, schema: &schema, settings, variants: &variants };
    let (contenders, timings) = finalists(&candidates, cross_fitted, &folds, training, run)?;
    let policy = given.policy.as_ref().map(|own| &own.read);
    let leaderboard = leaderboard::judge(&contenders, &train, test.as_ref(), settings, policy, run)?;
    let measured = facts::measured(&train, test.as_ref(), &contenders, &leaderboard, settings)?;
    let sides = (&train, test.as_ref());
    let mut facts = facts::gather(&set, sides, &measured, &contenders, leaderboard, settings, run)?;
    let search_seconds = searched.as_ref().map(|s| s.2);
    facts.search = searched.map(|s| s.1);
    let scores = judge::scores(&contenders, &train, facts.baseline_falls_with_risk);
    let chosen = chosen(contenders, &facts.leaderboard);
    let cross_fitted = chosen.rows.clone();
    let measured_rows = if test.is_some() { test_rows } else { cross_fitted.iter().map(|&r| train_rows[r]).collect() };
    let judging = judge::Training {
        measured: &measured,
        has_test: test.is_some(),
        labels: labels.iter().map(|l| l.take(&measured_rows)).collect(),
        folds: chosen.folds.clone(),
        train: &train,
        train_labels,
        cross_fitted,
        scores,
    };
    let bundle = Bundle { windows, network, ..bundle(chosen, &set, training, &facts, run)? };
    let mut bundle = given.decide(bundle, &train)?;
    let background = bundle.background.as_ref().map(|rows| rows.facts(&train.batch, &bundle.scorer));
    facts.background = background.transpose()?;
    bundle.review_note().into_iter().for_each(|note| facts.note(note));
    match judge::judge_training(&bundle, &judging, &facts, run) {
        Ok(judgement) => bundle.deciding.judgement = judgement,
        Err(e) if e.is_cancelled() => return Err(e),
        // A finished training is not lost for groups that are too small in its test.
        Err(e) => facts.note(Note::new("not_judged", &[("why", &e)])),
    }
    bundle.facts = serde_json::to_value(&facts).map_err(|e| Error::io(e.to_string()))?;
    bundle.run = json!({
        "seconds": started.elapsed().as_secs_f64(),
        "threads": run.threads,
        "candidates": &timings,
        "search_seconds": search_seconds,
    });
    Ok(Trained { bundle, facts, timings, test })
}

/// The final models of all candidates and their ensemble, and how fast they are.
fn finalists(
    candidates: &[Candidate],
    cross_fitted: Vec<CrossFitted>,
    folds: &[Sides],
    training: Training<'_>,
    run: &Run,
) -> Result<(Vec<Contender>, BTreeMap<String, Timing>)> {
    let settings = training.settings;
    let mut timings = BTreeMap::new();
    let mut contenders = Vec::new();
    let n_fits = |c: &Candidate| n_refits(c.family.last, folds.len(), training).max(1) as u64;
    run.progress.start("Final models", candidates.iter().map(n_fits).sum());
    let mut done = 0;
    for (candidate, fitted) in candidates.iter().zip(cross_fitted) {
        let (contender, timing) = finish(candidate, fitted, training, done, run)?;
        timings.insert(contender.name.clone(), timing);
        contenders.push(contender);
        done += n_fits(candidate);
        run.progress.update(done, candidate.family.title);
    }
    run.progress.finish();
    // What a search chose and other rows did not confirm has no part in the ensemble either, nor what is there to compare with.
    let gains = leaderboard::gains_over_default(&contenders, training.train, settings)?;
    let asked = Variant::asked(settings);
    let standing: Vec<&Contender> = contenders
        .iter()
        .zip(&gains)
        .filter(|(c, gains)| leaderboard::proves_itself(gains) && c.variant == asked)
        .map(|(c, _)| c)
        .collect();
    if let Some((contender, timing)) = ensemble::build(&standing, folds, training, run)? {
        timings.insert(contender.name.clone(), timing);
        contenders.push(contender);
    }
    Ok((contenders, timings))
}

/// To which protected groups the rows belong; none where there is no event that could be decided by.
fn labels(set: &TrainingSet, settings: &Settings) -> Result<Vec<Labels>> {
    if set.task != Task::Binary {
        return Ok(Vec::new());
    }
    let labels = groups::labels(&set.batch, &settings.protected, &settings.missing).map_err(|e| e.at(&set.origin))?;
    groups::groups(&labels).map_err(|e| e.at(&set.origin))?;
    Ok(labels)
}

/// The bundle of the chosen contender, without windows, a policy and clocks.
fn bundle(chosen: Contender, set: &TrainingSet, training: Training<'_>, facts: &Facts, run: &Run) -> Result<Bundle> {
    let Training { train, schema, settings, .. } = training;
    let mut reference = Reference::of(&train.batch, &schema.inputs)?;
    reference.margins = chosen.reference_margins(train);
    let background = background::make(train, schema, &reference, settings, run)?;
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        software: SOFTWARE.into(),
        seed: settings.seed,
        family: chosen.family.to_string(),
        data_fingerprint: set.fingerprint.clone(),
        parents: Vec::new(),
        parts: BTreeMap::new(),
    };
    Ok(Bundle {
        manifest,
        scorer: chosen.scorer,
        reference,
        background,
        windows: None,
        network: None,
        facts: serde_json::to_value(facts).map_err(|e| Error::io(e.to_string()))?,
        deciding: Deciding::default(),
        run: serde_json::Value::Null,
    })
}

/// A candidate ready to be compared: its final model, and what its fold models said of rows they had not seen.
pub struct Contender {
    /// Unique among the contenders: the family's name, with an ending for settings from a search and one for its variant, or
    /// the ensemble's.
    pub name: String,
    /// Family by name.
    pub family: &'static str,
    /// Scores raw rows, calibrated.
    pub scorer: Scorer,
    /// Rows of the training part (ascending) that some fold model judged without having seen them.
    pub rows: Vec<usize>,
    /// Their margins, row-major.
    pub out_of_fold: Vec<f64>,
    /// From these margins, which are of single fits, to probabilities; the scorer has its own for its averages.
    pub(crate) calibrator: Calibrator,
    /// How much less the scorer's margins spread.
    pub(crate) spread: Spread,
    /// How its fits went: those of the folds, then a refit; empty for an ensemble, whose parts have them.
    pub learning_curves: Vec<FitCurve>,
    /// Of an ensemble the candidates in it by title, with their weights.
    pub(crate) parts: Vec<(String, u32)>,
    /// True if a search chose its settings.
    pub(crate) tuned: bool,
    /// What it was fitted on.
    pub(crate) variant: Variant,
    /// What stands for its fit on each fold.
    pub(crate) folds: Vec<Vec<Member>>,
}

impl Contender {
    /// Quantiles of the margins that its scorer gives rows like those of the training, of each output.
    pub(crate) fn reference_margins(&self, train: &TrainingSet) -> Vec<Vec<f64>> {
        let n_outputs = train.task.n_outputs();
        let weight: Option<Vec<f64>> = train.weight.as_ref().map(|w| self.rows.iter().map(|&row| w[row]).collect());
        let of_output = |o: usize| {
            let single = self.out_of_fold.iter().skip(o).step_by(n_outputs);
            let margins: Vec<f64> = single.map(|&margin| self.spread.margin(margin)).collect();
            match &weight {
                Some(weight) => reference::weighted_quantiles(&margins, weight),
                None => reference::quantiles(margins),
            }
        };
        (0..n_outputs).map(of_output).collect()
    }
}

/// What splits go by.
pub(crate) fn keys(set: &TrainingSet) -> Keys<'_> {
    Keys {
        task: set.task,
        target: &set.target,
        time: set.time.as_deref(),
        known: set.known.as_deref(),
        group: set.group.as_deref(),
    }
}

/// An error of a split with what its class numbers stand for.
fn named(e: Error, set: &TrainingSet, settings: &Settings) -> Error {
    let place = &set.origin;
    let name = |(i, class): (usize, &String)| format!("class {i} is «{class}»");
    let mut classes: Vec<String> = set.classes.iter().enumerate().take(10).map(name).collect();
    if set.classes.len() > classes.len() {
        classes.push("…".into());
    }
    let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    e.at(format!("{place}: target «{}»{classes}", settings.target))
}

fn holdout(set: &TrainingSet, settings: &Settings) -> Result<Sides> {
    if settings.test_share == 0.0 {
        return Ok(((0..set.n_rows()).collect(), Vec::new()));
    }
    split::holdout(&keys(set), settings.test_share, settings.seed)
}

/// What the model reads: the features, and the observation time where other times are measured from it.
pub(crate) fn schema(
    train: &TrainingSet,
    settings: &Settings,
    formats: &BTreeMap<String, TextFormat>,
) -> Result<Schema> {
    let mut names = train.features.clone();
    if let Some(time) = as_of(train, settings) {
        names.push((time, Kind::Time));
    }
    let input = |(name, kind): (String, Kind)| -> Result<InputColumn> {
        let schema = train.batch.schema();
        let field = schema.field_with_name(&name).map_err(|e| Error::request(e.to_string()))?;
        Ok(InputColumn { data_type: field.data_type().clone(), text: formats.get(&name).cloned(), name, kind })
    };
    Ok(Schema {
        task: train.task,
        target: settings.target.clone(),
        classes: train.classes.clone(),
        inputs: names.into_iter().map(input).collect::<Result<_>>()?,
        id: settings.id.clone(),
        time: settings.time.clone(),
        tz: settings.tz.clone().unwrap_or_else(|| "UTC".into()),
        sentinels: settings.missing.clone(),
        units: settings.units.clone(),
        sensitivity: settings.sensitivity.clone(),
        purposes: settings.purposes.clone(),
        purpose: settings.purpose.clone(),
    })
}

/// The observation time, where there are other times to measure from it.
pub(crate) fn as_of(train: &TrainingSet, settings: &Settings) -> Option<String> {
    settings.time.clone().filter(|_| train.features.iter().any(|(_, kind)| *kind == Kind::Time))
}

/// The final model of a candidate ([`Last`]), after `done` others' fits.
fn finish(
    candidate: &Candidate,
    fitted: CrossFitted,
    training: Training<'_>,
    done: u64,
    run: &Run,
) -> Result<(Contender, Timing)> {
    let started = Instant::now();
    let CrossFitted { mut members, rows, margins, seconds } = fitted;
    let curve = |model: &dyn Model, fold| {
        let curve = model.learning_curve()?;
        Some(FitCurve { model: candidate.name(), fold, curve })
    };
    let mut curves: Vec<FitCurve> =
        members.iter().enumerate().filter_map(|(fold, m)| curve(&*m.model, Some(fold + 1))).collect();
    let folds: Vec<Vec<Member>> = members.iter().map(|m| vec![m.clone()]).collect();
    let n_refits = n_refits(candidate.family.last, members.len(), training);
    if n_refits > 0 {
        members = refits(candidate, &members, (n_refits, done), training, run)?;
        curves.extend(curve(&*members[0].model, None));
    }
    share_preparers(&mut members);
    let seconds = seconds + started.elapsed().as_secs_f64();
    let (name, family) = (candidate.name(), candidate.family.name);
    let (mut contender, timing) = contender(name, family, (members, folds), (rows, margins), seconds, training)?;
    contender.learning_curves = curves;
    (contender.tuned, contender.variant) = (candidate.tuned, candidate.variant);
    Ok((contender, timing))
}

/// How often a candidate is fitted once more on all rows; 0 if its fold models are the final one. With a time column fold
/// models have not seen the latest rows, and are never that.
fn n_refits(last: Last, n_folds: usize, Training { train, settings, .. }: Training<'_>) -> usize {
    match last {
        Last::Seeds if train.n_rows() <= MANY_ROWS => n_folds,
        Last::FoldModels | Last::Seeds if settings.time.is_none() => 0,
        _ => 1,
    }
}

/// `n` fits on all rows, as the fold models tell to refit, with a seed each; `done` others' fits came before.
fn refits(
    candidate: &Candidate,
    folds: &[Member],
    (n, done): (usize, u64),
    training: Training<'_>,
    run: &Run,
) -> Result<Vec<Member>> {
    let Training { train, settings, variants, .. } = training;
    let models: Vec<&dyn Model> = folds.iter().map(|m| &*m.model).collect();
    let estimator = candidate.estimator.refit(&models);
    let all: Vec<usize> = (0..train.n_rows()).collect();
    let params = cross_fit::preparer_params(estimator.form(), train, settings)?;
    let preparer = Arc::new(Preparer::fit(&params, &train.batch, &all, train.weight.as_deref())?);
    let frame = cross_fit::frame(&preparer, train)?;
    let frame = variants.weighed(candidate.variant, &frame, &all)?;
    let empty = Frame { spec: frame.spec.clone(), ..Frame::default() };
    let empty = if estimator.form() == Form::Dense {
        Frame { dense: statera_core::Matrix { data: Vec::new(), n_cols: frame.dense.n_cols }, ..empty }
    } else {
        empty
    };
    let fitting = Fitting { train: &frame, valid: &empty, preparer: &preparer };
    let title = candidate.title_for(train.task);
    let refit = |i: usize| -> Result<Member> {
        let (seed, fit) = match i {
            0 => (settings.seed, "final".to_string()),
            _ => (Rng::fork(settings.seed ^ 0x7365_6564, i as u64).next_u64(), format!("final{}", i + 1)),
        };
        let part = candidate.keeping(run.part(seed, &title, done + i as u64), &fit, settings);
        let model = variants.fit(candidate, &*estimator, fitting, &part)?;
        Ok(Member { family: candidate.family.name, weight: 1, preparer: preparer.clone(), model: Arc::from(model) })
    };
    (0..n).map(refit).collect()
}

/// What contenders are made with.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    /// The rows that are trained on.
    pub train: &'a TrainingSet,
    /// What a scorer reads.
    pub schema: &'a Schema,
    /// What was asked for.
    pub settings: &'a Settings,
    /// What variants of candidates are made of.
    pub variants: &'a Variants,
}

/// Calibrates members by what was said of rows out of fold, where `folds` stood for them, and times them.
pub(crate) fn contender(
    name: String,
    family: &'static str,
    (members, folds): (Vec<Member>, Vec<Vec<Member>>),
    (rows, out_of_fold): (Vec<usize>, Vec<f64>),
    seconds: f64,
    Training { train, schema, settings, .. }: Training<'_>,
) -> Result<(Contender, Timing)> {
    let started = Instant::now();
    let target: Vec<f64> = rows.iter().map(|&r| train.target[r]).collect();
    let weight: Option<Vec<f64>> = train.weight.as_ref().map(|w| rows.iter().map(|&r| w[r]).collect());
    let weight = weight.as_deref();
    let calibrator = calibration::fit(train.task, &out_of_fold, &target, weight, settings.seed)?;
    let spread = Spread::of(&members, &folds, schema, train)?;
    let fit_seconds = seconds + started.elapsed().as_secs_f64();
    let scorer = Scorer::new(schema.clone(), members, spread.calibrator(&calibrator))?;
    let rows_per_second = scoring_speed(&scorer, &train.batch)?;
    let contender = Contender {
        name,
        family,
        scorer,
        rows,
        out_of_fold,
        calibrator,
        spread,
        learning_curves: Vec::new(),
        parts: Vec::new(),
        tuned: false,
        variant: Variant::Plain,
        folds,
    };
    Ok((contender, Timing { fit_seconds, rows_per_second }))
}

/// Rows a second over the first rows of a batch; the best of three, because other work may disturb one.
pub(crate) fn scoring_speed(scorer: &Scorer, batch: &RecordBatch) -> Result<f64> {
    let batch = batch.slice(0, batch.num_rows().min(50_000));
    let mut best = 0.0f64;
    for _ in 0..3 {
        let started = Instant::now();
        scorer.score(&batch)?;
        best = best.max(batch.num_rows() as f64 / started.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn chosen(contenders: Vec<Contender>, leaderboard: &Leaderboard) -> Contender {
    contenders.into_iter().find(|c| c.name == leaderboard.chosen).expect("the leaderboard chooses among the contenders")
}

impl TrainingSet {
    /// The rows at `rows`, in that order.
    pub fn take(&self, rows: &[usize]) -> Result<TrainingSet> {
        let numbers = |values: &Option<Vec<f64>>| values.as_ref().map(|v| rows.iter().map(|&r| v[r]).collect());
        let times = |values: &Option<Vec<i64>>| values.as_ref().map(|v| rows.iter().map(|&r| v[r]).collect());
        Ok(TrainingSet {
            batch: take_rows(&self.batch, rows)?,
            origin: self.origin.clone(),
            columns: self.columns.clone(),
            features: self.features.clone(),
            task: self.task,
            classes: self.classes.clone(),
            target: rows.iter().map(|&r| self.target[r]).collect(),
            weight: numbers(&self.weight),
            time: times(&self.time),
            known: times(&self.known),
            group: self.group.as_ref().map(|g| rows.iter().map(|&r| g[r]).collect()),
            card: self.card.as_ref().map(|c| rows.iter().map(|&r| c[r]).collect()),
            amount: numbers(&self.amount),
            baseline: numbers(&self.baseline),
            fingerprint: self.fingerprint.clone(),
            features_fingerprint: self.features_fingerprint.clone(),
            notes: Vec::new(),
        })
    }
}
