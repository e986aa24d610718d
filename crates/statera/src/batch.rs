//! Scoring a table of any length in constant memory, every row exactly once, restartable. A table whose windowed features are
//! still to be made is read whole.

use crate::bundle::Bundle;
use crate::decision::Decided;
use crate::network;
use crate::rules::{Fired, RuleSet, Ruling, Verdict};
use crate::scorer::{RowSource, Schema, Scored, Scorer};
use crate::training_set::texts_of;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use statera_core::{Error, ErrorKind, Result, Run, Task};
use statera_data::sink::{self, Encoding, Sink, SinkOptions};
use statera_data::source::{self, BatchReader, ReadOptions};
use statera_learn::calibration::Calibrator;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// How to score a table.
#[derive(Debug, Clone, Default)]
pub struct BatchOptions {
    /// Characters of a CSV file that is written.
    pub encoding: Encoding,
    /// True starts over instead of continuing an interrupted run.
    pub start_over: bool,
    /// True replaces a finished file of the output's name.
    pub replace: bool,
    /// True adds to a database table that holds rows already.
    pub append: bool,
    /// Address of the rows that came before, which windows reach back to; they are not scored.
    pub history: Option<String>,
    /// Address of the edges that the figures of a network are made of.
    pub edges: Option<String>,
    /// True writes what the bundle's autoencoder squeezes each row into beside its score.
    pub code: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct BatchSummary {
    /// Rows in the output.
    pub n_rows: u64,
    /// Of them, rows that an earlier run of the same command had already written.
    pub n_done_before: u64,
    /// Rows whose declared id is missing.
    pub n_without_id: u64,
    /// Columns of the data that the model does not read.
    pub ignored_columns: Vec<String>,
    /// Mean probability of the event (binary) or prediction (regression) over the rows scored now.
    pub mean: Option<f64>,
}

/// Scores every row of `address` and writes the rows' names and scores to `out`.
///
/// # Errors
/// What reading, scoring and writing refuse; an interruption keeps what is written so that the same call continues it.
pub fn score(
    bundle: &Bundle,
    address: &str,
    read: &ReadOptions,
    out: &str,
    options: &BatchOptions,
    run: &Run,
) -> Result<BatchSummary> {
    refuse_own_input(address, out)?;
    if options.code {
        bundle.scorer.encoder()?;
    }
    if options.append && !out.contains("://") {
        return Err(Error::request(format!("--append adds to a database table; {out} is a file")));
    }
    if !out.contains("://") && !Path::new(out).is_dir() {
        crate::file::check_place(Path::new(out))?;
    }
    let (history, edges) = (options.history.as_deref(), options.edges.as_deref());
    let mut reader = network::open(bundle, address, network::Beside { history, edges }, read, run)?;
    let sink_options = SinkOptions {
        encoding: options.encoding,
        resume: is_same_again(address) && !options.start_over,
        fingerprint: fingerprint(bundle, [Some(address), history, edges], options.code)?,
        replace: options.replace,
        append: options.append,
        ..SinkOptions::default()
    };
    let mut sink = None;
    let scored = score_rows(bundle, (address, out), &mut *reader, &sink_options, options.code, &mut sink, run);
    let is_of_data = |e: &Error| matches!(e.kind(), ErrorKind::Data | ErrorKind::Request);
    if sink.is_some() && scored.as_ref().is_err_and(is_of_data) {
        // The table must change before it can be scored, and then it is another one: nothing is left to continue. What a sink
        // refused to touch is another run's, and stays.
        sink::discard(out);
    }
    drop(sink);
    scored
}

fn score_rows(
    bundle: &Bundle,
    (address, out): (&str, &str),
    reader: &mut dyn BatchReader,
    sink_options: &SinkOptions,
    code: bool,
    sink: &mut Option<Box<dyn Sink>>,
    run: &Run,
) -> Result<BatchSummary> {
    let (schema, place) = (bundle.scorer.schema(), source::label(address));
    let ruling = bundle.ruling()?;
    let mut summary = BatchSummary::default();
    let (mut seen, mut sum, mut scored_now) = (0u64, 0.0, 0u64);
    run.progress.start("Scoring", 0);
    while let Some(batch) = reader.next_batch()? {
        if run.check().is_err() {
            let left = after_interruption(address, out);
            return Err(Error::interrupted(format!("interrupted after {seen} rows; {left}")));
        }
        if batch.num_rows() == 0 {
            continue;
        }
        let sink = match sink {
            Some(sink) => sink,
            None => {
                // The first batch is checked before an output is begun: a wrong table leaves no trace.
                let first = batch.slice(0, batch.num_rows().min(1));
                bundle.scorer.score_rows(&first, reader.is_text(), 0).map_err(|e| e.at(&place))?;
                summary.ignored_columns = ignored(&batch, bundle, ruling.as_ref());
                let opened = sink::open(out, &output_schema(bundle, &batch, code), sink_options)?;
                summary.n_done_before = opened.rows_done();
                sink.insert(opened)
            }
        };
        let first = seen;
        seen += batch.num_rows() as u64;
        if seen <= summary.n_done_before {
            continue;
        }
        let skip = summary.n_done_before.saturating_sub(first) as usize;
        let rest = batch.slice(skip, batch.num_rows() - skip);
        let first = first + skip as u64;
        let scored = bundle.scorer.score_rows(&rest, reader.is_text(), first as usize).map_err(|e| e.at(&place))?;
        let ids = id_name(schema, &rest).and_then(|id| rest.column_by_name(id));
        summary.n_without_id +=
            ids.map_or(0, |ids| texts_of(ids).iter().filter(|id| is_blank(id.as_deref())).count()) as u64;
        sum += scored.probabilities.iter().step_by(scored.n_outputs).sum::<f64>();
        scored_now += rest.num_rows() as u64;
        let source = RowSource { is_text: reader.is_text(), first_row: first as usize };
        let more = More::of(bundle, ruling.as_ref(), (&rest, source), &scored, code).map_err(|e| e.at(&place))?;
        sink.write(&output(bundle, &rest, &scored, &more, first)?)?;
        run.progress.update(seen, "rows");
    }
    run.progress.finish();
    if seen < summary.n_done_before {
        return Err(Error::data(format!(
            "{place} has {seen} rows, but {} are already written; it is not the table that was scored before: start over \
             with --start-over",
            summary.n_done_before
        )));
    }
    sink.take().ok_or_else(|| Error::data(format!("{place}: no rows")))?.finish()?;
    summary.n_rows = seen;
    summary.mean = (schema.task.n_outputs() == 1 && scored_now > 0).then(|| sum / scored_now as f64);
    Ok(summary)
}

/// What comes through a pipe or from a database cannot be recognised as the same rows: an interrupted run starts over.
fn is_same_again(address: &str) -> bool {
    !source::files_of(address).is_empty()
}

/// What an interrupted run leaves in `out`, and what the same command does about it.
pub fn after_interruption(address: &str, out: &str) -> &'static str {
    if is_same_again(address) {
        "the same command, without --start-over, continues after the rows that are safely written"
    } else if out.contains("://") {
        "delete the rows that are already in the table; then the same command starts over"
    } else {
        "the same command starts over"
    }
}

