//! Policies, reasons and explanations from the command line.

mod common;

use common::{check, done, statera};
use serde_json::Value;
use std::fs;

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
    // An approved row has reasons too, where the file has some that speak for it.
    let probability = |line: &&str| line.split(',').nth(1).unwrap().parse::<f64>().unwrap();
    let best = decided.lines().skip(1).min_by(|a, b| probability(a).total_cmp(&probability(b))).unwrap();
    let best = best.split(',').next().unwrap();
    assert!(!done(dir, &["explain", "d.statera", "loans.csv", "--row", best]).contains("1. "));
    fs::write(dir.join("either.toml"), REASONS.replace("[\"income\"]", "[\"income\"]\ndirection = \"either\""))
        .unwrap();
    done(dir, &["policy", "d.statera", "--reasons=either.toml", "--out=either.statera"]);
    let shown = done(dir, &["explain", "either.statera", "loans.csv", "--row", best]);
    assert!(shown.contains("What speaks for it:\n1. The income is low"), "{shown}");
    let shown = done(dir, &["explain", "d.statera", "loans.csv", "--row", id]);
    assert!(
        shown.contains("(the average row)") && shown.contains("(sum: the margin)") && shown.contains("1. "),
        "{shown}"
    );

    // Where a policy declines everybody, there is no bad rate; where few lie above the cut-off, some are declined all the same.
    fs::write(dir.join("none.toml"), "version = \"n\"\n[decision]\nby = \"cutoff\"\ndecline_from = 0.000001\n")
        .unwrap();
    let shown = done(dir, &["policy", "m.statera", "--policy=none.toml", "--data=loans.csv"]);
    assert!(shown.contains("nobody approved"), "{shown}");
    let few = POLICY.replace("bad_approved = 5", "bad_approved = 1").replace("capacity = 0.1", "capacity = 0.9");
    fs::write(dir.join("few.toml"), few).unwrap();
    let args = ["policy", "m.statera", "--policy=few.toml", "--data=loans.csv", "--json"];
    let few: Value = serde_json::from_str(&done(dir, &args)).unwrap();
    assert!(number(&few["judgement"]["shares"][2]) > 0.0, "{few}");
    assert!(few["notes"][0].as_str().unwrap().starts_with("review_capacity is 90.0 %, and "), "{few}");

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
fn tables_whose_figures_flatter_are_told_from_others() {
    let folder = folder();
    let dir = folder.path();
    let csv = loans(1500);
    // The rows of the training with a column more, a part of them, and others.
    let wider: String = csv.lines().enumerate().map(|(i, line)| format!("{line},n{i}\n")).collect();
    let part: String = csv.lines().take(700).map(|line| format!("{line}\n")).collect();
    let short: String = csv.lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0)).collect();
    for (name, text) in [("wider.csv", wider), ("part.csv", part), ("short.csv", short)] {
        fs::write(dir.join(name), text).unwrap();
    }
    let is_training = |file: &str| -> Value {
        let shown = done(dir, &["evaluate", "m.statera", file, "--json"]);
        serde_json::from_str::<Value>(&shown).unwrap()["is_training_table"].clone()
    };
    assert_eq!(["loans.csv", "wider.csv", "part.csv"].map(is_training), [true, true, false].map(Value::from));
    let judged = done(dir, &["policy", "m.statera", "--data=part.csv", "--protected=sex", "--json"]);
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let what_if = judged["judgement"]["what_if"].as_array().unwrap();
    assert_eq!(what_if.last().unwrap()["cutoff"], Value::Null, "nobody is declined");
    let target = ["policy", "m.statera", "--data=loans.csv", "--protected=sex,bad"];
    check(dir, &target, 2, &["loans.csv: protected column «bad» is the target"]);
    let short = ["evaluate", "m.statera", "short.csv"];
    check(dir, &short, 2, &["short.csv: no column «bad», the target; there are loan, income, late, sex"]);
}

