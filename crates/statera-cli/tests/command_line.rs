//! The command line as a newcomer meets it: a whole round, and bad input of every kind with the message it gets.

mod common;

use common::statera;
use std::fs;
use std::path::Path;
use std::process::Command;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A small table on which a model can be trained; `edit` changes its text.
fn loans(n: usize) -> String {
    let mut csv = String::from("loan,income,region,score,bad\n");
    for i in 0..n {
        let income = 900 + (i * 7919) % 3000;
        let region = ["north", "south", "east"][(i * 31) % 3];
        // The outcome depends on income and, with a pattern that repeats, on nothing else.
        let bad = u8::from((i * 104_729) % 1000 < if income < 2000 { 350 } else { 120 });
        csv += &format!("L{i:05},{income},{region},{},{bad}\n", 700 - income / 10 + (i * 13) % 90);
    }
    csv
}

const TRAIN: [&str; 9] =
    ["train", "loans.csv", "--target", "bad", "--id", "loan", "--models", "logistic", "--out=m.statera"];

/// Trains on `csv` with `more` flags; the exit code and what stands on standard error.
fn train(csv: &[u8], more: &[&str]) -> (i32, String, bool) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), csv).unwrap();
    let output = statera(dir.path(), &[&TRAIN[..], more].concat());
    let left: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|n| n != "loans.csv" && n != "m.statera")
        .collect();
    assert!(left.is_empty(), "half-written files stay: {left:?}");
    (output.status.code().unwrap_or(-1), text(&output.stderr), dir.path().join("m.statera").exists())
}

#[test]
fn a_whole_round() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(1200)).unwrap();
    let trained = statera(
        dir.path(),
        &["train", "loans.csv", "--target", "bad", "--id", "loan", "--baseline", "score", "--out", "m.statera"],
    );
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let shown = text(&trained.stdout);
    for word in ["Scorecard", "Logistic regression", "Gradient boosting", "Present score", "(best)", "m.statera"] {
        assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
    }
    let chart: Vec<&str> = shown.lines().skip_while(|l| !l.starts_with("Learning curves")).take(3).collect();
    assert!(chart.len() == 3 && chart.iter().all(|l| l.chars().count() <= 80), "{shown}");
    assert!(chart[1].starts_with("  Gradient boosting  ") && chart[1].contains(['▁', '█']), "{shown}");
    assert!(chart[2].contains("log loss 0.") && chart[2].contains("; tree ") && chart[2].ends_with(" kept"), "{shown}");
    let scored = statera(dir.path(), &["score", "m.statera", "loans.csv", "--out", "scores.csv"]);
    assert!(scored.status.success(), "{}", text(&scored.stderr));
    let scores = fs::read_to_string(dir.path().join("scores.csv")).unwrap();
    assert!(scores.starts_with("\u{feff}loan,probability"), "{}", &scores[..40]);
    assert_eq!(scores.lines().count(), 1201);
    let measured = statera(dir.path(), &["evaluate", "m.statera", "loans.csv", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&measured.stdout).expect("json on standard output");
    let auc = value["metrics"].as_array().unwrap().iter().find(|m| m["name"] == "auc").expect("an AUC");
    assert!(auc["interval"]["value"].as_f64().unwrap() > 0.6);
    // The same bundle as one file, from the same seed, has the same scores.
    let zipped = statera(
        dir.path(),
        &["train", "loans.csv", "--target", "bad", "--id", "loan", "--baseline", "score", "--out", "m.zip"],
    );
    assert!(zipped.status.success(), "{}", text(&zipped.stderr));
    assert!(statera(dir.path(), &["score", "m.zip", "loans.csv", "--out", "again.csv"]).status.success());
    assert_eq!(scores, fs::read_to_string(dir.path().join("again.csv")).unwrap());
}

