//! The binary as the tests run it.

#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

/// What a command does in a folder.
pub fn statera(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_statera")).current_dir(dir).args(args).output().expect("the binary starts")
}

/// What a command that must succeed prints on standard output.
pub fn done(dir: &Path, args: &[&str]) -> String {
    let output = statera(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A command must end with `code` and say all of `words` on standard error.
pub fn check(dir: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = statera(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?}: «{word}» is not in: {said}");
    }
}
