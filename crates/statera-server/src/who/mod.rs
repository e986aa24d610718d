//! Who asks, and what they may.
//!
//! A request is a program's (an API key, or a client certificate that stands for one) or a person's (a session, begun with a
//! password, by LDAP or by OpenID Connect). [`layer::identify`] finds out which, and refuses whoever has none of the roles that
//! [`access::ACCESS`] asks for on that route; a route that is not in the table is refused to everyone. Invariants: secrets come
//! from files and are never printed; the store has digests of them only; what is compared with a secret is compared in constant
//! time; a forged key or cookie never reaches the store.

pub mod access;
#[cfg(test)]
mod attack_tests;
mod ber;
pub mod certificate;
pub mod key;
pub mod layer;
pub mod ldap;
pub mod lockout;
pub mod oidc;
pub mod origin;
pub mod password;
pub mod secret;
pub mod session;
pub mod sign_in;
#[cfg(test)]
pub mod testing;

pub use origin::Peer;

use crate::http::bundle_upload::SENDERS_MAX;
use crate::tls::TlsSettings;
use key::KeyCache;
use secret::ServerKey;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::Store;
use statera_store::act::{Act, Acted, Actor};
use statera_store::people::Role;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// People, keys, sessions, directories. Secrets are named by the paths of their files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhoSettings {
    /// The address that browsers have, as `https://statera.bank.local`; empty: what their requests name. Needed behind a proxy
    /// that changes it, and for OpenID Connect.
    pub public_url: String,
    /// Addresses of the reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, as `10.0.0.5` or
    /// `10.0.0.0/24`.
    pub trusted_proxies: Vec<String>,
    /// The server's key: 32 bytes, mode 0600; empty: `keys/server.key` in the store's folder, made at the first start. Servers that
    /// share a database share it.
    pub key_file: PathBuf,
    /// Hours after which a session ends in any case: 1 to 168.
    pub session_hours: u32,
    /// Minutes without a request after which a session ends: 1 to 1,440.
    pub session_idle_minutes: u32,
    /// Minutes that the link of the first start is good for: 1 to 1,440.
    pub setup_minutes: u32,
    /// Passwords that are checked at once: 1 to 8. Each takes 19 MiB and some hundredths of a second of one core.
    pub sign_ins_at_once: usize,
    /// Largest bundle that may be sent, bytes; unpacked it may be 8 times as large.
    pub upload_bytes_max: u64,
    /// Certificates; none: plain HTTP, for the machine itself or behind a reverse proxy.
    pub tls: Option<TlsSettings>,
    /// What client certificates stand for.
    pub certificates: Vec<certificate::CertificateSettings>,
    /// Sign-in by OpenID Connect.
    pub oidc: Option<oidc::OidcSettings>,
    /// Sign-in by LDAP or Active Directory.
    pub ldap: Option<ldap::LdapSettings>,
}

impl Default for WhoSettings {
    fn default() -> WhoSettings {
        WhoSettings {
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            key_file: PathBuf::new(),
            session_hours: 12,
            session_idle_minutes: 30,
            setup_minutes: 60,
            sign_ins_at_once: 1,
            upload_bytes_max: 256 << 20,
            tls: None,
            certificates: Vec::new(),
            oidc: None,
            ldap: None,
        }
    }
}

impl WhoSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        (
            "public_url",
            "The address that browsers have, as https://statera.bank.local; empty: what their requests name",
        ),
        ("trusted_proxies", "Addresses or networks of reverse proxies that are believed"),
        ("key_file", "The server's key; empty: keys/server.key in the store's folder"),
        ("session_hours", "A session ends after so many hours, 1 to 168"),
        ("session_idle_minutes", "And after so many minutes without a request, 1 to 1440"),
        ("setup_minutes", "The link of the first start is good for so many minutes, 1 to 1440"),
        ("sign_ins_at_once", "Passwords that are checked at once, 1 to 8; each takes 19 MiB"),
        ("upload_bytes_max", "Largest bundle that may be sent; unpacked it may be 8 times as large"),
        ("tls", "Table [who.tls]: certificate, key, client_ca, client_certificate_needed"),
        (
            "certificates",
            "Tables [[who.certificates]]: the subject of a client's certificate, and the key it stands for",
        ),
        ("oidc", "Table [who.oidc]: issuer, client_id, client_secret_file, groups_claim, [who.oidc.roles]"),
        ("ldap", "Table [who.ldap]: url, bind, base, name_attribute, groups_attribute, [who.ldap.roles]"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: u64, low: u64, high: u64| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(Error::request(format!("who.{name} is {value}; allowed is {low} to {high}"))),
        };
        within("session_hours", self.session_hours.into(), 1, 168)?;
        within("session_idle_minutes", self.session_idle_minutes.into(), 1, 1440)?;
        within("setup_minutes", self.setup_minutes.into(), 1, 1440)?;
        within("sign_ins_at_once", self.sign_ins_at_once as u64, 1, 8)?;
        within("upload_bytes_max", self.upload_bytes_max, 1 << 20, 8 << 30)?;
        let url = &self.public_url;
        if !url.is_empty() && origin::of_url(url).is_none_or(|origin| origin != *url) {
            return Err(Error::request(format!(
                "who.public_url is «{url}»; allowed: http:// or https:// with a host and no path, as \
                 https://statera.bank.local"
            )));
        }
        Ok(())
    }
}

/// Microseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Microseconds of a second.
pub const SECOND_US: i64 = 1_000_000;

/// Identifies who asks, and does what people do. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Doorkeeper(Arc<Inner>);

/// What all clones share.
pub struct Inner {
    pub(crate) settings: WhoSettings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) server_key: ServerKey,
    pub(crate) keys: KeyCache,
    pub(crate) proxies: origin::Proxies,
    pub(crate) certificates: certificate::Certificates,
    pub(crate) passwords: password::Passwords,
    pub(crate) lockout: lockout::Lockout,
    pub(crate) oidc: Option<oidc::Oidc>,
    pub(crate) ldap: Option<ldap::Ldap>,
    /// Bundles that are sent, or wait to be checked: each may need a file of the largest size.
    pub(crate) uploads: Semaphore,
    /// One bundle is checked at a time: each may need a gigabyte.
    pub(crate) checks: Arc<Semaphore>,
    /// Where bundles lie until they are checked.
    pub(crate) upload_folder: PathBuf,
    registry_changed: OnceLock<Box<dyn Fn(bool) + Send + Sync>>,
}

impl std::ops::Deref for Doorkeeper {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl axum::extract::FromRef<crate::app::Shared> for Doorkeeper {
    fn from_ref(app: &crate::app::Shared) -> Doorkeeper {
        app.doorkeeper.clone()
    }
}

impl Doorkeeper {
    /// Checks the settings and reads the secrets they name; `folder` is the store's. What depends on other machines (the
    /// issuer, the directory) is asked when it is needed.
    ///
    /// # Errors
    /// A setting out of its range, a secret's file that others may read.
    pub fn open(settings: &WhoSettings, folder: &Path, store: Arc<dyn Store>, clock: Clock) -> Result<Doorkeeper> {
        settings.check()?;
        let key_file = match settings.key_file.as_os_str().is_empty() {
            true => folder.join("keys").join("server.key"),
            false => settings.key_file.clone(),
        };
        let at = |e: Error| e.at("who");
        Ok(Doorkeeper(Arc::new(Inner {
            server_key: ServerKey::open(&key_file, settings.key_file.as_os_str().is_empty())?,
            keys: KeyCache::default(),
            proxies: origin::Proxies::parse(&settings.trusted_proxies).map_err(at)?,
            certificates: certificate::Certificates::new(&settings.certificates).map_err(at)?,
            passwords: password::Passwords::new(settings.sign_ins_at_once)?,
            lockout: lockout::Lockout::default(),
            oidc: settings.oidc.as_ref().map(|s| oidc::Oidc::new(s, &settings.public_url)).transpose().map_err(at)?,
            ldap: settings.ldap.as_ref().map(ldap::Ldap::new).transpose().map_err(at)?,
            uploads: Semaphore::new(SENDERS_MAX),
            checks: Arc::new(Semaphore::new(1)),
            upload_folder: folder.join("uploads"),
            registry_changed: OnceLock::new(),
            settings: settings.clone(),
            store,
            clock,
        })))
    }

    /// Calls `f` after every change of the registry that is made through this process, so that what answers changes at once
    /// instead of at the next look. Only the first call counts.
    pub fn when_registry_changes(&self, f: impl Fn(bool) + Send + Sync + 'static) {
        let _ = self.0.registry_changed.set(Box::new(f));
    }

