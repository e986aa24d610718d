//! The ring of a key: its events in blocks that never move, the oldest first.

use super::events::{Events, MISSING};
use super::group::{Group, LEVEL_BITS, Place};
use super::index::hash;
use super::plan::{FIRST, GroupPlan, KEY, LAST, LAST_ID, LAST_TIME, N, PENDING};
use super::slab::{NONE, Slab, i64_at, set_i64, set_u128, u128_at};
use super::tile::TilePlan;

/// Binary logarithm of the records of a block.
const BLOCK_BITS: u32 = 2;
pub(super) const BLOCK: u32 = 1 << BLOCK_BITS;
/// Most blocks: addresses of records are 32 bits, and the last is [`NONE`].
pub(super) const MAX_BLOCKS: u32 = (NONE >> BLOCK_BITS) - 1;
/// In a record: a number that is missing, and one that needs more than 32 bits and is kept elsewhere.
const NARROW_MISSING: u32 = i32::MIN as u32;
const WIDE: u32 = (i32::MIN + 1) as u32;
/// Bits of a time that records keep: a key's events lie within 2^48 microseconds.
const TIME_BITS: u32 = 48;

/// The record of an address.
#[inline]
pub(super) fn record_in<'a>(blocks: &'a Slab, address: u32, plan: &GroupPlan) -> &'a [u32] {
    let first = (address & (BLOCK - 1)) as usize * plan.record_words;
    &blocks.get(address >> BLOCK_BITS)[first..first + plan.record_words]
}

impl Group {
    /// Most addresses that the blocks of a slab have.
    pub(super) fn n_addresses(blocks: &Slab) -> u32 {
        blocks.n_used() * BLOCK
    }

    /// Words of a block: its records and the number of the next block.
    pub(super) fn block_words(plan: &GroupPlan) -> usize {
        BLOCK as usize * plan.record_words + 1
    }

    /// The record of an address.
    #[inline]
    pub(super) fn record(&self, address: u32, plan: &GroupPlan) -> &[u32] {
        record_in(&self.blocks, address, plan)
    }

    #[inline]
    pub(super) fn record_mut(&mut self, address: u32, plan: &GroupPlan) -> &mut [u32] {
        let first = (address & (BLOCK - 1)) as usize * plan.record_words;
        &mut self.blocks.get_mut(address >> BLOCK_BITS)[first..first + plan.record_words]
    }

    /// The address after an address; [`NONE`] after the last of the last block.
    #[inline]
    pub(super) fn next(&self, address: u32) -> u32 {
        if address & (BLOCK - 1) < BLOCK - 1 {
            return address + 1;
        }
        self.next_block(Group::block_of(address)).map_or(NONE, |block| block << BLOCK_BITS)
    }

    /// The block of an address.
    #[inline]
    pub(super) fn block_of(address: u32) -> u32 {
        address >> BLOCK_BITS
    }

    /// The block after a block.
    #[inline]
    pub(super) fn next_block(&self, block: u32) -> Option<u32> {
        let words = self.blocks.get(block);
        // Numbers of blocks are kept one higher, so that 0 is none.
        words[words.len() - 1].checked_sub(1)
    }

    /// The time of an event of a key whose last event is of `last`.
    #[inline]
    pub(super) fn time(&self, address: u32, last: i64, plan: &GroupPlan) -> i64 {
        let record = self.record(address, plan);
        let low = u64::from(record[0]) | u64::from(record[1] & 0xffff) << 32;
        // The last event is the latest, and less than 2^48 microseconds away.
        last.wrapping_sub(((last as u64).wrapping_sub(low) & ((1 << TIME_BITS) - 1)) as i64)
    }

    /// The time of an event.
    pub(super) fn time_of(&self, Place { slot, address }: Place) -> i64 {
        self.time(address, i64_at(self.slots.get(slot), LAST_TIME), &self.definition.groups[self.at])
    }

    #[inline]
    pub(super) fn number(&self, address: u32, number: usize, plan: &GroupPlan) -> i64 {
        match self.record(address, plan)[GroupPlan::number_at(number)] {
            NARROW_MISSING => MISSING,
            WIDE => self.wide.get(&(address, number as u16)).copied().unwrap_or(MISSING),
            narrow => i64::from(narrow as i32),
        }
    }

    #[inline]
    pub(super) fn code(&self, address: u32, code: usize, plan: &GroupPlan) -> u64 {
        i64_at(self.record(address, plan), plan.code_at(code)) as u64
    }

    /// A place for one more record at the end of a key's ring.
    pub(super) fn next_place(&mut self, slot: u32) -> u32 {
        let (last, n) = (self.slots.get(slot)[LAST], self.slots.get(slot)[N]);
        let address = if n > 0 && last & (BLOCK - 1) < BLOCK - 1 {
            last + 1
        } else {
            let block = self.blocks.take();
            if n > 0 {
                let words = self.blocks.get_mut(last >> BLOCK_BITS);
                let link = words.len() - 1;
                words[link] = block + 1;
            }
            block << BLOCK_BITS
        };
        let words = self.slots.get_mut(slot);
        if n == 0 {
            words[FIRST] = address;
        }
        words[LAST] = address;
        words[N] = n + 1;
        address
    }

