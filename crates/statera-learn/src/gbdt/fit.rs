//! The boosting loop.

use super::bin::{encode, fit_coders, sample};
use super::grow::{Grower, Grown};
use super::model::GbdtModel;
use super::objective::{Labels, check_target, derivatives, loss, start};
use super::split::{Kind, Rules};
use super::{GbdtParams, NAME};
use rayon::prelude::*;
use statera_core::{Error, Frame, Result, Rng, Run};
use statera_kernel::histogram::{Cell, CodeMatrix};
use statera_kernel::tree::{Coder, Tree};
use std::borrow::Cow;
use std::sync::Arc;

/// Rows a task of a tree's traversal takes.
const CHUNK: usize = 4_096;
/// The training loss is measured this many times in the most rounds of a fit with validation rows, to be seen beside
/// theirs: it costs a pass over the rows, a quarter of a round's time, and nothing depends on it.
const TRAINING_LOSSES: usize = 200;
/// The stream of the generator that bags' seeds are drawn from.
const BAGS: u64 = 0x6261_6773;
/// Most rows of a fit: beyond, histogram cells would keep too few bits of a hessian.
const MAX_ROWS: usize = 1 << 26;

/// Fits in a pool of `run.threads` threads; the result does not depend on their number.
pub(super) fn fit(params: &GbdtParams, train: &Frame, valid: &Frame, run: &Run) -> Result<GbdtModel> {
    if rayon::current_num_threads() == run.threads {
        return fit_here(params, train, valid, run);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(run.threads)
        .build()
        .map_err(|e| Error::io(format!("cannot start {} threads: {e}", run.threads)))?;
    pool.install(|| fit_here(params, train, valid, run))
}

fn fit_here(params: &GbdtParams, train: &Frame, valid: &Frame, run: &Run) -> Result<GbdtModel> {
    let (train, labels) = labelled(params, train, "training rows")?;
    // Weights and bags move the odds of all rows alike: those of the trees' sum are again those of the rows as they are (King &
    // Zeng 2001).
    let base = start(params.task, &labels)?;
    let rare = &params.imbalance;
    let train = rare.weighted(train);
    let labels = if rare.positive_weight == 1.0 { labels } else { labelled(params, &train, "training rows")?.1 };
    // Edges are those of all rows, so that the trees of all bags are one forest.
    let coders = fit_coders(params, &train, &labels.weight, run.seed)?;
    let bags: Vec<Bag> = match rare.draws(&labels.target, run.seed)? {
        None => vec![Bag { matrix: encode(&coders, &train)?, labels }],
        Some(draws) => {
            let bag = |rows: &Vec<usize>| -> Result<Bag> {
                let drawn = train.take(rows);
                Ok(Bag { matrix: encode(&coders, &drawn)?, labels: labelled(params, &drawn, "rows of a bag")?.1 })
            };
            draws.iter().map(bag).collect::<Result<_>>()?
        }
    };
    let kinds = kinds(&train, &coders);
    let mut boosts: Vec<Boost> = Vec::with_capacity(bags.len());
    for (number, bag) in bags.iter().enumerate() {
        boosts.push(Boost::new(params, bag, &kinds, run.seed, number)?);
    }
    let valid = (valid.n_rows > 0).then(|| Validation::new(params, valid, &coders, &base)).transpose()?;
    let mut course = Course { base, ..Course::default() };
    rounds(params, &mut boosts, valid, &mut course, run)?;
    let n_rounds = course.trees.len() / params.trees_per_round();
    let best = if params.patience > 0 { smallest(&course.curve).unwrap_or(n_rounds) } else { n_rounds };
    GbdtModel::new(params.clone(), train.spec.clone(), coders, Arc::new(course), best)
}

/// What a fit grew before it stopped: the kept rounds and, with patience, some beyond the best one.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The margins before any tree.
    pub(super) base: Vec<f64>,
    /// Trees with their nodes' gains and leaves' covers, one per round and output.
    pub(super) trees: Vec<(Tree, Vec<f64>, Vec<f64>)>,
    /// Validation loss after each round; empty without validation rows.
    pub(super) curve: Vec<f64>,
    /// Rounds and the training loss after them.
    pub(super) losses: Vec<(usize, f64)>,
}

