//! The layers of TabM (Gorishniy et al. 2025): k members that share a weight matrix and differ by scalings.
//!
//! A value of k members is one row of k × d numbers. Member i computes `yᵢ = relu(sᵢ ⊙ (W (rᵢ ⊙ xᵢ)) + bᵢ)`, followed by
//! dropout; all members' products with W are one product of (rows · k) × d.

use super::{Layer, Mode, Pass};
use crate::params::{Init, Params, Role, padded};
use crate::product;
use statera_core::Rng;
use statera_kernel::dense::{self, Start, View};
use statera_kernel::{elementwise, members};
use std::ops::Range;

/// Start of the scalings of the input.
#[derive(Debug, Clone)]
pub enum Scales<'a> {
    /// 1 everywhere.
    Ones,
    /// ±1, one draw per member and group of neighbouring columns of these sizes.
    Signs(&'a [usize]),
    /// N(0, 1), one draw per member and group.
    Normal(&'a [usize]),
}

/// Draws `k` × d scalings.
fn draw(scales: &Scales, k: usize, d: usize, rng: &mut Rng) -> Init {
    let mut values = Vec::with_capacity(k * d);
    match scales {
        Scales::Ones => return Init::Constant(1.0),
        Scales::Signs(groups) | Scales::Normal(groups) => {
            for _ in 0..k {
                for &size in *groups {
                    let signs = matches!(scales, Scales::Signs(_));
                    let value = if signs { if rng.uniform() < 0.5 { -1.0 } else { 1.0 } } else { rng.normal() as f32 };
                    values.extend(std::iter::repeat_n(value, size));
                }
            }
        }
    }
    Init::Values(values)
}

/// A shared dense layer with scalings, a bias and a rectifier per member, and dropout.
#[derive(Debug, Clone)]
pub struct EnsembleDense {
    k: usize,
    n_in: usize,
    n_out: usize,
    /// True if all members see the same n_in numbers.
    shared: bool,
    dropout: f32,
    stream: u64,
    r: Range<usize>,
    weight: Range<usize>,
    s: Range<usize>,
    bias: Range<usize>,
}

/// Sizes and settings of an [`EnsembleDense`].
#[derive(Debug, Clone)]
pub struct EnsembleShape<'a> {
    /// Members.
    pub k: usize,
    /// Numbers a member takes.
    pub n_in: usize,
    /// Numbers a member gives.
    pub n_out: usize,
    /// True for the first layer: all members see the same numbers.
    pub shared: bool,
    /// Start of the scalings of the input.
    pub scales: Scales<'a>,
    /// Share of outputs dropped in training.
    pub dropout: f32,
    /// Tells this layer's draws from those of others.
    pub stream: u64,
}

impl EnsembleDense {
    /// Adds `name.r` (k × n_in), `name.weight` (n_in × n_out, uniform between ±1/√n_in), `name.s` (k × n_out, 1)
    /// and `name.bias` (k × n_out, one draw for all members).
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, shape: &EnsembleShape) -> EnsembleDense {
        let EnsembleShape { k, n_in, n_out, shared, ref scales, dropout, stream } = *shape;
        let bound = 1.0 / (n_in.max(1) as f32).sqrt();
        let r = draw(scales, k, n_in, rng);
        let bias: Vec<f32> = (0..n_out).map(|_| (rng.uniform() * 2.0 - 1.0) as f32 * bound).collect();
        EnsembleDense {
            k,
            n_in,
            n_out,
            shared,
            dropout,
            stream,
            r: params.add(format!("{name}.r"), &[k, n_in], &r, Role::WEIGHT, rng),
            weight: params.add(format!("{name}.weight"), &[n_in, n_out], &Init::Uniform(bound), Role::WEIGHT, rng),
            s: params.add(format!("{name}.s"), &[k, n_out], &Init::Constant(1.0), Role::WEIGHT, rng),
            bias: params.add(format!("{name}.bias"), &[k, n_out], &Init::Values(bias.repeat(k)), Role::BIAS, rng),
        }
    }

    fn mask(&self, pass: &Pass, values: &mut [f32]) {
        let rate = self.dropout * pass.dropout_factor;
        if let Mode::Train { seed } = pass.mode
            && rate > 0.0
        {
            elementwise::dropout(values, rate, Rng::fork(seed, self.stream).next_u64());
        }
    }
}

