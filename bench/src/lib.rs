//! What benchmarks share.

pub mod sets;
