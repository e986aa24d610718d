//! How the same bundle is made again.

use super::Section;
use crate::project::Settings;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use serde_json::Value;
use statera_core::{Error, Result};

pub(in super::super) const REPRODUCE: Section = Section { name: "reproduce", view };

/// Characters of the settings that a page shows.
const MAX_CHARS: usize = 20_000;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, manifest) = (&subject.words, &subject.bundle.manifest);
    let mut table = Table::new(&["<".into(), "<".into()]);
    let mut line = |key: &str, value: String| {
        table.rows.push(vec![Cell::of(words.get(&format!("reproduce.{key}"))), Cell::toned(value, "code")]);
    };
    line("digest", subject.digest.clone());
    line("software", manifest.software.clone());
    line("format", manifest.format_version.to_string());
    line("seed", manifest.seed.to_string());
    line("fingerprint", manifest.data_fingerprint.clone());
    for parent in &manifest.parents {
        line("parent", parent.clone());
    }
    let parts: Vec<String> = manifest.parts.iter().map(|(name, part)| format!("{}  {name}", part.blake3)).collect();
    let mut blocks = vec![
        Block::text(words.get("reproduce.lead")),
        Block::Table(table),
        Block::heading(words.get("reproduce.settings")),
        Block::Code { text: changed(&subject.facts.settings)? },
    ];
    if !parts.is_empty() {
        blocks.extend([Block::heading(words.get("reproduce.parts")), Block::Code { text: parts.join("\n") }]);
    }
    Ok(blocks)
}

/// The settings that are not the defaults, as recorded.
fn changed(settings: &Settings) -> Result<String> {
    let fault = |e: serde_json::Error| Error::data(format!("the settings: {e}"));
    let of = |settings: &Settings| serde_json::to_value(settings).map_err(fault);
    let (mut own, default) = (of(settings)?, of(&Settings::default())?);
    if let (Value::Object(own), Value::Object(default)) = (&mut own, &default) {
        own.retain(|key, value| default.get(key) != Some(value));
        own.insert("seed".into(), settings.seed.into());
    }
    let text = serde_json::to_string_pretty(&own).map_err(fault)?;
    Ok(match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}\n…", &text[..end]),
        None => text,
    })
}
