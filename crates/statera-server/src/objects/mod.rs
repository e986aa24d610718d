//! Bundles in an object store that speaks S3: AWS, MinIO, Ceph and the like.
//!
//! A bundle is one object, `PREFIX/DIGEST.zip`. It is made with `If-None-Match: *` and never changed: of two servers that
//! put it at the same time one makes it, and the other is told that it is there. Some object stores do not know that
//! condition (501): to them the bundle is sent without it, after a look whether it is there. What is sent is compared with its
//! digest first, since no other server could ever mend it. Of what comes back the manifest is compared before anything else is
//! unpacked, and all of it before anybody uses it. Requests are signed by SigV4; a signature holds for one
//! method and one object, for minutes. Redirects are not followed. Deliberately absent: listing, changing, deleting.

mod settings;

#[cfg(all(test, unix))]
mod double;
#[cfg(all(test, unix))]
mod tests;

pub use settings::BundlesSettings;

use crate::client::{Answer, Client, Header};
use crate::http::bundle_upload;
use crate::who::secret::Secret;
use axum::body::Bytes;
use axum::http::{HeaderValue, Method, StatusCode, header};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use statera::bundle::Bundle;
use statera_core::{Error, ErrorKind, Result};
use statera_store::ObjectStore;
use std::fmt;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A signature holds for so long after it is made: the clocks of both machines may differ by a little.
const SIGNED: Duration = Duration::from_secs(300);
/// What is waited before each further try.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(3)];
/// An object store that did not answer is asked for no other bundle for so long: each would wait in vain.
const REST: Duration = Duration::from_secs(10);
/// Characters of an error's name that are passed on.
const CODE_MAX: usize = 64;

/// The object store that the settings name, if they name one. Unpacked, a bundle of it may be as large as one that is sent to a
/// server whose largest has `upload_bytes_max` bytes.
///
/// # Errors
/// Settings out of their ranges; key files that are missing or that others may read. It need not answer now.
pub fn open(settings: &BundlesSettings, upload_bytes_max: u64) -> Result<Option<Arc<dyn ObjectStore>>> {
    settings.check()?;
    if settings.object_store.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(S3::open(settings, upload_bytes_max)?)))
}

/// A bucket.
struct S3 {
    /// Where it is, for messages.
    place: String,
    bucket: Bucket,
    prefix: String,
    access_key_file: PathBuf,
    secret_key_file: PathBuf,
    client: Client,
    limit: Duration,
    bytes_max: u64,
    /// Bytes of a bundle's parts together.
    unpacked_max: u64,
    pauses: [Duration; 3],
    rest: Duration,
    /// When it last did not answer, and what was told.
    away: Mutex<Option<(Instant, Error)>>,
}

/// What is asked of it about one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Whether it is there.
    Head,
    /// The object.
    Get,
    /// To keep it, if it is new.
    Create,
    /// To keep it: of those that do not know the condition.
    Put,
}

impl S3 {
    fn open(settings: &BundlesSettings, upload_bytes_max: u64) -> Result<S3> {
        let place = settings.place()?;
        // The certificates of AWS are for one name before the host.
        let is_path = settings.path_style.unwrap_or(!place.is_aws || place.bucket.contains('.'));
        let style = if is_path { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let wrong = |e: String| Error::request(format!("bundles.object_store: {e}"));
        let endpoint = place.endpoint.parse().map_err(|_| wrong("not an address".into()))?;
        let bucket = Bucket::new(endpoint, style, place.bucket.to_string(), settings.region.clone());
        let (access, secret) = settings.key_files()?;
        let limit = Duration::from_secs(settings.timeout_s);
        let client = Client::new(settings.ca_file.as_deref(), limit)?;
        let s3 = S3 {
            place: settings.object_store.clone(),
            bucket: bucket.map_err(|e| wrong(e.to_string()))?,
            prefix: place.prefix,
            access_key_file: access.into(),
            secret_key_file: secret.into(),
            client: client.for_answers_of(usize::try_from(settings.bytes_max).unwrap_or(usize::MAX)),
            limit,
            bytes_max: settings.bytes_max,
            unpacked_max: upload_bytes_max.saturating_mul(bundle_upload::UNPACKED),
            pauses: PAUSES,
            rest: REST,
            away: Mutex::default(),
        };
        s3.credentials()?;
        Ok(s3)
    }

    /// The keys as their files have them now: renewed ones come in without a restart.
    fn credentials(&self) -> Result<Credentials> {
        let (access, secret) = (Secret::read(&self.access_key_file)?, Secret::read(&self.secret_key_file)?);
        Ok(Credentials::new(access.expose(), secret.expose()))
    }

    /// Where a bundle is, for messages.
    fn about(&self, digest: &str) -> String {
        format!("bundle {digest} in {}", self.place)
    }

    /// Asks, and again where that can help.
    async fn ask(&self, ask: Ask, digest: &str, body: &Bytes) -> Result<Answer> {
        let begun = Instant::now();
        let mut pauses = self.pauses.iter();
        loop {
            let failed = match self.ask_once(ask, digest, body.clone()).await {
                Ok(answer) if !is_passing(answer.status) => return Ok(answer),
                Ok(answer) => Error::busy(told(&answer)),
                Err(e) if e.kind() == ErrorKind::Busy => e,
                Err(e) => return Err(e.at(self.about(digest))),
            };
            match pauses.next() {
                Some(pause) if begun.elapsed() < self.limit => tokio::time::sleep(*pause).await,
                _ => return Err(failed.at(self.about(digest))),
            }
        }
    }

    async fn ask_once(&self, ask: Ask, digest: &str, body: Bytes) -> Result<Answer> {
        let (credentials, object) = (self.credentials()?, format!("{}{digest}.zip", self.prefix));
        let with = Some(&credentials);
        let mut headers = Vec::new();
        let (method, url) = match ask {
            Ask::Head => (Method::HEAD, self.bucket.head_object(with, &object).sign(SIGNED)),
            Ask::Get => (Method::GET, self.bucket.get_object(with, &object).sign(SIGNED)),
            Ask::Put => (Method::PUT, self.bucket.put_object(with, &object).sign(SIGNED)),
            Ask::Create => {
                let mut action = self.bucket.put_object(with, &object);
                action.headers_mut().insert("if-none-match", "*");
                headers.push(Header(header::IF_NONE_MATCH, HeaderValue::from_static("*")));
                (Method::PUT, action.sign(SIGNED))
            }
        };
        self.client.send(method, url.as_str(), &headers, body).await
    }

    /// Puts a bundle there unless it is; true if it was not.
    async fn put(&self, digest: &str, from: &Path) -> Result<bool> {
        // Who may put need not be allowed to look: what this answer lacks the next one has.
        if self.ask(Ask::Head, digest, &Bytes::new()).await?.status == StatusCode::OK {
            return Ok(false);
        }
        // Once there it stays: what has rotted on this disk would be refused by every server from then on.
        let packed = Bundle::packed_as(from, digest, self.unpacked_max);
        let zip = Bytes::from(packed.map_err(|e| e.at(format!("bundle {digest}")))?);
        if zip.len() as u64 > self.bytes_max {
            let (n, most) = (zip.len(), self.bytes_max);
            return Err(Error::request(format!(
                "bundle {digest} has {n} bytes as .zip; bundles.bytes_max allows {most}"
            )));
        }
        let mut answer = self.ask(Ask::Create, digest, &zip).await?;
        if answer.status == StatusCode::NOT_IMPLEMENTED {
            answer = self.ask(Ask::Put, digest, &zip).await?;
        }
        match answer.status {
            StatusCode::PRECONDITION_FAILED => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.refused(digest, &answer)),
        }
    }

