//! What the model goes by: importance, dependence and interactions.

use super::{Section, bin_words};
use crate::dependence::Dependence;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Panel, Table, bars, diverging};
use crate::report::words::cut;
use statera_core::{Kind, Result};

pub(in super::super) const EXPLANATION: Section = Section { name: "explanation", view };

/// Columns and pairs shown.
const MAX_COLUMNS: usize = 20;
const MAX_PAIRS: usize = 8;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, facts) = (&subject.words, &subject.facts);
    if facts.importance.is_empty() {
        return Ok(vec![Block::gap(words.get("explanation.gap"), words.get("page.train_again"))]);
    }
    let n = words.count(facts.n_importance);
    let lead = if facts.n_importance > 0 {
        words.fill("explanation.lead", &[("rows", &n)])
    } else {
        words.get("explanation.lead_plain")
    };
    let importance = facts.importance.iter().take(MAX_COLUMNS);
    let panel = Panel {
        title: words.get("explanation.importance"),
        aside: words.get("explanation.margin_units"),
        lead: String::new(),
        bars: bars(importance.map(|(column, size)| (cut(column), *size, words.fixed(*size))).collect()),
        notes: match facts.importance.len().saturating_sub(MAX_COLUMNS) {
            0 => Vec::new(),
            hidden => vec![words.fill("page.hidden", &[("n", &words.count(hidden))])],
        },
    };
    let mut blocks = vec![Block::text(lead), Block::Panels { panels: vec![panel] }];
    blocks.push(Block::heading(words.get("explanation.dependence_title")));
    if facts.dependence.is_empty() {
        let is_single = facts.task.n_outputs() == 1;
        blocks.push(if is_single {
            Block::gap(words.get("explanation.gap_dependence"), words.get("page.train_again"))
        } else {
            Block::text(words.get("explanation.no_dependence"))
        });
    } else {
        blocks.push(Block::text(words.get("explanation.dependence_lead")));
        blocks.push(Block::Panels { panels: facts.dependence.iter().map(|d| dependence(subject, d)).collect() });
    }
    blocks.push(Block::heading(words.get("explanation.interactions_title")));
    blocks.extend(interactions(subject));
    Ok(blocks)
}

fn dependence(subject: &Subject<'_>, dependence: &Dependence) -> Panel {
    let words = &subject.words;
    let column = &dependence.column;
    let kind =
        subject.bundle.scorer.schema().inputs.iter().find(|i| i.name == *column).map_or(Kind::Category, |i| i.kind);
    let unit = subject.unit(column);
    let values = dependence.bins.iter().map(|bin| {
        let value = format!("{} ± {:.3}", words.signed(bin.mean), (bin.high - bin.low) / 2.0);
        (bin_words(words, &bin.label, kind, unit), bin.mean, value)
    });
    Panel {
        title: cut(column),
        aside: unit.map_or(String::new(), cut),
        lead: String::new(),
        bars: diverging(values.collect()),
        notes: if dependence.bins.is_empty() { vec![words.get("explanation.few_rows")] } else { Vec::new() },
    }
}

fn interactions(subject: &Subject<'_>) -> Vec<Block> {
    let words = &subject.words;
    let Some(found) = &subject.facts.interactions else {
        return vec![if subject.facts.task.n_outputs() == 1 {
            Block::gap(words.get("explanation.gap_interactions"), words.get("page.train_again"))
        } else {
            Block::text(words.get("explanation.no_dependence"))
        }];
    };
    let Some(strongest) = found.first() else { return vec![Block::text(words.get("explanation.no_interactions"))] };
    let mut table = Table::new(&[format!("<{}", words.get("explanation.pair")), words.get("explanation.strength")]);
    table.rows = found
        .iter()
        .take(MAX_PAIRS)
        .map(|i| {
            let [a, b] = &i.columns;
            vec![Cell::of(format!("{} × {}", cut(a), cut(b))), Cell::of(words.fixed(i.strength))]
        })
        .collect();
    table.note = Some(words.fill("explanation.interactions_note", &[("rows", &words.count(strongest.n_rows))]));
    vec![Block::Table(table)]
}
