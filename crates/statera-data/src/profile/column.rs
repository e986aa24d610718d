//! One column's profile.

use super::cells::{self, Cells, Levels, NO_LEVEL, Ordered, Values};
use super::leak;
use super::level::{self, LevelSummary};
use super::number::{self, Histogram, NumberSummary, Tally};
use super::share;
use super::target::Classes;
use crate::Table;
use crate::personal::{Finding, detect_array};
use serde::{Deserialize, Serialize};
use statera_core::{Kind, Result};

/// Text with this share of distinct cells names its rows.
const NEAR_UNIQUE_TEXT: f64 = 0.95;
/// Whole numbers must be all but unique, since amounts repeat seldom.
const NEAR_UNIQUE_INTEGER: f64 = 0.999;
/// Fewer cells than this say nothing about uniqueness.
const NEAR_UNIQUE_CELLS: usize = 20;

/// One column's profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// How they are stored: integer, float, decimal(p, s), text or timestamp.
    pub physical: String,
    /// Empty cells.
    pub n_missing: usize,
    /// Cells equal to a number that was declared to mean missing.
    pub n_sentinel: usize,
    /// Infinite cells.
    pub n_infinite: usize,
    /// Cells that are nothing, empty or declared so, over rows.
    pub missing_share: f64,
    /// Different values among the other cells, exactly.
    pub n_distinct: usize,
    /// True with at most one value.
    pub constant: bool,
    /// True if nearly every cell has a value of its own, so that the column names rows.
    pub near_unique: bool,
    /// The identifiers it holds.
    pub personal: Option<Finding>,
    /// Area under the ROC curve of this column alone against a binary target; out of sample for levels.
    pub auc: Option<f64>,
    /// The distribution.
    pub detail: Detail,
}

impl ColumnProfile {
    /// Cells that are nothing: empty or declared so.
    pub fn n_nothing(&self) -> usize {
        self.n_missing + self.n_sentinel
    }
}

/// A column's distribution by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Numbers.
    Number(NumberSummary),
    /// Levels.
    Levels(LevelSummary),
    /// Times.
    Time(TimeSummary),
    /// Free text, identifiers and personal data: only lengths, never cells.
    Lengths(KeyLengths),
    /// No cell has a value.
    Empty,
}

/// Times, in ISO 8601, UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSummary {
    /// Earliest.
    pub first: String,
    /// Middle.
    pub median: String,
    /// Latest.
    pub last: String,
    /// Counts over microseconds UTC.
    pub histogram: Histogram,
}

/// Lengths of cells in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLengths {
    /// Shortest.
    pub min: usize,
    /// Median over distinct cells.
    pub median: usize,
    /// Longest.
    pub max: usize,
}

/// Profiles the column at `idx`; `is_target` spares the target its own AUC.
pub(super) fn summarise(
    table: &Table,
    idx: usize,
    cells: &Cells<'_>,
    classes: &Classes,
    is_target: bool,
) -> Result<ColumnProfile> {
    let info = &table.columns[idx];
    let n_rows = table.n_rows();
    let n_cells = n_rows - cells.n_missing - cells.n_sentinel - cells.n_infinite;
    let personal = detect_array(&info.name, &cells::chunks(table, idx));
    let judge = classes.is_binary() && !is_target;
    let closed = personal.is_some() || matches!(info.kind, Kind::Text | Kind::Identifier);
    let (n_distinct, auc, detail) = match &cells.values {
        Values::Ordered(ordered) => {
            let (tallies, missing) = number::tally(ordered, &classes.of_row);
            let codes = || codes_of(ordered, &tallies);
            let auc = if judge { leak::auc_of_numbers(&tallies, missing, codes, &classes.of_row) } else { None };
            (tallies.len(), auc, number_detail(info.kind, closed, &tallies))
        }
        Values::Levels(levels) => {
            let auc = if judge { leak::auc_of_levels(levels, &classes.of_row) } else { None };
            (levels.texts.len(), auc, level_detail(closed, levels, judge.then_some(&classes.of_row), n_cells))
        }
    };
    let physical = cells::physical(table, idx)?;
    let distinct_share = share(n_distinct, n_cells);
    let near_unique = n_cells >= NEAR_UNIQUE_CELLS
        && match physical.as_str() {
            "text" => distinct_share >= NEAR_UNIQUE_TEXT,
            "integer" => distinct_share >= NEAR_UNIQUE_INTEGER,
            _ => false,
        };
    Ok(ColumnProfile {
        name: info.name.clone(),
        kind: info.kind,
        physical,
        n_missing: cells.n_missing,
        n_sentinel: cells.n_sentinel,
        n_infinite: cells.n_infinite,
        missing_share: share(cells.n_missing + cells.n_sentinel, n_rows),
        n_distinct,
        constant: n_distinct <= 1,
        near_unique,
        personal,
        auc,
        detail,
    })
}

/// Each row's index into the distinct values.
pub(super) fn codes_of(ordered: &Ordered, tallies: &[Tally]) -> Vec<u32> {
    let code = |key: i64| {
        let value = ordered.scale.value(key);
        tallies.partition_point(|t| t.value < value) as u32
    };
    ordered.keys.iter().map(|key| key.map_or(NO_LEVEL, code)).collect()
}

fn number_detail(kind: Kind, closed: bool, tallies: &[Tally]) -> Detail {
    let Some(summary) = number::summarise(tallies) else { return Detail::Empty };
    if closed {
        let mut lengths: Vec<usize> = tallies.iter().map(|t| format!("{}", t.value).len()).collect();
        Detail::Lengths(lengths_of(&mut lengths))
    } else if kind == Kind::Time {
        let text = |micros: f64| super::period::instant(micros as i64);
        let [first, .., last] = summary.quantiles;
        let median = text(summary.quantiles[4]);
        Detail::Time(TimeSummary { first: text(first), median, last: text(last), histogram: summary.histogram })
    } else {
        Detail::Number(summary)
    }
}

/// Levels by name, unless nearly every row has its own: then naming them would be showing rows.
fn level_detail(closed: bool, levels: &Levels<'_>, classes: Option<&Vec<u8>>, n_cells: usize) -> Detail {
    if levels.texts.is_empty() {
        return Detail::Empty;
    }
    let mostly_single = n_cells >= NEAR_UNIQUE_CELLS && share(levels.texts.len(), n_cells) >= NEAR_UNIQUE_TEXT;
    if closed || mostly_single {
        let mut lengths: Vec<usize> = levels.texts.iter().map(|t| t.chars().count()).collect();
        Detail::Lengths(lengths_of(&mut lengths))
    } else {
        Detail::Levels(level::summarise(levels, classes.map(Vec::as_slice)))
    }
}

/// Shortest, middle and longest of at least one length.
fn lengths_of(lengths: &mut [usize]) -> KeyLengths {
    lengths.sort_unstable();
    KeyLengths { min: lengths[0], median: lengths[lengths.len() / 2], max: lengths[lengths.len() - 1] }
}
