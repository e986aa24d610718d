//! What a thread of the pool does with requests.

use super::lanes::{Lanes, Turn, Waiting};
use super::{Answers, Explain, Rows, RowsBuilder, Stages, Wanted};
use crate::models::Loaded;
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use statera::decision::{Decided, Explained};
use statera::policy::Decision;
use statera::rules::Verdict;
use statera::scorer::{RowSource, Scored};
use statera_core::{Error, Result};
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Synthetic rows by which a bundle is warmed, and those of them that are explained: attributions of large networks take
/// long.
const N_WARM: usize = 64;
const N_WARM_EXPLAINED: usize = 2;

/// A request's part of a batch.
struct Span {
    rows: Range<usize>,
    wanted: Wanted,
}

/// Serves turns until the pool is closed and nothing is left.
pub(super) fn work(lanes: &Lanes) {
    // What the scorer would spread over a pool's threads stays on this one: others score other requests meanwhile, and
    // handing a small batch to another thread costs more than to score it.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    if let Err(e) = &alone {
        tracing::warn!(error = %e, "scoring is spread over the threads of the whole process");
    }
    while let Some(turn) = lanes.take() {
        let served = catch_unwind(AssertUnwindSafe(|| serve(lanes, turn)));
        if served.is_err() {
            // Who waits is told by the callback that is gone; the thread goes on.
            tracing::error!("scoring panicked; its requests are answered with an error");
        }
    }
}

/// Serves one turn.
pub(super) fn serve(lanes: &Lanes, turn: Turn) {
    match turn {
        Turn::Small(all) => together(all),
        Turn::Slice(waiting) => slice(lanes, waiting),
    }
}

/// Scores rows on this thread, outside the pool.
///
/// # Errors
/// As a request's.
pub fn score_alone(model: &Loaded, rows: &Rows, wanted: Wanted) -> Result<Answers> {
    let (batch, ignored, parse) = read(model, rows, 0..rows.len(), wanted)?;
    let mut answers = score(model, &batch, &[Span { rows: 0..rows.len(), wanted }], 0)?.remove(0);
    answers.ignored = ignored;
    answers.stages.parse = parse;
    Ok(answers)
}

/// Scores and explains synthetic rows by the way of requests, so that nothing is made at the first of them.
///
/// # Errors
/// Rows that cannot be scored: the bundle is damaged.
pub fn warm(model: &Loaded) -> Result<()> {
    let bundle = &model.bundle;
    let batch = bundle.reference.draw(model.columns.inputs(), N_WARM, bundle.manifest.seed)?;
    let explained = Span { rows: 0..N_WARM_EXPLAINED, wanted: Wanted::Decisions(Explain::All) };
    let scored = Span { rows: N_WARM_EXPLAINED..N_WARM, wanted: Wanted::Scores };
    score(model, &batch, &[explained, scored], 0).map(drop)
}

/// Scores requests for one model as one batch.
fn together(all: Vec<Waiting>) {
    let now = Instant::now();
    let (mut json, mut others) = (Vec::with_capacity(all.len()), Vec::new());
    for waiting in all {
        if is_late(&waiting, now) {
            tell(waiting, Err(late()), now);
        } else if matches!(waiting.job.rows, Rows::Json { .. }) {
            json.push(waiting);
        } else {
            others.push(waiting);
        }
    }
    if others.len() > 1 {
        others = score_columns(others, now);
    }
    for waiting in others {
        let answers = score_alone(&waiting.job.model, &waiting.job.rows, waiting.job.wanted);
        tell(waiting, answers, now);
    }
    // Rows that rules are asked about have more columns.
    let (ruled, plain): (Vec<Waiting>, Vec<Waiting>) = json.into_iter().partition(is_ruled);
    for alike in [plain, ruled] {
        if !alike.is_empty() {
            score_json(alike, now);
        }
    }
}

/// True if the rules beside the model are asked.
fn is_ruled(waiting: &Waiting) -> bool {
    matches!(waiting.job.wanted, Wanted::Ruled(_))
}

/// Scores together the requests whose rows have the columns of the first; gives back the others.
fn score_columns(all: Vec<Waiting>, now: Instant) -> Vec<Waiting> {
    let (model, mut schema) = (all[0].job.model.clone(), None);
    let (mut batches, mut read, mut others) =
        (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()), Vec::new());
    let mut start = 0;
    for waiting in all {
        let Rows::Columns(batch) = &waiting.job.rows else { continue };
        if *schema.get_or_insert_with(|| batch.schema()) != batch.schema() {
            others.push(waiting);
            continue;
        }
        let end = start + batch.num_rows();
        batches.push(batch.clone());
        let span = Span { rows: start..end, wanted: waiting.job.wanted };
        read.push((waiting, span, BTreeSet::new()));
        start = end;
    }
    let whole = schema.map(|schema| concat_batches(&schema, &batches));
    match whole {
        Some(Ok(batch)) => score_read(&model, &batch, read, now),
        // Each of them alone may still be scored.
        _ => others.extend(read.into_iter().map(|(waiting, ..)| waiting)),
    }
    others
}

