//! How well a column tells to which protected group a row belongs: what makes it a proxy.
//!
//! Columns of any kind are cut into few parts, so that one measure serves all, whatever the shape of the relation. The area
//! under the curve is honest: the share of the group in a part is that of the other folds. The information is the share of
//! what is uncertain about the group that the parts remove (Theil's uncertainty coefficient), after the bias correction of
//! Miller (1955): parts without any meaning have 0 on average.

use crate::metric::{Interval, Z_95, area, delong_variance};
use crate::{Column, Rng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows of the overall share that are added to each part, so that a part of few rows says little.
const PRIOR_ROWS: f64 = 2.0;

/// How well parts tell groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Association {
    /// The group that is told best: an index.
    pub group: usize,
    /// Area under the curve of telling that group from the others, out of fold, with DeLong's interval.
    pub auc: Interval,
    /// Share of the uncertainty about all groups that is removed, 0 to 1.
    pub information: f64,
}

/// The part of each row: the values of a number that has few, else parts of about equal size; the levels of a category, the
/// most frequent ones; missing cells are a part of their own. At most `max_parts` and one for missing cells, and one for
/// what is left.
pub fn parts(column: &Column, max_parts: usize) -> Vec<usize> {
    match column {
        Column::Number(values) => {
            let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let mut edges = sorted.clone();
            edges.dedup();
            if edges.len() > max_parts {
                // Equal values stay together, so that parts may differ in size.
                edges = (0..max_parts).map(|i| sorted[i * sorted.len() / max_parts]).collect();
                edges.dedup();
            }
            values.iter().map(|v| if v.is_nan() { 0 } else { edges.partition_point(|e| e <= v) }).collect()
        }
        Column::Codes(codes) => {
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            codes.iter().for_each(|code| *counts.entry(*code).or_default() += 1);
            let mut order: Vec<(u32, usize)> = counts.into_iter().collect();
            order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            let place: BTreeMap<u32, usize> =
                order.iter().take(max_parts).enumerate().map(|(i, (code, _))| (*code, i)).collect();
            codes.iter().map(|code| place.get(code).copied().unwrap_or(max_parts)).collect()
        }
    }
}

/// The cells where the parts of two columns meet, numbered anew.
pub fn meet(a: &[usize], b: &[usize]) -> Vec<usize> {
    let mut numbers: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut number = |pair| {
        let next = numbers.len();
        *numbers.entry(pair).or_insert(next)
    };
    a.iter().zip(b).map(|(a, b)| number((*a, *b))).collect()
}

/// A fold for each row, groups dealt evenly over the folds.
pub fn folds_by_group(group: &[usize], n_folds: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..group.len()).collect();
    Rng::new(seed).shuffle(&mut order);
    order.sort_by_key(|&row| group[row]);
    let mut folds = vec![0; group.len()];
    order.into_iter().enumerate().for_each(|(at, row)| folds[row] = at % n_folds.max(1));
    folds
}

/// The area under the curve of a score that tells rows `is_in` from the others, the mean of the areas within folds, with
/// DeLong's normal interval, cut at 0 and 1. Rows of different folds are not compared: a share that was found without a fold
/// is the lower, the more of the group the fold holds. `None` if no fold holds both kinds of rows.
pub fn auc_of(score: &[f64], is_in: &[bool], folds: &[usize]) -> Option<Interval> {
    let n_folds = folds.iter().max().map_or(0, |m| m + 1);
    let (mut n, mut sum, mut variances) = (0.0, 0.0, Some(0.0));
    for fold in 0..n_folds {
        let rows: Vec<usize> = (0..folds.len()).filter(|&row| folds[row] == fold).collect();
        let score: Vec<f64> = rows.iter().map(|&row| score[row]).collect();
        let target: Vec<f64> = rows.iter().map(|&row| f64::from(u8::from(is_in[row]))).collect();
        let weight = vec![1.0; rows.len()];
        let value = area(&score, &target, &weight);
        if value.is_finite() {
            let variance = delong_variance(&score, &target, &weight);
            (n, sum, variances) = (n + 1.0, sum + value, variances.zip(variance).map(|(a, b)| a + b));
        }
    }
    let value = sum / n;
    let half = variances.map_or(1.0, |variances| Z_95 * variances.sqrt() / n);
    value.is_finite().then(|| Interval { value, low: (value - half).max(0.0), high: (value + half).min(1.0) })
}

