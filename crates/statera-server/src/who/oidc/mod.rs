//! Sign-in by OpenID Connect (Core 1.0): the code flow with PKCE (RFC 7636), state and nonce.
//!
//! What a sign-in must remember until the browser comes back is derived by a keyed hash from one random value in a cookie of
//! ten minutes, so that any server that shares the key can finish it and nothing is kept. Only the issuer's own host is asked,
//! and the hosts that the settings name.

mod provider;
#[cfg(test)]
mod tests;
mod token;

use super::secret::{self, Secret, Use};
use super::session::{self, Begun};
use super::sign_in::unauthorized;
use super::{Doorkeeper, SECOND_US};
use crate::client::Client;
use crate::http::failure::Failure;
use axum::http::{HeaderMap, HeaderValue};
use provider::{Fetch, Provider};
use serde::{Deserialize, Serialize};
use statera_core::{Error, ErrorKind, Result};
use statera_store::people::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// A sign-in must be finished after so many seconds.
const FINISHED_S: i64 = 600;
/// Where the issuer sends browsers back to.
pub const CALLBACK: &str = "/sign-in/oidc/callback";
/// An issuer that is slower is none.
const LIMIT: Duration = Duration::from_secs(10);

/// The issuer, and what its groups may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// As its tokens name it: `https://sso.bank.local/realms/staff`.
    pub issuer: String,
    /// What it knows this server as.
    pub client_id: String,
    /// The file of the secret that it gave this server; none for a public client.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Scopes, with blanks between them; `openid` among them.
    #[serde(default = "scopes")]
    pub scopes: String,
    /// The claim that names a person.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// The claim that lists groups; dots lead into objects: `realm_access.roles`.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// What each group may.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// Roots of the issuer's certificate; none: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Other hosts that its discovery document may name.
    #[serde(default)]
    pub also_hosts: Vec<String>,
}

fn scopes() -> String {
    "openid profile".into()
}

fn name_claim() -> String {
    "preferred_username".into()
}

fn groups_claim() -> String {
    "groups".into()
}

/// Sign-in by an issuer.
pub struct Oidc {
    settings: OidcSettings,
    secret: Option<Secret>,
    redirect: String,
    provider: Provider,
}

/// What the browser brings back.
#[derive(Debug, Deserialize)]
pub struct Callback {
    /// To be exchanged for a token.
    pub code: Option<String>,
    /// As it was sent.
    pub state: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Who sends it (RFC 9207).
    pub iss: Option<String>,
}

/// A sign-in that was begun.
pub struct Start {
    /// Where the browser goes.
    pub url: String,
    /// What it keeps meanwhile.
    pub cookie: HeaderValue,
}

impl Oidc {
    /// Checks the settings; the issuer is asked when somebody signs in.
    ///
    /// # Errors
    /// An issuer that is not https (or of this machine), no public address of this server, a secret's file that others may read.
    pub fn new(settings: &OidcSettings, public_url: &str) -> Result<Oidc> {
        let client = Client::new(settings.ca_file.as_deref(), LIMIT)?;
        Oidc::with(settings, public_url, Box::new(client))
    }

    fn with(settings: &OidcSettings, public_url: &str, fetch: Box<dyn Fetch>) -> Result<Oidc> {
        if public_url.is_empty() {
            return Err(Error::request(
                "oidc: public_url is missing; the issuer must know where to send browsers back to",
            ));
        }
        if settings.client_id.is_empty() || !settings.scopes.split(' ').any(|s| s == "openid") {
            return Err(Error::request("oidc: client_id is empty, or scopes have no «openid»"));
        }
        let secret = settings.client_secret_file.as_deref().map(Secret::read).transpose()?;
        let provider = Provider::new(&settings.issuer, &settings.also_hosts, fetch)?;
        Ok(Oidc { settings: settings.clone(), secret, redirect: format!("{public_url}{CALLBACK}"), provider })
    }

    /// What the groups of a token may.
    fn roles(&self, claims: &serde_json::Value) -> BTreeSet<Role> {
        let groups = self.settings.groups_claim.split('.').try_fold(claims, |value, name| value.get(name));
        let groups = groups.and_then(|g| g.as_array()).map_or(&[][..], Vec::as_slice);
        groups.iter().filter_map(|g| g.as_str()).filter_map(|g| self.settings.roles.get(g)).flatten().copied().collect()
    }
}

fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-statera-oidc" } else { "statera-oidc" }
}

/// The header `Set-Cookie` that ends what a sign-in keeps.
pub fn end_cookie(is_secure: bool) -> HeaderValue {
    session::set_cookie(cookie_name(is_secure), "", is_secure, "Lax", 0)
}

