//! Routes: one file a noun, each with its requests, responses, handlers and `routes()`.

pub mod alerts;
pub mod body;
pub mod bundle_upload;
pub mod decisions;
pub mod edges;
pub mod entry;
pub mod failure;
#[cfg(test)]
mod fuzz_tests;
pub mod health;
pub mod inference;
mod json;
pub mod keys;
pub mod limits;
pub mod metrics;
pub mod monitoring;
pub mod openapi;
pub mod outcomes;
pub mod page;
pub mod people;
pub mod registry;
pub mod session;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
pub(crate) mod tests;
pub mod timings;

use crate::app::Shared;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use entry::Entry;
use failure::Failure;

/// Routes whose bodies are files, and may be as large as the settings of uploads say.
pub const UPLOADS: &[&str] = &[bundle_upload::ROUTE];

/// Routes of machines that watch the server; [`watching`] has their handlers.
const WATCHING: &[&str] = &["/health/live", "/health/ready", "/metrics", "/api/openapi.json"];

/// Everything that is answered, as the tests and the loop of connections call it. A request passes [`entry`] before its handler.
pub fn router(app: Shared) -> Router {
    around(routes(), Entry { app, identifies: true })
}

/// Whatever decides, changes or shows something: behind flow control.
fn routes() -> Router<Shared> {
    Router::new()
        .merge(decisions::routes())
        .merge(outcomes::routes())
        .merge(edges::routes())
        .merge(monitoring::routes())
        .merge(alerts::routes())
        .merge(inference::routes())
        .merge(registry::routes())
        .merge(session::routes())
        .merge(people::routes())
        .merge(keys::routes())
        .merge(page::routes())
}

/// What machines ask that watch: also while the server is full.
fn watching() -> Router<Shared> {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/api/openapi.json", get(openapi::document))
}

/// Lays what all requests pass around some routes.
fn around(routes: Router<Shared>, entry: Entry) -> Router {
    let app = entry.app.clone();
    routes
        .merge(watching())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // The entry bounds bodies, because it knows the route.
        .layer((from_fn_with_state(entry, entry::enter), DefaultBodyLimit::disable()))
        .with_state(app)
}

async fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path; /api/openapi.json lists what there is")
}

async fn method_not_allowed(method: Method) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not a method of this path"))
}
