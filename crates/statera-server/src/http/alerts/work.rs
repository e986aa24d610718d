//! What people do about a case: take it, confirm it, dismiss it. Each is a record, and of two who do it at once one is refused.

use super::WORK;
use super::queue::{CaseAnswer, is_by_amount};
use super::show::{card, row};
use crate::app::Shared;
use crate::http::decisions::{
    blocking, check_note, commit, decision_record, following_id, json_of, parsed, subject_of, time_text,
    transaction_scope, whole,
};
use crate::http::failure::Failure;
use crate::http::outcomes::{self, Said};
use crate::who::Who;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::Actor;
use statera_store::alert::{AlertChange, Case, SUSPECTS_MAX, Step, Suspect, Verdict};
use statera_store::record::{Id, NewRecord, Part, RecordKind, StoredPart, StoredRecord};
use std::collections::BTreeSet;

/// Records after the first transaction among which the last step is looked for.
const MAX_LATER: usize = 1_000;
/// How often the transactions that wait are labelled before who closes a case is asked to ask again: each time all that were
/// listed, [`SUSPECTS_MAX`] at most.
const MAX_ROUNDS: usize = 8;
/// Transactions of a case among which one is looked for that was not erased.
const MAX_LOOK: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assigning {
    /// Who works on it from now on.
    to: String,
    /// Who has it, where it is taken from somebody.
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirming {
    /// The frauds among the card's transactions; none: all of the case that wait.
    #[serde(default)]
    transactions: Option<Vec<String>>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dismissing {
    reason: String,
    #[serde(default)]
    note: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Assign,
    Confirm,
    Dismiss,
}

/// What the ledger has of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFacts {
    model: String,
    /// What was done.
    step: What,
    /// Its number in the case.
    number: u32,
    /// Who has it from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Who had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Transactions that it gave a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_labels: Option<usize>,
}

impl StepFacts {
    pub(super) fn read(record: &StoredRecord) -> Result<StepFacts> {
        serde_json::from_str(&record.facts).map_err(|e| Error::damaged(format!("record {}: facts: {e}", record.id)))
    }
}

/// What lies in the part, under the card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepPart {
    #[serde(default)]
    pub note: String,
    /// Transactions that were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Vec<String>>,
}

impl StepPart {
    pub(super) fn read(id: Id, plain: &[u8]) -> Result<StepPart> {
        serde_json::from_slice(plain).map_err(|e| Error::damaged(format!("record {id}: a part: {e}")))
    }
}

/// How a case is to be closed.
#[derive(Clone)]
struct Closing {
    verdict: Verdict,
    reason: Option<String>,
    part: StepPart,
}

/// Has somebody work on a case.
pub(super) async fn assign(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(WORK)?;
    let me = who.person()?.to_string();
    let id: Id = id.parse()?;
    let asked: Assigning = parsed(&whole(body)?)?;
    check_note(&asked.note, false)?;
    let (shared, to) = (app.clone(), asked.to.clone());
    let case = blocking(move || {
        if to != me {
            check_person(&shared, &to)?;
        }
        Ok(shared.store.case(id)?.0)
    })
    .await?;
    if let Some((verdict, at_us)) = case.closed {
        return Err(closed(verdict, at_us));
    }
    if case.assigned.as_deref() == Some(asked.to.as_str()) {
        return answer(&app, id).await;
    }
    let is_mine = case.assigned.as_deref() == who.person().ok();
    if case.assigned != asked.from && !(is_mine && asked.from.is_none()) {
        return Err(taken(&case));
    }
    let facts = facts_of(&case, What::Assign);
    let facts = StepFacts { to: Some(asked.to.clone()), from: case.assigned.clone(), ..facts };
    let step = Step { number: facts.number, assigned: Some(asked.to), closed: None };
    take(&app, &who, id, (facts, step), StepPart { note: asked.note, transactions: None }).await?;
    answer(&app, id).await
}

/// Says that transactions of a case are frauds.
pub(super) async fn confirm(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(WORK)?;
    let asked: Confirming = parsed(&whole(body)?)?;
    let n = asked.transactions.as_ref().map_or(1, Vec::len);
    if !(1..=SUSPECTS_MAX).contains(&n) {
        let told =
            format!("transactions has {n} entries; allowed: 1 to {SUSPECTS_MAX}, or leave it out for all that wait");
        return Err(Failure::from(Error::request(told)));
    }
    let part = StepPart { note: asked.note, transactions: asked.transactions };
    close(&app, &who, id.parse()?, Closing { verdict: Verdict::Confirmed, reason: None, part }).await
}

