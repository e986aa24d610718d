//! The memory of a shard of the batch, allocated once.

use crate::layer::{Layer, Math, Mode, Pass};
use crate::params::{Buffer, padded};

/// Cache, scratch, output and gradients of up to `max_rows` rows going through a layer.
#[derive(Debug)]
pub struct Workspace {
    /// Rows that fit.
    pub max_rows: usize,
    /// Gradients of all parameters; the optimizer sets them back to 0.
    pub grads: Buffer,
    /// The output of the last forward pass; a loss turns a copy into `dy`.
    pub y: Buffer,
    /// The gradient with respect to the output.
    pub dy: Buffer,
    /// What dropout rates are multiplied by; 1 at first.
    pub dropout_factor: f32,
    cache: Buffer,
    scratch: Buffer,
}

impl Workspace {
    /// For training with `n_params` values in the arena.
    pub fn new(layer: &dyn Layer, n_params: usize, max_rows: usize) -> Workspace {
        Workspace {
            max_rows,
            grads: Buffer::zeros(n_params),
            y: Buffer::zeros(max_rows * layer.n_out()),
            dy: Buffer::zeros(max_rows * layer.n_out()),
            dropout_factor: 1.0,
            cache: Buffer::zeros(padded(layer.cache_len(max_rows))),
            scratch: Buffer::zeros(padded(layer.scratch_len(max_rows))),
        }
    }

    /// For forward passes only.
    pub fn forward_only(layer: &dyn Layer, max_rows: usize) -> Workspace {
        Workspace { dy: Buffer::default(), ..Workspace::new(layer, 0, max_rows) }
    }

    /// Runs the rows of `x` through the layer and returns the output; `n_batch` is the rows of all shards.
    ///
    /// # Panics
    /// If there are more rows than fit.
    pub fn forward(
        &mut self,
        layer: &dyn Layer,
        params: &[f32],
        x: &[f32],
        n_batch: usize,
        mode: Mode,
        math: Math,
    ) -> &[f32] {
        let n_rows = x.len() / layer.n_in();
        assert!(n_rows <= self.max_rows, "{n_rows} rows do not fit a workspace of {}", self.max_rows);
        let len = n_rows * layer.n_out();
        let mut pass = Pass {
            params,
            grads: &mut self.grads,
            n_rows,
            share: n_rows as f32 / n_batch as f32,
            dropout_factor: self.dropout_factor,
            mode,
            math,
            to_input: false,
            cache: &mut self.cache,
            scratch: &mut self.scratch,
        };
        layer.forward(&mut pass, x, &mut self.y[..len]);
        &self.y[..len]
    }

    /// Goes back from `self.dy` after [`Workspace::forward`] of the same rows, adding to `self.grads`.
    pub fn backward(
        &mut self,
        layer: &dyn Layer,
        params: &[f32],
        x: &[f32],
        n_batch: usize,
        mode: Mode,
        dx: Option<&mut [f32]>,
    ) {
        let n_rows = x.len() / layer.n_in();
        let len = n_rows * layer.n_out();
        let mut pass = Pass {
            params,
            grads: &mut self.grads,
            n_rows,
            share: n_rows as f32 / n_batch as f32,
            dropout_factor: self.dropout_factor,
            mode,
            math: Math::Train,
            to_input: dx.is_some(),
            cache: &mut self.cache,
            scratch: &mut self.scratch,
        };
        layer.backward(&mut pass, x, &self.y[..len], &mut self.dy[..len], dx);
    }
}
