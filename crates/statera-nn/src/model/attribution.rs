//! Integrated gradients (Sundararajan, Taly and Yan 2017): along the straight line from the baseline b to the row x,
//! attributionⱼ = (xⱼ − bⱼ) ∫₀¹ ∂margin/∂xⱼ (b + t (x − b)) dt.
//!
//! The line is cut in equal pieces, each with the gradient in its middle. The margins at the ends of a piece tell what its
//! gradient misses: a kink, or a step of a bin that is narrower than the piece. The pieces that miss most are halved, round
//! after round, until they miss less than a thousandth of the margin's range together and, before kinks of both signs
//! cancel, less than a hundredth, so that a narrow bin costs a few halvings instead of a finer line everywhere. What is
//! missed in the end is the remainder.

use crate::layer::{Layer, Math, Mode};
use crate::workspace::Workspace;
use rayon::prelude::*;
use statera_core::{Attributions, Error, Result};

/// Pieces at the start.
const PIECES: usize = 32;
/// Points of a pass through the network.
const POINTS: usize = 16;
/// Most gradients of a margin of a row.
const MAX_GRADIENTS: usize = 1 << 14;
/// Below this width the ends of a piece are hardly different rows.
const LEAST_WIDTH: f32 = 1.0 / (1 << 20) as f32;
/// Share of the margin's range that may be missed.
const TOLERANCE: f64 = 1e-3;
/// Share of that at which a line ends: the average of several networks has a smaller range than each of them.
const GOAL: f64 = 0.25;
/// What the pieces may miss one by one, in sizes, as a multiple of what they may miss together.
const SIZES: f64 = 10.0;
/// What rounding to f32 alone may miss, by the scale of the outputs.
const ROUNDING: f64 = 1e-5;

/// From the outputs of a network to margins that have derivatives.
pub trait Head: Sync {
    /// Margins of a row.
    fn n_outputs(&self) -> usize;
    /// The margins of rows of outputs, row-major.
    fn margins(&self, y: &[f32]) -> Vec<f64>;
    /// Writes the gradient of margin `output` with respect to the outputs `y` of a row.
    fn gradient(&self, y: &[f32], output: usize, dy: &mut [f32]);
    /// What a margin is when an output is about 1: rounding is measured by it.
    fn scale(&self) -> f64 {
        1.0
    }
}

/// What the line goes through.
pub(super) struct Path<'a> {
    /// The network over rows that have a derivative everywhere.
    pub layer: &'a dyn Layer,
    /// Its parameters.
    pub params: &'a [f32],
    /// From its outputs to margins.
    pub head: &'a dyn Head,
    /// Where lines begin.
    pub baseline: &'a [f32],
    /// The raw column of each input column.
    pub raw: &'a [usize],
    /// Raw columns.
    pub n_raw: usize,
    /// The range of each margin; empty if it is not known.
    pub ranges: &'a [f64],
}

/// A piece of the line.
struct Piece {
    low: f32,
    width: f32,
    /// The margin at both ends, and in the middle.
    ends: [f64; 2],
    middle: f64,
    /// What each raw column adds along it.
    parts: Vec<f64>,
    /// What they miss of the difference between the ends.
    missed: f64,
}

