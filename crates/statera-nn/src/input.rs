//! From the cells of a frame to the rows of a network, fitted on the training rows.
//!
//! A row is `[sequences | numbers | flags | codes]`: for a network that reads sequences, each sequence step after step
//! (`steps`), whose features are then nowhere else, and where steps are masked a column of each step that tells whether it counts; one scaled number per numeric feature that varies, 0 where missing; one flag (0
//! or 1, or scaled like a number by the robust scaling) for each kind of cell that training saw: missing, each sentinel, each level (one-hot); and the code of
//! each category that the network embeds. A missing cell, an unknown level or an unseen sentinel
//! has no flag set.

use serde::{Deserialize, Serialize};
use statera_core::{CODE_UNKNOWN, Column, Error, FIRST_LEVEL, Frame, FrameSpec, Parts, Result, Tensor, TensorData};
use std::ops::Range;

mod normal;
mod number;
mod steps;

pub use normal::inverse_normal;
pub use number::{Scaling, Transform};
use steps::Steps;
pub use steps::StepsShape;

/// Which sequences a network reads, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Sequences and images; behind the steps of a sequence a column of each: 0 where all its cells are missing, else 1.
    Steps,
    /// Sampled neighbourhoods, with such a column of each node.
    Neighbourhoods,
}

/// A numeric input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    /// Index of the feature.
    feature: usize,
    transform: Transform,
}

/// A flag: 1 where the cell of the feature is this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flag {
    feature: usize,
    is: Is,
    /// Numbers that stand for no and yes.
    values: [f32; 2],
}

/// What a flag marks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Is {
    /// A missing number.
    Missing,
    /// This number.
    Sentinel(f64),
    /// This level code.
    Code(u32),
    /// The second of these two level codes; half-way between the flag's numbers where it is neither.
    Second(u32, u32),
}

/// A category that the network embeds: its codes are renumbered from 0, −1 for those not seen in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    feature: usize,
    /// The number of each level code.
    numbers: Vec<i32>,
}

/// The fitted preparation of inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    spec: FrameSpec,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sequences: Vec<Steps>,
    numbers: Vec<Number>,
    flags: Vec<Flag>,
    codes: Vec<Code>,
    /// Knots of all quantile transforms; an array of the bundle.
    #[serde(skip)]
    knots: Vec<f64>,
}

impl Input {
    /// Fits on a frame in the form `Codes`. Categories of more than `embed_above` levels are embedded.
    ///
    /// # Errors
    /// A frame without columns that vary.
    pub fn fit(frame: &Frame, scaling: Scaling, embed_above: usize) -> Result<Input> {
        Input::of_columns(frame, scaling, embed_above, Vec::new(), Vec::new())
    }

    /// The same for a network that reads the frame's sequences; those that it does not read are columns like any.
    ///
    /// # Errors
    /// A frame without sequences that vary, or with a sequence of other features than numbers.
    pub fn fit_sequences(frame: &Frame, reading: Reading, scaling: Scaling, embed_above: usize) -> Result<Input> {
        let (mut sequences, mut knots, mut n) = (Vec::new(), Vec::new(), 0);
        let is_read = |s: &&statera_core::Sequence| s.fans.is_some() == (reading == Reading::Neighbourhoods);
        for sequence in frame.spec.sequences.iter().filter(is_read) {
            n += 1;
            sequences.extend(Steps::fit(frame, sequence, scaling, &mut knots)?);
        }
        if sequences.is_empty() {
            return Err(Error::data(format!(
                "{n} sequences, none of which varies in the training rows; at least one is needed"
            )));
        }
        Input::of_columns(frame, scaling, embed_above, sequences, knots)
    }

    fn of_columns(
        frame: &Frame,
        scaling: Scaling,
        embed_above: usize,
        sequences: Vec<Steps>,
        knots: Vec<f64>,
    ) -> Result<Input> {
        let spec = (*frame.spec).clone();
        let mut in_sequence = vec![false; frame.columns.len()];
        if let Some(first) = sequences.first() {
            // A sequence of the kind that is read and does not vary is no column either.
            let is_read = |s: &&statera_core::Sequence| s.fans.is_some() == first.shape().fans.is_some();
            let read = spec.sequences.iter().filter(is_read);
            read.flat_map(|s| s.steps.iter().flatten()).for_each(|&f| in_sequence[f] = true);
        }
        let mut input = Input { spec, sequences, numbers: Vec::new(), flags: Vec::new(), codes: Vec::new(), knots };
        for (feature, column) in frame.columns.iter().enumerate().filter(|(f, _)| !in_sequence[*f]) {
            match column {
                Column::Number(cells) => input.add_number(frame, feature, cells, scaling),
                Column::Codes(cells) => input.add_category(feature, cells, scaling, embed_above),
            }
        }
        if input.n_columns() == 0 {
            return Err(Error::data("all columns are constant in the training rows; at least one must vary"));
        }
        Ok(input)
    }