    /// The token of the link that makes the first admin, if nobody exists yet; the link is `/setup?token=…`. Only its digest
    /// is kept. A token that was offered before is replaced.
    ///
    /// # Errors
    /// As the store says.
    pub fn offer_setup(&self) -> Result<Option<String>> {
        if !self.store.people()?.is_empty() {
            return Ok(None);
        }
        let token = secret::random_text()?;
        let token_digest = secret::digest(&token);
        let expires_us = (self.clock)() + i64::from(self.settings.setup_minutes) * 60 * SECOND_US;
        self.store.act(&Actor::System, Act::OfferSetup { token_digest, expires_us })?;
        Ok(Some(token))
    }

    /// Does an act on a thread that may wait, and lets go of what it ends at once.
    ///
    /// # Errors
    /// As the store says.
    pub async fn act(&self, actor: &Actor, act: Act) -> Result<Acted> {
        let (store, actor) = (self.store.clone(), actor.clone());
        let revoked = match &act {
            Act::RevokeKey { prefix } => Some(prefix.clone()),
            Act::AddKey { key } => Some(key.prefix.clone()),
            _ => None,
        };
        // Another version may answer, whose bundle is in memory only after this.
        let names_another = matches!(act, Act::Approve { .. } | Act::Rollback { .. });
        let of_registry = matches!(
            act,
            Act::AddModel { .. }
                | Act::SetTier { .. }
                | Act::AddVersion { .. }
                | Act::Propose { .. }
                | Act::Approve { .. }
                | Act::Reject { .. }
                | Act::Rollback { .. }
                | Act::Stop { .. }
        );
        let acted = waiting(move || store.act(&actor, act)).await;
        // Also after a failure: a lost answer of the database may hide that it was done.
        if let Some(prefix) = revoked {
            self.keys.forget(&prefix);
        }
        if of_registry {
            let door = self.clone();
            let change = move || {
                door.0.registry_changed.get().into_iter().for_each(|changed| changed(names_another));
                Ok(())
            };
            // A stop is in force before its answer leaves, and waits for no bundle; where another has to be loaded, this thread may
            // wait.
            waiting(change).await?;
        }
        acted
    }
}

/// Runs what waits for a disk, a database or a costly hash on a thread that is made for that.
pub(crate) async fn waiting<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(e) => Err(Error::io(format!("a worker ended early: {e}"))),
    }
}

/// Who asks. [`layer::identify`] puts it into the request's extensions; handlers take it as an argument, and a request without
/// it is refused with 401.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    /// As the ledger names them.
    pub actor: Actor,
    /// What they may.
    pub roles: BTreeSet<Role>,
    /// Requests a second that are aimed at for them; 0: the server's default.
    pub rate_per_second: u32,
    /// Served before others: the payment path.
    pub urgent: bool,
}

/// Roles of which one is enough, in words.
pub(crate) fn one_of(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().copied().map(role_name).collect();
    match names[..] {
        [name] => format!("the role {name}"),
        _ => format!("one of the roles {}", names.join(", ")),
    }
}

impl Who {
    /// Refuses whoever has none of the roles.
    ///
    /// # Errors
    /// `Denied`, naming the roles that are allowed.
    pub fn needs(&self, any_of: &[Role]) -> Result<()> {
        if any_of.iter().any(|role| self.roles.contains(role)) {
            return Ok(());
        }
        Err(Error::denied(format!("this needs {}", one_of(any_of))))
    }

    /// The name of the person.
    ///
    /// # Errors
    /// `Denied` for keys: what needs several persons must not be done by what one person can make.
    pub fn person(&self) -> Result<&str> {
        match &self.actor {
            Actor::Person(name) => Ok(name),
            _ => Err(Error::denied("this needs a person who is signed in; a key stands for nobody")),
        }
    }
}

/// Every role, from the least to the most.
pub const ROLES: [Role; 5] = [Role::Viewer, Role::Scorer, Role::Maker, Role::Checker, Role::Admin];

/// A role as it is written.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Scorer => "scorer",
        Role::Maker => "maker",
        Role::Checker => "checker",
        Role::Admin => "admin",
    }
}

/// A role from what is written.
///
/// # Errors
/// Another word.
pub fn role(name: &str) -> Result<Role> {
    ROLES
        .into_iter()
        .find(|r| role_name(*r) == name)
        .ok_or_else(|| Error::request(format!("«{name}» is not a role; allowed: {}", ROLES.map(role_name).join(", "))))
}
