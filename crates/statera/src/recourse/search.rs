//! The search: every column by itself first, then sets of two and more, each in the order of its cost.
//!
//! 1. The background rows that the policy approves, and that the row's history alone does not put out of reach, are all that
//!    a plausible answer can come near to. If there is none, if no change that is allowed comes near enough to one of them, or only
//!    one of more columns than may change, then nothing is tried ([`super::near`]).
//! 2. Each column is swept by itself: the quantiles of the training rows, the numbers of those background rows, the ends of
//!    what the bank allows. Alone it may turn the decision.
//! 3. Else sets of two columns, then of three and four. Of each column those places are kept that lower the margin more than
//!    any nearer one, those of the background rows, and some between. The sets whose columns lower the margin most are
//!    enumerated, as many as [`BUDGET`] allows, and beside them the changes that come nearest to background rows; the changes within reach are scored in the order of their cost until one turns the
//!    decision, which is then the least of them. Fewer columns always come before more.
//! 4. What was found is made smaller ([`super::shrink`]), scored again and decided again.

use super::answer::{Answer, Change, Found, Outcome};
use super::column::{SWEEP, thinned};
use super::near::{self, Approach};
use super::row::{BoundRule, Moves, Row};
use super::shrink::shrink;
use super::{RECOURSE_FILE, Recourse};
use crate::background::distance::{Cell, Distance};
use crate::bundle::Bundle;
use crate::policy::{Cutoffs, Decision};
use crate::reference::{Distribution, Reference};
use crate::scorer::{RowSource, Scorer};
use crate::training_set::texts_of;
use arrow_array::RecordBatch;
use statera_core::{Error, Result};
use std::time::{Duration, Instant};

/// Most answers for a row, each of other columns.
const MAX_ANSWERS: usize = 3;
/// Changes of a number of columns that are looked at, about.
const BUDGET: usize = 8_192;
/// Least and most places of a column among several.
const LEAST_PLACES: usize = 4;
const MOST_PLACES: usize = 40;

/// Rows that a search which is limited by work may score, and the least however large the model is.
const MOST_SCORED: usize = 20_000;
const LEAST_SCORED: usize = 1_000;
/// Multiplications that it may take, a second or two of a network; and those that a row's attributions take over its score.
const WORK: f64 = 4e9;
const ATTRIBUTION_OVER_SCORE: f64 = 300.0;

/// When a search ends that has not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// After so long: how far it came depends on the machine.
    Time(Duration),
    /// After about so many scored rows (those that are scored at once are not divided): the same on every machine.
    Scored(usize),
}

impl From<Duration> for Limit {
    fn from(limit: Duration) -> Limit {
        Limit::Time(limit)
    }
}

/// What limits a search ([`Searcher::limit`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitBy {
    /// The bank's own time limit, for one who waits.
    Time,
    /// Scored rows, for what must have the same bytes.
    Work,
}

/// Searches for changes under a bundle's policy and recourse: made once, it answers for any number of rows.
pub struct Searcher<'a> {
    pub(super) scorer: &'a Scorer,
    pub(super) recourse: &'a Recourse,
    pub(super) reference: &'a Reference,
    pub(super) distance: Distance,
    pub(super) rules: Vec<BoundRule>,
    pub(super) zone: jiff::tz::TimeZone,
    /// The cells of the background rows by compared column, their reach, and which of them are approved.
    pub(super) cells: Vec<Vec<Cell<'a>>>,
    pub(super) reach: &'a [f64],
    pub(super) approved: Vec<usize>,
    cutoffs: Cutoffs,
}

/// A column by itself.
struct Sweep {
    column: usize,
    /// Places with the margin there, by cost.
    places: Vec<(i64, f64)>,
    /// What the best of them takes off the margin, at least 0.
    gain: f64,
}

/// A column at a place.
struct Place {
    change: (usize, i64),
    /// What that adds to the sum of differences to each background row that can be come near to.
    shifts: Vec<f64>,
}

/// What a search came to.
struct Ended {
    outcome: Outcome,
    answers: Vec<Moves>,
    is_shortest: bool,
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Ended {
        Ended { outcome, answers: Vec::new(), is_shortest: true }
    }
}

