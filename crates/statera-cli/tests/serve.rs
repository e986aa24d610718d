//! `statera serve` as an operator meets it: start, stop, and what it says where it cannot start.

mod common;

use common::{check, done, ending, first_line};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No answer, and no end, takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// A server that runs, and what it said when it had started.
struct Server {
    child: Child,
    said: Value,
    started_in: Duration,
}

impl Server {
    fn start(dir: &Path, more: &[&str]) -> Server {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_statera"))
            .current_dir(dir)
            .args(["serve", "--listen", "127.0.0.1:0", "--json"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let line = first_line(child.id(), child.stdout.take().expect("standard output"));
        let said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Server { child, said, started_in: start.elapsed() }
    }

    fn address(&self) -> &str {
        self.said["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("an address")
    }

    /// The answer to a GET, with its head.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Asks it to end, and gives its exit code.
    fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(asked.success());
        ending(&mut self.child, LIMIT).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_starts_in_an_empty_folder_answers_and_ends_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    // Aimed at are 300 ms, which `bench/serving` measures; the bound is wide, because other programs use the disk meanwhile.
    assert!(server.started_in < Duration::from_secs(20), "{:?}", server.started_in);
    let setup = server.said["setup"].as_str().expect("nobody exists yet");
    assert!(setup.contains("/setup?token="), "{setup}");
    let live = server.get("/health/live");
    assert!(live.starts_with("HTTP/1.1 200 OK") && live.ends_with(r#"{"live":true}"#), "{live}");
    let ready = server.get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 200 OK"), "{ready}");
    let document = server.get("/api/openapi.json");
    let (_, body) = document.split_once("\r\n\r\n").expect("a body");
    let document: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let refused = server.get("/api/v1/models");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert_eq!(server.stop(), Some(0));
    assert!(folder.path().join("statera-store").is_dir());
    let again = Server::start(folder.path(), &[]);
    assert!(again.get("/health/ready").starts_with("HTTP/1.1 200 OK"));
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn what_keeps_it_from_starting_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let words = format!("{address} is taken by another program; name another address with --listen");
    check(dir, &["serve", "--listen", &address], 2, &[&words]);
    assert!(!dir.join("statera-store").exists(), "nothing is made by a server that does not start");
    check(dir, &["serve", "--listen", "here"], 2, &["listen: ", "here"]);
    fs::write(dir.join("a-file"), "no folder").expect("a file");
    check(
        dir,
        &["serve", "--listen", "127.0.0.1:0", "--store", "a-file"],
        2,
        &["the store «a-file» is a file; allowed is a folder"],
    );
    fs::write(dir.join("server.toml"), "[flow]\nrate_per_second = 10\nburst = 3\n").expect("a file");
    check(dir, &["serve", "--settings", "server.toml"], 2, &["server.toml, line 3", "burst", "`burst_ms`"]);
    fs::write(dir.join("server.toml"), "[flow]\nurgent_percent = 101\n").expect("a file");
    check(
        dir,
        &["serve", "--settings", "server.toml"],
        2,
        &["server.toml: flow.urgent_percent is 101; allowed is 0 to 100"],
    );
    check(dir, &["serve", "--settings", "gone.toml"], 2, &["gone.toml: No such file"]);
}

#[test]
fn printed_settings_are_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let printed = done(dir, &["serve", "--print-settings", "--listen", "127.0.0.1:9"]);
    assert!(printed.contains("listen = \"127.0.0.1:9\""), "{printed}");
    fs::write(dir.join("server.toml"), &printed).expect("a file");
    assert_eq!(done(dir, &["serve", "--print-settings", "--settings", "server.toml"]), printed);
    let json: Value = serde_json::from_str(&done(dir, &["serve", "--print-settings", "--json"])).expect("JSON");
    assert_eq!(json["serve"]["listen"], "127.0.0.1:8420");
}
