//! `GET /api/v1/alerts/{id}`: a case with what its card did lately, what was done about it, and which cases are like it.
//!
//! What is personal (the card, transactions as they were sent and answered, notes) is shown to checkers and to whom the case is
//! assigned; that they read it is in the ledger.

use super::queue::{CaseAnswer, is_by_amount};
use super::suspicion::{Cells, amount_column, card_of, of_risk, text_of, windows_of};
use super::work::{StepFacts, StepPart};
use super::{SEE, desk};
use crate::app::Shared;
use crate::http::decisions::{Document, RowDoc, blocking, documents, json_response, now_us, time_text};
use crate::http::failure::Failure;
use crate::http::outcomes::{Said, said_last, transaction_id};
use crate::models::Loaded;
use crate::who::Who;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use statera_core::{Error, Result};
use statera_store::act::{Act, Actor};
use statera_store::alert::{Case, Suspect};
use statera_store::people::Role;
use statera_store::record::{Id, RecordKind, StoredPart, StoredRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Transactions that a case shows at most, and records of a card among which they are looked for.
const MAX_TIMELINE: usize = 200;
const MAX_LOOK: usize = 2_000;
/// Cases that are named beside it at most.
const MAX_NEIGHBOURS: usize = 20;
/// Records after the first transaction among which steps are looked for.
const MAX_LATER: usize = 1_000;

/// A case.
#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    case: CaseAnswer,
    /// Whose, for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    steps: Vec<StepAnswer>,
    /// The latest transactions of the card, the last at the end.
    timeline: Vec<Item<'a>>,
    neighbours: Vec<NeighbourAnswer>,
}

#[derive(Serialize)]
struct StepAnswer {
    at: String,
    by: String,
    #[serde(flatten)]
    facts: StepFacts,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Serialize)]
struct NeighbourAnswer {
    #[serde(flatten)]
    case: CaseAnswer,
    /// Names of the keys that both have: the terminal, the device.
    shared: Vec<String>,
}

/// A transaction.
#[derive(Default, Serialize)]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Id>,
    recorded: String,
    /// True where it is one of the case.
    suspicious: bool,
    /// What it puts at stake, in the unit of the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_stake: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Its own id; this and what follows for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a RawValue>,
    /// As it was answered: probability, action, rules, reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a RawValue>,
    /// When it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    erased: Option<String>,
}

/// What facts of a record say of whose transaction it is.
#[derive(Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    #[serde(default)]
    state: Option<u64>,
}

/// Shows a case.
pub(super) async fn get(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
) -> std::result::Result<Response, Failure> {
    who.needs(SEE)?;
    let id: Id = id.parse()?;
    Ok(json_response(blocking(move || show(&app, &who, id)).await?))
}

/// True where somebody may see what is personal in a case.
fn may_see(who: &Who, case: &Case) -> bool {
    let is_assigned = matches!((&who.actor, &case.assigned), (Actor::Person(name), Some(has)) if name == has);
    who.roles.contains(&Role::Checker) || (is_assigned && who.roles.contains(&Role::Maker))
}

fn show(app: &Shared, who: &Who, id: Id) -> Result<Vec<u8>> {
    let (case, suspects) = app.store.case(id)?;
    let may_see = may_see(who, &case);
    if may_see {
        app.store.act(&who.actor, Act::Note { what: format!("read alert {id}") })?;
    }
    let champion = app.models.champion(&case.model).ok();
    let records = timeline(app, &case, &suspects)?;
    let suspects: BTreeMap<Id, &Suspect> = suspects.iter().map(|s| (s.record, s)).collect();
    let mut whose = None;
    for record in records.iter().filter(|record| may_see && (record.id == id || suspects.contains_key(&record.id))) {
        // Of a case any will do: the first may have been erased.
        whose = card(record, champion.as_deref())?;
        if whose.is_some() {
            break;
        }
    }
    let mut items = Vec::with_capacity(records.len());
    for record in &records {
        let mut item = if may_see { item(app, record, champion.as_ref())? } else { Item::default() };
        item.decision = Some(record.id);
        item.recorded = time_text(record.at_us);
        item.outcome = said_last(app, record.id)?.map(|Said { outcome, .. }| outcome);
        if let Some(suspect) = suspects.get(&record.id) {
            (item.suspicious, item.at_stake) = (true, Some(of_risk(suspect.risk)));
        }
        items.push(item);
    }
    let neighbours = app.store.neighbours(id, MAX_NEIGHBOURS)?;
    let by_amount = is_by_amount(app, &case.model);
    let answer = |n: statera_store::alert::Neighbour| NeighbourAnswer {
        case: CaseAnswer::of(
            &n.case,
            if n.case.model == case.model { by_amount } else { is_by_amount(app, &n.case.model) },
        ),
        shared: n.shared,
    };
    let file = File {
        case: CaseAnswer::of(&case, by_amount),
        card: whose,
        steps: steps(app, id, may_see)?,
        timeline: items,
        neighbours: neighbours.into_iter().map(answer).collect(),
    };
    serde_json::to_vec(&file).map_err(|e| Error::damaged(e.to_string()))
}