impl Doorkeeper {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// `NotFound` if none is configured; `Busy` if the issuer does not answer.
    pub async fn begin_oidc(&self, is_secure: bool) -> Result<Start> {
        let oidc = self.oidc.as_ref().ok_or_else(|| Error::not_found("no OpenID Connect is configured"))?;
        let endpoints = oidc.provider.endpoints((self.clock)()).await?;
        let kept = format!("{}.{}", secret::random_text()?, (self.clock)() / SECOND_US + FINISHED_S);
        let challenge = ring::digest::digest(&ring::digest::SHA256, self.derived("verifier", &kept).as_bytes());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &oidc.settings.client_id)
            .append_pair("redirect_uri", &oidc.redirect)
            .append_pair("scope", &oidc.settings.scopes)
            .append_pair("state", &self.derived("state", &kept))
            .append_pair("nonce", &self.derived("nonce", &kept))
            .append_pair("code_challenge", &secret::text(challenge.as_ref()))
            .append_pair("code_challenge_method", "S256")
            .finish();
        let join = if endpoints.authorization.contains('?') { '&' } else { '?' };
        let url = format!("{}{join}{query}", endpoints.authorization);
        // Strict cookies are not sent when another site leads the browser here.
        let cookie = session::set_cookie(cookie_name(is_secure), &kept, is_secure, "Lax", FINISHED_S as u32);
        Ok(Start { url, cookie })
    }

    fn derived(&self, what: &str, kept: &str) -> String {
        secret::text(&self.server_key.mac(Use::Oidc, &[what.as_bytes(), kept.as_bytes()]))
    }

    /// Finishes a sign-in.
    ///
    /// # Errors
    /// 401 if what the browser brings back is not of a sign-in that was begun here, or the token is not as it must be, or names
    /// nobody who may come in; 503 if the issuer does not answer. What was wrong stands in the log.
    pub async fn finish_oidc(
        &self,
        callback: Callback,
        headers: &HeaderMap,
        is_secure: bool,
    ) -> std::result::Result<Begun, Failure> {
        let refused = |why: &str| {
            tracing::warn!(why, "a sign-in by OpenID Connect was refused");
            unauthorized("the sign-in was not completed; begin it again")
        };
        let oidc = self.oidc.as_ref().ok_or_else(|| Error::not_found("no OpenID Connect is configured"))?;
        let now_us = (self.clock)();
        let now_s = now_us / SECOND_US;
        let kept = session::cookie(headers, cookie_name(is_secure)).ok_or_else(|| refused("no cookie"))?;
        let until_s: i64 = kept.split_once('.').and_then(|(_, s)| s.parse().ok()).ok_or_else(|| refused("cookie"))?;
        let state = callback.state.as_deref().unwrap_or_default();
        if !secret::same(state.as_bytes(), self.derived("state", kept).as_bytes()) {
            return Err(refused("the state is another"));
        }
        if now_s >= until_s || now_s < until_s - FINISHED_S {
            return Err(refused("it took longer than ten minutes"));
        }
        if callback.iss.as_ref().is_some_and(|iss| *iss != oidc.settings.issuer) {
            return Err(refused("another issuer sent it"));
        }
        let code =
            callback.code.filter(|_| callback.error.is_none()).ok_or_else(|| refused("the issuer gave no code"))?;
        let id_token = self.exchange(oidc, &code, &self.derived("verifier", kept)).await?;
        let expected = token::Expected {
            issuer: &oidc.settings.issuer,
            client_id: &oidc.settings.client_id,
            nonce: &self.derived("nonce", kept),
            now_s,
        };
        let header = token::header(&id_token).map_err(|e| refused(&e.to_string()))?;
        let keys = oidc.provider.keys(header.kid.as_deref(), now_us).await.map_err(away)?;
        let claims = token::verify(&id_token, &keys, &expected).map_err(|e| refused(&e.to_string()))?;
        let name = claims.get(&oidc.settings.name_claim).and_then(|v| v.as_str()).unwrap_or_default();
        self.sign_in_identified(name, oidc.roles(&claims), is_secure).await
    }

    async fn exchange(&self, oidc: &Oidc, code: &str, verifier: &str) -> std::result::Result<String, Failure> {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &oidc.redirect),
            ("code_verifier", verifier),
        ];
        let id = oidc.settings.client_id.as_str();
        if oidc.secret.is_none() {
            pairs.push(("client_id", id));
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let secret = oidc.secret.as_ref().map(|s| (id, s.expose()));
        oidc.provider.exchange(form, secret, (self.clock)()).await.map_err(away)
    }
}

/// What is told of an issuer that could not be asked: where it was looked for and what it said is for who reads the log.
pub fn away(e: Error) -> Failure {
    if e.kind() != ErrorKind::Busy {
        return Failure::from(e);
    }
    tracing::warn!(error = %e, "the issuer of OpenID Connect could not be asked");
    Failure::from(Error::busy("the issuer does not answer; the server's log says why"))
}
