//! The facts over PostgreSQL, against a server of its own; skipped, with a message, where the machine has none.

#[path = "../../statera-data/tests/server/mod.rs"]
mod server;

mod facts;
mod relay;

use facts::{Place, decision, submit};
use relay::Relay;
use server::Server;
use statera_core::{ErrorKind, Result};
use statera_store::act::Act;
use statera_store::ledger::verify;
use statera_store::record::Recorded;
use statera_store::{Store, StoreOptions, copy_keys, open, restore};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

#[test]
fn every_fact_holds_over_postgres() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    facts::every_fact(|name| {
        server.sql(&format!("CREATE DATABASE {name}"));
        let address = format!("postgres://bank:se%25cret@127.0.0.1:{}/{name}?sslmode=disable", server.port);
        Place { address, folder: folder.path().join(name) }
    });
}

/// Sessions are ended under load again and again: what is acknowledged is there, what is refused is not, nothing is twice.
#[test]
fn broken_connections_lose_and_double_nothing() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { address: server.base(), folder: folder.path().into() };
    let store = place.open();
    let (answer, answers) = mpsc::channel();
    let (writing, n_acknowledged) = (AtomicBool::new(true), Arc::new(AtomicUsize::new(0)));
    let (mut n_recorded, mut n_refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(60);
            while writing.load(Ordering::Relaxed) && Instant::now() < end {
                let record = decision("kim", "1");
                let (id, answer, n) = (record.id, answer.clone(), n_acknowledged.clone());
                let done = Box::new(move |done: Result<Recorded>| {
                    n.fetch_add(usize::from(done.is_ok()), Ordering::Relaxed);
                    answer.send((id, done.is_ok())).expect("is read");
                });
                // Refused at once while the database is away.
                let _ = store.submit(record, done);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        for _ in 0..15 {
            std::thread::sleep(Duration::from_millis(100));
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'statera'");
        }
        // As long as a busy machine needs for more than a few.
        let end = Instant::now() + Duration::from_secs(30);
        while n_acknowledged.load(Ordering::Relaxed) <= 100 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        writing.store(false, Ordering::Relaxed);
    });
    drop(answer);
    // The writer comes back by itself.
    let end = Instant::now() + Duration::from_secs(60);
    while !store.is_ready() {
        assert!(Instant::now() < end, "the store does not come back");
        std::thread::sleep(Duration::from_millis(20));
    }
    submit_at_last(&*store);
    for (id, is_recorded) in facts::all_told(&answers) {
        assert_eq!(store.record(id).is_ok(), is_recorded, "{id}");
        if is_recorded { n_recorded += 1 } else { n_refused += 1 }
    }
    eprintln!("{n_recorded} recorded, {n_refused} refused");
    assert!(n_recorded > 100);
    let rows: usize =
        store.chains().expect("reads").iter().map(|c| store.audit_rows(c, 0, 100_000).expect("reads").len()).sum();
    assert_eq!(rows, n_recorded + 1);
    drop(store);
    let verified = verify(
        &place.address,
        Some(&place.folder.join("checkpoints.jsonl")),
        Some(&place.folder.join("checkpoint.pub")),
    );
    assert_eq!(verified.expect("is checked").findings, []);
}

