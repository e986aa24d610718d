//! The events of one kind of key: a ring a key, in blocks that never move, and the tracks over it.
//!
//! What a key's events add to a window is counted in whole numbers when they enter and taken away when they leave, so that a
//! window's sums are those of its events to the last bit, whatever came and went before.

use super::definition::{Definition, MAX_EVENTS};
use super::events::{Events, MISSING, NO_KEY};
use super::index::{Index, hash};
use super::plan::{FIRST, GroupPlan, KEY, LAST_ID, LAST_TIME, MAX_SUMS, N, PENDING, Track};
use super::refusal::Refusal;
use super::ring::MAX_BLOCKS;
use super::slab::{NONE, Slab, i64_at, set_i64, set_u128, u128_at};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Most keys of a kind.
const MAX_KEYS: u32 = 1 << 30;
/// Flags of a record: its label is fraud, and that was known at the key's last event. The bits above are levels.
pub(super) const IS_FRAUD: u32 = 1;
pub(super) const LEVEL_BITS: usize = 1;

/// Which different value of which key: slot, track and place in its list, code.
pub(super) type Value = (u32, u16, u16, u64);

/// Events of one kind of key.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub definition: Arc<Definition>,
    /// Which group of the definition.
    pub at: usize,
    pub slots: Slab,
    pub blocks: Slab,
    pub index: Index,
    /// Numbers of more than 32 bits, by address and number.
    pub wide: BTreeMap<(u32, u16), i64>,
    /// The last event with each different value.
    pub last: HashMap<Value, u32>,
    /// Labels that become known later than the key's last event: by slot, time and address.
    pub pending: BTreeSet<(u32, i64, u32)>,
    /// Slots are looked at one after the other for keys that are idle.
    pub hand: u32,
}

/// The address of an event, with its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub slot: u32,
    pub address: u32,
}

impl Group {
    pub fn new(definition: Arc<Definition>, at: usize) -> Group {
        let plan = &definition.groups[at];
        let (slots, blocks) = (Slab::new(plan.slot_words), Slab::new(Group::block_words(plan)));
        Group {
            at,
            slots,
            blocks,
            index: Index::new(),
            wide: BTreeMap::new(),
            last: HashMap::new(),
            pending: BTreeSet::new(),
            hand: 0,
            definition,
        }
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        let maps = self.wide.len() * 24 + self.last.capacity() * 33 + self.pending.len() * 24;
        self.slots.bytes() + self.blocks.bytes() + self.index.bytes() + maps
    }

    /// Columns of the key, for messages.
    pub fn key_name(&self) -> String {
        self.definition.groups[self.at].key.join(", ")
    }

    pub fn find(&self, key: u128) -> Option<u32> {
        self.index.find(hash(key), |slot| u128_at(self.slots.get(slot), KEY) == key)
    }

    /// What speaks against an event of a key; the key's slot where it has one.
    pub fn check(&self, events: &Events, row: usize) -> Result<Option<u32>, Refusal> {
        if self.blocks.n_live() >= MAX_BLOCKS {
            return Err(Refusal::TooManyEvents { key: self.key_name(), limit: MAX_EVENTS });
        }
        let Some(slot) = self.find(events.keys[self.at][row]) else {
            if self.slots.n_live() >= MAX_KEYS {
                return Err(Refusal::TooManyKeys { key: self.key_name(), limit: MAX_KEYS });
            }
            return Ok(None);
        };
        let words = self.slots.get(slot);
        let (time, id) = (events.times[row], events.ids[row]);
        let (last, last_id) = (i64_at(words, LAST_TIME), u128_at(words, LAST_ID));
        if (time, id) == (last, last_id) {
            return Err(Refusal::Duplicate { id: events.id(row) });
        }
        if (time, id) < (last, last_id) {
            return Err(Refusal::OutOfOrder { id: events.id(row), key: self.key_name(), time, last });
        }
        let plan = &self.definition.groups[self.at];
        if words[N] >= MAX_EVENTS && self.time(words[FIRST], last, plan) > time - plan.horizon {
            return Err(Refusal::TooManyEvents { key: self.key_name(), limit: MAX_EVENTS });
        }
        Ok(Some(slot))
    }