#[test]
fn what_a_policy_came_to_is_kept_with_it() {
    let folder = folder();
    let dir = folder.path();
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let json = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();
    // The training's own judgement is of the rows that it held back, and without a policy at the default approval rate.
    let plain = json("m.statera/judgement.json");
    assert_eq!((&plain["measured_on"], &plain["n_rows"]), (&"test".into(), &300.into()));
    assert_eq!((&plain["decided_by"]["by"], &plain["decided_by"]["rate"]), (&"approval_rate".into(), &0.8.into()));
    let rules = "version = \"bank-7\"\nmin_rows = 50\nmin_events = 5\napproval_ratio = 0.9\nauc_gap = 0.05\n\
        calibration_gap = 0.05\nerror_rate_gap = 0.1\nn_bootstrap = 100\n";
    fs::write(dir.join("rules.toml"), rules).unwrap();
    let train = ["train", "loans.csv", "--target=bad", "--id=loan", "--protected=sex", "--models=scorecard,logistic"];
    let files = ["--policy=policy.toml", "--reasons=reasons.toml", "--rules=rules.toml", "--seed=1", "--out=t.statera"];
    let shown = done(dir, &[&train[..], &files[..]].concat());
    for word in [
        "Policy 2026-1: approved below",
        "rows of the test",
        "Reasons under 5 other fits of the model",
        "judged by the rules bank-7",
        "What tells sex of 1,200 rows",
        "all 2 columns",
        "Accuracy against disparity",
        "(used)",
    ] {
        assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
    }
    assert_eq!((read("t.statera/policy.toml"), read("t.statera/reasons.toml")), (POLICY.into(), REASONS.into()));
    assert_eq!(read("t.statera/rules.toml"), rules);
    let judged = json("t.statera/judgement.json");
    assert_eq!(judged["decided_by"]["version"], "2026-1");
    assert_eq!(judged["rules"]["approval_ratio"], 0.9);
    let first = judged["stability"]["first_stays"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&first), "{first}");
    let candidates = judged["frontier"]["candidates"].as_array().unwrap();
    assert!(candidates.len() >= 2 && candidates.iter().filter(|c| c["is_chosen"] == true).count() == 1, "{judged}");
    let manifest = json("t.statera/manifest.json");
    assert_eq!(
        manifest["parents"].as_array().map(Vec::len),
        Some(0),
        "a bundle that decides from the start has no parent"
    );
    let score = ["score", "t.statera", "loans.csv", "--out=s.csv", "--encoding=utf-8"];
    done(dir, &score);
    assert!(read("s.csv").starts_with("loan,probability,grade,decision,reason_1,reason_2"));

    // New data give a new judgement, the same data the same bundle, which is refused.
    let with = |out: &'static str, from: &'static str| {
        ["policy", from, "--data=loans.csv", "--protected=sex", out].map(str::to_string)
    };
    let run = |args: [String; 5]| done(dir, &args.each_ref().map(String::as_str));
    run(with("--out=j.statera", "t.statera"));
    let again = json("j.statera/judgement.json");
    assert_eq!((&again["measured_on"], &again["n_rows"]), (&"table".into(), &1500.into()));
    assert_eq!(again["rules"]["version"], "bank-7", "the bundle's own rules");
    assert_eq!(again["frontier"], judged["frontier"], "the same columns and rules");
    fs::write(dir.join("other.toml"), rules.replace("bank-7", "bank-8")).unwrap();
    let other = ["policy", "t.statera", "--data=loans.csv", "--protected=sex", "--rules=other.toml", "--json"];
    let other: Value = serde_json::from_str(&done(dir, &other)).unwrap();
    let note = "what other candidates would do is left out: the training found it for other protected columns or by other rules";
    assert_eq!((&other["judgement"]["frontier"], &other["notes"][0]), (&Value::Null, &note.into()));
    let copy = with("--out=k.statera", "j.statera");
    let words = ["nothing was given that j.statera does not hold already; k.statera would be a copy of it"];
    check(dir, &copy.each_ref().map(String::as_str), 2, &words);
    let words = ["nothing was given that t.statera does not hold already"];
    check(
        dir,
        &["policy", "t.statera", "--policy=policy.toml", "--reasons=reasons.toml", "--out=k.statera"],
        2,
        &words,
    );
    // Another policy leaves what the former one came to behind.
    fs::write(dir.join("strict.toml"), POLICY.replace("bad_approved = 5", "bad_approved = 20")).unwrap();
    let said = ["what the former policy came to is left out of the new bundle; --data judges the new one"];
    check(dir, &["policy", "t.statera", "--policy=strict.toml", "--out=k.statera"], 0, &said);
    assert!(!dir.join("k.statera/judgement.json").exists() && dir.join("k.statera/rules.toml").exists());
}

