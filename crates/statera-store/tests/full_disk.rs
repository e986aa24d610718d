//! A disk that is full: nothing is acknowledged that is not on it, and writing goes on when there is room again.
//!
//! Once with SQLite refusing room, which runs everywhere, and once on a small disk, skipped, with a message, where none can be mounted.

mod facts;

use facts::{Place, act, decision, person, submit, submit_all};
use statera_core::ErrorKind;
use statera_store::act::Act;
use statera_store::ledger::verify;
use statera_store::record::{NewRecord, Part};
use statera_store::{Store, open};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A disk in memory, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path) -> Option<Disk> {
        std::fs::create_dir(path).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|m| m.status.success()).then(|| Disk(path.into()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A record of 60 kB.
fn big() -> NewRecord {
    NewRecord { parts: vec![Part { subject: String::new(), plain: vec![b'x'; 60_000] }], ..decision("", "") }
}

/// Writes until a few were refused, makes room, and waits: whatever was acknowledged is there, and nothing else.
fn check(place: &Place, store: Arc<dyn Store>, fill: impl FnOnce(), make_room: impl FnOnce()) {
    let first = big();
    submit(&*store, first.clone());
    fill();
    let (mut kept, mut refused, mut n_in_row) = (vec![first.id], Vec::new(), 0);
    for _ in 0..200 {
        let record = big();
        let id = record.id;
        match submit_all(&*store, vec![record]).remove(0) {
            Ok(_) => {
                kept.push(id);
                n_in_row = 0;
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Busy, "{e}");
                refused.push((id, e.to_string()));
                n_in_row += 1;
                // The log may be copied meanwhile, which makes the last room there is.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        if n_in_row > 5 {
            break;
        }
    }
    assert!(n_in_row > 5, "{} kept, {} refused", kept.len(), refused.len());
    assert!(refused[0].1.contains("disk"), "{}", refused[0].1);
    // What is small may still find room.
    let deed = store.act(&person("ann"), Act::SetTier { tier: 1, approvals: 1 });
    let n_deeds = 1 + usize::from(deed.map_err(|e| assert_eq!(e.kind(), ErrorKind::Busy, "{e}")).is_ok());
    // Nor does it take what it cannot write for room, however often it looks.
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(store.unready(), Some("the disk of the store is full"));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(kept.iter().all(|id| store.record(*id).is_ok()), "what is there is read all the same");
    make_room();
    // Nobody asks a server that is not ready: it finds by itself that there is room again.
    let end = Instant::now() + Duration::from_secs(30);
    while !store.is_ready() {
        assert!(Instant::now() < end, "it is not ready though the disk has room");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = big();
    submit(&*store, after.clone());
    kept.push(after.id);
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 2 });
    let n_rows = store.audit_rows("writer-1", 0, 1000).expect("reads").len();
    assert_eq!(n_rows, kept.len() + n_deeds, "a row for each that was acknowledged, and no other");
    drop(store);
    let store = place.open();
    assert!(kept.iter().all(|id| store.record(*id).is_ok()), "an acknowledged one is lost");
    assert!(refused.iter().all(|(id, _)| store.record(*id).is_err()), "a refused one is there");
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}

#[test]
fn a_database_without_room_is_busy_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place { address: folder.path().join("bank").display().to_string(), folder: folder.path().join("bank") };
    let options = place.options();
    let (full, store) = (options.full.clone(), open(&options).expect("opens"));
    check(&place, store, || full.store(true, Ordering::Relaxed), || full.store(false, Ordering::Relaxed));
}

#[test]
fn a_full_disk_is_busy_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(&folder.path().join("disk")) else {
        eprintln!("skipped: no disk of 12 MB can be mounted here");
        return;
    };
    let place = Place { address: disk.0.join("bank").display().to_string(), folder: disk.0.join("bank") };
    let filler = disk.0.join("filler");
    let store = place.open();
    let fill = || std::fs::write(&filler, vec![0; 7 << 20]).expect("fits");
    check(&place, store, fill, || std::fs::remove_file(&filler).expect("is removed"));
}
