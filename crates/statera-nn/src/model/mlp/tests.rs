use super::*;
use crate::model::NetworkModel;
use statera_core::{Background, Column, Estimator, FeatureSpec, FrameSpec, Parts, metric};

/// Rows with numbers (some missing or a sentinel), a category, and a target that a curve of them decides.
pub(crate) fn frame(task: Task, n: usize, seed: u64) -> Frame {
    let mut rng = Rng::new(seed);
    let feature =
        |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
    let mut features = vec![feature("a", 0), feature("b", 1), feature("c", 2), feature("constant", 3)];
    features[1].sentinels = vec![99.0];
    features[2].levels = Some((0..12).map(|l| format!("level {l}")).collect());
    let raw_columns = features.iter().map(|f| f.name.clone()).collect();
    let (mut a, mut b, mut c, mut target) = (vec![], vec![], vec![], vec![]);
    for _ in 0..n {
        let (x, y, level) = (rng.normal(), rng.normal(), rng.below(12) as u32);
        let signal = x * x - 1.0 + y + if level < 6 { 1.0 } else { -1.0 } + 0.5 * rng.normal();
        a.push(if rng.uniform() < 0.1 { f64::NAN } else { x * 1000.0 });
        b.push(if rng.uniform() < 0.1 { 99.0 } else { y });
        c.push(level + 3);
        target.push(match task {
            Task::Binary => f64::from(u8::from(signal > 0.0)),
            Task::Classes(_) => f64::from(u8::from(signal > -0.7) + u8::from(signal > 0.7)),
            Task::Regression => 1e6 + 1e5 * signal,
        });
    }
    let columns = vec![Column::Number(a), Column::Number(b), Column::Codes(c), Column::Number(vec![7.0; n])];
    Frame {
        spec: FrameSpec { features, raw_columns, ..FrameSpec::default() }.into(),
        n_rows: n,
        columns,
        target,
        ..Frame::default()
    }
}

#[test]
fn learns_what_no_line_can() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let (train, valid, test) = (frame(task, 3000, 1), frame(task, 500, 2), frame(task, 1000, 3));
        let model = MlpParams::quick(task).fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let scores = model.predict(&test).expect("own columns");
        let share = match task {
            Task::Binary => metric::area(&scores.margins, &test.target, &vec![1.0; 1000]),
            Task::Classes(_) => {
                let class = |i: usize| {
                    let row = scores.row(i);
                    (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).map_or(0.0, |c| c as f64)
                };
                (0..1000).filter(|&i| class(i) == test.target[i]).count() as f64 / 1000.0 + 0.2
            }
            Task::Regression => {
                let mean = test.target.iter().sum::<f64>() / 1000.0;
                let square = |f: &dyn Fn(usize) -> f64| (0..1000).map(|i| (test.target[i] - f(i)).powi(2)).sum::<f64>();
                1.1 - square(&|i| scores.margins[i]) / square(&|_| mean)
            }
        };
        assert!(share > 0.9, "{task:?}: {share}");
    }
}

#[test]
fn returns_from_its_parts_with_the_same_bytes_and_scores() {
    let (train, valid) = (frame(Task::Binary, 600, 1), frame(Task::Binary, 200, 2));
    let model = MlpParams::quick(Task::Binary).fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
    let parts = model.save();
    let text = serde_json::to_string(&parts.json).expect("JSON");
    let again = NetworkModel::load(&Parts { json: serde_json::from_str(&text).expect("JSON"), ..parts.clone() })
        .expect("loads");
    assert_eq!(again.save(), parts);
    assert_eq!(again.predict(&train).expect("scores"), model.predict(&train).expect("scores"));
    let mut damaged = parts.clone();
    damaged.tensors.remove("hidden0.bias");
    assert!(NetworkModel::load(&damaged).is_err());
    let mut turned = parts.clone();
    let weight = turned.tensors.get_mut("hidden0.weight").expect("a first layer");
    weight.shape.reverse();
    let shape = weight.shape.clone();
    let refused = NetworkModel::load(&turned).map(|_| ()).expect_err("another shape").to_string();
    let needs = [shape[1], shape[0]];
    assert_eq!(refused, format!("array «hidden0.weight» has the shape {shape:?}; this network needs {needs:?}"));
}

