//! The commands on a store, as an operator and an auditor meet them.

mod common;

use common::{PATIENCE, ended};
use statera::bundle::Bundle;
use statera_core::Run;
use statera_store::act::{Act, Actor};
use statera_store::record::{Id, NewRecord, Part, RecordKind};
use statera_store::{StoreOptions, now_us, open};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// Exit code, standard output and standard error of a command.
fn statera(dir: &Path, input: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_statera"));
    let command =
        command.current_dir(dir).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("is written");
    let output = ended(child, PATIENCE);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A store in `bank` with a decision about each subject.
fn store(dir: &Path, subjects: &[&str]) {
    store_at(dir, subjects, now_us);
}

/// The same by another clock.
fn store_at(dir: &Path, subjects: &[&str], clock: fn() -> i64) {
    let options = StoreOptions::at(dir.join("bank").to_str().expect("UTF-8"), None).expect("a place");
    let store = open(&StoreOptions { clock, ..options }).expect("opens");
    let (answer, answers) = mpsc::channel();
    for subject in subjects {
        let record = NewRecord {
            id: Id::new(clock()),
            kind: RecordKind::Decision,
            of: None,
            request: None,
            actor: Actor::Key("paymentpath".into()),
            facts: "{\"model\":\"credit\"}".into(),
            parts: vec![Part { subject: (*subject).into(), plain: b"{\"income\":1}".to_vec() }],
            alert: None,
        };
        let answer = answer.clone();
        let done = Box::new(move |done: statera_core::Result<_>| answer.send(done.is_ok()).expect("is read"));
        store.submit(record, done).expect("is taken");
    }
    drop(answer);
    for _ in subjects {
        assert!(answers.recv_timeout(PATIENCE).expect("an answer"));
    }
}

#[track_caller]
fn check(found: (i32, String, String), code: i32, out: &[&str], err: &[&str]) {
    assert_eq!(found.0, code, "{found:?}");
    // Lines are broken where they are full.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (parts, text) in [(out, &found.1), (err, &found.2)] {
        for part in parts {
            assert!(flat(text).contains(&flat(part)), "«{part}» is not in:\n{text}");
        }
    }
}

#[test]
fn a_store_is_backed_up_checked_erased_and_restored() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    store(dir, &["kim", "lee", "park"]);
    let run = |args: &[&str]| statera(dir, "", args);
    let taken = run(&["backup", "--store", "bank", "--to", "copy", "--keys-to", "safe"]);
    check(taken, 0, &["copy is a backup", "Its secret keys are in safe; keep the two apart."], &[]);
    let verified = run(&["audit", "verify", "copy"]);
    let intact = ["writer-1", "3 records with 3 encrypted parts", "Intact: every row is as it was written"];
    check(verified, 0, &intact, &["the public key is the copy's own"]);
    let again = run(&["backup", "--store", "bank", "--to", "copy"]);
    check(again, 2, &[], &["copy exists and is not empty"]);

    let nobody = run(&["ledger", "erase", "kim", "--store", "bank", "--why", "letter 12", "--by", "ghost"]);
    check(nobody, 1, &[], &["--by ghost: there is no person of that name"]);
    let erased = run(&["ledger", "erase", "kim", "--store", "bank", "--why", "letter 12"]);
    check(erased, 0, &["1 subject erased: 1 payload can never be read again here"], &[]);
    let unknown = run(&["ledger", "erase", "kim", "--store", "bank", "--why", "letter 12"]);
    check(unknown, 1, &[], &["nothing is kept of this subject, or it was erased already"]);
    let many = statera(dir, "lee\nnobody\n\n", &["ledger", "erase", "-", "--store", "bank", "--why", "letter 13"]);
    check(many, 0, &["1 subject erased", "Of 1 other nothing was kept."], &[]);
    let retained = run(&["ledger", "retain", "--older-than", "5y", "--store", "bank"]);
    check(retained, 0, &["0 keys from before 20"], &[]);
    let wrong = run(&["ledger", "retain", "--older-than", "5w", "--store", "bank"]);
    check(wrong, 2, &[], &["--older-than 5w: allowed are a number and y, m (months) or d"]);
    check(run(&["audit", "verify", "bank", "--json"]), 0, &["\"is_intact\": true", "\"records\": 3"], &[]);

    let restored = run(&["restore", "copy", "--keys", "safe", "--store", "new"]);
    let told = ["3 records and 3 rows of the ledger are restored.", "`statera audit verify new` checks them."];
    check(restored, 0, &told, &["erase it again"]);
    check(run(&["audit", "verify", "new"]), 0, &["Intact"], &[]);
    // A slip of the pen makes no store, and says nothing of one that exists.
    let none = "bnak/store.sqlite is not there; name the folder of a store that `statera serve` made";
    for args in [
        &["backup", "--store", "bnak", "--to", "empty"][..],
        &["ledger", "erase", "kim", "--store", "bnak", "--why", "letter 12"],
        &["ledger", "retain", "--older-than", "5y", "--store", "bnak"],
    ] {
        check(run(args), 2, &[], &[none]);
    }
    assert!(!dir.join("bnak").exists() && !dir.join("empty").exists());
    let other = run(&["restore", "copy", "--keys", "copy", "--store", "third"]);
    check(other, 2, &[], &["master.key is missing"]);
}

