//! The end of the server while the database is away: neither a snapshot nor a claim keeps it up.

use super::testing::{bundles, path_of, row};
use super::*;
use crate::models::ModelsSettings;
use crate::testing::{MemoryStore, until};
use tempfile::TempDir;

/// States over a store in memory, of which one is ready.
fn lives() -> (TempDir, Lives) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(MemoryStore::default());
    store.add("cards", &bundles().1[0], &path_of(0));
    store.route("cards", |route| route.champion = Some(1));
    let models = Arc::new(Models::open(ModelsSettings::default(), store.clone()).expect("models"));
    let lives = Lives::open(TransactionsSettings::default(), store, models, folder.path().into()).expect("states");
    lives.tend(false);
    (folder, lives)
}

/// Takes a transaction, whose record is on its way as long as the ticket is there.
fn taken(lives: &Lives) -> Ticket {
    let (live, model) =
        (lives.of("cards").expect("a state"), lives.inner.models.champion("cards").expect("a champion"));
    let columns = model.live.as_ref().expect("windows");
    let (raw, _) = columns.raw(&row(1, 60, "C1", "S1", "10"), 1).expect("a row");
    let event = columns.event(&raw).expect("an event");
    let Known::Unknown(mark) = live.known("1") else { panic!("it was never taken") };
    let taken = live.take(columns, &Taking { event: &event, id: "1", mark }, i64::MAX);
    taken.unwrap_or_else(|refused| panic!("{}", refused.message)).0
}

#[test]
fn a_record_that_is_on_its_way_does_not_keep_the_server_up() {
    let (folder, lives) = lives();
    let (ticket, inner) = (taken(&lives), lives.inner.clone());
    // One snapshot waits already when the end comes, and the end writes one of its own.
    let waiting = std::thread::spawn(move || inner.tend(true));
    let partial = snapshot::path(folder.path(), "cards").with_extension("state.partial");
    until("a snapshot waits", || partial.exists());
    let started = Instant::now();
    drop(lives);
    waiting.join().expect("no panic");
    assert!(started.elapsed() < SETTLE_LIMIT / 2, "{:?}", started.elapsed());
    assert!(!snapshot::path(folder.path(), "cards").exists(), "it has what is not recorded");
    ticket.recorded();
}

#[test]
fn a_record_that_comes_in_time_is_in_the_last_snapshot() {
    let (folder, lives) = lives();
    let (ticket, inner) = (taken(&lives), lives.inner.clone());
    // However long this machine stands still.
    inner.settles_until.set(Instant::now() + SETTLE_LIMIT * 2).expect("the end has not come");
    let recording = std::thread::spawn(move || {
        until("the end has come", || inner.is_stopping.load(Ordering::Relaxed));
        ticket.recorded();
    });
    drop(lives);
    recording.join().expect("no panic");
    assert!(snapshot::path(folder.path(), "cards").exists());
}

#[test]
fn nothing_is_claimed_once_the_server_stops() {
    let (_folder, lives) = lives();
    let live = lives.of("cards").expect("a state");
    lives.inner.is_stopping.store(true, Ordering::Relaxed);
    *live.claim.lock().expect("is free") = None;
    lives.tend(true);
    assert!(live.claim.lock().expect("is free").is_none());
}
