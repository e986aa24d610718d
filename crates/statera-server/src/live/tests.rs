//! Transactions over a real store: what is counted, answered, recorded, and there again after an end of any kind.

use super::counting::Counting;
use super::testing::{POST, Scene, bundles, json_of, path_of, row, windows_of};
use super::*;
use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::testing::{MemoryStore, answer_of, other_program, program, until, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera_store::StoreOptions;
use statera_store::record::Id;
use statera_store::registry::Challenger;
use std::fs;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tempfile::TempDir;

/// The `i`-th of many transactions.
fn nth(i: usize) -> String {
    row(i, i * 37, &format!("C{}", i % 5), &format!("S{}", i % 3), &format!("{}.5", 10 + i * 7 % 90))
}

/// A state that counts what a server should have counted.
struct Reference {
    columns: LiveColumns,
    state: Counting,
}

impl Reference {
    fn new(which: usize) -> Reference {
        let bundle = Bundle::read(&path_of(which)).expect("read");
        let ruling = bundle.ruling().expect("rules");
        let columns = LiveColumns::of(&bundle, ruling.as_ref()).expect("columns").expect("windows");
        let state = Counting::new(&columns, TransactionsSettings::default().bounds());
        Reference { columns, state }
    }

    fn count(&mut self, row: &str) -> Value {
        let (raw, _) = self.columns.raw(row, 1).expect("a row");
        let event = self.columns.event(&raw).expect("an event");
        let mut counted = vec![f64::NAN; self.columns.n_made()];
        self.state.advance(&event, None, &mut counted).expect("taken");
        serde_json::from_str(&self.columns.text(&counted)).expect("JSON")
    }
}

#[test]
fn a_transaction_is_counted_scored_ruled_and_recorded() {
    let (scene, mut reference) = (Scene::new(), Reference::new(0));
    for i in 0..40 {
        let answer = scene.taken(&nth(i));
        assert_eq!(scene.windows(&answer), reference.count(&nth(i)), "transaction {i}");
        assert_eq!(answer["decisions"][0]["shadow_rules"], json!(["likely"]));
    }
    // Three of a card within a day: the second rule; a large amount goes before it, and both are told.
    let small = |id, minute| row(id, minute, "C9", "S1", "5.25");
    let first = scene.taken(&small(100, 2_000));
    assert_eq!(first["decisions"][0]["action"], json!("allow"));
    scene.taken(&small(101, 2_001));
    let third = scene.taken(&small(102, 2_002));
    assert_eq!(third["decisions"][0]["action"], json!("challenge"));
    assert_eq!(third["decisions"][0]["rules"], json!([{"code": "many", "text": "Many payments of a card in a day"}]));
    let large = scene.taken(&row(103, 2_003, "C9", "S1", "950"));
    assert_eq!(large["decisions"][0]["action"], json!("block"));
    assert_eq!(large["decisions"][0]["rules"][0]["code"], json!("big"));
    assert_eq!(large["decisions"][0]["rules"][1]["code"], json!("many"));
    assert_eq!(scene.windows(&large)["card_count_1d"], json!(4));
    // The score is the one of the same columns in a batch.
    let model = scene.app().models.champion("cards").expect("a champion");
    let whole = joined(&row(103, 2_003, "C9", "S1", "950"), Some(&scene.windows(&large).to_string()));
    let batch = model.live.as_ref().expect("windows").recorded(&[whole]).expect("a row");
    let probability = model.bundle.scorer.score_rows(&batch, true, 0).expect("scored").probabilities[0];
    let told = large["decisions"][0]["probability"].as_f64().expect("a number");
    assert_eq!(told.to_bits(), probability.to_bits());
    // And it is made again from the record to the last bit.
    let path = format!("/api/v1/decisions/{}/replay", large["id"].as_str().expect("an id"));
    let (_, replay) = json_of(answer_of(scene.app(), &viewer(), "GET", &path, ""));
    assert_eq!((&replay["result"], &replay["rows_compared"]), (&json!("identical"), &json!(1)), "{replay}");
}

#[test]
fn a_transaction_is_taken_once_by_its_id() {
    let (scene, mut reference) = (Scene::new(), Reference::new(0));
    let body = format!(r#"{{"model":"cards","row":{}}}"#, nth(1));
    let first = answer_of(scene.app(), &program(), "POST", POST, &body);
    assert_eq!(first.0, StatusCode::OK, "{}", String::from_utf8_lossy(&first.1));
    assert_eq!(answer_of(scene.app(), &program(), "POST", POST, &body), first);
    assert_eq!(answer_of(scene.app(), &other_program(), "POST", POST, &body), first, "whoever sends it");
    let other = body.replace("2024-05-01T00:37", "2024-05-01T00:38");
    assert_ne!(other, body);
    let (status, told) = scene.post(&other);
    assert_eq!((status, &told["error"]), (StatusCode::CONFLICT, &json!("another_body")), "{told}");
    reference.count(&nth(1));
    assert_eq!(scene.windows(&scene.taken(&nth(6))), reference.count(&nth(6)), "it was counted once");
}

#[test]
fn what_cannot_be_taken_is_told_and_leaves_the_state_as_it_was() {
    let (scene, mut reference) = (Scene::new(), Reference::new(0));
    let good = row(1, 3_000, "C1", "S1", "10");
    scene.taken(&good);
    reference.count(&good);
    let base = row(2, 3_001, "C1", "S1", "10");
    let with = |cells: &str| format!("{},{cells}}}", base.trim_end_matches('}'));
    let cases: Vec<(String, u16, &str, &str)> = vec![
        (row(2, 2_999, "C1", "S1", "10"), 400, "out_of_order", "allowed is the order of time, then id"),
        (row(2, 100, "C7", "S7", "10"), 400, "far_past", "allowed is from 2024-05-02"),
        (row(2, 3_001, "C1", "S1", "10").replace("2024-05", "2997-05"), 400, "future", "allowed is until"),
        (row(2, 3_001, "C1", "S1", "100001"), 400, "number", "column «amount»: 100001"),
        (row(2, 3_001, "C1", "S1", "-20000000000"), 400, "number", "column «amount»"),
        (row(2, 3_001, "C1", "S1", "\"much\""), 400, "bad_request", "«much» is not a number"),
        (
            row(2, 3_001, "C1", "S1", "10").replace("\"payment\":2", "\"payment\":null"),
            400,
            "bad_request",
            "needs an id",
        ),
        (row(2, 3_001, "C1", "S1", "10").replace("\"at\"", "\"when\""), 400, "bad_request", "«at»"),
        (with("\"card_count_1d\":7"), 400, "bad_request", "«card_count_1d» is counted by the server"),
    ];
    for (row, status, code, text) in cases {
        let (got, told) = scene.send(&row);
        assert_eq!((got.as_u16(), told["error"].as_str()), (status, Some(code)), "{row}: {told}");
        assert!(told["message"].as_str().is_some_and(|m| m.contains(text)), "{row}: {told}");
    }
    let (status, told) = scene.post(&format!(r#"{{"model":"cards","request_id":"r","row":{good}}}"#));
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
    let (status, _) = scene.post(&format!(r#"{{"model":"none","row":{good}}}"#));
    assert_eq!(status, StatusCode::NOT_FOUND);
    let next = row(2, 3_001, "C1", "S1", "12.5");
    assert_eq!(scene.windows(&scene.taken(&next)), reference.count(&next));
}

#[test]
fn of_many_each_stands_for_itself_in_the_order_given() {
    let (scene, mut reference) = (Scene::new(), Reference::new(0));
    let late = row(9, 0, "C0", "S0", "1");
    let rows = [nth(0), nth(5), nth(10), late, nth(15)].map(|row| format!(r#"{{"subject":"lee","row":{row}}}"#));
    let (status, told) = scene.post(&format!(r#"{{"model":"cards","rows":[{}]}}"#, rows.join(",")));
    assert_eq!(status, StatusCode::OK, "{told}");
    let items = told["transactions"].as_array().expect("items");
    let statuses: Vec<u64> = items.iter().filter_map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 200, 200, 400, 200], "{told}");
    assert_eq!(items[3]["error"], json!("out_of_order"));
    for (at, i) in [(0, 0), (1, 5), (2, 10), (4, 15)] {
        assert_eq!(scene.windows(&items[at]["answer"]), reference.count(&nth(i)), "transaction {i}");
    }
}

#[test]
fn late_labels_tell_the_state_which_shops_see_frauds() {
    let mut scene = Scene::new();
    scene.taken(&row(1, 60, "C1", "S1", "10"));
    let second = scene.taken(&row(2, 120, "C2", "S1", "20"));
    let label = |id: usize, outcome: &str, on: &str| {
        scene.outcome(&format!(r#"{{"model":"cards","transaction":"{id}","outcome":"{outcome}","on":"{on}"}}"#))
    };
    let (status, told) = label(1, "fraud", "2024-05-01");
    assert_eq!((status, &told["label"]["is_fraud"]), (StatusCode::OK, &json!(true)), "{told}");
    let decision = second["id"].as_str().expect("an id");
    let (status, told) =
        scene.outcome(&format!(r#"{{"decision":"{decision}","outcome":"genuine","on":"2024-05-01"}}"#));
    assert_eq!((status, &told["label"]["is_fraud"]), (StatusCode::OK, &json!(false)), "{told}");
    // Said again it changes nothing; the contrary is refused, and so is what nobody knows.
    let (status, told) = label(1, "fraud", "2024-05-01");
    assert_eq!((status, told.get("label")), (StatusCode::OK, None), "{told}");
    for (id, outcome, on, status, code) in [
        (1, "genuine", "2024-05-01", 409, "disagreement"),
        (77, "fraud", "2024-05-01", 404, "not_found"),
        (2, "fraud", "2024-05-01", 409, "disagreement"),
        (1, "stolen", "2024-05-01", 400, "bad_request"),
        (1, "fraud", "yesterday", 400, "bad_request"),
    ] {
        let (got, told) = label(id, outcome, on);
        assert_eq!((got.as_u16(), &told["error"]), (status, &json!(code)), "{id} {outcome}: {told}");
    }
    let (status, told) = scene.outcome(r#"{"outcome":"fraud"}"#);
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
    scene.taken(&row(3, 200, "C3", "S2", "10"));
    let (status, told) = {
        let body = r#"{"model":"cards","transaction":"3","outcome":"fraud","on":"2024-04-30"}"#;
        scene.outcome(body)
    };
    assert_eq!((status, &told["error"]), (StatusCode::BAD_REQUEST, &json!("early_label")), "{told}");
    // Two days later the delay of one day is over: two events of the shop, one of them known to be a fraud.
    let windows = scene.windows(&scene.taken(&row(4, 2 * 1440 + 300, "C4", "S1", "10")));
    assert_eq!(windows["shop_fraud_mean_7d_shifted"], json!(0.5), "{windows}");
    // Labels outlive the process as transactions do.
    scene.kill();
    scene.start();
    let windows = scene.windows(&scene.taken(&row(5, 2 * 1440 + 301, "C4", "S1", "10")));
    assert_eq!(windows["shop_fraud_mean_7d_shifted"], json!(0.5), "{windows}");
}

#[test]
fn no_end_of_a_process_loses_what_was_acknowledged() {
    let (mut scene, mut reference) = (Scene::new(), Reference::new(0));
    let mut i = 0;
    let mut take = |scene: &Scene, n: usize, when: &str| {
        for _ in 0..n {
            let answer = scene.taken(&nth(i));
            assert_eq!(scene.windows(&answer), reference.count(&nth(i)), "{when}, transaction {i}");
            i += 1;
        }
    };
    take(&scene, 20, "at first");
    scene.kill();
    assert!(!scene.snapshot().exists());
    scene.start();
    take(&scene, 10, "rebuilt of records alone");
    scene.stop();
    assert!(scene.snapshot().exists());
    scene.start();
    take(&scene, 10, "restored as it was kept at the end");
    scene.app().lives.tend(true);
    take(&scene, 10, "after a snapshot");
    scene.kill();
    scene.start();
    take(&scene, 5, "restored, and what came later replayed");
    scene.stop();
    let whole = fs::read(scene.snapshot()).expect("read");
    for (at, what) in [(20, "its head"), (whole.len() / 2, "its middle"), (whole.len() - 1, "its digest")] {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        fs::write(scene.snapshot(), &altered).expect("written");
        scene.start();
        take(&scene, 2, &format!("with a snapshot altered in {what}"));
        scene.stop();
    }
    fs::write(scene.snapshot(), &whole[..whole.len() / 3]).expect("written");
    scene.start();
    take(&scene, 2, "with a snapshot that is cut off");
    // The first transaction is still known by its id.
    let (status, told) = scene.send(&nth(0));
    assert_eq!(status, StatusCode::OK, "{told}");
}

#[test]
fn a_state_of_other_windows_is_refused_and_rebuilt() {
    let (mut scene, mut other) = (Scene::new(), Reference::new(1));
    for i in 0..12 {
        scene.taken(&nth(i));
        other.count(&nth(i));
    }
    scene.stop();
    scene.start();
    scene.serve(1);
    let answer = scene.taken(&nth(12));
    assert_eq!(answer["version"], json!(2));
    assert_eq!(scene.windows(&answer), other.count(&nth(12)));
    assert!(scene.windows(&answer).get("card_amount_mean_2d").is_some());
    // The snapshot that lies there is now of the windows before.
    scene.kill();
    scene.start();
    assert_eq!(scene.windows(&scene.taken(&nth(13))), other.count(&nth(13)));
}

#[test]
fn rules_that_read_one_more_column_lose_no_transaction_and_no_label() {
    let (mut scene, mut reference) = (Scene::new(), Reference::new(0));
    for i in 0..12 {
        scene.taken(&nth(i));
        reference.count(&nth(i));
    }
    // The same windows: the state stays, and what comes from now on brings the column.
    scene.serve(3);
    let (status, told) = scene.send(&nth(12));
    let message = "row 1: a column is missing that the rules beside the model read: «channel» (category)";
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
    assert!(told["message"].as_str().is_some_and(|m| m.starts_with(message)), "{told}");
    let by = |channel: &str, i: usize| nth(i).replacen('{', &format!(r#"{{"channel":"{channel}","#), 1);
    let answer = scene.taken(&by("kiosk", 12));
    let rules = answer["decisions"][0]["rules"].as_array().expect("rules");
    assert_eq!((&answer["version"], rules.iter().any(|rule| rule["code"] == "kiosk")), (&json!(2), true), "{answer}");
    assert_eq!(scene.windows(&answer), reference.count(&nth(12)));
    // A label of what was taken without it, and all of it again.
    let label = |id: usize, outcome: &str| {
        scene.outcome(&format!(r#"{{"model":"cards","transaction":"{id}","outcome":"{outcome}","on":"2024-05-01"}}"#))
    };
    let (status, told) = label(3, "fraud");
    assert_eq!((status, &told["label"]["is_fraud"]), (StatusCode::OK, &json!(true)), "{told}");
    scene.kill();
    scene.start();
    {
        let model = scene.app().models.champion("cards").expect("a champion");
        let settings = TransactionsSettings::default();
        let by = (model.live.as_ref().expect("windows"), &settings);
        let rebuilt = rebuild::rebuild(&*scene.app().store, scene.folder(), "cards", by, &AtomicBool::new(false));
        let rebuilt = rebuilt.expect("the store answers");
        assert_eq!((rebuilt.n_replayed, rebuilt.n_refused, rebuilt.n_different), (14, 0, 0));
    }
    assert_eq!(scene.windows(&scene.taken(&by("web", 13))), reference.count(&nth(13)));
    let (status, told) = scene.outcome(r#"{"model":"cards","transaction":"3","outcome":"genuine"}"#);
    assert_eq!((status, &told["error"]), (StatusCode::CONFLICT, &json!("disagreement")), "{told}");
}

#[test]
fn a_recorded_row_may_lack_columns_and_have_others() {
    let columns = Reference::new(2).columns;
    let of = |row: &str| columns.recorded_event(row, 1);
    let whole = row(1, 60, "C1", "S1", "10");
    assert!(of(&whole).expect("an event").edges.is_some());
    let (card, shop) = (r#","card":"C1""#, r#","shop":"S1""#);
    for (row, is_edge) in [
        (whole.replace(r#","amount":10"#, ""), true),
        (whole.replace(shop, ""), false),
        (whole.replace(card, "").replace(shop, ""), false),
        (whole.replace(card, r#","other":{"a":{"b":1}}"#), false),
        (whole.replace(r#","amount":10"#, r#","other":{"a":{"b":1}}"#), true),
    ] {
        let event = of(&row).unwrap_or_else(|e| panic!("{row}: {e}"));
        assert_eq!((event.edges.is_some(), event.windows.id(0)), (is_edge, "1".to_string()), "{row}");
    }
    for (row, message) in [
        (whole.replace("\"payment\":1,", ""), "needs an id"),
        (whole.replace("10}", "\"much\"}"), "«much» is not a number"),
        (whole.replace("10}", "\"much\"}").replace(shop, ""), "«much» is not a number"),
        ("[1]".to_string(), "expected one flat JSON object"),
    ] {
        let told = of(&row).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains(message), "{row}: {told}");
    }
}

#[test]
fn a_challenger_whose_rules_read_what_transactions_do_not_bring_gets_no_share() {
    let (_dir, store, app) = failing();
    let model = app.models.champion("cards").expect("a champion");
    let columns = model.live.as_ref().expect("windows");
    for which in 3..6 {
        store.add("cards", &bundles().1[which], &path_of(which));
    }
    // The first is the champion: the second has its windows, the others have none.
    for (version, which, is_served) in [(2, 3, false), (3, 4, true), (4, 5, false)] {
        let other = app.models.archived("cards", version, &bundles().1[which]).expect("a bundle");
        assert_eq!(columns.serves(&other), is_served, "version {version}");
        let challenger = Challenger { version, shadow: false, per_mille: 1_000 };
        store.route("cards", |route| route.challenger = Some(challenger));
        app.models.refresh().expect("read");
        let body = format!(r#"{{"model":"cards","row":{}}}"#, nth(version as usize));
        let (status, answer) = json_of(answer_of(&app, &program(), "POST", POST, &body));
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["version"], json!(if is_served { version } else { 1 }), "{answer}");
        assert!(app.lives.of("cards").expect("a state").is_ready());
    }
}

#[test]
fn a_second_process_of_the_store_counts_nothing() {
    let scene = Scene::new();
    scene.taken(&nth(0));
    let options = StoreOptions::at(&scene.folder().join("store").display().to_string(), None).expect("options");
    let second = App::over(Settings::default(), scene.folder(), statera_store::open(&options).expect("a store"));
    let second = second.expect("an app");
    second.lives.tend(false);
    let body = format!(r#"{{"model":"cards","row":{}}}"#, nth(1));
    let (status, told) = json_of(answer_of(&second, &program(), "POST", POST, &body));
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(told["message"].as_str().is_some_and(|m| m.contains("another process of this store has the right to count transactions of «cards»")), "{told}");
    drop(second);
    scene.taken(&nth(1));
}

/// A server over a store in memory that can fail.
fn failing() -> (TempDir, Arc<MemoryStore>, Shared) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Arc::new(MemoryStore::default());
    store.add("cards", &bundles().1[0], &path_of(0));
    store.route("cards", |route| route.champion = Some(1));
    let app = App::over(Settings::default(), dir.path(), store.clone()).expect("an app");
    app.lives.tend(false);
    (dir, store, app)
}

#[test]
fn what_could_not_be_recorded_was_not_counted() {
    let ((_dir, store, app), mut reference) = (failing(), Reference::new(0));
    let send = |i: usize| {
        let body = format!(r#"{{"model":"cards","row":{}}}"#, nth(i));
        json_of(answer_of(&app, &program(), "POST", POST, &body))
    };
    let mut check = |i: usize| {
        let (status, answer) = send(i);
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(windows_of(&app, &answer), reference.count(&nth(i)), "transaction {i}");
    };
    check(0);
    check(5);
    // The store takes the record and loses it: the look at the name succeeds, the commit fails.
    store.is_held.store(true, Ordering::SeqCst);
    let asked = {
        let app = app.clone();
        std::thread::spawn(move || {
            let body = format!(r#"{{"model":"cards","row":{}}}"#, nth(10));
            json_of(answer_of(&app, &program(), "POST", POST, &body))
        })
    };
    until("its record is kept back", || store.n_held() > 0 || asked.is_finished());
    // Meanwhile the same transaction is on its way, and is not taken twice.
    let (status, told) = send(10);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    assert!(told["message"].as_str().is_some_and(|m| m.contains("is being taken")), "{told}");
    store.is_down.store(true, Ordering::SeqCst);
    store.release();
    let (status, told) = asked.join().expect("an answer");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    // The state is marked until the store answers again; nothing is counted by it meanwhile.
    assert!(!app.lives.of("cards").expect("a state").is_ready());
    app.lives.tend(false);
    assert_eq!(send(15).0, StatusCode::SERVICE_UNAVAILABLE);
    store.is_down.store(false, Ordering::SeqCst);
    app.lives.tend(false);
    // The one that failed is not in the state: sent again it is taken, and counted once.
    check(10);
    check(15);
}

#[test]
fn who_goes_away_while_a_label_is_recorded_changes_nothing() {
    let (_dir, store, app) = failing();
    let body = format!(r#"{{"model":"cards","row":{}}}"#, nth(1));
    let (status, answer) = json_of(answer_of(&app, &program(), "POST", POST, &body));
    assert_eq!(status, StatusCode::OK, "{answer}");
    let decision: Id = answer["id"].as_str().expect("an id").parse().expect("an id");
    let live = app.lives.of("cards").expect("a state");
    store.is_held.store(true, Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let who = program();
        let mut report = Box::pin(crate::http::outcomes::report(&app, &who, decision, "fraud"));
        // It has begun when its client goes away.
        std::future::poll_fn(|context| {
            assert!(report.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(report);
        let end = Instant::now() + Duration::from_secs(30);
        while store.n_held() == 0 {
            assert!(Instant::now() < end, "its record was never handed to the store");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!((live.is_ready(), live.n_open()), (true, 1));
    store.release();
    assert_eq!((live.is_ready(), live.n_open(), store.n_records()), (true, 0, 2));
}

#[test]
fn a_label_without_use_today_is_known_to_the_windows_of_tomorrow() {
    let scene = Scene::new();
    scene.taken(&row(1, 60, "C1", "S1", "10"));
    scene.taken(&row(2, 13 * 1440, "C2", "S1", "10"));
    // No window of the shop reaches back to the first any more.
    let body = r#"{"model":"cards","transaction":"1","outcome":"fraud","on":"2024-05-01"}"#;
    let (status, told) = scene.outcome(body);
    assert_eq!((status, told.get("label")), (StatusCode::OK, None), "{told}");
    assert_eq!(told["kept_label"]["is_fraud"], json!(true), "{told}");
    scene.serve(1);
    let windows = scene.windows(&scene.taken(&row(3, 16 * 1440, "C3", "S1", "10")));
    assert_eq!(windows["shop_fraud_mean_20d_shifted"], json!(0.5), "{windows}");
}

#[test]
fn what_was_admitted_once_is_counted_again_whatever_the_settings_say_now() {
    let mut scene = Scene::new();
    scene.taken(&row(1, 2_000, "C1", "S1", "10"));
    scene.taken(&row(2, 1_000, "C2", "S2", "10"));
    scene.kill();
    scene.set(|settings| {
        settings.transactions.behind_s = 60;
        settings.transactions.max_keys = 1;
    });
    scene.start();
    let windows = scene.windows(&scene.taken(&row(3, 2_001, "C2", "S2", "10")));
    assert_eq!(windows["card_count_1d"], json!(2), "{windows}");
    // What comes from now on is bounded.
    let (status, told) = scene.send(&row(4, 1_999, "C1", "S1", "10"));
    assert_eq!((status, &told["error"]), (StatusCode::BAD_REQUEST, &json!("far_past")), "{told}");
    let (status, told) = scene.send(&row(5, 2_001, "C8", "S8", "10"));
    assert_eq!((status, &told["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("too_many_keys")), "{told}");
}

#[test]
fn no_transaction_waits_on_its_thread_for_a_snapshot() {
    let (scene, reference) = (Scene::new(), Reference::new(0));
    let live = scene.app().lives.of("cards").expect("a state");
    let (raw, _) = reference.columns.raw(&nth(1), 1).expect("a row");
    let event = reference.columns.event(&raw).expect("an event");
    let Known::Unknown(mark) = live.known("1") else { panic!("it was never taken") };
    let take = || live.take(&reference.columns, &Taking { event: &event, id: "1", mark }, i64::MAX);
    let Ok(Some((refused, _))) = live.still(|_, _| Ok(take().err())) else { panic!("there is a state") };
    let refused = refused.expect("a refusal");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.message.starts_with("a snapshot of the state of «cards» is being written"), "{}", refused.message);
    let (ticket, _) = take().expect("it is over");
    ticket.recorded();
}

#[test]
fn a_rebuild_ends_with_the_server_and_is_of_no_use_once_the_state_was_marked() {
    let (scene, reference) = (Scene::new(), Reference::new(0));
    scene.taken(&nth(1));
    let live = scene.app().lives.of("cards").expect("a state");
    let settings = TransactionsSettings::default();
    let rebuild = |is_stopping: bool| {
        let by = (&reference.columns, &settings);
        rebuild::rebuild(&*scene.app().store, scene.folder(), "cards", by, &AtomicBool::new(is_stopping))
    };
    assert_eq!(rebuild(true).err().map(|e| e.kind()), Some(ErrorKind::Cancelled));
    let rebuilt = rebuild(false).expect("the store answers");
    assert_eq!((rebuilt.n_replayed, rebuilt.n_refused, rebuilt.n_different), (1, 0, 0));
    let n_marked = live.n_marked();
    live.mark("was lost meanwhile");
    assert!(!live.begin(rebuilt, n_marked));
    scene.app().lives.tend(false);
    assert!(live.is_ready());
}
