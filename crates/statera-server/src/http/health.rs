//! `/health/live` and `/health/ready`: whether the process answers, and whether it should be sent requests.

use crate::app::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was found at the last look. Looking waits for the database, so that it is done beside the requests, once a second,
/// however often somebody asks.
#[derive(Debug, Default)]
pub struct Health {
    store: AtomicBool,
    /// Why the store takes nothing; none while it does.
    why: Mutex<Option<&'static str>>,
    models: AtomicBool,
    stopping: AtomicBool,
}

/// The answer of `/health/ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// All of the following, and the server is not about to stop.
    pub ready: bool,
    /// The database answers and takes what is written.
    pub store: bool,
    /// Every model that has an approved version is answered.
    pub models: bool,
    /// The server finishes what it has and takes nothing new.
    pub stopping: bool,
    /// Why the store takes nothing: a disk that is full, a database that does not answer. Names no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

impl Health {
    /// Notes what was found: why the store takes nothing, if it does not, and whether the models answer.
    pub fn note(&self, unready: Option<&'static str>, models: bool) {
        let (was, store) = (self.is_ready(), unready.is_none());
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = unready;
        self.store.store(store, Ordering::Relaxed);
        self.models.store(models, Ordering::Relaxed);
        if was != self.is_ready() {
            // Whoever watches warnings alone must see that requests stay away.
            match was {
                true => tracing::warn!(ready = false, store, models, why = unready, "readiness changed"),
                false => tracing::info!(ready = true, store, models, "readiness changed"),
            }
        }
    }

    /// From now on no new requests should come.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// As the last look found it.
    pub fn ready(&self) -> Ready {
        let store = self.store.load(Ordering::Relaxed);
        let models = self.models.load(Ordering::Relaxed);
        let stopping = self.stopping.load(Ordering::Relaxed);
        let why = *self.why.lock().unwrap_or_else(PoisonError::into_inner);
        Ready { ready: store && models && !stopping, store, models, stopping, why: why.filter(|_| !store) }
    }

    /// True if requests should come.
    pub fn is_ready(&self) -> bool {
        self.ready().ready
    }
}

/// Answers `/health/live`: whoever can read this is alive.
pub async fn live() -> impl IntoResponse {
    Json(Live { live: true })
}

/// The answer of `/health/live`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Live {
    /// Always true.
    pub live: bool,
}

/// Answers `/health/ready`.
pub async fn ready(State(app): State<Shared>) -> impl IntoResponse {
    let ready = app.health.ready();
    (if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_store_and_models_and_not_stopping() {
        let health = Health::default();
        let check = |store: bool, models, expected| {
            let why = (!store).then_some("the disk is full");
            health.note(why, models);
            assert_eq!((health.is_ready(), health.ready().why), (expected, why));
        };
        check(true, false, false);
        check(false, true, false);
        check(true, true, true);
        health.stop();
        assert!(!health.is_ready());
        assert_eq!(health.ready(), Ready { ready: false, store: true, models: true, stopping: true, why: None });
    }
}
