//! What a layer is, and layers made of layers.
//!
//! A batch is a row-major f32 matrix of `n_rows` rows. Categories are exact small floats; a sequence is one row, its
//! steps one after another, each with all its features (`step × feature`), and where not all of them count the row's last
//! columns tell which do ([`Counted`]).

mod attention;
mod batch_norm;
#[cfg(test)]
mod battery;
mod columns;
mod conv1d;
mod conv2d;
mod dense;
mod dropout;
mod embedding;
mod encoder;
mod ensemble;
mod gru;
mod layer_norm;
mod lstm;
mod parametric;
mod per_step;
mod periodic;
mod piecewise;
mod pool;
mod projections;
mod recurrent;
mod residual;
mod rnn;
mod sage;
mod sequence;
mod sequential;
mod shortcut;
mod step_tokens;
mod tokens;
mod transformer;
mod weighed;
mod weighted_attention;

pub use attention::SelfAttention;
pub use batch_norm::BatchNorm;
pub use columns::Columns;
pub use conv1d::{Conv1d, Padding};
pub use conv2d::{Conv2d, Window};
pub use dense::Dense;
pub use dropout::Dropout;
pub use embedding::{Embedding, Table};
pub use encoder::Encoder;
pub use ensemble::{EnsembleDense, EnsembleShape, Heads, MemberScale, PerMember, Scales};
pub use gru::Gru;
pub use layer_norm::LayerNorm;
pub use lstm::Lstm;
pub use parametric::{ColumnBias, ColumnScale, ParametricSelu};
pub use per_step::PerStep;
pub use periodic::{PeriodicEmbedding, PeriodicShape};
pub use piecewise::PiecewiseEmbedding;
pub use pool::{GlobalPool, Image, Pool, Pooling};
pub use recurrent::States;
pub use residual::Residual;
pub use rnn::Rnn;
pub use sage::GraphSage;
pub use sequence::{Counted, MAX_COLUMNS, MAX_SIZE, Sequence};
pub use sequential::Sequential;
pub use shortcut::Shortcut;
pub use step_tokens::{StepColumns, StepTokens};
pub use tokens::FeatureTokens;
pub use transformer::Transformer;
pub use weighted_attention::{Queries, WeightedAttention};

/// Which arithmetic computes products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Math {
    /// The fastest: bits depend on the CPU and on the rows around a row.
    Train,
    /// `statera-kernel`'s: the same bits for a row alone or in any batch, on any CPU.
    Score,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training: dropout drops, batch normalisation uses the batch's statistics.
    Train {
        /// Where random draws of the pass come from; another for each step and shard.
        /// `Rng::fork(seed, stream)` with a stream number of the layer's own.
        seed: u64,
    },
    /// Validation and scoring.
    Evaluate,
}

/// What a layer has besides its input while it runs.
pub struct Pass<'a> {
    /// The values of the whole network; a layer reads its own ranges.
    pub params: &'a [f32],
    /// The gradients of the whole network, of the length of `params`; empty in a pass that only goes forward.
    pub grads: &'a mut [f32],
    /// Rows of this pass: a shard of the batch.
    pub n_rows: usize,
    /// This shard's share of the batch's rows, in (0, 1].
    pub share: f32,
    /// What dropout rates are multiplied by, in [0, 1]: regularisation may fade over a fit.
    pub dropout_factor: f32,
    /// What the pass is for.
    pub mode: Mode,
    /// Which arithmetic computes products.
    pub math: Math,
    /// Whether a pass back goes on to the input of the network: else nobody reads the gradient of what layers only hand on from
    /// there, such as weights of steps, and it may be left 0.
    pub to_input: bool,
    /// `cache_len(n_rows)` floats that go unchanged from forward to backward; their content before forward is undefined.
    pub cache: &'a mut [f32],
    /// At least `scratch_len(n_rows)` floats with undefined content, free for use during a call.
    pub scratch: &'a mut [f32],
}

impl Pass<'_> {
    /// The same pass with other memory: for the layers inside a layer. Take the memory out first:
    /// `let cache = std::mem::take(&mut pass.cache)` (and put it back if it is needed again).
    pub fn with<'b>(&'b mut self, cache: &'b mut [f32], scratch: &'b mut [f32]) -> Pass<'b> {
        self.with_rows(self.n_rows, cache, scratch)
    }

    /// The same for another number of rows: for inner layers whose rows are parts of rows.
    pub fn with_rows<'b>(&'b mut self, n_rows: usize, cache: &'b mut [f32], scratch: &'b mut [f32]) -> Pass<'b> {
        Pass {
            params: self.params,
            grads: &mut *self.grads,
            n_rows,
            share: self.share,
            dropout_factor: self.dropout_factor,
            mode: self.mode,
            math: self.math,
            to_input: self.to_input,
            cache,
            scratch,
        }
    }
}

/// A differentiable map of rows. It holds sizes and the ranges of its parameters, never values or memory.
///
/// Rows are independent but for statistics over the batch in training: in [`Mode::Evaluate`] with [`Math::Score`] a
/// row's output has the same bits alone or in any batch and on any CPU, so everything but `product` must go through
/// functions of `statera-kernel` or plain `+ − × ÷`, `sqrt`, comparisons, in an order that does not depend on the batch.
pub trait Layer: Send + Sync {
    /// Columns of the input.
    fn n_in(&self) -> usize;
    /// Columns of the output.
    fn n_out(&self) -> usize;
    /// Floats kept from forward to backward, for that many rows.
    fn cache_len(&self, n_rows: usize) -> usize {
        let _ = n_rows;
        0
    }
    /// Floats needed during a call of either pass, for that many rows.
    fn scratch_len(&self, n_rows: usize) -> usize {
        let _ = n_rows;
        0
    }
    /// Writes `y` (n_rows × n_out) from `x` (n_rows × n_in). `y` is undefined before.
    fn forward(&self, pass: &mut Pass, x: &[f32], y: &mut [f32]);
    /// Given `x` and `y` of the forward pass of the same rows and the loss's gradient `dy` with respect to `y`: *adds* the
    /// gradients of the parameters to `pass.grads` and, where asked, *writes* `dx`. `dy` may be overwritten on the way.
    fn backward(&self, pass: &mut Pass, x: &[f32], y: &[f32], dy: &mut [f32], dx: Option<&mut [f32]>);
}
