//! Models, their versions, and who approves what answers.

use super::bundle_upload;
use super::failure::Failure;
use crate::who::{Doorkeeper, Peer, Who, waiting};
use axum::extract::{FromRef, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::{Act, Acted};
use statera_store::people::Role;
use statera_store::record::Id;
use statera_store::registry::{Change, Model, Proposal, ProposalState, Registry, Route};
use std::collections::BTreeMap;

/// Characters of a remark.
const NOTE_CHARS_MAX: usize = 1000;

/// The routes of this file.
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Doorkeeper: FromRef<S>,
{
    Router::new()
        .route("/api/v1/models", get(models).post(add_model))
        .route("/api/v1/models/{model}", get(model))
        .route(bundle_upload::ROUTE, post(add_version))
        .route("/api/v1/models/{model}/proposals", post(propose))
        .route("/api/v1/models/{model}/rollback", post(rollback))
        .route("/api/v1/models/{model}/stop", post(stop))
        .route("/api/v1/proposals", get(proposals))
        .route("/api/v1/proposals/{id}/approve", post(approve))
        .route("/api/v1/proposals/{id}/reject", post(reject))
        .route("/api/v1/tiers", get(tiers))
        .route("/api/v1/tiers/{tier}", put(set_tier))
}

/// A model as it is answered.
#[derive(Debug, Serialize)]
pub struct ModelAnswer {
    name: String,
    tier: u8,
    route: Route,
    versions: Vec<VersionAnswer>,
}

#[derive(Debug, Serialize)]
struct VersionAnswer {
    number: u32,
    digest: String,
    note: String,
    by: String,
    at: String,
}

/// A proposal as it is answered.
#[derive(Debug, Serialize)]
pub struct ProposalAnswer {
    id: Id,
    model: String,
    change: Change,
    note: String,
    by: String,
    at: String,
    state: ProposalState,
    approved_by: Vec<String>,
    /// Approvals that the model's tier asks for; none: its tier allows nothing.
    approvals_needed: Option<u8>,
    rejected_by: Option<String>,
    rejected_why: Option<String>,
}

/// What came of an act.
#[derive(Debug, Serialize)]
pub struct ActedAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal: Option<Id>,
    /// True if what answers was changed.
    applied: bool,
}

impl From<Acted> for ActedAnswer {
    fn from(acted: Acted) -> ActedAnswer {
        ActedAnswer { version: acted.version, proposal: acted.proposal, applied: acted.applied }
    }
}

/// Microseconds since 1970 UTC as RFC 3339.
pub fn time(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).map_or_else(|_| "unknown".into(), |t| t.to_string())
}

/// The registry as it is now.
///
/// # Errors
/// As the store says.
pub async fn registry(door: &Doorkeeper) -> Result<Registry> {
    let store = door.store.clone();
    waiting(move || store.registry()).await
}

fn answer_of(name: &str, model: Model) -> ModelAnswer {
    let version = |v: statera_store::registry::Version| VersionAnswer {
        number: v.number,
        digest: v.digest,
        note: v.note,
        by: v.by,
        at: time(v.at_us),
    };
    let versions = model.versions.into_iter().map(version).collect();
    ModelAnswer { name: name.into(), tier: model.tier, route: model.route, versions }
}

fn answer_of_proposal(registry: &Registry, p: &Proposal) -> ProposalAnswer {
    let (rejected_by, rejected_why) = p.rejected.clone().unzip();
    ProposalAnswer {
        id: p.id,
        model: p.model.clone(),
        change: p.change,
        note: p.note.clone(),
        by: p.by.clone(),
        at: time(p.at_us),
        state: p.state,
        approved_by: p.approved_by.clone(),
        approvals_needed: approvals_needed(registry, &p.model),
        rejected_by,
        rejected_why,
    }
}

/// Approvals that changes of a model need; none if its tier allows nothing.
pub fn approvals_needed(registry: &Registry, model: &str) -> Option<u8> {
    registry.models.get(model).and_then(|m| registry.tiers.get(&m.tier)).copied()
}

async fn models(State(door): State<Doorkeeper>) -> std::result::Result<Json<Vec<ModelAnswer>>, Failure> {
    let registry = registry(&door).await?;
    Ok(Json(registry.models.into_iter().map(|(name, model)| answer_of(&name, model)).collect()))
}

