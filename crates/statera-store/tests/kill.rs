//! A process that writes under load is killed at many moments: nothing that it acknowledged is lost, nothing is there twice,
//! the ledger verifies, and the next process starts within seconds; `bench` measures how many.
//!
//! `STATERA_KILLS` sets how often, ten if not given.

#[path = "../../statera-data/tests/server/mod.rs"]
mod server;

mod facts;

use facts::{ANSWER, Place, all_told, decision, named};
use statera_core::Result;
use statera_store::ledger::verify;
use statera_store::record::{Recorded, RequestName};
use statera_store::{Store, StoreOptions, now_us, open};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Tells the child where its store is: address, folder, the number of its round.
const CHILD: &str = "STATERA_KILL_CHILD";
/// Records that are under way at a time.
const UNDER_WAY: usize = 200;

fn options(place: &Place) -> StoreOptions {
    StoreOptions { clock: now_us, checkpoint_every: (500, 1), ..place.options() }
}

/// Not a test but the process that is killed: it writes for as long as it lives, and prints the name of every request whose
/// record was acknowledged.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let told: Vec<&str> = told.split('\n').collect();
    let place = Place { address: told[0].into(), folder: told[1].into() };
    let store = open(&options(&place)).expect("opens");
    println!("open");
    let n_under_way = Arc::new(AtomicUsize::new(0));
    for i in 0.. {
        while n_under_way.load(Ordering::Acquire) >= UNDER_WAY {
            std::thread::sleep(Duration::from_micros(200));
        }
        let name = format!("{}-{i}", told[2]);
        let subject = if i % 3 == 0 { String::new() } else { format!("customer-{}", i % 50) };
        let record = named(decision(&subject, "{\"income\": 1}"), &name, b"body");
        n_under_way.fetch_add(1, Ordering::AcqRel);
        let counted = n_under_way.clone();
        let done = Box::new(move |done: Result<Recorded>| {
            let mut out = std::io::stdout().lock();
            if done.is_ok() && writeln!(out, "ack {name}").and_then(|()| out.flush()).is_err() {
                // Whoever was to kill this process has gone.
                std::process::exit(1);
            }
            counted.fetch_sub(1, Ordering::AcqRel);
        });
        store.submit(record, done).expect("is taken");
    }
}

/// Lets a child write for a while and kills it; the names that it acknowledged.
fn killed_after(place: &Place, round: usize, after: Duration) -> Vec<String> {
    let told = format!("{}\n{}\n{round}", place.address, place.folder.display());
    let child = Command::new(std::env::current_exe().expect("a path"))
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, told)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("starts");
    let mut child = Killed(child);
    let lines = BufReader::new(child.0.stdout.take().expect("a pipe")).lines();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(std::result::Result::ok).try_for_each(|line| tell.send(line)));
    while !told.recv_timeout(ANSWER).expect("the child opens the store").ends_with("open") {}
    std::thread::sleep(after);
    drop(child);
    // The last line may be half a one.
    all_told(&told).iter().filter_map(|l| l.strip_prefix("ack ").map(String::from)).collect()
}

/// A process that is killed when it is dropped, also by a panic.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// All requests of the ledger with how often they are in it.
fn recorded(store: &dyn Store) -> HashMap<String, usize> {
    let mut names = HashMap::new();
    for chain in store.chains().expect("reads") {
        let mut after = 0;
        loop {
            let rows = store.audit_rows(&chain, after, 10_000).expect("reads");
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in &rows {
                let body: serde_json::Value = serde_json::from_str(&row.body).expect("JSON");
                if let Some(name) = body["record"]["request"][1].as_str() {
                    *names.entry(name.to_string()).or_default() += 1;
                }
            }
        }
    }
    names
}

fn survives(place: &Place) {
    let n: usize = std::env::var("STATERA_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10).max(1);
    let mut acknowledged = HashSet::new();
    let mut starts = Vec::new();
    for round in 0..n {
        // Spread over a third of a second without a pattern that the disk could follow.
        let acks = killed_after(place, round, Duration::from_millis(10 + (round as u64 * 7919) % 320));
        acknowledged.extend(acks);
        let start = Instant::now();
        let store = open(&options(place)).expect("opens");
        starts.push(start.elapsed());
        let names = recorded(&*store);
        let lost: Vec<&String> = acknowledged.iter().filter(|name| !names.contains_key(*name)).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        assert!(names.values().all(|n| *n == 1), "round {round}: some are there twice");
        // Who got no answer asks again: it is recorded now or was before, once.
        let again = named(decision("", "{}"), &format!("{round}-0"), b"body");
        assert_eq!(again.request.as_ref().map(|r: &RequestName| r.name.clone()), Some(format!("{round}-0")));
        assert!(facts::submit_all(&*store, vec![again]).pop().expect("an answer").is_ok());
        drop(store);
        let copy = if place.address.contains("://") { &place.address } else { place.folder.to_str().expect("UTF-8") };
        let checkpoints = place.folder.join("checkpoints.jsonl");
        let verified =
            verify(copy, Some(&checkpoints), Some(&place.folder.join("checkpoint.pub"))).expect("is checked");
        assert_eq!(verified.findings, [], "round {round}");
    }
    starts.sort();
    let (middle, slowest) = (starts[n / 2], starts[n - 1]);
    eprintln!("{n} kills, {} acknowledged, starts {middle:?}, slowest {slowest:?}", acknowledged.len());
    assert!(acknowledged.len() > n, "the children wrote too little: {}", acknowledged.len());
    // Half of them, because what else the machine does may hold one up.
    assert!(middle < Duration::from_secs(5), "starts take {middle:?}");
}

#[test]
fn sqlite_survives_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    survives(&Place { address: folder.path().display().to_string(), folder: folder.path().into() });
}

#[test]
fn postgres_survives_kills() {
    let Some(server) = server::Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    survives(&Place { address: server.base(), folder: folder.path().into() });
}
