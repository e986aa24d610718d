use super::*;
use statera_core::Rng;

const ROOM: Room = Room { units: 16, urgent: 4, batch: 4, waiting: 10 };

/// A request of the model: its class, its units, and when it arrived.
type Token = (Class, u32, u64);

/// The gate beside a plain account of who is in and who waits, checked after every step.
struct Model {
    gate: Gate<Token>,
    inside: Vec<Token>,
    waiting: Vec<(u64, Token)>,
    step: u64,
}

impl Model {
    fn new() -> Model {
        Model { gate: Gate::new(ROOM), inside: Vec::new(), waiting: Vec::new(), step: 0 }
    }

    /// Takes over what the gate told.
    fn told(&mut self, verdicts: Vec<Verdict<Token>>) {
        for verdict in verdicts {
            let (Verdict::GoesIn(token) | Verdict::GivesWay(token)) = verdict;
            let i = self.waiting.iter().position(|(_, t)| *t == token).expect("only who waits is told");
            // First come, first served within a class.
            if matches!(verdict, Verdict::GoesIn(_)) {
                assert!(self.waiting[..i].iter().all(|(_, t)| t.0 != token.0), "{token:?} overtook its own class");
                self.inside.push(token);
            }
            self.waiting.remove(i);
        }
        self.check();
    }

    fn arrive(&mut self, class: Class, units: u32) {
        self.step += 1;
        let token = (class, units.min(ROOM.assured(class)), self.step);
        match self.gate.arrive(class, units, || token) {
            Arrival::In => self.inside.push(token),
            Arrival::Waits(ticket, verdict) => {
                if let Some(Verdict::GivesWay(less)) = &verdict {
                    assert!(less.0 > class, "{:?} gave way to {class:?}", less.0);
                }
                self.waiting.push((ticket, token));
                self.told(verdict.into_iter().collect());
            }
            Arrival::Full => {
                assert_eq!(self.waiting.len(), ROOM.waiting, "refused though there was room to wait");
                assert!(self.waiting.iter().all(|(_, t)| t.0 <= class), "refused before one that matters less");
            }
        }
        self.check();
    }

    fn leave(&mut self, i: usize) {
        let (class, units, _) = self.inside.swap_remove(i);
        let mut verdicts = Vec::new();
        self.gate.leave(class, units, |v| verdicts.push(v));
        self.told(verdicts);
    }

    fn give_up(&mut self, i: usize) {
        let (ticket, (class, ..)) = self.waiting.remove(i);
        let mut verdicts = Vec::new();
        assert!(self.gate.give_up(class, ticket, |v| verdicts.push(v)));
        assert!(!self.gate.give_up(class, ticket, |_| ()), "a ticket is given up once");
        self.told(verdicts);
    }

    /// What must hold at every moment.
    fn check(&self) {
        let used = |class: Class| self.inside.iter().filter(|t| t.0 == class).map(|t| t.1).sum::<u32>();
        for class in Class::ALL {
            assert_eq!(self.gate.used(class), used(class));
            assert_eq!(self.gate.waiting(class), self.waiting.iter().filter(|(_, t)| t.0 == class).count());
        }
        let all: u32 = Class::ALL.map(used).iter().sum();
        assert!(all <= ROOM.units, "{all} in flight");
        assert!(all - used(Class::Urgent) <= ROOM.units - ROOM.urgent, "the urgent part is taken");
        assert!(used(Class::Batch) <= ROOM.batch);
        assert!(self.waiting.len() <= ROOM.waiting);
        // Nothing waits for its own part while that lies idle.
        for class in Class::ALL {
            let Some((_, first)) = self.waiting.iter().find(|(_, t)| t.0 == class) else { continue };
            let is_below = used(class) + first.1 <= ROOM.assured(class);
            let others = all - used(Class::Urgent);
            let is_lent = others + first.1 > ROOM.units - ROOM.urgent || all + first.1 > ROOM.units;
            assert!(!is_below || (class != Class::Urgent && is_lent), "{first:?} waits though its part is free");
        }
    }
}