    fn add_number(&mut self, frame: &Frame, feature: usize, cells: &[f64], scaling: Scaling) {
        let sentinels = self.spec.features[feature].sentinels.clone();
        let usual = |v: &f64| !v.is_nan() && !sentinels.contains(v);
        let rows: Vec<usize> = (0..cells.len()).filter(|&i| usual(&cells[i])).collect();
        if let Some(transform) = Transform::fit(scaling, frame, cells, &rows, &mut self.knots) {
            self.numbers.push(Number { feature, transform });
        }
        let n_missing = cells.iter().filter(|v| v.is_nan()).count();
        if n_missing > 0 && n_missing < cells.len() {
            self.flags.push(Flag { feature, is: Is::Missing, values: flag_values(scaling, n_missing, cells.len()) });
        }
        for sentinel in sentinels {
            let n = cells.iter().filter(|v| **v == sentinel).count();
            if n > 0 && n < cells.len() {
                self.flags.push(Flag {
                    feature,
                    is: Is::Sentinel(sentinel),
                    values: flag_values(scaling, n, cells.len()),
                });
            }
        }
    }

    fn add_category(&mut self, feature: usize, cells: &[u32], scaling: Scaling, embed_above: usize) {
        let n_levels = self.spec.features[feature].levels.as_ref().map_or(0, Vec::len);
        let mut seen = vec![false; FIRST_LEVEL as usize + n_levels];
        cells.iter().for_each(|&c| seen[c as usize] = true);
        seen[CODE_UNKNOWN as usize] = false;
        let n_seen = seen.iter().filter(|s| **s).count();
        if n_seen < 2 {
            return;
        }
        if n_seen > embed_above {
            let mut next = 0;
            let mut number = |seen: &bool| {
                next += i32::from(*seen);
                if *seen { next - 1 } else { -1 }
            };
            let numbers = seen.iter().map(&mut number).collect();
            self.codes.push(Code { feature, numbers });
        } else {
            let mut flags = (0..seen.len() as u32).filter(|&c| seen[c as usize]);
            if let (Scaling::Robust, 2, Some(first), Some(second)) =
                (scaling, n_seen, flags.clone().next(), flags.clone().nth(1))
            {
                // RealMLP's binary: −1, 1, and 0 for what is neither.
                self.flags.push(Flag { feature, is: Is::Second(first, second), values: [-1.0, 1.0] });
                return;
            }
            let values = |code: u32| {
                let n = cells.iter().filter(|c| **c == code).count();
                flag_values(scaling, n, cells.len())
            };
            self.flags.extend(flags.by_ref().map(|c| Flag { feature, is: Is::Code(c), values: values(c) }));
        }
    }

