//! Windows of a whole table without rings: the events of a key lie together, a window is a range of them, and its sums are
//! differences of running sums.
//!
//! The sums are whole numbers, and figures are read of them as [`Group`](super::group::Group) reads its own: both give the same bits.
//! What needs more than sums and extrema (different values, steps, labels that become known at times of their own) is left to
//! the rings.

use super::definition::{Definition, MAX_EVENTS, NumberPlan};
use super::events::{Events, FRAUD, MISSING};
use super::figure::{Counts, Window};
use super::index::hash;
use super::plan::{FigureKind, GroupPlan, Track};
use super::ring::MAX_BLOCKS;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Times after all others.
const ENDS: [i64; 4] = [i64::MAX; 4];

/// Keys are spread by [`hash`] already.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = hash(key);
    }
}

/// True if sums and extrema are all that a group needs, and its rows are so few that no ring would refuse one for their number.
pub(super) fn serves(plan: &GroupPlan, events: &Events, n_rows: usize) -> bool {
    // Keys that the rings would keep more events of are found when they are read.
    let has_codes = plan.tracks.iter().any(|track| !track.distinct.is_empty());
    plan.steps.is_empty() && !has_codes && events.known.is_empty() && n_rows <= MAX_BLOCKS as usize
}

/// The figures of events in the order (time, id), in which the keys of one group are mixed; column by column, `own` being the columns
/// of the group. `None` where a key has more events than are kept, which the rings refuse with a message.
pub(super) fn figures(definition: &Definition, events: &Events, at: usize, own: &[usize]) -> Option<Vec<f64>> {
    let (plan, n_rows) = (&definition.groups[at], events.n_rows());
    let (rows, ends) = by_key(&events.keys[at]);
    let mut values = vec![0.0; own.len() * n_rows];
    let mut key = Key::new(definition, plan, own);
    let mut begin = 0;
    for end in ends {
        key.read(events, &rows[begin..end]);
        if key.is_too_long() {
            return None;
        }
        for at in 0..key.readings.len() {
            key.go_through(at);
            key.write(at, &rows[begin..end], n_rows, &mut values);
        }
        begin = end;
    }
    Some(values)
}

/// Rows of one key after the other, each key's in the order in which they come, and where each key ends.
fn by_key(keys: &[u128]) -> (Vec<u32>, Vec<usize>) {
    let mut numbers: HashMap<u128, u32, BuildHasherDefault<Spread>> = HashMap::default();
    let number = |key: &u128| {
        let next = numbers.len() as u32;
        *numbers.entry(*key).or_insert(next)
    };
    let of: Vec<u32> = keys.iter().map(number).collect();
    let mut ends = vec![0; numbers.len()];
    of.iter().for_each(|key| ends[*key as usize] += 1);
    let mut sum = 0;
    for end in &mut ends {
        (*end, sum) = (sum, sum + *end);
    }
    let mut rows = vec![0; keys.len()];
    for (row, key) in of.iter().enumerate() {
        let place = &mut ends[*key as usize];
        rows[*place] = row as u32;
        *place += 1;
    }
    (rows, ends)
}

/// Figures that are read of one window before or after the event enters it.
struct Reading<'a> {
    track: usize,
    window: usize,
    before: bool,
    /// Which of the own columns, and what is read.
    figures: Vec<(usize, &'a FigureKind)>,
}

/// The events of one key with running sums, made anew for each key in the same memory.
struct Key<'a> {
    plan: &'a GroupPlan,
    numbers: &'a [NumberPlan],
    readings: Vec<Reading<'a>>,
    times: Vec<i64>,
    /// The times at which windows take the events for, with [`ENDS`] after them.
    moments: Vec<i64>,
    /// Per number of the group: cells, and running sums of the present ones, of how many they are, and of their squares. Sums of
    /// a whole history may wrap; their differences do not.
    cells: Vec<Vec<i64>>,
    sums: Vec<Vec<i64>>,
    present: Vec<Vec<u32>>,
    squares: Vec<Vec<i128>>,
    /// Per level of the definition, of events that have it.
    levels: Vec<Vec<u32>>,
    frauds: Vec<u32>,
    /// Of the reading that was gone through last, per event: the first event in the window and the one after its last.
    ranges: Vec<[u32; 2]>,
    /// Per extremum of its track and event: the event that has the least or largest number.
    extreme: Vec<Vec<usize>>,
}

/// What a range of a key's events adds up to.
struct Range<'a> {
    key: &'a Key<'a>,
    track: &'a Track,
    begin: usize,
    end: usize,
}