/// How well `parts` tell the groups of rows, 0 to `n_groups` − 1; `asked` are those that are to be told from all others, and
/// `folds` says which rows are judged together. Each row counts once, whatever it weighs: this is about columns, not about
/// outcomes. `None` if there are no two groups with rows.
pub fn association(
    parts: &[usize],
    group: &[usize],
    n_groups: usize,
    asked: &[usize],
    folds: &[usize],
) -> Option<Association> {
    let n_parts = parts.iter().max().map_or(0, |m| m + 1);
    let n_folds = folds.iter().max().map_or(0, |m| m + 1);
    // Rows by fold, part and group.
    let mut counts = vec![0u32; n_folds * n_parts * n_groups];
    let at = |fold: usize, part: usize, group: usize| (fold * n_parts + part) * n_groups + group;
    for ((part, group), fold) in parts.iter().zip(group).zip(folds) {
        counts[at(*fold, *part, *group)] += 1;
    }
    let sum = |fold: Option<usize>, part: Option<usize>, group: Option<usize>| -> f64 {
        let range = |one: Option<usize>, n: usize| one.map_or(0..n, |i| i..i + 1);
        let mut sum = 0.0;
        for f in range(fold, n_folds) {
            for p in range(part, n_parts) {
                sum += range(group, n_groups).map(|g| f64::from(counts[at(f, p, g)])).sum::<f64>();
            }
        }
        sum
    };
    let areas = asked.iter().filter_map(|&asked| {
        let mut rate = vec![0.0; n_folds * n_parts];
        let (n, own) = (sum(None, None, None), sum(None, None, Some(asked)));
        for fold in 0..n_folds {
            let others = n - sum(Some(fold), None, None);
            let share = (own - sum(Some(fold), None, Some(asked))) / others.max(1.0);
            for part in 0..n_parts {
                let rows = sum(None, Some(part), None) - sum(Some(fold), Some(part), None);
                let hits = sum(None, Some(part), Some(asked)) - sum(Some(fold), Some(part), Some(asked));
                rate[fold * n_parts + part] = (hits + PRIOR_ROWS * share) / (rows + PRIOR_ROWS);
            }
        }
        let score: Vec<f64> = parts.iter().zip(folds).map(|(part, fold)| rate[fold * n_parts + part]).collect();
        let is_in: Vec<bool> = group.iter().map(|g| *g == asked).collect();
        auc_of(&score, &is_in, folds).map(|auc| (asked, auc))
    });
    let (group_told, auc) = areas.reduce(|best, other| if other.1.value > best.1.value { other } else { best })?;
    let table: Vec<Vec<f64>> =
        (0..n_parts).map(|p| (0..n_groups).map(|g| sum(None, Some(p), Some(g))).collect()).collect();
    Some(Association { group: group_told, auc, information: uncertainty_removed(&table) })
}

/// Mutual information of rows and columns of a table of counts over the entropy of the columns, bias-corrected; 0 if the
/// columns are certain.
fn uncertainty_removed(table: &[Vec<f64>]) -> f64 {
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum()).collect();
    let n_columns = table.first().map_or(0, Vec::len);
    let columns: Vec<f64> = (0..n_columns).map(|j| table.iter().map(|row| row[j]).sum()).collect();
    let total: f64 = rows.iter().sum();
    let term = |count: f64| if count > 0.0 { -count / total * (count / total).ln() } else { 0.0 };
    let entropy = |counts: &[f64]| counts.iter().map(|c| term(*c)).sum::<f64>();
    let joint: f64 = table.iter().flatten().map(|c| term(*c)).sum();
    let of_columns = entropy(&columns);
    let n_filled = |counts: &[f64]| counts.iter().filter(|c| **c > 0.0).count() as f64;
    let bias = (n_filled(&rows) - 1.0) * (n_filled(&columns) - 1.0) / (2.0 * total);
    let information = entropy(&rows) + of_columns - joint - bias;
    if of_columns > 0.0 { (information / of_columns).clamp(0.0, 1.0) } else { 0.0 }
}
