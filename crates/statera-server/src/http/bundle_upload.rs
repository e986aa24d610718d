//! Takes a bundle from a client: streamed to a file within a bound, unpacked within another, checked as every bundle is before
//! it is loaded, and only then kept.

use super::failure::Failure;
use crate::who::{Doorkeeper, Peer, Who, secret, waiting};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde::Deserialize;
use statera::bundle::Bundle;
use statera_core::{Error, ErrorKind, Result};
use statera_store::people::Role;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where bundles are sent.
pub const ROUTE: &str = "/api/v1/models/{model}/versions";
/// Unpacked, a bundle may be so many times as large as the largest that may be sent.
pub(crate) const UNPACKED: u64 = 8;
/// Bundles that are sent, or wait to be checked, at once.
pub const SENDERS_MAX: usize = 4;
/// Files of a bundle at most, as when it is read.
const FILES_MAX: usize = 64;
/// What a process that was killed has left is removed after this.
const LEFT: Duration = Duration::from_secs(2 * 3600);
/// The description of a bundle that is on the server's disk is not longer.
const PATH_BYTES_MAX: usize = 8192;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnServer {
    path: PathBuf,
}

/// Keeps the bundle of a request's body, and gives its digest. The body is the bundle as .zip; or, of an admin on the machine
/// itself, `{"path": …}` of a folder or .zip there.
///
/// # Errors
/// 413 for a body over the bound; 400 for what is no bundle, or a damaged one; 503 if [`SENDERS_MAX`] others are on their way.
pub async fn take(
    door: &Doorkeeper,
    who: &Who,
    peer: Option<&Peer>,
    request: Request,
) -> std::result::Result<String, Failure> {
    // A slow client keeps its own place among those that send, and nobody from having a bundle checked.
    let place = door.uploads.try_acquire();
    let _place = place.map_err(|_| Error::busy(format!("{SENDERS_MAX} bundles are being sent already; try again")))?;
    let is_path = content_type(request.headers()) == "application/json";
    let (bundle, _upload) = if is_path {
        (on_server(door, who, peer, request).await?, None)
    } else {
        let upload = Upload::create(&door.upload_folder)?;
        let file = upload.file.try_clone().map_err(Error::from)?;
        receive(request.into_body(), file, door.settings.upload_bytes_max).await?;
        (upload.path.clone(), Some(upload))
    };
    let turn = door.checks.clone().acquire_owned().await;
    let turn = turn.map_err(|_| Error::busy("bundles are not checked any more"))?;
    let store = door.store.clone();
    let unpacked_max = door.settings.upload_bytes_max.saturating_mul(UNPACKED);
    let kept = waiting(move || {
        // With the work: who asked may have gone by then.
        let _turn = turn;
        let digest = check(&bundle, unpacked_max)?;
        store.put_bundle(&digest, &bundle)?;
        Ok(digest)
    });
    Ok(kept.await?)
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A path of this machine is believed from nobody else's: what can be read here is not a client's business.
async fn on_server(
    door: &Doorkeeper,
    who: &Who,
    peer: Option<&Peer>,
    request: Request,
) -> std::result::Result<PathBuf, Failure> {
    who.person()?;
    who.needs(&[Role::Admin])?;
    let address = door.proxies.origin(peer, request.headers()).address;
    if !address.is_none_or(|a| a.is_loopback()) || request.headers().contains_key("x-forwarded-for") {
        return Err(Error::denied("a path is taken from the machine itself only; send the bundle as .zip").into());
    }
    let body = axum::body::to_bytes(request.into_body(), PATH_BYTES_MAX).await;
    let body = body.map_err(|e| Error::request(format!("body: {e}")))?;
    let asked: OnServer = serde_json::from_slice(&body).map_err(|e| Error::request(format!("body: {e}")))?;
    if !asked.path.is_absolute() {
        return Err(Error::request(format!("path: «{}»; allowed: an absolute one", asked.path.display())).into());
    }
    Ok(asked.path)
}

/// A file that goes when it is dropped.
struct Upload {
    path: PathBuf,
    file: File,
}

impl Upload {
    fn create(folder: &Path) -> Result<Upload> {
        let place = |e: std::io::Error| Error::io(format!("{}: {e}", folder.display()));
        fs::create_dir_all(folder).map_err(place)?;
        remove_left(folder);
        let path = folder.join(format!("{}.zip", secret::random_text()?));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(place)?;
        Ok(Upload { path, file })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A failure leaves the file for `remove_left`.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove_left(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(1000) {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let is_old = modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFT));
        if is_old {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes the body to the file as it comes, on a thread that may wait for the disk.
async fn receive(mut body: Body, mut file: File, bytes_max: u64) -> std::result::Result<(), Failure> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(8);
    let writing = tokio::spawn(waiting(move || {
        while let Some(bytes) = receiver.blocking_recv() {
            file.write_all(&bytes)?;
        }
        Ok(())
    }));
    let mut n_bytes = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::request(format!("body: {e}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        n_bytes += bytes.len() as u64;
        if n_bytes > bytes_max {
            return Err(Failure {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                message: format!("the bundle has more than {bytes_max} bytes, which are allowed"),
                retry_after_s: None,
                code: None,
            });
        }
        // The writer has ended early if its disk is full; what it says comes below.
        if sender.send(bytes).await.is_err() {
            break;
        }
    }
    drop(sender);
    let written = writing.await.map_err(|e| Error::io(e.to_string()))?;
    Ok(written?)
}

/// Checks a bundle as it is checked when it is loaded, after its size unpacked: a small file can unpack to a huge one.
fn check(path: &Path, unpacked_max: u64) -> Result<String> {
    let sent = |e: Error| match e.kind() {
        // Whoever sent it can do something about it, and it says nothing about this machine.
        ErrorKind::Damaged | ErrorKind::Newer | ErrorKind::Request | ErrorKind::Data => {
            let message = e.to_string();
            let prefix = format!("{}: ", path.display());
            Error::request(format!("bundle: {}", message.replace(&prefix, "")))
        }
        _ => e,
    };
    if path.is_file() {
        check_unpacked(path, unpacked_max).map_err(sent)?;
    }
    let bundle = Bundle::read(path).map_err(sent)?;
    bundle.digest()
}

/// Unpacks into nothing and counts; what a header claims is not believed.
///
/// # Errors
/// `Damaged` for what is no .zip, and for more files or bytes than a bundle may have.
fn check_unpacked(path: &Path, unpacked_max: u64) -> Result<()> {
    let damaged = |e: zip::result::ZipError| Error::damaged(format!("not a .zip: {e}"));
    let mut zip = zip::ZipArchive::new(File::open(path)?).map_err(damaged)?;
    if zip.len() > FILES_MAX {
        return Err(Error::damaged(format!("{} files; allowed: {FILES_MAX}", zip.len())));
    }
    let mut left = unpacked_max;
    for i in 0..zip.len() {
        let mut file = zip.by_index(i).map_err(damaged)?.take(left + 1);
        let n = std::io::copy(&mut file, &mut std::io::sink()).map_err(|e| Error::damaged(e.to_string()))?;
        left = left.checked_sub(n).ok_or_else(|| {
            Error::damaged(format!("unpacked it has more than {unpacked_max} bytes, which are allowed"))
        })?;
    }
    Ok(())
}
