//! `statera serve`: decisions over HTTP, for few operators, on the bank's own machine.
//!
//! One process. A request passes, in this order: the connection's time limits, identification ([`who`]), admission
//! ([`flow`]), its handler ([`http`]), the compute pool ([`compute`], which scores waiting requests together), the store's
//! writer (which commits them together), and only then is it answered. Models are loaded, checked, warmed and swapped by
//! [`models`]. The only asynchronous crate of the house. Deliberately absent: scoring of its own; `Scorer::score` is the one.

#![forbid(unsafe_code)]

pub mod app;
pub mod client;
pub mod compute;
pub mod flow;
pub mod http;
pub mod live;
pub mod log;
pub mod models;
pub mod objects;
pub mod retention;
pub mod serve;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod who;