fn score_json(all: Vec<Waiting>, now: Instant) {
    let model = all[0].job.model.clone();
    let n_rows = all.iter().map(|w| w.job.rows.len()).sum();
    let mut rows = match RowsBuilder::new(model.asked(all[0].job.wanted), n_rows) {
        Ok(rows) => rows,
        Err(e) => return all.into_iter().for_each(|w| tell(w, Err(e.clone()), now)),
    };
    let mut read: Vec<(Waiting, Span, BTreeSet<String>)> = Vec::with_capacity(all.len());
    for waiting in all {
        let start = rows.n_rows();
        match push(&mut rows, &waiting.job.rows, 0..waiting.job.rows.len()) {
            Ok(()) => {
                let span = Span { rows: start..rows.n_rows(), wanted: waiting.job.wanted };
                read.push((waiting, span, rows.take_ignored()));
            }
            Err(e) => {
                rows.truncate(start);
                rows.take_ignored();
                tell(waiting, Err(e), now);
            }
        }
    }
    let batch = match rows.finish() {
        Ok(batch) => batch,
        Err(e) => return read.into_iter().for_each(|(w, ..)| tell(w, Err(e.clone()), now)),
    };
    score_read(&model, &batch, read, now);
}

/// Scores requests whose rows are one batch.
fn score_read(model: &Loaded, batch: &RecordBatch, read: Vec<(Waiting, Span, BTreeSet<String>)>, now: Instant) {
    let parse = now.elapsed();
    let (spans, told): (Vec<Span>, Vec<(Waiting, BTreeSet<String>)>) =
        read.into_iter().map(|(waiting, span, ignored)| (span, (waiting, ignored))).unzip();
    let scored: Vec<Result<Answers>> = match score(model, batch, &spans, 0) {
        Ok(all) => all.into_iter().map(Ok).collect(),
        Err(e) if spans.len() == 1 => vec![Err(e)],
        // Somebody's row cannot be scored: everybody alone, so that only they are told.
        Err(_) => spans.iter().map(|span| score_span(model, batch, span)).collect(),
    };
    for ((waiting, ignored), scored) in told.into_iter().zip(scored) {
        let answers = scored.map(|mut answers| {
            answers.ignored = ignored;
            answers.stages.parse = parse;
            answers
        });
        tell(waiting, answers, now);
    }
}

fn score_span(model: &Loaded, batch: &RecordBatch, span: &Span) -> Result<Answers> {
    let batch = batch.slice(span.rows.start, span.rows.len());
    let alone = Span { rows: 0..span.rows.len(), wanted: span.wanted };
    Ok(score(model, &batch, &[alone], 0)?.remove(0))
}

/// Scores the next rows of a large request.
fn slice(lanes: &Lanes, mut waiting: Box<Waiting>) {
    let now = Instant::now();
    if is_late(&waiting, now) {
        return tell(*waiting, Err(late()), now);
    }
    let first = waiting.done_rows;
    let end = waiting.job.rows.len().min(first + waiting.slice_rows());
    let wanted = waiting.job.wanted;
    let scored = read(&waiting.job.model, &waiting.job.rows, first..end, wanted).and_then(|(batch, ignored, parse)| {
        let span = Span { rows: 0..end - first, wanted };
        let mut answers = score(&waiting.job.model, &batch, &[span], first)?.remove(0);
        answers.ignored = ignored;
        answers.stages.parse = parse;
        answers.stages.queue = now - waiting.since;
        Ok(answers)
    });
    let more = match scored {
        Ok(more) => more,
        Err(e) => return tell(*waiting, Err(e), now),
    };
    let answers = match waiting.answers.take() {
        None => more,
        Some(mut answers) => {
            answers.extend(more);
            answers
        }
    };
    waiting.done_rows = end;
    if end == waiting.job.rows.len() {
        (waiting.job.done)(Ok(answers));
    } else {
        waiting.answers = Some(answers);
        lanes.push_rest(waiting);
    }
}

fn is_late(waiting: &Waiting, now: Instant) -> bool {
    waiting.job.deadline.is_some_and(|deadline| deadline <= now)
}

fn late() -> Error {
    Error::busy("the request's deadline passed before it was scored")
}

fn tell(waiting: Waiting, mut answers: Result<Answers>, taken: Instant) {
    if let Ok(answers) = &mut answers {
        answers.stages.queue = taken.saturating_duration_since(waiting.since);
    }
    (waiting.job.done)(answers);
}

/// Rows as columns, with the names of those that nobody reads, and how long it took.
fn read(
    model: &Loaded,
    rows: &Rows,
    which: Range<usize>,
    wanted: Wanted,
) -> Result<(RecordBatch, BTreeSet<String>, Duration)> {
    let started = Instant::now();
    if let Rows::Columns(batch) = rows {
        return Ok((batch.slice(which.start, which.len()), BTreeSet::new(), started.elapsed()));
    }
    let mut builder = RowsBuilder::new(model.asked(wanted), which.len())?;
    push(&mut builder, rows, which)?;
    let ignored = builder.take_ignored();
    Ok((builder.finish()?, ignored, started.elapsed()))
}

