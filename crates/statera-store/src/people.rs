//! People, their sessions, and the keys of programs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees models, metrics and decisions without personal data.
    Viewer,
    /// Asks for decisions.
    Scorer,
    /// Adds versions, proposes changes.
    Maker,
    /// Approves, overrides, answers objections.
    Checker,
    /// People, keys, retention.
    Admin,
}

/// A person to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// 1 to 64 of letters, digits, «.», «-», «_», «@».
    pub name: String,
    /// What they may.
    pub roles: BTreeSet<Role>,
    /// The argon2 text (PHC) of the password; none for who signs in elsewhere (LDAP, OIDC).
    #[serde(skip)]
    pub password: Option<String>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// What they may.
    pub roles: BTreeSet<Role>,
    /// The argon2 text (PHC) of the password.
    pub password: Option<String>,
    /// True: may not sign in.
    pub disabled: bool,
    /// Failed sign-ins since the last that succeeded.
    pub failures: u32,
    /// No sign-in before, microseconds since 1970 UTC.
    pub locked_until_us: i64,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// Its public half: 8 to 16 of a–z, 0–9.
    pub prefix: String,
    /// HMAC of its secret half under the server's key.
    #[serde(skip)]
    pub secret_mac: [u8; 32],
    /// What it is for.
    pub label: String,
    /// What it may.
    pub roles: BTreeSet<Role>,
    /// Requests a second that are aimed at; 0: the server's default.
    pub rate_per_second: u32,
    /// Served before others: the payment path.
    pub urgent: bool,
    /// When it ends, microseconds since 1970 UTC; none: never.
    pub expires_us: Option<i64>,
}

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// As it was made.
    pub key: NewApiKey,
    /// True: it may nothing any more.
    pub revoked: bool,
    /// Who made it.
    pub by: String,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
}

/// A session to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// BLAKE3 of the cookie's secret.
    pub secret_digest: [u8; 32],
    /// Whose.
    pub person: String,
    /// When it ends, microseconds since 1970 UTC.
    pub expires_us: i64,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub person: String,
    /// When it began, microseconds since 1970 UTC.
    pub at_us: i64,
    /// When it ends.
    pub expires_us: i64,
}

/// Sessions to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions<'a> {
    /// The one with that digest of its secret.
    One(&'a [u8; 32]),
    /// Those of a person.
    Of(&'a str),
}
