//! The columns of rows, from edges and from the rows themselves.

use super::declaration::{Direction, What};
use super::definition::{Around, Column, Definition, Of};
use super::edges::Edges;
use super::graph::{Adjacency, Graph};
use super::known::Known;
use super::near::{View, around};
use super::nodes::{NO_NODE, Nodes};
use super::page_rank::Plan;
use super::rows::Rows;
use super::sample;
use super::slide::slide;
use crate::table::ColumnInfo;
use arrow_array::{ArrayRef, Float64Array, Int64Array};
use rayon::prelude::*;
use statera_core::{Kind, Result, Run};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that figures are made of.
struct Whole<'a> {
    definition: &'a Definition,
    rows: &'a Rows,
    /// Rows before this one came before and get no figures.
    first: usize,
    /// Per node column.
    nodes: Vec<Vec<u32>>,
    /// Per layer.
    graphs: Vec<Graph>,
    known: Known,
    /// A number of each node's own, where neighbourhoods are sampled.
    salts: Vec<u64>,
}

/// The columns of the rows from `first` on, in the definition's order; the rows before it only tell what was known. A missing cell of
/// a node makes its figures missing; a node without edges has none in and out, no neighbours (missing) and a PageRank of 0.
///
/// # Errors
/// Too many snapshots; an interruption.
pub fn columns(definition: &Definition, edges: &Edges, rows: &Rows, first: usize, run: &Run) -> Result<Vec<ArrayRef>> {
    let names = Nodes::of([&edges.from, &edges.to].into_iter().chain(&rows.nodes));
    let nodes: Vec<Vec<u32>> = rows.nodes.iter().map(|codes| names.numbers(codes)).collect();
    let known = Known::of(definition, rows, &nodes, names.len());
    let graph = |layer| Graph::new(names.len(), edges.links(layer, &names));
    let graphs = (0..definition.layers.len()).map(graph).collect();
    let salts = if definition.neighbourhoods.is_empty() { Vec::new() } else { names.salts() };
    let whole = Whole { definition, rows, first, nodes, graphs, known, salts };
    let mut made = vec![vec![f64::NAN; rows.n_rows() - first]; definition.columns.len()];
    whole.counts(&mut made, run)?;
    whole.surroundings(&mut made, run)?;
    whole.ranks(&mut made, run)?;
    for around in &definition.neighbourhoods {
        made.extend(whole.neighbourhood(around, run)?);
    }
    Ok(arrays(definition, &made))
}

/// Cells by column as columns of their types, in the definition's order; NaN is missing.
pub fn arrays(definition: &Definition, cells: &[Vec<f64>]) -> Vec<ArrayRef> {
    let of_figures = definition.columns.iter().map(|column| column.what.is_whole());
    let of_nodes = definition.neighbourhoods.iter().flat_map(sample::are_whole);
    let are_whole: Vec<bool> = of_figures.chain(of_nodes).collect();
    are_whole.par_iter().zip(cells).map(|(is_whole, cells)| array(*is_whole, cells)).collect()
}

fn array(is_whole: bool, cells: &[f64]) -> ArrayRef {
    let present = cells.iter().map(|v| (!v.is_nan()).then_some(*v));
    if is_whole {
        return Arc::new(Int64Array::from_iter(present.map(|v| v.map(|v| v as i64))));
    }
    Arc::new(Float64Array::from_iter(present))
}

/// True of a figure that slides over a node's edges, by whether these come in.
pub(super) fn counted(what: What) -> Option<bool> {
    match what {
        What::FanIn | What::EdgesIn | What::AmountIn => Some(true),
        What::FanOut | What::EdgesOut | What::AmountOut => Some(false),
        _ => None,
    }
}

/// What a row sees of a whole table.
struct Seen<'a> {
    whole: &'a Whole<'a>,
    graph: &'a Graph,
    time: i64,
    /// Edges are later than this
    after: i64,
    /// and earlier than this.
    end: i64,
}

impl View for Seen<'_> {
    type Node = u32;

    fn latest(&self, node: u32, is_in: bool) -> impl Iterator<Item = (i64, u32)> {
        let at = if is_in { &self.graph.into } else { &self.graph.out };
        at.between(node, self.after, self.end).rev().map(|edge| (at.times[edge], at.others[edge]))
    }

    fn value(&self, of: Of, node: u32) -> Option<f64> {
        match of {
            Of::Number(place) => {
                let after = self.whole.definition.cells_after(self.time);
                self.whole.known.number(place, node, [after, self.time])
            }
            _ => Some(self.whole.known.n_cases(node, self.time) as f64),
        }
    }

    fn n_edges(&self, node: u32, direction: Direction) -> usize {
        let n =
            |at: &Adjacency, is_asked: bool| if is_asked { at.between(node, self.after, self.end).len() } else { 0 };
        n(&self.graph.into, direction != Direction::Out) + n(&self.graph.out, direction != Direction::In)
    }

    fn salt(&self, node: u32) -> u64 {
        self.whole.salts[node as usize]
    }

    fn k(&self) -> usize {
        self.whole.definition.network.max_neighbours
    }
}

