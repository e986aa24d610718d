//! The table walked: every route with every role, as a person and as a key, and with nobody.

use super::*;
use crate::http::testing::{Scene, scene, send};
use crate::who::key::{self, KeyWish};
use crate::who::{ROLES, layer, role_name};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use statera_store::act::{Act, Actor};
use statera_store::people::NewApiKey;
use std::collections::BTreeSet;

/// Every path of the table, with a handler that lets everybody in.
fn open_house(scene: &Scene) -> Router {
    let paths: BTreeSet<&str> = ACCESS.iter().map(|rule| rule.path).collect();
    let mut router = Router::new();
    for path in paths {
        router = router.route(path, any(|| async { "in" }));
    }
    router
        .route("/forgotten", any(|| async { "in" }))
        .layer(axum::middleware::from_fn_with_state(scene.door.clone(), layer::identify))
}

fn filled(path: &str) -> String {
    let part = |p: &str| if p.starts_with('{') { "x".to_string() } else { p.to_string() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A key with any role, also those that no key can be made with.
fn key_of(scene: &Scene, role: Role) -> String {
    let wish = KeyWish {
        label: "walk".into(),
        roles: BTreeSet::from([Role::Viewer]),
        rate_per_second: 0,
        urgent: false,
        expires_us: None,
    };
    let (key, token) = key::make(&scene.door.server_key, wish).unwrap();
    let key = NewApiKey { roles: BTreeSet::from([role]), ..key };
    scene.door.store.act(&Actor::System, Act::AddKey { key }).unwrap();
    token.to_string()
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_names_and_nobody_else() {
    let scene = scene().with_people();
    let app = open_house(&scene);
    for rule in ACCESS {
        let path = filled(rule.path);
        let status = async |extra: &[(&str, &str)]| send(&app, rule.method, &path, extra, "", None).await.status;
        let nobody = status(&[]).await;
        let forged =
            status(&[("authorization", "Bearer aaaaaaaaaaaa.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]).await;
        if rule.need == Need::Nobody {
            assert_eq!((nobody, forged), (StatusCode::OK, StatusCode::OK), "{rule:?}");
            continue;
        }
        let to_sign_in = if rule.is_page() { StatusCode::SEE_OTHER } else { StatusCode::UNAUTHORIZED };
        assert_eq!((nobody, forged), (to_sign_in, StatusCode::UNAUTHORIZED), "{rule:?}");
    }
    for role in ROLES {
        let session = scene.sign_in(role_name(role)).await;
        let bearer = format!("Bearer {}", key_of(&scene, role));
        for rule in ACCESS {
            let path = filled(rule.path);
            let cookie = [
                ("cookie", session.0.as_str()),
                ("x-csrf-token", session.1.as_str()),
                ("host", "a.test"),
                ("origin", "http://a.test"),
            ];
            let person = send(&app, rule.method, &path, &cookie, "", None).await.status;
            let key = send(&app, rule.method, &path, &[("authorization", &bearer)], "", None).await.status;
            let (person_may, key_may) = match rule.need {
                Need::Nobody | Need::Anybody => (true, true),
                Need::One(roles) => (roles.contains(&role), roles.contains(&role)),
                Need::Person(roles) => (roles.contains(&role), false),
            };
            let expected = |may: bool| if may { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!((person, key), (expected(person_may), expected(key_may)), "{role:?} {rule:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_in_the_table_is_refused_to_everybody() {
    let scene = scene().with_people();
    let app = open_house(&scene);
    let session = scene.sign_in("admin").await;
    let cookie = [("cookie", session.0.as_str())];
    assert_eq!(send(&app, "GET", "/forgotten", &cookie, "", None).await.status, StatusCode::FORBIDDEN);
    // A method without a line, although the router has a handler for it.
    for method in ["DELETE", "PATCH", "PUT", "TRACE"] {
        let status = send(&app, method, "/api/v1/models", &cookie, "", None).await.status;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    assert_eq!(send(&app, "HEAD", "/api/v1/models", &[], "", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&app, "GET", "/api/v1/../people", &[], "", None).await.status, StatusCode::NOT_FOUND);
}

#[test]
fn the_table_has_what_the_document_of_the_interface_has() {
    let operations: BTreeSet<_> = crate::http::openapi::OPERATIONS.iter().map(|o| (o.method, o.path)).collect();
    let rules: BTreeSet<_> = ACCESS.iter().map(|r| (r.method, r.path)).collect();
    assert_eq!(rules, operations);
}

#[test]
fn the_table_says_everything_once_and_what_it_must() {
    let mut lines = BTreeSet::new();
    for rule in ACCESS {
        assert!(lines.insert((rule.method, rule.path)), "{rule:?}");
        if rule.method != "GET" && rule.need == Need::Nobody {
            assert!(["/setup", "/sign-in", "/api/v1/setup", "/api/v1/sessions"].contains(&rule.path), "{rule:?}");
        }
    }
    // Who approves is a person and a checker; who asks for decisions is a scorer.
    let need = |method, path| ACCESS.iter().find(|r| (r.method, r.path) == (method, path)).map(|r| r.need);
    assert_eq!(need("POST", "/api/v1/proposals/{id}/approve"), Some(Need::Person(&[Role::Checker])));
    assert_eq!(need("POST", "/proposals/{id}/approve"), Some(Need::Person(&[Role::Checker])));
    assert_eq!(need("POST", "/api/v1/decisions"), Some(Need::One(&[Role::Scorer])));
    assert_eq!(need("POST", "/api/v1/keys"), Some(Need::Person(&[Role::Admin])));
}