#[test]
fn the_best_epoch_is_kept_and_refitting_takes_as_many() {
    let (train, valid) = (frame(Task::Binary, 600, 1), frame(Task::Binary, 200, 2));
    let params = MlpParams::quick(Task::Binary);
    let model = params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
    let curve = model.as_any().downcast_ref::<NetworkModel>().expect("a network").curve().clone();
    let figures: Vec<f64> = curve.epochs.iter().filter_map(|e| e.figure).collect();
    let best = figures.iter().fold(f64::MIN, |m, f| m.max(*f));
    assert_eq!(figures[curve.best - 1], best);
    let margins = model.predict(&valid).expect("scores").margins;
    assert_eq!(
        metric::area(&margins, &valid.target, &vec![1.0; 200]),
        best,
        "the restored weights have the best figure"
    );
    let again = params.refit(&[&*model]).fit(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
    let refitted = again.as_any().downcast_ref::<NetworkModel>().expect("a network").curve().clone();
    assert_eq!((refitted.epochs.len(), refitted.best), (curve.best, curve.best));
}

#[test]
fn attributions_add_up_to_the_margin() {
    for task in [Task::Binary, Task::Classes(3), Task::Regression] {
        let train = frame(task, 600, 1);
        let model = MlpParams::quick(task).fit(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
        let rows = frame(task, 20, 5);
        let trained = model.predict(&train).expect("scores");
        let (margins, parts) =
            (model.predict(&rows).expect("scores"), model.attribute(&rows, &Background::default()).expect("parts"));
        for row in 0..20 {
            for (output, margin) in margins.row(row).iter().enumerate() {
                let remainder = parts.remainder_of(row, output);
                let sum = parts.base[output] + parts.of(row, output).iter().sum::<f64>() + remainder;
                assert!((sum - margin).abs() <= 1e-9 * margin.abs().max(1.0), "{task:?}: {sum}, margin {margin}");
                let own = || trained.margins.iter().skip(output).step_by(trained.n_outputs);
                let (low, high) = own().fold((f64::MAX, f64::MIN), |(l, h), m| (l.min(*m), h.max(*m)));
                assert!(remainder.abs() <= 1e-3 * (high - low), "{task:?}: {remainder}");
                assert_eq!(parts.of(row, output)[3], 0.0, "a constant column adds nothing");
            }
        }
    }
}

#[test]
fn a_loss_that_diverges_is_an_error_that_says_what_to_change() {
    let mut params = MlpParams::quick(Task::Regression);
    (params.train.method, params.train.clip) = (Method::Descent { momentum: 0.9 }, None);
    params.train.learning_rate = 1e4;
    let error =
        params.fit(&frame(Task::Regression, 600, 1), &Frame::default(), &Run::new(1, 2)).err().expect("diverges");
    let message = error.to_string();
    assert!(message.contains("epoch 1, step") && message.contains("learning_rate"), "{message}");
}

#[test]
fn refuses_data_and_settings_that_cannot_be() {
    let train = frame(Task::Binary, 100, 1);
    let fit = |params: &MlpParams, train: &Frame| {
        params.fit(train, &Frame::default(), &Run::new(1, 1)).err().map(|e| e.to_string()).unwrap_or_default()
    };
    let with = |change: &dyn Fn(&mut MlpParams)| {
        let mut params = MlpParams::quick(Task::Binary);
        change(&mut params);
        fit(&params, &train)
    };
    let one_class = Frame { target: vec![1.0; 100], ..train.clone() };
    let cases = [
        (with(&|p| p.shape.dropout = 1.0), "dropout is 1; allowed: 0 to below 1"),
        (with(&|p| p.shape.hidden = vec![0]), "a hidden layer of width 0; allowed: 1 to 65536"),
        (with(&|p| p.train.learning_rate = 0.0), "learning_rate is 0; allowed: above 0"),
        (with(&|p| p.train.batch_rows = 0), "batch_rows is 0; allowed: 1 and above"),
        (with(&|p| p.loss = Some(Loss::classes(3))), "the loss is of 3 margins; the task has 1"),
        (fit(&MlpParams::quick(Task::Binary), &one_class), "at least two classes are needed"),
        (
            fit(&MlpParams::quick(Task::Binary), &Frame { target: vec![2.0; 100], ..train.clone() }),
            "target 2; allowed: 0 or 1",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "«{message}», expected «{expected}»");
    }
}

#[test]
fn the_learning_curve_names_its_figure_and_turns_losses_round() {
    for (task, name) in
        [(Task::Binary, "AUC"), (Task::Classes(3), "log loss"), (Task::Regression, "mean squared error")]
    {
        let (train, valid) = (frame(task, 600, 1), frame(task, 200, 2));
        let model = MlpParams::quick(task).fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let curve = model.learning_curve().expect("networks have one");
        assert_eq!((curve.figure.as_deref(), curve.unit.as_str()), (Some(name), "epoch"));
        assert_eq!(curve.points.len(), curve.n_units);
        let best = curve.best().expect("epochs");
        assert!(best.figure.is_some_and(|f| f > 0.0) && best.unit == curve.kept, "{task:?}: {curve:?}");
        assert!(curve.points.iter().all(|p| p.loss.is_some_and(|l| l > 0.0)));
    }
    // One class alone has no area; the loss takes its place. Without validation rows there is no figure.
    let (train, mut valid) = (frame(Task::Binary, 600, 1), frame(Task::Binary, 200, 2));
    valid.target.fill(0.0);
    let curve = |valid: &Frame| {
        let model = MlpParams::quick(Task::Binary).fit(&train, valid, &Run::new(1, 2)).expect("it fits");
        model.learning_curve().expect("networks have one")
    };
    assert_eq!(curve(&valid).figure.as_deref(), Some("log loss"));
    let blind = curve(&Frame::default());
    assert_eq!((blind.figure, blind.kept, blind.n_units), (None, 12, 12));
}

/// Of two levels an unknown one is neither: no flag of the two is set, and RealMLP reads 0 between -1 and 1.
#[test]
fn an_unknown_level_of_two_is_neither_of_them() {
    let mut train = frame(Task::Binary, 800, 1);
    let Column::Codes(levels) = &mut train.columns[2] else { panic!("levels") };
    levels.iter_mut().for_each(|c| *c = if *c < 9 { 3 } else { 4 });
    let mut rows = train.take(&[0, 0, 0]);
    rows.columns[2] = Column::Codes(vec![3, 4, statera_core::CODE_UNKNOWN]);
    let of = |scaling| Input::fit(&train, scaling, 9).expect("it varies").apply(&rows, 0..3).expect("own columns");
    let robust = of(Scaling::Robust);
    let width = robust.len() / 3;
    let differs = |x: &[f32]| (0..width).filter(|&j| x[j] != x[width + j]).collect::<Vec<_>>();
    let place = differs(&robust);
    assert_eq!(place.len(), 1);
    let read: Vec<f32> = (0..3).map(|i| robust[i * width + place[0]]).collect();
    assert_eq!(read, [-1.0, 1.0, 0.0]);
    let flags = of(Scaling::Quantile);
    let width = flags.len() / 3;
    let read: Vec<Vec<f32>> = flags.chunks_exact(width).map(<[f32]>::to_vec).collect();
    let set = |row: &[f32]| (0..width).filter(|&j| read[0][j] != read[1][j]).map(|j| row[j]).collect::<Vec<_>>();
    assert_eq!([set(&read[0]), set(&read[1]), set(&read[2])], [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 0.0]]);
}
