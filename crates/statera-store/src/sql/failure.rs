//! What can become of a statement, in the terms the writer acts on.

use crate::{AWAY, BUSY};
use statera_core::Error;

/// Why a statement or a transaction did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database does not answer or the connection broke.
    Away(String),
    /// Something of that name exists: another process or a request of the same group was first.
    Unique(String),
    /// Another transaction was in the way; the same one may succeed when repeated.
    Again(String),
    /// The disk has no room; nothing was written.
    Full(Error),
    /// What callers are told.
    Refused(Error),
}

/// What became of a statement or a transaction.
pub(crate) type Attempt<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The same with the place before its message.
    pub(crate) fn at(self, place: &str) -> Failure {
        match self {
            Failure::Away(why) => Failure::Away(format!("{place}: {why}")),
            Failure::Unique(what) => Failure::Unique(format!("{place}: {what}")),
            Failure::Again(why) => Failure::Again(format!("{place}: {why}")),
            Failure::Full(e) => Failure::Full(e.at(place)),
            Failure::Refused(e) => Failure::Refused(e.at(place)),
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        Failure::Refused(e)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Away(why) => Error::busy(format!("{AWAY}: {why}")),
            Failure::Unique(what) => Error::conflict(format!("it exists already: {what}")),
            Failure::Again(why) => Error::busy(format!("{BUSY}: {why}")),
            Failure::Full(e) | Failure::Refused(e) => e,
        }
    }
}

/// Result codes of SQLite, <https://www.sqlite.org/rescode.html>.
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;
const SQLITE_CONSTRAINT_PRIMARYKEY: i32 = 1555;
const SQLITE_CONSTRAINT_UNIQUE: i32 = 2067;
const SQLITE_CONSTRAINT_ROWID: i32 = 2579;

/// An error of SQLite.
pub(crate) fn sqlite(e: &rusqlite::Error) -> Failure {
    let rusqlite::Error::SqliteFailure(code, message) = e else {
        return Error::io(format!("the database: {e}")).into();
    };
    let message = message.clone().unwrap_or_else(|| code.to_string());
    if let SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_ROWID = code.extended_code {
        return Failure::Unique(message);
    }
    // The lower byte is the primary code.
    match code.extended_code & 0xff {
        SQLITE_BUSY | SQLITE_LOCKED => Failure::Again(message),
        SQLITE_IOERR | SQLITE_CANTOPEN => Failure::Away(message),
        SQLITE_FULL => Failure::Full(Error::busy("the disk of the store is full; nothing was written")),
        SQLITE_CORRUPT | SQLITE_NOTADB => Error::damaged(format!("the database file is damaged: {message}")).into(),
        SQLITE_READONLY => Error::io(format!("the store cannot be written: {message}")).into(),
        _ => Error::io(format!("the database: {message}")).into(),
    }
}

/// An error of PostgreSQL, by its SQLSTATE.
pub(crate) fn postgres(e: &sqlx::Error) -> Failure {
    let sqlx::Error::Database(database) = e else { return other(e) };
    let message = database.message().to_string();
    let code = database.code().unwrap_or_default();
    match &*code {
        "23505" => Failure::Unique(message),
        "40001" | "40P01" | "55P03" => Failure::Again(message),
        "53100" => Failure::Full(Error::busy("the disk of the database is full; nothing was written")),
        // Read-only: a standby, which a failover may make the primary again.
        "25006" | "57P01" | "57P02" | "57P03" => Failure::Away(message),
        _ if code.starts_with("08") || code.starts_with("53") => Failure::Away(message),
        _ => Error::io(format!("the database: {message} ({code})")).into(),
    }
}

fn other(e: &sqlx::Error) -> Failure {
    match e {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed => Failure::Away(e.to_string()),
        _ => Error::io(format!("the database: {e}")).into(),
    }
}
