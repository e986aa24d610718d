//! Routes: one file a noun, each with its requests, responses, handlers and `routes()`.

pub mod failure;
pub mod timings;