#[test]
fn never_more_in_flight_than_the_limit_and_nothing_waits_for_nothing() {
    let mut rng = Rng::new(3);
    let mut model = Model::new();
    for _ in 0..50_000 {
        let class = Class::ALL[rng.below(3)];
        match rng.below(10) {
            0..5 => model.arrive(class, 1 + rng.below(if class == Class::Batch { 6 } else { 1 }) as u32),
            5..9 if !model.inside.is_empty() => model.leave(rng.below(model.inside.len())),
            _ if !model.waiting.is_empty() => model.give_up(rng.below(model.waiting.len())),
            _ => (),
        }
    }
    while !model.inside.is_empty() {
        model.leave(0);
    }
    assert!(model.waiting.is_empty(), "who waited went in at last");
}

#[test]
fn urgent_work_finds_room_at_once_however_much_else_waits() {
    let mut gate = Gate::new(ROOM);
    for _ in 0..12 {
        assert_eq!(gate.arrive(Class::Everyday, 1, || "everyday"), Arrival::In);
    }
    assert!(matches!(gate.arrive(Class::Everyday, 1, || "everyday"), Arrival::Waits(..)));
    assert!(matches!(gate.arrive(Class::Batch, 1, || "batch"), Arrival::Waits(..)));
    for _ in 0..4 {
        assert_eq!(gate.arrive(Class::Urgent, 1, || "urgent"), Arrival::In);
    }
    // What comes back was borrowed from batch work, which is below its part.
    let mut told = Vec::new();
    gate.leave(Class::Everyday, 1, |v| told.push(v));
    assert_eq!(told, [Verdict::GoesIn("batch")]);
}

#[test]
fn others_get_their_part_however_much_urgent_work_comes() {
    let mut gate = Gate::new(ROOM);
    for _ in 0..16 {
        assert_eq!(gate.arrive(Class::Urgent, 1, || Class::Urgent), Arrival::In, "an idle server is all theirs");
    }
    let mut waits = |class| assert!(matches!(gate.arrive(class, 1, || class), Arrival::Waits(..)));
    for _ in 0..2 {
        waits(Class::Everyday);
        waits(Class::Batch);
        waits(Class::Urgent);
    }
    let mut told = Vec::new();
    for _ in 0..6 {
        gate.leave(Class::Urgent, 1, |v| told.push(v));
        assert!(matches!(gate.arrive(Class::Urgent, 1, || Class::Urgent), Arrival::Waits(..)));
    }
    let went_in: Vec<Class> = told.iter().map(|(Verdict::GoesIn(c) | Verdict::GivesWay(c))| *c).collect();
    use Class::{Batch, Everyday, Urgent};
    assert_eq!(went_in, [Everyday, Everyday, Batch, Batch, Urgent, Urgent]);
}

#[test]
fn who_is_least_urgent_gives_way_when_too_many_wait() {
    let mut gate = Gate::new(Room { waiting: 2, ..ROOM });
    for _ in 0..12 {
        assert_eq!(gate.arrive(Class::Everyday, 1, || 0), Arrival::In);
    }
    assert_eq!(gate.arrive(Class::Batch, 1, || 1), Arrival::Waits(1, None));
    assert_eq!(gate.arrive(Class::Batch, 1, || 2), Arrival::Waits(2, None));
    assert_eq!(gate.arrive(Class::Batch, 1, || 3), Arrival::Full);
    assert_eq!(gate.arrive(Class::Everyday, 1, || 4), Arrival::Waits(3, Some(Verdict::GivesWay(2))));
    assert_eq!(gate.arrive(Class::Everyday, 1, || 5), Arrival::Waits(4, Some(Verdict::GivesWay(1))));
    assert_eq!(gate.arrive(Class::Everyday, 1, || 6), Arrival::Full);
}

#[test]
fn a_large_request_is_cut_to_its_part_and_gets_in() {
    let mut gate = Gate::new(ROOM);
    for _ in 0..12 {
        assert_eq!(gate.arrive(Class::Everyday, 1, || "everyday"), Arrival::In);
    }
    assert!(matches!(gate.arrive(Class::Batch, 1_000, || "batch"), Arrival::Waits(..)));
    let mut told = Vec::new();
    for _ in 0..4 {
        assert!(told.is_empty());
        gate.leave(Class::Everyday, 1, |v| told.push(v));
        // What borrows may not come back in before it.
        if told.is_empty() {
            assert!(matches!(gate.arrive(Class::Urgent, 1, || "urgent"), Arrival::In));
            gate.leave(Class::Urgent, 1, |v| told.push(v));
        }
    }
    assert_eq!(told, [Verdict::GoesIn("batch")]);
    assert_eq!(gate.used(Class::Batch), 4);
}
