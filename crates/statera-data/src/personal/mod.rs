//! Direct identifiers of persons: which columns hold e-mail addresses, telephone, card and resident numbers.
//!
//! A detector judges one cell by its form and, where the form has one, by its check digit. A column is reported when more of
//! its cells match than chance explains (see [`detect_column`]). Findings name the column and count cells; they never
//! carry a cell's content. [`text`] finds identifiers inside running text. Deliberately absent: street addresses.

mod account;
mod advertising;
mod card;
mod china;
mod email;
mod iban;
mod korea;
mod name;
mod phone;
#[cfg(test)]
mod tests;
pub mod text;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Every detector; a new one is a file and a line here.
pub const DETECTORS: &[Detector] = &[
    email::DETECTOR,
    phone::DETECTOR,
    card::DETECTOR,
    korea::DETECTOR,
    china::DETECTOR,
    iban::DETECTOR,
    advertising::DETECTOR,
];

/// Most cells looked at in a column; a longer column is sampled at even distances (a share of 60 % is then known to ± 0.7 %).
pub const N_CHECKED_MAX: usize = 20_000;

/// The share of matching cells is believed once chance explains it with less than this probability.
const SIGNIFICANCE: f64 = 0.01;
/// Below this probability the evidence is taken as complete.
const CERTAINTY: f64 = 1e-6;
/// Serial numbers lie closer together than this, on average; telephone numbers do not.
const SERIAL_SPACING: f64 = 10.0;

/// A way to recognise one sort of identifier.
pub struct Detector {
    /// What it finds, as shown to the user.
    pub name: &'static str,
    /// Parts of column names that announce it, in lower case.
    pub hints: &'static [&'static str],
    /// Upper bound of the share of random cells of the same length and alphabet that match.
    pub chance: f64,
    /// Least share of the non-missing cells that must match; half of it where the column's name is a hint.
    pub share_min: f64,
    /// Judges a cell.
    pub check: fn(&Cell<'_>) -> Match,
}

/// A cell as text.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// Its characters, without surrounding blanks.
    pub text: Cow<'a, str>,
    /// True if the column is numeric, so that leading zeros are lost.
    pub integer: bool,
}

/// How well a cell fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Not at all.
    No,
    /// It has the form, but so may an ordinary number.
    Weak,
    /// It has a valid check digit or an unmistakable form.
    Strong,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Few cells, or a form that ordinary numbers have too.
    Low,
    /// The form fits throughout, without a check digit to prove it.
    Medium,
    /// Check digits or unmistakable forms in more cells than chance could produce.
    High,
}

impl Confidence {
    /// The name used in files and on pages.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
    fn shifted(self, steps: i32) -> Confidence {
        let levels = [Confidence::Low, Confidence::Medium, Confidence::High];
        levels[(self as i32 + steps).clamp(0, 2) as usize]
    }
}

/// A column that holds identifiers. It never carries a cell's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// [`Detector::name`].
    pub detector: String,
    /// Share of the checked cells that match, 0 to 1.
    pub share: f64,
    /// How sure it is.
    pub confidence: Confidence,
    /// Non-missing cells looked at.
    pub n_checked: usize,
}

/// Looks for identifiers in the cells of a column, given in full or as a sample drawn at even distances from `n_cells`
/// non-missing ones.
///
/// A detector reports when at least [`Detector::share_min`] of the cells match (0.6 where ordinary numbers have the form,
/// 0.05 or 0.2 for unmistakable ones; half with a telling column name) and the match is no accident: by Chernoff's bound, chance yields that
/// share with a probability below 1 %, unless the column's name is telling. Amounts and serial numbers therefore stay silent: one in ten
/// of them passes Luhn's check, never six in ten. Of several detectors the surest wins.
pub fn detect_column(name: &str, cells: &[Cell<'_>], n_cells: usize) -> Option<Finding> {
    DETECTORS.iter().filter_map(|detector| judge(detector, name, cells, n_cells)).reduce(|best, other| {
        if (other.confidence, other.share) > (best.confidence, best.share) { other } else { best }
    })
}

/// [`detect_column`] over the chunks of an Arrow column: text, and numbers whose values are whole (`Int64`, `Float64`,
/// `Decimal128`); columns of other types hold no identifiers. At most [`N_CHECKED_MAX`] cells are looked at.
pub fn detect_array(name: &str, chunks: &[ArrayRef]) -> Option<Finding> {
    let n_cells: usize = chunks.iter().map(|c| c.len() - c.null_count()).sum();
    let stride = n_cells.div_ceil(N_CHECKED_MAX).max(1);
    let mut cells = Vec::with_capacity(n_cells.min(N_CHECKED_MAX));
    let mut seen = 0usize;
    for chunk in chunks {
        for row in 0..chunk.len() {
            if chunk.is_null(row) {
                continue;
            }
            if seen.is_multiple_of(stride) {
                cells.push(cell_at(chunk, row)?);
            }
            seen += 1;
        }
    }
    detect_column(name, &cells, n_cells)
}

/// The cell of a row that is not null; `None` where the type cannot hold an identifier.
fn cell_at(array: &ArrayRef, row: usize) -> Option<Cell<'_>> {
    let number = |text: String| Some(Cell { text: Cow::Owned(text), integer: true });
    match array.data_type() {
        DataType::Utf8 => {
            Some(Cell { text: Cow::Borrowed(array.as_string::<i32>().value(row).trim()), integer: false })
        }
        DataType::Int64 => number(array.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            // A fraction, or a number beyond f64's whole numbers, matches nothing.
            let whole = value.fract() == 0.0 && value.abs() < 9.007_199_254_740_992e15;
            number(if whole { (value as i64).to_string() } else { String::new() })
        }
        DataType::Decimal128(_, _) => {
            let text = array.as_primitive::<arrow_array::types::Decimal128Type>().value_as_string(row);
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            number(if fraction.bytes().all(|b| b == b'0') { whole.to_owned() } else { String::new() })
        }
        _ => None,
    }
}

