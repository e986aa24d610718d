//! The issuer's documents: discovery (OpenID Connect Discovery 1.0), keys (RFC 7517), and the exchange of a code for a token.

use super::token::Jwk;
use crate::client::{Client, Header};
use crate::who::{SECOND_US, origin};
use axum::body::Bytes;
use axum::http::{HeaderValue, Method, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use statera_core::{Error, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Documents are read again after this.
const FRESH_US: i64 = 3600 * SECOND_US;
/// Keys are read again at most so often because a token names one that is not there.
const AGAIN_US: i64 = 60 * SECOND_US;
/// Keys of an issuer at most.
const KEYS_MAX: usize = 100;

/// An answer that is on its way: its status and body.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<(StatusCode, Bytes)>> + Send + 'a>>;

/// How an issuer is asked; tests answer themselves.
pub trait Fetch: Send + Sync {
    /// GET without a form, POST with one; `authorization` is the header's value.
    fn fetch<'a>(&'a self, url: &'a str, form: Option<String>, authorization: Option<HeaderValue>) -> Fetched<'a>;
}

impl Fetch for Client {
    fn fetch<'a>(&'a self, url: &'a str, form: Option<String>, authorization: Option<HeaderValue>) -> Fetched<'a> {
        Box::pin(async move {
            let mut headers = vec![Header(header::ACCEPT, HeaderValue::from_static("application/json"))];
            headers.extend(authorization.map(|value| Header(header::AUTHORIZATION, value)));
            let method = if form.is_some() { Method::POST } else { Method::GET };
            if form.is_some() {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.push(Header(header::CONTENT_TYPE, kind));
            }
            let answer = self.send(method, url, &headers, Bytes::from(form.unwrap_or_default())).await?;
            Ok((answer.status, answer.body))
        })
    }
}

/// An issuer.
pub struct Provider {
    issuer: String,
    hosts: Vec<String>,
    fetch: Box<dyn Fetch>,
    read: Mutex<Option<Read>>,
}

/// What was read of it.
struct Read {
    endpoints: Endpoints,
    keys: Arc<Vec<Jwk>>,
    at_us: i64,
}

/// Where its parts are.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoints {
    issuer: String,
    /// Where browsers go.
    #[serde(rename = "authorization_endpoint")]
    pub authorization: String,
    #[serde(rename = "token_endpoint")]
    token: String,
    #[serde(rename = "jwks_uri")]
    keys: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    /// An issuer by its name, which is its address.
    ///
    /// # Errors
    /// Another address than https, or http of this machine.
    pub fn new(issuer: &str, also_hosts: &[String], fetch: Box<dyn Fetch>) -> Result<Provider> {
        let uri: Option<axum::http::Uri> = issuer.parse().ok();
        let host = uri.as_ref().and_then(|u| u.host()).unwrap_or_default().to_string();
        if !is_safe(issuer) || host.is_empty() || issuer.contains(['?', '#']) {
            return Err(Error::request(format!("oidc.issuer: «{issuer}»; allowed: https:// with a host")));
        }
        let hosts = std::iter::once(host).chain(also_hosts.iter().cloned()).collect();
        Ok(Provider { issuer: issuer.into(), hosts, fetch, read: Mutex::new(None) })
    }

    /// Where its parts are.
    ///
    /// # Errors
    /// `Busy` if it does not answer or its document is not as it must be.
    pub async fn endpoints(&self, now_us: i64) -> Result<Endpoints> {
        let mut read = self.read.lock().await;
        Ok(self.fresh(&mut read, now_us).await?.endpoints.clone())
    }

    /// Its keys; read again if they lack the one that is asked for.
    ///
    /// # Errors
    /// As [`Provider::endpoints`].
    pub async fn keys(&self, kid: Option<&str>, now_us: i64) -> Result<Arc<Vec<Jwk>>> {
        let mut read = self.read.lock().await;
        let found = self.fresh(&mut read, now_us).await?;
        let is_there = kid.is_none_or(|kid| found.keys.iter().any(|key| key.kid.as_deref() == Some(kid)));
        if is_there || now_us < found.at_us + AGAIN_US {
            return Ok(found.keys.clone());
        }
        *read = None;
        Ok(self.fresh(&mut read, now_us).await?.keys.clone())
    }

    async fn fresh<'a>(&self, read: &'a mut Option<Read>, now_us: i64) -> Result<&'a Read> {
        let is_fresh = read.as_ref().is_some_and(|r| (r.at_us..r.at_us + FRESH_US).contains(&now_us));
        if !is_fresh {
            *read = Some(self.discover(now_us).await?);
        }
        read.as_ref().ok_or_else(|| Error::busy("the issuer was not read"))
    }

    async fn discover(&self, now_us: i64) -> Result<Read> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let endpoints: Endpoints = self.json(&url).await?;
        if endpoints.issuer != self.issuer {
            return Err(Error::busy(format!("{url}: it is the document of another issuer")));
        }
        for place in [&endpoints.authorization, &endpoints.token, &endpoints.keys] {
            let uri: Option<axum::http::Uri> = place.parse().ok();
            let is_known =
                uri.as_ref().and_then(|u| u.host()).is_some_and(|h| self.hosts.iter().any(|known| known == h));
            if !is_safe(place) || !is_known {
                return Err(Error::busy(format!(
                    "{url} names «{place}»; allowed: https:// and the hosts {}; others are named in oidc.also_hosts",
                    self.hosts.join(", ")
                )));
            }
        }
        let set: KeySet = self.json(&endpoints.keys).await?;
        // Kinds of keys that are not read here are left out, as RFC 7517 asks (section 5).
        let keys = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok()).collect();
        Ok(Read { endpoints, keys: Arc::new(keys), at_us: now_us })
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T> {
        let (status, body) = self.fetch.fetch(url, None, None).await?;
        if status != StatusCode::OK {
            return Err(Error::busy(format!("{url}: the issuer answers {status}")));
        }
        serde_json::from_slice(&body).map_err(|e| Error::busy(format!("{url}: {e}")))
    }

    /// Exchanges a code for the identity's token, which is not checked yet.
    ///
    /// # Errors
    /// `Denied` if it refuses the code; `Busy` if it does not answer.
    pub async fn exchange(&self, form: String, secret: Option<(&str, &str)>, now_us: i64) -> Result<String> {
        let url = self.endpoints(now_us).await?.token;
        let authorization = secret.map(|(id, secret)| basic(id, secret)).transpose()?;
        let (status, body) = self.fetch.fetch(&url, Some(form), authorization).await?;
        if status.is_server_error() {
            return Err(Error::busy(format!("{url}: the issuer answers {status}")));
        }
        if status != StatusCode::OK {
            return Err(Error::denied("the issuer refuses the code"));
        }
        let tokens: Tokens = serde_json::from_slice(&body).map_err(|e| Error::busy(format!("{url}: {e}")))?;
        Ok(tokens.id_token)
    }
}

/// A client's name and secret are form-encoded first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &str) -> Result<HeaderValue> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = zeroize::Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .map_err(|_| Error::request("oidc: the client's secret cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Encrypted, or not leaving this machine.
fn is_safe(url: &str) -> bool {
    let Some(origin) = origin::of_url(url) else { return false };
    let host = origin.split("://").nth(1).unwrap_or_default();
    let host = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(h, _)| h);
    origin.starts_with("https://") || ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}
