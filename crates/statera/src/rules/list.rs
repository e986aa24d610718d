//! Lists of values that a condition asks for: in the file of rules, or in a file beside it that its digest names.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Lists of one file of rules; a bundle holds their files as parts.
pub(super) const MAX_LISTS: usize = 16;
/// Values of a list that stands in the file of rules.
const MAX_INLINE: usize = 1_000;
/// Largest file of a list.
const MAX_BYTES: u64 = 64 << 20;
/// Begins the name of a list's file in a bundle.
const PART: &str = "list-";

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What conditions call it.
    pub name: String,
    /// Its values, where they stand here.
    #[serde(default)]
    pub values: Vec<String>,
    /// Name of a file beside this one: a value a line, blank lines and those that begin with `#` left out.
    #[serde(default)]
    pub file: Option<String>,
    /// BLAKE3 of that file, hexadecimal: the version of the rules names what is in their lists.
    #[serde(default)]
    pub blake3: Option<String>,
}

/// The values of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListSet {
    texts: HashSet<Box<str>>,
    /// Those that are whole numbers in their plain form, for identifiers that are stored as numbers.
    wholes: HashSet<i64>,
}

impl ListSet {
    /// The set of these values; what stands twice counts once.
    pub fn new<'a>(values: impl Iterator<Item = &'a str>) -> ListSet {
        let mut set = ListSet::default();
        for value in values {
            set.wholes.extend(value.parse::<i64>().ok().filter(|whole| whole.to_string() == value));
            set.texts.insert(value.into());
        }
        set
    }

    /// True if the text is one of the values.
    pub fn has_text(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// True if the whole number, written plainly, is one of the values.
    pub fn has_whole(&self, whole: i64) -> bool {
        self.wholes.contains(&whole)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// The name of a list's file in a bundle.
pub fn list_part(file: &str) -> String {
    format!("{PART}{file}")
}

type Loaded = (BTreeMap<String, Arc<ListSet>>, BTreeMap<String, Vec<u8>>);

/// The values of each list, and the bytes of those that are files.
pub(super) fn load(lists: &[List], file: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Loaded> {
    let (mut sets, mut files) = (BTreeMap::new(), BTreeMap::new());
    for list in lists {
        let place = |e: Error| e.at(format!("list «{}»", list.name));
        if list.name.trim().is_empty() || sets.contains_key(&list.name) {
            return Err(place(Error::request("the name is empty or taken")));
        }
        let set = match &list.file {
            None => list.inline().map_err(place)?,
            Some(name) => {
                let bytes = list.bytes(name, &file).map_err(place)?;
                let set = read_values(&bytes).map_err(|e| place(e.at(name)))?;
                files.insert(name.clone(), bytes);
                set
            }
        };
        sets.insert(list.name.clone(), Arc::new(set));
    }
    Ok((sets, files))
}

impl List {
    fn inline(&self) -> Result<ListSet> {
        if self.blake3.is_some() {
            return Err(Error::request("blake3 is of a file; name it with file, or leave the digest out"));
        }
        let n = self.values.len();
        if n == 0 || n > MAX_INLINE {
            return Err(Error::request(format!(
                "there are {n} values; allowed: 1 to {MAX_INLINE}, or file, the name of a file beside this one"
            )));
        }
        Ok(ListSet::new(self.values.iter().map(String::as_str)))
    }

    /// The bytes of the list's file, if they are those that the digest names.
    fn bytes(&self, name: &str, file: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        if !self.values.is_empty() {
            return Err(Error::request("has values and a file; allowed: one of them"));
        }
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('.') || name.ends_with(".toml") || !name.chars().all(is_plain) {
            return Err(Error::request(format!(
                "file is «{name}»; allowed: the plain name of a file beside this one, such as watched.txt"
            )));
        }
        let bytes = file(name)?;
        let found = blake3::hash(&bytes).to_hex();
        match &self.blake3 {
            Some(named) if named.eq_ignore_ascii_case(&found) => Ok(bytes),
            Some(named) => Err(Error::request(format!(
                "{name} was altered: its BLAKE3 is {found}, this file names {named}; a changed list is a new version of the rules"
            ))),
            None => Err(Error::request(format!(
                "without a digest; allowed: blake3 = \"{found}\", which is that of {name} now"
            ))),
        }
    }
}

/// The bytes of a file beside the rules.
pub(super) fn read_beside(dir: &Path, name: &str) -> Result<Vec<u8>> {
    let path = dir.join(name);
    let failed = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    File::open(&path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::request(format!("{}: larger than {MAX_BYTES} bytes", path.display())));
    }
    Ok(bytes)
}

fn read_values(bytes: &[u8]) -> Result<ListSet> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::request("is not UTF-8"))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    Ok(ListSet::new(lines.filter(|line| !line.is_empty() && !line.starts_with('#'))))
}
