//! Whether the test rows are distributed as the training rows are, beside what chance does to samples of these sizes.

use super::Section;
use crate::drift::Shift;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::cut;
use statera_core::Result;

pub(in super::super) const STABILITY: Section = Section { name: "stability", view };

/// Most columns shown, the largest index first.
const MAX_COLUMNS: usize = 40;
/// The customary sign of a large shift.
const LARGE: f64 = 0.25;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    let Some(stability) = &subject.facts.stability else {
        let (what, how) = if subject.facts.n_test == 0 {
            (words.get("stability.gap_test"), "statera train … --test 0.2".to_string())
        } else {
            (words.get("stability.gap"), words.get("page.train_again"))
        };
        return Ok(vec![Block::gap(what, how)]);
    };
    let beyond = stability.columns.iter().filter(|s| s.psi > s.bound).count();
    let lead = words.fill(
        "stability.lead",
        &[
            ("train", &words.count(stability.n_train)),
            ("test", &words.count(stability.n_test)),
            ("beyond", &words.count(beyond)),
            ("n", &words.count(stability.columns.len())),
            ("expected", &format!("{:.1}", 0.05 * stability.columns.len() as f64)),
        ],
    );
    let mut table = Table::of(
        words,
        &["<stability.what", "stability.psi", "stability.bound", "stability.bins", "<stability.verdict"],
    );
    let row = |name: String, shift: &Shift| {
        let verdict = match shift.psi {
            psi if psi <= shift.bound => Cell::toned(words.get("stability.chance"), "soft"),
            psi if psi > LARGE => Cell::badge(words.get("stability.large"), "grave"),
            _ => Cell::badge(words.get("stability.beyond"), "warn"),
        };
        let figures = [format!("{:.4}", shift.psi), format!("{:.4}", shift.bound), shift.n_bins.to_string()];
        [Cell::of(name)].into_iter().chain(figures.map(Cell::of)).chain([verdict]).collect::<Vec<Cell>>()
    };
    table.rows.extend(stability.score.iter().map(|s| row(words.get("stability.score"), s)));
    table.rows.extend(stability.columns.iter().take(MAX_COLUMNS).map(|s| row(cut(&s.column), s)));
    let hidden = stability.columns.len().saturating_sub(MAX_COLUMNS);
    let note = words.get("stability.note");
    table.note = Some(match hidden {
        0 => note,
        n => format!("{note} {}", words.fill("page.hidden", &[("n", &words.count(n))])),
    });
    Ok(vec![Block::text(lead), Block::Table(table)])
}
