//! The bundle: a folder (or the same as one `.zip`) of inert files with their digests, from which a scorer is loaded.
//!
//! A bundle is write-once: it is written beside its place and renamed. Loading checks the format version, the size and
//! digest of every part, every index inside them, and at last replays the golden rows; a mismatch refuses the bundle.

pub(crate) mod codec;
mod folder;
mod golden;

use crate::background::{BACKGROUND_FILE, BackgroundRows};
use crate::decision::{self, Deciding};
use crate::models;
use crate::network::{NETWORK_FILE, OwnNetwork};
use crate::pipeline::SOFTWARE;
use crate::reference::Reference;
use crate::scorer::{Member, Schema, Scorer};
use crate::windows::{OwnWindows, WINDOWS_FILE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statera_core::{Error, ErrorKind, Parts, Result, Run};
use statera_data::preparer::Preparer;
use statera_learn::calibration::Calibrator;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Version of the bundle's format that is written. Readers accept it and the ones before it.
///
/// 5 may hold `windows.toml`, `network.toml` and `decision-rules.toml` with its lists: a program that knew none of them would
/// score and decide otherwise than was meant; 4 may hold `recourse.toml`, `rules.toml`, `judgement.json` and cells in
/// `background.parquet`; 3 may hold `policy.toml`, `policy.json` and `reasons.toml`; 2 names the family and weight of each
/// member in `model.json`; in 1 all are of the
/// manifest's family and weigh the same. What is new within a part (a family of models, a figure of a window, a field) raises no
/// version: a program that does not know it refuses it by name, and says that a newer one may.
pub const FORMAT_VERSION: u32 = 5;
/// Golden rows in a bundle.
pub const N_GOLDEN: usize = 64;

/// Bytes of `manifest.json` at most, where it is read before anything is believed.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// Bytes of `run.json` at most, where only what the manifest names is read: it names no size of it.
const RUN_BYTES_MAX: u64 = 16 << 20;

/// `manifest.json`: what the bundle is and the digest of each part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The program that wrote it.
    pub software: String,
    /// Seed of the training.
    pub seed: u64,
    /// Model family by name.
    pub family: String,
    /// Fingerprint of the training table.
    pub data_fingerprint: String,
    /// Digests of the bundles this one was made from.
    pub parents: Vec<String>,
    /// Size and BLAKE3 digest of every part.
    pub parts: BTreeMap<String, PartDigest>,
}

/// Size and digest of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartDigest {
    /// Length.
    pub bytes: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
}

/// `model.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    family: String,
    /// Family of each member; empty in format 1.
    #[serde(default)]
    families: Vec<String>,
    /// Weight of each member; empty in format 1.
    #[serde(default)]
    weights: Vec<u32>,
    members: Vec<Value>,
}

/// `preparer.json`: the distinct preparers and which member uses which.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreparerFile {
    preparers: Vec<Value>,
    members: Vec<usize>,
}

/// A trained model with everything that belongs to it, in memory.
pub struct Bundle {
    /// What it is; its parts are filled when it is written or read.
    pub manifest: Manifest,
    /// Scores raw rows.
    pub scorer: Scorer,
    /// Distributions of the training rows.
    pub reference: Reference,
    /// Synthetic rows that stand for the training rows; bundles of segments, of sequences and of formats up to 3 have none.
    pub background: Option<BackgroundRows>,
    /// The windowed features among the columns that it reads, where it has any.
    pub windows: Option<OwnWindows>,
    /// The figures of a network among the columns that it reads, where it has any.
    pub network: Option<OwnNetwork>,
    /// Every figure that reports show.
    pub facts: Value,
    /// The policy, the reasons and the changes of a recourse, where it has them.
    pub deciding: Deciding,
    /// Clocks and timings; not part of the digest.
    pub run: Value,
}

impl Bundle {
    /// Digest of the bundle: BLAKE3 of its manifest.
    pub fn digest(&self) -> Result<String> {
        Ok(blake3::hash(&codec::json(&self.manifest)?).to_hex().to_string())
    }

