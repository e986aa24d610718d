//! What is around a node: its latest neighbours, and short cycles through it.
//!
//! Work has a bound. Of a node at most k neighbours are looked at, the latest ones, found among its last [`EDGES_A_NEIGHBOUR`] k
//! edges either way; a row therefore costs at most k + 1 such lists. Where no node has more than that, figures are exact.

use super::declaration::Direction;
use super::graph::{Adjacency, Graph};
use std::ops::Range;

/// Edges that are looked at for each neighbour.
const EDGES_A_NEIGHBOUR: usize = 8;

/// Part of a graph that a row sees.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub graph: &'a Graph,
    /// Edges are later than this
    pub after: i64,
    /// and earlier than this.
    pub end: i64,
    /// Neighbours that are looked at, at most.
    pub k: usize,
}

impl View<'_> {
    /// Edges of a node in a direction.
    pub fn n_edges(self, node: u32, direction: Direction) -> usize {
        let n =
            |at: &Adjacency, is_asked: bool| if is_asked { at.between(node, self.after, self.end).len() } else { 0 };
        n(&self.graph.into, direction != Direction::Out) + n(&self.graph.out, direction != Direction::In)
    }

    /// The latest neighbours of a node in a direction, ascending; of one time those with the largest numbers go first.
    pub fn neighbours(self, node: u32, direction: Direction) -> Vec<u32> {
        let (into, out) = (&self.graph.into, &self.graph.out);
        let of = |at: &Adjacency, is_asked: bool| if is_asked { at.between(node, self.after, self.end) } else { 0..0 };
        let (mut a, mut b) = (of(into, direction != Direction::Out), of(out, direction != Direction::In));
        let mut found: Vec<u32> = Vec::new();
        for _ in 0..EDGES_A_NEIGHBOUR * self.k {
            let key = |at: &Adjacency, range: &Range<usize>| {
                range.end.checked_sub(1).filter(|_| !range.is_empty()).map(|last| (at.times[last], at.others[last]))
            };
            let other = match (key(into, &a), key(out, &b)) {
                (None, None) => break,
                (Some(x), y) if y.is_none_or(|y| x >= y) => {
                    a.end -= 1;
                    x.1
                }
                (_, Some(y)) => {
                    b.end -= 1;
                    y.1
                }
                (Some(_), None) => break,
            };
            if let Err(place) = found.binary_search(&other) {
                found.insert(place, other);
                if found.len() == self.k {
                    break;
                }
            }
        }
        found
    }
}

/// Nodes in both lists, which ascend.
pub(super) fn n_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().filter(|node| b.binary_search(node).is_ok()).count()
}

/// Pairs (u, v) with edges node → u → v → node; `out` and `into` are the node's own neighbours.
pub(super) fn cycles_of_three(view: View, node: u32, out: &[u32], into: &[u32]) -> usize {
    if into.is_empty() {
        return 0;
    }
    let back = |u: &u32| {
        let from_u = view.neighbours(*u, Direction::Out);
        from_u.iter().filter(|v| **v != node && into.binary_search(v).is_ok()).count()
    };
    out.iter().map(back).sum()
}