/// Says that the transactions of a case are none.
pub(super) async fn dismiss(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(WORK)?;
    let asked: Dismissing = parsed(&whole(body)?)?;
    app.settings.alerts.check_reason(&asked.reason)?;
    let part = StepPart { note: asked.note, transactions: None };
    close(&app, &who, id.parse()?, Closing { verdict: Verdict::Dismissed, reason: Some(asked.reason), part }).await
}

/// Gives the transactions their label, and closes the case; what joins it meanwhile is labelled, too. A case of which only some
/// transactions were named stays open while others of it wait. What fails in between is done by asking again: labels that are
/// there are not given twice.
async fn close(app: &Shared, who: &Who, id: Id, closing: Closing) -> std::result::Result<Response, Failure> {
    check_note(&closing.part.note, false)?;
    let is_named = closing.part.transactions.is_some();
    let mut n_labels = 0;
    for _ in 0..MAX_ROUNDS {
        let Some(case) = taken_case(app, who, id, &closing).await? else { return answer(app, id).await };
        n_labels += label_all(app, who, id, &closing).await?;
        let (shared, asker, wanted) = (app.clone(), who.clone(), closing.clone());
        let (waits, is_said) = blocking(move || {
            let waits = shared.store.case(id)?.0.n_waiting > 0;
            Ok((waits, waits && is_named && is_last(&shared, &asker, id, &wanted)?))
        })
        .await?;
        if is_said && n_labels == 0 {
            return answer(app, id).await;
        }
        if waits && !is_named {
            continue;
        }
        let Err(failure) = end_step(app, who, id, (&case, n_labels), (&closing, !waits)).await else {
            return answer(app, id).await;
        };
        // The same may have been asked twice at once, or another transaction was faster than the step.
        let (shared, asker, wanted) = (app.clone(), who.clone(), closing.clone());
        let is_refused = failure.status == StatusCode::CONFLICT;
        match blocking(move || Ok(open_case(&shared, &asker, id, &wanted))).await? {
            Ok(None) => return answer(app, id).await,
            Ok(Some(now)) if is_refused && (now.n_waiting > 0 || now.steps == case.steps) => {}
            _ => return Err(failure),
        }
    }
    let told = format!("transactions of the case {id} still wait after {MAX_ROUNDS} rounds of labels; ask again");
    Err(Failure::from(Error::busy(told)))
}

/// The case, assigned to who asks; `None` where it was closed already, as it is asked.
async fn taken_case(app: &Shared, who: &Who, id: Id, closing: &Closing) -> std::result::Result<Option<Case>, Failure> {
    let me = who.person()?;
    let (shared, asker, wanted) = (app.clone(), who.clone(), closing.clone());
    let Some(mut case) = blocking(move || Ok(open_case(&shared, &asker, id, &wanted))).await?? else {
        return Ok(None);
    };
    if case.assigned.is_none() {
        // From here on nobody else gives labels.
        let facts = StepFacts { to: Some(me.into()), ..facts_of(&case, What::Assign) };
        let step = Step { number: facts.number, assigned: Some(me.into()), closed: None };
        take(app, who, id, (facts, step), StepPart::default()).await?;
        case.steps += 1;
    }
    Ok(Some(case))
}

/// Gives the transactions that are meant their label; how many there were.
async fn label_all(app: &Shared, who: &Who, id: Id, closing: &Closing) -> std::result::Result<usize, Failure> {
    let is_fraud = closing.verdict == Verdict::Confirmed;
    let (shared, wanted) = (app.clone(), closing.clone());
    let targets = blocking(move || Ok(targets(&shared, id, is_fraud, &wanted))).await??;
    let outcome = outcome_of(app, is_fraud)?;
    let n_labels = targets.len();
    for decision in targets {
        outcomes::report(app, who, decision, &outcome).await?;
    }
    Ok(n_labels)
}

