use crate::testing::{APPROVED, DECLINED, Server, checker, other_program, program, until, viewer};
use crate::who::Who;
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera::scorer::RowSource;
use statera_store::Store;
use statera_store::people::Role;
use statera_store::record::{RecordKind, StoredPart};
use std::sync::atomic::Ordering;

const POST: &str = "/api/v1/decisions";

fn server() -> Server {
    Server::new(Default::default())
}

fn id_of(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_string()
}

/// What batch scoring says of the same row.
fn by_batch(server: &Server, line: &str) -> (f64, String, Vec<String>) {
    let file = server.folder.path().join("rows.jsonl");
    std::fs::write(&file, format!("{line}\n")).expect("written");
    let bundle = Bundle::read(&server.folder.path().join("boosting.statera")).expect("read");
    let mut reader = statera_data::source::open(&file.display().to_string(), &Default::default()).expect("opened");
    let batch = reader.next_batch().expect("read").expect("a row");
    let source = RowSource { is_text: reader.is_text(), first_row: 0 };
    let scored = bundle.scorer.score_rows(&batch, source.is_text, 0).expect("scored");
    let decided = bundle.deciding.decide(&bundle.scorer, &batch, &scored, source).expect("decided").expect("a policy");
    let decided = decided.into_iter().next().expect("a row");
    (scored.probabilities[0], decided.decision.name().into(), decided.reasons)
}