impl<'a> Searcher<'a> {
    /// What searches under a bundle's recourse; `None` if it has none.
    ///
    /// # Errors
    /// None that a bundle which was read could cause.
    pub fn new(bundle: &'a Bundle) -> Result<Option<Searcher<'a>>> {
        let Some(recourse) = &bundle.deciding.recourse else { return Ok(None) };
        let (Some((_, fitted)), Some(background)) = (&bundle.deciding.policy, &bundle.background) else {
            return Err(Error::damaged(format!("{RECOURSE_FILE}: the bundle has no policy or no background rows")));
        };
        let schema = bundle.scorer.schema();
        let distance = Distance::new(schema, &bundle.reference)?;
        let probabilities = bundle.scorer.score(&background.rows)?.probabilities;
        let is_approved = |i: &usize| fitted.cutoffs.decide(probabilities[*i]) == Decision::Approve;
        let rules = recourse.read.rule.iter().map(|keep| BoundRule::new(keep, &schema.inputs));
        Ok(Some(Searcher {
            scorer: &bundle.scorer,
            recourse: &recourse.read,
            reference: &bundle.reference,
            rules: rules.collect::<Result<_>>()?,
            zone: jiff::tz::TimeZone::get(&schema.tz).map_err(|e| Error::damaged(format!("schema.json: tz: {e}")))?,
            cells: distance.cells(&schema.inputs, &background.rows)?,
            reach: &background.reach,
            approved: (0..probabilities.len()).filter(is_approved).collect(),
            cutoffs: fitted.cutoffs,
            distance,
        }))
    }

    /// The bank's own limit for a row.
    pub fn time_limit(&self) -> Duration {
        Duration::from_millis(self.recourse.time_limit_ms)
    }

    /// The limit of a row's search: the bank's own time, or as many scored rows as take about a second.
    pub fn limit(&self, by: LimitBy) -> Limit {
        match by {
            LimitBy::Time => Limit::Time(self.time_limit()),
            LimitBy::Work => {
                let attribution: f64 = self.scorer.members().iter().map(|m| m.model.attribution_work()).sum();
                let affordable = WORK / (attribution / ATTRIBUTION_OVER_SCORE).max(1.0);
                Limit::Scored((affordable as usize).clamp(LEAST_SCORED, MOST_SCORED))
            }
        }
    }

    /// True if the policy approves a row of that probability.
    pub(super) fn approves(&self, probability: f64) -> bool {
        self.cutoffs.decide(probability) == Decision::Approve
    }

    /// What would turn the decision of the row of a batch of one; `None` if it is approved as it is. But for the time limit the
    /// same row has the same answer.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn find(&self, one: &RecordBatch, source: RowSource, limit: impl Into<Limit>) -> Result<Option<Found>> {
        let (started, limit) = (Instant::now(), limit.into());
        let inputs = self.scorer.inputs(one, source)?;
        let margin = match self.scorer.score(&inputs)? {
            scored if self.approves(scored.probabilities[0]) => return Ok(None),
            scored => scored.margins[0],
        };
        let cells = self.distance.cells(&self.scorer.schema().inputs, &inputs)?;
        let mut row = Row::new(self, &inputs, &cells, (started, limit))?;
        let ended = self.search(&mut row, margin)?;
        let answers = ended.answers.iter().map(|moves| self.answer(&row, moves)).collect::<Result<_>>()?;
        let is_listed = |column: &&String| self.recourse.change.iter().any(|c| c.column == **column);
        let (changeable, history) = self.scorer.raw_columns().iter().partition::<Vec<&String>, _>(is_listed);
        Ok(Some(Found {
            version: self.recourse.version.clone(),
            outcome: ended.outcome,
            answers,
            is_shortest: ended.is_shortest,
            changeable: changeable.into_iter().cloned().collect(),
            history: history.into_iter().cloned().collect(),
            max_changes: self.recourse.max_changes,
            n_scored: row.n_scored,
            time_limit_ms: match limit {
                Limit::Time(limit) => Some(limit.as_millis().try_into().unwrap_or(u64::MAX)),
                Limit::Scored(_) => None,
            },
        }))
    }

    fn search(&self, row: &mut Row<'_>, margin: f64) -> Result<Ended> {
        if let Some(in_the_way) = self.in_the_way(row) {
            return Ok(in_the_way.into());
        }
        let approaches = row.approaches();
        match near::fewest(&approaches) {
            None => return Ok(Outcome::NonePlausible.into()),
            Some(needed) if needed > self.recourse.max_changes => return Ok(Outcome::MaxChanges { needed }.into()),
            Some(_) => {}
        }
        let Some(sweeps) = self.sweep(row, margin)? else { return Ok(row.ran_out().into()) };
        let (mut is_complete, mut is_any_plausible) = (true, false);
        for n_columns in 1..=self.recourse.max_changes.min(sweeps.len()) {
            let (changes, is_whole) = changes(row, &sweeps, &approaches, n_columns);
            is_complete &= is_whole;
            is_any_plausible |= !changes.is_empty();
            let (found, is_over) = turning(row, &changes)?;
            if !found.is_empty() {
                return shortened(row, found);
            }
            if is_over {
                return Ok(row.ran_out().into());
            }
        }
        Ok(match (is_any_plausible, row.n_scored) {
            (false, _) => Outcome::NonePlausible,
            // Rules alone keep what is plausible from being scored.
            (true, 0) => Outcome::NoneWithinRules,
            (true, _) => Outcome::NoneTurns { is_complete },
        }
        .into())
    }

