//! The one place where errors become answers: what the client did wrong is told, what went wrong inside is logged.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use statera_core::{Error, ErrorKind};

/// An error on its way to the client.
#[derive(Debug)]
pub struct Failure {
    /// The answer's status.
    pub status: StatusCode,
    /// What the client reads.
    pub message: String,
    /// Seconds after which it may succeed.
    pub retry_after_s: Option<u32>,
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
            tracing::error!(error = %e, "a request failed inside");
            let message = "the server failed; its log says why".into();
            return Failure { status, message, retry_after_s };
        }
        Failure { status, message: e.to_string(), retry_after_s }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = match self.status {
            StatusCode::BAD_REQUEST => "bad_request",
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal",
        };
        let mut response = (self.status, Json(Body { error, message: &self.message })).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
