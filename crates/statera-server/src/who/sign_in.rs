//! Sign-in: by a password of ours, by the directory's, or by what an issuer of identities says.

use super::password::BYTES_MAX;
use super::session::Begun;
use super::{Doorkeeper, waiting};
use crate::http::failure::Failure;
use axum::http::StatusCode;
use statera_core::{Error, ErrorKind, Result};
use statera_store::act::{Act, Actor};
use statera_store::people::{NewPerson, Person, Role};
use std::collections::BTreeSet;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// The same for every sign-in that fails: an unknown name, a wrong password, somebody who must wait, somebody disabled.
pub const FAILED: &str =
    "the name or the password is wrong, or too many sign-ins failed; after five failures there are waits, each longer";

/// Characters of a name at most, as the store has it.
const NAME_CHARS_MAX: usize = 64;

/// True for a name that a person may have: 1 to 64 of letters, digits, «.», «-», «_», «@».
pub fn is_name(name: &str) -> bool {
    let n = name.chars().count();
    (1..=NAME_CHARS_MAX).contains(&n) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c))
}

impl Doorkeeper {
    /// Signs a person in by name and password.
    ///
    /// # Errors
    /// 401 with the same words for whatever was wrong; 429 for an address that failed too often; 503 if too many sign in at once
    /// or the store or the directory does not answer.
    pub async fn sign_in(
        &self,
        name: &str,
        password: Zeroizing<String>,
        address: Option<IpAddr>,
        is_secure: bool,
    ) -> std::result::Result<Begun, Failure> {
        self.refuse_address(address)?;
        let turn = self.passwords.turn().await?;
        // Those that waited for their turn may have been guesses too.
        self.refuse_address(address)?;
        let is_possible = is_name(name) && !password.is_empty() && password.len() <= BYTES_MAX;
        let known = match self.ldap {
            _ if !is_possible => None,
            // A directory takes a name however it is typed: the waits are those of one person.
            Some(_) => self.person_however_written(name).await?,
            None => self.known_person(name).await?,
        };
        let now_us = (self.clock)();
        let is_locked = known.as_ref().is_some_and(|p| now_us < p.locked_until_us);
        let may = known.as_ref().is_none_or(|p| !p.disabled) && !is_locked;
        let phc = known.as_ref().filter(|_| may).and_then(|p| p.password.clone());
        let is_local = known.as_ref().is_some_and(|p| p.password.is_some());
        let mut is_right = turn.is_right(password.clone(), phc).await?;
        let mut name = known.as_ref().map_or(name, |p| &p.name).to_string();
        if let Some(ldap) = self.ldap.as_ref().filter(|_| is_possible && may && !is_local)
            && let Some(found) = ldap.sign_in(&name, &password).await.map_err(away)?
        {
            // Who the directory names otherwise has the waits of that person.
            let own = self.person_however_written(&found.name).await?;
            if own.is_some_and(|own| now_us < own.locked_until_us) {
                return Err(unauthorized(FAILED));
            }
            name = self.admit(&found.name, found.roles).await?;
            is_right = true;
        }
        if !is_right {
            self.failed(known.filter(|_| !is_locked), address).await?;
            return Err(unauthorized(FAILED));
        }
        self.act(&Actor::Person(name.clone()), Act::SignIn { name: name.clone() }).await?;
        Ok(self.begin_session(&name, is_secure).await?)
    }

    /// Signs in a person whom another system has identified, with the roles that it gave them.
    ///
    /// # Errors
    /// 401 if they have no role, a name that is not allowed or belongs to somebody with a password of ours, or are disabled.
    pub async fn sign_in_identified(
        &self,
        name: &str,
        roles: BTreeSet<Role>,
        is_secure: bool,
    ) -> std::result::Result<Begun, Failure> {
        if !is_name(name) || roles.is_empty() {
            return Err(unauthorized(
                "the issuer names nobody who may come in: a name that is not allowed, or no role",
            ));
        }
        let name = self.admit(name, roles).await.map_err(|failure| match failure.message == FAILED {
            true => unauthorized("the issuer names somebody who has a password here or is disabled"),
            false => failure,
        })?;
        self.act(&Actor::Person(name.clone()), Act::SignIn { name: name.clone() }).await?;
        Ok(self.begin_session(&name, is_secure).await?)
    }

