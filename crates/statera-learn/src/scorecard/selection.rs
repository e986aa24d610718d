//! Which characteristics come on the card: information value, correlation, a screen where many are left, then backward
//! elimination by sign, variance inflation and p-value.

use super::ScorecardParams;
use super::logistic::{Design, Fit, variance_inflation};
use super::optimal::Counts;
use super::screen;
use rayon::prelude::*;
use statera_core::{Result, Run};

/// Up to so many columns the regression is fitted anew after every elimination. Above, an eighth of the columns goes
/// between two fits, by the fit's quadratic approximation (Lawless and Singhal, "Efficient screening of nonnormal
/// regression models", 1978).
const EXACT: usize = 40;

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
    run.check()?;
    let uncorrelated = drop_correlated(candidates, &pool, correlation, params, &mut left_out);
    let mut active = screened(candidates, &uncorrelated, design, bins, correlation, params, &mut left_out);
    let mut held = Vec::new();
    let mut start = None;
    let inflation = |active: &[usize]| {
        let pairs = active.iter().flat_map(|&a| active.iter().map(move |&b| (a, b)));
        variance_inflation(&pairs.map(|(a, b)| correlation(a, b)).collect::<Vec<f64>>(), active.len())
    };
    let (fit, vif) = loop {
        let exact = design.select(&active).fit(params.ridge, start, run)?;
        let n_at_once = if active.len() > EXACT { active.len() / 8 } else { 1 };
        let mut fit = exact;
        let mut n_dropped = 0;
        let mut vif = inflation(&active);
        while n_dropped < n_at_once {
            let Some((column, reason)) = worst(candidates, &active, &fit, &vif, params) else { break };
            fit = fit.without(column + 1);
            let feature = active.remove(column);
            if candidates[feature].is_forced {
                held.push(feature);
            } else {
                left_out[feature] = Some(reason);
            }
            n_dropped += 1;
            if n_dropped < n_at_once {
                vif = inflation(&active);
            }
        }
        if n_dropped == 0 {
            break (fit, vif);
        }
        start = Some(fit.beta);
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

/// Of `pool`, what enters the regression: all of it within the bound of [`screen::bound`], else what [`screen::forward`]
/// takes. Ascending.
fn screened(
    candidates: &[Candidate],
    pool: &[usize],
    design: &Design,
    bins: &[Vec<Counts>],
    correlation: impl Fn(usize, usize) -> f64,
    params: &ScorecardParams,
    left_out: &mut [Option<String>],
) -> Vec<usize> {
    let total = pool.first().map_or(Counts::default(), |&j| sum(&bins[j]));
    let limit = screen::bound(params.max_candidates, total.good.min(total.bad));
    if pool.len() <= limit {
        return pool.to_vec();
    }
    let target: Vec<f64> = pool.iter().map(|&j| correlation_with_bad(design.values[j], &bins[j])).collect();
    let forced: Vec<usize> = (0..pool.len()).filter(|&c| candidates[pool[c]].is_forced).collect();
    let screened = screen::forward(&target, |a, b| correlation(pool[a], pool[b]), &forced, limit);
    let mut taken: Vec<usize> = screened.taken.iter().map(|&c| pool[c]).collect();
    taken.sort_unstable();
    for (&j, partial) in pool.iter().zip(&screened.partial) {
        if taken.binary_search(&j).is_err() {
            left_out[j] = Some(format!(
                "partial correlation {partial:+.3} with the target beside the {} characteristics taken before it; at most {limit} enter the regression",
                taken.len()
            ));
        }
    }
    taken
}

/// Correlation of a column, given by the value of each bin, with the target; 0 if it is constant.
fn correlation_with_bad(values: &[f64], bins: &[Counts]) -> f64 {
    let total = sum(bins);
    let mean =
        |f: &dyn Fn(f64, Counts) -> f64| values.iter().zip(bins).map(|(&v, &c)| f(v, c)).sum::<f64>() / total.weight();
    let (centre, rate) = (mean(&|v, c| v * c.weight()), total.bad / total.weight());
    let variance = mean(&|v, c| (v - centre).powi(2) * c.weight());
    let covariance = mean(&|v, c| (v - centre) * c.bad);
    let scale = (variance * rate * (1.0 - rate)).sqrt();
    if scale > 0.0 { covariance / scale } else { 0.0 }
}

fn sum(counts: &[Counts]) -> Counts {
    counts.iter().fold(Counts::default(), |a, &b| a.plus(b))
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
    // Every feature that is not on the card meets the same expectation.
    let by_card = design.select(active).probabilities(&fit.beta);
    (0..bins.len())
        .into_par_iter()
        .map(|j| {
            run.check()?;
            let counts = &bins[j];
            let by_rest = match active.binary_search(&j) {
                Ok(column) => {
                    let others: Vec<usize> = active.iter().copied().filter(|&a| a != j).collect();
                    let rest = design.select(&others);
                    let beta = rest.fit_near(params.ridge, fit.without(column + 1), run)?;
                    Some(rest.probabilities(&beta))
                }
                Err(_) => None,
            };
            let probabilities = by_rest.as_deref().unwrap_or(&by_card);
            let expected = design.expected(probabilities, design.rows[j], counts.len());
            let (total, expected_total) = (sum(counts), sum(&expected));
            let part =
                |(&observed, &e): (&Counts, &Counts)| observed.iv(observed.woe(total) - e.woe(expected_total), total);
            Ok(counts.iter().zip(&expected).map(part).sum())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::Rng;

    /// Above [`EXACT`] columns several are eliminated between two fits: the card is the one of a fit after every elimination.
    #[test]
    fn eliminating_several_at_once_leaves_the_same_card() {
        let (n, p) = (4000, 70);
        let mut rng = Rng::new(21);
        let is_bad: Vec<bool> = (0..n).map(|_| rng.uniform() < 0.3).collect();
        // Levels of five bins that say less and less, the last thirty nothing.
        let rows: Vec<Vec<u16>> = (0..p)
            .map(|j| {
                let effect = 0.6 - 0.015 * (j as f64).min(40.0);
                let cell = |&bad: &bool| (rng.normal() + if bad { effect } else { 0.0 } + 2.0).clamp(0.0, 4.0) as u16;
                is_bad.iter().map(cell).collect()
            })
            .collect();
        let weight = vec![1.0; n];
        let mut total = Counts::default();
        is_bad.iter().for_each(|&bad| total.add(1.0, bad));
        let bins: Vec<Vec<Counts>> = rows
            .iter()
            .map(|rows| {
                let mut bins = vec![Counts::default(); 5];
                rows.iter().zip(&is_bad).for_each(|(&bin, &bad)| bins[bin as usize].add(1.0, bad));
                bins
            })
            .collect();
        let values: Vec<Vec<f64>> = bins.iter().map(|b| b.iter().map(|c| c.woe(total)).collect()).collect();
        let design = Design {
            rows: rows.iter().map(Vec::as_slice).collect(),
            values: values.iter().map(Vec::as_slice).collect(),
            pure: vec![&[]; p],
            is_bad: &is_bad,
            weight: &weight,
        };
        let names: Vec<String> = (0..p).map(|j| format!("x{j}")).collect();
        let candidates: Vec<Candidate> =
            names.iter().map(|name| Candidate { name, iv: 1.0, is_forced: false, is_excluded: false }).collect();
        let (params, run) = (ScorecardParams::default(), Run::new(0, 2));
        let selection = select(&candidates, &design, &bins, &params, &run).unwrap();

        let mut active: Vec<usize> = (0..p).collect();
        loop {
            let fit = design.select(&active).fit(params.ridge, None, &run).unwrap();
            let vif = variance_inflation(&design.select(&active).correlations(), active.len());
            let Some((column, _)) = worst(&candidates, &active, &fit, &vif, &params) else { break };
            active.remove(column);
        }
        assert!(active.len() > 20 && active.len() < 60, "{active:?}");
        assert_eq!(selection.active, active);
    }

    #[test]
    fn correlation_of_bins_is_that_of_rows() {
        // Values 2, 2, 2, -1 and targets 1, 0, 1, 0: means 1.25 and .5, covariance .375, variances 1.6875 and .25.
        let bins = [Counts { good: 1.0, bad: 2.0 }, Counts { good: 1.0, bad: 0.0 }];
        let expected = 0.375 / (1.6875f64 * 0.25).sqrt();
        assert!((correlation_with_bad(&[2.0, -1.0], &bins) - expected).abs() < 1e-15);
        assert_eq!(correlation_with_bad(&[2.0, 2.0], &bins), 0.0);
    }
}
