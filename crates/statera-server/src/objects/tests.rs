//! Bundles in an object store of the tests, which checks every signature: kept once, brought back only whole, and what is told
//! when it fails.

use super::double::{ACCESS, BUCKET, Double, SECRET, Trouble};
use super::*;
use crate::app::{App, Shared};
use crate::settings::Settings;
use crate::testing::{bundle, until};
use statera_store::act::{Act, Actor};
use statera_store::registry::Change;
use statera_store::{Store, StoreOptions};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use tempfile::TempDir;

/// Of a server with its own settings.
const UPLOAD_BYTES_MAX: u64 = 256 << 20;

/// A file that only its owner can read.
fn secret(path: PathBuf, text: &str) -> PathBuf {
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    path
}

fn settings(double: &Double, folder: &Path) -> BundlesSettings {
    BundlesSettings {
        object_store: format!("http://{}/{BUCKET}/risk", double.address),
        access_key_file: Some(secret(folder.join("access.key"), &format!("{ACCESS}\n"))),
        secret_key_file: Some(secret(folder.join("secret.key"), &format!("{SECRET}\n"))),
        timeout_s: 10,
        ..BundlesSettings::default()
    }
}

/// An object store that waits for nothing between tries.
fn s3(double: &Double, folder: &Path) -> S3 {
    let s3 = S3::open(&settings(double, folder), UPLOAD_BYTES_MAX).expect("opens");
    S3 { pauses: [Duration::ZERO; 3], rest: Duration::ZERO, ..s3 }
}

struct Scene {
    double: Double,
    folder: TempDir,
    s3: S3,
    digest: String,
    path: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let (double, folder) = (Double::start(), tempfile::tempdir().expect("a folder"));
        let s3 = s3(&double, folder.path());
        let (digest, path) = bundle(folder.path(), "boosting");
        Scene { double, folder, s3, digest, path }
    }

    /// One whose object is there already.
    fn kept() -> Scene {
        let scene = Scene::new();
        assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(true));
        scene.double.log();
        scene
    }

    fn key(&self) -> String {
        format!("risk/{}.zip", self.digest)
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("fetched.zip")
    }

    /// Brings the object, under troubles.
    fn fetch(&self, troubles: &[Trouble]) -> Result<()> {
        self.double.state().troubles = troubles.iter().copied().collect();
        let _ = fs::remove_file(self.to());
        self.s3.fetch(&self.digest, &self.to())
    }

    /// A failure that names the bundle and the place, and no secret.
    #[track_caller]
    fn check_failure<T: fmt::Debug>(&self, result: Result<T>, kind: ErrorKind, text: &str) {
        let e = result.expect_err("must fail");
        let told = e.to_string();
        assert!(e.kind() == kind && told.contains(text), "{:?}: {told}", e.kind());
        for part in [&self.digest, &self.s3.place] {
            assert!(told.contains(part.as_str()), "{part} is not in: {told}");
        }
        for part in [SECRET, ACCESS, "X-Amz", "secret things"] {
            assert!(!told.contains(part), "{part} is in: {told}");
        }
    }
}

#[test]
fn a_bundle_put_twice_is_one_object() {
    let scene = Scene::new();
    assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(true));
    assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(false));
    assert_eq!(scene.double.log(), ["HEAD 404", "PUT 200", "HEAD 200"]);
    let object = scene.double.state().objects[&scene.key()].clone();
    assert_eq!(scene.double.state().objects.len(), 1);
    scene.fetch(&[]).expect("is there");
    assert_eq!(fs::read(scene.to()).expect("reads"), object);
    assert_eq!(Bundle::read(&scene.to()).and_then(|b| b.digest()), Ok(scene.digest.clone()));
    // The same bundle as a .zip comes to the same bytes.
    assert_eq!(Bundle::packed(&scene.to()).expect("packs"), object);
    assert!(!format!("{:?}", scene.s3).contains(SECRET));
}

#[test]
fn what_has_rotted_in_the_folder_is_not_published() {
    let scene = Scene::new();
    let facts = scene.path.join("facts.json");
    let mut bytes = fs::read(&facts).expect("a part");
    let whole = bytes.clone();
    bytes[1] ^= 1;
    let other = "0a".repeat(32);
    let another = format!("is another one: its digest is {}", scene.digest);
    for (digest, bytes, text) in [
        (&scene.digest, &bytes, "facts.json was altered: its digest is not the manifest's"),
        (&other, &whole, another.as_str()),
    ] {
        fs::write(&facts, bytes).expect("is written");
        let told = scene.s3.create(digest, &scene.path).expect_err("refused");
        assert_eq!(told.kind(), ErrorKind::Damaged);
        assert!(told.to_string().contains(text) && told.to_string().contains(digest.as_str()), "{told}");
    }
    assert_eq!(scene.double.log(), ["HEAD 404"; 2]);
    assert!(scene.double.state().objects.is_empty());
    assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(true), "the whole one is");
}

