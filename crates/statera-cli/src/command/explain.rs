//! `statera explain`.

use super::reading;
use crate::args::Explain;
use crate::console::{Console, figure};
use statera::bundle::Bundle;
use statera::policy::Decision;
use statera::reasons::Language;
use statera::recourse::LimitBy;
use statera::{explain, models};
use statera_core::{Run, Task};

pub fn run(args: &Explain, console: &Console, run: &Run) -> anyhow::Result<()> {
    let bundle = Bundle::read(&args.bundle)?;
    let schema = bundle.scorer.schema();
    let mut options = reading::options(&args.reading)?;
    if options.tz.is_none() {
        options.tz = Some(schema.tz.clone());
    }
    let recourse = Some(LimitBy::Time);
    let asked = explain::Asked { language: args.lang.into(), against_background: args.background, recourse };
    let has_two_ways = bundle.scorer.members().iter().any(|m| m.family == models::BOOSTING);
    if args.background && !has_two_ways {
        console.note("--background changes nothing: only boosting has two ways of telling what a column adds");
    }
    let found = explain::explain_row(&bundle, &args.data, &options, &args.row, asked, run)?;
    if console.json {
        return console.print_json(&found);
    }
    let event = found.class.as_deref().or(schema.classes.last().map(String::as_str)).unwrap_or_default();
    let what = match schema.task {
        Task::Regression => "prediction".to_string(),
        Task::Binary => format!("probability of {} = {event}", schema.target),
        Task::Classes(_) => format!("likeliest is {} = {event}, with a probability of", schema.target),
    };
    let grade = found.grade.as_ref().map_or(String::new(), |g| format!(", grade {g}"));
    let decision = found.decision.map_or(String::new(), |d| format!(": {}", d.name()));
    console.paragraph(format!("Row {}: {what} {:.4}{grade}{decision}", found.row, found.score));
    let has_one_way = bundle.scorer.members().iter().any(|m| m.family != models::BOOSTING);
    let base = match (args.background && has_two_ways, has_one_way) {
        (false, _) => "(the average row)",
        (true, false) => "(the average background row)",
        // Each member measures from its own average.
        (true, true) => "(the average row, of boosting the average background row)",
    };
    let mut rows = vec![vec![base.into(), String::new(), figure(found.base)]];
    rows.extend(
        found
            .contributions
            .iter()
            .map(|c| vec![c.column.clone(), short(c.cell.as_deref()), format!("{:+.4}", c.value)]),
    );
    if found.remainder != 0.0 {
        rows.push(vec!["(not attributed)".into(), String::new(), format!("{:+.4}", found.remainder)]);
    }
    let sum = match &found.against {
        Some(against) => format!("(sum: log-odds of {} against {})", short(Some(event)), short(Some(against))),
        None => "(sum: the margin)".into(),
    };
    rows.push(vec![sum, String::new(), figure(found.margin)]);
    console.table(&["Column", "Cell", "Adds"], rows);
    if found.decision == Some(Decision::Approve) && !found.reasons.is_empty() {
        console.line("What speaks for it:");
    }
    for (i, reason) in found.reasons.iter().enumerate() {
        let language: Language = args.lang.into();
        let about = if reason.actionable { format!("  ({})", language.actionable()) } else { String::new() };
        console.line(format!("{}. {}{about}", i + 1, reason.text));
    }
    if let Some(recourse) = &found.recourse {
        console.line("");
        recourse.paragraphs(args.lang.into()).iter().for_each(|text| console.paragraph(text));
    }
    Ok(())
}

/// Letters of a cell that are shown.
const SHOWN: usize = 24;

/// A cell that does not break the table.
fn short(cell: Option<&str>) -> String {
    match cell.map(str::trim) {
        None | Some("") => "missing".into(),
        Some(text) if text.chars().count() > SHOWN => text.chars().take(SHOWN - 1).chain(['…']).collect(),
        Some(text) => text.into(),
    }
}
