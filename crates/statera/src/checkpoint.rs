//! An unfinished training that can be continued: a folder beside the bundle that it is to become.
//!
//! `manifest.json` says what the training is of; beside it lies one safetensors file a fit, its state or, once it is
//! finished, its model. Every file is written whole. The folder is made when a training has taken a while, so that short
//! ones leave no trace, and removed after the bundle is written. A training that is continued gives the bytes that it
//! would have given in one go.

use crate::bundle::codec;
use crate::file;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statera_core::{Checkpoints, Error, Kept, Parts, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Version of the folder's format; others are refused.
const FORMAT_VERSION: u32 = 1;
/// Longest file that is read.
const MAX_BYTES: u64 = 4 << 30;

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    checkpoint_version: u32,
    /// Digest of `of`.
    blake3: String,
    of: Value,
}

/// When something is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Nothing is kept of a training that is younger.
    pub after: Duration,
    /// States of fits are at least this far apart.
    pub every: Duration,
}

impl Default for Pace {
    /// Half a minute: what an interruption may cost.
    fn default() -> Self {
        Pace { after: Duration::from_secs(30), every: Duration::from_secs(30) }
    }
}

/// The folder of a training.
pub struct CheckpointFolder {
    path: PathBuf,
    is_resumed: bool,
    pace: Pace,
    /// Where remarks go.
    note: Box<dyn Fn(&str) + Send + Sync>,
    inside: Mutex<Inside>,
}

struct Inside {
    started: Instant,
    saved: Option<Instant>,
    of: Value,
    stand: Stand,
}

/// What the folder is to this training.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stand {
    /// Not there, or of something that this training takes the place of with its first file.
    Foreign,
    /// Of this very training, which begins anew nevertheless.
    Unused,
    /// Written or continued by this training.
    Own,
    /// Given up after a failure to write.
    Broken,
}

impl CheckpointFolder {
    /// The folder of the training whose bundle goes to `out`; `is_resumed` continues what is there.
    pub fn beside(out: &Path, is_resumed: bool, note: impl Fn(&str) + Send + Sync + 'static) -> CheckpointFolder {
        let mut name = out.file_name().unwrap_or_default().to_os_string();
        name.push(".checkpoint");
        let inside = Inside { started: Instant::now(), saved: None, of: Value::Null, stand: Stand::Foreign };
        let (path, pace) = (out.with_file_name(name), Pace::default());
        CheckpointFolder { path, is_resumed, pace, note: Box::new(note), inside: Mutex::new(inside) }
    }

