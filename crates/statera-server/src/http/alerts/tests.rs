//! Cases over a real store: who is in the queue and where, what people do about them, and what the state learns of it.

use super::AlertsSettings;
use crate::http::outcomes::report;
use crate::live::testing::{Scene, json_of, row};
use crate::settings::Settings;
use crate::testing::{answer_of, checker, person, program, viewer};
use crate::who::Who;
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::act::{Act, Actor};
use statera_store::ledger::verify;
use statera_store::people::{NewPerson, Role};
use std::collections::BTreeSet;

const ALERTS: &str = "/api/v1/alerts";

/// A desk that looks only at what the rules stop: payments of 900 or more, and the third of a card in a day. Its shift began
/// some twelve hours ago, so that none ends while a test counts.
fn desk(change: impl FnOnce(&mut AlertsSettings)) -> Scene {
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(12);
    let shifts = vec![began.strftime("%H:%M").to_string()];
    let mut alerts = AlertsSettings { threshold: 1.0, shifts, ..AlertsSettings::default() };
    change(&mut alerts);
    let scene = Scene::with(Settings { alerts, ..Settings::default() });
    for (name, role) in [("ann", Role::Maker), ("ben", Role::Checker), ("vic", Role::Viewer)] {
        let person = NewPerson { name: name.into(), roles: [role].into(), password: None };
        scene.app().store.act(&Actor::Person("ada".into()), Act::AddPerson { person }).expect("added");
    }
    scene
}

fn ann() -> Who {
    person("ann", &[Role::Maker])
}

fn ben() -> Who {
    person("ben", &[Role::Checker])
}

fn call(scene: &Scene, who: &Who, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = json_of(answer_of(scene.app(), who, method, path, &body));
    (status.as_u16(), answer)
}