    /// What stands against every change, before any is looked at.
    fn in_the_way(&self, row: &Row<'_>) -> Option<Outcome> {
        let reasons = [
            (row.columns.is_empty(), Outcome::NothingToChange),
            (self.approved.is_empty(), Outcome::NoneApproved),
            (row.is_too_far(), Outcome::HistoryTooFar),
        ];
        reasons.into_iter().find(|(is_so, _)| *is_so).map(|(_, outcome)| outcome)
    }

    /// Every column by itself; `None` if the limit was reached.
    fn sweep(&self, row: &mut Row<'_>, margin: f64) -> Result<Option<Vec<Sweep>>> {
        let mut tried: Vec<Moves> = Vec::new();
        for (c, column) in row.columns.iter().enumerate() {
            let quantiles = match self.reference.columns.get(&column.scale.column) {
                Some(Distribution::Quantiles { values, .. }) => values.as_slice(),
                _ => &[],
            };
            let values = quantiles.iter().copied().chain(row.near_numbers(c));
            tried.extend(column.sweep(values).into_iter().map(|place| vec![(c, place)]));
        }
        let Some(found) = row.try_all(&tried)? else { return Ok(None) };
        let mut sweeps: Vec<Sweep> = Vec::new();
        for (moves, tried) in tried.iter().zip(found) {
            let (column, place) = moves[0];
            if sweeps.last().is_none_or(|s| s.column != column) {
                sweeps.push(Sweep { column, places: Vec::new(), gain: 0.0 });
            }
            if let Some(sweep) = sweeps.last_mut() {
                sweep.places.push((place, tried.margin));
                sweep.gain = sweep.gain.max(margin - tried.margin);
            }
        }
        Ok(Some(sweeps))
    }

    /// An answer, scored and decided by itself as any row is.
    fn answer(&self, row: &Row<'_>, moves: &Moves) -> Result<Answer> {
        let one = row.batch(std::slice::from_ref(moves))?;
        let score = self.scorer.score(&one)?.probabilities[0];
        let Some((distance, reach)) = row.nearest(moves).filter(|_| self.approves(score)) else {
            return Err(Error::damaged(format!(
                "a change that turned the decision has the score {score} when scored again"
            )));
        };
        let before = row.batch(&[Vec::new()])?;
        let text = |batch: &RecordBatch, input: usize| texts_of(batch.column(input)).into_iter().next().flatten();
        let change = |&(column, _): &(usize, i64)| {
            let input = row.columns[column].input;
            Change {
                column: row.columns[column].scale.column.clone(),
                from: text(&before, input).unwrap_or_default(),
                to: text(&one, input).unwrap_or_default(),
            }
        };
        Ok(Answer { changes: moves.iter().map(change).collect(), score, cost: row.cost(moves), distance, reach })
    }
}

/// Plausible changes of so many columns, by cost, and whether every set of columns is among what was looked at.
fn changes(row: &Row<'_>, sweeps: &[Sweep], approaches: &[Approach], n_columns: usize) -> (Vec<Moves>, bool) {
    let mut sets = sets_of(sweeps.len(), n_columns);
    let n_sets = sets.len();
    let share = (BUDGET as f64 / n_sets as f64).powf(1.0 / n_columns as f64);
    let n_places = if n_columns == 1 { SWEEP } else { (share as usize).clamp(LEAST_PLACES, MOST_PLACES) };
    let gain = |set: &Vec<usize>| set.iter().map(|&s| sweeps[s].gain).sum::<f64>();
    sets.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    sets.truncate((BUDGET / n_places.pow(n_columns as u32)).max(1));
    let places: Vec<Vec<Place>> = sweeps.iter().map(|sweep| kept_places(row, sweep, n_places)).collect();
    let mut found: Vec<(f64, Moves)> = Vec::new();
    for set in &sets {
        let columns: Vec<&[Place]> = set.iter().map(|&s| places[s].as_slice()).collect();
        let within = combined(row, &columns);
        found.extend(within.into_iter().map(|moves| (row.cost(&moves), moves)));
    }
    for moves in near::nearest(row, approaches, n_columns) {
        if !found.iter().any(|(_, f)| *f == moves) {
            found.push((row.cost(&moves), moves));
        }
    }
    // Of equal costs the order of the sets and places decides: sorting keeps it.
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    (found.into_iter().map(|(_, moves)| moves).collect(), sets.len() == n_sets)
}

