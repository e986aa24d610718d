//! `/api/v1/alerts`: suspicious transactions, gathered to a case a card and sorted by what they put at stake, and what people do
//! about them.
//!
//! A transaction opens a case, or joins the one that its card has open, in the transaction of the store that records it. Cases
//! are the store's ([`statera_store::alert`]): they outlive the process and are the same for all servers of a database. A step
//! is a record that follows the decision which opened the case; notes lie in its part, under the card. Confirming and dismissing
//! first report an outcome of every transaction, as `POST /api/v1/outcomes` does, and then close the case.

mod queue;
mod settings;
mod show;
mod suspicion;
#[cfg(test)]
mod tests;
mod watch;
mod work;

pub use settings::{AlertsSettings, Shift};
pub use suspicion::Desk;
pub(crate) use suspicion::suspicion;
pub use watch::{Gauges, Watch};

use crate::app::{App, Shared};
use axum::Router;
use axum::routing::{get, post};
use statera_store::people::Role;

/// Who sees cases, without what is personal in them.
const SEE: &[Role] = &[Role::Viewer, Role::Maker, Role::Checker];
/// Who works on them.
const WORK: &[Role] = &[Role::Maker, Role::Checker];

/// The routes of alerts.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/alerts", get(queue::list))
        .route("/api/v1/alerts/{id}", get(show::get))
        .route("/api/v1/alerts/{id}/assign", post(work::assign))
        .route("/api/v1/alerts/{id}/confirm", post(work::confirm))
        .route("/api/v1/alerts/{id}/dismiss", post(work::dismiss))
}

/// What the queues of a server are made by.
pub(crate) fn desk(app: &App) -> Desk<'_> {
    Desk { alerts: &app.settings.alerts, amount_columns: &app.settings.decisions.amount_columns }
}
