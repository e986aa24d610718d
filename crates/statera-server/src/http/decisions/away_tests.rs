//! A store that takes nothing for a while, a disk that is full or a database that is away: whoever asks is told to come back, what was
//! acknowledged is there afterwards, and what is asked again under its name is done once.

#[path = "../../../../statera-data/tests/server/mod.rs"]
mod server;

use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::testing::{APPROVED, Asked, Client, DECLINED, furnish};
use serde_json::json;
use server::Server;
use statera_store::ledger::verify;
use statera_store::record::{Id, RecordKind};
use statera_store::{Store, StoreOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::block_in_place;

/// Requests that are under way at once while the database goes away.
const CLIENTS: usize = 4;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().expect("a runtime")
}

/// A server with a model, and its store.
fn open(folder: &Path, options: &StoreOptions) -> (Shared, Arc<dyn Store>) {
    let store = statera_store::open(options).expect("a store");
    let app = App::over(Settings::default(), folder, store.clone()).expect("an app");
    furnish(folder, &app, &*store);
    (app, store)
}

/// What the server says of itself, after a look.
async fn ready(app: &Shared, client: &Client) -> Asked {
    block_in_place(|| app.look());
    client.ask("GET", "/health/ready", "").await
}

/// Waits until requests should come again.
async fn until_ready(app: &Shared, client: &Client) {
    let end = Instant::now() + Duration::from_secs(60);
    while ready(app, client).await.status != 200 {
        assert!(Instant::now() < end, "the server does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Decisions that are in the store.
fn n_decisions(store: &dyn Store) -> usize {
    // Until 2096.
    let until = Id::first_at(4_000_000_000_000_000);
    let heads = store.record_heads(Id::first_at(0), until, 10_000).expect("reads");
    heads.iter().filter(|head| head.kind == RecordKind::Decision).count()
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost_or_half_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("store").display().to_string();
    let options = StoreOptions::at(&place, None).expect("options");
    let full = options.full.clone();
    let (app, store) = open(folder.path(), &options);
    let client = Client::new(&app);
    runtime().block_on(async {
        let first = client.decide("r-1", "kim", APPROVED).await;
        assert_eq!(first.status, 200, "{}", first.body);
        let n_rows = store.audit_rows("writer-1", 0, 1000).expect("reads").len();
        full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            let told = client.decide("r-2", "lee", DECLINED).await.unavailable();
            assert!(told.contains("the disk of the store is full; nothing was written"), "{told}");
        }
        let told = ready(&app, &client).await;
        assert_eq!(told.status, 503);
        let why = "the disk of the store is full";
        let expected = json!({"ready": false, "store": false, "models": true, "stopping": false, "why": why});
        assert_eq!(told.json(), expected);
        // Who watches and who reads is answered.
        assert_eq!(client.ask("GET", "/health/live", "").await.status, 200);
        let metrics = client.ask("GET", "/metrics", "").await.body;
        assert!(metrics.lines().any(|line| line == "statera_ready 0"), "{metrics}");
        let path = format!("/api/v1/decisions/{}/replay", first.json()["id"].as_str().expect("an id"));
        assert_eq!(client.ask("GET", &path, "").await.json()["result"], "identical");
        assert_eq!(store.audit_rows("writer-1", 0, 1000).expect("reads").len(), n_rows, "nothing is half-written");
        full.store(false, Ordering::Relaxed);
        until_ready(&app, &client).await;
        let second = client.decide("r-2", "lee", DECLINED).await;
        assert_eq!(second.status, 200, "{}", second.body);
        for (name, subject, row, answer) in [("r-1", "kim", APPROVED, &first), ("r-2", "lee", DECLINED, &second)] {
            let again = client.decide(name, subject, row).await;
            assert_eq!((again.status, &again.body), (answer.status, &answer.body), "it was done once");
        }
    });
    assert_eq!(n_decisions(&*store), 2);
    drop((app, client));
    store.close();
    assert_eq!(verify(&place, None, None).expect("is checked").findings, []);
}

/// What each name was answered when it was first sent.
type Answers = BTreeMap<String, Asked>;

/// Asks for one decision after the other, each under a name of its own, until it is told to stop.
async fn ask_on(client: Client, number: usize, stop: Arc<AtomicBool>, n_acknowledged: Arc<AtomicUsize>) -> Answers {
    let mut answers = Answers::new();
    while !stop.load(Ordering::Relaxed) && answers.len() < 2_000 {
        let name = format!("c{number}-{}", answers.len());
        let answer = client.decide(&name, &name, APPROVED).await;
        if answer.status == 200 {
            n_acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            // As a client does that is told to come back later; however long the database is away, few names are used up by it.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        answers.insert(name, answer);
    }
    answers
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_database_that_goes_away_and_comes_back_loses_and_doubles_nothing() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("store");
    let options = StoreOptions::at(&server.base(), Some(&files)).expect("options");
    let (app, store) = open(folder.path(), &options);
    let client = Client::new(&app);
    let answers = runtime().block_on(async {
        let (stop, n_acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let ask = |number| tokio::spawn(ask_on(client.clone(), number, stop.clone(), n_acknowledged.clone()));
        let asking: Vec<_> = (0..CLIENTS).map(ask).collect();
        until("decisions are made", || n_acknowledged.load(Ordering::Relaxed) > 50).await;
        // In the middle of what is under way.
        block_in_place(|| server.crash());
        let mut answers = Answers::new();
        for i in 0..5 {
            let name = format!("away-{i}");
            let answer = client.decide(&name, &name, APPROVED).await;
            let told = answer.unavailable();
            answers.insert(name, answer);
            let known = ["the database does not answer", "the request could not be worked on; nothing was recorded"];
            assert!(known.iter().any(|words| told.starts_with(words)), "{told}");
            assert!(!told.contains("127.0.0.1") && !told.contains("postgres"), "where it is, is not told: {told}");
        }
        let told = ready(&app, &client).await;
        let why = "the database does not answer";
        let expected = json!({"ready": false, "store": false, "models": true, "stopping": false, "why": why});
        assert_eq!((told.status.as_u16(), told.json()), (503, expected));
        assert_eq!(client.ask("GET", "/health/live", "").await.status, 200);
        block_in_place(|| server.start_again());
        until_ready(&app, &client).await;
        let so_far = n_acknowledged.load(Ordering::Relaxed);
        until("decisions are made again", || n_acknowledged.load(Ordering::Relaxed) > so_far + 50).await;
        stop.store(true, Ordering::Relaxed);
        for task in asking {
            answers.extend(task.await.expect("it ends"));
        }
        // Everything is asked again: what was acknowledged is answered by the same bytes, and the rest is done.
        for (name, before) in &answers {
            let again = client.decide(name, name, APPROVED).await;
            assert_eq!(again.status, 200, "{name}: {}", again.body);
            match before.status.as_u16() {
                200 => assert_eq!(before.body, again.body, "{name}"),
                // Whether it was written was not known within its time.
                504 => {}
                _ => drop(before.unavailable()),
            }
        }
        answers
    });
    let n_refused = answers.values().filter(|answer| answer.status != 200).count();
    eprintln!("{} decisions, {n_refused} of them refused at first", answers.len());
    assert!(n_refused > 0, "nobody asked while it was away");
    assert_eq!(n_decisions(&*store), answers.len(), "one for each name");
    drop((app, client));
    store.close();
    let (lines, key) = (files.join("checkpoints.jsonl"), files.join("checkpoint.pub"));
    assert_eq!(verify(&server.base(), Some(&lines), Some(&key)).expect("is checked").findings, []);
}