#[test]
fn a_decision_is_the_one_of_batch_scoring() {
    let server = server();
    for row in [
        APPROVED,
        DECLINED,
        r#"{"employment":null,"monthly_income":"NA","debt_ratio":1,"months_since_delinquency":"12"}"#,
    ] {
        let answer = server.decide(row);
        let (probability, decision, reasons) = by_batch(&server, row);
        let told = &answer["decisions"][0];
        assert_eq!(told["probability"].as_f64().map(f64::to_bits), Some(probability.to_bits()), "{row}");
        assert_eq!(told["decision"], json!(decision));
        let codes: Vec<&str> =
            told["reasons"].as_array().map_or(Vec::new(), |r| r.iter().filter_map(|r| r["code"].as_str()).collect());
        assert_eq!(codes, reasons);
    }
    let answer = server.decide(DECLINED);
    assert_eq!(
        (&answer["version"], &answer["part"], &answer["policy"]),
        (&json!(1), &json!("champion"), &json!("policy-1"))
    );
    assert_eq!(answer["decisions"][0]["decision"], json!("decline"));
    assert!(!answer["decisions"][0]["reasons"].as_array().expect("reasons").is_empty());
    let ko = format!(r#"{{"model":"credit","language":"ko","row":{DECLINED}}}"#);
    let (_, answer) = server.json(&program(), "POST", POST, &ko);
    assert_ne!(
        answer["decisions"][0]["reasons"][0]["text"],
        server.decide(DECLINED)["decisions"][0]["reasons"][0]["text"]
    );
}

#[test]
fn many_rows_are_one_record_with_a_part_for_each_subject() {
    let server = server();
    let body = format!(
        r#"{{"model":"credit","rows":[{{"subject":"a","row":{APPROVED}}},{{"subject":"b","row":{DECLINED}}},{{"subject":"a","row":{DECLINED}}},{{"row":{APPROVED}}}]}}"#
    );
    let (status, answer) = server.json(&program(), "POST", POST, &body);
    assert_eq!(status, StatusCode::OK, "{answer}");
    let decisions = answer["decisions"].as_array().expect("rows");
    let told: Vec<(u64, &str)> = decisions
        .iter()
        .map(|d| (d["row"].as_u64().unwrap_or(99), d["decision"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told, [(0, "approve"), (1, "decline"), (2, "decline"), (3, "approve")]);
    assert_eq!(server.store.n_records(), 1);
    let record = server.store.stored(id_of(&answer).parse().expect("an id"));
    assert_eq!(record.parts.len(), 3);
    let facts: Value = serde_json::from_str(&record.facts).expect("JSON");
    assert_eq!(facts["counts"], json!({"approve": 2, "review": 0, "decline": 2}));
    assert_eq!(facts["rows"], json!(4));
    // Nothing of the rows stands in what the ledger keeps for ever.
    assert!(!record.facts.contains("permanent") && !record.facts.contains("2590") && !record.facts.contains("subject"));
}

#[test]
fn a_request_that_is_sent_again_gets_the_same_bytes() {
    let server = server();
    let body = format!(
        r#"{{"model":"credit","request_id":"r-1","rows":[{{"subject":"a","row":{{"note":1,{}}},{{"row":{DECLINED}}}]}}"#,
        &APPROVED[1..]
    );
    let first = server.send(&program(), "POST", POST, &body);
    assert_eq!(first.0, StatusCode::OK);
    let told: Value = serde_json::from_slice(&first.1).expect("JSON");
    assert_eq!(told["ignored_columns"], json!(["note"]));
    assert_eq!(server.send(&program(), "POST", POST, &body), first);
    assert_eq!(server.store.n_records(), 1);
    // Another body under the name is refused; the name of another key is another name.
    let (status, _) = server.json(&program(), "POST", POST, &body.replace("2590", "2591"));
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, other) = server.json(&other_program(), "POST", POST, &body);
    assert_eq!((status, server.store.n_records()), (StatusCode::OK, 2));
    assert_ne!(other["id"], told["id"]);
}

#[test]
fn a_request_that_was_recorded_is_answered_after_its_model_was_stopped() {
    let server = server();
    let body = format!(r#"{{"model":"credit","request_id":"r-1","row":{APPROVED}}}"#);
    let first = server.send(&program(), "POST", POST, &body);
    assert_eq!(first.0, StatusCode::OK);
    server.route(|route| route.stopped = true);
    assert_eq!(server.send(&program(), "POST", POST, &body), first);
    let (status, told) = server.json(&program(), "POST", POST, &body.replace("2590", "2591"));
    assert_eq!(status, StatusCode::CONFLICT, "{told}");
    assert_eq!(server.json(&program(), "POST", POST, &body.replace("r-1", "r-2")).0, StatusCode::SERVICE_UNAVAILABLE);
    // Of another key the name says nothing.
    assert_eq!(server.json(&other_program(), "POST", POST, &body).0, StatusCode::SERVICE_UNAVAILABLE);
    // A body that cannot be scored is another body, too.
    let named = |row: &str| format!(r#"{{"model":"credit","request_id":"r-1","row":{row}}}"#);
    server.route(|route| route.stopped = false);
    assert_eq!(server.json(&program(), "POST", POST, &named("{}")).0, StatusCode::CONFLICT);
    assert_eq!(server.store.n_records(), 1);
}

#[test]
fn wrong_requests_are_told_where_and_what_is_allowed() {
    let server = server();
    let row = |cells: &str| format!(r#"{{"model":"credit","row":{{{cells}}}}}"#);
    let cases: Vec<(String, u16, &str)> = vec![
        ("{".into(), 400, "the body: EOF while parsing"),
        ("[]".into(), 400, "the body is a list; allowed: one JSON object"),
        (String::new(), 400, "the body is empty; allowed: one JSON object"),
        (format!(r#"{{"model":"credit","row":{APPROVED},"x":1}}"#), 400, "unknown field `x`"),
        (format!(r#"{{"model":"credit","row":{APPROVED},"model":"b"}}"#), 400, "duplicate field `model`"),
        (r#"{"model":"credit"}"#.into(), 400, "the body needs row or rows, and not both"),
        (r#"{"model":"credit","rows":[]}"#.into(), 400, "0 rows; allowed: 1 to 10000"),
        (format!(r#"{{"model":"cards","row":{APPROVED}}}"#), 404, "there is no model «cards»"),
        (format!(r#"{{"model":"../../etc","row":{APPROVED}}}"#), 404, "there is no model «../../etc»"),
        (
            row(r#""employment":"x","debt_ratio":1"#),
            400,
            "row 1: columns are missing that the model was trained on: «monthly_income» (number), «months_since_delinquency» \
             (number); give null for a value that is not known",
        ),
        (
            row(r#""employment":"x","debt_ratio":"much","monthly_income":1,"months_since_delinquency":1"#),
            400,
            "column «debt_ratio», row 1: «much» is not a number; the model was trained on Float64 (number)",
        ),
        (
            row(r#""employment":"x","debt_ratio":true,"monthly_income":1,"months_since_delinquency":1"#),
            400,
            "column «debt_ratio», row 1: «true» is not a number",
        ),
        (
            row(r#""employment":"x","debt_ratio":[1],"monthly_income":1,"months_since_delinquency":1"#),
            400,
            "column «debt_ratio», row 1: the value is nested",
        ),
        (
            row(r#""employment":"x","debt_ratio":9007199254740993,"monthly_income":1,"months_since_delinquency":1"#),
            400,
            "column «debt_ratio», row 1: 9007199254740993 has more digits than a double holds",
        ),
        (
            row(r#""employment":"x","debt_ratio":1e999,"monthly_income":1,"months_since_delinquency":1"#),
            400,
            "column «debt_ratio», row 1: 1e999 is larger than any number that is scored",
        ),
        (
            row(r#""employment":"x","debt_ratio":1,"debt_ratio":2,"monthly_income":1,"months_since_delinquency":1"#),
            400,
            "row 1: the column «debt_ratio» is given twice",
        ),
        (
            row(r#""employment":"x","debt_ratio":1,"monthly_income":1.5,"months_since_delinquency":1"#),
            400,
            "column «monthly_income», row 1: «1.5» is not a whole number of 64 bits",
        ),
        (
            r#"{"model":"credit","row":[1,2]}"#.into(),
            400,
            "row 1: invalid type: sequence, expected one flat JSON object",
        ),
        (r#"{"model":"credit","row":NaN}"#.into(), 400, "the body: expected value"),
        (
            format!(r#"{{"model":"credit","request_id":"{}","row":{APPROVED}}}"#, "x".repeat(129)),
            400,
            "request_id has 129 characters; allowed: 1 to 128",
        ),
        (
            format!(r#"{{"model":"credit","subject":"{}","row":{APPROVED}}}"#, "x".repeat(257)),
            400,
            "a subject has 257 characters; allowed: at most 256",
        ),
        (
            format!(r#"{{"model":"credit","row":{{"a":{}1{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
            400,
            "row 1",
        ),
    ];
    for (body, status, message) in cases {
        let (got, told) = server.json(&program(), "POST", POST, &body);
        let text = told["message"].as_str().expect("a message");
        assert!(got.as_u16() == status && text.contains(message), "{got} {text}\nwanted {status} {message}");
    }
    assert_eq!(server.store.n_records(), 0);
    let nobody = Who { roles: [Role::Viewer].into(), ..program() };
    let body = format!(r#"{{"model":"credit","row":{APPROVED}}}"#);
    assert_eq!(server.json(&nobody, "POST", POST, &body).0, StatusCode::FORBIDDEN);
}

#[test]
fn nothing_is_answered_before_it_is_on_disk() {
    let server = server();
    server.store.is_held.store(true, Ordering::SeqCst);
    let store = server.store.clone();
    let body = format!(r#"{{"model":"credit","row":{APPROVED}}}"#);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.json(&program(), "POST", POST, &body));
        // The answer needs the record, and the record needs the release: whoever answered before would have none.
        until("its record is kept back", || store.n_held() > 0 || asked.is_finished());
        assert!(!asked.is_finished() && store.n_records() == 0);
        store.release();
        let (status, answer) = asked.join().expect("no panic");
        assert_eq!((status, store.n_records()), (StatusCode::OK, 1));
        assert!(store.record(id_of(&answer).parse().expect("an id")).is_ok());
    });
}

#[test]
fn a_database_that_went_away_is_503_and_comes_back() {
    let server = server();
    let body = format!(r#"{{"model":"credit","row":{APPROVED}}}"#);
    server.store.is_down.store(true, Ordering::SeqCst);
    let (status, told) = server.json(&program(), "POST", POST, &body);
    assert_eq!((status, &told["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert_eq!(server.store.n_records(), 0);
    server.store.is_down.store(false, Ordering::SeqCst);
    assert_eq!(server.json(&program(), "POST", POST, &body).0, StatusCode::OK);
}

#[test]
fn a_decision_shows_persons_only_to_those_who_may() {
    let server = server();
    let answer = server.decide(DECLINED);
    let path = format!("{POST}/{}", id_of(&answer));
    let (status, own) = server.json(&program(), "GET", &path, "");
    assert_eq!(status, StatusCode::OK);
    assert_eq!(own["rows"][0]["input"]["monthly_income"], json!(900));
    assert_eq!(own["rows"][0]["subject"], json!("c-1"));
    assert!(server.store.notes().is_empty(), "who asked reads their own");
    let (_, viewed) = server.json(&viewer(), "GET", &path, "");
    assert_eq!((&viewed["rows"], &viewed["facts"]["counts"]["decline"]), (&Value::Null, &json!(1)));
    let (_, checked) = server.json(&checker(), "GET", &path, "");
    assert_eq!(checked["rows"][0]["contributions"].as_array().map(Vec::len), Some(4));
    assert_eq!(server.store.notes(), [format!("read decision {}", id_of(&answer))]);
    assert_eq!(server.json(&other_program(), "GET", &path, "").0, StatusCode::NOT_FOUND);
    for wrong in ["nothing", "urn:uuid:67e55044-10b1-426f-9247-bb680e5fe0c8", "..%2F..%2Fetc"] {
        assert_eq!(server.json(&viewer(), "GET", &format!("{POST}/{wrong}"), "").0, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn a_replay_is_identical_until_something_was_changed_or_erased() {
    let server = server();
    let body = format!(
        r#"{{"model":"credit","explain":"all","rows":[{{"subject":"a","row":{APPROVED}}},{{"subject":"b","row":{DECLINED}}}]}}"#
    );
    let (_, answer) = server.json(&program(), "POST", POST, &body);
    let path = format!("{POST}/{}/replay", id_of(&answer));
    let replay = || server.json(&viewer(), "GET", &path, "").1;
    assert_eq!((&replay()["result"], &replay()["rows_compared"]), (&json!("identical"), &json!(2)));
    // The version that decided answers no more, and is found all the same.
    let version = server.add("logistic");
    server.route(|route| route.champion = Some(version));
    assert_eq!(server.decide(APPROVED)["version"], json!(2));
    assert_eq!(replay()["result"], json!("identical"));

    let id = id_of(&answer).parse().expect("an id");
    // A program that added contributions in another order decided: nothing else may differ, and they by a hair.
    let whole = server.store.stored(id);
    let of_part = |change: &dyn Fn(String) -> String| {
        let mut record = whole.clone();
        record.facts = record.facts.replacen("\"attributions\":2", "\"attributions\":1", 1);
        let StoredPart::Plain(plain) = &record.parts[1] else { panic!("plain") };
        let text = change(String::from_utf8(plain.clone()).expect("UTF-8"));
        record.parts[1] = StoredPart::Plain(text.into_bytes());
        server.store.tamper(record);
        replay()
    };
    let nudged = |by: f64| {
        move |text: String| {
            let start = text.find("\"contributions\":[").expect("contributions") + "\"contributions\":[".len();
            let end = start + text[start..].find([',', ']']).expect("a number");
            let value: f64 = text[start..end].parse().expect("a number");
            format!("{}{:?}{}", &text[..start], value + by, &text[end..])
        }
    };
    let told = of_part(&nudged(1e-12));
    assert_eq!((&told["result"], &told["contributions_within"]), (&json!("identical"), &json!(1e-9)), "{told}");
    assert_eq!(of_part(&nudged(1e-3))["differences"][0]["what"], json!("contributions"));
    server.store.tamper(whole);
    assert_eq!(replay()["contributions_within"], json!(null));

    let mut record = server.store.stored(id);
    let StoredPart::Plain(plain) = &record.parts[1] else { panic!("plain") };
    let text = String::from_utf8(plain.clone()).expect("UTF-8").replacen(
        "\"monthly_income\":900",
        "\"monthly_income\":4900",
        1,
    );
    record.parts[1] = StoredPart::Plain(text.into_bytes());
    server.store.tamper(record);
    let told = replay();
    assert_eq!((&told["result"], &told["differences"][0]["row"]), (&json!("different"), &json!(1)));
    assert_eq!(told["differences"][0]["what"], json!("margin"));

    server.store.erase(&program().actor, "b", "asked for").expect("there is something");
    let told = replay();
    assert_eq!((&told["result"], &told["rows_compared"]), (&json!("identical"), &json!(1)));
    assert!(told["erased"][0].as_str().is_some_and(|t| t.starts_with("erased on 2030-03-17")), "{told}");
    server.store.erase(&program().actor, "a", "asked for").expect("there is something");
    assert_eq!(replay()["result"], json!("erased"));
}

#[test]
fn without_explanations_a_replay_finds_the_reasons() {
    let server = server();
    let body = format!(r#"{{"model":"credit","explain":"none","row":{DECLINED}}}"#);
    let (_, answer) = server.json(&program(), "POST", POST, &body);
    assert_eq!(answer["decisions"][0]["reasons"], json!([]));
    let (_, told) = server.json(&checker(), "GET", &format!("{POST}/{}/replay", id_of(&answer)), "");
    assert_eq!(told["result"], json!("identical"));
    let (_, _, reasons) = by_batch(&server, DECLINED);
    assert_eq!(told["reasons"]["0"], json!(reasons));
}

#[test]
fn an_override_needs_a_known_reason_a_note_and_authority() {
    let mut settings = crate::settings::Settings::default();
    settings.decisions.amount_columns.insert("credit".into(), "monthly_income".into());
    settings.decisions.authority[0].up_to = Some(1_000.0);
    let server = Server::new(settings);
    let low = format!("{POST}/{}/override", id_of(&server.decide(DECLINED)));
    let high = format!("{POST}/{}/override", id_of(&server.decide(APPROVED)));
    let body = |decision: &str, reason: &str, note: &str| {
        json!({"decision": decision, "reason": reason, "note": note, "request_id": "o-1"}).to_string()
    };
    let good = body("approve", "mitigation", "has a guarantor, Ms Kim");
    let cases = [
        (checker(), &low, body("approve", "because", "x"), 400, "reason «because» is not known; allowed: data_error"),
        (checker(), &low, body("approve", "mitigation", " "), 400, "the note has 1 characters; allowed: 1 to 4000"),
        (checker(), &low, body("decline", "mitigation", "x"), 409, "the decision is «decline» already"),
        (checker(), &low, body("postpone", "mitigation", "x"), 400, "unknown variant `postpone`"),
        (checker(), &high, body("decline", "mitigation", "x"), 403, "the amount is 2590; your authority ends at 1000"),
        (viewer(), &low, good.clone(), 403, "this needs the role checker"),
    ];
    for (who, path, body, status, message) in cases {
        let (got, told) = server.json(&who, "POST", path, &body);
        let text = told["message"].as_str().expect("a message");
        assert!(got.as_u16() == status && text.contains(message), "{got} {text}");
    }
    let first = server.send(&checker(), "POST", &low, &good);
    assert_eq!(first.0, StatusCode::OK);
    assert_eq!(server.send(&checker(), "POST", &low, &good), first, "sent again, done once");
    let told: Value = serde_json::from_slice(&first.1).expect("JSON");
    assert_eq!(
        (&told["from"], &told["to"], &told["reason"]),
        (&json!("decline"), &json!("approve"), &json!("mitigation"))
    );
    let record = server.store.stored(id_of(&told).parse().expect("an id"));
    assert_eq!(record.kind, RecordKind::Override);
    assert!(!record.facts.contains("Kim"), "the note lies in the part");
    let own = format!("{POST}/{}", id_of(&told));
    assert_eq!(server.json(&viewer(), "GET", &own, "").1["details"], Value::Null);
    assert_eq!(server.json(&checker(), "GET", &own, "").1["details"][0]["note"], json!("has a guarantor, Ms Kim"));
    // The same name and body about another decision is another request.
    let other = format!("{POST}/{}/override", id_of(&server.decide(DECLINED)));
    assert_eq!(server.json(&checker(), "POST", &other, &good).0, StatusCode::CONFLICT);
    let page = low.replace("/override", "/explanation");
    let page = String::from_utf8(server.send(&program(), "GET", &page, "").1).expect("UTF-8");
    assert!(
        page.contains("Decision: declined") && page.contains("A person has decided otherwise since: approved"),
        "{page}"
    );
    let (_, shown) = server.json(&viewer(), "GET", low.trim_end_matches("/override"), "");
    assert_eq!(shown["later"][0]["facts"]["to"], json!("approve"));
}

#[test]
fn an_objection_decides_the_corrected_row_again_and_explains_it() {
    let server = server();
    let first = server.decide(DECLINED);
    let path = format!("{POST}/{}/objection", id_of(&first));
    let (status, told) = server.json(&program(), "POST", &path, r#"{"input":{"salary":1}}"#);
    assert!(
        status == StatusCode::BAD_REQUEST && told["message"].as_str().is_some_and(|m| m.contains("no column «salary»"))
    );
    let body = r#"{"input":{"monthly_income":4200,"debt_ratio":"0.10"},"note":"<b>my pay slip</b>","language":"en"}"#;
    let (status, told) = server.json(&program(), "POST", &path, body);
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(told["of"], first["id"]);
    let corrected = DECLINED.replace("900", "4200").replace("0.9", "0.10");
    let (probability, ..) = by_batch(&server, &corrected);
    assert_eq!(told["decisions"][0]["probability"].as_f64(), Some(probability));
    let record = server.store.stored(id_of(&told).parse().expect("an id"));
    assert_eq!((record.kind, record.of.map(|of| of.to_string())), (RecordKind::Objection, Some(id_of(&first))));
    let replay = format!("{POST}/{}/replay", id_of(&told));
    assert_eq!(server.json(&viewer(), "GET", &replay, "").1["result"], json!("identical"));

    for (language, word) in [("en", "Explanation of a decision"), ("ko", "결정에 대한 설명"), ("zh", "决定说明")]
    {
        let page = format!("{POST}/{}/explanation?language={language}", id_of(&told));
        let (status, page) = server.send(&program(), "GET", &page, "");
        let page = String::from_utf8(page).expect("UTF-8");
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains(word) && page.contains("monthly_income") && page.contains("4200"), "{page}");
        assert!(!page.contains("<script") && !page.contains("http"), "no script, nothing fetched");
    }
    let page = format!("{POST}/{}/explanation", id_of(&first));
    let (_, page) = server.send(&checker(), "GET", &page, "");
    let page = String::from_utf8(page).expect("UTF-8");
    assert!(page.contains("declined") && page.contains("What would turn the decision"), "{page}");
    let (_, _, reasons) = by_batch(&server, DECLINED);
    assert!(page.matches("<li>").count() == reasons.len(), "{page}");
    assert_eq!(server.store.notes().len(), 1);
    let (status, _) = server.send(&other_program(), "GET", &format!("{POST}/{}/explanation", id_of(&first)), "");
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[test]
fn a_cell_cannot_write_into_the_page() {
    let server = server();
    let row = APPROVED.replace("permanent", "<img src=x onerror=alert(1)>");
    let answer = server.decide(&row);
    let (_, page) = server.send(&program(), "GET", &format!("{POST}/{}/explanation", id_of(&answer)), "");
    let page = String::from_utf8(page).expect("UTF-8");
    assert!(!page.contains("<img") && page.contains("&lt;img"), "{page}");
}

#[test]
fn outcomes_are_of_decisions_and_of_the_list() {
    let server = server();
    let id = id_of(&server.decide(APPROVED));
    let post = |body: Value| server.json(&program(), "POST", "/api/v1/outcomes", &body.to_string());
    let (status, told) = post(json!({"decision": id, "outcome": "defaulted", "on": "2027-01-31"}));
    assert_eq!((status, &told["of"], &told["outcome"]), (StatusCode::OK, &json!(id), &json!("defaulted")));
    for (body, wanted) in [
        (json!({"decision": id, "outcome": "happy"}), 400),
        (json!({"decision": id, "outcome": "paid", "on": "31.1.2027"}), 400),
        (json!({"decision": id, "outcome": "paid", "row": 7}), 404),
        (json!({"decision": told["id"], "outcome": "paid"}), 404),
        (json!({"decision": "67e55044-10b1-426f-9247-bb680e5fe0c8", "outcome": "paid"}), 404),
    ] {
        assert_eq!(post(body.clone()).0.as_u16(), wanted, "{body}");
    }
    server.store.erase(&program().actor, "c-1", "asked for").expect("there is something");
    assert_eq!(post(json!({"decision": id, "outcome": "paid"})).0, StatusCode::CONFLICT, "an erased row stays erased");
    for (method, what) in [("GET", "explanation"), ("POST", "objection")] {
        let (status, told) = server.json(&program(), method, &format!("{POST}/{id}/{what}"), "{}");
        let why = format!("row 0 of decision {id} was erased on 2030-03-17T17:46:40.000000Z");
        assert_eq!((status, &told["message"]), (StatusCode::CONFLICT, &json!(why)));
    }
}

#[test]
fn a_shadow_scores_copies_and_never_answers() {
    let server = server();
    let version = server.add("logistic");
    server.route(|route| {
        route.challenger = Some(statera_store::registry::Challenger { version, shadow: true, per_mille: 1000 });
    });
    for _ in 0..5 {
        assert_eq!(server.decide(DECLINED)["version"], json!(1));
    }
    let counts = || server.app.models.tallies()[0].2;
    until("the shadow has scored five rows", || counts().scored >= 5);
    let (_, of, counts) = server.app.models.tallies().remove(0);
    assert_eq!((of, counts.scored, counts.failed, counts.dropped), (version, 5, 0, 0));
    assert!(counts.mean_difference > 0.0);
}
