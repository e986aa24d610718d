//! Routes: one file a noun, each with its requests, responses, handlers and `routes()`.

pub mod decisions;
pub mod failure;
pub mod inference;
pub mod outcomes;
