//! What every layer of sequences keeps to, whatever it computes: each is run over the same rows.

use super::*;
use crate::activation::Activation;
use crate::params::Params;
use crate::workspace::Workspace;
use statera_core::Rng;

const INPUT: Sequence = Sequence { n_steps: 4, n_features: 6, counted: Counted::Lengths };
const TRAIN: Mode = Mode::Train { seed: 3 };

/// Every layer that takes sequences of different lengths.
fn layers() -> Vec<(&'static str, Box<dyn Layer>, Params)> {
    let mut made: Vec<(&'static str, Box<dyn Layer>, Params)> = Vec::new();
    let mut add = |name, make: &dyn Fn(&mut Params, &mut Rng) -> Box<dyn Layer>| {
        let mut params = Params::default();
        let layer = make(&mut params, &mut Rng::new(1));
        made.push((name, layer, params));
    };
    for (all, last) in [("lstm", "lstm, last"), ("gru", "gru, last"), ("rnn", "rnn, last")] {
        for (name, states) in [(all, States::All), (last, States::Last)] {
            add(name, &|p, r| match all {
                "lstm" => Box::new(Lstm::new(p, r, "l", INPUT, 5, states).expect("allowed")),
                "gru" => Box::new(Gru::new(p, r, "l", INPUT, 5, states).expect("allowed")),
                _ => Box::new(Rnn::new(p, r, "l", INPUT, 5, states, Activation::Tanh).expect("allowed")),
            });
        }
    }
    add("conv1d", &|p, r| {
        let (padding, activation) = (Padding::Same, Activation::Gelu);
        Box::new(Conv1d::new(p, r, "l", INPUT, 5, 3, padding, activation).expect("allowed"))
    });
    add("pool", &|_, _| Box::new(Pool::of_steps(INPUT, 2, 2, Pooling::Max).expect("allowed")));
    add("global pool", &|_, _| Box::new(GlobalPool::new(INPUT, Pooling::Average).expect("allowed")));
    add("attention", &|p, r| Box::new(SelfAttention::new(p, r, "l", INPUT, 2).expect("allowed")));
    add("batch norm of steps", &|p, _| {
        let norm = BatchNorm::new(p, "l", 6, 0.1).expect("allowed");
        Box::new(PerStep::new(INPUT, Box::new(norm)).expect("allowed"))
    });
    add("transformer", &|p, r| {
        let sizes = Transformer { sequence: INPUT, n_heads: 3, n_hidden: 7, dropout: 0.2 };
        Box::new(sizes.block(p, r, "l", 0).expect("allowed"))
    });
    made
}

/// Output, input gradient (for dy = 1) and gradients of the parameters.
fn through(layer: &dyn Layer, params: &Params, x: &[f32]) -> [Vec<f32>; 3] {
    let n = x.len() / layer.n_in();
    let mut work = Workspace::new(layer, params.values.len(), n);
    let mut dx = vec![f32::NAN; x.len()];
    let y = work.forward(layer, &params.values, x, n, TRAIN, Math::Train).to_vec();
    work.dy.fill(1.0);
    work.backward(layer, &params.values, x, n, TRAIN, Some(&mut dx));
    [y, dx, work.grads.to_vec()]
}

/// The same of rows of these lengths; what does not count is `fill`.
fn run(layer: &dyn Layer, params: &Params, lengths: &[usize], fill: f32) -> [Vec<f32>; 3] {
    let mut rng = Rng::new(9);
    let mut x: Vec<f32> = (0..lengths.len() * INPUT.n_cols()).map(|_| rng.normal() as f32).collect();
    for (row, length) in x.chunks_exact_mut(INPUT.n_cols()).zip(lengths) {
        row[length * INPUT.n_features..].fill(fill);
        row[INPUT.n_steps * INPUT.n_features] = *length as f32;
    }
    through(layer, params, &x)
}

#[test]
fn steps_that_do_not_count_are_never_read_and_have_no_gradient() {
    let lengths = [3, 0, 4, 1, 2];
    for (name, layer, params) in layers() {
        let clean = run(&*layer, &params, &lengths, 0.0);
        assert_eq!(clean, run(&*layer, &params, &lengths, f32::NAN), "{name}");
        for (dx, length) in clean[1].chunks_exact(INPUT.n_cols()).zip(lengths) {
            assert!(dx[length * INPUT.n_features..].iter().all(|d| *d == 0.0), "{name}: gradient of padding");
        }
    }
}

#[test]
fn sequences_without_steps_give_zeros() {
    for (name, layer, params) in layers() {
        let [y, dx, grads] = run(&*layer, &params, &[0, 0], f32::NAN);
        assert!(y.iter().chain(&dx).all(|v| *v == 0.0), "{name}: {y:?} {dx:?}");
        let trained = params.slots.iter().filter(|s| matches!(s.role, crate::params::Role::Trained { .. }));
        assert!(trained.flat_map(|s| &grads[s.range.clone()]).all(|g| *g == 0.0), "{name}: gradients");
    }
}

#[test]
fn evaluation_needs_no_gradients() {
    for (name, layer, params) in layers() {
        let x = vec![0.5; 2 * layer.n_in()];
        let mut work = Workspace::forward_only(&*layer, 2);
        let y = work.forward(&*layer, &params.values, &x, 2, Mode::Evaluate, Math::Train);
        assert!(y.iter().all(|v| v.is_finite()), "{name}");
    }
}

/// The layers that read sequences whose steps have weights, and their chain.
fn readers(input: Sequence) -> Vec<(&'static str, Box<dyn Layer>, Params)> {
    type Make = fn(&mut Params, &mut Rng, Sequence) -> Box<dyn Layer>;
    let convolution = |p: &mut Params, r: &mut Rng, name: &str, input| {
        Conv1d::new(p, r, name, input, 5, 3, Padding::Same, Activation::Gelu).expect("allowed")
    };
    let lstm: Make = |p, r, input| Box::new(Lstm::new(p, r, "l", input, 5, States::Last).expect("allowed"));
    let gru: Make = |p, r, input| Box::new(Gru::new(p, r, "l", input, 5, States::Last).expect("allowed"));
    let cnn = |p: &mut Params, r: &mut Rng, input| -> Box<dyn Layer> {
        let first = convolution(p, r, "first", input);
        let second = convolution(p, r, "second", first.output());
        let mean = GlobalPool::new(second.output(), Pooling::Average).expect("allowed");
        Box::new(Sequential::new(vec![Box::new(first), Box::new(second), Box::new(mean)]))
    };
    let made = |name, make: &dyn Fn(&mut Params, &mut Rng, Sequence) -> Box<dyn Layer>| {
        let mut params = Params::default();
        let layer = make(&mut params, &mut Rng::new(1), input);
        (name, layer, params)
    };
    vec![made("lstm", &lstm), made("gru", &gru), made("cnn", &cnn)]
}

const WEIGHED: Sequence = Sequence { counted: Counted::Weights, ..INPUT };

/// Rows whose steps `t` count where the t-th bit of a row's number is set, and what does not is `fill`; the steps that count alone.
fn weighed_rows(counted: &[usize], fill: f32) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Rng::new(9);
    let (mut x, mut alone) = (Vec::new(), Vec::new());
    for bits in counted {
        for t in 0..WEIGHED.n_steps {
            let step: Vec<f32> = (0..WEIGHED.n_features).map(|_| rng.normal() as f32).collect();
            if bits >> t & 1 == 1 {
                x.extend_from_slice(&step);
                alone.extend(step);
            } else {
                x.extend([fill; WEIGHED.n_features]);
            }
        }
        x.extend((0..WEIGHED.n_steps).map(|t| (bits >> t & 1) as f32));
    }
    (x, alone)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn score(layer: &dyn Layer, params: &Params, x: &[f32]) -> Vec<f32> {
    let n = x.len() / layer.n_in();
    let mut work = Workspace::forward_only(layer, n);
    work.forward(layer, &params.values, x, n, Mode::Evaluate, Math::Score).to_vec()
}

#[test]
fn steps_of_weight_zero_are_never_read_and_have_no_gradient() {
    // Rows padded before, behind and on both sides, with gaps, without a step, and full.
    let counted = [0b1110, 0b1000, 0b0011, 0b0110, 0b1011, 0, 0b1111];
    let (x, _) = weighed_rows(&counted, 0.0);
    for (name, layer, params) in readers(WEIGHED) {
        let clean = through(&*layer, &params, &x);
        for fill in [-0.0, 7.5, -1e30, f32::INFINITY, f32::NAN] {
            let (moved, _) = weighed_rows(&counted, fill);
            assert_eq!(
                clean.each_ref().map(|v| bits(v)),
                through(&*layer, &params, &moved).each_ref().map(|v| bits(v)),
                "{name}, {fill}"
            );
            assert_eq!(bits(&score(&*layer, &params, &x)), bits(&score(&*layer, &params, &moved)), "{name}, {fill}");
        }
        for (dx, bits) in clean[1].chunks_exact(WEIGHED.n_cols()).zip(counted) {
            let (steps, weights) = dx.split_at(WEIGHED.n_steps * WEIGHED.n_features);
            for t in (0..WEIGHED.n_steps).filter(|t| bits >> t & 1 == 0) {
                let own = &steps[t * WEIGHED.n_features..][..WEIGHED.n_features];
                assert!(own.iter().chain([&weights[t]]).all(|d| *d == 0.0), "{name}: gradient of padding");
            }
        }
    }
}

#[test]
fn weighed_steps_are_the_sequence_of_those_that_count_to_the_bit() {
    for counted in 1..1_usize << WEIGHED.n_steps {
        let n_steps = counted.count_ones() as usize;
        let is_one_run = counted >> counted.trailing_zeros() == (1 << n_steps) - 1;
        let (x, alone) = weighed_rows(&[counted; 3], f32::NAN);
        let short = Sequence { n_steps, counted: Counted::All, ..WEIGHED };
        for ((name, layer, params), (_, plain, _)) in readers(WEIGHED).into_iter().zip(readers(short)) {
            // To a convolution steps before and behind a gap are no neighbours.
            if name == "cnn" && !is_one_run {
                continue;
            }
            let name = format!("{name}, steps {counted:04b}");
            assert_eq!(bits(&score(&*layer, &params, &x)), bits(&score(&*plain, &params, &alone)), "{name}: score");
            let ([y, dx, grads], [plain_y, plain_dx, plain_grads]) =
                (through(&*layer, &params, &x), through(&*plain, &params, &alone));
            assert_eq!(bits(&y), bits(&plain_y), "{name}: output");
            assert_eq!(grads, plain_grads, "{name}: gradients");
            let steps = dx.chunks_exact(WEIGHED.n_cols()).flat_map(|dx| {
                let steps = dx.chunks_exact(WEIGHED.n_features).take(WEIGHED.n_steps).enumerate();
                steps.filter(|(t, _)| counted >> t & 1 == 1).flat_map(|(_, dx)| dx.to_vec())
            });
            assert_eq!(steps.collect::<Vec<f32>>(), plain_dx, "{name}: input gradient");
        }
    }
}

#[test]
fn sequences_of_which_no_step_counts_give_zeros() {
    let (x, _) = weighed_rows(&[0, 0], f32::NAN);
    for (name, layer, params) in readers(WEIGHED) {
        let found = through(&*layer, &params, &x);
        assert!(found.iter().flatten().all(|v| *v == 0.0), "{name}: {found:?}");
        assert!(score(&*layer, &params, &x).iter().all(|v| *v == 0.0), "{name}");
    }
}

#[test]
fn a_weight_leads_continuously_from_a_sequence_with_a_step_to_the_one_without() {
    for (name, layer, params) in readers(WEIGHED) {
        let (mut x, _) = weighed_rows(&[0b1111], 0.0);
        let weight = WEIGHED.n_steps * WEIGHED.n_features + 1;
        let mut at = |w: f32| {
            x[weight] = w;
            score(&*layer, &params, &x)
        };
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let (none, one) = (at(0.0), at(1.0));
        assert!(far(&none, &one) > 1e-3, "{name}");
        assert!(far(&at(1e-6), &none) < 1e-5 && far(&at(1.0 - 1e-6), &one) < 1e-5, "{name}");
    }
}
