//! statera

pub mod project;
pub mod sample;
