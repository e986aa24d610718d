//! Facts about whole fits.

mod attribution;

use super::{GbdtModel, GbdtParams, load};
use statera_core::{
    CODE_MISSING, CODE_UNKNOWN, Column, Estimator, FIRST_LEVEL, FeatureSpec, Frame, FrameSpec, Model, Parts, Rng, Run,
    Task, TensorData,
};
use statera_kernel::tree::round;
use std::sync::Arc;

fn feature(name: &str, raw: usize) -> FeatureSpec {
    FeatureSpec { name: name.into(), raw, levels: None, sentinels: Vec::new(), monotone: 0 }
}

/// Four features of three raw columns: a number, a number with missing cells and the sentinel 999, seven levels, and a
/// rounded copy of the first.
fn sample(n: usize, seed: u64) -> Frame {
    let mut rng = Rng::new(seed);
    let (mut a, mut b, mut c, mut d, mut target) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..n {
        let x = rng.normal();
        let y = match rng.below(10) {
            0 => f64::NAN,
            1 => 999.0,
            _ => rng.normal() * 3.0,
        };
        let level = rng.below(7);
        let lift = if y.is_nan() {
            1.5
        } else if y == 999.0 {
            -1.5
        } else {
            0.3 * y
        };
        let margin = x + lift + if [1, 4, 5].contains(&level) { 1.0 } else { -1.0 };
        target.push(f64::from(u8::from(rng.uniform() < 1.0 / (1.0 + (-margin).exp()))));
        a.push(x);
        b.push(y);
        c.push(FIRST_LEVEL + level as u32);
        d.push((x * 2.0).round());
    }
    let mut features = vec![feature("a", 0), feature("b", 1), feature("c", 2), feature("d", 0)];
    features[1].sentinels = vec![999.0];
    features[2].levels = Some((0..7).map(|i| format!("level {i}")).collect());
    let raw_columns = ["a", "b", "c"].map(str::to_owned).to_vec();
    let columns = vec![Column::Number(a), Column::Number(b), Column::Codes(c), Column::Number(d)];
    Frame {
        spec: Arc::new(FrameSpec { features, raw_columns, ..FrameSpec::default() }),
        n_rows: n,
        columns,
        target,
        ..Frame::default()
    }
}

/// A frame of one number.
fn numbers(values: Vec<f64>, target: Vec<f64>) -> Frame {
    let spec = FrameSpec { features: vec![feature("x", 0)], raw_columns: vec!["x".into()], ..FrameSpec::default() };
    Frame {
        spec: Arc::new(spec),
        n_rows: target.len(),
        columns: vec![Column::Number(values)],
        target,
        ..Frame::default()
    }
}

fn quick() -> GbdtParams {
    GbdtParams { max_trees: 20, max_leaves: 8, ..GbdtParams::default() }
}

fn fit(params: &GbdtParams, train: &Frame) -> GbdtModel {
    params.fit_model(train, &Frame::default(), &Run::new(5, 1)).expect("the frame is fit for training")
}

