//! Cross-fitting: every candidate is fitted on each fold's training rows and judged on the rows it has not seen.

use crate::models::ModelFamily;
use crate::pipeline::as_of;
use crate::project::{Sequences, Settings};
use crate::scorer::Member;
use crate::search::TUNED;
use crate::training_set::TrainingSet;
use crate::variant::{Fitting, Variant, Variants};
use statera_core::split::{self, Keys, Sides};
use statera_core::{Error, Estimator, Form, Frame, Kept, Model, Result, Run, Task};
use statera_data::preparer::{Preparer, PreparerParams};
use std::sync::Arc;
use std::time::Instant;

/// A family with its learner.
#[derive(Clone)]
pub struct Candidate {
    /// The family.
    pub family: &'static ModelFamily,
    /// Its learner with settings.
    pub estimator: Arc<dyn Estimator>,
    /// True if a search chose its settings.
    pub tuned: bool,
    /// What it is fitted on.
    pub variant: Variant,
}

impl Candidate {
    /// The family's learner with its default settings, or with those of a quick try.
    pub fn new(family: &'static ModelFamily, task: Task, bins: Option<&str>, quick: bool) -> Result<Candidate> {
        let make = family.quick.filter(|_| quick).unwrap_or(family.estimator);
        Ok(Candidate::of(family, make(task, bins)?, false))
    }

    /// A family with a learner of its.
    pub fn of(family: &'static ModelFamily, estimator: Box<dyn Estimator>, tuned: bool) -> Candidate {
        Candidate { family, estimator: Arc::from(estimator), tuned, variant: Variant::Plain }
    }

    /// Name on the leaderboard, unique among the candidates.
    pub fn name(&self) -> String {
        format!("{}{}{}", self.family.name, if self.tuned { TUNED } else { "" }, self.variant.ending())
    }

    /// Name in messages.
    pub fn title_for(&self, task: Task) -> String {
        format!("{}{}{}", self.family.title_for(task), if self.tuned { ", tuned" } else { "" }, self.variant.title())
    }

    /// The run of a fit that is kept under a name of its own. What a search chose follows from the number of its trials.
    pub fn keeping(&self, run: Run, fit: &str, settings: &Settings) -> Run {
        let trials = settings.trials.filter(|_| self.tuned).map_or(String::new(), |n| n.to_string());
        run.keeping(format!("{}{trials}-{fit}", self.name()))
    }
}

/// The fold models of a candidate and what they said.
#[derive(Default)]
pub struct CrossFitted {
    /// One per fold, in fold order.
    pub members: Vec<Member>,
    /// Rows that were judged, ascending.
    pub rows: Vec<usize>,
    /// Their margins, row-major.
    pub margins: Vec<f64>,
    /// Time spent fitting.
    pub seconds: f64,
}

impl CrossFitted {
    /// Leaves only the judged rows that are among `rows`, ascending.
    pub fn keep(&mut self, rows: &[usize]) {
        let n_outputs = self.margins.len().checked_div(self.rows.len()).unwrap_or(0);
        let kept: Vec<usize> = (0..self.rows.len()).filter(|&i| rows.binary_search(&self.rows[i]).is_ok()).collect();
        self.margins = kept.iter().flat_map(|&i| self.margins[i * n_outputs..][..n_outputs].to_vec()).collect();
        self.rows = kept.into_iter().map(|i| self.rows[i]).collect();
    }
}

/// Fits every candidate on every fold. Preparers are fitted on the fold's training rows alone; candidates that want the
/// same form share one.
///
/// # Errors
/// What a learner refuses, with its name and fold, and an interruption.
pub fn cross_fit(
    candidates: &[Candidate],
    train: &TrainingSet,
    settings: &Settings,
    folds: &[Sides],
    variants: &Variants,
    run: &Run,
) -> Result<Vec<CrossFitted>> {
    let mut fitted: Vec<CrossFitted> = candidates.iter().map(|_| CrossFitted::default()).collect();
    let mut fits: Vec<Vec<Fit>> = candidates.iter().map(|_| Vec::new()).collect();
    run.progress.start("Cross-fitting", (folds.len() * candidates.len()) as u64);
    let mut done = 0;
    for (fold, (train_rows, valid_rows)) in folds.iter().enumerate() {
        for form in [Form::Codes, Form::Dense] {
            if !candidates.iter().any(|c| c.estimator.form() == form) {
                continue;
            }
            let params = preparer_params(form, train, settings)?;
            let preparer = Arc::new(Preparer::fit(&params, &train.batch, train_rows, train.weight.as_deref())?);
            let frame = frame(&preparer, train)?;
            let (plain, valid) = (frame.take(train_rows), Arc::new(frame.take(valid_rows)));
            drop(frame);
            for variant in Variant::ALL {
                let is_own = |c: &Candidate| c.estimator.form() == form && c.variant == variant;
                let own: Vec<usize> = (0..candidates.len()).filter(|&i| is_own(&candidates[i])).collect();
                if own.is_empty() {
                    continue;
                }
                let learnt = variants.weighed(variant, &plain, train_rows)?;
                let is_stopping = own.iter().any(|&i| candidates[i].estimator.stops_on_training_rows());
                let sides = is_stopping.then(|| stopping(&learnt, train, settings)).transpose();
                let sides = sides.map_err(|e| e.at(format!("fold {}", fold + 1)))?;
                for i in own {
                    run.check()?;
                    let candidate = &candidates[i];
                    let name = format!("{}, fold {}", candidate.title_for(train.task), fold + 1);
                    run.progress.update(done, &name);
                    let started = Instant::now();
                    let part = run.part(settings.seed.wrapping_add(1 + fold as u64), &name, done);
                    let part = candidate.keeping(part, &format!("fold{}", fold + 1), settings);
                    let (learnt, stopping) = match &sides {
                        Some(sides) if candidate.estimator.stops_on_training_rows() => (&sides.0, &sides.1),
                        _ => (&*learnt, &*valid),
                    };
                    let fitting = Fitting { train: learnt, valid: stopping, preparer: &preparer };
                    let fit = variants.fit(candidate, &*candidate.estimator, fitting, &part);
                    let model = fit.map_err(|e| at_fold(e, candidate, train.task, fold))?;
                    fitted[i].seconds += started.elapsed().as_secs_f64();
                    fits[i].push(Fit { preparer: preparer.clone(), model, valid: valid.clone() });
                    done += 1;
                    run.progress.update(done, &candidate.title_for(train.task));
                }
            }
        }
    }
    run.progress.finish();
    for ((candidate, fitted), fits) in candidates.iter().zip(&mut fitted).zip(fits) {
        judge(candidate, train.task, folds, fits, fitted)?;
    }
    Ok(fitted)
}

