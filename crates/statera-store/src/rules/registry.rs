//! Models, versions and routes: default is deny, and nobody approves what they proposed.

use super::check_note;
use crate::act::{Act, Acted, Actor};
use crate::record::Id;
use crate::registry::{Challenger, Change, Model, Proposal, ProposalState, Registry, Route, Version};
use statera_core::{Error, Result};

/// Champions that a rollback can go back to.
const BEFORE_MAX: usize = 100;
/// Models, versions of a model and open proposals of a model at most.
const MODELS_MAX: usize = 1000;
const VERSIONS_MAX: usize = 10_000;
const OPEN_MAX: usize = 100;
/// Characters of a model's name at most.
const NAME_MAX: usize = 64;

/// Does an act; at a time, with a name for what it makes.
///
/// # Errors
/// As [`crate::Store::act`]; the registry is then as it was.
pub(crate) fn apply(registry: &mut Registry, actor: &Actor, act: &Act, at_us: i64, made: Id) -> Result<Acted> {
    let acted = match act {
        Act::AddModel { name, tier } => add_model(registry, name, *tier),
        Act::SetTier { tier, approvals } => set_tier(registry, *tier, *approvals),
        Act::AddVersion { model, digest, note } => add_version(registry, actor, model, digest, note, at_us),
        Act::Propose { model, change, note } => propose(registry, actor, model, *change, note, at_us, made),
        Act::Approve { proposal, note } => approve(registry, actor, *proposal, note),
        Act::Reject { proposal, note } => reject(registry, actor, *proposal, note),
        Act::Rollback { model, note } => rollback(registry, model, note),
        Act::Stop { model, note } => stop(registry, model, note),
        _ => Err(Error::request("this act is not one of the registry")),
    }?;
    registry.revision += 1;
    Ok(acted)
}

fn add_model(registry: &mut Registry, name: &str, tier: u8) -> Result<Acted> {
    let is_named = name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !is_named {
        return Err(Error::request(format!(
            "«{name}» cannot name a model; allowed are 1 to {NAME_MAX} of a–z, 0–9, «-», «_», beginning with a letter"
        )));
    }
    check_tier(tier)?;
    if registry.models.contains_key(name) {
        return Err(Error::conflict(format!("a model «{name}» exists already")));
    }
    if registry.models.len() >= MODELS_MAX {
        return Err(Error::conflict(format!("there are {MODELS_MAX} models, as many as are allowed")));
    }
    registry.models.insert(name.into(), Model { tier, versions: Vec::new(), route: Route::default() });
    Ok(Acted::default())
}

fn check_tier(tier: u8) -> Result<()> {
    if (1..=4).contains(&tier) { Ok(()) } else { Err(Error::request(format!("tier {tier}; allowed are 1 to 4"))) }
}

fn set_tier(registry: &mut Registry, tier: u8, approvals: u8) -> Result<Acted> {
    check_tier(tier)?;
    if !(1..=5).contains(&approvals) {
        return Err(Error::request(format!("{approvals} approvals; allowed are 1 to 5")));
    }
    registry.tiers.insert(tier, approvals);
    Ok(Acted::default())
}

/// A digest as bundles have it: 64 hexadecimal digits.
pub(crate) fn check_digest(digest: &str) -> Result<()> {
    match crate::keys::unhex::<32>(digest) {
        Some(_) => Ok(()),
        None => {
            Err(Error::request(format!("«{digest}» is not the digest of a bundle; allowed are 64 digits of 0–9, a–f")))
        }
    }
}

fn add_version(
    registry: &mut Registry,
    actor: &Actor,
    name: &str,
    digest: &str,
    note: &str,
    at_us: i64,
) -> Result<Acted> {
    check_digest(digest)?;
    check_note("the note", note)?;
    let versions = &mut model(registry, name)?.versions;
    if let Some(version) = versions.iter().find(|v| v.digest == digest) {
        return Err(Error::conflict(format!("the bundle is version {} of «{name}» already", version.number)));
    }
    if versions.len() >= VERSIONS_MAX {
        return Err(Error::conflict(format!("«{name}» has {VERSIONS_MAX} versions, as many as are allowed")));
    }
    let number = versions.len() as u32 + 1;
    versions.push(Version { number, digest: digest.into(), note: note.into(), by: actor.label(), at_us });
    Ok(Acted { version: Some(number), ..Acted::default() })
}

fn model<'a>(registry: &'a mut Registry, name: &str) -> Result<&'a mut Model> {
    registry.models.get_mut(name).ok_or_else(|| Error::not_found(format!("there is no model «{name}»")))
}

/// Approvals that a model's changes need.
fn needed(registry: &Registry, name: &str) -> Result<u8> {
    let model = registry.models.get(name).ok_or_else(|| Error::not_found(format!("there is no model «{name}»")))?;
    registry.tiers.get(&model.tier).copied().ok_or_else(|| {
        Error::denied(format!("tier {} allows no changes until it is said how many must approve them", model.tier))
    })
}

fn person<'a>(actor: &'a Actor, what: &str) -> Result<&'a str> {
    match actor {
        Actor::Person(name) => Ok(name),
        // A key has no one behind it who could be another person than the proposer.
        Actor::Key(_) | Actor::System => {
            Err(Error::denied(format!("only a person can {what}; this is {}", actor.label())))
        }
    }
}

