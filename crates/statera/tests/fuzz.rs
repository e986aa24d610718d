//! A bundle that somebody has prepared: whatever its parts say, reading it ends with an error or with a model that scores.
//!
//! `STATERA_FUZZ_SECONDS=60 cargo test --release --test fuzz` tries for longer.

#[path = "common/mutate.rs"]
mod mutate;

use statera::bundle::Bundle;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

fn kept(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/artifact/format-4/{family}.zip"))
}

fn parts(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let n = zip.len();
    let read = |i| {
        let mut file = zip.by_index(i).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (file.name().unwrap().to_string(), bytes)
    };
    (0..n).map(read).collect()
}

/// Makes the manifest right again: a digest keeps nobody out who can write one.
fn seal(parts: &mut BTreeMap<String, Vec<u8>>, name: &str) {
    let Some(bytes) = parts.get(name) else { return };
    let (n_bytes, digest) = (bytes.len(), blake3::hash(bytes).to_hex().to_string());
    let mut manifest: serde_json::Value = serde_json::from_slice(&parts["manifest.json"]).unwrap();
    manifest["parts"][name] = serde_json::json!({"bytes": n_bytes, "blake3": digest});
    parts.insert("manifest.json".into(), serde_json::to_vec(&manifest).unwrap());
}

/// Reads, and gives whether it was accepted.
fn read(folder: &Path) -> bool {
    match Bundle::read(folder) {
        Ok(bundle) => {
            // What is accepted scores: it replayed its golden rows, and synthetic ones give a number or an error.
            let batch = bundle.reference.draw(&bundle.scorer.schema().inputs, 4, 1);
            let _ = batch.and_then(|batch| bundle.scorer.score(&batch));
            true
        }
        Err(e) => {
            assert!(!e.to_string().is_empty());
            false
        }
    }
}

#[test]
fn parts_of_a_bundle_may_say_anything() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fuzzed.statera");
    let all: Vec<_> = ["boosting", "logistic", "scorecard", "ensemble"].iter().map(|f| parts(&kept(f))).collect();
    let mut n_accepted = 0;
    let n = mutate::cases("parts of a bundle", |rng| {
        let mut parts = all[rng.below(all.len())].clone();
        let name = parts.keys().nth(rng.below(parts.len())).unwrap().clone();
        mutate::mutate(parts.get_mut(&name).unwrap(), rng);
        if name != "manifest.json" && name != "run.json" {
            seal(&mut parts, &name);
        }
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        for (name, bytes) in &parts {
            fs::write(place.join(name), bytes).unwrap();
        }
        n_accepted += u64::from(read(&place));
    });
    assert!(n_accepted < n, "changes were noticed");
}

#[test]
fn a_zip_may_say_anything() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fuzzed.zip");
    let whole = fs::read(kept("logistic")).unwrap();
    mutate::cases("zip of a bundle", |rng| {
        let mut bytes = whole.clone();
        mutate::mutate(&mut bytes, rng);
        fs::write(&place, &bytes).unwrap();
        read(&place);
    });
}
