//! Variants of candidates: what is fitted on the same columns, but on other weights or more rows than the plain candidate.
//!
//! A variant stands on the leaderboard beside its plain twin, so that what it costs and gains is seen; where one is asked for,
//! only candidates of that variant can be chosen. Every figure is of the same rows with the same weights as without.

use crate::cross_fit::{self, Candidate};
use crate::models::{ModelFamily, SCORECARD};
use crate::project::Settings;
use crate::reject::Rejects;
use statera_core::fairness::reweighing;
use statera_core::{Error, Estimator, Frame, Model, Result, Run};
use statera_data::preparer::Preparer;
use statera_learn::linear;
use std::borrow::Cow;

/// What a candidate is fitted on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Variant {
    /// The training rows as they are.
    #[default]
    Plain,
    /// Rows weighed so that protected groups and outcome are independent.
    Reweighed,
    /// Declined applications with inferred outcomes too.
    WithRejects,
}

impl Variant {
    /// Every variant, the plain one first.
    pub const ALL: [Variant; 3] = [Variant::Plain, Variant::Reweighed, Variant::WithRejects];

    /// The one that is asked for: only its candidates can be chosen.
    pub fn asked(settings: &Settings) -> Variant {
        match (settings.mitigate, settings.reject_inference) {
            (Some(_), _) => Variant::Reweighed,
            (None, Some(_)) => Variant::WithRejects,
            (None, None) => Variant::Plain,
        }
    }

    /// What the name of a candidate ends with.
    pub const fn ending(self) -> &'static str {
        match self {
            Variant::Plain => "",
            Variant::Reweighed => "_reweighed",
            Variant::WithRejects => "_rejects",
        }
    }

    /// What its title ends with.
    pub fn title(self) -> &'static str {
        match self {
            Variant::Plain => "",
            Variant::Reweighed => ", reweighed",
            Variant::WithRejects => ", with rejects",
        }
    }

    /// True if the family has the variant: rejects need a model whose margin goes on beyond the rows it has seen as a sum of
    /// columns does, which trees and networks do not promise.
    fn suits(self, family: &ModelFamily) -> bool {
        self != Variant::WithRejects || [SCORECARD, linear::NAME].contains(&family.name)
    }
}

/// Refuses a variant that none of the families has.
///
/// # Errors
/// A request error that names the families.
pub(crate) fn check(families: &[&ModelFamily], settings: &Settings) -> Result<()> {
    let variant = Variant::asked(settings);
    if families.iter().any(|family| variant.suits(family)) {
        return Ok(());
    }
    let names: Vec<&str> = families.iter().map(|family| family.name).collect();
    Err(Error::request(format!(
        "reject inference is for {SCORECARD} and {}; the candidates are {}: add one of the two with --models, or leave out \
         --rejects",
        linear::NAME,
        names.join(", ")
    )))
}

/// Adds the variants that are asked for to the candidates.
pub(crate) fn add(candidates: &mut Vec<Candidate>, settings: &Settings) {
    let variant = Variant::asked(settings);
    if variant == Variant::Plain {
        return;
    }
    let suited = candidates.iter().filter(|c| variant.suits(c.family));
    let twins: Vec<Candidate> = suited.map(|c| Candidate { variant, ..c.clone() }).collect();
    candidates.extend(twins);
    candidates.sort_by_key(|c| c.family.complexity);
}

/// What variants are made of.
#[derive(Default)]
pub(crate) struct Variants {
    /// The protected group of each training row, by number; where rows are reweighed.
    pub groups: Option<Vec<usize>>,
    /// Declined applications; where their outcomes are inferred.
    pub rejects: Option<Rejects>,
}

/// What a candidate is fitted on, and what prepared it.
#[derive(Clone, Copy)]
pub(crate) struct Fitting<'a> {
    pub train: &'a Frame,
    pub valid: &'a Frame,
    pub preparer: &'a Preparer,
}

impl Variants {
    /// The frame of the training rows `rows` as a variant weighs them.
    ///
    /// # Errors
    /// As [`reweighing`].
    pub fn weighed<'a>(&self, variant: Variant, frame: &'a Frame, rows: &[usize]) -> Result<Cow<'a, Frame>> {
        let Some(groups) = self.groups.as_ref().filter(|_| variant == Variant::Reweighed) else {
            return Ok(Cow::Borrowed(frame));
        };
        let groups: Vec<usize> = rows.iter().map(|&row| groups[row]).collect();
        let factors = reweighing(&frame.target, &groups, frame.weight.as_deref()).map_err(|e| e.at("reweighing"))?;
        let weight = factors.iter().enumerate().map(|(row, factor)| factor * frame.weight_of(row)).collect();
        Ok(Cow::Owned(Frame { weight: Some(weight), ..frame.clone() }))
    }

    /// Fits a candidate's learner; where the candidate is one with rejects, first without them, then with the outcomes that
    /// this first model lets assume.
    ///
    /// # Errors
    /// As the learner's.
    pub fn fit(
        &self,
        candidate: &Candidate,
        estimator: &dyn Estimator,
        fitting: Fitting<'_>,
        run: &Run,
    ) -> Result<Box<dyn Model>> {
        let Fitting { train, valid, preparer } = fitting;
        let Some(rejects) = self.rejects.as_ref().filter(|_| candidate.variant == Variant::WithRejects) else {
            return cross_fit::fit(estimator, candidate.family, train, valid, run);
        };
        let accepted = estimator.fit(train, valid, &run.silent(run.seed))?;
        let all = rejects.beside(train, &*accepted, preparer)?;
        cross_fit::fit(estimator, candidate.family, &all, valid, run)
    }
}
