//! A database file or its log that was moved, removed or replaced under the store, or that is missing when it starts: nothing is
//! acknowledged that a later process would not find, and nothing is made anew over what is left.

mod facts;

use facts::{ANSWER, Place, all_told, check_failure, decision, submit, submit_all};
use statera_core::ErrorKind;
use statera_store::ledger::verify;
use statera_store::record::Recorded;
use statera_store::{Store, copy_keys, open, open_existing, restore};
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn place(folder: &Path, name: &str) -> Place {
    Place { address: folder.join(name).display().to_string(), folder: folder.join(name) }
}

/// Waits until a store is ready.
#[track_caller]
fn wait_until_ready(store: &dyn Store) {
    let end = Instant::now() + Duration::from_secs(30);
    while !store.is_ready() {
        assert!(Instant::now() < end, "the store does not come back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_that_was_moved_takes_nothing_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path(), "bank");
    let (file, aside) = (place.folder.join("store.sqlite"), place.folder.join("aside.sqlite"));
    let store = place.open();
    let before = decision("kim", "1");
    submit(&*store, before.clone());
    assert!(store.is_ready());
    // Moved, and then another file in its place.
    let refused = [None, Some(b"another")].map(|other| {
        fs::rename(&file, &aside).expect("is moved");
        if let Some(other) = other {
            fs::write(&file, other).expect("is written");
        }
        let (tell, told) = mpsc::channel();
        let refused = [decision("kim", "2"), decision("kim", "3")].map(|record| {
            let (id, tell) = (record.id, tell.clone());
            // Refused at once, or by the writer.
            if let Err(e) = store.submit(record, Box::new(move |done| drop(tell.send(done.map(drop))))) {
                assert_eq!(e.kind(), ErrorKind::Busy, "{e}");
            }
            id
        });
        drop(tell);
        // All are told before the file is back.
        for done in all_told(&told) {
            check_failure(done, ErrorKind::Busy, "the database does not answer");
        }
        let end = Instant::now() + Duration::from_secs(30);
        while store.is_ready() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!store.is_ready(), "what is written is not taken");
        assert_eq!(file.exists(), other.is_some(), "nothing is made in its place");
        fs::rename(&aside, &file).expect("is back");
        wait_until_ready(&*store);
        refused
    });
    let after = decision("lee", "4");
    let taken = submit_all(&*store, vec![after.clone()]).remove(0);
    assert!(matches!(taken, Ok(Recorded::New { .. })), "{taken:?}");
    assert!([before.id, after.id].iter().all(|id| store.record(*id).is_ok()), "an acknowledged one is lost");
    for id in refused.as_flattened() {
        check_failure(store.record(*id), ErrorKind::NotFound, "there is no record");
    }
    drop(store);
    assert!(place.open().record(after.id).is_ok());
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

/// What a process finds that starts after this one was killed now.
fn killed(place: &Place, to: &Path) -> Place {
    let copy = Place { address: to.display().to_string(), folder: to.into() };
    fs::create_dir_all(to.join("keys")).expect("a folder");
    let names = ["store.sqlite", "store.sqlite-wal", "checkpoints.jsonl", "checkpoint.pub", "keys/master.key"];
    for name in names.into_iter().chain(["keys/checkpoint.key"]) {
        if place.folder.join(name).exists() {
            fs::copy(place.folder.join(name), to.join(name)).expect("is copied");
        }
    }
    copy
}

#[test]
fn a_log_that_was_removed_or_moved_is_saved_and_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path(), "bank");
    let (log, aside) = (place.folder.join("store.sqlite-wal"), place.folder.join("aside"));
    let store = place.open();
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for round in 0..6 {
        let before = decision("kim", "1");
        submit(&*store, before.clone());
        kept.push(before.id);
        assert!(store.is_ready() && log.exists(), "round {round}");
        if round % 2 == 0 {
            fs::remove_file(&log).expect("is removed");
        } else {
            fs::rename(&log, &aside).expect("is moved");
        }
        if round < 4 {
            // Who writes finds it, whether or not somebody looks first.
            if round < 2 {
                assert!(!store.is_ready(), "a log that no start reads is not written to");
            }
            let (tell, told) = mpsc::channel();
            let record = decision("kim", "2");
            let id = record.id;
            let done = move |done: statera_core::Result<Recorded>| drop(tell.send(done.map(drop)));
            match store.submit(record, Box::new(done)).and_then(|()| told.recv_timeout(ANSWER).expect("an answer")) {
                // The writer had found it already, and begun a new log.
                Ok(()) => kept.push(id),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Busy, "{e}");
                    assert!(e.to_string().contains("the database does not answer"), "{e}");
                    refused.push(id);
                }
            }
        }
        // With and without somebody who writes.
        wait_until_ready(&*store);
        let found = killed(&place, &folder.path().join(format!("killed-{round}")));
        let later = found.open();
        assert!(kept.iter().all(|id| later.record(*id).is_ok()), "round {round}: an acknowledged one is lost");
        assert!(refused.iter().all(|id| later.record(*id).is_err()), "round {round}: a refused one is there");
    }
    assert!(refused.len() >= 2, "who writes into a log that is gone is refused");
    // What was moved away is put back: it is empty, so that nothing of it is read twice.
    fs::rename(&aside, &log).expect("is back");
    wait_until_ready(&*store);
    submit(&*store, decision("lee", "3"));
    drop(store);
    let store = place.open();
    assert!(kept.iter().all(|id| store.record(*id).is_ok()) && refused.iter().all(|id| store.record(*id).is_err()));
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

