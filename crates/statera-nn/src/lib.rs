//! Neural networks with explicit forward and backward passes.
//!
//! Every layer maps the rows of a row-major f32 matrix to rows of another (`layer`); its parameters are ranges of one
//! arena (`params`), its memory is part of buffers allocated once a fit (`workspace`).
//!
//! Invariants: the result of a fit has the same bits for a seed and number of threads on one CPU; scoring runs through
//! `statera-kernel` alone and has the same bits for a row alone or in any batch, on any CPU; every backward pass is
//! checked against finite differences and against PyTorch's numbers (`tests/torch`).
//! Deliberately absent: automatic differentiation, tensors of more than two dimensions, GPUs.

pub mod activation;
#[cfg(test)]
mod check;
pub mod input;
pub mod layer;
pub mod loss;
pub mod model;
pub mod network;
pub mod optimizer;
pub mod params;
pub mod product;
pub mod schedule;
pub mod train;
pub mod workspace;