    fn refuse_address(&self, address: Option<IpAddr>) -> std::result::Result<(), Failure> {
        match self.lockout.wait_s(address, (self.clock)()) {
            0 => Ok(()),
            wait_s => Err(Failure {
                status: StatusCode::TOO_MANY_REQUESTS,
                message: "too many sign-ins from this address failed".into(),
                retry_after_s: Some(wait_s),
                code: None,
            }),
        }
    }

    async fn known_person(&self, name: &str) -> Result<Option<Person>> {
        let (store, name) = (self.store.clone(), name.to_string());
        match waiting(move || store.person(&name)).await {
            Ok(person) => Ok(Some(person)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The person of a name; if there is none, the only one whose name differs from it in capitals alone.
    async fn person_however_written(&self, name: &str) -> Result<Option<Person>> {
        if let Some(person) = self.known_person(name).await? {
            return Ok(Some(person));
        }
        let (store, name) = (self.store.clone(), name.to_lowercase());
        let mut people = waiting(move || store.people()).await?;
        people.retain(|person| person.name.to_lowercase() == name);
        Ok(if people.len() == 1 { people.pop() } else { None })
    }

    async fn is_empty(&self) -> Result<bool> {
        let store = self.store.clone();
        waiting(move || Ok(store.people()?.is_empty())).await
    }

    /// Keeps the person that another system identified, with the roles of today; gives the name that they have here.
    async fn admit(&self, name: &str, roles: BTreeSet<Role>) -> std::result::Result<String, Failure> {
        let (name, act) = match self.person_however_written(name).await? {
            Some(person) if person.password.is_some() || person.disabled => return Err(unauthorized(FAILED)),
            Some(person) if person.roles == roles => return Ok(person.name),
            Some(person) => (person.name.clone(), Act::SetRoles { name: person.name, roles }),
            // The link of the first start makes the first person, and is void once there is one.
            None if self.is_empty().await? => return Err(unauthorized("the server has no admin yet; set it up first")),
            None => {
                let person = NewPerson { name: name.into(), roles, password: None };
                (name.into(), Act::AddPerson { person })
            }
        };
        self.act(&Actor::System, act).await?;
        Ok(name)
    }

    /// Writes a failure down; tries while somebody must wait do not make the wait longer.
    pub(crate) async fn failed(&self, person: Option<Person>, address: Option<IpAddr>) -> Result<()> {
        let now_us = (self.clock)();
        self.lockout.failed(address, now_us);
        let wait_us = person.as_ref().map_or(0, |p| self.lockout.failed_of_person(&p.name, p.failures, now_us));
        let act = Act::SignInFailed {
            name: person.map(|p| p.name),
            locked_until_us: (wait_us > 0).then_some(now_us + wait_us),
        };
        self.act(&Actor::System, act).await.map(|_| ())
    }
}

/// What is told of a directory that could not be asked: where it is and what it said is for who reads the log.
pub(super) fn away(e: Error) -> Failure {
    tracing::warn!(error = %e, "the directory could not be asked");
    Failure::from(Error::busy("the directory does not answer; the server's log says why"))
}

/// 401.
pub fn unauthorized(message: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, message)
}

/// The password of a new person, or of one who changes it, as argon2 text.
///
/// # Errors
/// A name or password that is not allowed; too many at once.
pub async fn new_password(door: &Doorkeeper, name: &str, password: Zeroizing<String>) -> Result<String> {
    if !is_name(name) {
        return Err(Error::request(format!(
            "name: «{name}»; allowed: 1 to {NAME_CHARS_MAX} of letters, digits, «.», «-», «_», «@»"
        )));
    }
    door.passwords.turn().await?.hash(name, password).await
}