    /// Writes the bundle to `path`, a folder or (with the ending `.zip`) one file. Nothing half-written stays: it is
    /// written beside its place and renamed.
    ///
    /// # Errors
    /// `path` exists and `replace` is false; its folder does not exist; the disk is full or not writable.
    pub fn write(&mut self, path: &Path, replace: bool, run: &Run) -> Result<()> {
        let mut parts = self.parts()?;
        self.manifest.parts = parts
            .iter()
            .map(|(name, bytes)| {
                let digest = PartDigest { bytes: bytes.len() as u64, blake3: blake3::hash(bytes).to_hex().to_string() };
                (name.clone(), digest)
            })
            .collect();
        parts.insert("manifest.json".into(), codec::json(&self.manifest)?);
        parts.insert("run.json".into(), codec::json(&self.run)?);
        run.check()?;
        folder::write(path, &parts, replace, run)
    }

    /// Refuses a place that [`Bundle::write`] would refuse, before the work whose result it would be; what a run that was
    /// killed has left there is cleaned.
    ///
    /// # Errors
    /// As [`Bundle::write`].
    pub fn check_place(path: &Path, replace: bool) -> Result<()> {
        folder::check(path, replace)
    }

    /// Loads the bundle at `path`, checks every part and replays the golden rows.
    ///
    /// # Errors
    /// [`ErrorKind::Newer`] for a newer format, and for a part that is as it was written and holds a model, a kind or a field
    /// that this program does not know; [`ErrorKind::Damaged`] for anything that is missing, altered or does not fit together;
    /// the message names the part.
    pub fn read(path: &Path) -> Result<Bundle> {
        Bundle::of_parts(folder::read(path)?).map_err(|e| e.at(path.display()))
    }

