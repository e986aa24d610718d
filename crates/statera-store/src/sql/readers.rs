//! A few connections that read, shared by all callers; each waits a bounded time for its turn.

use super::{Attempt, Connection, Database, Failure, Use};
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

impl Readers {
    pub(crate) fn new(database: Arc<Database>) -> Readers {
        Readers { database, state: Mutex::new(State { idle: Vec::new(), n_open: 0 }), freed: Condvar::new() }
    }

    /// Lets `read` use a connection. One that broke is replaced, and `read` runs once more.
    pub(crate) fn with<T>(&self, read: impl FnMut(&mut Connection) -> Attempt<T>) -> Attempt<T> {
        self.within(TURN_LIMIT, read)
    }

    /// The same with another limit for the turn.
    pub(crate) fn within<T>(&self, limit: Duration, mut read: impl FnMut(&mut Connection) -> Attempt<T>) -> Attempt<T> {
        let (mut connection, is_fresh) = self.take(limit)?;
        let mut done = read(&mut connection);
        if !is_fresh && matches!(done, Err(Failure::Away(_))) {
            drop(connection);
            connection = match self.database.connect(Use::Read) {
                Ok(connection) => connection,
                Err(e) => {
                    self.close();
                    return Err(e);
                }
            };
            done = read(&mut connection);
        }
        self.give(connection);
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, and whether it was made for this.
    fn take(&self, limit: Duration) -> Attempt<(Connection, bool)> {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok((connection, false));
            }
            if state.n_open < N_MAX {
                state.n_open += 1;
                drop(state);
                return match self.database.connect(Use::Read) {
                    Ok(connection) => Ok((connection, true)),
                    Err(e) => {
                        self.close();
                        Err(e)
                    }
                };
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Again("all reading connections are in use".into()));
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give(&self, connection: Connection) {
        if connection.is_broken() {
            return self.close();
        }
        self.lock().idle.push(connection);
        self.freed.notify_one();
    }

    fn close(&self) {
        self.lock().n_open -= 1;
        self.freed.notify_one();
    }
}
