//! `statera train --use-case segment`.

use crate::args::Train;
use crate::console::{Console, count, counted, figure};
use serde_json::json;
use statera::project::Settings;
use statera::segment::{self, Segment, SegmentFacts};
use statera_core::Run;
use statera_data::Table;
use statera_data::infer::TextFormat;
use std::collections::BTreeMap;

pub fn run(
    table: Table,
    settings: &Settings,
    formats: &BTreeMap<String, TextFormat>,
    args: &Train,
    console: &Console,
    run: &Run,
) -> anyhow::Result<()> {
    let mut found = segment::train(table, settings, formats, run)?;
    found.bundle.write(&args.out, args.force, run)?;
    if console.json {
        let digest = found.bundle.digest()?;
        return console.print_json(&json!({ "bundle": args.out, "digest": digest, "facts": found.facts }));
    }
    print(&found.facts, console);
    console.line(format!("\nThe bundle is {}; next:", args.out.display()));
    console.line(format!("  statera score {} NEW.csv --out segments.csv", args.out.display()));
    Ok(())
}

fn print(facts: &SegmentFacts, console: &Console) {
    for note in &facts.notes {
        console.note(note);
    }
    console.paragraph(format!(
        "{} by {}",
        counted(facts.n_rows, "row", "rows"),
        counted(facts.columns.len(), "column", "columns")
    ));
    let rows = facts.candidates.iter().map(|c| {
        let used = if c.model == facts.chosen { " (used)" } else { "" };
        let value = c.tried.iter().find(|(k, _)| *k == c.k).map_or("–".into(), |(_, v)| figure(*v));
        vec![
            format!("{}{used}", c.title),
            c.k.to_string(),
            format!("{} {value}", c.criterion),
            // All rows are one segment whichever are drawn.
            if c.k > 1 { figure(c.jaccard) } else { "–".into() },
            figure(c.adjusted_rand),
        ]
    });
    console.table(&["", "Segments", "Chosen by", "Stability", "Rand index"], rows.collect());
    for segment in &facts.segments {
        console.paragraph(in_words(segment));
    }
    console.paragraph(
        "Stability is the mean Jaccard similarity to the likest segment when rows are drawn anew: above 0.75 a segment is \
         stable, below 0.6 it should not be trusted.",
    );
}

fn in_words(segment: &Segment) -> String {
    let numbers = segment
        .numbers
        .iter()
        .take(3)
        .map(|d| format!("{} {} (all {}, {:+.1} sd)", d.column, short(d.mean), short(d.overall), d.standardised));
    let levels = segment
        .levels
        .iter()
        .take(3)
        .map(|d| format!("{} {} {:.0} % (all {:.0} %)", d.column, d.level, 100.0 * d.share, 100.0 * d.overall));
    let parts: Vec<String> = numbers.chain(levels).collect();
    format!(
        "{}: {} rows ({:.1} %), stability {:.2}; {}",
        segment.name,
        count(segment.n_rows as f64),
        100.0 * segment.share,
        segment.stability,
        parts.join(", ")
    )
}

/// A mean with about four digits.
fn short(value: f64) -> String {
    if value.abs() >= 1000.0 {
        count(value)
    } else {
        format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').into()
    }
}
