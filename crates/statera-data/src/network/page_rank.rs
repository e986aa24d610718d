//! PageRank, personalised: where a walk is that starts at a known case, goes along an edge with probability α and else begins anew
//! (Page, Brin, Motwani & Winograd 1999; Haveliwala 2002).
//!
//! p = α (Pᵀ p + d v) + (1 − α) v, with v even over the cases, P the edges' shares of each node's edges (edges between the same
//! two count as many times as they are) and d the mass at nodes that no edge leaves, which begins anew too. The step is a
//! contraction of α in the sum of absolute values, so that after k steps from v the distance to p is at most 2 αᵏ, and after a
//! step that changed δ at most α / (1 − α) δ. Steps end when either says [`TOLERANCE`].

use super::declaration::{Direction, What};
use super::definition::{Column, Definition};
use super::graph::Graph;
use statera_core::{Error, Result};
use std::collections::BTreeSet;

/// Distance, in the sum of absolute differences, at which a result is taken.
pub const TOLERANCE: f64 = 1e-9;
/// Largest α: 2 αᵏ is below the tolerance after 2,132 steps then.
pub const MAX_DAMPING: f64 = 0.99;
/// Most snapshots of a column.
const MAX_SNAPSHOTS: usize = 4_000;

/// What is computed at each snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    pub layer: usize,
    pub span: i64,
    pub direction: Direction,
    pub every: i64,
    pub damping: f64,
}

impl Plan {
    /// What a definition asks for, each with the places of its columns.
    pub fn all(definition: &Definition) -> Vec<(Plan, Vec<usize>)> {
        let mut plans: Vec<(Plan, Vec<usize>)> = Vec::new();
        for (place, c) in definition.columns.iter().enumerate().filter(|(_, c)| c.what == What::Pagerank) {
            let plan = Plan::of(c);
            match plans.iter_mut().find(|(known, _)| *known == plan) {
                Some((_, places)) => places.push(place),
                None => plans.push((plan, vec![place])),
            }
        }
        plans
    }

    /// What a column of ranks asks for.
    pub fn of(c: &Column) -> Plan {
        Plan { layer: c.layer, span: c.span, direction: c.direction, every: c.every, damping: c.damping }
    }

    /// The latest snapshot at a time or before.
    pub fn snapshot(&self, time: i64) -> i64 {
        time.div_euclid(self.every).saturating_mul(self.every)
    }

    /// The snapshots that times need, ascending.
    ///
    /// # Errors
    /// Too many.
    pub fn snapshots(&self, times: impl Iterator<Item = i64>) -> Result<Vec<i64>> {
        let all: BTreeSet<i64> = times.map(|time| self.snapshot(time)).collect();
        if all.len() > MAX_SNAPSHOTS {
            return Err(Error::request(format!(
                "network: pagerank would be computed {} times; allowed are {MAX_SNAPSHOTS}; give a longer every",
                all.len()
            )));
        }
        Ok(all.into_iter().collect())
    }

    /// Ranks at a snapshot by node, ascending: edges and cases are those before it. Nodes that are not named have 0.
    pub fn ranks(&self, graph: &Graph, first_cases: &[(i64, u32)], snapshot: i64) -> Vec<(u32, f64)> {
        let seen = |end: i64| graph.links.partition_point(|link| link.time < end);
        let links = &graph.links[seen(snapshot.saturating_sub(self.span).saturating_add(1))..seen(snapshot)];
        let n_known = first_cases.partition_point(|(time, _)| *time < snapshot);
        let cases: Vec<u32> = first_cases[..n_known].iter().map(|(_, node)| *node).collect();
        let pairs: Vec<(u32, u32)> = links.iter().map(|link| (link.from, link.to)).collect();
        self.walk(&pairs, cases)
    }

    /// Where a walk from the cases, which are different nodes, along edges (from, to) is, by node, ascending. Neither the order of the
    /// edges nor that of the cases matters.
    pub fn walk<N: Copy + Ord>(&self, links: &[(N, N)], mut cases: Vec<N>) -> Vec<(N, f64)> {
        if cases.is_empty() {
            return Vec::new();
        }
        cases.sort_unstable();
        let mut nodes: Vec<N> = links.iter().flat_map(|(from, to)| [*from, *to]).chain(cases.iter().copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let place = |node: N| nodes.binary_search(&node).unwrap_or(0) as u32;
        let pairs = || links.iter().map(|(from, to)| (place(*from), place(*to)));
        let forward = pairs().filter(|_| self.direction != Direction::In);
        let backward = pairs().map(|(from, to)| (to, from)).filter(|_| self.direction != Direction::Out);
        let steps: Vec<(u32, u32)> = forward.chain(backward).collect();
        let cases: Vec<u32> = cases.into_iter().map(place).collect();
        let ranks = page_rank(nodes.len(), steps, &cases, self.damping);
        nodes.into_iter().zip(ranks).filter(|(_, rank)| *rank > 0.0).collect()
    }
}

/// The ranks of so many nodes; `steps` are edges, `cases` different nodes, at least one.
pub(super) fn page_rank(n_nodes: usize, mut steps: Vec<(u32, u32)>, cases: &[u32], damping: f64) -> Vec<f64> {
    // Sums are over the sources in their order: the order of the edges does not matter.
    steps.sort_unstable_by_key(|(from, to)| (*to, *from));
    let mut n_out = vec![0u32; n_nodes];
    steps.iter().for_each(|(from, _)| n_out[*from as usize] += 1);
    let mut start = vec![0.0; n_nodes];
    cases.iter().for_each(|case| start[*case as usize] = 1.0 / cases.len() as f64);
    let most_steps = ((TOLERANCE / 2.0).ln() / damping.ln()).ceil().max(1.0) as usize;
    let mut ranks = start.clone();
    let mut next = vec![0.0; n_nodes];
    for _ in 0..most_steps {
        let resting: f64 = ranks.iter().zip(&n_out).filter(|(_, n)| **n == 0).map(|(rank, _)| rank).sum();
        next.fill(0.0);
        for (from, to) in &steps {
            next[*to as usize] += ranks[*from as usize] / f64::from(n_out[*from as usize]);
        }
        let mut change = 0.0;
        for ((next, rank), start) in next.iter_mut().zip(&ranks).zip(&start) {
            *next = damping * (*next + resting * start) + (1.0 - damping) * start;
            change += (*next - rank).abs();
        }
        std::mem::swap(&mut ranks, &mut next);
        if change * damping / (1.0 - damping) <= TOLERANCE {
            break;
        }
    }
    ranks
}
