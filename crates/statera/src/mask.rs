//! Masking a table of any length by a policy, or undoing it; and the risk of re-identification before and after.
//!
//! The output appears whole or not at all: of a masked or unmasked table nothing stays behind when a cell is refused or the
//! work is interrupted, so that no half of it can be mistaken for the whole.

use crate::batch::refuse_own_input;
use crate::file::{Partial, check_place};
use arrow_array::{ArrayRef, RecordBatch};
use serde::Serialize;
use statera_core::{Error, Result, Run};
use statera_data::mask::risk::{Risk, RiskMeter};
use statera_data::mask::{Key, Masker, Policy, RiskColumns};
use statera_data::sink::{self, Encoding, Sink, SinkOptions};
use statera_data::source::{self, BatchReader, ReadOptions};
use statera_data::time::Zone;
use std::path::{Path, PathBuf};

/// Where a masked table goes and how.
#[derive(Debug, Clone, Default)]
pub struct MaskOptions {
    /// The output; `None` writes nothing and measures the risk.
    pub out: Option<String>,
    /// The key file; needed where a method needs a key and something is written.
    pub key_file: Option<PathBuf>,
    /// True undoes the mask.
    pub is_inverse: bool,
    /// Characters of a CSV file.
    pub encoding: Encoding,
    /// True replaces a finished file of the output's name.
    pub replace: bool,
    /// True adds to a database table that holds rows already.
    pub append: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskSummary {
    /// Rows.
    pub n_rows: u64,
    /// What happened to each column, in the table's order.
    pub columns: Vec<MaskedColumn>,
    /// The risk before the mask and after it; `None` where the policy declares no quasi-identifiers, or a mask is undone.
    pub risk: Option<RiskChange>,
}

/// A column and its method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskedColumn {
    /// Its name.
    pub name: String,
    /// The method's name.
    pub method: &'static str,
}

/// The risk before and after.
///
/// After masking, columns that were dropped or encrypted single nobody out and do not count as quasi-identifiers; sensitive
/// columns are those of before, because what is learnt of a person is the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiskChange {
    /// Of the table as it is.
    pub before: Risk,
    /// Of the masked table.
    pub after: Risk,
}

/// Masks every row of `address`, or undoes it.
///
/// # Errors
/// A policy that does not fit the table or the key, cells that a method refuses (row and column, never the cell), and what
/// reading and writing refuse; nothing is left of the output then.
pub fn mask(
    policy: &Policy,
    address: &str,
    read: &ReadOptions,
    options: &MaskOptions,
    run: &Run,
) -> Result<MaskSummary> {
    let key = key_of(policy, options)?;
    if let Some(out) = &options.out {
        check_output(address, out, options)?;
    } else if options.is_inverse {
        return Err(Error::request("--inverse writes a table; name it with --out"));
    } else if policy.risk().is_none() {
        return Err(Error::request(format!(
            "{}: without --out the risk is measured, and [risk] quasi_identifiers is missing",
            policy.path()
        )));
    }
    let zone = Zone::new(read.tz.as_deref())?;
    let mut reader = source::open(address, read)?;
    run.progress.start(if options.is_inverse { "Unmasking" } else { "Masking" }, 0);
    let mut started = None;
    let done = rows(policy, (&key, &zone), address, &mut *reader, options, run, &mut started);
    run.progress.finish();
    let has_rows_in_table = started.is_some_and(|one: Started| one.output.is_some_and(|output| output.is_table));
    done.map_err(|e| if has_rows_in_table { left_in_table(&e) } else { e })
}

/// Files are whole or not there; what a database has taken stays.
fn left_in_table(e: &Error) -> Error {
    let message = match e.is_cancelled() {
        true => "interrupted; delete the rows that are already in the table; then the same command starts over".into(),
        false => format!("{e}; rows before may already be in the table: delete them before the next try"),
    };
    if e.is_cancelled() { Error::interrupted(message) } else { Error::data(message) }
}

/// The key that the methods get: the file's, or where nothing is written one of the moment, by which the same cells are equal.
fn key_of(policy: &Policy, options: &MaskOptions) -> Result<Key> {
    match (&options.key_file, &options.out) {
        (Some(file), _) => {
            let key = Key::read(file)?;
            if policy.needs_key() {
                policy.check_key(&key, &file.display().to_string(), options.is_inverse)?;
            }
            Ok(key)
        }
        (None, Some(_)) if policy.needs_key() => Err(Error::request(format!(
            "{}: a method needs a key; name its file with --key-file (`statera mask --new-key FILE` makes one)",
            policy.path()
        ))),
        _ => Key::random(),
    }
}

fn check_output(address: &str, out: &str, options: &MaskOptions) -> Result<()> {
    refuse_own_input(address, out)?;
    if options.append && !out.contains("://") {
        return Err(Error::request(format!("--append adds to a database table; {out} is a file")));
    }
    if options.encoding == Encoding::Cp949 {
        // A character that CP949 lacks could be named only by showing what is in the cell.
        return Err(Error::request("--encoding cp949: a mask writes utf-8-bom or utf-8"));
    }
    if !out.contains("://") && !Path::new(out).is_dir() {
        check_place(Path::new(out))?;
    }
    Ok(())
}

