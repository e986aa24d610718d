//! Keyed hashes: equal cells of one domain have equal hashes in every table, so that joins stay possible, and without the
//! key nobody can try cells out.

use super::key::{KEY_BYTES, Key};
use super::{Action, Method, MethodKind};
use serde::Deserialize;
use statera_core::{Error, Result};
use zeroize::Zeroizing;

pub(super) const KIND: MethodKind = MethodKind {
    name: "hash",
    about: "a keyed hash; joins (domain, length)",
    needs_key: true,
    build: |setup| {
        let settings: Settings = setup.read()?;
        let length = settings.length.unwrap_or(2 * KEY_BYTES);
        if !(32..=64).contains(&length) {
            return Err(Error::request(format!("length «{length}» is not allowed; allowed are 32 to 64 digits")));
        }
        let domain = settings.domain.as_deref().unwrap_or(setup.column);
        Ok(Action::Replace(Box::new(Hash::new(setup.key, domain, length))))
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    domain: Option<String>,
    length: Option<usize>,
}

struct Hash {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// Hexadecimal digits.
    length: usize,
}

impl Hash {
    fn new(key: &Key, domain: &str, length: usize) -> Hash {
        Hash { key: key.subkey("hash", domain), length }
    }
}

impl Method for Hash {
    /// BLAKE3's keyed hash, in hexadecimal digits.
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        Ok(blake3::keyed_hash(&self.key, cell.as_bytes()).to_hex()[..self.length].to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_cells_of_a_domain_stay_equal_and_nothing_else_does() {
        let key = Key::of_nobody();
        let of = |key: &Key, domain: &str, cell: &str| Hash::new(key, domain, 64).mask(cell, 0).unwrap();
        assert_eq!(of(&key, "customer", "C1"), of(&key, "customer", "C1"));
        let others =
            [of(&key, "customer", "C2"), of(&key, "card", "C1"), of(&Key::random().unwrap(), "customer", "C1")];
        assert!(others.iter().all(|other| other.len() == 64 && *other != of(&key, "customer", "C1")));
        let short = Hash::new(&key, "customer", 32).mask("C1", 0).unwrap();
        assert_eq!(short, of(&key, "customer", "C1")[..32]);
    }
}
