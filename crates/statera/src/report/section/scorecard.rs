//! The scorecard with its points.

use super::{Section, first};
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::{Words, cut, cut_text};
use statera_core::Result;
use statera_learn::scorecard::{CardRow, ScorecardModel};

pub(in super::super) const SCORECARD: Section = Section { name: "scorecard", view };

/// Most lines that a page shows.
const MAX_LINES: usize = 400;
const MAX_LEFT_OUT: usize = 100;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    let members = subject.bundle.scorer.members();
    let card = members.iter().find_map(|m| m.model.as_any().downcast_ref::<ScorecardModel>());
    if card.is_none() && subject.facts.scorecard.is_empty() {
        return Ok(vec![Block::gap(words.get("scorecard.gap"), "statera train … --models scorecard,boosting")]);
    }
    let mut blocks = Vec::new();
    match card {
        Some(card) => {
            let key = if members.len() == 1 { "scorecard.is_chosen" } else { "scorecard.is_part" };
            let start = words.number(f64::from(card.start_points()));
            blocks.push(Block::text(words.fill(key, &[("points", &start)])));
            blocks.push(points(words, card));
        }
        None => blocks.push(Block::text(words.get("scorecard.is_candidate"))),
    }
    if !subject.facts.scorecard.is_empty() {
        blocks.push(Block::heading(words.get("scorecard.characteristics_title")));
        blocks.push(characteristics(subject));
    }
    let left_out = subject.facts.scorecard.iter().filter_map(|line| {
        line.left_out.as_ref().map(|why| format!("{}: {}", cut(&line.characteristic), cut_text(why)))
    });
    let left_out: Vec<String> = left_out.take(MAX_LEFT_OUT).collect();
    if !left_out.is_empty() {
        blocks.push(Block::Recorded { lead: words.get("scorecard.left_out"), items: left_out, is_english: true });
    }
    Ok(blocks)
}

/// The card: points by bin of the characteristics on it.
fn points(words: &Words, card: &ScorecardModel) -> Block {
    let on_card: Vec<&str> =
        card.characteristics().iter().filter(|c| c.estimate.is_some()).map(|c| c.title()).collect();
    let rows: Vec<CardRow> =
        card.table().into_iter().filter(|r| on_card.contains(&r.characteristic.as_str())).collect();
    let (rows, hidden) = first(words, rows, MAX_LINES);
    let mut table = Table::of(
        words,
        &[
            "<scorecard.characteristic",
            "<scorecard.bin",
            "scorecard.points",
            "scorecard.share",
            "scorecard.bad_rate",
            "scorecard.woe",
        ],
    );
    let mut last = String::new();
    for own in
        rows.chunk_by(|a, b| a.characteristic == b.characteristic && is_empty(a) && is_empty(b) && a.points == b.points)
    {
        let row = &own[0];
        let is_new = row.characteristic != last;
        last.clone_from(&row.characteristic);
        let bins: Vec<String> = own.iter().map(|r| bin(words, r)).collect();
        table.rows.push(vec![
            Cell::of(if is_new { cut(&row.characteristic) } else { String::new() }),
            Cell::of(bins.join(" · ")),
            Cell::of(row.points.to_string()),
            Cell::toned(words.percent(row.share), "soft"),
            Cell::toned(if is_empty(row) { "–".into() } else { words.percent(row.bad_rate) }, "soft"),
            Cell::toned(words.fixed(row.woe), "soft"),
        ]);
    }
    table.note = hidden;
    Block::Table(table)
}

/// True of a bin that no training row fell into: such bins of the same points share a line.
fn is_empty(row: &CardRow) -> bool {
    row.rows == 0.0
}

/// A bin as the card has it; the special ones in words.
fn bin(words: &Words, row: &CardRow) -> String {
    let kind = format!("{:?}", row.kind).to_lowercase();
    words.known(&format!("bin.{kind}")).unwrap_or_else(|| cut(&row.bin))
}

fn characteristics(subject: &Subject<'_>) -> Block {
    let words = &subject.words;
    let mut table = Table::of(
        words,
        &[
            "<scorecard.characteristic",
            "scorecard.bins",
            "scorecard.iv",
            "scorecard.most_points",
            "scorecard.coefficient",
            "scorecard.p_value",
            "scorecard.vif",
        ],
    );
    let on_card = subject.facts.scorecard.iter().filter(|line| line.left_out.is_none());
    let (lines, hidden) = first(words, on_card.collect(), MAX_LINES);
    for line in lines {
        let estimate = |of: &dyn Fn(&statera_learn::scorecard::Estimate) -> String| {
            Cell::toned(line.estimate.as_ref().map_or("–".into(), of), "soft")
        };
        table.rows.push(vec![
            Cell::of(cut(&line.characteristic)),
            Cell::of(line.n_bins.to_string()),
            Cell::of(words.fixed(line.iv)),
            Cell::of(line.most_points.map_or("–".into(), |p| p.to_string())),
            estimate(&|e| words.fixed(e.coefficient)),
            estimate(&|e| if e.p_value < 0.001 { "< 0.001".into() } else { words.fixed(e.p_value) }),
            estimate(&|e| format!("{:.2}", e.vif)),
        ]);
    }
    table.note = hidden;
    Block::Table(table)
}
