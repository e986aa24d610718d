//! Loads against servers of another hand (hyper), and against servers that misbehave.

use super::report::Report;
use super::{arguments::Bench, judge, measure};
use crate::args::{Cli, Command};
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use statera_core::{Result, Run};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto, pki_types::pem::PemObject};

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
struct Seen {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What a server answers.
#[derive(Default)]
struct Reply {
    status: u16,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// Before the answer; other requests go on.
    delay_ms: u64,
    /// Before the answer; the whole server stands still.
    stall_ms: u64,
}

impl Reply {
    fn ok(body: &'static str) -> Reply {
        Reply { status: 200, body, ..Reply::default() }
    }
}

/// What to answer to the request of that number.
type Handler = fn(usize, &Seen) -> Reply;

/// A server on a thread of its own.
#[derive(Clone)]
struct Served {
    address: SocketAddr,
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
    n_connections: Arc<AtomicUsize>,
    tls: Option<TlsAcceptor>,
}

impl Served {
    fn start(handler: Handler, tls: Option<TlsAcceptor>) -> Served {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let served = Served { address, handler, seen: Arc::default(), n_connections: Arc::default(), tls };
        let server = served.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.accept(listener));
        });
        served
    }

    async fn accept(self, listener: std::net::TcpListener) {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            self.n_connections.fetch_add(1, Ordering::Relaxed);
            let server = self.clone();
            tokio::spawn(async move {
                match &server.tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            server.clone().serve(TokioIo::new(stream)).await;
                        }
                    }
                    None => server.serve(TokioIo::new(stream)).await,
                }
            });
        }
    }

    async fn serve(self, stream: impl hyper::rt::Read + hyper::rt::Write + Unpin) {
        let service = service_fn(|request| self.clone().answer(request));
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
    }

    async fn answer(self, request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let header = |(n, v): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let seen = Seen {
            line: format!("{} {}", head.method, head.uri),
            headers: head.headers.iter().map(header).collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        let number = {
            let mut all = self.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        let reply = (self.handler)(number, &seen);
        std::thread::sleep(Duration::from_millis(reply.stall_ms));
        tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
        let mut response = Response::builder().status(reply.status);
        for (name, value) in reply.headers {
            response = response.header(*name, *value);
        }
        Ok(response.body(Full::from(reply.body)).unwrap())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A server that answers whatever it is sent with the same bytes and closes; `hangs`: keeps the connection open instead.
fn raw(bytes: &'static [u8], hangs: bool) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if hangs {
                kept.push(stream);
                continue;
            }
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes);
        }
    });
    address
}

fn flags(words: &[&str]) -> Box<Bench> {
    let cli = Cli::try_parse_from(["statera", "bench"].iter().chain(words)).unwrap_or_else(|e| panic!("{e}"));
    match cli.command {
        Command::Bench(args) => args,
        _ => panic!("another command"),
    }
}

fn load(address: SocketAddr, path: &str, words: &[&str]) -> Result<Report> {
    let url = format!("http://{address}{path}");
    measure(&flags(&[&[url.as_str()], words].concat()), 0xc0ffee, &Run::new(1, 1))
}

/// A file of that name with that text.
fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn an_open_loop_counts_the_wait_that_a_closed_one_leaves_out() {
    // One request in the midst stops the server for a second; at 50 a second fifty others were due meanwhile.
    let handler: Handler = |number, _| Reply { stall_ms: if number == 10 { 1_000 } else { 0 }, ..Reply::ok("") };
    let open = load(Served::start(handler, None).address, "/", &["--rate=50", "--seconds=2", "-c1"]).unwrap();
    assert_eq!((open.n_good, open.n_requests, open.problems.len()), (100, 100, 0));
    let (due, sent) = (open.latency.unwrap(), open.service.unwrap());
    // The waits are 1,000, 980, 960 … ms: a tenth of all requests wait for more than 800 ms. Of those that were sent, nine tenths
    // wait for as long as the machine takes, which is busy with other tests.
    assert!(due.p90_ms > 700.0 && due.max_ms > 950.0, "{due:?}");
    assert!(sent.p90_ms < 500.0 && sent.max_ms > 950.0, "{sent:?}");
    // How many others are late by a millisecond is up to the machine.
    assert!(open.share_late > 0.2, "{}", open.share_late);
    let closed = load(Served::start(handler, None).address, "/", &["--closed", "--requests=100", "-c1"]).unwrap();
    let (due, sent) = (closed.latency.unwrap(), closed.service.unwrap());
    assert!(due.p90_ms < 500.0 && sent.p90_ms < 500.0 && due.max_ms > 950.0, "{due:?}");
    assert_eq!((closed.n_good, closed.rate), (100, None));
}