fn propose(
    registry: &mut Registry,
    actor: &Actor,
    name: &str,
    change: Change,
    note: &str,
    at_us: i64,
    made: Id,
) -> Result<Acted> {
    check_note("the note", note)?;
    let by = person(actor, "propose a change")?.to_string();
    needed(registry, name)?;
    check_change(model(registry, name)?, name, &change)?;
    let open = registry.proposals.iter().filter(|p| p.state == ProposalState::Open && p.model == name);
    if let Some(same) = open.clone().find(|p| p.change == change) {
        return Err(Error::conflict(format!("the same is proposed already, as {}", same.id)));
    }
    if open.count() >= OPEN_MAX {
        return Err(Error::conflict(format!("«{name}» has {OPEN_MAX} open proposals, as many as are allowed")));
    }
    registry.proposals.push(Proposal {
        id: made,
        model: name.into(),
        change,
        note: note.into(),
        by,
        at_us,
        state: ProposalState::Open,
        approved_by: Vec::new(),
        rejected: None,
    });
    Ok(Acted { proposal: Some(made), ..Acted::default() })
}

/// Refuses a change that cannot be made now.
fn check_change(model: &Model, name: &str, change: &Change) -> Result<()> {
    let has = |version: u32| {
        let n = model.versions.len();
        if version >= 1 && version as usize <= n {
            return Ok(());
        }
        Err(Error::not_found(format!("«{name}» has no version {version}; it has {n}")))
    };
    match change {
        Change::Champion { version } => {
            has(*version)?;
            if model.route.champion == Some(*version) {
                return Err(Error::conflict(format!("version {version} of «{name}» is the champion already")));
            }
        }
        Change::Backup { version } => has(*version)?,
        Change::Challenger { challenger: Some(Challenger { version, per_mille, .. }) } => {
            has(*version)?;
            if !(1..=1000).contains(per_mille) {
                return Err(Error::request(format!("a share of {per_mille} per thousand; allowed are 1 to 1,000")));
            }
            if model.route.champion == Some(*version) {
                return Err(Error::conflict(format!(
                    "version {version} of «{name}» is the champion; it cannot challenge itself"
                )));
            }
        }
        Change::Challenger { challenger: None } => {}
        Change::Resume => {
            if !model.route.stopped {
                return Err(Error::conflict(format!("«{name}» is not stopped")));
            }
        }
    }
    Ok(())
}

fn open_proposal(registry: &Registry, id: Id) -> Result<usize> {
    let found = registry.proposals.iter().position(|p| p.id == id);
    let at = found.ok_or_else(|| Error::not_found(format!("there is no proposal {id}")))?;
    match registry.proposals[at].state {
        ProposalState::Open => Ok(at),
        ProposalState::Applied => Err(Error::conflict(format!("proposal {id} is closed: it was approved"))),
        ProposalState::Rejected => Err(Error::conflict(format!("proposal {id} is closed: it was rejected"))),
    }
}

fn approve(registry: &mut Registry, actor: &Actor, id: Id, note: &str) -> Result<Acted> {
    check_note("the note", note)?;
    let by = person(actor, "approve a change")?;
    let at = open_proposal(registry, id)?;
    let name = registry.proposals[at].model.clone();
    let needed = needed(registry, &name)?;
    let proposal = &registry.proposals[at];
    if proposal.by == by {
        return Err(Error::denied(format!("«{by}» proposed it; another person must approve it")));
    }
    if proposal.approved_by.iter().any(|p| p == by) {
        return Err(Error::conflict(format!("«{by}» has approved it already; another person must")));
    }
    let change = proposal.change;
    let is_last = proposal.approved_by.len() + 1 >= usize::from(needed);
    if is_last {
        // What was possible when it was proposed may not be any more.
        let model = model(registry, &name)?;
        check_change(model, &name, &change)?;
        make(&mut model.route, change);
    }
    let proposal = &mut registry.proposals[at];
    proposal.approved_by.push(by.into());
    if is_last {
        proposal.state = ProposalState::Applied;
    }
    Ok(Acted { applied: is_last, ..Acted::default() })
}

/// Makes a change that was approved.
fn make(route: &mut Route, change: Change) {
    match change {
        Change::Champion { version } => {
            if let Some(champion) = route.champion.replace(version) {
                route.before.push(champion);
            }
            if route.before.len() > BEFORE_MAX {
                route.before.remove(0);
            }
            route.challenger = route.challenger.filter(|c| c.version != version);
        }
        Change::Challenger { challenger } => route.challenger = challenger,
        Change::Backup { version } => route.backup = Some(version),
        Change::Resume => route.stopped = false,
    }
}

fn reject(registry: &mut Registry, actor: &Actor, id: Id, note: &str) -> Result<Acted> {
    check_note("the note", note)?;
    let by = person(actor, "reject a change")?;
    let at = open_proposal(registry, id)?;
    let proposal = &mut registry.proposals[at];
    proposal.state = ProposalState::Rejected;
    proposal.rejected = Some((by.into(), note.into()));
    Ok(Acted::default())
}

fn rollback(registry: &mut Registry, name: &str, note: &str) -> Result<Acted> {
    check_note("the note", note)?;
    let route = &mut model(registry, name)?.route;
    let version = route.before.pop();
    let version = version.ok_or_else(|| Error::conflict(format!("«{name}» has no champion before this one")))?;
    route.champion = Some(version);
    route.challenger = route.challenger.filter(|c| c.version != version);
    Ok(Acted { applied: true, ..Acted::default() })
}

/// A model without a backup is stopped too: no answer is better than one that must not be given.
fn stop(registry: &mut Registry, name: &str, note: &str) -> Result<Acted> {
    check_note("the note", note)?;
    model(registry, name)?.route.stopped = true;
    Ok(Acted { applied: true, ..Acted::default() })
}
