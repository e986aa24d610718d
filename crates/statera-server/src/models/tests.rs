use super::*;
use crate::settings::Settings;
use crate::testing::{APPROVED, MemoryStore, Server, bundle, program, until};
use axum::http::StatusCode;
use serde_json::json;
use statera_store::registry::{Challenger, Model, Version};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

fn server() -> Server {
    Server::new(Default::default())
}

fn failing(server: &Server, needle: &str) {
    let status = server.app.models.status();
    assert!(status.failures.iter().any(|f| f.error.contains(needle)), "{status:?}");
}

#[test]
fn the_registry_says_who_answers() {
    let server = server();
    let (second, third) = (server.add("logistic"), server.add("scorecard"));
    let part = |server: &Server| {
        let chosen = server.app.models.route("credit", "k").expect("somebody");
        (chosen.model.version, chosen.part)
    };
    assert_eq!(part(&server), (1, Part::Champion));
    server.route(|route| {
        route.champion = Some(second);
        route.before = vec![1];
        route.backup = Some(third);
    });
    assert_eq!(part(&server), (second, Part::Champion));
    server.route(|route| route.stopped = true);
    assert_eq!(part(&server), (third, Part::Backup));
    server.route(|route| {
        route.stopped = false;
        route.champion = Some(1);
        route.before.clear();
    });
    assert_eq!(part(&server), (1, Part::Champion));
    server.route(|route| {
        route.backup = None;
        route.stopped = true;
    });
    let told = server.app.models.route("credit", "k").err().expect("nobody").to_string();
    assert_eq!(told, "«credit» was stopped and has no backup; people decide until it is resumed");
    let body = format!(r#"{{"model":"credit","row":{APPROVED}}}"#);
    let (status, told) = server.json(&program(), "POST", "/api/v1/decisions", &body);
    assert_eq!((status, &told["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert!(server.app.models.status().is_ready(), "a stop without a backup is what people wanted");
}

#[test]
fn a_subject_stays_in_its_share() {
    let server = server();
    let version = server.add("logistic");
    server.route(|route| route.challenger = Some(Challenger { version, shadow: false, per_mille: 250 }));
    let keys: Vec<String> = (0..4_000).map(|i| format!("customer {i}")).collect();
    let challenged = |keys: &[String]| -> HashSet<String> {
        let is_challenger =
            |key: &&String| server.app.models.route("credit", key).expect("somebody").part == Part::Challenger;
        keys.iter().filter(is_challenger).cloned().collect()
    };
    let first = challenged(&keys);
    // 4,000 draws at a quarter: five standard deviations are 137.
    assert!((first.len() as i64 - 1_000).abs() < 137, "{}", first.len());
    assert_eq!(challenged(&keys), first);
    // A larger share keeps who was in the smaller one.
    server.route(|route| route.challenger = Some(Challenger { version, shadow: false, per_mille: 500 }));
    assert!(challenged(&keys).is_superset(&first));
    server.route(|route| route.challenger = Some(Challenger { version, shadow: true, per_mille: 250 }));
    let shadowed = keys.iter().filter(|k| server.app.models.route("credit", k).expect("somebody").shadow.is_some());
    assert_eq!(shadowed.cloned().collect::<HashSet<_>>(), first);
}

#[test]
fn a_damaged_bundle_never_replaces_a_good_one() {
    let server = server();
    let (digest, path) = bundle(server.folder.path(), "logistic");
    // The digest of another bundle than the one that lies there.
    let wrong = server.store.add("credit", &"0".repeat(64), &path);
    server.route(|route| route.champion = Some(wrong));
    failing(&server, "the digest of the bundle is");
    assert_eq!(server.decide(APPROVED)["version"], json!(1));
    assert!(server.app.models.status().is_ready(), "the former champion answers on");
    // A byte of a part.
    let model = path.join("model.json");
    let mut bytes = std::fs::read(&model).expect("a part");
    bytes[10] ^= 1;
    std::fs::write(&model, bytes).expect("written");
    let altered = server.store.add("credit", &digest, &path);
    server.route(|route| route.champion = Some(altered));
    failing(&server, "model.json was altered");
    assert_eq!(server.decide(APPROVED)["version"], json!(1));
    // No folder at all.
    let gone = server.store.add("credit", &"1".repeat(64), Path::new("/nonexistent"));
    server.route(|route| route.champion = Some(gone));
    assert_eq!((server.decide(APPROVED)["version"].clone(), server.app.models.status().failures.len()), (json!(1), 1));
    server.route(|route| route.champion = Some(1));
    assert_eq!(server.app.models.status().failures, []);
}

#[test]
fn a_model_that_nothing_answers_for_is_not_ready() {
    let store = Arc::new(MemoryStore::default());
    store.is_down.store(true, Ordering::SeqCst);
    let models = Models::open(ModelsSettings::default(), store.clone()).expect("a store that is away is no error");
    assert!(!models.status().is_ready());
    store.is_down.store(false, Ordering::SeqCst);
    models.refresh().expect("the store is back");
    assert!(models.status().is_ready(), "an empty registry is served");
    store.add("credit", &"0".repeat(64), Path::new("/nonexistent"));
    store.route("credit", |route| route.champion = Some(1));
    models.refresh().expect("the store answers");
    assert_eq!((models.status().is_ready(), models.status().silent), (false, vec!["credit".to_string()]));
    let told = models.route("credit", "k").err().expect("nobody").to_string();
    assert_eq!(told, "version 1 of «credit» could not be loaded");
}

#[test]
fn reloads_lose_no_request_and_keep_no_bundle() {
    let server = server();
    let second = server.add("logistic");
    let (is_over, n_answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Two answers more: the second was asked for by now.
    let wait_for_answers = || {
        let (wanted, until) = (n_answered.load(Ordering::SeqCst) + 2, Instant::now() + Duration::from_secs(20));
        while n_answered.load(Ordering::SeqCst) < wanted && Instant::now() < until {
            std::thread::yield_now();
        }
    };
    let versions = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut versions = BTreeSet::new();
            while !is_over.load(Ordering::SeqCst) {
                // Every request is answered with 200, by the one or the other.
                versions.insert(server.decide(APPROVED)["version"].as_u64());
                n_answered.fetch_add(1, Ordering::SeqCst);
            }
            versions
        });
        for i in 0..60u32 {
            server.route(|route| route.champion = Some(if i % 2 == 0 { second } else { 1 }));
            // Most changes come while requests are under way; after some of them answers are waited for.
            if i % 10 < 2 {
                wait_for_answers();
            }
        }
        is_over.store(true, Ordering::SeqCst);
        asker.join().expect("every request is answered")
    });
    assert_eq!(versions, BTreeSet::from([Some(1), Some(u64::from(second))]), "both answered, and nobody else");
    // That is the champion alone (60 is even: version 1); the thread that looks may hold what was before for a moment more.
    until("only what the registry names is in memory", || server.app.models.status().n_loaded == 1);
}

#[test]
fn a_change_by_another_process_is_seen_without_a_call() {
    let settings = ModelsSettings { poll_ms: 10, ..ModelsSettings::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(MemoryStore::default());
    let models = Models::open(settings, store.clone()).expect("models");
    let (digest, path) = bundle(folder.path(), "logistic");
    store.add("credit", &digest, &path);
    store.route("credit", |route| route.champion = Some(1));
    until("the change is in force", || models.route("credit", "k").is_ok());
    assert_eq!(models.status().n_loaded, 1);
}

#[test]
fn a_stop_waits_for_no_bundle_that_is_long_in_coming() {
    let models = ModelsSettings { poll_ms: 10, ..ModelsSettings::default() };
    let server = Server::new(Settings { models, ..Settings::default() });
    let second = server.add("logistic");
    let n_asked = || server.store.n_asked.load(Ordering::SeqCst);
    let (gate, before) = (server.store.gate.lock().expect("is free"), n_asked());
    server.store.route("credit", |route| route.champion = Some(second));
    until("the bundle is asked for", || n_asked() > before);
    // The loader waits now, and another process stops the model.
    server.store.route("credit", |route| route.stopped = true);
    until("the stop does not wait for the bundle", || server.app.models.route("credit", "k").is_err());
    drop(gate);
}

#[test]
fn what_is_here_answers_while_the_rest_is_long_in_coming() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(MemoryStore::default());
    // By name the one that has to be brought comes first.
    let digests = [("far", "boosting"), ("near", "logistic")].map(|(model, family)| {
        let (digest, path) = bundle(folder.path(), family);
        store.add(model, &digest, &path);
        store.route(model, |route| route.champion = Some(1));
        digest
    });
    *store.here.lock().expect("is free") = Some([digests[1].clone()].into());
    let gate = store.gate.lock().expect("is free");
    let models = Models::open(ModelsSettings::default(), store.clone()).expect("waits for nothing");
    assert!(models.route("near", "k").is_ok());
    assert_eq!((models.status().is_ready(), models.status().silent), (false, vec!["far".to_string()]));
    drop(gate);
    until("it is brought without a further look at the registry", || models.status().is_ready());
    assert!(models.route("far", "k").is_ok());
}

/// Whoever approves a version is answered once it answers, whatever another thread waits for.
#[test]
fn what_is_here_is_in_force_at_once_while_another_is_brought() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(MemoryStore::default());
    let mut here = HashSet::new();
    for (model, family, is_here) in
        [("credit", "boosting", true), ("credit", "logistic", true), ("far", "scorecard", false)]
    {
        let (digest, path) = bundle(folder.path(), family);
        store.add(model, &digest, &path);
        if is_here {
            here.insert(digest);
        }
    }
    *store.here.lock().expect("is free") = Some(here.into_iter().collect());
    store.route("credit", |route| route.champion = Some(1));
    // Nobody else looks meanwhile.
    let settings = ModelsSettings { poll_ms: 60_000, ..ModelsSettings::default() };
    let models = Models::open(settings, store.clone()).expect("models");
    let until = Instant::now() + Duration::from_secs(60);
    let n_asked = || store.n_asked.load(Ordering::SeqCst);
    let (gate, before) = (store.gate.lock().expect("is free"), n_asked());
    store.route("far", |route| route.champion = Some(1));
    std::thread::scope(|scope| {
        let bringing = scope.spawn(|| models.refresh());
        while n_asked() == before && Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(n_asked() > before && models.route("far", "k").is_err(), "it is being brought");
        for version in [2, 1] {
            store.route("credit", |route| route.champion = Some(version));
            models.refresh().expect("the store answers");
            assert_eq!(models.route("credit", "k").expect("answers").model.version, version);
        }
        drop(gate);
        bringing.join().expect("ends").expect("the store answers");
    });
    assert!(models.route("far", "k").is_ok() && models.status().is_ready());
}