fn get(scene: &Scene, who: &Who, path: &str) -> Value {
    let (status, answer) = call(scene, who, "GET", path, &Value::Null);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

fn post(scene: &Scene, who: &Who, id: &str, what: &str, body: Value) -> (u16, Value) {
    call(scene, who, "POST", &format!("{ALERTS}/{id}/{what}"), &body)
}

/// A payment of a subject; its probability.
fn pay(scene: &Scene, subject: &str, row: &str) -> (String, f64) {
    let (status, answer) = scene.post(&format!(r#"{{"model":"cards","subject":"{subject}","row":{row}}}"#));
    assert_eq!(status, StatusCode::OK, "{row}: {answer}");
    let probability = answer["decisions"][0]["probability"].as_f64().expect("a probability");
    (answer["id"].as_str().expect("an id").into(), probability)
}

/// A payment of so many minutes ago, in whole seconds.
fn lately(id: usize, minutes_ago: i64, card: &str, shop: &str, amount: &str) -> String {
    let at = jiff::Timestamp::now().as_second() - minutes_ago * 60;
    let at = jiff::Timestamp::from_second(at).expect("a time");
    format!(r#"{{"payment":{id},"at":"{at}","card":"{card}","shop":"{shop}","amount":{amount}}}"#)
}

fn ids(queue: &Value) -> Vec<&str> {
    queue["alerts"].as_array().expect("cases").iter().filter_map(|case| case["id"].as_str()).collect()
}

#[test]
fn cases_of_cards_are_ranked_by_expected_loss() {
    let scene = desk(|alerts| alerts.capacity = 2);
    let (kim, p_kim) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    let (lee, p_lee) = pay(&scene, "lee", &row(2, 61, "C2", "S1", "1200.5"));
    pay(&scene, "lee", &row(3, 62, "C2", "S1", "10"));
    let (_, p_more) = pay(&scene, "kim", &row(4, 63, "C1", "S2", "901"));
    let (choi, p_choi) = pay(&scene, "choi", &row(5, 64, "C3", "S2", "900"));
    let expected = [(&kim, p_kim * 950.0 + p_more * 901.0, 2), (&lee, p_lee * 1200.5, 1), (&choi, p_choi * 900.0, 1)];
    assert!(expected[0].1 > expected[1].1 && expected[1].1 > expected[2].1, "{expected:?}");
    let queue = get(&scene, &viewer(), &format!("{ALERTS}?limit=10"));
    assert_eq!(ids(&queue), [&kim, &lee, &choi], "{queue}");
    for ((_, loss, n), case) in expected.iter().zip(queue["alerts"].as_array().expect("cases")) {
        let told = case["expected_loss"].as_f64().expect("a number");
        assert!((told - loss).abs() < 2e-6, "{told} is not {loss}");
        assert_eq!((&case["waiting"], &case["state"], &case["model"]), (&json!(n), &json!("open"), &json!("cards")));
    }
    // Without a limit the shift's room is the line.
    let queue = get(&scene, &viewer(), ALERTS);
    assert_eq!((ids(&queue).len(), &queue["n_all"], &queue["below"]), (2, &json!(3), &json!(1)));
    assert_eq!((&queue["shift"]["capacity"], &queue["shift"]["left"]), (&json!(2), &json!(2)));
    let (status, told) = post(&scene, &ben(), &kim, "dismiss", json!({"reason": "known_pattern"}));
    assert_eq!(status, 200, "{told}");
    let queue = get(&scene, &viewer(), ALERTS);
    assert_eq!((ids(&queue), &queue["below"], &queue["shift"]["left"]), (vec![lee.as_str()], &json!(1), &json!(1)));
    assert_eq!(get(&scene, &viewer(), &format!("{ALERTS}?state=closed"))["alerts"][0]["verdict"], json!("dismissed"));
    // What a chargeback answers is no longer at stake.
    let (status, told) = scene.outcome(r#"{"model":"cards","transaction":"2","outcome":"fraud","on":"2024-05-02"}"#);
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(ids(&get(&scene, &viewer(), ALERTS)), [&choi]);
    let metrics = {
        scene.app().alerts.count(&*scene.app().store, &scene.app().settings.alerts).expect("counted");
        scene.app().metrics.text(scene.app()).expect("text")
    };
    for line in [
        "statera_alerts{state=\"open\"} 1",
        "statera_alerts_shift{what=\"opened\"} 3",
        "statera_alerts_shift{what=\"dismissed\"} 1",
        "statera_alerts_within_capacity 1",
        "statera_suspicious_transactions_total{model=\"cards\"} 4",
        "statera_alerts_closed_total{model=\"cards\",verdict=\"dismissed\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "«{line}» is not in\n{metrics}");
    }
}

#[test]
fn what_lies_below_the_line_is_read_page_by_page() {
    let scene = desk(|alerts| alerts.capacity = 2);
    let mut all: Vec<(String, f64)> = (0..7)
        .map(|i| {
            let amount = 900 + 20 * (i / 2);
            let (id, p) = pay(&scene, &format!("s{i}"), &row(i, 60 + i, &format!("C{i}"), "S1", &amount.to_string()));
            (id, p * amount as f64)
        })
        .collect();
    // By what is at stake in millionths, then by name.
    all.sort_by_key(|(id, loss)| (-(loss * 1e6).round() as i64, id.clone()));
    let all: Vec<String> = all.into_iter().map(|(id, _)| id).collect();
    let first = get(&scene, &viewer(), ALERTS);
    assert_eq!((ids(&first), &first["below"]), (all[..2].iter().map(String::as_str).collect(), &json!(5)));
    let (mut read, mut next) = (ids(&first).into_iter().map(String::from).collect::<Vec<_>>(), first["next"].clone());
    while let Some(after) = next.as_str() {
        let page = get(&scene, &viewer(), &format!("{ALERTS}?limit=2&after={after}"));
        assert_eq!(page["n_all"], json!(7 - read.len()), "{page}");
        read.extend(ids(&page).into_iter().map(String::from));
        assert_eq!(page["below"], json!(7 - read.len()), "{page}");
        next = page["next"].clone();
    }
    assert_eq!(read, all);
    // Without a limit what follows is not bound by the shift's room.
    let after = first["next"].as_str().expect("a place");
    assert_eq!(ids(&get(&scene, &viewer(), &format!("{ALERTS}?after={after}"))), all[2..]);
    for id in &all[..3] {
        assert_eq!(post(&scene, &ben(), id, "dismiss", json!({"reason": "known_pattern"})).0, 200);
    }
    let closed = get(&scene, &viewer(), &format!("{ALERTS}?state=closed&limit=1"));
    let after = closed["next"].as_str().expect("a place");
    let rest = get(&scene, &viewer(), &format!("{ALERTS}?state=closed&after={after}"));
    assert_eq!((ids(&closed), ids(&rest)), (vec![all[2].as_str()], vec![all[1].as_str(), all[0].as_str()]));
    for (query, shown) in [
        (format!("after={after}"), after.to_string()),
        ("state=closed&after=risk-1-2".into(), "risk-1-2".into()),
        ("after=7".into(), "7".into()),
        (format!("after=risk--5-{}", all[0]), format!("risk--5-{}", all[0])),
    ] {
        let (status, told) = call(&scene, &viewer(), "GET", &format!("{ALERTS}?{query}"), &Value::Null);
        let order = if query.starts_with("state") { "closed" } else { "risk" };
        let words = format!(
            "after is «{shown}»; allowed is «next» of an answer to the same question, such as {order}-120000000-019a…"
        );
        assert_eq!((status, told["message"].as_str()), (400, Some(words.as_str())), "{query}");
    }
}

#[test]
fn a_shift_without_room_tells_where_what_lies_below_begins() {
    let scene = desk(|alerts| alerts.capacity = 1);
    let (done, _) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    assert_eq!(post(&scene, &ben(), &done, "dismiss", json!({"reason": "known_pattern"})).0, 200);
    assert!(get(&scene, &viewer(), ALERTS)["next"].is_null(), "nothing is below");
    pay(&scene, "lee", &row(2, 61, "C2", "S1", "940"));
    pay(&scene, "choi", &row(3, 62, "C3", "S1", "930"));
    let all = get(&scene, &viewer(), &format!("{ALERTS}?limit=10"));
    assert_eq!(ids(&all).len(), 2, "{all}");
    for asked in [String::new(), "model=cards&".into(), "state=open&".into()] {
        let full = get(&scene, &viewer(), &format!("{ALERTS}?{asked}"));
        assert_eq!((ids(&full).len(), &full["below"], &full["shift"]["left"]), (0, &json!(2), &json!(0)), "{full}");
        let (mut read, mut next) = (Vec::new(), full["next"].clone());
        assert!(next.is_string(), "{full}");
        while let Some(after) = next.as_str() {
            let page = get(&scene, &viewer(), &format!("{ALERTS}?{asked}limit=1&after={after}"));
            read.extend(ids(&page).into_iter().map(String::from));
            assert_eq!(page["below"], json!(2 - read.len()), "{page}");
            next = page["next"].clone();
        }
        assert_eq!(read, ids(&all), "{asked}");
        // Without a limit it is one page.
        let after = full["next"].as_str().expect("a place");
        assert_eq!(ids(&get(&scene, &viewer(), &format!("{ALERTS}?{asked}after={after}"))), ids(&all));
    }
    let before_all = super::queue::place_before_all(true);
    assert_eq!(ids(&get(&scene, &viewer(), &format!("{ALERTS}?state=closed&after={before_all}"))), [&done]);
}

#[test]
fn without_a_rule_the_threshold_opens_cases() {
    let scene = desk(|alerts| {
        alerts.threshold = 1.0;
        alerts.thresholds = [("cards".to_string(), 0.0)].into();
    });
    let (id, p) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "10"));
    let queue = get(&scene, &viewer(), ALERTS);
    assert_eq!(ids(&queue), [&id]);
    assert!((queue["alerts"][0]["expected_loss"].as_f64().expect("a number") - p * 10.0).abs() < 1e-6);
    // Who names nobody has the case of the card that the windows count by.
    let unnamed = |id: usize, card: &str| {
        let row = row(id, 60 + id, card, "S1", "10");
        let (status, told) = scene.post(&format!(r#"{{"model":"cards","row":{row}}}"#));
        assert_eq!(status, StatusCode::OK, "{told}");
        told["id"].as_str().expect("an id").to_string()
    };
    let (first, _, other) = (unnamed(2, "C7"), unnamed(3, "C7"), unnamed(4, "C8"));
    let queue = get(&scene, &viewer(), ALERTS);
    // Names of one millisecond have no order.
    let (found, expected) = (BTreeSet::from_iter(ids(&queue)), BTreeSet::from([&*id, &first, &other]));
    assert_eq!(found, expected);
    let case = get(&scene, &ben(), &format!("{ALERTS}/{first}"));
    assert_eq!((&case["card"], case["timeline"].as_array().map(Vec::len)), (&json!("C7"), Some(2)), "{case}");
}

#[test]
fn a_confirmed_case_teaches_the_state_and_outlives_the_process() {
    let mut scene = desk(|_| {});
    let (first, _) = pay(&scene, "kim", &lately(1, 3 * 1440, "C1", "S1", "950"));
    pay(&scene, "lee", &lately(2, 2 * 1440, "C2", "S1", "20"));
    let (status, told) = post(&scene, &ben(), &first, "confirm", json!({"note": "she was at home"}));
    assert_eq!((status, &told["state"], &told["verdict"]), (200, &json!("closed"), &json!("confirmed")), "{told}");
    assert_eq!(told["assigned"], json!("ben"));
    // Asked again it is done; by somebody else, or otherwise, it is refused.
    let again = post(&scene, &ben(), &first, "confirm", json!({"note": "she was at home"}));
    assert_eq!((again.0, &again.1), (200, &told));
    for (who, what, body) in [
        (ben(), "confirm", json!({"note": "another"})),
        (ann(), "confirm", json!({"note": "she was at home"})),
        (ben(), "dismiss", json!({"reason": "other"})),
        (ben(), "assign", json!({"to": "ann", "from": "ben"})),
    ] {
        let (status, told) = post(&scene, &who, &first, what, body);
        assert_eq!((status, &told["error"]), (409, &json!("closed")), "{what}: {told}");
        assert!(told["message"].as_str().is_some_and(|m| m.starts_with("the case was confirmed on 2")), "{told}");
    }
    // One outcome, as a report of its own would have made it: the shop has one known fraud of two payments.
    let later = get(&scene, &ben(), &format!("/api/v1/decisions/{first}"));
    let kinds: Vec<&str> =
        later["later"].as_array().expect("records").iter().filter_map(|r| r["kind"].as_str()).collect();
    assert_eq!(kinds, ["alert", "outcome", "alert"]);
    assert_eq!(later["later"][1]["facts"]["label"]["is_fraud"], json!(true));
    let share = |scene: &Scene, row: &str| scene.windows(&scene.taken(row))["shop_fraud_mean_7d_shifted"].clone();
    assert_eq!(share(&scene, &lately(3, -1, "C3", "S1", "10")), json!(0.5));
    scene.kill();
    scene.start();
    assert_eq!(share(&scene, &lately(4, -2, "C3", "S1", "10")), json!(0.5));
    let case = get(&scene, &ben(), &format!("{ALERTS}/{first}"));
    assert_eq!((&case["verdict"], &case["steps"][1]["note"]), (&json!("confirmed"), &json!("she was at home")));
    assert_eq!(case["timeline"][0]["outcome"], json!("fraud"));
    // The next suspicious payment of the card is another case.
    let (next, _) = pay(&scene, "kim", &lately(5, -3, "C1", "S9", "910"));
    assert_eq!(ids(&get(&scene, &viewer(), ALERTS)), [&next]);
    let folder = scene.folder().join("store");
    scene.stop();
    let verified = verify(&folder.display().to_string(), None, None).expect("checked");
    assert_eq!(verified.findings, []);
}

#[test]
fn a_person_says_which_transactions_of_the_card_are_frauds() {
    let scene = desk(|_| {});
    let (first, _) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    pay(&scene, "kim", &row(2, 61, "C1", "S1", "12"));
    pay(&scene, "lee", &row(3, 62, "C2", "S1", "13"));
    for (named, told) in [(json!(["3"]), "«3» is none of the card's"), (json!(["77"]), "«77» is none of the card's")]
    {
        let (status, answer) = post(&scene, &ben(), &first, "confirm", json!({"transactions": named}));
        assert_eq!(status, 400, "{answer}");
        assert!(answer["message"].as_str().is_some_and(|m| m.contains(told)), "{answer}");
    }
    let (status, _) = post(&scene, &ben(), &first, "confirm", json!({"transactions": []}));
    assert_eq!(status, 400);
    // The contrary of what was said of one of them refuses all.
    let genuine = r#"{"model":"cards","transaction":"2","outcome":"genuine","on":"2024-05-03"}"#;
    assert_eq!(scene.outcome(genuine).0, StatusCode::OK);
    let (status, told) = post(&scene, &ben(), &first, "confirm", json!({"transactions": ["1", "2"]}));
    assert_eq!((status, &told["error"]), (409, &json!("disagreement")), "{told}");
    let case = get(&scene, &ben(), &format!("{ALERTS}/{first}"));
    let said: Vec<&Value> = case["timeline"].as_array().expect("items").iter().map(|item| &item["outcome"]).collect();
    assert_eq!(said, [&Value::Null, &json!("genuine")], "{case}");
    let (status, told) = post(&scene, &ben(), &first, "confirm", json!({"transactions": ["1"]}));
    assert_eq!((status, &told["waiting"]), (200, &json!(0)), "{told}");
    let refused = r#"{"model":"cards","transaction":"1","outcome":"genuine"}"#;
    assert_eq!(scene.outcome(refused).1["error"], json!("disagreement"));
}

#[test]
fn of_two_people_the_second_is_told_who_has_the_case() {
    let mut scene = desk(|_| {});
    let (id, _) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    let (status, told) = post(&scene, &ann(), &id, "assign", json!({"to": "ann"}));
    assert_eq!((status, &told["state"], &told["assigned"]), (200, &json!("assigned"), &json!("ann")), "{told}");
    assert_eq!(post(&scene, &ann(), &id, "assign", json!({"to": "ann"})), (200, told), "said again");
    for (what, body) in [
        ("assign", json!({"to": "ben"})),
        ("assign", json!({"to": "ben", "from": "vic"})),
        ("confirm", json!({})),
        ("dismiss", json!({"reason": "other"})),
    ] {
        let (status, told) = post(&scene, &ben(), &id, what, body);
        assert_eq!((status, &told["error"]), (409, &json!("taken")), "{what}: {told}");
        assert!(told["message"].as_str().is_some_and(|m| m.starts_with("«ann» works on the case")), "{told}");
    }
    assert_eq!(ids(&get(&scene, &viewer(), &format!("{ALERTS}?state=assigned"))), [&id]);
    assert!(ids(&get(&scene, &viewer(), &format!("{ALERTS}?state=open"))).is_empty());
    scene.kill();
    scene.start();
    // After a restart it is hers still; whoever takes it over says from whom.
    let (status, told) =
        post(&scene, &ben(), &id, "assign", json!({"to": "ben", "from": "ann", "note": "her shift ended"}));
    assert_eq!((status, &told["assigned"]), (200, &json!("ben")), "{told}");
    // Who has it may give it away.
    assert_eq!(post(&scene, &ben(), &id, "assign", json!({"to": "ann"})).0, 200);
    let steps = get(&scene, &ben(), &format!("{ALERTS}/{id}"))["steps"].take();
    let told: Vec<_> = steps.as_array().expect("steps").iter().map(|s| [&s["by"], &s["to"], &s["number"]]).collect();
    let expected = [("ann", "ann", 1), ("ben", "ben", 2), ("ben", "ann", 3)];
    assert_eq!(
        told,
        expected
            .map(|(by, to, n)| [json!(by), json!(to), json!(n)])
            .iter()
            .map(|s| [&s[0], &s[1], &s[2]])
            .collect::<Vec<_>>()
    );
    assert_eq!(steps[1]["note"], json!("her shift ended"));
    for (to, told) in [("zoe", "there is no person «zoe»"), ("vic", "may not work on alerts")] {
        let (status, answer) = post(&scene, &ann(), &id, "assign", json!({"to": to}));
        assert_eq!(status, 400, "{answer}");
        assert!(answer["message"].as_str().is_some_and(|m| m.contains(told)), "{answer}");
    }
}

#[test]
fn a_case_shows_what_its_reader_may_see() {
    let scene = desk(|_| {});
    pay(&scene, "kim", &row(1, 60, "C1", "S1", "12"));
    let (id, p) = pay(&scene, "kim", &row(2, 61, "C1", "S2", "950"));
    pay(&scene, "kim", &row(3, 62, "C1", "S1", "13"));
    let (other, _) = pay(&scene, "lee", &row(4, 63, "C2", "S2", "930"));
    pay(&scene, "choi", &row(5, 64, "C3", "S7", "940"));
    let path = format!("{ALERTS}/{id}");
    let case = get(&scene, &ben(), &path);
    assert_eq!((&case["card"], &case["id"]), (&json!("kim"), &json!(id)), "{case}");
    let timeline = case["timeline"].as_array().expect("items");
    let told: Vec<_> = timeline.iter().map(|i| (i["transaction"].as_str(), i["suspicious"].as_bool())).collect();
    // The third payment of a card in a day is challenged.
    assert_eq!(told, [(Some("1"), Some(false)), (Some("2"), Some(true)), (Some("3"), Some(true))]);
    let item = &timeline[1];
    assert_eq!((&item["amount"], &item["sent"]["shop"]), (&json!("950"), &json!("S2")));
    assert_eq!((&item["answer"]["action"], &item["answer"]["rules"][0]["code"]), (&json!("block"), &json!("big")));
    assert_eq!(item["answer"]["probability"].as_f64().map(f64::to_bits), Some(p.to_bits()));
    assert!((item["at_stake"].as_f64().expect("a number") - p * 950.0).abs() < 1e-6);
    // The shop links it with one other case.
    let neighbours = case["neighbours"].as_array().expect("cases");
    assert_eq!(neighbours.len(), 1, "{case}");
    assert_eq!((&neighbours[0]["id"], &neighbours[0]["shared"]), (&json!(other), &json!(["shop"])));
    // Without personal data for who only looks; in full for who has the case.
    for who in [viewer(), ann()] {
        let case = get(&scene, &who, &path);
        let text = case.to_string();
        assert!(!text.contains("kim") && !text.contains("\"sent\"") && !text.contains("\"answer\""), "{text}");
        assert_eq!(case["timeline"].as_array().map(Vec::len), Some(3));
    }
    assert_eq!(post(&scene, &ann(), &id, "assign", json!({"to": "ann"})).0, 200);
    assert_eq!(get(&scene, &ann(), &path)["card"], json!("kim"));
    let rows = scene.app().store.audit_rows("writer-1", 0, 1_000).expect("read");
    let reads: Vec<&str> =
        rows.iter().filter(|r| r.body.contains(&format!("read alert {id}"))).map(|r| r.actor.as_str()).collect();
    assert_eq!(reads, [r#"{"person":"ben"}"#, r#"{"person":"ann"}"#]);
}

#[test]
fn an_erased_card_is_in_no_queue() {
    let scene = desk(|_| {});
    let (kim, _) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    let (lee, _) = pay(&scene, "lee", &row(2, 61, "C2", "S1", "940"));
    assert_eq!(post(&scene, &ben(), &kim, "assign", json!({"to": "ben", "note": "kim was called"})).0, 200);
    scene.app().store.erase(&Actor::Person("ada".into()), "kim", "asked").expect("erased");
    assert_eq!(ids(&get(&scene, &viewer(), ALERTS)), [&lee]);
    let (status, told) = call(&scene, &ben(), "GET", &format!("{ALERTS}/{kim}"), &Value::Null);
    assert_eq!((status, &told["message"]), (404, &json!(format!("there is no alert {kim}"))));
    assert_eq!(post(&scene, &ben(), &kim, "confirm", json!({})).0, 404);
    assert_eq!(get(&scene, &ben(), &format!("{ALERTS}/{lee}"))["neighbours"], json!([]));
}

#[test]
fn a_case_of_which_some_transactions_were_named_waits_for_the_others() {
    let scene = desk(|_| {});
    let (first, _) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    pay(&scene, "kim", &row(2, 61, "C1", "S1", "940"));
    let named = || post(&scene, &ben(), &first, "confirm", json!({"transactions": ["1"]}));
    let (status, told) = named();
    let expected = (200, &json!("assigned"), &json!(1));
    assert_eq!((status, &told["state"], &told["waiting"]), expected, "{told}");
    // Asked again it is done.
    assert_eq!(named(), (200, told));
    let steps = |scene: &Scene| get(scene, &ben(), &format!("{ALERTS}/{first}"))["steps"].as_array().map(Vec::len);
    assert_eq!(steps(&scene), Some(2));
    assert_eq!(ids(&get(&scene, &viewer(), ALERTS)), [&first]);
    let (status, told) = post(&scene, &ben(), &first, "confirm", json!({}));
    assert_eq!((status, &told["verdict"], &told["waiting"]), (200, &json!("confirmed"), &json!(0)), "{told}");
    assert_eq!(steps(&scene), Some(3));
}

#[test]
fn a_case_outlives_the_erasure_of_its_first_transaction() {
    let scene = desk(|alerts| alerts.thresholds = [("cards".to_string(), 0.0)].into());
    let unnamed = |id: usize| {
        let (status, told) =
            scene.post(&format!(r#"{{"model":"cards","row":{}}}"#, row(id, 60 + id, "C7", "S1", "10")));
        assert_eq!(status, StatusCode::OK, "{told}");
        told["id"].as_str().expect("an id").to_string()
    };
    let (first, second) = (unnamed(1), unnamed(2));
    scene.app().store.erase(&Actor::Person("ada".into()), &first, "asked").expect("erased");
    let (status, told) = post(&scene, &ann(), &first, "confirm", json!({"note": "it was not C7"}));
    assert_eq!((status, &told["verdict"], &told["waiting"]), (200, &json!("confirmed"), &json!(0)), "{told}");
    let later = get(&scene, &ben(), &format!("/api/v1/decisions/{second}"))["later"].take();
    assert_eq!(later[0]["facts"]["label"]["is_fraud"], json!(true), "{later}");
    assert_eq!(get(&scene, &ben(), &format!("{ALERTS}/{first}"))["card"], json!("C7"));
    // A case may be told of a transaction that nobody can read any more; a program may not.
    let erased = first.parse().expect("an id");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let told = runtime.expect("a runtime").block_on(report(scene.app(), &ben(), erased, "fraud"));
    assert!(told.is_ok(), "{told:?}");
    let later = scene.app().store.records_of(erased, 10).expect("read");
    let last = later.last().map(|record| record.facts.as_str()).unwrap_or_default();
    assert!(last.contains(r#""outcome":"fraud""#) && !last.contains("label"), "{last}");
    assert_eq!(scene.outcome(&format!(r#"{{"decision":"{first}","outcome":"fraud"}}"#)).0, StatusCode::CONFLICT);
}

#[test]
fn who_may_and_what_is_refused() {
    let scene = desk(|_| {});
    let (id, _) = pay(&scene, "kim", &row(1, 60, "C1", "S1", "950"));
    for (who, what, status) in [
        (program(), "", 403),
        (viewer(), "assign", 403),
        (program(), "confirm", 403),
        (person("adm", &[Role::Admin]), "dismiss", 403),
        (person("adm", &[Role::Admin]), "", 403),
        (checker(), "", 200),
    ] {
        let (method, path) =
            if what.is_empty() { ("GET", ALERTS.to_string()) } else { ("POST", format!("{ALERTS}/{id}/{what}")) };
        let body = json!({"to": "ben"});
        let (got, told) = call(&scene, &who, method, &path, if what.is_empty() { &Value::Null } else { &body });
        assert_eq!(got, status, "{who:?} {path}: {told}");
    }
    // A key stands for nobody, whatever its roles are.
    let key = Who { actor: Actor::Key("k".into()), ..ben() };
    assert_eq!(post(&scene, &key, &id, "assign", json!({"to": "ben"})).0, 403);
    assert_eq!(post(&scene, &key, &id, "confirm", json!({})).0, 403);
    let none = "019ac000-0000-7000-8000-000000000000";
    for (method, path, body, status, told) in [
        ("GET", format!("{ALERTS}/{none}"), Value::Null, 404, "there is no alert"),
        ("POST", format!("{ALERTS}/{none}/confirm"), json!({}), 404, "there is no alert"),
        ("GET", format!("{ALERTS}/x"), Value::Null, 400, "«x» is not the id of a record"),
        ("GET", format!("{ALERTS}?limit=0"), Value::Null, 400, "limit is 0; allowed: 1 to 1000"),
        ("GET", format!("{ALERTS}?model=none"), Value::Null, 404, "there is no model «none»"),
        (
            "POST",
            format!("{ALERTS}/{id}/dismiss"),
            json!({"reason": "bored"}),
            400,
            "reason «bored» is not known; allowed: ",
        ),
        ("POST", format!("{ALERTS}/{id}/dismiss"), json!({}), 400, "missing field `reason`"),
        ("POST", format!("{ALERTS}/{id}/confirm"), json!({"notes": ""}), 400, "unknown field `notes`"),
        (
            "POST",
            format!("{ALERTS}/{id}/confirm"),
            json!({"note": "x".repeat(4_001)}),
            400,
            "the note has 4001 characters",
        ),
    ] {
        let (got, answer) = call(&scene, &ben(), method, &path, &body);
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|m| m.contains(told)), "{method} {path}: {answer}");
    }
}
