//! AES-256-GCM (NIST SP 800-38D) of each cell: equal cells look different, who holds the key reads them again, and a cell
//! that was changed is noticed.
//!
//! A masked cell is `aes1:` and the Base64 of nonce (12 bytes), ciphertext and tag (16 bytes). The nonce is a keyed hash of
//! the row's number and the cell, under a key of its own: two cells of a table never share one but by a collision of 96 bits,
//! and the same table is masked to the same bytes again.

use super::key::{KEY_BYTES, Key};
use super::{Action, CellType, Method, MethodKind};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Deserialize;
use statera_core::{Error, Result};
use zeroize::Zeroizing;

pub(super) const KIND: MethodKind = MethodKind {
    name: "encrypt",
    about: "AES-256-GCM; equal cells look different; reversible (domain, type)",
    needs_key: true,
    build: |setup| {
        let settings: Settings = setup.read()?;
        let domain = settings.domain.as_deref().unwrap_or(setup.column);
        Ok(Action::Replace(Box::new(Encrypt::new(setup.key, domain, settings.r#type))))
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    domain: Option<String>,
    #[serde(default)]
    r#type: CellType,
}

/// What every masked cell begins with.
const MARK: &str = "aes1:";
const NONCE_BYTES: usize = 12;

struct Encrypt {
    cipher: Aes256Gcm,
    nonce_key: Zeroizing<[u8; KEY_BYTES]>,
    cell_type: CellType,
}

impl Encrypt {
    fn new(key: &Key, domain: &str, cell_type: CellType) -> Encrypt {
        let cipher = Aes256Gcm::new(&(*key.subkey("encrypt", domain)).into());
        Encrypt { cipher, nonce_key: key.subkey("encrypt nonce", domain), cell_type }
    }
}

impl Method for Encrypt {
    fn mask(&self, cell: &str, row: u64) -> Result<String> {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonce_key);
        hasher.update(&row.to_le_bytes());
        hasher.update(cell.as_bytes());
        let mut bytes = hasher.finalize().as_bytes()[..NONCE_BYTES].to_vec();
        let nonce = Nonce::try_from(&bytes[..]).map_err(|_| Error::data("a nonce has 12 bytes"))?;
        let payload = Payload { msg: cell.as_bytes(), aad: MARK.as_bytes() };
        let sealed =
            self.cipher.encrypt(&nonce, payload).map_err(|_| Error::data("the cell is too long to encrypt"))?;
        bytes.extend(sealed);
        Ok(format!("{MARK}{}", STANDARD_NO_PAD.encode(bytes)))
    }

    fn unmask(&self, cell: &str) -> Result<String> {
        let foreign = || Error::data(format!("not a cell that «encrypt» has written, which begins with {MARK}"));
        let text = cell.strip_prefix(MARK).ok_or_else(foreign)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| foreign())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(foreign)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| foreign())?;
        let opened = self.cipher.decrypt(&nonce, Payload { msg: sealed, aad: MARK.as_bytes() }).map_err(|_| {
            Error::data("the cell cannot be decrypted: it was masked with another key or domain, or changed since")
        })?;
        String::from_utf8(opened).map_err(|_| foreign())
    }

    fn cell_type(&self) -> Option<&CellType> {
        Some(&self.cell_type)
    }

    fn tells_nothing(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_and_look_like_nothing() {
        let key = Key::random().unwrap();
        let method = Encrypt::new(&key, "account", CellType::default());
        for cell in ["", "홍길동", "110-123-456789", &"x".repeat(10_000)] {
            let (a, b) = (method.mask(cell, 1).unwrap(), method.mask(cell, 2).unwrap());
            assert!(a != b && a == method.mask(cell, 1).unwrap());
            // Short runs of digits do appear in base64 by chance, the whole cell does not.
            assert!(cell.is_empty() || !a.contains(cell));
            assert_eq!((method.unmask(&a).unwrap(), method.unmask(&b).unwrap()), (cell.to_string(), cell.to_string()));
        }
    }

    #[test]
    fn what_was_changed_or_is_foreign_is_refused_without_being_shown() {
        let key = Key::random().unwrap();
        let method = Encrypt::new(&key, "account", CellType::default());
        let sealed = method.mask("4111-1111", 7).unwrap();
        let mut changed = sealed.clone().into_bytes();
        changed[25] = if changed[25] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let said = |method: &Encrypt, cell: &str| method.unmask(cell).unwrap_err().to_string();
        assert!(said(&method, &changed).starts_with("the cell cannot be decrypted: it was masked with another key"));
        let other = Encrypt::new(&key, "card", CellType::default());
        assert!(said(&other, &sealed).starts_with("the cell cannot be decrypted"));
        let other = Encrypt::new(&Key::random().unwrap(), "account", CellType::default());
        assert!(said(&other, &sealed).starts_with("the cell cannot be decrypted"));
        for foreign in ["4111-1111", "aes1:", "aes1:AAAA", "aes1:%%"] {
            assert_eq!(said(&method, foreign), "not a cell that «encrypt» has written, which begins with aes1:");
        }
    }

    #[test]
    fn the_cipher_is_the_one_of_the_standard() {
        // The Galois/Counter Mode of Operation (McGrew and Viega), appendix B, test case 14: zero key, nonce and block.
        let cipher = Aes256Gcm::new(&[0u8; 32].into());
        let sealed = cipher.encrypt(&Nonce::try_from(&[0u8; 12][..]).unwrap(), &[0u8; 16][..]).unwrap();
        let hex: String = sealed.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    }
}
