use statera_core::Rng;
use statera_nn::activation::Activation;
use statera_nn::layer::{Dense, Sequential};
use statera_nn::loss::Loss;
use statera_nn::network::{Network, Rows, Stepper};
use statera_nn::optimizer::{Method, Optimizer, Rates};
use statera_nn::params::Params;
use std::time::Instant;

fn dense(sizes: &[usize]) -> Network {
    let (mut params, mut rng) = (Params::default(), Rng::new(1));
    let mut layers: Vec<Box<dyn statera_nn::layer::Layer>> = Vec::new();
    for (i, w) in sizes.windows(2).enumerate() {
        let a = if i + 2 < sizes.len() { Activation::Relu } else { Activation::Identity };
        layers.push(Box::new(Dense::new(&mut params, &mut rng, &format!("{i}"), w[0], w[1], a)));
    }
    Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 }
}

fn main() {
    rayon::scope(|_| {
        for hidden in [[64, 32], [512, 512]] {
            for batch in [32usize, 256, 1024] {
                let mut net = dense(&[23, hidden[0], hidden[1], 1]);
                let mut rng = Rng::new(2);
                let x: Vec<f32> = (0..batch * 23).map(|_| rng.normal() as f32).collect();
                let target = x.chunks(23).map(|r| if r[0] > 0.0 { 1.0 } else { 0.0 }).collect();
                let rows = Rows { x, target, weight: None };
                let order: Vec<u32> = (0..batch as u32).collect();
                let mut stepper = Stepper::new(&net, batch);
                let mut opt = Optimizer::new(Method::ADAM, &net.params);
                let rates = Rates { learning_rate: 1e-3, weight_decay: 0.0, clip: None };
                let mut best = (f64::MAX, 0.0, 0.0);
                let mut loss = 0.0;
                for _ in 0..6 {
                    let (mut g, mut o) = (0.0, 0.0);
                    for i in 0..60 {
                        if i == 10 {
                            (g, o) = (0.0, 0.0);
                        }
                        let t = Instant::now();
                        loss = stepper.gradients(&net, &Loss::BINARY, &rows, &order, 7);
                        let m = t.elapsed().as_secs_f64();
                        opt.step(&mut net.params.values, &mut stepper.grads(), &rates);
                        g += m;
                        o += t.elapsed().as_secs_f64() - m;
                    }
                    if g + o < best.0 {
                        best = (g + o, g, o);
                    }
                }
                println!(
                    "23-{}-{}-1 batch {batch}: {:.1} us ({:.1} + {:.1}), loss {loss:.4}",
                    hidden[0],
                    hidden[1],
                    best.0 / 50.0 * 1e6,
                    best.1 / 50.0 * 1e6,
                    best.2 / 50.0 * 1e6
                );
            }
        }
    });
    let net = dense(&[23, 64, 32, 1]);
    let x = vec![0.3f32; 200_000 * 23];
    for _ in 0..3 {
        let t = Instant::now();
        let y = net.score(&x);
        println!("scoring {:.1} M rows/s ({})", 0.2 / t.elapsed().as_secs_f64(), y[0]);
    }
    let t = Instant::now();
    for _ in 0..1000 {
        std::hint::black_box(net.score(&x[..23]));
    }
    println!("one row {:.2} us", t.elapsed().as_secs_f64() * 1e3);
}
