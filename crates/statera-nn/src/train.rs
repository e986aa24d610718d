//! The training loop.

use crate::loss::Loss;
use crate::network::{Network, Rows, Stepper};
use crate::optimizer::{Method, Optimizer, Rates};
use crate::params::Buffer;
use crate::schedule::Schedule;
use serde::{Deserialize, Serialize};
use statera_core::text::count;
use statera_core::{Error, Kept, LearningCurve, LearningPoint, Parts, Result, Rng, Run};
use std::time::{Duration, Instant};

mod checkpoint;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainParams {
    /// Passes over the training rows, at least 1.
    pub epochs: usize,
    /// Rows of a step, at least 1.
    pub batch_rows: usize,
    /// Above 0.
    pub learning_rate: f64,
    /// How the learning rate moves over all steps.
    pub schedule: Schedule,
    /// The method of descent.
    pub method: Method,
    /// Decoupled weight decay, at least 0.
    pub weight_decay: f64,
    /// How weight decay and dropout move over all steps.
    pub regularisation_schedule: Schedule,
    /// Largest norm of the gradient; `None` for no limit.
    pub clip: Option<f64>,
    /// Epochs in a row that may pass without a better validation figure; `None` for all of them.
    pub patience: Option<usize>,
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            epochs: 10,
            batch_rows: 32,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            method: Method::ADAM,
            weight_decay: 0.0,
            regularisation_schedule: Schedule::Constant,
            clip: None,
            patience: None,
        }
    }
}

impl TrainParams {
    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// A request error that names the setting, its value and its range.
    pub fn check(&self) -> Result<()> {
        self.method.check()?;
        let least = |name: &str, v: usize| {
            if v > 0 { Ok(()) } else { Err(Error::request(format!("{name} is 0; allowed: 1 and above"))) }
        };
        least("epochs", self.epochs)?;
        least("batch_rows", self.batch_rows)?;
        least("patience", self.patience.unwrap_or(1))?;
        let above = |name: &str, v: f64, floor: bool| {
            let fits = v.is_finite() && (v > 0.0 || (floor && v == 0.0));
            let range = if floor { "0 and above" } else { "above 0" };
            if fits { Ok(()) } else { Err(Error::request(format!("{name} is {v}; allowed: {range}"))) }
        };
        above("learning_rate", self.learning_rate, false)?;
        above("weight_decay", self.weight_decay, true)?;
        above("clip", self.clip.unwrap_or(1.0), false)
    }
}

/// Validation rows, and the figure of the network's outputs on them: higher is better.
pub struct Validation<'a> {
    /// n × n_in inputs.
    pub x: &'a [f32],
    /// The figure of outputs of all rows, member after member.
    pub figure: &'a (dyn Fn(&[f32]) -> f64 + Sync),
}

/// What an epoch came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Mean training loss over its steps.
    pub loss: f64,
    /// The validation figure after it, where there are validation rows.
    pub figure: Option<f64>,
}

/// The learning curve.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
    /// Epochs after which the weights that were kept stood.
    pub best: usize,
}

/// Name of a validation figure: the area under the curve.
pub const AUC: &str = "AUC";
/// Name of a validation figure: the mean log loss, whose negative is the figure.
pub const LOG_LOSS: &str = "log loss";
/// Name of a validation figure: the mean squared error, whose negative is the figure.
pub const SQUARED_ERROR: &str = "mean squared error";

impl Curve {
    /// The curve as people read it; `name` names the figure, whose values it is given. Losses get their sign back.
    pub fn named(&self, name: impl Fn(&[f64]) -> &'static str) -> LearningCurve {
        let figures: Vec<f64> = self.epochs.iter().filter_map(|e| e.figure).filter(|f| !f.is_nan()).collect();
        let figure = (!figures.is_empty()).then(|| name(&figures));
        let sign = if figure == Some(AUC) { 1.0 } else { -1.0 };
        let point = |(i, e): (usize, &Epoch)| {
            let figure = e.figure.filter(|_| figure.is_some()).map(|f| sign * f);
            LearningPoint { unit: i + 1, loss: Some(e.loss), figure }
        };
        LearningCurve {
            unit: "epoch".into(),
            figure: figure.map(String::from),
            higher_is_better: figure == Some(AUC),
            kept: self.best,
            n_units: self.epochs.len(),
            points: self.epochs.iter().enumerate().map(point).collect(),
        }
        .thinned()
    }
}

/// Trains a network in place. With validation rows, the weights of the epoch with the best figure are restored.
///
/// # Errors
/// Cancellation, settings outside their ranges, or a loss that is not finite.
pub fn train(
    network: &mut Network,
    loss: &Loss,
    rows: &Rows,
    valid: Option<&Validation>,
    params: &TrainParams,
    run: &Run,
) -> Result<Curve> {
    params.check()?;
    loss.check()?;
    // Inside the pool, parallel regions of a step begin without a hand-over between threads.
    rayon::scope(|_| Training::new(network, loss, rows, params, run).run(network, valid))
}

/// The state of a fit.
struct Training<'a> {
    loss: &'a Loss,
    rows: &'a Rows,
    params: &'a TrainParams,
    run: &'a Run,
    stepper: Stepper,
    optimizer: Optimizer,
    order: Vec<u32>,
    n_steps: usize,
    checked: Instant,
}

