//! Personal data at rest: each subject has a random key for each period of 30 days, which encrypts its parts and is stored
//! wrapped by the master key; destroying the wrapped key destroys the parts.
//!
//! AES-256-GCM (NIST SP 800-38D) throughout. A subject's key seals few parts, so their nonces are random. The master key
//! wraps very many keys, more than random nonces of 96 bits allow; each is wrapped under a key derived from the master key
//! and 128 random bits (as XAES-256-GCM does, <https://c2sp.org/XAES-256-GCM>), here by BLAKE3 in its keyed mode.

use crate::keys::{self, KEY_BYTES, Key};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use statera_core::{Error, Result};
use std::collections::HashMap;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a nonce and of a tag.
const NONCE: usize = 12;
const TAG: usize = 16;
/// Random bytes that the key of a wrapping is derived from.
const SALT: usize = 16;
/// Bytes of a wrapped key: salt, encrypted key, tag.
const WRAPPED: usize = SALT + KEY_BYTES + TAG;
/// Microseconds for which a subject's key seals new parts; retention is exact to it.
pub(crate) const PERIOD_US: i64 = 30 * 24 * 3600 * 1_000_000;
/// Purposes of keys derived from the master key; never changed.
const WRAP: &str = "statera 2026 store wrapping of subject keys v1";
const NAME: &str = "statera 2026 store names of subjects v1";
const FILE: &str = "statera 2026 store keys of files v1";
const CHECK: &str = "statera 2026 store check of the master key v1";
/// Keys of subjects that the writer remembers, at most twice this.
const CACHE: usize = 8192;
/// Bytes that are taken from the system's random source at once.
const RANDOM: usize = 4096;

/// The period of a time.
pub(crate) fn period(at_us: i64) -> i64 {
    at_us.div_euclid(PERIOD_US)
}

/// What the master key opens.
pub(crate) struct Vault {
    wrap: Key,
    name: Key,
    file: Key,
    /// Tells one master key from another and nothing about it.
    pub(crate) check: String,
}

impl Vault {
    pub(crate) fn new(master: &Key) -> Vault {
        Vault {
            wrap: Zeroizing::new(blake3::derive_key(WRAP, &**master)),
            name: Zeroizing::new(blake3::derive_key(NAME, &**master)),
            file: Zeroizing::new(blake3::derive_key(FILE, &**master)),
            check: keys::hex(&blake3::derive_key(CHECK, &**master)[..8]),
        }
    }

    /// What a subject is called in the database.
    pub(crate) fn subject(&self, name: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.name, name.as_bytes()).as_bytes()
    }

    /// The key of files of a purpose.
    pub(crate) fn file_key(&self, purpose: &str) -> Key {
        Zeroizing::new(*blake3::keyed_hash(&self.file, purpose.as_bytes()).as_bytes())
    }

    /// A request's digest as it is kept: who has not the master key cannot try which body it is of.
    pub(crate) fn request(&self, body_digest: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.name);
        *hasher.update(b"request").update(body_digest).finalize().as_bytes()
    }

    /// A key as it is stored. The key's id is bound to it.
    pub(crate) fn wrap(&self, id: &[u8; 16], key: &Key, salt: &[u8; SALT]) -> Result<Vec<u8>> {
        let mut wrapped = Vec::with_capacity(WRAPPED);
        wrapped.extend_from_slice(salt);
        wrapped.extend_from_slice(&**key);
        let tag = self.wrapping(id, salt).encrypt_inout_detached(
            &[0; NONCE].into(),
            id,
            InOutBuf::from(&mut wrapped[SALT..]),
        );
        wrapped.extend_from_slice(&tag.map_err(|_| too_long())?);
        Ok(wrapped)
    }

    /// The key again.
    ///
    /// # Errors
    /// `Damaged` where what is stored is not what was wrapped, or another master key wrapped it.
    pub(crate) fn unwrap(&self, id: &[u8; 16], wrapped: &[u8]) -> Result<Key> {
        let damaged = || Error::damaged(format!("the key {} was altered in the database", keys::hex(id)));
        if wrapped.len() != WRAPPED {
            return Err(damaged());
        }
        let (salt, rest) = wrapped.split_at(SALT);
        let (sealed, tag) = rest.split_at(KEY_BYTES);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(sealed);
        let tag = tag.try_into().map_err(|_| damaged())?;
        let salt = salt.try_into().map_err(|_| damaged())?;
        self.wrapping(id, salt)
            .decrypt_inout_detached(&[0; NONCE].into(), id, InOutBuf::from(&mut key[..]), tag)
            .map_err(|_| damaged())?;
        Ok(key)
    }

    fn wrapping(&self, id: &[u8; 16], salt: &[u8; SALT]) -> Aes256Gcm {
        let mut seed = [0; SALT + 16];
        seed[..SALT].copy_from_slice(salt);
        seed[SALT..].copy_from_slice(id);
        let mut key = *blake3::keyed_hash(&self.wrap, &seed).as_bytes();
        let cipher = Aes256Gcm::new(&key.into());
        key.zeroize();
        cipher
    }
}

