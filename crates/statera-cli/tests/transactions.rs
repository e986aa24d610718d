//! A fortnight of transactions as a client sends them, with the server killed in the middle, again and again: what is counted of
//! each is what a server counts that nobody killed, to the bit.
//!
//! `STATERA_KILLS` says how often (3 if it is not set).

#![cfg(unix)]

mod common;
#[path = "common/serving.rs"]
mod serving;

use common::{check, done};
use serde_json::{Value, json};
use serving::{Client, PASSWORD, Server};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Transactions that are sent.
const N: usize = 2_000;
const POST: &str = "/api/v1/transactions";
/// How long a state may take to be there.
const LIMIT: Duration = Duration::from_secs(30);

const PROJECT: &str = r#"
[sources]
payments = "payments.csv"
[main]
source = "payments"
key = "payment"
date = "at"
[roles]
target = "fraud"
[candidates]
models = ["logistic"]
[split]
folds = 2
[windows]
time = "at"
id = "payment"
label = "fraud"
label_delay = "1d"
[[windows.feature]]
key = "card"
of = "amount"
what = ["count", "mean", "std", "ratio_to_mean"]
over = ["1d", "7d"]
[[windows.feature]]
key = "shop"
of = "fraud"
what = ["count", "mean"]
over = ["7d"]
shift = "label"
"#;

/// A transaction's cells: 14 days, 30 cards, 20 shops; one in nine is a fraud.
fn cells(i: usize, month: u32) -> (String, Value) {
    let minute = i * 14 * 1440 / N;
    let at = format!("2024-{month:02}-{:02}T{:02}:{:02}:00Z", 1 + minute / 1440, minute % 1440 / 60, minute % 60);
    let is_fraud = (i * 7).is_multiple_of(9);
    let cents = (500 + i * 7919 % 2000) * if is_fraud { 5 } else { 1 };
    let (card, shop) = (format!("C{}", i * 613 % 30), format!("S{}", i * 31 % 20));
    let line = format!("{i},{at},{card},{shop},{}.{:02},{}", cents / 100, cents % 100, u8::from(is_fraud));
    let row = json!({ "payment": i, "at": at, "card": card, "shop": shop, "amount": cents as f64 / 100.0 });
    (line, row)
}

/// A bundle with windows, trained on another month.
fn bundle(dir: &Path) -> PathBuf {
    let mut csv = String::from("payment,at,card,shop,amount,fraud\n");
    (0..N).for_each(|i| writeln!(csv, "{}", cells(i, 3).0).unwrap());
    std::fs::write(dir.join("payments.csv"), csv).unwrap();
    std::fs::write(dir.join("project.toml"), PROJECT).unwrap();
    done(dir, &["train", "project.toml", "--quiet", "--out=bundle.zip"]);
    dir.join("bundle.zip")
}

