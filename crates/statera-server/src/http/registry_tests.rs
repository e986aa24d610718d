//! The life of a model through the interface for programs: nobody alone changes what answers.

use crate::http::testing::{Scene, scene};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::people::Role;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A bundle that the repository keeps.
fn artifact() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../statera/tests/artifact/format-4/boosting.zip")
}

/// A bundle's files as .zip, each changed as wanted, or left out.
fn zipped(change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut from = zip::ZipArchive::new(std::fs::File::open(artifact()).unwrap()).unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for i in 0..from.len() {
        let mut file = from.by_index(i).unwrap();
        let name = file.name().unwrap().to_string();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let Some(bytes) = change(&name, bytes) else { continue };
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn whole() -> Vec<u8> {
    zipped(|_, bytes| Some(bytes))
}

async fn upload(scene: &Scene, key: &str, model: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let bearer = format!("Bearer {key}");
    let extra = [("authorization", bearer.as_str()), ("content-type", "application/zip")];
    let path = format!("/api/v1/models/{model}/versions?note=trained%20in%20November");
    let answer = scene.send("POST", &path, &extra, body).await;
    (answer.status, answer.json())
}

/// A model of tier 2, which asks for `approvals`, with one version.
async fn with_model(scene: &Scene, approvals: u8) -> String {
    let admin = scene.sign_in("admin").await;
    let tier = json!({ "approvals": approvals });
    assert_eq!(scene.call(&admin, "PUT", "/api/v1/tiers/2", tier).await.status, StatusCode::OK);
    let maker = scene.sign_in("maker").await;
    let model = json!({ "name": "cards", "tier": 2 });
    assert_eq!(scene.call(&maker, "POST", "/api/v1/models", model).await.status, StatusCode::CREATED);
    let key = scene.key(&[Role::Maker]);
    let (status, body) = upload(scene, &key, "cards", whole()).await;
    assert_eq!((status, &body["version"]), (StatusCode::CREATED, &json!(1)), "{body}");
    key
}

async fn propose(scene: &Scene, session: &(String, String)) -> (StatusCode, Value) {
    let body = json!({ "change": { "change": "champion", "version": 1 }, "note": "better on November" });
    let answer = scene.call(session, "POST", "/api/v1/models/cards/proposals", body).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_version_answers_once_another_person_has_approved_it() {
    let scene = scene().with_people();
    crate::who::testing::add_person(&scene.door, "both", &[Role::Maker, Role::Checker]);
    with_model(&scene, 2).await;
    let both = scene.sign_in("both").await;
    let (status, proposal) = propose(&scene, &both).await;
    assert_eq!(status, StatusCode::CREATED, "{proposal}");
    let approve = format!("/api/v1/proposals/{}/approve", proposal["proposal"].as_str().unwrap());
    // Who proposed it has the role, and may not.
    let answer = scene.call(&both, "POST", &approve, json!({})).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    assert!(answer.text.contains("another person"), "{}", answer.text);
    let checker = scene.sign_in("checker").await;
    let answer = scene.call(&checker, "POST", &approve, json!({ "note": "seen" })).await;
    assert_eq!(answer.json(), json!({ "applied": false }));
    // Twice the same person is one person.
    assert_eq!(scene.call(&checker, "POST", &approve, json!({})).await.status, StatusCode::CONFLICT);
    crate::who::testing::add_person(&scene.door, "second", &[Role::Checker]);
    let second = scene.sign_in("second").await;
    assert_eq!(scene.call(&second, "POST", &approve, json!({})).await.json(), json!({ "applied": true }));
    let model = scene.call(&second, "GET", "/api/v1/models/cards", Value::Null).await.json();
    assert_eq!(model["route"]["champion"], json!(1));
    assert_eq!(model["versions"][0]["note"], json!("trained in November"));
    let proposals = scene.call(&second, "GET", "/api/v1/proposals?state=applied", Value::Null).await.json();
    assert_eq!(proposals[0]["approved_by"], json!(["checker", "second"]));
    // An emergency needs one person, and tells at once what answers.
    let told = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counting = told.clone();
    scene.door.when_registry_changes(move |names_another| {
        assert!(!names_another, "a stop waits for no bundle");
        counting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    let stop = "/api/v1/models/cards/stop";
    assert_eq!(scene.call(&second, "POST", stop, json!({ "note": "" })).await.status, StatusCode::BAD_REQUEST);
    let answer = scene.call(&second, "POST", stop, json!({ "note": "it declines everybody" })).await;
    assert_eq!(answer.json(), json!({ "applied": true }));
    assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn keys_and_other_roles_change_nothing() {
    let scene = scene().with_people();
    let key = with_model(&scene, 1).await;
    let bearer = format!("Bearer {key}");
    let extra = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "change": { "change": "champion", "version": 1 }, "note": "x" }).to_string();
    let answer = scene.send("POST", "/api/v1/models/cards/proposals", &extra, body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    let maker = scene.sign_in("maker").await;
    let (_, proposal) = propose(&scene, &maker).await;
    let id = proposal["proposal"].as_str().unwrap().to_string();
    for name in ["viewer", "scorer", "maker", "admin"] {
        let session = scene.sign_in(name).await;
        let path = format!("/api/v1/proposals/{id}/approve");
        assert_eq!(scene.call(&session, "POST", &path, json!({})).await.status, StatusCode::FORBIDDEN, "{name}");
    }
    // A maker may withdraw their own, not another's.
    crate::who::testing::add_person(&scene.door, "other", &[Role::Maker]);
    let other = scene.sign_in("other").await;
    let path = format!("/api/v1/proposals/{id}/reject");
    assert_eq!(scene.call(&other, "POST", &path, json!({ "note": "x" })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(scene.call(&maker, "POST", &path, json!({ "note": "mine" })).await.status, StatusCode::OK);
    // A tier that nobody has set allows nothing.
    let model = json!({ "name": "loans", "tier": 1 });
    assert_eq!(scene.call(&maker, "POST", "/api/v1/models", model).await.status, StatusCode::CREATED);
    let body = json!({ "change": { "change": "resume" }, "note": "x" });
    let answer = scene.call(&maker, "POST", "/api/v1/models/loans/proposals", body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
}

#[tokio::test]
async fn bundles_that_are_not_what_they_say_are_refused_and_nothing_stays() {
    let scene = scene().with_people();
    let key = with_model(&scene, 1).await;
    let put = |name: &'static str, bytes: Vec<u8>| {
        let whole = zipped(move |n, b| (n != name).then_some(b));
        let mut zip = zip::ZipWriter::new_append(std::io::Cursor::new(whole)).unwrap();
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let flip = |part: &'static str| {
        zipped(move |name, mut bytes| {
            if name == part {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Some(bytes)
        })
    };
    let cases = [
        (Vec::new(), "not a .zip"),
        (b"PK\x03\x04 but no zip".to_vec(), "not a .zip"),
        (flip("weights.safetensors"), "weights.safetensors"),
        (
            zipped(|name, bytes| Some(if name == "manifest.json" { bytes[..200].to_vec() } else { bytes })),
            "manifest.json",
        ),
        (zipped(|name, bytes| (name != "schema.json").then_some(bytes)), "schema.json"),
        (put("../../etc/passwd", b"x".to_vec()), "is not the name of a part"),
        (put("extra.bin", b"x".to_vec()), "extra.bin"),
        (put("bomb.bin", vec![0; 40 << 20]), "bomb.bin"),
        (whole()[..whole().len() / 2].to_vec(), "not a .zip"),
    ];
    for (body, said) in cases {
        let (status, answer) = upload(&scene, &key, "cards", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{said}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(said) && !message.contains("/tmp"), "{said}: {message}");
    }
    let uploads = scene.dir.path().join("store/uploads");
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
    // The same bundle again; a model that is not there; names that lead elsewhere.
    assert_eq!(upload(&scene, &key, "cards", whole()).await.0, StatusCode::CONFLICT);
    for model in ["nothing", "..%2F..%2Fetc", "cards%00", "%2e%2e", "CARDS"] {
        let (status, answer) = upload(&scene, &key, model, whole()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{model}: {answer}");
    }
    let maker = scene.sign_in("maker").await;
    for name in ["../x", "", "a/b", "A", "1a", &"a".repeat(65), "a\u{0}", "käse"] {
        let answer = scene.call(&maker, "POST", "/api/v1/models", json!({ "name": name, "tier": 2 })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name:?}");
    }
    for id in ["x", "..", "00000000-0000-0000-0000-00000000000g"] {
        let checker = scene.sign_in("checker").await;
        let answer = scene.call(&checker, "POST", &format!("/api/v1/proposals/{id}/approve"), json!({})).await;
        assert!([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND].contains(&answer.status), "{id}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_bundle_over_the_bound_is_refused_as_it_comes() {
    let scene = scene().with_people();
    with_model(&scene, 1).await;
    let mut settings = scene.door.settings.clone();
    settings.upload_bytes_max = 1 << 20;
    let folder = scene.dir.path().join("store");
    let store = scene.door.store.clone();
    let door = crate::who::testing::door_over(&folder, store, &scene.clock, &settings, |_| {});
    let small = Scene {
        app: crate::http::testing::app(&door),
        door,
        clock: scene.clock.clone(),
        dir: tempfile::tempdir().unwrap(),
    };
    let key = small.key(&[Role::Maker]);
    let (status, body) = upload(&small, &key, "cards", vec![0; (1 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    // 9 MiB of zeros are some kilobytes when packed.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bomb.bin", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![0; 9 << 20]).unwrap();
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 100_000);
    let (status, body) = upload(&small, &key, "cards", bomb).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body["message"].as_str().unwrap().contains("more than 8388608 bytes"), "{body}");
    assert_eq!(std::fs::read_dir(folder.join("uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn who_sends_slowly_keeps_nobody_from_having_a_bundle_checked() {
    let scene = scene().with_people();
    let key = with_model(&scene, 1).await;
    let sending = u32::try_from(super::bundle_upload::SENDERS_MAX).unwrap();
    let others = scene.door.uploads.try_acquire_many(sending - 1).unwrap();
    // It comes to the check, which knows the bundle.
    assert_eq!(upload(&scene, &key, "cards", whole()).await.0, StatusCode::CONFLICT);
    let last = scene.door.uploads.try_acquire().unwrap();
    let (status, body) = upload(&scene, &key, "cards", whole()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    drop((others, last));
    assert_eq!(upload(&scene, &key, "cards", whole()).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_path_is_taken_from_an_admin_on_the_machine_alone() {
    let scene = scene().with_people();
    with_model(&scene, 1).await;
    let maker = scene.sign_in("maker").await;
    assert_eq!(
        scene.call(&maker, "POST", "/api/v1/models", json!({ "name": "b", "tier": 2 })).await.status,
        StatusCode::CREATED
    );
    let body = json!({ "path": artifact().canonicalize().unwrap() });
    let path = "/api/v1/models/b/versions";
    assert_eq!(scene.call(&maker, "POST", path, body.clone()).await.status, StatusCode::FORBIDDEN);
    crate::who::testing::add_person(&scene.door, "local", &[Role::Maker, Role::Admin]);
    let local = scene.sign_in("local").await;
    let far = crate::who::Peer { address: "192.0.2.7:5000".parse().unwrap(), is_tls: false, subject: None };
    let extra = [
        ("content-type", "application/json"),
        ("cookie", local.0.as_str()),
        ("x-csrf-token", local.1.as_str()),
        ("host", "statera.test"),
        ("origin", "http://statera.test"),
    ];
    let answer = crate::http::testing::send(&scene.app, "POST", path, &extra, body.to_string(), Some(far)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    assert_eq!(scene.call(&local, "POST", path, json!({ "path": "../x" })).await.status, StatusCode::BAD_REQUEST);
    let answer = scene.call(&local, "POST", path, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}
