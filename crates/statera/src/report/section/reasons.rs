//! What customers are told, in the bank's own words.

use super::{Section, first};
use crate::reasons::Direction;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::{cut, cut_text};
use statera_core::Result;

pub(in super::super) const REASONS: Section = Section { name: "reasons", view };

const MAX_REASONS: usize = 150;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    let Some(own) = &subject.bundle.deciding.reasons else {
        let how = "statera policy BUNDLE --reasons reasons.toml --out NEW";
        return Ok(vec![Block::gap(words.get("reasons.gap"), how)]);
    };
    let most = words.count(own.read.max_reasons);
    let lead = words.fill("reasons.lead", &[("version", &cut(&own.read.version)), ("n", &most)]);
    let mut table = Table::of(
        words,
        &["<reasons.code", "<reasons.text", "<reasons.columns", "<reasons.direction", "<reasons.actionable"],
    );
    let (reasons, hidden) = first(words, own.read.reason.iter().collect(), MAX_REASONS);
    for reason in reasons {
        let direction = match reason.direction {
            Direction::Against => "against",
            Direction::For => "for",
            Direction::Either => "either",
        };
        let columns: Vec<String> = reason.columns.iter().map(|c| cut(c)).collect();
        table.rows.push(vec![
            Cell::of(cut(&reason.code)),
            Cell::toned(cut_text(reason.text(words.language)), "wide"),
            Cell::toned(cut_text(&columns.join(", ")), "wide soft"),
            Cell::toned(words.get(&format!("reasons.{direction}")), "soft"),
            Cell::toned(words.yes(reason.actionable), "soft"),
        ]);
    }
    table.note = hidden;
    let stability = match subject.judgement.and_then(|j| j.stability) {
        Some(stability) => Block::text(words.fill(
            "reasons.stability",
            &[
                ("rows", &words.count(stability.n_rows)),
                ("fits", &words.count(stability.n_fits)),
                ("first", &words.percent(stability.first_stays)),
                ("overlap", &words.percent(stability.overlap)),
            ],
        )),
        None => Block::gap(
            words.get("reasons.gap_stability"),
            "statera train … --policy policy.toml --reasons reasons.toml",
        ),
    };
    Ok(vec![Block::text(lead), Block::Table(table), stability])
}
