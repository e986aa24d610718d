//! Prints the bill of materials of the `statera` binary as CycloneDX 1.5 (JSON), without network:
//!
//!     cargo run --release --example sbom > statera.cdx.json
//!
//! The crates are those of `cargo tree -e normal`, so that what only another platform or feature would need is not
//! listed; their licences, addresses and dependencies come from `cargo metadata`, their digests from `Cargo.lock`. C code that
//! crates bring along is listed as a component of its own. No clock and no machine is in it: the same sources give the
//! same bytes.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate whose binary is described.
const ROOT: &str = "statera-cli";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("{}", serde_json::to_string_pretty(&bill(&workspace)?)?);
    Ok(())
}

/// The bill of materials of a workspace's binary.
pub fn bill(workspace: &Path) -> Outcome<Value> {
    let host = host()?;
    let listed = crates_of_the_binary(workspace, &host)?;
    let metadata: Value =
        serde_json::from_str(&cargo(workspace, &["metadata", "--format-version=1", "--filter-platform", &host])?)?;
    let digests = digests(&std::fs::read_to_string(workspace.join("Cargo.lock"))?);
    let packages: BTreeMap<&str, Package> = array(&metadata["packages"])
        .iter()
        .map(Package::of)
        .filter(|p| listed.contains(&(p.name.into(), p.version.into())))
        .map(|p| (p.id, p))
        .collect();
    if packages.len() != listed.len() {
        return Err(format!("{} crates are listed, {} are described", listed.len(), packages.len()).into());
    }
    let bundled: Vec<(&str, Value)> =
        packages.values().filter_map(|p| bundled(p).transpose()).collect::<Outcome<Vec<_>>>()?;
    let root = packages.values().find(|p| p.name == ROOT).ok_or("the binary's crate is missing")?;
    let libraries = packages.values().filter(|p| p.name != ROOT).map(|p| p.component("library", &digests));
    let mut components: Vec<Value> = libraries.chain(bundled.iter().map(|(_, c)| c.clone())).collect();
    components.sort_by_key(|c| c["bom-ref"].as_str().unwrap_or_default().to_string());
    let mut application = root.component("application", &digests);
    application["name"] = "statera".into();
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": application, "properties": [{ "name": "statera:target", "value": host }] },
        "components": components,
        "dependencies": dependencies(&metadata, &packages, &bundled),
    }))
}

/// A package as `cargo metadata` tells it.
struct Package<'a> {
    id: &'a str,
    name: &'a str,
    version: &'a str,
    told: &'a Value,
}

impl<'a> Package<'a> {
    fn of(told: &'a Value) -> Package<'a> {
        let text = |key: &str| told[key].as_str().unwrap_or_default();
        Package { id: text("id"), name: text("name"), version: text("version"), told }
    }

    /// Package URL.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"))
    }

    fn component(&self, kind: &str, digests: &BTreeMap<(String, String), String>) -> Value {
        let mut component = json!({
            "type": kind,
            "bom-ref": self.purl(),
            "name": self.name,
            "version": self.version,
            "purl": self.purl(),
            "scope": "required",
        });
        let fields: &mut Map<String, Value> = component.as_object_mut().expect("made as one");
        if let Some(license) = self.told["license"].as_str() {
            // «A/B» is how older crates write «A OR B».
            let expression = license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
            fields.insert("licenses".into(), json!([{ "expression": expression }]));
        }
        if let Some(digest) = digests.get(&(self.name.into(), self.version.into())) {
            fields.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": digest }]));
        }
        if let Some(url) = self.told["repository"].as_str() {
            fields.insert("externalReferences".into(), json!([{ "type": "vcs", "url": url }]));
        }
        component
    }
}