/// An output being written; what is unfinished of it goes when it is dropped, or when the process must end at once.
struct Output {
    sink: Box<dyn Sink>,
    unfinished: Vec<Partial>,
    /// True for a table of a database, which keeps the rows that it has taken.
    is_table: bool,
}

impl Output {
    fn open(out: &str, masker: &Masker, options: &MaskOptions) -> Result<Output> {
        let sink_options = SinkOptions {
            encoding: options.encoding,
            resume: false,
            fingerprint: "mask".into(),
            replace: options.replace,
            append: options.append,
            ..SinkOptions::default()
        };
        let sink = sink::open(out, masker.schema(), &sink_options)?;
        // Only now, because what a sink refuses to touch is another run's.
        let is_file = !out.contains("://");
        let beside = |end| Partial::at(format!("{out}{end}").into(), false);
        let unfinished = if is_file { [".partial", ".journal"].map(beside).into() } else { Vec::new() };
        Ok(Output { sink, unfinished, is_table: !is_file })
    }

    fn finish(self) -> Result<()> {
        let Output { sink, mut unfinished, .. } = self;
        match unfinished.pop() {
            Some(last) => last.publish(|_| sink.finish()),
            None => sink.finish(),
        }
    }
}

fn rows(
    policy: &Policy,
    (key, zone): (&Key, &Zone),
    address: &str,
    reader: &mut dyn BatchReader,
    options: &MaskOptions,
    run: &Run,
    started: &mut Option<Started>,
) -> Result<MaskSummary> {
    let place = source::label(address);
    let mut n_rows = 0u64;
    while let Some(batch) = reader.next_batch()? {
        run.check()?;
        let one = match started {
            Some(one) => one,
            None => {
                let masker = Masker::new(policy, &batch.schema(), reader.is_text(), key, zone, options.is_inverse)?;
                started.insert(Started::new(policy, masker, &batch, options)?)
            }
        };
        if batch.num_rows() == 0 {
            continue;
        }
        let masked = one.masker.apply(&batch, n_rows).map_err(|e| e.at(&place))?;
        if let Some(meter) = &mut one.meter {
            meter.add(&one.masker, &batch, &masked)?;
        }
        if let Some(out) = &options.out {
            let output = match &mut one.output {
                Some(output) => output,
                // The first rows are masked before an output is begun: a wrong table leaves no trace.
                none => none.insert(Output::open(out, &one.masker, options)?),
            };
            output.sink.write(&masked)?;
        }
        n_rows += batch.num_rows() as u64;
        run.progress.update(n_rows, "rows");
    }
    run.check()?;
    let none = || Error::data(format!("{place}: no rows"));
    let mut one = started.take_if(|_| n_rows > 0).ok_or_else(none)?;
    if let Some(output) = one.output.take() {
        output.finish()?;
    }
    Ok(MaskSummary { n_rows, columns: one.columns, risk: one.meter.map(Meter::finish) })
}

/// What the first batch decides.
struct Started {
    masker: Masker,
    columns: Vec<MaskedColumn>,
    meter: Option<Meter>,
    output: Option<Output>,
}

impl Started {
    fn new(policy: &Policy, masker: Masker, batch: &RecordBatch, options: &MaskOptions) -> Result<Started> {
        let column = |name: &String| MaskedColumn {
            name: name.clone(),
            method: policy.rule(name).map_or("keep", |rule| rule.method.name),
        };
        let columns = batch.schema().fields().iter().map(|f| column(f.name())).collect();
        let meter = policy.risk().filter(|_| !options.is_inverse).map(Meter::new);
        Ok(Started { masker, columns, meter, output: None })
    }
}

/// The risk before and after, row by row.
struct Meter {
    columns: RiskColumns,
    before: RiskMeter,
    after: RiskMeter,
}

impl Meter {
    fn new(columns: &RiskColumns) -> Meter {
        let meter = || RiskMeter::new(columns.sensitive.len());
        Meter { columns: columns.clone(), before: meter(), after: meter() }
    }

    fn add(&mut self, masker: &Masker, raw: &RecordBatch, masked: &RecordBatch) -> Result<()> {
        let column = |batch: &RecordBatch, name: &String| -> Result<ArrayRef> {
            let found = batch.column_by_name(name).cloned();
            found.ok_or_else(|| Error::data(format!("column «{name}» is missing in some of the rows")))
        };
        let texts = |batch: &RecordBatch, names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| Ok(masker.texts(&column(batch, name)?))).collect::<Result<Vec<_>>>()
        };
        let sensitive = texts(raw, &mut self.columns.sensitive.iter())?;
        let known = &self.columns.quasi_identifiers;
        self.before.add(&texts(raw, &mut known.iter())?, &sensitive, raw.num_rows());
        let mut left = known.iter().filter(|name| !masker.tells_nothing(name));
        self.after.add(&texts(masked, &mut left)?, &sensitive, raw.num_rows());
        Ok(())
    }

    fn finish(self) -> RiskChange {
        let of = |meter: &RiskMeter| meter.finish(&self.columns.sensitive);
        RiskChange { before: of(&self.before), after: of(&self.after) }
    }
}
