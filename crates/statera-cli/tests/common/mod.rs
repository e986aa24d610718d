//! The binary as the tests run it.

#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A process that has not done its work by then never will, on the slowest machine that still runs the tests.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What `wait` gives, which waits for a process of this test; the process is killed where that takes longer than `patience`.
#[track_caller]
pub fn awaited<T: Send + 'static>(
    process: u32,
    what: &str,
    patience: Duration,
    wait: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(wait()));
    receiver.recv_timeout(patience).unwrap_or_else(|e| {
        let _ = Command::new("kill").args(["-s", "KILL", &process.to_string()]).status();
        panic!("{what}: {e}; at most it takes {patience:?}")
    })
}

/// What a process leaves that has to end.
#[track_caller]
pub fn ended(child: Child, patience: Duration) -> Output {
    awaited(child.id(), "the end of a process", patience, || child.wait_with_output()).expect("it can be waited for")
}

/// How a process ends that has to; it is killed where it does not.
#[track_caller]
pub fn ending(child: &mut Child, patience: Duration) -> ExitStatus {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            return status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            panic!("a process has not ended within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The first line that a process says, with its end; empty where it ends without one.
#[track_caller]
pub fn first_line(process: u32, said: impl Read + Send + 'static) -> String {
    let read = move || {
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).map(|_| line)
    };
    awaited(process, "the first line of a process", PATIENCE, read).expect("text")
}

/// What a program leaves that has to end.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")), PATIENCE)
}

/// What a command does in a folder.
#[track_caller]
pub fn statera(dir: &Path, args: &[&str]) -> Output {
    output(Command::new(env!("CARGO_BIN_EXE_statera")).current_dir(dir).args(args))
}

/// What a command that must succeed prints on standard output.
#[track_caller]
pub fn done(dir: &Path, args: &[&str]) -> String {
    let output = statera(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A command must end with `code` and say all of `words` on standard error.
#[track_caller]
pub fn check(dir: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = statera(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?}: «{word}» is not in: {said}");
    }
}
