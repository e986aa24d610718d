//! The learners for tables and what belongs to them: linear models, the scorecard, gradient boosting with exact TreeSHAP,
//! isolation forests, boosting that reads an anomaly score, clusters, and calibration.
//!
//! Invariants: parallel and deterministic (the same bits for a seed, whatever the number of threads); predictions go
//! through `statera-kernel`. Deliberately absent: reading data, choosing between models.

#![forbid(unsafe_code)]

pub mod boosted;
pub mod calibration;
pub mod cluster;
pub mod gbdt;
pub mod imbalance;
pub mod isolation;
pub mod linear;
pub mod scorecard;
