//! Neural networks beside their peers: one training step, the tutorial network on taiwan, scoring, an epoch of TabM (EPOCHS=n for more).
//!
//! `cargo run --release -p statera-bench --bin nn -- [peak|steps|tutorial|score|mlp|realmlp|tabm|tabm_mini]... [--set taiwan]
//! [--data DIR]`
//!
//! Steps are those of `../shared/bench/nn_steps.py`; folds those of `../shared/bench/peers.py` (row i is in fold i mod 5).

use statera_bench::sets;
use statera_core::{Estimator, Frame, Model, Rng, Run, Task, metric};
use statera_nn::activation::Activation;
use statera_nn::layer::{Dense, Layer, Math, Sequential};
use statera_nn::loss::Loss;
use statera_nn::model::mlp::MlpParams;
use statera_nn::model::realmlp::RealMlpParams;
use statera_nn::model::tabm::TabmParams;
use statera_nn::network::{Network, Rows, Stepper};
use statera_nn::optimizer::{Method, Optimizer, Rates};
use statera_nn::params::Params;
use statera_nn::product::{View, product};
use std::error::Error;
use std::time::Instant;

/// Columns of the tables of the peers' script.
const N_COLUMNS: usize = 23;
/// Timed repetitions, of which the least counts.
const REPEATS: usize = 5;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut works: Vec<String> = Vec::new();
    let (mut data, mut set) = (sets::folder(), "taiwan".to_owned());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--set" => set = words.next().ok_or("--set needs a name")?,
            "--data" => data = words.next().ok_or("--data needs a value")?.into(),
            _ => works.push(word),
        }
    }
    if works.is_empty() {
        works = ["steps", "tutorial", "score"].map(str::to_owned).into();
    }
    for work in &works {
        match work.as_str() {
            "peak" => peak(),
            "steps" => rayon::scope(|_| steps()),
            "tutorial" => tutorial(&sets::load(&set, &data)?)?,
            "score" => score(&sets::load(&set, &data)?)?,
            other => fit(other, &sets::load(&set, &data)?)?,
        }
    }
    Ok(())
}

/// A network of dense layers with rectifiers between them.
fn dense(sizes: &[usize]) -> Network {
    let (mut params, mut rng) = (Params::default(), Rng::new(1));
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    for (i, w) in sizes.windows(2).enumerate() {
        let activation = if i + 2 < sizes.len() { Activation::Relu } else { Activation::Identity };
        layers.push(Box::new(Dense::new(&mut params, &mut rng, &format!("layer{i}"), w[0], w[1], activation)));
    }
    Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 }
}

/// The most multiply-adds a second that two threads reach in a matrix product of ours, over square sizes.
fn peak() {
    let mut best = 0f64;
    for n in [256, 512, 1024, 2048] {
        let mut rng = Rng::new(1);
        let mut matrix = || (0..n * n).map(|_| rng.normal() as f32).collect::<Vec<f32>>();
        let (a, b) = (matrix(), matrix());
        let one = |out: &mut Vec<f32>| {
            product(Math::Train, View::rows(&a, n), View::rows(&b, n), false, out, n);
        };
        let mut outs = [vec![0.0; n * n], vec![0.0; n * n]];
        let repeats = (1usize << 32).div_ceil(n * n * n);
        for _ in 0..3 {
            let begin = Instant::now();
            let [first, second] = &mut outs;
            rayon::join(|| (0..repeats).for_each(|_| one(first)), || (0..repeats).for_each(|_| one(second)));
            let rate = 4.0 * (repeats * n * n * n) as f64 / begin.elapsed().as_secs_f64() / 1e9;
            best = best.max(rate);
        }
        println!("products of {n} x {n} on two threads: {best:.0} GFLOP/s at most so far");
    }
}

/// Operations of a training step of dense layers: a product forward, and two backward but for the first layer's input.
fn operations(sizes: &[usize], batch: usize) -> f64 {
    let of = |i: usize| if i == 0 { 4.0 } else { 6.0 };
    sizes.windows(2).enumerate().map(|(i, w)| of(i) * (w[0] * w[1] * batch) as f64).sum()
}

