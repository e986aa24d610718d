//! What is read of the windows of a key, and labels that come late.

use super::definition::NumberPlan;
use super::events::{Events, MISSING};
use super::group::{Group, IS_FRAUD, Place};
use super::plan::{Figure, FigureKind, GroupPlan, LAST, LAST_TIME, N, PENDING, Track};
use super::slab::{NONE, i64_at};

/// Microseconds of a second.
const SECOND: f64 = 1e6;

/// What is counted in a window, by the places that its track has for it.
pub(super) trait Counts {
    /// Events.
    fn n(&self) -> u32;
    /// The sum of a number, in units of its last decimal.
    fn total(&self, sum: usize) -> i128;
    /// Of how many events that is the sum.
    fn present(&self, sum: usize) -> u32;
    fn squares(&self, square: usize) -> i128;
    fn distinct(&self, i: usize) -> u32;
    fn level(&self, i: usize) -> u32;
    /// Known frauds.
    fn frauds(&self) -> u32;
}

/// The words of a window of a slot, as its track lays them out.
struct Laid<'a> {
    words: &'a [u32],
    track: &'a Track,
}

impl Counts for Laid<'_> {
    #[inline]
    fn n(&self) -> u32 {
        self.words[1]
    }
    #[inline]
    fn total(&self, sum: usize) -> i128 {
        self.track.total(self.words, sum)
    }
    #[inline]
    fn present(&self, sum: usize) -> u32 {
        self.words[self.track.present_at(sum)]
    }
    #[inline]
    fn squares(&self, square: usize) -> i128 {
        self.track.squares_of(self.words, square)
    }
    #[inline]
    fn distinct(&self, i: usize) -> u32 {
        self.words[self.track.distinct_at(i)]
    }
    #[inline]
    fn level(&self, i: usize) -> u32 {
        self.words[self.track.level_at(i)]
    }
    #[inline]
    fn frauds(&self) -> u32 {
        self.words[self.track.label_at()]
    }
}

/// What figures are read of.
pub(super) struct Window<'a, C> {
    pub counts: C,
    pub track: &'a Track,
    pub plan: &'a GroupPlan,
    pub numbers: &'a [NumberPlan],
    /// Microseconds since the key's event before.
    pub since_last: i64,
}

impl<C: Counts> Window<'_, C> {
    #[inline(always)]
    fn number(&self, sum: usize) -> &NumberPlan {
        &self.numbers[self.plan.numbers[self.track.sums[sum]]]
    }

    /// The mean of a number that some event has.
    #[inline(always)]
    fn mean(&self, sum: usize) -> f64 {
        as_f64(self.counts.total(sum)) / self.number(sum).scale / f64::from(self.counts.present(sum))
    }

    /// A figure. `own` has the event's cell of a number of the definition, `extremum` the i-th least or largest cell of the window, of
    /// a number of the group.
    #[inline(always)]
    pub fn figure(&self, kind: &FigureKind, own: impl Fn(usize) -> i64, extremum: impl Fn(usize, usize) -> i64) -> f64 {
        let Window { ref counts, track, since_last, .. } = *self;
        match *kind {
            FigureKind::Count => f64::from(counts.n()),
            FigureKind::SinceLast if counts.n() > 0 => since_last as f64 / SECOND,
            FigureKind::SinceLast => f64::NAN,
            FigureKind::Sum(sum) => as_f64(counts.total(sum)) / self.number(sum).scale,
            FigureKind::Mean(sum) if counts.present(sum) > 0 => self.mean(sum),
            FigureKind::Mean(_) => f64::NAN,
            FigureKind::Std(sum, square) if counts.present(sum) > 1 => {
                variance(counts.present(sum), counts.total(sum), counts.squares(square)).sqrt() / self.number(sum).scale
            }
            FigureKind::Std(..) => f64::NAN,
            FigureKind::Extremum(i) => {
                let sum = track.extrema[i].sum;
                if counts.present(sum) == 0 {
                    return f64::NAN;
                }
                extremum(i, track.sums[sum]) as f64 / self.number(sum).scale
            }
            FigureKind::Ratio(sum) => {
                let value = own(self.plan.numbers[track.sums[sum]]);
                if value == MISSING || counts.total(sum) == 0 {
                    return f64::NAN;
                }
                value as f64 / self.number(sum).scale / self.mean(sum)
            }
            FigureKind::Distinct(i) => f64::from(counts.distinct(i)),
            FigureKind::Share(i) if counts.n() > 0 => f64::from(counts.level(i)) / f64::from(counts.n()),
            FigureKind::Share(_) => f64::NAN,
            FigureKind::Labels => f64::from(counts.frauds()),
            FigureKind::LabelMean if counts.n() > 0 => f64::from(counts.frauds()) / f64::from(counts.n()),
            FigureKind::LabelMean => 0.0,
        }
    }
}