#[test]
fn segments_are_found_and_assigned_without_a_target() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(600)).unwrap();
    let train = ["train", "loans.csv", "--use-case", "segment", "--id", "loan", "--drop", "bad"];
    for (model, header) in
        [("kmeans", "loan,segment"), ("gmm", "loan,segment,probability_segment 1,probability_segment 2")]
    {
        let more = ["--models", model, "--clusters", "2", "--out", "s.statera", "--force"];
        let trained = statera(dir.path(), &[&train[..], &more].concat());
        assert!(trained.status.success(), "{}", text(&trained.stderr));
        let shown = text(&trained.stdout);
        for word in ["600 rows by 3 columns", "segment 1:", "segment 2:", "stability", "s.statera"] {
            assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
        }
        let scored = statera(dir.path(), &["score", "s.statera", "loans.csv", "--out", "scores.csv", "--start-over"]);
        assert!(scored.status.success(), "{}", text(&scored.stderr));
        let scores = fs::read_to_string(dir.path().join("scores.csv")).unwrap();
        assert_eq!(scores.lines().next().unwrap().trim_start_matches('\u{feff}'), header);
        assert_eq!(scores.lines().count(), 601);
        fs::remove_file(dir.path().join("scores.csv")).unwrap();
    }
    let refused = |more: &[&str], words: &[&str]| {
        let output = statera(dir.path(), &[&train[..], &["--out", "t.statera"], more].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(words.iter().all(|w| said.contains(w)), "{words:?} are not all in:\n{said}");
    };
    refused(&["--clusters", "9..3"], &["clusters: «9..3» is not allowed", "2..8"]);
    refused(&["--target", "income"], &["target: «income» is given, and segments have no outcome"]);
    refused(&["--models", "boosting"], &["«boosting» finds no segments"]);
    let unknown = statera(dir.path(), &["train", "loans.csv", "--use-case", "market", "--out", "t.statera"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        ["table", "credit", "fraud", "segment"].iter().all(|u| text(&unknown.stderr).contains(u)),
        "{}",
        text(&unknown.stderr)
    );
}

#[test]
fn a_search_shows_what_it_tried_and_refuses_what_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(600)).unwrap();
    let output = statera(dir.path(), &[&TRAIN[..], &["--trials", "6"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Search: 6 trials"), "{}", text(&output.stdout));
    let cases: [(&[&str], &str); 4] = [
        (&["--trials", "0"], "trials: 0 is not allowed; allowed is 1 and above"),
        (&["--budget", "soon"], "budget: «soon» is not a time"),
        (&["--budget", "0.0001s"], "s: give at least "),
        (&["--trials", "5", "--budget", "1m"], "cannot be used with"),
    ];
    for (more, expected) in cases {
        let (code, said, is_there) = train(loans(300).as_bytes(), more);
        assert!(code == 2 && said.contains(expected) && !is_there, "{more:?}: {code} {said}");
    }
}

#[test]
fn bad_training_data_gets_a_clear_error() {
    let good = loans(300);
    let with = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    let header_only = good.lines().next().unwrap().as_bytes().to_vec();
    let constant =
        good.lines().map(|l| if l.starts_with('L') { format!("{}0\n", &l[..l.len() - 1]) } else { format!("{l}\n") });
    // What is wrong, the table, more flags, the exit code, words of the message.
    type Case<'a> = (&'a str, Vec<u8>, &'a [&'a str], i32, &'a [&'a str]);
    let cases: Vec<Case> = vec![
        ("empty", Vec::new(), &[], 1, &["loans.csv", "empty"]),
        ("header only", header_only, &[], 1, &["loans.csv"]),
        ("ragged", with("L00007,", "L00007,extra,"), &[], 1, &["loans.csv", "line 9", "6", "5"]),
        ("binary", vec![0, 159, 146, 150, 0, 1, 2, 3, 0, 0, 200], &[], 1, &["loans.csv"]),
        ("duplicate name", with("region", "income"), &[], 1, &["income"]),
        ("no target", good.clone().into_bytes(), &["--target=gone"], 2, &["gone", "income"]),
        ("constant target", constant.collect::<String>().into_bytes(), &[], 1, &["«bad» is «0» in every row"]),
        (
            "missing target",
            good.replacen(",1\n", ",\n", 1).into_bytes(),
            &[],
            1,
            &["target «bad» is missing in 1 of 300"],
        ),
        (
            "more classes",
            good.clone().into_bytes(),
            &["--target=region", "--positive=north"],
            1,
            &["3 values", "--positive north"],
        ),
        ("no such value", good.clone().into_bytes(), &["--positive=7"], 2, &["--positive 7", "«1»"]),
        ("unknown model", good.clone().into_bytes(), &["--models=oracle"], 2, &["oracle", "scorecard"]),
        ("unknown kind", good.clone().into_bytes(), &["--types=income=money"], 2, &["income=money", "number"]),
        ("unknown zone", good.clone().into_bytes(), &["--tz=Mars/Base"], 2, &["Mars/Base"]),
        ("two roles", good.clone().into_bytes(), &["--weight=loan"], 2, &["loan", "two roles"]),
        ("bad folds", good.clone().into_bytes(), &["--folds=1"], 2, &["folds", "2"]),
        ("single row", good.lines().take(2).collect::<Vec<_>>().join("\n").into_bytes(), &[], 1, &["row"]),
    ];
    for (name, csv, flags, code, words) in cases {
        // A flag that is given again takes the place of the first.
        let flags: Vec<&str> = flags.to_vec();
        let kept: Vec<&str> =
            flags.iter().copied().filter(|f| !f.starts_with("--target=") && !f.starts_with("--models=")).collect();
        let replaced: Vec<&str> =
            flags.iter().copied().filter(|f| f.starts_with("--target=") || f.starts_with("--models=")).collect();
        let (got, stderr, bundle) =
            if replaced.is_empty() { train(&csv, &kept) } else { train_replacing(&csv, &replaced, &kept) };
        assert_eq!(got, code, "{name}: {stderr}");
        assert!(!bundle, "{name}: a bundle was written");
        for word in words {
            assert!(stderr.contains(word), "{name}: «{word}» is not in: {stderr}");
        }
    }
}

