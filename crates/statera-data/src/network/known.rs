//! What is known of each node at a time: its frauds, and the cells of its last row.

use super::definition::Definition;
use super::nodes::NO_NODE;
use super::rows::{NEVER, Rows};
use std::ops::Range;

/// Lists of instants with a value each, by node, in the order (time, value).
struct Histories {
    starts: Vec<usize>,
    entries: Vec<(i64, f64)>,
}

/// What is known of nodes.
pub(super) struct Known {
    /// When their frauds became known; the values are not used.
    cases: Histories,
    /// Per number column.
    numbers: Vec<Histories>,
    /// Nodes with a fraud and when the first of each became known, in that order.
    pub first_cases: Vec<(i64, u32)>,
}

impl Known {
    /// What rows tell; `nodes` are the numbers of their nodes per node column.
    pub fn of(definition: &Definition, rows: &Rows, nodes: &[Vec<u32>], n_nodes: usize) -> Known {
        let case_nodes = definition.case_nodes();
        let mut cases = Vec::new();
        for (row, &known) in rows.known.iter().enumerate().filter(|(_, known)| **known != NEVER) {
            let mut own: Vec<u32> = case_nodes.iter().map(|&c| nodes[c][row]).filter(|n| *n != NO_NODE).collect();
            own.dedup();
            cases.extend(own.into_iter().map(|node| (node, known, 0.0)));
        }
        let cases = Histories::new(n_nodes, cases);
        let first = |node: u32| cases.of(node).first().map(|(time, _)| (*time, node));
        let mut first_cases: Vec<(i64, u32)> = (0..n_nodes as u32).filter_map(first).collect();
        first_cases.sort_unstable();
        let number = |cells: &Vec<f64>| {
            let of_column = |column: &Vec<u32>| {
                let entry = |(row, &node): (usize, &u32)| (node, rows.times[row], cells[row]);
                column.iter().enumerate().map(entry).collect::<Vec<_>>()
            };
            let all = nodes.iter().flat_map(of_column);
            Histories::new(n_nodes, all.filter(|(node, _, cell)| *node != NO_NODE && !cell.is_nan()).collect())
        };
        Known { numbers: rows.numbers.iter().map(number).collect(), cases, first_cases }
    }

    /// Frauds of a node that were known before a time.
    pub fn n_cases(&self, node: u32, before: i64) -> usize {
        self.cases.before(node, before).len()
    }

    /// The cell of a node's last row with one after a time and before another; of rows of one time the largest.
    pub fn number(&self, column: usize, node: u32, [after, before]: [i64; 2]) -> Option<f64> {
        self.numbers[column].before(node, before).last().filter(|(time, _)| *time > after).map(|(_, cell)| *cell)
    }
}

impl Histories {
    fn new(n_nodes: usize, mut all: Vec<(u32, i64, f64)>) -> Histories {
        all.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        let mut starts = vec![0; n_nodes + 1];
        all.iter().for_each(|(node, ..)| starts[*node as usize + 1] += 1);
        for node in 0..n_nodes {
            starts[node + 1] += starts[node];
        }
        Histories { starts, entries: all.into_iter().map(|(_, time, value)| (time, value)).collect() }
    }

    fn range(&self, node: u32) -> Range<usize> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    fn of(&self, node: u32) -> &[(i64, f64)] {
        &self.entries[self.range(node)]
    }

    fn before(&self, node: u32, before: i64) -> &[(i64, f64)] {
        let own = self.of(node);
        &own[..own.partition_point(|(time, _)| *time < before)]
    }
}