    /// Scaled numbers of a row.
    pub fn n_numbers(&self) -> usize {
        self.numbers.len()
    }
    /// Flags of a row.
    pub fn n_flags(&self) -> usize {
        self.flags.len()
    }
    /// Numbers of neighbouring flags that come from the same feature.
    pub fn flag_groups(&self) -> Vec<usize> {
        self.flags.chunk_by(|a, b| a.feature == b.feature).map(<[Flag]>::len).collect()
    }
    /// Sizes of the embedded categories.
    pub fn code_sizes(&self) -> Vec<usize> {
        self.codes.iter().map(|c| c.numbers.iter().max().map_or(0, |m| (*m + 1).max(0) as usize)).collect()
    }
    /// The shape of each sequence and image; their columns are the first of a row.
    pub fn sequences(&self) -> Vec<StepsShape> {
        self.sequences.iter().map(Steps::shape).collect()
    }
    /// Columns of all sequences.
    fn n_sequence_columns(&self) -> usize {
        self.sequences.iter().map(Steps::n_columns).sum()
    }
    /// Columns of a row.
    pub fn n_columns(&self) -> usize {
        self.n_sequence_columns() + self.numbers.len() + self.flags.len() + self.codes.len()
    }
    /// The feature that each column of a row comes from.
    pub fn features(&self) -> Vec<usize> {
        let steps = self.sequences.iter().flat_map(Steps::features);
        let numbers = self.numbers.iter().map(|n| n.feature);
        let flags = self.flags.iter().map(|f| f.feature);
        steps.chain(numbers).chain(flags).chain(self.codes.iter().map(|c| c.feature)).collect()
    }
    /// The raw column that each column of a row comes from.
    pub fn raw_columns(&self) -> Vec<usize> {
        self.features().into_iter().map(|f| self.spec.features[f].raw).collect()
    }
    /// Columns of a row whose codes are spread (see [`Input::spread`]).
    pub fn n_spread_columns(&self) -> usize {
        self.n_columns() - self.codes.len() + self.code_sizes().iter().sum::<usize>()
    }
    /// A row with the share of each category, 1 or 0, in place of each code.
    pub fn spread(&self, row: &[f32]) -> Vec<f32> {
        let (before, codes) = row.split_at(row.len() - self.codes.len());
        let shares = codes.iter().zip(self.code_sizes());
        let shares = shares.flat_map(|(code, n)| (0..n).map(move |c| f32::from(u8::from(*code == c as f32))));
        before.iter().copied().chain(shares).collect()
    }
    /// The raw column that each column of a spread row comes from.
    pub fn spread_raw_columns(&self) -> Vec<usize> {
        let mut raw = self.raw_columns();
        let codes = raw.split_off(raw.len() - self.codes.len());
        raw.extend(codes.into_iter().zip(self.code_sizes()).flat_map(|(raw, n)| std::iter::repeat_n(raw, n)));
        raw
    }
    /// The features it was fitted on.
    pub fn spec(&self) -> &FrameSpec {
        &self.spec
    }

    /// The rows of a network at `rows` of a frame.
    ///
    /// # Errors
    /// A frame with other columns than those of the fit.
    pub fn apply(&self, frame: &Frame, rows: Range<usize>) -> Result<Vec<f32>> {
        self.check(frame)?;
        let width = self.n_columns();
        let mut out = vec![0.0; rows.len() * width];
        if rows.is_empty() {
            return Ok(out);
        }
        let mut first = 0;
        for steps in &self.sequences {
            steps.apply(frame, &self.spec, &rows, &self.knots, &mut out[first..], width);
            first += steps.n_columns();
        }
        for (j, number) in self.numbers.iter().enumerate() {
            if let Column::Number(cells) = &frame.columns[number.feature] {
                let sentinels = &self.spec.features[number.feature].sentinels;
                number.transform.apply(&self.knots, &cells[rows.clone()], sentinels, &mut out[first + j..], width);
            }
        }
        for (j, flag) in self.flags.iter().enumerate() {
            let out = out[first + self.numbers.len() + j..].iter_mut().step_by(width);
            match (&frame.columns[flag.feature], flag.is) {
                (Column::Number(cells), Is::Missing) => {
                    out.zip(&cells[rows.clone()]).for_each(|(o, v)| *o = flag.values[usize::from(v.is_nan())]);
                }
                (Column::Number(cells), Is::Sentinel(s)) => {
                    out.zip(&cells[rows.clone()]).for_each(|(o, v)| *o = flag.values[usize::from(*v == s)]);
                }
                (Column::Codes(cells), Is::Second(first, second)) => {
                    let neither = 0.5 * (flag.values[0] + flag.values[1]);
                    let value = |v: u32| match v {
                        v if v == first => flag.values[0],
                        v if v == second => flag.values[1],
                        _ => neither,
                    };
                    out.zip(&cells[rows.clone()]).for_each(|(o, v)| *o = value(*v));
                }
                (Column::Codes(cells), Is::Code(c)) => {
                    out.zip(&cells[rows.clone()]).for_each(|(o, v)| *o = flag.values[usize::from(*v == c)]);
                }
                _ => {}
            }
        }
        for (j, code) in self.codes.iter().enumerate() {
            let out = out[first + self.numbers.len() + self.flags.len() + j..].iter_mut().step_by(width);
            if let Column::Codes(cells) = &frame.columns[code.feature] {
                let number = |c: u32| code.numbers.get(c as usize).copied().unwrap_or(-1) as f32;
                out.zip(&cells[rows.clone()]).for_each(|(o, v)| *o = number(*v));
            }
        }
        Ok(out)
    }

