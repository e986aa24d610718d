//! Edges that were recorded under one declaration and are read under another: what nobody agreed to is not there, what is of another
//! table is passed over, and an edge that is refused by now takes no other with it.

use super::edges_tests::{LINKED, body, edge};
use super::rebuild::{Rebuilt, rebuild};
use super::testing::{Scene, row};
use super::*;
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::record::StoredPart;

/// The bundle whose edges need no consent, and the one whose edges are of a third table.
const UNASKED: usize = 7;
const OF_DEVICES: usize = 8;

/// A state as all records make it.
fn rebuilt(scene: &Scene) -> Rebuilt {
    let champion = scene.app().models.champion("cards").expect("a champion");
    let columns = champion.live.as_ref().expect("windows");
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, is_stopping) = (TransactionsSettings::default(), AtomicBool::new(false));
    rebuild(&*scene.app().store, folder.path(), "cards", (columns, &settings), &is_stopping).expect("rebuilt")
}

/// Sends edges; what became of them.
fn sent(scene: &Scene, edges: &[String]) -> Value {
    let (status, told) = scene.edges(&body(edges));
    assert_eq!(status, StatusCode::OK, "{told}");
    told
}

/// Edges of a card and its devices that the `i`-th transaction sees.
fn seen(scene: &Scene, i: usize) -> [Value; 2] {
    let told = scene.windows(&scene.taken(&row(i, 60 + i, "C1", "S1", "10")));
    ["card_edges_out_2d", "card_device_fan_out_7d"].map(|name| told[name].clone())
}

#[test]
fn edges_without_consent_are_not_kept_and_count_under_no_later_declaration() {
    let scene = Scene::new();
    scene.serve(LINKED);
    let told = sent(
        &scene,
        &[
            edge(10, "C1", "C2", "device", "yes"),
            edge(11, "C1", "C3", "device", "no"),
            edge(12, "C1", "C4", "address", ""),
        ],
    );
    assert_eq!([&told["edges"], &told["new"], &told["left_out"]], [&json!(3), &json!(1), &json!(2)], "{told}");
    assert_eq!(told.get("table"), None, "what they are of is not answered: {told}");
    let id = told["id"].as_str().expect("an id").parse().expect("an id");
    let record = scene.app().store.record(id).expect("a record");
    let [StoredPart::Plain(plain)] = &record.parts[..] else { panic!("one part: {:?}", record.parts) };
    let plain = String::from_utf8_lossy(plain);
    assert!(plain.contains("\"C2\"") && !plain.contains("\"C3\"") && !plain.contains("\"C4\""), "{plain}");
    let none = sent(&scene, &[edge(13, "C1", "C5", "device", "no")]);
    assert_eq!([&none["new"], &none["left_out"]], [&json!(0), &json!(1)], "{none}");
    scene.serve(UNASKED);
    assert_eq!(seen(&scene, 1), [json!(1), json!(1)], "of three and one, one has agreed");
    let rebuilt = rebuilt(&scene);
    assert_eq!((rebuilt.n_replayed, rebuilt.n_refused, rebuilt.n_of_another), (3, 0, 0));
}

#[test]
fn edges_of_another_table_are_passed_over() {
    let scene = Scene::new();
    scene.serve(LINKED);
    let links = [edge(10, "C1", "C2", "device", "yes"), edge(11, "C1", "C3", "address", "yes")];
    assert_eq!(sent(&scene, &links)["new"], json!(2));
    scene.serve(OF_DEVICES);
    assert_eq!(seen(&scene, 1), [json!(0), json!(0)], "links are no devices");
    assert_eq!((rebuilt(&scene).n_refused, rebuilt(&scene).n_of_another), (0, 1));
    let device = [edge(12, "C1", "C4", "device", "yes")];
    assert_eq!(sent(&scene, &device)["new"], json!(1));
    assert_eq!(sent(&scene, &links)["new"], json!(2), "they were not known to this network");
    assert_eq!(seen(&scene, 2), [json!(3), json!(2)]);
    scene.serve(UNASKED);
    assert_eq!(seen(&scene, 3), [json!(2), json!(1)], "the links that were sent as links");
    assert_eq!((rebuilt(&scene).n_refused, rebuilt(&scene).n_of_another), (0, 2));
}

#[test]
fn an_edge_that_is_refused_by_now_takes_no_other_with_it() {
    let scene = Scene::new();
    scene.serve(UNASKED);
    let twin = edge(10, "C1", "C2", "device", "yes");
    let lot = [
        twin.clone(),
        edge(11, "C1", "C3", "device", "perhaps"),
        twin,
        edge(12, "C1", "C4", "address", "no"),
        edge(13, "C1", "C5", "device", "ask her"),
    ];
    assert_eq!(sent(&scene, &lot)["new"], json!(5), "nobody asked");
    assert_eq!(sent(&scene, &[edge(14, "C1", "C6", "device", "who knows")])["new"], json!(1));
    assert_eq!(seen(&scene, 1), [json!(6), json!(4)]);
    scene.serve(LINKED);
    assert_eq!(seen(&scene, 2), [json!(2), json!(1)], "the twins, who have agreed");
    assert_eq!((rebuilt(&scene).n_refused, rebuilt(&scene).n_of_another), (3, 0), "edges, not records");
}

#[test]
fn a_request_is_answered_as_before_whatever_the_model_has_become() {
    let scene = Scene::new();
    scene.serve(LINKED);
    let lot = [edge(10, "C1", "C2", "device", "yes"), edge(11, "C1", "C3", "address", "no")];
    let lot = body(&lot).replace("\"how\"", "\"note\":1,\"how\"");
    let named = lot.replace("{\"model\"", "{\"request_id\":\"r1\",\"table\":\"links\",\"model\"");
    let (status, first) = scene.edges(&named);
    assert_eq!((status, &first["ignored_columns"]), (StatusCode::OK, &json!(["note"])), "{first}");
    assert_eq!(scene.edges(&named), (StatusCode::OK, first.clone()));
    scene.serve(OF_DEVICES);
    assert_eq!(scene.edges(&named), (StatusCode::OK, first.clone()), "another table");
    // Windows without a network.
    scene.serve(1);
    assert_eq!(scene.edges(&lot).0, StatusCode::BAD_REQUEST, "it takes no edges");
    assert_eq!(scene.edges(&named), (StatusCode::OK, first));
    let (status, told) = scene.edges(&named.replace("C3", "C5"));
    assert_eq!((status, &told["error"]), (StatusCode::CONFLICT, &json!("conflict")), "{told}");
}
