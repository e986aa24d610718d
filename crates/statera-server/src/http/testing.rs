//! Clients of the routes for who may what: requests without a socket.

#![allow(missing_docs, reason = "helpers of tests")]

use crate::who::testing::{PASSWORD, TestClock, add_person, door};
use crate::who::{Doorkeeper, Peer, layer};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use statera_store::people::Role;
use tower::ServiceExt;

/// A server with these routes alone, and its store.
pub struct Scene {
    pub door: Doorkeeper,
    pub app: Router,
    pub clock: TestClock,
    pub dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The cookie of that name that is set: its name and value.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap());
        let pair = all.filter_map(|v| v.split(';').next()).find(|v| v.starts_with(&format!("{name}=")))?;
        Some(pair.to_string())
    }
}

/// The routes of people, keys, sessions, models and pages over a door.
pub fn app(door: &Doorkeeper) -> Router {
    Router::new()
        .merge(super::session::routes())
        .merge(super::people::routes())
        .merge(super::keys::routes())
        .merge(super::registry::routes())
        .merge(super::page::routes())
        .layer(axum::middleware::from_fn_with_state(door.clone(), layer::identify))
        .with_state(door.clone())
}

pub fn scene() -> Scene {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let door = door(dir.path(), &clock);
    Scene { app: app(&door), door, clock, dir }
}

/// Headers and a body to be sent.
pub type Extra<'a> = &'a [(&'a str, &'a str)];

impl Scene {
    /// With a person for each role, named by it.
    pub fn with_people(self) -> Scene {
        for role in crate::who::ROLES {
            add_person(&self.door, crate::who::role_name(role), &[role]);
        }
        self
    }

    pub async fn send(&self, method: &str, path: &str, extra: Extra<'_>, body: impl Into<Body>) -> Answer {
        send(&self.app, method, path, extra, body, None).await
    }

    /// A person's session: the cookie and the token.
    pub async fn sign_in(&self, name: &str) -> (String, String) {
        let answer = self.try_sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let csrf = answer.json()["csrf"].as_str().unwrap().to_string();
        (answer.cookie("statera").unwrap(), csrf)
    }

    pub async fn try_sign_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "name": name, "password": password }).to_string();
        self.send("POST", "/api/v1/sessions", &[("content-type", "application/json")], body).await
    }

    /// A call of the interface for programs by a person who is signed in.
    pub async fn call(&self, session: &(String, String), method: &str, path: &str, body: Value) -> Answer {
        let extra = [
            ("content-type", "application/json"),
            ("cookie", session.0.as_str()),
            ("x-csrf-token", session.1.as_str()),
            ("host", "statera.test"),
            ("origin", "http://statera.test"),
        ];
        self.send(method, path, &extra, if body.is_null() { String::new() } else { body.to_string() }).await
    }

    /// A form of a page by a person who is signed in.
    pub async fn post(&self, session: &(String, String), path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.append_pair("csrf", &session.1).extend_pairs(fields).finish();
        let extra = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", session.0.as_str()),
            ("host", "statera.test"),
            ("origin", "http://statera.test"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send("POST", path, &extra, body).await
    }

    /// A key with these roles: what its client sends.
    pub fn key(&self, roles: &[Role]) -> String {
        let wish = crate::who::key::KeyWish {
            label: "a test".into(),
            roles: roles.iter().copied().collect(),
            rate_per_second: 7,
            urgent: true,
            expires_us: Some(crate::who::testing::NOW_US + 3_600_000_000),
        };
        let (key, token) = crate::who::key::make(&self.door.server_key, wish).unwrap();
        let actor = statera_store::act::Actor::Person("admin".into());
        self.door.store.act(&actor, statera_store::act::Act::AddKey { key }).unwrap();
        token.to_string()
    }
}

pub async fn send(
    app: &Router,
    method: &str,
    path: &str,
    extra: Extra<'_>,
    body: impl Into<Body>,
    peer: Option<Peer>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in extra {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body.into()).unwrap();
    request.extensions_mut().extend(
        peer.map(|peer| {
            let mut extensions = axum::http::Extensions::new();
            extensions.insert(peer);
            extensions
        })
        .unwrap_or_default(),
    );
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}