impl Path<'_> {
    /// What each raw column adds to each margin of the rows `x`.
    ///
    /// # Errors
    /// A row whose remainder stays above a thousandth of the margin's range.
    pub fn attributions(&self, x: &[f32]) -> Result<Attributions> {
        let (n_in, n_outputs, n_raw) = (self.layer.n_in(), self.head.n_outputs(), self.n_raw);
        let memory = || Workspace::new(self.layer, self.params.len(), POINTS);
        let base = self.margins(&mut memory(), self.baseline);
        let n_rows = x.len() / n_in;
        let mut values = vec![0.0; n_rows * n_outputs * n_raw];
        let mut remainder = vec![0.0; n_rows * n_outputs];
        // A table without raw columns has nothing to share out, but chunks need a length.
        let rows = values.par_chunks_mut((n_outputs * n_raw).max(1)).zip(remainder.par_chunks_mut(n_outputs));
        rows.zip(x.par_chunks(n_in)).enumerate().try_for_each_init(memory, |work, (i, ((values, remainder), x))| {
            let parts = values.chunks_exact_mut(n_raw.max(1)).zip(remainder).enumerate();
            for (output, (values, remainder)) in parts {
                *remainder = self.attribute(work, x, output, base[output], values);
                let allowed = self.allowed(output, base[output]);
                if remainder.is_nan() || remainder.abs() > allowed {
                    return Err(Error::data(format!(
                        "row {}: the contributions of the columns miss {remainder:.3e} of the score; allowed: at most \
                         {allowed:.3e}, a thousandth of the scores' range",
                        i + 1
                    )));
                }
            }
            Ok(())
        })?;
        Ok(Attributions { n_outputs, n_raw, base, values, remainder })
    }

    /// The largest remainder of a margin.
    fn allowed(&self, output: usize, base: f64) -> f64 {
        let range = self.ranges.get(output).copied().unwrap_or(base.abs());
        (TOLERANCE * range).max(ROUNDING * self.head.scale())
    }

    /// Writes what each raw column adds to a margin of the row `x`, and returns the remainder.
    fn attribute(&self, work: &mut Workspace, x: &[f32], output: usize, base: f64, values: &mut [f64]) -> f64 {
        let allowed = self.allowed(output, base);
        let mut pieces = self.start(work, x, output);
        let margin = pieces[PIECES - 1].ends[1];
        let mut n_gradients = PIECES;
        while n_gradients < MAX_GRADIENTS {
            let missed = |f: fn(f64) -> f64| pieces.iter().map(|p| f(p.missed)).sum::<f64>();
            let (sum, sizes) = (missed(|m| m).abs(), missed(f64::abs));
            if sum <= GOAL * allowed && sizes <= SIZES * allowed {
                break;
            }
            let enough = if sizes > SIZES * allowed { SIZES * allowed } else { GOAL * allowed };
            let fair = enough / (2 * pieces.len()) as f64;
            let (coarse, mut kept): (Vec<Piece>, Vec<Piece>) =
                pieces.into_iter().partition(|p| p.missed.abs() > fair && p.width > LEAST_WIDTH);
            let mut halves: Vec<Piece> = coarse.iter().flat_map(Piece::halves).collect();
            self.measure(work, x, output, &mut halves);
            n_gradients += halves.len();
            let is_done = halves.is_empty();
            kept.append(&mut halves);
            pieces = kept;
            if is_done {
                break;
            }
        }
        for piece in &pieces {
            values.iter_mut().zip(&piece.parts).for_each(|(v, p)| *v += p);
        }
        margin - base - values.iter().sum::<f64>()
    }

    /// The line in equal pieces.
    fn start(&self, work: &mut Workspace, x: &[f32], output: usize) -> Vec<Piece> {
        let ends: Vec<f32> = (0..=PIECES).map(|i| i as f32 / PIECES as f32).collect();
        let n_outputs = self.head.n_outputs();
        let margins: Vec<f64> = ends
            .chunks(POINTS)
            .flat_map(|ends| {
                let points: Vec<f32> = ends.iter().flat_map(|&t| self.point(x, t)).collect();
                self.margins(work, &points).into_iter().skip(output).step_by(n_outputs)
            })
            .collect();
        let piece = |i: usize| Piece {
            low: ends[i],
            width: 1.0 / PIECES as f32,
            ends: [margins[i], margins[i + 1]],
            middle: 0.0,
            parts: Vec::new(),
            missed: 0.0,
        };
        let mut pieces: Vec<Piece> = (0..PIECES).map(piece).collect();
        self.measure(work, x, output, &mut pieces);
        pieces
    }

    /// Where the line is at t: at the row itself, to the bit, for t = 1.
    fn point<'b>(&'b self, x: &'b [f32], t: f32) -> impl Iterator<Item = f32> + 'b {
        self.baseline.iter().zip(x).map(move |(b, x)| if t == 1.0 { *x } else { b + t * (x - b) })
    }

    /// The margins of at most [`POINTS`] rows, row-major.
    fn margins(&self, work: &mut Workspace, rows: &[f32]) -> Vec<f64> {
        let y = work.forward(self.layer, self.params, rows, POINTS, Mode::Evaluate, Math::Score);
        self.head.margins(y)
    }

    /// Fills in what the gradients in the middles of pieces say.
    fn measure(&self, work: &mut Workspace, x: &[f32], output: usize, pieces: &mut [Piece]) {
        let (n_in, n_out) = (self.layer.n_in(), self.layer.n_out());
        let n_outputs = self.head.n_outputs();
        let mut dx = vec![0.0; POINTS * n_in];
        for pieces in pieces.chunks_mut(POINTS) {
            let points: Vec<f32> = pieces.iter().flat_map(|p| self.point(x, p.low + 0.5 * p.width)).collect();
            let margins = self.margins(work, &points);
            for i in 0..pieces.len() {
                self.head.gradient(&work.y[i * n_out..][..n_out], output, &mut work.dy[i * n_out..][..n_out]);
            }
            let dx = &mut dx[..points.len()];
            work.backward(self.layer, self.params, &points, POINTS, Mode::Evaluate, Some(dx));
            for (i, (piece, dx)) in pieces.iter_mut().zip(dx.chunks_exact(n_in)).enumerate() {
                piece.middle = margins[i * n_outputs + output];
                piece.parts = vec![0.0; self.n_raw];
                for (j, slope) in dx.iter().enumerate() {
                    let step = f64::from(piece.width) * (f64::from(x[j]) - f64::from(self.baseline[j]));
                    piece.parts[self.raw[j]] += f64::from(*slope) * step;
                }
                piece.missed = piece.ends[1] - piece.ends[0] - piece.parts.iter().sum::<f64>();
            }
        }
    }
}