/// An object with one part more, or with another in the place of one.
fn with_part(object: &[u8], name: &str, bytes: Vec<u8>) -> Vec<u8> {
    let mut parts = BTreeMap::new();
    let mut from = zip::ZipArchive::new(Cursor::new(object)).expect("a .zip");
    for i in 0..from.len() {
        let mut file = from.by_index(i).expect("a part");
        let mut part = Vec::new();
        file.read_to_end(&mut part).expect("unpacks");
        parts.insert(file.name().expect("UTF-8").to_string(), part);
    }
    parts.insert(name.to_string(), bytes);
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut to = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in parts {
        to.start_file(name.as_str(), options).expect("begins");
        to.write_all(&part).expect("packs");
    }
    to.finish().expect("ends").into_inner()
}

#[test]
fn no_more_is_unpacked_than_the_manifest_of_the_digest_names() {
    let mut scene = Scene::kept();
    let object = scene.double.state().objects[&scene.key()].clone();
    let length = fs::metadata(scene.path.join("facts.json")).expect("a part").len();
    let zeros = || vec![0; 2 << 20];
    for (name, text) in [
        ("manifest.json", "manifest.json is larger than 1048576 bytes".to_string()),
        ("another.json", "another.json is not in the manifest".into()),
        ("facts.json", format!("facts.json is larger than {length} bytes")),
    ] {
        scene.double.state().objects.insert(scene.key(), with_part(&object, name, zeros()));
        scene.check_failure(scene.fetch(&[]), ErrorKind::Damaged, &text);
    }
    scene.double.state().objects.insert(scene.key(), object);
    scene.s3.unpacked_max = 1000;
    scene.check_failure(scene.fetch(&[]), ErrorKind::Damaged, " bytes; allowed: 1000");
    scene.s3.unpacked_max = 1 << 30;
    scene.fetch(&[]).expect("is whole");
}

#[test]
fn of_two_that_put_at_once_one_makes_the_object() {
    let scene = Scene::new();
    let other = s3(&scene.double, scene.folder.path());
    // Both have looked before either puts.
    scene.double.state().barrier = Some(Arc::new(Barrier::new(2)));
    let mut made = std::thread::scope(|scope| {
        let one = scope.spawn(|| scene.s3.create(&scene.digest, &scene.path));
        let two = scope.spawn(|| other.create(&scene.digest, &scene.path));
        [one.join().expect("ends"), two.join().expect("ends")].map(|made| made.expect("is kept"))
    });
    made.sort_unstable();
    assert_eq!(made, [false, true]);
    let mut log = scene.double.log();
    log.sort();
    assert_eq!(log, ["HEAD 404", "HEAD 404", "PUT 200", "PUT 412"]);
    assert_eq!(scene.double.state().n_overwritten, 0);
}

#[test]
fn an_object_store_without_the_condition_is_looked_at_first() {
    let scene = Scene::new();
    scene.double.state().knows_no_condition = true;
    assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(true));
    assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(false));
    assert_eq!(scene.double.log(), ["HEAD 404", "PUT 501", "PUT 200", "HEAD 200"]);
    assert_eq!(scene.double.state().n_overwritten, 0);
}

#[test]
fn what_passes_is_tried_again() {
    let scene = Scene::kept();
    for trouble in [
        Trouble::Status(500, "InternalError"),
        Trouble::Status(503, "SlowDown"),
        Trouble::Status(429, "TooManyRequests"),
        Trouble::Truncated,
    ] {
        scene.fetch(&[trouble]).unwrap_or_else(|e| panic!("{trouble:?}: {e}"));
        assert_eq!(scene.double.log().len(), 2, "{trouble:?}");
    }
    // Another writes the same object at this moment: then it is there.
    let new = Scene::new();
    new.double.state().troubles =
        [Trouble::Status(404, "NoSuchKey"), Trouble::Status(409, "ConditionalRequestConflict")].into();
    assert_eq!(new.s3.create(&new.digest, &new.path), Ok(true));
    assert_eq!(new.double.log(), ["HEAD 404", "PUT 409", "PUT 200"]);
    // Not without end.
    let told = scene.fetch(&[Trouble::Status(500, "InternalError"); 9]);
    scene.check_failure(told, ErrorKind::Busy, ": the object store answered 500 InternalError");
    assert_eq!(scene.double.log(), ["GET 500"; 4]);
    let told = scene.fetch(&[Trouble::Truncated; 9]);
    scene.check_failure(told, ErrorKind::Busy, "HTTP: ");
    assert_eq!(scene.double.log().len(), 4);
    assert!(!scene.to().exists(), "half an object is no file");
}