    /// Takes an event that [`Group::check`] has nothing against, of the key whose slot is `found`, and writes the figures of its
    /// key. `entry` is its number among the events that wait for labels; entries of events that left are added to `freed`. `None`
    /// for an event without key.
    pub fn take(
        &mut self,
        (events, row): (&Events, usize),
        (found, entry): (Option<u32>, u32),
        plan: &GroupPlan,
        freed: &mut Vec<u32>,
        out: &mut [f64],
    ) -> Option<Place> {
        let key = events.keys[self.at][row];
        if key == NO_KEY {
            return None;
        }
        let time = events.times[row];
        let slot = match found {
            Some(slot) if time - i64_at(self.slots.get(slot), LAST_TIME) < plan.horizon => slot,
            Some(slot) => {
                // Nothing that is kept of the key is in any window any more.
                self.remove(slot, plan, freed);
                self.open(key)
            }
            None => self.open(key),
        };
        if self.slots.get(slot)[PENDING] > 0 {
            self.settle(slot, time, plan);
        }
        if self.slots.get(slot)[N] > 0 {
            self.move_on(slot, time, plan);
        }
        self.figures(slot, true, (events, row), plan, out);
        let address = self.append(slot, events, row, entry, plan);
        for (at, track) in plan.tracks.iter().enumerate() {
            if track.shift == 0 {
                self.enter(slot, address, time, at, plan);
            } else {
                let words = self.slots.get_mut(slot);
                if words[track.head + 1] == 0 {
                    words[track.head] = address;
                }
                words[track.head + 1] += 1;
            }
        }
        self.figures(slot, false, (events, row), plan, out);
        self.steps(slot, address, plan, out);
        self.forget(slot, time - plan.horizon, plan, freed);
        Some(Place { slot, address })
    }

    /// A slot for a new key.
    fn open(&mut self, key: u128) -> u32 {
        let slot = self.slots.take();
        set_u128(self.slots.get_mut(slot), KEY, key);
        let slots = &self.slots;
        self.index.insert(hash(key), slot, |s| hash(u128_at(slots.get(s), KEY)));
        slot
    }

    /// The numbers that a track sums.
    #[inline]
    fn values(&self, address: u32, track: &Track, plan: &GroupPlan) -> [i64; MAX_SUMS] {
        let mut values = [MISSING; MAX_SUMS];
        for (to, &number) in values.iter_mut().zip(&track.sums) {
            *to = self.number(address, number, plan);
        }
        values
    }

    /// Moves all windows on to a time: what is due enters those that are moved back, what is too old leaves.
    fn move_on(&mut self, slot: u32, time: i64, plan: &GroupPlan) {
        let last = i64_at(self.slots.get(slot), LAST_TIME);
        for (at, track) in plan.tracks.iter().enumerate() {
            if track.shift > 0 {
                let until = time.saturating_sub(track.shift);
                while self.slots.get(slot)[track.head + 1] > 0 {
                    let address = self.slots.get(slot)[track.head];
                    let due = self.time(address, last, plan);
                    if due > until {
                        break;
                    }
                    self.enter(slot, address, due, at, plan);
                    let next = self.next(address);
                    let words = self.slots.get_mut(slot);
                    words[track.head] = next;
                    words[track.head + 1] -= 1;
                }
            }
            self.leave(slot, time.saturating_sub(track.shift), at, plan);
        }
    }

    /// Adds an event of the time `time` to the windows of a track.
    fn enter(&mut self, slot: u32, address: u32, time: i64, at: usize, plan: &GroupPlan) {
        let track = &plan.tracks[at];
        if track.shift > 0 {
            self.leave(slot, time, at, plan);
        }
        for (i, &code) in track.distinct.iter().enumerate() {
            self.enter_value(slot, address, (at, i, code), time, plan);
        }
        for i in 0..track.extrema.len() {
            self.enter_extremum(slot, address, (at, i), plan);
        }
        let values = self.values(address, track, plan);
        let flags = self.record(address, plan)[1] >> 16;
        let words = self.slots.get_mut(slot);
        for &(_, window) in &track.windows {
            let words = &mut words[window..];
            if words[1] == 0 {
                words[0] = address;
            }
            words[1] += 1;
            add(words, track, &values, flags, 1);
        }
    }

    /// Takes events that are too old for windows that end at `end` out of them.
    fn leave(&mut self, slot: u32, end: i64, at: usize, plan: &GroupPlan) {
        let track = &plan.tracks[at];
        let last = i64_at(self.slots.get(slot), LAST_TIME);
        for (i, &(span, window)) in track.windows.iter().enumerate() {
            let is_longest = i + 1 == track.windows.len();
            loop {
                let words = &self.slots.get(slot)[window..];
                let (first, n) = (words[0], words[1]);
                if n == 0 || self.time(first, last, plan) > end.saturating_sub(span) {
                    break;
                }
                self.leave_window(slot, first, (at, window, is_longest), plan);
                let next = self.next(first);
                let words = &mut self.slots.get_mut(slot)[window..];
                words[0] = next;
                words[1] -= 1;
            }
        }
    }

