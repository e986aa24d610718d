//! The target column: its classes, and which of them is the event.

use super::cells::{self, Levels, NO_LEVEL, Ordered, Values};
use super::figure;
use super::share;
use crate::Table;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};

/// Values that mean the event where none was named, in lower case.
const EVENT_NAMES: &[&str] = &["1", "yes", "y", "true", "bad", "default", "fraud"];
/// A numeric target with more values than this is a quantity, not a class.
const N_CLASSES_MAX: usize = 20;

/// What kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// Two values.
    Binary,
    /// Three or more classes.
    Classes,
    /// A quantity.
    Number,
    /// One value or none: nothing can be learnt.
    Constant,
}

/// The target in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetProfile {
    /// Its column.
    pub column: String,
    /// What kind of target it is.
    pub kind: TargetKind,
    /// Distinct values.
    pub n_classes: usize,
    /// The value that counts as the event, if binary.
    pub positive: Option<String>,
    /// Rows with the event, if binary.
    pub n_positive: usize,
    /// Rows with a target.
    pub n_known: usize,
    /// Share of events among rows with a target, if binary.
    pub rate: Option<f64>,
}

/// Class of a row without the event.
pub(super) const NEGATIVE: u8 = 0;
/// Class of a row with the event.
pub(super) const POSITIVE: u8 = 1;
/// Class of a row whose target is missing or not binary.
pub(super) const UNKNOWN: u8 = 2;

/// Class of each row; all [`UNKNOWN`] unless the target is binary.
pub(super) struct Classes {
    pub of_row: Vec<u8>,
    pub profile: Option<TargetProfile>,
}

impl Classes {
    /// No target.
    pub fn none(n_rows: usize) -> Self {
        Classes { of_row: vec![UNKNOWN; n_rows], profile: None }
    }
    /// True if there are events and non-events.
    pub fn is_binary(&self) -> bool {
        self.profile.as_ref().is_some_and(|t| t.kind == TargetKind::Binary)
    }
}

/// Reads the target; the event is `positive` or found by name or rarity.
pub(super) fn read(table: &Table, name: &str, positive: Option<&str>, sentinels: &[f64]) -> Result<Classes> {
    let cells = cells::read(table, table.column(name)?, sentinels)?;
    let (values, codes) = match &cells.values {
        Values::Ordered(ordered) => number_classes(ordered),
        Values::Levels(levels) => level_classes(levels),
    };
    let n_known = codes.iter().filter(|&&c| c != NO_LEVEL).count();
    let is_number = matches!(cells.values, Values::Ordered(_)) && values.len() > N_CLASSES_MAX;
    let kind = match values.len() {
        0 | 1 => TargetKind::Constant,
        2 => TargetKind::Binary,
        _ if is_number => TargetKind::Number,
        _ => TargetKind::Classes,
    };
    let profile = TargetProfile {
        column: name.into(),
        kind,
        n_classes: values.len(),
        positive: None,
        n_positive: 0,
        n_known,
        rate: None,
    };
    if kind != TargetKind::Binary {
        if let Some(wanted) = positive {
            let n = values.len();
            return Err(Error::request(format!(
                "{}: target «{name}» has {n} values, so «{wanted}» cannot be its positive value; a binary target has 2",
                table.origin
            )));
        }
        return Ok(Classes { of_row: vec![UNKNOWN; codes.len()], profile: Some(profile) });
    }
    let event = event_code(table, name, positive, &values)?;
    let class = |&code: &u32| if code == NO_LEVEL { UNKNOWN } else { u8::from(code as usize == event) };
    let of_row: Vec<u8> = codes.iter().map(class).collect();
    let n_positive = values[event].1;
    let rate = Some(share(n_positive, n_known));
    let profile = TargetProfile { positive: Some(values[event].0.clone()), n_positive, rate, ..profile };
    Ok(Classes { of_row, profile: Some(profile) })
}

/// Index of the event among two values.
fn event_code(table: &Table, name: &str, positive: Option<&str>, values: &[(String, usize)]) -> Result<usize> {
    if let Some(wanted) = positive {
        let same = |text: &str| text == wanted || text.parse::<f64>().is_ok_and(|a| wanted.parse() == Ok(a));
        return values.iter().position(|(text, _)| same(text)).ok_or_else(|| {
            Error::request(format!(
                "{}: target «{name}» has no value «{wanted}»; it has «{}» and «{}»",
                table.origin, values[0].0, values[1].0
            ))
        });
    }
    let named = |(text, _): &(String, usize)| EVENT_NAMES.contains(&text.to_lowercase().as_str());
    Ok(match (named(&values[0]), named(&values[1])) {
        (true, false) => 0,
        (false, true) => 1,
        _ => usize::from(values[1].1 <= values[0].1),
    })
}

/// Distinct numbers with their counts, and the index of each row's; numbers beyond the class limit are not told apart further.
fn number_classes(ordered: &Ordered) -> (Vec<(String, usize)>, Vec<u32>) {
    let mut keys: Vec<(i64, usize)> = Vec::new();
    let codes = ordered.keys.iter().map(|key| {
        let Some(key) = key else { return NO_LEVEL };
        match keys.iter().position(|(k, _)| k == key) {
            Some(idx) => {
                keys[idx].1 += 1;
                idx as u32
            }
            None if keys.len() > N_CLASSES_MAX => N_CLASSES_MAX as u32,
            None => {
                keys.push((*key, 1));
                keys.len() as u32 - 1
            }
        }
    });
    let codes = codes.collect();
    (keys.iter().map(|&(key, n)| (figure::plain(ordered.scale.value(key)), n)).collect(), codes)
}

fn level_classes(levels: &Levels<'_>) -> (Vec<(String, usize)>, Vec<u32>) {
    let values = levels.texts.iter().zip(&levels.counts).map(|(t, &n)| ((*t).to_owned(), n)).collect();
    (values, levels.codes.clone())
}
