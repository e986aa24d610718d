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

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::Error;
    use tokio::sync::oneshot::{self, error::TryRecvError};

    #[tokio::test]
    async fn a_group_is_told_when_it_ends_and_others_at_once() {
        let courier = Courier::default();
        courier.serve(&Handle::current());
        for n in [1, 2, 5] {
            courier.note(Group::Begins);
            let mut waiting = Vec::new();
            for i in 0..n {
                let (tell, told) = oneshot::channel();
                let answer = if i == 1 { Err(Error::busy("no")) } else { Ok(Told::New(vec![i])) };
                courier.tell(tell, answer);
                waiting.push(told);
            }
            // Who went away in between takes nobody else's answer with it.
            let gone = waiting.remove(0);
            drop(gone);
            assert!(waiting.iter_mut().all(|told| matches!(told.try_recv(), Err(TryRecvError::Empty))));
            courier.note(Group::Ends);
            for (i, told) in waiting.into_iter().enumerate() {
                match told.await.expect("is told") {
                    Ok(Told::New(answer)) => assert_eq!(answer, [i as u8 + 1]),
                    Ok(Told::Before(_)) => panic!("it is new"),
                    Err(e) => assert_eq!((i, e.to_string().as_str()), (0, "no")),
                }
            }
            let (tell, told) = oneshot::channel();
            courier.tell(tell, Ok(Told::New(vec![7])));
            assert!(matches!(told.await, Ok(Ok(Told::New(answer))) if answer == [7]), "between groups");
        }
    }

    #[test]
    fn without_a_runtime_answers_come_all_the_same() {
        let courier = Courier::default();
        courier.note(Group::Begins);
        let both = [0; 2].map(|_| {
            let (tell, told) = oneshot::channel();
            courier.tell(tell, Ok(Told::New(Vec::new())));
            told
        });
        courier.note(Group::Ends);
        assert!(both.into_iter().all(|mut told| matches!(told.try_recv(), Ok(Ok(Told::New(_))))));
    }
}
