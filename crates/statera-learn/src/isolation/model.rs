//! The fitted forest: scoring, attributions, the saved form.

use super::NAME;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{
    Attributions, Background, Column, Error, Frame, FrameSpec, Model, Parts, Result, Scores, Tensor, TensorData,
};
use std::sync::Arc;

/// Rows that one task scores.
const SCORING_ROWS: usize = 1024;

/// Column number of a leaf in the saved form.
const LEAF: i32 = -1;

/// What sends a row to one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cut {
    /// Index of the feature.
    pub(super) column: u32,
    /// Numbers up to it go left; of a category the level of that code.
    pub(super) at: f64,
    /// Missing numbers go left.
    pub(super) missing_left: bool,
}

impl Cut {
    #[inline]
    pub(super) fn goes_left(&self, column: &Column, row: usize) -> bool {
        match column {
            Column::Number(cells) => cells[row] <= self.at || (self.missing_left && cells[row].is_nan()),
            Column::Codes(cells) => f64::from(cells[row]) == self.at,
        }
    }
}

/// A node; the right child follows the left one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Node {
    /// `None` in a leaf.
    pub(super) cut: Option<Cut>,
    /// Left child, after its parent.
    pub(super) left: u32,
    /// Minus the path length over that expected, mean over the node's drawn rows.
    pub(super) value: f64,
}

/// A fitted isolation forest.
#[derive(Debug, Clone, PartialEq)]
pub struct IsolationModel {
    spec: Arc<FrameSpec>,
    trees: Vec<Vec<Node>>,
    rows_per_tree: usize,
}

/// What `model.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    family: String,
    rows_per_tree: usize,
    spec: FrameSpec,
}

/// Names of the arrays.
const FIRST: &str = "isolation.first";
const COLUMN: &str = "isolation.column";
const AT: &str = "isolation.at";
const MISSING_LEFT: &str = "isolation.missing_left";
const LEFT: &str = "isolation.left";
const VALUE: &str = "isolation.value";

/// Fails unless a frame has level codes and numbers, as many as its specification says, none of them infinite.
pub(super) fn check_form(frame: &Frame) -> Result<()> {
    let features = &frame.spec.features;
    if frame.columns.len() != features.len() {
        let n = frame.columns.len();
        return Err(Error::request(format!("{NAME}: {n} columns for {} features", features.len())));
    }
    for (feature, column) in features.iter().zip(&frame.columns) {
        let name = &feature.name;
        if column.len() != frame.n_rows {
            return Err(Error::request(format!("feature «{name}» has {} rows of {}", column.len(), frame.n_rows)));
        }
        match (column, &feature.levels) {
            (Column::Codes(_), None) | (Column::Number(_), Some(_)) => {
                let wanted = if feature.levels.is_some() { "levels" } else { "numbers" };
                return Err(Error::request(format!("feature «{name}» must hold {wanted}, as in training")));
            }
            (Column::Number(cells), None) => {
                if let Some(row) = cells.iter().position(|x| x.is_infinite()) {
                    let cell = cells[row];
                    return Err(Error::data(format!("row {row}, column «{name}»: {cell}; allowed: finite numbers")));
                }
            }
            (Column::Codes(_), Some(_)) => {}
        }
    }
    Ok(())
}

impl IsolationModel {
    pub(super) fn new(spec: Arc<FrameSpec>, trees: Vec<Vec<Node>>, rows_per_tree: usize) -> IsolationModel {
        IsolationModel { spec, trees, rows_per_tree }
    }

    /// The columns it reads.
    pub fn spec(&self) -> &FrameSpec {
        &self.spec
    }

    /// Liu's score of a margin, in (0, 1): about .5 for an ordinary row.
    pub fn anomaly(margin: f64) -> f64 {
        margin.exp2()
    }

    /// Margins of the rows: minus the mean path length over that expected.
    ///
    /// # Errors
    /// A frame with other columns than those of the fit.
    pub fn margins(&self, frame: &Frame) -> Result<Vec<f64>> {
        self.check(frame)?;
        let mut margins = vec![0.0; frame.n_rows];
        margins.par_chunks_mut(SCORING_ROWS).enumerate().for_each(|(block, margins)| {
            for (i, margin) in margins.iter_mut().enumerate() {
                let row = block * SCORING_ROWS + i;
                let sum: f64 = self.trees.iter().map(|tree| leaf(tree, frame, row, |_, _| ())).sum();
                *margin = sum / self.trees.len() as f64;
            }
        });
        Ok(margins)
    }

    fn check(&self, frame: &Frame) -> Result<()> {
        let (own, theirs) = (&self.spec.features, &frame.spec.features);
        if own.len() != theirs.len()
            || own.iter().zip(theirs).any(|(a, b)| a.name != b.name || a.levels.is_some() != b.levels.is_some())
        {
            let names =
                |f: &[statera_core::FeatureSpec]| f.iter().map(|f| f.name.clone()).collect::<Vec<_>>().join(", ");
            return Err(Error::request(format!(
                "{NAME}: the model has the columns {}, the data {}",
                names(own),
                names(theirs)
            )));
        }
        check_form(frame)
    }

