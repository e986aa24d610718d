//! A state of a network as bytes and back: nodes in the order of their codes, each with the edges that leave it. What no row can see
//! any more is not written, so that what is written follows from what has come, not from when nodes were looked at.

use super::node::{End, Node};
use super::{NetworkLimits, NetworkState, Ranks};
use crate::network::definition::Definition;
use crate::state_bytes::{Kind, Reader, Writer, damaged};
use statera_core::Result;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Format 2 tells the kind of an edge; of one that format 1 has it is 0.
const KIND: Kind = Kind { magic: b"STNETWRK", format: 2, of: "network" };
/// Bytes of a code, of an edge at least, of a time, of a cell and of a rank.
const CODE: u64 = 16;
const EDGE: u64 = 20;
const TIME: u64 = 8;
const CELL: u64 = 16;
const RANK: u64 = 24;
/// Bytes of a node at least: its code, and the number of its frauds.
const NODE: u64 = 20;

/// Counts what would be written.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NetworkState {
    /// Bytes that [`NetworkState::snapshot`] writes.
    ///
    /// # Errors
    /// None.
    pub fn n_bytes(&self) -> Result<u64> {
        let mut length = Length(0);
        self.snapshot(&mut length)?;
        Ok(length.0)
    }

    /// Writes the state; one that is restored from it goes on to the same bits.
    ///
    /// # Errors
    /// What the target refuses.
    pub fn snapshot(&self, to: &mut dyn Write) -> Result<()> {
        let mut to = Writer::begin(to, &KIND, self.definition.digest())?;
        to.put(&self.clock.to_le_bytes())?;
        to.put(&self.floor.to_le_bytes())?;
        to.words(&[self.told.len() as u32])?;
        self.told.iter().try_for_each(|code| to.put(&code.to_le_bytes()))?;
        let past = self.past();
        let kept = |node: &Node| !node.is_idle(past);
        let mut order: Vec<u32> = self.places.values().copied().filter(|s| kept(&self.nodes[*s as usize])).collect();
        order.sort_unstable_by_key(|slot| self.nodes[*slot as usize].code);
        let mut numbers = vec![super::NONE; self.nodes.len()];
        order.iter().enumerate().for_each(|(number, slot)| numbers[*slot as usize] = number as u32);
        to.words(&[order.len() as u32])?;
        for node in order.iter().map(|slot| &self.nodes[*slot as usize]) {
            to.put(&node.code.to_le_bytes())?;
            to.words(&[node.cases.len() as u32])?;
            node.cases.iter().try_for_each(|known| to.put(&known.to_le_bytes()))?;
            for cells in &node.cells {
                let first = cells.partition_point(|(time, _)| *time < self.floor).saturating_sub(1);
                to.words(&[(cells.len() - first) as u32])?;
                for (time, cell) in cells.range(first..) {
                    to.put(&time.to_le_bytes())?;
                    to.put(&cell.to_bits().to_le_bytes())?;
                }
            }
            for ends in &node.out {
                let first = ends.ends.partition_point(|end| end.time <= past.edges);
                to.words(&[(ends.ends.len() - first) as u32])?;
                for end in ends.ends.range(first..) {
                    to.put(&end.time.to_le_bytes())?;
                    to.put(&end.units.to_le_bytes())?;
                    to.words(&[numbers[end.other as usize], end.kind])?;
                }
            }
        }
        for (_, snapshots) in &self.ranks {
            to.words(&[snapshots.len() as u32])?;
            for (at, ranks) in snapshots {
                to.put(&at.to_le_bytes())?;
                to.words(&[ranks.len() as u32])?;
                for (code, rank) in ranks {
                    to.put(&code.to_le_bytes())?;
                    to.put(&rank.to_bits().to_le_bytes())?;
                }
            }
        }
        to.end()
    }

    /// Reads a state of `n_bytes` bytes.
    ///
    /// # Errors
    /// [`statera_core::ErrorKind::Conflict`] for a state of another definition, [`statera_core::ErrorKind::Newer`] for a newer
    /// format, [`statera_core::ErrorKind::Damaged`] for what is no state, is cut off or was altered.
    pub fn restore(
        from: &mut dyn Read,
        n_bytes: u64,
        definition: Arc<Definition>,
        limits: NetworkLimits,
    ) -> Result<NetworkState> {
        let mut from = Reader::begin(from, n_bytes, &KIND, definition.digest())?;
        let mut state = NetworkState::new(definition, limits);
        state.clock = i64::from_le_bytes(from.array()?);
        state.floor = i64::from_le_bytes(from.array()?);
        for _ in 0..from.count(CODE)? {
            state.told.insert(u128::from_le_bytes(from.array()?));
        }
        let n_nodes = from.count(NODE)?;
        let mut others = Vec::new();
        for slot in 0..n_nodes {
            let node = from.node(&state.definition)?;
            if state.nodes.last().is_some_and(|last| last.code >= node.code) {
                return Err(damaged("has its nodes in another order"));
            }
            others.extend(node.out.iter().flat_map(|ends| ends.ends.iter().map(|end| end.other)));
            state.places.insert(node.code, slot as u32);
            state.nodes.push(node);
        }
        if others.into_iter().any(|other| other as usize >= n_nodes) {
            return Err(damaged("has edges that lead nowhere"));
        }
        for (_, snapshots) in &mut state.ranks {
            *snapshots = from.ranks()?;
        }
        from.end()?;
        state.join();
        Ok(state)
    }

    /// Puts each edge at the node that it goes to, too.
    fn join(&mut self) {
        for slot in 0..self.nodes.len() {
            for layer in 0..self.definition.layers.len() {
                let out = self.nodes[slot].out[layer].ends.clone();
                self.n_edges += out.len();
                for End { time, units, other, kind } in out {
                    let into = &mut self.nodes[other as usize].into[layer].ends;
                    into.push_back(End { time, units, other: slot as u32, kind });
                }
            }
        }
        // Slots are in the order of codes here.
        let of_all = self.nodes.iter_mut().flat_map(|node| &mut node.into);
        of_all.for_each(|ends| {
            ends.ends.make_contiguous().sort_unstable_by_key(|end| (end.time, end.other, end.units, end.kind))
        });
    }
}

