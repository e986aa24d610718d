//! Samples of what is around a node: some of its latest neighbours, and some of each one's (Hamilton, Ying and Leskovec 2017).
//!
//! Each neighbour of a node has a number that is drawn by the seed, the two nodes and the row's time; those with the smallest are the
//! sample, in that order. So a sample is uniform, without repetition, and does not depend on what else is in the tables.

use super::definition::{Around, Of};
use super::figures::Seen;
use super::near::{View, neighbours};
use super::nodes::{NO_NODE, mix};

/// The nodes around one at a time, by place; [`NO_NODE`] where there are fewer.
pub(super) fn around(of: &Around, seen: &Seen<'_>, salts: &[u64], node: u32, time: i64) -> Vec<u32> {
    let [a, b] = of.fans;
    let sample = |node: u32, n: usize| -> Vec<u32> {
        let mut drawn: Vec<(u64, u32)> = Vec::new();
        if node != NO_NODE {
            let own = mix(mix(of.seed ^ time as u64) ^ salts[node as usize]);
            drawn =
                neighbours(seen, node, of.direction).into_iter().map(|u| (mix(own ^ salts[u as usize]), u)).collect();
            drawn.sort_unstable();
        }
        drawn.into_iter().map(|(_, u)| u).chain(std::iter::repeat(NO_NODE)).take(n).collect()
    };
    let near = sample(node, a);
    let far: Vec<u32> = near.iter().flat_map(|u| sample(*u, b)).collect();
    [vec![node], near, far].concat()
}

/// What is told of a node at a row's time: its edges, and what the neighbourhood names. NaN is missing; all is, of no node.
pub(super) fn told(of: &Around, seen: &Seen<'_>, node: u32) -> Vec<f64> {
    if node == NO_NODE {
        return vec![f64::NAN; 1 + of.of.len()];
    }
    let cells = of.of.iter().map(|of| seen.value(*of, node).unwrap_or(f64::NAN));
    std::iter::once(seen.n_edges(node, of.direction) as f64).chain(cells).collect()
}

/// True of the columns of a node whose cells are whole numbers.
pub(super) fn are_whole(of: &Around) -> Vec<bool> {
    std::iter::once(true).chain(of.of.iter().map(|of| *of == Of::Cases)).collect()
}
