//! Tables and what is known about them: sources and sinks, kinds, profile, personal data and its masking, and the preparer
//! that turns raw columns into a learner's features.
//!
//! Invariants: raw columns keep `i64`, `f64`, `Decimal128` and text; times are UTC; nothing is read or written but what
//! the caller names. Deliberately absent: SQL over files (a database does its own), learners, terminal output.

#![forbid(unsafe_code)]

pub mod conform;
mod database;
mod declared;
pub mod infer;
pub mod mask;
pub mod network;
pub mod page;
pub mod personal;
pub mod preparer;
pub mod profile;
pub mod sink;
pub mod source;
mod state_bytes;
mod table;
pub mod time;
pub mod toml_text;
mod type_name;
pub mod window;

pub use table::{ColumnInfo, Table, iso, texts_of, with_columns};
