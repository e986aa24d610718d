//! How much less the margins of an average of fits spread than those of one fit, and what that means for calibration.
//!
//! A calibrator is fitted on out-of-fold margins, and each of those is of a single fit: what all fits agree on, plus the
//! noise of one. The final model averages several fits, so that most of the noise is gone and a margin of the same size
//! stands for more. If a single margin is f + e and the average f + ē, regression to the mean (Fuller, *Measurement Error
//! Models*, 1987, § 1.1) says that the average is to be read as far from its centre as a single margin
//! var(f + e) / var(f + ē) times as far. Left alone, the probabilities of small tables are too moderate: over random splits
//! their slope (Cox 1958) was 1.17 for 700 rows of german_credit, 1.06 for 2,000 of taiwan and 1.03 for 3,000 of
//! bank_marketing; with it 1.08, 1.00 and .97.

use crate::scorer::{Member, Schema, Scorer};
use crate::training_set::{TrainingSet, take_rows};
use statera_core::{Result, Task};
use statera_learn::calibration::Calibrator;

/// Rows that variances are measured on, at even steps; more change the third digit.
const MAX_ROWS: usize = 5_000;
/// No average is read as more than twice as telling: less spread left than this is no noise but fits that disagree.
const LEAST: f64 = 0.5;

/// The spread of a final model's margins beside that of its fits on folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// Mean of the final model's margins.
    pub centre: f64,
    /// Variance of the final model's margins over the mean variance of the fits on folds, 0.5 to 1.
    pub ratio: f64,
}

impl Spread {
    /// Nothing to change: the final model is one fit.
    pub const NONE: Spread = Spread { centre: 0.0, ratio: 1.0 };

    /// Of a final model of `members`, for which on each fold the members `folds` stand. Both are measured on rows they have
    /// seen: the ratio there was within a hundredth of that on new rows. Only of models of two classes: of more, a
    /// temperature cannot hold centres.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn of(members: &[Member], folds: &[Vec<Member>], schema: &Schema, train: &TrainingSet) -> Result<Spread> {
        if train.task != Task::Binary || members.len() < 2 || folds.len() < 2 || folds.iter().any(Vec::is_empty) {
            return Ok(Spread::NONE);
        }
        let step = train.n_rows().div_ceil(MAX_ROWS).max(1);
        let rows: Vec<usize> = (0..train.n_rows()).step_by(step).collect();
        let batch = take_rows(&train.batch, &rows)?;
        let moments = |members: &[Member]| -> Result<(f64, f64)> {
            let scorer = Scorer::new(schema.clone(), members.to_vec(), Calibrator::Identity {})?;
            Ok(mean_and_variance(&scorer.score(&batch)?.margins))
        };
        let (centre, last) = moments(members)?;
        let mut single = 0.0;
        for fold in folds {
            single += moments(fold)?.1 / folds.len() as f64;
        }
        let ratio = if single > 0.0 { (last / single).clamp(LEAST, 1.0) } else { 1.0 };
        Ok(Spread { centre, ratio })
    }

    /// A calibrator of single fits' margins for the margins of the final model.
    pub fn calibrator(self, single: &Calibrator) -> Calibrator {
        single.stretched(self.centre, self.ratio)
    }

    /// Where the final model's margin of a row lies, of rows like those a single fit gave `margin`: closer to the centre.
    pub fn margin(self, margin: f64) -> f64 {
        if self == Spread::NONE { margin } else { self.centre + (margin - self.centre) * self.ratio.sqrt() }
    }
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::Given;
    use crate::pipeline;
    use crate::project::Settings;
    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
    use statera_core::{Kind, Rng, Run};
    use statera_data::{ColumnInfo, Table};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn margins_move_by_the_root_of_the_ratio_of_variances() {
        let spread = Spread { centre: 1.0, ratio: 0.81 };
        assert!((spread.margin(2.0) - 1.9).abs() < 1e-15 && spread.margin(1.0) == 1.0);
        assert_eq!(Spread::NONE.margin(0.3), 0.3);
        assert_eq!(mean_and_variance(&[1.0, 3.0]), (2.0, 1.0));
    }

    /// Rows whose outcome hangs on one of six numbers.
    fn table() -> Table {
        let mut rng = Rng::new(21);
        let numbers: Vec<Vec<f64>> = (0..6).map(|_| (0..800).map(|_| rng.normal()).collect()).collect();
        let bad: Vec<i64> =
            numbers[0].iter().map(|x| i64::from(rng.uniform() < 1.0 / (1.0 + (1.0 - x).exp()))).collect();
        let numbers = numbers.into_iter().zip(["a", "b", "c", "d", "e", "f"]);
        let mut columns: Vec<(&str, ArrayRef)> =
            numbers.map(|(v, name)| (name, Arc::new(Float64Array::from(v)) as ArrayRef)).collect();
        columns.push(("bad", Arc::new(Int64Array::from(bad))));
        let info = |c: &(&str, ArrayRef)| ColumnInfo { name: c.0.into(), kind: Kind::Number };
        let columns: (Vec<_>, Vec<_>) = columns.into_iter().map(|c| (info(&c), c)).unzip();
        Table {
            columns: columns.0,
            batches: vec![RecordBatch::try_from_iter(columns.1).unwrap()],
            origin: "invented".into(),
        }
    }

    #[test]
    fn an_average_of_fold_models_is_read_as_more_telling_than_one_of_them() {
        let settings = Settings { target: "bad".into(), models: vec!["boosting".into()], ..Settings::default() };
        let bundle =
            pipeline::train(table(), &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap().bundle;
        let set = TrainingSet::new(table(), &settings).unwrap();
        let (members, schema) = (bundle.scorer.members(), bundle.scorer.schema());
        assert_eq!(members.len(), settings.folds);
        let alone: Vec<Vec<Member>> = members.iter().map(|m| vec![m.clone()]).collect();
        let spread = Spread::of(members, &alone, schema, &set).unwrap();
        assert!(spread.ratio > 0.6 && spread.ratio < 0.99, "{spread:?}");
        // A final model of one fit has its calibrator as it was fitted.
        assert_eq!(Spread::of(&members[..1], &alone, schema, &set).unwrap(), Spread::NONE);
        // What monitoring compares with is spread like the final model's scores, not like those of single fits.
        let margins = bundle.scorer.score(&set.batch).unwrap().margins;
        let sd = |values: &[f64]| mean_and_variance(values).1.sqrt();
        let single = alone.iter().map(|m| {
            let scorer = Scorer::new(schema.clone(), m.clone(), Calibrator::Identity {}).unwrap();
            sd(&scorer.score(&set.batch).unwrap().margins)
        });
        let (single, reference) = (single.sum::<f64>() / 5.0, sd(&bundle.reference.margins[0]));
        assert!(reference < single && sd(&margins) < single, "{reference} {single}");
    }
}
