//! Policies, reasons and explanations from the command line.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn statera(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_statera")).current_dir(dir).args(args).output().expect("the binary starts")
}

fn done(dir: &Path, args: &[&str]) -> String {
    let output = statera(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A command must end with `code` and say all of `words` on standard error.
fn refused(dir: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = statera(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?}: «{word}» is not in: {said}");
    }
}

/// Loans whose outcome depends on income and late payments; the women among the customers earn less.
fn loans(n: usize) -> String {
    let mut csv = String::from("loan,income,late,sex,bad\n");
    for i in 0..n {
        let sex = ["f", "m"][(i * 7) % 2];
        let income = 900 + (i * 7919) % 3000 - if sex == "f" { 300 } else { 0 };
        let late = (i * 31) % 5;
        let risk = if income < 2000 { 300 } else { 60 } + 60 * late;
        let bad = u8::from((i * 104_729) % 1000 < risk);
        csv += &format!("L{i:05},{income},{late},{sex},{bad}\n");
    }
    csv
}

const POLICY: &str = "version = \"2026-1\"\nreview_capacity = 0.1\n[decision]\nby = \"cost\"\nbad_approved = 5\n\
    good_declined = 1\n[[grade]]\nname = \"A\"\nfrom = 0\nto = 0.1\n[[grade]]\nname = \"B\"\nfrom = 0.1\nto = 1\n";

const REASONS: &str = "version = \"2026-1\"\nmax_reasons = 2\n[[reason]]\ncode = \"income\"\ncolumns = [\"income\"]\n\
    en = \"The income is low for this loan\"\nko = \"소득이 대출에 비해 낮습니다\"\nzh = \"收入相对贷款偏低\"\n[[reason]]\ncode = \"late\"\n\
    columns = [\"late\"]\nactionable = true\nen = \"Payments were late in recent months\"\n\
    ko = \"최근 몇 달간 납부가 늦었습니다\"\nzh = \"最近几个月还款有延迟\"\n";

/// A folder with loans, a bundle of logistic regression, the policy and the reasons.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("loans.csv", &loans(1500));
    write("policy.toml", POLICY);
    write("reasons.toml", REASONS);
    let train = ["train", "loans.csv", "--target=bad", "--id=loan", "--protected=sex", "--models=logistic", "--seed=1"];
    done(dir.path(), &[&train[..], &["--out=m.statera"]].concat());
    dir
}

#[test]
fn scores_become_decisions_with_reasons() {
    let folder = folder();
    let dir = folder.path();
    let before = done(dir, &["score", "m.statera", "loans.csv", "--out=before.csv", "--encoding=utf-8"]);
    assert!(before.contains("1,500 rows scored"), "{before}");
    let shown = done(
        dir,
        &[
            "policy",
            "m.statera",
            "--policy=policy.toml",
            "--reasons=reasons.toml",
            "--out=d.statera",
            "--data=loans.csv",
            "--protected=sex",
        ],
    );
    for word in
        ["Policy 2026-1: approved below", "reviewed from", "(the policy's)", "Grade", "sex f", "sex m", "(reference)"]
    {
        assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
    }
    done(dir, &["score", "d.statera", "loans.csv", "--out=scores.csv", "--encoding=utf-8"]);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let (plain, decided) = (read("before.csv"), read("scores.csv"));
    assert_eq!(decided.lines().next(), Some("loan,probability,grade,decision,reason_1,reason_2"));
    let mut n_adverse = 0;
    let mut by_probability: Vec<(f64, String)> = Vec::new();
    for (old, line) in plain.lines().zip(decided.lines()).skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(old, cells[..2].join(","), "the score is the same");
        let p: f64 = cells[1].parse().unwrap();
        assert_eq!(cells[2], if p < 0.1 { "A" } else { "B" });
        assert_eq!(cells[3] == "approve", cells[4].is_empty(), "adverse rows have reasons, the others none: {line}");
        n_adverse += usize::from(cells[3] != "approve");
        by_probability.push((p, cells[3].into()));
    }
    assert!(n_adverse > 100, "{n_adverse}");
    // Approve, then review, then decline, in the order of the probability; about a tenth is reviewed.
    by_probability.sort_by(|a, b| a.0.total_cmp(&b.0));
    let order: Vec<&str> = by_probability.chunk_by(|a, b| a.1 == b.1).map(|c| c[0].1.as_str()).collect();
    assert_eq!(order, ["approve", "review", "decline"]);
    let n_reviewed = by_probability.iter().filter(|(_, d)| d == "review").count();
    assert!((90..=210).contains(&n_reviewed), "{n_reviewed} of 1,500");

    // One of the declined, explained: contributions add up, the reasons are those of the table, in the language asked for.
    let declined = decided.lines().find(|l| l.contains(",decline,")).unwrap();
    let id = declined.split(',').next().unwrap();
    let json: Value =
        serde_json::from_str(&done(dir, &["explain", "d.statera", "loans.csv", "--row", id, "--lang=ko", "--json"]))
            .unwrap();
    let number = |v: &Value| v.as_f64().unwrap();
    let sum: f64 = json["contributions"].as_array().unwrap().iter().map(|c| number(&c["value"])).sum();
    assert!((number(&json["base"]) + sum - number(&json["margin"])).abs() < 1e-9);
    assert_eq!(json["decision"], "decline");
    let codes: Vec<&str> = json["reasons"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap()).collect();
    let in_table: Vec<&str> = declined.split(',').skip(4).filter(|c| !c.is_empty()).collect();
    assert_eq!(codes, in_table);
    assert!(json["reasons"][0]["text"].as_str().unwrap().contains("니다"));
    let shown = done(dir, &["explain", "d.statera", "loans.csv", "--row", id]);
    assert!(
        shown.contains("(the average row)") && shown.contains("(sum: the margin)") && shown.contains("1. "),
        "{shown}"
    );

    // A changed policy makes another bundle of the same model, which names its parent.
    fs::write(dir.join("strict.toml"), POLICY.replace("bad_approved = 5", "bad_approved = 20")).unwrap();
    done(dir, &["policy", "d.statera", "--policy=strict.toml", "--out=strict.statera"]);
    let manifest: Value = serde_json::from_str(&read("strict.statera/manifest.json")).unwrap();
    assert_eq!(manifest["parents"].as_array().map(Vec::len), Some(2));
    assert_eq!(read("strict.statera/reasons.toml"), REASONS, "what is not given is kept");
    done(dir, &["score", "strict.statera", "loans.csv", "--out=strict.csv", "--encoding=utf-8"]);
    let count = |text: &str| text.matches(",decline,").count();
    assert!(count(&read("strict.csv")) > count(&decided));
}