/// The best epoch so far.
struct Best {
    figure: f64,
    epoch: usize,
    values: Buffer,
}

impl<'a> Training<'a> {
    fn new(network: &Network, loss: &'a Loss, rows: &'a Rows, params: &'a TrainParams, run: &'a Run) -> Self {
        let batch_rows = params.batch_rows.min(rows.n_rows());
        Training {
            loss,
            rows,
            params,
            run,
            stepper: Stepper::new(network, batch_rows),
            optimizer: Optimizer::new(params.method, &network.params),
            order: (0..rows.n_rows() as u32).collect(),
            n_steps: 0,
            checked: Instant::now(),
        }
    }

    fn run(mut self, network: &mut Network, valid: Option<&Validation>) -> Result<Curve> {
        let (mut curve, mut best) = self.restore(network)?;
        let n_epochs = self.params.epochs;
        self.run.progress.start("neural network", n_epochs as u64);
        for epoch in curve.epochs.len()..n_epochs {
            let begin = Instant::now();
            let loss = self.epoch(network, epoch)?;
            let rate = self.rows.n_rows() as f64 / begin.elapsed().as_secs_f64();
            let figure = valid.map(|v| (v.figure)(&network.score(v.x)));
            curve.epochs.push(Epoch { loss, figure });
            let shown = figure.map_or(String::new(), |f| format!(", validation {f:.4}"));
            let (done, rate) = (epoch as u64 + 1, count(rate));
            self.run
                .progress
                .update(done, &format!("epoch {done} of {n_epochs}, loss {loss:.4}{shown}, {rate} rows/s"));
            curve.best = epoch + 1;
            if let Some(figure) = figure {
                match &mut best {
                    Some(best) if figure <= best.figure || figure.is_nan() => {
                        if self.params.patience.is_some_and(|p| epoch - best.epoch >= p) {
                            break;
                        }
                    }
                    Some(best) => {
                        (best.figure, best.epoch) = (figure, epoch);
                        best.values.copy_from_slice(&network.params.values);
                    }
                    None => best = Some(Best { figure, epoch, values: network.params.values.clone() }),
                }
            }
            self.run.keep_state(|| self.state(network, &curve, best.as_ref()))?;
            self.run.check()?;
        }
        if let Some(best) = best {
            network.params.values = best.values;
            curve.best = best.epoch + 1;
        }
        self.run.progress.finish();
        Ok(curve)
    }

    /// Everything that the epochs to come depend on.
    fn state(&self, network: &Network, curve: &Curve, best: Option<&Best>) -> Parts {
        checkpoint::State {
            curve,
            n_steps: self.n_steps,
            order: &self.order,
            values: &network.params.values,
            optimizer: &self.optimizer,
            best: best.map(|b| (b.epoch, b.figure, &b.values[..])),
        }
        .save()
    }

    /// Goes to where a fit that was interrupted stood, if there was one.
    fn restore(&mut self, network: &mut Network) -> Result<(Curve, Option<Best>)> {
        let Some(Kept::State(parts)) = self.run.kept()? else { return Ok((Curve::default(), None)) };
        let restored =
            checkpoint::Restored::load(&parts, &mut network.params.values, &mut self.optimizer, &self.order)?;
        (self.n_steps, self.order) = (restored.n_steps, restored.order);
        let best = restored.best.map(|(epoch, figure, values)| Best { figure, epoch, values });
        Ok((restored.curve, best))
    }

    /// One pass over the rows in a new order; returns the mean loss of the steps.
    fn epoch(&mut self, network: &mut Network, epoch: usize) -> Result<f64> {
        let params = self.params;
        let seed = Rng::fork(self.run.seed, epoch as u64).next_u64();
        Rng::new(seed).shuffle(&mut self.order);
        let n_batches = self.order.len().div_ceil(params.batch_rows);
        let mut total = 0.0;
        for (i, batch) in self.order.chunks(params.batch_rows).enumerate() {
            let t = self.n_steps as f64 / (n_batches * params.epochs) as f64;
            let regularisation = params.regularisation_schedule.factor(t);
            self.stepper.set_dropout_factor(regularisation as f32);
            let rates = Rates {
                learning_rate: params.learning_rate * params.schedule.factor(t),
                weight_decay: params.weight_decay * regularisation,
                clip: params.clip,
            };
            let seed = seed.wrapping_add((i as u64) << 8);
            let loss = self.stepper.gradients(network, self.loss, self.rows, batch, seed);
            if !loss.is_finite() {
                return Err(Error::data(format!(
                    "the loss became {loss} in epoch {}, step {}, at a learning rate of {:.2e}; take a smaller \
                     learning_rate, set clip to 1, or look for extreme values in the columns",
                    epoch + 1,
                    i + 1,
                    rates.learning_rate
                )));
            }
            self.optimizer.step(&mut network.params.values, &mut self.stepper.grads(), &rates);
            total += loss;
            self.n_steps += 1;
            if self.n_steps.is_multiple_of(64) || self.checked.elapsed() > Duration::from_millis(50) {
                self.run.check()?;
                self.checked = Instant::now();
            }
        }
        Ok(total / n_batches as f64)
    }
}
