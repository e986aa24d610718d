//! Loans that go bad.

use super::Declaration;
use crate::project::UseCase;

pub(super) const CREDIT: Declaration = Declaration {
    use_case: UseCase::Credit,
    name: "credit",
    about: "loans that go bad",
    has_target: true,
    models: &[],
    models_of_sequences: &[],
    metrics: &["ks", "brier"],
    sections: &[],
    complete: |_| Ok(()),
    note: |_| None,
};
