//! Files that must stay where they were opened: what is written into one that was moved, removed or replaced since is there for
//! no later process.

use super::failure::{Attempt, Failure};
use std::path::{Path, PathBuf};

/// A file as it was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Anchor {
    pub(super) fn of(path: &Path) -> Anchor {
        Anchor { path: path.into(), identity: identity(path) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// True where there was a file.
    pub(super) fn exists(&self) -> bool {
        self.identity.is_some()
    }

    pub(super) fn is_in_place(&self) -> bool {
        identity(&self.path) == self.identity
    }

    /// True where another file lies in its place that has something in it.
    pub(super) fn has_another(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|meta| meta.len() > 0)
    }

    /// Refuses to go on with a file that must be put back.
    pub(super) fn check(&self) -> Attempt<()> {
        if self.is_in_place() {
            return Ok(());
        }
        Err(Failure::Away(format!("{}; put that back, or stop the server", self.label())))
    }

    /// Why nothing is written, where the file is a log: the writer saves what it holds, and begins another.
    pub(super) fn lost(&self) -> Failure {
        Failure::Away(format!("{}; what that holds is saved first", self.label()))
    }

    /// What is told of a file that is not in its place.
    pub(super) fn label(&self) -> String {
        format!("{} is no longer the file that was opened", self.path.display())
    }
}

/// Which file a path leads to: its disk and its number there.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Which file a path leads to; elsewhere only whether there is one.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|_| (0, 0))
}
