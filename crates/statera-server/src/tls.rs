//! TLS 1.2 and 1.3 by rustls. Certificates are read again when their files change; connections go on as they are.

use crate::who::certificate;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::mask::refuse_open_door;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

/// Files are looked at after this at the earliest.
const LOOK: Duration = Duration::from_secs(3);
/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// No file of certificates is longer.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the certificates lie, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate, then those between it and the root.
    pub certificate: PathBuf,
    /// Its private key, mode 0600.
    pub key: PathBuf,
    /// Roots of clients' certificates; none: clients are not asked for one.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// True: a client without a certificate is not let in at all.
    #[serde(default)]
    pub client_certificate_needed: bool,
}

/// Takes connections.
pub struct Acceptor {
    settings: TlsSettings,
    now: Mutex<Now>,
}

/// What is in use.
struct Now {
    config: Arc<ServerConfig>,
    stamps: Vec<Stamp>,
    looked: Instant,
}

/// What tells that a file was changed or replaced.
#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that is missing or holds something else, a key that others may read or that is not the certificate's.
    pub fn open(settings: &TlsSettings) -> Result<Acceptor> {
        // The stamps are taken first: a change in between is seen at the next look.
        let stamps = stamps(settings)?;
        let now = Now { config: Arc::new(config(settings)?), stamps, looked: Instant::now() };
        Ok(Acceptor { settings: settings.clone(), now: Mutex::new(now) })
    }

    /// The configuration of today. Files that are wrong are told in the log, and the last good ones stay.
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() >= LOOK {
            now.looked = Instant::now();
            self.look(&mut now);
        }
        now.config.clone()
    }

    /// Looks at the files now.
    pub fn reload(&self) {
        self.look(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn look(&self, now: &mut Now) {
        let read = stamps(&self.settings).and_then(|stamps| match stamps == now.stamps {
            true => Ok(None),
            false => config(&self.settings).map(|config| Some((stamps, config))),
        });
        match read {
            Ok(None) => {}
            Ok(Some((stamps, config))) => {
                now.stamps = stamps;
                now.config = Arc::new(config);
                tracing::info!("the TLS certificate was read again");
            }
            Err(e) => tracing::error!(error = %e, "the TLS files are wrong; the last good ones stay in use"),
        }
    }

    /// Shakes hands. Gives the stream and the subject of the client's certificate, which was verified.
    ///
    /// # Errors
    /// A client that speaks something else, has no certificate where one is needed, or takes longer than 10 seconds.
    pub async fn accept<S>(&self, stream: S) -> Result<(TlsStream<S>, Option<Arc<str>>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaking = tokio_rustls::TlsAcceptor::from(self.config()).accept(stream);
        let stream = tokio::time::timeout(HANDSHAKE, shaking)
            .await
            .map_err(|_| Error::io("TLS: the handshake took too long"))?
            .map_err(|e| Error::io(format!("TLS: {e}")))?;
        let first = stream.get_ref().1.peer_certificates().and_then(|all| all.first());
        let subject = first.and_then(|der| certificate::subject(der)).map(Arc::from);
        Ok((stream, subject))
    }
}

fn config(settings: &TlsSettings) -> Result<ServerConfig> {
    let wrong = |path: &Path, e: String| Error::request(format!("{}: {e}", path.display()));
    let chain = certificates(&settings.certificate)?;
    let key_bytes = zeroize::Zeroizing::new(read(&settings.key, true)?);
    let key = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|e| wrong(&settings.key, format!("no key: {e}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::io(format!("TLS: {e}")))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| wrong(path, e.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if settings.client_certificate_needed { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| wrong(path, e.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| wrong(&settings.certificate, e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(path, false)?;
    let wrong = |e: String| Error::request(format!("{}: {e}; a file of certificates in PEM is needed", path.display()));
    let all: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    if all.is_empty() { Err(wrong("no certificate".into())) } else { Ok(all) }
}

fn read(path: &Path, is_secret: bool) -> Result<Vec<u8>> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let mut file = File::open(path).map_err(place)?;
    if is_secret {
        refuse_open_door(&file, path)?;
    }
    let length = file.seek(SeekFrom::End(0)).map_err(place)?;
    if length > FILE_BYTES_MAX {
        return Err(Error::request(format!("{}: {length} bytes; allowed: {FILE_BYTES_MAX}", path.display())));
    }
    file.rewind().map_err(place)?;
    // Room for all of it at once: growing would leave copies of a key behind.
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes).map_err(place)?;
    Ok(bytes)
}

fn stamps(settings: &TlsSettings) -> Result<Vec<Stamp>> {
    let paths = [Some(&settings.certificate), Some(&settings.key), settings.client_ca.as_ref()];
    let stamp = |path: &PathBuf| {
        let meta = std::fs::metadata(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
        Ok(Stamp { modified: meta.modified().ok(), bytes: meta.len(), inode: inode(&meta) })
    };
    paths.into_iter().flatten().map(stamp).collect()
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(all(test, unix))]
#[path = "tls_tests.rs"]
mod tests;
