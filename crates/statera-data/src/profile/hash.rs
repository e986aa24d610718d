//! A fast hash with fixed keys: the same on every machine and in every run.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map keyed by values of the table.
pub(super) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FoldHasher>>;

/// Multiplies and folds 64-bit words, the construction of wyhash (Wang Yi, 2019). Not proof against crafted collisions, which
/// would only slow a profile down.
#[derive(Debug, Default, Clone)]
pub(super) struct FoldHasher(u64);

const KEYS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];

/// The folded 128-bit product of two words.
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ KEYS[0]) * u128::from(b ^ KEYS[1]);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for FoldHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.0 = fold(self.0, u64::from_le_bytes(*word));
        }
        let mut last = [0u8; 8];
        last[..tail.len()].copy_from_slice(tail);
        // The length tells "a" from "a\0".
        self.0 = fold(self.0 ^ (bytes.len() as u64).rotate_left(56), u64::from_le_bytes(last));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0, word);
    }
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// Hash of some bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = FoldHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