/// Sends transactions and a label for every fraud until there is no answer; gives how many were answered.
fn send(place: &str, key: &str, from: usize, told: &Mutex<Vec<String>>) -> usize {
    let mut client = Client::with_key(place, key);
    for i in from..N {
        let began = Instant::now();
        let answer = loop {
            let body = json!({ "model": "cards", "subject": format!("s{i}"), "row": cells(i, 5).1 });
            match client.call("POST", POST, &body) {
                (200, answer) => break answer,
                (503, told) => assert!(began.elapsed() < LIMIT, "{told}"),
                (0, _) => return i,
                (status, answer) => panic!("transaction {i}: {status} {answer}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let id = answer["id"].as_str().expect("an id").to_string();
        told.lock().unwrap().push(id);
        if i >= 100 && ((i - 100) * 7).is_multiple_of(9) {
            let body = json!({ "model": "cards", "transaction": (i - 100).to_string(), "outcome": "fraud", "on": &cells(i - 100, 5).1["at"].as_str().unwrap()[..10] });
            let began = Instant::now();
            let (status, answer) = loop {
                let told = client.call("POST", "/api/v1/outcomes", &body);
                if told.0 != 503 || began.elapsed() > LIMIT {
                    break told;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            if status == 0 {
                // The label may be there or not: it is said again.
                told.lock().unwrap().pop();
                return i;
            }
            assert_eq!(status, 200, "label of {}: {answer}", i - 100);
        }
    }
    N
}

/// What was counted of each transaction.
fn counted(server: &Server, key: &str, ids: &[String]) -> Vec<Value> {
    let mut client = Client::with_key(&server.place, key);
    let mut of =
        |id: &String| client.done("GET", &format!("/api/v1/decisions/{id}"), &Value::Null)["rows"][0]["windows"].take();
    ids.iter().map(&mut of).collect()
}

/// Serves all transactions, killed so often; gives what was counted.
fn serve(dir: &Path, bundle: &Path, kills: usize) -> Vec<Value> {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("server.toml"), "[serve]\nstore = \"store\"\n[transactions]\nsnapshot_s = 1\n").unwrap();
    let mut server = Server::start(dir);
    let key = server.furnish(dir, "cards", bundle);
    let told = Mutex::new(Vec::new());
    let mut from = 0;
    for kill in 0..kills {
        let (place, until) = (server.place.clone(), (kill + 1) * N / (kills + 1));
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| send(&place, &key, from, &told));
            while told.lock().unwrap().len() < until && !sender.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            sender.join().expect("the client")
        });
        from = sent;
        server = Server::start(dir);
    }
    from = send(&server.place, &key, from, &told);
    assert_eq!(from, N);
    let told = told.into_inner().unwrap();
    let counted = counted(&server, &key, &told);
    server.stop();
    done(dir, &["audit", "verify", "store"]);
    counted
}

#[test]
fn a_killed_server_counts_as_one_that_nobody_killed() {
    let kills = std::env::var("STATERA_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle(dir.path());
    let whole = serve(&dir.path().join("whole"), &bundle, 0);
    let killed = serve(&dir.path().join("killed"), &bundle, kills);
    assert_eq!(whole.len(), N);
    assert!(whole.iter().any(|w| w["shop_fraud_mean_7d_shifted"].as_f64() > Some(0.0)), "{}", whole[N - 1]);
    for (i, (a, b)) in whole.iter().zip(&killed).enumerate() {
        assert_eq!(a, b, "transaction {i}");
    }
}

/// The queue as a desk works on it from the command line, over the end of a process.
#[test]
fn a_desk_works_on_alerts_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let bundle = bundle(dir);
    // A shift that began some twelve hours ago does not end while it is counted.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let shift = format!("{:02}:00", (now / 3_600 + 12) % 24);
    let settings =
        format!("[serve]\nstore = \"store\"\n[alerts]\nthreshold = 0.3\ncapacity = 3\nshifts = [\"{shift}\"]\n");
    std::fs::write(dir.join("server.toml"), settings).unwrap();
    std::fs::write(dir.join("password"), PASSWORD).unwrap();
    let server = Server::start(dir);
    let key = server.furnish(dir, "cards", &bundle);
    let mut client = Client::with_key(&server.place, &key);
    // What each card's payments of the threshold or more put at stake.
    let mut at_stake: BTreeMap<String, f64> = BTreeMap::new();
    for i in 0..400 {
        let row = cells(i, 5).1;
        let (card, amount) = (row["card"].as_str().unwrap().to_string(), row["amount"].as_f64().unwrap());
        let body = json!({ "model": "cards", "subject": card, "row": row });
        let mut answer = client.call("POST", POST, &body);
        let began = Instant::now();
        while answer.0 == 503 && began.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
            answer = client.call("POST", POST, &body);
        }
        assert_eq!(answer.0, 200, "{}", answer.1);
        let probability = answer.1["decisions"][0]["probability"].as_f64().unwrap();
        if probability >= 0.3 {
            *at_stake.entry(card).or_default() += probability * amount;
        }
    }
    assert!(at_stake.len() >= 4, "{at_stake:?}");
    let mut ranked: Vec<f64> = at_stake.values().copied().collect();
    ranked.sort_by(|a, b| b.total_cmp(a));
    let alerts = |place: &str, who: &str, more: &[&str]| -> Vec<String> {
        let fixed = [
            "fraud",
            "alerts",
            &format!("--server=http://{place}"),
            &format!("--person={who}"),
            "--password-file=password",
        ];
        fixed.iter().chain(more).map(ToString::to_string).collect()
    };
    let run = |place: &str, who: &str, more: &[&str]| {
        let all = alerts(place, who, more);
        done(dir, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let queue: Value = serde_json::from_str(&run(&server.place, "checker", &["--json"])).unwrap();
    let told: Vec<f64> =
        queue["alerts"].as_array().unwrap().iter().filter_map(|c| c["expected_loss"].as_f64()).collect();
    assert_eq!((told.len(), &queue["n_all"]), (3, &json!(at_stake.len())), "{queue}");
    assert!(told.iter().zip(&ranked).all(|(a, b)| (a - b).abs() < 1e-3), "{told:?} is not {ranked:?}");
    let text = run(&server.place, "checker", &["list", "--model=cards", "--limit=2"]);
    let below = format!("2 shown; {} below the line", at_stake.len() - 2);
    for word in ["0 of 3 done, room for 3", "cards: expected loss", "nobody works on it", below.as_str()] {
        assert!(text.contains(word), "«{word}» is not in:\n{text}");
    }
    let ids: Vec<&str> = queue["alerts"].as_array().unwrap().iter().filter_map(|c| c["id"].as_str()).collect();
    // What lies below the line is read page by page, or altogether.
    let listed = |more: &[&str]| -> Vec<String> {
        let queue: Value = serde_json::from_str(&run(&server.place, "checker", more)).unwrap();
        queue["alerts"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_string()).collect()
    };
    let all = listed(&["--json", "list", "--all"]);
    assert_eq!((all.len(), &all[..3]), (at_stake.len(), &ids.iter().map(ToString::to_string).collect::<Vec<_>>()[..]));
    assert_eq!(listed(&["--json", "list", "--after", queue["next"].as_str().unwrap()]), all[3..]);
    run(&server.place, "checker", &["assign", ids[0]]);
    let refused = alerts(&server.place, "maker", &["assign", ids[0]]);
    check(dir, &refused.iter().map(String::as_str).collect::<Vec<_>>(), 1, &["«checker» works on the case"]);
    let shown = run(&server.place, "checker", &["show", ids[0]]);
    for word in ["card C", "checker: given to checker", "* is of the case", "shop=S"] {
        assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
    }
    run(&server.place, "checker", &["confirm", ids[0], "--note=it was not theirs"]);
    run(&server.place, "maker", &["dismiss", ids[1], "--reason=customer_confirmed"]);
    server.kill();
    let server = Server::start(dir);
    let text = run(&server.place, "maker", &["list", "--state=closed"]);
    for word in ["2 of 3 done, room for 1", "confirmed by checker", "dismissed by maker"] {
        assert!(text.contains(word), "«{word}» is not in:\n{text}");
    }
    let queue: Value = serde_json::from_str(&run(&server.place, "maker", &["--json"])).unwrap();
    assert_eq!((&queue["alerts"][0]["id"], queue["alerts"].as_array().map(Vec::len)), (&json!(ids[2]), Some(1)));
    server.stop();
    done(dir, &["audit", "verify", "store"]);
}
