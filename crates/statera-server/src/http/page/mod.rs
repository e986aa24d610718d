//! Plain pages: set up, sign in, approve, add people and keys. Rendered here, without a script, with the system's fonts, in
//! English, Korean and Chinese.
//!
//! Invariants: every page has strict headers; every form has the session's token; what a page does is what the interface for
//! programs does, through the same functions.

mod form;
mod keys;
mod look;
mod people;
mod registry;
mod session;
#[cfg(test)]
mod tests;

pub use form::Fields;
pub use look::Look;

use crate::who::Doorkeeper;
use axum::Router;
use axum::extract::FromRef;

/// The routes of all pages.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new().merge(session::routes()).merge(registry::routes()).merge(people::routes()).merge(keys::routes())
}