#[test]
fn a_training_says_early_what_it_cannot_use() {
    let folder = folder();
    let dir = folder.path();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write("same.csv", &loans(300).replace(",f,", ",m,"));
    write("other.csv", "loan,salary,late\nR1,900,1\n");
    write("declined.csv", "loan,income,late\nR1,900,1\nR2,1900,4\n");
    write("told.csv", "loan,income,late,bad\nR1,900,1,\nR2,1900,4,1\n");
    write("none.csv", "loan,income,late\n");
    write("text.csv", "loan,income,late\nR1,900,1\nR2,much,4\n");
    let other = REASONS.replace("columns = [\"late\"]", "columns = [\"LATE\"]");
    write("other.toml", &other);
    write(
        "low.toml",
        "version = \"x\"\nmin_rows = 100\nmin_events = 10\napproval_ratio = 1.8\nauc_gap = 0.05\n\
        calibration_gap = 0.05\nerror_rate_gap = 0.1\nn_bootstrap = 200\n",
    );
    let refused = |data: &str, more: &[&str], code: i32, words: &[&str]| {
        let train = ["train", data, "--target=bad", "--id=loan", "--folds=3", "--seed=1", "--out=x.statera"];
        check(dir, &[&train[..], more].concat(), code, words);
        assert!(!dir.join("x.statera").exists());
    };
    let fast = "--models=logistic";
    refused("loans.csv", &["--protected=religion"], 2, &["protected: loans.csv: no column «religion»; there are loan"]);
    let one = ["same.csv: protected column «sex»: «m» is its only level; at least two are needed to compare"];
    refused("same.csv", &["--protected=sex"], 1, &one);
    refused("loans.csv", &["--mitigate=reweighing", "--drop=sex"], 2, &["mitigate: given without protected columns"]);
    refused(
        "loans.csv",
        &["--rules=low.toml"],
        2,
        &["low.toml: rules.toml: fairness rules «x»: approval_ratio is 1.8"],
    );
    write("low.toml", &fs::read_to_string(dir.join("low.toml")).unwrap().replace("1.8", "0.8"));
    refused("loans.csv", &["--rules=low.toml", "--drop=sex"], 2, &["rules: given without protected columns"]);
    let words = ["reason «late»: the model has no column «LATE»; its columns are income, late"];
    refused("loans.csv", &["--protected=sex", "--reasons=other.toml"], 2, &words);
    let words = ["policy: needs a target of two classes, one of them the event; «income» is a number"];
    check(
        dir,
        &["train", "loans.csv", "--target=income", "--id=loan", "--policy=policy.toml", "--out=x.statera"],
        2,
        &words,
    );

    let drop = "--drop=sex";
    let reject = |file: &'static str| ["--reject-inference=parcelling", file, drop, fast];
    refused("loans.csv", &["--rejects=declined.csv", drop], 2, &["rejects: given without a way to infer"]);
    refused("loans.csv", &["--reject-inference=fuzzy", drop], 2, &["reject_inference: given without rejects"]);
    refused("loans.csv", &reject("--rejects=other.csv"), 1, &["other.csv: a column is missing", "«income» (number)"]);
    let words = ["told.csv: target «bad», row 2: «1»; declined applications have no outcome"];
    refused("loans.csv", &reject("--rejects=told.csv"), 1, &words);
    refused("loans.csv", &reject("--rejects=none.csv"), 1, &["none.csv: no rows"]);
    refused("loans.csv", &reject("--rejects=text.csv"), 1, &["text.csv: column «income», row 2", "much"]);
    refused("loans.csv", &reject("--rejects=gone.csv"), 1, &["gone.csv"]);
    let with = |more: &'static str| ["--reject-inference=fuzzy", "--rejects=declined.csv", drop, fast, more];
    let words = ["reject_factor: 50 is not allowed; allowed is above 0 and at most 20"];
    refused("loans.csv", &with("--reject-factor=50"), 2, &words);
    let boosting = ["--reject-inference=fuzzy", "--rejects=declined.csv", drop, "--models=boosting"];
    let words = ["reject inference is for scorecard and logistic; the candidates are boosting: add one of the two"];
    refused("loans.csv", &boosting, 2, &words);
    let both = ["--mitigate=reweighing", "--protected=sex", "--reject-inference=fuzzy", "--rejects=declined.csv"];
    refused("loans.csv", &both, 2, &["mitigate and reject_inference are both given; only one can hold"]);
    let words = ["reject_factor: 2 has no meaning without reject_inference"];
    refused("loans.csv", &["--reject-factor=2", drop, fast], 2, &words);
}

