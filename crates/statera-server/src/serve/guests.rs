//! Connections that are open: how many in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The state. A clone is the same state.
#[derive(Clone)]
pub struct Guests(Arc<Inner>);

struct Inner {
    most: usize,
    most_of_one: usize,
    /// Of those that are counted by address.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    open: AtomicUsize,
    refused: AtomicU64,
    gone: Notify,
}

impl Guests {
    /// At most `most` connections, of one address at most `most_of_one`.
    pub fn new(most: usize, most_of_one: usize) -> Guests {
        Guests(Arc::new(Inner {
            most,
            most_of_one,
            by_address: Mutex::default(),
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            gone: Notify::new(),
        }))
    }

    /// Counts a connection until the guest is dropped; none if there are too many. An address that stands for many (a
    /// reverse proxy) is not counted as one.
    pub fn welcome(&self, address: IpAddr, stands_for_many: bool) -> Option<Guest> {
        let inner = &self.0;
        if inner.open.load(Ordering::Acquire) >= inner.most {
            inner.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let address = (!stands_for_many).then(|| address.to_canonical());
        if let Some(address) = address {
            let mut by_address = inner.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let n = by_address.entry(address).or_default();
            if *n >= inner.most_of_one {
                inner.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            *n += 1;
        }
        inner.open.fetch_add(1, Ordering::AcqRel);
        Some(Guest { guests: self.clone(), address })
    }

    /// Connections now.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Connections that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Waits until no connection is open.
    pub async fn all_gone(&self) {
        loop {
            let gone = self.0.gone.notified();
            if self.open() == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// A connection that is counted.
pub struct Guest {
    guests: Guests,
    address: Option<IpAddr>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let inner = &self.guests.0;
        if let Some(address) = self.address {
            let mut by_address = inner.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(n) = by_address.get_mut(&address) {
                *n -= 1;
                if *n == 0 {
                    by_address.remove(&address);
                }
            }
        }
        if inner.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            inner.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded_in_all_and_of_each_address() {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let guests = Guests::new(4, 2);
        let first = guests.welcome(address(1), false).expect("room");
        let _second = guests.welcome(address(1), false).expect("room");
        assert!(guests.welcome(address(1), false).is_none(), "a third of one address");
        let _proxy: Vec<Guest> = (0..2).map(|_| guests.welcome(address(9), true).expect("room")).collect();
        assert!(guests.welcome(address(9), true).is_none(), "a fifth in all");
        assert_eq!((guests.open(), guests.refused()), (4, 2));
        drop(first);
        let _again = guests.welcome(address(1), false).expect("the place of the first");
        assert_eq!(guests.0.by_address.lock().expect("the lock").len(), 1);
    }

    #[test]
    fn the_last_one_to_go_is_noticed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let guests = Guests::new(4, 4);
        let guest = guests.welcome(IpAddr::from([127, 0, 0, 1]), false);
        runtime.block_on(async {
            let all_gone = tokio::spawn({
                let guests = guests.clone();
                async move { guests.all_gone().await }
            });
            tokio::task::yield_now().await;
            assert!(!all_gone.is_finished());
            drop(guest);
            all_gone.await.expect("all are gone");
        });
        assert!(guests.0.by_address.lock().expect("the lock").is_empty());
    }
}
