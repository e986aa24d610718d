//! Which transactions are suspicious, whose case they belong to, how much they put at stake, and what links them with others.
//! Most transactions are not: of those nothing is looked at but the probability and the action.

use super::AlertsSettings;
use crate::compute::Answers;
use crate::models::Loaded;
use serde_json::value::RawValue;
use statera::rules::Action;
use statera_core::Task;
use statera_data::window::{What, Windows};
use statera_store::alert::{RISK_MAX, Suspicion};
use statera_store::record::Id;
use std::collections::{BTreeMap, HashMap};

/// Whole numbers of the store in one unit of money, or in a probability of 1.
const UNITS: f64 = 1e6;

/// Settings that the queue of a model is made by.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// What is suspicious.
    pub alerts: &'a AlertsSettings,
    /// The column with the amount, by model, of those that the settings name.
    pub amount_columns: &'a BTreeMap<String, String>,
}

/// A row's cells as they were sent.
pub type Cells<'a> = HashMap<String, &'a RawValue>;

/// What makes the only row of answers suspicious; `None` if nothing does. `id` is the record's.
pub fn suspicion(
    desk: Desk<'_>,
    model: &Loaded,
    answers: &Answers,
    (input, subject, id): (&[u8], &str, Id),
) -> Option<Suspicion> {
    let is_binary = model.bundle.scorer.schema().task == Task::Binary;
    let probability = answers.probabilities.first().copied().filter(|p| is_binary && p.is_finite());
    let action = answers.verdicts.as_ref().and_then(|verdicts| verdicts.first()).map(|verdict| verdict.action);
    let is_stopped = action.is_some_and(|action| action != Action::Allow);
    if !is_stopped && probability.is_none_or(|p| p < desk.alerts.threshold_of(&model.name)) {
        return None;
    }
    let windows = windows_of(model);
    let cells: Cells<'_> = serde_json::from_slice(input).unwrap_or_default();
    let mut keys = windows.map(keys_of).unwrap_or_default().into_iter();
    let first = keys.next().and_then(|key| joined(&key, &cells));
    // A transaction that names nobody is a case of its own.
    let named = Some(subject).filter(|subject| !subject.is_empty()).map(String::from);
    let card = named.or(first.map(|(_, value)| value)).unwrap_or_else(|| id.to_string());
    let at_stake = match amount_column(desk, model) {
        Some(column) => text_of(&cells, column).and_then(|text| amount(&text)).unwrap_or(0.0),
        None => 1.0,
    };
    let risk = risk(probability.unwrap_or(0.0), at_stake);
    let keys = keys.filter_map(|key| joined(&key, &cells)).collect();
    Some(Suspicion { model: model.name.clone(), card, risk, keys })
}

/// The expected loss of a transaction in the store's whole numbers; nothing is lost by what is paid back.
fn risk(probability: f64, at_stake: f64) -> i64 {
    (probability * at_stake.max(0.0) * UNITS).round().clamp(0.0, RISK_MAX as f64) as i64
}

/// What is at stake in money, or as a sum of probabilities.
pub fn of_risk(risk: i64) -> f64 {
    risk as f64 / UNITS
}

/// The windows of a model.
pub fn windows_of(model: &Loaded) -> Option<&Windows> {
    model.live.as_ref().map(|live| live.windows.definition.windows())
}

/// The column with a transaction's amount: the one that the settings name, or the only one of which the windows make sums and
/// means.
pub fn amount_column<'a>(desk: Desk<'a>, model: &'a Loaded) -> Option<&'a str> {
    if let Some(named) = desk.amount_columns.get(&model.name) {
        return Some(named);
    }
    let windows = windows_of(model)?;
    let is_of_numbers = |what: &What| !matches!(what, What::Count | What::Distinct | What::SinceLast | What::Share);
    let numbers = windows.features.iter().filter(|f| f.what.iter().any(is_of_numbers)).filter_map(|f| f.of.as_ref());
    let mut numbers = numbers.filter(|column| windows.label.as_ref() != Some(*column));
    let first = numbers.next()?;
    numbers.all(|other| other == first).then_some(first)
}

/// The keys of windows, each once: the first is the card's, the others link cases.
pub fn keys_of(windows: &Windows) -> Vec<Vec<String>> {
    let all = windows.features.iter().map(|f| &f.key).chain(windows.sequences.iter().map(|s| &s.key));
    let mut keys: Vec<Vec<String>> = Vec::new();
    for key in all {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// A key's name and value; `None` where a cell of it is missing.
fn joined(key: &[String], cells: &Cells<'_>) -> Option<(String, String)> {
    let values = key.iter().map(|column| text_of(cells, column)).collect::<Option<Vec<String>>>()?;
    Some((key.join("+"), values.join("\u{1f}")))
}

/// Whose case a recorded transaction belongs to.
pub fn card_of(windows: Option<&Windows>, subject: &str, cells: &Cells<'_>) -> Option<String> {
    if !subject.is_empty() {
        return Some(subject.into());
    }
    let first = keys_of(windows?).into_iter().next()?;
    joined(&first, cells).map(|(_, value)| value)
}

/// A cell as text; `None` for a missing one.
pub fn text_of(cells: &Cells<'_>, column: &str) -> Option<String> {
    let raw = cells.get(column)?.get();
    if raw == "null" {
        return None;
    }
    if raw.starts_with('"') { serde_json::from_str(raw).ok() } else { Some(raw.into()) }
}

/// A text as an amount.
pub fn amount(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|amount: &f64| amount.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_stake_is_probability_times_amount_within_bounds() {
        for (probability, amount, expected) in [
            (0.25, 80.0, 20_000_000),
            (0.5, 0.01, 5_000),
            (0.9, -30.0, 0),
            (1.0, 1e300, RISK_MAX),
            (0.0, 1e9, 0),
            (0.123_456_7, 1.0, 123_457),
        ] {
            assert_eq!(risk(probability, amount), expected, "{probability} × {amount}");
        }
        assert_eq!(of_risk(20_000_000), 20.0);
    }

    #[test]
    fn a_key_is_its_cells_as_they_were_sent() {
        let row = r#"{"card":"C \"1\"","shop":7,"device":null}"#;
        let cells: Cells<'_> = serde_json::from_str(row).expect("an object");
        let key = |columns: &[&str]| joined(&columns.iter().map(|c| c.to_string()).collect::<Vec<_>>(), &cells);
        assert_eq!(key(&["card"]), Some(("card".into(), "C \"1\"".into())));
        assert_eq!(key(&["card", "shop"]), Some(("card+shop".into(), "C \"1\"\u{1f}7".into())));
        assert_eq!((key(&["device"]), key(&["shop", "place"])), (None, None));
        assert_eq!((amount(" 12.50 "), amount("1e999"), amount("much")), (Some(12.5), None, None));
    }
}