#[test]
fn requests_are_due_at_their_times() {
    let served = Served::start(|_, _| Reply::ok(""), None);
    let report = load(served.address, "/x?y=1", &["--rate=250", "--seconds=0.8", "--warm-up=0.2", "-c4"]).unwrap();
    assert_eq!((report.n_good, report.n_requests), (200, 200), "those of the warm-up are not counted");
    assert_eq!(served.seen().len(), 250);
    assert_eq!(served.n_connections.load(Ordering::Relaxed), 4);
    // Not before they are due; how long after is up to the machine.
    assert!(report.seconds >= 0.8 && report.seconds < 10.0, "{}", report.seconds);
    assert!((report.good_per_second - 200.0 / report.seconds).abs() < 1e-9, "{}", report.good_per_second);
    assert_eq!(report.picture.iter().map(|b| b.n).sum::<u64>(), 200);
    assert_eq!(report.timeline.iter().map(|s| s.good).sum::<u64>(), 200);
    assert!(served.seen().iter().all(|s| s.line == "GET /x?y=1" && s.header("content-length").is_none()));
    assert!(served.seen().iter().all(|s| s.header("host") == Some(&served.address.to_string())));
}

#[test]
fn errors_are_counted_by_kind_with_the_first_of_their_words() {
    let served = Served::start(
        |number, _| match number % 6 {
            0 => Reply::ok("{\"decision\": \"approved\"}"),
            1 => Reply { status: 429, body: "slowly", headers: &[("retry-after", "1")], ..Reply::default() },
            2 => Reply { status: 503, ..Reply::default() },
            3 => Reply { status: 400, body: "{\"message\":\n  \"no column\"}", ..Reply::default() },
            4 => Reply::ok("{\"decision\": null}"),
            _ => Reply { status: 301, headers: &[("connection", "close")], ..Reply::default() },
        },
        None,
    );
    let report = load(served.address, "/", &["--closed", "--requests=60", "-c1", "--expect=approved"]).unwrap();
    let found: Vec<_> = report.problems.iter().map(|p| (p.kind.as_str(), p.n)).collect();
    let expected = [("body mismatch", 10), ("HTTP 301", 10), ("HTTP 400", 10), ("HTTP 429", 10), ("HTTP 503", 10)];
    assert_eq!(found, expected);
    assert_eq!(report.problems[3].example, "slowly");
    assert_eq!((report.n_good, report.refusals.unwrap().n), (10, 20));
    assert!((report.share_bad - 50.0 / 60.0).abs() < 1e-9);
    // Connections are kept open but where the server closes them.
    assert_eq!(served.n_connections.load(Ordering::Relaxed), 10);
}

#[test]
fn servers_that_misbehave_are_named_and_the_load_ends() {
    // Only who hangs is not waited for long.
    let cases: [(&'static [u8], &str, &str); 4] = [
        (b"", "30000", "connection closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal", "30000", "connection closed"),
        (b"220 mail.example ESMTP\r\n", "30000", "malformed answer"),
        (b"", "60", "timeout"),
    ];
    for (bytes, timeout_ms, kind) in cases {
        let words = ["--closed", "--requests=3", "-c1", "--timeout-ms", timeout_ms];
        let report = load(raw(bytes, kind == "timeout"), "/", &words).unwrap();
        let found: Vec<_> = report.problems.iter().map(|p| (p.kind.as_str(), p.n)).collect();
        assert_eq!(found, [(kind, 3)]);
        assert!(judge(&report).unwrap_err().to_string().contains("gave no good answer"));
    }
    // Half a second of requests is due, each connection gets one away, and another each 400 ms: the rest is told.
    let report = load(raw(b"", true), "/", &["--rate=100", "--seconds=0.5", "-c2", "--timeout-ms=400"]).unwrap();
    let found: Vec<_> = report.problems.iter().map(|p| (p.kind.as_str(), p.n)).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].0 == "timeout" && found[1].0 == "not sent" && found[0].1 + found[1].1 == 50, "{found:?}");
}