/// The cache holds r ⊙ x, then W (r ⊙ x).
impl Layer for EnsembleDense {
    fn n_in(&self) -> usize {
        if self.shared { self.n_in } else { self.k * self.n_in }
    }
    fn n_out(&self) -> usize {
        self.k * self.n_out
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        padded(n_rows * self.k * self.n_in) + padded(n_rows * self.k * self.n_out)
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        n_rows * self.k * self.n_in
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let len = pass.n_rows * self.k * self.n_in;
        let (scaled, z) = pass.cache.split_at_mut(padded(len));
        let (scaled, z) = (&mut scaled[..len], &mut z[..y.len()]);
        members::scale(x, &pass.params[self.r.clone()], self.n_in, self.shared, scaled);
        product::affine(pass.math, scaled, self.n_in, &pass.params[self.weight.clone()], None, z);
        members::scale_bias_relu(z, &pass.params[self.s.clone()], &pass.params[self.bias.clone()], y);
        self.mask(pass, y);
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        // What was dropped is 0 in y as in dy; what stayed has the sign it had.
        self.mask(pass, dy);
        let len = pass.n_rows * self.k * self.n_in;
        let (scaled, z) = pass.cache.split_at_mut(padded(len));
        let (scaled, z) = (&scaled[..len], &z[..y.len()]);
        let (s, bias) = disjoint(pass.grads, &self.s, &self.bias);
        members::scale_bias_relu_backward(z, &pass.params[self.s.clone()], y, dy, s, bias);
        product::add_weight_gradient(scaled, self.n_in, dy, &mut pass.grads[self.weight.clone()]);
        let d_scaled = &mut pass.scratch[..len];
        product::input_gradient(dy, self.n_out, &pass.params[self.weight.clone()], d_scaled);
        let (r, dr) = (&pass.params[self.r.clone()], &mut pass.grads[self.r.clone()]);
        members::scale_backward(x, r, self.n_in, self.shared, d_scaled, dr, dx.unwrap_or_default());
    }
}

/// Two slots of an arena, the first of which lies before the second.
fn disjoint<'a>(arena: &'a mut [f32], first: &Range<usize>, second: &Range<usize>) -> (&'a mut [f32], &'a mut [f32]) {
    let (before, after) = arena.split_at_mut(second.start);
    (&mut before[first.clone()], &mut after[..second.len()])
}

/// One copy of the row for each member, scaled: `yᵢ = rᵢ ⊙ x`. The first layer of TabM-mini.
#[derive(Debug, Clone)]
pub struct MemberScale {
    k: usize,
    n: usize,
    r: Range<usize>,
}

impl MemberScale {
    /// Adds `name.r` (k × n).
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, k: usize, n: usize, scales: &Scales) -> MemberScale {
        let r = draw(scales, k, n, rng);
        MemberScale { k, n, r: params.add(format!("{name}.r"), &[k, n], &r, Role::WEIGHT, rng) }
    }
}

impl Layer for MemberScale {
    fn n_in(&self) -> usize {
        self.n
    }
    fn n_out(&self) -> usize {
        self.k * self.n
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        members::scale(x, &pass.params[self.r.clone()], self.n, true, y);
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        let (r, dr) = (&pass.params[self.r.clone()], &mut pass.grads[self.r.clone()]);
        members::scale_backward(x, r, self.n, true, dy, dr, dx.unwrap_or_default());
    }
}

/// A layer that all k members share entirely: a row of k × n numbers is k rows of n.
pub struct PerMember {
    k: usize,
    layer: Box<dyn Layer>,
}

impl PerMember {
    /// Applies `layer` to each member.
    pub fn new(k: usize, layer: Box<dyn Layer>) -> PerMember {
        PerMember { k, layer }
    }
}

impl Layer for PerMember {
    fn n_in(&self) -> usize {
        self.k * self.layer.n_in()
    }
    fn n_out(&self) -> usize {
        self.k * self.layer.n_out()
    }
    fn cache_len(&self, n_rows: usize) -> usize {
        self.layer.cache_len(n_rows * self.k)
    }
    fn scratch_len(&self, n_rows: usize) -> usize {
        self.layer.scratch_len(n_rows * self.k)
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        pass.n_rows *= self.k;
        self.layer.forward(pass, x, y);
        pass.n_rows /= self.k;
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>) {
        pass.n_rows *= self.k;
        self.layer.backward(pass, x, y, dy, dx);
        pass.n_rows /= self.k;
    }
}

/// k independent linear layers, one per member.
#[derive(Debug, Clone)]
pub struct Heads {
    k: usize,
    n_in: usize,
    n_out: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Heads {
    /// Adds `name.weight` (k × n_in × n_out) and `name.bias` (k × n_out), uniform between ±1/√n_in.
    pub fn new(params: &mut Params, rng: &mut Rng, name: &str, k: usize, n_in: usize, n_out: usize) -> Heads {
        let bound = Init::Uniform(1.0 / (n_in.max(1) as f32).sqrt());
        let weight = params.add(format!("{name}.weight"), &[k, n_in, n_out], &bound, Role::WEIGHT, rng);
        let bias = params.add(format!("{name}.bias"), &[k, n_out], &bound, Role::BIAS, rng);
        Heads { k, n_in, n_out, weight, bias }
    }

    /// The matrix of a member's numbers in rows of all members.
    fn of<'a>(&self, values: &'a [f32], member: usize, width: usize) -> View<'a> {
        let n_rows = values.len() / (self.k * width);
        View::strided(&values[(member * width).min(values.len())..], n_rows, width, self.k * width)
    }
}

