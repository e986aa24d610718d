//! What is around a node: its latest neighbours, short cycles through it, and what is known of its neighbours. A table and a
//! state ask here.
//!
//! Work has a bound. Of a node at most k neighbours are looked at, the latest ones, found among its last [`EDGES_A_NEIGHBOUR`] k
//! edges either way; a row therefore costs at most k + 1 such lists. Where no node has more than that, figures are exact.

use super::declaration::{Direction, What};
use super::definition::{Column, Of};

/// Edges that are looked at for each neighbour.
const EDGES_A_NEIGHBOUR: usize = 8;

/// Part of a graph that a row sees, and what is known at its time.
pub(super) trait View {
    /// A node; nodes are in the order of their codes.
    type Node: Copy + Ord;

    /// The edges of a node that come in, or go out: when, and the other end; the latest first, of one time those with the largest
    /// other ends first.
    fn latest(&self, node: Self::Node, is_in: bool) -> impl Iterator<Item = (i64, Self::Node)>;

    /// What is known of a node.
    fn value(&self, of: Of, node: Self::Node) -> Option<f64>;

    /// Edges of a node in a direction.
    fn n_edges(&self, node: Self::Node, direction: Direction) -> usize;

    /// A number of a node's own, whatever else is in the tables, for draws.
    fn salt(&self, node: Self::Node) -> u64;

    /// Neighbours that are looked at, at most.
    fn k(&self) -> usize;
}

/// A figure of what is around a node, or around the two nodes of a row, of which the second may be missing.
pub(super) fn around<V: View>(view: &V, column: &Column, node: V::Node, second: Option<V::Node>) -> f64 {
    match column.what {
        What::Cycles2 | What::Cycles3 => {
            let [out, into] = [Direction::Out, Direction::In].map(|way| neighbours(view, node, way));
            let is_of_two = column.what == What::Cycles2;
            (if is_of_two { n_common(&out, &into) } else { cycles_of_three(view, node, &out, &into) }) as f64
        }
        What::Closes2 | What::Closes3 => {
            let Some(second) = second else { return f64::NAN };
            let out = neighbours(view, second, Direction::Out);
            if column.what == What::Closes2 {
                return f64::from(u8::from(out.binary_search(&node).is_ok()));
            }
            n_common(&out, &neighbours(view, node, Direction::In)) as f64
        }
        _ => of_neighbours(view, column, &neighbours(view, node, column.direction)),
    }
}

/// The mean or the largest over neighbours; missing of none.
fn of_neighbours<V: View>(view: &V, column: &Column, neighbours: &[V::Node]) -> f64 {
    let values: Vec<f64> = neighbours.iter().filter_map(|node| view.value(column.of, *node)).collect();
    match column.what {
        _ if values.is_empty() => f64::NAN,
        What::NeighbourMax => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        _ => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// The latest neighbours of a node in a direction, ascending; of one time those with the largest codes go first.
pub(super) fn neighbours<V: View>(view: &V, node: V::Node, direction: Direction) -> Vec<V::Node> {
    let of = |is_in: bool, is_asked: bool| is_asked.then(|| view.latest(node, is_in)).into_iter().flatten().peekable();
    let (mut into, mut out) = (of(true, direction != Direction::Out), of(false, direction != Direction::In));
    let mut found: Vec<V::Node> = Vec::new();
    for _ in 0..EDGES_A_NEIGHBOUR * view.k() {
        let is_in = match (into.peek(), out.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) => a >= b,
            (a, _) => a.is_some(),
        };
        let Some((_, other)) = (if is_in { into.next() } else { out.next() }) else { break };
        if let Err(place) = found.binary_search(&other) {
            found.insert(place, other);
            if found.len() == view.k() {
                break;
            }
        }
    }
    found
}

/// Nodes in both lists, which ascend.
fn n_common<N: Ord>(a: &[N], b: &[N]) -> usize {
    a.iter().filter(|node| b.binary_search(node).is_ok()).count()
}

/// Pairs (u, v) with edges node → u → v → node; `out` and `into` are the node's own neighbours.
fn cycles_of_three<V: View>(view: &V, node: V::Node, out: &[V::Node], into: &[V::Node]) -> usize {
    if into.is_empty() {
        return 0;
    }
    let back = |u: &V::Node| {
        let from_u = neighbours(view, *u, Direction::Out);
        from_u.iter().filter(|v| **v != node && into.binary_search(v).is_ok()).count()
    };
    out.iter().map(back).sum()
}
