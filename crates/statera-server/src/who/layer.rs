//! The middleware that finds out who asks, before anything else is done for the request.

use super::access::{self, Found, Need, Rule};
use super::key::REFUSED;
use super::session::Session;
use super::sign_in::unauthorized;
use super::{Doorkeeper, Peer, Who, origin, secret};
use crate::http::failure::Failure;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use statera_core::Error;

/// Who asks, and the session if it is a person.
type Identified = Option<(Who, Option<Session>)>;

/// Puts [`Who`] (and of a person [`Session`]) into the request's extensions, or refuses it by the table
/// [`access::ACCESS`]. To be laid over the router of all routes with [`axum::Router::layer`], so that it sees which route it is.
pub async fn identify(State(door): State<Doorkeeper>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match let_pass(&door, &mut parts).await {
        Ok(renewed) => renew(next.run(Request::from_parts(parts, body)).await, renewed),
        Err(refusal) => refusal,
    }
}

/// The first half of [`identify`]. Gives the cookie for [`renew`].
///
/// # Errors
/// The answer to who may not pass.
pub async fn let_pass(door: &Doorkeeper, parts: &mut Parts) -> Result<Option<HeaderValue>, Response> {
    match find(parts).map_err(IntoResponse::into_response)? {
        None => Ok(None),
        Some(rule) => admit(door, rule, parts).await.map_err(|failure| refused(rule, &parts.headers, failure)),
    }
}

/// The second half: the answer with the cookie, unless it sets another one.
pub fn renew(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie.filter(|_| !response.headers().contains_key(header::SET_COOKIE)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The line of the table; `None` where there is no route at all, so that the router says 404.
fn find(parts: &Parts) -> Result<Option<&'static Rule>, Failure> {
    let Some(path) = parts.extensions.get::<MatchedPath>() else { return Ok(None) };
    match access::find(&parts.method, path.as_str()) {
        Found::Rule(rule) => Ok(Some(rule)),
        Found::OtherMethod => {
            let message = format!("{} is not a method of this path", parts.method);
            Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, message))
        }
        Found::Nothing => Err(Error::denied("nobody may call this path").into()),
    }
}

/// Lets a request pass by its rule. Gives the cookie to be renewed.
async fn admit(door: &Doorkeeper, rule: &Rule, parts: &mut Parts) -> Result<Option<HeaderValue>, Failure> {
    if rule.need == Need::Nobody {
        return Ok(None);
    }
    let peer = parts.extensions.get::<Peer>();
    let is_secure = door.proxies.origin(peer, &parts.headers).is_secure;
    let subject = peer.and_then(|peer| peer.subject.clone());
    let Some((who, session)) = identified(door, &parts.headers, subject.as_deref(), is_secure).await? else {
        return Err(unauthorized("this needs an API key (Authorization: Bearer …) or a signed-in person"));
    };
    match rule.need {
        Need::Nobody | Need::Anybody => {}
        Need::One(roles) => who.needs(roles)?,
        Need::Person(roles) => {
            who.person()?;
            who.needs(roles)?;
        }
    }
    let mut renewed = None;
    if let Some(session) = session {
        refuse_forged(door, rule, &session, parts, is_secure)?;
        renewed = session.renewed.clone();
        parts.extensions.insert(session);
    }
    parts.extensions.insert(who);
    Ok(renewed)
}

/// A browser sends the cookie with whatever a page makes it send: what changes something must come from a page of ours. Forms
/// have the token in their body, which [`super::session::Session::csrf`] is compared with where it is read.
fn refuse_forged(
    door: &Doorkeeper,
    rule: &Rule,
    session: &Session,
    parts: &Parts,
    is_secure: bool,
) -> Result<(), Failure> {
    if rule.method == "GET" {
        return Ok(());
    }
    origin::refuse_other_sites(parts, &door.settings.public_url, is_secure)?;
    let token = parts.headers.get("x-csrf-token").map_or(&b""[..], HeaderValue::as_bytes);
    if !rule.is_page() && !secret::same(token, session.csrf.as_bytes()) {
        return Err(Error::denied("the header X-CSRF-Token is missing or not this session's").into());
    }
    Ok(())
}

/// A bearer's key alone counts where there is one; then the session; then the certificate.
async fn identified(
    door: &Doorkeeper,
    headers: &HeaderMap,
    subject: Option<&str>,
    is_secure: bool,
) -> Result<Identified, Failure> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = given.next() {
        let token = value.to_str().ok().and_then(bearer).filter(|_| given.next().is_none());
        let who = match token {
            Some(token) => door.key(token).await?,
            None => None,
        };
        return who.map(|who| Some((who, None))).ok_or_else(|| unauthorized(REFUSED));
    }
    if let Some((who, session)) = door.session(headers, is_secure).await? {
        return Ok(Some((who, Some(session))));
    }
    match subject.and_then(|subject| door.certificates.key(subject)) {
        Some(prefix) => Ok(door.key_of_certificate(prefix).await?.map(|who| (who, None))),
        None => Ok(None),
    }
}

/// The token of `Bearer TOKEN`; the word in any case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (word, token) = value.split_once(' ')?;
    word.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

fn refused(rule: &Rule, headers: &HeaderMap, failure: Failure) -> Response {
    let is_unknown = failure.status == StatusCode::UNAUTHORIZED;
    if is_unknown && rule.is_page() && !headers.contains_key(header::AUTHORIZATION) {
        return Redirect::to("/sign-in").into_response();
    }
    let mut response = failure.into_response();
    if is_unknown {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Who, Failure> {
        parts.extensions.get().cloned().ok_or_else(|| unauthorized("nobody is identified"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Session, Failure> {
        parts.extensions.get().cloned().ok_or_else(|| unauthorized("nobody is signed in"))
    }
}