/// Versions that had to be brought while the object store was away come, all of them with the next attempt, although one that is here
/// is refused each time; and at once where somebody put them here meanwhile.
#[test]
fn what_could_not_be_brought_comes_whatever_else_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(MemoryStore::default());
    let families = [("a", "boosting"), ("b", "scorecard"), ("c", "logistic")];
    let bundles = families.map(|(model, family)| {
        let (digest, path) = bundle(folder.path(), family);
        // In the registry only: who asks for it is told that it is nowhere.
        store.change(|registry| {
            let (note, by) = (String::new(), "test".to_string());
            let version = Version { number: 1, digest: digest.clone(), note, by, at_us: 0 };
            let new = Model { tier: 1, versions: vec![version], route: Route::default() };
            registry.models.insert(model.into(), new);
        });
        (digest, path)
    });
    // The digest of another bundle than the one that lies there.
    let wrong = "0".repeat(64);
    store.add("bad", &wrong, &bundles[0].1);
    for model in ["bad", "a", "b", "c"] {
        store.route(model, |route| route.champion = Some(1));
    }
    *store.here.lock().expect("is free") = Some([wrong].into());
    let answers = |models: &Models| ["bad", "a", "b", "c"].map(|model| models.route(model, "k").is_ok());
    // Nobody else looks meanwhile.
    let settings = ModelsSettings { poll_ms: 60_000, retry_s: 1, ..ModelsSettings::default() };
    let models = Models::open(settings, store.clone()).expect("models");
    until("all were asked for", || models.status().failures.len() == 4);
    assert_eq!(answers(&models), [false; 4]);
    // Put here by somebody: it waits for no pause.
    let [a, b, c] = &bundles;
    let put = |(digest, path): &(String, PathBuf)| store.put_bundle(digest, path).expect("is put");
    put(c);
    store.here.lock().expect("is free").as_mut().expect("some").insert(c.0.clone());
    models.refresh().expect("the store answers");
    assert!(models.route("c", "k").is_ok());
    put(a);
    put(b);
    std::thread::sleep(Duration::from_millis(1_100));
    models.refresh().expect("the store answers");
    let failures = models.status().failures;
    assert_eq!((answers(&models), failures.len()), ([false, true, true, true], 1), "{failures:?}");
}
