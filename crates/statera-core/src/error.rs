//! The one error type of the library crates.

use std::fmt;

/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in the terms a caller acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong: an unknown column, an impossible setting. The command line exits with 2.
    Request,
    /// The user's data are wrong or unusable: a ragged file, a constant target.
    Data,
    /// The machine failed: a full disk, a missing file, an unreachable database.
    Io,
    /// A bundle is damaged: a digest, a size or a golden row does not match.
    Damaged,
    /// A file was written by a newer version.
    Newer,
    /// The work was interrupted by the user.
    Cancelled,
    /// What is asked for does not exist.
    NotFound,
    /// What is asked for contradicts what is there: a request id with another body, a proposal that is closed.
    Conflict,
    /// Who asks may not.
    Denied,
    /// There is too much to do, or what is needed does not answer for now; the same request may succeed later.
    Busy,
}

/// An error whose message names the place, the value and what is allowed; without a final full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// The request is wrong.
    pub fn request(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Request, message: message.into() }
    }
    /// The data are wrong.
    pub fn data(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Data, message: message.into() }
    }
    /// The machine failed.
    pub fn io(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Io, message: message.into() }
    }
    /// A bundle is damaged.
    pub fn damaged(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Damaged, message: message.into() }
    }
    /// A file is newer than this program.
    pub fn newer(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Newer, message: message.into() }
    }
    /// The user interrupted the work.
    pub fn cancelled() -> Self {
        Error { kind: ErrorKind::Cancelled, message: "interrupted; nothing was written".into() }
    }
    /// The user interrupted the work, and some of it is kept.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Cancelled, message: message.into() }
    }
    /// What is asked for does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::NotFound, message: message.into() }
    }
    /// The request contradicts what is there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Conflict, message: message.into() }
    }
    /// Who asks may not.
    pub fn denied(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Denied, message: message.into() }
    }
    /// Too much to do, or something does not answer for now.
    pub fn busy(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Busy, message: message.into() }
    }
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
    /// True if the request itself was wrong.
    pub fn is_request(&self) -> bool {
        self.kind == ErrorKind::Request
    }
    /// True if the user interrupted the work.
    pub fn is_cancelled(&self) -> bool {
        self.kind == ErrorKind::Cancelled
    }
    /// The same error with the place it happened put before the message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Error::io(e.to_string())
    }
}