impl Reader<'_> {
    fn node(&mut self, definition: &Definition) -> Result<Node> {
        let code = u128::from_le_bytes(self.array()?);
        let mut node = Node::new(code, definition.layers.len(), definition.numbers.len());
        for _ in 0..self.count(TIME)? {
            node.cases.push(i64::from_le_bytes(self.array()?));
        }
        for cells in &mut node.cells {
            for _ in 0..self.count(CELL)? {
                let time = i64::from_le_bytes(self.array()?);
                cells.push_back((time, f64::from_bits(u64::from_le_bytes(self.array()?))));
            }
        }
        for ends in &mut node.out {
            let n = self.count(EDGE)?;
            ends.ends = VecDeque::with_capacity(n);
            for _ in 0..n {
                let (time, units) = (i64::from_le_bytes(self.array()?), i64::from_le_bytes(self.array()?));
                let (other, kind) = (self.word()?, if self.format < 2 { 0 } else { self.word()? });
                ends.ends.push_back(End { time, units, other, kind });
            }
        }
        Ok(node)
    }

    fn ranks(&mut self) -> Result<Ranks> {
        let mut snapshots = Ranks::new();
        for _ in 0..self.count(TIME)? {
            let at = i64::from_le_bytes(self.array()?);
            let n = self.count(RANK)?;
            let rank = |from: &mut Self| -> Result<(u128, f64)> {
                Ok((u128::from_le_bytes(from.array()?), f64::from_bits(u64::from_le_bytes(from.array()?))))
            };
            snapshots.insert(at, (0..n).map(|_| rank(self)).collect::<Result<Vec<_>>>()?);
        }
        Ok(snapshots)
    }
}
