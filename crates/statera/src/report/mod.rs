//! The report of a bundle: one page that says what the model is for, what it learnt from, how good it is, why it decides as
//! it does and whom it treats how; the same facts as one document for machines; and documents of supervisors' forms.
//!
//! Invariants: the page fetches nothing and runs nothing; the same bundle gives the same bytes; its size does not grow with
//! the rows of any table; what is not known is printed as a gap with what would fill it, never left out. Every word shown
//! stands in `text`, in each language. Deliberately absent: PDF (browsers print the page), customers' rows (the examples are
//! synthetic; the case of a fraud model is one card's in coarse figures, without ids and dates).
//!
//! A section is one file in `section`, with its line in `SECTIONS`.

pub mod chart;
mod gap;
mod pack;
mod section;
mod subject;
#[cfg(test)]
mod tests;
mod view;
mod words;

pub use pack::{PACKS, Pack, document, write_templates};
pub use subject::{Example, Risk, Subject, judgement};
pub(crate) use words::Words;

use crate::reasons::Language;
use crate::use_case::{self, USE_CASES};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use section::Section;
use serde::Serialize;
use serde_json::{Value, json};
use statera_core::{Error, Result};
use view::Block;

/// Every section, in the order of the page.
const SECTIONS: &[Section] = &[
    section::purpose::PURPOSE,
    section::data::DATA,
    section::leaderboard::LEADERBOARD,
    section::performance::PERFORMANCE,
    section::learning::LEARNING,
    section::cutoff::CUTOFF,
    section::scorecard::SCORECARD,
    section::explanation::EXPLANATION,
    section::examples::EXAMPLES,
    section::reasons::REASONS,
    section::alerts::ALERTS,
    section::fairness::FAIRNESS,
    section::stability::STABILITY,
    section::privacy::PRIVACY,
    section::reproduce::REPRODUCE,
];

/// Name of the section of alerts, which use cases with cards show.
pub const ALERTS: &str = section::alerts::ALERTS.name;

/// Version of the document that [`json`] gives.
const DOCUMENT_VERSION: u32 = 1;

/// A section as the page shows it.
#[derive(Debug, Serialize)]
struct Shown {
    name: &'static str,
    title: String,
    blocks: Vec<Block>,
}

#[derive(Serialize)]
struct Page<'a> {
    lang: &'static str,
    styles: [&'static str; 3],
    title: String,
    lead: String,
    tiles: Vec<(String, String)>,
    gaps: Vec<gap::Gap>,
    gaps_title: String,
    contents: String,
    gap_word: String,
    recorded: String,
    sections: &'a [Shown],
    footer: String,
}

/// The report as one page.
///
/// # Errors
/// Pictures that cannot be drawn of the facts; the message names the section.
pub fn html(subject: &Subject<'_>) -> Result<String> {
    let words = &subject.words;
    let sections = shown(subject)?;
    let gaps = gap::gaps(&sections);
    let n_gaps = words.count(gaps.len());
    let page = Page {
        lang: match words.language {
            Language::En => "en",
            Language::Ko => "ko",
            Language::Zh => "zh-Hans",
        },
        styles: [statera_data::page::STYLE, include_str!("report.css"), chart::STYLE],
        title: subject.title(),
        lead: subject.lead(),
        tiles: subject.tiles(),
        gaps_title: if gaps.is_empty() {
            words.get("page.no_gaps")
        } else {
            words.fill("page.gaps", &[("n", &n_gaps)])
        },
        gaps,
        contents: words.get("page.contents"),
        gap_word: words.get("page.gap"),
        recorded: words.get("page.recorded"),
        sections: &sections,
        footer: words
            .fill("page.footer", &[("software", &subject.bundle.manifest.software), ("digest", &subject.digest)]),
    };
    let fault = |e: minijinja::Error| Error::data(format!("the report could not be made: {e:#}"));
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(fault)?);
    // The name's ending turns escaping on.
    env.add_template("page.html", include_str!("page.html")).map_err(fault)?;
    let page = env.get_template("page.html").map_err(fault)?.render(Serde(page)).map_err(fault)?;
    Ok(page + "\n")
}

/// What every section shows.
fn shown(subject: &Subject<'_>) -> Result<Vec<Shown>> {
    let one = |section: &Section| -> Result<Shown> {
        let title = subject.words.get(&format!("{}.title", section.name));
        let blocks = (section.view)(subject).map_err(|e| e.at(format!("report, section {}", section.name)))?;
        Ok(Shown { name: section.name, title, blocks })
    };
    // A section that some use case has for itself is shown for that one only.
    let own = use_case::of(subject.facts.settings.use_case).sections;
    let is_others = |name: &str| USE_CASES.iter().any(|d| d.sections.contains(&name)) && !own.contains(&name);
    SECTIONS.iter().filter(|s| !is_others(s.name)).map(one).collect()
}

/// The facts of the report as one document with stable keys, as they were measured; what was put into words is in the
/// subject's language: gaps, and the reasons of the examples, whose recourse is searched for until a number of rows is scored. Its version is `document_version`.
///
/// # Errors
/// As [`html`].
pub fn json(subject: &Subject<'_>) -> Result<Value> {
    let bundle = subject.bundle;
    let fault = |e: serde_json::Error| Error::data(format!("the report's facts: {e}"));
    let manifest = &bundle.manifest;
    let policy = bundle.deciding.policy.as_ref();
    Ok(json!({
        "document_version": DOCUMENT_VERSION,
        "bundle": {
            "digest": subject.digest,
            "format_version": manifest.format_version,
            "software": manifest.software,
            "seed": manifest.seed,
            "family": manifest.family,
            "data_fingerprint": manifest.data_fingerprint,
            "parents": manifest.parents,
        },
        "schema": serde_json::to_value(bundle.scorer.schema()).map_err(fault)?,
        "reference": serde_json::to_value(&bundle.reference).map_err(fault)?,
        "facts": bundle.facts,
        "policy": policy.map(|(own, _)| &own.read),
        "cutoffs": policy.map(|(_, fitted)| fitted.cutoffs),
        "reasons": bundle.deciding.reasons.as_ref().map(|r| &r.read),
        "recourse": bundle.deciding.recourse.as_ref().map(|r| &r.read),
        "judgement": subject.judgement,
        "examples": subject.examples,
        "gaps": gap::gaps(&shown(subject)?),
    }))
}
