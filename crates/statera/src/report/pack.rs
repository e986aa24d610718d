//! Documents of supervisors' forms, from templates that a bank may edit.
//!
//! A template is Markdown (or HTML, by its ending) in the syntax of Jinja; what it may use is the document of
//! [`super::json`] and the filters below. What only people can say is printed as a gap by `todo("…")`, and so is a figure
//! that the bundle does not hold.

use super::subject::Subject;
use super::words::Words;
use crate::reasons::Language;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A document that ships with templates.
#[derive(Debug)]
pub struct Pack {
    /// Name on the command line and of its files.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its templates in English, Korean and Chinese.
    templates: [&'static str; 3],
}

/// Every document.
pub const PACKS: &[Pack] = &[
    Pack {
        name: "model-card",
        about: "a model card after Mitchell et al. (2019)",
        templates: [
            include_str!("pack/model-card.en.md"),
            include_str!("pack/model-card.ko.md"),
            include_str!("pack/model-card.zh.md"),
        ],
    },
    Pack {
        name: "eu-annex-iv",
        about: "technical documentation in the order of annex IV of the EU AI Act (Regulation 2024/1689)",
        templates: [
            include_str!("pack/eu-annex-iv.en.md"),
            include_str!("pack/eu-annex-iv.ko.md"),
            include_str!("pack/eu-annex-iv.zh.md"),
        ],
    },
    Pack {
        name: "sr-26-2",
        about: "a model document for US model risk management",
        templates: [
            include_str!("pack/sr-26-2.en.md"),
            include_str!("pack/sr-26-2.ko.md"),
            include_str!("pack/sr-26-2.zh.md"),
        ],
    },
    Pack {
        name: "kr-fsc",
        about: "the principles of the Korean FSC's guideline on AI in finance",
        templates: [
            include_str!("pack/kr-fsc.en.md"),
            include_str!("pack/kr-fsc.ko.md"),
            include_str!("pack/kr-fsc.zh.md"),
        ],
    },
];

/// What several templates use.
const COMMON: &str = include_str!("pack/common.md");
/// Longest template that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Steps that a template may take: an endless one ends with an error.
const FUEL: u64 = 20_000_000;

impl Pack {
    /// The pack of a name.
    ///
    /// # Errors
    /// A name that is none; the message lists those that are.
    pub fn find(name: &str) -> Result<&'static Pack> {
        PACKS.iter().find(|p| p.name == name).ok_or_else(|| {
            let names: Vec<&str> = PACKS.iter().map(|p| p.name).collect();
            Error::request(format!("no document «{name}»; there are {}", names.join(", ")))
        })
    }

    fn built_in(&self, language: Language) -> &'static str {
        self.templates[place(language)]
    }
}

/// Codes of the languages, as in the templates' names.
const CODES: [&str; 3] = ["en", "ko", "zh"];

fn place(language: Language) -> usize {
    match language {
        Language::En => 0,
        Language::Ko => 1,
        Language::Zh => 2,
    }
}

/// Writes the templates that ship into a folder, each beside its place and renamed; `replace` says that files of those names
/// may be replaced.
///
/// # Errors
/// A file that exists and may not be replaced; a folder that cannot be written.
pub fn write_templates(folder: &Path, replace: bool) -> Result<Vec<PathBuf>> {
    let named = |e: std::io::Error, path: &Path| Error::io(format!("{}: {e}", path.display()));
    let mut files: Vec<(PathBuf, &str)> = vec![(folder.join("common.md"), COMMON)];
    for pack in PACKS {
        let own = CODES.iter().zip(pack.templates);
        files.extend(own.map(|(code, text)| (folder.join(format!("{}.{code}.md", pack.name)), text)));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| !replace && path.exists()) {
        return Err(Error::request(format!("{} exists; replace it with --force", path.display())));
    }
    std::fs::create_dir_all(folder).map_err(|e| named(e, folder))?;
    for (path, text) in &files {
        crate::file::write_whole(path, text.as_bytes())?;
    }
    Ok(files.into_iter().map(|f| f.0).collect())
}

/// Fills a document, with the bank's templates where the folder `templates` has them, else with those that ship.
///
/// # Errors
/// Templates that cannot be read or filled, with their place; as [`super::html`].
pub fn document(subject: &Subject<'_>, pack: &Pack, templates: Option<&Path>) -> Result<String> {
    let language = subject.words.language;
    let code = CODES[place(language)];
    let mut common = None;
    let mut own = None;
    if let Some(folder) = templates {
        if !folder.is_dir() {
            return Err(Error::request(format!("--templates {}: there is no such folder", folder.display())));
        }
        common = read(&folder.join("common.md"))?;
        let endings = ["md", "html"].map(|ending| folder.join(format!("{}.{code}.{ending}", pack.name)));
        for path in endings {
            if let (None, Some(text)) = (&own, read(&path)?) {
                own = Some((path.display().to_string(), text));
            }
        }
    }
    let (place, text) = own.unwrap_or_else(|| (format!("{}.{code}.md", pack.name), pack.built_in(language).into()));
    let fault = |e: minijinja::Error| Error::request(format!("template {place}: {e:#}"));
    let mut env = environment(subject).map_err(fault)?;
    env.add_template_owned("common.md", common.unwrap_or_else(|| COMMON.into())).map_err(fault)?;
    env.add_template_owned(place.clone(), text).map_err(fault)?;
    let context = Serde(context(subject)?);
    let filled = env.get_template(&place).and_then(|t| t.render(context)).map_err(fault)?;
    Ok(tidy(&filled))
}