impl Range<'_> {
    /// The difference of running counts over the range.
    #[inline]
    fn of(&self, running: &[u32]) -> u32 {
        running[self.end] - running[self.begin]
    }
}

impl Counts for Range<'_> {
    #[inline]
    fn n(&self) -> u32 {
        (self.end - self.begin) as u32
    }
    #[inline]
    fn total(&self, sum: usize) -> i128 {
        let sums = &self.key.sums[self.track.sums[sum]];
        i128::from(sums[self.end].wrapping_sub(sums[self.begin]))
    }
    #[inline]
    fn present(&self, sum: usize) -> u32 {
        self.of(&self.key.present[self.track.sums[sum]])
    }
    #[inline]
    fn squares(&self, square: usize) -> i128 {
        let squares = &self.key.squares[self.track.sums[self.track.squares[square]]];
        squares[self.end].wrapping_sub(squares[self.begin])
    }
    fn distinct(&self, _: usize) -> u32 {
        unreachable!("groups that count different values are left to the rings")
    }
    #[inline]
    fn level(&self, i: usize) -> u32 {
        self.of(&self.key.levels[self.track.levels[i]])
    }
    /// All labels are known: windows of labels are moved back by the delay.
    #[inline]
    fn frauds(&self) -> u32 {
        self.of(&self.key.frauds)
    }
}

impl<'a> Key<'a> {
    fn new(definition: &'a Definition, plan: &'a GroupPlan, own: &[usize]) -> Key<'a> {
        let mut readings: Vec<Reading<'a>> = Vec::new();
        for figure in &plan.figures {
            let place = |r: &Reading<'_>| (r.track, r.window, r.before);
            let wanted = (figure.track, figure.window, figure.before);
            let column = own.iter().position(|column| *column == figure.column).unwrap_or(0);
            match readings.iter_mut().find(|r| place(r) == wanted) {
                Some(reading) => reading.figures.push((column, &figure.kind)),
                None => {
                    let (track, window, before) = wanted;
                    readings.push(Reading { track, window, before, figures: vec![(column, &figure.kind)] });
                }
            }
        }
        let n = plan.numbers.len();
        Key {
            plan,
            numbers: &definition.numbers,
            readings,
            times: Vec::new(),
            moments: Vec::new(),
            cells: vec![Vec::new(); n],
            sums: vec![Vec::new(); n],
            present: vec![Vec::new(); n],
            squares: vec![Vec::new(); n],
            levels: vec![Vec::new(); definition.levels.len()],
            frauds: Vec::new(),
            ranges: Vec::new(),
            extreme: Vec::new(),
        }
    }

    fn read(&mut self, events: &Events, rows: &[u32]) {
        fn running<T: Copy + Default>(to: &mut Vec<T>, add: impl Fn(T, usize) -> T, n: usize) {
            to.clear();
            to.reserve(n + 1);
            let mut sum = T::default();
            to.push(sum);
            for i in 0..n {
                sum = add(sum, i);
                to.push(sum);
            }
        }
        let n = rows.len();
        self.times.clear();
        self.times.extend(rows.iter().map(|row| events.times[*row as usize]));
        self.moments.clear();
        match &self.plan.tiles {
            None => self.moments.extend(&self.times),
            Some(tiles) => self.moments.extend(self.times.iter().map(|time| tiles.begin(*time))),
        }
        self.moments.extend(ENDS);
        for (i, number) in self.plan.numbers.iter().enumerate() {
            let cells = &mut self.cells[i];
            cells.clear();
            cells.extend(rows.iter().map(|row| events.numbers[*number][*row as usize]));
            let (cells, is) = (&self.cells[i], |at: usize| self.cells[i][at] != MISSING);
            running(&mut self.sums[i], |sum, at| if is(at) { sum.wrapping_add(cells[at]) } else { sum }, n);
            running(&mut self.present[i], |sum, at| sum + u32::from(is(at)), n);
            let squared = |track: &Track| track.squares.iter().any(|sum| track.sums[*sum] == i);
            if self.plan.tracks.iter().any(squared) {
                let square = |at: usize| i128::from(cells[at]) * i128::from(cells[at]);
                running(&mut self.squares[i], |sum, at| if is(at) { sum.wrapping_add(square(at)) } else { sum }, n);
            }
        }
        for level in self.plan.tracks.iter().flat_map(|track| &track.levels) {
            let has = |at: usize| events.levels[rows[at] as usize] >> *level & 1;
            running(&mut self.levels[*level], |sum, at| sum + u32::from(has(at)), n);
        }
        if self.plan.label.is_some() {
            let is_fraud = |at: usize| events.labels.get(rows[at] as usize) == Some(&FRAUD);
            running(&mut self.frauds, |sum, at| sum + u32::from(is_fraud(at)), n);
        }
    }

    /// True if more events of the key are in its longest window than are kept.
    fn is_too_long(&self) -> bool {
        let most = MAX_EVENTS as usize;
        let pairs = self.times.iter().zip(self.times.iter().skip(most));
        self.times.len() > most && pairs.into_iter().any(|(first, last)| *first > last - self.plan.horizon)
    }

    /// Moves the window of a reading over the events, and notes what is in it at each.
    fn go_through(&mut self, at: usize) {
        let reading = &self.readings[at];
        let track = &self.plan.tracks[reading.track];
        let (span, _) = track.windows[reading.window];
        self.ranges.clear();
        let (mut begin, mut end) = (0, 0);
        for (i, time) in self.times.iter().enumerate() {
            let until = self.plan.end(*time, track.shift);
            end = if track.shift > 0 { later(&self.moments, end, until) } else { i + usize::from(!reading.before) };
            begin = later(&self.moments, begin, until - span);
            self.ranges.push([begin as u32, end as u32]);
        }
        let n_extrema = self.extreme.len().max(track.extrema.len());
        self.extreme.resize(n_extrema, Vec::new());
        for (extremum, extreme) in track.extrema.iter().zip(&mut self.extreme) {
            extreme_events(extremum.is_max, &self.cells[track.sums[extremum.sum]], &self.ranges, extreme);
        }
    }

    /// Writes the figures of the reading that was gone through last.
    fn write(&self, at: usize, rows: &[u32], n_rows: usize, values: &mut [f64]) {
        let reading = &self.readings[at];
        let track = &self.plan.tracks[reading.track];
        for (column, kind) in &reading.figures {
            let values = &mut values[column * n_rows..][..n_rows];
            // The most frequent ones as constants: what they have in common with the others falls out of their loops.
            match **kind {
                FigureKind::Count => self.write_figure(&FigureKind::Count, track, rows, values),
                FigureKind::Mean(sum) => self.write_figure(&FigureKind::Mean(sum), track, rows, values),
                FigureKind::LabelMean => self.write_figure(&FigureKind::LabelMean, track, rows, values),
                _ => self.write_figure(kind, track, rows, values),
            }
        }
    }

    #[inline(always)]
    fn write_figure(&self, kind: &FigureKind, track: &Track, rows: &[u32], values: &mut [f64]) {
        for (i, (row, range)) in rows.iter().zip(&self.ranges).enumerate() {
            let counts = Range { key: self, track, begin: range[0] as usize, end: range[1] as usize };
            let since_last = if i > 0 { self.times[i] - self.times[i - 1] } else { 0 };
            let window = Window { counts, track, plan: self.plan, numbers: self.numbers, since_last };
            let own = |number: usize| {
                self.plan.numbers.iter().position(|n| *n == number).map_or(MISSING, |n| self.cells[n][i])
            };
            let extremum = |e: usize, n: usize| self.cells[n].get(self.extreme[e][i]).copied().unwrap_or(MISSING);
            values[*row as usize] = window.figure(kind, own, extremum);
        }
    }
}

