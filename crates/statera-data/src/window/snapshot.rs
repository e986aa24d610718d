//! A state as bytes and back: magic, format, digest of the definition, pages of words, and at last a digest of all.
//!
//! Nothing in it is executable. What is read is bounded by the length that the caller says the source has; the digest is checked
//! before anything is used, and then that every address lies where there is something.

use super::definition::Definition;
use super::group::Group;
use super::index::Index;
use super::plan::{FIRST, GroupPlan, KEY, LAST, LAST_TIME, N, Track};
use super::slab::{NONE, Slab, i64_at, u128_at};
use super::state::{Limits, State};
use super::tile::TilePlan;
use super::waiting::Waiting;
use rayon::prelude::*;
use statera_core::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"STWINDOW";
/// Newest version of the format that is written and read: 1 of states whose keys keep every event, 2 of those with tiles.
const FORMAT: u32 = 2;
/// Bytes of a digest in hexadecimal, and in bytes.
const HEX: usize = 64;
const DIGEST: u64 = 32;

impl State {
    /// Writes the state; a state that is restored from it goes on to the same bits.
    ///
    /// # Errors
    /// What the target refuses.
    pub fn snapshot(&self, to: &mut dyn Write) -> Result<()> {
        let mut to = Writer { to, hasher: blake3::Hasher::new(), bytes: Vec::new() };
        to.put(MAGIC)?;
        to.words(&[format_of(&self.definition)])?;
        to.put(self.definition.digest().as_bytes())?;
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
        let digest = to.hasher.finalize();
        to.to.write_all(digest.as_bytes())?;
        Ok(to.to.flush()?)
    }

    /// Reads a state of `n_bytes` bytes.
    ///
    /// # Errors
    /// [`statera_core::ErrorKind::Conflict`] for a state of another definition, [`statera_core::ErrorKind::Newer`] for a newer
    /// format, [`statera_core::ErrorKind::Damaged`] for what is no state, is cut off or was altered.
    pub fn restore(from: &mut dyn Read, n_bytes: u64, definition: Arc<Definition>, limits: Limits) -> Result<State> {
        let left = n_bytes.checked_sub(DIGEST).ok_or_else(|| damaged("is too short"))?;
        let mut from = Reader { from, hasher: blake3::Hasher::new(), left, bytes: Vec::new() };
        if from.take(MAGIC.len())? != MAGIC {
            return Err(damaged("is no state of windows"));
        }
        let format = from.word()?;
        if format > FORMAT {
            return Err(Error::newer(format!(
                "state: format {format} is newer than {FORMAT}, which this program reads; install a later version"
            )));
        }
        let digest = String::from_utf8_lossy(from.take(HEX)?).into_owned();
        if digest != definition.digest() {
            return Err(Error::conflict(format!(
                "state: it is of the definition {digest}, not of {}; allowed is a state of the same windows: begin with a new \
                 one and replay the events, or use the bundle that the state was made with",
                definition.digest()
            )));
        }
        if format != format_of(&definition) {
            return Err(damaged("has a format that is not that of its windows"));
        }
        let mut state = State::new(definition, limits);
        let clock = from.take(8)?;
        state.clock = i64::from_le_bytes(clock.try_into().map_err(|_| damaged("is cut off"))?);
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

fn damaged(what: &str) -> Error {
    Error::damaged(format!("state: it {what}; use another copy"))
}

/// True if the ring of every key is whole and all its windows lie in it.
fn is_sound(group: &Group, waiting: Option<&Waiting>) -> bool {
    let plan = &group.definition.groups[group.at];
    let n_addresses = Group::n_addresses(&group.blocks);
    let slots = (0..group.slots.n_used()).into_par_iter().with_min_len(1024);
    let n_live = slots.map_init(Vec::new, |ring, slot| live_slot(group, slot, ring, waiting));
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

struct Writer<'a> {
    to: &'a mut dyn Write,
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        Ok(self.to.write_all(bytes)?)
    }

    fn words(&mut self, words: &[u32]) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let put = self.put(&bytes);
        self.bytes = bytes;
        put
    }

    fn slab(&mut self, slab: &Slab) -> Result<()> {
        self.words(&slab.head())?;
        slab.pages().iter().try_for_each(|page| self.words(page))
    }

    fn index(&mut self, index: &Index) -> Result<()> {
        self.words(&[index.places().len() as u32])?;
        index.places().chunks(1 << 16).try_for_each(|chunk| self.words(chunk))
    }
}

struct Reader<'a> {
    from: &'a mut dyn Read,
    hasher: blake3::Hasher,
    /// Bytes before the digest at the end.
    left: u64,
    bytes: Vec<u8>,
}

impl Reader<'_> {
    fn take(&mut self, n: usize) -> Result<&[u8]> {
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| damaged("is cut off"))?;
        self.bytes.resize(n, 0);
        self.from.read_exact(&mut self.bytes).map_err(|_| damaged("is cut off"))?;
        self.hasher.update(&self.bytes);
        Ok(&self.bytes)
    }

    fn word(&mut self) -> Result<u32> {
        Ok(self.words(1)?[0])
    }

    fn words(&mut self, n: usize) -> Result<Vec<u32>> {
        let bytes = self.take(n * 4)?;
        Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    fn slab(&mut self, n_words: usize) -> Result<Slab> {
        let head = self.words(4)?;
        let head = [head[0], head[1], head[2], head[3]];
        let page_words = Slab::new(n_words).page_words();
        let page = |_| self.words(page_words).map(Vec::into_boxed_slice);
        let pages = (0..Slab::n_pages(head[1])).map(page).collect::<Result<Vec<_>>>()?;
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

    /// Checks the digest, and that nothing comes after it.
    fn end(&mut self) -> Result<()> {
        let own = self.hasher.finalize();
        let mut digest = [0; DIGEST as usize];
        self.from.read_exact(&mut digest).map_err(|_| damaged("is cut off"))?;
        if self.left > 0 || digest != *own.as_bytes() {
            return Err(damaged("was altered: its digest does not match"));
        }
        Ok(())
    }
}
