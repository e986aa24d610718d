//! The middleware that finds out who asks.

use super::Doorkeeper;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// Puts who asks into the request's extensions.
pub async fn identify(State(_door): State<Doorkeeper>, request: Request, next: Next) -> Response {
    next.run(request).await
}
