//! What comes of a request's rows.

use super::Stages;
use statera::decision::Decided;
use statera::rules::Verdict;
use std::collections::BTreeSet;

/// What came of a request's rows, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// Values a row has.
    pub n_outputs: usize,
    /// Row-major margins.
    pub margins: Vec<f64>,
    /// Row-major probabilities, or predicted values.
    pub probabilities: Vec<f64>,
    /// What is decided, where it was asked for and the bundle has a policy.
    pub decided: Option<Vec<Decided>>,
    /// Rows whose margins are told by raw column, ascending.
    pub contributions: Vec<(usize, Vec<f64>)>,
    /// What the rules say, where they were asked for and the bundle has some.
    pub verdicts: Option<Vec<Verdict>>,
    /// Names of columns that the model does not read.
    pub ignored: BTreeSet<String>,
    /// How long it took.
    pub stages: Stages,
}

impl Answers {
    /// Rows that are answered.
    pub fn n_rows(&self) -> usize {
        self.margins.len().checked_div(self.n_outputs).unwrap_or(0)
    }

    /// Adds the answers of the rows that follow.
    pub(super) fn extend(&mut self, more: Answers) {
        let first = self.n_rows();
        self.margins.extend(more.margins);
        self.probabilities.extend(more.probabilities);
        if let (Some(decided), Some(more)) = (&mut self.decided, more.decided) {
            decided.extend(more);
        }
        if let (Some(verdicts), Some(more)) = (&mut self.verdicts, more.verdicts) {
            verdicts.extend(more);
        }
        self.contributions.extend(more.contributions.into_iter().map(|(row, values)| (first + row, values)));
        self.ignored.extend(more.ignored);
        self.stages.parse += more.stages.parse;
        self.stages.score += more.stages.score;
        self.stages.explain += more.stages.explain;
    }
}