    /// The same with another pace.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        CheckpointFolder { pace, ..self }
    }

    /// An interruption's error with what it left behind; other errors as they are.
    pub fn explain(&self, e: Error) -> Error {
        if e.is_cancelled() && self.inside().stand == Stand::Own {
            Error::interrupted(format!("interrupted; {}", after_interruption(&self.path)))
        } else {
            e
        }
    }

    /// Removes the folder of a training that is done.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<()> {
        let mut inside = self.inside();
        if matches!(inside.stand, Stand::Own | Stand::Unused) {
            file::remove(&self.path).map_err(|e| self.failed(&e))?;
            inside.stand = Stand::Foreign;
        }
        Ok(())
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, e: &std::io::Error) -> Error {
        Error::io(format!("{}: {e}", self.path.display()))
    }

    fn file(&self, key: &str) -> PathBuf {
        self.path.join(format!("{key}.safetensors"))
    }

    /// The manifest of the folder, if it is one.
    fn manifest(&self) -> Result<Option<Manifest>> {
        let path = self.path.join("manifest.json");
        let refused = |why: String| Error::request(format!("{} {why}", self.path.display()));
        match fs::symlink_metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.failed(&e)),
            Ok(meta) if !meta.is_dir() => {
                return Err(refused("is no folder; a checkpoint would be written there".into()));
            }
            Ok(_) => {}
        }
        match fs::read(&path) {
            // A run that was killed at its first file leaves an empty folder.
            Err(_) if fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none()) => Ok(None),
            Err(_) => Err(refused("exists and is no checkpoint; move it away".into())),
            Ok(bytes) => {
                let damaged = |e: Error| e.at(self.path.display());
                let version: Value = codec::parse("manifest.json", &bytes).map_err(damaged)?;
                let version = version.get("checkpoint_version").and_then(Value::as_u64);
                if version != Some(u64::from(FORMAT_VERSION)) {
                    return Err(refused(format!("is no checkpoint of format {FORMAT_VERSION}; move it away")));
                }
                codec::parse("manifest.json", &bytes).map(Some).map_err(damaged)
            }
        }
    }

    /// Refuses damaged files at once, not after hours at the fit that needs them.
    fn check_files(&self) -> Result<()> {
        let entries = fs::read_dir(&self.path).map_err(|e| self.failed(&e))?;
        for entry in entries {
            let path = entry.map_err(|e| self.failed(&e))?.path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                self.read(&path)?;
            }
        }
        Ok(())
    }

    /// What a file keeps; `None` if there is none.
    fn read(&self, path: &Path) -> Result<Option<Kept>> {
        let bytes = match fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.failed(&e)),
            Ok(meta) if meta.len() > MAX_BYTES => {
                return Err(Error::damaged(format!("{} is larger than {MAX_BYTES} bytes", path.display())));
            }
            Ok(_) => fs::read(path).map_err(|e| self.failed(&e))?,
        };
        let again = "begin anew without --resume";
        of_bytes(&bytes).map(Some).map_err(|e| Error::damaged(format!("{}: {e}; {again}", path.display())))
    }

    /// Makes the folder this training's own.
    fn begin(&self, inside: &mut Inside) -> Result<()> {
        file::remove(&self.path).and_then(|()| fs::create_dir(&self.path)).map_err(|e| self.failed(&e))?;
        let manifest =
            Manifest { checkpoint_version: FORMAT_VERSION, blake3: digest(&inside.of)?, of: inside.of.clone() };
        file::write_aside(&self.path.join("manifest.json"), &codec::json(&manifest)?)?;
        inside.stand = Stand::Own;
        file::keep(&self.path);
        Ok(())
    }
}

/// What is left of an interrupted training, and what to do about it.
pub fn after_interruption(checkpoint: &Path) -> String {
    format!("what was trained so far is in {}; the same command with --resume continues", checkpoint.display())
}

impl Checkpoints for CheckpointFolder {
    fn open(&self, of: &Value) -> Result<()> {
        let mut inside = self.inside();
        let found = self.manifest()?;
        let place = self.path.display();
        inside.stand = match &found {
            None if self.is_resumed => {
                (self.note)(&format!("there is no {place}; the training begins anew"));
                Stand::Foreign
            }
            None => Stand::Foreign,
            Some(found) if found.blake3 == digest(of)? && self.is_resumed => {
                self.check_files()?;
                file::keep(&self.path);
                Stand::Own
            }
            Some(found) if found.blake3 == digest(of)? => {
                (self.note)(&format!(
                    "{place} holds an interrupted training of the same table and settings; it begins anew, --resume \
                     would continue it"
                ));
                Stand::Unused
            }
            Some(found) if self.is_resumed => {
                return Err(Error::request(format!(
                    "--resume: {place} is of another training: {}; give the same, or leave --resume out to begin anew",
                    differences(&found.of, of).join("; ")
                )));
            }
            Some(_) => {
                (self.note)(&format!("{place} is of another training; this one will take its place"));
                Stand::Foreign
            }
        };
        inside.of = of.clone();
        Ok(())
    }

    fn load(&self, key: &str) -> Result<Option<Kept>> {
        if self.inside().stand != Stand::Own {
            return Ok(None);
        }
        self.read(&self.file(key))
    }

