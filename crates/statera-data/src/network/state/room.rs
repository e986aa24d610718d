//! What is taken and what is forgotten: bounds of a state.

use super::NetworkState;
use super::node::{Node, Past};
use crate::network::edges::Edges;
use crate::network::rows::Rows;
use crate::window::{NO_KEY, Refusal};
use std::collections::BTreeSet;

/// Nodes that are looked at for what may be forgotten when there are too many.
const LOOKED_AT_WHEN_FULL: usize = 64;
/// How often all nodes may be looked at for room while time goes on by the longest window: it takes long where there are many.
const FULL_LOOKS: i64 = 256;

impl NetworkState {
    /// What speaks against a row and edges that come with it; `id` names the row. `now` is the clock's time, microseconds UTC; `None`
    /// where rows of the past are replayed. There is room, too, where enough would be forgotten that nobody sees any more at the row's
    /// time; that is done when the row is taken: whether it is or not, nothing is forgotten here, and the time does not go on.
    ///
    /// # Errors
    /// A row further ahead of the clock or behind the latest than is allowed; nodes or edges beyond the limits where none can be
    /// forgotten.
    pub fn check(
        &mut self,
        id: &str,
        (rows, row): (&Rows, usize),
        edges: &Edges,
        now: Option<i64>,
    ) -> Result<(), Refusal> {
        let time = rows.times[row];
        let latest = self.latest(now);
        if time > latest {
            return Err(Refusal::Future { id: id.into(), time, latest });
        }
        let earliest = self.clock.saturating_sub(self.limits.max_behind).max(self.floor);
        if self.clock > i64::MIN && time < earliest {
            return Err(Refusal::FarPast { id: id.into(), time, earliest });
        }
        let keeps_cells = !self.definition.numbers.is_empty();
        let own = rows.nodes.iter().map(|codes| codes[row]).filter(|_| keeps_cells);
        let all = own.chain(edges.from.iter().chain(&edges.to).copied());
        let n_links = edges.layers.iter().map(|bits| bits.count_ones() as usize).sum();
        self.check_room(time, all, n_links)
    }

    /// Looks for room for nodes, as far as they are new, and for so many edges, at a time; notes how many nodes have to be looked at to
    /// forget what nobody sees any more.
    ///
    /// # Errors
    /// Nodes or edges beyond the limits where none can be forgotten.
    pub(super) fn check_room(
        &mut self,
        time: i64,
        nodes: impl Iterator<Item = u128>,
        n_links: usize,
    ) -> Result<(), Refusal> {
        self.n_looks = 0;
        let wanted: BTreeSet<u128> = nodes.filter(|code| *code != NO_KEY).collect();
        let n_new = wanted.iter().filter(|code| !self.places.contains_key(*code)).count();
        let [max_nodes, max_edges] = [self.limits.max_nodes, self.limits.max_edges].map(|n| n as usize);
        let excess = |n_kept: usize, n_more: usize, max: usize| match n_more {
            0 => 0,
            _ => (n_kept + n_more).saturating_sub(max),
        };
        match [excess(self.places.len(), n_new, max_nodes), excess(self.n_edges, n_links, max_edges)] {
            [0, 0] => Ok(()),
            needed => self.find_room(time, needed, &wanted),
        }
    }