fn margins(model: &GbdtModel, frame: &Frame) -> Vec<f64> {
    model.predict(frame).expect("the frame has the model's features").margins
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_threads() {
    let (train, valid) = (sample(20_000, 1), sample(700, 2));
    for params in [quick(), GbdtParams { max_trees: 5, ..GbdtParams::lightgbm_parity() }] {
        let saved = |threads| params.fit_model(&train, &valid, &Run::new(9, threads)).map(|m| m.save());
        let one = saved(1).expect("the fit succeeds");
        assert_eq!(Ok(&one), saved(2).as_ref());
        assert_eq!(Ok(&one), saved(3).as_ref());
    }
    let other = quick().fit_model(&train, &valid, &Run::new(10, 1)).expect("the fit succeeds");
    assert_ne!(other.save(), quick().fit_model(&train, &valid, &Run::new(9, 1)).expect("the fit succeeds").save());
}

#[test]
fn weight_two_is_the_row_twice_and_weight_zero_is_no_row() {
    let params = GbdtParams { row_share: 1.0, column_share: 1.0, ..quick() };
    let mut train = sample(3_000, 3);
    let weight: Vec<f64> = (0..3_000).map(|i| [1.0, 2.0, 0.0, 1.0, 2.0][i % 5]).collect();
    let repeated: Vec<usize> = (0..3_000).flat_map(|i| vec![i; weight[i] as usize]).collect();
    let expected = fit(&params, &train.take(&repeated));
    train.weight = Some(weight);
    let weighted = fit(&params, &train);
    let test = sample(500, 4);
    assert!(close(&margins(&weighted, &test), &margins(&expected, &test), 1e-6));
}

#[test]
fn scaling_small_weights_changes_nothing() {
    let mut train = sample(2_000, 3);
    train.weight = Some((0..2_000).map(|i| [0.25, 0.5][i % 2]).collect());
    let mut smaller = train.clone();
    smaller.weight = train.weight.as_ref().map(|w| w.iter().map(|w| w / 1024.0).collect());
    assert_eq!(margins(&fit(&quick(), &train), &train), margins(&fit(&quick(), &smaller), &train));
}

#[test]
fn the_first_split_is_that_of_brute_force() {
    let mut rng = Rng::new(8);
    let values: Vec<f64> = (0..60).map(|_| if rng.below(8) == 0 { f64::NAN } else { rng.below(12) as f64 }).collect();
    let target: Vec<f64> = (0..60).map(|_| rng.normal()).collect();
    let params = GbdtParams {
        task: Task::Regression,
        max_trees: 1,
        max_leaves: 2,
        min_rows_per_leaf: 4,
        min_rows_per_bin: 1,
        learning_rate: 1.0,
        row_share: 1.0,
        column_share: 1.0,
        l2: 0.7,
        ..GbdtParams::default()
    };
    let mean = target.iter().sum::<f64>() / 60.0;
    let score = |left: &dyn Fn(f64) -> bool| {
        let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
        for (&x, &y) in values.iter().zip(&target) {
            let side = usize::from(!left(x));
            sums[side] += mean - y;
            counts[side] += 1.0;
        }
        let gain = |s: usize| sums[s] * sums[s] / (counts[s] + 0.7);
        if counts[0] < 4.0 || counts[1] < 4.0 { f64::NEG_INFINITY } else { gain(0) + gain(1) }
    };
    let mut best = score(&|x| x.is_nan());
    for cut in 0..11 {
        let at_most = |x: f64| x <= f64::from(cut);
        best = best.max(score(&|x| at_most(x))).max(score(&|x| at_most(x) || x.is_nan()));
    }
    let model = fit(&params, &numbers(values, target));
    assert!((model.gain_by_feature()[0] - best).abs() < 1e-6, "{} for {best}", model.gain_by_feature()[0]);
}

#[test]
fn monotone_features_never_fall() {
    let mut rng = Rng::new(21);
    let n = 2_000;
    let x: Vec<f64> = (0..n).map(|_| rng.uniform() * 10.0).collect();
    let z: Vec<f64> = (0..n).map(|_| rng.uniform() * 10.0).collect();
    let target = x.iter().zip(&z).map(|(x, z)| 0.1 * x + (2.0 * x).sin() * (z - 5.0) + rng.normal()).collect();
    for direction in [1_i8, -1] {
        let mut spec = FrameSpec { features: vec![feature("x", 0), feature("z", 1)], ..FrameSpec::default() };
        spec.raw_columns = vec!["x".into(), "z".into()];
        spec.features[0].monotone = direction;
        let columns = vec![Column::Number(x.clone()), Column::Number(z.clone())];
        let train = Frame { spec: Arc::new(spec), n_rows: n, columns, target: Vec::clone(&target), ..Frame::default() };
        let params = GbdtParams { task: Task::Regression, max_trees: 60, ..GbdtParams::lightgbm_parity() };
        let model = fit(&params, &train);
        for z in [0.5, 3.0, 5.0, 9.0] {
            let mut grid = train.take(&vec![0; 200]);
            grid.columns =
                vec![Column::Number((0..200).map(|i| f64::from(i) * 0.05).collect()), Column::Number(vec![z; 200])];
            let line = margins(&model, &grid);
            let rises = line.windows(2).all(|w| (w[1] - w[0]) * f64::from(direction) >= -1e-12);
            assert!(rises, "direction {direction} at z = {z}: {line:?}");
        }
        assert!(model.gain_by_feature()[1] > 0.0);
    }
}

#[test]
fn missing_cells_sentinels_and_levels_are_told_apart() {
    let model = fit(&GbdtParams { max_trees: 80, ..quick() }, &sample(8_000, 6));
    let at = |b: f64, c: u32| {
        let mut row = sample(1, 7);
        row.columns =
            vec![Column::Number(vec![0.0]), Column::Number(vec![b]), Column::Codes(vec![c]), Column::Number(vec![0.0])];
        margins(&model, &row)[0]
    };
    let level = |i: u32| FIRST_LEVEL + i;
    assert!(at(f64::NAN, level(1)) > at(1.0, level(1)) + 0.5);
    assert!(at(999.0, level(1)) < at(1.0, level(1)) - 0.5);
    assert!(at(998.0, level(1)) > at(999.0, level(1)) + 1.0, "a neighbour of the sentinel is an amount");
    assert!(at(1.0, level(4)) > at(1.0, level(2)) + 1.0);
    assert_eq!(at(1.0, CODE_UNKNOWN).to_bits(), at(1.0, CODE_MISSING).to_bits());
    assert_eq!(at(1.0, CODE_UNKNOWN).to_bits(), at(1.0, 4_000_000_000).to_bits());
}

#[test]
fn useless_columns_are_never_split() {
    let mut train = sample(1_000, 12);
    train.columns[0] = Column::Number(vec![f64::NAN; 1_000]);
    train.columns[3] = Column::Number(vec![4.0; 1_000]);
    let model = fit(&quick(), &train);
    let gains = model.gain_by_feature();
    assert!(gains[0] == 0.0 && gains[3] == 0.0 && gains[1] > 0.0 && gains[2] > 0.0, "{gains:?}");
    for column in &mut train.columns {
        let n = column.len();
        *column = match column {
            Column::Number(_) => Column::Number(vec![1.0; n]),
            Column::Codes(_) => Column::Codes(vec![FIRST_LEVEL; n]),
        };
    }
    let rate = train.target.iter().sum::<f64>() / 1_000.0;
    let constant = margins(&fit(&quick(), &train), &train);
    assert!(close(&constant, &vec![(rate / (1.0 - rate)).ln(); 1_000], 1e-6), "{}", constant[0]);
}

#[test]
fn classes_and_values_are_learnt() {
    let mut train = sample(3_000, 30);
    let a = match &train.columns[0] {
        Column::Number(a) => a.clone(),
        Column::Codes(_) => Vec::new(),
    };
    train.target = a
        .iter()
        .map(|&x| {
            if x < -0.5 {
                0.0
            } else if x < 0.5 {
                1.0
            } else {
                2.0
            }
        })
        .collect();
    let scores = fit(&GbdtParams { task: Task::Classes(3), ..quick() }, &train).predict(&train).expect("same frame");
    let right = (0..3_000).filter(|&row| {
        let margins = scores.row(row);
        let class = train.target[row] as usize;
        margins.iter().all(|&m| m <= margins[class])
    });
    assert!(right.count() > 2_900);
    train.target = a.iter().map(|x| 1e6 + x.abs()).collect();
    let params = GbdtParams { task: Task::Regression, max_trees: 200, ..quick() };
    let predicted = margins(&fit(&params, &train), &train);
    let error = predicted.iter().zip(&train.target).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / 3_000.0;
    assert!(error < 0.01, "mean squared error {error}");
}

#[test]
fn leaves_of_classes_are_rounded_and_those_of_values_are_not() {
    let check = |params: GbdtParams, frame: &Frame, is_rounded: bool| {
        let model = fit(&params, frame);
        let (base, trees) = (model.forest.base().to_vec(), model.forest.trees().to_vec());
        let mut rounded = (base.clone(), trees.clone());
        round(&mut rounded.0, &mut rounded.1);
        assert_eq!(rounded == (base, trees), is_rounded, "{:?}", params.task);
    };
    let frame = sample(500, 31);
    check(quick(), &frame, true);
    let three = frame.target.iter().enumerate().map(|(i, y)| y + f64::from(u8::from(i % 3 == 0))).collect();
    check(GbdtParams { task: Task::Classes(3), ..quick() }, &Frame { target: three, ..frame.clone() }, true);
    let values = frame.target.iter().map(|y| y * 0.7).collect();
    check(GbdtParams { task: Task::Regression, ..quick() }, &Frame { target: values, ..frame.clone() }, false);
}

#[test]
fn stops_early_and_refits_with_the_mean_number_of_rounds() {
    let (train, valid) = (sample(1_500, 40), sample(1_500, 41));
    let params = GbdtParams { max_trees: 1_000, patience: 10, learning_rate: 0.2, ..GbdtParams::default() };
    let fold = |seed| params.fit_model(&train, &valid, &Run::new(seed, 1)).expect("the fit succeeds");
    let (one, two) = (fold(1), fold(2));
    assert!(one.n_rounds() < 200 && one.valid_loss().is_some_and(|loss| loss < 0.6));
    let rounds = ((one.n_rounds() + two.n_rounds()) as f64).ceil() as usize;
    let refit = params.refit(&[&one as &dyn Model, &two]);
    let model = refit.fit(&train, &Frame::default(), &Run::new(1, 1)).expect("the fit succeeds");
    // Two folds: a mean of (a + b) / 2, times 2 / (2 - 1).
    assert_eq!(model.describe()[0], ("rounds".to_owned(), rounds.to_string()));
}

#[test]
fn a_loaded_model_is_the_saved_one() {
    let (train, valid) = (sample(2_000, 70), sample(500, 71));
    let model = quick().fit_model(&train, &valid, &Run::new(1, 1)).expect("the fit succeeds");
    let parts = model.save();
    let loaded = load(&parts).expect("the parts are whole");
    assert_eq!(loaded.save(), parts);
    assert_eq!(loaded.predict(&valid), model.predict(&valid));
}

#[test]
fn damaged_parts_are_refused() {
    let parts = fit(&quick(), &sample(2_000, 70)).save();
    let check = |damage: &dyn Fn(&mut Parts), expected: &str| {
        let mut parts = parts.clone();
        damage(&mut parts);
        match load(&parts) {
            Ok(_) => panic!("a model with «{expected}» was loaded"),
            Err(e) => assert!(e.to_string().contains(expected), "«{e}» lacks «{expected}»"),
        }
    };
    let f64s = |name: &'static str, change: fn(&mut Vec<f64>)| {
        move |parts: &mut Parts| {
            if let Some(TensorData::F64(v)) = parts.tensors.get_mut(name).map(|t| &mut t.data) {
                change(v);
            }
        }
    };
    let i32s = |name: &'static str, change: fn(&mut Vec<i32>)| {
        move |parts: &mut Parts| {
            if let Some(TensorData::I32(v)) = parts.tensors.get_mut(name).map(|t| &mut t.data) {
                change(v);
            }
        }
    };
    check(&|p| p.json = serde_json::Value::Null, "model.json");
    check(&|p| p.json["family"] = "forest".into(), "the model is of the family «forest»");
    check(&|p| p.json["surprise"] = 1.into(), "unknown field `surprise`");
    check(&|p| p.json["params"]["l2"] = (-1.0).into(), "l2 is -1");
    check(&|p| p.json["spec"]["features"][0]["raw"] = 9.into(), "comes from raw column 9, there are 3");
    check(&|p| p.json["n_trees"] = 7.into(), "20 tree sizes for 7 trees");
    check(&|p| drop(p.tensors.remove("boosting.edges")), "no array «boosting.edges»");
    check(&f64s("boosting.edges", |v| v.truncate(3)), "«boosting.edges» is too short");
    check(&f64s("boosting.edges", |v| v.push(1e9)), "«boosting.edges» is too long");
    check(&f64s("boosting.edges", |v| v.swap(0, 1)), "must be finite and ascend strictly");
    check(&f64s("boosting.base", |v| v.push(0.0)), "2 base margins");
    check(&f64s("boosting.base", |v| v[0] = f64::NAN), "a base margin is not finite");
    check(&f64s("boosting.leaf_values", |v| v[0] = f64::INFINITY), "a leaf's value is not finite");
    check(&f64s("boosting.leaf_covers", |v| v[0] = -1.0), "negative or not finite");
    check(&i32s("boosting.node_columns", |v| v[0] = -1), "a node's column is negative");
    check(&i32s("boosting.node_columns", |v| v[0] = 99), "a node splits column 99, there are 4");
    check(&i32s("boosting.node_children", |v| v[0] = 0), "has the earlier node 0 as a child");
    check(&i32s("boosting.node_children", |v| v[0] = i32::MAX), "is absent or has two parents");
    check(&i32s("boosting.tree_leaves", |v| v[0] = 1_000_000), "has 1000000 leaves, allowed is 1 to 4096");
    check(&i32s("boosting.tree_leaves", |v| v[0] = 9), "");
    check(&i32s("boosting.edge_counts", |v| v[0] = -4), "a number of edges is negative");
}

