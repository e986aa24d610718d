//! Compiled rules on rows: every test over a whole column, a bit a row, joined word by word.
//!
//! Buffers are the caller's and are used again; a row itself takes no memory but its [`Verdict`].

use super::compile::{Compiled, Node, Source, Test, seen_columns};
use super::logic::Span;
use super::{Action, MAX_RULES, RuleSet};
use crate::project::Comparison;
use crate::scorer::{RowSource, Scorer};
use crate::windows::OwnWindows;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::DataType;
use jiff::tz::TimeZone;
use rayon::prelude::*;
use statera_core::{Error, Result};
use statera_data::conform::{self, RowOrigin};
use statera_data::time::Zone;

/// Rows that a thread evaluates at a time.
const BLOCK: usize = 8_192;
/// Bits of a word.
const BITS: usize = 64;
/// Microseconds of a minute and of a day.
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440 * MINUTE;

/// A set of rules, by their places in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fired([u64; MAX_RULES / BITS]);

impl Fired {
    /// Adds a rule, 0 to [`MAX_RULES`] − 1.
    pub fn set(&mut self, rule: usize) {
        self.0[rule / BITS] |= 1 << (rule % BITS);
    }

    /// True if the rule is among them.
    pub fn has(self, rule: usize) -> bool {
        self.0[rule / BITS] >> (rule % BITS) & 1 == 1
    }

    /// True if no rule is.
    pub fn is_empty(self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Fired) -> Fired {
        Fired(std::array::from_fn(|w| self.0[w] & other.0[w]))
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(self, other: Fired) -> Fired {
        Fired(std::array::from_fn(|w| self.0[w] & !other.0[w]))
    }

    /// Their places, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(w, word)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
            let words = std::iter::successors(Some(word).filter(|word| *word != 0), rest);
            words.map(move |word| w * BITS + word.trailing_zeros() as usize)
        })
    }
}

/// What the rules say of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// That of the deciding rule; allow where no rule decides.
    pub action: Action,
    /// The place of the rule that decides.
    pub deciding: Option<u16>,
    /// Every rule that holds, those in shadow too.
    pub fired: Fired,
}

/// Buffers of an evaluation, to be used again.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Bits of the rows by test.
    tests: Vec<u64>,
    /// Bits of the rows by how deep a node lies.
    levels: Vec<Vec<u64>>,
}

/// The rules of a bundle, ready for the rows that its scorer sees.
#[derive(Debug, Clone)]
pub struct Ruling {
    /// The rules over the columns that they read.
    pub compiled: Compiled,
    zone: Zone,
}

impl Ruling {
    /// The rules for the raw rows of a scorer and the columns of its bundle's windows, which have the columns that the file declares
    /// besides.
    ///
    /// # Errors
    /// As [`RuleSet::compile`].
    pub fn new(set: &RuleSet, scorer: &Scorer, windows: Option<&OwnWindows>) -> Result<Ruling> {
        let schema = scorer.schema();
        let compiled = set.compile(&seen_columns(scorer, windows), true, &schema.tz)?;
        Ok(Ruling { compiled, zone: Zone::new(Some(&schema.tz))? })
    }

    /// What the rules say of raw rows with these probabilities, one verdict a row.
    ///
    /// # Errors
    /// As [`Compiled::inputs`] and [`Compiled::verdicts`].
    pub fn verdicts(&self, batch: &RecordBatch, probabilities: &[f64], source: RowSource) -> Result<Vec<Verdict>> {
        let RowSource { is_text, first_row } = source;
        let inputs = self.compiled.inputs(batch, RowOrigin { zone: &self.zone, is_text, first_row })?;
        self.compiled.verdicts(&inputs, Some(probabilities))
    }
}

impl Compiled {
    /// Rows in the columns that the rules read: by name, in any order, of any type that converts without loss.
    ///
    /// # Errors
    /// Columns that are missing, cells that cannot be what the rules take them for.
    pub fn inputs(&self, batch: &RecordBatch, origin: RowOrigin) -> Result<RecordBatch> {
        let schema = batch.schema_ref();
        if let Some(input) = self.inputs.iter().find(|i| schema.field_with_name(&i.name).is_err()) {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let (name, kind, names) = (&input.name, input.kind.name(), names.join(", "));
            return Err(Error::data(format!(
                "the rules read column «{name}» ({kind}), which is missing; the rows have {names}"
            )));
        }
        Ok(conform::conform(batch, &self.inputs, origin)?.batch)
    }