#[test]
fn what_is_refused_is_told_at_once() {
    let scene = Scene::kept();
    let told = scene.fetch(&[Trouble::Status(403, "AccessDenied")]);
    scene.check_failure(told, ErrorKind::Io, "the object store answered 403 AccessDenied");
    let told = scene.fetch(&[Trouble::Status(301, "PermanentRedirect")]);
    scene.check_failure(told, ErrorKind::Io, "301 PermanentRedirect");
    let told = scene.fetch(&[Trouble::Status(404, "NoSuchBucket")]);
    scene.check_failure(told, ErrorKind::Io, "404 NoSuchBucket");
    let told = scene.fetch(&[Trouble::Status(400, "no <name> of an error")]);
    scene.check_failure(told, ErrorKind::Io, "the object store answered 400");
    scene.double.state().objects.clear();
    scene.check_failure(scene.fetch(&[]), ErrorKind::NotFound, "there is no bundle ");
    assert_eq!(scene.double.log(), ["GET 403", "GET 301", "GET 404", "GET 400", "GET 404"]);
    // Another secret; the file is read again for every request.
    secret(scene.folder.path().join("secret.key"), "another");
    scene.check_failure(scene.fetch(&[]), ErrorKind::Io, "403 SignatureDoesNotMatch");
    let put = scene.s3.create(&scene.digest, &scene.path);
    scene.check_failure(put, ErrorKind::Io, "403 SignatureDoesNotMatch");
    secret(scene.folder.path().join("secret.key"), SECRET);
    assert_eq!(scene.s3.create(&scene.digest, &scene.path), Ok(true));
}

#[test]
fn larger_objects_than_allowed_are_neither_sent_nor_taken() {
    let mut scene = Scene::kept();
    let length = scene.double.state().objects[&scene.key()].len();
    scene.s3.bytes_max = length as u64 - 1;
    scene.s3.client = scene.s3.client.clone().for_answers_of(length - 1);
    let told = format!("HTTP: the answer has more than {} bytes, which are allowed", length - 1);
    scene.check_failure(scene.fetch(&[]), ErrorKind::Io, &told);
    assert_eq!(scene.double.log(), ["GET 200"], "it is not asked for again");
    scene.double.state().objects.clear();
    let told = scene.s3.create(&scene.digest, &scene.path).expect_err("refused");
    let expected =
        format!("bundle {} has {length} bytes as .zip; bundles.bytes_max allows {}", scene.digest, length - 1);
    assert_eq!((told.kind(), told.to_string()), (ErrorKind::Request, expected));
    assert_eq!(scene.double.log(), ["HEAD 404"]);
}

#[test]
fn one_that_does_not_answer_is_given_a_rest() {
    let mut scene = Scene::kept();
    let address = scene.double.address;
    scene.double.leave();
    let told = scene.s3.fetch(&scene.digest, &scene.to());
    scene.check_failure(told, ErrorKind::Busy, &format!("http://{address}: "));
    scene.s3.rest = Duration::from_secs(60);
    let told = scene.s3.fetch(&scene.digest, &scene.to());
    scene.check_failure(told, ErrorKind::Busy, "the object store did not answer ");
}