/// Records the step that says what the transactions are, and closes the case if `is_end`.
async fn end_step(
    app: &Shared,
    who: &Who,
    id: Id,
    (case, n_labels): (&Case, usize),
    (closing, is_end): (&Closing, bool),
) -> std::result::Result<(), Failure> {
    let step = if closing.verdict == Verdict::Confirmed { What::Confirm } else { What::Dismiss };
    let facts = StepFacts { reason: closing.reason.clone(), n_labels: Some(n_labels), ..facts_of(case, step) };
    let assigned = Some(who.person()?.to_string());
    let step = Step { number: facts.number, assigned, closed: is_end.then_some(closing.verdict) };
    take(app, who, id, (facts, step), closing.part.clone()).await
}

/// The case if it is to be closed by who asks; `None` where that was done already, as it is asked.
fn open_case(app: &Shared, who: &Who, id: Id, closing: &Closing) -> std::result::Result<Option<Case>, Failure> {
    let (case, _) = app.store.case(id)?;
    if let Some((verdict, at_us)) = case.closed {
        let is_same = verdict == closing.verdict && is_last(app, who, id, closing)?;
        return if is_same { Ok(None) } else { Err(closed(verdict, at_us)) };
    }
    if case.assigned.is_some() && case.assigned.as_deref() != who.person().ok() {
        return Err(taken(&case));
    }
    Ok(Some(case))
}

/// True where the last step of a case is the one that is asked for, by the same person.
fn is_last(app: &Shared, who: &Who, id: Id, closing: &Closing) -> Result<bool> {
    let later = app.store.records_of(id, MAX_LATER)?;
    let Some(last) = later.iter().rev().find(|record| record.kind == RecordKind::Alert) else { return Ok(false) };
    let part = match last.parts.first() {
        Some(StoredPart::Plain(plain)) => StepPart::read(last.id, plain)?,
        _ => return Ok(false),
    };
    Ok(last.actor == who.actor && part == closing.part && StepFacts::read(last)?.reason == closing.reason)
}

/// The transactions that are to be given a label: those that have it already are left out, unless their case waits for them
/// nevertheless, as where the outcome was no label when it was reported.
fn targets(app: &Shared, id: Id, is_fraud: bool, closing: &Closing) -> std::result::Result<Vec<Id>, Failure> {
    let (case, suspects) = app.store.case(id)?;
    let waiting: BTreeSet<Id> = suspects.iter().filter(|s| !s.is_answered).map(|s| s.record).collect();
    let meant = match &closing.part.transactions {
        None => waiting.iter().copied().collect(),
        Some(named) => of_card(app, &case, &suspects, named)?,
    };
    let mut targets = Vec::with_capacity(meant.len());
    // All of them are looked at before the first is labelled.
    for decision in meant {
        match outcomes::label_of(app, decision)? {
            Some(said) if said.is_fraud != is_fraud => return Err(outcomes::disagreement(&said)),
            Some(Said { .. }) if !waiting.contains(&decision) => {}
            _ if targets.contains(&decision) => {}
            _ => targets.push(decision),
        }
    }
    Ok(targets)
}

/// Transactions by their own ids, all of them of the case's card.
fn of_card(app: &Shared, case: &Case, suspects: &[Suspect], named: &[String]) -> Result<Vec<Id>> {
    let model = app.models.champion(&case.model).ok();
    let own = card(&app.store.record(case.id)?, model.as_deref())?;
    let mut found = Vec::with_capacity(named.len());
    for transaction in named {
        let shown: String = transaction.chars().take(64).collect();
        let none = || Error::request(format!("transactions: «{shown}» is none of the card's"));
        let decision = app.store.named(&transaction_scope(&case.model), transaction)?.ok_or_else(none)?;
        let is_of_case = suspects.iter().any(|s| s.record == decision);
        if !is_of_case && (own.is_none() || card(&app.store.record(decision)?, model.as_deref())? != own) {
            return Err(none());
        }
        found.push(decision);
    }
    Ok(found)
}

/// The outcome that says whether a transaction was a fraud.
fn outcome_of(app: &Shared, is_fraud: bool) -> Result<String> {
    let (name, outcomes) = match is_fraud {
        true => ("fraud", &app.settings.transactions.fraud),
        false => ("genuine", &app.settings.transactions.genuine),
    };
    let none = || {
        Error::request(format!(
            "the server's settings name no outcome of decisions.outcomes in transactions.{name}; one is needed"
        ))
    };
    // One that may be reported no more still says what earlier records mean.
    outcomes.iter().find(|outcome| app.settings.decisions.outcomes.contains(*outcome)).cloned().ok_or_else(none)
}

