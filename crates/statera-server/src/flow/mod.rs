//! Flow control: how many requests are let in, whose first, and what the others are told.
//!
//! A request passes its key's target rate ([`bucket`]), the target of all, and the gate of work in flight ([`gate`]), before
//! a byte of its body is read. Whoever is refused is told at once, or after a bounded wait for a place: 429 if it is their
//! key that asks for too much, 503 if it is the server that is full, with the seconds after which it is worth trying.
//! Everything lies behind one lock that is held for less than a microsecond; memory is bounded by the number of waiting
//! requests and of keys. Work that takes a thread for long has [`turns`] beside it. Deliberately absent: other limits per route,
//! which would not add up to a limit of the machine.

pub mod admission;
pub mod bucket;
pub mod gate;
mod keys;
mod settings;
pub mod turns;

pub use settings::FlowSettings;

use bucket::{Target, Total};
use gate::{Arrival, Class, Gate, Verdict};
use keys::Keys;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Whose target rate a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker<'a> {
    /// An API key by its prefix.
    Key(&'a str),
    /// A person by name.
    Person(&'a str),
    /// Somebody without either, by address.
    Address(IpAddr),
}

/// What a request asks of flow control.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who.
    pub by: Asker<'a>,
    /// Their own target, requests a second; 0: the settings'.
    pub rate_per_second: u32,
    /// How much it matters.
    pub class: Class,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Until when they wait for a place.
    pub wait_until: Instant,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its key is over its target.
    KeyRate,
    /// All together are over the target.
    TotalRate,
    /// Too many wait already.
    QueueFull,
    /// Something more urgent took its place.
    GaveWay,
    /// No place became free in time.
    WaitedTooLong,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 5] =
        [Reason::KeyRate, Reason::TotalRate, Reason::QueueFull, Reason::GaveWay, Reason::WaitedTooLong];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::KeyRate => "key_rate",
            Reason::TotalRate => "total_rate",
            Reason::QueueFull => "queue_full",
            Reason::GaveWay => "gave_way",
            Reason::WaitedTooLong => "waited_too_long",
        }
    }
}

/// A request that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// After which time it may be let in.
    pub retry_after: Duration,
}

/// A moment's figures of the gate, by class in the order of [`Class::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Units in flight.
    pub in_flight: [u32; 3],
    /// Requests that wait.
    pub waiting: [usize; 3],
}

/// The state of the limits. A clone is the same state.
#[derive(Clone)]
pub struct Flow(Arc<Inner>);

struct Inner {
    settings: FlowSettings,
    /// Nanoseconds are counted from here.
    start: Instant,
    /// The target of those who have none of their own, and of those without a key.
    of_keys: Target,
    of_addresses: Target,
    state: Mutex<State>,
    refused: [AtomicU64; Reason::ALL.len()],
}

struct State {
    gate: Gate<oneshot::Sender<bool>>,
    total: Total,
    keys: Keys,
}

impl Flow {
    /// With nobody in. The settings are checked already.
    pub fn new(settings: &FlowSettings) -> Flow {
        let target = |rate| Target::per_second(rate, settings.burst_ms, settings.burst_min);
        let state = State {
            gate: Gate::new(settings.room()),
            total: Total::new(settings.rate_per_second, settings.burst_ms, settings.burst_min, settings.urgent_percent),
            keys: Keys::default(),
        };
        Flow(Arc::new(Inner {
            settings: settings.clone(),
            start: Instant::now(),
            of_keys: target(settings.key_rate_per_second),
            of_addresses: target(settings.anonymous_rate_per_second),
            state: Mutex::new(state),
            refused: Default::default(),
        }))
    }