/// Submits one until it is recorded: the writer finds that its session is over when it writes, which is then refused.
#[track_caller]
fn submit_at_last(store: &dyn Store) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (tell, told) = mpsc::channel();
        let done = Box::new(move |done: Result<Recorded>| drop(tell.send(done.map(drop))));
        let submitted = store.submit(decision("kim", "3"), done);
        match submitted.and_then(|()| told.recv_timeout(facts::ANSWER).expect("an answer")) {
            Ok(()) => return,
            Err(e) => assert!(e.kind() == ErrorKind::Busy && Instant::now() < end, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a checkpoint names a row.
#[track_caller]
fn wait_until_signed(file: &Path, seq: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("\"seq\":{seq}"))) {
        assert!(Instant::now() < end, "nothing is signed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_last_checkpoint_is_signed_although_its_session_has_ended() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { address: server.base(), folder: folder.path().into() };
    let store = open(&StoreOptions { checkpoint_every: (2, 3600), ..place.options() }).expect("opens");
    submit(&*store, decision("kim", "1"));
    submit(&*store, decision("kim", "2"));
    let file = folder.path().join("checkpoints.jsonl");
    wait_until_signed(&file, 2);
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'statera'");
    submit_at_last(&*store);
    store.close();
    let text = std::fs::read_to_string(&file).expect("reads");
    assert!(text.lines().count() == 2 && text.contains("\"seq\":3"), "{text}");
}

#[test]
fn a_backup_of_postgres_is_restored_into_postgres() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| {
        server.sql(&format!("CREATE DATABASE {name}"));
        let address = format!("postgres://bank:se%25cret@127.0.0.1:{}/{name}?sslmode=disable", server.port);
        Place { address, folder: folder.path().join(name) }
    };
    let old = place("old");
    let store = old.open();
    let digest = facts::bundle(&*store, &old.folder, 1);
    let first = decision("kim", "1");
    submit(&*store, first.clone());
    facts::act(&*store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    facts::act(&*store, "mia", Act::AddVersion { model: "credit".into(), digest: digest.clone(), note: String::new() });
    let (to, keys) = (folder.path().join("backup"), folder.path().join("keys"));
    store.backup(&to).expect("is taken");
    copy_keys(&old.folder, &keys).expect("are copied");
    let new = place("new");
    restore(&to, &keys, &new.options()).expect("is restored");
    facts::backup::check_restored(&new, &first, &digest);
    let into_used = StoreOptions { folder: folder.path().join("third"), ..new.options() };
    facts::check_failure(restore(&to, &keys, &into_used), ErrorKind::Request, "holds a store already");
}

/// A store is closed at any moment of a checkpoint, and waits for nobody.
#[test]
fn a_store_is_closed_while_a_checkpoint_is_signed() {
    let Some(server) = Server::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (tell, told) = mpsc::channel();
    let place = Place { address: server.base(), folder: folder.path().into() };
    std::thread::spawn(move || {
        for i in 0..40 {
            let store = open(&StoreOptions { checkpoint_every: (1, 3600), ..place.options() }).expect("opens");
            submit(&*store, decision("kim", "1"));
            std::thread::sleep(Duration::from_micros(100 * i));
            store.close();
            tell.send(i).expect("is read");
        }
    });
    for i in 0..40 {
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(i), "a store does not end");
    }
}

/// A place of the server, seen through something that stands between.
fn through(relay: &Relay, folder: &Path) -> Place {
    let address = format!("postgres://bank:se%25cret@127.0.0.1:{}/postgres?sslmode=disable", relay.port);
    Place { address, folder: folder.into() }
}

#[test]
fn what_was_given_back_is_free_although_the_server_takes_the_sessions_for_open() {
    let Some(server) = Server::start() else { return };
    let (folder, relay) = (tempfile::tempdir().expect("a folder"), Relay::to(server.port));
    let place = through(&relay, folder.path());
    for round in 0..3 {
        let store = place.open();
        submit(&*store, decision("kim", "1"));
        assert_eq!(store.chains().expect("reads"), ["writer-1"], "round {round}");
        for _ in 0..2 {
            let claim = store.claim("do it").expect("nobody has it");
            facts::check_failure(store.claim("do it").map(drop), ErrorKind::Busy, "has the right to do it");
            assert!(claim.holds());
        }
    }
    // One that outlives its store is lost in silence.
    let store = place.open();
    let claim = store.claim("do it").expect("nobody has it");
    drop(store);
    drop(claim);
}

#[test]
fn who_closes_does_not_wait_for_a_server_that_says_nothing() {
    let Some(server) = Server::start() else { return };
    let (folder, relay) = (tempfile::tempdir().expect("a folder"), Relay::to(server.port));
    let place = through(&relay, folder.path());
    let store = open(&StoreOptions { checkpoint_every: (1, 3600), ..place.options() }).expect("opens");
    submit(&*store, decision("kim", "1"));
    // Else the last checkpoint would be waited for, which nobody could sign later.
    wait_until_signed(&folder.path().join("checkpoints.jsonl"), 1);
    let claim = store.claim("do it").expect("nobody has it");
    relay.be_silent();
    let started = Instant::now();
    drop(claim);
    store.close();
    // A second each; ten seconds is what any other statement is waited for.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}