/// As [`train`], with the target or the models replaced by `--flag=value`.
fn train_replacing(csv: &[u8], replaced: &[&str], more: &[&str]) -> (i32, String, bool) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), csv).unwrap();
    let mut args = vec!["train", "loans.csv", "--out=m.statera"];
    if !replaced.iter().any(|f| f.starts_with("--target")) {
        args.push("--target=bad");
    }
    args.extend(replaced);
    args.extend(more);
    let output = statera(dir.path(), &args);
    (output.status.code().unwrap_or(-1), text(&output.stderr), dir.path().join("m.statera").exists())
}

#[test]
fn a_missing_file_and_an_unreachable_database_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 3] = [
        (&["profile", "gone.csv"], &["gone.csv"]),
        (&["score", "gone.statera", "x.csv", "--out", "y.csv"], &["gone.statera"]),
        (&["profile", "postgres://u:secret@127.0.0.1:1/db?query=SELECT%201"], &["127.0.0.1", "1"]),
    ];
    for (args, words) in cases {
        let output = statera(dir.path(), args);
        let stderr = text(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        assert!(!stderr.contains("secret"), "a password is shown: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{args:?}: «{word}» is not in: {stderr}");
        }
    }
}

#[test]
fn scoring_data_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let good = loans(600);
    fs::write(dir.path().join("loans.csv"), &good).unwrap();
    let trained = statera(dir.path(), &[&TRAIN[..], &["--drop=score"]].concat());
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let score = |name: &str, csv: &str| {
        fs::write(dir.path().join("new.csv"), csv).unwrap();
        let out = format!("{name}.csv");
        let output = statera(dir.path(), &["score", "m.statera", "new.csv", "--out", &out]);
        (output.status.code(), text(&output.stderr), fs::read_to_string(dir.path().join(out)).ok())
    };
    let (_, _, plain) = score("plain", &good);
    let plain = plain.expect("scores");
    let swapped: String = good
        .lines()
        .map(|l| {
            let f: Vec<&str> = l.split(',').collect();
            format!("{},{},{},{},extra{}\n", f[2], f[0], f[4], f[1], if f[0] == "loan" { "" } else { "1" })
        })
        .collect();
    let (code, stderr, reordered) = score("reordered", &swapped);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(reordered.as_deref(), Some(plain.as_str()), "reordered columns give the same bytes");
    assert!(stderr.contains("2 columns that the model does not read were ignored"), "{stderr}");
    let (code, _, unseen) = score("unseen", &good.replacen("north", "the moon", 1));
    assert_eq!(code, Some(0));
    assert_eq!(unseen.expect("scores").lines().count(), plain.lines().count());
    for (name, csv, words) in [
        ("missing", good.replacen("income", "salary", 1), vec!["«income»"]),
        ("retyped", good.replacen("L00003,", "L00003,about ", 1), vec!["«income»", "about"]),
        ("ragged", good.replacen("L00003,", "L00003,1,", 1), vec!["line 5"]),
    ] {
        let (code, stderr, written) = score(name, &csv);
        assert_eq!(code, Some(1), "{name}: {stderr}");
        assert!(written.is_none(), "{name}: a file was written");
        for word in words {
            assert!(stderr.contains(word), "{name}: «{word}» is not in: {stderr}");
        }
    }
}

