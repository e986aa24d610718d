//! Where trials are fitted and judged: the rows of one fold, prepared once for each form.

use super::halving;
use crate::cross_fit::{self, stopping};
use crate::ensemble::goodness;
use crate::project::Settings;
use crate::training_set::TrainingSet;
use statera_core::metric::{self, Difference, Predicted};
use statera_core::split::{Keys, Sides};
use statera_core::{Estimator, Form, Frame, Result, Run, Task};
use statera_data::preparer::Preparer;
use statera_learn::calibration::Calibrator;

/// Prepared rows of the fold that trials are fitted and judged on.
pub(super) struct Arena {
    task: Task,
    seed: u64,
    forms: Vec<(Form, Prepared)>,
    /// Rows of each rung, ascending; the last one is all.
    pub n_rows: Vec<usize>,
    /// Rows that judge.
    pub n_judging: usize,
    target: Vec<f64>,
    weight: Option<Vec<f64>>,
}

struct Prepared {
    /// What is learnt and what tells when to stop, by rung.
    rungs: Vec<(Frame, Frame)>,
    judging: Frame,
}

impl Arena {
    /// Prepares the rows of `fold` for the forms that are wanted.
    pub fn new(forms: &[Form], train: &TrainingSet, settings: &Settings, fold: &Sides) -> Result<Arena> {
        let (learning, judging) = fold;
        let mut arena = Arena {
            task: train.task,
            seed: settings.seed,
            forms: Vec::new(),
            n_rows: Vec::new(),
            n_judging: judging.len(),
            target: judging.iter().map(|&row| train.target[row]).collect(),
            weight: train.weight.as_ref().map(|w| judging.iter().map(|&row| w[row]).collect()),
        };
        for &form in forms {
            let params = cross_fit::preparer_params(form, train, settings)?;
            let preparer = Preparer::fit(&params, &train.batch, learning, train.weight.as_deref())?;
            let frame = cross_fit::frame(&preparer, train)?;
            let (learning, judging) = (frame.take(learning), frame.take(judging));
            let keys = Keys {
                task: train.task,
                target: &learning.target,
                time: learning.time.as_deref(),
                known: None,
                group: learning.group.as_deref(),
            };
            let rows = halving::rungs(&keys, settings.seed);
            arena.n_rows = rows.iter().map(Vec::len).collect();
            let rungs = rows.iter().map(|rows| stopping(&learning.take(rows), train, settings));
            arena.forms.push((form, Prepared { rungs: rungs.collect::<Result<_>>()?, judging }));
        }
        Ok(arena)
    }

    /// Margins of the judging rows by the learner fitted on a rung.
    pub fn fit(&self, estimator: &dyn Estimator, rung: usize, run: &Run) -> Result<Vec<f64>> {
        run.check()?;
        let form = estimator.form();
        let (_, prepared) = self.forms.iter().find(|(f, _)| *f == form).expect("every family's form was prepared");
        let (learning, stopping) = &prepared.rungs[rung];
        let model = estimator.fit(learning, stopping, &run.silent(self.seed.wrapping_add(1)))?;
        Ok(model.predict(&prepared.judging)?.margins)
    }

    /// The primary metric of margins, turned so that more is better.
    pub fn goodness(&self, margins: &[f64]) -> f64 {
        goodness(self.task, &self.target, margins, self.weight.as_deref())
    }

    /// How much better margins `a` are than `b`.
    pub fn compare(&self, a: &[f64], b: &[f64]) -> Result<Difference> {
        let [of_a, of_b] = [a, b].map(|margins| match self.task {
            Task::Classes(_) => Calibrator::Identity {}.probabilities(self.task, margins),
            _ => Vec::new(),
        });
        let predicted = |margins, probabilities| Predicted { margins, probabilities };
        let (a, b) = (predicted(a, &of_a), predicted(b, &of_b));
        metric::paired_difference(self.task, &self.target, a, b, self.weight.as_deref())
    }
}