/// The number of rounds after which a validation curve is smallest, the fewest of equals; `None` of an empty one.
pub(super) fn smallest(curve: &[f64]) -> Option<usize> {
    (0..curve.len()).reduce(|best, i| if curve[i] < curve[best] { i } else { best }).map(|i| i + 1)
}

/// The rows of positive weight with their checked labels.
fn labelled<'a>(params: &GbdtParams, frame: &'a Frame, place: &str) -> Result<(Cow<'a, Frame>, Labels)> {
    let n = frame.n_rows;
    if frame.columns.len() != frame.spec.features.len() || frame.columns.iter().any(|c| c.len() != n) {
        return Err(Error::request(format!(
            "{NAME}, {place}: a frame of codes with {} columns of {n} rows is needed",
            frame.spec.features.len()
        )));
    }
    if frame.columns.is_empty() {
        return Err(Error::data(format!("{NAME}, {place}: there is no feature, at least one is needed")));
    }
    if n > MAX_ROWS {
        return Err(Error::data(format!("{NAME}, {place}: {n} rows, at most {MAX_ROWS} are allowed")));
    }
    check_target(params.task, &frame.target, n, place)?;
    let Some(weight) = &frame.weight else {
        let labels = Labels::new(frame.target.clone(), Vec::new());
        return at_least_one_row(Cow::Borrowed(frame), labels, place);
    };
    if weight.len() != n {
        return Err(Error::request(format!("{place}: {} weights for {n} rows", weight.len())));
    }
    if let Some(row) = weight.iter().position(|&w| !(0.0..=1e9).contains(&w)) {
        let w = weight[row];
        return Err(Error::data(format!("{place}, row {row}: weight is {w}, allowed is 0 to 1e9")));
    }
    let frame = if weight.contains(&0.0) {
        Cow::Owned(frame.take(&(0..n).filter(|&r| weight[r] > 0.0).collect::<Vec<_>>()))
    } else {
        Cow::Borrowed(frame)
    };
    let labels = Labels::new(frame.target.clone(), frame.weight.clone().unwrap_or_default());
    at_least_one_row(frame, labels, place)
}

fn at_least_one_row<'a>(frame: Cow<'a, Frame>, labels: Labels, place: &str) -> Result<(Cow<'a, Frame>, Labels)> {
    if frame.n_rows == 0 {
        return Err(Error::data(format!("{place}: there is no row of positive weight, at least two are needed")));
    }
    Ok((frame, labels))
}

fn kinds(frame: &Frame, coders: &[Coder]) -> Vec<Kind> {
    let kind = |(spec, coder): (&statera_core::FeatureSpec, &Coder)| match coder {
        Coder::Number { sentinels, .. } => Kind::Number { n_special: 1 + sentinels.len(), monotone: spec.monotone },
        Coder::Level { .. } => Kind::Level,
    };
    frame.spec.features.iter().zip(coders).map(kind).collect()
}

/// Columns with at least two codes among the rows.
fn splittable(matrix: &CodeMatrix) -> Vec<bool> {
    (0..matrix.n_columns())
        .into_par_iter()
        .map(|column| (1..matrix.n_rows()).any(|row| matrix.code(row, column) != matrix.code(0, column)))
        .collect()
}

/// Validation rows and their margins so far.
struct Validation {
    matrix: CodeMatrix,
    labels: Labels,
    margins: Vec<Vec<f64>>,
}