async fn model(
    State(door): State<Doorkeeper>,
    Path(name): Path<String>,
) -> std::result::Result<Json<ModelAnswer>, Failure> {
    let model = registry(&door).await?.models.remove(&name).ok_or_else(|| missing(&name))?;
    Ok(Json(answer_of(&name, model)))
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("model «{name:.64}» is not in the registry"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewModel {
    name: String,
    tier: u8,
}

async fn add_model(
    State(door): State<Doorkeeper>,
    who: Who,
    Json(new): Json<NewModel>,
) -> std::result::Result<(StatusCode, Json<ActedAnswer>), Failure> {
    let acted = door.act(&who.actor, Act::AddModel { name: new.name, tier: new.tier }).await?;
    Ok((StatusCode::CREATED, Json(acted.into())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionQuery {
    #[serde(default)]
    note: String,
}

async fn add_version(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(model): Path<String>,
    Query(query): Query<VersionQuery>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> std::result::Result<(StatusCode, Json<ActedAnswer>), Failure> {
    let note = note(query.note)?;
    // Before a large body is read: the model is there.
    if !registry(&door).await?.models.contains_key(&model) {
        return Err(missing(&model).into());
    }
    let digest = bundle_upload::take(&door, &who, peer.as_deref(), request).await?;
    let acted = door.act(&who.actor, Act::AddVersion { model, digest, note }).await?;
    Ok((StatusCode::CREATED, Json(acted.into())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProposal {
    change: Change,
    note: String,
}

async fn propose(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(model): Path<String>,
    Json(new): Json<NewProposal>,
) -> std::result::Result<(StatusCode, Json<ActedAnswer>), Failure> {
    let acted = door.act(&who.actor, Act::Propose { model, change: new.change, note: reason(new.note)? }).await?;
    Ok((StatusCode::CREATED, Json(acted.into())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    #[serde(default)]
    note: String,
}

async fn rollback(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(model): Path<String>,
    Json(why): Json<Why>,
) -> std::result::Result<Json<ActedAnswer>, Failure> {
    Ok(Json(door.act(&who.actor, Act::Rollback { model, note: reason(why.note)? }).await?.into()))
}

async fn stop(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(model): Path<String>,
    Json(why): Json<Why>,
) -> std::result::Result<Json<ActedAnswer>, Failure> {
    Ok(Json(door.act(&who.actor, Act::Stop { model, note: reason(why.note)? }).await?.into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProposalQuery {
    state: Option<ProposalState>,
}

async fn proposals(
    State(door): State<Doorkeeper>,
    Query(query): Query<ProposalQuery>,
) -> std::result::Result<Json<Vec<ProposalAnswer>>, Failure> {
    let registry = registry(&door).await?;
    let chosen = registry.proposals.iter().filter(|p| query.state.is_none_or(|state| p.state == state));
    Ok(Json(chosen.map(|p| answer_of_proposal(&registry, p)).collect()))
}

async fn approve(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(id): Path<String>,
    Json(why): Json<Why>,
) -> std::result::Result<Json<ActedAnswer>, Failure> {
    let proposal = id.parse()?;
    Ok(Json(door.act(&who.actor, Act::Approve { proposal, note: note(why.note)? }).await?.into()))
}

async fn reject(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(id): Path<String>,
    Json(why): Json<Why>,
) -> std::result::Result<Json<ActedAnswer>, Failure> {
    Ok(Json(reject_as(&door, &who, &id, why.note).await?.into()))
}

/// Rejects a proposal, or withdraws one's own.
///
/// # Errors
/// `Denied` for a maker who did not make it.
pub async fn reject_as(door: &Doorkeeper, who: &Who, id: &str, why: String) -> Result<Acted> {
    let proposal: Id = id.parse()?;
    if !who.roles.contains(&Role::Checker) {
        let person = who.person()?;
        let registry = registry(door).await?;
        if registry.proposals.iter().any(|p| p.id == proposal && p.by != person) {
            return Err(Error::denied("who is no checker may only withdraw a proposal of their own"));
        }
    }
    door.act(&who.actor, Act::Reject { proposal, note: reason(why)? }).await
}

async fn tiers(State(door): State<Doorkeeper>) -> std::result::Result<Json<BTreeMap<u8, u8>>, Failure> {
    Ok(Json(registry(&door).await?.tiers))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    approvals: u8,
}

async fn set_tier(
    State(door): State<Doorkeeper>,
    who: Who,
    Path(tier): Path<u8>,
    Json(wanted): Json<Tier>,
) -> std::result::Result<Json<ActedAnswer>, Failure> {
    Ok(Json(door.act(&who.actor, Act::SetTier { tier, approvals: wanted.approvals }).await?.into()))
}

/// A remark within its bounds.
///
/// # Errors
/// A longer one, or control characters.
pub fn note(text: String) -> Result<String> {
    let n_chars = text.chars().count();
    if n_chars > NOTE_CHARS_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::request(format!(
            "note: {n_chars} characters; allowed: at most {NOTE_CHARS_MAX}, without control characters"
        )));
    }
    Ok(text.trim().to_string())
}

/// A remark that must say something.
///
/// # Errors
/// As [`note`], or an empty one.
pub fn reason(text: String) -> Result<String> {
    let text = note(text.replace("\r\n", "\n"))?;
    if text.is_empty() {
        Err(Error::request("note: empty; say why, for those who read it in five years"))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
