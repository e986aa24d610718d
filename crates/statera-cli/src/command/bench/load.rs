//! The load itself: connections that take turns, each request at its time.

use super::answers::Answers;
use super::plan::{Pace, Plan};
use super::tally::{Moments, Outcome, Problem, Tally};
use super::tls;
use super::wire::{Answer, Connection, Fault};
use statera_core::{Error, Result, Run};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long after the last due time overdue requests are still sent.
const GRACE: Duration = Duration::from_secs(1);
/// The runtime's timers are a millisecond coarse and late by up to another; the rest is waited for awake.
const AWAKE: Duration = Duration::from_millis(2);
/// Pause of a connection that was refused, so that a server that is down is not asked in a tight loop.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// Of so many requests one asks for its stages; a prime, so that all bodies that take turns are asked of.
const ASK_EVERY: u64 = 17;
/// How often progress is shown and an interruption noticed.
const TICK: Duration = Duration::from_millis(200);

/// A load that runs.
struct Load {
    plan: Plan,
    addresses: Vec<SocketAddr>,
    /// Time zero of every [`Moments`].
    start: Instant,
    next: AtomicU64,
    tally: Mutex<Tally>,
    answers: Option<Answers>,
}

/// What came of a load.
pub struct Loaded {
    /// What was asked for.
    pub plan: Plan,
    /// What was counted.
    pub tally: Tally,
    /// True if the user ended it.
    pub is_interrupted: bool,
}

/// Runs a load on this thread.
///
/// # Errors
/// No connection at all, an answers' file that cannot be written.
pub fn run(plan: Plan, answers: Option<Answers>, run: &Run) -> Result<Loaded> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let addresses = resolve(&plan)?;
        let connections = open(&plan, &addresses).await?;
        let tally = Mutex::new(Tally::new(plan.counted_from));
        let load = Load { plan, addresses, start: Instant::now(), next: AtomicU64::new(0), tally, answers };
        let load = Arc::new(load);
        let mut tasks = JoinSet::new();
        for connection in connections {
            tasks.spawn(drive(load.clone(), connection));
        }
        let is_interrupted = watch(&load, &mut tasks, run).await;
        // Aborted tasks give their share of the load back before it is taken apart.
        tasks.shutdown().await;
        let load = Arc::into_inner(load).ok_or_else(|| Error::io("a connection did not end"))?;
        load.finish(is_interrupted)
    })
}

fn resolve(plan: &Plan) -> Result<Vec<SocketAddr>> {
    let place = (plan.url.host.as_str(), plan.url.port);
    let found = place.to_socket_addrs().map_err(|e| Error::io(format!("{}: {e}", plan.url.authority)))?;
    Ok(found.collect())
}

/// Opens every connection before the first request is due, so that no latency holds a handshake. Those that fail are tried
/// again when it is their turn.
async fn open(plan: &Plan, addresses: &[SocketAddr]) -> Result<Vec<Option<Connection>>> {
    let n = plan.connections.min(usize::try_from(plan.n_requests).unwrap_or(usize::MAX)).max(1);
    let mut opened = Vec::with_capacity(n);
    let mut failure = None;
    let deadline = Instant::now() + plan.timeout;
    for _ in 0..n {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, connect(plan, addresses)).await {
            Ok(Ok(connection)) => opened.push(Some(connection)),
            Ok(Err(fault)) => {
                failure.get_or_insert(Problem::of(fault).1);
                opened.push(None);
            }
            Err(_) => {
                failure.get_or_insert(format!("no answer within {} ms", plan.timeout.as_millis()));
                opened.push(None);
            }
        }
    }
    match failure {
        Some(why) if opened.iter().all(Option::is_none) => {
            Err(Error::io(format!("no connection to {}: {why}", plan.url.authority)))
        }
        _ => Ok(opened),
    }
}

async fn connect(plan: &Plan, addresses: &[SocketAddr]) -> std::result::Result<Connection, Fault> {
    let not = |e: std::io::Error| Fault::Connect(e.to_string());
    let stream = TcpStream::connect(addresses).await.map_err(not)?;
    stream.set_nodelay(true).map_err(not)?;
    Ok(Connection::new(match &plan.tls {
        Some(config) => tls::wrap(stream, config, &plan.url).await?,
        None => Box::new(stream),
    }))
}

/// Waits for the connections to end; true if the user ended them.
async fn watch(load: &Load, tasks: &mut JoinSet<()>, run: &Run) -> bool {
    let whole = load.plan.until.as_secs_f64();
    run.progress.start("Load", whole.ceil() as u64);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let is_interrupted = loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                None => break false,
                Some(Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
                Some(_) => {}
            },
            _ = tick.tick() => {
                if run.check().is_err() {
                    break true;
                }
                let elapsed = load.start.elapsed().as_secs_f64().min(whole);
                let sent = load.next.load(Ordering::Relaxed);
                run.progress.within(elapsed as u64, elapsed.fract(), &format!("{sent} requests"));
            }
        }
    };
    run.progress.finish();
    is_interrupted
}

