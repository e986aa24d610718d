//! The distribution of a numeric column.

use super::cells::Ordered;
use super::leak::{Tie, add};
use super::target::{NEGATIVE, POSITIVE};
use serde::{Deserialize, Serialize};

/// Most bins of a histogram.
pub const N_BINS_MAX: usize = 40;
/// Probabilities of the quantiles between minimum and maximum.
const PROBABILITIES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
/// Outliers lie beyond the quartiles by this many interquartile ranges (Tukey's outer fences).
const FENCE: f64 = 3.0;

/// A column of numbers; infinite and missing cells are left aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberSummary {
    /// Minimum, the quantiles .01, .05, .25, .5, .75, .95, .99 (linear interpolation, type 7 of Hyndman and Fan 1996), maximum.
    pub quantiles: [f64; 9],
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1); 0 for a single cell.
    pub sd: f64,
    /// Cells equal to zero.
    pub n_zero: usize,
    /// Cells below zero.
    pub n_negative: usize,
    /// Cells more than three interquartile ranges outside the quartiles; 0 where the quartiles coincide.
    pub n_outliers: usize,
    /// True if every value is whole.
    pub is_whole: bool,
    /// Counts by interval.
    pub histogram: Histogram,
    /// Numbers that look as if they meant missing, ascending.
    pub sentinels: Vec<f64>,
}

/// Counts of cells in intervals of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Edges, ascending, one more than counts. A cell belongs to the interval whose lower edge it reaches.
    pub edges: Vec<f64>,
    /// Cells per interval; at most 40.
    pub counts: Vec<usize>,
    /// True if the first interval also counts cells below its edge.
    pub open_below: bool,
    /// True if the last interval also counts cells above its edge.
    pub open_above: bool,
}

/// A distinct value and its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    pub value: f64,
    pub n: usize,
    pub n_positive: usize,
    pub n_negative: usize,
}

/// The distinct values in ascending order, and the classes of rows without a value.
pub(super) fn tally(ordered: &Ordered, classes: &[u8]) -> (Vec<Tally>, Tie) {
    let mut missing = Tie::default();
    let mut pairs: Vec<(i64, u8)> = Vec::with_capacity(ordered.keys.len());
    for (key, &class) in ordered.keys.iter().zip(classes) {
        match key {
            Some(key) => pairs.push((*key, class)),
            None => add(&mut missing, class),
        }
    }
    pairs.sort_unstable();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut last = None;
    for (key, class) in pairs {
        if last != Some(key) {
            last = Some(key);
            tallies.push(Tally { value: ordered.scale.value(key), n: 0, n_positive: 0, n_negative: 0 });
        }
        if let Some(tally) = tallies.last_mut() {
            tally.n += 1;
            tally.n_positive += usize::from(class == POSITIVE);
            tally.n_negative += usize::from(class == NEGATIVE);
        }
    }
    (tallies, missing)
}

/// Summarises distinct values; `None` without any.
pub(super) fn summarise(tallies: &[Tally]) -> Option<NumberSummary> {
    let (first, last) = (tallies.first()?, tallies.last()?);
    let n: usize = tallies.iter().map(|t| t.n).sum();
    let mut quantiles = [first.value; 9];
    quantiles[8] = last.value;
    quantiles[1..8].copy_from_slice(&inner_quantiles(tallies, n));
    // Sums run over ascending values, so they do not depend on the order of rows. The mean is taken relative to the median.
    let centre = quantiles[4];
    let mean = centre + tallies.iter().map(|t| (t.value - centre) * t.n as f64).sum::<f64>() / n as f64;
    let squares: f64 = tallies.iter().map(|t| (t.value - mean).powi(2) * t.n as f64).sum();
    let (q1, q3) = (quantiles[3], quantiles[5]);
    let reach = FENCE * (q3 - q1);
    let is_outlier = |v: f64| reach > 0.0 && (v < q1 - reach || v > q3 + reach);
    let count = |test: &dyn Fn(f64) -> bool| tallies.iter().filter(|t| test(t.value)).map(|t| t.n).sum();
    let is_whole = tallies.iter().all(|t| t.value.fract() == 0.0);
    Some(NumberSummary {
        quantiles,
        mean,
        sd: if n > 1 { (squares / (n - 1) as f64).sqrt() } else { 0.0 },
        n_zero: count(&|v| v == 0.0),
        n_negative: count(&|v| v < 0.0),
        n_outliers: count(&is_outlier),
        is_whole,
        histogram: histogram(tallies, &quantiles, n, is_whole),
        sentinels: sentinels(tallies, n),
    })
}

