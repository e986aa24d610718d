//! The state of all windows as events happen.

use super::definition::Definition;
use super::events::{Events, NO_KEY, code_of_id};
use super::group::Group;
use super::refusal::Refusal;
use super::waiting::Waiting;
use arrow_array::ArrayRef;
use std::sync::Arc;

/// Slots that are looked at for an idle key when there are too many keys.
const LOOKED_AT: u32 = 64;

/// What happens when a new key comes and there are as many as are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The event is refused.
    Refuse,
    /// Of some keys the one whose last event is the oldest is forgotten, and that is told.
    Evict,
}

/// Bounds of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Keys of a kind, at least 1. Default 2 million.
    pub max_keys: u32,
    /// What happens beyond. Default: refuse.
    pub when_full: WhenFull,
    /// Microseconds by which an event may be ahead of the clock. Default 5 minutes.
    pub max_ahead: i64,
    /// Microseconds by which an event may be behind the latest of all. Default 1 day.
    pub max_behind: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_keys: 2_000_000, when_full: WhenFull::Refuse, max_ahead: 300_000_000, max_behind: 86_400_000_000 }
    }
}

/// What taking an event did beside counting it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Keys that were idle for longer than the longest window and are forgotten; no figure changes by that.
    pub n_expired: u32,
    /// Keys that were forgotten though they had events in windows, because there were too many.
    pub n_evicted: u32,
}

/// All windows as of the last event of each key.
///
/// Events come in the order (time, id) of each key; different keys may be in any order as far as [`Limits::max_behind`] allows.
/// A refused event or label leaves the state as it was. Memory is bounded by the keys and by the events in the longest window.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) definition: Arc<Definition>,
    pub(super) limits: Limits,
    pub(super) groups: Vec<Group>,
    pub(super) waiting: Option<Waiting>,
    /// The latest time of all events.
    pub(super) clock: i64,
    freed: Vec<u32>,
}

impl State {
    /// Without events.
    pub fn new(definition: Arc<Definition>, limits: Limits) -> State {
        let groups: Vec<Group> = (0..definition.groups.len()).map(|at| Group::new(definition.clone(), at)).collect();
        let counting: Vec<usize> = (0..groups.len()).filter(|at| definition.groups[*at].label.is_some()).collect();
        let has_tiles = counting.iter().any(|at| definition.groups[*at].tiles.is_some());
        let waiting = (!counting.is_empty()).then(|| Waiting::new(counting, has_tiles));
        State { definition, limits, groups, waiting, clock: i64::MIN, freed: Vec::new() }
    }

    /// What it counts.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Bounds what comes from now on. What is there stays, also where it is more than the limits allow.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Time of the latest event, microseconds UTC; `None` before the first.
    pub fn clock(&self) -> Option<i64> {
        (self.clock > i64::MIN).then_some(self.clock)
    }

    /// Keys by kind: the columns of the key and how many are kept.
    pub fn n_keys(&self) -> Vec<(String, u32)> {
        self.groups.iter().map(|g| (g.key_name(), g.slots.n_live())).collect()
    }

    /// Events that a label is still taken for.
    pub fn n_waiting(&self) -> u32 {
        self.waiting.as_ref().map_or(0, |w| w.entries.n_live())
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(Group::bytes).sum::<usize>() + self.waiting.as_ref().map_or(0, Waiting::bytes)
    }

    /// Takes an event and writes its columns to `out`, in the order of [`Definition::column_names`]; NaN is missing. `now` is
    /// the clock's time, microseconds UTC; `None` where events of the past are replayed.
    ///
    /// # Errors
    /// A [`Refusal`]; the state is untouched then.
    ///
    /// # Panics
    /// `out` is not as long as the columns, or `events` are of another definition.
    pub fn advance(
        &mut self,
        events: &Events,
        row: usize,
        now: Option<i64>,
        out: &mut [f64],
    ) -> Result<Taken, Refusal> {
        assert_eq!(out.len(), self.definition.n_columns(), "one number a column");
        self.check(events, row, now)?;
        let mut taken = self.make_room(events, row)?;
        out.fill(f64::NAN);
        let time = events.times[row];
        self.clock = self.clock.max(time);
        let entry = self.waiting.as_mut().map(|w| w.open(events.ids[row], time));
        let definition = self.definition.clone();
        for (at, plan) in definition.groups.iter().enumerate() {
            let found = self.groups[at].find(events.keys[at][row]);
            let place = self.groups[at].take((events, row), found, plan, &mut self.freed, out);
            let Some(place) = place else { continue };
            self.note_left(at);
            if let (Some(waiting), Some(entry)) = (&mut self.waiting, entry)
                && let Some(i) = waiting.groups.iter().position(|g| *g == at)
            {
                let before = self.groups[at].note_entry(place.address, entry, plan);
                waiting.put(entry, i, place, before);
            }
        }
        if let (Some(waiting), Some(entry)) = (&mut self.waiting, entry) {
            if !waiting.is_in_a_ring(entry) {
                waiting.close(entry);
            } else if let Some((is_fraud, known)) = events.label(row, self.definition.label_delay) {
                self.set_label(entry, is_fraud, known);
            }
        }
        taken.n_expired += self.expire();
        Ok(taken)
    }

