//! Two layers of GraphSAGE with the mean aggregator (Hamilton, Ying and Leskovec 2017, algorithm 1) over the sampled neighbourhood of
//! a node.
//!
//! A row is `[nodes | a weight of each node]`: the node v, its a sampled neighbours u, and b sampled neighbours of the first of them,
//! of the second, … ; a weight is 0 for a node that is not there, else 1. With x the columns of a node and the weighted mean
//! `M(x) = Σ m x / max(Σ m, 1)` over a node's neighbours: for v and each u `h¹ = N(ReLU([x, M(x)] W₁ + b₁))`, then
//! `h² = N(ReLU([h¹ᵥ, M(h¹ᵤ)] W₂ + b₂))` with `N(z) = z / √(‖z‖² + ε)`; `y = mᵥ h²`. Weights between 0 and 1 lead continuously from
//! a neighbourhood with a node to the one without it, so that attributions can go along them.
//!
//! Backward: `dz = (dh − h (h · dh)) / √(‖z‖² + ε)` where z > 0; with s = Σ m and n = max(s, 1), `dxⱼ += mⱼ dM / n`,
//! `dmⱼ += (xⱼ − [s > 1] M) · dM / n`.

use super::sequence::{MAX_COLUMNS, MAX_SIZE, check_size};
use super::{Layer, Pass, weighed};
use crate::params::{Init, Params, Role, padded, split};
use crate::product;
use statera_core::{Result, Rng};
use statera_kernel::math32;
use std::ops::Range;

/// ε: below its root a hidden state is no longer of length 1.
const EPSILON: f32 = 1e-6;

/// Two layers of GraphSAGE.
#[derive(Debug, Clone)]
pub struct GraphSage {
    /// Neighbours of the node, and of each of these.
    fans: [usize; 2],
    n_features: usize,
    n_hidden: usize,
    weights: [Range<usize>; 2],
    biases: [Range<usize>; 2],
}

/// Where a node's neighbours are among the nodes of a row.
struct Around {
    node: usize,
    neighbours: Range<usize>,
}

impl GraphSage {
    /// For rows of 1 + a + a b nodes of `n_features` columns, `fans` being a and b; adds `name.weight1` (2 features × hidden),
    /// `name.bias1`, `name.weight2` (2 hidden × hidden) and `name.bias2` to the parameters, uniform between ±1/√fan_in.
    ///
    /// # Errors
    /// A size of 0, or too many columns.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        fans: [usize; 2],
        n_features: usize,
        n_hidden: usize,
    ) -> Result<GraphSage> {
        check_size("neighbours", fans[0], 1..=MAX_SIZE)?;
        check_size("neighbours of a neighbour", fans[1], 1..=MAX_SIZE)?;
        check_size("columns of a node", n_features, 1..=MAX_SIZE)?;
        check_size("hidden units", n_hidden, 1..=MAX_SIZE)?;
        let mut own = params.of(name, rng);
        let mut add = |layer: usize, n_in: usize| {
            let bound = Init::Uniform(1.0 / (n_in as f32).sqrt());
            let weight = own.add(&format!("weight{layer}"), &[n_in, n_hidden], &bound, Role::WEIGHT);
            (weight, own.add(&format!("bias{layer}"), &[n_hidden], &bound, Role::BIAS))
        };
        let ((weight1, bias1), (weight2, bias2)) = (add(1, 2 * n_features), add(2, 2 * n_hidden));
        let sage = GraphSage { fans, n_features, n_hidden, weights: [weight1, weight2], biases: [bias1, bias2] };
        check_size("columns of a neighbourhood", sage.n_in(), 1..=MAX_COLUMNS)?;
        Ok(sage)
    }

    fn n_nodes(&self) -> usize {
        1 + self.fans[0] * (1 + self.fans[1])
    }

    /// Nodes with a hidden state of the first layer: v and its neighbours.
    fn n_states(&self) -> usize {
        1 + self.fans[0]
    }

    /// Those nodes and their neighbours.
    fn around(&self) -> impl Iterator<Item = Around> + use<> {
        let [a, b] = self.fans;
        let of = move |i: usize| Around { node: i + 1, neighbours: 1 + a + i * b..1 + a + (i + 1) * b };
        std::iter::once(Around { node: 0, neighbours: 1..1 + a }).chain((0..a).map(of))
    }

    /// Floats of the inputs and outputs (z, then h) and of the 1 / √(‖z‖² + ε) of both layers.
    fn cache_lens(&self, n_rows: usize) -> [usize; 6] {
        let (states, f, h) = (n_rows * self.n_states(), self.n_features, self.n_hidden);
        [states * 2 * f, states * h, states, n_rows * 2 * h, n_rows * h, n_rows].map(padded)
    }

    /// Floats of the gradients of both layers' outputs and inputs.
    fn scratch_lens(&self, n_rows: usize) -> [usize; 4] {
        let [inputs1, states1, _, inputs2, states2, _] = self.cache_lens(n_rows);
        [states2, inputs2, states1, inputs1]
    }
}

