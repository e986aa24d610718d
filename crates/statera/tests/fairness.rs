//! Proxies, mitigation and the frontier of accuracy against disparity, on invented people of whom it is known what tells their sex.

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use statera::given::Given;
use statera::groups;
use statera::judge::{DecidedBy, MeasuredOn};
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
    let labels = groups::labels(&batch, &["sex".to_string()]).unwrap();
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
