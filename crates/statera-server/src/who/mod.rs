//! Who asks, and what they may.

pub mod layer;
pub mod origin;

pub use origin::Peer;

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::Actor;
use statera_store::people::Role;
use std::collections::BTreeSet;

/// People, keys, sessions, directories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhoSettings {
    /// Largest bundle that may be sent, bytes.
    pub upload_bytes_max: u64,
    /// Certificates.
    pub tls: Option<crate::tls::TlsSettings>,
}

impl Default for WhoSettings {
    fn default() -> Self {
        WhoSettings { upload_bytes_max: 256 << 20, tls: None }
    }
}

impl WhoSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] =
        &[("upload_bytes_max", "Largest bundle that may be sent, bytes"), ("tls", "Certificates")];
}

/// Identifies who asks.
#[derive(Clone, Default)]
pub struct Doorkeeper {
    pub(crate) proxies: origin::Proxies,
}

impl Doorkeeper {
    /// The token of the link that makes the first admin, if nobody exists yet.
    ///
    /// # Errors
    /// As the store says.
    pub fn offer_setup(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Who asks. The middleware `identify` puts it into the request's extensions; handlers take it as an argument, and a
/// request without it is refused with 401.
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

impl Who {
    /// Refuses whoever has none of the roles.
    ///
    /// # Errors
    /// `Denied`, naming the roles that are allowed.
    pub fn needs(&self, any_of: &[Role]) -> Result<()> {
        if any_of.iter().any(|role| self.roles.contains(role)) {
            return Ok(());
        }
        let names: Vec<String> = any_of.iter().map(|r| format!("{r:?}").to_lowercase()).collect();
        Err(Error::denied(format!("this needs one of the roles {}", names.join(", "))))
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Who {
    type Rejection = crate::http::failure::Failure;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> std::result::Result<Who, Self::Rejection> {
        let unknown = || Self::Rejection::new(axum::http::StatusCode::UNAUTHORIZED, "nobody is identified");
        parts.extensions.get().cloned().ok_or_else(unknown)
    }
}
