use super::*;
use crate::settings::Settings;
use crate::who::Who;
use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;
use statera_store::act::Actor;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// A server over an empty store in memory.
pub fn app() -> Shared {
    app_with(|_| ())
}

/// The same with other settings.
pub fn app_with(change: impl FnOnce(&mut Settings)) -> Shared {
    let mut settings = Settings::default();
    change(&mut settings);
    settings.check().expect("settings");
    crate::testing::app(settings, Arc::default())
}

/// Routes that do what a test needs, behind everything that real ones are behind.
pub fn router(app: Shared) -> Router {
    let routes = Router::new()
        .route("/test/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/test/json", post(|Json(value): Json<Value>| async move { value.to_string() }))
        .route("/test/number/{n}", get(|Path(n): Path<u8>| async move { n.to_string() }))
        .route("/test/slow/{ms}", get(slow))
        .route("/test/large", get(|| async { vec![b'x'; 32 << 20] }))
        .route("/test/boom", get(|| async { Err::<(), _>(Failure::from(statera_core::Error::io("/srv/secret"))) }));
    around(routes, Entry { app, identifies: false }).layer(from_fn(named))
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "done"
}

/// In place of identification: the header `x-who` names a key; «urgent…» is one of the payment path, «slow…» may ask once a
/// second.
async fn named(mut request: Request, next: Next) -> Response {
    let name = request.headers().get("x-who").and_then(|v| v.to_str().ok()).map(str::to_string);
    if let Some(name) = name {
        let (urgent, rate_per_second) = (name.starts_with("urgent"), u32::from(name.starts_with("slow")));
        request.extensions_mut().insert(Who {
            actor: Actor::Key(name),
            roles: BTreeSet::new(),
            rate_per_second,
            urgent,
        });
    }
    next.run(request).await
}

/// Runs on one thread, as on one core.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// A request: its method, path, headers and body.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).expect("a request")
}

/// Status, headers and body of the answer.
async fn answer(router: &Router, request: Request) -> (u16, HeaderMap, String) {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn every_refusal_has_one_form() {
    let router = router(app());
    let check =
        |method: &str, path: &str, headers: &[(&str, &str)], body: &str, status: u16, error: &str, word: &str| {
            let (got, headers, text) = run(answer(&router, request(method, path, headers, body.to_string())));
            assert_eq!(got, status, "{method} {path}: {text}");
            let told: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(told["error"], error, "{text}");
            assert!(told["message"].as_str().is_some_and(|m| m.contains(word)), "«{word}» is not in {text}");
            assert!(headers.contains_key("x-request-id"));
        };
    check("GET", "/nothing", &[], "", 404, "not_found", "nothing at this path");
    check("GET", "/test/../../etc/passwd", &[], "", 404, "not_found", "nothing at this path");
    check("DELETE", "/test/json", &[], "", 405, "method_not_allowed", "DELETE is not a method");
    check("TRACE", "/health/live", &[], "", 405, "method_not_allowed", "TRACE is not a method");
    check("SMUGGLE", "/test/json", &[], "", 405, "method_not_allowed", "SMUGGLE is not a method");
    check("GET", "/test/number/300", &[], "", 400, "bad_request", "300");
    check("POST", "/test/json", &[], "{}", 415, "unsupported_media_type", "application/json");
    let packed = [JSON, ("content-encoding", "gzip")];
    let told = "header content-encoding: «gzip»; allowed: none";
    check("POST", "/test/json", &packed, "{}", 415, "unsupported_media_type", told);
    check("POST", "/test/json", &[JSON], "{\"a\": }", 400, "bad_request", "line 1 column 7");
    check("POST", "/test/json", &[JSON], &"[".repeat(1_000_000)[..60_000], 400, "bad_request", "recursion limit");
    check("POST", "/test/json", &[JSON], "\"\\ud800\"", 400, "bad_request", "line 1");
    check("POST", "/test/json", &[JSON, ("x-deadline-ms", "soon")], "{}", 400, "bad_request", "allowed: 1 to 60000");
    check("POST", "/test/json", &[JSON, ("x-priority", "first")], "{}", 400, "bad_request", "urgent, everyday, batch");
    check("GET", "/test/slow/5000", &[("x-deadline-ms", "20")], "", 504, "deadline_passed", "deadline");
    check("GET", "/test/boom", &[], "", 500, "internal", "its log says why");
    let long = [("content-length", "16777217"), JSON];
    check("POST", "/test/json", &long, "", 413, "too_large", "the body has 16777217 bytes; allowed are 16777216");
}

#[test]
fn an_allowed_method_is_told_with_a_wrong_one() {
    let (_, headers, _) = run(answer(&router(app()), request("PUT", "/test/json", &[], "")));
    assert_eq!(headers[header::ALLOW], "POST");
}

#[test]
fn bodies_of_unknown_length_must_be_small() {
    let router = router(app());
    let chunked = |n: usize| {
        let pieces = (0..n).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1_024])));
        Body::new(Pieces(pieces.collect()))
    };
    let (status, _, length) = run(answer(&router, request("POST", "/test/length", &[], chunked(64))));
    assert_eq!((status, length.as_str()), (200, "65536"));
    let (status, headers, told) = run(answer(&router, request("POST", "/test/length", &[], chunked(65))));
    assert_eq!(status, 413, "{told}");
    assert!(told.contains("65536, which is allowed without the header content-length"), "{told}");
    assert_eq!(headers[header::CONNECTION], "close");
}

