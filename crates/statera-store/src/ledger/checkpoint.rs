//! Signed checkpoints: lines of a file apart from the database, each with the heads of all chains and the digest of the line
//! before it, so that neither the end of a chain nor a checkpoint in the middle can be taken away unseen.
//!
//! A line is `{"checkpoint":{…},"signature":"…"}`; the signature (ed25519, RFC 8032) is over the bytes of the checkpoint as
//! they stand in the line.

use crate::keys::{self, CHECKPOINT, CHECKPOINT_PUBLIC, hex, unhex};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use statera_core::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Name of the file in the store's folder.
pub const FILE: &str = "checkpoints.jsonl";
/// What a signature is over begins with; never changed.
const DOMAIN: &[u8] = b"statera checkpoint v1\n";
/// Bytes of a line at most: some hundred for each of the chains.
const LINE_MAX: u64 = 2 << 20;
/// How long the other processes of a folder are waited for.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// The heads of all chains at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The last row of every chain.
    pub heads: Vec<ChainHead>,
    /// BLAKE3 of the line before this one; none of the first.
    pub before: Option<String>,
}

/// The last row of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainHead {
    /// The chain.
    pub chain: String,
    /// The row's number.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    checkpoint: &'a RawValue,
    signature: String,
}

/// Signs checkpoints and adds them to the file.
pub(crate) struct Notary {
    key: SigningKey,
    file: PathBuf,
}

impl Notary {
    /// The notary of a folder; its key is made at the first start.
    ///
    /// # Errors
    /// A file of checkpoints whose key is missing: a new key could not be told from a forger's.
    pub(crate) fn open(folder: &Path) -> Result<Notary> {
        let path = keys::folder(folder)?.join(CHECKPOINT);
        let file = folder.join(FILE);
        let key = match keys::read(&path)? {
            Some(key) => key,
            None if file.exists() => {
                return Err(Error::io(format!(
                    "{} is missing, and {} was signed with it; copy the key back, or move that file away to begin a new one",
                    path.display(),
                    file.display()
                )));
            }
            None => {
                let key = keys::random()?;
                keys::write(&path, &key, true)?;
                key
            }
        };
        let key = SigningKey::from_bytes(&key);
        let public = folder.join(CHECKPOINT_PUBLIC);
        if !public.exists() {
            keys::write(&public, key.verifying_key().as_bytes(), false)?;
        }
        Ok(Notary { key, file })
    }

    /// Adds a checkpoint to the file; it is on disk when this returns.
    pub(crate) fn sign(&self, at_us: i64, heads: Vec<ChainHead>) -> Result<()> {
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", self.file.display()));
        let is_new = !self.file.exists();
        let mut file = File::options().create(true).append(true).read(true).open(&self.file).map_err(place)?;
        self.take_turn(&file)?;
        let (last, is_cut) = last_line(&mut file).map_err(place)?;
        let before = last.map(|line| hex(blake3::hash(line.as_bytes()).as_bytes()));
        let checkpoint = serde_json::to_string(&Checkpoint { at_us, heads, before })
            .map_err(|e| Error::io(format!("a checkpoint cannot be written: {e}")))?;
        let signature = self.key.sign(&signed(&checkpoint));
        let signature = hex(&signature.to_bytes());
        if let Some(end) = is_cut {
            // A process was killed while it wrote: half a line proves nothing.
            file.set_len(end).map_err(place)?;
        }
        let line = format!("{{\"checkpoint\":{checkpoint},\"signature\":\"{signature}\"}}\n");
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(place)?;
        if is_new { keys::sync_folder(&self.file).map_err(place) } else { Ok(()) }
    }

    /// Processes that share the folder take turns; one that stands still with its turn is not waited for for ever.
    fn take_turn(&self, file: &File) -> Result<()> {
        let end = Instant::now() + TURN_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(e)) => return Err(Error::io(format!("{}: {e}", self.file.display()))),
                Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => {
                    let limit = TURN_LIMIT.as_secs();
                    let told = format!("{}: another process has been writing it for {limit} s", self.file.display());
                    return Err(Error::busy(told));
                }
            }
        }
    }

    /// The last checkpoint of the file, if there is one; its signature is checked.
    pub(crate) fn last(&self) -> Result<Option<Checkpoint>> {
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", self.file.display()));
        let mut file = match File::open(&self.file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(place)?,
        };
        let (last, _) = last_line(&mut file).map_err(place)?;
        last.map(|line| parse(&line, &self.key.verifying_key()).map_err(|e| e.at(self.file.display()))).transpose()
    }
}

/// The last whole line, and where it ends if something follows it.
fn last_line(file: &mut File) -> std::io::Result<(Option<String>, Option<u64>)> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(2 * LINE_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(2 * LINE_MAX).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|b| *b == b'\n') else {
        return Ok((None, (length > 0).then_some(0)));
    };
    let begin = bytes[..end].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let is_cut = (end + 1 < bytes.len()).then_some(start + end as u64 + 1);
    Ok((Some(String::from_utf8_lossy(&bytes[begin..end]).into_owned()), is_cut))
}

fn signed(checkpoint: &str) -> Vec<u8> {
    [DOMAIN, checkpoint.as_bytes()].concat()
}

fn parse(line: &str, key: &VerifyingKey) -> Result<Checkpoint> {
    let damaged = |why: String| Error::damaged(format!("a checkpoint {why}"));
    let parsed: Line = serde_json::from_str(line).map_err(|e| damaged(format!("cannot be read: {e}")))?;
    let signature = unhex::<64>(&parsed.signature).ok_or_else(|| damaged("has no signature".into()))?;
    key.verify_strict(&signed(parsed.checkpoint.get()), &Signature::from_bytes(&signature))
        .map_err(|_| damaged("was altered, or signed with another key: its signature does not fit".into()))?;
    serde_json::from_str(parsed.checkpoint.get()).map_err(|e| damaged(format!("cannot be read: {e}")))
}

/// The public key of a file.
///
/// # Errors
/// A file that is missing or holds no key.
pub(crate) fn public_key(path: &Path) -> Result<VerifyingKey> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::request(format!("{}: {e}", path.display())))?;
    let key = unhex(text.trim()).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    key.ok_or_else(|| {
        Error::request(format!("{} holds no public key; allowed are 64 hexadecimal digits", path.display()))
    })
}

/// Reads all checkpoints and checks signatures and order; `each` gets every one with its line's number from 1. What is
/// wrong goes to `wrong`, with the line's number.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn read_all(
    path: &Path,
    key: &VerifyingKey,
    mut each: impl FnMut(usize, Checkpoint),
    mut wrong: impl FnMut(usize, String),
) -> Result<()> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(place)?);
    let mut before: Option<String> = None;
    for number in 1.. {
        let mut bytes = Vec::new();
        (&mut reader).take(LINE_MAX).read_until(b'\n', &mut bytes).map_err(place)?;
        if bytes.is_empty() {
            break;
        }
        let line = String::from_utf8_lossy(&bytes);
        let Some(line) = line.strip_suffix('\n') else {
            wrong(number, "is cut off".into());
            break;
        };
        match parse(line, key) {
            Ok(checkpoint) => {
                if checkpoint.before != before {
                    wrong(
                        number,
                        "does not follow the line before it: a checkpoint was dropped, added or moved".into(),
                    );
                }
                each(number, checkpoint);
            }
            Err(e) => wrong(number, e.to_string()),
        }
        before = Some(hex(blake3::hash(line.as_bytes()).as_bytes()));
    }
    Ok(())
}