impl Whole<'_> {
    /// Fan-in and fan-out, edges and money: one slide for figures of the same edges over the same window.
    fn counts(&self, made: &mut [Vec<f64>], run: &Run) -> Result<()> {
        let mut same: BTreeMap<(usize, usize, bool, i64), Vec<usize>> = BTreeMap::new();
        for (place, c) in self.definition.columns.iter().enumerate() {
            if let Some(is_in) = counted(c.what) {
                same.entry((c.node, c.layer, is_in, c.span)).or_default().push(place);
            }
        }
        let mut grouped: Option<(usize, Vec<u32>)> = None;
        for ((node, layer, is_in, span), places) in same {
            run.check()?;
            let order = match grouped.take() {
                Some((of, order)) if of == node => order,
                _ => self.by_node(node),
            };
            let nodes = &self.nodes[node];
            let of_one_node: Vec<&[u32]> = order.chunk_by(|a, b| nodes[*a as usize] == nodes[*b as usize]).collect();
            let at = if is_in { &self.graphs[layer].into } else { &self.graphs[layer].out };
            let slid: Vec<_> = of_one_node
                .par_iter()
                .map(|rows| {
                    let times = rows.iter().map(|row| self.rows.times[*row as usize]);
                    let windows = times.map(|t| [t.saturating_sub(span), self.definition.end(t)]);
                    slide(at, nodes[rows[0] as usize], windows)
                })
                .collect();
            for place in places {
                for (row, counts) in order.iter().zip(slid.iter().flatten()) {
                    made[place][*row as usize - self.first] = counts.figure(self.definition.columns[place].what);
                }
            }
            grouped = Some((node, order));
        }
        Ok(())
    }

    /// Rows with a node, in the order (node, time).
    fn by_node(&self, node: usize) -> Vec<u32> {
        let nodes = &self.nodes[node];
        let mut order: Vec<u32> =
            (self.first..nodes.len()).filter(|row| nodes[*row] != NO_NODE).map(|row| row as u32).collect();
        order.par_sort_unstable_by_key(|row| (nodes[*row as usize], self.rows.times[*row as usize], *row));
        order
    }

    /// Cycles and neighbours, row by row.
    fn surroundings(&self, made: &mut [Vec<f64>], run: &Run) -> Result<()> {
        let is_near = |c: &Column| counted(c.what).is_none() && c.what != What::Pagerank;
        let places: Vec<usize> = (0..made.len()).filter(|place| is_near(&self.definition.columns[*place])).collect();
        if places.is_empty() {
            return Ok(());
        }
        let cells: Vec<Vec<f64>> = (self.first..self.rows.n_rows())
            .into_par_iter()
            .map(|row| {
                run.check()?;
                Ok(places.iter().map(|place| self.around(row, &self.definition.columns[*place])).collect())
            })
            .collect::<Result<_>>()?;
        for (row, cells) in cells.iter().enumerate() {
            places.iter().zip(cells).for_each(|(place, cell)| made[*place][row] = *cell);
        }
        Ok(())
    }

    fn around(&self, row: usize, column: &Column) -> f64 {
        let (node, time) = (self.nodes[column.node][row], self.rows.times[row]);
        if node == NO_NODE {
            return f64::NAN;
        }
        let (after, end) = (time.saturating_sub(column.span), self.definition.end(time));
        let seen = Seen { whole: self, graph: &self.graphs[column.layer], time, after, end };
        let second = self.nodes.get(1).map(|nodes| nodes[row]).filter(|second| *second != NO_NODE);
        around(&seen, column, node, second)
    }

    /// The columns of a neighbourhood, node by node.
    fn neighbourhood(&self, around: &Around, run: &Run) -> Result<Vec<Vec<f64>>> {
        let rows: Vec<Vec<f64>> = (self.first..self.rows.n_rows())
            .into_par_iter()
            .map(|row| {
                run.check()?;
                let (node, time) = (self.nodes[around.node][row], self.rows.times[row]);
                let (after, end) = (time.saturating_sub(around.span), self.definition.end(time));
                let seen = Seen { whole: self, graph: &self.graphs[around.layer], time, after, end };
                Ok(sample::cells(around, &seen, (node != NO_NODE).then_some(node), time))
            })
            .collect::<Result<_>>()?;
        let column = |place: usize| rows.iter().map(|cells| cells[place]).collect();
        Ok((0..around.names.len()).into_par_iter().map(column).collect())
    }

    /// PageRank, once a snapshot for all columns that it serves.
    fn ranks(&self, made: &mut [Vec<f64>], run: &Run) -> Result<()> {
        for (plan, places) in Plan::all(self.definition) {
            let times = &self.rows.times[self.first..];
            let snapshots = plan.snapshots(times.iter().copied())?;
            let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); snapshots.len()];
            for (row, time) in times.iter().enumerate() {
                if let Ok(at) = snapshots.binary_search(&plan.snapshot(*time)) {
                    rows_of[at].push(row);
                }
            }
            let nodes = |place: usize| &self.nodes[self.definition.columns[place].node][self.first..];
            // Of all ranks of a snapshot those of its rows are kept, one column after the other.
            let ranks: Vec<Vec<f64>> = snapshots
                .par_iter()
                .zip(&rows_of)
                .map(|(snapshot, rows)| {
                    run.check()?;
                    let all = plan.ranks(&self.graphs[plan.layer], &self.known.first_cases, *snapshot);
                    let rank = |node: u32| all.binary_search_by_key(&node, |(n, _)| *n).map_or(0.0, |at| all[at].1);
                    let of_place = |place: &usize| rows.iter().map(|row| rank(nodes(*place)[*row])).collect::<Vec<_>>();
                    Ok(places.iter().flat_map(of_place).collect())
                })
                .collect::<Result<_>>()?;
            for (i, place) in places.into_iter().enumerate() {
                for (rows, ranks) in rows_of.iter().zip(&ranks) {
                    for (row, rank) in rows.iter().zip(&ranks[i * rows.len()..]) {
                        if nodes(place)[*row] != NO_NODE {
                            made[place][*row] = *rank;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The columns that a definition makes, as a table names them.
pub fn column_infos(definition: &Definition) -> Vec<ColumnInfo> {
    definition.column_names().map(|name| ColumnInfo { name: name.into(), kind: Kind::Number }).collect()
}
