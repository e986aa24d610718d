//! What every layer of sequences keeps to, whatever it computes: each is run over the same rows.

use super::*;
use crate::activation::Activation;
use crate::params::Params;
use crate::workspace::Workspace;
use statera_core::Rng;

const INPUT: Sequence = Sequence { n_steps: 4, n_features: 6, has_lengths: true };
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

/// Output, input gradient (for dy = 1) and gradients of the parameters of rows of these lengths; what does not count
/// is `fill`.
fn run(layer: &dyn Layer, params: &Params, lengths: &[usize], fill: f32) -> [Vec<f32>; 3] {
    let mut rng = Rng::new(9);
    let mut x: Vec<f32> = (0..lengths.len() * INPUT.n_cols()).map(|_| rng.normal() as f32).collect();
    for (row, length) in x.chunks_exact_mut(INPUT.n_cols()).zip(lengths) {
        row[length * INPUT.n_features..].fill(fill);
        row[INPUT.n_steps * INPUT.n_features] = *length as f32;
    }
    let n = lengths.len();
    let mut work = Workspace::new(layer, params.values.len(), n);
    let mut dx = vec![f32::NAN; x.len()];
    let y = work.forward(layer, &params.values, &x, n, TRAIN, Math::Train).to_vec();
    work.dy.fill(1.0);
    work.backward(layer, &params.values, &x, n, TRAIN, Some(&mut dx));
    [y, dx, work.grads.to_vec()]
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
