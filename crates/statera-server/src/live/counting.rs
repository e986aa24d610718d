//! What a state counts of transactions: their windows, and the figures of the network whose edges they are, or beside which its edges
//! come.

use super::columns::LiveColumns;
use super::settings::TransactionsSettings;
use statera_core::Result;
use statera_data::network::{Edges, EdgesTaken, NetworkLimits, NetworkState, Rows};
use statera_data::window::{Events, Limits, Refusal, State, Taken};
use std::io::{Read, Write};

/// A transaction as a state takes it.
pub struct Event {
    /// For the windows.
    pub windows: Events,
    /// For the network: who it is about, and the edge that it is, where transactions are edges.
    pub edges: Option<(Rows, Edges)>,
}

/// What a state may keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub windows: Limits,
    pub network: NetworkLimits,
    /// Of a replay, microseconds by which a transaction may be behind whose figures of the network lack nothing.
    pub kept_behind: Option<i64>,
}

impl Bounds {
    /// A network as it begins under them.
    fn bound(&self, mut network: NetworkState) -> NetworkState {
        if let Some(kept_behind) = self.kept_behind {
            network.replay(kept_behind);
        }
        network
    }
}

/// The windows and the network of a model.
pub struct Counting {
    windows: State,
    network: Option<NetworkState>,
}

impl Counting {
    /// Without transactions.
    pub(super) fn new(columns: &LiveColumns, bounds: Bounds) -> Counting {
        let network = columns.network.as_ref();
        Counting {
            windows: State::new(columns.windows.definition.clone(), bounds.windows),
            network: network.map(|own| bounds.bound(NetworkState::new(own.definition.clone(), bounds.network))),
        }
    }

    /// True if it counts what these columns say.
    pub fn is_of(&self, columns: &LiveColumns) -> bool {
        let network = self.network.as_ref().map(|state| state.definition().digest());
        self.windows.definition().digest() == columns.windows.definition.digest()
            && network == columns.network.as_ref().map(|own| own.definition.digest())
    }

    /// Bounds what comes from now on. Of the network what no transaction under them sees is forgotten: kept of a replay it would leave no
    /// room.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.windows.set_limits(bounds.windows);
        if let Some(network) = &mut self.network {
            network.set_limits(bounds.network);
        }
    }

    /// True if a transaction takes long: it is the first that asks for a PageRank of a large network.
    pub fn is_long(&self, event: &Event) -> bool {
        let both = self.network.as_ref().zip(event.edges.as_ref());
        both.is_some_and(|(network, (rows, _))| network.is_to_rank(rows, 0))
    }

    /// Takes a transaction and writes its columns to `out`: those of the windows, then those of the network.
    ///
    /// # Errors
    /// What either has against it; nothing is counted then, and no time goes on: the network makes room once the windows have taken it.
    ///
    /// # Panics
    /// `out` is not as long as the columns.
    pub fn advance(&mut self, event: &Event, now: Option<i64>, out: &mut [f64]) -> std::result::Result<Taken, Refusal> {
        let (of_windows, of_network) = out.split_at_mut(self.windows.definition().n_columns());
        let mut both = self.network.as_mut().zip(event.edges.as_ref());
        if let Some((network, (rows, edges))) = &mut both {
            network.check(&event.windows.id(0), (rows, 0), edges, now)?;
        }
        let taken = self.windows.advance(&event.windows, 0, now, of_windows)?;
        match both {
            Some((network, (rows, edges))) => network.advance(rows, 0, edges, of_network),
            None => of_network.fill(f64::NAN),
        }
        Ok(taken)
    }

    /// Takes edges that come of themselves, all or none.
    ///
    /// # Errors
    /// What the network has against them.
    pub fn take_edges(&mut self, edges: &Edges, now: Option<i64>) -> std::result::Result<EdgesTaken, Refusal> {
        self.network.as_mut().map_or(Ok(EdgesTaken::default()), |network| network.take_edges(edges, now))
    }

    /// Takes a label of a transaction; `event` is the transaction, where it is at hand. True if something was learnt by it.
    ///
    /// # Errors
    /// What the windows have against it; nothing is learnt then.
    pub fn label(
        &mut self,
        id: &str,
        event: Option<&Event>,
        (is_fraud, when): (bool, i64),
    ) -> std::result::Result<bool, Refusal> {
        let is_new = match self.windows.label(id, is_fraud, when) {
            Ok(is_new) => is_new,
            Err(Refusal::Unknown { .. } | Refusal::NoLabel) => false,
            Err(refusal) => return Err(refusal),
        };
        let both = self.network.as_mut().zip(event).filter(|_| is_fraud);
        let learnt = both.and_then(|(network, event)| {
            let (rows, _) = event.edges.as_ref()?;
            let known = network.known((rows, 0), when);
            Some(network.add_case(event.windows.code(0), (rows, 0), known))
        });
        Ok(is_new || learnt == Some(true))
    }

    /// Bytes of the network that [`Counting::snapshot`] writes.
    pub(super) fn network_bytes(&self) -> Result<u64> {
        self.network.as_ref().map_or(Ok(0), NetworkState::n_bytes)
    }

    /// Writes the network, then the windows.
    pub(super) fn snapshot(&self, to: &mut dyn Write) -> Result<()> {
        if let Some(network) = &self.network {
            network.snapshot(to)?;
        }
        self.windows.snapshot(to)
    }

    /// Reads `n_bytes` bytes, of which the first `network_bytes` are the network.
    ///
    /// # Errors
    /// `Conflict` for a state of another definition, `Newer` for a later format, `Damaged` for what was altered.
    pub(super) fn restore(
        from: &mut dyn Read,
        (n_bytes, network_bytes): (u64, u64),
        columns: &LiveColumns,
        bounds: Bounds,
    ) -> Result<Counting> {
        let network = match &columns.network {
            None => None,
            Some(own) => {
                let state = NetworkState::restore(from, network_bytes, own.definition.clone(), bounds.network)?;
                Some(bounds.bound(state))
            }
        };
        let rest = n_bytes.saturating_sub(network_bytes);
        let windows = State::restore(from, rest, columns.windows.definition.clone(), bounds.windows)?;
        Ok(Counting { windows, network })
    }
}

impl TransactionsSettings {
    /// Bounds of a state while what was admitted once is counted again: none but that what no window reaches is forgotten. Of keys later
    /// than any settings would have had it; of the network, of which a year would be too much to keep, somewhat later than these settings
    /// have it: what was admitted further behind is counted all the same.
    pub(super) fn replay_bounds(&self) -> Bounds {
        let windows = self.replay_limits();
        let (max_ahead, max_behind) = (windows.max_ahead, windows.max_behind);
        Bounds {
            windows,
            network: NetworkLimits { max_nodes: u32::MAX, max_edges: u32::MAX, max_ahead, max_behind },
            kept_behind: Some(self.kept_behind()),
        }
    }

    /// Bounds of a state.
    pub(super) fn bounds(&self) -> Bounds {
        let windows = self.limits();
        let (max_ahead, max_behind) = (windows.max_ahead, windows.max_behind);
        let (max_nodes, max_edges) = (self.max_keys, self.max_edges);
        let network = NetworkLimits { max_nodes, max_edges, max_ahead, max_behind };
        Bounds { windows, network, kept_behind: None }
    }
}
