//! `GET /api/v1/alerts`: the cases of a shift, those with the most at stake first.

use super::suspicion::{amount_column, of_risk};
use super::{SEE, desk};
use crate::app::Shared;
use crate::http::decisions::{blocking, json_of, now_us, time_text};
use crate::http::failure::Failure;
use crate::who::Who;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::alert::{Case, CaseQuery, CaseState};
use statera_store::record::Id;
use std::collections::BTreeMap;

/// Cases of one answer at most.
const MAX_LIMIT: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asking {
    model: Option<String>,
    state: Option<CaseState>,
    /// At most so many, also beyond the shift's capacity.
    limit: Option<usize>,
    /// Those alone that come after: `next` of an answer before.
    after: Option<String>,
}

/// The answer.
#[derive(Serialize)]
struct Queue {
    shift: ShiftAnswer,
    alerts: Vec<CaseAnswer>,
    /// Cases that were asked for, of those after a place the ones that come after it, at most 100,000.
    n_all: u64,
    /// How many of them are not shown, because they lie below the line.
    below: u64,
    /// What `after` is given to go on below the line; where the shift has no room left, the place before all.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct ShiftAnswer {
    began: String,
    ends: String,
    capacity: u32,
    /// Cases that were closed in it.
    done: u64,
    /// Cases that it has room for yet.
    left: u64,
}

/// A case without anything personal.
#[derive(Serialize)]
pub(super) struct CaseAnswer {
    pub id: Id,
    pub model: String,
    pub state: CaseState,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    /// What the transactions that wait may cost together: the sum of probability times amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_loss: Option<f64>,
    /// In its place where no amount is known: the sum of the probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability_sum: Option<f64>,
    /// Transactions that wait for an answer, at most 1,000.
    waiting: u32,
    opened: String,
    last: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<String>,
}

impl CaseAnswer {
    /// `by_amount` says that amounts of the model are known.
    pub fn of(case: &Case, by_amount: bool) -> CaseAnswer {
        let at_stake = of_risk(case.risk);
        CaseAnswer {
            id: case.id,
            model: case.model.clone(),
            state: state_of(case),
            verdict: case.closed.map(|(verdict, _)| verdict.name()),
            expected_loss: by_amount.then_some(at_stake),
            probability_sum: (!by_amount).then_some(at_stake),
            waiting: case.n_waiting,
            opened: time_text(case.opened_us),
            last: time_text(case.last_us),
            assigned: case.assigned.clone(),
            closed: case.closed.map(|(_, at_us)| time_text(at_us)),
        }
    }
}

/// A place in the order of a list: what a case has at stake, or when it was closed, and its name.
fn place_of(case: &Case, is_closed: bool) -> String {
    match case.closed.filter(|_| is_closed) {
        Some((_, at_us)) => place_text(true, at_us, case.id),
        None => place_text(false, case.risk, case.id),
    }
}

/// The place that all cases come after: no case has so much at stake or was closed so late, and no name is less.
pub(super) fn place_before_all(is_closed: bool) -> String {
    place_text(is_closed, i64::MAX, Id::first_at(0))
}

fn place_text(is_closed: bool, rank: i64, id: Id) -> String {
    format!("{}-{rank}-{id}", order(is_closed))
}

/// What the places of a list begin with.
fn order(is_closed: bool) -> &'static str {
    if is_closed { "closed" } else { "risk" }
}

/// The place that a text is.
///
/// # Errors
/// Text that is none, or one of a list of another order.
fn place(text: &str, is_closed: bool) -> Result<(i64, Id)> {
    let order = order(is_closed);
    let place = text.strip_prefix(order).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split_once('-'));
    let place =
        place.and_then(|(rank, id)| Some((rank.parse::<i64>().ok().filter(|rank| *rank >= 0)?, id.parse().ok()?)));
    place.ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        Error::request(format!(
            "after is «{shown}»; allowed is «next» of an answer to the same question, such as {order}-120000000-019a…"
        ))
    })
}

/// Where a case stands.
pub(super) fn state_of(case: &Case) -> CaseState {
    match (&case.closed, &case.assigned) {
        (Some(_), _) => CaseState::Closed,
        (None, Some(_)) => CaseState::Assigned,
        (None, None) => CaseState::Open,
    }
}

/// True where the amounts of a model's transactions are known. A model that does not answer now has what the settings name.
pub(super) fn is_by_amount(app: &Shared, model: &str) -> bool {
    match app.models.champion(model) {
        Ok(loaded) => amount_column(desk(app), &loaded).is_some(),
        Err(_) => app.settings.decisions.amount_columns.contains_key(model),
    }
}

/// Lists cases: without a limit those that the shift has room for.
pub(super) async fn list(
    State(app): State<Shared>,
    who: Who,
    Query(asking): Query<Asking>,
) -> std::result::Result<Response, Failure> {
    who.needs(SEE)?;
    if let Some(limit) = asking.limit.filter(|limit| !(1..=MAX_LIMIT).contains(limit)) {
        return Err(Failure::from(Error::request(format!("limit is {limit}; allowed: 1 to {MAX_LIMIT}"))));
    }
    let queue = blocking(move || queue(&app, &asking)).await?;
    json_of(&queue)
}

fn queue(app: &Shared, asking: &Asking) -> Result<Queue> {
    if let Some(model) = &asking.model
        && !app.store.registry()?.models.contains_key(model)
    {
        let shown: String = model.chars().take(64).collect();
        return Err(Error::not_found(format!("there is no model «{shown}»")));
    }
    let (settings, now) = (&app.settings.alerts, now_us());
    let shift = settings.shift(now);
    let kept_us = settings.kept_us(now);
    let counts = app.store.case_counts(kept_us, shift.began_us)?;
    let done = counts.confirmed + counts.dismissed;
    let left = u64::from(settings.capacity).saturating_sub(done);
    let room = if asking.state == Some(CaseState::Closed) { u64::from(settings.capacity) } else { left };
    let is_closed = asking.state == Some(CaseState::Closed);
    let after = asking.after.as_ref().map(|text| place(text, is_closed)).transpose()?;
    // Who asks for what lies below the line asks for more than the shift has room for.
    let line = if after.is_some() { MAX_LIMIT } else { MAX_LIMIT.min(room as usize) };
    let limit = asking.limit.unwrap_or(line);
    let query = CaseQuery { model: asking.model.as_deref(), state: asking.state, since_us: kept_us, limit, after };
    let found = app.store.cases(&query)?;
    let mut by_amount: BTreeMap<&str, bool> = BTreeMap::new();
    for case in &found.cases {
        by_amount.entry(&case.model).or_insert_with(|| is_by_amount(app, &case.model));
    }
    let alerts: Vec<CaseAnswer> = found.cases.iter().map(|c| CaseAnswer::of(c, by_amount[c.model.as_str()])).collect();
    let (began, ends) = (time_text(shift.began_us), time_text(shift.ends_us));
    let below = found.n_all.saturating_sub(alerts.len() as u64);
    let last = found.cases.last().map_or_else(|| place_before_all(is_closed), |case| place_of(case, is_closed));
    Ok(Queue {
        shift: ShiftAnswer { began, ends, capacity: settings.capacity, done, left },
        n_all: found.n_all,
        below,
        next: (below > 0).then_some(last),
        alerts,
    })
}