    /// The digest of the bundle at `path`, for who checks a copy: its files are compared with the manifest, and nothing of them
    /// is interpreted, so that it takes the time of reading. `run.json` is in no digest.
    ///
    /// # Errors
    /// What is no bundle; a part that is missing, altered or one too many, which the message names.
    pub fn checked_digest(path: &Path) -> Result<String> {
        let mut parts = folder::read(path)?;
        parts.remove("run.json");
        let manifest = read_manifest(&parts).map_err(|e| e.at(path.display()))?;
        // As it lies there: also white space would be another manifest.
        let bytes = parts.remove("manifest.json").unwrap_or_default();
        check_digests(&manifest, &parts).map_err(|e| e.at(path.display()))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// The bundle at `path` as the bytes of one `.zip`: its files as they are, unchecked but for their names and sizes.
    ///
    /// # Errors
    /// What is no bundle.
    pub fn packed(path: &Path) -> Result<Vec<u8>> {
        folder::zipped(&folder::read(path)?)
    }

    /// Loads the bundle of `digest` from a place that may hold anything: as [`Bundle::read`], but nothing is unpacked before the
    /// manifest is found to be the digest's, and of no part more than the manifest names, `unpacked_max` bytes together.
    ///
    /// # Errors
    /// As [`Bundle::read`]; `Damaged` for another bundle than that of `digest`, and for more bytes than are allowed.
    pub fn read_as(path: &Path, digest: &str, unpacked_max: u64) -> Result<Bundle> {
        let (_, parts) = parts_as(path, digest, unpacked_max)?;
        Bundle::of_parts(parts).map_err(|e| e.at(path.display()))
    }

    /// As [`Bundle::packed`], of a place that is found to hold the bundle of `digest`: every part is compared with the manifest,
    /// and the manifest with the digest.
    ///
    /// # Errors
    /// What is no bundle; `Damaged` as [`Bundle::read_as`], and for a part that was altered, which the message names.
    pub fn packed_as(path: &Path, digest: &str, unpacked_max: u64) -> Result<Vec<u8>> {
        let (manifest, mut parts) = parts_as(path, digest, unpacked_max)?;
        let beside = ["manifest.json", "run.json"].map(|name| parts.remove_entry(name));
        check_digests(&manifest, &parts).map_err(|e| e.at(path.display()))?;
        parts.extend(beside.into_iter().flatten());
        folder::zipped(&parts)
    }

    /// The model's text files that people edit, by name.
    pub fn files(&self) -> BTreeMap<String, String> {
        self.scorer.members().iter().flat_map(|m| m.model.save().files).collect()
    }

    fn parts(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let scorer = &self.scorer;
        let saved: Vec<Parts> = scorer.members().iter().map(|m| m.model.save()).collect();
        let mut parts = BTreeMap::new();
        let model = ModelFile {
            family: self.manifest.family.clone(),
            families: scorer.members().iter().map(|m| m.family.into()).collect(),
            weights: scorer.members().iter().map(|m| m.weight).collect(),
            members: saved.iter().map(|p| p.json.clone()).collect(),
        };
        parts.insert("model.json".into(), codec::json(&model)?);
        parts.insert("weights.safetensors".into(), codec::tensors(&saved)?);
        for (name, text) in saved.into_iter().flat_map(|p| p.files) {
            parts.insert(name, text.into_bytes());
        }
        parts.insert("preparer.json".into(), codec::json(&preparer_file(scorer.members())?)?);
        parts.insert("schema.json".into(), codec::json(scorer.schema())?);
        parts.insert("calibration.json".into(), codec::json(&scorer.calibrator().save())?);
        parts.insert("reference.json".into(), codec::json(&self.reference)?);
        parts.insert("facts.json".into(), codec::json(&self.facts)?);
        let inputs = &scorer.schema().inputs;
        let golden = self.reference.draw(inputs, N_GOLDEN, self.manifest.seed ^ 0x601d)?;
        parts.insert("golden.parquet".into(), golden::write(&golden, scorer)?);
        if let Some(background) = &self.background {
            parts.insert(BACKGROUND_FILE.into(), background.parquet()?);
        }
        if let Some(windows) = &self.windows {
            parts.insert(WINDOWS_FILE.into(), windows.to_toml()?.into_bytes());
        }
        if let Some(network) = &self.network {
            parts.insert(NETWORK_FILE.into(), network.to_toml()?.into_bytes());
        }
        parts.extend(self.deciding_parts()?);
        Ok(parts)
    }

    fn of_parts(mut parts: BTreeMap<String, Vec<u8>>) -> Result<Bundle> {
        let manifest = read_manifest(&parts)?;
        let run = parts.remove("run.json").map_or(Ok(Value::Null), |bytes| codec::parse("run.json", &bytes))?;
        parts.remove("manifest.json");
        check_digests(&manifest, &parts)?;
        let software = manifest.software.clone();
        Bundle::of_unaltered(manifest, run, &parts).map_err(|e| or_newer(e, &software))
    }

    /// Of parts that have the manifest's digests.
    fn of_unaltered(manifest: Manifest, run: Value, parts: &BTreeMap<String, Vec<u8>>) -> Result<Bundle> {
        let part =
            |name: &str| parts.get(name).map(Vec::as_slice).ok_or_else(|| Error::damaged(format!("{name} is missing")));
        let model: ModelFile = codec::parse("model.json", part("model.json")?)?;
        let families = member_families(&model)?;
        let mut tensors = codec::read_tensors(part("weights.safetensors")?, model.members.len())?;
        let preparers = read_preparers(part("preparer.json")?, model.members.len())?;
        let mut members = Vec::new();
        for (i, (json, preparer)) in model.members.iter().cloned().zip(preparers).enumerate() {
            let files = BTreeMap::new();
            let mut saved = Parts { json, tensors: std::mem::take(&mut tensors[i]), files };
            for name in family_files(&manifest) {
                let text = String::from_utf8(part(&name)?.to_vec());
                saved.files.insert(name.clone(), text.map_err(|_| Error::damaged(format!("{name} is not UTF-8")))?);
            }
            let weight = model.weights.get(i).copied().unwrap_or(1);
            let (family, load) = families[i];
            let loaded = Arc::from(load(&saved)?);
            members.push(Member { family, weight, preparer, model: loaded });
        }
        if members.is_empty() {
            return Err(Error::damaged("model.json: no members"));
        }
        let schema: Schema = codec::parse("schema.json", part("schema.json")?)?;
        let calibrator = Calibrator::load(&codec::parse("calibration.json", part("calibration.json")?)?)?;
        let scorer = Scorer::new(schema, members, calibrator).map_err(|e| e.at("schema.json"))?;
        golden::replay(part("golden.parquet")?, &scorer)?;
        let background = parts.get(BACKGROUND_FILE).map(|bytes| BackgroundRows::read(bytes, &scorer));
        let background = background.transpose()?.flatten();
        let windows = parts.get(WINDOWS_FILE).map(|bytes| OwnWindows::parse(bytes)).transpose()?;
        let network = parts.get(NETWORK_FILE).map(|bytes| OwnNetwork::parse(bytes)).transpose()?;
        let beside = (windows.as_ref(), background.is_some());
        let deciding = decision::load(|name| parts.get(name).map(Vec::as_slice), &scorer, beside)?;
        Ok(Bundle {
            deciding,
            background,
            windows,
            network,
            reference: codec::parse("reference.json", part("reference.json")?)?,
            facts: codec::parse("facts.json", part("facts.json")?)?,
            manifest,
            scorer,
            run,
        })
    }
}

/// What an error says of a model that is in no list, and what serde says of a kind and of a field that a type does not have.
const UNKNOWN_MODEL: &str = "unknown model ";
const UNKNOWN: [&str; 3] = [UNKNOWN_MODEL, "unknown variant `", "unknown field `"];

/// What a part that has its digest is refused for. Nobody has damaged it since it was written: what this program does not know in it
/// is of a newer one, whose format is the same.
fn or_newer(e: Error, software: &str) -> Error {
    let message = e.to_string();
    if e.kind() != ErrorKind::Damaged || !UNKNOWN.iter().any(|words| message.contains(words)) {
        return e;
    }
    Error::newer(format!(
        "{message}; {SOFTWARE} does not know that, a newer version may: the bundle is as {software} wrote it"
    ))
}

/// The family of each member and its loader.
fn member_families(model: &ModelFile) -> Result<Vec<(&'static str, models::Load)>> {
    let n = model.members.len();
    let names = if model.families.is_empty() { vec![model.family.clone(); n] } else { model.families.clone() };
    if names.len() != n || !(model.weights.is_empty() || model.weights.len() == n) {
        return Err(Error::damaged(format!(
            "model.json: {} families and {} weights for {n} members",
            names.len(),
            model.weights.len()
        )));
    }
    let find = |name: &String| {
        models::stored(name).ok_or_else(|| Error::damaged(format!("model.json: {UNKNOWN_MODEL}«{name}»")))
    };
    names.iter().map(find).collect()
}

/// The editable files of models among the parts: those with the ending `.toml` that do not decide and are no
/// declared columns.
fn family_files(manifest: &Manifest) -> Vec<String> {
    manifest
        .parts
        .keys()
        .filter(|name| {
            let is_declared = [WINDOWS_FILE, NETWORK_FILE].contains(&name.as_str());
            name.ends_with(".toml") && !decision::OWN_FILES.contains(&name.as_str()) && !is_declared
        })
        .cloned()
        .collect()
}

fn preparer_file(members: &[Member]) -> Result<PreparerFile> {
    let mut distinct: Vec<&Arc<Preparer>> = Vec::new();
    let mut used = Vec::new();
    for member in members {
        let at = distinct.iter().position(|p| Arc::ptr_eq(p, &member.preparer)).unwrap_or_else(|| {
            distinct.push(&member.preparer);
            distinct.len() - 1
        });
        used.push(at);
    }
    let preparers = distinct.iter().map(codec::value).collect::<Result<_>>()?;
    Ok(PreparerFile { preparers, members: used })
}

fn read_preparers(bytes: &[u8], n_members: usize) -> Result<Vec<Arc<Preparer>>> {
    let file: PreparerFile = codec::parse("preparer.json", bytes)?;
    let preparers: Vec<Arc<Preparer>> = file
        .preparers
        .iter()
        .map(|value| Preparer::from_json(&value.to_string()).map(Arc::new))
        .collect::<Result<_>>()?;
    if file.members.len() != n_members || file.members.iter().any(|&m| m >= preparers.len()) {
        return Err(Error::damaged("preparer.json: its members do not fit model.json"));
    }
    Ok(file.members.iter().map(|&m| preparers[m].clone()).collect())
}

/// Reads the version before anything else, so that a newer bundle is told as such whatever else changed in it.
fn read_manifest(parts: &BTreeMap<String, Vec<u8>>) -> Result<Manifest> {
    let bytes = parts.get("manifest.json").ok_or_else(|| Error::damaged("no bundle: manifest.json is missing"))?;
    let value: Value = codec::parse("manifest.json", bytes)?;
    let version = value.get("format_version").and_then(Value::as_u64).unwrap_or(0);
    let software = value.get("software").and_then(Value::as_str).unwrap_or("a newer program");
    if version > u64::from(FORMAT_VERSION) {
        return Err(Error::newer(format!(
            "bundle format {version} was written by {software}; this program reads formats up to {FORMAT_VERSION}: install \
             that version or a later one"
        )));
    }
    if version == 0 {
        return Err(Error::damaged("manifest.json: no format_version"));
    }
    codec::parse("manifest.json", bytes)
}

/// Manifest and parts of the bundle of a digest, each part no larger than the manifest says; what is in them is not compared
/// yet.
fn parts_as(path: &Path, digest: &str, unpacked_max: u64) -> Result<(Manifest, BTreeMap<String, Vec<u8>>)> {
    let at = |e: Error| e.at(path.display());
    let bytes = folder::read_part(path, "manifest.json", MANIFEST_BYTES_MAX)?;
    let own = blake3::hash(&bytes).to_hex().to_string();
    if own != digest {
        return Err(at(Error::damaged(format!("the bundle is another one: its digest is {own}"))));
    }
    let first = BTreeMap::from([("manifest.json".to_string(), bytes)]);
    let manifest = read_manifest(&first).map_err(at)?;
    let n_bytes = manifest.parts.values().fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
    if n_bytes > unpacked_max {
        return Err(at(Error::damaged(format!("unpacked it has {n_bytes} bytes; allowed: {unpacked_max}"))));
    }
    let limit = |name: &str| match name {
        "manifest.json" => Some(MANIFEST_BYTES_MAX),
        "run.json" => Some(RUN_BYTES_MAX),
        _ => manifest.parts.get(name).map(|part| part.bytes),
    };
    let mut parts = folder::read_within(path, &limit)?;
    // The bytes that were compared, should the file have changed since.
    parts.extend(first);
    Ok((manifest, parts))
}

fn check_digests(manifest: &Manifest, parts: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (name, digest) in &manifest.parts {
        let bytes = parts.get(name).ok_or_else(|| Error::damaged(format!("{name} is missing")))?;
        if bytes.len() as u64 != digest.bytes {
            return Err(Error::damaged(format!(
                "{name} has {} bytes; the manifest says {}",
                bytes.len(),
                digest.bytes
            )));
        }
        if blake3::hash(bytes).to_hex().as_str() != digest.blake3 {
            return Err(Error::damaged(format!("{name} was altered: its digest is not the manifest's")));
        }
    }
    match parts.keys().find(|name| !manifest.parts.contains_key(*name)) {
        Some(extra) => Err(Error::damaged(format!("{extra} is not in the manifest"))),
        None => Ok(()),
    }
}