#[test]
fn a_clock_that_may_be_wrong_erases_nothing_without_a_word() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    // September 2020: for the clock of today that is long ago.
    store_at(dir, &["kim"], || 1_600_000_000_000_000);
    let retain = ["ledger", "retain", "--older-than", "5y", "--store", "bank"];
    let told =
        ["more than 35 days after the ledger's last row (2020-09-13", "say so by --clock-is-right or --by PERSON"];
    for _ in 0..2 {
        check(statera(dir, "", &retain), 2, &[], &told);
    }
    let right = statera(dir, "", &[&retain[..], &["--clock-is-right"]].concat());
    check(right, 0, &["0 keys from before 2015-"], &[]);
    // That was a row of today.
    let again = statera(dir, "", &retain);
    check(again, 2, &[], &["at most 60 days further than the last time", "--clock-is-right"]);
}

#[test]
fn an_altered_byte_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    store(dir, &["kim", "lee"]);
    check(statera(dir, "", &["backup", "--store", "bank", "--to", "copy"]), 0, &[], &["the secret keys are not in it"]);
    let file = dir.join("copy/store.sqlite");
    let mut bytes = std::fs::read(&file).expect("reads");
    let word = b"\"model\":\"credit\"";
    let at = bytes.windows(word.len()).rposition(|w| w == word).expect("is there");
    bytes[at + 10] ^= 1;
    std::fs::write(&file, bytes).expect("is written");
    let found = statera(dir, "", &["audit", "verify", "copy"]);
    check(found, 1, &["chain writer-1, row ", "changed: its hash is not that of its content"], &["copy: 1 finding"]);
    let missing = statera(dir, "", &["audit", "verify", "nowhere"]);
    check(missing, 2, &[], &["nowhere/store.sqlite is not there; a store or its backup has that file"]);
}

/// A store in `bank` with a model of two versions: a bundle as one file, and one as a folder. Their digests.
fn store_with_bundles(dir: &Path) -> [String; 2] {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../statera/tests/artifact/format-4");
    let options = StoreOptions::at(dir.join("bank").to_str().expect("UTF-8"), None).expect("a place");
    let store = open(&options).expect("opens");
    let act = |act| store.act(&Actor::Person("mia".into()), act).expect("is done");
    act(Act::AddModel { name: "credit".into(), tier: 1 });
    ["boosting", "logistic"].map(|family| {
        let mut path = kept.join(format!("{family}.zip"));
        if family == "logistic" {
            let mut bundle = Bundle::read(&path).expect("a kept bundle");
            path = dir.join("logistic.statera");
            bundle.write(&path, false, &Run::new(1, 1)).expect("is written");
        }
        let digest = Bundle::read(&path).and_then(|bundle| bundle.digest()).expect("a digest");
        assert_eq!(Bundle::checked_digest(&path).expect("is whole"), digest, "without loading it, too");
        store.put_bundle(&digest, &path).expect("is kept");
        act(Act::AddVersion { model: "credit".into(), digest: digest.clone(), note: String::new() });
        digest
    })
}

