//! A state as bytes and back: pages of words. When it is read it is checked that every address lies where there is something.

use super::definition::Definition;
use super::group::Group;
use super::index::Index;
use super::plan::{FIRST, GroupPlan, KEY, LAST, LAST_TIME, N, Track};
use super::ring::BLOCK;
use super::slab::{NONE, Slab, i64_at, u128_at};
use super::state::{Limits, State};
use super::tile::TilePlan;
use super::waiting::Waiting;
use crate::state_bytes::{Kind, Reader, Writer, damaged, words_of};
use rayon::prelude::*;
use statera_core::Result;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;

/// Format 1 is of states whose keys keep every event, 2 of those with tiles.
const KIND: Kind = Kind { magic: b"STWINDOW", format: 2, of: "windows" };

/// Bytes of the pages that are read at once.
const READ_BYTES: usize = 4 << 20;
/// Slots that are checked together.
const BATCH: u32 = 64;

impl State {
    /// Writes the state; a state that is restored from it goes on to the same bits.
    ///
    /// # Errors
    /// What the target refuses.
    pub fn snapshot(&self, to: &mut dyn Write) -> Result<()> {
        let kind = Kind { format: format_of(&self.definition), ..KIND };
        let mut to = Writer::begin(to, &kind, self.definition.digest())?;
        to.put(&self.clock.to_le_bytes())?;
        for group in &self.groups {
            to.words(&[group.hand])?;
            to.slab(&group.slots)?;
            to.slab(&group.blocks)?;
            to.index(&group.index)?;
            to.words(&[group.wide.len() as u32])?;
            for ((address, number), value) in &group.wide {
                to.words(&[*address, u32::from(*number), *value as u32, (*value >> 32) as u32])?;
            }
            let mut last: Vec<_> = group.last.iter().collect();
            last.sort_unstable();
            to.words(&[last.len() as u32])?;
            for ((slot, track, i, code), address) in last {
                let both = u32::from(*track) << 16 | u32::from(*i);
                to.words(&[*slot, both, *code as u32, (*code >> 32) as u32, *address])?;
            }
            to.words(&[group.pending.len() as u32])?;
            let has_tiles = self.definition.groups[group.at].tiles.is_some();
            for ((slot, when, address), n) in &group.pending {
                to.words(&[*slot, *when as u32, (*when >> 32) as u32, *address])?;
                if has_tiles {
                    to.words(&[*n])?;
                }
            }
        }
        if let Some(waiting) = &self.waiting {
            to.slab(&waiting.entries)?;
            to.index(&waiting.index)?;
        }
        to.end()
    }

    /// Reads a state of `n_bytes` bytes.
    ///
    /// # Errors
    /// [`statera_core::ErrorKind::Conflict`] for a state of another definition, [`statera_core::ErrorKind::Newer`] for a newer
    /// format, [`statera_core::ErrorKind::Damaged`] for what is no state, is cut off or was altered.
    pub fn restore(from: &mut dyn Read, n_bytes: u64, definition: Arc<Definition>, limits: Limits) -> Result<State> {
        let mut from = Reader::begin(from, n_bytes, &KIND, definition.digest())?;
        if from.format != format_of(&definition) {
            return Err(damaged("has a format that is not that of its windows"));
        }
        let mut state = State::new(definition, limits);
        state.clock = i64::from_le_bytes(from.array()?);
        for group in &mut state.groups {
            from.group(group)?;
        }
        if let Some(waiting) = &mut state.waiting {
            waiting.entries = from.slab(waiting.entry_words())?;
            waiting.index = from.index(waiting.entries.n_used())?;
        }
        from.end()?;
        state.check_sound()?;
        Ok(state)
    }

    /// Refuses addresses that lead nowhere.
    fn check_sound(&self) -> Result<()> {
        for group in &self.groups {
            if !is_sound(group, self.waiting.as_ref()) {
                return Err(damaged("has addresses that lead nowhere"));
            }
        }
        let Some(waiting) = &self.waiting else { return Ok(()) };
        let is_live = |at: usize, place: super::group::Place| {
            let group = &self.groups[at];
            place.slot < group.slots.n_used() && place.address < Group::n_addresses(&group.blocks)
        };
        let entries = waiting.index.places().par_iter().filter(|entry| **entry != NONE);
        let are_live = entries.all(|entry| waiting.places(*entry).all(|(at, place)| is_live(at, place)));
        let is_whole = waiting.index.n() == waiting.entries.n_live() as usize;
        if is_whole && are_live { Ok(()) } else { Err(damaged("has lost its labels")) }
    }
}

/// The version that a state of a definition has: what keeps no tiles is written as ever.
fn format_of(definition: &Definition) -> u32 {
    if definition.groups.iter().any(|plan| plan.tiles.is_some()) { 2 } else { 1 }
}

