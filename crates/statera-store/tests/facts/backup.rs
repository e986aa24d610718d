//! Facts about backups.

use super::*;
use statera_store::ledger::verify;
use statera_store::record::StoredPart;
use statera_store::{copy_keys, restore};

pub const FACTS: &[Fact] = &[("a_backup_is_taken_while_it_runs_and_restored", backup)];

fn backup(place: &Place) {
    let store = place.open();
    let digest = bundle(&*store, &place.folder, 1);
    let first = decision("kim", "1");
    submit(&*store, first.clone());
    act(&*store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    act(&*store, "mia", Act::AddVersion { model: "credit".into(), digest: digest.clone(), note: String::new() });
    let folder = tempfile::tempdir().expect("a folder");
    let (to, keys) = (folder.path().join("backup"), folder.path().join("keys"));
    // Records are written while it is taken.
    let (answer, answers) = mpsc::channel();
    for i in 0..500 {
        let answer = answer.clone();
        let record = named(decision("lee", "2"), &format!("n{i}"), b"");
        store.submit(record, Box::new(move |done| answer.send(done).expect("is read"))).expect("is taken");
    }
    store.backup(&to).expect("is taken");
    drop(answer);
    assert!(answers.iter().all(|done| done.is_ok()));
    check_failure(store.backup(&to), ErrorKind::Request, "exists and is not empty");
    copy_keys(&place.folder, &keys).expect("are copied");
    assert!(!to.join("keys").exists(), "a backup holds no secret keys");
    let copy = to.to_str().expect("UTF-8");
    assert_eq!(verify(copy, None, None).expect("is checked").findings, []);

    let new = Place { address: folder.path().join("new").display().to_string(), folder: folder.path().join("new") };
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    check_failure(restore(&to, &other, &new.options()), ErrorKind::Request, "master.key is missing");
    check_failure(restore(&keys, &keys, &new.options()), ErrorKind::Request, "a backup has that file");
    let restored = restore(&to, &keys, &new.options()).expect("is restored");
    assert!(restored.n_records >= 1 && restored.n_rows >= 3, "{restored:?}");
    check_failure(restore(&to, &keys, &new.options()), ErrorKind::Request, "exists and is not empty");
    check_restored(&new, &first, &digest);
    check_failure(copy_keys(&place.folder, &keys), ErrorKind::Request, "exists and is not empty");

    // A page of the file is lost.
    let (file, third) = (to.join("store.sqlite"), folder.path().join("third"));
    let mut bytes = std::fs::read(&file).expect("reads");
    let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    bytes[3 * page..4 * page].fill(0xff);
    std::fs::write(&file, bytes).expect("is written");
    let into_third = StoreOptions { address: third.display().to_string(), folder: third.clone(), ..new.options() };
    check_failure(restore(&to, &keys, &into_third), ErrorKind::Damaged, "the database file is damaged");
    assert!(!third.exists(), "nothing half-made stays");
}

/// A restored store has what the other had, and goes on.
pub fn check_restored(place: &Place, first: &NewRecord, digest: &str) {
    let store = place.open();
    assert_eq!(store.record(first.id).expect("is there").parts, [StoredPart::Plain(b"1".to_vec())]);
    assert_eq!(store.registry().expect("reads").models["credit"].versions[0].digest, digest);
    assert!(store.bundle(digest).expect("is there").join("weights/a").exists());
    let again = named(decision("lee", "2"), "after", b"");
    submit(&*store, again.clone());
    assert_eq!(store.erase(&person("ann"), "kim", "asked").expect("is erased"), 1);
    drop(store);
    let copy =
        if place.address.contains("://") { place.address.as_str() } else { place.folder.to_str().expect("UTF-8") };
    let (lines, key) = (place.folder.join("checkpoints.jsonl"), place.folder.join("checkpoint.pub"));
    assert_eq!(verify(copy, Some(&lines), Some(&key)).expect("is checked").findings, []);
}