#[test]
fn keys_lie_in_files_that_nobody_else_can_read() {
    let (double, folder) = (Double::start(), tempfile::tempdir().expect("a folder"));
    let settings = settings(&double, folder.path());
    let file = folder.path().join("secret.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
    let told = open(&settings, UPLOAD_BYTES_MAX).expect_err("refused").to_string();
    assert!(told.contains("secret.key") && !told.contains(SECRET), "{told}");
    fs::remove_file(&file).expect("goes");
    assert!(open(&settings, UPLOAD_BYTES_MAX).expect_err("refused").to_string().contains("secret.key"));
    assert!(open(&BundlesSettings::default(), UPLOAD_BYTES_MAX).expect("none is named").is_none());
}

/// A store in `folder` whose bundles are in the object store.
fn store(folder: &Path, s3: S3) -> Arc<dyn Store> {
    let options = StoreOptions::at(&folder.join("store").display().to_string(), None).expect("options");
    statera_store::open(&StoreOptions { objects: Some(Arc::new(s3)), ..options }).expect("a store")
}

fn cached(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("store/bundles")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_not_the_digests_is_refused_and_not_cached() {
    let scene = Scene::kept();
    let folder = scene.folder.path();
    let store = store(folder, s3(&scene.double, folder));
    let (other, other_path) = bundle(folder, "logistic");
    let mut altered = scene.double.state().objects[&scene.key()].clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    for (bytes, text) in [
        (Bundle::packed(&other_path).expect("packs"), format!("is another one: its digest is {other}")),
        (b"<html>the proxy says hello</html>".to_vec(), "not a bundle".into()),
        (altered, String::new()),
    ] {
        scene.double.state().objects.insert(scene.key(), bytes);
        scene.check_failure(store.bundle(&scene.digest), ErrorKind::Damaged, &text);
        // Nor is it believed that the bundle is kept because something is there.
        scene.check_failure(store.put_bundle(&scene.digest, &scene.path), ErrorKind::Damaged, &text);
        assert!(cached(folder).is_empty(), "{:?}", cached(folder));
    }
    scene.double.log();
    for digest in ["../keys", "..%2fkeys", "", "/etc/passwd", &"A/".repeat(32)] {
        for told in [store.bundle(digest), store.put_bundle(digest, &scene.path)] {
            let told = told.expect_err("refused");
            assert!(told.is_request() && told.to_string().contains("is not the digest of a bundle"), "{told}");
        }
    }
    assert!(scene.double.log().is_empty(), "the object store is not asked");
}

fn app(folder: &Path, s3: S3) -> (Shared, Arc<dyn Store>) {
    let store = store(folder, s3);
    (App::over(Settings::default(), folder, store.clone()).expect("an app"), store)
}

/// A model whose first version answers.
fn furnish(store: &dyn Store, digest: &str) {
    let act = |who: &str, act| store.act(&Actor::Person(who.into()), act).expect("done");
    act("ada", Act::SetTier { tier: 1, approvals: 1 });
    act("max", Act::AddModel { name: "credit".into(), tier: 1 });
    act("max", Act::AddVersion { model: "credit".into(), digest: digest.into(), note: "first".into() });
    let change = Change::Champion { version: 1 };
    let proposal = act("max", Act::Propose { model: "credit".into(), change, note: "go".into() }).proposal;
    act("carol", Act::Approve { proposal: proposal.expect("a proposal"), note: "seen".into() });
}

#[test]
fn a_server_starts_from_its_cache_while_the_object_store_is_away() {
    let mut scene = Scene::new();
    let folder = scene.folder.path().to_path_buf();
    {
        let (app, store) = app(&folder, s3(&scene.double, &folder));
        store.put_bundle(&scene.digest, &scene.path).expect("is kept");
        furnish(&*store, &scene.digest);
        app.models.refresh().expect("reads");
        assert!(app.models.route("credit", "k").is_ok());
    }
    let objects = scene.double.state().objects.clone();
    assert!(objects.contains_key(&scene.key()));
    let away = || S3 {
        pauses: [Duration::ZERO; 3],
        ..S3::open(&settings(&scene.double, &folder), UPLOAD_BYTES_MAX).expect("opens")
    };
    let (first, second) = (away(), away());
    let mut left = std::mem::replace(&mut scene.double, Double::with(objects));
    left.leave();
    {
        let (app, _store) = app(&folder, first);
        assert!(app.models.route("credit", "k").is_ok(), "the cache has it");
        assert!(app.models.status().is_ready());
    }
    fs::remove_dir_all(folder.join("store/bundles")).expect("goes");
    {
        let (app, store) = app(&folder, second);
        let told = app.models.route("credit", "k").err().expect("nothing answers");
        assert_eq!(told.kind(), ErrorKind::Busy, "{told}");
        scene.check_failure(store.bundle(&scene.digest), ErrorKind::Busy, "");
        until("a failure is told", || !app.models.status().failures.is_empty());
        let failure = app.models.status().failures.pop().expect("it is told").error;
        assert!(failure.contains(&scene.digest) && failure.contains(&scene.s3.place), "{failure}");
        assert!(app.models.archived("credit", 1, &scene.digest).is_err_and(|e| e.kind() == ErrorKind::Busy));
    }
    let (app, _store) = app(&folder, s3(&scene.double, &folder));
    until("it is brought", || app.models.route("credit", "k").is_ok());
    assert_eq!(cached(&folder), [format!("{}.zip", scene.digest)]);
}
