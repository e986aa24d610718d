use super::*;
use crate::batch::{self, BatchOptions};
use crate::evaluate;
use crate::given::Given;
use crate::pipeline;
use crate::project::Project;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use statera_core::Rng;
use statera_data::source::read_table;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const PROJECT: &str = r#"
[sources]
payments = "payments.csv"
[main]
source = "payments"
key = "payment"
date = "at"
[roles]
target = "fraud"
drop = ["scenario", "card", "shop"]
[candidates]
models = ["logistic"]
[split]
folds = 2
[windows]
time = "at"
id = "payment"
label = "fraud"
label_delay = "3d"
[[windows.feature]]
key = "card"
of = "amount"
what = ["count", "mean", "ratio_to_mean"]
over = ["1d", "7d"]
[[windows.feature]]
key = "shop"
of = "fraud"
what = ["count", "mean"]
over = ["7d"]
shift = "label"
[[windows.sequence]]
name = "last"
key = "card"
of = ["amount", "since_last"]
steps = 3
within = "7d"
"#;

/// Payments of sixty days, five a card and day; frauds are five times as high.
fn payments(n: usize, seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let mut text = String::from("payment,at,card,shop,amount,fraud,scenario\n");
    for i in 0..n {
        let minute = i * 60 * 24 * 60 / n;
        let (day, hour) = (minute / 1440, minute % 1440 / 60);
        let (month, day) = (3 + day / 30, 1 + day % 30);
        let is_fraud = rng.below(12) == 0;
        let cents = (500 + rng.below(2000)) * if is_fraud { 5 } else { 1 };
        let (card, shop) = (rng.below(25), rng.below(40));
        let _ = writeln!(
            text,
            "{i},2026-{month:02}-{day:02}T{hour:02}:{:02}:00Z,C{card},S{shop},{}.{:02},{},{}",
            minute % 60,
            cents / 100,
            cents % 100,
            i32::from(is_fraud),
            rng.below(3)
        );
    }
    text
}

/// A folder with payments, their project, and the bundle trained of it.
struct Trained {
    dir: tempfile::TempDir,
    bundle: Bundle,
}

fn trained(project: &str) -> Trained {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("payments.csv"), payments(4_000, 1)).unwrap();
    let run = Run::new(1, 2);
    let assembled = Project::parse(project, "project.toml").unwrap().assemble(dir.path(), &run).unwrap();
    let settings = Settings { quick: true, ..assembled.settings };
    let mut trained = pipeline::train(assembled.table, &settings, &assembled.formats, &Given::default(), &run).unwrap();
    let path = dir.path().join("fraud.statera");
    trained.bundle.write(&path, false, &run).unwrap();
    Trained { bundle: Bundle::read(&path).unwrap(), dir }
}

impl Trained {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    fn score(&self, data: &str, history: Option<&str>) -> Result<Vec<f64>> {
        let out = self.path("scores.csv");
        let history = history.map(|name| self.path(name));
        let options = BatchOptions { history, replace: true, start_over: true, ..BatchOptions::default() };
        batch::score(&self.bundle, &self.path(data), &ReadOptions::default(), &out, &options, &Run::new(1, 2))?;
        let table = read_table(&out, &ReadOptions::default(), &Run::new(1, 1)).unwrap();
        let at = table.column("probability").unwrap();
        Ok(table.batches.iter().flat_map(|b| b.column(at).as_primitive::<Float64Type>().values().to_vec()).collect())
    }
}