#[test]
fn a_place_where_nobody_listens_is_an_error_at_once() {
    // A port that is this test's own, and nobody listens there.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = held.local_addr().unwrap();
    let e = load(free, "/", &["--rate=10"]).unwrap_err();
    assert!(e.to_string().starts_with(&format!("no connection to {free}: ")), "{e}");
}

#[test]
fn bodies_take_turns_under_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "{\"request_id\":\"{{request_id}}\",\"n\":1}\n\n{\"n\":2}\n{\"n\":3,\"a\":\"{{request_id}}\",\"b\":\"{{request_id}}\"}\n";
    let (body, key) = (file(&dir, "b.jsonl", lines), file(&dir, "key", "abcd.efgh\n"));
    let served = Served::start(|_, _| Reply::ok("{\"id\": \"0197\", \"other\": [1]}"), None);
    let answers = dir.path().join("answers.csv");
    let words = ["--closed", "--requests=7", "-c1", "--header=x-try: 1", "--header", "Accept-Language: ko"];
    let files = ["--body", &body, "--key-file", &key, "--answers", answers.to_str().unwrap()];
    let report = load(served.address, "/d", &[&words[..], &files[..]].concat()).unwrap();
    assert_eq!((report.n_good, report.n_different), (7, 3));
    let seen = served.seen();
    let bodies: Vec<&str> = seen.iter().map(|s| s.body.as_str()).collect();
    assert_eq!(bodies[0], "{\"request_id\":\"00c0ffee-0000000000\",\"n\":1}");
    assert_eq!(bodies[1], "{\"n\":2}");
    assert_eq!(bodies[2], "{\"n\":3,\"a\":\"00c0ffee-0000000002\",\"b\":\"00c0ffee-0000000002\"}");
    assert_eq!(bodies[6], "{\"request_id\":\"00c0ffee-0000000006\",\"n\":1}");
    let headers = ["content-type", "authorization", "x-try", "accept-language"].map(|n| seen[0].header(n));
    let expected = ["application/json", "Bearer abcd.efgh", "1", "ko"].map(Some);
    assert_eq!((seen[0].line.as_str(), headers), ("POST /d", expected));
    let written = std::fs::read_to_string(&answers).unwrap();
    let lines: Vec<Vec<&str>> = written.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0].len()), (8, 7));
    assert_eq!((lines[7][0], lines[7][1], lines[7][2], lines[7][6]), ("6", "00c0ffee-0000000006", "200", "0197"));
}

#[test]
fn rows_of_a_table_become_decisions_and_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let table = "loan,income,rate,region,bad\nA1,900,1.5,north,0\nA2,,2.25,\"so \"\"uth\",1\nA3,12,3,,0\n";
    let csv = file(&dir, "loans.csv", table);
    let served = Served::start(|_, _| Reply::ok(""), None);
    let words = ["--closed", "--requests=3", "-c1", "--rows", &csv, "--model=credit", "--drop=bad,loan"];
    load(served.address, "/api/v1/decisions", &words).unwrap();
    load(served.address, "/v2/models/credit/infer", &[&words[..], &["--rows-each=2"]].concat()).unwrap();
    let seen = served.seen();
    let json = |i: usize| serde_json::from_str::<serde_json::Value>(&seen[i].body).unwrap();
    let row = serde_json::json!({ "income": null, "rate": 2.25, "region": "so \"uth" });
    assert_eq!(json(1)["row"], row);
    assert_eq!((&json(1)["model"], &json(1)["subject"]), (&"credit".into(), &"bench-1".into()));
    let ids: BTreeSet<String> = (0..3).map(|i| json(i)["request_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    let inputs = serde_json::json!([
        { "name": "income", "shape": [2], "datatype": "INT64", "data": [900, null] },
        { "name": "rate", "shape": [2], "datatype": "FP64", "data": [1.5, 2.25] },
        { "name": "region", "shape": [2], "datatype": "BYTES", "data": ["north", "so \"uth"] },
    ]);
    assert_eq!(json(3)["inputs"], inputs);
    assert_eq!(json(4)["inputs"][0]["data"], serde_json::json!([12, 900]), "a short table begins again");
}

