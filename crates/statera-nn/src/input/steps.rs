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
    /// Neighbours of a node and of each of these, of a neighbourhood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fans: Option<[usize; 2]>,
    /// What each step has.
    series: Vec<Series>,
    /// Where steps are masked, the features of each step: it counts where one of them is present. Images have no masks, nor have
    /// sequences of networks that were stored before all that read them masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    masks: Vec<Vec<usize>>,
}

/// The shape of a sequence, an image or a neighbourhood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepsShape {
    /// Steps, points, or nodes.
    pub n_steps: usize,
    /// Columns of a step.
    pub width: usize,
    /// Lines, and points of a line, of an image.
    pub grid: Option<[usize; 2]>,
    /// Neighbours of a node and of each of these, of a neighbourhood.
    pub fans: Option<[usize; 2]>,
    /// Whether behind all steps a column of each tells whether it counts, 1 or 0.
    pub is_masked: bool,
}

impl StepsShape {
    /// Columns of a row.
    pub fn n_columns(&self) -> usize {
        self.n_steps * (self.width + usize::from(self.is_masked))
    }
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
    /// Fits on a frame in the form `Codes`; `None` if no cell of the sequence varies. Knots are appended to `knots`. Steps get
    /// masks, but for the points of an image.
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
        if let Some(fans) = sequence.fans
            && n_nodes(fans) != Some(sequence.steps.len())
        {
            return wrong(format!(
                "{} nodes; {} neighbours of each of {} do not fit",
                sequence.steps.len(),
                fans[1],
                fans[0]
            ));
        }
        // Of points most may be of one value, which has no quantiles.
        let scaling = if sequence.grid.is_some() { Scaling::Standard } else { scaling };
        let of = |j: usize| sequence.steps.iter().map(|s| s[j]).collect();
        let mut series: Vec<Series> = (0..width).map(|j| Series::fit(frame, of(j), scaling, knots)).collect();
        series.retain(|s| s.width() > 0);
        let masks = if sequence.grid.is_none() { sequence.steps.clone() } else { Vec::new() };
        let Sequence { grid, fans, .. } = *sequence;
        Ok((!series.is_empty()).then_some(Steps { n_steps: sequence.steps.len(), grid, fans, series, masks }))
    }

    /// Steps, and columns of each.
    pub fn shape(&self) -> StepsShape {
        let width = self.series.iter().map(Series::width).sum();
        let is_masked = !self.masks.is_empty();
        StepsShape { n_steps: self.n_steps, width, grid: self.grid, fans: self.fans, is_masked }
    }

    /// Columns of a row.
    pub fn n_columns(&self) -> usize {
        self.shape().n_columns()
    }

    /// The feature that each column comes from; a mask, which is of all features of a step, counts as of the first of them.
    pub fn features(&self) -> impl Iterator<Item = usize> + '_ {
        let step = |t: usize| self.series.iter().flat_map(move |s| std::iter::repeat_n(s.features[t], s.width()));
        (0..self.n_steps).flat_map(step).chain(self.masks.iter().map(|features| features[0]))
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
        for (t, features) in self.masks.iter().enumerate() {
            for feature in features {
                if let Column::Number(cells) = &frame.columns[*feature] {
                    let out = out[first + t..].iter_mut().step_by(stride);
                    // Before, the rows hold zeros.
                    out.zip(&cells[rows.clone()]).filter(|(_, v)| !v.is_nan()).for_each(|(o, _)| *o = 1.0);
                }
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
        let mask = |features: &Vec<usize>| !features.is_empty() && features.iter().all(|f| number(*f));
        let fits_masks = self.masks.iter().all(mask) && [0, self.n_steps].contains(&self.masks.len());
        let fits_fans = self.fans.is_none_or(|fans| n_nodes(fans) == Some(self.n_steps));
        let fits_grid = self.grid.is_none_or(|[height, width]| height.checked_mul(width) == Some(self.n_steps));
        fits_grid
            && fits_fans
            && fits_masks
            && self.n_steps > 0
            && !self.series.is_empty()
            && self.series.iter().all(series)
    }
}

/// Nodes of a neighbourhood: one, its neighbours, and theirs.
fn n_nodes([a, b]: [usize; 2]) -> Option<usize> {
    b.checked_add(1)?.checked_mul(a)?.checked_add(1)
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