/// The nearest double; most sums fit the conversion that a CPU has.
#[inline]
fn as_f64(sum: i128) -> f64 {
    i64::try_from(sum).map_or(sum as f64, |sum| sum as f64)
}

/// Variance with n - 1 of numbers of which that many are there, with their sum and the sum of their squares: exact before the one
/// division, unless there are so many in a window of tiles that 128 bits do not hold it. Then it is taken from the nearest whole
/// number to the mean, which leaves sums that they do hold.
#[inline]
fn variance(n: u32, sum: i128, squares: i128) -> f64 {
    let n = i128::from(n);
    if let (Some(squares), Some(sum)) = (n.checked_mul(squares), sum.checked_mul(sum)) {
        return (squares - sum) as f64 / (n * (n - 1)) as f64;
    }
    let mean = (2 * sum + n).div_euclid(2 * n);
    let rest = sum - n * mean;
    let spread = squares - 2 * mean * sum + n * mean * mean;
    (spread as f64 - (rest * rest) as f64 / n as f64) / (n - 1) as f64
}

impl Group {
    /// Writes the figures that are read before or after an event enters; NaN is missing.
    pub(super) fn figures(&self, slot: u32, before: bool, event: (&Events, usize), plan: &GroupPlan, out: &mut [f64]) {
        for figure in plan.figures.iter().filter(|f| f.before == before) {
            out[figure.column] = self.figure(slot, figure, event, plan);
        }
    }

    fn figure(&self, slot: u32, figure: &Figure, (events, row): (&Events, usize), plan: &GroupPlan) -> f64 {
        let track = &plan.tracks[figure.track];
        let slot = self.slots.get(slot);
        let words = &slot[track.windows[figure.window].1..];
        let window = Window {
            counts: Laid { words, track },
            track,
            plan,
            numbers: &self.definition.numbers,
            since_last: events.times[row] - i64_at(slot, LAST_TIME),
        };
        let own = |number: usize| events.numbers[number][row];
        let extremum = |i: usize, number: usize| {
            self.least_or_largest(words[track.extremum_at(i)], &track.extrema[i], number, plan)
        };
        window.figure(&figure.kind, own, extremum)
    }

    /// Makes the event that was added last the last step, and writes the steps.
    pub(super) fn steps(&mut self, slot: u32, address: u32, plan: &GroupPlan, out: &mut [f64]) {
        let last = i64_at(self.slots.get(slot), LAST_TIME);
        for steps in &plan.steps {
            let (mut first, mut n) = (self.slots.get(slot)[steps.at], self.slots.get(slot)[steps.at + 1]);
            while n > 0 && self.time(first, last, plan) <= last.saturating_sub(steps.within) {
                (first, n) = (self.next(first), n - 1);
            }
            (first, n) = if n == 0 { (address, 1) } else { (first, n + 1) };
            // One more than the steps, from which the first of them tells its distance.
            if n as usize > steps.n_steps + 1 {
                (first, n) = (self.next(first), n - 1);
            }
            let words = self.slots.get_mut(slot);
            (words[steps.at], words[steps.at + 1]) = (first, n);
            let mut before = None;
            for left in (0..n as usize).rev() {
                let time = self.time(first, last, plan);
                let Some(step) = (steps.n_steps - 1).checked_sub(left) else {
                    (before, first) = (Some(time), self.next(first));
                    continue;
                };
                for (i, column) in steps.columns.iter().enumerate() {
                    let value = match column {
                        None => before.map_or(f64::NAN, |before| (time - before) as f64 / SECOND),
                        Some(number) => match self.number(first, *number, plan) {
                            MISSING => f64::NAN,
                            units => units as f64 / self.definition.numbers[plan.numbers[*number]].scale,
                        },
                    };
                    out[steps.column + step * steps.columns.len() + i] = value;
                }
                before = Some(time);
                first = if first == address { NONE } else { self.next(first) };
            }
        }
    }

