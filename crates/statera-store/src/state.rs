//! Registry and people between their tables and memory. An act loads them, changes them by the rules, and saves what
//! differs.

use crate::people::{ApiKey, NewApiKey, Person, Role};
use crate::record::Id;
use crate::registry::{Model, Proposal, ProposalState, Registry, Version};
use crate::rules::people::People;
use crate::sql::migrate::{meta, meta_int, set_meta};
use crate::sql::{Attempt, Connection, Failure, Row, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use statera_core::Error;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Closed proposals that are shown, the newest; the ledger has all. Every act and every change that a server follows reads the
/// registry with them: with a thousand, a server that was asked for two thousand changes had 16 MiB more.
const CLOSED_SHOWN: i64 = 100;
/// Name of the one-time link in the table `meta`.
const SETUP: &str = "setup";

/// Everything of models; all closed proposals only where asked for.
pub(crate) fn load_registry(connection: &mut Connection, every_proposal: bool) -> Attempt<Registry> {
    let revision = meta_int(connection, "revision")? as u64;
    let mut models = BTreeMap::new();
    for row in connection.fetch("SELECT name, tier, route FROM model ORDER BY name", Vec::new())? {
        let model = Model { tier: small(row.int(1)?)?, versions: Vec::new(), route: json(&row.text(2)?)? };
        models.insert(row.text(0)?, model);
    }
    let versions = "SELECT model, number, digest, note, made_by, at_us FROM version ORDER BY model, number";
    for row in connection.fetch(versions, Vec::new())? {
        let name = row.text(0)?;
        let model = models.get_mut(&name);
        let model = model.ok_or_else(|| damaged(format!("a version of «{name}», which is no model")))?;
        model.versions.push(Version {
            number: small(row.int(1)?)?,
            digest: row.text(2)?,
            note: row.text(3)?,
            by: row.text(4)?,
            at_us: row.int(5)?,
        });
    }
    let mut tiers = BTreeMap::new();
    for row in connection.fetch("SELECT tier, approvals FROM tier", Vec::new())? {
        tiers.insert(small(row.int(0)?)?, small(row.int(1)?)?);
    }
    let mut proposals = load_proposals(connection, "state = 'open'", i64::MAX)?;
    let limit = if every_proposal { i64::MAX } else { CLOSED_SHOWN };
    proposals.extend(load_proposals(connection, "state <> 'open'", limit)?);
    proposals.sort_by_key(|p| (p.at_us, p.id));
    Ok(Registry { revision, models, tiers, proposals })
}

fn load_proposals(connection: &mut Connection, which: &str, limit: i64) -> Attempt<Vec<Proposal>> {
    let sql = format!(
        "SELECT id, model, change, note, made_by, at_us, state, approved_by, rejected FROM proposal WHERE {which} \
         ORDER BY at_us DESC, id DESC LIMIT $1"
    );
    let rows = connection.fetch(&sql, vec![limit.into()])?;
    rows.iter().map(proposal).collect()
}

fn proposal(row: &Row) -> Attempt<Proposal> {
    Ok(Proposal {
        id: Id(Uuid::from_bytes(row.bytes(0)?)),
        model: row.text(1)?,
        change: json(&row.text(2)?)?,
        note: row.text(3)?,
        by: row.text(4)?,
        at_us: row.int(5)?,
        state: match row.text(6)?.as_str() {
            "open" => ProposalState::Open,
            "applied" => ProposalState::Applied,
            "rejected" => ProposalState::Rejected,
            other => return Err(damaged(format!("a proposal's state is «{other}»"))),
        },
        approved_by: json(&row.text(7)?)?,
        rejected: row.maybe_text(8)?.as_deref().map(json).transpose()?,
    })
}

fn state_name(state: ProposalState) -> &'static str {
    match state {
        ProposalState::Open => "open",
        ProposalState::Applied => "applied",
        ProposalState::Rejected => "rejected",
    }
}

