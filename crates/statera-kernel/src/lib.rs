//! Vector arithmetic, histograms and deterministic scoring arithmetic; the only crate with `unsafe` code.
//!
//! Invariants: a scoring function gives the same bits for a row alone or in any batch and on any x86-64 CPU (one fused
//! multiply-add chain over ascending k, vectorised across rows and outputs; own exp, ln, tanh; never libm).
//! Deliberately absent: threads, allocation in hot loops, matrix products for training.

pub mod dense;
pub mod dispatch;
pub mod dot;
pub mod elementwise;
pub mod histogram;
mod lanes;
pub mod math;
pub mod math32;
pub mod members;
pub mod normalise;
pub mod recurrent;
pub mod shapley;
pub mod tree;