    /// Looks for so many nodes and edges that nobody sees any more at a row's time, but for the nodes that the row wants; notes how many
    /// nodes have to be looked at to forget them.
    fn find_room(&mut self, time: i64, needed: [usize; 2], wanted: &BTreeSet<u128>) -> Result<(), Refusal> {
        let past = self.past_at(self.clock.max(time));
        let is_room = |leaving: [usize; 2]| leaving[0] >= needed[0] && leaving[1] >= needed[1];
        let n_few = LOOKED_AT_WHEN_FULL.min(self.nodes.len());
        let mut n_looks = n_few;
        let mut leaving = self.leaving(past, n_looks, wanted);
        if !is_room(leaving) && self.nodes.len() > n_few && past.edges > self.looked_until {
            self.looked_until = past.edges.saturating_add(self.reach / FULL_LOOKS);
            n_looks = self.nodes.len();
            leaving = self.leaving(past, n_looks, wanted);
        }
        if is_room(leaving) {
            self.n_looks = n_looks;
            return Ok(());
        }
        // With the next row others are looked at: a full look is not taken each time, and what is left behind may be found then.
        self.hand = (self.hand + n_few) % self.nodes.len().max(1);
        if leaving[0] < needed[0] {
            return Err(Refusal::TooManyNodes { limit: self.limits.max_nodes });
        }
        Err(Refusal::TooManyEdges { limit: self.limits.max_edges })
    }

    /// How many nodes and edges [`NetworkState::forget`] would forget with so many looks, if that were past.
    fn leaving(&self, past: Past, n_looks: usize, wanted: &BTreeSet<u128>) -> [usize; 2] {
        let (mut n_nodes, mut n_edges) = (0, 0);
        for look in 1..=n_looks.min(self.nodes.len()) {
            let slot = (self.hand + look) % self.nodes.len();
            let node = &self.nodes[slot];
            let is_there = self.places.get(&node.code) == Some(&(slot as u32));
            n_nodes += usize::from(is_there && !wanted.contains(&node.code) && node.is_idle(past));
            n_edges += node.out.iter().map(|ends| ends.n_until(past.edges)).sum::<usize>();
        }
        [n_nodes, n_edges]
    }

    /// The latest time that is taken when the clock says `now`.
    pub(super) fn latest(&self, now: Option<i64>) -> i64 {
        now.map_or(i64::MAX, |now| now.saturating_add(self.limits.max_ahead))
    }

    /// What is seen by no row that may come.
    pub(super) fn past(&self) -> Past {
        if self.clock == i64::MIN { Past { edges: i64::MIN, cells: i64::MIN } } else { self.past_at(self.clock) }
    }

    /// The same when the latest time of all rows is this one.
    fn past_at(&self, clock: i64) -> Past {
        let earliest = self.earliest_at(clock);
        Past { edges: earliest.saturating_sub(self.reach), cells: earliest.saturating_sub(self.cells_reach) }
    }

    /// Rows from this time on see everything when the latest time of all rows is that one.
    pub(super) fn earliest_at(&self, clock: i64) -> i64 {
        let max_behind = self.limits.max_behind;
        clock.saturating_sub(self.kept_behind.map_or(max_behind, |kept| kept.min(max_behind))).max(self.floor)
    }

    /// Looks at some nodes for what no row can see any more.
    pub(super) fn forget(&mut self, n_looks: usize) {
        if self.clock == i64::MIN {
            return;
        }
        let (past, earliest) = (self.past(), self.earliest_at(self.clock));
        self.floor = self.floor.max(self.clock.saturating_sub(self.limits.max_behind));
        for _ in 0..n_looks.min(self.nodes.len()) {
            self.hand = if self.hand + 1 < self.nodes.len() { self.hand + 1 } else { 0 };
            let hand = self.hand;
            let node = &mut self.nodes[hand];
            // Each edge lies at both of its ends, and is counted at the one that it comes from.
            for ends in &mut node.into {
                ends.forget(past.edges);
            }
            self.n_edges -= node.out.iter_mut().map(|ends| ends.forget(past.edges)).sum::<usize>();
            node.forget_cells(earliest);
            let (code, is_idle) = (node.code, node.is_idle(past));
            if is_idle && self.places.get(&code) == Some(&(hand as u32)) {
                self.places.remove(&code);
                self.free.push(hand as u32);
                self.nodes[hand] = Node { code, ..Node::default() };
                for at in 0..self.counts.len() {
                    self.sliders.remove(&(hand as u32, at));
                }
            }
        }
    }
}
