//! A file that is locked for this process alone. The lock goes with the process, and at once where it is dropped.

use statera_core::{Error, Result};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A lock that is held until it is dropped.
pub(crate) struct Locked(File);

impl Locked {
    /// Locks a file, which is made where there is none; nothing where somebody has it locked.
    pub(crate) fn take(path: &Path) -> Result<Option<Locked>> {
        let place = |e: io::Error| Error::io(format!("{}: {e}", path.display()));
        let file = File::options().create(true).append(true).open(path).map_err(place)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Locked(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(place(e)),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing alone would not do: where a thread starts another program at this moment, that has a copy of every open file
        // until it runs, and the lock is held for as long as one of them is open.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_back_although_a_program_that_starts_has_a_copy_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("writer-1.lock");
        let take = || Locked::take(&path).unwrap();
        let locked = take().unwrap();
        assert!(take().is_none(), "only one has it");
        let copy = locked.0.try_clone().unwrap();
        drop(locked);
        assert!(take().is_some(), "the copy holds it");
        drop(copy);
    }
}
