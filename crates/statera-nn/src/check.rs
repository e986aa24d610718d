//! Checks that every layer's tests call: finite differences, PyTorch's stored numbers, and equal bits alone and in a
//! batch at every level of instructions.

use crate::layer::{Counted, Layer, Math, Mode, Sequence, States};
use crate::params::{Params, Role};
use crate::workspace::Workspace;
use serde_json::Value;
use statera_core::Rng;
use statera_kernel::dispatch::{Level, with_level};

/// The mode of the checks in training: the same draws in each pass.
const TRAIN: Mode = Mode::Train { seed: 5 };

/// The cases of the recurrent layers: name, hidden units, states put out, steps that count.
pub const RECURRENT_CASES: [(&str, usize, States, Counted); 4] = [
    ("last", 5, States::Last, Counted::All),
    ("all", 17, States::All, Counted::All),
    ("last_lengths", 17, States::Last, Counted::Lengths),
    ("all_lengths", 5, States::All, Counted::Lengths),
];

/// One more of those whose steps may have weights; PyTorch has no numbers of it.
pub const WEIGHED_CASE: (&str, usize, States, Counted) = ("last_weights", 17, States::Last, Counted::Weights);

/// Random normal sequences. Where not all steps count, 0, 1, … of the rows' do in turn and the others hold NaN, which a layer must
/// not read. Lengths have a half, so that the steps of finite differences do not change them; weights are of steps before, between
/// and behind others, and one of a row's is below 1.
pub fn sequences(shape: &Sequence, n_rows: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut x: Vec<f32> = (0..n_rows * shape.n_cols()).map(|_| rng.normal() as f32).collect();
    let (n_steps, width) = (shape.n_steps, shape.n_features);
    for (i, row) in x.chunks_exact_mut(shape.n_cols()).enumerate() {
        let (steps, behind) = row.split_at_mut(n_steps * width);
        let length = i % (n_steps + 1);
        match shape.counted {
            Counted::All => {}
            Counted::Lengths => {
                steps[length * width..].fill(f32::NAN);
                behind[0] = length as f32 + 0.5;
            }
            Counted::Weights => {
                for (t, (step, weight)) in steps.chunks_exact_mut(width).zip(behind).enumerate() {
                    let place = (t + i) % n_steps;
                    *weight = if place + 1 == length { 0.8 } else { f32::from(u8::from(place < length)) };
                    if place >= length {
                        step.fill(f32::NAN);
                    }
                }
            }
        }
    }
    x
}

/// Checks the gradients of `n_rows` random normal rows in training mode.
pub fn finite_differences(layer: &dyn Layer, params: &Params, n_rows: usize) {
    let mut rng = Rng::new(11);
    let x: Vec<f32> = (0..n_rows * layer.n_in()).map(|_| rng.normal() as f32).collect();
    finite_differences_at(layer, params, &x, true);
}

/// Checks the gradients at given rows in training mode: the directional derivative of Σ cᵢ yᵢ with random c, per
/// parameter and, where `input`, per input, against central differences; also that gradients are added, not written.
pub fn finite_differences_at(layer: &dyn Layer, params: &Params, x: &[f32], input: bool) {
    let n_rows = x.len() / layer.n_in();
    let mut rng = Rng::new(12);
    let c: Vec<f32> = (0..n_rows * layer.n_out()).map(|_| rng.normal() as f32).collect();
    let mut work = Workspace::new(layer, params.values.len(), n_rows);
    let mut loss = |values: &[f32], x: &[f32]| -> f64 {
        let y = work.forward(layer, values, x, n_rows, TRAIN, Math::Train);
        y.iter().zip(&c).map(|(y, c)| f64::from(*y) * f64::from(*c)).sum()
    };
    // Of a long and a short step the nearer counts: a kink may lie within the long one, rounding disturbs the short one.
    let mut values = params.values.clone();
    let mut numeric = vec![[0.0; 2]; params.values.len()];
    for slot in params.slots.iter().filter(|s| matches!(s.role, Role::Trained { .. })) {
        for i in slot.range.clone() {
            numeric[i] = slopes(values[i], |v| {
                values[i] = v;
                loss(&values, x)
            });
        }
    }
    let mut moved = x.to_vec();
    let mut numeric_x = vec![[0.0; 2]; x.len()];
    // NaN stands for what a layer must not read: its gradient is 0.
    for i in (0..x.len()).filter(|&i| input && !x[i].is_nan()) {
        numeric_x[i] = slopes(moved[i], |v| {
            moved[i] = v;
            loss(&params.values, &moved)
        });
    }
    let nearer = |ours: &[f64], two: &[[f64; 2]]| -> Vec<f64> {
        let pick = |(o, t): (&f64, &[f64; 2])| if (o - t[0]).abs() < (o - t[1]).abs() { t[0] } else { t[1] };
        ours.iter().zip(two).map(pick).collect()
    };
    let mut dx = vec![f32::NAN; x.len()];
    for times in 1..=2 {
        work.forward(layer, &params.values, x, n_rows, TRAIN, Math::Train);
        work.dy.copy_from_slice(&c);
        work.backward(layer, &params.values, x, n_rows, TRAIN, input.then_some(&mut dx[..]));
        for slot in params.slots.iter().filter(|s| matches!(s.role, Role::Trained { .. })) {
            let ours: Vec<f64> =
                work.grads[slot.range.clone()].iter().map(|&g| f64::from(g) / f64::from(times)).collect();
            let expected = nearer(&ours, &numeric[slot.range.clone()]);
            near(&ours, &expected, 2e-2, &format!("gradient of {}", slot.name));
        }
    }
    if input {
        let ours: Vec<f64> = dx.iter().map(|&d| f64::from(d)).collect();
        near(&ours, &nearer(&ours, &numeric_x), 2e-2, "gradient of the input");
    }
}

