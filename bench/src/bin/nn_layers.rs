//! One training step of networks of sequences beside PyTorch's: batch 256, 20 steps of 15 features, 64 units or channels.
//!
//! `cargo run --release -p statera-bench --bin nn_layers`; the peer is `../shared/bench/nn_steps.py torch`. A step is
//! forward, backward and Adam; the least mean of several runs of 50 steps counts. *Weighed* are the same networks over steps that
//! have weights, as where some are padding, all of them 1: what masking costs where nothing is masked.

use anyhow::Result;
use statera_core::Rng;
use statera_nn::activation::Activation;
use statera_nn::layer::{
    Conv1d, Counted, Dense, GlobalPool, Gru, Layer, Lstm, Padding, Pooling, Rnn, Sequence, States, Transformer,
};
use statera_nn::layer::{SelfAttention, Sequential};
use statera_nn::loss::Loss;
use statera_nn::network::{Network, Rows, Stepper};
use statera_nn::optimizer::{Method, Optimizer, Rates};
use statera_nn::params::Params;
use std::time::Instant;

/// Rows of a batch.
const BATCH: usize = 256;
/// The rows' shape.
const INPUT: Sequence = Sequence { n_steps: 20, n_features: 15, counted: Counted::All };
/// Hidden units and channels.
const WIDTH: usize = 64;
/// Steps of a run.
const STEPS: usize = 50;
/// Runs, after one that does not count.
const RUNS: usize = 8;

fn main() -> Result<()> {
    let weighed =
        readers(INPUT.with_weights())?.into_iter().map(|(name, network)| (format!("{name}, weighed"), network));
    let plain = readers(INPUT)?.into_iter().chain(others()?).map(|(name, network)| (name.to_string(), network));
    for (name, network) in plain.chain(weighed) {
        println!("{name} batch {BATCH}, 20 steps, 15 -> {WIDTH}: {:.0} us", step_microseconds(network)?);
    }
    Ok(())
}

/// The networks of the families that read sequences by their name, each with one output behind a dense layer.
fn readers(input: Sequence) -> Result<Vec<(&'static str, Network)>> {
    let (same, last) = (Activation::Relu, States::Last);
    Ok(vec![
        ("lstm", network(|p, r| Ok(vec![Box::new(Lstm::new(p, r, "lstm", input, WIDTH, last)?)]))?),
        ("gru", network(|p, r| Ok(vec![Box::new(Gru::new(p, r, "gru", input, WIDTH, last)?)]))?),
        (
            "conv1d",
            network(|p, r| {
                let a = Conv1d::new(p, r, "conv1", input, WIDTH, 3, Padding::Same, same)?;
                let b = Conv1d::new(p, r, "conv2", a.output(), WIDTH, 3, Padding::Same, same)?;
                let mean = GlobalPool::new(b.output(), Pooling::Average)?;
                Ok(vec![Box::new(a), Box::new(b), Box::new(mean)])
            })?,
        ),
    ])
}

/// The other networks of sequences, likewise.
fn others() -> Result<Vec<(&'static str, Network)>> {
    let (tanh, last) = (Activation::Tanh, States::Last);
    Ok(vec![
        ("rnn", network(|p, r| Ok(vec![Box::new(Rnn::new(p, r, "rnn", INPUT, WIDTH, last, tanh)?)]))?),
        (
            "attention",
            network(|p, r| {
                let embed = Conv1d::new(p, r, "embed", INPUT, WIDTH, 1, Padding::Valid, Activation::Identity)?;
                let tokens = embed.output();
                let attention = SelfAttention::new(p, r, "attention", tokens, 4)?;
                let mean = GlobalPool::new(tokens, Pooling::Average)?;
                Ok(vec![Box::new(embed), Box::new(attention), Box::new(mean)])
            })?,
        ),
        (
            "transformer",
            network(|p, r| {
                let embed = Conv1d::new(p, r, "embed", INPUT, WIDTH, 1, Padding::Valid, Activation::Identity)?;
                let sequence = embed.output();
                let sizes = Transformer { sequence, n_heads: 4, n_hidden: 4 * WIDTH, dropout: 0.1 };
                let block = sizes.block(p, r, "block", 0)?;
                let mean = GlobalPool::new(sequence, Pooling::Average)?;
                Ok(vec![Box::new(embed), Box::new(block), Box::new(mean)])
            })?,
        ),
    ])
}

/// These layers and a dense one with one output.
fn network(make: impl Fn(&mut Params, &mut Rng) -> Result<Vec<Box<dyn Layer>>>) -> Result<Network> {
    let (mut params, mut rng) = (Params::default(), Rng::new(1));
    let mut layers = make(&mut params, &mut rng)?;
    let width = layers.last().map_or(0, |layer| layer.n_out());
    layers.push(Box::new(Dense::new(&mut params, &mut rng, "output", width, 1, Activation::Identity)));
    Ok(Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 })
}

/// Microseconds of a training step on random rows; weights, behind the steps, are 1.
fn step_microseconds(mut network: Network) -> Result<f64> {
    let mut rng = Rng::new(2);
    let mut x: Vec<f32> = (0..BATCH * network.layer.n_in()).map(|_| rng.normal() as f32).collect();
    x.chunks_exact_mut(network.layer.n_in()).for_each(|row| row[INPUT.n_cols()..].fill(1.0));
    let target = x.chunks_exact(network.layer.n_in()).map(|row| f32::from(row[0] > 0.0)).collect();
    let rows = Rows { x, target, weight: None };
    let order: Vec<u32> = (0..BATCH as u32).collect();
    let mut stepper = Stepper::new(&network, BATCH);
    let mut optimizer = Optimizer::new(Method::ADAM, &network.params);
    let rates = Rates { learning_rate: 1e-3, weight_decay: 0.0, clip: None };
    let mut least = f64::INFINITY;
    for run in 0..=RUNS {
        let start = Instant::now();
        for step in 0..STEPS {
            let loss = stepper.gradients(&network, &Loss::BINARY, &rows, &order, step as u64);
            anyhow::ensure!(loss.is_finite(), "the loss is {loss}");
            optimizer.step(&mut network.params.values, &mut stepper.grads(), &rates);
        }
        if run > 0 {
            least = least.min(start.elapsed().as_secs_f64() / STEPS as f64 * 1e6);
        }
    }
    Ok(least)
}
