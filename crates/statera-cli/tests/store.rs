//! The commands on a store, as an operator and an auditor meet them.

use statera_store::act::Actor;
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
    let output = child.wait_with_output().expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A store in `bank` with a decision about each subject.
fn store(dir: &Path, subjects: &[&str]) {
    let options = StoreOptions::at(dir.join("bank").to_str().expect("UTF-8"), None).expect("a place");
    let store = open(&options).expect("opens");
    let (answer, answers) = mpsc::channel();
    for subject in subjects {
        let record = NewRecord {
            id: Id::new(now_us()),
            kind: RecordKind::Decision,
            of: None,
            request: None,
            actor: Actor::Key("paymentpath".into()),
            facts: "{\"model\":\"credit\"}".into(),
            parts: vec![Part { subject: (*subject).into(), plain: b"{\"income\":1}".to_vec() }],
        };
        let answer = answer.clone();
        let done = Box::new(move |done: statera_core::Result<_>| answer.send(done.is_ok()).expect("is read"));
        store.submit(record, done).expect("is taken");
    }
    drop(answer);
    assert!(answers.iter().all(|ok| ok));
}

#[track_caller]
fn check(found: (i32, String, String), code: i32, out: &[&str], err: &[&str]) {
    assert_eq!(found.0, code, "{found:?}");
    for part in out {
        assert!(found.1.contains(part), "«{part}» is not in:\n{}", found.1);
    }
    for part in err {
        assert!(found.2.contains(part), "«{part}» is not in:\n{}", found.2);
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
    check(restored, 0, &["3 records and 3 rows of the ledger are restored."], &["erase it again"]);
    check(run(&["audit", "verify", "new"]), 0, &["Intact"], &[]);
    let other = run(&["restore", "copy", "--keys", "copy", "--store", "third"]);
    check(other, 2, &[], &["master.key is missing"]);
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
