use super::*;
use crate::input::{Reading, Scaling};
use crate::model::{MlpParams, NetworkModel};
use statera_core::{
    Background, Column, Estimator, FeatureSpec, FrameSpec, Parts, Sequence as Declared, Tensor, TensorData, metric,
};

const READERS: [Reader; 4] = [Reader::Lstm, Reader::Gru, Reader::Cnn, Reader::Attention];
const N_STEPS: usize = 6;

/// Six months of two columns (some cells missing, some a sentinel) and a plain one. The target is whether months of the
/// first column are like the month before them, and the plain column: no weighted sum of columns knows the former.
fn frame(n: usize, seed: u64) -> Frame {
    let mut rng = Rng::new(seed);
    let mut columns = vec![Vec::new(); 2 * N_STEPS + 1];
    let mut target = Vec::new();
    for _ in 0..n {
        let levels: Vec<f64> = (0..N_STEPS).map(|_| rng.normal()).collect();
        let plain = rng.normal();
        let likeness = levels.windows(2).map(|w| w[0] * w[1]).sum::<f64>();
        target.push(f64::from(u8::from(likeness + 0.7 * plain > 0.0)));
        for t in 0..N_STEPS {
            columns[2 * t].push(if rng.uniform() < 0.02 { f64::NAN } else { 100.0 * levels[t] });
            columns[2 * t + 1].push(if rng.uniform() < 0.1 { 999.0 } else { rng.uniform() });
        }
        columns[2 * N_STEPS].push(plain);
    }
    let feature = |raw: usize| {
        let sentinels = if raw % 2 == 1 { vec![999.0] } else { vec![] };
        FeatureSpec { name: format!("x{raw}"), raw, levels: None, sentinels, monotone: 0 }
    };
    let features: Vec<FeatureSpec> = (0..=2 * N_STEPS).map(feature).collect();
    let raw_columns = features.iter().map(|f| f.name.clone()).collect();
    let steps = (0..N_STEPS).map(|t| vec![2 * t, 2 * t + 1]).collect();
    let sequences = vec![Declared { name: "months".into(), steps, ..Declared::default() }];
    Frame {
        spec: FrameSpec { features, raw_columns, sequences }.into(),
        n_rows: n,
        columns: columns.into_iter().map(Column::Number).collect(),
        target,
        ..Frame::default()
    }
}

fn with_sequences(frame: &Frame, sequences: Vec<Declared>) -> Frame {
    Frame { spec: FrameSpec { sequences, ..(*frame.spec).clone() }.into(), ..frame.clone() }
}

fn area(model: &dyn Model, frame: &Frame) -> f64 {
    metric::area(&model.predict(frame).expect("scores").margins, &frame.target, &vec![1.0; frame.n_rows])
}

