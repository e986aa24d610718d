//! Attacks over real sockets, each with a bounded wait.

use super::*;
use crate::http::tests::{app_with, router};
use std::future::Future;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest that anything here may take.
const BOUND: Duration = Duration::from_secs(60);
/// By when a server with short times has noticed: how late a timer is, is the machine's affair.
const NOTICED: Duration = Duration::from_secs(20);

/// A server whose address is given to `client`; it is stopped when the client is done. Its times are long enough that a busy
/// machine does not end what a test is not about: a test shortens its own. Gives how long stopping took.
fn with_server<F: Future<Output = ()>>(
    change: impl FnOnce(&mut Settings),
    client: impl FnOnce(Shared, SocketAddr, Arc<AtomicBool>) -> F,
) -> Duration {
    let app = app_with(|settings| {
        settings.serve.head_timeout_ms = 10_000;
        settings.serve.idle_timeout_ms = 10_000;
        settings.serve.answer_timeout_ms = 10_000;
        settings.serve.stop_ms = 30_000;
        settings.flow.body_timeout_ms = 10_000;
        settings.flow.anonymous_rate_per_second = 0;
        change(settings);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = listen("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let serving = tokio::spawn({
            let (app, stop) = (app.clone(), stop.clone());
            async move { attend(app.clone(), router(app), listener, None, &stop).await }
        });
        tokio::time::timeout(BOUND, client(app, address, stop.clone())).await.expect("the client is done in time");
        stop.store(true, Ordering::Relaxed);
        let start = Instant::now();
        tokio::time::timeout(BOUND, serving).await.expect("it stops").expect("no panic").expect("in order");
        start.elapsed()
    })
}

/// Sends bytes and reads until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer that has no more than one packet.
async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4_096];
    let n = stream.read(&mut bytes).await.expect("an answer");
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

const GET: &[u8] = b"GET /test/number/7 HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET /test/number/7 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[test]
fn a_head_that_comes_byte_by_byte_is_left_and_others_are_served_meanwhile() {
    with_server(
        |settings| settings.serve.head_timeout_ms = 200,
        |_, address, _| async move {
            let start = Instant::now();
            let slow = tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("a connection");
                // For forty seconds, if it is let.
                for byte in GET.iter().cycle().take(2_000).filter(|b| **b != b'\n') {
                    if stream.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                start.elapsed()
            });
            let answer = exchange(address, GET_AND_CLOSE).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
            let time = slow.await.expect("the slow one ends");
            assert!(time >= Duration::from_millis(200) && time < NOTICED, "{time:?}");
        },
    );
}

#[test]
fn a_body_that_does_not_come_is_told_and_left() {
    with_server(
        |settings| settings.flow.body_timeout_ms = 200,
        |app, address, _| async move {
            let asked = b"POST /test/length HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nfew";
            let answer = exchange(address, asked).await;
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
            assert!(answer.contains("the body came too slowly; allowed are 200 ms"), "{answer}");
            assert_eq!(app.flow.load(), crate::flow::Load::default());
        },
    );
}

#[test]
fn a_connection_that_says_nothing_is_closed_and_one_that_asks_stays() {
    with_server(
        |settings| settings.serve.idle_timeout_ms = 1_500,
        |_, address, _| async move {
            let start = Instant::now();
            assert_eq!(exchange(address, b"").await, "");
            let idle = start.elapsed();
            assert!(idle >= Duration::from_millis(1_500) && idle < NOTICED, "{idle:?}");
        },
    );
    with_server(
        |settings| settings.serve.idle_timeout_ms = 10_000,
        |_, address, _| async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            for _ in 0..8 {
                stream.write_all(GET).await.expect("sent");
                assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
                // Together longer than that, and each by so much less that no machine is so slow.
                tokio::time::sleep(Duration::from_millis(1_500)).await;
            }
        },
    );
}

#[test]
fn a_client_that_does_not_take_its_answer_is_left() {
    with_server(
        |settings| settings.serve.answer_timeout_ms = 200,
        |app, address, _| async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(b"GET /test/large HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
            // It is welcomed first.
            while app.guests.open() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            app.guests.all_gone().await;
            drop(stream);
        },
    );
}

