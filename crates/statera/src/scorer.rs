//! The one scoring function: training's evaluation, batch scoring and everything served later call [`Scorer::score`].
//!
//! It gives the same bits for a row alone or in any batch, with any number of threads, on any x86-64 CPU: preparing is
//! row by row, models predict through `statera-kernel`, members are summed in their order, calibration has its own
//! arithmetic.

use crate::segment::CodeClusterModel;
use arrow_array::RecordBatch;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{Attributions, Background, Error, Frame, Model, Result, Task};
use statera_data::conform::{self, InputColumn, RowOrigin};
use statera_data::preparer::Preparer;
use statera_data::time::Zone;
use statera_learn::calibration::Calibrator;
use statera_nn::model::AutoencoderModel;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows that are prepared and scored as one piece; small enough to stay in a core's cache.
const BLOCK_ROWS: usize = 4096;

/// What a model was trained on and what it answers: `schema.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// What is predicted.
    pub task: Task,
    /// Name of the target column.
    pub target: String,
    /// Classes by index; of two, the second is the event.
    pub classes: Vec<String>,
    /// The raw columns that are read, in the order of training.
    pub inputs: Vec<InputColumn>,
    /// The row's name, where one was declared.
    pub id: Option<String>,
    /// The observation time, where one was declared.
    pub time: Option<String>,
    /// IANA zone of times that name none.
    pub tz: String,
    /// Values that stand for something else than an amount, by column.
    pub sentinels: BTreeMap<String, Vec<String>>,
    /// Unit by column.
    pub units: BTreeMap<String, String>,
    /// Sensitivity by column.
    pub sensitivity: BTreeMap<String, crate::project::Sensitivity>,
    /// What a column may be used for, by column.
    pub purposes: BTreeMap<String, Vec<String>>,
    /// What the model is for.
    pub purpose: String,
}

/// One of the models whose margins are averaged, with the preparer fitted on the same rows.
#[derive(Clone)]
pub struct Member {
    /// Its family by name.
    pub family: &'static str,
    /// Its share of the average, in parts of the sum of all weights; at least 1.
    pub weight: u32,
    /// Turns raw columns into the model's features.
    pub preparer: Arc<Preparer>,
    /// The model.
    pub model: Arc<dyn Model>,
}

/// Where the rows of a batch come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowSource {
    /// True if the source has text only, so that empty cells and other missing tokens are missing in every column.
    pub is_text: bool,
    /// Rows of the table before the batch, for messages.
    pub first_row: usize,
}

/// Margins and probabilities of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scored {
    /// Values a row has: 1 (binary: of the event; regression: the prediction) or the number of classes.
    pub n_outputs: usize,
    /// Row-major margins.
    pub margins: Vec<f64>,
    /// Row-major calibrated probabilities; for a regression the predictions again.
    pub probabilities: Vec<f64>,
}

/// Everything needed to score a raw row.
pub struct Scorer {
    schema: Schema,
    members: Vec<Member>,
    calibrator: Calibrator,
    zone: Zone,
}

impl Scorer {
    /// A scorer of its parts; `members` is not empty.
    ///
    /// # Errors
    /// A time zone that is not known, members that see different raw columns, a weight of 0.
    pub fn new(schema: Schema, members: Vec<Member>, calibrator: Calibrator) -> Result<Self> {
        assert!(!members.is_empty(), "a scorer has at least one member");
        let columns = members[0].preparer.raw_columns();
        if members.iter().any(|m| m.preparer.raw_columns() != columns) {
            return Err(Error::damaged("the members of the model see different columns"));
        }
        if members.iter().any(|m| m.weight == 0) {
            return Err(Error::damaged("a member of the model has weight 0; at least 1 is allowed"));
        }
        let zone = Zone::new(Some(&schema.tz))?;
        Ok(Scorer { schema, members, calibrator, zone })
    }

    /// What it reads and answers.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
    /// The models whose margins are averaged.
    pub fn members(&self) -> &[Member] {
        &self.members
    }
    /// From margins to probabilities.
    pub fn calibrator(&self) -> &Calibrator {
        &self.calibrator
    }
    /// Scores raw rows: columns by name, in any order, of any type that converts without loss; others are ignored.
    ///
    /// # Errors
    /// Missing columns and cells that cannot be what they were in training; the message names column, row and value.
    pub fn score(&self, batch: &RecordBatch) -> Result<Scored> {
        self.score_rows(batch, false, 0)
    }

