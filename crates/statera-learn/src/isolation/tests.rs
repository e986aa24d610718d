use super::*;
use statera_core::{Background, Column, FeatureSpec, FrameSpec, Rng, metric};

/// scikit-learn 1.9.1, `sklearn.ensemble._iforest._average_path_length`.
const PATH_LENGTHS: [(usize, f64); 6] = [
    (1, 0.0),
    (2, 1.0),
    (3, 1.207392357589623),
    (5, 2.327020052042847),
    (256, 10.244770920119917),
    (999, 12.967939884427995),
];

#[test]
fn the_mean_path_length_is_scikit_learns() {
    for (n, expected) in PATH_LENGTHS {
        assert!((average_path_length(n) - expected).abs() < 1e-13, "{n}: {}", average_path_length(n));
    }
}

fn feature(name: &str, raw: usize, levels: Option<usize>) -> FeatureSpec {
    let levels = levels.map(|n| (0..n).map(|l| format!("level {l}")).collect());
    FeatureSpec { name: name.into(), raw, levels, sentinels: vec![], monotone: 0 }
}

fn frame_of(features: Vec<FeatureSpec>, columns: Vec<Column>, target: Vec<f64>) -> Frame {
    let raw_columns = features.iter().map(|f| f.name.clone()).collect();
    let spec = FrameSpec { features, raw_columns, ..FrameSpec::default() };
    Frame { spec: spec.into(), n_rows: target.len(), columns, target, ..Frame::default() }
}

/// 2,040 rows of six normal numbers, every 51st stretched by 1.6 and of target 1. In numpy:
/// u = (np.arange(1, n + 1)[:, None] * np.sqrt([2, 3, 5, 7, 11, 13, 17, 19])) % 1; r = np.sqrt(-2 * np.log(1 - u[:, 0::2]));
/// X = np.concatenate([r * np.cos(2 * np.pi * u[:, 1::2]), r * np.sin(2 * np.pi * u[:, 1::2])], 1)[:, :6]; X[::51] *= 1.6
fn stretched() -> Frame {
    let primes = [2.0f64, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0];
    let mut columns = vec![Vec::new(); 6];
    let mut target = Vec::new();
    for row in 0..2040 {
        let u = primes.map(|p| (f64::from(row + 1) * p.sqrt()).fract());
        let is_anomaly = row % 51 == 0;
        let stretch = if is_anomaly { 1.6 } else { 1.0 };
        for (j, column) in columns.iter_mut().enumerate() {
            let pair = j % 4;
            let r = (-2.0 * (1.0 - u[2 * pair]).ln()).sqrt();
            let angle = std::f64::consts::TAU * u[2 * pair + 1];
            column.push(stretch * r * if j < 4 { angle.cos() } else { angle.sin() });
        }
        target.push(f64::from(u8::from(is_anomaly)));
    }
    let features = (0..6).map(|j| feature(&format!("x{j}"), j, None)).collect();
    frame_of(features, columns.into_iter().map(Column::Number).collect(), target)
}

/// Numbers with missing cells and levels; rows of target 1 have a level that is rare and a far number.
fn mixed(n: usize, seed: u64) -> Frame {
    let mut rng = Rng::new(seed);
    let (mut a, mut b, mut c, mut y) = (vec![], vec![], vec![], vec![]);
    for _ in 0..n {
        let is_odd = rng.uniform() < 0.03;
        a.push(if rng.uniform() < 0.1 { f64::NAN } else { rng.normal() + if is_odd { 4.0 } else { 0.0 } });
        b.push(rng.normal());
        c.push(if is_odd { 5 } else { 3 + rng.below(2) as u32 });
        y.push(f64::from(u8::from(is_odd)));
    }
    let features = vec![feature("a", 0, None), feature("b", 1, None), feature("c", 2, Some(3))];
    frame_of(features, vec![Column::Number(a), Column::Number(b), Column::Codes(c)], y)
}

fn area(scores: &[f64], frame: &Frame) -> f64 {
    metric::area(scores, &frame.target, &vec![1.0; frame.n_rows])
}

#[test]
fn it_ranks_as_scikit_learn_does_and_its_scores_have_the_same_mean() {
    let frame = stretched();
    let fits: Vec<(f64, f64)> = (0..10)
        .map(|seed| {
            let margins =
                IsolationParams::default().fit_model(&frame, &Run::new(seed, 2)).unwrap().margins(&frame).unwrap();
            let score = margins.iter().map(|m| IsolationModel::anomaly(*m)).sum::<f64>() / 2040.0;
            (area(&margins, &frame), score)
        })
        .collect();
    let mean = |f: fn(&(f64, f64)) -> f64| fits.iter().map(f).sum::<f64>() / 10.0;
    // scikit-learn 1.9.1, 100 trees of 256 rows: AUC .82524 over 20 seeds with a deviation of .0073; mean score .44467 over
    // 10 seeds with a deviation of .0030. Means of ten are compared at four of their errors.
    assert!((mean(|f| f.0) - 0.82524).abs() < 4.0 * 0.0073 / 10f64.sqrt(), "{fits:?}");
    assert!((mean(|f| f.1) - 0.44467).abs() < 4.0 * 0.0030 / 10f64.sqrt(), "{fits:?}");
}

