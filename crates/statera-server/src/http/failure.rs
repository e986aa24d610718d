//! The one place where errors become answers: what the client did wrong is told, what went wrong inside is logged.

use super::entry::RequestId;
use super::json::in_words;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use statera_core::{Error, ErrorKind};
use statera_data::window::Refusal;

/// An error on its way to the client.
#[derive(Debug)]
pub struct Failure {
    /// The answer's status.
    pub status: StatusCode,
    /// What the client reads.
    pub message: String,
    /// Seconds after which it may succeed.
    pub retry_after_s: Option<u32>,
    /// A short name of what is wrong, where it is more than the status says.
    pub code: Option<&'static str>,
}

impl Failure {
    /// A refusal that is no [`Error`]: it is about the request's way, not about what it asks.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), retry_after_s: None, code: None }
    }

    /// What a state has against a transaction or a label.
    pub fn refused(refusal: Refusal) -> Failure {
        let code = Some(refusal.code());
        Failure { code, ..Failure::from(Error::from(refusal)) }
    }

    /// The body of the answer.
    pub fn body(&self) -> impl Serialize {
        Body { error: self.code.unwrap_or(name(self.status)), message: &self.message }
    }

    /// The same, with the seconds after which it may succeed.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Failure {
        Failure { retry_after_s: Some(seconds), ..self }
    }
}

/// A short name of a status that programs can act on.
pub fn name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "too_slow",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        StatusCode::GATEWAY_TIMEOUT => "deadline_passed",
        status if status.is_server_error() => "internal",
        _ => "bad_request",
    }
}

/// The body of every error.
#[derive(Debug, Serialize)]
struct Body<'a> {
    /// A short name that programs can act on.
    error: &'a str,
    /// For people.
    message: &'a str,
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        let status = match e.kind() {
            ErrorKind::Request | ErrorKind::Data => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::Busy | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Io | ErrorKind::Damaged | ErrorKind::Newer => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after_s = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        if status.is_server_error() && retry_after_s.is_none() {
            tracing::error!(request_id = RequestId::current().as_deref(), error = %e, "a request failed inside");
            let message = "the server failed; its log says why".into();
            return Failure { status, message, retry_after_s, code: None };
        }
        let mut message = e.to_string();
        if e.kind() == ErrorKind::Busy
            && let Some(outside) = without_inside(&message)
        {
            tracing::warn!(request_id = RequestId::current().as_deref(), error = %e, "the database is away");
            message = outside;
        } else if let Some(outside) = without_place(e.kind(), &message) {
            tracing::warn!(request_id = RequestId::current().as_deref(), error = %e, "another system was asked");
            message = outside;
        }
        Failure { status, message, retry_after_s, code: None }
    }
}

/// What a client may know of a database that is away: not where it is nor what its driver says, but what became of the request.
fn without_inside(message: &str) -> Option<String> {
    let (_, why) = message.split_once(statera_store::AWAY)?;
    let fate = [statera_store::NOT_WRITTEN, statera_store::IN_DOUBT].into_iter().find(|fate| why.ends_with(fate));
    Some(format!("{}{}", statera_store::AWAY, fate.unwrap_or_default()))
}

