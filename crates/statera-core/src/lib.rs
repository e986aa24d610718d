//! The vocabulary of Statera: columns and roles, tasks, the frame a learner sees, the contracts between crates,
//! splits and metrics.
//!
//! Invariants: no input or output, no clock, no global state; every function is deterministic for its arguments.
//! Deliberately absent: file formats and tables (`statera-data`), learners (`statera-learn`), threads.

#![forbid(unsafe_code)]

mod contract;
mod error;
pub mod fairness;
mod frame;
mod learning_curve;
pub mod metric;
mod rng;
mod role;
mod run;
mod space;
pub mod split;
mod task;
pub mod text;

pub use contract::{Attributions, Background, Estimator, Form, Model, Parts, Scores, Tensor, TensorData};
pub use error::{Error, ErrorKind, Result};
pub use frame::{
    CODE_MISSING, CODE_RARE, CODE_UNKNOWN, Column, FIRST_LEVEL, FeatureSpec, Frame, FrameSpec, Levels, Matrix, Sequence,
};
pub use learning_curve::{LearningCurve, LearningPoint, MAX_POINTS};
pub use rng::Rng;
pub use role::{Kind, Role};
pub use run::{Checkpoints, Kept, Progress, Run, Silent};
pub use space::{Dimension, Point, Range};
pub use task::Task;