/// The table that is read is not written over.
pub(crate) fn refuse_own_input(address: &str, out: &str) -> Result<()> {
    let Ok(out_file) = std::fs::canonicalize(out) else { return Ok(()) };
    let is_input = |file: &std::path::PathBuf| std::fs::canonicalize(file).is_ok_and(|f| f == out_file);
    if source::files_of(address).iter().any(is_input) {
        return Err(Error::request(format!("{out} is the table that is read; name another file with --out")));
    }
    Ok(())
}

/// What a run must agree on with the one it continues: the model, and every file's length, time of change, beginning and end.
fn fingerprint(bundle: &Bundle, addresses: [Option<&str>; 3], code: bool) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    if code {
        hasher.update(b"code");
    }
    hasher.update(bundle.digest()?.as_bytes());
    for address in addresses.iter().flatten() {
        hasher.update(address.as_bytes());
    }
    for file in addresses.into_iter().flatten().flat_map(source::files_of) {
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", file.display()));
        let mut opened = File::open(&file).map_err(place)?;
        let meta = opened.metadata().map_err(place)?;
        let changed =
            meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        hasher.update(&meta.len().to_le_bytes());
        hasher.update(&changed.as_nanos().to_le_bytes());
        let mut part = vec![0; 65_536.min(meta.len() as usize)];
        opened.read_exact(&mut part).map_err(place)?;
        hasher.update(&part);
        opened.seek(SeekFrom::End(-(part.len() as i64))).map_err(place)?;
        opened.read_exact(&mut part).map_err(place)?;
        hasher.update(&part);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn ignored(batch: &RecordBatch, bundle: &Bundle, ruling: Option<&Ruling>) -> Vec<String> {
    let schema = bundle.scorer.schema();
    let windows = bundle.windows.iter().flat_map(|own| own.inputs.iter());
    let windows = windows.chain(bundle.network.iter().flat_map(|own| own.inputs.iter()));
    let rules = ruling.into_iter().flat_map(|ruling| ruling.compiled.inputs.iter());
    let inputs = schema.inputs.iter().chain(windows).chain(rules).map(|i| i.name.as_str());
    let used: BTreeSet<&str> = inputs.chain(schema.id.as_deref()).collect();
    batch.schema().fields().iter().map(|f| f.name().clone()).filter(|n| !used.contains(n.as_str())).collect()
}

/// The row's name: the declared id if the data have it, else its number.
fn id_name<'a>(schema: &'a Schema, batch: &RecordBatch) -> Option<&'a str> {
    schema.id.as_deref().filter(|id| batch.column_by_name(id).is_some())
}

