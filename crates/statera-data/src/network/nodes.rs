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

    /// A number of each node that is its own whatever other nodes there are, for draws.
    pub fn salts(&self) -> Vec<u64> {
        self.0.iter().map(|code| salt(*code)).collect()
    }

    /// The numbers of codes.
    pub fn numbers(&self, codes: &[u128]) -> Vec<u32> {
        let number = |code: &u128| self.0.binary_search(code).map_or(NO_NODE, |at| at as u32);
        codes.iter().map(number).collect()
    }
}

/// A number of a code's own, for draws.
pub(super) fn salt(code: u128) -> u64 {
    mix(mix(code as u64) ^ (code >> 64) as u64)
}

/// One of 2⁶⁴ numbers for another, as if drawn (the last step of SplitMix64; Steele, Lea and Flood 2014).
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
