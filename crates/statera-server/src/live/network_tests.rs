//! Transactions as edges of a network: their figures are those of a table of all of them, to the bit, whatever happens in between.

use super::testing::{POST, Scene, json_of, row};
use super::*;
use crate::testing::{answer_of, viewer};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field};
use arrow_select::concat::concat_batches;
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_core::Run;
use statera_data::conform::RowOrigin;
use statera_data::network::{self, Edges};
use statera_data::time::Zone;

/// The `i`-th of many transactions: cards pay shops, and each other.
fn nth(i: usize) -> String {
    let card = format!("C{}", i * 7 % 11);
    let shop = if i.is_multiple_of(4) { format!("C{}", (i * 7 + 1 + i % 3) % 11) } else { format!("S{}", i % 3) };
    row(i, i * 41, &card, &shop, &format!("{}.25", 5 + i * 13 % 90))
}

/// True if the `i`-th is a fraud, which is told on its day.
pub(super) fn is_fraud(i: usize) -> bool {
    i % 9 == 2
}

/// What a table tells of the first transactions, by column.
fn expected(columns: &LiveColumns, n: usize) -> Vec<(String, Vec<f64>)> {
    let rows: Vec<String> = (0..n).map(nth).collect();
    expected_of(columns, &rows, None)
}

/// What a table tells of transactions, by column; their edges are they themselves, if there are no others.
pub(super) fn expected_of(columns: &LiveColumns, rows: &[String], others: Option<&Edges>) -> Vec<(String, Vec<f64>)> {
    let (own, n) = (columns.network.as_ref().expect("a network"), rows.len());
    let batches: Vec<RecordBatch> = rows.iter().map(|row| columns.raw(row, 1).expect("a row").0).collect();
    let batch = concat_batches(&batches[0].schema(), &batches).expect("one table");
    let frauds: ArrayRef = Arc::new(Int64Array::from_iter_values((0..n).map(|i| i64::from(is_fraud(i)))));
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("fraud", DataType::Int64, true)));
    let all = batch.columns().iter().cloned().chain([frauds]).collect();
    let batch = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), all).expect("a table");
    let zone = Zone::new(None).expect("UTC");
    let (rows, edges) = own.taken(&batch, RowOrigin { zone: &zone, is_text: true, first_row: 0 }).expect("edges");
    let edges = others.unwrap_or(&edges);
    let made = network::columns(&own.definition, edges, &rows, 0, &Run::new(1, 1)).expect("figures");
    let cells = |column: &ArrayRef| -> Vec<f64> {
        if *column.data_type() == DataType::Int64 {
            return column.as_primitive::<Int64Type>().iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect();
        }
        column.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN)).collect()
    };
    own.definition.column_names().map(String::from).zip(made.iter().map(cells)).collect()
}

/// Compares what a record has of a transaction with what a table tells of it, to the bit.
pub(super) fn check_same(told: &Value, all: &[(String, Vec<f64>)], i: usize) {
    for (name, cells) in all {
        let cell = told.get(name).unwrap_or_else(|| panic!("{name} is not in {told}"));
        let is_same = cell.as_f64().map_or(cell.is_null() && cells[i].is_nan(), |v| v.to_bits() == cells[i].to_bits());
        assert!(is_same, "{name} of transaction {i}: {cell}, expected {}", cells[i]);
    }
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.serve(2);
    scene
}