/// Text sources have an empty cell where others have none.
fn is_blank(id: Option<&str>) -> bool {
    id.is_none_or(|id| id.trim().is_empty())
}

/// Segments by distance have no probabilities: what stands in their place would mislead.
fn has_probabilities(scorer: &Scorer) -> bool {
    !scorer.schema().target.is_empty() || !matches!(scorer.calibrator(), Calibrator::Identity {})
}

fn output_schema(bundle: &Bundle, batch: &RecordBatch, code: bool) -> SchemaRef {
    let (scorer, schema) = (&bundle.scorer, bundle.scorer.schema());
    let mut fields = vec![match id_name(schema, batch) {
        Some(id) => Field::new(id, DataType::Utf8, true),
        None => Field::new("row", DataType::Int64, false),
    }];
    match schema.task {
        Task::Binary => fields.push(Field::new("probability", DataType::Float64, false)),
        Task::Regression => fields.push(Field::new("prediction", DataType::Float64, false)),
        Task::Classes(_) => {
            let class = if schema.target.is_empty() { "segment" } else { "class" };
            fields.push(Field::new(class, DataType::Utf8, false));
            if has_probabilities(scorer) {
                let probability = |c: &String| Field::new(format!("probability_{c}"), DataType::Float64, false);
                fields.extend(schema.classes.iter().map(probability));
            }
        }
    }
    if let Some((policy, _)) = &bundle.deciding.policy {
        if !policy.read.grade.is_empty() {
            fields.push(Field::new("grade", DataType::Utf8, true));
        }
        fields.push(Field::new("decision", DataType::Utf8, false));
        fields.extend((1..=n_reasons(bundle)).map(|i| Field::new(format!("reason_{i}"), DataType::Utf8, true)));
    }
    if bundle.deciding.decision_rules.is_some() {
        let names = ["action", "rule", "rules", "rules_in_shadow"];
        fields.extend(names.map(|name| Field::new(name, DataType::Utf8, name != "action")));
    }
    if let (true, Ok((_, encoder))) = (code, scorer.encoder()) {
        fields.extend((1..=encoder.n_codes()).map(|j| Field::new(format!("code_{j}"), DataType::Float64, false)));
    }
    Arc::new(ArrowSchema::new(fields))
}

