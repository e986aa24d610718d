//! The search for better settings of the candidates.
//!
//! **Method.** The tree-structured Parzen estimator proposes settings (`tpe`), successive halving over training rows ends
//! poor ones early (`halving`). The candidates that have something to tune take turns: first each one's default
//! settings, then batches of `BATCH`. What is proposed depends on finished batches and the seed alone, never on
//! threads or time.
//!
//! **Honesty.** A figure that chose among many trials flatters the winner. So trials are fitted and judged on the two sides
//! of one fold of the cross-fitting (`search_fold`), and the rows that judged them judge no candidate on the
//! leaderboard; they only train. With a time column no row before them does either: settings are chosen in the past of
//! the rows that prove them. A winner must be better than its family's default settings by more than one standard error
//! of the paired difference; then it becomes a candidate beside the default, is cross-fitted like any, and must beat it once
//! more by a standard error on those other rows. Else the defaults stay.

mod arena;
mod budget;
mod facts;
mod halving;
#[cfg(test)]
mod tests;
mod tpe;

pub use budget::Limit;
pub use facts::{FamilySearch, SearchFacts, Trial};

use crate::cross_fit::Candidate;
use crate::models::{ModelFamily, Tuning};
use crate::project::Settings;
use crate::training_set::TrainingSet;
use arena::Arena;
use budget::Clock;
use rayon::prelude::*;
use statera_core::metric::{self, Difference};
use statera_core::split::Sides;
use statera_core::{Dimension, Error, Estimator, Form, Point, Result, Rng, Run};
use std::time::Duration;

/// What the name of a candidate ends with whose settings a search chose.
pub const TUNED: &str = "_tuned";

/// Trials of a batch: enough for a few cores, few enough that the estimator learns between batches. It is part of what a
/// search does and must not depend on the machine.
const BATCH: usize = 4;

/// What a search found.
pub(crate) struct Searched {
    /// Families whose winner is clearly better than the defaults, with the winner's settings.
    pub tuned: Vec<Candidate>,
    /// Rows of the training part (ascending) that may judge on the leaderboard.
    pub judging: Vec<usize>,
    /// Every trial.
    pub facts: SearchFacts,
    /// Seconds spent.
    pub seconds: f64,
}

/// Searches the candidates' settings as long as the settings say; `None` if they ask for no search.
///
/// # Errors
/// A limit that cannot be read or is too small for one trial, candidates without anything to tune, a candidate that fails
/// with its default settings, an interruption.
pub(crate) fn search(
    candidates: &[Candidate],
    train: &TrainingSet,
    settings: &Settings,
    bins: Option<&str>,
    folds: &[Sides],
    run: &Run,
) -> Result<Option<Searched>> {
    let Some(limit) = Limit::of(settings)? else { return Ok(None) };
    if settings.quick {
        return Err(Error::request(
            "trials, budget: quick models have no settings to search; leave one of the two out",
        ));
    }
    let mut studies: Vec<Study> = candidates.iter().filter_map(|c| Study::new(c, train)).collect();
    if studies.is_empty() {
        let names: Vec<&str> = candidates.iter().map(|c| c.family.name).collect();
        return Err(Error::request(format!(
            "trials, budget: none of the candidates ({}) has settings to search for this target; name another with --models",
            names.join(", ")
        )));
    }
    let at = search_fold(folds, settings);
    let mut forms: Vec<Form> = Vec::new();
    for study in &studies {
        let form = (study.tuning.at)(train.task, bins, &study.default)?.form();
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    let arena = Arena::new(&forms, train, settings, &folds[at]).map_err(|e| e.at("search"))?;
    let make = |family: &'static ModelFamily, tuning: &Tuning, point: &Point| -> Result<Box<dyn Estimator>> {
        let is_default = *point == Point::default_of(&(tuning.space)(train.task));
        if is_default { (family.estimator)(train.task, bins) } else { (tuning.at)(train.task, bins, point) }
    };

    let clock = Clock::new(limit);
    let mut watch = Watch::new(limit, train, run);
    let mut done = 0;
    'turns: loop {
        let before = done;
        for study in &mut studies {
            let n = limit.at_most(if study.trials.is_empty() { 1 } else { BATCH }, done);
            if n == 0 || !clock.allows(study.expected(n, run.threads)) {
                break 'turns;
            }
            let points = study.propose(n, settings.seed);
            if points.is_empty() {
                continue;
            }
            let begun = clock.elapsed();
            let estimators = points.iter().map(|p| make(study.family, study.tuning, p)).collect::<Result<Vec<_>>>()?;
            study.run_batch(points, &estimators, &arena, done, run)?;
            study.seconds = (clock.elapsed() - begun).as_secs_f64() / estimators.len() as f64;
            if done == 0 {
                clock.check_first(study.family.title)?;
            }
            done += estimators.len();
            watch.update(done, clock.elapsed(), study, &arena);
        }
        if done == before {
            break;
        }
    }
    run.progress.finish();

    let mut tuned = Vec::new();
    for study in &mut studies {
        study.conclude(&arena)?;
        if let Some(winner) = study.winner.as_ref().filter(|w| w.stands) {
            let estimator = make(study.family, study.tuning, &study.trials[winner.trial].point)?;
            tuned.push(Candidate::of(study.family, estimator, true));
        }
    }
    let judging = judging_rows(folds, at, settings);
    let facts = facts::gather(&studies, &arena, train.task, &judging);
    Ok(Some(Searched { tuned, judging, facts, seconds: clock.elapsed().as_secs_f64() }))
}

