//! What acts do to what is kept, as functions without a database: the writer runs them on what it has read, and the
//! auditor's command runs all of them again from the beginning and compares.

pub(crate) mod people;
pub(crate) mod registry;

use crate::act::Act;
use statera_core::{Error, Result};

/// Characters of a note at most.
const NOTE_MAX: usize = 2000;

/// Which of the two an act is about; none: it is only noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    Registry,
    People,
    Note,
}

/// What an act is about.
pub(crate) fn area(act: &Act) -> Area {
    match act {
        Act::AddModel { .. }
        | Act::SetTier { .. }
        | Act::AddVersion { .. }
        | Act::Propose { .. }
        | Act::Approve { .. }
        | Act::Reject { .. }
        | Act::Rollback { .. }
        | Act::Stop { .. } => Area::Registry,
        Act::OfferSetup { .. }
        | Act::Setup { .. }
        | Act::AddPerson { .. }
        | Act::SetRoles { .. }
        | Act::SetPassword { .. }
        | Act::SetDisabled { .. }
        | Act::SignIn { .. }
        | Act::SignInFailed { .. }
        | Act::SignOut { .. }
        | Act::AddKey { .. }
        | Act::RevokeKey { .. } => Area::People,
        Act::Note { .. } => Area::Note,
    }
}

/// Refuses what cannot be printed on a line, and texts that are too long.
pub(crate) fn check_note(what: &str, note: &str) -> Result<()> {
    let n = note.chars().count();
    if n > NOTE_MAX {
        return Err(Error::request(format!("{what} has {n} characters; allowed are {NOTE_MAX}")));
    }
    match note.chars().find(|c| c.is_control() && *c != '\n') {
        Some(c) => Err(Error::request(format!("{what} holds the control character U+{:04X}", u32::from(c)))),
        None => Ok(()),
    }
}

/// Digest of the secret that an act brings, which its row of the ledger has in its place.
pub(crate) fn secret(act: &Act) -> Option<[u8; 32]> {
    let digest = |bytes: &[u8]| Some(*blake3::hash(bytes).as_bytes());
    match act {
        Act::OfferSetup { token_digest, .. } => digest(token_digest),
        // The person's password is bound, the token is spent.
        Act::Setup { person, .. } | Act::AddPerson { person } => {
            person.password.as_ref().and_then(|p| digest(p.as_bytes()))
        }
        Act::SetPassword { password, .. } => digest(password.as_bytes()),
        Act::AddKey { key } => digest(&key.secret_mac),
        _ => None,
    }
}