#[test]
fn a_training_makes_the_columns_and_the_bundle_keeps_how() {
    let trained = trained(PROJECT);
    let own = trained.bundle.windows.as_ref().expect("the bundle has windows");
    let inputs: Vec<&str> = trained.bundle.scorer.schema().inputs.iter().map(|i| i.name.as_str()).collect();
    for name in own.definition.column_names() {
        assert!(inputs.contains(&name), "{name} is read: {inputs:?}");
    }
    for name in ["payment", "card", "shop", "fraud", "scenario"] {
        assert!(!inputs.contains(&name), "{name} is no feature: {inputs:?}");
    }
    assert_eq!(own.definition.windows().number["amount"].decimals, Some(2));
    let settings = trained.bundle.facts.pointer("/settings").unwrap();
    assert_eq!(settings["label_delay"], "3 days", "training waits for labels as windows do");
    assert!(trained.bundle.manifest.parts.contains_key(WINDOWS_FILE));
    assert!(!trained.bundle.files().contains_key(WINDOWS_FILE), "it is no file of a model");
    // Two of 25 cards' payments a day, five times the mean: that tells.
    let table = read_table(&trained.path("payments.csv"), &ReadOptions::default(), &Run::new(1, 1)).unwrap();
    let found = evaluate::evaluate(&trained.bundle, &table, None).unwrap();
    let auc = found.metrics.iter().find(|m| m.name == "auc").unwrap().interval.value;
    assert!(found.is_training_table && auc > 0.9, "AUC {auc}");
}

