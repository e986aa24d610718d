//! Edges that come of themselves, as those of other tables do.
//!
//! An edge is the same as one that came before if the two are alike in everything: both ends, time, money, kind. What is sent again
//! changes nothing therefore; alike edges count as often as one request has them, as they do in a table.

use super::NetworkState;
use super::node::End;
use crate::network::edges::Edges;
use crate::window::Refusal;
use std::collections::HashMap;

/// What became of edges that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EdgesTaken {
    /// Edges that are kept from now on.
    pub n_new: usize,
    /// Edges that came before.
    pub n_known: usize,
    /// Edges that no row to come sees: older than every window of it, or of a kind that no figure reads.
    pub n_unseen: usize,
}

/// What tells an edge from others: its ends by code, time, money and kind.
type Own = (u128, u128, i64, i64, u32);

impl NetworkState {
    /// Takes edges, all or none, in any order: one that comes late finds its place, and rows after it see it. `now` is the clock's time,
    /// microseconds UTC; `None` where edges of the past are replayed. The time of rows does not go on.
    ///
    /// # Errors
    /// An edge further ahead of the clock than a row may be; nodes or edges beyond the limits where none can be forgotten. Nothing is
    /// taken then.
    pub fn take_edges(&mut self, edges: &Edges, now: Option<i64>) -> Result<EdgesTaken, Refusal> {
        let latest = self.latest(now);
        if let Some(at) = edges.times.iter().position(|time| *time > latest) {
            return Err(Refusal::FutureEdge { row: edges.rows[at] as usize + 1, time: edges.times[at], latest });
        }
        let (fresh, taken) = self.fresh(edges);
        let ends = fresh.iter().flat_map(|edge| [edges.from[*edge], edges.to[*edge]]);
        let n_links = fresh.iter().map(|edge| edges.layers[*edge].count_ones() as usize).sum();
        self.check_room(self.clock, ends, n_links)?;
        let n_looks = std::mem::take(&mut self.n_looks);
        self.forget(n_looks);
        self.add_lot(edges, &fresh);
        Ok(taken)
    }

    /// Which edges are to be kept, and what becomes of all.
    fn fresh(&self, edges: &Edges) -> (Vec<usize>, EdgesTaken) {
        let past = self.past();
        let (mut fresh, mut taken) = (Vec::new(), EdgesTaken::default());
        // How many like it came before that are not matched yet.
        let mut before: HashMap<Own, usize> = HashMap::new();
        for edge in 0..edges.times.len() {
            if edges.times[edge] <= past.edges || edges.layers[edge] == 0 {
                taken.n_unseen += 1;
                continue;
            }
            let own = (edges.from[edge], edges.to[edge], edges.times[edge], edges.units[edge], edges.kind_codes[edge]);
            let layer = edges.layers[edge].trailing_zeros() as usize;
            let left = before.entry(own).or_insert_with(|| self.n_alike(own, layer));
            if *left > 0 {
                *left -= 1;
                taken.n_known += 1;
            } else {
                taken.n_new += 1;
                fresh.push(edge);
            }
        }
        (fresh, taken)
    }

    /// How many edges of a layer are kept that are like this one.
    fn n_alike(&self, (from, to, time, units, kind): Own, layer: usize) -> usize {
        let Some(slot) = self.places.get(&from) else { return 0 };
        let ends = &self.nodes[*slot as usize].out[layer].ends;
        let place = |end: &End| (end.time, self.nodes[end.other as usize].code, end.units);
        let first = ends.partition_point(|end| place(end) < (time, to, units));
        let alike = ends.range(first..).take_while(|end| place(end) == (time, to, units));
        alike.filter(|end| end.kind == kind).count()
    }

    /// Takes the edges that a row is. Those that no row can see any more are passed over.
    pub(in crate::network) fn add_edges(&mut self, edges: &Edges) {
        let past = self.past();
        for edge in (0..edges.from.len()).filter(|edge| edges.times[*edge] > past.edges) {
            self.add_edge(edges, edge);
        }
    }

    /// Adds edges as [`NetworkState::add_edge`] does one after the other, but goes through the edges of each node once: those that come
    /// late would have all later ones move for each of them.
    fn add_lot(&mut self, edges: &Edges, lot: &[usize]) {
        let mut ends: HashMap<(u32, usize, bool), Vec<End>> = HashMap::new();
        for &edge in lot {
            let (time, units, kind) = (edges.times[edge], edges.units[edge], edges.kind_codes[edge]);
            let [from, to] = [edges.from[edge], edges.to[edge]].map(|code| self.slot(code));
            for layer in (0..self.definition.layers.len()).filter(|layer| edges.layers[edge] >> layer & 1 == 1) {
                ends.entry((from, layer, false)).or_default().push(End { time, units, other: to, kind });
                ends.entry((to, layer, true)).or_default().push(End { time, units, other: from, kind });
                self.n_edges += 1;
            }
        }
        ends.into_iter().for_each(|(place, ends)| self.put_lot(place, ends));
    }

    /// Puts ends in their places, to the same order as one after the other.
    fn put_lot(&mut self, (slot, layer, is_in): (u32, usize, bool), mut ends: Vec<End>) {
        if let [end] = ends[..] {
            return self.put((slot, layer, is_in), end);
        }
        let mut all = std::mem::take(&mut self.nodes[slot as usize].ends_mut(layer, is_in).ends);
        let nodes = &self.nodes;
        let key = |end: &End| (end.time, nodes[end.other as usize].code, end.units);
        // Of those that are alike in that the first to come goes first: the sort is stable.
        ends.sort_by_key(key);
        let n_before = ends.first().map_or(all.len(), |first| all.partition_point(|end| key(end) <= key(first)));
        let mut later = all.split_off(n_before).into_iter().peekable();
        for end in &ends {
            let own = key(end);
            while let Some(there) = later.next_if(|there| key(there) <= own) {
                all.push_back(there);
            }
            all.push_back(*end);
        }
        all.extend(later);
        self.nodes[slot as usize].ends_mut(layer, is_in).ends = all;
        ends.iter().for_each(|end| self.slide((slot, layer, is_in), end));
    }

    fn add_edge(&mut self, edges: &Edges, edge: usize) {
        let (time, units, kind) = (edges.times[edge], edges.units[edge], edges.kind_codes[edge]);
        let [from, to] = [edges.from[edge], edges.to[edge]].map(|code| self.slot(code));
        for layer in (0..self.definition.layers.len()).filter(|layer| edges.layers[edge] >> layer & 1 == 1) {
            self.put((from, layer, false), End { time, units, other: to, kind });
            self.put((to, layer, true), End { time, units, other: from, kind });
            self.n_edges += 1;
        }
    }
}
