//! The use case fraud through the whole pipeline: what its bundle says of alerts, and the chapter of the report.

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use statera::alerts::{Case, MAX_CARDS, MAX_TERMINALS};
use statera::bundle::Bundle;
use statera::given::Given;
use statera::pipeline::{self, Trained};
use statera::project::{Settings, UseCase};
use statera::reasons::Language;
use statera::report::{self, Pack, Subject};
use statera::use_case;
use statera_core::metric::measured;
use statera_core::{Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const DAY: i64 = 86_400_000_000;
/// What the ids of cards and shops begin with.
const CARD: &str = "CRD-4711-";
const SHOP: &str = "SHP-0815-";

/// Forty transactions of sixty cards on each of sixty days from 2018-04-01; cards whose number is a multiple of ten are
/// defrauded for a week each, with amounts four times as high. They are made in twenty-three shops in turn.
fn transactions() -> Table {
    let mut rng = Rng::new(7);
    let (mut id, mut at, mut card, mut amount, mut hour, mut fraud) = (vec![], vec![], vec![], vec![], vec![], vec![]);
    for day in 0..60 {
        for i in 0..40 {
            let number = rng.below(60) as i64;
            let is_fraud = number % 10 == 0 && (number / 10) * 10 <= day && day < (number / 10) * 10 + 9 && i % 2 == 0;
            id.push(day * 40 + i);
            at.push((17_622 + day) * DAY + (rng.uniform() * DAY as f64) as i64);
            card.push(number);
            amount
                .push(((20.0 + 10.0 * rng.normal().abs()) * if is_fraud { 4.0 } else { 1.0 } * 100.0).round() / 100.0);
            hour.push(rng.uniform() * 24.0);
            fraud.push(i64::from(is_fraud));
        }
    }
    let shop = (0..60 * 40).map(|i| format!("{SHOP}{:02}", i % 23)).collect();
    let card = card.into_iter().map(|number: i64| format!("{CARD}{number:02}")).collect();
    let text = |v: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(v)) };
    let whole = |v: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(v)) };
    let number = |v: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(v)) };
    let columns: Vec<(&str, ArrayRef, Kind)> = vec![
        ("id", whole(id), Kind::Identifier),
        ("at", Arc::new(TimestampMicrosecondArray::from(at).with_timezone("UTC")), Kind::Time),
        ("card", text(card), Kind::Category),
        ("shop", text(shop), Kind::Category),
        ("amount", number(amount), Kind::Number),
        ("hour", number(hour), Kind::Number),
        ("fraud", whole(fraud), Kind::Number),
    ];
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, c, _)| (*name, c.clone()))).unwrap();
    let infos = columns.into_iter().map(|(name, _, kind)| ColumnInfo { name: name.into(), kind });
    Table { columns: infos.collect(), batches: vec![batch], origin: "transactions.csv".into() }
}

fn settings() -> Settings {
    let mut settings = Settings {
        use_case: UseCase::Fraud,
        target: "fraud".into(),
        id: Some("id".into()),
        time: Some("at".into()),
        card: Some("card".into()),
        terminal: Some("shop".into()),
        amount: Some("amount".into()),
        label_delay: Some("2 days".into()),
        capacity: Some(3),
        review_cost: Some(5.0),
        models: vec!["logistic".into(), "boosting_rare".into()],
        test_share: 0.4,
        folds: 2,
        ..Settings::default()
    };
    use_case::complete(&mut settings).unwrap();
    settings
}

fn train(settings: &Settings) -> Trained {
    pipeline::train(transactions(), settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap()
}

static TRAINED: LazyLock<Trained> = LazyLock::new(|| train(&settings()));

#[test]
fn the_facts_tell_what_a_desk_of_that_size_finds() {
    let alerts = TRAINED.facts.alerts.as_ref().expect("cards were named");
    assert_eq!((alerts.capacity, alerts.review_cost), (3, 5.0));
    assert_eq!(alerts.n_rows + alerts.n_known, TRAINED.facts.n_test);
    assert!(alerts.n_known > 0, "cards that were defrauded before have left");
    let precision = measured(&alerts.figures, "card_precision").unwrap();
    let own = alerts.by_capacity.iter().find(|p| p.capacity == 3).unwrap();
    assert_eq!(own.card_precision, precision);
    assert!(precision.value > 0.0 && precision.low <= precision.value, "{precision:?}");
    let reviewed = alerts.reviewed.expect("a desk of three");
    let share = reviewed.n_caught as f64 / (3 * reviewed.n_days) as f64;
    assert!((share - precision.value).abs() < 1e-12, "{reviewed:?} is not {precision:?}");
    assert!(reviewed.n_caught <= reviewed.n_with_fraud && reviewed.n_alerts <= 3 * reviewed.n_days, "{reviewed:?}");
    let saved: Vec<f64> = alerts.by_capacity.iter().map(|p| p.share_saved.unwrap().value).collect();
    assert!(saved.windows(2).all(|w| w[0] <= w[1] + 1e-12) && saved[saved.len() - 1] > 0.9, "{saved:?}");
    // Twenty-four days of test are four weeks, the last one short.
    assert_eq!(alerts.weeks.len(), 4);
    assert_eq!(alerts.weeks.iter().map(|w| w.n_rows).sum::<usize>(), alerts.n_rows);
    let cutoff = TRAINED.facts.leaderboard.cutoff;
    assert!(cutoff > 0.0 && cutoff < 1.0 && cutoff != 0.5, "{cutoff}");
    assert_eq!(TRAINED.facts.settings.purpose, "fraud");
    // Neither the card nor the shop is a feature.
    assert!(TRAINED.bundle.scorer.schema().inputs.iter().all(|i| i.name != "card" && i.name != "shop"));
}

fn case() -> &'static Case {
    TRAINED.facts.alerts.as_ref().and_then(|alerts| alerts.case.as_ref()).expect("a card was caught")
}