    /// What the rules say of rows in the columns of [`Compiled::inputs`], one verdict a row, in their order; of a large batch in
    /// parallel. `scores` are the model's probabilities.
    ///
    /// # Errors
    /// Other columns, or another number of scores than rows; no scores where a rule asks for them.
    pub fn verdicts(&self, inputs: &RecordBatch, scores: Option<&[f64]>) -> Result<Vec<Verdict>> {
        let n = inputs.num_rows();
        self.check(inputs, scores)?;
        let mut verdicts = vec![Verdict::default(); n];
        verdicts.par_chunks_mut(BLOCK).enumerate().try_for_each(|(block, verdicts)| {
            let first = block * BLOCK;
            let scores = scores.map(|s| &s[first..first + verdicts.len()]);
            self.evaluate(&inputs.slice(first, verdicts.len()), scores, &mut Scratch::default(), verdicts)
        })?;
        Ok(verdicts)
    }

    /// As [`Compiled::verdicts`], on this thread and with buffers that are used again: the way of rows that come one by one.
    ///
    /// # Errors
    /// As [`Compiled::verdicts`]; another number of verdicts than rows.
    pub fn evaluate(
        &self,
        inputs: &RecordBatch,
        scores: Option<&[f64]>,
        scratch: &mut Scratch,
        verdicts: &mut [Verdict],
    ) -> Result<()> {
        self.check(inputs, scores)?;
        let n = inputs.num_rows();
        if verdicts.len() != n {
            return Err(Error::request(format!("{} verdicts for {n} rows", verdicts.len())));
        }
        let words = n.div_ceil(BITS);
        scratch.tests.clear();
        scratch.tests.resize(self.tests.len() * words, 0);
        if words == 0 {
            return Ok(());
        }
        for (test, bits) in self.tests.iter().zip(scratch.tests.chunks_exact_mut(words)) {
            self.test(test, inputs, scores, bits, n)?;
        }
        verdicts.fill(Verdict::default());
        for (rule, node) in self.nodes.iter().enumerate() {
            if !self.active.has(rule) {
                self.node(node, scratch, words, 0);
                each_row(&scratch.levels[0], n, |row| verdicts[row].fired.set(rule));
            }
        }
        for &rule in &self.order {
            self.node(&self.nodes[rule], scratch, words, 0);
            each_row(&scratch.levels[0], n, |row| {
                let verdict = &mut verdicts[row];
                verdict.fired.set(rule);
                if verdict.deciding.is_none() {
                    // A file has at most 256 rules.
                    verdict.deciding = u16::try_from(rule).ok();
                    verdict.action = self.actions[rule];
                }
            });
        }
        Ok(())
    }

    /// The local day of an instant in microseconds UTC, in days since 1970.
    pub fn local_day(&self, micros: i64) -> i64 {
        self.shown_at(micros).unwrap_or(micros).div_euclid(DAY)
    }

    fn check(&self, inputs: &RecordBatch, scores: Option<&[f64]>) -> Result<()> {
        let schema = inputs.schema_ref();
        let fits = |(field, input): (&arrow_schema::FieldRef, &conform::InputColumn)| {
            *field.name() == input.name && *field.data_type() == input.data_type
        };
        let same = schema.fields().len() == self.inputs.len() && schema.fields().iter().zip(&self.inputs).all(fits);
        if !same {
            return Err(Error::request("the rules are given other columns than those that they read"));
        }
        match scores {
            Some(scores) if scores.len() != inputs.num_rows() => {
                Err(Error::request(format!("{} scores for {} rows", scores.len(), inputs.num_rows())))
            }
            None if self.uses_score => {
                Err(Error::request("a rule asks for the score; give a bundle, or a column of scores from 0 to 1"))
            }
            _ => Ok(()),
        }
    }

