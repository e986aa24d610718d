//! Counts of a busy node's edges in a window of a state: they slide along as rows come, and an edge that comes late finds its place
//! in them. Of a node with few edges in the window they are counted anew for each row.

use super::node::{End, Ends};
use crate::network::slide::Counts;
use std::collections::HashMap;

/// Edges in a window from which on counts slide.
pub(super) const BUSY: usize = 128;

/// Counts of a window (after, end) that was looked at last.
#[derive(Debug, Clone)]
pub(super) struct Slider {
    after: i64,
    end: i64,
    /// Places of the first edge in it and behind it, since the node's first ever.
    first: u64,
    next: u64,
    inside: HashMap<u32, u32>,
    counts: Counts,
}

/// The counts of some edges.
pub(super) fn counted_anew<'e>(edges: impl Iterator<Item = &'e End>) -> Counts {
    let mut others: Vec<u32> = Vec::with_capacity(BUSY);
    let mut counts = Counts::default();
    for edge in edges {
        others.push(edge.other);
        counts.n_edges += 1;
        counts.units += i128::from(edge.units);
    }
    others.sort_unstable();
    others.dedup();
    counts.n_nodes = others.len() as u32;
    counts
}

impl Slider {
    /// At a window of edges.
    pub fn new(ends: &Ends, [after, end]: [i64; 2]) -> Slider {
        let first = ends.n_left + ends.between(after, end)[0] as u64;
        let (inside, counts) = (HashMap::new(), Counts::default());
        let mut slider = Slider { after, end: after, first, next: first, inside, counts };
        slider.slide(ends, [after, end]);
        slider
    }

    /// The counts at a window that begins and ends no earlier than the last one; `None` at another, or if edges of the last one are
    /// forgotten.
    pub fn at(&mut self, ends: &Ends, window: [i64; 2]) -> Option<Counts> {
        if window[0] < self.after || window[1] < self.end || self.first < ends.n_left {
            return None;
        }
        Some(self.slide(ends, window))
    }

    fn slide(&mut self, ends: &Ends, [after, end]: [i64; 2]) -> Counts {
        let edge = |place: u64| ends.ends.get((place - ends.n_left) as usize);
        while let Some(edge) = edge(self.next).filter(|edge| edge.time < end) {
            *self.inside.entry(edge.other).or_default() += 1;
            self.counts.n_edges += 1;
            self.counts.units += i128::from(edge.units);
            self.next += 1;
        }
        while let Some(edge) = edge(self.first).filter(|edge| self.first < self.next && edge.time <= after) {
            if let Some(n) = self.inside.get_mut(&edge.other) {
                *n -= 1;
                if *n == 0 {
                    self.inside.remove(&edge.other);
                }
            }
            self.counts.n_edges -= 1;
            self.counts.units -= i128::from(edge.units);
            self.first += 1;
        }
        (self.after, self.end) = (after, end);
        self.counts.n_nodes = self.inside.len() as u32;
        self.counts
    }

    /// An edge came that lies before others.
    pub fn inserted(&mut self, edge: &End) {
        if edge.time <= self.after {
            self.first += 1;
            self.next += 1;
        } else if edge.time < self.end {
            *self.inside.entry(edge.other).or_default() += 1;
            self.counts.n_edges += 1;
            self.counts.units += i128::from(edge.units);
            self.next += 1;
        }
    }

    /// What it counts at its window.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// True if it is of a later window than another, and still of use.
    pub fn is_later(&self, ends: &Ends, [after, end]: [i64; 2]) -> bool {
        self.first >= ends.n_left && (self.after > after || self.end > end)
    }

    /// Edges that it counts.
    pub fn n_edges(&self) -> usize {
        self.counts.n_edges as usize
    }
}
