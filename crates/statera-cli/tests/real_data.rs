//! Train, evaluate and score on real, public data through the binary. They lie outside the repository: in the folder
//! that `STATERA_DATA` names, or in `../shared/data`; where they are absent a line says so.

mod common;

use common::statera;
use flate2::read::MultiGzDecoder;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Output;

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("STATERA_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path.canonicalize().expect("a path"));
    }
    eprintln!("skipped: no real data at {}", path.display());
    None
}

fn json(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("json on standard output")
}

fn auc(measured: &serde_json::Value) -> f64 {
    let metrics = measured.as_array().expect("metrics");
    let auc = metrics.iter().find(|m| m["name"] == "auc").expect("an AUC");
    auc["interval"]["value"].as_f64().expect("a number")
}

/// What is trained, and the least that must come of it.
struct Case<'a> {
    file: &'a str,
    flags: &'a [&'a str],
    n_rows: usize,
    /// Each candidate with the least AUC on the test rows: well below what is measured, far above a coin.
    least: &'a [(&'a str, f64)],
    /// Name and separator of the column that names rows; without one they are numbered.
    id: Option<(&'a str, char)>,
}

fn check(case: &Case) {
    let Some(path) = data(case.file) else { return };
    let path = path.to_string_lossy().into_owned();
    let dir = tempfile::tempdir().unwrap();
    let models: Vec<&str> = case.least.iter().map(|(model, _)| *model).collect();
    let models = format!("--models={}", models.join(","));
    let train = [&["train", &path, &models, "--out=m.statera", "--json"], case.flags].concat();
    let trained = json(&statera(dir.path(), &train));
    let facts = &trained["facts"];
    assert_eq!(facts["n_rows"], case.n_rows);
    let n_test = facts["n_test"].as_u64().unwrap() as f64;
    assert!((n_test / case.n_rows as f64 - 0.2).abs() < 0.01, "{n_test} rows are held back");
    for (model, least) in case.least {
        let entries = facts["leaderboard"]["entries"].as_array().expect("entries");
        let entry = entries.iter().find(|e| e["model"] == *model).expect("every candidate is on the leaderboard");
        let found = auc(&entry["test"]);
        println!("{}: {model} has a test AUC of {found:.4}", case.file);
        assert!(found > *least && found < 0.96, "{model}: {found}");
    }
    let measured = json(&statera(dir.path(), &["evaluate", "m.statera", &path, "--json"]));
    assert_eq!(measured["n_rows"], case.n_rows);
    assert_eq!(measured["is_training_table"], true);
    let least = case.least.iter().map(|(_, least)| *least).fold(1.0, f64::min);
    assert!(auc(&measured["metrics"]) > least);
    let summary = json(&statera(dir.path(), &["score", "m.statera", &path, "--out=scores.csv", "--json"]));
    assert_eq!(summary["n_rows"], case.n_rows);
    check_scores(&dir.path().join("scores.csv"), &path, case);
    // The same command again is refused by train, and gives the same bytes by score.
    assert_eq!(statera(dir.path(), &train).status.code(), Some(2));
    let before = fs::read(dir.path().join("scores.csv")).unwrap();
    json(&statera(dir.path(), &["score", "m.statera", &path, "--out=scores.csv", "--force", "--json"]));
    assert!(fs::read(dir.path().join("scores.csv")).unwrap() == before, "scores differ between two runs");
}

/// A score for every row of the table, in its order, under its name.
fn check_scores(scores: &Path, path: &str, case: &Case) {
    let mut table = String::new();
    let bytes = fs::read(path).unwrap();
    if path.ends_with(".gz") {
        MultiGzDecoder::new(&bytes[..]).read_to_string(&mut table).expect("text");
    } else {
        table = String::from_utf8(bytes).expect("text");
    }
    let names: Vec<String> = match case.id {
        None => (1..=case.n_rows).map(|row| row.to_string()).collect(),
        Some((name, separator)) => {
            let header: Vec<&str> = table.lines().next().expect("a header").split(separator).collect();
            let at = header.iter().position(|cell| cell.trim_matches('"') == name).expect("the column");
            let cell = |line: &str| line.split(separator).nth(at).expect("a cell").trim_matches('"').to_string();
            table.lines().skip(1).map(cell).collect()
        }
    };
    let text = fs::read_to_string(scores).unwrap();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let title = case.id.map_or("row", |(name, _)| name);
    assert_eq!(lines.next(), Some(format!("{title},probability").as_str()));
    let mut n = 0;
    for (line, name) in lines.zip(&names) {
        let (found, probability) = line.split_once(',').expect("two cells");
        assert_eq!(found, name);
        let probability: f64 = probability.parse().expect("a number");
        assert!(probability > 0.0 && probability < 1.0, "{line}");
        n += 1;
    }
    assert_eq!((n, text.lines().count() - 1, names.len()), (case.n_rows, case.n_rows, case.n_rows));
}

#[test]
fn german_credit() {
    check(&Case {
        file: "german_credit/german_credit.csv",
        flags: &["--target=class", "--positive=bad"],
        n_rows: 1_000,
        least: &[("scorecard", 0.67), ("logistic", 0.67), ("boosting", 0.65)],
        id: None,
    });
}

#[test]
fn taiwan_credit_default() {
    check(&Case {
        file: "taiwan_credit_default/default_of_credit_card_clients.csv.gz",
        flags: &["--target=class", "--id=ID", "--folds=3"],
        n_rows: 30_000,
        least: &[("scorecard", 0.74), ("logistic", 0.70)],
        id: Some(("ID", ',')),
    });
}

#[test]
fn bank_marketing() {
    check(&Case {
        file: "uci_bank_marketing/bank-full.csv.gz",
        // How long the call took is known only after it.
        flags: &["--target=y", "--drop=duration", "--missing=pdays=-1", "--folds=3"],
        n_rows: 45_211,
        least: &[("scorecard", 0.72), ("logistic", 0.72)],
        id: None,
    });
}