/// Fits, unless an interrupted training has left the fitted model.
pub fn fit(
    estimator: &dyn Estimator,
    family: &ModelFamily,
    train: &Frame,
    valid: &Frame,
    run: &Run,
) -> Result<Box<dyn Model>> {
    if let Some(Kept::Model(parts)) = run.kept()? {
        return (family.load)(&parts);
    }
    let model = estimator.fit(train, valid, run)?;
    run.keep_model(|| model.worth_keeping())?;
    Ok(model)
}

/// Share of a fold's training rows that tell a learner when to stop.
const STOPPING_SHARE: f64 = 0.15;

/// A fold's training rows divided as the folds are: those that are learnt, and those that tell when to stop.
pub(crate) fn stopping(frame: &Frame, train: &TrainingSet, settings: &Settings) -> Result<(Frame, Frame)> {
    let keys = Keys {
        task: train.task,
        target: &frame.target,
        time: frame.time.as_deref(),
        known: None,
        group: frame.group.as_deref(),
    };
    let (learnt, stopping) = split::holdout(&keys, STOPPING_SHARE, settings.seed)?;
    Ok((frame.take(&learnt), frame.take(&stopping)))
}

/// A model of a fold, and the rows that judge it.
struct Fit {
    preparer: Arc<Preparer>,
    model: Box<dyn Model>,
    valid: Arc<Frame>,
}

/// Lets a candidate settle its fold models, and asks each for the rows that it has not seen.
fn judge(candidate: &Candidate, task: Task, folds: &[Sides], fits: Vec<Fit>, fitted: &mut CrossFitted) -> Result<()> {
    let (mut models, mut rest) = (Vec::new(), Vec::new());
    for Fit { preparer, model, valid } in fits {
        models.push(model);
        rest.push((preparer, valid));
    }
    let models = candidate.estimator.settle(models)?;
    let mut judged: Vec<(usize, Vec<f64>)> = Vec::new();
    for (fold, (model, (preparer, valid))) in models.into_iter().zip(rest).enumerate() {
        let scores = model.predict(&valid).map_err(|e| at_fold(e, candidate, task, fold))?;
        judged.extend(folds[fold].1.iter().enumerate().map(|(at, &row)| (row, scores.row(at).to_vec())));
        fitted.members.push(Member { family: candidate.family.name, weight: 1, preparer, model: Arc::from(model) });
    }
    judged.sort_by_key(|(row, _)| *row);
    fitted.rows = judged.iter().map(|(row, _)| *row).collect();
    fitted.margins = judged.into_iter().flat_map(|(_, margins)| margins).collect();
    Ok(())
}

fn at_fold(e: Error, candidate: &Candidate, task: Task, fold: usize) -> Error {
    if e.is_cancelled() { e } else { e.at(format!("{}, fold {}", candidate.title_for(task), fold + 1)) }
}

/// How the training rows are prepared for a form.
///
/// # Errors
/// What [`Settings::sequences_among`] refuses.
pub fn preparer_params(form: Form, train: &TrainingSet, settings: &Settings) -> Result<PreparerParams> {
    let Sequences { steps, grids, fans } = sequences(train, settings)?;
    Ok(PreparerParams {
        form,
        columns: train.features.clone(),
        winsorize: settings.winsorize,
        sentinels: settings.missing.clone(),
        monotone: settings.monotone.clone(),
        sequences: steps,
        grids,
        fans,
        tz: settings.tz.clone().unwrap_or_else(|| "UTC".into()),
        as_of: as_of(train, settings),
        ..PreparerParams::default()
    })
}

/// The sequences and images among the features.
pub fn sequences(train: &TrainingSet, settings: &Settings) -> Result<Sequences> {
    let features: Vec<&str> = train.features.iter().map(|(name, _)| name.as_str()).collect();
    settings.sequences_among(&features)
}

/// All rows as a learner sees them.
pub fn frame(preparer: &Preparer, train: &TrainingSet) -> Result<Frame> {
    let mut frame = preparer.transform(&train.batch)?;
    frame.target = train.target.clone();
    frame.weight = train.weight.clone();
    frame.time = train.time.clone();
    frame.group = train.group.clone();
    Ok(frame)
}