/// Every combination of one place of each column that ends within reach; the first column's places change last.
fn combined(row: &Row<'_>, columns: &[&[Place]]) -> Vec<Moves> {
    let mut found = Vec::new();
    let Some((last, first)) = columns.split_last() else { return found };
    let mut open: Vec<(Moves, Vec<f64>)> = vec![(Vec::new(), row.shifts(None))];
    let add = |shifts: &[f64], more: &[f64]| shifts.iter().zip(more).map(|(a, b)| a + b).collect::<Vec<f64>>();
    let with = |moves: &Moves, place: &Place| moves.iter().copied().chain([place.change]).collect::<Moves>();
    for places in first {
        let longer = |(moves, shifts): &(Moves, Vec<f64>)| {
            let one = |place: &Place| (with(moves, place), add(shifts, &place.shifts));
            places.iter().map(one).collect::<Vec<_>>()
        };
        open = open.iter().flat_map(longer).collect();
    }
    for (moves, shifts) in &open {
        found.extend(last.iter().filter(|p| row.is_within_reach(shifts, &p.shifts)).map(|place| with(moves, place)));
    }
    found
}

/// Sets of `size` of the numbers below `n`, each ascending.
fn sets_of(n: usize, size: usize) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let longer = |set: &Vec<usize>| {
            let first = set.last().map_or(0, |last| last + 1);
            (first..n).map(|next| set.iter().copied().chain([next]).collect()).collect::<Vec<Vec<usize>>>()
        };
        sets = sets.iter().flat_map(longer).collect();
    }
    sets
}

/// At most about `n` places of a column, by cost, with what each adds to the sums of differences: half of them lower the margin
/// more than any nearer one, the others are spread evenly.
fn kept_places(row: &Row<'_>, sweep: &Sweep, n: usize) -> Vec<Place> {
    let mut kept: Vec<usize> = (0..sweep.places.len()).collect();
    if kept.len() > n {
        let mut least = f64::INFINITY;
        let lowers = |&i: &usize| {
            let margin = sweep.places[i].1;
            let is_lower = margin < least;
            least = least.min(margin);
            is_lower
        };
        let best: Vec<usize> = (0..sweep.places.len()).filter(lowers).collect();
        let mut chosen = thinned(&best, n.div_ceil(2));
        chosen.extend(thinned(&kept, n - chosen.len()));
        chosen.sort_unstable();
        chosen.dedup();
        kept = chosen;
    }
    let place = |i: usize| {
        let change = (sweep.column, sweep.places[i].0);
        Place { change, shifts: row.shifts(Some(change)) }
    };
    kept.into_iter().map(place).collect()
}

/// The first changes, in their order, that turn the decision within the rules, at most [`MAX_ANSWERS`] and each of other columns;
/// and whether the limit was reached before the end.
fn turning(row: &mut Row<'_>, changes: &[Moves]) -> Result<(Vec<Moves>, bool)> {
    let mut found: Vec<Moves> = Vec::new();
    let mut rest = changes.iter();
    loop {
        let is_new = |moves: &&Moves| !found.iter().any(|f| columns(f).eq(columns(moves)));
        let piece: Vec<Moves> = rest.by_ref().filter(is_new).take(row.piece()).cloned().collect();
        if piece.is_empty() {
            return Ok((found, false));
        }
        let Some(tried) = row.try_piece(&piece, true)? else { return Ok((found, true)) };
        for (moves, tried) in piece.iter().zip(tried) {
            let is_new = !found.iter().any(|f| columns(f).eq(columns(moves)));
            if is_new && tried.is_some_and(|tried| tried.is_approved) {
                found.push(moves.clone());
            }
            if found.len() == MAX_ANSWERS {
                return Ok((found, false));
            }
        }
    }
}

/// The columns that changes are of.
fn columns(moves: &Moves) -> impl Iterator<Item = usize> {
    moves.iter().map(|(column, _)| *column)
}

/// Found changes made smaller, the least first.
fn shortened(row: &mut Row<'_>, found: Vec<Moves>) -> Result<Ended> {
    let (mut answers, mut is_shortest): (Vec<Moves>, bool) = (Vec::new(), true);
    for moves in found {
        let (moves, is_whole) = shrink(row, moves)?;
        is_shortest &= is_whole;
        answers.push(moves);
    }
    answers.sort_by(|a, b| a.len().cmp(&b.len()).then(row.cost(a).total_cmp(&row.cost(b))));
    // Two sets of columns may have come down to one; the cheaper answer stays.
    let all = std::mem::take(&mut answers);
    for moves in all {
        if !answers.iter().any(|a| columns(a).eq(columns(&moves))) {
            answers.push(moves);
        }
    }
    Ok(Ended { outcome: Outcome::Found, answers, is_shortest })
}
