//! Integrated gradients (Sundararajan, Taly and Yan 2017): along the straight line from the baseline b to the row x,
//! attributionⱼ = (xⱼ − bⱼ) ∫₀¹ ∂margin/∂xⱼ (b + t (x − b)) dt.
//!
//! The integral is a sum over the middles of equal steps; what it misses of margin(x) − margin(b) is shared out in
//! proportion to the attributions' sizes, so that they add up.

use super::average::Average;
use crate::layer::{Math, Mode};
use crate::network::Network;
use crate::workspace::Workspace;
use rayon::prelude::*;
use statera_core::Attributions;

/// Steps of the integral.
const STEPS: usize = 128;
/// Points of a pass through the network.
const POINTS: usize = 16;

/// What each raw column adds to each margin of the rows `x`; `raw` is the raw column of each input column.
pub fn integrated_gradients(
    network: &Network,
    average: &Average,
    baseline: &[f32],
    x: &[f32],
    raw: &[usize],
    n_raw: usize,
) -> Attributions {
    let n_outputs = average.task.n_outputs();
    let base = average.margins(&network.score(baseline));
    let mut values = vec![0.0; x.len() / baseline.len() * n_outputs * n_raw];
    let margins = average.margins(&network.score(x));
    let rows = values.par_chunks_mut((n_outputs * n_raw).max(1)).zip(x.par_chunks(baseline.len()));
    let memory = || Workspace::new(&*network.layer, network.params.values.len(), POINTS);
    rows.zip(margins.par_chunks(n_outputs)).for_each_init(memory, |work, ((values, x), margins)| {
        for (output, values) in values.chunks_exact_mut(n_raw.max(1)).enumerate() {
            let gradient = mean_gradient(network, average, work, baseline, x, output);
            for (j, gradient) in gradient.iter().enumerate() {
                values[raw[j]] += gradient * (f64::from(x[j]) - f64::from(baseline[j]));
            }
            let missed = margins[output] - base[output] - values.iter().sum::<f64>();
            let size: f64 = values.iter().map(|v| v.abs()).sum();
            if size > 0.0 {
                values.iter_mut().for_each(|v| *v += missed * v.abs() / size);
            }
        }
    });
    Attributions { n_outputs, n_raw, base, values }
}

/// The mean gradient of a margin along the line.
fn mean_gradient(
    network: &Network,
    average: &Average,
    work: &mut Workspace,
    baseline: &[f32],
    x: &[f32],
    output: usize,
) -> Vec<f64> {
    let (layer, params) = (&*network.layer, &network.params.values[..]);
    let (n_in, n_out) = (layer.n_in(), layer.n_out());
    let mut mean = vec![0.0; n_in];
    let mut points = vec![0.0; POINTS * n_in];
    let mut dx = vec![0.0; POINTS * n_in];
    for first in (0..STEPS).step_by(POINTS) {
        for (i, point) in points.chunks_exact_mut(n_in).enumerate() {
            let t = ((first + i) as f32 + 0.5) / STEPS as f32;
            point.iter_mut().zip(baseline).zip(x).for_each(|((p, b), x)| *p = b + t * (x - b));
        }
        work.forward(layer, params, &points, POINTS, Mode::Evaluate, Math::Score);
        for i in 0..POINTS {
            average.gradient(&work.y[i * n_out..][..n_out], output, &mut work.dy[i * n_out..][..n_out]);
        }
        work.backward(layer, params, &points, POINTS, Mode::Evaluate, Some(&mut dx));
        for dx in dx.chunks_exact(n_in) {
            mean.iter_mut().zip(dx).for_each(|(m, d)| *m += f64::from(*d) / STEPS as f64);
        }
    }
    mean
}
