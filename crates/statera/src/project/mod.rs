//! The project file.

mod settings;

pub use settings::{Sensitivity, Settings};
