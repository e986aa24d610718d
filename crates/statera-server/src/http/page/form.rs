//! What a form of a page brings.

use crate::http::failure::Failure;
use crate::who::Doorkeeper;
use crate::who::origin::refuse_other_sites;
use crate::who::session::Session;
use crate::who::{Peer, secret};
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::header;
use statera_core::{Error, Result};
use zeroize::{Zeroize, Zeroizing};

/// Fields of a form at most.
const FIELDS_MAX: usize = 64;
/// The form of a page is not longer.
const BYTES_MAX: usize = 64 << 10;

/// The fields of a form that a page of ours has sent: reading them checks where it comes from, and of somebody who is signed in
/// the session's token. Overwritten when dropped, because some are passwords.
pub struct Fields(Vec<(String, String)>);

impl Drop for Fields {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            value.zeroize();
        }
    }
}

impl Fields {
    /// A field's text; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A field's text without the space around it.
    pub fn word(&self, name: &str) -> String {
        self.text(name).trim().to_string()
    }

    /// A secret as it was typed.
    pub fn secret(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.text(name).to_string())
    }

    /// Every value of a field: of boxes that are ticked.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A field as a number.
    ///
    /// # Errors
    /// Anything else.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        let text = self.text(name).trim();
        text.parse().map_err(|_| Error::request(format!("{name}: «{text:.40}» is not a number that is allowed here")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields
where
    Doorkeeper: FromRef<S>,
{
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> std::result::Result<Fields, Failure> {
        let door = Doorkeeper::from_ref(state);
        let (parts, body) = request.into_parts();
        let origin = door.proxies.origin(parts.extensions.get::<Peer>(), &parts.headers);
        refuse_other_sites(&parts, &door.settings.public_url, origin.is_secure)?;
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(Error::request(format!(
                "a form is sent as application/x-www-form-urlencoded, not «{kind:.60}»"
            ))
            .into());
        }
        let body: Bytes = axum::body::to_bytes(body, BYTES_MAX)
            .await
            .map_err(|_| Error::request(format!("the form has more than {BYTES_MAX} bytes, which are allowed")))?;
        let pairs = form_urlencoded::parse(&body).into_owned();
        let fields = Fields(pairs.take(FIELDS_MAX).collect());
        let session = parts.extensions.get::<Session>();
        if session.is_some_and(|s| !secret::same(fields.text("csrf").as_bytes(), s.csrf.as_bytes())) {
            return Err(Error::denied("the form is not of this session; open the page again").into());
        }
        Ok(fields)
    }
}
