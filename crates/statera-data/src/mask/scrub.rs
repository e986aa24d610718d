//! Identifiers inside free text become typed tokens such as [EMAIL]; see [`crate::personal::text`].

use super::{Action, Method, MethodKind};
use crate::personal::text::{SCANNERS, Scanner, replace};
use serde::Deserialize;
use statera_core::{Error, Result};

pub(super) const KIND: MethodKind = MethodKind {
    name: "text",
    about: "identifiers inside free text become tokens such as [EMAIL] (kinds)",
    needs_key: false,
    build: |setup| {
        let Settings { kinds } = setup.read()?;
        let scanners = match kinds {
            None => SCANNERS.iter().collect(),
            Some(kinds) => kinds.iter().map(|kind| scanner(kind)).collect::<Result<Vec<_>>>()?,
        };
        Ok(Action::Replace(Box::new(Scrub { scanners })))
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    kinds: Option<Vec<String>>,
}

fn scanner(kind: &str) -> Result<&'static Scanner> {
    SCANNERS.iter().find(|s| s.name == kind).ok_or_else(|| {
        let names: Vec<&str> = SCANNERS.iter().map(|s| s.name).collect();
        Error::request(format!("kinds: «{kind}» is not allowed; allowed are {}", names.join(", ")))
    })
}

struct Scrub {
    scanners: Vec<&'static Scanner>,
}

impl Method for Scrub {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        Ok(replace(cell, &self.scanners))
    }
}
