//! The search through the pipeline, on a small invented table.

use super::*;
use crate::given::Given;
use crate::leaderboard::Leaderboard;
use crate::pipeline::{self, Trained};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use statera_core::{Kind, Progress};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows whose outcome hangs on two of four numbers (`signal` 1), or on none (`signal` 0).
fn table(n: usize, signal: f64) -> Table {
    let mut rng = Rng::new(11);
    let numbers: Vec<Vec<f64>> = (0..4).map(|_| (0..n).map(|_| rng.normal()).collect()).collect();
    let bad = |i: usize, rng: &mut Rng| {
        let z = -0.6 + signal * (1.2 * numbers[0][i] * numbers[1][i] + numbers[0][i]);
        i64::from(rng.uniform() < 1.0 / (1.0 + (-z).exp()))
    };
    let bad: Vec<i64> = (0..n).map(|i| bad(i, &mut rng)).collect();
    let time = (0..n).map(|i| 1_500_000_000_000_000 + (i as i64 * 7919 % n as i64) * 86_400_000_000);
    let names = ["a", "b", "c", "d"];
    let mut columns: Vec<(&str, ArrayRef)> =
        names.into_iter().zip(numbers.clone()).map(|(n, v)| (n, Arc::new(Float64Array::from(v)) as ArrayRef)).collect();
    columns.push(("bad", Arc::new(Int64Array::from(bad))));
    columns.push(("day", Arc::new(TimestampMicrosecondArray::from_iter_values(time).with_timezone("UTC"))));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let kind = |name: &str| if name == "day" { Kind::Time } else { Kind::Number };
    let columns =
        batch.schema().fields().iter().map(|f| ColumnInfo { name: f.name().clone(), kind: kind(f.name()) }).collect();
    Table { columns, batches: vec![batch], origin: "invented".into() }
}

fn settings(models: &[&str], trials: usize) -> Settings {
    Settings {
        target: "bad".into(),
        drop: vec!["day".into()],
        models: models.iter().map(ToString::to_string).collect(),
        trials: Some(trials),
        ..Settings::default()
    }
}

fn train(table: Table, settings: &Settings, run: &Run) -> Result<Trained> {
    pipeline::train(table, settings, &BTreeMap::new(), &Given::default(), run)
}

fn digest(trained: &mut Trained) -> String {
    let dir = tempfile::tempdir().unwrap();
    trained.bundle.write(&dir.path().join("a.statera"), false, &Run::new(1, 2)).unwrap();
    trained.bundle.digest().unwrap()
}

#[test]
fn every_trial_is_recorded_and_the_search_repeats_whatever_the_threads() {
    let settings = settings(&["scorecard", "logistic", "boosting"], 14);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(table(1200, 1.0), &settings, &Run::new(1, threads)).unwrap())
    };
    let mut one = with(1);
    assert_eq!(digest(&mut one), digest(&mut with(3)));
    // What is in the bundle reads back to what was found.
    let read: crate::facts::Facts = serde_json::from_value(one.bundle.facts.clone()).unwrap();
    let search = read.search.expect("a search was made");
    assert_eq!(Some(&search), one.facts.search.as_ref());
    assert_eq!(search.trials.iter().map(|t| t.number).collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>());
    // The three defaults in turn, then batches of 4 of each family until 14 are made.
    let order: Vec<&str> = search.trials.iter().map(|t| t.family.as_str()).collect();
    let mut expected = vec!["scorecard", "logistic", "boosting"];
    [("scorecard", 4), ("logistic", 4), ("boosting", 3)].iter().for_each(|&(f, n)| expected.extend(vec![f; n]));
    assert_eq!(order, expected);
    let boosting = search.trials.iter().find(|t| t.family == "boosting").unwrap();
    assert_eq!(boosting.settings["learning_rate"], 0.05);
    // 1,200 rows, a fifth of them the test, a fifth of the rest judges trials and nobody else.
    assert_eq!((search.n_rows, search.n_judging, search.n_leaderboard), (vec![768], 192, 768));
    for family in &search.families {
        assert!(family.default_figure > 0.5 && family.best_trial.is_some(), "{family:?}");
    }
}

#[test]
fn a_search_ended_by_time_is_the_search_of_as_many_trials() {
    let timed = Settings { trials: None, budget: Some("2s".into()), ..settings(&["logistic"], 0) };
    let mut by_time = train(table(600, 1.0), &timed, &Run::new(1, 2)).unwrap();
    let n = by_time.facts.search.as_ref().unwrap().trials.len();
    assert!(n >= 5 && (n - 1).is_multiple_of(BATCH), "{n} trials");
    let mut by_trials = train(table(600, 1.0), &settings(&["logistic"], n), &Run::new(1, 2)).unwrap();
    assert_eq!(by_time.facts, by_trials.facts);
    assert_eq!(digest(&mut by_time), digest(&mut by_trials));
    assert_eq!(by_time.facts.settings.trials, Some(n));
    assert_eq!(by_time.facts.settings.budget, None);
}