#[test]
fn too_many_connections_are_told_and_one_that_goes_makes_room() {
    with_server(
        |settings| settings.serve.connections_per_address = 3,
        |app, address, _| async move {
            let mut held = Vec::new();
            for _ in 0..3 {
                let mut stream = TcpStream::connect(address).await.expect("a connection");
                stream.write_all(GET).await.expect("sent");
                assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
                held.push(stream);
            }
            let mut fourth = TcpStream::connect(address).await.expect("a connection");
            let answer = read_to_end(&mut fourth).await;
            let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
            assert!(head.starts_with("HTTP/1.1 503"), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
            held.pop();
            while app.guests.open() > 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(exchange(address, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200 OK"));
            assert_eq!(app.guests.refused(), 1);
        },
    );
}

#[test]
fn heads_are_bounded() {
    with_server(
        |_| (),
        |_, address, _| async move {
            let one_long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(200_000));
            let answer = exchange(address, one_long.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
            let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1_000));
            let answer = exchange(address, many.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
            let long_path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(200_000));
            let answer = exchange(address, long_path.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"), "{answer}");
        },
    );
}

#[test]
fn requests_in_a_row_are_answered_in_order_and_garbage_after_them_ends_the_connection() {
    with_server(
        |_| (),
        |_, address, _| async move {
            let mut bytes = Vec::new();
            for n in 0..20 {
                bytes.extend_from_slice(format!("GET /test/number/{n} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
            }
            bytes.extend_from_slice(b"\x16\x03\x01 \xff\xfe garbage\r\n\r\n");
            let answer = exchange(address, &bytes).await;
            assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 20, "{answer}");
            assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
            let numbers: Vec<&str> = answer
                .split("\r\n\r\n")
                .skip(1)
                .map(|rest| rest.split("HTTP/1.1").next().unwrap_or_default())
                .filter(|body| !body.is_empty())
                .collect();
            let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
            assert_eq!(numbers, expected);
            // Two lengths, a length and chunks: ways to smuggle a request past a proxy.
            let two = b"POST /test/length HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 30\r\n\r\nabc";
            assert!(exchange(address, two).await.starts_with("HTTP/1.1 400"));
            let both =
                b"POST /test/length HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc";
            assert!(exchange(address, both).await.starts_with("HTTP/1.1 400"));
        },
    );
}

#[test]
fn a_body_beyond_the_limit_is_refused_unread_and_the_client_reads_why() {
    with_server(
        |_| (),
        |_, address, _| async move {
            let mut bytes = b"POST /test/length HTTP/1.1\r\nhost: a\r\ncontent-length: 20000000\r\n\r\n".to_vec();
            // Enough that the client is still sending when the answer comes.
            bytes.resize(3 << 20, b'x');
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let answer = read_to_end(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
            assert!(answer.contains("the body has 20000000 bytes; allowed are 16777216"), "{answer}");
        },
    );
}

#[test]
fn at_the_end_what_was_begun_is_answered_and_nothing_new_is_taken() {
    let took = with_server(
        |_| (),
        |app, address, stop| async move {
            let begun =
                tokio::spawn(async move { exchange(address, b"GET /test/slow/300 HTTP/1.1\r\nhost: a\r\n\r\n").await });
            let mut idle = TcpStream::connect(address).await.expect("a connection");
            while app.guests.open() < 2 || app.flow.load().in_flight[1] == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.store(true, Ordering::Relaxed);
            assert_eq!(read_to_end(&mut idle).await, "", "an idle connection is closed at once");
            assert!(!app.health.is_ready());
            assert!(TcpStream::connect(address).await.is_err(), "nothing new is taken");
            let answer = begun.await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        },
    );
    assert!(took < NOTICED, "{took:?}");
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let took = with_server(
        |settings| settings.serve.stop_ms = 100,
        |app, address, _| async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(b"GET /test/slow/50000 HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
            while app.flow.load().in_flight[1] == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            std::mem::forget(stream);
        },
    );
    assert!(took >= Duration::from_millis(100) && took < NOTICED, "{took:?}");
}

#[test]
fn an_address_that_is_taken_is_told() {
    let first = listen("127.0.0.1:0").expect("a port");
    let address = first.local_addr().expect("an address").to_string();
    let told = listen(&address).expect_err("taken").to_string();
    assert_eq!(told, format!("{address} is taken by another program; name another address with --listen"));
    let told = listen("8420").expect_err("no address").to_string();
    assert!(told.contains("«8420»"), "{told}");
}

#[test]
fn a_ledger_that_is_ahead_of_the_clock_is_noticed() {
    let server = crate::testing::Server::new(crate::settings::Settings::default());
    let ahead = |now_us: i64| ahead_s(&*server.app.store, now_us).expect("reads");
    assert!(ahead(1) <= 0, "an empty ledger is not ahead");
    server.decide(crate::testing::APPROVED);
    // The store of the tests writes its first record at 1,800,000,000 s.
    assert_eq!(ahead(1_800_000_000_000_000), 0);
    assert_eq!(ahead(1_799_992_800_000_000), 7_200);
    assert_eq!(ahead(1_800_000_060_000_000), -60);
}
