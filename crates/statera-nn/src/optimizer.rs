//! Optimizers: one fused pass over the arena a step.

use crate::params::{Buffer, Params, Role, padded};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_kernel::elementwise::{self, AdamStep, DescentStep};

/// A method of descent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// θ ← θ − lr · v with v ← momentum · v + g; momentum 0 is plain gradient descent. In [0, 1).
    Descent {
        /// What is kept of the last step's direction.
        momentum: f32,
    },
    /// Adam (Kingma and Ba 2015); with a weight decay it is AdamW (Loshchilov and Hutter 2019).
    Adam {
        /// Decay of the mean of gradients, in [0, 1).
        beta1: f32,
        /// Decay of the mean of squared gradients, in [0, 1).
        beta2: f32,
        /// Added to the root of the mean of squares, above 0.
        epsilon: f32,
    },
}

impl Method {
    /// Adam with β 0.9 and 0.999, ε 1e-8.
    pub const ADAM: Method = Method::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

    /// Refuses numbers outside their ranges.
    ///
    /// # Errors
    /// A request error that names the number and its range.
    pub fn check(self) -> Result<()> {
        let share = |name: &str, v: f32| {
            let fits = (0.0..1.0).contains(&v);
            if fits { Ok(()) } else { Err(Error::request(format!("{name} is {v}; allowed: 0 to below 1"))) }
        };
        match self {
            Method::Descent { momentum } => share("momentum", momentum),
            Method::Adam { beta1, beta2, epsilon } => {
                share("beta1", beta1)?;
                share("beta2", beta2)?;
                if epsilon > 0.0 && epsilon.is_finite() {
                    Ok(())
                } else {
                    Err(Error::request(format!("epsilon is {epsilon}; allowed: above 0")))
                }
            }
        }
    }
}

/// Learning rate, weight decay and clipping of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate; a slot multiplies it by its own factor.
    pub learning_rate: f64,
    /// Decoupled weight decay: a value first loses the share learning rate × this.
    pub weight_decay: f64,
    /// Gradients whose Euclidean norm over all parameters is above it are scaled down to it.
    pub clip: Option<f64>,
}

/// Neighbouring slots that are treated alike.
#[derive(Debug, Clone)]
struct Span {
    start: usize,
    end: usize,
    role: Role,
}

/// Numbers of the arena that one task changes; a multiple of a cache line.
const PART: usize = 1 << 15;
/// Numbers of it that are summed over the shards and changed in one go.
const BLOCK: usize = 1 << 11;

/// What a step does, wherever in the arena.
#[derive(Debug, Clone, Copy)]
struct Stage<'a> {
    method: Method,
    spans: &'a [Span],
    n_steps: i32,
    rates: &'a Rates,
    gradient_scale: f32,
}

impl Stage<'_> {
    /// Changes the part of the arena that begins at `offset`. Everything is number by number: parts are free to choose.
    fn step(&self, offset: usize, values: &mut [f32], grads: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        for Span { start, end, role } in self.spans {
            let range = (*start).max(offset)..(*end).min(offset + values.len());
            if range.is_empty() {
                continue;
            }
            let range = range.start - offset..range.end - offset;
            let (values, grads, first) =
                (&mut values[range.clone()], &mut grads[range.clone()], &mut first[range.clone()]);
            match *role {
                Role::Running { momentum } => {
                    for (v, g) in values.iter_mut().zip(grads) {
                        *v += momentum * (*g - *v);
                        *g = 0.0;
                    }
                }
                Role::Trained { lr_factor, decay_factor } => {
                    let rate = self.rates.learning_rate * f64::from(lr_factor);
                    let keep = (1.0 - rate * self.rates.weight_decay * f64::from(decay_factor)) as f32;
                    let gradient_scale = self.gradient_scale;
                    match self.method {
                        Method::Descent { momentum } => {
                            let step = DescentStep { rate: rate as f32, momentum, keep, gradient_scale };
                            elementwise::descend(&step, values, grads, first);
                        }
                        Method::Adam { beta1, beta2, epsilon } => {
                            let left = |beta: f32| 1.0 - f64::from(beta).powi(self.n_steps);
                            let step = AdamStep {
                                rate: (rate / left(beta1)) as f32,
                                beta1,
                                beta2,
                                epsilon,
                                correction: (1.0 / left(beta2).sqrt()) as f32,
                                keep,
                                gradient_scale,
                            };
                            elementwise::adam(&step, values, grads, first, &mut second[range]);
                        }
                    }
                }
            }
        }
    }
}

