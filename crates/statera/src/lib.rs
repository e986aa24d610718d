//! From a bank's table to a chosen, measured and saved model, and from a saved model to scores.
//!
//! Invariants: one scoring function ([`scorer::Scorer::score`]) for training's evaluation, batch and everything served;
//! the same seed gives the same bundle digest; nothing half-written stays. Deliberately absent: terminal output, servers.

#![forbid(unsafe_code)]

pub mod alerts;
pub mod anomaly;
pub mod background;
pub mod batch;
pub mod bins;
pub mod bundle;
pub mod card;
pub mod checkpoint;
mod cross_calibration;
mod cross_fit;
pub mod decision;
pub mod dependence;
pub mod dial;
pub mod drift;
pub mod ensemble;
pub mod evaluate;
pub mod explain;
pub mod facts;
pub mod file;
pub mod given;
pub mod groups;
pub mod judge;
pub mod leaderboard;
mod made;
pub mod mask;
pub mod models;
pub mod network;
pub mod note;
pub mod pipeline;
pub mod policy;
pub mod project;
pub mod proxy;
pub mod reasons;
pub mod recourse;
pub mod reference;
pub mod reject;
pub mod report;
mod resolution;
mod rows;
pub mod rules;
pub mod sample;
pub mod scorer;
pub mod search;
pub mod segment;
mod spread;
pub mod training_set;
pub mod use_case;
mod variant;
pub mod windows;