/// True if the ring of every key is whole and all its windows lie in it.
fn is_sound(group: &Group, waiting: Option<&Waiting>) -> bool {
    let plan = &group.definition.groups[group.at];
    let n_addresses = Group::n_addresses(&group.blocks);
    let n_used = group.slots.n_used();
    // No record is in two rings: rings that say to be longer than there is room for are not walked.
    let n_records: u64 = (0..n_used).into_par_iter().map(|slot| u64::from(group.slots.get(slot)[N])).sum();
    if n_records > u64::from(n_addresses) {
        return false;
    }
    let batches = (0..n_used.div_ceil(BATCH)).into_par_iter().map(|i| i * BATCH..n_used.min((i + 1) * BATCH));
    let n_live = batches.map_init(Vec::new, |ring, slots| {
        bring(group, slots.clone());
        slots.map(|slot| live_slot(group, slot, ring, waiting)).try_fold(0, |n, is| Some(n + is?))
    });
    let n_live = n_live.try_reduce(|| 0, |a, b| Some(a + b));
    let value = |(slot, track, i, _): &super::group::Value| {
        *slot < group.slots.n_used()
            && plan.tracks.get(usize::from(*track)).is_some_and(|t| usize::from(*i) < t.distinct.len())
    };
    let is_place = |slot: u32, address: u32| slot < group.slots.n_used() && address < n_addresses;
    n_live == Some(group.slots.n_live())
        && group.slots.n_live() as usize == group.index.n()
        && group.last.iter().all(|(key, address)| value(key) && *address < n_addresses)
        && group.pending.keys().all(|(slot, _, address)| is_place(*slot, *address))
}

/// Has the CPU bring the rings of a few slots into its cache. Where a block lies is known only once the one before it is there, and
/// blocks lie anywhere: of many rings in turns many are on their way at once.
fn bring(group: &Group, slots: Range<u32>) {
    let n_blocks = group.blocks.n_used();
    let ring = |slot| (Group::block_of(group.slots.get(slot)[FIRST]), group.slots.get(slot)[N]);
    let mut rings: Vec<(u32, u32)> = slots.map(ring).collect();
    while !rings.is_empty() {
        rings.retain_mut(|(block, n)| {
            if *n == 0 || *block >= n_blocks {
                return false;
            }
            // The first event may be in the middle of its block, and a block lie in two lines of the cache.
            black_box(group.blocks.get(*block)[0]);
            (*block, *n) = (group.next_block(*block).unwrap_or(NONE), n.saturating_sub(BLOCK));
            true
        });
    }
}

/// 1 of a slot in use, 0 of a free one, `None` of one whose ring is not whole; `ring` is for the addresses of its records and how many
/// events the ring has with each.
fn live_slot(group: &Group, slot: u32, ring: &mut Vec<(u32, u64)>, waiting: Option<&Waiting>) -> Option<u32> {
    let plan = &group.definition.groups[group.at];
    let n_addresses = Group::n_addresses(&group.blocks);
    let words = group.slots.get(slot);
    if words[N] == 0 {
        return Some(0);
    }
    ring.clear();
    let (mut address, mut n_events) = (words[FIRST], 0);
    let of_label = waiting.and_then(|w| Some((w, w.groups.iter().position(|at| *at == group.at)?)));
    for _ in 0..words[N] {
        let record = if address < n_addresses { group.record(address, plan) } else { return None };
        let n = plan.tiles.as_ref().map_or(1, |_| TilePlan::n_events(record));
        let leads = |at: usize| record[at] == NONE || record[at] < n_addresses;
        let mut links = plan.tracks.iter().flat_map(|t| &t.extrema).map(|e| e.link);
        let entry = plan.label.map_or(NONE, |at| record[at]);
        let are_entries = of_label.map_or(entry == NONE, |(waiting, i)| are_entries(waiting, i, entry, n));
        if n == 0 || !are_entries || !links.all(|at| leads(at) && leads(at + 1)) {
            return None;
        }
        n_events += u64::from(n);
        ring.push((address, n_events));
        address = group.next(address);
    }
    let is_found = group.find(u128_at(words, KEY)) == Some(slot);
    let is_counted = plan.tiles.as_ref().is_none_or(|tiles| u64::from(words[tiles.events]) == n_events);
    let is_last = ring.last().is_some_and(|(last, _)| *last == words[LAST]);
    (is_last && is_counted && is_found && are_windows_sound(words, ring, plan)).then_some(1)
}

/// True if an entry and those before it in its tile are there, no more than a record has events.
fn are_entries(waiting: &Waiting, i: usize, entry: u32, n: u32) -> bool {
    let mut next = entry;
    for _ in 0..n {
        if next == NONE {
            break;
        }
        if next >= waiting.entries.n_used() {
            return false;
        }
        next = waiting.before(next, i);
    }
    next == NONE
}

