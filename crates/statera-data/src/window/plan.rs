//! Where everything lies: the words of a key's slot, the words of an event's record, and the figures that are read of them.
//!
//! A slot begins with its key, last event and ring; then come its tracks. A track is a set of windows that end at the same
//! place: now, or so long ago. Each window has its first event, its count, and the sums it needs.

use super::declaration::{SINCE_LAST, Shift, What};
use super::definition::Definition;
use super::slab::{i64_at, set_i64, set_u128, u128_at};
use super::tile::TilePlan;

/// Words of a slot: the key (4).
pub(super) const KEY: usize = 0;
/// Time of the last event (2).
pub(super) const LAST_TIME: usize = 4;
/// Its id (4).
pub(super) const LAST_ID: usize = 6;
/// Address of the oldest event that is kept.
pub(super) const FIRST: usize = 10;
/// Address of the last event.
pub(super) const LAST: usize = 11;
/// Events that are kept; 0 of a free slot.
pub(super) const N: usize = 12;
/// Labels that wait for their time.
pub(super) const PENDING: usize = 13;
/// The first word of the tracks.
const TRACKS: usize = 14;
/// Most numbers that one key sums.
pub(super) const MAX_SUMS: usize = 16;
/// Words of a record before its numbers: its time in 48 bits and 16 flags.
pub(super) const RECORD_HEAD: usize = 2;

/// Events of one kind of key, with all windows over them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GroupPlan {
    /// Columns of the key.
    pub key: Vec<String>,
    /// Where a record is a tile of events in place of an event.
    pub tiles: Option<TilePlan>,
    /// Number columns that records keep, as indices of the definition's; in records at `number_at`.
    pub numbers: Vec<usize>,
    /// Columns whose cells records keep as codes of two words each.
    pub codes: Vec<usize>,
    pub tracks: Vec<Track>,
    pub steps: Vec<StepsPlan>,
    pub figures: Vec<Figure>,
    /// Where records keep the number of their event among those that wait for labels; tiles, of their last such event.
    pub label: Option<usize>,
    pub record_words: usize,
    pub slot_words: usize,
    /// Microseconds after which an event of this group is in no window any more.
    pub horizon: i64,
}

/// Windows that end at the same place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    /// Microseconds that they are moved back.
    pub shift: i64,
    /// Of a track that is moved back, in the slot: the next event to enter, and the number of those waiting.
    pub head: usize,
    /// Words of a sum: 2, and 4 of tiles, which may hold more events.
    pub sum_words: usize,
    /// Lengths in microseconds, ascending, and where each lies in the slot.
    pub windows: Vec<(i64, usize)>,
    /// Numbers that are summed, as indices of the group's.
    pub sums: Vec<usize>,
    /// Those whose squares are summed too, as indices of `sums`.
    pub squares: Vec<usize>,
    pub extrema: Vec<Extremum>,
    /// Codes whose different values are counted, as indices of the group's.
    pub distinct: Vec<usize>,
    /// Levels that are counted, as bits of the flags.
    pub levels: Vec<usize>,
    pub label: bool,
}

/// The least or largest number of each window: the monotone queue that the records link.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extremum {
    /// As index of the track's `sums`.
    pub sum: usize,
    pub is_max: bool,
    /// In the slot: the last record of the queue.
    pub back: usize,
    /// In records: the one before and the one after.
    pub link: usize,
    /// In tiles: the tile's own least or largest number.
    pub own: usize,
}

/// The last events as steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepsPlan {
    pub n_steps: usize,
    pub within: i64,
    /// In the slot: the first event and the number of events.
    pub at: usize,
    /// Numbers of the group; `None` is the time since the step before.
    pub columns: Vec<Option<usize>>,
    /// The first column that is made.
    pub column: usize,
}

/// A figure of a window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    /// The column that is made.
    pub column: usize,
    pub track: usize,
    pub window: usize,
    /// True if it is read before the event enters.
    pub before: bool,
    pub kind: FigureKind,
}

/// Indices are of the track's lists.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FigureKind {
    Count,
    SinceLast,
    Sum(usize),
    Mean(usize),
    Std(usize, usize),
    Extremum(usize),
    Ratio(usize),
    Distinct(usize),
    Share(usize),
    Labels,
    LabelMean,
}

impl Track {
    pub(super) fn new(shift: i64, sum_words: usize) -> Track {
        Track {
            shift,
            head: 0,
            sum_words,
            windows: Vec::new(),
            sums: Vec::new(),
            squares: Vec::new(),
            extrema: Vec::new(),
            distinct: Vec::new(),
            levels: Vec::new(),
            label: false,
        }
    }

