//! Samples of what is around a node: some of its latest neighbours, and some of each one's (Hamilton, Ying and Leskovec 2017). A table
//! and a state ask here.
//!
//! Each neighbour of a node has a number that is drawn by the seed, the two nodes and the row's time; those with the smallest are the
//! sample, in that order. So a sample is uniform, without repetition, and does not depend on what else is in the tables.

use super::definition::{Around, Of};
use super::near::{View, neighbours};
use super::nodes::mix;

/// What is told of a node at a time, of its sampled neighbours, and of theirs: the columns of a neighbourhood, node by node. NaN is
/// missing; all is, where there is no node.
pub(super) fn cells<V: View>(of: &Around, view: &V, node: Option<V::Node>, time: i64) -> Vec<f64> {
    around(of, view, node, time).into_iter().flat_map(|node| told(of, view, node)).collect()
}

/// The nodes around one at a time, by place; `None` where there are fewer.
fn around<V: View>(of: &Around, view: &V, node: Option<V::Node>, time: i64) -> Vec<Option<V::Node>> {
    let [a, b] = of.fans;
    let sample = |node: Option<V::Node>, n: usize| -> Vec<Option<V::Node>> {
        let mut drawn: Vec<(u64, V::Node)> = Vec::new();
        if let Some(node) = node {
            let own = mix(mix(of.seed ^ time as u64) ^ view.salt(node));
            let near = neighbours(view, node, of.direction);
            drawn = near.into_iter().map(|u| (mix(own ^ view.salt(u)), u)).collect();
            drawn.sort_unstable();
        }
        drawn.into_iter().map(|(_, u)| Some(u)).chain(std::iter::repeat(None)).take(n).collect()
    };
    let near = sample(node, a);
    let far: Vec<Option<V::Node>> = near.iter().flat_map(|u| sample(*u, b)).collect();
    [vec![node], near, far].concat()
}

/// What is told of a node: its edges, and what the neighbourhood names.
fn told<V: View>(of: &Around, view: &V, node: Option<V::Node>) -> Vec<f64> {
    let Some(node) = node else { return vec![f64::NAN; 1 + of.of.len()] };
    let cells = of.of.iter().map(|of| view.value(*of, node).unwrap_or(f64::NAN));
    std::iter::once(view.n_edges(node, of.direction) as f64).chain(cells).collect()
}

/// True of the columns whose cells are whole numbers.
pub(super) fn are_whole(of: &Around) -> impl Iterator<Item = bool> {
    let of_node = std::iter::once(true).chain(of.of.iter().map(|of| *of == Of::Cases)).collect::<Vec<_>>();
    of_node.into_iter().cycle().take(of.names.len())
}
