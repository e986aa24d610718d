//! `/api/v1/monitoring`: what became of decisions after they were made, over a window of days.
//!
//! Counted from the records when somebody asks: nothing is counted twice, nothing is lost by a restart, several servers of one
//! database tell the same, and what was recorded before this program came is in it. No personal data are read.

mod figures;
mod scan;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::MonitoringSettings;

use crate::app::Shared;
use crate::flow::turns::Turns;
use crate::http::decisions::{blocking, json_of, now_us, time_text};
use crate::http::failure::Failure;
use crate::who::Who;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use figures::{ActsTold, FiguresTold};
use scan::Window;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::Store;
use statera_store::people::Role;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Days of a window that is asked for without saying how many, and at most.
const DAYS: u32 = 30;
const DAYS_MAX: u32 = 366;
/// Microseconds of a day.
const DAY_US: i64 = 24 * 3_600 * 1_000_000;
/// How far ahead of this machine's clock the names of another's records may be, microseconds.
const AHEAD_US: i64 = 60 * 1_000_000;
/// Characters of a model's name that are looked for.
const MODEL_CHARS_MAX: usize = 64;
/// How old the figures of `/metrics` may be before they are counted again.
const REFRESH: Duration = Duration::from_secs(600);
/// A report that took so long is kept for who asks again, and for how long: its first asker may have been told that it takes
/// longer than the deadline.
const SLOW: Duration = Duration::from_secs(1);
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Reports that are kept.
const KEPT: usize = 8;
/// Reports at once, and those that wait.
const REPORTS: usize = 1;
const REPORTS_WAITING: usize = 4;

/// The routes of monitoring.
pub fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/monitoring/overrides", get(overrides))
}

/// What is told of overrides and of what became of decisions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OverrideReport {
    /// Decisions from here, RFC 3339 in UTC: where reading ended, if more was recorded than is read at once.
    pub from: String,
    /// What people did to decisions from here: of the whole window, unless that was too much as well.
    pub overrides_from: String,
    /// When it was counted.
    pub to: String,
    /// As asked.
    pub days: u32,
    /// False: `from` is later than was asked, because of the bound on records; there are no rates of overrides.
    pub complete: bool,
    /// The window whose decisions were counted, microseconds.
    #[serde(skip)]
    pub counted_us: i64,
    /// Records that were read, those of a decision and of what followed it.
    pub records: usize,
    /// Records whose facts cannot be read; `statera audit verify` tells whether they were changed.
    pub unreadable: u64,
    /// Rows whose overrides or outcomes were recorded in the window, while their decisions are older; in no figure.
    pub earlier: u64,
    /// The limit of the settings.
    pub override_rate_max: f64,
    pub total: FiguresTold,
    pub versions: Vec<OfVersion>,
    pub persons: Vec<OfPerson>,
    pub reasons: Vec<OfReason>,
}

/// A version's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OfVersion {
    pub model: String,
    pub version: u32,
    #[serde(flatten)]
    pub figures: FiguresTold,
}

/// What a person decided otherwise, who was the last to decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OfPerson {
    pub person: String,
    #[serde(flatten)]
    pub acts: ActsTold,
}

/// What was decided otherwise for a reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OfReason {
    pub reason: String,
    #[serde(flatten)]
    pub acts: ActsTold,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    days: Option<u32>,
    model: Option<String>,
}

/// Tells how often people overrode decisions, in which direction, and what became of both.
async fn overrides(
    State(app): State<Shared>,
    who: Who,
    Query(asking): Query<Asking>,
) -> std::result::Result<Response, Failure> {
    // Facts of every record, as everybody reads them who may read any decision.
    who.needs(&[Role::Viewer, Role::Maker, Role::Checker, Role::Admin])?;
    let days = asking.days.unwrap_or(DAYS);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Error::request(format!("days is {days}; allowed is 1 to {DAYS_MAX}")).into());
    }
    if let Some(model) = asking.model.as_deref().filter(|model| model.chars().count() > MODEL_CHARS_MAX) {
        let n = model.chars().count();
        return Err(Error::request(format!("model has {n} characters; allowed: at most {MODEL_CHARS_MAX}")).into());
    }
    let turn = app.monitoring.reports.turn().await?;
    let report = blocking(move || {
        let _turn = turn;
        app.monitoring.counted(&app, (days, asking.model))
    });
    json_of(&*report.await?)
}

