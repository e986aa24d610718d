use super::*;
use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::testing::{APPROVED, Client, DECLINED, MemoryStore, furnish};
use serde_json::{Value, json};
use statera_store::StoreOptions;
use statera_store::ledger::verify;
use statera_store::record::{Id, StoredPart};
use statera_store::retention::before_us;
use std::path::Path;

/// 2026-11-21 12:00 UTC.
const START_US: i64 = 1_795_262_400 * SECOND_US;
/// Five years as the policy counts them.
const AGE_US: i64 = 5 * 366 * DAY_US;

/// The clock of each test.
static NOW: [AtomicI64; 6] = [const { AtomicI64::new(START_US) }; 6];

fn clock<const N: usize>() -> i64 {
    NOW[N].load(Ordering::SeqCst)
}

fn turn<const N: usize>(by_us: i64) {
    NOW[N].fetch_add(by_us, Ordering::SeqCst);
}

/// A server that keeps five years, over the store of a folder; the look of its start is done.
fn start<const N: usize>(folder: &Path) -> Shared {
    let options = StoreOptions::at(&folder.join("store").display().to_string(), None).expect("options");
    let store = statera_store::open(&StoreOptions { clock: clock::<N>, ..options }).expect("a store");
    let settings = Settings::parse("[retention]\nolder_than = \"5y\"\n").expect("settings");
    let app = App::by_clock(settings, folder, store, Arc::new(clock::<N>)).expect("an app");
    app.retention.look();
    app
}

/// The same with a model, and a client.
fn scene<const N: usize>(folder: &Path) -> (Shared, Client) {
    let app = start::<N>(folder);
    furnish(folder, &app, &*app.store);
    let client = Client::new(&app);
    (app, client)
}

/// The same store after the process has ended and another has begun.
fn restart<const N: usize>(folder: &Path, app: Shared) -> Shared {
    let store = app.store.clone();
    drop(app);
    store.close();
    drop(store);
    start::<N>(folder)
}

/// True where all of a decision can be read.
fn is_whole(app: &Shared, id: &str) -> bool {
    let record = app.store.record(id.parse::<Id>().expect("an id")).expect("is there");
    !record.parts.is_empty() && record.parts.iter().all(|part| matches!(part, StoredPart::Plain(_)))
}