/// Refuses to give a case to somebody who cannot work on it.
fn check_person(app: &Shared, name: &str) -> Result<()> {
    let shown: String = name.chars().take(64).collect();
    let none = |_| Error::request(format!("to: there is no person «{shown}»"));
    let person = app.store.person(name).map_err(none)?;
    if person.disabled || !WORK.iter().any(|role| person.roles.contains(role)) {
        return Err(Error::request(format!("to: «{shown}» may not work on alerts; allowed: makers and checkers")));
    }
    Ok(())
}

/// The facts of the next step of a case.
fn facts_of(case: &Case, step: What) -> StepFacts {
    let number = case.steps + 1;
    StepFacts { model: case.model.clone(), step, number, to: None, from: None, reason: None, n_labels: None }
}

/// Records a step. Where somebody else was faster, the answer says who has the case.
async fn take(
    app: &Shared,
    who: &Who,
    id: Id,
    (facts, step): (StepFacts, Step),
    part: StepPart,
) -> std::result::Result<(), Failure> {
    let (shared, actor, closes) = (app.clone(), who.actor.clone(), step.closed);
    let model = facts.model.clone();
    let record = blocking(move || step_record(&shared, actor, id, (&facts, step), &part)).await?;
    let Err(failure) = commit(app, record).await else {
        if let Some(verdict) = closes {
            app.metrics.decisions.closed(&model, verdict.name());
        }
        return Ok(());
    };
    if failure.status != StatusCode::CONFLICT {
        return Err(failure);
    }
    let shared = app.clone();
    let (case, _) = blocking(move || shared.store.case(id)).await?;
    Err(match (case.closed, &case.assigned) {
        (Some((verdict, at_us)), _) => closed(verdict, at_us),
        (None, Some(_)) => taken(&case),
        (None, None) => failure,
    })
}

fn step_record(
    app: &Shared,
    actor: Actor,
    id: Id,
    (facts, step): (&StepFacts, Step),
    part: &StepPart,
) -> Result<NewRecord> {
    let written = |e: serde_json::Error| Error::damaged(e.to_string());
    let plain = serde_json::to_vec(part).map_err(written)?;
    Ok(NewRecord {
        id: following_id(id),
        kind: RecordKind::Alert,
        of: Some(id),
        request: None,
        actor,
        facts: serde_json::to_string(facts).map_err(written)?,
        parts: vec![Part { subject: subject_of_case(app, id)?, plain }],
        alert: Some(AlertChange::Step(step)),
    })
}

/// Whom the notes of a case are about: the subject of its first transaction, or of the last that was not erased; where none
/// names one, the first transaction's own name.
fn subject_of_case(app: &Shared, id: Id) -> Result<String> {
    let opening = decision_record(&*app.store, id)?;
    if let Ok(first) = row(&opening)? {
        return Ok(subject_of(&opening, &first.subject));
    }
    let (_, suspects) = app.store.case(id)?;
    for suspect in suspects.iter().rev().take(MAX_LOOK) {
        let record = app.store.record(suspect.record)?;
        if let Ok(row) = row(&record)?
            && !row.subject.is_empty()
        {
            return Ok(row.subject.into_owned());
        }
    }
    Ok(subject_of(&opening, ""))
}

/// The case as it stands.
async fn answer(app: &Shared, id: Id) -> std::result::Result<Response, Failure> {
    let shared = app.clone();
    let case = blocking(move || {
        let (case, _) = shared.store.case(id)?;
        Ok(CaseAnswer::of(&case, is_by_amount(&shared, &case.model)))
    })
    .await?;
    json_of(&case)
}

/// A case that somebody has.
fn taken(case: &Case) -> Failure {
    let told = match &case.assigned {
        Some(name) => format!("«{name}» works on the case; who takes it over (assign) names them in from"),
        None => "nobody works on the case; leave from out".into(),
    };
    Failure { code: Some("taken"), ..Failure::from(Error::conflict(told)) }
}

/// A case that is closed.
fn closed(verdict: Verdict, at_us: i64) -> Failure {
    let told = format!("the case was {} on {}", verdict.name(), time_text(at_us));
    Failure { code: Some("closed"), ..Failure::from(Error::conflict(told)) }
}