#[test]
fn figures_are_those_of_a_table_whatever_happens_in_between() {
    let mut scene = scene();
    let n = 150;
    let columns = |scene: &Scene| scene.app().models.champion("cards").expect("a champion");
    let all = expected(columns(&scene).live.as_ref().expect("windows"), n);
    assert_eq!(all.len(), 2 * (10 + 2 + 1 + 1) + 2, "of both nodes, and of both together");
    for i in 0..n {
        let answer = scene.taken(&nth(i));
        let told = scene.windows(&answer);
        check_same(&told, &all, i);
        assert!(told["card_count_1d"].as_u64().is_some_and(|n| n > 0), "{told}");
        if i % 30 == 7 {
            let path = format!("/api/v1/decisions/{}/replay", answer["id"].as_str().expect("an id"));
            let (_, replay) = json_of(answer_of(scene.app(), &viewer(), "GET", &path, ""));
            assert_eq!(replay["result"], json!("identical"), "{replay}");
        }
        if is_fraud(i) {
            let day = 1 + i * 41 / 1440;
            let on = format!(r#"{{"model":"cards","transaction":"{i}","outcome":"fraud","on":"2024-05-{day:02}"}}"#);
            let (status, told) = scene.outcome(&on);
            assert_eq!((status, told["label"]["is_fraud"].as_bool()), (StatusCode::OK, Some(true)), "{told}");
            // Said again it is no second fraud.
            let (status, told) = scene.outcome(&on);
            assert_eq!((status, told.get("label")), (StatusCode::OK, None), "{told}");
        }
        match i {
            40 => {
                scene.kill();
                scene.start();
            }
            70 => {
                scene.stop();
                scene.start();
            }
            90 => scene.app().lives.tend(true),
            100 => {
                scene.kill();
                scene.start();
            }
            _ => {}
        }
    }
    let n_told = all.iter().filter(|(_, cells)| cells.iter().any(|cell| *cell > 0.0)).count();
    assert!(n_told > all.len() * 3 / 4, "{n_told} of {} columns tell something", all.len());
}

#[test]
fn what_is_no_edge_is_told_and_not_counted() {
    let scene = scene();
    scene.taken(&row(1, 60, "C1", "S1", "10"));
    let more = |cells: &str| format!("{},{cells}}}", row(2, 61, "C1", "S1", "10").trim_end_matches('}'));
    for (row, message) in [
        (row(2, 61, "C1", "C1", "10"), "row 1: an edge from «C1» to itself; allowed are two different nodes"),
        (row(2, 61, "C1", "S1", "-1"), "column «amount», row 1: -1 is not allowed; allowed is from 0 to 1e12"),
        (
            row(2, 61, "C1", "S1", "10").replace("\"S1\"", "null"),
            "column «shop», row 1: missing; every edge needs two nodes and a time",
        ),
        (more(r#""shop_fan_in_7d":3"#), "row 1: the column «shop_fan_in_7d» is counted by the server"),
    ] {
        let (status, told) = scene.send(&row);
        let text = told["message"].as_str().unwrap_or_default();
        assert!(status == StatusCode::BAD_REQUEST && text.starts_with(message), "{status} {text}\nwanted {message}");
    }
    let told = scene.windows(&scene.taken(&row(2, 62, "C2", "S1", "10")));
    assert_eq!((&told["shop_fan_in_1d"], &told["shop_amount_in_1d"]), (&json!(1), &json!(10)), "{told}");
}

#[test]
fn edges_are_bounded() {
    let mut scene = scene();
    scene.stop();
    scene.set(|settings| settings.transactions.max_edges = 2);
    scene.start();
    scene.taken(&row(1, 60, "C1", "S1", "10"));
    scene.taken(&row(2, 61, "C2", "S1", "10"));
    let (status, told) = scene.send(&row(3, 62, "C3", "S1", "10"));
    let message =
        "2 edges of the network are kept and none was found that its windows have left; allowed are no more, ask again";
    assert_eq!((status, &told["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("too_many_edges")), "{told}");
    assert_eq!(told["message"], json!(message));
    // Once they have left the windows, and no row may be so late, there is room.
    let told = scene.windows(&scene.taken(&row(4, 62 + 12 * 1440, "C3", "S1", "10")));
    assert_eq!(told["shop_fan_in_7d"], json!(0), "{told}");
}

#[test]
fn more_records_than_edges_are_allowed_are_counted_again() {
    let mut scene = scene();
    scene.stop();
    scene.set(|settings| settings.transactions.max_edges = 150);
    scene.start();
    // Ten a day, of cards and shops of their own: nine days of them are in windows, or may be asked for.
    let nth = |i: usize| row(i, i * 144, &format!("C{i}"), &format!("S{i}"), "10");
    for first in (0..280).step_by(20) {
        let rows: Vec<String> =
            (first..first + 20).map(|i| format!(r#"{{"subject":"lee","row":{}}}"#, nth(i))).collect();
        let (status, told) = scene.post(&format!(r#"{{"model":"cards","rows":[{}]}}"#, rows.join(",")));
        let items = told["transactions"].as_array().expect("items");
        assert!(status == StatusCode::OK && items.iter().all(|item| item["status"] == 200), "{told}");
    }
    scene.kill();
    scene.start();
    let told = scene.windows(&scene.taken(&row(280, 280 * 144, "C279", "S275", "10")));
    assert_eq!((&told["card_fan_out_7d"], &told["shop_fan_in_7d"]), (&json!(1), &json!(1)), "{told}");
}

#[test]
fn what_the_windows_refuse_makes_no_room_in_the_network() {
    let mut scene = scene();
    scene.stop();
    scene.set(|settings| settings.transactions.max_edges = 2);
    scene.start();
    scene.taken(&row(1, 60, "C1", "S1", "10"));
    scene.taken(&row(2, 61, "C2", "S1", "10"));
    // There would be room at that time, were the number one that windows take; the time stays what it was.
    let (status, told) = scene.send(&row(3, 62 + 12 * 1440, "C3", "S1", "100001"));
    assert_eq!((status, &told["error"]), (StatusCode::BAD_REQUEST, &json!("number")), "{told}");
    let (status, told) = scene.send(&row(4, 62, "C3", "S1", "10"));
    assert_eq!((status, &told["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("too_many_edges")), "{told}");
    let told = scene.windows(&scene.taken(&row(5, 62 + 12 * 1440, "C3", "S1", "10")));
    assert_eq!(told["shop_fan_in_7d"], json!(0), "{told}");
}

#[test]
fn a_state_of_another_network_is_rebuilt_of_all_records() {
    let scene = Scene::new();
    // Counted by windows alone at first.
    for i in 0..20 {
        let told: Value = scene.windows(&scene.taken(&nth(i)));
        assert_eq!(told.get("shop_fan_in_7d"), None);
    }
    scene.serve(2);
    let columns = scene.app().models.champion("cards").expect("a champion");
    let all = expected(columns.live.as_ref().expect("windows"), 21);
    let (status, answer) = scene.post(&format!(r#"{{"model":"cards","row":{}}}"#, nth(20)));
    assert_eq!(status, StatusCode::OK, "{POST}: {answer}");
    let told = scene.windows(&answer);
    for (name, cells) in all.iter().filter(|(name, _)| name.contains("fan_") || name.contains("amount_in")) {
        assert_eq!(told[name].as_f64(), Some(cells[20]), "{name}");
    }
}
