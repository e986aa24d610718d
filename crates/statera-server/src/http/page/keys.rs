//! The page of API keys.

use super::people::{back, roles};
use super::{Fields, Look};
use crate::http::failure::Failure;
use crate::http::keys::{NewKey, add_as, all};
use crate::who::session::Session;
use crate::who::{Doorkeeper, Who, role_name};
use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use statera_core::Result;
use statera_store::act::Act;
use statera_store::people::{ApiKey, Role};

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new().route("/keys", get(page).post(add)).route("/keys/{prefix}/revoke", post(revoke))
}

async fn page(State(door): State<Doorkeeper>, look: Look, _session: Session) -> Response {
    look.page("keys.html", data(&door, None).await)
}

/// A new key is shown once, in the answer to the form that made it.
async fn data(door: &Doorkeeper, made: Option<&str>) -> Result<Value> {
    let now_us = (door.clock)();
    let shown = |k: ApiKey| {
        json!({
            "prefix": k.key.prefix,
            "label": k.key.label,
            "roles": k.key.roles.iter().copied().map(role_name).collect::<Vec<_>>(),
            "rate": k.key.rate_per_second,
            "urgent": k.key.urgent,
            "expires": k.key.expires_us.map(super::registry::minute),
            "expired": k.key.expires_us.is_some_and(|end| end <= now_us),
            "revoked": k.revoked,
            "by": k.by,
            "at": super::registry::minute(k.at_us),
        })
    };
    let keys: Vec<Value> = all(door).await?.into_iter().map(shown).collect();
    let roles = [Role::Viewer, Role::Scorer, Role::Maker].map(role_name);
    Ok(json!({ "keys": keys, "roles": roles, "made": made }))
}

async fn add(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let made = async {
        let fields = fields?;
        let days = fields.text("days").trim();
        let new = NewKey {
            label: fields.word("label"),
            roles: roles(&fields)?,
            rate_per_second: fields.number("rate_per_second")?,
            urgent: fields.text("urgent") == "true",
            days: if days.is_empty() { None } else { Some(fields.number("days")?) },
        };
        Ok::<_, Failure>(add_as(&door, &who, new).await?.1)
    };
    match made.await {
        Ok(token) => look.page("keys.html", data(&door, Some(&token)).await),
        Err(failure) => look.failed(failure),
    }
}

async fn revoke(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(prefix): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        fields?;
        door.act(&who.actor, Act::RevokeKey { prefix }).await?;
        Ok(())
    };
    back(&look, "/keys", done.await)
}
