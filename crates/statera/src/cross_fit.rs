//! Cross-fitting: every candidate is fitted on each fold's training rows and judged on the rows it has not seen.

use crate::models::ModelFamily;
use crate::pipeline::as_of;
use crate::project::Settings;
use crate::scorer::Member;
use crate::training_set::TrainingSet;
use statera_core::split::Sides;
use statera_core::{Estimator, Form, Frame, Result, Run, Task};
use statera_data::preparer::{Preparer, PreparerParams};
use std::sync::Arc;
use std::time::Instant;

/// A family with its learner.
pub struct Candidate {
    /// The family.
    pub family: &'static ModelFamily,
    /// Its learner with settings.
    pub estimator: Box<dyn Estimator>,
}

impl Candidate {
    /// The family's learner with its default settings, or with those of a quick try.
    pub fn new(family: &'static ModelFamily, task: Task, bins: Option<&str>, quick: bool) -> Result<Candidate> {
        let make = family.quick.filter(|_| quick).unwrap_or(family.estimator);
        Ok(Candidate { family, estimator: make(task, bins)? })
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
    run: &Run,
) -> Result<Vec<CrossFitted>> {
    let mut fitted: Vec<CrossFitted> = candidates.iter().map(|_| CrossFitted::default()).collect();
    let mut judged: Vec<Vec<(usize, Vec<f64>)>> = vec![Vec::new(); candidates.len()];
    run.progress.start("Cross-fitting", (folds.len() * candidates.len()) as u64);
    let mut done = 0;
    for (fold, (train_rows, valid_rows)) in folds.iter().enumerate() {
        for form in [Form::Codes, Form::Dense] {
            if !candidates.iter().any(|c| c.estimator.form() == form) {
                continue;
            }
            let params = preparer_params(form, train, settings);
            let preparer = Arc::new(Preparer::fit(&params, &train.batch, train_rows, train.weight.as_deref())?);
            let frame = frame(&preparer, train)?;
            let (train_frame, valid_frame) = (frame.take(train_rows), frame.take(valid_rows));
            drop(frame);
            for (i, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.estimator.form() == form) {
                run.check()?;
                run.progress.update(done, &format!("{}, fold {}", candidate.family.title, fold + 1));
                let started = Instant::now();
                let part = run.part(settings.seed.wrapping_add(1 + fold as u64));
                let place = |e: statera_core::Error| {
                    if e.is_cancelled() { e } else { e.at(format!("{}, fold {}", candidate.family.title, fold + 1)) }
                };
                let model = candidate.estimator.fit(&train_frame, &valid_frame, &part).map_err(place)?;
                fitted[i].seconds += started.elapsed().as_secs_f64();
                let scores = model.predict(&valid_frame).map_err(place)?;
                judged[i].extend(valid_rows.iter().enumerate().map(|(at, &row)| (row, scores.row(at).to_vec())));
                fitted[i].members.push(Member { preparer: preparer.clone(), model });
                done += 1;
                run.progress.update(done, candidate.family.title);
            }
        }
    }
    run.progress.finish();
    for (fitted, mut judged) in fitted.iter_mut().zip(judged) {
        judged.sort_by_key(|(row, _)| *row);
        fitted.rows = judged.iter().map(|(row, _)| *row).collect();
        fitted.margins = judged.into_iter().flat_map(|(_, margins)| margins).collect();
    }
    Ok(fitted)
}

/// How the training rows are prepared for a form.
pub fn preparer_params(form: Form, train: &TrainingSet, settings: &Settings) -> PreparerParams {
    PreparerParams {
        form,
        columns: train.features.clone(),
        winsorize: settings.winsorize,
        sentinels: settings.missing.clone(),
        monotone: settings.monotone.clone(),
        tz: settings.tz.clone().unwrap_or_else(|| "UTC".into()),
        as_of: as_of(train, settings),
        ..PreparerParams::default()
    }
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