/// A method with its memory of former steps.
#[derive(Debug, Clone)]
pub struct Optimizer {
    method: Method,
    n_steps: i32,
    first: Buffer,
    second: Buffer,
    spans: Vec<Span>,
}

impl Optimizer {
    /// For the parameters of a network.
    pub fn new(method: Method, params: &Params) -> Optimizer {
        let len = params.values.len();
        let mut spans: Vec<Span> = Vec::new();
        for slot in &params.slots {
            let end = padded(slot.range.end);
            match spans.last_mut() {
                Some(last) if last.role == slot.role && last.end == slot.range.start => last.end = end,
                _ => spans.push(Span { start: slot.range.start, end, role: slot.role }),
            }
        }
        let second = Buffer::zeros(if matches!(method, Method::Adam { .. }) { len } else { 0 });
        Optimizer { method, n_steps: 0, first: Buffer::zeros(len), second, spans }
    }

    /// Steps taken, and the memory of them: the mean of gradients or direction, and the mean of squares (empty for descent).
    pub fn memory(&self) -> (i32, [&[f32]; 2]) {
        (self.n_steps, [&self.first, &self.second])
    }

    /// Takes the memory of another optimizer of the same parameters and method.
    ///
    /// # Errors
    /// Memory of another length.
    pub fn restore(&mut self, n_steps: i32, memory: [&[f32]; 2]) -> Result<()> {
        for (own, given) in [&mut self.first, &mut self.second].into_iter().zip(memory) {
            if own.len() != given.len() {
                let (is, needs) = (given.len(), own.len());
                return Err(Error::damaged(format!("an optimizer's memory of {is} numbers; {needs} are needed")));
            }
            own.copy_from_slice(given);
        }
        self.n_steps = n_steps;
        Ok(())
    }

    /// Changes the values by the sum of the shards' gradients, in their order, and sets these to 0.
    ///
    /// # Panics
    /// If there is no shard, or not one gradient per value.
    pub fn step(&mut self, values: &mut [f32], shards: &mut [&mut [f32]], rates: &Rates) {
        assert!(shards.iter().all(|s| s.len() == values.len()), "one gradient per value");
        self.n_steps += 1;
        let (grads, others) = shards.split_first_mut().expect("at least one shard");
        let stage =
            Stage { method: self.method, spans: &self.spans, n_steps: self.n_steps, rates, gradient_scale: 1.0 };
        let no_clip = rates.clip.is_none();
        if values.len() <= PART {
            others.iter_mut().for_each(|from| elementwise::add_and_clear(grads, from));
            let gradient_scale = rates.clip.map_or(1.0, |clip| self.clipping(grads, clip));
            Stage { gradient_scale, ..stage }.step(0, values, grads, &mut self.first, &mut self.second);
            return;
        }
        let mut parts: Vec<(&mut [f32], Vec<&mut [f32]>)> = grads.chunks_mut(PART).map(|g| (g, Vec::new())).collect();
        for from in others {
            for (part, from) in parts.iter_mut().zip(from.chunks_mut(PART)) {
                part.1.push(from);
            }
        }
        let mut gradient_scale = 1.0;
        if let Some(clip) = rates.clip {
            parts.par_iter_mut().for_each(|(grads, others)| {
                others.iter_mut().for_each(|from| elementwise::add_and_clear(grads, from));
            });
            gradient_scale = self.clipping(grads, clip);
            parts = grads.chunks_mut(PART).map(|g| (g, Vec::new())).collect();
        }
        let stage = Stage { gradient_scale, ..stage };
        // Descent has no second moment: its parts are empty.
        let mut second: Vec<&mut [f32]> = self.second.chunks_mut(PART).collect();
        second.resize_with(parts.len(), || &mut []);
        let memory = self.first.par_chunks_mut(PART).zip(second);
        parts.par_iter_mut().zip(values.par_chunks_mut(PART)).zip(memory).enumerate().for_each(
            |(i, (((grads, others), values), (first, second)))| {
                // A block's gradients are still in the first-level cache when the step needs them.
                for at in (0..values.len()).step_by(BLOCK) {
                    let block = at..(at + BLOCK).min(values.len());
                    if no_clip {
                        let grads = &mut grads[block.clone()];
                        others.iter_mut().for_each(|f| elementwise::add_and_clear(grads, &mut f[block.clone()]));
                    }
                    let second = second.get_mut(block.clone()).unwrap_or_default();
                    let (values, grads) = (&mut values[block.clone()], &mut grads[block.clone()]);
                    stage.step(i * PART + at, values, grads, &mut first[block], second);
                }
            },
        );
    }

