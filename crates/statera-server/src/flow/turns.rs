//! A bound on work that takes a thread for long: a few at once, some wait, the rest is refused at once.

use statera_core::{Error, Result};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns of one kind of work.
pub struct Turns {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    what: &'static str,
}

/// The right to work, until it is dropped. It goes with the work to its thread: who asked may have gone by then.
#[must_use]
pub struct Turn {
    _running: OwnedSemaphorePermit,
}

impl Turns {
    /// So many at once, and so many that wait. `what` names them in the plural, as «sign-ins».
    pub fn new(what: &'static str, at_once: usize, waiting: usize) -> Turns {
        Turns { running: Arc::new(Semaphore::new(at_once)), waiting: Arc::new(Semaphore::new(waiting)), what }
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// `Busy` if too many wait.
    pub async fn turn(&self) -> Result<Turn> {
        let busy = || Error::busy(format!("too many {} at once; try again in a few seconds", self.what));
        if let Ok(running) = self.running.clone().try_acquire_owned() {
            return Ok(Turn { _running: running });
        }
        let _waiting = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| busy())?;
        Ok(Turn { _running: running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn some_run_some_wait_and_the_rest_is_refused() {
        let turns = Turns::new("replays", 2, 1);
        let first = turns.turn().await.expect("free");
        let _second = turns.turn().await.expect("free");
        let mut third = pin!(turns.turn());
        let mut look = Context::from_waker(Waker::noop());
        assert!(third.as_mut().poll(&mut look).is_pending());
        let refused = turns.turn().await.err().expect("too many");
        assert_eq!(refused.to_string(), "too many replays at once; try again in a few seconds");
        drop(first);
        let third = third.await.expect("its turn");
        assert!(pin!(turns.turn()).as_mut().poll(&mut look).is_pending());
        drop(third);
        assert!(turns.turn().await.is_ok());
    }
}
