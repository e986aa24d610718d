//! Flags, checked: after this nothing is asked again.

use super::arguments::Bench;
use super::bodies::Requests;
use super::tls;
use super::url::Url;
use statera_core::{Error, Result, Run};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

/// Fastest rate, requests a second.
const RATE_MAX: f64 = 1e6;
/// Longest load, seconds.
const SECONDS_MAX: f64 = 86_400.0;
/// Most connections.
const CONNECTIONS_MAX: usize = 10_000;
/// Longest wait for an answer, milliseconds.
const TIMEOUT_MAX_MS: u64 = 600_000;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// At fixed times, this many a second.
    Open {
        /// Requests a second.
        rate: f64,
    },
    /// Each connection sends when it has its answer.
    Closed,
}

/// What must be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Good answers a second.
    pub rate: f64,
    /// Milliseconds that 99 % of them keep.
    pub p99_ms: f64,
    /// Largest share of requests without one.
    pub errors: f64,
}

/// A load.
#[derive(Debug)]
pub struct Plan {
    /// Where to.
    pub url: Url,
    /// What.
    pub requests: Requests,
    /// When.
    pub pace: Pace,
    /// Requests that are due before are not counted.
    pub counted_from: Duration,
    /// No request is due from then on.
    pub until: Duration,
    /// Most requests.
    pub n_requests: u64,
    /// Requests under way at most.
    pub connections: usize,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Text of every good answer.
    pub expect: Option<String>,
    /// True: the server is asked for its stages.
    pub with_stages: bool,
    /// What must be reached.
    pub target: Option<Target>,
    /// Rows of a request.
    pub rows_each: usize,
    /// Who is trusted, of https.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Plan {
    /// Checks the flags and makes what is sent.
    ///
    /// # Errors
    /// What is out of its range or contradicts itself, files that cannot be read.
    pub fn of(args: &Bench, run_number: u32, run: &Run) -> Result<Plan> {
        let url = Url::parse(&args.url)?;
        let pace = pace(args)?;
        let seconds = within("--seconds", args.seconds, 0.001, SECONDS_MAX)?;
        let warm_up = within("--warm-up", args.warm_up, 0.0, SECONDS_MAX)?;
        let target = args.target.map(|rate| target(args, rate)).transpose()?;
        if let (Some(target), Pace::Open { rate }) = (target, pace) {
            within("--rate beside --target", rate, target.rate, RATE_MAX)?;
        }
        let connections = args.connections as f64;
        within("--connections", connections, 1.0, CONNECTIONS_MAX as f64)?;
        within("--timeout-ms", args.timeout_ms as f64, 1.0, TIMEOUT_MAX_MS as f64)?;
        within("--requests", args.requests.unwrap_or(1) as f64, 1.0, 1e10)?;
        let tls = match (url.is_tls, &args.ca_file) {
            (true, Some(file)) => Some(tls::config(file)?),
            (true, None) => {
                let text = &url.text;
                return Err(Error::request(format!(
                    "{text}: --ca-file is missing; https needs the certificate that the server's is signed by, and no other is trusted"
                )));
            }
            (false, Some(_)) => {
                return Err(Error::request(format!("--ca-file is of https; the address is {}", url.text)));
            }
            (false, None) => None,
        };
        let requests = Requests::prepare(args, &url, run_number, run)?;
        let counted_from = Duration::from_secs_f64(warm_up);
        let until = counted_from + Duration::from_secs_f64(seconds);
        let mut plan = Plan {
            url,
            requests,
            pace,
            counted_from,
            until,
            n_requests: args.requests.unwrap_or(u64::MAX),
            connections: args.connections,
            timeout: Duration::from_millis(args.timeout_ms),
            expect: args.expect.clone(),
            with_stages: args.stages || target.is_some(),
            target,
            rows_each: args.rows_each,
            tls,
        };
        plan.n_requests = plan.n_requests.min(plan.n_due_before(until));
        Ok(plan)
    }

    /// When a request is due; of a closed loop it is not known.
    pub fn due(&self, index: u64) -> Option<Duration> {
        match self.pace {
            Pace::Open { rate } => Some(Duration::from_nanos((index as f64 / rate * 1e9) as u64)),
            Pace::Closed => None,
        }
    }

    /// How many requests are due before a moment; of a closed loop there is no end.
    pub fn n_due_before(&self, moment: Duration) -> u64 {
        let Pace::Open { rate } = self.pace else { return u64::MAX };
        // Rounding may be wrong by one either way; what counts is what `due` says.
        let mut n = (moment.as_secs_f64() * rate) as u64;
        while n > 0 && self.due(n - 1).is_some_and(|due| due >= moment) {
            n -= 1;
        }
        while self.due(n).is_some_and(|due| due < moment) {
            n += 1;
        }
        n
    }
}

fn pace(args: &Bench) -> Result<Pace> {
    match (args.rate.or(args.target), args.closed || args.rate == Some(0.0)) {
        (_, true) => Ok(Pace::Closed),
        (Some(rate), false) => Ok(Pace::Open { rate: within("--rate", rate, 0.001, RATE_MAX)? }),
        (None, false) if args.requests.is_some() => Ok(Pace::Closed),
        (None, false) => {
            Err(Error::request("how fast? allowed is one of --rate N, --target N, --closed, --requests N"))
        }
    }
}

fn target(args: &Bench, rate: f64) -> Result<Target> {
    Ok(Target {
        rate: within("--target", rate, 0.001, RATE_MAX)?,
        p99_ms: within("--p99-ms", args.p99_ms, 0.001, TIMEOUT_MAX_MS as f64)?,
        errors: within("--errors", args.errors, 0.0, 1.0)?,
    })
}

fn within(name: &str, value: f64, low: f64, high: f64) -> Result<f64> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::request(format!("{name} {value}: allowed is {low} to {high}")))
}
