use super::*;
use crate::given::Given;
use crate::pipeline;
use crate::project::Settings;
use arrow_array::{ArrayRef, Float64Array, Int64Array};
use statera_core::{Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Customers whose debt goes with their income, so that columns drawn one by one are nobody's.
fn customers(n: usize) -> Table {
    let mut rng = Rng::new(11);
    let (mut income, mut debt, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let own = rng.normal();
        income.push((1_000.0 * (3.0 + own)).round());
        debt.push((1_000.0 * (2.0 + own + 0.2 * rng.normal())).round());
        bad.push(i64::from(own + rng.normal() < -0.8));
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("income", Arc::new(Float64Array::from(income))),
        ("debt", Arc::new(Float64Array::from(debt))),
        ("bad", Arc::new(Int64Array::from(bad))),
    ];
    let columns_known = columns.iter().map(|(name, _)| ColumnInfo { name: (*name).into(), kind: Kind::Number });
    let columns_known = columns_known.collect();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Table { columns: columns_known, batches: vec![batch], origin: "customers".into() }
}

fn policy(version: &str, capacity: f64) -> String {
    format!("version = \"{version}\"\nreview_capacity = {capacity}\n[decision]\nby = \"cutoff\"\ndecline_from = 0.3\n")
}

fn trained(text: &str) -> Bundle {
    let settings = Settings {
        target: "bad".into(),
        models: vec!["logistic".into()],
        folds: 2,
        quick: true,
        test_share: 0.0,
        ..Settings::default()
    };
    let own = Own { text: text.into(), read: Policy::parse(text).unwrap() };
    let given = Given { policy: Some(own), ..Given::default() };
    pipeline::train(customers(900), &settings, &BTreeMap::new(), &given, &Run::new(1, 2)).unwrap().bundle
}

#[test]
fn reasons_are_measured_from_the_approved_rows_of_the_table_or_their_background() {
    let bundle = trained(&policy("1", 0.0));
    let check = |bundle: &Bundle, rows: &RecordBatch, weight: &[f64]| {
        let (_, fitted) = bundle.deciding.policy.as_ref().unwrap();
        let p = bundle.scorer.score(rows).unwrap().probabilities;
        let parts = bundle.scorer.attribute(rows).unwrap();
        let approved: Vec<usize> = (0..p.len()).filter(|&i| p[i] < 0.3).collect();
        assert!(!approved.is_empty() && approved.len() < p.len());
        let total: f64 = approved.iter().map(|&i| weight[i]).sum();
        for (j, own) in fitted.neutral.iter().enumerate() {
            let mean = approved.iter().map(|&i| weight[i] * parts.of(i, 0)[j]).sum::<f64>() / total;
            assert!((own - mean).abs() < 1e-9, "column {j}: {own} against {mean}");
        }
        fitted.neutral.clone()
    };
    let at_training = check(&bundle, &customers(900).batches[0], &[1.0; 900]);
    let later = trained(&policy("1", 0.0)).decided_by(Some(&policy("2", 0.0)), None, None).unwrap();
    let background = later.background.clone().unwrap();
    let weight: Vec<f64> = background.n_rows.iter().map(|&n| n as f64).collect();
    let from_background = check(&later, &background.rows, &weight);
    assert!(at_training.iter().zip(&from_background).all(|(a, b)| (a - b).abs() < 0.2), "one average, told twice");
    // A policy that approves nobody is told from the safest twentieth, not from one customer.
    let typical = Typical { rows: customers(900).batches.remove(0), weight: vec![1.0; 900], least: LEAST_APPROVED };
    let nobody = Cutoffs { review_from: 0.0, decline_from: 0.0 };
    let safest = neutral(&bundle.scorer, &typical, nobody).unwrap();
    let sum = |parts: &[f64]| parts.iter().sum::<f64>();
    assert!(sum(&safest) < sum(&at_training), "safer than the average approved row");
}

#[test]
fn small_capacities_are_met_closely() {
    let mut bundle = trained(&policy("1", 0.0));
    let rows = bundle.reference_probabilities();
    assert_eq!(rows.len(), 100 * N_BETWEEN + 1);
    for capacity in [0.001, 0.005, 0.01, 0.03, 0.1] {
        bundle = bundle.decided_by(Some(&policy("c", capacity)), None, None).unwrap();
        let (_, fitted) = bundle.deciding.policy.as_ref().unwrap();
        assert!(fitted.cutoffs.review_from < 0.3 && 0.3 < fitted.cutoffs.decline_from, "both sides: {fitted:?}");
        let share = |rows: &[f64]| {
            let reviewed = rows.iter().filter(|p| fitted.cutoffs.decide(**p) == Decision::Review).count();
            reviewed as f64 / rows.len() as f64
        };
        assert!(share(&rows) <= capacity && share(&rows) > 0.9 * capacity, "{capacity}: {}", share(&rows));
        assert_eq!(bundle.review_note(), None, "{capacity}");
    }
}

#[test]
fn figures_of_a_training_are_at_the_cut_off_of_its_policy() {
    let bundle = trained(&policy("1", 0.1));
    let (_, fitted) = bundle.deciding.policy.as_ref().unwrap();
    assert!(fitted.cutoffs.decline_from > 0.3, "rows above the rule's cut-off are reviewed");
    assert_eq!(bundle.facts["leaderboard"]["cutoff"].as_f64(), Some(fitted.cutoffs.decline_from));
}
