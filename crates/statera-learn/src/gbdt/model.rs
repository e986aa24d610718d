//! The fitted model: scoring, saving, loading.

use super::bin::cells;
use super::fit::Course;
use super::shap::{Paths, Shares};
use super::{GbdtParams, NAME};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{
    Attributions, Background, Error, Frame, FrameSpec, LearningCurve, LearningPoint, Model, Parts, Result, Scores,
    Task, Tensor, TensorData,
};
use statera_kernel::tree::{BLOCK_ROWS, Cells, Coder, Forest, Node, Scratch, Tree, round};
use std::sync::{Arc, OnceLock};

/// Boosted trees.
#[derive(Debug)]
pub struct GbdtModel {
    pub(super) params: GbdtParams,
    pub(super) spec: Arc<FrameSpec>,
    pub(super) forest: Forest,
    /// Loss that each node saved, times two.
    pub(super) gains: Vec<Vec<f64>>,
    /// Training rows of each leaf, by weight.
    pub(super) covers: Vec<Vec<f64>>,
    /// Loss on the validation rows at the last round.
    pub(super) valid_loss: Option<f64>,
    /// All that the fit grew, so that another number of rounds can be kept; empty in a loaded model.
    pub(super) course: Arc<Course>,
    /// What attributions need, made when first asked for: without a background, and with one.
    pub(super) shares: OnceLock<Shares>,
    pub(super) paths: OnceLock<Paths>,
}

impl GbdtModel {
    /// The model of the first `rounds` rounds of a fit.
    pub(super) fn new(
        params: GbdtParams,
        spec: Arc<FrameSpec>,
        coders: Vec<Coder>,
        course: Arc<Course>,
        rounds: usize,
    ) -> Result<GbdtModel> {
        let mut base = course.base.clone();
        let (mut trees, mut gains, mut covers) = (Vec::new(), Vec::new(), Vec::new());
        for (tree, gain, cover) in course.trees.iter().take(rounds * params.trees_per_round()).cloned() {
            trees.push(tree);
            gains.push(gain);
            covers.push(cover);
        }
        if params.task != Task::Regression {
            // Scoring is faster so, and no leaf moves by more than 2⁻³⁰ of the sum over trees of the largest leaf.
            round(&mut base, &mut trees);
        }
        let forest = Forest::new(coders, base, trees).map_err(|e| Error::data(format!("{NAME}: {e}")))?;
        let valid_loss = rounds.checked_sub(1).and_then(|last| course.curve.get(last).copied());
        Ok(GbdtModel {
            params,
            spec,
            forest,
            gains,
            covers,
            valid_loss,
            course,
            shares: OnceLock::new(),
            paths: OnceLock::new(),
        })
    }

    /// The same fit with its first `rounds` rounds, or all that it has if they are fewer.
    ///
    /// # Errors
    /// If the model was loaded: a bundle keeps no more than is used.
    pub fn with_rounds(&self, rounds: usize) -> Result<GbdtModel> {
        if self.course.trees.is_empty() {
            return Err(Error::request(format!("{NAME}: a loaded model cannot be cut to {rounds} rounds")));
        }
        let rounds = rounds.clamp(1, self.course.trees.len() / self.params.trees_per_round());
        let coders = self.forest.coders().to_vec();
        GbdtModel::new(self.params.clone(), self.spec.clone(), coders, self.course.clone(), rounds)
    }

    /// Training rows by weight, as far as they were drawn for the first tree.
    pub(super) fn n_train(&self) -> f64 {
        self.covers.first().map_or(0.0, |covers| covers.iter().sum())
    }