/// Seals and opens the parts of one subject.
pub(crate) struct Sealer(Aes256Gcm);

impl Sealer {
    pub(crate) fn new(key: &Key) -> Sealer {
        Sealer(Aes256Gcm::new(&(**key).into()))
    }

    /// Nonce, ciphertext and tag of a part; record and number are bound to it.
    pub(crate) fn seal(&self, record: &[u8; 16], number: usize, nonce: &[u8; NONCE], plain: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(plain);
        let text = InOutBuf::from(&mut sealed[NONCE..]);
        let tag = self.0.encrypt_inout_detached(&(*nonce).into(), &bound(record, number), text);
        sealed.extend_from_slice(&tag.map_err(|_| too_long())?);
        Ok(sealed)
    }

    /// The part again.
    ///
    /// # Errors
    /// `Damaged` where it is not what was sealed.
    pub(crate) fn open(&self, record: &[u8; 16], number: usize, sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || Error::damaged(format!("part {} was altered in the database", number + 1));
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or_else(damaged)?;
        let mut plain = text.to_vec();
        self.0
            .decrypt_inout_detached(
                &(*nonce).into(),
                &bound(record, number),
                InOutBuf::from(&mut plain[..]),
                &(*tag).into(),
            )
            .map_err(|_| damaged())?;
        Ok(plain)
    }
}

/// Associated data of a part: the record's id and the part's number in it.
fn bound(record: &[u8; 16], number: usize) -> [u8; 20] {
    let mut data = [0; 20];
    data[..16].copy_from_slice(record);
    data[16..].copy_from_slice(&(number as u32).to_le_bytes());
    data
}

fn too_long() -> Error {
    Error::request("a part is too long to be encrypted; allowed are 64 GiB")
}

/// Digest of a sealed part, for the ledger: its random nonce salts it.
pub(crate) fn part_digest(key: &[u8; 16], sealed: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key);
    hasher.update(sealed);
    hasher.finalize()
}

/// Digest of a wrapped key with whose it is, for the ledger: 128 random bits of the wrapping salt it.
pub(crate) fn key_digest(id: &[u8; 16], subject: Option<&[u8]>, wrapped: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(id);
    hasher.update(&[u8::from(subject.is_some())]);
    hasher.update(subject.unwrap_or_default());
    hasher.update(wrapped);
    hasher.finalize()
}

/// A key of a named subject that new parts are sealed under.
pub(crate) struct LiveKey {
    pub(crate) id: [u8; 16],
    pub(crate) period: i64,
    pub(crate) key: Key,
}

/// The keys of the subjects seen last, by what they are called in the database: two generations, the older of which is
/// dropped when the younger is full.
#[derive(Default)]
pub(crate) struct KeyCache {
    young: HashMap<[u8; 32], LiveKey>,
    old: HashMap<[u8; 32], LiveKey>,
}

impl KeyCache {
    /// The key of a subject in a period.
    pub(crate) fn get(&mut self, subject: &[u8; 32], period: i64) -> Option<&LiveKey> {
        if !self.young.contains_key(subject) {
            let key = self.old.remove(subject)?;
            self.put(*subject, key);
        }
        self.young.get(subject).filter(|k| k.period == period)
    }

    pub(crate) fn put(&mut self, subject: [u8; 32], key: LiveKey) {
        if self.young.len() >= CACHE {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(subject, key);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// The system's random bytes, taken many at a time.
pub(crate) struct Random {
    bytes: Zeroizing<[u8; RANDOM]>,
    n_used: usize,
}

impl Random {
    pub(crate) fn new() -> Random {
        Random { bytes: Zeroizing::new([0; RANDOM]), n_used: RANDOM }
    }

    /// Bytes that nobody has had; at most 64.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        const { assert!(N <= 64, "few bytes at a time") };
        if self.n_used + N > RANDOM {
            keys::fill(&mut *self.bytes)?;
            self.n_used = 0;
        }
        let place = &mut self.bytes[self.n_used..self.n_used + N];
        let mut taken = [0; N];
        taken.copy_from_slice(place);
        place.zeroize();
        self.n_used += N;
        Ok(taken)
    }
}
