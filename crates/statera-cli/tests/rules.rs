//! Decision rules from the command line: from a file to actions beside the scores of a bundle.

mod common;

use common::{check, done};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const RULES: &str = r#"
version = "2026-11"
time = "at"

[columns]
at = "time"
terminal = "identifier"

[[list]]
name = "watched"
file = "watched.txt"
blake3 = "DIGEST"

[[rule]]
code = "LARGE"
en = "Large amount"
ko = "큰 금액"
zh = "金额较大"
action = "hold"
when = "amount > 300"

[[rule]]
code = "WATCHED"
en = "Watched terminal and a high score"
ko = "감시 대상 단말기이며 높은 점수"
zh = "受监控终端且评分较高"
action = "block"
valid_from = 2026-01-06
when = "terminal in list watched and score >= 0.2"

[[rule]]
code = "NIGHT"
en = "At night"
ko = "심야"
zh = "夜间"
action = "challenge"
mode = "shadow"
when = "time of at from 23:00 to 06:00"
"#;

/// A folder with payments of ten days, a bundle of logistic regression, and rules with a list.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut csv = String::from("id,at,terminal,amount,n,fraud\n");
    for i in 0..2_000usize {
        let (amount, n) = ((i * 7919) % 400, (i * 31) % 9);
        let terminal = i % 25;
        let risk = if amount > 300 { 500 } else { 30 } + if terminal == 3 { 300 } else { 0 } + 10 * n;
        let fraud = u8::from((i * 104_729) % 1000 < risk);
        let (day, hour) = (1 + i / 200, i % 24);
        csv += &format!("P{i:05},2026-01-{day:02}T{hour:02}:15:00,{terminal:02},{amount}.50,{n},{fraud}\n");
    }
    fs::write(dir.path().join("payments.csv"), csv).unwrap();
    let list = b"# terminals\n03\n";
    fs::write(dir.path().join("watched.txt"), list).unwrap();
    let rules = RULES.replace("DIGEST", &blake3::hash(list).to_hex());
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    done(
        dir.path(),
        &[
            "train",
            "payments.csv",
            "--target=fraud",
            "--id=id",
            "--drop=terminal,at",
            "--models=logistic",
            "--out=m.statera",
        ],
    );
    dir
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&done(dir, &[args, &["--json"]].concat())).unwrap()
}

/// Rows of a CSV file by the first column.
fn rows(path: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    lines.map(|cells| (cells[0].clone(), names.iter().cloned().zip(cells).collect())).collect()
}