/// M of neighbours' vectors of `to.len()` numbers; those of weight 0 are not read.
fn mean(weights: &[f32], vectors: &[f32], to: &mut [f32]) {
    weighed::sum(weights, vectors, to);
    let n = weighed::total(weights).max(1.0);
    to.iter_mut().for_each(|to| *to /= n);
}

/// Adds to the gradients of neighbours' vectors and of their weights, where asked, given the mean and its gradient.
fn mean_backward(
    weights: &[f32],
    vectors: &[f32],
    (mean, d_mean): (&[f32], &[f32]),
    mut d_vectors: Option<&mut [f32]>,
    mut d_weights: Option<&mut [f32]>,
) {
    let (sum, width) = (weighed::total(weights), mean.len());
    let n = sum.max(1.0);
    let of_mean = if sum > 1.0 { math32::sum_of_products(mean, d_mean) } else { 0.0 };
    for (j, m) in weights.iter().enumerate() {
        if let Some(d) = d_vectors.as_deref_mut().map(|d| &mut d[j * width..][..width]) {
            d.iter_mut().zip(d_mean).for_each(|(d, dm)| *d += m * dm / n);
        }
        if let Some(d) = d_weights.as_deref_mut() {
            d[j] += (math32::sum_of_products(&vectors[j * width..][..width], d_mean) - of_mean) / n;
        }
    }
}

/// From z to N(ReLU(z)), and what each was multiplied by.
fn normalise(states: &mut [f32], n_hidden: usize, factors: &mut [f32]) {
    math32::relu(states);
    for (state, factor) in states.chunks_exact_mut(n_hidden).zip(factors) {
        *factor = 1.0 / (math32::sum_of_products(state, state) + EPSILON).sqrt();
        state.iter_mut().for_each(|z| *z *= *factor);
    }
}

/// From the gradient of h to that of z.
fn normalise_backward(states: &[f32], n_hidden: usize, factors: &[f32], d: &mut [f32]) {
    for ((h, d), factor) in states.chunks_exact(n_hidden).zip(d.chunks_exact_mut(n_hidden)).zip(factors) {
        let along = math32::sum_of_products(h, d);
        let own = |(d, h): (&mut f32, &f32)| *d = if *h > 0.0 { (*d - h * along) * factor } else { 0.0 };
        d.iter_mut().zip(h).for_each(own);
    }
}

