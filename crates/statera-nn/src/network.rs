//! A network: its parameters, its layers, and what is done with both.

use crate::layer::{Layer, Math, Mode};
use crate::loss::Loss;
use crate::params::Params;
use crate::workspace::Workspace;
use rayon::prelude::*;

/// Rows of a block that one task scores; fewer are not worth a thread.
const SCORING_ROWS: usize = 256;
/// Floats that a block's workspace may need.
const SCORING_FLOATS: usize = 1 << 22;
/// Multiply-adds (parameters × rows × members) from which a batch is split in 2, 4 and 8 shards. Below the first, a
/// step takes some 50 µs, and waking a second thread takes ten.
const SHARD_WORK: [usize; 3] = [1 << 21, 1 << 27, 1 << 30];

/// A network: rows of `layer.n_in()` inputs to rows of `n_members` × outputs.
pub struct Network {
    /// All parameters.
    pub params: Params,
    /// The map.
    pub layer: Box<dyn Layer>,
    /// Networks in one whose losses are averaged in training and whose predictions are averaged in scoring; 1 for most.
    pub n_members: usize,
}

impl Network {
    /// Outputs of each row, member after member, with the same bits for a row alone or in any batch, on any CPU and with any
    /// number of threads. `x` is n × n_in.
    pub fn score(&self, x: &[f32]) -> Vec<f32> {
        let (n_in, n_out) = (self.layer.n_in(), self.layer.n_out());
        let mut out = vec![0.0; x.len() / n_in * n_out];
        let n_rows = self.block_rows();
        let block = |work: &mut Workspace, x: &[f32], out: &mut [f32]| {
            let rows = x.len() / n_in;
            let y = work.forward(&*self.layer, &self.params.values, x, rows, Mode::Evaluate, Math::Score);
            out.copy_from_slice(y);
        };
        if x.len() <= n_rows * n_in {
            let mut work = Workspace::forward_only(&*self.layer, x.len() / n_in);
            block(&mut work, x, &mut out);
        } else {
            out.par_chunks_mut(n_rows * n_out)
                .zip(x.par_chunks(n_rows * n_in))
                .for_each_init(|| Workspace::forward_only(&*self.layer, n_rows), |work, (out, x)| block(work, x, out));
        }
        out
    }

    /// Rows of a block of scoring.
    fn block_rows(&self) -> usize {
        let per_row = self.layer.cache_len(SCORING_ROWS) + self.layer.scratch_len(SCORING_ROWS);
        let fit = SCORING_FLOATS / (per_row / SCORING_ROWS).max(1);
        fit.clamp(1, SCORING_ROWS)
    }

    /// Shards of a batch, by the work of a step alone: bits do not depend on the number of threads.
    pub fn n_shards(&self, batch_rows: usize) -> usize {
        let work = self.params.values.len() * batch_rows * self.n_members;
        let halvings = SHARD_WORK.iter().filter(|&&w| work >= w).count();
        (1usize << halvings).min(batch_rows).max(1)
    }
}

/// Rows to learn from or to validate on.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// n × n_in inputs.
    pub x: Vec<f32>,
    /// One number per row: 0/1, class, or value.
    pub target: Vec<f32>,
    /// One number per row, of mean 1; `None` for 1 each.
    pub weight: Option<Vec<f32>>,
}

impl Rows {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.target.len()
    }
}

/// A shard of a batch: its memory and a copy of its rows.
struct Shard {
    work: Workspace,
    x: Vec<f32>,
    target: Vec<f32>,
    weight: Vec<f32>,
    loss: f64,
}

/// The memory of a training step.
pub struct Stepper {
    shards: Vec<Shard>,
}

impl Stepper {
    /// For batches of at most `batch_rows` rows.
    pub fn new(network: &Network, batch_rows: usize) -> Stepper {
        let n_shards = network.n_shards(batch_rows);
        let rows = batch_rows.div_ceil(n_shards);
        let n_in = network.layer.n_in();
        let shard = || Shard {
            work: Workspace::new(&*network.layer, network.params.values.len(), rows),
            x: Vec::with_capacity(rows * n_in),
            target: Vec::with_capacity(rows),
            weight: Vec::with_capacity(rows),
            loss: 0.0,
        };
        Stepper { shards: (0..n_shards).map(|_| shard()).collect() }
    }

    /// The mean loss of the rows at `batch`, whose gradients are left in [`Stepper::grads`], one slice a shard.
    pub fn gradients(&mut self, network: &Network, loss: &Loss, rows: &Rows, batch: &[u32], seed: u64) -> f64 {
        let per_shard = batch.len().div_ceil(self.shards.len());
        let one = |i: usize, shard: &mut Shard| {
            let first = (i * per_shard).min(batch.len());
            let own = &batch[first..(first + per_shard).min(batch.len())];
            shard.run(network, loss, rows, own, batch.len(), seed.wrapping_add(i as u64));
        };
        if let [only] = &mut self.shards[..] {
            one(0, only);
        } else {
            self.shards.par_iter_mut().with_max_len(1).enumerate().for_each(|(i, shard)| one(i, shard));
        }
        self.shards.iter().map(|s| s.loss).sum()
    }

    /// Multiplies dropout rates of the next steps.
    pub fn set_dropout_factor(&mut self, factor: f32) {
        self.shards.iter_mut().for_each(|s| s.work.dropout_factor = factor);
    }

    /// The gradients of each shard; the batch's are their sum, in order.
    pub fn grads(&mut self) -> Vec<&mut [f32]> {
        self.shards.iter_mut().map(|s| &mut s.work.grads[..]).collect()
    }
}

impl Shard {
    /// Gathers the rows at `own`, and goes forward and back.
    fn run(&mut self, network: &Network, loss: &Loss, rows: &Rows, own: &[u32], n_batch: usize, seed: u64) {
        self.loss = 0.0;
        if own.is_empty() {
            return;
        }
        let n_in = network.layer.n_in();
        self.x.clear();
        self.target.clear();
        self.weight.clear();
        for &row in own {
            let row = row as usize;
            self.x.extend_from_slice(&rows.x[row * n_in..][..n_in]);
            self.target.push(rows.target[row]);
            if let Some(weight) = &rows.weight {
                self.weight.push(weight[row]);
            }
        }
        let mode = Mode::Train { seed };
        let (layer, params) = (&*network.layer, &network.params.values[..]);
        self.work.forward(layer, params, &self.x, n_batch, mode, Math::Train);
        let len = own.len() * layer.n_out();
        let (y, dy) = (&self.work.y[..len], &mut self.work.dy[..len]);
        let weight = rows.weight.as_ref().map(|_| &self.weight[..]);
        self.loss = loss.evaluate(y, &self.target, weight, 1.0 / n_batch as f32, dy);
        self.work.backward(layer, params, &self.x, n_batch, mode, None);
    }
}
