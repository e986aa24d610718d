//! Scikit-learn's 8 × 8 digits (the test set of Alpaydin and Kaynak's digits, 1998), read by the convolutional network.
//!
//! The table is written by an installed scikit-learn; without one the test says so and passes.

use statera::given::Given;
use statera::pipeline;
use statera::project::{ImageColumns, Settings};
use statera_core::{Kind, Run};
use statera_data::source::{self, ReadOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const WRITE: &str =
    "import sys, sklearn.datasets\nsklearn.datasets.load_digits(as_frame=True).frame.to_csv(sys.argv[1], index=False)";

fn write_digits(path: &Path) -> bool {
    let done = Command::new("python3").args(["-c", WRITE]).arg(path).output();
    done.is_ok_and(|output| output.status.success()) && path.exists()
}

#[test]
fn digits_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.csv");
    if !write_digits(&path) {
        eprintln!("skipped: no scikit-learn that writes its digits");
        return;
    }
    let types: BTreeMap<String, Kind> = [("target".to_string(), Kind::Category)].into();
    let read = ReadOptions { types: types.clone(), ..ReadOptions::default() };
    let table = source::read_table(&path.to_string_lossy(), &read, &Run::new(1, 2)).unwrap();
    let image = ImageColumns { height: 8, width: 8, channels: 1, columns: vec!["pixel_*".into()] };
    let settings = Settings {
        target: "target".into(),
        types,
        images: [("digit".to_string(), image)].into(),
        models: vec!["cnn".into()],
        folds: 2,
        test_share: 0.25,
        ..Settings::default()
    };
    let trained = pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap();
    let test = &trained.facts.leaderboard.entries[0].test;
    let accuracy = test.iter().find(|m| m.name == "accuracy").unwrap().interval.value;
    eprintln!("accuracy {accuracy:.4} on {} digits", trained.facts.n_test);
    assert!(accuracy >= 0.98, "{accuracy}");
}
