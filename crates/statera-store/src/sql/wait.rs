//! Waiting for a future on a thread of one's own, also inside another runtime, where a runtime's own `block_on` panics.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Wakes the thread that waits. Not by `Thread::unpark`: that has one token for all who wake a thread, and what another meant with it,
/// as that the store is being closed, would be taken here and never seen.
#[derive(Default)]
struct Signal {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, bool> {
        // The state is whole at every moment.
        self.is_woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is woken, or until a time.
    fn wait(&self, end: Instant) {
        let mut is_woken = self.lock();
        while !*is_woken {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            is_woken = self.woken.wait_timeout(is_woken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *is_woken = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.lock() = true;
        self.woken.notify_one();
    }
}

/// What the future gives; `None` if it did not within `limit`. The runtime is the one whose reactor drives the future.
pub(crate) fn wait<F: Future>(future: F, runtime: Option<&Handle>, limit: Duration) -> Option<F::Output> {
    let _entered = runtime.map(Handle::enter);
    let mut future = pin!(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    let end = Instant::now() + limit;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        // Also where it is woken again and again.
        if Instant::now() >= end {
            return None;
        }
        signal.wait(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::thread;

    #[test]
    fn what_others_tell_the_thread_is_not_taken() {
        let mut n_polls = 0;
        thread::current().unpark();
        let waited = poll_fn(|context| {
            n_polls += 1;
            if n_polls == 3 {
                return Poll::Ready(7);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(wait(waited, None, Duration::from_secs(60)), Some(7));
        let started = Instant::now();
        thread::park_timeout(Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(30), "the token was taken");
    }

    #[test]
    fn what_does_not_come_is_waited_for_so_long() {
        let started = Instant::now();
        let limit = Duration::from_millis(50);
        assert_eq!(wait(pending::<()>(), None, limit), None);
        assert!(started.elapsed() >= limit);
        let woken_for_ever = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(wait(woken_for_ever, None, limit), None);
    }
}