#[test]
fn a_damaged_bundle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(600)).unwrap();
    assert!(statera(dir.path(), &TRAIN).status.success());
    let bundle = dir.path().join("m.statera");
    let restore: Vec<(std::path::PathBuf, Vec<u8>)> =
        fs::read_dir(&bundle).unwrap().map(|e| e.unwrap().path()).map(|p| (p.clone(), fs::read(&p).unwrap())).collect();
    let refused = |what: &str, words: &[&str]| {
        let output = statera(dir.path(), &["score", "m.statera", "loans.csv", "--out", "s.csv"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{what}: «{word}» is not in: {stderr}");
        }
        for (path, bytes) in &restore {
            fs::write(path, bytes).unwrap();
        }
    };
    for (path, bytes) in &restore {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "run.json" || name == "manifest.json" {
            continue;
        }
        let mut altered = bytes.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        fs::write(path, &altered).unwrap();
        refused("altered", &[&name, "altered"]);
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        refused("truncated", &[&name, "bytes"]);
        fs::remove_file(path).unwrap();
        refused("removed", &[&name, "missing"]);
    }
    let manifest = fs::read_to_string(bundle.join("manifest.json")).unwrap();
    let version = format!("\"format_version\": {}", statera::bundle::FORMAT_VERSION);
    assert!(manifest.contains(&version));
    fs::write(bundle.join("manifest.json"), manifest.replace(&version, "\"format_version\": 99")).unwrap();
    refused("newer", &["format 99", "install"]);
    fs::write(bundle.join("surprise.bin"), b"x").unwrap();
    let output = statera(dir.path(), &["score", "m.statera", "loans.csv", "--out", "s.csv"]);
    assert!(text(&output.stderr).contains("surprise.bin is not in the manifest"));
}

#[test]
fn an_existing_bundle_is_not_replaced_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(600)).unwrap();
    assert!(statera(dir.path(), &TRAIN).status.success());
    let again = statera(dir.path(), &TRAIN);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    assert!(statera(dir.path(), &[&TRAIN[..], &["--force"]].concat()).status.success());
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/letter.txt"), "dear").unwrap();
    let wrong = statera(
        dir.path(),
        &["train", "loans.csv", "--target", "bad", "--models", "logistic", "--out", "mine", "--force"],
    );
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    assert!(dir.path().join("mine/letter.txt").exists(), "somebody's folder was replaced");
}

#[test]
fn personal_identifiers_are_refused_as_features() {
    let csv: String = loans(300)
        .lines()
        .enumerate()
        .map(|(i, l)| if i == 0 { format!("mail,{l}\n") } else { format!("person{}@example.org,{l}\n", i % 50) })
        .collect();
    let (code, stderr, bundle) = train(csv.as_bytes(), &["--types=mail=category"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("«mail»") && stderr.contains("--drop mail"), "{stderr}");
    assert!(!stderr.contains("@example.org"), "a person's address is shown: {stderr}");
    assert!(!bundle);
}

#[test]
fn help_of_every_command_has_an_example() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["demo", "sample", "init", "profile", "train", "evaluate", "score", "dial", "completions"] {
        let help = text(&statera(dir.path(), &[command, "--help"]).stdout);
        assert!(help.contains("Example") && help.contains(&format!("statera {command}")), "{command}:\n{help}");
    }
    let models = text(&statera(dir.path(), &["train", "--help"]).stdout);
    for model in statera::models::MODELS {
        assert!(models.contains(model.name), "{} is not in the help of train", model.name);
    }
}

#[test]
fn a_column_that_knows_the_outcome_is_named() {
    let csv: String = loans(600)
        .lines()
        .enumerate()
        .map(|(i, l)| {
            // Known only afterwards: recoveries, which the good loans never have.
            let recovered = if l.ends_with(",1") { 100 + i % 7 * 50 } else { 0 };
            if i == 0 { format!("recovered,{l}\n") } else { format!("{recovered},{l}\n") }
        })
        .collect();
    let (code, stderr, _) = train(csv.as_bytes(), &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("note: column «recovered» alone reaches an AUC of 1.000; if it is known only"), "{stderr}");
    assert!(stderr.contains("--drop recovered"), "{stderr}");
    assert!(!stderr.contains("«income»"), "{stderr}");
    let (_, stderr, _) = train(csv.as_bytes(), &["--drop=recovered"]);
    assert!(!stderr.contains("alone reaches"), "{stderr}");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), csv).unwrap();
    let output = statera(dir.path(), &[&TRAIN[..], &["--json"]].concat());
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json on standard output");
    let notes = value["facts"]["notes"].as_array().unwrap();
    assert!(notes.iter().any(|n| n.as_str().unwrap().contains("«recovered» alone")), "{notes:?}");
}

