//! What people do, each with its row of the ledger.

use crate::people::{NewApiKey, NewPerson, Role};
use crate::record::Id;
use crate::registry::Change;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Who does something, as the ledger names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person by name.
    Person(String),
    /// An API key by its prefix.
    Key(String),
    /// The program itself, on the command line of the machine or at start.
    System,
}

impl Actor {
    /// Who, in a word: the person's name, `key:` and the key's prefix, or `system`. No two actors share one: no person has
    /// a name with a colon, or is called `system`.
    pub fn label(&self) -> String {
        match self {
            Actor::Person(name) => name.clone(),
            Actor::Key(prefix) => format!("key:{prefix}"),
            Actor::System => SYSTEM.into(),
        }
    }
}

/// What the program itself is called.
pub(crate) const SYSTEM: &str = "system";

/// One thing that is done. Serialized, it is the body of the ledger's row: secrets are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// A model is begun, in a tier.
    AddModel {
        /// Its name: 1 to 64 of a–z, 0–9, «-», «_», beginning with a letter.
        name: String,
        /// 1 (most consequential) to 4.
        tier: u8,
    },
    /// How many other persons must approve changes of a tier's models: 1 to 5. A tier that says nothing allows nothing.
    SetTier {
        /// 1 to 4.
        tier: u8,
        /// Persons.
        approvals: u8,
    },
    /// A bundle becomes the next version of a model. It is in the store already.
    AddVersion {
        /// The model.
        model: String,
        /// The bundle's digest.
        digest: String,
        /// Why.
        note: String,
    },
    /// A change of what is served is proposed.
    Propose {
        /// The model.
        model: String,
        /// What would change.
        change: Change,
        /// Why.
        note: String,
    },
    /// A proposal is approved; the last approval that its tier asks for makes the change.
    Approve {
        /// The proposal.
        proposal: Id,
        /// Remark.
        note: String,
    },
    /// A proposal is rejected, or withdrawn by who made it.
    Reject {
        /// The proposal.
        proposal: Id,
        /// Why.
        note: String,
    },
    /// Back to the champion before this one, which was approved: at once.
    Rollback {
        /// The model.
        model: String,
        /// Why.
        note: String,
    },
    /// The backup model answers from now on: at once, without approval. Only an approved [`Change::Resume`] ends it.
    Stop {
        /// The model.
        model: String,
        /// Why.
        note: String,
    },
    /// The one-time link of the first start is made; a new one replaces it. Refused once a person exists.
    OfferSetup {
        /// BLAKE3 of the token.
        #[serde(skip)]
        token_digest: [u8; 32],
        /// When it ends, microseconds since 1970 UTC.
        expires_us: i64,
    },
    /// The first person, by the one-time link. `Denied` if the token is wrong, used or expired.
    Setup {
        /// BLAKE3 of the token.
        #[serde(skip)]
        token_digest: [u8; 32],
        /// Who is made; an admin.
        person: NewPerson,
    },
    /// A person is added.
    AddPerson {
        /// Who.
        person: NewPerson,
    },
    /// What a person may.
    SetRoles {
        /// Who.
        name: String,
        /// All of the roles from now on.
        roles: BTreeSet<Role>,
    },
    /// A new password.
    SetPassword {
        /// Who.
        name: String,
        /// Its argon2 text (PHC).
        #[serde(skip)]
        password: String,
    },
    /// A person may no longer sign in; sessions end. Or may again.
    SetDisabled {
        /// Who.
        name: String,
        /// True: no longer.
        disabled: bool,
    },
    /// A sign-in that succeeded.
    SignIn {
        /// Who.
        name: String,
    },
    /// A sign-in that failed; counted for the lockout.
    SignInFailed {
        /// The name that was tried, if such a person exists; unknown names are not kept.
        name: Option<String>,
        /// From when on it may be tried again, microseconds since 1970 UTC.
        locked_until_us: Option<i64>,
    },
    /// A person signed out.
    SignOut {
        /// Who.
        name: String,
    },
    /// A key is made.
    AddKey {
        /// Which.
        key: NewApiKey,
    },
    /// A key ends.
    RevokeKey {
        /// Which.
        prefix: String,
    },
    /// Something else that belongs into the ledger: a backup was taken, a payload was read, the configuration was reloaded.
    Note {
        /// What, in a few words without personal data.
        what: String,
    },
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acted {
    /// The number of the version that was added.
    pub version: Option<u32>,
    /// The proposal that was made.
    pub proposal: Option<Id>,
    /// True if the last approval was given and the change is made.
    pub applied: bool,
}
