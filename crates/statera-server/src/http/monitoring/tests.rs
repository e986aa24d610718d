use super::figures::Verdict;
use super::{DAY_US, DAYS, MonitoringSettings, report};
use crate::http::decisions::{following_id, time_text};
use crate::settings::Settings;
use crate::testing::{APPROVED, DECLINED, Server, checker, program, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::record::{Id, NewRecord, RecordKind};
use statera_store::{Store, now_us};
use std::sync::Arc;
use std::time::Instant;

const PATH: &str = "/api/v1/monitoring/overrides";

/// Asks for decisions about rows, all in one request; gives its id.
fn decide(server: &Server, rows: &[&str]) -> String {
    let rows: Vec<String> = rows.iter().map(|row| format!("{{\"row\":{row}}}")).collect();
    let body = format!("{{\"model\":\"credit\",\"rows\":[{}]}}", rows.join(","));
    let (status, answer) = server.json(&program(), "POST", "/api/v1/decisions", &body);
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["id"].as_str().expect("an id").to_string()
}

fn override_to(server: &Server, (id, row): (&str, usize), to: &str, reason: &str) {
    let body = json!({"row": row, "decision": to, "reason": reason, "note": "seen"}).to_string();
    let (status, told) = server.json(&checker(), "POST", &format!("/api/v1/decisions/{id}/override"), &body);
    assert_eq!(status, StatusCode::OK, "{told}");
}

fn became(server: &Server, (id, row): (&str, usize), outcome: &str) {
    let body = json!({"decision": id, "row": row, "outcome": outcome}).to_string();
    let (status, told) = server.json(&program(), "POST", "/api/v1/outcomes", &body);
    assert_eq!(status, StatusCode::OK, "{told}");
}

fn told(server: &Server, query: &str) -> Value {
    let (status, told) = server.json(&viewer(), "GET", &format!("{PATH}{query}"), "");
    assert_eq!(status, StatusCode::OK, "{told}");
    told
}

/// Decisions, good, bad, other, contradictory, unknown.
#[track_caller]
fn check(of: &Value, expected: [u64; 6]) {
    let names = ["decisions", "good", "bad", "other", "contradictory", "unknown"];
    let found = names.map(|name| of[name].as_u64().unwrap_or(u64::MAX));
    assert_eq!(found, expected, "{of}");
}

#[test]
fn overrides_are_told_by_direction_person_and_reason_with_what_became_of_them() {
    let server = Server::new(Settings::default());
    let (granted, refused) = (decide(&server, &[APPROVED]), decide(&server, &[DECLINED]));
    let batch = decide(&server, &[APPROVED, DECLINED, DECLINED, APPROVED]);
    // Approved against the model: one defaults, one pays, of one nothing is known; one is put back.
    override_to(&server, (&refused, 0), "approve", "mitigation");
    override_to(&server, (&batch, 1), "approve", "mitigation");
    override_to(&server, (&batch, 2), "approve", "policy_exception");
    override_to(&server, (&granted, 0), "decline", "fraud_suspected");
    override_to(&server, (&granted, 0), "approve", "data_error");
    became(&server, (&refused, 0), "defaulted");
    became(&server, (&batch, 1), "late");
    became(&server, (&batch, 1), "paid");
    // As the model decided: one is said to have paid and to have defaulted, one was cancelled.
    became(&server, (&granted, 0), "paid");
    became(&server, (&granted, 0), "defaulted");
    became(&server, (&batch, 0), "cancelled");
    let told = told(&server, "");
    let total = &told["total"];
    assert_eq!((&told["complete"], &told["days"], &told["unreadable"]), (&json!(true), &json!(30), &json!(0)));
    assert_eq!((&total["decisions"], &total["approve"], &total["decline"]), (&json!(6), &json!(3), &json!(3)));
    let rate = &total["override_rate"];
    assert_eq!((&rate["n"], &rate["of"], &rate["rate"]), (&json!(3), &json!(6), &json!(0.5)));
    // from scipy.stats import binomtest; binomtest(3, 6).proportion_ci(method="wilson") -> 0.1876…, 0.8123…
    let (low, high) = (rate["low"].as_f64().expect("a bound"), rate["high"].as_f64().expect("a bound"));
    assert!((low - 0.187_616).abs() < 1e-5 && (high - 0.812_384).abs() < 1e-5, "{rate}");
    assert_eq!((&total["verdict"], &total["undone"]), (&json!("clearly_above"), &json!(1)));
    check(&total["overridden"], [3, 1, 1, 0, 0, 1]);
    assert_eq!(total["overridden"]["bad_rate"]["rate"], json!(0.5));
    check(&total["not_overridden"], [3, 0, 0, 1, 1, 1]);
    assert_eq!(total["not_overridden"]["bad_rate"]["rate"], Value::Null, "a contradiction is in no rate");
    check(&total["settled"], [0; 6]);
    let directions = total["directions"].as_array().expect("a list");
    assert_eq!(directions.len(), 1);
    assert_eq!((&directions[0]["from"], &directions[0]["to"]), (&json!("decline"), &json!("approve")));
    check(&directions[0], [3, 1, 1, 0, 0, 1]);

    assert_eq!(told["versions"].as_array().map(Vec::len), Some(1));
    assert_eq!((&told["versions"][0]["model"], &told["versions"][0]["version"]), (&json!("credit"), &json!(1)));
    assert_eq!(told["versions"][0]["override_rate"], *rate);
    assert_eq!(told["persons"][0]["person"], json!("carol"));
    assert_eq!(told["persons"][0]["share"]["rate"], json!(1.0));
    let reasons: Vec<&str> =
        told["reasons"].as_array().expect("a list").iter().filter_map(|r| r["reason"].as_str()).collect();
    assert_eq!(reasons, ["mitigation", "policy_exception"], "what was put back has no reason any more");
    check(&told["reasons"][0]["overridden"], [2, 1, 1, 0, 0, 0]);
    assert_eq!(told["reasons"][1]["share"]["n"], json!(1));
}

#[test]
fn only_the_models_decisions_of_the_window_are_counted() {
    let server = Server::new(Settings::default());
    decide(&server, &[APPROVED, DECLINED]);
    assert_eq!(told(&server, "?model=credit&days=7")["total"]["decisions"], json!(2));
    assert_eq!(told(&server, "?model=other")["total"]["decisions"], json!(0));
    assert_eq!(told(&server, "?model=other")["total"]["verdict"], json!("nothing"));
    for (query, why) in
        [("?days=0", "days is 0; allowed is 1 to 366"), ("?days=367", "days is 367; allowed is 1 to 366")]
    {
        let (status, told) = server.json(&viewer(), "GET", &format!("{PATH}{query}"), "");
        assert_eq!((status, &told["message"]), (StatusCode::BAD_REQUEST, &json!(why)));
    }
    // What a program may not read, it may not count either.
    let (status, _) = server.json(&program(), "GET", PATH, "");
    assert_eq!(status, StatusCode::FORBIDDEN);
}

/// Keeps a record of a time.
fn keep(server: &Server, at_us: i64, kind: RecordKind, of: Option<Id>, facts: Value) -> Id {
    let (id, actor, facts) = (Id::new(at_us), checker().actor, facts.to_string());
    let record = NewRecord { id, kind, of, request: None, actor, facts, parts: Vec::new(), alert: None };
    server.store.submit(record, Box::new(|done| drop(done.expect("is kept")))).expect("is taken");
    id
}

fn decision_facts(rows: usize, counts: Value) -> Value {
    json!({"model": "credit", "version": 2, "digest": "d", "part": "champion", "software": "s", "explain": "none",
        "language": "en", "rows": rows, "counts": counts})
}

#[test]
fn old_decisions_are_left_out_and_a_review_is_settled_not_overridden() {
    let server = Server::new(Settings::default());
    let now = now_us();
    let day = 24 * 3_600 * 1_000_000;
    let counts = |approve, review| json!({"approve": approve, "review": review, "decline": 0});
    let old = keep(&server, now - 31 * day, RecordKind::Decision, None, decision_facts(1, counts(1, 0)));
    let new = keep(&server, now - 29 * day, RecordKind::Decision, None, decision_facts(2, counts(1, 1)));
    let over = |row: usize, from: &str, to: &str| json!({"model": "credit", "version": 2, "digest": "d", "row": row, "from": from, "to": to, "reason": "x"});
    keep(&server, now - day, RecordKind::Override, Some(old), over(0, "approve", "decline"));
    keep(&server, now - day, RecordKind::Override, Some(new), over(1, "review", "decline"));
    keep(&server, now - day, RecordKind::Override, Some(new), over(9, "approve", "decline"));
    keep(&server, now - day, RecordKind::Outcome, Some(new), json!({"outcome": 7}));
    let told = told(&server, "");
    let total = &told["total"];
    assert_eq!((&total["decisions"], &total["review"]), (&json!(2), &json!(1)));
    assert_eq!((&told["earlier"], &told["unreadable"]), (&json!(1), &json!(1)));
    assert_eq!((&total["override_rate"]["n"], &total["override_rate"]["of"]), (&json!(0), &json!(1)));
    check(&total["settled"], [1, 0, 0, 0, 0, 1]);
    check(&total["not_overridden"], [1, 0, 0, 0, 0, 1]);
    assert_eq!(told["persons"][0]["settled"], json!(1));
    assert_eq!(total["verdict"], json!("within"));
}

#[test]
fn more_records_than_are_read_make_the_window_shorter_and_say_so() {
    let server = Server::new(Settings::default());
    let now = now_us();
    let counts = json!({"approve": 1, "review": 0, "decline": 0});
    let second = 1_000_000;
    for i in 0..5 {
        keep(&server, now - (i + 1) * second, RecordKind::Decision, None, decision_facts(1, counts.clone()));
    }
    let settings = MonitoringSettings::default();
    let count = |max| report(&*server.store, &settings, DAYS, None, max).expect("is counted");
    let all = count(5);
    assert_eq!((all.total.decisions, all.records, all.complete), (5, 5, true));
    let some = count(3);
    assert_eq!((some.total.decisions, some.records, some.complete), (3, 3, false));
    assert!(some.from > all.from, "{} {}", some.from, all.from);
    assert_eq!((all.total.verdict, some.total.verdict), (Verdict::Within, Verdict::Incomplete));
}

/// An override of a decision.
fn keep_override(server: &Server, at_us: i64, of: Id) {
    let facts = json!({"model": "credit", "version": 2, "digest": "d", "row": 0, "from": "decline", "to": "approve", "reason": "x"});
    keep(server, at_us, RecordKind::Override, Some(of), facts);
}

#[test]
fn overrides_of_decisions_that_are_too_many_to_be_read_are_counted_without_a_rate() {
    let server = Server::new(Settings::default());
    let (now, second) = (now_us(), 1_000_000);
    let counts = json!({"approve": 0, "review": 0, "decline": 1});
    let decisions: Vec<Id> = (0..6)
        .map(|i| keep(&server, now - (i + 2) * second, RecordKind::Decision, None, decision_facts(1, counts.clone())))
        .collect();
    // Of the newest and the oldest.
    keep_override(&server, now - second, decisions[0]);
    keep_override(&server, now - second + 5_000, decisions[5]);
    let settings = MonitoringSettings::default();
    let count = |max| report(&*server.store, &settings, DAYS, None, max).expect("is counted");
    let all = count(8);
    assert_eq!((all.total.decisions, all.total.override_rate.rate, all.complete), (6, Some(2.0 / 6.0), true));
    assert_eq!(all.counted_us, i64::from(DAYS) * DAY_US);
    // Both overrides and four records of the window: the newest two decisions.
    let some = count(4);
    let (total, whole) = (&some.total, &all.total);
    assert_eq!((total.decisions, total.verdict, some.complete), (2, Verdict::Incomplete, false));
    assert_eq!((total.override_rate.n, total.override_rate.rate), (2, None));
    assert_eq!((&total.overridden, &total.directions), (&whole.overridden, &whole.directions));
    assert_eq!((&some.persons, &some.reasons), (&all.persons, &all.reasons));
    assert_eq!(some.versions[0].figures.verdict, Verdict::Incomplete);
    assert!(some.overrides_from < some.from && some.counted_us < all.counted_us);
    // Too many overrides, too: those of the newest decisions.
    let few = count(1);
    assert_eq!((few.total.override_rate.n, few.total.decisions, few.complete), (0, 0, false));
    assert_eq!(few.overrides_from, time_text(decisions[0].at_us() + 1_000));
}

#[test]
fn an_override_is_counted_that_was_made_after_the_clock_was_set_back() {
    let server = Server::new(Settings::default());
    let now = now_us();
    let counts = json!({"approve": 0, "review": 0, "decline": 1});
    let decision = keep(&server, now, RecordKind::Decision, None, decision_facts(1, counts));
    keep_override(&server, now - 3_600_000_000, decision);
    let rate = told(&server, "")["total"]["override_rate"].clone();
    assert_eq!((&rate["n"], &rate["of"]), (&json!(1), &json!(1)));
    // And new names are no longer before that of their decision.
    let ahead = Id::new(now + 3_600_000_000);
    assert!(following_id(ahead) > ahead && following_id(ahead).at_us() == ahead.at_us() + 1_000);
    assert!(following_id(Id::new(now)).at_us() >= now / 1_000 * 1_000 + 1_000);
}

#[test]
fn the_interval_says_how_surely_the_limit_is_exceeded() {
    use super::figures::Share;
    let server = Server::new(Settings::default());
    let limit = server.app.settings.monitoring.override_rate_max;
    for (n, of, verdict) in [
        (0, 0, Verdict::Nothing),
        (0, 10, Verdict::Within),
        (5, 100, Verdict::Within),
        (6, 100, Verdict::Above),
        (60, 400, Verdict::ClearlyAbove),
    ] {
        assert_eq!(Verdict::of(&Share::of(n, of), limit), verdict, "{n} of {of}");
        assert_eq!(verdict.is_flagged(), n > 5);
    }
}

#[test]
fn limits_and_lists_that_cannot_be_meant_are_refused() {
    for (text, why) in [
        ("override_rate_max = 0", "monitoring.override_rate_max is 0; allowed is above 0 and at most 1"),
        ("override_rate_max = 1.5", "monitoring.override_rate_max is 1.5; allowed is above 0 and at most 1"),
        ("override_rate_max = nan", "monitoring.override_rate_max is NaN; allowed is above 0 and at most 1"),
        (
            "good_outcomes = [\"fraud\"]",
            "monitoring: «fraud» is in good_outcomes and bad_outcomes; allowed is one of them",
        ),
    ] {
        let told = Settings::parse(&format!("[monitoring]\n{text}\n")).expect_err("refused").to_string();
        assert_eq!(told, why);
    }
}

#[test]
fn the_total_rate_is_a_gauge_which_is_counted_aside() {
    let server = Server::new(Settings::default());
    let gauge = |name: &str| -> String {
        let text = server.app.metrics.text(&server.app).expect("text");
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect("the gauge");
        line.rsplit(' ').next().unwrap_or_default().to_string()
    };
    assert_eq!(gauge("statera_override_rate"), "NaN", "nothing was counted yet");
    let id = decide(&server, &[DECLINED, APPROVED]);
    override_to(&server, (&id, 0), "approve", "mitigation");
    server.app.monitoring.watch(&server.app);
    assert_eq!(gauge("statera_override_rate"), "0.5");
    assert_eq!(gauge("statera_override_rate_max"), "0.05");
    assert_eq!(gauge("statera_override_flags"), "1");
    assert_eq!(gauge("statera_override_window_seconds"), (30 * 24 * 3_600).to_string());
    assert!(!server.app.monitoring.is_due());
    // Where not everything is counted, an alarm has something to fire on.
    let part = report(&*server.store, &MonitoringSettings::default(), DAYS, None, 1).expect("is counted");
    *server.app.monitoring.watched.lock().expect("is free") = Some((Instant::now(), Arc::new(part)));
    assert_eq!(gauge("statera_override_rate"), "NaN");
    let window: f64 = gauge("statera_override_window_seconds").parse().expect("a number");
    assert!(window < f64::from(DAYS) * 86_400.0, "{window}");
}
