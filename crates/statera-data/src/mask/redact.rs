//! Every cell becomes one word.

use super::{Action, Method, MethodKind};
use serde::Deserialize;
use statera_core::Result;

pub(super) const KIND: MethodKind = MethodKind {
    name: "redact",
    about: "one word in place of every cell (with = \"[REDACTED]\")",
    needs_key: false,
    build: |setup| {
        let Settings { with } = setup.read()?;
        Ok(Action::Replace(Box::new(Redact { with: with.unwrap_or_else(|| "[REDACTED]".into()) })))
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    with: Option<String>,
}

struct Redact {
    with: String,
}

impl Method for Redact {
    fn mask(&self, _: &str, _: u64) -> Result<String> {
        Ok(self.with.clone())
    }
}