    /// Refuses a frame with other columns.
    fn check(&self, frame: &Frame) -> Result<()> {
        let (own, other) = (&self.spec.features, &frame.spec.features);
        if own.len() != other.len() || frame.columns.len() != own.len() {
            let found = frame.columns.len();
            return Err(Error::request(format!("the model has {} columns, the data {found}", own.len())));
        }
        for (j, (a, b)) in own.iter().zip(other).enumerate() {
            if a.name != b.name {
                let message = format!("column {j} is «{}» in the model and «{}» in the data", a.name, b.name);
                return Err(Error::request(message));
            }
            let fits = match &frame.columns[j] {
                Column::Number(cells) => a.levels.is_none() && cells.len() == frame.n_rows,
                Column::Codes(cells) => a.levels.is_some() && cells.len() == frame.n_rows,
            };
            if !fits {
                return Err(Error::request(format!("column «{}» has another kind or length than it should", a.name)));
            }
        }
        Ok(())
    }

    /// Adds the arrays to a saved model.
    pub fn save(&self, parts: &mut Parts) {
        if !self.knots.is_empty() {
            parts.tensors.insert(KNOTS.into(), Tensor::vector(TensorData::F64(self.knots.clone())));
        }
    }

    /// Takes the arrays from a saved model and checks that everything fits together.
    ///
    /// # Errors
    /// An index or a size out of range.
    pub fn load(mut self, parts: &Parts) -> Result<Input> {
        let of_steps = self.sequences.iter().flat_map(Steps::transforms);
        let transforms: Vec<Transform> = of_steps.chain(self.numbers.iter().map(|n| &n.transform)).cloned().collect();
        let n_knots: usize = transforms.iter().map(Transform::n_knots).sum();
        if n_knots > 0 {
            self.knots = parts.f64s(KNOTS)?.to_vec();
        }
        let damaged = |what: String| Err(Error::damaged(format!("model.json: {what}")));
        if self.knots.len() != n_knots || transforms.iter().any(|t| !t.fits(&self.knots)) {
            return damaged(format!("{} knots do not fit the transforms of {n_knots}", self.knots.len()));
        }
        let features = &self.spec.features;
        if let Some(f) = features.iter().find(|f| f.raw >= self.spec.raw_columns.len()) {
            return damaged(format!("feature «{}» is of raw column {}, which does not exist", f.name, f.raw));
        }
        let number = |f: usize| features.get(f).is_some_and(|f| f.levels.is_none());
        let category = |f: usize| features.get(f).is_some_and(|f| f.levels.is_some());
        let flag = |f: &Flag| {
            let finite = f.values.iter().all(|v| v.is_finite());
            finite && if matches!(f.is, Is::Code(_) | Is::Second(..)) { category(f.feature) } else { number(f.feature) }
        };
        let fits = self.sequences.iter().all(|s| s.fits(number))
            && self.numbers.iter().all(|n| number(n.feature))
            && self.flags.iter().all(flag)
            && self
                .codes
                .iter()
                .all(|c| category(c.feature) && c.numbers.iter().all(|n| (-1..c.numbers.len() as i32).contains(n)));
        if !fits || self.n_columns() == 0 {
            return damaged("an input does not fit its feature".into());
        }
        Ok(self)
    }
}

/// The numbers of a flag that `n_yes` of `n` training rows have: 0 and 1, or minus the median, by the interquartile range
/// (if 0 by half the range), clipped smoothly.
fn flag_values(scaling: Scaling, n_yes: usize, n: usize) -> [f32; 2] {
    if scaling != Scaling::Robust {
        return [0.0, 1.0];
    }
    let median = if 2 * n_yes > n { 1.0 } else { 0.0 };
    let scale = if 4 * n_yes >= n && 4 * n_yes <= 3 * n { 1.0 } else { 0.5 };
    [0.0, 1.0].map(|v: f64| {
        let x = (v - median) / scale;
        (x / (1.0 + (x / 3.0) * (x / 3.0)).sqrt()) as f32
    })
}

/// Name of the array of knots.
const KNOTS: &str = "input.knots";