#[test]
fn a_project_file_names_what_the_bundle_decides_by() {
    let folder = folder();
    let dir = folder.path();
    fs::create_dir(dir.join("sub")).unwrap();
    for name in ["loans.csv", "policy.toml", "reasons.toml"] {
        fs::rename(dir.join(name), dir.join("sub").join(name)).unwrap();
    }
    let mut declined = String::from("loan,income,late\n");
    (0..300).for_each(|i| declined += &format!("R{i},{},{}\n", 700 + i, i % 5));
    fs::write(dir.join("sub/declined.csv"), declined).unwrap();
    let project = "[sources]\nloans = \"loans.csv\"\ndeclined = \"declined.csv\"\n[main]\nsource = \"loans\"\n\
        key = \"loan\"\n[roles]\ntarget = \"bad\"\nprotected = [\"sex\"]\n[candidates]\nmodels = [\"scorecard\", \"boosting\"]\n\
        [policy]\nfile = \"policy.toml\"\nreasons = \"reasons.toml\"\n[rejects]\nsource = \"declined\"\n\
        inference = \"parcelling\"\nfactor = 1.5\n";
    fs::write(dir.join("sub/p.toml"), project).unwrap();
    let shown = done(dir, &["train", "sub/p.toml", "--out=p.statera"]);
    for word in ["Used: Scorecard, with rejects", "Gradient boosting", "Policy 2026-1", "approved below"] {
        assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
    }
    let facts: Value = serde_json::from_str(&fs::read_to_string(dir.join("p.statera/facts.json")).unwrap()).unwrap();
    assert_eq!(facts["leaderboard"]["chosen"], "scorecard_rejects");
    let notes = facts["notes"].to_string();
    assert!(notes.contains("the outcomes of 300 declined applications") && notes.contains("times 1.5"), "{notes}");
    fs::write(dir.join("sub/p.toml"), project.replace("source = \"declined\"", "source = \"rejected\"")).unwrap();
    check(
        dir,
        &["train", "sub/p.toml", "--out=q.statera"],
        2,
        &["rejects.source: no source «rejected»; [sources] has declined"],
    );
}

#[test]
fn files_that_cannot_decide_are_refused() {
    let folder = folder();
    let dir = folder.path();
    fs::write(dir.join("gap.toml"), POLICY.replace("from = 0.1", "from = 0.2")).unwrap();
    let policy = |file: &str| ["policy", "m.statera", file, "--out=d.statera"].map(String::from);
    let with = |file: &str, code, words: &[&str]| {
        let args = policy(file);
        check(dir, &args.each_ref().map(String::as_str), code, words);
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
    let beside = ["train", "loans.csv", "--target=bad", "--id=loan", "--policy=policy.toml", "--out=d.statera"];
    for (flag, said) in [("--cutoff=0.2", "cutoff 0.2"), ("--approval-rate=0.8", "approval_rate 0.8")] {
        let said = format!("policy: given beside {said}; a policy says itself where approval ends");
        check(dir, &[&beside[..], &[flag]].concat(), 2, &[&said]);
    }
    check(dir, &["policy", "m.statera"], 2, &["nothing to do: give --policy, --reasons or --recourse, or --data"]);
    check(dir, &["policy", "m.statera", "--data=loans.csv"], 2, &["the bundle has no policy"]);
    let judged = |column: &str, code, words: &[&str]| {
        let protected = format!("--protected={column}");
        check(dir, &["policy", "m.statera", "--policy=policy.toml", "--data=loans.csv", &protected], code, words);
    };
    judged(
        "religion",
        2,
        &["loans.csv: protected column «religion»: the table has no such column; there are loan, income"],
    );
    judged("loan", 1, &["protected column «loan»: 1500 levels; allowed: at most 50"]);
    check(dir, &["explain", "m.statera", "loans.csv", "--row=X"], 2, &["loans.csv: --row X: no row has that «loan»"]);
    fs::write(dir.join("rules.toml"), "version = \"x\"\nmin_rows = 5\n").unwrap();
    let rules =
        ["policy", "m.statera", "--policy=policy.toml", "--data=loans.csv", "--protected=sex", "--rules=rules.toml"];
    check(dir, &rules, 2, &["rules.toml", "min_events"]);
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
        assert!(new > old && new % 50 == 0 && new <= 5000, "{old} {new}");
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
    check(dir, &with(&["--recourse=recourse.toml"]), 2, &["recourse.toml: the bundle has no policy whose decision"]);
    check(
        dir,
        &with(&["--policy=policy.toml", "--recourse=other.toml"]),
        2,
        &["recourse.toml: change «salary»: the model has no such column; its columns are income, late"],
    );
    fs::write(dir.join("other.toml"), RECOURSE.replace("step = 50", "step = -1")).unwrap();
    check(
        dir,
        &with(&["--policy=policy.toml", "--recourse=other.toml"]),
        2,
        &["other.toml: recourse.toml: change 1 («income»): step is -1; allowed: finite numbers above 0"],
    );
    assert!(!dir.join("d.statera").exists());
}