    /// As [`Scorer::score`], for a part of a table: `is_text` says that its source has text only, so that empty cells and
    /// other missing tokens are missing in every column; `first_row` counts the rows before, for messages.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn score_rows(&self, batch: &RecordBatch, is_text: bool, first_row: usize) -> Result<Scored> {
        let inputs = self.inputs(batch, RowSource { is_text, first_row })?;
        let margins = self.blocks(&inputs, |block| self.margins(block, &mut Prepared::default()))?.concat();
        let n_outputs = self.schema.task.n_outputs();
        if let Some(at) = margins.iter().position(|m| !m.is_finite()) {
            let row = first_row + at / n_outputs + 1;
            return Err(Error::data(format!(
                "row {row}: the score is {}; a number in it is too large to be scored",
                margins[at]
            )));
        }
        let calibrate = |margins: &[f64]| self.calibrator.probabilities(self.schema.task, margins);
        let probabilities = margins.par_chunks(n_outputs * BLOCK_ROWS).map(calibrate).collect::<Vec<_>>().concat();
        Ok(Scored { n_outputs, margins, probabilities })
    }

    /// The autoencoder whose code the bundle can give: of several, of folds, the first, because their codes have nothing to do
    /// with each other.
    ///
    /// # Errors
    /// A bundle without an autoencoder.
    pub fn encoder(&self) -> Result<(&Member, &AutoencoderModel)> {
        let member = &self.members[0];
        let model = member.model.as_any();
        let alone = model.downcast_ref::<AutoencoderModel>();
        let encoder = alone.or_else(|| model.downcast_ref::<CodeClusterModel>().map(CodeClusterModel::encoder));
        encoder.map(|encoder| (member, encoder)).ok_or_else(|| {
            Error::request(format!(
                "--code: the bundle's model is «{}», which has no code; train one with --models autoencoder --prefer best, \
                 or segments with --models kmeans_code",
                member.family
            ))
        })
    }

    /// What the bundle's autoencoder squeezes raw rows into, n × d; `is_text` and `first_row` as in [`Scorer::score_rows`].
    ///
    /// # Errors
    /// As [`Scorer::score`] and [`Scorer::encoder`].
    pub fn codes(&self, batch: &RecordBatch, is_text: bool, first_row: usize) -> Result<Vec<f32>> {
        let (member, encoder) = self.encoder()?;
        encoder.encode(&member.preparer.transform(&self.inputs(batch, RowSource { is_text, first_row })?)?)
    }

    /// What each raw column adds to the margins, averaged over the members as the margins are. The sum of every row is
    /// checked against its margin.
    ///
    /// # Errors
    /// As [`Scorer::score`]; a row whose contributions do not add up.
    pub fn attribute(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.attribute_rows(batch, RowSource::default())
    }

    /// As [`Scorer::attribute`], for a part of a table.
    ///
    /// # Errors
    /// As [`Scorer::attribute`].
    pub fn attribute_rows(&self, batch: &RecordBatch, source: RowSource) -> Result<Attributions> {
        self.attribute_against(batch, source, None)
    }

    /// As [`Scorer::attribute_rows`], measured against background rows where they are given: boosting then has interventional
    /// Shapley values, whose base is the mean margin of these rows; the other models have one way of attributing.
    ///
    /// # Errors
    /// As [`Scorer::attribute`]; background rows that are no rows of this scorer, or none.
    pub fn attribute_against(
        &self,
        batch: &RecordBatch,
        source: RowSource,
        background: Option<&RecordBatch>,
    ) -> Result<Attributions> {
        let inputs = self.inputs(batch, source)?;
        let background = match background {
            None => vec![Background::default(); self.members.len()],
            Some(rows) => {
                let of = |member| self.frame(member, rows).map(|frame| Background { frame: Some(frame) });
                self.members.iter().map(of).collect::<Result<_>>()?
            }
        };
        let blocks = self.blocks(&inputs, |block| self.attribute_block(block, &background))?;
        let mut all = Attributions::default();
        for block in blocks {
            let (values, remainder) = (std::mem::take(&mut all.values), std::mem::take(&mut all.remainder));
            all = Attributions { values, remainder, ..block.clone() };
            all.values.extend(block.values);
            all.remainder.extend(block.remainder);
        }
        Ok(all)
    }

    /// Raw rows in the columns, their order and their types of the training.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn inputs(&self, batch: &RecordBatch, source: RowSource) -> Result<RecordBatch> {
        let RowSource { is_text, first_row } = source;
        let origin = RowOrigin { zone: &self.zone, is_text, first_row };
        Ok(conform::conform(batch, &self.schema.inputs, origin)?.batch)
    }

    /// Raw rows as a member sees them.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn frame(&self, member: &Member, batch: &RecordBatch) -> Result<Frame> {
        member.preparer.transform(&self.inputs(batch, RowSource::default())?)
    }

    /// Names of the raw columns in the order of [`Attributions`].
    pub fn raw_columns(&self) -> &[String] {
        self.members[0].preparer.raw_columns()
    }

    fn blocks<T: Send>(&self, inputs: &RecordBatch, f: impl Fn(&RecordBatch) -> Result<T> + Sync) -> Result<Vec<T>> {
        let n_blocks = inputs.num_rows().div_ceil(BLOCK_ROWS).max(1);
        (0..n_blocks)
            .into_par_iter()
            .map(|block| {
                let first = block * BLOCK_ROWS;
                f(&inputs.slice(first, BLOCK_ROWS.min(inputs.num_rows() - first)))
                    .map_err(|e| if first == 0 { e } else { e.at(format!("rows from {}", first + 1)) })
            })
            .collect()
    }

    fn margins(&self, block: &RecordBatch, prepared: &mut Prepared) -> Result<Vec<f64>> {
        let mut sum = vec![0.0; block.num_rows() * self.schema.task.n_outputs()];
        for member in &self.members {
            let scores = member.model.predict(prepared.frame(&member.preparer, block)?)?;
            if scores.margins.len() != sum.len() {
                return Err(Error::damaged("the model has another number of outputs than schema.json says"));
            }
            let weight = f64::from(member.weight);
            sum.iter_mut().zip(&scores.margins).for_each(|(sum, margin)| *sum += weight * margin);
        }
        let total = self.total_weight();
        sum.iter_mut().for_each(|sum| *sum /= total);
        Ok(sum)
    }

    fn attribute_block(&self, block: &RecordBatch, background: &[Background]) -> Result<Attributions> {
        let total = self.total_weight();
        let mut prepared = Prepared::default();
        let mut all: Option<Attributions> = None;
        for (member, background) in self.members.iter().zip(background) {
            let mut one = member.model.attribute(prepared.frame(&member.preparer, block)?, background)?;
            let weight = f64::from(member.weight);
            one.base.iter_mut().chain(&mut one.values).chain(&mut one.remainder).for_each(|v| *v *= weight);
            match &mut all {
                None => all = Some(one),
                Some(all) => {
                    all.remainder.resize(all.remainder.len().max(one.remainder.len()), 0.0);
                    all.base.iter_mut().zip(&one.base).for_each(|(a, b)| *a += b);
                    all.values.iter_mut().zip(&one.values).for_each(|(a, b)| *a += b);
                    all.remainder.iter_mut().zip(&one.remainder).for_each(|(a, b)| *a += b);
                }
            }
        }
        let mut all = all.unwrap_or_default();
        all.base.iter_mut().chain(&mut all.values).chain(&mut all.remainder).for_each(|v| *v /= total);
        check_sums(&all, &self.margins(block, &mut prepared)?)?;
        Ok(all)
    }

    fn total_weight(&self) -> f64 {
        self.members.iter().map(|m| f64::from(m.weight)).sum()
    }
}