impl Layer for GraphSage {
    fn n_in(&self) -> usize {
        self.n_nodes() * (self.n_features + 1)
    }
    fn n_out(&self) -> usize {
        self.n_hidden
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.cache_lens(n_rows).iter().sum()
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        self.scratch_lens(n_rows).iter().sum()
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (n_rows, f, h, n_states) = (pass.n_rows, self.n_features, self.n_hidden, self.n_states());
        let nodes = self.n_nodes() * f;
        let [inputs1, states1, factors1, inputs2, states2, factors2] = split(pass.cache, self.cache_lens(n_rows));
        let (inputs1, states1) = (&mut inputs1[..n_rows * n_states * 2 * f], &mut states1[..n_rows * n_states * h]);
        let (inputs2, states2) = (&mut inputs2[..n_rows * 2 * h], &mut states2[..n_rows * h]);
        for (x, inputs) in x.chunks_exact(self.n_in()).zip(inputs1.chunks_exact_mut(n_states * 2 * f)) {
            let (vectors, weights) = x.split_at(nodes);
            for (around, input) in self.around().zip(inputs.chunks_exact_mut(2 * f)) {
                let Around { node, neighbours } = around;
                input[..f].copy_from_slice(&vectors[node * f..][..f]);
                mean(&weights[neighbours.clone()], &vectors[neighbours.start * f..], &mut input[f..]);
            }
        }
        let of = |range: &Range<usize>| &pass.params[range.clone()];
        product::affine(pass.math, inputs1, 2 * f, of(&self.weights[0]), Some(of(&self.biases[0])), states1);
        normalise(states1, h, factors1);
        let rows = x.chunks_exact(self.n_in()).zip(states1.chunks_exact(n_states * h));
        for ((x, states), input) in rows.zip(inputs2.chunks_exact_mut(2 * h)) {
            input[..h].copy_from_slice(&states[..h]);
            mean(&x[nodes + 1..nodes + n_states], &states[h..], &mut input[h..]);
        }
        product::affine(pass.math, inputs2, 2 * h, of(&self.weights[1]), Some(of(&self.biases[1])), states2);
        normalise(states2, h, factors2);
        let rows = x.chunks_exact(self.n_in()).zip(states2.chunks_exact(h));
        for ((x, state), y) in rows.zip(y.chunks_exact_mut(h)) {
            y.iter_mut().zip(state).for_each(|(y, h)| *y = x[nodes] * h);
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (n_rows, f, h, n_states) = (pass.n_rows, self.n_features, self.n_hidden, self.n_states());
        let (nodes, n_in) = (self.n_nodes() * f, self.n_in());
        let [inputs1, states1, factors1, inputs2, states2, factors2] = split(pass.cache, self.cache_lens(n_rows));
        let [d_states2, d_inputs2, d_states1, d_inputs1] = split(pass.scratch, self.scratch_lens(n_rows));
        let (inputs1, states1) = (&inputs1[..n_rows * n_states * 2 * f], &states1[..n_rows * n_states * h]);
        let (inputs2, states2) = (&inputs2[..n_rows * 2 * h], &states2[..n_rows * h]);
        let (d_states2, d_inputs2) = (&mut d_states2[..n_rows * h], &mut d_inputs2[..n_rows * 2 * h]);
        let (d_states1, d_inputs1) = (&mut d_states1[..states1.len()], &mut d_inputs1[..inputs1.len()]);
        for (i, (d, dy)) in d_states2.chunks_exact_mut(h).zip(dy.chunks_exact(h)).enumerate() {
            let weight = x[i * n_in + nodes];
            d.iter_mut().zip(dy).for_each(|(d, dy)| *d = weight * dy);
        }
        normalise_backward(states2, h, factors2, d_states2);
        product::add_weight_gradient(inputs2, 2 * h, d_states2, &mut pass.grads[self.weights[1].clone()]);
        product::add_column_sums(d_states2, &mut pass.grads[self.biases[1].clone()]);
        product::input_gradient(d_states2, h, &pass.params[self.weights[1].clone()], d_inputs2);
        if let Some(dx) = dx.as_deref_mut() {
            dx.fill(0.0);
            for (i, (dy, state)) in dy.chunks_exact(h).zip(states2.chunks_exact(h)).enumerate() {
                dx[i * n_in + nodes] = math32::sum_of_products(dy, state);
            }
        }
        d_states1.fill(0.0);
        for i in 0..n_rows {
            let weights = &x[i * n_in + nodes + 1..][..n_states - 1];
            let (own, neighbours) = d_states1[i * n_states * h..][..n_states * h].split_at_mut(h);
            let (d_own, d_mean) = d_inputs2[2 * i * h..][..2 * h].split_at(h);
            own.copy_from_slice(d_own);
            let d_weights = dx.as_deref_mut().map(|dx| &mut dx[i * n_in + nodes + 1..][..n_states - 1]);
            let states = &states1[i * n_states * h + h..][..(n_states - 1) * h];
            let mean = (&inputs2[2 * i * h + h..][..h], d_mean);
            mean_backward(weights, states, mean, Some(neighbours), d_weights);
        }
        normalise_backward(states1, h, factors1, d_states1);
        product::add_weight_gradient(inputs1, 2 * f, d_states1, &mut pass.grads[self.weights[0].clone()]);
        product::add_column_sums(d_states1, &mut pass.grads[self.biases[0].clone()]);
        let Some(dx) = dx else { return };
        product::input_gradient(d_states1, h, &pass.params[self.weights[0].clone()], d_inputs1);
        for ((x, dx), i) in x.chunks_exact(n_in).zip(dx.chunks_exact_mut(n_in)).zip(0..n_rows) {
            let ((vectors, weights), (d_vectors, d_weights)) = (x.split_at(nodes), dx.split_at_mut(nodes));
            let rows = inputs1[i * n_states * 2 * f..].chunks_exact(2 * f);
            let d_rows = d_inputs1[i * n_states * 2 * f..].chunks_exact(2 * f);
            for (around, (input, d_input)) in self.around().zip(rows.zip(d_rows)) {
                let Around { node, neighbours } = around;
                d_vectors[node * f..][..f].iter_mut().zip(d_input).for_each(|(d, own)| *d += own);
                let of = neighbours.start * f..neighbours.end * f;
                let mean = (&input[f..], &d_input[f..]);
                let (d_vectors, d_weights) = (&mut d_vectors[of.clone()], &mut d_weights[neighbours.clone()]);
                mean_backward(&weights[neighbours], &vectors[of], mean, Some(d_vectors), Some(d_weights));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::{Math, Mode};
    use crate::workspace::Workspace;

    fn layer(fans: [usize; 2], n_features: usize, n_hidden: usize) -> (GraphSage, Params) {
        let mut params = Params::default();
        let made = GraphSage::new(&mut params, &mut Rng::new(1), "sage", fans, n_features, n_hidden);
        (made.expect("sizes are allowed"), params)
    }

    /// Rows of random nodes with those weights by row and node.
    fn rows(layer: &GraphSage, n_rows: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let (mut rng, n) = (Rng::new(3), layer.n_nodes());
        let row = |i: usize| {
            let nodes: Vec<f32> = (0..n * layer.n_features).map(|_| rng.normal() as f32).collect();
            nodes.into_iter().chain((0..n).map(|node| weight(i, node))).collect::<Vec<f32>>()
        };
        (0..n_rows).flat_map(row).collect()
    }

    fn output(layer: &GraphSage, params: &Params, x: &[f32]) -> Vec<f32> {
        let n_rows = x.len() / layer.n_in();
        let mut work = Workspace::forward_only(layer, n_rows);
        work.forward(layer, &params.values, x, n_rows, Mode::Evaluate, Math::Score).to_vec()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (fans, n_features, n_hidden) in [([2, 3], 3, 5), ([3, 1], 2, 4), ([1, 1], 1, 3)] {
            let (layer, params) = layer(fans, n_features, n_hidden);
            // Sums of weights on both sides of 1, none at the kink.
            let x = rows(&layer, 6, |i, node| if i == 0 { 0.9 } else { 0.15 + 0.13 * ((2 * i + node) % 6) as f32 });
            check::finite_differences_at(&layer, &params, &x, true);
        }
    }

    #[test]
    fn it_is_the_papers_algorithm_on_a_small_graph() {
        let (layer, params) = layer([2, 2], 2, 3);
        // v has two neighbours; the first has one of its own, the second none.
        let weights = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        let x = rows(&layer, 1, |_, node| weights[node]);
        let at = |node: usize| [f64::from(x[2 * node]), f64::from(x[2 * node + 1])];
        let step = |own: &[f64], mean: &[f64], weight: &Range<usize>, bias: &Range<usize>| -> Vec<f64> {
            let input: Vec<f64> = own.iter().chain(mean).copied().collect();
            let w = &params.values[weight.clone()];
            let z = |j: usize| {
                let sum: f64 = input.iter().enumerate().map(|(i, v)| v * f64::from(w[i * 3 + j])).sum();
                (sum + f64::from(params.values[bias.clone()][j])).max(0.0)
            };
            let z: Vec<f64> = (0..3).map(z).collect();
            let norm = (z.iter().map(|v| v * v).sum::<f64>() + f64::from(EPSILON)).sqrt();
            z.into_iter().map(|v| v / norm).collect()
        };
        let first = |own: [f64; 2], mean: [f64; 2]| step(&own, &mean, &layer.weights[0], &layer.biases[0]);
        let mean = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| 0.5 * (a + b)).collect::<Vec<f64>>();
        let around = mean(&at(1), &at(2));
        let states = [first(at(0), [around[0], around[1]]), first(at(1), at(3)), first(at(2), [0.0; 2])];
        let around = mean(&states[1], &states[2]);
        let expected = step(&states[0], &around, &layer.weights[1], &layer.biases[1]);
        let ours = output(&layer, &params, &x);
        ours.iter()
            .zip(&expected)
            .for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-5, "{ours:?}, {expected:?}"));
        assert!((ours.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-4, "its length is 1");
    }

    #[test]
    fn nodes_that_are_not_there_have_no_influence_to_the_bit() {
        let (layer, params) = layer([3, 2], 2, 5);
        // Of node 2 nothing is there, and of the last neighbour of the others neither.
        let is_there = |node: usize| f32::from(u8::from(![2, 5, 6, 7, 9].contains(&node)));
        let x = rows(&layer, 3, |_, node| is_there(node));
        let mut moved = x.clone();
        for row in moved.chunks_exact_mut(layer.n_in()) {
            for node in (0..layer.n_nodes()).filter(|n| is_there(*n) == 0.0) {
                row[2 * node..][..2].iter_mut().for_each(|v| *v = 9.0 - 4.0 * *v);
            }
        }
        assert_ne!(x, moved);
        assert_eq!(output(&layer, &params, &x), output(&layer, &params, &moved));
        let nothing = rows(&layer, 2, |_, _| 0.0);
        assert!(output(&layer, &params, &nothing).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let (layer, params) = layer([3, 2], 4, 17);
        let x = rows(&layer, 37, |i, node| f32::from(u8::from((i + node) % 4 > 0)));
        check::same_bits_everywhere(&layer, &params, &x);
    }

    #[test]
    fn rejects_sizes_of_zero() {
        for (fans, n_features, n_hidden, expected) in [
            ([0, 1], 1, 1, "neighbours 0; allowed: 1 to 65536"),
            ([1, 0], 1, 1, "neighbours of a neighbour 0; allowed: 1 to 65536"),
            ([1, 1], 0, 1, "columns of a node 0; allowed: 1 to 65536"),
            ([1, 1], 1, 0, "hidden units 0; allowed: 1 to 65536"),
            ([60_000, 300], 1, 1, "columns of a neighbourhood 36120002; allowed: 1 to 16777216"),
        ] {
            let made = GraphSage::new(&mut Params::default(), &mut Rng::new(1), "sage", fans, n_features, n_hidden);
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
