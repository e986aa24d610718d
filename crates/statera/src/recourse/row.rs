//! A row whose changes are tried: what a change makes of it, whether it is plausible and keeps the rules, how it is scored.

use super::Keep;
use super::answer::Outcome;
use super::column::{Column, Source};
use super::near::Approach;
use super::other_column;
use super::search::{Limit, Searcher};
use crate::background::distance::Cell;
use crate::project::Rule;
use crate::training_set::take_rows;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema as ArrowSchema};
use statera_core::{Error, Kind, Result};
use statera_data::conform::InputColumn;
use std::sync::Arc;
use std::time::Instant;

/// Places that columns move to, ascending by column; no place is 0.
pub(super) type Moves = Vec<(usize, i64)>;

/// Changes that are scored as one: few at first, because it is not known how fast the model is.
const LEAST_PIECE: usize = 64;
const MOST_PIECE: usize = 1024;
/// Share of the time limit that a piece may take before the next one is larger.
const PIECE_SHARE: u32 = 50;
/// Rounding of sums of differences.
const ROUNDING: f64 = 1e-9;

/// A rule with its columns.
pub(super) struct BoundRule {
    rule: Rule,
    kind: Kind,
    /// Places among the input columns, of the column and of the one that it is compared with.
    left: usize,
    right: Option<usize>,
}

impl BoundRule {
    /// A rule that was checked against these columns.
    pub fn new(keep: &Keep, inputs: &[InputColumn]) -> Result<BoundRule> {
        let rule = keep.rule()?;
        let place = |name: &str| inputs.iter().position(|i| i.name == name);
        let left = place(&rule.column).ok_or_else(|| Error::request(format!("no column «{}»", rule.column)))?;
        let right = other_column(&rule, inputs).and_then(|other| place(&other.name));
        Ok(BoundRule { kind: inputs[left].kind, rule, left, right })
    }
}

/// An approved background row that the row's history allows to come near to.
struct Near {
    /// Its place among the background rows.
    prototype: usize,
    /// Sum of the differences between it and the row as it is.
    start: f64,
    /// Largest sum within its reach.
    reach: f64,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tried {
    /// The margin.
    pub margin: f64,
    /// True if the policy approves.
    pub is_approved: bool,
}

/// A row whose changes are tried.
pub(super) struct Row<'a> {
    searcher: &'a Searcher<'a>,
    /// The columns that may change from here.
    pub columns: Vec<Column<'a>>,
    /// The row as often as a piece is long.
    repeated: RecordBatch,
    near: Vec<Near>,
    piece: usize,
    started: Instant,
    limit: Limit,
    /// Rows that were scored, whatever for.
    n_rows: usize,
    /// Plausible changes within the rules that were scored.
    pub n_scored: usize,
}

