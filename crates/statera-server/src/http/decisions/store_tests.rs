//! Decisions over the real store: on disk, encrypted, in the ledger, and there again after a restart.

use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::testing::{APPROVED, DECLINED, answer_of, furnish, program, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::act::Actor;
use statera_store::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

const POST: &str = "/api/v1/decisions";

fn open(folder: &Path) -> (Shared, Arc<dyn Store>) {
    let options = StoreOptions::at(&folder.join("store").display().to_string(), None).expect("options");
    let store = statera_store::open(&options).expect("a store");
    (App::over(Settings::default(), folder, store.clone()).expect("an app"), store)
}

fn json_of((status, body): (StatusCode, Vec<u8>)) -> (StatusCode, Value) {
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn decisions_outlive_a_restart_and_end_with_their_subject() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = format!(
        r#"{{"model":"credit","request_id":"r-1","explain":"all","rows":[{{"subject":"a","row":{APPROVED}}},{{"subject":"b","row":{DECLINED}}}]}}"#
    );
    let (first, path) = {
        let (app, store) = open(folder.path());
        furnish(folder.path(), &app, &*store);
        let first = answer_of(&app, &program(), "POST", POST, &body);
        assert_eq!(first.0, StatusCode::OK, "{}", String::from_utf8_lossy(&first.1));
        let told: Value = serde_json::from_slice(&first.1).expect("JSON");
        assert_eq!(told["decisions"][1]["decision"], json!("decline"));
        (first, format!("{POST}/{}/replay", told["id"].as_str().expect("an id")))
    };
    let (app, store) = open(folder.path());
    assert_eq!(answer_of(&app, &program(), "POST", POST, &body), first, "the same bytes");
    let (status, _) = answer_of(&app, &program(), "POST", POST, &body.replace("0.144", "0.145"));
    assert_eq!(status, StatusCode::CONFLICT);
    let replay = || json_of(answer_of(&app, &viewer(), "GET", &path, "")).1;
    assert_eq!((&replay()["result"], &replay()["rows_compared"]), (&json!("identical"), &json!(2)));
    // What is personal is nowhere in the files as it is.
    let row = br#""monthly_income":900"#;
    for file in std::fs::read_dir(folder.path().join("store")).expect("a folder").flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        assert!(!bytes.windows(row.len()).any(|w| w == row), "{}", file.path().display());
    }
    store.erase(&Actor::Person("ada".into()), "b", "asked for").expect("there is something");
    let told = replay();
    assert_eq!((&told["result"], &told["rows_compared"]), (&json!("identical"), &json!(1)));
    assert!(told["erased"][0].as_str().is_some_and(|t| t.starts_with("erased on ")), "{told}");
}