/// A file of a bank's folder; `None` if there is none.
fn read(path: &Path) -> Result<Option<String>> {
    let named = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(named(e)),
        Ok(about) if about.len() > MAX_BYTES => {
            let n = about.len();
            return Err(Error::request(format!("{}: {n} bytes; allowed: at most {MAX_BYTES}", path.display())));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(named)
}

/// The filters and functions of templates.
fn environment<'a>(subject: &Subject<'_>) -> std::result::Result<Environment<'a>, minijinja::Error> {
    let words = &subject.words;
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_fuel(Some(FUEL));
    // Markdown is escaped by its own rules, HTML by the name's ending.
    env.set_auto_escape_callback(|name| {
        if name.ends_with(".html") { minijinja::AutoEscape::Html } else { minijinja::AutoEscape::None }
    });
    let own = words.clone();
    env.add_filter("percent", move |v: Value| number(&v).map_or_else(|| gap(&own), |v| own.percent(v)));
    let own = words.clone();
    env.add_filter("figure", move |v: Value| number(&v).map_or_else(|| gap(&own), |v| own.fixed(v)));
    let own = words.clone();
    env.add_filter("count", move |v: Value| number(&v).map_or_else(|| gap(&own), |v| own.weight(v)));
    let own = words.clone();
    env.add_filter("or_gap", move |v: Value| if is_nothing(&v) { gap(&own) } else { v.to_string() });
    env.add_filter("cell", |v: Value| escaped(&v.to_string()));
    let groups = subject.judgement.map(|j| j.group_parts.keys()).into_iter().flatten();
    let groups: BTreeMap<String, String> = groups.map(|name| (name.clone(), subject.group(name))).collect();
    env.add_filter("group", move |v: String| groups.get(&v).cloned().unwrap_or(v));
    let own = words.clone();
    env.add_filter("model", move |v: String| own.model(&v, &v));
    let own = words.clone();
    env.add_filter("word", move |v: Value, section: String| {
        own.known(&format!("{section}.{v}")).unwrap_or_else(|| escaped(&v.to_string()))
    });
    let own = words.clone();
    env.add_function("todo", move |what: String| own.fill("pack.todo", &[("what", &what)]));
    let own = words.clone();
    env.add_function("gap", move |what: String| own.fill("pack.gap", &[("what", &what)]));
    let own = words.clone();
    env.add_function("t", move |key: String| own.get(&key));
    let [measured_on, judged_on] = [subject.measured_on(), subject.judged_on().join(" ")];
    env.add_function("measured_on", move || measured_on.clone());
    env.add_function("judged_on", move || judged_on.clone());
    let cutoff_note = subject.cutoff_note().unwrap_or_default();
    env.add_function("cutoff_note", move || cutoff_note.clone());
    let own = words.clone();
    env.add_function("left_out", move |all: usize, shown: usize| left_out(&own, all, shown));
    Ok(env)
}

fn number(value: &Value) -> Option<f64> {
    f64::try_from(value.clone()).ok().filter(|v| v.is_finite())
}

fn is_nothing(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.as_str().is_some_and(|s| s.trim().is_empty())
}

/// What stands below a table of so many lines, of which so many are shown: nothing, or how many are not, as its own paragraph.
fn left_out(words: &Words, all: usize, shown: usize) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        n => format!("\n{}\n", words.fill("page.hidden", &[("n", &words.count(n))])),
    }
}

fn gap(words: &Words) -> String {
    words.get("pack.not_known")
}

/// A bank's name as a cell of a Markdown table, where nothing of it is markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in super::words::cut_text(text).chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// The document with what the page says in words.
fn context(subject: &Subject<'_>) -> Result<serde_json::Value> {
    let mut document = super::json(subject)?;
    let facts = &subject.facts;
    let metrics: Vec<serde_json::Value> = subject
        .measured()
        .iter()
        .map(|m| serde_json::json!({ "name": m.name, "value": m.interval.value, "low": m.interval.low, "high": m.interval.high }))
        .collect();
    if let Some(document) = document.as_object_mut() {
        let words = serde_json::json!({
            "event": subject.event(),
            "model": subject.model(),
            "purpose": subject.purpose(),
            "metrics": metrics,
            "on_test": facts.measured_on == "test",
        });
        document.insert("in_words".into(), words);
    }
    Ok(document)
}

/// Without the empty lines that conditions leave.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut n_empty = 0;
    for line in text.lines() {
        n_empty = if line.trim().is_empty() { n_empty + 1 } else { 0 };
        if n_empty < 2 {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}
