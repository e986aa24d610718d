//! What is delivered beside the binary is right: the bill of materials, and settings and flags in the files of `deploy/`.

mod common;
#[allow(dead_code)]
#[path = "../../../deploy/sbom.rs"]
mod sbom;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

#[test]
fn the_bill_of_materials_has_every_crate_of_the_binary_and_no_other() {
    let bill = sbom::bill(&workspace()).expect("a bill");
    assert_eq!((text(&bill["bomFormat"]), text(&bill["specVersion"])), ("CycloneDX".into(), "1.5".into()));
    assert_eq!(text(&bill["metadata"]["component"]["name"]), "statera");
    let components = bill["components"].as_array().expect("components");
    let is_crate = |c: &&Value| text(&c["purl"]).starts_with("pkg:cargo/");
    let name = |c: &Value| (text(&c["name"]), text(&c["version"]));
    let mut found: BTreeSet<_> = components.iter().filter(is_crate).map(name).collect();
    found.insert(("statera-cli".into(), text(&bill["metadata"]["component"]["version"])));
    let expected = sbom::crates_of_the_binary(&workspace(), &sbom::host().unwrap()).unwrap();
    assert!(expected.len() > 100, "only {} crates", expected.len());
    assert_eq!(found, expected);
    // What came from outside has a licence and a digest.
    for component in components.iter().filter(is_crate).filter(|c| !text(&c["name"]).starts_with("statera")) {
        assert_eq!(text(&component["hashes"][0]["content"]).len(), 64, "{component}");
        let license = text(&component["licenses"][0]["expression"]);
        assert!(!license.is_empty() && !license.contains('/'), "{component}");
    }
    let others: Vec<String> = components.iter().filter(|c| !is_crate(c)).map(|c| text(&c["name"])).collect();
    assert_eq!(others, ["mimalloc", "sqlite", "zstd"], "libraries in C");
}

#[test]
fn everything_in_the_bill_is_reached_from_the_binary() {
    let bill = sbom::bill(&workspace()).expect("a bill");
    let needs: BTreeMap<String, Vec<String>> = bill["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .map(|d| (text(&d["ref"]), d["dependsOn"].as_array().unwrap().iter().map(text).collect()))
        .collect();
    let mut waiting = vec![text(&bill["metadata"]["component"]["bom-ref"])];
    let mut reached = BTreeSet::new();
    while let Some(next) = waiting.pop() {
        waiting.extend(needs[&next].iter().cloned());
        reached.insert(next.clone());
        waiting.retain(|w| !reached.contains(w));
    }
    let all: BTreeSet<String> = bill["components"].as_array().unwrap().iter().map(|c| text(&c["bom-ref"])).collect();
    let unreached: Vec<_> = all.difference(&reached).collect();
    assert!(unreached.is_empty(), "{unreached:?}");
}

#[test]
fn the_same_sources_give_the_same_bill() {
    let once = || serde_json::to_string(&sbom::bill(&workspace()).expect("a bill")).unwrap();
    assert_eq!(once(), once());
}

#[test]
fn settings_and_flags_of_the_files_are_those_of_the_program() {
    let deploy = workspace().join("deploy");
    let read = |path: &str| std::fs::read_to_string(deploy.join(path)).expect(path);
    for path in ["systemd/server.toml", "kubernetes/server.toml"] {
        let file = deploy.join(path);
        let told = common::done(&deploy, &["serve", "--settings", file.to_str().unwrap(), "--print-settings"]);
        assert!(told.contains("/var/lib/statera"), "{path}: {told}");
    }
    // What cargo builds with goes into the image: without the flags SQLite would be another one.
    assert!(read("Containerfile.dockerignore").lines().any(|line| line == "!.cargo"));
    let unit = read("systemd/statera.service");
    // After what forbids it: what is named last holds.
    assert!(
        unit.contains("SystemCallFilter=~@privileged @resources\n")
            && unit.contains("\nSystemCallFilter=setpriority\n")
    );
    assert!(unit.contains("ExecStart=/usr/local/bin/statera serve --settings /etc/statera/server.toml\n"));
    assert!(read("kubernetes/deployment.yaml").contains("args: [serve, --settings=/etc/statera/server.toml]\n"));
    // What the image runs, and how it is asked whether it is well: without a server the answer is no, and not «unknown flag».
    let image = read("Containerfile");
    // In a stage every path begins at its root, wherever the stage itself worked.
    for line in image.lines().filter(|line| line.starts_with("COPY --from=")) {
        let sources: Vec<&str> = line.split_whitespace().skip(1).filter(|word| !word.starts_with("--")).collect();
        assert!(sources.len() > 1 && sources.iter().all(|source| source.starts_with('/')), "{line}");
    }
    assert!(image.contains("CMD [\"serve\", \"--store\", \"/var/lib/statera\", \"--listen\", \"0.0.0.0:8420\"]"));
    let ask = ["--requests", "1", "--timeout-ms", "2000", "--quiet"];
    assert!(image.contains(&format!("\"{}\"]", ask.join("\", \""))), "the health check asks otherwise");
    common::check(
        &deploy,
        &[&["bench", "http://127.0.0.1:1/health/ready"], &ask[..]].concat(),
        1,
        &["no connection to"],
    );
}
