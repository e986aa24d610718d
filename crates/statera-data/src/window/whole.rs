//! Windows of a whole table without rings: the events of a key lie together, a window is a range of them, and its sums are
//! differences of running sums.
//!
//! The sums are whole numbers, and figures are read of them as [`Group`](super::group::Group) reads its own: both give the same bits.
//! What needs more than sums and extrema (different values, steps, labels that become known at times of their own) is left to
//! the rings.

use super::definition::{Definition, MAX_EVENTS, NumberPlan};
use super::events::{Events, FRAUD, MISSING};
use super::figure::Window;
use super::index::hash;
use super::plan::{Extremum, FigureKind, GroupPlan, Track};
use super::ring::MAX_BLOCKS;
use super::slab::set_u128;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

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
    let has_codes = plan.tracks.iter().any(|track| !track.distinct.is_empty());
    plan.steps.is_empty() && !has_codes && events.known.is_empty() && n_rows <= MAX_BLOCKS as usize
}

/// The figures of events in the order (time, id), in which the keys of one group are mixed; column by column, `own` being the columns
/// of the group. `None` where a key has more events than are kept, which the rings refuse with a message.
pub(super) fn figures(definition: &Definition, events: &Events, at: usize, own: &[usize]) -> Option<Vec<f64>> {
    let (plan, n_rows) = (&definition.groups[at], events.n_rows());
    let (rows, ends) = by_key(&events.keys[at]);
    let mut values = vec![f64::NAN; own.len() * n_rows];
    let mut key = Key::new(definition, plan, own);
    let mut begin = 0;
    for end in ends {
        key.read(events, &rows[begin..end]);
        if key.is_too_long() {
            return None;
        }
        key.write(&rows[begin..end], n_rows, &mut values);
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
    /// Per number of the group: cells, and running sums of the present ones, of how many they are, and of their squares. Sums of
    /// a whole history may wrap; their differences do not.
    cells: Vec<Vec<i64>>,
    sums: Vec<Vec<i64>>,
    present: Vec<Vec<u32>>,
    squares: Vec<Vec<i128>>,
    /// Per level of the definition, of events that have it.
    levels: Vec<Vec<u32>>,
    frauds: Vec<u32>,
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
            cells: vec![Vec::new(); n],
            sums: vec![Vec::new(); n],
            present: vec![Vec::new(); n],
            squares: vec![Vec::new(); n],
            levels: vec![Vec::new(); definition.levels.len()],
            frauds: Vec::new(),
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

    /// Writes the figures of the key's rows.
    fn write(&self, rows: &[u32], n_rows: usize, values: &mut [f64]) {
        for reading in &self.readings {
            let track = &self.plan.tracks[reading.track];
            let (span, _) = track.windows[reading.window];
            let mut words = vec![0; track.label_at() + 1];
            let mut range = 0..0;
            let mut extrema = vec![VecDeque::new(); track.extrema.len()];
            for (i, row) in rows.iter().enumerate() {
                let until = self.plan.end(self.times[i], track.shift);
                let end = if track.shift > 0 {
                    let later = self.times[range.end..i].iter().position(|time| self.plan.moment(*time) > until);
                    later.map_or(i, |n| range.end + n)
                } else if reading.before {
                    i
                } else {
                    i + 1
                };
                for entered in range.end..end {
                    track.extrema.iter().zip(&mut extrema).for_each(|(e, queue)| self.enter(e, track, queue, entered));
                }
                range.end = end;
                let least = until.saturating_sub(span);
                while range.start < range.end && self.plan.moment(self.times[range.start]) <= least {
                    range.start += 1;
                }
                for queue in &mut extrema {
                    while queue.front().is_some_and(|first| *first < range.start) {
                        queue.pop_front();
                    }
                }
                self.lay(&mut words, track, &range);
                let since_last = if i > 0 { self.times[i] - self.times[i - 1] } else { 0 };
                let window = Window { words: &words, track, plan: self.plan, numbers: self.numbers, since_last };
                let own = |number: usize| {
                    self.plan.numbers.iter().position(|n| *n == number).map_or(MISSING, |n| self.cells[n][i])
                };
                let extremum = |e: usize, n: usize| extrema[e].front().map_or(MISSING, |first| self.cells[n][*first]);
                for (column, kind) in &reading.figures {
                    values[column * n_rows + *row as usize] = window.figure(kind, own, extremum);
                }
            }
        }
    }

    /// Puts a number at the end of the queue of least or largest numbers: what it outdoes leaves.
    fn enter(&self, extremum: &Extremum, track: &Track, queue: &mut VecDeque<usize>, at: usize) {
        let cells = &self.cells[track.sums[extremum.sum]];
        if cells[at] == MISSING {
            return;
        }
        let is_outdone = |other: i64| if extremum.is_max { other <= cells[at] } else { other >= cells[at] };
        while queue.back().is_some_and(|last| is_outdone(cells[*last])) {
            queue.pop_back();
        }
        queue.push_back(at);
    }

    /// The words of a window that has a range of the events. All their labels are known: windows of labels are moved back by the
    /// delay.
    #[inline]
    fn lay(&self, words: &mut [u32], track: &Track, range: &Range<usize>) {
        let (begin, end) = (range.start, range.end);
        words[1] = (end - begin) as u32;
        for (i, &number) in track.sums.iter().enumerate() {
            let total = self.sums[number][end].wrapping_sub(self.sums[number][begin]);
            track.set_total(words, i, i128::from(total));
            words[track.present_at(i)] = self.present[number][end] - self.present[number][begin];
        }
        for (i, &sum) in track.squares.iter().enumerate() {
            let squares = &self.squares[track.sums[sum]];
            set_u128(words, track.square_at(i), squares[end].wrapping_sub(squares[begin]) as u128);
        }
        for (i, &level) in track.levels.iter().enumerate() {
            words[track.level_at(i)] = self.levels[level][end] - self.levels[level][begin];
        }
        if track.label {
            words[track.label_at()] = self.frauds[end] - self.frauds[begin];
        }
    }
}