#[test]
fn a_log_in_whose_place_another_lies_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path(), "bank");
    let (log, aside) = (place.folder.join("store.sqlite-wal"), place.folder.join("aside"));
    let store = place.open();
    let before = decision("kim", "1");
    submit(&*store, before.clone());
    fs::rename(&log, &aside).expect("is moved");
    fs::write(&log, b"another").expect("is written");
    assert_eq!(store.unready(), Some("a file of the database was moved, removed or replaced"));
    let refused = decision("kim", "2");
    if let Err(e) = store.submit(refused.clone(), Box::new(drop)) {
        assert_eq!(e.kind(), ErrorKind::Busy, "{e}");
    }
    // It stays so for longer than the writer takes to look.
    let end = Instant::now() + Duration::from_millis(700);
    while Instant::now() < end {
        assert!(!store.is_ready());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read(&log).expect("is there"), b"another");
    fs::remove_file(&log).expect("is removed");
    wait_until_ready(&*store);
    let after = decision("kim", "3");
    submit(&*store, after.clone());
    let later = killed(&place, &folder.path().join("killed")).open();
    assert!([before.id, after.id].iter().all(|id| later.record(*id).is_ok()));
    check_failure(later.record(refused.id), ErrorKind::NotFound, "there is no record");
    drop((store, later));
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

#[test]
fn a_log_that_is_gone_is_begun_anew_by_one_of_two_and_opened_by_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path(), "bank");
    let log = place.folder.join("store.sqlite-wal");
    let stores = [place.open(), place.open()];
    let mut kept = Vec::new();
    let mut write = |store: &dyn Store| {
        let record = decision("kim", "1");
        kept.push(record.id);
        submit(store, record);
    };
    for round in 0..4 {
        let (one, other) = (&*stores[round % 2], &*stores[(round + 1) % 2]);
        write(one);
        write(other);
        fs::remove_file(&log).expect("is removed");
        // Nobody has asked the other, which knows nothing of it yet.
        assert!(!one.is_ready(), "round {round}");
        wait_until_ready(one);
        write(one);
        assert!(fs::metadata(&log).is_ok_and(|meta| meta.len() > 0), "round {round}: it writes into a new one");
        wait_until_ready(other);
        write(other);
        write(one);
    }
    for store in &stores {
        assert!(kept.iter().all(|id| store.record(*id).is_ok()), "an acknowledged one is lost");
    }
    drop(stores);
    let store = place.open();
    assert!(kept.iter().all(|id| store.record(*id).is_ok()), "an acknowledged one is lost");
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

#[test]
fn a_file_that_is_missing_at_the_start_is_not_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path(), "bank");
    let record = decision("kim", "1");
    submit(&*place.open(), record.clone());
    let (file, aside) = (place.folder.join("store.sqlite"), folder.path().join("aside.sqlite"));
    fs::rename(&file, &aside).expect("is moved");
    let refused = |left: &str| {
        check_failure(open(&place.options()).map(drop), ErrorKind::Io, &format!("{left} was written with it; put the"));
        assert!(!file.exists(), "nothing is made");
    };
    refused("bank/checkpoints.jsonl");
    // What the log has would be dropped.
    fs::write(place.folder.join("store.sqlite-wal"), b"rows").expect("is written");
    refused("bank/store.sqlite-wal");
    fs::remove_file(place.folder.join("store.sqlite-wal")).expect("is removed");
    fs::rename(&aside, &file).expect("is back");
    assert!(place.open().record(record.id).is_ok());
}

#[test]
fn who_works_on_a_store_makes_none_by_a_slip_of_the_pen() {
    let folder = tempfile::tempdir().expect("a folder");
    let typo = place(folder.path(), "bnak");
    let told = "bnak/store.sqlite is not there; name the folder of a store that `statera serve` made";
    check_failure(open_existing(&typo.options()).map(drop), ErrorKind::Request, told);
    assert!(!typo.folder.exists(), "nothing is made");
    let bank = place(folder.path(), "bank");
    drop(bank.open());
    assert!(open_existing(&bank.options()).is_ok());
}

#[test]
fn a_copy_with_a_log_is_no_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bank, copy, new) = (place(folder.path(), "bank"), place(folder.path(), "copy"), place(folder.path(), "new"));
    let store = bank.open();
    submit(&*store, decision("kim", "1"));
    copy_keys(&bank.folder, &folder.path().join("keys")).expect("are copied");
    fs::create_dir(&copy.folder).expect("a folder");
    for name in ["store.sqlite", "store.sqlite-wal", "checkpoint.pub"] {
        fs::copy(bank.folder.join(name), copy.folder.join(name)).expect("is copied");
    }
    let restored = restore(&copy.folder, &folder.path().join("keys"), &new.options());
    check_failure(
        restored,
        ErrorKind::Request,
        "copy has a log beside store.sqlite, and with it rows that the file lacks",
    );
    assert!(!new.folder.exists(), "nothing half-restored stays");
}
