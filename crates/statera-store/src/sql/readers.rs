//! A few connections that read, shared by all callers; each waits a bounded time for its turn.

use super::{Attempt, CONNECT_LIMIT, Connection, Database, Failure, Use};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections at most.
const N_MAX: usize = 4;
/// How long a caller waits for one.
const TURN_LIMIT: Duration = Duration::from_secs(5);

/// The connections.
pub(crate) struct Readers {
    database: Arc<Database>,
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    idle: Vec<Connection>,
    n_open: usize,
}

/// The place of a connection that is open, which another may take once this is dropped, also by a panic.
struct Place<'r>(&'r Readers);

impl Place<'_> {
    /// The connection stays open.
    fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().n_open -= 1;
        self.0.freed.notify_one();
    }
}

impl Readers {
    pub(crate) fn new(database: Arc<Database>) -> Readers {
        Readers { database, state: Mutex::new(State { idle: Vec::new(), n_open: 0 }), freed: Condvar::new() }
    }

    /// Lets `read` use a connection. One that broke is replaced, and `read` runs once more.
    pub(crate) fn with<T>(&self, read: impl FnMut(&mut Connection) -> Attempt<T>) -> Attempt<T> {
        self.by(Instant::now() + TURN_LIMIT, None, read)
    }

    /// The same where waiting for the turn and connecting end at a time; `read` itself has to.
    pub(crate) fn until<T>(&self, end: Instant, read: impl FnMut(&mut Connection) -> Attempt<T>) -> Attempt<T> {
        self.by(end, Some(end), read)
    }

    fn by<T>(
        &self,
        turn: Instant,
        end: Option<Instant>,
        mut read: impl FnMut(&mut Connection) -> Attempt<T>,
    ) -> Attempt<T> {
        let (place, idle) = self.take(turn)?;
        let is_fresh = idle.is_none();
        let mut connection = idle.map_or_else(|| self.connect(end), Ok)?;
        let mut done = read(&mut connection);
        if !is_fresh && matches!(done, Err(Failure::Away(_))) {
            drop(connection);
            connection = self.connect(end)?;
            done = read(&mut connection);
        }
        // After a panic it would not come here: the connection may be within a transaction, and goes with its place.
        if !connection.is_broken() {
            self.give(connection, place);
        }
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, end: Option<Instant>) -> Attempt<Connection> {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        self.database.connect_within(Use::Read, left.unwrap_or(CONNECT_LIMIT))
    }

    /// A place, and the connection that has it, if there is one.
    fn take(&self, turn: Instant) -> Attempt<(Place<'_>, Option<Connection>)> {
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok((Place(self), Some(connection)));
            }
            if state.n_open < N_MAX {
                state.n_open += 1;
                return Ok((Place(self), None));
            }
            let left = turn.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Again("all reading connections are in use".into()));
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give(&self, connection: Connection, place: Place<'_>) {
        place.keep();
        self.lock().idle.push(connection);
        self.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn until(readers: &Readers, limit: Duration) -> Attempt<i64> {
        readers.until(Instant::now() + limit, |c| match c.first("SELECT 7", Vec::new())? {
            Some(row) => row.int(0),
            None => Ok(0),
        })
    }

    /// Does something while so many are in use.
    fn while_in_use(readers: &Readers, n: usize, work: &mut dyn FnMut()) {
        if n == 0 {
            work();
            return;
        }
        let done = readers.with(|_| {
            while_in_use(readers, n - 1, work);
            Ok(())
        });
        done.unwrap();
    }

    #[test]
    fn who_finds_all_in_use_is_told_that_and_not_that_the_database_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::file(&folder.path().join("store.sqlite")));
        drop(database.connect(Use::Create).unwrap());
        let readers = Readers::new(database);
        let limit = Duration::from_millis(50);
        while_in_use(&readers, N_MAX, &mut || {
            assert!(matches!(until(&readers, limit), Err(Failure::Again(_))));
        });
        assert!(matches!(until(&readers, Duration::from_secs(5)), Ok(7)), "now there is one");
    }

    #[test]
    fn a_read_that_panics_leaves_its_place_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::file(&folder.path().join("store.sqlite")));
        drop(database.connect(Use::Create).unwrap());
        let readers = Readers::new(database);
        for round in 0..=N_MAX {
            let read = || {
                readers.with(|c| c.snapshot(|_| -> Attempt<()> { panic!("round {round}: the reader's own failure") }))
            };
            assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
            // And none is within the transaction of another.
            assert!(readers.with(|c| c.snapshot(|_| Ok(()))).is_ok(), "round {round}");
        }
        let state = readers.lock();
        assert_eq!((state.n_open, state.idle.len()), (1, 1));
    }

    #[test]
    fn who_has_little_time_does_not_wait_for_a_server_that_is_silent() {
        // The system takes the connection, and nobody says a word.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("postgres://bank@{}/bank?sslmode=disable", silent.local_addr().unwrap());
        let readers = Readers::new(Arc::new(Database::at(&address).unwrap()));
        let started = Instant::now();
        for _ in 0..N_MAX + 1 {
            assert!(matches!(until(&readers, Duration::from_millis(100)), Err(Failure::Away(_))));
        }
        assert!(started.elapsed() < CONNECT_LIMIT, "{:?}", started.elapsed());
    }
}
