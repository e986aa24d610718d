//! Tiles: the events of a key by lengths of time in place of one by one, where a `resolution` is declared.
//!
//! A tile (k·r − r, k·r] of the length r, counted from 1970-01-01 UTC, keeps how many events it has and what they add up to. An event
//! is in a window with its whole tile or not at all, and so the window w at time t holds the events of (⌈t⌉ − w, t], where ⌈t⌉ is t
//! rounded up to a whole number of tiles; moved back by d it holds those of (⌊t − d⌋ − w, ⌊t − d⌋], rounded down, so that nothing
//! counts before its time. Records have the time at which their tile begins; what moves windows on compares those as it compares
//! the times of single events.

use super::events::{Events, MISSING};
use super::group::{Group, LEVEL_BITS, add};
use super::plan::{GroupPlan, LAST, LAST_ID, LAST_TIME, MAX_SUMS, N, RECORD_HEAD, Track};
use super::ring::record_in;
use super::slab::{NONE, i64_at, set_i64, set_u128};

/// Most events of a key in its longest window.
pub(super) const MAX_TILE_EVENTS: u32 = u32::MAX;
/// Where a tile's words begin in its record: laid out as those of a window.
pub(super) const TILE: usize = RECORD_HEAD;

/// How the records of a group are tiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TilePlan {
    /// Microseconds of a tile.
    pub resolution: i64,
    /// What a tile counts: all that a track of the group does, of the group's numbers in their order.
    pub all: Track,
    /// Where records keep the least or largest number, by the group's number and whether it is the largest.
    pub extrema: Vec<(usize, bool, usize)>,
    /// In the slot: the events of all tiles that are kept.
    pub events: usize,
}

impl TilePlan {
    /// Where records keep the last of their events that wait for labels: a window has its first event there.
    pub const LABEL: usize = TILE;

    pub fn new(resolution: i64) -> TilePlan {
        TilePlan { resolution, all: Track::new(0, 4), extrema: Vec::new(), events: 0 }
    }

    /// Where the tile of a time begins; its end is the first moment that is not later than it and a whole number of tiles.
    #[inline]
    pub fn begin(&self, time: i64) -> i64 {
        (time - 1).div_euclid(self.resolution) * self.resolution
    }

    /// Where the last tile begins that is in windows at `time`: that of the time itself, or the last one that was over by `shift` ago.
    #[inline]
    pub fn end(&self, time: i64, shift: i64) -> i64 {
        if shift == 0 {
            return self.begin(time);
        }
        (time - shift).div_euclid(self.resolution) * self.resolution - self.resolution
    }

    /// Says where everything lies in a tile, with `slot` for the count of a key's events; the words of a record so far.
    pub fn lay_out(&mut self, n_numbers: usize, tracks: &mut [Track], slot: usize) -> usize {
        self.events = slot;
        self.all.sums = (0..n_numbers).collect();
        for track in tracks.iter() {
            self.all.label |= track.label;
            self.all.squares.extend(track.squares.iter().map(|sum| track.sums[*sum]));
            self.all.levels.extend(&track.levels);
        }
        for list in [&mut self.all.squares, &mut self.all.levels] {
            list.sort_unstable();
            list.dedup();
        }
        let mut record = TILE + self.all.window_words();
        for track in tracks {
            for extremum in &mut track.extrema {
                let (number, is_max) = (track.sums[extremum.sum], extremum.is_max);
                let known = self.extrema.iter().find(|(n, max, _)| (*n, *max) == (number, is_max));
                extremum.own = known.map_or(record, |(.., at)| *at);
                if extremum.own == record {
                    self.extrema.push((number, is_max, record));
                    record += 2;
                }
            }
        }
        record
    }

    /// The events of a tile.
    #[inline]
    pub fn n_events(record: &[u32]) -> u32 {
        record[TILE + 1]
    }

    /// True if a tile has a number of the group.
    #[inline]
    pub fn has(&self, record: &[u32], number: usize) -> bool {
        record[TILE + self.all.present_at(number)] > 0
    }

    /// Where a tile counts its frauds.
    pub fn frauds_at(&self) -> usize {
        TILE + self.all.label_at()
    }

