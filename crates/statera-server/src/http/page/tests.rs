//! The pages as a browser has them.

use crate::http::testing::{Scene, scene, send};
use crate::who::testing::PASSWORD;
use axum::http::StatusCode;
use statera_store::act::{Act, Actor};
use statera_store::people::Role;
use statera_store::registry::{Challenger, Change};

async fn get(scene: &Scene, cookie: &str, path: &str, language: &str) -> crate::http::testing::Answer {
    scene.send("GET", path, &[("cookie", cookie), ("accept-language", language)], "").await
}

/// A store with something on every page.
async fn furnished() -> Scene {
    let scene = scene().with_people();
    let act = |name: &str, act: Act| scene.door.store.act(&Actor::Person(name.into()), act).unwrap();
    act("admin", Act::SetTier { tier: 2, approvals: 1 });
    act("maker", Act::AddModel { name: "cards".into(), tier: 2 });
    act("maker", Act::AddModel { name: "untiered".into(), tier: 1 });
    for digit in ["a", "b"] {
        let digest = digit.repeat(64);
        // What is in it was checked before it came here; the registry only needs it to be there.
        let bundle = scene.dir.path().join(digit);
        std::fs::create_dir(&bundle).unwrap();
        std::fs::write(bundle.join("manifest.json"), "{}").unwrap();
        scene.door.store.put_bundle(&digest, &bundle).unwrap();
        act("maker", Act::AddVersion { model: "cards".into(), digest, note: "<script>alert(1)</script>".into() });
    }
    let propose = |change| {
        let note = "\"><img src=x onerror=alert(1)>".to_string();
        act("maker", Act::Propose { model: "cards".into(), change, note }).proposal.unwrap()
    };
    let first = propose(Change::Champion { version: 1 });
    act("checker", Act::Approve { proposal: first, note: String::new() });
    propose(Change::Challenger { challenger: Some(Challenger { version: 2, shadow: true, per_mille: 100 }) });
    let rejected = propose(Change::Backup { version: 2 });
    act("checker", Act::Reject { proposal: rejected, note: "no".into() });
    scene.key(&[Role::Scorer]);
    scene
}

#[tokio::test]
async fn every_page_is_rendered_in_every_language_with_strict_headers() {
    let scene = furnished().await;
    let admin = scene.sign_in("admin").await.0;
    for (language, word) in [("en", "Waiting for approval"), ("ko", "승인 대기"), ("zh-Hans", "等待审批")] {
        let pages = [("/", &admin[..]), ("/people", &admin), ("/keys", &admin), ("/account", &admin), ("/sign-in", "")];
        for (path, cookie) in pages {
            let answer = get(&scene, cookie, path, language).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {language}: {}", answer.text);
            let head = |name: &str| answer.headers[name].to_str().unwrap();
            let policy = head("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(head("x-frame-options"), "DENY");
            assert_eq!(head("x-content-type-options"), "nosniff");
            assert_eq!(head("referrer-policy"), "same-origin");
            assert_eq!(head("cache-control"), "no-store");
            for banned in ["<script", "<img", "javascript:", "http://", "https://", " style=\"", " onclick="] {
                assert!(!answer.text.contains(banned), "{path}: {banned}");
            }
        }
        let models = get(&scene, &admin, "/", language).await.text;
        assert!(models.contains(word), "{language}");
    }
}

#[tokio::test]
async fn the_style_has_the_digest_that_the_policy_allows() {
    let scene = scene();
    let answer = scene.send("GET", "/sign-in", &[], "").await;
    let style = answer.text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, style.as_bytes());
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest.as_ref());
    assert!(answer.headers["content-security-policy"].to_str().unwrap().contains(&digest));
}

