//! Bundles in an object store, seen from the store: what is put there, what is brought from there and kept, what backups have.
//! The object store is one in memory; the one that speaks HTTP has its own tests where it is.

mod facts;

use facts::{Place, act, bundle, check_failure, decision, submit};
use statera_core::{Error, ErrorKind, Result};
use statera_store::act::Act;
use statera_store::ledger::verify;
use statera_store::{BundleFailure, ObjectStore, Store, StoreOptions, copy_keys, open, restore};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Objects by digest; what is kept of a folder is its manifest.
#[derive(Debug, Default)]
struct Objects {
    all: Mutex<BTreeMap<String, Vec<u8>>>,
    is_away: AtomicBool,
    /// Digests that it neither takes nor gives.
    refused: Mutex<BTreeSet<String>>,
    /// True: what is brought is found to be something else after half of it is written.
    is_damaged: AtomicBool,
    n_asked: AtomicUsize,
    /// Whoever holds it keeps every answer from coming.
    gate: Mutex<()>,
}

impl Objects {
    fn ask(&self, digest: &str) -> Result<()> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock());
        let is_refused = self.refused.lock().expect("is free").contains(digest);
        match (self.is_away.load(Ordering::SeqCst), is_refused) {
            (true, _) => Err(Error::busy(format!("bundle {digest} in https://objects/bank: no answer"))),
            (false, true) => Err(Error::io(format!("bundle {digest} in https://objects/bank: 403 AccessDenied"))),
            (false, false) => Ok(()),
        }
    }

    fn refuse(&self, digest: &str) {
        self.refused.lock().expect("is free").insert(digest.into());
    }

    fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::SeqCst)
    }

    fn digests(&self) -> Vec<String> {
        self.all.lock().expect("is free").keys().cloned().collect()
    }
}

impl ObjectStore for Objects {
    fn create(&self, digest: &str, from: &Path) -> Result<bool> {
        self.ask(digest)?;
        let file = if from.is_dir() { from.join("manifest.json") } else { from.into() };
        let bytes = fs::read(&file).map_err(|e| Error::request(format!("{}: {e}", file.display())))?;
        let mut all = self.all.lock().expect("is free");
        let is_new = !all.contains_key(digest);
        all.entry(digest.into()).or_insert(bytes);
        Ok(is_new)
    }

    fn fetch(&self, digest: &str, to: &Path) -> Result<()> {
        self.ask(digest)?;
        let all = self.all.lock().expect("is free");
        let bytes = all.get(digest).ok_or_else(|| Error::not_found(format!("there is no bundle {digest}")))?;
        fs::write(to, bytes).expect("is written");
        match self.is_damaged.load(Ordering::SeqCst) {
            true => Err(Error::damaged(format!("bundle {digest} is another one"))),
            false => Ok(()),
        }
    }
}

/// A store of a name, over shared objects.
fn place(folder: &Path, name: &str) -> Place {
    Place { address: folder.join(name).display().to_string(), folder: folder.join(name) }
}

fn options(place: &Place, objects: &Arc<Objects>) -> StoreOptions {
    StoreOptions { objects: Some(objects.clone()), ..place.options() }
}

fn opened(place: &Place, objects: &Arc<Objects>) -> Arc<dyn Store> {
    open(&options(place, objects)).expect("opens")
}

fn files(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.folder.join("bundles")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Lets a model have a version of each bundle.
fn register(store: &dyn Store, digests: &[&String]) {
    act(store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    for digest in digests {
        let digest = (*digest).clone();
        act(store, "mia", Act::AddVersion { model: "credit".into(), digest, note: String::new() });
    }
}

#[test]
fn a_bundle_of_one_server_is_brought_to_another_and_kept_there() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let (one, two) = (place(folder.path(), "one"), place(folder.path(), "two"));
    let (first, second) = (opened(&one, &objects), opened(&two, &objects));
    let digest = bundle(&*first, folder.path(), 1);
    assert_eq!(objects.digests(), [digest.as_str()]);
    let there = second.bundle(&digest).expect("is brought");
    assert_eq!(there, two.folder.join("bundles").join(format!("{digest}.zip")));
    assert_eq!(fs::read(&there).expect("reads"), b"{\"n\": 1}");
    // From then on the folder has it, whatever becomes of the object store.
    objects.is_away.store(true, Ordering::SeqCst);
    let n_asked = objects.n_asked.load(Ordering::SeqCst);
    assert_eq!(second.bundle(&digest), Ok(there));
    assert_eq!(objects.n_asked.load(Ordering::SeqCst), n_asked);
    // What it has not is told, with where it should be; and nothing is kept that other servers would not find.
    check_failure(second.bundle(&"0b".repeat(32)), ErrorKind::Busy, "in https://objects/bank: no answer");
    let from = folder.path().join("bundle-1");
    check_failure(first.put_bundle(&"0c".repeat(32), &from), ErrorKind::Busy, "https://objects/bank");
    assert_eq!(files(&one), [digest.as_str()]);
    objects.is_away.store(false, Ordering::SeqCst);
    check_failure(second.bundle(&"0b".repeat(32)), ErrorKind::NotFound, "there is no bundle 0b0b");
}

#[test]
fn what_is_asked_for_here_is_not_brought() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let (first, second) =
        (opened(&place(folder.path(), "one"), &objects), opened(&place(folder.path(), "two"), &objects));
    let digest = bundle(&*first, folder.path(), 1);
    let n_asked = objects.n_asked();
    assert!(first.bundle_here(&digest).is_ok());
    check_failure(second.bundle_here(&digest), ErrorKind::NotFound, "there is no bundle");
    assert_eq!(objects.n_asked(), n_asked);
    assert_eq!(second.bundle(&digest), second.bundle_here(&digest));
}

