//! Fewer members of a TabM: what the dial says is what the smaller bundle does.

mod common;

use common::{settings, table};
use statera::bundle::Bundle;
use statera::dial;
use statera::facts::Facts;
use statera::given::Given;
use statera::pipeline;
use statera::project::{Prefer, Settings};
use statera_core::{Run, metric};
use statera_nn::model::NetworkModel;
use std::collections::BTreeMap;

fn trained(models: &[&str]) -> Bundle {
    let models = models.iter().map(ToString::to_string).collect();
    let settings = Settings { models, prefer: Prefer::Ensemble, folds: 3, ..settings("bad", "tabm") };
    pipeline::train(table(1500, 5), &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap().bundle
}

/// As a command finds it: written, and read back.
fn written(mut bundle: Bundle) -> Bundle {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.statera");
    bundle.write(&path, false, &Run::new(1, 2)).unwrap();
    Bundle::read(&path).unwrap()
}

#[test]
fn a_cut_bundle_does_what_the_dial_said() {
    for family in ["tabm", "tabm_mini"] {
        let bundle = written(trained(&[family]));
        let (data, run) = (table(2000, 6), Run::new(1, 2));
        let found = dial::dial(&bundle, &data, &[4, 2, 1], &run).unwrap();
        let dial = &found.dial;
        assert_eq!(dial.n_choosing + dial.n_judging, 2000);
        assert!(!dial.is_training_table && found.rows_per_second.len() == 4);
        let members: Vec<usize> = dial.settings.iter().map(|s| s.members).collect();
        assert_eq!(members, [4, 4, 2, 1]);
        for all in &dial.settings[..2] {
            assert_eq!((all.gain.gain.value, &all.figure), (0.0, &dial.settings[0].figure), "all members are all");
        }
        let (parent, before) = (bundle.digest().unwrap(), bundle.scorer.members().len());
        let (networks, calibrator) = (bundle.scorer.members().to_vec(), bundle.scorer.calibrator().clone());
        let judged = dial.settings[2].clone();
        // Reading replays the golden rows: they are those of the smaller model.
        let small = written(dial::cut(bundle, &found, 2).unwrap());
        assert_eq!((small.manifest.parents.as_slice(), small.scorer.members().len()), (&[parent][..], before));
        assert_eq!(*small.scorer.calibrator(), calibrator);
        let facts: Facts = serde_json::from_value(small.facts.clone()).unwrap();
        let cut = facts.cut.expect("a smaller bundle says so");
        assert_eq!((cut.members, &cut.dial), (2, &found.dial));
        for (cut, whole) in small.scorer.members().iter().zip(&networks) {
            let [cut, whole] = [cut, whole].map(|m| m.model.as_any().downcast_ref::<NetworkModel>().unwrap());
            assert_eq!((cut.n_members(), whole.n_members()), (2, 4));
            assert!(cut.params().n_trained() < whole.params().n_trained());
        }
        // Near what was judged, on rows of the same bank that nobody has seen.
        let fresh = table(4000, 7);
        let scored = small.scorer.score(&fresh.batches[0]).unwrap();
        let bad = fresh.batches[0].column_by_name("bad").unwrap();
        let bad = bad.as_any().downcast_ref::<arrow_array::Int64Array>().unwrap();
        let target: Vec<f64> = bad.values().iter().map(|v| *v as f64).collect();
        let area = metric::area(&scored.margins, &target, &vec![1.0; 4000]);
        assert!((area - judged.figure.interval.value).abs() < 0.05, "{area}, judged {:?}", judged.figure);
    }
}

#[test]
fn members_are_added_one_by_one_as_each_makes_the_average_best() {
    let bundle = trained(&["tabm"]);
    let data = table(2000, 6);
    let found = dial::dial(&bundle, &data, &[3, 1], &Run::new(1, 2)).unwrap();
    let kept = |k: usize| {
        let bundle = trained(&["tabm"]);
        let whole: Vec<_> = bundle.scorer.members().to_vec();
        let frames: Vec<_> =
            whole.iter().map(|m| bundle.scorer.frame(m, &data.batches[0].slice(0, 50)).unwrap()).collect();
        let cut = dial::cut(bundle, &found, k).unwrap();
        let network = |m: &statera::scorer::Member| NetworkModel::load(&m.model.save()).unwrap();
        // Which member's outputs are the cut model's?
        let places = |i: usize| {
            let (whole, small) = (network(&whole[i]), network(&cut.scorer.members()[i]));
            let (all, own) = (whole.member_outputs(&frames[i]).unwrap(), small.member_outputs(&frames[i]).unwrap());
            let same = |a: usize, b: usize| (0..50).all(|row| all[row * 4 + a] == own[row * k + b]);
            (0..k).map(|b| (0..4).find(|&a| same(a, b)).expect("a member of the whole")).collect::<Vec<_>>()
        };
        (0..whole.len()).map(places).collect::<Vec<_>>()
    };
    for (one, three) in kept(1).iter().zip(kept(3)) {
        assert!(
            one.len() == 1 && three.len() == 3 && three.is_sorted() && three.contains(&one[0]),
            "{one:?} {three:?}"
        );
    }
}

#[test]
fn only_tabm_is_cut_and_others_are_told() {
    let run = Run::new(1, 2);
    let error = |models: &[&str], k: usize| dial::dial(&trained(models), &table(600, 6), &[k], &run).err().unwrap();
    let plain = error(&["boosting"], 1);
    assert!(plain.is_request());
    let expected = "the model is «boosting», which has no members to leave out; allowed: tabm and tabm_mini";
    assert_eq!(plain.to_string(), expected);
    assert_eq!(error(&["mlp"], 1).to_string(), expected.replace("boosting", "mlp"));
    assert_eq!(error(&["tabm"], 5).to_string(), "members is 5; allowed: 1 to 4");
    assert_eq!(error(&["tabm"], 0).to_string(), "members is 0; allowed: 1 to 4");
    let not_measured = {
        let bundle = trained(&["tabm"]);
        let found = dial::dial(&bundle, &table(600, 6), &[2], &run).unwrap();
        dial::cut(bundle, &found, 3).err().unwrap().to_string()
    };
    assert_eq!(not_measured, "members is 3, which was not measured");
    // Of an ensemble the other families stay as they are.
    let bundle = trained(&["scorecard", "tabm"]);
    assert_eq!(bundle.manifest.family, "ensemble");
    let before: Vec<_> = bundle.scorer.members().to_vec();
    let found = dial::dial(&bundle, &table(600, 6), &[1], &run).unwrap();
    let small = dial::cut(bundle, &found, 1).unwrap();
    for (cut, whole) in small.scorer.members().iter().zip(&before) {
        assert_eq!((cut.family, cut.weight), (whole.family, whole.weight));
        assert_eq!(cut.model.save() == whole.model.save(), whole.family == "scorecard");
    }
}