/// The library in C that a crate compiles into the binary, if it is one that has a version of its own.
fn bundled<'a>(package: &Package<'a>) -> Outcome<Option<(&'a str, Value)>> {
    let folder = package.told["manifest_path"].as_str().and_then(|p| Path::new(p).parent()).unwrap_or(Path::new(""));
    let (name, version, license) = match package.name {
        "libsqlite3-sys" => ("sqlite", sqlite_version(folder)?, json!([{ "license": { "name": "Public Domain" } }])),
        "libmimalloc-sys" => ("mimalloc", mimalloc_version(folder)?, json!([{ "expression": "MIT" }])),
        "zstd-sys" => {
            let version = package.version.split_once("+zstd.").ok_or("zstd-sys does not name its zstd")?.1;
            ("zstd", version.to_string(), json!([{ "expression": "BSD-3-Clause" }]))
        }
        _ => return Ok(None),
    };
    let purl = format!("pkg:generic/{name}@{version}");
    let component = json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": "required",
        "licenses": license, "description": format!("compiled in by the crate {}", package.name),
    });
    Ok(Some((package.id, component)))
}

/// As the header of mimalloc has it: a digit, then two and two. The crate brings two lines of versions along, and builds the
/// second only where its feature asks for it, which ours does not.
fn mimalloc_version(folder: &Path) -> Outcome<String> {
    let header = std::fs::read_to_string(folder.join("c_src/mimalloc/v3/include/mimalloc.h"))?;
    let line =
        header.lines().find_map(|l| l.strip_prefix("#define MI_MALLOC_VERSION ")).ok_or("no MI_MALLOC_VERSION")?;
    let number: u32 = line.split_whitespace().next().ok_or("MI_MALLOC_VERSION is empty")?.parse()?;
    Ok(format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100))
}

/// As SQLite's own header has it.
fn sqlite_version(folder: &Path) -> Outcome<String> {
    let header = std::fs::read_to_string(folder.join("sqlite3/sqlite3.h"))?;
    let line = header.lines().find_map(|l| l.strip_prefix("#define SQLITE_VERSION ")).ok_or("no SQLITE_VERSION")?;
    Ok(line.trim().trim_matches('"').to_string())
}

/// Who needs whom, among what is listed.
fn dependencies(metadata: &Value, packages: &BTreeMap<&str, Package>, bundled: &[(&str, Value)]) -> Vec<Value> {
    let is_linked = |d: &&Value| array(&d["dep_kinds"]).iter().any(|k| k["kind"].is_null());
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in array(&metadata["resolve"]["nodes"]) {
        let Some(package) = node["id"].as_str().and_then(|id| packages.get(id)) else { continue };
        let needs = array(&node["deps"]).iter().filter(is_linked).filter_map(|d| packages.get(d["pkg"].as_str()?));
        let mut needs: BTreeSet<String> = needs.map(Package::purl).collect();
        for (_, component) in bundled.iter().filter(|(id, _)| *id == package.id) {
            let purl = component["bom-ref"].as_str().unwrap_or_default().to_string();
            all.insert(purl.clone(), BTreeSet::new());
            needs.insert(purl);
        }
        all.insert(package.purl(), needs);
    }
    all.into_iter().map(|(purl, needs)| json!({ "ref": purl, "dependsOn": needs })).collect()
}

/// Names and versions of what is linked into the binary.
pub fn crates_of_the_binary(workspace: &Path, host: &str) -> Outcome<BTreeSet<(String, String)>> {
    let words = ["tree", "-e", "normal", "-p", ROOT, "--prefix", "none", "--format", "{p}", "--target", host];
    let told = cargo(workspace, &words)?;
    let crates = told.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_string(), words.next()?.strip_prefix('v')?.to_string()))
    });
    Ok(crates.collect())
}

/// The platform that is built for.
pub fn host() -> Outcome<String> {
    let told = run(Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-vV"))?;
    Ok(told.lines().find_map(|l| l.strip_prefix("host: ")).ok_or("rustc names no host")?.to_string())
}

/// SHA-256 by name and version, as `Cargo.lock` has them; crates of this repository have none.
fn digests(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |part: &str, key: &str| {
        let line = part.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_string())
    };
    let parts = lock.split("[[package]]").skip(1);
    parts.filter_map(|p| Some(((value(p, "name")?, value(p, "version")?), value(p, "checksum")?))).collect()
}

fn cargo(workspace: &Path, words: &[&str]) -> Outcome<String> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    run(Command::new(cargo).current_dir(workspace).args(words).args(["--locked", "--offline"]))
}

fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
