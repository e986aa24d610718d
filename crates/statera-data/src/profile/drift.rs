//! How columns and target move with time.

use super::cells::{Cells, Levels, NO_LEVEL, Ordered, Values};
use super::column::ColumnProfile;
use super::period::{N_PERIOD_MIN, NO_PERIOD, Period, Timeline};
use super::target::{Classes, POSITIVE, UNKNOWN};
use serde::{Deserialize, Serialize};

/// Levels told apart; the others are one bin.
const N_LEVELS_MAX: usize = 10;
/// Bins of numbers, of equal counts in the reference.
const N_BINS: usize = 10;
/// Rows added to each bin, so that an empty one has a finite logarithm.
const SMOOTHING: f64 = 0.5;

/// Drift over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The time column.
    pub column: String,
    /// Calendar unit.
    pub unit: Period,
    /// The periods that have rows, in order.
    pub periods: Vec<PeriodRow>,
    /// The first so many periods are the reference: one, or as many as it takes to reach 200 rows.
    pub n_reference: usize,
    /// Rows without a time.
    pub n_without_time: usize,
    /// Columns, those that moved most first.
    pub columns: Vec<DriftRow>,
}

/// A period's rows and events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeriodRow {
    /// `2024-01-15`, `2024-01`, `2024-Q1` or `2024`.
    pub label: String,
    /// Rows.
    pub n_rows: usize,
    /// Rows with a known binary target.
    pub n_known: usize,
    /// Events among them.
    pub n_positive: usize,
    /// Share of events.
    pub rate: Option<f64>,
}

/// A column's population stability index by period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftRow {
    /// The column.
    pub column: String,
    /// Index per period against the reference; `None` within the reference and in periods of less than 200 rows.
    pub psi: Vec<Option<f64>>,
    /// Largest index, and the place of its period.
    pub worst: Option<(f64, usize)>,
}

/// Index of a column for each period: Σ (q − p) ln(q / p) over ten bins of equal counts in the reference, or its ten most frequent
/// levels and the rest; missing cells are a bin.
pub(super) fn stability(cells: &Cells<'_>, timeline: &Timeline) -> Vec<Option<f64>> {
    let (bins, n_bins) = match &cells.values {
        Values::Ordered(ordered) => number_bins(ordered, timeline),
        Values::Levels(levels) => level_bins(levels, timeline),
    };
    let mut counts = vec![vec![0usize; n_bins]; timeline.labels.len()];
    for (&bin, &period) in bins.iter().zip(&timeline.of_row) {
        if period != NO_PERIOD {
            counts[period as usize][bin as usize] += 1;
        }
    }
    let (reference, later) = counts.split_at(timeline.n_reference);
    let base: Vec<usize> = (0..n_bins).map(|b| reference.iter().map(|c| c[b]).sum()).collect();
    let enough = base.iter().sum::<usize>() >= N_PERIOD_MIN;
    let index = |c: &Vec<usize>| (enough && c.iter().sum::<usize>() >= N_PERIOD_MIN).then(|| psi(&base, c));
    reference.iter().map(|_| None).chain(later.iter().map(index)).collect()
}

/// Population stability index of two counts over the same bins.
pub(super) fn psi(base: &[usize], other: &[usize]) -> f64 {
    let used: Vec<(f64, f64)> =
        base.iter().zip(other).filter(|(a, b)| **a + **b > 0).map(|(&a, &b)| (a as f64, b as f64)).collect();
    let total = |pick: fn(&(f64, f64)) -> f64| used.iter().map(pick).sum::<f64>() + SMOOTHING * used.len() as f64;
    let (n_base, n_other) = (total(|c| c.0), total(|c| c.1));
    used.iter()
        .map(|(a, b)| {
            let (p, q) = ((a + SMOOTHING) / n_base, (b + SMOOTHING) / n_other);
            (q - p) * (q / p).ln()
        })
        .sum()
}

