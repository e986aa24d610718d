//! A database file that was moved, removed or replaced under the store, or that is missing when it starts: nothing is acknowledged
//! that a later process would not find, and nothing is made anew over what is left.

mod facts;

use facts::{Place, check_failure, decision, submit, submit_all};
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
        for done in told {
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
