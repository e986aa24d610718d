//! Work in flight: at most so much at once, urgent work first, the rest never starved, waiting bounded.
//!
//! A state machine without a clock and without threads: requests arrive and leave, and the gate says who goes in. Work is
//! measured in units (a request with a small body is one, a large one is many), so that the memory that bodies take is
//! bounded with it.
//!
//! Each of three classes has an assured part of the units; the parts add up to the whole. What urgent work does not use of
//! its part stays free, so that the next urgent request goes in at once; everyday work may borrow from batch work, urgent
//! work from both, batch work from nobody. A class below its part goes before every class above its own, and nobody
//! borrows while it waits: so it goes in as soon as what was borrowed comes back.

use std::collections::VecDeque;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The payment path.
    Urgent,
    /// What people and programs wait for.
    Everyday,
    /// Many rows at once, which nobody waits for.
    Batch,
}

impl Class {
    /// In the order in which they go in.
    pub const ALL: [Class; 3] = [Class::Urgent, Class::Everyday, Class::Batch];

    /// The name in metrics and in the header `x-priority`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Urgent => "urgent",
            Class::Everyday => "everyday",
            Class::Batch => "batch",
        }
    }
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Units in flight at most.
    pub units: u32,
    /// The part of urgent work.
    pub urgent: u32,
    /// The part of batch work; what is left is the part of everyday work. Every part is at least 1.
    pub batch: u32,
    /// Requests that wait at most, of all classes together.
    pub waiting: usize,
}

impl Room {
    /// What a class gets even if all others wait; no single request takes more.
    pub fn assured(&self, class: Class) -> u32 {
        match class {
            Class::Urgent => self.urgent,
            Class::Everyday => self.units - self.urgent - self.batch,
            Class::Batch => self.batch,
        }
    }
}

/// Who waits, as the caller knows them.
#[derive(Debug)]
struct Waiting<T> {
    token: T,
    ticket: u64,
    units: u32,
}

/// What happens to those who wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// They are in flight now.
    GoesIn(T),
    /// Their place in the queue was given to somebody more urgent.
    GivesWay(T),
}

/// What happens to who arrives.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<T> {
    /// In flight at once.
    In,
    /// Waiting, under this ticket; maybe another has to give way.
    Waits(u64, Option<Verdict<T>>),
    /// There is no room to wait.
    Full,
}

/// The state.
#[derive(Debug)]
pub struct Gate<T> {
    room: Room,
    used: [u32; 3],
    queues: [VecDeque<Waiting<T>>; 3],
    tickets: u64,
}

impl<T> Gate<T> {
    /// With nobody in.
    pub fn new(room: Room) -> Gate<T> {
        Gate { room, used: [0; 3], queues: Default::default(), tickets: 0 }
    }

    /// Units in flight of a class.
    pub fn used(&self, class: Class) -> u32 {
        self.used[class as usize]
    }

    /// Requests of a class that wait.
    pub fn waiting(&self, class: Class) -> usize {
        self.queues[class as usize].len()
    }

    /// Somebody arrives who needs `units` (cut to [`Room::assured`]: the caller gives the same number to [`Gate::leave`]).
    /// `token` is only asked for if they wait.
    pub fn arrive(&mut self, class: Class, units: u32, token: impl FnOnce() -> T) -> Arrival<T> {
        let units = self.cut(class, units);
        if self.queues[class as usize].is_empty() && self.may_enter(class, units) {
            self.used[class as usize] += units;
            return Arrival::In;
        }
        let mut gives_way = None;
        if self.queues.iter().map(VecDeque::len).sum::<usize>() >= self.room.waiting {
            // The newest of the least class makes room; who is of the least class themselves is refused.
            let less = Class::ALL.into_iter().rev().take_while(|c| *c > class).find(|c| self.waiting(*c) > 0);
            gives_way = less.and_then(|c| self.queues[c as usize].pop_back()).map(|w| Verdict::GivesWay(w.token));
            if gives_way.is_none() {
                return Arrival::Full;
            }
        }
        self.tickets += 1;
        let waiting = Waiting { token: token(), ticket: self.tickets, units };
        self.queues[class as usize].push_back(waiting);
        Arrival::Waits(self.tickets, gives_way)
    }

    /// Somebody who was in flight is done. Whoever goes in now is handed to `tell`.
    pub fn leave(&mut self, class: Class, units: u32, tell: impl FnMut(Verdict<T>)) {
        let units = self.cut(class, units);
        self.used[class as usize] = self.used[class as usize].saturating_sub(units);
        self.let_in(tell);
    }

    /// Somebody no longer waits. False if they do not wait any more: they are in flight, or gave way. Whoever goes in now,
    /// because a large request no longer stands before them, is handed to `tell`.
    pub fn give_up(&mut self, class: Class, ticket: u64, tell: impl FnMut(Verdict<T>)) -> bool {
        let queue = &mut self.queues[class as usize];
        let Some(i) = queue.iter().position(|w| w.ticket == ticket) else { return false };
        queue.remove(i);
        self.let_in(tell);
        true
    }

    fn let_in(&mut self, mut tell: impl FnMut(Verdict<T>)) {
        // Bounded by the number of those who wait.
        while let Some(class) = self.next() {
            let Some(first) = self.queues[class as usize].pop_front() else { return };
            self.used[class as usize] += first.units;
            tell(Verdict::GoesIn(first.token));
        }
    }

    /// The class whose first goes in now.
    fn next(&self) -> Option<Class> {
        if self.queues.iter().all(VecDeque::is_empty) {
            return None;
        }
        let first = |class: &Class| self.queues[*class as usize].front().map(|w| w.units);
        let enters = |class: &Class| first(class).is_some_and(|units| self.may_enter(*class, units));
        let below = |class: &Class| first(class).is_some_and(|units| self.is_below(*class, units));
        Class::ALL.into_iter().find(|c| below(c) && enters(c)).or_else(|| Class::ALL.into_iter().find(enters))
    }

    /// True if a request would be within its class's part.
    fn is_below(&self, class: Class, units: u32) -> bool {
        self.used(class) + units <= self.room.assured(class)
    }

    /// True if there is room, and nobody else waits whose room it is.
    fn may_enter(&self, class: Class, units: u32) -> bool {
        let others = self.used(Class::Everyday) + self.used(Class::Batch);
        let fits = self.used(Class::Urgent) + others + units <= self.room.units
            && (class == Class::Urgent || others + units <= self.room.units - self.room.urgent)
            && (class != Class::Batch || self.is_below(class, units));
        if !fits || self.is_below(class, units) {
            return fits;
        }
        let waits_below = |other: Class| {
            let first = self.queues[other as usize].front();
            other != class && first.is_some_and(|w| self.is_below(other, w.units))
        };
        !Class::ALL.into_iter().any(waits_below)
    }

    fn cut(&self, class: Class, units: u32) -> u32 {
        units.clamp(1, self.room.assured(class))
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