/// A disk that is full is simulated by a limit on the size of files: writing beyond it fails.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(3000)).unwrap();
    assert!(statera(dir.path(), &TRAIN).status.success());
    let limited = |kib: usize, args: &str| {
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec {} {args}", env!("CARGO_BIN_EXE_statera"));
        common::output(Command::new("bash").current_dir(dir.path()).args(["-c", &script]))
    };
    for (args, out) in [
        ("train loans.csv --target bad --id loan --models logistic --out full.statera", "full.statera"),
        ("train loans.csv --target bad --id loan --models logistic --out full.zip", "full.zip"),
        ("score m.statera loans.csv --out full.csv", "full.csv"),
        ("score m.statera loans.csv --out full.parquet", "full.parquet"),
        ("profile loans.csv --out full.html", "full.html"),
    ] {
        let output = limited(1, args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args}: {stderr}");
        assert!(stderr.contains("full."), "{args}: the file is not named: {stderr}");
        assert!(!dir.path().join(out).exists(), "{args}: a half-written file has the final name");
    }
    let again = statera(dir.path(), &["score", "m.statera", "loans.csv", "--out", "full.csv"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(fs::read_to_string(dir.path().join("full.csv")).unwrap().lines().count(), 3001);
}

#[test]
fn what_a_person_owns_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(600)).unwrap();
    assert!(statera(dir.path(), &TRAIN).status.success());
    let onto_itself = statera(dir.path(), &["score", "m.statera", "loans.csv", "--out", "loans.csv"]);
    assert_eq!(onto_itself.status.code(), Some(2), "{}", text(&onto_itself.stderr));
    assert!(text(&onto_itself.stderr).contains("loans.csv is the table that is read"));
    assert_eq!(fs::read_to_string(dir.path().join("loans.csv")).unwrap(), loans(600));
    fs::write(dir.path().join("mine.zip"), "no bundle").unwrap();
    let zip =
        statera(dir.path(), &["train", "loans.csv", "--target=bad", "--models=logistic", "--out=mine.zip", "--force"]);
    assert_eq!(zip.status.code(), Some(2), "{}", text(&zip.stderr));
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/applications.csv"), "a,b\n1,2\n").unwrap();
    let demo = statera(dir.path(), &["demo", "--rows=2000", "--out=mine"]);
    assert_eq!(demo.status.code(), Some(2), "{}", text(&demo.stderr));
    assert_eq!(fs::read_to_string(dir.path().join("mine/applications.csv")).unwrap(), "a,b\n1,2\n");
}

#[test]
fn the_next_step_of_sample_runs() {
    let dir = tempfile::tempdir().unwrap();
    let sample = statera(dir.path(), &["sample", "bank", "--rows", "3000"]);
    assert!(sample.status.success(), "{}", text(&sample.stderr));
    let shown = text(&sample.stdout);
    let next = shown.lines().find_map(|l| l.trim().strip_prefix("statera ")).expect("a command to type");
    let trained = statera(dir.path(), &next.split_whitespace().collect::<Vec<_>>());
    assert!(trained.status.success(), "{next}: {}", text(&trained.stderr));
    let project = statera(dir.path(), &["train", "bank/project.toml", "--models=logistic", "--out=p.statera"]);
    assert!(project.status.success(), "{}", text(&project.stderr));
}

#[test]
fn a_key_of_many_digits_is_written_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let csv: String =
        loans(600)
            .lines()
            .enumerate()
            .map(|(i, l)| {
                if i == 0 { format!("key,{l}\n") } else { format!("{},{l}\n", 12_345_678_901_234_567_000 + i as u128) }
            })
            .collect();
    fs::write(dir.path().join("loans.csv"), csv).unwrap();
    let train =
        ["train", "loans.csv", "--target=bad", "--id=key", "--drop=loan", "--models=logistic", "--out=m.statera"];
    let trained = statera(dir.path(), &train);
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    assert!(statera(dir.path(), &["score", "m.statera", "loans.csv", "--out", "s.csv"]).status.success());
    let scores = fs::read_to_string(dir.path().join("s.csv")).unwrap();
    assert!(scores.lines().nth(7).unwrap().starts_with("12345678901234567007,"), "{:?}", scores.lines().nth(7));
}

