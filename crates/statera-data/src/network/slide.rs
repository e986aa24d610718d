//! Counts of a node's edges in a window that slides over its rows: each edge enters once and leaves once.

use super::declaration::What;
use super::edges::UNITS;
use super::graph::Adjacency;
use std::collections::HashMap;

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Different other ends.
    pub n_nodes: u32,
    pub n_edges: u32,
    /// Money in fixed point.
    pub units: i128,
}

impl Counts {
    /// What a figure is that slides over a node's edges.
    pub fn figure(&self, what: What) -> f64 {
        match what {
            What::FanIn | What::FanOut => f64::from(self.n_nodes),
            What::EdgesIn | What::EdgesOut => f64::from(self.n_edges),
            _ => self.units as f64 / UNITS,
        }
    }
}

/// The counts at the windows (after, end) of a node, which come in the order of their ends and of their beginnings.
pub(super) fn slide(at: &Adjacency, node: u32, windows: impl Iterator<Item = [i64; 2]>) -> Vec<Counts> {
    let all = at.all(node);
    let (mut first, mut next) = (all.start, all.start);
    let mut inside: HashMap<u32, u32> = HashMap::new();
    let mut counts = Counts::default();
    windows
        .map(|[after, end]| {
            while next < all.end && at.times[next] < end {
                *inside.entry(at.others[next]).or_default() += 1;
                counts.n_edges += 1;
                counts.units += i128::from(at.units[next]);
                next += 1;
            }
            while first < next && at.times[first] <= after {
                if let Some(n) = inside.get_mut(&at.others[first]) {
                    *n -= 1;
                    if *n == 0 {
                        inside.remove(&at.others[first]);
                    }
                }
                counts.n_edges -= 1;
                counts.units -= i128::from(at.units[first]);
                first += 1;
            }
            counts.n_nodes = inside.len() as u32;
            counts
        })
        .collect()
}
