//! The pages of the first start, of signing in and out, and of one's own password.

use super::people::part;
use super::{Fields, Look};
use crate::http::failure::Failure;
use crate::http::people;
use crate::http::session::{change_password_as, setup_as, sign_out_as};
use crate::who::oidc::{self, Callback};
use crate::who::session::{Session, end_cookie};
use crate::who::{Doorkeeper, Peer, Who};
use axum::extract::{FromRef, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use statera_core::Error;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new()
        .route("/setup", get(setup_page).post(setup))
        .route("/sign-in", get(sign_in_page).post(sign_in))
        .route("/sign-in/oidc", get(begin_oidc))
        .route(oidc::CALLBACK, get(finish_oidc))
        .route("/sign-out", post(sign_out))
        .route("/account", get(account_page))
        .route("/account/password", post(change_password))
}

/// To another page, with a GET, and cookies.
fn go(to: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let mut response = Redirect::to(to).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_secure(door: &Doorkeeper, peer: Option<&Peer>, headers: &HeaderMap) -> bool {
    door.proxies.origin(peer, headers).is_secure
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

async fn setup_page(State(door): State<Doorkeeper>, look: Look, Query(link): Query<Link>) -> Response {
    match people::all(&door).await {
        Ok(people) if people.is_empty() => look.page("setup.html", Ok(setup_data(&link.token, "", None))),
        Ok(_) => Redirect::to("/sign-in").into_response(),
        Err(e) => look.failed(e.into()),
    }
}

fn setup_data(token: &str, name: &str, message: Option<&str>) -> Value {
    json!({ "token": token, "name": name, "message": message, "query": format!("&token={}", part(token)) })
}

async fn setup(State(door): State<Doorkeeper>, look: Look, fields: Result<Fields, Failure>) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(failure) => return look.failed(failure),
    };
    let name = fields.word("name");
    let done = match fields.secret("password") == fields.secret("again") {
        true => setup_as(&door, fields.text("token"), name.clone(), fields.secret("password")).await,
        false => Err(Error::request(look.word("account", "differ"))),
    };
    match done {
        Ok(()) => go("/sign-in?made=1", []),
        Err(e) => {
            let failure = Failure::from(e);
            let data = setup_data(fields.text("token"), &name, Some(&failure.message));
            look.page_with(failure.status, "setup.html", data)
        }
    }
}

#[derive(Deserialize)]
struct SignInQuery {
    made: Option<String>,
    changed: Option<String>,
    out: Option<String>,
}

async fn sign_in_page(State(door): State<Doorkeeper>, look: Look, Query(query): Query<SignInQuery>) -> Response {
    let message = if query.made.is_some() {
        Some(look.word("setup", "done"))
    } else if query.changed.is_some() {
        Some(look.word("account", "changed"))
    } else {
        query.out.map(|_| look.word("sign_in", "signed_out"))
    };
    let data = json!({ "name": "", "message": message, "tone": "good", "has_oidc": door.oidc.is_some() });
    look.page("sign_in.html", Ok(data))
}

async fn sign_in(
    State(door): State<Doorkeeper>,
    look: Look,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    fields: Result<Fields, Failure>,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(failure) => return look.failed(failure),
    };
    let origin = door.proxies.origin(peer.as_deref(), &headers);
    let name = fields.word("name");
    match door.sign_in(&name, fields.secret("password"), origin.address, origin.is_secure).await {
        Ok(begun) => go("/", [begun.cookie]),
        Err(failure) if failure.status == axum::http::StatusCode::UNAUTHORIZED => {
            let message = look.word("sign_in", "failed");
            let data = json!({ "name": name, "message": message, "tone": "grave", "has_oidc": door.oidc.is_some() });
            look.page_with(failure.status, "sign_in.html", data)
        }
        Err(failure) => look.failed(failure),
    }
}

async fn begin_oidc(
    State(door): State<Doorkeeper>,
    look: Look,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    match door.begin_oidc(is_secure(&door, peer.as_deref(), &headers)).await {
        Ok(start) => go(&start.url, [start.cookie]),
        Err(e) => look.failed(oidc::away(e)),
    }
}

async fn finish_oidc(
    State(door): State<Doorkeeper>,
    look: Look,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(callback): Query<Callback>,
) -> Response {
    let is_secure = is_secure(&door, peer.as_deref(), &headers);
    let (mut response, begun) = match door.finish_oidc(callback, &headers, is_secure).await {
        // The issuer's site has led the browser here, which therefore would not send a strict cookie to where a redirect leads;
        // a page of ours that leads on is another matter.
        Ok(begun) => (look.page("onward.html", Ok(json!({}))), Some(begun.cookie)),
        Err(failure) => (look.failed(failure), None),
    };
    for cookie in begun.into_iter().chain([oidc::end_cookie(is_secure)]) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

async fn sign_out(
    State(door): State<Doorkeeper>,
    look: Look,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    session: Session,
    fields: Result<Fields, Failure>,
) -> Response {
    let done = match fields {
        Ok(_) => sign_out_as(&door, &session).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => go("/sign-in?out=1", [end_cookie(is_secure(&door, peer.as_deref(), &headers))]),
        Err(failure) => look.failed(failure),
    }
}

async fn account_page(look: Look, _session: Session) -> Response {
    look.page("account.html", Ok(json!({})))
}

async fn change_password(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    fields: Result<Fields, Failure>,
) -> Response {
    let done = match fields {
        Ok(fields) if fields.secret("new") != fields.secret("again") => {
            Err(Error::request(look.word("account", "differ")).into())
        }
        Ok(fields) => change_password_as(&door, &who, fields.secret("old"), fields.secret("new")).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => go("/sign-in?changed=1", []),
        Err(failure) => look.failed(failure),
    }
}