/// Rows of the ledger.
fn n_rows(app: &Shared) -> u64 {
    app.store.ledger_ends().expect("reads").into_values().sum()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn decide(client: &Client, name: &str, subject: &str, row: &str) -> String {
    let answer = run(client.decide(name, subject, row));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["id"].as_str().expect("an id").to_string()
}

fn replay(client: &Client, id: &str) -> Value {
    run(client.ask("GET", &format!("/api/v1/decisions/{id}/replay"), "")).json()
}

/// Numbers of times by outcome, and of keys.
fn counted(retention: &Retention) -> ([u64; 4], u64) {
    let tally = &retention.inner.tally;
    (tally.runs.each_ref().map(|n| n.load(Ordering::Relaxed)), tally.keys.load(Ordering::Relaxed))
}

#[test]
fn what_is_older_than_the_policy_is_erased_once_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let (app, client) = scene::<0>(folder.path());
    assert_eq!(counted(&app.retention), ([1, 0, 0, 0], 0), "it is done at the start");
    let old = decide(&client, "r-1", "kim", DECLINED);
    turn::<0>(AGE_US + 100 * DAY_US);
    app.retention.look();
    assert_eq!(
        counted(&app.retention),
        ([1, 0, 0, 1], 0),
        "a clock that is ahead of all that is recorded ages nothing"
    );
    assert_eq!(replay(&client, &old)["result"], "identical");
    let young = decide(&client, "r-2", "kim", APPROVED);
    turn::<0>(DAY_US);
    app.retention.look();
    app.retention.look();
    assert_eq!(counted(&app.retention), ([2, 0, 0, 1], 1), "once a day");
    let told = replay(&client, &old);
    assert_eq!((&told["result"], &told["rows_compared"]), (&json!("erased"), &json!(0)), "{told}");
    assert!(told["erased"][0].as_str().is_some_and(|text| text.starts_with("erased on 2032-03-")), "{told}");
    assert_eq!(replay(&client, &young)["result"], "identical", "the same subject's younger decision stays");
    // Whoever watches sees it, and the ledger says who, why and how many.
    let metrics = run(client.ask("GET", "/metrics", "")).body;
    let done = clock::<0>() / SECOND_US;
    for line in [
        "statera_retention_keys_total 1".to_string(),
        "statera_retention_runs_total{outcome=\"done\"} 2".into(),
        "statera_retention_runs_total{outcome=\"clock\"} 1".into(),
        "statera_retention_runs_total{outcome=\"failed\"} 0".into(),
        format!("statera_retention_done_timestamp_seconds {done}"),
    ] {
        assert!(metrics.lines().any(|l| l == line), "«{line}» is not in\n{metrics}");
    }
    let rows = app.store.audit_rows("writer-1", 0, 100).expect("reads");
    let erased: Vec<_> = rows.iter().filter(|row| row.body.contains("\"retain\"")).collect();
    let said = |row: &str, n: u64| {
        row.contains(&format!("\"keys\":{n},\"why\":\"retention.older_than = 5y\"")) && !row.contains("kim")
    };
    assert_eq!(erased.len(), 3);
    assert!(said(&erased[0].body, 0) && said(&erased[1].body, 1) && said(&erased[2].body, 0), "{erased:?}");
    assert!(erased.iter().all(|row| row.actor == "\"system\""), "{erased:?}");
    let store = app.store.clone();
    drop((app, client));
    store.close();
    let store = folder.path().join("store").display().to_string();
    assert_eq!(verify(&store, None, None).expect("is checked").findings, []);
}

#[test]
fn a_clock_that_was_set_back_erases_nothing_early() {
    let folder = tempfile::tempdir().expect("a folder");
    let (app, client) = scene::<1>(folder.path());
    let old = decide(&client, "r-1", "kim", DECLINED);
    turn::<1>(AGE_US + 100 * DAY_US);
    decide(&client, "r-2", "lee", DECLINED);
    // Back by a hundred days: the ledger's last row is ahead, and the policy counts by the clock.
    turn::<1>(-100 * DAY_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([2, 0, 0, 0], 0));
    assert_eq!(replay(&client, &old)["result"], "identical");
    turn::<1>(100 * DAY_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([3, 0, 0, 0], 1));
    assert_eq!(replay(&client, &old)["result"], "erased");
    // What was done at a time that the clock has not reached by far is done again, which destroys nothing twice.
    turn::<1>(-366 * DAY_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([4, 0, 0, 0], 1));
    // An hour less, and it was done today.
    turn::<1>(-3_600 * SECOND_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([4, 0, 0, 0], 1));
}

#[test]
fn a_clock_that_is_ahead_erases_nothing_however_often_it_is_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (app, client) = scene::<4>(folder.path());
    let old = decide(&client, "r-1", "kim", DECLINED);
    drop(client);
    let before = n_rows(&app);
    turn::<4>(10 * 366 * DAY_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([1, 0, 0, 1], 0));
    turn::<4>(AGAIN_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([1, 0, 0, 2], 0), "it is looked at again later");
    let app = restart::<4>(folder.path(), app);
    assert_eq!(counted(&app.retention), ([0, 0, 0, 1], 0), "a start at that clock");
    assert_eq!((n_rows(&app), is_whole(&app, &old)), (before, true), "no row has the time of that clock");
    // Once it is right, it is done as ever.
    turn::<4>(-10 * 366 * DAY_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([1, 0, 0, 1], 0));
    assert_eq!((n_rows(&app), is_whole(&app, &old)), (before + 1, true));
}

