//! Sessions of people, in a cookie.
//!
//! The cookie has a random secret of 256 bits, the minute when it was last seen, and a keyed hash of both. The store has the
//! secret's digest and the absolute end; the idle end is in the cookie itself, so that servers that share a database need not
//! write at every request: an old copy of a cookie is worth nothing once it has been idle, even while its session lives on.

use super::secret::{self, Use};
use super::{Doorkeeper, SECOND_US, Who, waiting};
use axum::http::{HeaderMap, HeaderValue, header};
use statera_core::{ErrorKind, Result};
use statera_store::act::Actor;
use statera_store::people::{NewSession, Person, Sessions};

/// Microseconds of a minute.
const MINUTE_US: i64 = 60 * SECOND_US;
/// Another server's clock may be ahead by so many minutes.
const AHEAD_MINUTES: i64 = 2;

/// Of a request by a person: what its page and its forms need.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub person: String,
    /// Stands in every form, and in the header `X-CSRF-Token` of programs that use a session.
    pub csrf: String,
    /// What the store has of the cookie's secret.
    pub digest: [u8; 32],
    /// The cookie with a later minute, if the one that came is older than this minute.
    pub(super) renewed: Option<HeaderValue>,
}

/// A session that was begun.
pub struct Begun {
    /// The header `Set-Cookie`.
    pub cookie: HeaderValue,
    /// See [`Session::csrf`].
    pub csrf: String,
}

/// The cookie's name: over TLS browsers themselves see to it that no other site and no plain page can have set it.
pub fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-statera" } else { "statera" }
}

/// The value of a cookie, if there is exactly one of that name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    let mut of_name = all.filter_map(|pair| pair.trim().split_once('=')).filter(|(n, _)| *n == name);
    let (_, value) = of_name.next()?;
    of_name.next().is_none().then_some(value)
}

/// A header `Set-Cookie`. `site` is `Strict` or `Lax`.
pub fn set_cookie(name: &str, value: &str, is_secure: bool, site: &str, seconds: u32) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={site}; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("statera=; Path=/; Max-Age=0"))
}

/// A header `Set-Cookie` that ends the session's cookie.
pub fn end_cookie(is_secure: bool) -> HeaderValue {
    set_cookie(cookie_name(is_secure), "", is_secure, "Strict", 0)
}

impl Doorkeeper {
    /// Begins a session of a person who has shown who they are. The secret is always a new one: what a browser sent before
    /// plays no part.
    ///
    /// # Errors
    /// As the store says.
    pub async fn begin_session(&self, person: &str, is_secure: bool) -> Result<Begun> {
        let now_us = (self.clock)();
        let secret = secret::random_text()?;
        let session = NewSession {
            secret_digest: secret::digest(&secret),
            person: person.into(),
            expires_us: now_us + i64::from(self.settings.session_hours) * 60 * MINUTE_US,
        };
        let store = self.store.clone();
        waiting(move || store.open_session(session)).await?;
        Ok(Begun { cookie: self.session_cookie(&secret, now_us / MINUTE_US, is_secure), csrf: self.csrf(&secret) })
    }

    fn session_cookie(&self, secret: &str, minute: i64, is_secure: bool) -> HeaderValue {
        let mac = secret::text(&self.cookie_mac(secret, minute));
        let seconds = self.settings.session_hours * 3600;
        set_cookie(cookie_name(is_secure), &format!("{secret}.{minute}.{mac}"), is_secure, "Strict", seconds)
    }

    fn cookie_mac(&self, secret: &str, minute: i64) -> [u8; 32] {
        self.server_key.mac(Use::Cookie, &[secret.as_bytes(), &minute.to_le_bytes()])
    }

    fn csrf(&self, secret: &str) -> String {
        secret::text(&self.server_key.mac(Use::Csrf, &[secret.as_bytes()]))
    }

    /// Whose session a request's cookie has; `None` without one, or if it is forged, ended, idle, or of somebody who may no
    /// longer sign in.
    ///
    /// # Errors
    /// As the store says.
    pub async fn session(&self, headers: &HeaderMap, is_secure: bool) -> Result<Option<(Who, Session)>> {
        let Some((secret, minute)) = cookie(headers, cookie_name(is_secure)).and_then(|value| self.read_cookie(value))
        else {
            return Ok(None);
        };
        let now_us = (self.clock)();
        let now_minute = now_us / MINUTE_US;
        let idle = i64::from(self.settings.session_idle_minutes);
        if now_minute > minute + idle || minute > now_minute + AHEAD_MINUTES {
            return Ok(None);
        }
        let digest = secret::digest(secret);
        let store = self.store.clone();
        let found = waiting(move || {
            let session = store.session(&digest)?;
            let person = store.person(&session.person)?;
            Ok((session, person))
        })
        .await;
        let (session, person) = match found {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        if person.disabled || now_us >= session.expires_us {
            return Ok(None);
        }
        let renewed = (now_minute > minute).then(|| self.session_cookie(secret, now_minute, is_secure));
        let live = Session { person: person.name.clone(), csrf: self.csrf(secret), digest, renewed };
        Ok(Some((who(person), live)))
    }

    fn read_cookie<'a>(&self, value: &'a str) -> Option<(&'a str, i64)> {
        let mut parts = value.split('.');
        let (secret, minute, mac) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let is_ours = parts.next().is_none() && secret::same(&secret::bytes(mac)?, &self.cookie_mac(secret, minute));
        is_ours.then_some((secret, minute))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As the store says.
    pub async fn end_session(&self, session: &Session) -> Result<()> {
        let (store, digest) = (self.store.clone(), session.digest);
        waiting(move || store.close_sessions(Sessions::One(&digest))).await
    }

    /// Ends every session of a person.
    ///
    /// # Errors
    /// As the store says.
    pub async fn end_sessions_of(&self, person: &str) -> Result<()> {
        let (store, person) = (self.store.clone(), person.to_string());
        waiting(move || store.close_sessions(Sessions::Of(&person))).await
    }
}

fn who(person: Person) -> Who {
    Who { actor: Actor::Person(person.name), roles: person.roles, rate_per_second: 0, urgent: false }
}