/// Central differences at a value with a long and a short step; the value is put back.
fn slopes(v: f32, mut loss: impl FnMut(f32) -> f64) -> [f64; 2] {
    let slope = |h: f32| {
        let (up, down) = (v + h, v - h);
        (loss(up) - loss(down)) / (f64::from(up) - f64::from(down))
    };
    let size = v.abs().max(0.5);
    let slopes = [4e-3 * size, 5e-4 * size].map(slope);
    loss(v);
    // A weight of 0 that is moved makes a layer read what it must not: there is no slope, and the gradient is 0.
    slopes.map(|s| if s.is_nan() { 0.0 } else { s })
}

/// Checks a layer against the case `name` of `tests/torch/<file>.json`: output (both arithmetics), input gradient and
/// gradients of the parameters, to 1e-5 of each number or of the root mean square of its array. The case's arrays
/// are in this crate's layout; parameters are found by their names (of whole networks) or by the part after the first
/// dot.
pub fn torch_case(layer: &dyn Layer, params: &Params, file: &str, name: &str) {
    let path = format!("{}/tests/torch/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the stored cases are there");
    let cases: Value = serde_json::from_str(&text).expect("they are JSON");
    let case = &cases[name];
    assert!(case.is_object(), "{path} has no case {name}");
    let mut params = params.clone();
    let names: Vec<String> = params.slots.iter().map(|s| s.name.clone()).collect();
    let key_of = |slot: &str| {
        let rest = slot.split_once('.').map_or(slot, |(_, rest)| rest);
        if case["params"].get(slot).is_some() { slot.to_owned() } else { rest.to_owned() }
    };
    for slot in &names {
        let key = key_of(slot);
        params.set(slot, &floats(&case["params"][&key])).expect("the case has this layer's parameters");
    }
    let mode = if case["mode"] == "evaluate" { Mode::Evaluate } else { TRAIN };
    let x = floats(&case["x"]);
    let n_rows = x.len() / layer.n_in();
    let mut work = Workspace::new(layer, params.values.len(), n_rows);
    let y = doubles(&case["y"]);
    for math in [Math::Score, Math::Train] {
        let ours = work.forward(layer, &params.values, &x, n_rows, mode, math);
        near(&ours.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), &y, 1e-5, &format!("{name}: output, {math:?}"));
    }
    if case["dy"].is_null() {
        return;
    }
    work.dy.copy_from_slice(&floats(&case["dy"]));
    let input = !case["dx"].is_null();
    let mut dx = vec![f32::NAN; x.len()];
    work.backward(layer, &params.values, &x, n_rows, mode, input.then_some(&mut dx[..]));
    if input {
        let ours: Vec<f64> = dx.iter().map(|&d| f64::from(d)).collect();
        near(&ours, &doubles(&case["dx"]), 1e-5, &format!("{name}: input gradient"));
    }
    for slot in params.slots.iter().filter(|s| matches!(s.role, Role::Trained { .. })) {
        let key = key_of(&slot.name);
        let ours: Vec<f64> = work.grads[slot.range.clone()].iter().map(|&g| f64::from(g)).collect();
        near(&ours, &doubles(&case["grads"][&key]), 1e-5, &format!("{name}: gradient of {key}"));
    }
}

/// Checks that scoring has the same bits for a row alone and in a batch, at every level of instructions.
pub fn same_bits_everywhere(layer: &dyn Layer, params: &Params, x: &[f32]) {
    let n_rows = x.len() / layer.n_in();
    let score = |x: &[f32]| -> Vec<u32> {
        let n_rows = x.len() / layer.n_in();
        let mut work = Workspace::forward_only(layer, n_rows);
        let y = work.forward(layer, &params.values, x, n_rows, Mode::Evaluate, Math::Score);
        y.iter().map(|v| v.to_bits()).collect()
    };
    let batch = score(x);
    for level in Level::available() {
        with_level(level, || {
            assert_eq!(score(x), batch, "a batch of {n_rows} rows at {level:?}");
            let alone: Vec<u32> = x.chunks_exact(layer.n_in()).flat_map(&score).collect();
            assert_eq!(alone, batch, "rows alone at {level:?}");
        });
    }
}

/// Panics unless each number is within `tolerance` of the expected one, relative to it or to the root mean square.
fn near(ours: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}: length");
    let square: f64 = expected.iter().map(|e| e * e).sum();
    let rms = (square / expected.len().max(1) as f64).sqrt().max(1e-6);
    for (i, (o, e)) in ours.iter().zip(expected).enumerate() {
        assert!((o - e).abs() <= tolerance * e.abs().max(rms), "{what}, number {i}: {o}, expected {e}");
    }
}

fn doubles(values: &Value) -> Vec<f64> {
    let values = values.as_array().expect("an array of numbers");
    values.iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn floats(values: &Value) -> Vec<f32> {
    doubles(values).iter().map(|&v| v as f32).collect()
}