#[test]
fn files_that_cannot_decide_are_refused() {
    let folder = folder();
    let dir = folder.path();
    fs::write(dir.join("gap.toml"), POLICY.replace("from = 0.1", "from = 0.2")).unwrap();
    let policy = |file: &str| ["policy", "m.statera", file, "--out=d.statera"].map(String::from);
    let with = |file: &str, code, words: &[&str]| {
        let args = policy(file);
        refused(dir, &args.each_ref().map(String::as_str), code, words);
        assert!(!dir.join("d.statera").exists());
    };
    with("--policy=gap.toml", 2, &["gap.toml: policy.toml: grades «A» and «B» leave a gap"]);
    with("--policy=gone.toml", 1, &["gone.toml: No such file"]);
    fs::write(
        dir.join("vague.toml"),
        REASONS.replace("The income is low for this loan", "You did not reach our score"),
    )
    .unwrap();
    with(
        "--reasons=vague.toml",
        2,
        &["vague.toml: reasons.toml: reason «income»: en: «You did not reach our score» is vague"],
    );
    fs::write(dir.join("other.toml"), REASONS.replace("columns = [\"late\"]", "columns = [\"LATE\"]")).unwrap();
    with("--reasons=other.toml", 2, &["reason «late»: the model has no column «LATE»; its columns are income, late"]);
    refused(dir, &["policy", "m.statera"], 2, &["nothing to do: give --policy, --reasons or --recourse, or --data"]);
    refused(dir, &["policy", "m.statera", "--data=loans.csv"], 2, &["the bundle has no policy"]);
    let judged = |column: &str, code, words: &[&str]| {
        let protected = format!("--protected={column}");
        refused(dir, &["policy", "m.statera", "--policy=policy.toml", "--data=loans.csv", &protected], code, words);
    };
    judged(
        "religion",
        2,
        &["loans.csv: protected column «religion»: the table has no such column; there are loan, income"],
    );
    judged("loan", 1, &["protected column «loan»: 1500 levels; allowed: at most 50"]);
    refused(dir, &["explain", "m.statera", "loans.csv", "--row=X"], 2, &["loans.csv: --row X: no row has that «loan»"]);
    fs::write(dir.join("rules.toml"), "version = \"x\"\nmin_rows = 5\n").unwrap();
    let rules =
        ["policy", "m.statera", "--policy=policy.toml", "--data=loans.csv", "--protected=sex", "--rules=rules.toml"];
    refused(dir, &rules, 2, &["rules.toml", "min_events"]);
}

const RECOURSE: &str =
    "version = \"r-1\"\n[[change]]\ncolumn = \"income\"\ndirection = \"increase\"\nstep = 50\nmax = 5000\n";

