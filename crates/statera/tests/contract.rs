//! The contract battery: every model family, through the whole pipeline.

mod common;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use common::{of_batch, settings, table, table_for};
use statera::bundle::Bundle;
use statera::explain;
use statera::given::Given;
use statera::models::{MODELS, ModelFamily};
use statera::pipeline::{self, Trained};
use statera::project::Settings;
use statera::reasons::Language;
use statera::scorer::RowSource;
use statera_core::{Result, Run, Task};
use statera_data::Table;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

fn train(table: Table, settings: &Settings) -> Result<Trained> {
    pipeline::train(table, settings, &BTreeMap::new(), &Given::default(), &Run::new(settings.seed, 2))
}

/// Every family with every task it can do, and the target that goes with it.
fn cases() -> Vec<(&'static ModelFamily, &'static str)> {
    let tasks = [(Task::Binary, "bad"), (Task::Classes(3), "region"), (Task::Regression, "loss")];
    MODELS.iter().flat_map(|m| tasks.iter().filter(|(t, _)| (m.does)(*t)).map(move |(_, c)| (m, *c))).collect()
}

/// A case, and the bundle that it gives.
struct Fitted {
    family: &'static ModelFamily,
    target: &'static str,
    bundle: Mutex<Bundle>,
}

/// Every case trained once, for the tests that only look at the result.
static FITTED: LazyLock<Vec<Fitted>> = LazyLock::new(|| {
    let fit = |(family, target): (&'static ModelFamily, &'static str)| {
        let trained = train(table_for(target, ROWS), &settings(target, family.name));
        let bundle = trained.unwrap_or_else(|e| panic!("{} for {target}: {e}", family.name)).bundle;
        Fitted { family, target, bundle: Mutex::new(bundle) }
    };
    cases().into_iter().map(fit).collect()
});

/// Rows of the tables that are trained on.
const ROWS: usize = 1000;

#[test]
fn every_model_learns_and_returns_through_its_bundle_to_the_same_bytes() {
    for Fitted { family, target, bundle } in &*FITTED {
        let name = format!("{} for {target}", family.name);
        let batch = table_for(target, ROWS).batches[0].clone();
        let mut bundle = bundle.lock().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.statera");
        let run = Run::new(1, 2);
        bundle.write(&path, false, &run).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut read = Bundle::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let scored = bundle.scorer.score(&batch).unwrap();
        assert!(scored.margins.iter().chain(&scored.probabilities).all(|v| v.is_finite()), "{name}");
        assert_eq!(scored, read.scorer.score(&batch).unwrap(), "{name}");
        let again = dir.path().join("b.zip");
        read.write(&again, false, &run).unwrap();
        assert_eq!(bundle.digest().unwrap(), Bundle::read(&again).unwrap().digest().unwrap(), "{name}");
    }
}

#[test]
fn every_model_survives_what_training_did_not_have() {
    for Fitted { family, target, bundle } in &*FITTED {
        let name = format!("{} for {target}", family.name);
        let all = table(50, 8).batches[0].clone();
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for field in all.schema().fields() {
            let column: ArrayRef = match field.name().as_str() {
                "debt" | "income" => Arc::new(Float64Array::from(vec![None::<f64>; 50])),
                "region" => Arc::new(StringArray::from(vec![Some("somewhere else"); 50])),
                other => all.column_by_name(other).unwrap().clone(),
            };
            columns.push((field.name().clone(), column));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        let scored = bundle.lock().unwrap().scorer.score(&batch).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(scored.probabilities.iter().all(|v| v.is_finite()), "{name}");
    }
}

#[test]
fn every_model_refuses_a_table_without_its_columns() {
    for Fitted { family, bundle, .. } in &*FITTED {
        let all = table(10, 8).batches[0].clone();
        let keep: Vec<usize> =
            all.schema().fields().iter().enumerate().filter(|(_, f)| f.name() != "debt").map(|(i, _)| i).collect();
        let error = bundle.lock().unwrap().scorer.score(&all.project(&keep).unwrap()).expect_err("a column is missing");
        assert!(error.to_string().contains("«debt»"), "{}: {error}", family.name);
    }
}

#[test]
fn every_attribution_sums_to_the_margin() {
    for Fitted { family, target, bundle } in &*FITTED {
        let name = format!("{} for {target}", family.name);
        let batch = table_for(target, ROWS).batches[0].slice(0, 300);
        let bundle = bundle.lock().unwrap();
        let scored = bundle.scorer.score(&batch).unwrap();
        let parts = bundle.scorer.attribute(&batch).unwrap();
        let (low, high) = scored.margins.iter().fold((f64::MAX, f64::MIN), |(l, h), m| (l.min(*m), h.max(*m)));
        for row in 0..batch.num_rows() {
            for output in 0..scored.n_outputs {
                let remainder = parts.remainder_of(row, output);
                let sum = parts.base[output] + parts.of(row, output).iter().sum::<f64>() + remainder;
                let margin = scored.margins[row * scored.n_outputs + output];
                assert!((sum - margin).abs() < 1e-6 * (high - low), "{name}, row {row}: {sum} against {margin}");
                assert!(remainder.abs() < 1e-3 * (high - low), "{name}, row {row}: {remainder} is unexplained");
            }
        }
    }
}

#[test]
fn training_is_the_same_bytes_for_a_seed_and_any_threads() {
    for (family, target) in cases() {
        let digest = |threads: usize, seed: u64| {
            let settings = Settings { seed, ..settings(target, family.name) };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let run = Run::new(seed, threads);
                let table = table_for(target, ROWS);
                let mut trained = pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &run).unwrap();
                let dir = tempfile::tempdir().unwrap();
                trained.bundle.write(&dir.path().join("a.statera"), false, &run).unwrap();
                trained.bundle.digest().unwrap()
            })
        };
        let one = digest(1, 3);
        assert_eq!(one, digest(2, 3), "{} for {target}: two threads", family.name);
        assert_eq!(one, digest(3, 3), "{} for {target}: three threads", family.name);
        assert_ne!(one, digest(1, 4), "{} for {target}: another seed", family.name);
    }
}

