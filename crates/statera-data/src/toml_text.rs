//! Files of settings that people write: every error names the file, the line and what is written there.

use serde::de::DeserializeOwned;
use statera_core::{Error, Result};

/// Reads TOML; `path` is for messages.
///
/// # Errors
/// What TOML or the type does not allow.
pub fn read<T: DeserializeOwned>(text: &str, path: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let message = allowed(&e.message().trim().replace('\n', "; "));
        match e.span() {
            None => Error::request(format!("{path}: {message}")),
            Some(span) => {
                let line = line_at(text, span.start);
                let written = text.lines().nth(line - 1).unwrap_or_default().trim();
                Error::request(format!("{path}, line {line} («{written}»): {message}"))
            }
        }
    })
}

/// What is wrong, with what is allowed in words instead of a type's name.
fn allowed(message: &str) -> String {
    if let Some((before, _)) = message.split_once("expected struct ") {
        return format!("{before}expected a table");
    }
    let words = [
        ("u8", "a whole number of 0 to 255"),
        ("u16", "a whole number of 0 to 65535"),
        ("u32", "a whole number of 0 to 4294967295"),
        ("u64", "a whole number of 0 or more"),
        ("usize", "a whole number of 0 or more"),
        ("i64", "a whole number"),
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
    ];
    let told = words.iter().find_map(|(name, words)| {
        let before = message.strip_suffix(name)?.strip_suffix("expected ")?;
        Some(format!("{before}expected {words}"))
    });
    told.unwrap_or_else(|| message.into())
}

/// The number, from 1, of the line that holds a byte.
pub fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct File {
        inner: Inner,
        count: u16,
        share: f64,
        is_on: bool,
        names: Vec<String>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {}

    #[test]
    fn what_is_allowed_is_told_in_words() {
        let check = |text: &str, message: &str| {
            assert_eq!(read::<File>(text, "a.toml").expect_err("refused").to_string(), message);
        };
        check(
            "count = -1",
            "a.toml, line 1 («count = -1»): invalid value: integer `-1`, expected a whole number of 0 to 65535",
        );
        check("\nshare = \"x\"", "a.toml, line 2 («share = \"x\"»): invalid type: string \"x\", expected a number");
        check("is_on = 1", "a.toml, line 1 («is_on = 1»): invalid type: integer `1`, expected true or false");
        check("names = 5", "a.toml, line 1 («names = 5»): invalid type: integer `5`, expected a list");
        check("inner = 5", "a.toml, line 1 («inner = 5»): invalid type: integer `5`, expected a table");
        check(
            "nmes = []",
            "a.toml, line 1 («nmes = []»): unknown field `nmes`, expected one of `inner`, `count`, `share`, `is_on`, `names`",
        );
    }
}