/// The fold that trials are fitted and judged on: the first; with a time column the middle one, so that settings are chosen
/// on half of the history and proved on what came after.
fn search_fold(folds: &[Sides], settings: &Settings) -> usize {
    if settings.time.is_some() { (folds.len() - 1) / 2 } else { 0 }
}

/// Rows that judge candidates after a search on fold `at`, ascending: those of the other folds; with a time column those
/// of the later ones.
fn judging_rows(folds: &[Sides], at: usize, settings: &Settings) -> Vec<usize> {
    let judges = |fold: usize| if settings.time.is_some() { fold > at } else { fold != at };
    let mut rows: Vec<usize> = folds
        .iter()
        .enumerate()
        .filter(|(i, _)| judges(*i))
        .flat_map(|(_, (_, valid))| valid.iter().copied())
        .collect();
    rows.sort_unstable();
    rows
}

/// The search of one family.
struct Study {
    family: &'static ModelFamily,
    tuning: &'static Tuning,
    space: Vec<Dimension>,
    default: Point,
    trials: Vec<Tried>,
    /// Margins of the default settings and of the best others, both on all rows.
    default_margins: Vec<f64>,
    best: Option<(usize, f64, Vec<f64>)>,
    winner: Option<Winner>,
    /// Of a trial of the last batch.
    seconds: f64,
}

/// The best settings beside the defaults.
struct Winner {
    /// Index in the family's trials.
    trial: usize,
    /// Over the defaults.
    gain: Difference,
    /// True if the gain is more than one standard error.
    stands: bool,
}

/// A trial that was made.
struct Tried {
    /// From 1, over all families.
    number: usize,
    point: Point,
    /// The primary metric on each rung that was reached, turned so that more is better; NaN where the fit failed.
    goodness: Vec<f64>,
    error: Option<String>,
}

impl Study {
    fn new(candidate: &Candidate, train: &TrainingSet) -> Option<Study> {
        let tuning = candidate.family.tuning.as_ref()?;
        let space = (tuning.space)(train.task);
        (!space.is_empty()).then(|| Study {
            family: candidate.family,
            tuning,
            default: Point::default_of(&space),
            space,
            trials: Vec::new(),
            default_margins: Vec::new(),
            best: None,
            winner: None,
            seconds: 0.0,
        })
    }

    /// How long `n` trials will take, by the last batch. The first one was of the defaults alone, which used all threads.
    fn expected(&self, n: usize, threads: usize) -> Duration {
        let rounds = if self.trials.len() == 1 { n.div_ceil(threads) } else { n };
        Duration::from_secs_f64(self.seconds * rounds as f64)
    }

    /// The points of the next batch: the defaults first, then what the estimator proposes; fewer where the space is exhausted.
    fn propose(&self, n: usize, seed: u64) -> Vec<Point> {
        if self.trials.is_empty() {
            return vec![self.default.clone()];
        }
        // As in asynchronous halving, a higher rung is better than any lower one, because only good trials got there.
        let mut order: Vec<&Tried> = self.trials.iter().collect();
        let rank = |t: &Tried| (t.goodness.len(), t.goodness.last().copied().filter(|g| !g.is_nan()));
        order.sort_by(|a, b| {
            let ((rung_a, a), (rung_b, b)) = (rank(a), rank(b));
            let or_worst = |g: Option<f64>| g.unwrap_or(f64::NEG_INFINITY);
            b.is_some().cmp(&a.is_some()).then(rung_b.cmp(&rung_a)).then(or_worst(b).total_cmp(&or_worst(a)))
        });
        let values = |t: &&Tried| t.point.values().iter().map(|v| v.1).collect::<Vec<f64>>();
        let tried: Vec<Vec<f64>> = order.iter().map(values).collect();
        let mut pending = Vec::new();
        for i in 0..n {
            let stream = u64::from(self.family.complexity) << 32 | (self.trials.len() + i) as u64;
            let mut rng = Rng::fork(seed ^ 0x5ea7c4, stream);
            pending.extend(tpe::propose(&self.space, &tried, &pending, &mut rng));
        }
        pending.iter().map(|values| Point::new(&self.space, values)).collect()
    }

