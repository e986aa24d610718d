//! How a CSV text is written: its separator, its record ends, and whether its first record names the columns.

use super::csv::read_record;
use super::header::{self, is_header};
use memchr::memchr;
use statera_core::{Error, Result};
use std::collections::HashMap;

/// Separators that are tried; where two fit equally, the earlier is taken, because a comma may also be a decimal mark.
const SEPARATORS: [u8; 4] = [b'\t', b';', b'|', b','];

/// Records that a separator is judged on.
const SAMPLE_RECORDS: usize = 500;

/// How a CSV text is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Byte between two fields.
    pub(super) separator: u8,
    /// Last byte of a record: a line feed, or a carriage return in files of old Macs.
    pub(super) terminator: u8,
    /// True if the first record names the columns.
    pub(super) header: bool,
    /// Names of the columns; `column_1` … without a header.
    pub(super) names: Vec<String>,
    /// Length of the header record in bytes; 0 without one.
    pub(super) header_bytes: usize,
}

/// Finds how `text` is written; it is the whole text if `complete`.
pub(super) fn detect(text: &[u8], complete: bool, origin: &str) -> Result<Dialect> {
    let terminator = if memchr(b'\n', text).is_none() && memchr(b'\r', text).is_some() { b'\r' } else { b'\n' };
    let start = text.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
    if text[start..].iter().all(u8::is_ascii_whitespace) {
        return Err(Error::data(format!("{origin}: empty; expected column names and rows")));
    }
    let separator = find_separator(&text[start..], terminator, complete);
    let record = read_record(text, start, separator, terminator);
    if record.unclosed {
        let line = 1 + text[..start].iter().filter(|&&b| b == terminator).count();
        return Err(Error::data(format!(
            "{origin}, line {line}: a quote is opened and never closed; the file may be truncated"
        )));
    }
    let fields: Vec<String> = record.fields.iter().map(|f| String::from_utf8_lossy(f).trim().to_string()).collect();
    let header = is_header(&fields, &records(&text[record.end..], separator, terminator, complete));
    if !header {
        let names = (1..=fields.len()).map(|i| format!("column_{i}")).collect();
        return Ok(Dialect { separator, terminator, header, names, header_bytes: 0 });
    }
    let names = name_columns(fields, origin)?;
    Ok(Dialect { separator, terminator, header, names, header_bytes: record.end })
}

/// Names from a header; an empty one becomes `column_i`.
pub(super) fn name_columns(fields: Vec<String>, origin: &str) -> Result<Vec<String>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(fields.len());
    for (i, field) in fields.into_iter().enumerate() {
        let name = if field.is_empty() { format!("column_{}", i + 1) } else { field };
        if let Some(first) = seen.insert(name.clone(), i) {
            return Err(Error::data(format!(
                "{origin}, line 1: the column name «{name}» is given twice (fields {} and {}); names must differ",
                first + 1,
                i + 1
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// The first records of `text`, for a comparison with the one before them. A last record that the sample cuts off is left
/// out.
fn records(text: &[u8], separator: u8, terminator: u8, complete: bool) -> Vec<Vec<String>> {
    let (mut pos, mut records) = (0, Vec::new());
    while pos < text.len() && records.len() < header::SAMPLE_RECORDS {
        let record = read_record(text, pos, separator, terminator);
        if record.unclosed || (record.end == text.len() && !complete) {
            break;
        }
        pos = record.end;
        if !record.is_blank() {
            records.push(record.fields.iter().map(|f| String::from_utf8_lossy(f).trim().to_string()).collect());
        }
    }
    records
}

/// The separator under which the records of the sample agree best with the first one.
///
/// All agreeing with at least two fields wins; else the greatest share of agreeing records. A text in which no separator
/// gives the first record two fields has one column, read with a separator that it does not use.
fn find_separator(text: &[u8], terminator: u8, complete: bool) -> u8 {
    let mut best: Option<(f64, u8)> = None;
    let mut single = None;
    for separator in SEPARATORS {
        let counts = field_counts(text, separator, terminator, complete);
        let first = counts[0];
        let agreeing = counts.iter().filter(|&&n| n == first).count() as f64 / counts.len() as f64;
        if first == 1 {
            if agreeing == 1.0 {
                single = Some(separator);
            }
        } else if best.is_none_or(|(share, _)| agreeing > share) {
            best = Some((agreeing, separator));
        }
    }
    best.map(|(_, separator)| separator).or(single).unwrap_or(b',')
}

/// Fields of the first records; never empty. A last record that the sample cuts off is left out.
fn field_counts(text: &[u8], separator: u8, terminator: u8, complete: bool) -> Vec<usize> {
    let (mut pos, mut counts) = (0, Vec::new());
    while pos < text.len() && counts.len() < SAMPLE_RECORDS {
        let record = read_record(text, pos, separator, terminator);
        let cut_off = record.end == text.len() && !complete;
        if !counts.is_empty() && (cut_off || record.unclosed) {
            break;
        }
        pos = record.end;
        if !record.is_blank() || counts.is_empty() {
            counts.push(record.fields.len());
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_separator_header_and_record_ends() {
        let check = |text: &str, separator: char, header: bool, names: &[&str]| {
            let found = detect(text.as_bytes(), true, "t.csv").unwrap();
            assert_eq!(found.separator as char, separator, "{text:?}");
            assert_eq!(
                (found.header, found.names),
                (header, names.iter().map(|n| n.to_string()).collect()),
                "{text:?}"
            );
        };
        check("a,b\n1,2\n", ',', true, &["a", "b"]);
        check("a;b\n1,5;2,5\n3,5;4\n", ';', true, &["a", "b"]);
        check("1,5;2,5\n3,5;4,5\n", ';', false, &["column_1", "column_2"]);
        check("a\tb\n\"x, y\"\t2\n", '\t', true, &["a", "b"]);
        check("a|b|c\n1|2|3\n", '|', true, &["a", "b", "c"]);
        check("\"a;x\",b\n\"1;1\",2\n", ',', true, &["a;x", "b"]);
        check(",a,b\n0,1,2\n", ',', true, &["column_1", "a", "b"]);
        check("2024-03-05,7\n2024-03-06,8\n", ',', false, &["column_1", "column_2"]);
        check("question\nhello, world\nbye\n", '|', true, &["question"]);
        check("a,b\r1,2\r", ',', true, &["a", "b"]);
        // One ragged record does not move the separator.
        check("a,b,c\n1,2,3\n1,2\n1,2,3\n", ',', true, &["a", "b", "c"]);
        check("\n\na,b\n1,2\n", ',', true, &["a", "b"]);
        // Names may look like numbers; see header.rs.
        check("id;202401;202402\n1;5,5;\"7\"\n\n2;0;8,5\n", ';', true, &["id", "202401", "202402"]);
    }

    #[test]
    fn refuses_what_names_no_columns() {
        let check = |text: &str, expected: &str| {
            assert_eq!(detect(text.as_bytes(), true, "t.csv").unwrap_err().to_string(), expected);
        };
        check("", "t.csv: empty; expected column names and rows");
        check(" \n\n", "t.csv: empty; expected column names and rows");
        check(
            "a,b, a\n1,2,3\n",
            "t.csv, line 1: the column name «a» is given twice (fields 1 and 3); names must differ",
        );
        check("a,\"b\n1,2\n", "t.csv, line 1: a quote is opened and never closed; the file may be truncated");
    }
}