impl<'a> Row<'a> {
    /// The row of a batch of one in the types of the schema, with its compared cells by column.
    pub fn new(
        searcher: &'a Searcher<'a>,
        inputs: &'a RecordBatch,
        cells: &'a [Vec<Cell<'a>>],
        (started, limit): (Instant, Limit),
    ) -> Result<Row<'a>> {
        let mut columns = Vec::new();
        let schema = inputs.schema();
        for change in &searcher.recourse.change {
            let scales = &searcher.distance.scales;
            let at = scales.iter().position(|s| s.column == change.column);
            let input = schema.index_of(&change.column).ok();
            let (Some(at), Some(input)) = (at, input) else { continue };
            let (scale, start, array) = (&scales[at], cells[at][0], inputs.column(input));
            let source = Source { change, input, at, scale, start, array };
            columns.extend(Column::new(source, searcher.reference)?);
        }
        let repeated = take_rows(inputs, &[0; MOST_PIECE])?;
        let (near, piece) = (Vec::new(), LEAST_PIECE);
        let mut row = Row { searcher, columns, repeated, near, piece, started, limit, n_rows: 0, n_scored: 0 };
        row.near = searcher.approved.iter().filter_map(|&prototype| row.near(prototype, cells)).collect();
        Ok(row)
    }

    /// A background row, unless the columns that cannot change are beyond its reach already.
    fn near(&self, prototype: usize, cells: &[Vec<Cell<'_>>]) -> Option<Near> {
        let Searcher { distance, cells: prototypes, reach, .. } = self.searcher;
        let difference = |at: usize| distance.scales[at].difference(cells[at][0], prototypes[at][prototype]);
        let n = distance.scales.len();
        let is_free = |at: usize| self.columns.iter().any(|c| c.at == at);
        let history: f64 = (0..n).filter(|&at| !is_free(at)).map(difference).sum();
        let reach = reach[prototype] * n as f64 + ROUNDING;
        (history <= reach).then(|| Near { prototype, start: (0..n).map(difference).sum(), reach })
    }

    /// True if no approved background row is within reach, whatever changes.
    pub fn is_too_far(&self) -> bool {
        self.near.is_empty()
    }

    /// True if no more changes may be tried.
    pub fn is_over(&self) -> bool {
        match self.limit {
            Limit::Time(limit) => self.started.elapsed() >= limit,
            Limit::Scored(limit) => self.n_rows >= limit,
        }
    }

    /// What a search has come to that reached its limit.
    pub fn ran_out(&self) -> Outcome {
        match self.limit {
            Limit::Time(_) => Outcome::TimeRanOut,
            Limit::Scored(_) => Outcome::WorkRanOut { n_rows: self.n_rows },
        }
    }

    /// For each background row that can be come near to, the change of each column that comes nearest.
    pub fn approaches(&self) -> Vec<Approach> {
        let approach = |near: &Near| {
            let shift = |(c, column): (usize, &Column<'a>)| {
                let prototype = self.searcher.cells[column.at][near.prototype];
                let place = column.nearest_to(prototype)?;
                let difference = |place| column.scale.difference(column.cell(place), prototype);
                Some((difference(place) - difference(0), (c, place)))
            };
            Approach::new((near.start, near.reach), self.columns.iter().enumerate().filter_map(shift).collect())
        };
        self.near.iter().map(approach).collect()
    }

    /// Numbers of the background rows that can be come near to, in a column.
    pub fn near_numbers(&self, column: usize) -> impl Iterator<Item = f64> {
        let cells = &self.searcher.cells[self.columns[column].at];
        self.near.iter().filter_map(|near| match cells[near.prototype] {
            Cell::Number(v) => Some(v),
            _ => None,
        })
    }

    /// What moving a column adds to the sum of differences to each background row that can be come near to.
    /// `None` moves nothing.
    pub fn shifts(&self, change: Option<(usize, i64)>) -> Vec<f64> {
        let Some((column, place)) = change else { return vec![0.0; self.near.len()] };
        let column = &self.columns[column];
        let (cell, cells) = (column.cell(place), &self.searcher.cells[column.at]);
        let shift = |near: &Near| {
            let prototype = cells[near.prototype];
            column.scale.difference(cell, prototype) - column.scale.difference(column.start, prototype)
        };
        self.near.iter().map(shift).collect()
    }

    /// True if some background row is within reach after two shifts of each.
    pub fn is_within_reach(&self, shifts: &[f64], more: &[f64]) -> bool {
        self.near.iter().zip(shifts.iter().zip(more)).any(|(near, (a, b))| near.start + a + b <= near.reach)
    }

    /// The distance to, and the reach of, the background row that changes come nearest to, as a share of its reach.
    pub fn nearest(&self, moves: &Moves) -> Option<(f64, f64)> {
        let n = self.searcher.distance.scales.len().max(1) as f64;
        let sums = self.sums(moves);
        let ends =
            self.near.iter().zip(sums).map(|(near, sum)| (sum.max(0.0) / n, self.searcher.reach[near.prototype]));
        ends.min_by(|a, b| (a.0 / a.1.max(ROUNDING)).total_cmp(&(b.0 / b.1.max(ROUNDING))))
    }

    fn sums(&self, moves: &Moves) -> Vec<f64> {
        let mut sums: Vec<f64> = self.near.iter().map(|near| near.start).collect();
        for &change in moves {
            sums.iter_mut().zip(self.shifts(Some(change))).for_each(|(sum, shift)| *sum += shift);
        }
        sums
    }

    /// True if changes end within the reach of an approved background row, at cells that stand for what they are.
    pub fn is_plausible(&self, moves: &Moves) -> bool {
        let is_something = |&(c, place): &(usize, i64)| !self.columns[c].scale.is_nothing(self.columns[c].cell(place));
        moves.iter().all(is_something) && self.near.iter().zip(self.sums(moves)).any(|(near, sum)| sum <= near.reach)
    }

    /// What changes cost together.
    pub fn cost(&self, moves: &Moves) -> f64 {
        moves.iter().map(|&(column, place)| self.columns[column].cost(place)).sum()
    }

    /// Changes that the next piece may have.
    pub fn piece(&self) -> usize {
        self.piece
    }

    /// Scores a piece of changes; those that break a rule are `None` if rules are asked. `None` if the limit was reached before.
    ///
    /// # Errors
    /// As [`crate::scorer::Scorer::score`].
    pub fn try_piece(&mut self, tried: &[Moves], with_rules: bool) -> Result<Option<Vec<Option<Tried>>>> {
        if self.is_over() {
            return Ok(None);
        }
        let begun = Instant::now();
        let batch = self.batch(tried)?;
        let mut keeps = vec![true; tried.len()];
        if with_rules {
            self.keep_rules(&batch, tried, &mut keeps)?;
        }
        let kept: Vec<usize> = (0..tried.len()).filter(|&i| keeps[i]).collect();
        let mut out = vec![None; tried.len()];
        if !kept.is_empty() {
            let batch = if kept.len() == tried.len() { batch } else { take_rows(&batch, &kept)? };
            let scored = self.searcher.scorer.score(&batch)?;
            for ((&i, &margin), &probability) in kept.iter().zip(&scored.margins).zip(&scored.probabilities) {
                out[i] = Some(Tried { margin, is_approved: self.searcher.approves(probability) });
            }
            self.n_rows += kept.len();
            self.n_scored += if with_rules { kept.len() } else { 0 };
        }
        let is_fast = match self.limit {
            Limit::Time(limit) => begun.elapsed() < limit / PIECE_SHARE,
            // Nothing that is counted may depend on a clock.
            Limit::Scored(_) => true,
        };
        if tried.len() >= self.piece && is_fast {
            self.piece = (2 * self.piece).min(MOST_PIECE);
        }
        Ok(Some(out))
    }

    /// Scores changes in pieces, without asking for rules. `None` if the limit was reached before the last.
    ///
    /// # Errors
    /// As [`Row::try_piece`].
    pub fn try_all(&mut self, tried: &[Moves]) -> Result<Option<Vec<Tried>>> {
        let mut all = Vec::with_capacity(tried.len());
        while all.len() < tried.len() {
            let end = (all.len() + self.piece).min(tried.len());
            let Some(piece) = self.try_piece(&tried[all.len()..end], false)? else { return Ok(None) };
            all.extend(piece.into_iter().flatten());
        }
        Ok(Some(all))
    }

    /// The row after each of at most [`MOST_PIECE`] changes.
    ///
    /// # Errors
    /// None that changes of its own columns could cause.
    pub fn batch(&self, tried: &[Moves]) -> Result<RecordBatch> {
        let n = tried.len();
        let mut arrays: Vec<ArrayRef> = self.repeated.columns().iter().map(|c| c.slice(0, n)).collect();
        let schema = self.repeated.schema();
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        for (c, column) in self.columns.iter().enumerate() {
            let place = |moves: &Moves| moves.iter().find(|(moved, _)| *moved == c).map_or(0, |(_, place)| *place);
            if tried.iter().any(|moves| place(moves) != 0) {
                arrays[column.input] = column.array(tried.iter().map(place))?;
                let name = schema.field(column.input).name();
                fields[column.input] = Arc::new(Field::new(name, arrays[column.input].data_type().clone(), true));
            }
        }
        RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).map_err(|e| Error::data(e.to_string()))
    }

    /// Clears the flag of each change that breaks a rule about a column which it changes.
    fn keep_rules(&self, batch: &RecordBatch, tried: &[Moves], keeps: &mut [bool]) -> Result<()> {
        for BoundRule { rule, kind, left, right } in &self.searcher.rules {
            let cells = batch.column(*left);
            let passes = match right {
                Some(right) => rule.passes_between(cells, batch.column(*right), *kind)?,
                None => rule.passes(cells, *kind, &self.searcher.zone)?,
            };
            let is_asked = |&(column, _): &(usize, i64)| {
                let input = self.columns[column].input;
                input == *left || Some(input) == *right
            };
            for ((moves, keeps), passes) in tried.iter().zip(keeps.iter_mut()).zip(passes) {
                *keeps &= passes || !moves.iter().any(is_asked);
            }
        }
        Ok(())
    }
}