/// What is done with each row, the code of the rule that decides it, and the codes of those that hold, by whether they act.
fn rule_columns(set: &RuleSet, ruled: &[Verdict]) -> [ArrayRef; 4] {
    let active = set.active();
    let texts =
        |f: &dyn Fn(&Verdict) -> Option<String>| -> ArrayRef { Arc::new(StringArray::from_iter(ruled.iter().map(f))) };
    let codes = |fired: Fired| Some(set.codes(fired).join(";")).filter(|codes| !codes.is_empty());
    [
        texts(&|v| Some(v.action.name().into())),
        texts(&|v| v.deciding.and_then(|rule| set.rules.get(usize::from(rule))).map(|r| r.code.clone())),
        texts(&|v| codes(v.fired.and(active))),
        texts(&|v| codes(v.fired.without(active))),
    ]
}

/// Reasons that a row gets at most.
fn n_reasons(bundle: &Bundle) -> usize {
    bundle.deciding.reasons.as_ref().map_or(0, |own| own.read.max_reasons)
}

/// What stands beside scores.
struct More {
    /// n × d numbers, or none.
    codes: Vec<f32>,
    decided: Option<Vec<Decided>>,
    ruled: Option<Vec<Verdict>>,
}

impl More {
    fn of(
        bundle: &Bundle,
        ruling: Option<&Ruling>,
        (batch, source): (&RecordBatch, RowSource),
        scored: &Scored,
        code: bool,
    ) -> Result<More> {
        let scorer = &bundle.scorer;
        let codes = if code { scorer.codes(batch, source.is_text, source.first_row)? } else { Vec::new() };
        let decided = bundle.deciding.decide(scorer, batch, scored, source)?;
        let ruled = ruling.map(|r| r.verdicts(batch, &scored.probabilities, source)).transpose()?;
        Ok(More { codes, decided, ruled })
    }
}

fn output(
    bundle: &Bundle,
    batch: &RecordBatch,
    scored: &Scored,
    More { codes, decided, ruled }: &More,
    first: u64,
) -> Result<RecordBatch> {
    let scorer = &bundle.scorer;
    let (schema, values) = (scorer.schema(), &scored.probabilities);
    let id: ArrayRef = match id_name(schema, batch).and_then(|id| batch.column_by_name(id)) {
        Some(column) => Arc::new(StringArray::from(texts_of(column))),
        None => {
            let numbers = (0..batch.num_rows()).map(|row| (first + row as u64 + 1) as i64);
            Arc::new(Int64Array::from_iter_values(numbers))
        }
    };
    let n_outputs = schema.task.n_outputs();
    let mut arrays = vec![id];
    if let Task::Classes(_) = schema.task {
        let likeliest = |row: &[f64]| {
            let best = (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            schema.classes[best].as_str()
        };
        // Margins are in the order of the probabilities, and differ where those have rounded to the same.
        arrays.push(Arc::new(StringArray::from_iter_values(scored.margins.chunks_exact(n_outputs).map(likeliest))));
    }
    for output in (0..n_outputs).filter(|_| has_probabilities(scorer)) {
        let column = values.iter().skip(output).step_by(n_outputs).copied();
        arrays.push(Arc::new(Float64Array::from_iter_values(column)));
    }
    if let (Some(decided), Some((policy, _))) = (decided, &bundle.deciding.policy) {
        let texts = |f: &dyn Fn(&Decided) -> Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(decided.iter().map(f)))
        };
        if !policy.read.grade.is_empty() {
            arrays.push(texts(&|d| d.grade.clone()));
        }
        arrays.push(texts(&|d| Some(d.decision.name().into())));
        arrays.extend((0..n_reasons(bundle)).map(|i| texts(&|d| d.reasons.get(i).cloned())));
    }
    if let (Some(ruled), Some(rules)) = (ruled, &bundle.deciding.decision_rules) {
        arrays.extend(rule_columns(&rules.read, ruled));
    }
    let n_codes = codes.len().checked_div(batch.num_rows()).unwrap_or(0);
    for j in 0..n_codes {
        let column = codes.iter().skip(j).step_by(n_codes).map(|&c| f64::from(c));
        arrays.push(Arc::new(Float64Array::from_iter_values(column)));
    }
    RecordBatch::try_new(output_schema(bundle, batch, !codes.is_empty()), arrays)
        .map_err(|e| Error::data(e.to_string()))
}