#[test]
fn where_nothing_helps_the_defaults_stay() {
    // Of noise alone some settings are the best on the rows that chose them; on other rows they are not.
    let trained = train(table(1500, 0.0), &settings(&["boosting"], 17), &Run::new(1, 2)).unwrap();
    let board: &Leaderboard = &trained.facts.leaderboard;
    assert_eq!(board.chosen, "boosting", "{:?}", board.entries.iter().map(|e| &e.model).collect::<Vec<_>>());
    let family = &trained.facts.search.as_ref().unwrap().families[0];
    let gain = family.gain.as_ref().unwrap();
    assert_eq!(family.tuned, gain.gain.value > gain.standard_error);
    assert_eq!(family.tuned, board.entries.iter().any(|e| e.model == format!("boosting{TUNED}")));
}

#[test]
fn rows_that_judged_trials_judge_no_candidate() {
    let folds: Vec<Sides> =
        (0..5).map(|f| ((0..50).filter(|r| r % 5 != f).collect(), (0..50).filter(|r| r % 5 == f).collect())).collect();
    let at_random = settings(&["boosting"], 5);
    let at = search_fold(&folds, &at_random);
    let rows = judging_rows(&folds, at, &at_random);
    assert_eq!(rows.len(), 40);
    assert!(rows.is_sorted() && rows.iter().all(|r| !folds[at].1.contains(r)));
    // With a time column only rows after those of the search judge.
    let in_time = Settings { time: Some("day".into()), drop: Vec::new(), ..at_random };
    let blocks: Vec<Sides> = (0..5).map(|f| ((0..10 + 8 * f).collect(), (10 + 8 * f..18 + 8 * f).collect())).collect();
    let at = search_fold(&blocks, &in_time);
    assert_eq!((at, judging_rows(&blocks, at, &in_time)), (2, (34..50).collect()));
    let trained = train(table(900, 1.0), &in_time, &Run::new(1, 2)).unwrap();
    let search = trained.facts.search.unwrap();
    assert_eq!(search.n_leaderboard, 240, "{search:?}");
}

#[test]
fn a_budget_too_small_says_what_is_needed() {
    let hurried = Settings { trials: None, budget: Some("0.001s".into()), ..settings(&["boosting"], 0) };
    let error = train(table(600, 1.0), &hurried, &Run::new(1, 2)).err().expect("refused");
    assert!(error.is_request(), "{error}");
    let text = error.to_string();
    let start = "budget: 0.001s is too little; the first trial (Gradient boosting with its default settings) took ";
    // One second, unless the machine was busy.
    assert!(text.starts_with(start) && text.contains("s: give at least "), "{text}");
}

#[test]
fn refuses_what_cannot_be_searched() {
    let refused = |s: &Settings| train(table(300, 1.0), s, &Run::new(1, 2)).err().expect("refused").to_string();
    let quick = Settings { quick: true, ..settings(&["mlp"], 5) };
    assert_eq!(refused(&quick), "trials, budget: quick models have no settings to search; leave one of the two out");
    assert_eq!(refused(&settings(&["boosting"], 0)), "trials: 0 is not allowed; allowed is 1 and above");
}

/// Interrupts a run at its n-th report.
struct Interrupter {
    at: usize,
    seen: AtomicUsize,
    flag: std::sync::OnceLock<Arc<std::sync::atomic::AtomicBool>>,
}

impl Progress for Interrupter {
    fn start(&self, _: &str, _: u64) {}
    fn update(&self, _: u64, _: &str) {
        if self.seen.fetch_add(1, Ordering::Relaxed) == self.at {
            self.flag.get().unwrap().store(true, Ordering::Relaxed);
        }
    }
    fn finish(&self) {}
}

#[test]
fn an_interrupted_search_ends_at_once() {
    let interrupter = Arc::new(Interrupter { at: 2, seen: AtomicUsize::new(0), flag: std::sync::OnceLock::new() });
    let run = Run::new(1, 2).with_progress(interrupter.clone());
    interrupter.flag.set(run.cancel_flag()).unwrap();
    let error = train(table(600, 1.0), &settings(&["logistic"], 1_000_000), &run).err().expect("interrupted");
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(interrupter.seen.load(Ordering::Relaxed), 3);
}

#[test]
fn rows_of_one_fold_alone_make_no_ensemble() {
    // The search takes one fold of two: the others' rows are all of one fold, which nothing else can weigh for.
    let settings = Settings { folds: 2, ..settings(&["scorecard", "logistic"], 3) };
    let trained = train(table(600, 1.0), &settings, &Run::new(1, 2)).unwrap();
    assert!(trained.facts.leaderboard.entries.iter().all(|e| e.model != crate::ensemble::NAME));
    let by_time = Settings { folds: 3, time: Some("day".into()), drop: Vec::new(), ..settings };
    let trained = train(table(900, 1.0), &by_time, &Run::new(1, 2)).unwrap();
    let margins = &trained.bundle.reference.margins[0];
    assert!(!margins.is_empty() && margins.iter().all(|m| m.is_finite()));
}

#[test]
fn families_whose_turn_did_not_come_are_named() {
    let facts = train(table(400, 1.0), &settings(&["scorecard", "logistic"], 1), &Run::new(1, 2)).unwrap().facts;
    let search = facts.search.expect("a search");
    assert_eq!(search.families.len(), 1);
    assert_eq!(search.untried.len(), 1);
    assert_ne!(search.families[0].family, search.untried[0]);
}