    fn is_due(&self, is_finished: bool) -> bool {
        let inside = self.inside();
        let since = |instant: Instant, least: Duration| instant.elapsed() >= least;
        inside.stand != Stand::Broken
            && since(inside.started, self.pace.after)
            && (is_finished || inside.saved.is_none_or(|saved| since(saved, self.pace.every)))
    }

    /// A training that can no longer be kept goes on, and says so once.
    fn save(&self, key: &str, kept: &Kept) -> Result<()> {
        let mut inside = self.inside();
        if inside.stand == Stand::Broken {
            return Ok(());
        }
        let begun = if inside.stand == Stand::Own { Ok(()) } else { self.begin(&mut inside) };
        let written = begun.and_then(|()| file::write_aside(&self.file(key), &bytes_of(kept)?));
        if let Err(e) = written {
            (self.note)(&format!("the training goes on and cannot be continued after an interruption: {e}"));
            inside.stand = Stand::Broken;
        }
        inside.saved = Some(Instant::now());
        Ok(())
    }
}

fn digest(of: &Value) -> Result<String> {
    Ok(blake3::hash(&codec::json(of)?).to_hex().to_string())
}

/// What differs between two trainings, in words.
fn differences(was: &Value, is: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let shown =
        |v: Option<&Value>| v.map_or("nothing".to_string(), |v| format!("«{}»", v.to_string().trim_matches('"')));
    let (Value::Object(a), Value::Object(b)) = (was, is) else { return found };
    for name in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
        match (a.get(name), b.get(name)) {
            (was, is) if was == is => {}
            (Some(was @ Value::Object(_)), Some(is @ Value::Object(_))) => found.extend(differences(was, is)),
            (was, is) => found.push(format!("{name} was {}, is {}", shown(was), shown(is))),
        }
    }
    found
}

/// What a safetensors file says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    is_finished: bool,
    json: Value,
    files: BTreeMap<String, String>,
}

fn bytes_of(kept: &Kept) -> Result<Vec<u8>> {
    let (is_finished, parts) = match kept {
        Kept::State(parts) => (false, parts),
        Kept::Model(parts) => (true, parts),
    };
    let header = Header { is_finished, json: parts.json.clone(), files: parts.files.clone() };
    codec::tensors_with(std::slice::from_ref(parts), Some(&codec::value(&header)?.to_string()))
}