    /// The settings it was fitted with.
    pub fn params(&self) -> &GbdtParams {
        &self.params
    }
    /// The features it sees.
    pub fn spec(&self) -> &FrameSpec {
        &self.spec
    }
    /// The trees and how cells become codes.
    pub fn forest(&self) -> &Forest {
        &self.forest
    }
    /// Rounds: trees per output and bag.
    pub fn n_rounds(&self) -> usize {
        self.forest.trees().len() / self.params.trees_per_round()
    }
    /// Loss on the validation rows at the kept round, if there were any: log loss or mean squared error.
    pub fn valid_loss(&self) -> Option<f64> {
        self.valid_loss
    }
    /// Training loss that the splits on each feature saved, times two.
    pub fn gain_by_feature(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.spec.features.len()];
        for (tree, gains) in self.forest.trees().iter().zip(&self.gains) {
            for (node, gain) in tree.nodes.iter().zip(gains) {
                sums[node.column as usize] += gain;
            }
        }
        sums
    }

    /// The columns of a frame that has the model's features.
    pub(super) fn columns<'a>(&self, frame: &'a Frame) -> Result<Vec<Cells<'a>>> {
        let own = &self.spec.features;
        let theirs = &frame.spec.features;
        if frame.columns.len() != own.len() || theirs.len() != own.len() {
            let n = frame.columns.len();
            return Err(Error::request(format!("{NAME}: {n} features, the model has {}", own.len())));
        }
        for (i, ((own, theirs), column)) in own.iter().zip(theirs).zip(&frame.columns).enumerate() {
            if own.name != theirs.name {
                let (name, wanted) = (&theirs.name, &own.name);
                return Err(Error::request(format!("{NAME}: feature {i} is «{name}», the model needs «{wanted}»")));
            }
            if column.len() != frame.n_rows {
                let n = column.len();
                return Err(Error::request(format!("feature «{}» has {n} rows of {}", own.name, frame.n_rows)));
            }
            if let (statera_core::Column::Codes(_), None) | (statera_core::Column::Number(_), Some(_)) =
                (column, &own.levels)
            {
                let wanted = if own.levels.is_some() { "levels" } else { "numbers" };
                return Err(Error::request(format!("feature «{}» must hold {wanted}, as in training", own.name)));
            }
        }
        Ok(frame.columns.iter().map(cells).collect())
    }
}

