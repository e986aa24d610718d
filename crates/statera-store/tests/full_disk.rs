//! A disk that is full: nothing is acknowledged that is not on it, and writing goes on when there is room again. Skipped, with
//! a message, where no small disk can be mounted.

mod facts;

use facts::{Place, decision, submit, submit_all};
use statera_core::ErrorKind;
use statera_store::ledger::verify;
use statera_store::record::{NewRecord, Part};
use std::path::{Path, PathBuf};
use std::process::Command;
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

#[test]
fn a_full_disk_is_busy_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(&folder.path().join("disk")) else {
        eprintln!("skipped: no disk of 12 MB can be mounted here");
        return;
    };
    let place = Place { address: disk.0.join("bank").display().to_string(), folder: disk.0.join("bank") };
    let store = place.open();
    let filler = disk.0.join("filler");
    std::fs::write(&filler, vec![0; 7 << 20]).expect("fits");
    let big =
        || NewRecord { parts: vec![Part { subject: String::new(), plain: vec![b'x'; 60_000] }], ..decision("", "") };
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let record = big();
        let id = record.id;
        match submit_all(&*store, vec![record]).remove(0) {
            Ok(_) => kept.push(id),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Busy, "{e}");
                refused.push((id, e.to_string()));
            }
        }
        if refused.len() > 5 {
            break;
        }
    }
    assert!(kept.len() > 5 && refused.len() > 5, "{} kept, {} refused", kept.len(), refused.len());
    assert!(refused[0].1.contains("disk"), "{}", refused[0].1);
    assert!(!store.is_ready(), "what is written is not taken");
    std::fs::remove_file(&filler).expect("is removed");
    // Nobody asks a server that is not ready: it finds by itself that there is room again.
    let end = Instant::now() + Duration::from_secs(30);
    while !store.is_ready() {
        assert!(Instant::now() < end, "it is not ready though the disk has room");
        std::thread::sleep(Duration::from_millis(20));
    }
    kept.push({
        let record = big();
        submit(&*store, record.clone());
        record.id
    });
    assert!(kept.iter().all(|id| store.record(*id).is_ok()), "an acknowledged one is lost");
    assert!(refused.iter().all(|(id, _)| store.record(*id).is_err()), "a refused one is there");
    drop(store);
    assert_eq!(verify(&place.address, None, None).expect("is checked").findings, []);
}