/// A body of pieces, which does not know its length.
struct Pieces(std::collections::VecDeque<Result<Bytes, std::io::Error>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.pop_front().map(|piece| piece.map(hyper::body::Frame::data)))
    }
}

#[test]
fn a_key_over_its_target_is_told_when_to_come_back_and_its_body_is_not_read() {
    let router = router(app_with(|s| s.flow.burst_min = 2));
    let reads = Arc::new(AtomicUsize::new(0));
    let asked = |who: &str| {
        let body = Body::new(Counted(reads.clone()));
        run(answer(&router, request("POST", "/test/length", &[("x-who", who), ("content-length", "5")], body)))
    };
    assert_eq!((asked("slow").0, asked("slow").0), (200, 200));
    let read_by_two = reads.load(Ordering::Relaxed);
    let (status, headers, told) = asked("slow");
    assert_eq!(status, 429, "{told}");
    assert!(told.contains("this key asks for more than its 1 requests a second"), "{told}");
    assert_eq!(headers[header::RETRY_AFTER], "1");
    assert_eq!(reads.load(Ordering::Relaxed), read_by_two, "what is refused is not read");
    assert_eq!(asked("another").0, 200, "others are not held up");
}

/// Waits until something holds, for as long as a slow machine may take.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A body that counts who asks for it.
struct Counted(Arc<AtomicUsize>);

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        let first = self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        std::task::Poll::Ready(first.then(|| Ok(hyper::body::Frame::data(Bytes::from_static(b"hello")))))
    }
}

#[test]
fn a_full_server_refuses_within_its_wait_and_still_lets_urgent_requests_in() {
    let app = app_with(|s| {
        s.flow.in_flight = 4;
        s.flow.in_flight_urgent = 1;
        s.flow.in_flight_batch = 1;
        s.flow.wait_ms = 20;
    });
    let router = router(app.clone());
    run(async {
        let slow = |who: &str| {
            let (router, request) = (router.clone(), request("GET", "/test/slow/8000", &[("x-who", who)], ""));
            tokio::spawn(async move { answer(&router, request).await.0 })
        };
        let everyday: Vec<_> = (0..3).map(|_| slow("a")).collect();
        until("the slow ones are in flight", || app.flow.load().in_flight == [0, 3, 0]).await;
        let start = Instant::now();
        let (status, headers, told) = answer(&router, request("GET", "/test/number/1", &[("x-who", "b")], "")).await;
        assert_eq!(status, 503, "{told}");
        assert!(headers.contains_key(header::RETRY_AFTER));
        let waited = start.elapsed();
        // Long before a place becomes free; how late a timer is, is the machine's affair.
        assert!((20..6_000).contains(&waited.as_millis()), "{waited:?}");
        let (status, ..) = answer(&router, request("GET", "/test/number/1", &[("x-who", "urgent")], "")).await;
        assert_eq!(status, 200);
        // Who has time waits longer.
        let patient = request("GET", "/test/number/1", &[("x-who", "b"), ("x-deadline-ms", "60000")], "");
        assert_eq!(answer(&router, patient).await.0, 200);
        for task in everyday {
            assert_eq!(task.await.expect("an answer"), 200);
        }
    });
    assert_eq!(app.flow.load(), crate::flow::Load::default(), "everything is given back");
    assert_eq!(app.flow.refused(crate::flow::Reason::WaitedTooLong), 1);
}

