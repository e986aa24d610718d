//! The page of models: what answers, what waits for approval, what to do in an emergency.

use super::people::back;
use super::{Fields, Look};
use crate::http::failure::Failure;
use crate::http::registry::{approvals_needed, note, reason, registry, reject_as};
use crate::who::session::Session;
use crate::who::{Doorkeeper, Who};
use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use statera_core::{Error, Result};
use statera_store::act::Act;
use statera_store::people::Role;
use statera_store::registry::{Challenger, Change, Model, Proposal, ProposalState, Registry};

/// Closed proposals that are shown.
const CLOSED_MAX: usize = 50;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new()
        .route("/", get(page))
        .route("/models/{model}/propose", post(propose))
        .route("/models/{model}/rollback", post(rollback))
        .route("/models/{model}/stop", post(stop))
        .route("/proposals/{id}/approve", post(approve))
        .route("/proposals/{id}/reject", post(reject))
}

/// A time to the minute, for people.
pub(super) fn minute(at_us: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(at_us).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

async fn page(State(door): State<Doorkeeper>, look: Look, who: Who, session: Session) -> Response {
    let registry = registry(&door).await;
    look.page("registry.html", registry.map(|registry| data(&look, &who, &session.person, &registry)))
}

fn data(look: &Look, who: &Who, me: &str, registry: &Registry) -> Value {
    let may = |role: Role| who.roles.contains(&role);
    let open = registry.proposals.iter().filter(|p| p.state == ProposalState::Open);
    let closed = registry.proposals.iter().rev().filter(|p| p.state != ProposalState::Open).take(CLOSED_MAX);
    let open: Vec<Value> = open
        .map(|p| {
            let is_own = p.by == me;
            let has_approved = p.approved_by.iter().any(|name| name == me);
            json!({
                "id": p.id,
                "model": p.model,
                "change": change_text(look, p.change),
                "note": p.note,
                "by": p.by,
                "at": minute(p.at_us),
                "approved_by": p.approved_by,
                "n_approved": p.approved_by.len(),
                "n_needed": approvals_needed(registry, &p.model),
                "is_own": is_own,
                "may_approve": may(Role::Checker) && !is_own && !has_approved,
                "may_reject": may(Role::Checker) || (may(Role::Maker) && is_own),
            })
        })
        .collect();
    let names = ["champion", "shadow", "split", "no_challenger", "backup", "resume"];
    let changes = names.map(|value| json!({ "value": value, "name": look.word("change", value) }));
    json!({
        "open": open,
        "closed": closed.map(|p| closed_row(look, p)).collect::<Vec<_>>(),
        "models": registry.models.iter().map(|(name, m)| model_row(look, name, m)).collect::<Vec<_>>(),
        "changes": changes,
        "unapproved_tiers": registry.models.values().any(|m| !registry.tiers.contains_key(&m.tier)),
        "may_propose": may(Role::Maker),
        "may_stop": may(Role::Maker) || may(Role::Checker) || may(Role::Admin),
        "may_roll_back": may(Role::Checker),
    })
}

fn closed_row(look: &Look, p: &Proposal) -> Value {
    let decided_by = match &p.rejected {
        Some((name, why)) => format!("{name}: {why}"),
        None => p.approved_by.join(", "),
    };
    let state = match p.state {
        ProposalState::Open => "open",
        ProposalState::Applied => "applied",
        ProposalState::Rejected => "rejected",
    };
    json!({
        "model": p.model,
        "change": change_text(look, p.change),
        "state": look.word("state", state),
        "by": p.by,
        "at": minute(p.at_us),
        "decided_by": decided_by,
    })
}

fn model_row(look: &Look, name: &str, model: &Model) -> Value {
    let route = &model.route;
    let none = || "–".to_string();
    let versions: Vec<Value> = model
        .versions
        .iter()
        .rev()
        .map(|v| json!({ "number": v.number, "digest": v.digest, "note": v.note, "by": v.by, "at": minute(v.at_us) }))
        .collect();
    json!({
        "name": name,
        "tier": model.tier,
        "stopped": route.stopped,
        "champion": route.champion.map_or_else(none, |v| v.to_string()),
        "challenger": route.challenger.map_or_else(none, |c| challenger_text(look, c)),
        "backup": route.backup.map_or_else(none, |v| v.to_string()),
        "has_before": !route.before.is_empty(),
        "versions": versions,
    })
}

fn challenger_text(look: &Look, c: Challenger) -> String {
    let how = if c.shadow { look.word("registry", "in_shadow") } else { look.word("registry", "in_split") };
    format!("{} ({how}, {} ‰)", c.version, c.per_mille)
}

fn change_text(look: &Look, change: Change) -> String {
    let word = |name: &str| look.word("change", name);
    match change {
        Change::Champion { version } => format!("{} {version}", word("champion")),
        Change::Backup { version } => format!("{} {version}", word("backup")),
        Change::Resume => word("resume"),
        Change::Challenger { challenger: None } => word("no_challenger"),
        Change::Challenger { challenger: Some(c) } => {
            format!("{} {}, {} ‰", word(if c.shadow { "shadow" } else { "split" }), c.version, c.per_mille)
        }
    }
}

/// What the form says would change.
fn change(fields: &Fields) -> Result<Change> {
    let challenger = |shadow: bool| -> Result<Option<Challenger>> {
        Ok(Some(Challenger { version: fields.number("version")?, shadow, per_mille: fields.number("per_mille")? }))
    };
    Ok(match fields.text("change") {
        "champion" => Change::Champion { version: fields.number("version")? },
        "backup" => Change::Backup { version: fields.number("version")? },
        "resume" => Change::Resume,
        "no_challenger" => Change::Challenger { challenger: None },
        "shadow" => Change::Challenger { challenger: challenger(true)? },
        "split" => Change::Challenger { challenger: challenger(false)? },
        other => return Err(Error::request(format!("change: «{other:.40}» is not one that is allowed"))),
    })
}

async fn propose(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(model): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        let fields = fields?;
        let act = Act::Propose { model, change: change(&fields)?, note: reason(fields.word("note"))? };
        door.act(&who.actor, act).await?;
        Ok(())
    };
    back(&look, "/", done.await)
}

async fn rollback(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(model): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        door.act(&who.actor, Act::Rollback { model, note: reason(fields?.word("note"))? }).await?;
        Ok(())
    };
    back(&look, "/", done.await)
}

async fn stop(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(model): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        door.act(&who.actor, Act::Stop { model, note: reason(fields?.word("note"))? }).await?;
        Ok(())
    };
    back(&look, "/", done.await)
}

async fn approve(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(id): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        let proposal = id.parse()?;
        door.act(&who.actor, Act::Approve { proposal, note: note(fields?.word("note"))? }).await?;
        Ok(())
    };
    back(&look, "/", done.await)
}

async fn reject(
    State(door): State<Doorkeeper>,
    look: Look,
    who: Who,
    Path(id): Path<String>,
    fields: std::result::Result<Fields, Failure>,
) -> Response {
    let done = async {
        reject_as(&door, &who, &id, fields?.word("note")).await?;
        Ok(())
    };
    back(&look, "/", done.await)
}
