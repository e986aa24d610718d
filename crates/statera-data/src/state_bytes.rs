//! States as bytes and back: magic, format, digest of the definition, what the state has, and at last a digest of all.
//!
//! Nothing in it is executable. What is read is bounded by the length that the caller says the source has, and the digest is checked
//! before anything is used.

use statera_core::{Error, Result};
use std::io::{self, Read, Write};

/// Bytes of a digest in hexadecimal, and in bytes.
const HEX: usize = 64;
const DIGEST: u64 = 32;

/// What a file of states begins with, and the newest version of its format.
pub(crate) struct Kind {
    pub magic: &'static [u8; 8],
    pub format: u32,
    /// What it is a state of.
    pub of: &'static str,
}

/// What is wrong with a state that cannot be read.
pub(crate) fn damaged(what: &str) -> Error {
    Error::damaged(format!("state: it {what}; use another copy"))
}

/// Writes a state.
pub(crate) struct Writer<'a> {
    to: &'a mut dyn Write,
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Of a definition with this digest.
    pub fn begin(to: &'a mut dyn Write, kind: &Kind, digest: &str) -> Result<Writer<'a>> {
        let mut to = Writer { to, hasher: blake3::Hasher::new(), bytes: Vec::new() };
        to.put(kind.magic)?;
        to.words(&[kind.format])?;
        to.put(digest.as_bytes())?;
        Ok(to)
    }

    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        Ok(self.to.write_all(bytes)?)
    }

    pub fn words(&mut self, words: &[u32]) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let put = self.put(&bytes);
        self.bytes = bytes;
        put
    }

    /// Writes the digest of all that was written.
    pub fn end(self) -> Result<()> {
        let digest = self.hasher.finalize();
        self.to.write_all(digest.as_bytes())?;
        Ok(self.to.flush()?)
    }
}

/// Reads a state.
pub(crate) struct Reader<'a> {
    from: &'a mut dyn Read,
    hasher: blake3::Hasher,
    /// Version of the format that it has.
    pub format: u32,
    /// Bytes before the digest at the end.
    pub left: u64,
    bytes: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Of `n_bytes` bytes, and of a definition with this digest.
    ///
    /// # Errors
    /// `Conflict` for a state of another definition, `Newer` for a newer format, `Damaged` for what is no state.
    pub fn begin(from: &'a mut dyn Read, n_bytes: u64, kind: &Kind, digest: &str) -> Result<Reader<'a>> {
        let left = n_bytes.checked_sub(DIGEST).ok_or_else(|| damaged("is too short"))?;
        let mut from = Reader { from, hasher: blake3::Hasher::new(), format: 0, left, bytes: Vec::new() };
        if from.take(kind.magic.len())? != kind.magic {
            return Err(damaged(&format!("is no state of {}", kind.of)));
        }
        let (format, own) = (from.word()?, kind.format);
        if format > own {
            return Err(Error::newer(format!(
                "state: format {format} is newer than {own}, which this program reads; install a later version"
            )));
        }
        from.format = format;
        let read = String::from_utf8_lossy(from.take(HEX)?).into_owned();
        if read != digest {
            return Err(Error::conflict(format!(
                "state: it is of the definition {read}, not of {digest}; allowed is a state of the same {}: begin with a new one and \
                 replay the events, or use the bundle that the state was made with",
                kind.of
            )));
        }
        Ok(from)
    }

    pub fn take(&mut self, n: usize) -> Result<&[u8]> {
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| damaged("is cut off"))?;
        self.bytes.resize(n, 0);
        self.from.read_exact(&mut self.bytes).map_err(|e| unread(&e))?;
        self.hasher.update(&self.bytes);
        Ok(&self.bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged("is cut off"))
    }

    pub fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn words(&mut self, n: usize) -> Result<Vec<u32>> {
        Ok(words_of(self.take(n * 4)?))
    }

    /// A number of items, of at least so many bytes each: no more than what is left has room for.
    pub fn count(&mut self, n_bytes: u64) -> Result<usize> {
        let n = self.word()?;
        if u64::from(n) * n_bytes > self.left { Err(damaged("is cut off")) } else { Ok(n as usize) }
    }

    /// Checks the digest, and that nothing comes after it.
    pub fn end(self) -> Result<()> {
        let own = self.hasher.finalize();
        let mut digest = [0; DIGEST as usize];
        self.from.read_exact(&mut digest).map_err(|e| unread(&e))?;
        if self.left > 0 || digest != *own.as_bytes() {
            return Err(damaged("was altered: its digest does not match"));
        }
        Ok(())
    }
}

/// The words of so many bytes.
pub(crate) fn words_of(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Why bytes do not come: what decrypts them tells by its kind of error that they are not those that were written.
fn unread(error: &io::Error) -> Error {
    let is_altered = error.kind() == io::ErrorKind::InvalidData;
    damaged(if is_altered { "was altered or cut off" } else { "is cut off" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as a file does that ends, or as what was encrypted and altered.
    struct Failing(io::ErrorKind);

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
    }

    #[test]
    fn what_was_altered_is_not_told_to_be_short() {
        let kind = Kind { magic: b"STATETST", of: "windows", format: 1 };
        let check = |why: io::ErrorKind, message: &str| {
            let told = Reader::begin(&mut Failing(why), 1_000, &kind, "").err().expect("refused");
            assert_eq!(told.to_string(), format!("state: it {message}; use another copy"));
        };
        check(io::ErrorKind::InvalidData, "was altered or cut off");
        check(io::ErrorKind::UnexpectedEof, "is cut off");
    }
}
