//! A stream that notes what its client does, and what follows from it: a client that sends a head byte by byte, that says
//! nothing for long, or that does not take its answer, is left.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// From an answer to the first byte of the next request.
    pub idle: Duration,
    /// Without taking anything of an answer.
    pub answer: Duration,
}

/// A moment, in milliseconds since the connection began, plus one: 0 is never.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, at_ms: u64) {
        self.0.store(at_ms + 1, Ordering::Relaxed);
    }
    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
    fn get(&self) -> Option<u64> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }
    fn set_first(&self, at_ms: u64) {
        if self.get().is_none() {
            self.set(at_ms);
        }
    }
}

/// What a client does. Written and read by the one task of its connection.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    /// True while a request is worked on; its body and its deadline have bounds of their own.
    is_busy: AtomicBool,
    /// The first byte of the head that is not complete.
    head: Moment,
    /// The last answer, or the beginning.
    answered: Moment,
    /// Since when it takes nothing.
    blocked: Moment,
    is_ended: AtomicBool,
}

impl Progress {
    /// Of a connection that begins now.
    pub fn new() -> Progress {
        let progress = Progress {
            start: Instant::now(),
            is_busy: AtomicBool::new(false),
            head: Moment::default(),
            answered: Moment::default(),
            blocked: Moment::default(),
            is_ended: AtomicBool::new(false),
        };
        progress.answered.set(0);
        progress
    }

    /// A request is there with its whole head.
    pub fn asked(&self) {
        self.is_busy.store(true, Ordering::Relaxed);
        self.head.clear();
    }

    /// Its answer is made.
    pub fn answered(&self) {
        self.is_busy.store(false, Ordering::Relaxed);
        self.answered.set(self.now_ms());
    }

    /// True once the client has said that nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    /// When to look again; none if the client has used up its time.
    pub fn next_look(&self, patience: &Patience) -> Option<Instant> {
        let since = match (self.blocked.get(), self.head.get()) {
            (Some(at), _) => Some((at, patience.answer)),
            (None, _) if self.is_busy.load(Ordering::Relaxed) => None,
            (None, Some(at)) => Some((at, patience.head)),
            (None, None) => self.answered.get().map(|at| (at, patience.idle)),
        };
        let now = Instant::now();
        // Whatever begins meanwhile is noticed before it has taken twice its time.
        let soon = now + patience.head.min(patience.answer) / 2;
        let Some((at, time)) = since else { return Some(soon) };
        let end = self.start + Duration::from_millis(at) + time;
        (end > now).then(|| end.min(soon))
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn read(&self, n: usize) {
        match n {
            0 => self.is_ended.store(true, Ordering::Relaxed),
            _ if !self.is_busy.load(Ordering::Relaxed) => self.head.set_first(self.now_ms()),
            _ => {}
        }
    }

    fn wrote<T>(&self, outcome: &Poll<io::Result<T>>) {
        if outcome.is_pending() {
            self.blocked.set_first(self.now_ms());
        } else {
            self.blocked.clear();
        }
    }
}

/// A stream that notes its client's progress.
pub struct Watched<S> {
    stream: S,
    progress: Arc<Progress>,
}

impl<S> Watched<S> {
    /// Notes the progress of what goes through `stream`.
    pub fn new(stream: S, progress: Arc<Progress>) -> Watched<S> {
        Watched { stream, progress }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if outcome.is_ready() && buf.capacity() > before {
            self.progress.read(buf.filled().len() - before);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress.wrote(&outcome);
        outcome
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.progress.wrote(&outcome);
        outcome
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress.wrote(&outcome);
        outcome
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(2), idle: Duration::from_secs(60), answer: Duration::from_secs(4) };

    /// A connection that began that many seconds ago.
    fn began(seconds_ago: u64) -> Option<Progress> {
        Instant::now().checked_sub(Duration::from_secs(seconds_ago)).map(|start| Progress { start, ..Progress::new() })
    }

    #[test]
    fn each_way_of_doing_nothing_has_its_time() {
        // A machine that started a moment ago has no earlier moments.
        let (Some(young), Some(old)) = (began(3), began(61)) else { return };
        assert!(young.next_look(&PATIENCE).is_some(), "it may be idle for longer");
        assert!(old.next_look(&PATIENCE).is_none(), "it was idle for too long");
        young.head.set(0);
        assert!(young.next_look(&PATIENCE).is_none(), "its head takes too long");
        young.asked();
        old.asked();
        assert!(young.next_look(&PATIENCE).is_some() && old.next_look(&PATIENCE).is_some(), "work has its own bounds");
        old.blocked.set(0);
        assert!(old.next_look(&PATIENCE).is_none(), "it does not take its answer");
        old.blocked.clear();
        old.answered();
        assert!(old.next_look(&PATIENCE).is_some(), "it was answered just now");
        let soon = young.next_look(&PATIENCE).expect("a look") - Instant::now();
        assert!(soon <= PATIENCE.head / 2, "{soon:?}");
    }

    #[test]
    fn bytes_of_a_body_are_no_head() {
        let progress = Progress::new();
        progress.asked();
        progress.read(100);
        assert_eq!(progress.head.get(), None);
        progress.answered();
        progress.read(1);
        let first = progress.head.get();
        assert!(first.is_some());
        progress.read(1);
        assert_eq!(progress.head.get(), first, "it counts from the first byte");
        progress.read(0);
        assert!(progress.is_ended());
    }
}
