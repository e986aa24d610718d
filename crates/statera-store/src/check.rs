//! What is refused before it can wait for the writer, so that no record harms those of its group.

use crate::record::NewRecord;
use serde_json::value::RawValue;
use statera_core::{Error, Result};

/// Parts of a record at most, bytes of a part, of all parts, and of facts.
const PARTS_MAX: usize = 100_000;
const PART_MAX: usize = 64 << 20;
const RECORD_MAX: usize = 256 << 20;
const FACTS_MAX: usize = 1 << 20;
/// Characters of a request's name and of its scope at most.
const NAME_MAX: usize = 128;
/// Bytes of a subject's name at most.
const SUBJECT_MAX: usize = 1024;

/// Refuses a record that cannot be kept.
pub(crate) fn record(record: &NewRecord) -> Result<()> {
    let facts = &record.facts;
    if facts.len() > FACTS_MAX {
        return Err(Error::request(format!("the facts have {} bytes; allowed are {FACTS_MAX}", facts.len())));
    }
    // They stand in the ledger's line as they are.
    let is_json = serde_json::from_str::<&RawValue>(facts).is_ok() && !facts.contains(['\n', '\r']);
    if !is_json {
        return Err(Error::request("the facts are not one line of JSON"));
    }
    if record.parts.len() > PARTS_MAX {
        let n = record.parts.len();
        return Err(Error::request(format!("the record has {n} parts; allowed are {PARTS_MAX}")));
    }
    if let Some(part) = record.parts.iter().find(|p| p.plain.len() > PART_MAX) {
        return Err(Error::request(format!("a part has {} bytes; allowed are {PART_MAX}", part.plain.len())));
    }
    let n_bytes: usize = record.parts.iter().map(|p| p.plain.len()).sum();
    if n_bytes > RECORD_MAX {
        return Err(Error::request(format!("the parts have {n_bytes} bytes; allowed are {RECORD_MAX}")));
    }
    if record.parts.iter().any(|p| p.subject.len() > SUBJECT_MAX) {
        return Err(Error::request(format!(
            "the name of a subject is longer than the {SUBJECT_MAX} bytes that are allowed"
        )));
    }
    if let Some(request) = &record.request {
        for (what, name) in [("scope", &request.scope), ("name", &request.name)] {
            let n = name.chars().count();
            if !(1..=NAME_MAX).contains(&n) || name.chars().any(char::is_control) {
                return Err(Error::request(format!(
                    "the {what} of a request has {n} characters; allowed are 1 to {NAME_MAX} without control characters"
                )));
            }
        }
    }
    Ok(())
}
