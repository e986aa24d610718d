//! The command line beside a real PostgreSQL server: its password is in no message and in no part of a bundle.

#![cfg(unix)]

mod common;

use common::statera;
use std::fs;
use std::process::Output;

#[path = "../../statera-data/tests/server/mod.rs"]
mod server;

/// Everything a command has said.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// The server's password is `se%cret`, in an address `se%25cret`.
fn has_password(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|part| part == b"cret")
}

fn check_said(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "«{word}» is not in: {said}");
    }
    assert!(!has_password(said.as_bytes()), "a password is shown: {said}");
}

#[test]
fn passwords_are_never_shown_or_kept() {
    let Some(server) = server::Server::start() else { return };
    server.sql(
        "CREATE TABLE loans AS SELECT g AS loan, 900 + (g * 7919) % 3000 AS income, (g * 31) % 11 AS debt, \
         CASE WHEN (g * 104729) % 1000 < CASE WHEN (g * 7919) % 3000 < 1100 THEN 350 ELSE 120 END THEN 1 ELSE 0 END AS bad \
         FROM generate_series(1, 1500) g",
    );
    let dir = tempfile::tempdir().unwrap();
    let loans = server.table("loans");
    let train = |address: &str| {
        statera(dir.path(), &["train", address, "--target=bad", "--id=loan", "--models=logistic", "--out=m.statera"])
    };
    check_said(&train(&server.source("SELECT no_such FROM loans")), 2, &["column \"no_such\" does not exist"]);
    check_said(&train(&server.source("SELECT 1 / (bad - bad) AS bad FROM loans")), 1, &["division by zero"]);
    check_said(&train(&loans.replace("se%25cret", "se%25cretly")), 1, &["password authentication failed"]);
    check_said(&train(&loans.replace("bank:se%25cret@", "nobody:se%25cret@")), 1, &["check user, password"]);
    check_said(&train(&loans.replace("/postgres?", "/nowhere?")), 1, &["database \"nowhere\" does not exist"]);
    check_said(&train(&loans.replace("table=", "tabel=")), 2, &["a parameter that is not known"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a failed training has left something");

    check_said(&train(&loans), 0, &["m.statera"]);
    let mut names = Vec::new();
    for part in fs::read_dir(dir.path().join("m.statera")).unwrap() {
        let path = part.unwrap().path();
        assert!(!has_password(&fs::read(&path).unwrap()), "a password is in {}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in ["run.json", "facts.json", "manifest.json"] {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
    let scores = server.table("scores");
    let score = ["score", "m.statera", &loans, "--out"];
    check_said(&statera(dir.path(), &[&score[..], &[&scores]].concat()), 0, &["1,500 rows scored"]);
    assert_eq!(server.sql("SELECT count(*) FROM scores").trim(), "1500");
    check_said(&statera(dir.path(), &[&score[..], &[&scores, "--append", "--json"]].concat()), 0, &["n_rows"]);
    check_said(&statera(dir.path(), &["evaluate", "m.statera", &loans]), 0, &["1,500 rows"]);
    check_said(&statera(dir.path(), &["profile", &loans, "--out=page.html"]), 0, &["income"]);
    assert!(!has_password(&fs::read(dir.path().join("page.html")).unwrap()), "a password is in the page");
    check_said(&statera(dir.path(), &["init", &loans]), 0, &["the password was left out", "project.toml"]);
    let project = fs::read_to_string(dir.path().join("project.toml")).unwrap();
    assert!(project.contains("postgres://bank@127.0.0.1") && !has_password(project.as_bytes()), "{project}");
}

#[test]
fn a_mask_goes_into_the_database_and_comes_back() {
    let Some(server) = server::Server::start() else { return };
    server.sql(
        "CREATE TABLE people AS SELECT g AS customer, 'Name ' || g AS name, 4000000000 + g * 7919 AS card, \
         CASE WHEN g % 5 = 0 THEN NULL ELSE g * 13 END AS income FROM generate_series(1, 500) g",
    );
    let dir = tempfile::tempdir().unwrap();
    let made = statera(dir.path(), &["mask", "--new-key", "bank.key", "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let policy = format!(
        "key_check = {}\n[columns]\ncustomer = \"keep\"\nname = \"redact\"\n\
         card = {{ method = \"token\", type = \"integer\" }}\nincome = {{ method = \"encrypt\", type = \"integer\" }}\n",
        made["key_check"]
    );
    fs::write(dir.path().join("mask.toml"), policy).unwrap();
    let mask = |from: &str, to: &str, more: &[&str]| {
        let args = ["mask", from, "--policy=mask.toml", "--key-file=bank.key", "--out", to];
        statera(dir.path(), &[&args[..], more].concat())
    };
    let (people, masked, again) = (server.table("people"), server.table("masked"), server.table("again"));
    check_said(&mask(&people, &masked, &[]), 0, &["500 rows masked"]);
    let kept = "SELECT count(*), count(income), count(*) FILTER (WHERE name = '[REDACTED]') FROM masked";
    assert_eq!(server.sql(kept).trim(), "500|400|500");
    let same = "SELECT count(*) FROM masked JOIN people USING (customer) WHERE masked.card::text = people.card::text \
                OR masked.income::text = people.income::text";
    assert_eq!(server.sql(same).trim(), "0");
    check_said(&mask(&people, &masked, &[]), 2, &["masked"]);
    assert_eq!(server.sql("SELECT count(*) FROM masked").trim(), "500", "a table that holds rows is left alone");
    check_said(&mask(&masked, &again, &["--inverse"]), 0, &["500 rows"]);
    let back = "SELECT count(*) FROM again JOIN people USING (customer, card) \
                WHERE again.income IS NOT DISTINCT FROM people.income";
    assert_eq!(server.sql(back).trim(), "500");
}