impl Model for GbdtModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        let columns = self.columns(frame)?;
        let n_outputs = self.forest.n_outputs();
        let mut margins = vec![0.0; frame.n_rows * n_outputs];
        let score = |scratch: &mut Scratch, start: usize, out: &mut [f64]| {
            let rows = start..start + out.len() / n_outputs;
            let columns: Vec<Cells> = columns.iter().map(|c| c.slice(rows.clone())).collect();
            self.forest.score_with(scratch, &columns, out).map_err(|e| Error::request(format!("{NAME}: {e}")))
        };
        // Several blocks to a task, and several tasks to a scratch.
        let task = 8 * BLOCK_ROWS;
        if frame.n_rows <= BLOCK_ROWS {
            score(&mut Scratch::default(), 0, &mut margins)?;
        } else {
            let tasks = margins.par_chunks_mut(task * n_outputs).enumerate();
            tasks.try_for_each_init(Scratch::default, |scratch, (i, out)| score(scratch, i * task, out))?;
        }
        Ok(Scores { n_outputs, margins })
    }

    /// Shapley values of the features (Lundberg et al. 2020), exact, added up by raw column. Without a background they are
    /// path-dependent, with the training rows of each leaf as its cover, and the base is the mean margin of the training
    /// rows as the trees know them. With one they are interventional, the mean over its rows (weights are not used), and
    /// the base is the mean margin of these rows.
    ///
    /// # Errors
    /// A frame or a background of other features, or a background without rows.
    fn attribute(&self, frame: &Frame, background: &Background) -> Result<Attributions> {
        let columns = self.columns(frame)?;
        let Some(background) = &background.frame else {
            let shares = self.shares.get_or_init(|| Shares::new(&self.forest, &self.covers, &self.spec));
            return shares.attribute(&self.forest, &columns, frame.n_rows);
        };
        if background.n_rows == 0 {
            return Err(Error::request(format!("{NAME}: the background has no rows, at least one is needed")));
        }
        let theirs = self.columns(background)?;
        let margins = self.predict(background)?;
        let mean =
            |output| (0..background.n_rows).map(|r| margins.row(r)[output]).sum::<f64>() / background.n_rows as f64;
        let base = (0..self.forest.n_outputs()).map(mean).collect();
        let paths = self.paths.get_or_init(|| Paths::new(&self.forest, &self.spec));
        paths.interventional(&self.forest, &columns, frame.n_rows, (&theirs, background.n_rows), base)
    }

    fn save(&self) -> Parts {
        save(self)
    }

    fn describe(&self) -> Vec<(String, String)> {
        let trees = self.forest.trees();
        let leaves: usize = trees.iter().map(|t| t.leaves.len()).sum();
        let mut figures = vec![
            ("rounds".to_owned(), self.n_rounds().to_string()),
            ("trees".to_owned(), trees.len().to_string()),
            ("leaves".to_owned(), leaves.to_string()),
        ];
        if let Some(loss) = self.valid_loss {
            figures.push(("validation loss".to_owned(), format!("{loss:.6}")));
        }
        figures
    }

    /// Of a loaded model there is none: a bundle keeps no more rounds than are used.
    fn learning_curve(&self) -> Option<LearningCurve> {
        let Course { trees, curve, losses, .. } = &*self.course;
        let loss_at = |round: usize| losses.binary_search_by_key(&round, |l| l.0).ok().map(|i| losses[i].1);
        let n_rounds = trees.len() / self.params.trees_per_round();
        let point = |round| LearningPoint { unit: round, loss: loss_at(round), figure: curve.get(round - 1).copied() };
        let figure = match self.params.task {
            Task::Regression => "mean squared error",
            _ => "log loss",
        };
        let points = (1..=curve.len()).map(point).collect();
        let curve = LearningCurve {
            unit: "tree".into(),
            figure: (!curve.is_empty()).then(|| figure.into()),
            higher_is_better: false,
            kept: self.n_rounds(),
            n_units: n_rounds,
            points,
        };
        // A refit has no rows to be judged by, and so no course to show.
        (!curve.points.is_empty()).then(|| curve.thinned())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// What is read by people.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    family: String,
    params: GbdtParams,
    spec: FrameSpec,
    n_trees: usize,
}

/// Names of the arrays.
mod array {
    pub const BASE: &str = "boosting.base";
    pub const VALID_LOSS: &str = "boosting.valid_loss";
    pub const EDGES: &str = "boosting.edges";
    pub const EDGE_COUNTS: &str = "boosting.edge_counts";
    pub const LEVEL_CODES: &str = "boosting.level_codes";
    pub const TREE_LEAVES: &str = "boosting.tree_leaves";
    pub const NODE_COLUMNS: &str = "boosting.node_columns";
    pub const NODE_CHILDREN: &str = "boosting.node_children";
    pub const NODE_CODES: &str = "boosting.node_codes";
    pub const NODE_GAINS: &str = "boosting.node_gains";
    pub const LEAF_VALUES: &str = "boosting.leaf_values";
    pub const LEAF_COVERS: &str = "boosting.leaf_covers";
}