/// Waits until something holds, for as long as a slow machine may take.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}: it does not within a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_store_is_closed_while_somebody_waits_for_a_bundle() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let one = place(folder.path(), "one");
    let store = opened(&one, &objects);
    let gate = objects.gate.lock().expect("is free");
    let owner = store.clone();
    let waiting = std::thread::spawn(move || owner.bundle(&"0a".repeat(32)));
    until("somebody asks for the bundle", || objects.n_asked() > 0);
    submit(&*store, decision("kim", "1"));
    let check = || verify(&one.address, None, None).expect("is checked");
    assert_eq!(check().n_checkpoints, 0);
    store.close();
    let verified = check();
    assert_eq!((verified.n_checkpoints, verified.findings), (1, Vec::new()));
    let late = store.submit(decision("lee", "2"), Box::new(|_| ()));
    check_failure(late, ErrorKind::Busy, "the store is being closed");
    drop(gate);
    check_failure(waiting.join().expect("ends"), ErrorKind::NotFound, "there is no bundle");
}

#[test]
fn what_is_damaged_on_its_way_leaves_nothing() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let (one, two) = (place(folder.path(), "one"), place(folder.path(), "two"));
    let digest = bundle(&*opened(&one, &objects), folder.path(), 1);
    let store = opened(&two, &objects);
    objects.is_damaged.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        check_failure(store.bundle(&digest), ErrorKind::Damaged, "is another one");
        // That something is there does not make it the bundle.
        check_failure(store.put_bundle(&digest, &folder.path().join("bundle-1")), ErrorKind::Damaged, "another one");
        assert_eq!(files(&two), Vec::<String>::new());
    }
    objects.is_damaged.store(false, Ordering::SeqCst);
    assert!(store.bundle(&digest).is_ok());
    assert_eq!(files(&two), [format!("{digest}.zip")]);
}

#[test]
fn no_object_is_named_by_what_is_no_digest() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let store = opened(&place(folder.path(), "one"), &objects);
    for digest in ["../keys", "", "0A", &"../".repeat(22)[..64], &format!("{}\n", "0a".repeat(32))] {
        check_failure(store.bundle(digest), ErrorKind::Request, "is not the digest of a bundle");
        check_failure(store.put_bundle(digest, folder.path()), ErrorKind::Request, "is not the digest of a bundle");
    }
    assert_eq!(objects.n_asked.load(Ordering::SeqCst), 0);
}

/// How many bundles are shared, all without a failure.
fn n_shared(store: &dyn Store) -> usize {
    let shared = store.share_bundles().expect("the registry is read");
    assert_eq!((shared.failures, shared.stopped), (Vec::new(), None));
    shared.n_new
}

/// One bundle is missing, for a reason.
#[track_caller]
fn check_missing(missing: &[BundleFailure], digest: &str, kind: ErrorKind, text: &str) {
    let [one] = missing else { panic!("{missing:?}") };
    assert!(one.digest == digest && one.error.kind() == kind, "{one:?}");
    assert!(one.error.to_string().contains(text), "{one:?}");
}

#[test]
fn a_bundle_that_is_refused_keeps_no_other_from_the_object_store() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let one = place(folder.path(), "one");
    let digests = {
        let store = one.open();
        let digests = [1, 2, 3].map(|n| bundle(&*store, folder.path(), n));
        register(&*store, &digests.each_ref());
        digests
    };
    let [first, second, third] = &digests;
    let store = opened(&one, &objects);
    // One that does not answer is not asked for each bundle.
    objects.is_away.store(true, Ordering::SeqCst);
    let shared = store.share_bundles().expect("the registry is read");
    assert_eq!((shared.n_new, shared.failures, objects.n_asked()), (0, Vec::new(), 1));
    assert_eq!(shared.stopped.map(|e| e.kind()), Some(ErrorKind::Busy));
    objects.is_away.store(false, Ordering::SeqCst);
    objects.refuse(first);
    let shared = store.share_bundles().expect("the registry is read");
    assert_eq!((shared.n_new, shared.stopped), (2, None));
    check_missing(&shared.failures, first, ErrorKind::Io, "403 AccessDenied");
    assert_eq!(objects.digests(), [second.clone(), third.clone()]);

    let (copy, keys) = (folder.path().join("copy"), folder.path().join("keys"));
    assert_eq!(store.backup(&copy).expect("is taken").missing, []);
    copy_keys(&one.folder, &keys).expect("are copied");
    let (new, elsewhere) = (place(folder.path(), "new"), Arc::new(Objects::default()));
    elsewhere.refuse(second);
    let restored = restore(&copy, &keys, &options(&new, &elsewhere)).expect("is restored");
    check_missing(&restored.missing, second, ErrorKind::Io, "403 AccessDenied");
    assert_eq!(elsewhere.digests(), [first.clone(), third.clone()]);
    assert!(opened(&new, &elsewhere).bundle(second).is_ok(), "its folder has it");
}