    /// Words of a window before the sum `i`: its first event and its count, then the words of a sum and a count each.
    pub fn sum_at(&self, i: usize) -> usize {
        2 + (self.sum_words + 1) * i
    }
    /// Words of a window before the count of the present numbers of the sum `i`.
    pub fn present_at(&self, i: usize) -> usize {
        self.sum_at(i) + self.sum_words
    }
    /// The sum `i` of a window.
    #[inline]
    pub fn total(&self, words: &[u32], i: usize) -> i128 {
        let at = self.sum_at(i);
        if self.sum_words == 2 { i128::from(i64_at(words, at)) } else { u128_at(words, at) as i128 }
    }
    #[inline]
    pub fn set_total(&self, words: &mut [u32], i: usize, total: i128) {
        let at = self.sum_at(i);
        if self.sum_words == 2 { set_i64(words, at, total as i64) } else { set_u128(words, at, total as u128) }
    }
    pub fn square_at(&self, i: usize) -> usize {
        self.sum_at(self.sums.len()) + 4 * i
    }
    /// The sum of squares `i` of a window.
    #[inline]
    pub fn squares_of(&self, words: &[u32], i: usize) -> i128 {
        u128_at(words, self.square_at(i)) as i128
    }
    pub fn extremum_at(&self, i: usize) -> usize {
        self.square_at(self.squares.len()) + i
    }
    pub fn distinct_at(&self, i: usize) -> usize {
        self.extremum_at(self.extrema.len()) + i
    }
    pub fn level_at(&self, i: usize) -> usize {
        self.distinct_at(self.distinct.len()) + i
    }
    pub fn label_at(&self) -> usize {
        self.level_at(self.levels.len())
    }
    pub(super) fn window_words(&self) -> usize {
        self.label_at() + usize::from(self.label)
    }
}

impl GroupPlan {
    /// Where records keep a number of the group.
    pub fn number_at(number: usize) -> usize {
        RECORD_HEAD + number
    }
    /// Where records keep a code of the group.
    pub fn code_at(&self, code: usize) -> usize {
        RECORD_HEAD + self.numbers.len() + 2 * code
    }

    /// Where the windows of a track end at `time`, in the times that records have: up to there they have entered.
    #[inline]
    pub fn end(&self, time: i64, shift: i64) -> i64 {
        self.tiles.as_ref().map_or(time.saturating_sub(shift), |tiles| tiles.end(time, shift))
    }

    fn new(key: &[String], resolution: Option<i64>) -> GroupPlan {
        GroupPlan {
            key: key.to_vec(),
            tiles: resolution.map(TilePlan::new),
            numbers: Vec::new(),
            codes: Vec::new(),
            tracks: Vec::new(),
            steps: Vec::new(),
            figures: Vec::new(),
            label: None,
            record_words: 0,
            slot_words: 0,
            horizon: 0,
        }
    }

    /// The track of a shift.
    fn track(&mut self, shift: i64) -> usize {
        self.tracks.iter().position(|t| t.shift == shift).unwrap_or_else(|| {
            self.tracks.push(Track::new(shift, if self.tiles.is_some() { 4 } else { 2 }));
            self.tracks.len() - 1
        })
    }

    /// Says where everything lies once everything is known.
    fn lay_out(&mut self) {
        let mut record = self.code_at(self.codes.len());
        let mut slot = TRACKS;
        let label = self.tracks.iter().any(|t| t.label);
        if let Some(tiles) = &mut self.tiles {
            self.label = label.then_some(TilePlan::LABEL);
            record = tiles.lay_out(self.numbers.len(), &mut self.tracks, slot);
            slot += 1;
        } else if label {
            self.label = Some(record);
            record += 1;
        }
        for track in &mut self.tracks {
            if track.shift > 0 {
                track.head = slot;
                slot += 2;
            }
            for extremum in &mut track.extrema {
                (extremum.back, extremum.link) = (slot, record);
                (slot, record) = (slot + 1, record + 2);
            }
            let words = track.window_words();
            for (_, at) in &mut track.windows {
                (*at, slot) = (slot, slot + words);
            }
            let longest = track.windows.last().map_or(0, |(span, _)| *span);
            // A tile is kept until it has left whole, and enters a window that is moved back when it is over.
            let rest = self.tiles.as_ref().map_or(0, |t| t.resolution * (1 + i64::from(track.shift > 0)));
            self.horizon = self.horizon.max(track.shift + longest + rest);
        }
        for steps in &mut self.steps {
            (steps.at, slot) = (slot, slot + 2);
            self.horizon = self.horizon.max(steps.within);
        }
        (self.record_words, self.slot_words) = (record, slot);
    }
}

