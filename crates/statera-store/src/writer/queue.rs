//! What waits for the writer: records, and what people do, which goes first. Both are bounded.

use super::Writer;
use crate::record::{Done, NewRecord};
use crate::{AWAY, NOT_WRITTEN};
use statera_core::{Error, Result};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Deeds that wait at most.
const DEEDS_MAX: usize = 256;
/// Records of one transaction at most.
const GROUP_MAX: usize = 512;
/// Bytes of parts of one transaction, beyond which no more records are added.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// A record and who waits for it.
pub(crate) type Waiting = (NewRecord, Done);
/// Something that the writer does with its connection; it answers by itself.
pub(crate) type Deed = Box<dyn FnOnce(&mut Writer) + Send>;

/// Which room a record may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// What anybody may.
    Open,
    /// Beyond it as much again, which is kept for what cannot be refused any more.
    Kept,
}

/// The queue.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    n_max: usize,
    /// True while the database is away: nothing new is taken in.
    is_away: AtomicBool,
}

#[derive(Default)]
struct State {
    records: VecDeque<Waiting>,
    deeds: VecDeque<Deed>,
    is_sleeping: bool,
    is_closed: bool,
}

/// What the writer takes at once.
pub(crate) struct Taken {
    pub(crate) deeds: VecDeque<Deed>,
    pub(crate) records: Vec<Waiting>,
    /// True when nothing will come any more.
    pub(crate) is_last: bool,
}

impl Queue {
    pub(crate) fn new(n_max: usize) -> Queue {
        Queue {
            state: Mutex::new(State::default()),
            arrived: Condvar::new(),
            n_max: n_max.max(1),
            is_away: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Release);
    }

    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Acquire)
    }

    /// Adds a record; `Busy` at once where it cannot wait.
    pub(crate) fn push_record(&self, record: NewRecord, done: Done, room: Room) -> Result<()> {
        let n_max = match room {
            Room::Open => self.n_max,
            Room::Kept => self.n_max.saturating_mul(2),
        };
        self.push(|state| {
            if state.records.len() >= n_max {
                return Err(Error::busy(format!("{n_max} records wait for the disk, as many as are allowed")));
            }
            state.records.push_back((record, done));
            Ok(())
        })
    }

    /// Records that can still be added now.
    pub(crate) fn room(&self) -> usize {
        if self.is_away() { 0 } else { self.n_max.saturating_sub(self.lock().records.len()) }
    }

    /// Adds a deed; `Busy` at once where it cannot wait.
    pub(crate) fn push_deed(&self, deed: Deed) -> Result<()> {
        self.push(|state| {
            if state.deeds.len() >= DEEDS_MAX {
                return Err(Error::busy(format!("{DEEDS_MAX} changes wait for the disk, as many as are allowed")));
            }
            state.deeds.push_back(deed);
            Ok(())
        })
    }

    fn push(&self, add: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        if self.is_away() {
            return Err(Error::busy(format!("{AWAY}{NOT_WRITTEN}")));
        }
        let mut state = self.lock();
        if state.is_closed {
            return Err(Error::busy("the store is being closed"));
        }
        add(&mut state)?;
        // Waking a thread that is at work would be a call of the system for nothing.
        if std::mem::take(&mut state.is_sleeping) {
            drop(state);
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Takes what waits; sleeps until there is something, or for as long as said.
    pub(crate) fn take(&self, limit: Option<Duration>) -> Taken {
        let mut state = self.lock();
        while state.records.is_empty() && state.deeds.is_empty() && !state.is_closed {
            state.is_sleeping = true;
            match limit {
                None => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    state = self.arrived.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0;
                    break;
                }
            }
        }
        state.is_sleeping = false;
        let deeds = std::mem::take(&mut state.deeds);
        let records = take_group(&mut state.records);
        Taken { deeds, records, is_last: state.is_closed && state.records.is_empty() }
    }

    /// Lets nothing more in; what waits is still written.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_one();
    }

    /// Lets nothing more in and drops what waits, which tells those who wait for deeds.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let waiting = (std::mem::take(&mut state.records), std::mem::take(&mut state.deeds));
        drop(state);
        drop(waiting);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }
}

fn take_group(records: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut n_bytes = 0;
    let mut n = 0;
    for (record, _) in records.iter().take(GROUP_MAX) {
        n += 1;
        n_bytes += record.parts.iter().map(|p| p.plain.len()).sum::<usize>();
        if n_bytes >= GROUP_BYTES_MAX {
            break;
        }
    }
    records.drain(..n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Actor;
    use crate::record::{Id, RecordKind};

    #[test]
    fn what_cannot_be_taken_back_finds_room_where_others_do_not() {
        let queue = Queue::new(2);
        let record = |at_us| NewRecord {
            id: Id::new(at_us),
            kind: RecordKind::Decision,
            of: None,
            request: None,
            actor: Actor::System,
            facts: "{}".into(),
            parts: Vec::new(),
            alert: None,
        };
        let push = |room| queue.push_record(record(1), Box::new(|_| {}), room).map_err(|e| e.to_string());
        let rooms = [Room::Open, Room::Open, Room::Open, Room::Kept, Room::Kept, Room::Kept];
        let taken: Vec<bool> = rooms.into_iter().map(|room| push(room).is_ok()).collect();
        assert_eq!(taken, [true, true, false, true, true, false]);
        assert_eq!(queue.room(), 0);
        assert_eq!(push(Room::Kept), Err("4 records wait for the disk, as many as are allowed".into()));
        assert_eq!(queue.take(None).records.len(), 4);
    }
}
