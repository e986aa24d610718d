//! Bodies that say anything: an answer comes, it is no failure of the server's own, and nothing of a refused one is kept.

#[path = "../../../statera/tests/common/mutate.rs"]
mod mutate;

use crate::live::testing::{POST, Scene, row};
use crate::testing::{APPROVED, DECLINED, Server, answer_of, program};
use axum::http::StatusCode;
use statera_core::Rng;

/// Sends changed bodies; the server is the same for all of them.
fn attack(target: &str, path: &str, bodies: &[String]) {
    let server = Server::new(Default::default());
    for body in bodies {
        let (status, answer) = server.send(&program(), "POST", path, body);
        assert_eq!(status, StatusCode::OK, "unchanged: {}", String::from_utf8_lossy(&answer));
    }
    let mut n_ok = 0;
    let n = mutate::cases(target, |rng: &mut Rng| {
        let mut bytes = bodies[rng.below(bodies.len())].clone().into_bytes();
        mutate::mutate(&mut bytes, rng);
        let before = server.store.n_records();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let (status, answer) = server.send(&program(), "POST", path, &body);
        let told = String::from_utf8_lossy(&answer);
        assert!(!status.is_server_error(), "{status}: {told}\n{body}");
        let parsed: serde_json::Value =
            serde_json::from_slice(&answer).unwrap_or_else(|e| panic!("{e}: {told}\n{body}"));
        if status.is_success() {
            n_ok += 1;
        } else {
            assert!(parsed["error"].is_string() || parsed["error"].is_object(), "{told}");
            assert_eq!(server.store.n_records(), before, "a refused request is not recorded\n{body}");
        }
    });
    assert!(n_ok < n, "changes were noticed");
    // It still answers.
    assert_eq!(server.send(&program(), "POST", path, &bodies[0]).0, StatusCode::OK);
}

#[test]
fn requests_for_decisions_may_say_anything() {
    let one = format!(
        "{{\"model\":\"credit\",\"subject\":\"c-1\",\"explain\":\"all\",\"language\":\"ko\",\"row\":{APPROVED}}}"
    );
    let many =
        format!("{{\"model\":\"credit\",\"rows\":[{{\"subject\":\"a\",\"row\":{APPROVED}}},{{\"row\":{DECLINED}}}]}}");
    attack("decisions", "/api/v1/decisions", &[one, many]);
}

#[test]
fn tensors_may_say_anything() {
    let tensors = r#"{"id":"7","inputs":[
        {"name":"employment","shape":[2],"datatype":"BYTES","data":["permanent","temporary"]},
        {"name":"monthly_income","shape":[2,1],"datatype":"INT64","data":[2590,900]},
        {"name":"debt_ratio","shape":[2,1],"datatype":"FP64","data":[[0.144],[0.9]]},
        {"name":"months_since_delinquency","shape":[2],"datatype":"INT32","data":[999,1]}]}"#;
    attack("tensors", "/v2/models/credit/infer", &[tensors.into()]);
}

/// The same to a server that counts in a state, over a store with a ledger. What it says of another time moves the state's, so that
/// nothing need be taken twice.
fn attack_state(target: &str, path: &str, bodies: &[String]) {
    let scene = Scene::new();
    // The bundle whose network has edges of another table.
    scene.serve(6);
    let send = |body: &str| answer_of(scene.app(), &program(), "POST", path, body);
    let n_rows = || scene.app().store.ledger_ends().expect("reads").values().sum::<u64>();
    for body in bodies {
        let (status, answer) = send(body);
        assert_eq!(status, StatusCode::OK, "unchanged: {}", String::from_utf8_lossy(&answer));
    }
    let mut n_ok = 0;
    let n = mutate::cases(target, |rng: &mut Rng| {
        let mut bytes = bodies[rng.below(bodies.len())].clone().into_bytes();
        mutate::mutate(&mut bytes, rng);
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let before = n_rows();
        let (status, answer) = send(&body);
        let told = String::from_utf8_lossy(&answer);
        // A slow disk, or a deadline that the body names, is none.
        let is_late = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        assert!(is_late || !status.is_server_error(), "{status}: {told}\n{body}");
        let parsed: serde_json::Value =
            serde_json::from_slice(&answer).unwrap_or_else(|e| panic!("{e}: {told}\n{body}"));
        if status.is_success() {
            n_ok += 1;
        } else {
            assert!(parsed["error"].is_string() || parsed["error"].is_object(), "{told}");
            assert!(is_late || n_rows() == before, "a refused request is not recorded\n{body}");
        }
    });
    assert!(n_ok < n, "changes were noticed");
    // It still answers.
    let (status, answer) = send(&bodies[0]);
    assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&answer));
}

#[test]
fn transactions_may_say_anything() {
    let one = row(1, 60, "C1", "S1", "10.25");
    let (two, three) = (row(2, 61, "C2", "C1", "950"), row(3, 62, "C1", "S2", "20.5"));
    let bodies = [
        format!(r#"{{"model":"cards","subject":"kim","row":{one}}}"#),
        format!(r#"{{"model":"cards","rows":[{{"subject":"lee","row":{two}}},{{"row":{three}}}]}}"#),
    ];
    attack_state("transactions", POST, &bodies);
}

#[test]
fn edges_may_say_anything() {
    let edge = |who: &str, whom: &str, how: &str, agreed: &str| {
        format!(r#"{{"who":"{who}","whom":"{whom}","since":"2024-05-01T00:10:00Z","how":"{how}","agreed":"{agreed}"}}"#)
    };
    let (one, two) = (edge("C1", "C2", "device", "yes"), edge("C1", "S3", "address", "no"));
    let bodies = [
        format!(r#"{{"model":"cards","edges":[{one},{two}]}}"#),
        format!(r#"{{"model":"cards","subject":"kim","table":"links","request_id":"e-2","edges":[{two}]}}"#),
    ];
    attack_state("edges", "/api/v1/edges", &bodies);
}
