//! What a program of the next version has written is read by this one: while servers are upgraded one after the other, and
//! after a way back.

use crate::testing::{DECLINED, Server, checker, program, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::record::{Id, StoredPart};

const POST: &str = "/api/v1/decisions";

/// Puts a field that this program does not know into every object of a document which this program reads.
fn with_more(json: &str) -> String {
    fn add(value: &mut Value, within: &[&str]) {
        let Some(object) = value.as_object_mut() else { return };
        object.insert("of_the_next_version".into(), json!({"a": [1, 2]}));
        for name in within {
            match object.get_mut(*name) {
                Some(Value::Array(all)) => all.iter_mut().for_each(|value| add(value, &[])),
                Some(value) => add(value, &[]),
                None => {}
            }
        }
    }
    let mut value: Value = serde_json::from_str(json).expect("JSON");
    add(&mut value, &["rows", "counts"]);
    value.to_string()
}

/// Has a record as the next version might have written it.
fn from_the_next_version(server: &Server, id: &Value) {
    let id: Id = id.as_str().expect("an id").parse().expect("an id");
    let mut record = server.store.stored(id);
    record.facts = with_more(&record.facts);
    for part in &mut record.parts {
        if let StoredPart::Plain(bytes) = part {
            *bytes = with_more(std::str::from_utf8(bytes).expect("UTF-8")).into_bytes();
        }
    }
    server.store.tamper(record);
}

#[test]
fn records_with_fields_of_the_next_version_are_read_replayed_and_added_to() {
    let server = Server::new(Default::default());
    let asked = format!(r#"{{"model":"credit","request_id":"r-1","subject":"c-1","explain":"all","row":{DECLINED}}}"#);
    let ask = || server.json(&program(), "POST", POST, &asked);
    let (status, decided) = ask();
    assert_eq!(status, StatusCode::OK, "{decided}");
    from_the_next_version(&server, &decided["id"]);
    assert_eq!(ask(), (StatusCode::OK, decided.clone()), "sent again, it is answered as it was");

    let path = |what: &str| format!("{POST}/{}{what}", decided["id"].as_str().expect("an id"));
    let (status, shown) = server.json(&checker(), "GET", &path(""), "");
    assert_eq!((status, &shown["rows"][0]["row"]), (StatusCode::OK, &json!(0)), "{shown}");
    assert_eq!(shown["facts"]["of_the_next_version"], json!({"a": [1, 2]}), "what is not known is shown as it is");
    let (_, replayed) = server.json(&viewer(), "GET", &path("/replay"), "");
    assert_eq!((&replayed["result"], &replayed["rows_compared"]), (&json!("identical"), &json!(1)), "{replayed}");
    assert_eq!(server.send(&program(), "GET", &path("/explanation"), "").0, StatusCode::OK);

    // What followed is read as well: each is answered as it was when it is sent again, and the next override knows the last.
    let over = json!({"decision": "approve", "reason": "mitigation", "note": "x", "request_id": "o-1"}).to_string();
    let outcome = json!({"decision": decided["id"], "outcome": "paid", "request_id": "p-1"}).to_string();
    for (who, path, body) in [(checker(), path("/override"), over), (program(), "/api/v1/outcomes".into(), outcome)] {
        let (status, first) = server.json(&who, "POST", &path, &body);
        assert_eq!(status, StatusCode::OK, "{first}");
        from_the_next_version(&server, &first["id"]);
        assert_eq!(server.json(&who, "POST", &path, &body), (StatusCode::OK, first));
    }
    let again = json!({"decision": "approve", "reason": "mitigation", "note": "x"}).to_string();
    let (status, told) = server.json(&checker(), "POST", &path("/override"), &again);
    assert_eq!((status, &told["message"]), (StatusCode::CONFLICT, &json!("the decision is «approve» already")));
    let (_, counted) = server.json(&viewer(), "GET", "/api/v1/monitoring/overrides", "");
    assert_eq!((&counted["unreadable"], &counted["total"]["override_rate"]["n"]), (&json!(0), &json!(1)), "{counted}");

    // What somebody asks for is refused as before where it is not understood.
    let (status, _) = server.json(&program(), "POST", POST, &with_more(&asked));
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