#[test]
fn an_unwritable_place_is_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    // A table that is not there: the place is looked at first.
    let refused = |command: &[&str], out: &str, words: &[&str]| {
        let flag = format!("--out={out}");
        let output = statera(dir.path(), &[command, &[&flag]].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{out}: {stderr}");
        for word in [&[out], words].concat() {
            assert!(stderr.contains(word), "{out}: «{word}» is not in: {stderr}");
        }
    };
    let train = ["train", "gone.csv", "--target=bad"];
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    for out in ["no/such/m.statera", "no/such/m.zip"] {
        refused(&train, out, &["there is no folder no/such; make it first"]);
    }
    refused(&train, "letter.txt/m.statera", &["letter.txt is a file, not a folder"]);
    refused(&train, "letter.txt", &["exists"]);
    refused(&[&train[..], &["--force"]].concat(), "letter.txt", &["is not a bundle"]);
    refused(&train, "..", &["exists"]);
    // A folder of the kernel, which not even root can write to.
    if Path::new("/proc/self").exists() {
        refused(&train, "/proc/m.statera", &["cannot be written"]);
        refused(&["profile", "gone.csv"], "/proc/page.html", &["cannot be written"]);
        refused(&["init", "gone.csv"], "/proc/project.toml", &["cannot be written"]);
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["letter.txt"]);
}

#[test]
fn what_a_killed_run_left_is_cleaned_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let names = |dir: &Path| {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    fs::write(dir.path().join("loans.csv"), loans(600)).unwrap();
    assert!(statera(dir.path(), &TRAIN).status.success());
    let bundle = dir.path().join("m.statera");
    let leave = |name: &str, files: &[&str]| {
        fs::create_dir(dir.path().join(name)).unwrap();
        files.iter().for_each(|file| fs::write(dir.path().join(name).join(file), "half").unwrap());
    };
    leave(".m.statera.partial", &["model.json"]);
    leave(".m.statera.old", &["manifest.json"]);
    assert!(statera(dir.path(), &[&TRAIN[..], &["--force"]].concat()).status.success());
    assert_eq!(names(dir.path()), ["loans.csv", "m.statera"]);
    // Killed between two renames: what was to be replaced has its name again, and is not replaced without being asked.
    fs::rename(&bundle, dir.path().join(".m.statera.old")).unwrap();
    leave(".m.statera.partial", &["model.json"]);
    let again = statera(dir.path(), &TRAIN);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    assert!(statera(dir.path(), &["score", "m.statera", "loans.csv", "--out=s.csv"]).status.success());
    fs::remove_file(dir.path().join("s.csv")).unwrap();
    assert!(statera(dir.path(), &[&TRAIN[..], &["--force"]].concat()).status.success());
    assert_eq!(names(dir.path()), ["loans.csv", "m.statera"]);

    leave("bank", &[]);
    leave("bank/.statera-sample-1", &["applications.csv", "truth.csv"]);
    leave("bank/.statera-sample-2", &[]);
    fs::write(dir.path().join("bank/.project.toml.partial"), "half").unwrap();
    let sample = statera(dir.path(), &["sample", "bank", "--rows=300"]);
    assert!(sample.status.success(), "{}", text(&sample.stderr));
    fs::remove_file(dir.path().join("bank/project.toml")).unwrap();
    let init = statera(dir.path(), &["init", "bank/applications.csv", "--out=bank/project.toml"]);
    assert!(init.status.success(), "{}", text(&init.stderr));
    let left = names(&dir.path().join("bank"));
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

#[test]
fn a_direction_needs_a_risk() {
    for model in ["logistic", "scorecard", "boosting"] {
        let models = format!("--models={model}");
        let (code, stderr, _) = train_replacing(
            loans(600).as_bytes(),
            &["--target=region", &models],
            &["--id=loan", "--monotone=income=-"],
        );
        assert_eq!(code, 2, "{model}: {stderr}");
        // The scorecard does not predict three classes at all, which is said first or last; either is clear.
        assert!(stderr.contains("«income» cannot have a direction"), "{model}: {stderr}");
        assert!(stderr.contains("«region» has 3 classes"), "{model}: {stderr}");
    }
}
