//! Flags that say how a table is read.

use crate::args::Reading;
use statera_core::{Error, Kind, Result, Run};
use statera_data::Table;
use statera_data::infer::TextFormat;
use statera_data::sink::Encoding;
use statera_data::source::{self, ReadFacts, ReadOptions};
use std::collections::BTreeMap;

/// The flags as options.
///
/// # Errors
/// A flag that is not of the form `COL=KIND`.
pub fn options(reading: &Reading) -> Result<ReadOptions> {
    let mut types = BTreeMap::new();
    for flag in &reading.types {
        let (column, kind) =
            flag.rsplit_once('=').and_then(|(column, kind)| Some((column, Kind::parse(kind)?))).ok_or_else(|| {
                let kinds: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
                Error::request(format!("--types {flag}: allowed is COL=KIND with one of {}", kinds.join(", ")))
            })?;
        types.insert(column.to_string(), kind);
    }
    Ok(ReadOptions { types, tz: reading.tz.clone() })
}

/// The encoding that a flag names.
pub fn encoding(name: &str) -> Result<Encoding> {
    Encoding::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Encoding::ALL.iter().map(|e| e.name()).collect();
        Error::request(format!("--encoding {name}: allowed are {}", names.join(", ")))
    })
}

/// Reads a table, with what was detected about it.
pub fn table(address: &str, options: &ReadOptions, run: &Run) -> Result<(Table, ReadFacts)> {
    run.progress.start("Reading", 0);
    let read = source::read_table_with_facts(address, options, run);
    run.progress.finish();
    read
}

/// How the text cells of each column were written.
pub fn formats(facts: &ReadFacts) -> BTreeMap<String, TextFormat> {
    facts.columns.iter().map(|c| (c.name.clone(), c.format.clone())).collect()
}