#[test]
fn learns_what_lies_in_the_order_of_steps() {
    let (train, valid, test) = (frame(3000, 1), frame(500, 2), frame(1000, 3));
    let mut linear = MlpParams::quick(Task::Binary);
    linear.shape.hidden = vec![];
    let linear = area(&*linear.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"), &test);
    for reader in READERS {
        let mut params = SequenceParams::new(reader, Task::Binary).quick();
        params.train.epochs = 25;
        let area = area(&*params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"), &test);
        assert!(area > linear + 0.1 && area > 0.85, "{reader:?}: {area}, linear {linear}");
    }
}

/// The same months of which the first 0 to 4 of a row are wholly missing, as where a card has paid less often.
fn padded(n: usize, seed: u64) -> Frame {
    let mut frame = frame(n, seed);
    let mut rng = Rng::new(seed + 100);
    for row in 0..n {
        let n_missing = rng.below(5);
        let mut levels = Vec::new();
        for (raw, column) in frame.columns.iter_mut().enumerate() {
            let Column::Number(cells) = column else { continue };
            match raw {
                raw if raw < 2 * n_missing => cells[row] = f64::NAN,
                raw if raw < 2 * N_STEPS && raw % 2 == 0 => levels.push(cells[row] / 100.0),
                raw if raw == 2 * N_STEPS => levels.push(cells[row]),
                _ => {}
            }
        }
        let plain = levels.pop().unwrap_or_default();
        levels.iter_mut().filter(|l| l.is_nan()).for_each(|l| *l = 0.0);
        let likeness = levels.windows(2).map(|w| w[0] * w[1]).sum::<f64>();
        frame.target[row] = f64::from(u8::from(likeness + 0.7 * plain > 0.0));
    }
    frame
}

#[test]
fn learns_the_order_of_sequences_of_different_lengths() {
    let (train, valid, test) = (padded(3000, 1), padded(500, 2), padded(1000, 3));
    let mut linear = MlpParams::quick(Task::Binary);
    linear.shape.hidden = vec![];
    let linear = area(&*linear.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"), &test);
    for reader in READERS {
        let mut params = SequenceParams::new(reader, Task::Binary).quick();
        params.train.epochs = 25;
        let area = area(&*params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"), &test);
        assert!(area > linear + 0.1 && area > 0.85, "{reader:?}: {area}, linear {linear}");
    }
}

#[test]
fn steps_that_are_wholly_missing_have_no_influence_to_the_bit() {
    let train = padded(200, 1);
    let input = Input::fit_sequences(&train, Reading::Steps, Scaling::Standard, usize::MAX).expect("they vary");
    let [shape] = input.sequences()[..] else { panic!("one sequence") };
    assert!(shape.is_masked && shape.n_columns() == N_STEPS * (shape.width + 1));
    let masks = N_STEPS * shape.width;
    // The mask of a month counts as of its first column.
    assert_eq!(input.raw_columns()[masks..masks + N_STEPS], [0, 2, 4, 6, 8, 10]);
    let x = input.apply(&train, 0..200).expect("own columns");
    let mut moved = x.clone();
    let mut n_moved = 0;
    for (i, row) in moved.chunks_exact_mut(input.n_columns()).enumerate() {
        for t in 0..N_STEPS {
            let cells = [2 * t, 2 * t + 1].map(|f| match &train.columns[f] {
                Column::Number(cells) => cells[i],
                Column::Codes(_) => f64::NAN,
            });
            let counts = f32::from(u8::from(cells.iter().any(|c| !c.is_nan())));
            assert_eq!(row[masks + t], counts, "row {i}, step {t}: {cells:?}");
            if counts == 0.0 {
                row[t * shape.width..][..shape.width].iter_mut().for_each(|v| *v = 9.0 - 4.0 * *v);
                n_moved += 1;
            }
        }
    }
    assert!(n_moved > 200, "{n_moved} steps are missing");
    for reader in READERS {
        let shape = SequenceParams::new(reader, Task::Binary).quick().shape;
        let network = shape.build(&input, 1, &mut Rng::new(1)).expect("it is built");
        let bits = |x: &[f32]| network.score(x).iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
        assert_eq!(bits(&x), bits(&moved), "{reader:?}");
    }
}

/// A model as `tests/stored` keeps it.
#[derive(Deserialize)]
struct Stored {
    json: serde_json::Value,
    arrays: std::collections::BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// The bits of the margins of `padded(40, 9)`.
    margins: Vec<u64>,
}

/// `tests/stored/READER.json` were written before these networks masked, by a program that fitted `padded(200, 1)` in two epochs
/// with 4 units and 4 hidden ones.
#[test]
fn networks_that_were_stored_before_they_masked_score_as_they_did() {
    for reader in [Reader::Lstm, Reader::Gru, Reader::Cnn] {
        let path = format!("{}/tests/stored/{}.json", env!("CARGO_MANIFEST_DIR"), reader.name());
        let text = std::fs::read_to_string(&path).expect("the stored models are there");
        let stored: Stored = serde_json::from_str(&text).expect("it is JSON");
        let tensors = stored.arrays.into_iter().map(|(name, (shape, values))| {
            let data = TensorData::F32(values);
            (name, Tensor { shape, data })
        });
        let parts = Parts { json: stored.json, tensors: tensors.collect(), ..Parts::default() };
        let model = NetworkModel::load(&parts).expect("loads");
        assert_eq!(model.save(), parts, "{reader:?}: nothing is told of masks");
        let rows = padded(40, 9);
        let margins = model.predict(&rows).expect("scores").margins;
        assert_eq!(margins.iter().map(|m| m.to_bits()).collect::<Vec<u64>>(), stored.margins, "{reader:?}");
        let sums = model.attribute(&rows, &Background::default()).expect("parts");
        for (row, margin) in margins.iter().enumerate() {
            let sum = sums.base[0] + sums.of(row, 0).iter().sum::<f64>() + sums.remainder_of(row, 0);
            assert!((sum - margin).abs() < 1e-9, "{reader:?}, row {row}: {sum}, margin {margin}");
        }
    }
}

#[test]
fn returns_from_its_parts_and_scores_a_row_alone_as_in_a_batch() {
    let train = frame(400, 1);
    for reader in READERS {
        let mut params = SequenceParams::new(reader, Task::Binary).quick();
        params.train.epochs = 2;
        let model = params.fit(&train, &frame(100, 2), &Run::new(1, 2)).expect("it fits");
        let parts = model.save();
        let text = serde_json::to_string(&parts.json).expect("JSON");
        let again = Parts { json: serde_json::from_str(&text).expect("JSON"), ..parts.clone() };
        let again = NetworkModel::load(&again).expect("loads");
        assert_eq!(again.save(), parts, "{reader:?}");
        let scores = model.predict(&train).expect("scores");
        assert_eq!(again.predict(&train).expect("scores"), scores, "{reader:?}");
        for row in [0, 17, 399] {
            let alone = model.predict(&train.take(&[row])).expect("scores").margins[0];
            assert_eq!(alone.to_bits(), scores.margins[row].to_bits(), "{reader:?}, row {row}");
        }
        assert_eq!(model.predict(&train.take(&[])).expect("no rows").margins.len(), 0);
        let mut damaged = parts.clone();
        damaged.json["input"]["sequences"][0]["n_steps"] = 5.into();
        assert!(NetworkModel::load(&damaged).is_err(), "{reader:?}: a step is gone");
        let mut damaged = parts;
        damaged.json["input"]["sequences"] = serde_json::json!([]);
        assert!(NetworkModel::load(&damaged).is_err(), "{reader:?}: no sequence is left");
    }
}

#[test]
fn attributions_add_up_and_missing_cells_have_scores() {
    let tasks = [Task::Binary, Task::Classes(2), Task::Regression, Task::Binary];
    let cases = READERS.into_iter().zip(tasks).chain(READERS.into_iter().zip([Task::Binary; 4]));
    for (i, (reader, task)) in cases.enumerate() {
        let train = if i < tasks.len() { frame(400, 1) } else { padded(400, 1) };
        let mut params = SequenceParams::new(reader, task).quick();
        params.train.epochs = 2;
        let model = params.fit(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
        let mut rows = train.take(&(0..10).collect::<Vec<_>>());
        rows.columns[0] = Column::Number(vec![f64::NAN; 10]);
        rows.columns[3] = Column::Number(vec![1e300; 10]);
        let margins = model.predict(&rows).expect("scores");
        let parts = model.attribute(&rows, &Background::default()).expect("parts");
        for row in 0..10 {
            for (output, margin) in margins.row(row).iter().enumerate() {
                let own = parts.of(row, output);
                let sum = parts.base[output] + own.iter().sum::<f64>() + parts.remainder_of(row, output);
                assert!(margin.is_finite() && (sum - margin).abs() < 1e-9, "{reader:?}: {sum}, margin {margin}");
                assert!(own[2] != 0.0 && own[12] != 0.0, "{reader:?}: steps and plain columns add something");
            }
        }
    }
}

#[test]
fn steps_of_a_feature_are_scaled_alike() {
    // The second month's cells lie 10 above the first's: with a scaling of its own each would be the same.
    let (a, b) = (vec![0.0, 1.0, 2.0, f64::NAN], vec![10.0, 11.0, 12.0, 13.0]);
    let feature =
        |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
    let sequences = vec![Declared { name: "m".into(), steps: vec![vec![0], vec![1]], ..Declared::default() }];
    let spec = FrameSpec {
        features: vec![feature("a", 0), feature("b", 1), feature("c", 2)],
        raw_columns: vec!["a".into(), "b".into(), "c".into()],
        sequences,
    };
    let weight = vec![1.0, 2.0, 3.0, 0.5];
    let columns = vec![Column::Number(a.clone()), Column::Number(b.clone()), Column::Number(vec![5.0, 6.0, 5.0, 6.0])];
    let frame = Frame { spec: spec.into(), n_rows: 4, columns, weight: Some(weight.clone()), ..Frame::default() };
    let input = Input::fit_sequences(&frame, Reading::Steps, Scaling::Standard, usize::MAX).expect("columns vary");
    let shape = StepsShape { n_steps: 2, width: 2, is_masked: true, ..StepsShape::default() };
    assert_eq!((input.sequences(), input.n_columns()), (vec![shape], 7));
    assert_eq!(input.raw_columns(), [0, 0, 1, 1, 0, 1, 2]);
    let cells: Vec<(f64, f64)> = a.iter().chain(&b).copied().zip(weight.repeat(2)).collect();
    let usual = || cells.iter().filter(|(v, _)| !v.is_nan());
    let total: f64 = usual().map(|(_, w)| w).sum();
    let mean = usual().map(|(v, w)| v * w).sum::<f64>() / total;
    let deviation = (usual().map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / total).sqrt();
    let x = input.apply(&frame, 0..4).expect("own columns");
    for (i, row) in x.chunks_exact(7).enumerate() {
        for (step, cell) in [a[i], b[i]].into_iter().enumerate() {
            assert_eq!(row[4 + step], f32::from(u8::from(!cell.is_nan())), "row {i}: {row:?}");
            let (number, flag) = if cell.is_nan() { (0.0, 1.0) } else { ((cell - mean) / deviation, 0.0) };
            assert!((f64::from(row[2 * step]) - number).abs() < 1e-6 && row[2 * step + 1] == flag, "row {i}: {row:?}");
        }
    }
}

#[test]
fn refuses_frames_without_a_sequence_and_settings_that_cannot_be() {
    let train = frame(100, 1);
    let fit = |params: &SequenceParams, train: &Frame| {
        params.fit(train, &Frame::default(), &Run::new(1, 1)).err().map(|e| e.to_string()).unwrap_or_default()
    };
    let lstm = SequenceParams::new(Reader::Lstm, Task::Binary).quick();
    let with = |change: &dyn Fn(&mut Shape)| {
        let mut params = lstm.clone();
        change(&mut params.shape);
        fit(&params, &train)
    };
    let of = |steps: Vec<Vec<usize>>| {
        fit(&lstm, &with_sequences(&train, vec![Declared { name: "s".into(), steps, ..Declared::default() }]))
    };
    let mut constant = train.clone();
    constant.columns[..2 * N_STEPS].fill(Column::Number(vec![1.0; 100]));
    let cases = [
        (
            fit(&lstm, &with_sequences(&train, vec![])),
            "lstm needs a sequence: declare [sequence.NAME] steps = [[…], […]] in the project file",
        ),
        (of(vec![vec![0], vec![]]), "sequence «s»: a step is missing"),
        (of(vec![vec![0], vec![77]]), "sequence «s»: feature 77 is no number"),
        (fit(&lstm, &constant), "1 sequences, none of which varies"),
        (with(&|s| s.units = 0), "units is 0; allowed: 1 to 4096"),
        (with(&|s| s.hidden = 5000), "hidden is 5000; allowed: 1 to 4096"),
        (with(&|s| s.dropout = 1.0), "dropout is 1; allowed: 0 to below 1"),
        (
            fit(
                &SequenceParams::new(Reader::Attention, Task::Binary).quick(),
                &with_sequences(
                    &train,
                    vec![Declared { name: "s".into(), steps: vec![vec![0]; 1025], ..Declared::default() }],
                ),
            ),
            "attention over 1025 steps; allowed: at most 1024",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "«{message}», expected «{expected}»");
    }
}

/// A bright bar of three points, upright or lying, somewhere in 8 × 9 noisy points, of which the first line is always dark:
/// no single point tells which.
fn bars(n: usize, n_channels: usize, seed: u64) -> Frame {
    let (height, width) = (8, 9);
    let mut rng = Rng::new(seed);
    let mut columns = vec![Vec::new(); height * width * n_channels];
    let mut target = Vec::new();
    for _ in 0..n {
        let is_upright = rng.uniform() < 0.5;
        let (top, left) = (1 + rng.below(height - 3), rng.below(width - 2));
        let in_bar = |i: usize, j: usize| {
            let (down, along) = if is_upright { (2, 0) } else { (0, 2) };
            (top..=top + down).contains(&i) && (left..=left + along).contains(&j)
        };
        for (place, column) in columns.iter_mut().enumerate() {
            let point = place / n_channels;
            let noise = rng.below(60) as f64;
            let lit = if in_bar(point / width, point % width) { 180.0 } else { 0.0 };
            column.push(if point < width { 0.0 } else { noise + lit });
        }
        target.push(f64::from(u8::from(is_upright)));
    }
    let feature = |raw| FeatureSpec { name: format!("p{raw}"), raw, levels: None, sentinels: vec![], monotone: 0 };
    let features: Vec<FeatureSpec> = (0..columns.len()).map(feature).collect();
    let raw_columns = features.iter().map(|f| f.name.clone()).collect();
    let steps = (0..height * width).map(|p| (p * n_channels..(p + 1) * n_channels).collect()).collect();
    let sequences = vec![Declared { name: "scan".into(), steps, grid: Some([height, width]), fans: None }];
    Frame {
        spec: FrameSpec { features, raw_columns, sequences }.into(),
        n_rows: n,
        columns: columns.into_iter().map(Column::Number).collect(),
        target,
        ..Frame::default()
    }
}

#[test]
fn sees_what_lies_in_an_image() {
    for (n_channels, reader) in [(1, Reader::Cnn), (3, Reader::Cnn), (1, Reader::Gru)] {
        let (train, valid, test) = (bars(1200, n_channels, 1), bars(200, n_channels, 2), bars(400, n_channels, 3));
        let mut params = SequenceParams::new(reader, Task::Binary).quick();
        params.train.epochs = if reader == Reader::Cnn { 8 } else { 25 };
        let model = params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits");
        let found = area(&*model, &test);
        assert!(found > if reader == Reader::Cnn { 0.97 } else { 0.9 }, "{reader:?}, {n_channels} channels: {found}");
        let again = NetworkModel::load(&model.save()).expect("loads");
        assert_eq!(again.predict(&test).expect("scores"), model.predict(&test).expect("scores"));
        let rows = test.take(&[0, 1]);
        let parts = model.attribute(&rows, &Background::default()).expect("parts");
        let margins = model.predict(&rows).expect("scores").margins;
        for (row, margin) in margins.iter().enumerate() {
            let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>() + parts.remainder_of(row, 0);
            assert!((sum - margin).abs() < 1e-9 * margin.abs().max(1.0), "{sum} against {margin}");
        }
        let mut damaged = model.save();
        damaged.json["input"]["sequences"][0]["grid"] = serde_json::json!([8, 8]);
        assert!(NetworkModel::load(&damaged).is_err());
    }
}
