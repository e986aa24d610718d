//! A small HTTP client: to an issuer of identities, to an object store, and of `statera registry` to a server. One request a
//! connection, no redirects, everything bounded. It goes nowhere but to the address that it is given.

use crate::tls;
use axum::body::Bytes;
pub use axum::http::Method;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use statera_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Where systems keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// An answer has no more bytes, if nothing else is said.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// A connection that takes longer comes to nothing: a machine that drops packets would else take the whole time of a request.
const CONNECT: Duration = Duration::from_secs(5);

/// Sends requests.
#[derive(Clone)]
pub struct Client {
    tls: Arc<ClientConfig>,
    limit: Duration,
    answer_bytes_max: usize,
}

/// A header to be sent.
#[derive(Clone)]
pub struct Header(pub(crate) HeaderName, pub(crate) HeaderValue);

impl Header {
    /// One that is never printed.
    ///
    /// # Errors
    /// A value that no header can have; the message does not hold it.
    pub fn secret(name: &'static str, value: &str) -> Result<Header> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Error::request(format!("header {name}: a character that no header can have")))?;
        value.set_sensitive(true);
        Ok(Header(HeaderName::from_static(name), value))
    }
}

/// What came back.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Client {
    /// Trusts the roots of the file, or those of the system; gives up after the limit.
    ///
    /// # Errors
    /// A file without certificates.
    pub fn new(ca_file: Option<&Path>, limit: Duration) -> Result<Client> {
        Ok(Client { tls: tls_config(ca_file)?, limit, answer_bytes_max: ANSWER_BYTES_MAX })
    }

    /// The same for answers of up to so many bytes, which are held in memory.
    #[must_use]
    pub fn for_answers_of(self, bytes_max: usize) -> Client {
        Client { answer_bytes_max: bytes_max, ..self }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// `Request` for a URL that is none; `Busy` if the other machine does not answer, or not to the end; `Io` for an answer
    /// that is longer than allowed.
    pub async fn send(&self, method: Method, url: &str, headers: &[Header], body: Bytes) -> Result<Answer> {
        let place = crate::who::origin::of_url(url).unwrap_or_else(|| "the address".into());
        match tokio::time::timeout(self.limit, self.send_unlimited(method, url, headers, body)).await {
            Ok(answer) => answer.map_err(|e| e.at(place)),
            Err(_) => Err(Error::busy(format!("{place}: no answer within {} s", self.limit.as_secs()))),
        }
    }

    async fn send_unlimited(&self, method: Method, url: &str, headers: &[Header], body: Bytes) -> Result<Answer> {
        let wrong = |why: &str| Error::request(format!("«{url}»: {why}; allowed: http:// or https:// with a host"));
        let uri: Uri = url.parse().map_err(|_| wrong("not a URL"))?;
        let host = uri.host().ok_or_else(|| wrong("no host"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("another scheme")),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let mut request = Request::builder().method(method).uri(path);
        let authority = uri.authority().map_or(host, |a| a.as_str());
        request = request.header(header::HOST, authority).header(header::USER_AGENT, "statera");
        for Header(name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|e| wrong(&e.to_string()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = connect(bare, port).await?;
        let bytes_max = self.answer_bytes_max;
        match is_tls {
            true => exchange(self.shake(bare, stream).await?, request, bytes_max).await,
            false => exchange(stream, request, bytes_max).await,
        }
    }

    async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<tokio_rustls::client::TlsStream<S>> {
        shake(self.tls.clone(), host, stream).await
    }
}

/// A connection.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await;
    let stream = connected
        .map_err(|_| Error::busy(format!("{host}:{port}: no connection within {} s", CONNECT.as_secs())))?
        .map_err(|e| Error::busy(format!("{host}:{port}: {e}")))?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// TLS as a client.
pub(crate) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    host: &str,
    stream: S,
) -> Result<tokio_rustls::client::TlsStream<S>> {
    let name = ServerName::try_from(host.to_string())
        .map_err(|_| Error::request(format!("«{host}» is not the name of a host")))?;
    let shaken = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
    shaken.map_err(|e| Error::busy(format!("TLS: {e}")))
}

/// What a client trusts.
pub(crate) fn tls_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let file = ca_file.map(Path::to_path_buf).or_else(|| SYSTEM_ROOTS.iter().map(PathBuf::from).find(|p| p.is_file()));
    // A system without roots can still be asked over plain HTTP.
    if let Some(file) = file {
        roots.add_parsable_certificates(tls::certificates(&file)?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::io(format!("TLS: {e}")))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, answer_bytes_max: usize) -> Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |e: hyper::Error| Error::busy(format!("HTTP: {e}"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Both are polled here, so that nothing outlives the call.
    let asking = async {
        let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = Limited::new(body, answer_bytes_max).collect().await;
        let body = body.map_err(|e| match e.is::<LengthLimitError>() {
            true => Error::io(format!("HTTP: the answer has more than {answer_bytes_max} bytes, which are allowed")),
            false => Error::busy(format!("HTTP: {e}")),
        })?;
        let body = body.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        ended = &mut connection => match ended {
            Ok(()) => asking.await,
            Err(e) => Err(failed(e)),
        },
    }
}