    /// Takes note that an event was a fraud, which became known at `when`: at once if its key's last event is not earlier, else
    /// before the key's first event from then on.
    pub(super) fn label_fraud(&mut self, place: Place, when: i64, plan: &GroupPlan) {
        let words = self.slots.get_mut(place.slot);
        if when <= i64_at(words, LAST_TIME) {
            return self.count_frauds(place, 1, plan);
        }
        words[PENDING] += 1;
        *self.pending.entry((place.slot, when, place.address)).or_default() += 1;
    }

    /// Counts the labels that are known by `time`.
    pub(super) fn settle(&mut self, slot: u32, time: i64, plan: &GroupPlan) {
        let range = (slot, i64::MIN, 0)..=(slot, time, NONE);
        let due: Vec<((u32, i64, u32), u32)> = self.pending.range(range).map(|(key, n)| (*key, *n)).collect();
        for (key, n) in due {
            self.pending.remove(&key);
            self.slots.get_mut(slot)[PENDING] -= n;
            self.count_frauds(Place { slot, address: key.2 }, n, plan);
        }
    }

    /// Forgets labels that wait: of one event, or of all of a key.
    pub(super) fn drop_pending(&mut self, slot: u32, address: Option<u32>) {
        let all = self.pending.range((slot, i64::MIN, 0)..=(slot, i64::MAX, NONE));
        let all = all.map(|(key, n)| (*key, *n));
        let dropped: Vec<_> = all.filter(|(key, _)| address.is_none_or(|a| key.2 == a)).collect();
        for (key, n) in &dropped {
            self.pending.remove(key);
            self.slots.get_mut(slot)[PENDING] -= n;
        }
    }

    /// Adds frauds of a record to the windows that it is in: the windows are those of the key's last event.
    fn count_frauds(&mut self, Place { slot, address }: Place, n: u32, plan: &GroupPlan) {
        let record = self.record_mut(address, plan);
        match &plan.tiles {
            Some(tiles) => record[tiles.frauds_at()] += n,
            None if record[1] >> 16 & IS_FRAUD != 0 => return,
            None => record[1] |= IS_FRAUD << 16,
        }
        let last = i64_at(self.slots.get(slot), LAST_TIME);
        let time = self.time(address, last, plan);
        debug_assert!(self.slots.get(slot)[N] > 0 && self.slots.get(slot)[LAST] != NONE, "the key has events");
        for track in plan.tracks.iter().filter(|t| t.label) {
            let end = plan.end(last, track.shift);
            for &(span, window) in &track.windows {
                if time <= end && time > end.saturating_sub(span) {
                    self.slots.get_mut(slot)[window + track.label_at()] += n;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_of_more_numbers_than_128_bits_hold_is_near() {
        let check = |n: u32, sum: i128, squares: i128, expected: f64| {
            let made = variance(n, sum, squares);
            assert!((made / expected - 1.0).abs() < 1e-12, "{made}, not {expected}");
        };
        check(4, 10, 30, 5.0 / 3.0);
        // Three of four are 10^12, the others its contrary: their mean is half of it.
        let (n, most) = (4_000_000_000, 10i128.pow(12));
        check(n, 2 * 10i128.pow(21), 4 * 10i128.pow(33), 0.75 * most.pow(2) as f64 * 4e9 / (4e9 - 1.0));
        // All are 10^12 but one, which is 1 less.
        let squares = (i128::from(n) - 1) * most.pow(2) + (most - 1).pow(2);
        assert!(i128::from(n).checked_mul(squares).is_none());
        check(n, i128::from(n) * most - 1, squares, (1.0 - 1.0 / 4e9) / (4e9 - 1.0));
    }
}
