//! The body of a request, bounded in bytes and in time: a client that sends slowly cannot hold a place.

use super::limits::Limits;
use crate::flow::FlowSettings;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A body may be slower than the least rate for so long.
const GRACE: Duration = Duration::from_secs(1);

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// Nothing is wrong so far.
    Fine,
    /// It has more bytes than allowed.
    TooLarge,
    /// It came too slowly, or not at all.
    TooSlow,
    /// The connection ended before it.
    Broken,
}

/// Where a body's fate can be looked up after it was handed on.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<AtomicU8>);

impl Watch {
    /// What became of the body until now.
    pub fn fate(&self) -> Fate {
        match self.0.load(Ordering::Relaxed) {
            0 => Fate::Fine,
            1 => Fate::TooLarge,
            2 => Fate::TooSlow,
            _ => Fate::Broken,
        }
    }

    fn set(&self, fate: Fate) -> axum::Error {
        self.0.store(fate as u8, Ordering::Relaxed);
        axum::Error::new(std::io::Error::other(match fate {
            Fate::TooLarge => "the body has more bytes than allowed",
            Fate::TooSlow => "the body came too slowly",
            Fate::Fine | Fate::Broken => "the connection ended before the body",
        }))
    }
}

/// A body with its bounds.
struct Bounded {
    inner: Body,
    watch: Watch,
    bytes_max: u64,
    bytes: u64,
    grace: Duration,
    timeout: Duration,
    bytes_per_second_min: u64,
    /// From when on somebody waited for it; most bodies are there at once and need no timer.
    waited: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// The body within a request's limits; what goes wrong with it can be seen in the watch.
pub fn bounded(body: Body, limits: &Limits, settings: &FlowSettings) -> (Body, Watch) {
    let watch = Watch::default();
    if body.is_end_stream() {
        return (body, watch);
    }
    let timeout = Duration::from_millis(settings.body_timeout_ms.into());
    let bounded = Bounded {
        inner: body,
        watch: watch.clone(),
        bytes_max: limits.body_bytes_max,
        bytes: 0,
        grace: GRACE,
        // A large file takes as long as its bytes at the least rate.
        timeout: if limits.is_upload { Duration::MAX } else { timeout },
        bytes_per_second_min: settings.body_bytes_per_second_min,
        waited: None,
    };
    (Body::new(bounded), watch)
}

impl Bounded {
    /// Ready once the body is too slow.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A century stands for no limit: the clock's range has an end.
        let allowed = self.allowed().min(Duration::from_secs(3_153_600_000));
        let (start, sleep) = self.waited.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + allowed)))
        });
        // What has come since the timer was set has earned more time.
        let until = *start + allowed;
        if sleep.deadline() < until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(cx)
    }

    /// How long after the start the body may still be incomplete, with the bytes that are there.
    fn allowed(&self) -> Duration {
        let at_least_rate = match self.bytes_per_second_min {
            0 => Duration::MAX,
            rate => self.grace.saturating_add(Duration::from_micros(self.bytes.saturating_mul(1_000_000) / rate)),
        };
        at_least_rate.min(self.timeout)
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.poll_too_slow(cx));
                return Poll::Ready(Some(Err(self.watch.set(Fate::TooSlow))));
            }
        };
        match frame {
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                let is_too_large = self.bytes > self.bytes_max;
                Poll::Ready(Some(if is_too_large { Err(self.watch.set(Fate::TooLarge)) } else { Ok(frame) }))
            }
            Some(Err(_)) => Poll::Ready(Some(Err(self.watch.set(Fate::Broken)))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
