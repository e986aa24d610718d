//! Edges of another table, sent as they become known: figures and neighbourhoods are those of the two tables, to the bit, whatever
//! happens in between; what is wrong with an edge is told, and changes nothing.

use super::network_tests::{check_same, expected_of, is_fraud};
use super::testing::{Scene, json_of, row};
use crate::testing::{answer_of, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// The bundle whose network has edges of another table.
pub(super) const LINKED: usize = 6;

fn scene() -> Scene {
    let scene = Scene::new();
    scene.serve(LINKED);
    scene
}

/// An edge of a minute.
pub(super) fn edge(minute: usize, who: &str, whom: &str, how: &str, agreed: &str) -> String {
    let (day, hour, minute) = (1 + minute / 1440, minute % 1440 / 60, minute % 60);
    format!(
        r#"{{"who":"{who}","whom":"{whom}","since":"2024-05-{day:02}T{hour:02}:{minute:02}:00Z","how":"{how}","agreed":"{agreed}"}}"#
    )
}

/// The minutes and edges of some days, in the order of their times; some are twice there.
fn edges() -> Vec<(usize, String)> {
    let nth = |j: usize| {
        let (minute, who) = (13 + j / 2 * 23, j * 5 % 11);
        let whom = if j.is_multiple_of(3) { format!("S{}", j % 4) } else { format!("C{}", (who + 1 + j % 4) % 11) };
        let (how, agreed) = (["device", "address"][j % 2], if j % 8 == 5 { "no" } else { "yes" });
        let edge = edge(minute, &format!("C{who}"), &whom, how, agreed);
        vec![(minute, edge); if j.is_multiple_of(10) { 2 } else { 1 }]
    };
    (0..380).flat_map(nth).collect()
}

/// The `i`-th transaction.
fn nth(i: usize) -> String {
    let shop = if i.is_multiple_of(5) { format!("C{}", (i * 7 + 3) % 11) } else { format!("S{}", i % 3) };
    row(i, i * 37, &format!("C{}", i * 7 % 11), &shop, &format!("{}.25", 5 + i * 13 % 90))
}

pub(super) fn body(edges: &[String]) -> String {
    format!(r#"{{"model":"cards","edges":[{}]}}"#, edges.join(","))
}

#[test]
fn figures_and_neighbourhoods_are_those_of_the_tables_whatever_happens_in_between() {
    let mut scene = scene();
    let n = 120;
    let champion = scene.app().models.champion("cards").expect("a champion");
    let columns = champion.live.as_ref().expect("windows");
    let (rows, links): (Vec<String>, _) = ((0..n).map(nth).collect(), edges());
    let whole = columns.edges(links.iter().map(|(_, edge)| edge.as_str())).expect("edges").0;
    let all = expected_of(columns, &rows, Some(&whole));
    assert_eq!(
        all.len(),
        2 * (8 + 1 + 2 + 1 + 1) + 2 + 3 * (1 + 3 + 6),
        "of both nodes, of both together, and around a card"
    );
    let (mut n_come, mut n_new, mut n_left_out) = (0, 0, 0);
    for (i, row) in rows.iter().enumerate() {
        // What the transaction is to see comes before it, the latest first, and some of it for the second time.
        let n_due = links.partition_point(|(minute, _)| *minute < i * 37);
        if n_due > n_come {
            let lot: Vec<String> =
                links[n_come.saturating_sub(i % 4)..n_due].iter().rev().map(|(_, e)| e.clone()).collect();
            let (status, told) = scene.edges(&body(&lot));
            assert_eq!(status, StatusCode::OK, "{told}");
            n_new += told["new"].as_u64().expect("a number");
            n_left_out += told["left_out"].as_u64().expect("a number");
            n_come = n_due;
        }
        let answer = scene.taken(row);
        check_same(&scene.windows(&answer), &all, i);
        if i % 30 == 7 {
            let path = format!("/api/v1/decisions/{}/replay", answer["id"].as_str().expect("an id"));
            let (_, replay) = json_of(answer_of(scene.app(), &viewer(), "GET", &path, ""));
            assert_eq!(replay["result"], json!("identical"), "{replay}");
        }
        if is_fraud(i) {
            let day = 1 + i * 37 / 1440;
            let on = format!(r#"{{"model":"cards","transaction":"{i}","outcome":"fraud","on":"2024-05-{day:02}"}}"#);
            assert_eq!(scene.outcome(&on).0, StatusCode::OK);
        }
        match i {
            30 | 85 => {
                scene.kill();
                scene.start();
            }
            55 => {
                scene.stop();
                scene.start();
            }
            70 => scene.app().lives.tend(true),
            _ => {}
        }
    }
    let n_agreed = links[..n_come].iter().filter(|(_, edge)| edge.contains("yes")).count();
    assert!(n_new == n_agreed as u64 && n_left_out > 20, "{n_new} are new of {n_agreed}, {n_left_out} are left out");
    let n_told = all.iter().filter(|(_, cells)| cells.iter().any(|cell| *cell > 0.0)).count();
    assert!(n_told > all.len() * 3 / 4, "{n_told} of {} columns tell something", all.len());
}

#[test]
fn what_is_sent_again_counts_once() {
    let scene = scene();
    let lot = [
        edge(10, "C1", "C2", "device", "yes"),
        edge(11, "C1", "C3", "address", "yes"),
        edge(12, "C1", "C4", "device", "no"),
    ];
    let named = body(&lot).replace("{\"model\"", "{\"request_id\":\"r1\",\"table\":\"links\",\"model\"");
    let (status, first) = scene.edges(&named);
    assert_eq!(status, StatusCode::OK, "{first}");
    let counts = |told: &Value| ["edges", "new", "known", "unseen", "left_out"].map(|name| told[name].as_u64());
    assert_eq!(counts(&first), [3, 2, 0, 0, 1].map(Some), "{first}");
    assert_eq!(scene.edges(&named), (StatusCode::OK, first), "the same request has the same answer");
    let (status, told) = scene.edges(&named.replace("C3", "C5"));
    assert_eq!((status, &told["error"]), (StatusCode::CONFLICT, &json!("conflict")), "nothing is taken: {told}");
    let (_, told) = scene.edges(&body(&lot[..2]));
    assert_eq!(counts(&told), [2, 0, 2, 0, 0].map(Some), "{told}");
    let (_, told) = scene.edges(&body(&lot[..2]).replace("\"how\"", "\"note\":1,\"how\""));
    assert_eq!((counts(&told), &told["ignored_columns"]), ([2, 0, 2, 0, 0].map(Some), &json!(["note"])), "{told}");
    let told = scene.windows(&scene.taken(&row(1, 60, "C1", "S1", "10")));
    assert_eq!((&told["card_edges_out_2d"], &told["card_device_fan_out_7d"]), (&json!(2), &json!(1)), "{told}");
    assert_eq!((&told["near_edges_1"], &told["near_edges_2"]), (&json!(2), &json!(1)), "{told}");
}

#[test]
fn what_is_wrong_with_an_edge_is_told_and_nothing_is_taken() {
    let scene = scene();
    let good = edge(10, "C1", "C2", "device", "yes");
    for (bad, message) in [
        (
            good.replace("\"whom\":\"C2\",", ""),
            "row 2: a column is missing that the model was trained on: «whom» (identifier)",
        ),
        (good.replace("\"C2\"", "null"), "column «whom», row 2: missing; every edge needs two nodes and a time"),
        (good.replace("\"C2\"", "\"C1\""), "row 2: an edge from «C1» to itself; allowed are two different nodes"),
        (good.replace("\"yes\"", "\"maybe\""), "column «agreed», row 2: «maybe» is no consent; allowed are yes and no"),
        (good.replace("2024-05-01", "soon"), "column «since», row 2: "),
        // The third of April or the fourth of March: their table said, and is not here.
        (
            good.replace("2024-05-01T00:10:00Z", "03/04/2024"),
            "column «since», row 2: «03/04/2024» is not a time in ISO 8601; allowed are such as 2026-05-03, ",
        ),
        (
            good.replace("\"2024-05-01T00:10:00Z\"", "20240501"),
            "column «since», row 2: «20240501» is not a time in ISO 8601; allowed are such as 2026-05-03, ",
        ),
        (good.replace("2024", "2924"), "row 2: the edge has the time 2924-05-01T00:10:00Z; allowed is until "),
        ("7".into(), "row 2: "),
    ] {
        let (status, told) = scene.edges(&body(&[good.clone(), bad]));
        let text = told["message"].as_str().unwrap_or_default();
        assert!(status == StatusCode::BAD_REQUEST && text.starts_with(message), "{status} {text}\nwanted {message}");
    }
    let (_, told) = scene.edges(&body(&[good.replace("2024", "2924")]));
    assert_eq!(told["error"], json!("future"), "{told}");
    let more = |field: &str| body(std::slice::from_ref(&good)).replace("{\"model\"", &format!("{{{field},\"model\""));
    for (bad, status, message) in [
        (more("\"table\":\"friends\""), 400, "table: «cards» reads no edges of «friends»; allowed is «links»"),
        (more("\"source\":\"links\""), 400, "the body: unknown field `source`"),
        (body(&[]), 400, "0 edges; allowed: 1 to 10000"),
        (body(std::slice::from_ref(&good)).replace("cards", "loans"), 404, "there is no model «loans»"),
    ] {
        let (found, told) = scene.edges(&bad);
        let text = told["message"].as_str().unwrap_or_default();
        assert!(found.as_u16() == status && text.starts_with(message), "{found} {text}\nwanted {message}");
    }
    let told = scene.windows(&scene.taken(&row(1, 60, "C1", "S1", "10")));
    assert_eq!((&told["card_edges_out_2d"], &told["near_edges_1"]), (&json!(0), &json!(0)), "{told}");
    let (_, told) = scene.edges(&body(&[good]));
    assert_eq!((&told["state"], &told["new"]), (&json!(2), &json!(1)), "nothing had a number before: {told}");
}

#[test]
fn a_model_that_counts_no_edges_says_so() {
    let scene = Scene::new();
    let body = body(&[edge(10, "C1", "C2", "device", "yes")]);
    let check = |why: &str| {
        let (status, told) = scene.edges(&body);
        let message = format!("the model counts no edges: {why}");
        assert_eq!((status, &told["message"]), (StatusCode::BAD_REQUEST, &json!(message)));
    };
    check("it has no network");
    scene.serve(2);
    check("its edges are its transactions; allowed: POST /api/v1/transactions");
}

#[test]
fn edges_that_come_are_bounded() {
    let mut scene = scene();
    scene.stop();
    scene.set(|settings| settings.transactions.max_edges = 500);
    scene.start();
    // Of kind address: in the choice of all kinds alone.
    let lot = |first: usize, n: usize| -> Vec<String> {
        (first..first + n).map(|j| edge(10, &format!("C{j}"), &format!("C{}", j + 1), "address", "yes")).collect()
    };
    assert_eq!(scene.edges(&body(&lot(0, 400))).1["new"], json!(400));
    let (status, told) = scene.edges(&body(&lot(400, 101)));
    let message = "500 edges of the network are kept and none was found that its windows have left; allowed are no more, ask again";
    assert_eq!((status, &told["message"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(message)), "{told}");
    assert_eq!(scene.edges(&body(&lot(400, 100))).1["new"], json!(100), "all of them or none");
    // A transaction brings no edge, and is taken; when the windows have left those behind, there is room.
    let told = scene.windows(&scene.taken(&row(1, 12 * 1440, "C3", "S1", "10")));
    assert_eq!(told["card_fan_out_7d"], json!(0), "{told}");
    let late = lot(0, 300).iter().map(|edge| edge.replace("05-01T", "05-12T")).collect::<Vec<_>>();
    assert_eq!(scene.edges(&body(&late)).1["new"], json!(300));
}
