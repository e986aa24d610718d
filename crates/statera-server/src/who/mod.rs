//! Who asks, and what they may.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::act::Actor;
use statera_store::people::Role;
use std::collections::BTreeSet;

/// People, keys, sessions, directories.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhoSettings {}

/// Identifies who asks.
pub struct Doorkeeper {}

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
        let failure = crate::http::failure::Failure {
            status: axum::http::StatusCode::UNAUTHORIZED,
            message: "nobody is identified".into(),
            retry_after_s: None,
        };
        parts.extensions.get().cloned().ok_or(failure)
    }
}