#[test]
fn a_row_by_itself_takes_one_cut() {
    // One number in 255 of 256 rows, another in the last: every tree of all rows cuts it off at depth 1.
    let mut x = vec![0.0; 256];
    x[255] = 1.0;
    let frame = frame_of(vec![feature("x", 0, None)], vec![Column::Number(x)], vec![0.0; 256]);
    let margins = IsolationParams::default().fit_model(&frame, &Run::new(1, 1)).unwrap().margins(&frame).unwrap();
    let c = average_path_length(256);
    assert!((margins[255] + 1.0 / c).abs() < 1e-12, "{}", margins[255]);
    assert!((margins[0] + (1.0 + average_path_length(255)) / c).abs() < 1e-12, "{}", margins[0]);
}

#[test]
fn missing_cells_and_rare_levels_are_found_and_unknown_ones_have_scores() {
    let (train, mut test) = (mixed(3000, 1), mixed(1500, 2));
    let model = IsolationParams::default().fit_model(&train, &Run::new(1, 2)).unwrap();
    let margins = model.margins(&test).unwrap();
    assert!(area(&margins, &test) > 0.93, "{}", area(&margins, &test));
    test.columns[2] = Column::Codes(vec![statera_core::CODE_UNKNOWN; 1500]);
    test.columns[1] = Column::Number(vec![f64::NAN; 1500]);
    assert!(model.margins(&test).unwrap().iter().all(|m| m.is_finite() && *m < 0.0));
}

#[test]
fn the_same_forest_for_any_threads_and_whatever_the_target_says() {
    let train = mixed(1000, 1);
    let fit =
        |frame: &Frame, seed, threads| IsolationParams::default().fit_model(frame, &Run::new(seed, threads)).unwrap();
    let model = fit(&train, 7, 1);
    assert_eq!(model, fit(&train, 7, 4));
    assert_ne!(model, fit(&train, 8, 1));
    let other = Frame { target: vec![1.0; 1000], ..train.clone() };
    assert_eq!(model, fit(&other, 7, 1));
    // Rows of weight 0 are no rows, and weights that are all alike change nothing but the way rows are drawn.
    let weight = Some((0..1000).map(|i| f64::from(i % 2)).collect());
    let half: Vec<usize> = (0..1000).filter(|i| i % 2 == 1).collect();
    let kept = train.take(&half);
    let weighted = fit(&Frame { weight, ..train.clone() }, 7, 1);
    let without = fit(&Frame { weight: Some(vec![1.0; 500]), ..kept }, 7, 1);
    assert_eq!(weighted, without);
    let alone = model.margins(&train.take(&[17])).unwrap();
    assert_eq!(alone[0], model.margins(&train).unwrap()[17]);
}

#[test]
fn returns_from_its_parts_and_refuses_damaged_ones() {
    let train = mixed(500, 1);
    let model = IsolationParams { trees: 10, rows_per_tree: 64 }.fit_model(&train, &Run::new(1, 1)).unwrap();
    let parts = model.save();
    let loaded = IsolationModel::load(&parts).unwrap();
    assert_eq!((&loaded, loaded.save()), (&model, parts.clone()));
    let check = |change: &dyn Fn(&mut statera_core::Parts), expected: &str| {
        let mut damaged = parts.clone();
        change(&mut damaged);
        let message = IsolationModel::load(&damaged).unwrap_err().to_string();
        assert!(message.contains(expected), "«{message}» does not contain «{expected}»");
    };
    let integers = |parts: &statera_core::Parts, name: &str| parts.i32s(name).unwrap().to_vec();
    let put = |parts: &mut statera_core::Parts, name: &str, values: Vec<i32>| {
        let vector = statera_core::Tensor::vector(statera_core::TensorData::I32(values));
        parts.tensors.insert(name.into(), vector);
    };
    check(
        &|p| {
            let mut left = integers(p, "isolation.left");
            left[0] = 0;
            put(p, "isolation.left", left);
        },
        "node 0 does not go down",
    );
    check(
        &|p| {
            let mut column = integers(p, "isolation.column");
            column[0] = 3;
            put(p, "isolation.column", column);
        },
        "node 0 does not go down",
    );
    check(&|p| put(p, "isolation.left", vec![1]), "differ in length");
    check(&|p| p.json["family"] = "boosting".into(), "no isolation forest of 3 columns");
}

