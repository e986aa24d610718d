//! How good a clustering is without labels: silhouette, agreement of two clusterings, stability under resampling.

use super::Points;
use rayon::prelude::*;
use statera_core::{Result, Rng, Run};

/// The mean silhouette (Rousseeuw 1987) of rows in clusters, -1 to 1: how much nearer a row is to its own cluster than to the
/// nearest other one. 0 for a row that is alone, and for a single cluster. Quadratic in rows.
///
/// # Errors
/// An interruption.
pub fn silhouette(points: &Points<'_>, clusters: &[usize], run: &Run) -> Result<f64> {
    let k = clusters.iter().max().map_or(0, |m| m + 1);
    let mut sizes = vec![0.0; k];
    clusters.iter().for_each(|&j| sizes[j] += 1.0);
    let n = points.n_rows();
    let of_row = |i: usize| -> Result<f64> {
        if i.is_multiple_of(64) {
            run.check()?;
        }
        let mut sums = vec![0.0; k];
        for (other, &cluster) in clusters.iter().enumerate() {
            let squared: f64 =
                points.row(i).iter().zip(points.row(other)).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            sums[cluster] += squared.sqrt();
        }
        let own = clusters[i];
        if sizes[own] < 2.0 {
            return Ok(0.0);
        }
        let within = sums[own] / (sizes[own] - 1.0);
        let others = (0..k).filter(|&j| j != own && sizes[j] > 0.0).map(|j| sums[j] / sizes[j]);
        let nearest = others.fold(f64::INFINITY, f64::min);
        let greatest = within.max(nearest);
        Ok(if nearest.is_finite() && greatest > 0.0 { (nearest - within) / greatest } else { 0.0 })
    };
    let rows: Vec<f64> = (0..n).into_par_iter().map(of_row).collect::<Result<_>>()?;
    Ok(rows.iter().sum::<f64>() / n.max(1) as f64)
}

/// The adjusted Rand index of two clusterings of the same rows (Hubert & Arabie 1985): 1 if they are the same but for names,
/// about 0 for chance.
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> f64 {
    let table = contingency(a, b);
    let pairs = |n: f64| n * (n - 1.0) / 2.0;
    let columns = table.first().map_or(0, Vec::len);
    let both: f64 = table.iter().flatten().map(|n| pairs(*n)).sum();
    let of_a: f64 = table.iter().map(|row| pairs(row.iter().sum())).sum();
    let of_b: f64 = (0..columns).map(|j| pairs(table.iter().map(|row| row[j]).sum())).sum();
    let all = pairs(a.len() as f64);
    let expected = if all > 0.0 { of_a * of_b / all } else { 0.0 };
    let most = (of_a + of_b) / 2.0;
    if most == expected { 1.0 } else { (both - expected) / (most - expected) }
}

fn contingency(a: &[usize], b: &[usize]) -> Vec<Vec<f64>> {
    let size = |labels: &[usize]| labels.iter().max().map_or(0, |m| m + 1);
    let mut table = vec![vec![0.0; size(b)]; size(a)];
    a.iter().zip(b).for_each(|(&i, &j)| table[i][j] += 1.0);
    table
}

/// How well clusters are found again when rows are drawn anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Stability {
    /// By cluster: the mean over resamples of its greatest Jaccard similarity to a cluster of the resample (Hennig 2007).
    /// Above 0.75 is stable, below 0.6 should not be trusted.
    pub jaccard: Vec<f64>,
    /// The mean adjusted Rand index of the clustering and those of the resamples.
    pub adjusted_rand: f64,
}

/// Stability of `clusters`, 0 … k - 1, of all rows: `fit` clusters rows drawn with replacement (each drawn row once, with
/// the number of draws times its weight), and gets a run with a seed of its own; `assign` tells the cluster of rows.
///
/// # Errors
/// What `fit` refuses, and an interruption.
pub fn stability<M: Send>(
    points: &Points<'_>,
    clusters: &[usize],
    n_resamples: usize,
    fit: impl Fn(&Points<'_>, &Run) -> Result<M> + Sync,
    assign: impl Fn(&M, &[f32]) -> Vec<usize> + Sync,
    run: &Run,
) -> Result<Stability> {
    let (n, k) = (points.n_rows(), clusters.iter().max().map_or(0, |m| m + 1));
    let resample = |index: usize| -> Result<(Vec<f64>, f64)> {
        run.check()?;
        let mut rng = Rng::fork(run.seed ^ 0x57ab, index as u64);
        let mut draws = vec![0u32; n];
        (0..n).for_each(|_| draws[rng.below(n)] += 1);
        let rows: Vec<usize> = (0..n).filter(|&i| draws[i] > 0).collect();
        let data: Vec<f32> = rows.iter().flat_map(|&i| points.row(i).iter().copied()).collect();
        let weight: Vec<f64> = rows.iter().map(|&i| f64::from(draws[i]) * points.weight_of(i)).collect();
        let drawn = Points { data: &data, n_cols: points.n_cols, weight: Some(&weight) };
        let found = assign(&fit(&drawn, &run.silent(run.seed.wrapping_add(1 + index as u64)))?, &data);
        let before: Vec<usize> = rows.iter().map(|&i| clusters[i]).collect();
        Ok((jaccards(&before, &found, k), adjusted_rand_index(&before, &found)))
    };
    let all: Vec<(Vec<f64>, f64)> = (0..n_resamples).into_par_iter().map(resample).collect::<Result<_>>()?;
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n_resamples.max(1) as f64;
    Ok(Stability {
        jaccard: (0..k).map(|j| mean(&mut all.iter().map(|(found, _)| found[j]))).collect(),
        adjusted_rand: mean(&mut all.iter().map(|(_, index)| *index)),
    })
}

/// For each cluster of `a` the greatest |A ∩ B| / |A ∪ B| over the clusters of `b`; 0 for one without rows.
fn jaccards(a: &[usize], b: &[usize], k: usize) -> Vec<f64> {
    let mut table = contingency(a, b);
    let n_found = table.first().map_or(0, Vec::len);
    table.resize(k, vec![0.0; n_found]);
    let sizes: Vec<f64> = (0..n_found).map(|j| table.iter().map(|row| row[j]).sum()).collect();
    let of = |row: &Vec<f64>| {
        let own: f64 = row.iter().sum();
        let each = row.iter().zip(&sizes).map(|(both, size)| both / (own + size - both).max(1.0));
        each.fold(0.0, f64::max)
    };
    table.iter().map(of).collect()
}
