//! What is counted while the load runs.

use super::wire::Fault;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Least and largest time that is told apart, nanoseconds.
const BOUNDS_NS: (u64, u64) = (1_000, 4_000_000_000_000);
/// Most stages that a server may name.
const STAGES_MAX: usize = 16;
/// Characters that are kept of the first error of a kind.
const EXAMPLE_LEN: usize = 240;

/// Times, to three digits.
pub type Times = Histogram<u64>;

/// An empty histogram of times.
pub fn times(digits: u8) -> Times {
    Histogram::new_with_bounds(BOUNDS_NS.0, BOUNDS_NS.1, digits).expect("the bounds are constants")
}

/// What became of a request that was not answered well; in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// No connection.
    Connect,
    /// No whole answer in time.
    Timeout,
    /// The connection ended first.
    Closed,
    /// Not HTTP.
    Malformed,
    /// A good answer without the text that was expected.
    Mismatch,
    /// It was due, but every connection was waiting for an answer until the end.
    NotSent,
    /// HTTP's code of an answer that is none of 200 to 299.
    Status(u16),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Connect => f.write_str("no connection"),
            Problem::Timeout => f.write_str("timeout"),
            Problem::Closed => f.write_str("connection closed"),
            Problem::Malformed => f.write_str("malformed answer"),
            Problem::Mismatch => f.write_str("body mismatch"),
            Problem::NotSent => f.write_str("not sent"),
            Problem::Status(code) => write!(f, "HTTP {code}"),
        }
    }
}

impl Problem {
    /// True if the server said that it has too much to do.
    pub fn is_refusal(self) -> bool {
        matches!(self, Problem::Status(429 | 503))
    }

    /// The problem and its words.
    pub fn of(fault: Fault) -> (Problem, String) {
        match fault {
            Fault::Connect(why) => (Problem::Connect, why),
            Fault::Timeout => (Problem::Timeout, String::new()),
            Fault::Closed(why) => (Problem::Closed, why),
            Fault::Malformed(what) => (Problem::Malformed, what),
        }
    }
}

/// When a request was due, sent and answered, since the load's start.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// When it was due.
    pub due: Duration,
    /// When its connection began with it.
    pub begun: Duration,
    /// When its answer was whole.
    pub ended: Duration,
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A good answer, with what the server says of its time.
    Good {
        /// The header `server-timing`.
        timing: Option<&'a str>,
    },
    /// None.
    Bad {
        /// Of what kind.
        problem: Problem,
        /// The words of the first are shown.
        why: &'a str,
    },
}

/// How often something went wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems {
    /// Times.
    pub n: u64,
    /// The first one's words.
    pub example: String,
}

/// A second of the load, by the end of its requests.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Second {
    /// Since the load's start.
    pub second: u64,
    /// Good answers.
    pub good: u64,
    /// 429 and 503.
    pub refused: u64,
    /// Whatever else went wrong.
    pub failed: u64,
    /// Latency of good answers at 50 %, milliseconds; 0 without any.
    pub p50_ms: f64,
    /// At 99 %.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

/// Everything that is counted.
pub struct Tally {
    /// Requests that are due before are not counted.
    counted_from: Duration,
    /// From due to answered, of good answers.
    pub latency: Times,
    /// From sent to answered, of good answers.
    pub service: Times,
    /// From due to answered, of 429 and 503.
    pub refusal: Times,
    /// From due to sent, of all.
    pub lag: Times,
    /// By kind.
    pub problems: BTreeMap<Problem, Problems>,
    /// By the server's names, in the order in which they came; with «service» of the same requests at the end.
    pub stages: Vec<(String, Times)>,
    /// Seconds that have ended.
    pub seconds: Vec<Second>,
    /// The second that runs, and its latencies.
    current: (Second, Times),
    /// When the last counted request ended.
    pub last: Duration,
}

impl Tally {
    /// Counts requests that are due from then on.
    pub fn new(counted_from: Duration) -> Tally {
        let current = (Second { second: counted_from.as_secs(), ..Second::default() }, times(2));
        Tally {
            counted_from,
            latency: times(3),
            service: times(3),
            refusal: times(3),
            lag: times(3),
            problems: BTreeMap::new(),
            stages: Vec::new(),
            seconds: Vec::new(),
            current,
            last: counted_from,
        }
    }

    /// Counts a request that was sent.
    pub fn note(&mut self, at: Moments, outcome: &Outcome) {
        if at.due < self.counted_from {
            return;
        }
        self.pass_to(at.ended.as_secs());
        self.last = self.last.max(at.ended);
        self.lag.saturating_record(ns(at.begun.saturating_sub(at.due)));
        let (latency, service) = (ns(at.ended.saturating_sub(at.due)), ns(at.ended.saturating_sub(at.begun)));
        match outcome {
            Outcome::Good { timing } => {
                self.latency.saturating_record(latency);
                self.service.saturating_record(service);
                self.current.0.good += 1;
                self.current.1.saturating_record(latency);
                if let Some(timing) = timing {
                    self.note_stages(timing, service);
                }
            }
            Outcome::Bad { problem, why } => {
                if problem.is_refusal() {
                    self.refusal.saturating_record(latency);
                    self.current.0.refused += 1;
                } else {
                    self.current.0.failed += 1;
                }
                self.count(*problem, 1, why);
            }
        }
    }