#[test]
fn parts_sum_to_the_margin() {
    let train = mixed(800, 1);
    let model = IsolationParams::default().fit_model(&train, &Run::new(1, 2)).unwrap();
    let boosted = BoostedParams::default().fit_model(&train, &mixed(300, 5), &Run::new(1, 2)).unwrap();
    let background = Background { frame: Some(train.take(&[1, 5, 9])) };
    let models: [(&dyn Model, &Background); 3] =
        [(&model, &Background::default()), (&boosted, &Background::default()), (&boosted, &background)];
    for (model, background) in models {
        let (margins, parts) = (model.predict(&train).unwrap(), model.attribute(&train, background).unwrap());
        assert_eq!(parts.n_raw, 3);
        for row in 0..train.n_rows {
            let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>();
            assert!((sum - margins.row(row)[0]).abs() < 1e-9, "{sum}, margin {}", margins.row(row)[0]);
        }
    }
}

#[test]
fn boosting_with_the_score_returns_from_its_parts_and_finds_what_only_the_score_tells() {
    // A row is of target 1 where it is far out in any direction of six numbers: hard for cuts of one column, easy for the score.
    let mut rng = Rng::new(3);
    let n = 3000;
    let columns: Vec<Vec<f64>> = (0..6).map(|_| (0..n).map(|_| rng.normal()).collect()).collect();
    let far = |row: usize| columns.iter().map(|c| c[row] * c[row]).sum::<f64>();
    let target: Vec<f64> = (0..n).map(|row| f64::from(u8::from(far(row) > 11.0))).collect();
    let features = (0..6).map(|j| feature(&format!("x{j}"), j, None)).collect();
    let frame = frame_of(features, columns.into_iter().map(Column::Number).collect(), target);
    let rows = |rest: usize| frame.take(&(0..n).filter(|i| i % 3 == rest).collect::<Vec<_>>());
    let (train, valid, test) = (rows(0), rows(1), rows(2));
    let params = BoostedParams::default();
    let model = params.fit_model(&train, &valid, &Run::new(1, 2)).unwrap();
    let plain = params.boosting.fit_model(&train, &valid, &Run::new(1, 2)).unwrap();
    let [with, without] = [&model as &dyn Model, &plain].map(|m| area(&m.predict(&test).unwrap().margins, &test));
    assert!(with > without + 0.01, "{with} with the score, {without} without");
    let parts = model.save();
    let loaded = BoostedModel::load(&parts).unwrap();
    assert_eq!(loaded.save(), parts);
    assert_eq!(loaded.predict(&test).unwrap(), model.predict(&test).unwrap());
    // The column is the forest alone of the training rows, whatever the others are.
    let alone = params.detector.fit_model(&train, &Run::new(1, 2)).unwrap();
    assert_eq!(model.detector(), &alone);
    let other = params.fit_model(&train, &test, &Run::new(1, 2)).unwrap();
    assert_eq!(other.detector(), &alone);
    let mut damaged = parts.clone();
    damaged.json["isolation"]["spec"]["features"][0]["name"] = "another".into();
    let message = BoostedModel::load(&damaged).err().map(|e| e.to_string());
    assert_eq!(message.as_deref(), Some("model.json: the trees do not read the columns of «isolation» and its score"));
    let refit = params.refit(&[&model as &dyn Model, &model]);
    assert_eq!(refit.form(), Form::Codes);
}

#[test]
fn refuses_what_cannot_be() {
    let train = mixed(50, 1);
    let check = |params: IsolationParams, frame: &Frame, expected: &str| {
        let message = params.fit_model(frame, &Run::new(1, 1)).unwrap_err().to_string();
        assert_eq!(message, expected);
    };
    let params = IsolationParams::default;
    check(IsolationParams { trees: 0, ..params() }, &train, "isolation: trees is 0, allowed is 1 to 10000");
    check(
        IsolationParams { rows_per_tree: 1, ..params() },
        &train,
        "isolation: rows_per_tree is 1, allowed is 2 to 65536",
    );
    check(
        params(),
        &train.take(&[3]),
        "isolation: 1 training rows with a weight above 0 and 3 columns; at least 2 rows and 1 column are needed",
    );
    let mut infinite = train.clone();
    infinite.columns[1] = Column::Number(vec![f64::INFINITY; 50]);
    check(params(), &infinite, "row 0, column «b»: inf; allowed: finite numbers");
    let model = params().fit_model(&train, &Run::new(1, 1)).unwrap();
    let mut other = train.clone();
    other.spec = FrameSpec { features: vec![feature("a", 0, None)], ..FrameSpec::default() }.into();
    let message = model.margins(&other).unwrap_err().to_string();
    assert_eq!(message, "isolation: the model has the columns a, b, c, the data a");
    // Rows that are all alike have all the same score.
    let alike = train.take(&[4; 20]);
    let margins = params().fit_model(&alike, &Run::new(1, 1)).unwrap().margins(&alike).unwrap();
    assert!(margins.iter().all(|m| (m - margins[0]).abs() < 1e-15));
}
