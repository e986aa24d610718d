//! A state as a file beside the store: a head that says what it stands for, and the state's own bytes, which are encrypted
//! because they have keys and amounts; each has its digest.

use super::columns::LiveColumns;
use super::counting::{Bounds, Counting};
use super::sealed::{Opening, Sealing};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What the store's key of snapshots is for; never changed.
pub(super) const PURPOSE: &str = "snapshots of states";
const MAGIC: &[u8; 8] = b"STLIVE01";
/// Bytes of a head at most.
const MAX_HEAD: u32 = 1 << 20;

/// What a snapshot stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The model.
    pub model: String,
    /// Number of the last transaction or label that it has.
    pub number: u64,
    /// The last row of each chain of the ledger when it was begun: whatever was taken later is recorded after these.
    pub places: BTreeMap<String, u64>,
    /// Bytes of the state that are its network's; the others are its windows'.
    #[serde(default, skip_serializing_if = "is_none")]
    pub network_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_none(n: &u64) -> bool {
    *n == 0
}

/// The file of a model's state in a store's folder.
pub(super) fn path(folder: &Path, model: &str) -> PathBuf {
    folder.join("states").join(format!("{model}.state"))
}

/// A snapshot that is written and not in force yet.
pub(super) struct Draft {
    partial: PathBuf,
    to: PathBuf,
    file: File,
}

/// Begins a snapshot.
pub(super) fn draft(to: PathBuf) -> Result<Draft> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", to.display()));
    let folder = to.parent().unwrap_or(Path::new("")).to_path_buf();
    fs::create_dir_all(&folder).map_err(place)?;
    let partial = to.with_extension("state.partial");
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.create(true).write(true).truncate(true).open(&partial).map_err(place)?;
    Ok(Draft { partial, to, file })
}

impl Draft {
    /// Writes head and state.
    pub(super) fn write(&mut self, head: &Head, state: &Counting, key: &[u8; 32]) -> Result<()> {
        let head = serde_json::to_vec(head).map_err(|e| Error::io(e.to_string()))?;
        let length = u32::try_from(head.len()).ok().filter(|n| *n <= MAX_HEAD);
        let length = length.ok_or_else(|| Error::io("the head of a state's snapshot is too long"))?;
        let mut to = BufWriter::with_capacity(1 << 20, &self.file);
        to.write_all(MAGIC)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&head)?;
        to.write_all(blake3::hash(&head).as_bytes())?;
        let mut to = Sealing::new(to, key)?;
        state.snapshot(&mut to)?;
        Ok(to.finish()?.flush()?)
    }

    /// Puts it in the place of the one before.
    pub(super) fn keep(self) -> Result<()> {
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", self.to.display()));
        self.file.sync_all().map_err(place)?;
        fs::rename(&self.partial, &self.to).map_err(place)?;
        self.to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(place)
    }

    /// Leaves the one before as it is.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(&self.partial);
    }
}

/// Reads a snapshot; `None` if there is none.
///
/// # Errors
/// `Conflict` for a state of another definition, `Newer` for a later format, `Damaged` for what was altered or is of another model.
pub(super) fn read(
    path: &Path,
    model: &str,
    (columns, bounds): (&LiveColumns, Bounds),
    key: &[u8; 32],
) -> Result<Option<(Head, Counting)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(format!("{}: {e}", path.display()))),
    };
    parse(file, model, (columns, bounds), key).map(Some).map_err(|e| e.at(path.display()))
}

fn parse(
    file: File,
    model: &str,
    (columns, bounds): (&LiveColumns, Bounds),
    key: &[u8; 32],
) -> Result<(Head, Counting)> {
    let damaged = |what: &str| Error::damaged(format!("the snapshot {what}"));
    let n_bytes = file.metadata()?.len();
    let mut from = BufReader::with_capacity(1 << 20, file);
    let mut start = [0; 12];
    from.read_exact(&mut start).map_err(|_| damaged("is cut off"))?;
    if &start[..8] != MAGIC {
        return Err(damaged("is none"));
    }
    let length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
    if length > MAX_HEAD {
        return Err(damaged("has a head that is too long"));
    }
    let (mut head, mut digest) = (vec![0; length as usize], [0; 32]);
    from.read_exact(&mut head).and_then(|()| from.read_exact(&mut digest)).map_err(|_| damaged("is cut off"))?;
    if *blake3::hash(&head).as_bytes() != digest {
        return Err(damaged("was altered: the digest of its head does not match"));
    }
    let read: Head = serde_json::from_slice(&head).map_err(|e| damaged(&format!("has a head that is none: {e}")))?;
    if read.model != model {
        return Err(damaged(&format!("is of the model «{}»", read.model)));
    }
    let rest = n_bytes.saturating_sub(12 + u64::from(length) + 32);
    let (mut from, n_bytes) = Opening::new(from, rest, key)?;
    let state = Counting::restore(&mut from, (n_bytes, read.network_bytes), columns, bounds)?;
    Ok((read, state))
}
