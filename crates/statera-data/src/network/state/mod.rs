//! The figures of a network as rows and edges happen.

mod count;
mod edges;
mod node;
mod room;
mod snapshot;
mod tell;
#[cfg(test)]
mod tests;

pub use edges::EdgesTaken;

use super::declaration::{Until, What};
use super::definition::{Column, Definition};
use super::edges::Edges;
use super::figures::counted;
use super::page_rank::Plan;
use super::rows::Rows;
use crate::window::NO_KEY;
use count::Slider;
use node::{End, Node};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Nodes that are looked at with every row for what may be forgotten.
const LOOKED_AT: usize = 4;
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
/// which are never forgotten. Where the declaration does not say how far back cells are looked for (`cells_within`), a neighbour's cell is
/// that of its last row within the longest window, where a table looks back without end: of edges that are rows with cells the two are
/// the same, because a neighbour has an edge in the window.
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
    /// How far back an edge matters to a row, and a cell.
    reach: i64,
    cells_reach: i64,
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
        let of_nodes = definition.neighbourhoods.iter().map(|around| around.span);
        let reach = definition.columns.iter().map(reach).chain(of_nodes).max().unwrap_or(0);
        NetworkState {
            cells_reach: definition.network.cells_within.map_or(reach, crate::window::Span::micros),
            reach,
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
        self.slide((slot, layer, is_in), &end);
    }

    /// Tells the counts of a node that an end is in its place, where they slide.
    fn slide(&mut self, (slot, layer, is_in): (u32, usize, bool), end: &End) {
        for (at, _) in self.counts.iter().enumerate().filter(|(_, (l, i, _))| (*l, *i) == (layer, is_in)) {
            if let Some(slider) = self.sliders.get_mut(&(slot, at)) {
                slider.inserted(end);
            }
        }
    }

    fn named(&self, code: u128) -> Named {
        Named { code, slot: self.places.get(&code).copied().unwrap_or(NONE) }
    }
}