impl Piece {
    /// Its two halves, not yet measured.
    fn halves(&self) -> [Piece; 2] {
        let width = 0.5 * self.width;
        let half = |low, ends| Piece { low, width, ends, middle: 0.0, parts: Vec::new(), missed: 0.0 };
        let [first, last] = self.ends;
        [half(self.low, [first, self.middle]), half(self.low + width, [self.middle, last])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mlp::tests::frame;
    use crate::model::{NetworkModel, TabmParams};
    use statera_core::{Estimator, Frame, Run, Task};

    #[test]
    fn a_line_of_few_pieces_equals_one_of_many_equal_ones() {
        let train = frame(Task::Binary, 2000, 1);
        let mut params = TabmParams::default().quick();
        // Narrow bins: a gradient that jumps along the line.
        (params.shape.bins, params.train.epochs) = (Some(64), 12);
        let fitted = params.fit(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
        let model = NetworkModel::load(&fitted.save()).expect("loads");
        let raw = model.header.input.spread_raw_columns();
        let average = model.average();
        let path = model.path(&raw, &average);
        let x = model.header.input.apply(&train, 0..20).expect("own columns");
        let found = path.attributions(&x).expect("parts");
        let mut work = Workspace::new(path.layer, path.params.len(), POINTS);
        let range = model.header.margin_ranges[0];
        assert!(range > 1.0, "{range}");
        for (row, x) in x.chunks_exact(path.layer.n_in()).enumerate() {
            let n = 1 << 15;
            let width = 1.0 / n as f32;
            let piece = |i: usize| Piece { low: i as f32 * width, width, ..path.start_like() };
            let mut pieces: Vec<Piece> = (0..n).map(piece).collect();
            path.measure(&mut work, x, 0, &mut pieces);
            for j in 0..path.n_raw {
                let fine: f64 = pieces.iter().map(|p| p.parts[j]).sum();
                let own = found.of(row, 0)[j];
                assert!((own - fine).abs() < 2e-3 * range, "row {row}, column {j}: {own}, finely {fine}");
            }
        }
    }

    impl Path<'_> {
        fn start_like(&self) -> Piece {
            Piece { low: 0.0, width: 1.0, ends: [0.0; 2], middle: 0.0, parts: Vec::new(), missed: 0.0 }
        }
    }
}