    /// What gradients are multiplied by so that their norm is at most `clip`.
    fn clipping(&self, grads: &[f32], clip: f64) -> f32 {
        let trained = self.spans.iter().filter(|s| matches!(s.role, Role::Trained { .. }));
        let square: f64 = trained.map(|s| elementwise::sum_of_squares(&grads[s.start..s.end])).sum();
        // PyTorch adds 1e-6 to the norm.
        (clip / (square.sqrt() + 1e-6)).min(1.0) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Init;
    use serde_json::Value;
    use statera_core::Rng;

    fn floats(values: &Value) -> Vec<f32> {
        values.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
    }

    #[test]
    fn steps_equal_pytorch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torch/optimizer.json");
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("stored")).expect("JSON");
        let (start, grads) = (floats(&cases["start"]), floats(&cases["grads"]));
        let settings = [
            ("descent", Method::Descent { momentum: 0.0 }, 0.0, None),
            ("momentum", Method::Descent { momentum: 0.9 }, 0.0, None),
            ("adam", Method::ADAM, 0.0, None),
            ("adamw", Method::ADAM, 0.1, None),
            ("adamw_clip", Method::ADAM, 0.1, Some(1.0)),
        ];
        for (name, method, weight_decay, clip) in settings {
            let mut params = Params::default();
            let mut rng = Rng::new(0);
            let a = params.add("a", &[2], &Init::Values(start[..2].into()), Role::WEIGHT, &mut rng);
            let role = Role::Trained { lr_factor: 0.5, decay_factor: 0.0 };
            let b = params.add("b", &[1], &Init::Values(start[2..].into()), role, &mut rng);
            let mut optimizer = Optimizer::new(method, &params);
            let mut buffer = Buffer::zeros(params.values.len());
            for (step, expected) in floats(&cases[name]).chunks_exact(3).enumerate() {
                buffer[a.clone()].copy_from_slice(&grads[3 * step..][..2]);
                buffer[b.start] = grads[3 * step + 2];
                optimizer.step(
                    &mut params.values,
                    &mut [&mut buffer],
                    &Rates { learning_rate: 0.05, weight_decay, clip },
                );
                assert!(buffer.iter().all(|&g| g == 0.0), "{name}: gradients are 0 again");
                let ours = [params.values[a.start], params.values[a.start + 1], params.values[b.start]];
                for (o, e) in ours.iter().zip(expected) {
                    assert!((o - e).abs() <= 1e-5 * e.abs().max(0.1), "{name}, step {step}: {o}, expected {e}");
                }
            }
        }
    }

    #[test]
    fn running_slots_follow_their_statistics() {
        let mut params = Params::default();
        let role = Role::Running { momentum: 0.25 };
        let slot = params.add("mean", &[1], &Init::Constant(2.0), role, &mut Rng::new(0));
        let mut grads = Buffer::zeros(params.values.len());
        grads[slot.start] = 6.0;
        let rates = Rates { learning_rate: 1.0, weight_decay: 0.0, clip: Some(1e-3) };
        Optimizer::new(Method::ADAM, &params).step(&mut params.values, &mut [&mut grads], &rates);
        assert_eq!((params.values[slot.start], grads[slot.start]), (3.0, 0.0));
    }
}