#[test]
fn a_class_is_explained_against_the_next_likeliest() {
    let batch = table_for("region", ROWS).batches[0].clone();
    for Fitted { family, bundle, .. } in FITTED.iter().filter(|f| f.target == "region") {
        let (name, bundle) = (family.name, bundle.lock().unwrap());
        let classes = &bundle.scorer.schema().classes;
        for row in (0..batch.num_rows()).step_by(100) {
            let one = batch.slice(row, 1);
            let scored = bundle.scorer.score(&one).unwrap();
            let found = explain::explain(&bundle, &one, RowSource::default(), "1", Language::En).unwrap();
            let place = |name: &Option<String>| classes.iter().position(|c| Some(c) == name.as_ref()).expect("a class");
            let (own, next) = (place(&found.class), place(&found.against));
            let mut order: Vec<usize> = (0..classes.len()).collect();
            order.sort_by(|&a, &b| scored.probabilities[b].total_cmp(&scored.probabilities[a]).then(a.cmp(&b)));
            assert_eq!([own, next], order[..2], "{name}");
            assert_eq!(found.score, scored.probabilities[own]);
            // What the columns add is the log-odds of one class against the other, which calibration only stretches.
            let sum: f64 = found.base + found.remainder + found.contributions.iter().map(|c| c.value).sum::<f64>();
            let margin = scored.margins[own] - scored.margins[next];
            assert!((sum - margin).abs() < 1e-9 && found.margin == margin && margin > -1e-9, "{name}: {sum} {margin}");
        }
    }
}

#[test]
fn a_row_of_weight_zero_is_no_row() {
    for (family, target) in cases() {
        let settings = Settings { weight: Some("weight".into()), ..settings(target, family.name) };
        let settings = Settings { drop: settings.drop.into_iter().filter(|c| c != "weight").collect(), ..settings };
        let whole = table_for(target, ROWS).batches[0].clone();
        let at = whole.schema().index_of("weight").unwrap();
        let weights: Vec<f64> =
            (0..whole.num_rows()).map(|r| if r % 5 == 0 { 0.0 } else { 1.0 + (r % 2) as f64 }).collect();
        let mut columns = whole.columns().to_vec();
        columns[at] = Arc::new(Float64Array::from(weights));
        let weighted = RecordBatch::try_new(whole.schema(), columns).unwrap();
        let kept = UInt64Array::from_iter_values((0..whole.num_rows() as u64).filter(|r| r % 5 != 0));
        let without = arrow_select::take::take_record_batch(&weighted, &kept).unwrap();
        let score = |batch: RecordBatch| {
            let trained = train(of_batch(batch), &settings).unwrap_or_else(|e| panic!("{}: {e}", family.name));
            trained.bundle.scorer.score(&whole).unwrap()
        };
        assert_eq!(score(weighted), score(without), "{} for {target}", family.name);
    }
}