/// Saves what differs.
pub(crate) fn save_registry(connection: &mut Connection, old: &Registry, new: &Registry) -> Attempt<()> {
    for (tier, approvals) in new.tiers.iter().filter(|(tier, n)| old.tiers.get(*tier) != Some(*n)) {
        let sql = "INSERT INTO tier (tier, approvals) VALUES ($1, $2) ON CONFLICT (tier) DO UPDATE SET approvals = \
                   excluded.approvals";
        connection.execute(sql, vec![i64::from(*tier).into(), i64::from(*approvals).into()])?;
    }
    for (name, model) in &new.models {
        let before = old.models.get(name);
        if before.is_none_or(|b| b.route != model.route || b.tier != model.tier) {
            let sql = "INSERT INTO model (name, tier, route) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET route = \
                       excluded.route";
            let values = vec![name.as_str().into(), i64::from(model.tier).into(), text(&model.route)?.into()];
            connection.execute(sql, values)?;
        }
        for version in model.versions.iter().skip(before.map_or(0, |b| b.versions.len())) {
            let sql =
                "INSERT INTO version (model, number, digest, note, made_by, at_us) VALUES ($1, $2, $3, $4, $5, $6)";
            let values = vec![
                name.as_str().into(),
                i64::from(version.number).into(),
                version.digest.as_str().into(),
                version.note.as_str().into(),
                version.by.as_str().into(),
                version.at_us.into(),
            ];
            connection.execute(sql, values)?;
        }
    }
    for proposal in &new.proposals {
        if !old.proposals.iter().any(|p| p.id == proposal.id && p == proposal) {
            save_proposal(connection, proposal)?;
        }
    }
    set_meta(connection, "revision", &new.revision.to_string())
}

fn save_proposal(connection: &mut Connection, proposal: &Proposal) -> Attempt<()> {
    let sql = "INSERT INTO proposal (id, model, change, note, made_by, at_us, state, approved_by, rejected) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET state = excluded.state, \
               approved_by = excluded.approved_by, rejected = excluded.rejected";
    let values = vec![
        proposal.id.0.as_bytes().into(),
        proposal.model.as_str().into(),
        text(&proposal.change)?.into(),
        proposal.note.as_str().into(),
        proposal.by.as_str().into(),
        proposal.at_us.into(),
        state_name(proposal.state).into(),
        text(&proposal.approved_by)?.into(),
        proposal.rejected.as_ref().map(text).transpose()?.into(),
    ];
    connection.execute(sql, values).map(drop)
}

/// Columns of a person, in the order of [`person`].
const PERSON: &str = "name, roles, password, disabled, failures, locked_until_us";
/// Columns of a key, in the order of [`api_key`].
const API_KEY: &str = "prefix, secret_mac, label, roles, rate, urgent, expires_us, revoked, made_by, at_us";

/// People, by name; one of them where a name is given.
pub(crate) fn load_persons(connection: &mut Connection, name: Option<&str>) -> Attempt<Vec<Person>> {
    let rows = match name {
        Some(name) => connection.fetch(&format!("SELECT {PERSON} FROM person WHERE name = $1"), vec![name.into()]),
        None => connection.fetch(&format!("SELECT {PERSON} FROM person ORDER BY name"), Vec::new()),
    };
    rows?.iter().map(person).collect()
}

fn person(row: &Row) -> Attempt<Person> {
    Ok(Person {
        name: row.text(0)?,
        roles: json::<BTreeSet<Role>>(&row.text(1)?)?,
        password: row.maybe_text(2)?,
        disabled: flag(row.int(3)?)?,
        failures: small(row.int(4)?)?,
        locked_until_us: row.int(5)?,
    })
}

/// Keys of programs, by prefix; one of them where a prefix is given.
pub(crate) fn load_keys(connection: &mut Connection, prefix: Option<&str>) -> Attempt<Vec<ApiKey>> {
    let rows = match prefix {
        Some(prefix) => {
            connection.fetch(&format!("SELECT {API_KEY} FROM api_key WHERE prefix = $1"), vec![prefix.into()])
        }
        None => connection.fetch(&format!("SELECT {API_KEY} FROM api_key ORDER BY prefix"), Vec::new()),
    };
    rows?.iter().map(api_key).collect()
}

