//! Bundles beside a copy, compared with the digests under which the ledger names them.

use super::Verified;
use crate::bundles::FOLDER;
use crate::rules::registry::check_digest;
use crate::sql;
use statera_core::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// What a folder of bundles is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every bundle that the ledger names.
    Whole,
    /// What its server has put or needed so far: the others are in an object store.
    Cache,
}

/// The folder of the bundles of a copy, as [`super::verify`] takes it: always that of a folder, that beside an SQLite file
/// where there is one, none of PostgreSQL.
pub fn bundles_beside(copy: &str) -> Option<PathBuf> {
    if sql::is_postgres(copy) {
        return None;
    }
    let path = Path::new(copy);
    if path.is_file() {
        path.parent().map(|folder| folder.join(FOLDER)).filter(|folder| folder.is_dir())
    } else {
        Some(path.join(FOLDER))
    }
}

/// Adds to what a check has seen what became of the bundles in a folder: those that were changed, those that the ledger names
/// and that are missing (of a cache they are counted and no finding), and what lies under a digest that is not its own.
/// `digest_of` reads a bundle and checks its parts.
///
/// # Errors
/// A folder that cannot be listed. What is wrong with a bundle is no error but a finding.
pub fn verify_bundles(
    verified: &mut Verified,
    folder: &Path,
    extent: Extent,
    digest_of: impl Fn(&Path) -> Result<String>,
) -> Result<()> {
    let named = std::mem::take(&mut verified.named_bundles);
    let by_digest: HashMap<&str, usize> = named.iter().enumerate().map(|(i, b)| (b.digest.as_str(), i)).collect();
    let (mut n_checked, mut n_unnamed, mut found) = (0, 0, BTreeSet::new());
    for path in listed(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digest = name.strip_suffix(".zip").unwrap_or(&name);
        if check_digest(digest).is_err() {
            verified.find(None, format!("{}: the store has put nothing there under that name", path.display()));
            continue;
        }
        n_checked += 1;
        let of = by_digest.get(digest).map(|&i| &named[i]);
        match of {
            Some(bundle) => drop(found.insert(bundle.digest.as_str())),
            None => n_unnamed += 1,
        }
        let whose = of.map_or_else(|| "which no row names".into(), |b| format!("of the model «{}»", b.model));
        let what = match digest_of(&path) {
            Ok(own) if own == digest => continue,
            Ok(own) => format!("the bundle {digest}, {whose}, is another one: its digest is {own}"),
            Err(e) => format!("the bundle {digest}, {whose}, is not as it was put there: {e}"),
        };
        verified.find(of.map(|b| (b.place.0.as_str(), b.place.1)), what);
    }
    let lacking: Vec<_> = named.iter().filter(|b| !found.contains(b.digest.as_str())).collect();
    if extent == Extent::Cache {
        verified.n_not_cached = lacking.len() as u64;
    }
    for bundle in lacking.into_iter().filter(|_| extent == Extent::Whole) {
        let what = format!("the bundle {} of the model «{}» is missing", bundle.digest, bundle.model);
        verified.find(Some((&bundle.place.0, bundle.place.1)), format!("{what} from {}", folder.display()));
    }
    verified.n_bundles = Some((n_checked, n_unnamed));
    verified.named_bundles = named;
    Ok(())
}

/// What lies in the folder, by name, without what a process was copying there; nothing where there is no folder.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", folder.display()));
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(place)? {
        let entry = entry.map_err(place)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