/// Counts the decisions of the last days.
fn report(
    store: &dyn Store,
    settings: &MonitoringSettings,
    days: u32,
    model: Option<&str>,
    max_records: usize,
) -> Result<OverrideReport> {
    let now = now_us();
    let from_us = now - i64::from(days) * DAY_US;
    let counted = scan::count(store, &Window { from_us, until_us: now + AHEAD_US, model, max_records }, settings)?;
    let n_overridden = counted.total.n_overridden();
    let limit = settings.override_rate_max;
    let is_complete = counted.cut_us.is_none();
    let begins_us = counted.cut_us.unwrap_or(from_us);
    let versions = counted.versions.into_iter();
    let (persons, reasons) = (counted.persons.into_iter(), counted.reasons.into_iter());
    Ok(OverrideReport {
        from: time_text(begins_us),
        overrides_from: time_text(counted.following_cut_us.unwrap_or(from_us)),
        to: time_text(now),
        days,
        complete: is_complete,
        counted_us: (now - begins_us).max(0),
        records: counted.n_records,
        unreadable: counted.n_unreadable,
        earlier: counted.n_earlier,
        override_rate_max: limit,
        total: counted.total.told(limit, is_complete),
        versions: versions
            .map(|((model, version), figures)| OfVersion { model, version, figures: figures.told(limit, is_complete) })
            .collect(),
        persons: persons.map(|(person, acts)| OfPerson { person, acts: acts.told(n_overridden) }).collect(),
        reasons: reasons.map(|(reason, acts)| OfReason { reason, acts: acts.told(n_overridden) }).collect(),
    })
}

/// What a report is of: days, and a model if only one.
type Asked = (u32, Option<String>);

/// What the server remembers of its monitoring.
pub struct Monitoring {
    /// Reports that are being counted.
    reports: Turns,
    /// Those that took long, with when they were done, the newest first.
    kept: Mutex<VecDeque<(Instant, Asked, Arc<OverrideReport>)>>,
    /// The last thirty days, for `/metrics`, and when they were counted.
    watched: Mutex<Option<(Instant, Arc<OverrideReport>)>>,
    is_counting: AtomicBool,
}

impl Default for Monitoring {
    fn default() -> Monitoring {
        Monitoring {
            reports: Turns::new("reports", REPORTS, REPORTS_WAITING),
            kept: Mutex::default(),
            watched: Mutex::new(None),
            is_counting: AtomicBool::new(false),
        }
    }
}

impl Monitoring {
    /// What is asked for: as it was counted a moment ago, if that took long, or as it is now.
    fn counted(&self, app: &Shared, asked: Asked) -> Result<Arc<OverrideReport>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept().iter().find(|(at, of, _)| *of == asked && at.elapsed() < KEPT_FOR).map(|(.., r)| r.clone());
        if let Some(found) = found {
            return Ok(found);
        }
        let began = Instant::now();
        let (settings, model) = (&app.settings.monitoring, asked.1.as_deref());
        let report = Arc::new(report(&*app.store, settings, asked.0, model, scan::MAX_RECORDS)?);
        if began.elapsed() >= SLOW {
            let mut kept = kept();
            kept.push_front((Instant::now(), asked, report.clone()));
            kept.truncate(KEPT);
        }
        Ok(report)
    }

    /// The last thirty days as they were counted last; none before the first time.
    pub(crate) fn watched(&self) -> Option<Arc<OverrideReport>> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.as_ref().map(|(_, report)| report.clone())
    }

    fn is_due(&self) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.as_ref().is_none_or(|(at, _)| at.elapsed() >= REFRESH)
    }

    fn watch(&self, app: &Shared) {
        match report(&*app.store, &app.settings.monitoring, DAYS, None, scan::MAX_RECORDS) {
            Ok(report) => {
                let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                *watched = Some((Instant::now(), Arc::new(report)));
            }
            Err(e) => tracing::warn!(error = %e, "overrides cannot be counted"),
        }
    }
}

/// Has the figures of `/metrics` counted again if they are old, aside: who reads `/metrics` gets those of the time before.
pub(crate) fn refresh(app: &Shared) {
    if !app.monitoring.is_due() || app.monitoring.is_counting.swap(true, Ordering::AcqRel) {
        return;
    }
    let app = app.clone();
    tokio::task::spawn_blocking(move || {
        let counting = Counting(&app.monitoring.is_counting);
        app.monitoring.watch(&app);
        drop(counting);
    });
}

/// Says that nobody is counting any more, also after a panic.
struct Counting<'a>(&'a AtomicBool);

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
