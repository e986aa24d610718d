//! Which characteristics enter the regression where there are more than it can take: forward selection by partial
//! correlation, on the correlation matrix alone.
//!
//! Backward elimination starts from a regression on everything. That start means nothing with fewer rows of a class than
//! columns, and takes time that grows with the cube of the columns. Forward selection by partial correlation is the
//! score test of the linear probability model: one pivoted Cholesky step per characteristic taken, `O(p k)` each.

/// Rows of the rarer class per characteristic that enters the regression. Ten is the usual rule for a model that is kept
/// (Peduzzi et al. 1996); elimination makes the model smaller, so it may start with twice as many.
const EVENTS_PER_CANDIDATE: f64 = 5.0;
/// So many characteristics enter whatever the number of rows.
const ALWAYS: usize = 20;
/// Share of its variance below which a column is determined by those taken.
const COLLINEAR: f64 = 1e-9;

/// The most characteristics that enter the regression: `max_candidates`, fewer where the rarer class has few rows.
pub(super) fn bound(max_candidates: usize, events: f64) -> usize {
    let by_events = (events / EVENTS_PER_CANDIDATE) as usize;
    max_candidates.min(by_events.max(ALWAYS))
}

/// What the screen decided of its columns.
pub(super) struct Screened {
    /// Columns taken, in the order of their taking.
    pub taken: Vec<usize>,
    /// By column: partial correlation with the target beside those taken (before it, for those taken).
    pub partial: Vec<f64>,
}

/// Takes up to `k` of the columns: first those of `forced`, then always the one with the most negative partial
/// correlation with the target, as long as one is negative. `correlation` is that of two columns, `target` each column's
/// with the target.
pub(super) fn forward(
    target: &[f64],
    correlation: impl Fn(usize, usize) -> f64,
    forced: &[usize],
    k: usize,
) -> Screened {
    let p = target.len();
    // Of each column: variance and covariance with the target, less what the columns taken explain.
    let (mut variance, mut covariance) = (vec![1.0; p], target.to_vec());
    let mut target_variance = 1.0;
    // Cholesky columns of those taken.
    let mut factors: Vec<Vec<f64>> = Vec::new();
    let mut is_open = vec![true; p];
    let mut taken = Vec::new();
    let mut partial = vec![0.0; p];
    let mut waiting = forced.iter().copied();
    loop {
        for j in (0..p).filter(|&j| is_open[j]) {
            let scale: f64 = variance[j] * target_variance;
            let is_free = variance[j] > COLLINEAR && target_variance > COLLINEAR;
            partial[j] = if is_free { covariance[j] / scale.sqrt() } else { 0.0 };
        }
        let strongest = || {
            let open = (0..p).filter(|&j| is_open[j] && partial[j] < 0.0);
            open.reduce(|a, b| if partial[b] < partial[a] { b } else { a }).filter(|_| taken.len() < k)
        };
        let Some(next) = waiting.next().or_else(strongest) else { return Screened { taken, partial } };
        is_open[next] = false;
        taken.push(next);
        if variance[next] <= COLLINEAR {
            continue;
        }
        let pivot = variance[next].sqrt();
        let explained = |j: usize| factors.iter().map(|f: &Vec<f64>| f[next] * f[j]).sum::<f64>();
        let factor: Vec<f64> = (0..p).map(|j| (correlation(next, j) - explained(j)) / pivot).collect();
        let of_target = covariance[next] / pivot;
        for j in 0..p {
            variance[j] -= factor[j] * factor[j];
            covariance[j] -= factor[j] * of_target;
        }
        target_variance -= of_target * of_target;
        factors.push(factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_bound_the_start() {
        for (max, events, expected) in [(100, 1e6, 100), (100, 300.0, 60), (100, 3.0, 20), (10, 1e6, 10), (10, 3.0, 10)]
        {
            assert_eq!(bound(max, events), expected, "{max} and {events} events");
        }
    }

    /// Three columns whose correlations are chosen so that partial correlations can be worked out by hand: 0 and 1
    /// correlate by .8, 2 with neither.
    #[test]
    fn takes_what_the_others_do_not_say() {
        let r = [[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let target = [-0.5, -0.45, -0.3];
        let screened = forward(&target, |a, b| r[a][b], &[], 2);
        // 0 first. Then 1 has (-.45 + .8 · .5) / sqrt((1 - .64) (1 - .25)) = -.0962, 2 has -.3 / sqrt(.75) = -.3464: 2, though it is
        // the weakest alone. Beside both, 1 has -.05 / sqrt(.36 · (.75 - .09)) = -.1026.
        assert_eq!(screened.taken, [0, 2]);
        for (got, expected) in screened.partial.iter().zip([-0.5, -0.102_576_2, -0.346_410_2]) {
            assert!((got - expected).abs() < 1e-6, "{:?}", screened.partial);
        }
        // A forced one comes first, whatever it says.
        assert_eq!(forward(&target, |a, b| r[a][b], &[1], 2).taken, [1, 2]);
    }

    #[test]
    fn stops_where_nothing_is_left_to_explain() {
        // The second is the first again, and the target the first with the sign turned.
        let screened = forward(&[-1.0, -1.0, -0.2], |a, b| if a / 2 == b / 2 { 1.0 } else { 0.2 }, &[], 3);
        assert_eq!(screened.taken, [0]);
        // A partial correlation above 0 would get the wrong sign.
        let r = [[1.0, 0.9], [0.9, 1.0]];
        let screened = forward(&[-0.5, -0.2], |a, b| r[a][b], &[], 2);
        assert_eq!(screened.taken, [0]);
        assert!(screened.partial[1] > 0.5, "{:?}", screened.partial);
    }
}