fn save(model: &GbdtModel) -> Parts {
    let header = Header {
        family: NAME.to_owned(),
        params: model.params.clone(),
        spec: (*model.spec).clone(),
        n_trees: model.forest.trees().len(),
    };
    let mut parts = Parts { json: serde_json::to_value(header).unwrap_or_default(), ..Parts::default() };
    let mut put = |name: &str, data| parts.tensors.insert(name.to_owned(), Tensor::vector(data));
    let (mut edges, mut edge_counts, mut level_codes) = (Vec::new(), Vec::new(), Vec::new());
    for coder in model.forest.coders() {
        match coder {
            Coder::Number { edges: e, .. } => {
                edge_counts.push(e.len() as i32);
                edges.extend_from_slice(e);
            }
            Coder::Level { codes } => level_codes.extend_from_slice(codes),
        }
    }
    let trees = model.forest.trees();
    let nodes = || trees.iter().flat_map(|t| &t.nodes);
    put(array::BASE, TensorData::F64(model.forest.base().to_vec()));
    put(array::VALID_LOSS, TensorData::F64(model.valid_loss.into_iter().collect()));
    put(array::EDGES, TensorData::F64(edges));
    put(array::EDGE_COUNTS, TensorData::I32(edge_counts));
    put(array::LEVEL_CODES, TensorData::U8(level_codes));
    put(array::TREE_LEAVES, TensorData::I32(trees.iter().map(|t| t.leaves.len() as i32).collect()));
    put(array::NODE_COLUMNS, TensorData::I32(nodes().map(|n| n.column as i32).collect()));
    put(array::NODE_CHILDREN, TensorData::I32(nodes().flat_map(|n| n.children).collect()));
    put(array::NODE_CODES, TensorData::U8(nodes().flat_map(|n| n.left).flat_map(u64::to_le_bytes).collect()));
    put(array::NODE_GAINS, TensorData::F64(model.gains.concat()));
    put(array::LEAF_VALUES, TensorData::F64(trees.iter().flat_map(|t| t.leaves.clone()).collect()));
    put(array::LEAF_COVERS, TensorData::F64(model.covers.concat()));
    parts
}

/// Reads a saved model.
///
/// # Errors
/// A damaged part: an absent or surplus array, a wrong length, an index out of range, a number that is not finite.
pub fn load(parts: &Parts) -> Result<Box<dyn Model>> {
    Ok(Box::new(load_model(parts)?))
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::damaged(format!("{NAME}: {what}"))
}

pub(crate) fn load_model(parts: &Parts) -> Result<GbdtModel> {
    let header: Header = serde_json::from_value(parts.json.clone()).map_err(|e| damaged(format!("model.json: {e}")))?;
    if header.family != NAME {
        return Err(damaged(format!("the model is of the family «{}»", header.family)));
    }
    header.params.check().map_err(|e| damaged(format!("model.json: {e}")))?;
    let base = parts.f64s(array::BASE)?.to_vec();
    let n_outputs = header.params.task.n_outputs();
    if base.len() != n_outputs || !header.n_trees.is_multiple_of(header.params.trees_per_round()) {
        return Err(damaged(format!(
            "{} base margins and {} trees for {n_outputs} outputs",
            base.len(),
            header.n_trees
        )));
    }
    check_spec(&header.spec)?;
    let coders = load_coders(parts, &header.spec)?;
    let (trees, gains, covers) = load_trees(parts, header.n_trees, n_outputs)?;
    let valid_loss = match parts.f64s(array::VALID_LOSS)? {
        [] => None,
        &[loss] if loss.is_finite() => Some(loss),
        other => return Err(damaged(format!("the validation loss is {other:?}"))),
    };
    Ok(GbdtModel {
        params: header.params,
        spec: Arc::new(header.spec),
        forest: Forest::new(coders, base, trees).map_err(damaged)?,
        gains,
        covers,
        valid_loss,
        course: Arc::default(),
        shares: OnceLock::new(),
        paths: OnceLock::new(),
    })
}

fn check_spec(spec: &FrameSpec) -> Result<()> {
    match spec.features.iter().find(|f| f.raw >= spec.raw_columns.len()) {
        Some(f) => {
            let n = spec.raw_columns.len();
            Err(damaged(format!("feature «{}» comes from raw column {}, there are {n}", f.name, f.raw)))
        }
        None => Ok(()),
    }
}

/// Takes values off the front of an array.
struct Reader<'a, T> {
    rest: &'a [T],
    name: &'a str,
}

impl<'a, T> Reader<'a, T> {
    fn take(&mut self, n: usize) -> Result<&'a [T]> {
        let taken = self.rest.get(..n).ok_or_else(|| damaged(format!("the array «{}» is too short", self.name)))?;
        self.rest = &self.rest[n..];
        Ok(taken)
    }
    fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(damaged(format!("the array «{}» is too long", self.name))) }
    }
}