/// Each row's bin; the last bin is for cells that are nothing.
fn number_bins(ordered: &Ordered, timeline: &Timeline) -> (Vec<u32>, usize) {
    let in_reference = |period: u32| (period as usize) < timeline.n_reference;
    let mut sorted: Vec<i64> =
        ordered.keys.iter().zip(&timeline.of_row).filter(|(_, p)| in_reference(**p)).filter_map(|(k, _)| *k).collect();
    sorted.sort_unstable();
    let mut cuts: Vec<i64> = match sorted.len() {
        0 => Vec::new(),
        n => (1..N_BINS).map(|i| sorted[(i * n / N_BINS).min(n - 1)]).collect(),
    };
    cuts.dedup();
    let nothing = cuts.len() as u32 + 1;
    let bin = |key: &Option<i64>| key.map_or(nothing, |k| cuts.partition_point(|&c| c < k) as u32);
    (ordered.keys.iter().map(bin).collect(), nothing as usize + 1)
}

fn level_bins(levels: &Levels<'_>, timeline: &Timeline) -> (Vec<u32>, usize) {
    let mut counts = vec![0usize; levels.texts.len()];
    for (&code, &period) in levels.codes.iter().zip(&timeline.of_row) {
        if code != NO_LEVEL && (period as usize) < timeline.n_reference {
            counts[code as usize] += 1;
        }
    }
    let mut order: Vec<usize> = (0..counts.len()).filter(|&i| counts[i] > 0).collect();
    order.sort_unstable_by_key(|&i| (std::cmp::Reverse(counts[i]), levels.texts[i]));
    let n_named = order.len().min(N_LEVELS_MAX);
    let (others, nothing) = (n_named as u32, n_named as u32 + 1);
    let mut bin = vec![others; counts.len()];
    for (place, &code) in order[..n_named].iter().enumerate() {
        bin[code] = place as u32;
    }
    let bins = levels.codes.iter().map(|&c| bin.get(c as usize).copied().unwrap_or(nothing)).collect();
    (bins, n_named + 2)
}

/// Puts the parts together.
pub(super) fn assemble(
    timeline: &Timeline,
    columns: &[ColumnProfile],
    psi: Vec<Option<Vec<Option<f64>>>>,
    classes: &Classes,
) -> Drift {
    let mut periods: Vec<PeriodRow> = timeline
        .labels
        .iter()
        .zip(&timeline.n_rows)
        .map(|(label, &n_rows)| PeriodRow { label: label.clone(), n_rows, n_known: 0, n_positive: 0, rate: None })
        .collect();
    for (&period, &class) in timeline.of_row.iter().zip(&classes.of_row) {
        if period != NO_PERIOD && class != UNKNOWN {
            let row = &mut periods[period as usize];
            row.n_known += 1;
            row.n_positive += usize::from(class == POSITIVE);
        }
    }
    for row in periods.iter_mut().filter(|r| r.n_known > 0) {
        row.rate = Some(super::share(row.n_positive, row.n_known));
    }
    let mut rows: Vec<DriftRow> = columns
        .iter()
        .zip(psi)
        .filter_map(|(column, psi)| {
            let psi = psi?;
            let worst = psi
                .iter()
                .enumerate()
                .filter_map(|(i, p)| p.map(|p| (p, i)))
                .reduce(|a, b| if b.0 > a.0 { b } else { a });
            Some(DriftRow { column: column.name.clone(), psi, worst })
        })
        .collect();
    rows.sort_by(|a, b| {
        let size = |r: &DriftRow| r.worst.map_or(-1.0, |w| w.0);
        size(b).total_cmp(&size(a))
    });
    Drift {
        column: timeline.column.clone(),
        unit: timeline.unit,
        periods,
        n_reference: timeline.n_reference,
        n_without_time: timeline.of_row.iter().filter(|&&p| p == NO_PERIOD).count(),
        columns: rows,
    }
}