    /// Loads a saved model, refusing parts that do not fit together.
    ///
    /// # Errors
    /// What is missing, of another size or out of range; a tree that does not go down.
    pub fn load(parts: &Parts) -> Result<IsolationModel> {
        let header = Header::deserialize(&parts.json).map_err(|e| Error::damaged(format!("model.json: {e}")))?;
        let damaged = |what: &str| Error::damaged(format!("weights.safetensors: {what}"));
        let (n_columns, n_raw) = (header.spec.features.len(), header.spec.raw_columns.len());
        if header.family != NAME || header.rows_per_tree < 2 || header.spec.features.iter().any(|f| f.raw >= n_raw) {
            return Err(Error::damaged(format!("model.json: no {NAME} forest of {n_columns} columns")));
        }
        let (first, column, left) = (parts.i32s(FIRST)?, parts.i32s(COLUMN)?, parts.i32s(LEFT)?);
        let (at, value, missing_left) = (parts.f64s(AT)?, parts.f64s(VALUE)?, parts.u8s(MISSING_LEFT)?);
        let n = column.len();
        if [left.len(), at.len(), value.len(), missing_left.len()] != [n; 4] || first.first() != Some(&0) {
            return Err(damaged("the arrays of the nodes differ in length"));
        }
        let ends = first[1..].iter().map(|&e| e as usize).chain([n]);
        let mut trees = Vec::with_capacity(first.len());
        for (&start, end) in first.iter().zip(ends) {
            let start = start as usize;
            if start >= end || end > n {
                return Err(damaged("a tree has no nodes"));
            }
            let node = |i: usize| -> Result<Node> {
                let is_leaf = column[i] == LEAF;
                let inside = (0..n_columns as i64).contains(&i64::from(column[i]));
                let down = left[i] as i64 > (i - start) as i64 && (left[i] as i64) + 1 < (end - start) as i64;
                if !(value[i].is_finite() && at[i].is_finite() && (is_leaf || (inside && down))) {
                    return Err(damaged(&format!("node {i} does not go down")));
                }
                let cut = Cut { column: column[i] as u32, at: at[i], missing_left: missing_left[i] != 0 };
                Ok(Node { cut: (!is_leaf).then_some(cut), left: left[i].max(0) as u32, value: value[i] })
            };
            trees.push((start..end).map(node).collect::<Result<_>>()?);
        }
        Ok(IsolationModel { spec: Arc::new(header.spec), trees, rows_per_tree: header.rows_per_tree })
    }

    /// The value of the mean training row, and what each raw column adds to a row's margin: at every cut the value of the side
    /// taken less that of the node, to the column that is cut. The parts of a row sum to its margin.
    fn contributions(&self, frame: &Frame, row: usize, values: &mut [f64]) {
        let n = self.trees.len() as f64;
        for tree in &self.trees {
            leaf(tree, frame, row, |column, change| values[self.spec.features[column].raw] += change / n);
        }
    }
}

/// The value of the leaf of a row; `visit` gets each cut's column and by how much it changes the value.
#[inline]
fn leaf(tree: &[Node], frame: &Frame, row: usize, mut visit: impl FnMut(usize, f64)) -> f64 {
    let mut at = &tree[0];
    while let Some(cut) = &at.cut {
        let goes_left = cut.goes_left(&frame.columns[cut.column as usize], row);
        let child = &tree[at.left as usize + usize::from(!goes_left)];
        visit(cut.column as usize, child.value - at.value);
        at = child;
    }
    at.value
}

impl Model for IsolationModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        Ok(Scores { n_outputs: 1, margins: self.margins(frame)? })
    }

    /// Path attributions (Saabas 2014), which need no background.
    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        self.check(frame)?;
        let n_raw = self.spec.raw_columns.len();
        let base = self.trees.iter().map(|tree| tree[0].value).sum::<f64>() / self.trees.len() as f64;
        let mut values = vec![0.0; frame.n_rows * n_raw];
        let rows = values.par_chunks_mut(n_raw.max(1)).enumerate();
        rows.for_each(|(row, values)| self.contributions(frame, row, values));
        Ok(Attributions { n_outputs: 1, n_raw, base: vec![base], values, remainder: Vec::new() })
    }

    fn save(&self) -> Parts {
        let header =
            Header { family: NAME.into(), rows_per_tree: self.rows_per_tree, spec: FrameSpec::clone(&self.spec) };
        let nodes = || self.trees.iter().flatten();
        let mut next = 0;
        let mut first = |tree: &Vec<Node>| {
            let start = next;
            next += tree.len() as i32;
            start
        };
        let column = |node: &Node| node.cut.map_or(LEAF, |cut| cut.column as i32);
        let integers = [
            (FIRST, self.trees.iter().map(&mut first).collect()),
            (COLUMN, nodes().map(column).collect::<Vec<i32>>()),
            (LEFT, nodes().map(|node| node.left as i32).collect()),
        ];
        let numbers = [
            (AT, nodes().map(|node| node.cut.map_or(0.0, |cut| cut.at)).collect::<Vec<f64>>()),
            (VALUE, nodes().map(|node| node.value).collect()),
        ];
        let sides: Vec<u8> = nodes().map(|node| u8::from(node.cut.is_some_and(|cut| cut.missing_left))).collect();
        let json = serde_json::to_value(&header).expect("a header of texts and numbers is JSON");
        let mut parts = Parts { json, ..Parts::default() };
        let integers = integers.map(|(name, v)| (name, TensorData::I32(v)));
        let numbers = numbers.map(|(name, v)| (name, TensorData::F64(v)));
        for (name, data) in integers.into_iter().chain(numbers).chain([(MISSING_LEFT, TensorData::U8(sides))]) {
            parts.tensors.insert(name.into(), Tensor::vector(data));
        }
        parts
    }

    fn describe(&self) -> Vec<(String, String)> {
        vec![
            ("trees".into(), self.trees.len().to_string()),
            ("rows a tree".into(), self.rows_per_tree.to_string()),
            ("nodes".into(), self.trees.iter().map(Vec::len).sum::<usize>().to_string()),
        ]
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
