//! The use case fraud through the whole pipeline: what its bundle says of alerts, and the chapter of the report.

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use statera::given::Given;
use statera::pipeline::{self, Trained};
use statera::project::{Settings, UseCase};
use statera::reasons::Language;
use statera::report::{self, Subject};
use statera::use_case;
use statera_core::metric::measured;
use statera_core::{Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const DAY: i64 = 86_400_000_000;

/// Forty transactions of sixty cards on each of sixty days from 2018-04-01; cards whose number is a multiple of ten are
/// defrauded for a week each, with amounts four times as high.
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
    let whole = |v: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(v)) };
    let number = |v: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(v)) };
    let columns: Vec<(&str, ArrayRef, Kind)> = vec![
        ("id", whole(id), Kind::Identifier),
        ("at", Arc::new(TimestampMicrosecondArray::from(at).with_timezone("UTC")), Kind::Time),
        ("card", whole(card), Kind::Number),
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
    let saved: Vec<f64> = alerts.by_capacity.iter().map(|p| p.share_saved.unwrap().value).collect();
    assert!(saved.windows(2).all(|w| w[0] <= w[1] + 1e-12) && saved[saved.len() - 1] > 0.9, "{saved:?}");
    // Twenty-four days of test are four weeks, the last one short.
    assert_eq!(alerts.weeks.len(), 4);
    assert_eq!(alerts.weeks.iter().map(|w| w.n_rows).sum::<usize>(), alerts.n_rows);
    let cutoff = TRAINED.facts.leaderboard.cutoff;
    assert!(cutoff > 0.0 && cutoff < 1.0 && cutoff != 0.5, "{cutoff}");
    assert_eq!(TRAINED.facts.settings.purpose, "fraud");
    // The card is no feature.
    assert!(TRAINED.bundle.scorer.schema().inputs.iter().all(|i| i.name != "card"));
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
        assert!(page.matches("<svg").count() >= 3 && !page.contains("alerts."), "{language:?}");
    }
}

#[test]
fn other_use_cases_have_no_such_chapter() {
    let settings = Settings {
        use_case: UseCase::Table,
        capacity: None,
        review_cost: None,
        card: None,
        drop: vec!["card".into()],
        models: vec!["logistic".into()],
        ..settings()
    };
    let trained = train(&settings);
    assert!(trained.facts.alerts.is_none());
    let page = report::html(&Subject::of(&trained.bundle, None, Language::En).unwrap()).unwrap();
    assert!(!page.contains("#alerts"));
}
