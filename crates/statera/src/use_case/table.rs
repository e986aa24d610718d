//! The outcome in any table.

use super::Declaration;
use crate::project::UseCase;

pub(super) const TABLE: Declaration = Declaration {
    use_case: UseCase::Table,
    name: "table",
    about: "the outcome in any table",
    has_target: true,
    models: &[],
    models_of_sequences: &[],
    metrics: &["ks", "brier"],
    sections: &[],
    complete: |_| Ok(()),
    note: |_| None,
};
