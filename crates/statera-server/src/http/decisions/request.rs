//! What a request for decisions says.

use crate::compute::{Explain, Rows};
use crate::http::json;
use axum::body::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use statera::reasons::Language;
use statera_core::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// Most characters of a subject.
const MAX_SUBJECT_CHARS: usize = 256;

/// The body as JSON has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default, borrow)]
    row: Option<&'a RawValue>,
    #[serde(default, borrow)]
    rows: Option<Vec<Row<'a>>>,
    #[serde(default)]
    explain: Option<Explain>,
    #[serde(default)]
    language: Language,
}

/// One of many rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    #[serde(default)]
    subject: Option<String>,
    #[serde(borrow)]
    row: &'a RawValue,
}

/// A request that was read.
pub(super) struct Asked {
    pub model: String,
    pub request_id: Option<String>,
    /// By row; empty where nobody is named.
    pub subjects: Vec<String>,
    pub body: Bytes,
    /// Where each row lies in the body.
    pub rows: Vec<Range<usize>>,
    pub explain: Explain,
    pub language: Language,
    /// True if it was asked about one row, not about a list.
    pub is_one: bool,
}

impl Asked {
    /// Reads the body; the rows themselves are read when they are scored.
    pub(super) fn parse(body: Bytes, explain: Explain, max_rows: usize) -> Result<Asked> {
        let read: Body<'_> = json::read(&body)?;
        let place = |raw: &RawValue| place_in(&body, raw.get());
        let is_one = read.row.is_some();
        let (rows, subjects) = match (read.row, read.rows) {
            (Some(row), None) => (vec![place(row)], vec![read.subject.unwrap_or_default()]),
            (None, Some(rows)) if read.subject.is_some() => {
                let n = rows.len();
                return Err(Error::request(format!(
                    "subject is of one row, but there are {n} rows; name it in each row"
                )));
            }
            (None, Some(rows)) if !(1..=max_rows).contains(&rows.len()) => {
                return Err(Error::request(format!("{} rows; allowed: 1 to {max_rows}", rows.len())));
            }
            (None, Some(rows)) => rows.into_iter().map(|r| (place(r.row), r.subject.unwrap_or_default())).unzip(),
            _ => return Err(Error::request("the body needs row or rows, and not both")),
        };
        if let Some(subject) = subjects.iter().find(|s| s.chars().count() > MAX_SUBJECT_CHARS) {
            let n = subject.chars().count();
            return Err(Error::request(format!("a subject has {n} characters; allowed: at most {MAX_SUBJECT_CHARS}")));
        }
        Ok(Asked {
            model: read.model.into_owned(),
            request_id: read.request_id,
            subjects,
            rows,
            explain: read.explain.unwrap_or(explain),
            language: read.language,
            is_one,
            body,
        })
    }

    /// What the share of a challenger goes by: the subject where all rows name one, else the request's name.
    pub(super) fn key(&self) -> Option<&str> {
        let first = self.subjects.first().map(String::as_str).filter(|s| !s.is_empty());
        first.filter(|first| self.subjects.iter().all(|s| s == first)).or(self.request_id.as_deref())
    }

    /// The rows as the pool takes them.
    pub(super) fn pool_rows(&self) -> Rows {
        Rows::Json { body: self.body.clone(), rows: self.rows.clone() }
    }
}

/// Where a part of a text lies in it.
fn place_in(whole: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}
