//! Recourse under trained models: whatever is answered holds when the row is rebuilt, scored and decided from outside, and a bundle
//! that was written answers as the one in memory.

mod common;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use common::{settings, table};
use statera::background::distance::Distance;
use statera::bundle::Bundle;
use statera::pipeline;
use statera::policy::Decision;
use statera::project::Settings;
use statera::recourse::{Found, Limit, Outcome, Searcher};
use statera::scorer::RowSource;
use statera_core::Run;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const POLICY: &str = "version = \"p\"\nreview_capacity = 0.1\n[decision]\nby = \"cutoff\"\ndecline_from = 0.45\n";
const RECOURSE: &str = "version = \"r\"\n[[change]]\ncolumn = \"income\"\ndirection = \"increase\"\nstep = 100\n\
    [[change]]\ncolumn = \"debt\"\ndirection = \"decrease\"\nmin = -1\n\
    [[change]]\ncolumn = \"region\"\nlevels = [\"north\", \"west\"]\n\
    [[rule]]\nkeep = \"debt >= -0.75\"\n";

fn decided(model: &str) -> Bundle {
    // Sequences have no background rows.
    let settings = Settings { folds: 3, sequences: BTreeMap::new(), ..settings("bad", model) };
    let given = statera::given::Given::default();
    let trained = pipeline::train(table(1500, 5), &settings, &BTreeMap::new(), &given, &Run::new(1, 2)).unwrap();
    trained.bundle.decided_by(Some(POLICY), None, Some(RECOURSE)).unwrap()
}

/// A row with the cells of an answer.
fn changed(one: &RecordBatch, changes: &[statera::recourse::Change]) -> RecordBatch {
    let schema = one.schema();
    let columns = schema.fields().iter().zip(one.columns()).map(|(field, array)| {
        let array: ArrayRef = match changes.iter().find(|c| c.column == *field.name()) {
            None => array.clone(),
            Some(change) if change.column == "region" => Arc::new(StringArray::from(vec![change.to.clone()])),
            Some(change) => Arc::new(Float64Array::from(vec![change.to.parse::<f64>().expect("a number")])),
        };
        (field.name().clone(), array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()
}

fn check(bundle: &Bundle, one: &RecordBatch, found: &Found) {
    let (_, fitted) = bundle.deciding.policy.as_ref().unwrap();
    let background = bundle.background.as_ref().unwrap();
    let inputs = &bundle.scorer.schema().inputs;
    let distance = Distance::new(bundle.scorer.schema(), &bundle.reference).unwrap();
    let prototypes = distance.cells(inputs, &background.rows).unwrap();
    let approved = bundle.scorer.score(&background.rows).unwrap().probabilities;
    for answer in &found.answers {
        let row = changed(one, &answer.changes);
        let scored = bundle.scorer.score(&row).unwrap().probabilities[0];
        assert_eq!(scored.to_bits(), answer.score.to_bits());
        assert_eq!(fitted.cutoffs.decide(scored), Decision::Approve);
        let row = bundle.scorer.inputs(&row, RowSource::default()).unwrap();
        let cells = distance.cells(inputs, &row).unwrap();
        let is_near = |i: &usize| {
            fitted.cutoffs.decide(approved[*i]) == Decision::Approve
                && distance.between((&cells, 0), (&prototypes, *i)) <= background.reach[*i] + 1e-9
        };
        assert!((0..approved.len()).any(|i| is_near(&i)), "{answer:?} is not plausible");
        for change in &answer.changes {
            let (from, to) = (change.from.parse::<f64>(), change.to.parse::<f64>());
            match change.column.as_str() {
                "income" => {
                    assert!(to.clone().unwrap() > from.clone().unwrap() && to.unwrap() % 100.0 == 0.0)
                }
                "debt" => assert!(to.clone().unwrap() < from.unwrap() && to.unwrap() >= -0.75, "{change:?}"),
                "region" => assert!(["north", "west"].contains(&change.to.as_str()) && change.to != change.from),
                other => panic!("«{other}» is history"),
            }
        }
    }
}

#[test]
fn every_answer_holds_when_it_is_checked_from_outside() {
    for model in ["scorecard", "boosting"] {
        let mut bundle = decided(model);
        let rows = table(400, 9).batches.remove(0);
        let limit = Duration::from_secs(60);
        let searcher = Searcher::new(&bundle).unwrap().unwrap();
        let mut all: Vec<Option<Found>> = Vec::new();
        for row in 0..rows.num_rows() {
            let one = rows.slice(row, 1);
            let found = searcher.find(&one, RowSource::default(), limit).unwrap();
            if let Some(found) = &found {
                assert_eq!(found.outcome == Outcome::Found, !found.answers.is_empty());
                assert_eq!((found.changeable.len(), found.history.len()), (3, 3), "{:?}", found.history);
                check(&bundle, &one, found);
            }
            all.push(found);
        }
        let asked: Vec<&Found> = all.iter().flatten().collect();
        let answered = asked.iter().filter(|f| f.outcome == Outcome::Found).count();
        assert!(asked.len() > 50 && answered > 20, "{model}: {answered} of {}", asked.len());
        assert!(asked.iter().all(|f| f.outcome != Outcome::TimeRanOut && f.is_shortest));
        // A search that is limited by its work is the same one, as long as it ends before; and ends at once where it may not.
        for row in (0..rows.num_rows()).step_by(20).filter(|&row| all[row].is_some()) {
            let one = rows.slice(row, 1);
            let counted = |n| searcher.find(&one, RowSource::default(), Limit::Scored(n)).unwrap().unwrap();
            let (whole, timed) = (counted(1_000_000), all[row].as_ref().unwrap());
            assert_eq!((whole.outcome, &whole.answers), (timed.outcome, &timed.answers));
            assert_eq!(whole, counted(1_000_000));
            let none = counted(0);
            assert!(matches!(none.outcome, Outcome::WorkRanOut { n_rows: 0 }) || none.n_scored == 0, "{none:?}");
        }

        drop(searcher);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        bundle.write(&path, false, &Run::new(1, 2)).unwrap();
        let read = Bundle::read(&path).unwrap();
        assert_eq!((&read.deciding, &read.background), (&bundle.deciding, &bundle.background));
        let searcher = Searcher::new(&read).unwrap().unwrap();
        for row in (0..rows.num_rows()).step_by(20) {
            assert_eq!(searcher.find(&rows.slice(row, 1), RowSource::default(), limit).unwrap(), all[row], "row {row}");
        }
    }
}

#[test]
fn a_background_that_is_missing_or_altered_refuses_the_bundle() {
    let mut bundle = decided("logistic");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.statera");
    bundle.write(&path, false, &Run::new(1, 2)).unwrap();
    let part = path.join("background.parquet");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, &bytes).unwrap();
    let error = Bundle::read(&path).err().unwrap().to_string();
    assert!(error.contains("background.parquet was altered"), "{error}");
    std::fs::remove_file(&part).unwrap();
    assert!(Bundle::read(&path).err().unwrap().to_string().contains("background.parquet is missing"));
}