    /// Leaves the rows for which a node holds in the buffer of its depth; bits beyond the rows may be set.
    fn node(&self, node: &Node, scratch: &mut Scratch, words: usize, depth: usize) {
        if scratch.levels.len() <= depth {
            scratch.levels.push(Vec::new());
        }
        let mut bits = std::mem::take(&mut scratch.levels[depth]);
        bits.clear();
        match node {
            Node::Test(at) => bits.extend_from_slice(&scratch.tests[at * words..(at + 1) * words]),
            Node::Not(part) => {
                self.node(part, scratch, words, depth + 1);
                bits.extend(scratch.levels[depth + 1].iter().map(|word| !word));
            }
            Node::All(parts) | Node::Any(parts) => {
                let is_all = matches!(node, Node::All(_));
                bits.resize(words, if is_all { u64::MAX } else { 0 });
                for part in parts {
                    self.node(part, scratch, words, depth + 1);
                    for (word, other) in bits.iter_mut().zip(&scratch.levels[depth + 1]) {
                        *word = if is_all { *word & other } else { *word | other };
                    }
                }
            }
        }
        scratch.levels[depth] = bits;
    }

    fn test(
        &self,
        test: &Test,
        inputs: &RecordBatch,
        scores: Option<&[f64]>,
        bits: &mut [u64],
        n: usize,
    ) -> Result<()> {
        match test {
            Test::Spans(source, spans) => {
                let cells = self.numbers(*source, inputs, scores)?;
                match spans.as_slice() {
                    [one] => fill(bits, n, |row| one.holds(cells.at(row))),
                    several => fill(bits, n, |row| several.iter().any(|span: &Span| span.holds(cells.at(row)))),
                }
            }
            Test::Member { at, set, except, .. } => {
                let cells = inputs.column(*at);
                match cells.data_type() {
                    DataType::Int64 => {
                        let values = cells.as_primitive::<Int64Type>();
                        fill(bits, n, |row| values.is_valid(row) && set.has_whole(values.value(row)) != *except);
                    }
                    _ => {
                        let values = cells.as_string::<i32>();
                        fill(bits, n, |row| values.is_valid(row) && set.has_text(values.value(row)) != *except);
                    }
                }
            }
            Test::Pair(left, comparison, right) => self.pair(inputs, (*left, *comparison, *right), bits, n)?,
            Test::Missing(source) => {
                let is_missing = self.missing(*source, inputs, scores)?;
                fill(bits, n, is_missing);
            }
            Test::Present(source) => {
                let is_missing = self.missing(*source, inputs, scores)?;
                fill(bits, n, |row| !is_missing(row));
            }
            Test::TimeOfDay(at, [from, to]) => {
                let cells = inputs.column(*at).as_primitive::<TimestampMicrosecondType>();
                let (from, to) = (i64::from(*from), i64::from(*to));
                let is_in = |minute: i64| {
                    if from < to { minute >= from && minute < to } else { minute >= from || minute < to }
                };
                fill(bits, n, |row| self.local(cells, row).is_some_and(|t| is_in(t.rem_euclid(DAY) / MINUTE)));
            }
            Test::Weekday(at, days) => {
                let cells = inputs.column(*at).as_primitive::<TimestampMicrosecondType>();
                // The first of January 1970 was a Thursday.
                let day = |t: i64| (t.div_euclid(DAY) + 3).rem_euclid(7);
                fill(bits, n, |row| self.local(cells, row).is_some_and(|t| days >> day(t) & 1 == 1));
            }
        }
        Ok(())
    }

    /// The instant of a cell as [`Compiled::shown_at`] has it.
    fn local(&self, cells: &TimestampMicrosecondArray, row: usize) -> Option<i64> {
        if cells.is_null(row) {
            return None;
        }
        self.shown_at(cells.value(row))
    }

    /// What a clock of the rules' zone shows, in microseconds since 1970 as if it stood in UTC; `None` beyond the calendar.
    fn shown_at(&self, micros: i64) -> Option<i64> {
        if self.zone == TimeZone::UTC {
            return Some(micros);
        }
        let offset = self.zone.to_offset(jiff::Timestamp::from_microsecond(micros).ok()?);
        Some(micros + i64::from(offset.seconds()) * 1_000_000)
    }