    /// Counts what went wrong.
    pub fn count(&mut self, problem: Problem, n: u64, why: &str) {
        let problems = self.problems.entry(problem).or_default();
        if problems.n == 0 {
            problems.example = why.chars().take(EXAMPLE_LEN).collect();
        }
        problems.n += n;
    }

    /// Ends the seconds before this one.
    pub fn pass_to(&mut self, second: u64) {
        while self.current.0.second < second {
            let next = self.current.0.second + 1;
            let (mut ended, latency) = (std::mem::take(&mut self.current.0), &mut self.current.1);
            if !latency.is_empty() {
                let ms = |share: f64| latency.value_at_quantile(share) as f64 / 1e6;
                (ended.p50_ms, ended.p99_ms, ended.max_ms) = (ms(0.5), ms(0.99), latency.max() as f64 / 1e6);
                latency.reset();
            }
            self.seconds.push(ended);
            self.current.0.second = next;
        }
    }

    /// Ends the last second, if anything happened in it.
    pub fn end(&mut self) {
        let Second { second, good, refused, failed, .. } = self.current.0;
        if good + refused + failed > 0 {
            self.pass_to(second + 1);
        }
    }

    fn note_stages(&mut self, timing: &str, service: u64) {
        for (name, ns) in stages(timing).chain([(SERVICE, service)]) {
            if let Some(times) = self.stage(name) {
                times.saturating_record(ns);
            }
        }
    }

    fn stage(&mut self, name: &str) -> Option<&mut Times> {
        if let Some(at) = self.stages.iter().position(|(n, _)| n == name) {
            return Some(&mut self.stages[at].1);
        }
        // One place is left for the client's own figure.
        if self.stages.len() >= STAGES_MAX && name != SERVICE {
            return None;
        }
        self.stages.push((name.to_string(), times(3)));
        self.stages.last_mut().map(|(_, times)| times)
    }
}

/// The client's own figure beside the server's stages.
pub const SERVICE: &str = "service";

/// Names and nanoseconds of the header `server-timing` (W3C Server Timing): `queue;dur=0.012, score;dur=1.5`.
fn stages(header: &str) -> impl Iterator<Item = (&str, u64)> {
    header.split(',').filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().filter(|n| !n.is_empty() && n.len() <= 32 && *n != SERVICE)?;
        let ms: f64 = parts.find_map(|p| p.strip_prefix("dur="))?.parse().ok()?;
        (ms.is_finite() && ms >= 0.0).then_some((name, (ms * 1e6) as u64))
    })
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(due: u64, begun: u64, ended: u64) -> Moments {
        let ms = Duration::from_millis;
        Moments { due: ms(due), begun: ms(begun), ended: ms(ended) }
    }

    #[test]
    fn latency_counts_from_when_a_request_was_due() {
        let mut tally = Tally::new(Duration::ZERO);
        tally.note(at(0, 0, 1), &Outcome::Good { timing: None });
        // Sent 90 ms late because all connections were busy: the customer waited 100 ms, the server took 10.
        tally.note(at(10, 100, 110), &Outcome::Good { timing: None });
        let near = |ns: u64, ms: f64| (ns as f64 / 1e6 / ms - 1.0).abs() < 2e-3;
        assert!(near(tally.latency.max(), 100.0), "{}", tally.latency.max());
        assert!(near(tally.service.max(), 10.0), "{}", tally.service.max());
        assert!(near(tally.lag.max(), 90.0), "{}", tally.lag.max());
    }

    #[test]
    fn problems_are_counted_by_kind_and_seconds_have_no_gaps() {
        let mut tally = Tally::new(Duration::from_secs(1));
        let bad = |problem, why| Outcome::Bad { problem, why };
        tally.note(at(900, 900, 1100), &Outcome::Good { timing: None });
        tally.note(at(1000, 1000, 1010), &Outcome::Good { timing: None });
        tally.note(at(1100, 1100, 3100), &bad(Problem::Status(500), "first"));
        tally.note(at(1200, 1200, 3100), &bad(Problem::Status(500), "second"));
        tally.note(at(1300, 1300, 3200), &bad(Problem::Status(429), ""));
        tally.pass_to(4);
        assert_eq!(tally.latency.len(), 1, "the warm-up is not counted");
        assert_eq!(tally.refusal.len(), 1);
        assert_eq!(tally.problems[&Problem::Status(500)], Problems { n: 2, example: "first".into() });
        let seconds: Vec<_> = tally.seconds.iter().map(|s| (s.second, s.good, s.refused, s.failed)).collect();
        assert_eq!(seconds, [(1, 1, 0, 0), (2, 0, 0, 0), (3, 0, 1, 2)]);
        assert!((tally.seconds[0].p99_ms - 10.0).abs() < 0.1, "{:?}", tally.seconds[0]);
    }

    #[test]
    fn reads_what_servers_say_of_their_time() {
        let found: Vec<_> =
            stages("queue;dur=0.012, parse;desc=\"x\";dur=1.5,score, odd;dur=-1, nan;dur=NaN, service;dur=1").collect();
        assert_eq!(found, [("queue", 12_000), ("parse", 1_500_000)]);
        let mut tally = Tally::new(Duration::ZERO);
        let many: Vec<String> = (0..40).map(|i| format!("s{i};dur=1")).collect();
        tally.note(at(0, 0, 7), &Outcome::Good { timing: Some(&many.join(",")) });
        assert_eq!(tally.stages.len(), STAGES_MAX + 1);
        assert_eq!(tally.stages[STAGES_MAX].0, SERVICE);
    }
}
