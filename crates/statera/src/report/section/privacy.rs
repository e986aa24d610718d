//! Which columns are about persons, and what of them the bundle holds.

use super::{Section, first};
use crate::project::Sensitivity;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::cut;
use statera_core::Result;

pub(in super::super) const PRIVACY: Section = Section { name: "privacy", view };

const MAX_COLUMNS: usize = 200;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    let schema = subject.bundle.scorer.schema();
    let settings = &subject.facts.settings;
    let mut blocks = vec![Block::List { items: held(subject) }];
    let is_feature = |column: &str| schema.inputs.iter().any(|i| i.name == column);
    let mut lines: Vec<(&str, &str, String)> = Vec::new();
    for (column, sensitivity) in &schema.sensitivity {
        let name = match sensitivity {
            Sensitivity::Public => "public",
            Sensitivity::Internal => "internal",
            Sensitivity::Personal => "personal",
            Sensitivity::Special => "special",
        };
        let purposes: Vec<String> = schema.purposes.get(column).into_iter().flatten().map(|p| cut(p)).collect();
        lines.push((column, name, purposes.join(", ")));
    }
    let known = |column: &str, lines: &[(&str, &str, String)]| lines.iter().any(|l| l.0 == column);
    for column in &settings.protected {
        if !known(column, &lines) {
            lines.push((column, "protected", String::new()));
        }
    }
    if let Some(id) = settings.id.as_deref().filter(|id| !known(id, &lines)) {
        lines.push((id, "identifier", String::new()));
    }
    if schema.sensitivity.is_empty() {
        blocks.push(Block::gap(words.get("privacy.gap"), words.get("privacy.gap_how")));
    }
    if lines.is_empty() {
        return Ok(blocks);
    }
    let mut table = Table::of(words, &["<privacy.column", "<privacy.class", "<privacy.purposes", "<privacy.in_model"]);
    let (lines, hidden) = first(words, lines, MAX_COLUMNS);
    for (column, class, purposes) in lines {
        let tone = match class {
            "special" => "grave",
            "personal" | "protected" | "identifier" => "warn",
            _ => "",
        };
        table.rows.push(vec![
            Cell::of(cut(column)),
            Cell::badge(words.get(&format!("privacy.class_{class}")), tone),
            Cell::toned(purposes, "soft"),
            Cell::of(words.yes(is_feature(column))),
        ]);
    }
    table.note = hidden;
    blocks.push(Block::Table(table));
    Ok(blocks)
}

/// What the bundle holds that could tell of customers.
fn held(subject: &Subject<'_>) -> Vec<String> {
    let words = &subject.words;
    let has_case = subject.facts.alerts.as_ref().is_some_and(|alerts| alerts.case.is_some());
    let no_rows = if has_case { "no_rows_but_case" } else { "no_rows" };
    let mut items = [no_rows, "reference", "golden"].map(|key| words.get(&format!("privacy.{key}"))).to_vec();
    if subject.bundle.background.is_some() {
        items.push(words.get("privacy.background"));
    }
    if let Some(background) = subject.facts.background {
        let (n, alike) = (words.count(background.n_rows), words.count(background.n_alike));
        items.push(words.fill("privacy.alike", &[("n", &n), ("alike", &alike)]));
    }
    items.push(words.get("privacy.examples"));
    items
}