#[test]
fn one_card_that_was_caught_is_told_in_coarse_figures() {
    let case = case();
    assert!((1..=3).contains(&case.rank), "{}", case.rank);
    assert_eq!(case.transactions.len(), case.n_transactions, "a card has few transactions");
    assert!(case.transactions.iter().any(|t| t.is_fraud && t.is_alerted));
    assert_eq!(case.transactions[0].hour, 0);
    assert!(case.transactions.windows(2).all(|pair| pair[0].hour <= pair[1].hour));
    for transaction in &case.transactions {
        let digits = format!("{:.1e}", transaction.amount.unwrap()).parse::<f64>().unwrap();
        assert_eq!(Some(digits), transaction.amount);
        assert!((0.0..=1.0).contains(&transaction.probability));
    }
    let network = case.network.as_ref().expect("shops were named");
    assert_eq!(network.column, "shop");
    assert!(network.terminals.len() == network.n_terminals.min(MAX_TERMINALS) && !network.terminals.is_empty());
    assert!(network.cards.len() == network.n_cards.min(MAX_CARDS) && !network.cards.is_empty());
    let told = |of: &dyn Fn(&statera::alerts::CaseTerminal) -> usize| network.terminals.iter().map(of).sum::<usize>();
    let named = case.transactions.iter().filter(|t| t.terminal.is_some());
    assert_eq!(told(&|t| t.n_transactions), named.clone().count());
    assert_eq!(told(&|t| t.n_frauds), named.filter(|t| t.is_fraud).count());
}

/// Pictures of the case on a page: both timelines, and the network.
fn case_pictures(page: &str) -> [usize; 2] {
    [page.matches("<figcaption>Timeline: ").count(), page.matches("<figcaption>Network</figcaption>").count()]
}

fn page(bundle: &Bundle) -> String {
    report::html(&Subject::of(bundle, None, Language::En).unwrap()).unwrap()
}

#[test]
fn the_case_has_pictures_without_ids() {
    let whole = page(&TRAINED.bundle);
    assert_eq!(case_pictures(&whole), [2, 1]);
    assert!(whole.contains("except for the one case under «Alerts»"));
    let subject = Subject::of(&TRAINED.bundle, None, Language::En).unwrap();
    let form = report::document(&subject, Pack::find("kr-fsc").unwrap(), None).unwrap();
    assert!(form.contains("of customers one card's case") && !form.contains("no row taken from a customer"), "{form}");
    let document = report::json(&subject).unwrap().to_string();
    for text in [&whole, &form, &document] {
        assert!(!text.contains(CARD) && !text.contains(SHOP), "ids do not leave the training");
    }
    assert_eq!(page(&TRAINED.bundle), whole, "the same bundle gives the same page");
}

#[test]
fn what_a_bundle_does_not_tell_of_a_case_is_a_gap() {
    let mut bundle = train(&Settings { models: vec!["logistic".into()], ..settings() }).bundle;
    bundle.facts["alerts"]["case"]["network"] = serde_json::Value::Null;
    let without_network = page(&bundle);
    assert_eq!(case_pictures(&without_network), [2, 0]);
    assert!(without_network.contains("No column tells where the card was used"));
    // As bundles of former versions are.
    bundle.facts["alerts"].as_object_mut().unwrap().remove("case");
    let without = page(&bundle);
    assert_eq!(case_pictures(&without), [0, 0]);
    assert!(without.contains("No case is told") && without.contains("No row in the bundle is taken from a customer. "));
}

#[test]
fn a_training_without_an_id_says_what_one_would_bring() {
    let told = |settings: &Settings| {
        let notes = train(settings).facts.notes;
        notes.iter().any(|note| note.starts_with("no windowed features were made") && note.contains("--id COL"))
    };
    let few = Settings { models: vec!["logistic".into()], ..settings() };
    assert!(!told(&few));
    assert!(told(&Settings { id: None, windows: None, ..few }));
}

#[test]
fn a_dearer_review_raises_fewer_alerts() {
    let dear = train(&Settings { review_cost: Some(70.0), models: vec!["logistic".into()], ..settings() });
    let cheap = train(&Settings { models: vec!["logistic".into()], ..settings() });
    let [dear, cheap] = [dear, cheap].map(|t| t.facts.leaderboard.cutoff);
    assert!(dear > cheap, "{dear}, {cheap}");
}

#[test]
fn the_chapter_stands_in_the_report_of_fraud_in_three_languages() {
    for language in [Language::En, Language::Ko, Language::Zh] {
        let subject = Subject::of(&TRAINED.bundle, None, language).unwrap();
        let page = report::html(&subject).unwrap();
        assert!(page.contains("id=\"alerts\"") || page.contains("#alerts"), "{language:?}");
        assert!(page.matches("<svg").count() >= 6 && !page.contains("alerts."), "{language:?}");
    }
}

#[test]
fn other_use_cases_have_no_such_chapter() {
    let settings = Settings {
        use_case: UseCase::Table,
        capacity: None,
        review_cost: None,
        card: None,
        terminal: None,
        windows: None,
        drop: vec!["card".into(), "shop".into()],
        models: vec!["logistic".into()],
        ..settings()
    };
    let trained = train(&settings);
    assert!(trained.facts.alerts.is_none());
    let page = report::html(&Subject::of(&trained.bundle, None, Language::En).unwrap()).unwrap();
    assert!(!page.contains("#alerts"));
}
