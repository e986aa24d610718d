//! A file that holds personal data, encrypted: AES-256-GCM in chunks, under a key of the file's own that is derived from the
//! store's and a random salt.
//!
//! The nonce of a chunk is its number, and whether it is the last is bound to it, so that chunks cannot be dropped,
//! reordered or cut off unseen (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use statera_core::{Error, Result};
use std::io::{self, Read, Write};

/// Bytes of a chunk before it is encrypted, and of its tag.
const CHUNK: usize = 1 << 20;
const TAG: usize = 16;
/// Bytes of the salt that the file begins with.
pub(super) const SALT: usize = 32;

fn key_of(store_key: &[u8; 32], salt: &[u8; SALT]) -> io::Result<LessSafeKey> {
    let own = zeroize::Zeroizing::new(*blake3::keyed_hash(store_key, salt).as_bytes());
    let key = UnboundKey::new(&AES_256_GCM, &*own).map_err(|_| io::Error::other("no key for AES-256-GCM"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(number: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Encrypts what is written to it.
pub(super) struct Sealing<W: Write> {
    to: W,
    key: LessSafeKey,
    chunk: Vec<u8>,
    number: u32,
}

impl<W: Write> Sealing<W> {
    /// Begins with a new salt.
    pub(super) fn new(mut to: W, store_key: &[u8; 32]) -> Result<Sealing<W>> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|e| Error::io(format!("random numbers: {e}")))?;
        to.write_all(&salt)?;
        Ok(Sealing { to, key: key_of(store_key, &salt)?, chunk: Vec::with_capacity(CHUNK + TAG), number: 0 })
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> Result<W> {
        self.seal(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let aad = Aad::from([u8::from(is_last)]);
        let sealed = self.key.seal_in_place_append_tag(nonce(self.number), aad, &mut self.chunk);
        sealed.map_err(|_| io::Error::other("a chunk cannot be encrypted"))?;
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::other("more than 4 PiB"))?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.seal(false)?;
        }
        let n = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        // A chunk is whole before it is written.
        Ok(())
    }
}

/// Decrypts what [`Sealing`] has written.
pub(super) struct Opening<R: Read> {
    from: R,
    key: LessSafeKey,
    /// Encrypted bytes that are left.
    left: u64,
    chunk: Vec<u8>,
    /// What was read of the chunk, and its end.
    at: usize,
    end: usize,
    number: u32,
}

impl<R: Read> Opening<R> {
    /// Of `n_bytes` encrypted bytes with their salt; with the number of bytes that they decrypt to.
    pub(super) fn new(mut from: R, n_bytes: u64, store_key: &[u8; 32]) -> Result<(Opening<R>, u64)> {
        let cut = || Error::damaged("the snapshot is cut off");
        let left = n_bytes.checked_sub(SALT as u64).ok_or_else(cut)?;
        let mut salt = [0; SALT];
        from.read_exact(&mut salt).map_err(|_| cut())?;
        let n_chunks = left.div_ceil((CHUNK + TAG) as u64);
        let n_plain = left.checked_sub(n_chunks * TAG as u64).ok_or_else(cut)?;
        let key = key_of(store_key, &salt)?;
        Ok((Opening { from, key, left, chunk: Vec::new(), at: 0, end: 0, number: 0 }, n_plain))
    }

    fn open(&mut self) -> io::Result<()> {
        let n = self.left.min((CHUNK + TAG) as u64);
        self.left -= n;
        self.chunk.resize(n as usize, 0);
        self.from.read_exact(&mut self.chunk)?;
        let aad = Aad::from([u8::from(self.left == 0)]);
        let opened = self.key.open_in_place(nonce(self.number), aad, &mut self.chunk);
        let plain = opened.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk was altered"))?;
        (self.at, self.end) = (0, plain.len());
        self.number = self.number.wrapping_add(1);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == self.end && self.left > 0 {
            self.open()?;
        }
        let n = bytes.len().min(self.end - self.at);
        bytes[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        let key = [9; 32];
        for n in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5] {
            let plain: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
            let mut sealing = Sealing::new(Vec::new(), &key).expect("begun");
            sealing.write_all(&plain).expect("written");
            let sealed = sealing.finish().expect("sealed");
            let open = |sealed: &[u8], key: &[u8; 32]| -> Option<Vec<u8>> {
                let (mut opening, n_plain) = Opening::new(sealed, sealed.len() as u64, key).ok()?;
                let mut read = Vec::new();
                opening.read_to_end(&mut read).ok()?;
                assert_eq!(read.len() as u64, n_plain);
                Some(read)
            };
            assert_eq!(open(&sealed, &key).as_ref(), Some(&plain), "{n} bytes");
            assert_eq!(open(&sealed, &[8; 32]), None, "another key");
            let mut altered = sealed.clone();
            altered[SALT + n / 2] ^= 1;
            assert_eq!(open(&altered, &key), None, "altered");
            // Cut at the end of a chunk: what is left is whole, and is not the last.
            if n > CHUNK {
                assert_eq!(open(&sealed[..SALT + CHUNK + TAG], &key), None, "cut off");
            }
        }
    }
}