/// What one detector says about a column.
fn judge(detector: &Detector, name: &str, cells: &[Cell<'_>], n_cells: usize) -> Option<Finding> {
    let (mut n_weak, mut n_strong) = (0usize, 0usize);
    let mut weak_range: Option<(u64, u64)> = None;
    for cell in cells {
        match (detector.check)(cell) {
            Match::No => {}
            Match::Strong => n_strong += 1,
            Match::Weak => {
                n_weak += 1;
                if let Ok(value) = cell.text.parse::<u64>() {
                    let (low, high) = weak_range.unwrap_or((value, value));
                    weak_range = Some((low.min(value), high.max(value)));
                }
            }
        }
    }
    let n_match = n_weak + n_strong;
    let share = n_match as f64 / cells.len().max(1) as f64;
    let lower = name.to_lowercase();
    let hinted = detector.hints.iter().any(|hint| lower.contains(hint));
    let share_min = if hinted { detector.share_min / 2.0 } else { detector.share_min };
    let accident = chance_of(share, detector.chance, cells.len());
    let serial = n_strong == 0 && is_serial(weak_range, n_cells);
    if n_match == 0 || share < share_min || (accident > SIGNIFICANCE && !hinted) || (serial && !hinted) {
        return None;
    }
    let form = if n_strong * 2 >= n_match { Confidence::High } else { Confidence::Medium };
    let doubt = i32::from(accident > CERTAINTY);
    let confidence = form.shifted(i32::from(hinted) - doubt);
    Some(Finding { detector: detector.name.into(), share, confidence, n_checked: cells.len() })
}

/// True if the weakly matching numbers lie so close together that they were counted out rather than assigned.
fn is_serial(range: Option<(u64, u64)>, n_cells: usize) -> bool {
    range.is_some_and(|(low, high)| n_cells >= 20 && ((high - low) as f64) < SERIAL_SPACING * n_cells as f64)
}

/// Chernoff's upper bound of the probability that at least `share` of `n` cells match when each does with probability `chance`.
fn chance_of(share: f64, chance: f64, n: usize) -> f64 {
    if share <= chance {
        return 1.0;
    }
    let rest = if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - chance)).ln() } else { 0.0 };
    (-(n as f64) * (share * (share / chance).ln() + rest)).exp()
}

/// The digits of a text in which single separators may stand between digits; `None` if it holds anything else, or more than
/// 24 digits.
fn digits(text: &str, separators: &[u8]) -> Option<Digits> {
    let mut out = Digits { digits: [0; 24], len: 0 };
    let mut after_separator = true;
    for &byte in text.as_bytes() {
        if byte.is_ascii_digit() && out.len < 24 {
            out.digits[out.len] = byte - b'0';
            out.len += 1;
            after_separator = false;
        } else if separators.contains(&byte) && !after_separator {
            after_separator = true;
        } else {
            return None;
        }
    }
    if after_separator { None } else { Some(out) }
}

/// Up to 24 decimal digits, as values 0 to 9.
struct Digits {
    digits: [u8; 24],
    len: usize,
}

impl std::ops::Deref for Digits {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

/// The number written by some digits.
fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |n, &d| n * 10 + u32::from(d))
}

/// True if the date exists in the Gregorian calendar.
fn is_date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let n_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=n_days).contains(&day)
}
