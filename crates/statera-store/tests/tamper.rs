//! Every kind of harm to a copy of a store is found and named: a byte of each column of each row, and rows that are dropped,
//! added, swapped or cut off.

mod facts;

use facts::{DAY_US, Place, act, bundle, decision, named, submit, submit_all, turn_clock};
use rusqlite::Connection;
use statera_core::ErrorKind;
use statera_store::act::{Act, Actor};
use statera_store::alert::{AlertChange, Step, Suspicion, Verdict};
use statera_store::ledger::{Verified, verify};
use statera_store::people::{NewApiKey, NewPerson, Role};
use statera_store::record::{NewRecord, RecordKind};
use statera_store::registry::Change;
use std::path::{Path, PathBuf};

/// A store with something of everything, closed.
fn full_store(folder: &Path) -> Place {
    let place = Place { address: folder.display().to_string(), folder: folder.into() };
    let store = place.open();
    let first = named(decision("kim", "{\"income\": 1}"), "payment-1", b"body");
    let records = vec![first.clone(), decision("", "nobody"), decision("lee", "2")];
    assert!(submit_all(&*store, records).iter().all(Result::is_ok));
    submit(&*store, NewRecord { of: Some(first.id), parts: vec![], ..decision("", "") });
    let person = |name: &str, roles: &[Role]| NewPerson {
        name: name.into(),
        roles: roles.iter().copied().collect(),
        password: Some("$argon2id$secret".into()),
    };
    act(&*store, "root", Act::AddPerson { person: person("ann", &[Role::Admin]) });
    act(&*store, "ann", Act::AddPerson { person: person("mia", &[Role::Maker]) });
    let key = NewApiKey {
        prefix: "paymentpath".into(),
        secret_mac: [3; 32],
        label: "payment path".into(),
        roles: [Role::Scorer].into(),
        rate_per_second: 5,
        urgent: true,
        expires_us: Some(9),
    };
    act(&*store, "ann", Act::AddKey { key });
    act(&*store, "mia", Act::AddModel { name: "credit".into(), tier: 1 });
    let digest = bundle(&*store, folder, 1);
    act(&*store, "mia", Act::AddVersion { model: "credit".into(), digest, note: "first".into() });
    act(&*store, "ann", Act::SetTier { tier: 1, approvals: 1 });
    let change = Change::Champion { version: 1 };
    let proposed = act(&*store, "mia", Act::Propose { model: "credit".into(), change, note: "better".into() });
    let proposal = proposed.proposal.expect("a proposal");
    assert!(act(&*store, "cho", Act::Approve { proposal, note: String::new() }).applied);
    store.erase(&facts::person("ann"), "lee", "asked").expect("is erased");
    turn_clock(40 * DAY_US);
    let at_us = submit(&*store, decision("kim", "3"));
    assert_eq!(store.retain(&Actor::System, at_us, "too old").expect("is done"), 2);
    facts::check_failure(store.retain(&Actor::System, i64::MAX, "x"), ErrorKind::Request, "a time that has passed");
    store.act(&Actor::System, Act::OfferSetup { token_digest: [1; 32], expires_us: 1 }).expect_err("people exist");
    drop(store);
    place
}

/// A copy of a store, and what can be done to it.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn of(place: &Place, to: &Path) -> Copy {
        std::fs::create_dir_all(to).expect("a folder");
        for name in ["store.sqlite", "checkpoints.jsonl", "checkpoint.pub"] {
            std::fs::copy(place.folder.join(name), to.join(name)).expect("is copied");
        }
        Copy { folder: to.into() }
    }

    fn connect(&self) -> Connection {
        Connection::open(self.folder.join("store.sqlite")).expect("opens")
    }

    /// Runs statements; the log is written into the file.
    fn sql(&self, sql: &str) {
        self.connect().execute_batch(sql).expect(sql);
    }

    fn strings(&self, sql: &str) -> Vec<Vec<String>> {
        let connection = self.connect();
        let mut statement = connection.prepare(sql).expect(sql);
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|i| row.get(i)).collect());
        rows.and_then(Iterator::collect).expect(sql)
    }

    fn verify(&self) -> Verified {
        verify(self.folder.to_str().expect("UTF-8"), None, None).expect("can be checked")
    }
}