#[tokio::test]
async fn a_language_that_was_chosen_is_kept() {
    let scene = scene();
    let answer = scene.send("GET", "/sign-in?lang=ko", &[("accept-language", "en")], "").await;
    assert!(answer.text.contains("비밀번호") && answer.text.contains("<html lang=\"ko\">"));
    let cookie = answer.cookie("statera-language").unwrap();
    assert!(get(&scene, &cookie, "/sign-in", "en").await.text.contains("비밀번호"));
    assert!(get(&scene, "", "/sign-in?lang=xx", "zh").await.text.contains("密码"));
}

#[tokio::test]
async fn the_first_start_leads_to_a_signed_in_admin() {
    let scene = scene();
    let token = scene.door.offer_setup().unwrap().unwrap();
    let form = async |path: &str, fields: &[(&str, &str)]| {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let extra = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "statera.test"),
            ("origin", "http://statera.test"),
        ];
        scene.send("POST", path, &extra, body).await
    };
    assert_eq!(scene.send("GET", "/", &[], "").await.headers["location"], "/sign-in");
    let page = scene.send("GET", &format!("/setup?token={token}"), &[], "").await;
    assert!(page.text.contains(&token));
    let differ = [("token", &token[..]), ("name", "anna"), ("password", PASSWORD), ("again", "another one entirely")];
    assert_eq!(form("/setup", &differ).await.status, StatusCode::BAD_REQUEST);
    let short = [("token", &token[..]), ("name", "anna"), ("password", "short"), ("again", "short")];
    assert!(form("/setup", &short).await.text.contains("5 characters"));
    let good = [("token", &token[..]), ("name", "anna"), ("password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(form("/setup", &good).await.headers["location"], "/sign-in?made=1");
    assert_eq!(scene.send("GET", &format!("/setup?token={token}"), &[], "").await.headers["location"], "/sign-in");
    let wrong = form("/sign-in", &[("name", "anna"), ("password", "wrong password")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.text.contains("The name or the password is wrong"));
    let signed_in = form("/sign-in", &[("name", "anna"), ("password", PASSWORD)]).await;
    assert_eq!((signed_in.status, &signed_in.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
    let set = signed_in.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly; SameSite=Strict") && !set.contains("Secure"), "{set}");
    let cookie = signed_in.cookie("statera").unwrap();
    let page = scene.send("GET", "/", &[("cookie", &cookie)], "").await;
    assert!(page.text.contains("anna") && page.text.contains("No model yet"), "{}", page.text);
}

#[tokio::test]
async fn over_tls_the_cookie_is_the_hosts_alone() {
    let scene = scene().with_people();
    let peer = crate::who::Peer { address: "192.0.2.7:5000".parse().unwrap(), is_tls: true, subject: None };
    let body = format!("name=admin&password={}", PASSWORD.replace(' ', "+"));
    let extra = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "statera.test"),
        ("origin", "https://statera.test"),
    ];
    let answer = send(&scene.app, "POST", "/sign-in", &extra, body, Some(peer)).await;
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("__Host-statera=") && set.contains("; Path=/; ") && set.ends_with("; Secure"), "{set}");
    assert!(!set.contains("Domain"), "{set}");
}

#[tokio::test]
async fn forms_need_the_sessions_token_and_come_from_here() {
    let scene = furnished().await;
    let checker = scene.sign_in("checker").await;
    let other = scene.sign_in("viewer").await;
    let open = scene.door.store.registry().unwrap().proposals;
    let open = open.iter().find(|p| p.state == statera_store::registry::ProposalState::Open).unwrap();
    let path = format!("/proposals/{}/approve", open.id);
    let stolen = (checker.0.clone(), other.1.clone());
    assert_eq!(scene.post(&stolen, &path, &[("note", "x")]).await.status, StatusCode::FORBIDDEN);
    let extra = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", checker.0.as_str()),
        ("host", "statera.test"),
        ("origin", "http://evil.test"),
    ];
    let body = format!("csrf={}", checker.1);
    assert_eq!(scene.send("POST", &path, &extra, body.clone()).await.status, StatusCode::FORBIDDEN);
    let plain = [("content-type", "text/plain"), extra[1], extra[2], ("origin", "http://statera.test")];
    assert_eq!(scene.send("POST", &path, &plain, body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(scene.post(&checker, &path, &[("note", "seen")]).await.headers["location"], "/");
    let route = &scene.door.store.registry().unwrap().models["cards"].route;
    assert_eq!(route.challenger, Some(Challenger { version: 2, shadow: true, per_mille: 100 }));
}

#[tokio::test]
async fn what_the_pages_do_is_done() {
    let scene = furnished().await;
    let (admin, maker, checker) =
        (scene.sign_in("admin").await, scene.sign_in("maker").await, scene.sign_in("checker").await);
    let to =
        |answer: &crate::http::testing::Answer| answer.headers.get("location").map(|v| v.to_str().unwrap().to_string());
    let fields = [("change", "champion"), ("version", "2"), ("per_mille", "1000"), ("note", "better")];
    assert_eq!(to(&scene.post(&maker, "/models/cards/propose", &fields).await), Some("/".into()));
    let proposals = scene.door.store.registry().unwrap().proposals;
    let id = proposals.iter().find(|p| p.change == Change::Champion { version: 2 }).unwrap().id;
    assert_eq!(to(&scene.post(&checker, &format!("/proposals/{id}/approve"), &[]).await), Some("/".into()));
    assert_eq!(to(&scene.post(&checker, "/models/cards/rollback", &[("note", "worse")]).await), Some("/".into()));
    assert_eq!(to(&scene.post(&maker, "/models/cards/stop", &[("note", "now")]).await), Some("/".into()));
    let route = scene.door.store.registry().unwrap().models["cards"].route.clone();
    assert_eq!((route.champion, route.stopped), (Some(1), true));
    let new = [("name", "김민지"), ("role", "viewer"), ("role", "maker"), ("password", PASSWORD)];
    assert_eq!(to(&scene.post(&admin, "/people", &new).await), Some("/people".into()));
    let roles = scene.door.store.person("김민지").unwrap().roles;
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), [Role::Viewer, Role::Maker]);
    let path = format!("/people/{}/disabled", form_urlencoded::byte_serialize("김민지".as_bytes()).collect::<String>());
    assert_eq!(to(&scene.post(&admin, &path, &[("disabled", "true")]).await), Some("/people".into()));
    assert!(scene.door.store.person("김민지").unwrap().disabled);
    let key = [("label", "payments"), ("role", "scorer"), ("rate_per_second", "0"), ("days", "30"), ("urgent", "true")];
    let page = scene.post(&admin, "/keys", &key).await.text;
    let token = page.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_string();
    let who = scene.door.key(&token).await.unwrap().unwrap();
    assert!(who.urgent && who.roles.contains(&Role::Scorer));
    let path = format!("/keys/{}/revoke", token.split('.').next().unwrap());
    assert_eq!(to(&scene.post(&admin, &path, &[]).await), Some("/keys".into()));
    assert!(scene.door.key(&token).await.unwrap().is_none());
    let fields = [("old", PASSWORD), ("new", "a new long password"), ("again", "a new long password")];
    assert_eq!(to(&scene.post(&maker, "/account/password", &fields).await), Some("/sign-in?changed=1".into()));
    assert_eq!(scene.try_sign_in("maker", "a new long password").await.status, StatusCode::OK);
    assert_eq!(to(&scene.post(&checker, "/sign-out", &[]).await), Some("/sign-in?out=1".into()));
    assert_eq!(to(&get(&scene, &checker.0, "/", "en").await), Some("/sign-in".into()));
    // What is refused is said on a page, with its status.
    let answer = scene.post(&admin, "/people/admin/disabled", &[("disabled", "true")]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text.contains("last admin") && answer.text.contains("<html"), "{}", answer.text);
}
