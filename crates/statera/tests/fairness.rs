//! Proxies, mitigation and the frontier of accuracy against disparity, on invented people of whom it is known what tells their sex.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use statera::bundle::Bundle;
use statera::decision::Own;
use statera::given::Given;
use statera::groups;
use statera::judge::{DecidedBy, MeasuredOn, judge};
use statera::pipeline;
use statera::project::{Mitigation, Settings};
use statera::proxy::search;
use statera_core::fairness::{Rules, Verdict};
use statera_core::{Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows whose sex the column `job` tells almost, `height` well, and `left` and `right` only together.
fn table(n: usize) -> Table {
    let mut rng = Rng::new(5);
    let (mut job, mut height, mut left, mut right) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut noise, mut sex, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let is_man = rng.uniform() < 0.5;
        let (a, b) = (rng.uniform() < 0.5, rng.uniform() < 0.4);
        let both = if rng.uniform() < 0.8 { is_man } else { !is_man };
        job.push(if (rng.uniform() < 0.9) == is_man { "smith" } else { "nurse" });
        height.push(if is_man { 178.0 } else { 166.0 } + 7.0 * rng.normal());
        left.push(if a { "l1" } else { "l2" });
        right.push(if a == both { "r1" } else { "r2" });
        noise.push(rng.normal());
        sex.push(if is_man { "m" } else { "f" });
        bad.push(i64::from(rng.uniform() < if b { 0.6 } else { 0.2 } + if is_man { 0.1 } else { 0.0 }));
    }
    let columns: Vec<(&str, Kind, ArrayRef)> = vec![
        ("job", Kind::Category, Arc::new(StringArray::from(job))),
        ("height", Kind::Number, Arc::new(Float64Array::from(height))),
        ("left", Kind::Category, Arc::new(StringArray::from(left))),
        ("right", Kind::Category, Arc::new(StringArray::from(right))),
        ("noise", Kind::Number, Arc::new(Float64Array::from(noise))),
        ("sex", Kind::Category, Arc::new(StringArray::from(sex))),
        ("bad", Kind::Number, Arc::new(Int64Array::from(bad))),
    ];
    let infos = columns.iter().map(|(name, kind, _)| ColumnInfo { name: (*name).into(), kind: *kind }).collect();
    let batch = RecordBatch::try_from_iter(columns.into_iter().map(|(name, _, array)| (name, array))).unwrap();
    Table { columns: infos, batches: vec![batch], origin: "people".into() }
}

#[test]
fn proxies_are_found_alone_and_together() {
    let table = table(3000);
    let batch = table.batches[0].clone();
    let settings = Settings {
        target: "bad".into(),
        protected: vec!["sex".into()],
        models: vec!["logistic".into()],
        ..Settings::default()
    };
    let trained = pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap();
    let labels = groups::labels(&batch, &["sex".to_string()], &BTreeMap::new()).unwrap();
    let (scorer, importance) = (&trained.bundle.scorer, &trained.facts.importance);
    let find = || search(scorer, &batch, &labels, importance, &Rules::default(), &Run::new(1, 2)).unwrap();
    let found = find().remove(0);
    assert_eq!((found.protected.as_str(), found.n_rows), ("sex", 3000));
    let auc = |name: &str| found.columns.iter().find(|p| p.columns == [name]).unwrap();
    assert_eq!(found.columns.iter().map(|p| p.columns[0].as_str()).collect::<Vec<_>>()[..2], ["job", "height"]);
    // Nine of ten smiths are men: an area of .9, and 1 − H(.9)/ln 2 of the uncertainty.
    let job = auc("job");
    assert!((job.auc.figure.value - 0.9).abs() < 0.02 && job.auc.verdict == Verdict::Fails, "{job:?}");
    let entropy = -(0.9f64 * 0.9f64.ln() + 0.1 * 0.1f64.ln()) / 2f64.ln();
    assert!((job.information.unwrap() - (1.0 - entropy)).abs() < 0.04, "{job:?}");
    // Normal distributions 12/7 standard deviations apart: Φ(12 / (7 √2)) = .887.
    assert!((auc("height").auc.figure.value - 0.887).abs() < 0.02, "{:?}", auc("height"));
    for name in ["left", "right", "noise"] {
        assert!(auc(name).auc.figure.value < 0.56 && auc(name).auc.verdict == Verdict::Holds, "{:?}", auc(name));
    }
    let pair = found.together.iter().find(|p| p.columns == ["left", "right"]).expect("only together they tell");
    assert!((pair.auc.figure.value - 0.8).abs() < 0.03 && pair.auc.verdict == Verdict::Fails, "{pair:?}");
    let all = found.all.as_ref().unwrap();
    assert!(all.auc.figure.value > 0.95 && all.columns.len() == 5, "{all:?}");
    assert!((all.importance_share.unwrap() - 1.0).abs() < 1e-12);
    let shares: f64 = found.columns.iter().map(|p| p.importance_share.unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-12, "{shares}");
    assert_eq!(find().remove(0), found, "the same seed, the same figures");
}