/// Does something to a copy; the findings as text.
fn harmed(place: &Place, folder: &Path, sql: &str) -> Vec<String> {
    let copy = Copy::of(place, folder);
    copy.sql(sql);
    copy.verify().findings.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(place: &Place, folder: &Path, sql: &str, expected: &[&str]) {
    let found = harmed(place, folder, sql);
    for part in expected {
        assert!(found.iter().any(|f| f.contains(part)), "«{part}» is not found after {sql}: {found:#?}");
    }
}

#[test]
fn an_untouched_copy_is_intact() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = full_store(&folder.path().join("store"));
    let verified = Copy::of(&place, &folder.path().join("copy")).verify();
    assert_eq!(verified.findings, []);
    assert_eq!((verified.n_records, verified.n_parts, verified.chains.len()), (5, 4, 1));
    assert!(verified.n_checkpoints >= 1);
}

/// One change of each kind that a column allows, as an SQL expression over its old value.
fn changes(kind: &str, column: &str) -> Vec<String> {
    match kind {
        "integer" => vec![format!("{column} + 1"), format!("{column} - 1")],
        "text" => vec![
            format!("{column} || 'x'"),
            format!("substr({column}, 2)"),
            format!("replace({column}, 'e', 'f') || 'x'"),
        ],
        "blob" => vec![
            // The lowest bit of the first and of the last byte, then one byte less.
            format!(
                "CAST(CASE WHEN substr({column}, 1, 1) = x'00' THEN x'01' ELSE x'00' END || substr({column}, 2) AS BLOB)"
            ),
            format!(
                "CAST(substr({column}, 1, length({column}) - 1) || CASE WHEN substr({column}, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB)"
            ),
            format!("substr({column}, 1, length({column}) - 1)"),
        ],
        _ => vec!["'x'".into()],
    }
}