/// The latest transactions of the case and of its card, the last at the end. Of a card that no transaction names as its subject
/// only those of the case are known.
fn timeline(app: &Shared, case: &Case, suspects: &[Suspect]) -> Result<Vec<StoredRecord>> {
    let opening = app.store.record(case.id)?;
    let mut ids: Vec<Id> = suspects.iter().rev().take(MAX_TIMELINE).map(|s| s.record).collect();
    if !ids.contains(&case.id) {
        ids.truncate(MAX_TIMELINE - 1);
        ids.push(case.id);
    }
    if let Some(subject) = subject_of_first(&opening)? {
        let since_us = app.settings.alerts.timeline_us(now_us()).min(case.opened_us);
        for head in app.store.heads_of(&subject, since_us, MAX_LOOK)? {
            if ids.len() >= MAX_TIMELINE {
                break;
            }
            let is_own = head.kind == RecordKind::Decision
                && serde_json::from_str::<Marks<'_>>(&head.facts)
                    .is_ok_and(|marks| marks.state.is_some() && marks.model == case.model);
            if is_own && !ids.contains(&head.id) {
                ids.push(head.id);
            }
        }
    }
    let mut records = ids.into_iter().map(|id| app.store.record(id)).collect::<Result<Vec<_>>>()?;
    records.sort_by(|a, b| (a.at_us, &a.ledger).cmp(&(b.at_us, &b.ledger)));
    Ok(records)
}

/// The only row of a transaction, or when it was erased.
pub(super) fn row(record: &StoredRecord) -> Result<std::result::Result<RowDoc<'_>, i64>> {
    for document in documents(record)? {
        match document {
            Document::Erased(at_us) => return Ok(Err(at_us)),
            Document::Plain(part) => {
                if let Some(row) = part.rows.into_iter().next() {
                    return Ok(Ok(row));
                }
            }
        }
    }
    Err(Error::damaged(format!("record {} has no row", record.id)))
}

fn subject_of_first(record: &StoredRecord) -> Result<Option<String>> {
    Ok(row(record)?.ok().map(|row| row.subject.into_owned()).filter(|subject| !subject.is_empty()))
}

/// Whose a recorded transaction is.
pub(super) fn card(record: &StoredRecord, model: Option<&Loaded>) -> Result<Option<String>> {
    let Ok(row) = row(record)? else { return Ok(None) };
    Ok(card_of(model.and_then(windows_of), &row.subject, &cells(&row)))
}

fn cells<'a>(row: &RowDoc<'a>) -> Cells<'a> {
    serde_json::from_str(row.input.get()).unwrap_or_default()
}

fn item<'a>(app: &Shared, record: &'a StoredRecord, model: Option<&Arc<Loaded>>) -> Result<Item<'a>> {
    let row = match row(record)? {
        Ok(row) => row,
        Err(at_us) => return Ok(Item { erased: Some(time_text(at_us)), ..Item::default() }),
    };
    let cells = cells(&row);
    let windows = model.and_then(|model| windows_of(model));
    let amount = model.and_then(|model| amount_column(desk(app), model));
    Ok(Item {
        transaction: model.and_then(|model| transaction_id(app, &model.name, row.input.get()).ok()),
        time: windows.and_then(|windows| text_of(&cells, &windows.time)),
        amount: amount.and_then(|column| text_of(&cells, column)),
        sent: Some(row.input),
        answer: Some(row.answer),
        ..Item::default()
    })
}

/// What was done about a case, in the order in which it was done.
fn steps(app: &Shared, id: Id, may_see: bool) -> Result<Vec<StepAnswer>> {
    let later = app.store.records_of(id, MAX_LATER)?;
    let mut steps = Vec::new();
    for record in later.iter().filter(|record| record.kind == RecordKind::Alert) {
        let note = match record.parts.first() {
            Some(StoredPart::Plain(plain)) if may_see => Some(StepPart::read(record.id, plain)?.note),
            _ => None,
        };
        let note = note.filter(|note| !note.is_empty());
        steps.push(StepAnswer {
            at: time_text(record.at_us),
            by: record.actor.label(),
            facts: StepFacts::read(record)?,
            note,
        });
    }
    Ok(steps)
}
