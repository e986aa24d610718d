//! The page of people.

use super::{Fields, Look};
use crate::http::failure::Failure;
use crate::http::people::{add_as, all, set_disabled_as, set_password_as, set_roles_as};
use crate::who::session::Session;
use crate::who::{self, Doorkeeper, ROLES, Who, role_name};
use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use statera_core::Result;
use statera_store::people::{Person, Role};
use std::collections::BTreeSet;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new()
        .route("/people", get(page).post(add))
        .route("/people/{name}/roles", post(set_roles))
        .route("/people/{name}/password", post(set_password))
        .route("/people/{name}/disabled", post(set_disabled))
}

async fn page(State(door): State<Doorkeeper>, look: Look, _session: Session) -> Response {
    look.page("people.html", data(&door).await)
}

async fn data(door: &Doorkeeper) -> Result<Value> {
    let now_us = (door.clock)();
    let shown = |p: Person| {
        json!({
            "part": part(&p.name),
            "name": p.name,
            "roles": p.roles.iter().copied().map(role_name).collect::<Vec<_>>(),
            "has_password": p.password.is_some(),
            "disabled": p.disabled,
            "locked": now_us < p.locked_until_us,
        })
    };
    let people: Vec<Value> = all(door).await?.into_iter().map(shown).collect();
    let has_elsewhere = door.oidc.is_some() || door.ldap.is_some();
    Ok(json!({ "people": people, "roles": ROLES.map(role_name), "has_elsewhere": has_elsewhere }))
}

/// A text as a part of a path, or a value of a query.
pub(super) fn part(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The roles that are ticked.
pub(super) fn roles(fields: &Fields) -> Result<BTreeSet<Role>> {
    fields.all("role").map(who::role).collect()
}

/// Back to a page, or what went wrong.
pub(super) fn back(look: &Look, to: &str, done: std::result::Result<(), Failure>) -> Response {
    match done {
        Ok(()) => Redirect::to(to).into_response(),
        Err(failure) => look.failed(failure),
    }
}

async fn add(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        let fields = fields?;
        let password = fields.secret("password");
        let password = (!password.is_empty()).then_some(password);
        Ok(add_as(&door, &who, fields.word("name"), roles(&fields)?, password).await?)
    };
    back(&look, "/people", done.await)
}

async fn set_roles(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(name): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async { Ok(set_roles_as(&door, &who, name, roles(&fields?)?).await?) };
    back(&look, "/people", done.await)
}

async fn set_password(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(name): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async { Ok(set_password_as(&door, &who, name, fields?.secret("password")).await?) };
    back(&look, "/people", done.await)
}

async fn set_disabled(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(name): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async { Ok(set_disabled_as(&door, &who, name, fields?.text("disabled") == "true").await?) };
    back(&look, "/people", done.await)
}
