//! A bundle as its parts, which a test changes and seals again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

/// The parts of a bundle that is a .zip, by name.
pub fn parts(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let n = zip.len();
    let read = |i| {
        let mut file = zip.by_index(i).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (file.name().unwrap().to_string(), bytes)
    };
    (0..n).map(read).collect()
}

/// Makes the manifest right again: a digest keeps nobody out who can write one.
pub fn seal(parts: &mut BTreeMap<String, Vec<u8>>, name: &str) {
    let Some(bytes) = parts.get(name) else { return };
    let (n_bytes, digest) = (bytes.len(), blake3::hash(bytes).to_hex().to_string());
    let mut manifest: serde_json::Value = serde_json::from_slice(&parts["manifest.json"]).unwrap();
    manifest["parts"][name] = serde_json::json!({"bytes": n_bytes, "blake3": digest});
    parts.insert("manifest.json".into(), serde_json::to_vec(&manifest).unwrap());
}

/// Writes the parts as a bundle's folder, in the place of what was there.
pub fn write(parts: &BTreeMap<String, Vec<u8>>, place: &Path) {
    let _ = fs::remove_dir_all(place);
    fs::create_dir(place).unwrap();
    for (name, bytes) in parts {
        fs::write(place.join(name), bytes).unwrap();
    }
}
