//! Secrets: where they come from, what is kept of them, how they are compared.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statera_core::{Error, Result};
use statera_data::mask::{Key, refuse_open_door};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Longer files of secrets are not read.
const FILE_BYTES_MAX: u64 = 4096;

/// The keys that one file gives, each for one use. They have no form that prints them.
pub struct ServerKey {
    /// Of what is stored of API keys.
    api_key: Zeroizing<[u8; 32]>,
    /// Of the mark by which a key that this server made is known without asking the store.
    mark: Zeroizing<[u8; 32]>,
    /// Of session cookies.
    cookie: Zeroizing<[u8; 32]>,
    /// Of tokens against forged forms.
    csrf: Zeroizing<[u8; 32]>,
    /// Of what an OpenID Connect sign-in keeps in its cookie.
    oidc: Zeroizing<[u8; 32]>,
}

/// What a keyed hash is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// What is stored of API keys.
    ApiKey,
    /// See [`ServerKey`].
    Mark,
    /// Session cookies.
    Cookie,
    /// Forms.
    Csrf,
    /// OpenID Connect.
    Oidc,
}

impl ServerKey {
    /// Reads the file, or makes it if it may be made.
    ///
    /// # Errors
    /// A file that others may read or that holds no key, or none where one was named.
    pub fn open(path: &Path, may_make: bool) -> Result<ServerKey> {
        let made = if may_make && !path.exists() { Some(make(path)) } else { None };
        let key = match made {
            Some(Ok(key)) => key,
            // Another server that starts at the same time has made it.
            Some(Err(_)) if path.exists() => Key::read(path)?,
            Some(Err(e)) => return Err(e),
            None => Key::read(path)?,
        };
        let one = |domain: &str| key.subkey("server", domain);
        Ok(ServerKey {
            api_key: one("api key"),
            mark: one("api key mark"),
            cookie: one("cookie"),
            csrf: one("csrf"),
            oidc: one("oidc"),
        })
    }

    /// A keyed hash (BLAKE3) of parts, each with its length before it, so that no two lists of parts run into one.
    pub fn mac(&self, what: Use, parts: &[&[u8]]) -> [u8; 32] {
        let key = match what {
            Use::ApiKey => &self.api_key,
            Use::Mark => &self.mark,
            Use::Cookie => &self.cookie,
            Use::Csrf => &self.csrf,
            Use::Oidc => &self.oidc,
        };
        let mut hasher = blake3::Hasher::new_keyed(key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

fn make(path: &Path) -> Result<Key> {
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|e| Error::io(format!("{}: {e}", folder.display())))?;
    }
    Key::create(path)
}

/// What the store has of a secret that is random, and so cannot be guessed from it.
pub fn digest(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// Equal, in a time that does not tell how much of it is.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Random bytes of the system.
///
/// # Errors
/// A system without a random source.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::io(format!("the system's random source: {e}")))?;
    Ok(bytes)
}

/// 256 random bits as 43 characters that stand in links and cookies.
///
/// # Errors
/// As [`random`].
pub fn random_text() -> Result<String> {
    Ok(text(&random::<32>()?))
}

/// Bytes as characters that stand in links and cookies.
pub fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes of [`text`].
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A secret of a file. It is overwritten when dropped, and has no form that prints it.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Reads the file: one line, without the space around it.
    ///
    /// # Errors
    /// A file that others than its owner may read, an empty or a very long one; messages never hold what is in it.
    pub fn read(path: &Path) -> Result<Secret> {
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
        let file = File::open(path).map_err(place)?;
        refuse_open_door(&file, path)?;
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(place)?;
        let secret = Zeroizing::new(text.trim().to_string());
        if secret.is_empty() || text.len() as u64 > FILE_BYTES_MAX || secret.contains('\n') {
            return Err(Error::request(format!(
                "{}: a secret is one line of 1 to {FILE_BYTES_MAX} characters",
                path.display()
            )));
        }
        Ok(Secret(secret))
    }

    /// What it is.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
