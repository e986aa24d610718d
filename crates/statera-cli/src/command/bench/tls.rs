//! Encrypted connections: only certificates signed by the file's are trusted.

use super::url::Url;
use super::wire::{Fault, Stream};
use statera_core::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Trusts the certificates of a file.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn config(file: &Path) -> Result<Arc<ClientConfig>> {
    let not = |why: String| Error::request(format!("{}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| not(e.to_string()))? {
        roots.add(certificate.map_err(|e| not(e.to_string()))?).map_err(|e| not(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(not("no certificate; allowed are BEGIN CERTIFICATE blocks (PEM)".into()));
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| not(e.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Encrypts an open connection.
///
/// # Errors
/// A certificate that is not trusted or of another name, a server that does not speak TLS.
pub async fn wrap(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
    url: &Url,
) -> std::result::Result<Box<dyn Stream>, Fault> {
    let name = ServerName::try_from(url.host.clone()).map_err(|e| Fault::Connect(e.to_string()))?;
    let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
    Ok(Box::new(stream.map_err(|e| Fault::Connect(e.to_string()))?))
}
