//! The figures of a network as rows and edges happen.

mod count;
mod node;
mod snapshot;
#[cfg(test)]
mod tests;

use super::declaration::{Until, What};
use super::definition::{Column, Definition, Of};
use super::edges::Edges;
use super::figures::counted;
use super::near::{View, around};
use super::page_rank::Plan;
use super::rows::Rows;
use super::slide::Counts;
use crate::window::{NO_KEY, Refusal};
use count::{BUSY, Slider, counted_anew};
use node::{End, Ends, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Nodes that are looked at for what may be forgotten with every row, and when there are too many.
const LOOKED_AT: usize = 4;
const LOOKED_AT_WHEN_FULL: usize = 64;
/// How often all nodes may be looked at for room while time goes on by the longest window: it takes long where there are many.
const FULL_LOOKS: i64 = 256;
/// Ranks of nodes by code, by snapshot.
type Ranks = BTreeMap<i64, Vec<(u128, f64)>>;
/// A node that is not there.
const NONE: u32 = u32::MAX;

/// Bounds of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkLimits {
    /// Nodes, at least 2. Default 2 million.
    pub max_nodes: u32,
    /// Edges, counted once for each choice of kinds that they are in. Default 20 million.
    pub max_edges: u32,
    /// Microseconds by which a row may be ahead of the clock. Default 5 minutes.
    pub max_ahead: i64,
    /// Microseconds by which a row may be behind the latest of all. Default 1 day.
    pub max_behind: i64,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        NetworkLimits {
            max_nodes: 2_000_000,
            max_edges: 20_000_000,
            max_ahead: 300_000_000,
            max_behind: 86_400_000_000,
        }
    }
}

/// A network as of what has come.
///
/// A row has the figures that [`columns`](super::columns) gives it, to the bit, of the edges, cells and frauds that had come before
/// it. Rows may come in any order as far as [`NetworkLimits::max_behind`] allows: each sees what is before its own time, and what
/// comes late finds its place. Memory is bounded by the edges in the longest window, by the nodes that they join, and by known frauds,
/// which are never forgotten. A neighbour's cell is that of its last row within the longest window, where a table looks back without
/// end: of edges that are rows with cells the two are the same, because a neighbour has an edge in the window.
#[derive(Debug, Clone)]
pub struct NetworkState {
    definition: Arc<Definition>,
    limits: NetworkLimits,
    /// Slots of nodes by their codes.
    places: HashMap<u128, u32>,
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// The slot that is looked at next.
    hand: usize,
    /// Edges that are kept, of all layers together.
    n_edges: usize,
    /// What is counted: layer, direction and window.
    counts: Vec<(usize, bool, i64)>,
    /// Sliding counts of busy nodes by slot and place in `counts`.
    sliders: HashMap<(u32, usize), Slider>,
    /// Rows that were told to be frauds, by code.
    told: BTreeSet<u128>,
    /// PageRank at the snapshots that rows may still ask for, by code.
    ranks: Vec<(Plan, Ranks)>,
    /// How far back an edge matters to a row.
    reach: i64,
    /// The latest time of all rows.
    clock: i64,
    /// What rows before this time see is not all kept.
    floor: i64,
    /// Microseconds by which a row may be behind that sees everything, where others are taken too: those of a replay.
    kept_behind: Option<i64>,
    /// Nodes that are looked at before the row is taken that was checked last, so that there is room for it.
    n_looks: usize,
    /// All nodes are looked at for room again once edges until a later time than this may be forgotten.
    looked_until: i64,
}

/// A node by its code, which orders it, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    code: u128,
    slot: u32,
}

