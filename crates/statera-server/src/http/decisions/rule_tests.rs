//! Rules beside a model act on decisions as on transactions: on every row, in the record, and again in a replay.

use crate::testing::{APPROVED, DECLINED, Server, checker, program, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera::rules::RuleSet;
use statera::scorer::RowSource;
use statera_core::{Error, Run};
use statera_store::record::StoredPart;

const POST: &str = "/api/v1/decisions";

const RULES: &str = r#"
version = "rules-1"
[columns]
branch = "identifier"
requested = "number"
[[list]]
name = "closed"
values = ["07", "B9"]
[[rule]]
code = "closed"
en = "The branch is closed"
ko = "폐쇄된 지점"
zh = "已关闭的网点"
action = "block"
when = "branch in list closed"
[[rule]]
code = "much"
en = "Much for this income"
ko = "소득 대비 큰 금액"
zh = "金额相对收入过高"
action = "hold"
when = "requested > monthly_income and score >= 0.2"
[[rule]]
code = "new"
en = "A rule that is tried"
ko = "시험 중인 규칙"
zh = "试行规则"
action = "challenge"
mode = "shadow"
when = "debt_ratio > 0.5"
"#;

/// A server whose champion has rules; version 1 is the same model without them.
fn server() -> Server {
    let server = Server::new(Default::default());
    let (digest, path) = ruled(&server);
    let version = server.store.add("credit", &digest, &path);
    server.route(|route| route.champion = Some(version));
    server
}

fn ruled(server: &Server) -> (String, std::path::PathBuf) {
    let folder = server.folder.path();
    let read = Bundle::read(&folder.join("boosting.statera")).expect("read");
    let rules = RuleSet::parse(RULES, |name| Err(Error::io(name.to_string()))).expect("rules");
    let mut bundle = read.ruled_by(RULES, rules).expect("rules of its columns");
    let path = folder.join("ruled.statera");
    bundle.write(&path, true, &Run::new(1, 1)).expect("written");
    (bundle.digest().expect("a digest"), path)
}

/// A row with what the rules read besides.
fn with(row: &str, cells: &str) -> String {
    format!("{},{cells}}}", row.trim_end_matches('}'))
}

fn ask(server: &Server, rows: &[String]) -> Value {
    let rows: Vec<String> = rows.iter().map(|row| format!(r#"{{"row":{row}}}"#)).collect();
    let body = format!(r#"{{"model":"credit","request_id":"r-1","rows":[{}]}}"#, rows.join(","));
    let (status, answer) = server.json(&program(), "POST", POST, &body);
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(server.json(&program(), "POST", POST, &body).1, answer, "sent again");
    answer
}

fn replayed(server: &Server, answer: &Value) -> Value {
    let path = format!("{POST}/{}/replay", answer["id"].as_str().expect("an id"));
    server.json(&viewer(), "GET", &path, "").1
}

#[test]
fn rules_act_on_every_row_of_a_request() {
    let server = server();
    let rows = [
        with(APPROVED, r#""branch":"B1","requested":100"#),
        with(APPROVED, r#""branch":"07","requested":100"#),
        with(DECLINED, r#""branch":7,"requested":5000"#),
        with(DECLINED, r#""branch":"B9","requested":"5000""#),
        with(DECLINED, r#""branch":null,"requested":null"#),
    ];
    let answer = ask(&server, &rows);
    let told: Vec<Value> = answer["decisions"].as_array().expect("rows").clone();
    let actions: Vec<&str> = told.iter().map(|row| row["action"].as_str().expect("an action")).collect();
    assert_eq!(actions, ["allow", "block", "hold", "block", "allow"]);
    // The model's own decision stands beside them as it was.
    let decisions: Vec<&str> = told.iter().map(|row| row["decision"].as_str().expect("a decision")).collect();
    assert_eq!(decisions, ["approve", "approve", "decline", "decline", "decline"]);
    assert_eq!(told[0]["rules"], json!([]));
    assert_eq!(
        told[3]["rules"],
        json!([{"code": "closed", "text": "The branch is closed"}, {"code": "much", "text": "Much for this income"}])
    );
    assert_eq!((told[0].get("shadow_rules"), &told[2]["shadow_rules"]), (None, &json!(["new"])));
    assert_eq!(answer.get("ignored_columns"), None, "what rules read is read");

    // What the record keeps is what was told, with the rules' version; it is found again to the last bit.
    let record = server.store.stored(answer["id"].as_str().expect("an id").parse().expect("an id"));
    let facts: Value = serde_json::from_str(&record.facts).expect("JSON");
    assert_eq!((&facts["rules"], &facts["rows"]), (&json!("rules-1"), &json!(5)));
    let replay = replayed(&server, &answer);
    assert_eq!((&replay["result"], &replay["rows_compared"]), (&json!("identical"), &json!(5)), "{replay}");
}

#[test]
fn a_verdict_is_that_of_batch_scoring_in_any_batch() {
    let server = server();
    // More than are scored in one go, so that verdicts of slices are put together.
    let rows: Vec<String> = (0..600)
        .map(|i| {
            let row = if i % 7 == 0 { DECLINED } else { APPROVED };
            with(row, &format!(r#""branch":"B{}","requested":{}"#, i % 11, i * 10))
        })
        .collect();
    let answer = ask(&server, &rows);
    let told = answer["decisions"].as_array().expect("rows");
    let file = server.folder.path().join("rows.jsonl");
    std::fs::write(&file, rows.join("\n")).expect("written");
    let bundle = Bundle::read(&server.folder.path().join("ruled.statera")).expect("read");
    let mut reader = statera_data::source::open(&file.display().to_string(), &Default::default()).expect("opened");
    let batch = reader.next_batch().expect("read").expect("rows");
    assert_eq!(batch.num_rows(), 600);
    let source = RowSource { is_text: reader.is_text(), first_row: 0 };
    let scored = bundle.scorer.score_rows(&batch, source.is_text, 0).expect("scored");
    let ruling = bundle.ruling().expect("rules").expect("there are some");
    let verdicts = ruling.verdicts(&batch, &scored.probabilities, source).expect("ruled");
    for (row, verdict) in verdicts.iter().enumerate() {
        assert_eq!(told[row]["action"], json!(verdict.action.name()), "row {row}");
        let n_shadow = told[row]["shadow_rules"].as_array().map_or(0, Vec::len);
        let n_acting = told[row]["rules"].as_array().map_or(0, Vec::len);
        assert_eq!(n_acting + n_shadow, verdict.fired.iter().count(), "row {row}");
    }
    let n_blocked = told.iter().filter(|row| row["action"] == "block").count();
    assert_eq!(n_blocked, 54, "every eleventh is of branch B9");
    assert_eq!(replayed(&server, &answer)["result"], json!("identical"));
}

#[test]
fn a_row_without_what_rules_read_is_told_so() {
    let server = server();
    let ask = |row: &str| {
        let body = format!(r#"{{"model":"credit","row":{row}}}"#);
        let (status, told) = server.json(&program(), "POST", POST, &body);
        (status, told["message"].as_str().unwrap_or_default().to_string())
    };
    for (row, message) in [
        (
            APPROVED.to_string(),
            "row 1: columns are missing that the rules beside the model read: «branch» (identifier), «requested» \
             (number); give null for a value that is not known",
        ),
        (
            with(&APPROVED.replace("debt_ratio", "debts"), r#""requested":1"#),
            "row 1: a column is missing that the model was trained on: «debt_ratio» (number); a column is missing that \
             the rules beside the model read: «branch» (identifier); give null for a value that is not known",
        ),
        (
            with(APPROVED, r#""branch":"B1","requested":"much""#),
            "column «requested», row 1: «much» is not a number; the rules beside the model read Float64 (number)",
        ),
    ] {
        assert_eq!(ask(&row), (StatusCode::BAD_REQUEST, message.to_string()), "{row}");
    }
    assert_eq!(server.store.n_records(), 0);
    // Scores alone need what the model reads.
    let inputs = [("employment", "BYTES", json!("permanent")), ("monthly_income", "INT64", json!(2590))];
    let others = [("debt_ratio", "FP64", json!(0.144)), ("months_since_delinquency", "INT64", json!(999))];
    let tensor = |(name, kind, value): &(&str, &str, Value)| json!({"name": name, "datatype": kind, "shape": [1], "data": [value]});
    let inputs: Vec<Value> = inputs.iter().chain(&others).map(tensor).collect();
    let body = json!({ "inputs": inputs }).to_string();
    let (status, told) = server.json(&program(), "POST", "/v2/models/credit/infer", &body);
    assert_eq!(status, StatusCode::OK, "{told}");
}

#[test]
fn a_decision_of_before_is_replayed_without_rules() {
    let server = server();
    let row = with(DECLINED, r#""branch":"B9","requested":5000"#);
    let answer = ask(&server, std::slice::from_ref(&row));
    assert_eq!(answer["decisions"][0]["action"], json!("block"));
    // As it was recorded when rules were of transactions only: no version of them, no action, no column of theirs.
    let id = answer["id"].as_str().expect("an id").parse().expect("an id");
    let mut record = server.store.stored(id);
    record.facts = record.facts.replace(r#""rules":"rules-1","#, "");
    let StoredPart::Plain(plain) = &mut record.parts[0] else { panic!("erased") };
    let mut part: Value = serde_json::from_slice(plain).expect("JSON");
    let of_row = part["rows"][0].as_object_mut().expect("a row");
    of_row.insert("input".into(), serde_json::from_str(DECLINED).expect("JSON"));
    let told = of_row["answer"].as_object_mut().expect("an answer");
    for name in ["action", "rules", "shadow_rules"] {
        assert!(told.remove(name).is_some(), "{name}");
    }
    *plain = part.to_string().into_bytes();
    server.store.tamper(record);
    let replay = replayed(&server, &answer);
    assert_eq!((&replay["result"], replay.get("differences")), (&json!("identical"), None), "{replay}");

    // An objection is decided by what answers today, which reads more than that row has.
    let path = format!("{POST}/{id}/objection");
    let (status, told) = server.json(&checker(), "POST", &path, r#"{"input":{"monthly_income":4200}}"#);
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        told["message"].as_str().is_some_and(|m| m.contains("that the rules beside the model read: «branch»")),
        "{told}"
    );
    let body = r#"{"input":{"monthly_income":4200,"branch":"B1","requested":5000}}"#;
    let (status, told) = server.json(&checker(), "POST", &path, body);
    assert_eq!(status, StatusCode::OK, "{told}");
    assert!(told["decisions"][0]["action"].is_string(), "{told}");
    let (status, told) = server.json(&checker(), "POST", &path, r#"{"input":{"shoe_size":42}}"#);
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        told["message"].as_str().is_some_and(|m| m.starts_with("input: the decision's row has no column «shoe_size»")),
        "{told}"
    );
}

#[test]
fn a_replay_finds_rules_that_are_not_those_of_the_record() {
    let server = server();
    let answer = ask(&server, &[with(DECLINED, r#""branch":"B9","requested":5000"#)]);
    let id = answer["id"].as_str().expect("an id").parse().expect("an id");
    let mut record = server.store.stored(id);
    let StoredPart::Plain(plain) = &mut record.parts[0] else { panic!("erased") };
    let altered = String::from_utf8_lossy(plain).replace(r#"{"code":"much","#, r#"{"code":"less","#);
    *plain = altered.replace(r#""shadow_rules":["new"]"#, r#""shadow_rules":[]"#).into_bytes();
    server.store.tamper(record);
    let replay = replayed(&server, &answer);
    assert_eq!(
        replay["differences"],
        json!([
            {"row": 0, "what": "rules", "recorded": "closed, less", "replayed": "closed, much"},
            {"row": 0, "what": "shadow_rules", "recorded": "", "replayed": "new"},
        ])
    );
}

#[test]
fn a_model_without_rules_has_no_action() {
    let server = server();
    server.route(|route| route.champion = Some(1));
    let told = server.decide(DECLINED);
    assert_eq!(["action", "rules", "shadow_rules"].map(|name| told["decisions"][0].get(name)), [None; 3]);
}