impl Validation {
    fn new(params: &GbdtParams, frame: &Frame, coders: &[Coder], base: &[f64]) -> Result<Validation> {
        let (frame, labels) = labelled(params, frame, "validation rows")?;
        if frame.columns.len() != coders.len() {
            let n = frame.columns.len();
            return Err(Error::request(format!(
                "validation rows: {n} features, the training rows have {}",
                coders.len()
            )));
        }
        let matrix = encode(coders, &frame)?;
        Ok(Validation { matrix, margins: base.iter().map(|&b| vec![b; labels.n_rows()]).collect(), labels })
    }

    /// Adds a round's trees and returns the loss.
    fn add(&mut self, params: &GbdtParams, trees: &[(Tree, Vec<f64>, Vec<f64>)]) -> f64 {
        for (tree, _, _) in trees {
            add_tree(tree, &self.matrix, &mut self.margins[tree.output]);
        }
        loss(params, &self.margins, &self.labels.target, &self.labels.weight)
    }
}

/// Adds a tree's leaf values to the margins of all rows of a matrix.
fn add_tree(tree: &Tree, matrix: &CodeMatrix, margins: &mut [f64]) {
    margins.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, margins)| {
        for (i, margin) in margins.iter_mut().enumerate() {
            *margin += tree.leaves[tree.leaf(|column| matrix.code(chunk * CHUNK + i, column))];
        }
    });
}

/// Rows that trees of their own are grown on: all of them, or a balanced draw.
struct Bag {
    matrix: CodeMatrix,
    labels: Labels,
}

/// The state of the loop on the rows of a bag.
struct Boost<'a> {
    params: &'a GbdtParams,
    matrix: &'a CodeMatrix,
    labels: &'a Labels,
    kinds: &'a [Kind],
    splittable: Vec<bool>,
    /// Margins of the training rows, one vector per output.
    margins: Vec<Vec<f64>>,
    cells: Vec<Vec<Cell>>,
    /// The last round's trees with their nodes' gains and leaves' covers.
    trees: Vec<(Tree, Vec<f64>, Vec<f64>)>,
    seed: u64,
}

