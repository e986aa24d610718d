//! Parts on disk: a folder or one zip file.

use crate::file::{Partial, beside, check_place, remove, rename_over, write_synced};
use statera_core::{Error, Result, Run};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::Path;

/// No part may be larger; a model of ten thousand trees stays far below.
const MAX_PART_BYTES: u64 = 1 << 30;
/// No bundle has more parts.
const MAX_PARTS: usize = 64;

fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"))
}

/// Writes all parts beside `path` and renames; on failure or interruption nothing stays.
pub fn write(path: &Path, parts: &BTreeMap<String, Vec<u8>>, replace: bool, run: &Run) -> Result<()> {
    check(path, replace)?;
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let partial = Partial::of(path);
    if is_zip(path) {
        write_synced(partial.path(), &zipped(parts)?).map_err(place)?;
    } else {
        fs::create_dir(partial.path()).map_err(place)?;
        for (name, bytes) in parts {
            run.check()?;
            write_synced(&partial.path().join(name), bytes).map_err(place)?;
        }
    }
    run.check()?;
    partial.publish(|partial| rename_over(partial, path))
}

/// Refuses a place that a bundle cannot be written to, and cleans what a run that was killed has left there.
pub fn check(path: &Path, replace: bool) -> Result<()> {
    // Killed between two renames: the bundle that was to be replaced takes its name again.
    let old = beside(path, "old");
    if !path.exists() && looks_like_bundle(&old) {
        let _ = fs::rename(&old, path);
    }
    if path.exists() && !replace {
        return Err(Error::request(format!(
            "{} exists; a bundle is never changed in place: name another one, or replace it with --force",
            path.display()
        )));
    }
    if path.exists() && !looks_like_bundle(path) {
        return Err(Error::request(format!("{} exists and is not a bundle; it will not be replaced", path.display())));
    }
    check_place(path)?;
    remove(&old).map_err(|e| Error::io(format!("{}: {e}", old.display())))
}

/// Only what an earlier run wrote may be replaced, never a folder of somebody's files.
fn looks_like_bundle(path: &Path) -> bool {
    if path.is_dir() {
        return path.join("manifest.json").is_file();
    }
    let names = File::open(path).ok().and_then(|file| zip::ZipArchive::new(file).ok());
    names.is_some_and(|zip| zip.index_for_name("manifest.json").is_some())
}

/// Stored with a fixed time, so that equal parts give an equal file.
pub fn zipped(parts: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let failed = |e: String| Error::io(format!("zip: {e}"));
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for (name, bytes) in parts {
        zip.start_file(name.as_str(), options).map_err(|e| failed(e.to_string()))?;
        zip.write_all(bytes).map_err(|e| failed(e.to_string()))?;
    }
    Ok(zip.finish().map_err(|e| failed(e.to_string()))?.into_inner())
}

/// Reads all parts.
pub fn read(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    read_within(path, &|_| Some(MAX_PART_BYTES))
}

/// Reads all parts, none of which may have more bytes than `limit` says by its name; one that it does not know is refused
/// unread.
pub fn read_within(path: &Path, limit: &dyn Fn(&str) -> Option<u64>) -> Result<BTreeMap<String, Vec<u8>>> {
    let meta = fs::metadata(path)
        .map_err(|e| Error::request(format!("{}: {e}; name a bundle that `statera train` wrote", path.display())))?;
    if meta.is_dir() && !looks_like_bundle(path) {
        return Err(Error::request(format!(
            "{}: a folder without manifest.json is no bundle; name one that `statera train` wrote",
            path.display()
        )));
    }
    if meta.is_dir() { read_folder(path, limit) } else { read_zip(path, limit) }.map_err(|e| e.at(path.display()))
}

/// Reads one part, which may have `most` bytes, and nothing else.
pub fn read_part(path: &Path, name: &str, most: u64) -> Result<Vec<u8>> {
    let read = || -> Result<Vec<u8>> {
        if path.is_dir() {
            return bounded(name, File::open(path.join(name)).map_err(|e| Error::from(e).at(name))?, most);
        }
        let mut zip = zip::ZipArchive::new(File::open(path)?).map_err(no_zip)?;
        let at = zip.index_for_name(name).ok_or_else(|| Error::damaged(format!("no bundle: {name} is missing")))?;
        let file = zip.by_index(at).map_err(no_zip)?;
        bounded(name, file, most)
    };
    read().map_err(|e| e.at(path.display()))
}

fn no_zip(e: zip::result::ZipError) -> Error {
    Error::damaged(format!("not a bundle: {e}"))
}

fn limit_of(name: &str, limit: &dyn Fn(&str) -> Option<u64>) -> Result<u64> {
    let most = limit(name).ok_or_else(|| Error::damaged(format!("{name} is not in the manifest")))?;
    Ok(most.min(MAX_PART_BYTES))
}

fn read_folder(path: &Path, limit: &dyn Fn(&str) -> Option<u64>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut parts = BTreeMap::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_file() {
            return Err(Error::damaged(format!("{name} is no file; a bundle holds files only")));
        }
        let most = limit_of(&name, limit)?;
        parts.insert(name.clone(), bounded(&name, File::open(entry.path())?, most)?);
        check_count(parts.len())?;
    }
    Ok(parts)
}

fn read_zip(path: &Path, limit: &dyn Fn(&str) -> Option<u64>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut zip = zip::ZipArchive::new(File::open(path)?).map_err(no_zip)?;
    check_count(zip.len())?;
    let mut parts = BTreeMap::new();
    for i in 0..zip.len() {
        let file = zip.by_index(i).map_err(no_zip)?;
        let name = file.name().map_err(no_zip)?.to_string();
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(Error::damaged(format!("«{name}» is not the name of a part")));
        }
        let most = limit_of(&name, limit)?;
        parts.insert(name.clone(), bounded(&name, file, most)?);
    }
    Ok(parts)
}

fn check_count(n: usize) -> Result<()> {
    if n > MAX_PARTS { Err(Error::damaged(format!("more than {MAX_PARTS} files; this is no bundle"))) } else { Ok(()) }
}

/// Reads at most the bound, whatever a header claims.
fn bounded(name: &str, file: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| Error::damaged(format!("{name}: {e}")))?;
    if bytes.len() as u64 > most {
        return Err(Error::damaged(format!("{name} is larger than {most} bytes")));
    }
    Ok(bytes)
}