#[test]
fn every_column_of_every_row_is_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = full_store(&folder.path().join("store"));
    let whole = Copy::of(&place, &folder.path().join("whole"));
    let tables = [
        "audit",
        "record",
        "part",
        "subject_key",
        "request",
        "model",
        "version",
        "tier",
        "proposal",
        "person",
        "api_key",
        "chain",
    ];
    let mut n_harms = 0;
    for table in tables {
        let n_rows = whole.strings(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}"))[0][0]
            .parse::<usize>()
            .expect("a number");
        assert!(n_rows > 0, "the table {table} is empty");
        for column in whole.strings(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            let column = &column[0];
            for row in 0..n_rows.min(12) {
                let at = format!("(SELECT {column} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {row})");
                let kind = whole.strings(&format!("SELECT typeof({at})"))[0][0].clone();
                for change in changes(&kind, column) {
                    let which = if kind == "null" { format!("{column} IS NULL") } else { format!("{column} = {at}") };
                    let sql = format!("UPDATE OR REPLACE {table} SET {column} = {change} WHERE {which}");
                    let found = harmed(&place, &folder.path().join("harmed"), &sql);
                    assert!(!found.is_empty(), "not found: {sql}");
                    n_harms += 1;
                }
            }
        }
    }
    assert!(n_harms > 400, "{n_harms}");
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = full_store(&folder.path().join("store"));
    let to = folder.path().join("harmed");
    let first = 1i64 << 40;
    let at = |seq: i64| first + seq;
    let check = |sql: &str, expected: &[&str]| check(&place, &to, sql, expected);
    check(
        &format!("UPDATE audit SET body = replace(body, 'credit', 'cradit') WHERE place = {}", at(2)),
        &["chain writer-1, row 2: changed"],
    );
    let dropped = format!("DELETE FROM audit WHERE place = {}", at(3));
    check(&dropped, &["chain writer-1, row 4: row 3 before it was dropped"]);
    let dropped = format!("DELETE FROM audit WHERE place IN ({}, {})", at(6), at(7));
    check(&dropped, &["chain writer-1, row 8: rows 6 to 7 before it were dropped", "its turn is"]);
    let swapped = format!(
        "UPDATE audit SET place = -1 WHERE place = {0}; UPDATE audit SET place = {0} WHERE place = {1}; \
         UPDATE audit SET place = {1} WHERE place = -1",
        at(5),
        at(6)
    );
    check(&swapped, &["row 5: reordered: this is row 6 of the chain", "row 6: reordered: this is row 5 of the chain"]);
    check(
        "DELETE FROM audit WHERE place = (SELECT max(place) FROM audit)",
        &["cut off at the end: a checkpoint names row"],
    );
    check("DELETE FROM audit; DELETE FROM chain", &["chain writer-1 is missing, which a checkpoint names"]);
    check("DELETE FROM record WHERE follows IS NOT NULL", &["row 4: record", "is missing from its table"]);
    check("UPDATE record SET follows = NULL", &["row 4: record", "was changed in its table"]);
    check("DELETE FROM part WHERE key_id IS NULL", &["row 2: part 1 of record", "is missing from its table"]);
    check("UPDATE part SET sealed = zeroblob(40) WHERE key_id IS NULL", &["row 2: part 1 of record", "was changed"]);
    check("DELETE FROM subject_key", &["the key", "is missing from its table"]);
    let erased = "UPDATE subject_key SET wrapped = NULL, subject = NULL, erased_us = 7 WHERE wrapped IS NOT NULL";
    check(erased, &["was erased, and no row of the ledger says so"]);
    check("DELETE FROM request", &["row 1: the request «payment-1» of record", "is missing from its table"]);
    let added =
        "INSERT INTO record SELECT x'00112233445566778899aabbccddeeff', NULL, place, first_part, 0 FROM record LIMIT 1";
    check(added, &["record 00112233-4455-6677-8899-aabbccddeeff is unknown to the ledger"]);
    check("INSERT INTO part SELECT id + 1000, place, key_id, sealed FROM part LIMIT 1", &["is unknown to the ledger"]);
    let key = "INSERT INTO subject_key VALUES (x'00112233445566778899aabbccddeeff', NULL, 1000, x'00', NULL)";
    check(key, &["the key 00112233445566778899aabbccddeeff is unknown to the ledger"]);
    let request = "INSERT INTO request SELECT 'other', name, record, body_digest FROM request";
    check(request, &["the request «payment-1» of «other» is unknown to the ledger"]);
    check(
        "INSERT INTO audit SELECT place + (9 * 1099511627776), at_us, actor, body, hash FROM audit LIMIT 1",
        &["there is no such chain"],
    );
    check("UPDATE model SET route = '{\"champion\":null}'", &["model «credit» was changed in its table"]);
    check("UPDATE person SET roles = '[\"admin\"]' WHERE name = 'mia'", &["person «mia» was changed in its table"]);
    check("UPDATE person SET password = 'x' WHERE name = 'ann'", &["person «ann» was changed in its table"]);
    check("DELETE FROM api_key", &["API key «paymentpath» of the ledger is missing"]);
    check("INSERT INTO tier VALUES (4, 1)", &["the tier «4» is unknown to the ledger"]);
}

/// A store with a case of one suspicious decision, which nobody took; the decision.
fn suspected(folder: &Path) -> (Place, NewRecord) {
    let at = folder.join("store");
    let place = Place { address: at.display().to_string(), folder: at };
    let suspicion = Suspicion { model: "cards".into(), card: "kim".into(), risk: 5, keys: vec![] };
    let opening = NewRecord { alert: Some(AlertChange::Suspect(suspicion)), ..decision("kim", "1") };
    submit(&*place.open(), opening.clone());
    (place, opening)
}