impl Layer for Heads {
    fn n_in(&self) -> usize {
        self.k * self.n_in
    }
    fn n_out(&self) -> usize {
        self.k * self.n_out
    }
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        for m in 0..self.k {
            let weight = &pass.params[self.weight.clone()][m * self.n_in * self.n_out..][..self.n_in * self.n_out];
            let bias = &pass.params[self.bias.clone()][m * self.n_out..][..self.n_out];
            let out = &mut y[m * self.n_out..];
            let (x, w) = (self.of(x, m, self.n_in), View::rows(weight, self.n_out));
            dense::product(x, w, Start::Bias(bias), out, self.k * self.n_out);
        }
    }
    fn backward(&self, pass: &mut Pass, x: &[f32], _: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        elementwise::add_rows(dy, &mut pass.grads[self.bias.clone()]);
        for m in 0..self.k {
            let own = m * self.n_in * self.n_out..(m + 1) * self.n_in * self.n_out;
            let (x, dy) = (self.of(x, m, self.n_in), self.of(dy, m, self.n_out));
            let dw = &mut pass.grads[self.weight.clone()][own.clone()];
            dense::product(x.transposed(), dy, Start::Out, dw, self.n_out);
            if let Some(dx) = dx.as_deref_mut() {
                let w = View::rows(&pass.params[self.weight.clone()][own], self.n_out).transposed();
                dense::product(dy, w, Start::Zero, &mut dx[m * self.n_in..], self.k * self.n_in);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::check;
    use crate::layer::Dense;

    /// Ending of the stored cases, members, inputs and outputs.
    const SHAPES: [(&str, usize, usize, usize); 3] = [("", 4, 3, 5), ("_least", 1, 1, 1), ("_wide", 3, 17, 33)];

    fn ensemble(shared: bool, dropout: f32) -> (EnsembleDense, Params) {
        sized(4, 3, 5, shared, dropout)
    }

    fn sized(k: usize, n_in: usize, n_out: usize, shared: bool, dropout: f32) -> (EnsembleDense, Params) {
        let (mut params, mut rng) = (Params::default(), Rng::new(1));
        let groups: &[usize] = match n_in {
            3 => &[2, 1],
            17 => &[16, 1],
            _ => &[1],
        };
        let scales = Scales::Normal(groups);
        let shape = EnsembleShape { k, n_in, n_out, shared, scales, dropout, stream: 1 };
        let layer = EnsembleDense::new(&mut params, &mut rng, "layer", &shape);
        (layer, params)
    }

    fn check_all(layer: &dyn Layer, params: &Params, name: &str) {
        // The kinks of a wide layer's rectifiers lie too close for finite differences.
        if !name.ends_with("_wide") {
            check::finite_differences(layer, params, 6);
        }
        check::torch_case(layer, params, "tabm", name);
        let mut rng = Rng::new(3);
        let x: Vec<f32> = (0..33 * layer.n_in()).map(|_| rng.normal() as f32).collect();
        check::same_bits_everywhere(layer, params, &x);
    }

    #[test]
    fn an_ensemble_layer_equals_pytorch() {
        for (suffix, k, n_in, n_out) in SHAPES {
            for (shared, name) in [(true, "ensemble_first"), (false, "ensemble")] {
                let (layer, params) = sized(k, n_in, n_out, shared, 0.0);
                check_all(&layer, &params, &format!("{name}{suffix}"));
            }
        }
        let (layer, params) = ensemble(false, 0.3);
        check::finite_differences(&layer, &params, 6);
    }

    #[test]
    fn heads_equal_pytorch() {
        for (suffix, k, n_in, _) in SHAPES {
            let (mut params, mut rng) = (Params::default(), Rng::new(1));
            let layer = Heads::new(&mut params, &mut rng, "heads", k, n_in, 2);
            check_all(&layer, &params, &format!("heads{suffix}"));
        }
    }

    #[test]
    fn a_copy_per_member_equals_pytorch() {
        for (suffix, k, n_in, _) in SHAPES {
            let (mut params, mut rng) = (Params::default(), Rng::new(1));
            let layer = MemberScale::new(&mut params, &mut rng, "first", k, n_in, &Scales::Signs(&vec![1; n_in]));
            check_all(&layer, &params, &format!("member_scale{suffix}"));
        }
    }

    #[test]
    fn a_layer_per_member_is_the_layer_on_more_rows() {
        let (mut params, mut rng) = (Params::default(), Rng::new(1));
        let dense = Dense::new(&mut params, &mut rng, "dense", 3, 5, Activation::Gelu);
        check::finite_differences(&PerMember::new(4, Box::new(dense)), &params, 6);
    }

    #[test]
    fn scalings_of_a_group_start_alike_and_biases_of_all_members_too() {
        let (layer, params) = ensemble(true, 0.0);
        for row in params.values[layer.r.clone()].chunks_exact(3) {
            assert!(row[0] == row[1] && row[1] != row[2], "{row:?}");
        }
        let bias = &params.values[layer.bias.clone()];
        assert!(bias.chunks_exact(5).all(|b| b == &bias[..5]));
    }
}
