//! Routes: one file a noun, each with its requests, responses, handlers and `routes()`.

pub mod body;
pub mod bundle_upload;
pub mod decisions;
pub mod entry;
pub mod failure;
pub mod health;
pub mod inference;
pub mod keys;
pub mod limits;
pub mod metrics;
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
use crate::flow::admission;
use crate::who::layer;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use failure::Failure;

/// Routes whose bodies are files, and may be as large as the settings of uploads say.
pub const UPLOADS: &[&str] = &[bundle_upload::ROUTE];

/// Everything that is answered, as the tests and the loop of connections call it. A request passes [`entry`], identification
/// and [`admission`], in this order, before its handler.
pub fn router(app: Shared) -> Router {
    let door = app.doorkeeper.clone();
    around(routes(), app, |router| router.layer(from_fn_with_state(door, layer::identify)))
}

/// Whatever decides, changes or shows something: behind flow control.
fn routes() -> Router<Shared> {
    Router::new()
        .merge(decisions::routes())
        .merge(outcomes::routes())
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
fn around(routes: Router<Shared>, app: Shared, identified: impl FnOnce(Router<Shared>) -> Router<Shared>) -> Router {
    let routes = routes
        .layer(from_fn_with_state(app.clone(), admission::admit))
        .merge(watching())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed);
    identified(routes)
        // Bodies are bounded by the entry, which knows the route.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), entry::enter))
        .with_state(app)
}

async fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path; /api/openapi.json lists what there is")
}

async fn method_not_allowed(method: Method) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not a method of this path"))
}
