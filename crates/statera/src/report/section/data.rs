//! What the model learnt from, and how good those rows are.

use super::{Section, day, first};
use crate::reference::Distribution;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::{cut, cut_text};
use statera_core::{Kind, Result};
use statera_data::conform::InputColumn;

pub(in super::super) const DATA: Section = Section { name: "data", view };

/// Most columns and notes that a page shows; the document for machines has all.
const MAX_COLUMNS: usize = 200;
const MAX_NOTES: usize = 40;
/// Levels of a column that are named.
const N_LEVELS: usize = 3;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, facts) = (&subject.words, &subject.facts);
    let inputs = &subject.bundle.scorer.schema().inputs;
    let mut tiles = vec![
        (words.count(facts.n_rows), words.get("word.rows")),
        (words.count(facts.n_train), words.get("data.train")),
        (words.count(facts.n_test), words.get("data.test")),
        (words.count(inputs.len()), words.get("data.columns")),
        (words.percent(missing_share(subject)), words.get("data.cells_missing")),
    ];
    if let Some(rate) = facts.event_rate {
        tiles.push((words.percent(rate), words.get("word.event_rate")));
    }
    let mut blocks = vec![Block::Tiles { tiles }, Block::text(split(subject))];
    if facts.n_test == 0 {
        blocks.push(Block::gap(words.get("data.gap_test"), "statera train … --test 0.2"));
    }
    if facts.settings.time.is_none() {
        blocks.push(Block::gap(words.get("data.gap_time"), "statera train … --time COLUMN"));
    }
    blocks.push(Block::heading(words.get("data.columns_title")));
    blocks.push(columns(subject));
    blocks.extend(other_roles(subject));
    blocks.extend(notes(subject));
    Ok(blocks)
}

/// What training noted: in the report's language, or as recorded where the bundle knows no codes of its notes.
fn notes(subject: &Subject<'_>) -> Option<Block> {
    let (words, facts) = (&subject.words, &subject.facts);
    let said: Option<Vec<String>> = facts.coded_notes.iter().map(|note| note.words(words)).collect();
    let said = said.filter(|said| said.len() == facts.notes.len());
    let (is_english, notes) = (said.is_none(), said.as_ref().unwrap_or(&facts.notes));
    let items: Vec<String> = notes.iter().take(MAX_NOTES).map(|n| cut_text(n)).collect();
    (!items.is_empty()).then(|| Block::Recorded { lead: words.get("data.notes"), items, is_english })
}

/// How rows were divided.
fn split(subject: &Subject<'_>) -> String {
    let (words, settings) = (&subject.words, &subject.facts.settings);
    let how = match (&settings.time, &settings.group) {
        (Some(time), _) => words.fill("data.split_time", &[("column", &cut(time))]),
        (None, Some(group)) => words.fill("data.split_group", &[("column", &cut(group))]),
        (None, None) => words.get("data.split_random"),
    };
    let folds = words.count(settings.folds);
    format!("{how} {}", words.fill("data.folds", &[("folds", &folds)]))
}

fn missing_share(subject: &Subject<'_>) -> f64 {
    let shares: Vec<f64> = subject.bundle.reference.columns.values().map(missing_of).collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

fn missing_of(distribution: &Distribution) -> f64 {
    match distribution {
        Distribution::Quantiles { missing, .. } | Distribution::Levels { missing, .. } => *missing,
    }
}

fn columns(subject: &Subject<'_>) -> Block {
    let (words, schema) = (&subject.words, subject.bundle.scorer.schema());
    let (inputs, hidden) = first(words, schema.inputs.iter().collect(), MAX_COLUMNS);
    let mut table =
        Table::of(words, &["<data.column", "<data.kind", "<data.unit", "data.missing", "<data.distribution"]);
    let row = |input: &&InputColumn| {
        let distribution = subject.bundle.reference.columns.get(&input.name);
        let missing = distribution.map_or("–".into(), |d| words.percent(missing_of(d)));
        let is_short = distribution.is_some_and(|d| missing_of(d) > 0.0);
        vec![
            Cell::of(cut(&input.name)),
            Cell::toned(words.get(&format!("kind.{}", input.kind.name())), "soft"),
            Cell::toned(subject.unit(&input.name).map_or(String::new(), cut), "soft"),
            if is_short { Cell::toned(missing, "warn") } else { Cell::of(missing) },
            Cell::toned(distribution.map_or("–".into(), |d| in_words(subject, input, d)), "soft"),
        ]
    };
    table.rows = inputs.iter().map(row).collect();
    table.note = Some(match hidden {
        Some(hidden) => format!("{} {hidden}", words.get("data.columns_note")),
        None => words.get("data.columns_note"),
    });
    Block::Table(table)
}

/// The middle of a number with the range of nine rows of ten, or the most frequent levels.
fn in_words(subject: &Subject<'_>, input: &InputColumn, distribution: &Distribution) -> String {
    let words = &subject.words;
    match distribution {
        Distribution::Quantiles { values, .. } if values.len() > 95 => {
            let [low, middle, high] = [5, 50, 95].map(|q| match input.kind {
                Kind::Time => day(values[q]),
                _ => words.in_unit(values[q], subject.unit(&input.name)),
            });
            words.fill("data.quantiles", &[("low", &low), ("middle", &middle), ("high", &high)])
        }
        Distribution::Quantiles { .. } => words.get("data.nothing"),
        Distribution::Levels { levels, .. } => {
            let named = levels.iter().take(N_LEVELS).map(|(l, share)| format!("{} {}", cut(l), words.percent(*share)));
            let mut text = named.collect::<Vec<_>>().join(" · ");
            if levels.len() > N_LEVELS {
                text.push_str(" · …");
            }
            if text.is_empty() { words.get("data.nothing") } else { text }
        }
    }
}

/// Columns that have another role than that of a feature.
fn other_roles(subject: &Subject<'_>) -> Option<Block> {
    let (words, settings) = (&subject.words, &subject.facts.settings);
    let mut table = Table::new(&[format!("<{}", words.get("data.role")), format!("<{}", words.get("data.column"))]);
    let single = [
        ("id", &settings.id),
        ("time", &settings.time),
        ("group", &settings.group),
        ("weight", &settings.weight),
        ("amount", &settings.amount),
        ("baseline", &settings.baseline),
    ];
    let mut line = |role: &str, columns: Vec<String>| {
        if !columns.is_empty() {
            let columns = if columns.len() > MAX_COLUMNS {
                format!("{}, …", columns[..MAX_COLUMNS].join(", "))
            } else {
                columns.join(", ")
            };
            table.rows.push(vec![Cell::of(words.get(&format!("role.{role}"))), Cell::toned(columns, "wide")]);
        }
    };
    for (role, column) in single {
        line(role, column.iter().map(|c| cut(c)).collect());
    }
    line("protected", settings.protected.iter().map(|c| cut(c)).collect());
    line("drop", settings.drop.iter().map(|c| cut(c)).collect());
    (!table.rows.is_empty()).then_some(Block::Table(table))
}
