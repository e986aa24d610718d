//! An outside check of boosting: LightGBM reads the exported trees and gives the same margins and Shapley values.

mod common;

use common::{settings, table_for};
use statera::given::Given;
use statera::pipeline;
use statera::project::Settings;
use statera::scorer::{Member, Scorer};
use statera_core::{Background, Column, Frame, Run};
use statera_data::Table;
use statera_data::source::{self, ReadOptions};
use statera_learn::gbdt::GbdtModel;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rows that are compared.
const N_ROWS: usize = 500;

/// Reads a folder that [`compare`] has filled; prints the greatest differences of margins and attributions.
const AGREEMENT: &str = r#"
import sys, numpy as np, lightgbm
folder = sys.argv[1]
def array(name):
    return np.fromfile(folder + "/" + name, dtype="<f8")
n, n_outputs = (int(v) for v in array("shape"))
x = array("cells").reshape(-1, n).T
raw = array("raw").astype(int)
booster = lightgbm.Booster(model_file=folder + "/model.txt")
margins = booster.predict(x, raw_score=True).reshape(n, n_outputs)
found = booster.predict(x, pred_contrib=True).reshape(n, n_outputs, len(raw) + 1)
ours = array("attributions").reshape(n, n_outputs, -1)
by_raw = np.zeros_like(ours)
for feature, column in enumerate(raw):
    by_raw[:, :, column] += found[:, :, feature]
print(np.abs(margins - array("margins").reshape(n, n_outputs)).max())
print(np.abs(by_raw - ours).max())
print(np.abs(found[:, :, -1] - array("base")).max())
"#;

fn has_lightgbm() -> bool {
    let found = Command::new("python3").args(["-c", "import lightgbm, numpy"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: no python3 with lightgbm and numpy");
    }
    found
}

fn scorer(table: Table, settings: &Settings) -> Scorer {
    pipeline::train(table, settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap().bundle.scorer
}

fn write(dir: &Path, name: &str, values: impl IntoIterator<Item = f64>) {
    let bytes: Vec<u8> = values.into_iter().flat_map(f64::to_le_bytes).collect();
    fs::write(dir.join(name), bytes).unwrap();
}

/// Greatest differences of margins, attributions and base.
fn compare(member: &Member, frame: &Frame) -> [f64; 3] {
    let dir = tempfile::tempdir().unwrap();
    let model = member.model.as_any().downcast_ref::<GbdtModel>().expect("boosting");
    fs::write(dir.path().join("model.txt"), model.to_lightgbm().unwrap()).unwrap();
    let scores = member.model.predict(frame).unwrap();
    let attributions = member.model.attribute(frame, &Background::default()).unwrap();
    let cells = frame.columns.iter().flat_map(|column| match column {
        Column::Number(values) => values.clone(),
        Column::Codes(codes) => codes.iter().map(|&code| f64::from(code)).collect(),
    });
    write(dir.path(), "cells", cells);
    write(dir.path(), "shape", [frame.n_rows as f64, scores.n_outputs as f64]);
    write(dir.path(), "raw", frame.spec.features.iter().map(|f| f.raw as f64));
    write(dir.path(), "margins", scores.margins);
    write(dir.path(), "attributions", attributions.values);
    write(dir.path(), "base", attributions.base);
    let output = Command::new("python3").args(["-c", AGREEMENT]).arg(dir.path()).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
    numbers.try_into().expect("three numbers")
}

fn check(what: &str, table: Table, settings: &Settings) {
    let batch = table.batches[0].slice(0, N_ROWS.min(table.batches[0].num_rows()));
    for (at, member) in scorer(table, settings).members().iter().enumerate() {
        let frame = member.preparer.transform(&batch).unwrap();
        let [margin, attribution, base] = compare(member, &frame);
        println!("{what}, model {at}: margins within {margin:e}, attributions {attribution:e}, base {base:e}");
        assert!(margin < 1e-9 && attribution < 1e-6 && base < 1e-6, "{what}, model {at}");
    }
}

/// The invented table without its sentinel, which LightGBM's format cannot say.
fn plain(target: &str) -> Settings {
    Settings { missing: Default::default(), folds: 2, ..settings(target, "boosting") }
}

#[test]
fn lightgbm_gives_the_same_margins_and_attributions() {
    if !has_lightgbm() {
        return;
    }
    for target in ["bad", "loss", "region"] {
        check(target, table_for(target, 3_000), &plain(target));
    }
    // Rows of weight 1 and 2: their sums are whole numbers too.
    let weighted = Settings { weight: Some("weight".into()), drop: vec!["loss".into()], ..plain("bad") };
    check("weighted", table_for("bad", 3_000), &weighted);
}

#[test]
fn lightgbm_agrees_on_taiwan() {
    let folder = std::env::var_os("STATERA_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = folder.join("taiwan_credit_default/default_of_credit_card_clients.csv.gz");
    if !path.exists() {
        eprintln!("skipped: no real data at {}", path.display());
        return;
    }
    if !has_lightgbm() {
        return;
    }
    let types = ["SEX", "EDUCATION", "MARRIAGE"].map(|name| (name.to_string(), statera_core::Kind::Category)).into();
    let options = ReadOptions { types, ..ReadOptions::default() };
    let table = source::read_table(&path.to_string_lossy(), &options, &Run::new(1, 2)).unwrap();
    let settings = Settings {
        target: "class".into(),
        drop: vec!["ID".into()],
        models: vec!["boosting".into()],
        types: options.types.clone(),
        folds: 2,
        ..Settings::default()
    };
    check("taiwan", table, &settings);
}

#[test]
fn what_the_format_cannot_say_is_refused() {
    let scorer = scorer(table_for("bad", 3_000), &settings("bad", "boosting"));
    let model = scorer.members()[0].model.as_any().downcast_ref::<GbdtModel>().expect("boosting");
    let error = model.to_lightgbm().expect_err("999 months has a hinge of its own");
    assert!(error.is_request());
    assert_eq!(
        error.to_string(),
        "feature «months»: LightGBM's format cannot say that the sentinel 999 is apart from the numbers beside it"
    );
}
