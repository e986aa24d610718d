//! A bundle that somebody has prepared: whatever its parts say, reading it ends with an error or with a model that scores.
//!
//! `STATERA_FUZZ_SECONDS=60 cargo test --release --test fuzz` tries for longer.

#[path = "common/mutate.rs"]
mod mutate;
#[path = "common/sealed.rs"]
mod sealed;

use sealed::{parts, seal, write};
use statera::bundle::Bundle;
use std::fs;
use std::path::{Path, PathBuf};

/// Kept bundles: of columns alone, of windows and rules, and of sequences.
const KEPT: [&str; 6] = [
    "format-4/boosting",
    "format-4/logistic",
    "format-4/scorecard",
    "format-4/ensemble",
    "format-5/boosting",
    "format-5/transactions/lstm",
];

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/artifact/{name}.zip"))
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
    let all: Vec<_> = KEPT.iter().map(|name| parts(&kept(name))).collect();
    let mut n_accepted = 0;
    let n = mutate::cases("parts of a bundle", |rng| {
        let mut parts = all[rng.below(all.len())].clone();
        let name = parts.keys().nth(rng.below(parts.len())).unwrap().clone();
        mutate::mutate(parts.get_mut(&name).unwrap(), rng);
        if name != "manifest.json" && name != "run.json" {
            seal(&mut parts, &name);
        }
        write(&parts, &place);
        n_accepted += u64::from(read(&place));
    });
    assert!(n_accepted < n, "changes were noticed");
}

#[test]
fn a_zip_may_say_anything() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fuzzed.zip");
    let whole = fs::read(kept("format-4/logistic")).unwrap();
    mutate::cases("zip of a bundle", |rng| {
        let mut bytes = whole.clone();
        mutate::mutate(&mut bytes, rng);
        fs::write(&place, &bytes).unwrap();
        read(&place);
    });
}
