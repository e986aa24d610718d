//! A node of a state: its edges in both directions, its known frauds, and the cells of its last rows.

use std::collections::VecDeque;

/// What is seen by no row that may come: edges until a time, and cells until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    /// Microseconds UTC.
    pub edges: i64,
    pub cells: i64,
}

/// An end of an edge as its other end keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Microseconds UTC.
    pub time: i64,
    /// Money in fixed point.
    pub units: i64,
    /// The slot of the other end.
    pub other: u32,
    /// What tells its kind from others.
    pub kind: u32,
}

/// The edges of a node, of a layer, in one direction, in the order of their times.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    pub ends: VecDeque<End>,
    /// Edges that left at the front, ever: with it places stay what they are.
    pub n_left: u64,
}

impl Ends {
    /// Places of the edges later than `after` and earlier than `end`, among those that are kept.
    pub fn between(&self, after: i64, end: i64) -> [usize; 2] {
        let first = self.ends.partition_point(|edge| edge.time <= after);
        [first, self.ends.partition_point(|edge| edge.time < end).max(first)]
    }

    /// How many edges are until a time.
    pub fn n_until(&self, until: i64) -> usize {
        self.ends.partition_point(|edge| edge.time <= until)
    }

    /// Forgets the edges until a time; gives how many.
    pub fn forget(&mut self, until: i64) -> usize {
        let n = self.n_until(until);
        self.ends.drain(..n);
        self.n_left += n as u64;
        if self.ends.is_empty() {
            self.ends = VecDeque::new();
        }
        n
    }
}

/// A node.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub code: u128,
    /// By layer.
    pub into: Vec<Ends>,
    pub out: Vec<Ends>,
    /// When its frauds became known, ascending.
    pub cases: Vec<i64>,
    /// By number column: times and cells, in this order; of what is older than any row still sees, the last is kept.
    pub cells: Vec<VecDeque<(i64, f64)>>,
}

impl Node {
    pub fn new(code: u128, n_layers: usize, n_numbers: usize) -> Node {
        Node {
            code,
            into: vec![Ends::default(); n_layers],
            out: vec![Ends::default(); n_layers],
            cases: Vec::new(),
            cells: vec![VecDeque::new(); n_numbers],
        }
    }

    pub fn ends(&self, layer: usize, is_in: bool) -> &Ends {
        if is_in { &self.into[layer] } else { &self.out[layer] }
    }

    pub fn ends_mut(&mut self, layer: usize, is_in: bool) -> &mut Ends {
        if is_in { &mut self.into[layer] } else { &mut self.out[layer] }
    }

    /// Frauds that were known before a time.
    pub fn n_cases(&self, before: i64) -> usize {
        self.cases.partition_point(|known| *known < before)
    }

    /// A fraud became known.
    pub fn add_case(&mut self, known: i64) {
        let place = self.cases.partition_point(|k| *k <= known);
        self.cases.insert(place, known);
    }

    /// The cell of the last row with one after a time and before another; of rows of one time the largest.
    pub fn number(&self, column: usize, after: i64, before: i64) -> Option<f64> {
        let cells = &self.cells[column];
        let last = cells.partition_point(|(time, _)| *time < before).checked_sub(1).map(|at| cells[at]);
        last.filter(|(time, _)| *time > after).map(|(_, cell)| cell)
    }

    /// Keeps a cell of a row.
    pub fn add_cell(&mut self, column: usize, time: i64, cell: f64) {
        let cells = &mut self.cells[column];
        let place = cells.partition_point(|(t, c)| (*t).cmp(&time).then(c.total_cmp(&cell)).is_le());
        cells.insert(place, (time, cell));
    }

    /// Forgets the cells that no row after a time sees: those before the last until it.
    pub fn forget_cells(&mut self, until: i64) {
        for cells in &mut self.cells {
            let n = cells.partition_point(|(time, _)| *time < until);
            cells.drain(..n.saturating_sub(1));
        }
    }

    /// True if nothing is known of it that a row to come may see: no fraud, and neither an edge nor a cell that is not past.
    pub fn is_idle(&self, past: Past) -> bool {
        let is_past = |ends: &Ends| ends.ends.back().is_none_or(|end| end.time <= past.edges);
        self.into.iter().chain(&self.out).all(is_past)
            && self.cases.is_empty()
            && self.cells.iter().all(|cells| cells.back().is_none_or(|(time, _)| *time <= past.cells))
    }
}