fn load_coders(parts: &Parts, spec: &FrameSpec) -> Result<Vec<Coder>> {
    let mut edges = Reader { rest: parts.f64s(array::EDGES)?, name: array::EDGES };
    let mut counts = Reader { rest: parts.i32s(array::EDGE_COUNTS)?, name: array::EDGE_COUNTS };
    let mut codes = Reader { rest: parts.u8s(array::LEVEL_CODES)?, name: array::LEVEL_CODES };
    let mut coders = Vec::with_capacity(spec.features.len());
    for feature in &spec.features {
        coders.push(match &feature.levels {
            Some(levels) => {
                Coder::Level { codes: codes.take(statera_core::FIRST_LEVEL as usize + levels.len())?.to_vec() }
            }
            None => {
                let n = usize::try_from(counts.take(1)?[0]).map_err(|_| damaged("a number of edges is negative"))?;
                Coder::Number { edges: edges.take(n)?.to_vec(), sentinels: feature.sentinels.clone() }
            }
        });
    }
    edges.end()?;
    counts.end()?;
    codes.end()?;
    Ok(coders)
}

type Trees = (Vec<Tree>, Vec<Vec<f64>>, Vec<Vec<f64>>);

fn load_trees(parts: &Parts, n_trees: usize, n_outputs: usize) -> Result<Trees> {
    let sizes = parts.i32s(array::TREE_LEAVES)?;
    if sizes.len() != n_trees {
        return Err(damaged(format!("{} tree sizes for {n_trees} trees", sizes.len())));
    }
    let mut columns = Reader { rest: parts.i32s(array::NODE_COLUMNS)?, name: array::NODE_COLUMNS };
    let mut children = Reader { rest: parts.i32s(array::NODE_CHILDREN)?, name: array::NODE_CHILDREN };
    let mut codes = Reader { rest: parts.u8s(array::NODE_CODES)?, name: array::NODE_CODES };
    let mut gains = Reader { rest: parts.f64s(array::NODE_GAINS)?, name: array::NODE_GAINS };
    let mut values = Reader { rest: parts.f64s(array::LEAF_VALUES)?, name: array::LEAF_VALUES };
    let mut covers = Reader { rest: parts.f64s(array::LEAF_COVERS)?, name: array::LEAF_COVERS };
    let (mut trees, mut all_gains, mut all_covers) = (Vec::new(), Vec::new(), Vec::new());
    for (i, &size) in sizes.iter().enumerate() {
        let n_leaves = usize::try_from(size).ok().filter(|&n| (1..=4096).contains(&n));
        let n_leaves = n_leaves.ok_or_else(|| damaged(format!("tree {i} has {size} leaves, allowed is 1 to 4096")))?;
        let mut nodes = Vec::with_capacity(n_leaves - 1);
        for _ in 1..n_leaves {
            let column = u32::try_from(columns.take(1)?[0]).map_err(|_| damaged("a node's column is negative"))?;
            let child = children.take(2)?;
            let bytes = codes.take(32)?;
            let word = |w: usize| (0..8).fold(0, |word, b| word | u64::from(bytes[8 * w + b]) << (8 * b));
            nodes.push(Node { column, left: std::array::from_fn(word), children: [child[0], child[1]] });
        }
        let (gain, cover) = (gains.take(n_leaves - 1)?, covers.take(n_leaves)?);
        if gain.iter().chain(cover).any(|x| !x.is_finite() || *x < 0.0) {
            return Err(damaged(format!("tree {i} has a gain or a cover that is negative or not finite")));
        }
        trees.push(Tree { output: i % n_outputs, nodes, leaves: values.take(n_leaves)?.to_vec() });
        all_gains.push(gain.to_vec());
        all_covers.push(cover.to_vec());
    }
    columns.end()?;
    children.end()?;
    codes.end()?;
    gains.end()?;
    values.end()?;
    covers.end()?;
    Ok((trees, all_gains, all_covers))
}
