//! The first person, signing in and out, and one's own password.

use super::failure::Failure;
use super::people::{self, Typed};
use crate::who::session::{Session, end_cookie};
use crate::who::sign_in::{FAILED, new_password, unauthorized};
use crate::who::{Doorkeeper, Peer, Who, secret, waiting};
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::{Act, Actor};
use statera_store::people::{NewPerson, Role};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new()
        .route("/api/v1/me", get(me))
        .route("/api/v1/me/password", put(change_password))
        .route("/api/v1/setup", post(setup))
        .route("/api/v1/sessions", post(sign_in).delete(sign_out))
}

/// Who asks.
#[derive(Debug, Serialize)]
struct Me {
    #[serde(flatten)]
    actor: Actor,
    roles: BTreeSet<Role>,
}

async fn me(who: Who) -> Json<Me> {
    Json(Me { actor: who.actor, roles: who.roles })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    token: Typed,
    name: String,
    password: Typed,
}

async fn setup(State(door): State<Doorkeeper>, Json(given): Json<Setup>) -> std::result::Result<StatusCode, Failure> {
    setup_as(&door, &given.token.take(), given.name, given.password.take()).await?;
    Ok(StatusCode::CREATED)
}

/// Makes the first admin by the one-time link's token.
///
/// # Errors
/// `Denied` for a token that is wrong, used or expired.
pub async fn setup_as(door: &Doorkeeper, token: &str, name: String, password: Zeroizing<String>) -> Result<()> {
    if !people::all(door).await?.is_empty() {
        return Err(Error::denied("somebody exists already; an admin adds others"));
    }
    let password = Some(new_password(door, &name, password).await?);
    let person = NewPerson { name, roles: BTreeSet::from([Role::Admin]), password };
    door.act(&Actor::System, Act::Setup { token_digest: secret::digest(token), person }).await.map(|_| ())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    password: Typed,
}

#[derive(Serialize)]
struct SignedIn {
    /// To be sent as `X-CSRF-Token` with whatever changes something.
    csrf: String,
}

async fn sign_in(
    State(door): State<Doorkeeper>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Json(given): Json<SignIn>,
) -> std::result::Result<([(HeaderName, HeaderValue); 2], Json<SignedIn>), Failure> {
    let origin = door.proxies.origin(peer.as_deref(), &headers);
    let begun = door.sign_in(&given.name, given.password.take(), origin.address, origin.is_secure).await?;
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(([(header::SET_COOKIE, begun.cookie), no_store], Json(SignedIn { csrf: begun.csrf })))
}

async fn sign_out(
    State(door): State<Doorkeeper>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    session: Session,
) -> std::result::Result<(StatusCode, [(HeaderName, HeaderValue); 1]), Failure> {
    sign_out_as(&door, &session).await?;
    let is_secure = door.proxies.origin(peer.as_deref(), &headers).is_secure;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, end_cookie(is_secure))]))
}

/// Ends the session.
///
/// # Errors
/// As the store says.
pub async fn sign_out_as(door: &Doorkeeper, session: &Session) -> Result<()> {
    door.end_session(session).await?;
    let name = session.person.clone();
    door.act(&Actor::Person(name.clone()), Act::SignOut { name }).await.map(|_| ())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    old: Typed,
    new: Typed,
}

async fn change_password(
    State(door): State<Doorkeeper>,
    who: Who,
    Json(given): Json<Change>,
) -> std::result::Result<StatusCode, Failure> {
    change_password_as(&door, &who, given.old.take(), given.new.take()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password; every session ends, this one too.
///
/// # Errors
/// 401 if the old one is wrong, which counts as a failed sign-in; a new one that is not allowed.
pub async fn change_password_as(
    door: &Doorkeeper,
    who: &Who,
    old: Zeroizing<String>,
    new: Zeroizing<String>,
) -> std::result::Result<(), Failure> {
    let name = who.person()?.to_string();
    let (store, wanted) = (door.store.clone(), name.clone());
    let person = waiting(move || store.person(&wanted)).await?;
    let is_locked = (door.clock)() < person.locked_until_us;
    let phc = person.password.clone().filter(|_| !is_locked);
    let is_right = door.passwords.turn().await?.is_right(old, phc).await?;
    if !is_right {
        door.failed(Some(person).filter(|_| !is_locked), None).await?;
        return Err(unauthorized(FAILED));
    }
    let password = new_password(door, &name, new).await?;
    door.act(&who.actor, Act::SetPassword { name: name.clone(), password }).await?;
    Ok(door.end_sessions_of(&name).await?)
}