    fn pair(
        &self,
        inputs: &RecordBatch,
        (left, comparison, right): (usize, Comparison, usize),
        bits: &mut [u64],
        n: usize,
    ) -> Result<()> {
        let (a, b) = (inputs.column(left), inputs.column(right));
        if *a.data_type() == DataType::Utf8 {
            let (a, b) = (a.as_string::<i32>(), b.as_string::<i32>());
            let are_there = |row| a.is_valid(row) && b.is_valid(row);
            fill(bits, n, |row| are_there(row) && comparison.holds(a.value(row), b.value(row)));
            return Ok(());
        }
        let (a, b) = (Numbers::of(a)?, Numbers::of(b)?);
        fill(bits, n, |row| comparison.holds(&a.at(row), &b.at(row)));
        Ok(())
    }

    fn numbers<'a>(&self, source: Source, inputs: &'a RecordBatch, scores: Option<&'a [f64]>) -> Result<Numbers<'a>> {
        match source {
            Source::Score => Ok(Numbers::Scores(scores.unwrap_or_default())),
            Source::Column(at) => Numbers::of(inputs.column(at)),
        }
    }

    fn missing<'a>(
        &self,
        source: Source,
        inputs: &'a RecordBatch,
        scores: Option<&'a [f64]>,
    ) -> Result<impl Fn(usize) -> bool + use<'a>> {
        let column = match source {
            Source::Score => None,
            Source::Column(at) => Some(inputs.column(at)),
        };
        Ok(move |row| match column {
            Some(column) => column.is_null(row),
            None => scores.is_none_or(|s| s[row].is_nan()),
        })
    }
}

/// The cells of a column of numbers or times.
enum Numbers<'a> {
    Whole(&'a Int64Array),
    Real(&'a Float64Array),
    /// With the unit that one of the stored integers stands for.
    Decimal(&'a Decimal128Array, f64),
    /// In microseconds UTC.
    Time(&'a TimestampMicrosecondArray),
    Scores(&'a [f64]),
}

impl<'a> Numbers<'a> {
    fn of(cells: &'a ArrayRef) -> Result<Numbers<'a>> {
        Ok(match cells.data_type() {
            DataType::Int64 => Numbers::Whole(cells.as_primitive::<Int64Type>()),
            DataType::Float64 => Numbers::Real(cells.as_primitive::<Float64Type>()),
            DataType::Decimal128(_, scale) => {
                Numbers::Decimal(cells.as_primitive::<Decimal128Type>(), 10f64.powi(i32::from(*scale)))
            }
            DataType::Timestamp(..) => Numbers::Time(cells.as_primitive::<TimestampMicrosecondType>()),
            other => return Err(Error::data(format!("a rule compares numbers; {other} is none"))),
        })
    }

    /// A cell; NaN is missing.
    fn at(&self, row: usize) -> f64 {
        match self {
            Numbers::Whole(cells) if cells.is_valid(row) => cells.value(row) as f64,
            Numbers::Real(cells) if cells.is_valid(row) => cells.value(row),
            Numbers::Decimal(cells, unit) if cells.is_valid(row) => cells.value(row) as f64 / unit,
            Numbers::Time(cells) if cells.is_valid(row) => cells.value(row) as f64,
            Numbers::Scores(scores) => scores.get(row).copied().unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }
}

/// Sets the bit of each row that passes.
fn fill(bits: &mut [u64], n: usize, passes: impl Fn(usize) -> bool) {
    for (w, word) in bits.iter_mut().enumerate() {
        let first = w * BITS;
        *word = (first..n.min(first + BITS)).fold(0, |word, row| word | u64::from(passes(row)) << (row - first));
    }
}

/// Calls with each row whose bit is set.
fn each_row(bits: &[u64], n: usize, mut with: impl FnMut(usize)) {
    for (w, &word) in bits.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            let row = w * BITS + rest.trailing_zeros() as usize;
            if row >= n {
                break;
            }
            with(row);
            rest &= rest - 1;
        }
    }
}