/// What a client may know of another system that does not answer or lacks something: not where it is.
fn without_place(kind: ErrorKind, message: &str) -> Option<String> {
    let (before, _) = message.split_once("://")?;
    match kind {
        ErrorKind::Busy => Some("another system does not answer; the server's log says why".into()),
        // «there is no bundle … in https», of which the last two words go.
        ErrorKind::NotFound => before.rsplit_once(" in ").map(|(what, _)| what.into()),
        _ => None,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Bytes of an error's own text that are passed on.
const TEXT_MAX: usize = 4_096;

/// Gives an error that was not made here (by the router, by an extractor) the form of all others. What has a body of JSON or
/// HTML has a form already.
pub async fn in_one_form(response: Response) -> Response {
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if [&b"application/json"[..], b"text/html"].iter().any(|form| content_type.starts_with(form)) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // JSON of another shape is told with the same status as JSON of another grammar, whoever reads it.
    if parts.status == StatusCode::UNPROCESSABLE_ENTITY {
        parts.status = StatusCode::BAD_REQUEST;
    }
    let text = axum::body::to_bytes(body, TEXT_MAX).await.unwrap_or_default();
    let text = match std::str::from_utf8(&text) {
        Ok(text) if !text.is_empty() => in_own_words(text.trim_end_matches('.')),
        _ => parts.status.canonical_reason().unwrap_or("the request was refused").to_lowercase(),
    };
    let (failure, body) = Failure::new(parts.status, text).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(failure.headers);
    Response::from_parts(parts, body)
}

/// How the framework begins what it says of a request, and how everything else here does.
const BEGINNINGS: [(&str, &str); 5] = [
    ("Failed to deserialize the JSON body into the target type: ", "the body: "),
    ("Failed to parse the request body as JSON: ", "the body: "),
    (
        "Expected request with `Content-Type: application/json`",
        "the body needs the header content-type: application/json",
    ),
    ("Failed to deserialize query string: ", "the query: "),
    ("Invalid URL: ", "the path: "),
];

/// What is said of a number in a query, without what is allowed, and with it.
const NUMBERS: [(&str, &str); 3] = [
    ("invalid digit found in string", "expected a whole number of 0 or more"),
    ("cannot parse integer from empty string", "expected a whole number of 0 or more"),
    ("number too large to fit in target type", "the number is larger than any that is allowed"),
];

fn in_own_words(text: &str) -> String {
    let begun = BEGINNINGS.iter().find_map(|(theirs, ours)| Some((ours, text.strip_prefix(theirs)?)));
    let told = in_words(&begun.map_or_else(|| text.to_string(), |(ours, rest)| format!("{ours}{rest}")));
    NUMBERS.iter().fold(told, |told, (theirs, ours)| told.replace(theirs, ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::Html;

    /// What a response reads like once it has the form of all errors.
    fn told(response: impl IntoResponse) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let response = in_one_form(response.into_response()).await;
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            (status, String::from_utf8(body.to_vec()).expect("text"))
        })
    }

    #[test]
    fn every_error_has_one_form() {
        let check =
            |response: Response, status: u16, body: &str| assert_eq!(told(response), (status, body.to_string()));
        let own = Failure::from(Error::not_found("model «a» is not here"));
        check(own.into_response(), 404, r#"{"error":"not_found","message":"model «a» is not here"}"#);
        let text = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Expected request with `Content-Type: application/json`");
        let body = r#"{"error":"unsupported_media_type","message":"the body needs the header content-type: application/json"}"#;
        check(text.into_response(), 415, body);
        let shape = (StatusCode::UNPROCESSABLE_ENTITY, "a: unknown field `a`");
        check(shape.into_response(), 400, r#"{"error":"bad_request","message":"a: unknown field `a`"}"#);
        let shape = "Failed to deserialize the JSON body into the target type: invalid type: map, expected struct New at line 1";
        let body = r#"{"error":"bad_request","message":"the body: invalid type: map, expected an object at line 1"}"#;
        check((StatusCode::UNPROCESSABLE_ENTITY, shape).into_response(), 400, body);
        let query = "Failed to deserialize query string: limit: invalid digit found in string";
        let body = r#"{"error":"bad_request","message":"the query: limit: expected a whole number of 0 or more"}"#;
        check((StatusCode::BAD_REQUEST, query).into_response(), 400, body);
        let empty = StatusCode::METHOD_NOT_ALLOWED.into_response();
        check(empty, 405, r#"{"error":"method_not_allowed","message":"method not allowed"}"#);
        check((StatusCode::FORBIDDEN, Html("<p>no</p>")).into_response(), 403, "<p>no</p>");
        check("fine".into_response(), 200, "fine");
    }

    #[test]
    fn where_another_system_is_is_not_told() {
        let away = Error::busy("bundle 7d in https://s3.bank.local/models/risk: http://10.1.2.3: Connection refused");
        assert_eq!(Failure::from(away).message, "another system does not answer; the server's log says why");
        let missing = Error::not_found("there is no bundle 7d in https://s3.bank.local/models/risk");
        assert_eq!(Failure::from(missing).message, "there is no bundle 7d");
        let own = Error::not_found("there is no key of that prefix");
        assert_eq!(Failure::from(own).message, "there is no key of that prefix");
    }

    #[test]
    fn what_goes_wrong_inside_is_not_told() {
        let failure = Failure::from(Error::io("/srv/statera/store.db: disk I/O error"));
        let (status, body) = told(failure);
        assert_eq!(status, 500);
        assert!(!body.contains("/srv"), "{body}");
        let (status, body) = told(Failure::from(Error::busy("the writer has 4,096 records to write")));
        assert_eq!((status, body.contains("4,096 records")), (503, true), "{body}");
    }

    #[test]
    fn a_database_that_is_away_is_told_without_where_it_is() {
        let why = "PostgreSQL database «bank» at 10.0.0.7:5432: Connection refused (os error 111)";
        for fate in ["", statera_store::NOT_WRITTEN, statera_store::IN_DOUBT] {
            for place in ["", "models: "] {
                let e = Error::busy(format!("{place}{}: {why}{fate}", statera_store::AWAY));
                let failure = Failure::from(e);
                assert_eq!(failure.status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(failure.message, format!("the database does not answer{fate}"));
            }
        }
    }
}
