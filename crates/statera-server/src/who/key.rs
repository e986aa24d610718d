//! API keys: `prefix.secret`.
//!
//! The secret is 24 random bytes and a mark of 8, which is a keyed hash of prefix and random bytes: a key that this server did
//! not make is refused by its mark, so that guesses cost a microsecond and never reach the store. What the store has is another
//! keyed hash. Rows of the store are cached for seconds, and let go at once when a key ends through this process.

use super::secret::{self, ServerKey, Use};
use super::{Doorkeeper, SECOND_US, Who, waiting};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statera_core::{Error, ErrorKind, Result};
use statera_store::act::Actor;
use statera_store::people::{ApiKey, NewApiKey, Role};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// Characters of a prefix that is made.
const PREFIX_CHARS: usize = 12;
/// Random bytes of a secret.
const RANDOM_BYTES: usize = 24;
/// Bytes of the mark.
const MARK_BYTES: usize = 8;
/// A row of the store is looked at again after this.
const FRESH_US: i64 = 2 * SECOND_US;
/// While one request looks, others use the row for as long.
const LOOK_US: i64 = SECOND_US;
/// An older row is not used at all, whether or not the store answers.
const STALE_US: i64 = 10 * SECOND_US;
/// Keys in the cache at most; when there are more, all are looked at again.
const CACHED_MAX: usize = 10_000;

/// The same for every key that is refused: which of these it was is nobody's business.
pub const REFUSED: &str = "the API key is unknown, wrong, expired or revoked";

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// What it is for.
    pub label: String,
    /// What it may: viewer, scorer, maker. Approving and administering are a person's.
    pub roles: BTreeSet<Role>,
    /// Requests a second that are aimed at; 0: the server's default.
    pub rate_per_second: u32,
    /// Served before others.
    pub urgent: bool,
    /// When it ends, microseconds since 1970 UTC.
    pub expires_us: Option<i64>,
}

/// Makes a key. What is given to the client is shown once: it cannot be had from the store.
///
/// # Errors
/// A label or roles that are not allowed; a system without a random source.
pub fn make(server_key: &ServerKey, wish: KeyWish) -> Result<(NewApiKey, Zeroizing<String>)> {
    let n_chars = wish.label.chars().count();
    if !(1..=200).contains(&n_chars) || wish.label.chars().any(char::is_control) {
        return Err(Error::request(format!(
            "label: {n_chars} characters; allowed: 1 to 200, without control characters"
        )));
    }
    let allowed = [Role::Viewer, Role::Scorer, Role::Maker];
    if wish.roles.is_empty() || wish.roles.iter().any(|r| !allowed.contains(r)) {
        let names = allowed.map(super::role_name).join(", ");
        return Err(Error::request(format!("roles: a key may have some of {names}; other roles are a person's")));
    }
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letters = secret::random::<PREFIX_CHARS>()?;
    let prefix: String = letters.iter().map(|b| char::from(ALPHABET[usize::from(b % 32)])).collect();
    let random = Zeroizing::new(secret::random::<RANDOM_BYTES>()?);
    let mut whole = Zeroizing::new([0; RANDOM_BYTES + MARK_BYTES]);
    whole[..RANDOM_BYTES].copy_from_slice(&*random);
    whole[RANDOM_BYTES..].copy_from_slice(&mark(server_key, &prefix, &*random));
    let token = Zeroizing::new(format!("{prefix}.{}", secret::text(&*whole)));
    let key = NewApiKey {
        secret_mac: server_key.mac(Use::ApiKey, &[prefix.as_bytes(), &*random]),
        prefix,
        label: wish.label,
        roles: wish.roles,
        rate_per_second: wish.rate_per_second,
        urgent: wish.urgent,
        expires_us: wish.expires_us,
    };
    Ok((key, token))
}

fn mark(server_key: &ServerKey, prefix: &str, random: &[u8]) -> [u8; MARK_BYTES] {
    let mac = server_key.mac(Use::Mark, &[prefix.as_bytes(), random]);
    std::array::from_fn(|i| mac[i])
}

/// A key as a client sends it, of this server's making.
struct Presented<'a> {
    prefix: &'a str,
    mac: [u8; 32],
}

/// Reads what a client sent; `None` if this server did not make it.
fn presented<'a>(server_key: &ServerKey, token: &'a str) -> Option<Presented<'a>> {
    let (prefix, secret) = token.split_once('.')?;
    let in_prefix = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !(8..=16).contains(&prefix.len()) || !prefix.bytes().all(in_prefix) || secret.len() != 43 {
        return None;
    }
    let mut whole = Zeroizing::new([0; RANDOM_BYTES + MARK_BYTES + 1]);
    let n = URL_SAFE_NO_PAD.decode_slice(secret, &mut *whole).ok()?;
    let (random, rest) = whole[..n].split_at_checked(RANDOM_BYTES)?;
    if !secret::same(rest, &mark(server_key, prefix, random)) {
        return None;
    }
    Some(Presented { prefix, mac: server_key.mac(Use::ApiKey, &[prefix.as_bytes(), random]) })
}