    /// Adds what a tile has to a window of a track, or takes it away.
    pub fn add(&self, words: &mut [u32], track: &Track, record: &[u32], sign: i32) {
        let tile = &record[TILE..];
        let counted = |to: &mut u32, n: u32| *to = to.wrapping_add_signed(sign.wrapping_mul(n as i32));
        counted(&mut words[1], tile[1]);
        for (i, &number) in track.sums.iter().enumerate() {
            let total = track.total(words, i) + i128::from(sign) * self.all.total(tile, number);
            track.set_total(words, i, total);
            counted(&mut words[track.present_at(i)], tile[self.all.present_at(number)]);
        }
        for (i, &sum) in track.squares.iter().enumerate() {
            let own = self.all.squares.iter().position(|number| *number == track.sums[sum]).unwrap_or(0);
            let squares = track.squares_of(words, i) + i128::from(sign) * self.all.squares_of(tile, own);
            set_u128(words, track.square_at(i), squares as u128);
        }
        for (i, level) in track.levels.iter().enumerate() {
            let own = self.all.levels.iter().position(|l| l == level).unwrap_or(0);
            counted(&mut words[track.level_at(i)], tile[self.all.level_at(own)]);
        }
        if track.label {
            counted(&mut words[track.label_at()], tile[self.all.label_at()]);
        }
    }
}

impl Group {
    /// Adds an event to its tile and to the windows that end now.
    pub(super) fn take_into_tile(
        &mut self,
        slot: u32,
        (events, row): (&Events, usize),
        plan: &GroupPlan,
        tiles: &TilePlan,
    ) -> u32 {
        let time = events.times[row];
        let begin = tiles.begin(time);
        let words = self.slots.get(slot);
        let is_new = words[N] == 0 || self.time(words[LAST], i64_at(words, LAST_TIME), plan) < begin;
        let address = if is_new { self.next_place(slot) } else { words[LAST] };
        let words = self.slots.get_mut(slot);
        set_i64(words, LAST_TIME, time);
        set_u128(words, LAST_ID, events.ids[row]);
        words[tiles.events] += 1;
        if is_new {
            let record = self.record_mut(address, plan);
            record.fill(0);
            (record[0], record[1]) = (begin as u32, (begin as u64 >> 32) as u32 & 0xffff);
            record[TilePlan::LABEL] = NONE;
        }
        let flags = u32::from(events.levels[row]) << LEVEL_BITS;
        let mut own = [MISSING; MAX_SUMS];
        own.iter_mut().zip(&plan.numbers).for_each(|(to, of)| *to = events.numbers[*of][row]);
        for (at, track) in plan.tracks.iter().enumerate() {
            if track.shift > 0 {
                if is_new {
                    self.wait(slot, address, track);
                }
                continue;
            }
            let mut values = [MISSING; MAX_SUMS];
            values.iter_mut().zip(&track.sums).for_each(|(to, number)| *to = own[*number]);
            for i in 0..track.extrema.len() {
                self.enter_extremum(slot, address, (at, i), values[track.extrema[i].sum], plan);
            }
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
        let record = self.record_mut(address, plan);
        for &(number, is_max, at) in &tiles.extrema {
            let (value, kept) = (own[number], i64_at(record, at));
            let outdoes = if is_max { value > kept } else { value < kept };
            if value != MISSING && (outdoes || !tiles.has(record, number)) {
                set_i64(record, at, value);
            }
        }
        let tile = &mut record[TILE..];
        tile[1] += 1;
        add(tile, &tiles.all, &own, flags, 1);
        address
    }

    /// Adds a tile that is over to the windows of a track that is moved back.
    pub(super) fn enter_tile(&mut self, slot: u32, address: u32, at: usize, plan: &GroupPlan, tiles: &TilePlan) {
        let track = &plan.tracks[at];
        for (i, extremum) in track.extrema.iter().enumerate() {
            let value = self.least_or_largest(address, extremum, track.sums[extremum.sum], plan);
            self.enter_extremum(slot, address, (at, i), value, plan);
        }
        let Group { slots, blocks, .. } = self;
        let (words, record) = (slots.get_mut(slot), record_in(blocks, address, plan));
        for &(_, window) in &track.windows {
            let words = &mut words[window..];
            if words[1] == 0 {
                words[0] = address;
            }
            tiles.add(words, track, record, 1);
        }
    }
}
