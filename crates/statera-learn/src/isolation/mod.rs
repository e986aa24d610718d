//! Isolation forest: how few random cuts it takes to set a row apart from others (Liu, Ting & Zhou, ICDM 2008). It never
//! reads the target.
//!
//! Each tree sees a small draw of the rows and cuts them by a random column at a random place until a row is alone. A row's
//! margin is minus its mean path length over that expected of such a draw, so that Liu's score is 2 to the power of the
//! margin: about .5 for an ordinary row, towards 1 for one that is set apart at once. The score stands alone
//! ([`IsolationParams`]), or beside the columns as one more that boosting reads ([`BoostedParams`]).
//!
//! A number is cut between the least and the largest of the rows at hand; missing cells go to a side that is drawn for each
//! cut. A category is cut as one level against the rest. Trees depend on the seed only, not on the threads.

mod grow;
mod model;
#[cfg(test)]
mod tests;

pub use grow::average_path_length;
pub use model::IsolationModel;

use crate::boosted::{self, Detector};
use statera_core::{Error, Estimator, Form, Frame, FrameSpec, Model, Parts, Result, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "isolation";
/// That of boosting that reads its score.
pub const BOOSTED: &str = "boosting_isolation";

/// Settings of boosting that reads a forest's score.
pub type BoostedParams = boosted::BoostedParams<IsolationParams>;
/// A fitted forest and the trees that read its score.
pub type BoostedModel = boosted::BoostedModel<IsolationParams>;

/// Settings of an isolation forest.
#[derive(Debug, Clone, PartialEq)]
pub struct IsolationParams {
    /// Trees, 1 to 10,000. Default: 100 (Liu et al., § 5.2: path lengths settle before).
    pub trees: usize,
    /// Rows that each tree sees, drawn without replacement, 2 to 65,536. Default: 256: few rows keep anomalies from hiding
    /// each other (Liu et al., § 3).
    pub rows_per_tree: usize,
}

impl Default for IsolationParams {
    fn default() -> Self {
        IsolationParams { trees: 100, rows_per_tree: 256 }
    }
}

impl IsolationParams {
    /// Fits on the features alone.
    ///
    /// # Errors
    /// Settings outside their ranges, no columns, fewer than 2 rows of positive weight, an infinite number, cancellation.
    pub fn fit_model(&self, train: &Frame, run: &Run) -> Result<IsolationModel> {
        for (name, value, most) in [("trees", self.trees, 10_000), ("rows_per_tree", self.rows_per_tree, 65_536)] {
            let least = if name == "trees" { 1 } else { 2 };
            if !(least..=most).contains(&value) {
                return Err(Error::request(format!("{NAME}: {name} is {value}, allowed is {least} to {most}")));
            }
        }
        model::check_form(train)?;
        let rows: Vec<u32> = (0..train.n_rows).filter(|&i| train.weight_of(i) > 0.0).map(|i| i as u32).collect();
        if rows.len() < 2 || train.columns.is_empty() {
            return Err(Error::data(format!(
                "{NAME}: {} training rows with a weight above 0 and {} columns; at least 2 rows and 1 column are needed",
                rows.len(),
                train.columns.len()
            )));
        }
        let trees = grow::grow(self, train, &rows, run)?;
        Ok(IsolationModel::new(train.spec.clone(), trees, self.rows_per_tree.min(rows.len())))
    }
}

impl Estimator for IsolationParams {
    fn form(&self) -> Form {
        Form::Codes
    }

    fn fit(&self, train: &Frame, _: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        Ok(Box::new(self.fit_model(train, run)?))
    }

    fn refit(&self, _: &[&dyn Model]) -> Box<dyn Estimator> {
        Box::new(self.clone())
    }
}

impl Detector for IsolationParams {
    const NAME: &'static str = NAME;
    const BOOSTED: &'static str = BOOSTED;
    type Model = IsolationModel;

    fn detect(&self, train: &Frame, run: &Run) -> Result<IsolationModel> {
        self.fit_model(train, run)
    }

    fn load(parts: &Parts) -> Result<IsolationModel> {
        IsolationModel::load(parts)
    }

    fn spec(model: &IsolationModel) -> &FrameSpec {
        model.spec()
    }
}

/// True of a task that the score says something of: whether a row is of the rare kind.
pub fn does(task: Task) -> bool {
    task == Task::Binary
}
