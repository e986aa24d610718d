//! Fraud: transactions scored as they happen. A card company learns of a fraud a week later, and can look at so many cards a
//! day.
//!
//! Splits are out-of-time with the label delay between training and test. What the model sees besides the transaction's own
//! columns is what happened lately: at the card without the transaction itself, and at the terminal as far as it was known. Where a
//! sequence is declared, such as the card's last payments, a network that reads it is among the candidates.

use super::Declaration;
use crate::note::Note;
use crate::project::{Settings, UseCase, Window};
use crate::report::ALERTS;
use statera_core::{Error, Result};
use statera_data::window::{Feature, Shift, Span, What, Windows};
use std::collections::BTreeMap;

/// How long a fraud takes to be known where nothing else is said.
const LABEL_DELAY: &str = "7 days";
/// Cards reviewed a day where nothing else is said: the handbook's.
pub const DEFAULT_CAPACITY: usize = 100;

pub(super) const FRAUD: Declaration = Declaration {
    use_case: UseCase::Fraud,
    name: "fraud",
    about: "transactions that are not their card holder's",
    has_target: true,
    models: &["logistic", "boosting", "boosting_rare"],
    models_of_sequences: &["gru"],
    metrics: &["average_precision", "recall_at_1_percent_fpr"],
    sections: &[ALERTS],
    complete,
    note,
};

/// Without a card nobody could be reviewed, and without a time nothing is known late.
fn complete(settings: &mut Settings) -> Result<()> {
    for (role, given) in [("card", &settings.card), ("time", &settings.time)] {
        if given.is_none() {
            return Err(Error::request(format!("{role}: missing; the use case fraud needs it (--{role} COL)")));
        }
    }
    settings.label_delay.get_or_insert_with(|| LABEL_DELAY.into());
    if settings.windows.is_none() {
        settings.windows = declared(settings)?;
    }
    settings.capacity.get_or_insert(DEFAULT_CAPACITY);
    settings.purpose = super::purpose(settings).into();
    Ok(())
}

/// Tells who named no id, and declared no windows, that the model sees nothing of what happened lately.
fn note(settings: &Settings) -> Option<Note> {
    let is_without = settings.windows.is_none() && settings.id.is_none();
    is_without.then(|| Note::new("windows_need_id", &[]))
}

/// The default windows of the columns that the settings name; `None` without an id, by which events of equal time are ordered.
fn declared(settings: &Settings) -> Result<Option<Windows>> {
    let (Some(time), Some(id), Some(card)) = (&settings.time, &settings.id, &settings.card) else { return Ok(None) };
    let columns = Columns {
        time,
        id,
        label: (&settings.target, settings.positive.as_deref()),
        label_delay: settings.label_delay.as_deref().unwrap_or(LABEL_DELAY),
        card,
        terminal: settings.terminal.as_deref(),
        amount: settings.amount.as_deref(),
    };
    windows(&columns).map(Some)
}

/// Columns of a table of transactions.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// When it happened.
    pub time: &'a str,
    /// What names it.
    pub id: &'a str,
    /// Whether it was a fraud, and the value that says so.
    pub label: (&'a str, Option<&'a str>),
    /// How long that takes to be known.
    pub label_delay: &'a str,
    /// Whose card or account.
    pub card: &'a str,
    /// Where: terminal, merchant, payee.
    pub terminal: Option<&'a str>,
    /// How much.
    pub amount: Option<&'a str>,
}

/// The windowed features that hold where none are declared.
///
/// Of the card, without the transaction itself: how many, how much on average and how much that spreads, the amount over
/// that average, the largest amounts of late. Of the terminal, moved back by the label delay: how many, how many of them were
/// frauds, and their share. Windows of one to ninety days; chosen on the handbook's weeks from June to early August
/// (`bench/README.md`).
///
/// # Errors
/// A label delay that is no length of time.
pub fn windows(columns: &Columns<'_>) -> Result<Windows> {
    let days = |days: &[u16]| days.iter().map(|d| Span::parse(&format!("{d}d"))).collect::<Result<Vec<Span>>>();
    let feature = |key: &str, of: Option<&str>, what: &[What], over: &[u16]| -> Result<Feature> {
        Ok(Feature {
            key: vec![key.into()],
            of: of.map(String::from),
            level: None,
            what: what.to_vec(),
            over: days(over)?,
            current: false,
            shift: None,
            resolution: None,
        })
    };
    let mut features = vec![feature(columns.card, None, &[What::Count], &[1, 7, 30])?];
    if columns.amount.is_some() {
        features.extend([
            feature(columns.card, columns.amount, &[What::Mean, What::RatioToMean], &[1, 7, 30, 90])?,
            feature(columns.card, columns.amount, &[What::Std], &[7, 30, 90])?,
            feature(columns.card, columns.amount, &[What::Max], &[3, 7, 14, 30])?,
        ]);
    }
    if let Some(terminal) = columns.terminal {
        let known = |what: &[What], over: &[u16]| -> Result<Feature> {
            let of = Some(columns.label.0);
            Ok(Feature { current: true, shift: Some(Shift::Label), ..feature(terminal, of, what, over)? })
        };
        features.push(known(&[What::Count], &[1, 7, 28])?);
        features.push(known(&[What::Sum, What::Mean], &[1, 2, 3, 7, 14, 28])?);
    }
    Ok(Windows {
        time: columns.time.into(),
        id: columns.id.into(),
        label: Some(columns.label.0.into()),
        positive: columns.label.1.map(String::from),
        label_delay: Some(label_delay(columns.label_delay)?),
        label_time: None,
        number: BTreeMap::new(),
        features,
        sequences: Vec::new(),
    })
}