    /// Fits a batch rung by rung. The default settings always reach the last one, because all else is compared to them.
    fn run_batch(
        &mut self,
        points: Vec<Point>,
        estimators: &[Box<dyn Estimator>],
        arena: &Arena,
        done: usize,
        run: &Run,
    ) -> Result<()> {
        let is_default = self.trials.is_empty();
        let mut batch: Vec<Tried> = points
            .into_iter()
            .enumerate()
            .map(|(i, point)| Tried { number: done + i + 1, point, goodness: Vec::new(), error: None })
            .collect();
        let mut alive: Vec<usize> = (0..batch.len()).collect();
        for rung in 0..arena.n_rows.len() {
            let fits: Vec<Result<Vec<f64>>> =
                alive.par_iter().map(|&i| arena.fit(&*estimators[i], rung, run)).collect();
            let is_last = rung + 1 == arena.n_rows.len();
            for (&i, fit) in alive.iter().zip(fits) {
                let margins = match fit {
                    Ok(margins) => margins,
                    Err(e) if e.is_cancelled() => return Err(e),
                    Err(e) if is_default => return Err(e.at(format!("search, {}", self.family.title))),
                    Err(e) => {
                        batch[i].goodness.push(f64::NAN);
                        batch[i].error = Some(e.to_string());
                        continue;
                    }
                };
                let goodness = arena.goodness(&margins);
                batch[i].goodness.push(goodness);
                if is_last && is_default {
                    self.default_margins = margins;
                } else if is_last && self.best.as_ref().is_none_or(|(_, best, _)| goodness > *best) {
                    self.best = Some((self.trials.len() + i, goodness, margins));
                }
            }
            let before: Vec<f64> = self.trials.iter().filter_map(|t| t.goodness.get(rung).copied()).collect();
            let measured: Vec<f64> = alive.iter().map(|&i| batch[i].goodness[rung]).collect();
            let promoted = halving::promoted(&before, &measured);
            alive =
                alive.into_iter().zip(promoted).filter(|(_, goes_on)| *goes_on || is_default).map(|(i, _)| i).collect();
        }
        self.trials.extend(batch);
        Ok(())
    }

    /// Compares the best settings to the defaults.
    fn conclude(&mut self, arena: &Arena) -> Result<()> {
        if let Some((trial, _, margins)) = &self.best {
            let gain = arena.compare(margins, &self.default_margins)?;
            let stands = gain.gain.value > gain.standard_error;
            self.winner = Some(Winner { trial: *trial, gain, stands });
        }
        Ok(())
    }
}

/// What the progress bar says.
struct Watch<'a> {
    limit: Limit,
    run: &'a Run,
    title: &'static str,
    sign: f64,
    best: f64,
}

impl<'a> Watch<'a> {
    fn new(limit: Limit, train: &TrainingSet, run: &'a Run) -> Watch<'a> {
        let metric = metric::primary(train.task);
        let total = match limit {
            Limit::Trials(n) => n as u64,
            Limit::Time(time) => time.as_secs().max(1),
        };
        run.progress.start("Search", total);
        let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
        Watch { limit, run, title: metric.title, sign, best: f64::NEG_INFINITY }
    }

    fn update(&mut self, done: usize, elapsed: Duration, study: &Study, arena: &Arena) {
        let on_all = |t: &Tried| t.goodness.get(arena.n_rows.len() - 1).copied();
        self.best = study.trials.iter().filter_map(on_all).fold(self.best, f64::max);
        let remark = format!("trial {done}, best {} {:.4}", self.title, self.sign * self.best);
        match self.limit {
            Limit::Trials(_) => self.run.progress.update(done as u64, &remark),
            Limit::Time(time) => self.run.progress.update(elapsed.min(time).as_secs(), &remark),
        }
    }
}