#[test]
fn who_goes_away_leaves_the_queue_and_the_flight() {
    let app = app_with(|s| {
        s.flow.in_flight = 3;
        s.flow.in_flight_urgent = 1;
        s.flow.in_flight_batch = 1;
    });
    let router = router(app.clone());
    run(async {
        let patient = [("x-who", "a"), ("x-deadline-ms", "60000")];
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (router, request) = (router.clone(), request("GET", "/test/slow/60000", &patient, ""));
                tokio::spawn(async move { answer(&router, request).await.0 })
            })
            .collect();
        until("two are in flight and three wait", || {
            let load = app.flow.load();
            (load.in_flight[1], load.waiting[1]) == (2, 3)
        })
        .await;
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            assert!(task.await.is_err_and(|e| e.is_cancelled()));
        }
    });
    assert_eq!(app.flow.load(), crate::flow::Load::default());
}

#[test]
fn times_by_stage_are_told_to_who_asks() {
    let router = router(app());
    let (_, headers, _) = run(answer(&router, request("GET", "/test/number/1", &[("x-timings", "1")], "")));
    let timing = headers["server-timing"].to_str().expect("text");
    assert!(timing.contains("total;dur="), "{timing}");
    let (_, headers, _) = run(answer(&router, request("GET", "/test/number/1", &[("x-request-id", "order-7")], "")));
    assert!(!headers.contains_key("server-timing"));
    assert_eq!(headers["x-request-id"], "order-7");
}

#[test]
fn metrics_count_routes_as_patterns_and_no_client_makes_them_grow() {
    // All of them come from one address without a key, faster than such may.
    let router = router(app_with(|s| s.flow.anonymous_rate_per_second = 0));
    for n in 0..20 {
        run(answer(&router, request("GET", &format!("/test/number/{n}"), &[], "")));
        run(answer(&router, request("GET", &format!("/scan/{n}"), &[], "")));
        run(answer(&router, request(&format!("M{n}"), "/test/json", &[], "")));
    }
    let (status, _, text) = run(answer(&router, request("GET", "/metrics", &[], "")));
    assert_eq!(status, 200);
    for line in [
        "statera_requests_total{method=\"GET\",route=\"/test/number/{n}\",status=\"200\"} 20",
        "statera_requests_total{method=\"GET\",route=\"other\",status=\"404\"} 20",
        "statera_requests_total{method=\"other\",route=\"/test/json\",status=\"405\"} 20",
        "statera_refused_total{reason=\"key_rate\"} 0",
        "statera_in_flight{class=\"urgent\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "«{line}» is not in\n{text}");
    }
    let resident = text.lines().find_map(|l| l.strip_prefix("statera_resident_bytes ")).expect("memory");
    assert!(resident.parse::<f64>().is_ok_and(|bytes| bytes > 1e6), "{resident}");
}

#[test]
fn health_answers_while_the_server_is_full() {
    let app = app_with(|s| s.flow.rate_per_second = 1);
    let router = router(app.clone());
    for _ in 0..30 {
        run(answer(&router, request("GET", "/test/number/1", &[("x-who", "a")], "")));
    }
    assert_eq!(run(answer(&router, request("GET", "/test/number/1", &[("x-who", "a")], ""))).0, 503);
    let (status, _, text) = run(answer(&router, request("GET", "/health/live", &[], "")));
    assert_eq!((status, text.as_str()), (200, r#"{"live":true}"#));
    let (status, _, text) = run(answer(&router, request("GET", "/health/ready", &[], "")));
    assert_eq!((status, text.as_str()), (200, r#"{"ready":true,"store":true,"models":true,"stopping":false}"#));
    app.health.stop();
    assert_eq!(run(answer(&router, request("GET", "/health/ready", &[], ""))).0, 503);
}
