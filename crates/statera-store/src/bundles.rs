//! Bundles by digest, create-only: in a folder, and where several servers share them in an object store beside it, whose
//! cache the folder then is. A file is made beside its place, brought to disk, and renamed.

use crate::rules::registry::check_digest;
use statera_core::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The folder of bundles in the store's folder.
pub(crate) const FOLDER: &str = "bundles";
/// Files of a bundle at most, and folders within folders.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 8;
/// What a process that was killed has left is removed after this.
const LEFT: Duration = Duration::from_secs(2 * 3600);

/// Tells copies of this process apart that are made at the same time.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// Where bundles lie that servers with folders of their own share. An object is a bundle as one .zip, named by its digest.
///
/// This crate has no HTTP; whoever opens the store brings what has. Both calls may block, within a bound.
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Keeps a bundle, a folder or a .zip, under its digest; one that is there stays as it is. True if it was not there.
    ///
    /// # Errors
    /// `Busy` if the object store does not answer after some attempts, `Io` if it refuses, and what `from` is no bundle for.
    fn create(&self, digest: &str, from: &Path) -> Result<bool>;

    /// Writes the bundle of a digest to a new file, a .zip, once it is found to be the digest's.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` for other bytes than the digest's; otherwise as [`ObjectStore::create`]. The message names the
    /// bundle and the object store.
    fn fetch(&self, digest: &str, to: &Path) -> Result<()>;
}

/// A bundle that could not be brought or put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFailure {
    /// Its digest.
    pub digest: String,
    /// Why.
    pub error: Error,
}

/// What became of bundles that were to be put into an object store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedBundles {
    /// Those that were put; others were there already.
    pub n_new: usize,
    /// Those that are not there for all that.
    pub failures: Vec<BundleFailure>,
    /// Why the ones after were not tried: the object store did not answer, and would be waited for with each of them.
    pub stopped: Option<Error>,
}

/// Puts bundles into an object store, by digest; one that fails keeps no other from it.
pub(crate) fn put_all(
    objects: &dyn ObjectStore,
    bundles: impl IntoIterator<Item = (String, PathBuf)>,
) -> SharedBundles {
    let mut shared = SharedBundles::default();
    for (digest, path) in bundles {
        match objects.create(&digest, &path) {
            Ok(is_new) => shared.n_new += usize::from(is_new),
            Err(error) if error.kind() == ErrorKind::Busy => {
                shared.stopped = Some(error);
                break;
            }
            Err(error) => shared.failures.push(BundleFailure { digest, error }),
        }
    }
    shared
}

/// The bundles of a store.
pub(crate) struct Bundles {
    /// Their folder in the store's folder.
    folder: PathBuf,
    objects: Option<Arc<dyn ObjectStore>>,
}

impl Bundles {
    /// Those of a store's folder.
    pub(crate) fn of(store: &Path, objects: Option<Arc<dyn ObjectStore>>) -> Bundles {
        Bundles { folder: store.join(FOLDER), objects }
    }

    /// Copies a bundle, a folder or a .zip, under its digest; one that is there stays as it is. Gives where it lies.
    ///
    /// # Errors
    /// A digest that is none; files that cannot be read; a full disk; as [`ObjectStore::create`]. Nothing half-copied stays.
    pub(crate) fn put(&self, digest: &str, from: &Path) -> Result<PathBuf> {
        check_digest(digest)?;
        // There first: what is in this folder alone would be found by no other server.
        let is_new = self.objects.as_ref().map_or(Ok(true), |objects| objects.create(digest, from))?;
        match self.find_here(digest) {
            Err(e) if e.kind() == ErrorKind::NotFound && is_new => self.copy_here(digest, from),
            // What another server has put is looked at before anybody is told that it is kept.
            Err(e) if e.kind() == ErrorKind::NotFound => self.find(digest),
            found => found,
        }
    }

