//! TLS.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

/// Where the certificates lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {}

/// Takes connections.
pub struct Acceptor {}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that is missing.
    pub fn open(_: &TlsSettings) -> Result<Acceptor> {
        Err(Error::request("no TLS"))
    }
    /// Shakes hands.
    ///
    /// # Errors
    /// A client that speaks something else.
    pub async fn accept<S>(&self, _: S) -> Result<(TlsStream<S>, Option<Arc<str>>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Err(Error::request("no TLS"))
    }
}