fn api_key(row: &Row) -> Attempt<ApiKey> {
    let key = NewApiKey {
        prefix: row.text(0)?,
        secret_mac: row.bytes(1)?,
        label: row.text(2)?,
        roles: json::<BTreeSet<Role>>(&row.text(3)?)?,
        rate_per_second: small(row.int(4)?)?,
        urgent: flag(row.int(5)?)?,
        expires_us: row.maybe_int(6)?,
    };
    Ok(ApiKey { key, revoked: flag(row.int(7)?)?, by: row.text(8)?, at_us: row.int(9)? })
}

/// Everybody, and every key.
pub(crate) fn load_people(connection: &mut Connection) -> Attempt<People> {
    let people = load_persons(connection, None)?.into_iter().map(|p| (p.name.clone(), p)).collect();
    let keys = load_keys(connection, None)?.into_iter().map(|k| (k.key.prefix.clone(), k)).collect();
    let setup = match meta(connection, SETUP)?.as_deref() {
        None | Some("") => None,
        Some(text) => {
            let parsed = text.split_once(' ').and_then(|(t, e)| Some((crate::keys::unhex(t)?, e.parse().ok()?)));
            Some(parsed.ok_or_else(|| damaged(format!("the setup link is «{text}»")))?)
        }
    };
    Ok(People { people, keys, setup })
}

/// Saves what differs.
pub(crate) fn save_people(connection: &mut Connection, old: &People, new: &People) -> Attempt<()> {
    for (name, person) in new.people.iter().filter(|(name, p)| old.people.get(*name) != Some(*p)) {
        let sql = "INSERT INTO person (name, roles, password, disabled, failures, locked_until_us) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, password = \
                   excluded.password, disabled = excluded.disabled, failures = excluded.failures, locked_until_us = \
                   excluded.locked_until_us";
        let values = vec![
            name.as_str().into(),
            text(&person.roles)?.into(),
            person.password.clone().into(),
            person.disabled.into(),
            i64::from(person.failures).into(),
            person.locked_until_us.into(),
        ];
        connection.execute(sql, values)?;
        if person.disabled {
            connection.execute("DELETE FROM session WHERE person = $1", vec![name.as_str().into()])?;
        }
    }
    for (prefix, key) in new.keys.iter().filter(|(prefix, k)| old.keys.get(*prefix) != Some(*k)) {
        let sql = "INSERT INTO api_key (prefix, secret_mac, label, roles, rate, urgent, expires_us, revoked, made_by, at_us) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (prefix) DO UPDATE SET revoked = \
                   excluded.revoked";
        let values = vec![
            prefix.as_str().into(),
            Value::from(&key.key.secret_mac),
            key.key.label.as_str().into(),
            text(&key.key.roles)?.into(),
            i64::from(key.key.rate_per_second).into(),
            key.key.urgent.into(),
            key.key.expires_us.into(),
            key.revoked.into(),
            key.by.as_str().into(),
            key.at_us.into(),
        ];
        connection.execute(sql, values)?;
    }
    if old.setup != new.setup {
        let text = new.setup.map(|(token, expires)| format!("{} {expires}", crate::keys::hex(&token)));
        set_meta(connection, SETUP, &text.unwrap_or_default())?;
    }
    Ok(())
}

fn damaged(what: String) -> Failure {
    Error::damaged(format!("the store holds what cannot be: {what}")).into()
}

fn json<T: DeserializeOwned>(text: &str) -> Attempt<T> {
    serde_json::from_str(text).map_err(|e| damaged(format!("«{text}» ({e})")))
}

fn text(value: &impl Serialize) -> Attempt<String> {
    serde_json::to_string(value).map_err(|e| Error::io(format!("a value cannot be written: {e}")).into())
}

fn flag(value: i64) -> Attempt<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(damaged(format!("the number {value}, where 0 and 1 are allowed"))),
    }
}

fn small<T: TryFrom<i64>>(value: i64) -> Attempt<T> {
    T::try_from(value).map_err(|_| damaged(format!("the number {value}")))
}
