use super::*;
use arrow_array::{RecordBatch, StringArray};
use statera_core::Task;
use statera_data::window::{Feature, What, Windows};
use std::sync::Arc;

/// Hour, card, shop, fraud, amount and score of a transaction; what it says is known a day later.
type Row = (i64, u64, Option<&'static str>, bool, f64, f64);

/// Before the test: cards 7 and 8 were defrauded, card 9 was not.
const TRAIN: [Row; 3] = [
    (0, 7, Some("market-x"), true, 5.0, 0.0),
    (1, 8, Some("market-y"), true, 5.0, 0.0),
    (2, 9, Some("market-x"), false, 5.0, 0.0),
];

/// With one review a day card 2 is caught on day 10 (.5), card 1 is reviewed in vain on day 11 (.8) and caught on day 12 (.9).
const TEST: [Row; 7] = [
    (240, 1, Some("market-x"), false, 12.34, 0.1),
    (250, 2, Some("market-x"), true, 20.0, 0.5),
    (264, 1, Some("market-z"), false, 30.4, 0.8),
    (265, 1, Some("market-z"), false, 3.0, 0.7),
    (289, 1, Some("market-x"), true, 987.6, 0.9),
    (290, 1, None, true, 45.5, 0.3),
    (291, 4, Some("market-x"), true, 8.0, 0.2),
];

fn set(rows: &[Row]) -> TrainingSet {
    let shops: StringArray = rows.iter().map(|r| r.2).collect();
    TrainingSet {
        origin: "payments.csv".into(),
        batch: RecordBatch::try_from_iter([("shop", Arc::new(shops) as ArrayRef)]).unwrap(),
        columns: Vec::new(),
        features: Vec::new(),
        task: Task::Binary,
        classes: Vec::new(),
        target: rows.iter().map(|r| f64::from(r.3)).collect(),
        weight: None,
        time: Some(rows.iter().map(|r| r.0 * HOUR).collect()),
        known: Some(rows.iter().map(|r| (r.0 + 24) * HOUR).collect()),
        group: None,
        card: Some(rows.iter().map(|r| r.1).collect()),
        amount: Some(rows.iter().map(|r| r.4).collect()),
        baseline: None,
        fingerprint: String::new(),
        features_fingerprint: None,
        notes: Vec::new(),
    }
}

fn settings() -> Settings {
    Settings { card: Some("card".into()), terminal: Some("shop".into()), ..Settings::default() }
}

/// The case of measured rows all of which stand in the queue.
fn case_of(train: &[Row], test: &[Row], capacity: usize, settings: &Settings) -> Option<Case> {
    let (train, rows) = (set(train), set(test));
    let day: Vec<i64> = test.iter().map(|r| r.0 / 24).collect();
    let score: Vec<f64> = test.iter().map(|r| r.5).collect();
    let kept: Vec<usize> = (0..test.len()).collect();
    let probabilities: Vec<f64> = score.iter().map(|s| s / 3.0).collect();
    let table = Transactions {
        day: &day,
        card: rows.card.as_deref().unwrap(),
        target: &rows.target,
        score: &score,
        amount: rows.amount.as_deref().unwrap(),
    };
    let desk = Desk { rows: &rows, train: &train, probabilities: &probabilities, kept: &kept, table };
    desk.case(capacity, settings).unwrap()
}

#[test]
fn the_case_is_the_card_that_was_caught_highest() {
    let case = case_of(&TRAIN, &TEST, 1, &settings()).expect("cards are caught");
    let told = |hour, amount, probability, is_fraud, is_alerted, terminal| CaseTransaction {
        hour,
        amount: Some(amount),
        probability,
        is_fraud,
        is_alerted,
        terminal,
    };
    let expected = Case {
        rank: 1,
        n_transactions: 5,
        transactions: vec![
            told(0, 12.0, 0.033, false, false, Some(0)),
            told(24, 30.0, 0.267, false, true, Some(1)),
            told(25, 3.0, 0.233, false, false, Some(1)),
            told(49, 990.0, 0.3, true, true, Some(0)),
            told(50, 46.0, 0.1, true, false, None),
        ],
        network: Some(CaseNetwork {
            column: "shop".into(),
            n_terminals: 2,
            // Card 2, whose fraud was known by then, and card 7; card 4's was not, and card 8's was elsewhere.
            n_cards: 2,
            terminals: vec![
                CaseTerminal { n_transactions: 2, n_frauds: 1 },
                CaseTerminal { n_transactions: 2, n_frauds: 0 },
            ],
            cards: vec![CaseCard { terminals: vec![0], n_frauds: 1 }, CaseCard { terminals: vec![0], n_frauds: 1 }],
        }),
    };
    assert_eq!(case, expected);
    let text = serde_json::to_string(&case).unwrap();
    assert!(!text.contains("market"), "{text}");
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
}

#[test]
fn without_a_column_of_terminals_there_is_no_network() {
    let case = case_of(&TRAIN, &TEST, 1, &Settings { terminal: None, ..settings() }).unwrap();
    assert_eq!(case.network, None);
    assert!(case.transactions.len() == 5 && case.transactions.iter().all(|t| t.terminal.is_none()));
}

#[test]
fn without_a_card_that_is_caught_there_is_no_case() {
    assert_eq!(case_of(&TRAIN, &TEST, 0, &settings()), None);
    let genuine: Vec<Row> = TEST.iter().map(|r| (r.0, r.1, r.2, false, r.4, r.5)).collect();
    assert_eq!(case_of(&TRAIN, &genuine, 3, &settings()), None);
}

#[test]
fn rows_that_train_and_are_measured_count_once() {
    // Without a test the measured rows are some of those that were trained on.
    let both: Vec<Row> = TRAIN.iter().chain(&TEST).copied().collect();
    assert_eq!(case_of(&both, &TEST, 1, &settings()), case_of(&TRAIN, &TEST, 1, &settings()));
}

#[test]
fn what_is_told_is_bounded() {
    const SHOPS: [&str; 20] =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
    // Fifty other cards, defrauded in three shops each; the card was in twenty shops, and its fraud is in the last one.
    let train: Vec<Row> =
        (0..150_i64).map(|i| (i, 100 + i as u64 / 3, Some(SHOPS[i as usize % 20]), true, 1.0, 0.0)).collect();
    let of =
        |i: i64| (1000 + i, 1, Some(SHOPS[i as usize * 20 / 400]), i == 399, 1.0, if i == 399 { 0.9 } else { 0.1 });
    let test: Vec<Row> = (0..400).map(of).collect();
    let case = case_of(&train, &test, 1, &settings()).unwrap();
    assert_eq!((case.n_transactions, case.transactions.len()), (400, MAX_TRANSACTIONS));
    assert!(case.transactions.last().unwrap().is_fraud && case.transactions[0].hour == 0);
    let network = case.network.unwrap();
    assert_eq!((network.n_terminals, network.terminals.len()), (20, MAX_TERMINALS));
    assert_eq!(network.terminals.last(), Some(&CaseTerminal { n_transactions: 20, n_frauds: 1 }));
    assert!(network.n_cards > MAX_CARDS && network.cards.len() == MAX_CARDS);
    let mean = |c: &CaseCard| c.terminals.iter().sum::<usize>() as f64 / c.terminals.len() as f64;
    assert!(network.cards.windows(2).all(|c| mean(&c[0]) <= mean(&c[1])));
    assert!(network.cards.iter().all(|c| c.terminals.iter().all(|&t| t < MAX_TERMINALS)));
}

#[test]
fn the_rows_around_the_alert_are_told() {
    let rows = |alert| around((0..300).collect(), alert);
    for (alert, first) in [(0, 0), (10, 0), (150, 90), (299, 180)] {
        let told = rows(alert);
        assert_eq!((told.len(), told[0]), (MAX_TRANSACTIONS, first), "{alert}");
        assert!(told.contains(&alert), "{alert}");
    }
    assert_eq!(around(vec![3, 5, 8], 5), [3, 5, 8]);
}

#[test]
fn keys_of_windows_stand_for_terminals_where_none_is_named() {
    let feature = |key: &[&str]| Feature {
        key: key.iter().map(|k| (*k).to_string()).collect(),
        of: None,
        level: None,
        what: vec![What::Count],
        over: Vec::new(),
        current: false,
        shift: None,
        resolution: None,
    };
    let windows = |features| Windows {
        time: "at".into(),
        id: "id".into(),
        label: None,
        positive: None,
        label_delay: None,
        label_time: None,
        number: BTreeMap::new(),
        features,
        sequences: Vec::new(),
    };
    let of = |keys: &[Vec<&str>]| {
        let windows = windows(keys.iter().map(|key| feature(key)).collect());
        let settings = Settings { terminal: None, windows: Some(windows), ..settings() };
        terminal_column(&settings).map(String::from)
    };
    assert_eq!(of(&[vec!["card"], vec!["card", "device"], vec!["shop"]]), Some("device".into()));
    assert_eq!(of(&[vec!["card"]]), None);
    assert_eq!(terminal_column(&settings()), Some("shop"));
}

#[test]
fn amounts_have_two_digits() {
    for (amount, expected) in [(0.0, 0.0), (9.99, 10.0), (1234.5, 1200.0), (-47.5, -48.0), (0.0123, 0.012)] {
        assert_eq!(two_digits(amount), expected);
    }
}
