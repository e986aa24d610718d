//! An object store of the tests: HEAD, GET and PUT with a condition over a socket, one request a connection. It computes every
//! signature anew, from the request as it came and without the library that made it.

use ring::{digest, hmac};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const ACCESS: &str = "statera-tests";
pub const SECRET: &str = "never-to-be-printed/+==";
pub const BUCKET: &str = "models";
/// Minutes that a signature's time may be from now, as S3 has it.
const SKEW_MINUTES: i64 = 15;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long it waits for its port, where another test has it.
const PORT_LIMIT: Duration = Duration::from_secs(60);

/// What the next request gets in place of its answer.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// This status, with the name of an error.
    Status(u16, &'static str),
    /// Half of the body that was announced.
    Truncated,
}

#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Method and status of each answer.
    pub log: Vec<String>,
    pub troubles: VecDeque<Trouble>,
    /// True: `If-None-Match` is answered 501.
    pub knows_no_condition: bool,
    pub n_overwritten: usize,
    /// Those who put wait here for each other.
    pub barrier: Option<Arc<Barrier>>,
}

pub struct Double {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Its port after it left.
    held: Option<tokio::net::TcpSocket>,
}

struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Double {
    pub fn start() -> Double {
        Double::with(BTreeMap::new())
    }

    pub fn with(objects: BTreeMap<String, Vec<u8>>) -> Double {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { objects, ..State::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (state.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let state = shared.clone();
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Double { address, state, stop, thread: Some(thread), held: None }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The answers since the last look.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// Goes away. Its port stays its own: nobody listens there, and no other program is given it.
    pub fn leave(&mut self) {
        self.end();
        let held = || {
            let held = tokio::net::TcpSocket::new_v4()?;
            // Connections of before linger on the port.
            held.set_reuseaddr(true)?;
            held.bind(self.address).map(|()| held)
        };
        // Between its end and this another test may have been given the port, for as long as that test takes.
        let end = Instant::now() + PORT_LIMIT;
        self.held = Some(loop {
            match held() {
                Ok(held) => break held,
                Err(e) => assert!(Instant::now() < end, "{} was free a moment ago: {e}", self.address),
            }
            std::thread::sleep(Duration::from_millis(50));
        });
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Wakes the loop, which then closes its socket.
            let _ = TcpStream::connect(self.address);
            let _ = thread.join();
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let Some(request) = read(&mut stream) else { return };
    let barrier = lock(state).barrier.clone();
    if let Some(barrier) = barrier.filter(|_| request.method == "PUT") {
        barrier.wait();
    }
    let mut state = lock(state);
    let trouble = state.troubles.pop_front();
    let (status, body) = match trouble {
        Some(Trouble::Status(status, code)) => (status, error(code)),
        _ => answer(&mut state, &request),
    };
    state.log.push(format!("{} {status}", request.method));
    drop(state);
    let length = body.len();
    let sent = match (request.method.as_str(), trouble) {
        ("HEAD", _) => 0,
        (_, Some(Trouble::Truncated)) => length / 2,
        _ => length,
    };
    let head = format!("HTTP/1.1 {status} .\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(&[head.as_bytes(), &body[..sent]].concat());
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") && bytes.len() < HEAD_BYTES_MAX {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_string(), first.next()?.to_string());
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_string()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length = headers.get("content-length").map_or(Ok(0), |n| n.parse()).ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body })
}

fn error(code: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>secret things</Message></Error>").into_bytes()
}

fn answer(state: &mut State, request: &Request) -> (u16, Vec<u8>) {
    if is_signed(request).is_none() {
        return (403, error("SignatureDoesNotMatch"));
    }
    let path = request.target.split('?').next().unwrap_or_default();
    let Some(key) = path.strip_prefix(&format!("/{BUCKET}/")) else { return (404, error("NoSuchBucket")) };
    let is_new_only = request.headers.get("if-none-match").is_some_and(|value| value == "*");
    match request.method.as_str() {
        "GET" | "HEAD" => match state.objects.get(key) {
            Some(bytes) => (200, bytes.clone()),
            None => (404, error("NoSuchKey")),
        },
        "PUT" if is_new_only && state.knows_no_condition => (501, error("NotImplemented")),
        "PUT" if is_new_only && state.objects.contains_key(key) => (412, error("PreconditionFailed")),
        "PUT" => {
            let before = state.objects.insert(key.into(), request.body.clone());
            state.n_overwritten += usize::from(before.is_some());
            (200, Vec::new())
        }
        _ => (405, error("MethodNotAllowed")),
    }
}

/// Some if the signature in the query is that of the request, as «Authenticating Requests: Using Query Parameters (AWS Signature
/// Version 4)» says, and covers the condition.
fn is_signed(request: &Request) -> Option<()> {
    let (path, query) = request.target.split_once('?')?;
    let parts: Vec<(&str, &str)> = query.split('&').filter_map(|part| part.split_once('=')).collect();
    let part = |name: &str| parts.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let plain = |text: &str| text.replace("%2F", "/").replace("%3B", ";");
    let credential = plain(part("X-Amz-Credential")?);
    let (access, scope) = credential.split_once('/')?;
    let (at, names) = (part("X-Amz-Date")?, plain(part("X-Amz-SignedHeaders")?));
    let date = scope.split('/').next()?;
    let expected_scope = format!("{date}/us-east-1/s3/aws4_request");
    let is_of_now = at.starts_with(date) && is_fresh(at)? && part("X-Amz-Expires")?.parse::<u32>().ok()? <= 604_800;
    if access != ACCESS || scope != expected_scope || !is_of_now || part("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return None;
    }
    let mut queries: Vec<String> =
        parts.iter().filter(|(n, _)| *n != "X-Amz-Signature").map(|(n, value)| format!("{n}={value}")).collect();
    queries.sort();
    let mut lines = String::new();
    for name in names.split(';') {
        lines += &format!("{name}:{}\n", request.headers.get(name)?);
    }
    let covers = |name: &str| !request.headers.contains_key(name) || names.split(';').any(|n| n == name);
    if !covers("host") || !covers("if-none-match") {
        return None;
    }
    let canonical = format!("{}\n{path}\n{}\n{lines}\n{names}\nUNSIGNED-PAYLOAD", request.method, queries.join("&"));
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for step in [date, "us-east-1", "s3", "aws4_request"] {
        key = mac(&key, step);
    }
    let signature = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{hash}")));
    (part("X-Amz-Signature")? == signature).then_some(())
}

fn is_fresh(at: &str) -> Option<bool> {
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let seconds = jiff::Timestamp::now().as_second() - at.timestamp().as_second();
    Some(seconds.abs() <= SKEW_MINUTES * 60)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
