//! Key files: 32 random bytes as hexadecimal digits in a file that only its owner can read. They lie apart from the
//! database (the folder `keys`), so that a copy of the database alone tells nothing.

use statera_core::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Longer files are not read.
const FILE_BYTES_MAX: u64 = 1024;
/// The folder of secret keys in the store's folder.
pub const KEYS: &str = "keys";
/// Wraps the keys of subjects.
pub const MASTER: &str = "master.key";
/// Signs checkpoints.
pub const CHECKPOINT: &str = "checkpoint.key";
/// The server's own: it makes and recognises API keys.
pub(crate) const SERVER: &str = "server.key";
/// The checkpoints' public half, in the store's folder: what an auditor needs.
pub const CHECKPOINT_PUBLIC: &str = "checkpoint.pub";

/// A key; overwritten in memory when dropped.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// The folder of key files, made where it is missing.
pub(crate) fn folder(store: &Path) -> Result<PathBuf> {
    let folder = store.join(KEYS);
    make_folder(&folder).map_err(|e| Error::io(format!("{}: {e}", folder.display())))?;
    Ok(folder)
}

/// Makes a folder, where it is missing, that only its owner can read, whatever the umask says.
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A new key of the system's random source.
pub(crate) fn random() -> Result<Key> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    fill(&mut *key)?;
    Ok(key)
}

/// Random bytes of the system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::io(format!("the system's random source: {e}")))
}

/// Reads a key file; `None` where there is none.
///
/// # Errors
/// A file that others than its owner can read, or that holds no key; messages never hold what is in it.
pub(crate) fn read(path: &Path) -> Result<Option<Key>> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(place)?,
    };
    refuse_open_door(&file, path)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(place)?;
    match unhex(text.trim()) {
        Some(key) => Ok(Some(Zeroizing::new(key))),
        None => Err(Error::damaged(format!(
            "{} holds no key; allowed are {} hexadecimal digits",
            path.display(),
            2 * KEY_BYTES
        ))),
    }
}

/// Writes a key file, or what is public; one that exists is never replaced.
pub(crate) fn write(path: &Path, bytes: &[u8; KEY_BYTES], is_secret: bool) -> Result<()> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_secret { 0o600 } else { 0o644 });
    let mut file = options.open(path).map_err(place)?;
    let text = Zeroizing::new(format!("{}\n", hex(bytes)));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    written.map_err(|e| {
        // Half a key is none.
        let _ = fs::remove_file(path);
        place(e)
    })
}

/// The folder of a file that is new: its name is on disk only after this.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn refuse_open_door(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::request(format!("{path} can be read or changed by others (mode {mode:03o}); run chmod 600 {path}")))
}

#[cfg(not(unix))]
fn refuse_open_door(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// The same, appended.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Bytes of lower-case hexadecimal digits; `None` for anything else.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
