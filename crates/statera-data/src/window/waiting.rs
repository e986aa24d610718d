//! Events that may still get a label, by their id.

use super::events::{FRAUD, GENUINE, UNKNOWN};
use super::group::Place;
use super::index::{Index, hash};
use super::slab::{NONE, Slab, i64_at, set_i64, set_u128, u128_at};

/// Words of an entry: its id (4), in how many rings its event still is, its label, then slot and address of each ring. Where there are
/// tiles, which do not keep the times of events, come the event's time (2), and of each ring the entry before it in its tile.
const ID: usize = 0;
const N_RINGS: usize = 4;
const LABEL: usize = 5;
const RINGS: usize = 6;

/// Events by id, while they are in a ring whose windows count labels.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub entries: Slab,
    pub index: Index,
    /// Groups that count labels.
    pub groups: Vec<usize>,
    /// True if one of them keeps tiles.
    has_tiles: bool,
}

impl Waiting {
    pub fn new(groups: Vec<usize>, has_tiles: bool) -> Waiting {
        let mut waiting = Waiting { entries: Slab::new(1), index: Index::new(), groups, has_tiles };
        waiting.entries = Slab::new(waiting.entry_words());
        waiting
    }

    pub fn entry_words(&self) -> usize {
        self.time_at() + if self.has_tiles { 2 + self.groups.len() } else { 0 }
    }

    /// Where an entry has its time.
    fn time_at(&self) -> usize {
        RINGS + 2 * self.groups.len()
    }

    /// Where it has the entry before it in the `i`-th group's tile.
    fn before_at(&self, i: usize) -> usize {
        self.time_at() + 2 + i
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.entries.bytes() + self.index.bytes()
    }

    pub fn find(&self, id: u128) -> Option<u32> {
        self.index.find(hash(id), |entry| u128_at(self.entries.get(entry), ID) == id)
    }

    /// A new entry for an event.
    pub fn open(&mut self, id: u128, time: i64) -> u32 {
        let (entry, time_at) = (self.entries.take(), self.time_at());
        let words = self.entries.get_mut(entry);
        set_u128(words, ID, id);
        words[LABEL] = u32::from(UNKNOWN);
        words[RINGS..].fill(NONE);
        if self.has_tiles {
            set_i64(words, time_at, time);
        }
        let entries = &self.entries;
        self.index.insert(hash(id), entry, |e| hash(u128_at(entries.get(e), ID)));
        entry
    }

    /// Notes where an event is, of the `i`-th group that counts labels, and which entry came before it in its tile.
    pub fn put(&mut self, entry: u32, i: usize, place: Place, before: u32) {
        let before_at = self.before_at(i);
        let words = self.entries.get_mut(entry);
        words[N_RINGS] += 1;
        (words[RINGS + 2 * i], words[RINGS + 2 * i + 1]) = (place.slot, place.address);
        if self.has_tiles {
            words[before_at] = before;
        }
    }

    /// The entry before an entry in the tile of the `i`-th group, [`NONE`] of the first.
    pub fn before(&self, entry: u32, i: usize) -> u32 {
        if self.has_tiles { self.entries.get(entry)[self.before_at(i)] } else { NONE }
    }

    /// The time of an event; `None` where its record has it.
    pub fn time(&self, entry: u32) -> Option<i64> {
        self.has_tiles.then(|| i64_at(self.entries.get(entry), self.time_at()))
    }

    /// Takes note that a record has left a ring: its event's entry, or one after the other those of a tile.
    pub fn left(&mut self, entry: u32, i: usize) {
        let mut next = entry;
        while next != NONE {
            let entry = next;
            next = self.before(entry, i);
            self.left_ring(entry, i);
        }
    }

    /// Takes note that an event has left a ring; forgotten with its last.
    fn left_ring(&mut self, entry: u32, i: usize) {
        let words = self.entries.get_mut(entry);
        (words[RINGS + 2 * i], words[RINGS + 2 * i + 1]) = (NONE, NONE);
        words[N_RINGS] = words[N_RINGS].saturating_sub(1);
        if words[N_RINGS] == 0 {
            self.close(entry);
        }
    }

    /// Forgets an entry that is in no ring.
    pub fn close(&mut self, entry: u32) {
        let id = u128_at(self.entries.get(entry), ID);
        let entries = &self.entries;
        self.index.remove(hash(id), entry, |e| hash(u128_at(entries.get(e), ID)));
        self.entries.release(entry);
    }

    /// True if an event is in a ring.
    pub fn is_in_a_ring(&self, entry: u32) -> bool {
        self.entries.get(entry)[N_RINGS] > 0
    }

    /// Where an event is, by group.
    pub fn places(&self, entry: u32) -> impl Iterator<Item = (usize, Place)> + '_ {
        let words = self.entries.get(entry);
        let place = |i: usize| Place { slot: words[RINGS + 2 * i], address: words[RINGS + 2 * i + 1] };
        let all = self.groups.iter().enumerate().map(move |(i, group)| (*group, place(i)));
        all.filter(|(_, place)| place.slot != NONE)
    }

    /// The label of an event, where it has one.
    pub fn label(&self, entry: u32) -> Option<bool> {
        match self.entries.get(entry)[LABEL] as u8 {
            UNKNOWN => None,
            label => Some(label == FRAUD),
        }
    }

    pub fn set_label(&mut self, entry: u32, is_fraud: bool) {
        self.entries.get_mut(entry)[LABEL] = u32::from(if is_fraud { FRAUD } else { GENUINE });
    }
}