#[test]
fn a_clock_whose_time_other_rows_have_goes_further_by_sixty_days_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let (app, client) = scene::<5>(folder.path());
    let old = decide(&client, "r-1", "kim", DECLINED);
    turn::<5>(30 * DAY_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([2, 0, 0, 0], 0));
    // The clock jumps, and a decision is recorded with its time before anybody looks.
    turn::<5>(10 * 366 * DAY_US);
    decide(&client, "r-2", "lee", APPROVED);
    drop(client);
    let last = || app.store.last_retain().expect("reads").expect("there was one").before_us;
    let first = last();
    app.retention.look();
    assert_eq!((counted(&app.retention), last() - first), (([3, 0, 0, 0], 0), 60 * DAY_US));
    let app = restart::<5>(folder.path(), app);
    let last = || app.store.last_retain().expect("reads").expect("there was one").before_us;
    assert_eq!((counted(&app.retention), last() - first), (([1, 0, 0, 0], 0), 60 * DAY_US), "once a day");
    turn::<5>(DAY_US);
    app.retention.look();
    assert_eq!((counted(&app.retention), last() - first), (([2, 0, 0, 0], 0), 120 * DAY_US));
    assert!(is_whole(&app, &old));
    // A person who knows that the clock is right need not wait.
    let all_us = before_us(&*app.store, AGE_US, clock::<5>()).expect("reads");
    assert_eq!(app.store.retain(&Actor::Person("ada".into()), all_us, "ten years idle"), Ok(1));
    assert!(!is_whole(&app, &old));
}

#[test]
fn one_server_at_a_time_does_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (app, client) = scene::<2>(folder.path());
    decide(&client, "r-1", "kim", DECLINED);
    turn::<2>(AGE_US + 100 * DAY_US);
    decide(&client, "r-2", "lee", DECLINED);
    let other = app.store.claim(CLAIM).expect("nobody has it");
    app.retention.look();
    assert_eq!(counted(&app.retention), ([1, 0, 1, 0], 0), "another server does it");
    drop(other);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([1, 0, 1, 0], 0), "it is not asked for every minute");
    turn::<2>(AGAIN_US);
    app.retention.look();
    assert_eq!(counted(&app.retention), ([2, 0, 1, 0], 1), "what another left undone is done");
}

#[test]
fn a_store_that_does_not_answer_is_asked_again() {
    let store = Arc::new(MemoryStore::default());
    store.is_down.store(true, Ordering::SeqCst);
    let settings = RetentionSettings { older_than: "5y".into(), ..RetentionSettings::default() };
    let retention = Retention::open(&settings, store.clone(), Arc::new(clock::<3>)).expect("a thread");
    retention.look();
    assert_eq!(counted(&retention), ([0, 1, 0, 0], 0));
    store.is_down.store(false, Ordering::SeqCst);
    turn::<3>(AGAIN_US - 1);
    retention.look();
    assert_eq!(counted(&retention), ([0, 1, 0, 0], 0));
    turn::<3>(1);
    retention.look();
    assert_eq!(counted(&retention), ([1, 1, 0, 0], 0));
    // Without an age there is neither a thread nor a look.
    let none = Retention::open(&RetentionSettings::default(), store, Arc::new(clock::<3>)).expect("nothing");
    none.look();
    assert!(none.thread.is_none());
    assert_eq!(counted(&none), ([0, 0, 0, 0], 0));
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused_with_its_place() {
    let told = |text: &str| Settings::parse(&format!("[retention]\n{text}\n")).expect_err("refused").to_string();
    let expected = "retention.older_than is «5w»: allowed are a number and y, m (months) or d, up to 1000y";
    assert_eq!(told("older_than = \"5w\""), expected);
    assert!(told("older_then = \"5y\"").contains("unknown field `older_then`"));
    let wrong = RetentionSettings { older_than: "5w".into(), ..RetentionSettings::default() };
    let opened = Retention::open(&wrong, Arc::new(MemoryStore::default()), Arc::new(clock::<3>));
    assert_eq!(opened.err().map(|e| e.to_string()).as_deref(), Some(expected));
}