/// From `at` on the first event that is later than a time: of a few the earlier ones are counted, because how many there are no
/// branch foretells.
#[inline]
fn later(moments: &[i64], mut at: usize, time: i64) -> usize {
    while let Some(next) = moments.get(at..at + ENDS.len()) {
        let n = next.iter().map(|moment| usize::from(*moment <= time)).sum::<usize>();
        at += n;
        if n < next.len() {
            break;
        }
    }
    at
}

/// The event with the least or largest cell of each range, by a queue in which what a cell outdoes leaves; beyond the last where
/// there is none.
fn extreme_events(is_max: bool, cells: &[i64], ranges: &[[u32; 2]], to: &mut Vec<usize>) {
    to.clear();
    let (mut queue, mut entered) = (VecDeque::new(), 0);
    for &[begin, end] in ranges {
        while entered < end as usize {
            let cell = cells[entered];
            if cell != MISSING {
                let is_outdone = |other: &usize| if is_max { cells[*other] <= cell } else { cells[*other] >= cell };
                while queue.back().is_some_and(is_outdone) {
                    queue.pop_back();
                }
                queue.push_back(entered);
            }
            entered += 1;
        }
        while queue.front().is_some_and(|first| *first < begin as usize) {
            queue.pop_front();
        }
        to.push(queue.front().copied().unwrap_or(cells.len()));
    }
}
