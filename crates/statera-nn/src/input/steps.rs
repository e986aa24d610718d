//! The columns of a sequence: step after step, in each of them the same, all steps of a feature scaled alike. The points of an
//! image are such steps, line after line.

use super::{Is, Scaling, Transform, flag_values};
use serde::{Deserialize, Serialize};
use statera_core::{Column, Error, Frame, FrameSpec, Result, Sequence};
use std::ops::Range;

/// A sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Steps {
    n_steps: usize,
    /// Lines, and points of a line, of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grid: Option<[usize; 2]>,
    /// What each step has.
    series: Vec<Series>,
}

/// The shape of a sequence or an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepsShape {
    /// Steps, or points.
    pub n_steps: usize,
    /// Columns of a step.
    pub width: usize,
    /// Lines, and points of a line, of an image.
    pub grid: Option<[usize; 2]>,
}

/// A feature at successive times: in each step one scaled number, 0 where missing, and its flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    /// Indices of the features, the earliest first.
    features: Vec<usize>,
    /// `None` if its cells do not vary.
    transform: Option<Transform>,
    flags: Vec<Mark>,
}

/// A flag of each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    is: Is,
    /// Numbers that stand for no and yes.
    values: [f32; 2],
}

impl Steps {
    /// Fits on a frame in the form `Codes`; `None` if no cell of the sequence varies. Knots are appended to `knots`.
    ///
    /// # Errors
    /// A sequence without steps, with steps of different lengths, or of features that are no numbers.
    pub fn fit(frame: &Frame, sequence: &Sequence, scaling: Scaling, knots: &mut Vec<f64>) -> Result<Option<Steps>> {
        let wrong = |what: String| Err(Error::request(format!("sequence «{}»: {what}", sequence.name)));
        let width = sequence.steps.first().map_or(0, Vec::len);
        if width == 0 || sequence.steps.iter().any(|s| s.len() != width) {
            return wrong(
                "a step is missing or has another number of columns; allowed: at least 1, all as many".into(),
            );
        }
        let is_number = |f: usize| matches!(frame.columns.get(f), Some(Column::Number(_)));
        if let Some(f) = sequence.steps.iter().flatten().find(|f| !is_number(**f)) {
            return wrong(format!("feature {f} is no number; only number features can be steps"));
        }
        if let Some([height, width]) = sequence.grid
            && height.checked_mul(width) != Some(sequence.steps.len())
        {
            return wrong(format!("{} points; {height} × {width} are needed", sequence.steps.len()));
        }
        // Of points most may be of one value, which has no quantiles.
        let scaling = if sequence.grid.is_some() { Scaling::Standard } else { scaling };
        let of = |j: usize| sequence.steps.iter().map(|s| s[j]).collect();
        let mut series: Vec<Series> = (0..width).map(|j| Series::fit(frame, of(j), scaling, knots)).collect();
        series.retain(|s| s.width() > 0);
        Ok((!series.is_empty()).then_some(Steps { n_steps: sequence.steps.len(), grid: sequence.grid, series }))
    }

    /// Steps, and columns of each.
    pub fn shape(&self) -> StepsShape {
        let width = self.series.iter().map(Series::width).sum();
        StepsShape { n_steps: self.n_steps, width, grid: self.grid }
    }

    /// Columns of a row.
    pub fn n_columns(&self) -> usize {
        let StepsShape { n_steps, width, .. } = self.shape();
        n_steps * width
    }

    /// The feature that each column comes from.
    pub fn features(&self) -> impl Iterator<Item = usize> + '_ {
        let step = |t: usize| self.series.iter().flat_map(move |s| std::iter::repeat_n(s.features[t], s.width()));
        (0..self.n_steps).flat_map(step)
    }

    /// Writes the columns of rows to the first numbers of rows of `stride`.
    pub fn apply(
        &self,
        frame: &Frame,
        spec: &FrameSpec,
        rows: &Range<usize>,
        knots: &[f64],
        out: &mut [f32],
        stride: usize,
    ) {
        let mut first = 0;
        for t in 0..self.n_steps {
            for series in &self.series {
                if let Column::Number(cells) = &frame.columns[series.features[t]] {
                    series.apply(spec, &cells[rows.clone()], knots, &mut out[first..], stride);
                }
                first += series.width();
            }
        }
    }

    /// The knots of its transforms.
    pub fn transforms(&self) -> impl Iterator<Item = &Transform> {
        self.series.iter().filter_map(|s| s.transform.as_ref())
    }

    /// True if everything fits together and `number` holds of all features.
    pub fn fits(&self, number: impl Fn(usize) -> bool) -> bool {
        let mark = |m: &Mark| !matches!(m.is, Is::Code(_)) && m.values.iter().all(|v| v.is_finite());
        let series = |s: &Series| {
            s.features.len() == self.n_steps
                && s.width() > 0
                && s.features.iter().all(|f| number(*f))
                && s.flags.iter().all(mark)
        };
        let fits_grid = self.grid.is_none_or(|[height, width]| height.checked_mul(width) == Some(self.n_steps));
        fits_grid && self.n_steps > 0 && !self.series.is_empty() && self.series.iter().all(series)
    }
}

impl Series {
    fn fit(frame: &Frame, features: Vec<usize>, scaling: Scaling, knots: &mut Vec<f64>) -> Series {
        let mut cells = Vec::with_capacity(features.len() * frame.n_rows);
        for f in &features {
            if let Column::Number(own) = &frame.columns[*f] {
                cells.extend_from_slice(own);
            }
        }
        // The steps of all rows are rows of their own here.
        let weight = frame.weight.as_ref().map(|w| w.repeat(features.len()));
        let pooled = Frame { weight, ..Frame::default() };
        let mut series = Series { features, transform: None, flags: Vec::new() };
        let sentinels = series.sentinels(&frame.spec);
        let rows: Vec<usize> =
            (0..cells.len()).filter(|&i| !cells[i].is_nan() && !sentinels.contains(&cells[i])).collect();
        series.transform = Transform::fit(scaling, &pooled, &cells, &rows, knots);
        let mut mark = |is: Is, n: usize| {
            if n > 0 && n < cells.len() {
                series.flags.push(Mark { is, values: flag_values(scaling, n, cells.len()) });
            }
        };
        mark(Is::Missing, cells.iter().filter(|v| v.is_nan()).count());
        for sentinel in sentinels {
            mark(Is::Sentinel(sentinel), cells.iter().filter(|v| **v == sentinel).count());
        }
        series
    }

    /// What stands for something else than an amount in one step does so in all.
    fn sentinels(&self, spec: &FrameSpec) -> Vec<f64> {
        let mut all: Vec<f64> =
            self.features.iter().flat_map(|f| spec.features[*f].sentinels.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }

    /// Columns of a step.
    fn width(&self) -> usize {
        usize::from(self.transform.is_some()) + self.flags.len()
    }

    fn apply(&self, spec: &FrameSpec, cells: &[f64], knots: &[f64], out: &mut [f32], stride: usize) {
        if let Some(transform) = &self.transform {
            transform.apply(knots, cells, &self.sentinels(spec), out, stride);
        }
        let first = usize::from(self.transform.is_some());
        for (j, mark) in self.flags.iter().enumerate() {
            let is = |v: f64| match mark.is {
                Is::Missing => v.is_nan(),
                Is::Sentinel(s) => v == s,
                Is::Code(_) | Is::Second(..) => false,
            };
            let out = out[first + j..].iter_mut().step_by(stride);
            out.zip(cells).for_each(|(o, v)| *o = mark.values[usize::from(is(*v))]);
        }
    }
}
