//! What every request passes before its handler, and every answer after it: a name, its limits, identification, admission; the
//! one form of errors, metrics, log. One middleware, not one for each: every layer of the router costs each request a microsecond.

use super::body::{self, Fate};
use super::failure::{self, Failure};
use super::limits::Limits;
use super::timings::Timings;
use crate::app::Shared;
use crate::flow::admission;
use crate::who::layer;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The header that names a request, from the client or made here.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header by which a request asks for its stages' times.
pub const TIMINGS: &str = "x-timings";
/// The stages' times in an answer.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Longest name that is taken from a client.
const ID_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The name of a request in logs and answers, in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's, if it is 1 to 64 of letters, digits, «.», «-» and «_»; else a new one.
    fn of(headers: &HeaderMap) -> RequestId {
        let is_sane = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            let is_word = |b: &u8| b.is_ascii_alphanumeric() || b".-_".contains(b);
            (1..=ID_MAX).contains(&bytes.len()) && bytes.iter().all(is_word)
        };
        headers.get(REQUEST_ID).filter(is_sane).map_or_else(RequestId::new, |value| RequestId(value.clone()))
    }

    /// Distinct within the process by its number, between processes by a random beginning.
    fn new() -> RequestId {
        static PROCESS: OnceLock<u32> = OnceLock::new();
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let process = PROCESS.get_or_init(|| getrandom::u32().unwrap_or_else(|_| std::process::id()));
        let text = format!("{process:08x}-{:x}", NUMBER.fetch_add(1, Ordering::Relaxed));
        // Digits and a hyphen are always a header's value.
        RequestId(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("-")))
    }

    /// The name of the request that the present task works on.
    pub fn current() -> Option<String> {
        CURRENT.try_with(|id| id.as_str().to_string()).ok()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// What the middleware knows.
#[derive(Clone)]
pub struct Entry {
    /// The server.
    pub app: Shared,
    /// False where a test says who asks.
    pub identifies: bool,
}

/// The middleware around everything.
pub async fn enter(State(entry): State<Entry>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let app = &entry.app;
    let id = RequestId::of(request.headers());
    let wants_timings = request.headers().contains_key(TIMINGS);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let timings = Timings::default();
    let mut response = match prepare(app, &mut request, route.as_ref()) {
        Ok((limits, watch)) => {
            let extensions = request.extensions_mut();
            extensions.insert(id.clone());
            extensions.insert(timings.clone());
            extensions.insert(limits);
            let answer = CURRENT.scope(id.clone(), pass(&entry, request, route.as_ref(), next));
            match tokio::time::timeout_at(limits.deadline.into(), answer).await {
                Ok(response) => finish(response, watch.fate(), app, &limits).await,
                Err(_) => too_late().into_response(),
            }
        }
        Err(failure) => failure.into_response(),
    };
    let time = start.elapsed();
    response.headers_mut().insert(REQUEST_ID, id.0.clone());
    if wants_timings && let Ok(value) = HeaderValue::try_from(timings.header(time)) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.answered(route, &method, response.status(), time, &timings);
    log(&id, route, &method, response.status(), time);
    response
}

/// Identification, then admission, then the handler. What watches the server is answered also while it is full.
async fn pass(entry: &Entry, request: Request, route: Option<&MatchedPath>, next: Next) -> Response {
    let app = &entry.app;
    let (mut parts, body) = request.into_parts();
    let renewed = match entry.identifies {
        true => layer::let_pass(&app.doorkeeper, &mut parts).await,
        false => Ok(None),
    };
    let renewed = match renewed {
        Ok(renewed) => renewed,
        Err(refusal) => return refusal,
    };
    let permit = match route {
        Some(route) if !super::WATCHING.contains(&route.as_str()) => match admission::admit(app, &parts).await {
            Ok(permit) => Some(permit),
            Err(failure) => return failure.into_response(),
        },
        _ => None,
    };
    let response = next.run(Request::from_parts(parts, body)).await;
    drop(permit);
    layer::renew(response, renewed)
}

/// Reads the limits of a request and bounds its body by them.
fn prepare(app: &Shared, request: &mut Request, route: Option<&MatchedPath>) -> Result<(Limits, body::Watch), Failure> {
    let coding = request.headers().get(header::CONTENT_ENCODING).filter(|coding| !coding.is_empty());
    if let Some(coding) = coding.filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let coding = String::from_utf8_lossy(coding.as_bytes());
        let message = format!("header content-encoding: «{coding:.40}»; allowed: none, the body as it is");
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let flow = &app.settings.flow;
    let is_upload = route.is_some_and(|route| super::UPLOADS.contains(&route.as_str()));
    let upload_bytes_max = is_upload.then_some(app.settings.who.upload_bytes_max);
    let limits = Limits::read(request.headers(), flow, upload_bytes_max)?;
    if limits.body_bytes > limits.body_bytes_max {
        return Err(too_large(&limits));
    }
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let (body, watch) = body::bounded(body, &limits, flow);
    *request.body_mut() = body;
    Ok((limits, watch))
}

/// An error that comes from the body is told as such, whatever the handler made of it.
async fn finish(response: Response, fate: Fate, app: &Shared, limits: &Limits) -> Response {
    if response.status().is_success() || fate == Fate::Fine {
        return failure::in_one_form(response).await;
    }
    let failure = match fate {
        Fate::TooLarge => too_large(limits),
        Fate::TooSlow => {
            let flow = &app.settings.flow;
            let (ms, rate) = (flow.body_timeout_ms, flow.body_bytes_per_second_min);
            let message = format!("the body came too slowly; allowed are {ms} ms, and at least {rate} bytes a second");
            Failure::new(StatusCode::REQUEST_TIMEOUT, message)
        }
        Fate::Fine | Fate::Broken => Failure::new(StatusCode::BAD_REQUEST, "the connection ended before the body"),
    };
    let mut response = failure.into_response();
    // The rest of the body is not waited for.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn too_large(limits: &Limits) -> Failure {
    let most = limits.body_bytes_max;
    let message = match limits.body_bytes {
        0 => format!("the body has more bytes than {most}, which is allowed without the header content-length"),
        bytes => format!("the body has {bytes} bytes; allowed are {most}"),
    };
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

fn too_late() -> Failure {
    let message = "the deadline passed before there was an answer; what was asked may be done nevertheless: ask again under \
                   the same request id";
    Failure::new(StatusCode::GATEWAY_TIMEOUT, message).retry_after(1)
}

/// Without body, query, address and names: a log holds no personal data. The route is the pattern, not what was asked for.
fn log(id: &RequestId, route: &str, method: &Method, status: StatusCode, time: Duration) {
    let (status, us) = (status.as_u16(), time.as_micros() as u64);
    if status == 500 {
        tracing::warn!(request_id = id.as_str(), method = method.as_str(), route, status, us, "answered");
    } else {
        tracing::debug!(request_id = id.as_str(), method = method.as_str(), route, status, us, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_name_of_the_client_is_kept_and_another_replaced() {
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).expect("a header"));
            RequestId::of(&headers).as_str().to_string()
        };
        assert_eq!(of(b"order-17_a.B"), "order-17_a.B");
        let long = [b'a'; ID_MAX + 1];
        for wrong in [&b""[..], b"two words", b"a\"b", "Ü".as_bytes(), &long] {
            let made = of(wrong);
            assert!(made.as_bytes() != wrong && made.contains('-'), "{made}");
        }
        assert_ne!(of(b""), of(b""));
    }
}
