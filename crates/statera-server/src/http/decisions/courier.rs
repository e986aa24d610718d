//! From the writer's thread to the requests that wait: a group at once.
//!
//! Waking a request from another thread is a call of the system, and on one core the woken thread takes the place of the
//! writer at once, for one answer. What a group of commits leaves is therefore carried over by one task.

use super::ask::{Tell, Told};
use statera_core::Result;
use statera_store::Group;
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::runtime::Handle;

/// Carries answers.
#[derive(Default)]
pub struct Courier {
    bag: Mutex<Bag>,
    /// Where requests wait.
    runtime: OnceLock<Handle>,
}

#[derive(Default)]
struct Bag {
    /// True between the first and the last callback of a group.
    is_open: bool,
    letters: Vec<Letter>,
}

/// An answer, and who waits for it.
struct Letter {
    tell: Tell,
    told: Result<Told>,
}

impl Courier {
    /// From now on requests wait on `runtime`.
    pub(crate) fn serve(&self, runtime: &Handle) {
        let _ = self.runtime.set(runtime.clone());
    }

    /// Gives an answer to who waits for it; within a group, when the group ends.
    pub(super) fn tell(&self, tell: Tell, told: Result<Told>) {
        let mut bag = self.bag.lock().unwrap_or_else(PoisonError::into_inner);
        if bag.is_open {
            bag.letters.push(Letter { tell, told });
        } else {
            drop(bag);
            drop(tell.send(told));
        }
    }

    /// A group begins or ends.
    pub(crate) fn note(&self, group: Group) {
        let mut bag = self.bag.lock().unwrap_or_else(PoisonError::into_inner);
        bag.is_open = group == Group::Begins;
        let letters = std::mem::take(&mut bag.letters);
        drop(bag);
        match (self.runtime.get(), letters.len()) {
            (_, 0) => {}
            (Some(runtime), 2..) => drop(runtime.spawn(async { letters.into_iter().for_each(Letter::deliver) })),
            _ => letters.into_iter().for_each(Letter::deliver),
        }
    }
}

impl Letter {
    /// Who went away in between is not told.
    fn deliver(self) {
        drop(self.tell.send(self.told));
    }
}
