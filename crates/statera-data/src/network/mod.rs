//! Figures of a network: who pays whom, who shares a device, an account, an address with whom, as it was known when a row was
//! made.
//!
//! A [`Definition`] is a checked [`Network`] declaration; [`columns`] makes the columns of rows from a list of
//! edges and from the rows themselves. Time never leaks: a row at t sees edges before t (with `until = "at"` also those at t),
//! cells of other rows before t, and frauds that were known before t. A window `w` therefore holds the edges of (t − w, t), or of
//! (t − w, t]. Nodes are told apart by what their cells write and sums are made in the order of the nodes, so that neither the
//! order of the file nor the number of threads matters, and rows that are scored after a history get the bits of one sweep.
//!
//! Neighbourhoods are samples, drawn by a seed, the nodes' names and the row's time: the same whatever else is in the tables.
//!
//! Work is bounded: fan-in, fan-out and their sums slide over the edges of a node, each entering and leaving once; of a busy node
//! cycles and neighbours look at the last [`Network::max_neighbours`] neighbours; PageRank is computed once a snapshot.
//!
//! A [`NetworkState`] makes the columns of a row when it happens, of the edges that are rows or have come of themselves, to the same
//! bits.
//!
//! Deliberately absent: features of edges other than a sum of amounts, communities.

mod declaration;
mod definition;
mod edges;
mod figures;
mod graph;
mod known;
mod near;
mod nodes;
mod page_rank;
mod rows;
mod sample;
mod slide;
mod state;

pub use declaration::{
    Direction, EDGES, EdgeColumns, Feature, Neighbourhood, Network, SelfEdges, Until, What, column_name,
};
pub use definition::Definition;
pub use edges::{EdgeCounts, Edges};
pub use figures::{arrays, column_infos, columns};
pub use page_rank::{MAX_DAMPING, TOLERANCE};
pub use rows::Rows;
pub use state::{EdgesTaken, NetworkLimits, NetworkState};

#[cfg(test)]
mod tests;
