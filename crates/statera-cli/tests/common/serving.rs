//! A server as a bank would run it, and a client that was not written for it.

#![allow(dead_code)]

use super::common::{done, ending, first_line};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Of everybody whom [`Server::furnish`] makes.
pub const PASSWORD: &str = "a long passphrase of the tests 7";
/// No answer, no start and no end takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// `statera serve` on a port of its own.
pub struct Server {
    process: Child,
    /// As `127.0.0.1:PORT`.
    pub place: String,
    /// From the start of the process to a ready server.
    pub starting: Duration,
    setup: Option<String>,
}

impl Server {
    /// Starts in a folder that has `server.toml`, and waits until the server lives; if anybody may sign in, until it is ready.
    pub fn start(dir: &Path) -> Server {
        let began = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_statera"))
            .current_dir(dir)
            .args(["serve", "--json", "--settings=server.toml", "--listen=127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().append(true).create(true).open(dir.join("server.log")).unwrap())
            .spawn()
            .expect("the binary starts");
        let line = first_line(process.id(), process.stdout.take().unwrap());
        let log = || std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: «{line}» {}", log()));
        let place = told["url"].as_str().unwrap().trim_start_matches("http://").to_string();
        let setup = told["setup"].as_str().map(String::from);
        let mut server = Server { process, place, starting: Duration::ZERO, setup };
        if told["ready"] != true {
            server.wait_for(if server.setup.is_some() { "/health/live" } else { "/health/ready" });
        }
        server.starting = began.elapsed();
        server
    }

    fn wait_for(&self, path: &str) {
        let began = Instant::now();
        while Client::new(&self.place).call("GET", path, &Value::Null).0 != 200 {
            assert!(began.elapsed() < LIMIT, "{path} is not 200 after {LIMIT:?}");
            // Those without a key are let in fifty times a second.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM: in order.
    pub fn stop(mut self) {
        signal("TERM", self.process.id());
        assert!(ending(&mut self.process, LIMIT).success());
    }

    /// An admin, a maker, a checker, a model under its name promoted from a bundle (.zip), and a key in the file `load.key`.
    pub fn furnish(&self, dir: &Path, model: &str, bundle: &Path) -> String {
        let mut admin = Client::new(&self.place);
        let token = self.setup.as_ref().and_then(|link| link.split_once("token=")).expect("a setup link").1.to_string();
        admin.done("POST", "/api/v1/setup", &json!({ "token": token, "name": "admin", "password": PASSWORD }));
        admin.sign_in("admin");
        for role in ["maker", "checker"] {
            let person = json!({ "name": role, "roles": [role], "password": PASSWORD });
            admin.done("POST", "/api/v1/people", &person);
        }
        admin.done("PUT", "/api/v1/tiers/4", &json!({ "approvals": 1 }));
        let (mut maker, mut checker) = (Client::new(&self.place), Client::new(&self.place));
        maker.sign_in("maker");
        checker.sign_in("checker");
        maker.done("POST", "/api/v1/models", &json!({ "name": model, "tier": 4 }));
        let bytes = std::fs::read(bundle).unwrap();
        let (status, answer) =
            maker.send("POST", &format!("/api/v1/models/{model}/versions"), "application/zip", &bytes);
        assert_eq!(status, 201, "{answer}");
        let change = json!({ "change": { "change": "champion", "version": 1 }, "note": "test" });
        let proposal = maker.done("POST", &format!("/api/v1/models/{model}/proposals"), &change);
        let proposal = proposal["proposal"].as_str().expect("a proposal").to_string();
        checker.done("POST", &format!("/api/v1/proposals/{proposal}/approve"), &json!({ "note": "test" }));
        let key = admin.done("POST", "/api/v1/keys", &json!({ "label": "test", "roles": ["scorer", "viewer"] }));
        let key = key["key"].as_str().expect("a key").to_string();
        std::fs::write(dir.join("load.key"), &key).unwrap();
        self.wait_for("/health/ready");
        key
    }
}

impl Drop for Server {
    /// A test that fails leaves no server behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal to a process of this test.
pub fn signal(name: &str, process: u32) {
    let done = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(done.success(), "kill -s {name} {process}");
}

/// HTTP/1.1 over one connection, opened again where it was closed.
pub struct Client {
    place: String,
    stream: Option<BufReader<TcpStream>>,
    headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(place: &str) -> Client {
        // What a browser says of its own; without it whatever a person changes is refused.
        let origin = ("origin".into(), format!("http://{place}"));
        Client { place: place.into(), stream: None, headers: vec![origin] }
    }

    pub fn with_key(place: &str, key: &str) -> Client {
        Client { headers: vec![("authorization".into(), format!("Bearer {key}"))], ..Client::new(place) }
    }

    pub fn sign_in(&mut self, name: &str) {
        let csrf = self.done("POST", "/api/v1/sessions", &json!({ "name": name, "password": PASSWORD }));
        self.headers.push(("x-csrf-token".into(), csrf["csrf"].as_str().expect("a token").into()));
    }

    /// A call that must succeed.
    pub fn done(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Status and body; status 0 if there is no answer.
    pub fn call(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, "application/json", text.as_bytes())
    }

    pub fn send(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        self.exchange(method, path, kind, body).unwrap_or_else(|_| {
            self.stream = None;
            (0, Value::Null)
        })
    }

    fn exchange(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> std::io::Result<(u16, Value)> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.place, body.len());
        if !body.is_empty() {
            head += &format!("content-type: {kind}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.place)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LIMIT))?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().expect("opened above");
        stream.get_mut().write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
        let mut line = || {
            let mut line = String::new();
            stream.read_line(&mut line).map(|_| line.trim_end().to_string())
        };
        let status = line()?.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        let (mut length, mut closes) = (0, false);
        loop {
            let header = line()?;
            let Some((name, value)) = header.split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => length = value.parse().unwrap_or(0),
                ("connection", "close") => closes = true,
                ("set-cookie", value) => {
                    self.headers.retain(|(n, _)| n != "cookie");
                    self.headers.push(("cookie".into(), value.split(';').next().unwrap_or_default().into()));
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if closes {
            self.stream = None;
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::String(text))))
    }
}

/// A bundle (.zip) that decides about loans, trained in a moment: `bundle.zip` in the folder.
pub fn bundle(dir: &Path) -> PathBuf {
    let mut csv = String::from("loan,income,debt,region,bad\n");
    for i in 0..600 {
        let income = 900 + (i * 7919) % 3000;
        let region = ["north", "south", "east"][(i * 31) % 3];
        let bad = u8::from((i * 104_729) % 1000 < if income < 2000 { 350 } else { 120 });
        csv += &format!("L{i:05},{income},{},{region},{bad}\n", (i * 613) % 900);
    }
    std::fs::write(dir.join("loans.csv"), csv).unwrap();
    let policy = "version = \"test\"\n[decision]\nby = \"cutoff\"\ndecline_from = 0.25\n";
    std::fs::write(dir.join("policy.toml"), policy).unwrap();
    let reasons = "version = \"test\"\n\
        [[reason]]\ncode = \"income\"\ncolumns = [\"income\"]\nen = \"Your income as you stated it\"\nko = \"신고하신 소득 금액\"\nzh = \"您申报的收入金额\"\n\
        [[reason]]\ncode = \"debt\"\ncolumns = [\"debt\"]\nen = \"The debts that you already have\"\nko = \"이미 보유하신 부채 금액\"\nzh = \"您现有的债务金额\"\n\
        [[reason]]\ncode = \"region\"\ncolumns = [\"region\"]\nen = \"The region that you live in\"\nko = \"거주하시는 지역의 특성\"\nzh = \"您居住的地区情况\"\n";
    std::fs::write(dir.join("reasons.toml"), reasons).unwrap();
    let train = ["train", "loans.csv", "--target=bad", "--id=loan", "--models=logistic", "--folds=3", "--quiet"];
    let files = ["--policy=policy.toml", "--reasons=reasons.toml", "--out=bundle.zip"];
    done(dir, &[&train[..], &files[..]].concat());
    dir.join("bundle.zip")
}
