//! What a learner sees.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Code of a missing cell in [`Column::Codes`].
pub const CODE_MISSING: u32 = 0;
/// Code of a level that was not seen in training.
pub const CODE_UNKNOWN: u32 = 1;
/// Code of the levels that were too rare in training to stand alone.
pub const CODE_RARE: u32 = 2;
/// Code of the first level; level `i` has code `FIRST_LEVEL + i`.
pub const FIRST_LEVEL: u32 = 3;

/// The levels of a categorical feature, in code order.
pub type Levels = Vec<String>;

/// One feature: its name, the raw column it came from, and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// Name, unique in the frame; equal to the raw column's where the feature is that column.
    pub name: String,
    /// Index into [`FrameSpec::raw_columns`].
    pub raw: usize,
    /// Levels if categorical, `None` if a number.
    pub levels: Option<Levels>,
    /// Numbers that stand for something else than an amount (`999` = never). They stay in the column as they are;
    /// a learner gives each a bin of its own. Ascending.
    pub sentinels: Vec<f64>,
    /// Required direction of the margin: 1 rising, -1 falling, 0 free. Numbers only.
    pub monotone: i8,
}

/// The columns of a frame.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameSpec {
    /// One entry per feature.
    pub features: Vec<FeatureSpec>,
    /// Names of the raw columns that features come from; attributions are per raw column.
    pub raw_columns: Vec<String>,
    /// Features that are the steps of a sequence, for learners that read sequences (form `Codes` only); to the others
    /// they are features like any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<Sequence>,
}

/// Number features that tell the same at successive times, such as six months' bills, at the points of an image, or of a node and
/// its sampled neighbours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Name in messages.
    pub name: String,
    /// Indices into [`FrameSpec::features`], the earliest step first; each step has as many, in the same order.
    pub steps: Vec<Vec<usize>>,
    /// Lines, and points of a line, where the steps are the points of an image, line after line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<[usize; 2]>,
    /// Neighbours of a node and of each of these, a and b, where the steps are the nodes around a node: itself, its a neighbours, and
    /// the b of the first of them, of the second, … .
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fans: Option<[usize; 2]>,
}

/// One feature's cells.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Numbers; NaN is missing, infinity does not occur.
    Number(Vec<f64>),
    /// Level codes: [`CODE_MISSING`], [`CODE_UNKNOWN`], [`CODE_RARE`] or `FIRST_LEVEL + i`.
    Codes(Vec<u32>),
}

impl Column {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Number(v) => v.len(),
            Column::Codes(v) => v.len(),
        }
    }
    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rows at `rows`, in that order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Column {
        match self {
            Column::Number(v) => Column::Number(rows.iter().map(|&r| v[r]).collect()),
            Column::Codes(v) => Column::Codes(rows.iter().map(|&r| v[r]).collect()),
        }
    }
}

/// A dense row-major matrix of scaled features.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// `n_rows × n_cols` values, finite.
    pub data: Vec<f32>,
    /// Columns.
    pub n_cols: usize,
}

impl Matrix {
    /// The row at `row`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.n_cols..][..self.n_cols]
    }
    /// The rows at `rows`, in that order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Matrix {
        let mut data = Vec::with_capacity(rows.len() * self.n_cols);
        for &r in rows {
            data.extend_from_slice(self.row(r));
        }
        Matrix { data, n_cols: self.n_cols }
    }
}

/// What a learner sees: features in the form it asked for, and per row the target, weight, time and group.
///
/// In the form `Codes`, `columns` has one entry per feature and `dense` is empty; in the form `Dense`, `dense` has one
/// column per feature and `columns` is empty.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The features.
    pub spec: Arc<FrameSpec>,
    /// Rows.
    pub n_rows: usize,
    /// Cells by feature (form `Codes`).
    pub columns: Vec<Column>,
    /// Cells by row (form `Dense`).
    pub dense: Matrix,
    /// Binary 0/1, class index, or value; empty when only scoring.
    pub target: Vec<f64>,
    /// Non-negative, finite; `None` means 1 for each row.
    pub weight: Option<Vec<f64>>,
    /// Microseconds UTC.
    pub time: Option<Vec<i64>>,
    /// Rows with equal values belong together.
    pub group: Option<Vec<u64>>,
}

impl Frame {
    /// Weight of a row.
    pub fn weight_of(&self, row: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |w| w[row])
    }

    /// The rows at `rows`, in that order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Frame {
        Frame {
            spec: self.spec.clone(),
            n_rows: rows.len(),
            columns: self.columns.iter().map(|c| c.take(rows)).collect(),
            dense: self.dense.take(rows),
            target: if self.target.is_empty() { Vec::new() } else { rows.iter().map(|&r| self.target[r]).collect() },
            weight: self.weight.as_ref().map(|w| rows.iter().map(|&r| w[r]).collect()),
            time: self.time.as_ref().map(|t| rows.iter().map(|&r| t[r]).collect()),
            group: self.group.as_ref().map(|g| rows.iter().map(|&r| g[r]).collect()),
        }
    }
}