#[test]
fn a_target_passes_or_fails_and_tells_the_stages() {
    let handler: Handler = |_, seen| Reply {
        headers: match seen.header("x-timings") {
            Some("1") => &[("server-timing", "queue;dur=0.5, score;dur=1.5, total;dur=2")],
            _ => &[],
        },
        delay_ms: 4,
        ..Reply::ok("")
    };
    let served = Served::start(handler, None);
    // Half of what is sent is enough, so that the last answer may be late.
    let words = ["--target=50", "--rate=100", "--seconds=0.6"];
    let passed = load(served.address, "/", &[&words[..], &["--p99-ms=10000"]].concat()).unwrap();
    assert!(passed.verdict.as_ref().unwrap().pass && judge(&passed).is_ok(), "{:?}", passed.verdict);
    let stages: Vec<_> = passed.stages.iter().map(|s| (s.name.as_str(), s.times.n)).collect();
    assert_eq!(stages, [("queue", 4), ("score", 4), ("total", 4), ("service", 4)], "one in seventeen is asked");
    assert!((passed.stages[1].times.mean_ms - 1.5).abs() < 0.01 && passed.stages[1].share < 0.5);
    let failed = load(served.address, "/", &[&words[..], &["--p99-ms=3"]].concat()).unwrap();
    let checks: Vec<bool> = failed.verdict.as_ref().unwrap().checks.iter().map(|c| c.pass).collect();
    assert_eq!(checks, [true, false, true]);
    assert_eq!(judge(&failed).unwrap_err().to_string(), "the target was missed");
    // Nothing that is not asked for is asked of the server.
    let before = served.seen().len();
    load(served.address, "/", &["--closed", "--requests=40"]).unwrap();
    assert!(served.seen()[before..].iter().all(|s| s.header("x-timings").is_none()));
}

#[test]
fn encrypted_connections_trust_the_named_authority_alone() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/command/bench/testdata");
    let chain = PemObject::pem_file_iter(format!("{folder}/server.pem")).unwrap().map(|c| c.unwrap()).collect();
    let key = PemObject::from_pem_file(format!("{folder}/server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let served = Served::start(|_, _| Reply::ok("hello"), Some(acceptor));
    let url = format!("https://localhost:{}/", served.address.port());
    let run = |ca: &str| {
        let ca = format!("{folder}/{ca}");
        let words = [url.as_str(), "--closed", "--requests=5", "-c2", "--expect=hello", "--ca-file", &ca];
        measure(&flags(&words), 1, &Run::new(1, 1))
    };
    assert_eq!(run("ca.pem").unwrap().n_good, 5);
    let e = run("server.pem").unwrap_err().to_string();
    assert!(e.starts_with("no connection to localhost:"), "{e}");
    let e = run("README.md").unwrap_err().to_string();
    assert!(e.contains("no certificate"), "{e}");
}

#[test]
fn flags_that_cannot_be_are_refused() {
    let cases: [(&[&str], &str); 16] = [
        (&["http://a"], "one of --rate N, --target N, --closed, --requests N"),
        (&["http://a", "--rate=-1"], "--rate -1: allowed is 0.001 to 1000000"),
        (&["http://a", "--rate=NaN"], "--rate NaN"),
        (&["http://a", "--rate=1", "--seconds=0"], "--seconds 0: allowed is 0.001 to 86400"),
        (&["http://a", "--rate=1", "-c0"], "--connections 0: allowed is 1 to 10000"),
        (&["http://a", "--rate=1", "--timeout-ms=0"], "--timeout-ms 0"),
        (&["http://a", "--rate=10", "--target=20"], "--rate beside --target 10: allowed is 20 to 1000000"),
        (&["http://a", "--target=1", "--errors=2"], "--errors 2: allowed is 0 to 1"),
        (&["https://a", "--rate=1"], "--ca-file is missing"),
        (&["http://a", "--rate=1", "--ca-file=x"], "--ca-file is of https"),
        (&["http://a", "--rate=1", "--method=get"], "--method get: allowed are capital letters"),
        (&["http://a", "--rate=1", "--header=host: b"], "«host» cannot be set"),
        (&["http://a", "--rate=1", "--header=a"], "allowed is «name: value»"),
        (&["http://a", "--rate=1", "--header=a: b\r\nc: d"], "allowed is «name: value»"),
        (&["http://a", "--rate=1", "--body=absent"], "absent: "),
        (&["http://a", "--rate=1", "--key-file=absent"], "absent: "),
    ];
    for (words, part) in cases {
        let e = measure(&flags(words), 1, &Run::new(1, 1)).expect_err(part);
        assert!(e.is_request() && e.to_string().contains(part), "{words:?}: {e}");
    }
}