/// The index of an item that is added if it is not there.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|i| *i == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// The groups of a definition; marks the columns that are whole numbers.
pub(super) fn plan_groups(definition: &mut Definition) -> Vec<GroupPlan> {
    let windows = definition.windows.clone();
    let mut groups: Vec<GroupPlan> = Vec::new();
    let group = |groups: &mut Vec<GroupPlan>, key: &[String], resolution: Option<i64>| {
        let is = |g: &GroupPlan| g.key == key && g.tiles.as_ref().map(|t| t.resolution) == resolution;
        groups.iter().position(is).unwrap_or_else(|| {
            groups.push(GroupPlan::new(key, resolution));
            groups.len() - 1
        })
    };
    let mut column = 0;
    for feature in &windows.features {
        let at = group(&mut groups, &feature.key, feature.resolution.map(super::Span::micros));
        let shift = match feature.shift {
            None => 0,
            Some(Shift::Label) => definition.label_delay,
            Some(Shift::By(span)) => span.micros(),
        };
        let track = groups[at].track(shift);
        for what in &feature.what {
            let kind = kind_of(*what, feature, definition, &mut groups[at], track);
            for over in &feature.over {
                place(&mut groups[at].tracks[track].windows, (over.micros(), 0));
                let before = *what == What::SinceLast || !feature.current;
                // The window's place is told by its length until all are known.
                let window = over.micros() as usize;
                groups[at].figures.push(Figure { column, track, window, before, kind: kind.clone() });
                let is_label = windows.label.is_some() && feature.of == windows.label;
                definition.columns[column].1 =
                    matches!(what, What::Count | What::Distinct) || (is_label && *what == What::Sum);
                column += 1;
            }
        }
    }
    for steps in &windows.sequences {
        let at = group(&mut groups, &steps.key, None);
        let columns = steps.of.iter().map(|name| {
            let number = definition.numbers.iter().position(|n| n.name == *name);
            number.filter(|_| name != SINCE_LAST).map(|number| place(&mut groups[at].numbers, number))
        });
        let columns: Vec<Option<usize>> = columns.collect();
        let n_columns = columns.len() * steps.steps;
        groups[at].steps.push(StepsPlan {
            n_steps: steps.steps,
            within: steps.within.micros(),
            at: 0,
            columns,
            column,
        });
        column += n_columns;
    }
    for group in &mut groups {
        for track in &mut group.tracks {
            track.windows.sort_unstable();
        }
        let tracks = &group.tracks;
        for figure in &mut group.figures {
            let windows = &tracks[figure.track].windows;
            figure.window = windows.iter().position(|(span, _)| *span as usize == figure.window).unwrap_or(0);
        }
        group.lay_out();
    }
    groups
}

/// The figure, with what the track needs for it.
fn kind_of(
    what: What,
    feature: &super::Feature,
    definition: &Definition,
    group: &mut GroupPlan,
    track: usize,
) -> FigureKind {
    let of = feature.of.as_ref();
    if of.is_some() && of == definition.windows.label.as_ref() && what != What::Count {
        group.tracks[track].label = true;
        return if what == What::Mean { FigureKind::LabelMean } else { FigureKind::Labels };
    }
    let numbers = &definition.numbers;
    let number = of.and_then(|name| numbers.iter().position(|n| n.name == *name)).unwrap_or(0);
    let sum = |group: &mut GroupPlan| {
        let number = place(&mut group.numbers, number);
        place(&mut group.tracks[track].sums, number)
    };
    let extremum = |group: &mut GroupPlan, is_max: bool| {
        let sum = sum(group);
        let extrema = &mut group.tracks[track].extrema;
        FigureKind::Extremum(extrema.iter().position(|e| e.sum == sum && e.is_max == is_max).unwrap_or_else(|| {
            extrema.push(Extremum { sum, is_max, back: 0, link: 0, own: 0 });
            extrema.len() - 1
        }))
    };
    match what {
        What::Count => FigureKind::Count,
        What::SinceLast => FigureKind::SinceLast,
        What::Min => extremum(group, false),
        What::Max => extremum(group, true),
        What::Sum => FigureKind::Sum(sum(group)),
        What::Mean => FigureKind::Mean(sum(group)),
        What::RatioToMean => FigureKind::Ratio(sum(group)),
        What::Std => {
            let sum = sum(group);
            FigureKind::Std(sum, place(&mut group.tracks[track].squares, sum))
        }
        What::Distinct => {
            let code = definition.codes.iter().position(|c| Some(c) == of).unwrap_or(0);
            let code = place(&mut group.codes, code);
            FigureKind::Distinct(place(&mut group.tracks[track].distinct, code))
        }
        What::Share => {
            let level = definition.levels.iter().position(|(c, l)| Some(c) == of && Some(l) == feature.level.as_ref());
            FigureKind::Share(place(&mut group.tracks[track].levels, level.unwrap_or(0)))
        }
    }
}
