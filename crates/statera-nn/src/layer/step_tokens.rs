//! Tokens of steps: each step of a row's sequences becomes a vector of d numbers, and what the row has beside them one more,
//! which stands for the row.
//!
//! A row comes as `[steps of a sequence, and where steps are weighed a weight of each | … | rest]` and leaves as `[row token |
//! step tokens | a weight of each step token | rest]`. With xₜ the columns of step t of sequence s: `yₜ = xₜ Wₛ + pₛₜ`, a
//! learned vector for each place (Vaswani et al. 2017 fix them); the row's token is `rest W + b`. Backward `dWₛ += Σₜ xₜᵀ dyₜ`,
//! `dpₛₜ += dyₜ`, `dxₜ = dyₜ Wₛᵀ`; weights and rest pass.

use super::sequence::{MAX_COLUMNS, MAX_SIZE, check_size};
use super::{Layer, Pass};
use crate::layer::Math;
use crate::params::{Init, Params, Role};
use crate::product::{self, View};
use statera_core::{Result, Rng};
use std::ops::Range;

/// The columns of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepColumns {
    /// Steps.
    pub n_steps: usize,
    /// Columns of a step.
    pub width: usize,
    /// Whether a weight of each step follows the steps: 0 for one that does not count, 1 for one that does.
    pub has_weights: bool,
}

impl StepColumns {
    fn n_cols(&self) -> usize {
        self.n_steps * (self.width + usize::from(self.has_weights))
    }
}

/// A sequence and its parameters.
#[derive(Debug, Clone)]
struct Part {
    columns: StepColumns,
    /// Its first column.
    first: usize,
    /// Its first step token.
    token: usize,
    weight: Range<usize>,
    places: Range<usize>,
}

/// Tokens of steps and of the row.
#[derive(Debug, Clone)]
pub struct StepTokens {
    parts: Vec<Part>,
    n_rest: usize,
    d: usize,
    row_weight: Range<usize>,
    row_bias: Range<usize>,
}

impl StepTokens {
    /// For rows of those sequences and `n_rest` columns; adds for the i-th sequence `name.i.weight` (width × d, uniform between
    /// ±1/√width) and `name.i.places` (steps × d), and `name.row.weight` (rest × d, uniform between ±1/√rest) and `name.row.bias`
    /// (d) to the parameters; places and bias are uniform between ±1/√d.
    ///
    /// # Errors
    /// No sequence, an empty one, a width of 0; more than [`MAX_COLUMNS`] outputs.
    pub fn new(
        params: &mut Params,
        rng: &mut Rng,
        name: &str,
        sequences: &[StepColumns],
        n_rest: usize,
        d: usize,
    ) -> Result<StepTokens> {
        check_size("sequences", sequences.len(), 1..=MAX_SIZE)?;
        check_size("width of a token", d, 1..=MAX_SIZE)?;
        let bound = |n: usize| Init::Uniform(1.0 / (n.max(1) as f32).sqrt());
        let (mut parts, mut first, mut token) = (Vec::new(), 0, 0);
        for (i, columns) in sequences.iter().enumerate() {
            check_size("steps", columns.n_steps, 1..=MAX_SIZE)?;
            check_size("columns of a step", columns.width, 1..=MAX_SIZE)?;
            let shape = [columns.width, d];
            let weight = params.add(format!("{name}.{i}.weight"), &shape, &bound(columns.width), Role::WEIGHT, rng);
            let places = params.add(format!("{name}.{i}.places"), &[columns.n_steps, d], &bound(d), Role::BIAS, rng);
            parts.push(Part { columns: *columns, first, token, weight, places });
            (first, token) = (first + columns.n_cols(), token + columns.n_steps);
        }
        let row_weight = params.add(format!("{name}.row.weight"), &[n_rest, d], &bound(n_rest), Role::WEIGHT, rng);
        let row_bias = params.add(format!("{name}.row.bias"), &[d], &bound(d), Role::BIAS, rng);
        let tokens = StepTokens { parts, n_rest, d, row_weight, row_bias };
        check_size("columns of tokens", tokens.n_out(), 1..=MAX_COLUMNS)?;
        Ok(tokens)
    }