/// One connection's part of the load.
async fn drive(load: Arc<Load>, mut connection: Option<Connection>) {
    let mut bytes = Vec::new();
    while let Some((index, due)) = load.claim() {
        load.wait(due).await;
        let begun = load.start.elapsed();
        let sent = load.send(index, &mut connection, &mut bytes);
        let answer = tokio::time::timeout(load.plan.timeout, sent).await.unwrap_or(Err(Fault::Timeout));
        let at = Moments { due, begun, ended: load.start.elapsed() };
        load.note(index, at, &answer, connection.as_ref());
        if !answer.as_ref().is_ok_and(|a| a.is_kept_open) {
            connection = None;
        }
        if matches!(answer, Err(Fault::Connect(_))) {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
}

impl Load {
    /// The next request and when it is due; `None` at the end.
    fn claim(&self) -> Option<(u64, Duration)> {
        let index = self.next.load(Ordering::Relaxed);
        let now = self.start.elapsed();
        let due = self.plan.due(index).unwrap_or(now);
        let end = if self.plan.pace == Pace::Closed { self.plan.until } else { self.plan.until + GRACE };
        if index >= self.plan.n_requests || now >= end {
            return None;
        }
        // One thread runs all connections: nothing comes between.
        self.next.store(index + 1, Ordering::Relaxed);
        Some((index, due))
    }

    async fn wait(&self, due: Duration) {
        loop {
            let left = due.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return;
            }
            match left.checked_sub(AWAKE) {
                Some(asleep) if !asleep.is_zero() => tokio::time::sleep(asleep).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    async fn send(
        &self,
        index: u64,
        connection: &mut Option<Connection>,
        bytes: &mut Vec<u8>,
    ) -> std::result::Result<Answer, Fault> {
        let mut kept = connection.take();
        // A server may close a connection between requests; that is no error.
        if let Some(open) = &mut kept
            && !open.is_open().await
        {
            kept = None;
        }
        let open = match kept {
            Some(open) => open,
            None => connect(&self.plan, &self.addresses).await?,
        };
        let asks = self.plan.with_stages && index.is_multiple_of(ASK_EVERY);
        self.plan.requests.write(index, asks, bytes);
        connection.insert(open).exchange(bytes, self.plan.requests.is_head).await
    }

    fn note(
        &self,
        index: u64,
        at: Moments,
        answer: &std::result::Result<Answer, Fault>,
        connection: Option<&Connection>,
    ) {
        let body = connection.map_or(&[][..], Connection::body);
        let why;
        let outcome = match answer {
            Ok(Answer { status: 200..=299, timing, .. }) => match self.plan.expect.as_ref() {
                Some(text) if !contains(body, text.as_bytes()) => {
                    why = String::from_utf8_lossy(body);
                    Outcome::Bad { problem: Problem::Mismatch, why: &why }
                }
                _ => Outcome::Good { timing: timing.as_deref() },
            },
            Ok(Answer { status, .. }) => {
                why = String::from_utf8_lossy(body);
                Outcome::Bad { problem: Problem::Status(*status), why: &why }
            }
            Err(fault) => {
                let (problem, words) = Problem::of(fault.clone());
                why = words.into();
                Outcome::Bad { problem, why: &why }
            }
        };
        if let Some(answers) = &self.answers {
            let status = match answer {
                Ok(answer) => answer.status.to_string(),
                Err(fault) => Problem::of(fault.clone()).0.to_string(),
            };
            answers.note(index, &self.plan.requests.id(index), at, &status, body);
        }
        self.tally().note(at, &outcome);
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was due and not sent, and takes the load apart.
    fn finish(self, is_interrupted: bool) -> Result<Loaded> {
        let ended = self.start.elapsed();
        let mut tally = self.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Pace::Open { .. } = self.plan.pace {
            let due = self.plan.n_due_before(ended.min(self.plan.until)).min(self.plan.n_requests);
            let first = self.plan.n_due_before(self.plan.counted_from);
            let not_sent = due.saturating_sub(self.next.into_inner().max(first));
            if not_sent > 0 {
                let n = self.plan.connections;
                tally.count(Problem::NotSent, not_sent, &format!("all {n} connections waited for answers"));
            }
        }
        tally.end();
        if let Some(answers) = self.answers {
            answers.finish()?;
        }
        Ok(Loaded { plan: self.plan, tally, is_interrupted })
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|w| w == text)
}
