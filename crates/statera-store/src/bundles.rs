//! Bundles in a folder, by digest, create-only: copied beside their place, brought to disk, and renamed.

use crate::rules::registry::check_digest;
use statera_core::{Error, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of bundles in the store's folder.
pub(crate) const FOLDER: &str = "bundles";
/// Files of a bundle at most, and folders within folders.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 8;

/// Tells copies of this process apart that are made at the same time.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// Copies a bundle, a folder or a .zip, under its digest; one that is there stays as it is. Gives where it lies.
///
/// # Errors
/// A digest that is none; files that cannot be read; a full disk. Nothing half-copied stays.
pub(crate) fn put(store: &Path, digest: &str, from: &Path) -> Result<PathBuf> {
    check_digest(digest)?;
    if let Ok(there) = find(store, digest) {
        return Ok(there);
    }
    let folder = store.join(FOLDER);
    let place = |e: io::Error| Error::io(format!("{} cannot be copied to {}: {e}", from.display(), folder.display()));
    fs::create_dir_all(&folder).map_err(place)?;
    let is_folder = fs::metadata(from).map_err(|e| Error::request(format!("{}: {e}", from.display())))?.is_dir();
    let to = folder.join(if is_folder { digest.into() } else { format!("{digest}.zip") });
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let partial = folder.join(format!(".{digest}.{}-{number}.partial", std::process::id()));
    let done = copy(from, &partial).and_then(|()| match fs::rename(&partial, &to) {
        // Another process was first: a digest has one content.
        Err(_) if to.exists() => Ok(()),
        renamed => renamed.and_then(|()| File::open(&folder)?.sync_all()),
    });
    // After the rename there is nothing left to remove.
    remove(&partial);
    done.map(|()| to).map_err(place)
}

/// Where a bundle lies.
///
/// # Errors
/// `NotFound`.
pub(crate) fn find(store: &Path, digest: &str) -> Result<PathBuf> {
    // No path is made of what is not a digest.
    check_digest(digest)?;
    let folder = store.join(FOLDER);
    [folder.join(digest), folder.join(format!("{digest}.zip"))]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Error::not_found(format!("there is no bundle {digest} in {}", folder.display())))
}

fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Copies a file, or a folder with everything in it, and waits until the disk has it. Links within are refused.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut n_files = 0;
    if from.is_dir() { copy_level(from, to, 0, &mut n_files) } else { copy_file(from, to) }
}

fn copy_level(from: &Path, to: &Path, depth: usize, n_files: &mut usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other(format!("folders are nested deeper than the {DEPTH_MAX} that are allowed")));
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        *n_files += 1;
        if *n_files > FILES_MAX {
            return Err(io::Error::other(format!("there are more files than the {FILES_MAX} that are allowed")));
        }
        if kind.is_dir() {
            copy_level(&entry.path(), &target, depth + 1, n_files)?;
        } else if kind.is_file() {
            copy_file(&entry.path(), &target)?;
        } else {
            return Err(io::Error::other(format!("{} is neither a file nor a folder", entry.path().display())));
        }
    }
    File::open(to)?.sync_all()
}
