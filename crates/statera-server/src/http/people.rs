//! People and what they may.

use super::failure::Failure;
use super::registry::time;
use crate::who::sign_in::new_password;
use crate::who::{self, Doorkeeper, Who, waiting};
use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::Act;
use statera_store::people::{NewPerson, Person, Role};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new()
        .route("/api/v1/people", get(people).post(add))
        .route("/api/v1/people/{name}/roles", put(set_roles))
        .route("/api/v1/people/{name}/password", put(set_password))
        .route("/api/v1/people/{name}/disabled", put(set_disabled))
}

/// A person as it is answered.
#[derive(Debug, Serialize)]
struct PersonAnswer {
    name: String,
    roles: BTreeSet<Role>,
    /// False: they sign in elsewhere.
    has_password: bool,
    disabled: bool,
    failures: u32,
    locked_until: Option<String>,
}

impl PersonAnswer {
    fn of(person: Person, now_us: i64) -> PersonAnswer {
        PersonAnswer {
            name: person.name,
            roles: person.roles,
            has_password: person.password.is_some(),
            disabled: person.disabled,
            failures: person.failures,
            locked_until: (now_us < person.locked_until_us).then(|| time(person.locked_until_us)),
        }
    }
}

/// All people.
///
/// # Errors
/// As the store says.
pub async fn all(door: &Doorkeeper) -> Result<Vec<Person>> {
    let store = door.store.clone();
    waiting(move || store.people()).await
}

async fn people(State(door): State<Doorkeeper>) -> std::result::Result<Json<Vec<PersonAnswer>>, Failure> {
    let now_us = (door.clock)();
    Ok(Json(all(&door).await?.into_iter().map(|p| PersonAnswer::of(p, now_us)).collect()))
}

/// A secret of a request's body: overwritten when dropped, never printed.
pub struct Typed(Zeroizing<String>);

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Typed, D::Error> {
        String::deserialize(deserializer).map(|text| Typed(Zeroizing::new(text)))
    }
}

impl Typed {
    /// Takes it out.
    pub fn take(self) -> Zeroizing<String> {
        self.0
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    roles: BTreeSet<Role>,
    /// None: they sign in elsewhere.
    password: Option<Typed>,
}

async fn add(
    State(door): State<Doorkeeper>,
    who: Who,
    Json(new): Json<New>,
) -> std::result::Result<StatusCode, Failure> {
    add_as(&door, &who, new.name, new.roles, new.password.map(Typed::take)).await?;
    Ok(StatusCode::CREATED)
}

/// Adds a person; without a password, one who signs in elsewhere.
///
/// # Errors
/// A name, password or roles that are not allowed; a name that is taken.
pub async fn add_as(
    door: &Doorkeeper,
    who: &Who,
    name: String,
    roles: BTreeSet<Role>,
    password: Option<Zeroizing<String>>,
) -> Result<()> {
    check_roles(&roles)?;
    if password.is_none() && door.oidc.is_none() && door.ldap.is_none() {
        return Err(Error::request("password: missing; without a directory or issuer, a person needs one"));
    }
    let password = match password {
        Some(password) => Some(new_password(door, &name, password).await?),
        None => None,
    };
    door.act(&who.actor, Act::AddPerson { person: NewPerson { name, roles, password } }).await.map(|_| ())
}

fn check_roles(roles: &BTreeSet<Role>) -> Result<()> {
    if roles.is_empty() {
        return Err(Error::request(format!(
            "roles: none; allowed: some of {}",
            who::ROLES.map(who::role_name).join(", ")
        )));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: BTreeSet<Role>,
}

async fn set_roles(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(name): Path<String>,
    Json(wanted): Json<Roles>,
) -> std::result::Result<StatusCode, Failure> {
    set_roles_as(&door, &who, name, wanted.roles).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a person these roles and no others, from their next request on.
///
/// # Errors
/// No role; `Conflict` for the last admin's.
pub async fn set_roles_as(door: &Doorkeeper, who: &Who, name: String, roles: BTreeSet<Role>) -> Result<()> {
    check_roles(&roles)?;
    door.act(&who.actor, Act::SetRoles { name, roles }).await.map(|_| ())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: Typed,
}

async fn set_password(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(name): Path<String>,
    Json(wanted): Json<Password>,
) -> std::result::Result<StatusCode, Failure> {
    set_password_as(&door, &who, name, wanted.password.take()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a person another password, and ends their sessions.
///
/// # Errors
/// A password that is not allowed.
pub async fn set_password_as(door: &Doorkeeper, who: &Who, name: String, password: Zeroizing<String>) -> Result<()> {
    let password = new_password(door, &name, password).await?;
    door.act(&who.actor, Act::SetPassword { name: name.clone(), password }).await?;
    door.end_sessions_of(&name).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disabled {
    disabled: bool,
}

async fn set_disabled(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(name): Path<String>,
    Json(wanted): Json<Disabled>,
) -> std::result::Result<StatusCode, Failure> {
    set_disabled_as(&door, &who, name, wanted.disabled).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps a person out from their next request on, or lets them in again.
///
/// # Errors
/// `Conflict` for the last admin.
pub async fn set_disabled_as(door: &Doorkeeper, who: &Who, name: String, disabled: bool) -> Result<()> {
    door.act(&who.actor, Act::SetDisabled { name: name.clone(), disabled }).await?;
    if disabled { door.end_sessions_of(&name).await } else { Ok(()) }
}