/// Changes the byte in the middle of a file.
fn alter(path: &Path) {
    let mut bytes = std::fs::read(path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("is written");
}

#[test]
fn a_backup_without_a_bundle_is_kept_and_fails_the_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let [file, _] = store_with_bundles(dir);
    std::fs::remove_file(dir.join("bank/bundles").join(format!("{file}.zip"))).expect("is removed");
    let run = |args: &[&str]| statera(dir, "", args);
    let missing = format!("the bundle {file} is missing: there is no bundle {file}");
    let taken = run(&["backup", "--store", "bank", "--to", "copy", "--keys-to", "safe"]);
    let told = [&*missing, "name its settings with --settings", "copy: 1 bundle is missing; everything else is there"];
    check(taken, 1, &["copy is a backup"], &told);
    let taken = run(&["backup", "--store", "bank", "--to", "again", "--json"]);
    check(taken, 1, &["\"missing\"", &*file], &["again: 1 bundle is missing"]);
    let restored = run(&["restore", "copy", "--keys", "safe", "--store", "new"]);
    check(restored, 1, &["of the ledger are restored."], &[&*missing, "new: 1 bundle is missing"]);
}

#[test]
fn an_altered_byte_of_a_bundle_is_named_and_so_is_one_that_is_missing_or_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let [file, folder] = store_with_bundles(dir);
    let run = |args: &[&str]| statera(dir, "", args);
    // Each harm is done to a copy of its own.
    let copy = |name: &str| {
        check(run(&["backup", "--store", "bank", "--to", name]), 0, &[], &[]);
        dir.join(name).join("bundles")
    };
    let place = |n: u32| format!("chain writer-1, row {n}: the bundle ");
    let intact = ["2 bundles read and compared", "every table and every bundle is what the ledger says"];
    copy("whole");
    check(run(&["audit", "verify", "whole"]), 0, &intact, &[]);
    check(
        run(&["audit", "verify", "whole/store.sqlite", "--json"]),
        0,
        &["\"bundles\": 2", "\"bundles_unnamed\": 0"],
        &[],
    );

    let bundles = copy("altered");
    alter(&bundles.join(&folder).join("facts.json"));
    let named =
        [&*place(3), &*folder, "of the model «credit»", "facts.json was altered: its digest is not the manifest's"];
    check(run(&["audit", "verify", "altered"]), 1, &named, &["altered: 1 finding"]);
    let left_out = run(&["audit", "verify", "altered", "--no-bundles"]);
    check(left_out, 0, &["every table is what"], &["2 bundles that the ledger names were not looked at"]);
    alter(&bundles.join(format!("{file}.zip")));
    check(run(&["audit", "verify", "altered"]), 1, &[&place(2), &place(3)], &["altered: 2 findings"]);
    check(run(&["audit", "verify", "altered", "--cache"]), 1, &[&place(2), &place(3)], &["altered: 2 findings"]);

    let bundles = copy("missing");
    std::fs::remove_file(bundles.join(format!("{file}.zip"))).expect("is removed");
    let named = [&*place(2), &*file, "of the model «credit» is missing from missing/bundles"];
    check(run(&["audit", "verify", "missing"]), 1, &named, &["missing: 1 finding"]);
    let here = ["1 bundle read and compared", "every bundle that is here is what the ledger says"];
    let lacking = ["1 bundle that the ledger names is not in this folder, which is a cache"];
    check(run(&["audit", "verify", "missing", "--cache"]), 0, &here, &lacking);
    let found = run(&["audit", "verify", "missing", "--cache", "--json"]);
    check(found, 0, &["\"bundles\": 1", "\"bundles_not_cached\": 1", "\"n_findings\": 0"], &[]);
    let elsewhere = ["audit", "verify", "missing", "--bundles", "whole/bundles"];
    check(run(&elsewhere), 0, &["2 bundles read and compared"], &[]);
    check(
        run(&["audit", "verify", "missing", "--bundles", "nowhere"]),
        2,
        &[],
        &["--bundles nowhere: there is no such folder"],
    );

    let bundles = copy("exchanged");
    std::fs::rename(bundles.join(&folder), bundles.join("of-somebody")).expect("is renamed");
    std::fs::rename(bundles.join(format!("{file}.zip")), bundles.join(format!("{folder}.zip"))).expect("is renamed");
    let found = run(&["audit", "verify", "exchanged"]);
    let another = format!("of the model «credit», is another one: its digest is {file}");
    let named = [&*another, "of-somebody: the store has put nothing there under that name", "is missing from"];
    check(found, 1, &named, &["exchanged: 3 findings"]);
}