#[test]
fn rules_are_checked_tried_put_into_a_bundle_and_act() {
    let folder = folder();
    let dir = folder.path();
    let checked = json(dir, &["rules", "check", "rules.toml", "payments.csv"]);
    assert_eq!(
        (&checked["acting"], &checked["shadow"], &checked["lists"]["watched"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(checked["uses_score"], true);
    done(dir, &["rules", "check", "rules.toml", "--bundle=m.statera"]);
    done(dir, &["rules", "check", "rules.toml"]);
    let shown = done(dir, &["rules", "show", "rules.toml", "--lang=ko"]);
    let places: Vec<usize> =
        ["감시 대상", "큰 금액", "심야"].iter().map(|name| shown.find(name).expect("a name")).collect();
    assert!(places.is_sorted(), "block before hold, shadow last: {shown}");

    let put = json(dir, &["rules", "put", "rules.toml", "m.statera", "--out=r.statera"]);
    assert_eq!(put["rules"], "2026-11");
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("r.statera/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["parents"].as_array().unwrap().len(), 1);
    assert!(manifest["parts"]["decision-rules.toml"].is_object() && manifest["parts"]["list-watched.txt"].is_object());
    done(dir, &["score", "m.statera", "payments.csv", "--out=plain.csv", "--encoding=utf-8"]);
    done(dir, &["score", "r.statera", "payments.csv", "--out=ruled.csv", "--encoding=utf-8"]);
    let (plain, ruled) = (rows(&dir.join("plain.csv")), rows(&dir.join("ruled.csv")));
    let payments = rows(&dir.join("payments.csv"));
    let mut n = BTreeMap::new();
    for (id, row) in &ruled {
        let payment = &payments[id];
        assert_eq!(row["probability"], plain[id]["probability"], "the model is the same");
        let p: f64 = row["probability"].parse().unwrap();
        let is_watched = payment["terminal"] == "03" && p >= 0.2 && payment["at"].as_str() >= "2026-01-06";
        let is_large = payment["amount"].parse::<f64>().unwrap() > 300.0;
        let hour: u8 = payment["at"][11..13].parse().unwrap();
        let (action, rule) = match (is_watched, is_large) {
            (true, _) => ("block", "WATCHED"),
            (_, true) => ("hold", "LARGE"),
            _ => ("allow", ""),
        };
        assert_eq!((row["action"].as_str(), row["rule"].as_str()), (action, rule), "{id} {payment:?}");
        let both: Vec<&str> =
            [(is_large, "LARGE"), (is_watched, "WATCHED")].iter().filter(|r| r.0).map(|r| r.1).collect();
        assert_eq!(row["rules"], both.join(";"), "{id}");
        assert_eq!(row["rules_in_shadow"], if hour == 23 || hour < 6 { "NIGHT" } else { "" }, "{id}");
        *n.entry(action).or_insert(0u64) += 1;
    }
    assert!(n["block"] > 5 && n["hold"] > 100, "{n:?}");

    let back = json(dir, &["rules", "backtest", "r.statera", "payments.csv", "--bundle=r.statera", "--amount=amount"]);
    let by_action: Vec<u64> = back["actions"].as_array().unwrap().iter().map(|a| a[1].as_u64().unwrap()).collect();
    assert_eq!(by_action, [n["allow"], 0, n["hold"], n["block"]]);
    assert_eq!(back["is_training_table"], true);
    assert_eq!((back["n_rows"].as_u64(), back["n_days"].as_u64()), (Some(2_000), Some(10)));
    let large = &back["rules"][0];
    let frauds = payments.values().filter(|p| p["fraud"] == "1");
    let caught = frauds.filter(|p| p["amount"].parse::<f64>().unwrap() > 300.0).count() as u64;
    assert_eq!((large["code"].as_str(), large["events"].as_u64()), (Some("LARGE"), Some(caught)));
    assert!(large["precision"]["low"].as_f64() < large["precision"]["high"].as_f64());
    let (overlap, total) = (&large["overlap"], |v: &Value| v[0].as_u64().unwrap());
    assert_eq!(total(&overlap["both"]) + total(&overlap["rule_only"]), large["alerts"].as_u64().unwrap());
    assert_eq!(total(&overlap["both"]) + total(&overlap["model_only"]), back["model"]["alerts"].as_u64().unwrap());
    let told = done(dir, &["rules", "backtest", "r.statera", "payments.csv", "--bundle=r.statera", "--amount=amount"]);
    for word in ["LARGE (hold)", "NIGHT (challenge, shadow)", "all that act", "the model", "Rule only", "stopped"] {
        assert!(told.contains(word), "«{word}» is not in {told}");
    }
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let folder = folder();
    let dir = folder.path();
    let rules = fs::read_to_string(dir.join("rules.toml")).unwrap();
    let with = |name: &str, from: &str, to: &str| fs::write(dir.join(name), rules.replace(from, to)).unwrap();
    with("unknown.toml", "amount > 300", "amuont > 300");
    check(
        dir,
        &["rules", "check", "unknown.toml", "payments.csv"],
        2,
        &["unknown.toml: rule «LARGE»: ", "no column «amuont»"],
    );
    with("kind.toml", "terminal = \"identifier\"", "amount = \"category\"\nterminal = \"identifier\"");
    check(dir, &["rules", "check", "kind.toml"], 2, &["column «amount» is of kind category"]);
    // The outcome itself: it would find every event, and none when it happens.
    with("later.toml", "amount > 300", "fraud = 1");
    let later =
        ["rule «LARGE»: «fraud» is known later than the row; allowed are columns that are known when it is decided"];
    check(dir, &["rules", "backtest", "later.toml", "payments.csv", "--bundle=m.statera"], 2, &later);
    let rules_later = fs::read_to_string(dir.join("later.toml")).unwrap();
    fs::write(dir.join("later.toml"), rules_later.replace("[columns]", "[columns]\nfraud = \"number\"")).unwrap();
    check(dir, &["rules", "put", "later.toml", "m.statera", "--out=x.statera"], 2, &later);
    with("never.toml", "amount > 300", "amount > 300 and amount < 200");
    check(dir, &["rules", "check", "never.toml"], 2, &["rule «LARGE»: its condition can never hold"]);
    with("behind.toml", "terminal in list watched and score >= 0.2", "terminal in list watched and amount > 300");
    fs::write(
        dir.join("behind.toml"),
        fs::read_to_string(dir.join("behind.toml")).unwrap().replace("action = \"hold\"", "action = \"block\""),
    )
    .unwrap();
    let refused = "rule «WATCHED» can never decide: wherever it holds, «LARGE» holds too";
    check(dir, &["rules", "put", "behind.toml", "m.statera", "--out=x.statera"], 2, &[refused]);
    assert!(!dir.join("x.statera").exists());
    with("twice.toml", "\"NIGHT\"", "\"large\"");
    check(dir, &["rules", "check", "twice.toml"], 2, &["twice.toml: rule «large»: the code is taken"]);
    check(
        dir,
        &["rules", "backtest", "rules.toml", "payments.csv", "--target=fraud"],
        2,
        &["a rule asks for the score"],
    );
    check(dir, &["rules", "backtest", "rules.toml", "payments.csv", "--target=n"], 1, &["target «n» has 9 values"]);
    let of_bundle = ["rules", "backtest", "rules.toml", "payments.csv", "--bundle=m.statera"];
    for (more, told) in [
        ("--edges=payments.csv", "--edges payments.csv: the bundle has no network; leave it out"),
        ("--history=payments.csv", "--history payments.csv: the bundle has no windows and no network; leave it out"),
    ] {
        check(dir, &[&of_bundle[..], &[more]].concat(), 2, &[told]);
        check(dir, &["rules", "backtest", "rules.toml", "payments.csv", "--target=fraud", more], 2, &["--bundle"]);
    }
    check(
        dir,
        &["rules", "show", "m.statera"],
        2,
        &["m.statera has no decision-rules.toml; statera rules put gives it one"],
    );

    // A list that is changed after it was approved, beside the file and in the bundle.
    done(dir, &["rules", "put", "rules.toml", "m.statera", "--out=r.statera"]);
    check(
        dir,
        &["rules", "put", "rules.toml", "r.statera", "--out=again.statera"],
        2,
        &["the bundle has these rules already"],
    );
    fs::write(dir.join("watched.txt"), "03\n04\n").unwrap();
    check(dir, &["rules", "check", "rules.toml"], 2, &["rules.toml: list «watched»: watched.txt was altered"]);
    fs::write(dir.join("r.statera/list-watched.txt"), "# terminals\n04\n").unwrap();
    check(dir, &["rules", "show", "r.statera"], 1, &["list-watched.txt was altered: its digest is not the manifest's"]);
    // A table without a column that only the rules read.
    let payments = fs::read_to_string(dir.join("payments.csv")).unwrap().replace("terminal,", "place,");
    fs::write(dir.join("other.csv"), payments).unwrap();
    fs::write(dir.join("r.statera/list-watched.txt"), "# terminals\n03\n").unwrap();
    check(
        dir,
        &["score", "r.statera", "other.csv", "--out=o.csv"],
        1,
        &["the rules read column «terminal» (identifier), which is missing"],
    );
}