#[test]
fn unusable_requests_are_named() {
    let check = |params: GbdtParams, train: &Frame, expected: &str| {
        let error = params.fit_model(train, &Frame::default(), &Run::new(1, 1)).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let frame = || numbers(vec![1.0, 2.0, 3.0], vec![0.0, 1.0, 1.0]);
    let with = |change: fn(&mut Frame)| {
        let mut frame = frame();
        change(&mut frame);
        frame
    };
    let default = GbdtParams::default;
    check(
        GbdtParams { learning_rate: 0.0, ..default() },
        &frame(),
        "boosting: learning_rate is 0, allowed is above 0 and at most 1",
    );
    check(GbdtParams { max_leaves: 1, ..default() }, &frame(), "boosting: max_leaves is 1, allowed is 2 to 4096");
    check(GbdtParams { task: Task::Classes(2), ..default() }, &frame(), "boosting: classes is 2, allowed is 3 to 1000");
    let constant = "the target is 1 in all 1 training rows of positive weight, at least two values are needed";
    check(default(), &numbers(vec![1.0], vec![1.0]), constant);
    let none = "training rows: there is no row of positive weight, at least two are needed";
    check(default(), &numbers(Vec::new(), Vec::new()), none);
    check(default(), &with(|f| f.weight = Some(vec![0.0; 3])), none);
    check(default(), &with(|f| f.target[2] = 2.0), "training rows, row 2: target is 2, allowed is 0 or 1");
    check(
        default(),
        &with(|f| f.weight = Some(vec![1.0, -1.0, 1.0])),
        "training rows, row 1: weight is -1, allowed is 0 to 1e9",
    );
    check(
        default(),
        &with(|f| f.columns[0] = Column::Number(vec![1.0, f64::INFINITY, 0.0])),
        "feature «x», row 1: inf is not a finite number",
    );
    check(
        default(),
        &with(|f| f.columns[0] = Column::Codes(vec![3, 3, 4])),
        "feature «x» must hold numbers, it holds levels",
    );
    let run = Run::new(1, 1);
    run.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(default().fit_model(&frame(), &Frame::default(), &run).is_err_and(|e| e.is_cancelled()));
}

#[test]
fn frames_of_other_features_are_refused() {
    let model = fit(&quick(), &sample(500, 1));
    let check = |change: fn(&mut Frame), expected: &str| {
        let mut frame = sample(3, 1);
        change(&mut frame);
        assert_eq!(model.predict(&frame).unwrap_err().to_string(), expected);
    };
    check(|f| drop(f.columns.pop()), "boosting: 3 features, the model has 4");
    check(|f| f.columns[0] = Column::Codes(vec![0; 3]), "feature «a» must hold numbers, as in training");
    check(|f| f.columns[0] = Column::Number(vec![0.0; 2]), "feature «a» has 2 rows of 3");
    check(
        |f| Arc::make_mut(&mut f.spec).features[0].name = "z".into(),
        "boosting: feature 0 is «z», the model needs «a»",
    );
}

#[test]
fn a_fold_is_stopped_by_the_other_folds() {
    let params = GbdtParams { max_trees: 400, patience: 10, learning_rate: 0.2, ..GbdtParams::default() };
    let fold = |seed: u64| {
        let (train, valid) = (sample(900, 60 + seed), sample(300, 70 + seed));
        params.fit_model(&train, &valid, &Run::new(seed, 1)).expect("the fit succeeds")
    };
    let own: Vec<usize> = (0..3).map(|seed| fold(seed).n_rounds()).collect();
    let curves: Vec<Vec<f64>> = (0..3).map(|seed| fold(seed).course.curve.clone()).collect();
    let models = (0..3).map(|seed| Box::new(fold(seed)) as Box<dyn Model>).collect();
    let settled = params.settle(models).expect("they were just fitted");
    for (i, model) in settled.iter().enumerate() {
        let model = model.as_any().downcast_ref::<GbdtModel>().expect("the family stays");
        // By hand: the smallest sum of the other two curves, whose ends go on.
        let (a, b) = (&curves[(i + 1) % 3], &curves[(i + 2) % 3]);
        let sum = |r: usize| a.get(r).unwrap_or(&a[a.len() - 1]) + b.get(r).unwrap_or(&b[b.len() - 1]);
        let best = (0..a.len().max(b.len())).min_by(|&r, &s| sum(r).total_cmp(&sum(s))).expect("there are rounds") + 1;
        assert_eq!(model.n_rounds(), best.min(curves[i].len()));
        assert_eq!(model.valid_loss(), Some(curves[i][model.n_rounds() - 1]));
        let shown = model.learning_curve().expect("it was just fitted");
        assert_eq!((shown.kept, shown.n_units), (model.n_rounds(), curves[i].len()));
        let kept = shown.points.iter().find(|p| p.unit == shown.kept).expect("the kept one is shown");
        assert_eq!(kept.figure, model.valid_loss());
        // What is cut is the same fit: its first trees are those of the whole.
        assert_eq!(model.forest().trees()[..], fold(i as u64).with_rounds(best).unwrap().forest().trees()[..]);
    }
    assert!(settled.iter().zip(&own).any(|(m, own)| m.describe()[0].1 != own.to_string()), "{own:?}");
}

#[test]
fn a_refit_after_expanding_windows_takes_the_rounds_of_the_last() {
    let params = GbdtParams { max_trees: 500, patience: 10, learning_rate: 0.2, ..GbdtParams::default() };
    let fold =
        |n: usize| params.fit_model(&sample(n, 80), &sample(400, 81), &Run::new(1, 1)).expect("the fit succeeds");
    let (small, large) = (fold(300), fold(1_500));
    let rounds = (large.n_rounds() as f64 * 3.0 / 2.0).ceil();
    let refit = params.refit(&[&small as &dyn Model, &large]);
    let model = refit.fit(&sample(400, 82), &Frame::default(), &Run::new(1, 1)).expect("the fit succeeds");
    assert_eq!(model.describe()[0].1, rounds.to_string());
}

#[test]
fn the_training_loss_of_the_learning_curve_is_that_of_the_model() {
    let train = sample(900, 60);
    let model = GbdtParams { max_trees: 30, patience: 0, ..GbdtParams::default() }
        .fit_model(&train, &sample(300, 61), &Run::new(1, 1))
        .expect("the fit succeeds");
    let curve = model.learning_curve().expect("it was just fitted");
    assert_eq!((curve.figure.as_deref(), curve.kept, curve.points.len()), (Some("log loss"), 30, 30));
    // By hand, from the model's own margins after all trees and after ten.
    for rounds in [10, 30] {
        let margins = model.with_rounds(rounds).expect("fewer").predict(&train).expect("scores").margins;
        let losses = margins.iter().zip(&train.target).map(|(m, y)| (1.0 + (m * (1.0 - 2.0 * y)).exp()).ln());
        let expected = losses.sum::<f64>() / 900.0;
        let shown = curve.points[rounds - 1].loss.expect("measured");
        assert!((shown - expected).abs() < 1e-6, "{rounds}: {shown}, expected {expected}");
    }
    assert!(load(&model.save()).expect("loads").learning_curve().is_none());
}
