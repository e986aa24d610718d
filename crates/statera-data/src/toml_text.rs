//! Files of settings that people write: every error names the file, the line and what is written there.

use serde::de::DeserializeOwned;
use statera_core::{Error, Result};

/// Reads TOML; `path` is for messages.
///
/// # Errors
/// What TOML or the type does not allow.
pub fn read<T: DeserializeOwned>(text: &str, path: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let message = e.message().trim().replace('\n', "; ");
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

/// The number, from 1, of the line that holds a byte.
pub fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}
