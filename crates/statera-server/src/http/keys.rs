//! API keys of programs.

use super::failure::Failure;
use super::registry::time;
use crate::who::key::{self, KeyWish};
use crate::who::{Doorkeeper, SECOND_US, Who, waiting};
use axum::extract::{FromRef, Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::Act;
use statera_store::people::{ApiKey, Role};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// A key lives no longer than ten years.
const DAYS_MAX: u32 = 3650;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new().route("/api/v1/keys", get(keys).post(add)).route("/api/v1/keys/{prefix}", delete(revoke))
}

/// A key as it is answered: never its secret.
#[derive(Debug, Serialize)]
struct KeyAnswer {
    prefix: String,
    label: String,
    roles: BTreeSet<Role>,
    rate_per_second: u32,
    urgent: bool,
    expires: Option<String>,
    revoked: bool,
    by: String,
    at: String,
}

impl From<ApiKey> for KeyAnswer {
    fn from(key: ApiKey) -> KeyAnswer {
        KeyAnswer {
            prefix: key.key.prefix,
            label: key.key.label,
            roles: key.key.roles,
            rate_per_second: key.key.rate_per_second,
            urgent: key.key.urgent,
            expires: key.key.expires_us.map(time),
            revoked: key.revoked,
            by: key.by,
            at: time(key.at_us),
        }
    }
}

/// All keys.
///
/// # Errors
/// As the store says.
pub async fn all(door: &Doorkeeper) -> Result<Vec<ApiKey>> {
    let store = door.store.clone();
    waiting(move || store.api_keys()).await
}

async fn keys(State(door): State<Doorkeeper>) -> std::result::Result<Json<Vec<KeyAnswer>>, Failure> {
    Ok(Json(all(&door).await?.into_iter().map(KeyAnswer::from).collect()))
}

/// A key that is wished for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for.
    pub label: String,
    /// What it may.
    pub roles: BTreeSet<Role>,
    /// Requests a second; 0: the server's default.
    #[serde(default)]
    pub rate_per_second: u32,
    /// Served before others.
    #[serde(default)]
    pub urgent: bool,
    /// Days until it ends; none: never.
    pub days: Option<u32>,
}

#[derive(Serialize)]
struct Made {
    prefix: String,
    /// Shown this once.
    key: String,
}

/// Makes a key. Gives its prefix and the whole of it, which cannot be had again.
///
/// # Errors
/// What is wished for is not allowed.
pub async fn add_as(door: &Doorkeeper, who: &Who, new: NewKey) -> Result<(String, Zeroizing<String>)> {
    if let Some(days) = new.days.filter(|days| !(1..=DAYS_MAX).contains(days)) {
        return Err(Error::request(format!("days: {days}; allowed: 1 to {DAYS_MAX}, or none for no end")));
    }
    let wish = KeyWish {
        label: new.label,
        roles: new.roles,
        rate_per_second: new.rate_per_second,
        urgent: new.urgent,
        expires_us: new.days.map(|days| (door.clock)() + i64::from(days) * 86_400 * SECOND_US),
    };
    let (key, token) = key::make(&door.server_key, wish)?;
    let prefix = key.prefix.clone();
    door.act(&who.actor, Act::AddKey { key }).await?;
    Ok((prefix, token))
}

async fn add(
    State(door): State<Doorkeeper>,
    who: Who,
    Json(new): Json<NewKey>,
) -> std::result::Result<(StatusCode, [(HeaderName, &'static str); 1], Json<Made>), Failure> {
    let (prefix, token) = add_as(&door, &who, new).await?;
    let made = Made { prefix, key: token.to_string() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)))
}

async fn revoke(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(prefix): Path<String>,
) -> std::result::Result<StatusCode, Failure> {
    door.act(&who.actor, Act::RevokeKey { prefix }).await?;
    Ok(StatusCode::NO_CONTENT)
}
