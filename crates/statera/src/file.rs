//! Files that are whole or not there: written beside their place and renamed.

use statera_core::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a file in one step; an older one of that name is replaced.
///
/// # Errors
/// A place that cannot be written, a full disk; the message names the file, and nothing half-written stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let partial = Partial::of(path);
    write_synced(partial.path(), bytes).map_err(place)?;
    fs::rename(partial.path(), path).map_err(place)
}

/// A hidden name in the same folder, so that a rename stays on one disk.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{what}"))
}

/// The unfinished form of a file or folder; removed when dropped. After the rename there is nothing left to remove.
pub(crate) struct Partial(PathBuf);

impl Partial {
    pub(crate) fn of(path: &Path) -> Partial {
        Partial(beside(path, "partial"))
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // A failure to clean up must not hide the failure that led here.
        let _ = remove(&self.0);
    }
}

/// Removes a file or folder, if it is there.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Writes a file and waits until the disk has it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
