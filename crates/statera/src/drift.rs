//! How far the test rows are distributed differently from the training rows: the stability index of the score and of each
//! column, beside what chance alone would do to samples of these sizes.

use crate::bins::{self, Bins};
use crate::pipeline::Contender;
use crate::reference;
use crate::scorer::{Scorer, share_preparers};
use crate::training_set::TrainingSet;
use serde::{Deserialize, Serialize};
use statera_core::{Kind, Result, metric};

/// Bins of the score and of a number; most levels that are told apart.
const N_BINS: usize = 10;

/// The test rows beside the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stability {
    /// Training rows.
    pub n_train: usize,
    /// Test rows.
    pub n_test: usize,
    /// Of the score; `None` for models of several outputs.
    pub score: Option<Shift>,
    /// Of the raw columns, the largest index first; times are left out, because they differ by design.
    pub columns: Vec<Shift>,
}

/// How far a distribution moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// The column; empty for the score.
    pub column: String,
    /// Population stability index.
    pub psi: f64,
    /// What it exceeds by chance in one case of twenty.
    pub bound: f64,
    /// Bins with rows.
    pub n_bins: usize,
}

/// Measures the test rows against the training rows.
///
/// The score's training side are the out-of-fold margins. Where the model is an average of fold models, each test row is
/// scored by one of them in turn: the margins of an average spread less than those of its parts, which would look like a
/// shift.
pub(crate) fn stability(chosen: &Contender, train: &TrainingSet, test: &TrainingSet) -> Result<Stability> {
    let mut columns = Vec::new();
    let schema = chosen.scorer.schema();
    for input in schema.inputs.iter().filter(|i| i.kind != Kind::Time) {
        let bins = Bins::of(&train.batch, &input.name, input.kind, N_BINS, &bins::sentinels(schema, &input.name))?;
        columns.extend(shift(&input.name, &bins.counts(&train.batch)?, &bins.counts(&test.batch)?)?);
    }
    columns.sort_by(|a, b| b.psi.total_cmp(&a.psi).then_with(|| a.column.cmp(&b.column)));
    let score = match chosen.scorer.schema().task.n_outputs() {
        1 => shift_of_margins(&chosen.out_of_fold, &test_margins(chosen, test)?)?,
        _ => None,
    };
    Ok(Stability { n_train: train.n_rows(), n_test: test.n_rows(), score, columns })
}

fn test_margins(chosen: &Contender, test: &TrainingSet) -> Result<Vec<f64>> {
    let scorer = &chosen.scorer;
    let members = scorer.members();
    if members.iter().any(|m| m.family != members[0].family || m.weight != members[0].weight) {
        return Ok(scorer.score(&test.batch)?.margins);
    }
    let k = members.len();
    let mut margins = vec![0.0; test.n_rows()];
    for (i, member) in members.iter().enumerate() {
        let rows: Vec<usize> = (i..test.n_rows()).step_by(k).collect();
        let mut alone = vec![member.clone()];
        share_preparers(&mut alone);
        let alone = Scorer::new(scorer.schema().clone(), alone, scorer.calibrator().clone())?;
        let scored = alone.score(&test.take(&rows)?.batch)?;
        rows.iter().zip(scored.margins).for_each(|(&row, margin)| margins[row] = margin);
    }
    Ok(margins)
}

/// The index over the tenths of the training side.
fn shift_of_margins(train: &[f64], test: &[f64]) -> Result<Option<Shift>> {
    let quantiles = reference::quantiles(train.to_vec());
    let mut edges: Vec<f64> = (1..N_BINS).filter_map(|i| quantiles.get(i * 100 / N_BINS).copied()).collect();
    edges.dedup();
    let counts = |margins: &[f64]| {
        let mut counts = vec![0.0; edges.len() + 1];
        margins.iter().for_each(|m| counts[edges.partition_point(|e| e <= m)] += 1.0);
        counts
    };
    shift("", &counts(train), &counts(test))
}

/// `None` where every row is in the same bin: nothing can move.
fn shift(column: &str, train: &[f64], test: &[f64]) -> Result<Option<Shift>> {
    let n_bins = train.iter().zip(test).filter(|(a, b)| **a > 0.0 || **b > 0.0).count();
    let (n, m) = (train.iter().sum::<f64>(), test.iter().sum::<f64>());
    if n_bins < 2 || n == 0.0 || m == 0.0 {
        return Ok(None);
    }
    let (psi, bound) = (metric::population_stability(train, test)?, metric::stability_bound(n, m, n_bins)?);
    Ok(Some(Shift { column: column.into(), psi, bound, n_bins }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_those_computed_by_hand() {
        // Shares .5 .5 against .6 .4: .1 ln 1.2 − .1 ln .8; one degree of freedom: 3.841459 · (1/100 + 1/50).
        let found = shift("x", &[50.0, 50.0, 0.0], &[30.0, 20.0, 0.0]).unwrap().unwrap();
        assert!((found.psi - 0.1 * (1.2f64.ln() - 0.8f64.ln())).abs() < 1e-12);
        assert!((found.bound - 0.03 * 3.841458820694124).abs() < 1e-9 && found.n_bins == 2);
        assert_eq!(shift("x", &[50.0, 0.0], &[30.0, 0.0]).unwrap(), None);
        let margins: Vec<f64> = (0..1000).map(f64::from).collect();
        let same = shift_of_margins(&margins, &margins).unwrap().unwrap();
        assert!(same.psi == 0.0 && same.n_bins == 10);
        assert!(shift_of_margins(&margins, &margins[500..]).unwrap().unwrap().psi > 1.0);
    }
}
