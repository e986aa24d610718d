//! `[flow]` of `server.toml`.

use super::bucket::MAX_RATE;
use super::gate::Room;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};

/// Limits and targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowSettings {
    /// Requests a second of all together; 0: no limit.
    pub rate_per_second: u32,
    /// Requests a second of a key or a person whose own target is not set; 0: no limit.
    pub key_rate_per_second: u32,
    /// Requests a second of one address without key and session; 0: no limit.
    pub anonymous_rate_per_second: u32,
    /// As many requests may come at once as the rate gives in this time, milliseconds.
    pub burst_ms: u32,
    /// But at least so many.
    pub burst_min: u32,
    /// Share of `rate_per_second` that urgent keys have for themselves, percent.
    pub urgent_percent: u32,
    /// Requests that are worked on at once.
    pub in_flight: u32,
    /// Of them for urgent keys alone.
    pub in_flight_urgent: u32,
    /// Of them for batches at most.
    pub in_flight_batch: u32,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// How long, milliseconds, if the request does not say `x-deadline-ms`.
    pub wait_ms: u32,
    /// When the answer is given up, milliseconds after the request came, if the request does not say `x-deadline-ms`.
    pub deadline_ms: u32,
    /// The most that `x-deadline-ms` may say.
    pub deadline_ms_max: u32,
    /// A body above this many bytes goes with the batches, whoever sends it, and counts as one request for each so many.
    pub batch_bytes: u64,
    /// Largest body, bytes.
    pub body_bytes_max: u64,
    /// A body must be whole within so many milliseconds.
    pub body_timeout_ms: u32,
    /// And come, after the first second, at least so fast on average, bytes a second.
    pub body_bytes_per_second_min: u64,
}

impl Default for FlowSettings {
    fn default() -> Self {
        FlowSettings {
            rate_per_second: 0,
            key_rate_per_second: 0,
            anonymous_rate_per_second: 50,
            burst_ms: 100,
            burst_min: 10,
            urgent_percent: 25,
            in_flight: 256,
            in_flight_urgent: 64,
            in_flight_batch: 64,
            waiting: 256,
            wait_ms: 25,
            deadline_ms: 10_000,
            deadline_ms_max: 60_000,
            batch_bytes: 64 << 10,
            body_bytes_max: 16 << 20,
            body_timeout_ms: 30_000,
            body_bytes_per_second_min: 16 << 10,
        }
    }
}

impl FlowSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("rate_per_second", "Requests a second of all together; 0: no limit. More are answered 503 at once"),
        (
            "key_rate_per_second",
            "Of a key or a person without a target of their own; 0: no limit. More are answered 429",
        ),
        ("anonymous_rate_per_second", "Of one address without key and session; 0: no limit"),
        ("burst_ms", "As many may come at once as the rate gives in this time"),
        ("burst_min", "but at least so many"),
        (
            "urgent_percent",
            "Share of rate_per_second that is kept for urgent keys (the payment path); the rest for others",
        ),
        ("in_flight", "Requests that are worked on at once"),
        ("in_flight_urgent", "of them for urgent keys alone"),
        ("in_flight_batch", "of them for batches at most"),
        ("waiting", "Requests that wait for a place"),
        ("wait_ms", "How long they wait, unless they say x-deadline-ms; then they are answered 503"),
        ("deadline_ms", "An answer that takes longer is given up (504), unless the request says x-deadline-ms"),
        ("deadline_ms_max", "The most that x-deadline-ms may say"),
        ("batch_bytes", "Larger bodies go with the batches and count as one request for each so many bytes"),
        ("body_bytes_max", "Larger bodies are answered 413 unread"),
        ("body_timeout_ms", "A body that is not whole by then is answered 408"),
        ("body_bytes_per_second_min", "and one that comes more slowly, after its first second"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let rates = 0..=u64::from(MAX_RATE);
        let time = 1..=3_600_000;
        let fields = [
            ("rate_per_second", u64::from(self.rate_per_second), rates.clone()),
            ("key_rate_per_second", u64::from(self.key_rate_per_second), rates.clone()),
            ("anonymous_rate_per_second", u64::from(self.anonymous_rate_per_second), rates),
            ("burst_ms", u64::from(self.burst_ms), 0..=60_000),
            ("burst_min", u64::from(self.burst_min), 1..=100_000),
            ("urgent_percent", u64::from(self.urgent_percent), 0..=100),
            ("in_flight", u64::from(self.in_flight), 3..=100_000),
            ("in_flight_urgent", u64::from(self.in_flight_urgent), 1..=100_000),
            ("in_flight_batch", u64::from(self.in_flight_batch), 1..=100_000),
            ("waiting", self.waiting as u64, 0..=100_000),
            ("wait_ms", u64::from(self.wait_ms), 0..=60_000),
            ("deadline_ms", u64::from(self.deadline_ms), time.clone()),
            ("deadline_ms_max", u64::from(self.deadline_ms_max), time.clone()),
            ("batch_bytes", self.batch_bytes, 1 << 10..=1 << 30),
            ("body_bytes_max", self.body_bytes_max, 1 << 10..=1 << 30),
            ("body_timeout_ms", u64::from(self.body_timeout_ms), time),
            ("body_bytes_per_second_min", self.body_bytes_per_second_min, 0..=1 << 30),
        ];
        for (name, value, allowed) in fields {
            if !allowed.contains(&value) {
                let (least, most) = allowed.into_inner();
                return Err(Error::request(format!("flow.{name} is {value}; allowed is {least} to {most}")));
            }
        }
        let parts = self.in_flight_urgent + self.in_flight_batch;
        if parts >= self.in_flight {
            return Err(Error::request(format!(
                "flow.in_flight_urgent and flow.in_flight_batch are {parts} together; allowed is less than flow.in_flight, \
                 which is {}",
                self.in_flight
            )));
        }
        Ok(())
    }

    /// As the gate has it.
    pub(super) fn room(&self) -> Room {
        Room {
            units: self.in_flight,
            urgent: self.in_flight_urgent,
            batch: self.in_flight_batch,
            waiting: self.waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_is_allowed() {
        assert_eq!(FlowSettings::default().check(), Ok(()));
        let told = |settings: FlowSettings| settings.check().expect_err("refused").to_string();
        let full = FlowSettings { in_flight: 128, ..FlowSettings::default() };
        let words = "flow.in_flight_urgent and flow.in_flight_batch are 128 together; allowed is less than flow.in_flight, \
                     which is 128";
        assert_eq!(told(full), words);
        let none = FlowSettings { burst_min: 0, ..FlowSettings::default() };
        assert_eq!(told(none), "flow.burst_min is 0; allowed is 1 to 100000");
    }
}