#[test]
fn alerts_stand_as_the_steps_in_the_ledger_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, opening) = suspected(folder.path());
    let store = place.open();
    let (of, alert) = (Some(opening.id), Some(AlertChange::Answer));
    submit(&*store, NewRecord { kind: RecordKind::Outcome, of, alert, ..decision("kim", "{}") });
    for (number, closed) in [(1, None), (2, Some(Verdict::Dismissed))] {
        let step = AlertChange::Step(Step { number, assigned: Some("ann".into()), closed });
        let record = decision("kim", "{}");
        submit(&*store, NewRecord { kind: RecordKind::Alert, of: Some(opening.id), alert: Some(step), ..record });
    }
    drop(store);
    let to = folder.path().join("harmed");
    assert_eq!(Copy::of(&place, &to).verify().findings, []);
    let changed = format!("the alert {} was changed in its table", opening.id);
    for sql in [
        "UPDATE alert SET assigned = 'ben'",
        "UPDATE alert SET verdict = 'confirmed'",
        "UPDATE alert SET verdict = NULL, closed_us = NULL",
        "UPDATE alert SET steps = 1",
        "UPDATE alert SET steps = 'x'",
    ] {
        check(&place, &to, sql, &[&changed]);
    }
    // Its one decision is answered: nothing waits, and nothing is at stake.
    for sql in ["UPDATE alert SET n_waiting = 7", "UPDATE alert SET risk = 1", "UPDATE alert SET risk = 'x'"] {
        check(&place, &to, sql, &[&changed]);
    }
    let suspect = |wrong: &str| format!("the suspicious decision {} {wrong}", opening.id);
    let orphan = suspect("is of an alert that is missing from its table");
    check(&place, &to, "DELETE FROM alert", &["of the ledger is missing from its table", &orphan]);
    check(&place, &to, "UPDATE suspect SET of_alert = x'00112233445566778899aabbccddeeff'", &[&orphan]);
    let unknown = "the suspicious decision 00112233-4455-6677-8899-aabbccddeeff is unknown to the ledger";
    check(&place, &to, "UPDATE suspect SET record = x'00112233445566778899aabbccddeeff'", &[unknown]);
    check(
        &place,
        &to,
        "INSERT INTO alert SELECT x'00112233445566778899aabbccddeeff', model, card, 0, 0, 9, 1, NULL, NULL, NULL, 0 FROM alert",
        &["the alert 00112233-4455-6677-8899-aabbccddeeff is of a decision that is unknown to the ledger"],
    );
}

#[test]
fn a_case_that_nobody_took_cannot_be_hidden_and_is_not_missed_where_all_of_it_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (place, opening) = suspected(folder.path());
    let to = folder.path().join("harmed");
    let changed = format!("the alert {} was changed in its table", opening.id);
    check(&place, &to, "UPDATE alert SET n_waiting = 0, risk = 0", &[&changed]);
    check(&place, &to, "UPDATE alert SET n_waiting = 0", &[&changed]);
    let orphan = format!("the suspicious decision {} is of an alert that is missing from its table", opening.id);
    check(&place, &to, "UPDATE suspect SET of_alert = x'00112233445566778899aabbccddeeff'", &[&changed, &orphan]);
    check(&place, &to, "DELETE FROM suspect", &[&changed]);
    let answered = format!("the suspicious decision {} passes for answered, and no record follows it", opening.id);
    check(&place, &to, "UPDATE suspect SET answered = 1; UPDATE alert SET n_waiting = 0, risk = 0", &[&answered]);
    // What `statera audit verify` and docs/ledger.md say that it cannot see.
    assert_eq!(harmed(&place, &to, "DELETE FROM suspect; DELETE FROM alert"), Vec::<String>::new());
}

#[test]
fn checkpoints_are_bound_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = full_store(&folder.path().join("store"));
    // More checkpoints: one at each end of a process.
    for _ in 0..3 {
        submit(&*place.open(), decision("", "more"));
    }
    let copy = Copy::of(&place, &folder.path().join("copy"));
    let file = copy.folder.join("checkpoints.jsonl");
    let text = std::fs::read_to_string(&file).expect("reads");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 4, "{text}");
    let found = |lines: &[&str]| {
        std::fs::write(&file, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).expect("is written");
        copy.verify().findings.iter().map(|f| f.to_string()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(found(&lines), "");
    let digit = lines[1].find("\"seq\":").expect("a head") + 6;
    let altered = format!("{}9{}", &lines[1][..digit], &lines[1][digit + 1..]);
    assert!(found(&[&[lines[0], &altered], &lines[2..]].concat()).contains("line 2: a checkpoint was altered"));
    assert!(found(&[&lines[..1], &lines[2..]].concat()).contains("line 2: does not follow the line before it"));
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert!(found(&swapped).contains("does not follow the line before it"));
    // Another key signed them.
    let other = folder.path().join("other.pub");
    std::fs::write(&other, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n").expect("is written");
    let verified = verify(copy.folder.to_str().expect("UTF-8"), None, Some(&other)).expect("can be checked");
    assert_eq!(verified.n_findings as usize, lines.len());
    // A store that lacks rows which its last checkpoint names does not start.
    let store = Copy { folder: place.folder.clone() };
    store.sql("DELETE FROM audit WHERE place = (SELECT max(place) FROM audit)");
    let refused = statera_store::open(&place.options()).map(drop).expect_err("must fail").to_string();
    assert!(refused.contains("the ledger is not the one that the last checkpoint names"), "{refused}");
}
