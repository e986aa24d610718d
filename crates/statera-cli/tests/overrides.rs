//! Overrides and what became of them, from a running server to the table that a model-risk officer reads.

mod common;
#[path = "common/serving.rs"]
mod serving;

use common::{check, done};
use serde_json::{Value, json};
use serving::{Client, Server, bundle};

#[test]
fn overrides_are_counted_and_told_with_what_became_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    std::fs::write(dir.join("server.toml"), "[serve]\nstore = \"store\"\n").expect("is written");
    let server = Server::start(dir);
    let key = server.furnish(dir, "loans", &bundle(dir));
    let (mut program, mut checker) = (Client::with_key(&server.place, &key), Client::new(&server.place));
    checker.sign_in("checker");
    let mut decide = |income: u32| -> (String, String) {
        let row = json!({"income": income, "debt": 800, "region": "north"});
        let told = program.done("POST", "/api/v1/decisions", &json!({"model": "loans", "subject": "s", "row": row}));
        let text = |value: &Value| value.as_str().expect("a text").to_string();
        (text(&told["id"]), text(&told["decisions"][0]["decision"]))
    };
    let (poor, rich) = (decide(900), decide(3_800));
    assert_eq!((poor.1.as_str(), rich.1.as_str()), ("decline", "approve"));
    let over = json!({"decision": "approve", "reason": "mitigation", "note": "has a guarantor"});
    checker.done("POST", &format!("/api/v1/decisions/{}/override", poor.0), &over);
    program.done("POST", "/api/v1/outcomes", &json!({"decision": poor.0, "outcome": "defaulted"}));
    program.done("POST", "/api/v1/outcomes", &json!({"decision": rich.0, "outcome": "paid"}));

    let url = format!("http://{}", server.place);
    let command = ["registry", "--server", &url, "--key-file", "load.key", "overrides"];
    let told = done(dir, &[&command[..], &["--days", "7", "--model", "loans"]].concat());
    for part in [
        "2 decisions of the last 7 days",
        "50.0 % (9.5–90.5)",
        "decline → approve",
        "100.0 % (20.7–100.0)",
        "0.0 % (0.0–79.3)",
        "checker",
        "mitigation",
        "Above the limit of 5.0 %: loans version 1.",
    ] {
        assert!(told.contains(part), "«{part}» is not in:\n{told}");
    }
    let json: Value = serde_json::from_str(&done(dir, &[&command[..], &["--json"]].concat())).expect("JSON");
    assert_eq!((&json["total"]["override_rate"]["n"], &json["days"]), (&json!(1), &json!(30)));
    check(dir, &[&command[..], &["--days", "400"]].concat(), 2, &["days is 400; allowed is 1 to 366"]);
    server.stop();
}