/// The seven quantiles between the extremes.
fn inner_quantiles(tallies: &[Tally], n: usize) -> [f64; 7] {
    let mut out = [0.0; 7];
    let (mut idx, mut n_upto) = (0, tallies[0].n);
    for (out, p) in out.iter_mut().zip(PROBABILITIES) {
        let place = p * (n - 1) as f64;
        let below = place.floor() as usize;
        while n_upto <= below {
            idx += 1;
            n_upto += tallies[idx].n;
        }
        let value = tallies[idx].value;
        let next = if below + 1 >= n_upto && idx + 1 < tallies.len() { tallies[idx + 1].value } else { value };
        *out = value + (next - value) * (place - below as f64);
    }
    out
}

/// At most 40 intervals by the rule of Freedman and Diaconis (1981). Tails that would squeeze the bulk into a corner are gathered
/// in the outer intervals; whole numbers get intervals of whole width, so that none is favoured.
fn histogram(tallies: &[Tally], q: &[f64; 9], n: usize, is_whole: bool) -> Histogram {
    let bulk = q[7] - q[1];
    let low = if bulk > 0.0 && q[1] - q[0] > bulk / 2.0 { q[1] } else { q[0] };
    let high = if bulk > 0.0 && q[8] - q[7] > bulk / 2.0 { q[7] } else { q[8] };
    let (open_below, open_above) = (low > q[0], high < q[8]);
    let ideal = 2.0 * (q[5] - q[3]) / (n as f64).cbrt();
    let n_bins = if ideal > 0.0 { ((high - low) / ideal).ceil().clamp(10.0, N_BINS_MAX as f64) } else { 20.0 };
    let mut edges: Vec<f64> = if is_whole && high - low < 9e15 {
        let (low, span) = (low.floor(), high.ceil() - low.floor() + 1.0);
        let width = if span <= N_BINS_MAX as f64 { 1.0 } else { (span / n_bins).ceil() };
        (0..=(span / width).ceil() as usize).map(|i| low + width * i as f64).collect()
    } else if high > low {
        let width = (high - low) / n_bins;
        (0..=n_bins as usize).map(|i| if i == n_bins as usize { high } else { low + width * i as f64 }).collect()
    } else {
        vec![low, low + if low == 0.0 { 1.0 } else { low.abs() }]
    };
    // Beyond 53 bits neighbouring edges may be one number.
    edges.dedup();
    if edges.len() < 2 {
        edges.push(edges[0].next_up());
    }
    let mut counts = vec![0; edges.len() - 1];
    for tally in tallies {
        let idx = edges.partition_point(|&edge| edge <= tally.value).clamp(1, counts.len()) - 1;
        counts[idx] += tally.n;
    }
    Histogram { edges, counts, open_below, open_above }
}

/// Numbers that stand apart from the rest, are repeated, and are of the sort people type for nothing: −1 and −99 below, 99,
/// 999, 9998 and the like above.
///
/// At the upper end they must lie beyond the rest by half its range, as must −99 and beyond at the lower end; −1 to −9 only have to be the only
/// negative numbers of a column with at least ten others.
fn sentinels(tallies: &[Tally], n: usize) -> Vec<f64> {
    let enough = |t: &Tally| t.n >= 5 && t.n * 2000 >= n;
    let n_low = tallies.iter().take_while(|t| t.value < 0.0 && is_code(-t.value) && enough(t)).count();
    let most_high =
        tallies[n_low..].iter().rev().take_while(|t| t.value > 9.0 && is_code(t.value) && enough(t)).count();
    // 96 may look like a code and be the largest amount below 999: as many as lie beyond all the rest are codes.
    let rest_of = |n_high: usize| &tallies[n_low..tallies.len() - n_high];
    let lies_beyond = |n_high: &usize| {
        let rest = rest_of(*n_high);
        let range = rest.first().zip(rest.last()).filter(|_| rest.len() >= 2);
        range.is_some_and(|(a, b)| tallies[tallies.len() - n_high].value - b.value > (b.value - a.value) / 2.0)
    };
    let n_high = (1..=most_high).rev().find(lies_beyond).unwrap_or(0);
    let rest = rest_of(n_high);
    let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Vec::new() };
    let margin = (last.value - first.value) / 2.0;
    let mut found = Vec::new();
    if let Some(top) = tallies[..n_low].last() {
        let only_negative = first.value >= 0.0 && rest.len() >= 10;
        if only_negative || (top.value < -9.0 && first.value - top.value > margin) {
            found.extend(tallies[..n_low].iter().map(|t| t.value));
        }
    }
    found.extend(tallies[tallies.len() - n_high..].iter().map(|t| t.value));
    found
}

/// 1 to 9, 96 to 99, 996 to 999 and so on, to seven digits.
fn is_code(value: f64) -> bool {
    let nines = [99.0, 999.0, 9999.0, 99_999.0, 999_999.0, 9_999_999.0];
    value.fract() == 0.0 && ((1.0..=9.0).contains(&value) || nines.iter().any(|m| (m - 3.0..=*m).contains(&value)))
}
