//! The server is killed at random moments under load, again and again: no decision that a client was told of is lost, none
//! is there twice, the chain verifies, and a start takes seconds at most (less than one on a machine that does nothing else: what
//! is printed says how long).
//!
//! `STATERA_KILLS` says how often (10 if it is not set). Two hundred on each store:
//! `STATERA_KILLS=200 cargo test --release --test kill -- --nocapture`

#![cfg(unix)]

mod common;
#[path = "../../statera-data/tests/server/mod.rs"]
mod database;
#[path = "common/serving.rs"]
mod serving;

use common::{done, ending};
use serde_json::Value;
use serving::{Client, Server, bundle, signal};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Requests a second of the load.
const RATE: u32 = 1_000;
/// A load that has not begun by then never will.
const LIMIT: Duration = Duration::from_secs(60);
/// Clients that look afterwards.
const CLIENTS: usize = 8;
/// Bodies that take turns.
const BODIES: u64 = 50;

/// A request of the load: its body, and the decision's id if a client was told of it.
struct Sent {
    body: String,
    told: Option<String>,
}

fn kills() -> u32 {
    std::env::var("STATERA_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

fn body(number: u64, request_id: &str) -> String {
    let income = 900 + number * 7919 % 3000;
    format!(
        "{{\"model\":\"loans\",\"request_id\":\"{request_id}\",\"subject\":\"s{number}\",\
         \"row\":{{\"income\":{income},\"debt\":{},\"region\":\"north\"}}}}",
        number * 613 % 900
    )
}

/// The load's connections.
const CONNECTIONS: u64 = 32;

/// Puts a load on the server, kills it after so long, and tells what was answered and what may have been sent.
fn load_and_kill(server: Server, dir: &Path, after: Duration) -> BTreeMap<String, Sent> {
    let url = format!("http://{}/api/v1/decisions", server.place);
    let (rate, connections) = (format!("--rate={RATE}"), format!("--connections={CONNECTIONS}"));
    let file = dir.join("answers.csv");
    let _ = std::fs::remove_file(&file);
    let mut load = Command::new(env!("CARGO_BIN_EXE_statera"))
        .current_dir(dir)
        .args(["bench", &url, &rate, &connections, "--seconds=60", "--timeout-ms=2000", "--key-file=load.key"])
        .args(["--body=bodies.jsonl", "--answers=answers.csv", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < LIMIT && load.try_wait().unwrap().is_none(), "the load does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(after);
    server.kill();
    // Its connections have ended; the load has time to notice all of them.
    std::thread::sleep(Duration::from_millis(100));
    signal("INT", load.id());
    ending(&mut load, LIMIT);
    let answers = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Vec<&str>> = answers.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let told: BTreeMap<u64, Option<String>> = lines
        .iter()
        .map(|cells| {
            let told = (cells[2] == "200").then(|| cells[6].to_string());
            assert!(told.as_ref().is_none_or(|id| !id.is_empty()), "a decision without an id: {cells:?}");
            (cells[0].parse().unwrap(), told)
        })
        .collect();
    // A load that was itself held up may have sent one more on each connection without a line about it.
    let Some((load, _)) = lines.first().and_then(|cells| cells[1].rsplit_once('-')) else { return BTreeMap::new() };
    let n = told.keys().max().map_or(0, |last| last + 1) + CONNECTIONS;
    (0..n)
        .map(|number| {
            let name = format!("{load}-{number:010}");
            let sent = Sent { body: body(number % BODIES, &name), told: told.get(&number).cloned().flatten() };
            (name, sent)
        })
        .collect()
}

/// Sends every request again, and asks for every decision that a client was told of. Gives the decisions' ids.
fn look(server: &Server, key: &str, sent: &BTreeMap<String, Sent>) -> Vec<String> {
    let all: Vec<_> = sent.iter().collect();
    let look_at = |part: &[(&String, &Sent)]| -> Vec<String> {
        let mut client = Client::with_key(&server.place, key);
        let mut again = |(name, sent): &(&String, &Sent)| {
            let (status, answer) = client.send("POST", "/api/v1/decisions", "application/json", sent.body.as_bytes());
            assert_eq!(status, 200, "{name}, sent again: {answer}");
            let id = answer["id"].as_str().expect("an id").to_string();
            if let Some(told) = &sent.told {
                assert_eq!(&id, told, "{name} is another decision when it is sent again");
                let (status, stored) = client.call("GET", &format!("/api/v1/decisions/{told}"), &Value::Null);
                assert_eq!(status, 200, "{name}: the decision {told} is lost: {stored}");
            }
            id
        };
        part.iter().map(&mut again).collect()
    };
    std::thread::scope(|scope| {
        let parts = all.chunks(all.len().div_ceil(CLIENTS).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || look_at(part))).collect();
        threads.into_iter().flat_map(|t| t.join().expect("a client")).collect()
    })
}

/// Kills the server of a store again and again; `copy` is what `statera audit verify` needs to know of it.
fn check(store: &str, folder: &str, copy: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("server.toml"), format!("[serve]\nstore = \"{store}\"\nfolder = \"{folder}\"\n")).unwrap();
    let lines: Vec<String> = (0..BODIES).map(|i| body(i, "{{request_id}}")).collect();
    std::fs::write(dir.join("bodies.jsonl"), lines.join("\n")).unwrap();
    let server = Server::start(dir);
    let key = server.furnish(dir, "loans", &bundle(dir));
    server.stop();
    let (mut told, mut ids, mut starts) = (0, BTreeSet::new(), Vec::new());
    let mut moment = 7u64;
    for _ in 0..kills() {
        let server = Server::start(dir);
        starts.push(server.starting);
        // A multiplicative generator (Lehmer) is random enough for the moment, and the same in every run.
        moment = moment * 48_271 % 2_147_483_647;
        let sent = load_and_kill(server, dir, Duration::from_millis(100 + moment % 1_100));
        let server = Server::start(dir);
        starts.push(server.starting);
        told += sent.values().filter(|s| s.told.is_some()).count();
        let found = look(&server, &key, &sent);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "two requests are one decision");
        let before = ids.len();
        ids.extend(found.iter().cloned());
        assert_eq!(ids.len(), before + found.len(), "a request of another round is the same decision");
        server.stop();
    }
    let verified = done(dir, &[&["audit", "verify", "--json"], copy].concat());
    let verified: Value = serde_json::from_str(&verified).expect("JSON");
    assert_eq!(verified["records"], ids.len(), "as many records as decisions: {verified}");
    starts.sort();
    let (middle, slowest) = (starts[starts.len() / 2], starts[starts.len() - 1]);
    println!(
        "{} kills on {folder}: {told} decisions told, {} made; starts {middle:?}, slowest {slowest:?}",
        kills(),
        ids.len()
    );
    println!("{verified}");
    assert!(told > 0, "no decision was told: the load was no load");
    // Half of them, because what else the machine does may hold one up; and wide, because the other tests run meanwhile.
    assert!(middle < Duration::from_secs(5), "starts take {middle:?}");
}

#[test]
fn sqlite_loses_and_doubles_nothing() {
    check("store", "store", &["store"]);
}

#[test]
fn postgresql_loses_and_doubles_nothing() {
    let Some(server) = database::Server::start() else { return };
    let base = server.base();
    check(&base, "files", &[&base, "--checkpoints=files/checkpoints.jsonl", "--public-key=files/checkpoint.pub"]);
}
