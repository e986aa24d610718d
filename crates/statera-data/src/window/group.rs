//! The events of one kind of key: a ring a key, in blocks that never move, and the tracks over it.
//!
//! What a key's events add to a window is counted in whole numbers when they enter and taken away when they leave, so that a
//! window's sums are those of its events to the last bit, whatever came and went before.

use super::definition::{Definition, MAX_EVENTS};
use super::events::{Events, MISSING, NO_KEY};
use super::index::{Index, hash};
use super::plan::{Extremum, FIRST, GroupPlan, KEY, LAST_ID, LAST_TIME, MAX_SUMS, N, PENDING, Track};
use super::refusal::Refusal;
use super::ring::{MAX_BLOCKS, record_in};
use super::slab::{NONE, Slab, i64_at, set_u128, u128_at};
use super::tile::MAX_TILE_EVENTS;
use std::collections::{BTreeMap, HashMap};
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
    /// Labels that become known later than the key's last event: how many by slot, time and address.
    pub pending: BTreeMap<(u32, i64, u32), u32>,
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
            pending: BTreeMap::new(),
            hand: 0,
            definition,
        }
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        let maps = self.wide.len() * 24 + self.last.capacity() * 33 + self.pending.len() * 28;
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
        let (n, limit) = match &plan.tiles {
            None => (words[N], MAX_EVENTS),
            Some(tiles) => (words[tiles.events], MAX_TILE_EVENTS),
        };
        if n >= limit && self.time(words[FIRST], last, plan) > time - plan.horizon {
            return Err(Refusal::TooManyEvents { key: self.key_name(), limit });
        }
        Ok(Some(slot))
    }

    /// Takes an event that [`Group::check`] has nothing against, of the key whose slot is `found`, and writes the figures of its
    /// key. Entries of events that left, among those that wait for labels, are added to `freed`. `None` for an event without key.
    pub fn take(
        &mut self,
        (events, row): (&Events, usize),
        found: Option<u32>,
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
        let address = match &plan.tiles {
            None => self.take_into_ring(slot, (events, row), plan),
            Some(tiles) => self.take_into_tile(slot, (events, row), plan, tiles),
        };
        self.figures(slot, false, (events, row), plan, out);
        self.steps(slot, address, plan, out);
        self.forget(slot, time - plan.horizon, plan, freed);
        Some(Place { slot, address })
    }

    fn take_into_ring(&mut self, slot: u32, (events, row): (&Events, usize), plan: &GroupPlan) -> u32 {
        let address = self.append(slot, events, row, plan);
        for (at, track) in plan.tracks.iter().enumerate() {
            if track.shift == 0 {
                self.enter(slot, address, events.times[row], at, plan);
            } else {
                self.wait(slot, address, track);
            }
        }
        address
    }

    /// Lets a record wait for windows that are moved back.
    pub(super) fn wait(&mut self, slot: u32, address: u32, track: &Track) {
        let words = self.slots.get_mut(slot);
        if words[track.head + 1] == 0 {
            words[track.head] = address;
        }
        words[track.head + 1] += 1;
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
            let until = plan.end(time, track.shift);
            if track.shift > 0 {
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
            self.leave(slot, until, at, plan);
        }
    }

    /// Adds a record of the time `time` to the windows of a track.
    fn enter(&mut self, slot: u32, address: u32, time: i64, at: usize, plan: &GroupPlan) {
        let track = &plan.tracks[at];
        if track.shift > 0 {
            self.leave(slot, time, at, plan);
        }
        if let Some(tiles) = &plan.tiles {
            return self.enter_tile(slot, address, at, plan, tiles);
        }
        for (i, &code) in track.distinct.iter().enumerate() {
            self.enter_value(slot, address, (at, i, code), time, plan);
        }
        let values = self.values(address, track, plan);
        for i in 0..track.extrema.len() {
            self.enter_extremum(slot, address, (at, i), values[track.extrema[i].sum], plan);
        }
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

    /// Takes records that are too old for windows that end at `end` out of them.
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
                self.slots.get_mut(slot)[window] = next;
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
        for (i, extremum) in track.extrema.iter().enumerate() {
            let is_front = self.slots.get(slot)[window + track.extremum_at(i)] == address;
            if is_front && self.least_or_largest(address, extremum, track.sums[extremum.sum], plan) != MISSING {
                let next = self.record(address, plan)[extremum.link + 1];
                self.slots.get_mut(slot)[window + track.extremum_at(i)] = next;
            }
        }
        if let Some(tiles) = &plan.tiles {
            let Group { slots, blocks, .. } = self;
            return tiles.add(&mut slots.get_mut(slot)[window..], track, record_in(blocks, address, plan), -1);
        }
        let values = self.values(address, track, plan);
        let flags = self.record(address, plan)[1] >> 16;
        let words = &mut self.slots.get_mut(slot)[window..];
        words[1] -= 1;
        add(words, track, &values, flags, -1);
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

    /// The number of a record that the queue of an extremum is ordered by: an event's, or the least or largest of a tile.
    #[inline]
    pub(super) fn least_or_largest(&self, address: u32, extremum: &Extremum, number: usize, plan: &GroupPlan) -> i64 {
        match &plan.tiles {
            None => self.number(address, number, plan),
            Some(tiles) => {
                let record = self.record(address, plan);
                if tiles.has(record, number) { i64_at(record, extremum.own) } else { MISSING }
            }
        }
    }

    /// Puts a record with that number at the end of the queue of least or largest numbers: what it outdoes leaves. A tile that
    /// grows is the last already.
    pub(super) fn enter_extremum(
        &mut self,
        slot: u32,
        address: u32,
        (at, i): (usize, usize),
        value: i64,
        plan: &GroupPlan,
    ) {
        let track = &plan.tracks[at];
        let extremum = &track.extrema[i];
        let number = track.sums[extremum.sum];
        let Some(&(_, longest)) = track.windows.last() else { return };
        if value == MISSING {
            return;
        }
        let is_outdone = |other: i64| if extremum.is_max { other <= value } else { other >= value };
        let present = track.present_at(extremum.sum);
        let of = |group: &Group, address: u32| group.least_or_largest(address, extremum, number, plan);
        let words = self.slots.get(slot);
        let front = words[longest + track.extremum_at(i)];
        let mut back = if words[longest + present] == 0 { NONE } else { words[extremum.back] };
        if back == address && !is_outdone(of(self, back)) {
            return;
        }
        while back != NONE && is_outdone(of(self, back)) {
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
            if words[present] == 0 || is_outdone(of(self, front)) {
                self.slots.get_mut(slot)[window + track.extremum_at(i)] = address;
            }
        }
    }
}

/// Adds what an event has to a window, or takes it away.
#[inline]
pub(super) fn add(words: &mut [u32], track: &Track, values: &[i64; MAX_SUMS], flags: u32, sign: i64) {
    for (i, &value) in values[..track.sums.len()].iter().enumerate() {
        if value != MISSING {
            let total = track.total(words, i) + i128::from(sign * value);
            track.set_total(words, i, total);
            let at = track.present_at(i);
            words[at] = words[at].wrapping_add_signed(sign as i32);
        }
    }
    for (i, &sum) in track.squares.iter().enumerate() {
        if values[sum] != MISSING {
            let (at, value) = (track.square_at(i), i128::from(values[sum]));
            let squares = track.squares_of(words, i) + i128::from(sign) * value * value;
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
