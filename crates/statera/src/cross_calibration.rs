//! Probabilities of out-of-fold margins by calibrators that have not seen those rows: without a test part, every figure of
//! calibration (Brier score, log loss, calibration error, reliability) would otherwise be of rows the calibrator was
//! fitted on.

use crate::pipeline::{Contender, keys};
use crate::project::Settings;
use crate::training_set::TrainingSet;
use statera_core::split;
use statera_core::{Result, Task};
use statera_learn::calibration::Calibrator;

/// Rows of the training part that each fold validates.
pub fn folds(train: &TrainingSet, settings: &Settings) -> Result<Vec<Vec<usize>>> {
    let folds = split::folds(&keys(train), settings.folds, settings.seed)?;
    Ok(folds.into_iter().map(|(_, valid)| valid).collect())
}

/// Probabilities of a contender's out-of-fold margins, in the layout of the margins: those of a fold by a calibrator of
/// the final one's kind, fitted on the margins of the other folds.
pub fn probabilities(contender: &Contender, train: &TrainingSet, folds: &[Vec<usize>]) -> Result<Vec<f64>> {
    let rows = &contender.rows;
    let target: Vec<f64> = rows.iter().map(|&row| train.target[row]).collect();
    let weight: Option<Vec<f64>> = train.weight.as_ref().map(|w| rows.iter().map(|&row| w[row]).collect());
    let mut fold_of = vec![None; train.n_rows()];
    for (fold, valid) in folds.iter().enumerate() {
        valid.iter().for_each(|&row| fold_of[row] = Some(fold));
    }
    let fold_of: Vec<Option<usize>> = rows.iter().map(|&row| fold_of[row]).collect();
    let margins =
        Margins { task: train.task, values: &contender.out_of_fold, target: &target, weight: weight.as_deref() };
    margins.calibrated(&contender.calibrator, &fold_of, folds.len())
}

struct Margins<'a> {
    task: Task,
    /// Row-major.
    values: &'a [f64],
    target: &'a [f64],
    weight: Option<&'a [f64]>,
}

impl Margins<'_> {
    fn calibrated(&self, last: &Calibrator, fold_of: &[Option<usize>], n_folds: usize) -> Result<Vec<f64>> {
        let k = self.task.n_outputs();
        let margins_of = |rows: &[usize]| -> Vec<f64> {
            rows.iter().flat_map(|&row| self.values[row * k..][..k].iter().copied()).collect()
        };
        // A row in no fold, and a fold beside which too little is left to fit on, keep the last calibrator.
        let mut probabilities = last.probabilities(self.task, self.values);
        for fold in 0..n_folds {
            let (inside, others): (Vec<usize>, Vec<usize>) =
                (0..fold_of.len()).partition(|&row| fold_of[row] == Some(fold));
            let target: Vec<f64> = others.iter().map(|&row| self.target[row]).collect();
            let weight: Option<Vec<f64>> = self.weight.map(|w| others.iter().map(|&row| w[row]).collect());
            let Ok(calibrator) = last.fit_alike(self.task, &margins_of(&others), &target, weight.as_deref()) else {
                continue;
            };
            let found = calibrator.probabilities(self.task, &margins_of(&inside));
            for (&row, found) in inside.iter().zip(found.chunks_exact(k)) {
                probabilities[row * k..][..k].copy_from_slice(found);
            }
        }
        Ok(probabilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::Rng;
    use statera_learn::calibration;

    #[test]
    fn a_rows_own_outcome_does_not_move_its_probability() {
        let mut rng = Rng::new(5);
        let n = 3_000;
        let values: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let target: Vec<f64> =
            values.iter().map(|m| f64::from(u8::from(rng.uniform() < 1.0 / (1.0 + (-m).exp())))).collect();
        let fold_of: Vec<Option<usize>> = (0..n).map(|row| Some(row % 5)).collect();
        // The other outcome for every row of fold 2.
        let turned: Vec<f64> =
            target.iter().zip(&fold_of).map(|(y, fold)| if *fold == Some(2) { 1.0 - y } else { *y }).collect();
        for last in [
            calibration::fit_platt(&values, &target, None).unwrap(),
            calibration::fit_isotonic(&values, &target, None).unwrap(),
        ] {
            let of = |target: &[f64]| {
                let margins = Margins { task: Task::Binary, values: &values, target, weight: None };
                margins.calibrated(&last, &fold_of, 5).unwrap()
            };
            let (plain, other) = (of(&target), of(&turned));
            for row in 0..n {
                assert_eq!(plain[row] == other[row], fold_of[row] == Some(2), "{}, row {row}", last.name());
            }
        }
    }

    #[test]
    fn an_isotonic_curve_does_not_flatter_itself() {
        let mut rng = Rng::new(6);
        let n = 2_000;
        // Margins that know nothing: an honest Brier score is not below that of the share of events.
        let values: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let target: Vec<f64> = (0..n).map(|_| f64::from(u8::from(rng.uniform() < 0.3))).collect();
        let fold_of: Vec<Option<usize>> = (0..n).map(|row| Some(row % 5)).collect();
        let last = calibration::fit_isotonic(&values, &target, None).unwrap();
        let brier = |p: &[f64]| p.iter().zip(&target).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / n as f64;
        let share = target.iter().sum::<f64>() / n as f64;
        let naive = share * (1.0 - share);
        let margins = Margins { task: Task::Binary, values: &values, target: &target, weight: None };
        let honest = brier(&margins.calibrated(&last, &fold_of, 5).unwrap());
        assert!(honest >= naive && honest > brier(&last.probabilities(Task::Binary, &values)));
    }
}
