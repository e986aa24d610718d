//! What holds of a store over either database.

#![allow(dead_code)]

mod alerts;
pub mod backup;
mod ledger;
mod people;
mod records;
mod registry;

use statera_core::{ErrorKind, Result};
use statera_store::act::{Act, Actor};
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded, RequestName};
use statera_store::{Store, StoreOptions, open};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// 2026-11-21 12:00 UTC.
const START_US: i64 = 1_795_262_400_000_000;
/// How long an answer may take before a test fails.
pub const ANSWER: Duration = Duration::from_secs(60);
/// Microseconds of a day.
pub const DAY_US: i64 = 24 * 3600 * 1_000_000;

static NOW: AtomicI64 = AtomicI64::new(START_US);

/// The clock of the tests: every look at it is a microsecond later.
fn clock() -> i64 {
    NOW.fetch_add(1, Ordering::Relaxed)
}

/// Moves the clock.
pub fn turn_clock(by_us: i64) {
    NOW.fetch_add(by_us, Ordering::Relaxed);
}

/// Where a store is.
pub struct Place {
    pub address: String,
    pub folder: PathBuf,
}

impl Place {
    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            address: self.address.clone(),
            folder: self.folder.clone(),
            queue: 1000,
            checkpoint_every: (1000, 60),
            clock,
            objects: None,
            full: Arc::default(),
        }
    }

    pub fn open(&self) -> Arc<dyn Store> {
        open(&self.options()).expect("opens")
    }
}

/// A fact and its name, which can be one of a database.
pub type Fact = (&'static str, fn(&Place));

/// Runs every fact, each on a new store.
pub fn every_fact(mut new_place: impl FnMut(&str) -> Place) {
    let facts: Vec<Fact> =
        [records::FACTS, registry::FACTS, people::FACTS, ledger::FACTS, alerts::FACTS, backup::FACTS].concat();
    for (name, fact) in facts {
        eprintln!("{name}");
        fact(&new_place(name));
    }
}

/// A decision about one row.
pub fn decision(subject: &str, plain: &str) -> NewRecord {
    NewRecord {
        id: Id::new(clock()),
        kind: RecordKind::Decision,
        of: None,
        request: None,
        actor: Actor::Key("paymentpath".into()),
        facts: "{\"model\": \"credit\", \"version\": 1}".into(),
        parts: vec![Part { subject: subject.into(), plain: plain.into() }],
        alert: None,
    }
}

/// The same under a name.
pub fn named(record: NewRecord, name: &str, body: &[u8]) -> NewRecord {
    let request = RequestName { scope: "key1".into(), name: name.into(), body_digest: *blake3::hash(body).as_bytes() };
    NewRecord { request: Some(request), ..record }
}

/// Submits all at once and waits for all.
pub fn submit_all(store: &dyn Store, records: Vec<NewRecord>) -> Vec<Result<Recorded>> {
    let (answer, answers) = mpsc::channel();
    let n = records.len();
    for (i, record) in records.into_iter().enumerate() {
        let answer = answer.clone();
        let done = Box::new(move |recorded| answer.send((i, recorded)).expect("the test waits"));
        store.submit(record, done).expect("is taken");
    }
    let mut all: Vec<Option<Result<Recorded>>> = (0..n).map(|_| None).collect();
    for _ in 0..n {
        let (i, recorded) = answers.recv_timeout(ANSWER).expect("an answer");
        all[i] = Some(recorded);
    }
    all.into_iter().flatten().collect()
}

/// All that is told until nobody is left who could tell more.
#[track_caller]
pub fn all_told<T>(told: &Receiver<T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        match told.recv_timeout(ANSWER) {
            Ok(one) => all.push(one),
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => panic!("{} were told, and nothing for {ANSWER:?}", all.len()),
        }
    }
}

/// Submits one and waits; the time in the ledger.
pub fn submit(store: &dyn Store, record: NewRecord) -> i64 {
    match submit_all(store, vec![record]).pop() {
        Some(Ok(Recorded::New { at_us })) => at_us,
        other => panic!("not recorded: {other:?}"),
    }
}

pub fn person(name: &str) -> Actor {
    Actor::Person(name.into())
}

pub fn act(store: &dyn Store, who: &str, act: Act) -> statera_store::act::Acted {
    store.act(&person(who), act).expect("is done")
}

/// A failure of a kind whose message holds a text.
pub fn check_failure<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, text: &str) {
    let e = result.expect_err("must fail");
    assert!(e.kind() == kind && e.to_string().contains(text), "{:?}: {e}", e.kind());
}

/// A folder that passes for a bundle, in the store; its digest.
pub fn bundle(store: &dyn Store, folder: &Path, n: u8) -> String {
    let digest = format!("{n:02x}").repeat(32);
    let from = folder.join(format!("bundle-{n}"));
    std::fs::create_dir_all(from.join("weights")).expect("a folder");
    std::fs::write(from.join("manifest.json"), format!("{{\"n\": {n}}}")).expect("a file");
    std::fs::write(from.join("weights/a"), [n]).expect("a file");
    store.put_bundle(&digest, &from).expect("is kept");
    digest
}
