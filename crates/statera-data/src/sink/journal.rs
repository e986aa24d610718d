//! The journal beside a file being written: how many rows are complete, and how far the file reaches with them.
//!
//! A journal is a text file: one line of JSON that says what is written, then one line per complete chunk. A line counts
//! only with its line feed. Data are made durable before the line that speaks of them, so that a crash between the two
//! loses the chunk and nothing else; whatever lies behind the last line's size is cut off when the run is continued.
//! The open journal is locked: two processes cannot write one output.

use super::SinkOptions;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Version of the journal's format.
const FORMAT: u32 = 1;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    statera_journal: u32,
    fingerprint: String,
    layout: String,
}

/// A complete chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Rows complete.
    pub rows: u64,
    /// Bytes or parts that hold them.
    pub size: u64,
    /// Bytes of the finished output, which only waits for its final name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
}

/// An open, locked journal.
pub(super) struct Journal {
    out: PathBuf,
    path: PathBuf,
    file: File,
    /// Each entry with the journal's length up to it.
    entries: Vec<(Entry, u64)>,
    /// The journal's length with only its header.
    header_len: u64,
}

/// The output's path with an ending.
pub(super) fn beside(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// An error of the machine at a path.
pub(super) fn failed(path: &Path, error: &std::io::Error) -> Error {
    let advice = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "; the complete rows are kept: free some space and run the same command again to continue"
        }
        _ => "",
    };
    Error::io(format!("{}: {error}{advice}", path.display()))
}

/// Makes names made or removed in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some systems cannot open a folder; they need no such step.
    match File::open(folder) {
        Ok(folder_file) => folder_file.sync_all().map_err(|e| failed(folder, &e)),
        Err(_) => Ok(()),
    }
}

impl Journal {
    /// Opens `OUT.journal`, locks it, and reads what an earlier run left, or starts anew, which a finished file of that name
    /// forbids unless it may be replaced.
    pub fn open(out: &Path, layout: String, options: &SinkOptions) -> Result<Journal> {
        if out.is_dir() {
            return Err(Error::request(format!("{}: a folder; allowed is the name of a file", out.display())));
        }
        let path = beside(out, ".journal");
        let is_taken = || out.exists() && !options.replace;
        let taken =
            || Err(Error::request(format!("{} exists; name another file, or replace it with --force", out.display())));
        if is_taken() && !path.exists() {
            return taken();
        }
        let mut file = lock(&path, out)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|e| failed(&path, &e))?;
        let mut journal = Journal { out: out.into(), path, file, entries: Vec::new(), header_len: 0 };
        let header = Header { statera_journal: FORMAT, fingerprint: options.fingerprint.clone(), layout };
        if !(journal.parse(&text, &header, options.resume)? && options.resume) {
            if is_taken() {
                return taken();
            }
            journal.restart(&header)?;
        }
        Ok(journal)
    }

    /// Reads header and entries; false where the header is incomplete. Another run's journal is an error, unless the
    /// caller starts over; a file that is no journal is always one.
    fn parse(&mut self, text: &[u8], header: &Header, resume: bool) -> Result<bool> {
        let mut lines = text.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
        let Some(first) = lines.next() else { return Ok(false) };
        self.header_len = first.len() as u64;
        self.check_header(first, header, resume)?;
        let mut end = self.header_len;
        for line in lines {
            // What cannot be read is the trace of a crash: it and all behind it do not count.
            let Ok(entry) = serde_json::from_slice(line) else { break };
            end += line.len() as u64;
            self.entries.push((entry, end));
        }
        Ok(true)
    }

    fn check_header(&self, line: &[u8], header: &Header, resume: bool) -> Result<()> {
        let out = self.out.display();
        let advice = format!(
            "finish that run with its own command, write to another file, or start over and delete {out}.partial and \
             {out}.journal"
        );
        let version =
            serde_json::from_slice::<serde_json::Value>(line).ok().and_then(|v| v["statera_journal"].as_u64());
        if version.is_some() && !resume {
            return Ok(());
        }
        if version.is_some_and(|v| v > u64::from(FORMAT)) {
            return Err(Error::newer(format!("{}: written by a newer version; {advice}", self.path.display())));
        }
        match serde_json::from_slice::<Header>(line) {
            Ok(found) if found == *header => Ok(()),
            Ok(found) if found.fingerprint == header.fingerprint => Err(Error::request(format!(
                "{}: an unfinished run wrote {}, this one writes {}; {advice}",
                self.path.display(),
                found.layout,
                header.layout
            ))),
            Ok(_) => Err(Error::request(format!(
                "{}: an unfinished run of another input or bundle; {advice}",
                self.path.display()
            ))),
            Err(_) => Err(Error::request(format!("{}: not a journal of statera; {advice}", self.path.display()))),
        }
    }

    fn restart(&mut self, header: &Header) -> Result<()> {
        self.entries.clear();
        self.truncate(0)?;
        self.append(header)?;
        self.header_len = self.file.stream_position().map_err(|e| failed(&self.path, &e))?;
        sync_folder(&self.path)
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.file
            .set_len(len)
            .and_then(|()| self.file.seek(SeekFrom::Start(len)))
            .map(|_| ())
            .map_err(|e| failed(&self.path, &e))
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|e| Error::io(e.to_string()))?;
        text.push(b'\n');
        self.file.write_all(&text).and_then(|()| self.file.sync_data()).map_err(|e| failed(&self.path, &e))
    }

    /// Goes back to the last entry that `holds`, drops those behind it, and returns it; no rows where none does.
    pub fn last(&mut self, holds: impl Fn(&Entry) -> bool) -> Result<Entry> {
        while self.entries.last().is_some_and(|(entry, _)| !holds(entry)) {
            self.entries.pop();
        }
        let (entry, len) = self.entries.last().copied().unwrap_or((Entry::default(), self.header_len));
        self.truncate(len)?;
        Ok(entry)
    }

    /// Notes a complete chunk; the caller has made its data durable.
    pub fn note(&mut self, entry: Entry) -> Result<()> {
        self.append(&entry)
    }

    /// Gives the finished file its final name, cleans up, and removes the journal last: until then a later run can go on from
    /// here. Where `file` is gone, an earlier run has given it its name.
    pub fn publish_and(self, file: &Path, clean: impl FnOnce() -> Result<()>) -> Result<()> {
        if file.exists() {
            std::fs::rename(file, &self.out).map_err(|e| failed(&self.out, &e))?;
            sync_folder(&self.out)?;
        }
        clean()?;
        std::fs::remove_file(&self.path).map_err(|e| failed(&self.path, &e))?;
        sync_folder(&self.path)
    }

    /// [`Journal::publish_and`] with nothing to clean.
    pub fn publish(self, file: &Path) -> Result<()> {
        self.publish_and(file, || Ok(()))
    }
}

/// Opens and locks the journal of an output.
fn lock(path: &Path, out: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        // The user has named the output, not the journal beside it.
        let file = file.map_err(|e| Error::request(format!("{} cannot be written: {e}", out.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::request(format!("{}: another process is writing it", out.display())));
            }
            Err(TryLockError::Error(e)) => return Err(failed(path, &e)),
        }
        // Another process may have finished and removed the file between the two steps: its lock would protect nothing.
        if path.exists() {
            return Ok(file);
        }
    }
}