/// True if windows and steps begin where their counts say, and queues are of records of the ring.
fn are_windows_sound(words: &[u32], ring: &[(u32, u64)], plan: &GroupPlan) -> bool {
    let begins = |first: u32, n: u32, end: usize| {
        let n = n as usize;
        n <= end && (n == 0 || ring[end - n].0 == first)
    };
    // Of tiles a window counts the events.
    let holds = |first: u32, n: u32, end: usize| {
        let before = |at: usize| at.checked_sub(1).map_or(0, |at| ring[at].1);
        let Some(least) = before(end).checked_sub(u64::from(n)) else { return false };
        let at = ring[..end].partition_point(|(_, sum)| *sum <= least);
        n == 0 || (before(at) == least && ring[at].0 == first)
    };
    let contains = |address: u32| ring.iter().any(|(own, _)| *own == address);
    let track = |track: &Track| {
        let mut end = ring.len();
        if track.shift > 0 {
            let (first, n) = (words[track.head], words[track.head + 1]);
            if !begins(first, n, end) {
                return false;
            }
            end -= n as usize;
        }
        let window = |(_, at): &(i64, usize)| {
            let words = &words[*at..];
            let extremum = |i: usize| {
                let present = words[track.present_at(track.extrema[i].sum)];
                present == 0 || contains(words[track.extremum_at(i)])
            };
            holds(words[0], words[1], end) && (0..track.extrema.len()).all(extremum)
        };
        let longest = track.windows.last().map_or(0, |(_, at)| *at);
        let back = |e: &super::plan::Extremum| words[longest + track.present_at(e.sum)] == 0 || contains(words[e.back]);
        track.windows.iter().all(window) && track.extrema.iter().all(back)
    };
    let steps = |s: &super::plan::StepsPlan| {
        begins(words[s.at], words[s.at + 1], ring.len()) && words[s.at + 1] as usize <= s.n_steps + 1
    };
    i64_at(words, LAST_TIME) > i64::MIN && plan.tracks.iter().all(track) && plan.steps.iter().all(steps)
}

impl Writer<'_> {
    fn slab(&mut self, slab: &Slab) -> Result<()> {
        self.words(&slab.head())?;
        slab.pages().iter().try_for_each(|page| self.words(page))
    }

    fn index(&mut self, index: &Index) -> Result<()> {
        self.words(&[index.places().len() as u32])?;
        index.places().chunks(1 << 16).try_for_each(|chunk| self.words(chunk))
    }
}

impl Reader<'_> {
    fn slab(&mut self, n_words: usize) -> Result<Slab> {
        let head = self.words(4)?;
        let head = [head[0], head[1], head[2], head[3]];
        let n_bytes = Slab::new(n_words).page_words() * 4;
        let (n_pages, mut pages) = (Slab::n_pages(head[1]), Vec::new());
        while pages.len() < n_pages {
            let bytes = self.take((n_pages - pages.len()).min((READ_BYTES / n_bytes).max(1)) * n_bytes)?;
            // The system hands out memory slowly enough that two threads ask for it in half the time.
            pages.par_extend(bytes.par_chunks_exact(n_bytes).map(|page| words_of(page).into_boxed_slice()));
        }
        Slab::of(n_words, head, pages).ok_or_else(|| damaged("has a list of free places that does not fit"))
    }

    fn index(&mut self, n_used: u32) -> Result<Index> {
        let n = self.word()? as usize;
        if n as u64 * 4 > self.left {
            return Err(damaged("is cut off"));
        }
        Index::of(self.words(n)?, n_used).ok_or_else(|| damaged("has an index that does not fit"))
    }

    fn group(&mut self, group: &mut Group) -> Result<()> {
        let definition = group.definition.clone();
        let plan = &definition.groups[group.at];
        group.hand = self.word()?;
        group.slots = self.slab(plan.slot_words)?;
        group.blocks = self.slab(Group::block_words(plan))?;
        group.index = self.index(group.slots.n_used())?;
        let long = |low: u32, high: u32| (u64::from(low) | u64::from(high) << 32) as i64;
        let n = self.word()?;
        let mut wide = BTreeMap::new();
        for _ in 0..n {
            let words = self.words(4)?;
            wide.insert((words[0], words[1] as u16), long(words[2], words[3]));
        }
        let n = self.word()?;
        let mut last = HashMap::new();
        for _ in 0..n {
            let words = self.words(5)?;
            let both = [(words[1] >> 16) as u16, words[1] as u16];
            last.insert((words[0], both[0], both[1], long(words[2], words[3]) as u64), words[4]);
        }
        let n = self.word()?;
        let mut pending = BTreeMap::new();
        for _ in 0..n {
            let words = self.words(4)?;
            let n = if plan.tiles.is_some() { self.word()? } else { 1 };
            pending.insert((words[0], long(words[1], words[2]), words[3]), n);
        }
        (group.wide, group.last, group.pending) = (wide, last, pending);
        Ok(())
    }
}