#[test]
fn with_a_label_delay_rows_whose_outcome_was_not_known_do_not_train() {
    let delay = |label_delay: Option<&str>| Settings {
        time: Some("opened".into()),
        label_delay: label_delay.map(String::from),
        ..settings("bad", "logistic")
    };
    let notes = |label_delay| train(table(1500, 5), &delay(label_delay)).unwrap().facts.notes;
    // Rows are spread evenly over 2,000 days, the test holds a fifth of them: 200 days before it are a tenth.
    let with = notes(Some("200 days"));
    let open: Vec<usize> = with
        .iter()
        .filter(|n| n.contains("their outcome was not known 200 days before it"))
        .filter_map(|n| n.split(' ').next()?.parse().ok())
        .collect();
    assert!(open.len() == 1 && (120..180).contains(&open[0]), "{with:?}");
    assert!(!notes(None).iter().any(|n| n.contains("outcome")));
    let error = train(table(1500, 5), &delay(Some("60 months"))).err().expect("no label is known in time").to_string();
    assert!(error.contains("whose label was known later; at least 1 is needed to train"), "{error}");
}

#[test]
fn an_ensemble_averages_its_parts_and_returns_through_its_bundle() {
    let settings = Settings { prefer: statera::project::Prefer::Ensemble, ..settings("bad", "boosting") };
    let settings = Settings { models: vec!["scorecard".into(), "boosting".into()], ..settings };
    // On most small tables one of the two is best alone; on some of these a mix is better.
    let trained = (5..15).map(|seed| train(table(1500, seed), &settings).unwrap());
    let mut trained = { trained }.find(|t| t.facts.leaderboard.chosen == "ensemble").expect("a mix is better once");
    let board = &trained.facts.leaderboard;
    let entry = board.entries.last().unwrap();
    assert!(entry.model == "ensemble" && entry.about.len() > 1, "{entry:?}");
    let batch = table(300, 6).batches[0].clone();
    let scored = trained.bundle.scorer.score(&batch).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.statera");
    trained.bundle.write(&path, false, &Run::new(1, 2)).unwrap();
    let read = Bundle::read(&path).unwrap();
    assert_eq!(scored, read.scorer.score(&batch).unwrap());
    // By hand: the members' margins, each family weighing what the leaderboard says.
    let mut margins = vec![0.0; 300];
    let total: u32 = read.scorer.members().iter().map(|m| m.weight).sum();
    for member in read.scorer.members() {
        let own = member.model.predict(&member.preparer.transform(&batch).unwrap()).unwrap().margins;
        let share = f64::from(member.weight) / f64::from(total);
        margins.iter_mut().zip(own).for_each(|(sum, m)| *sum += share * m);
    }
    let worst = margins.iter().zip(&scored.margins).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-12, "{worst}");
    let parts = read.scorer.attribute(&batch).unwrap();
    for (row, margin) in scored.margins.iter().enumerate() {
        assert!((parts.base[0] + parts.of(row, 0).iter().sum::<f64>() - margin).abs() < 1e-9);
    }
    // The share of each family in the weights is the one that is shown.
    for (title, share) in &entry.about {
        let family = MODELS.iter().find(|m| m.title == title).unwrap().name;
        let weight: u32 = read.scorer.members().iter().filter(|m| m.family == family).map(|m| m.weight).sum();
        assert_eq!(*share, format!("{:.0} %", 100.0 * f64::from(weight) / f64::from(total)));
    }
}

#[test]
fn the_facts_have_the_learning_curve_of_every_fit() {
    let families = ["logistic", "boosting", "mlp", "autoencoder"];
    let models = families.iter().map(ToString::to_string).collect();
    let of = |time: Option<&str>| {
        let settings = Settings { models, time: time.map(String::from), ..settings("bad", "mlp") };
        train(table(1500, 5), &settings).unwrap().facts.learning_curves
    };
    // With a time column the final models are refitted.
    let curves = of(Some("opened"));
    let folds = |name: &str| curves.iter().filter(|c| c.model == name).map(|c| c.fold).collect::<Vec<_>>();
    let all: Vec<Option<usize>> = (1..=5).map(Some).chain([None]).collect();
    assert_eq!(folds("logistic"), []);
    for (name, unit) in [("boosting", "tree"), ("mlp", "epoch"), ("autoencoder", "epoch")] {
        // Boosting measures its training loss only beside that of validation rows.
        let expected = if name == "boosting" { &all[..5] } else { &all[..] };
        assert_eq!(folds(name), expected, "{name}");
        for fit in curves.iter().filter(|c| c.model == name) {
            assert_eq!(fit.curve.unit, unit);
            assert!(fit.curve.kept >= 1 && fit.curve.kept <= fit.curve.n_units, "{fit:?}");
            assert_eq!(fit.curve.figure.is_some(), fit.fold.is_some(), "{name}: a refit has no validation rows");
            assert!(fit.curve.points.iter().any(|p| p.loss.is_some_and(|l| l > 0.0)), "{fit:?}");
        }
    }
}
