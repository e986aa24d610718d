//! What is predicted.

use serde::{Deserialize, Serialize};

/// What is predicted from a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Target 0 or 1; one margin (log-odds of 1).
    Binary,
    /// Target 0 … k-1 with k ≥ 3; k margins (logits of a softmax).
    Classes(usize),
    /// A real target; one margin, the prediction itself; squared error.
    Regression,
}

impl Task {
    /// Margins a row has.
    pub fn n_outputs(self) -> usize {
        match self {
            Task::Binary | Task::Regression => 1,
            Task::Classes(k) => k,
        }
    }
    /// True if the target is a class.
    pub fn is_classification(self) -> bool {
        !matches!(self, Task::Regression)
    }
}
