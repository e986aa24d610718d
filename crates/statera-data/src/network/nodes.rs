//! Nodes by number. A node is what its cell writes; numbers are in the order of the codes of the cells, whatever the order of rows.

use crate::window::NO_KEY;

/// A cell that names no node.
pub(super) const NO_NODE: u32 = u32::MAX;

/// All nodes of edges and rows.
pub(super) struct Nodes(Vec<u128>);

impl Nodes {
    /// The nodes that lists of codes name.
    pub fn of<'a>(lists: impl Iterator<Item = &'a Vec<u128>>) -> Nodes {
        let mut codes = Vec::new();
        for list in lists {
            codes.extend(list.iter().copied().filter(|code| *code != NO_KEY));
            codes.sort_unstable();
            codes.dedup();
        }
        Nodes(codes)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers of codes.
    pub fn numbers(&self, codes: &[u128]) -> Vec<u32> {
        let number = |code: &u128| self.0.binary_search(code).map_or(NO_NODE, |at| at as u32);
        codes.iter().map(number).collect()
    }
}
