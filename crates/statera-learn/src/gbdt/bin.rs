//! From cells to codes: edges of numbers, codes of levels.

use super::GbdtParams;
use rayon::prelude::*;
use statera_core::{CODE_RARE, Column, Error, FeatureSpec, Frame, Result, Rng};
use statera_kernel::histogram::{CodeMatrix, MAX_BINS};
use statera_kernel::tree::{Cells, Coder};

/// Rows that edges are found from; more are sampled.
const MAX_EDGE_ROWS: usize = 200_000;

/// Finds each feature's codes from training rows; `weight` is one per row or empty.
pub(super) fn fit_coders(params: &GbdtParams, frame: &Frame, weight: &[f64], seed: u64) -> Result<Vec<Coder>> {
    let rows = edge_rows(frame.n_rows, seed);
    let features: Vec<_> = frame.spec.features.iter().zip(&frame.columns).collect();
    features
        .into_par_iter()
        .map(|(spec, column)| match (column, &spec.levels) {
            (Column::Number(values), None) => {
                let n_bins = params.max_bins.min(MAX_BINS - 1 - spec.sentinels.len().min(MAX_BINS - 3));
                number_coder(spec, values, weight, rows.as_deref(), n_bins, params.min_rows_per_bin as f64)
            }
            (Column::Codes(codes), Some(levels)) => Ok(level_coder(codes, levels.len(), weight)),
            (Column::Number(_), Some(_)) => Err(kind_error(spec, "levels", "numbers")),
            (Column::Codes(_), None) => Err(kind_error(spec, "numbers", "levels")),
        })
        .collect()
}

fn kind_error(spec: &FeatureSpec, wanted: &str, found: &str) -> Error {
    Error::request(format!("feature «{}» must hold {wanted}, it holds {found}", spec.name))
}

/// Rows to find edges from, or `None` for all (Knuth's selection sampling, ascending).
fn edge_rows(n_rows: usize, seed: u64) -> Option<Vec<usize>> {
    (n_rows > MAX_EDGE_ROWS).then(|| sample(n_rows, MAX_EDGE_ROWS, &mut Rng::fork(seed, u64::MAX)))
}

/// `n_wanted` of `n` indices, uniformly without replacement, ascending.
pub(super) fn sample(n: usize, n_wanted: usize, rng: &mut Rng) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(n_wanted);
    for i in 0..n {
        if chosen.len() == n_wanted {
            break;
        }
        if rng.uniform() * ((n - i) as f64) < (n_wanted - chosen.len()) as f64 {
            chosen.push(i);
        }
    }
    chosen
}

fn number_coder(
    spec: &FeatureSpec,
    values: &[f64],
    weight: &[f64],
    rows: Option<&[usize]>,
    n_bins: usize,
    min_rows: f64,
) -> Result<Coder> {
    if let Some(row) = values.iter().position(|x| x.is_infinite()) {
        return Err(Error::data(format!("feature «{}», row {row}: {} is not a finite number", spec.name, values[row])));
    }
    if spec.sentinels.len() > 100 {
        let n = spec.sentinels.len();
        return Err(Error::request(format!("feature «{}» has {n} sentinels, at most 100 are allowed", spec.name)));
    }
    let is_amount = |x: f64| !x.is_nan() && !spec.sentinels.contains(&x);
    let distinct = if weight.is_empty() {
        let mut kept: Vec<f64> = match rows {
            Some(rows) => rows.iter().map(|&r| values[r]).filter(|&x| is_amount(x)).collect(),
            None => values.iter().copied().filter(|&x| is_amount(x)).collect(),
        };
        kept.sort_unstable_by(f64::total_cmp);
        count(kept.into_iter().map(|x| (x, 1.0)))
    } else {
        let all = 0..values.len();
        let pairs = |r: usize| (values[r], weight[r]);
        let mut kept: Vec<(f64, f64)> = match rows {
            Some(rows) => rows.iter().map(|&r| pairs(r)).filter(|p| is_amount(p.0)).collect(),
            None => all.map(pairs).filter(|p| is_amount(p.0)).collect(),
        };
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        count(kept.into_iter())
    };
    let coder = Coder::Number { edges: edges(&distinct, n_bins, min_rows), sentinels: spec.sentinels.clone() };
    coder.check().map_err(|e| Error::request(format!("feature «{}»: {e}", spec.name)))?;
    Ok(coder)
}

/// Distinct values with their weights; the pairs ascend.
fn count(pairs: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut distinct: Vec<(f64, f64)> = Vec::new();
    for (x, w) in pairs {
        match distinct.last_mut() {
            Some(last) if last.0 == x => last.1 += w,
            _ => distinct.push((x, w)),
        }
    }
    distinct
}

