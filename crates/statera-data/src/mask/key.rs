//! The key of a mask: one file of 32 random bytes, from which every use derives a key of its own.
//!
//! Subkeys come from BLAKE3's key derivation (O'Connor et al. 2020, section 2.3) over the master key, the purpose (hash,
//! token, encrypt) and the domain, so that no two uses share one, and the same domain has the same subkey in every table.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use statera_core::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Longer files are not read: a key in hexadecimal has 64 characters.
const FILE_BYTES_MAX: u64 = 1024;
/// What subkeys are for; part of the derivation, never changed.
const SUBKEY: &str = "statera 2026 mask subkey v1";
/// What the check is for; part of the derivation, never changed.
const CHECK: &str = "statera 2026 mask key check v1";

/// A master key. It is overwritten in memory when dropped, and has no form that prints it.
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// A key of the system's random source.
    ///
    /// # Errors
    /// A system without one.
    pub fn random() -> Result<Key> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|e| Error::io(format!("the system's random source: {e}")))?;
        Ok(Key(bytes))
    }

    /// A key that everyone knows, to try settings out; nothing is masked with it.
    pub(super) fn of_nobody() -> Key {
        Key(Zeroizing::new([0; KEY_BYTES]))
    }

    /// Reads a key file: 32 bytes as 64 hexadecimal digits or as Base64.
    ///
    /// # Errors
    /// A file that others than its owner can read, or that holds anything else; messages never hold what is in it.
    pub fn read(path: &Path) -> Result<Key> {
        let name = path.display();
        let place = |e: std::io::Error| Error::io(format!("{name}: {e}"));
        let file = File::open(path).map_err(place)?;
        refuse_open_door(&file, path)?;
        let mut text = Zeroizing::new(String::new());
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        let wrong = |found: &str| {
            Error::request(format!(
                "{name}: {found}; a key file holds {KEY_BYTES} bytes as {} hexadecimal digits or as Base64 (`statera mask \
                 --new-key FILE` makes one)",
                2 * KEY_BYTES
            ))
        };
        match read {
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => return Err(wrong("no text")),
            other => other.map_err(place)?,
        };
        let text = text.trim();
        let bytes = Zeroizing::new(match hex(text) {
            Some(bytes) => bytes,
            None => STANDARD
                .decode(text)
                .map_err(|_| wrong(&format!("{} characters that are neither", text.chars().count())))?,
        });
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(wrong(&format!("{} bytes", bytes.len())));
        }
        key.copy_from_slice(&bytes);
        Ok(Key(key))
    }

    /// Writes a new random key to a file that only its owner can read, and returns it.
    ///
    /// # Errors
    /// A file of that name: a key is never replaced, because what it has masked could not be undone any more.
    pub fn create(path: &Path) -> Result<Key> {
        let key = Key::random()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Error::request(format!(
                "{} exists, and a key is never replaced: what it has masked could not be undone any more",
                path.display()
            )),
            _ => Error::io(format!("{}: {e}", path.display())),
        })?;
        let text: Zeroizing<String> = Zeroizing::new(key.0.iter().map(|b| format!("{b:02x}")).collect());
        let written =
            file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
        written.map(|()| key).map_err(|e| {
            // Half a key is none.
            let _ = std::fs::remove_file(path);
            Error::io(format!("{}: {e}", path.display()))
        })
    }

    /// Sixteen hexadecimal digits that tell one key from another and nothing about it.
    pub fn check(&self) -> String {
        blake3::derive_key(CHECK, &*self.0)[..8].iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The key of one purpose in one domain.
    pub fn subkey(&self, purpose: &str, domain: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut hasher = blake3::Hasher::new_derive_key(SUBKEY);
        hasher.update(&*self.0);
        // With its length before it no purpose can run into a domain.
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(domain.as_bytes());
        Zeroizing::new(*hasher.finalize().as_bytes())
    }
}

/// 64 hexadecimal digits as bytes.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = Zeroizing::new(digits?);
    // Base64 of other lengths may consist of such digits too.
    (digits.len() == 2 * KEY_BYTES).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Refuses a secret's file that others than its owner can use: a key that others can read is none.
///
/// # Errors
/// Any mode but 0600 and stricter ones; the message names the file and the mode.
#[cfg(unix)]
pub fn refuse_open_door(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|e| Error::io(format!("{}: {e}", path.display())))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::request(format!(
        "{}: others than its owner can use it (mode {mode:04o}); a key file has the mode 0600: chmod 600 {}",
        path.display(),
        path.display()
    )))
}

/// Files have no modes here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn refuse_open_door(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bank.key");
        drop(Key::create(&path).unwrap());
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn both_spellings_are_one_key() {
        let spellings: [&[u8]; 3] = [
            b"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
            b"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            b" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n",
        ];
        for text in spellings {
            let (_dir, path) = written(text);
            assert_eq!(Key::read(&path).unwrap().0[..], (0..32).collect::<Vec<u8>>()[..]);
        }
    }

    #[test]
    fn subkeys_differ_by_purpose_and_domain_and_never_change() {
        let key = Key(Zeroizing::new(std::array::from_fn(|i| i as u8)));
        let all = [key.subkey("hash", "a"), key.subkey("token", "a"), key.subkey("hash", "b"), key.subkey("has", "ha")];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one));
        }
        assert!(key.check() != Key::of_nobody().check() && key.check().len() == 16);
        // Masked tables outlive versions: these two values are a promise.
        assert_eq!((key.check().as_str(), all[0][0], all[0][31]), CHECKED);
    }

    const CHECKED: (&str, u8, u8) = ("6e544f7c05de76d7", 255, 46);

    #[test]
    fn what_is_no_key_is_refused() {
        let cases: [(&[u8], &str); 4] = [
            (b"", "0 bytes"),
            (b"00ff", "3 bytes"),
            (b"not a key at all", "16 characters that are neither"),
            (b"\xff\xfe", "no text"),
        ];
        for (text, found) in cases {
            let (_dir, path) = written(text);
            let said = Key::read(&path).err().expect("refused").to_string();
            assert!(said.contains(&format!("bank.key: {found}; a key file holds 32 bytes as 64")), "{said}");
        }
        let (_dir, path) = written(b"x");
        assert!(Key::create(&path).err().expect("refused").to_string().contains("bank.key exists, and a key is never"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
            let said = Key::read(&path).err().expect("refused").to_string();
            assert!(said.contains("others than its owner can use it (mode 0640)"), "{said}");
        }
    }
}