/// One training step with random data: 50 steps after 10, as the peers' script does.
fn steps() {
    for hidden in [[64, 32], [512, 512]] {
        for batch in [32, 256, 1024] {
            let (mut best, mut loss) = (f64::MAX, 0.0);
            for _ in 0..REPEATS {
                let mut network = dense(&[N_COLUMNS, hidden[0], hidden[1], 1]);
                let mut rng = Rng::new(2);
                let x: Vec<f32> = (0..batch * N_COLUMNS).map(|_| rng.normal() as f32).collect();
                let target = x.chunks(N_COLUMNS).map(|r| if r[0] > 0.0 { 1.0 } else { 0.0 }).collect();
                let rows = Rows { x, target, weight: None };
                let order: Vec<u32> = (0..batch as u32).collect();
                let mut stepper = Stepper::new(&network, batch);
                let mut optimizer = Optimizer::new(Method::ADAM, &network.params);
                let rates = Rates { learning_rate: 1e-3, weight_decay: 0.0, clip: None };
                let mut begin = Instant::now();
                for step in 0..60 {
                    if step == 10 {
                        begin = Instant::now();
                    }
                    loss = stepper.gradients(&network, &Loss::BINARY, &rows, &order, 7);
                    optimizer.step(&mut network.params.values, &mut stepper.grads(), &rates);
                }
                best = best.min(begin.elapsed().as_secs_f64() / 50.0);
            }
            let rate = operations(&[N_COLUMNS, hidden[0], hidden[1], 1], batch) / best / 1e9;
            let [a, b] = hidden;
            println!("dense 23-{a}-{b}-1 batch {batch}: {:.1} us, {rate:.0} GFLOP/s (loss {loss:.3})", best * 1e6);
        }
    }
}

/// The rows outside and inside fold 0.
fn fold(frame: &Frame) -> (Frame, Frame) {
    let (test, train): (Vec<usize>, Vec<usize>) = (0..frame.n_rows).partition(|i| i % 5 == 0);
    (frame.take(&train), frame.take(&test))
}

fn auc(model: &dyn Model, test: &Frame) -> Outcome<f64> {
    Ok(metric::area(&model.predict(test)?.margins, &test.target, &vec![1.0; test.n_rows]))
}

/// The tutorial network: everything from the frame to the model.
fn tutorial(frame: &Frame) -> Outcome<()> {
    let (train, test) = fold(frame);
    let params = MlpParams::tutorial(Task::Binary);
    let mut best = f64::MAX;
    for seed in 0..REPEATS as u64 {
        let begin = Instant::now();
        let model = params.fit(&train, &Frame::default(), &Run::new(seed, 2))?;
        best = best.min(begin.elapsed().as_secs_f64());
        println!("tutorial network, seed {seed}: AUC {:.4}", auc(&*model, &test)?);
    }
    println!("tutorial network on {} rows, 10 epochs: {best:.3} s", train.n_rows);
    Ok(())
}

/// Scoring of the tutorial network: a million rows, and one.
fn score(frame: &Frame) -> Outcome<()> {
    let (train, _) = fold(frame);
    let mut params = MlpParams::tutorial(Task::Binary);
    params.train.epochs = 1;
    let model = params.fit(&train, &Frame::default(), &Run::new(0, 2))?;
    let rows: Vec<usize> = (0..1_000_000).map(|i| i % frame.n_rows).collect();
    let (many, one) = (frame.take(&rows), frame.take(&[0]));
    let (mut batch, mut alone) = (f64::MAX, f64::MAX);
    for _ in 0..REPEATS {
        let begin = Instant::now();
        std::hint::black_box(model.predict(&many)?);
        batch = batch.min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(model.predict(&one)?);
        }
        alone = alone.min(begin.elapsed().as_secs_f64() / 1000.0);
    }
    println!("scoring the tutorial network: {:.1} M rows a second; one row {:.2} us", 1.0 / batch, alone * 1e6);
    Ok(())
}

/// The settings with the number of epochs of the variable EPOCHS, or one.
fn one_epoch(mut params: TabmParams) -> TabmParams {
    params.train.epochs = std::env::var("EPOCHS").ok().and_then(|e| e.parse().ok()).unwrap_or(1);
    params
}

/// A family with its default settings, on folds of taiwan with a fifth of the training rows for validation.
fn fit(family: &str, frame: &Frame) -> Outcome<()> {
    let (train, test) = fold(frame);
    let (valid, train): (Vec<usize>, Vec<usize>) = (0..train.n_rows).partition(|i| i % 20 < 3);
    let (outer, _) = fold(frame);
    let (train, valid) = (outer.take(&train), outer.take(&valid));
    let estimator: Box<dyn Estimator> = match family {
        "mlp" => Box::new(MlpParams::default()),
        "realmlp" => Box::new(RealMlpParams::default()),
        "tabm" => Box::new(one_epoch(TabmParams::default())),
        "tabm_mini" => Box::new(one_epoch(TabmParams::mini(Task::Binary))),
        other => {
            let all = "peak, steps, tutorial, score, mlp, realmlp, tabm, tabm_mini";
            return Err(format!("«{other}» is not one of {all}").into());
        }
    };
    let begin = Instant::now();
    let model = estimator.fit(&train, &valid, &Run::new(0, 2))?;
    println!(
        "{family}: {:.1} s, AUC {:.4}, {:?}",
        begin.elapsed().as_secs_f64(),
        auc(&*model, &test)?,
        model.describe()
    );
    Ok(())
}
