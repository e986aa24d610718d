//! The figures of a row, of the edges that have come.

use super::count::{BUSY, Slider, counted_anew};
use super::node::{End, Ends};
use super::{Named, NetworkState};
use crate::network::declaration::{Direction, What};
use crate::network::definition::{Column, Of};
use crate::network::figures::counted;
use crate::network::near::{View, around};
use crate::network::nodes::salt;
use crate::network::page_rank::Plan;
use crate::network::rows::Rows;
use crate::network::sample;
use crate::network::slide::Counts;
use crate::window::NO_KEY;

impl NetworkState {
    /// True if a row asks for a PageRank that is not computed yet, which may take a second in a large network.
    pub fn is_to_rank(&self, rows: &Rows, row: usize) -> bool {
        let time = rows.times[row];
        self.ranks.iter().any(|(plan, known)| !known.contains_key(&plan.snapshot(time)))
    }

    pub(super) fn figures(&mut self, rows: &Rows, row: usize, out: &mut [f64]) {
        let time = rows.times[row];
        let end = self.definition.end(time);
        self.rank(time);
        let definition = self.definition.clone();
        let (of_columns, mut of_nodes) = out.split_at_mut(definition.columns.len());
        for (column, out) in definition.columns.iter().zip(of_columns) {
            let code = rows.nodes[column.node][row];
            *out = f64::NAN;
            if code == NO_KEY {
                continue;
            }
            let node = self.named(code);
            let after = time.saturating_sub(column.span);
            *out = if let Some(is_in) = counted(column.what) {
                self.count(node.slot, (column.layer, is_in, column.span), [after, end]).figure(column.what)
            } else if column.what == What::Pagerank {
                self.ranked(column, code, time)
            } else {
                let second = rows.nodes.get(1).map(|codes| codes[row]).filter(|code| *code != NO_KEY);
                let seen = Seen { state: self, layer: column.layer, time, after, end };
                around(&seen, column, node, second.map(|code| self.named(code)))
            };
        }
        for around in &definition.neighbourhoods {
            let node = Some(rows.nodes[around.node][row]).filter(|code| *code != NO_KEY);
            let after = time.saturating_sub(around.span);
            let seen = Seen { state: self, layer: around.layer, time, after, end };
            let cells = sample::cells(around, &seen, node.map(|code| self.named(code)), time);
            let (own, rest) = of_nodes.split_at_mut(cells.len());
            own.copy_from_slice(&cells);
            of_nodes = rest;
        }
    }

    /// Counts of a node's edges in a window.
    fn count(&mut self, slot: u32, of: (usize, bool, i64), window: [i64; 2]) -> Counts {
        let Some(node) = self.nodes.get(slot as usize) else { return Counts::default() };
        let ends = node.ends(of.0, of.1);
        let key = (slot, self.counts.binary_search(&of).unwrap_or(0));
        if let Some(slider) = self.sliders.get_mut(&key) {
            match slider.at(ends, window) {
                // It costs more than it saves.
                Some(counts) if slider.n_edges() < BUSY / 2 => {
                    self.sliders.remove(&key);
                    return counts;
                }
                Some(counts) => return counts,
                None => {}
            }
        }
        let [first, last] = ends.between(window[0], window[1]);
        if last - first < BUSY {
            return counted_anew(ends.ends.range(first..last));
        }
        let slider = Slider::new(ends, window);
        let counts = slider.counts();
        // A row that came late leaves the slider where the others need it.
        let is_before = self.sliders.get(&key).is_some_and(|own| own.is_later(ends, window));
        if !is_before {
            self.sliders.insert(key, slider);
        }
        counts
    }

    /// Computes the snapshots of PageRank that a row asks for and that were not asked for yet: of the edges and the cases that have come.
    fn rank(&mut self, time: i64) {
        let oldest = self.earliest_at(self.clock);
        let mut ranks = std::mem::take(&mut self.ranks);
        for (plan, known) in &mut ranks {
            let snapshot = plan.snapshot(time);
            if known.contains_key(&snapshot) {
                continue;
            }
            let (after, mut links) = (snapshot.saturating_sub(plan.span), Vec::new());
            for node in self.places.values().map(|slot| &self.nodes[*slot as usize]) {
                let out = &node.out[plan.layer];
                let [first, last] = out.between(after, snapshot);
                let to = |end: &End| (node.code, self.nodes[end.other as usize].code);
                links.extend(out.ends.range(first..last).map(to));
            }
            let nodes = self.places.values().map(|slot| &self.nodes[*slot as usize]);
            let cases = nodes.filter(|node| node.n_cases(snapshot) > 0).map(|node| node.code).collect();
            known.retain(|at, _| *at >= plan.snapshot(oldest));
            known.insert(snapshot, plan.walk(&links, cases));
        }
        self.ranks = ranks;
    }

    fn ranked(&self, column: &Column, code: u128, time: i64) -> f64 {
        let plan = Plan::of(column);
        let known = self.ranks.iter().find(|(own, _)| *own == plan).and_then(|(_, k)| k.get(&plan.snapshot(time)));
        let place =
            |ranks: &Vec<(u128, f64)>| ranks.binary_search_by_key(&code, |(c, _)| *c).ok().map(|at| ranks[at].1);
        known.and_then(place).unwrap_or(0.0)
    }
}

/// What a row sees of a state.
struct Seen<'a> {
    state: &'a NetworkState,
    layer: usize,
    time: i64,
    after: i64,
    end: i64,
}

impl View for Seen<'_> {
    type Node = Named;

    fn latest(&self, node: Named, is_in: bool) -> impl Iterator<Item = (i64, Named)> {
        let ends: Option<&Ends> = self.state.nodes.get(node.slot as usize).map(|node| node.ends(self.layer, is_in));
        let seen = ends.map(|ends| {
            let [first, last] = ends.between(self.after, self.end);
            ends.ends.range(first..last).rev()
        });
        let named = |end: &End| Named { code: self.state.nodes[end.other as usize].code, slot: end.other };
        seen.into_iter().flatten().map(move |end| (end.time, named(end)))
    }

    fn value(&self, of: Of, node: Named) -> Option<f64> {
        let node = self.state.nodes.get(node.slot as usize);
        match of {
            Of::Number(place) => node?.number(place, self.time.saturating_sub(self.state.cells_reach), self.time),
            // A node that nothing was told of has none.
            _ => Some(node.map_or(0, |node| node.n_cases(self.time)) as f64),
        }
    }

    fn n_edges(&self, node: Named, direction: Direction) -> usize {
        let Some(node) = self.state.nodes.get(node.slot as usize) else { return 0 };
        let n = |is_in: bool| {
            let [first, last] = node.ends(self.layer, is_in).between(self.after, self.end);
            last - first
        };
        let into = if direction == Direction::Out { 0 } else { n(true) };
        into + if direction == Direction::In { 0 } else { n(false) }
    }

    fn salt(&self, node: Named) -> u64 {
        salt(node.code)
    }

    fn k(&self) -> usize {
        self.state.definition.network.max_neighbours
    }
}