#[test]
fn the_judgement_of_a_training_shows_the_groups_and_what_others_would_do() {
    let settings = Settings {
        target: "bad".into(),
        protected: vec!["sex".into()],
        models: vec!["scorecard".into(), "logistic".into()],
        mitigate: Some(Mitigation::Reweighing),
        ..Settings::default()
    };
    let train =
        |table| pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap();
    let trained = train(table(4000));
    assert!(trained.facts.leaderboard.chosen.ends_with("_reweighed"));
    let judgement = trained.bundle.deciding.judgement.as_ref().expect("protected columns are judged without a policy");
    assert_eq!(judgement.decided_by, DecidedBy::ApprovalRate { rate: 0.8 });
    assert_eq!((judgement.n_rows, judgement.measured_on), (800, MeasuredOn::Test));
    assert!((judgement.shares[0] - 0.8).abs() < 0.1, "{:?}", judgement.shares);
    let frontier = judgement.frontier.as_ref().unwrap();
    let models: Vec<&str> = frontier.candidates.iter().map(|c| c.model.as_str()).collect();
    assert!(models.starts_with(&["scorecard", "scorecard_reweighed", "logistic", "logistic_reweighed"]), "{models:?}");
    // Men go bad more often, and columns tell who is one: reweighing takes most of that out of the score.
    let ratio = |model: &str| {
        let line = frontier.candidates.iter().find(|c| c.model == model).unwrap();
        line.disparity.as_ref().unwrap().approval_ratio.value
    };
    assert!(ratio("logistic_reweighed") > ratio("logistic") + 0.05, "{frontier:?}");
    assert!(frontier.candidates.iter().any(|c| c.is_optimal));
    assert_eq!(
        train(table(4000)).bundle.deciding.judgement.as_ref(),
        Some(judgement),
        "the same seed, the same figures"
    );
}

#[test]
fn a_target_that_is_no_event_has_no_groups_and_says_so() {
    let settings = Settings {
        target: "height".into(),
        protected: vec!["sex".into(), "job".into()],
        models: vec!["logistic".into()],
        ..Settings::default()
    };
    let train = |given: &Given| pipeline::train(table(400), &settings, &BTreeMap::new(), given, &Run::new(1, 2));
    let trained = train(&Given::default()).unwrap();
    let note = "protected: groups are compared by decisions about an event, and the target «height» is none; «sex», «job» only kept \
         out of the features";
    assert!(trained.facts.notes.iter().any(|n| n == note), "{:?}", trained.facts.notes);
    assert!(trained.bundle.deciding.judgement.is_none());
    let rules = Own { text: String::new(), read: Rules::default() };
    let refused = train(&Given { rules: Some(rules), ..Given::default() }).err().expect("refused").to_string();
    assert_eq!(refused, "rules: needs a target of two classes, one of them the event; «height» is a number");
}

#[test]
fn judging_again_keeps_what_is_still_true() {
    // Of each ten people one has no known sex, which the bank writes as -1 or as a word.
    let with_unknown = |n| {
        let Table { mut columns, batches, origin } = table(n);
        let height = batches[0].column_by_name("height").unwrap().as_primitive::<Float64Type>();
        let sex = batches[0].column_by_name("sex").unwrap().as_string::<i32>();
        let sex: StringArray = (0..n).map(|i| Some(if i % 10 == 0 { "?" } else { sex.value(i) })).collect();
        let age: Int64Array = (0..n).map(|i| Some(if i % 10 == 1 { -1 } else { height.value(i) as i64 })).collect();
        let mut arrays: Vec<(String, ArrayRef)> = Vec::new();
        for (field, array) in batches[0].schema().fields().iter().zip(batches[0].columns()) {
            let array = if field.name() == "sex" { Arc::new(sex.clone()) as ArrayRef } else { array.clone() };
            arrays.push((field.name().clone(), array));
        }
        arrays.push(("age".into(), Arc::new(age)));
        columns.push(ColumnInfo { name: "age".into(), kind: Kind::Number });
        Table { columns, batches: vec![RecordBatch::try_from_iter(arrays).unwrap()], origin }
    };
    let protected = vec!["sex".to_string(), "age".to_string()];
    let settings = Settings {
        target: "bad".into(),
        protected: protected.clone(),
        models: vec!["logistic".into()],
        baseline: Some("noise".into()),
        missing: [("sex".to_string(), vec!["?".to_string()]), ("age".to_string(), vec!["-1".to_string()])].into(),
        ..Settings::default()
    };
    let run = Run::new(1, 2);
    let mut bundle =
        pipeline::train(with_unknown(3000), &settings, &BTreeMap::new(), &Given::default(), &run).unwrap().bundle;
    let trained = bundle.deciding.judgement.clone().unwrap();
    assert!(trained.frontier.is_some());
    let judge = |bundle: &Bundle, protected: &[String]| judge(bundle, &with_unknown(2000), protected, &run).unwrap();
    let again = judge(&bundle, &[protected[1].clone(), protected[0].clone()]);
    assert_eq!(again.frontier, trained.frontier, "the same columns in another order");
    for judgement in [&trained, &again] {
        let single: Vec<&String> = judgement.groups.iter().filter(|g| !g.contains(", ")).collect();
        assert_eq!(single.len(), 4 + 2, "four parts of the age, two sexes: {single:?}");
        assert!(single.iter().all(|g| !g.contains('?') && !g.contains("-1")), "{single:?}");
        let known: usize = judgement.fairness.iter().filter(|g| g.group.starts_with("sex ")).map(|g| g.n_rows).sum();
        assert!(known < judgement.n_rows * 19 / 10, "{known} in sexes and cells of {}", judgement.n_rows);
        let own = &judgement.what_if[0];
        assert_eq!(own.groups.len(), own.baseline_groups.len());
        // The present score is noise: it approves all groups alike, which the model does not.
        let spread = |shares: &[Option<f64>]| {
            let shares = shares[..6].iter().flatten();
            shares.clone().fold(0.0, |a: f64, b| a.max(*b)) - shares.fold(1.0, |a: f64, b| a.min(*b))
        };
        assert!(spread(&own.groups) > spread(&own.baseline_groups), "{own:?}");
    }
    assert_eq!(judge(&bundle, &protected[..1]).frontier, None, "one column less");
    let rules = Rules { min_rows: 50, ..Rules::default() };
    bundle.deciding.rules = Some(Own { text: String::new(), read: rules });
    assert_eq!(judge(&bundle, &protected).frontier, None, "other rules");
}
