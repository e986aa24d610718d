//! Names of requests that tell a state something: what is refused for its name has told it nothing.

use super::Known;
use super::testing::{Scene, row};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::record::RequestName;

/// Two payments at a shop, and nothing said of them.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.taken(&row(1, 60, "C1", "S1", "10"));
    scene.taken(&row(2, 120, "C2", "S1", "20"));
    scene
}

/// Says under a name that a transaction was a fraud.
fn fraud(scene: &Scene, name: &str, transaction: usize) -> (StatusCode, Value) {
    let of = format!(r#""model":"cards","transaction":"{transaction}","outcome":"fraud","on":"2024-05-01""#);
    scene.outcome(&format!(r#"{{"request_id":"{name}",{of}}}"#))
}

/// What rises by far when the state is built again.
fn mark(scene: &Scene) -> u64 {
    match scene.app().lives.of("cards").expect("a state").known("none") {
        Known::Unknown(mark) => mark,
        Known::Recent(_) => panic!("nobody sent it"),
    }
}

#[test]
fn an_outcome_under_the_name_of_another_is_refused_and_the_state_stays_as_it_was() {
    let (scene, twin) = (scene(), scene());
    let (status, first) = fraud(&scene, "r1", 1);
    assert_eq!((status, &first["label"]["is_fraud"]), (StatusCode::OK, &json!(true)), "{first}");
    let before = mark(&scene);
    let (status, told) = fraud(&scene, "r1", 2);
    assert_eq!((status, &told["error"]), (StatusCode::CONFLICT, &json!("conflict")), "{told}");
    assert_eq!(fraud(&scene, "r1", 1), (StatusCode::OK, first), "the same request has the same answer");
    assert_eq!(fraud(&twin, "r1", 1).0, StatusCode::OK);
    // Two days later the delay of one day is over.
    let next = row(3, 2 * 1440 + 300, "C4", "S1", "10");
    assert!(scene.app().lives.of("cards").is_some_and(|live| live.is_ready()));
    assert_eq!(mark(&scene), before, "the state was not built again");
    assert_eq!(scene.windows(&scene.taken(&next)), twin.windows(&twin.taken(&next)));
    let (status, told) = fraud(&scene, "r2", 2);
    assert_eq!(
        (status, &told["label"]["is_fraud"]),
        (StatusCode::OK, &json!(true)),
        "it was not learnt before: {told}"
    );
}

#[test]
fn an_outcome_under_a_name_that_is_on_its_way_is_told_to_come_back() {
    let scene = scene();
    let (scope, name) = ("key:app00001".to_string(), "r1".to_string());
    let on_its_way = scene.app().names.hold(&RequestName { scope, name, body_digest: [0; 32] }).expect("it is free");
    let before = mark(&scene);
    let (status, told) = fraud(&scene, "r1", 1);
    let message = "the request «r1» is being worked on; ask again for its answer";
    assert_eq!((status, &told["message"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(message)), "{told}");
    assert_eq!(fraud(&scene, "r2", 2).0, StatusCode::OK, "another name is free");
    drop(on_its_way);
    let (status, told) = fraud(&scene, "r1", 1);
    assert_eq!((status, &told["label"]["is_fraud"]), (StatusCode::OK, &json!(true)), "{told}");
    assert_eq!(mark(&scene), before, "the state was not built again");
}