    async fn get(&self, digest: &str) -> Result<Bytes> {
        let answer = self.ask(Ask::Get, digest, &Bytes::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            StatusCode::NOT_FOUND if code(&answer.body) != Some("NoSuchBucket") => {
                Err(Error::not_found(format!("there is no {}", self.about(digest))))
            }
            _ => Err(self.refused(digest, &answer)),
        }
    }

    fn refused(&self, digest: &str, answer: &Answer) -> Error {
        Error::io(told(answer)).at(self.about(digest))
    }

    /// Gives what was told a moment ago if the object store did not answer then; else does it, and remembers.
    fn unless_away<T>(&self, ask: impl FnOnce() -> Result<T>) -> Result<T> {
        let away = || self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, e)) = away().as_ref().filter(|(at, _)| at.elapsed() < self.rest) {
            let s = at.elapsed().as_secs();
            return Err(e.clone().at(format!("the object store did not answer {s} s ago")));
        }
        let done = ask();
        *away() = done.as_ref().err().filter(|e| e.kind() == ErrorKind::Busy).map(|e| (Instant::now(), e.clone()));
        done
    }
}

impl ObjectStore for S3 {
    fn create(&self, digest: &str, from: &Path) -> Result<bool> {
        let is_new = wait(self.put(digest, from))?;
        if is_new {
            tracing::info!(digest, "a bundle was put into the object store");
        }
        Ok(is_new)
    }

    fn fetch(&self, digest: &str, to: &Path) -> Result<()> {
        let bytes = self.unless_away(|| wait(self.get(digest)))?;
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", to.display()));
        let mut file = OpenOptions::new().write(true).create_new(true).open(to).map_err(place)?;
        file.write_all(&bytes).map_err(place)?;
        // It is read next, and that needs its room.
        drop((file, bytes));
        Bundle::read_as(to, digest, self.unpacked_max).map_err(|e| e.at(self.about(digest)))?;
        tracing::info!(digest, "a bundle was brought from the object store");
        Ok(())
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("place", &self.place).finish_non_exhaustive()
    }
}

/// True for an answer after which the same request may succeed: trouble inside, too much to do, another who writes the
/// same object at this moment.
fn is_passing(status: StatusCode) -> bool {
    let others = [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED) || others.contains(&status)
}

/// What an answer says that was not hoped for.
fn told(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    match code(&answer.body) {
        Some(code) => format!("the object store answered {status} {code}"),
        None => format!("the object store answered {status}"),
    }
}

/// The name of an error in the document that comes with it. Nothing else of it is passed on.
fn code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, after) = text.split_once("<Code>")?;
    let (code, _) = after.split_once("</Code>")?;
    let is_name = (1..=CODE_MAX).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_name.then_some(code)
}

/// Runs a future to its end on a thread and a runtime of its own: whoever waits may be a thread of another runtime, where
/// waiting for a future panics.
fn wait<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let done = runtime.block_on(future);
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        done
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("objects".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(Error::io("the object store: a thread ended early")))
    })
}
