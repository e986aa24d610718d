//! Which characteristics come on the card: information value, correlation, then backward elimination by sign, variance
//! inflation and p-value.

use super::ScorecardParams;
use super::logistic::{Design, Fit, variance_inflation};
use super::optimal::Counts;
use rayon::prelude::*;
use statera_core::{Result, Run};

/// A feature as selection sees it.
pub(super) struct Candidate<'a> {
    pub name: &'a str,
    pub iv: f64,
    pub is_forced: bool,
    pub is_excluded: bool,
}

/// What selection decided.
pub(super) struct Selection {
    /// By feature: why it is not on the card, `None` if it is.
    pub left_out: Vec<Option<String>>,
    /// Features with a coefficient, ascending; the columns of `fit`.
    pub active: Vec<usize>,
    /// Forced features whose coefficient is held at 0, because any other would have the wrong sign.
    pub held: Vec<usize>,
    pub fit: Fit,
    /// Variance inflation by column of `fit`.
    pub vif: Vec<f64>,
    /// Marginal information value by feature.
    pub marginal_iv: Vec<f64>,
}

/// Chooses among `candidates`, one per column of `design`.
///
/// Weight of evidence is higher for better rows, so every coefficient of the log-odds of bad must be below 0.
pub(super) fn select(
    candidates: &[Candidate],
    design: &Design,
    bins: &[Vec<Counts>],
    params: &ScorecardParams,
    run: &Run,
) -> Result<Selection> {
    let mut left_out: Vec<Option<String>> = candidates.iter().map(|c| floor(c, params)).collect();
    let pool: Vec<usize> = (0..candidates.len()).filter(|&j| left_out[j].is_none()).collect();
    let correlations = design.select(&pool).correlations();
    let correlation = |a: usize, b: usize| {
        // Both are in the pool, which is ascending.
        let (a, b) = (pool.partition_point(|&j| j < a), pool.partition_point(|&j| j < b));
        correlations[a * pool.len() + b]
    };
    let mut active = drop_correlated(candidates, &pool, correlation, params, &mut left_out);
    let mut held = Vec::new();
    let mut start = None;
    let (fit, vif) = loop {
        let fit = design.select(&active).fit(params.ridge, start, run)?;
        let p = active.len();
        let among: Vec<f64> =
            active.iter().flat_map(|&a| active.iter().map(move |&b| (a, b))).map(|(a, b)| correlation(a, b)).collect();
        let vif = variance_inflation(&among, p);
        let Some((column, reason)) = worst(candidates, &active, &fit, &vif, params) else {
            break (fit, vif);
        };
        start = Some(fit.without(column + 1));
        let feature = active.remove(column);
        if candidates[feature].is_forced {
            held.push(feature);
        } else {
            left_out[feature] = Some(reason);
        }
    };
    held.sort_unstable();
    let marginal_iv = marginal_iv(design, &active, &fit, bins, params, run)?;
    Ok(Selection { left_out, active, held, fit, vif, marginal_iv })
}

/// The reason to leave a candidate out before any other is looked at.
fn floor(candidate: &Candidate, params: &ScorecardParams) -> Option<String> {
    if candidate.is_excluded {
        Some("excluded in bins.toml".into())
    } else if candidate.is_forced || (candidate.iv >= params.min_iv && candidate.iv > 0.0) {
        None
    } else {
        Some(format!("information value {:.4} below {}", candidate.iv, params.min_iv))
    }
}

/// Keeps the strongest of correlated candidates, forced ones before all others. Returns those kept, ascending.
fn drop_correlated(
    candidates: &[Candidate],
    pool: &[usize],
    correlation: impl Fn(usize, usize) -> f64,
    params: &ScorecardParams,
    left_out: &mut [Option<String>],
) -> Vec<usize> {
    let mut order = pool.to_vec();
    order.sort_by(|&a, &b| {
        let (a, b) = (&candidates[a], &candidates[b]);
        b.is_forced.cmp(&a.is_forced).then(b.iv.total_cmp(&a.iv))
    });
    let mut kept: Vec<usize> = Vec::new();
    for j in order {
        let twin = kept.iter().find(|&&k| correlation(j, k).abs() > params.max_correlation);
        match twin {
            Some(&k) if !candidates[j].is_forced => {
                left_out[j] = Some(format!(
                    "correlation {:.3} with {} above {}",
                    correlation(j, k),
                    candidates[k].name,
                    params.max_correlation
                ));
            }
            _ => kept.push(j),
        }
    }
    kept.sort_unstable();
    kept
}

/// The column to drop next, and why: the most significant wrong sign, else the highest variance inflation, else the
/// highest p-value.
fn worst(
    candidates: &[Candidate],
    active: &[usize],
    fit: &Fit,
    vif: &[f64],
    params: &ScorecardParams,
) -> Option<(usize, String)> {
    let highest = |values: Vec<(usize, f64)>| values.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
    let free = || (0..active.len()).filter(|&c| !candidates[active[c]].is_forced);
    let wrong = (0..active.len()).filter(|&c| fit.beta[c + 1] >= 0.0);
    if let Some((c, _)) = highest(wrong.map(|c| (c, fit.beta[c + 1] / fit.std_error(c + 1))).collect()) {
        return Some((c, format!("coefficient {:+.4} of the wrong sign (must be below 0)", fit.beta[c + 1])));
    }
    if let Some((c, v)) = highest(free().map(|c| (c, vif[c])).filter(|v| v.1 > params.max_vif).collect()) {
        return Some((c, format!("variance inflation {v:.2} above {}", params.max_vif)));
    }
    let (c, p) = highest(free().map(|c| (c, fit.p_value(c + 1))).filter(|v| v.1 > params.max_p_value).collect())?;
    Some((c, format!("p-value {p:.3} above {}", params.max_p_value)))
}

/// Marginal information value of every feature: Σ over its bins of (share of goods - share of bads) times the observed
/// weight of evidence less the one that the card without the feature already expects there (Scallan, "Selecting
/// characteristics and attributes in logistic regression", 2011).
fn marginal_iv(
    design: &Design,
    active: &[usize],
    fit: &Fit,
    bins: &[Vec<Counts>],
    params: &ScorecardParams,
    run: &Run,
) -> Result<Vec<f64>> {
    (0..bins.len())
        .into_par_iter()
        .map(|j| {
            let counts = &bins[j];
            let others: Vec<usize> = active.iter().copied().filter(|&a| a != j).collect();
            let rest = design.select(&others);
            let beta = match active.iter().position(|&a| a == j) {
                Some(column) => rest.fit(params.ridge, Some(fit.without(column + 1)), run)?.beta,
                None => fit.beta.clone(),
            };
            let expected = rest.expected(&beta, design.rows[j], counts.len());
            let sum = |c: &[Counts]| c.iter().fold(Counts::default(), |a, &b| a.plus(b));
            let (total, expected_total) = (sum(counts), sum(&expected));
            let part =
                |(&observed, &e): (&Counts, &Counts)| observed.iv(observed.woe(total) - e.woe(expected_total), total);
            Ok(counts.iter().zip(&expected).map(part).sum())
        })
        .collect()
}