#[test]
fn declined_rows_are_told_what_would_turn_the_decision() {
    let folder = folder();
    let dir = folder.path();
    fs::write(dir.join("recourse.toml"), RECOURSE).unwrap();
    let policy = ["policy", "m.statera", "--policy=policy.toml", "--reasons=reasons.toml", "--recourse=recourse.toml"];
    let output = statera(dir, &[&policy[..], &["--out=d.statera"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("recourse.toml lets «income» change, but its reason «income» is not actionable"), "{said}");
    assert!(said.contains("reason «late» is actionable, but recourse.toml lets none of its columns change"), "{said}");
    assert_eq!(fs::read_to_string(dir.join("d.statera/recourse.toml")).unwrap(), RECOURSE);
    done(dir, &["score", "d.statera", "loans.csv", "--out=scores.csv", "--encoding=utf-8"]);
    let scores = fs::read_to_string(dir.join("scores.csv")).unwrap();
    let loans = fs::read_to_string(dir.join("loans.csv")).unwrap();
    let explain = |id: &str| -> Value {
        serde_json::from_str(&done(dir, &["explain", "d.statera", "loans.csv", "--row", id, "--json"])).unwrap()
    };
    let ids = |decision: &str| -> Vec<String> {
        let of = scores.lines().filter(|l| l.contains(&format!(",{decision},")));
        of.map(|l| l.split(',').next().unwrap().to_string()).take(4).collect()
    };
    assert!(explain(&ids("approve")[0])["recourse"].is_null(), "who is approved needs none");
    let mut answered = None;
    for id in [ids("decline"), ids("review")].concat() {
        let recourse = &explain(&id)["recourse"];
        assert_eq!((&recourse["version"], &recourse["history"][0]), (&"r-1".into(), &"late".into()));
        assert_eq!(recourse["outcome"]["is"] == "found", !recourse["answers"].as_array().unwrap().is_empty());
        let Some(change) = recourse["answers"][0]["changes"][0].as_object() else { continue };
        // The same loan with the income of the answer, scored as any other: it is approved.
        let (from, to) = (change["from"].as_str().unwrap(), change["to"].as_str().unwrap());
        let line = loans.lines().find(|l| l.starts_with(&id)).unwrap();
        assert_eq!(change["column"], "income");
        assert!(line.contains(&format!(",{from},")), "{line}");
        let (old, new): (i64, i64) = (from.parse().unwrap(), to.parse().unwrap());
        assert!(new > old && (new - old) % 50 == 0 && new <= 5000, "{old} {new}");
        let changed =
            format!("loan,income,late,sex,bad\n{}\n", line.replacen(&format!(",{from},"), &format!(",{to},"), 1));
        fs::write(dir.join("changed.csv"), changed).unwrap();
        done(dir, &["score", "d.statera", "changed.csv", "--out=changed-scores.csv", "--encoding=utf-8", "--force"]);
        let again = fs::read_to_string(dir.join("changed-scores.csv")).unwrap();
        assert!(again.contains(",approve,"), "{again}");
        answered = Some(id);
    }
    let id = answered.expect("some of the eight have an answer");
    for (lang, words) in [
        ("en", ["the decision would be approve", "1. income: ", "History, which stays as it is: late."]),
        ("ko", ["결정이 승인이 됩니다", "1. income: ", "이력이므로 그대로 두는 항목: late."]),
        ("zh", ["决定将变为批准", "1. income: ", "属于历史、保持不变的项目：late。"]),
    ] {
        let shown = done(dir, &["explain", "d.statera", "loans.csv", "--row", &id, "--lang", lang]);
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.iter().all(|word| shown.contains(word)), "{shown}");
    }
    // A logistic regression has one way of attributing; it says so and does what it is asked.
    let output = statera(dir, &["explain", "d.statera", "loans.csv", "--row", &id, "--background"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--background changes nothing"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("(the average row)"));
}

#[test]
fn a_recourse_that_cannot_be_is_refused() {
    let folder = folder();
    let dir = folder.path();
    fs::write(dir.join("recourse.toml"), RECOURSE).unwrap();
    fs::write(dir.join("other.toml"), RECOURSE.replace("income", "salary")).unwrap();
    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["policy", "m.statera", "--out=d.statera"], more].concat()
    }
    refused(dir, &with(&["--recourse=recourse.toml"]), 2, &["recourse.toml: the bundle has no policy whose decision"]);
    refused(
        dir,
        &with(&["--policy=policy.toml", "--recourse=other.toml"]),
        2,
        &["recourse.toml: change «salary»: the model has no such column; its columns are income, late"],
    );
    fs::write(dir.join("other.toml"), RECOURSE.replace("step = 50", "step = -1")).unwrap();
    refused(
        dir,
        &with(&["--policy=policy.toml", "--recourse=other.toml"]),
        2,
        &["other.toml: recourse.toml: change 1 («income»): step is -1; allowed: finite numbers above 0"],
    );
    assert!(!dir.join("d.statera").exists());
}