#[test]
fn bundles_of_the_time_before_are_shared() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let one = place(folder.path(), "one");
    let (first, second) = {
        let store = one.open();
        let digests = (bundle(&*store, folder.path(), 1), bundle(&*store, folder.path(), 2));
        // No version names the second: it stays where it is.
        register(&*store, &[&digests.0]);
        assert_eq!(n_shared(&*store), 0, "there is no object store");
        digests
    };
    let store = opened(&one, &objects);
    assert_eq!(n_shared(&*store), 1);
    assert_eq!(n_shared(&*store), 0);
    assert_eq!(objects.digests(), [first]);
    assert!(store.bundle(&second).is_ok());
}

#[test]
fn a_backup_has_the_bundles_and_a_restore_puts_them_there() {
    let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(Objects::default()));
    let one = place(folder.path(), "one");
    let store = opened(&one, &objects);
    let (first, second) = (bundle(&*store, folder.path(), 1), bundle(&*store, folder.path(), 2));
    register(&*store, &[&first, &second]);
    let here = |digest: &str| one.folder.join("bundles").join(digest);
    fs::remove_dir_all(here(&second)).expect("goes");
    let to = |name: &str| folder.path().join(name);
    let in_backup = |name: &str, n: &str| -> Vec<PathBuf> {
        [to(name).join("bundles").join(n), to(name).join("bundles").join(format!("{n}.zip"))]
            .into_iter()
            .filter(|path| path.exists())
            .collect()
    };
    // An object that does not come keeps a backup from being called whole, and the rest not from being kept.
    objects.is_away.store(true, Ordering::SeqCst);
    let taken = store.backup(&to("away")).expect("is taken");
    check_missing(&taken.missing, &second, ErrorKind::Busy, "no answer");
    assert_eq!((in_backup("away", &first).len(), in_backup("away", &second).len()), (1, 0));
    objects.is_away.store(false, Ordering::SeqCst);
    objects.is_damaged.store(true, Ordering::SeqCst);
    let taken = store.backup(&to("damaged")).expect("is taken");
    check_missing(&taken.missing, &second, ErrorKind::Damaged, "is another one");
    assert_eq!((in_backup("damaged", &first).len(), in_backup("damaged", &second).len()), (1, 0));
    objects.is_damaged.store(false, Ordering::SeqCst);
    assert_eq!(store.backup(&to("copy")).expect("is taken").missing, []);
    assert_eq!((in_backup("copy", &first).len(), in_backup("copy", &second).len()), (1, 1));
    // What is nowhere is told, and the rest is kept.
    let lost = objects.all.lock().expect("is free").remove(&second);
    fs::remove_file(here(&format!("{second}.zip"))).expect("goes");
    let taken = store.backup(&to("lacking")).expect("is taken");
    check_missing(&taken.missing, &second, ErrorKind::NotFound, "there is no bundle");
    assert!(lost.is_some() && in_backup("lacking", &second).is_empty());
    assert_eq!(in_backup("lacking", &first).len(), 1);

    copy_keys(&one.folder, &to("keys")).expect("are copied");
    let (new, elsewhere) = (place(folder.path(), "new"), Arc::new(Objects::default()));
    elsewhere.is_away.store(true, Ordering::SeqCst);
    let restored = restore(&to("copy"), &to("keys"), &options(&new, &elsewhere));
    check_failure(restored, ErrorKind::Busy, "https://objects/bank");
    assert!(!new.folder.exists(), "nothing half-restored stays");
    elsewhere.is_away.store(false, Ordering::SeqCst);
    let restored = restore(&to("copy"), &to("keys"), &options(&new, &elsewhere)).expect("is restored");
    assert_eq!(restored.missing, []);
    assert_eq!(elsewhere.digests(), [first.clone(), second.clone()]);
    let other = opened(&place(folder.path(), "other"), &elsewhere);
    assert!(other.bundle(&first).is_ok() && other.bundle(&second).is_ok());
    // What the backup lacks is brought from there, or told.
    let third = place(folder.path(), "third");
    let restored = restore(&to("lacking"), &to("keys"), &options(&third, &elsewhere)).expect("is restored");
    assert_eq!((restored.missing, files(&third).len()), (Vec::new(), 2));
    let fourth = place(folder.path(), "fourth");
    let restored = restore(&to("lacking"), &to("keys"), &fourth.options()).expect("is restored");
    check_missing(&restored.missing, &second, ErrorKind::NotFound, "there is no bundle");
}
