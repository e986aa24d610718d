//! Events that may still get a label, by their id.

use super::events::{FRAUD, GENUINE, UNKNOWN};
use super::group::Place;
use super::index::{Index, hash};
use super::slab::{NONE, Slab, set_u128, u128_at};

/// Words of an entry: its id (4), in how many rings its event still is, its label, then slot and address of each ring.
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
}

impl Waiting {
    pub fn new(groups: Vec<usize>) -> Waiting {
        Waiting { entries: Slab::new(Waiting::entry_words(groups.len())), index: Index::new(), groups }
    }

    pub fn entry_words(n_groups: usize) -> usize {
        RINGS + 2 * n_groups
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.entries.bytes() + self.index.bytes()
    }

    pub fn find(&self, id: u128) -> Option<u32> {
        self.index.find(hash(id), |entry| u128_at(self.entries.get(entry), ID) == id)
    }

    /// A new entry.
    pub fn open(&mut self, id: u128) -> u32 {
        let entry = self.entries.take();
        let words = self.entries.get_mut(entry);
        set_u128(words, ID, id);
        words[LABEL] = u32::from(UNKNOWN);
        words[RINGS..].fill(NONE);
        let entries = &self.entries;
        self.index.insert(hash(id), entry, |e| hash(u128_at(entries.get(e), ID)));
        entry
    }

    /// Notes where an event is, of the `i`-th group that counts labels.
    pub fn put(&mut self, entry: u32, i: usize, place: Place) {
        let words = self.entries.get_mut(entry);
        words[N_RINGS] += 1;
        (words[RINGS + 2 * i], words[RINGS + 2 * i + 1]) = (place.slot, place.address);
    }

    /// Takes note that an event has left a ring; forgotten with its last.
    pub fn left(&mut self, entry: u32, i: usize) {
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