    fn copy_here(&self, digest: &str, from: &Path) -> Result<PathBuf> {
        let is_folder = fs::metadata(from).map_err(|e| Error::request(format!("{}: {e}", from.display())))?.is_dir();
        let name = if is_folder { digest.into() } else { format!("{digest}.zip") };
        let place =
            |e: io::Error| Error::io(format!("{} cannot be copied to {}: {e}", from.display(), self.folder.display()));
        self.publish(digest, &name, place, |partial| copy(from, partial).map_err(place))
    }

    /// Makes a file or a folder beside its place, and gives it its name once it is whole.
    fn publish(
        &self,
        digest: &str,
        name: &str,
        place: impl Fn(io::Error) -> Error,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        fs::create_dir_all(&self.folder).map_err(&place)?;
        self.remove_left();
        let to = self.folder.join(name);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let partial = self.folder.join(format!(".{digest}.{}-{number}.partial", std::process::id()));
        let done = make(&partial).and_then(|()| match fs::rename(&partial, &to) {
            // Another process was first: a digest has one content.
            Err(_) if to.exists() => Ok(()),
            renamed => renamed.and_then(|()| File::open(&self.folder)?.sync_all()).map_err(&place),
        });
        // After the rename there is nothing left to remove.
        remove(&partial);
        done.map(|()| to)
    }

    /// Where a bundle lies; one that is in the object store alone is brought here.
    ///
    /// # Errors
    /// `NotFound`; as [`ObjectStore::fetch`].
    pub(crate) fn find(&self, digest: &str) -> Result<PathBuf> {
        match (self.find_here(digest), &self.objects) {
            (Err(e), Some(objects)) if e.kind() == ErrorKind::NotFound => self.fetch(objects.as_ref(), digest),
            (found, _) => found,
        }
    }

    /// Where a bundle lies in the folder.
    ///
    /// # Errors
    /// `NotFound`; a digest that is none.
    pub(crate) fn find_here(&self, digest: &str) -> Result<PathBuf> {
        // No path is made of what is not a digest.
        check_digest(digest)?;
        [self.folder.join(digest), self.folder.join(format!("{digest}.zip"))]
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| Error::not_found(format!("there is no bundle {digest} in {}", self.folder.display())))
    }

    fn fetch(&self, objects: &dyn ObjectStore, digest: &str) -> Result<PathBuf> {
        let place = |e: io::Error| Error::io(format!("{}: {e}", self.folder.display()));
        self.publish(digest, &format!("{digest}.zip"), place, |partial| {
            objects.fetch(digest, partial)?;
            File::open(partial).and_then(|file| file.sync_all()).map_err(place)
        })
    }

    /// Puts those of the digests that this folder has and the object store has not there.
    pub(crate) fn share(&self, digests: BTreeSet<String>) -> SharedBundles {
        let Some(objects) = &self.objects else { return SharedBundles::default() };
        let here = digests.into_iter().filter_map(|digest| self.find_here(&digest).ok().map(|path| (digest, path)));
        put_all(objects.as_ref(), here)
    }

    /// Bundles in the folder that are whole, by digest; those that are being made have hidden names.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn all_here(&self) -> Result<Vec<(String, PathBuf)>> {
        let place = |e: io::Error| Error::io(format!("{}: {e}", self.folder.display()));
        let mut all = Vec::new();
        if self.folder.exists() {
            for entry in fs::read_dir(&self.folder).map_err(place)? {
                let path = entry.map_err(place)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let digest = name.strip_suffix(".zip").unwrap_or(&name);
                if check_digest(digest).is_ok() {
                    all.push((digest.into(), path));
                }
            }
        }
        all.sort();
        Ok(all)
    }

    fn remove_left(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten().take(FILES_MAX) {
            let name = entry.file_name();
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let is_old = modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFT));
            if is_old && name.to_string_lossy().starts_with('.') && name.to_string_lossy().ends_with(".partial") {
                remove(&entry.path());
            }
        }
    }
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