    /// Lets a request in, maybe after waiting. It is in flight until the permit is dropped; dropping this future while it
    /// waits leaves the queue.
    ///
    /// # Errors
    /// Why it is not let in. A refused request counts for no target.
    pub async fn admit(&self, ask: Ask<'_>) -> Result<Permit, Refusal> {
        let outcome = match self.enter(&ask) {
            Ok(Entry::In(permit)) => Ok(permit),
            Ok(Entry::Waits(place)) => place.wait(ask.wait_until).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &outcome {
            self.0.refused[refusal.reason as usize].fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// How many requests were refused since the start.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.0.refused[reason as usize].load(Ordering::Relaxed)
    }

    /// What is in flight now.
    pub fn load(&self) -> Load {
        let state = self.0.lock();
        Load { in_flight: Class::ALL.map(|c| state.gate.used(c)), waiting: Class::ALL.map(|c| state.gate.waiting(c)) }
    }

    fn enter(&self, ask: &Ask<'_>) -> Result<Entry, Refusal> {
        let inner = &*self.0;
        let refuse = |reason, wait_ns| Err(Refusal { reason, retry_after: Duration::from_nanos(wait_ns) });
        let units = self.units(ask.body_bytes);
        let target = inner.target(ask);
        let is_urgent = ask.class == Class::Urgent;
        let mut guard = inner.lock();
        let state = &mut *guard;
        // Read within the lock, so that times rise from request to request.
        let now_ns = inner.now_ns();
        let bucket = state.keys.bucket(ask.by, now_ns);
        match (bucket.wait_ns(target, now_ns), state.total.wait_ns(is_urgent, now_ns)) {
            (0, 0) => {}
            (0, wait_ns) => return refuse(Reason::TotalRate, wait_ns),
            (wait_ns, _) => return refuse(Reason::KeyRate, wait_ns),
        }
        let mut place = None;
        let arrival = state.gate.arrive(ask.class, units, || {
            let (sender, receiver) = oneshot::channel();
            place = Some(receiver);
            sender
        });
        let ticket = match arrival {
            Arrival::Full => return refuse(Reason::QueueFull, u64::from(inner.settings.wait_ms) * 1_000_000),
            Arrival::In => None,
            Arrival::Waits(ticket, gives_way) => {
                gives_way.into_iter().for_each(tell);
                Some(ticket)
            }
        };
        bucket.take(target, now_ns);
        state.total.take(is_urgent, now_ns);
        drop(guard);
        let permit = |flow: &Flow| Permit { flow: flow.clone(), class: ask.class, units };
        match (ticket, place) {
            (Some(ticket), Some(receiver)) => {
                let (flow, class) = (self.clone(), ask.class);
                Ok(Entry::Waits(Place { flow, class, units, ticket, receiver, is_settled: false }))
            }
            _ => Ok(Entry::In(permit(self))),
        }
    }

    fn units(&self, body_bytes: u64) -> u32 {
        u32::try_from(body_bytes.div_ceil(self.0.settings.batch_bytes)).unwrap_or(u32::MAX).max(1)
    }

    fn leave(&self, class: Class, units: u32) {
        self.0.lock().gate.leave(class, units, tell);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way: what is there is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn target(&self, ask: &Ask<'_>) -> Target {
        let settings = &self.settings;
        match ask.by {
            Asker::Address(_) => self.of_addresses,
            _ if ask.rate_per_second == 0 => self.of_keys,
            _ => Target::per_second(ask.rate_per_second, settings.burst_ms, settings.burst_min),
        }
    }
}

/// Who no longer listens has a [`Place`] that settles it.
fn tell(verdict: Verdict<oneshot::Sender<bool>>) {
    let _ = match verdict {
        Verdict::GoesIn(sender) => sender.send(true),
        Verdict::GivesWay(sender) => sender.send(false),
    };
}

enum Entry {
    In(Permit),
    Waits(Place),
}

/// A request in flight, until this is dropped.
pub struct Permit {
    flow: Flow,
    class: Class,
    units: u32,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.flow.leave(self.class, self.units);
    }
}

/// A place in the queue.
struct Place {
    flow: Flow,
    class: Class,
    units: u32,
    ticket: u64,
    receiver: oneshot::Receiver<bool>,
    is_settled: bool,
}

impl Place {
    async fn wait(mut self, until: Instant) -> Result<Permit, Refusal> {
        let told = tokio::time::timeout_at(until.into(), &mut self.receiver).await;
        let refuse = |reason| {
            let wait_ms = u64::from(self.flow.0.settings.wait_ms);
            Err(Refusal { reason, retry_after: Duration::from_millis(wait_ms) })
        };
        match told {
            // Dropping the place leaves the queue; or the flight, if the permit came in the last moment.
            Err(_) => refuse(Reason::WaitedTooLong),
            Ok(Ok(true)) => {
                self.is_settled = true;
                let permit = Permit { flow: self.flow.clone(), class: self.class, units: self.units };
                // A late timer must not give work to who has gone.
                if Instant::now() > until { refuse(Reason::WaitedTooLong) } else { Ok(permit) }
            }
            Ok(_) => {
                self.is_settled = true;
                refuse(Reason::GaveWay)
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let still_waited = self.flow.0.lock().gate.give_up(self.class, self.ticket, tell);
        if !still_waited && self.receiver.try_recv() == Ok(true) {
            self.flow.leave(self.class, self.units);
        }
    }
}

#[cfg(test)]
mod tests;
