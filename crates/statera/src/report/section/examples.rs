//! Three decisions explained, of rows that are taken from nobody, and what would turn them.

use super::Section;
use crate::policy::Decision;
use crate::recourse::{Change, Found};
use crate::report::subject::{Example, Risk, Subject};
use crate::report::view::{Block, Named, Panel, diverging};
use crate::report::words::{cut, cut_text};
use statera_core::Result;

pub(in super::super) const EXAMPLES: Section = Section { name: "examples", view };

/// Columns shown by themselves; the others are summed.
const MAX_COLUMNS: usize = 8;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    if subject.examples.is_empty() {
        return Ok(vec![Block::text(words.get("examples.not_for_task"))]);
    }
    let panels = subject.examples.iter().map(|e| panel(subject, e)).collect();
    Ok(vec![Block::text(words.get("examples.lead")), Block::Panels { panels }])
}

fn panel(subject: &Subject<'_>, example: &Example) -> Panel {
    let (words, why) = (&subject.words, &example.explanation);
    let name = match example.risk {
        Risk::Low => "low",
        Risk::Middle => "middle",
        Risk::High => "high",
    };
    let kind = if subject.is_binary() { "risk" } else { "value" };
    let mut values: Vec<Named> = why
        .contributions
        .iter()
        .take(MAX_COLUMNS)
        .map(|c| {
            let cell = subject.cell(&c.column, c.cell.as_deref());
            let label = words.fill("examples.cell", &[("column", &cut(&c.column)), ("cell", &cell)]);
            (label, c.value, words.signed(c.value))
        })
        .collect();
    let rest: f64 = why.contributions.iter().skip(MAX_COLUMNS).map(|c| c.value).sum();
    let n_rest = why.contributions.len().saturating_sub(MAX_COLUMNS);
    if n_rest > 0 {
        values.push((words.fill("examples.rest", &[("n", &words.count(n_rest))]), rest, words.signed(rest)));
    }
    if why.remainder != 0.0 {
        values.push((words.get("examples.remainder"), why.remainder, words.signed(why.remainder)));
    }
    let score = if subject.is_binary() {
        words.percent(why.score)
    } else {
        words.in_unit(why.score, subject.unit(&subject.facts.target))
    };
    let mut notes = Vec::new();
    if let Some(decision) = why.decision {
        let grade =
            why.grade.as_ref().map_or_else(String::new, |g| format!(" · {} {}", words.get("cutoff.grade"), cut(g)));
        notes.push(format!("{}{grade}", words.get(&format!("decision.{}", decision.name()))));
    }
    // A row that is approved gets no reasons; without a policy they say what would speak against it.
    let reasons = if why.decision == Some(Decision::Approve) { &[][..] } else { &why.reasons[..] };
    notes.extend(reasons.iter().enumerate().map(|(i, r)| format!("{}. {}", i + 1, cut_text(&r.text))));
    notes.extend(why.recourse.iter().flat_map(|found| recourse(subject, found)));
    let sum = [("base", words.signed(why.base)), ("margin", words.signed(why.margin))];
    let sum: Vec<(&str, &str)> = sum.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Panel {
        title: words.get(&format!("examples.{name}_{kind}")),
        aside: score,
        lead: words.fill("examples.sum", &sum),
        bars: diverging(values),
        notes,
    }
}

/// What would turn the decision, a line an answer, or why there is none.
fn recourse(subject: &Subject<'_>, found: &Found) -> Vec<String> {
    let words = &subject.words;
    let (version, text) = (cut(&found.version), found.heading(words.language));
    let change = |c: &Change| {
        let [from, to] = [&c.from, &c.to].map(|cell| subject.cell(&c.column, Some(cell)));
        format!("{}: {from} → {to}", cut(&c.column))
    };
    let answers = found.answers.iter().enumerate().map(|(i, answer)| {
        let changes: Vec<String> = answer.changes.iter().map(change).collect();
        let (n, changes, score) = ((i + 1).to_string(), changes.join("; "), words.percent(answer.score));
        words.fill("examples.answer", &[("n", &n), ("changes", &changes), ("score", &score)])
    });
    let heading = words.fill("examples.recourse", &[("version", &version), ("text", &text)]);
    [heading].into_iter().chain(answers).collect()
}
