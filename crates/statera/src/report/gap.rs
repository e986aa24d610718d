//! What the report does not know, gathered from its sections.

use super::Shown;
use super::view::Block;
use serde::Serialize;

/// A gap, with the section that shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Name of the section.
    pub section: &'static str,
    /// What is missing.
    pub what: String,
    /// What a person would do or type.
    pub how: String,
}

/// The gaps of sections, in the order of the page.
pub(super) fn gaps(sections: &[Shown]) -> Vec<Gap> {
    let of = |section: &Shown| -> Vec<Gap> {
        let gap = |block: &Block| match block {
            Block::Gap { what, how } => Some(Gap { section: section.name, what: what.clone(), how: how.clone() }),
            _ => None,
        };
        section.blocks.iter().filter_map(gap).collect()
    };
    sections.iter().flat_map(of).collect()
}