impl NetworkState {
    /// Without edges.
    pub fn new(definition: Arc<Definition>, limits: NetworkLimits) -> NetworkState {
        let counts: BTreeSet<(usize, bool, i64)> =
            definition.columns.iter().filter_map(|c| Some((c.layer, counted(c.what)?, c.span))).collect();
        let reach = |c: &Column| c.span.saturating_add(if c.what == What::Pagerank { c.every } else { 0 });
        NetworkState {
            reach: definition.columns.iter().map(reach).max().unwrap_or(0),
            ranks: Plan::all(&definition).into_iter().map(|(plan, _)| (plan, BTreeMap::new())).collect(),
            counts: counts.into_iter().collect(),
            definition,
            limits,
            places: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            hand: 0,
            n_edges: 0,
            sliders: HashMap::new(),
            told: BTreeSet::new(),
            clock: i64::MIN,
            floor: i64::MIN,
            kept_behind: None,
            n_looks: 0,
            looked_until: i64::MIN,
        }
    }

    /// What it tells.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Bounds what comes from now on, and ends a replay. What no row sees any more that comes under these limits is forgotten at once,
    /// of all nodes; all else stays, also where it is more than the limits allow.
    pub fn set_limits(&mut self, limits: NetworkLimits) {
        self.limits = limits;
        self.kept_behind = None;
        self.looked_until = i64::MIN;
        self.forget(self.nodes.len());
    }

    /// Begins a replay, which [`NetworkState::set_limits`] ends: rows are taken that are as far behind as the limits allow, and kept is
    /// what rows see that are behind by at most this many microseconds. Figures of rows further behind may lack edges; the state after
    /// the replay lacks nothing that later limits ask for which allow no more.
    pub fn replay(&mut self, kept_behind: i64) {
        self.kept_behind = Some(kept_behind);
    }