/// The delay that windows of labels are moved back by, which is the one of the split.
fn label_delay(text: &str) -> Result<Span> {
    let days = match Window::parse(text) {
        Ok(Window::Days(days)) => Span::parse(&format!("{days}d")).ok(),
        _ => None,
    };
    let refused = || Error::request(format!("label_delay: «{text}» is not allowed; allowed are 1 days to 1000 days"));
    days.ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_data::window::Definition;

    const COLUMNS: Columns<'_> = Columns {
        time: "at",
        id: "id",
        label: ("fraud", None),
        label_delay: "7 days",
        card: "card",
        terminal: Some("shop"),
        amount: Some("amount"),
    };

    #[test]
    fn the_default_windows_are_a_definition_with_names_of_their_own() {
        let mut own = windows(&COLUMNS).unwrap();
        own.number
            .insert("amount".into(), statera_data::window::NumberColumn { decimals: Some(2), ..Default::default() });
        let names = own.column_names();
        assert_eq!(names.len(), 3 + 8 + 3 + 4 + 3 + 12);
        for name in ["card_count_7d_before", "card_amount_ratio_to_mean_90d_before", "shop_fraud_mean_28d_shifted"] {
            assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
        }
        Definition::new(own).unwrap();
        let few = windows(&Columns { terminal: None, amount: None, ..COLUMNS }).unwrap();
        assert_eq!(few.column_names(), ["card_count_1d_before", "card_count_7d_before", "card_count_30d_before"]);
        for wrong in ["12 months", "soon", "90s", "0 days", "1001 days"] {
            let message = windows(&Columns { label_delay: wrong, ..COLUMNS }).unwrap_err().to_string();
            assert_eq!(message, format!("label_delay: «{wrong}» is not allowed; allowed are 1 days to 1000 days"));
        }
        let short = windows(&Columns { label_delay: "7d", ..COLUMNS }).unwrap();
        assert_eq!(short.label_delay, Some(Span::parse("7d").unwrap()));
    }

    #[test]
    fn a_card_and_a_time_are_needed_and_the_rest_has_defaults() {
        let mut settings = Settings { use_case: UseCase::Fraud, time: Some("at".into()), ..Settings::default() };
        let message = super::super::complete(&mut settings).unwrap_err().to_string();
        assert_eq!(message, "card: missing; the use case fraud needs it (--card COL)");
        settings.card = Some("card".into());
        super::super::complete(&mut settings).unwrap();
        assert_eq!((settings.label_delay.as_deref(), settings.capacity), (Some("7 days"), Some(100)));
        assert_eq!(settings.models, ["logistic", "boosting", "boosting_rare"]);
        // Without an id there are no default windows, and the user is told.
        assert!(settings.windows.is_none());
        let told = note(&settings).expect("an id is missing").english();
        assert!(told.contains("--id COL") && told.contains("--terminal COL"), "{told}");
        let mut named = Settings { id: Some("id".into()), target: "fraud".into(), ..settings.clone() };
        super::super::complete(&mut named).unwrap();
        assert!(named.windows.is_some() && note(&named).is_none());
        assert!(note(&Settings { id: None, ..named.clone() }).is_none(), "windows were declared");
        // With the steps of a sequence a network that reads them is a candidate, unless candidates were named.
        let steps = vec![vec!["a".to_string()], vec!["b".to_string()]];
        let mut stepped =
            Settings { models: Vec::new(), sequences: [("last".to_string(), steps)].into(), ..named.clone() };
        super::super::complete(&mut stepped).unwrap();
        assert_eq!(stepped.models, ["logistic", "boosting", "boosting_rare", "gru"]);
        // The nodes of a neighbourhood are no steps that such a network reads, alone or beside a sequence.
        let mut around = Settings { models: Vec::new(), sequences: BTreeMap::new(), ..stepped.clone() };
        for settings in [&mut around, &mut stepped] {
            settings.models.clear();
            settings.sequences.insert("near".into(), vec![vec!["near_amount_0".into()], vec!["near_amount_1".into()]]);
            settings.fans.insert("near".into(), [1, 0]);
            super::super::complete(settings).unwrap();
        }
        assert_eq!(around.models, ["logistic", "boosting", "boosting_rare"]);
        assert_eq!(stepped.models, ["logistic", "boosting", "boosting_rare", "gru"]);
        let mut windowed = Settings { models: Vec::new(), ..named.clone() };
        let last = statera_data::window::Steps {
            name: "last".into(),
            key: vec!["card".into()],
            of: vec!["amount".into()],
            steps: 5,
            within: Span::parse("30d").unwrap(),
        };
        windowed.windows.as_mut().unwrap().sequences.push(last);
        super::super::complete(&mut windowed).unwrap();
        assert_eq!(windowed.models.last().map(String::as_str), Some("gru"));
        windowed.models = vec!["boosting".into()];
        super::super::complete(&mut windowed).unwrap();
        assert_eq!(windowed.models, ["boosting"]);
        // What was said stays.
        settings.capacity = Some(20);
        settings.models = vec!["mlp".into()];
        super::super::complete(&mut settings).unwrap();
        assert_eq!((settings.capacity, settings.models.len()), (Some(20), 1));
    }
}
