//! The demo's story of fraud, in chapters: a model of card transactions, what the network of transfers adds, rules
//! beside the model, a day on the live path, and the queue of alerts that a desk works on. Each does what a person
//! could type, measures it on what the models have not seen, and leaves files to look at.

mod bank;
mod cards;
mod desk;
mod ledger;
mod live;
mod network;
mod rules;
mod weeks;

use super::{path_text, reading, train};
use crate::args::Demo;
use crate::console::{Console, count};
use serde_json::{Value, json};
use statera::project::Settings;
use statera::sample::SampleFiles;
use statera_core::{Error, ErrorKind, Result, Run};
use statera_data::source::ReadOptions;
use statera_data::texts_of;
use std::collections::HashMap;
use std::path::PathBuf;

/// Cards for each one that the desk can look at on a day; the handbook's 5,000 for 100.
const CARDS_A_REVIEW: usize = 50;
/// Rows of a bank of 200 cards, whose mules, rings and victims are enough for every chapter.
const ENOUGH_ROWS: usize = 8_000;

/// What all chapters need.
struct Scene<'a> {
    args: &'a Demo,
    files: &'a SampleFiles,
    console: &'a Console,
    run: &'a Run,
    /// Of which pattern each fraud is, which an invented bank knows.
    answers: HashMap<String, String>,
}

impl Scene<'_> {
    /// A file of the story.
    fn at(&self, name: &str) -> PathBuf {
        self.args.out.join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// Cards that people can look at on a day.
    fn capacity(&self) -> usize {
        (self.files.n_cards / CARDS_A_REVIEW).max(1)
    }

    /// The flag of a seed that is not the usual one.
    fn seed_flag(&self) -> String {
        let seed = self.args.seed;
        if seed == Settings::default().seed { String::new() } else { format!(" --seed {seed}") }
    }

    fn begin(&self, title: &str) {
        self.console.line(format!("\n── {title} ──\n"));
    }

    /// How the same is done without the demo.
    fn by_hand(&self, commands: &[String]) {
        self.console.line("\nBy hand:");
        commands.iter().for_each(|command| self.console.line(format!("  {command}")));
    }

    /// Writes a table of the story.
    fn write(&self, name: &str, header: &str, lines: impl IntoIterator<Item = String>) -> Result<()> {
        let mut text = format!("{header}\n");
        lines.into_iter().for_each(|line| text.extend([line.as_str(), "\n"]));
        statera::file::write_whole(&self.at(name), text.as_bytes())
    }
}

/// Refuses a place that the story may not write to, before anything is written.
///
/// # Errors
/// A folder of somebody's in the place of the demo's server; one whose server runs.
pub fn check_place(args: &Demo) -> Result<()> {
    live::check_place(&args.out.join(live::SERVER))
}

/// Tells the story; gives what was found.
///
/// # Errors
/// What training, serving and writing refuse; an interruption. What has its name in the folder is whole.
pub fn run(args: &Demo, files: &SampleFiles, console: &Console, run: &Run) -> Result<Value> {
    let few = |e: Error| too_few(e, args.rows);
    let scene = Scene { args, files, console, run, answers: answers(files, run).map_err(few)? };
    let cards = cards::tell(&scene).map_err(few)?;
    let network = network::tell(&scene).map_err(few)?;
    let (cards, rules) = rules::tell(&scene, cards).map_err(few)?;
    let (live, alerts, ledger) = live::tell(&scene, &cards).map_err(few)?;
    end(&scene);
    Ok(json!({
        "bundle": scene.at(cards::BUNDLE), "facts": cards.facts, "patterns": cards.patterns,
        "commands": [cards.command],
        "network": network, "rules": rules, "live": live, "alerts": alerts, "ledger": ledger,
    }))
}

/// The patterns of the frauds by their ids.
fn answers(files: &SampleFiles, run: &Run) -> Result<HashMap<String, String>> {
    let (table, _) = reading::table(&path_text(&files.fraud_answers), &ReadOptions::default(), run)?;
    let (id, scenario) = (table.column("event_id")?, table.column("scenario")?);
    let mut answers = HashMap::new();
    for batch in &table.batches {
        let pairs = texts_of(batch.column(id)).into_iter().zip(texts_of(batch.column(scenario)));
        answers.extend(pairs.filter_map(|(id, scenario)| Some((id?, scenario?))));
    }
    Ok(answers)
}

/// What is said of tables that hold too little: of a small bank there is hardly any fraud to tell of.
fn too_few(error: Error, rows: usize) -> Error {
    if error.kind() != ErrorKind::Data || rows >= ENOUGH_ROWS {
        return error;
    }
    Error::request(format!("--rows {rows}: too little fraud to tell of ({error}); ask for {ENOUGH_ROWS} or more"))
}

/// What is said where there are too few rows for a test.
fn no_test() -> Error {
    Error::data("the demo needs a test part; ask for more rows")
}

/// A pattern as people read it.
fn in_words(pattern: &str) -> String {
    pattern.replace('_', " ")
}

/// What lies where.
fn end(scene: &Scene) {
    scene.begin("What is there to look at");
    scene.console.paragraph(format!("Everything is in {}:", scene.args.out.display()));
    let lines = [
        ("README.txt", "the bank's tables, and what their columns mean"),
        (cards::BUNDLE, "the model of card transactions; with its rules"),
        (cards::REPORT, "its report: open it in a browser"),
        (network::BUNDLE, "the model of transfers that sees the network"),
        (network::FOUND, "each fraudulent transfer of the last weeks, and which of the two models finds it"),
        (rules::BACKTEST, "what each rule would have done"),
        (live::DAY, "the day's transactions with both probabilities and what was done"),
        (desk::CASES, "the cases that the desk worked on"),
        (live::SERVER, "the server's settings, its store with the ledger, passwords of three people, a key"),
    ];
    for (name, what) in lines {
        let name = if name == cards::BUNDLE { format!("{name}, {}", rules::BUNDLE) } else { name.to_string() };
        scene.console.line(format!("  {name:<33} {what}"));
    }
}

/// Shares as people read them.
fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn money(value: f64) -> String {
    count(value.round())
}
