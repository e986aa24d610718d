//! `ARCHITECTURE.md` names places that exist, and stays short.

use std::path::Path;

#[test]
fn every_path_it_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert!(text.lines().count() < 300, "it has {} lines", text.lines().count());
    let paths: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|p| p.starts_with("crates/") || p.starts_with("bench")).collect();
    assert!(paths.len() > 20, "only {} paths were found in it", paths.len());
    let absent: Vec<&&str> = paths.iter().filter(|p| !root.join(p).exists()).collect();
    assert!(absent.is_empty(), "it names what does not exist: {absent:?}");
}