    /// Nodes that are kept, and edges, once for each choice of kinds that they are in.
    pub fn n_kept(&self) -> [usize; 2] {
        [self.places.len(), self.n_edges]
    }

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
        self.n_looks = 0;
        let time = rows.times[row];
        let latest = now.map_or(i64::MAX, |now| now.saturating_add(self.limits.max_ahead));
        if time > latest {
            return Err(Refusal::Future { id: id.into(), time, latest });
        }
        let earliest = self.clock.saturating_sub(self.limits.max_behind).max(self.floor);
        if self.clock > i64::MIN && time < earliest {
            return Err(Refusal::FarPast { id: id.into(), time, earliest });
        }
        let own = rows.nodes.iter().map(|codes| codes[row]).filter(|_| !self.definition.numbers.is_empty());
        let all = own.chain(edges.from.iter().chain(&edges.to).copied());
        let wanted: BTreeSet<u128> = all.filter(|code| *code != NO_KEY).collect();
        let n_new = wanted.iter().filter(|code| !self.places.contains_key(*code)).count();
        let n_links: usize = edges.layers.iter().map(|bits| bits.count_ones() as usize).sum();
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
        let until = self.until_at(self.clock.max(time));
        let is_room = |leaving: [usize; 2]| leaving[0] >= needed[0] && leaving[1] >= needed[1];
        let n_few = LOOKED_AT_WHEN_FULL.min(self.nodes.len());
        let mut n_looks = n_few;
        let mut leaving = self.leaving(until, n_looks, wanted);
        if !is_room(leaving) && self.nodes.len() > n_few && until > self.looked_until {
            self.looked_until = until.saturating_add(self.reach / FULL_LOOKS);
            n_looks = self.nodes.len();
            leaving = self.leaving(until, n_looks, wanted);
        }
        if is_room(leaving) {
            self.n_looks = n_looks;
            return Ok(());
        }
        // With the next row others are looked at.
        self.hand = (self.hand + n_few) % self.nodes.len().max(1);
        if leaving[0] < needed[0] {
            let key = self.definition.network.nodes.join(", ");
            return Err(Refusal::TooManyKeys { key, limit: self.limits.max_nodes });
        }
        Err(Refusal::TooManyEdges { limit: self.limits.max_edges })
    }

    /// How many nodes and edges [`NetworkState::forget`] would forget with so many looks, if edges until a time were seen by no row.
    fn leaving(&self, until: i64, n_looks: usize, wanted: &BTreeSet<u128>) -> [usize; 2] {
        let (mut n_nodes, mut n_edges) = (0, 0);
        for look in 1..=n_looks.min(self.nodes.len()) {
            let slot = (self.hand + look) % self.nodes.len();
            let node = &self.nodes[slot];
            let is_there = self.places.get(&node.code) == Some(&(slot as u32));
            n_nodes += usize::from(is_there && !wanted.contains(&node.code) && node.is_idle(until));
            n_edges += node.out.iter().map(|ends| ends.n_until(until)).sum::<usize>();
        }
        [n_nodes, n_edges]
    }

    /// Takes a row that [`NetworkState::check`] has nothing against, and the edges that it is or brings: writes its columns to `out`, in
    /// the order of [`Definition::column_names`]; NaN is missing. With `until = "at"` the row sees those edges, too.
    ///
    /// # Panics
    /// `out` is not as long as the columns.
    pub fn advance(&mut self, rows: &Rows, row: usize, edges: &Edges, out: &mut [f64]) {
        assert_eq!(out.len(), self.definition.n_columns(), "one number a column");
        let time = rows.times[row];
        self.clock = self.clock.max(time);
        let n_looks = std::mem::take(&mut self.n_looks);
        self.forget(n_looks);
        let is_at = self.definition.network.until == Until::At;
        if is_at {
            self.add_edges(edges);
        }
        self.figures(rows, row, out);
        if !is_at {
            self.add_edges(edges);
        }
        for (column, cells) in rows.numbers.iter().enumerate().filter(|(_, cells)| !cells[row].is_nan()) {
            for code in rows.nodes.iter().map(|codes| codes[row]).filter(|code| *code != NO_KEY) {
                let slot = self.slot(code);
                self.nodes[slot as usize].add_cell(column, time, cells[row]);
            }
        }
        self.forget(LOOKED_AT);
    }

    /// Takes edges, also such as come with no row. Those that no row can see any more are passed over.
    pub fn add_edges(&mut self, edges: &Edges) {
        let until = self.until();
        for edge in 0..edges.from.len() {
            let (time, units) = (edges.times[edge], edges.units[edge]);
            if time <= until {
                continue;
            }
            let [from, to] = [edges.from[edge], edges.to[edge]].map(|code| self.slot(code));
            for layer in (0..self.definition.layers.len()).filter(|layer| edges.layers[edge] >> layer & 1 == 1) {
                self.put((from, layer, false), End { time, units, other: to });
                self.put((to, layer, true), End { time, units, other: from });
                self.n_edges += 1;
            }
        }
    }

    /// Takes that a row, whose id has this code, was a fraud, which was known at a time, microseconds UTC: rows after it know that of
    /// its nodes, of those that the definition calls cases. True if it was new, false if it had been said before, or if the definition
    /// has no label. [`NetworkState::known`] gives the time.
    pub fn add_case(&mut self, id: u128, (rows, row): (&Rows, usize), known: i64) -> bool {
        if self.definition.network.label.is_none() || !self.told.insert(id) {
            return false;
        }
        let mut own: Vec<u128> = self.definition.case_nodes().into_iter().map(|c| rows.nodes[c][row]).collect();
        own.retain(|code| *code != NO_KEY);
        own.dedup();
        for code in own {
            let slot = self.slot(code);
            self.nodes[slot as usize].add_case(known);
        }
        true
    }

    /// When a row's fraud counts as known that was told at a time: then, where the definition has a column of such times, else after
    /// its delay, and never before it was told.
    pub fn known(&self, (rows, row): (&Rows, usize), told: i64) -> i64 {
        let network = &self.definition.network;
        let delay = network.label_delay.map_or(0, crate::window::Span::micros);
        if network.label_time.is_some() { told } else { told.max(rows.times[row].saturating_add(delay)) }
    }

    /// True if a row asks for a PageRank that is not computed yet, which may take a second in a large network.
    pub fn is_to_rank(&self, rows: &Rows, row: usize) -> bool {
        let time = rows.times[row];
        self.ranks.iter().any(|(plan, known)| !known.contains_key(&plan.snapshot(time)))
    }

    /// The slot of a node, which is made where there is none.
    fn slot(&mut self, code: u128) -> u32 {
        if let Some(slot) = self.places.get(&code) {
            return *slot;
        }
        let node = Node::new(code, self.definition.layers.len(), self.definition.numbers.len());
        let slot = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot as usize] = node;
                slot
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.places.insert(code, slot);
        slot
    }

    /// Puts the end of an edge in its place: by time, then the code of the other end, then the money.
    fn put(&mut self, (slot, layer, is_in): (u32, usize, bool), end: End) {
        let key = |nodes: &[Node], end: &End| (end.time, nodes[end.other as usize].code, end.units);
        let own = key(&self.nodes, &end);
        let ends = &self.nodes[slot as usize].ends(layer, is_in).ends;
        let is_last = ends.back().is_none_or(|last| key(&self.nodes, last) <= own);
        let place = if is_last { ends.len() } else { ends.partition_point(|e| key(&self.nodes, e) <= own) };
        self.nodes[slot as usize].ends_mut(layer, is_in).ends.insert(place, end);
        for (at, _) in self.counts.iter().enumerate().filter(|(_, (l, i, _))| (*l, *i) == (layer, is_in)) {
            if let Some(slider) = self.sliders.get_mut(&(slot, at)) {
                slider.inserted(&end);
            }
        }
    }

    fn named(&self, code: u128) -> Named {
        Named { code, slot: self.places.get(&code).copied().unwrap_or(NONE) }
    }

    fn figures(&mut self, rows: &Rows, row: usize, out: &mut [f64]) {
        let time = rows.times[row];
        let end = self.definition.end(time);
        self.rank(time);
        let definition = self.definition.clone();
        for (column, out) in definition.columns.iter().zip(out) {
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

    /// Edges until this time are seen by no row that may come.
    fn until(&self) -> i64 {
        if self.clock == i64::MIN { i64::MIN } else { self.until_at(self.clock) }
    }

    /// The same when the latest time of all rows is this one.
    fn until_at(&self, clock: i64) -> i64 {
        self.earliest_at(clock).saturating_sub(self.reach)
    }

    /// Rows from this time on see everything when the latest time of all rows is that one.
    fn earliest_at(&self, clock: i64) -> i64 {
        let max_behind = self.limits.max_behind;
        clock.saturating_sub(self.kept_behind.map_or(max_behind, |kept| kept.min(max_behind))).max(self.floor)
    }

    /// Looks at some nodes for what no row can see any more.
    fn forget(&mut self, n_looks: usize) {
        if self.clock == i64::MIN {
            return;
        }
        let (until, earliest) = (self.until(), self.earliest_at(self.clock));
        self.floor = self.floor.max(self.clock.saturating_sub(self.limits.max_behind));
        for _ in 0..n_looks.min(self.nodes.len()) {
            self.hand = if self.hand + 1 < self.nodes.len() { self.hand + 1 } else { 0 };
            let hand = self.hand;
            let node = &mut self.nodes[hand];
            // Each edge lies at both of its ends, and is counted at the one that it comes from.
            for ends in &mut node.into {
                ends.forget(until);
            }
            self.n_edges -= node.out.iter_mut().map(|ends| ends.forget(until)).sum::<usize>();
            node.forget_cells(earliest);
            let (code, is_idle) = (node.code, node.is_idle(until));
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
        let node = self.state.nodes.get(node.slot as usize)?;
        match of {
            Of::Number(place) => node.number(place, self.time.saturating_sub(self.state.reach), self.time),
            _ => Some(node.n_cases(self.time) as f64),
        }
    }

    fn k(&self) -> usize {
        self.state.definition.network.max_neighbours
    }
}