/// Largest part of its terms' sizes by which a sum of contributions may miss its margin: rounding, no more.
const SUM_TOLERANCE: f64 = 1e-9;

/// Refuses contributions that do not add up to the margins of their rows.
fn check_sums(parts: &Attributions, margins: &[f64]) -> Result<()> {
    for (i, margin) in margins.iter().enumerate() {
        let (row, output) = (i / parts.n_outputs, i % parts.n_outputs);
        let own = || parts.of(row, output).iter().chain([&parts.base[output]]);
        let sum = own().sum::<f64>() + parts.remainder_of(row, output);
        let size = own().map(|v| v.abs()).sum::<f64>() + margin.abs();
        let missed = (sum - margin).abs();
        if missed.is_nan() || missed > SUM_TOLERANCE * size {
            return Err(Error::damaged(format!(
                "row {}: the contributions of the columns add up to {sum}, but the score is {margin}",
                row + 1
            )));
        }
    }
    Ok(())
}

/// The features of a block, kept while members share a preparer.
#[derive(Default)]
struct Prepared {
    of: Option<Arc<Preparer>>,
    frame: Frame,
}

impl Prepared {
    fn frame(&mut self, preparer: &Arc<Preparer>, block: &RecordBatch) -> Result<&Frame> {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, preparer)) {
            self.frame = preparer.transform(block)?;
            self.of = Some(preparer.clone());
        }
        Ok(&self.frame)
    }
}

/// Members whose preparers are equal share one, so that a block is prepared once for all of them.
pub fn share_preparers(members: &mut [Member]) {
    for i in 1..members.len() {
        if let Some(same) = (0..i).find(|&j| members[j].preparer == members[i].preparer) {
            members[i].preparer = members[same].preparer.clone();
        }
    }
}
