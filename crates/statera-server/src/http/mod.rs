//! Routes: one file a noun, each with its requests, responses, handlers and `routes()`.

pub mod bundle_upload;
pub mod failure;
pub mod keys;
pub mod page;
pub mod people;
pub mod registry;
pub mod session;
#[cfg(test)]
pub mod testing;
