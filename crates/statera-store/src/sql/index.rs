//! The index of SQLite's log (`-shm`), which every process that has the database open shares: it tells which log is theirs.
//!
//! A log and its index name each other by two salts: bytes 16 to 24 of the log, bytes 32 to 40 of the index, the same bytes in
//! both, <https://www.sqlite.org/walformat.html>.

use super::anchor::Anchor;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where the salts begin in a log, and in its index.
const LOG_SALTS: u64 = 16;
const INDEX_SALTS: u64 = 32;

/// The index of a file of SQLite, once it was read. It is never closed: closing a file drops every lock that this process has on
/// it, and SQLite's are on this one, <https://www.sqlite.org/howtocorrupt.html>.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<Option<(Anchor, ManuallyDrop<File>)>>);

impl Index {
    /// True where a log is the one that the index is of, which `anchor` says was there when the connection was opened.
    pub(super) fn is_of(&self, log: &Path, anchor: &Anchor) -> bool {
        // In the time in which a log is begun anew they differ; whoever asks again finds them the same.
        let (log, index) = (File::open(log).ok().and_then(|log| salts(&log, LOG_SALTS)), self.salts(anchor));
        anchor.is_in_place() && log.is_some() && log == index
    }

    fn salts(&self, anchor: &Anchor) -> Option<[u8; 8]> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !anchor.is_in_place() {
            return None;
        }
        if kept.as_ref().is_none_or(|(known, _)| known != anchor) {
            *kept = Some((anchor.clone(), ManuallyDrop::new(File::open(anchor.path()).ok()?)));
        }
        salts(&kept.as_ref()?.1, INDEX_SALTS)
    }
}

fn salts(mut file: &File, at: u64) -> Option<[u8; 8]> {
    let mut salts = [0; 8];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut salts)).ok()?;
    Some(salts)
}

/// The index beside a file of SQLite.
pub(super) fn index_of(path: &Path) -> PathBuf {
    let mut index = path.as_os_str().to_os_string();
    index.push("-shm");
    index.into()
}