/// Edges between at most `n_bins` bins of about equal weight; a value heavier than a fair share has a bin alone.
///
/// The greedy walk is LightGBM's: a bin closes when it holds its fair share of what heavy values leave, or half of it
/// before a heavy value. No bin weighs less than `min_rows`, but the last.
fn edges(distinct: &[(f64, f64)], n_bins: usize, min_rows: f64) -> Vec<f64> {
    let mut edges = Vec::new();
    let mut held = 0.0;
    let total: f64 = distinct.iter().map(|d| d.1).sum();
    if distinct.len() <= n_bins {
        for pair in distinct.windows(2) {
            held += pair[0].1;
            if held >= min_rows {
                edges.push(middle(pair[0].0, pair[1].0));
                held = 0.0;
            }
        }
        return edges;
    }
    let n_bins = n_bins.min((total / min_rows.max(1e-300)) as usize).max(1);
    let fair = total / n_bins as f64;
    let is_heavy = |d: &(f64, f64)| d.1 >= fair;
    let heavy_weight: f64 = distinct.iter().filter(|d| is_heavy(d)).map(|d| d.1).sum();
    let mut light_weight = total - heavy_weight;
    let mut light_bins = n_bins as f64 - distinct.iter().filter(|d| is_heavy(d)).count() as f64;
    let mut share = light_weight / light_bins;
    for pair in distinct.windows(2) {
        if edges.len() + 1 == n_bins {
            break;
        }
        let heavy = is_heavy(&pair[0]);
        if !heavy {
            light_weight -= pair[0].1;
        }
        held += pair[0].1;
        if heavy || held >= share || (is_heavy(&pair[1]) && held >= (0.5 * share).max(1.0)) {
            edges.push(middle(pair[0].0, pair[1].0));
            held = 0.0;
            if !heavy {
                light_bins -= 1.0;
                share = light_weight / light_bins;
            }
        }
    }
    edges
}

/// A number x with a ≤ x < b, half way where there is room.
fn middle(a: f64, b: f64) -> f64 {
    let x = a / 2.0 + b / 2.0;
    if x >= a && x < b { x } else { a }
}

/// Codes of the levels that occur, in their order; beyond 254 the lightest share code 0 with missing and unknown.
fn level_coder(codes: &[u32], n_levels: usize, weight: &[f64]) -> Coder {
    let n_codes = statera_core::FIRST_LEVEL as usize + n_levels;
    let mut weights = vec![0.0; n_codes];
    for (row, &code) in codes.iter().enumerate() {
        if let Some(sum) = weights.get_mut(code as usize) {
            *sum += weight.get(row).copied().unwrap_or(1.0);
        }
    }
    // Missing and unknown are no levels.
    let mut present: Vec<usize> = (CODE_RARE as usize..n_codes).filter(|&c| weights[c] > 0.0).collect();
    present.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
    present.truncate(MAX_BINS - 2);
    present.sort_unstable();
    let mut map = vec![0_u8; n_codes];
    for (i, &code) in present.iter().enumerate() {
        map[code] = 1 + i as u8;
    }
    Coder::Level { codes: map }
}

/// Cells of a frame's column as the kernel reads them.
pub(super) fn cells(column: &Column) -> Cells<'_> {
    match column {
        Column::Number(values) => Cells::Number(values),
        Column::Codes(codes) => Cells::Level(codes),
    }
}

/// The codes of a frame whose columns fit the coders in kind.
pub(super) fn encode(coders: &[Coder], frame: &Frame) -> Result<CodeMatrix> {
    let columns: Vec<Vec<u8>> = coders
        .par_iter()
        .zip(&frame.columns)
        .zip(&frame.spec.features)
        .map(|((coder, column), spec)| {
            let mut codes = vec![0; frame.n_rows];
            if coder.encode(cells(column), &mut codes) {
                Ok(codes)
            } else {
                Err(Error::request(format!("feature «{}» holds another kind of cells than in training", spec.name)))
            }
        })
        .collect::<Result<_>>()?;
    let n_codes: Vec<usize> = coders.iter().map(Coder::n_codes).collect();
    Ok(CodeMatrix::new(frame.n_rows, &columns, &n_codes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_get_an_edge_each_unless_too_light() {
        let check = |values: &[(f64, f64)], expected: &[f64]| assert_eq!(edges(values, 255, 3.0), expected);
        check(&[(1.0, 3.0), (2.0, 3.0), (4.0, 3.0)], &[1.5, 3.0]);
        check(&[(1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (5.0, 9.0)], &[4.5]);
        check(&[(7.0, 9.0)], &[]);
        check(&[], &[]);
    }

    #[test]
    fn many_values_get_bins_of_equal_weight_and_heavy_ones_stand_alone() {
        let mut values: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), 1.0)).collect();
        let plain = edges(&values, 10, 3.0);
        assert_eq!(plain.len(), 9);
        assert!(plain.windows(2).all(|w| (w[1] - w[0] - 100.0).abs() <= 1.0), "{plain:?}");
        values[500].1 = 1000.0;
        let heavy = edges(&values, 10, 3.0);
        assert!(heavy.contains(&499.5) && heavy.contains(&500.5), "{heavy:?}");
    }

    #[test]
    fn an_edge_never_reaches_the_next_value() {
        let next = 1.0_f64.next_up();
        assert_eq!(middle(1.0, next), 1.0);
        assert_eq!(middle(f64::MAX / 2.0, f64::MAX), f64::MAX * 0.75);
        assert_eq!(middle(-1.0, 1.0), 0.0);
    }

    #[test]
    fn absent_levels_share_the_code_of_missing() {
        let coder = level_coder(&[3, 5, 5, 0, 2], 4, &[]);
        assert_eq!(coder, Coder::Level { codes: vec![0, 0, 1, 2, 0, 3, 0] });
    }

    #[test]
    fn a_sample_is_ascending_and_of_the_wanted_size() {
        let rows = sample(1000, 100, &mut Rng::new(3));
        assert_eq!(rows.len(), 100);
        assert!(rows.windows(2).all(|w| w[0] < w[1]) && rows[99] < 1000);
    }
}