fn of_bytes(bytes: &[u8]) -> Result<Kept> {
    let header = codec::tensors_header(bytes)?.ok_or_else(|| Error::damaged("it does not say what it holds"))?;
    let header: Header = codec::parse("its description", header.as_bytes())?;
    let tensors = codec::read_tensors(bytes, 1)?.pop().unwrap_or_default();
    let parts = Parts { json: header.json, tensors, files: header.files };
    Ok(if header.is_finished { Kept::Model(parts) } else { Kept::State(parts) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use statera_core::{Tensor, TensorData};
    use std::sync::Arc;

    const AT_ONCE: Pace = Pace { after: Duration::ZERO, every: Duration::ZERO };

    fn folder(dir: &Path, is_resumed: bool) -> (CheckpointFolder, Arc<Mutex<Vec<String>>>) {
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let written = notes.clone();
        let note = move |text: &str| written.lock().unwrap().push(text.replace('\n', " "));
        (CheckpointFolder::beside(&dir.join("m.statera"), is_resumed, note).with_pace(AT_ONCE), notes)
    }

    fn kept() -> Kept {
        let values = vec![0.1, f64::NAN, f64::MIN_POSITIVE];
        let tensors = [("x".to_string(), Tensor::vector(TensorData::F64(values)))].into();
        Kept::Model(Parts { json: json!({"a": 0.1 + 0.2}), tensors, files: [("b".into(), "c".into())].into() })
    }

    fn of(models: &str) -> Value {
        json!({"software": "statera 9", "settings": {"models": [models], "seed": 1}})
    }

    #[test]
    fn what_is_kept_returns_with_the_same_bits() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = folder(dir.path(), false);
        first.open(&of("mlp")).unwrap();
        assert!(first.load("mlp-fold1").unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written before the first save");
        first.save("mlp-fold1", &kept()).unwrap();
        let (again, notes) = folder(dir.path(), true);
        again.open(&of("mlp")).unwrap();
        let loaded = again.load("mlp-fold1").unwrap().expect("kept");
        assert_eq!(bytes_of(&loaded).unwrap(), bytes_of(&kept()).unwrap());
        assert!(again.load("mlp-fold2").unwrap().is_none() && notes.lock().unwrap().is_empty());
        again.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn other_trainings_are_told_and_only_continued_when_they_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("m.statera.checkpoint").display().to_string();
        let (first, notes) = folder(dir.path(), true);
        first.open(&of("mlp")).unwrap();
        assert_eq!(*notes.lock().unwrap(), [format!("there is no {place}; the training begins anew")]);
        first.save("mlp-fold1", &kept()).unwrap();

        let (same, notes) = folder(dir.path(), false);
        same.open(&of("mlp")).unwrap();
        assert!(notes.lock().unwrap()[0].contains("begins anew, --resume would continue it"));
        assert!(same.load("mlp-fold1").unwrap().is_none());

        let (other, _) = folder(dir.path(), true);
        let error = other.open(&of("tabm")).expect_err("another training");
        assert!(error.is_request());
        let expected = "is of another training: models was «[\"mlp\"]», is «[\"tabm\"]»; give the same, or leave \
                        --resume out to begin anew";
        assert_eq!(error.to_string(), format!("--resume: {place} {expected}"));

        let (other, notes) = folder(dir.path(), false);
        other.open(&of("tabm")).unwrap();
        assert_eq!(*notes.lock().unwrap(), [format!("{place} is of another training; this one will take its place")]);
        other.remove().unwrap();
        assert!(Path::new(&place).exists(), "a training that has kept nothing removes nothing of another");
        other.save("tabm-fold1", &kept()).unwrap();
        assert!(!Path::new(&place).join("mlp-fold1.safetensors").exists());
    }

    #[test]
    fn what_is_no_checkpoint_or_damaged_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("m.statera.checkpoint");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("holiday.jpg"), b"x").unwrap();
        let error = folder(dir.path(), false).0.open(&of("mlp")).expect_err("not ours");
        assert_eq!(error.to_string(), format!("{} exists and is no checkpoint; move it away", place.display()));
        fs::remove_dir_all(&place).unwrap();
        let (first, _) = folder(dir.path(), false);
        first.open(&of("mlp")).unwrap();
        first.save("mlp-fold1", &kept()).unwrap();
        let path = place.join("mlp-fold1.safetensors");
        let bytes = fs::read(&path).unwrap();
        for length in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            let (again, _) = folder(dir.path(), true);
            let error = again.open(&of("mlp")).expect_err("damaged").to_string();
            assert!(
                error.contains("mlp-fold1.safetensors: ") && error.ends_with("begin anew without --resume"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_training_that_cannot_be_kept_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let (folder, notes) = folder(&gone, false);
        folder.open(&of("mlp")).unwrap();
        fs::remove_dir(&gone).unwrap();
        folder.save("mlp-fold1", &kept()).unwrap();
        folder.save("mlp-fold2", &kept()).unwrap();
        assert!(!folder.is_due(true));
        let notes = notes.lock().unwrap();
        assert!(notes.len() == 1 && notes[0].starts_with("the training goes on and cannot be continued"), "{notes:?}");
    }

    #[test]
    fn young_trainings_keep_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = folder(dir.path(), false);
        let folder = folder.with_pace(Pace { after: Duration::from_secs(3600), every: Duration::ZERO });
        assert!(!folder.is_due(true) && !folder.is_due(false));
    }
}