    /// Takes a label: whether an event was a fraud, and when that became known, microseconds UTC. Figures of events before that
    /// time do not know it. True if it was new, false if it had been said before.
    ///
    /// # Errors
    /// A [`Refusal`]: an event that is not known (any more), a label that contradicts an earlier one, one that was known before
    /// its event. The state is untouched then.
    pub fn label(&mut self, id: &str, is_fraud: bool, when: i64) -> Result<bool, Refusal> {
        let waiting = self.waiting.as_ref().ok_or(Refusal::NoLabel)?;
        let unknown = || Refusal::Unknown { id: id.into() };
        let entry = waiting.find(code_of_id(id)).ok_or_else(unknown)?;
        if let Some(holds) = waiting.label(entry) {
            return if holds == is_fraud { Ok(false) } else { Err(Refusal::Disagreement { id: id.into(), holds }) };
        }
        let (at, place) = waiting.places(entry).next().ok_or_else(unknown)?;
        let time = waiting.time(entry).unwrap_or_else(|| self.groups[at].time_of(place));
        if when < time {
            return Err(Refusal::EarlyLabel { id: id.into(), time, when });
        }
        self.set_label(entry, is_fraud, when);
        Ok(true)
    }

    fn set_label(&mut self, entry: u32, is_fraud: bool, when: i64) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.set_label(entry, is_fraud);
        if is_fraud {
            let places: Vec<_> = waiting.places(entry).collect();
            for (at, place) in places {
                self.groups[at].label_fraud(place, when, &self.definition.groups[at]);
            }
        }
    }

    /// What speaks against an event.
    fn check(&self, events: &Events, row: usize, now: Option<i64>) -> Result<(), Refusal> {
        if let Some(refusal) = events.refused.get(&row) {
            return Err(refusal.clone());
        }
        let time = events.times[row];
        if let Some(latest) = now.map(|now| now.saturating_add(self.limits.max_ahead))
            && time > latest
        {
            return Err(Refusal::Future { id: events.id(row), time, latest });
        }
        let earliest = self.clock.saturating_sub(self.limits.max_behind);
        if self.clock > i64::MIN && time < earliest {
            return Err(Refusal::FarPast { id: events.id(row), time, earliest });
        }
        if self.waiting.as_ref().is_some_and(|w| w.find(events.ids[row]).is_some()) {
            return Err(Refusal::Duplicate { id: events.id(row) });
        }
        for group in &self.groups {
            group.check(events, row)?;
        }
        Ok(())
    }

    /// Room for the keys of an event.
    fn make_room(&mut self, events: &Events, row: usize) -> Result<Taken, Refusal> {
        let (mut taken, limits) = (Taken::default(), self.limits);
        let definition = self.definition.clone();
        let mut full = Vec::new();
        for (at, plan) in definition.groups.iter().enumerate() {
            let (group, key) = (&mut self.groups[at], events.keys[at][row]);
            if key == NO_KEY || group.slots.n_live() < limits.max_keys.max(1) || group.find(key).is_some() {
                continue;
            }
            let until = self.clock.saturating_sub(limits.max_behind).saturating_sub(plan.horizon);
            let mut n_expired = 0;
            for _ in 0..LOOKED_AT {
                n_expired += u32::from(group.remove_idle(until, plan, &mut self.freed));
            }
            self.note_left(at);
            taken.n_expired += n_expired;
            match limits.when_full {
                _ if n_expired > 0 => {}
                WhenFull::Evict => full.push(at),
                WhenFull::Refuse => {
                    let key = self.groups[at].key_name();
                    return Err(Refusal::TooManyKeys { key, limit: limits.max_keys });
                }
            }
        }
        for at in full {
            if let Some(slot) = self.groups[at].idlest(LOOKED_AT) {
                self.groups[at].remove(slot, &definition.groups[at], &mut self.freed);
                self.note_left(at);
                taken.n_evicted += 1;
            }
        }
        Ok(taken)
    }

    /// Looks at one slot of each kind for a key that has been idle for longer than all windows.
    fn expire(&mut self) -> u32 {
        let mut n_expired = 0;
        let definition = self.definition.clone();
        for (at, plan) in definition.groups.iter().enumerate() {
            let until = self.clock.saturating_sub(self.limits.max_behind).saturating_sub(plan.horizon);
            n_expired += u32::from(self.groups[at].remove_idle(until, plan, &mut self.freed));
            self.note_left(at);
        }
        n_expired
    }

    /// Takes note of the events that have left a group's rings.
    fn note_left(&mut self, at: usize) {
        match &mut self.waiting {
            Some(waiting) if !self.freed.is_empty() => {
                if let Some(i) = waiting.groups.iter().position(|g| *g == at) {
                    self.freed.iter().for_each(|entry| waiting.left(*entry, i));
                }
            }
            _ => {}
        }
        self.freed.clear();
    }

    /// Takes all events of a table that are not refused, in the order (time, id), and returns their columns in the table's order
    /// with what was refused, by row.
    pub fn advance_all(&mut self, events: &Events, now: Option<i64>) -> (Vec<ArrayRef>, Vec<(usize, Refusal)>) {
        let n_columns = self.definition.n_columns();
        let mut columns = vec![vec![f64::NAN; events.n_rows()]; n_columns];
        let (mut out, mut refused) = (vec![f64::NAN; n_columns], Vec::new());
        for row in super::sweep::order(events) {
            match self.advance(events, row, now, &mut out) {
                Ok(_) => columns.iter_mut().zip(&out).for_each(|(column, value)| column[row] = *value),
                Err(refusal) => refused.push((row, refusal)),
            }
        }
        refused.sort_by_key(|(row, _)| *row);
        (super::sweep::arrays(&self.definition, columns), refused)
    }
}