/// Grows trees until patience ends or nothing can split, and notes them with the validation loss after each round.
fn rounds(
    params: &GbdtParams,
    boosts: &mut [Boost<'_>],
    mut valid: Option<Validation>,
    course: &mut Course,
    run: &Run,
) -> Result<()> {
    let mut growers: Vec<Grower> = boosts.iter().map(|b| Grower::new(b.matrix, b.kinds)).collect();
    let mut best = (0, f64::INFINITY);
    let every = params.max_trees.div_ceil(TRAINING_LOSSES);
    // A forest adds up its trees: those of a bag count by its share of the mean.
    let share = 1.0 / boosts.len() as f64;
    run.progress.start(NAME, params.max_trees as u64);
    for round in 0..params.max_trees {
        run.check()?;
        let mut has_split = false;
        for (boost, grower) in boosts.iter_mut().zip(&mut growers) {
            has_split |= boost.round(round, grower);
        }
        if !has_split {
            break;
        }
        let first = course.trees.len();
        for boost in boosts.iter_mut() {
            let scaled = boost.trees.drain(..).map(|(mut tree, gains, covers)| {
                tree.leaves.iter_mut().for_each(|leaf| *leaf *= share);
                (tree, gains, covers)
            });
            course.trees.extend(scaled);
        }
        let Some(valid) = &mut valid else {
            run.progress.update(round as u64 + 1, &format!("tree {}", round + 1));
            continue;
        };
        if round.is_multiple_of(every) {
            let losses = boosts.iter().map(|b| loss(params, &b.margins, &b.labels.target, &b.labels.weight));
            course.losses.push((round + 1, share * losses.sum::<f64>()));
        }
        let loss = valid.add(params, &course.trees[first..]);
        course.curve.push(loss);
        if loss < best.1 {
            best = (round, loss);
        }
        run.progress.update(round as u64 + 1, &format!("tree {}, validation loss {loss:.5}", round + 1));
        if params.patience > 0 && round - best.0 >= params.patience {
            break;
        }
    }
    run.progress.finish();
    Ok(())
}

impl<'a> Boost<'a> {
    fn new(params: &'a GbdtParams, bag: &'a Bag, kinds: &'a [Kind], seed: u64, number: usize) -> Result<Boost<'a>> {
        let labels = &bag.labels;
        let base = start(params.task, labels)?;
        Ok(Boost {
            params,
            margins: base.iter().map(|&b| vec![b; labels.n_rows()]).collect(),
            cells: vec![vec![Cell::default(); labels.n_rows()]; base.len()],
            splittable: splittable(&bag.matrix),
            matrix: &bag.matrix,
            labels,
            kinds,
            trees: Vec::new(),
            // The first bag draws as a fit without bags does.
            seed: if number == 0 { seed } else { Rng::fork(seed, (BAGS << 32) + number as u64).next_u64() },
        })
    }

    /// Grows a tree per output; false if none could split, so that no later round can either.
    fn round(&mut self, round: usize, grower: &mut Grower) -> bool {
        let packings = derivatives(self.params, self.labels, &self.margins, &mut self.cells);
        let n_outputs = self.margins.len();
        let is_drawn = self.params.row_share < 1.0 || self.params.column_share < 1.0;
        let mut has_split = is_drawn && self.splittable.contains(&true);
        for (output, packing) in packings.into_iter().enumerate() {
            let rules = Rules { params: self.params, packing, count_unit: self.labels.count_unit };
            let mut rng = Rng::fork(self.seed, (round * n_outputs + output) as u64);
            let mut rows = self.draw_rows(&mut rng);
            let wanted = self.draw_columns(&mut rng);
            let grown = grower.grow(&rules, &self.cells[output], &mut rows, &wanted);
            has_split |= !grown.nodes.is_empty();
            self.add(output, grown, &rows);
        }
        has_split
    }

    fn draw_rows(&self, rng: &mut Rng) -> Vec<u32> {
        let n = self.labels.n_rows();
        if self.params.row_share == 1.0 {
            return (0..n as u32).collect();
        }
        let wanted = ((n as f64 * self.params.row_share).round() as usize).max(1);
        sample(n, wanted, rng).into_iter().map(|row| row as u32).collect()
    }

    fn draw_columns(&self, rng: &mut Rng) -> Vec<bool> {
        if self.params.column_share == 1.0 {
            return self.splittable.clone();
        }
        let usable: Vec<usize> = (0..self.splittable.len()).filter(|&c| self.splittable[c]).collect();
        let n_wanted = ((usable.len() as f64 * self.params.column_share).round() as usize).max(1);
        let mut wanted = vec![false; self.splittable.len()];
        for i in sample(usable.len(), n_wanted.min(usable.len()), rng) {
            wanted[usable[i]] = true;
        }
        wanted
    }

    /// Keeps a tree and moves the training margins; rows that it did not see are sent down the tree.
    fn add(&mut self, output: usize, grown: Grown, rows: &[u32]) {
        let rate = self.params.learning_rate;
        // Without a split, a leaf's value would only be the noise of the drawn rows: the base has the mean already.
        let rate = if grown.nodes.is_empty() { 0.0 } else { rate };
        let leaves: Vec<f64> = grown.values.iter().map(|v| v * rate).collect();
        let tree = Tree { output, nodes: grown.nodes, leaves };
        let margins = &mut self.margins[output];
        if rows.len() < self.labels.n_rows() {
            add_tree(&tree, self.matrix, margins);
        } else {
            for (range, value) in grown.ranges.into_iter().zip(&tree.leaves) {
                rows[range].iter().for_each(|&row| margins[row as usize] += value);
            }
        }
        self.trees.push((tree, grown.gains, grown.covers));
    }
}