/// A row of the store, ready for use.
struct Known {
    mac: [u8; 32],
    who: Who,
    expires_us: i64,
    /// False: revoked, or not in the store.
    is_good: bool,
    read_us: i64,
    /// From when on one request looks again.
    look_us: AtomicI64,
}

impl Known {
    fn of(key: ApiKey, read_us: i64) -> Known {
        let new = key.key;
        Known {
            mac: new.secret_mac,
            expires_us: new.expires_us.unwrap_or(i64::MAX),
            is_good: !key.revoked,
            who: Who {
                actor: Actor::Key(new.prefix),
                roles: new.roles,
                rate_per_second: new.rate_per_second,
                urgent: new.urgent,
            },
            read_us,
            look_us: AtomicI64::new(read_us + FRESH_US),
        }
    }

    /// A key that the store does not have.
    fn missing(prefix: &str, read_us: i64) -> Known {
        Known {
            mac: [0; 32],
            who: Who { actor: Actor::Key(prefix.into()), roles: BTreeSet::new(), rate_per_second: 0, urgent: false },
            expires_us: i64::MIN,
            is_good: false,
            read_us,
            look_us: AtomicI64::new(read_us + FRESH_US),
        }
    }

    /// True if the row may be used at that time; one caller in a while is told false, to look again for all.
    fn serves(&self, now_us: i64) -> bool {
        // A clock that was set back makes no row young.
        if now_us < self.read_us || now_us >= self.read_us + STALE_US {
            return false;
        }
        let look_us = self.look_us.load(Ordering::Relaxed);
        now_us < look_us
            || self.look_us.compare_exchange(look_us, now_us + LOOK_US, Ordering::Relaxed, Ordering::Relaxed).is_err()
    }

    fn is_good_at(&self, now_us: i64) -> bool {
        self.is_good && now_us < self.expires_us
    }
}

/// Rows of keys by prefix.
#[derive(Default)]
pub struct KeyCache(RwLock<Rows>);

#[derive(Default)]
struct Rows {
    by_prefix: HashMap<String, Arc<Known>>,
    /// Rises with every key that is let go: what was read before then is not kept.
    n_forgotten: u64,
}

impl KeyCache {
    fn get(&self, prefix: &str) -> Option<Arc<Known>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_prefix.get(prefix).cloned()
    }

    /// True if no key was looked up since the last one ended.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_prefix.is_empty()
    }

    fn n_forgotten(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).n_forgotten
    }

    fn keep(&self, prefix: String, known: Arc<Known>, n_forgotten: u64) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if rows.n_forgotten != n_forgotten {
            return;
        }
        if rows.by_prefix.len() >= CACHED_MAX {
            rows.by_prefix.clear();
        }
        rows.by_prefix.insert(prefix, known);
    }

    /// Lets go of a key, and of what is being read of any.
    pub fn forget(&self, prefix: &str) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rows.n_forgotten += 1;
        rows.by_prefix.remove(prefix);
    }
}

impl Doorkeeper {
    /// Who an API key is; `None` if it is refused.
    ///
    /// # Errors
    /// `Busy` if the store does not answer and the cache has nothing young enough.
    pub async fn key(&self, token: &str) -> Result<Option<Who>> {
        let Some(presented) = presented(&self.server_key, token) else { return Ok(None) };
        let known = self.known(presented.prefix).await?;
        let is_good = known.is_good_at((self.clock)()) && secret::same(&known.mac, &presented.mac);
        Ok(is_good.then(|| known.who.clone()))
    }

    /// Who a key is that something else than its secret stands for: a client's certificate.
    ///
    /// # Errors
    /// As [`Doorkeeper::key`].
    pub async fn key_of_certificate(&self, prefix: &str) -> Result<Option<Who>> {
        let known = self.known(prefix).await?;
        Ok(known.is_good_at((self.clock)()).then(|| known.who.clone()))
    }

    async fn known(&self, prefix: &str) -> Result<Arc<Known>> {
        let now_us = (self.clock)();
        if let Some(known) = self.keys.get(prefix).filter(|known| known.serves(now_us)) {
            return Ok(known);
        }
        let n_forgotten = self.keys.n_forgotten();
        let (store, name) = (self.store.clone(), prefix.to_string());
        let read = waiting(move || store.api_key(&name)).await;
        let known = Arc::new(match read {
            Ok(key) => Known::of(key, now_us),
            Err(e) if e.kind() == ErrorKind::NotFound => Known::missing(prefix, now_us),
            Err(e) => return Err(e),
        });
        self.keys.keep(prefix.to_string(), known.clone(), n_forgotten);
        Ok(known)
    }
}
