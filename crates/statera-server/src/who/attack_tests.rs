//! Keys and sessions as an attacker would use them.

use super::key::{self, KeyWish};
use super::secret::{self, Use};
use super::testing::{NOW_US, PASSWORD};
use super::*;
use crate::http::testing::{scene, send};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::people::Role;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_key_is_who_it_was_made_for_until_it_is_revoked_or_expires() {
    let scene = scene().with_people();
    let token = scene.key(&[Role::Scorer]);
    let me = async |value: &str| scene.send("GET", "/api/v1/me", &[("authorization", value)], "").await;
    let answer = me(&bearer(&token)).await;
    let prefix = token.split('.').next().unwrap();
    assert_eq!(answer.json(), json!({ "key": prefix, "roles": ["scorer"] }));
    assert_eq!(me(&format!("bearer  {token}")).await.status, StatusCode::OK);
    let who = scene.door.key(&token).await.unwrap().unwrap();
    assert_eq!((who.rate_per_second, who.urgent), (7, true));
    // Revoked through this process: refused with the next request, although the row was cached a moment ago.
    let second = scene.key(&[Role::Viewer]);
    assert_eq!(me(&bearer(&second)).await.status, StatusCode::OK);
    let admin = scene.sign_in("admin").await;
    let path = format!("/api/v1/keys/{}", second.split('.').next().unwrap());
    assert_eq!(scene.call(&admin, "DELETE", &path, Value::Null).await.status, StatusCode::NO_CONTENT);
    let refused = me(&bearer(&second)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    // Expired, although cached.
    scene.clock.advance_s(3599);
    assert_eq!(me(&bearer(&token)).await.status, StatusCode::OK);
    scene.clock.advance_s(1);
    assert_eq!(me(&bearer(&token)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_that_another_process_revoked_ends_within_seconds() {
    let scene = scene().with_people();
    let token = scene.key(&[Role::Scorer]);
    assert!(scene.door.key(&token).await.unwrap().is_some());
    let prefix = token.split('.').next().unwrap().to_string();
    // Straight to the store: nobody tells this process's cache.
    scene.door.store.act(&Actor::System, Act::RevokeKey { prefix }).unwrap();
    assert!(scene.door.key(&token).await.unwrap().is_some());
    scene.clock.advance_s(2);
    assert!(scene.door.key(&token).await.unwrap().is_none());
    // A clock that was set back brings no row back.
    scene.clock.advance_s(-3600);
    assert!(scene.door.key(&token).await.unwrap().is_none());
}

#[tokio::test]
async fn forged_keys_are_refused_and_never_reach_the_store() {
    let scene = scene().with_people();
    let token = scene.key(&[Role::Scorer]);
    let (prefix, secret) = token.split_once('.').unwrap();
    let other = scene.key(&[Role::Scorer]);
    let other_secret = other.split('.').nth(1).unwrap();
    let flipped = |i: usize| {
        let mut bytes = secret::bytes(secret).unwrap();
        bytes[i] ^= 1;
        format!("{prefix}.{}", secret::text(&bytes))
    };
    let mut forged = vec![
        String::new(),
        prefix.to_string(),
        format!("{prefix}."),
        format!("{prefix}.{other_secret}"),
        format!("{}.{secret}", other.split('.').next().unwrap()),
        format!("{prefix}.{secret}="),
        format!("{prefix}.{}", &secret[..42]),
        format!("{}.{secret}", prefix.to_uppercase()),
        format!("../{prefix}.{secret}"),
        "x".repeat(10_000),
    ];
    forged.extend((0..32).map(flipped));
    for token in &forged {
        assert!(scene.door.key(token).await.unwrap().is_none(), "{token:.80}");
        let answer = scene.send("GET", "/api/v1/me", &[("authorization", &bearer(token))], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{token:.80}");
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
    assert!(scene.door.keys.is_empty(), "a forged key was looked up");
    // A mark of this server's making, with a secret that the store has not: its row is read, and refuses it.
    let random = [7_u8; 24];
    let mark = scene.door.server_key.mac(Use::Mark, &[prefix.as_bytes(), &random]);
    let marked = format!("{prefix}.{}", secret::text(&[&random[..], &mark[..8]].concat()));
    assert!(scene.door.key(&marked).await.unwrap().is_none());
    assert!(scene.door.key(&token).await.unwrap().is_some());
    // Elsewhere than in the header a key counts for nothing; two headers count for none.
    for path in [format!("/api/v1/me?key={token}"), format!("/api/v1/me?access_token={token}")] {
        assert_eq!(scene.send("GET", &path, &[], "").await.status, StatusCode::UNAUTHORIZED);
    }
    let basic = format!("Basic {token}");
    for extra in [
        vec![("authorization", basic.as_str())],
        vec![("x-api-key", token.as_str())],
        vec![("cookie", token.as_str())],
        vec![("authorization", "Bearer x"), ("authorization", &bearer(&token))],
    ] {
        assert_eq!(scene.send("GET", "/api/v1/me", &extra, "").await.status, StatusCode::UNAUTHORIZED);
    }
}

/// Verifying is on the way of every decision: a bound far above what it takes in the best of many short rounds, so that only another
/// order of magnitude fails.
#[tokio::test]
async fn a_key_that_is_cached_costs_microseconds() {
    let scene = scene().with_people();
    let token = scene.key(&[Role::Scorer]);
    assert!(scene.door.key(&token).await.unwrap().is_some());
    let (n, mut each_ns) = (1_000, u128::MAX);
    for _ in 0..100 {
        let start = std::time::Instant::now();
        for _ in 0..n {
            assert!(scene.door.key(&token).await.unwrap().is_some());
        }
        each_ns = each_ns.min(start.elapsed().as_nanos() / n);
    }
    println!("a cached key: {each_ns} ns");
    assert!(each_ns < 20_000, "{each_ns} ns");
}

#[test]
fn keys_cannot_be_made_to_approve_or_administer() {
    let server_key = {
        let dir = tempfile::tempdir().unwrap();
        secret::ServerKey::open(&dir.path().join("server.key"), true).unwrap()
    };
    let wish = |roles: &[Role], label: &str| KeyWish {
        label: label.into(),
        roles: roles.iter().copied().collect(),
        rate_per_second: 0,
        urgent: false,
        expires_us: None,
    };
    for roles in [&[Role::Checker][..], &[Role::Admin], &[Role::Scorer, Role::Admin], &[]] {
        assert!(key::make(&server_key, wish(roles, "x")).is_err(), "{roles:?}");
    }
    assert!(key::make(&server_key, wish(&[Role::Scorer], "")).is_err());
    assert!(key::make(&server_key, wish(&[Role::Scorer], "a\nb")).is_err());
    let (key, token) = key::make(&server_key, wish(&[Role::Scorer], "payments")).unwrap();
    assert_eq!((key.prefix.len(), token.len()), (12, 12 + 1 + 43));
}

#[tokio::test]
async fn a_session_ends_when_it_must() {
    let scene = scene().with_people();
    let me = async |cookie: &str| scene.send("GET", "/api/v1/me", &[("cookie", cookie)], "").await;
    let (cookie, _) = scene.sign_in("viewer").await;
    assert_eq!(me(&cookie).await.json(), json!({ "person": "viewer", "roles": ["viewer"] }));
    // Used again within the half hour, it is given a later minute; the old copy is idle meanwhile.
    scene.clock.advance_s(29 * 60);
    let renewed = me(&cookie).await.cookie("statera").unwrap();
    assert_ne!(renewed, cookie);
    scene.clock.advance_s(2 * 60);
    assert_eq!(me(&cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(me(&renewed).await.status, StatusCode::OK);
    // However busy, not longer than twelve hours.
    let mut now = renewed;
    for _ in 0..29 {
        scene.clock.advance_s(24 * 60);
        let answer = me(&now).await;
        match answer.cookie("statera") {
            Some(cookie) => now = cookie,
            None => assert_eq!(answer.status, StatusCode::UNAUTHORIZED),
        }
    }
    assert_eq!(me(&now).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn forged_and_replayed_sessions_are_refused() {
    let scene = scene().with_people();
    let session = scene.sign_in("admin").await;
    let me = async |cookie: &str| scene.send("GET", "/api/v1/me", &[("cookie", cookie)], "").await.status;
    let value = session.0.strip_prefix("statera=").unwrap();
    let parts: Vec<&str> = value.split('.').collect();
    let later = parts[1].parse::<i64>().unwrap() + 100_000;
    for forged in [
        format!("statera={}", parts[0]),
        format!("statera={}.{later}.{}", parts[0], parts[2]),
        format!("statera={}.{}.{}", secret::random_text().unwrap(), parts[1], parts[2]),
        format!("statera={value}x"),
        format!("statera={value}.x"),
        format!("__Host-statera={value}"),
        format!("statera={value}; statera={value}"),
        "statera=".into(),
    ] {
        assert_eq!(me(&forged).await, StatusCode::UNAUTHORIZED, "{forged}");
    }
    assert_eq!(me(&session.0).await, StatusCode::OK);
    // Signed out, the same cookie is worth nothing.
    assert_eq!(scene.call(&session, "DELETE", "/api/v1/sessions", Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(me(&session.0).await, StatusCode::UNAUTHORIZED);
    // Disabled, or with another password: every session ends.
    let admin = scene.sign_in("admin").await;
    let viewer = scene.sign_in("viewer").await;
    let body = json!({ "disabled": true });
    assert_eq!(scene.call(&admin, "PUT", "/api/v1/people/viewer/disabled", body).await.status, StatusCode::NO_CONTENT);
    assert_eq!(me(&viewer.0).await, StatusCode::UNAUTHORIZED);
    assert_eq!(scene.try_sign_in("viewer", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let maker = scene.sign_in("maker").await;
    let body = json!({ "password": "another long password" });
    assert_eq!(scene.call(&admin, "PUT", "/api/v1/people/maker/password", body).await.status, StatusCode::NO_CONTENT);
    assert_eq!(me(&maker.0).await, StatusCode::UNAUTHORIZED);
    // Roles that are taken away are gone with the next request.
    let checker = scene.sign_in("checker").await;
    let body = json!({ "roles": ["viewer"] });
    assert_eq!(scene.call(&admin, "PUT", "/api/v1/people/checker/roles", body).await.status, StatusCode::NO_CONTENT);
    let answer = scene.send("GET", "/api/v1/me", &[("cookie", &checker.0)], "").await;
    assert_eq!(answer.json()["roles"], json!(["viewer"]));
}

#[tokio::test]
async fn a_session_that_an_attacker_planted_is_not_the_one_that_begins() {
    let scene = scene().with_people();
    let planted = scene.sign_in("viewer").await.0;
    let body = json!({ "name": "admin", "password": PASSWORD }).to_string();
    let extra = [("content-type", "application/json"), ("cookie", planted.as_str())];
    let answer = scene.send("POST", "/api/v1/sessions", &extra, body).await;
    let begun = answer.cookie("statera").unwrap();
    assert_ne!(begun, planted);
    let me = async |cookie: &str| scene.send("GET", "/api/v1/me", &[("cookie", cookie)], "").await.json();
    assert_eq!(me(&planted).await["person"], "viewer");
    assert_eq!(me(&begun).await["person"], "admin");
}

#[tokio::test]
async fn what_another_sites_page_sends_is_refused() {
    let scene = scene().with_people();
    let (cookie, csrf) = scene.sign_in("admin").await;
    let body = json!({ "roles": ["admin", "maker", "checker"] }).to_string();
    let put = async |extra: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json"), ("cookie", cookie.as_str()), ("host", "a.test")];
        all.extend(extra);
        scene.send("PUT", "/api/v1/people/viewer/roles", &all, body.clone()).await.status
    };
    let (own, token) = (("origin", "http://a.test"), ("x-csrf-token", csrf.as_str()));
    let other = scene.sign_in("viewer").await.1;
    for refused in [
        vec![],
        vec![own],
        vec![token],
        vec![("origin", "http://evil.test"), token],
        vec![("origin", "null"), token],
        vec![("origin", "https://a.test"), token],
        vec![("origin", "http://a.test.evil.test"), token],
        vec![("sec-fetch-site", "cross-site"), own, token],
        vec![("sec-fetch-site", "same-site"), own, token],
        vec![own, ("x-csrf-token", "")],
        vec![own, ("x-csrf-token", other.as_str())],
    ] {
        assert_eq!(put(&refused).await, StatusCode::FORBIDDEN, "{refused:?}");
    }
    assert_eq!(put(&[own, token]).await, StatusCode::NO_CONTENT);
    assert_eq!(put(&[("sec-fetch-site", "same-origin"), token]).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn guesses_wait_longer_and_longer_and_learn_nothing() {
    let scene = scene().with_people();
    let unknown = scene.try_sign_in("nobody-of-that-name", "wrong password").await;
    for _ in 0..5 {
        let answer = scene.try_sign_in("maker", "wrong password").await;
        assert_eq!((answer.status, &answer.text), (unknown.status, &unknown.text));
    }
    // The right password is refused with the same words while it must wait.
    let answer = scene.try_sign_in("maker", PASSWORD).await;
    assert_eq!((answer.status, &answer.text), (StatusCode::UNAUTHORIZED, &unknown.text));
    // Others are let in meanwhile.
    assert_eq!(scene.try_sign_in("viewer", PASSWORD).await.status, StatusCode::OK);
    assert_eq!(scene.door.store.person("maker").unwrap().failures, 5);
    assert_eq!(scene.door.store.person("maker").unwrap().locked_until_us, NOW_US + 30 * SECOND_US);
    scene.clock.advance_s(30);
    assert_eq!(scene.try_sign_in("maker", PASSWORD).await.status, StatusCode::OK);
    assert_eq!(scene.door.store.person("maker").unwrap().failures, 0);
    for wrong in ["", "../maker", "maker\u{0}", &"m".repeat(300)] {
        let answer = scene.try_sign_in(wrong, PASSWORD).await;
        assert_eq!((answer.status, &answer.text), (unknown.status, &unknown.text), "{wrong:.20}");
    }
    let answer = scene.try_sign_in("viewer", &"x".repeat(100_000)).await;
    assert_eq!((answer.status, &answer.text), (unknown.status, &unknown.text));
}

#[tokio::test]
async fn an_address_that_guesses_names_must_wait() {
    let scene = scene().with_people();
    let peer =
        |address: &str| Peer { address: format!("{address}:50000").parse().unwrap(), is_tls: false, subject: None };
    let guess = async |address: &str, password: &str| {
        let body = json!({ "name": "viewer", "password": password }).to_string();
        let extra = [("content-type", "application/json"), ("x-forwarded-for", "203.0.113.9")];
        send(&scene.app, "POST", "/api/v1/sessions", &extra, body, Some(peer(address))).await
    };
    for i in 0..20 {
        let body = json!({ "name": format!("name-{i}"), "password": "wrong password" }).to_string();
        let extra = [("content-type", "application/json")];
        send(&scene.app, "POST", "/api/v1/sessions", &extra, body, Some(peer("192.0.2.7"))).await;
    }
    let answer = guess("192.0.2.7", PASSWORD).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (StatusCode::TOO_MANY_REQUESTS, "30"));
    // The header is not believed: the wait is the connection's, and nobody else's.
    assert_eq!(guess("192.0.2.8", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_setup_link_makes_one_admin_once() {
    let scene = scene();
    let setup = async |token: &str, name: &str| {
        let body = json!({ "token": token, "name": name, "password": PASSWORD }).to_string();
        scene.send("POST", "/api/v1/setup", &[("content-type", "application/json")], body).await.status
    };
    let old = scene.door.offer_setup().unwrap().unwrap();
    let token = scene.door.offer_setup().unwrap().unwrap();
    assert_eq!(setup("guess", "eve").await, StatusCode::FORBIDDEN);
    assert_eq!(setup(&old, "eve").await, StatusCode::FORBIDDEN);
    assert_eq!(setup("", "eve").await, StatusCode::FORBIDDEN);
    assert_eq!(setup(&token, "anna").await, StatusCode::CREATED);
    assert_eq!(setup(&token, "eve").await, StatusCode::FORBIDDEN);
    assert_eq!(scene.door.offer_setup().unwrap(), None);
    let people = scene.door.store.people().unwrap();
    assert_eq!((people.len(), people[0].name.as_str()), (1, "anna"));
    assert_eq!(people[0].roles, BTreeSet::from([Role::Admin]));
}

#[tokio::test]
async fn a_certificate_stands_for_its_key() {
    let scene = scene().with_people();
    let token = scene.key(&[Role::Scorer]);
    let prefix = token.split('.').next().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let clock = scene.clock.clone();
    let settings = vec![certificate::CertificateSettings { subject: "CN=payments,O=Bank".into(), key: prefix.clone() }];
    let store = scene.door.store.clone();
    let door = super::testing::door_over(folder.path(), store, &clock, &WhoSettings::default(), |inner| {
        inner.certificates = certificate::Certificates::new(&settings).unwrap();
    });
    let app = crate::http::testing::app(&door);
    let peer = |subject: Option<&str>| {
        Some(Peer { address: "192.0.2.7:5000".parse().unwrap(), is_tls: true, subject: subject.map(Arc::from) })
    };
    let me = async |subject: Option<&str>| send(&app, "GET", "/api/v1/me", &[], "", peer(subject)).await;
    assert_eq!(me(Some("CN=payments,O=Bank")).await.json()["key"], json!(prefix));
    assert_eq!(me(Some("CN=other,O=Bank")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(me(None).await.status, StatusCode::UNAUTHORIZED);
    door.act(&Actor::System, Act::RevokeKey { prefix }).await.unwrap();
    assert_eq!(me(Some("CN=payments,O=Bank")).await.status, StatusCode::UNAUTHORIZED);
}
