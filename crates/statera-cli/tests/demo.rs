//! The demo of fraud from its first table to its ledger: what it tells must hold, and what it leaves can be used by hand.

#![cfg(unix)]

mod common;
#[path = "common/serving.rs"]
mod serving;

use common::{PATIENCE, check, done, ending, statera};
use serde_json::{Value, json};
use serving::{Client, Server, signal};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A bank of 200 cards: large enough for mules, rings and victims.
const ROWS: &str = "--rows=8000";
/// No part of the story takes longer.
const LIMIT: Duration = Duration::from_secs(300);

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The columns of a small table without quotes, by row.
fn table(path: &Path) -> Vec<serde_json::Map<String, Value>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_string).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|cells| header.iter().cloned().zip(cells.into_iter().map(Value::from)).collect()).collect()
}

#[test]
fn the_story_of_fraud_holds_and_can_be_repeated_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let output = statera(dir.path(), &["demo", "--use-case=fraud", ROWS, "--out=demo", "--json", "--quiet"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "--quiet");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let demo = dir.path().join("demo");
    assert_eq!(names_in(dir.path()), ["demo"], "nothing lies outside of it");
    assert!(names_in(&demo).iter().all(|name| !name.starts_with('.')), "{:?}", names_in(&demo));
    network(&told["network"], &demo);
    live(&told["live"], &demo);
    desk(&told["alerts"], &demo);
    assert_eq!(told["ledger"]["is_intact"], true);
    let alone = demo.join("fraud.statera/manifest.json");
    let ruled: Value = serde_json::from_slice(&fs::read(demo.join("ruled.statera/manifest.json")).unwrap()).unwrap();
    assert!(alone.is_file() && ruled["parents"].as_array().is_some_and(|parents| parents.len() == 1), "{ruled}");
    assert!(told["facts"]["alerts"]["reviewed"]["n_alerts"].as_u64() > Some(0), "{}", told["facts"]["alerts"]);

    // What it says to type makes the same bundle.
    let command = told["network"]["commands"][0].as_str().unwrap().replace("--out demo/", "--out by-hand-");
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let said = done(dir.path(), &words);
    let next = "by-hand-transfers.statera NEW.csv --history BEFORE.csv --edges EDGES.csv --out scores.csv";
    assert!(said.contains(next), "{said}");
    let manifest = |path: &str| fs::read_to_string(dir.path().join(path).join("manifest.json")).unwrap();
    assert_eq!(manifest("by-hand-transfers.statera"), manifest("demo/transfers.statera"), "{command}");

    by_hand(&demo.join("server"));
}

/// With as many false alarms the network finds more, of mules above all, and the file of what was found says the same.
fn network(told: &Value, demo: &Path) {
    let patterns = told["patterns"].as_object().expect("patterns");
    let sum = |which: &str| patterns.values().map(|found| number(&found[which])).sum::<f64>();
    assert!(sum("with") > sum("without"), "{told}");
    assert!(number(&patterns["mule"]["with"]) > number(&patterns["mule"]["without"]), "{told}");
    for (name, found) in patterns {
        assert!(number(&found["with"]) <= number(&found["n_frauds"]), "{name}: {found}");
    }
    let rows = table(&demo.join("transfers-found.csv"));
    assert_eq!(rows.len() as f64, sum("n_frauds"));
    for (column, which) in [("alerted_without", "without"), ("alerted_with", "with")] {
        let n = rows.iter().filter(|row| row[column] == "1").count();
        assert_eq!(n as f64, sum(which), "{column}");
    }
    // One of five hundred, as it is said.
    assert!(number(&told["n_false"]) <= 0.002 * number(&told["n_test"]), "{told}");
}

/// One at a time or in a batch: the same bits, and the same action.
fn live(told: &Value, demo: &Path) {
    let n = number(&told["n"]);
    assert!(n > 100.0 && number(&told["n_before"]) > 30.0 * n, "{told}");
    assert_eq!((number(&told["n_equal"]), number(&told["n_same_action"])), (n, n), "{told}");
    assert!(number(&told["n_labels"]) > 0.0, "{told}");
    let rows = table(&demo.join("live-day.csv"));
    assert_eq!(rows.len() as f64, n);
    assert!(rows.iter().all(|row| row["probability_live"] == row["probability_batch"]));
}

/// Ranked by expected loss, no more than the capacity, and every closed case is what the bank's table says.
fn desk(told: &Value, demo: &Path) {
    let worked = told["worked"].as_array().expect("cases");
    let capacity = told["capacity"].as_u64().unwrap() as usize;
    assert_eq!(worked.len(), capacity.min(told["n_cases"].as_u64().unwrap() as usize), "{told}");
    assert!(!worked.is_empty(), "{told}");
    let losses: Vec<f64> = worked.iter().map(|case| number(&case["expected_loss"])).collect();
    assert!(losses.is_sorted_by(|a, b| a >= b), "{losses:?}");
    let day = table(&demo.join("live-day.csv"));
    let n_frauds = day.iter().filter(|row| row["tx_fraud"] == "1").count();
    assert_eq!(told["n_frauds"], n_frauds);
    let found: u64 = worked.iter().map(|case| case["n_frauds"].as_u64().unwrap()).sum();
    assert!(found <= n_frauds as u64 && told["n_found"] == found, "{told}");
    assert!(number(&told["money_found"]) <= number(&told["money"]) + 1e-9, "{told}");
    assert_eq!(table(&demo.join("alerts.csv")).len(), worked.len());
}

