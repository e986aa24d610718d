//! statera

pub mod project;
