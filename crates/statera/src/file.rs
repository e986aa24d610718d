//! Files that are whole or not there: written beside their place and renamed.
//!
//! Every unfinished file or folder of this process is listed, so that a command that must end at once, whatever its
//! threads are waiting for, can take them away first ([`remove_unfinished`]).

use statera_core::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process has begun to write and not finished.
static UNFINISHED: Mutex<Unfinished> =
    Mutex::new(Unfinished { entries: Vec::new(), left: Left { has_published: false, kept: None } });

struct Unfinished {
    entries: Vec<Entry>,
    left: Left,
}

/// What a process leaves behind that ends now.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// True once a result has its final name.
    pub has_published: bool,
    /// Where unfinished work is kept that can be continued.
    pub kept: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    path: PathBuf,
    /// True if the folder around it was made for it, and goes with it when nothing else is in there.
    with_folder: bool,
}

fn unfinished() -> MutexGuard<'static, Unfinished> {
    // The list is whole at every moment, so that a thread that panicked has left no damage.
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes everything unfinished, for a process that ends now: from here on nothing takes its final name any more. Returns
/// what is left.
pub fn remove_unfinished() -> Left {
    let mut list = unfinished();
    for entry in std::mem::take(&mut list.entries) {
        entry.remove();
    }
    let left = list.left.clone();
    // Never unlocked: a thread that is about to rename or to report that its folder is gone waits for the end.
    std::mem::forget(list);
    left
}

impl Entry {
    fn remove(&self) {
        // A thread may still be writing into a folder; what it adds between listing and removing is met once more. A
        // failure to clean up must not hide the failure that led here.
        for _ in 0..3 {
            if remove(&self.path).is_ok() {
                break;
            }
        }
        if self.with_folder
            && let Some(folder) = self.path.parent()
        {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Writes a file in one step; an older one of that name is replaced.
///
/// # Errors
/// A place that cannot be written, a full disk; the message names the file, and nothing half-written stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let partial = Partial::of(path);
    write_synced(partial.path(), bytes).map_err(place)?;
    partial.publish(|partial| fs::rename(partial, path).map_err(place))
}

/// Fills a folder in one step: `fill` works in a hidden one beside its place, which takes the name when everything is there. An
/// older folder of that name is replaced.
///
/// # Errors
/// As `fill`; a place that cannot be written, which the message names. Nothing half-written stays.
pub fn fill_folder<T>(path: &Path, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let partial = Partial::of(path);
    // What a run that was killed has left.
    remove(partial.path()).and_then(|()| fs::create_dir(partial.path())).map_err(place)?;
    let filled = fill(partial.path())?;
    partial.publish(|partial| rename_over(partial, path))?;
    Ok(filled)
}

/// Gives a finished file or folder its name, in place of an older one.
pub(crate) fn rename_over(finished: &Path, path: &Path) -> Result<()> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    if path.exists() && exchange(finished, path) {
        // The old one now has the hidden name, and goes with it.
        return Ok(());
    }
    let old = beside(path, "old");
    if path.exists() {
        remove(&old).map_err(place)?;
        fs::rename(path, &old).map_err(place)?;
    }
    if let Err(e) = fs::rename(finished, path) {
        // What was there before is put back; if that fails too, the first failure says more.
        let _ = fs::rename(&old, path);
        return Err(place(e));
    }
    remove(&old).map_err(place)
}

/// Lets two names change places in one step, where the system can: at no moment is there nothing of the name.
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

/// As [`write_whole`], for a file that is no result: after an interruption nothing was written, but for what [`keep`] names.
pub(crate) fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    let place = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let partial = Partial::of(path);
    write_synced(partial.path(), bytes).map_err(place)?;
    partial.rename(false, |partial| fs::rename(partial, path).map_err(place))
}

/// Says where unfinished work is kept that can be continued.
pub(crate) fn keep(path: &Path) {
    unfinished().left.kept = Some(path.into());
}

/// Refuses a place where no file or folder can be made, before long work that would be lost; what a run that was killed
/// has left there is removed.
///
/// # Errors
/// A folder that is not there, a file in its place, a folder that cannot be written; the message names `path`.
pub fn check_place(path: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::request(format!("{} cannot be written: {why}", path.display())));
    if path.file_name().is_none() {
        return refused("it does not end in a name".into());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        match fs::metadata(folder) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return refused(format!("{} is a file, not a folder", folder.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return refused(format!("there is no folder {}; make it first", folder.display()));
            }
            Err(e) => return refused(format!("{}: {e}", folder.display())),
        }
    }
    let probe = Partial::of(path);
    match remove(probe.path()).and_then(|()| fs::create_dir(probe.path())) {
        Ok(()) => Ok(()),
        Err(e) => refused(e.to_string()),
    }
}

/// A hidden name in the same folder, so that a rename stays on one disk.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{what}"))
}

/// The unfinished form of a file or folder; removed when dropped.
pub(crate) struct Partial(Entry);

impl Partial {
    /// The hidden place beside `path`.
    pub(crate) fn of(path: &Path) -> Partial {
        Partial::at(beside(path, "partial"), false)
    }

    /// Something unfinished at `path` itself; `with_folder` where the folder around it was made for it.
    pub(crate) fn at(path: PathBuf, with_folder: bool) -> Partial {
        let entry = Entry { path, with_folder };
        unfinished().entries.push(entry.clone());
        Partial(entry)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Lets `rename` give everything its final name; no interruption falls into the middle of that.
    pub(crate) fn publish(self, rename: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.rename(true, rename)
    }

    fn rename(mut self, is_result: bool, rename: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let mut list = unfinished();
        let renamed = rename(&self.0.path);
        if renamed.is_ok() {
            list.left.has_published |= is_result;
            self.0.with_folder = false;
        }
        renamed
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let mut list = unfinished();
        list.entries.retain(|entry| entry.path != self.0.path);
        // After the rename there is nothing left to remove.
        self.0.remove();
    }
}

/// Removes a file or folder, if it is there.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Writes a file and waits until the disk has it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_has_its_name_when_it_is_full_and_an_older_one_stays_until_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop");
        let fill = |text: &'static str| move |to: &Path| fs::write(to.join("a"), text).map_err(Error::from);
        fill_folder(&path, fill("first")).unwrap();
        let failed = fill_folder(&path, |to| {
            fs::write(to.join("b"), "half")?;
            Err::<(), Error>(Error::busy("the lights went out"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the lights went out");
        assert_eq!((names_in(dir.path()), names_in(&path)), (vec!["shop".into()], vec!["a".into()]));
        // What a run that was killed has left is in nobody's way.
        fs::create_dir(beside(&path, "partial")).unwrap();
        fs::write(beside(&path, "partial").join("c"), "old").unwrap();
        let n = fill_folder(&path, |to| {
            assert!(names_in(to).is_empty());
            fill("second")(to).map(|()| 7)
        });
        assert_eq!((n.unwrap(), fs::read_to_string(path.join("a")).unwrap().as_str()), (7, "second"));
        assert_eq!((names_in(dir.path()), names_in(&path)), (vec!["shop".into()], vec!["a".into()]));
        let nowhere = fill_folder(&dir.path().join("none/shop"), |_| Ok(())).unwrap_err().to_string();
        assert!(nowhere.contains("none/shop: "), "{nowhere}");
    }
}