    /// Adds the event to its key's ring.
    pub(super) fn append(&mut self, slot: u32, events: &Events, row: usize, plan: &GroupPlan) -> u32 {
        let address = self.next_place(slot);
        let time = events.times[row];
        let words = self.slots.get_mut(slot);
        set_i64(words, LAST_TIME, time);
        set_u128(words, LAST_ID, events.ids[row]);
        for (number, &of) in plan.numbers.iter().enumerate() {
            let value = events.numbers[of][row];
            let narrow = match i32::try_from(value) {
                _ if value == MISSING => NARROW_MISSING,
                Ok(narrow) if narrow > i32::MIN + 1 => narrow as u32,
                _ => {
                    self.wide.insert((address, number as u16), value);
                    WIDE
                }
            };
            self.record_mut(address, plan)[GroupPlan::number_at(number)] = narrow;
        }
        let flags = u32::from(events.levels[row]) << LEVEL_BITS;
        let record = self.record_mut(address, plan);
        record[0] = time as u32;
        record[1] = ((time as u64 >> 32) as u32 & 0xffff) | flags << 16;
        for (code, &of) in plan.codes.iter().enumerate() {
            set_i64(record, plan.code_at(code), events.codes[of][row] as i64);
        }
        if let Some(at) = plan.label {
            record[at] = NONE;
        }
        address
    }

    /// Notes the entry of an event among those that wait for labels; what was noted at its place before: of a tile, the entry of
    /// the event before.
    pub(super) fn note_entry(&mut self, address: u32, entry: u32, plan: &GroupPlan) -> u32 {
        plan.label.map_or(NONE, |at| std::mem::replace(&mut self.record_mut(address, plan)[at], entry))
    }

    /// Frees the records that are in no window and no step any more: those at or before `until`.
    pub(super) fn forget(&mut self, slot: u32, until: i64, plan: &GroupPlan, freed: &mut Vec<u32>) {
        let last = i64_at(self.slots.get(slot), LAST_TIME);
        // The last event stays: it tells the key's order.
        while self.slots.get(slot)[N] > 1 {
            let first = self.slots.get(slot)[FIRST];
            if self.time(first, last, plan) > until {
                break;
            }
            if self.slots.get(slot)[PENDING] > 0 {
                self.drop_pending(slot, Some(first));
            }
            let n_left = plan.tiles.as_ref().map(|t| (t.events, TilePlan::n_events(self.record(first, plan))));
            let next = self.free(first, plan, freed);
            let words = self.slots.get_mut(slot);
            if let Some((at, n)) = n_left {
                words[at] -= n;
            }
            words[FIRST] = next;
            words[N] -= 1;
        }
    }

    /// Frees the oldest record of a ring; what comes after it.
    pub(super) fn free(&mut self, address: u32, plan: &GroupPlan, freed: &mut Vec<u32>) -> u32 {
        if let Some(at) = plan.label {
            let entry = self.record(address, plan)[at];
            if entry != NONE {
                freed.push(entry);
            }
        }
        if !self.wide.is_empty() {
            for number in 0..plan.numbers.len() {
                self.wide.remove(&(address, number as u16));
            }
        }
        let next = self.next(address);
        if address & (BLOCK - 1) == BLOCK - 1 {
            self.blocks.release(address >> BLOCK_BITS);
        }
        next
    }

    /// Removes a key with all its events.
    pub(super) fn remove(&mut self, slot: u32, plan: &GroupPlan, freed: &mut Vec<u32>) {
        let (mut address, n) = (self.slots.get(slot)[FIRST], self.slots.get(slot)[N]);
        for (at, track) in plan.tracks.iter().enumerate() {
            for (i, &code) in track.distinct.iter().enumerate() {
                let mut event = self.slots.get(slot)[FIRST];
                for _ in 0..n {
                    self.last.remove(&(slot, at as u16, i as u16, self.code(event, code, plan)));
                    event = self.next(event);
                }
            }
        }
        let last = self.slots.get(slot)[LAST];
        for _ in 0..n {
            address = self.free(address, plan, freed);
        }
        if n > 0 && last & (BLOCK - 1) < BLOCK - 1 {
            self.blocks.release(last >> BLOCK_BITS);
        }
        if self.slots.get(slot)[PENDING] > 0 {
            self.drop_pending(slot, None);
        }
        let key = u128_at(self.slots.get(slot), KEY);
        let slots = &self.slots;
        self.index.remove(hash(key), slot, |s| hash(u128_at(slots.get(s), KEY)));
        self.slots.release(slot);
    }

    /// Looks at one more slot and removes its key if its events are at or before `until`; true if it did.
    pub(super) fn remove_idle(&mut self, until: i64, plan: &GroupPlan, freed: &mut Vec<u32>) -> bool {
        if self.slots.n_used() == 0 {
            return false;
        }
        self.hand = (self.hand + 1) % self.slots.n_used();
        let words = self.slots.get(self.hand);
        let is_idle = words[N] > 0 && i64_at(words, LAST_TIME) <= until;
        if is_idle {
            self.remove(self.hand, plan, freed);
        }
        is_idle
    }

    /// Of the next `n` slots the key whose last event is the oldest.
    pub(super) fn idlest(&self, n: u32) -> Option<u32> {
        let used = self.slots.n_used();
        let looked = (1..=n.min(used)).map(|i| (self.hand + i) % used);
        looked.filter(|s| self.slots.get(*s)[N] > 0).min_by_key(|s| i64_at(self.slots.get(*s), LAST_TIME))
    }
}