    /// Tokens of a row, its own among them.
    pub fn n_tokens(&self) -> usize {
        1 + self.n_steps()
    }

    fn n_steps(&self) -> usize {
        self.parts.iter().map(|p| p.columns.n_steps).sum()
    }

    /// The first column of the rest in the input.
    fn rest(&self) -> usize {
        self.parts.iter().map(|p| p.columns.n_cols()).sum()
    }
}

impl Part {
    /// The columns of its steps in a row.
    fn steps<'a>(&self, row: &'a [f32]) -> &'a [f32] {
        &row[self.first..][..self.columns.n_steps * self.columns.width]
    }

    /// Its weights in a row, where it has any.
    fn weights(&self) -> Option<Range<usize>> {
        let first = self.first + self.columns.n_steps * self.columns.width;
        self.columns.has_weights.then_some(first..first + self.columns.n_steps)
    }

    /// Its tokens in an output row.
    fn tokens(&self, d: usize) -> Range<usize> {
        let first = (1 + self.token) * d;
        first..first + self.columns.n_steps * d
    }
}

impl Layer for StepTokens {
    fn n_in(&self) -> usize {
        self.rest() + self.n_rest
    }
    fn n_out(&self) -> usize {
        self.n_tokens() * self.d + self.n_steps() + self.n_rest
    }

    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]) {
        let (n_in, n_out, d, rest) = (self.n_in(), self.n_out(), self.d, self.rest());
        let of = |range: &Range<usize>| &pass.params[range.clone()];
        let weights = self.n_tokens() * d;
        for (x, y) in x.chunks_exact(n_in).zip(y.chunks_exact_mut(n_out)) {
            for part in &self.parts {
                let tokens = &mut y[part.tokens(d)];
                tokens.copy_from_slice(of(&part.places));
                let steps = View::rows(part.steps(x), part.columns.width);
                product::product(pass.math, steps, View::rows(of(&part.weight), d), true, tokens, d);
                let to = &mut y[weights + part.token..][..part.columns.n_steps];
                match part.weights() {
                    Some(own) => to.copy_from_slice(&x[own]),
                    None => to.fill(1.0),
                }
            }
            y[..d].copy_from_slice(of(&self.row_bias));
            if self.n_rest > 0 {
                let own = View::rows(&x[rest..], self.n_rest);
                product::product(pass.math, own, View::rows(of(&self.row_weight), d), true, &mut y[..d], d);
            }
            y[n_out - self.n_rest..].copy_from_slice(&x[rest..]);
        }
    }

    fn backward(&self, pass: &mut Pass, x: &[f32], _y: &[f32], dy: &mut [f32], mut dx: Option<&mut [f32]>) {
        let (n_in, n_out, d, rest) = (self.n_in(), self.n_out(), self.d, self.rest());
        let weights = self.n_tokens() * d;
        for (i, (x, dy)) in x.chunks_exact(n_in).zip(dy.chunks_exact(n_out)).enumerate() {
            for part in &self.parts {
                let tokens = &dy[part.tokens(d)];
                let grads = &mut pass.grads[part.weight.clone()];
                product::add_weight_gradient(part.steps(x), part.columns.width, tokens, grads);
                pass.grads[part.places.clone()].iter_mut().zip(tokens).for_each(|(g, d)| *g += d);
            }
            product::add_column_sums(&dy[..d], &mut pass.grads[self.row_bias.clone()]);
            if self.n_rest > 0 {
                let grads = &mut pass.grads[self.row_weight.clone()];
                product::add_weight_gradient(&x[rest..], self.n_rest, &dy[..d], grads);
            }
            let Some(dx) = dx.as_deref_mut().map(|dx| &mut dx[i * n_in..][..n_in]) else { continue };
            for part in &self.parts {
                let (tokens, n) = (&dy[part.tokens(d)], part.columns.n_steps * part.columns.width);
                let own = &mut dx[part.first..][..n];
                product::input_gradient(tokens, d, &pass.params[part.weight.clone()], own);
                if let Some(own) = part.weights() {
                    dx[own].copy_from_slice(&dy[weights + part.token..][..part.columns.n_steps]);
                }
            }
            let own = &mut dx[rest..];
            own.copy_from_slice(&dy[n_out - self.n_rest..]);
            if self.n_rest > 0 {
                let w = View::rows(&pass.params[self.row_weight.clone()], d).transposed();
                product::product(Math::Train, View::rows(&dy[..d], d), w, true, own, self.n_rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Mode;
    use crate::workspace::Workspace;

    const WEIGHED: StepColumns = StepColumns { n_steps: 3, width: 2, has_weights: true };
    const PLAIN: StepColumns = StepColumns { n_steps: 2, width: 1, has_weights: false };

    fn layer(n_rest: usize, d: usize) -> (StepTokens, Params) {
        let mut params = Params::default();
        let layer = StepTokens::new(&mut params, &mut Rng::new(1), "t", &[WEIGHED, PLAIN], n_rest, d);
        (layer.expect("sizes are allowed"), params)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for n_rest in [0, 2] {
            let (layer, params) = layer(n_rest, 5);
            assert_eq!((layer.n_in(), layer.n_out()), (9 + 2 + n_rest, 6 * 5 + 5 + n_rest));
            check::finite_differences(&layer, &params, 4);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        let (layer, params) = layer(2, 17);
        let mut rng = Rng::new(4);
        let x: Vec<f32> = (0..37 * layer.n_in()).map(|_| rng.normal() as f32).collect();
        check::same_bits_everywhere(&layer, &params, &x);
    }

    #[test]
    fn a_token_is_its_place_and_its_step_by_the_weights() {
        let (layer, mut params) = layer(1, 1);
        for (name, values) in [
            ("t.0.weight", vec![2.0, 3.0]),
            ("t.0.places", vec![0.5, 0.25, 0.125]),
            ("t.1.weight", vec![10.0]),
            ("t.1.places", vec![1.0, 2.0]),
            ("t.row.weight", vec![7.0]),
            ("t.row.bias", vec![-1.0]),
        ] {
            params.set(name, &values).expect("sizes fit");
        }
        let x = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.5, 4.0, 5.0, 3.0];
        let mut work = Workspace::forward_only(&layer, 1);
        let y = work.forward(&layer, &params.values, &x, 1, Mode::Evaluate, Math::Score);
        // The row, three steps, two steps; weights of the three, and of the two that have none; the rest.
        assert_eq!(y, [20.0, 2.5, 3.25, 5.125, 41.0, 52.0, 0.0, 1.0, 0.5, 1.0, 1.0, 3.0]);
    }

    #[test]
    fn refuses_what_has_no_steps() {
        let made = |sequences: &[StepColumns], d| {
            StepTokens::new(&mut Params::default(), &mut Rng::new(1), "t", sequences, 1, d).map(|_| ())
        };
        for (made, expected) in [
            (made(&[], 4), "sequences 0; allowed: 1 to 65536"),
            (made(&[StepColumns { n_steps: 0, ..PLAIN }], 4), "steps 0; allowed: 1 to 65536"),
            (made(&[StepColumns { width: 0, ..PLAIN }], 4), "columns of a step 0; allowed: 1 to 65536"),
            (made(&[PLAIN], 0), "width of a token 0; allowed: 1 to 65536"),
        ] {
            assert_eq!(made.expect_err("not allowed").to_string(), expected);
        }
    }
}