    fn leave_window(
        &mut self,
        slot: u32,
        address: u32,
        (at, window, is_longest): (usize, usize, bool),
        plan: &GroupPlan,
    ) {
        let track = &plan.tracks[at];
        for (i, &code) in track.distinct.iter().enumerate() {
            let value = (slot, at as u16, i as u16, self.code(address, code, plan));
            if value.3 != 0 && self.last.get(&value) == Some(&address) {
                self.slots.get_mut(slot)[window + track.distinct_at(i)] -= 1;
                if is_longest {
                    self.last.remove(&value);
                }
            }
        }
        let values = self.values(address, track, plan);
        let flags = self.record(address, plan)[1] >> 16;
        add(&mut self.slots.get_mut(slot)[window..], track, &values, flags, -1);
        for (i, extremum) in track.extrema.iter().enumerate() {
            let words = &self.slots.get(slot)[window..];
            if words[track.extremum_at(i)] == address && values[extremum.sum] != MISSING {
                let next = self.record(address, plan)[extremum.link + 1];
                self.slots.get_mut(slot)[window + track.extremum_at(i)] = next;
            }
        }
    }

    /// Counts a value that no event of the window had.
    fn enter_value(
        &mut self,
        slot: u32,
        address: u32,
        (at, i, code): (usize, usize, usize),
        time: i64,
        plan: &GroupPlan,
    ) {
        let track = &plan.tracks[at];
        let value = (slot, at as u16, i as u16, self.code(address, code, plan));
        if value.3 == 0 {
            return;
        }
        let last = i64_at(self.slots.get(slot), LAST_TIME);
        let before = self.last.insert(value, address).map(|before| self.time(before, last, plan));
        let words = self.slots.get_mut(slot);
        for &(span, window) in &track.windows {
            words[window + track.distinct_at(i)] +=
                u32::from(before.is_none_or(|before| before <= time.saturating_sub(span)));
        }
    }

    /// Puts a number at the end of the queue of least or largest numbers: what it outdoes leaves.
    fn enter_extremum(&mut self, slot: u32, address: u32, (at, i): (usize, usize), plan: &GroupPlan) {
        let track = &plan.tracks[at];
        let extremum = &track.extrema[i];
        let number = track.sums[extremum.sum];
        let value = self.number(address, number, plan);
        let Some(&(_, longest)) = track.windows.last() else { return };
        if value == MISSING {
            return;
        }
        let is_outdone = |other: i64| if extremum.is_max { other <= value } else { other >= value };
        let present = Track::present_at(extremum.sum);
        let words = self.slots.get(slot);
        let front = words[longest + track.extremum_at(i)];
        let mut back = if words[longest + present] == 0 { NONE } else { words[extremum.back] };
        while back != NONE && is_outdone(self.number(back, number, plan)) {
            back = if back == front { NONE } else { self.record(back, plan)[extremum.link] };
        }
        if back != NONE {
            self.record_mut(back, plan)[extremum.link + 1] = address;
        }
        self.record_mut(address, plan)[extremum.link] = back;
        self.slots.get_mut(slot)[extremum.back] = address;
        for &(_, window) in &track.windows {
            let words = &self.slots.get(slot)[window..];
            let front = words[track.extremum_at(i)];
            if words[present] == 0 || is_outdone(self.number(front, number, plan)) {
                self.slots.get_mut(slot)[window + track.extremum_at(i)] = address;
            }
        }
    }
}

/// Adds what an event has to a window, or takes it away.
#[inline]
fn add(words: &mut [u32], track: &Track, values: &[i64; MAX_SUMS], flags: u32, sign: i64) {
    for (i, &value) in values[..track.sums.len()].iter().enumerate() {
        if value != MISSING {
            let at = Track::sum_at(i);
            let sum = i64_at(words, at) + sign * value;
            set_i64(words, at, sum);
            words[at + 2] = words[at + 2].wrapping_add_signed(sign as i32);
        }
    }
    for (i, &sum) in track.squares.iter().enumerate() {
        if values[sum] != MISSING {
            let (at, value) = (track.square_at(i), i128::from(values[sum]));
            let squares = u128_at(words, at) as i128 + i128::from(sign) * value * value;
            set_u128(words, at, squares as u128);
        }
    }
    for (i, &level) in track.levels.iter().enumerate() {
        let is = (flags >> (LEVEL_BITS + level)) & 1;
        let at = track.level_at(i);
        words[at] = words[at].wrapping_add_signed(sign as i32 * is as i32);
    }
    if track.label && flags & IS_FRAUD != 0 {
        let at = track.label_at();
        words[at] = words[at].wrapping_add_signed(sign as i32);
    }
}
