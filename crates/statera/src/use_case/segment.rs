//! Groups of rows that are alike; there is no outcome.

use super::Declaration;
use crate::project::UseCase;

pub(super) const SEGMENT: Declaration = Declaration {
    use_case: UseCase::Segment,
    name: "segment",
    about: "groups of rows that are alike",
    has_target: false,
    models: &[],
    models_of_sequences: &[],
    metrics: &[],
    sections: &[],
    complete: |_| Ok(()),
    note: |_| None,
};