#[test]
fn raw_rows_with_their_history_score_as_rows_that_carry_the_columns() {
    let trained = trained(PROJECT);
    let text = fs::read_to_string(trained.path("payments.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let put = |name: &str, rows: &[&str]| {
        fs::write(trained.path(name), [&lines[..1], rows].concat().join("\n")).unwrap();
    };
    put("before.csv", &lines[1..3_001]);
    put("new.csv", &lines[3_001..]);
    let whole = trained.score("payments.csv", None).unwrap();
    let new = trained.score("new.csv", Some("before.csv")).unwrap();
    assert_eq!(new.len(), 1_000, "the history is not scored");
    assert_eq!(new, whole[3_000..]);
    let alone = trained.score("new.csv", None).unwrap();
    assert_ne!(alone, new, "without its history a card has done less");

    // Labels of rows that are scored are not needed, and the order of rows does not matter.
    let unlabelled = |line: &&str| line.rsplitn(3, ',').nth(2).unwrap().to_string();
    let mut rows: Vec<String> = lines[3_001..].iter().map(unlabelled).collect();
    rows.reverse();
    let head = "payment,at,card,shop,amount".to_string();
    fs::write(trained.path("reversed.csv"), [vec![head], rows].concat().join("\n")).unwrap();
    let mut reversed = trained.score("reversed.csv", Some("before.csv")).unwrap();
    reversed.reverse();
    let n_same = reversed.iter().zip(&new).filter(|(a, b)| a == b).count();
    assert!(n_same > 50, "the labels of the first days' rows are not known by then: {n_same}");

    let raw = read_table(&trained.path("payments.csv"), &ReadOptions::default(), &Run::new(1, 1)).unwrap();
    let table = complete(&trained.bundle, &raw).unwrap();
    let batch = concat_batches(&table.batches[0].schema(), &table.batches).unwrap();
    let scored = trained.bundle.scorer.score(&batch.slice(3_000, 1_000)).unwrap();
    assert_eq!(scored.probabilities, new, "rows that carry the columns are taken as they are");
}

#[test]
fn what_cannot_be_scored_is_told_with_its_place() {
    let trained = trained(PROJECT);
    let said = |text: &str, history: Option<&str>| {
        fs::write(trained.path("bad.csv"), text).unwrap();
        trained.score("bad.csv", history).unwrap_err().to_string()
    };
    let good = "payment,at,card,shop,amount\n9001,2026-05-20T00:00:00Z,C1,S1,5.00\n";
    let told = said(&format!("{good}9001,2026-05-21T00:00:00Z,C1,S1,5.00\n"), None);
    assert!(
        told.ends_with("bad.csv: windows: row 2: event «9001» was taken before; allowed is each id once"),
        "{told}"
    );
    let told = said(&good.replace(",C1,S1", ",C1").replace(",shop", ""), None);
    assert!(told.contains("a column is missing that the model was trained on: «shop»"), "{told}");
    fs::write(trained.path("none.csv"), good.replace("9001", "1")).unwrap();
    let timeless = said(&good.replace("2026-05-20T00:00:00Z", ""), Some("none.csv"));
    assert!(timeless.ends_with("bad.csv: column «at», row 1: missing; every event needs a time"), "{timeless}");
    let told = said(good, Some("missing.csv"));
    assert!(told.contains("missing.csv"), "{told}");
    let plain = trained_without();
    fs::write(plain.path("new.csv"), good).unwrap();
    let told = plain.score("new.csv", Some("payments.csv")).unwrap_err().to_string();
    assert!(told.contains("the bundle has no windows; leave it out"), "{told}");
}

fn trained_without() -> Trained {
    let at = PROJECT.find("[windows]").unwrap();
    trained(&PROJECT[..at])
}

#[test]
fn steps_of_windows_are_read_by_networks_of_sequences() {
    for family in ["gru", "attention"] {
        let trained = trained(&PROJECT.replace("[\"logistic\"]", &format!("[\"{family}\"]")));
        assert_eq!(trained.bundle.manifest.family, family);
        let whole = trained.score("payments.csv", None).unwrap();
        assert_eq!(whole.len(), 4_000);
    }
}

#[test]
fn a_resolution_goes_from_the_project_into_the_bundle_and_rows_are_scored_by_it() {
    let tiled = PROJECT.replace("[\"7d\"]\nshift", "[\"7d\"]\nresolution = \"12h\"\nshift");
    let tiled = tiled.replace("[\"1d\", \"7d\"]", "[\"1d\", \"7d\"]\nresolution = \"6h\"");
    let trained = trained(&tiled);
    let own = trained.bundle.windows.as_ref().expect("the bundle has windows");
    let resolutions: Vec<Option<String>> =
        own.definition.windows().features.iter().map(|f| f.resolution.map(|r| r.to_string())).collect();
    assert_eq!(resolutions, [Some("6h".into()), Some("12h".into())]);
    assert_eq!(OwnWindows::parse(own.to_toml().unwrap().as_bytes()).unwrap(), *own);
    let text = fs::read_to_string(trained.path("payments.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(trained.path("before.csv"), lines[..3_001].join("\n")).unwrap();
    fs::write(trained.path("new.csv"), [&lines[..1], &lines[3_001..]].concat().join("\n")).unwrap();
    let whole = trained.score("payments.csv", None).unwrap();
    let new = trained.score("new.csv", Some("before.csv")).unwrap();
    assert_eq!(new, whole[3_000..]);
}

#[test]
fn contradictions_are_told() {
    let said = |project: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("payments.csv"), payments(200, 1)).unwrap();
        let project = Project::parse(project, "project.toml");
        let assembled = project.and_then(|p| p.assemble(Path::new(dir.path()), &Run::new(1, 1)));
        assembled.expect_err("refused").to_string()
    };
    let other = PROJECT.replace("[split]", "[sequence.last]\nsteps = [[\"amount\"], [\"scenario\"]]\n[split]");
    assert!(said(&other).contains("sequence «last»: another sequence has that name"), "{}", said(&other));
    let other = PROJECT.replace("key = \"card\"\nof = \"amount\"\nwhat", "key = \"crad\"\nof = \"amount\"\nwhat");
    assert!(said(&other).contains("windows: no column «crad»; there are payment, at, card"), "{}", said(&other));
    let other = PROJECT.replace("over = [\"7d\"]\nshift = \"label\"", "over = [\"7d\"]");
    assert!(said(&other).contains("is the label, which is known later only"), "{}", said(&other));
    let other = PROJECT.replace("over = [\"7d\"]\nshift", "over = [\"7d\"]\nresolution = \"5h\"\nshift");
    let told = said(&other);
    assert!(told.contains("windows: feature 2: resolution: 5h does not divide 7d; allowed is what all"), "{told}");
    let other = PROJECT.replace("time = \"at\"\nid", "tme = \"at\"\nid");
    assert!(said(&other).contains("unknown field `tme`"), "{}", said(&other));
}