fn push(builder: &mut RowsBuilder<'_>, rows: &Rows, which: Range<usize>) -> Result<()> {
    let Rows::Json { body, rows } = rows else { return Ok(()) };
    for number in which {
        let text = std::str::from_utf8(&body[rows[number].clone()]);
        let text = text.map_err(|_| Error::data(format!("row {}: not UTF-8", number + 1)))?;
        builder.push(text, number + 1)?;
    }
    Ok(())
}

/// The one way from rows in columns to answers; `first_row` counts the rows before, for messages.
fn score(model: &Loaded, batch: &RecordBatch, spans: &[Span], first_row: usize) -> Result<Vec<Answers>> {
    let started = Instant::now();
    let source = RowSource { is_text: true, first_row };
    let scored = model.bundle.scorer.score_rows(batch, source.is_text, source.first_row)?;
    let score = started.elapsed();
    let (decided, explained) = decide(model, batch, spans, &scored, source)?;
    let verdicts = rule(model, batch, spans, &scored, source)?;
    let stages = Stages { score, explain: started.elapsed() - score, ..Stages::default() };
    let mut all = split(spans, &scored, decided, &explained, stages);
    if let Some(verdicts) = verdicts {
        for (answers, span) in all.iter_mut().zip(spans).filter(|(_, span)| matches!(span.wanted, Wanted::Ruled(_))) {
            answers.verdicts = Some(verdicts[span.rows.clone()].to_vec());
        }
    }
    Ok(all)
}

/// Asks the rules beside the model, as far as requests ask for them: the one way to them, of decisions, transactions and replays.
fn rule(
    model: &Loaded,
    batch: &RecordBatch,
    spans: &[Span],
    scored: &Scored,
    source: RowSource,
) -> Result<Option<Vec<Verdict>>> {
    if !spans.iter().any(|span| matches!(span.wanted, Wanted::Ruled(_))) {
        return Ok(None);
    }
    let rules = model.rules.as_ref();
    rules.map(|rules| rules.ruling.verdicts(batch, &scored.probabilities, source)).transpose()
}

/// Decides and explains, as far as requests ask for it.
fn decide(
    model: &Loaded,
    batch: &RecordBatch,
    spans: &[Span],
    scored: &Scored,
    source: RowSource,
) -> Result<(Option<Vec<Decided>>, Explained)> {
    let nothing = (None, Explained::default());
    if spans.iter().all(|span| span.wanted == Wanted::Scores) {
        return Ok(nothing);
    }
    let wanted = |row: usize| {
        let at = spans.partition_point(|span| span.rows.end <= row);
        spans.get(at).and_then(|span| span.wanted.explain())
    };
    let is_explained = |row, decision| match wanted(row) {
        Some(Explain::All) => true,
        Some(Explain::Adverse) => decision != Decision::Approve,
        Some(Explain::None) | None => false,
    };
    let scorer = &model.bundle.scorer;
    let decided = model.bundle.deciding.decide_explained(scorer, batch, scored, source, is_explained)?;
    if let Some((decided, explained)) = decided {
        return Ok((Some(decided), explained));
    }
    // Without a policy nothing is adverse, and contributions to several classes are no reasons.
    let rows: Vec<usize> = (0..batch.num_rows()).collect();
    if scored.n_outputs != 1 || !rows.iter().any(|&row| wanted(row) == Some(Explain::All)) {
        return Ok(nothing);
    }
    Ok((None, Explained { parts: scorer.attribute_rows(batch, source)?, rows }))
}

/// Gives every request its own.
fn split(
    spans: &[Span],
    scored: &Scored,
    decided: Option<Vec<Decided>>,
    explained: &Explained,
    stages: Stages,
) -> Vec<Answers> {
    let k = scored.n_outputs;
    let mut decided = decided.map(Vec::into_iter);
    let mut explained_rows = explained.rows.iter().enumerate().peekable();
    let mut all = Vec::with_capacity(spans.len());
    for span in spans {
        let values = span.rows.start * k..span.rows.end * k;
        let own: Option<Vec<Decided>> = decided.as_mut().map(|decided| decided.take(span.rows.len()).collect());
        let mut contributions = Vec::new();
        while let Some((at, &row)) = explained_rows.next_if(|(_, row)| **row < span.rows.end) {
            if span.wanted != Wanted::Scores {
                contributions.push((row - span.rows.start, explained.parts.of(at, 0).to_vec()));
            }
        }
        all.push(Answers {
            n_outputs: k,
            margins: scored.margins[values.clone()].to_vec(),
            probabilities: scored.probabilities[values].to_vec(),
            decided: own.filter(|_| span.wanted != Wanted::Scores),
            contributions,
            verdicts: None,
            ignored: BTreeSet::new(),
            stages,
        });
    }
    all
}
