//! A server over the real store, asked as its clients ask: by the whole router, with a key.

use super::bundle;
use crate::app::Shared;
use crate::http;
use crate::who::key::{KeyWish, make};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use statera_store::Store;
use statera_store::act::{Act, Actor};
use statera_store::people::Role;
use statera_store::registry::Change;
use std::path::Path;
use tower::ServiceExt;

/// A model «credit» whose first version is proposed by one person and approved by another.
pub fn furnish(folder: &Path, app: &Shared, store: &dyn Store) {
    let (digest, path) = bundle(folder, "boosting");
    let person = |name: &str| Actor::Person(name.into());
    store.put_bundle(&digest, &path).expect("stored");
    let act = |who: &str, act| store.act(&person(who), act).expect("done");
    act("ada", Act::SetTier { tier: 1, approvals: 1 });
    act("max", Act::AddModel { name: "credit".into(), tier: 1 });
    act("max", Act::AddVersion { model: "credit".into(), digest, note: "first".into() });
    let change = Change::Champion { version: 1 };
    let proposed = act("max", Act::Propose { model: "credit".into(), change, note: "go".into() });
    let proposal = proposed.proposal.expect("a proposal");
    app.models.refresh().expect("read");
    let told = app.models.route("credit", "k").err().expect("nothing is approved").to_string();
    assert_eq!(told, "«credit» has no approved version yet");
    act("carol", Act::Approve { proposal, note: "seen".into() });
    app.models.refresh().expect("read");
}

/// A bank's system with a key of its own.
#[derive(Clone)]
pub struct Client {
    router: Router,
    token: String,
}

/// What it was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// An answer that says to come back: its message.
    #[track_caller]
    pub fn unavailable(&self) -> String {
        assert_eq!(self.status, StatusCode::SERVICE_UNAVAILABLE, "{}", self.body);
        assert!(self.headers.contains_key(header::RETRY_AFTER), "{:?}", self.headers);
        let told = self.json();
        assert_eq!(told["error"], "unavailable", "{told}");
        told["message"].as_str().expect("a message").to_string()
    }
}

impl Client {
    /// A client with a new key that may score and look.
    pub fn new(app: &Shared) -> Client {
        let wish = KeyWish {
            label: "a test".into(),
            roles: [Role::Scorer, Role::Viewer].into(),
            rate_per_second: 0,
            urgent: false,
            expires_us: None,
        };
        let (key, token) = make(&app.doorkeeper.server_key, wish).expect("a key");
        app.store.act(&Actor::Person("ada".into()), Act::AddKey { key }).expect("done");
        Client { router: http::router(app.clone()), token: token.to_string() }
    }

    /// Asks for something; must be called within a runtime.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Asked {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let (parts, body) = self.router.clone().oneshot(request).await.expect("an answer").into_parts();
        let body = to_bytes(body, 1 << 24).await.expect("a body");
        let body = String::from_utf8(body.to_vec()).expect("text");
        Asked { status: parts.status, headers: parts.headers, body }
    }

    /// Asks for a decision about somebody, under a name.
    pub async fn decide(&self, name: &str, subject: &str, row: &str) -> Asked {
        let body = format!(r#"{{"model":"credit","request_id":"{name}","subject":"{subject}","row":{row}}}"#);
        self.ask("POST", "/api/v1/decisions", &body).await
    }
}
