//! People, keys of programs, and the one-time link of the first start.

use super::check_note;
use crate::act::{Act, Acted, Actor, SYSTEM};
use crate::people::{ApiKey, NewApiKey, NewPerson, Person, Role};
use statera_core::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// People and keys at most.
const PEOPLE_MAX: usize = 10_000;
const KEYS_MAX: usize = 10_000;
/// Characters of a person's name and of a key's label at most.
const NAME_MAX: usize = 64;
const LABEL_MAX: usize = 200;

/// Everybody, and every key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct People {
    pub(crate) people: BTreeMap<String, Person>,
    pub(crate) keys: BTreeMap<String, ApiKey>,
    /// Digest of the one-time link's token, and when it ends.
    pub(crate) setup: Option<([u8; 32], i64)>,
}

/// Does an act at a time.
///
/// # Errors
/// As [`crate::Store::act`]; everybody is then as before.
pub(crate) fn apply(state: &mut People, actor: &Actor, act: &Act, at_us: i64) -> Result<Acted> {
    match act {
        Act::OfferSetup { token_digest, expires_us } => {
            refuse_second_setup(state)?;
            state.setup = Some((*token_digest, *expires_us));
        }
        Act::Setup { token_digest, person } => {
            refuse_second_setup(state)?;
            check_token(state, token_digest, at_us)?;
            if !person.roles.contains(&Role::Admin) {
                return Err(Error::request("the first person must be an admin"));
            }
            add_person(state, person)?;
            state.setup = None;
        }
        Act::AddPerson { person } => add_person(state, person)?,
        Act::SetRoles { name, roles } => {
            keep_an_admin(state, name, roles.contains(&Role::Admin))?;
            person_mut(state, name)?.roles = roles.clone();
        }
        Act::SetPassword { name, password } => {
            let person = person_mut(state, name)?;
            person.password = Some(password.clone());
            (person.failures, person.locked_until_us) = (0, 0);
        }
        Act::SetDisabled { name, disabled } => {
            keep_an_admin(state, name, !disabled)?;
            person_mut(state, name)?.disabled = *disabled;
        }
        Act::SignIn { name } => {
            let person = person_mut(state, name)?;
            (person.failures, person.locked_until_us) = (0, 0);
        }
        Act::SignInFailed { name: Some(name), locked_until_us } => {
            let person = person_mut(state, name)?;
            person.failures = person.failures.saturating_add(1);
            person.locked_until_us = locked_until_us.unwrap_or(person.locked_until_us);
        }
        Act::SignInFailed { name: None, .. } => {}
        Act::SignOut { name } => drop(person_mut(state, name)?),
        Act::AddKey { key } => add_key(state, actor, key, at_us)?,
        Act::RevokeKey { prefix } => {
            let key = state.keys.get_mut(prefix);
            let key = key.ok_or_else(|| Error::not_found(format!("there is no key «{prefix}»")))?;
            if std::mem::replace(&mut key.revoked, true) {
                return Err(Error::conflict(format!("the key «{prefix}» is revoked already")));
            }
        }
        _ => return Err(Error::request("this act is not one about people")),
    }
    Ok(Acted::default())
}

/// Refuses a person whose name differs from another's in capitals alone: to a directory they are one, who could approve as the
/// second what they proposed as the first. It is no rule of [`apply`]: a ledger that has two such people stands.
///
/// # Errors
/// `Conflict` with the name that exists.
pub(crate) fn refuse_twin(state: &People, act: &Act) -> Result<()> {
    let (Act::AddPerson { person } | Act::Setup { person, .. }) = act else { return Ok(()) };
    let name = person.name.to_lowercase();
    match state.people.keys().find(|other| **other != person.name && other.to_lowercase() == name) {
        None => Ok(()),
        Some(other) => Err(Error::conflict(format!(
            "there is a person «{other}» already; «{}» differs from it in capitals alone",
            person.name
        ))),
    }
}

fn refuse_second_setup(state: &People) -> Result<()> {
    if state.people.is_empty() {
        Ok(())
    } else {
        Err(Error::denied("the first person exists; the setup link is spent"))
    }
}

fn check_token(state: &People, token_digest: &[u8; 32], at_us: i64) -> Result<()> {
    match state.setup {
        Some((expected, expires_us)) if expected == *token_digest && at_us < expires_us => Ok(()),
        _ => Err(Error::denied("the setup link is wrong, used or expired")),
    }
}

fn add_person(state: &mut People, person: &NewPerson) -> Result<()> {
    let name = &person.name;
    let n = name.chars().count();
    let is_named = (1..=NAME_MAX).contains(&n) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c));
    if !is_named {
        return Err(Error::request(format!(
            "«{}» cannot name a person; allowed are 1 to {NAME_MAX} letters, digits, «.», «-», «_», «@»",
            name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect::<String>()
        )));
    }
    if name == SYSTEM {
        return Err(Error::request(format!("«{SYSTEM}» cannot name a person; the ledger calls the program itself so")));
    }
    if state.people.contains_key(name) {
        return Err(Error::conflict(format!("there is a person «{name}» already")));
    }
    if state.people.len() >= PEOPLE_MAX {
        return Err(Error::conflict(format!("there are {PEOPLE_MAX} people, as many as are allowed")));
    }
    let person = Person {
        name: name.clone(),
        roles: person.roles.clone(),
        password: person.password.clone(),
        disabled: false,
        failures: 0,
        locked_until_us: 0,
    };
    state.people.insert(name.clone(), person);
    Ok(())
}

fn person_mut<'a>(state: &'a mut People, name: &str) -> Result<&'a mut Person> {
    state.people.get_mut(name).ok_or_else(|| Error::not_found(format!("there is no person «{name}»")))
}

/// Refuses to take the last admin away: nobody could make another.
fn keep_an_admin(state: &People, name: &str, stays_admin: bool) -> Result<()> {
    let is_admin = |p: &Person| !p.disabled && p.roles.contains(&Role::Admin);
    let is_last =
        state.people.get(name).is_some_and(is_admin) && state.people.values().filter(|p| is_admin(p)).count() == 1;
    if is_last && !stays_admin {
        return Err(Error::conflict(format!("«{name}» is the last admin; make another first")));
    }
    Ok(())
}

fn add_key(state: &mut People, actor: &Actor, key: &NewApiKey, at_us: i64) -> Result<()> {
    let prefix = &key.prefix;
    let is_named =
        (8..=16).contains(&prefix.len()) && prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !is_named {
        return Err(Error::request(format!("«{prefix}» cannot name a key; allowed are 8 to 16 of a–z, 0–9")));
    }
    check_note("the label", &key.label)?;
    if key.label.chars().count() > LABEL_MAX {
        return Err(Error::request(format!("the label is longer than the {LABEL_MAX} characters that are allowed")));
    }
    if key.roles == BTreeSet::new() {
        return Err(Error::request("a key without a role could do nothing; name one at least"));
    }
    if state.keys.contains_key(prefix) {
        return Err(Error::conflict(format!("there is a key «{prefix}» already")));
    }
    if state.keys.len() >= KEYS_MAX {
        return Err(Error::conflict(format!("there are {KEYS_MAX} keys, as many as are allowed")));
    }
    let key = ApiKey { key: key.clone(), revoked: false, by: actor.label(), at_us };
    state.keys.insert(prefix.clone(), key);
    Ok(())
}
