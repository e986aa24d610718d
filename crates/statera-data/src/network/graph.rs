//! The edges of a choice of kinds, by the node that they come from and by the node that they go to.

use std::ops::Range;

/// An edge between numbered nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    /// Microseconds UTC.
    pub time: i64,
    pub from: u32,
    pub to: u32,
    /// Money in fixed point.
    pub units: i64,
}

/// The edges at each node, in the order (time, other end, money): the order of the file does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Adjacency {
    starts: Vec<usize>,
    pub others: Vec<u32>,
    pub times: Vec<i64>,
    pub units: Vec<i64>,
}

/// A graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    /// In the order of their times.
    pub links: Vec<Link>,
    pub into: Adjacency,
    pub out: Adjacency,
}

impl Graph {
    /// The graph of so many nodes.
    pub fn new(n_nodes: usize, mut links: Vec<Link>) -> Graph {
        links.sort_unstable();
        let into = Adjacency::new(n_nodes, &links, |link| (link.to, link.from));
        let out = Adjacency::new(n_nodes, &links, |link| (link.from, link.to));
        Graph { links, into, out }
    }
}

impl Adjacency {
    /// `ends` gives the node and the other end of an edge; links are in the order of their times.
    fn new(n_nodes: usize, links: &[Link], ends: impl Fn(&Link) -> (u32, u32)) -> Adjacency {
        let mut starts = vec![0; n_nodes + 1];
        links.iter().for_each(|link| starts[ends(link).0 as usize + 1] += 1);
        for node in 0..n_nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let n = links.len();
        let (mut others, mut times, mut units) = (vec![0; n], vec![0; n], vec![0; n]);
        for link in links {
            let (node, other) = ends(link);
            let at = next[node as usize];
            next[node as usize] += 1;
            (others[at], times[at], units[at]) = (other, link.time, link.units);
        }
        Adjacency { starts, others, times, units }
    }

    /// Places of all edges of a node.
    pub fn all(&self, node: u32) -> Range<usize> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    /// Places of the edges of a node later than `after` and earlier than `end`.
    pub fn between(&self, node: u32, after: i64, end: i64) -> Range<usize> {
        let all = self.all(node);
        let times = &self.times[all.clone()];
        let first = times.partition_point(|time| *time <= after);
        let last = times.partition_point(|time| *time < end);
        all.start + first..all.start + last.max(first)
    }
}