/// The server's folder is one that `statera serve` goes on with.
fn by_hand(folder: &Path) {
    done(folder, &["audit", "verify", "store"]);
    let server = Server::start(folder);
    let key = fs::read_to_string(folder.join("payments.key")).unwrap();
    let mut client = Client::with_key(&server.place, key.trim());
    let row = json!({
        "transaction_id": "P99999999", "tx_datetime": "2025-09-30T23:59:59", "card_id": "K000001", "terminal_id": "T000001",
        "tx_amount": 950.0,
    });
    let body = json!({ "model": "cards", "subject": "K000001", "row": row });
    let began = Instant::now();
    let mut answer = client.call("POST", "/api/v1/transactions", &body);
    while answer.0 == 503 && began.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(5));
        answer = client.call("POST", "/api/v1/transactions", &body);
    }
    let decided = &answer.1["decisions"][0];
    assert_eq!((answer.0, &decided["action"]), (200, &json!("block")), "{}", answer.1);
    // Larger than any payment before, and not scored as if that were safe.
    assert!(number(&decided["probability"]) > 0.5, "{}", answer.1);
    let place = format!("--server=http://{}", server.place);
    let list = ["fraud", "alerts", "--person=ben", "--password-file=ben.txt", &place, "list", "--limit=50"];
    let text = done(folder, &list);
    assert!(text.contains("cards: expected loss") && text.contains("room for 0"), "{text}");
    // A demo would take its store away.
    let demo = ["demo", "--use-case=fraud", "--rows=400", "--out=."];
    check(folder.parent().unwrap(), &demo, 2, &["the server of ./server runs; stop it"]);
    server.stop();
    done(folder, &["audit", "verify", "store"]);
    // It would do so when the server is stopped, too: what was sent since is in the ledger.
    check(folder.parent().unwrap(), &demo, 2, &["./server: somebody has gone on with the server, its ledger has "]);
    done(folder, &["audit", "verify", "store"]);
}

#[test]
fn an_interruption_on_the_live_path_leaves_whole_files_and_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let demo = dir.path().join("demo");
    // Files: nobody reads what is said before the end, and a pipe holds only so much.
    let log = |name: &str| fs::File::create(dir.path().join(name)).unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_statera"))
        .current_dir(dir.path())
        .args(["demo", "--use-case=fraud", ROWS, "--out=demo"])
        .stdout(log("said"))
        .stderr(log("told"))
        .spawn()
        .expect("the binary starts");
    let began = Instant::now();
    // The server's store is begun, and what it is told takes a while.
    while !demo.join(".server.partial/payments.key").exists() {
        assert!(began.elapsed() < LIMIT && child.try_wait().unwrap().is_none(), "it never comes to the live path");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal("INT", child.id());
    let status = ending(&mut child, PATIENCE);
    let said = read("told");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted; ") && said.contains("is complete"), "{said}");
    let names = names_in(&demo);
    assert!(names.iter().all(|name| !name.starts_with('.') && name != "server"), "{names:?}");
    for whole in ["fraud.statera", "ruled.statera", "transfers.statera", "rules-backtest.json", "report.html"] {
        assert!(names.iter().any(|name| name == whole), "{whole} is not in {names:?}");
    }
    let story = read("said");
    for word in ["A desk that looks at up to 4 cards a day has ", "Found with it", "By hand:\n  statera train demo/"] {
        assert!(story.contains(word), "«{word}» is not in:\n{story}");
    }
}

#[test]
fn a_folder_of_somebody_in_the_place_of_the_server_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("demo/server")).unwrap();
    fs::write(dir.path().join("demo/server/letters.txt"), "mine").unwrap();
    let told = ["demo/server exists and is not of a demo; name another folder with --out"];
    check(dir.path(), &["demo", "--use-case=fraud", "--rows=400", "--out=demo"], 2, &told);
    assert_eq!(fs::read_to_string(dir.path().join("demo/server/letters.txt")).unwrap(), "mine");
    assert_eq!(names_in(&dir.path().join("demo")), ["server"], "nothing was written");
}

#[test]
fn a_bank_that_is_too_small_for_the_story_is_told_how_large_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    for rows in ["--rows=10", "--rows=400"] {
        let told = [&rows.replace('=', " ")[..], "too little fraud to tell of (", "); ask for 8000 or more"];
        check(dir.path(), &["demo", "--use-case=fraud", rows, "--out=demo"], 2, &told);
    }
}
