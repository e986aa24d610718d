//! One file a section: what it shows of a bundle, and what is a gap in it.

pub(super) mod alerts;
mod case;
pub(super) mod cutoff;
pub(super) mod data;
pub(super) mod examples;
pub(super) mod explanation;
pub(super) mod fairness;
pub(super) mod leaderboard;
pub(super) mod learning;
pub(super) mod performance;
pub(super) mod privacy;
pub(super) mod purpose;
pub(super) mod reasons;
pub(super) mod reproduce;
pub(super) mod scorecard;
pub(super) mod stability;

use super::subject::Subject;
use super::view::Block;
use super::words::{Words, cut};
use crate::bins::BinLabel;
use statera_core::{Kind, Result};

/// A section of the report.
pub(super) struct Section {
    /// Its name in addresses and of its words.
    pub name: &'static str,
    /// What it shows.
    pub view: fn(&Subject<'_>) -> Result<Vec<Block>>,
}

/// Microseconds of a day.
const DAY: f64 = 86_400e6;

/// What the cells of a bin have in common, in words.
pub(super) fn bin_words(words: &Words, label: &BinLabel, kind: Kind, unit: Option<&str>) -> String {
    let value = |v: f64| match kind {
        Kind::Time => day(v),
        _ => words.in_unit(v, unit),
    };
    match label {
        BinLabel::Range { from: Some(from), to: Some(to) } => {
            words.fill("word.from_to_below", &[("from", &value(*from)), ("to", &value(*to))])
        }
        BinLabel::Range { from: Some(from), to: None } => words.fill("word.from_up", &[("from", &value(*from))]),
        BinLabel::Range { from: None, to: Some(to) } => words.fill("word.below", &[("to", &value(*to))]),
        BinLabel::Range { from: None, to: None } => words.get("word.all_values"),
        BinLabel::Value(v) => value(*v),
        BinLabel::Level(level) => cut(level),
        BinLabel::Others => words.get("word.others"),
        BinLabel::Missing => words.get("word.missing"),
    }
}

/// The day of a time in microseconds since 1970, UTC.
fn day(time: f64) -> String {
    let seconds = (time / DAY).floor() * 86_400.0;
    jiff::Timestamp::from_second(seconds as i64).map_or_else(|_| "–".into(), |t| t.strftime("%Y-%m-%d").to_string())
}

/// The first rows of many, with a remark that tells how many are not shown.
fn first<T>(words: &Words, mut all: Vec<T>, most: usize) -> (Vec<T>, Option<String>) {
    let hidden = all.len().saturating_sub(most);
    all.truncate(most);
    (all, (hidden > 0).then(|| words.fill("page.hidden", &[("n", &words.count(hidden))])))
}
