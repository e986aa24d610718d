//! Ctrl-C at moments when the program waits for something else: one ends the command, and nothing half-written stays.

#![cfg(unix)]

mod common;

use common::awaited;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "../../statera-data/tests/server/mod.rs"]
mod server;

/// Exit code of an interrupted command.
const INTERRUPTED: Option<i32> = Some(130);
/// A command that has not ended by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(dir: &Path, args: &[&str]) -> Child {
    start_with(dir, args, Stdio::piped())
}

/// The same with another standard error.
fn start_with(dir: &Path, args: &[&str], stderr: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_statera"))
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("the binary starts")
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill starts");
    assert!(sent.success(), "the process has ended already");
}

/// Exit code and standard error of a process that has to end.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = common::ended(child, PATIENCE);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Looks until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what} never happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn loans(n: usize) -> String {
    let mut csv = String::from("income,debt,bad\n");
    for i in 0..n {
        csv += &format!("{},{}.5,{}\n", 900 + (i * 7919) % 3000, i % 97, u8::from((i * 104_729) % 1000 < 300));
    }
    csv
}

/// Writes what is far more than a pipe holds: once it is written, the program is reading.
fn fed(child: &mut Child, text: String) -> ChildStdin {
    let mut stdin = child.stdin.take().expect("a pipe");
    let write = move || stdin.write_all(text.as_bytes()).map(|()| stdin);
    awaited(child.id(), "reading what is written to it", PATIENCE, write).expect("the program reads")
}

fn feed(child: &mut Child) -> ChildStdin {
    fed(child, loans(300_000))
}

#[test]
fn one_press_ends_a_command_that_waits_for_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let model = tempfile::tempdir().unwrap();
    fs::write(model.path().join("loans.csv"), loans(400)).unwrap();
    let trained =
        start(model.path(), &["train", "loans.csv", "--target=bad", "--models=logistic", "--out=m.statera", "-q"]);
    assert_eq!(ended(trained).0, Some(0));
    let bundle = model.path().join("m.statera").display().to_string();
    let cases: [(&[&str], &str); 3] = [
        (&["train", "-", "--target=bad", "--models=logistic", "--out=m.statera"], "interrupted; nothing was written"),
        (&["profile", "-", "--out=page.html"], "interrupted; nothing was written"),
        (&["evaluate", &bundle, "-"], "interrupted; nothing was written"),
    ];
    for (args, message) in cases {
        let mut child = start(dir.path(), args);
        let open = feed(&mut child);
        signal(child.id(), "-INT");
        let (code, stderr) = ended(child);
        assert_eq!(code, INTERRUPTED, "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(names_in(dir.path()).is_empty(), "{args:?}: {:?}", names_in(dir.path()));
        drop(open);
    }
    let mut child = start(dir.path(), &["score", &bundle, "-", "--out=scores.csv"]);
    let open = feed(&mut child);
    signal(child.id(), "-INT");
    let (code, stderr) = ended(child);
    assert_eq!(code, INTERRUPTED, "{stderr}");
    assert!(stderr.contains("; the same command starts over"), "{stderr}");
    assert!(!dir.path().join("scores.csv").exists(), "an unfinished file has the final name");
    drop(open);
    // It does start over, although the first run has left its rows.
    let mut child = start(dir.path(), &["score", &bundle, "-", "--out=scores.csv"]);
    drop(feed(&mut child));
    let (code, stderr) = ended(child);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fs::read_to_string(dir.path().join("scores.csv")).unwrap().lines().count(), 300_001);
    assert_eq!(names_in(dir.path()), ["scores.csv"]);
}

#[test]
fn a_standard_error_that_nobody_reads_keeps_no_command_up() {
    for presses in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        // It writes until the pipe is full, and is there so that it stays full.
        let filler = Command::new("yes").stdout(writer.try_clone().unwrap()).spawn();
        let mut filler = filler.expect("yes starts");
        let mut child = start_with(dir.path(), &["profile", "-", "--out=page.html"], writer.into());
        let open = feed(&mut child);
        for _ in 0..presses {
            signal(child.id(), "-INT");
        }
        let (code, _) = ended(child);
        let _ = filler.kill();
        let _ = filler.wait();
        assert_eq!(code, INTERRUPTED, "{presses}");
        assert!(names_in(dir.path()).is_empty(), "{presses}: {:?}", names_in(dir.path()));
        drop((open, reader));
    }
}

#[test]
fn one_press_ends_a_query_that_does_not_answer() {
    let Some(server) = server::Server::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let address = server.source("SELECT 1 AS bad, pg_sleep(3600)::text AS slow");
    let child = start(dir.path(), &["train", &address, "--target=bad", "--out=m.statera"]);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)::text%' \
                   AND state = 'active' AND pid <> pg_backend_pid()";
    until("the query", || server.sql(waiting).trim() == "1");
    signal(child.id(), "-INT");
    let (code, stderr) = ended(child);
    assert_eq!(code, INTERRUPTED, "{stderr}");
    assert!(stderr.contains("interrupted; nothing was written"), "{stderr}");
    assert!(names_in(dir.path()).is_empty(), "{:?}", names_in(dir.path()));
    until("the end of the query on the server", || server.sql(waiting).trim() == "0");
}

/// The hidden name that a file has while it is written is taken by a pipe, so that writing stalls until somebody reads.
fn stalled_writing(dir: &Path) -> (Child, File) {
    let mut child = start(dir, &["profile", "-", "--out=page.html"]);
    let columns: Vec<String> = (0..120).map(|c| format!("column_{c}")).collect();
    let mut csv = columns.join(",") + "\n";
    for row in 0..600 {
        let cells: Vec<String> = (0..120).map(|c| format!("{}.25", (row * 7919 + c * 31) % 1000)).collect();
        csv += &(cells.join(",") + "\n");
    }
    // Once it is written, the program has looked at the place of the page.
    let stdin = fed(&mut child, csv);
    let pipe = dir.join(".page.html.partial");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    drop(stdin);
    // Opening waits for the other side; a page is more than the pipe holds.
    let reader = awaited(child.id(), "writing the page", PATIENCE, || File::open(pipe));
    (child, reader.unwrap())
}

#[test]
fn a_disk_that_does_not_answer_is_left_behind() {
    for presses in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let (child, reader) = stalled_writing(dir.path());
        for _ in 0..presses {
            signal(child.id(), "-INT");
        }
        let (code, stderr) = ended(child);
        assert_eq!(code, INTERRUPTED, "{presses}: {stderr}");
        assert!(stderr.contains("interrupted; nothing was written"), "{presses}: {stderr}");
        assert!(names_in(dir.path()).is_empty(), "{presses}: {:?}", names_in(dir.path()));
        drop(reader);
    }
}

#[test]
fn a_sample_bank_that_is_interrupted_leaves_no_folder() {
    for presses in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let child = start(dir.path(), &["sample", "bank", "--rows=1000000000"]);
        until("the first table", || {
            let made = dir.path().join("bank");
            made.exists() && names_in(&made).iter().any(|name| name.starts_with(".statera-sample"))
        });
        for _ in 0..presses {
            signal(child.id(), "-INT");
        }
        let (code, stderr) = ended(child);
        assert_eq!(code, INTERRUPTED, "{presses}: {stderr}");
        assert!(names_in(dir.path()).is_empty(), "{presses}: {:?}", names_in(dir.path()));
    }
}
